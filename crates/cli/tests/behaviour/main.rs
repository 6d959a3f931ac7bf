//! What the program does, seen from outside: above all with bad input, where it must say what is wrong and leave the store
//! as it was.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod apply;
mod backups;
mod bad_files;
mod bad_stores;
mod bad_values;
mod copy;
mod demo;
mod engines;
mod no_store;
#[cfg(unix)]
mod progress;
mod schedule;
mod shell;
mod signals;
mod support;
mod transfer;
mod unread;
