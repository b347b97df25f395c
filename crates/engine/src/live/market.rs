//! What is known of one underlying beside its index: forwards, marks and smiles, kept from one chain of quotes to the next.
//!
//! **The one idea:** a chain replaces what it is sound in, and nothing else: an expiry that it cannot fit keeps the smile it
//! had, and the smile's age says how far to rely on it. Between chains prices move with the index and smiles stay where
//! they are in log-moneyness.

use super::feed::{Accepted, Cause, Validity};
use plimsoll_market::{FitParams, GuardParams, PerpMark, Slice, Surface, UnderlyingSurface, fit, guard};
use plimsoll_quant::svi::calendar_violation;
use plimsoll_types::{Asset, IndexPrice, Issue, Reason, Snapshot, Timestamp, UnderlyingMarket};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Limits of a market.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketParams {
    /// Age from which a smile is stale, milliseconds.
    pub soft_stale_ms: i64,
    /// Age from which it is worth nothing, milliseconds.
    pub hard_stale_ms: i64,
    /// How far in the future a chain may be dated, milliseconds.
    pub future_ms: i64,
    /// Largest relative move of a smile's volatility at the money, either way, that needs no confirmation.
    pub vol_jump_max: f64,
    /// Chains that must agree on a larger one.
    pub confirmations: u32,
}

impl Default for MarketParams {
    /// Soft 20 minutes, hard an hour, 2 s into the future; volatility up to half as much again or less, three chains beyond.
    fn default() -> Self {
        Self {
            soft_stale_ms: 1_200_000,
            hard_stale_ms: 3_600_000,
            future_ms: 2_000,
            vol_jump_max: 0.5,
            confirmations: 3,
        }
    }
}

/// Why a chain was not taken. Nothing has changed then but the count of a jump, and that there was arbitrage.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ChainRefused {
    /// Dated in the future.
    #[error("future")]
    Future,
    /// Not after the last one.
    #[error("out_of_order")]
    OutOfOrder,
    /// The index is not known.
    #[error("missing_index")]
    NoIndex,
    /// A quote's own number that no market says.
    #[error("unsound {0}")]
    Unsound(Issue),
    /// The new smiles and those that are kept cross.
    #[error("calendar {near} {far}")]
    Calendar {
        /// Earlier expiry.
        near: Timestamp,
        /// Later expiry, of less total variance somewhere.
        far: Timestamp,
    },
    /// Volatility moved beyond the band, and not often enough yet.
    #[error("vol_jump {expiry}: {from} to {to}")]
    VolJump {
        /// Of which expiry.
        expiry: Timestamp,
        /// At the money before.
        from: f64,
        /// At the money now.
        to: f64,
    },
}

/// What is known of an underlying beside its index.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Market {
    /// As of the last chain, at its index.
    fitted: Option<UnderlyingSurface>,
    /// When the last chain was taken, and of which instant it spoke.
    quoted: Option<Timestamp>,
    /// When each smile was fitted.
    smiles: BTreeMap<Timestamp, Timestamp>,
    /// Chains in a row beyond the band that say the same.
    jumps: u32,
    /// The last of them: volatility at the money by expiry.
    #[serde(default)]
    candidate: BTreeMap<Timestamp, f64>,
    /// Whether the last chain was refused for arbitrage between expiries.
    #[serde(default)]
    crossed: bool,
    /// Expiries of the last chain whose own smile was refused for arbitrage, and that kept the one before.
    #[serde(default)]
    arbitrage: BTreeSet<Timestamp>,
}

