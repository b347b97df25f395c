//! What was recorded, told again at a chosen speed.
//!
//! Three kinds of recordings: tables as tardis.dev has them ([`Tape`]), market files of any form that `plimsoll_market::read` knows
//! ([`of_snapshot`]), and raw frames with the instant each arrived ([`Frames`]), which go through the venue's own protocol. A tape is
//! handed rows field by field and knows no file format: [`csv()`] reads CSV here, and Parquet is read by whoever has its reader.

use crate::number::decimal;
use crate::protocol::{Protocol, Turn};
use crate::reading::{Figures, priced};
use crate::refusal::refuse;
use crate::{Amounts, Book, Depth, Number, Price, Quote, Reading, Reason, Refusal, Side, Trade};
use plimsoll_types::{Asset, Decimal, Instrument, Snapshot, Timestamp, nearest_f64};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::time::Duration;

/// What was said at an instant of the recording.
#[derive(Clone, PartialEq, Debug)]
pub struct Said {
    /// When it arrived then.
    pub at: Timestamp,
    /// What it comes to.
    pub readings: Vec<Reading>,
}

/// How fast a recording is told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    from: Timestamp,
    started: Timestamp,
    speed: f64,
}

impl Pace {
    /// A recording that begins at `from` is told from `started` on, `speed` times as fast as it happened; as fast as it goes where
    /// that is infinite.
    ///
    /// # Errors
    /// [`Reason::Number`] for a speed that is not above 0.
    pub fn new(from: Timestamp, started: Timestamp, speed: f64) -> Result<Self, Refusal> {
        if speed > 0.0 {
            Ok(Self { from, started, speed })
        } else {
            refuse(Reason::Number, format_args!("speed {speed}"))
        }
    }

    /// The instant at which what arrived at `at` is told.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "nanoseconds that are rounded; beyond the range they saturate"
    )]
    pub fn due(&self, at: Timestamp) -> Timestamp {
        let nanos = self.from.seconds_until(at).max(0.0) / self.speed * 1e9;
        Timestamp::from_nanos(self.started.nanos().saturating_add(nanos as i64))
    }

    /// How long to wait for it.
    pub fn wait(&self, at: Timestamp, now: Timestamp) -> Duration {
        let nanos = self.due(at).nanos().saturating_sub(now.nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }

    /// A reading with its times moved along, for an engine that runs by today's clock. Expiries stay where they are.
    #[must_use]
    pub fn moved(&self, reading: Reading) -> Reading {
        let to = |time: &mut Timestamp| *time = self.due(*time);
        let mut moved = reading;
        match &mut moved {
            Reading::Price(price) => {
                let counted = price.sequence == price.time.nanos().unsigned_abs();
                to(&mut price.time);
                // Where times are the numbers they stay so: what is told a second time is newer than what was told before.
                if counted {
                    price.sequence = price.time.nanos().unsigned_abs();
                }
                price.valid_until.as_mut().map(to);
            }
            Reading::Alive { time, .. } => to(time),
            Reading::Quote(Quote::Option(quote)) => to(&mut quote.time),
            Reading::Quote(Quote::Future(quote)) => to(&mut quote.time),
            Reading::Quote(Quote::Perpetual(quote)) => to(&mut quote.time),
            Reading::Depth(depth) => to(&mut depth.time),
            Reading::Trade(trade) => to(&mut trade.time),
            Reading::Listed { .. } => {}
        }
        moved
    }
}

/// What a symbol of a recording stands for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Of what its index is.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// What its quotes are of.
    pub instrument: Option<Instrument>,
}

/// The tables of tardis.dev that are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// `trades`.
    Trades,
    /// `incremental_book_L2`.
    BookChanges,
    /// `derivative_ticker`.
    DerivativeTicker,
    /// `options_chain`.
    OptionsChain,
}

impl Table {
    /// By the columns there are.
    ///
    /// # Errors
    /// [`Reason::Version`] for those of none.
    pub fn of(columns: &[&str]) -> Result<Self, Refusal> {
        let has = |name: &str| columns.contains(&name);
        let known = has("symbol") && has("timestamp") && has("local_timestamp");
        match () {
            () if known && has("mark_iv") => Ok(Self::OptionsChain),
            () if known && has("is_snapshot") => Ok(Self::BookChanges),
            () if known && has("funding_rate") => Ok(Self::DerivativeTicker),
            () if known && has("id") && has("side") => Ok(Self::Trades),
            () => refuse(Reason::Version, format_args!("columns {}", columns.join(","))),
        }
    }
}

/// A field of a row by the name of its column; `None` where there is none, or nothing in it.
pub type Field<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// A table of tardis.dev being told.
#[derive(Clone, Debug)]
pub struct Tape {
    table: Table,
    names: BTreeMap<String, Named>,
    band: f64,
    /// Books by symbol, and whether the last row was of a snapshot.
    books: BTreeMap<String, (Book, bool)>,
}

