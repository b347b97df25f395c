//! What a policy sees of the world at an instant.
//!
//! **The one idea:** every number is optional, and one that is not there is not there: no default stands in. An estimator
//! without its number keeps what it knew, and the decision says which readings were missing. A number that no market says is
//! left out by name, and everything beside it counts: of one underlying its prices or its surface, of one venue its quote.

use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Prices over one step, in quote units per unit of base; all from 1e-30 to 1e30 and `low <= open, close <= high`.
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
#[error("{place}: {field} is {value:?}: expected {expected}")]
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

/// Prices and amounts lie within so many orders of magnitude of one: beyond, their squares leave the numbers there are.
const LARGEST: f64 = 1e30;

fn sound(
    place: &str,
    field: &'static str,
    value: f64,
    ok: bool,
    expected: &'static str,
) -> Result<(), SignalError> {
    if ok { Ok(()) } else { Err(SignalError { place: place.to_owned(), field, value, expected }) }
}

/// `Ok` for a number from 0 to `most`.
fn amount(
    place: &str,
    field: &'static str,
    value: f64,
    (most, expected): (f64, &'static str),
) -> Result<(), SignalError> {
    sound(place, field, value, value >= 0.0 && value <= most, expected)
}

const AMOUNT: (f64, &str) = (LARGEST, "from 0 to 1e30");

impl Bar {
    /// A bar that is known by its last price only.
    pub fn at(close: f64) -> Self {
        Self { open: close, high: close, low: close, close }
    }

    fn check(&self, place: &str) -> Result<(), SignalError> {
        let Self { open, high, low, close } = *self;
        for (field, value) in [("open", open), ("high", high), ("low", low), ("close", close)] {
            let is_price = (1.0 / LARGEST..=LARGEST).contains(&value);
            sound(place, field, value, is_price, "from 1e-30 to 1e30")?;
        }
        let least = if open < close { open } else { close };
        let most = if open > close { open } else { close };
        sound(place, "low", low, low <= least, "no more than open and close")?;
        sound(place, "high", high, high >= most, "no less than open and close")
    }
}

impl Implied {
    fn check_atm(&self, place: &str) -> Result<(), SignalError> {
        sound(place, "atm", self.atm, (1e-6..=1e6).contains(&self.atm), "from 1e-6 to 1e6")
    }

    /// What is beside the volatility at the money.
    fn shape(&mut self) -> [(&'static str, &mut f64); 3] {
        let Self { risk_reversal, butterfly, slope, .. } = self;
        [("risk_reversal", risk_reversal), ("butterfly", butterfly), ("slope", slope)]
    }

    fn check_shape(place: &str, field: &'static str, value: f64) -> Result<(), SignalError> {
        sound(place, field, value, (-1e6..=1e6).contains(&value), "from -1e6 to 1e6")
    }
}

impl Quoted {
    fn check(&self, place: &str) -> Result<(), SignalError> {
        amount(place, "depth", self.depth, AMOUNT)?;
        amount(place, "spread", self.spread, AMOUNT)
    }
}

/// Takes out what is refused, and says why.
fn take_out<T>(of: &mut Option<T>, why: impl Fn(&T) -> Result<(), SignalError>, bad: &mut Vec<SignalError>) {
    if let Some(Err(error)) = of.as_ref().map(why) {
        bad.push(error);
        *of = None;
    }
}

impl UnderlyingSignals {
    /// Takes out what no market says; of the shape of a surface the number becomes NaN, which nobody
    /// reads: one that is NaN already is not there.
    fn sift(&mut self, place: &str, bad: &mut Vec<SignalError>) {
        take_out(&mut self.bar, |bar| bar.check(place), bad);
        take_out(&mut self.implied, |of| of.check_atm(place), bad);
        let shape = self.implied.iter_mut().flat_map(Implied::shape);
        for (field, value) in shape.filter(|(_, value)| !value.is_nan()) {
            if let Err(error) = Implied::check_shape(place, field, *value) {
                bad.push(error);
                *value = f64::NAN;
            }
        }
        self.venues.retain(|venue, quoted| {
            let outcome = quoted.check(&format!("{place} at {venue}"));
            outcome.map_err(|error| bad.push(error)).is_ok()
        });
        let quote = |field| move |value: &f64| amount(place, field, *value, AMOUNT);
        take_out(&mut self.open_interest, quote("open_interest"), bad);
        take_out(&mut self.daily_volume, quote("daily_volume"), bad);
        let share = |value: &f64| amount(place, "concentration", *value, (1.0, "from 0 to 1"));
        take_out(&mut self.concentration, share, bad);
        let rate =
            |value: &f64| sound(place, "funding", *value, (-1e6..=1e6).contains(value), "from -1e6 to 1e6");
        take_out(&mut self.funding, rate, bad);
    }
}

impl Signals {
    /// The signals without the numbers that no market says, and these by name.
    ///
    /// ```
    /// use plimsoll_policy::{Bar, Signals, UnderlyingSignals};
    /// let of = |close| UnderlyingSignals { bar: Some(Bar::at(close)), ..UnderlyingSignals::default() };
    /// let underlyings = [("BTC".to_owned(), of(100.0)), ("ETH".to_owned(), of(f64::NAN))].into();
    /// let signals = Signals { underlyings, ..Signals::default() };
    /// let (sound, bad) = signals.sift();
    /// assert_eq!(bad[0].to_string(), "ETH: open is NaN: expected from 1e-30 to 1e30");
    /// assert_eq!((sound.underlyings["ETH"].bar, sound.underlyings["BTC"].bar), (None, Some(Bar::at(100.0))));
    /// ```
    pub fn sift(&self) -> (Self, Vec<SignalError>) {
        let (mut sound, mut bad) = (self.clone(), Vec::new());
        for (name, of) in &mut sound.underlyings {
            of.sift(name, &mut bad);
        }
        let coverage = |value: &f64| amount("*", "pool_coverage", *value, AMOUNT);
        take_out(&mut sound.pool_coverage, coverage, &mut bad);
        let mood = |value: &f64| amount("*", "sentiment", *value, (100.0, "from 0 to 100"));
        take_out(&mut sound.sentiment, mood, &mut bad);
        (sound, bad)
    }
}
