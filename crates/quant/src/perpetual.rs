//! Fair prices of perpetual futures: Ackerer, Hugonnier and Jermann, *Perpetual futures pricing* (2024).
//!
//! The one idea: a perpetual has no expiry that pulls its price to the spot; funding does. The price at which holding it costs
//! nothing is the spot times a constant that depends on funding and on the two rates alone, and where funding is too weak for
//! the rates there is no such price.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::dd::{Dd, two_sum};
use crate::special::exp_m1;

/// What a contract pays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payoff {
    /// Difference of prices, in the quote currency.
    Linear,
    /// Difference of inverse prices, in the base currency.
    Inverse,
}

/// When funding is paid and on which spot.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FundingStyle {
    /// At every instant.
    Continuous,
    /// Every `interval` years, on the price and spot at the start of the interval.
    PreviousSpot {
        /// Years, `> 0`.
        interval: f64,
    },
    /// Every `interval` years, on the price and spot at its end.
    CurrentSpot {
        /// Years, `> 0`.
        interval: f64,
    },
}

/// A perpetual in its market.
///
/// ```
/// use plimsoll_quant::perpetual::{FundingStyle, Payoff, Perpetual};
/// let perpetual = Perpetual { spot: 10_000.0, rate: 0.04, yield_: 0.02, funding_rate: 0.2, interest: 0.005 };
/// let price = perpetual.price(Payoff::Linear, FundingStyle::Continuous).unwrap();
/// assert!((price / 10_833.333333333333 - 1.0).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Perpetual {
    /// Spot, quote units per base unit, `> 0`.
    pub spot: f64,
    /// Continuous interest rate of the quote currency, per year.
    pub rate: f64,
    /// Continuous yield of the base currency, per year.
    pub yield_: f64,
    /// Strength `k` of funding: what is paid per unit of premium, per year if continuous, per interval if not.
    pub funding_rate: f64,
    /// Spread `i` of funding, in the unit of `funding_rate`.
    pub interest: f64,
}

/// Why there is no price.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum PerpetualError {
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
    /// Funding is too weak: the sum of what is to come does not converge.
    #[error("no price: {quantity} = {value} must be above 0")]
    NoSolution {
        /// The denominator of the formula.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
}

impl Perpetual {
    /// Price at which neither side pays for the contract, quote units per base unit.
    ///
    /// ```text
    /// linear    continuous      S (k - i)/(y - r + k)
    ///           previous spot   S (k - i) e^(y dt)/(e^(y dt) - e^(r dt) + k e^(y dt))
    ///           current spot    S (k - i) e^(r dt)/(e^(y dt) - e^(r dt) + k e^(r dt))
    /// inverse   continuous      S (r - y + k)/(k - i)
    ///           previous spot   S (e^(r dt) - e^(y dt) + k e^(r dt))/((k - i) e^(r dt))
    ///           current spot    S (e^(r dt) - e^(y dt) + k e^(y dt))/((k - i) e^(y dt))
    /// ```
    ///
    /// The differences of exponentials are taken as `e^x - 1` of the difference of rates, so that short intervals lose nothing. The
    /// price has the sign of the numerator; `k < i` under a positive denominator is a negative one, as the formula says.
    ///
    /// # Errors
    /// [`PerpetualError::Domain`] for a spot or interval that is not finite and positive or a rate that is not finite;
    /// [`PerpetualError::NoSolution`] where the denominator is not above 0.
    pub fn price(&self, payoff: Payoff, style: FundingStyle) -> Result<f64, PerpetualError> {
        self.check()?;
        let spread = two_sum(self.funding_rate, -self.interest);
        match payoff {
            Payoff::Linear => {
                let pull = self.pull((self.yield_, self.rate), style)?;
                self.quotient(spread, pull, "funding less the carry of the rates")
            }
            Payoff::Inverse => {
                let pull = self.pull((self.rate, self.yield_), style)?;
                self.quotient(pull, spread, "k - i")
            }
        }
    }

    fn quotient(&self, above: Dd, below: Dd, quantity: &'static str) -> Result<f64, PerpetualError> {
        if !(below.hi > 0.0) {
            return Err(PerpetualError::NoSolution { quantity, value: below.hi });
        }
        let ratio = above.div(below);
        Ok(ratio.mul_f64(self.spot).hi)
    }

    /// `k` plus the growth of `up` less that of `down` over an interval, in units of what funding is paid on.
    fn pull(&self, (up, down): (f64, f64), style: FundingStyle) -> Result<Dd, PerpetualError> {
        let ahead = two_sum(up, -down);
        let k = Dd::from(self.funding_rate);
        Ok(match style {
            FundingStyle::Continuous => ahead.add(k),
            // (e^up - e^down + k e^up)/e^up
            FundingStyle::PreviousSpot { interval } => {
                k.sub(Dd::from(exp_m1(-(ahead.hi * check_interval(interval)?))))
            }
            // (e^up - e^down + k e^down)/e^down
            FundingStyle::CurrentSpot { interval } => {
                k.add(Dd::from(exp_m1(ahead.hi * check_interval(interval)?)))
            }
        })
    }

    fn check(&self) -> Result<(), PerpetualError> {
        if !(self.spot > 0.0 && self.spot.is_finite()) {
            let domain = "finite and > 0";
            return Err(PerpetualError::Domain { parameter: "spot", value: self.spot, domain });
        }
        let rates = [
            ("rate", self.rate),
            ("yield", self.yield_),
            ("funding_rate", self.funding_rate),
            ("interest", self.interest),
        ];
        match rates.into_iter().find(|(_, value)| !value.is_finite()) {
            Some((parameter, value)) => Err(PerpetualError::Domain { parameter, value, domain: "finite" }),
            None => Ok(()),
        }
    }
}

fn check_interval(interval: f64) -> Result<f64, PerpetualError> {
    if interval > 0.0 && interval.is_finite() {
        return Ok(interval);
    }
    Err(PerpetualError::Domain { parameter: "interval", value: interval, domain: "finite and > 0" })
}
