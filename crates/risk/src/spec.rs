//! The TOML form of a scenario set, and what is wrong with one.

use crate::set::VolShock;
use plimsoll_quant::linalg::LinalgError;
use plimsoll_quant::special::ln;
use plimsoll_types::{Asset, CorrelationState, Purpose, Timestamp};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A scenario set as a parameter file states it; see the crate page for an example of every kind.
///
/// Reading alone does not validate: call [`ScenarioSpec::validate`], or use [`ScenarioSpec::from_toml`], which does,
/// as does [`crate::generate`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Largest full-weight relative spot move of each underlying.
    pub price_scan: PerUnderlying<f64>,
    /// Vol moves at 30 days of each underlying.
    pub vol_scan: PerUnderlying<VolScan>,
    /// How vol, skew and wing moves act.
    pub vol_shock: VolShock,
    /// Weights of the composite delta. Absent: weights proportional to `exp(-2 x^2)` at 0, +-1/3, +-2/3 and +-1 price
    /// scans, a normal density that reaches the scan at two standard deviations (0.271, 0.217, 0.111, 0.037).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composite_delta: Option<CompositeDelta>,
    /// The entries; a union when there are several.
    pub scenarios: Vec<EntrySpec>,
}

/// One entry of `[[scenarios]]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntrySpec {
    /// Price moves x vol moves, each underlying on its own scale.
    Grid(GridSpec),
    /// A common factor and what is left beside it, under states of the correlation.
    Factor(FactorSpec),
    /// Joint moves of the past as they were.
    Historical(HistoricalSpec),
    /// Joint moves of the past rescaled to today's volatility.
    FilteredHistorical(FilteredSpec),
    /// Joint Student-t moves.
    MonteCarlo(MonteCarloSpec),
}

/// A value per underlying; the key `*` is for every underlying not named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerUnderlying<T>(pub BTreeMap<String, T>);

impl<T> PerUnderlying<T> {
    /// The value of an underlying; `None` if it is neither named nor covered by `*`.
    pub fn get(&self, underlying: &Asset) -> Option<&T> {
        self.0.get(underlying.as_str()).or_else(|| self.0.get("*"))
    }
}

/// Vol moves at 30 days, in the unit of [`crate::VolShockKind`], both as positive numbers.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolScan {
    /// Upward; >= 0.
    pub up: f64,
    /// Downward; >= 0.
    pub down: f64,
}

/// Weights of the composite delta.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompositeDelta {
    /// Price points, in price scans.
    pub price: Vec<Multiple>,
    /// One weight per point; >= 0.
    pub weight: Vec<f64>,
    /// Time that passes first, days.
    #[serde(default)]
    pub elapsed_days: f64,
}

/// A number that may be written as a fraction: `0.5` or `"1/3"`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Multiple(pub f64);

impl fmt::Display for Multiple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let third = (self.0 * 3.0).round();
        let whole = self.0 == self.0.round();
        if !whole && self.0 == third / 3.0 && third.abs() < 1e6 {
            return write!(f, "{third:+}/3");
        }
        write!(f, "{:+}", self.0)
    }
}

impl Serialize for Multiple {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Multiple {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fractions;
        impl Visitor<'_> for Fractions {
            type Value = Multiple;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 0.5 or a fraction such as \"1/3\"")
            }

            fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<Multiple, E> {
                Ok(Multiple(x))
            }

            fn visit_i64<E: serde::de::Error>(self, x: i64) -> Result<Multiple, E> {
                i32::try_from(x).map(|x| Multiple(f64::from(x))).map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, x: u64) -> Result<Multiple, E> {
                u32::try_from(x).map(|x| Multiple(f64::from(x))).map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Multiple, E> {
                let bad = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                let (above, below) = text.split_once('/').ok_or_else(bad)?;
                let above: i32 = above.trim().parse().map_err(|_| bad())?;
                let below: u32 = below.trim().parse().map_err(|_| bad())?;
                if below == 0 { Err(bad()) } else { Ok(Multiple(f64::from(above) / f64::from(below))) }
            }
        }
        deserializer.deserialize_any(Fractions)
    }
}

/// What a price move is counted in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    /// Price scans of the underlying.
    #[default]
    Scan,
    /// Relative to spot: 0.5 is +50 % for every underlying.
    Relative,
}

