//! What must be left of a store after its process, its disk or its machine failed.
//!
//! A workload of numbered writes, and a verification of what a reopened store holds of them. Both know nothing of an
//! engine: whoever can open a [`Backend`](stead_core::Backend) with a [`ManualClock`](stead_core::ManualClock) can use
//! them. The one who writes need not be the one who verifies: what write N was follows from the load, the seed and the
//! number alone, and what the writer was told crosses a pipe as lines of text.
//!
//! 1. A writer opens the store, and [`run`]s writes from [`Journal::next`] on. It prints each [`Event`] before it goes on.
//! 2. Something fails: the writer is killed, its system calls fail, the disk forgets what was not synced.
//! 3. The verifier takes the lines that it got into its [`Journal`], opens the store and calls [`verify`], which compares
//!    everything and [writes](verify) once more. The journal then begins at what survived, so that the next writer
//!    can go on with the same store.
//!
//! One writer at a time writes in the order of the numbers and hands over at most [`Work::window`] writes before it waits
//! for the first of them. So of the writes without an acknowledgement, a beginning is there, whole, and nothing behind it.
//!
//! Time is made of numbers as well: [`time_of`] says where the writer and the verifier set the clock. A deadline has
//! therefore passed or not, however long a crash took.
//!
//! ```
//! use std::sync::Arc;
//! use futures_executor::block_on;
//! use stead_conformance::crash::{Crash, Demands, Journal, Load, Work, run, verify};
//! use stead_conformance::reference::{Options, Reference};
//! use stead_core::ManualClock;
//!
//! let clock = Arc::new(ManualClock::default());
//! let store = Reference::open(clock.clone(), Options::default());
//! let mut journal = Journal::new(7);
//! let work = Work { load: Load::Mixed, seed: 7, from: journal.next(), count: 200, window: 8 };
//! journal.begin(work.load);
//! let mut lines = Vec::new();
//! block_on(run(&store, &clock, &work, &mut |event| lines.push(event.to_string())))?;
//! for line in &lines {
//!     journal.note(&line.parse()?)?;
//! }
//!
//! let reopened = Reference::reopen(store.data(), clock.clone(), Options::default());
//! let report = block_on(verify(&reopened, &clock, &mut journal, &Demands::after(Crash::Process)))?;
//! assert_eq!(report.unacknowledged, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod align;
mod changes;
mod demands;
mod entries;
mod event;
mod failure;
mod feed;
mod journal;
mod load;
mod look;
mod model;
mod run;
mod verify;
mod write;

#[cfg(test)]
mod tests;

pub use demands::{Crash, Demands};
pub use event::{Ack, Event};
pub use failure::{Failure, FailureKind};
pub use journal::Journal;
pub use load::Load;
pub use look::look;
pub use run::{Stopped, Work, run};
pub use verify::{Report, verify};
pub use write::{Guard, Op, TICK, Write, partition, time_of};
