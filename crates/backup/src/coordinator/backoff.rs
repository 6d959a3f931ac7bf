//! How long to wait before something that failed is tried again.

use std::time::Duration;

use stead_core::Random;

/// Waits that double, each between half of that and all of it, so that those who failed together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Backoff {
            first,
            longest,
            failures: 0,
        }
    }

    /// The wait behind one failure more.
    pub(super) fn next(&mut self, random: &dyn Random) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let most = self.first.saturating_mul(doubled).min(self.longest);
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let half = millis / 2;
        Duration::from_millis(half + random.next_u64() % (millis - half + 1))
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use stead_core::SeededRandom;

    use super::*;

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        let random = SeededRandom::new(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let waits: Vec<u64> = (0..40)
            .map(|_| u64::try_from(backoff.next(&random).as_millis()).unwrap())
            .collect();
        for (number, wait) in (0_u32..).zip(&waits) {
            let most = 1_000 * 2_u64.saturating_pow(number);
            let most = most.min(60_000);
            assert!((most / 2..=most).contains(wait), "{number}: {wait}");
        }
        assert!(waits[10..].windows(2).any(|two| two[0] > two[1]), "no jitter");
        backoff.reset();
        assert!(backoff.next(&random) <= Duration::from_secs(1));
    }
}
