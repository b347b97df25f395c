//! `policies/policy.schema.json` says what a policy file is: every shipped file satisfies it, it has a place for everything that
//! the structs write, and it refuses what they refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_policy::{POLICIES, Policy, PolicyFile, SCHEMA};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The part of JSON Schema that the file uses, and which properties were met.
struct Checker {
    root: Value,
    met: BTreeSet<String>,
}

impl Checker {
    fn new() -> Self {
        Self { root: serde_json::from_str(SCHEMA).unwrap(), met: BTreeSet::new() }
    }

    fn check(&mut self, value: &Value) -> Result<(), String> {
        let root = self.root.clone();
        self.one(&root, value, "")
    }

    fn one(&mut self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/$defs/").unwrap();
            let part = self.root["$defs"][name].clone();
            return self.one(&part, value, at);
        }
        if let Some(any) = schema["oneOf"].as_array() {
            let met = self.met.clone();
            let outcomes: Vec<_> = any
                .iter()
                .map(|part| {
                    let mut own = Checker { root: self.root.clone(), met: met.clone() };
                    own.one(part, value, at).map(|()| own.met)
                })
                .collect();
            let reasons =
                || outcomes.iter().filter_map(|o| o.as_ref().err().cloned()).collect::<Vec<_>>().join(" | ");
            let mut fits = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
            self.met = fits.next().cloned().ok_or_else(reasons)?;
            return if fits.next().is_none() { Ok(()) } else { Err(format!("{at}: more than one")) };
        }
        simple(schema, value, at)?;
        match value {
            Value::Object(map) => self.object(schema, map, at),
            Value::Array(items) if schema.get("items").is_some() => {
                let count = |name: &str, usual| schema[name].as_u64().map_or(usual, |n| n as usize);
                if items.len() < count("minItems", 0) || items.len() > count("maxItems", usize::MAX) {
                    return Err(format!("{at}: {} items", items.len()));
                }
                items.iter().try_for_each(|item| self.one(&schema["items"], item, at))
            }
            _ => Ok(()),
        }
    }

    fn object(&mut self, schema: &Value, map: &Map<String, Value>, at: &str) -> Result<(), String> {
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            map.get(name).ok_or_else(|| format!("{at}: no `{name}`"))?;
        }
        for (name, value) in map {
            let at = format!("{at}/{name}");
            if let Some(part) = schema["properties"].get(name) {
                self.met.insert(place(schema, name));
                self.one(part, value, &at)?;
                continue;
            }
            let names = schema["propertyNames"]["enum"].as_array();
            if names.is_some_and(|names| !names.contains(&json!(name)))
                || !schema["additionalProperties"].is_object()
            {
                return Err(format!("{at}: unknown"));
            }
            self.one(&schema["additionalProperties"], value, &at)?;
        }
        Ok(())
    }
}

/// A property by the description of its object.
fn place(schema: &Value, name: &str) -> String {
    format!("{} {name}", schema["description"].as_str().unwrap_or(""))
}

fn simple(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    };
    let kinds = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(any) => any.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let number = value.as_f64().unwrap_or(0.0);
    let bound = |name: &str, ok: fn(f64, f64) -> bool| {
        schema[name].as_f64().is_none_or(|bound| !value.is_number() || ok(number, bound))
    };
    let fits = (kinds.is_empty() || kinds.into_iter().any(is))
        && schema.get("const").is_none_or(|only| only == value)
        && schema["enum"].as_array().is_none_or(|any| any.contains(value))
        && bound("minimum", |x, b| x >= b)
        && bound("maximum", |x, b| x <= b)
        && bound("exclusiveMinimum", |x, b| x > b)
        && bound("exclusiveMaximum", |x, b| x < b);
    if fits { Ok(()) } else { Err(format!("{at}: {value} does not fit")) }
}

/// Every property that an object of the schema may have.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(map) = schema["properties"].as_object() {
        found.extend(map.keys().map(|name| place(schema, name)));
    }
    match schema {
        Value::Object(map) => map.values().for_each(|part| properties(part, found)),
        Value::Array(parts) => parts.iter().for_each(|part| properties(part, found)),
        _ => (),
    }
}

