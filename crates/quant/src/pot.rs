//! Peaks over threshold: a generalised Pareto law for what is beyond a high quantile.
//!
//! ```text
//! P(Y > y) = (1 + shape y / scale)^(-1/shape),  e^(-y/scale) where shape = 0
//! quantile(p) = u + scale/shape (((n/k)(1 - p))^(-shape) - 1),  ES = (quantile + scale - shape u) / (1 - shape)
//! ```
//!
//! with `k` of `n` losses beyond the threshold `u`. The one idea: the likelihood has a closed form in `shape/scale` alone
//! (Grimshaw), so its maximum is found on a line that is searched end to end; where there is none inside the domain of
//! regular estimates (shape above -1/2), probability-weighted moments answer and the estimate says so.
//!
//! Sources: Grimshaw (1993), Technometrics 35:185; Hosking and Wallis (1987), Technometrics 29:339; McNeil and Frey (2000), Journal of
//! Empirical Finance 7:271, for the tail measures.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::roots::brent_minimum;
use crate::schedule::{Refit, Schedule};
use crate::special::{exp_m1, ln, ln_1p};
use crate::stats::{
    StatsError, at_least, check_level, check_sample, count, finite, mean, positive, select_index_above,
    sorted,
};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// How a law was estimated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ParetoMethod {
    /// Maximum likelihood.
    Likelihood,
    /// Probability-weighted moments.
    Moments,
}

/// A generalised Pareto law of excesses.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pareto {
    /// Positive: a tail of power `1/shape`; 0: exponential; negative: a largest excess `-scale/shape`.
    pub shape: f64,
    /// Unit of the excesses, `> 0`.
    pub scale: f64,
    /// How it was estimated.
    pub method: ParetoMethod,
}

/// Fewest excesses a law is estimated from.
const FEWEST: usize = 10;
/// Beneath this shape the usual theory of the estimate does not hold.
const SHAPE_MIN: f64 = -0.5;
/// The largest loss is at most `e^WIDE` scales of its power law from the threshold.
const WIDE: f64 = 30.0;
/// Points of the first look along the line.
const LOOKS: u32 = 120;

impl Pareto {
    /// Estimates from excesses over a threshold, all `> 0`.
    ///
    /// ```
    /// use plimsoll_quant::pot::Pareto;
    /// let excesses: Vec<f64> = (0..200).map(|i| 200.0 / (199.5 - f64::from(i)) - 1.0).collect();
    /// let law = Pareto::fit(&excesses).unwrap();
    /// // P(Y > y) = 1/(1 + y): shape 1, scale 1.
    /// assert!((law.shape - 1.0).abs() < 0.01 && (law.scale - 1.0).abs() < 0.01);
    /// ```
    ///
    /// # Errors
    /// [`StatsError`] on fewer than ten excesses, one that is not finite and positive, or when neither method has an answer.
    pub fn fit(excesses: &[f64]) -> Result<Self, StatsError> {
        check_sample(excesses, FEWEST)?;
        for &y in excesses {
            positive("excess", y)?;
        }
        match by_likelihood(excesses) {
            Some(law) => Ok(law),
            None => Self::by_moments(excesses),
        }
    }

    /// Probability-weighted moments with plotting positions `(i - 0.35)/n`; for shapes below 1.
    ///
    /// # Errors
    /// As [`Pareto::fit`]; [`StatsError::Domain`] when the moments are those of no such law.
    pub fn by_moments(excesses: &[f64]) -> Result<Self, StatsError> {
        check_sample(excesses, FEWEST)?;
        let ascending = sorted(excesses);
        let n = count(ascending.len());
        let first = mean(&ascending)?;
        let weighted = ascending.iter().enumerate().map(|(i, y)| y * (1.0 - (count(i) + 0.65) / n));
        let second = weighted.fold(0.0, |sum, v| sum + v) / n;
        let spread = first - 2.0 * second;
        positive("difference of the weighted moments", spread)?;
        let scale = positive("scale", 2.0 * first * second / spread)?;
        Ok(Self { shape: 2.0 - first / spread, scale, method: ParetoMethod::Moments })
    }

