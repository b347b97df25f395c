//! The forward price of every expiry.

use crate::guard::GuardedMarket;
use crate::number::{median, nearest};
use plimsoll_types::{
    ForwardSource, FutureQuote, Issue, OptionKind, OptionQuote, Reason, Settlement, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Pairs whose bid-ask spreads leave the forward less certain than this, relative to the strike, say nothing.
const PARITY_ERROR_MAX: f64 = 0.02;

/// Forward for every expiry that options, futures or the venue name, in order of expiry, and an issue
/// ([`Reason::MissingForward`]) for each expiry that has none.
///
/// In order of preference: the venue's own (stated per expiry, else the median of the forwards its options were priced
/// on), the mark of a listed future of the same expiry, put-call parity ([`parity`]).
pub fn forwards(
    market: &GuardedMarket,
    as_of: Timestamp,
) -> (Vec<(Timestamp, f64, ForwardSource)>, Vec<Issue>) {
    let quotes = &market.market;
    let mut options: BTreeMap<Timestamp, Vec<&OptionQuote>> = BTreeMap::new();
    for quote in &quotes.options {
        if let Some(expiry) = quote.instrument.expiry() {
            options.entry(expiry).or_default().push(quote);
        }
    }
    let futures = quotes.futures.iter().filter_map(|f| f.instrument.expiry());
    let stated = quotes.forwards.iter().map(|f| f.expiry);
    let expiries: BTreeSet<Timestamp> = options.keys().copied().chain(futures).chain(stated).collect();
    let (mut found, mut issues) = (Vec::new(), Vec::new());
    for expiry in expiries.into_iter().filter(|e| *e > as_of) {
        let listed = options.get(&expiry).map_or(&[][..], Vec::as_slice);
        let forward = venue(market, expiry, listed)
            .or_else(|| future(&quotes.futures, expiry))
            .or_else(|| parity(listed).map(|price| (price, ForwardSource::Parity)));
        match forward {
            Some((price, source)) => found.push((expiry, price, source)),
            None => issues.push(missing(listed, expiry)),
        }
    }
    (found, issues)
}

fn missing(options: &[&OptionQuote], expiry: Timestamp) -> Issue {
    let issue = Issue::new(Reason::MissingForward, format!("forward for {expiry}"));
    match options.first() {
        Some(quote) => issue.at(quote.instrument.underlying(), Some(expiry)),
        None => Issue { expiry: Some(expiry), ..issue },
    }
}

fn venue(
    market: &GuardedMarket,
    expiry: Timestamp,
    options: &[&OptionQuote],
) -> Option<(f64, ForwardSource)> {
    let stated = market.market.forwards.iter().filter(|f| f.expiry == expiry);
    let source = stated.clone().map(|f| f.source).min();
    let mut prices: Vec<f64> = stated.map(|f| f.price).collect();
    if let (Some(price), Some(source)) = (median(&mut prices), source) {
        return Some((price, source));
    }
    let mut prices: Vec<f64> = options.iter().filter_map(|q| q.forward).collect();
    median(&mut prices).map(|price| (price, ForwardSource::Venue))
}

/// Mark of the future, or the middle of its two sides.
pub(crate) fn future_price(quote: &FutureQuote) -> Option<f64> {
    quote.mark.or_else(|| quote.bid.zip(quote.ask).map(|(bid, ask)| bid + 0.5 * (ask - bid)))
}

fn future(futures: &[FutureQuote], expiry: Timestamp) -> Option<(f64, ForwardSource)> {
    let same = futures.iter().filter(|f| f.instrument.expiry() == Some(expiry));
    let mut prices: Vec<f64> = same.filter_map(future_price).collect();
    median(&mut prices).map(|price| (price, ForwardSource::Future))
}

/// Forward of one expiry by put-call parity: the weighted median over strikes of the forward each pair of call and put
/// implies.
///
/// Linear options: `C - P = F - K`. Inverse options, quoted in coin at `price/F`: `c - p = 1 - K/F`, so `F = K/(1 - (c - p))`.
/// A pair weighs by the inverse square of the error its two half-spreads leave in `F`; pairs that leave more than 2 % are not
/// used. Where no pair has four sides, marks are used, each pair weighing alike. `None` when there is no pair at all.
pub fn parity(options: &[&OptionQuote]) -> Option<f64> {
    type Pair<'a> = [Option<&'a OptionQuote>; 2];
    let mut pairs: BTreeMap<(plimsoll_types::Decimal, Settlement), Pair> = BTreeMap::new();
    for quote in options {
        if let Some((strike, kind)) = quote.instrument.option() {
            let pair = pairs.entry((strike, quote.instrument.settlement())).or_default();
            pair[usize::from(kind == OptionKind::Put)] = Some(quote);
        }
    }
    let both = pairs.iter().filter_map(|(&(strike, settlement), pair)| match *pair {
        [Some(call), Some(put)] => nearest(strike).map(|k| (k, settlement, call, put)),
        _ => None,
    });
    let mids: Vec<(f64, f64)> = both.clone().filter_map(|(k, s, c, p)| from_sides(k, s, (c, p))).collect();
    if let Some(forward) = weighted_median(mids) {
        return Some(forward);
    }
    let marks = both.filter_map(|(k, s, c, p)| Some((implied(k, s, c.mark? - p.mark?)?, 1.0)));
    weighted_median(marks.collect())
}

/// The forward implied by call less put.
fn implied(strike: f64, settlement: Settlement, difference: f64) -> Option<f64> {
    let forward = match settlement {
        Settlement::Linear => strike + difference,
        Settlement::Inverse => strike / (1.0 - difference),
    };
    (forward.is_finite() && forward > 0.0).then_some(forward)
}

/// Forward and weight of a pair with four sides.
fn from_sides(
    k: f64,
    settlement: Settlement,
    (call, put): (&OptionQuote, &OptionQuote),
) -> Option<(f64, f64)> {
    let (call_bid, call_ask, put_bid, put_ask) = (call.bid?, call.ask?, put.bid?, put.ask?);
    let forward = implied(k, settlement, 0.5 * (call_bid + call_ask) - 0.5 * (put_bid + put_ask))?;
    let spreads = 0.5 * (call_ask - call_bid) + 0.5 * (put_ask - put_bid);
    let per_price = if settlement == Settlement::Inverse { forward * forward / k } else { 1.0 };
    let error = (spreads * per_price).max(1e-6 * forward);
    (error <= PARITY_ERROR_MAX * forward).then_some((forward, 1.0 / (error * error)))
}

/// The value at which half of the weight is reached.
fn weighted_median(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = 0.5 * values.iter().map(|v| v.1).sum::<f64>();
    let mut below = 0.0;
    for &(value, weight) in &values {
        below += weight;
        if below >= half {
            return Some(value);
        }
    }
    None
}
