//! Progress on a terminal. Where stderr is none, nothing is drawn.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

// A line that is longer than the terminal is wide takes two, and leaves traces where the terminal is made narrower.
const BYTES: &str = "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const THINGS: &str = "{wide_bar} {pos}/{len} {msg}, {eta} left";
const RATED: &str = "{wide_bar} {msg} {pos}/{len}, {per_sec}, {eta} left";
const COUNT: &str = "{spinner} {pos} {msg}";

/// Shows on `bar` how much of what is done, and begins anew with each other message.
pub(crate) fn phased(bar: &ProgressBar) -> impl Fn(&'static str, u64, u64) + Send + Sync + 'static {
    let bar = bar.clone();
    let last = Mutex::new(None);
    move |message, done, total| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.replace(message) != Some(message) {
            bar.set_message(message);
            bar.reset();
        }
        bar.set_length(total.max(done));
        bar.set_position(done);
    }
}

/// A bar over `length` bytes.
pub(crate) fn bytes(length: u64) -> ProgressBar {
    styled(ProgressBar::new(length), BYTES)
}

/// A bar over `length` things.
pub(crate) fn things(length: u64, name: &'static str) -> ProgressBar {
    styled(ProgressBar::new(length).with_message(name), THINGS)
}

/// A bar whose message and length are set as it goes, with the rate.
pub(crate) fn rated() -> ProgressBar {
    styled(ProgressBar::new(0), RATED)
}

/// A count of things whose number is not known.
pub(crate) fn count(name: &'static str) -> ProgressBar {
    styled(ProgressBar::new_spinner().with_message(name), COUNT)
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_well_formed() {
        for template in [BYTES, THINGS, RATED, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
