//! From a URL to a store.

use std::sync::Arc;

use stead_core::{Backend, Error, Result, StoreUrl, nearest};

/// Opens the store at `url`, such as `memory:` or `redb:./data?durability=durable`.
///
/// Each backend documents its options; one that it does not know is refused by name. What blocks (the file system) happens
/// on a thread of its own, on any async runtime. A store on a server is opened on a tokio runtime, to which its connections
/// belong.
///
/// ```
/// # futures_executor::block_on(async {
/// use stead::core::{BackendExt, Key, Partition, Read};
///
/// let store = stead::open("memory:").await?;
/// let key = Key::new(&Partition::new("notes")?, "today")?;
/// store.put(key.clone(), "write the docs").await?;
/// assert_eq!(store.get(&key).await?.unwrap().value(), b"write the docs");
/// # Ok::<(), stead::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// - `Invalid` for a malformed URL, unknown options, and a place that can hold no store;
/// - `Unsupported` for a scheme whose feature is not compiled in;
/// - `Unavailable` for a store that is locked by another process or cannot be reached;
/// - `Corrupt` for one that was damaged or written by a newer version.
pub async fn open(url: &str) -> Result<Arc<dyn Backend>> {
    let url: StoreUrl = url.parse()?;
    match url.scheme() {
        #[cfg(feature = "memory")]
        "memory" => {
            let options = stead_memory::MemoryOptions::from_url(url)?;
            Ok(Arc::new(stead_memory::MemoryBackend::new(options)))
        }
        #[cfg(feature = "redb")]
        "redb" => stead_redb::open_url(url).await,
        #[cfg(feature = "fjall")]
        "fjall" => stead_fjall::open_url(url).await,
        #[cfg(feature = "rocksdb")]
        "rocksdb" => stead_rocksdb::open_url(url).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "redis+unix" => {
            stead_redis::open_url(url).await
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => stead_postgres::open_url(url).await,
        #[cfg(feature = "sled")]
        "sled" => stead_sled::open_url(url).await,
        scheme => Err(not_compiled_in(scheme)),
    }
}

/// Reads `url` as [`open`] would, its options included, and opens nothing: no file is touched.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// assert!(stead::check_url("memory:").is_ok());
/// let error = stead::check_url("memory:?colour=blue").unwrap_err();
/// assert_eq!(error.kind(), stead::ErrorKind::Invalid);
/// # }
/// ```
///
/// # Errors
///
/// - `Invalid` for a malformed URL, one that names no place, unknown options and malformed values;
/// - `Unsupported` for a scheme whose feature is not compiled in.
pub fn check_url(url: &str) -> Result<()> {
    let url: StoreUrl = url.parse()?;
    match url.scheme() {
        #[cfg(feature = "memory")]
        "memory" => stead_memory::MemoryOptions::from_url(url).map(drop),
        #[cfg(feature = "redb")]
        "redb" => stead_redb::parse_url(url).map(drop),
        #[cfg(feature = "fjall")]
        "fjall" => stead_fjall::parse_url(url).map(drop),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => stead_rocksdb::parse_url(url).map(drop),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "redis+unix" => {
            stead_redis::RedisOptions::from_url(url).map(drop)
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => stead_postgres::parse_url(url).map(drop),
        #[cfg(feature = "sled")]
        "sled" => stead_sled::parse_url(url).map(drop),
        scheme => Err(not_compiled_in(scheme)),
    }
}

/// Whether `url` names a store in a directory in which there is none yet, and nothing else: [`open`] would make it. Of stores
/// elsewhere, and in memory, it is false.
///
/// ```
/// # #[cfg(feature = "redb")] {
/// # let dir = tempfile::tempdir().unwrap();
/// let url = format!("redb:{}", dir.path().join("store").display());
/// assert!(stead::is_missing(&url)?);
/// # }
/// # Ok::<(), stead::Error>(())
/// ```
///
/// # Errors
///
/// As [`check_url`].
pub fn is_missing(url: &str) -> Result<bool> {
    check_url(url)?;
    let url: StoreUrl = url.parse()?;
    match url.scheme() {
        #[cfg(any(feature = "redb", feature = "fjall", feature = "rocksdb", feature = "sled"))]
        "redb" | "fjall" | "rocksdb" | "sled" => {
            Ok(stead_embedded::is_free(std::path::Path::new(url.place())))
        }
        _ => Ok(false),
    }
}

fn not_compiled_in(scheme: &str) -> Error {
    let error = Error::unsupported(
        "no backend for this scheme is compiled in; use one that is, or switch its feature on",
    )
    .with("scheme", scheme);
    let error = match nearest(scheme, SCHEMES.iter().copied()) {
        Some(near) => error.with("did_you_mean", near),
        None => error,
    };
    error.with("compiled_in", SCHEMES.join(", "))
}

const SCHEMES: &[&str] = &[
    #[cfg(feature = "memory")]
    "memory",
    #[cfg(feature = "redb")]
    "redb",
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "redis")]
    "redis",
    #[cfg(feature = "redis")]
    "rediss",
    #[cfg(feature = "redis")]
    "redis+cluster",
    #[cfg(feature = "redis")]
    "rediss+cluster",
    #[cfg(feature = "redis")]
    "redis+unix",
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "postgres")]
    "postgresql",
    #[cfg(feature = "sled")]
    "sled",
];

/// Opens the store at `url` and puts a `StateManager` on it. With the feature `memory`, ephemeral values have a place in
/// memory.
///
/// ```
/// # futures_executor::block_on(async {
/// use serde_json::json;
/// use stead::StateScope;
///
/// let state = stead::open_state("memory:").await?;
/// let planner = StateScope::Agent("planner".into());
/// state.set(&planner, "goal", &json!({"tidy": "the attic"})).await?;
/// assert_eq!(state.get(&planner, "goal").await?, Some(json!({"tidy": "the attic"})));
/// # Ok::<(), stead::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// As [`open`].
#[cfg(feature = "state")]
pub async fn open_state(url: &str) -> Result<stead_state::StateManager> {
    let builder = stead_state::StateManager::builder(open(url).await?);
    #[cfg(feature = "memory")]
    let builder = builder.ephemeral(Arc::new(stead_memory::MemoryBackend::default()));
    Ok(builder.build())
}
