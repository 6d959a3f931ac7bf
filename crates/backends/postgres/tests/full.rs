//! A server whose disk is full, and then is not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use stead_core::{Backend, BackendExt, ErrorKind, Result, Revision, WriteBatch};
use stead_postgres::PostgresBackend;
use stead_servers::PostgresOptions;
use support::{key, open, patient, put, server, value};

const DISK: u64 = 40 << 20;

/// Bytes that cannot be compressed.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..256 << 10)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

async fn fill(store: &PostgresBackend, alone: bool) -> Result<Revision> {
    for number in 0..200 {
        let large = key(&format!("large/{number}"));
        if alone {
            store.put(large, noise(number)).await?;
        } else {
            let batch = WriteBatch::new()
                .put(large, noise(number))
                .put(key("beside"), "x");
            assert!(store.apply(batch).await?.is_committed());
        }
    }
    panic!("the disk takes everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_is_told_and_the_store_goes_on_when_there_is_room() {
    let server = server(PostgresOptions::default().without_fsync().with_disk(DISK));
    let place = server.disk();
    for statement in [
        &format!("CREATE TABLESPACE small LOCATION '{}'", place.display()),
        "CREATE TABLE ballast TABLESPACE small AS SELECT number, md5(number::text) FROM generate_series(1, 100000) number",
        "CREATE DATABASE cramped TABLESPACE small",
    ] {
        server.sql(statement).unwrap();
    }
    let url = server.url().replace("/postgres", "/cramped");
    let store = open(&url, patient()).await.unwrap();
    put(&store, "small", "x").await.unwrap();
    for alone in [true, false] {
        let full = fill(&store, alone).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Full, "{full:?}");
        assert_eq!(value(&*store, "small").await.unwrap().as_deref(), Some("x"));
    }
    let before = store.check(&|_| ()).await.unwrap();
    server.sql("DROP TABLE ballast").unwrap();
    store.put(key("large/again"), noise(1)).await.unwrap();
    assert_eq!(store.check(&|_| ()).await.unwrap().entries, before.entries + 1);
}
