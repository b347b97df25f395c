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
    for (index, row) in field::section(file, "rows").iter().enumerate() {
        ledger.case(field::id(row, "rows", index), |ledger| price_row(&columns, row, ledger));
    }
    for (index, point) in field::section(file, "peer_points").iter().enumerate() {
        ledger.case(field::id(point, "peer_points", index), |ledger| peer_point(point, ledger));
    }
    let Some(stress) = file.get("implied_vol_stress") else {
        return;
    };
    for (index, row) in field::section(stress, "rows").iter().enumerate() {
        ledger.case(field::id(row, "implied_vol_stress", index), |ledger| stress_row(row, ledger));
    }
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

    /// The number under the first column whose name starts so.
    fn number(&self, row: &[Value], name: &str) -> Result<f64, Reason> {
        let at = self.0.iter().position(|column| *column == name || starts(column, name));
        let value = at.and_then(|at| row.get(at));
        field::as_number(value.ok_or_else(|| format!("column `{name}` is missing"))?, name)
    }
}

/// `q(+1 call,-1 put)` and `mpmath_price_20dig` are found by their first words.
fn starts(column: &str, name: &str) -> bool {
    column.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '_', ' ']))
}

fn price_row(columns: &Columns<'_>, row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let row = row.as_array().ok_or("the row is not an array")?;
    columns.known()?;
    let get = |name: &str| columns.number(row, name);
    let kind = match get("q")? {
        q if q > 0.0 => OptionKind::Call,
        q if q < 0.0 => OptionKind::Put,
        q => return Err(format!("`q` is {q}: expected 1 for a call or -1 for a put")),
    };
    let expected = get("mpmath_price").or_else(|_| get("published_price"))?;
    ledger.number("price", expected, price(kind, get("F")?, get("K")?, get("sigma")?, get("T")?), PRICE);
    Ok(())
}

fn peer_point(point: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let get = |name: &str| field::number(point, name);
    let computed = price(field::kind(point)?, get("F")?, get("K")?, get("sigma")?, get("T")?);
    let expected = get("check").or_else(|_| get("price"))?;
    ledger.number("price", expected, computed, PRICE);
    Ok(())
}

fn stress_row(row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
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
