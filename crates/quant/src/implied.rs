//! Implied volatility of an undiscounted Black-76 price.
//!
//! The one idea: work on the out-of-the-money side with the total volatility `s = vol sqrt(tau)`, and pick for each
//! price the function in which it is nearly straight and curved the safe way, so that Halley steps from one known
//! point run down to the root without overshooting; a bracket guards them all the same.
//!
//! With `x = |ln(F/K)|`, `A = min(F, K)`, value `V(s)` and target `b`, the inflection of `V` is at `s_c = sqrt(2 x)`:
//!
//! ```text
//! b <= V(s_c)     ln(V / b)                in v = 1/s^2, from s_c
//! b <= A/2        V - b                    in s, from max(s_c, the solution for x = 0)
//! otherwise       ln((A - V) / (A - b))    in s^2, from the same point
//! x = 0           closed form: s = 2 N^-1(1/2 + b/(2 A))
//! ```
//!
//! Sources: Manaster and Koehler (1982) for the inflection point; Jaeckel, *Let's Be Rational* (2013), for the choice
//! of objective functions. A price from which nothing can be recovered is an error here, never a number.

use crate::black::{OptionKind, Otm};
use crate::special::dd::{Dd, two_sum};
use crate::special::{ln, ln_ratio, quantile_of_offset};

/// `8 x 2^-53`: the error of a price as a double, with slack, that the conditioning bound allows for.
pub(crate) const PRICE_ERROR: f64 = 8.0 * 1.110_223_024_625_156_5e-16;
/// Time values below this share of the price carry no information.
pub(crate) const TIME_VALUE_SHARE_MIN: f64 = 1e-15;
/// Largest relative error of the volatility, by the conditioning bound, that counts as recovered.
pub(crate) const RELATIVE_ERROR_MAX: f64 = 0.01;
const ITERATIONS_MAX: u32 = 200;

/// Why a price has no implied volatility.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum ImpliedVolError {
    /// An input is NaN or infinite.
    #[error("non-finite input: price {price}, forward {forward}, strike {strike}, tau {tau}")]
    NonFinite {
        /// Undiscounted price given.
        price: f64,
        /// Forward given.
        forward: f64,
        /// Strike given.
        strike: f64,
        /// Years to expiry given.
        tau: f64,
    },
    /// Forward or strike is negative.
    #[error("negative forward {forward} or strike {strike}")]
    Negative {
        /// Forward given.
        forward: f64,
        /// Strike given.
        strike: f64,
    },
    /// The option has expired.
    #[error("tau {tau} is not positive")]
    NonPositiveTau {
        /// Years to expiry given.
        tau: f64,
    },
    /// The price is below its intrinsic value or equal to it.
    #[error("price {price} is not above its intrinsic value {intrinsic}")]
    BelowIntrinsic {
        /// Undiscounted price given.
        price: f64,
        /// Undiscounted intrinsic value.
        intrinsic: f64,
    },
    /// The price is at or above the forward (call) or the strike (put).
    #[error("price {price} is not below its upper bound {bound}")]
    AboveBound {
        /// Undiscounted price given.
        price: f64,
        /// Forward (call) or strike (put).
        bound: f64,
    },
    /// The time value drowns in the rounding of the price: no digit of the volatility can be trusted.
    #[error(
        "volatility cannot be recovered: time value {time_value} of price {price} leaves a relative error of {relative_error}"
    )]
    Unrecoverable {
        /// Undiscounted price given.
        price: f64,
        /// Price less intrinsic value.
        time_value: f64,
        /// Bound on the relative error of the volatility, `8 x 2^-53 price / (vega vol)`; infinite where the time value
        /// is below 1e-15 of the price.
        relative_error: f64,
    },
    /// The bracket did not close within 200 steps.
    #[error("no convergence for price {price}: total volatility between {lower} and {upper}")]
    NotConverged {
        /// Undiscounted price given.
        price: f64,
        /// Largest total volatility known to be too low.
        lower: f64,
        /// Smallest total volatility known to be too high.
        upper: f64,
    },
}

