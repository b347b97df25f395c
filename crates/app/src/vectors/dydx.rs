//! Cases of dYdX v4: exact integers, and prices as fractions.

use super::field::{self, Reason};
use super::function::{self, Compute};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::dydx::{
    FillableTerms, Holding, Market, Scale, Standing, Tier, bankruptcy_price, ceil_ppm, fillable_price,
    initial_fraction_ppm, initial_margin, maintenance_margin, notional,
};
use plimsoll_margin::venue::{VenueError, Whole};
use serde_json::Value;

/// Every function, by the name that files give it.
const FUNCTIONS: [(&str, Compute); 9] = [
    ("initial_margin_quote_quantums", margin),
    ("maintenance_margin_quote_quantums", maintenance),
    ("adjusted_imf_ppm", fraction),
    ("ceil_ppm", rounded_up),
    ("net_notional_quote_quantums", value),
    ("margin_requirements", requirements),
    ("fillable_price", fillable),
    ("bankruptcy_price_quote_quantums", bankruptcy),
    ("is_liquidatable", liquidatable),
];

/// Whether a case is one of dYdX.
pub(super) fn recognise(case: &Value) -> bool {
    function::named(&FUNCTIONS, case).is_some()
}

/// Computes a case and compares everything it expects.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    function::check(&FUNCTIONS, case, Tolerance::Absolute(0.0), ledger)
}

/// A number in 128 bits as an integer, a larger one by its digits.
fn whole(number: Result<Whole, VenueError>) -> Result<Computed, Reason> {
    let number = number.map_err(|e| e.to_string())?;
    Ok(number.known().map_or_else(|| Computed::Text(number.to_string()), Computed::Integer))
}

/// The integer under `name` in the venue's type.
fn sized<T: TryFrom<i128>>(case: &Value, name: &str) -> Result<T, Reason> {
    let number = field::integer(case, name)?;
    T::try_from(number).map_err(|_| format!("`{name}` is {number}: outside the venue's type"))
}

/// The account's own fraction: none where it is absent or null.
fn own(inputs: &Value) -> Result<u32, Reason> {
    let name = "custom_imf_ppm";
    if field::integer_if_any(inputs, name)?.is_none() { Ok(0) } else { sized(inputs, name) }
}

/// A tier of which the maintenance fraction is not needed where `maintenance` is no name of an input.
fn tier(inputs: &Value, maintenance: Option<&str>) -> Result<Tier, Reason> {
    Ok(Tier {
        initial_ppm: sized(inputs, "initial_margin_ppm")?,
        maintenance_fraction_ppm: maintenance.map_or(Ok(0), |name| sized(inputs, name))?,
        open_interest_low: sized(inputs, "oi_lower_cap")?,
        open_interest_high: sized(inputs, "oi_upper_cap")?,
    })
}

fn margin(inputs: &Value) -> Result<Computed, Reason> {
    let known =
        ["initial_margin_ppm", "oi_lower_cap", "oi_upper_cap", "oi_notional", "notional", "custom_imf_ppm"];
    field::only(inputs, "inputs", &known)?;
    let (notional, oi) = (field::integer(inputs, "notional")?, field::integer(inputs, "oi_notional")?);
    whole(initial_margin(&tier(inputs, None)?, notional, oi, own(inputs)?))
}

fn maintenance(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["initial_margin_ppm", "maintenance_fraction_ppm", "notional"])?;
    let tier = Tier {
        initial_ppm: sized(inputs, "initial_margin_ppm")?,
        maintenance_fraction_ppm: sized(inputs, "maintenance_fraction_ppm")?,
        open_interest_low: 0,
        open_interest_high: 0,
    };
    whole(maintenance_margin(&tier, field::integer(inputs, "notional")?))
}

fn fraction(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["initial_margin_ppm", "oi_lower_cap", "oi_upper_cap", "oi_notional"])?;
    let fraction = initial_fraction_ppm(&tier(inputs, None)?, field::integer(inputs, "oi_notional")?);
    whole(fraction.map(Whole::from))
}

fn rounded_up(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["amount", "ppm"])?;
    whole(ceil_ppm(field::integer(inputs, "amount")?, field::integer(inputs, "ppm")?))
}

fn scale(inputs: &Value) -> Result<Scale, Reason> {
    Ok(Scale { atomic: sized(inputs, "atomic_resolution")?, exponent: sized(inputs, "exponent")? })
}

