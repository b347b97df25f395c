//! Variance from the open, high, low and close of bars.
//!
//! The one idea: the range of a bar says more of its variance than its close alone, five to eight times as much when prices are
//! watched without a gap; but a high below its low is a fault of the source and is refused, not smoothed.
//!
//! With `o, h, l, c` logarithms, per bar:
//!
//! ```text
//! Parkinson (1980)                 (h - l)^2 / (4 ln 2)
//! Garman and Klass (1980)          (h - l)^2 / 2 - (2 ln 2 - 1) (c - o)^2
//! Rogers and Satchell (1991)       (h - c)(h - o) + (l - c)(l - o)
//! Yang and Zhang (2000), n bars    V_gap + k V_body + (1 - k) mean RS,  k = 0.34 / (1.34 + (n + 1)/(n - 1))
//! ```
//!
//! `V_gap` and `V_body` are unbiased variances of `o_i - c_{i-1}` and `c_i - o_i`. The first two assume no drift; only the last
//! counts what happens between a close and the next open. Variances are per bar, `>= 0`.

use crate::ewma::EwmaMoments;
use crate::special::ln;
use crate::stats::{StatsError, at_least, count, enough, positive, variance};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// Open, high, low and close that can be those of one bar; only checked ones exist. Prices, any unit.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Bar {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
}

impl Bar {
    /// Checks a bar.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a price that is not positive and finite, a high below, or a low above, another price, or a high
    /// over a low that is beyond all numbers.
    pub fn new(open: f64, high: f64, low: f64, close: f64) -> Result<Self, StatsError> {
        positive("open", open)?;
        positive("high", high)?;
        positive("low", low)?;
        positive("close", close)?;
        if high < open.max(close).max(low) {
            return Err(StatsError::Domain { parameter: "high", value: high, domain: "no price above it" });
        }
        if low > open.min(close) {
            return Err(StatsError::Domain { parameter: "low", value: low, domain: "no price below it" });
        }
        positive("high over low", high / low)?;
        Ok(Self { open, high, low, close })
    }

    fn body(&self) -> f64 {
        ln(self.close / self.open)
    }

    fn range(&self) -> f64 {
        ln(self.high / self.low)
    }
}

/// Variance of one bar by its range alone.
///
/// ```
/// use plimsoll_quant::range::{Bar, parkinson};
/// let bar = Bar::new(100.0, 102.0, 99.0, 101.0).unwrap();
/// assert!((parkinson(&bar).sqrt() - 0.01792853150387906).abs() < 1e-15);
/// assert!(Bar::new(100.0, 99.0, 98.0, 99.0).is_err());
/// ```
#[must_use]
pub fn parkinson(bar: &Bar) -> f64 {
    let range = bar.range();
    range * range / (4.0 * std::f64::consts::LN_2)
}

/// Variance of one bar by its range and body, `>= 0` since a body is no longer than its range.
#[must_use]
pub fn garman_klass(bar: &Bar) -> f64 {
    let (range, body) = (bar.range(), bar.body());
    0.5 * range * range - (2.0 * std::f64::consts::LN_2 - 1.0) * body * body
}

/// Variance of one bar whatever its drift.
#[must_use]
pub fn rogers_satchell(bar: &Bar) -> f64 {
    ln(bar.high / bar.close) * ln(bar.high / bar.open) + ln(bar.low / bar.close) * ln(bar.low / bar.open)
}

/// How the variance of single bars is estimated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RangeEstimator {
    /// [`parkinson`].
    Parkinson,
    /// [`garman_klass`].
    GarmanKlass,
    /// [`rogers_satchell`].
    RogersSatchell,
}

impl RangeEstimator {
    /// Variance of one bar.
    #[must_use]
    pub fn of(self, bar: &Bar) -> f64 {
        match self {
            Self::Parkinson => parkinson(bar),
            Self::GarmanKlass => garman_klass(bar),
            Self::RogersSatchell => rogers_satchell(bar),
        }
    }
}

/// Mean variance of the last bars.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RangeWindow {
    estimator: RangeEstimator,
    recent: Window<f64>,
}

impl RangeWindow {
    /// Nothing seen yet; a reading needs `window >= 1` bars.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for an empty window.
    pub fn new(estimator: RangeEstimator, window: usize) -> Result<Self, StatsError> {
        Ok(Self { estimator, recent: Window::new(window)? })
    }

    /// Takes the next bar in.
    pub fn update(&mut self, bar: &Bar) {
        self.recent.push(self.estimator.of(bar));
    }

    /// Mean variance per bar.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the window is full.
    pub fn variance(&self) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.recent.length())?;
        Ok(self.recent.iter().fold(0.0, |sum, v| sum + v) / count(self.recent.len()))
    }
}

