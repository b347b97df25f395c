//! What a policy sees of the world at an instant.
//!
//! **The one idea:** every number is optional, and one that is not there is not there: no default stands in. An estimator
//! without its number keeps what it knew, and the decision says which readings were missing.

use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Prices over one step, in quote units per unit of base; all > 0 and `low <= open, close <= high`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price: the one returns are made of.
    pub close: f64,
}

/// The volatility surface as a trader reads it. Volatilities are annualised decimals. What is known of the level alone has NaN
/// for the others, and nobody reads them.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Implied {
    /// At the money, 30 days.
    pub atm: f64,
    /// 25-delta call less 25-delta put at 30 days; negative when puts are dearer.
    pub risk_reversal: f64,
    /// Mean of the 25-delta wings less at the money, at 30 days.
    pub butterfly: f64,
    /// Per unit of `ln(days)`; negative when short expiries are dearer.
    pub slope: f64,
}

/// What one venue quotes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    /// Depth within a stated distance of the middle, both sides' lesser, quote units; >= 0.
    pub depth: f64,
    /// Spread as a share of the middle; >= 0.
    pub spread: f64,
}

/// One underlying.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnderlyingSignals {
    /// Prices since the last step.
    pub bar: Option<Bar>,
    /// The surface.
    pub implied: Option<Implied>,
    /// Depth and spread by venue.
    pub venues: BTreeMap<String, Quoted>,
    /// Open interest of the protocol, quote units; >= 0.
    pub open_interest: Option<f64>,
    /// Traded a day, quote units; > 0.
    pub daily_volume: Option<f64>,
    /// Funding due over 8 hours, a share of notional; longs pay when > 0.
    pub funding: Option<f64>,
    /// Share of open interest that the largest ten accounts hold; in [0, 1].
    pub concentration: Option<f64>,
}

/// The world at an instant.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signals {
    /// The instant: later than that of the last signals.
    pub as_of: Timestamp,
    /// By name of the underlying.
    #[serde(default)]
    pub underlyings: BTreeMap<String, UnderlyingSignals>,
    /// Available collateral pool over what it must cover; >= 0.
    #[serde(default)]
    pub pool_coverage: Option<f64>,
    /// Mood of the market, from 0 (fear) to 100 (greed).
    #[serde(default)]
    pub sentiment: Option<f64>,
}

/// A number that no market says.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{place} {field} is {value}: expected {expected}")]
pub struct SignalError {
    /// The underlying, or `*`.
    pub place: String,
    /// Which number.
    pub field: &'static str,
    /// The number.
    pub value: f64,
    /// What it may be.
    pub expected: &'static str,
}

impl Bar {
    /// A bar that is known by its last price only.
    pub fn at(close: f64) -> Self {
        Self { open: close, high: close, low: close, close }
    }
}

fn sound(
    place: &str,
    field: &'static str,
    value: f64,
    ok: bool,
    expected: &'static str,
) -> Result<(), SignalError> {
    if ok { Ok(()) } else { Err(SignalError { place: place.to_owned(), field, value, expected }) }
}

fn optional(
    place: &str,
    field: &'static str,
    value: Option<f64>,
    most: f64,
    expected: &'static str,
) -> Result<(), SignalError> {
    let value = value.unwrap_or(0.0);
    sound(place, field, value, value >= 0.0 && value <= most, expected)
}

impl UnderlyingSignals {
    fn check(&self, place: &str) -> Result<(), SignalError> {
        if let Some(Bar { open, high, low, close }) = self.bar {
            let positive = "finite and > 0";
            for (field, value) in [("open", open), ("high", high), ("low", low), ("close", close)] {
                sound(place, field, value, value > 0.0 && value.is_finite(), positive)?;
            }
            let least = if open < close { open } else { close };
            let most = if open > close { open } else { close };
            sound(place, "low", low, low <= least, "no more than open and close")?;
            sound(place, "high", high, high >= most, "no less than open and close")?;
        }
        if let Some(Implied { atm, risk_reversal, butterfly, slope }) = self.implied {
            sound(place, "atm", atm, atm > 0.0 && atm.is_finite(), "finite and > 0")?;
            for (field, value) in
                [("risk_reversal", risk_reversal), ("butterfly", butterfly), ("slope", slope)]
            {
                // What is no number is not known: a level may come without its smile.
                sound(
                    place,
                    field,
                    value,
                    value.is_finite() || value.is_nan(),
                    "finite, or NaN where not known",
                )?;
            }
        }
        for Quoted { depth, spread } in self.venues.values() {
            optional(place, "depth", Some(*depth), f64::MAX, "finite and >= 0")?;
            optional(place, "spread", Some(*spread), f64::MAX, "finite and >= 0")?;
        }
        optional(place, "open_interest", self.open_interest, f64::MAX, "finite and >= 0")?;
        optional(place, "daily_volume", self.daily_volume, f64::MAX, "finite and >= 0")?;
        optional(place, "concentration", self.concentration, 1.0, "from 0 to 1")?;
        let funding = self.funding.unwrap_or(0.0);
        sound(place, "funding", funding, funding.is_finite(), "finite")
    }
}

impl Signals {
    /// Whether every number is one that a market could say.
    pub fn check(&self) -> Result<(), SignalError> {
        for (name, signals) in &self.underlyings {
            signals.check(name)?;
        }
        optional("*", "pool_coverage", self.pool_coverage, f64::MAX, "finite and >= 0")?;
        optional("*", "sentiment", self.sentiment, 100.0, "from 0 to 100")
    }
}
