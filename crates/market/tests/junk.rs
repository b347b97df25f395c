//! One junk quote in a good chain: refused by name, and nothing else changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::{FitParams, GuardParams, Surface, fit, guard};
use plimsoll_quant::black::{OptionKind as Kind, price};
use plimsoll_quant::special::ln;
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_types::{
    Asset, IndexPrice, Instrument, Issue, OptionQuote, Reason, Snapshot, Timestamp, UnderlyingMarket,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;

const FORWARD: f64 = 80_000.0;
const DAYS: [&str; 3] = ["27FEB26", "27MAR26", "25SEP26"];
const STRIKES: [u32; 17] = [45, 50, 55, 60, 65, 70, 74, 77, 80, 83, 86, 90, 95, 105, 115, 130, 150];

fn now() -> Timestamp {
    "2026-01-30T08:00:00Z".parse().unwrap()
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn blank(name: &str) -> OptionQuote {
    let instrument: Instrument = name.parse().unwrap();
    let (bid, ask, mark, mark_vol) = (None, None, None, None);
    OptionQuote { instrument, bid, ask, mark, mark_vol, forward: None, open_interest: None, time: now() }
}

/// Out-of-the-money options in coin on smiles without arbitrage, a vol point wide.
fn good() -> Vec<OptionQuote> {
    let mut quotes = Vec::new();
    for day in DAYS {
        let expiry = format!("BTC-{day}").parse::<Instrument>().unwrap().expiry().unwrap();
        let tau = now().years_until(expiry);
        let theta = 0.5 * 0.5 * tau;
        let smile = SsviSlice { theta, rho: -0.2, phi: 1.0 / (theta * (1.0 + theta)).sqrt() }.raw();
        for thousands in STRIKES {
            let strike = f64::from(thousands) * 1000.0;
            let (side, kind) = if strike < FORWARD { ("P", Kind::Put) } else { ("C", Kind::Call) };
            let vol = smile.vol(ln(strike / FORWARD), tau);
            let coin = |v: f64| price(kind, FORWARD, strike, v, tau) / FORWARD;
            quotes.push(OptionQuote {
                bid: Some(coin(vol - 0.005)),
                ask: Some(coin(vol + 0.005)),
                mark: Some(coin(vol)),
                mark_vol: Some(vol),
                forward: Some(FORWARD),
                ..blank(&format!("BTC-{day}-{thousands}000-{side}"))
            });
        }
    }
    quotes
}

fn fitted(options: Vec<OptionQuote>) -> Surface {
    let index = vec![IndexPrice { price: FORWARD, confidence: None, source: "a".to_owned(), time: now() }];
    let market = UnderlyingMarket { index, options, ..UnderlyingMarket::default() };
    let underlyings = BTreeMap::from([(btc(), market)]);
    let snapshot = Snapshot { as_of: now(), underlyings, assets: BTreeMap::new() };
    fit(&guard(&snapshot, &GuardParams::default()), &FitParams::default())
}

/// At-the-money volatility per expiry, in vol points.
fn levels(surface: &Surface) -> Vec<f64> {
    surface.underlyings[&btc()].slices.iter().map(|s| 100.0 * s.svi.vol(0.0, s.tau)).collect()
}

fn with(junk: OptionQuote) -> Surface {
    let mut quotes = good();
    quotes.push(junk);
    fitted(quotes)
}

fn issue<'a>(surface: &'a Surface, name: &str) -> &'a Issue {
    surface.issues.iter().find(|i| i.subject == name).unwrap_or_else(|| panic!("{:?}", surface.issues))
}

#[test]
fn a_strike_of_a_hundred_trillion_is_refused_and_its_expiry_stays() {
    let name = "BTC-27MAR26-99999999999999-C";
    let surface = with(OptionQuote { bid: Some(0.331), ask: Some(0.332), ..blank(name) });
    assert_eq!(levels(&surface), levels(&fitted(good())));
    let issue = issue(&surface, name);
    assert_eq!((issue.reason, issue.limit), (Reason::Outlier, Some(6.0)));
    assert!(issue.value.unwrap() > 6.0);
    let marked = with(OptionQuote { mark_vol: Some(5.9), ..blank(name) });
    assert_eq!(levels(&marked), levels(&fitted(good())));
    assert!(marked.issues.iter().any(|i| i.subject == name));
}

