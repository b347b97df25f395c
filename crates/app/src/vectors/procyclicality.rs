//! Margins of one unit along a series of returns, and measures of their procyclicality.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::procyclicality::{
    Convention, MarginModel, coverage, increase_quantile, larger_of, largest_increase, log_deviation,
    long_look_back, margins, peak_to_trough, relative_cost, with_buffer, with_speed_limit, with_stress,
};
use plimsoll_quant::stats::{StatsError, mean};
use serde_json::Value;

const TOLERANCE: Tolerance = Tolerance::Relative(1e-9);

/// The `conventions` of such a file in numbers: 99 %, a seed from 500 returns, the first margin with the 500th.
const CONVENTION: Convention = Convention { confidence: 0.99, warm_up: 500 };
/// Decay of the filter and of the base that costs are compared with.
const BASE_LAMBDA: f64 = 0.97;
/// Window of a filtered simulation that names none.
const FILTERED_WINDOW: usize = 500;
/// Ten years.
const FLOOR_DAYS: usize = 2520;
/// Days of the percentile that a buffer is measured by.
const BUFFER_DAYS: usize = 250;
/// Cap of a filtered simulation that is capped and names none.
const CAP: f64 = 1.25;

/// A file of returns with the measures of several models.
pub(super) fn recognise(file: &Value) -> bool {
    ["returns", "results", "conventions"].iter().all(|key| file.get(key).is_some())
}

/// Checks the measures of every model.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    for (name, measures) in file.get("results").and_then(Value::as_object).into_iter().flatten() {
        ledger.case(name.clone(), |ledger| model(file, name, measures, ledger));
    }
}

fn in_words(e: StatsError) -> Reason {
    e.to_string()
}

/// What the measures of one model are taken of.
struct Measured {
    margins: Vec<f64>,
    base: Vec<f64>,
    /// The return after each margin but the last.
    next: Vec<f64>,
}

fn model(file: &Value, name: &str, measures: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let returns = field::numbers(file.get("returns").ok_or("`returns` is missing")?, "returns")?;
    let base = margins(&returns, &MarginModel::Ewma { lambda: BASE_LAMBDA }, &CONVENTION);
    let measured = Measured {
        margins: named(name, &returns)?,
        base: base.map_err(in_words)?,
        next: returns[CONVENTION.warm_up..].to_vec(),
    };
    for (key, expected) in measures.as_object().ok_or("the measures are not an object")? {
        if let Some(count) = counted(key, &measured)? {
            let expected = field::as_integer(expected, key)?;
            ledger.label(key, expected.to_string(), count.to_string(), expected == count);
            continue;
        }
        match measure(key, &measured)? {
            Some(computed) => ledger.number(key, field::as_number(expected, key)?, computed, TOLERANCE),
            None => ledger.refused(key, expected.to_string(), "unsupported quantity".to_owned()),
        }
    }
    Ok(())
}

fn counted(key: &str, of: &Measured) -> Result<Option<i128>, Reason> {
    if key != "breaches" && key != "n" {
        return Ok(None);
    }
    let seen = coverage(&of.margins[..of.next.len()], &of.next).map_err(in_words)?;
    let count = if key == "n" { seen.days } else { seen.breaches };
    i128::try_from(count).map(Some).map_err(|e| e.to_string())
}

fn measure(key: &str, of: &Measured) -> Result<Option<f64>, Reason> {
    let series = &of.margins;
    let computed = match key {
        "peak_to_trough" => peak_to_trough(series),
        "mean" => mean(series),
        "coverage" => coverage(&series[..of.next.len()], &of.next).map(|seen| seen.share()),
        "p2p_cost_vs_base" | "cost_vs_base" => relative_cost(series, &of.base),
        "std_log" | "sd_log" | "std_ln" => log_deviation(series),
        _ => match increase(key) {
            Some((None, days)) => largest_increase(series, days),
            Some((Some(level), days)) => increase_quantile(series, days, level),
            None => return Ok(None),
        },
    };
    computed.map(Some).map_err(in_words)
}

/// `max_5d_increase_ratio` and `p99_5d_increase_ratio`: the level of the quantile, none for the largest, and the days.
fn increase(key: &str) -> Option<(Option<f64>, usize)> {
    let (what, days) = key.strip_suffix("d_increase_ratio")?.split_once('_')?;
    let level = match what {
        "max" => None,
        _ => Some(what.strip_prefix('p')?.parse::<f64>().ok()? / 100.0),
    };
    Some((level, days.parse().ok()?))
}

/// The margins a name stands for: a model (`ewma_0.94`, `hs_250`, `fhs_500`; none: the base) and then the tools put on it
/// (`floor_10y`, `stress25`, `buffer25`, `speed_limit`).
fn named(name: &str, returns: &[f64]) -> Result<Vec<f64>, Reason> {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).filter(|w| !w.is_empty());
    // `ewma97` is the word `ewma` and the number 97, `10y` the number 10 and the word `y`.
    let parts: Vec<&str> = words.flat_map(split_numbers).collect();
    let first_tool = parts.iter().position(|part| TOOLS.contains(part)).unwrap_or(parts.len());
    let (model, tools) = parts.split_at(first_tool);
    let unknown = || format!("unsupported: model `{name}`");
    let model = model_of(model).ok_or_else(unknown)?;
    let mut series = margins(returns, &model, &CONVENTION).map_err(in_words)?;
    let mut at = 0;
    while at < tools.len() {
        let end =
            tools[at + 1..].iter().position(|part| TOOLS.contains(part)).map_or(tools.len(), |n| at + 1 + n);
        series = tool(tools[at], &tools[at + 1..end], &series, returns)?.ok_or_else(unknown)?;
        at = end;
    }
    Ok(series)
}

