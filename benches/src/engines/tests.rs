//! Both sides do what is measured of them.

use stead_core::Durability;

use super::bare::data_record;
use super::{ByHand, ENGINES, Engine, Stead};
use crate::workload::{end, keys, values};

/// Runs `check` on each engine that is compiled in, in a directory of its own.
fn each(check: impl Fn(&Engine, &std::path::Path)) {
    assert!(!ENGINES.is_empty(), "at least one engine is compiled in");
    for engine in ENGINES {
        let dir = tempfile::tempdir().expect("a temporary directory");
        check(engine, &dir.path().join("store"));
    }
}

#[test]
fn bare_engines_read_what_was_written_after_they_were_closed() {
    each(|engine, path| {
        let keys = keys(500);
        let bare = ByHand::open(engine, path);
        bare.load(&keys, 100);
        bare.close();
        let bare = ByHand::open(engine, path);
        assert_eq!(bare.engine().count(), 500, "{}", engine.name);
        let record = bare.engine().get(keys[7].as_bytes());
        let wanted = values().iter().any(|value| Some(data_record(value)) == record);
        assert!(wanted, "{}", engine.name);
        let found = bare.engine().scan(keys[450].as_bytes(), &end(), 100);
        let wanted: Vec<_> = keys[450..].iter().map(|key| key.as_bytes().to_vec()).collect();
        assert_eq!(
            found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
            wanted,
            "{}: only the data, in order",
            engine.name
        );
        bare.close();
    });
}

#[test]
fn every_put_of_a_group_commit_is_there() {
    each(|engine, path| {
        let keys = keys(80);
        let bare = ByHand::open(engine, path);
        bare.group_commit(8, 10, &|writer, index| &keys[writer * 10 + index]);
        assert_eq!(bare.engine().count(), 80, "{}", engine.name);
        bare.close();
    });
}

#[test]
fn stead_reads_what_was_written_after_it_was_closed() {
    each(|engine, path| {
        let keys = keys(500);
        let stead = Stead::open(engine, path);
        stead.load(&keys[..400], 100);
        stead.put_concurrently(4, 25, &|writer, index| &keys[400 + writer * 25 + index]);
        stead.put(&keys[..1], Durability::Buffered);
        stead.close();
        let stead = Stead::open(engine, path);
        assert_eq!(stead.count(), 500, "{}", engine.name);
        let entry = stead.get(&keys[7]).expect("it is there");
        assert!(
            values().iter().any(|value| value == entry.value()),
            "{}",
            engine.name
        );
        let found = stead.scan(&keys[450], 100);
        let wanted: Vec<_> = keys[450..].to_vec();
        assert_eq!(
            found.into_iter().map(|item| item.key).collect::<Vec<_>>(),
            wanted,
            "{}",
            engine.name
        );
        stead.close();
    });
}

/// An engine may leave out the write of what is there already, as sled does: no record of the index may be that.
#[test]
fn every_commit_of_the_bare_side_changes_all_of_its_index_records() {
    let keys = keys(1);
    let records: Vec<_> = values().iter().map(|value| data_record(value)).collect();
    let index_of = |revision| {
        let writes = super::Writes {
            batches: &[&keys],
            revision,
            records: &records,
        };
        let mut index = Vec::new();
        writes.for_each(|table, key, value| {
            if table != super::Table::Data {
                index.push((key.to_vec(), value.to_vec()));
            }
        });
        index
    };
    let (first, second) = (index_of(1), index_of(2));
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|record| !second.contains(record)));
}

/// The bare side keeps the index records that the store keeps: the same number, and of the same size.
#[test]
fn index_records_of_both_sides_are_of_the_same_size() {
    let keys = keys(3);
    let records: Vec<_> = values().iter().map(|value| data_record(value)).collect();
    let writes = super::Writes {
        batches: &[&keys[..2], &keys[2..]],
        revision: 1,
        records: &records,
    };
    let mut sizes = Vec::new();
    writes.for_each(|table, key, value| sizes.push((table.name(), key.len(), value.len())));
    let (key, change) = (keys[0].as_bytes().len(), 3 + keys[0].as_bytes().len());
    assert_eq!(
        sizes,
        [
            ("data", key, 113),
            ("data", key, 113),
            ("changes", 8, 9 + 2 * change),
            ("data", key, 113),
            ("changes", 8, 9 + change),
            ("meta", 6, 94),
        ]
    );
}
