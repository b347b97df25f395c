//! Events as they come in.

use super::schema::{AccountName, AssetName, DecimalText, Instant, InstrumentName, VoteForm};
use plimsoll_engine::live::feed::{Observation, Stated};
use plimsoll_engine::live::ledger::Fill;
use plimsoll_engine::live::{Body, Key};
use plimsoll_policy::Quoted;
use plimsoll_types::{
    AccountId, Asset, Decimal, Instrument, Timestamp, UnderlyingMarket, Units, parse_scaled,
};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

/// An event. With `source` and `number` it counts once, however often it is sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventIn {
    /// Who sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The sender's own number of it; needs `source`.
    #[serde(default, deserialize_with = "counted", skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What happened.
    pub event: EventBody,
}

/// The longest name of a sender.
const SOURCE_BYTES: usize = 128;

/// What happened. Amounts, prices and quantities are decimals in text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum EventBody {
    /// Time passes.
    Clock {},
    /// A source states an index price.
    Price {
        /// Of which underlying or collateral asset.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// Who says so: one of the feed's sources.
        source: String,
        /// The source's own count; rises.
        #[serde(deserialize_with = "count")]
        sequence: u64,
        /// When it was true.
        #[schema(value_type = Instant)]
        time: Timestamp,
        /// Quote units per base unit.
        price: DecimalText,
        /// Half-width of its confidence interval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<DecimalText>,
        /// Until when it may be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Instant>)]
        valid_until: Option<Timestamp>,
    },
    /// A chain of quotes, in the form of `docs/snapshot.md`.
    Chain {
        /// Of which underlying.
        #[schema(value_type = AssetName)]
        underlying: Asset,
        /// The instant it speaks of.
        #[schema(value_type = Instant)]
        time: Timestamp,
        /// The quotes.
        #[schema(value_type = Object)]
        quotes: Map<String, Value>,
    },
    /// The middle of our own market.
    OwnMarket {
        /// In which underlying.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// Left out when its book is empty or crossed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        middle: Option<DecimalText>,
    },
    /// Depth and spread of an underlying.
    Depth {
        /// Which.
        #[schema(value_type = AssetName)]
        underlying: Asset,
        /// On which venue.
        venue: String,
        /// Quote units within a stated distance of the middle, the lesser side's.
        depth: DecimalText,
        /// A share of the middle.
        spread: DecimalText,
    },
    /// A source is alive and has no new price.
    Heartbeat {
        /// Of which feed.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// Which source.
        source: String,
        /// When it said so; rises.
        #[schema(value_type = Instant)]
        time: Timestamp,
    },
    /// Open interest in an underlying.
    OpenInterest {
        /// Which.
        #[schema(value_type = AssetName)]
        underlying: Asset,
        /// Of the protocol, quote units.
        open_interest: DecimalText,
        /// Traded a day, quote units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        daily_volume: Option<DecimalText>,
        /// Share of it that the largest ten accounts hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        concentration: Option<DecimalText>,
    },
    /// The collateral pool over what it must cover.
    Pool {
        /// >= 0.
        coverage: DecimalText,
    },
    /// The mood of the market, 0 (fear) to 100 (greed).
    Sentiment {
        /// The number.
        value: DecimalText,
    },
    /// The chain below went down, or came back.
    Uptime {
        /// Whether it is down.
        down: bool,
    },
    /// New risk is to be refused, and liquidations are to wait where that is said.
    Pause {
        /// Why: 1 to 512 bytes.
        reason: String,
        /// Whether liquidations wait as well.
        #[serde(default)]
        hold_liquidations: bool,
    },
    /// What was paused is to go on.
    Resume {},
    /// Somebody has looked at a source in quarantine.
    Pardon {
        /// Of which feed.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// Which source.
        source: String,
    },
    /// An instrument is traded from now on.
    List {
        /// Which.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
    },
    /// What a venue says is traded there: what is new here, can be held and has a feed is traded from now on.
    Announced {
        /// Which.
        #[schema(value_type = Vec<InstrumentName>)]
        instruments: Vec<Instrument>,
    },
    /// An expired instrument is settled.
    Settle {
        /// Which.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
    },
    /// Funding falls due.
    Funding {
        /// Of which perpetual.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
        /// Share of the notional that longs pay.
        rate: DecimalText,
    },
    /// An account is opened.
    Open {
        /// Its name.
        #[schema(value_type = AccountName)]
        account: AccountId,
    },
    /// Collateral arrives.
    Deposit {
        /// Whose.
        #[schema(value_type = AccountName)]
        account: AccountId,
        /// What.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// > 0, to 1e-9.
        amount: DecimalText,
    },
    /// Collateral is to leave.
    Withdraw {
        /// Whose.
        #[schema(value_type = AccountName)]
        account: AccountId,
        /// What.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// > 0, to 1e-9.
        amount: DecimalText,
    },
    /// Collateral is to go from one account to another.
    Transfer {
        /// From whom.
        #[schema(value_type = AccountName)]
        from: AccountId,
        /// To whom.
        #[schema(value_type = AccountName)]
        to: AccountId,
        /// What.
        #[schema(value_type = AssetName)]
        asset: Asset,
        /// > 0, to 1e-9.
        amount: DecimalText,
    },
    /// A trade that both sides want, if both may.
    Trade {
        /// Who receives.
        #[schema(value_type = AccountName)]
        buyer: AccountId,
        /// Who gives.
        #[schema(value_type = AccountName)]
        seller: AccountId,
        /// What.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
        /// > 0.
        quantity: DecimalText,
        /// As the venue quotes it.
        price: DecimalText,
    },
    /// A trade that has happened.
    Filled {
        /// Who receives.
        #[schema(value_type = AccountName)]
        buyer: AccountId,
        /// Who gives.
        #[schema(value_type = AccountName)]
        seller: AccountId,
        /// What.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
        /// > 0.
        quantity: DecimalText,
        /// As the venue quotes it.
        price: DecimalText,
    },
    /// An order is placed, or replaced by its number.
    Order {
        /// Whose.
        #[schema(value_type = AccountName)]
        account: AccountId,
        /// The client's number.
        #[serde(deserialize_with = "count")]
        id: u64,
        /// Of what.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
        /// Bids > 0.
        quantity: DecimalText,
        /// Its limit.
        limit: DecimalText,
    },
    /// An order is taken back.
    Cancel {
        /// Whose.
        #[schema(value_type = AccountName)]
        account: AccountId,
        /// Its number.
        #[serde(deserialize_with = "count")]
        id: u64,
    },
    /// A vote on a parameter that was won.
    Vote {
        /// The vote.
        #[schema(value_type = VoteForm)]
        vote: Box<VoteForm>,
    },
    /// A vote is taken back.
    CancelVote {
        /// Its name.
        id: String,
    },
    /// A step of a liquidation was traded.
    Liquidated {
        /// The intent.
        #[serde(deserialize_with = "count")]
        intent: u64,
        /// Who took it.
        #[schema(value_type = AccountName)]
        taker: AccountId,
        /// Of what.
        #[schema(value_type = InstrumentName)]
        instrument: Instrument,
        /// What the account gave up: > 0 sold, < 0 bought back.
        quantity: DecimalText,
        /// At what price.
        price: DecimalText,
    },
    /// Money for the insurance fund.
    Insure {
        /// > 0, to 1e-9 of the valuation currency.
        amount: DecimalText,
    },
}

