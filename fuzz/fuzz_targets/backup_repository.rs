//! A repository of any files, as they are and with right seals, is listed, verified and restored, or refused before anything
//! is written.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use stead_backup::fuzzing;
use stead_core::{Backend, ManualClock, Timestamp};
use stead_memory::{MemoryBackend, MemoryOptions};

fuzz_target!(|bytes: &[u8]| {
    let files = fuzzing::unpack(bytes);
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let target = || -> Arc<dyn Backend> {
        Arc::new(MemoryBackend::new(
            MemoryOptions::default().with_clock(clock.clone()),
        ))
    };
    for reseal in [false, true] {
        fuzzing::repository(&files, reseal, target, &*clock);
    }
});
