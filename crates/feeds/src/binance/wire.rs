//! Binance's messages as they are written.

use super::sync::{Change, Levels};
use super::{millis, optional};
use crate::field::Figure;
use crate::refusal::refuse;
use crate::{Reason, Refusal};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Levels of a message; a snapshot has at most 5000 a side.
const LEVELS_MAX: usize = 20_000;

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    pub(super) stream: Option<String>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Kind {
    #[serde(rename = "e")]
    pub(super) event: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct MarkPrice<'a> {
    #[serde(rename = "s")]
    pub(super) symbol: String,
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "p", borrow)]
    pub(super) mark: Figure<'a>,
    #[serde(rename = "i", borrow)]
    pub(super) index: Option<Figure<'a>>,
    #[serde(rename = "r", borrow)]
    pub(super) funding: Option<Figure<'a>>,
}

#[derive(Deserialize)]
pub(super) struct BookTicker<'a> {
    #[serde(rename = "s")]
    pub(super) symbol: String,
    /// Spot has none.
    #[serde(rename = "E")]
    pub(super) event_time: Option<i64>,
    #[serde(rename = "u")]
    pub(super) update: u64,
    #[serde(rename = "b", borrow)]
    pub(super) bid: Figure<'a>,
    #[serde(rename = "B", borrow)]
    pub(super) bid_amount: Figure<'a>,
    #[serde(rename = "a", borrow)]
    pub(super) ask: Figure<'a>,
    #[serde(rename = "A", borrow)]
    pub(super) ask_amount: Figure<'a>,
}

impl BookTicker<'_> {
    /// A price with an amount behind it.
    pub(super) fn side(&self, price: Figure<'_>, amount: Figure<'_>) -> Result<Option<f64>, Refusal> {
        let (price, amount) = (optional(Some(price), "price")?, optional(Some(amount), "amount")?);
        Ok(price.filter(|_| amount.is_some_and(|a| a > 0.0)))
    }
}

#[derive(Deserialize)]
pub(super) struct Diff<'a> {
    #[serde(rename = "s")]
    pub(super) symbol: String,
    #[serde(rename = "E")]
    event_time: i64,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    /// Futures only.
    #[serde(rename = "pu")]
    before: Option<u64>,
    #[serde(rename = "b", borrow)]
    bids: Vec<[Figure<'a>; 2]>,
    #[serde(rename = "a", borrow)]
    asks: Vec<[Figure<'a>; 2]>,
}

fn levels(bids: &[[Figure<'_>; 2]], asks: &[[Figure<'_>; 2]]) -> Result<Levels, Refusal> {
    if bids.len() > LEVELS_MAX || asks.len() > LEVELS_MAX {
        return refuse(Reason::TooLong, format_args!("{} and {} levels", bids.len(), asks.len()));
    }
    let read = |[price, amount]: &[Figure<'_>; 2]| Ok((price.decimal("price")?, amount.decimal("amount")?));
    let side = |side: &[[Figure<'_>; 2]]| side.iter().map(read).collect::<Result<_, Refusal>>();
    Ok(Levels { bids: side(bids)?, asks: side(asks)? })
}

impl Diff<'_> {
    pub(super) fn read(&self) -> Result<Change, Refusal> {
        if self.first > self.last {
            return refuse(Reason::Malformed, format_args!("changes {} to {}", self.first, self.last));
        }
        let time = millis(self.event_time)?;
        let levels = levels(&self.bids, &self.asks)?;
        Ok(Change { first: self.first, last: self.last, before: self.before, time, levels })
    }
}

#[derive(Deserialize)]
pub(super) struct Snapshot<'a> {
    #[serde(rename = "lastUpdateId")]
    pub(super) last_update: u64,
    #[serde(rename = "E")]
    pub(super) event_time: Option<i64>,
    #[serde(borrow)]
    bids: Vec<[Figure<'a>; 2]>,
    #[serde(borrow)]
    asks: Vec<[Figure<'a>; 2]>,
}

impl Snapshot<'_> {
    pub(super) fn read(&self) -> Result<Levels, Refusal> {
        levels(&self.bids, &self.asks)
    }
}

#[derive(Deserialize)]
pub(super) struct TradeData<'a> {
    #[serde(rename = "s")]
    pub(super) symbol: String,
    #[serde(rename = "p", borrow)]
    pub(super) price: Figure<'a>,
    #[serde(rename = "q", borrow)]
    pub(super) amount: Figure<'a>,
    #[serde(rename = "T")]
    pub(super) time: i64,
    #[serde(rename = "m")]
    pub(super) buyer_makes: bool,
}

#[derive(Deserialize)]
pub(super) struct OpenInterest<'a> {
    pub(super) symbol: String,
    #[serde(rename = "openInterest", borrow)]
    pub(super) open_interest: Figure<'a>,
}
