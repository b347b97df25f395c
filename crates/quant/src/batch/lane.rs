//! One lane of the vector kernels: elementary functions and Black-76 without a branch.
//!
//! The one idea: each function reads like a scalar formula and is `#[inline(always)]`, so that a loop over slices inside
//! a kernel of `plimsoll-lanes` becomes vector code on every path, with the same bits on each. Cases are told apart by
//! selections, never by branches; there is no table.
//!
//! With `s` the total volatility, `x = ln(F/K)`, `d1 = x/s + s/2`, `d2 = d1 - s` and Mills ratio `R(a) = N(-a)/n(a)`,
//!
//! ```text
//! F n(d1) = K n(d2) = g      F N(-|d1|) = g R(|d1|)      K N(-|d2|) = g R(|d2|)
//! ```
//!
//! so that one exponential serves both terms, and one polynomial both Mills ratios. Errors are bounded relative to
//! `max(F, K)`, not to the price: a far out-of-the-money price that must keep its own digits is
//! [`black::price`](crate::black::price)'s work. Source: Black (1976).
//!
//! This module must never know a slice, a length or an instruction set.

use crate::black::Greeks;
use crate::special::{EXP_TAIL, LN2_REST, LN2_TOP, ROUND_MAGIC};
use std::f64::consts::{LN_2, LOG2_E};

/// `-1/(2 ln 2)`.
const MINUS_HALF_LOG2_E: f64 = -0.7213475204444817;
/// Binary exponents below this give a density of zero, all others a normal number.
const DENSITY_EXPONENT_MIN: f64 = -1020.0;
const EXPONENT_MASK: u64 = 0x7ff0_0000_0000_0000;
const SIGNED_EXPONENT_MASK: u64 = 0xfff0_0000_0000_0000;
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
const SIGN_BIT: u64 = 1 << 63;
const HALF_STEP: u64 = 1 << 51;
/// Bits of `2^52`.
const TWO_52_BITS: u64 = 0x4330_0000_0000_0000;
/// `2^52 + 2048`.
const TWO_52_AND_BIAS: f64 = 4_503_599_627_372_544.0;
/// Exponents below this give an exponential of zero: the smallest whole number whose exponential is normal.
const EXP_MIN: f64 = -708.0;
/// Exponents above this overflow.
const EXP_MAX: f64 = 709.782712893384;
/// Below this total volatility an option is worth its intrinsic, as in `black::price`.
const TOTAL_VOL_MIN: f64 = 1e-290;
/// Above this total volatility every option between normal numbers is worth its bound.
const TOTAL_VOL_MAX: f64 = 200.0;
/// `c` of the variable `t = (a - c)/(a + c)` of [`MILLS`].
const MILLS_CENTRE: f64 = 4.5;

/// `2^r / sqrt(2 pi)` on `|r| <= 1/2`: minimax by Remez exchange at 50 digits with weight `2^-r`, degree 11; relative
/// error below 8.3e-17 with these doubles and exact arithmetic, nearly all of it the rounding of the first.
const DENSITY: [f64; 12] = [
    0.3989422804014327,
    0.2765257168664082,
    0.09583651049913461,
    0.022142935682392176,
    0.0038370783593766615,
    0.0005319320092945712,
    6.1451195689814e-05,
    6.0849602806910096e-06,
    5.272194996210616e-07,
    4.0605135692352315e-08,
    2.8221628793181386e-09,
    1.7694194947775304e-10,
];

/// `(2 atanh(s) - 2 s) / s^3` in `s^2` on `|s| <= 0.2`: minimax by Remez exchange at 40 digits, weighted by `s^2`;
/// relative error of `atanh` below 2e-19 before rounding.
const ATANH_TAIL: [f64; 8] = [
    0.666666666666666,
    0.4000000000005798,
    0.2857142855552499,
    0.22222224329831647,
    0.18181663920415525,
    0.15391174678888955,
    0.13172560151119045,
    0.13849986991502253,
];

/// Mills ratio `R(a)` in `t = (a - 4.5)/(a + 4.5)` on `0 <= a <= 40`: minimax by Remez exchange at 40 digits with
/// weight `max(n(a), 1e-4/R(a))`, degree 20. With these doubles and exact arithmetic `|dR| n(a) <= 5e-18`, so that a tail
/// probability is right to its last place, and `|dR|/R <= 5.5e-15` throughout.
const MILLS: [f64; 21] = [
    0.21257058044203236,
    -0.39089149209770324,
    0.3026643008258669,
    -0.19484698842056083,
    0.10152523990127903,
    -0.040455287740381554,
    0.010609983638591839,
    -0.0006892623795048063,
    -0.0007426799159607089,
    0.000257383146529401,
    2.94294777242115e-05,
    -3.564400659564846e-05,
    4.6833487286396e-07,
    4.853715804000686e-06,
    -2.825797204850152e-07,
    -7.32979920410416e-07,
    2.263835097984869e-08,
    1.1551612896544923e-07,
    9.21856042765449e-09,
    -1.3432798887997225e-08,
    -3.3451002246656185e-09,
];

