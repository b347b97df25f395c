//! Portfolios that are constant in moneyness and tenor.
//!
//! **The one idea:** option prices are homogeneous of degree one in spot and strike, so a portfolio of fixed moneyness needs no
//! price: it lives on an index of [`INDEX`] that never moves, with expiries that never come nearer. What history says is the
//! ratio by which the index moves over the horizon.

use plimsoll_types::{Asset, Decimal, Instrument, InstrumentError, Timestamp};
use serde::Deserialize;

/// The index that every portfolio is margined at, quote units.
pub const INDEX: i64 = 10_000;

/// 2001-01-01T08:00:00Z, the instant that every portfolio is margined at: an hour at which exchanges let options expire.
const AS_OF: Timestamp = Timestamp::from_seconds(978_336_000);

const DAY: i64 = 86_400;

/// The standard portfolios, as text.
pub const STANDARD: &str = include_str!("../portfolios/std.toml");

/// What a leg is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegKind {
    /// A linear perpetual.
    Perpetual,
    /// The coin itself.
    Spot,
    /// A linear call.
    Call,
    /// A linear put.
    Put,
}

/// A position in one instrument.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// What.
    pub kind: LegKind,
    /// Coins; long > 0.
    pub quantity: f64,
    /// Strike as a share of the index; of options.
    #[serde(default)]
    pub strike: Option<Decimal>,
    /// Days to expiry; of options.
    #[serde(default)]
    pub days: Option<i64>,
    /// Place among the assets that are margined together.
    #[serde(default)]
    pub asset: usize,
}

/// A portfolio.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortfolioSpec {
    /// What it is called.
    pub name: String,
    /// Which side of it this is.
    pub side: String,
    /// What it holds.
    pub legs: Vec<Leg>,
}

