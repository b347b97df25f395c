//! Black-76 with the bounds of a contract that prices in 18 decimals.
//!
//! The one idea: a contract prices one unit of forward, `m = K/F`, and bounds what its digits cannot say. The bounds are
//! applied here to the accurate price of [`crate::black`], so that the result is that of the contract without its
//! rounding.

use crate::black::{Black, OptionKind, greeks, price};
use crate::special::norm_cdf;

/// Standard deviations from which a unit call is worth the whole forward.
const DEVIATIONS_MAX: f64 = 24.0;

/// Discounted values of a call and a put of one strike, and the undiscounted delta of the call.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pair {
    /// `min(c F D, F D)`.
    pub call: f64,
    /// `min(p F D, K D)`, `p = max(c + m - 1, 0)`.
    pub put: f64,
    /// `N(d1)`, before the discount.
    pub undiscounted_call_delta: f64,
}

/// Call and put of one strike: `v = vol sqrt(tau)`; `v >= 24`: the unit call is 1, so the call is worth `F D` and the put
/// `K D`; else Black-76, `v = 0` being intrinsic value. `kind` of the input is not read.
///
/// Edges: `K = 0` call `F D`, put 0; `F = 0` call 0, put `K D`; `tau <= 0` intrinsic value times `D`, with the delta of a
/// step at the strike (one half on it). Source: lyra-utils at 759e9625 (`Black76`); methods 1.1.
///
/// ```
/// use plimsoll_quant::black::{Black, OptionKind};
/// use plimsoll_quant::contract::pair;
/// let far = Black { forward: 100.0, strike: 300.0, vol: 24.0, tau: 1.0, discount: 0.5, kind: OptionKind::Call };
/// assert_eq!((pair(&far).call, pair(&far).put), (50.0, 150.0));
/// ```
#[must_use]
pub fn pair(of: &Black) -> Pair {
    let Black { forward, strike, vol, tau, discount, .. } = *of;
    let deviations = if tau > 0.0 { vol * tau.sqrt() } else { 0.0 };
    if deviations >= DEVIATIONS_MAX && forward > 0.0 {
        // d1 >= v/2 - |ln m|/v.
        let delta = if strike > 0.0 {
            norm_cdf(crate::special::ln(forward / strike) / deviations + 0.5 * deviations)
        } else {
            1.0
        };
        return Pair { call: discount * forward, put: discount * strike, undiscounted_call_delta: delta };
    }
    let value = |kind, most: f64| discount * price(kind, forward, strike, vol, tau).min(most);
    Pair {
        call: value(OptionKind::Call, forward),
        put: value(OptionKind::Put, strike),
        undiscounted_call_delta: delta(of, deviations),
    }
}

fn delta(of: &Black, deviations: f64) -> f64 {
    if deviations > 0.0 {
        return greeks(OptionKind::Call, of.forward, of.strike, of.vol, of.tau).delta;
    }
    match of.forward.partial_cmp(&of.strike) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Equal) => 0.5,
        Some(std::cmp::Ordering::Less) => 0.0,
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(forward: f64, strike: f64, vol: f64, tau: f64) -> Black {
        Black { forward, strike, vol, tau, discount: 0.9, kind: OptionKind::Call }
    }

    #[test]
    fn a_month_at_a_quarter_has_the_contract_value() {
        let b =
            Black { discount: 0.9991784198737006, ..of(1000.0, 1200.0, 0.25, 2_592_000.0 / 31_536_000.0) };
        let p = pair(&b);
        assert!((p.call / 0.1370821284265793 - 1.0).abs() < 1e-9);
        assert!((p.put / 199.97276610316672 - 1.0).abs() < 1e-12);
        assert!((p.undiscounted_call_delta / 0.006071372605597036 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn expired_and_free_and_worthless_are_intrinsic() {
        assert_eq!(
            pair(&of(120.0, 100.0, 0.5, 0.0)),
            Pair { call: 18.0, put: 0.0, undiscounted_call_delta: 1.0 }
        );
        assert_eq!(pair(&of(100.0, 100.0, 0.0, 1.0)).undiscounted_call_delta, 0.5);
        assert_eq!((pair(&of(100.0, 0.0, 0.5, 1.0)).call, pair(&of(100.0, 0.0, 0.5, 1.0)).put), (90.0, 0.0));
        assert_eq!((pair(&of(0.0, 100.0, 0.5, 1.0)).call, pair(&of(0.0, 100.0, 0.5, 1.0)).put), (0.0, 90.0));
    }

    #[test]
    fn the_bound_is_reached_from_below_without_a_jump() {
        let (below, at) = (pair(&of(100.0, 110.0, 23.999_999, 1.0)), pair(&of(100.0, 110.0, 24.0, 1.0)));
        assert!((below.call - at.call).abs() < 1e-9 && (below.put - at.put).abs() < 1e-9);
    }
}
