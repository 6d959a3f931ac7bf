//! A store that is simple enough to be right by reading it, and that can be made wrong on purpose.
//!
//! [`Reference`] keeps everything in one ordered map behind one lock. It is slow, it declares every capability, and
//! its [`Data`] outlives the handle, so that a restart can be acted out. [`Options`] take capabilities away, to test
//! that what is not declared is refused, and plant a [`Fault`], to test that the suite bites.
//!
//! ```
//! use std::sync::Arc;
//!
//! use stead_conformance::reference::{Fault, Options, Reference};
//! use stead_core::{Key, ManualClock, Partition, Read, WriteBatch, Backend};
//!
//! let key = Key::new(&Partition::new("agent:1")?, "plan")?;
//! let clock = Arc::new(ManualClock::default());
//! let store = Reference::open(clock, Options::default().with_fault(Fault::EmptyValueIsMissing));
//! let written = store.apply(WriteBatch::new().put(key.clone(), "")).try_take().unwrap()?;
//! assert!(written.is_committed());
//! assert_eq!(store.get(&key).try_take().unwrap()?, None);
//! # Ok::<(), stead_core::Error>(())
//! ```

mod batch;
mod cursor;
mod data;
mod draft;
mod entries;
mod faults;
mod handle;
mod leftovers;
mod options;
mod requests;
mod snapshot;
mod source;
mod state;
mod view;

pub use data::Data;
pub use faults::Fault;
pub use handle::Reference;
pub use options::Options;
