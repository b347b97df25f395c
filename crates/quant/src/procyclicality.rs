//! Margins of one unit along a series of returns, the tools that make them less procyclical, and measures of it.
//!
//! The one idea: a margin model here is a function from returns to a series of margins that uses on each day what was known
//! at its end, and a tool is a function from such a series to another, so that every combination can be measured the same way.
//!
//! A margin is the loss of a long position over one step at some confidence, in units of the return, positive. Sources: Murphy,
//! Vasios and Vause (Bank of England, 2014) for the measures; Commission Delegated Regulation (EU) 153/2013, article 28 for the
//! tools; Barone-Adesi, Giannopoulos and Vosper (1999) for filtered historical simulation. This module must never know what was
//! held, nor a date: it counts observations.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::{ln, norm_quantile};
use crate::stats::{
    QuantileRule, StatsError, check_cap, count, ewma_seed, ewma_variance, filtered_factor, mean, quantile,
    select_lower_tail, variance,
};

/// What is common to all margin models of a comparison.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Convention {
    /// Confidence of the margin, in (0, 1): 0.99 covers all but one loss in a hundred.
    pub confidence: f64,
    /// Observations before the first margin, at least 1; also those whose mean square seeds an exponential average.
    pub warm_up: usize,
}

/// How a margin is found from the returns up to a day, that day included.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MarginModel {
    /// Normal quantile times the exponentially weighted volatility about zero.
    Ewma {
        /// Decay per observation, in (0, 1).
        lambda: f64,
    },
    /// Order statistic `ceil(n (1 - confidence))` of the last `n = window` returns, sign turned.
    Historical {
        /// Observations; at the start of the series as many as there are.
        window: usize,
    },
    /// Historical simulation of returns rescaled by today's volatility over the one known before each of them.
    Filtered {
        /// Decay of the volatility.
        lambda: f64,
        /// Observations.
        window: usize,
        /// Largest factor a return is scaled by, and one over the smallest, `>= 1`; none: no bound.
        cap: Option<f64>,
    },
}

fn domain(parameter: &'static str, value: f64, domain: &'static str) -> StatsError {
    StatsError::Domain { parameter, value, domain }
}

fn check_convention(returns: &[f64], convention: &Convention) -> Result<(), StatsError> {
    if !(convention.confidence > 0.0 && convention.confidence < 1.0) {
        return Err(domain("confidence", convention.confidence, "(0, 1)"));
    }
    if convention.warm_up == 0 {
        return Err(domain("warm_up", 0.0, ">= 1"));
    }
    if returns.len() < convention.warm_up {
        return Err(StatsError::TooFew { observations: returns.len(), needed: convention.warm_up });
    }
    match returns.iter().position(|r| !r.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { index, value: returns[index] }),
        None => Ok(()),
    }
}

fn check_window(window: usize) -> Result<(), StatsError> {
    if window > 0 { Ok(()) } else { Err(domain("window", 0.0, ">= 1")) }
}

/// Margins from return `warm_up - 1` to the last: element `i` is known after return `warm_up - 1 + i`.
///
/// The exponential average runs from the first return, with the mean square of the first `warm_up` returns as the variance
/// before it.
///
/// ```
/// use plimsoll_quant::procyclicality::{Convention, MarginModel, margins};
/// let returns = [0.01, -0.02, 0.005, -0.01, 0.03];
/// let convention = Convention { confidence: 0.5, warm_up: 3 };
/// let worst_half = margins(&returns, &MarginModel::Historical { window: 3 }, &convention).unwrap();
/// // Second lowest of (1, -2, 0.5) %, of (-2, 0.5, -1) %, of (0.5, -1, 3) %.
/// assert_eq!(worst_half, [-0.005, 0.01, -0.005]);
/// ```
///
/// # Errors
/// [`StatsError`] on too few returns, a value that is not finite, or a parameter outside its domain.
pub fn margins(
    returns: &[f64],
    model: &MarginModel,
    convention: &Convention,
) -> Result<Vec<f64>, StatsError> {
    check_convention(returns, convention)?;
    match *model {
        MarginModel::Ewma { lambda } => {
            let z = norm_quantile(convention.confidence);
            let variances = end_of_day_variances(returns, lambda, convention)?;
            Ok(variances[convention.warm_up..].iter().map(|v| z * v.sqrt()).collect())
        }
        MarginModel::Historical { window } => historical(returns, window, convention),
        MarginModel::Filtered { lambda, window, cap } => {
            check_window(window)?;
            check_cap(cap)?;
            let variances = end_of_day_variances(returns, lambda, convention)?;
            filtered(returns, &variances, (window, cap), convention)
        }
    }
}

