//! SPAN: the scenario table, a futures array and its requirement.

use super::Ledger;
use serde_json::Value;

/// A file with a SPAN `scenarios` table or the textbook arrays.
pub(super) fn recognise(file: &Value) -> bool {
    ["mcmillan", "composite_delta_weights", "intercommodity_formula"].iter().any(|name| file.get(name).is_some())
}

/// Checks the table and the arrays.
pub(super) fn check(_file: &Value, _ledger: &mut Ledger) {}
