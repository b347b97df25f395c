//! What a slice says of itself.

use super::Found;
use super::calibrate::misfit;
use super::quotes::{Point, Smile};
use crate::surface::{FitPoint, Slice, SliceQuality};
use plimsoll_quant::svi::Svi;

/// Points of the sample of the calendar slack.
const SAMPLES: i32 = 40;

/// The slice to publish, with its quality measured.
pub(super) fn slice(smile: Smile, found: &Found, floor: Option<&Svi>) -> Slice {
    let svi = found.svi;
    let used = || smile.used();
    let two_sided = used().filter(|p| p.two_sided).count();
    let distance = |p: &Point, vol: f64| 100.0 * (svi.vol(p.k, smile.tau) - vol);
    let counted = used().filter(|p| p.two_sided || two_sided == 0);
    let worst = counted.fold(0.0, |most: f64, p| most.max(distance(p, p.vol).abs()));
    let quality = SliceQuality {
        quotes_used: used().count(),
        quotes_two_sided: two_sided,
        rmse_vol_points: 100.0 * misfit(&smile, &svi),
        rmse_mark_vol_points: root_mean_square(used().filter_map(|p| p.mark_vol.map(|vol| distance(p, vol)))),
        worst_vol_points: worst,
        min_durrleman: svi.min_durrleman().1,
        calendar_slack: floor.map(|near| slack(&smile, near, &svi)),
        method: found.method,
        points: smile.points.iter().map(|p| fit_point(p, &svi, smile.tau)).collect(),
        quotes_refused: smile.refused,
    };
    Slice { expiry: smile.expiry, tau: smile.tau, forward: smile.forward, svi, quality }
}

fn root_mean_square(distances: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, squares) = distances.fold((0u32, 0.0), |(n, sum), d| (n + 1, sum + d * d));
    (count > 0).then(|| (squares / f64::from(count)).sqrt())
}

fn fit_point(point: &Point, svi: &Svi, tau: f64) -> FitPoint {
    FitPoint {
        strike: point.strike,
        k: point.k,
        bid_vol: point.bid_vol,
        ask_vol: point.ask_vol,
        mark_vol: point.mark_vol,
        fitted_vol: svi.vol(point.k, tau),
        weight: point.weight(),
    }
}

/// Least distance in total variance over the slice before, on the quoted strikes.
fn slack(smile: &Smile, near: &Svi, svi: &Svi) -> f64 {
    let (lo, hi) = smile.quoted();
    let at = |i: i32| lo + (hi - lo) * f64::from(i) / f64::from(SAMPLES);
    (0..=SAMPLES).map(at).fold(f64::INFINITY, |least, k| least.min(svi.w(k) - near.w(k)))
}
