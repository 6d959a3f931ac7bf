//! Opening by URL.

use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, Durability, Error, ErrorKind};
use stead_embedded::open_url;

use crate::run::cases;
use crate::{Readers, TestedEngine, entry, key};

cases![
    every_option_is_taken,
    wrong_options_are_named_before_anything_is_made,
];

fn open<E: TestedEngine>(place: &str, options: &str) -> Result<Arc<dyn Backend>, Error> {
    let url = format!("{}:{place}?{options}", E::NAME);
    block_on(open_url::<E::Config>(url.parse().unwrap()))
}

fn every_option_is_taken<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("store").display().to_string();
    let shared = "durability=buffered&retention=100&requests=100&sweep=1s&flush=20ms";
    let store = open::<E>(&place, &format!("{}&{shared}", E::URL_OPTIONS)).unwrap();
    assert_eq!(store.capabilities().name, E::NAME);
    assert_eq!(store.capabilities().default_durability, Durability::Buffered);
    block_on(store.put(key("k"), "v")).unwrap();
    block_on(store.close()).unwrap();

    let reading = open::<E>(&place, "read_only=true");
    if E::READERS == Readers::None {
        let error = reading.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        return;
    }
    let store = reading.unwrap();
    assert!(!store.capabilities().writable);
    assert!(entry(&*store, &key("k")).is_some());
}

fn wrong_options_are_named_before_anything_is_made<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let shared = [
        ("cahce=1MiB", "did_you_mean=cache"),
        ("durability=soon", "option=durability"),
    ];
    for (options, named) in shared.iter().chain(E::WRONG_URL_OPTIONS) {
        let error = open::<E>(&path.display().to_string(), options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let error = open::<E>("", "").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("names no directory"), "{error}");
    assert!(!path.exists());
}