impl Market {
    /// Takes a chain.
    pub fn quote(
        &mut self,
        params: (&MarketParams, &GuardParams, &FitParams),
        (asset, index): (&Asset, Option<Accepted>),
        (quotes, time): (&UnderlyingMarket, Timestamp),
        now: Timestamp,
    ) -> Result<Vec<Issue>, ChainRefused> {
        let (limits, guards, fits) = params;
        if millis(now, time) > limits.future_ms {
            return Err(ChainRefused::Future);
        }
        if self.quoted.is_some_and(|last| time <= last) {
            return Err(ChainRefused::OutOfOrder);
        }
        let index = index.ok_or(ChainRefused::NoIndex)?;
        let (fitted, issues) = fitted((asset, index), (quotes, time), (guards, fits));
        if let Some(issue) = issues.iter().find(|issue| is_broken(issue)) {
            return Err(ChainRefused::Unsound(issue.clone()));
        }
        let mut new = fitted.ok_or(ChainRefused::NoIndex)?;
        self.within_band(limits, &new)?;
        let fresh: BTreeSet<Timestamp> = new.slices.iter().map(|slice| slice.expiry).collect();
        self.keep_old(&mut new, time);
        if let Err(refused) = uncrossed(&new) {
            self.crossed = true;
            return Err(refused);
        }
        self.crossed = false;
        self.arbitrage = arbitrage(&issues).filter(|expiry| !fresh.contains(expiry)).collect();
        self.smiles.retain(|expiry, _| new.slices.iter().any(|slice| slice.expiry == *expiry));
        self.smiles.extend(fresh.into_iter().map(|expiry| (expiry, time)));
        (self.fitted, self.quoted, self.jumps) = (Some(new), Some(time), 0);
        self.candidate.clear();
        Ok(issues)
    }

    /// A chain whose smiles moved too far is held back until several say the same.
    fn within_band(&mut self, limits: &MarketParams, new: &UnderlyingSurface) -> Result<(), ChainRefused> {
        let Some(old) = &self.fitted else { return Ok(()) };
        let level = |slice: &Slice| slice.svi.vol(0.0, slice.tau);
        let most = 1.0 + limits.vol_jump_max;
        let beyond = |from: f64, to: f64| to > from * most || to * most < from;
        let moved = new.slices.iter().find_map(|slice| {
            let before = old.slices.iter().find(|other| other.expiry == slice.expiry)?;
            let (from, to) = (level(before), level(slice));
            beyond(from, to).then_some((slice.expiry, from, to))
        });
        let Some((expiry, from, to)) = moved else { return Ok(()) };
        let levels: BTreeMap<Timestamp, f64> = new.slices.iter().map(|s| (s.expiry, level(s))).collect();
        let mut common =
            levels.iter().filter_map(|(expiry, to)| Some((*self.candidate.get(expiry)?, *to))).peekable();
        let agrees = common.peek().is_some() && common.all(|(from, to)| !beyond(from, to));
        self.jumps = if agrees { self.jumps.saturating_add(1) } else { 1 };
        self.candidate = levels;
        if self.jumps >= limits.confirmations {
            return Ok(());
        }
        Err(ChainRefused::VolJump { expiry, from, to })
    }

    /// Smiles of expiries that the chain could not fit stay, on its forwards; so do perpetuals and futures of which it has no sound
    /// price, in proportion to the index.
    fn keep_old(&self, new: &mut UnderlyingSurface, time: Timestamp) {
        let Some(old) = &self.fitted else { return };
        let growth = new.index / old.index;
        for (name, mark) in &old.perpetuals {
            let kept = new.perpetuals.entry(name.clone());
            kept.or_insert_with(|| PerpMark { price: mark.price * growth, ..*mark });
        }
        for (of, price) in old.futures.iter().filter(|(of, _)| of.expiry().is_some_and(|at| at > time)) {
            new.futures.entry(of.clone()).or_insert(price * growth);
        }
        for slice in &old.slices {
            let known = new.slices.iter().any(|other| other.expiry == slice.expiry);
            if known || slice.expiry <= time {
                continue;
            }
            let Ok(forward) = new.forward(time, slice.expiry) else { continue };
            new.slices.push(Slice { forward, ..slice.clone() });
        }
        new.slices.sort_by_key(|slice| slice.expiry);
    }

    /// The instant the last chain spoke of.
    pub fn quoted(&self) -> Option<Timestamp> {
        self.quoted
    }

