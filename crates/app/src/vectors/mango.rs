//! Cases of Mango: health of an account, and the stable price after a sequence of prices.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::mango::{
    Account, Health, Perp, Prices, Scaling, SpotOrders, StablePrice, StableTerms, Token, Weights, health,
    scaled_weights,
};
use plimsoll_types::Fixed;
use serde_json::Value;

pub(super) fn recognise(case: &Value) -> bool {
    let has = |name: &str| case.get("inputs").is_some_and(|inputs| inputs.get(name).is_some());
    (has("tokens") && has("perps")) || (has("sequence") && has("stable_growth_limit"))
}

pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let computed = if inputs.get("tokens").is_some() { healths(inputs)? } else { stable(inputs)? };
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    let mut expected = field::object(case, "expected")?.clone();
    if let Some(fields) = expected.as_object_mut() {
        // The tolerance is read above; it is no quantity.
        fields.retain(|key, _| key != "tolerance_abs" && key != "tol");
    }
    ledger.against("", &expected, &Computed::Map(computed), tolerance);
    Ok(())
}

fn healths(inputs: &Value) -> Result<Vec<(&'static str, Computed)>, Reason> {
    let account = account(inputs)?;
    let of = |kind| health(&account, kind).map(Computed::from).map_err(|e| e.to_string());
    let (init, maint, end) = (of(Health::Init)?, of(Health::Maint)?, of(Health::LiquidationEnd)?);
    Ok(vec![
        ("init_health", init),
        ("maint_health", maint),
        ("liquidation_end_health", end.clone()),
        ("liq_end_health", end),
    ])
}

fn account(inputs: &Value) -> Result<Account, Reason> {
    field::only(inputs, "inputs", &["tokens", "perps", "spot_orders"])?;
    let rows = field::array(inputs, "tokens")?;
    let places: Vec<i128> = rows.iter().map(|row| field::integer(row, "index")).collect::<Result<_, _>>()?;
    let orders = match inputs.get("spot_orders") {
        None | Some(Value::Null) => &[],
        Some(_) => field::array(inputs, "spot_orders")?,
    };
    let perps = field::array(inputs, "perps")?;
    Ok(Account {
        tokens: rows.iter().map(token).collect::<Result<_, _>>()?,
        perps: perps.iter().map(|row| perp(row, &places)).collect::<Result<_, _>>()?,
        spot_orders: orders.iter().map(|row| spot_orders(row, &places)).collect::<Result<_, _>>()?,
    })
}

/// The place of the token that a field names by its index.
fn place(row: &Value, name: &str, places: &[i128]) -> Result<usize, Reason> {
    let index = field::integer(row, name)?;
    let found = places.iter().position(|known| *known == index);
    found.ok_or_else(|| format!("`{name}` is {index}: no such token"))
}

fn prices(row: &Value) -> Result<Prices, Reason> {
    Ok(Prices { oracle: field::fixed(row, "oracle")?, stable: field::fixed(row, "stable")? })
}

fn weights(row: &Value, base: &str) -> Result<Weights, Reason> {
    let of = |kind: &str, side: &str| field::fixed(row, &format!("{kind}_{base}{side}_weight"));
    Ok(Weights {
        init_asset: of("init", "asset")?,
        init_liability: of("init", "liab")?,
        maint_asset: of("maint", "asset")?,
        maint_liability: of("maint", "liab")?,
    })
}

const TOKEN: [&str; 11] = [
    "index",
    "oracle",
    "stable",
    "init_asset_weight",
    "init_liab_weight",
    "maint_asset_weight",
    "maint_liab_weight",
    "init_scaled_asset_weight",
    "init_scaled_liab_weight",
    "balance_spot",
    "scaling",
];
const SCALING: [&str; 5] = [
    "total_deposits",
    "total_borrows",
    "deposit_weight_scale_start_quote",
    "borrow_weight_scale_start_quote",
    "potential_serum_tokens",
];

fn token(row: &Value) -> Result<Token, Reason> {
    field::only(row, "token", &TOKEN)?;
    let (prices, weights) = (prices(row)?, weights(row, "")?);
    let unscaled = (weights.init_asset, weights.init_liability);
    let computed = match row.get("scaling").filter(|scaling| !scaling.is_null()) {
        Some(scaling) => Some(scaled_weights(&weights, &terms_of(scaling)?, &prices)),
        None => None,
    };
    let stated = |name: &str| field::fixed_if_any(row, name);
    let asset = scaled(stated("init_scaled_asset_weight")?, computed.map(|c| c.0), unscaled.0)?;
    let liability = scaled(stated("init_scaled_liab_weight")?, computed.map(|c| c.1), unscaled.1)?;
    let balance = field::fixed(row, "balance_spot")?;
    Ok(Token { prices, weights, scaled: (asset, liability), balance })
}

