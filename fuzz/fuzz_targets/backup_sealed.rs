//! Sealed objects, as they are and with a right seal, are answered.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stead_backup::fuzzing::sealed(bytes));
