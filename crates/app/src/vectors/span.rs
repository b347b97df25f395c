//! SPAN: the scenario table of the `span` preset, a futures array through the array builder, and requirements through
//! the margin stage. The two extreme scenarios differ between clearing houses (twice the scan at 35 %, three times at
//! 33 %): a file that states its table is checked with its own.

use super::field::{self, Reason};
use super::span_position::{Leg, legs};
use super::{Ledger, Tolerance};
use plimsoll_engine::ParamSet;
use plimsoll_market::{Surface, UnderlyingSurface};
use plimsoll_risk::{
    EntrySpec, Mode, Multiple, PerUnderlying, Scenario, ScenarioSet, VolDirection, Weights, build, generate,
};
use plimsoll_types::{
    AccountId, Asset, Decimal, ForwardSource, Instrument, InstrumentIx, LotSize, Lots, Portfolio, Position,
    RiskArrays, Rounding, Ticks, Timestamp, Units, quantise,
};
use serde_json::Value;
use std::collections::BTreeMap;

const EXACT: Tolerance = Tolerance::Absolute(0.0);

/// Multiples such as 1/3 are written with 16 digits.
const WRITTEN: Tolerance = Tolerance::Either { relative: 1e-15, absolute: 1e-15 };

/// Scenarios of full weight; the extremes come after them.
const FULL_WEIGHT: usize = 14;

/// Published arrays are rounded to this many units of the currency.
const ROUNDED_TO: i64 = 10;

/// The textbook contract: an index future worth this many units per point, at this index.
const POINT_VALUE: i64 = 500;
const INDEX: f64 = 1000.0;
const UNDERLYING: &str = "SPX";
const FUTURE: &str = "SPX-20260320";

/// A file with a SPAN `scenarios` table of `rows`, textbook arrays or delta weights.
pub(super) fn recognise(file: &Value) -> bool {
    let table = file.get("scenarios").is_some_and(|table| table.get("rows").is_some());
    table || file.get("mcmillan").is_some() || file.get("composite_delta_weights").is_some()
}

/// Compares one section of a file.
type Compare = fn(&Value, &Value, &mut Ledger) -> Result<(), Reason>;

/// Checks the table, the arrays and the weights that are there.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    let sections: [(&str, Compare); 3] =
        [("scenarios", table), ("mcmillan", textbook), ("composite_delta_weights", delta_weights)];
    for (name, compare) in sections {
        if let Some(section) = file.get(name) {
            let id = field::id(section, name, 0).replace("[0]", "");
            ledger.case(id, |ledger| compare(section, file, ledger));
        }
    }
}

fn preset() -> Result<ParamSet, Reason> {
    ParamSet::preset("span").map_err(|e| e.to_string())
}

/// The preset, with the extremes of the file's table where there is one.
fn params_of(file: &Value) -> Result<ParamSet, Reason> {
    let mut params = preset()?;
    let Some(rows) = file.get("scenarios").filter(|table| table.get("rows").is_some()) else {
        return Ok(params);
    };
    let extremes = extremes(&field::matrix(rows, "rows")?)?;
    let groups = params.scenarios.scenarios.iter_mut().filter_map(|entry| match entry {
        EntrySpec::Grid(grid) => Some(&mut grid.points),
        _ => None,
    });
    let unmoved = |vol: &Vec<VolDirection>| vol.as_slice() == [VolDirection::None];
    let mut far = groups.flatten().filter(|group| unmoved(&group.vol));
    let group = far.next().ok_or("the preset has no extremes")?;
    group.price = extremes.iter().map(|(price, _)| Multiple(*price)).collect();
    group.weight = Weights::PerPrice(extremes.iter().map(|(_, weight)| *weight).collect());
    Ok(params)
}

/// Price multiple and cover fraction of the rows after those of full weight.
fn extremes(rows: &[Vec<f64>]) -> Result<Vec<(f64, f64)>, Reason> {
    let far = rows.get(FULL_WEIGHT..).filter(|far| !far.is_empty());
    let far = far.ok_or_else(|| format!("`rows` has {} scenarios and no extremes", rows.len()))?;
    let read = |(at, row): (usize, &Vec<f64>)| match row[..] {
        [price, _, weight] => Ok((price, weight)),
        _ => Err(format!("row {} has {} columns, expected 3", FULL_WEIGHT + at + 1, row.len())),
    };
    far.iter().enumerate().map(read).collect()
}

/// The scenarios of a parameter set for the textbook's underlying.
fn scenarios(params: &ParamSet) -> Result<ScenarioSet, Reason> {
    let underlying = Asset::new(UNDERLYING).map_err(|e| e.to_string())?;
    generate(&params.scenarios, &[underlying], &BTreeMap::new()).map_err(|e| e.to_string())
}

