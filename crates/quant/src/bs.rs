//! Generalised Black-Scholes: European options on a spot with a continuous yield.
//!
//! The one idea: it is Black-76 between the two discounted legs `S e^(-y tau)` and `K e^(-r tau)`, with the
//! logarithm `x` of their ratio taken as `ln(S/K) + (r - y) tau` in double-double rather than from the rounded
//! legs. The intrinsic value near the forward is `leg (e^|x| - 1)` for the same reason: within minutes of expiry the
//! value is a ten-thousandth of the legs, and the rounding of their difference would be seen in it.
//!
//! Source: Haug, *The Complete Guide to Option Pricing Formulas* (1998), chapter 1. This module must never know
//! where a rate or a yield comes from.

use crate::black::{OptionKind, Otm, finite_product, total_vol};
use crate::special::dd::{Dd, two_prod, two_sum};
use crate::special::{exp_dd, exp_m1, ln_ratio};

/// Inputs of the generalised Black-Scholes formula.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SpotInputs {
    /// Spot price of the underlying, quote units per base unit, `> 0` (`0` allowed: the option is its limit).
    pub spot: f64,
    /// Strike, in the unit of the spot, `>= 0`.
    pub strike: f64,
    /// Continuous yield of the underlying (dividend, foreign rate, funding), per year as a decimal.
    pub yield_: f64,
    /// Continuous interest rate per year as a decimal; may be negative.
    pub rate: f64,
    /// Years to expiry; zero or less means expired.
    pub tau: f64,
    /// Annualised volatility as a decimal, `>= 0`.
    pub vol: f64,
}

/// Value and raw derivatives of a spot option (per unit of the variable; `theta` per year).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct SpotGreeks {
    /// Value `V`, quote units per base unit.
    pub value: f64,
    /// `dV/dS`.
    pub delta: f64,
    /// `d2V/dS2`.
    pub gamma: f64,
    /// `dV/dvol`.
    pub vega: f64,
    /// `dV/dt` per year as time passes.
    pub theta: f64,
    /// `dV/dr`.
    pub rho: f64,
    /// `dV/dy`, the derivative to the yield.
    pub dividend_rho: f64,
    /// `delta S / V`; NaN where the value is 0.
    pub elasticity: f64,
    /// `d2V/(dS dvol)`.
    pub vanna: f64,
    /// `d2V/dvol2`.
    pub volga: f64,
}

/// The discounted legs and the two signed exercise probabilities, from which every first derivative follows.
struct Parts {
    spot_leg: f64,
    strike_leg: f64,
    value: f64,
    /// `w N(w d1)` and `w N(w d2)`.
    probabilities: (f64, f64),
}

/// Value of a spot option; edges as in [`greeks`].
#[must_use]
pub fn price(kind: OptionKind, inputs: &SpotInputs) -> f64 {
    greeks(kind, inputs).value
}

/// Value and Greeks of a spot option.
///
/// Edges: `tau <= 0` gives the intrinsic value on the spot; `vol = 0`, a zero spot or a zero strike give the
/// discounted intrinsic value on the forward, with delta its step and `gamma`, `vega`, `vanna`, `volga` 0. NaN, infinite
/// or negative spot or strike, negative volatility and non-finite rates give NaN throughout.
///
/// ```
/// use plimsoll_quant::black::OptionKind;
/// use plimsoll_quant::bs::{SpotInputs, greeks};
/// // Haug (1998), p. 27: delta of a futures call.
/// let inputs = SpotInputs { spot: 105.0, strike: 100.0, yield_: 0.1, rate: 0.1, tau: 0.5, vol: 0.36 };
/// assert!((greeks(OptionKind::Call, &inputs).delta - 0.5946).abs() < 1e-4);
/// ```
#[must_use]
pub fn greeks(kind: OptionKind, inputs: &SpotInputs) -> SpotGreeks {
    if !is_valid(inputs) {
        return not_a_number();
    }
    let tau = inputs.tau.max(0.0);
    let spot_leg = inputs.spot * exp_dd(two_prod(-inputs.yield_, tau));
    let strike_leg = inputs.strike * exp_dd(two_prod(-inputs.rate, tau));
    let s = total_vol(inputs.vol, tau);
    if spot_leg == 0.0 || strike_leg == 0.0 {
        let probabilities = steps(kind, spot_leg - strike_leg);
        let value = (kind.sign() * (spot_leg - strike_leg)).max(0.0);
        return first_order(inputs, tau, &Parts { spot_leg, strike_leg, value, probabilities });
    }
    let carry = two_sum(inputs.rate, -inputs.yield_).mul(Dd::from(tau));
    let x = ln_ratio(inputs.spot, inputs.strike).add(carry);
    let intrinsic = (kind.sign() * leg_difference(spot_leg, strike_leg, x.hi, tau)).max(0.0);
    if s.hi < 1e-290 {
        let probabilities = steps(kind, x.hi);
        return first_order(inputs, tau, &Parts { spot_leg, strike_leg, value: intrinsic, probabilities });
    }
    let otm = Otm::new(spot_leg, strike_leg, x, s);
    let probabilities = (
        otm.signed_probability(kind, otm.d1, otm.g / spot_leg),
        otm.signed_probability(kind, otm.d2, otm.g / strike_leg),
    );
    let value = intrinsic + otm.value;
    second_order(
        inputs,
        &otm,
        first_order(inputs, tau, &Parts { spot_leg, strike_leg, value, probabilities }),
    )
}