/// Element 0 is the seed, element `i + 1` the variance after return `i`.
fn end_of_day_variances(
    returns: &[f64],
    lambda: f64,
    convention: &Convention,
) -> Result<Vec<f64>, StatsError> {
    let seed = ewma_seed(returns, convention.warm_up)?;
    let path = ewma_variance(returns, lambda, seed)?;
    let mut variances = path.before;
    variances.push(path.last);
    Ok(variances)
}

fn historical(returns: &[f64], window: usize, convention: &Convention) -> Result<Vec<f64>, StatsError> {
    check_window(window)?;
    let mut recent = Vec::with_capacity(window.min(returns.len()));
    let margin = |end: usize| {
        recent.clear();
        recent.extend_from_slice(&returns[end.saturating_sub(window)..end]);
        select_lower_tail(&mut recent, convention.confidence)
    };
    Ok((convention.warm_up..=returns.len()).map(margin).collect())
}

fn filtered(
    returns: &[f64],
    variances: &[f64],
    (window, cap): (usize, Option<f64>),
    convention: &Convention,
) -> Result<Vec<f64>, StatsError> {
    let vols: Vec<f64> = variances.iter().map(|v| v.sqrt()).collect();
    if let Some(&vol) = vols.iter().find(|vol| !(**vol > 0.0)) {
        return Err(domain("volatility", vol, "> 0"));
    }
    let mut rescaled = Vec::with_capacity(window.min(returns.len()));
    let margin = |end: usize| {
        let now = vols[end];
        rescaled.clear();
        let days = end.saturating_sub(window)..end;
        rescaled.extend(days.map(|i| returns[i] * filtered_factor(now, vols[i], cap)));
        select_lower_tail(&mut rescaled, convention.confidence)
    };
    Ok((convention.warm_up..=returns.len()).map(margin).collect())
}

/// Margins of the long look-back in step with [`margins`]: normal quantile times the root of the mean square of the last
/// `look_back` returns (as many as there are); ten years are 2520.
///
/// # Errors
/// As [`margins`].
pub fn long_look_back(
    returns: &[f64],
    look_back: usize,
    convention: &Convention,
) -> Result<Vec<f64>, StatsError> {
    check_convention(returns, convention)?;
    check_window(look_back)?;
    let z = norm_quantile(convention.confidence);
    let margin = |end: usize| {
        let window = &returns[end.saturating_sub(look_back)..end];
        let squares = window.iter().fold(0.0, |total, r| total + r * r);
        z * (squares / count(window.len())).sqrt()
    };
    Ok((convention.warm_up..=returns.len()).map(margin).collect())
}

fn check_margins(margins: &[f64], needed: usize) -> Result<(), StatsError> {
    if margins.len() < needed {
        return Err(StatsError::TooFew { observations: margins.len(), needed });
    }
    match margins.iter().find(|m| !(**m > 0.0 && m.is_finite())) {
        Some(&margin) => Err(domain("margin", margin, "finite and > 0")),
        None => Ok(()),
    }
}

/// The larger of two series day by day: a floor (article 28(1)(c)), or two models combined.
///
/// # Errors
/// [`StatsError::Lengths`] on series of different length.
pub fn larger_of(margins: &[f64], floor: &[f64]) -> Result<Vec<f64>, StatsError> {
    if margins.len() != floor.len() {
        return Err(StatsError::Lengths { left: margins.len(), right: floor.len() });
    }
    Ok(margins.iter().zip(floor).map(|(m, f)| m.max(*f)).collect())
}