/// Horner's rule with fused steps, constant coefficient first.
#[inline(always)]
pub(super) fn polynomial<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let mut sum = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum.mul_add(x, c[i]);
    }
    sum
}

/// The polynomial at two places, in step: each coefficient is read once and no register waits for the other place.
#[inline(always)]
fn polynomial_pair<const N: usize>(c: &[f64; N], x: f64, y: f64) -> (f64, f64) {
    let (mut at_x, mut at_y) = (c[N - 1], c[N - 1]);
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        at_x = at_x.mul_add(x, c[i]);
        at_y = at_y.mul_add(y, c[i]);
    }
    (at_x, at_y)
}

/// The smaller; `b` where either is a NaN.
#[inline(always)]
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The larger; `b` where either is a NaN.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// `e^x` for `-708 <= x <= 709.78`, within 1 ulp; meaningless outside.
#[inline(always)]
fn exp_within(x: f64) -> f64 {
    let shifted = x.mul_add(LOG2_E, ROUND_MAGIC);
    let n = shifted - ROUND_MAGIC;
    let r = n.mul_add(-LN2_REST, n.mul_add(-LN2_TOP, x));
    let y = (r * r).mul_add(polynomial(&EXP_TAIL, r), r) + 1.0;
    f64::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// `e^x`, within 1 ulp. Infinite above 709.7827, zero below -708 (no subnormal results), NaN for NaN.
///
/// ```
/// use plimsoll_quant::batch::lane;
/// assert!((lane::exp(1.0) - 2.718281828459045).abs() <= 4.5e-16);
/// assert_eq!((lane::exp(-800.0), lane::exp(710.0)), (0.0, f64::INFINITY));
/// ```
#[must_use]
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let y = exp_within(smaller(EXP_MAX, larger(EXP_MIN, x)));
    let y = if x < EXP_MIN { 0.0 } else { y };
    if x > EXP_MAX { f64::INFINITY } else { y }
}

/// `ln(a/b)` for positive, finite, normal `a` and `b`, within 2 ulp also where they are close, and exactly 0 where they
/// are equal. For other arguments the result means nothing, and is finite for those of a valid option.
///
/// With `a = 2^e b' u`, `u` in [2/3, 3/2]: `e ln 2 + 2 atanh((u - 1)/(u + 1))`, where `u - 1` is exact.
///
/// ```
/// use plimsoll_quant::batch::lane;
/// assert!((lane::ln_ratio(1e300, 1e-300) - 1381.551055796427).abs() < 1e-12);
/// assert_eq!(lane::ln_ratio(0.1, 0.1), 0.0);
/// ```
#[must_use]
#[inline(always)]
pub fn ln_ratio(a: f64, b: f64) -> f64 {
    let (a_bits, b_bits) = (a.to_bits(), b.to_bits());
    // The difference of the bits is the binary logarithm of the ratio, piecewise linear in the mantissas: rounded to
    // the nearest whole number, with 2048 added to be positive.
    let steps = a_bits.wrapping_sub(b_bits).wrapping_add(SIGN_BIT + HALF_STEP);
    let e = f64::from_bits((steps >> 52) | TWO_52_BITS) - TWO_52_AND_BIAS;
    let to_one = ONE_BITS.wrapping_sub(a_bits & EXPONENT_MASK);
    let u = f64::from_bits(a_bits.wrapping_add(to_one));
    let lift = (steps & SIGNED_EXPONENT_MASK) ^ SIGN_BIT;
    let v = f64::from_bits(b_bits.wrapping_add(to_one).wrapping_add(lift));
    let s = (u - v) / (u + v);
    let s2 = s * s;
    let log = (s * s2).mul_add(polynomial(&ATANH_TAIL, s2), 2.0 * s);
    e.mul_add(LN_2, log)
}

/// `ln x` within 2 ulp for positive, finite, normal `x`; meaningless outside that.
///
/// ```
/// use plimsoll_quant::batch::lane;
/// assert!((lane::ln(10.0) - 2.302585092994046).abs() < 1e-15);
/// ```
#[must_use]
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    ln_ratio(x, 1.0)
}

/// Volatility, decimal, as kernels use it: infinite becomes the largest finite, negative NaN.
#[inline(always)]
fn usable_vol(vol: f64) -> f64 {
    let vol = if vol < 0.0 { f64::NAN } else { vol };
    smaller(f64::MAX, vol)
}

