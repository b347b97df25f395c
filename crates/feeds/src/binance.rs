//! Binance: USD-M futures and spot, streams over a WebSocket with a book's snapshot from REST.
//!
//! A book is built as the exchange says: changes are kept until the snapshot is there, those before it are dropped, the first one used
//! must span its number, and each one after must name the one before (`pu` of futures, `U = u + 1` of spot). Where one does not, the book is
//! dropped and a snapshot is asked for; what is asked for and does not come is asked for again.

mod sync;
mod wire;

use crate::field::{json, millis, optional};
use crate::order::Stated;
use crate::protocol::{Ask, Protocol, Turn};
use crate::refusal::refuse;
use crate::{Amounts, Depth, Number, Price, Quote, Reading, Reason, Refusal, Trade};
use plimsoll_types::{Asset, Instrument, PerpQuote, Timestamp};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use sync::Sync;
use wire::{BookTicker, Diff, Envelope, Kind, MarkPrice, OpenInterest, Snapshot, TradeData};

/// Seconds after which a snapshot that did not come is asked for again.
const SNAPSHOT_SECONDS: i64 = 5;
/// Seconds between two looks at open interest.
const OPEN_INTEREST_SECONDS: i64 = 60;

/// Which market.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// USD-M futures.
    UsdM,
    /// Spot.
    Spot,
}

impl Market {
    fn depth_path(self, symbol: &str) -> String {
        match self {
            Self::UsdM => format!("/fapi/v1/depth?symbol={symbol}&limit=1000"),
            Self::Spot => format!("/api/v3/depth?symbol={symbol}&limit=5000"),
        }
    }
}

/// A symbol that is listened to.
#[derive(Clone, PartialEq, Debug)]
pub struct Symbol {
    /// Its name on the wire, such as `BTCUSDT`.
    pub symbol: String,
    /// Of what its index is.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// Whether its index price is wanted.
    pub index: bool,
    /// The perpetual that its quotes are of, where they are wanted.
    pub instrument: Option<Instrument>,
    /// Hours from one funding to the next; 8 for most.
    pub funding_hours: u32,
    /// Whether its book is listened to.
    pub book: bool,
    /// Whether its trades are.
    pub trades: bool,
}

/// The protocol.
#[derive(Clone, Debug)]
pub struct Binance {
    market: Market,
    symbols: BTreeMap<String, Symbol>,
    band: f64,
    books: BTreeMap<String, Sync>,
    quotes: BTreeMap<String, PerpQuote>,
    /// The number of the last best prices.
    best: BTreeMap<String, u64>,
    stated: Stated,
    interest_at: Option<Timestamp>,
}

impl Binance {
    /// Listens to symbols of a market; depth is within `band`, a share of the middle.
    pub fn new(market: Market, symbols: Vec<Symbol>, band: f64) -> Self {
        let symbols = symbols.into_iter().map(|symbol| (symbol.symbol.clone(), symbol)).collect();
        let (books, quotes, best) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { market, symbols, band, books, quotes, best, stated: Stated::default(), interest_at: None }
    }

    /// The streams of what is wanted.
    pub fn streams(&self) -> Vec<String> {
        let futures = self.market == Market::UsdM;
        let of = |symbol: &Symbol| {
            let name = symbol.symbol.to_ascii_lowercase();
            let wants = [
                ("markPrice@1s", futures && (symbol.index || symbol.instrument.is_some())),
                ("bookTicker", symbol.instrument.is_some()),
                ("depth@100ms", symbol.book),
                ("trade", symbol.trades),
            ];
            let wanted = wants.into_iter().filter(|(_, wanted)| *wanted);
            wanted.map(|(stream, _)| format!("{name}@{stream}")).collect::<Vec<_>>()
        };
        self.symbols.values().flat_map(of).collect()
    }

    fn symbol(&self, name: &str) -> Result<&Symbol, Refusal> {
        self.symbols.get(name).ok_or_else(|| Refusal::new(Reason::Unasked, format_args!("symbol {name}")))
    }

