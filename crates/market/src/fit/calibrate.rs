//! From the points of an expiry to a slice that may be published, or the reason why not.

use super::quotes::{Point, Smile};
use super::slice::{Ceiling, Task};
use super::{FitParams, Found};
use crate::number::median;
use crate::surface::FitMethod;
use plimsoll_quant::svi::{Svi, calendar_violation, repair_butterfly, svi_quasi_explicit};
use plimsoll_types::{Issue, Reason};
use std::cell::OnceCell;

/// Least Durrleman value the optimiser aims at, and weight of its penalties: gentle first, then firm.
const FIRMNESS: [(f64, f64); 3] = [(1e-3, 1e2), (5e-3, 1e4), (2e-2, 1e6)];
/// Steps of the optimiser per attempt.
const STEPS: usize = 100;
/// Largest share of the variance at the money by which a proposal may be lifted over the slice before, and the same for
/// a proposal of last resort, whose misfit decides.
const LIFT_MAX: f64 = 0.02;
const LIFT_LAST: f64 = 0.2;
/// Largest share of its variance by which a slice of last resort may stand over a later smile: a vol point or two.
const EXCESS_BEARABLE: f64 = 0.04;
/// A quote within this many vol points of the others is never an outlier.
const OUTLIER_VOL_MIN: f64 = 0.02;
/// A fit that misses by no more than this is not doubted.
const MISFIT_FINE: f64 = 0.0001;
/// Other smiles are held under a fit that misses by no more than this.
const MISFIT_TRUSTED: f64 = 0.03;
/// Least share of the full pull on wings, where quotes have no noise.
const PULL_LEAST: f64 = 0.01;
/// Noise of quotes about their slice, in volatility, from which wings are pulled in full: it is what the full pull costs
/// on a smile of unusually flat wings.
const NOISE_FULL_PULL: f64 = 0.002;
/// Parameters of a raw slice: as many quotes say nothing of their noise.
const PARAMETERS: usize = 5;
/// Standard deviations per median absolute deviation of a normal sample.
const MAD: f64 = 1.4826;

/// The slice before, and the later ones as fitted by themselves.
type Sides<'a> = (Option<&'a Svi>, &'a [Ceiling]);

/// A smile and its fit by itself: what the fits of its neighbours may lean on.
pub(super) struct Free<'a> {
    pub(super) smile: Smile<'a>,
    /// The fit, or why there is none: too few points, or points no slice can be put through.
    pub(super) svi: Result<Svi, Issue>,
}

/// Fits a smile by itself, marking its outliers.
pub(super) fn free_fit<'a>(mut smile: Smile<'a>, params: &FitParams) -> Free<'a> {
    let svi = free_slice(&mut smile, params);
    Free { smile, svi }
}

fn free_slice(smile: &mut Smile, params: &FitParams) -> Result<Svi, Issue> {
    let least = params.quotes_min.max(5);
    if smile.points.len() < least {
        let points = smile.points.len() as f64;
        return Err(smile.refusal(Reason::TooFewQuotes).with(points, Some(least as f64)));
    }
    let mut weights: Vec<f64> = smile.points.iter().map(Point::weight).collect();
    let failed = |smile: &Smile| smile.refusal(Reason::FitFailed);
    let mut near = explicit(smile, &weights);
    let start = near.ok_or_else(|| failed(smile))?;
    let mut svi = propose(smile, &weights, &start, (None, &[]), FIRMNESS[0]).ok_or_else(|| failed(smile))?;
    if !suspects(smile, &svi, params).is_empty() {
        for _ in 0..3 {
            soften(smile, &svi, &mut weights);
            let start = explicit(smile, &weights).unwrap_or(svi);
            svi = propose(smile, &weights, &start, (None, &[]), FIRMNESS[0]).unwrap_or(svi);
        }
        mark_outliers(smile, &svi, params);
        weights = smile.points.iter().map(Point::weight).collect();
        svi = propose(smile, &weights, &svi, (None, &[]), FIRMNESS[0]).unwrap_or(svi);
        near = explicit(smile, &weights);
    }
    Ok(relax(smile, &weights, (near, &svi)))
}

impl Free<'_> {
    /// The free fit as something earlier smiles may lean on; `None` when it is too poor for that.
    pub(super) fn ceiling(&self) -> Option<Ceiling> {
        let svi = *self.svi.as_ref().ok()?;
        let trusted = misfit(&self.smile, &svi) <= MISFIT_TRUSTED;
        trusted.then(|| Ceiling { svi, quoted: self.smile.quoted() })
    }

    /// Whether the free fit has no butterfly arbitrage and lies under every later smile.
    pub(super) fn is_sound_under(&self, later: &[Ceiling]) -> bool {
        self.svi.as_ref().is_ok_and(|free| {
            later.iter().all(|far| calendar_violation(free, &far.svi).is_none()) && free.check().is_ok()
        })
    }
}