/// The out-of-the-money problem: find `s` with `V(s) = target`.
struct Target {
    forward: f64,
    strike: f64,
    /// `|ln(F/K)|`.
    x: Dd,
    /// Price of the out-of-the-money option.
    value: f64,
    /// `min(F, K) - value`, exact to rounding.
    room: f64,
}

/// The function that is driven to zero.
#[derive(Clone, Copy, PartialEq)]
enum Objective {
    LogValue,
    Value,
    LogRoom,
}

/// Annualised volatility whose undiscounted Black-76 price is `price`.
///
/// The answer is within `max(1e-12, 8 x 2^-53 price / (vega vol))` relative of the exact one.
///
/// # Errors
/// See [`ImpliedVolError`]; the checks run in the order: finite inputs, `tau > 0`, non-negative forward and strike,
/// price above intrinsic, price below its bound, information left in the time value.
///
/// ```
/// use plimsoll_quant::black::{OptionKind, price};
/// use plimsoll_quant::implied::implied_vol;
/// let quoted = price(OptionKind::Call, 100.0, 120.0, 0.65, 0.1);
/// let vol = implied_vol(OptionKind::Call, quoted, 100.0, 120.0, 0.1)?;
/// assert!((vol / 0.65 - 1.0).abs() < 1e-12);
/// # Ok::<(), plimsoll_quant::implied::ImpliedVolError>(())
/// ```
pub fn implied_vol(
    kind: OptionKind,
    price: f64,
    forward: f64,
    strike: f64,
    tau: f64,
) -> Result<f64, ImpliedVolError> {
    if ![price, forward, strike, tau].iter().all(|v| v.is_finite()) {
        return Err(ImpliedVolError::NonFinite { price, forward, strike, tau });
    }
    if tau <= 0.0 {
        return Err(ImpliedVolError::NonPositiveTau { tau });
    }
    if forward < 0.0 || strike < 0.0 {
        return Err(ImpliedVolError::Negative { forward, strike });
    }
    let target = out_of_the_money(kind, price, forward, strike)?;
    let s = total_vol_of(&target, price)?;
    let conditioning = PRICE_ERROR * price / (evaluate(&target, s).g * s);
    if conditioning.is_nan() || conditioning > RELATIVE_ERROR_MAX {
        return Err(unrecoverable(price, target.value, conditioning));
    }
    Ok(s / tau.sqrt())
}

fn unrecoverable(price: f64, time_value: f64, relative_error: f64) -> ImpliedVolError {
    ImpliedVolError::Unrecoverable { price, time_value, relative_error }
}

/// Checks the bounds of the price and moves it to the out-of-the-money side.
fn out_of_the_money(
    kind: OptionKind,
    price: f64,
    forward: f64,
    strike: f64,
) -> Result<Target, ImpliedVolError> {
    let (long, short) = match kind {
        OptionKind::Call => (forward, strike),
        OptionKind::Put => (strike, forward),
    };
    let (intrinsic, value) = time_value(price, long, short);
    if value <= 0.0 {
        return Err(ImpliedVolError::BelowIntrinsic { price, intrinsic });
    }
    if price >= long {
        return Err(ImpliedVolError::AboveBound { price, bound: long });
    }
    if value < TIME_VALUE_SHARE_MIN * price {
        return Err(unrecoverable(price, value, f64::INFINITY));
    }
    let x = ln_ratio(forward, strike).abs();
    Ok(Target { forward, strike, x, value, room: long - price })
}

/// Intrinsic value, and the price less it with one rounding: `max(long - short, 0)` of the leg received and the leg paid.
#[inline(always)]
pub(crate) fn time_value(price: f64, long: f64, short: f64) -> (f64, f64) {
    let intrinsic = two_sum(long, -short);
    if intrinsic.hi > 0.0 { (intrinsic.hi, Dd::from(price).sub(intrinsic).hi) } else { (0.0, price) }
}

