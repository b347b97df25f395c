//! Instruments and their names in the exchanges' own forms.

use crate::{Asset, NameError, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// The hour (UTC) at which dated contracts of the supported venues expire.
const EXPIRY_HOUR: i8 = 8;

/// Call or put.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// The right to buy at the strike.
    Call,
    /// The right to sell at the strike.
    Put,
}

/// What a contract settles in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// The quote asset. Quantities are in base units.
    Linear,
    /// The base coin. Quantities of options are in base units, of futures and perpetuals in quote units.
    Inverse,
}

/// What is promised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Contract {
    /// The base asset itself.
    Spot,
    /// A perpetual swap.
    Perpetual,
    /// A dated future.
    Future {
        /// The instant of settlement.
        expiry: Timestamp,
    },
    /// A European option.
    Option {
        /// The instant of settlement.
        expiry: Timestamp,
        /// Quote units per base unit; positive.
        strike: Decimal,
        /// Call or put.
        kind: OptionKind,
    },
}

/// The spelling of a name, kept so that it prints as it was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Form {
    /// `BTC-27DEC24-100000-C`.
    Exchange,
    /// `ETH-20241227-3000-C`.
    OnChain,
}

/// An instrument. Parses from and prints to the exchanges' own names:
///
/// | name | contract |
/// |---|---|
/// | `BTC` | spot |
/// | `BTC-PERPETUAL` | inverse perpetual, quantity in USD |
/// | `ETH_USDC-PERPETUAL`, `ETH-PERP` | linear perpetual, quantity in ETH |
/// | `BTC-27DEC24` | inverse future, quantity in USD |
/// | `BTC-27DEC24-100000-C` | inverse option, quantity in BTC |
/// | `SOL_USDC-27DEC24-180-P`, `XRP_USDC-27DEC24-0d62-C` | linear option |
/// | `ETH-20241227-3000-C`, `ETH-20241227` | linear option and future in the on-chain form |
///
/// ```
/// use plimsoll_types::{Instrument, Settlement};
/// let option: Instrument = "BTC-27DEC24-100000-C".parse()?;
/// assert_eq!(option.settlement(), Settlement::Inverse);
/// assert_eq!(option.to_string(), "BTC-27DEC24-100000-C");
/// # Ok::<(), plimsoll_types::InstrumentError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instrument {
    base: Asset,
    quote: Asset,
    settlement: Settlement,
    contract: Contract,
    form: Form,
}

/// Why a text is not an instrument.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InstrumentError {
    /// The parts do not make a known form.
    #[error(
        "`{text}` is not an instrument: expected a form such as BTC, BTC-PERPETUAL, BTC-27DEC24 or BTC-27DEC24-100000-C"
    )]
    Form {
        /// What was read.
        text: String,
    },
    /// The pair is not made of assets.
    #[error("`{text}` is not an instrument: {source}")]
    Asset {
        /// What was read.
        text: String,
        /// Which asset and why.
        source: NameError,
    },
    /// The date is not one.
    #[error("`{text}` is not an instrument: `{date}` is not a date such as 27DEC24 or 20241227")]
    Date {
        /// What was read.
        text: String,
        /// The part that should be a date.
        date: String,
    },
    /// The strike is not a positive decimal.
    #[error("`{text}` is not an instrument: `{strike}` is not a positive strike such as 100000 or 0d62")]
    Strike {
        /// What was read.
        text: String,
        /// The part that should be a strike.
        strike: String,
    },
}

impl Instrument {
    /// The base asset itself, valued in USD.
    pub fn spot(base: Asset) -> Self {
        let quote = usd();
        Self { base, quote, settlement: Settlement::Linear, contract: Contract::Spot, form: Form::Exchange }
    }

    /// The base asset; also the name of the underlying.
    pub fn underlying(&self) -> &Asset {
        &self.base
    }

    /// The asset prices are quoted in.
    pub fn quote(&self) -> &Asset {
        &self.quote
    }

    /// Linear or inverse.
    pub fn settlement(&self) -> Settlement {
        self.settlement
    }

    /// What is promised.
    pub fn contract(&self) -> Contract {
        self.contract
    }

    /// The instant of settlement, of dated contracts.
    pub fn expiry(&self) -> Option<Timestamp> {
        match self.contract {
            Contract::Future { expiry } | Contract::Option { expiry, .. } => Some(expiry),
            Contract::Spot | Contract::Perpetual => None,
        }
    }

