//! A chain of BTC options as a venue quotes it: twelve expiries, seven hundred quotes.

use crate::bench::frame::Frame;
use crate::generate::Draw;
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::special::{exp, ln};
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_types::{Asset, IndexPrice, Instrument, OptionQuote, Snapshot, Timestamp, UnderlyingMarket};
use std::collections::BTreeMap;

/// Days the options settle on.
const DATES: [&str; 12] = [
    "31JAN26", "1FEB26", "2FEB26", "6FEB26", "13FEB26", "20FEB26", "27FEB26", "27MAR26", "24APR26",
    "26JUN26", "25SEP26", "25DEC26",
];

const AS_OF: &str = "2026-01-30T12:00:00Z";
const FORWARD: f64 = 80_000.0;
/// Strikes in all; each has a call and a put.
const STRIKES: usize = 350;

/// The snapshot.
pub(in crate::bench) fn made() -> anyhow::Result<Snapshot> {
    let as_of: Timestamp = AS_OF.parse()?;
    let mut draw = Draw::new(8);
    let mut options = Vec::with_capacity(2 * STRIKES);
    for (number, date) in DATES.iter().enumerate() {
        let dated: Instrument = format!("BTC-{date}").parse()?;
        let Some(expiry) = dated.expiry() else { continue };
        let tau = as_of.years_until(expiry);
        let theta = (0.3 + 0.05 * tau) * tau;
        let smile = SsviSlice { theta, rho: -0.2, phi: 1.1 / theta.sqrt() }.raw();
        // The first two expiries have a strike more than the others.
        let count = STRIKES / DATES.len() + usize::from(number < STRIKES % DATES.len());
        for i in 0..count {
            let deviations = 6.0 * (i as f64 / (count - 1) as f64 - 0.5);
            let strike = (FORWARD * exp(deviations * 0.9 * theta.sqrt()) / 100.0).round() * 100.0;
            for (side, kind) in [("C", OptionKind::Call), ("P", OptionKind::Put)] {
                let vol = smile.vol(ln(strike / FORWARD), tau);
                let coins = black::price(kind, FORWARD, strike, vol, tau) / FORWARD;
                let instrument = format!("BTC-{date}-{strike}-{side}").parse()?;
                options.push(quote(&mut draw, instrument, (coins, vol), as_of));
            }
        }
    }
    let index = vec![IndexPrice { price: FORWARD, confidence: None, source: "made".to_owned(), time: as_of }];
    let market = UnderlyingMarket { index, options, ..UnderlyingMarket::default() };
    let underlyings = BTreeMap::from([("BTC".parse::<Asset>()?, market)]);
    Ok(Snapshot { as_of, underlyings, assets: BTreeMap::new() })
}

/// A ten-thousandth of a coin either side of the price on a tick, wider by up to another.
fn quote(draw: &mut Draw, instrument: Instrument, (coins, vol): (f64, f64), time: Timestamp) -> OptionQuote {
    let tick = |ticks: f64| (ticks > 0.0).then_some(ticks * 1e-4);
    let middle = (coins / 1e-4).round();
    let (below, above) = (1.0 + draw.between(0.0, 2.0).floor(), 1.0 + draw.between(0.0, 2.0).floor());
    OptionQuote {
        instrument,
        bid: tick(middle - below),
        ask: tick(middle + above),
        mark: tick(middle),
        mark_vol: Some((vol * 1e4).round() / 1e4),
        forward: Some(FORWARD),
        open_interest: None,
        time,
    }
}

/// The quotes as a table, for other programs; `NaN` where there is no such price.
pub(in crate::bench) fn frame(snapshot: &Snapshot) -> Frame {
    let quotes = || snapshot.underlyings.values().flat_map(|market| &market.options);
    let price = |part: fn(&OptionQuote) -> Option<f64>| {
        quotes().map(|quote| part(quote).unwrap_or(f64::NAN)).collect::<Vec<f64>>()
    };
    Frame::new(
        "chain",
        "A row is a quote, of an inverse option in BTC per BTC. `chain.json` is what is read back.",
    )
    .text("instrument", "name", quotes().map(|quote| quote.instrument.to_string()).collect())
    .float("bid", "best bid, or NaN", price(|quote| quote.bid))
    .float("ask", "best ask, or NaN", price(|quote| quote.ask))
    .float("mark", "the venue's mark, or NaN", price(|quote| quote.mark))
    .float("mark_vol", "volatility of the mark, decimal", price(|quote| quote.mark_vol))
    .float("forward", "forward of the expiry, USD", price(|quote| quote.forward))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_has_twelve_expiries_and_seven_hundred_quotes() {
        let snapshot = made().unwrap();
        let quotes = &snapshot.underlyings.values().next().unwrap().options;
        let mut expiries: Vec<_> = quotes.iter().filter_map(|quote| quote.instrument.expiry()).collect();
        expiries.dedup();
        assert_eq!((quotes.len(), expiries.len()), (700, 12));
        let mut names: Vec<_> = quotes.iter().map(|quote| quote.instrument.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 700);
    }
}
