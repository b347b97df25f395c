//! An option on its own: value under a move from a stated forward and volatility, where no surface is at hand.

use crate::set::{Move, VolShock};
use crate::shock::Shocked;
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::special::ln;

/// A European option with its market stated: what a published case, a contract's own feed or an auction gives.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OptionLeg {
    /// Call or put.
    pub kind: OptionKind,
    /// Quote units per base unit; >= 0.
    pub strike: f64,
    /// The part of the settlement price that is already averaged and does not move with spot; 0 outside the settlement
    /// window (methods 3, settlement window).
    pub fixed: f64,
    /// The part of the forward that moves with spot; >= 0.
    pub variable: f64,
    /// Annualised decimal; >= 0.
    pub vol: f64,
    /// Years to expiry (ACT/365 seconds); expired at 0 or less: intrinsic value.
    pub tau: f64,
}

/// Why an option has no value.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum LegError {
    /// A number outside its domain.
    #[error("{what} is {value}: expected {expected}")]
    Domain {
        /// Which.
        what: &'static str,
        /// The number.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
}

impl OptionLeg {
    fn check(&self) -> Result<(), LegError> {
        let finite = [("tau", self.tau)];
        let positive = [
            ("strike", self.strike),
            ("fixed forward", self.fixed),
            ("variable forward", self.variable),
            ("volatility", self.vol),
        ];
        for (what, value) in finite.into_iter().chain(positive) {
            let expected = if what == "tau" { "a finite number" } else { "a finite number, not negative" };
            if !value.is_finite() || (value < 0.0 && what != "tau") {
                return Err(LegError::Domain { what, value, expected });
            }
        }
        Ok(())
    }

    /// The forward under a relative move of spot: `fixed + variable (1 + spot)`.
    pub fn forward(&self, spot: f64) -> f64 {
        self.fixed + self.variable * (1.0 + spot)
    }
}

/// Undiscounted value of one long base unit under a move, quote units: Black-76 on the shocked forward and the shocked
/// volatility, by the same tenor scale, floor and skew as [`crate::build`]; intrinsic at or after expiry, and where the
/// forward, the strike or the volatility is 0. Of the move `spot`, `vol`, `skew`, `wing`, `term`, `basis` and
/// `elapsed_days` count; `rate` does not (the value is undiscounted).
///
/// The log-moneyness of a skew move is `ln(K/F)` on the unshocked forward, which is the shocked one: a skew move comes
/// with no spot move.
///
/// # Errors
/// [`LegError`] when a number is outside its domain or the move leaves no positive price.
///
/// ```
/// use plimsoll_quant::black::OptionKind;
/// use plimsoll_risk::{Move, OptionLeg, VolShock, VolShockKind, revalue};
/// let shock = VolShock { kind: VolShockKind::Relative, power_short: 0.3, power_long: 0.13, dte_floor: 1.0,
///     min_vol_up: 0.0, skew: None, sticky: Default::default() };
/// let leg = OptionLeg { kind: OptionKind::Call, strike: 100.0, fixed: 0.0, variable: 100.0, vol: 0.2, tau: 0.5 };
/// let now = revalue(&leg, &shock, &Move::default())?;
/// assert!((now - 5.637197779701662).abs() < 1e-13);
/// # Ok::<(), plimsoll_risk::LegError>(())
/// ```
pub fn revalue(leg: &OptionLeg, shock: &VolShock, by: &Move) -> Result<f64, LegError> {
    leg.check()?;
    // The variable part may be 0 at the very end of a settlement window; the fixed part then decides.
    let moving = if leg.variable > 0.0 { leg.variable } else { 1.0 };
    let price = |value| LegError::Domain { what: "a shocked price", value, expected: "a positive number" };
    let to = Shocked::new(shock, by, moving, (moving, leg.tau.max(0.0))).map_err(price)?;
    let forward = leg.fixed + if leg.variable > 0.0 { to.forward } else { 0.0 };
    if to.tau <= 0.0 || leg.vol <= 0.0 || forward <= 0.0 || leg.strike <= 0.0 {
        return Ok(black::intrinsic(leg.kind, forward, leg.strike));
    }
    let k = ln(leg.strike / forward);
    Ok(black::price(leg.kind, forward, leg.strike, to.vol.apply(leg.vol, k), to.tau))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VolShockKind;

    const SHOCK: VolShock = VolShock {
        kind: VolShockKind::Relative,
        power_short: 0.3,
        power_long: 0.13,
        dte_floor: 1.0,
        min_vol_up: 0.4,
        skew: None,
        sticky: crate::Sticky::Strike,
    };

    fn leg(fixed: f64, variable: f64, tau: f64) -> OptionLeg {
        OptionLeg { kind: OptionKind::Call, strike: 100.0, fixed, variable, vol: 0.2, tau }
    }

    #[test]
    fn only_the_part_not_yet_averaged_moves() {
        let by = Move { spot: 0.10, ..Move::default() };
        let value = revalue(&leg(60.0, 50.0, 0.0), &SHOCK, &by).unwrap();
        assert!((value - 15.0).abs() < 1e-12);
        assert_eq!(revalue(&leg(110.0, 0.0, 0.0), &SHOCK, &by).unwrap(), 10.0);
    }

    #[test]
    fn an_up_move_of_volatility_ends_at_its_floor_at_least() {
        let by = Move { vol: 0.1, ..Move::default() };
        // Black-76 at 40 %, a quarter of a year: mpmath.
        let value = revalue(&leg(0.0, 100.0, 0.25), &SHOCK, &by).unwrap();
        assert!((value - 7.965_567_455_405_798).abs() < 1e-12, "{value}");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert!(revalue(&leg(0.0, f64::NAN, 0.1), &SHOCK, &Move::default()).is_err());
        assert!(revalue(&leg(0.0, -1.0, 0.1), &SHOCK, &Move::default()).is_err());
        let gone = Move { spot: -1.0, ..Move::default() };
        assert!(revalue(&leg(0.0, 100.0, 0.1), &SHOCK, &gone).is_err());
    }
}
