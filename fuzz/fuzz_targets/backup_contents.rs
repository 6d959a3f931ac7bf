//! What is in a chunk, as each kind, is answered; and what is read is written again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stead_backup::fuzzing::contents(bytes));
