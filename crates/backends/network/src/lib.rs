//! What the stores on servers share, and the core has not.
//!
//! - [`Address`] reads `//user:password@host:port/path` out of a store's URL and never shows the password;
//! - [`NetworkOptions`] are the settings that every server store takes, by hand or from its URL;
//! - [`Retry`] repeats what failed, until a deadline, and only what is safe to repeat; a [`Failure`] says how far an
//!   attempt got;
//! - [`Background`] is a task that comes round at an interval and ends with its store;
//! - [`begin`] starts a task on its caller's thread, which spares a turn of the runtime;
//! - [`ask`] waits for the answer of a server where there is no way to be asynchronous.

mod address;
mod ask;
mod background;
mod eager;
mod options;
mod retry;

pub use address::{Address, Host};
pub use ask::ask;
pub use background::Background;
pub use eager::begin;
pub use options::NetworkOptions;
pub use retry::{Failure, Repeat, Retry};
pub use secrecy::{ExposeSecret, SecretString};
