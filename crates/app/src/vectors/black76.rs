//! Black-76: undiscounted prices, and implied volatility under stress.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::black::{OptionKind, price};
use plimsoll_quant::implied::implied_vol;
use serde_json::Value;

/// Against the high-precision price.
const PRICE: Tolerance = Tolerance::Either { relative: 1e-13, absolute: 1e-15 };

/// A file with price `rows` under named `columns`, `peer_points` or an `implied_vol_stress` section.
pub(super) fn recognise(file: &Value) -> bool {
    let rows = file.get("rows").is_some_and(Value::is_array);
    let columns = field::section(file, "columns").iter().any(|c| c.as_str() == Some("sigma"));
    (rows && columns) || file.get("implied_vol_stress").is_some() || file.get("peer_points").is_some()
}

/// Checks rows, peer points and the stress section.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    let columns = Columns::read(field::section(file, "columns"));
    ledger.rows("rows", file.get("rows"), |row, ledger| price_row(&columns, row, ledger));
    ledger.rows("peer_points", file.get("peer_points"), peer_point);
    ledger.rows_of("implied_vol_stress", file.get("implied_vol_stress"), stress_row);
}

/// Where each quantity stands in a row.
struct Columns<'a>(Vec<&'a str>);

impl<'a> Columns<'a> {
    fn read(names: &'a [Value]) -> Self {
        Self(names.iter().map(|name| name.as_str().unwrap_or_default()).collect())
    }

    /// Refuses a column that is no input and no price.
    fn known(&self) -> Result<(), Reason> {
        let known = ["F", "K", "sigma", "T", "q", "published_price", "mpmath_price"];
        let strange = |column: &&&str| !known.iter().any(|name| *column == name || starts(column, name));
        match self.0.iter().find(strange) {
            Some(column) => Err(format!("unsupported: column `{column}`")),
            None => Ok(()),
        }
    }

    /// The number under the first column whose name starts so, or `None` where there is no such column.
    fn number_if_any(&self, row: &[Value], name: &str) -> Result<Option<f64>, Reason> {
        let at = self.0.iter().position(|column| *column == name || starts(column, name));
        at.and_then(|at| row.get(at)).map(|value| field::as_number(value, name)).transpose()
    }

    fn number(&self, row: &[Value], name: &str) -> Result<f64, Reason> {
        self.number_if_any(row, name)?.ok_or_else(|| format!("column `{name}` is missing"))
    }
}

/// `q(+1 call,-1 put)` and `mpmath_price_20dig` are found by their first words.
fn starts(column: &str, name: &str) -> bool {
    column.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '_', ' ']))
}

fn price_row(columns: &Columns<'_>, row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let row = row.as_array().ok_or("the row is not an array")?;
    columns.known()?;
    if row.len() != columns.0.len() {
        return Err(format!("{} numbers under {} columns", row.len(), columns.0.len()));
    }
    let get = |name: &str| columns.number(row, name);
    let kind = match get("q")? {
        q if q > 0.0 => OptionKind::Call,
        q if q < 0.0 => OptionKind::Put,
        q => return Err(format!("`q` is {q}: expected 1 for a call or -1 for a put")),
    };
    let computed = price(kind, get("F")?, get("K")?, get("sigma")?, get("T")?);
    let mut stated = false;
    for name in ["mpmath_price", "published_price"] {
        if let Some(expected) = columns.number_if_any(row, name)? {
            stated = true;
            ledger.number(name, expected, computed, PRICE);
        }
    }
    if stated { Ok(()) } else { Err("no column of prices".to_owned()) }
}

fn peer_point(point: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let read = ["id", "source", "note", "verified", "F", "K", "sigma", "T", "type", "price", "check"];
    field::only(point, "peer point", &read)?;
    let get = |name: &str| field::number(point, name);
    let computed = price(field::kind(point)?, get("F")?, get("K")?, get("sigma")?, get("T")?);
    let (check, published) = (field::number_if_any(point, "check")?, field::number_if_any(point, "price")?);
    if let Some(expected) = check {
        ledger.number("check", expected, computed, PRICE);
    }
    if let Some(expected) = published {
        // Beside the high-precision price, the published one is held to its own digits.
        let allowed = match check {
            Some(_) => PRICE.or_absolute(field::last_place(&point["price"])?),
            None => PRICE,
        };
        ledger.number("price", expected, computed, allowed);
    }
    Ok(())
}

fn stress_row(row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let read = ["F", "K", "T", "type", "sigma", "price", "f64_attainable", "tol_rel"];
    let beside = ["id", "source", "note", "verified", "log_moneyness_lnKF", "time_value"];
    field::only(row, "row", &[&read[..], &beside].concat())?;
    let get = |name: &str| field::number(row, name);
    let found = implied_vol(field::kind(row)?, get("price")?, get("F")?, get("K")?, get("T")?);
    let attainable = field::flag(row, "f64_attainable")?;
    match (attainable, found) {
        (true, Ok(vol)) => {
            let tolerance = Tolerance::Relative(get("tol_rel")?);
            ledger.number("implied vol", get("sigma")?, vol, tolerance);
        }
        (true, Err(error)) => ledger.refused("implied vol", get("sigma")?.to_string(), error.to_string()),
        (false, Ok(vol)) => ledger.label("implied vol", "an error", vol.to_string(), false),
        (false, Err(error)) => ledger.label("implied vol", "an error", error.to_string(), true),
    }
    Ok(())
}
