//! Reading fields of a case. A field that is missing or malformed is a reason in words, which becomes a miss.

use plimsoll_quant::black::OptionKind;
use serde_json::Value;

/// Why a case cannot be computed, in words.
pub(super) type Reason = String;

/// A finite number, written as a JSON number or as decimal text.
pub(super) fn as_number(value: &Value, name: &str) -> Result<f64, Reason> {
    let read = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match read {
        Some(x) if x.is_finite() => Ok(x),
        _ => Err(format!("`{name}` is {value}: expected a finite number or decimal text")),
    }
}

/// The finite number under `name`.
pub(super) fn number(case: &Value, name: &str) -> Result<f64, Reason> {
    as_number(present(case, name)?, name)
}

/// The finite number under `name`, or `None` where there is no such field or it is null.
pub(super) fn number_if_any(case: &Value, name: &str) -> Result<Option<f64>, Reason> {
    match case.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => as_number(value, name).map(Some),
    }
}

/// The text under `name`.
pub(super) fn text<'a>(case: &'a Value, name: &str) -> Result<&'a str, Reason> {
    let value = present(case, name)?;
    value.as_str().ok_or_else(|| format!("`{name}` is {value}: expected text"))
}

/// The truth value under `name`.
pub(super) fn flag(case: &Value, name: &str) -> Result<bool, Reason> {
    let value = present(case, name)?;
    value.as_bool().ok_or_else(|| format!("`{name}` is {value}: expected true or false"))
}

/// The array under `name`.
pub(super) fn array<'a>(case: &'a Value, name: &str) -> Result<&'a [Value], Reason> {
    let value = present(case, name)?;
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("`{name}` is not an array"))
}

/// The array under `name`, empty where there is no such field: for the optional sections of a file.
pub(super) fn section<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    file.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The numbers of an array.
pub(super) fn numbers(value: &Value, name: &str) -> Result<Vec<f64>, Reason> {
    let items = value.as_array().ok_or_else(|| format!("`{name}` is not an array"))?;
    items.iter().map(|item| as_number(item, name)).collect()
}

/// A square or rectangular table of numbers, row by row.
pub(super) fn matrix(case: &Value, name: &str) -> Result<Vec<Vec<f64>>, Reason> {
    array(case, name)?.iter().map(|row| numbers(row, name)).collect()
}

/// `call` or `put` under `type`.
pub(super) fn kind(case: &Value) -> Result<OptionKind, Reason> {
    match text(case, "type")? {
        "call" | "Call" | "C" | "c" => Ok(OptionKind::Call),
        "put" | "Put" | "P" | "p" => Ok(OptionKind::Put),
        other => Err(format!("`type` is `{other}`: expected call or put")),
    }
}

/// The `id` of a case, or its place in the file where it has none.
pub(super) fn id(case: &Value, section: &str, index: usize) -> String {
    match case.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => format!("{section}[{index}]"),
    }
}

fn present<'a>(case: &'a Value, name: &str) -> Result<&'a Value, Reason> {
    case.get(name).ok_or_else(|| format!("`{name}` is missing"))
}
