//! Raw SVI: total implied variance of one expiry as a function of log-moneyness.
//!
//! `w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))` with `k = ln(K/F)` and `w = vol^2 tau`
//! (Gatheral 2004; Gatheral and Jacquier 2014, "Arbitrage-free SVI volatility surfaces", section 3).
//!
//! The one idea: a slice is admitted by closed forms where they exist (domain, least variance, wing slopes) and
//! by a search of the Durrleman function that is uniform in `asinh((k - m)/sigma)` and goes out until the
//! asymptote rules, so that an arbitrage far beyond any quoted strike is found as surely as one at the money.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

mod calendar;
mod check;
mod clamped;
mod fit;
mod jw;

use crate::special::norm_pdf;
use serde::{Deserialize, Serialize};

pub use calendar::calendar_violation;
pub use check::{BUTTERFLY_TOLERANCE, LEE_SLOPE_MAX, LEE_TOLERANCE, SviViolation};
pub use fit::{QuasiExplicitError, svi_quasi_explicit};
pub use jw::{SviJw, repair_butterfly};

/// One slice of raw SVI in total variance.
///
/// Construction does not validate: any five numbers make a value, [`Svi::check`] says whether it is a smile
/// without arbitrage.
///
/// ```
/// use plimsoll_quant::svi::Svi;
/// let slice = Svi { a: 0.01, b: 0.05, rho: -0.3, m: 0.02, sigma: 0.2 };
/// assert!(slice.check().is_ok());
/// assert_eq!(slice.w(slice.m), slice.a + slice.b * slice.sigma);
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Svi {
    /// Vertical shift, total variance.
    pub a: f64,
    /// Slope scale of the wings, total variance per unit of log-moneyness, `>= 0`.
    pub b: f64,
    /// Asymmetry of the wings, `|rho| < 1`.
    pub rho: f64,
    /// Horizontal shift, log-moneyness.
    pub m: f64,
    /// Width of the smile's floor, log-moneyness, `> 0`.
    pub sigma: f64,
}

impl Svi {
    /// Total variance `vol^2 tau` at log-moneyness `k = ln(K/F)`.
    #[inline]
    #[must_use]
    pub fn w(&self, k: f64) -> f64 {
        let d = k - self.m;
        self.a + self.b * (self.rho * d + (d * d + self.sigma * self.sigma).sqrt())
    }

    /// First derivative `dw/dk`: `b (rho + d/sqrt(d^2 + sigma^2))`, `d = k - m`.
    #[inline]
    #[must_use]
    pub fn dw(&self, k: f64) -> f64 {
        let d = k - self.m;
        self.b * (self.rho + d / (d * d + self.sigma * self.sigma).sqrt())
    }

    /// Second derivative `d2w/dk2`: `b sigma^2/(d^2 + sigma^2)^(3/2)`, `d = k - m`.
    #[inline]
    #[must_use]
    pub fn d2w(&self, k: f64) -> f64 {
        let d = k - self.m;
        let r2 = d * d + self.sigma * self.sigma;
        self.b * self.sigma * self.sigma / (r2 * r2.sqrt())
    }

    /// Volatility (annualised decimal) at log-moneyness `k` for an expiry `tau` years away: `sqrt(w/tau)`.
    ///
    /// NaN where the total variance is negative or `tau` is not positive and `w` is; a slice that passed
    /// [`Svi::check`] has no negative variance.
    #[inline]
    #[must_use]
    pub fn vol(&self, k: f64, tau: f64) -> f64 {
        (self.w(k) / tau).sqrt()
    }

    /// Durrleman's function
    /// `g(k) = (1 - k w'/(2w))^2 - (w'^2/4)(1/w + 1/4) + w''/2`.
    ///
    /// The slice has no butterfly arbitrage iff `g >= 0` everywhere and `d_+(k) -> -infinity` as
    /// `k -> infinity`. It is not the density: that is `g n(d_-)/sqrt(w)`. NaN or infinite where `w = 0`
    /// (Gatheral and Jacquier 2014, lemma 2.2).
    #[inline]
    #[must_use]
    pub fn durrleman(&self, k: f64) -> f64 {
        let d = k - self.m;
        self.point(d, (d * d + self.sigma * self.sigma).sqrt()).g()
    }

