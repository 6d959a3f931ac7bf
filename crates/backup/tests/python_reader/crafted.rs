//! Repositories that no store of a test makes: with the revisions of partitions, and with a tree of two levels.

use std::fs;
use std::path::Path;

use stead_backup::{Hash, Repository, VerifyOptions};

use crate::block_on;
use crate::damage::{copy, sealed};
use crate::reader::{DAMAGED, Reader, extracted};

/// The node at the top of the fixture's full backup, and the last key below it.
const NODE: &str = "4926b83e8ad0a8d9b9d29d69ac39b7d30f5a0e39de368fbeb656bacdec1a8844";
const NODE_DIGEST: &str = "245379116010e5e642ba954652fa2f0f96b5a4c05b30493307cb1e2dd9729f43";
const FIRST: &[u8] = b"agent:1\0";
const LAST: &[u8] = b"a\xff\x01\0\0\xff/";

/// A repository with one backup: that of the fixture's first record, changed.
struct Crafted {
    dir: tempfile::TempDir,
    record: String,
}

impl Crafted {
    fn new() -> Self {
        let (dir, _) = copy();
        let text = fs::read_to_string(dir.path().join("log/000000000001")).unwrap();
        for sequence in 2..=5 {
            fs::remove_file(dir.path().join(format!("log/{sequence:012}"))).unwrap();
        }
        let record = text.lines().next().unwrap().to_owned();
        Crafted { dir, record }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn change(&mut self, from: &str, to: &str) -> &mut Self {
        assert!(self.record.contains(from), "{from}");
        self.record = self.record.replace(from, to);
        self
    }

    fn write(&self) {
        fs::write(self.path().join("log/000000000001"), sealed(&self.record)).unwrap();
        let hash = Hash::of(self.record.as_bytes());
        let head = format!(r#"{{"sequence":1,"record":"{hash}"}}"#);
        fs::write(self.path().join("HEAD"), sealed(&head)).unwrap();
    }

    /// Writes a chunk that is not compressed. How it is named.
    fn chunk(&self, kind: u8, content: &[u8]) -> String {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let bytes = [b"STBC", &[1, kind, 0, 0][..], &length, &length, content].concat();
        let id = Hash::of(&bytes).to_string();
        let folder = self.path().join("chunks").join(&id[..2]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&id), &bytes).unwrap();
        format!(
            r#"{{"id":"{id}","content":{},"stored":{}}}"#,
            content.len(),
            bytes.len()
        )
    }

    /// Writes it with a chunk more, as counted.
    fn count(&mut self, content: usize) -> &mut Self {
        let stored = 266 + 16 + content;
        self.change(r#""stored_bytes":266"#, &format!(r#""stored_bytes":{stored}"#))
            .change(r#""chunks":2"#, r#""chunks":3"#)
    }

    /// That it is read by both, and to the same entries as ever.
    fn is_read(&self, reader: &Reader) {
        self.write();
        reader.verifies(self.path());
        let found = extracted(&reader.lines("extract", self.path(), &["latest"]));
        assert_eq!(found.len(), 8);
        block_on(async {
            let repository = Repository::open(self.path().to_str().unwrap()).await.unwrap();
            let report = repository.verify(&VerifyOptions::default()).await.unwrap();
            assert_eq!((report.backups, report.chunks), (1, 3));
        });
    }

    fn is_refused(&self, reader: &Reader, word: &str) {
        self.write();
        for (command, more) in [("verify", &[][..]), ("extract", &["latest"])] {
            reader.refuses(command, self.path(), more, DAMAGED, word, "a crafted repository");
        }
    }
}

fn partitions(entries: &[(&[u8], u8)]) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let of = |(name, revision): &(&[u8], u8)| [&[length(name)], *name, &[*revision]].concat();
    entries.iter().flat_map(of).collect()
}

pub(crate) fn reads_the_revisions_of_partitions(reader: &Reader) {
    let crafted = |entries: &[(&[u8], u8)], highest: u64| {
        let mut crafted = Crafted::new();
        let content = partitions(entries);
        let chunk = crafted.chunk(3, &content);
        let upto = format!(r#""upto":{{"partitions":{{"chunk":{chunk},"highest":{highest}}}}}"#);
        crafted
            .change(r#""upto":{"store":5}"#, &upto)
            .count(content.len());
        crafted
    };
    let two: [(&[u8], u8); 2] = [(b"a\xff\x01", 2), (b"agent:1", 5)];
    // By their bytes, `a` and 0xff come behind `agent:1`.
    crafted(&two, 5).is_refused(reader, "not in order");
    let [last, first] = two;
    let right = crafted(&[first, last], 5);
    right.is_read(reader);
    assert_eq!(reader.lines("list", right.path(), &["--json"])[0]["revision"], 5);
    crafted(&[first, last], 6).is_refused(reader, "highest");
    crafted(&[(b"", 5)], 5).is_refused(reader, "partition");
    crafted(&[(b"a\0b", 5)], 5).is_refused(reader, "partition");
}

/// A node above the fixture's, which says of it what is given.
fn node(level: u8, records: u8, first: &[u8], last: &[u8]) -> Vec<u8> {
    let bytes = |text: &str| *Hash::parse(text).unwrap().as_bytes();
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let keys = [&[length(first)], first, &[length(last)], last].concat();
    [
        &[level, 1][..],
        &bytes(NODE),
        &bytes(NODE_DIGEST),
        &[88, 104, records],
        &keys,
    ]
    .concat()
}

pub(crate) fn reads_a_tree_of_two_levels(reader: &Reader) {
    let crafted = |content: &[u8], level: u8| {
        let mut crafted = Crafted::new();
        let chunk = crafted.chunk(2, content);
        let below = *Hash::parse(NODE_DIGEST).unwrap().as_bytes();
        let digest = Hash::of(&[&[1, level, 0, 0, 0, 0, 0, 0, 0, 1][..], &below].concat()).to_string();
        let old = format!(r#"{{"id":"{NODE}","content":88,"stored":104}}"#);
        crafted
            .change(&old, &chunk)
            .change(NODE_DIGEST, &digest)
            .change(r#""level":1"#, &format!(r#""level":{level}"#))
            .count(content.len());
        crafted
    };
    crafted(&node(2, 8, FIRST, LAST), 2).is_read(reader);
    crafted(&node(3, 8, FIRST, LAST), 3).is_refused(reader, "level");
    crafted(&node(9, 8, FIRST, LAST), 9).is_refused(reader, "level");
    crafted(&node(2, 7, FIRST, LAST), 2).is_refused(reader, "records");
    crafted(&node(2, 8, LAST, FIRST), 2).is_refused(reader, "order");
    crafted(&node(2, 8, b"agent:0\0", LAST), 2).is_refused(reader, "keys that are named");
    crafted(&node(2, 8, FIRST, b"z\0"), 2).is_refused(reader, "keys that are named");
    crafted(&[&node(2, 8, FIRST, LAST)[..], &[0]].concat(), 2).is_refused(reader, "malformed");
    let mut claims = node(2, 8, FIRST, LAST);
    claims.splice(1..2, [0xff, 0xff, 0xff, 0xff, 0x7f]);
    crafted(&claims, 2).is_refused(reader, "too many children");
    let mut claims = Crafted::new();
    claims.change(
        r#""content":88,"stored":104"#,
        r#""content":88,"stored":4294967295"#,
    );
    claims.is_refused(reader, "longer than any chunk");
}
