//! One lane of the batch of implied volatilities: start, approach, finish, without a branch.
//!
//! With `x = |ln(F/K)|`, `s` the total volatility, `d = x/s - s/2`, `e = x/s + s/2` and Mills ratio `R`, the
//! out-of-the-money value and what it lacks to its bound `A = min(F, K)` are, as shares of `A`,
//!
//! ```text
//! value = n(d) (R(d) - R(e))      side -1: the goal is the value where that is at most 1/2
//! room  = n(d) (R(-d) + R(e))     side +1: the goal is the room otherwise
//! ```
//!
//! so that the first argument `a = -side d` is never below -0.6745 at the solution. One polynomial gives `R` on
//! `[-0.75, inf)`, in a variable in which the difference of two ratios needs no cancelling subtraction: Horner's rule at
//! `e` yields on its way the divided difference of the polynomial between `a` and `e`.
//!
//! The objective is the logarithm of the goal's share in the variable `s^(2 side)`, in which it is nearly straight: at
//! fixed `x` the logarithm of the value falls as `1/s^2` in the wings, that of the room as `s^2`. From a start within 8 %
//! one step of Householder's fourth-order iteration with short polynomials comes within 2e-5, and one with the full ones
//! ends it. With `W` the bracket above, the derivatives to `ln s` are `f1 = -side s/W`, `f1 k` and
//! `f1 (k^2 - f1 k - d^2 - e^2)`, where `k = 1 + d e - f1`.
//!
//! No compensated arithmetic is needed: what rounding does to `d^2/2` in the wings, the slope of about `(x/s)^2` takes
//! back.
//!
//! Sources: Jaeckel, *Let's Be Rational* (2013), for the objectives by region and the order of the iteration; Abramowitz
//! and Stegun (1964), 26.2.23, for the quantile of the start. This module must never know a price, a length or an error.

use crate::batch::lane::{self, larger, polynomial, smaller};
use crate::special::INV_SQRT_2PI;
use std::f64::consts::LN_2;

