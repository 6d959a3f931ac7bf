//! Setting a manager up.

use std::sync::Arc;

use stead_codec::{Checksum, Codec, StateClass};
use stead_core::{Backend, Capabilities, Durability, Error, Random, Result, Strength, SystemRandom, Ttl};

use crate::StateManager;
use crate::classes::{ClassRules, ExternalLimits, FastPathConfig};
use crate::flight::Flights;
use crate::homes::Ephemeral;
use crate::inner::Inner;
use crate::sleep::{Sleep, ThreadSleep};
use crate::stripes::Stripes;

/// Sets a [`StateManager`] up.
#[must_use = "a builder does nothing until `build` is called"]
pub struct StateManagerBuilder {
    store: Arc<dyn Backend>,
    ephemeral: Option<Arc<dyn Backend>>,
    ephemeral_ttl: Ttl,
    rules: ClassRules,
    durability: Option<Durability>,
    random: Arc<dyn Random>,
    sleep: Arc<dyn Sleep>,
}

impl StateManagerBuilder {
    pub(crate) fn new(store: Arc<dyn Backend>) -> Self {
        let capabilities = store.capabilities();
        let mut rules = ClassRules::new(&capabilities.limits);
        rules.limits = rules.limits.with_checksum(checksum(capabilities));
        StateManagerBuilder {
            rules,
            store,
            ephemeral: None,
            ephemeral_ttl: Ttl::from_millis(60 * 60 * 1000).expect("an hour is not zero"),
            durability: None,
            random: Arc::new(SystemRandom),
            sleep: Arc::new(ThreadSleep),
        }
    }

    /// Keeps [`StateClass::Ephemeral`] values in `store`: one in memory that belongs to this manager alone. Without it
    /// they are refused.
    ///
    /// Reads then look there first, and writers of the same key queue up, since a key lives in one of the two stores.
    pub fn ephemeral(mut self, store: Arc<dyn Backend>) -> Self {
        self.ephemeral = Some(store);
        self.rules.ephemeral = true;
        self
    }

    /// How long an ephemeral value lives unless its write says otherwise: an hour unless configured.
    pub fn ephemeral_ttl(mut self, ttl: Ttl) -> Self {
        self.ephemeral_ttl = ttl;
        self
    }

    /// The class of values whose write names none: [`StateClass::Standard`] unless configured.
    pub fn default_class(mut self, class: StateClass) -> Self {
        self.rules.default_class = class;
        self
    }

    /// The codec of values of `class` whose write names none: JSON unless configured. Trusted values on the fast path
    /// have MessagePack whatever stands here.
    ///
    /// # Errors
    ///
    /// `Invalid` for a codec that cannot hold every value: raw bytes, and bincode, which cannot read dynamic values
    /// back. Ask for those per write.
    pub fn codec(mut self, class: StateClass, codec: Codec) -> Result<Self> {
        if !matches!(codec, Codec::Json | Codec::MessagePack) {
            return Err(Error::invalid(
                "a class needs a codec that can hold every value; use json or messagepack",
            )
            .with("codec", codec));
        }
        self.rules.codecs.set(class, codec)?;
        Ok(self)
    }

    /// The fast path of trusted values.
    pub fn fast_path(mut self, config: FastPathConfig) -> Self {
        self.rules.fast_path = config;
        self
    }

    /// How large and how deep external values may be.
    pub fn external_limits(mut self, limits: ExternalLimits) -> Self {
        self.rules.external = limits;
        self
    }

    /// Compresses values of more bytes than this: 1,024 unless configured. `None` turns compression off; what is
    /// compressed already is read all the same.
    pub fn compress_above_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.rules.compress_above_bytes = bytes.into();
        self
    }

    /// The durability of writes that ask for none: the store's default unless configured.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Where the jitter of repeated attempts comes from.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// How repeated attempts wait: [`ThreadSleep`] unless configured.
    pub fn sleep(mut self, sleep: Arc<dyn Sleep>) -> Self {
        self.sleep = sleep;
        self
    }

    /// The manager.
    #[must_use]
    pub fn build(self) -> StateManager {
        StateManager::from_inner(Inner {
            ephemeral: self
                .ephemeral
                .map(|store| Ephemeral::new(store, self.ephemeral_ttl)),
            store: self.store,
            rules: self.rules,
            durability: self.durability,
            random: self.random,
            sleep: self.sleep,
            stripes: Stripes::new(),
            flights: Flights::default(),
        })
    }
}

/// A store that keeps nothing beyond its process gives back the bytes that it was given.
fn checksum(capabilities: &Capabilities) -> Checksum {
    let kept = capabilities.persistent || capabilities.durable > Strength::Volatile;
    if kept { Checksum::Verify } else { Checksum::Trust }
}
