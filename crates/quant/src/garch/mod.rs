//! GARCH(1,1) and GJR-GARCH(1,1): the recursion of conditional variance, its likelihood, its forecast.
//!
//! The one idea: the start of the recursion is a named part of the model. Published fits of the same series differ in the
//! third digit because one takes the mean square as what came before the sample and another the first square, so no
//! function here starts by itself: the caller says which [`Start`] it means.
//!
//! With `e_t` the return less its mean and `h_t` its variance known before it is seen:
//!
//! ```text
//! h_{t+1} = omega + (alpha + gamma [e_t < 0]) e_t^2 + beta h_t
//! ```
//!
//! `gamma = 0` is GARCH(1,1). Sources: Bollerslev (1986); Glosten, Jagannathan and Runkle (1993); Fiorentini, Calzolari and
//! Panattoni (1996) for the start of the benchmark. [`fit`] maximises the likelihood; [`GarchFilter`] and [`RollingGarch`] go along
//! a series one observation at a time.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

mod filter;
mod fit;

pub use filter::{GarchFilter, RollingGarch, RollingSpec};
pub use fit::{Dynamics, FitSpec, GarchFit, Innovations, MeanModel, fit};

use crate::special::{ln, ln_1p, ln_gamma_dd, norm_quantile, student_t_quantile};
use crate::stats::{
    StatsError, check_level, check_sample, count, not_negative, positive, student_t_unit_scale, sum,
};
use serde::{Deserialize, Serialize};

/// `ln(2 pi)`.
const LN_TWO_PI: f64 = 1.8378770664093456;

/// Parameters of the recursion. Variances are squares of the unit of the returns, per step.
///
/// Only checked values exist: see [`Garch::new`].
///
/// ```
/// use plimsoll_quant::garch::{Garch, Start};
/// let model = Garch::symmetric(0.2, 0.2, 0.3).unwrap();
/// assert!((model.long_run() - 0.4).abs() < 1e-15);
/// let path = model.variances(&[0.1, 0.1], Start::FirstSquare).unwrap();
/// assert_eq!(path.before[0], 0.1 * 0.1);
/// assert!((path.before[1].sqrt() - 0.45276925690687087).abs() < 1e-15);
/// assert!((path.next.sqrt() - 0.5133225107084239).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parameters")]
pub struct Garch {
    omega: f64,
    alpha: f64,
    gamma: f64,
    beta: f64,
}

/// Parameters as they are written down, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    omega: f64,
    alpha: f64,
    gamma: f64,
    beta: f64,
}

impl TryFrom<Parameters> for Garch {
    type Error = StatsError;

    fn try_from(p: Parameters) -> Result<Self, StatsError> {
        Self::new(p.omega, p.alpha, p.gamma, p.beta)
    }
}

/// What the recursion starts from.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Start {
    /// The variance before the first residual is this number, `> 0`.
    Variance(f64),
    /// The residual and the variance before the sample have this square: `h_1 = omega + persistence x backcast`, `> 0`.
    Backcast(f64),
    /// As [`Start::Backcast`] with the mean square of the whole sample: the benchmark's start.
    MeanSquare,
    /// The variance before the first residual is its own square, `h_1 = e_1^2` (QuantLib). It may be 0, but then
    /// the residual has no likelihood.
    FirstSquare,
}

/// Conditional variances along a series of residuals.
#[derive(Clone, PartialEq, Debug)]
pub struct VariancePath {
    /// `before[t]`: variance of residual `t` known before it was seen, `> 0` (the first may be 0, see
    /// [`Start::FirstSquare`]).
    pub before: Vec<f64>,
    /// Variance of the residual after the last one.
    pub next: f64,
}

/// Law of a residual divided by the root of its variance: mean 0, variance 1.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Law {
    /// Normal.
    Normal,
    /// Student's t scaled to unit variance.
    StudentT {
        /// Degrees of freedom, finite and above 2.
        nu: f64,
    },
}

impl Law {
    /// Quantile at `level` in (0, 1): negative below one half.
    ///
    /// ```
    /// use plimsoll_quant::garch::Law;
    /// // scipy.stats.t(5).ppf(0.01) sqrt(3/5)
    /// let worst = Law::StudentT { nu: 5.0 }.quantile(0.01).unwrap();
    /// assert!((worst + 2.6064635693842795).abs() < 1e-12);
    /// ```
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a level outside (0, 1) or degrees of freedom at or below 2.
    pub fn quantile(self, level: f64) -> Result<f64, StatsError> {
        check_level(level)?;
        match self {
            Self::Normal => Ok(norm_quantile(level)),
            Self::StudentT { nu } => Ok(student_t_quantile(level, nu) * student_t_unit_scale(nu)?),
        }
    }

