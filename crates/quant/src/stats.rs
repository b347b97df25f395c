//! Statistics of samples: moments, quantiles, value at risk, expected shortfall, volatility scaling.
//!
//! The one idea: a convention is part of a number. Quantiles name their rule, and every tail measure here is *index above
//! on losses* with expected shortfall the mean of P&L at or below the quantile, unless its name says otherwise.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::{exp, ln, ln_gamma_dd, norm_pdf, norm_quantile, student_t_pdf, student_t_quantile};

/// Why a statistic has no value.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum StatsError {
    /// Too few observations.
    #[error("{observations} observations, at least {needed} are needed")]
    TooFew {
        /// Given.
        observations: usize,
        /// Needed.
        needed: usize,
    },
    /// An observation is not finite.
    #[error("observation {index} is {value}")]
    NotFinite {
        /// Position.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A parameter is outside its domain.
    #[error("{parameter} = {value} is outside its domain: {domain}")]
    Domain {
        /// Name.
        parameter: &'static str,
        /// Value.
        value: f64,
        /// The domain.
        domain: &'static str,
    },
    /// Two samples differ in length.
    #[error("samples of {left} and {right} observations")]
    Lengths {
        /// First sample's length.
        left: usize,
        /// Second sample's length.
        right: usize,
    },
    /// An iteration did not settle.
    #[error("no convergence after {iterations} iterations, last change {change}")]
    NotConverged {
        /// Iterations done.
        iterations: usize,
        /// What still changed.
        change: f64,
    },
}

/// A parameter that must be finite and above 0.
pub(crate) fn positive(parameter: &'static str, value: f64) -> Result<f64, StatsError> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(StatsError::Domain { parameter, value, domain: "finite and > 0" })
}

/// A parameter that must be finite and not below 0.
pub(crate) fn not_negative(parameter: &'static str, value: f64) -> Result<f64, StatsError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(StatsError::Domain { parameter, value, domain: "finite and >= 0" })
}

/// A count that must reach a least one.
pub(crate) fn at_least(parameter: &'static str, value: usize, least: usize) -> Result<usize, StatsError> {
    if value >= least {
        return Ok(value);
    }
    Err(StatsError::Domain { parameter, value: count(value), domain: "a larger whole number" })
}

/// The value of observation `index` when it is finite.
pub(crate) fn finite(index: usize, value: f64) -> Result<f64, StatsError> {
    if value.is_finite() { Ok(value) } else { Err(StatsError::NotFinite { index, value }) }
}

/// Whether there are enough observations.
pub(crate) fn enough(observations: usize, needed: usize) -> Result<(), StatsError> {
    if observations >= needed { Ok(()) } else { Err(StatsError::TooFew { observations, needed }) }
}

pub(crate) fn check_sample(sample: &[f64], needed: usize) -> Result<(), StatsError> {
    enough(sample.len(), needed)?;
    match sample.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { index, value: sample[index] }),
        None => Ok(()),
    }
}

pub(crate) fn check_level(level: f64) -> Result<(), StatsError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(StatsError::Domain { parameter: "level", value: level, domain: "(0, 1)" })
}

pub(crate) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |total, x| total + x)
}

#[allow(clippy::cast_precision_loss, reason = "a sample of 2^53 observations does not fit in memory")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// Arithmetic mean.
///
/// # Errors
/// [`StatsError`] on an empty sample or a value that is not finite.
pub fn mean(sample: &[f64]) -> Result<f64, StatsError> {
    check_sample(sample, 1)?;
    Ok(sum(sample.iter().copied()) / count(sample.len()))
}

/// Unbiased variance: squared deviations over `n - 1`.
///
/// # Errors
/// [`StatsError`] on fewer than two observations or a value that is not finite.
pub fn variance(sample: &[f64]) -> Result<f64, StatsError> {
    covariance(sample, sample)
}

/// Unbiased covariance of two samples: products of deviations over `n - 1`.
///
/// # Errors
/// [`StatsError`] on samples of different length, fewer than two observations, or a value that is not finite.
pub fn covariance(x: &[f64], y: &[f64]) -> Result<f64, StatsError> {
    if x.len() != y.len() {
        return Err(StatsError::Lengths { left: x.len(), right: y.len() });
    }
    check_sample(x, 2)?;
    check_sample(y, 2)?;
    let (mx, my) = (mean(x)?, mean(y)?);
    Ok(sum(x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my))) / count(x.len() - 1))
}

