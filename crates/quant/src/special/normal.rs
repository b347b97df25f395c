//! The normal distribution and the error functions, on one kernel: the Mills ratio.
//!
//! `R(m) = N(-m) / n(m) = integral over u > 0 of e^(-m u - u^2/2)` and its first moment
//! `M(m) = integral of u e^(-m u - u^2/2) = 1 - m R(m)` are each one ratio of polynomials on the whole half line.
//! Both have all poles in the left half plane, so every coefficient is positive and nothing cancels.

use super::dd::two_prod;
use super::{exp_parts, horner, ln, scale2};

/// `1 / sqrt(2 pi)`.
pub(crate) const INV_SQRT_2PI: f64 = 0.3989422804014327;
const SQRT_2_OVER_PI: f64 = 0.7978845608028654;

/// Mills ratio on [0, 2], relative error 3e-17.
const MILLS_NUM: [f64; 7] = [
    1.2533141373155003,
    1.229548727453056,
    0.612115515781261,
    0.18164892835860386,
    0.03343583257148927,
    0.0035863682728587373,
    0.00017548103811244387,
];
const MILLS_DEN: [f64; 8] = [
    1.0,
    1.7789225071924737,
    1.4077723228231926,
    0.6446749436035026,
    0.18529289184712225,
    0.033606631605499836,
    0.0035866212153793453,
    0.00017547419184222877,
];
/// First moment on the half line, relative error 3e-18.
const MOMENT_NUM: [f64; 12] = [
    19955538.623810835,
    31552136.862105817,
    25102539.317788422,
    13062655.89782468,
    4897199.244555407,
    1382161.1740371485,
    299061.43116898614,
    49627.28760410855,
    6207.228167982298,
    560.5849081834737,
    33.24191105333355,
    1.0,
];
const MOMENT_DEN: [f64; 14] = [
    19955538.623810835,
    56562695.53707345,
    76037826.65526368,
    64304522.81602887,
    38246706.90060112,
    16934506.37013373,
    5758536.326291827,
    1527721.5274611353,
    317483.66420576675,
    51303.042328666634,
    6306.953901142258,
    563.5849081834738,
    33.24191105333355,
    1.0,
];

/// `x / q` in `0.09 - q^2`, `q = p - 1/2`, `|q| <= 0.3`, relative error 3e-18; in this variable nothing cancels.
const CENTRE_NUM: [f64; 7] = [
    2.805404111909714,
    41.136201223013636,
    212.49837634042296,
    458.0152201446928,
    370.240775046056,
    64.19717056229163,
    -3.3361173213555926,
];
const CENTRE_DEN: [f64; 6] =
    [1.0, 16.181123861228798, 95.23692785314303, 246.97474889300682, 268.3775700048741, 89.44334352218287];
/// `z / r` in `1/r`, `r = sqrt(-2 ln p)`, relative error 3e-7: the start of one Halley step.
const TAIL_NUM: [f64; 6] = [
    1.0000713312546572,
    26.050140492162313,
    132.65048638828435,
    72.05228845363952,
    -236.02611569421032,
    -90.8289613925063,
];
const TAIL_DEN: [f64; 5] =
    [1.0, 26.065377324888146, 137.84991008024303, 158.611536843411, 28.338034643754764];

/// Mills ratio `N(-m) / n(m)` for `m >= 0`.
#[inline]
pub(crate) fn mills(m: f64) -> f64 {
    if m < 2.0 {
        horner(&MILLS_NUM, m) / horner(&MILLS_DEN, m)
    } else if m < 1e9 {
        // The rounding of the moment is damped by its own size, at most 0.16 here.
        (1.0 - mills_first_moment(m)) / m
    } else {
        1.0 / m
    }
}

/// First moment `1 - m R(m)` for `0 <= m < 1e9`, without the cancellation.
#[inline]
pub(crate) fn mills_first_moment(m: f64) -> f64 {
    horner(&MOMENT_NUM, m) / horner(&MOMENT_DEN, m)
}