    fn mark_price(&mut self, data: &MarkPrice<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let symbol = self.symbol(&data.symbol)?.clone();
        let time = millis(data.event_time)?;
        if let Some(instrument) = symbol.instrument.clone() {
            let hours = f64::from(symbol.funding_hours.max(1));
            let last = self.quotes.get(&symbol.symbol);
            let quote = PerpQuote {
                instrument,
                mark: Some(data.mark.float("p")?),
                bid: last.and_then(|q| q.bid),
                ask: last.and_then(|q| q.ask),
                funding_8h: optional(data.funding, "r")?.map(|rate| rate * 8.0 / hours),
                open_interest: last.and_then(|q| q.open_interest),
                time: last.map_or(time, |q| q.time.max(time)),
            };
            self.say(&symbol.symbol, quote, turn);
        }
        let Some(index) = data.index.filter(|_| symbol.index) else { return Ok(()) };
        let price = index.number("i")?;
        self.stated.take(&symbol.asset, time, price)?;
        turn.say(Reading::Price(Price {
            asset: symbol.asset,
            quote: symbol.quote,
            sequence: data.event_time.unsigned_abs(),
            time,
            price,
            confidence: None,
            valid_until: None,
        }));
        Ok(())
    }

    fn say(&mut self, symbol: &str, quote: PerpQuote, turn: &mut Turn) {
        self.quotes.insert(symbol.to_owned(), quote.clone());
        turn.say(Reading::Quote(Quote::Perpetual(quote)));
    }

    fn best_prices(&mut self, data: &BookTicker<'_>, at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let symbol = self.symbol(&data.symbol)?;
        let Some(instrument) = symbol.instrument.clone() else {
            return refuse(Reason::Unasked, format_args!("best prices of {}", data.symbol));
        };
        let (bid, ask) = (data.side(data.bid, data.bid_amount)?, data.side(data.ask, data.ask_amount)?);
        let time = data.event_time.map_or(Ok(at), millis)?;
        match self.best.get(&data.symbol) {
            Some(last) if *last == data.update => {
                return refuse(Reason::Duplicate, format_args!("best prices {}", data.update));
            }
            Some(last) if *last > data.update => {
                return refuse(Reason::OutOfOrder, format_args!("best prices {} after {last}", data.update));
            }
            _ => self.best.insert(data.symbol.clone(), data.update),
        };
        let last = self.quotes.get(&data.symbol).cloned();
        let empty =
            PerpQuote { instrument, mark: None, bid, ask, funding_8h: None, open_interest: None, time };
        let time = last.as_ref().map_or(time, |q| q.time.max(time));
        let quote = PerpQuote { bid, ask, time, ..last.unwrap_or(empty) };
        self.say(&data.symbol, quote, turn);
        Ok(())
    }

    fn book(&mut self, name: &str) -> Result<&mut Sync, Refusal> {
        if !self.symbol(name)?.book {
            return refuse(Reason::Unasked, format_args!("book of {name}"));
        }
        let market = self.market;
        Ok(self.books.entry(name.to_owned()).or_insert_with(|| Sync::new(market)))
    }

    fn change(&mut self, data: &Diff<'_>, at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let change = data.read()?;
        let (time, path) = (change.time, self.market.depth_path(&data.symbol));
        let book = self.book(&data.symbol)?;
        let taken = book.change(change);
        if book.wants_snapshot(at, SNAPSHOT_SECONDS) {
            turn.ask(Ask::Fetch(path));
        }
        if taken? {
            self.show(&data.symbol, time, turn);
        }
        Ok(())
    }

    fn snapshot(
        &mut self,
        name: &str,
        data: &Snapshot<'_>,
        at: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let levels = data.read()?;
        let time = data.event_time.map_or(Ok(at), millis)?;
        let latest = self.book(name)?.snapshot(data.last_update, &levels, at)?.unwrap_or(time);
        self.show(name, latest, turn);
        Ok(())
    }

    fn show(&self, name: &str, time: Timestamp, turn: &mut Turn) {
        let Some((symbol, book)) = self.symbols.get(name).zip(self.books.get(name)) else { return };
        let shown = book.book().shown(self.band, Amounts::Base);
        turn.say(Reading::Depth(Depth {
            asset: symbol.asset.clone(),
            depth: shown.depth,
            spread: shown.spread,
            time,
        }));
    }