fn all(set: &ScenarioSet) -> Vec<&Scenario> {
    set.blocks.iter().flat_map(|block| &block.scenarios).collect()
}

/// Multiples, weights and pairs of the table against those of the preset.
fn table(section: &Value, file: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let rows = field::matrix(section, "rows")?;
    let params = params_of(file)?;
    let set = scenarios(&params)?;
    let ours = all(&set);
    let underlying = Asset::new(UNDERLYING).map_err(|e| e.to_string())?;
    let vol_scan = params.scenarios.vol_scan.get(&underlying).ok_or("the preset has no vol scan")?;
    let price_scan = set.price_scan.first().ok_or("the preset has no price scan")?;
    ledger.number("scenarios", rows.len() as f64, ours.len() as f64, EXACT);
    for (j, (row, scenario)) in rows.iter().zip(&ours).enumerate() {
        let [price, vol, weight] = row[..] else {
            return Err(format!("row {} has {} columns, expected 3", j + 1, row.len()));
        };
        let step = scenario.moves.first().ok_or("a scenario moves nothing")?;
        let scan = if step.vol < 0.0 { vol_scan.down } else { vol_scan.up };
        let vol_multiple = if step.vol == 0.0 { 0.0 } else { step.vol / scan };
        ledger.number(format!("price of {}", j + 1), price, step.spot / price_scan, WRITTEN);
        ledger.number(format!("vol of {}", j + 1), vol, vol_multiple, WRITTEN);
        ledger.number(format!("weight of {}", j + 1), weight, scenario.weight, WRITTEN);
    }
    pairs(section, &ours, ledger)
}

/// `paired` names each pair once, counting from 1.
fn pairs(section: &Value, ours: &[&Scenario], ledger: &mut Ledger) -> Result<(), Reason> {
    if section.get("paired").is_none_or(Value::is_null) {
        return Ok(());
    }
    for (one, other) in field::object(section, "paired")?.as_object().into_iter().flatten() {
        let j: usize = one.parse().map_err(|_| format!("`{one}` is not a scenario number"))?;
        let scenario = j.checked_sub(1).and_then(|at| ours.get(at));
        let computed = scenario.map_or(f64::NAN, |scenario| scenario.pair as f64 + 1.0);
        ledger.number(format!("pair of {j}"), field::as_number(other, "paired")?, computed, EXACT);
    }
    Ok(())
}

/// Weights of the composite delta as the preset states them.
fn delta_weights(section: &Value, _: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let expected = field::numbers(section.get("weights").ok_or("`weights` is missing")?, "weights")?;
    let stated = preset()?.scenarios.composite_delta.ok_or("the preset states no weights")?;
    ledger.number("weights", expected.len() as f64, stated.weight.len() as f64, EXACT);
    for (at, (expected, computed)) in expected.iter().zip(&stated.weight).enumerate() {
        ledger.number(format!("weight {}", at + 1), *expected, *computed, WRITTEN);
    }
    if let Some(sum) = field::number_if_any(section, "sum")? {
        let computed = stated.weight.iter().sum();
        ledger.number("sum of weights", sum, computed, Tolerance::Absolute(1e-12));
    }
    Ok(())
}

/// A file's arrays by name (`long_future`), and the contract that carries them.
fn textbook(section: &Value, file: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let fields = section.as_object().ok_or("the section is not an object")?;
    let named = fields.iter().filter_map(|(name, value)| Some((name.strip_prefix("long_")?, value)));
    let mut given: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in named {
        given.insert(name.to_lowercase(), field::numbers(value, name)?);
    }
    let future = given.get("future").ok_or("there is no `long_future` array")?;
    let outright = future.iter().take(FULL_WEIGHT).copied().fold(0.0, f64::max);
    let params = textbook_params(params_of(file)?, outright);
    let built = futures_arrays(&params)?;
    let computed = built.row(InstrumentIx(0));
    ledger.number("scenarios of long_future", future.len() as f64, computed.len() as f64, EXACT);
    for (j, (expected, entry)) in future.iter().zip(computed).enumerate() {
        ledger.number(format!("long_future {}", j + 1), *expected, to_ten(*entry), EXACT);
    }
    let rows: Vec<&str> = given.keys().map(String::as_str).collect();
    let arrays = with_rows(&built, &given)?;
    let published =
        if section.get("published").is_some() { field::array(section, "published")? } else { &[] };
    for published in published {
        field::only(
            published,
            "published",
            &["id", "source", "note", "verified", "position", "requirement"],
        )?;
        let text = field::text(published, "position")?;
        let expected = field::number(published, "requirement")?;
        let quantity = format!("requirement of {text}");
        match legs(text, &rows).and_then(|legs| requirement(&legs, &arrays, &params)) {
            Ok(requirement) => ledger.number(quantity, expected, requirement, EXACT),
            Err(reason) => ledger.refused(quantity, expected.to_string(), reason),
        }
    }
    Ok(())
}

