//! Repositories that somebody made in order to do harm.

use super::craft::{Craft, key, logical, record, sealed};
use crate::chunk::{ChunkRef, Kind};
use crate::hash::Hash;
use crate::index::Child;
use crate::log::{Action, Gone};
use crate::manifest::{Manifest, Reach, Root};
use crate::records::{Record, Shape};
use crate::varint;

pub(super) fn some() -> Vec<Record> {
    (0..8)
        .map(|number| record(&format!("note/{number}"), b"value"))
        .collect()
}

pub(super) async fn whole() -> (Craft, Manifest, Hash) {
    let craft = Craft::new().await;
    let manifest = craft.full(1, &some()).await;
    let hash = craft.backup(manifest.clone()).await;
    craft.verify().await.unwrap();
    (craft, manifest, hash)
}

/// What a hostile repository is, and its files.
pub(super) type Case = (String, Craft);

/// What is changed in the text of a record: what it is, from what, to what.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "an id with a path",
        r#""id":"1-00000007""#,
        r#""id":"../../../etc/passwd""#,
    ),
    ("an absolute id", r#""id":"1-00000007""#, r#""id":"/etc/passwd""#),
    (
        "an id with a NUL",
        r#""id":"1-00000007""#,
        r#""id":"1-00000007\u0000""#,
    ),
    (
        "an id that is a part of another",
        r#""id":"1-00000007""#,
        r#""id":"1-0000000""#,
    ),
    (
        "an id that begins as another",
        r#""id":"1-00000007""#,
        r#""id":"1-000000070""#,
    ),
    (
        "an id of another record",
        r#""id":"1-00000007""#,
        r#""id":"2-00000007""#,
    ),
    (
        "an id beyond 64 bits",
        r#""id":"1-00000007""#,
        r#""id":"99999999999999999999-00000007""#,
    ),
    (
        "a chunk with a path",
        r#""chunk":{"id":"#,
        r#""chunk":{"id":"../../../../etc/passwd","was":"#,
    ),
    (
        "2^60 records",
        r#""level":1,"records":8"#,
        r#""level":1,"records":1152921504606846976"#,
    ),
    ("a level beyond the limit", r#""level":1"#, r#""level":255"#),
    ("a level below the limit", r#""level":1"#, r#""level":0"#),
    (
        "counts beyond all",
        r#""entries":8,"deleted":0"#,
        r#""entries":18446744073709551615,"deleted":1"#,
    ),
    (
        "chunks beyond all",
        r#""chunks":2"#,
        r#""chunks":18446744073709551615"#,
    ),
    ("bytes beyond all", r#""logical_bytes":"#, r#""logical_bytes":9"#),
    ("a tag for a terminal", r#""tags":[]"#, r#""tags":["\u001b[2J"]"#),
    ("an empty tag", r#""tags":[]"#, r#""tags":[""]"#),
    (
        "a backend for a terminal",
        r#""backend":"memory""#,
        r#""backend":"\u001b]0;x\u0007""#,
    ),
    ("a backend of no name", r#""backend":"memory""#, r#""backend":"""#),
    (
        "a lineage that is none",
        r#""lineage":null"#,
        r#""lineage":"../..""#,
    ),
    (
        "a reason without need",
        r#""forced":null"#,
        r#""forced":"\u202e""#,
    ),
    ("an unknown kind", r#""kind":"full""#, r#""kind":"partial""#),
    (
        "an increment on nothing",
        r#""kind":"full""#,
        r#""kind":"incremental""#,
    ),
    (
        "an unknown action",
        r#""action":{"backup""#,
        r#""action":{"delete""#,
    ),
    ("a member more", r#""forced":null"#, r#""forced":null,"more":1"#),
    (
        "a number that is none",
        r#""taken_ms":1800000000000"#,
        r#""taken_ms":1.8e12"#,
    ),
    (
        "a state that it does not give",
        r#""after":""#,
        r#""before":null,"after":""#,
    ),
];

/// Records whose text is changed, with a right seal.
async fn texts() -> Vec<Case> {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep = format!(r#""tags":{deep}"#);
    let long = format!(r#""tags":["{}"]"#, "t".repeat(1 << 20));
    let many = format!(r#""tags":[{}"t"]"#, r#""t","#.repeat(40_000));
    let tags = [
        ("deep nesting", &deep),
        ("a tag of 1 MiB", &long),
        ("40,000 tags", &many),
    ];
    let tags = tags.map(|(what, tags)| (what, r#""tags":[]"#, tags.as_str()));
    let mut cases = Vec::new();
    for (what, from, to) in CHANGES.iter().chain(&tags) {
        let (craft, _, _) = whole().await;
        let text = log_text(&craft, 1).await;
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{what}");
        craft.write(1, &changed).await;
        cases.push(((*what).to_owned(), craft));
    }
    cases
}

pub(super) async fn log_text(craft: &Craft, sequence: u64) -> String {
    let name = format!("log/{sequence:012}");
    let bytes = craft.repository.get_small(&name).await.unwrap().unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().next().unwrap().to_owned()
}

/// A circle, a base that is younger, one that was forgotten, a foreign record, spans that run over.
async fn logs() -> Vec<Case> {
    let mut cases = Vec::new();
    let increment = |manifest: &Manifest, parent: &Manifest, hash| {
        let mut made = Craft::on(manifest.clone(), parent, hash);
        made.id = crate::BackupId::new(2, 9);
        made
    };
    for (what, parent) in [("itself", 2), ("a younger one", 3)] {
        let (craft, manifest, hash) = whole().await;
        let mut made = increment(&manifest, &manifest, hash);
        made.parent.as_mut().unwrap().id = crate::BackupId::new(parent, 9);
        craft.backup(made).await;
        cases.push((format!("an increment on {what}"), craft));
    }
    let (craft, manifest, hash) = whole().await;
    let empty = craft.node(1, Vec::new()).await;
    let mut made = craft.manifest(2, empty.clone(), &[empty.chunk], 0);
    made = increment(&made, &manifest, hash);
    craft.backup(made).await;
    craft.verify().await.unwrap();
    craft
        .append(Action::Prune {
            forgotten: vec![manifest.id],
        })
        .await;
    cases.push(("an increment on one that was forgotten".to_owned(), craft));

    let (craft, _, _) = whole().await;
    let other = log_text(&craft, 1)
        .await
        .replace(craft.repository.id(), &"0".repeat(32));
    craft.write(1, &other).await;
    cases.push(("a record of another repository".to_owned(), craft));

    let spans: [(&str, &[(u64, u64)]); 5] = [
        ("that is turned round", &[(3, 2)]),
        ("from 0", &[(0, 1)]),
        ("to the end of numbers", &[(1, u64::MAX)]),
        ("beside another", &[(1, 1), (2, 2)]),
        ("over itself", &[(2, 4)]),
    ];
    for (what, spans) in spans {
        let (craft, _, hash) = whole().await;
        let gone = |(first, last): &(u64, u64)| Gone {
            first: *first,
            last: *last,
            record: hash,
        };
        let gone = spans.iter().map(gone).collect();
        craft.append(Action::Sweep { gone }).await;
        cases.push((format!("a span {what}"), craft));
    }
    for name in [0, u64::MAX, 1_000_000_000_000] {
        let (craft, _, _) = whole().await;
        let text = log_text(&craft, 1).await;
        let text = text.replace(r#""sequence":1,"#, &format!(r#""sequence":{name},"#));
        craft.put(&format!("log/{name:012}"), sealed(&text)).await;
        cases.push((format!("a record of the number {name}"), craft));
    }
    let (craft, _, hash) = whole().await;
    craft
        .put(
            "HEAD",
            sealed(&format!(r#"{{"sequence":{},"record":"{hash}"}}"#, u64::MAX)),
        )
        .await;
    cases.push(("a head beyond all".to_owned(), craft));
    cases
}

/// A frame of zstd that inflates to `blocks` times 128 KiB of zeros, and says that it is `says` long.
pub(super) fn bomb(blocks: usize, says: Option<u64>) -> Vec<u8> {
    // Windows of 128 KiB; eight bytes of length where there is one.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    frame.push(if says.is_some() { 0xc0 } else { 0 });
    frame.push(7 << 3);
    frame.extend(says.map(u64::to_le_bytes).into_iter().flatten());
    for block in 1..=blocks {
        let header = u32::from(block == blocks) | 1 << 1 | 131_072 << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

pub(super) fn object(kind: Kind, compression: u8, content: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [
        b"STBC",
        &[1, kind as u8, compression, 0][..],
        &content.to_le_bytes(),
        &length.to_le_bytes(),
        body,
    ]
    .concat()
}

/// The leaf of eight records, which lies in `chunk`.
async fn leaf_in(craft: &Craft, chunk: ChunkRef) -> Child {
    Child {
        chunk,
        ..craft.leaf(&some(), Shape::Full).await
    }
}

async fn backup_of(leaf: Child) -> Craft {
    let craft = Craft::new().await;
    with_leaf(&craft, leaf).await;
    craft
}

async fn with_leaf(craft: &Craft, leaf: Child) {
    let chunk = leaf.chunk;
    let root = craft.node(1, vec![leaf]).await;
    let manifest = craft.manifest(1, root.clone(), &[chunk, root.chunk], logical(&some()));
    craft.backup(manifest).await;
}

/// Chunks that claim, inflate, and are none.
async fn chunks() -> Vec<Case> {
    let mut cases = Vec::new();
    let ten_gb = 10 << 30;
    let blocks = ten_gb / (128 << 10);
    let claims: [(&str, u32, Vec<u8>); 6] = [
        (
            "4 GiB of nothing",
            u32::MAX,
            object(Kind::Records, 0, u32::MAX, b"x"),
        ),
        (
            "4 GiB of a frame",
            u32::MAX,
            object(Kind::Records, 1, u32::MAX, &bomb(4, Some(u64::from(u32::MAX)))),
        ),
        (
            "10 GiB that say 1,000 bytes",
            1_000,
            object(Kind::Records, 1, 1_000, &bomb(blocks, Some(1_000))),
        ),
        (
            "10 GiB that say nothing",
            1_000,
            object(Kind::Records, 1, 1_000, &bomb(blocks, None)),
        ),
        (
            "10 GiB that say so",
            1_000,
            object(Kind::Records, 1, 1_000, &bomb(blocks, Some(10 << 30))),
        ),
        (
            "a window of 2 GiB",
            1_000,
            object(
                Kind::Records,
                1,
                1_000,
                &[0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 1, 0, 0],
            ),
        ),
    ];
    for (what, content, bytes) in claims {
        let craft = Craft::new().await;
        let chunk = craft.object(content, bytes).await;
        let leaf = leaf_in(&craft, chunk).await;
        with_leaf(&craft, leaf).await;
        cases.push((what.to_owned(), craft));
    }
    let mut newer = object(Kind::Records, 0, 1, b"x");
    newer[4] = 2;
    let craft = Craft::new().await;
    let chunk = craft.object(1, newer).await;
    let leaf = leaf_in(&craft, chunk).await;
    with_leaf(&craft, leaf).await;
    cases.push(("a chunk of a newer version".to_owned(), craft));

    let mut sixty = Vec::new();
    varint::put(&mut sixty, 1 << 60);
    for (what, content) in [
        ("2^60 records", sixty.clone()),
        ("a count of 11 bytes", vec![0xff; 11]),
        ("a count in a longer form", vec![0x81, 0x00]),
        ("a key that is shared with none", vec![1, 5, 0, 0, 0, 2]),
        ("nothing", Vec::new()),
    ] {
        let craft = Craft::new().await;
        let chunk = craft.chunk(Kind::Records, &content).await;
        let leaf = leaf_in(&craft, chunk).await;
        with_leaf(&craft, leaf).await;
        cases.push((format!("records: {what}"), craft));
    }
    cases
}

/// What is done to a child.
type Change = fn(&mut Child);

/// Nodes that claim, and that are not what those above say.
async fn nodes() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut sixty = vec![1];
    varint::put(&mut sixty, 1 << 60);
    for (what, content) in [
        ("2^60 children", sixty),
        ("4 MiB and more of zeros", vec![0; (4 << 20) + 1]),
        ("a count of 11 bytes", [&[1][..], &[0xff; 11]].concat()),
        ("level 0", vec![0, 0]),
        ("level 9", vec![9, 0]),
    ] {
        let craft = Craft::new().await;
        let chunk = craft.chunk(Kind::Index, &content).await;
        let root = Root {
            chunk,
            digest: Hash::of(b""),
            level: content[0],
            records: 8,
        };
        let manifest = craft.manifest(1, root, &[chunk], 0);
        craft.backup(manifest).await;
        cases.push((format!("a node of {what}"), craft));
    }
    // A node that stands in its own place below: the level is the same, and would be for ever.
    let craft = Craft::new().await;
    let leaf = craft.leaf(&some(), Shape::Full).await;
    let below = craft.node(2, vec![leaf.clone()]).await;
    let child = |root: &Root| Child {
        chunk: root.chunk,
        digest: root.digest,
        ..leaf.clone()
    };
    let top = craft.node(2, vec![child(&below)]).await;
    let chunks = [leaf.chunk, below.chunk, top.chunk];
    let manifest = craft.manifest(1, top, &chunks, logical(&some()));
    craft.backup(manifest).await;
    cases.push(("a node below one of its own level".to_owned(), craft));

    let changes: [(&str, Change); 4] = [
        ("more records than there are", |child| child.records = u64::MAX),
        ("another first key", |child| child.first = key("a")),
        ("another last key", |child| child.last = key("z")),
        ("another digest", |child| child.digest = Hash::of(b"")),
    ];
    for (what, change) in changes {
        let craft = Craft::new().await;
        let mut leaf = craft.leaf(&some(), Shape::Full).await;
        change(&mut leaf);
        with_leaf(&craft, leaf).await;
        cases.push((format!("a leaf of {what}"), craft));
    }
    let craft = backup_of(Craft::new().await.leaf(&some(), Shape::Full).await).await;
    cases.push(("a chunk that is in another repository".to_owned(), craft));
    // The chunk of a reach that is an index, and one that is none.
    for (what, content) in [
        ("a partition twice", &[1, b'a', 1, 1, b'a', 1][..]),
        ("an empty partition", &[0, 1]),
    ] {
        let craft = Craft::new().await;
        let mut manifest = craft.full(1, &some()).await;
        let chunk = craft.chunk(Kind::Partitions, content).await;
        manifest.upto = Reach::Partitions { chunk, highest: 1 };
        manifest.counts.chunks += 1;
        manifest.counts.stored_bytes += u64::from(chunk.stored);
        craft.backup(manifest).await;
        cases.push((format!("a reach with {what}"), craft));
    }
    cases
}

pub(super) async fn cases() -> Vec<Case> {
    let mut cases = texts().await;
    cases.extend(logs().await);
    cases.extend(chunks().await);
    cases.extend(nodes().await);
    cases
}