/// `e^(-x^2/2)` as `(y, k)`, value `y 2^k`; `|x| < 700`.
#[inline]
fn gauss_parts(x: f64) -> (f64, i64) {
    let square = two_prod(x, x);
    exp_parts(-0.5 * square.hi, -0.5 * square.lo)
}

/// Standard normal density `e^(-x^2/2) / sqrt(2 pi)`, within 2 ulp.
#[must_use]
#[inline]
pub fn norm_pdf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 38.7 {
        return 0.0;
    }
    let (y, k) = gauss_parts(x);
    scale2(INV_SQRT_2PI * y, k)
}

/// Standard normal distribution function, within 5 ulp down to the smallest subnormal.
///
/// ```
/// use plimsoll_quant::special::norm_cdf;
/// assert_eq!(norm_cdf(0.0), 0.5);
/// assert!((norm_cdf(-10.0) / 7.619853024160526e-24 - 1.0).abs() < 1e-15);
/// ```
#[must_use]
#[inline]
pub fn norm_cdf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x < -38.6 {
        return 0.0;
    }
    if x > 38.6 {
        return 1.0;
    }
    let m = x.abs();
    let (y, k) = gauss_parts(m);
    // Rounding must not lift N(0) above one half.
    let tail = scale2(INV_SQRT_2PI * y * mills(m), k).min(0.5);
    if x <= 0.0 { tail } else { 1.0 - tail }
}

/// `x` with `N(x) = p`, within 4 ulp. `p = 0` gives `-inf`, `p = 1` gives `inf`, outside gives NaN.
///
/// ```
/// use plimsoll_quant::special::norm_quantile;
/// assert_eq!(norm_quantile(0.5), 0.0);
/// assert!((norm_quantile(0.99) - 2.3263478740408408).abs() < 1e-15);
/// ```
#[must_use]
pub fn norm_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p < 0.5 { -quantile_of_offset(0.5 - p, p) } else { quantile_of_offset(p - 0.5, 1.0 - p) }
}

/// `x >= 0` with `N(x) = 1/2 + q = 1 - tail`; the caller gives both, each as exact as it can.
pub(crate) fn quantile_of_offset(q: f64, tail: f64) -> f64 {
    if q <= 0.3 {
        let u = 0.09 - q * q;
        return q * (horner(&CENTRE_NUM, u) / horner(&CENTRE_DEN, u));
    }
    if tail <= 0.0 {
        return f64::INFINITY;
    }
    let r = (-2.0 * ln(tail)).sqrt();
    let z = r * (horner(&TAIL_NUM, 1.0 / r) / horner(&TAIL_DEN, 1.0 / r));
    let ratio = mills(z);
    let (y, k) = gauss_parts(z);
    // Both sides scaled by 2^300, so that a subnormal tail loses nothing.
    let cdf = scale2(INV_SQRT_2PI * y * ratio, k + 300);
    // ln N(-z) is nearly a parabola: f' = -1/R, f''/(2 f') = M/(2 R).
    let newton = ratio * ln(cdf / scale2(tail, 300));
    z + newton / (1.0 + 0.5 * newton * mills_first_moment(z) / ratio)
}

/// Complementary error function `erfc(x) = 2 N(-x sqrt 2)`, within 5 ulp.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 27.3 {
        return if x > 0.0 { 0.0 } else { 2.0 };
    }
    let square = two_prod(x, x);
    let (y, k) = exp_parts(-square.hi, -square.lo);
    let tail = scale2(y * erfcx_right(x.abs()), k);
    if x >= 0.0 { tail } else { 2.0 - tail }
}

/// `erfcx` for `x >= 0`.
fn erfcx_right(x: f64) -> f64 {
    SQRT_2_OVER_PI * mills(x * std::f64::consts::SQRT_2)
}

/// Scaled complementary error function `e^(x^2) erfc(x)`, within 5 ulp; `inf` below about -26.6.
#[must_use]
pub fn erfcx(x: f64) -> f64 {
    if x.is_nan() || x >= 0.0 {
        return erfcx_right(x);
    }
    if x < -26.8 {
        return f64::INFINITY;
    }
    let square = two_prod(x, x);
    2.0 * super::exp_dd(square) - erfcx_right(-x)
}