/// Pearson correlation, in `[-1, 1]`.
///
/// ```
/// use plimsoll_quant::stats::correlation;
/// let rho = correlation(&[3.0, 2.0, 4.0, 5.0, 6.0], &[9.0, 7.0, 12.0, 15.0, 17.0]).unwrap();
/// assert!((rho - 0.9970544855015815).abs() < 1e-15);
/// ```
///
/// # Errors
/// As [`covariance`], and [`StatsError::Domain`] when a sample does not vary.
pub fn correlation(x: &[f64], y: &[f64]) -> Result<f64, StatsError> {
    let cov = covariance(x, y)?;
    let product = variance(x)? * variance(y)?;
    if !(product > 0.0) {
        return Err(StatsError::Domain { parameter: "variance", value: product, domain: "> 0" });
    }
    Ok((cov / product.sqrt()).clamp(-1.0, 1.0))
}

/// Covariance matrix of `series`, row-major, unbiased.
///
/// # Errors
/// As [`covariance`].
pub fn covariance_matrix(series: &[&[f64]]) -> Result<Vec<f64>, StatsError> {
    symmetric_matrix(series, covariance)
}

/// Pearson correlation matrix of `series`, row-major, unit diagonal.
///
/// # Errors
/// As [`correlation`].
pub fn correlation_matrix(series: &[&[f64]]) -> Result<Vec<f64>, StatsError> {
    let n = series.len();
    let mut matrix = symmetric_matrix(series, correlation)?;
    for i in 0..n {
        matrix[i * n + i] = 1.0;
    }
    Ok(matrix)
}

fn symmetric_matrix(
    series: &[&[f64]],
    entry: impl Fn(&[f64], &[f64]) -> Result<f64, StatsError>,
) -> Result<Vec<f64>, StatsError> {
    let n = series.len();
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let value = entry(series[i], series[j])?;
            matrix[i * n + j] = value;
            matrix[j * n + i] = value;
        }
    }
    Ok(matrix)
}

/// How a quantile is read off a sorted sample `x_1..x_n` at level `p`; indices are clamped to `[1, n]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuantileRule {
    /// `x_ceil(np)` (numpy `inverted_cdf`), with the guard `ceil(np - 1e-12)`. The rule of this project.
    IndexAbove,
    /// `x_floor(np + 1/2)`.
    NearestIndex,
    /// `x_floor((n+1)p + 1/2)`.
    NearestIndexPlusOne,
    /// Interpolated at `h = np` (numpy `interpolated_inverted_cdf`).
    SampleInterpolated,
    /// Interpolated at `h = (n+1)p` (numpy `weibull`).
    SamplePlusOneInterpolated,
    /// Interpolated at `h = np + 1/2` (numpy `hazen`).
    MidwayInterpolated,
    /// Interpolated at `h = (n-1)p + 1` (numpy `linear`, its default).
    SampleMinusOneInterpolated,
}

/// Guard against `np` that is an integer in exact arithmetic and a little above it in floating point.
const INDEX_GUARD: f64 = 1e-12;

/// Quantile of a sample at level `p` in (0, 1), by `rule`.
///
/// # Errors
/// [`StatsError`] on an empty sample, a value that is not finite, or a level outside (0, 1).
pub fn quantile(sample: &[f64], p: f64, rule: QuantileRule) -> Result<f64, StatsError> {
    check_sample(sample, 1)?;
    check_level(p)?;
    Ok(quantile_sorted(&sorted(sample), p, rule))
}

/// The index-above quantile at level `p` in (0, 1) of finite values, not empty, whose order is lost: linear in their number.
pub(crate) fn select_index_above(values: &mut [f64], p: f64) -> f64 {
    let place = index_above(values.len(), p);
    *values.select_nth_unstable_by(place, f64::total_cmp).1
}

/// Zero-based place of the index-above quantile among `n` sorted values.
pub(crate) fn index_above(n: usize, p: f64) -> usize {
    clamped_index((count(n) * p - INDEX_GUARD).ceil(), n)
}

/// Order statistic `ceil(n (1 - confidence))` of returns, sign turned: the loss of a long position. The order of the
/// returns is lost.
pub(crate) fn select_lower_tail(returns: &mut [f64], confidence: f64) -> f64 {
    0.0 - select_index_above(returns, 1.0 - confidence)
}

pub(crate) fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut ascending = sample.to_vec();
    ascending.sort_by(f64::total_cmp);
    ascending
}

fn quantile_sorted(x: &[f64], p: f64, rule: QuantileRule) -> f64 {
    let n = count(x.len());
    let at = |h: f64| x[clamped_index(h, x.len())];
    let interpolated = |h: f64| {
        let below = h.floor();
        let (lo, hi) = (at(below), at(below + 1.0));
        lo + (h - below) * (hi - lo)
    };
    match rule {
        QuantileRule::IndexAbove => x[index_above(x.len(), p)],
        QuantileRule::NearestIndex => at((n * p + 0.5).floor()),
        QuantileRule::NearestIndexPlusOne => at(((n + 1.0) * p + 0.5).floor()),
        QuantileRule::SampleInterpolated => interpolated(n * p),
        QuantileRule::SamplePlusOneInterpolated => interpolated((n + 1.0) * p),
        QuantileRule::MidwayInterpolated => interpolated(n * p + 0.5),
        QuantileRule::SampleMinusOneInterpolated => interpolated((n - 1.0) * p + 1.0),
    }
}

