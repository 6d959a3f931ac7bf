//! A real server that speaks S3.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use stead_core::{Backend, BackendExt, ErrorKind, Key, Partition, SystemClock, SystemRandom};
use stead_memory::MemoryBackend;
use stead_servers::S3Server;

use super::{Location, Purpose, open_location_with};
use crate::error::object;
use crate::{
    BackupManager, BackupType, CreateOptions, Repository, RestoreOptions, RestorePoint, VerifyDepth,
    VerifyOptions,
};

fn credentials() -> Vec<(String, String)> {
    [
        ("AWS_ACCESS_KEY_ID", "an-id"),
        ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
        ("AWS_SESSION_TOKEN", "hush-token"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

async fn open(server: &S3Server, place: &str) -> Location {
    let url = format!(
        "s3://{place}?endpoint={}&allow_http=true&retry=0s",
        server.endpoint()
    );
    open_location_with(&url, Purpose::Make, credentials())
        .await
        .unwrap()
}

async fn names(location: &Location, folder: &str) -> Vec<String> {
    let prefix = location.object(folder);
    let listed = location
        .store()
        .list(Some(&prefix))
        .map_ok(|found| found.location.to_string());
    let mut names: Vec<String> = listed.try_collect().await.unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn objects_are_written_once_read_listed_and_deleted() {
    let server = S3Server::start().unwrap();
    server.make_bucket("backups").unwrap();
    let location = open(&server, "backups/app/one").await;
    assert_eq!(location.name(), "s3://backups/app/one");
    assert_eq!(location.local(), None);

    let (store, name) = (location.store(), location.object("backups/1"));
    assert_eq!(name.as_ref(), "app/one/backups/1");
    store
        .put_opts(&name, "first".into(), PutMode::Create.into())
        .await
        .unwrap();
    let second = store
        .put_opts(&name, "second".into(), PutMode::Create.into())
        .await;
    let error = object(second.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let stored = store.get(&name).await.unwrap().bytes().await.unwrap();
    assert_eq!(stored, "first");

    let beside = open(&server, "backups/app/two").await;
    beside
        .store()
        .put(&beside.object("backups/9"), "x".into())
        .await
        .unwrap();
    assert_eq!(names(&location, "backups").await, ["app/one/backups/1"]);
    store.delete(&name).await.unwrap();
    assert!(names(&location, "backups").await.is_empty());
    let error = object(store.get(&name).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");

    location.sync_folder("backups").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_make_the_same_object_one_wins() {
    let server = S3Server::start().unwrap();
    server.make_bucket("backups").unwrap();
    let location = open(&server, "backups").await;
    assert_eq!(location.object("LOCK").as_ref(), "LOCK");
    for round in 0..8 {
        let name = location.object(&format!("locks/{round}"));
        let attempts = (0..8).map(|writer: u32| {
            let (store, name) = (location.store().clone(), name.clone());
            tokio::spawn(async move {
                let made = store.put_opts(&name, writer.to_string().into(), PutMode::Create.into());
                made.await.map(|_| writer).map_err(object)
            })
        });
        let mut winners = Vec::new();
        for attempt in join_all(attempts).await {
            match attempt.unwrap() {
                Ok(writer) => winners.push(writer.to_string()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
            }
        }
        let stored = location.store().get(&name).await.unwrap().bytes().await.unwrap();
        assert_eq!(winners, [String::from_utf8_lossy(&stored)]);
    }
}

#[tokio::test]
async fn what_goes_wrong_is_typed_and_keeps_secrets() {
    let server = S3Server::start().unwrap();
    let location = open(&server, "no-such-bucket/prefix").await;
    let name = location.object("FORMAT");
    let put = location
        .store()
        .put_opts(&name, "x".into(), PutMode::Create.into())
        .await;
    let no_bucket = object(put.unwrap_err());
    assert_eq!(no_bucket.kind(), ErrorKind::Invalid, "{no_bucket:?}");

    server.kill().unwrap();
    let gone = object(location.store().get(&name).await.unwrap_err());
    assert_eq!(gone.kind(), ErrorKind::Unavailable, "{gone:?}");
    assert!(gone.is_retryable());
    for error in [no_bucket, gone] {
        let shown = format!("{error:?} {location:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_made_verified_and_restored() {
    let server = S3Server::start().unwrap();
    server.make_bucket("backups").unwrap();
    let location = open(&server, "backups/app").await;
    let (clock, random) = (SystemClock, SystemRandom);
    let repository = Repository::init_at(location.clone(), &clock, &random)
        .await
        .unwrap();
    let again = Repository::init_at(location.clone(), &clock, &random).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Invalid);

    let store: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
    let partition = Partition::new("notes").unwrap();
    let key = |number: u32| Key::new(&partition, format!("note/{number:04}")).unwrap();
    for number in 0..500 {
        store.put(key(number), format!("first {number}")).await.unwrap();
    }
    let manager = BackupManager::new(repository, Arc::clone(&store));
    manager
        .create(&CreateOptions::new(BackupType::Full))
        .await
        .unwrap();
    store.put(key(7), "second").await.unwrap();
    store.delete(key(8)).await.unwrap();
    let options = CreateOptions::new(BackupType::IncrementalFromNewest);
    manager.create(&options).await.unwrap();

    let opened = Repository::open_at(location).await.unwrap();
    let report = opened
        .verify(&VerifyOptions::new(VerifyDepth::Bytes))
        .await
        .unwrap();
    assert_eq!(report.backups, 2);
    let target: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
    let options = RestoreOptions::new(RestorePoint::Latest);
    opened.restore(&target, &options, &clock).await.unwrap();
    for (number, value) in [(7, Some("second")), (8, None), (499, Some("first 499"))] {
        let found = target.get(&key(number)).await.unwrap();
        let found = found.map(|entry| String::from_utf8_lossy(entry.value()).into_owned());
        assert_eq!(found.as_deref(), value);
    }
}
