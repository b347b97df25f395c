//! Exponentially weighted moments, one observation at a time.
//!
//! The one idea: the weight of a new observation is `1 - lambda`, but at the start no less than one over the number seen, so
//! that a young average is the plain mean of what there is and no seed has to be invented. With `lambda` the decay of a
//! half-life, `d = min(lambda, 1 - 1/n)` and the `n`-th observation `x`:
//!
//! ```text
//! variance about zero:   v = d v + (1 - d) x^2
//! moments:               e = x - m,  m = m + (1 - d) e,  v = d (v + (1 - d) e^2)
//! ```
//!
//! Sources: RiskMetrics technical document (1996), section 5.2; West (1979), Communications of the ACM 22:532, for the moments.

use crate::stats::{StatsError, at_least, count, decay_of_half_life, enough, ewma_step, finite, positive};
use serde::{Deserialize, Serialize};

/// What an exponential average forgets by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Memory {
    lambda: f64,
    /// Observations that make a reading.
    needed: usize,
    seen: usize,
}

impl Memory {
    fn new(half_life: f64, needed: usize) -> Result<Self, StatsError> {
        positive("half-life", half_life)?;
        at_least("observations needed", needed, 1)?;
        let lambda = decay_of_half_life(half_life);
        if lambda < 1.0 && lambda > 0.0 {
            return Ok(Self { lambda, needed, seen: 0 });
        }
        Err(StatsError::Domain { parameter: "half-life", value: half_life, domain: "a decay inside (0, 1)" })
    }

    /// Counts an observation and gives the decay of what was before it.
    fn step(&mut self) -> f64 {
        self.seen = self.seen.saturating_add(1);
        let plain = 1.0 - 1.0 / count(self.seen);
        if plain < self.lambda { plain } else { self.lambda }
    }
}

/// Variance of returns about zero.
///
/// ```
/// use plimsoll_quant::ewma::EwmaVariance;
/// let mut vol = EwmaVariance::new(23.0, 2).unwrap();
/// vol.update(0.01).unwrap();
/// assert!(vol.variance().is_err());
/// vol.update(-0.03).unwrap();
/// // Two returns: their mean square.
/// assert!((vol.variance().unwrap() - 5e-4).abs() < 1e-18);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EwmaVariance {
    memory: Memory,
    variance: f64,
}

impl EwmaVariance {
    /// Nothing seen yet. `half_life` is in observations; a reading needs `needed >= 1` of them.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a half-life that is not positive and finite, or none needed.
    pub fn new(half_life: f64, needed: usize) -> Result<Self, StatsError> {
        Ok(Self { memory: Memory::new(half_life, needed)?, variance: 0.0 })
    }

    /// Starts from a variance as if enough had been seen: the recursion of [`crate::stats::ewma_variance`] from that seed.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a half-life or a variance that is not positive and finite.
    pub fn seeded(half_life: f64, variance: f64) -> Result<Self, StatsError> {
        let mut memory = Memory::new(half_life, 1)?;
        memory.seen = usize::MAX;
        Ok(Self { memory, variance: positive("seed", variance)? })
    }

    /// Takes the next return in.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`]; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        let square = value * value;
        if !square.is_finite() {
            return Err(StatsError::NotFinite { index: self.memory.seen, value });
        }
        let decay = self.memory.step();
        self.variance = ewma_step(decay, self.variance, value);
        Ok(())
    }

    /// Variance per step, `>= 0`.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before enough was seen.
    pub fn variance(&self) -> Result<f64, StatsError> {
        enough(self.memory.seen, self.memory.needed)?;
        Ok(self.variance)
    }

    /// Volatility per step, `>= 0`.
    ///
    /// # Errors
    /// As [`EwmaVariance::variance`].
    pub fn vol(&self) -> Result<f64, StatsError> {
        Ok(self.variance()?.sqrt())
    }

    /// Observations seen; the largest number there is when it was seeded.
    #[must_use]
    pub fn observations(&self) -> usize {
        self.memory.seen
    }

    /// Decay per observation.
    #[must_use]
    pub fn lambda(&self) -> f64 {
        self.memory.lambda
    }
}

/// Mean and variance about the mean, for how unusual a value is.
///
/// ```
/// use plimsoll_quant::ewma::EwmaMoments;
/// let mut norm = EwmaMoments::new(30.0, 3).unwrap();
/// for level in [0.5, 0.6, 0.7] {
///     norm.update(level).unwrap();
/// }
/// assert!((norm.mean().unwrap() - 0.6).abs() < 1e-15);
/// // Before it enters the moments, 0.8 is 0.2 above a mean with deviation sqrt(0.02/3).
/// assert!((norm.z_score(0.8).unwrap() - 0.2 / (0.02f64 / 3.0).sqrt()).abs() < 1e-12);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EwmaMoments {
    memory: Memory,
    mean: f64,
    variance: f64,
}

impl EwmaMoments {
    /// Nothing seen yet; as [`EwmaVariance::new`].
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a half-life that is not positive and finite, or none needed.
    pub fn new(half_life: f64, needed: usize) -> Result<Self, StatsError> {
        Ok(Self { memory: Memory::new(half_life, needed)?, mean: 0.0, variance: 0.0 })
    }

    /// Takes the next value in.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when the moments would not be finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        let mut memory = self.memory.clone();
        let decay = memory.step();
        let excess = finite(self.memory.seen, value)? - self.mean;
        let mean = self.mean + (1.0 - decay) * excess;
        let variance = decay * (self.variance + (1.0 - decay) * excess * excess);
        if !(mean.is_finite() && variance.is_finite()) {
            return Err(StatsError::NotFinite { index: self.memory.seen, value });
        }
        *self = Self { memory, mean, variance };
        Ok(())
    }

    /// Mean, in the unit of the values.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before enough was seen.
    pub fn mean(&self) -> Result<f64, StatsError> {
        enough(self.memory.seen, self.memory.needed)?;
        Ok(self.mean)
    }

    /// Variance about the mean, `>= 0`, not corrected for the mean being estimated.
    ///
    /// # Errors
    /// As [`EwmaMoments::mean`].
    pub fn variance(&self) -> Result<f64, StatsError> {
        enough(self.memory.seen, self.memory.needed)?;
        Ok(self.variance)
    }

    /// Deviations of `value` from the mean. Asked before [`EwmaMoments::update`] with the same value, it says how unusual that is.
    ///
    /// # Errors
    /// [`StatsError`] before enough was seen, for a value that is not finite, or when nothing varied so far.
    pub fn z_score(&self, value: f64) -> Result<f64, StatsError> {
        let mean = self.mean()?;
        let variance = positive("variance", self.variance)?;
        Ok((finite(self.memory.seen, value)? - mean) / variance.sqrt())
    }

    /// Observations seen.
    #[must_use]
    pub fn observations(&self) -> usize {
        self.memory.seen
    }
}
