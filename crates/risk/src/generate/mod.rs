//! Specification -> explicit scenario set.

use crate::set::ScenarioSet;
use crate::spec::{ReturnSeries, ScenarioSpec, SpecError};
use plimsoll_types::Asset;
use std::collections::BTreeMap;

/// Spells out every scenario of a specification for the underlyings given.
pub fn generate(
    spec: &ScenarioSpec,
    underlyings: &[Asset],
    series: &BTreeMap<String, ReturnSeries>,
) -> Result<ScenarioSet, SpecError> {
    let _ = (underlyings, series);
    spec.validate()?;
    Err(SpecError::Value { field: "scenarios".into(), value: String::new(), expected: "" })
}
impl ScenarioSpec {
    /// Checks every number.
    pub fn validate(&self) -> Result<(), SpecError> {
        Ok(())
    }
}
