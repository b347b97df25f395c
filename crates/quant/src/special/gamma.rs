//! Gamma function, incomplete gamma integrals and the chi-square distribution.

use super::dd::Dd;
use super::{exp, exp_dd, horner, ln_dd};

/// `ln sqrt(2 pi)`.
const LN_SQRT_2PI: Dd = Dd { hi: 0.9189385332046728, lo: -3.8782941580672414e-17 };
/// Stirling's series in `1/x^2`, times `1/x`: Bernoulli numbers `B_2k / (2k (2k - 1))`.
const STIRLING: [f64; 9] = [
    0.08333333333333333,
    -0.002777777777777778,
    0.0007936507936507937,
    -0.0005952380952380953,
    0.0008417508417508417,
    -0.0019175269175269176,
    0.00641025641025641,
    -0.029550653594771242,
    0.17964437236883057,
];
/// `2k - 1`.
const ODD: [f64; 9] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0];
const ITERATIONS_MAX: u32 = 200_000;

/// `ln Gamma(x)` as a pair for `x > 0`, absolute error about 1e-18 and relative error about 1e-18 when large.
pub(crate) fn ln_gamma_dd(x: f64) -> Dd {
    let mut shifted = Dd::from(x);
    let mut product = Dd::from(1.0);
    while shifted.hi < 14.0 {
        product = product.mul(shifted);
        shifted = shifted.add(Dd::from(1.0));
    }
    let inv = 1.0 / shifted.hi;
    let series = inv * horner(&STIRLING, inv * inv);
    let log = ln_dd(shifted);
    let main = shifted.sub(Dd::from(0.5)).mul(log).sub(shifted).add(LN_SQRT_2PI);
    main.add(Dd::from(series)).sub(ln_dd(product))
}

/// `ln Gamma(x)` for `x > 0`, within 1e-16 absolute or 1 ulp, whichever is larger; `x <= 0` gives NaN.
///
/// Stirling's series after shifting the argument above 14 (Abramowitz and Stegun 6.1.41).
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    if x == f64::INFINITY {
        return x;
    }
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    if x < 1e-300 {
        return -super::ln(x);
    }
    if x > 2.5e305 {
        return f64::INFINITY;
    }
    ln_gamma_dd(x).hi
}

/// `psi(x)`, the derivative of [`ln_gamma`], for `x > 0`: absolute error about 1e-15 times `max(1, |psi|, 1/x)`; `x <= 0` gives NaN.
///
/// The asymptotic series after shifting the argument above 14 (Abramowitz and Stegun 6.3.18).
#[must_use]
pub fn digamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let (mut shifted, mut sum) = (x, 0.0);
    while shifted < 14.0 {
        sum += 1.0 / shifted;
        shifted += 1.0;
    }
    let inv = 1.0 / shifted;
    // Stirling's coefficients c_k / x^(2k - 1) have the derivatives -(2k - 1) c_k / x^(2k).
    let mut series = 0.0;
    for (k, c) in STIRLING.iter().enumerate().rev() {
        series = series * inv * inv + ODD[k] * c;
    }
    super::ln(shifted) - 0.5 * inv - series * inv * inv - sum
}

/// `x^a e^(-x) / Gamma(a)`.
fn gamma_prefactor(a: f64, x: f64) -> f64 {
    exp_dd(ln_dd(Dd::from(x)).mul_f64(a).sub(Dd::from(x)).sub(ln_gamma_dd(a)))
}

/// `P(a, x)` by its power series; converges fast for `x < a + 1`.
fn lower_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
    for _ in 0..ITERATIONS_MAX {
        n += 1.0;
        term *= x / n;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum * gamma_prefactor(a, x)
}

/// `Q(a, x)` by its continued fraction (Lentz's method), for `x >= a + 1`.
fn upper_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut value = d;
    let mut i = 0.0;
    for _ in 0..ITERATIONS_MAX {
        i += 1.0;
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / nonzero(an * d + b);
        c = nonzero(b + an / c);
        let step = d * c;
        value *= step;
        if (step - 1.0).abs() < 2e-16 {
            break;
        }
    }
    value * gamma_prefactor(a, x)
}

/// Lentz's guard: zero replaced by a tiny number.
pub(crate) fn nonzero(x: f64) -> f64 {
    if x.abs() < 1e-300 { 1e-300 } else { x }
}

/// Regularised lower incomplete gamma `P(a, x)` for `a > 0`, `x >= 0`, to about 1e-14 for `a` up to 1e4.
#[must_use]
pub fn gamma_p(a: f64, x: f64) -> f64 {
    if !(a > 0.0 && a < f64::INFINITY && x >= 0.0) {
        return f64::NAN;
    }
    if x == 0.0 {
        return 0.0;
    }
    if x == f64::INFINITY {
        return 1.0;
    }
    if x < a + 1.0 { lower_series(a, x) } else { 1.0 - upper_fraction(a, x) }
}

/// Regularised upper incomplete gamma `Q(a, x) = 1 - P(a, x)`, accurate also in the far right tail.
#[must_use]
pub fn gamma_q(a: f64, x: f64) -> f64 {
    if !(a > 0.0 && a < f64::INFINITY && x >= 0.0) {
        return f64::NAN;
    }
    if x == 0.0 {
        return 1.0;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    if x < a + 1.0 { 1.0 - lower_series(a, x) } else { upper_fraction(a, x) }
}

/// Chi-square distribution function with `k > 0` degrees of freedom; 0 for `x <= 0`.
///
/// ```
/// use plimsoll_quant::special::{chi2_cdf, exp};
/// assert!((chi2_cdf(3.0, 2.0) - (1.0 - exp(-1.5))).abs() < 1e-15);
/// ```
#[must_use]
pub fn chi2_cdf(x: f64, k: f64) -> f64 {
    gamma_p(0.5 * k, if x < 0.0 { 0.0 } else { 0.5 * x })
}

/// Upper tail `1 - chi2_cdf(x, k)`, accurate where it is small: the p-value of a likelihood-ratio test.
#[must_use]
pub fn chi2_sf(x: f64, k: f64) -> f64 {
    if k == 2.0 && x >= 0.0 {
        return exp(-0.5 * x);
    }
    gamma_q(0.5 * k, if x < 0.0 { 0.0 } else { 0.5 * x })
}
