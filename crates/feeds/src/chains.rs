//! Quotes as they come, gathered into chains.

use crate::Quote;
use plimsoll_types::{Asset, Instrument, Timestamp, UnderlyingMarket};
use std::collections::BTreeMap;

/// The most instruments of an underlying that are kept.
const INSTRUMENTS_MAX: usize = 20_000;

/// The latest quote of every instrument, by underlying: what an engine takes as a chain.
///
/// ```
/// use plimsoll_feeds::{Chains, Quote};
/// use plimsoll_types::{PerpQuote, Timestamp};
/// let at = Timestamp::from_seconds(1_700_000_000);
/// let mut chains = Chains::new(["BTC".parse()?], 60);
/// chains.take(Quote::Perpetual(PerpQuote { instrument: "BTC-PERPETUAL".parse()?, mark: Some(90_000.0), bid: None,
///     ask: None, funding_8h: None, open_interest: None, time: at }));
/// let (time, chain) = chains.chain(&"BTC".parse()?, at).ok_or("no chain")?;
/// assert_eq!((time, chain.perpetuals.len()), (at, 1));
/// assert!(chains.chain(&"BTC".parse()?, at.plus_seconds(61)).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chains {
    age_max_seconds: i64,
    quotes: BTreeMap<Asset, BTreeMap<Instrument, Quote>>,
}

impl Chains {
    /// Keeps quotes of these underlyings for so many seconds.
    pub fn new(assets: impl IntoIterator<Item = Asset>, age_max_seconds: i64) -> Self {
        Self { age_max_seconds, quotes: assets.into_iter().map(|asset| (asset, BTreeMap::new())).collect() }
    }

    /// Takes a quote, unless it is of another underlying, a later one of the instrument is known or there are too many instruments;
    /// whether it was taken.
    pub fn take(&mut self, quote: Quote) -> bool {
        let Some(quotes) = self.quotes.get_mut(quote.instrument().underlying()) else { return false };
        let known = quotes.get(quote.instrument());
        let later = known.is_some_and(|known| known.time() > quote.time());
        if later || (known.is_none() && quotes.len() >= INSTRUMENTS_MAX) {
            return false;
        }
        quotes.insert(quote.instrument().clone(), quote);
        true
    }

    /// The chain of an underlying at an instant, and the instant of its latest quote. What has expired or is too old is forgotten.
    pub fn chain(&mut self, asset: &Asset, at: Timestamp) -> Option<(Timestamp, UnderlyingMarket)> {
        let quotes = self.quotes.get_mut(asset)?;
        let oldest = at.plus_seconds(self.age_max_seconds.saturating_neg());
        quotes.retain(|instrument, quote| {
            quote.time() >= oldest && instrument.expiry().is_none_or(|expiry| expiry > at)
        });
        let time = quotes.values().map(Quote::time).max()?;
        let mut chain = UnderlyingMarket::default();
        for quote in quotes.values().cloned() {
            match quote {
                Quote::Option(quote) => chain.options.push(quote),
                Quote::Future(quote) => chain.futures.push(quote),
                Quote::Perpetual(quote) => chain.perpetuals.push(quote),
            }
        }
        Some((time, chain))
    }
}
