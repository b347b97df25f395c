//! Cases of Derive's standard margin: markets with spot, perpetual, base asset and options, and net margins.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_margin::venue::derive_standard::{
    BaseTerms, Depeg, ExpiryHolding, Market, MarketHolding, NetMargin, OptionHolding, OptionTerms,
    OracleTerms, PerpHolding, PerpTerms, Portfolio, net_margin,
};
use plimsoll_quant::black::OptionKind as Kind;
use plimsoll_risk::{Move, OptionLeg, Sticky, VolShock, VolShockKind, revalue};
use plimsoll_types::{Fixed, OptionKind, YEAR_SECONDS};
use serde_json::Value;

/// No move of volatility: prices are those of now.
const STILL: VolShock = VolShock {
    kind: VolShockKind::Relative,
    power_short: 0.0,
    power_long: 0.0,
    dte_floor: 1.0,
    min_vol_up: 0.0,
    skew: None,
    sticky: Sticky::Strike,
};
/// A published figure, which its source compares to a thousandth.
const PUBLISHED: Tolerance = Tolerance::Either { relative: 1e-3, absolute: 1e-9 };
/// A figure recomputed from the inputs.
const RECOMPUTED: Tolerance = Tolerance::Either { relative: 1e-9, absolute: 1e-9 };

pub(super) fn recognise(case: &Value) -> bool {
    let has = |name: &str| case.get("inputs").is_some_and(|inputs| inputs.get(name).is_some());
    has("markets") && has("depeg")
}

pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let found = net_margin(&portfolio(field::object(case, "inputs")?)?).map_err(|e| e.to_string())?;
    let expected = field::object(case, "expected")?;
    for key in expected.as_object().into_iter().flat_map(|values| values.keys()) {
        quantity(key, expected, &found, ledger)?;
    }
    Ok(())
}

fn quantity(key: &str, expected: &Value, found: &NetMargin, ledger: &mut Ledger) -> Result<(), Reason> {
    let value = &expected[key];
    let NetMargin { net, mark_to_market } = *found;
    let (name, form) =
        key.rsplit_once('_').filter(|(_, form)| ["trunc", "recomputed"].contains(form)).unwrap_or((key, ""));
    let computed = match name {
        // Says in words what `_trunc` means.
        "compare" if value.as_str().is_some_and(|text| text.starts_with("trunc toward zero")) => {
            return Ok(());
        }
        "IM" => net.im,
        "MM" => net.mm,
        "portfolio_mtm" => mark_to_market,
        _ => {
            ledger.refused(key, value.to_string(), "unsupported quantity".to_owned());
            return Ok(());
        }
    };
    match form {
        "trunc" => ledger.truncated(key, value, computed, expected.get(format!("{name}_recomputed")))?,
        "recomputed" => ledger.against(key, value, &computed.into(), RECOMPUTED),
        _ => ledger.against(key, value, &computed.into(), PUBLISHED),
    }
    Ok(())
}

fn portfolio(inputs: &Value) -> Result<Portfolio, Reason> {
    field::only(inputs, "inputs", &["cash", "stable", "depeg", "markets"])?;
    let depeg = field::object(inputs, "depeg")?;
    field::only(depeg, "depeg", &["threshold", "factor"])?;
    Ok(Portfolio {
        cash: field::fixed_if_any(inputs, "cash")?.unwrap_or_default(),
        stable: field::fixed(inputs, "stable")?,
        depeg: Depeg { threshold: field::fixed(depeg, "threshold")?, factor: field::fixed(depeg, "factor")? },
        markets: field::array(inputs, "markets")?.iter().map(market).collect::<Result<_, _>>()?,
    })
}

const MARKET: [&str; 10] =
    ["name", "spot", "spotConf", "perpPx", "perpConf", "perp", "perpPnl", "base", "params", "expiries"];

