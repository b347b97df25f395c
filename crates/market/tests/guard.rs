//! Exact issue lists for bad quotes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::{GuardParams, guard};
use plimsoll_types::{
    Asset, Forward, ForwardSource, IndexPrice, OptionQuote, Reason, Snapshot, Timestamp, UnderlyingMarket,
};
use std::collections::BTreeMap;

const NOON: Timestamp = Timestamp::from_seconds(1_770_000_000);

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn index(price: f64, confidence: Option<f64>, source: &str, time: Timestamp) -> IndexPrice {
    IndexPrice { price, confidence, source: source.to_owned(), time }
}

fn quote(name: &str, bid: f64, ask: f64) -> OptionQuote {
    OptionQuote {
        instrument: name.parse().unwrap(),
        bid: Some(bid),
        ask: Some(ask),
        mark: Some(0.5 * (bid + ask)),
        mark_vol: Some(0.5),
        forward: Some(90_500.0),
        open_interest: Some(1.0),
        time: NOON,
    }
}

fn snapshot(index: Vec<IndexPrice>, options: Vec<OptionQuote>) -> Snapshot {
    let market = UnderlyingMarket { index, options, ..UnderlyingMarket::default() };
    Snapshot { as_of: NOON, underlyings: BTreeMap::from([(btc(), market)]), assets: BTreeMap::new() }
}

/// The index used, if any, and the reasons with their subjects.
fn judged(sources: Vec<IndexPrice>) -> (Option<f64>, Vec<(Reason, String)>) {
    let guarded = guard(&snapshot(sources, Vec::new()), &GuardParams::default());
    let used = guarded.snapshot.underlyings.get(&btc()).map(|m| m.index);
    (used, guarded.issues.into_iter().map(|i| (i.reason, i.subject)).collect())
}

fn plain(prices: &[f64]) -> Vec<IndexPrice> {
    prices.iter().zip(["a", "b", "c", "d"]).map(|(&p, s)| index(p, None, s, NOON)).collect()
}

#[test]
fn one_source_off_by_a_thousand_leaves_the_median_of_the_others() {
    let (used, issues) = judged(plain(&[100.0, 100_000.0, 100.2]));
    assert!((used.unwrap() - 100.1).abs() < 1e-9, "{used:?}");
    assert_eq!(issues, [(Reason::Outlier, "BTC index of b".to_owned())]);
}

#[test]
fn two_sources_that_disagree_are_never_averaged() {
    let (used, issues) = judged(plain(&[100.0, 102.0]));
    assert_eq!(used, None);
    let reasons: Vec<Reason> = issues.iter().map(|i| i.0).collect();
    assert_eq!(reasons, [Reason::Outlier, Reason::Outlier, Reason::MissingIndex]);
    assert_eq!(judged(plain(&[100.0, 101.0])).1.len(), 0);
    assert_eq!(judged(plain(&[100.0, 100.0, 200.0, 200.0])).0, None);
}

#[test]
fn an_age_at_the_limit_passes_and_a_nanosecond_more_is_stale() {
    let at = |nanos: i64| Timestamp::from_nanos(NOON.nanos() - nanos);
    assert_eq!(judged(vec![index(100.0, None, "a", at(180_000_000_000))]).0, Some(100.0));
    let (used, issues) = judged(vec![index(100.0, None, "a", at(180_000_000_001))]);
    assert_eq!(used, None);
    assert_eq!(issues[0].0, Reason::Stale);
    assert_eq!(judged(vec![index(100.0, None, "a", at(-2_000_000_000))]).0, Some(100.0));
    assert_eq!(judged(vec![index(100.0, None, "a", at(-5_000_000_000))]).1[0].0, Reason::Future);
}

