//! GMX: the least collateral factor by open interest.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::gmx::collateral_factor_min;
use serde_json::Value;

/// A case of the collateral factor.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("function").and_then(Value::as_str) == Some("gmx_min_collateral_factor")
}

/// Compares a case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let known = ["open_interest_usd", "delta_usd", "oi_multiplier", "market_min_collateral_factor", "rule"];
    field::only(inputs, "inputs", &known)?;
    let get = |name: &str| field::fixed(inputs, name);
    let factor = collateral_factor_min(
        get("open_interest_usd")?,
        get("delta_usd")?,
        get("oi_multiplier")?,
        get("market_min_collateral_factor")?,
    );
    let computed = Computed::from(factor.map_err(|e| e.to_string())?);
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    ledger.against("", expected, &computed, Tolerance::Absolute(field::tolerance(case)?));
    Ok(())
}
