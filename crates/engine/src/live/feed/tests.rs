use super::*;

const SECOND: i64 = 1_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000 * SECOND + millis * 1_000_000)
}

fn params(sources: &[&str], quorum: u32) -> FeedParams {
    let sources = sources.iter().map(|name| ((*name).to_owned(), SourceParams::default())).collect();
    FeedParams { sources, quorum, recover: 1, ..FeedParams::default() }
}

fn seen(sequence: u64, millis: i64, dollars: i64) -> Observation {
    let price = Stated { mantissa: dollars * 100, exponent: -2 };
    let confidence = Some(Stated { mantissa: dollars, exponent: -3 });
    Observation { sequence, time: at(millis), price, confidence, valid_until: None }
}

/// A feed of some sources that all say 3000 at the start, and are normal.
fn calm(params: &FeedParams) -> Feed {
    let mut feed = Feed::new();
    for name in params.sources.keys() {
        feed.observe(params, (name, &seen(1, 0, 3000)), at(0)).unwrap();
    }
    assert_eq!(feed.validity(), Validity::Normal);
    feed
}

#[test]
fn a_stated_number_is_the_float_nearest_to_it() {
    assert_eq!(Stated { mantissa: 300_012, exponent: -2 }.to_f64(), Some(3000.12));
    assert_eq!(Stated { mantissa: 1, exponent: -8 }.to_f64(), Some(1e-8));
    assert_eq!(Stated { mantissa: i64::MAX, exponent: 0 }.to_f64(), None);
    assert_eq!(Stated { mantissa: 1, exponent: 23 }.to_f64(), None);
}

#[test]
fn age_at_the_limit_is_normal_and_a_millisecond_more_is_not() {
    let params = params(&["a"], 1);
    let mut feed = calm(&params);
    feed.wait(&params, at(60_000));
    assert_eq!(feed.validity(), Validity::Normal);
    feed.wait(&params, at(60_001));
    assert_eq!((feed.validity(), feed.causes().contains(&Cause::SoftStale)), (Validity::Degraded, true));
    feed.wait(&params, at(180_000));
    assert_eq!(feed.validity(), Validity::Degraded);
    feed.wait(&params, at(180_001));
    assert_eq!((feed.validity(), feed.causes().contains(&Cause::HardStale)), (Validity::Halted, true));
    assert_eq!(feed.accepted().map(|a| a.price), Some(3000.0));
}

#[test]
fn a_refused_observation_changes_nothing() {
    let params = params(&["a"], 1);
    let mut feed = calm(&params);
    feed.observe(&params, ("a", &seen(5, 5_000, 3001)), at(5_000)).unwrap();
    let before = feed.clone();
    let refused = |feed: &mut Feed, seen: Observation| feed.observe(&params, ("a", &seen), at(6_000));
    assert_eq!(refused(&mut feed, seen(5, 5_000, 3001)), Err(Refused::Duplicate));
    assert_eq!(refused(&mut feed, seen(4, 4_000, 3001)), Err(Refused::OutOfOrder));
    assert_eq!(refused(&mut feed, seen(6, 8_001, 3001)), Err(Refused::Future));
    assert_eq!(refused(&mut feed, seen(6, 6_000, 0)), Err(Refused::NonPositive));
    assert_eq!(refused(&mut feed, seen(6, 6_000, -37)), Err(Refused::NonPositive));
    let wide =
        Observation { confidence: Some(Stated { mantissa: 3600, exponent: 0 }), ..seen(6, 6_000, 3000) };
    assert_eq!(refused(&mut feed, wide), Err(Refused::BadConfidence));
    assert_eq!(feed.observe(&params, ("z", &seen(1, 6_000, 3000)), at(6_000)), Err(Refused::UnknownSource));
    assert_eq!(feed, before);
}