/// The direction of a vol move.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolDirection {
    /// By `vol_scan.up`.
    Up,
    /// Not at all.
    None,
    /// By `vol_scan.down`.
    Down,
}

/// One weight for all prices of a group, or one per price.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Weights {
    /// The same for all.
    One(f64),
    /// One per price.
    PerPrice(Vec<f64>),
}

/// A group of scenarios: every price with every vol direction (vol fastest), all else equal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// Price moves.
    pub price: Vec<Multiple>,
    /// What they are counted in.
    #[serde(default)]
    pub unit: PriceUnit,
    /// Vol directions.
    pub vol: Vec<VolDirection>,
    /// Share of profit and loss that counts, in (0, 1].
    pub weight: Weights,
    /// Tilt of the smile; only where every price is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skew: f64,
    /// Lift of the wings; only where every price is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wing: f64,
    /// Tilt of the term structure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term: f64,
    /// Annualised move of forwards against spot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub basis: f64,
    /// Move of the discount rate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rate: f64,
    /// Time that passes, days.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub elapsed_days: f64,
}

// The signature is the one serde asks for.
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// A grid.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSpec {
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Its groups, in order.
    pub points: Vec<Points>,
}

/// A common factor that moves underlying `u` by its loading `l`, and the rest by `sqrt(1 - l^2)`.
///
/// Each state has two blocks with a column per point. In the systematic one a point's price move is times `l` and its
/// vol, skew, wing and term moves times `|l|`; in the idiosyncratic one all of them are times `sqrt(1 - l^2)`, so that
/// opposite vega in two underlyings offsets no further than the loading reaches ([`VolShock::min_vol_up`] is the least
/// volatility of every up move, however small its share). Basis, rate and time act in full in
/// both. In the crash state `l` is 1 or -1: the systematic block is the points as they are, the idiosyncratic one a
/// single column without a move.
///
/// A state may be stated once per requirement: entries that repeat a state for the same purpose ([`Purpose::Both`]
/// overlaps with either) are refused, since nothing would say which of them counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactorSpec {
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Loading of each underlying as estimated, -1 to 1.
    pub loading: PerUnderlying<f64>,
    /// The states: `estimated` (as given), `crash` (1 with the sign of the loading), `breakdown` (times `breakdown`).
    pub states: Vec<CorrelationState>,
    /// What is left of the loading in a breakdown, -1 to 1; 0 removes all credit. Default 0.5.
    #[serde(default = "half")]
    pub breakdown: f64,
    /// Moves of the factor, and of the rest.
    pub points: Vec<Points>,
}

fn half() -> f64 {
    0.5
}

/// A stretch of a series.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// What it is called; appears in labels.
    pub name: String,
    /// Windows start at or after this instant.
    pub from: Timestamp,
    /// Windows end at or before this instant.
    pub to: Timestamp,
}

/// Joint moves of the past.
///
/// Windows count observations, not time: where the series has a gap, the observation after it carries the move over the
/// whole gap, and a window across it spans more time than its neighbours.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoricalSpec {
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Name of the return series.
    pub series: String,
    /// Observations in a window.
    pub horizon: usize,
    /// Observations from one window's start to the next; less than `horizon` means that windows overlap.
    pub step: usize,
    /// At most this many windows, the latest; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<usize>,
    /// The stretch to take them from; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Whether it is the stressed period of the aggregation; needs `period`.
    #[serde(default)]
    pub stressed: bool,
}

/// Joint moves of the past, each observation times `clamp(s_now/s_then, 1/cap, cap)`, `s` the EWMA volatility known
/// before it (`methods.md` 24). Windows count observations and may span gaps, as in [`HistoricalSpec`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilteredSpec {
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Name of the return series.
    pub series: String,
    /// Observations in a window.
    pub horizon: usize,
    /// Observations from one window's start to the next.
    pub step: usize,
    /// At most this many windows, the latest; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<usize>,
    /// Decay of the EWMA per observation, in (0, 1).
    pub decay: f64,
    /// Observations whose mean square seeds the EWMA; no window starts among them.
    pub seed_observations: usize,
    /// Cap of the factor, >= 1. Default 1.25.
    #[serde(default = "cap")]
    pub cap: f64,
}

