//! What a frame says.

use crate::refusal::refuse;
use crate::{Number, Reason, Refusal};
use plimsoll_types::{Asset, Contract, FutureQuote, Instrument, OptionQuote, PerpQuote, Timestamp};

/// One thing that a frame says.
#[derive(Clone, PartialEq, Debug)]
pub enum Reading {
    /// An index price.
    Price(Price),
    /// The source is alive and its last price of an asset still holds.
    Alive {
        /// Of what.
        asset: Asset,
        /// When it said so.
        time: Timestamp,
    },
    /// A quote of an instrument, for a chain.
    Quote(Quote),
    /// What an order book shows.
    Depth(Depth),
    /// A trade.
    Trade(Trade),
    /// An instrument that the venue lists.
    Listed {
        /// Which.
        instrument: Instrument,
        /// Whether it is traded now.
        active: bool,
    },
}

/// An index price: the engine's `Observation` of an asset, with the currency it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    /// Of what.
    pub asset: Asset,
    /// In what. A source whose currency is not the valuation currency is for the configuration to refuse.
    pub quote: Asset,
    /// The source's own count; rises.
    pub sequence: u64,
    /// The instant it speaks of.
    pub time: Timestamp,
    /// Quote units per base unit.
    pub price: Number,
    /// Half-width of the confidence interval, in the unit of the price.
    pub confidence: Option<Number>,
    /// No longer good after, where the source says so.
    pub valid_until: Option<Timestamp>,
}

/// A quote of an instrument.
#[derive(Clone, PartialEq, Debug)]
pub enum Quote {
    /// Of an option.
    Option(OptionQuote),
    /// Of a dated future.
    Future(FutureQuote),
    /// Of a perpetual.
    Perpetual(PerpQuote),
}

impl Quote {
    /// Of which instrument.
    pub fn instrument(&self) -> &Instrument {
        match self {
            Self::Option(quote) => &quote.instrument,
            Self::Future(quote) => &quote.instrument,
            Self::Perpetual(quote) => &quote.instrument,
        }
    }

    /// When it was true.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Option(quote) => quote.time,
            Self::Future(quote) => quote.time,
            Self::Perpetual(quote) => quote.time,
        }
    }
}

/// What a venue says of an instrument, whatever kind that is of.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) bid: Option<f64>,
    pub(crate) ask: Option<f64>,
    pub(crate) mark: Option<f64>,
    pub(crate) mark_vol: Option<f64>,
    pub(crate) forward: Option<f64>,
    pub(crate) open_interest: Option<f64>,
    pub(crate) funding_8h: Option<f64>,
    pub(crate) time: Timestamp,
}

impl Figures {
    /// The quote they make; what an instrument of the kind does not have is left out.
    pub(crate) fn quote(self, instrument: Instrument) -> Result<Quote, Refusal> {
        let Self { bid, ask, mark, mark_vol, forward, open_interest, funding_8h, time } = self;
        Ok(match instrument.contract() {
            Contract::Option { .. } => Quote::Option(OptionQuote {
                instrument,
                bid,
                ask,
                mark,
                mark_vol,
                forward,
                open_interest,
                time,
            }),
            Contract::Future { .. } => {
                Quote::Future(FutureQuote { instrument, mark, bid, ask, open_interest, time })
            }
            Contract::Perpetual => {
                Quote::Perpetual(PerpQuote { instrument, mark, bid, ask, funding_8h, open_interest, time })
            }
            Contract::Spot => return refuse(Reason::Instrument, instrument),
        })
    }
}

/// An instrument that can be priced, by its name.
pub(crate) fn priced(name: &str) -> Result<Instrument, Refusal> {
    match name.parse::<Instrument>() {
        Ok(instrument) if instrument.contract() != Contract::Spot => Ok(instrument),
        _ => refuse(Reason::Instrument, name),
    }
}

/// What an order book shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Depth {
    /// Of which underlying.
    pub asset: Asset,
    /// The lesser of both sides within the band around the middle, quote units; 0 for a book that is empty on a side, or crossed.
    pub depth: f64,
    /// Spread as a share of the middle; 1 where nobody quotes.
    pub spread: f64,
    /// When.
    pub time: Timestamp,
}

/// A trade.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trade {
    /// The venue's name of what was traded.
    pub symbol: String,
    /// At what price.
    pub price: Number,
    /// How much, in the venue's unit; > 0 when the taker bought.
    pub amount: Number,
    /// When.
    pub time: Timestamp,
}
