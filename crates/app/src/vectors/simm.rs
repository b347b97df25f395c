//! The aggregation algebra of a sensitivity-based margin, for checking only: commercial use of the model needs a licence.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_quant::simm::{
    Horizon, RiskClassMargin, SimmError, Tenor, bucket_margin, concentration, curvature_margin,
    curvature_scaling,
};
use serde_json::Value;

const TOLERANCE: Tolerance = Tolerance::Relative(1e-9);

/// Keys of a case.
const KEYS: [&str; 12] = [
    "id",
    "source",
    "mpor_days",
    "risk_weights",
    "vega_rw",
    "hvr",
    "subcurve_corr",
    "concentration_thresholds_usd",
    "delta_sensitivities",
    "vega_sensitivities",
    "expected",
    "recomputed",
];

/// A file of sensitivities with the correlations of their tenors.
pub(super) fn recognise(file: &Value) -> bool {
    let cases = field::section(file, "cases");
    file.get("intra_bucket_corr").is_some() || cases.iter().any(|c| c.get("delta_sensitivities").is_some())
}

/// Checks every case.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    ledger.rows("cases", file.get("cases"), |case, ledger| margins(file, case, ledger));
}

/// A sensitivity: place on the curve, name of the curve, amount.
struct Sensitivity<'a> {
    tenor: &'a str,
    curve: &'a str,
    amount: f64,
}

fn margins(file: &Value, case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    field::only(case, "case", &[&KEYS[..], &["verified", "intra_bucket_corr", "currency"]].concat())?;
    let table = case.get("intra_bucket_corr").or_else(|| file.get("intra_bucket_corr"));
    let table = table.ok_or("`intra_bucket_corr` is missing")?;
    let delta = delta(case, table)?;
    let (vega, call) = volatility(case, table, 1.0)?;
    let (_, post) = volatility(case, table, -1.0)?;
    let side = |curvature: f64| {
        let margin = RiskClassMargin { delta, vega, curvature };
        Computed::Map(vec![
            ("delta", Computed::Number(delta)),
            ("vega", Computed::Number(vega)),
            ("curvature", Computed::Number(curvature)),
            ("ir_total", Computed::Number(margin.total())),
        ])
    };
    let expected = Computed::Map(vec![("call", side(call)), ("post", side(post))]);
    ledger.against("", field::object(case, "expected")?, &expected, TOLERANCE);
    if let Some(again) = case.get("recomputed") {
        let figures = [("delta", delta), ("vega", vega), ("curvature_call", call), ("curvature_post", post)];
        let figures = figures.map(|(name, x)| (name, Computed::Number(x))).to_vec();
        ledger.against("recomputed", again, &Computed::Map(figures), TOLERANCE);
    }
    Ok(())
}

fn in_words(e: SimmError) -> Reason {
    e.to_string()
}

/// Sensitivities under `name`, the amount under `amount`; a list of which each entry may name a curve.
fn sensitivities<'a>(case: &'a Value, name: &str, amount: &str) -> Result<Vec<Sensitivity<'a>>, Reason> {
    let Some(listed) = case.get(name).filter(|list| !list.is_null()) else {
        return Ok(Vec::new());
    };
    let listed = listed.as_array().ok_or_else(|| format!("`{name}` is not an array"))?;
    let read = |entry: &'a Value| {
        field::only(entry, name, &["tenor", "curve", amount])?;
        Ok(Sensitivity {
            tenor: field::text(entry, "tenor")?,
            curve: entry.get("curve").and_then(Value::as_str).unwrap_or_default(),
            amount: field::number(entry, amount)?,
        })
    };
    listed.iter().map(read).collect()
}