    /// # Errors
    /// [`StatsError::Domain`] where the variance is infinite.
    pub(crate) fn check(self) -> Result<(), StatsError> {
        match self {
            Self::StudentT { nu } if !(nu > 2.0 && nu.is_finite()) => {
                Err(StatsError::Domain { parameter: "nu", value: nu, domain: "finite and > 2" })
            }
            _ => Ok(()),
        }
    }
}

fn mean_square(residuals: &[f64]) -> f64 {
    sum(residuals.iter().map(|e| e * e)) / count(residuals.len())
}

impl Garch {
    /// GJR-GARCH(1,1). `gamma` is what a negative residual adds to `alpha`; it may be negative.
    ///
    /// # Errors
    /// [`StatsError::Domain`] unless `omega > 0`, `alpha, beta >= 0`, `alpha + gamma >= 0` and the persistence
    /// `alpha + gamma/2 + beta` is below 1.
    pub fn new(omega: f64, alpha: f64, gamma: f64, beta: f64) -> Result<Self, StatsError> {
        positive("omega", omega)?;
        not_negative("alpha", alpha)?;
        not_negative("beta", beta)?;
        not_negative("alpha + gamma", alpha + gamma)?;
        let model = Self { omega, alpha, gamma, beta };
        let persistence = model.persistence();
        if persistence < 1.0 {
            return Ok(model);
        }
        Err(StatsError::Domain { parameter: "persistence", value: persistence, domain: "< 1" })
    }

    /// GARCH(1,1): no difference between gains and losses.
    ///
    /// # Errors
    /// As [`Garch::new`].
    pub fn symmetric(omega: f64, alpha: f64, beta: f64) -> Result<Self, StatsError> {
        Self::new(omega, alpha, 0.0, beta)
    }

    /// GARCH(1,1) with a given unconditional variance: `omega = long_run (1 - alpha - beta)`.
    ///
    /// # Errors
    /// As [`Garch::new`].
    pub fn targeting(long_run: f64, alpha: f64, beta: f64) -> Result<Self, StatsError> {
        positive("long-run variance", long_run)?;
        Self::symmetric(long_run * (1.0 - alpha - beta), alpha, beta)
    }

    /// `omega`, `alpha`, `gamma`, `beta`.
    #[must_use]
    pub fn parameters(&self) -> [f64; 4] {
        [self.omega, self.alpha, self.gamma, self.beta]
    }

    /// `alpha + gamma/2 + beta`, in [0, 1): the share of a variance shock that is left after one step.
    #[must_use]
    pub fn persistence(&self) -> f64 {
        self.alpha + 0.5 * self.gamma + self.beta
    }

    /// Unconditional variance `omega / (1 - persistence)`.
    #[must_use]
    pub fn long_run(&self) -> f64 {
        self.omega / (1.0 - self.persistence())
    }

    /// Variance of the next residual after `residual`, whose own variance was `variance`.
    #[must_use]
    #[inline]
    pub fn step(&self, residual: f64, variance: f64) -> f64 {
        let weight = if residual < 0.0 { self.alpha + self.gamma } else { self.alpha };
        next_variance([self.omega, weight, self.beta], residual, variance)
    }

    /// Variances along `residuals` (returns less their mean).
    ///
    /// # Errors
    /// [`StatsError`] on an empty series, a value that is not finite, or a start that is not a positive variance.
    pub fn variances(&self, residuals: &[f64], start: Start) -> Result<VariancePath, StatsError> {
        check_sample(residuals, 1)?;
        let mut variance = self.first_variance(residuals, start)?;
        let mut before = Vec::with_capacity(residuals.len());
        for &residual in residuals {
            before.push(variance);
            variance = self.step(residual, variance);
        }
        Ok(VariancePath { before, next: variance })
    }

    fn first_variance(&self, residuals: &[f64], start: Start) -> Result<f64, StatsError> {
        let backcast = match start {
            Start::Variance(variance) => return positive("variance", variance),
            Start::FirstSquare => return Ok(residuals[0] * residuals[0]),
            Start::Backcast(square) => positive("backcast", square)?,
            Start::MeanSquare => positive("mean square", mean_square(residuals))?,
        };
        Ok(self.omega + self.persistence() * backcast)
    }