fn evaluate(target: &Target, s: f64) -> Otm {
    // The out-of-the-money side does not depend on the sign of x, only on the legs.
    Otm::new(target.forward, target.strike, target.x, Dd::from(s))
}

/// Total volatility `vol sqrt(tau)` of the target.
fn total_vol_of(target: &Target, price: f64) -> Result<f64, ImpliedVolError> {
    let small = target.forward.min(target.strike);
    let at_the_money = 2.0 * quantile_of_offset(0.5 * (target.value / small), 0.5 * (target.room / small));
    if target.x.hi == 0.0 {
        return Ok(at_the_money);
    }
    let inflection = (2.0 * target.x.hi).sqrt();
    if target.value <= evaluate(target, inflection).value {
        let bracket = (at_the_money.min(inflection), inflection);
        return solve(target, price, Objective::LogValue, bracket, inflection);
    }
    let start = inflection.max(at_the_money);
    let objective = if target.value <= 0.5 * small { Objective::Value } else { Objective::LogRoom };
    solve(target, price, objective, (start * (1.0 - 1e-12), f64::INFINITY), start)
}

/// Halley steps inside a bracket, from `start`.
fn solve(
    target: &Target,
    price: f64,
    objective: Objective,
    (mut lower, mut upper): (f64, f64),
    start: f64,
) -> Result<f64, ImpliedVolError> {
    let mut s = start;
    for _ in 0..ITERATIONS_MAX {
        let at = evaluate(target, s);
        if at.value < target.value {
            lower = lower.max(s);
        } else {
            upper = upper.min(s);
        }
        let step = halley(target, objective, &at, s);
        if (step - s).abs() <= 1e-7 * s {
            return Ok(step);
        }
        s = if step > lower && step < upper { step } else { bisect(lower, upper) };
        if upper - lower <= 4.0 * f64::EPSILON * lower {
            return Ok(s);
        }
    }
    Err(ImpliedVolError::NotConverged { price, lower, upper })
}

fn bisect(lower: f64, upper: f64) -> f64 {
    if upper == f64::INFINITY { 2.0 * lower } else { lower.sqrt() * upper.sqrt() }
}

/// The next `s`: one Halley step in the variable of the objective. NaN or out of range where there is none.
fn halley(target: &Target, objective: Objective, at: &Otm, s: f64) -> f64 {
    // V' = g and V'' = g d1 d2 / s.
    let bend = at.d1 * at.d2 / s;
    match objective {
        Objective::Value => {
            let newton = (target.value - at.value) / at.g;
            s + newton / (1.0 + 0.5 * newton * bend)
        }
        Objective::LogValue => {
            let f = ln(at.value / target.value);
            let f1 = at.g / at.value;
            // In v = s^-2: ds/dv = -s^3/2, d2s/dv2 = 3/4 s^5.
            let slope = -0.5 * s * s * s * f1;
            let curve = s * s * s * s * s * (0.25 * s * f1 * (bend - f1) + 0.75 * f1);
            let v = 1.0 / (s * s) - halley_ratio(f, slope, curve);
            (1.0 / v).sqrt()
        }
        Objective::LogRoom => {
            let f = ln(at.room / target.room);
            let f1 = -at.g / at.room;
            // In w = s^2: ds/dw = 1/(2 s), d2s/dw2 = -1/(4 s^3).
            let slope = 0.5 * f1 / s;
            let curve = 0.25 * (f1 * (bend - f1) - f1 / s) / (s * s);
            (s * s - halley_ratio(f, slope, curve)).sqrt()
        }
    }
}

/// `f / f' / (1 - f f'' / (2 f'^2))`, falling back on Newton's `f / f'` where the correction turns the step round.
fn halley_ratio(f: f64, slope: f64, curve: f64) -> f64 {
    let newton = f / slope;
    let correction = 1.0 - 0.5 * newton * (curve / slope);
    if correction > 0.2 { newton / correction } else { newton }
}
