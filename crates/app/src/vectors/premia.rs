//! Premia: Black-Scholes prices, the deviations `d1` and `d2`, and deltas.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_quant::black::OptionKind;
use plimsoll_quant::bs::{self, SpotInputs};
use plimsoll_quant::lognormal::deviations;
use serde_json::Value;

/// A case of Premia's pricing.
pub(super) fn recognise(case: &Value) -> bool {
    let function = case.get("function").and_then(Value::as_str);
    function.is_some_and(|name| ["premia_black_scholes", "premia_d1d2", "premia_delta"].contains(&name))
}

/// Compares a case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    field::only(inputs, "inputs", &["spot", "strike", "years", "vol", "rate", "rule", "note"])?;
    let get = |name: &str| field::number(inputs, name);
    let option = SpotInputs {
        spot: get("spot")?,
        strike: get("strike")?,
        yield_: 0.0,
        rate: get("rate")?,
        tau: get("years")?,
        vol: get("vol")?,
    };
    let pair = |names: [&'static str; 2], values: [f64; 2]| {
        Computed::Map(names.into_iter().zip(values.map(Computed::Number)).collect())
    };
    let kinds = [OptionKind::Call, OptionKind::Put];
    let computed = match field::text(case, "function")? {
        "premia_black_scholes" => pair(["call", "put"], kinds.map(|kind| bs::price(kind, &option))),
        "premia_delta" => pair(["call", "put"], kinds.map(|kind| bs::greeks(kind, &option).delta)),
        _ => {
            let (d1, d2) = deviations(&option);
            pair(["d1", "d2"], [d1, d2])
        }
    };
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    ledger.against("", expected, &computed, Tolerance::Absolute(field::tolerance(case)?));
    Ok(())
}