/// Zero-based index of the one-based position `h`, clamped to the sample.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "h is an integer clamped to [1, n]"
)]
fn clamped_index(h: f64, n: usize) -> usize {
    h.max(1.0).min(count(n)) as usize - 1
}

/// Value at risk and expected shortfall of a P&L sample at confidence `level` (0.99, say): losses, positive is a loss.
///
/// VaR is the index-above quantile of the losses, `l_ceil(n level)`; ES is the mean of the losses at or above it (ties
/// included), so `es >= var`. Both are negative when even the tail gains.
///
/// # Errors
/// [`StatsError`] on an empty sample, a value that is not finite, or a level outside (0, 1).
pub fn var_es(pnl: &[f64], level: f64) -> Result<(f64, f64), StatsError> {
    check_sample(pnl, 1)?;
    check_level(level)?;
    let losses: Vec<f64> = pnl.iter().map(|x| 0.0 - x).collect();
    let ascending = sorted(&losses);
    let var = quantile_sorted(&ascending, level, QuantileRule::IndexAbove);
    Ok((var, mean_from(&ascending, |loss| loss >= var)))
}

/// Quantile of P&L at level `q` and the mean of P&L at or below it, both with P&L's own sign (gain positive).
///
/// The lower-tail convention for every `q`: `var = x_ceil(nq)` of ascending P&L, and `es` at 0.95 is the mean of the lowest
/// 95 %. At confidence `c` on losses see [`var_es`]; the two agree with `q = 1 - c` unless `n q` is an integer.
///
/// # Errors
/// As [`var_es`].
pub fn pnl_var_es(pnl: &[f64], q: f64) -> Result<(f64, f64), StatsError> {
    check_sample(pnl, 1)?;
    check_level(q)?;
    let ascending = sorted(pnl);
    let var = quantile_sorted(&ascending, q, QuantileRule::IndexAbove);
    Ok((var, mean_from(&ascending, |x| x <= var)))
}

fn mean_from(values: &[f64], chosen: impl Fn(f64) -> bool) -> f64 {
    let (mut total, mut n) = (0.0, 0);
    for &x in values.iter().filter(|&&x| chosen(x)) {
        total += x;
        n += 1;
    }
    total / count(n)
}

/// Value at risk and expected shortfall of a standard normal loss at confidence `level`:
/// `N^-1(level)` and `n(VaR)/(1 - level)`.
///
/// # Errors
/// [`StatsError::Domain`] on a level outside (0, 1).
pub fn normal_var_es(level: f64) -> Result<(f64, f64), StatsError> {
    check_level(level)?;
    let var = norm_quantile(level);
    Ok((var, norm_pdf(var) / (1.0 - level)))
}

/// Value at risk and expected shortfall of a Student-t loss with `nu` degrees of freedom (scale 1, not variance 1):
/// `t = T_nu^-1(level)` and `f(t)/(1 - level) (nu + t^2)/(nu - 1)`.
///
/// # Errors
/// [`StatsError::Domain`] on a level outside (0, 1), or `nu <= 1`, where the shortfall is infinite.
pub fn student_t_var_es(level: f64, nu: f64) -> Result<(f64, f64), StatsError> {
    check_level(level)?;
    if !(nu > 1.0 && nu.is_finite()) {
        return Err(StatsError::Domain { parameter: "nu", value: nu, domain: "finite and > 1" });
    }
    let t = student_t_quantile(level, nu);
    Ok((t, student_t_pdf(t, nu) / (1.0 - level) * ((nu + t * t) / (nu - 1.0))))
}

/// Scale that gives a Student-t unit variance: `sqrt((nu-2)/nu)`.
///
/// # Errors
/// [`StatsError::Domain`] for `nu <= 2`, where the variance is infinite.
pub fn student_t_unit_scale(nu: f64) -> Result<f64, StatsError> {
    if nu > 2.0 && nu.is_finite() {
        return Ok(((nu - 2.0) / nu).sqrt());
    }
    Err(StatsError::Domain { parameter: "nu", value: nu, domain: "finite and > 2" })
}

