//! Hostile repositories are refused: before anything is written, and in little memory.

use bytes::Bytes;
use stead_core::ErrorKind;

use super::cases::{bomb, cases, object, some, whole};
use super::craft::{Craft, backend, record, sealed};
use crate::chunk::Kind;
use crate::log::Action;
use crate::records::Shape;

#[tokio::test]
async fn hostile_repositories_are_refused_before_anything_is_written() {
    let cases = cases().await;
    assert!(cases.len() > 60, "{}", cases.len());
    for (what, craft) in cases {
        for error in craft.is_refused(&what).await {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
            assert!(error.to_string().len() < 1_000, "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn a_newer_format_is_named_and_nothing_else_is_judged() {
    let (craft, _, _) = whole().await;
    let format = craft.repository.get_small("FORMAT").await.unwrap().unwrap();
    let text = String::from_utf8(format.to_vec()).unwrap();
    let json = text.lines().next().unwrap();
    let newer = json.replace(r#""version":1"#, r#""version":2,"more":[]"#);
    craft.put("FORMAT", sealed(&newer)).await;
    let [verified, restored] = craft.is_refused("a newer format").await;
    for error in [verified, restored] {
        let shown = error.to_string();
        assert!(shown.contains("newer version; use that one"), "{shown}");
        assert!(shown.contains("version=2 supported=1"), "{shown}");
    }
    for wrong in [
        json.replace("sha256", "md5"),
        json.replace("zstd", "none"),
        json.replace("stead-backup", "stead-other"),
        json.replace(r#""version":1"#, r#""version":0"#),
        json.replace(craft.repository.id(), "../../../../../../../../../etc/pa"),
    ] {
        assert_ne!(wrong, json);
        craft.put("FORMAT", sealed(&wrong)).await;
        craft.is_refused(&wrong).await;
    }
}

/// Where many backups lie on one another, each is looked at once.
#[tokio::test]
async fn a_log_of_5_000_records_is_read_verified_and_pruned_soon() {
    let craft = Craft::new().await;
    let full = craft.full(1, &some()).await;
    let empty = craft.node(1, Vec::new()).await;
    let mut parent = full.clone();
    let mut hash = None;
    for sequence in 1..=5_000 {
        let manifest = match hash {
            None => full.clone(),
            Some(hash) => {
                let made = craft.manifest(sequence, empty.clone(), &[empty.chunk], 0);
                Craft::on(made, &parent, hash)
            }
        };
        let record = crate::log::LogRecord {
            repository: craft.repository.id().to_owned(),
            sequence,
            previous: hash,
            at_ms: manifest.taken_ms,
            action: Action::Backup(Box::new(manifest.clone())),
        };
        hash = Some(
            craft
                .write(sequence, &serde_json::to_string(&record).unwrap())
                .await,
        );
        parent = manifest;
    }
    let report = craft.verify().await.unwrap();
    assert_eq!(report.backups, 5_000);
    let ids = craft.repository.backups().await.unwrap();
    assert_eq!(ids.len(), 5_000);
    let options = crate::PruneOptions::new(crate::RetentionPolicy::CountBasedPolicy { max_backups: 1 });
    let clock: std::sync::Arc<dyn stead_core::Clock> = craft.clock.clone();
    let pruned = craft.repository.prune(&options, &clock).await.unwrap();
    assert_eq!(pruned.kept.len(), 5_000, "all of them are stood on");
    let target = backend(&craft.clock);
    super::craft::restore(&craft.store, crate::RestorePoint::Latest, &target, &craft.clock)
        .await
        .unwrap();
    assert_eq!(super::craft::state(&*target).await.len(), 8);
}

/// The largest content that a chunk may have is read by itself, however many there are.
#[tokio::test]
#[ignore = "run by hostile_repositories_take_little_memory, in a process of its own"]
async fn in_little_memory() {
    for (what, craft) in cases().await {
        craft.is_refused(&what).await;
    }
    let before = resident_mib();
    let craft = Craft::new().await;
    let most = 256 << 20;
    let frame = bomb(2_048, Some(most));
    let content = u32::try_from(most).unwrap();
    let mut leaves = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut leaf = craft.leaf(&[record(name, b"v")], Shape::Full).await;
        leaf.chunk = craft
            .object(content, object(Kind::Records, 1, content, &frame))
            .await;
        leaves.push(leaf);
    }
    let chunk = leaves[0].chunk;
    let root = craft.node(1, leaves).await;
    let chunks = [chunk, root.chunk];
    craft.backup(craft.manifest(1, root, &chunks, 0)).await;
    craft.is_refused("six bombs of 256 MiB").await;
    println!(
        "most resident: {before} MiB before the bombs, {} with them",
        resident_mib()
    );
    assert!(before < 160, "{before} MiB");
    assert!(resident_mib() < before + 300, "{} MiB", resident_mib());
}

/// The most that this process ever had in memory.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib >> 10
}

/// 10 GiB cannot even be asked for: the process may map 3 GiB.
#[test]
fn hostile_repositories_take_little_memory() {
    let test = "hostile::manifests::in_little_memory";
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 3145728 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{shown}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(shown.contains("1 passed"), "{shown}");
    println!("{shown}");
}

/// As it was before the chunks of a level were compared: never decoded.
#[test]
fn bombs_are_bombs() {
    let frame = Bytes::from(bomb(8, Some(1 << 20)));
    assert_eq!(zstd::bulk::decompress(&frame, 1 << 20).unwrap(), vec![0; 1 << 20]);
}
