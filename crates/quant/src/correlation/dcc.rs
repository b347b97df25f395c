//! Dynamic conditional correlation.
//!
//! ```text
//! Q_1 = S,  Q_{t+1} = (1 - a - b) S + a e_t e_t' + b Q_t,  R_t = diag(Q_t)^-1/2 Q_t diag(Q_t)^-1/2
//! log-likelihood of the correlations: -1/2 sum (ln |R_t| + e_t' R_t^-1 e_t)
//! ```
//!
//! with `e_t` standardised residuals and `S` their mean product. Source: Engle (2002), Journal of Business and Economic Statistics
//! 20:339.

#![allow(clippy::needless_range_loop, reason = "matrix algebra is written with its indices")]

use super::{Correlation, CorrelationError, correlations_of};
use crate::linalg::Symmetric;
use crate::minimise::{BfgsMinimum, BfgsOptions, bfgs};
use crate::special::{exp, ln};
use crate::stats::{StatsError, at_least, count, enough, finite, not_negative};
use serde::{Deserialize, Serialize};

/// Correlation of the next row of standardised residuals.
///
/// ```
/// use plimsoll_quant::correlation::Dcc;
/// use plimsoll_quant::linalg::Symmetric;
/// let target = Symmetric::new(2, vec![1.0, 0.5, 0.5, 1.0]).unwrap();
/// let mut dcc = Dcc::new(&target, 0.05, 0.9).unwrap();
/// dcc.update(&[2.0, 2.0]).unwrap();
/// assert!(dcc.correlation().unwrap().matrix.at(0, 1) > 0.5);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Dcc {
    series: usize,
    a: f64,
    b: f64,
    target: Vec<f64>,
    q: Vec<f64>,
    seen: usize,
}

impl Dcc {
    /// Parameters, `a, b >= 0`, `a + b < 1`, and the mean product `S` of the residuals, positive definite.
    ///
    /// # Errors
    /// [`CorrelationError`] for parameters outside their domain or a target without a Cholesky factor.
    pub fn new(target: &Symmetric, a: f64, b: f64) -> Result<Self, CorrelationError> {
        not_negative("a", a)?;
        not_negative("b", b)?;
        if a + b >= 1.0 {
            return Err(StatsError::Domain { parameter: "a + b", value: a + b, domain: "< 1" }.into());
        }
        target.cholesky()?;
        let entries = target.entries().to_vec();
        Ok(Self { series: target.dimension(), a, b, q: entries.clone(), target: entries, seen: 0 })
    }

    /// Takes the next row of standardised residuals in.
    ///
    /// # Errors
    /// [`StatsError::Lengths`] or [`StatsError::NotFinite`] with the place in the row; nothing changes.
    pub fn update(&mut self, residuals: &[f64]) -> Result<(), StatsError> {
        if residuals.len() != self.series {
            return Err(StatsError::Lengths { left: residuals.len(), right: self.series });
        }
        for (index, e) in residuals.iter().enumerate() {
            finite(index, e * e)?;
        }
        step(&mut self.q, &self.target, residuals, (self.a, self.b));
        self.seen = self.seen.saturating_add(1);
        Ok(())
    }

    /// Correlation of the next row.
    ///
    /// # Errors
    /// [`CorrelationError`] when the matrix cannot be repaired, which positive definite targets rule out but for overflow.
    pub fn correlation(&self) -> Result<Correlation, CorrelationError> {
        let q = Symmetric::new(self.series, self.q.clone())?;
        Ok(Correlation::of(correlations_of(&q)?)?)
    }

    /// `a` and `b`.
    #[must_use]
    pub fn parameters(&self) -> (f64, f64) {
        (self.a, self.b)
    }
}

/// `Q` of the next row.
fn step(q: &mut [f64], target: &[f64], residuals: &[f64], (a, b): (f64, f64)) {
    let n = residuals.len();
    let rest = 1.0 - a - b;
    for (i, e) in residuals.iter().enumerate() {
        for (j, f) in residuals.iter().enumerate() {
            let at = i * n + j;
            q[at] = rest * target[at] + a * (e * f) + b * q[at];
        }
    }
}

/// Estimated parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct DccFit {
    /// Weight of the last product.
    pub a: f64,
    /// Weight of the last `Q`.
    pub b: f64,
    /// Mean product of the residuals.
    pub target: Symmetric,
    /// Log-likelihood of the correlations, no constant.
    pub log_likelihood: f64,
    /// The filter after the last row.
    pub filter: Dcc,
}

/// Fewest rows an estimate is made from.
const FEWEST: usize = 50;
const OPTIONS: BfgsOptions = BfgsOptions { max_iter: 100, gtol: 1e-8 };
/// A search that stopped short still counts beneath this gradient per row.
const GRADIENT_ACCEPTED: f64 = 1e-5;
/// Step of the central differences, in log-odds.
const DIFFERENCE: f64 = 1e-5;

