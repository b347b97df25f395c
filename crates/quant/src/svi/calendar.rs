//! Freedom from calendar arbitrage between two slices.

use super::Svi;
use crate::roots::brent_minimum_between;
use crate::special::dd::{Dd, two_prod};

/// Differences below this share of the total variance are rounding, not arbitrage.
const RELATIVE_TOLERANCE: f64 = 1e-12;
/// Ratio of successive `exp(asinh((k-m)/sigma))`: `exp(1/8)`.
const RATIO: f64 = 1.133_148_453_066_826_3;
/// Ratio of successive `|k|` in the search of a wing, where nothing bends at a scale of its own.
const WING_RATIO: f64 = 1.5;
/// The grid reaches this many length scales; beyond, the wings are compared term by term.
const SCALES: f64 = 32.0;

/// Where the nearer expiry has more total variance than the farther one: `(k, w_near(k) - w_far(k))`, or `None`
/// when `w_near <= w_far` for every `k`.
///
/// Freedom from calendar arbitrage is that total variance at fixed log-moneyness does not fall with time
/// (Gatheral and Jacquier 2014, lemma 2.1). Within 32 length scales of the money the difference is searched
/// on the asinh grids of both slices and refined. Beyond, it is slope times `|k|` plus a level plus a rest that falls
/// like `1/|k|`: a farther slope that is lower crosses for certain, one that is equal or hardly higher leaves it to
/// the levels and the rest, and a crossing may come and go anywhere up to `|k| = 1e12`.
///
/// The returned excess is the largest found at finite `k` (of one that grows towards a limit, most of the limit), or,
/// when only a wing crosses for certain, one beyond the crossing.
/// What is less than `1e-12` of the nearer variance is rounding: of the variance at `k` within the grid, of that at
/// the grid's end and of the slope beyond. Five finite parameters with `b >= 0`, `|rho| < 1` and `sigma > 0` are
/// taken for granted ([`Svi::check`] sees to it).
#[must_use]
pub fn calendar_violation(near: &Svi, far: &Svi) -> Option<(f64, f64)> {
    let reach = SCALES * length_scale(near).max(length_scale(far));
    let beyond_rounding = |k: f64| {
        let w = near.w(k);
        w - far.w(k) - RELATIVE_TOLERANCE * w.abs()
    };
    let mut best = (0.0, beyond_rounding(0.0));
    for slice in [near, far] {
        let found = largest_excess(&beyond_rounding, slice, reach);
        if found.1 > best.1 {
            best = found;
        }
    }
    let mut found = (best.1 > 0.0).then(|| (best.0, near.w(best.0) - far.w(best.0)));
    let sides = [1.0, -1.0].map(|side| Wings::new(near, far, side));
    for wings in sides.iter().filter(|wings| !wings.cross()) {
        let excess = wings.largest_beyond(reach);
        if found.is_none() || excess.is_some_and(|e| found.is_some_and(|f| e.1 > f.1)) {
            found = excess;
        }
    }
    found.or_else(|| sides.iter().find(|wings| wings.cross()).map(|wings| wings.past_crossing(reach)))
}

fn length_scale(slice: &Svi) -> f64 {
    slice.sigma.max(slice.m.abs()).max(1.0)
}

/// Largest excess on the asinh grid of `slice`, local maxima refined.
fn largest_excess(excess: &impl Fn(f64) -> f64, slice: &Svi, reach: f64) -> (f64, f64) {
    let half = 0.5 * slice.sigma;
    let mut t = half / (half + reach);
    // Lengths whose ratio no float holds: nothing can be shown, which is no freedom from arbitrage.
    let advances = t >= f64::MIN_POSITIVE;
    if !advances {
        return (f64::NAN, f64::INFINITY);
    }
    let mut points = [(0.0, f64::NEG_INFINITY); 3];
    let mut best = (0.0, f64::NEG_INFINITY);
    loop {
        let d = half * (t - 1.0 / t);
        let k = slice.m + d;
        points = [points[1], points[2], (k, excess(k))];
        if points[2].1 > best.1 {
            best = points[2];
        }
        let peak = points[1].1 > points[0].1 && points[1].1 >= points[2].1 && points[0].1.is_finite();
        let rise = (points[1].1 - points[0].1).max(points[1].1 - points[2].1);
        if peak && points[1].1 + rise > best.1.max(0.0) {
            let (k, negative) = brent_minimum_between(|k| -excess(k), points[0].0, points[2].0, 1e-9, 48);
            if -negative > best.1 {
                best = (k, -negative);
            }
        }
        if d > reach {
            return best;
        }
        t *= RATIO;
    }
}