const LN_SQRT_2PI: f64 = 0.9189385332046727;
const SQRT_2PI: f64 = 2.5066282746310002;
/// Least argument of [`MILLS`].
pub(super) const ARGUMENT_MIN: f64 = -0.75;
/// With `q = 1/(a + 5.25)` the polynomials are `R(a)/q` in `y = 1 - 9 q`, which runs from -1 at -0.75 to 1 at infinity.
const SHIFT: f64 = 5.25;
const SPAN: f64 = 9.0;
/// `R(a)/q`, interpolated at Chebyshev nodes in 60 digits: relative error below 2e-17, of the derivative below 1e-15.
pub(super) const MILLS: [f64; 27] = [
    2.256850002995685,
    -2.574462395899938,
    2.4682535951660505,
    -1.9776174069200112,
    1.3023168164288716,
    -0.6801118094620286,
    0.2593336663185436,
    -0.054563893656338326,
    -0.006970690276137206,
    0.009181465232856009,
    -0.0017682826004815177,
    -0.0008791595119267816,
    0.00044043314738233534,
    7.228958133950102e-05,
    -8.172674695374855e-05,
    -6.326769887925104e-06,
    1.5049255821161739e-05,
    1.0313172240135e-06,
    -2.887896957307483e-06,
    -3.223199824573581e-07,
    5.608064932763222e-07,
    9.853136974552399e-08,
    -1.0125265206274669e-07,
    -2.104385421797816e-08,
    1.4499126130450337e-08,
    2.2463857155691207e-09,
    -1.1699991377128975e-09,
];
/// The same to 1e-6.
pub(super) const MILLS_NEAR: [f64; 11] = [
    2.256850003,
    -2.57446997708,
    2.46825651997,
    -1.9774651569,
    1.30225777109,
    -0.68097347793,
    0.259672329128,
    -0.0525519798865,
    -0.00778296115916,
    0.00707477941045,
    -0.000867436890717,
];
/// `ln(1 + f)/f` from `sqrt(1/2)` to `sqrt(2)`, interpolated at Chebyshev nodes: error of the logarithm below 2e-8.
const LN_NEAR: [f64; 9] = [
    0.9999999741311,
    -0.4999999638212,
    0.3333419328613,
    -0.2500135218551,
    0.1995593335843,
    -0.165779928966,
    0.149774012795,
    -0.1426925820743,
    0.085333130864,
];
/// Taylor's series of `e^(x/2)`, within 0.4 % where `|x|` is at most 3: the narrow start lies below 2.
const HALF_EXP: [f64; 7] = [
    1.0,
    0.5,
    0.125,
    0.020833333333333332,
    0.0026041666666666665,
    0.00026041666666666666,
    0.00002170138888888889,
];
const HALF_EXP_MAX: f64 = 3.0;
/// `q/m` in `q`, up to 4, where `q = m e^(m^2/2) / M(m)` and `M = 1 - m R(m)`: least squares, within 0.7 %.
const NARROW: [f64; 5] = [1.0062937, 1.1697731, -0.20747264, 0.047835181, -0.0045764482];
const NARROW_MAX: f64 = 4.0;
/// `m/z` in `1/(1 + z)`, `z = sqrt(ln q)`, for `ln q` above 1: least squares, within 0.3 %.
const WIDE: [f64; 6] = [1.420958835, -0.4137696932, -1.267691483, -27.19242781, 83.32444246, -60.68500417];
/// Where [`NARROW`] gives way to [`WIDE`], in `ln q`.
const NARROW_LN_MAX: f64 = 1.2;
/// Above this `x`, and where `x` is also twice the square of the normal quantile, the quantile makes the better start.
const CENTRAL_X_MIN: f64 = 3.0;
/// Bits of `sqrt(1/2)`.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
/// 1024 in the place of the exponent, which keeps the count of steps positive.
const STEPS_BIAS: u64 = 1 << 62;
const SIGNED_EXPONENT_MASK: u64 = 0xfff0_0000_0000_0000;
/// Bits of `2^52`.
const TWO_52_BITS: u64 = 0x4330_0000_0000_0000;
/// `2^52 + 1024`.
const TWO_52_AND_BIAS: f64 = 4_503_599_627_371_520.0;

/// What a total volatility is sought for.
#[derive(Clone, Copy)]
pub(super) struct Goal {
    /// `|ln(F/K)|`.
    pub(super) x: f64,
    /// Value or room of the out-of-the-money option as a share of `min(F, K)`, in (0, 1/2]; a NaN goes through.
    pub(super) share: f64,
    /// `1/share`.
    pub(super) inverse_share: f64,
    /// -1 where the share is the value's, +1 where it is the room's.
    pub(super) side: f64,
}

/// `ln v` to 2e-8 for positive, normal `v`; about -709 for 0.
#[inline(always)]
pub(super) fn ln_near(v: f64) -> f64 {
    let bits = v.to_bits();
    let steps = bits.wrapping_sub(SQRT_HALF_BITS).wrapping_add(STEPS_BIAS) & SIGNED_EXPONENT_MASK;
    let n = f64::from_bits((steps >> 52) | TWO_52_BITS) - TWO_52_AND_BIAS;
    let f = f64::from_bits(bits.wrapping_sub(steps).wrapping_add(STEPS_BIAS)) - 1.0;
    n.mul_add(LN_2, f * polynomial(&LN_NEAR, f))
}

/// `z` with `N(-z) = p`, within 5e-4 for `p` up to one half and 0.01 up to 0.8, from `ln p`.
#[inline(always)]
fn quantile_near(ln_p: f64) -> f64 {
    let r = (-2.0 * ln_p).sqrt();
    r - polynomial(&[2.515517, 0.802853, 0.010328], r) / polynomial(&[1.0, 1.432788, 0.189269, 0.001308], r)
}

/// `(R(0)/R(a))^2` for `a >= 0`, within a tenth.
#[inline(always)]
fn squared_inverse_mills_near(a: f64) -> f64 {
    polynomial(&[1.0, 1.2, 1.57], a)
}