    /// Risk-neutral density of log-moneyness at `k`: `g(k)/sqrt(2 pi w) exp(-d_-^2/2)` with
    /// `d_- = -k/sqrt(w) - sqrt(w)/2` (Gatheral and Jacquier 2014, section 2.2).
    ///
    /// Negative exactly where [`Svi::durrleman`] is. NaN where `w <= 0`.
    #[inline]
    #[must_use]
    pub fn density(&self, k: f64) -> f64 {
        let root = self.w(k).sqrt();
        self.durrleman(k) / root * norm_pdf(-k / root - 0.5 * root)
    }

    /// `dw/d(a, b, rho, m, sigma)` at log-moneyness `k`.
    #[inline]
    #[must_use]
    pub fn gradient(&self, k: f64) -> [f64; 5] {
        let d = k - self.m;
        let r = (d * d + self.sigma * self.sigma).sqrt();
        [1.0, self.rho * d + r, self.b * d, -self.b * (self.rho + d / r), self.b * self.sigma / r]
    }

    /// Least total variance over all `k`: `a + b sigma sqrt(1 - rho^2)`, at [`Svi::argmin_w`].
    #[inline]
    #[must_use]
    pub fn min_w(&self) -> f64 {
        self.a + self.b * self.sigma * ((1.0 - self.rho) * (1.0 + self.rho)).sqrt()
    }

    /// Log-moneyness of the least total variance: `m - rho sigma/sqrt(1 - rho^2)`.
    #[inline]
    #[must_use]
    pub fn argmin_w(&self) -> f64 {
        self.m - self.rho * self.sigma / ((1.0 - self.rho) * (1.0 + self.rho)).sqrt()
    }

    /// Asymptotic slope of `w` per unit of `k` as `k -> +infinity`: `b (1 + rho)`.
    #[inline]
    #[must_use]
    pub fn right_slope(&self) -> f64 {
        self.b * (1.0 + self.rho)
    }

    /// Asymptotic slope of `w` per unit of `|k|` as `k -> -infinity`: `b (1 - rho)`.
    #[inline]
    #[must_use]
    pub fn left_slope(&self) -> f64 {
        self.b * (1.0 - self.rho)
    }

    /// Value and derivatives at `k = m + d`, with `r = sqrt(d^2 + sigma^2)` already known.
    #[inline]
    fn point(&self, d: f64, r: f64) -> Point {
        Point {
            k: self.m + d,
            w: self.a + self.b * (self.rho * d + r),
            w1: self.b * (self.rho + d / r),
            w2: self.b * self.sigma * self.sigma / (r * r * r),
        }
    }
}

/// A point of a slice with its derivatives.
#[derive(Clone, Copy)]
struct Point {
    k: f64,
    w: f64,
    w1: f64,
    w2: f64,
}

impl Point {
    #[inline]
    fn g(&self) -> f64 {
        let q = 1.0 - 0.5 * self.k * self.w1 / self.w;
        q * q - 0.25 * self.w1 * self.w1 * (1.0 / self.w + 0.25) + 0.5 * self.w2
    }

    /// `2w - k w'`: where it vanishes the square in `g` does, and a dip of `g` may be too narrow for the grid.
    #[inline]
    fn square_root_factor(&self) -> f64 {
        2.0 * self.w - self.k * self.w1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_is_the_second_derivative_of_the_call_price_in_strike() {
        // Axel Vogt's slice; K d2C/dK2 of the undiscounted Black call on F = 1, mpmath at 50 digits.
        let slice = Svi { a: -0.041, b: 0.1331, rho: 0.306, m: 0.3586, sigma: 0.4153 };
        let reference = [
            (-0.5, 0.069_276_286_370_086_77),
            (0.0, 3.132_067_847_722_952_4),
            (0.1, 2.950_888_715_114),
            (0.8, -0.000_128_017_722_158_163_88),
            (1.2, -9.797_328_456_257_518e-6),
        ];
        for (k, expected) in reference {
            let error = (slice.density(k) - expected).abs();
            assert!(error <= 1e-12 * expected.abs() + 1e-15, "{k}: {error:e}");
        }
    }
}
