//! What can happen to the engine.

use super::feed::{Observation, Stated};
use super::ledger::Fill;
use plimsoll_policy::{Quoted, Scheduled};
use plimsoll_types::{AccountId, Asset, Instrument, Timestamp, UnderlyingMarket};
use serde::{Deserialize, Serialize};

/// One event: the only way in. Time comes with it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The host's clock when it was accepted. The engine's own time never goes back.
    pub at: Timestamp,
    /// By what it is known again: an event applies at most once.
    #[serde(default)]
    pub key: Option<Key>,
    /// What happened.
    pub body: Body,
}

/// What makes an event the same as another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Who sends it.
    pub source: String,
    /// The sender's own number of it. Each counts once; the highest 4096 of a sender are remembered, and older
    /// ones are refused.
    pub number: u64,
}

/// What happened. Kinds and fields are known by their names, so new ones may be added, with a default where older events
/// have none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// Time passes.
    Clock,
    /// A source states the index price of an underlying or collateral asset.
    Price {
        /// Of what.
        asset: Asset,
        /// Who says so.
        source: String,
        /// What it says.
        seen: Observation,
    },
    /// A source is alive and has no new price.
    Heartbeat {
        /// Of which feed.
        asset: Asset,
        /// Which source.
        source: String,
        /// When it said so; rises.
        time: Timestamp,
    },
    /// A chain of quotes: forwards, futures, perpetuals, options, smiles of others. Its index prices are not looked at.
    Chain {
        /// Of which underlying.
        underlying: Asset,
        /// The instant it speaks of.
        time: Timestamp,
        /// The quotes.
        quotes: Box<UnderlyingMarket>,
    },
    /// The middle of our own market in an underlying.
    OwnMarket {
        /// Which.
        asset: Asset,
        /// Quote units per base unit; nothing when its book is empty or crossed.
        #[serde(default)]
        middle: Option<Stated>,
    },
    /// Depth and spread of an underlying on a venue.
    Depth {
        /// Which.
        underlying: Asset,
        /// Where.
        venue: String,
        /// What is quoted there.
        quoted: Quoted,
    },
    /// Open interest in an underlying, for the policy to read.
    OpenInterest {
        /// Which.
        underlying: Asset,
        /// Of the protocol, quote units; >= 0.
        open_interest: f64,
        /// Traded a day, quote units; > 0.
        #[serde(default)]
        daily_volume: Option<f64>,
        /// Share of it that the largest ten accounts hold; in [0, 1].
        #[serde(default)]
        concentration: Option<f64>,
    },
    /// The collateral pool over what it must cover.
    Pool {
        /// >= 0.
        coverage: f64,
    },
    /// The mood of the market, 0 (fear) to 100 (greed).
    Sentiment {
        /// The number.
        value: f64,
    },
    /// The chain below went down, or came back.
    Uptime {
        /// Whether it is down.
        down: bool,
    },
    /// Somebody stops new risk, and liquidations too where that is said.
    Pause {
        /// Why, for those who are told.
        reason: String,
        /// Whether liquidations wait as well.
        hold_liquidations: bool,
    },
    /// What was paused goes on.
    Resume,
    /// Somebody has looked at a source in quarantine.
    Pardon {
        /// Of which feed.
        asset: Asset,
        /// Which source.
        source: String,
    },
    /// An instrument is traded from now on.
    List {
        /// Which.
        instrument: Instrument,
    },
    /// What a venue says is traded there: of underlyings with a feed, what is new here and can be held is traded from now on.
    Announced {
        /// Which.
        instruments: Vec<Instrument>,
    },
    /// An instrument that has expired is settled at the mean index of its last half hour, as far as it was seen.
    Settle {
        /// Which.
        instrument: Instrument,
    },
    /// Funding of a perpetual falls due.
    Funding {
        /// Which.
        instrument: Instrument,
        /// Share of the notional that longs pay; shorts when below zero.
        rate: Stated,
    },
    /// An account is opened.
    Open {
        /// Its name.
        account: AccountId,
    },
    /// Collateral arrives.
    Deposit {
        /// Whose.
        account: AccountId,
        /// What.
        asset: Asset,
        /// Billionths; > 0.
        nano: i128,
    },
    /// Collateral is to leave, if the account can do without.
    Withdraw {
        /// Whose.
        account: AccountId,
        /// What.
        asset: Asset,
        /// Billionths; > 0.
        nano: i128,
    },
    /// Collateral is to go from one account to another, if the first can do without.
    Transfer {
        /// From whom.
        from: AccountId,
        /// To whom.
        to: AccountId,
        /// What.
        asset: Asset,
        /// Billionths; > 0.
        nano: i128,
    },
    /// A trade that both sides want, if both may.
    Trade(Fill),
    /// A trade that has happened, whoever may or may not: a fact of the venue.
    Filled(Fill),
    /// An order is placed, or replaced by its number, if the account may.
    Order {
        /// Whose.
        account: AccountId,
        /// The client's number.
        id: u64,
        /// Of what.
        instrument: Instrument,
        /// Bids > 0.
        lots: i64,
        /// Its limit.
        limit: Stated,
    },
    /// An order is taken back.
    Cancel {
        /// Whose.
        account: AccountId,
        /// Its number.
        id: u64,
    },
    /// A vote on a parameter.
    Vote(Box<Scheduled>),
    /// A vote is taken back.
    CancelVote {
        /// Its name.
        id: String,
    },
    /// A step of a liquidation was traded: the account's side of it, by the plan's own intent.
    Liquidated {
        /// The intent.
        intent: u64,
        /// Who took it.
        taker: AccountId,
        /// Of what.
        instrument: Instrument,
        /// What the account gave up: > 0 sold, < 0 bought back.
        lots: i64,
        /// At what price.
        price: Stated,
    },
    /// Money for the insurance fund.
    Insure {
        /// Billionths of the valuation currency; > 0.
        nano: i128,
    },
}
