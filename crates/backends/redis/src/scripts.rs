//! The scripts that run on the server. Each is loaded once and called by its hash after that.

use std::sync::LazyLock;

/// A script and its hash.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) source: String,
    pub(crate) hash: String,
}

/// What a script may do, as its first line tells the server.
#[derive(Clone, Copy)]
enum Does {
    /// Commits a batch, and is refused when the server is out of memory.
    Commit,
    /// Writes, and is refused when the server is out of memory.
    Write,
    /// Writes, but needs no memory worth speaking of: it removes or has to run for the sake of order.
    Remove,
    /// Reads, also on a server that is out of memory.
    Read,
}

impl Script {
    fn new(does: Does, body: &str) -> Self {
        let flags = match does {
            Does::Commit | Does::Write => "#!lua",
            Does::Remove => "#!lua flags=allow-oom",
            Does::Read => "#!lua flags=no-writes,allow-oom",
        };
        // Before all else: it does without what the others share.
        let shortest = match does {
            Does::Commit => include_str!("scripts/single.lua"),
            Does::Write | Does::Remove | Does::Read => "",
        };
        let prelude = include_str!("scripts/prelude.lua");
        let source = format!("{flags}\n{shortest}\n{prelude}\n{body}");
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Script { source, hash }
    }
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: $does:ident $file:literal,)*) => {
        $(
            $(#[$doc])*
            pub(crate) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(Does::$does, include_str!(concat!("scripts/", $file))));
        )*
    };
}

scripts![
    /// Commits a batch.
    COMMIT: Commit "commit.lua",
    /// Commits a batch that only removes: a server that is full must let that pass.
    COMMIT_REMOVAL: Remove "commit.lua",
    CLAIM: Write "claim.lua",
    SWEEP: Remove "sweep.lua",
    SCAN: Read "scan.lua",
    VIEW: Read "view.lua",
    LOG: Read "log.lua",
    STATS: Read "stats.lua",
    CHECK: Read "check.lua",
    SNAPSHOT: Remove "snapshot.lua",
    ROOT: Write "root.lua",
    SHARD: Write "shard.lua",
    /// Finds a store without making one: for those who only read.
    FIND_ROOT: Read "root.lua",
    FIND_SHARD: Read "shard.lua",
];
