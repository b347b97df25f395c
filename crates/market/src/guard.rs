//! What may be used of one snapshot, and what may not and why.
//!
//! Rules for a single instant; how validity moves over time (hysteresis, quorum lost, confirmation of a jump) belongs to
//! a feed and is not decided here. No rule replaces a number by another: an unsound field is removed and named.

mod checks;
mod index;

use checks::{Checks, Times};
use plimsoll_types::{Asset, Issue, Reason, Snapshot, Timestamp, UnderlyingMarket};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of the guard. Ages are in seconds against the snapshot's `as_of`; a value exactly at its limit passes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardParams {
    /// Oldest index, collateral or perpetual price, seconds.
    pub index_age_seconds_max: f64,
    /// Oldest option quote, forward, dated future or depth, seconds.
    pub quote_age_seconds_max: f64,
    /// Oldest external smile, seconds.
    pub external_age_seconds_max: f64,
    /// How far after `as_of` a price may be dated, seconds.
    pub future_seconds_max: f64,
    /// Widest confidence interval (half-width relative to the price) of a price. A wider one is used only when no other
    /// source is sound, with an issue.
    pub confidence_max: f64,
    /// Relative half-width put in place of a stated confidence of zero, with an issue, and of one that is not stated:
    /// no source is certain, least of all one that does not say.
    pub confidence_floor: f64,
    /// Largest relative distance from the median at which a source still agrees.
    pub disagreement_max: f64,
    /// Largest mark volatility, annualised decimal, that is not an error of its source.
    pub mark_vol_max: f64,
    /// Largest relative distance of a perpetual's price from the index, and of any mark from its own bid and ask. A
    /// dated future is given as much again for every quarter to its expiry: an annualised basis of 40 % at a limit of 10 %.
    pub mark_divergence_max: f64,
}

impl Default for GuardParams {
    /// The limits of the parameter set `plimsoll`: index 180 s, quotes 1200 s, external smiles 3600 s, 2 s into the future,
    /// confidence 2 % with a floor of 5 bp, sources within 1 %, volatility up to 600 %, perpetuals
    /// within 10 % of the index.
    fn default() -> Self {
        Self {
            index_age_seconds_max: 180.0,
            quote_age_seconds_max: 1200.0,
            external_age_seconds_max: 3600.0,
            future_seconds_max: 2.0,
            confidence_max: 0.02,
            confidence_floor: 0.0005,
            disagreement_max: 0.01,
            mark_vol_max: 6.0,
            mark_divergence_max: 0.10,
        }
    }
}

/// A snapshot with everything unsound removed, and the list of what was.
#[derive(Clone, PartialEq, Debug)]
pub struct Guarded {
    /// What may be used.
    pub snapshot: GuardedSnapshot,
    /// What was removed, or kept under protest, in the order it was met.
    pub issues: Vec<Issue>,
}

/// The sound part of a snapshot.
#[derive(Clone, PartialEq, Debug)]
pub struct GuardedSnapshot {
    /// The instant it speaks of.
    pub as_of: Timestamp,
    /// Underlyings that have a sound index.
    pub underlyings: BTreeMap<Asset, GuardedMarket>,
    /// Collateral assets: price in the valuation currency and relative half-width of its confidence interval.
    pub assets: BTreeMap<Asset, (f64, f64)>,
}

/// The sound part of one underlying.
#[derive(Clone, PartialEq, Debug)]
pub struct GuardedMarket {
    /// Median of the sound, agreeing sources; > 0.
    pub index: f64,
    /// Largest relative confidence among them, [`GuardParams::confidence_floor`] for one that states none; where none of
    /// them states one, at least the narrowest of those dropped for being wide.
    pub confidence: f64,
    /// The market with unsound fields and quotes removed.
    pub market: UnderlyingMarket,
}

/// Removes what must not be used and says why.
///
/// Per price field: not finite ([`Reason::NonFinite`]), zero or negative ([`Reason::NonPositive`]; a zero bid, ask, mark or
/// mark volatility counts), bid above ask ([`Reason::Crossed`], both sides go), mark volatility above its limit
/// ([`Reason::Outlier`]), a mark or middle of a perpetual or future too far from the index, or a mark too far outside its own
/// bid and ask (same reason). An external smile on a forward or a time to expiry that is not the market's (same reason). Per
/// item: too old ([`Reason::Stale`]), dated in the future ([`Reason::Future`]), past its expiry
/// ([`Reason::Expired`]), nothing left ([`Reason::MissingQuote`]). Per index: confidence below zero or above the price
/// ([`Reason::BadConfidence`], dropped), zero (same reason, the floor is used), not stated (the floor is used), above the
/// limit ([`Reason::WideConfidence`], used only alone); a source off the median by more than the band ([`Reason::Outlier`]); two sources that disagree, or no
/// majority that agrees, are never averaged: both are dropped and the underlying is reported [`Reason::MissingIndex`].
///
/// An underlying without an index is left out whole; the others are not touched by it.
pub fn guard(snapshot: &Snapshot, params: &GuardParams) -> Guarded {
    let mut issues = Vec::new();
    let mut underlyings = BTreeMap::new();
    let times = Times { as_of: snapshot.as_of, params };
    for (asset, market) in &snapshot.underlyings {
        let mut checks = Checks { asset, times, issues: &mut issues };
        match index::consensus(&mut checks, &market.index) {
            Some((index, confidence)) => {
                let market = sound_market(&mut checks, market, index);
                let mut guarded = GuardedMarket { index, confidence, market };
                checks.keep_agreeing_smiles(&mut guarded);
                underlyings.insert(asset.clone(), guarded);
            }
            None => issues.push(Issue::new(Reason::MissingIndex, asset.as_str()).at(asset, None)),
        }
    }
    let mut assets = BTreeMap::new();
    for (asset, price) in &snapshot.assets {
        let mut checks = Checks { asset, times, issues: &mut issues };
        match index::consensus(&mut checks, std::slice::from_ref(price)) {
            Some(found) => drop(assets.insert(asset.clone(), found)),
            None => issues.push(Issue::new(Reason::MissingIndex, asset.as_str()).at(asset, None)),
        }
    }
    Guarded { snapshot: GuardedSnapshot { as_of: snapshot.as_of, underlyings, assets }, issues }
}

/// The sound part of everything but the index.
fn sound_market(checks: &mut Checks, market: &UnderlyingMarket, index: f64) -> UnderlyingMarket {
    UnderlyingMarket {
        index: market.index.clone(),
        forwards: market.forwards.iter().filter(|f| checks.forward_is_sound(f)).cloned().collect(),
        futures: market.futures.iter().filter_map(|q| checks.future(q, index)).collect(),
        perpetuals: market.perpetuals.iter().filter_map(|q| checks.perpetual(q, index)).collect(),
        options: market.options.iter().filter_map(|q| checks.option(q)).collect(),
        depth: market.depth.as_ref().filter(|d| checks.depth_is_sound(d)).cloned(),
        pool: market.pool.filter(|&x| checks.amount_is_sound("pool", x)),
        sentiment: market.sentiment.filter(|&x| checks.share_is_sound("sentiment", x)),
        external: market.external.iter().filter(|e| checks.external_is_sound(e)).cloned().collect(),
    }
}
