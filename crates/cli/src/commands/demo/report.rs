//! What the demo tells.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::exit::Result;
use crate::output::Output;
use crate::sorted::Sorted;

/// Prints the steps as they are done.
pub(super) struct Report {
    output: Output,
    store: String,
    steps: u32,
    begun: Instant,
    step_begun: Instant,
}

impl Report {
    pub(super) async fn new(mut output: Output, store: &str) -> Result<Self> {
        if !output.is_json() {
            output.text(&format!("A new store: {store}"));
            output.flush().await?;
        }
        Ok(Report {
            output,
            store: quoted(store),
            steps: 0,
            begun: now(),
            step_begun: now(),
        })
    }

    /// The time of the next step begins.
    pub(super) fn begin(&mut self) {
        self.step_begun = now();
    }

    /// Tells of a step that is done, with commands to try it by hand: `{stead}` in them stands for the program and its
    /// store, which are put in front where it is not.
    pub(super) async fn step(
        &mut self,
        name: &str,
        text: &str,
        facts: &Value,
        commands: &[&str],
    ) -> Result<()> {
        self.steps += 1;
        let took = self.step_begun.elapsed();
        if self.output.is_json() {
            let object = json!({"step": name, "took_ms": millis(took), "facts": facts});
            self.output.json(&Sorted(&object))?;
            return self.output.flush().await;
        }
        self.output
            .text(&format!("\n{}. {name} ({:.2} s)", self.steps, took.as_secs_f64()));
        self.output.text(&format!("   {text}"));
        let stead = format!("stead --store {}", self.store);
        for command in commands {
            let line = if command.contains("{stead}") {
                command.replace("{stead}", &stead)
            } else {
                format!("{stead} {command}")
            };
            self.output.text(&format!("   $ {line}"));
        }
        self.output.flush().await
    }

    /// Tells that all is done.
    pub(super) async fn end(mut self, dir: &Path) -> Result<()> {
        let took = self.begun.elapsed();
        let dir = dir.display().to_string();
        let text = format!(
            "\nAll of it held, in {:.1} s. The store stays for you to try: remove it with rm -r {}",
            took.as_secs_f64(),
            quoted(&dir)
        );
        let object = json!({"step": "done", "took_ms": millis(took), "dir": dir});
        self.output.either(&text, &Sorted(&object))?;
        self.output.flush().await
    }
}

#[expect(clippy::disallowed_methods, reason = "the demo tells how long it took")]
fn now() -> Instant {
    Instant::now()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As a shell takes it.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn shells_take_what_is_printed() {
        assert_eq!(quoted("redb:/tmp/a-b_1"), "redb:/tmp/a-b_1");
        assert_eq!(quoted("it's here"), "'it'\\''s here'");
    }
}
