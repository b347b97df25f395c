//! Derive's option prices and the volatilities of its feed.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_quant::black::{Black, OptionKind};
use plimsoll_quant::contract::pair;
use plimsoll_quant::svi::Svi;
use plimsoll_types::YEAR_SECONDS;
use serde_json::Value;

/// Prices are held to 1e-9 of themselves, tiny ones to what 18 decimals of a large forward can say.
const PRICE: Tolerance = Tolerance::Either { relative: 1e-9, absolute: 1e-12 };

/// Whether the case is a price of both options of a strike, or a volatility of a feed.
pub(super) fn recognise(case: &Value) -> bool {
    let inputs = case.get("inputs");
    let has = |names: &[&str]| names.iter().all(|name| inputs.is_some_and(|i| i.get(name).is_some()));
    has(&["sec_to_expiry", "forward", "strike", "discount"]) || has(&["strike", "rho", "sigma", "fwd", "tau"])
}

/// Checks one case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let expected = field::object(case, "expected")?;
    let of = |name| field::number(inputs, name);
    if inputs.get("discount").is_some() {
        field::only(inputs, "inputs", &["sec_to_expiry", "vol", "forward", "strike", "discount"])?;
        let priced = pair(&Black {
            forward: of("forward")?,
            strike: of("strike")?,
            vol: of("vol")?,
            tau: of("sec_to_expiry")? / YEAR_SECONDS as f64,
            discount: of("discount")?,
            kind: OptionKind::Call,
        });
        let computed = Computed::Map(vec![
            ("call", Computed::Number(priced.call)),
            ("put", Computed::Number(priced.put)),
            ("undiscounted_call_delta", Computed::Number(priced.undiscounted_call_delta)),
        ]);
        ledger.against("", expected, &computed, PRICE);
        return Ok(());
    }
    field::only(inputs, "inputs", &["strike", "tau", "a", "b", "rho", "m", "sigma", "fwd"])?;
    let svi = Svi { a: of("a")?, b: of("b")?, rho: of("rho")?, m: of("m")?, sigma: of("sigma")? };
    let vol = svi.vol_clamped(of("strike")?, of("fwd")?, of("tau")?);
    let tolerance = field::tolerance(case)?;
    let mut rest = expected.clone();
    rest.as_object_mut().map(|keys| keys.remove("tolerance_abs").or_else(|| keys.remove("tol")));
    let computed = Computed::Map(vec![("vol", Computed::Number(vol))]);
    ledger.against("", &rest, &computed, Tolerance::Absolute(tolerance));
    Ok(())
}
