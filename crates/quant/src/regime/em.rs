//! Estimation of a hidden Markov chain by expectation and maximisation.

#![allow(clippy::needless_range_loop, reason = "matrix algebra is written with its indices")]

use super::{RegimeFilter, RegimeModel};
use crate::garch::Law;
use crate::special::ln;
use crate::stats::{StatsError, check_sample, count, positive, sorted};
use serde::{Deserialize, Serialize};

/// When an estimate is good enough.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct EmOptions {
    /// Most passes over the window, `>= 1`.
    pub max_iter: usize,
    /// Stop when a pass raises the log-likelihood by less, `>= 0`.
    pub tolerance: f64,
}

impl EmOptions {
    /// At most 200 passes, to 1e-4 of the log-likelihood: far below what the sample can tell apart.
    #[must_use]
    pub const fn usual() -> Self {
        Self { max_iter: 200, tolerance: 1e-4 }
    }
}

/// An estimate.
#[derive(Clone, PartialEq, Debug)]
pub struct RegimeFit {
    /// The chain and the probabilities of its states after the last return of the window.
    pub filter: RegimeFilter,
    /// Log-likelihood of the window at the last pass but one.
    pub log_likelihood: f64,
    /// Passes over the window.
    pub iterations: usize,
}

/// Fewest returns an estimate is made from.
const FEWEST: usize = 100;
/// Beneath this share of the variance of all returns a state is a point, not a regime.
const VARIANCE_SHARE_MIN: f64 = 1e-8;
/// Beneath this many returns a state is an accident.
const WEIGHT_MIN: f64 = 2.0;
/// No way from one state to another is ever quite closed.
const TRANSITION_MIN: f64 = 1e-6;

/// Estimates a chain of `states` (2 or 3) from `returns`: from `warm`, or from the variances of equal parts of the returns sorted by
/// size, each state lasting twenty steps.
///
/// # Errors
/// [`StatsError`] on fewer than 100 returns, one that is not finite, returns that do not differ in size, or an estimate in which a
/// state has next to no variance or next to no return.
pub fn fit(
    returns: &[f64],
    (states, law): (usize, Law),
    options: &EmOptions,
    warm: Option<&RegimeModel>,
) -> Result<RegimeFit, StatsError> {
    check_sample(returns, FEWEST)?;
    let squares = returns.iter().fold(0.0, |sum, r| sum + r * r) / count(returns.len());
    positive("mean square", squares)?;
    let mut model = match warm {
        Some(model) if model.law() == law && model.variances().len() == states => model.clone(),
        _ => cold_start(returns, states, law)?,
    };
    let mut initial = vec![1.0 / count(states); states];
    let mut pass = Pass::new(returns.len(), states);
    let mut likelihood = f64::NEG_INFINITY;
    let mut iterations = 0;
    while iterations < options.max_iter.max(1) {
        iterations += 1;
        let now = pass.expect(&model, &initial, returns);
        let rise = now - likelihood;
        likelihood = now;
        (model, initial) = pass.maximise(&model, returns, VARIANCE_SHARE_MIN * squares)?;
        if rise < options.tolerance {
            break;
        }
    }
    let (model, initial) = in_order(&model, &initial)?;
    let log_likelihood = pass.expect(&model, &initial, returns);
    let last = pass.forward.len() - states;
    let filter = RegimeFilter { probabilities: pass.forward[last..].to_vec(), model };
    Ok(RegimeFit { filter, log_likelihood, iterations })
}

/// Variances of equal parts of the returns sorted by size.
fn cold_start(returns: &[f64], states: usize, law: Law) -> Result<RegimeModel, StatsError> {
    let sizes = sorted(&returns.iter().map(|r| r.abs()).collect::<Vec<f64>>());
    let spread = sizes[sizes.len() - 1] - sizes[0];
    positive(
        "difference in size of the returns",
        if spread > 1e-9 * sizes[sizes.len() - 1] { spread } else { 0.0 },
    )?;
    let part = |k: usize| {
        let of = &sizes[k * sizes.len() / states.max(1)..(k + 1) * sizes.len() / states.max(1)];
        let square = of.iter().fold(0.0, |sum, x| sum + x * x) / count(of.len());
        // Returns of exactly 0 would be a state without variance.
        square.max(1e-4 * sizes[sizes.len() - 1] * sizes[sizes.len() - 1] / count(sizes.len()))
    };
    let variances: Vec<f64> = (0..states).map(part).collect();
    let other = 0.05 / count(states.saturating_sub(1).max(1));
    let entry = |at: usize| if at / states == at % states { 0.95 } else { other };
    RegimeModel::new(law, &variances, &(0..states * states).map(entry).collect::<Vec<f64>>())
}

