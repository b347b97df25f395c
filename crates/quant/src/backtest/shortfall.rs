//! The statistics of Acerbi and Szekely, *Backtesting expected shortfall* (MSCI, 2014).

use super::{check_rate, real, too_few};
use crate::garch::Law;
use crate::special::{binomial_cdf, exp, ln_1p, norm_cdf, student_t_cdf};
use crate::stats::{StatsError, normal_var_es, student_t_var_es};

/// One day: what happened and what was stated the day before.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ShortfallDay {
    /// Profit (positive) or loss.
    pub pnl: f64,
    /// Stated value at risk, positive for a loss. A breach is `pnl + var < 0`.
    pub var: f64,
    /// Stated expected shortfall, `> 0`.
    pub es: f64,
}

/// Number of breaches and the sum of `pnl/es` over them.
fn breaches(days: &[ShortfallDay]) -> Result<(u64, f64), StatsError> {
    if days.is_empty() {
        return Err(too_few(0, 1));
    }
    let (mut count, mut total) = (0, 0.0);
    for (index, day) in days.iter().enumerate() {
        for value in [day.pnl, day.var] {
            if !value.is_finite() {
                return Err(StatsError::NotFinite { index, value });
            }
        }
        if !(day.es > 0.0 && day.es.is_finite()) {
            return Err(StatsError::Domain { parameter: "es", value: day.es, domain: "finite and > 0" });
        }
        if day.pnl + day.var < 0.0 {
            count += 1;
            total += day.pnl / day.es;
        }
    }
    Ok((count, total))
}

/// Size of breaches: `(1/sum I) sum X I/ES + 1`. 0 is expected of a right model; negative: the losses beyond the value at risk
/// were larger than stated.
///
/// ```
/// use plimsoll_quant::backtest::{ShortfallDay, z1, z2};
/// let days = [-3.0, 1.0, 0.5, -2.2].map(|pnl| ShortfallDay { pnl, var: 2.0, es: 2.5 });
/// assert!((z1(&days).unwrap() - (1.0 - (1.2 + 0.88) / 2.0)).abs() < 1e-15);
/// assert!((z2(&days, 0.25).unwrap() - (1.0 - (1.2 + 0.88))).abs() < 1e-15);
/// ```
///
/// # Errors
/// [`StatsError::Domain`] where nothing breached: the statistic is then undefined. As [`z2`] otherwise.
pub fn z1(days: &[ShortfallDay]) -> Result<f64, StatsError> {
    let (count, total) = breaches(days)?;
    if count == 0 {
        return Err(StatsError::Domain { parameter: "breaches", value: 0.0, domain: ">= 1" });
    }
    Ok(total / real(count) + 1.0)
}

/// Size and number of breaches: `sum X I/(T a ES) + 1`, 1 where nothing breached. 0 is expected of a right model, negative is
/// too little stated; over 250 days at 2.5 % -0.70 is the 5 % level for most laws.
///
/// # Errors
/// [`StatsError`] for no day, a value that is not finite, a shortfall that is not positive, or `alpha` outside (0, 1).
pub fn z2(days: &[ShortfallDay], alpha: f64) -> Result<f64, StatsError> {
    check_rate("alpha", alpha)?;
    let (_, total) = breaches(days)?;
    Ok(total / (real(days.len() as u64) * alpha) + 1.0)
}

/// Nodes of the integral over probabilities, on each side of the middle.
const NODES: i32 = 120;
/// Distance of the nodes in the variable of the double exponential rule.
const NODE_STEP: f64 = 1.0 / 32.0;