fn is_valid(i: &SpotInputs) -> bool {
    let finite = (0.0..f64::INFINITY).contains(&i.spot) && (0.0..f64::INFINITY).contains(&i.strike);
    finite && i.vol >= 0.0 && i.tau < f64::INFINITY && i.rate.is_finite() && i.yield_.is_finite()
}

/// `S e^(-y tau) - K e^(-r tau)` for positive legs whose ratio has the logarithm `x`.
///
/// Where the legs are close their roundings would make up the difference, so it is taken from `x`; at expiry they
/// are the spot and the strike themselves, and the difference is exact.
fn leg_difference(spot_leg: f64, strike_leg: f64, x: f64, tau: f64) -> f64 {
    if tau == 0.0 || x.abs() > 0.5 { spot_leg - strike_leg } else { strike_leg * exp_m1(x) }
}

/// `w N(w d)` for both legs when nothing is left to chance; `ahead` has the sign of spot leg less strike leg.
fn steps(kind: OptionKind, ahead: f64) -> (f64, f64) {
    let w = kind.sign();
    let moneyness = w * ahead;
    let step = if moneyness > 0.0 {
        w
    } else if moneyness < 0.0 {
        0.0
    } else {
        0.5 * w
    };
    (step, step)
}

/// Value and the derivatives that need only the two probabilities.
fn first_order(i: &SpotInputs, tau: f64, parts: &Parts) -> SpotGreeks {
    let spot_part = parts.spot_leg * parts.probabilities.0;
    let strike_part = parts.strike_leg * parts.probabilities.1;
    let yield_discount = exp_dd(two_prod(-i.yield_, tau));
    let delta = yield_discount * parts.probabilities.0;
    SpotGreeks {
        value: parts.value,
        delta,
        theta: if i.tau > 0.0 { carry_theta(i, parts.value, spot_part, strike_part) } else { 0.0 },
        rho: tau * strike_part,
        dividend_rho: -tau * spot_part,
        elasticity: if parts.value > 0.0 { delta * i.spot / parts.value } else { f64::NAN },
        ..SpotGreeks::default()
    }
}

/// `y S e^(-y tau) w N(w d1) - r K e^(-r tau) w N(w d2)`, the part of theta that is not decay.
///
/// The value is the difference of the two parts. Where it is far smaller than they are, it is known better than
/// they are, and `r value + (y - r) part` does not cancel.
fn carry_theta(i: &SpotInputs, value: f64, spot_part: f64, strike_part: f64) -> f64 {
    if value < 0.25 * spot_part.abs() {
        i.rate * value + (i.yield_ - i.rate) * spot_part
    } else {
        i.yield_ * spot_part - i.rate * strike_part
    }
}

/// Adds the terms with the density: `otm.g = S e^(-y tau) n(d1)`.
fn second_order(i: &SpotInputs, otm: &Otm, first: SpotGreeks) -> SpotGreeks {
    let root_tau = i.tau.sqrt();
    let density = otm.g / i.spot;
    let vega = otm.g * root_tau;
    SpotGreeks {
        gamma: density / i.spot / otm.s,
        vega,
        theta: first.theta - 0.5 * otm.g * i.vol / root_tau,
        vanna: finite_product(density, -otm.d2 / i.vol),
        volga: finite_product(vega, otm.d1 * otm.d2 / i.vol),
        ..first
    }
}

#[cold]
fn not_a_number() -> SpotGreeks {
    let nan = f64::NAN;
    SpotGreeks {
        value: nan,
        delta: nan,
        gamma: nan,
        vega: nan,
        theta: nan,
        rho: nan,
        dividend_rho: nan,
        elasticity: nan,
        vanna: nan,
        volga: nan,
    }
}
