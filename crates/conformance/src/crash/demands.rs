//! What a verification demands.

use stead_core::{Capabilities, Durability, Strength};

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ended.
    Process,
    /// The machine lost its power, or the disk what was not synced.
    Power,
    /// System calls failed. Only what was durable is safe, since a buffered write is not on the disk yet.
    Disk,
}

/// What a verification demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// What failed. With the store's [`Capabilities`] it says which acknowledged writes must be there.
    pub crash: Crash,
    /// So many change sets the log must hold, once it has been trimmed.
    pub retention: usize,
    /// Every acknowledged write must be there, whatever the store declares: it may declare less for the sake of another
    /// failure.
    pub everything: bool,
}

impl Demands {
    /// Demands after this crash, of a store that may trim its log as it likes.
    #[must_use]
    pub fn after(crash: Crash) -> Self {
        Demands {
            crash,
            retention: 0,
            everything: false,
        }
    }

    /// Demands that a trimmed log still holds so many change sets.
    #[must_use]
    pub fn with_retention(mut self, change_sets: usize) -> Self {
        self.retention = change_sets;
        self
    }

    /// Demands every acknowledged write, whatever the store declares.
    #[must_use]
    pub fn with_everything(mut self) -> Self {
        self.everything = true;
        self
    }

    /// Whether an acknowledgement of this durability is safe from the crash.
    pub(super) fn is_safe(&self, durability: Durability, capabilities: &Capabilities) -> bool {
        if self.everything {
            return true;
        }
        let strength = match durability {
            Durability::Buffered => capabilities.buffered,
            Durability::Durable => capabilities.durable,
        };
        match self.crash {
            Crash::Process => strength >= Strength::ProcessCrash,
            Crash::Power => strength >= Strength::PowerLoss,
            Crash::Disk => durability == Durability::Durable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_demanded_whatever_is_declared() {
        let weak = Capabilities::volatile("weak");
        let declared = Demands::after(Crash::Process);
        for durability in [Durability::Buffered, Durability::Durable] {
            assert!(!declared.is_safe(durability, &weak));
            assert!(declared.with_everything().is_safe(durability, &weak));
        }
    }
}
