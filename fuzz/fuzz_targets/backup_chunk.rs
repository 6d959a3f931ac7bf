//! Chunks, under their own names, are answered as each kind, and take no more memory than they may.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stead_backup::fuzzing::chunk(bytes));
