//! Exponential, logarithm and power.

use super::dd::{Dd, two_prod, two_sum};
use super::horner;

const INV_LN2: f64 = std::f64::consts::LOG2_E;
/// `ln 2` to 33 bits: an integer below `2^20` times this is exact.
pub(crate) const LN2_TOP: f64 = 0.6931471804855391;
/// `ln 2 - LN2_TOP`.
pub(crate) const LN2_REST: f64 = 7.440617110012397e-11;
/// Adding and subtracting this rounds to the nearest integer.
pub(crate) const ROUND_MAGIC: f64 = 6_755_399_441_055_744.0;
/// Bits of `sqrt(1/2)`.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
const TWO_54: f64 = 18_014_398_509_481_984.0;

/// `(e^r - 1 - r) / r^2` on `|r| <= 0.3467`, absolute error of `e^r` below 2e-19.
pub(crate) const EXP_TAIL: [f64; 11] = [
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326136,
    0.0013888888888883748,
    0.00019841269874820627,
    2.4801587325547743e-05,
    2.7557255400206422e-06,
    2.75572736431103e-07,
    2.5105217004720745e-08,
    2.0914686968086876e-09,
];

/// `(2 atanh(s) - 2 s - 2 s^3 / 3) / s^5` in `s^2` on `|s| <= 0.1716`, relative error of `atanh` below 4e-26.
const ATANH_TAIL: [f64; 10] = [
    0.4,
    0.2857142857142857,
    0.22222222222222157,
    0.18181818181846476,
    0.15384615378380942,
    0.1333333412148926,
    0.11764645321505779,
    0.10529188093164689,
    0.09441919836964877,
    0.09971315880698726,
];
const THIRD: Dd = Dd { hi: 0.3333333333333333, lo: 1.850371707708594e-17 };

/// `2^k` for `-1022 <= k <= 1023`.
#[inline]
fn pow2(k: i64) -> f64 {
    f64::from_bits((k + 1023).cast_unsigned() << 52)
}

/// `y 2^k` with one rounding, for `y` of moderate size and `|k| <= 2044`.
#[inline]
pub(crate) fn scale2(y: f64, k: i64) -> f64 {
    let half = k / 2;
    y * pow2(half) * pow2(k - half)
}

/// Reduced argument of `e^(hi + lo)`: `(r, r_lo, k)` with `hi + lo = k ln 2 + r + r_lo` and `|r| <= 0.347`.
///
/// Needs `|hi| < 5e5` and `|lo|` below an ulp of `hi` or so.
#[inline]
fn reduce(hi: f64, lo: f64) -> (f64, f64, i64) {
    let shifted = hi * INV_LN2 + ROUND_MAGIC;
    let n = shifted - ROUND_MAGIC;
    let r = two_sum(hi - n * LN2_TOP, lo - n * LN2_REST);
    // The low bits of the shifted number are the integer itself, in two's complement.
    let k = (shifted.to_bits() << 13).cast_signed() >> 13;
    (r.hi, r.lo, k)
}

/// `e^(hi + lo)` as `(y, k)` with value `y 2^k` and `y` in [0.7, 1.42]; error of `y` below 0.8 ulp.
#[inline]
pub(crate) fn exp_parts(hi: f64, lo: f64) -> (f64, i64) {
    let (r, r_lo, k) = reduce(hi, lo);
    (1.0 + (r + (r_lo + r * r * horner(&EXP_TAIL, r))), k)
}

/// `e^(hi + lo)`; overflows to infinity and underflows gradually.
#[inline]
pub(crate) fn exp_dd(x: Dd) -> f64 {
    if x.hi.is_nan() {
        return f64::NAN;
    }
    if x.hi > 709.8 {
        return f64::INFINITY;
    }
    if x.hi < -745.2 {
        return 0.0;
    }
    let (y, k) = exp_parts(x.hi, x.lo);
    scale2(y, k)
}

/// `e^x`, within 1 ulp. `exp(inf) = inf`, `exp(-inf) = 0`.
///
/// ```
/// use plimsoll_quant::special::exp;
/// assert!((exp(1.0) - 2.718281828459045).abs() <= 4.5e-16);
/// assert_eq!(exp(f64::NEG_INFINITY), 0.0);
/// ```
#[must_use]
#[inline]
pub fn exp(x: f64) -> f64 {
    exp_dd(Dd::from(x))
}