fn market(market: &Value) -> Result<MarketHolding, Reason> {
    field::only(market, "market", &MARKET)?;
    let expiries = match market.get("expiries") {
        None | Some(Value::Null) => &[],
        Some(_) => field::array(market, "expiries")?,
    };
    Ok(MarketHolding {
        terms: terms(field::object(market, "params")?)?,
        spot: field::fixed(market, "spot")?,
        spot_confidence: field::fixed(market, "spotConf")?,
        perp: perp(market)?,
        base: field::fixed_if_any(market, "base")?.unwrap_or_default(),
        expiries: expiries.iter().map(expiry).collect::<Result<_, _>>()?,
    })
}

/// The perpetual, if any is held or any of its profit is unsettled; without one its price may be absent.
fn perp(market: &Value) -> Result<Option<PerpHolding>, Reason> {
    let amount = field::fixed_if_any(market, "perp")?.unwrap_or_default();
    let unrealised = field::fixed_if_any(market, "perpPnl")?.unwrap_or_default();
    if amount == Fixed::ZERO && unrealised == Fixed::ZERO {
        return Ok(None);
    }
    let (price, confidence) = (field::fixed(market, "perpPx")?, field::fixed(market, "perpConf")?);
    Ok(Some(PerpHolding { amount, price, confidence, unrealised }))
}

fn terms(params: &Value) -> Result<Market, Reason> {
    field::only(params, "params", &["perp", "option", "oracle", "base"])?;
    let oracle = field::object(params, "oracle")?;
    field::only(oracle, "oracle", &["perpThreshold", "optionThreshold", "baseThreshold", "OCFactor"])?;
    let section = |name: &str| params.get(name).filter(|value| !value.is_null());
    Ok(Market {
        option: section("option").map(option_terms).transpose()?,
        perp: section("perp").map(perp_terms).transpose()?,
        base: section("base").map(base_terms).transpose()?,
        oracle: OracleTerms {
            perp_threshold: field::fixed(oracle, "perpThreshold")?,
            option_threshold: field::fixed(oracle, "optionThreshold")?,
            base_threshold: field::fixed(oracle, "baseThreshold")?,
            factor: field::fixed(oracle, "OCFactor")?,
        },
    })
}

fn perp_terms(perp: &Value) -> Result<PerpTerms, Reason> {
    field::only(perp, "perp", &["im", "mm"])?;
    Ok(PerpTerms { im: field::fixed(perp, "im")?, mm: field::fixed(perp, "mm")? })
}

fn base_terms(base: &Value) -> Result<BaseTerms, Reason> {
    field::only(base, "base", &["marginFactor", "IMScale"])?;
    Ok(BaseTerms {
        margin_factor: field::fixed(base, "marginFactor")?,
        im_scale: field::fixed(base, "IMScale")?,
    })
}

const OPTION: [&str; 8] = [
    "maxSpotReq",
    "minSpotReq",
    "mmCallSpotReq",
    "mmPutSpotReq",
    "MMPutMtMReq",
    "unpairedIMScale",
    "unpairedMMScale",
    "mmOffsetScale",
];

fn option_terms(option: &Value) -> Result<OptionTerms, Reason> {
    field::only(option, "option", &OPTION)?;
    Ok(OptionTerms {
        max_spot_req: field::fixed(option, "maxSpotReq")?,
        min_spot_req: field::fixed(option, "minSpotReq")?,
        mm_call_spot_req: field::fixed(option, "mmCallSpotReq")?,
        mm_put_spot_req: field::fixed(option, "mmPutSpotReq")?,
        mm_put_mtm_req: field::fixed(option, "MMPutMtMReq")?,
        mm_offset_scale: field::fixed(option, "mmOffsetScale")?,
        unpaired_im_scale: field::fixed(option, "unpairedIMScale")?,
        unpaired_mm_scale: field::fixed(option, "unpairedMMScale")?,
    })
}

fn expiry(expiry: &Value) -> Result<ExpiryHolding, Reason> {
    field::only(expiry, "expiry", &["sec", "fwd", "fwdConf", "volConf", "options"])?;
    let confidence = field::fixed(expiry, "fwdConf")?.min(field::fixed(expiry, "volConf")?);
    let options = field::array(expiry, "options")?.iter();
    Ok(ExpiryHolding {
        forward: field::fixed(expiry, "fwd")?,
        confidence,
        options: options.map(|option| holding(expiry, option)).collect::<Result<_, _>>()?,
    })
}

