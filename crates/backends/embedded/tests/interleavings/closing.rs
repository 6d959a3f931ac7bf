//! The end of a store among those who use it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::future::block_on;
use shuttle::thread;
use stead_core::{Backend, ErrorKind, KeyRange, WatchSpec};

use crate::disk::{Disk, turn};
use crate::support::*;

/// Writes until the store is closed, and gives what was acknowledged.
fn write(store: &Store, writer: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0..3 {
        let path = format!("{writer}/{n}");
        match block_on(store.apply(mixed(put(&path, "1"), writer + n))) {
            Ok(_) => acknowledged.push(path),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                break;
            }
        }
    }
    acknowledged
}

#[test]
fn close_keeps_all_that_was_acknowledged() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, flushing());
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let store = Arc::clone(&store);
                thread::spawn(move || write(&store, writer))
            })
            .collect();
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let (store, disk) = (Arc::clone(&store), Arc::clone(&disk));
                thread::spawn(move || {
                    close(&store);
                    assert!(disk.is_released(), "closed, and the files are still held");
                })
            })
            .collect();
        for closer in closers {
            closer.join().unwrap();
        }
        let acknowledged: Vec<_> = writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect();
        for path in &acknowledged {
            assert!(disk.has_synced(&key(path)), "{path} was acknowledged and is lost");
        }
        let again = open(&disk, quiet());
        check(&again);
        let revision = block_on(again.stats()).unwrap().revision;
        assert_eq!(
            usize::try_from(revision.get()).unwrap(),
            acknowledged.len(),
            "the end was clean, and each commit took one revision"
        );
    });
}

#[test]
fn dropping_the_last_handle_closes() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, flushing());
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    commit(&store, buffered(put(&writer.to_string(), "1")));
                })
            })
            .collect();
        drop(store);
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(disk.is_released());
        assert!(disk.has_synced(&key("0")) && disk.has_synced(&key("1")));
    });
}

#[test]
fn readers_watchers_and_snapshots_end_with_the_store() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        commit(&store, pair("1".to_owned()));
        let watching = {
            let store = Arc::clone(&store);
            thread::spawn(move || match store.watch(&WatchSpec::new(KeyRange::all())) {
                Ok(mut watcher) => block_on(watcher.next()).map(drop).unwrap_err().kind(),
                Err(error) => error.kind(),
            })
        };
        let reading = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let snapshot = match block_on(store.snapshot()) {
                    Ok(snapshot) => snapshot,
                    Err(error) => return assert_eq!(error.kind(), ErrorKind::Closed),
                };
                turn();
                match block_on(snapshot.get(&key("left"))) {
                    Ok(entry) => assert!(entry.is_some()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
                }
            })
        };
        close(&store);
        assert_eq!(watching.join().unwrap(), ErrorKind::Closed);
        reading.join().unwrap();
        assert!(disk.is_released());
        assert_eq!(
            disk.syncs.load(Ordering::SeqCst),
            3,
            "to open, to write, to close"
        );
    });
}

#[test]
fn every_close_of_a_read_only_store_waits_for_the_end() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        commit(&store, put("k", "1"));
        close(&store);
        drop(store);
        let store = open(&disk, quiet().read_only());
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let (store, disk) = (Arc::clone(&store), Arc::clone(&disk));
                thread::spawn(move || {
                    close(&store);
                    assert!(disk.is_released(), "closed, and the files are still held");
                })
            })
            .collect();
        if let Ok(entry) = block_on(stead_core::Read::get(&*store, &key("k"))) {
            assert!(entry.is_some());
        }
        for closer in closers {
            closer.join().unwrap();
        }
    });
}