/// A slice beyond `reach` on one side, in `x = |k|`: `w = slope x + level + bend/(r + u)` exactly, with
/// `u = x - shift` and `r = sqrt(u^2 + sigma^2)`; the last term is positive and falls.
struct Wing {
    slope: Dd,
    level: f64,
    bend: f64,
    shift: f64,
    sigma: f64,
}

impl Wing {
    fn new(slice: &Svi, side: f64) -> Self {
        let slope = two_prod(slice.b, side * slice.rho).add(Dd::from(slice.b));
        let shift = side * slice.m;
        let bend = slice.b * slice.sigma * slice.sigma;
        Self { slope, level: slice.a - slope.hi * shift, bend, shift, sigma: slice.sigma }
    }

    /// What the slice has above its asymptote.
    fn rest(&self, x: f64) -> f64 {
        let u = x - self.shift;
        self.bend / (u + (u * u + self.sigma * self.sigma).sqrt())
    }
}

/// The difference of two wings, far less near: `steeper x + higher + far.rest - near.rest`, taken term by term so
/// that nothing is lost where the variances themselves are a million million times larger.
struct Wings {
    near: Wing,
    far: Wing,
    side: f64,
    steeper: f64,
    higher: f64,
}

impl Wings {
    fn new(near: &Svi, far: &Svi, side: f64) -> Self {
        let (near, far) = (Wing::new(near, side), Wing::new(far, side));
        let steeper = far.slope.sub(near.slope).hi;
        let steeper = if steeper < -RELATIVE_TOLERANCE * near.slope.hi { steeper } else { steeper.max(0.0) };
        let higher = far.level - near.level;
        Self { near, far, side, steeper, higher }
    }

    /// Whether the farther expiry is flatter by more than rounding: then the wings cross for certain.
    fn cross(&self) -> bool {
        self.steeper < 0.0
    }

    /// `w_near - w_far` at `|k| = x`.
    fn excess(&self, x: f64) -> f64 {
        self.near.rest(x) - self.far.rest(x) - (self.steeper * x + self.higher)
    }

    /// A point past the crossing of wings that cross: there what the farther one has in level and in rest is lost.
    fn past_crossing(&self, reach: f64) -> (f64, f64) {
        let head_start = self.higher + self.far.rest(reach);
        let x = 2.0 * (head_start / -self.steeper).max(reach);
        (self.side * x, self.excess(x))
    }

    /// Largest excess of wings that need not cross, beyond `reach`; `None` where it is rounding. It is bounded by its
    /// terms at `reach`, and searched only where that bound does not settle it.
    fn largest_beyond(&self, reach: f64) -> Option<(f64, f64)> {
        let variance = self.near.slope.hi * reach + self.near.level + self.near.rest(reach);
        let floor = RELATIVE_TOLERANCE * variance.abs();
        if self.near.rest(reach) - (self.steeper * reach + self.higher) <= floor {
            return None;
        }
        let (x, excess) = self.scan(reach, self.end(floor));
        (excess > floor).then_some((self.side * x, excess))
    }

    /// Where no larger excess is to be found: past it the asymptote of the farther expiry is higher, or its rest is
    /// small against the lack of level, or the rest of the nearer one against `floor`.
    fn end(&self, floor: f64) -> f64 {
        let lack = -self.higher;
        if lack <= 0.0 {
            return self.near.bend / (floor - lack);
        }
        let end = 16.0 * self.far.bend.max(self.near.bend) / lack.max(floor);
        if self.steeper > 0.0 { end.min(lack / self.steeper) } else { end }
    }

    /// Largest excess between `reach` and `end`: a geometric scan, refined. Beyond `reach` every term is smooth in
    /// `ln x`, and the difference is `A x + B + C/x` to a few hundredths of its last term.
    fn scan(&self, reach: f64, end: f64) -> (f64, f64) {
        let mut x = reach;
        let mut best = (x, self.excess(x));
        while x < end {
            x *= WING_RATIO;
            let excess = self.excess(x);
            if excess > best.1 {
                best = (x, excess);
            }
        }
        let (lo, hi) = ((best.0 / WING_RATIO).max(reach), best.0 * WING_RATIO);
        let (x, negative) = brent_minimum_between(|x| -self.excess(x), lo, hi, 1e-6, 32);
        if -negative > best.1 { (x, -negative) } else { best }
    }
}