fn value(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["price", "exponent", "atomic_resolution", "quantums"])?;
    let (quantums, price) = (field::integer(inputs, "quantums")?, field::integer(inputs, "price")?);
    whole(notional(quantums, price, scale(inputs)?))
}

fn requirements(inputs: &Value) -> Result<Computed, Reason> {
    let known = [
        "price",
        "exponent",
        "atomic_resolution",
        "quantums",
        "initial_margin_ppm",
        "maintenance_fraction_ppm",
        "open_interest",
        "oi_lower_cap",
        "oi_upper_cap",
        "custom_imf_ppm",
    ];
    field::only(inputs, "inputs", &known)?;
    let scale = scale(inputs)?;
    let worth = |name| {
        let (quantums, price) = (field::integer(inputs, name)?, field::integer(inputs, "price")?);
        notional(quantums, price, scale).map_err(|e| e.to_string())
    };
    let tier = tier(inputs, Some("maintenance_fraction_ppm"))?;
    let value = worth("quantums")?;
    let imr = initial_margin(&tier, value, worth("open_interest")?, own(inputs)?);
    let mmr = maintenance_margin(&tier, value);
    Ok(Computed::Map(vec![("imr", whole(imr)?), ("mmr", whole(mmr)?)]))
}

fn market(inputs: &Value, id: &str) -> Result<Market, Reason> {
    let market = field::object(field::object(inputs, "markets")?, id)?;
    field::only(market, "market", &["id", "atomic", "price", "exp", "im", "mf"])?;
    let tier = Tier {
        initial_ppm: sized(market, "im")?,
        maintenance_fraction_ppm: sized(market, "mf")?,
        open_interest_low: 0,
        open_interest_high: 0,
    };
    let scale = Scale { atomic: sized(market, "atomic")?, exponent: sized(market, "exp")? };
    Ok(Market { tier, scale, price: field::integer(market, "price")? })
}

/// The account of a case.
fn account(inputs: &Value) -> Result<Standing, Reason> {
    for (id, stated) in field::object(inputs, "markets")?.as_object().into_iter().flatten() {
        if stated.get("id").is_some() && field::integer(stated, "id")?.to_string() != *id {
            return Err(format!("market {id} has the id {}", stated["id"]));
        }
        market(inputs, id)?;
    }
    let positions = field::object(inputs, "positions")?;
    let ids = positions.as_object().into_iter().flat_map(|positions| positions.keys());
    let holdings: Vec<Holding> = ids.map(|id| holding(inputs, id)).collect::<Result<_, _>>()?;
    Standing::of(field::integer(inputs, "usdc_quantums")?, &holdings).map_err(|e| e.to_string())
}

/// The position in a market; 0 where the account has none.
fn holding(inputs: &Value, id: &str) -> Result<Holding, Reason> {
    let quantums = field::integer_if_any(field::object(inputs, "positions")?, id)?.unwrap_or(0);
    Ok(Holding { quantums, market: market(inputs, id)? })
}

/// The position that a case asks about.
fn asked(inputs: &Value) -> Result<Holding, Reason> {
    holding(inputs, &field::integer(inputs, "perpetual")?.to_string())
}

fn fillable(inputs: &Value) -> Result<Computed, Reason> {
    let known = [
        "usdc_quantums",
        "positions",
        "markets",
        "perpetual",
        "bankruptcy_adjustment_ppm",
        "spread_to_mmr_ppm",
    ];
    field::only(inputs, "inputs", &known)?;
    let terms = FillableTerms {
        bankruptcy_adjustment_ppm: sized(inputs, "bankruptcy_adjustment_ppm")?,
        spread_to_maintenance_ppm: sized(inputs, "spread_to_mmr_ppm")?,
    };
    let price = fillable_price(&asked(inputs)?, account(inputs)?, terms).map_err(|e| e.to_string())?;
    Ok(Computed::Text(price.to_string()))
}

fn bankruptcy(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["usdc_quantums", "positions", "markets", "perpetual", "delta_quantums"];
    field::only(inputs, "inputs", &known)?;
    let change = field::integer(inputs, "delta_quantums")?;
    whole(bankruptcy_price(&asked(inputs)?, change, account(inputs)?))
}

fn liquidatable(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["usdc_quantums", "positions", "markets"])?;
    Ok(Computed::Flag(account(inputs)?.is_liquidatable()))
}
