//! The conformance suite on the store in memory, alone and under five layers that only forward.

use std::process::ExitCode;
use std::sync::Arc;

use stead_conformance::{Offers, OpenOptions, PassThrough, Place, Subject};
use stead_core::{Backend, Capabilities, Durability, Extent, Layer, Limits, Reply, Strength};
use stead_memory::{MemoryBackend, MemoryOptions};

struct Memory {
    layers: usize,
}

impl Subject for Memory {
    fn name(&self) -> String {
        if self.layers == 0 {
            "memory".into()
        } else {
            "memory-layered".into()
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "memory",
            atomicity: Extent::Store,
            revision_order: Extent::Store,
            buffered: Strength::Volatile,
            durable: Strength::Volatile,
            default_durability: Durability::Buffered,
            persistent: false,
            writable: true,
            ttl: true,
            range_preconditions: true,
            reverse_scans: true,
            snapshots: true,
            watch: true,
            request_ids: true,
            limits: Limits::default(),
        }
    }

    fn offers(&self) -> Offers {
        Offers::default().change_retention().limits().capacity()
    }

    fn open<'a>(&'a self, _place: &'a Place, wanted: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let mut options = MemoryOptions::default()
            .with_clock(Arc::clone(&wanted.clock))
            .with_change_retention(wanted.change_retention)
            .with_sweep_interval(wanted.sweep_interval);
        if let Some(limits) = wanted.limits {
            options = options.with_limits(limits);
        }
        if let Some(entries) = wanted.capacity_entries {
            options = options.with_capacity_entries(entries);
        }
        let mut store: Arc<dyn Backend> = Arc::new(MemoryBackend::new(options));
        for _ in 0..self.layers {
            store = match PassThrough::layer().wrap(store) {
                Ok(wrapped) => wrapped,
                Err(error) => return Reply::fail(error),
            };
        }
        Reply::ready(store)
    }
}

fn main() -> ExitCode {
    stead_conformance::main(vec![
        Arc::new(Memory { layers: 0 }),
        Arc::new(Memory { layers: 5 }),
    ])
}
