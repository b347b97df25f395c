//! Cases of bounded parameter updates: accepted or not.

use super::field::{self, Reason};
use super::function::{self, Compute};
use super::{Ledger, Tolerance};
use plimsoll_margin::venue::bounded_update::{
    Change, MaxChange, ORACLE_EXPIRY_SECONDS, Proposal, Rule, delay_passed, expired,
};
use serde_json::Value;

/// The stewards' word for no change, and the number that stands for it: `2^256 - 1 - 42`.
const KEEP_CURRENT: [&str; 2] =
    ["KEEP_CURRENT", "115792089237316195423570985008687907853269984665640564039457584007913129639893"];

/// Every function, by the name that files give it.
const FUNCTIONS: [(&str, Compute<bool>); 4] = [
    ("risk_steward_range", range),
    ("risk_steward_debounce", debounce),
    ("risk_steward_expiry", expiry),
    ("risk_steward_update", update),
];

/// Whether a case is one of bounded updates.
pub(super) fn recognise(case: &Value) -> bool {
    function::named(&FUNCTIONS, case).is_some()
}

/// Computes a case and compares what it expects; the tolerance it must state has no effect on a truth value.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    function::check(&FUNCTIONS, case, Tolerance::Absolute(field::tolerance(case)?), ledger)
}

/// What is proposed: a number, or the stewards' sign for no change.
fn change(inputs: &Value) -> Result<Change, Reason> {
    let text = inputs.get("proposed").and_then(Value::as_str);
    if text.is_some_and(|text| KEEP_CURRENT.contains(&text)) {
        return Ok(Change::KeepCurrent);
    }
    field::integer(inputs, "proposed").map(Change::To)
}

fn max_change(inputs: &Value) -> Result<MaxChange, Reason> {
    let most = field::integer(inputs, "max_percent_change_bps")?;
    let relative = field::flag(inputs, "relative")?;
    Ok(if relative { MaxChange::RelativeBps(most) } else { MaxChange::Absolute(most) })
}

fn range(inputs: &Value) -> Result<bool, Reason> {
    field::only(inputs, "inputs", &["current", "proposed", "max_percent_change_bps", "relative"])?;
    let (limit, current) = (max_change(inputs)?, field::integer(inputs, "current")?);
    Ok(match change(inputs)? {
        Change::KeepCurrent => true,
        Change::To(proposed) => limit.allows(current, proposed),
    })
}

/// Seconds; `None` where the field is null or absent: it never happened.
fn seconds_if_any(inputs: &Value, name: &str) -> Result<Option<i64>, Reason> {
    let fits = |x: i128| i64::try_from(x).map_err(|_| format!("`{name}` is {x}: too large"));
    field::integer_if_any(inputs, name)?.map(fits).transpose()
}

fn seconds(inputs: &Value, name: &str) -> Result<i64, Reason> {
    seconds_if_any(inputs, name)?.ok_or_else(|| format!("`{name}` is missing"))
}

fn debounce(inputs: &Value) -> Result<bool, Reason> {
    field::only(inputs, "inputs", &["seconds_since_last_update", "min_delay"])?;
    if inputs.get("seconds_since_last_update").is_none() {
        return Err("`seconds_since_last_update` is missing".to_owned());
    }
    let elapsed = seconds_if_any(inputs, "seconds_since_last_update")?;
    Ok(delay_passed(elapsed, seconds(inputs, "min_delay")?))
}

fn expiry(inputs: &Value) -> Result<bool, Reason> {
    field::only(inputs, "inputs", &["seconds_since_update", "expiry"])?;
    let limit = seconds_if_any(inputs, "expiry")?.unwrap_or(ORACLE_EXPIRY_SECONDS);
    Ok(!expired(seconds(inputs, "seconds_since_update")?, limit))
}

/// A whole proposal at time 0.
fn update(inputs: &Value) -> Result<bool, Reason> {
    let known = [
        "current",
        "proposed",
        "max_percent_change_bps",
        "relative",
        "seconds_since_last_update",
        "min_delay",
        "seconds_since_update",
        "expiry",
        "authorised",
        "restricted",
        "minimum",
        "maximum",
    ];
    field::only(inputs, "inputs", &known)?;
    let elapsed = seconds_if_any(inputs, "seconds_since_last_update")?;
    let before = |seconds: i64| seconds.checked_neg().ok_or("a time does not fit");
    let rule = Rule {
        restricted: field::flag(inputs, "restricted")?,
        min_delay: seconds(inputs, "min_delay")?,
        max_change: max_change(inputs)?,
        minimum: field::integer_if_any(inputs, "minimum")?,
        maximum: field::integer_if_any(inputs, "maximum")?,
        expiry: seconds_if_any(inputs, "expiry")?,
    };
    let proposal = Proposal {
        sender_authorised: field::flag(inputs, "authorised")?,
        present: field::integer(inputs, "current")?,
        change: change(inputs)?,
        made_at: before(seconds_if_any(inputs, "seconds_since_update")?.unwrap_or(0))?,
        last_update: elapsed.map(before).transpose()?,
    };
    Ok(rule.check(&proposal, 0).is_ok())
}

#[cfg(test)]
mod tests {
    /// Whether a case passes.
    fn passes(function: &str, inputs: &str, rest: &str) -> bool {
        let case = format!(r#"{{"function": "{function}", "inputs": {{{inputs}}}, {rest}}}"#);
        let file = format!(r#"{{"meta": {{}}, "cases": [{case}]}}"#);
        crate::vectors::check("misc.json", file.as_bytes()).unwrap().is_clean()
    }

    #[test]
    fn no_change_and_never_changed_pass_and_a_tolerance_must_be_stated() {
        let yes = r#""expected": true, "tolerance_abs": 0"#;
        let keep = "115792089237316195423570985008687907853269984665640564039457584007913129639893";
        let range = |proposed: &str| {
            format!(
                r#""current": 100, "proposed": {proposed}, "max_percent_change_bps": 0, "relative": true"#
            )
        };
        assert!(passes("risk_steward_range", &range(keep), yes));
        assert!(passes("risk_steward_range", &range("100"), yes));
        assert!(!passes("risk_steward_range", &range("101"), yes));
        assert!(!passes("risk_steward_range", &range("100"), r#""expected": true"#));
        let never = r#""seconds_since_last_update": null, "min_delay": 259200"#;
        assert!(passes("risk_steward_debounce", never, yes));
        assert!(!passes("risk_steward_debounce", r#""min_delay": 259200"#, yes));
        assert!(passes("risk_steward_expiry", r#""seconds_since_update": 21599"#, yes));
        assert!(!passes("risk_steward_expiry", r#""seconds_since_update": 21600"#, yes));
    }
}
