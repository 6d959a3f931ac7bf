//! What the two indexes of a store must agree on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use futures_executor::block_on;
use stead_core::{Backend as _, BackendExt as _, Key, Partition, Read as _, WriteBatch};
use stead_memory::MemoryBackend;

fn key(index: u32) -> Key {
    Key::new(&Partition::new("p").unwrap(), format!("{index:08}")).unwrap()
}

/// The tables grow, and all buckets move, while the batch that found them is being installed.
#[test]
fn batch_that_overwrites_between_many_new_keys_hits_each_one() {
    let store = MemoryBackend::default();
    for index in (0..20_000).step_by(10) {
        block_on(store.put(key(index), "old")).unwrap();
    }
    let batch = (0..20_000).fold(WriteBatch::new(), |batch, index| {
        batch.put(key(index), format!("new {index}"))
    });
    let revision = block_on(store.apply(batch)).unwrap().committed().unwrap();
    for index in 0..20_000 {
        let entry = block_on(store.get(&key(index))).unwrap().unwrap();
        assert_eq!(entry.value(), format!("new {index}").as_bytes());
        assert_eq!(entry.revision(), revision);
    }
    let report = block_on(store.check(&|_| ())).unwrap();
    assert_eq!(report.entries, 20_000);
}