fn holding(expiry: &Value, option: &Value) -> Result<OptionHolding, Reason> {
    field::only(option, "option", &["strike", "vol", "amount", "is_call"])?;
    let (kind, priced) = match field::flag(option, "is_call")? {
        true => (OptionKind::Call, Kind::Call),
        false => (OptionKind::Put, Kind::Put),
    };
    let tau = field::number(expiry, "sec")? / YEAR_SECONDS as f64;
    // An expired option has its intrinsic value, whatever its volatility.
    let vol = if tau <= 0.0 {
        field::number_if_any(option, "vol")?.unwrap_or(0.0)
    } else {
        field::number(option, "vol")?
    };
    let (strike, variable) = (field::number(option, "strike")?, field::number(expiry, "fwd")?);
    let leg = OptionLeg { kind: priced, strike, fixed: 0.0, variable, vol, tau };
    let price = revalue(&leg, &STILL, &Move::default()).map_err(|e| e.to_string())?;
    Ok(OptionHolding {
        kind,
        strike: field::fixed(option, "strike")?,
        amount: field::fixed(option, "amount")?,
        price: Fixed::from_f64(price).map_err(|e| e.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::check as check_file;

    fn misses(expected: &str, option: &str) -> Vec<String> {
        let text = format!(
            r#"{{"cases": [{{"id": "x", "inputs": {{"cash": 10, "stable": 1, "depeg": {{"threshold": 0.98, "factor": 1.2}},
            "markets": [{{"name": "ETH", "spot": 2000, "spotConf": 1, "perpPx": null, "perpConf": null, "perp": 0,
            "perpPnl": 0, "base": 1, "params": {{"perp": {{"im": 0.065, "mm": 0.05}}, "option": {{"maxSpotReq": 0.15,
            "minSpotReq": 0.1, "mmCallSpotReq": 0.075, "mmPutSpotReq": 0.075, "MMPutMtMReq": 0.075,
            "unpairedIMScale": 1.2, "unpairedMMScale": 1.1, "mmOffsetScale": 1.05}}, "oracle": {{"perpThreshold": 0.4,
            "optionThreshold": 0.4, "baseThreshold": 0.4, "OCFactor": 0.4}}, "base": {{"marginFactor": 0.8,
            "IMScale": 0.9}}}}, "expiries": [{{"sec": 0, "fwd": 2100, "fwdConf": 1, "volConf": 1,
            "options": [{option}]}}]}}]}}, "expected": {expected}}}]}}"#
        );
        let parity = check_file("a.json", text.as_bytes()).unwrap();
        parity.misses().map(|miss| format!("{}: {}", miss.quantity, miss.computed)).collect()
    }

    #[test]
    fn an_expired_option_is_worth_what_it_settles_at() {
        // Long one call 100 in the money: no margin value, 100 of mark to market; 2000 of base at 0.8 and 0.72.
        let option = r#"{"strike": 2000, "vol": null, "amount": 1, "is_call": true}"#;
        let right = r#"{"IM": 1450, "MM_recomputed": 1610, "portfolio_mtm": 2110, "MM_trunc": 1610}"#;
        assert_eq!(misses(right, option), Vec::<String>::new());
        assert_eq!(misses(r#"{"IM_recomputed": 1450.00001, "MM_trunc": 1611}"#, option).len(), 2);
    }

    #[test]
    fn what_is_not_known_is_a_miss() {
        let option = r#"{"strike": 2000, "vol": 0.5, "amount": 1, "is_call": true}"#;
        assert_eq!(misses(r#"{"delta": 1}"#, option), ["delta: unsupported quantity"]);
        let odd = r#"{"strike": 2000, "vol": 0.5, "amount": 1, "is_call": true, "style": "american"}"#;
        assert_eq!(misses(r#"{"IM": 1}"#, odd), ["case: unsupported: `option` has `style`"]);
        assert_eq!(misses(r#"{"compare": "round"}"#, option), ["compare: unsupported quantity"]);
    }
}