/// To the nearest multiple of ten units of the currency, which is what a tick is here.
fn to_ten(entry: i64) -> f64 {
    let up = if entry < 0 { -ROUNDED_TO / 2 } else { ROUNDED_TO / 2 };
    ((entry + up) / ROUNDED_TO * ROUNDED_TO) as f64
}

/// The preset with the textbook's price scan, contract size and tick of one unit of the currency.
fn textbook_params(mut params: ParamSet, outright: f64) -> ParamSet {
    let scan = outright / (POINT_VALUE as f64 * INDEX);
    params.scenarios.price_scan = PerUnderlying(BTreeMap::from([(UNDERLYING.to_owned(), scan)]));
    let lot = LotSize { base: Decimal::from(POINT_VALUE), quote: Decimal::ONE };
    params.units = Units { ticks_per_unit: 1, lot, lots: BTreeMap::new(), ..params.units };
    params
}

/// Risk arrays of the textbook future on a market made of it alone.
fn futures_arrays(params: &ParamSet) -> Result<RiskArrays, Reason> {
    let future: Instrument = FUTURE.parse().map_err(|e: plimsoll_types::InstrumentError| e.to_string())?;
    let expiry = future.expiry().ok_or("the future has no expiry")?;
    let as_of = Timestamp::from_seconds(expiry.seconds() - 90 * 86_400);
    let market = UnderlyingSurface {
        index: INDEX,
        confidence: 0.0,
        forwards: vec![(expiry, INDEX, ForwardSource::Future)],
        perpetuals: BTreeMap::new(),
        futures: BTreeMap::from([(future.clone(), INDEX)]),
        slices: Vec::new(),
        refused: Vec::new(),
    };
    let underlyings = BTreeMap::from([(future.underlying().clone(), market)]);
    let surface = Surface { as_of, underlyings, assets: BTreeMap::new(), issues: Vec::new() };
    let set = scenarios(params)?;
    let built = build(&surface, &[future], &set, &params.units, Mode::FullReprice);
    let built = built.map_err(|e| e.to_string())?;
    match built.issues.first() {
        None => Ok(built.arrays),
        Some((instrument, issue)) => Err(format!("{instrument}: {issue:?}")),
    }
}

/// The built arrays with one row per array of the file, in the order of their names: the future as built; contracts whose
/// terms the file does not give enter the margin stage by their published arrays.
fn with_rows(built: &RiskArrays, given: &BTreeMap<String, Vec<f64>>) -> Result<RiskArrays, Reason> {
    let mut arrays = built.clone();
    let future = built.instruments.first().ok_or("the future was not valued")?;
    arrays.instruments = vec![future.clone(); given.len()];
    arrays.pnl = Vec::new();
    for (name, entries) in given {
        if entries.len() != built.scenarios.len() {
            return Err(format!("`{name}` has {} entries", entries.len()));
        }
        if name == "future" {
            arrays.pnl.extend_from_slice(built.row(InstrumentIx(0)));
            continue;
        }
        for entry in entries {
            arrays.pnl.push(quantise(*entry, Rounding::Nearest).map_err(|e| e.to_string())?);
        }
    }
    Ok(arrays)
}

/// Maintenance margin of a position.
fn requirement(legs: &[Leg], arrays: &RiskArrays, params: &ParamSet) -> Result<f64, Reason> {
    let mut lots: BTreeMap<u32, i64> = BTreeMap::new();
    for leg in legs {
        let row = u32::try_from(leg.row).map_err(|e| e.to_string())?;
        let sum = lots.entry(row).or_default();
        *sum = sum.checked_add(leg.quantity).ok_or("the position is too large")?;
    }
    let position = |(row, quantity): (&u32, &i64)| Position {
        instrument: InstrumentIx(*row),
        lots: Lots(*quantity),
        unrealised: Ticks(0),
    };
    let portfolio = Portfolio {
        account: AccountId::new("textbook").map_err(|e| e.to_string())?,
        positions: lots.iter().map(position).collect(),
        collateral: Vec::new(),
        orders: Vec::new(),
    };
    let report = plimsoll_margin::evaluate(&portfolio, arrays, &params.margin).map_err(|e| e.to_string())?;
    params.units.amount(report.mm).to_string().parse().map_err(|e: std::num::ParseFloatError| e.to_string())
}