/// Shortfall of the realised ranks: `1 - mean over t of ES_hat(P_t^-1(U)) / E[ES_hat(P_t^-1(V))]`.
///
/// `ranks` are `U_t = P_t(X_t)`, each in (0, 1); `quantile_of(t, u)` is `P_t^-1(u)`, the profit of day `t` at probability `u`.
/// `ES_hat` of `T` profits is minus the mean of the `[T alpha]` lowest; its expectation under uniform ranks is
/// `-(T/m) integral of P_t^-1(u) P(Bin(T-1, u) <= m-1) du`, `m = [T alpha]`, integrated by a double exponential rule.
///
/// # Errors
/// [`StatsError`] for `alpha` outside (0, 1), `T alpha < 1`, a rank outside (0, 1), or a day whose expected shortfall is not
/// finite and positive.
pub fn z3(ranks: &[f64], alpha: f64, quantile_of: impl Fn(usize, f64) -> f64) -> Result<f64, StatsError> {
    check_rate("alpha", alpha)?;
    let observations = ranks.len() as u64;
    let tail = tail_size(observations, alpha)?;
    for &rank in ranks {
        check_rate("rank", rank)?;
    }
    let mut lowest = ranks.to_vec();
    lowest.sort_by(f64::total_cmp);
    lowest.truncate(tail);
    let nodes = tail_nodes(observations, tail as u64);
    let mut ratios = 0.0;
    for day in 0..ranks.len() {
        let realised = lowest.iter().fold(0.0, |sum, &u| sum - quantile_of(day, u)) / real(tail as u64);
        let expected = nodes.iter().fold(0.0, |sum, &(u, weight)| sum - weight * quantile_of(day, u));
        if !(expected > 0.0 && expected.is_finite()) {
            let domain = "finite and > 0";
            return Err(StatsError::Domain { parameter: "expected es", value: expected, domain });
        }
        ratios += realised / expected;
    }
    Ok(1.0 - ratios / real(observations))
}

/// `[T alpha]`, guarded against a product a little below an integer.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the observations")]
fn tail_size(observations: u64, alpha: f64) -> Result<usize, StatsError> {
    let size = (real(observations) * alpha + 1e-12).floor();
    if size >= 1.0 {
        return Ok(size as usize);
    }
    Err(StatsError::Domain { parameter: "T alpha", value: real(observations) * alpha, domain: ">= 1" })
}

/// Probabilities `u` and weights of `(T/m) integral of f(u) P(Bin(T-1, u) <= m-1) du` for `m = tail`.
fn tail_nodes(observations: u64, tail: u64) -> Vec<(f64, f64)> {
    let mut nodes = Vec::new();
    for i in -NODES..=NODES {
        // u = 1/(1 + e^(-2 v)), v = (pi/2) sinh(s): all of (0, 1), and tiny u in full precision.
        let s = f64::from(i) * NODE_STEP;
        let (up, down) = (exp(s), exp(-s));
        let v = 0.25 * std::f64::consts::PI * (up - down);
        let (u, rest) = (1.0 / (1.0 + exp(-2.0 * v)), 1.0 / (1.0 + exp(2.0 * v)));
        let slope = 0.5 * std::f64::consts::PI * (up + down) * u * rest;
        let inside = binomial_cdf(tail - 1, observations - 1, u);
        let weight = real(observations) / real(tail) * inside * slope * NODE_STEP;
        if u > 0.0 && u < 1.0 && weight > 0.0 {
            nodes.push((u, weight));
        }
    }
    nodes
}

/// Cells of the grid in one unit of `1 - Z2`.
const CELLS_PER_UNIT: usize = 2048;
/// Cells after which a critical value is given up.
const CELLS_MAX: usize = 32 * CELLS_PER_UNIT;