/// First half of the start by quantile: the quantile `z` before the correction and the logarithm of the probability after
/// it. Where `n(d) R(-side d)` outweighs `n(d) R(e)` a normal quantile gives `d`, corrected once for the other term.
#[inline(always)]
pub(super) fn corrected_probability(goal: Goal, ln_share: f64) -> (f64, f64) {
    let upper = goal.side > 0.0;
    // At x = 0 both terms of the room are equal.
    let z = quantile_near(if upper { ln_share - LN_2 } else { ln_share });
    let e = (z * z + 2.0 * goal.x).sqrt();
    let ratio = (squared_inverse_mills_near(z.abs()) / squared_inverse_mills_near(e)).sqrt();
    let weight = if upper { 1.0 + ratio } else { 1.0 - smaller(ratio, 0.6) };
    (z, smaller(ln_share - ln_near(weight), -0.2))
}

/// Second half: the root of `side (s/2 - x/s) = a` where that makes the better start, 0 elsewhere.
#[inline(always)]
pub(super) fn start_by_quantile(goal: Goal, z: f64, ln_probability: f64) -> f64 {
    let upper = goal.side > 0.0;
    let a = quantile_near(ln_probability);
    let root = (a * a + 2.0 * goal.x).sqrt();
    let central = (goal.x > CENTRAL_X_MIN) & (goal.x > 2.0 * z * z);
    let s = if upper { root + a } else { root - a };
    if upper | central { s } else { 0.0 }
}

/// Start of the lower side from `m = x/s`. For small `s` the value depends on `x` and `s` by Bachelier's formula, which
/// is `q = m e^(m^2/2) / M(m)` with `q = x e^(x/2) / (sqrt(2 pi) value)`; one Newton step puts in `e^(-s^2/8)`.
#[inline(always)]
pub(super) fn start_by_ratio(goal: Goal, ln_share: f64) -> f64 {
    let grown = polynomial(&HALF_EXP, smaller(goal.x, HALF_EXP_MAX));
    let q = smaller(goal.x * INV_SQRT_2PI * grown * goal.inverse_share, NARROW_MAX);
    let ln_q = ln_near(goal.x) + 0.5 * goal.x - ln_share - LN_SQRT_2PI;
    let is_narrow = ln_q < NARROW_LN_MAX;
    // s = m's quotient with x and the other way round; the narrow one stands also at x = 0.
    let shrunk = polynomial(&HALF_EXP, -smaller(goal.x, HALF_EXP_MAX));
    let narrow = SQRT_2PI * goal.share * shrunk * polynomial(&NARROW, q);
    let z = larger(ln_q, 1.0).sqrt();
    let wide = z * polynomial(&WIDE, 1.0 / (1.0 + z));
    let divisor = if is_narrow { narrow } else { wide };
    let quotient = goal.x / divisor;
    let (s, m) = if is_narrow { (divisor, quotient) } else { (quotient, divisor) };
    let t = smaller(0.5 * s, m);
    // m d/dm of m^2/2 + ln m - ln M, with 1/M nearly 1 + 1.25 m + m^2.
    let inverse_moment = polynomial(&[1.0, 1.25, 1.0], m);
    let slope = (m * m + 1.0) * inverse_moment + m * m.mul_add(2.0, 1.25);
    s * slope / (slope - 0.5 * t * t * inverse_moment)
}

/// The model at a trial total volatility.
#[derive(Clone, Copy)]
pub(super) struct Trial {
    /// `R(d) - R(e)` or `R(-d) + R(e)`: the share over `n(d)`.
    pub(super) weight: f64,
    pub(super) d: f64,
    pub(super) e: f64,
}

/// The model at `s`, with the Mills ratio given by the polynomial `c`.
#[inline(always)]
pub(super) fn trial<const N: usize>(c: &[f64; N], goal: Goal, s: f64) -> Trial {
    let (m, t) = (goal.x / s, 0.5 * s);
    let (d, e) = (m - t, m + t);
    let (above_a, above_e) = (SHIFT - goal.side * d, SHIFT + e);
    let inverse = 1.0 / (above_a * above_e);
    let (q_a, q_e) = (above_e * inverse, above_a * inverse);
    let (y_a, y_e) = (1.0 - SPAN * q_a, 1.0 - SPAN * q_e);
    let (at_e, divided) = divided_difference(c, y_a, y_e);
    // P(y_a) = P(y_e) + (y_a - y_e) divided, and q_a - q_e = s q_a q_e on the lower side: every term has one sign.
    let difference = inverse * s * (at_e - SPAN * q_a * divided);
    let sum = (at_e + (y_a - y_e) * divided) * q_a + at_e * q_e;
    Trial { weight: if goal.side > 0.0 { sum } else { difference }, d, e }
}