/// Maximum likelihood of `a` and `b` from standardised residuals, row-major: one row of `series >= 2` numbers per step. `warm` is an
/// earlier estimate of `(a, b)` to search from; without one three starts are compared.
///
/// # Errors
/// [`CorrelationError`] on fewer than 50 rows, rows of the wrong length, a value that is not finite, residuals of which one
/// follows from the others, or a search that does not settle.
pub fn fit_dcc(rows: &[f64], series: usize, warm: Option<(f64, f64)>) -> Result<DccFit, CorrelationError> {
    at_least("series", series, 2)?;
    if !rows.len().is_multiple_of(series) {
        return Err(StatsError::Lengths { left: rows.len(), right: series }.into());
    }
    enough(rows.len() / series, FEWEST)?;
    for (index, value) in rows.iter().enumerate() {
        finite(index, *value)?;
    }
    let n = count(rows.len() / series);
    let product = |i: usize, j: usize| rows.chunks(series).fold(0.0, |sum, e| sum + e[i] * e[j]) / n;
    let target = super::mirrored(series, product)?;
    target.cholesky()?;
    let mut likelihood = Likelihood { rows, series, target: target.entries(), scratch: Vec::new() };
    let best = search(&mut likelihood, warm)?;
    if best.gradient > GRADIENT_ACCEPTED {
        let (iterations, change) = (best.iterations, best.gradient);
        return Err(StatsError::NotConverged { iterations, change }.into());
    }
    let (a, b) = parameters(&best.x);
    let log_likelihood = -best.value * n;
    let mut filter = Dcc::new(&target, a, b)?;
    for row in rows.chunks(series) {
        filter.update(row)?;
    }
    Ok(DccFit { a, b, target, log_likelihood, filter })
}

fn search(likelihood: &mut Likelihood<'_>, warm: Option<(f64, f64)>) -> Result<BfgsMinimum, StatsError> {
    let starts = match warm {
        Some((a, b)) => vec![coordinates(a, b)],
        None => [(0.02, 0.95), (0.05, 0.9), (0.1, 0.6)].map(|(a, b)| coordinates(a, b)).to_vec(),
    };
    let value = |x: &[f64; 2], l: &mut Likelihood<'_>| l.cost(parameters(x));
    let mut best = (f64::INFINITY, starts[0]);
    for start in starts {
        let cost = value(&start, likelihood);
        if cost < best.0 {
            best = (cost, start);
        }
    }
    let objective = |x: &[f64], gradient: &mut [f64]| {
        for i in 0..2 {
            let mut at = [x[0], x[1]];
            at[i] = x[i] + DIFFERENCE;
            let above = value(&at, likelihood);
            at[i] = x[i] - DIFFERENCE;
            gradient[i] = (above - value(&at, likelihood)) / (2.0 * DIFFERENCE);
        }
        value(&[x[0], x[1]], likelihood)
    };
    bfgs(&best.1, objective, &OPTIONS)
}

/// Log-odds of `a + b` and of the share of `a`, kept where a search can leave them.
fn coordinates(a: f64, b: f64) -> [f64; 2] {
    let total = (a + b).clamp(0.05, 0.9995);
    let share = (a / (a + b).max(1e-300)).clamp(0.002, 0.98);
    [ln(total / (1.0 - total)), ln(share / (1.0 - share))]
}

fn parameters(x: &[f64]) -> (f64, f64) {
    let logistic = |x: f64| 1.0 / (1.0 + exp(-x));
    let total = (1.0 - 1e-8) * logistic(x[0]);
    (total * logistic(x[1]), total * logistic(-x[1]))
}

/// Rows with their target, and room for one matrix and its factor.
struct Likelihood<'a> {
    rows: &'a [f64],
    series: usize,
    target: &'a [f64],
    scratch: Vec<f64>,
}

impl Likelihood<'_> {
    /// Minus the log-likelihood per row; infinite where a matrix is not positive definite.
    fn cost(&mut self, parameters: (f64, f64)) -> f64 {
        let n = self.series;
        let mut q = self.target.to_vec();
        let mut total = 0.0;
        self.scratch.resize(n * n + n, 0.0);
        for row in self.rows.chunks(n) {
            total += row_cost(&q, row, &mut self.scratch);
            step(&mut q, self.target, row, parameters);
        }
        let mean = total / count(self.rows.len() / n);
        if mean.is_finite() { mean } else { f64::INFINITY }
    }
}

/// `(ln |R| + e' R^-1 e)/2` of one row: by the factor `L` of `Q`, of which `R` is the rescaled one.
fn row_cost(q: &[f64], row: &[f64], scratch: &mut [f64]) -> f64 {
    let n = row.len();
    let (factor, solved) = scratch.split_at_mut(n * n);
    let mut determinant = 1.0;
    let mut square = 0.0;
    for i in 0..n {
        for j in 0..=i {
            let mut sum = q[i * n + j];
            for p in 0..j {
                sum -= factor[i * n + p] * factor[j * n + p];
            }
            factor[i * n + j] = if i == j { sum.sqrt() } else { sum / factor[j * n + j] };
        }
        // R^-1 = D Q^-1 D with D the roots of the diagonal of Q.
        let mut right = row[i] * q[i * n + i].sqrt();
        for p in 0..i {
            right -= factor[i * n + p] * solved[p];
        }
        let pivot = factor[i * n + i];
        solved[i] = right / pivot;
        square += solved[i] * solved[i];
        determinant *= pivot * pivot / q[i * n + i];
    }
    0.5 * (ln(determinant) + square)
}