/// Concentration factor of all of them under the threshold `name`.
fn concentrated(case: &Value, of: &[Sensitivity<'_>], name: &str) -> Result<f64, Reason> {
    let threshold = field::number(field::object(case, "concentration_thresholds_usd")?, name)?;
    concentration(of.iter().fold(0.0, |net, s| net + s.amount), threshold).map_err(in_words)
}

/// Correlations of the sensitivities pair by pair; `between_curves` multiplies that of two different curves.
fn correlations(
    of: &[Sensitivity<'_>],
    table: &Value,
    between_curves: Option<f64>,
) -> Result<Vec<Vec<f64>>, Reason> {
    let pair = |a: &Sensitivity<'_>, b: &Sensitivity<'_>| {
        let tenors = if a.tenor == b.tenor { 1.0 } else { tabulated(table, a.tenor, b.tenor)? };
        if a.curve == b.curve {
            return Ok(tenors);
        }
        Ok(tenors * between_curves.ok_or("`subcurve_corr` is missing")?)
    };
    of.iter().map(|a| of.iter().map(|b| pair(a, b)).collect()).collect()
}

/// The correlation of two tenors in either order; a table that has both orders has the same number for both.
fn tabulated(table: &Value, a: &str, b: &str) -> Result<f64, Reason> {
    let stated = |key: String| field::number_if_any(table, &key);
    match (stated(format!("{a}|{b}"))?, stated(format!("{b}|{a}"))?) {
        (Some(one), Some(other)) if one.to_bits() != other.to_bits() => {
            Err(format!("`intra_bucket_corr` has {one} for `{a}|{b}` and {other} for `{b}|{a}`"))
        }
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(format!("`intra_bucket_corr` has no `{a}|{b}`")),
    }
}

fn delta(case: &Value, table: &Value) -> Result<f64, Reason> {
    let of = sensitivities(case, "delta_sensitivities", "amount_usd_per_bp")?;
    if of.is_empty() {
        return Ok(0.0);
    }
    let weights = field::object(case, "risk_weights")?;
    let factor = concentrated(case, &of, "delta")?;
    let weighted: Result<Vec<f64>, Reason> =
        of.iter().map(|s| Ok(field::number(weights, s.tenor)? * s.amount * factor)).collect();
    let rho = correlations(&of, table, field::number_if_any(case, "subcurve_corr")?)?;
    bucket_margin(&weighted?, |k, l| rho[k][l]).map_err(in_words)
}

/// Vega and curvature margin of the party whose sensitivities have the sign `side` of the listed ones.
fn volatility(case: &Value, table: &Value, side: f64) -> Result<(f64, f64), Reason> {
    let of = sensitivities(case, "vega_sensitivities", "amount_usd")?;
    if of.is_empty() {
        return Ok((0.0, 0.0));
    }
    let rho = correlations(&of, table, field::number_if_any(case, "subcurve_corr")?)?;
    let weight = field::number(case, "vega_rw")? * concentrated(case, &of, "vega")?;
    let weighted: Vec<f64> = of.iter().map(|s| weight * s.amount).collect();
    let vega = bucket_margin(&weighted, |k, l| rho[k][l]).map_err(in_words)?;
    let risks: Result<Vec<f64>, Reason> = of
        .iter()
        .map(|s| Ok(side * s.amount * curvature_scaling(tenor(s.tenor)?).map_err(in_words)?))
        .collect();
    let hvr = field::number(case, "hvr")?;
    let curvature = curvature_margin(&risks?, |k, l| rho[k][l], hvr, horizon(case)?).map_err(in_words)?;
    Ok((vega, curvature))
}

fn horizon(case: &Value) -> Result<Horizon, Reason> {
    match field::integer(case, "mpor_days")? {
        10 => Ok(Horizon::TenDays),
        1 => Ok(Horizon::OneDay),
        other => Err(format!("unsupported: `mpor_days` is {other}")),
    }
}

fn tenor(text: &str) -> Result<Tenor, Reason> {
    let read = |unit: char, of: fn(u32) -> Tenor| text.strip_suffix(unit)?.parse().ok().map(of);
    read('w', Tenor::Weeks)
        .or_else(|| read('m', Tenor::Months))
        .or_else(|| read('y', Tenor::Years))
        .ok_or_else(|| format!("`{text}` is not a tenor"))
}

#[cfg(test)]
mod tests {
    use super::super::{Parity, check};

    fn checked(text: &str) -> Parity {
        check("cases.json", text.as_bytes()).unwrap()
    }

    const FILE: &str = r#"{"intra_bucket_corr": {"1y|2y": 0.5}, "cases": [{"mpor_days": 10,
        "risk_weights": {"1y": 1, "2y": 2}, "vega_rw": 0.23, "hvr": 0.5, "subcurve_corr": 0.5,
        "concentration_thresholds_usd": {"delta": 1e9, "vega": 1e9},
        "delta_sensitivities": [{"tenor": "2y", "curve": "A", "amount_usd_per_bp": 3},
                                {"tenor": "1y", "curve": "B", "amount_usd_per_bp": 4}],
        "expected": {"call": {"delta": 8.0, "vega": 0, "curvature": 0}}}]}"#;

    #[test]
    fn two_tenors_on_two_curves_have_the_product_of_their_correlations() {
        // 36 + 16 + 2 x 0.25 x 24 = 64
        assert!(checked(FILE).is_clean());
        assert!(!checked(&FILE.replace("8.0", "8.1")).is_clean());
    }

    #[test]
    fn what_is_missing_or_unknown_is_a_miss() {
        for (from, to) in [
            ("1y|2y", "1y|3y"),
            ("\"subcurve_corr\": 0.5,", ""),
            ("\"hvr\"", "\"hrv\""),
            ("\"vega\": 0,", "\"vega\": 0, \"base\": 1,"),
        ] {
            assert!(!checked(&FILE.replace(from, to)).is_clean(), "{from}");
        }
    }
}
