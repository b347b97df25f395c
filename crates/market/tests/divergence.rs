//! Perpetuals, futures and supplied smiles that are far from the rest of their market.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::{GuardParams, Guarded, fit, guard};
use plimsoll_types::{
    Asset, ExternalSlice, Forward, ForwardSource, FutureQuote, IndexPrice, PerpQuote, Reason, Snapshot,
    Timestamp, UnderlyingMarket,
};
use std::collections::BTreeMap;

const NOON: Timestamp = Timestamp::from_seconds(1_770_000_000);

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn perpetual(mark: Option<f64>, sides: Option<(f64, f64)>) -> PerpQuote {
    let (bid, ask) = (sides.map(|s| s.0), sides.map(|s| s.1));
    let instrument = "BTC-PERPETUAL".parse().unwrap();
    PerpQuote { instrument, mark, bid, ask, funding_8h: None, open_interest: None, time: NOON }
}

fn future(name: &str, mark: f64) -> FutureQuote {
    let instrument = name.parse().unwrap();
    FutureQuote { instrument, mark: Some(mark), bid: None, ask: None, open_interest: None, time: NOON }
}

fn guarded(change: impl FnOnce(&mut UnderlyingMarket)) -> Guarded {
    let index = vec![IndexPrice { price: 100_000.0, confidence: None, source: "a".to_owned(), time: NOON }];
    let mut market = UnderlyingMarket { index, ..UnderlyingMarket::default() };
    change(&mut market);
    let underlyings = BTreeMap::from([(btc(), market)]);
    guard(&Snapshot { as_of: NOON, underlyings, assets: BTreeMap::new() }, &GuardParams::default())
}

fn market(guarded: &Guarded) -> &UnderlyingMarket {
    &guarded.snapshot.underlyings[&btc()].market
}

/// Reasons and subjects of a perpetual, and the price it is left with.
fn judged(quote: PerpQuote) -> (Vec<(Reason, String)>, Option<f64>) {
    let guarded = guarded(|m| m.perpetuals.push(quote));
    let surface = fit(&guarded, &plimsoll_market::FitParams::default());
    let price = surface.underlyings[&btc()].perpetuals.values().next().map(|p| p.price);
    (guarded.issues.into_iter().map(|i| (i.reason, i.subject)).collect(), price)
}

#[test]
fn a_perpetual_marked_at_twice_the_index_has_no_price() {
    let (issues, price) = judged(perpetual(Some(200_000.0), None));
    assert_eq!(price, None);
    let expected = [
        (Reason::Outlier, "BTC-PERPETUAL.mark".to_owned()),
        (Reason::MissingQuote, "BTC-PERPETUAL".to_owned()),
    ];
    assert_eq!(issues, expected);
    let one = guarded(|m| m.perpetuals.push(perpetual(Some(200_000.0), None)));
    assert_eq!((one.issues[0].value, one.issues[0].limit), (Some(1.0), Some(0.10)));
}

#[test]
fn a_perpetual_within_a_tenth_of_the_index_keeps_its_mark() {
    for mark in [90_100.0, 100_000.0, 109_900.0] {
        assert_eq!(judged(perpetual(Some(mark), None)), (vec![], Some(mark)));
    }
    for mark in [89_900.0, 110_100.0] {
        assert_eq!(judged(perpetual(Some(mark), None)).1, None);
    }
}

#[test]
fn a_perpetual_whose_mark_is_refused_has_the_middle_of_sound_sides() {
    let (issues, price) = judged(perpetual(Some(200_000.0), Some((99_990.0, 100_010.0))));
    assert_eq!(price, Some(100_000.0));
    assert_eq!(issues, [(Reason::Outlier, "BTC-PERPETUAL.mark".to_owned())]);
}

#[test]
fn a_middle_far_from_the_index_never_stands_in_for_a_mark() {
    let (issues, price) = judged(perpetual(None, Some((1.0, 2.0))));
    assert_eq!((issues[0].clone(), price), ((Reason::Outlier, "BTC-PERPETUAL.middle".to_owned()), None));
}

