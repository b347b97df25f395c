//! Cases of Panoptic's utilisation curve: exact integers.

use super::field::{self, Reason};
use super::function::{self, Compute};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::venue::panoptic::{
    CURVE, Curve, cross_buffer_ratio, loan_requirement, sell_collateral_ratio,
};
use serde_json::Value;

/// Every function, by the name that files give it.
const FUNCTIONS: [(&str, Compute); 3] = [
    ("panoptic_sell_collateral_ratio", sell),
    ("panoptic_loan_requirement", loan),
    ("panoptic_cross_buffer_ratio", buffer),
];

/// Whether a case is one of Panoptic.
pub(super) fn recognise(case: &Value) -> bool {
    function::named(&FUNCTIONS, case).is_some()
}

/// Computes a case and compares everything it expects; the tolerance it must state has no effect on integers.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    function::check(&FUNCTIONS, case, Tolerance::Absolute(field::tolerance(case)?), ledger)
}

fn whole(number: Result<i128, VenueError>) -> Result<Computed, Reason> {
    number.map(Computed::Integer).map_err(|e| e.to_string())
}

/// The curve of a case; what it does not state is the contract's own.
fn curve(inputs: &Value) -> Result<Curve, Reason> {
    let stated = |name: &str, own: i64| match field::integer_if_any(inputs, name)? {
        None => Ok(own),
        Some(x) => i64::try_from(x).map_err(|_| format!("`{name}` is {x}: too large")),
    };
    Ok(Curve {
        decimals: stated("decimals", CURVE.decimals)?,
        target: stated("target", CURVE.target)?,
        saturated: stated("saturated", CURVE.saturated)?,
    })
}

fn sell(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["utilization_bps", "min_ratio", "decimals", "target", "saturated"])?;
    let (bps, ratio) = (field::integer(inputs, "utilization_bps")?, field::integer(inputs, "min_ratio")?);
    whole(sell_collateral_ratio(bps, ratio, &curve(inputs)?))
}

fn loan(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["amount", "utilization_bps", "maint_rate", "decimals", "target", "saturated"];
    field::only(inputs, "inputs", &known)?;
    let get = |name| field::integer(inputs, name);
    whole(loan_requirement(get("amount")?, get("utilization_bps")?, get("maint_rate")?, &curve(inputs)?))
}

fn buffer(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["utilization_bps", "cross_buffer", "decimals", "saturated"])?;
    let (bps, buffer) = (field::integer(inputs, "utilization_bps")?, field::integer(inputs, "cross_buffer")?);
    whole(cross_buffer_ratio(bps, buffer, &curve(inputs)?))
}
