//! Progress on a terminal. Where stderr is none, nothing is drawn.

use indicatif::{ProgressBar, ProgressStyle};

// A line that is longer than the terminal is wide takes two, and leaves traces where the terminal is made narrower.
const BYTES: &str = "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const THINGS: &str = "{wide_bar} {pos}/{len} {msg}, {eta} left";
const RATED: &str = "{wide_bar} {msg} {pos}/{len}, {per_sec}, {eta} left";
const COUNT: &str = "{spinner} {pos} {msg}";

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
