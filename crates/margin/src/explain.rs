//! stage
use crate::{MarginReport, Params};
use plimsoll_types::RiskArrays;

/// The report as text, every number that was added.
pub fn explain(report: &MarginReport, _arrays: &RiskArrays, _params: &Params) -> String {
    report.account.to_string()
}
