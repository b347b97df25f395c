//! Every number of a policy file has a range: what would never bind, what lets a value loosen past its limits, and what is no number
//! at its size is refused where it stands, and the schema says the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::plimsoll;
use plimsoll_policy::{
    Estimator, Key, Knob, POLICIES, Policy, PolicyError, PolicyFile, Quantile, SCHEMA, Scheduled, Scope,
    TargetSpec, Vote,
};
use plimsoll_types::{NANO, Ppb, Timestamp};
use serde_json::Value;

type Attack = (&'static str, fn(&mut PolicyFile));

fn each_quantile(file: &mut PolicyFile, change: impl Fn(&mut Quantile)) {
    for parameter in &mut file.parameters {
        if let TargetSpec::Quantile(of) = &mut parameter.target {
            change(of);
        }
    }
}

fn each_mean(file: &mut PolicyFile, change: impl Fn(&mut f64, &mut usize, &mut f64)) {
    each_quantile(file, |of| {
        for estimator in &mut of.now {
            if let Estimator::MeanAbs { half_life, needed, nu } = estimator {
                change(half_life, needed, nu);
            }
        }
    });
}

fn long_run(file: &mut PolicyFile, length: usize) {
    each_quantile(file, |of| {
        if let Some(stress) = &mut of.stress {
            stress.estimator = Estimator::LongRun { window: length, needed: length, nu: 5.0 };
        }
    });
}

fn refused(change: impl Fn(&mut PolicyFile)) -> PolicyError {
    let mut file = plimsoll().file().clone();
    change(&mut file);
    Policy::new(file).unwrap_err()
}

/// What loosens past limits, binds never, or waits for what never comes.
#[test]
fn what_would_never_bind_is_no_policy() {
    let attacks: [Attack; 17] = [
        ("delay_up_seconds", |file| file.motions.get_mut("scan").unwrap().limits.delay_up_seconds = 86_401),
        ("expiry_seconds", |file| file.motions.get_mut("scan").unwrap().limits.expiry_seconds = 31 * 86_400),
        ("ramp_seconds", |file| file.motions.get_mut("scan").unwrap().announce.ramp_seconds = 15 * 86_400),
        ("notice_seconds + ramp_seconds", |file| {
            let announce = &mut file.motions.get_mut("scan").unwrap().announce;
            (announce.notice_seconds, announce.ramp_seconds) = (8 * 86_400, 8 * 86_400);
        }),
        ("fallback", |file| each_quantile(file, |of| of.fallback = Ppb(NANO / 100))),
        ("seconds that it looks back", |file| long_run(file, 130)),
        ("needed", |file| each_mean(file, |_, needed, _| *needed = 1_000_000)),
        ("needed: seconds", |file| each_mean(file, |_, needed, _| *needed = 2_000)),
        ("half_life", |file| each_mean(file, |half_life, _, _| *half_life = 1e-300)),
        ("nu", |file| each_mean(file, |_, _, nu| *nu = 1e300)),
        ("gain", |file| each_quantile(file, |of| of.tracking.iter_mut().for_each(|t| t.gain = 1e-300))),
        ("times", |file| each_quantile(file, |of| of.times = 0.01)),
        ("quorum", |file| file.governance.as_mut().unwrap().quorum = u64::MAX),
        ("most", |file| {
            file.adjusters.as_mut().unwrap().by.values_mut().for_each(|of| of.slope.most = 1.0);
        }),
        ("product_max", |file| file.adjusters.as_mut().unwrap().product_max = 1.0),
        ("induced_max", |file| file.glide.as_mut().unwrap().induced_max = 1e300),
        ("liquidatable_share_max", |file| file.glide.as_mut().unwrap().liquidatable_share_max = 1.0),
    ];
    for (names, attack) in attacks {
        let reason = refused(attack).to_string();
        assert!(reason.contains(names), "{names}: {reason}");
    }
}

/// A base line answers to no governance, and says so.
#[test]
fn a_week_to_the_next_rise_is_for_base_lines() {
    let mut file = Policy::shipped("span-like").unwrap().file().clone();
    for motion in file.motions.values_mut() {
        assert_eq!(motion.limits.delay_up_seconds, 604_800);
        motion.limits.unbounded = false;
    }
    assert!(Policy::new(file).unwrap_err().to_string().contains("delay_up_seconds"));
}

fn vote(day: i64, value: Ppb) -> Scheduled {
    let at = |day: i64| Timestamp::from_seconds(86_400 * day);
    Scheduled {
        id: format!("{day}"),
        key: Key { knob: Knob::FloorShare, scope: Scope::default() },
        value,
        proposed: at(day - 2),
        effective: at(day),
        expires: None,
        vote: Vote { reference: String::new(), yes: 3, no: 1 },
    }
}

/// Of 0.35 limits let 15 % go in a week: a vote may ask for as much, and the next one from there.
#[test]
fn a_vote_of_the_file_falls_no_further_than_limits_do_in_a_window() {
    let with = |votes: &[(i64, f64)]| {
        let mut file = plimsoll().file().clone();
        file.schedule = votes.iter().map(|(day, to)| vote(*day, Ppb::from_f64(*to).unwrap())).collect();
        Policy::new(file)
    };
    with(&[(10, 0.2975)]).unwrap();
    with(&[(20, 0.2529), (10, 0.2975)]).unwrap();
    with(&[(10, 0.8)]).unwrap();
    for votes in [&[(10, 0.001)][..], &[(10, 0.2974)], &[(10, 0.2529), (20, 0.2975)]] {
        let reason = with(votes).unwrap_err().to_string();
        assert!(reason.contains("falls further"), "{votes:?}: {reason}");
    }
}

/// A number of a file and what the schema says of it.
struct Leaf {
    /// Where it stands, as JSON writes it.
    pointer: String,
    value: Value,
    schema: Value,
}

/// The numbers of `value`, each with its part of the schema.
fn leaves(root: &Value, schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Leaf>) {
    if let Some(name) = schema["$ref"].as_str() {
        let part = root.pointer(name.strip_prefix('#').unwrap()).unwrap();
        return leaves(root, part, value, pointer, found);
    }
    if let Some(any) = schema["oneOf"].as_array() {
        let own = any.iter().find(|part| part["properties"]["kind"]["const"] == value["kind"]).unwrap();
        return leaves(root, own, value, pointer, found);
    }
    match value {
        Value::Object(map) => {
            for (name, part) in map {
                let own = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                leaves(root, own, part, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(all) => {
            for (i, part) in all.iter().enumerate() {
                leaves(root, &schema["items"], part, &format!("{pointer}/{i}"), found);
            }
        }
        Value::Number(_) => {
            found.push(Leaf { pointer: pointer.to_owned(), value: value.clone(), schema: schema.clone() });
        }
        _ => (),
    }
}

fn numbers(text: &str) -> (Value, Vec<Leaf>) {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let file = serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    let mut found = Vec::new();
    leaves(&root, &root, &file, "", &mut found);
    (file, found)
}

fn with(file: &Value, pointer: &str, to: Value) -> Result<Policy, String> {
    let mut file = file.clone();
    *file.pointer_mut(pointer).unwrap() = to;
    let file: PolicyFile = serde_json::from_value(file).map_err(|e| e.to_string())?;
    Policy::new(file).map_err(|e| e.to_string())
}

/// Just beyond a bound of the schema.
fn beyond(schema: &Value, of: &Value) -> Vec<Value> {
    let whole = of.is_i64() || of.is_u64();
    let past = |bound: f64, side: f64| {
        let to = bound + side * if whole { 1.0 } else { 1e-9_f64.max(bound.abs() * 1e-6) };
        if whole { Value::from(to as i64) } else { Value::from(to) }
    };
    let at = |name: &str, side: f64| schema[name].as_f64().map(|bound| past(bound, side));
    let edge = |name: &str| schema[name].as_f64().map(Value::from);
    [at("minimum", -1.0), at("maximum", 1.0), edge("exclusiveMinimum"), edge("exclusiveMaximum")]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_number_has_a_range_in_the_schema_and_the_parser_refuses_what_lies_beyond() {
    let mut met = std::collections::BTreeSet::new();
    for (name, text) in POLICIES {
        let (file, found) = numbers(text);
        for Leaf { pointer, value, schema } in found {
            let least = schema.get("minimum").or(schema.get("exclusiveMinimum"));
            let most = schema.get("maximum").or(schema.get("exclusiveMaximum"));
            let real = schema["type"] != "integer";
            assert!(!real || least.is_some() && most.is_some(), "{name}: {pointer}: no range: {schema}");
            // One of a kind is enough: parameters of a list differ by their place only.
            if !met.insert((pointer.replace(|c: char| c.is_ascii_digit(), ""), schema.to_string())) {
                continue;
            }
            for bad in beyond(&schema, &value) {
                assert!(with(&file, &pointer, bad.clone()).is_err(), "{name}: {pointer}: {bad} of {schema}");
            }
        }
    }
    assert!(met.len() > 100, "{}", met.len());
}

#[test]
fn a_number_that_is_neither_nothing_nor_meant_is_refused_wherever_it_stands() {
    let (file, found) = numbers(POLICIES[0].1);
    let mut count = 0;
    for Leaf { pointer, value, .. } in found.iter().filter(|leaf| leaf.value.is_f64()) {
        for bad in [1e-300, -1e-300, 5e-324, 1e300] {
            let outcome = with(&file, pointer, Value::from(bad));
            assert!(outcome.is_err(), "{pointer}: {value} -> {bad}");
        }
        count += 1;
    }
    assert!(count > 150, "{count}");
}
