//! Deribit: JSON-RPC over a WebSocket.
//!
//! After it is open a connection is asked for heartbeats, for the instruments of every currency, for the channels (of which one says what is
//! newly traded), and then, every so
//! often, for the summary of every book of a currency: one reply that is a whole chain. A `test_request` is answered at once, or
//! Deribit closes. A book's changes name the change before; where they do not follow, the book is dropped and its channel is
//! subscribed anew, which brings a snapshot.
//!
//! Prices of inverse options are in coin, volatilities per cent on the wire and decimals here.

mod wire;

use crate::field::{Figure, json, millis, optional};
use crate::order::Stated;
use crate::protocol::{Ask, Protocol, Turn};
use crate::reading::{Figures, priced};
use crate::refusal::refuse;
use crate::{Amounts, Book, Depth, Price, Quote, Reading, Reason, Refusal, Side, Trade};
use plimsoll_types::{Asset, Contract, Instrument, Timestamp, nearest_f64};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use wire::{
    BookData, Frame, IndexData, Level, Listing, Params, QuoteData, StateData, Summary, Ticker, TradeData,
};

/// Seconds between heartbeats that are asked for; Deribit takes no less than 10.
const HEARTBEAT_SECONDS: u32 = 10;
/// Channels of one subscription.
const CHANNELS_MAX: usize = 400;
/// Instruments whose last quote is kept.
const INSTRUMENTS_MAX: usize = 20_000;

/// What is asked for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wanted {
    /// Price indices by their names, such as `btc_usd`: of what, and in what.
    pub indices: BTreeMap<String, (Asset, Asset)>,
    /// Currencies whose instruments and book summaries are asked for, such as `BTC`.
    pub currencies: BTreeSet<String>,
    /// Instruments whose ticker is listened to.
    pub tickers: BTreeSet<Instrument>,
    /// Instruments whose book is listened to: depth of futures and perpetuals, best prices of options.
    pub books: BTreeSet<Instrument>,
    /// Instruments whose trades are listened to.
    pub trades: BTreeSet<Instrument>,
    /// Seconds from one summary to the next.
    pub summary_seconds: i64,
    /// The band of depth, a share of the middle.
    pub band: f64,
}

/// What a reply is to.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Call {
    Heartbeat,
    Test,
    Subscribe(Vec<String>),
    Unsubscribe,
    Instruments,
    Summary,
}

/// A book being followed.
#[derive(Clone, Debug, Default)]
struct Followed {
    book: Book,
    /// The last change; nothing while a snapshot is waited for.
    last: Option<u64>,
}

/// The protocol.
#[derive(Clone, Debug)]
pub struct Deribit {
    wanted: Wanted,
    calls: BTreeMap<u64, Call>,
    next: u64,
    books: BTreeMap<Instrument, Followed>,
    quotes: BTreeMap<Instrument, Quote>,
    stated: Stated,
    summary_at: Option<Timestamp>,
}