fn read(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

/// What shipped files leave out.
const REST: &str = r#"
name = "rest"
description = "What shipped files leave out."
observation = { step_seconds = 3600 }
governance = { timelock_seconds = 0, quorum = 1 }
buckets = { tenor_days = [7.0], moneyness = [1.0], tiers = ["maker"] }

[motions.m]
stabiliser = { band_up = 0.0, band_down = 0.0, tighten_per_day = 1.0, loosen_per_day = 0.1, hold_seconds = 0 }
announce = { notice_seconds = 0, ramp_seconds = 0 }
limits = { minimum = 0.01, maximum = "1", up = 1.0, down = 0.1, window_seconds = 172800, window_up = 1.0, window_down = 0.2, delay_up_seconds = 0, delay_down_seconds = 0, expiry_seconds = 60, step = 0.01 }

[[parameters]]
knob = "vol_scan_up"
scope = { tier = "maker", moneyness = 1, tenor = 0, underlying = "BTC" }
motion = "m"
buffer = { share = 0.25, usual = { level = 0.75, window = 250 } }

[parameters.target]
kind = "quantile"
series = "price"
loss = "fall"
confidence = 0.99
horizon_steps = 2
now = [
  { kind = "ewma", half_life = 20.0, needed = 30, nu = 5.0 },
  { kind = "har", week = 5, month = 22, window = 500, needed = 100, refit_every = 30, nu = 5.0 },
  { kind = "range", method = "yang_zhang", half_life = 20.0, needed = 30, nu = 5.0 },
  { kind = "tail", window = 500, level = 0.9, needed = 250, refit_every = 30 },
  { kind = "implied", nu = 5.0, stale_seconds = 86400 },
]
fallback = 0.2

[[parameters]]
knob = "im_fraction"
scope = { side = "short" }
motion = "m"
target = { kind = "stated", value = 0.2 }

[[schedule]]
id = "one"
key = { knob = "im_fraction", scope = { side = "short" } }
value = 0.3
proposed = "2025-01-01T00:00:00Z"
effective = "2025-01-02T00:00:00Z"
expires = "2025-02-01T00:00:00Z"
vote = { reference = "one", yes = 1, no = 0 }

[adjusters]
product_max = 2.0
by.pool = { on = true, group = "capital", knobs = ["haircut"], scope = { underlying = "BTC" }, slope = { start = 0.5, full = 1.0, most = 1.5 }, stale_seconds = 3600, when_stale = "nothing" }

[readings]
open_interest = { half_life = 30.0, needed = 10 }
correlation = { underlyings = ["BTC", "ETH"], vol_half_life = 20.0, vol_needed = 20, method = { kind = "dcc", window = 500, needed = 100, refit_every = 30 } }
"#;

#[test]
fn every_file_that_is_a_policy_satisfies_the_schema_and_together_they_use_all_of_it() {
    let mut checker = Checker::new();
    for text in POLICIES.map(|(_, text)| text).into_iter().chain([REST]) {
        let value = read(text);
        checker.check(&value).unwrap();
        Policy::from_toml(text).unwrap();
    }
    let mut all = BTreeSet::new();
    properties(&checker.root, &mut all);
    let unused: Vec<&String> = all.difference(&checker.met).collect();
    assert!(unused.is_empty(), "{unused:#?}");
}

#[test]
fn the_schema_has_a_place_for_everything_that_the_structs_write() {
    for text in POLICIES.map(|(_, text)| text).into_iter().chain([REST]) {
        let file: PolicyFile = toml::from_str(text).unwrap();
        let mut value = serde_json::to_value(&file).unwrap();
        without_null(&mut value);
        Checker::new().check(&value).unwrap();
        assert_eq!(serde_json::from_value::<PolicyFile>(value).unwrap(), file);
    }
}

fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, part| !part.is_null());
            map.values_mut().for_each(without_null);
        }
        Value::Array(parts) => parts.iter_mut().for_each(without_null),
        _ => (),
    }
}

#[test]
fn what_the_structs_refuse_the_schema_refuses() {
    let text = POLICIES[0].1;
    for (from, to) in [
        ("knob = \"skew_scan\"", "knob = \"skew\""),
        ("kind = \"mean_abs\"", "kind = \"mean\""),
        ("horizon_steps = 1 ", "horizon_step = 1 "),
        ("step_seconds = 86400", "step_seconds = 0"),
        ("on = true", "on = 1"),
        ("adjusters.by.skew]", "adjusters.by.speed_limit]"),
        ("nu = 5.0 ", "nu = 1.5 "),
        ("fractions = [0.25, ", "fractions = ["),
    ] {
        assert!(text.contains(from), "{from}");
        let bad = text.replacen(from, to, 1);
        Policy::from_toml(&bad).unwrap_err();
        assert!(Checker::new().check(&read(&bad)).is_err(), "{from} -> {to}");
    }
}
