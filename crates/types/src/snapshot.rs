//! The market at one instant, as read: nothing guarded, nothing derived.

use crate::{Asset, Instrument, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything known of the market at `as_of`. Also the documented JSON form (`docs/snapshot.md`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The instant the snapshot speaks of.
    pub as_of: Timestamp,
    /// What is known per underlying.
    pub underlyings: BTreeMap<Asset, UnderlyingMarket>,
    /// Prices of other collateral assets, in the valuation currency.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assets: BTreeMap<Asset, IndexPrice>,
}

/// What is known of one underlying.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnderlyingMarket {
    /// Index prices, one per source; the guard takes the median of the sound ones.
    pub index: Vec<IndexPrice>,
    /// Forwards per expiry, as the venue states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<Forward>,
    /// Dated futures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub futures: Vec<FutureQuote>,
    /// Perpetual swaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perpetuals: Vec<PerpQuote>,
    /// Options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionQuote>,
    /// Order-book depth of the underlying, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<Depth>,
    /// On-chain pool liquidity, quote units, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<f64>,
    /// Sentiment, 0 (fear) to 1 (greed), if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<f64>,
    /// Smiles fitted elsewhere, used instead of ours or blended with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalSlice>,
}

/// One source's price of an asset in the valuation currency.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexPrice {
    /// Quote units per base unit.
    pub price: f64,
    /// Half-width of the source's confidence interval, quote units; `None` when the source states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Who says so.
    pub source: String,
    /// When it was true.
    pub time: Timestamp,
}

/// Where a forward came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardSource {
    /// Stated by the venue with its options.
    Venue,
    /// A listed future of the same expiry.
    Future,
    /// Put-call parity over pairs of options.
    Parity,
    /// Interpolated between neighbouring expiries.
    Interpolated,
}

/// The forward price for one expiry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// The instant it delivers.
    pub expiry: Timestamp,
    /// Quote units per base unit.
    pub price: f64,
    /// Where it came from.
    pub source: ForwardSource,
    /// When it was true.
    pub time: Timestamp,
}

/// A dated future.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FutureQuote {
    /// Which one.
    pub instrument: Instrument,
    /// Mark price, quote units per base unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<f64>,
    /// Best bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<f64>,
    /// Best ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<f64>,
    /// Contracts open, in the instrument's quantity unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_interest: Option<f64>,
    /// When it was true.
    pub time: Timestamp,
}

/// A perpetual swap.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerpQuote {
    /// Which one.
    pub instrument: Instrument,
    /// Mark price, quote units per base unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<f64>,
    /// Best bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<f64>,
    /// Best ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<f64>,
    /// Funding per 8 hours, fraction of notional; positive: longs pay shorts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_8h: Option<f64>,
    /// Contracts open, in the instrument's quantity unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_interest: Option<f64>,
    /// When it was true.
    pub time: Timestamp,
}

/// An option. Prices are in the settlement asset per base unit: coin for inverse options, quote units for linear.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionQuote {
    /// Which one.
    pub instrument: Instrument,
    /// Best bid; `None` when nobody bids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<f64>,
    /// Best ask; `None` when nobody offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<f64>,
    /// The venue's mark price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<f64>,
    /// The venue's mark volatility, annualised decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_vol: Option<f64>,
    /// The forward the venue prices this option on, quote units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<f64>,
    /// Contracts open, base units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_interest: Option<f64>,
    /// When it was true.
    pub time: Timestamp,
}

/// Order-book depth of an underlying near its mid price.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depth {
    /// Quote units resting within `within` below mid.
    pub bid_quote: f64,
    /// Quote units resting within `within` above mid.
    pub ask_quote: f64,
    /// Relative distance from mid that was counted.
    pub within: f64,
    /// When it was true.
    pub time: Timestamp,
}

/// A smile fitted elsewhere, in raw SVI: `w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))`, total variance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalSlice {
    /// The expiry it is for.
    pub expiry: Timestamp,
    /// The forward it was fitted on, quote units.
    pub forward: f64,
    /// Years to expiry it was fitted at.
    pub tau: f64,
    /// Level.
    pub a: f64,
    /// Slope of the wings.
    pub b: f64,
    /// Tilt, in (-1, 1).
    pub rho: f64,
    /// Shift.
    pub m: f64,
    /// Curvature of the vertex; positive.
    pub sigma: f64,
    /// Share of this smile in the blend with ours, 0 to 1; 1 replaces ours.
    pub blend: f64,
    /// Who fitted it.
    pub source: String,
    /// When it was fitted.
    pub time: Timestamp,
}
