//! Signatures and proofs against what real signers made, and against what they did not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test prints what it counted")]

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::*;
use plimsoll_feeds::evm::{Address, Signers, recover, unhex};
use plimsoll_feeds::pyth::guardian_set_4;
use plimsoll_feeds::pyth::update::{Statement, Trust, Update};
use plimsoll_feeds::{Number, Protocol, Reading, Reason, Turn, chainlink};
use plimsoll_types::Timestamp;

/// The three recorded updates.
fn updates() -> Option<Vec<Vec<u8>>> {
    let folder = shared("api_frames_pyth")?;
    let hermes: serde_json::Value =
        serde_json::from_str(&text(&folder.join("hermes_v2_latest_price_update.json"))).unwrap();
    let mut all = vec![unhex(hermes["binary"]["data"][0].as_str().unwrap()).unwrap()];
    let lines = text(&folder.join("accumulator_updates_base64.txt"));
    all.extend(lines.split_whitespace().map(|line| STANDARD.decode(line).unwrap()));
    Some(all)
}

fn trust() -> Trust {
    Trust::of([(4, guardian_set_4())].into())
}

#[test]
fn recorded_updates_are_signed_by_the_guardians_and_lead_to_their_root() {
    let Some(updates) = updates() else { return };
    let mut seen = std::collections::BTreeSet::new();
    for bytes in &updates {
        let update = Update::decode(bytes).unwrap();
        let signers = update.signers().unwrap();
        assert_eq!((update.set, signers.len()), (4, 13));
        for (place, signer) in signers {
            assert_eq!(guardian_set_4()[usize::from(place)], signer);
            seen.insert(place);
        }
        assert_eq!(update.verify(&trust()), Ok(()));
    }
    println!("{} updates, {} of 19 guardians seen", updates.len(), seen.len());
    assert_eq!((updates.len(), seen.len()), (3, 16));
}

#[test]
fn recorded_prices_are_what_hermes_and_the_sdk_say() {
    let Some(folder) = shared("api_frames_pyth") else { return };
    let hermes = text(&folder.join("hermes_v2_latest_price_update.json"));
    let parsed: serde_json::Value = serde_json::from_str(&hermes).unwrap();
    let mut turn = Turn::default();
    pyth().receive(hermes.as_bytes(), at(), &mut turn).unwrap();
    assert_eq!(turn.readings.len(), 2);
    for (reading, said) in turn.readings.iter().zip(parsed["parsed"].as_array().unwrap()) {
        let Reading::Price(price) = reading else { panic!("{reading:?}") };
        let number = |of: &str| said["price"][of].as_str().unwrap().parse::<i64>().unwrap();
        assert_eq!(price.price, Number { mantissa: number("price"), exponent: -8 });
        assert_eq!(price.confidence, Some(Number { mantissa: number("conf"), exponent: -8 }));
        assert_eq!(price.time.seconds(), said["price"]["publish_time"].as_i64().unwrap());
        assert_eq!(price.sequence, said["metadata"]["slot"].as_u64().unwrap());
    }
    // What the SDK's own tests expect of the others.
    let expected = text(&folder.join("accumulator_expected_fields.txt"));
    for bytes in updates().unwrap().iter().skip(1) {
        for statement in Update::decode(bytes).unwrap().statements().unwrap() {
            let Statement::Price(price) = statement else { continue };
            for value in [
                price.price.to_string(),
                price.confidence.to_string(),
                price.ema.0.to_string(),
                price.ema.1.to_string(),
            ] {
                assert!(expected.contains(&format!("toBe(\"{value}\")")), "{value}");
            }
        }
    }
}

#[test]
fn f25_one_bit_flipped_anywhere_in_an_update_is_refused() {
    let Some(updates) = updates() else { return };
    let bytes = &updates[0];
    let mut reasons = std::collections::BTreeMap::new();
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        // The minor version and what trails it mean nothing, and are not signed; a signature's place beside another's may not be free.
        let taken = Update::decode(&flipped).and_then(|update| update.verify(&trust()).map(|()| update));
        match taken {
            Ok(update) => {
                assert_eq!(update, Update::decode(bytes).unwrap(), "byte {place}");
                assert!(place == 5, "byte {place}");
            }
            Err(refusal) => *reasons.entry(refusal.reason).or_insert(0) += 1,
        }
    }
    println!("{} flips: {reasons:?}", bytes.len());
}

