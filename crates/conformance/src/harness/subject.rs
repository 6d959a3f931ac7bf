//! What the suite is run on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Capabilities, Clock, Limits, Reply, SystemClock};

/// A backend, or a stack of layers around one, on which the suite is run.
///
/// Three methods are enough; see the [crate's page](crate) for a whole one.
pub trait Subject: Send + Sync + 'static {
    /// The first part of each case's name: `memory`, `redb-offload`.
    fn name(&self) -> String;

    /// What a store that was opened with default options can do, said apart from the store's own code.
    ///
    /// It decides which cases apply. A case compares it with what an opened store declares.
    fn capabilities(&self) -> Capabilities;

    /// Opens the store at `place`: an empty one the first time, and what was left there every other time. A volatile
    /// store does without the place.
    ///
    /// The suite closes a store before it opens the same place again, and never opens a place twice at a time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the store from opening; the case fails with it.
    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>>;

    /// Which of the [`OpenOptions`] this subject heeds. None unless said otherwise; cases that turn on the others are
    /// ignored with that reason.
    fn offers(&self) -> Offers {
        Offers::default()
    }

    /// How long a case waits for what should come by itself: an event, a sweep. A tenth of it is a long time for a
    /// store in good health. 10 seconds unless said otherwise.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Removes what stands at `place`, for stores that keep it elsewhere than in [`Place::dir`].
    fn remove(&self, place: &Place) {
        let _ = place;
    }
}

/// Where one store lives: a directory and a name of its own, both the same each time the place is opened.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
    name: String,
}

impl Place {
    pub(crate) fn new(name: &str) -> std::io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("stead-conformance-").tempdir()?;
        // The directory's name is unique on this machine, so a server that several runs share keeps them apart.
        let unique = dir.path().file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{name}-{}", unique.trim_start_matches("stead-conformance-"));
        Ok(Place { dir, name })
    }

    /// An empty directory at first. It is removed after the case.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A unique name of ASCII letters, digits, `-` and `_`, for stores that live on a server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How a store is to be opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The store's only source of time. Cases move it by hand.
    pub clock: Arc<dyn Clock>,
    /// How many change sets the log keeps at least. It may keep up to four times as many.
    pub change_retention: usize,
    /// How often, in real time, the store looks for entries past their deadline.
    pub sweep_interval: Duration,
    /// What is refused for its size; the store's own defaults for `None`.
    pub limits: Option<Limits>,
    /// How many entries the store takes before it answers `Full`; no bound for `None`.
    pub capacity_entries: Option<u64>,
    /// For reading only.
    pub read_only: bool,
}

impl Default for OpenOptions {
    /// The system's clock, 100,000 change sets, a sweep each 20 milliseconds, no bounds, for reading and writing.
    fn default() -> Self {
        OpenOptions {
            clock: Arc::new(SystemClock),
            change_retention: 100_000,
            sweep_interval: Duration::from_millis(20),
            limits: None,
            capacity_entries: None,
            read_only: false,
        }
    }
}

/// Which of the [`OpenOptions`] a subject heeds, beside the clock, which every store takes.
///
/// ```
/// use stead_conformance::Offers;
///
/// let offers = Offers::default().change_retention().limits();
/// assert_ne!(offers, Offers::all());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    pub(crate) change_retention: bool,
    pub(crate) limits: bool,
    pub(crate) capacity: bool,
    pub(crate) read_only: bool,
}

impl Offers {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self::default().change_retention().limits().capacity().read_only()
    }

    /// [`OpenOptions::change_retention`] is heeded.
    #[must_use]
    pub fn change_retention(mut self) -> Self {
        self.change_retention = true;
        self
    }

    /// [`OpenOptions::limits`] is heeded.
    #[must_use]
    pub fn limits(mut self) -> Self {
        self.limits = true;
        self
    }

    /// [`OpenOptions::capacity_entries`] is heeded.
    #[must_use]
    pub fn capacity(mut self) -> Self {
        self.capacity = true;
        self
    }

    /// [`OpenOptions::read_only`] is heeded.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}