    /// Strike and kind, of options.
    pub fn option(&self) -> Option<(Decimal, OptionKind)> {
        match self.contract {
            Contract::Option { strike, kind, .. } => Some((strike, kind)),
            Contract::Spot | Contract::Perpetual | Contract::Future { .. } => None,
        }
    }

    /// Whether quantities are counted in quote units (inverse futures and perpetuals) rather than base units.
    pub fn sized_in_quote(&self) -> bool {
        let delta_one = matches!(self.contract, Contract::Perpetual | Contract::Future { .. });
        delta_one && self.settlement == Settlement::Inverse
    }
}

fn usd() -> Asset {
    // "USD" satisfies every rule of an asset's name.
    Asset::new("USD").unwrap_or_else(|e| unreachable!("{e}"))
}

/// The pair before the first dash: `BTC` is against USD, `SOL_USDC` names both.
fn pair(text: &str, part: &str) -> Result<(Asset, Option<Asset>), InstrumentError> {
    let read = |name: &str| {
        Asset::new(name).map_err(|source| InstrumentError::Asset { text: text.to_owned(), source })
    };
    match part.split_once('_') {
        Some((base, quote)) => Ok((read(base)?, Some(read(quote)?))),
        None => Ok((read(part)?, None)),
    }
}

fn date(text: &str, part: &str) -> Result<(Timestamp, Form), InstrumentError> {
    let bad = || InstrumentError::Date { text: text.to_owned(), date: part.to_owned() };
    let number = |s: &str| if s.bytes().all(|b| b.is_ascii_digit()) { s.parse::<i16>().ok() } else { None };
    if !part.is_ascii() {
        return Err(bad());
    }
    let (year, month, day, form) = if part.len() == 8 && part.bytes().all(|b| b.is_ascii_digit()) {
        (number(&part[..4]), number(&part[4..6]), number(&part[6..]), Form::OnChain)
    } else if (6..=7).contains(&part.len()) {
        let (day, rest) = part.split_at(part.len() - 5);
        let month = MONTHS.iter().position(|m| *m == &rest[..3]).and_then(|i| i16::try_from(i + 1).ok());
        // A leading zero (`01FEB26`) would not print back as it was read.
        let day = if day.starts_with('0') { None } else { number(day) };
        (number(&rest[3..]).map(|y| 2000 + y), month, day, Form::Exchange)
    } else {
        return Err(bad());
    };
    let narrow = |x: i16| i8::try_from(x).map_err(|_| bad());
    let (year, month, day) = (year.ok_or_else(bad)?, month.ok_or_else(bad)?, day.ok_or_else(bad)?);
    let expiry = Timestamp::from_date(year, narrow(month)?, narrow(day)?, EXPIRY_HOUR).map_err(|_| bad())?;
    Ok((expiry, form))
}

fn strike(text: &str, part: &str) -> Result<Decimal, InstrumentError> {
    let bad = || InstrumentError::Strike { text: text.to_owned(), strike: part.to_owned() };
    // A digit comes first, so that no strike prints longer than it was read.
    let plain = part.starts_with(|c: char| c.is_ascii_digit())
        && part.bytes().all(|b| b.is_ascii_digit() || b == b'd' || b == b'.')
        && part.len() <= 24;
    let value = if plain {
        Decimal::from_str(&part.replacen('d', ".", 1)).map_err(|_| bad())?
    } else {
        return Err(bad());
    };
    if value > Decimal::ZERO { Ok(value.normalize()) } else { Err(bad()) }
}

impl FromStr for Instrument {
    type Err = InstrumentError;

    fn from_str(text: &str) -> Result<Self, InstrumentError> {
        let parts: Vec<&str> = text.split('-').collect();
        let (base, named_quote) = pair(text, parts[0])?;
        let form_error = || InstrumentError::Form { text: text.to_owned() };
        let (contract, form) = match parts[1..] {
            [] if named_quote.is_none() => (Contract::Spot, Form::Exchange),
            ["PERPETUAL"] => (Contract::Perpetual, Form::Exchange),
            ["PERP"] => (Contract::Perpetual, Form::OnChain),
            [day] => date(text, day).map(|(expiry, form)| (Contract::Future { expiry }, form))?,
            [day, at, side] => {
                let kind = match side {
                    "C" => OptionKind::Call,
                    "P" => OptionKind::Put,
                    _ => return Err(form_error()),
                };
                let (expiry, form) = date(text, day)?;
                (Contract::Option { expiry, strike: strike(text, at)?, kind }, form)
            }
            _ => return Err(form_error()),
        };
        let inverse = named_quote.is_none() && form == Form::Exchange && contract != Contract::Spot;
        let settlement = if inverse { Settlement::Inverse } else { Settlement::Linear };
        Ok(Self { base, quote: named_quote.unwrap_or_else(usd), settlement, contract, form })
    }
}

