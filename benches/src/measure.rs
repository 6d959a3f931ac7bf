//! Side-by-side timing: the two sides take turns, so that a slow moment of the machine meets both.

use std::time::{Duration, Instant};

/// Rounds of each side; the medians are reported.
const ROUNDS: usize = 15;

/// What two sides took, per operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ours_ns: f64,
    pub(crate) bare_ns: f64,
    /// The median of the ratios of the rounds, ours over bare.
    pub(crate) ratio: f64,
}

/// Times `operations` of one side.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
pub(crate) fn time(operations: usize, mut run: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    for index in 0..operations {
        run(index);
    }
    nanos(start.elapsed()) / operations as f64
}

/// Times a run of `operations` as a whole, in nanoseconds per operation.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
pub(crate) fn elapsed(operations: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    nanos(start.elapsed()) / operations as f64
}

/// A point in time to count from.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
    pub(crate) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    pub(crate) fn millis(&self) -> u128 {
        self.0.elapsed().as_millis()
    }

    pub(crate) fn nanos(&self) -> f64 {
        nanos(self.0.elapsed())
    }

    pub(crate) fn passed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets both sides take turns. Each closure runs one round and returns nanoseconds per operation.
pub(crate) fn pair(mut ours: impl FnMut() -> f64, mut bare: impl FnMut() -> f64) -> Pair {
    pair_rounds(ROUNDS, &mut ours, &mut bare)
}

/// As [`pair`], for rounds that take long.
pub(crate) fn pair_rounds(
    rounds: usize,
    ours: &mut dyn FnMut() -> f64,
    bare: &mut dyn FnMut() -> f64,
) -> Pair {
    Pair::of(&samples(rounds, ours, bare))
}

/// What each round of both sides took. One before them is not counted.
pub(crate) fn samples(
    rounds: usize,
    ours: &mut dyn FnMut() -> f64,
    bare: &mut dyn FnMut() -> f64,
) -> Vec<(f64, f64)> {
    let _ = (ours(), bare());
    let mut samples: Vec<(f64, f64)> = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let sample = if round % 2 == 0 {
            let first = ours();
            (first, bare())
        } else {
            let first = bare();
            (ours(), first)
        };
        samples.push(sample);
    }
    samples
}

impl Pair {
    /// The medians of rounds.
    pub(crate) fn of(samples: &[(f64, f64)]) -> Self {
        Pair {
            ours_ns: median(samples.iter().map(|sample| sample.0).collect()),
            bare_ns: median(samples.iter().map(|sample| sample.1).collect()),
            ratio: median(samples.iter().map(|sample| sample.0 / sample.1).collect()),
        }
    }
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}
