//! A surface free of arbitrage, sampled to quotes, comes back; what cannot be fitted is refused with a reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::surface::FitMethod;
use plimsoll_market::{
    FitParams, GuardParams, Slice, Surface, SurfaceError, UnderlyingSurface, fit, guard, signals,
};
use plimsoll_quant::black::{OptionKind as Kind, price};
use plimsoll_quant::special::ln;
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_quant::svi::{Svi, calendar_violation};
use plimsoll_types::{
    Asset, ExternalSlice, ForwardSource, FutureQuote, IndexPrice, Instrument, OptionQuote, Reason, Snapshot,
    Timestamp, UnderlyingMarket,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const EXPIRIES: [&str; 4] = ["6FEB26", "27FEB26", "27MAR26", "25SEP26"];
const STRIKES: [u32; 21] =
    [40, 45, 50, 55, 60, 65, 68, 72, 74, 76, 78, 80, 82, 85, 88, 92, 96, 105, 115, 130, 150];

fn now() -> Timestamp {
    "2026-01-30T08:00:00Z".parse().unwrap()
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn expiry(day: &str) -> Timestamp {
    format!("BTC-{day}").parse::<Instrument>().unwrap().expiry().unwrap()
}

/// Power-law SSVI with `eta (1+|rho|) <= 2`, which has no arbitrage of any kind.
fn truth(tau: f64, level: f64, rho: f64, eta: f64) -> Svi {
    let theta = level * level * tau;
    let phi = eta / (theta * (1.0 + theta)).sqrt();
    SsviSlice { theta, rho, phi }.raw()
}

/// Quotes in coin on a smile, with a spread of `half` in volatility on either side.
fn quotes(day: &str, forward: f64, smile: &Svi, half: f64) -> Vec<OptionQuote> {
    let tau = now().years_until(expiry(day));
    let mut made = Vec::new();
    for strike in STRIKES {
        for (side, kind) in [("C", Kind::Call), ("P", Kind::Put)] {
            let k = f64::from(strike) * 1000.0;
            let vol = smile.vol(ln(k / forward), tau);
            let coin = |v: f64| price(kind, forward, k, v, tau) / forward;
            made.push(OptionQuote {
                instrument: format!("BTC-{day}-{strike}000-{side}").parse().unwrap(),
                bid: Some(coin(vol - half)).filter(|p| *p >= 1e-4),
                ask: Some(coin(vol + half)).filter(|p| *p >= 1e-4),
                mark: Some(coin(vol)).filter(|p| *p >= 1e-4),
                mark_vol: Some(vol),
                forward: Some(forward),
                open_interest: None,
                time: now(),
            });
        }
    }
    made
}

fn market(options: Vec<OptionQuote>) -> Snapshot {
    let index = vec![IndexPrice { price: 80_000.0, confidence: None, source: "a".to_owned(), time: now() }];
    let market = UnderlyingMarket { index, options, ..UnderlyingMarket::default() };
    Snapshot { as_of: now(), underlyings: BTreeMap::from([(btc(), market)]), assets: BTreeMap::new() }
}

fn fitted(snapshot: &Snapshot) -> Surface {
    fit(&guard(snapshot, &GuardParams::default()), &FitParams::default())
}

fn forward_of(i: usize) -> f64 {
    80_000.0 * (1.0 + 0.01 * i as f64)
}

fn sampled(level: f64, rho: f64, eta: f64, half: f64) -> Snapshot {
    let per_expiry = EXPIRIES.iter().enumerate().map(|(i, day)| {
        let smile = truth(now().years_until(expiry(day)), level, rho, eta);
        quotes(day, forward_of(i), &smile, half)
    });
    market(per_expiry.flatten().collect())
}

fn assert_free_of_arbitrage(surface: &UnderlyingSurface) {
    for slice in &surface.slices {
        slice.svi.check().unwrap();
        assert!(slice.quality.min_durrleman >= -1e-10);
    }
    for pair in surface.slices.windows(2) {
        assert_eq!(calendar_violation(&pair[0].svi, &pair[1].svi), None);
    }
}

/// Largest distance of a slice from the smile it was sampled from, over the quoted strikes, in vol points.
fn miss(slice: &Slice, smile: &Svi) -> f64 {
    let quoted = slice.quality.points.iter().filter(|p| p.weight > 0.0);
    let (lo, hi) = quoted.fold((0.0, 0.0), |(lo, hi): (f64, f64), p| (lo.min(p.k), hi.max(p.k)));
    let at = |i: i32| lo + (hi - lo) * f64::from(i) / 60.0;
    let error = |k: f64| 100.0 * (slice.svi.vol(k, slice.tau) - smile.vol(k, slice.tau)).abs();
    (0..=60).map(at).map(error).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_surface_free_of_arbitrage_is_recovered_from_its_quotes_to_a_tenth_of_a_vol_point(
        level in 0.3..0.9_f64, rho in -0.6..0.4_f64, eta in 0.3..1.2_f64, half in 0.001..0.004_f64,
    ) {
        let surface = fitted(&sampled(level, rho, eta, half));
        let btc = surface.underlying(&btc()).unwrap();
        prop_assert_eq!(btc.slices.len(), 4);
        assert_free_of_arbitrage(btc);
        for (i, slice) in btc.slices.iter().enumerate() {
            prop_assert_eq!(slice.forward, forward_of(i));
            let miss = miss(slice, &truth(slice.tau, level, rho, eta));
            prop_assert!(miss <= 0.1, "{} misses by {miss} vol points", slice.expiry);
        }
    }
}

#[test]
fn flat_and_tilted_smiles_are_recovered_as_well_as_usual_ones() {
    // Slope of the wings in deviations, tilt, place and width of the vertex: flat smiles, and vertices off the money.
    for [slope, rho, m, sigma] in [
        [0.3, -0.6, 0.0, 0.5],
        [0.3, 0.4, 0.3, 1.0],
        [0.6, -0.3, -0.3, 0.5],
        [0.6, 0.0, 0.0, 2.0],
        [1.0, -0.3, 0.4, 0.8],
    ] {
        let smile = |tau: f64| {
            let s = 0.45 * tau.sqrt();
            let (b, m, sigma) = (slope * s, m * s, sigma * s);
            let at_money = b * (-rho * m + (m * m + sigma * sigma).sqrt());
            Svi { a: s * s - at_money, b, rho, m, sigma }
        };
        let all = EXPIRIES.iter().enumerate().flat_map(|(i, day)| {
            let tau = now().years_until(expiry(day));
            quotes(day, forward_of(i), &smile(tau), 0.002)
        });
        let surface = fitted(&market(all.collect()));
        let btc = &surface.underlyings[&btc()];
        assert_eq!(btc.slices.len(), 4);
        assert_free_of_arbitrage(btc);
        for slice in &btc.slices {
            let miss = miss(slice, &smile(slice.tau));
            assert!(miss <= 0.1, "{slope} {rho} {m} {sigma} {}: {miss}", slice.expiry);
        }
    }
}

#[test]
fn an_absurd_quote_is_refused_by_name_and_does_not_move_the_smile() {
    let mut snapshot = sampled(0.6, -0.2, 0.8, 0.004);
    let options = &mut snapshot.underlyings.get_mut(&btc()).unwrap().options;
    let quote = options.iter_mut().find(|q| q.instrument.to_string() == "BTC-27MAR26-85000-C").unwrap();
    let dearer = |p: Option<f64>| p.map(|p| 2.0 * p);
    (quote.bid, quote.ask) = (dearer(quote.bid), dearer(quote.ask));
    let surface = fitted(&snapshot);
    let slice = &surface.underlyings[&btc()].slices[2];
    let refused: Vec<&str> = slice.quality.quotes_refused.iter().map(|i| i.subject.as_str()).collect();
    assert_eq!(refused, ["BTC-27MAR26-85000-C"]);
    assert_eq!(slice.quality.quotes_refused[0].reason, Reason::Outlier);
    assert!(slice.quality.rmse_vol_points < 0.05);
}

#[test]
fn an_expiry_with_four_usable_strikes_is_refused_as_too_few() {
    let mut snapshot = sampled(0.6, -0.2, 0.8, 0.004);
    let options = &mut snapshot.underlyings.get_mut(&btc()).unwrap().options;
    options.retain(|q| {
        let name = q.instrument.to_string();
        !name.contains("27FEB26") || ["76000", "78000", "80000", "82000"].iter().any(|k| name.contains(k))
    });
    let surface = fitted(&snapshot);
    let btc = &surface.underlyings[&btc()];
    assert_eq!(btc.slices.len(), 3);
    let issue = btc.refused.iter().find(|i| i.reason == Reason::TooFewQuotes).unwrap();
    assert_eq!((issue.value, issue.limit, issue.expiry), (Some(4.0), Some(5.0), Some(expiry("27FEB26"))));
    // Its volatility is still there, between its neighbours.
    let vol = btc.vol(expiry("27FEB26"), 0.0).unwrap();
    assert!((vol - 0.6).abs() < 0.01, "{vol}");
}

#[test]
fn quotes_with_calendar_arbitrage_give_a_surface_without_or_a_reason() {
    let mut all = quotes("6FEB26", 80_000.0, &truth(7.0 / 365.0, 1.6, -0.2, 0.8), 0.02);
    all.extend(quotes("27FEB26", 80_800.0, &truth(28.0 / 365.0, 0.6, -0.2, 0.8), 0.02));
    let surface = fitted(&market(all));
    let btc = &surface.underlyings[&btc()];
    assert_free_of_arbitrage(btc);
    let refused = btc.refused.iter().any(|i| i.expiry == Some(expiry("27FEB26")));
    assert_eq!(btc.slices.len() + usize::from(refused), 2);
}

#[test]
fn an_expiry_without_any_forward_is_refused_and_one_with_a_future_uses_it() {
    let mut options = quotes("27MAR26", 81_000.0, &truth(56.0 / 365.0, 0.6, -0.2, 0.8), 0.004);
    options.retain(|q| q.instrument.to_string().ends_with('C'));
    options.iter_mut().for_each(|q| q.forward = None);
    let mut snapshot = market(options);
    let surface = fitted(&snapshot);
    assert_eq!(surface.issues[0].reason, Reason::MissingForward);
    assert!(surface.underlyings[&btc()].vol(expiry("27MAR26"), 0.0).is_err());
    let future = FutureQuote {
        instrument: "BTC-27MAR26".parse().unwrap(),
        mark: Some(81_000.0),
        bid: None,
        ask: None,
        open_interest: None,
        time: now(),
    };
    snapshot.underlyings.get_mut(&btc()).unwrap().futures.push(future);
    let surface = fitted(&snapshot);
    let found = surface.underlyings[&btc()].forwards[0];
    assert_eq!(found, (expiry("27MAR26"), 81_000.0, ForwardSource::Future));
    assert_eq!(surface.underlyings[&btc()].slices.len(), 1);
}

#[test]
fn put_call_parity_recovers_the_forward_when_nothing_else_states_it() {
    let mut snapshot = sampled(0.6, -0.2, 0.8, 0.004);
    let options = &mut snapshot.underlyings.get_mut(&btc()).unwrap().options;
    options.iter_mut().for_each(|q| q.forward = None);
    let surface = fitted(&snapshot);
    for (i, &(_, forward, source)) in surface.underlyings[&btc()].forwards.iter().enumerate() {
        assert_eq!(source, ForwardSource::Parity);
        assert!((forward / forward_of(i) - 1.0).abs() < 1e-5, "{forward} for {}", forward_of(i));
    }
}

fn external(day: &str, smile: &Svi, blend: f64) -> ExternalSlice {
    let Svi { a, b, rho, m, sigma } = *smile;
    let tau = now().years_until(expiry(day));
    let (expiry, source, time) = (expiry(day), "desk".to_owned(), now());
    ExternalSlice { expiry, forward: 80_000.0, tau, a, b, rho, m, sigma, blend, source, time }
}

#[test]
fn an_outside_smile_replaces_ours_blends_with_it_or_is_refused() {
    let tau = now().years_until(expiry("27FEB26"));
    let theirs = truth(tau, 0.62, -0.3, 0.8);
    let with = |slice: ExternalSlice| {
        let mut snapshot = sampled(0.6, -0.2, 0.8, 0.004);
        snapshot.underlyings.get_mut(&btc()).unwrap().external.push(slice);
        fitted(&snapshot).underlyings[&btc()].clone()
    };
    let replaced = with(external("27FEB26", &theirs, 1.0));
    assert_eq!((replaced.slices[1].svi, replaced.slices[1].quality.method), (theirs, FitMethod::External));
    assert_free_of_arbitrage(&replaced);
    let blended = with(external("27FEB26", &theirs, 0.5));
    assert_eq!(blended.slices[1].quality.method, FitMethod::Blended);
    let halfway = (0.5 * (0.6 * 0.6 + 0.62 * 0.62_f64)).sqrt();
    assert!((blended.slices[1].svi.vol(0.0, tau) - halfway).abs() < 0.001);
    assert_free_of_arbitrage(&blended);
    // The Axel Vogt slice of Gatheral and Jacquier (2014), example 3.1: butterfly arbitrage.
    let vogt = Svi { a: -0.0410, b: 0.1331, rho: 0.3060, m: 0.3586, sigma: 0.4153 };
    let refused = with(external("27FEB26", &vogt, 1.0));
    assert_eq!(refused.slices[1].quality.method, FitMethod::Raw);
    assert!(refused.refused.iter().any(|i| i.reason == Reason::Butterfly && i.subject.contains("external")));
}

#[test]
fn between_expiries_total_variance_and_log_forward_are_linear_in_time() {
    let surface = fitted(&sampled(0.6, 0.0, 0.8, 0.004));
    let btc = &surface.underlyings[&btc()];
    let (near, far) = (&btc.slices[1], &btc.slices[2]);
    let middle = Timestamp::from_nanos(near.expiry.nanos() / 2 + far.expiry.nanos() / 2);
    let tau = now().years_until(middle);
    for k in [-0.2, 0.0, 0.3] {
        let expected = (0.5 * (near.svi.w(k) + far.svi.w(k)) / tau).sqrt();
        assert!((btc.vol(middle, k).unwrap() - expected).abs() < 1e-12);
        let listed = btc.vol(near.expiry, k).unwrap();
        assert_eq!(listed, near.svi.vol(k, near.tau));
        let later = btc.slices[3].expiry.plus_seconds(86_400 * 100);
        assert_eq!(btc.vol(later, k).unwrap(), btc.slices[3].svi.vol(k, btc.slices[3].tau));
    }
    let forward = btc.forward(now(), middle).unwrap();
    assert!((forward - (near.forward * far.forward).sqrt()).abs() < 1e-6);
    assert!(btc.forward(now(), now()).is_err());
    assert!(btc.vol(now(), 0.0).is_err());
    assert!(btc.vol(middle, f64::NAN).is_err());
}

#[test]
fn signals_read_level_skew_and_slope() {
    let surface = fitted(&sampled(0.6, -0.4, 0.8, 0.004));
    let read = signals(&surface.underlyings[&btc()], now(), &[7.0, 30.0, 90.0]).unwrap();
    for tenor in &read.tenors {
        assert!((tenor.atm_vol - 0.6).abs() < 0.003, "{tenor:?}");
        assert!(tenor.risk_reversal_25d < -0.005 && tenor.butterfly_25d > 0.0, "{tenor:?}");
        assert!(!tenor.extrapolated);
    }
    assert!(read.term_slope.unwrap().abs() < 0.003);
    assert!(signals(&surface.underlyings[&btc()], now(), &[0.0]).is_err());
    // The first smile is a week away: it answers for four days, but one day is another tenor.
    assert!(signals(&surface.underlyings[&btc()], now(), &[4.0]).unwrap().tenors[0].extrapolated);
    assert!(signals(&surface.underlyings[&btc()], now(), &[1.0]).is_err());
}

#[test]
fn beyond_the_smiles_one_answers_up_to_twice_its_tenor_and_half_of_it() {
    let surface = fitted(&sampled(0.6, 0.0, 0.8, 0.004));
    let btc = &surface.underlyings[&btc()];
    // Seven days to the first smile, 238 to the last.
    let at = |seconds: i64| now().plus_seconds(seconds);
    let (first, last) = (btc.slices[0].expiry, btc.slices[3].expiry);
    assert_eq!((first, last), (at(7 * 86_400), at(238 * 86_400)));
    let refused = |expiry| match btc.vol(expiry, 0.1) {
        Err(SurfaceError::NoSmileNear { expiry: asked, nearest }) if asked == expiry => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(btc.vol(at(302_400 + 1), 0.1).unwrap(), btc.slices[0].svi.vol(0.1, btc.slices[0].tau));
    assert_eq!(refused(at(302_400 - 1)), first);
    assert_eq!(btc.vol(at(476 * 86_400 - 1), 0.1).unwrap(), btc.slices[3].svi.vol(0.1, btc.slices[3].tau));
    assert_eq!(refused(at(476 * 86_400 + 1)), last);
    assert!(matches!(btc.vol(now(), 0.1), Err(SurfaceError::Expired { .. })));
    assert!(btc.has_slice(first) && !btc.has_slice(at(302_401)));
    // Between two smiles the distance does not matter: 28 days and 56 enclose 40.
    assert!(btc.vol(at(40 * 86_400), 0.1).is_ok() && !btc.has_slice(at(40 * 86_400)));
}

#[test]
fn an_expiry_an_hour_away_is_fitted_or_refused_and_never_fails() {
    let day = "31JAN26";
    let smile = truth(1.0 / 365.0, 0.5, -0.1, 0.8);
    let mut snapshot = market(quotes(day, 80_000.0, &smile, 0.01));
    for seconds in [86_399, 3_600, 60, 1] {
        let as_of = expiry(day).plus_seconds(-seconds);
        snapshot.as_of = as_of;
        let market = snapshot.underlyings.get_mut(&btc()).unwrap();
        market.index[0].time = as_of;
        market.options.iter_mut().for_each(|q| q.time = as_of);
        let surface = fitted(&snapshot);
        let btc = &surface.underlyings[&btc()];
        assert_free_of_arbitrage(btc);
        assert!(btc.slices.len() == 1 || btc.refused.iter().any(|i| i.expiry == Some(expiry(day))));
    }
}
