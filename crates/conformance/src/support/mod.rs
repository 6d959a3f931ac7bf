//! Short ways to say what cases say often.

mod keys;
mod store;

pub(crate) use keys::{HOME, after, between, home, key, key_in, later, nth, partition, paths, prefix};
pub(crate) use store::{Reading, Store, path_of, text};
