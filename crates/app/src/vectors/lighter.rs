//! Cases of Lighter's zero price and risk change: exact integers.

use super::field::{self, Reason};
use super::function::{self, Compute};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::lighter::{Side, Standing, lighter_risk_change, lighter_zero_price};
use serde_json::Value;

/// Every function, by the name that files give it.
const FUNCTIONS: [(&str, Compute); 2] =
    [("lighter_zero_price", zero_price), ("lighter_risk_change", risk_change)];

/// Whether a case is one of Lighter.
pub(super) fn recognise(case: &Value) -> bool {
    function::named(&FUNCTIONS, case).is_some()
}

/// Computes a case and compares everything it expects; the tolerance it must state has no effect on integers.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    function::check(&FUNCTIONS, case, Tolerance::Absolute(field::tolerance(case)?), ledger)
}

/// The integer under the first of several names that files use.
fn named(inputs: &Value, names: &[&str]) -> Result<i128, Reason> {
    let stated = names.iter().find(|name| inputs.get(**name).is_some());
    field::integer(inputs, stated.or(names.first()).ok_or("no name")?)
}

fn side(inputs: &Value) -> Result<Side, Reason> {
    let value = inputs.get("side").ok_or("`side` is missing")?;
    match (value.as_str(), value.as_i64()) {
        (Some("long"), _) | (_, Some(1)) => Ok(Side::Long),
        (Some("short"), _) | (_, Some(-1)) => Ok(Side::Short),
        _ => Err(format!("`side` is {value}: expected long, short, 1 or -1")),
    }
}

const MARK: [&str; 2] = ["mark", "mark_price"];
const FRACTION: [&str; 3] = ["mf", "margin_fraction", "maintenance_margin_fraction"];
const VALUE: [&str; 2] = ["tav", "total_account_value"];
const REQUIREMENT: [&str; 2] = ["mmr", "maintenance_margin_requirement"];

fn zero_price(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &[&MARK[..], &FRACTION, &VALUE, &REQUIREMENT, &["side", "rule"]].concat())?;
    let (mark, fraction) = (named(inputs, &MARK)?, named(inputs, &FRACTION)?);
    let price = lighter_zero_price(
        mark,
        fraction,
        named(inputs, &VALUE)?,
        named(inputs, &REQUIREMENT)?,
        side(inputs)?,
    );
    price.map(Computed::Integer).map_err(|e| e.to_string())
}

fn risk_change(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["value_before", "requirement_before", "value_after", "requirement_after", "rule"];
    field::only(inputs, "inputs", &known)?;
    let get = |name| field::integer(inputs, name);
    let before = Standing { value: get("value_before")?, requirement: get("requirement_before")? };
    let after = Standing { value: get("value_after")?, requirement: get("requirement_after")? };
    lighter_risk_change(before, after).map(Computed::Flag).map_err(|e| e.to_string())
}