/// Exponentially weighted variance of bars.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RangeEwma {
    estimator: RangeEstimator,
    average: EwmaMoments,
}

impl RangeEwma {
    /// Nothing seen yet. `half_life` is in bars, `> 0`; a reading needs `needed >= 1` of them.
    ///
    /// # Errors
    /// [`StatsError::Domain`] as [`EwmaMoments::new`].
    pub fn new(estimator: RangeEstimator, half_life: f64, needed: usize) -> Result<Self, StatsError> {
        Ok(Self { estimator, average: EwmaMoments::new(half_life, needed)? })
    }

    /// Takes the next bar in.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`] when its range is beyond all numbers; nothing changes.
    pub fn update(&mut self, bar: &Bar) -> Result<(), StatsError> {
        self.average.update(self.estimator.of(bar))
    }

    /// Weighted mean of the variance per bar.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before enough was seen.
    pub fn variance(&self) -> Result<f64, StatsError> {
        self.average.mean()
    }
}

/// What Yang and Zhang need of a bar: gap before it, body, and the variance of Rogers and Satchell.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Parts {
    gap: f64,
    body: f64,
    inside: f64,
}

/// Weight of the body where the other two have been weighed by `n` bars (or as many as an average is worth).
fn body_weight(n: f64) -> f64 {
    0.34 / (1.34 + (n + 1.0) / (n - 1.0))
}

/// The parts of a bar after `close`, which becomes its close.
fn parts(bar: &Bar, close: &mut Option<f64>) -> Option<Parts> {
    let before = close.replace(bar.close)?;
    // A difference of logarithms is finite whatever the prices.
    Some(Parts { gap: ln(bar.open) - ln(before), body: bar.body(), inside: rogers_satchell(bar) })
}

/// Variance of the last bars, gaps between them included.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct YangZhang {
    recent: Window<Parts>,
    close: Option<f64>,
}

impl YangZhang {
    /// Nothing seen yet; a reading needs `window >= 2` bars after the first.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a window of fewer than two bars.
    pub fn new(window: usize) -> Result<Self, StatsError> {
        at_least("window", window, 2)?;
        Ok(Self { recent: Window::new(window)?, close: None })
    }

    /// Takes the next bar in.
    pub fn update(&mut self, bar: &Bar) {
        if let Some(parts) = parts(bar, &mut self.close) {
            self.recent.push(parts);
        }
    }

    /// Variance from one close to the next.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the window is full.
    pub fn variance(&self) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.recent.length())?;
        let column = |part: fn(&Parts) -> f64| self.recent.iter().map(part).collect::<Vec<f64>>();
        let n = count(self.recent.len());
        let k = body_weight(n);
        let inside = column(|p| p.inside).iter().fold(0.0, |sum, v| sum + v) / n;
        Ok(variance(&column(|p| p.gap))? + k * variance(&column(|p| p.body))? + (1.0 - k) * inside)
    }
}

/// Exponentially weighted variance of bars, gaps between them included: the three parts of Yang and Zhang, each weighted
/// exponentially, with the weight of `n = (1 + lambda)/(1 - lambda)` bars.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct YangZhangEwma {
    gap: EwmaMoments,
    body: EwmaMoments,
    inside: EwmaMoments,
    close: Option<f64>,
    weight: f64,
}

impl YangZhangEwma {
    /// Nothing seen yet. `half_life` is in bars, at least 1; a reading needs `needed >= 2` bars after the first.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(half_life: f64, needed: usize) -> Result<Self, StatsError> {
        at_least("observations needed", needed, 2)?;
        if !(1.0..f64::INFINITY).contains(&half_life) {
            let domain = "finite and >= 1";
            return Err(StatsError::Domain { parameter: "half-life", value: half_life, domain });
        }
        let moments = EwmaMoments::new(half_life, needed)?;
        let lambda = crate::stats::decay_of_half_life(half_life);
        let weight = body_weight((1.0 + lambda) / (1.0 - lambda));
        Ok(Self { gap: moments.clone(), body: moments.clone(), inside: moments, close: None, weight })
    }

    /// Takes the next bar in.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`] when its logarithms are beyond all numbers; nothing changes.
    pub fn update(&mut self, bar: &Bar) -> Result<(), StatsError> {
        let mut next = self.clone();
        if let Some(parts) = parts(bar, &mut next.close) {
            next.gap.update(parts.gap)?;
            next.body.update(parts.body)?;
            next.inside.update(parts.inside)?;
        }
        *self = next;
        Ok(())
    }

    /// Variance from one close to the next.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before enough was seen.
    pub fn variance(&self) -> Result<f64, StatsError> {
        let bodies = self.weight * self.body.variance()?;
        Ok(self.gap.variance()? + bodies + (1.0 - self.weight) * self.inside.mean()?)
    }
}
