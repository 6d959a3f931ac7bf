//! Kills at random instants, others who write, and a disk without room.

use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, SCOPE};
use crate::kills;

/// How long a restore takes that is left alone.
#[expect(
    clippy::disallowed_methods,
    reason = "kills are spread over the time that a restore takes"
)]
fn duration(bench: &Bench, state: usize) -> Duration {
    let begin = Instant::now();
    bench.done(&bench.restoring(state));
    begin.elapsed()
}

/// Whether the restore of `state` was killed after this part of the time that one takes.
fn killed(bench: &Bench, state: usize, whole: Duration, part: f64) -> bool {
    let mut child = bench.spawn_restore(state);
    thread::sleep(whole.mul_f64(part));
    // One that has ended meanwhile is not there to be killed.
    let _ = child.kill();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.code().is_none_or(|code| code == 0), "{said}");
    status.code().is_none()
}

/// Spread over the whole time, more densely over its second half, where the switch is.
fn part(kill: usize) -> f64 {
    let part = f64::from(u32::try_from(kill * 37 % 100).unwrap()) / 100.0;
    if kill.is_multiple_of(2) {
        part
    } else {
        0.5 + part / 2.0
    }
}

pub(crate) fn old_or_new(engine: &str) {
    let bench = Bench::new(engine);
    let names = bench.names();
    let whole = duration(&bench, 0);
    let mut state = 0;
    let mut counts = [0; 3];
    for kill in 0..kills() {
        let killed = killed(&bench, 1 - state, whole, part(kill));
        let found = bench.state(&format!("kill {kill}"));
        assert!(killed || found != state, "it got through");
        counts[if !killed {
            0
        } else if found == state {
            1
        } else {
            2
        }] += 1;
        state = found;
    }
    println!(
        "{engine}: {} got through, {} killed before the switch, {} after",
        counts[0], counts[1], counts[2]
    );
    assert!(counts[0] < kills(), "none was killed");
    bench.ends_well(&names);
}

/// Restores of one scope, some of them killed, while other processes write to another scope and are told that it was done.
pub(crate) fn other_writers(engine: &str) {
    let bench = Bench::new(engine);
    let whole = duration(&bench, 0);
    let ended = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let key = format!("w{number}");
                let output = bench.run(&["set", "user:writer", &key, &number.to_string()]);
                match output.status.code() {
                    Some(0) => acknowledged.push(number),
                    Some(4) => {}
                    _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
                }
            }
            acknowledged
        });
        for kill in 0..kills() {
            let (id, _) = &bench.states[kill % 2];
            let words = ["backup", "restore", "--replace", "--id", id, "--scope", SCOPE];
            let mut child = bench.stead(&words).spawn().unwrap();
            if kill % 3 != 0 {
                thread::sleep(whole.mul_f64(part(kill)));
                let _ = child.kill();
            }
            let output = child.wait_with_output().unwrap();
            // The writer may have had it open.
            assert!(
                matches!(output.status.code(), None | Some(0 | 4)),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            // A writer that was refused again and again gets its turn.
            thread::sleep(Duration::from_millis(200));
        }
        ended.store(true, Ordering::SeqCst);
        writer.join().unwrap()
    });
    let found = bench.done(&["export"]);
    for number in &acknowledged {
        let key = format!("\"scope\":\"user:writer\",\"key\":\"w{number}\"");
        assert!(found.contains(&key), "{engine}: write {number} is lost");
    }
    println!("{engine}: {} writes beside restores", acknowledged.len());
    assert!(!acknowledged.is_empty());
    bench.done(&["check"]);
}

/// Room for the store that there is, and not for the one that is restored.
pub(crate) fn full_disk(engine: &str) {
    let bench = Bench::new(engine);
    std::fs::remove_dir_all(bench.path("store")).unwrap();
    bench.done(&["set", "global", "here", "1"]);
    let (names, before) = (bench.names(), bench.done(&["export"]));
    // What a small store takes of this engine, and no more than that.
    let largest = largest_file(&bench.path("store")).max(1 << 20);
    let mut command = std::process::Command::new("sh");
    // The signal is ignored, so that the process lives to see the error.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", largest.div_ceil(512));
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_stead")]);
    command.args(bench.restoring(0));
    let output = bench.dress(command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        // Its files are all smaller than that.
        println!("{engine}: no file grows beyond {largest} bytes");
        assert!(matches!(engine, "fjall" | "rocksdb"), "{said}");
        return;
    }
    assert!(output.status.code().is_some(), "{said}");
    assert_eq!(bench.names(), names, "{said}");
    assert_eq!(bench.done(&["export"]), before);
    bench.done(&["check"]);
}

fn largest_file(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap();
    let sizes = entries.map(|entry| {
        let entry = entry.unwrap();
        match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => largest_file(&entry.path()),
            metadata => metadata.len(),
        }
    });
    sizes.max().unwrap_or(0)
}
