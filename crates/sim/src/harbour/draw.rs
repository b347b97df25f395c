//! Seeded draws: every stream is a function of the seed and of what it is for, so that one more draw in one place moves nothing in
//! another.

use plimsoll_quant::sobol::Rng64;
use plimsoll_quant::special::{exp, norm_quantile};

/// A stream of draws.
#[derive(Clone, Debug)]
pub(super) struct Draw(Rng64);

impl Draw {
    /// The stream of a seed for a purpose.
    pub(super) fn of(seed: u64, purpose: &[u64]) -> Self {
        let mixed = purpose.iter().fold(seed, |key, part| Rng64::new(key ^ part.rotate_left(17)).next_u64());
        Self(Rng64::new(mixed))
    }

    /// Uniform between two numbers.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.uniform()
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.uniform() < probability
    }

    /// An index below `n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let n = n.max(1) as u64;
        usize::try_from(self.0.next_u64() % n).unwrap_or(0)
    }

    /// Normal, mean 0 and deviation 1.
    pub(super) fn normal(&mut self) -> f64 {
        norm_quantile(self.0.uniform())
    }

    /// Lognormal about a median, by the deviation of its logarithm.
    pub(super) fn lognormal(&mut self, median: f64, deviation: f64) -> f64 {
        median * exp(deviation * self.normal())
    }

    /// One of the items.
    pub(super) fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