/// `P(v)` and `(P(u) - P(v))/(u - v)` by Horner's rule, constant coefficient first, at least two.
#[inline(always)]
fn divided_difference<const N: usize>(c: &[f64; N], u: f64, v: f64) -> (f64, f64) {
    let mut value = c[N - 1];
    let mut divided = value;
    let mut i = N - 2;
    while i > 0 {
        value = value.mul_add(v, c[i]);
        divided = divided.mul_add(u, value);
        i -= 1;
    }
    (value.mul_add(v, c[0]), divided)
}

/// Relative step of `s^(2 side)` as numerator and denominator, given the logarithm `f` of the trial's share over the
/// goal's.
#[inline(always)]
fn householder(trial: Trial, goal: Goal, s: f64, f: f64) -> (f64, f64) {
    let Trial { weight, d, e } = trial;
    // One division for the quotient and its inverse.
    let inverse = 1.0 / (weight * s);
    let f1 = -goal.side * (s * s * inverse);
    let k = 1.0 + d * e - f1;
    let third = k * k - f1 * k - (d * d + e * e);
    // With p = 2 side: the derivatives to s^p over the first, times the powers of s^p that make them pure numbers.
    let newton = 2.0 * f * (weight * weight * inverse);
    let h2 = 0.5 * goal.side * k - 1.0;
    let h3 = 0.25 * third - 1.5 * goal.side * k + 2.0;
    (newton * (1.0 + 0.5 * h2 * newton), 1.0 + newton * (h2 + h3 * newton * (1.0 / 6.0)))
}

/// Total volatility within 2e-5 of the solution, from the start and the trial there.
#[inline(always)]
pub(super) fn approach(goal: Goal, at: Trial, ln_share: f64, s: f64) -> f64 {
    let f = ln_near(at.weight) - 0.5 * at.d * at.d - LN_SQRT_2PI - ln_share;
    let (numerator, denominator) = householder(at, goal, s, f);
    // (1 + step)^(side/2)
    let moved = denominator + numerator;
    let upper = goal.side > 0.0;
    let (above, below) = if upper { (moved, denominator) } else { (denominator, moved) };
    s * (above / below).sqrt()
}

/// The outcome of the last step.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    /// Total volatility.
    pub(super) s: f64,
    /// Relative step of `s^(2 side)` that led there: what is left is of its fourth power.
    pub(super) step: f64,
    /// `n(d)` before the step.
    pub(super) density: f64,
    /// First argument of the Mills ratios, to be held against [`ARGUMENT_MIN`].
    pub(super) argument: f64,
}

/// The last step, to rounding.
#[inline(always)]
pub(super) fn finish(goal: Goal, at: Trial, s: f64) -> Finish {
    let density = INV_SQRT_2PI * lane::exp(-0.5 * at.d * at.d);
    let excess = at.weight * density * goal.inverse_share - 1.0;
    // ln(1 + excess) = 2 atanh(h); the excess is a few per cent at most.
    let h = excess / (2.0 + excess);
    let f = 2.0 * h * polynomial(&[1.0, 1.0 / 3.0, 0.2, 1.0 / 7.0], h * h);
    let (numerator, denominator) = householder(at, goal, s, f);
    let step = numerator / denominator;
    // (1 + step)^(side/2) - 1
    let upper = polynomial(&[0.5, -0.125, 0.0625], step);
    let lower = polynomial(&[-0.5, 0.375, -0.3125], step);
    let change = step * if goal.side > 0.0 { upper } else { lower };
    Finish { s: s + s * change, step, density, argument: -goal.side * at.d }
}