/// `e^x - 1`, within 2 ulp also where `x` is near zero.
#[must_use]
pub fn exp_m1(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    if x > 709.8 {
        return f64::INFINITY;
    }
    if x < -40.0 {
        return -1.0;
    }
    let (r, r_lo, k) = reduce(x, 0.0);
    let tail = r_lo + r * r * horner(&EXP_TAIL, r);
    if k == 0 {
        return r + tail;
    }
    // 2^k (1 + r + tail) - 1, with 2^k - 1 kept as a pair.
    if k > 60 {
        return scale2(1.0 + (r + tail), k);
    }
    let scale = pow2(k);
    let base = two_sum(scale, -1.0);
    let sum = two_sum(base.hi, r * scale);
    sum.hi + (sum.lo + base.lo + tail * scale)
}

/// Natural logarithm of a positive, finite `x.hi + x.lo` as a pair, relative error below `2^-64`.
#[inline]
pub(crate) fn ln_dd(x: Dd) -> Dd {
    let (x, offset) =
        if x.hi < f64::MIN_POSITIVE { (Dd { hi: x.hi * TWO_54, lo: x.lo * TWO_54 }, -54) } else { (x, 0) };
    let bits = x.hi.to_bits();
    let k = bits.wrapping_sub(SQRT_HALF_BITS).cast_signed() >> 52;
    let m = f64::from_bits(bits.wrapping_sub(k.cast_unsigned() << 52));
    let m_lo = if x.lo == 0.0 { 0.0 } else { scale2(x.lo, -k) };
    let f = m - 1.0;
    let den = two_sum(2.0, f);
    let s = two_sum(f, m_lo).div(Dd { hi: den.hi, lo: den.lo + m_lo });
    let u = s.square();
    let tail = s.hi * u.hi * u.hi * horner(&ATANH_TAIL, u.hi);
    let two_s = Dd { hi: 2.0 * s.hi, lo: 2.0 * s.lo };
    let cubic = two_s.mul(u.mul(THIRD));
    let log_m = two_s.add(Dd { hi: cubic.hi, lo: cubic.lo + tail });
    let n = small_integer(k + offset);
    two_sum(n * LN2_TOP, n * LN2_REST).add(log_m)
}

/// A binary exponent as a double, exactly.
#[inline]
fn small_integer(k: i64) -> f64 {
    f64::from_bits((k + (1 << 51)).cast_unsigned() | 0x4330_0000_0000_0000) - 6_755_399_441_055_744.0
}

/// `ln(a / b)` as a pair for positive, finite `a` and `b`, without loss where they are close.
#[inline]
pub(crate) fn ln_ratio(a: f64, b: f64) -> Dd {
    let q = a / b;
    if q > 1e-250 && q < 1e250 && b > 1e-30 && b < 1e250 {
        let p = two_prod(q, b);
        ln_dd(Dd { hi: q, lo: ((a - p.hi) - p.lo) / b })
    } else {
        ln_dd(Dd::from(a)).sub(ln_dd(Dd::from(b)))
    }
}

/// Natural logarithm, within 1 ulp. `ln(0) = -inf`, `ln(inf) = inf`, negative gives NaN.
///
/// ```
/// use plimsoll_quant::special::ln;
/// assert_eq!(ln(10.0), 2.302585092994046);
/// assert!(ln(-1.0).is_nan());
/// ```
#[must_use]
#[inline]
pub fn ln(x: f64) -> f64 {
    if x > 0.0 && x < f64::INFINITY {
        return ln_dd(Dd::from(x)).hi;
    }
    ln_edge(x)
}

#[cold]
fn ln_edge(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x == f64::INFINITY {
        x
    } else {
        f64::NAN
    }
}

/// `ln(1 + x)`, within 2 ulp also where `x` is near zero. `x = -1` gives `-inf`, below gives NaN.
#[must_use]
pub fn ln_1p(x: f64) -> f64 {
    if x.abs() < 1e-17 {
        return x;
    }
    if x > -1.0 && x < f64::INFINITY {
        return ln_dd(two_sum(1.0, x)).hi;
    }
    ln_edge(1.0 + x)
}

/// `x^y` for `x >= 0`, within 1 ulp.
///
/// `x^0 = 1`, `1^y = 1`, `0^y = 0` for `y > 0` and `inf` for `y < 0`; a negative `x` gives NaN (margin formulas
/// have no use for integer powers of negative numbers: write the product).
#[must_use]
pub fn pow(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY || y.is_infinite() {
        let grows = if y.is_infinite() { (x > 1.0) == (y > 0.0) } else { (x > 0.0) == (y > 0.0) };
        return if grows { f64::INFINITY } else { 0.0 };
    }
    let log = ln_dd(Dd::from(x));
    let size = log.hi * y;
    if size > 710.0 {
        return f64::INFINITY;
    }
    if size < -746.0 {
        return 0.0;
    }
    exp_dd(log.mul_f64(y))
}