#[test]
fn two_prices_for_one_instant_silence_the_source_until_somebody_has_looked() {
    let params = params(&["a"], 1);
    let mut feed = calm(&params);
    assert_eq!(feed.observe(&params, ("a", &seen(2, 0, 3001)), at(10)), Err(Refused::Equivocation));
    assert_eq!(feed.quarantined().collect::<Vec<_>>(), [("a", Quarantine::Equivocation)]);
    assert_eq!(feed.observe(&params, ("a", &seen(3, 1_000, 3001)), at(1_000)), Err(Refused::Quarantined));
    assert_eq!(feed.validity(), Validity::Halted);
    feed.pardon(&params, "a", at(2_000)).unwrap();
    feed.observe(&params, ("a", &seen(4, 3_000, 3002)), at(3_000)).unwrap();
    assert_eq!(feed.validity(), Validity::Normal);
}

#[test]
fn two_sources_a_thousandfold_apart_are_never_averaged() {
    let params = params(&["a", "b"], 2);
    let mut feed = calm(&params);
    feed.observe(&params, ("a", &seen(2, 1_000, 3_000_000)), at(1_000)).unwrap();
    assert_eq!((feed.validity(), feed.causes().contains(&Cause::Disagreement)), (Validity::Halted, true));
    assert_eq!(feed.accepted().map(|a| a.price), Some(3000.0));
}

#[test]
fn one_of_three_a_thousandfold_off_does_not_move_the_median() {
    let params = params(&["a", "b", "c"], 3);
    let mut feed = calm(&params);
    feed.observe(&params, ("a", &seen(2, 1_000, 3_000_000)), at(1_000)).unwrap();
    assert_eq!((feed.validity(), feed.causes().contains(&Cause::SourcesLost)), (Validity::Degraded, true));
    assert_eq!(feed.accepted().map(|a| a.price), Some(3000.0));
}

#[test]
fn a_jump_of_all_sources_waits_for_confirmation_and_then_holds() {
    let names = ["a", "b", "c", "d", "e"];
    let params = params(&names, 3);
    let mut feed = calm(&params);
    let mut confirmed_after = None;
    for (count, name) in (1..).zip(names.iter().cycle().take(15)) {
        let millis = 1_000 * count;
        let now = at(millis);
        let sequence = 1 + u64::try_from(count).unwrap();
        feed.observe(&params, (name, &seen(sequence, millis, 1650)), now).unwrap();
        let price = feed.accepted().unwrap().price;
        assert!(price == 3000.0 || price == 1650.0, "{price}");
        if price == 1650.0 && confirmed_after.is_none() {
            confirmed_after = Some(count);
        }
    }
    // The median jumps with the third source, and is believed when two more say the same.
    assert_eq!(confirmed_after, Some(5));
}

#[test]
fn a_price_that_repeats_at_its_bound_or_off_our_own_market_is_pinned() {
    let mut params = params(&["a"], 1);
    params
        .sources
        .insert("a".into(), SourceParams { bounds: Some((0.0, 3000.0)), ..SourceParams::default() });
    let mut feed = calm(&params);
    for n in 2..=10 {
        let millis = 1_000 * i64::try_from(n).unwrap();
        feed.observe(&params, ("a", &seen(n, millis, 3000)), at(millis)).unwrap();
    }
    assert_eq!((feed.validity(), feed.causes().contains(&Cause::Pinned)), (Validity::Halted, true));
}

#[test]
fn a_halt_is_followed_by_grace_and_recovery_takes_fresh_observations() {
    let mut params = params(&["a"], 1);
    params.recover = 3;
    let mut feed = Feed::new();
    for n in 1..=3 {
        assert_ne!(feed.validity(), Validity::Normal);
        let millis = 1_000 * i64::try_from(n).unwrap();
        feed.observe(&params, ("a", &seen(n, millis, 3000)), at(millis)).unwrap();
    }
    assert_eq!(feed.validity(), Validity::Normal);
    assert!(!feed.grace_is_over(at(1_000)) && feed.grace_is_over(at(121_000)));
    feed.wait(&params, at(400_000));
    assert_eq!(feed.validity(), Validity::Halted);
    feed.observe(&params, ("a", &seen(4, 400_000, 3000)), at(400_000)).unwrap();
    assert_eq!((feed.validity(), feed.causes().contains(&Cause::Recovering)), (Validity::Degraded, true));
    assert!(!feed.grace_is_over(at(500_000)) && feed.grace_is_over(at(520_000)));
}
