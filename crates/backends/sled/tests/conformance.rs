//! The whole suite on sled: as it is opened by default, with buffered writes as the default, and with compression where
//! it is compiled in.

use std::process::ExitCode;
use std::sync::Arc;

use stead_conformance::{Offers, OpenOptions, Place, Subject};
use stead_core::{Backend, Capabilities, Durability, Reply, Strength};
use stead_sled::{EmbeddedOptions, SledConfig};

struct Sled {
    name: &'static str,
    durability: Durability,
    compress: bool,
}

impl Subject for Sled {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            buffered: Strength::Volatile,
            durable: Strength::PowerLoss,
            default_durability: self.durability,
            persistent: true,
            ..Capabilities::volatile("sled")
        }
    }

    fn offers(&self) -> Offers {
        // sled cannot open a store for reading only.
        Offers::default().change_retention().limits()
    }

    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let config = SledConfig::new(place.dir().join("store"))
            .with_cache_capacity(16 << 20)
            .with_compression(self.compress);
        let mut settings = EmbeddedOptions::default()
            .with_clock(Arc::clone(&options.clock))
            .with_durability(self.durability)
            .with_change_retention(options.change_retention as u64)
            .with_sweep_interval(options.sweep_interval);
        if let Some(limits) = options.limits {
            settings = settings.with_limits(limits);
        }
        Reply::from(stead_sled::open(&config, settings)).map(|store| store as Arc<dyn Backend>)
    }
}

fn main() -> ExitCode {
    let subject = |name, durability, compress| {
        Arc::new(Sled {
            name,
            durability,
            compress,
        }) as Arc<dyn Subject>
    };
    let mut subjects = vec![
        subject("sled", Durability::Durable, false),
        subject("sled-buffered", Durability::Buffered, false),
    ];
    if cfg!(feature = "compression") {
        subjects.push(subject("sled-compressed", Durability::Buffered, true));
    }
    stead_conformance::main(subjects)
}