#[test]
fn a_mark_far_outside_its_own_sides_is_refused() {
    // 9 % above the index, and 21 % above an ask that is 10 % below it.
    let (issues, price) = judged(perpetual(Some(109_000.0), Some((90_100.0, 90_200.0))));
    assert_eq!(issues, [(Reason::Outlier, "BTC-PERPETUAL.mark".to_owned())]);
    assert_eq!(price, Some(90_150.0));
    // One side is enough.
    let mut bid_only = perpetual(Some(91_000.0), None);
    bid_only.bid = Some(109_000.0);
    assert_eq!(judged(bid_only).1, None);
}

#[test]
fn a_dated_future_is_given_as_much_again_per_quarter() {
    let kept = |name: &str, mark: f64| {
        let guarded = guarded(|m| m.futures.push(future(name, mark)));
        (market(&guarded).futures.len(), guarded.issues.first().and_then(|i| i.limit))
    };
    // NOON is 2 February 2026, 02:40; the expiry 53.222 days later: 0.10 (1 + 4 x 53.222 / 365) = 0.15833.
    let (left, limit) = kept("BTC-27MAR26", 200_000.0);
    assert_eq!(left, 0);
    assert!((limit.unwrap() - 0.158_325).abs() < 1e-5, "{limit:?}");
    assert_eq!(kept("BTC-27MAR26", 115_800.0), (1, None));
    assert_eq!(kept("BTC-27MAR26", 115_900.0).0, 0);
    assert_eq!(kept("BTC-27MAR26", 84_200.0).0, 1);
    assert_eq!(kept("BTC-27MAR26", 84_100.0).0, 0);
}

fn smile(change: impl FnOnce(&mut ExternalSlice)) -> ExternalSlice {
    let expiry = "2026-03-27T08:00:00Z".parse().unwrap();
    let mut slice = ExternalSlice {
        expiry,
        forward: 101_000.0,
        tau: NOON.years_until(expiry),
        a: 0.02,
        b: 0.1,
        rho: -0.3,
        m: 0.0,
        sigma: 0.2,
        blend: 1.0,
        source: "x".to_owned(),
        time: NOON,
    };
    change(&mut slice);
    slice
}

/// The issue an external smile gets beside a stated forward of 101,000.
fn objection(change: impl FnOnce(&mut ExternalSlice)) -> Option<(Reason, String)> {
    let slice = smile(change);
    let forward =
        Forward { expiry: slice.expiry, price: 101_000.0, source: ForwardSource::Venue, time: NOON };
    let guarded = guarded(|m| {
        m.forwards.push(forward);
        m.external.push(slice);
    });
    let kept = market(&guarded).external.len();
    let first = guarded.issues.into_iter().next();
    assert_eq!(kept, usize::from(first.is_none()));
    first.map(|i| (i.reason, i.subject))
}

#[test]
fn a_supplied_smile_on_another_forward_is_refused() {
    assert_eq!(objection(|_| ()), None);
    assert_eq!(objection(|s| s.forward = 101_000.0 * 1.049), None);
    let name = "BTC external smile 2026-03-27T08:00:00Z of x.forward".to_owned();
    assert_eq!(objection(|s| s.forward = 1.0), Some((Reason::Outlier, name.clone())));
    assert_eq!(objection(|s| s.forward = 101_000.0 * 0.949), Some((Reason::Outlier, name)));
}

#[test]
fn a_supplied_smile_without_a_market_forward_is_held_against_the_index() {
    let alone = |forward: f64| {
        let guarded = guarded(|m| m.external.push(smile(|s| s.forward = forward)));
        market(&guarded).external.len()
    };
    assert_eq!((alone(115_000.0), alone(117_000.0), alone(1.0)), (1, 0, 0));
}

#[test]
fn a_supplied_smile_of_another_time_to_expiry_is_refused() {
    let name = "BTC external smile 2026-03-27T08:00:00Z of x.tau".to_owned();
    assert_eq!(objection(|s| s.tau *= 1.009), None);
    assert_eq!(objection(|s| s.tau *= 1.011), Some((Reason::Outlier, name.clone())));
    assert_eq!(objection(|s| s.tau = 5.0), Some((Reason::Outlier, name)));
    // Fitted half an hour ago at the time left then.
    assert_eq!(
        objection(|s| {
            s.time = NOON.plus_seconds(-1800);
            s.tau = s.time.years_until(s.expiry);
        }),
        None
    );
}