impl Tape {
    /// A table whose symbols are named; those of Deribit name themselves. Depth is within `band`, a share of the middle.
    pub fn new(table: Table, names: BTreeMap<String, Named>, band: f64) -> Self {
        Self { table, names, band, books: BTreeMap::new() }
    }

    /// What a row comes to.
    ///
    /// # Errors
    /// [`Reason::Malformed`], [`Reason::Number`], [`Reason::Time`] for what a field must not hold, [`Reason::Instrument`] for a
    /// symbol that is not named.
    pub fn row(&mut self, field: &Field<'_>) -> Result<Said, Refusal> {
        let (at, time) = (micros(field, "local_timestamp")?, micros(field, "timestamp")?);
        let symbol = text(field, "symbol")?;
        let readings = match self.table {
            Table::Trades => vec![trade(field, symbol, time)?],
            Table::BookChanges => vec![self.change(field, symbol, time)?],
            Table::DerivativeTicker => self.ticker(field, symbol, time)?,
            Table::OptionsChain => vec![option(field, priced(symbol)?, time)?],
        };
        Ok(Said { at, readings })
    }

    fn named(&self, symbol: &str) -> Result<Named, Refusal> {
        if let Some(named) = self.names.get(symbol) {
            return Ok(named.clone());
        }
        let instrument = priced(symbol)?;
        let (asset, quote) = (instrument.underlying().clone(), instrument.quote().clone());
        Ok(Named { asset, quote, instrument: Some(instrument) })
    }

    fn change(&mut self, field: &Field<'_>, symbol: &str, time: Timestamp) -> Result<Reading, Refusal> {
        let named = self.named(symbol)?;
        let snapshot = text(field, "is_snapshot")? == "true";
        let side = match text(field, "side")? {
            "bid" => Side::Bid,
            "ask" => Side::Ask,
            other => return refuse(Reason::Malformed, format_args!("side {other}")),
        };
        let (price, amount) = (figure(field, "price")?, figure(field, "amount")?);
        let (book, in_snapshot) = self.books.entry(symbol.to_owned()).or_default();
        if snapshot && !*in_snapshot {
            *book = Book::default();
        }
        *in_snapshot = snapshot;
        book.set(side, price, amount);
        let quote_sized = named.instrument.as_ref().is_some_and(Instrument::sized_in_quote);
        let shown = book.shown(self.band, if quote_sized { Amounts::Quote } else { Amounts::Base });
        Ok(Reading::Depth(Depth { asset: named.asset, depth: shown.depth, spread: shown.spread, time }))
    }

    fn ticker(&self, field: &Field<'_>, symbol: &str, time: Timestamp) -> Result<Vec<Reading>, Refusal> {
        let Named { asset, quote, instrument } = self.named(symbol)?;
        let mut readings = Vec::new();
        if let Some(index) = maybe(field, "index_price")? {
            readings.push(Reading::Price(price(asset, quote, time, Number::of(index)?)));
        }
        if let Some(instrument) = instrument {
            let figures = Figures {
                mark: float(field, "mark_price")?,
                open_interest: float(field, "open_interest")?,
                funding_8h: float(field, "funding_rate")?,
                time,
                ..Figures::default()
            };
            readings.push(Reading::Quote(figures.quote(instrument)?));
        }
        Ok(readings)
    }
}

fn price(asset: Asset, quote: Asset, time: Timestamp, price: Number) -> Price {
    let sequence = time.nanos().unsigned_abs();
    Price { asset, quote, sequence, time, price, confidence: None, valid_until: None }
}

fn text<'a>(field: &Field<'a>, name: &str) -> Result<&'a str, Refusal> {
    field(name).ok_or_else(|| Refusal::new(Reason::Malformed, format_args!("no {name}")))
}

fn micros(field: &Field<'_>, name: &str) -> Result<Timestamp, Refusal> {
    let text = text(field, name)?;
    let time = text.parse().ok().and_then(|micros| Timestamp::from_micros(micros).ok());
    time.ok_or_else(|| Refusal::new(Reason::Time, format_args!("{name} is {text} us")))
}

fn maybe(field: &Field<'_>, name: &str) -> Result<Option<Decimal>, Refusal> {
    field(name).map(|text| decimal(text, name)).transpose()
}

fn figure(field: &Field<'_>, name: &str) -> Result<Decimal, Refusal> {
    decimal(text(field, name)?, name)
}

fn float(field: &Field<'_>, name: &str) -> Result<Option<f64>, Refusal> {
    Ok(maybe(field, name)?.map(nearest_f64))
}

