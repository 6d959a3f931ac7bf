//! What a case needs of a subject.

use stead_core::{Capabilities, Extent};

use crate::{Offers, Subject};

/// One capability that a backend may or may not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    StoreAtomicity,
    StoreOrder,
    Persistence,
    Ttl,
    RangePreconditions,
    ReverseScans,
    Snapshots,
    Watch,
    RequestIds,
}

impl Capability {
    fn is_declared(self, capabilities: &Capabilities) -> bool {
        match self {
            Capability::StoreAtomicity => capabilities.atomicity == Extent::Store,
            Capability::StoreOrder => capabilities.revision_order == Extent::Store,
            Capability::Persistence => capabilities.persistent,
            Capability::Ttl => capabilities.ttl,
            Capability::RangePreconditions => capabilities.range_preconditions,
            Capability::ReverseScans => capabilities.reverse_scans,
            Capability::Snapshots => capabilities.snapshots,
            Capability::Watch => capabilities.watch,
            Capability::RequestIds => capabilities.request_ids,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Capability::StoreAtomicity => "batches over several partitions",
            Capability::StoreOrder => "one order of revisions for the store",
            Capability::Persistence => "persistence",
            Capability::Ttl => "deadlines",
            Capability::RangePreconditions => "range preconditions",
            Capability::ReverseScans => "reverse scans",
            Capability::Snapshots => "snapshots",
            Capability::Watch => "watches",
            Capability::RequestIds => "request ids",
        }
    }
}

/// One option of opening that a subject may or may not heed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    ChangeRetention,
    Limits,
    Capacity,
    ReadOnly,
}

impl Offer {
    fn is_made(self, offers: Offers) -> bool {
        match self {
            Offer::ChangeRetention => offers.change_retention,
            Offer::Limits => offers.limits,
            Offer::Capacity => offers.capacity,
            Offer::ReadOnly => offers.read_only,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Offer::ChangeRetention => "a short change log",
            Offer::Limits => "small limits",
            Offer::Capacity => "a capacity",
            Offer::ReadOnly => "opening for reading only",
        }
    }
}

/// A condition without which a case says nothing about a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Declared(Capability),
    Undeclared(Capability),
    Offered(Offer),
}

impl Need {
    /// Why a case with this need does not apply to `subject`, if it doesn't.
    fn unmet(self, subject: &dyn Subject) -> Option<String> {
        let capabilities = subject.capabilities();
        match self {
            Need::Declared(one) if !one.is_declared(&capabilities) => Some(format!("needs {}", one.words())),
            Need::Undeclared(one) if one.is_declared(&capabilities) => {
                Some(format!("declares {}", one.words()))
            }
            Need::Offered(one) if !one.is_made(subject.offers()) => {
                Some(format!("subject does not offer {}", one.words()))
            }
            _ => None,
        }
    }
}

/// The first reason why a case with these needs does not apply to `subject`.
pub(crate) fn first_unmet(needs: &[Need], subject: &dyn Subject) -> Option<String> {
    needs.iter().find_map(|need| need.unmet(subject))
}

/// Short names, for the lists of cases.
pub(crate) mod needs {
    use super::{Capability, Need, Offer};

    pub(crate) const STORE_ATOMICITY: Need = Need::Declared(Capability::StoreAtomicity);
    pub(crate) const STORE_ORDER: Need = Need::Declared(Capability::StoreOrder);
    pub(crate) const PERSISTENCE: Need = Need::Declared(Capability::Persistence);
    pub(crate) const TTL: Need = Need::Declared(Capability::Ttl);
    pub(crate) const COUNTS: Need = Need::Declared(Capability::RangePreconditions);
    pub(crate) const REVERSE: Need = Need::Declared(Capability::ReverseScans);
    pub(crate) const SNAPSHOTS: Need = Need::Declared(Capability::Snapshots);
    pub(crate) const WATCH: Need = Need::Declared(Capability::Watch);
    pub(crate) const REQUEST_IDS: Need = Need::Declared(Capability::RequestIds);

    pub(crate) const NO_STORE_ATOMICITY: Need = Need::Undeclared(Capability::StoreAtomicity);
    pub(crate) const NO_STORE_ORDER: Need = Need::Undeclared(Capability::StoreOrder);
    pub(crate) const NO_TTL: Need = Need::Undeclared(Capability::Ttl);
    pub(crate) const NO_COUNTS: Need = Need::Undeclared(Capability::RangePreconditions);
    pub(crate) const NO_REVERSE: Need = Need::Undeclared(Capability::ReverseScans);
    pub(crate) const NO_SNAPSHOTS: Need = Need::Undeclared(Capability::Snapshots);
    pub(crate) const NO_WATCH: Need = Need::Undeclared(Capability::Watch);
    pub(crate) const NO_REQUEST_IDS: Need = Need::Undeclared(Capability::RequestIds);

    pub(crate) const SHORT_LOG: Need = Need::Offered(Offer::ChangeRetention);
    pub(crate) const LIMITS: Need = Need::Offered(Offer::Limits);
    pub(crate) const CAPACITY: Need = Need::Offered(Offer::Capacity);
    pub(crate) const READ_ONLY: Need = Need::Offered(Offer::ReadOnly);
}
