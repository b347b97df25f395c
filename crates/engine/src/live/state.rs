//! Everything the engine remembers. What follows from it is in [`super::valued`].

use super::effect::Standing;
use super::feed::Feed;
use super::glide::Resting;
use super::ledger::Ledger;
use super::liquidation::Plan;
use super::market::Market;
use super::once::Once;
use super::rules::Rules;
use plimsoll_margin::venue::mango::StablePrice;
use plimsoll_policy::{Bar, PolicyError, Quoted};
use plimsoll_types::{Asset, Ticks, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds before expiry over which the index is averaged for settlement.
pub const SETTLEMENT_SECONDS: i64 = 1_800;

/// Everything the engine remembers: plain, cloneable, comparable.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The engine's time: the latest instant of an event.
    pub now: Timestamp,
    /// Events so far, refused ones too.
    pub sequence: u64,
    /// Events refused, by code.
    pub refused: BTreeMap<String, u64>,
    pub(super) once: Once,
    /// Who holds what.
    pub ledger: Ledger,
    /// Index prices.
    pub feeds: BTreeMap<Asset, Feed>,
    /// Everything else of a market.
    pub markets: BTreeMap<Asset, Market>,
    pub(super) stable: BTreeMap<Asset, StablePrice>,
    /// Index over time, for settlement.
    pub(super) trail: BTreeMap<Asset, Trail>,
    /// Mean index of the last half hour before an expiry that has come, until all of it is settled; nothing where the feed said
    /// nothing sound then.
    #[serde(default)]
    pub(super) frozen: BTreeMap<Asset, BTreeMap<Timestamp, Option<f64>>>,
    /// By account number.
    pub(super) standings: Vec<Standing>,
    /// Accounts that cannot be valued, by number, and why.
    #[serde(default)]
    pub unvalued: BTreeMap<u32, String>,
    /// Accounts whose totals say more than their feeds allow: looked at again whenever the clock says.
    pub(super) held_back: BTreeSet<u32>,
    /// Liquidations given so far: their numbers.
    pub(super) given: u64,
    /// Liquidations under way, by their number.
    pub intents: BTreeMap<u64, Intent>,
    /// The insurance fund, ticks.
    pub insurance: Ticks,
    /// Collateral that the insurance fund has bought, billionths.
    #[serde(default)]
    pub insured: BTreeMap<Asset, i128>,
    /// What the backstop has lost by taking over, ticks.
    pub backstop_lost: Ticks,
    /// The policy's own.
    pub policy: plimsoll_policy::State,
    pub(super) bars: BTreeMap<Asset, Bar>,
    pub(super) depth: BTreeMap<Asset, BTreeMap<String, Quoted>>,
    /// What rests in order books, by venue: what a liquidation would meet.
    #[serde(default)]
    pub resting: BTreeMap<Asset, BTreeMap<String, Resting>>,
    /// Open interest since the last look of the policy.
    #[serde(default)]
    pub(super) interest: BTreeMap<Asset, Interest>,
    pub(super) pool: Option<f64>,
    pub(super) sentiment: Option<f64>,
    /// As of when each market was last valued, and the parameters in force looked up: what follows from them follows from
    /// these instants, whenever it is asked for.
    pub(super) valued_at: BTreeMap<Asset, Timestamp>,
    pub(super) ruled_at: Timestamp,
    /// When the policy was last told something.
    pub(super) looked: Timestamp,
    /// The policy looks again at or after.
    pub(super) policy_due: Timestamp,
    /// What somebody has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Whether the last event came from a clock that does not go with the others.
    pub clock_skew: bool,
}

/// New risk is refused until somebody lets it go on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// From when on.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// Whether liquidations wait as well.
    pub hold_liquidations: bool,
}

/// Open interest in an underlying, as it was said.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interest {
    /// Quote units.
    pub open_interest: f64,
    /// Traded a day, quote units.
    pub daily_volume: Option<f64>,
    /// Share of the largest ten accounts.
    pub concentration: Option<f64>,
}

/// A liquidation under way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// Number of the account.
    pub account: u32,
    /// When it was given.
    pub since: Timestamp,
    /// What is left of it.
    pub plan: Plan,
}

/// An index over time: price times seconds since the start, so that any mean is a difference of two.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Trail {
    /// Instant and price from then on, zero while the feed is halted; oldest first; no older than twice the time of settlement but for the first.
    points: Vec<(Timestamp, f64)>,
}

impl Trail {
    pub(super) fn push(&mut self, at: Timestamp, price: f64) {
        match self.points.last_mut() {
            // A second is short beside half an hour, and a burst must not fill the memory.
            Some(last) if last.0 >= at || last.0.seconds() == at.seconds() => last.1 = price,
            _ => self.points.push((at, price)),
        }
        let oldest = at.plus_seconds(-2 * SETTLEMENT_SECONDS);
        let keep = self.points.partition_point(|(time, _)| *time <= oldest).saturating_sub(1);
        self.points.drain(..keep);
    }

    /// The time-weighted mean price over the settlement time before `end`, as far as the feed was not halted; `None` where it was
    /// not seen then.
    pub(super) fn mean(&self, end: Timestamp) -> Option<f64> {
        let start = end.plus_seconds(-SETTLEMENT_SECONDS);
        let first = self.points.partition_point(|(time, _)| *time <= start).saturating_sub(1);
        let inside = self.points.get(first..)?;
        let (mut sum, mut seconds) = (0.0, 0.0);
        for (i, (from, price)) in inside.iter().enumerate() {
            let until = inside.get(i + 1).map_or(end, |(next, _)| *next);
            let from = if *from < start { start } else { *from };
            let until = if until > end { end } else { until };
            if until > from && *price > 0.0 {
                let span = from.seconds_until(until);
                sum += price * span;
                seconds += span;
            }
        }
        (seconds > 0.0).then(|| sum / seconds)
    }
}

impl State {
    /// Of an engine that has just begun.
    ///
    /// # Errors
    /// When the policy cannot begin.
    pub fn new(rules: &Rules, now: Timestamp) -> Result<Self, PolicyError> {
        let feeds = rules.feeds.keys().map(|asset| (asset.clone(), Feed::new())).collect();
        Ok(Self {
            now,
            sequence: 0,
            refused: BTreeMap::new(),
            once: Once::default(),
            ledger: Ledger::new(rules.params.units.clone()),
            feeds,
            markets: BTreeMap::new(),
            stable: BTreeMap::new(),
            trail: BTreeMap::new(),
            frozen: BTreeMap::new(),
            standings: Vec::new(),
            unvalued: BTreeMap::new(),
            held_back: BTreeSet::new(),
            given: 0,
            intents: BTreeMap::new(),
            insurance: Ticks(0),
            insured: BTreeMap::new(),
            backstop_lost: Ticks(0),
            policy: plimsoll_policy::State::new(&rules.policy, now)?,
            bars: BTreeMap::new(),
            depth: BTreeMap::new(),
            resting: BTreeMap::new(),
            interest: BTreeMap::new(),
            pool: None,
            sentiment: None,
            valued_at: BTreeMap::new(),
            ruled_at: now,
            looked: now.plus_seconds(-1),
            policy_due: now,
            paused: None,
            clock_skew: false,
        })
    }

    /// How an account stands, by number.
    pub fn standing(&self, account: u32) -> Standing {
        self.standings.get(account as usize).copied().unwrap_or_default()
    }
}