fn trade(field: &Field<'_>, symbol: &str, time: Timestamp) -> Result<Reading, Refusal> {
    let amount = figure(field, "amount")?;
    let amount = match text(field, "side")? {
        "buy" => amount,
        "sell" => -amount,
        other => return refuse(Reason::Malformed, format_args!("side {other}")),
    };
    let (price, amount) = (Number::of(figure(field, "price")?)?, Number::of(amount)?);
    Ok(Reading::Trade(Trade { symbol: symbol.to_owned(), price, amount, time }))
}

/// An option's row. Prices are in coin, volatilities per cent; a price of 0 without an amount is none.
fn option(field: &Field<'_>, instrument: Instrument, time: Timestamp) -> Result<Reading, Refusal> {
    let side = |price: &str, amount: &str| -> Result<Option<f64>, Refusal> {
        let amount = float(field, amount)?;
        Ok(float(field, price)?.filter(|p| *p != 0.0 || amount.is_some_and(|a| a != 0.0)))
    };
    let figures = Figures {
        bid: side("bid_price", "bid_amount")?,
        ask: side("ask_price", "ask_amount")?,
        mark: float(field, "mark_price")?,
        mark_vol: float(field, "mark_iv")?.map(|percent| percent / 100.0),
        forward: float(field, "underlying_price")?,
        open_interest: float(field, "open_interest")?,
        time,
        ..Figures::default()
    };
    figures.quote(instrument).map(Reading::Quote)
}

/// A CSV of tardis.dev, row by row, each to what it comes to or why not. What is no table at all is an error of the first item.
///
/// # Errors
/// [`Reason::Malformed`] for a header that cannot be read, [`Reason::Version`] for one of no table.
pub fn csv<R: Read>(
    reader: R,
    names: BTreeMap<String, Named>,
    band: f64,
) -> Result<impl Iterator<Item = Result<Said, Refusal>>, Refusal> {
    let malformed = |error: csv::Error| Refusal::new(Reason::Malformed, error);
    let mut reader = csv::ReaderBuilder::new().quoting(false).from_reader(reader);
    let header = reader.headers().map_err(malformed)?.clone();
    let columns: Vec<&str> = header.iter().collect();
    let mut tape = Tape::new(Table::of(&columns)?, names, band);
    Ok(reader.into_records().map(move |row| {
        let row = row.map_err(malformed)?;
        let place = |name: &str| header.iter().position(|column| column == name);
        tape.row(&|name| place(name).and_then(|at| row.get(at)).filter(|text| !text.is_empty()))
    }))
}

/// Raw frames, each with the instant it arrived at, through the protocol of their venue: lines of nanoseconds, a space and the frame.
#[derive(Debug)]
pub struct Frames<P, R> {
    protocol: P,
    lines: std::io::Lines<R>,
    opened: bool,
}

impl<P: Protocol, R: BufRead> Frames<P, R> {
    /// Frames out of a reader, to a protocol.
    pub fn new(protocol: P, reader: R) -> Self {
        Self { protocol, lines: reader.lines(), opened: false }
    }

    fn line(&mut self, line: &str) -> Result<Said, Refusal> {
        let (nanos, frame) = line
            .split_once(' ')
            .ok_or_else(|| Refusal::new(Reason::Malformed, "a line without an instant"))?;
        let at = nanos.parse().map(Timestamp::from_nanos);
        let at = at.map_err(|_| Refusal::new(Reason::Time, format_args!("{nanos} ns")))?;
        let mut turn = Turn::default();
        if !std::mem::replace(&mut self.opened, true) {
            self.protocol.open(at, &mut Turn::default());
        }
        self.protocol.receive(frame.as_bytes(), at, &mut turn)?;
        Ok(Said { at, readings: turn.readings })
    }
}

impl<P: Protocol, R: BufRead> Iterator for Frames<P, R> {
    type Item = Result<Said, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        Some(match line {
            Ok(line) => self.line(&line),
            Err(error) => refuse(Reason::Malformed, error),
        })
    }
}

/// A snapshot of a market file as readings: its index prices, by their sources' own numbers, and its quotes.
///
/// # Errors
/// [`Reason::Number`] for an index price that has more digits than can be stated.
pub fn of_snapshot(snapshot: &Snapshot, quote: &Asset) -> Result<Said, Refusal> {
    let mut readings = Vec::new();
    for (asset, market) in &snapshot.underlyings {
        for index in &market.index {
            let digits = Number::of(decimal(&index.price.to_string(), "index")?)?;
            readings.push(Reading::Price(price(asset.clone(), quote.clone(), index.time, digits)));
        }
        let options = market.options.iter().cloned().map(Quote::Option);
        let futures = market.futures.iter().cloned().map(Quote::Future);
        let perpetuals = market.perpetuals.iter().cloned().map(Quote::Perpetual);
        readings.extend(options.chain(futures).chain(perpetuals).map(Reading::Quote));
    }
    Ok(Said { at: snapshot.as_of, readings })
}