#[test]
fn updates_by_others_for_others_or_by_too_few_are_refused() {
    let Some(updates) = updates() else { return };
    let update = Update::decode(&updates[0]).unwrap();
    let refused = |update: &Update, trust: &Trust| update.verify(trust).map_err(|r| r.reason);
    let mut few = update.clone();
    few.signatures.pop();
    assert_eq!(refused(&few, &trust()), Err(Reason::Quorum));
    let mut twice = update.clone();
    twice.signatures[1] = twice.signatures[0].clone();
    assert_eq!(refused(&twice, &trust()), Err(Reason::Signer));
    let mut turned = update.clone();
    turned.signatures.swap(0, 1);
    assert_eq!(refused(&turned, &trust()), Err(Reason::Signer));
    let mut other = trust();
    other.guardians.get_mut(&4).unwrap().reverse();
    assert_eq!(refused(&update, &other), Err(Reason::Signer));
    assert_eq!(refused(&update, &Trust::of([(5, guardian_set_4())].into())), Err(Reason::Domain));
    assert_eq!(refused(&update, &Trust { chain: 1, ..trust() }), Err(Reason::Domain));
    assert_eq!(refused(&update, &Trust { emitter: [0; 32], ..trust() }), Err(Reason::Domain));
    let mut moved = update.clone();
    moved.messages[0].1.swap(0, 1);
    assert_eq!(refused(&moved, &trust()), Err(Reason::Proof));
    let mut grafted = update;
    grafted.messages[0].0[40] ^= 1;
    assert_eq!(refused(&grafted, &trust()), Err(Reason::Proof));
}

#[test]
fn f10_another_exponent_than_configured_is_refused() {
    let Some(folder) = shared("api_frames_pyth") else { return };
    let hermes = text(&folder.join("hermes_v2_latest_price_update.json"));
    let mut btc = feed("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43", "BTC");
    btc.exponent = -5;
    let mut protocol = plimsoll_feeds::pyth::Pyth::new(vec![btc], trust(), Default::default(), false);
    let mut turn = Turn::default();
    let refused = protocol.receive(hermes.as_bytes(), at(), &mut turn).map_err(|r| r.reason);
    assert_eq!((refused, turn.readings.len()), (Err(Reason::Exponent), 0));
}

#[test]
fn the_same_update_again_says_nothing_new() {
    let Some(folder) = shared("api_frames_pyth") else { return };
    let hermes = text(&folder.join("hermes_v2_latest_price_update.json"));
    let mut protocol = pyth();
    protocol.receive(hermes.as_bytes(), at(), &mut Turn::default()).unwrap();
    let mut turn = Turn::default();
    let again = protocol.receive(hermes.as_bytes(), at(), &mut turn).map_err(|r| r.reason);
    assert_eq!((again, turn.readings.len()), (Err(Reason::Duplicate), 0));
}