/// The scaled weight: by what scales it, else as stated, else unscaled. A file may state it scaled or leave it unscaled,
/// but not state a third number.
fn scaled(stated: Option<Fixed>, computed: Option<Fixed>, unscaled: Fixed) -> Result<Fixed, Reason> {
    let near = |a: Fixed, b: Fixed| (a.to_f64() - b.to_f64()).abs() <= 1e-9;
    match (stated, computed) {
        (None, None) => Ok(unscaled),
        (None, Some(weight)) | (Some(weight), None) => Ok(weight),
        (Some(stated), Some(weight)) if near(stated, weight) || near(stated, unscaled) => Ok(weight),
        (Some(stated), Some(weight)) => {
            Err(format!("a scaled weight is stated as {stated}: its scaling gives {weight}"))
        }
    }
}

fn terms_of(scaling: &Value) -> Result<Scaling, Reason> {
    field::only(scaling, "scaling", &SCALING)?;
    let start = |name: &str| field::fixed_if_any(scaling, name);
    let deposit_start = start("deposit_weight_scale_start_quote")?;
    let borrow_start = start("borrow_weight_scale_start_quote")?;
    Ok(Scaling {
        deposits: field::fixed(scaling, "total_deposits")?,
        borrows: field::fixed(scaling, "total_borrows")?,
        potential: field::fixed_if_any(scaling, "potential_serum_tokens")?.unwrap_or_default(),
        deposit_start,
        borrow_start,
    })
}

const PERP: [&str; 14] = [
    "settle_token",
    "base_lots",
    "base_lot_size",
    "quote",
    "bids",
    "asks",
    "oracle",
    "stable",
    "init_base_asset_weight",
    "init_base_liab_weight",
    "maint_base_asset_weight",
    "maint_base_liab_weight",
    "init_overall_asset_weight",
    "maint_overall_asset_weight",
];

fn perp(row: &Value, places: &[i128]) -> Result<(usize, Perp), Reason> {
    field::only(row, "perp", &PERP)?;
    let lot = field::fixed(row, "base_lot_size")?;
    let lots = |name: &str| field::fixed(row, name).map(|lots| lots * lot);
    let perp = Perp {
        prices: prices(row)?,
        weights: weights(row, "base_")?,
        init_overall: field::fixed(row, "init_overall_asset_weight")?,
        maint_overall: field::fixed(row, "maint_overall_asset_weight")?,
        base: lots("base_lots")?,
        bids: lots("bids")?,
        asks: lots("asks")?,
        quote: field::fixed(row, "quote")?,
    };
    Ok((place(row, "settle_token", places)?, perp))
}

fn spot_orders(row: &Value, places: &[i128]) -> Result<SpotOrders, Reason> {
    let known = ["base", "quote", "reserved_quote", "reserved_base", "highest_bid_inv", "lowest_ask"];
    field::only(row, "spot_orders", &known)?;
    // The venue stores 0 where no order is open on that side.
    let known = |name: &str| field::fixed_if_any(row, name).map(|price| price.filter(|p| *p != Fixed::ZERO));
    Ok(SpotOrders {
        base: place(row, "base", places)?,
        quote: place(row, "quote", places)?,
        reserved_base: field::fixed(row, "reserved_base")?,
        reserved_quote: field::fixed(row, "reserved_quote")?,
        highest_bid_inverse: known("highest_bid_inv")?,
        lowest_ask: known("lowest_ask")?,
    })
}

const SEQUENCE: [&str; 7] = [
    "initial",
    "sequence",
    "delay_interval",
    "delay_growth_limit",
    "stable_growth_limit",
    "min_dt",
    "max_dt",
];
/// Names of the delay prices, by slot.
const SLOTS: [&str; 24] = [
    "delay_price_0",
    "delay_price_1",
    "delay_price_2",
    "delay_price_3",
    "delay_price_4",
    "delay_price_5",
    "delay_price_6",
    "delay_price_7",
    "delay_price_8",
    "delay_price_9",
    "delay_price_10",
    "delay_price_11",
    "delay_price_12",
    "delay_price_13",
    "delay_price_14",
    "delay_price_15",
    "delay_price_16",
    "delay_price_17",
    "delay_price_18",
    "delay_price_19",
    "delay_price_20",
    "delay_price_21",
    "delay_price_22",
    "delay_price_23",
];

fn stable(inputs: &Value) -> Result<Vec<(&'static str, Computed)>, Reason> {
    field::only(inputs, "inputs", &SEQUENCE)?;
    let seconds = |name: &str| field::integer(inputs, name).and_then(whole);
    let terms = StableTerms {
        delay_interval: seconds("delay_interval")?,
        delay_growth_limit: field::fixed(inputs, "delay_growth_limit")?,
        stable_growth_limit: field::fixed(inputs, "stable_growth_limit")?,
        min_dt: seconds("min_dt")?,
        max_dt: seconds("max_dt")?,
    };
    let fed = Sequence::read(field::text(inputs, "sequence")?)?;
    let failed = |e: plimsoll_margin::venue::VenueError| e.to_string();
    let mut model = StablePrice::new(terms, field::fixed(inputs, "initial")?, 0).map_err(failed)?;
    let mut now = 0_i64;
    for (dt, n) in fed.phases {
        for _ in 0..n {
            now = now.checked_add(dt).ok_or("the sequence is too long")?;
            model.update(now, fed.oracle).map_err(failed)?;
        }
    }
    let delays = SLOTS.into_iter().zip(model.delay_prices()).map(|(name, price)| (name, (*price).into()));
    Ok([("stable_price", model.price().into())].into_iter().chain(delays).collect())
}