    fn trade(&self, data: &TradeData<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        if !self.symbol(&data.symbol)?.trades {
            return refuse(Reason::Unasked, format_args!("trades of {}", data.symbol));
        }
        let amount = data.amount.decimal("q")?;
        turn.say(Reading::Trade(Trade {
            symbol: data.symbol.clone(),
            price: data.price.number("p")?,
            amount: Number::of(if data.buyer_makes { -amount } else { amount })?,
            time: millis(data.time)?,
        }));
        Ok(())
    }

    fn open_interest(&mut self, data: &OpenInterest<'_>) -> Result<(), Refusal> {
        self.symbol(&data.symbol)?;
        let open_interest = Some(data.open_interest.float("openInterest")?);
        match self.quotes.get_mut(&data.symbol) {
            // It is said with the next mark.
            Some(quote) => quote.open_interest = open_interest,
            None => {
                return refuse(
                    Reason::OutOfOrder,
                    format_args!("open interest of {} before its mark", data.symbol),
                );
            }
        }
        Ok(())
    }

    fn stream(&mut self, stream: &str, data: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let name = stream.split('@').next().unwrap_or_default().to_ascii_uppercase();
        if !name.is_empty() {
            self.symbol(&name)?;
        }
        let kind: Kind = json(data)?;
        match kind.event.as_deref().or(stream.split('@').nth(1)) {
            Some("markPriceUpdate") => self.mark_price(&json(data)?, turn),
            Some("bookTicker") => self.best_prices(&json(data)?, at, turn),
            Some("depthUpdate") => self.change(&json(data)?, at, turn),
            Some("trade") => self.trade(&json(data)?, turn),
            // What tardis puts into its recordings of the stream.
            Some("depthSnapshot") => self.snapshot(&name, &json(data)?, at, turn),
            Some("openInterest") => self.open_interest(&json(data)?),
            other => refuse(Reason::Unasked, format_args!("event {}", other.unwrap_or("without a name"))),
        }
    }
}

impl Protocol for Binance {
    fn open(&mut self, at: Timestamp, turn: &mut Turn) {
        self.books.clear();
        self.quotes.clear();
        self.best.clear();
        self.interest_at = Some(at);
        let text = json!({ "method": "SUBSCRIBE", "params": self.streams(), "id": 1 });
        turn.ask(Ask::Send(text.to_string()));
    }

    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let envelope: Envelope<'_> = json(frame)?;
        if let Some(error) = envelope.error {
            return refuse(Reason::Venue, error.get());
        }
        match (envelope.data, envelope.id) {
            (Some(data), _) => {
                let stream = envelope.stream.unwrap_or_default();
                self.stream(&stream, data.get().as_bytes(), at, turn)
            }
            (None, Some(_)) => Ok(()),
            (None, None) => self.stream("", frame, at, turn),
        }
    }

    fn fetched(&mut self, path: &str, body: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let name = query.split('&').find_map(|part| part.strip_prefix("symbol=")).unwrap_or_default();
        match path {
            "/fapi/v1/depth" | "/api/v3/depth" => self.snapshot(name, &json(body)?, at, turn),
            "/fapi/v1/openInterest" => self.open_interest(&json(body)?),
            other => refuse(Reason::Unasked, other),
        }
    }

    fn tick(&mut self, at: Timestamp, turn: &mut Turn) {
        for (name, book) in &mut self.books {
            if book.wants_snapshot(at, SNAPSHOT_SECONDS) {
                turn.ask(Ask::Fetch(self.market.depth_path(name)));
            }
        }
        let due = self.interest_at.is_none_or(|last| at >= last.plus_seconds(OPEN_INTEREST_SECONDS));
        if due && self.market == Market::UsdM {
            self.interest_at = Some(at);
            for name in self.quotes.keys() {
                turn.ask(Ask::Fetch(format!("/fapi/v1/openInterest?symbol={name}")));
            }
        }
    }
}
