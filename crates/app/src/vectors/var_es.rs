//! Value at risk and expected shortfall: historical samples, closed forms, quantile conventions.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::stats::{
    QuantileRule, StatsError, normal_var_es, pnl_var_es, quantile, student_t_unit_scale, student_t_var_es,
};
use serde_json::Value;

/// Of measures on a sample whose published figures have six digits.
const SAMPLE: Tolerance = Tolerance::Absolute(1e-5);

/// Of closed forms and quantiles.
const EXACT: Tolerance = Tolerance::Either { relative: 1e-12, absolute: 1e-12 };

const RULES: [(&str, QuantileRule); 6] = [
    ("index_above", QuantileRule::IndexAbove),
    ("nearest_index", QuantileRule::NearestIndex),
    ("nearest_index_plus_one", QuantileRule::NearestIndexPlusOne),
    ("sample_interp", QuantileRule::SampleInterpolated),
    ("sample_plus_one_interp", QuantileRule::SamplePlusOneInterpolated),
    ("midway_interp", QuantileRule::MidwayInterpolated),
];

/// A file with `pnl` samples, `closed_form` measures or `quantile_conventions`.
pub(super) fn recognise(file: &Value) -> bool {
    let samples = field::section(file, "cases").iter().any(|case| case.get("pnl").is_some());
    samples || file.get("closed_form").is_some() || file.get("quantile_conventions").is_some()
}

/// Checks the three sections.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    ledger.rows("cases", file.get("cases"), sample);
    ledger.rows("closed_form", file.get("closed_form"), closed_form);
    let conventions = file.get("quantile_conventions");
    let compare = |row: &Value, ledger: &mut Ledger| {
        quantiles(conventions.ok_or("`quantile_conventions` is missing")?, row, ledger)
    };
    ledger.rows_of("quantile_conventions", conventions, compare);
}

fn sample(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let known = ["id", "source", "note", "verified", "risk_class", "n", "pnl", "expected", "max_abs_err"];
    field::only(case, "case", &known)?;
    let pnl = field::numbers(case.get("pnl").ok_or("`pnl` is missing")?, "pnl")?;
    let stated = field::integer_if_any(case, "n")?;
    if let Some(n) = stated.filter(|n| usize::try_from(*n) != Ok(pnl.len())) {
        return Err(format!("`n` is {n}, and `pnl` has {} numbers", pnl.len()));
    }
    let expected = case.get("expected").and_then(Value::as_object).ok_or("`expected` is not an object")?;
    for (level, measures) in expected {
        field::only(measures, level, &["var", "es"])?;
        let q: f64 = level.parse().map_err(|_| format!("`{level}` is not a level"))?;
        let (var, es) = pnl_var_es(&pnl, q).map_err(|e| e.to_string())?;
        ledger.number(format!("var {level}"), field::number(measures, "var")?, var, SAMPLE);
        ledger.number(format!("es {level}"), field::number(measures, "es")?, es, SAMPLE);
    }
    Ok(())
}

fn closed_form(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let level = field::number(case, "alpha")?;
    let in_words = |e: StatsError| e.to_string();
    let (var, es) = match field::text(case, "dist")? {
        "normal" => normal_var_es(level).map_err(in_words)?,
        "student_t" => student_t_var_es(level, field::number(case, "nu")?).map_err(in_words)?,
        other => return Err(format!("`dist` is `{other}`: expected normal or student_t")),
    };
    ledger.number("var", field::number(case, "var")?, var, EXACT);
    ledger.number("es", field::number(case, "es")?, es, EXACT);
    if let Some(expected) = field::number_if_any(case, "unit_variance_scale")? {
        let scale = student_t_unit_scale(field::number(case, "nu")?).map_err(in_words)?;
        ledger.number("unit variance scale", expected, scale, EXACT);
    }
    Ok(())
}

fn quantiles(conventions: &Value, row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let name = field::text(row, "sample")?;
    let values = conventions.get(name).ok_or_else(|| format!("there is no sample `{name}`"))?;
    let values = field::numbers(values, name)?;
    let p = field::number(row, "p")?;
    for (name, rule) in RULES {
        if let Some(expected) = field::number_if_any(row, name)? {
            let computed = quantile(&values, p, rule).map_err(|e| e.to_string())?;
            ledger.number(format!("{name} at {p}"), expected, computed, EXACT);
        }
    }
    Ok(())
}
