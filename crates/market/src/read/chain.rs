//! CSV of whole option chains.

use super::ReadError;
use super::assemble::{Assembly, Row};
use super::select::Sink;
use super::table::Table;
use plimsoll_types::Timestamp;
use std::io::Read;
use std::ops::ControlFlow;

pub(super) const REQUIRED: [&str; 9] = [
    "timestamp",
    "instrument_name",
    "underlying",
    "bid_price",
    "ask_price",
    "mark_price",
    "implied_volatility",
    "open_interest",
    "index_price",
];
const SOURCE: &str = "deribit index_price";

/// Hands each run of rows with one `timestamp` to `sink`. Prices are in coin, volatilities decimal, an empty field is an
/// absence.
pub(super) fn read(reader: impl Read, name: &str, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut table = Table::open(reader, name, &REQUIRED, &[])?;
    let mut assembly = Assembly::new(SOURCE);
    let mut now: Option<(String, Timestamp)> = None;
    while table.next()? {
        let text = table.text("timestamp");
        if now.as_ref().is_none_or(|n| n.0 != text) {
            let time = table.time("timestamp")?;
            let before = now.replace((text.to_owned(), time)).map(|n| n.1);
            if let Some(before) = before.filter(|b| time < *b) {
                let (name, line) = (name.to_owned(), table.line());
                return Err(ReadError::Order { name, line, time, before });
            }
            if before.is_some_and(|b| time > b) {
                let done = std::mem::replace(&mut assembly, Assembly::new(SOURCE));
                if pass_on(done, sink).is_break() {
                    sink.rows(table.rows);
                    return Ok(());
                }
            }
        }
        let time = now.as_ref().map_or(Timestamp::default(), |n| n.1);
        let row = row(&table, time)?;
        assembly.add(instrument_name(&table)?, row);
    }
    sink.rows(table.rows);
    let _ = pass_on(assembly, sink);
    Ok(())
}

fn pass_on(assembly: Assembly, sink: &mut dyn Sink) -> ControlFlow<()> {
    match assembly.finish() {
        Some((snapshot, issues)) => sink.take(snapshot, issues),
        None => ControlFlow::Continue(()),
    }
}

fn instrument_name<'t, R: Read>(table: &'t Table<R>) -> Result<&'t str, ReadError> {
    let name = table.text("instrument_name");
    if name.is_empty() {
        return Err(table.field("instrument_name", "an instrument such as BTC-27MAR26-100000-C"));
    }
    Ok(name)
}

fn row<R: Read>(table: &Table<R>, time: Timestamp) -> Result<Row, ReadError> {
    Ok(Row {
        bid: table.number("bid_price")?,
        ask: table.number("ask_price")?,
        mark: table.number("mark_price")?,
        mark_vol: table.number("implied_volatility")?,
        forward: table.number("underlying")?,
        open_interest: table.number("open_interest")?,
        funding_8h: None,
        index: table.number("index_price")?,
        time,
    })
}