fn cap() -> f64 {
    1.25
}

/// How random points are drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Sobol points, Owen-scrambled by the seed; at most 31 underlyings with vol moves, 63 without.
    Sobol,
    /// Pseudo-random points from the seed, each with its mirror image; an even number of paths.
    Antithetic,
}

/// Moves of implied volatility beside those of spot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolMoves {
    /// Standard deviation of the daily change of `ln vol` at 30 days; >= 0.
    pub daily_vol: PerUnderlying<f64>,
    /// Correlation of the change of `ln vol` with the spot return of the same underlying (leverage), -1 to 1.
    pub leverage: PerUnderlying<f64>,
}

/// Joint multivariate Student-t log returns of unit variance, correlated and scaled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonteCarloSpec {
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Number of scenarios.
    pub paths: usize,
    /// How they are drawn.
    pub sampling: Sampling,
    /// Seed.
    pub seed: u64,
    /// Degrees of freedom; > 2.
    pub nu: f64,
    /// Horizon, days; > 0.
    pub horizon_days: f64,
    /// Standard deviation of the daily log return; > 0.
    pub daily_vol: PerUnderlying<f64>,
    /// Correlations of log returns: keys `BTC/ETH` (either order) and `*` for the pairs not named.
    pub correlation: BTreeMap<String, f64>,
    /// Moves of implied volatility; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vol: Option<VolMoves>,
    /// Whether it is the stressed block of the aggregation.
    #[serde(default)]
    pub stressed: bool,
}

/// Returns of several underlyings at the same instants.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReturnSeries {
    /// Whose.
    pub underlyings: Vec<Asset>,
    /// End of each observation; strictly increasing.
    pub times: Vec<Timestamp>,
    /// Log returns `ln(S_t/S_{t-1})`, `[time][underlying]`.
    pub spot: Vec<Vec<f64>>,
    /// Changes of `ln vol` at 30 days at the same instants, if known, `[time][underlying]`.
    pub vol: Option<Vec<Vec<f64>>>,
}

/// Log returns `ln(S_t/S_{t-1})` of prices, one per underlying; the shorter of the two slices counts. Prices must be
/// positive: what is not gives NaN or an infinity, which [`crate::generate`] refuses.
pub fn log_returns(before: &[f64], after: &[f64]) -> Vec<f64> {
    before.iter().zip(after).map(|(old, new)| ln(new / old)).collect()
}

/// Why a specification, or what it is generated from, is refused.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SpecError {
    /// Not TOML, or a field that is unknown, missing or of the wrong type.
    #[error("the scenario specification cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value outside its domain.
    #[error("{field} is {value}: expected {expected}")]
    Value {
        /// Path of the field.
        field: String,
        /// What it says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
    /// A table has neither the underlying nor `*`.
    #[error("{field} says nothing of {underlying}: expected it, or `*` for all not named")]
    MissingUnderlying {
        /// Path of the table.
        field: String,
        /// For whom a value was wanted.
        underlying: Asset,
    },
    /// No series of that name was handed over.
    #[error("{field} names the series `{name}`; there is {known}")]
    MissingSeries {
        /// Path of the field.
        field: String,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A series is not rectangular, not ordered, not finite, or lacks an underlying.
    #[error("series `{series}`, {place}: {value}, expected {expected}")]
    Series {
        /// Which.
        series: String,
        /// Where in it.
        place: String,
        /// What is there.
        value: String,
        /// What should be.
        expected: &'static str,
    },
    /// No window fits.
    #[error("series `{series}` gives no window of {horizon} observations among {observations} usable ones")]
    NoWindow {
        /// Which.
        series: String,
        /// Observations in a window.
        horizon: usize,
        /// Observations left after the period and the seed.
        observations: usize,
    },
    /// A matrix could not be decomposed.
    #[error("{field}: {source}")]
    Matrix {
        /// Path of the field.
        field: String,
        /// Why.
        source: LinalgError,
    },
}

impl ScenarioSpec {
    /// Reads and validates a specification.
    ///
    /// # Errors
    /// [`SpecError`], naming field, value and what was expected.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text)?;
        spec.validate()?;
        Ok(spec)
    }
}