#[test]
fn confidence_is_judged_relative_to_the_price() {
    let with = |c: f64| judged(vec![index(100.0, Some(c), "a", NOON)]);
    assert_eq!(with(2.0), (Some(100.0), vec![]));
    assert_eq!(with(2.1).1[0].0, Reason::WideConfidence);
    assert_eq!(with(2.1).0, Some(100.0), "the only source is used under protest");
    assert_eq!(with(120.0).1[0].0, Reason::BadConfidence);
    assert_eq!(with(120.0).0, None);
    assert_eq!(with(-1.0).0, None);
    assert_eq!(with(0.0).1[0].0, Reason::BadConfidence);
    assert_eq!(with(f64::NAN).1[0].0, Reason::NonFinite);
    let zero = snapshot(vec![index(100.0, Some(0.0), "a", NOON)], vec![]);
    let guarded = guard(&zero, &GuardParams::default());
    assert_eq!(guarded.snapshot.underlyings[&btc()].confidence, 0.0005);
    let (used, issues) = judged(vec![index(100.0, Some(5.0), "a", NOON), index(100.5, Some(0.1), "b", NOON)]);
    assert_eq!((used, issues[0].0), (Some(100.5), Reason::WideConfidence));
}

#[test]
fn a_source_that_states_no_confidence_is_taken_at_the_floor_and_narrows_nobody() {
    let confidence = |sources: Vec<IndexPrice>| {
        let guarded = guard(&snapshot(sources, vec![]), &GuardParams::default());
        guarded.snapshot.underlyings[&btc()].confidence
    };
    let one = |c: Option<f64>, source| index(100.0, c, source, NOON);
    assert_eq!(confidence(vec![one(None, "a")]), 0.0005);
    // A stated basis point is narrower than what is not stated, and a stated 10 bp is wider.
    assert_eq!(confidence(vec![one(None, "a"), one(Some(0.01), "b")]), 0.0005);
    assert_eq!(confidence(vec![one(None, "a"), one(Some(0.1), "b")]), 0.001);
    // Too wide to be used beside a sound one, but the only word on how sure the price is.
    let wide = vec![one(None, "a"), one(Some(4.0), "b"), one(Some(3.0), "c")];
    assert_eq!(confidence(wide.clone()), 0.03);
    let (used, issues) = judged(wide);
    assert_eq!((used, issues.len()), (Some(100.0), 2));
    assert!(issues.iter().all(|i| i.0 == Reason::WideConfidence));
    // One that is stated and narrow enough is the word that counts.
    assert_eq!(confidence(vec![one(Some(1.0), "a"), one(Some(4.0), "b")]), 0.01);
}

