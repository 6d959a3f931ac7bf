//! Choices that a seed repeats.

use stead_core::{Random, SeededRandom};

/// A stream of choices.
#[derive(Debug)]
pub(crate) struct Dice(SeededRandom);

impl Dice {
    /// The stream that belongs to `seed` and `stream`: image 17 chooses the same whether or not the others are built.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mixed = SeededRandom::new(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03)).next_u64();
        Dice(SeededRandom::new(mixed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// One of `0..count`; zero if there is none to choose from.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % count).unwrap_or(0)
    }

    /// Whether something comes true that does so `times` out of `of`.
    pub(crate) fn odds(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.odds(1, 2)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
