//! What a policy sees of chains, after it has seen the prices before them.
//!
//! **The one idea:** prices and implied volatility of the past warm a policy up; from the first chain on it sees chains and nothing
//! else. A history that ends more than 31 days before them says nothing of the time between: it is scaled so that it ends at
//! the first chain, and what happened meanwhile counts as no move. Implied volatility of another source is another measure, and is always
//! scaled so. Estimators look at relative changes only, so the scale of a whole history is not seen in any of them.

use super::moment::{Listing, Moment};
use crate::history::{GAP_SECONDS_MAX, History};
use crate::replay::{Dated, InForceFrom, ReplayError, Track, Without, in_force_from, speaks_of};
use plimsoll_policy::{Bar, Implied, Policy, Quoted, Signals, State, UnderlyingSignals, step};
use plimsoll_types::{Asset, Timestamp};
use std::collections::BTreeMap;

/// An implied volatility counts at prices up to a day after it.
const IMPLIED_AGE_SECONDS_MAX: f64 = 86_400.0;
/// The venue whose depth a snapshot states.
const VENUE: &str = "snapshot";

/// Implied volatility of an underlying before the chains, in the order of time; annualised decimals > 0.
#[derive(Clone, PartialEq, Debug)]
pub struct ImpliedHistory {
    /// Of what.
    pub asset: Asset,
    /// When, and at what level.
    pub rows: Vec<(Timestamp, f64)>,
}

/// The past of one underlying, scaled to its first chain.
struct Past<'a> {
    asset: &'a Asset,
    rows: &'a [(Timestamp, Bar)],
    price_scale: f64,
    implied: &'a [(Timestamp, f64)],
    implied_scale: f64,
}

/// What a policy sees, instant by instant: the past in steps of its prices, then every chain.
///
/// Where there are no chains there is nothing.
pub fn seen(moments: &[Moment], prices: &[History], implied: &[ImpliedHistory]) -> Vec<Signals> {
    let Some(first) = moments.first() else { return Vec::new() };
    let pasts: Vec<Past<'_>> = prices
        .iter()
        .filter_map(|history| {
            let listing = moments.iter().find_map(|m| Some((m.at, m.listings.get(&history.asset)?)))?;
            let implied = implied.iter().find(|of| of.asset == history.asset);
            Some(past(history, implied, listing, first.at))
        })
        .collect();
    let mut instants: Vec<Timestamp> = pasts.iter().flat_map(|past| past.rows).map(|row| row.0).collect();
    instants.sort();
    instants.dedup();
    let before = instants.into_iter().map(|at| warm(at, &pasts));
    before.chain(moments.iter().map(of_moment)).collect()
}

fn past<'a>(
    history: &'a History,
    implied: Option<&'a ImpliedHistory>,
    (at, listing): (Timestamp, &Listing),
    first: Timestamp,
) -> Past<'a> {
    let rows = &history.rows;
    let rows = rows.get(..rows.partition_point(|row| row.0 < first)).unwrap_or_default();
    let implied = implied.map_or(&[][..], |of| &of.rows);
    let implied = implied.get(..implied.partition_point(|row| row.0 < first)).unwrap_or_default();
    let far = |(time, _): &&(Timestamp, Bar)| time.plus_seconds(GAP_SECONDS_MAX) < at;
    let price_scale = rows.last().filter(far).map_or(1.0, |(_, bar)| listing.index / bar.close);
    let level = implied.last().zip(listing.implied).map_or(1.0, |((_, last), now)| now.atm / last);
    Past { asset: &history.asset, rows, price_scale, implied, implied_scale: level }
}

fn warm(at: Timestamp, pasts: &[Past<'_>]) -> Signals {
    let mut underlyings = BTreeMap::new();
    for past in pasts {
        let Some(row) = past.rows.binary_search_by_key(&at, |row| row.0).ok().and_then(|i| past.rows.get(i))
        else {
            continue;
        };
        let scaled = |price: f64| price * past.price_scale;
        let Bar { open, high, low, close } = row.1;
        let bar = Bar { open: scaled(open), high: scaled(high), low: scaled(low), close: scaled(close) };
        let last = past.implied.partition_point(|(time, _)| *time <= at).checked_sub(1);
        let fresh = |(time, _): &&(Timestamp, f64)| time.seconds_until(at) <= IMPLIED_AGE_SECONDS_MAX;
        let level = last.and_then(|i| past.implied.get(i)).filter(fresh);
        let implied = level.map(|(_, level)| level_alone(level * past.implied_scale));
        let signals = UnderlyingSignals { bar: Some(bar), implied, ..UnderlyingSignals::default() };
        underlyings.insert(past.asset.as_str().to_owned(), signals);
    }
    Signals { as_of: at, underlyings, ..Signals::default() }
}

/// A level of which no smile is known: what is no number is not read.
fn level_alone(atm: f64) -> Implied {
    Implied { atm, risk_reversal: f64::NAN, butterfly: f64::NAN, slope: f64::NAN }
}

fn of_moment(moment: &Moment) -> Signals {
    let of = |listing: &Listing| UnderlyingSignals {
        bar: Some(Bar::at(listing.index)),
        implied: listing.implied,
        venues: listing
            .depth
            .map(|depth| (VENUE.to_owned(), Quoted { depth, spread: 0.0 }))
            .into_iter()
            .collect(),
        open_interest: Some(listing.open_interest),
        ..UnderlyingSignals::default()
    };
    let named = moment.listings.iter().map(|(asset, listing)| (asset.as_str().to_owned(), of(listing)));
    Signals { as_of: moment.at, underlyings: named.collect(), ..Signals::default() }
}

/// Puts signals through a policy; what was in force for each of the assets. What the policy had to do without is counted from
/// the instant `judged` on.
///
/// # Errors
/// [`ReplayError`] with the instant.
pub fn follow(
    policy: &Policy,
    seen: &[Signals],
    assets: &[Asset],
    judged: Timestamp,
) -> Result<Track, ReplayError> {
    let start = seen.first().map(|signals| signals.as_of).ok_or(ReplayError::Nothing)?;
    let begin = |source| ReplayError::Begin { policy: policy.name().to_owned(), source: Box::new(source) };
    let mut state = State::new(policy, start).map_err(begin)?;
    let mut track = Track {
        changes: Vec::new(),
        in_force: vec![Vec::new(); assets.len()],
        without: vec![Without::default(); assets.len()],
    };
    for signals in seen {
        let at = signals.as_of;
        let decision = step(policy, &mut state, signals).map_err(|source| ReplayError::Step {
            policy: policy.name().to_owned(),
            at,
            source: Box::new(source),
        })?;
        for ((asset, in_force), without) in assets.iter().zip(&mut track.in_force).zip(&mut track.without) {
            let name = asset.as_str();
            let moved = decision.changes.iter().any(|change| speaks_of(&change.key, name));
            let known = !in_force.is_empty() || signals.underlyings.contains_key(name);
            if known && (in_force.is_empty() || moved) {
                in_force.push(in_force_from(policy, &state, name, at));
            }
            if at >= judged {
                without.count(&decision.notes, name);
                let floor = in_force.last().is_some_and(InForceFrom::is_scan_on_floor);
                without.on_stress_floor += u64::from(floor);
            }
        }
        track.changes.extend(decision.changes.into_iter().map(|change| Dated { at, change }));
    }
    Ok(track)
}