/// A field that is not what it must be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{field}`: {why}")]
pub struct Unreadable {
    /// Which.
    pub field: &'static str,
    /// What stands against it.
    pub why: String,
}

impl EventIn {
    /// The event's key and body.
    ///
    /// # Errors
    /// [`Unreadable`] of the first field that is no exact number, or too large.
    pub fn read(self, units: &Units) -> Result<(Option<Key>, Body), Unreadable> {
        let key = match (self.source, self.number) {
            (Some(source), Some(_)) if source.is_empty() || source.len() > SOURCE_BYTES => {
                return Err(unreadable(
                    "source",
                    format!("has {} bytes: expected 1 to {SOURCE_BYTES}", source.len()),
                ));
            }
            (Some(source), Some(number)) => Some(Key { source, number }),
            (None, None) => None,
            (None, Some(_)) => return Err(unreadable("number", "needs `source` beside it")),
            (Some(_), None) => return Err(unreadable("source", "needs `number` beside it")),
        };
        Ok((key, self.event.read(units)?))
    }
}

impl EventBody {
    fn read(self, units: &Units) -> Result<Body, Unreadable> {
        Ok(match self {
            Self::Clock {} => Body::Clock,
            Self::Price { asset, source, sequence, time, price, confidence, valid_until } => {
                let price = stated("price", &price)?;
                let confidence = confidence.map(|text| stated("confidence", &text)).transpose()?;
                let seen = Observation { sequence, time, price, confidence, valid_until };
                Body::Price { asset, source, seen }
            }
            Self::Chain { underlying, time, quotes } => {
                let quotes: UnderlyingMarket = formed("quotes", Value::Object(quotes))?;
                Body::Chain { underlying, time, quotes: Box::new(quotes) }
            }
            Self::OwnMarket { asset, middle } => {
                let middle = middle.map(|text| stated("middle", &text)).transpose()?;
                Body::OwnMarket { asset, middle }
            }
            Self::Depth { underlying, venue, depth, spread } => {
                let quoted = Quoted { depth: float("depth", &depth)?, spread: float("spread", &spread)? };
                Body::Depth { underlying, venue, quoted }
            }
            Self::Heartbeat { asset, source, time } => Body::Heartbeat { asset, source, time },
            Self::OpenInterest { underlying, open_interest, daily_volume, concentration } => {
                Body::OpenInterest {
                    underlying,
                    open_interest: float("open_interest", &open_interest)?,
                    daily_volume: daily_volume.map(|text| float("daily_volume", &text)).transpose()?,
                    concentration: concentration.map(|text| float("concentration", &text)).transpose()?,
                }
            }
            Self::Pool { coverage } => Body::Pool { coverage: float("coverage", &coverage)? },
            Self::Sentiment { value } => Body::Sentiment { value: float("value", &value)? },
            Self::Uptime { down } => Body::Uptime { down },
            Self::Pause { reason, hold_liquidations } => Body::Pause { reason, hold_liquidations },
            Self::Resume {} => Body::Resume,
            Self::Pardon { asset, source } => Body::Pardon { asset, source },
            Self::List { instrument } => Body::List { instrument },
            Self::Announced { instruments } => Body::Announced { instruments },
            Self::Settle { instrument } => Body::Settle { instrument },
            Self::Funding { instrument, rate } => Body::Funding { instrument, rate: stated("rate", &rate)? },
            other => return other.of_accounts(units),
        })
    }

