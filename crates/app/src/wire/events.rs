//! Events as they come in.

use plimsoll_engine::live::feed::{Observation, Stated};
use plimsoll_engine::live::ledger::Fill;
use plimsoll_engine::live::{Body, Key};
use plimsoll_policy::{Quoted, Scheduled};
use plimsoll_types::{
    AccountId, Asset, Decimal, Instrument, Timestamp, UnderlyingMarket, Units, parse_scaled,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An event. With `source` and `number` it counts once, however often it is sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventIn {
    /// Who sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The sender's own number of it; needs `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
        #[schema(value_type = String, example = "BTC")]
        asset: Asset,
        /// Who says so: one of the feed's sources.
        source: String,
        /// The source's own count; rises.
        sequence: u64,
        /// When it was true.
        #[schema(value_type = String, format = DateTime)]
        time: Timestamp,
        /// Quote units per base unit.
        #[schema(example = "64250.5")]
        price: String,
        /// Half-width of its confidence interval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<String>,
        /// Until when it may be used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        valid_until: Option<Timestamp>,
    },
    /// A chain of quotes, in the form of `docs/snapshot.md`.
    Chain {
        /// Of which underlying.
        #[schema(value_type = String, example = "BTC")]
        underlying: Asset,
        /// The instant it speaks of.
        #[schema(value_type = String, format = DateTime)]
        time: Timestamp,
        /// The quotes.
        #[schema(value_type = Object)]
        quotes: Box<UnderlyingMarket>,
    },
    /// The middle of our own market.
    OwnMarket {
        /// In which underlying.
        #[schema(value_type = String, example = "BTC")]
        asset: Asset,
        /// Left out when its book is empty or crossed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        middle: Option<String>,
    },
    /// Depth and spread of an underlying.
    Depth {
        /// Which.
        #[schema(value_type = String, example = "BTC")]
        underlying: Asset,
        /// On which venue.
        venue: String,
        /// Quote units within a stated distance of the middle, the lesser side's.
        depth: String,
        /// A share of the middle.
        spread: String,
    },
    /// A source is alive and has no new price.
    Heartbeat {
        /// Of which feed.
        #[schema(value_type = String, example = "BTC")]
        asset: Asset,
        /// Which source.
        source: String,
        /// When it said so; rises.
        #[schema(value_type = String, format = DateTime)]
        time: Timestamp,
    },
    /// Open interest in an underlying.
    OpenInterest {
        /// Which.
        #[schema(value_type = String, example = "BTC")]
        underlying: Asset,
        /// Of the protocol, quote units.
        open_interest: String,
        /// Traded a day, quote units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        daily_volume: Option<String>,
        /// Share of it that the largest ten accounts hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        concentration: Option<String>,
    },
    /// The collateral pool over what it must cover.
    Pool {
        /// >= 0.
        coverage: String,
    },
    /// The mood of the market, 0 (fear) to 100 (greed).
    Sentiment {
        /// The number.
        value: String,
    },
    /// The chain below went down, or came back.
    Uptime {
        /// Whether it is down.
        down: bool,
    },
    /// Somebody has looked at a source in quarantine.
    Pardon {
        /// Of which feed.
        #[schema(value_type = String, example = "BTC")]
        asset: Asset,
        /// Which source.
        source: String,
    },
    /// An instrument is traded from now on.
    List {
        /// Which.
        #[schema(value_type = String, example = "BTC_USDC-PERPETUAL")]
        instrument: Instrument,
    },
    /// An expired instrument is settled.
    Settle {
        /// Which.
        #[schema(value_type = String, example = "BTC-27DEC24-100000-C")]
        instrument: Instrument,
    },
    /// Funding falls due.
    Funding {
        /// Of which perpetual.
        #[schema(value_type = String, example = "BTC_USDC-PERPETUAL")]
        instrument: Instrument,
        /// Share of the notional that longs pay.
        rate: String,
    },
    /// An account is opened.
    Open {
        /// Its name.
        #[schema(value_type = String, example = "alice")]
        account: AccountId,
    },
    /// Collateral arrives.
    Deposit {
        /// Whose.
        #[schema(value_type = String, example = "alice")]
        account: AccountId,
        /// What.
        #[schema(value_type = String, example = "USD")]
        asset: Asset,
        /// > 0, to 1e-9.
        #[schema(example = "10000")]
        amount: String,
    },
    /// Collateral is to leave.
    Withdraw {
        /// Whose.
        #[schema(value_type = String, example = "alice")]
        account: AccountId,
        /// What.
        #[schema(value_type = String, example = "USD")]
        asset: Asset,
        /// > 0, to 1e-9.
        amount: String,
    },
    /// Collateral is to go from one account to another.
    Transfer {
        /// From whom.
        #[schema(value_type = String)]
        from: AccountId,
        /// To whom.
        #[schema(value_type = String)]
        to: AccountId,
        /// What.
        #[schema(value_type = String)]
        asset: Asset,
        /// > 0, to 1e-9.
        amount: String,
    },
    /// A trade that both sides want, if both may.
    Trade(Fields),
    /// A trade that has happened.
    Filled(Fields),
    /// An order is placed, or replaced by its number.
    Order {
        /// Whose.
        #[schema(value_type = String)]
        account: AccountId,
        /// The client's number.
        id: u64,
        /// Of what.
        #[schema(value_type = String)]
        instrument: Instrument,
        /// Bids > 0.
        quantity: String,
        /// Its limit.
        limit: String,
    },
    /// An order is taken back.
    Cancel {
        /// Whose.
        #[schema(value_type = String)]
        account: AccountId,
        /// Its number.
        id: u64,
    },
    /// A vote on a parameter that was won.
    Vote {
        /// The vote, as `policy.toml` has it.
        #[schema(value_type = Object)]
        vote: Box<Scheduled>,
    },
    /// A vote is taken back.
    CancelVote {
        /// Its name.
        id: String,
    },
    /// A step of a liquidation was traded.
    Liquidated {
        /// The intent.
        intent: u64,
        /// Who took it.
        #[schema(value_type = String)]
        taker: AccountId,
        /// Of what.
        #[schema(value_type = String)]
        instrument: Instrument,
        /// What the account gave up: > 0 sold, < 0 bought back.
        quantity: String,
        /// At what price.
        price: String,
    },
    /// Money for the insurance fund.
    Insure {
        /// > 0, to 1e-9 of the valuation currency.
        amount: String,
    },
}

