//! Cases told apart by the `function` they name: one table of functions per method.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use serde_json::Value;

/// The inputs of a case to what is computed from them.
pub(super) type Compute<T = Computed> = fn(&Value) -> Result<T, Reason>;

/// The function that a case names, if it is in the table.
pub(super) fn named<T>(table: &[(&str, Compute<T>)], case: &Value) -> Option<Compute<T>> {
    let name = case.get("function")?.as_str()?;
    table.iter().find(|(function, _)| *function == name).map(|(_, compute)| *compute)
}

/// Computes a case and compares everything it expects.
pub(super) fn check<T: Into<Computed>>(
    table: &[(&str, Compute<T>)],
    case: &Value,
    tolerance: Tolerance,
    ledger: &mut Ledger,
) -> Result<(), Reason> {
    let compute = named(table, case).ok_or("unsupported: no function of this method")?;
    let computed = compute(field::object(case, "inputs")?)?.into();
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    ledger.against("", expected, &computed, tolerance);
    Ok(())
}
