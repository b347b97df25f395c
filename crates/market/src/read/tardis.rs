//! CSV of tardis.dev `options_chain`: the last row of each symbol at a time.

use super::assemble::{Assembly, Row};
use super::table::Table;
use super::{At, ReadError, ReadOutcome};
use plimsoll_types::Timestamp;
use std::io::Read;

pub(super) const REQUIRED: [&str; 8] = [
    "symbol",
    "timestamp",
    "bid_price",
    "ask_price",
    "mark_price",
    "mark_iv",
    "underlying_price",
    "open_interest",
];
const OPTIONAL: [&str; 3] = ["bid_amount", "ask_amount", "underlying_index"];

/// The state of the stream at its end, or at the instant asked for. Times are microseconds, volatilities per cent.
///
/// Rows of different symbols may be slightly out of order, so the whole stream is read.
pub(super) fn read(reader: impl Read, name: &str, at: &At) -> Result<ReadOutcome, ReadError> {
    let until = match *at {
        At::Only | At::Last => None,
        At::AtOrBefore(time) | At::Nearest(time) => Some(time),
    };
    let mut table = Table::open(reader, name, &REQUIRED, &OPTIONAL)?;
    let mut assembly = Assembly::new("deribit index_price");
    let mut first: Option<Timestamp> = None;
    while table.next()? {
        let row = row(&table)?;
        first = Some(first.map_or(row.time, |t| t.min(row.time)));
        if until.is_none_or(|t| row.time <= t) {
            let symbol = table.text("symbol");
            if symbol.is_empty() {
                return Err(table.field("symbol", "an instrument such as BTC-9JUN20-9875-P"));
            }
            assembly.add(symbol, row);
        }
    }
    let Some(first) = first else {
        return Err(ReadError::Empty { name: name.to_owned() });
    };
    if let (Some(wanted), true) = (until, assembly.is_empty()) {
        return Err(ReadError::NoneAt { name: name.to_owned(), wanted, first });
    }
    let rows = table.rows;
    let (snapshot, issues) = assembly.finish().ok_or(ReadError::Empty { name: name.to_owned() })?;
    Ok(ReadOutcome { snapshot, issues, snapshots: 1, rows })
}

fn row<R: Read>(table: &Table<R>) -> Result<Row, ReadError> {
    let micros = table.integer("timestamp")?;
    let time = Timestamp::from_micros(micros)
        .map_err(|_| table.field("timestamp", "microseconds since 1970, before 2262"))?;
    let forward = table.number("underlying_price")?;
    let states_index = table.text("underlying_index") == "index_price";
    Ok(Row {
        bid: side(table, "bid_price", "bid_amount")?,
        ask: side(table, "ask_price", "ask_amount")?,
        mark: table.number("mark_price")?,
        mark_vol: table.number("mark_iv")?.map(|percent| percent / 100.0),
        forward,
        open_interest: table.number("open_interest")?,
        funding_8h: None,
        index: forward.filter(|_| states_index),
        time,
    })
}

/// A price; zero with no amount behind it is the venue's way to say that nobody quotes.
fn side<R: Read>(
    table: &Table<R>,
    price: &'static str,
    amount: &'static str,
) -> Result<Option<f64>, ReadError> {
    let (price, amount) = (table.number(price)?, table.number(amount)?);
    Ok(price.filter(|&p| p != 0.0 || amount.is_some_and(|a| a != 0.0)))
}