/// A trade between two accounts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Who receives.
    #[schema(value_type = String, example = "alice")]
    buyer: AccountId,
    /// Who gives.
    #[schema(value_type = String, example = "bob")]
    seller: AccountId,
    /// What.
    #[schema(value_type = String, example = "BTC_USDC-PERPETUAL")]
    instrument: Instrument,
    /// > 0.
    #[schema(example = "0.5")]
    quantity: String,
    /// As the venue quotes it.
    #[schema(example = "64250")]
    price: String,
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
            Self::Chain { underlying, time, quotes } => Body::Chain { underlying, time, quotes },
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
            Self::Pardon { asset, source } => Body::Pardon { asset, source },
            Self::List { instrument } => Body::List { instrument },
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
            Self::Trade(fields) => Body::Trade(fields.read(units)?),
            Self::Filled(fields) => Body::Filled(fields.read(units)?),
            Self::Order { account, id, instrument, quantity, limit } => {
                let (lots, limit) = (lots(&quantity, &instrument, units)?, stated("limit", &limit)?);
                Body::Order { account, id, instrument, lots, limit }
            }
            Self::Cancel { account, id } => Body::Cancel { account, id },
            Self::Vote { vote } => Body::Vote(vote),
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

impl Fields {
    fn read(self, units: &Units) -> Result<Fill, Unreadable> {
        let Self { buyer, seller, instrument, quantity, price } = self;
        let (lots, price) = (lots(&quantity, &instrument, units)?, stated("price", &price)?);
        Ok(Fill { buyer, seller, instrument, lots, price })
    }
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

fn unreadable(field: &'static str, why: impl Into<String>) -> Unreadable {
    Unreadable { field, why: why.into() }
}

/// Text as a quantity of lots, exactly.
pub(crate) fn lots(text: &str, instrument: &Instrument, units: &Units) -> Result<i64, Unreadable> {
    let lots =
        parse_scaled(text, units.lot(instrument)).map_err(|e| unreadable("quantity", e.to_string()))?;
    i64::try_from(lots).map_err(|_| unreadable("quantity", format!("`{text}` is too large")))
}

fn nano(text: &str) -> Result<i128, Unreadable> {
    parse_scaled(text, Decimal::new(1, 9)).map_err(|e| unreadable("amount", e.to_string()))
}

/// Text as a number with its exponent, exactly.
fn stated(field: &'static str, text: &str) -> Result<Stated, Unreadable> {
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