/// The `level` quantile of [`z2`] over `observations` days under a right model whose profits follow `law`: reject below it.
///
/// `1 - Z2` is a sum of a binomial number of losses beyond the value at risk, each over `T alpha ES`. Its law is compounded
/// exactly on a grid by Panjer's recursion (1981) instead of being simulated; the result is good to about 1e-4. Scale and mean
/// variance of the law do not matter.
///
/// ```
/// use plimsoll_quant::backtest::z2_critical_value;
/// use plimsoll_quant::garch::Law;
/// let critical = z2_critical_value(Law::Normal, 250, 0.025, 0.05).unwrap();
/// assert!((critical - -0.70).abs() < 0.01);
/// ```
///
/// # Errors
/// [`StatsError::Domain`] for a level outside (0, 1), an `alpha` outside (0, 0.5), degrees of freedom at or below 2, or a level so low that the critical
/// value is below -31; [`StatsError::TooFew`] for no day.
pub fn z2_critical_value(law: Law, observations: u64, alpha: f64, level: f64) -> Result<f64, StatsError> {
    check_rate("alpha", alpha)?;
    check_rate("level", level)?;
    if alpha >= 0.5 {
        return Err(StatsError::Domain { parameter: "alpha", value: alpha, domain: "(0, 0.5)" });
    }
    law.check()?;
    if observations == 0 {
        return Err(too_few(0, 1));
    }
    let severity = Severity::new(law, real(observations) * alpha, alpha)?;
    let quiet = exp(real(observations) * ln_1p(-alpha));
    let (a, b) = (-alpha / (1.0 - alpha), (real(observations) + 1.0) * alpha / (1.0 - alpha));
    let (mut probabilities, mut severities) = (vec![quiet], vec![0.0]);
    let mut beyond = 1.0 - quiet;
    while beyond > level {
        let cell = probabilities.len();
        if cell > CELLS_MAX {
            return Err(StatsError::Domain { parameter: "level", value: level, domain: "a value above -31" });
        }
        severities.push(severity.cell(cell));
        let next = panjer(cell, (a, b), &severities, &probabilities);
        probabilities.push(next);
        beyond -= next;
    }
    // Within the last cell the probability is taken as spread evenly.
    let last = probabilities.len() - 1;
    let part = if last == 0 { 0.0 } else { (level - beyond) / probabilities[last] };
    let reached = if last == 0 { 0.0 } else { real(last as u64) + 0.5 - part };
    Ok(1.0 - reached / real(CELLS_PER_UNIT as u64))
}

/// Probability of the sum in `cell`: `sum over j of (a + b j/cell) f_j g_(cell-j)`.
fn panjer(cell: usize, (a, b): (f64, f64), f: &[f64], g: &[f64]) -> f64 {
    let slope = b / real(cell as u64);
    // Severities start at the value at risk: the cells below it are empty.
    let first = f.iter().position(|p| *p > 0.0).unwrap_or(cell + 1);
    (first..=cell).fold(0.0, |sum, j| sum + (a + slope * real(j as u64)) * f[j] * g[cell - j])
}

/// Law of one loss beyond the value at risk over `T alpha ES`.
struct Severity {
    law: Law,
    alpha: f64,
    var: f64,
    scale: f64,
}

impl Severity {
    fn new(law: Law, expected_breaches: f64, alpha: f64) -> Result<Self, StatsError> {
        let (var, es) = match law {
            Law::Normal => normal_var_es(1.0 - alpha)?,
            Law::StudentT { nu } => student_t_var_es(1.0 - alpha, nu)?,
        };
        Ok(Self { law, alpha, var, scale: expected_breaches * es })
    }

    /// Probability that the loss rounds to `cell`.
    fn cell(&self, cell: usize) -> f64 {
        let edge = real(cell as u64) - 0.5;
        (self.beyond(edge) - self.beyond(edge + 1.0)).max(0.0)
    }

    /// Probability of a loss beyond `cells`, given a breach.
    fn beyond(&self, cells: f64) -> f64 {
        let loss = cells / real(CELLS_PER_UNIT as u64) * self.scale;
        if loss <= self.var {
            return 1.0;
        }
        let tail = match self.law {
            Law::Normal => norm_cdf(-loss),
            Law::StudentT { nu } => student_t_cdf(-loss, nu),
        };
        (tail / self.alpha).min(1.0)
    }
}