    fn of_accounts(self, units: &Units) -> Result<Body, Unreadable> {
        Ok(match self {
            Self::Open { account } => Body::Open { account },
            Self::Deposit { account, asset, amount } => {
                Body::Deposit { account, asset, nano: nano(&amount)? }
            }
            Self::Withdraw { account, asset, amount } => {
                Body::Withdraw { account, asset, nano: nano(&amount)? }
            }
            Self::Transfer { from, to, asset, amount } => {
                Body::Transfer { from, to, asset, nano: nano(&amount)? }
            }
            Self::Trade { buyer, seller, instrument, quantity, price } => {
                Body::Trade(fill((buyer, seller), instrument, (&quantity, &price), units)?)
            }
            Self::Filled { buyer, seller, instrument, quantity, price } => {
                Body::Filled(fill((buyer, seller), instrument, (&quantity, &price), units)?)
            }
            Self::Order { account, id, instrument, quantity, limit } => {
                let (lots, limit) = (lots(&quantity, &instrument, units)?, stated("limit", &limit)?);
                Body::Order { account, id, instrument, lots, limit }
            }
            Self::Cancel { account, id } => Body::Cancel { account, id },
            Self::Vote { vote } => {
                let vote = vote.read().map_err(|e| unreadable("value", e.to_string()))?;
                Body::Vote(Box::new(vote))
            }
            Self::CancelVote { id } => Body::CancelVote { id },
            Self::Liquidated { intent, taker, instrument, quantity, price } => {
                let (lots, price) = (lots(&quantity, &instrument, units)?, stated("price", &price)?);
                Body::Liquidated { intent, taker, instrument, lots, price }
            }
            Self::Insure { amount } => Body::Insure { nano: nano(&amount)? },
            _ => return Err(unreadable("type", "is not of accounts")),
        })
    }
}

