//! What a book generator needs of a snapshot: the options one can trade, by expiry and strike.

use plimsoll_quant::black::{self, OptionKind};
use plimsoll_types::{
    Asset, ForwardSource, Instrument, OptionKind as Side, OptionQuote, Settlement, Snapshot, Timestamp,
    UnderlyingMarket,
};
use std::collections::BTreeMap;

/// Fewest strikes, with call and put and a volatility, an expiry must have to be traded here.
pub(super) const STRIKES_MIN: usize = 6;

/// Expiries nearer than this are left alone, years.
const TAU_MIN: f64 = 0.6 / 365.0;

/// The options, perpetuals and futures of one underlying.
pub(super) struct Chain {
    pub(super) asset: Asset,
    pub(super) index: f64,
    pub(super) inverse: bool,
    pub(super) expiries: Vec<Expiry>,
    /// Perpetual swaps with a mark: name, mark and whether it is sized in quote units.
    pub(super) perpetuals: Vec<DeltaOne>,
    /// Dated futures with a mark.
    pub(super) futures: Vec<DeltaOne>,
    /// Sizes are multiples of this many thousandths of a base unit.
    pub(super) step_milli: i64,
}

/// A future or a perpetual.
#[derive(Clone)]
pub(super) struct DeltaOne {
    pub(super) name: String,
    pub(super) mark: f64,
    pub(super) in_quote: bool,
}

/// One expiry, strikes rising.
pub(super) struct Expiry {
    pub(super) tau: f64,
    pub(super) forward: f64,
    pub(super) strikes: Vec<Strike>,
}

/// One strike with both its options.
pub(super) struct Strike {
    pub(super) strike: f64,
    pub(super) vol: f64,
    pub(super) call: String,
    pub(super) put: String,
}

impl Strike {
    pub(super) fn name(&self, kind: OptionKind) -> &str {
        match kind {
            OptionKind::Call => &self.call,
            OptionKind::Put => &self.put,
        }
    }
}

impl Expiry {
    /// The strike whose option has the delta nearest to `delta` in size.
    pub(super) fn by_delta(&self, kind: OptionKind, delta: f64) -> usize {
        let distance = |strike: &Strike| {
            let greeks = black::greeks(kind, self.forward, strike.strike, strike.vol, self.tau);
            (greeks.delta.abs() - delta).abs()
        };
        let nearest = self.strikes.iter().enumerate().min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
        nearest.map_or(0, |(at, _)| at)
    }
}

/// The chains of a snapshot that have at least one expiry to trade.
pub(super) fn chains(snapshot: &Snapshot) -> Vec<Chain> {
    let all = snapshot.underlyings.iter();
    all.filter_map(|(asset, market)| chain(asset, market, snapshot.as_of)).collect()
}

fn chain(asset: &Asset, market: &UnderlyingMarket, as_of: Timestamp) -> Option<Chain> {
    let mut sources: Vec<f64> = market.index.iter().map(|source| source.price).collect();
    sources.sort_by(f64::total_cmp);
    let index = *sources.get(sources.len() / 2)?;
    let mut by_expiry: BTreeMap<Timestamp, Vec<&OptionQuote>> = BTreeMap::new();
    for quote in &market.options {
        if let Some(at) = quote.instrument.expiry() {
            by_expiry.entry(at).or_default().push(quote);
        }
    }
    let expiries: Vec<Expiry> =
        by_expiry.iter().filter_map(|(at, quotes)| expiry(*at, quotes, market, as_of)).collect();
    let inverse = market.options.first()?.instrument.settlement() == Settlement::Inverse;
    let listed = delta_ones(market.futures.iter().map(|quote| (&quote.instrument, quote.mark)));
    let chain = Chain {
        asset: asset.clone(),
        index,
        inverse,
        expiries,
        perpetuals: delta_ones(market.perpetuals.iter().map(|quote| (&quote.instrument, quote.mark))),
        futures: if listed.is_empty() { monthly(&by_expiry, market, as_of) } else { listed },
        step_milli: step_milli(index),
    };
    (!chain.expiries.is_empty()).then_some(chain)
}

fn delta_ones<'a>(quotes: impl Iterator<Item = (&'a Instrument, Option<f64>)>) -> Vec<DeltaOne> {
    let with_mark = quotes.filter_map(|(instrument, mark)| {
        let (name, in_quote) = (instrument.to_string(), instrument.sized_in_quote());
        mark.map(|mark| DeltaOne { name, mark, in_quote })
    });
    with_mark.collect()
}

/// Futures of the last expiry of each month, where the snapshot has options only: venues list a future there, and its price
/// is the forward its options are priced on.
fn monthly(
    by_expiry: &BTreeMap<Timestamp, Vec<&OptionQuote>>,
    market: &UnderlyingMarket,
    as_of: Timestamp,
) -> Vec<DeltaOne> {
    let mut last_of_month: BTreeMap<(i16, i8), DeltaOne> = BTreeMap::new();
    for (at, quotes) in by_expiry {
        let (year, month, day) = at.date();
        let option = quotes.first().map(|quote| quote.instrument.to_string()).unwrap_or_default();
        let name = option.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
        let in_quote = name.parse().is_ok_and(|future: Instrument| future.sized_in_quote());
        if let (Some(Expiry { forward, .. }), 24..) = (expiry(*at, quotes, market, as_of), day) {
            last_of_month.insert((year, month), DeltaOne { name, mark: forward, in_quote });
        }
    }
    last_of_month.into_values().collect()
}

/// A tenth of a coin over 10,000, one over 500, ten beneath.
fn step_milli(index: f64) -> i64 {
    match index {
        x if x > 10_000.0 => 100,
        x if x > 500.0 => 1_000,
        _ => 10_000,
    }
}

fn expiry(
    at: Timestamp,
    quotes: &[&OptionQuote],
    market: &UnderlyingMarket,
    as_of: Timestamp,
) -> Option<Expiry> {
    let stated = market.forwards.iter().find(|f| f.expiry == at && f.source == ForwardSource::Venue);
    let forward = stated.map(|f| f.price).or(quotes.iter().find_map(|quote| quote.forward))?;
    let mut sides: BTreeMap<_, (Option<&OptionQuote>, Option<&OptionQuote>)> = BTreeMap::new();
    for quote in quotes {
        match quote.instrument.option()? {
            (strike, Side::Call) => sides.entry(strike).or_default().0 = Some(quote),
            (strike, Side::Put) => sides.entry(strike).or_default().1 = Some(quote),
        }
    }
    let strikes: Vec<Strike> = sides
        .iter()
        .filter_map(|(strike, (call, put))| {
            let (call, put) = ((*call)?, (*put)?);
            let vol = call.mark_vol.or(put.mark_vol).filter(|vol| (0.05..5.0).contains(vol))?;
            let strike = strike.to_string().parse().ok()?;
            let (call, put) = (call.instrument.to_string(), put.instrument.to_string());
            Some(Strike { strike, vol, call, put })
        })
        .collect();
    let tau = as_of.years_until(at);
    (tau > TAU_MIN && strikes.len() >= STRIKES_MIN).then_some(Expiry { tau, forward, strikes })
}