#[test]
fn a_quote_made_on_another_forward_is_refused() {
    let junk = OptionQuote {
        bid: Some(0.2),
        ask: Some(0.201),
        forward: Some(84_100.0),
        ..blank("BTC-27MAR26-81000-C")
    };
    let surface = with(junk);
    let issue = issue(&surface, "BTC-27MAR26-81000-C");
    assert_eq!((issue.reason, issue.limit), (Reason::Outlier, Some(0.05)));
    assert!((issue.value.unwrap() - 0.05125).abs() < 1e-12);
    assert_eq!(levels(&surface), levels(&fitted(good())));
}

#[test]
fn a_price_that_says_too_little_of_its_volatility_is_imprecise_and_not_missing() {
    let name = "BTC-27FEB26-260000-C";
    let surface = with(OptionQuote { ask: Some(0.0001), mark: Some(0.000_001), ..blank(name) });
    let issue = issue(&surface, name);
    assert_eq!((issue.reason, issue.limit), (Reason::Imprecise, Some(0.10)));
    assert!(issue.value.unwrap() > 0.10);
}

fn maybe(values: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = Option<f64>> {
    proptest::option::of(values)
}

fn junk() -> impl Strategy<Value = OptionQuote> {
    let strike = prop_oneof![1_u64..400, 400_u64..400_000, 400_000_u64..100_000_000_000_000];
    let price = || prop_oneof![1e-6..1.0, 1e-4..0.05, 0.0..1e6_f64];
    let forward = prop_oneof![70_000.0..90_000.0, 1e-3..1e9_f64];
    let name = (0..3_usize, strike, proptest::bool::ANY);
    (name, maybe(price()), maybe(price()), maybe(price()), maybe(0.0..7.0), maybe(forward)).prop_map(
        |((day, strike, call), bid, ask, mark, mark_vol, forward)| OptionQuote {
            bid,
            ask,
            mark,
            mark_vol,
            forward,
            ..blank(&format!("BTC-{}-{strike}-{}", DAYS[day], if call { "C" } else { "P" }))
        },
    )
}

/// A quote whose two sides agree on a wrong volatility, at a strike among the good ones.
fn plausible_junk() -> impl Strategy<Value = OptionQuote> {
    (0..3_usize, 45_u32..150, 0.01..5.9, proptest::bool::ANY).prop_map(|(day, thousands, vol, call)| {
        let instrument = format!("BTC-{}-{thousands}500-{}", DAYS[day], if call { "C" } else { "P" });
        let blank = blank(&instrument);
        let tau = now().years_until(blank.instrument.expiry().unwrap());
        let kind = if call { Kind::Call } else { Kind::Put };
        let coin = |v: f64| price(kind, FORWARD, f64::from(thousands) * 1000.0 + 500.0, v, tau) / FORWARD;
        OptionQuote { bid: Some(coin(vol - 0.004)), ask: Some(coin(vol + 0.004)), ..blank }
    })
}

fn nothing_moves(junk: OptionQuote, points: f64) {
    let said = format!("{junk:?}");
    let (before, after) = (levels(&fitted(good())), levels(&with(junk)));
    assert_eq!(before.len(), after.len(), "{said}");
    for (b, a) in before.iter().zip(&after) {
        assert!((a - b).abs() < points, "{said}: {b} to {a}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn one_junk_quote_takes_no_expiry_away_and_moves_no_level_by_a_vol_point(quote in junk()) {
        nothing_moves(quote, 1.0);
    }

    #[test]
    fn one_wrong_volatility_takes_no_expiry_away_and_moves_no_level_by_four_vol_points(
        quote in plausible_junk()
    ) {
        nothing_moves(quote, 4.0);
    }
}