/// Weight on a stressed margin: `(1 - weight) M + weight stressed` (article 28(1)(b), weight at least 0.25).
///
/// # Errors
/// [`StatsError::Domain`] for a weight outside [0, 1] or a stressed margin that is not finite and positive.
pub fn with_stress(margins: &[f64], weight: f64, stressed: f64) -> Result<Vec<f64>, StatsError> {
    if !(0.0..=1.0).contains(&weight) {
        return Err(domain("weight", weight, "[0, 1]"));
    }
    check_margins(&[stressed], 1)?;
    Ok(margins.iter().map(|m| (1.0 - weight) * m + weight * stressed).collect())
}

/// A buffer that is used up when margins rise (article 28(1)(a), buffer at least 0.25):
/// `max(M, min((1 + buffer) M, (1 + buffer) p75))`, `p75` the interpolated 75th percentile of the margins of the last `window` days,
/// today included, as many as there are.
///
/// # Errors
/// [`StatsError`] for a negative buffer, an empty window, or a margin that is not finite and positive.
pub fn with_buffer(margins: &[f64], buffer: f64, window: usize) -> Result<Vec<f64>, StatsError> {
    if !(buffer >= 0.0 && buffer.is_finite()) {
        return Err(domain("buffer", buffer, "finite and >= 0"));
    }
    check_window(window)?;
    check_margins(margins, 0)?;
    let buffered = |(today, &margin): (usize, &f64)| {
        let recent = &margins[(today + 1).saturating_sub(window)..=today];
        let usual = quantile(recent, 0.75, QuantileRule::SampleMinusOneInterpolated)?;
        Ok(margin.max(((1.0 + buffer) * margin).min((1.0 + buffer) * usual)))
    };
    margins.iter().enumerate().map(buffered).collect()
}

/// A limit on the rise per day: `M_t = min(target_t, M_{t-1} (1 + rise))`, the first day as it is.
///
/// Alone it adds breaches: use it with a floor, and account for the risk that is left uncovered.
///
/// # Errors
/// [`StatsError::Domain`] for a negative rise.
pub fn with_speed_limit(targets: &[f64], rise: f64) -> Result<Vec<f64>, StatsError> {
    if !(rise >= 0.0 && rise.is_finite()) {
        return Err(domain("rise", rise, "finite and >= 0"));
    }
    let mut limited: Vec<f64> = Vec::with_capacity(targets.len());
    for &target in targets {
        let bound = limited.last().map_or(target, |before| before * (1.0 + rise));
        limited.push(target.min(bound));
    }
    Ok(limited)
}

/// Largest over smallest margin of the series, `>= 1`.
///
/// # Errors
/// [`StatsError`] on an empty series or a margin that is not finite and positive.
pub fn peak_to_trough(margins: &[f64]) -> Result<f64, StatsError> {
    check_margins(margins, 1)?;
    let peak = margins.iter().fold(0.0, |a: f64, m| a.max(*m));
    let trough = margins.iter().fold(f64::INFINITY, |a, m| a.min(*m));
    Ok(peak / trough)
}

/// `M_{t+days} / M_t` for every `t`.
///
/// # Errors
/// [`StatsError`] when `days` is 0 or the series no longer than that, or a margin is not finite and positive.
pub fn increase_ratios(margins: &[f64], days: usize) -> Result<Vec<f64>, StatsError> {
    if days == 0 {
        return Err(domain("days", 0.0, ">= 1"));
    }
    check_margins(margins, days.saturating_add(1))?;
    Ok(margins.iter().zip(&margins[days..]).map(|(before, after)| after / before).collect())
}

/// Largest of [`increase_ratios`].
///
/// # Errors
/// As [`increase_ratios`].
pub fn largest_increase(margins: &[f64], days: usize) -> Result<f64, StatsError> {
    Ok(increase_ratios(margins, days)?.into_iter().fold(0.0, f64::max))
}

