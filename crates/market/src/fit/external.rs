//! Smiles fitted elsewhere: taken instead of ours, or blended with them, if they are free of arbitrage.

use super::quotes::Smile;
use super::{Found, calibrate, quality, refusal};
use crate::surface::{FitMethod, Slice};
use plimsoll_quant::svi::{Svi, calendar_violation};
use plimsoll_types::{Asset, ExternalSlice, Issue, Reason, Timestamp};
use std::collections::BTreeMap;

/// The newest supplied smile per expiry, brought to the instant of the fit.
pub(super) struct Supplied {
    svi: Svi,
    tau: f64,
    forward: f64,
    blend: f64,
}

/// The newest supplied smile of each expiry.
///
/// A volatility belongs to its expiry, so a smile fitted at another instant keeps its volatilities and its total
/// variance is scaled with the time that is left.
pub(super) fn by_expiry(external: &[ExternalSlice], as_of: Timestamp) -> BTreeMap<Timestamp, Supplied> {
    let mut newest: BTreeMap<Timestamp, &ExternalSlice> = BTreeMap::new();
    for slice in external.iter().filter(|s| s.expiry > as_of) {
        let kept = newest.entry(slice.expiry).or_insert(slice);
        if slice.time > kept.time {
            *kept = slice;
        }
    }
    newest.into_iter().map(|(expiry, slice)| (expiry, supplied(slice, as_of.years_until(expiry)))).collect()
}

fn supplied(slice: &ExternalSlice, tau: f64) -> Supplied {
    let age = tau / slice.tau;
    let svi = Svi { a: slice.a * age, b: slice.b * age, rho: slice.rho, m: slice.m, sigma: slice.sigma };
    Supplied { svi, tau, forward: slice.forward, blend: slice.blend }
}

/// What keeps a slice from being published.
fn objection(svi: &Svi, floor: Option<&Svi>) -> Option<Reason> {
    if svi.check().is_err() {
        return Some(Reason::Butterfly);
    }
    let violated = floor.is_some_and(|near| calendar_violation(near, svi).is_some());
    violated.then_some(Reason::Calendar)
}

/// The supplied smile, or its blend with ours in total variance; ours where theirs has arbitrage, with an issue.
///
/// A share of 1 replaces ours. Any other share needs ours: without it the supplied smile is not used either. The blend
/// is a raw slice refitted to the blended variance and passes the same checks.
pub(super) fn choose(
    supplied: &Supplied,
    smile: &Smile,
    own: Result<Found, Issue>,
    floor: Option<&Svi>,
    refused: &mut Vec<Issue>,
) -> Result<Found, Issue> {
    if supplied.blend == 0.0 {
        return own;
    }
    if let Some(reason) = objection(&supplied.svi, floor) {
        refused.push(external_refusal(reason, &smile.asset, smile.expiry));
        return own;
    }
    if supplied.blend == 1.0 {
        if let Err(issue) = own {
            refused.push(issue);
        }
        return Ok(Found { svi: supplied.svi, method: FitMethod::External });
    }
    let own = own?;
    let target = |k: f64| own.svi.w(k) + supplied.blend * (supplied.svi.w(k) - own.svi.w(k));
    match calibrate::refit(smile, target, floor) {
        Some(svi) => Ok(Found { svi, method: FitMethod::Blended }),
        None => {
            refused.push(external_refusal(Reason::FitFailed, &smile.asset, smile.expiry));
            Ok(own)
        }
    }
}

fn external_refusal(reason: Reason, asset: &Asset, expiry: Timestamp) -> Issue {
    let issue = refusal(reason, asset, expiry);
    Issue { subject: format!("external {}", issue.subject), ..issue }
}

/// Adds replacing smiles of expiries that have no quotes, where they fit between their neighbours.
pub(super) fn insert_rest(
    asset: &Asset,
    rest: BTreeMap<Timestamp, Supplied>,
    slices: &mut Vec<Slice>,
    refused: &mut Vec<Issue>,
) {
    for (expiry, supplied) in rest {
        if supplied.blend < 1.0 {
            // Nothing of ours to blend with.
            refused
                .push(external_refusal(Reason::MissingSmile, asset, expiry).with(supplied.blend, Some(1.0)));
            continue;
        }
        let after = slices.partition_point(|s| s.expiry < expiry);
        let near = after.checked_sub(1).and_then(|i| slices.get(i)).map(|s| s.svi);
        let far = slices.get(after).map(|s| s.svi);
        let above = far.is_some_and(|far| calendar_violation(&supplied.svi, &far).is_some());
        match objection(&supplied.svi, near.as_ref()).or(above.then_some(Reason::Calendar)) {
            Some(reason) => refused.push(external_refusal(reason, asset, expiry)),
            None => {
                let smile = Smile {
                    asset: asset.clone(),
                    expiry,
                    tau: supplied.tau,
                    forward: supplied.forward,
                    points: Vec::new(),
                    refused: Vec::new(),
                    pull: 1.0,
                };
                let found = Found { svi: supplied.svi, method: FitMethod::External };
                slices.insert(after, quality::slice(smile, &found, near.as_ref()));
            }
        }
    }
}
