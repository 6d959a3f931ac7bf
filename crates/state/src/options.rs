//! What callers choose per call.

use stead_codec::{Codec, StateClass};
use stead_core::{Direction, Durability, Expect, Expiry, RequestId, Result, Revision, Ttl};

/// Setters of what need not be chosen: several kinds of options have the same ones, and say what they mean there.
macro_rules! setters {
    ($options:ident: $($(#[$doc:meta])* $setter:ident($field:ident: $type:ty);)*) => {
        impl $options {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = Some($field);
                    self
                }
            )*
        }
    };
}

/// The setter of a time to live, beside `with_expiry`.
macro_rules! lives {
    ($options:ident: $(#[$doc:meta])*) => {
        impl $options {
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// `Invalid` for zero and for more milliseconds than 64 bits hold.
            pub fn with_ttl(self, ttl: std::time::Duration) -> Result<Self> {
                Ok(self.with_expiry(Expiry::After(Ttl::new(ttl)?)))
            }
        }
    };
}

/// What must hold of a key for a write to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetIf {
    /// Nothing.
    #[default]
    Always,
    /// There is no value.
    Absent,
    /// There is a value, whichever.
    Present,
    /// There is a value of exactly this revision.
    Revision(Revision),
}

impl SetIf {
    pub(crate) fn expect(self) -> Option<Expect> {
        match self {
            SetIf::Always => None,
            SetIf::Absent => Some(Expect::Absent),
            SetIf::Present => Some(Expect::Present),
            SetIf::Revision(revision) => Some(Expect::At(revision)),
        }
    }
}

/// How a value is written.
///
/// ```
/// use std::time::Duration;
/// use stead_state::{SetIf, SetOptions, StateClass};
///
/// let options = SetOptions::default()
///     .with_class(StateClass::Trusted)
///     .with_ttl(Duration::from_secs(60))?
///     .with_condition(SetIf::Absent);
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SetOptions {
    pub(crate) class: Option<StateClass>,
    pub(crate) codec: Option<Codec>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) condition: SetIf,
    pub(crate) durability: Option<Durability>,
    pub(crate) request_id: Option<RequestId>,
}

setters! { SetOptions:
    /// The value's class, instead of the manager's default.
    with_class(class: StateClass);
    /// The codec, instead of that of the class. Ignored for raw bytes, which have their own.
    with_codec(codec: Codec);
    /// What becomes of the deadline. Unless asked otherwise, an older deadline is removed; an ephemeral value gets the
    /// manager's time to live.
    with_expiry(expiry: Expiry);
    /// A durability other than the manager's.
    with_durability(durability: Durability);
    /// Makes a retry of this write safe: the same write under the same id happens once.
    with_request_id(request_id: RequestId);
}

lives! { SetOptions:
    /// How long the value lives.
}

impl SetOptions {
    /// What must hold for the write to happen.
    #[must_use]
    pub fn with_condition(mut self, condition: SetIf) -> Self {
        self.condition = condition;
        self
    }
}

/// How an existing value is deleted or touched.
#[derive(Clone, Debug, Default)]
pub struct ChangeOptions {
    pub(crate) revision: Option<Revision>,
    pub(crate) durability: Option<Durability>,
    pub(crate) request_id: Option<RequestId>,
}

setters! { ChangeOptions:
    /// Only if the value still has this revision.
    with_revision(revision: Revision);
    /// A durability other than the manager's.
    with_durability(durability: Durability);
    /// Makes a retry of this change safe: the same change under the same id happens once.
    with_request_id(request_id: RequestId);
}

impl ChangeOptions {
    pub(crate) fn expect(&self) -> Expect {
        self.revision.map_or(Expect::Present, Expect::At)
    }
}

/// How a value is changed by what it was.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    pub(crate) class: Option<StateClass>,
    pub(crate) codec: Option<Codec>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) durability: Option<Durability>,
}

setters! { UpdateOptions:
    /// The class of a value that the update creates. One that exists keeps its own.
    with_class(class: StateClass);
    /// The codec of a value that the update creates. One that exists keeps its own.
    with_codec(codec: Codec);
    /// What becomes of the deadline, which is kept unless asked otherwise.
    with_expiry(expiry: Expiry);
    /// A durability other than the manager's.
    with_durability(durability: Durability);
}

lives! { UpdateOptions:
    /// How long the value lives from this update on.
}

/// Which keys of a scope are listed.
///
/// ```
/// use stead_state::ListOptions;
///
/// let next_page = ListOptions::default().with_prefix("note/").with_after("note/41").with_limit(20);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) direction: Direction,
}

impl ListOptions {
    /// Keys that start with this.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Keys behind this one in the direction of the listing, whether it exists or not: where a former page ended.
    #[must_use]
    pub fn with_after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// At most this many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Upwards or downwards in byte order.
    #[must_use]
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }
}

/// How a transaction runs.
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    pub(crate) max_attempts: u32,
    pub(crate) durability: Option<Durability>,
    pub(crate) request_id: Option<RequestId>,
}

impl Default for TransactionOptions {
    /// 64 attempts, the manager's durability, no request id.
    fn default() -> Self {
        TransactionOptions {
            max_attempts: 64,
            durability: None,
            request_id: None,
        }
    }
}

setters! { TransactionOptions:
    /// A durability other than the manager's.
    with_durability(durability: Durability);
    /// Commits at most once under this id, however often the transaction is called: of at most 60 bytes.
    ///
    /// A later call that would write just what an earlier one did returns that one's revision; any other fails with
    /// `Conflict` and writes nothing. So after `UnknownOutcome`, a repeated call never applies the transaction twice.
    with_request_id(request_id: RequestId);
}

impl TransactionOptions {
    /// How often the closure runs at most, at least once.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }
}
