//! Deribit's messages as they are written.

use super::{Figure, millis, optional};
use crate::reading::Figures;
use crate::refusal::refuse;
use crate::{Quote, Reason, Refusal};
use plimsoll_types::{Decimal, Instrument};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Frame<'a> {
    pub(super) method: Option<String>,
    #[serde(borrow)]
    pub(super) params: Option<Params<'a>>,
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    pub(super) error: Option<RpcError>,
}

#[derive(Deserialize)]
pub(super) struct Params<'a> {
    pub(super) channel: Option<String>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct IndexData<'a> {
    pub(super) timestamp: i64,
    #[serde(borrow)]
    pub(super) price: Figure<'a>,
    pub(super) index_name: String,
}

#[derive(Deserialize)]
pub(super) struct QuoteData<'a> {
    pub(super) timestamp: i64,
    pub(super) instrument_name: String,
    #[serde(borrow)]
    pub(super) best_bid_price: Option<Figure<'a>>,
    #[serde(borrow)]
    pub(super) best_bid_amount: Option<Figure<'a>>,
    #[serde(borrow)]
    pub(super) best_ask_price: Option<Figure<'a>>,
    #[serde(borrow)]
    pub(super) best_ask_amount: Option<Figure<'a>>,
}

/// A price; zero with no amount behind it is Deribit's way to say that nobody quotes.
pub(super) fn side(
    price: Option<Figure<'_>>,
    amount: Option<Figure<'_>>,
    field: &str,
) -> Result<Option<f64>, Refusal> {
    let (price, amount) = (optional(price, field)?, optional(amount, field)?);
    Ok(price.filter(|p| *p != 0.0 || amount.is_some_and(|a| a != 0.0)))
}

#[derive(Deserialize)]
pub(super) struct Ticker<'a> {
    pub(super) instrument_name: String,
    timestamp: i64,
    #[serde(borrow)]
    best_bid_price: Option<Figure<'a>>,
    #[serde(borrow)]
    best_bid_amount: Option<Figure<'a>>,
    #[serde(borrow)]
    best_ask_price: Option<Figure<'a>>,
    #[serde(borrow)]
    best_ask_amount: Option<Figure<'a>>,
    #[serde(borrow)]
    mark_price: Option<Figure<'a>>,
    #[serde(borrow)]
    mark_iv: Option<Figure<'a>>,
    #[serde(borrow)]
    underlying_price: Option<Figure<'a>>,
    #[serde(borrow)]
    open_interest: Option<Figure<'a>>,
    #[serde(borrow)]
    funding_8h: Option<Figure<'a>>,
}

fn percent(figure: Option<Figure<'_>>, field: &str) -> Result<Option<f64>, Refusal> {
    Ok(optional(figure, field)?.map(|percent| percent / 100.0))
}

impl Ticker<'_> {
    pub(super) fn quote(&self, instrument: Instrument) -> Result<Quote, Refusal> {
        let said = Figures {
            bid: side(self.best_bid_price, self.best_bid_amount, "best_bid_price")?,
            ask: side(self.best_ask_price, self.best_ask_amount, "best_ask_price")?,
            mark: optional(self.mark_price, "mark_price")?,
            mark_vol: percent(self.mark_iv, "mark_iv")?,
            forward: optional(self.underlying_price, "underlying_price")?,
            open_interest: optional(self.open_interest, "open_interest")?,
            funding_8h: optional(self.funding_8h, "funding_8h")?,
            time: millis(self.timestamp)?,
        };
        said.quote(instrument)
    }
}

#[derive(Deserialize)]
pub(super) struct Summary<'a> {
    pub(super) instrument_name: String,
    creation_timestamp: i64,
    #[serde(borrow)]
    bid_price: Option<Figure<'a>>,
    #[serde(borrow)]
    ask_price: Option<Figure<'a>>,
    #[serde(borrow)]
    mark_price: Option<Figure<'a>>,
    #[serde(borrow)]
    mark_iv: Option<Figure<'a>>,
    #[serde(borrow)]
    underlying_price: Option<Figure<'a>>,
    #[serde(borrow)]
    open_interest: Option<Figure<'a>>,
    #[serde(borrow)]
    funding_8h: Option<Figure<'a>>,
}

impl Summary<'_> {
    pub(super) fn quote(&self, instrument: Instrument) -> Result<Quote, Refusal> {
        let said = Figures {
            bid: side(self.bid_price, None, "bid_price")?,
            ask: side(self.ask_price, None, "ask_price")?,
            mark: optional(self.mark_price, "mark_price")?,
            mark_vol: percent(self.mark_iv, "mark_iv")?,
            forward: optional(self.underlying_price, "underlying_price")?,
            open_interest: optional(self.open_interest, "open_interest")?,
            funding_8h: optional(self.funding_8h, "funding_8h")?,
            time: millis(self.creation_timestamp)?,
        };
        said.quote(instrument)
    }
}

#[derive(Deserialize)]
pub(super) struct BookData<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) timestamp: i64,
    pub(super) instrument_name: String,
    pub(super) change_id: u64,
    pub(super) prev_change_id: Option<u64>,
    #[serde(borrow)]
    pub(super) bids: Vec<Row<'a>>,
    #[serde(borrow)]
    pub(super) asks: Vec<Row<'a>>,
}

/// `[action, price, amount]` of a book, `[price, amount]` of a grouped one.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Row<'a>(#[serde(borrow)] Vec<Figure<'a>>);

/// What a row says.
pub(super) struct Level {
    pub(super) price: Decimal,
    pub(super) amount: Decimal,
}

impl Row<'_> {
    pub(super) fn read(&self) -> Result<Level, Refusal> {
        let (action, price, amount) = match self.0.as_slice() {
            [action, price, amount] => (action.word(), price, amount),
            [price, amount] => ("change", price, amount),
            other => return refuse(Reason::Malformed, format_args!("a level of {} parts", other.len())),
        };
        let (price, amount) = (price.decimal("price")?, amount.decimal("amount")?);
        match action {
            "new" | "change" => Ok(Level { price, amount }),
            "delete" => Ok(Level { price, amount: Decimal::ZERO }),
            other => refuse(Reason::Malformed, format_args!("a level that is to be `{other}`")),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct TradeData<'a> {
    pub(super) instrument_name: String,
    pub(super) timestamp: i64,
    #[serde(borrow)]
    pub(super) price: Figure<'a>,
    #[serde(borrow)]
    pub(super) amount: Figure<'a>,
    pub(super) direction: String,
}

#[derive(Deserialize)]
pub(super) struct Listing {
    pub(super) instrument_name: String,
    pub(super) is_active: bool,
}

#[derive(Deserialize)]
pub(super) struct StateData {
    pub(super) instrument_name: String,
    pub(super) state: String,
}