/// The states by volatility, and every way open.
fn in_order(model: &RegimeModel, initial: &[f64]) -> Result<(RegimeModel, Vec<f64>), StatsError> {
    let states = initial.len();
    let mut order: Vec<usize> = (0..states).collect();
    order.sort_by(|i, j| model.variances[*i].total_cmp(&model.variances[*j]));
    let variances: Vec<f64> = order.iter().map(|i| model.variances[*i]).collect();
    let mut transition = Vec::with_capacity(states * states);
    for i in &order {
        let row: Vec<f64> =
            order.iter().map(|j| model.transition[i * states + j].max(TRANSITION_MIN)).collect();
        let total = row.iter().fold(0.0, |sum, p| sum + p);
        transition.extend(row.iter().map(|p| p / total));
    }
    let initial = order.iter().map(|i| initial[*i]).collect();
    Ok((RegimeModel::new(model.law, &variances, &transition)?, initial))
}

/// Probabilities of the states along a window, row-major by return.
struct Pass {
    states: usize,
    /// After each return, given those up to it.
    forward: Vec<f64>,
    /// Given all returns.
    smoothed: Vec<f64>,
    /// Density of each return in each state over the largest.
    densities: Vec<f64>,
    /// What each return's joint probabilities were divided by.
    totals: Vec<f64>,
    /// Expected numbers of transitions, row-major.
    moves: Vec<f64>,
}

impl Pass {
    fn new(n: usize, states: usize) -> Self {
        Self {
            states,
            forward: vec![0.0; n * states],
            smoothed: vec![0.0; n * states],
            densities: vec![0.0; n * states],
            totals: vec![0.0; n],
            moves: vec![0.0; states * states],
        }
    }

    /// Expectation: fills the probabilities and gives the log-likelihood.
    fn expect(&mut self, model: &RegimeModel, initial: &[f64], returns: &[f64]) -> f64 {
        let k = self.states;
        let mut predicted = initial.to_vec();
        let logs = model.log_variances();
        let mut likelihood = 0.0;
        for (t, r) in returns.iter().enumerate() {
            let densities = &mut self.densities[t * k..(t + 1) * k];
            likelihood += model.densities(*r, &logs, densities);
            let forward = &mut self.forward[t * k..(t + 1) * k];
            let mut total = 0.0;
            for i in 0..k {
                forward[i] = predicted[i] * densities[i];
                total += forward[i];
            }
            forward.iter_mut().for_each(|p| *p /= total);
            self.totals[t] = total;
            likelihood += ln(total);
            model.predict(forward, &mut predicted);
        }
        self.smooth(model, returns.len());
        likelihood
    }

    /// Backward recursion, scaled by what the forward one was divided by.
    fn smooth(&mut self, model: &RegimeModel, n: usize) {
        let k = self.states;
        let mut backward = vec![1.0; k];
        let mut weighted = vec![0.0; k];
        self.moves.fill(0.0);
        self.smoothed[(n - 1) * k..].copy_from_slice(&self.forward[(n - 1) * k..]);
        for t in (0..n - 1).rev() {
            for j in 0..k {
                weighted[j] = self.densities[(t + 1) * k + j] * backward[j] / self.totals[t + 1];
            }
            for i in 0..k {
                let now = self.forward[t * k + i];
                let mut sum = 0.0;
                for j in 0..k {
                    let way = model.transition[i * k + j] * weighted[j];
                    self.moves[i * k + j] += now * way;
                    sum += way;
                }
                backward[i] = sum;
                self.smoothed[t * k + i] = now * sum;
            }
        }
    }

    /// Maximisation: the chain, its states not yet in order, and the probabilities before the first return.
    fn maximise(
        &self,
        model: &RegimeModel,
        returns: &[f64],
        least: f64,
    ) -> Result<(RegimeModel, Vec<f64>), StatsError> {
        let k = self.states;
        let mut next = model.clone();
        for i in 0..k {
            let (mut weight, mut square) = (0.0, 0.0);
            for (t, r) in returns.iter().enumerate() {
                let p = self.smoothed[t * k + i];
                weight += p;
                square += p * pull(*r, model.variances[i], model.law) * r * r;
            }
            if weight < WEIGHT_MIN {
                return Err(StatsError::Domain {
                    parameter: "returns in a state",
                    value: weight,
                    domain: ">= 2",
                });
            }
            let scale = match model.law {
                Law::Normal => 1.0,
                Law::StudentT { nu } => nu / (nu - 2.0),
            };
            next.variances[i] = scale * square / weight;
            if next.variances[i] < least {
                let domain = "above a share of 1e-8 of that of all returns";
                let value = next.variances[i];
                return Err(StatsError::Domain { parameter: "variance of a state", value, domain });
            }
            let row = &self.moves[i * k..(i + 1) * k];
            let total = row.iter().fold(0.0, |sum, m| sum + m);
            for j in 0..k {
                next.transition[i * k + j] = row[j] / total;
            }
        }
        Ok((next, self.smoothed[..k].to_vec()))
    }
}

/// Weight of a return in the scale of Student's t, `(nu + 1)/(nu + r^2/scale)`; 1 for the normal law.
fn pull(r: f64, variance: f64, law: Law) -> f64 {
    match law {
        Law::Normal => 1.0,
        Law::StudentT { nu } => (nu + 1.0) / (nu + r * r * nu / ((nu - 2.0) * variance)),
    }
}