    /// The market at an index: prices in proportion, smiles as they are. `None` before the first chain.
    pub fn at(&self, index: Accepted) -> Option<UnderlyingSurface> {
        let mut market = self.fitted.clone()?;
        let growth = index.price / market.index;
        (market.index, market.confidence) = (index.price, index.confidence);
        market.forwards.iter_mut().for_each(|forward| forward.1 *= growth);
        market.perpetuals.values_mut().for_each(|mark| mark.price *= growth);
        market.futures.values_mut().for_each(|price| *price *= growth);
        market.slices.iter_mut().for_each(|slice| slice.forward *= growth);
        Some(market)
    }

    /// How far the smile of an expiry may be relied on at an instant.
    pub fn validity(
        &self,
        params: &MarketParams,
        expiry: Timestamp,
        now: Timestamp,
    ) -> (Validity, Option<Cause>) {
        let fitted = self.smiles.get(&expiry).copied();
        let near = || self.smiles.range(..expiry).next_back().or_else(|| self.smiles.range(expiry..).next());
        let Some(time) = fitted.or_else(|| near().map(|(_, time)| *time)) else {
            return (Validity::Halted, Some(Cause::NoPrice));
        };
        match millis(time, now) {
            age if age > params.hard_stale_ms => (Validity::Halted, Some(Cause::HardStale)),
            age if age > params.soft_stale_ms => (Validity::Degraded, Some(Cause::SoftStale)),
            _ if self.crossed || self.arbitrage.contains(&expiry) => {
                (Validity::Degraded, Some(Cause::Arbitrage))
            }
            _ if self.jumps > 0 => (Validity::Degraded, Some(Cause::Jump)),
            _ => (Validity::Normal, None),
        }
    }
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.nanos().saturating_sub(from.nanos()).div_euclid(1_000_000)
}

/// The fit of a chain at our own index; `None` where the guard refuses that.
fn fitted(
    (asset, index): (&Asset, Accepted),
    (quotes, time): (&UnderlyingMarket, Timestamp),
    (guards, fits): (&GuardParams, &FitParams),
) -> (Option<UnderlyingSurface>, Vec<Issue>) {
    let confidence = Some(index.confidence * index.price);
    let ours = IndexPrice { price: index.price, confidence, source: "engine".to_owned(), time };
    let market = UnderlyingMarket { index: vec![ours], ..quotes.clone() };
    let underlyings = BTreeMap::from([(asset.clone(), market)]);
    let snapshot = Snapshot { as_of: time, underlyings, assets: BTreeMap::new() };
    let Surface { mut underlyings, issues, .. } = fit(&guard(&snapshot, guards), fits);
    let mut found = underlyings.remove(asset);
    for slice in found.iter_mut().flat_map(|market| &mut market.slices) {
        // What was fitted is nobody's business from here on, and is most of the bytes.
        slice.quality.points = Vec::new();
    }
    if let Some(market) = &mut found {
        market.refused = Vec::new();
    }
    (found, issues)
}

/// Expiries whose smile was refused for arbitrage.
fn arbitrage(issues: &[Issue]) -> impl Iterator<Item = Timestamp> {
    let found = issues.iter().filter(|issue| matches!(issue.reason, Reason::Butterfly | Reason::Calendar));
    found.filter_map(|issue| issue.expiry)
}

/// Neighbouring smiles must not cross.
fn uncrossed(market: &UnderlyingSurface) -> Result<(), ChainRefused> {
    for pair in market.slices.windows(2) {
        let [near, far] = pair else { continue };
        if calendar_violation(&near.svi, &far.svi).is_some() {
            return Err(ChainRefused::Calendar { near: near.expiry, far: far.expiry });
        }
    }
    Ok(())
}

/// Whether an issue says that its source is broken: a number that is none, or no volatility at all.
fn is_broken(issue: &Issue) -> bool {
    let no_vol = issue.reason == Reason::NonPositive && issue.subject.ends_with(".mark_vol");
    issue.reason == Reason::NonFinite || no_vol
}