fn reports() -> Option<Vec<String>> {
    let folder = shared("api_frames_chainlink")?;
    Some(
        text(&folder.join("data_streams_full_reports_hex.txt"))
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
}

fn full(text: &str) -> chainlink::FullReport {
    chainlink::FullReport::decode(&unhex(text).unwrap()).unwrap()
}

fn signers_of(full: &chainlink::FullReport) -> Vec<Address> {
    full.signatures.iter().map(|signature| recover(&full.hash(), signature).unwrap()).collect()
}

#[test]
fn recorded_reports_say_what_the_sdk_says_and_two_of_them_are_by_the_same_signers() {
    let Some(reports) = reports() else { return };
    let expected = [
        (
            1,
            3,
            1_722_348_998,
            1_722_435_398,
            695_410_242_043_786_500,
            Some((695_331_621_895_065_600, 695_662_122_213_138_400)),
            6,
        ),
        (
            2,
            3,
            1_729_440_923,
            1_729_527_323,
            2_697_647_538_506_276_000_000,
            Some((2_697_482_108_377_163_500_000, 2_697_690_143_568_433_500_000)),
            2,
        ),
        (3, 9, 1_752_009_912, 1_754_601_912, 1_014_409_356_248_750_000, None, 2),
    ];
    for (place, version, observed, expires, price, sides, signatures) in expected {
        let full = full(&reports[place]);
        let report = chainlink::Report::decode(&full.report).unwrap();
        assert_eq!((report.version, report.observed, report.valid_from), (version, observed, observed));
        assert_eq!((report.expires, report.price, report.sides), (expires, price, sides));
        let signers: std::collections::BTreeSet<Address> = signers_of(&full).into_iter().collect();
        assert_eq!((full.signatures.len(), signers.len()), (signatures, signatures), "each by another key");
    }
    // Two reports of different streams, configurations and months: a wrong hash would give other keys each time.
    let (one, two) = (full(&reports[2]), full(&reports[3]));
    assert!(one.context[0] != two.context[0] && one.report != two.report);
    assert_eq!(signers_of(&one), signers_of(&two));
    // The first is a report without signatures, of an older form.
    assert_eq!(
        chainlink::FullReport::decode(&unhex(&reports[0]).unwrap()).map_err(|r| r.reason),
        Err(Reason::Malformed)
    );
}

/// A protocol for the second report, trusting `signers` with a threshold.
fn for_report(text: &str, signers: Vec<Address>, threshold: usize) -> chainlink::Chainlink {
    let full = full(text);
    let feed_id = *full.report.first_chunk().unwrap();
    let stream = chainlink::Stream { feed_id, asset: asset("LINK"), quote: asset("USD"), exponent: -8 };
    let trusted = Signers::new(signers, threshold).unwrap();
    chainlink::Chainlink::new(vec![stream], [(full.context[0], trusted)], None)
}

#[test]
fn a_report_is_taken_only_from_its_signers_in_its_time_and_once() {
    let Some(reports) = reports() else { return };
    let bytes = unhex(&reports[1]).unwrap();
    let signers = signers_of(&full(&reports[1]));
    let then = Timestamp::from_seconds(1_722_349_000);
    let mut protocol = for_report(&reports[1], signers.clone(), 6);
    let Ok(Reading::Price(price)) = protocol.take(&bytes, then) else { panic!("refused") };
    assert_eq!(price.price, Number { mantissa: 69_541_024, exponent: -8 });
    assert_eq!(price.confidence, Some(Number { mantissa: 16_525, exponent: -8 }));
    assert_eq!((price.time.seconds(), price.valid_until.unwrap().seconds()), (1_722_348_998, 1_722_435_398));
    let reason = |taken: Result<Reading, plimsoll_feeds::Refusal>| taken.map_err(|r| r.reason).unwrap_err();
    assert_eq!(reason(protocol.take(&bytes, then)), Reason::Duplicate);
    assert_eq!(reason(protocol.take(&bytes, Timestamp::from_seconds(1_722_435_399))), Reason::Expired);
    let strangers = vec![Address([1; 20]); 1].into_iter().chain(signers[1..].to_vec()).collect();
    assert_eq!(reason(for_report(&reports[1], strangers, 5).take(&bytes, then)), Reason::Signer);
    let more = signers.iter().copied().chain([Address([1; 20])]).collect();
    assert_eq!(reason(for_report(&reports[1], more, 7).take(&bytes, then)), Reason::Quorum);
    let mut elsewhere = for_report(&reports[2], signers, 6);
    assert_eq!(reason(elsewhere.take(&bytes, then)), Reason::Unasked);
}

#[test]
fn f25_one_bit_flipped_anywhere_in_a_report_is_refused() {
    let Some(reports) = reports() else { return };
    let bytes = unhex(&reports[1]).unwrap();
    let signers = signers_of(&full(&reports[1]));
    let mut reasons = std::collections::BTreeMap::new();
    let mut padding = 0;
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        let taken = for_report(&reports[1], signers.clone(), 6)
            .take(&flipped, Timestamp::from_seconds(1_722_349_000));
        match taken {
            Err(refusal) => *reasons.entry(refusal.reason).or_insert(0) += 1,
            // Of the word that holds the parities only as many bytes mean something as there are signatures.
            Ok(_) => {
                assert_eq!(
                    chainlink::FullReport::decode(&flipped),
                    chainlink::FullReport::decode(&bytes),
                    "byte {place}"
                );
                padding += 1;
            }
        }
    }
    println!("{} flips: {padding} in padding, {reasons:?}", bytes.len());
    assert_eq!(padding, 26);
}

#[test]
fn a_guardian_set_and_a_report_count_in_the_term_of_their_signers() {
    use plimsoll_feeds::evm::Term;
    let Some((updates, reports)) = updates().zip(reports()) else { return };
    let at = Timestamp::from_seconds(1_722_349_000);
    let (before, after) = (at.plus_seconds(-1), at.plus_seconds(1));
    let terms = [
        (Term::default(), None),
        (Term { from: Some(before), until: Some(after) }, None),
        (Term { from: Some(at), until: None }, None),
        (Term { from: Some(after), until: None }, Some(Reason::Future)),
        (Term { from: None, until: Some(at) }, Some(Reason::Expired)),
    ];
    let bytes = unhex(&reports[1]).unwrap();
    for (term, refused) in terms {
        let mut signers = Signers::new(signers_of(&full(&reports[1])), 6).unwrap();
        signers.term = term;
        let of = full(&reports[1]);
        let stream = chainlink::Stream {
            feed_id: *of.report.first_chunk().unwrap(),
            asset: asset("LINK"),
            quote: asset("USD"),
            exponent: -8,
        };
        let mut protocol = chainlink::Chainlink::new(vec![stream], [(of.context[0], signers)], None);
        assert_eq!(protocol.take(&bytes, at).err().map(|r| r.reason), refused, "{term:?}");
        let mut trust = trust();
        trust.terms.insert(4, term);
        let mut pyth = plimsoll_feeds::pyth::Pyth::new(Vec::new(), trust, Default::default(), false);
        let hex: String = updates[0].iter().map(|byte| format!("{byte:02x}")).collect();
        let frame = format!(r#"{{"binary":{{"encoding":"hex","data":["{hex}"]}}}}"#);
        let taken = pyth.receive(frame.as_bytes(), at, &mut plimsoll_feeds::Turn::default());
        // Nobody asked for its prices: that is what is wrong once its signers are right.
        assert_eq!(taken.err().map(|r| r.reason), Some(refused.unwrap_or(Reason::Unasked)), "{term:?}");
    }
}
