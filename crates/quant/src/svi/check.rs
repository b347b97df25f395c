//! Freedom from static arbitrage of one slice.

use super::{Point, Svi};
use crate::roots::{brent_minimum_between, brent_root_between};

/// Durrleman's function may be this far below zero before a slice is refused.
///
/// `g` is a sum of terms of order one, each known to a few units in the last place times the conditioning of
/// `1/w`; a slice repaired to the exact boundary `g = 0` must pass. A density that is negative by `1e-10` of its
/// Black value is worth nothing at any size.
pub const BUTTERFLY_TOLERANCE: f64 = 1e-10;

/// Lee's bound on the slope of *total* variance in log-moneyness (Lee 2004, "The moment formula for implied
/// volatility at extreme strikes").
pub const LEE_SLOPE_MAX: f64 = 2.0;

/// Rounding allowed on a wing slope that is meant to be exactly [`LEE_SLOPE_MAX`].
pub const LEE_TOLERANCE: f64 = 4e-15;

/// Why a slice is not a smile without arbitrage.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum SviViolation {
    /// A parameter is not finite or outside its domain.
    #[error("SVI parameter {parameter} = {value} is outside its domain: {domain}")]
    Domain {
        /// Name of the parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// The domain it must lie in.
        domain: &'static str,
    },
    /// The least total variance is negative, or the slice is flat at zero.
    #[error("SVI total variance falls to {w} at k = {k}")]
    NegativeVariance {
        /// Log-moneyness of the minimum.
        k: f64,
        /// Total variance there.
        w: f64,
    },
    /// A wing rises faster than Lee's bound: `b (1 + |rho|) > 2`.
    #[error("SVI wing slope b(1+|rho|) = {slope} is above Lee's bound {bound}")]
    LeeBound {
        /// The steeper wing's slope, total variance per unit of log-moneyness.
        slope: f64,
        /// The bound, 2.
        bound: f64,
    },
    /// The right wing rises exactly at Lee's bound, so that `d_+` does not fall without limit and the call price
    /// does not vanish at high strikes.
    #[error(
        "SVI right wing slope {slope} leaves d_plus at {d_plus_limit} for high strikes instead of -infinity"
    )]
    WingDensity {
        /// The right wing's slope.
        slope: f64,
        /// The limit of `d_+` as `k` grows.
        d_plus_limit: f64,
    },
    /// Durrleman's function is negative: the implied density is.
    #[error("SVI slice has butterfly arbitrage: g({k}) = {g}")]
    Butterfly {
        /// Log-moneyness of the least `g`.
        k: f64,
        /// The least `g`.
        g: f64,
    },
    /// Jump-wing parameters (or their tenor) that describe no raw slice.
    #[error("SVI jump-wing quantity {quantity} = {value} describes no slice: {reason}")]
    JumpWing {
        /// Name of the quantity.
        quantity: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Ratio of successive `exp(u)` near the smile: steps of 1/8 in `u = asinh((k-m)/sigma)`; `exp(1/8)`.
const RATIO_NEAR: f64 = 1.133_148_453_066_826_3;
/// Ratio far out, where `g` follows its expansion in `1/k`: steps of 1/2; `exp(1/2)`.
const RATIO_FAR: f64 = 1.648_721_270_700_128_2;
/// The near grid reaches this many length scales from the centre.
const NEAR_SCALES: f64 = 32.0;
/// The far grid reaches this many; a dip missed beyond is of order `1e-12`.
const FAR_SCALES: f64 = 1e6;

impl Svi {
    /// Whether the slice is free of static arbitrage, and if not the first reason found, with its numbers.
    ///
    /// In order: parameter domain (`b >= 0`, `|rho| < 1`, `sigma > 0`, all finite); Lee's bound
    /// `b (1 + |rho|) <= 2` in closed form; least variance `>= 0` in closed form (a flat slice needs `a > 0`);
    /// `d_+ -> -infinity`, that is a right slope below 2; and `g >= -`[`BUTTERFLY_TOLERANCE`] everywhere, by
    /// [`Svi::min_durrleman`]. A slice so large or so small that `g` cannot be followed is refused with `g` NaN.
    ///
    /// # Errors
    /// The [`SviViolation`] with the offending quantity.
    pub fn check(&self) -> Result<(), SviViolation> {
        self.check_closed_form()?;
        let (k, g) = self.min_durrleman();
        // A least value that is NaN shows nothing, and is no freedom from arbitrage.
        if g >= -BUTTERFLY_TOLERANCE { Ok(()) } else { Err(SviViolation::Butterfly { k, g }) }
    }

    /// The part of [`Svi::check`] that needs no search: domain, Lee's bound, least variance, right wing.
    ///
    /// # Errors
    /// The [`SviViolation`] with the offending quantity.
    pub fn check_closed_form(&self) -> Result<(), SviViolation> {
        self.check_domain()?;
        let slope = self.b * (1.0 + self.rho.abs());
        if slope > LEE_SLOPE_MAX + LEE_TOLERANCE {
            return Err(SviViolation::LeeBound { slope, bound: LEE_SLOPE_MAX });
        }
        let w = self.min_w();
        if w < 0.0 || (w == 0.0 && self.b == 0.0) {
            return Err(SviViolation::NegativeVariance { k: self.argmin_w(), w });
        }
        let slope = self.right_slope();
        if slope >= LEE_SLOPE_MAX - LEE_TOLERANCE {
            return Err(SviViolation::WingDensity { slope, d_plus_limit: 0.0 });
        }
        Ok(())
    }

    fn check_domain(&self) -> Result<(), SviViolation> {
        let outside = |parameter, value, domain| SviViolation::Domain { parameter, value, domain };
        if !self.a.is_finite() {
            return Err(outside("a", self.a, "finite"));
        }
        if !(self.b >= 0.0 && self.b.is_finite()) {
            return Err(outside("b", self.b, "finite and >= 0"));
        }
        if !(self.rho.abs() < 1.0) {
            return Err(outside("rho", self.rho, "|rho| < 1"));
        }
        if !self.m.is_finite() {
            return Err(outside("m", self.m, "finite"));
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(outside("sigma", self.sigma, "finite and > 0"));
        }
        Ok(())
    }

    /// Log-moneyness and value of the least `g` over all `k`, its limits at infinity included.
    ///
    /// The search is uniform in `asinh((k-m)/sigma)` and reaches `1e6` times the largest length of the slice, where
    /// `g = 1/4 - slope^2/16 + O(1/k)` is monotone; each local minimum that could be the least is refined, and the
    /// zeros of `2w - k w'` are looked at separately because `g` may dip narrowly there. Where the limit of a
    /// wing is the least, `k` is infinite. Meaningful for a slice that passes [`Svi::check_closed_form`].
    #[must_use]
    pub fn min_durrleman(&self) -> (f64, f64) {
        if self.b == 0.0 {
            return (self.m, 1.0);
        }
        let (left, right) = (self.left_slope(), self.right_slope());
        let near_left = NEAR_SCALES * self.length_scale(left, self.a + left * self.m);
        let near_right = NEAR_SCALES * self.length_scale(right, self.a - right * self.m);
        let far = FAR_SCALES / NEAR_SCALES;
        let mut best = self.min_g_on_grid(-far * near_left, far * near_right, (-near_left, near_right));
        for (k, slope) in [(f64::NEG_INFINITY, left), (f64::INFINITY, right)] {
            let limit = 0.25 - slope * slope / 16.0;
            if limit < best.1 {
                best = (k, limit);
            }
        }
        best
    }

    /// Log-moneyness and value of the least `g` on the closed interval `[lo, hi]` of log-moneyness.
    ///
    /// For comparison with published figures only: an interval is no test of arbitrage. NaN where `sigma` is not positive or
    /// the interval has no points.
    #[must_use]
    pub fn min_durrleman_on(&self, lo: f64, hi: f64) -> (f64, f64) {
        self.min_g_on_grid(lo - self.m, hi - self.m, (lo - self.m, hi - self.m))
    }

    /// Largest length, in log-moneyness, on which `g` still differs from its asymptote `w = slope |k| + intercept`.
    fn length_scale(&self, slope: f64, intercept: f64) -> f64 {
        self.sigma.max(self.m.abs()).max(1.0).max((intercept / slope).abs())
    }

    /// Least `g` for `k - m` in `[d_lo, d_hi]`; the step is fine inside `near` and coarse outside. NaN where the grid cannot
    /// advance: no points, no width, or lengths whose ratio no float holds.
    fn min_g_on_grid(&self, d_lo: f64, d_hi: f64, near: (f64, f64)) -> (f64, f64) {
        let at = |d: f64| self.point(d, (d * d + self.sigma * self.sigma).sqrt());
        let half = 0.5 * self.sigma;
        let mut t = exp_asinh(d_lo / self.sigma);
        let advances = self.sigma > 0.0 && t >= f64::MIN_POSITIVE && d_lo <= d_hi;
        if !advances {
            return (f64::NAN, f64::NAN);
        }
        let mut search = Search::new(at(d_lo));
        let mut d = d_lo;
        while d < d_hi {
            t *= if d >= near.0 && d < near.1 { RATIO_NEAR } else { RATIO_FAR };
            let inverse = 1.0 / t;
            d = half * (t - inverse);
            let point = if d < d_hi { self.point(d, half * (t + inverse)) } else { at(d_hi) };
            search.visit(self, point);
        }
        search.finish(self);
        search.best
    }
}

/// `exp(asinh(x)) = x + sqrt(x^2 + 1)`, without cancellation for negative `x`.
fn exp_asinh(x: f64) -> f64 {
    let r = (x * x + 1.0).sqrt();
    if x >= 0.0 { x + r } else { 1.0 / (r - x) }
}

/// Walks the grid from left to right and keeps the least `g`.
struct Search {
    before: (f64, f64),
    last: (f64, f64),
    last_factor: f64,
    best: (f64, f64),
}

impl Search {
    fn new(first: Point) -> Self {
        let seen = (first.k, first.g());
        Self {
            before: (first.k, f64::INFINITY),
            last: seen,
            last_factor: first.square_root_factor(),
            best: seen,
        }
    }

    #[inline]
    fn visit(&mut self, slice: &Svi, point: Point) {
        let seen = (point.k, point.g());
        let factor = point.square_root_factor();
        self.keep(seen);
        if factor * self.last_factor < 0.0 {
            self.look_at_zero(slice, self.last.0, point.k);
        }
        if self.last.1 < self.before.1 && self.last.1 <= seen.1 {
            self.refine(slice, seen);
        }
        self.before = self.last;
        self.last = seen;
        self.last_factor = factor;
    }

    /// The last point has no right neighbour: its minimum, if any, is the point itself, already kept.
    fn finish(&mut self, slice: &Svi) {
        if self.last.1 < self.before.1 && self.best == self.last {
            let (k, g) = brent_minimum_between(|k| slice.durrleman(k), self.before.0, self.last.0, 1e-9, 48);
            self.keep((k, g));
        }
    }

    #[inline]
    fn keep(&mut self, candidate: (f64, f64)) {
        if candidate.1 < self.best.1 {
            self.best = candidate;
        }
    }

    /// Refines the local minimum at `self.last` if it could fall below the best so far.
    fn refine(&mut self, slice: &Svi, next: (f64, f64)) {
        let fall = (self.before.1 - self.last.1).max(next.1 - self.last.1);
        if self.last.1 - fall > self.best.1 {
            return;
        }
        let found = brent_minimum_between(|k| slice.durrleman(k), self.before.0, next.0, 1e-9, 48);
        self.keep(found);
    }

    fn look_at_zero(&mut self, slice: &Svi, lo: f64, hi: f64) {
        let factor = |k: f64| 2.0 * slice.w(k) - k * slice.dw(k);
        let k = brent_root_between(factor, lo, hi, 1e-13, 64);
        self.keep((k, slice.durrleman(k)));
    }
}