impl Deribit {
    /// Listens to what is wanted.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            calls: BTreeMap::new(),
            next: 1,
            books: BTreeMap::new(),
            quotes: BTreeMap::new(),
            stated: Stated::default(),
            summary_at: None,
        }
    }

    /// The channels of what is wanted.
    pub fn channels(&self) -> Vec<String> {
        let wanted = &self.wanted;
        let indices = wanted.indices.keys().map(|name| format!("deribit_price_index.{name}"));
        let tickers = wanted.tickers.iter().map(|name| format!("ticker.{name}.100ms"));
        let books = wanted.books.iter().map(|name| format!("book.{name}.100ms"));
        let trades = wanted.trades.iter().map(|name| format!("trades.{name}.100ms"));
        let states = wanted.currencies.iter().map(|name| format!("instrument.state.any.{name}"));
        indices.chain(tickers).chain(books).chain(trades).chain(states).collect()
    }

    fn call(&mut self, turn: &mut Turn, call: Call, method: &str, params: &serde_json::Value) {
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.calls.insert(id, call);
        // Replies that never come are forgotten in their turn.
        if self.calls.len() > 1000 {
            self.calls.pop_first();
        }
        let text = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        turn.ask(Ask::Send(text.to_string()));
    }

    fn subscribe(&mut self, turn: &mut Turn, channels: Vec<String>) {
        for part in channels.chunks(CHANNELS_MAX) {
            let call = Call::Subscribe(part.to_vec());
            self.call(turn, call, "public/subscribe", &json!({ "channels": part }));
        }
    }

    fn summaries(&mut self, at: Timestamp, turn: &mut Turn) {
        self.summary_at = Some(at);
        for currency in self.wanted.currencies.clone() {
            self.call(
                turn,
                Call::Summary,
                "public/get_book_summary_by_currency",
                &json!({ "currency": currency }),
            );
        }
    }

    fn channel(&mut self, params: &Params<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let (Some(channel), Some(data)) = (params.channel.as_deref(), params.data) else {
            return refuse(Reason::Malformed, "a notification without channel or data");
        };
        let data = data.get().as_bytes();
        match channel.split('.').next().unwrap_or_default() {
            "deribit_price_index" => self.index(&json(data)?, turn),
            "ticker" => self.ticker(&json(data)?, turn),
            "book" => self.book(channel, &json(data)?, turn),
            "quote" => self.best(&json(data)?, turn),
            "trades" => self.trades(&json::<Vec<TradeData<'_>>>(data)?, turn),
            "instrument" => {
                let StateData { instrument_name, state } = json(data)?;
                self.listings(&[Listing { instrument_name, is_active: state == "started" }], turn)
            }
            _ => refuse(Reason::Unasked, format_args!("channel {channel}")),
        }
    }

    fn index(&mut self, data: &IndexData<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let Some((asset, quote)) = self.wanted.indices.get(&data.index_name) else {
            return refuse(Reason::Unasked, format_args!("index {}", data.index_name));
        };
        let (time, price) = (millis(data.timestamp)?, data.price.number("price")?);
        self.stated.take(asset, time, price)?;
        turn.say(Reading::Price(Price {
            asset: asset.clone(),
            quote: quote.clone(),
            // Deribit numbers nothing here; its milliseconds rise.
            sequence: data.timestamp.unsigned_abs(),
            time,
            price,
            confidence: None,
            valid_until: None,
        }));
        Ok(())
    }

    fn ticker(&mut self, data: &Ticker<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let instrument = priced(&data.instrument_name)?;
        self.say(data.quote(instrument)?, turn)
    }

    /// Says a quote and keeps it, so that a change of its best prices alone can be said with the rest.
    fn say(&mut self, quote: Quote, turn: &mut Turn) -> Result<(), Refusal> {
        let instrument = quote.instrument();
        if let Some(last) = self.quotes.get(instrument).filter(|last| last.time() > quote.time()) {
            return refuse(
                Reason::OutOfOrder,
                format_args!("{instrument} of {} after {}", quote.time(), last.time()),
            );
        }
        if self.quotes.len() < INSTRUMENTS_MAX || self.quotes.contains_key(instrument) {
            self.quotes.insert(instrument.clone(), quote.clone());
        }
        turn.say(Reading::Quote(quote));
        Ok(())
    }

    fn best(&mut self, data: &QuoteData<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let instrument = priced(&data.instrument_name)?;
        let bid = wire::side(data.best_bid_price, data.best_bid_amount, "best_bid_price")?;
        let ask = wire::side(data.best_ask_price, data.best_ask_amount, "best_ask_price")?;
        self.best_of(instrument, (bid, ask), millis(data.timestamp)?, turn)
    }

    fn best_of(
        &mut self,
        instrument: Instrument,
        (bid, ask): (Option<f64>, Option<f64>),
        time: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let known = self.quotes.get(&instrument).cloned();
        let nothing_yet = || Figures { time, ..Figures::default() }.quote(instrument);
        let mut quote = known.map_or_else(nothing_yet, Ok)?;
        match &mut quote {
            Quote::Option(q) => (q.bid, q.ask, q.time) = (bid, ask, time.max(q.time)),
            Quote::Future(q) => (q.bid, q.ask, q.time) = (bid, ask, time.max(q.time)),
            Quote::Perpetual(q) => (q.bid, q.ask, q.time) = (bid, ask, time.max(q.time)),
        }
        self.say(quote, turn)
    }

    fn book(&mut self, channel: &str, data: &BookData<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let instrument = priced(&data.instrument_name)?;
        if !self.wanted.books.contains(&instrument) {
            return refuse(Reason::Unasked, format_args!("book of {instrument}"));
        }
        let time = millis(data.timestamp)?;
        let followed = self.books.entry(instrument.clone()).or_default();
        if let Err(refusal) = follow(followed, data) {
            *followed = Followed::default();
            if refusal.reason == Reason::Gap {
                let channel = vec![channel.to_owned()];
                self.call(turn, Call::Unsubscribe, "public/unsubscribe", &json!({ "channels": channel }));
                self.subscribe(turn, channel);
            }
            return Err(refusal);
        }
        if matches!(instrument.contract(), Contract::Option { .. }) {
            let (bid, ask) = followed.book.best();
            return self.best_of(instrument, (bid.map(nearest_f64), ask.map(nearest_f64)), time, turn);
        }
        let amounts = if instrument.sized_in_quote() { Amounts::Quote } else { Amounts::Base };
        let shown = followed.book.shown(self.wanted.band, amounts);
        let asset = instrument.underlying().clone();
        turn.say(Reading::Depth(Depth { asset, depth: shown.depth, spread: shown.spread, time }));
        Ok(())
    }

    fn trades(&self, trades: &[TradeData<'_>], turn: &mut Turn) -> Result<(), Refusal> {
        for trade in trades {
            let amount = trade.amount.decimal("amount")?;
            let signed = match trade.direction.as_str() {
                "buy" => amount,
                "sell" => -amount,
                other => return refuse(Reason::Malformed, format_args!("direction {other}")),
            };
            turn.say(Reading::Trade(Trade {
                symbol: trade.instrument_name.clone(),
                price: trade.price.number("price")?,
                amount: crate::Number::of(signed)?,
                time: millis(trade.timestamp)?,
            }));
        }
        Ok(())
    }

    fn listings(&self, listings: &[Listing], turn: &mut Turn) -> Result<(), Refusal> {
        let mut first = Ok(());
        for listing in listings {
            match priced(&listing.instrument_name) {
                Ok(instrument) => turn.say(Reading::Listed { instrument, active: listing.is_active }),
                Err(refusal) => first = first.and(Err(refusal)),
            }
        }
        first
    }

    fn summary(&mut self, rows: &[Summary<'_>], turn: &mut Turn) -> Result<(), Refusal> {
        let mut first = Ok(());
        for row in rows {
            let said =
                priced(&row.instrument_name).and_then(|i| row.quote(i)).and_then(|q| self.say(q, turn));
            first = first.and(said);
        }
        first
    }

    fn reply(&mut self, id: u64, frame: &Frame<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let Some(call) = self.calls.remove(&id) else {
            return refuse(Reason::Unasked, format_args!("reply {id}"));
        };
        let Some(result) = frame.result.map(|raw| raw.get().as_bytes()) else {
            return refuse(Reason::Malformed, format_args!("reply {id} without a result"));
        };
        match call {
            Call::Heartbeat | Call::Test | Call::Unsubscribe => Ok(()),
            Call::Instruments => self.listings(&json::<Vec<Listing>>(result)?, turn),
            Call::Summary => self.summary(&json::<Vec<Summary<'_>>>(result)?, turn),
            Call::Subscribe(asked) => {
                let given: BTreeSet<String> = json(result)?;
                match asked.iter().find(|channel| !given.contains(*channel)) {
                    Some(missing) => refuse(Reason::Venue, format_args!("not subscribed to {missing}")),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Takes a snapshot, or a change that follows the last.
fn follow(followed: &mut Followed, data: &BookData<'_>) -> Result<(), Refusal> {
    let whole = match data.kind.as_deref() {
        Some("snapshot") => true,
        Some("change") => false,
        Some(other) => return refuse(Reason::Malformed, format_args!("book of type {other}")),
        // Grouped books come whole each time; older changes have no type but name the one before.
        None => data.prev_change_id.is_none(),
    };
    if !whole && (followed.last.is_none() || followed.last != data.prev_change_id) {
        let (found, last) = (data.prev_change_id, followed.last);
        return refuse(Reason::Gap, format_args!("{} {found:?} after {last:?}", data.instrument_name));
    }
    if whole {
        followed.book = Book::default();
    }
    for (side, levels) in [(Side::Bid, &data.bids), (Side::Ask, &data.asks)] {
        for level in levels {
            let Level { price, amount } = level.read()?;
            followed.book.set(side, price, amount);
        }
    }
    followed.last = Some(data.change_id);
    Ok(())
}

impl Protocol for Deribit {
    fn open(&mut self, at: Timestamp, turn: &mut Turn) {
        self.calls.clear();
        self.books.clear();
        self.quotes.clear();
        self.call(turn, Call::Heartbeat, "public/set_heartbeat", &json!({ "interval": HEARTBEAT_SECONDS }));
        for currency in self.wanted.currencies.clone() {
            let params = json!({ "currency": currency, "expired": false });
            self.call(turn, Call::Instruments, "public/get_instruments", &params);
        }
        let channels = self.channels();
        self.subscribe(turn, channels);
        self.summaries(at, turn);
    }

    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let frame: Frame<'_> = json(frame)?;
        if let Some(error) = &frame.error {
            frame.id.and_then(|id| self.calls.remove(&id));
            return refuse(Reason::Venue, format_args!("{} {}", error.code, error.message));
        }
        match (frame.method.as_deref(), &frame.params, frame.id) {
            (Some("subscription"), Some(params), _) => self.channel(params, turn),
            (Some("heartbeat"), Some(params), _) => {
                if params.kind.as_deref() == Some("test_request") {
                    self.call(turn, Call::Test, "public/test", &json!({}));
                }
                for (asset, _) in self.wanted.indices.values() {
                    if self.stated.last(asset).is_some() {
                        turn.say(Reading::Alive { asset: asset.clone(), time: at });
                    }
                }
                Ok(())
            }
            (None, _, Some(id)) => self.reply(id, &frame, turn),
            (method, ..) => refuse(Reason::Unasked, format_args!("method {}", method.unwrap_or("none"))),
        }
    }

    fn fetched(&mut self, path: &str, body: &[u8], _at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let frame: Frame<'_> = json(body)?;
        let Some(result) = frame.result.map(|raw| raw.get().as_bytes()) else {
            return refuse(Reason::Malformed, "no result");
        };
        match path.split('?').next().unwrap_or_default() {
            "/api/v2/public/get_instruments" => self.listings(&json::<Vec<Listing>>(result)?, turn),
            "/api/v2/public/get_book_summary_by_currency" => {
                self.summary(&json::<Vec<Summary<'_>>>(result)?, turn)
            }
            "/api/v2/public/ticker" => self.ticker(&json(result)?, turn),
            other => refuse(Reason::Unasked, other),
        }
    }

    fn tick(&mut self, at: Timestamp, turn: &mut Turn) {
        let due =
            self.summary_at.is_none_or(|last| at >= last.plus_seconds(self.wanted.summary_seconds.max(1)));
        if due && !self.wanted.currencies.is_empty() {
            self.summaries(at, turn);
        }
    }
}
