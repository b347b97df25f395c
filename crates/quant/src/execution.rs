//! Optimal execution: Almgren and Chriss, *Optimal execution of portfolio transactions* (2000).
//!
//! The one idea: selling fast moves the price, selling slowly leaves it to chance; a risk aversion decides between the two, and
//! the best path is a hyperbolic sine whose rate `kappa` is the whole trade-off.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::{exp, exp_m1, ln_1p};

/// An order and the market it is worked in. Time is in any unit, the same throughout (days in the paper).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Liquidation {
    /// Quantity held at the start, to be brought to 0; negative to buy.
    pub quantity: f64,
    /// Time to do it in, `> 0`.
    pub horizon: f64,
    /// Equal steps, at least 1.
    pub steps: u32,
    /// Standard deviation of the price per root unit of time, in price units, `>= 0`.
    pub sigma: f64,
    /// Fixed cost per unit traded (half the spread and fees), price units, `>= 0`.
    pub epsilon: f64,
    /// Permanent impact: price units per unit traded, `>= 0`.
    pub gamma: f64,
    /// Temporary impact: price units per unit traded per unit of time.
    pub eta: f64,
}

/// The best schedule for a risk aversion, and what it costs.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    /// Rate of the hyperbolic sine, per unit of time; 0 is a straight line.
    pub kappa: f64,
    /// Quantity held at times 0, 1, ..., `steps`; the first is all of it, the last 0.
    pub holdings: Vec<f64>,
    /// Quantity sold in each step.
    pub trades: Vec<f64>,
    /// Expected cost against the price at the start, price units times quantity.
    pub expected_cost: f64,
    /// Standard deviation of the cost, in the same unit.
    pub deviation: f64,
}

/// Why there is no schedule.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum ExecutionError {
    /// A number is outside its domain.
    #[error("{parameter} = {value} is outside its domain: {domain}")]
    Domain {
        /// Name.
        parameter: &'static str,
        /// Value.
        value: f64,
        /// The domain.
        domain: &'static str,
    },
    /// `eta - gamma t/2 <= 0`: permanent impact pays for the temporary one, and trading ever faster would cost nothing.
    #[error("eta - gamma t/2 = {value} must be above 0")]
    Impact {
        /// The difference.
        value: f64,
    },
}

fn check(
    parameter: &'static str,
    value: f64,
    fits: bool,
    domain: &'static str,
) -> Result<(), ExecutionError> {
    if fits && value.is_finite() { Ok(()) } else { Err(ExecutionError::Domain { parameter, value, domain }) }
}

impl Liquidation {
    /// Length of a step.
    #[must_use]
    pub fn step(&self) -> f64 {
        self.horizon / f64::from(self.steps)
    }

    /// Temporary impact less what permanent impact gives back within a step: `eta - gamma t/2`.
    #[must_use]
    pub fn effective_eta(&self) -> f64 {
        self.eta - 0.5 * self.gamma * self.step()
    }