/// `sqrt(tau)`, 0 where expired; an infinite time is the largest finite one.
#[inline(always)]
fn root_of(tau: f64) -> f64 {
    smaller(f64::MAX, larger(0.0, tau)).sqrt()
}

/// Total volatility `vol sqrt(tau)`: 0 where `tau <= 0` or `vol = 0`, NaN for a negative or NaN volatility or a NaN time.
/// An infinite time counts as `f64::MAX` years.
///
/// ```
/// use plimsoll_quant::batch::lane;
/// assert_eq!((lane::total_vol(0.5, 4.0), lane::total_vol(0.5, -1.0)), (1.0, 0.0));
/// assert!(lane::total_vol(-0.5, -1.0).is_nan());
/// ```
#[must_use]
#[inline(always)]
pub fn total_vol(vol: f64, tau: f64) -> f64 {
    usable_vol(vol) * root_of(tau)
}

/// What the price and every Greek of an option share.
#[derive(Clone, Copy)]
struct Terms {
    /// Undiscounted price; NaN for invalid inputs.
    price: f64,
    /// `dV/dF`.
    delta: f64,
    /// `n(d1)`: 0 where the option is worth its intrinsic, NaN for invalid inputs.
    density: f64,
    d1: f64,
    d2: f64,
    /// `1/s`, at most 1e290.
    inverse_total_vol: f64,
    /// Whether the price is intrinsic for lack of time, volatility, forward or strike.
    degenerate: bool,
}

/// `R(a)` and `R(b)` with one division, for finite `a, b >= 0`; past 40 positive and of no use.
///
/// `t = (a - c)/(a + c) = 1 - 2c/(a + c)`.
#[inline(always)]
fn mills_pair(a: f64, b: f64) -> (f64, f64) {
    let (sum_a, sum_b) = (a + MILLS_CENTRE, b + MILLS_CENTRE);
    let inverse = -2.0 * MILLS_CENTRE / (sum_a * sum_b);
    let t = sum_b.mul_add(inverse, 1.0);
    let u = sum_a.mul_add(inverse, 1.0);
    polynomial_pair(&MILLS, t, u)
}

/// `n(d)`, exactly 0 where `d^2/2` is above 707.01.
#[inline(always)]
fn density(d: f64) -> f64 {
    let exponent = d * d * MINUS_HALF_LOG2_E;
    let shifted = exponent + ROUND_MAGIC;
    let y = polynomial(&DENSITY, exponent - (shifted - ROUND_MAGIC));
    let y = f64::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 52));
    if exponent < DENSITY_EXPONENT_MIN { 0.0 } else { y }
}

/// `sign x` for a sign of `+1` or `-1`.
#[inline(always)]
fn signed(sign: f64, x: f64) -> f64 {
    f64::from_bits(x.to_bits() ^ (sign.to_bits() & SIGN_BIT))
}

/// What an option is worth without its time value, and whether that is all.
#[derive(Clone, Copy)]
struct Edges {
    /// `max(w (F - K), 0)`.
    intrinsic: f64,
    /// The forward (call) or the strike (put).
    bound: f64,
    /// `N(w d)` without time value: 1, 0, or 1/2 at the money.
    step: f64,
    /// Finite, non-negative legs and a non-negative total volatility.
    valid: bool,
    /// Without time, volatility, forward or strike.
    degenerate: bool,
}

#[inline(always)]
fn edges(sign: f64, forward: f64, strike: f64, total_vol: f64) -> Edges {
    let low = smaller(forward, strike);
    // A NaN in either leg is left in `low` or in `high`.
    let high = if forward < strike { strike } else { forward };
    let gain = signed(sign, forward - strike);
    let step = if gain > 0.0 {
        1.0
    } else if gain < 0.0 {
        0.0
    } else {
        0.5
    };
    Edges {
        intrinsic: larger(gain, 0.0),
        bound: if sign > 0.0 { forward } else { strike },
        step,
        valid: (low >= 0.0) & (high < f64::INFINITY) & (total_vol >= 0.0),
        degenerate: (low < f64::MIN_POSITIVE) | (total_vol < TOTAL_VOL_MIN),
    }
}

