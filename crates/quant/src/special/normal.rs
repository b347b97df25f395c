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

const MILLS_NUM: [f64; 12] = [
    9331950.580207195,
    17003857.069398046,
    15332726.692489995,
    8904980.144279584,
    3673019.145836282,
    1125286.4142048643,
    260927.8773221454,
    45823.10590208605,
    5988.5738222965565,
    557.396542515136,
    33.520521446591474,
    1.0,
];
const MILLS_DEN: [f64; 13] = [
    7445819.290122662,
    19508019.283888377,
    24075983.65634553,
    18541293.593011666,
    9944120.389889251,
    3922305.0780227496,
    1170004.7270913376,
    266849.41010029666,
    46378.502444616046,
    6022.094343743042,
    558.3965425151365,
    33.520521446591474,
    1.0,
];
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

/// `x / q` in `q^2`, `q = p - 1/2`, `|q| <= 0.3`, relative error 6e-20.
const CENTRE_NUM: [f64; 7] = [
    2.5066282746310007,
    -29.826427488193413,
    133.8698072016395,
    -279.50575215712166,
    267.91643676334274,
    -96.769775557757,
    6.22508365090804,
];
const CENTRE_DEN: [f64; 7] = [
    1.0,
    -12.946220549564455,
    64.66066892508964,
    -155.6556770497438,
    183.1333063146603,
    -92.92457920386683,
    13.502489655912191,
];
/// `z / r` in `1/r`, `r = sqrt(-2 ln p)`, relative error 3e-7: the start of one Halley step.
const TAIL_NUM: [f64; 6] = [
    1.0000713312546572,
    26.050140492162313,
    132.65048638828435,
    72.05228845363952,
    -236.02611569421032,
    -90.8289613925063,
];
const TAIL_DEN: [f64; 5] = [
    1.0,
    26.065377324888146,
    137.84991008024303,
    158.611536843411,
    28.338034643754764,
];

/// Mills ratio `N(-m) / n(m)` for `m >= 0`.
#[inline]
pub(crate) fn mills(m: f64) -> f64 {
    if m > 1e9 {
        return 1.0 / m;
    }
    horner(&MILLS_NUM, m) / horner(&MILLS_DEN, m)
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

/// Standard normal distribution function, within 4 ulp down to the smallest subnormal.
///
/// ```
/// use plimsoll_quant::special::norm_cdf;
/// assert_eq!(norm_cdf(0.0), 0.5);
/// assert!((norm_cdf(-37.5) / 4.605353009581954e-308 - 1.0).abs() < 1e-15);
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
    let tail = scale2(INV_SQRT_2PI * y * mills(m), k);
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
        let u = q * q;
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
    let newton = ratio * (1.0 - scale2(tail, 300) / cdf);
    z + newton / (1.0 - 0.5 * z * newton)
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
