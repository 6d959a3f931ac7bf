//! The whole suite on fjall: as it is opened by default, and with buffered writes as the default.

use std::process::ExitCode;
use std::sync::Arc;

use stead_conformance::{Offers, OpenOptions, Place, Subject};
use stead_core::{Backend, Capabilities, Durability, Reply, Strength};
use stead_fjall::{EmbeddedOptions, FjallConfig};

struct Fjall {
    name: &'static str,
    durability: Durability,
}

impl Subject for Fjall {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            buffered: Strength::ProcessCrash,
            durable: Strength::PowerLoss,
            default_durability: self.durability,
            persistent: true,
            ..Capabilities::volatile("fjall")
        }
    }

    fn offers(&self) -> Offers {
        Offers::default().change_retention().limits().read_only()
    }

    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let mut config = FjallConfig::new(place.dir().join("store")).with_cache_bytes(16 << 20);
        if options.read_only {
            config = config.read_only();
        }
        let mut settings = EmbeddedOptions::default()
            .with_clock(Arc::clone(&options.clock))
            .with_durability(self.durability)
            .with_change_retention(options.change_retention as u64)
            .with_sweep_interval(options.sweep_interval);
        if let Some(limits) = options.limits {
            settings = settings.with_limits(limits);
        }
        Reply::from(stead_fjall::open(&config, settings)).map(|store| store as Arc<dyn Backend>)
    }
}

fn main() -> ExitCode {
    let subject = |name, durability| Arc::new(Fjall { name, durability }) as Arc<dyn Subject>;
    stead_conformance::main(vec![
        subject("fjall", Durability::Durable),
        subject("fjall-buffered", Durability::Buffered),
    ])
}
