//! Incomplete beta integral and Student's t distribution.

use super::dd::{Dd, two_prod, two_sum};
use super::gamma::{ln_gamma_dd, nonzero};
use super::{exp_dd, ln_dd, norm_cdf, norm_pdf, norm_quantile};

const ITERATIONS_MAX: u32 = 200_000;
/// Above this many degrees of freedom the distribution is the normal one to 1e-13.
const NU_NORMAL: f64 = 1e13;

/// `ln B(a, b)`.
fn ln_beta(a: f64, b: f64) -> Dd {
    ln_gamma_dd(a).add(ln_gamma_dd(b)).sub(ln_gamma_sum(a, b))
}

fn ln_gamma_sum(a: f64, b: f64) -> Dd {
    // Gamma at the rounded sum, moved by psi(s) ~ ln s times what rounding dropped.
    let s = two_sum(a, b);
    let value = ln_gamma_dd(s.hi);
    if s.lo == 0.0 { value } else { value.add(ln_dd(Dd::from(s.hi)).mul_f64(s.lo)) }
}

/// Continued fraction of the incomplete beta integral (Lentz's method), for `x < (a + 1) / (a + b + 2)`.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    let mut m = 0.0;
    for _ in 0..ITERATIONS_MAX {
        m += 1.0;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / nonzero(1.0 + even * d);
        c = nonzero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / nonzero(1.0 + odd * d);
        c = nonzero(1.0 + odd / c);
        let step = d * c;
        value *= step;
        if (step - 1.0).abs() < 2e-16 {
            break;
        }
    }
    value
}

/// `I_x(a, b)` from the logarithms of `x` and `y = 1 - x`.
fn beta_direct(a: f64, b: f64, x: f64, logs: (Dd, Dd)) -> f64 {
    let prefactor = exp_dd(logs.0.mul_f64(a).add(logs.1.mul_f64(b)).sub(ln_beta(a, b)));
    prefactor * beta_fraction(a, b, x) / a
}

/// `I_x(a, b)` and `1 - I_x(a, b)`, `y = 1 - x`.
pub(super) fn beta_both(a: f64, b: f64, (x, y): (f64, f64), logs: (Dd, Dd)) -> (f64, f64) {
    if x < (a + 1.0) / (a + b + 2.0) {
        let lower = beta_direct(a, b, x, logs);
        (lower, 1.0 - lower)
    } else {
        let upper = beta_direct(b, a, y, (logs.1, logs.0));
        (1.0 - upper, upper)
    }
}

/// Regularised incomplete beta `I_x(a, b)` for `a, b > 0` and `x` in [0, 1], to about 1e-14 for parameters up to 1e4.
#[must_use]
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    let finite = a < f64::INFINITY && b < f64::INFINITY;
    if !(a > 0.0 && b > 0.0 && finite && (0.0..=1.0).contains(&x)) {
        return f64::NAN;
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    let y = two_sum(1.0, -x);
    beta_both(a, b, (x, y.hi), (ln_dd(Dd::from(x)), ln_dd(y))).0
}

/// Half-line probabilities of Student's t at `t > 0`: (`P(0 < T < t)`, `P(T > t)`).
fn student_both(t: f64, nu: f64) -> (f64, f64) {
    if t > 1e150 {
        return (0.5, 0.0);
    }
    let square = two_prod(t, t);
    let total = square.add(Dd::from(nu));
    let (x, y) = (square.div(total), Dd::from(nu).div(total));
    if x.hi < 1e-290 {
        return (t * student_t_pdf(0.0, nu), 0.5);
    }
    let (inside, outside) = beta_both(0.5, 0.5 * nu, (x.hi, y.hi), (ln_dd(x), ln_dd(y)));
    (0.5 * inside, 0.5 * outside)
}

/// Student's t distribution function with `nu > 0` degrees of freedom (real), relative error about 1e-13 also in the
/// left tail. `nu = inf` is the normal distribution; `nu <= 0` gives NaN.
#[must_use]
pub fn student_t_cdf(x: f64, nu: f64) -> f64 {
    if x.is_nan() || nu.is_nan() || nu <= 0.0 {
        return f64::NAN;
    }
    if nu > NU_NORMAL {
        return norm_cdf(x);
    }
    if x == 0.0 {
        return 0.5;
    }
    if x.is_infinite() {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (inside, outside) = student_both(x.abs(), nu);
    if x < 0.0 { outside } else { 0.5 + inside }
}

/// Density of Student's t, `Gamma((nu+1)/2) / (sqrt(nu pi) Gamma(nu/2)) (1 + x^2/nu)^(-(nu+1)/2)`.
#[must_use]
pub fn student_t_pdf(x: f64, nu: f64) -> f64 {
    if x.is_nan() || nu.is_nan() || nu <= 0.0 {
        return f64::NAN;
    }
    if nu > NU_NORMAL {
        return norm_pdf(x);
    }
    if x.abs() > 1e150 {
        return 0.0;
    }
    let ratio = two_prod(x, x).div(Dd::from(nu)).add(Dd::from(1.0));
    let log = ln_dd(ratio).mul(two_sum(nu, 1.0)).half();
    let norm = ln_beta(0.5, 0.5 * nu).add(ln_dd(Dd::from(nu)).half());
    exp_dd(log.add(norm).neg())
}

/// `x` with `student_t_cdf(x, nu) = p`; `p = 0` and `1` give the infinities, outside [0, 1] gives NaN.
///
/// Newton's method, in the logarithm of both tail and argument where the tail is below 0.1, inside a shrinking
/// bracket. Relative error about 1e-13.
#[must_use]
pub fn student_t_quantile(p: f64, nu: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) || nu.is_nan() || nu <= 0.0 {
        return f64::NAN;
    }
    if nu > NU_NORMAL {
        return norm_quantile(p);
    }
    if p == 0.5 {
        return 0.0;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p < 0.5 {
        -student_positive_quantile(p, 0.5 - p, nu)
    } else {
        student_positive_quantile(1.0 - p, p - 0.5, nu)
    }
}

/// `z > 0` with `P(T > z) = tail` and `P(0 < T < z) = inside`.
fn student_positive_quantile(tail: f64, inside: f64, nu: f64) -> f64 {
    let (mut lo, mut hi) = (0.0, f64::INFINITY);
    let mut z = if inside < 0.4 { inside / student_t_pdf(0.0, nu) } else { norm_quantile(tail).abs() };
    for _ in 0..400 {
        let (below, above) = student_both(z, nu);
        let excess = if inside < 0.4 { inside - below } else { above - tail };
        if excess > 0.0 {
            lo = z;
        } else {
            hi = z;
        }
        let next = student_step(z, (excess, above, tail), student_t_pdf(z, nu));
        let next = if next > lo && next < hi { next } else { bisect(lo, hi) };
        if (next - z).abs() <= 1e-15 * z || next == lo || next == hi {
            return next;
        }
        z = next;
    }
    z
}

fn student_step(z: f64, (excess, above, tail): (f64, f64, f64), density: f64) -> f64 {
    if tail > 0.1 {
        return z + excess / density;
    }
    if above <= 0.0 || density <= 0.0 {
        return f64::NAN;
    }
    // d ln P(T > z) / d ln z = -z density / P(T > z)
    z * super::exp(super::ln(above / tail) * above / (z * density))
}

fn bisect(lo: f64, hi: f64) -> f64 {
    if hi == f64::INFINITY {
        2.0 * lo + 1.0
    } else if lo == 0.0 || hi < 2.0 * lo {
        0.5 * (lo + hi)
    } else {
        lo.sqrt() * hi.sqrt()
    }
}