/// The fit again with no more pull on its wings than the noise of the quotes asks for, which is noted in the smile.
///
/// Noise is the standard deviation from a slice that is hardly pulled, five parameters counted. Quotes that lie on one
/// slice say what its wings are; scattered ones, or five of them, do not.
fn relax(smile: &mut Smile, weights: &[f64], (explicit, svi): (Option<Svi>, &Svi)) -> Svi {
    smile.pull = PULL_LEAST;
    let task = task(smile, weights, (None, &[]), FIRMNESS[0]);
    let from_usual = OnceCell::new();
    let usual = || *from_usual.get_or_init(|| task.solve(&task.usual(), STEPS));
    // Where the quotes lie on a slice the explicit fit is all but there, and the pulled one may be a valley away.
    let starts = explicit.into_iter().chain([*svi]);
    let loose = starts.filter_map(|start| better_of(smile, task.solve(&start, STEPS), usual));
    let Some(loose) = loose.min_by(|a, b| misfit(smile, a).total_cmp(&misfit(smile, b))) else {
        smile.pull = 1.0;
        return *svi;
    };
    let used = smile.used().count();
    if used > PARAMETERS {
        let noise = misfit(smile, &loose) * (used as f64 / (used - PARAMETERS) as f64).sqrt();
        smile.pull = (noise / NOISE_FULL_PULL).clamp(PULL_LEAST, 1.0);
    } else {
        smile.pull = 1.0;
    }
    if smile.pull >= 1.0 {
        return *svi;
    }
    propose(smile, weights, &loose, (None, &[]), FIRMNESS[0]).unwrap_or(*svi)
}

/// The slice to publish: near `free`, not below `floor`, free of butterfly arbitrage; `ceiling` is kept to where it can
/// be. `stands` is [`Free::is_sound_under`] the ceilings.
///
/// # Errors
/// The arbitrage that could not be removed, or a misfit beyond the limit.
pub(super) fn constrained_fit(
    smile: &Smile,
    (free, stands): (&Svi, bool),
    (floor, ceiling): Sides,
    params: &FitParams,
) -> Result<Found, Issue> {
    let over = || floor.is_none_or(|near| calendar_violation(near, free).is_none());
    let found = if stands && over() {
        Found { svi: *free, method: FitMethod::Raw }
    } else {
        attempts(smile, free, (floor, ceiling))?
    };
    let misfit = misfit(smile, &found.svi);
    if misfit > params.rmse_max {
        return Err(smile.refusal(Reason::FitFailed).with(misfit, Some(params.rmse_max)));
    }
    Ok(found)
}

/// Slices under the later smiles as far as can be; where none is free of arbitrage, slices that look at the one before
/// only, and at last that one raised to the level of the quotes.
fn attempts(smile: &Smile, free: &Svi, (floor, ceiling): Sides) -> Result<Found, Issue> {
    let under = each_way(smile, free, (floor, ceiling));
    // What ignores the later smiles must not spoil them.
    let bearable = |found: &Found| {
        let excess =
            |far: &Ceiling| calendar_violation(&found.svi, &far.svi).map(|(k, over)| over / far.svi.w(k));
        ceiling.iter().filter_map(excess).all(|share| share <= EXCESS_BEARABLE)
    };
    let alone = |refusal: Issue| each_way(smile, free, (floor, &[])).ok().filter(bearable).ok_or(refusal);
    let raised = |refusal: Issue| floor.and_then(|near| raised(smile, near)).filter(bearable).ok_or(refusal);
    under.or_else(alone).or_else(raised)
}

/// Raw slices under ever firmer penalties, then the butterfly repair, then SSVI.
fn each_way(smile: &Smile, free: &Svi, sides: Sides) -> Result<Found, Issue> {
    let weights: Vec<f64> = smile.points.iter().map(Point::weight).collect();
    let mut trouble = smile.refusal(Reason::FitFailed);
    let mut at = *free;
    for firmness in FIRMNESS {
        let Some(proposed) = propose(smile, &weights, &at, sides, firmness) else { continue };
        at = proposed;
        match secure(proposed, (sides.0, LIFT_MAX), smile) {
            Ok(svi) => return Ok(Found { svi, method: FitMethod::Raw }),
            Err(issue) => trouble = issue,
        }
    }
    let secured = |svi: Svi| secure(svi, (sides.0, LIFT_MAX), smile).ok();
    if let Some(svi) = repair_butterfly(&at).ok().and_then(secured) {
        return Ok(Found { svi, method: FitMethod::Repaired });
    }
    for firmness in FIRMNESS {
        let proposed = task(smile, &weights, sides, firmness).solve_ssvi(&at, STEPS);
        if let Some(svi) = proposed.and_then(secured) {
            return Ok(Found { svi, method: FitMethod::Ssvi });
        }
    }
    Err(trouble)
}

