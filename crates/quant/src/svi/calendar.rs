//! Freedom from calendar arbitrage between two slices.

use super::Svi;
use crate::roots::brent_minimum_between;

/// Differences below this share of the total variance are rounding, not arbitrage.
const RELATIVE_TOLERANCE: f64 = 1e-12;
/// Ratio of successive `exp(asinh((k-m)/sigma))`: `exp(1/8)`.
const RATIO: f64 = 1.133_148_453_066_826_3;
/// The grid reaches this many length scales; beyond, the asymptotes decide.
const SCALES: f64 = 1e3;

/// Where the nearer expiry has more total variance than the farther one: `(k, w_near(k) - w_far(k))`, or `None`
/// when `w_near <= w_far` for every `k`.
///
/// Freedom from calendar arbitrage is that total variance at fixed log-moneyness does not fall with time
/// (Gatheral and Jacquier 2014, lemma 2.1). The wings are compared in closed form (slope, then intercept where the
/// slopes agree); between them the difference is searched on the asinh grids of both slices and refined. The
/// returned excess is the largest found at finite `k`, or, when only a wing crosses, a point beyond the crossing.
/// Excesses of less than `1e-12` of the variance are rounding.
#[must_use]
pub fn calendar_violation(near: &Svi, far: &Svi) -> Option<(f64, f64)> {
    let reach = SCALES * length_scale(near).max(length_scale(far));
    let excess = |k: f64| near.w(k) - far.w(k);
    let mut best = (0.0, excess(0.0));
    for slice in [near, far] {
        let found = largest_excess(&excess, slice, reach);
        if found.1 > best.1 {
            best = found;
        }
    }
    if best.1 > RELATIVE_TOLERANCE * near.w(best.0).abs() {
        return Some(best);
    }
    wing_crossing(near, far, 1.0).or_else(|| wing_crossing(near, far, -1.0))
}

fn length_scale(slice: &Svi) -> f64 {
    slice.sigma.max(slice.m.abs()).max(1.0)
}

/// Largest excess on the asinh grid of `slice`, local maxima refined.
fn largest_excess(excess: &impl Fn(f64) -> f64, slice: &Svi, reach: f64) -> (f64, f64) {
    let half = 0.5 * slice.sigma;
    let mut t = half / (half + reach);
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

/// Crossing of the asymptotes `w = slope x + intercept`, `x = side k`, when the nearer expiry ends above.
fn wing_crossing(near: &Svi, far: &Svi, side: f64) -> Option<(f64, f64)> {
    let asymptote = |s: &Svi| {
        let slope = s.b * (1.0 + side * s.rho);
        (slope, s.a - side * slope * s.m)
    };
    let ((slope_near, at_near), (slope_far, at_far)) = (asymptote(near), asymptote(far));
    let steeper = slope_near - slope_far;
    if steeper <= RELATIVE_TOLERANCE * slope_near {
        return None;
    }
    let crossing = ((at_far - at_near) / steeper).max(0.0);
    let k = side * 2.0 * crossing.max(SCALES * length_scale(near).max(length_scale(far)));
    let excess = near.w(k) - far.w(k);
    (excess > 0.0).then_some((k, excess))
}
