//! A correction that learns from its own misses.
//!
//! ```text
//! x = clamp(x + gain ([loss beyond margin] - rate), least, most)
//! ```
//!
//! The one idea: whatever is wrong with a forecast of a quantile, its breaches say so; moving a correction up at every breach
//! and a little down otherwise makes their share come to the rate aimed at, as long as the bounds are not met, whatever the
//! series does: over `n` steps the share is within `(most - least + gain)/(gain n)` of the rate. Source: Gibbs and Candes
//! (2021), Advances in Neural Information Processing Systems 34:1660, in the form that moves the quantile itself.

use crate::stats::{StatsError, check_level, finite, positive};
use serde::{Deserialize, Serialize};

/// A bounded correction, to be added to the logarithm of a margin.
///
/// ```
/// use plimsoll_quant::tracking::CoverageTracker;
/// let mut tracker = CoverageTracker::new(0.01, 0.1, (-0.2, 0.5)).unwrap();
/// tracker.update(true);
/// assert!((tracker.correction() - 0.099).abs() < 1e-15);
/// for _ in 0..1000 {
///     tracker.update(false);
/// }
/// assert_eq!(tracker.correction(), -0.2);
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct CoverageTracker {
    rate: f64,
    gain: f64,
    least: f64,
    most: f64,
    correction: f64,
}

impl CoverageTracker {
    /// The rate of breaches aimed at, in (0, 1); the gain, `> 0`; and bounds `least <= 0 <= most`. It starts at 0.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(rate: f64, gain: f64, (least, most): (f64, f64)) -> Result<Self, StatsError> {
        check_level(rate)?;
        positive("gain", gain)?;
        finite(0, least)?;
        finite(1, most)?;
        if least > 0.0 || most < 0.0 {
            let value = if least > 0.0 { least } else { most };
            return Err(StatsError::Domain { parameter: "bound", value, domain: "least <= 0 <= most" });
        }
        Ok(Self { rate, gain, least, most, correction: 0.0 })
    }

    /// Takes in whether the last loss was beyond the margin.
    pub fn update(&mut self, breach: bool) {
        let seen = if breach { 1.0 } else { 0.0 };
        self.correction = (self.correction + self.gain * (seen - self.rate)).clamp(self.least, self.most);
    }

    /// The correction: above 0 when there were too many breaches.
    #[must_use]
    pub fn correction(&self) -> f64 {
        self.correction
    }
}
