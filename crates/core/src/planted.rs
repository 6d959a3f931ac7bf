//! Defects that the fault laboratory plants to show that the tests notice them.
//!
//! They exist only in builds with `--cfg stead_planted`. In every other build the question below is a constant, and the
//! compiler takes each place that asks it out again.

/// Whether the defect of this name is on: the one that the environment variable `STEAD_PLANTED` names.
#[cfg(stead_planted)]
pub fn planted(name: &str) -> bool {
    use std::sync::OnceLock;

    static ON: OnceLock<Option<String>> = OnceLock::new();
    ON.get_or_init(|| std::env::var("STEAD_PLANTED").ok()).as_deref() == Some(name)
}

/// No defect is on.
#[cfg(not(stead_planted))]
#[inline(always)]
pub(crate) const fn planted(_name: &str) -> bool {
    false
}
