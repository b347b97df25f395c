//! Bounded updates: every limit, at and beside it.
use plimsoll_margin::venue::bounded_update::*;
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000;

fn rule(max_change: MaxChange) -> Rule {
    Rule {
        restricted: false,
        min_delay: STEWARD_DELAY_SECONDS,
        max_change,
        minimum: None,
        maximum: None,
        expiry: Some(ORACLE_EXPIRY_SECONDS),
    }
}

fn proposal(present: i128, proposed: i128) -> Proposal {
    Proposal {
        sender_authorised: true,
        present,
        change: Change::To(proposed),
        made_at: NOW,
        last_update: None,
    }
}

/// aave-v3-risk-stewards: a cap of 1 000 000 with 100 % allowed, a rate with 10 %, a cap of 110 million with 1 %.
#[test]
fn a_relative_limit_is_a_share_of_the_present_value_rounded_down() {
    let allows = |bps, x, y| MaxChange::RelativeBps(bps).allows(x, y);
    assert!(!allows(10_000, 1_000_000, 2_100_000) && allows(10_000, 1_000_000, 2_000_000));
    assert!(allows(1_000, 1_000_000, 1_100_000));
    assert!(allows(100, 110_000_000, 111_100_000) && !allows(100, 110_000_000, 111_100_001));
    // floor(1999 x 5 %) is 99.
    assert!(allows(500, 1999, 2098) && !allows(500, 1999, 2099));
    assert!(allows(500, 1999, 1900) && !allows(500, 1999, 1899));
    // From 0 nothing relative can be reached.
    assert!(allows(10_000, 0, 0) && !allows(10_000, 0, 1));
}

/// The limit is in the parameter's unit: 70 % of loan-to-value with ten points allowed reaches 60 % and 80 %.
#[test]
fn an_absolute_limit_is_not_a_share() {
    let allows = |y| MaxChange::Absolute(1000).allows(7000, y);
    assert!(allows(8000) && allows(6000) && !allows(8001) && !allows(5999));
    assert!(!MaxChange::Absolute(i128::MAX).allows(i128::MIN, i128::MAX));
}

#[test]
fn the_first_broken_limit_is_named() {
    let limit = MaxChange::Absolute(10);
    let check = |rule: Rule, proposal: Proposal| rule.check(&proposal, NOW);
    let good = proposal(100, 110);
    assert_eq!(check(rule(limit), good), Ok(Accepted::Set(110)));
    assert_eq!(check(Rule { restricted: true, ..rule(limit) }, good), Err(Refusal::Restricted));
    let stranger = Proposal { sender_authorised: false, ..good };
    assert_eq!(check(rule(limit), stranger), Err(Refusal::Unauthorised));
    let aged = |age| check(rule(limit), Proposal { made_at: NOW - age, ..good });
    assert_eq!(aged(21_599), Ok(Accepted::Set(110)));
    assert_eq!(aged(21_600), Err(Refusal::Expired { age: 21_600, expiry: 21_600 }));
    assert_eq!(aged(-1), Err(Refusal::InTheFuture { at: NOW + 1, now: NOW }));
    let after = |elapsed| check(rule(limit), Proposal { last_update: Some(NOW - elapsed), ..good });
    assert_eq!(after(259_200), Ok(Accepted::Set(110)));
    assert_eq!(after(259_199), Err(Refusal::TooSoon { elapsed: 259_199, least: 259_200 }));
    let far = Err(Refusal::TooFar { present: 100, proposed: 111, most: 10 });
    assert_eq!(check(rule(limit), proposal(100, 111)), far);
    let bounded = Rule { minimum: Some(95), maximum: Some(105), ..rule(limit) };
    assert_eq!(check(bounded, good), Err(Refusal::OutOfBounds { proposed: 110, bound: 105 }));
    assert_eq!(check(bounded, proposal(100, 94)), Err(Refusal::OutOfBounds { proposed: 94, bound: 95 }));
    assert_eq!(check(bounded, proposal(100, 95)), Ok(Accepted::Set(95)));
}

#[test]
fn keeping_the_current_value_needs_no_delay_and_is_no_change() {
    let kept = Proposal { change: Change::KeepCurrent, last_update: Some(NOW - 1), ..proposal(100, 0) };
    assert_eq!(rule(MaxChange::Absolute(0)).check(&kept, NOW), Ok(Accepted::Unchanged));
    // Somebody without authority may not even say so.
    let stranger = Proposal { sender_authorised: false, ..kept };
    assert_eq!(rule(MaxChange::Absolute(0)).check(&stranger, NOW), Err(Refusal::Unauthorised));
}

#[test]
fn coupled_parameters_move_together_or_not_at_all() {
    let limit = rule(MaxChange::Absolute(10));
    let good = (limit, proposal(100, 110));
    assert_eq!(check_all(&[good, good], NOW), Ok(vec![Accepted::Set(110); 2]));
    let far = Refusal::TooFar { present: 100, proposed: 120, most: 10 };
    assert_eq!(check_all(&[good, (limit, proposal(100, 120)), good], NOW), Err((1, far)));
}

#[test]
fn a_rule_reads_and_writes_as_json() {
    let text = r#"{"restricted":false,"min_delay":259200,"max_change":{"relative_bps":1000},
        "minimum":null,"maximum":5,"expiry":21600}"#;
    let read: Rule = serde_json::from_str(text).unwrap();
    assert_eq!(read, Rule { maximum: Some(5), ..rule(MaxChange::RelativeBps(1000)) });
    assert_eq!(serde_json::from_str::<Rule>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_is_within_every_limit(
        (present, proposed) in (-1_000_000_i128..1_000_000, -1_000_000_i128..1_000_000),
        (bps, low, width) in (0_i128..20_000, -1_000_000_i128..1_000_000, 0_i128..1_000_000),
    ) {
        for max_change in [MaxChange::RelativeBps(bps), MaxChange::Absolute(bps)] {
            let bounded = Rule { minimum: Some(low), maximum: Some(low + width), ..rule(max_change) };
            if let Ok(Accepted::Set(value)) = bounded.check(&proposal(present, proposed), NOW) {
                prop_assert_eq!(value, proposed);
                prop_assert!(low <= value && value <= low + width);
                prop_assert!((value - present).abs() <= max_change.amount(present).unwrap());
            }
        }
    }
}
