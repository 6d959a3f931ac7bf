//! The conformance suite on stores of an engine.

use std::path::Path;
use std::sync::Arc;

use stead_conformance::{Offers, OpenOptions, Place, Subject};
use stead_core::{Backend, Capabilities, Durability, Reply, Strength};
use stead_embedded::{EmbeddedOptions, EngineConfig, open_store};

use crate::{Readers, TestedEngine};

struct Stores<C> {
    name: &'static str,
    claimed: Capabilities,
    readers: Readers,
    config: fn(&Path) -> C,
}

/// Stores with the settings that `config` gives for a path, whose batches get `durability` when they ask for nothing.
#[must_use]
pub fn subject<E: TestedEngine>(
    name: &'static str,
    durability: Durability,
    config: fn(&Path) -> E::Config,
) -> Arc<dyn Subject> {
    let claimed = Capabilities {
        buffered: E::BUFFERED,
        durable: Strength::PowerLoss,
        default_durability: durability,
        persistent: true,
        ..Capabilities::volatile(E::NAME)
    };
    Arc::new(Stores {
        name,
        claimed,
        readers: E::READERS,
        config,
    })
}

impl<C: EngineConfig> Subject for Stores<C> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.claimed.clone()
    }

    fn offers(&self) -> Offers {
        let offers = Offers::default().change_retention().limits();
        match self.readers {
            Readers::None => offers,
            Readers::One | Readers::Many => offers.read_only(),
        }
    }

    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let config = (self.config)(&place.dir().join("store"));
        let mut settings = EmbeddedOptions::default()
            .with_clock(Arc::clone(&options.clock))
            .with_durability(self.claimed.default_durability)
            .with_change_retention(options.change_retention as u64)
            .with_sweep_interval(options.sweep_interval);
        if let Some(limits) = options.limits {
            settings = settings.with_limits(limits);
        }
        if options.read_only {
            settings = settings.read_only();
        }
        Reply::from(open_store(&config, settings)).map(|store| store as Arc<dyn Backend>)
    }
}
