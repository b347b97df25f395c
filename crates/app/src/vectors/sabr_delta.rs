//! SABR volatilities and deltas of currency options.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::fx::{DeltaConvention, FxMarket};
use plimsoll_quant::sabr::Sabr;
use serde_json::Value;

/// Of published deltas.
const DELTA: Tolerance = Tolerance::Absolute(1e-3);
/// Of published strikes.
const STRIKE: Tolerance = Tolerance::Absolute(1e-2);
/// Of deltas printed in full.
const EXACT: Tolerance = Tolerance::Either { relative: 1e-12, absolute: 1e-15 };

/// A file with `sabr` or `fx_delta`.
pub(super) fn recognise(file: &Value) -> bool {
    file.get("sabr").is_some() || file.get("fx_delta").is_some()
}

/// Checks both sections.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    for (index, case) in listed(file, "sabr").into_iter().enumerate() {
        ledger.case(field::id(case, "sabr", index), |ledger| smile(case, ledger));
    }
    for (index, row) in listed(file, "fx_delta").into_iter().enumerate() {
        ledger.case(field::id(row, "fx_delta", index), |ledger| delta(row, ledger));
    }
}

/// The cases of a section that is one case, an array of them, or an object with `rows` or `cases`.
fn listed<'a>(file: &'a Value, name: &str) -> Vec<&'a Value> {
    match file.get(name) {
        Some(Value::Array(cases)) => cases.iter().collect(),
        Some(section @ Value::Object(_)) => {
            let rows = ["rows", "cases"].iter().find_map(|key| section.get(key).and_then(Value::as_array));
            rows.map_or_else(|| vec![section], |rows| rows.iter().collect())
        }
        Some(other) => vec![other],
        None => Vec::new(),
    }
}

fn smile(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let prose = ["id", "source", "verified", "max_abs_err_recomputed"];
    let read = ["forward", "expiry", "alpha", "beta", "nu", "rho", "strikes", "vols", "tol"];
    field::only(case, "case", &[&prose[..], &read[..], &["recomputed"]].concat())?;
    let model = Sabr {
        alpha: field::number(case, "alpha")?,
        beta: field::number(case, "beta")?,
        nu: field::number(case, "nu")?,
        rho: field::number(case, "rho")?,
    };
    let (forward, tau) = (field::number(case, "forward")?, field::number(case, "expiry")?);
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    let strikes = field::numbers(case.get("strikes").ok_or("`strikes` is missing")?, "strikes")?;
    for name in ["vols", "recomputed"] {
        if case.get(name).is_none_or(Value::is_null) && name != "vols" {
            continue;
        }
        let expected = field::numbers(case.get(name).ok_or("`vols` is missing")?, name)?;
        if expected.len() != strikes.len() {
            return Err(format!("{} figures in `{name}` for {} strikes", expected.len(), strikes.len()));
        }
        for (&strike, &expected) in strikes.iter().zip(&expected) {
            let vol = model.vol(forward, strike, tau).map_err(|e| e.to_string())?;
            ledger.number(format!("{name} at {strike}"), expected, vol, tolerance);
        }
    }
    Ok(())
}

fn delta(row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let prose = ["id", "source", "verified"];
    let market = ["spot", "dom_df", "for_df", "std_dev", "strike", "type", "delta_type"];
    let figures = ["published_delta", "recomputed", "published_strike", "recomputed_strike"];
    field::only(row, "row", &[&prose[..], &market[..], &figures[..]].concat())?;
    let market = FxMarket {
        spot: field::number(row, "spot")?,
        domestic_discount: field::number(row, "dom_df")?,
        foreign_discount: field::number(row, "for_df")?,
        std_dev: field::number(row, "std_dev")?,
    };
    let (kind, convention) = (field::kind(row)?, convention(row)?);
    let published = field::number_if_any(row, "published_delta")?;
    let in_words = |e: plimsoll_quant::fx::FxError| e.to_string();
    if let Some(strike) = field::number_if_any(row, "strike")? {
        let computed = market.delta(kind, convention, strike).map_err(in_words)?;
        if let Some(expected) = published {
            ledger.number("published delta", expected, computed, DELTA);
        }
        if let Some(expected) = field::number_if_any(row, "recomputed")? {
            ledger.number("delta", expected, computed, EXACT);
        }
    }
    for (name, tolerance) in [("published_strike", STRIKE), ("recomputed_strike", EXACT)] {
        if let Some(expected) = field::number_if_any(row, name)? {
            let delta = published.ok_or("`published_delta` is missing")?;
            let strike = market.strike(kind, convention, delta).map_err(in_words)?;
            ledger.number(name, expected, strike, tolerance);
        }
    }
    Ok(())
}

fn convention(row: &Value) -> Result<DeltaConvention, Reason> {
    match field::text(row, "delta_type")? {
        "Spot" => Ok(DeltaConvention::Spot),
        "Fwd" | "Forward" => Ok(DeltaConvention::Forward),
        "PaSpot" => Ok(DeltaConvention::PremiumAdjustedSpot),
        "PaFwd" | "PaForward" => Ok(DeltaConvention::PremiumAdjustedForward),
        other => Err(format!("unsupported: `delta_type` is `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Parity, check};

    fn checked(text: &str) -> Parity {
        check("cases.json", text.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_has_a_known_convention_and_a_figure() {
        let row = r#"{"fx_delta": {"rows": [{"type": "call", "delta_type": "PaSpot", "spot": 1.421, "dom_df": 0.997306,
            "for_df": 0.992266, "std_dev": 0.1180654, "strike": 1.600545, "published_delta": 0.15}]}}"#;
        assert!(checked(row).is_clean());
        assert!(!checked(&row.replace("0.15}", "0.152}")).is_clean());
        assert!(!checked(&row.replace("PaSpot", "Lefthand")).is_clean());
        assert!(!checked(&row.replace("\"published_delta\": 0.15", "\"verified\": true")).is_clean());
    }

    #[test]
    fn a_smile_needs_a_tolerance_and_as_many_figures_as_strikes() {
        let smile = r#"{"sabr": {"forward": 0.039, "expiry": 1, "alpha": 0.3, "beta": 0.6, "nu": 0.02, "rho": 0.01,
            "strikes": [0.034], "vols": [1.13829711098834], "tol": 1e-12}}"#;
        assert!(checked(smile).is_clean());
        assert!(!checked(&smile.replace(", \"tol\": 1e-12", "")).is_clean());
        assert!(!checked(&smile.replace("[0.034]", "[0.034, 0.044]")).is_clean());
        assert!(!checked(&smile.replace("1.13829711", "1.13829712")).is_clean());
    }
}