/// The slice before with its variance times the median ratio of the quotes' to it, at least one: free of calendar
/// arbitrage, and found so of butterfly.
fn raised(smile: &Smile, near: &Svi) -> Option<Found> {
    let mut ratios: Vec<f64> = smile.used().map(|p| p.vol * p.vol * smile.tau / near.w(p.k)).collect();
    let ratio = median(&mut ratios)?.max(1.0);
    let proposed = Svi { a: near.a * ratio, b: near.b * ratio, ..*near };
    let svi = secure(proposed, (Some(near), LIFT_LAST), smile).ok()?;
    Some(Found { svi, method: FitMethod::Repaired })
}

fn task<'a>(
    smile: &'a Smile<'a>,
    weights: &'a [f64],
    (floor, ceiling): Sides<'a>,
    (margin, stiffness): (f64, f64),
) -> Task<'a> {
    Task {
        points: &smile.points,
        weights,
        tau: smile.tau,
        scale: scale(smile),
        floor,
        ceiling,
        pull: smile.pull,
        margin,
        stiffness,
    }
}

fn propose(smile: &Smile, weights: &[f64], start: &Svi, sides: Sides, firmness: (f64, f64)) -> Option<Svi> {
    let task = task(smile, weights, sides, firmness);
    // Smiles between others wait for each other: both starts at once, where the second is likely to be asked for.
    let between = sides.0.is_some() || !sides.1.is_empty();
    if between && misfit(smile, start) > MISFIT_FINE {
        let (first, second) = rayon::join(|| task.solve(start, STEPS), || task.solve(&task.usual(), STEPS));
        return better_of(smile, first, || second);
    }
    better_of(smile, task.solve(start, STEPS), || task.solve(&task.usual(), STEPS))
}

/// The first answer or, where that one is poor, the better of it and that from the usual smile: it may be the wrong valley,
/// and the lower cost wins.
fn better_of(
    smile: &Smile,
    first: Option<(Svi, f64)>,
    usual: impl FnOnce() -> Option<(Svi, f64)>,
) -> Option<Svi> {
    if first.is_some_and(|(svi, _)| misfit(smile, &svi) <= MISFIT_FINE) {
        return first.map(|f| f.0);
    }
    let better = first.into_iter().chain(usual()).min_by(|a, b| a.1.total_cmp(&b.1));
    better.map(|b| b.0)
}

/// The quasi-explicit fit, in total variance with each weight carried over from volatility.
fn explicit(smile: &Smile, weights: &[f64]) -> Option<Svi> {
    let k: Vec<f64> = smile.points.iter().map(|p| p.k).collect();
    let w: Vec<f64> = smile.points.iter().map(|p| p.vol * p.vol * smile.tau).collect();
    let per_variance = |(p, weight): (&Point, &f64)| {
        let slope = 2.0 * p.vol * smile.tau;
        weight / (slope * slope)
    };
    let largest = weights.iter().fold(0.0, |most: f64, w| most.max(*w));
    let weights: Vec<f64> = smile.points.iter().zip(weights).map(per_variance).collect();
    svi_quasi_explicit(&k, &w, &weights).ok().filter(|_| largest > 0.0)
}

/// Variance near the money: the middle one of the three points nearest to it.
fn scale(smile: &Smile) -> f64 {
    let mut near: Vec<&Point> = smile.used().collect();
    near.sort_by(|a, b| a.k.abs().total_cmp(&b.k.abs()));
    let mut variances: Vec<f64> = near.iter().take(3).map(|p| p.vol * p.vol * smile.tau).collect();
    median(&mut variances).unwrap_or(smile.tau)
}

fn distance(smile: &Smile, svi: &Svi, point: &Point) -> f64 {
    (svi.vol(point.k, smile.tau) - point.vol).abs()
}

/// Typical distance of the points from the slice, at least one vol point's half.
fn deviation(smile: &Smile, svi: &Svi) -> f64 {
    let mut distances: Vec<f64> = smile.used().map(|p| distance(smile, svi, p)).collect();
    median(&mut distances).unwrap_or(0.0).max(0.0025) * MAD
}