/// Words that begin a tool.
const TOOLS: [&str; 5] = ["floor", "stress", "buffer", "speed", "speedlimit"];

fn split_numbers(word: &str) -> Vec<&str> {
    let is_digit = |c: char| c.is_ascii_digit() || c == '.';
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_digit(c) != is_digit(first)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

fn model_of(parts: &[&str]) -> Option<MarginModel> {
    let numbers: Option<Vec<f64>> =
        parts.get(1..).unwrap_or_default().iter().map(|p| p.parse().ok()).collect();
    match (parts, numbers.as_deref()) {
        ([] | ["base"], _) => Some(MarginModel::Ewma { lambda: BASE_LAMBDA }),
        (["ewma", ..], Some([])) => Some(MarginModel::Ewma { lambda: BASE_LAMBDA }),
        (["ewma", ..], Some([lambda])) => Some(MarginModel::Ewma { lambda: decay(*lambda) }),
        (["hs", ..], Some([window])) => Some(MarginModel::Historical { window: whole(*window)? }),
        (["fhs", rest @ ..], _) => filtered(rest),
        _ => None,
    }
}

/// `fhs`, `fhs_500`, `fhs_0.97_500`, `fhs_capped_1.25_500`: numbers below 1 are decays, those after `cap` caps.
fn filtered(parts: &[&str]) -> Option<MarginModel> {
    let (mut lambda, mut window, mut cap) = (BASE_LAMBDA, FILTERED_WINDOW, None);
    let mut of_cap = false;
    for part in parts {
        match (*part, part.parse::<f64>()) {
            ("cap" | "capped", _) => (cap, of_cap) = (Some(CAP), true),
            ("ewma" | "w" | "hs", _) => {}
            (_, Ok(c)) if of_cap && (1.0..10.0).contains(&c) => (cap, of_cap) = (Some(c), false),
            (_, Ok(decay)) if decay < 1.0 => lambda = decay,
            (_, Ok(days)) => window = whole(days)?,
            _ => return None,
        }
    }
    Some(MarginModel::Filtered { lambda, window, cap })
}

/// `0.97` or `97`.
fn decay(written: f64) -> f64 {
    if written > 1.0 { written / 100.0 } else { written }
}

fn whole(x: f64) -> Option<usize> {
    (x.fract() == 0.0 && (1.0..1e9).contains(&x)).then_some(x as usize)
}

/// One tool on a series; its numbers are percentages (`25`), shares (`0.25`) or factors (`1.05`).
fn tool(name: &str, rest: &[&str], series: &[f64], returns: &[f64]) -> Result<Option<Vec<f64>>, Reason> {
    let number = rest.iter().find_map(|part| part.parse::<f64>().ok());
    let share = |usual: f64| match number {
        None => usual,
        Some(x) if (1.0..2.0).contains(&x) => x - 1.0,
        Some(x) if x < 1.0 => x,
        Some(x) => x / 100.0,
    };
    let words = ["limit", "pct", "y", "d", "x"];
    if rest.iter().any(|part| part.parse::<f64>().is_err() && !words.contains(part)) {
        return Ok(None);
    }
    let made = match name {
        "floor" if number.is_none_or(|years| years == 10.0) => {
            long_look_back(returns, FLOOR_DAYS, &CONVENTION).and_then(|floor| larger_of(series, &floor))
        }
        "stress" => {
            let stressed = series.iter().fold(0.0, |a: f64, m| a.max(*m));
            with_stress(series, share(0.25), stressed)
        }
        "buffer" => with_buffer(series, share(0.25), BUFFER_DAYS),
        "speed" | "speedlimit" => with_speed_limit(series, share(0.05)),
        _ => return Ok(None),
    };
    made.map(Some).map_err(in_words)
}

#[cfg(test)]
mod tests {
    use super::super::{Parity, check};

    fn checked(text: &str) -> Parity {
        check("cases.json", text.as_bytes()).unwrap()
    }

    fn file(results: &str) -> String {
        let returns: Vec<String> =
            (0..600).map(|i| if i % 2 == 0 { "0.01" } else { "-0.01" }.to_owned()).collect();
        format!(r#"{{"conventions": {{}}, "returns": [{}], "results": {results}}}"#, returns.join(","))
    }

    #[test]
    fn steady_returns_have_steady_margins_under_every_model_and_tool() {
        let measures =
            r#"{"peak_to_trough": 1, "max_5d_increase_ratio": 1, "p99_1d_increase_ratio": 1, "n": 100}"#;
        for name in ["ewma_0.94", "ewma97", "hs_250", "fhs_0.97_500", "fhs_capped_1.25", "stress25", "base"] {
            assert!(checked(&file(&format!(r#"{{"{name}": {measures}}}"#))).is_clean(), "{name}");
        }
        for name in
            ["hs_250_floor_10y", "ewma_0.97+buffer25", "speed_limit_1.05", "hs_500_stress25_speed_5pct"]
        {
            assert!(checked(&file(&format!(r#"{{"{name}": {measures}}}"#))).is_clean(), "{name}");
        }
    }

    #[test]
    fn a_model_a_tool_or_a_quantity_nobody_knows_is_a_miss() {
        for results in [
            r#"{"lstm_3": {"n": 100}}"#,
            r#"{"ewma_0.94_ceiling": {"n": 100}}"#,
            r#"{"ewma_0.94_floor_5y": {"n": 100}}"#,
            r#"{"ewma_0.94": {"n": 100, "colour": 1}}"#,
            r#"{"ewma_0.94": {"n": 101}}"#,
            r#"{"ewma_0.94": {"breaches": 0.5}}"#,
            r#"{"ewma_0.94": {"mean": 0.0233}}"#,
        ] {
            assert!(!checked(&file(results)).is_clean(), "{results}");
        }
    }
}
