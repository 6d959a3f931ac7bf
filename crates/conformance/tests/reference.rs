//! The whole suite on the reference store: once with everything declared, and twice with less, so that the refusals are
//! tested as well.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use stead_conformance::reference::{Data, Options, Reference};
use stead_conformance::{Offers, OpenOptions, Place, Subject};
use stead_core::{Backend, Capabilities, Extent, Reply};

/// The reference store with what it declares, and its data by the place where they stand.
struct ReferenceSubject {
    name: &'static str,
    declares: fn(&mut Capabilities),
    places: Mutex<HashMap<PathBuf, Arc<Data>>>,
}

impl ReferenceSubject {
    fn declaring(name: &'static str, declares: fn(&mut Capabilities)) -> Arc<dyn Subject> {
        Arc::new(ReferenceSubject {
            name,
            declares,
            places: Mutex::default(),
        })
    }

    fn data(&self, place: &Place) -> Arc<Data> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(place.dir().to_owned()).or_default())
    }
}

impl Subject for ReferenceSubject {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::volatile("reference");
        capabilities.persistent = true;
        (self.declares)(&mut capabilities);
        capabilities
    }

    fn offers(&self) -> Offers {
        Offers::all()
    }

    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let mut setup = Options::default()
            .with_log_sets(options.change_retention)
            .with_sweep_interval(options.sweep_interval)
            .declaring(self.declares)
            .declaring(|capabilities| {
                capabilities.writable = !options.read_only;
                if let Some(limits) = options.limits {
                    capabilities.limits = limits;
                }
            });
        if let Some(entries) = options.capacity_entries {
            setup = setup.with_capacity_entries(entries);
        }
        let store = Reference::reopen(&self.data(place), Arc::clone(&options.clock), setup);
        Reply::ready(Arc::new(store) as Arc<dyn Backend>)
    }

    fn remove(&self, place: &Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(place.dir());
    }
}

fn main() -> ExitCode {
    stead_conformance::main(vec![
        ReferenceSubject::declaring("reference", |_| {}),
        ReferenceSubject::declaring("reference-partitioned", |capabilities| {
            capabilities.atomicity = Extent::Partition;
            capabilities.revision_order = Extent::Partition;
        }),
        ReferenceSubject::declaring("reference-bare", |capabilities| {
            capabilities.atomicity = Extent::Partition;
            capabilities.persistent = false;
            capabilities.ttl = false;
            capabilities.range_preconditions = false;
            capabilities.reverse_scans = false;
            capabilities.snapshots = false;
            capabilities.watch = false;
            capabilities.request_ids = false;
        }),
    ])
}
