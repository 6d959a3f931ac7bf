//! Which keys are restored.

use std::fmt;
use std::sync::Arc;

use stead_core::{Key, KeyRange};

/// Says of each key whether it is restored, as a pattern does.
///
/// It is asked several times for each key of the backup and of the target, on several threads, and has to say the same each
/// time.
///
/// ```
/// use stead_backup::{KeyFilter, RestoreOptions, RestorePoint};
///
/// let mut options = RestoreOptions::new(RestorePoint::Latest);
/// options.filter = Some(KeyFilter::new(|key| key.path().starts_with(b"note/")));
/// ```
#[derive(Clone)]
pub struct KeyFilter(Arc<dyn Fn(&Key) -> bool + Send + Sync>);

impl KeyFilter {
    /// Restores the keys for which `picks` is true.
    #[must_use]
    pub fn new(picks: impl Fn(&Key) -> bool + Send + Sync + 'static) -> Self {
        KeyFilter(Arc::new(picks))
    }

    /// Whether the key is restored.
    #[must_use]
    pub fn picks(&self, key: &Key) -> bool {
        (self.0)(key)
    }
}

impl fmt::Debug for KeyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFilter").finish_non_exhaustive()
    }
}

/// The keys that are restored.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) range: KeyRange,
    pub(crate) filter: Option<KeyFilter>,
}

impl Selection {
    pub(crate) fn all() -> Self {
        Selection::of(KeyRange::all())
    }

    pub(crate) fn of(range: KeyRange) -> Self {
        Selection { range, filter: None }
    }

    /// Those of them in another range, a part of theirs.
    pub(crate) fn within(&self, range: KeyRange) -> Self {
        Selection {
            range,
            filter: self.filter.clone(),
        }
    }

    /// Whether a key is one of them, of those in the range.
    pub(crate) fn picks(&self, key: &Key) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.picks(key))
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.range.contains(key) && self.picks(key)
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.range == KeyRange::all() && self.filter.is_none()
    }
}
