//! Aevo's portfolio margin: fifteen scenarios of a strategy, leg by leg.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::aevo::{Terms, pnl, requirement};
use plimsoll_quant::black::OptionKind;
use plimsoll_risk::{Move, OptionLeg, Sticky, VolShock, VolShockKind, revalue};
use plimsoll_types::Fixed;
use serde_json::Value;

/// The source prints cents.
const CELL: f64 = 0.02;
/// All tenors alike, in volatility points.
const SHOCK: VolShock = VolShock {
    kind: VolShockKind::Absolute,
    power_short: 0.0,
    power_long: 0.0,
    dte_floor: 1.0,
    min_vol_up: 0.0,
    skew: None,
    sticky: Sticky::Strike,
};
const INPUTS: [&str; 11] = [
    "spot",
    "years",
    "rate",
    "max_spot_up",
    "max_spot_down",
    "max_iv_up",
    "max_iv_down",
    "iv_shift",
    "unit_floor_eth",
    "im_factor",
    "legs",
];
/// The only order of rows there is.
const ORDER: &str = "spot +20,+10,0,-10,-20 (outer) x IV up,none,down (inner)";

/// A case with legs, moves of spot and of implied volatility, and a floor per unit.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("inputs").is_some_and(|inputs| inputs.get("unit_floor_eth").is_some())
}

/// Checks the table and the margins.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let expected = field::object(case, "expected")?;
    field::only(inputs, "inputs", &INPUTS)?;
    if case.get("function").is_some_and(|function| function != "portfolio_margin") {
        return Err(format!("unsupported: function {}", case["function"]));
    }
    let tolerance = Tolerance::Absolute(field::tolerance_within(case, CELL)?);
    if field::number_if_any(inputs, "rate")?.is_some_and(|rate| rate != 0.0) {
        return Err("unsupported: a rate other than 0".to_owned());
    }
    if inputs.get("iv_shift").is_some_and(|text| !text.as_str().is_some_and(|t| t.starts_with("additive"))) {
        return Err("unsupported: `iv_shift` other than additive".to_owned());
    }
    let spot = field::number(inputs, "spot")?;
    let legs: Vec<Held> = field::array(inputs, "legs")?
        .iter()
        .map(|leg| Held::read(leg, field::number_if_any(inputs, "years")?))
        .collect::<Result<_, _>>()?;
    let (mut rows, mut totals) = (Vec::new(), Vec::new());
    for by in moves(inputs)? {
        let cells = legs.iter().map(|leg| leg.pnl(spot, &by)).collect::<Result<Vec<_>, _>>()?;
        let total: Fixed = cells.iter().copied().sum();
        totals.push(total);
        let cells = Computed::List(cells.into_iter().map(Computed::from).collect());
        rows.push(Computed::Map(vec![("leg_pnl", cells), ("total", total.into())]));
    }
    let terms = Terms {
        unit_floor: field::fixed(inputs, "unit_floor_eth")?,
        im_factor: field::fixed(inputs, "im_factor")?,
    };
    let shorts = legs.iter().filter(|leg| leg.option.is_some()).map(|leg| (-leg.quantity).positive()).sum();
    let margin =
        requirement(&terms, &totals, shorts, field::fixed(inputs, "spot")?).map_err(|e| e.to_string())?;
    let computed = vec![
        ("scenario_margin", margin.scenario_margin.into()),
        ("floor_margin", margin.floor_margin.into()),
        ("maintenance_margin", margin.maintenance_margin.into()),
        ("initial_margin", margin.initial_margin.into()),
        ("scenario_pnl", Computed::List(rows)),
        ("scenario_order", Computed::Text(ORDER.to_owned())),
    ];
    ledger.against("", expected, &Computed::Map(computed), tolerance);
    Ok(())
}

/// Spot outside, volatility inside: up, none, down.
fn moves(inputs: &Value) -> Result<Vec<Move>, Reason> {
    let get = |name: &str| field::number(inputs, name);
    let (up, down) = (get("max_spot_up")?, get("max_spot_down")?);
    let spots = [up, up / 2.0, 0.0, -down / 2.0, -down];
    let vols = [get("max_iv_up")?, 0.0, -get("max_iv_down")?];
    let of = |spot: f64| vols.map(|vol| Move { spot, vol, ..Move::default() });
    Ok(spots.into_iter().flat_map(of).collect())
}

/// A leg: an option with its volatility, or a perpetual.
struct Held {
    option: Option<(OptionKind, f64, f64, f64)>,
    quantity: Fixed,
    mark: Option<Fixed>,
}

impl Held {
    fn read(leg: &Value, years: Option<f64>) -> Result<Self, Reason> {
        field::only(leg, "legs", &["type", "strike", "iv", "qty", "mark", "years"])?;
        let perpetual = matches!(field::text(leg, "type")?, "perp" | "perpetual");
        let option = if perpetual {
            None
        } else {
            let years = field::number_if_any(leg, "years")?.or(years).ok_or("`years` is missing")?;
            Some((field::kind(leg)?, field::number(leg, "strike")?, field::number(leg, "iv")?, years))
        };
        let mark = field::fixed_if_any(leg, "mark")?;
        if option.is_some() && mark.is_none() {
            return Err("`mark` is missing".to_owned());
        }
        Ok(Self { option, quantity: field::fixed(leg, "qty")?, mark })
    }

    fn pnl(&self, spot: f64, by: &Move) -> Result<Fixed, Reason> {
        let fixed = |x: f64| Fixed::from_f64(x).map_err(|e| e.to_string());
        let Some((kind, strike, vol, tau)) = self.option else {
            let before = fixed(spot)?;
            return Ok(pnl(self.quantity, fixed(spot * (1.0 + by.spot))?, before));
        };
        let leg = OptionLeg { kind, strike, fixed: 0.0, variable: spot, vol, tau };
        let value = fixed(revalue(&leg, &SHOCK, by).map_err(|e| e.to_string())?)?;
        Ok(pnl(self.quantity, value, self.mark.unwrap_or_default()))
    }
}