/// Mean of the absolute value of Student's t with `nu` degrees of freedom (scale 1, not variance 1):
/// `2 sqrt(nu) G((nu+1)/2) / (G(nu/2) sqrt(pi) (nu-1))`; `sqrt(2/pi)` in the limit.
///
/// A quantile over it turns a mean absolute return into a value at risk.
///
/// # Errors
/// [`StatsError::Domain`] for `nu <= 1`, where the mean is infinite.
pub fn student_t_mean_abs(nu: f64) -> Result<f64, StatsError> {
    if !(nu > 1.0 && nu.is_finite()) {
        return Err(StatsError::Domain { parameter: "nu", value: nu, domain: "finite and > 1" });
    }
    let ratio = exp(ln_gamma_dd(0.5 * (nu + 1.0)).sub(ln_gamma_dd(0.5 * nu)).hi);
    Ok(2.0 * nu.sqrt() * ratio / (std::f64::consts::PI.sqrt() * (nu - 1.0)))
}

/// An exponentially weighted variance along a series of returns.
#[derive(Clone, PartialEq, Debug)]
pub struct EwmaPath {
    /// `before[i]`: variance known before return `i` was seen; `before[0]` is the seed.
    pub before: Vec<f64>,
    /// Variance after the last return: today's.
    pub last: f64,
}

/// Exponentially weighted variance `s2_t = lambda s2_{t-1} + (1 - lambda) r_t^2` of returns about zero, from `seed`.
///
/// # Errors
/// [`StatsError`] on an empty series, a value that is not finite, `lambda` outside (0, 1), or a seed that is not positive.
pub fn ewma_variance(returns: &[f64], lambda: f64, seed: f64) -> Result<EwmaPath, StatsError> {
    check_sample(returns, 1)?;
    if !(lambda > 0.0 && lambda < 1.0) {
        return Err(StatsError::Domain { parameter: "lambda", value: lambda, domain: "(0, 1)" });
    }
    if !(seed > 0.0 && seed.is_finite()) {
        return Err(StatsError::Domain { parameter: "seed", value: seed, domain: "finite and > 0" });
    }
    let mut last = seed;
    let mut before = Vec::with_capacity(returns.len());
    for r in returns {
        before.push(last);
        last = ewma_step(lambda, last, *r);
    }
    Ok(EwmaPath { before, last })
}

/// `decay before + (1 - decay) r^2`.
#[inline]
pub(crate) fn ewma_step(decay: f64, before: f64, r: f64) -> f64 {
    decay * before + (1.0 - decay) * r * r
}

/// Mean square of the first `window` returns (all of them when there are fewer): the usual seed, with `window` 500.
///
/// # Errors
/// [`StatsError`] on an empty series, an empty window, or a value that is not finite.
pub fn ewma_seed(returns: &[f64], window: usize) -> Result<f64, StatsError> {
    let first = &returns[..window.min(returns.len())];
    check_sample(first, 1)?;
    Ok(sum(first.iter().map(|r| r * r)) / count(first.len()))
}

/// Half-life in observations of a decay `lambda`: `ln(1/2)/ln(lambda)`.
#[must_use]
pub fn half_life(lambda: f64) -> f64 {
    -std::f64::consts::LN_2 / ln(lambda)
}

/// Decay whose half-life is `observations`: `2^(-1/observations)`.
#[must_use]
pub fn decay_of_half_life(observations: f64) -> f64 {
    exp(-std::f64::consts::LN_2 / observations)
}

/// Factor of a return in filtered historical simulation: `now / before`, both volatilities `> 0`, clamped to `[1/cap, cap]` when
/// there is a cap `>= 1`.
#[must_use]
#[inline]
pub fn filtered_factor(now: f64, before: f64, cap: Option<f64>) -> f64 {
    let raw = now / before;
    match cap {
        Some(c) => raw.max(1.0 / c).min(c),
        None => raw,
    }
}

/// A cap on [`filtered_factor`], if there is one, must be at least 1.
pub(crate) fn check_cap(cap: Option<f64>) -> Result<(), StatsError> {
    match cap {
        Some(c) if !(c >= 1.0 && c.is_finite()) => {
            Err(StatsError::Domain { parameter: "cap", value: c, domain: "finite and >= 1" })
        }
        _ => Ok(()),
    }
}

/// Factors of filtered historical simulation: `s_T/s_i` with `s_i` the volatility known *before* return `i`, so that the
/// scenario is `r_i` times the factor. With a cap `c >= 1` the factor is clamped to `[1/c, c]`.
///
/// # Errors
/// [`StatsError::Domain`] when a variance is not positive or the cap is below 1.
pub fn filtered_factors(path: &EwmaPath, cap: Option<f64>) -> Result<Vec<f64>, StatsError> {
    check_cap(cap)?;
    let today = positive("variance", path.last)?.sqrt();
    let factor = |before: &f64| Ok(filtered_factor(today, positive("variance", *before)?.sqrt(), cap));
    path.before.iter().map(factor).collect()
}
