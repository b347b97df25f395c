//! Regimes of volatility: a hidden Markov chain whose state is the variance of the next return.
//!
//! ```text
//! predicted_j = sum_i p_i P_ij,  p_j ~ predicted_j f(r / s_j) / s_j
//! ```
//!
//! The one idea: a state is named by its rank in volatility, calm first, in every model that can exist, so that a label means
//! the same before and after an estimate. Returns have mean zero, and the law of the innovations (normal or Student's t with
//! given degrees of freedom) is common to all states.
//!
//! [`fit`] is the expectation-maximisation of Baum and Welch from a start that depends on the window alone; [`RollingRegime`]
//! makes it anew on a schedule. Sources: Hamilton (1989), Econometrica 57:357, for the filter; Rabiner (1989), Proceedings of the
//! IEEE 77:257, for the estimate; Peel and McLachlan (2000), Statistics and Computing 10:339, for Student's t.

mod em;
mod rolling;

pub use em::{EmOptions, RegimeFit, fit};
pub use rolling::{RollingRegime, RollingRegimeSpec};

use crate::garch::{Law, log_constant, log_tail};
use crate::special::{exp, ln};
use crate::stats::{StatsError, count, positive};
use serde::{Deserialize, Serialize};

/// Fewest and most states.
const STATES: std::ops::RangeInclusive<usize> = 2..=3;

/// A chain of two or three states; only checked ones exist.
///
/// ```
/// use plimsoll_quant::garch::Law;
/// use plimsoll_quant::regime::RegimeModel;
/// let model = RegimeModel::new(Law::Normal, &[1e-4, 9e-4], &[0.98, 0.02, 0.05, 0.95]).unwrap();
/// assert!((model.expected_durations()[0] - 50.0).abs() < 1e-10);
/// // The calm state comes first, or there is no model.
/// assert!(RegimeModel::new(Law::Normal, &[9e-4, 1e-4], &[0.98, 0.02, 0.05, 0.95]).is_err());
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Chain")]
pub struct RegimeModel {
    law: Law,
    variances: Vec<f64>,
    transition: Vec<f64>,
}

/// A model as it is written down, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    law: Law,
    variances: Vec<f64>,
    transition: Vec<f64>,
}

impl TryFrom<Chain> for RegimeModel {
    type Error = StatsError;

    fn try_from(chain: Chain) -> Result<Self, StatsError> {
        Self::new(chain.law, &chain.variances, &chain.transition)
    }
}

impl RegimeModel {
    /// Variances per step in ascending order, and the probabilities `P_ij` of going from state `i` to `j`, row-major.
    ///
    /// # Errors
    /// [`StatsError`] unless there are two or three positive variances in ascending order, rows of probabilities above 0 that
    /// add up to 1 (to 1e-9), and degrees of freedom above 2.
    pub fn new(law: Law, variances: &[f64], transition: &[f64]) -> Result<Self, StatsError> {
        law.check()?;
        let states = variances.len();
        if !STATES.contains(&states) {
            return Err(StatsError::Domain { parameter: "states", value: count(states), domain: "2 or 3" });
        }
        if transition.len() != states * states {
            return Err(StatsError::Lengths { left: transition.len(), right: states * states });
        }
        let mut before = 0.0;
        for &variance in variances {
            if positive("variance", variance)? < before {
                let domain = "not below the state before it";
                return Err(StatsError::Domain { parameter: "variance", value: variance, domain });
            }
            before = variance;
        }
        for row in transition.chunks(states) {
            let mut total = 0.0;
            for p in row {
                total += positive("transition", *p)?;
            }
            if (total - 1.0).abs() > 1e-9 {
                let domain = "1";
                return Err(StatsError::Domain {
                    parameter: "sum of a row of transitions",
                    value: total,
                    domain,
                });
            }
        }
        Ok(Self { law, variances: variances.to_vec(), transition: transition.to_vec() })
    }