#[inline(always)]
fn terms(sign: f64, forward: f64, strike: f64, log_moneyness: f64, total_vol: f64) -> Terms {
    let Edges { intrinsic, bound, step, valid, degenerate } = edges(sign, forward, strike, total_vol);
    let s = smaller(TOTAL_VOL_MAX, larger(TOTAL_VOL_MIN, total_vol));
    let inverse_total_vol = 1.0 / s;
    let ratio = log_moneyness * inverse_total_vol;
    let (d1, d2) = (ratio + 0.5 * s, ratio - 0.5 * s);
    let n = density(d1);
    let (r1, r2) = mills_pair(d1.abs(), d2.abs());
    let near = n * r1;
    let probability = if signed(sign, d1) > 0.0 { 1.0 - near } else { near };
    let far = forward * n * r2;
    let strike_leg = if signed(sign, d2) > 0.0 { strike - far } else { far };
    let value = signed(sign, forward.mul_add(probability, -strike_leg));
    let value = smaller(bound, larger(intrinsic, value));
    let value = if degenerate { intrinsic } else { value };
    let probability = if degenerate { step } else { probability };
    let n = if degenerate { 0.0 } else { n };
    Terms {
        price: if valid { value } else { f64::NAN },
        delta: if valid { signed(sign, probability) } else { f64::NAN },
        density: if valid { n } else { f64::NAN },
        d1,
        d2,
        inverse_total_vol,
        degenerate,
    }
}

/// Undiscounted Black-76 price of one option, quote units per base unit: `sign` is `+1` for a call and `-1` for a put,
/// `log_moneyness` is `ln(F/K)` as [`ln_ratio`] gives it, `total_vol` is `vol sqrt(tau)` as [`total_vol`] gives it.
///
/// Edges as [`black::price`](crate::black::price): `total_vol` below 1e-290 gives intrinsic, and so does a forward or
/// strike of 0, as which a subnormal one counts; a NaN, infinite or negative forward or strike and a NaN or negative total volatility give NaN. The
/// result lies between intrinsic and bound, and is within 2e-15 of `max(F, K)` over all normal numbers.
///
/// ```
/// use plimsoll_quant::batch::lane;
/// let call = lane::price(1.0, 100.0, 100.0, lane::ln_ratio(100.0, 100.0), lane::total_vol(0.2, 0.5));
/// assert!((call - 5.6371977797016624).abs() < 1e-13);
/// ```
#[must_use]
#[inline(always)]
pub fn price(sign: f64, forward: f64, strike: f64, log_moneyness: f64, total_vol: f64) -> f64 {
    terms(sign, forward, strike, log_moneyness, total_vol).price
}

/// Undiscounted `dV/dF`, in [0, 1] for a call and [-1, 0] for a put; arguments and NaN as in [`price`]. Where the price
/// is intrinsic it is the step: `w` in the money, 0 out of the money, `w/2` at the money.
#[must_use]
#[inline(always)]
pub fn delta(sign: f64, forward: f64, strike: f64, log_moneyness: f64, total_vol: f64) -> f64 {
    terms(sign, forward, strike, log_moneyness, total_vol).delta
}

/// Undiscounted price and Greeks as [`black::greeks`](crate::black::greeks) defines them, per unit of the variable; what
/// the caller does not read is not computed. `log_moneyness` is `ln(F/K)` as [`ln_ratio`] gives it; `vol` and `tau` in
/// years; NaN and edges as in [`price`] with [`total_vol`]. Where the price is intrinsic, delta is the step and the
/// other Greeks are 0.
///
/// Delta is within 1e-15, and within `5e-15 (1 + |d1| m/4)` relative, `m = max(|d1|, |d2|)`. Gamma, vega and theta have
/// relative error below `(10 + 5 |d1| m) 2^-53`; vanna and volga the same of what they would be with `m` for `d2` and
/// `m (|d1| + |d2|)` for `d1 d2`. All but delta are 0 where `d1^2/2 > 707.01`.
///
/// ```
/// use plimsoll_quant::batch::lane;
/// use plimsoll_quant::black::{OptionKind, greeks};
/// let one = greeks(OptionKind::Put, 90.0, 80.0, 0.5, 0.3);
/// let lane = lane::greeks(-1.0, 90.0, 80.0, lane::ln_ratio(90.0, 80.0), 0.5, 0.3);
/// assert!((one.volga - lane.volga).abs() < 1e-13);
/// ```
#[must_use]
#[inline(always)]
pub fn greeks(sign: f64, forward: f64, strike: f64, log_moneyness: f64, vol: f64, tau: f64) -> Greeks {
    let (vol, root_tau) = (usable_vol(vol), root_of(tau));
    let t = terms(sign, forward, strike, log_moneyness, vol * root_tau);
    let g = forward * t.density;
    let vega = g * root_tau;
    let gamma = t.density * t.inverse_total_vol / forward;
    let rho = -smaller(f64::MAX, tau) * t.price;
    Greeks {
        price: t.price,
        delta: t.delta,
        gamma: if t.degenerate { t.density } else { gamma },
        vega,
        theta: -0.5 * g * vol * t.inverse_total_vol * vol,
        rho: if t.degenerate { t.density } else { rho },
        vanna: -(t.density * t.d2) * root_tau * t.inverse_total_vol,
        volga: vega * t.d1 * t.d2 * root_tau * t.inverse_total_vol,
    }
}
