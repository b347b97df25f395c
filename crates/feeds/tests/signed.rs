//! The signed feed against messages that another implementation hashed and signed (`vectors/eip712.json`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, reason = "a test indexes what it wrote itself")]

use plimsoll_feeds::evm::{Address, Signers, fixed, recover, unhex};
use plimsoll_feeds::signed::{Domain, Feed, Message, Signed};
use plimsoll_feeds::{Number, Protocol, Reading, Reason, Turn};
use plimsoll_types::Timestamp;
use serde_json::{Value, json};

/// The order n of the curve; `n - s` is the other half of a signature.
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/eip712.json")).unwrap()
}

fn signers() -> Vec<Address> {
    vectors()["signers"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().parse().unwrap()).collect()
}

fn domain(case: &Value) -> Domain {
    Domain {
        name: "Plimsoll".to_owned(),
        version: "1".to_owned(),
        chain_id: case["chain_id"].as_u64().unwrap(),
        verifying_contract: case["contract"].as_str().unwrap().parse().unwrap(),
    }
}

fn case(place: usize) -> Value {
    vectors()["cases"][place].clone()
}

/// A frame of a case with some of its signatures.
fn frame(case: &Value, signatures: &[usize]) -> Value {
    let mut frame = case["message"].clone();
    frame["signatures"] = signatures.iter().map(|at| case["signatures"][*at].clone()).collect();
    frame
}

fn feed(threshold: usize, gapless: bool) -> Signed {
    let feed = Feed {
        feed: "ETH-USD".to_owned(),
        asset: "ETH".parse().unwrap(),
        quote: "USD".parse().unwrap(),
        exponent: -7,
    };
    let allowed = signers()[..3].to_vec();
    Signed::new(domain(&case(0)), Signers::new(allowed, threshold).unwrap(), vec![feed], gapless, 2000)
}

/// In time for every case.
fn now() -> Timestamp {
    "2026-01-01T00:00:02Z".parse().unwrap()
}

fn take(signed: &mut Signed, frame: &Value) -> Result<Vec<Reading>, Reason> {
    take_at(signed, frame, now()).0
}

fn take_at(signed: &mut Signed, frame: &Value, at: Timestamp) -> (Result<Vec<Reading>, Reason>, Turn) {
    let mut turn = Turn::default();
    let taken = signed.receive(frame.to_string().as_bytes(), at, &mut turn);
    (taken.map(|()| turn.readings.clone()).map_err(|r| r.reason), turn)
}

#[test]
fn hashes_and_signers_are_those_of_eth_account() {
    for case in vectors()["cases"].as_array().unwrap() {
        let said = &case["message"];
        let number = |of: &str| said[of].as_str().unwrap().to_owned();
        let message = Message {
            feed: said["feed"].as_str().unwrap().to_owned(),
            price: Number {
                mantissa: number("mantissa").parse().unwrap(),
                exponent: said["exponent"].as_i64().unwrap().try_into().unwrap(),
            },
            confidence: number("confidence").parse().unwrap(),
            sequence: number("sequence").parse().unwrap(),
            time: number("time").parse().unwrap(),
            deadline: number("deadline").parse().unwrap(),
        };
        let hash = message.hash(&domain(case));
        assert_eq!(hash, fixed(case["hash"].as_str().unwrap()).unwrap());
        for (signature, signer) in case["signatures"].as_array().unwrap().iter().zip(signers()) {
            assert_eq!(recover(&hash, &unhex(signature.as_str().unwrap()).unwrap()), Ok(signer));
        }
    }
}

