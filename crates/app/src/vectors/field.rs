//! Reading fields of a case. A field that is missing or malformed is a reason in words, which becomes a miss.

use plimsoll_quant::black::OptionKind;
use plimsoll_types::Fixed;
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

/// A whole number: a JSON integer, or the decimal text of one. A float is taken when it is whole and below 2^53.
pub(super) fn as_integer(value: &Value, name: &str) -> Result<i128, Reason> {
    let read = match value {
        Value::Number(n) => n.as_i128().or_else(|| n.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    read.ok_or_else(|| format!("`{name}` is {value}: expected a whole number"))
}

fn whole(x: f64) -> Option<i128> {
    (x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0).then_some(x as i128)
}

/// The whole number under `name`.
pub(super) fn integer(case: &Value, name: &str) -> Result<i128, Reason> {
    as_integer(present(case, name)?, name)
}

/// The whole number under `name`, or `None` where there is no such field or it is null.
pub(super) fn integer_if_any(case: &Value, name: &str) -> Result<Option<i128>, Reason> {
    match case.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => as_integer(value, name).map(Some),
    }
}

/// The number under `name` in 18 decimals.
pub(super) fn fixed(case: &Value, name: &str) -> Result<Fixed, Reason> {
    as_fixed(present(case, name)?, name)
}

/// A number in 18 decimals: exactly where it is decimal text or an integer; of a float the shortest decimal that reads as
/// the same float, which is what the file said, and beyond 18 decimals the float itself.
pub(super) fn as_fixed(value: &Value, name: &str) -> Result<Fixed, Reason> {
    let exact = match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(n) => n.to_string().parse().ok(),
        _ => None,
    };
    match exact {
        Some(number) => Ok(number),
        None => Fixed::from_f64(as_number(value, name)?).map_err(|e| format!("`{name}`: {e}")),
    }
}

/// The number under `name` in 18 decimals, or `None` where there is no such field or it is null.
pub(super) fn fixed_if_any(case: &Value, name: &str) -> Result<Option<Fixed>, Reason> {
    match case.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => as_fixed(value, name).map(Some),
    }
}

/// The object under `name`.
pub(super) fn object<'a>(case: &'a Value, name: &str) -> Result<&'a Value, Reason> {
    let value = present(case, name)?;
    if value.is_object() { Ok(value) } else { Err(format!("`{name}` is not an object")) }
}

/// Refuses an object with a key that is not among `known`: an input nobody reads could change the result.
pub(super) fn only(value: &Value, name: &str, known: &[&str]) -> Result<(), Reason> {
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    match keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("unsupported: `{name}` has `{key}`")),
        None => Ok(()),
    }
}

/// The absolute tolerance that the case itself must state, under `tolerance_abs` or `tol`, in the case or in its
/// expected values; finite and not negative.
pub(super) fn tolerance(case: &Value) -> Result<f64, Reason> {
    tolerance_if_any(case)?.ok_or_else(|| "the case states no tolerance".to_owned())
}

/// The tolerance of the form of the file, or the one that the case states where that is tighter.
pub(super) fn tolerance_within(case: &Value, form: f64) -> Result<f64, Reason> {
    Ok(tolerance_if_any(case)?.map_or(form, |stated| stated.min(form)))
}

fn tolerance_if_any(case: &Value) -> Result<Option<f64>, Reason> {
    let places = [Some(case), case.get("expected")];
    let named = ["tolerance_abs", "tol"];
    let found = places.into_iter().flatten().find_map(|place| named.iter().find_map(|name| place.get(name)));
    match found.map(|value| as_number(value, "tolerance")).transpose()? {
        Some(stated) if stated < 0.0 => Err(format!("the tolerance {stated} is negative")),
        stated => Ok(stated),
    }
}

/// What a printed figure can be held to beside an exact one: one unit of the last place in which it is written, and never
/// more than 1e-4.
pub(super) fn last_place(value: &Value) -> Result<f64, Reason> {
    let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let power = i64::try_from(places).ok().zip(exponent.parse::<i64>().ok());
    let unit = power.and_then(|(places, exponent)| format!("1e{}", exponent - places).parse().ok());
    unit.map(|unit: f64| unit.min(1e-4)).ok_or_else(|| format!("{value} is not a number"))
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