/// Interpolated quantile of [`increase_ratios`] at level `p` in (0, 1); 0.99 is usual.
///
/// # Errors
/// As [`increase_ratios`], and [`StatsError::Domain`] for the level.
pub fn increase_quantile(margins: &[f64], days: usize, p: f64) -> Result<f64, StatsError> {
    quantile(&increase_ratios(margins, days)?, p, QuantileRule::SampleMinusOneInterpolated)
}

/// Unbiased standard deviation of `ln M`.
///
/// # Errors
/// [`StatsError`] on fewer than two margins or one that is not finite and positive.
pub fn log_deviation(margins: &[f64]) -> Result<f64, StatsError> {
    check_margins(margins, 2)?;
    let logs: Vec<f64> = margins.iter().map(|m| ln(*m)).collect();
    Ok(variance(&logs)?.sqrt())
}

/// How often losses went beyond the margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Days with a loss beyond the margin of the day before.
    pub breaches: usize,
    /// Days in all.
    pub days: usize,
}

impl Coverage {
    /// `1 - breaches/days`; NaN without a day.
    #[must_use]
    pub fn share(&self) -> f64 {
        1.0 - count(self.breaches) / count(self.days)
    }
}

/// Compares each margin with the return after it, `next_returns` in step: a breach is `-r > M`.
///
/// # Errors
/// [`StatsError::Lengths`] on series of different length.
pub fn coverage(margins: &[f64], next_returns: &[f64]) -> Result<Coverage, StatsError> {
    if margins.len() != next_returns.len() {
        return Err(StatsError::Lengths { left: margins.len(), right: next_returns.len() });
    }
    let breaches = margins.iter().zip(next_returns).filter(|(m, r)| -**r > **m).count();
    Ok(Coverage { breaches, days: margins.len() })
}

/// What margins cost more on average than a base: `mean M / mean base - 1`.
///
/// # Errors
/// [`StatsError`] on an empty series, a value that is not finite, or a base that is not positive.
pub fn relative_cost(margins: &[f64], base: &[f64]) -> Result<f64, StatsError> {
    let base = mean(base)?;
    if !(base > 0.0) {
        return Err(domain("mean of the base", base, "> 0"));
    }
    Ok(mean(margins)? / base - 1.0)
}

/// Returns of alternating sign, of size `calm` for `calm_days`, then of size `stressed` for `stressed_days`: the step whose response
/// is measured (1 % for 1000 days, then 2 % for 600).
#[must_use]
pub fn impulse_path((calm, calm_days): (f64, usize), (stressed, stressed_days): (f64, usize)) -> Vec<f64> {
    let sizes = std::iter::repeat_n(calm, calm_days).chain(std::iter::repeat_n(stressed, stressed_days));
    sizes.enumerate().map(|(day, size)| if day % 2 == 0 { size } else { -size }).collect()
}

/// How margins answer to a step in volatility.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ImpulseResponse {
    /// Peak over terminal margin, less 1.
    pub overshoot: f64,
    /// Days from the step to the (first) peak; 1 is the first day whose return is stressed.
    pub peak_day: usize,
    /// Days from the step until 90 % of the rise to the terminal margin is made.
    pub days_to_90: usize,
}

/// Response of `margins` to a step: `step` is the first element that has seen a stressed return.
///
/// # Errors
/// [`StatsError`] when there is no margin before the step or after it, one is not finite and positive, or the terminal
/// margin is not above the one before the step.
pub fn impulse_response(margins: &[f64], step: usize) -> Result<ImpulseResponse, StatsError> {
    check_margins(margins, step.saturating_add(1).max(2))?;
    if step == 0 {
        return Err(domain("step", 0.0, ">= 1"));
    }
    let (before, after) = margins.split_at(step);
    let (start, terminal) = (before[step - 1], after[after.len() - 1]);
    if !(terminal > start) {
        return Err(domain("terminal margin", terminal, "above the margin before the step"));
    }
    let peak = after.iter().fold(0.0, |a: f64, m| a.max(*m));
    let first = |level: f64| 1 + after.iter().take_while(|m| **m < level).count();
    Ok(ImpulseResponse {
        overshoot: peak / terminal - 1.0,
        peak_day: first(peak),
        days_to_90: first(start + 0.9 * (terminal - start)),
    })
}