impl Instrument {
    fn write_date(&self, f: &mut fmt::Formatter<'_>, expiry: Timestamp) -> fmt::Result {
        let (year, month, day) = expiry.date();
        match self.form {
            Form::OnChain => write!(f, "-{year:04}{month:02}{day:02}"),
            Form::Exchange => {
                let name =
                    usize::try_from(month - 1).ok().and_then(|i| MONTHS.get(i)).copied().unwrap_or("???");
                write!(f, "-{day}{name}{:02}", year.rem_euclid(100))
            }
        }
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.base)?;
        let against_usd = self.settlement == Settlement::Inverse || self.quote.as_str() == "USD";
        if !against_usd {
            write!(f, "_{}", self.quote)?;
        }
        match self.contract {
            Contract::Spot => Ok(()),
            Contract::Perpetual if self.form == Form::OnChain => f.write_str("-PERP"),
            Contract::Perpetual => f.write_str("-PERPETUAL"),
            Contract::Future { expiry } => self.write_date(f, expiry),
            Contract::Option { expiry, strike, kind } => {
                self.write_date(f, expiry)?;
                let decimal = if self.form == Form::Exchange { "d" } else { "." };
                let side = if kind == OptionKind::Call { "C" } else { "P" };
                write!(f, "-{}-{side}", strike.to_string().replace('.', decimal))
            }
        }
    }
}

impl TryFrom<String> for Instrument {
    type Error = InstrumentError;

    fn try_from(text: String) -> Result<Self, InstrumentError> {
        text.parse()
    }
}

impl From<Instrument> for String {
    fn from(instrument: Instrument) -> Self {
        instrument.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_prints_as_it_was_read() {
        for name in [
            "BTC",
            "BTC-27DEC24-100000-C",
            "BTC-1FEB26-88000-P",
            "BTC-27DEC24",
            "BTC-PERPETUAL",
            "ETH_USDC-PERPETUAL",
            "SOL_USDC-27DEC24-180-P",
            "XRP_USDC-27DEC24-0d62-C",
            "ETH-20241227-3000-C",
            "ETH-20241227",
            "ETH-PERP",
            "ETH-20241227-0.5-P",
        ] {
            let read: Instrument = name.parse().unwrap();
            assert_eq!(read.to_string(), name);
        }
    }

    #[test]
    fn expiry_is_eight_in_the_morning_utc() {
        let option: Instrument = "BTC-27MAR26-100000-C".parse().unwrap();
        assert_eq!(option.expiry(), Some("2026-03-27T08:00:00Z".parse().unwrap()));
    }

    #[test]
    fn inverse_and_linear_follow_the_form() {
        let settlement = |name: &str| name.parse::<Instrument>().unwrap().settlement();
        assert_eq!(settlement("BTC-27DEC24"), Settlement::Inverse);
        assert_eq!(settlement("BTC_USDC-27DEC24"), Settlement::Linear);
        assert_eq!(settlement("ETH-20241227-3000-C"), Settlement::Linear);
        assert!("BTC-PERPETUAL".parse::<Instrument>().unwrap().sized_in_quote());
        assert!(!"BTC-27DEC24-100000-C".parse::<Instrument>().unwrap().sized_in_quote());
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_the_part_that_is_wrong() {
        for name in [
            "",
            "btc",
            "BTC-",
            "BTC-27DEC24-",
            "BTC-27DEC24-100000",
            "BTC-27DEC24-100000-X",
            "BTC-32DEC24",
            "BTC-30FEB26",
            "BTC-27DEZ24",
            "BTC-27DEC24--5-C",
            "BTC-27DEC24-0-C",
            "BTC-27DEC24-NaN-C",
            "BTC-27DEC24-1e5-C",
            "BTC_USDC",
            "BTC-01FEB26",
            "BTC-2024122",
            "BTC-27DEC24-100000-C-X",
            "BTC-é7DEC24",
            "BTC-27DEC24-1d2d3-C",
            "BTC-27DEC24-.5-C",
            "BTC-20241227-.10000077777777777771777-C",
        ] {
            assert!(name.parse::<Instrument>().is_err(), "{name}");
        }
    }
}
