//! Hyperliquid: subscriptions over a WebSocket.
//!
//! Books come whole, so there is nothing to fall out of step with. Oracle prices come without a time: they are of the instant they
//! arrive, and one that has not changed is a sign of life. Funding is by the hour on the wire and by eight hours here.

use crate::field::{Figure, json, millis};
use crate::order::Stated;
use crate::protocol::{Ask, Protocol, Turn};
use crate::refusal::refuse;
use crate::{Amounts, Book, Depth, Number, Price, Quote, Reading, Reason, Refusal, Side, Trade};
use plimsoll_types::{Asset, Instrument, PerpQuote, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Hyperliquid closes what is silent for a minute.
const PING_SECONDS: i64 = 30;
/// Its largest book has 20 levels a side.
const LEVELS_MAX: usize = 1000;

/// A coin that is listened to.
#[derive(Clone, PartialEq, Debug)]
pub struct Coin {
    /// Its name on the wire: `BTC`, `@142`.
    pub coin: String,
    /// Of what its price is.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// Where its price comes from.
    pub price: Origin,
    /// The perpetual that its quotes are of, where they are wanted.
    pub instrument: Option<Instrument>,
    /// Whether its book is listened to.
    pub book: bool,
    /// Whether its trades are.
    pub trades: bool,
}

/// Where the price of a coin comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is not wanted.
    Nowhere,
    /// The validators' oracle.
    Oracle,
    /// The middle of its own book: of spot pairs, which have no oracle.
    Middle,
}

/// The protocol.
#[derive(Clone, Debug)]
pub struct Hyperliquid {
    coins: BTreeMap<String, Coin>,
    band: f64,
    quotes: BTreeMap<String, PerpQuote>,
    book_times: BTreeMap<String, Timestamp>,
    stated: Stated,
    pinged: Option<Timestamp>,
}

impl Hyperliquid {
    /// Listens to coins; depth is within `band`, a share of the middle.
    pub fn new(coins: Vec<Coin>, band: f64) -> Self {
        let coins = coins.into_iter().map(|coin| (coin.coin.clone(), coin)).collect();
        let (quotes, book_times) = (BTreeMap::new(), BTreeMap::new());
        Self { coins, band, quotes, book_times, stated: Stated::default(), pinged: None }
    }

    fn coin(&self, name: &str) -> Result<&Coin, Refusal> {
        self.coins.get(name).ok_or_else(|| Refusal::new(Reason::Unasked, format_args!("coin {name}")))
    }

    fn context(&mut self, data: &Context<'_>, at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let coin = self.coin(&data.coin)?.clone();
        if coin.price == Origin::Oracle {
            let price = data.ctx.oracle.number("oraclePx")?;
            self.price(&coin, price, at, turn)?;
        }
        let Some(instrument) = coin.instrument else { return Ok(()) };
        let read = |figure: Option<Figure<'_>>, field| crate::field::optional(figure, field);
        let last = self.quotes.get(&coin.coin);
        let quote = PerpQuote {
            instrument,
            mark: Some(data.ctx.mark.float("markPx")?),
            bid: last.and_then(|q| q.bid),
            ask: last.and_then(|q| q.ask),
            funding_8h: Some(8.0 * data.ctx.funding.float("funding")?),
            open_interest: read(data.ctx.open_interest, "openInterest")?,
            time: at,
        };
        self.quotes.insert(coin.coin, quote.clone());
        turn.say(Reading::Quote(Quote::Perpetual(quote)));
        Ok(())
    }

    /// Says a price that has changed; of one that has not, that it still holds.
    fn price(&mut self, coin: &Coin, price: Number, at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        if self.stated.last(&coin.asset) == Some(price) {
            turn.say(Reading::Alive { asset: coin.asset.clone(), time: at });
            return Ok(());
        }
        self.stated.take(&coin.asset, at, price)?;
        turn.say(Reading::Price(Price {
            asset: coin.asset.clone(),
            quote: coin.quote.clone(),
            sequence: at.nanos().unsigned_abs(),
            time: at,
            price,
            confidence: None,
            valid_until: None,
        }));
        Ok(())
    }

    fn book(&mut self, data: &BookData<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let coin = self.coin(&data.coin)?;
        if !coin.book {
            return refuse(Reason::Unasked, format_args!("book of {}", data.coin));
        }
        let (asset, time) = (coin.asset.clone(), millis(data.time)?);
        let [bids, asks] = &data.levels;
        let mut book = Book::default();
        for (side, levels) in [(Side::Bid, bids), (Side::Ask, asks)] {
            if levels.len() > LEVELS_MAX {
                return refuse(Reason::TooLong, format_args!("{} levels", levels.len()));
            }
            for level in levels {
                book.set(side, level.px.decimal("px")?, level.sz.decimal("sz")?);
            }
        }
        if let Some(last) = self.book_times.get(&data.coin).filter(|last| **last > time) {
            return refuse(Reason::OutOfOrder, format_args!("book of {} of {time} after {last}", data.coin));
        }
        self.book_times.insert(data.coin.clone(), time);
        let shown = book.shown(self.band, Amounts::Base);
        turn.say(Reading::Depth(Depth { asset, depth: shown.depth, spread: shown.spread, time }));
        Ok(())
    }

