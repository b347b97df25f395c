//! How long something takes: many repetitions, the median and the spread.

use std::time::{Duration, Instant};

/// The fewest repetitions a median is taken of.
const REPEATS_MIN: usize = 5;

/// The most repetitions; more say nothing new.
const REPEATS_MAX: usize = 1000;

/// Times of the repetitions of one workload.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Timing {
    /// Half of the repetitions took no longer, milliseconds.
    pub median_ms: f64,
    /// The fastest, milliseconds.
    pub min_ms: f64,
    /// The slowest, milliseconds.
    pub max_ms: f64,
    /// How many there were.
    pub repeats: usize,
}

impl Timing {
    /// Of times in milliseconds; zeros where there are none.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |i: usize| times.get(i).copied().unwrap_or(0.0);
        let (half, last) = (times.len() / 2, times.len().saturating_sub(1));
        let median_ms =
            if times.len() % 2 == 1 { at(half) } else { 0.5 * (at(half.saturating_sub(1)) + at(half)) };
        Self { median_ms, min_ms: at(0), max_ms: at(last), repeats: times.len() }
    }
}

/// The time now, for the difference of two such times.
#[allow(clippy::disallowed_methods, reason = "time is what is measured here; no answer depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Milliseconds that one call takes.
pub(super) fn once(run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = now();
    run()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Runs twice to warm caches, and then as often as fits in `budget`, at least five times.
pub(super) fn measure(
    budget: Duration,
    mut run: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Timing> {
    once(&mut run)?;
    let guess_ms = once(&mut run)?.max(1e-4);
    let fit = (budget.as_secs_f64() * 1e3 / guess_ms).min(REPEATS_MAX as f64);
    let repeats = (fit as usize).max(REPEATS_MIN);
    let times = (0..repeats).map(|_| once(&mut run)).collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(Timing::of(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_least_and_largest() {
        let timing = Timing::of(vec![3.0, 1.0, 2.0, 10.0]);
        assert_eq!((timing.min_ms, timing.median_ms, timing.max_ms), (1.0, 2.5, 10.0));
        assert_eq!(Timing::of(vec![4.0, 1.0, 2.0]).median_ms, 2.0);
    }

    #[test]
    fn nothing_is_measured_fewer_than_five_times() {
        let mut calls = 0;
        let timing = measure(Duration::ZERO, || {
            calls += 1;
            Ok(())
        });
        assert_eq!((timing.unwrap().repeats, calls), (5, 7));
    }
}
