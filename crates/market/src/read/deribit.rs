//! JSON of Deribit's `get_book_summary_by_currency` and `ticker`.
//!
//! Both are objects with an `instrument_name`, in an array, under `result`, or under `params.data`; so one visitor walks
//! down these names and takes every object that has one.

use super::ReadError;
use super::assemble::{Assembly, Row};
use super::json::Located;
use super::select::Sink;
use plimsoll_types::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::BufRead;

/// How the two endpoints differ.
#[derive(Clone, Copy)]
pub(super) struct Form {
    time: &'static str,
    index_source: &'static str,
}

/// `public/get_book_summary_by_currency`.
pub(super) const BOOK_SUMMARY: Form =
    Form { time: "creation_timestamp", index_source: "deribit estimated_delivery_price" };
/// `public/ticker` and the `ticker` subscription.
pub(super) const TICKER: Form = Form { time: "timestamp", index_source: "deribit index_price" };

/// Puts all rows of the stream into one snapshot, dated by the latest of them. Times are milliseconds, volatilities per
/// cent, prices of inverse options in coin.
pub(super) fn read(
    reader: impl BufRead,
    name: &str,
    form: Form,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let mut documents = Located::new(reader);
    let mut assembly = Assembly::new(form.index_source);
    let mut rows = 0;
    loop {
        let walk = Walk { form, assembly: &mut assembly, rows: &mut rows };
        if documents.document(name, walk)?.is_none() {
            break;
        }
    }
    sink.rows(rows);
    if let Some((snapshot, issues)) = assembly.finish() {
        let _ = sink.take(snapshot, issues);
    }
    Ok(())
}

/// Walks one value and takes the rows in it.
struct Walk<'a> {
    form: Form,
    assembly: &'a mut Assembly,
    rows: &'a mut u64,
}

impl Walk<'_> {
    fn again(&mut self) -> Walk<'_> {
        Walk { form: self.form, assembly: self.assembly, rows: self.rows }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object or an array of objects with instrument_name")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "result" | "params" | "data" => map.next_value_seed(self.again())?,
                key => fields.take(key, &mut map)?,
            }
        }
        let Some(name) = fields.name.take() else { return Ok(()) };
        let row = fields.row::<A::Error>(self.form)?;
        *self.rows += 1;
        self.assembly.add(&name, row);
        Ok(())
    }
}

/// What is read of one object.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    timestamp: Option<i64>,
    creation_timestamp: Option<i64>,
    bid: Option<f64>,
    ask: Option<f64>,
    bid_amount: Option<f64>,
    ask_amount: Option<f64>,
    mark: Option<f64>,
    mark_iv: Option<f64>,
    underlying_price: Option<f64>,
    underlying_index: Option<String>,
    index_price: Option<f64>,
    estimated_delivery_price: Option<f64>,
    open_interest: Option<f64>,
    funding_8h: Option<f64>,
}

impl Fields {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "instrument_name" => self.name = map.next_value()?,
            "timestamp" => self.timestamp = map.next_value()?,
            "creation_timestamp" => self.creation_timestamp = map.next_value()?,
            "bid_price" | "best_bid_price" => self.bid = map.next_value()?,
            "ask_price" | "best_ask_price" => self.ask = map.next_value()?,
            "best_bid_amount" => self.bid_amount = map.next_value()?,
            "best_ask_amount" => self.ask_amount = map.next_value()?,
            "mark_price" => self.mark = map.next_value()?,
            "mark_iv" => self.mark_iv = map.next_value()?,
            "underlying_price" => self.underlying_price = map.next_value()?,
            "underlying_index" => self.underlying_index = map.next_value()?,
            "index_price" => self.index_price = map.next_value()?,
            "estimated_delivery_price" => self.estimated_delivery_price = map.next_value()?,
            "open_interest" => self.open_interest = map.next_value()?,
            "funding_8h" => self.funding_8h = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    /// The row, or what was expected of its time.
    fn row<E: Error>(self, form: Form) -> Result<Row, E> {
        let millis = match form.time {
            "timestamp" => self.timestamp,
            _ => self.creation_timestamp.or(self.timestamp),
        };
        let millis = millis.ok_or_else(|| E::missing_field(form.time))?;
        let time = Timestamp::from_millis(millis)
            .map_err(|_| E::custom(format!("expected {} in milliseconds before 2262", form.time)))?;
        let states_index = self.underlying_index.as_deref() == Some("index_price");
        let underlying = self.underlying_price.filter(|_| states_index);
        Ok(Row {
            bid: side(self.bid, self.bid_amount),
            ask: side(self.ask, self.ask_amount),
            mark: self.mark,
            mark_vol: self.mark_iv.map(|percent| percent / 100.0),
            forward: self.underlying_price,
            open_interest: self.open_interest,
            funding_8h: self.funding_8h,
            index: self.index_price.or(self.estimated_delivery_price).or(underlying),
            time,
        })
    }
}

/// A price; zero with no amount behind it is the venue's way to say that nobody quotes.
fn side(price: Option<f64>, amount: Option<f64>) -> Option<f64> {
    price.filter(|&p| p != 0.0 || amount.is_some_and(|a| a != 0.0))
}