    /// Variances per step, ascending.
    #[must_use]
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// Probabilities of going from one state (row) to another, row-major.
    #[must_use]
    pub fn transition(&self) -> &[f64] {
        &self.transition
    }

    /// Law of the innovations.
    #[must_use]
    pub fn law(&self) -> Law {
        self.law
    }

    /// Steps a state lasts on average, `1/(1 - P_ii)`, each `>= 1`.
    #[must_use]
    pub fn expected_durations(&self) -> Vec<f64> {
        let states = self.variances.len();
        let stays = |i: usize| {
            let leaves =
                (0..states).filter(|j| *j != i).fold(0.0, |sum, j| sum + self.transition[i * states + j]);
            1.0 / leaves
        };
        (0..states).map(stays).collect()
    }

    /// Probabilities one step on.
    fn predict(&self, now: &[f64], next: &mut [f64]) {
        let states = now.len();
        for (j, q) in next.iter_mut().enumerate() {
            *q = now.iter().enumerate().fold(0.0, |sum, (i, p)| sum + p * self.transition[i * states + j]);
        }
    }

    /// Logarithms of the variances.
    fn log_variances(&self) -> Vec<f64> {
        self.variances.iter().map(|v| ln(*v)).collect()
    }

    /// Densities of `value` in each state over the largest of them, and the logarithm of that one.
    fn densities(&self, value: f64, log_variances: &[f64], out: &mut [f64]) -> f64 {
        for ((density, variance), log) in out.iter_mut().zip(&self.variances).zip(log_variances) {
            *density = -0.5 * (log + log_tail(value * value / variance, self.law));
        }
        let top = out.iter().fold(f64::NEG_INFINITY, |a: f64, d| a.max(*d));
        out.iter_mut().for_each(|d| *d = exp(*d - top));
        top + log_constant(self.law)
    }
}

/// Probabilities of the states after the returns seen so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RegimeFilter {
    model: RegimeModel,
    probabilities: Vec<f64>,
}

impl RegimeFilter {
    /// A filter that does not know its state: all are equally probable.
    #[must_use]
    pub fn new(model: RegimeModel) -> Self {
        let states = model.variances.len();
        Self { probabilities: vec![1.0 / count(states); states], model }
    }

    /// Takes the next return in.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when its square is not finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        if !(value * value / self.model.variances[0]).is_finite() {
            return Err(StatsError::NotFinite { index: 0, value });
        }
        let mut densities = vec![0.0; self.probabilities.len()];
        let predicted = self.predicted();
        self.model.densities(value, &self.model.log_variances(), &mut densities);
        let joint: Vec<f64> = predicted.iter().zip(&densities).map(|(p, d)| p * d).collect();
        let total = joint.iter().fold(0.0, |sum, p| sum + p);
        self.probabilities = joint.iter().map(|p| p / total).collect();
        Ok(())
    }

    /// Probability of each state after the last return, calm first; they add up to 1.
    #[must_use]
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// Probability of each state at the next return.
    #[must_use]
    pub fn predicted(&self) -> Vec<f64> {
        let mut next = vec![0.0; self.probabilities.len()];
        self.model.predict(&self.probabilities, &mut next);
        next
    }

    /// The most probable state after the last return, 0 the calmest; the calmer of two that are equally probable.
    #[must_use]
    pub fn state(&self) -> usize {
        let mut best = 0;
        for (i, p) in self.probabilities.iter().enumerate() {
            if *p > self.probabilities[best] {
                best = i;
            }
        }
        best
    }

    /// Expected variance of the next return, `> 0`.
    #[must_use]
    pub fn next_variance(&self) -> f64 {
        self.predicted().iter().zip(&self.model.variances).fold(0.0, |sum, (p, v)| sum + p * v)
    }

    /// The chain.
    #[must_use]
    pub fn model(&self) -> &RegimeModel {
        &self.model
    }
}
