//! What an engine tells the cases.

use std::any::Any;
use std::path::{Path, PathBuf};

use stead_core::Strength;
use stead_embedded::EngineConfig;

/// A keyspace, a key and a value, as the bare engine holds them.
pub type Record = (String, Vec<u8>, Vec<u8>);

/// How many handles can have a store open for reading at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readers {
    /// The engine cannot open for reading only.
    None,
    /// One, and no writer beside it.
    One,
    /// Many, and no writer beside them.
    Many,
}

/// An engine, and what the cases have to know of it: its names, and how its bare database is made, held and read.
pub trait TestedEngine: 'static {
    /// The engine's settings.
    type Config: EngineConfig;

    /// Its name in URLs and in the marker of a store.
    const NAME: &'static str;
    /// Its file or directory in the directory of a store.
    const DATA: &'static str;
    /// Who may read beside whom.
    const READERS: Readers;
    /// Whether a store that was not closed is read as it is; otherwise it has to be opened for writing first.
    const READS_UNCLOSED: bool = false;
    /// Whether a view that outlives its engine answers from memory what it still can, rather than that it is closed.
    const VIEWS_ANSWER_FROM_MEMORY: bool = false;
    /// What a buffered batch survives.
    const BUFFERED: Strength;
    /// All options of a URL that no other engine needs to have, joined by `&`.
    const URL_OPTIONS: &'static str;
    /// Options that are wrong, and what their refusal says.
    const WRONG_URL_OPTIONS: &'static [(&'static str, &'static str)];
    /// The text files beside the data whose bytes are a part of the format.
    const TEXTS: &'static [&'static str] = &["STEAD"];
    /// The size of a value that the fixture holds beside the others, where large ones are stored in their own way.
    const LARGE_VALUE: Option<usize> = None;

    /// The settings that the cases open a store at `path` with.
    fn config(path: &Path) -> Self::Config;

    /// Makes a database of the bare engine at `place`, which is not there yet.
    fn make_bare(place: &Path);

    /// Panics unless the database is as [`make_bare`](TestedEngine::make_bare) left it.
    fn look_at_bare(place: &Path);

    /// The place of a bare database in the directory `parent`.
    fn bare_in(parent: &Path) -> PathBuf {
        parent.to_owned()
    }

    /// Opens the data of a closed store with the bare engine, for as long as the answer lives.
    fn hold(data: &Path) -> Box<dyn Any>;

    /// Takes from the data of a closed store what may be missing when its making was cut short.
    fn cut_making_short(data: &Path);

    /// Brings what is in a closed store to where only age would bring it. Nothing unless said otherwise.
    fn age(store: &Path) {
        let _ = store;
    }

    /// The directory of the fixture, in the engine's crate.
    fn fixture() -> PathBuf;

    /// Takes from a closed store what is no part of the format, before it becomes a fixture.
    fn trim_fixture(store: &Path) {
        let _ = store;
    }

    /// Makes a store of a fixture that was trimmed.
    fn restore_fixture(fixture: &Path, store: &Path) {
        crate::copy(fixture, store);
    }

    /// Every record of a closed store, as the bare engine reads it.
    fn records(store: &Path) -> Vec<Record>;
}