    /// Log-likelihood of excesses; `-inf` when one is beyond the end of the law.
    #[must_use]
    pub fn log_likelihood(&self, excesses: &[f64]) -> f64 {
        let term = |y: &f64| {
            let z = y / self.scale;
            let reach = self.shape * z;
            if reach <= -1.0 {
                return f64::NEG_INFINITY;
            }
            -ln(self.scale) - z * log_ratio(reach) - ln_1p(reach)
        };
        excesses.iter().map(term).fold(0.0, |sum, t| sum + t)
    }

    /// Excess exceeded with probability `share` in (0, 1]: `scale (share^(-shape) - 1)/shape`.
    fn excess(&self, share: f64) -> f64 {
        let log = -ln(share);
        let reach = self.shape * log;
        let ratio = if reach.abs() < 1e-8 { 1.0 + 0.5 * reach } else { exp_m1(reach) / reach };
        self.scale * log * ratio
    }
}

/// `ln(1 + x)/x`.
fn log_ratio(x: f64) -> f64 {
    if x.abs() < 1e-8 { 1.0 - 0.5 * x } else { ln_1p(x) / x }
}

/// The law with the highest likelihood among those with `shape/scale = theta`, and minus that likelihood per excess.
fn along(excesses: &[f64], theta: f64) -> (Pareto, f64) {
    let n = count(excesses.len());
    let (mut shape, mut scale) = (0.0, 0.0);
    for y in excesses {
        let ratio = log_ratio(theta * y);
        shape += theta * y * ratio;
        scale += y * ratio;
    }
    let law = Pareto { shape: shape / n, scale: scale / n, method: ParetoMethod::Likelihood };
    (law, ln(law.scale) + law.shape + 1.0)
}

/// The maximum of the likelihood with a shape above -1/2, if there is one.
fn by_likelihood(excesses: &[f64]) -> Option<Pareto> {
    let largest = excesses.iter().fold(0.0, |a: f64, y| a.max(*y));
    // theta = (e^u - 1)/largest keeps 1 + theta y positive for every excess.
    let at = |u: f64| along(excesses, exp_m1(u) / largest);
    let cost = |u: f64| {
        let (law, value) = at(u);
        if law.shape > SHAPE_MIN && value.is_finite() { value } else { f64::INFINITY }
    };
    let place = |i: u32| WIDE * (2.0 * f64::from(i) / f64::from(LOOKS) - 1.0);
    let mut best = (0, f64::INFINITY);
    for i in 0..=LOOKS {
        let value = cost(place(i));
        if value < best.1 {
            best = (i, value);
        }
    }
    if best.0 == 0 || best.0 == LOOKS || best.1.is_infinite() {
        return None;
    }
    // Where the law ends the search is cut at the last shape that is allowed.
    let (mut low, high) = (place(best.0 - 1), place(best.0 + 1));
    if cost(low).is_infinite() {
        let mut inside = place(best.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + inside);
            if cost(middle).is_finite() { inside = middle } else { low = middle }
        }
        low = inside;
    }
    let Ok(found) = brent_minimum(cost, low, high, 1e-9, 200) else {
        return None;
    };
    let (law, _) = at(found.x);
    // At the cut there is no maximum but only the least bad of what is allowed.
    (law.shape > SHAPE_MIN + 1e-4 && law.scale > 0.0).then_some(law)
}