fn whole(number: i128) -> Result<i64, Reason> {
    i64::try_from(number).map_err(|_| format!("{number} seconds are too many"))
}

/// Updates that a sequence of a case may have in all.
const MOST_UPDATES: i64 = 10_000_000;

/// A sequence as the file writes it: `oracle=10 fed (dt=60,n=60) then (dt=10,n=360); this row = state after the phase
/// with dt=60`.
struct Sequence {
    oracle: Fixed,
    phases: Vec<(i64, i64)>,
}

impl Sequence {
    fn read(text: &str) -> Result<Self, Reason> {
        let unread = || format!("unsupported: `sequence` is `{text}`");
        let (fed, until) = text.split_once(';').unwrap_or((text, ""));
        let (oracle, fed) =
            fed.trim().strip_prefix("oracle=").and_then(|t| t.split_once(" fed ")).ok_or_else(unread)?;
        let oracle = oracle.trim().parse().map_err(|_| unread())?;
        let phases: Vec<(i64, i64)> =
            fed.split(" then ").map(phase).collect::<Option<_>>().ok_or_else(unread)?;
        if phases.iter().map(|(_, n)| n).sum::<i64>() > MOST_UPDATES {
            return Err(format!("`sequence` has more than {MOST_UPDATES} updates"));
        }
        let until = until.trim();
        if until.is_empty() {
            return Ok(Self { oracle, phases });
        }
        let last = until
            .strip_prefix("this row = state after the phase with dt=")
            .and_then(|dt| dt.trim().parse().ok());
        let last: i64 = last.ok_or_else(unread)?;
        let count = phases.iter().position(|(dt, _)| *dt == last).ok_or_else(unread)?;
        Ok(Self { oracle, phases: phases.into_iter().take(count + 1).collect() })
    }
}

/// `(dt=60,n=60)`.
fn phase(text: &str) -> Option<(i64, i64)> {
    let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (dt, n) = inside.split_once(',')?;
    let dt = dt.trim().strip_prefix("dt=")?.parse().ok()?;
    let n = n.trim().strip_prefix("n=")?.parse().ok()?;
    (dt >= 0 && n >= 0).then_some((dt, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_read_up_to_the_phase_it_names() {
        let text = "oracle=10 fed (dt=60,n=60) then (dt=10,n=360) then (dt=300,n=276)";
        let all = Sequence::read(text).unwrap();
        assert_eq!(all.phases, [(60, 60), (10, 360), (300, 276)]);
        let some = Sequence::read(&format!("{text}; this row = state after the phase with dt=10")).unwrap();
        assert_eq!((some.oracle, some.phases), (Fixed::from(10), vec![(60, 60), (10, 360)]));
        for bad in
            ["oracle=10", "oracle=x fed (dt=1,n=1)", "oracle=1 fed (dt=1)", &format!("{text}; until noon")]
        {
            assert!(Sequence::read(bad).is_err(), "{bad}");
        }
        assert!(Sequence::read(&format!("{text}; this row = state after the phase with dt=11")).is_err());
    }

    #[test]
    fn a_stated_scaled_weight_agrees_with_its_scaling_or_is_refused() {
        let of = |text: &str| text.parse::<Fixed>().unwrap();
        assert_eq!(scaled(None, None, of("0.8")), Ok(of("0.8")));
        assert_eq!(scaled(Some(of("0.4")), Some(of("0.4")), of("0.8")), Ok(of("0.4")));
        assert_eq!(scaled(Some(of("0.8")), Some(of("0.4")), of("0.8")), Ok(of("0.4")));
        assert_eq!(scaled(Some(of("0.4")), None, of("0.8")), Ok(of("0.4")));
        assert!(scaled(Some(of("0.5")), Some(of("0.4")), of("0.8")).is_err());
    }

    #[test]
    fn a_case_without_a_tolerance_is_a_miss() {
        let text = r#"{"cases": [{"id": "a", "inputs": {"tokens": [], "perps": []}, "expected": {"init_health": 0}}]}"#;
        let parity = super::super::check("a.json", text.as_bytes()).unwrap();
        let reasons: Vec<String> = parity.misses().map(|miss| miss.computed.to_string()).collect();
        assert_eq!(reasons, ["the case states no tolerance"]);
    }
}