/// Why a portfolio cannot be margined.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PortfolioError {
    /// The text is no list of portfolios.
    #[error("portfolios: {0}")]
    Unreadable(String),
    /// There is none, or one without a leg.
    #[error("portfolio `{name}` holds nothing")]
    Empty {
        /// Its name; `*` of the list.
        name: String,
    },
    /// A number is missing, or outside of what it may be.
    #[error("portfolio `{name}`: `{field}` of leg {leg} is {value}: expected {expected}")]
    Leg {
        /// Of which.
        name: String,
        /// Which leg, from 1.
        leg: usize,
        /// Which number.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// An instrument cannot be named.
    #[error("portfolio `{name}`: {source}")]
    Name {
        /// Of which.
        name: String,
        /// Why.
        source: InstrumentError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    portfolio: Vec<PortfolioSpec>,
}

impl PortfolioSpec {
    /// Reads and checks a list: `[[portfolio]]` tables as in the standard one, see `portfolios/std.toml`.
    ///
    /// ```
    /// use plimsoll_sim::{PortfolioSpec, STANDARD};
    /// assert_eq!(PortfolioSpec::from_toml(STANDARD).unwrap().len(), 11);
    /// ```
    ///
    /// # Errors
    /// [`PortfolioError`] with the field.
    pub fn from_toml(text: &str) -> Result<Vec<Self>, PortfolioError> {
        let file: File = toml::from_str(text).map_err(|e| PortfolioError::Unreadable(e.to_string()))?;
        if file.portfolio.is_empty() {
            return Err(PortfolioError::Empty { name: "*".to_owned() });
        }
        file.portfolio.iter().try_for_each(Self::check)?;
        Ok(file.portfolio)
    }

    /// How many assets it is of.
    pub fn assets(&self) -> usize {
        self.legs.iter().map(|leg| leg.asset + 1).max().unwrap_or(0)
    }

    /// The fewest days any of its options lives; `None` without options.
    pub fn shortest_days(&self) -> Option<i64> {
        self.legs.iter().filter_map(|leg| leg.days).min()
    }

    fn check(&self) -> Result<(), PortfolioError> {
        if self.legs.is_empty() {
            return Err(PortfolioError::Empty { name: self.name.clone() });
        }
        self.legs.iter().enumerate().try_for_each(|(i, leg)| self.check_leg(i + 1, leg))
    }

    fn check_leg(&self, number: usize, leg: &Leg) -> Result<(), PortfolioError> {
        let option = matches!(leg.kind, LegKind::Call | LegKind::Put);
        let refuse = |field, value: String, expected| {
            Err(PortfolioError::Leg { name: self.name.clone(), leg: number, field, value, expected })
        };
        let said = |value: Option<String>| value.unwrap_or_else(|| "not given".to_owned());
        if !(leg.quantity.is_finite() && leg.quantity.abs() >= 1e-3 && leg.quantity.abs() <= 1e6) {
            return refuse("quantity", leg.quantity.to_string(), "0.001 to 1000000 either way");
        }
        if leg.asset > 7 {
            return refuse("asset", leg.asset.to_string(), "at most 7");
        }
        let strike = leg.strike.map(|x| x > Decimal::ZERO && x < Decimal::from(100));
        if strike != option.then_some(true) {
            let strike = said(leg.strike.map(|x| x.to_string()));
            return refuse("strike", strike, "above 0 and beneath 100 for options, absent for others");
        }
        let days = leg.days.map(|x| (1..=1000).contains(&x));
        if days != option.then_some(true) {
            let days = said(leg.days.map(|x| x.to_string()));
            return refuse("days", days, "1 to 1000 for options, absent for others");
        }
        Ok(())
    }

    /// The instrument of a leg on these assets.
    ///
    /// # Errors
    /// [`PortfolioError::Name`]; [`PortfolioError::Leg`] where there are fewer assets.
    pub(crate) fn instrument(&self, leg: &Leg, assets: &[Asset]) -> Result<Instrument, PortfolioError> {
        let Some(asset) = assets.get(leg.asset) else {
            let (value, expected) = (leg.asset.to_string(), "one of the assets margined together");
            let name = self.name.clone();
            return Err(PortfolioError::Leg { name, leg: 0, field: "asset", value, expected });
        };
        let text = match leg.kind {
            LegKind::Spot => return Ok(Instrument::spot(asset.clone())),
            LegKind::Perpetual => format!("{asset}-PERP"),
            LegKind::Call | LegKind::Put => {
                let (year, month, day) = expiry(leg.days.unwrap_or(0)).date();
                let strike = leg.strike.unwrap_or(Decimal::ONE) * Decimal::from(INDEX);
                let side = if leg.kind == LegKind::Call { "C" } else { "P" };
                format!("{asset}-{year:04}{month:02}{day:02}-{}-{side}", strike.normalize())
            }
        };
        text.parse().map_err(|source| PortfolioError::Name { name: self.name.clone(), source })
    }
}

/// The instant that portfolios are margined at.
pub(crate) fn as_of() -> Timestamp {
    AS_OF
}

/// The expiry so many days after it.
pub(crate) fn expiry(days: i64) -> Timestamp {
    AS_OF.plus_seconds(days * DAY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    #[test]
    fn every_standard_leg_has_an_instrument() {
        let assets = ["BTC", "ETH"].map(|name| Asset::new(name).unwrap());
        let all = PortfolioSpec::from_toml(STANDARD).unwrap();
        let names: Vec<String> = all
            .iter()
            .flat_map(|p| p.legs.iter().map(|leg| p.instrument(leg, &assets).unwrap().to_string()))
            .collect();
        assert!(names.contains(&"BTC-20010131-11500-C".to_owned()), "{names:?}");
        assert!(names.contains(&"ETH-PERP".to_owned()));
        assert_eq!(all.last().map(PortfolioSpec::assets), Some(2));
        for leg in all.iter().flat_map(|p| &p.legs).filter(|leg| leg.days.is_some()) {
            let instrument = all[0].instrument(leg, &assets).unwrap();
            assert_eq!(instrument.expiry(), Some(expiry(leg.days.unwrap())));
        }
    }

    #[test]
    fn a_leg_that_says_too_little_or_too_much_is_refused() {
        let bad = [
            ("kind = \"call\", quantity = 1, days = 30", "strike"),
            ("kind = \"call\", quantity = 1, strike = \"1\"", "days"),
            ("kind = \"perpetual\", quantity = 1, days = 3", "days"),
            ("kind = \"perpetual\", quantity = 0", "quantity"),
            ("kind = \"perpetual\", quantity = nan", "quantity"),
            ("kind = \"put\", quantity = 1, days = 30, strike = \"-1\"", "strike"),
        ];
        for (leg, field) in bad {
            let text = format!("[[portfolio]]\nname = \"x\"\nside = \"long\"\nlegs = [{{ {leg} }}]");
            let error = PortfolioSpec::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{field}` of leg 1")), "{error}");
        }
        assert!(PortfolioSpec::from_toml("portfolio = []").is_err());
    }
}