#[test]
fn a_corpus_of_bad_quotes_gives_exactly_these_issues() {
    let good = quote("BTC-27MAR26-90000-C", 0.05, 0.052);
    let mut quotes = vec![good.clone()];
    let mut bad = |name: &str, change: &dyn Fn(&mut OptionQuote)| {
        let mut q = quote(name, 0.05, 0.052);
        change(&mut q);
        quotes.push(q);
    };
    bad("BTC-27MAR26-91000-C", &|q| q.bid = Some(f64::NAN));
    bad("BTC-27MAR26-92000-C", &|q| q.ask = Some(f64::INFINITY));
    bad("BTC-27MAR26-93000-C", &|q| q.bid = Some(0.0));
    bad("BTC-27MAR26-94000-C", &|q| q.mark = Some(-37.63));
    bad("BTC-27MAR26-95000-C", &|q| q.bid = Some(0.06));
    bad("BTC-27MAR26-96000-C", &|q| q.mark_vol = Some(0.0));
    bad("BTC-27MAR26-97000-C", &|q| q.mark_vol = Some(6.1));
    bad("BTC-27MAR26-98000-C", &|q| q.time = NOON.plus_seconds(-1201));
    bad("BTC-27MAR26-99000-C", &|q| q.time = NOON.plus_seconds(3));
    bad("BTC-27MAR20-99000-C", &|_| {});
    bad("BTC-27MAR26-100000-C", &|q| {
        (q.bid, q.ask, q.mark, q.mark_vol) = (None, None, None, None);
    });
    bad("BTC-27MAR26-101000-C", &|q| q.forward = Some(f64::NEG_INFINITY));
    bad("BTC-27MAR26-102000-C", &|q| q.open_interest = Some(-1.0));
    let guarded = guard(&snapshot(plain(&[90_000.0]), quotes), &GuardParams::default());
    let issues: Vec<(&str, Reason)> = guarded.issues.iter().map(|i| (i.subject.as_str(), i.reason)).collect();
    assert_eq!(
        issues,
        [
            ("BTC-27MAR26-91000-C.bid", Reason::NonFinite),
            ("BTC-27MAR26-92000-C.ask", Reason::NonFinite),
            ("BTC-27MAR26-93000-C.bid", Reason::NonPositive),
            ("BTC-27MAR26-94000-C.mark", Reason::NonPositive),
            ("BTC-27MAR26-95000-C", Reason::Crossed),
            ("BTC-27MAR26-96000-C.mark_vol", Reason::NonPositive),
            ("BTC-27MAR26-97000-C.mark_vol", Reason::Outlier),
            ("BTC-27MAR26-98000-C", Reason::Stale),
            ("BTC-27MAR26-99000-C", Reason::Future),
            ("BTC-27MAR20-99000-C", Reason::Expired),
            ("BTC-27MAR26-100000-C", Reason::MissingQuote),
            ("BTC-27MAR26-101000-C.forward", Reason::NonFinite),
            ("BTC-27MAR26-102000-C.open_interest", Reason::NonPositive),
        ]
    );
    let kept = &guarded.snapshot.underlyings[&btc()].market.options;
    assert_eq!(kept.len(), 10);
    assert_eq!(kept[0], good);
    assert_eq!((kept[5].bid, kept[5].ask, kept[5].mark), (None, None, Some(0.5 * (0.05 + 0.052))));
    let crossed = &guarded.issues[4];
    assert_eq!((crossed.value, crossed.limit), (Some(0.06), Some(0.052)));
}

#[test]
fn one_underlying_without_an_index_leaves_the_others_alone() {
    let mut both = snapshot(plain(&[90_000.0]), vec![]);
    both.underlyings.insert("ETH".parse().unwrap(), UnderlyingMarket::default());
    let guarded = guard(&both, &GuardParams::default());
    assert_eq!(guarded.snapshot.underlyings.len(), 1);
    assert_eq!((guarded.issues.len(), guarded.issues[0].reason), (1, Reason::MissingIndex));
    assert_eq!(guarded.issues[0].underlying, Some("ETH".parse().unwrap()));
}

#[test]
fn a_forward_past_its_expiry_or_not_positive_is_refused() {
    let forward =
        |price: f64, expiry: Timestamp| Forward { expiry, price, source: ForwardSource::Venue, time: NOON };
    let mut one = snapshot(plain(&[90_000.0]), vec![]);
    let later = NOON.plus_seconds(86_400);
    let forwards = vec![forward(90_100.0, later), forward(0.0, later), forward(90_100.0, NOON)];
    one.underlyings.get_mut(&btc()).unwrap().forwards = forwards;
    let guarded = guard(&one, &GuardParams::default());
    assert_eq!(guarded.snapshot.underlyings[&btc()].market.forwards.len(), 1);
    let reasons: Vec<Reason> = guarded.issues.iter().map(|i| i.reason).collect();
    assert_eq!(reasons, [Reason::NonPositive, Reason::Expired]);
}

#[test]
fn a_guarded_snapshot_guarded_again_has_no_further_issue() {
    let mut q = quote("BTC-27MAR26-90000-C", 0.05, 0.052);
    q.bid = Some(1.0);
    let first = guard(&snapshot(plain(&[1.0, 1.0, 5.0]), vec![q]), &GuardParams::default());
    assert_eq!(first.issues.len(), 2);
    let again = snapshot(plain(&[1.0]), first.snapshot.underlyings[&btc()].market.options.clone());
    assert_eq!(guard(&again, &GuardParams::default()).issues, []);
}