#[test]
fn a_price_that_enough_signed_is_said_as_it_was_signed() {
    let said = take(&mut feed(2, true), &frame(&case(0), &[0, 2])).unwrap();
    let [Reading::Price(price)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(price.price, Number { mantissa: 25_001_200_000, exponent: -7 });
    assert_eq!(price.confidence, Some(Number { mantissa: 15_000, exponent: -7 }));
    assert_eq!((price.sequence, price.time.to_string().as_str()), (7, "2026-01-01T00:00:00Z"));
    assert_eq!(price.valid_until.unwrap().to_string(), "2026-01-01T00:01:00Z");
}

#[test]
fn f25_a_bit_flipped_in_a_signature_or_in_what_was_signed_is_refused() {
    let whole = frame(&case(0), &[0, 1]);
    for place in 0..65 {
        let mut bytes = unhex(case(0)["signatures"][1].as_str().unwrap()).unwrap();
        bytes[place] ^= 1 << (place % 8);
        let mut flipped = whole.clone();
        flipped["signatures"][1] = hex(&bytes).into();
        let refused = take(&mut feed(2, true), &flipped).unwrap_err();
        assert!([Reason::Signature, Reason::Signer].contains(&refused), "byte {place}: {refused}");
    }
    for (field, other) in [
        ("mantissa", json!("25001200001")),
        ("exponent", json!(-8)),
        ("confidence", json!("15001")),
        ("sequence", json!("8")),
        ("time", json!("1767225600001")),
        ("deadline", json!("1767225660001")),
    ] {
        let mut changed = whole.clone();
        changed[field] = other;
        assert_eq!(take(&mut feed(2, true), &changed), Err(Reason::Signer), "{field}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn f26_signers_who_are_not_allowed_sign_twice_or_are_out_of_order_are_refused() {
    for (signatures, reason) in [
        (vec![0], Reason::Quorum),
        (vec![], Reason::Quorum),
        (vec![0, 0], Reason::Signer),
        (vec![1, 0], Reason::Signer),
        (vec![0, 1, 1], Reason::Signer),
        (vec![0, 3], Reason::Signer),
        (vec![0, 1, 3], Reason::Signer),
    ] {
        assert_eq!(take(&mut feed(2, true), &frame(&case(0), &signatures)), Err(reason), "{signatures:?}");
    }
    assert!(Signers::new(signers(), 5).is_err());
    assert!(Signers::new(signers(), 0).is_err());
    assert!(Signers::new([signers()[0], signers()[0]], 2).is_err());
    let mut many = frame(&case(0), &[0, 1]);
    many["signatures"] = vec![case(0)["signatures"][0].clone(); 33].into();
    assert_eq!(take(&mut feed(2, true), &many), Err(Reason::TooLong));
}

#[test]
fn f27_what_was_signed_for_another_chain_or_contract_is_refused() {
    for place in [5, 6] {
        assert_eq!(case(place)["message"], case(0)["message"]);
        assert_eq!(
            take(&mut feed(2, true), &frame(&case(place), &[0, 1])),
            Err(Reason::Signer),
            "case {place}"
        );
    }
}

#[test]
fn f28_what_has_expired_is_of_the_future_or_leaves_numbers_out_is_refused() {
    let first = frame(&case(0), &[0, 1]);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let refused = |at| take_at(&mut feed(2, true), &first, at).0;
    assert!(refused(at("2026-01-01T00:01:00Z")).is_ok());
    assert_eq!(refused(at("2026-01-01T00:01:00.001Z")), Err(Reason::Expired));
    assert!(refused(at("2025-12-31T23:59:58Z")).is_ok());
    assert_eq!(refused(at("2025-12-31T23:59:57.999Z")), Err(Reason::Future));
    let mut signed = feed(2, true);
    take(&mut signed, &first).unwrap();
    take(&mut signed, &frame(&case(1), &[0, 1])).unwrap();
    let (gap, turn) = take_at(&mut signed, &frame(&case(2), &[0, 1]), now());
    assert_eq!(gap, Err(Reason::Gap));
    // What is missing is asked for from where it is.
    assert!(format!("{:?}", turn.asks).contains("\\\"from\\\":\\\"9\\\""), "{:?}", turn.asks);
    assert_eq!(take(&mut signed, &first), Err(Reason::OutOfOrder));
    assert!(take(&mut feed(2, false), &frame(&case(2), &[0, 1])).is_ok());
}

#[test]
fn a_gap_may_be_filled_with_what_has_expired() {
    let late = "2026-01-01T00:01:01.500Z".parse().unwrap();
    let mut signed = feed(2, true);
    take(&mut signed, &frame(&case(0), &[0, 1])).unwrap();
    let second = frame(&case(1), &[0, 1]);
    assert_eq!(take_at(&mut signed, &second, late).0, Err(Reason::Expired));
    assert_eq!(take_at(&mut signed, &second, late).0, Err(Reason::Duplicate), "its number counts");
}

#[test]
fn f06_f07_the_same_again_is_a_duplicate_and_another_price_of_the_instant_goes_on_to_the_engine() {
    let mut signed = feed(2, true);
    take(&mut signed, &frame(&case(0), &[0, 1])).unwrap();
    assert_eq!(take(&mut signed, &frame(&case(0), &[0, 1])), Err(Reason::Duplicate));
    // By other signers it is the same message.
    assert_eq!(take(&mut signed, &frame(&case(0), &[1, 2])), Err(Reason::Duplicate));
    let other = take(&mut signed, &frame(&case(3), &[0, 1])).unwrap();
    assert_eq!(other.len(), 1, "the engine is to see that the source contradicts itself");
}

#[test]
fn f10_f24_an_exponent_that_is_not_the_one_configured_is_refused() {
    assert_eq!(take(&mut feed(2, false), &frame(&case(4), &[0, 1])), Err(Reason::Exponent));
}

#[test]
fn a_signature_with_s_in_the_upper_half_or_of_another_length_is_refused() {
    let bytes = unhex(case(0)["signatures"][1].as_str().unwrap()).unwrap();
    let order = unhex(ORDER).unwrap();
    let mut high = bytes.clone();
    let mut borrow = 0_i32;
    for place in (0..32).rev() {
        let rest = i32::from(order[place]) - i32::from(bytes[32 + place]) - borrow;
        borrow = i32::from(rest < 0);
        high[32 + place] = u8::try_from(rest.rem_euclid(256)).unwrap();
    }
    high[64] = 27 + 28 - bytes[64];
    let short = &bytes[..64];
    let long = [&bytes[..], &[0]].concat();
    let no_parity = [&bytes[..64], &[bytes[64] - 27]].concat();
    let zero_r = [&[0; 32], &bytes[32..]].concat();
    for (name, wrong) in [
        ("high s", &high[..]),
        ("64 bytes", short),
        ("66", &long),
        ("v of 0 or 1", &no_parity),
        ("r = 0", &zero_r),
    ] {
        let mut changed = frame(&case(0), &[0, 1]);
        changed["signatures"][1] = hex(wrong).into();
        assert_eq!(take(&mut feed(2, true), &changed), Err(Reason::Signature), "{name}");
    }
}

#[test]
fn f09_numbers_that_are_none_and_fields_that_are_not_known_are_refused() {
    let whole = frame(&case(0), &[0, 1]);
    for (field, other, reason) in [
        ("mantissa", json!("1e3"), Reason::Number),
        ("mantissa", json!("NaN"), Reason::Number),
        ("mantissa", json!("-0"), Reason::Number),
        ("mantissa", json!("9223372036854775808"), Reason::Number),
        ("confidence", json!("-1"), Reason::Number),
        ("confidence", json!("+1"), Reason::Number),
        ("sequence", json!("18446744073709551616"), Reason::Number),
        ("time", json!(" 1"), Reason::Number),
        ("mantissa", json!(25_001_200_000_u64), Reason::Malformed),
        ("exponent", json!(128), Reason::Malformed),
        ("role", json!("operator"), Reason::Malformed),
        ("feed", json!("BTC-USD"), Reason::Unasked),
        ("signatures", json!(["0xzz", "0x"]), Reason::Malformed),
    ] {
        let mut changed = whole.clone();
        changed[field] = other.clone();
        assert_eq!(take(&mut feed(2, true), &changed), Err(reason), "{field} {other}");
    }
}

/// One set of signers replaces another: each may sign in its own term, both where the terms overlap, and no message is signed by
/// some of each.
#[test]
fn a_set_of_signers_that_rotates_counts_in_its_term_only() {
    use plimsoll_feeds::evm::Term;
    let at = |seconds: i64| now().plus_seconds(seconds);
    let set = |signers: &[Address], from, until| {
        let mut of = Signers::new(signers.to_vec(), 2).unwrap();
        of.term = Term { from, until }.checked().unwrap();
        of
    };
    let all = signers();
    let protocol = |old_until: i64, new_from: i64| {
        let feed = Feed {
            feed: "ETH-USD".to_owned(),
            asset: "ETH".parse().unwrap(),
            quote: "USD".parse().unwrap(),
            exponent: -7,
        };
        let old = set(&all[..2], None, Some(at(old_until)));
        let new = set(&all[1..3], Some(at(new_from)), None);
        Signed::new(domain(&case(0)), old, vec![feed], true, 2000).or(new)
    };
    let (by_old, by_new, mixed) =
        (frame(&case(0), &[0, 1]), frame(&case(0), &[1, 2]), frame(&case(0), &[0, 2]));
    // Before, in the overlap, after: now is in all three by how the terms are laid.
    for (terms, old, new) in [
        ((10, 5), Ok(1), Err(Reason::Signer)),
        ((10, -5), Ok(1), Ok(1)),
        ((-5, -10), Err(Reason::Signer), Ok(1)),
        ((-5, 5), Err(Reason::Expired), Err(Reason::Expired)),
    ] {
        for (frame, expected) in [(&by_old, old), (&by_new, new)] {
            let taken = take(&mut protocol(terms.0, terms.1), frame).map(|readings| readings.len());
            assert_eq!(taken, expected, "{terms:?}");
        }
        assert!(take(&mut protocol(terms.0, terms.1), &mixed).is_err(), "{terms:?}: some of each");
    }
    let never = Term { from: Some(at(1)), until: Some(at(1)) };
    assert_eq!(never.checked().map_err(|r| r.reason), Err(Reason::Time));
}
