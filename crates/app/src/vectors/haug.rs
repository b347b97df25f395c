//! Generalised Black-Scholes: values and Greeks against published tables and a high-precision evaluation.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::bs::{SpotGreeks, SpotInputs, greeks};
use serde_json::Value;

/// Against the high-precision evaluation.
const RECOMPUTED: Tolerance = Tolerance::Either { relative: 1e-12, absolute: 1e-15 };

/// Against a published figure that states no tolerance.
const PUBLISHED: f64 = 1e-4;

/// What an option is priced by, and what a file says of a figure beside it.
const KEYS: [&str; 14] = [
    "id",
    "source",
    "note",
    "verified",
    "type",
    "spot",
    "strike",
    "q",
    "r",
    "t",
    "vol",
    "recomputed",
    "published_tol",
    "abs_err",
];

/// A file with `values` or `greeks` of options on a spot.
pub(super) fn recognise(file: &Value) -> bool {
    ["values", "greeks"].iter().any(|name| field::section(file, name).iter().any(|c| c.get("spot").is_some()))
}

/// Checks every case of both sections.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    ledger.rows("values", file.get("values"), value_case);
    ledger.rows("greeks", file.get("greeks"), greek_case);
}

fn inputs(case: &Value) -> Result<SpotGreeks, Reason> {
    let inputs = SpotInputs {
        spot: field::number(case, "spot")?,
        strike: field::number(case, "strike")?,
        yield_: field::number(case, "q")?,
        rate: field::number(case, "r")?,
        tau: field::number(case, "t")?,
        vol: field::number(case, "vol")?,
    };
    Ok(greeks(field::kind(case)?, &inputs))
}

/// A quantity by the name the files give it.
fn named(all: &SpotGreeks, name: &str) -> Result<f64, Reason> {
    Ok(match name {
        "value" | "price" => all.value,
        "delta" => all.delta,
        "gamma" => all.gamma,
        "vega" => all.vega,
        "theta" => all.theta,
        "theta_per_day" | "thetaPerDay" => all.theta / 365.0,
        "rho" => all.rho,
        "dividend_rho" | "dividendRho" => all.dividend_rho,
        "elasticity" => all.elasticity,
        "vanna" => all.vanna,
        "volga" => all.volga,
        other => return Err(format!("`{other}` is not a known Greek")),
    })
}

fn value_case(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    field::only(case, "case", &[&KEYS[..], &["published_value", "abs_err_vs_published"]].concat())?;
    let all = inputs(case)?;
    if let Some(published) = field::number_if_any(case, "published_value")? {
        let tolerance = field::number_if_any(case, "published_tol")?.unwrap_or(PUBLISHED);
        ledger.number("published value", published, all.value, Tolerance::Absolute(tolerance));
    }
    if case.get("recomputed").is_none_or(Value::is_null) {
        return Ok(());
    }
    for (name, expected) in field::object(case, "recomputed")?.as_object().into_iter().flatten() {
        ledger.number(name, field::as_number(expected, name)?, named(&all, name)?, RECOMPUTED);
    }
    Ok(())
}

fn greek_case(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    field::only(case, "case", &[&KEYS[..], &["greek", "published"]].concat())?;
    let name = field::text(case, "greek")?;
    let computed = named(&inputs(case)?, name)?;
    if let Some(published) = field::number_if_any(case, "published")? {
        let tolerance = field::number_if_any(case, "published_tol")?.unwrap_or(PUBLISHED);
        ledger.number(format!("published {name}"), published, computed, Tolerance::Absolute(tolerance));
    }
    if let Some(expected) = field::number_if_any(case, "recomputed")? {
        ledger.number(name, expected, computed, RECOMPUTED);
    }
    Ok(())
}