/// A trade, its quantity in lots.
fn fill(
    (buyer, seller): (AccountId, AccountId),
    instrument: Instrument,
    (quantity, price): (&str, &str),
    units: &Units,
) -> Result<Fill, Unreadable> {
    let (lots, price) = (lots(quantity, &instrument, units)?, stated("price", price)?);
    Ok(Fill { buyer, seller, instrument, lots, price })
}

/// The name of what happened, as for metrics.
pub fn kind(body: &Body) -> &'static str {
    match body {
        Body::Clock => "clock",
        Body::Price { .. } => "price",
        Body::Chain { .. } => "chain",
        Body::Heartbeat { .. } => "heartbeat",
        Body::OwnMarket { .. }
        | Body::Depth { .. }
        | Body::OpenInterest { .. }
        | Body::Pool { .. }
        | Body::Sentiment { .. } => "market",
        Body::Trade(_) | Body::Filled(_) | Body::Liquidated { .. } => "fill",
        Body::Order { .. } | Body::Cancel { .. } => "order",
        Body::Deposit { .. } | Body::Withdraw { .. } | Body::Transfer { .. } => "money",
        Body::Vote(_) | Body::CancelVote { .. } => "vote",
        _ => "other",
    }
}

/// A number of something, as large as those of most languages are.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    // In JSON 7.0 is a whole number too.
    let count = match Number::deserialize(from)? {
        number if number.is_f64() => number
            .as_f64()
            .and_then(whole)
            .ok_or_else(|| D::Error::custom(format!("{number} is no count")))?,
        number => number.as_u64().ok_or_else(|| D::Error::custom(format!("{number} is no count")))?,
    };
    if i64::try_from(count).is_ok() {
        Ok(count)
    } else {
        Err(D::Error::custom(format!("{count} is beyond {}", i64::MAX)))
    }
}

fn counted<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let found = Option::<Number>::deserialize(from)?;
    found.map(|number| count(number).map_err(D::Error::custom)).transpose()
}

/// A float that counts something, exactly.
fn whole(value: f64) -> Option<u64> {
    let counts = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
    counts.then_some(value as u64)
}

/// A value of the form that a field has.
fn formed<T: DeserializeOwned>(field: &'static str, value: Value) -> Result<T, Unreadable> {
    serde_json::from_value(value).map_err(|e| unreadable(field, e.to_string()))
}

fn unreadable(field: &'static str, why: impl Into<String>) -> Unreadable {
    Unreadable { field, why: why.into() }
}

/// Text as a quantity of lots, exactly.
pub(crate) fn lots(text: &str, instrument: &Instrument, units: &Units) -> Result<i64, Unreadable> {
    let lots =
        parse_scaled(text, units.lot(instrument)).map_err(|e| unreadable("quantity", e.to_string()))?;
    i64::try_from(lots).map_err(|_| unreadable("quantity", format!("`{text}` is too large")))
}

/// Text as billionths of an asset, exactly.
pub(crate) fn nano(text: &str) -> Result<i128, Unreadable> {
    parse_scaled(text, Decimal::new(1, 9)).map_err(|e| unreadable("amount", e.to_string()))
}

/// Text as a number with its exponent, exactly.
pub(crate) fn stated(field: &'static str, text: &str) -> Result<Stated, Unreadable> {
    let parsed: Decimal = Decimal::from_str_exact(text)
        .or_else(|_| Decimal::from_scientific(text))
        .map_err(|_| no_decimal(field, text))?;
    let parsed = parsed.normalize();
    let mantissa = i64::try_from(parsed.mantissa())
        .map_err(|_| unreadable(field, format!("`{text}` has too many digits")))?;
    let exponent = i8::try_from(parsed.scale()).map(|scale| -scale).map_err(|_| no_decimal(field, text))?;
    Ok(Stated { mantissa, exponent })
}

fn float(field: &'static str, text: &str) -> Result<f64, Unreadable> {
    stated(field, text)?.to_f64().ok_or_else(|| no_decimal(field, text))
}

fn no_decimal(field: &'static str, text: &str) -> Unreadable {
    unreadable(field, format!("`{text}` is no decimal number"))
}