    fn best(&mut self, data: &Best<'_>, turn: &mut Turn) -> Result<(), Refusal> {
        let coin = self.coin(&data.coin)?;
        let Some(instrument) = coin.instrument.clone() else {
            return refuse(Reason::Unasked, format_args!("best prices of {}", data.coin));
        };
        let price = |place: usize| match data.bbo.get(place) {
            Some(Some(level)) => level.px.float("px").map(Some),
            _ => Ok(None),
        };
        let (bid, ask, time) = (price(0)?, price(1)?, millis(data.time)?);
        let last = self.quotes.get(&data.coin).cloned();
        let empty =
            PerpQuote { instrument, mark: None, bid, ask, funding_8h: None, open_interest: None, time };
        let quote = PerpQuote {
            bid,
            ask,
            time: last.as_ref().map_or(time, |q| q.time.max(time)),
            ..last.unwrap_or(empty)
        };
        self.quotes.insert(data.coin.clone(), quote.clone());
        turn.say(Reading::Quote(Quote::Perpetual(quote)));
        Ok(())
    }

    fn middles(&mut self, data: &Middles<'_>, at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let wanted: Vec<Coin> =
            self.coins.values().filter(|coin| coin.price == Origin::Middle).cloned().collect();
        if wanted.is_empty() {
            return refuse(Reason::Unasked, "middles");
        }
        for coin in wanted {
            if let Some(figure) = data.mids.get(&coin.coin) {
                self.price(&coin, figure.number("mid")?, at, turn)?;
            }
        }
        Ok(())
    }

    fn trades(&self, trades: &[TradeData<'_>], turn: &mut Turn) -> Result<(), Refusal> {
        for trade in trades {
            if !self.coin(&trade.coin)?.trades {
                return refuse(Reason::Unasked, format_args!("trades of {}", trade.coin));
            }
            let amount = trade.sz.decimal("sz")?;
            let amount = match trade.side.as_str() {
                "B" => amount,
                "A" => -amount,
                other => return refuse(Reason::Malformed, format_args!("side {other}")),
            };
            turn.say(Reading::Trade(Trade {
                symbol: trade.coin.clone(),
                price: trade.px.number("px")?,
                amount: Number::of(amount)?,
                time: millis(trade.time)?,
            }));
        }
        Ok(())
    }

    fn subscriptions(&self) -> Vec<serde_json::Value> {
        let mut all = Vec::new();
        for coin in self.coins.values() {
            let wants = [
                ("l2Book", coin.book),
                ("activeAssetCtx", coin.price == Origin::Oracle || coin.instrument.is_some()),
                ("bbo", coin.instrument.is_some()),
                ("trades", coin.trades),
            ];
            let wanted = wants.iter().filter(|(_, wanted)| *wanted);
            all.extend(wanted.map(|(kind, _)| serde_json::json!({ "type": kind, "coin": coin.coin })));
        }
        if self.coins.values().any(|coin| coin.price == Origin::Middle) {
            all.push(serde_json::json!({ "type": "allMids" }));
        }
        all
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    channel: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Context<'a> {
    coin: String,
    #[serde(borrow)]
    ctx: Perpetual<'a>,
}

#[derive(Deserialize)]
struct Perpetual<'a> {
    #[serde(borrow)]
    funding: Figure<'a>,
    #[serde(borrow, rename = "oraclePx")]
    oracle: Figure<'a>,
    #[serde(borrow, rename = "markPx")]
    mark: Figure<'a>,
    #[serde(borrow, rename = "openInterest")]
    open_interest: Option<Figure<'a>>,
}

#[derive(Deserialize)]
struct BookData<'a> {
    coin: String,
    time: i64,
    #[serde(borrow)]
    levels: [Vec<Level<'a>>; 2],
}

#[derive(Deserialize)]
struct Level<'a> {
    #[serde(borrow)]
    px: Figure<'a>,
    #[serde(borrow)]
    sz: Figure<'a>,
}

#[derive(Deserialize)]
struct Best<'a> {
    coin: String,
    time: i64,
    /// Bid and ask; one that nobody states is null, or missing at the end.
    #[serde(borrow)]
    bbo: Vec<Option<Level<'a>>>,
}

#[derive(Deserialize)]
struct Middles<'a> {
    #[serde(borrow)]
    mids: BTreeMap<String, Figure<'a>>,
}

#[derive(Deserialize)]
struct TradeData<'a> {
    coin: String,
    side: String,
    #[serde(borrow)]
    px: Figure<'a>,
    #[serde(borrow)]
    sz: Figure<'a>,
    time: i64,
}

impl Protocol for Hyperliquid {
    fn open(&mut self, at: Timestamp, turn: &mut Turn) {
        self.quotes.clear();
        self.book_times.clear();
        self.pinged = Some(at);
        for subscription in self.subscriptions() {
            let text = serde_json::json!({ "method": "subscribe", "subscription": subscription });
            turn.ask(Ask::Send(text.to_string()));
        }
    }

    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let frame: Frame<'_> = json(frame)?;
        let data = frame.data.map(|raw| raw.get().as_bytes()).unwrap_or_default();
        match frame.channel.as_str() {
            "l2Book" => self.book(&json(data)?, turn),
            "activeAssetCtx" => self.context(&json(data)?, at, turn),
            "bbo" => self.best(&json(data)?, turn),
            "allMids" => self.middles(&json(data)?, at, turn),
            "trades" => self.trades(&json::<Vec<TradeData<'_>>>(data)?, turn),
            "subscriptionResponse" | "pong" => Ok(()),
            "error" => refuse(Reason::Venue, String::from_utf8_lossy(data)),
            other => refuse(Reason::Unasked, format_args!("channel {other}")),
        }
    }

    fn tick(&mut self, at: Timestamp, turn: &mut Turn) {
        if self.pinged.is_none_or(|last| at >= last.plus_seconds(PING_SECONDS)) {
            self.pinged = Some(at);
            turn.ask(Ask::Send("{\"method\":\"ping\"}".to_owned()));
        }
    }
}
