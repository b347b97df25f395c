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
use crate::window::RollingMean;
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

/// What a seed counts for: enough for the plain mean to weigh less than any half-life worth the name.
const SEASONED: usize = 1 << 31;

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
        memory.seen = SEASONED;
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

    /// Observations seen; a seed counts as `2^31` of them.
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

/// What a [`TwoSpeedDeviation`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TwoSpeedSpec {
    /// Half-life of the fast mean, in observations, `> 0`.
    pub half_life: f64,
    /// Observations in the slow mean, `>= 1`.
    pub window: usize,
    /// Observations before the fast mean leaves the slow one, and before a reading; from 1 to the window.
    pub needed: usize,
    /// Weight of the fast mean, in [0, 1].
    pub fast_weight: f64,
    /// Most an absolute return counts in the fast mean, in slow means, `>= 1`; none: no bound.
    pub winsor: Option<f64>,
}

/// Mean absolute return at two speeds: `a fast + (1 - a) slow`.
///
/// The fast one is exponentially weighted, the slow one the plain mean of a long window, which it also starts from. A mean
/// absolute value feels one extreme return far less than a variance does, and a return counted up to so many slow means
/// feels it less still; times a quantile over [`crate::stats::student_t_mean_abs`] it is a value at risk.
///
/// ```
/// use plimsoll_quant::ewma::{TwoSpeedDeviation, TwoSpeedSpec};
/// let spec = TwoSpeedSpec { half_life: 7.0, window: 100, needed: 2, fast_weight: 0.5, winsor: Some(4.0) };
/// let mut size = TwoSpeedDeviation::new(spec).unwrap();
/// for r in [0.01, -0.01, 0.01] {
///     size.update(r).unwrap();
/// }
/// assert!((size.deviation().unwrap() - 0.01).abs() < 1e-16);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TwoSpeedDeviation {
    spec: TwoSpeedSpec,
    lambda: f64,
    slow: RollingMean,
    fast: f64,
    seen: usize,
}

impl TwoSpeedDeviation {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(spec: TwoSpeedSpec) -> Result<Self, StatsError> {
        let memory = Memory::new(spec.half_life, spec.needed)?;
        if !(0.0..=1.0).contains(&spec.fast_weight) {
            let value = spec.fast_weight;
            return Err(StatsError::Domain { parameter: "fast weight", value, domain: "[0, 1]" });
        }
        if let Some(value) = spec.winsor.filter(|c| !(*c >= 1.0 && c.is_finite())) {
            return Err(StatsError::Domain { parameter: "winsor", value, domain: "finite and >= 1" });
        }
        let slow = RollingMean::new(spec.window, spec.needed)?;
        Ok(Self { spec, lambda: memory.lambda, slow, fast: 0.0, seen: 0 })
    }

    /// Takes the next return in; its size is bounded by the slow mean before it.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when the sum of the window would not be finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        let size = finite(self.seen, value)?.abs();
        let bound = self.slow.mean().ok().zip(self.spec.winsor).map(|(slow, c)| c * slow);
        self.slow.update(size)?;
        self.seen = self.seen.saturating_add(1);
        if self.seen <= self.spec.needed {
            self.fast = self.slow.mean().unwrap_or(0.0);
            return Ok(());
        }
        let counted = bound.map_or(size, |most| if size < most { size } else { most });
        self.fast = self.lambda * self.fast + (1.0 - self.lambda) * counted;
        Ok(())
    }

    /// The mix of both means, in the unit of the returns, `>= 0`.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before enough was seen.
    pub fn deviation(&self) -> Result<f64, StatsError> {
        let a = self.spec.fast_weight;
        Ok(a * self.fast + (1.0 - a) * self.slow.mean()?)
    }

    /// The plain mean of the window.
    ///
    /// # Errors
    /// As [`TwoSpeedDeviation::deviation`].
    pub fn slow(&self) -> Result<f64, StatsError> {
        self.slow.mean()
    }

    /// The exponentially weighted mean.
    ///
    /// # Errors
    /// As [`TwoSpeedDeviation::deviation`].
    pub fn fast(&self) -> Result<f64, StatsError> {
        enough(self.seen, self.spec.needed)?;
        Ok(self.fast)
    }
}