/// Points further out than a quote can be, farthest first: their places and distances.
fn suspects(smile: &Smile, svi: &Svi, params: &FitParams) -> Vec<(usize, f64, f64)> {
    let many = params.outlier_deviations * deviation(smile, svi);
    let mut found: Vec<(usize, f64, f64)> = Vec::new();
    for (i, point) in smile.points.iter().enumerate() {
        let own = 3.0 * if point.two_sided { point.half_spread() } else { params.mark_error };
        let limit = many.max(own).max(OUTLIER_VOL_MIN);
        let distance = distance(smile, svi, point);
        if distance > limit {
            found.push((i, distance, limit));
        }
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// Lowers the weight of far points as a Cauchy likelihood would.
fn soften(smile: &Smile, svi: &Svi, weights: &mut [f64]) {
    let typical = 2.0 * deviation(smile, svi);
    for (point, weight) in smile.points.iter().zip(weights) {
        let ratio = distance(smile, svi, point) / typical;
        let share = 1.0 / (1.0 + ratio * ratio);
        *weight = point.weight() * share * share;
    }
}

fn mark_outliers(smile: &mut Smile, svi: &Svi, params: &FitParams) {
    let points = smile.points.len();
    let spare = points.saturating_sub(params.quotes_min.max(5));
    let most = ((points as f64 * params.outlier_share_max).floor() as usize).min(spare);
    for (i, distance, limit) in suspects(smile, svi, params).into_iter().take(most) {
        let Some(point) = smile.points.get_mut(i) else { continue };
        point.outlier = true;
        let issue = Issue::new(Reason::Outlier, point.name());
        smile.refused.push(issue.at(&smile.asset, Some(smile.expiry)).with(distance, Some(limit)));
    }
}

/// The proposal lifted over `floor` if it lies under it by little, and found free of arbitrage by `quant`'s checks.
///
/// # Errors
/// The lift it would need and the limit, total variance; or the least Durrleman value.
fn secure(proposed: Svi, (floor, lift_max): (Option<&Svi>, f64), smile: &Smile) -> Result<Svi, Issue> {
    let mut svi = proposed;
    if let Some(near) = floor {
        let mut lift = 0.0;
        let limit = lift_max * scale(smile);
        while let Some((k, excess)) = calendar_violation(near, &svi) {
            lift += excess * (1.0 + 1e-6) + 1e-12 * near.w(k);
            if lift > limit {
                return Err(smile.refusal(Reason::Calendar).with(lift, Some(limit)));
            }
            svi.a = proposed.a + lift;
        }
    }
    svi.check().map_err(|_| smile.refusal(Reason::Butterfly).with(svi.min_durrleman().1, Some(0.0)))?;
    Ok(svi)
}

/// Root mean square distance from the middles, from the marks where there are none; every point alike.
pub(super) fn misfit(smile: &Smile, svi: &Svi) -> f64 {
    let two_sided = smile.used().any(|p| p.two_sided);
    let counted = smile.used().filter(|p| p.two_sided == two_sided);
    let squares = counted.clone().fold(0.0, |sum, p| {
        let d = distance(smile, svi, p);
        sum + d * d
    });
    (squares / counted.count().max(1) as f64).sqrt()
}

/// A slice near `target` on the smile's strikes and beyond, under the same rules as [`constrained_fit`].
pub(super) fn refit(smile: &Smile, target: impl Fn(f64) -> f64, floor: Option<&Svi>) -> Option<Svi> {
    let sampled = Smile {
        asset: smile.asset.clone(),
        expiry: smile.expiry,
        tau: smile.tau,
        forward: smile.forward,
        points: samples(smile, target),
        refused: Vec::new(),
        pull: PULL_LEAST,
    };
    let weights: Vec<f64> = sampled.points.iter().map(Point::weight).collect();
    let start = explicit(&sampled, &weights)?;
    FIRMNESS.iter().find_map(|&firmness| {
        let proposed = propose(&sampled, &weights, &start, (floor, &[]), firmness)?;
        secure(proposed, (floor, LIFT_MAX), &sampled).ok()
    })
}

/// Points on `target` (total variance) over three deviations either side and the quoted strikes.
fn samples(smile: &Smile, target: impl Fn(f64) -> f64) -> Vec<Point<'static>> {
    let s = target(0.0).sqrt();
    let ends = smile.points.iter().fold((-3.0 * s, 3.0 * s), |(lo, hi), p| (lo.min(p.k), hi.max(p.k)));
    let point = |i: i32| {
        let k = ends.0 + (ends.1 - ends.0) * f64::from(i) / 40.0;
        let vol = (target(k) / smile.tau).sqrt();
        Point {
            instrument: None,
            strike: f64::NAN,
            k,
            bid_vol: None,
            ask_vol: None,
            mark_vol: None,
            vol,
            error: 0.01,
            two_sided: true,
            outlier: false,
        }
    };
    (0..=40).map(point).collect()
}