    /// Log-likelihood of `residuals` under `law`, summed over the series with no term dropped:
    /// `-(1/2) sum (ln 2 pi + ln h_t + e_t^2/h_t)` for the normal law, see [`log_density`] for Student's t.
    ///
    /// # Errors
    /// As [`Garch::variances`], and [`StatsError::Domain`] for degrees of freedom at or below 2.
    pub fn log_likelihood(&self, residuals: &[f64], start: Start, law: Law) -> Result<f64, StatsError> {
        let path = self.variances(residuals, start)?;
        log_likelihood(residuals, &path.before, law)
    }

    /// Expected variance of the residual `steps` ahead, of which the next one has variance `next`:
    /// `h_inf + persistence^(steps - 1) (next - h_inf)`. `steps = 1` is `next` itself.
    ///
    /// # Errors
    /// [`StatsError::Domain`] when `next` is not a positive variance or `steps` is 0.
    pub fn forecast(&self, next: f64, steps: u32) -> Result<f64, StatsError> {
        let (_, last) = self.accumulate(next, steps)?;
        Ok(last)
    }

    /// Expected variance of the sum of the next `steps` residuals: the sum of their forecasts.
    ///
    /// # Errors
    /// As [`Garch::forecast`].
    pub fn forecast_total(&self, next: f64, steps: u32) -> Result<f64, StatsError> {
        let (total, _) = self.accumulate(next, steps)?;
        Ok(total)
    }

    /// Sum of the forecasts of `steps` steps, and the last of them.
    fn accumulate(&self, next: f64, steps: u32) -> Result<(f64, f64), StatsError> {
        positive("next variance", next)?;
        if steps == 0 {
            return Err(StatsError::Domain { parameter: "steps", value: 0.0, domain: ">= 1" });
        }
        let (long_run, persistence) = (self.long_run(), self.persistence());
        let mut excess = next - long_run;
        let (mut total, mut last) = (next, next);
        for _ in 1..steps {
            excess *= persistence;
            last = long_run + excess;
            total += last;
        }
        Ok((total, last))
    }
}

/// `omega + weight e^2 + beta h`.
#[inline]
fn next_variance([omega, weight, beta]: [f64; 3], residual: f64, variance: f64) -> f64 {
    omega + weight * residual * residual + beta * variance
}

/// Log-likelihood of residuals with known variances; the two series in step.
///
/// # Errors
/// [`StatsError`] on series of different length, no observation, a residual that is not finite, a variance that is not
/// positive, or degrees of freedom at or below 2.
pub fn log_likelihood(residuals: &[f64], variances: &[f64], law: Law) -> Result<f64, StatsError> {
    if residuals.len() != variances.len() {
        return Err(StatsError::Lengths { left: residuals.len(), right: variances.len() });
    }
    check_sample(residuals, 1)?;
    law.check()?;
    for &variance in variances {
        positive("variance", variance)?;
    }
    let constant = log_constant(law);
    let terms = residuals.iter().zip(variances).map(|(&e, &h)| constant + log_kernel(e, h, law));
    Ok(terms.fold(0.0, |total, term| total + term))
}

/// Log-density of a residual with variance `h` under `law`.
///
/// Student's t: `ln G((nu+1)/2) - ln G(nu/2) - ln(pi (nu-2))/2 - ln(h)/2 - (nu+1)/2 ln(1 + e^2/((nu-2) h))`.
///
/// # Errors
/// [`StatsError`] as [`log_likelihood`].
pub fn log_density(residual: f64, variance: f64, law: Law) -> Result<f64, StatsError> {
    log_likelihood(&[residual], &[variance], law)
}

/// The part of the log-density that depends on the law alone.
pub(crate) fn log_constant(law: Law) -> f64 {
    match law {
        Law::Normal => -0.5 * LN_TWO_PI,
        Law::StudentT { nu } => {
            let scale = 0.5 * ln(std::f64::consts::PI * (nu - 2.0));
            // A difference of large logarithms: what is lost would be noise to a search for the degrees of freedom.
            ln_gamma_dd(0.5 * (nu + 1.0)).sub(ln_gamma_dd(0.5 * nu)).hi - scale
        }
    }
}

fn log_kernel(residual: f64, variance: f64, law: Law) -> f64 {
    -0.5 * (ln(variance) + log_tail(residual * residual / variance, law))
}

/// The part of minus twice the log-density that depends on the square of the residual over its variance.
#[inline]
pub(crate) fn log_tail(square: f64, law: Law) -> f64 {
    match law {
        Law::Normal => square,
        Law::StudentT { nu } => (nu + 1.0) * ln_1p(square / (nu - 2.0)),
    }
}
