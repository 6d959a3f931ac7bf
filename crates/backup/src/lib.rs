//! Backups and checkpoints of a store.

mod error;
mod location;

pub use location::{Leftovers, Location, Purpose, open_location, open_location_with};
