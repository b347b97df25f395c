//! CVEX: the loss of the covariance value at risk.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::cvex::{Exposure, beta, expected_loss, margin_ratio};
use plimsoll_types::Fixed;
use serde_json::Value;

/// A case of CVEX's functions.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("function").and_then(Value::as_str).is_some_and(|name| name.starts_with("cvex_"))
}

/// Checks a case at the tolerance that it states.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    let inputs = field::object(case, "inputs")?;
    let computed = match field::text(case, "function")? {
        "cvex_expected_loss" => loss(inputs)?,
        "cvex_margin_ratio" => ratio(inputs)?,
        other => return Err(format!("unsupported: function `{other}`")),
    };
    ledger.against("", case.get("expected").ok_or("`expected` is missing")?, &computed, tolerance);
    Ok(())
}

fn numbers(inputs: &Value, name: &str) -> Result<Vec<Fixed>, Reason> {
    field::array(inputs, name)?.iter().map(|value| field::as_fixed(value, name)).collect()
}

fn loss(inputs: &Value) -> Result<Computed, Reason> {
    let nets = numbers(inputs, "net_exposure_by_asset")?;
    let alphas = numbers(inputs, "alpha")?;
    if nets.len() != alphas.len() {
        return Err(format!("{} exposures and {} moves", nets.len(), alphas.len()));
    }
    let exposures: Vec<Exposure> =
        nets.into_iter().zip(alphas).map(|(net, alpha)| Exposure { net, alpha }).collect();
    let (sizes, gammas) = (numbers(inputs, "contract_exposure")?, numbers(inputs, "gamma")?);
    if sizes.len() != gammas.len() {
        return Err(format!("{} contracts and {} moves of their own", sizes.len(), gammas.len()));
    }
    let contracts: Vec<(Fixed, Fixed)> = sizes.into_iter().zip(gammas).collect();
    let pairs = pairs(inputs, &exposures)?;
    let loss = expected_loss(&exposures, &pairs, &contracts).map_err(|e| e.to_string())?;
    Ok(loss.into())
}

/// `beta_01`, `beta_02`, ... name the places of a pair; a matrix of `beta` or of `rho` is read above its diagonal.
fn pairs(inputs: &Value, exposures: &[Exposure]) -> Result<Vec<(usize, usize, Fixed)>, Reason> {
    let mut found = Vec::new();
    let named = inputs.as_object().into_iter().flatten();
    for (name, value) in named {
        match name.as_str() {
            "net_exposure_by_asset" | "alpha" | "contract_exposure" | "gamma" | "rule" => {}
            "beta" | "rho" | "correlation" => {
                for (i, row) in value.as_array().ok_or("a matrix is not an array")?.iter().enumerate() {
                    let row = row.as_array().ok_or("a row of a matrix is not an array")?;
                    for (j, entry) in row.iter().enumerate().skip(i + 1) {
                        let entry = field::as_fixed(entry, name)?;
                        let alpha = |at: usize| exposures.get(at).map_or(Fixed::LOST, |e| e.alpha);
                        let entry = if name == "beta" { entry } else { beta(entry, alpha(i), alpha(j)) };
                        found.push((i, j, entry));
                    }
                }
            }
            _ => found.push(pair(name, value)?),
        }
    }
    Ok(found)
}

/// `beta_01` or `beta_10_11`.
fn pair(name: &str, value: &Value) -> Result<(usize, usize, Fixed), Reason> {
    let unknown = || format!("unsupported: `inputs` has `{name}`");
    let places = name.strip_prefix("beta_").ok_or_else(unknown)?;
    let (i, j) = match places.split_once('_') {
        Some(pair) => pair,
        None => places.split_at_checked(places.len() / 2).ok_or_else(unknown)?,
    };
    let place = |text: &str| text.parse::<usize>().map_err(|_| unknown());
    Ok((place(i)?, place(j)?, field::as_fixed(value, name)?))
}

fn ratio(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["required", "collateral", "unrealised"])?;
    let get = |name: &str| field::fixed(inputs, name);
    let ratio = margin_ratio(get("required")?, get("collateral")?, get("unrealised")?);
    ratio.map(Computed::from).map_err(|e| e.to_string())
}