    /// Schedule that minimises `expected cost + risk_aversion x variance`, with `t` the step and `eta~` [`Liquidation::effective_eta`]:
    ///
    /// ```text
    /// cosh(kappa t) = 1 + t^2 risk_aversion sigma^2/(2 eta~)
    /// x_j = X sinh(kappa (T - j t))/sinh(kappa T)                      straight for kappa = 0
    /// n_j = X 2 sinh(kappa t/2) cosh(kappa (T - (j - 1/2) t))/sinh(kappa T)
    /// E = gamma X^2/2 + epsilon sum |n_j| + (eta~/t) sum n_j^2,  Var = sigma^2 t sum over j >= 1 of x_j^2
    /// ```
    ///
    /// ```
    /// use plimsoll_quant::execution::Liquidation;
    /// let order = Liquidation {
    ///     quantity: 1e6, horizon: 5.0, steps: 5, sigma: 0.95, epsilon: 0.0625, gamma: 2.5e-7, eta: 2.5e-6,
    /// };
    /// let schedule = order.schedule(2e-6).unwrap();
    /// assert!((schedule.kappa - 0.846297134501256).abs() < 1e-14);
    /// assert!((schedule.expected_cost / 1140715.16704979 - 1.0).abs() < 1e-14);
    /// ```
    ///
    /// # Errors
    /// [`ExecutionError::Domain`] for a number outside its domain or a negative risk aversion, [`ExecutionError::Impact`] for
    /// `eta~ <= 0`.
    pub fn schedule(&self, risk_aversion: f64) -> Result<Schedule, ExecutionError> {
        self.check()?;
        check("risk_aversion", risk_aversion, risk_aversion >= 0.0, "finite and >= 0")?;
        let (t, eta) = (self.step(), self.effective_eta());
        if !(eta > 0.0) {
            return Err(ExecutionError::Impact { value: eta });
        }
        let excess = t * t * risk_aversion * self.sigma * self.sigma / (2.0 * eta);
        check("cosh(kappa t) - 1", excess, true, "finite")?;
        // arcosh(1 + u) = ln(1 + u + sqrt(u (2 + u)))
        let angle = ln_1p(excess + excess.sqrt() * (2.0 + excess).sqrt());
        let holdings: Vec<f64> =
            (0..=self.steps).map(|j| self.quantity * left(angle, j, self.steps)).collect();
        let trades: Vec<f64> = (1..=self.steps).map(|j| self.quantity * sold(angle, j, self.steps)).collect();
        let traded = trades.iter().fold(0.0, |sum, n| sum + n.abs());
        let squares = trades.iter().fold(0.0, |sum, n| sum + n * n);
        let exposed = holdings[1..].iter().fold(0.0, |sum, x| sum + x * x);
        Ok(Schedule {
            kappa: angle / t,
            expected_cost: 0.5 * self.gamma * self.quantity * self.quantity
                + self.epsilon * traded
                + eta / t * squares,
            deviation: self.sigma * (t * exposed).sqrt(),
            holdings,
            trades,
        })
    }

    fn check(&self) -> Result<(), ExecutionError> {
        check("quantity", self.quantity, true, "finite")?;
        check("horizon", self.horizon, self.horizon > 0.0, "finite and > 0")?;
        check("steps", f64::from(self.steps), self.steps > 0, ">= 1")?;
        check("sigma", self.sigma, self.sigma >= 0.0, "finite and >= 0")?;
        check("epsilon", self.epsilon, self.epsilon >= 0.0, "finite and >= 0")?;
        check("gamma", self.gamma, self.gamma >= 0.0, "finite and >= 0")?;
        check("eta", self.eta, true, "finite")
    }
}

/// Share still held after `j` of `n` steps: `sinh(a (n-j))/sinh(a n)`, without overflow.
fn left(angle: f64, j: u32, n: u32) -> f64 {
    let (rest, all) = (f64::from(n - j), f64::from(n));
    if angle == 0.0 {
        return rest / all;
    }
    exp(-angle * f64::from(j)) * exp_m1(-2.0 * angle * rest) / exp_m1(-2.0 * angle * all)
}

/// Share sold in step `j`: `2 sinh(a/2) cosh(a (n-j+1/2))/sinh(a n)`.
fn sold(angle: f64, j: u32, n: u32) -> f64 {
    let all = f64::from(n);
    if angle == 0.0 {
        return 1.0 / all;
    }
    let middle = f64::from(n - j) + 0.5;
    // 2 sinh(a/2) = e^(a/2) (1 - e^-a), 2 cosh(b) = e^b (1 + e^-2b), 2 sinh(c) = e^c (1 - e^-2c), and a/2 + b - c = -a (j-1).
    exp(-angle * f64::from(j - 1)) * exp_m1(-angle) * (1.0 + exp(-2.0 * angle * middle))
        / exp_m1(-2.0 * angle * all)
}
