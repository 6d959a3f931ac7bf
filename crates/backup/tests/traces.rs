//! What the coordinator of checkpoints writes down for whoever listens. By itself: `tracing` remembers for a whole process
//! where nobody listens.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;
#[path = "coordinator/world.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod world;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use stead_backup::{CheckpointOptions, CheckpointRetention, RetentionPolicy, Schedule};
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::world::{HOUR, MINUTE, World, damage};

/// Keeps spans and events as lines.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Listener {
    fn keep(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
        if metadata.target().starts_with("stead_backup") {
            let mut line = Line(format!("{}", metadata.level()));
            if metadata.is_span() {
                line.0.push_str(&format!(" span {}", metadata.name()));
            }
            record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.keep(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.keep(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn spans_and_events_have_fields_and_hold_nothing_of_the_store() {
    let listener = Listener::default();
    let _listening = tracing::subscriber::set_default(listener.clone());
    let world = World::new().await;
    for number in 0..20 {
        world.put(&format!("secret-key-{number}"), "secret-value").await;
    }
    let mut options = CheckpointOptions::new(Schedule::Every(HOUR));
    options.retention = Some(CheckpointRetention::new(RetentionPolicy::CountBasedPolicy {
        max_backups: 30,
    }));
    let coordinator = world.start(options);
    sleep(20 * HOUR).await;
    world.chunks().iter().for_each(|chunk| damage(chunk));
    sleep(6 * HOUR).await;
    world.store.fails.store(true, std::sync::atomic::Ordering::SeqCst);
    sleep(HOUR + MINUTE).await;
    drop(coordinator);
    let lines = listener.0.lock().unwrap().clone();
    let has = |level: &str, words: &[&str]| {
        let found = lines
            .iter()
            .any(|line| line.starts_with(level) && words.iter().all(|word| line.contains(word)));
        assert!(found, "{level} {words:?}: {lines:#?}");
    };
    has("INFO span checkpoint", &["repository=", "wanted=\"full\""]);
    has("INFO span checkpoint", &["wanted=\"incremental\""]);
    has("INFO span trial_restore", &["repository="]);
    has("INFO span retention", &["repository="]);
    has(
        "INFO",
        &[
            "message=checkpoint made",
            "kind=\"full\"",
            "full=\"first\"",
            "entries=21",
            "took_ms=",
            "new_bytes=",
        ],
    );
    has(
        "INFO",
        &["message=trial restore passed", "depth=\"bytes\"", "entries=21"],
    );
    has("INFO", &["message=retention applied", "kept=", "forgotten=0"]);
    has(
        "ERROR",
        &[
            "message=trial restore failed",
            "kind=\"corrupt\"",
            "damaged=true",
            "retry_after_ms=",
        ],
    );
    has(
        "WARN",
        &[
            "message=checkpoint failed",
            "kind=\"unavailable\"",
            "retry_after_ms=",
        ],
    );
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:#?}");
}