/// The tail of a sample of losses beyond a threshold.
///
/// ```
/// use plimsoll_quant::pot::Tail;
/// let losses: Vec<f64> = (0..1000).map(|i| 0.01 / (1.0 - (f64::from(i) + 0.5) / 1000.0).sqrt()).collect();
/// let tail = Tail::fit(&losses, 0.9).unwrap();
/// // P(L > l) = (0.01/l)^2: shape 1/2, and the quantile at 99.9 % is 0.316.
/// assert!((tail.law.shape - 0.5).abs() < 0.05);
/// assert!((tail.quantile(0.999).unwrap() / 0.316 - 1.0).abs() < 0.05);
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tail {
    /// Losses beyond it are excesses; in the unit of the losses, any sign.
    pub threshold: f64,
    /// Share of the losses that is beyond the threshold, in (0, 1).
    pub share: f64,
    /// Law of the excesses.
    pub law: Pareto,
}

impl Tail {
    /// Estimates from losses (a loss is positive) with the index-above quantile at `level` as threshold; 0.9 is usual.
    ///
    /// # Errors
    /// [`StatsError`] for a level outside (0, 1), a loss that is not finite, or as [`Pareto::fit`].
    pub fn fit(losses: &[f64], level: f64) -> Result<Self, StatsError> {
        check_sample(losses, FEWEST)?;
        check_level(level)?;
        let threshold = select_index_above(&mut losses.to_vec(), level);
        let beyond = losses.iter().filter(|l| **l > threshold);
        let excesses: Vec<f64> = beyond.map(|l| l - threshold).collect();
        let law = Pareto::fit(&excesses)?;
        Ok(Self { threshold, share: count(excesses.len()) / count(losses.len()), law })
    }

    /// Loss not exceeded with probability `level`, which must be at least that of the threshold.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a level below the threshold's or not below 1.
    pub fn quantile(&self, level: f64) -> Result<f64, StatsError> {
        check_level(level)?;
        let share = (1.0 - level) / self.share;
        if share > 1.0 + 1e-12 {
            return Err(StatsError::Domain {
                parameter: "level",
                value: level,
                domain: "at least that of the threshold",
            });
        }
        Ok(self.threshold + self.law.excess(share.min(1.0)))
    }

    /// Mean of the losses beyond the quantile at `level`.
    ///
    /// # Errors
    /// As [`Tail::quantile`], and [`StatsError::Domain`] for a shape of 1 or more: the mean is infinite.
    pub fn shortfall(&self, level: f64) -> Result<f64, StatsError> {
        let Pareto { shape, scale, .. } = self.law;
        if !(shape < 1.0) {
            return Err(StatsError::Domain { parameter: "shape", value: shape, domain: "< 1" });
        }
        Ok((self.quantile(level)? + scale - shape * self.threshold) / (1.0 - shape))
    }
}

/// The tail of the last losses, estimated anew on a schedule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TailWindow {
    recent: Window<f64>,
    level: f64,
    schedule: Schedule,
    tail: Option<Tail>,
}

impl TailWindow {
    /// Nothing seen yet: the last `window` losses, their index-above quantile at `level` as threshold, a first estimate after
    /// `needed`, then one every `refit_every`.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a level outside (0, 1), fewer than ten excesses among those needed, or more needed than held.
    pub fn new(window: usize, level: f64, needed: usize, refit_every: usize) -> Result<Self, StatsError> {
        check_level(level)?;
        at_least("window", window, needed)?;
        positive("excesses among the losses needed, less nine", count(needed) * (1.0 - level) - 9.0)?;
        let schedule = Schedule::new(needed, refit_every)?;
        Ok(Self { recent: Window::new(window)?, level, schedule, tail: None })
    }

    /// Takes the next loss in (a loss is positive) and says whether the tail was estimated anew.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`]; nothing changes.
    pub fn update(&mut self, loss: f64) -> Result<Refit, StatsError> {
        self.recent.push(finite(self.schedule.observations(), loss)?);
        let Self { recent, level, schedule, tail } = self;
        Ok(schedule.step(|| {
            *tail = Some(Tail::fit(&recent.iter().copied().collect::<Vec<f64>>(), *level)?);
            Ok(())
        }))
    }

    /// The estimate in force.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the first one.
    pub fn tail(&self) -> Result<&Tail, StatsError> {
        self.tail.as_ref().ok_or_else(|| self.schedule.not_yet())
    }
}
