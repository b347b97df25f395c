//! Deribit: portfolio margin as `private/pme/simulate` states it, and standard margin.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::deribit_portfolio::{
    self as pme, CurrencyTerms, Parts, Vectors, aggregate, buckets, future_extended, in_coin, inverse_future,
    linear_future, requirement, roll_shock, settlement_share, worst,
};
use plimsoll_quant::black::OptionKind;
use plimsoll_risk::{Move, OptionLeg, Sticky, VolShock, VolShockKind, revalue};
use plimsoll_types::{Contract, Fixed, Instrument, Settlement};
use serde_json::Value;

/// Coin.
const COIN: f64 = 2e-9;
/// Seconds of a year, ACT/365.
const YEAR_SECONDS: f64 = 31_536_000.0;
/// Moves of the extended table.
const EXTENDED: [f64; 8] = [-0.66, -0.33, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0];
/// Volatilities of a bucket.
const VOLS: usize = 3;
const INPUTS: [&str; 23] = [
    "general",
    "pair_params",
    "currency_params",
    "positions",
    "index",
    "marks",
    "years_to_expiry",
    "vols",
    "ivs",
    "mark_iv",
    "forwards",
    "underlying_prices",
    "delta_shock",
    "correlation_contingency",
    "mmp_margin",
    "open_orders_margin",
    "spot_margin",
    "extended_moves",
    "extended_fractions",
    "currency",
    "pair",
    "linear",
    "settlement",
];
/// Names of parameters in the responses, read or without part in the margin.
const PAIR: [&str; 13] = [
    "price_range",
    "volatility_range_up",
    "volatility_range_down",
    "min_volatility_for_shock_up",
    "short_term_vega_power",
    "long_term_vega_power",
    "extended_table_factor",
    "delta_total_liq_shock_threshold",
    "max_delta_shock",
    "m_inc",
    "extended_moves",
    "extended_fractions",
    "dte_floor",
];
const CURRENCY: [&str; 8] = [
    "pnl_offset",
    "annualised_move_risk",
    "min_annualised_move",
    "extended_dampener",
    "haircut",
    "max_offsetable_pnl",
    "correlation_set",
    "equity_side_impact",
];

/// A case of the portfolio margin simulation.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("function").is_some_and(|f| f == "portfolio_margin_simulate")
}

/// Checks the vectors, the worst case and the margins.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let expected = case.get("expected").and_then(Value::as_object).ok_or("`expected` is not an object")?;
    let tolerance = Tolerance::Absolute(field::tolerance_within(case, COIN)?);
    let book = Book::read(field::object(case, "inputs")?, tolerance)?;
    if book.needs_fractions() && expected.keys().any(|key| key.starts_with("extended")) {
        return Err(
            "unsupported: the extended table's fractions are not published and not in the case".to_owned()
        );
    }
    let mut computed = Vec::new();
    let mut each = Vec::new();
    for position in &book.positions {
        let vectors = position.vectors(&book)?;
        each.push(vectors);
    }
    let total = pme::sum(&each).map_err(|e| e.to_string())?;
    let counted = aggregate(&total, &book.currency, book.unit).map_err(|e| e.to_string())?;
    let (loss, bucket) = worst(&counted).map_err(|e| e.to_string())?;
    let rolls = book.positions.iter().map(|p| roll_shock(p.quantity, p.years_fixed, &book.currency));
    let parts = Parts { worst_case: loss, roll_shock: rolls.sum(), ..book.parts };
    let margin = requirement(&parts, book.mm_factor).map_err(|e| e.to_string())?;
    computed.extend([
        ("worst_case", parts.worst_case.into()),
        ("roll_shock", parts.roll_shock.into()),
        ("delta_shock", parts.delta_shock.into()),
        ("risk_matrix_margin", margin.risk_matrix_margin.into()),
        ("initial_margin", margin.initial_margin.into()),
        ("maintenance_margin", margin.maintenance_margin.into()),
        ("extended_aggregated", list(&counted.extended)),
        ("pre_aggregated_extended", list(&total.extended)),
        ("worst_case_bucket", worst_bucket(bucket)),
    ]);
    for (key, value) in expected {
        match key.as_str() {
            "position_vectors" | "extended_position_vectors" => {
                of_positions(key, value, &book, &each, ledger);
            }
            "aggregated" => compare((key, value), &counted.standard, tolerance, ledger),
            "pre_aggregated" => compare((key, value), &total.standard, tolerance, ledger),
            _ => match computed.iter().find(|(name, _)| name == key) {
                Some((_, found)) => ledger.against(key, value, found, tolerance),
                None => ledger.refused(key, value.to_string(), "unsupported quantity".to_owned()),
            },
        }
    }
    Ok(())
}

fn list(values: &[Fixed]) -> Computed {
    Computed::List(values.iter().map(|x| (*x).into()).collect())
}

fn worst_bucket(at: pme::WorstBucket) -> Computed {
    let integer = |n: usize| Computed::Integer(i128::try_from(n).unwrap_or(i128::MAX));
    Computed::Map(vec![
        ("bucket", integer(at.bucket)),
        ("index", integer(at.index)),
        ("side", Computed::Text(at.side.to_owned())),
        ("source", Computed::Text(at.source.to_owned())),
    ])
}

fn of_positions(key: &str, expected: &Value, book: &Book, each: &[Vectors], ledger: &mut Ledger) {
    let Some(named) = expected.as_object() else {
        return ledger.refused(key, expected.to_string(), "vectors by instrument are computed".to_owned());
    };
    for (name, value) in named {
        let path = format!("{key}.{name}");
        let at = book.positions.iter().position(|position| position.name == *name);
        match at.and_then(|at| each.get(at)) {
            Some(vectors) if key == "position_vectors" => {
                compare((&path, value), &vectors.standard, book.tolerance, ledger)
            }
            Some(vectors) => ledger.against(&path, value, &list(&vectors.extended), book.tolerance),
            None => ledger.refused(path, value.to_string(), "no such position".to_owned()),
        }
    }
}

/// A standard vector, which a case may state once per bucket where the three volatilities agree.
fn compare((name, expected): (&str, &Value), standard: &[Fixed], tolerance: Tolerance, ledger: &mut Ledger) {
    let short = expected.as_array().is_some_and(|items| items.len() * VOLS == standard.len());
    if !short {
        return ledger.against(name, expected, &list(standard), tolerance);
    }
    let buckets: Vec<&[Fixed]> = standard.chunks(VOLS).collect();
    if buckets.iter().any(|bucket| bucket.windows(2).any(|pair| pair[0] != pair[1])) {
        let reason = "volatilities differ, and one number per bucket is expected".to_owned();
        return ledger.refused(name, expected.to_string(), reason);
    }
    let firsts: Vec<Fixed> = buckets.iter().filter_map(|bucket| bucket.first().copied()).collect();
    ledger.against(name, expected, &list(&firsts), tolerance);
}

/// What a case states.
struct Book {
    positions: Vec<Held>,
    index: f64,
    unit: Fixed,
    moves: Vec<Fixed>,
    extended: Vec<Fixed>,
    /// Fractions of the extended table, times its factor; `None` where the case has none.
    fractions: Option<Vec<Fixed>>,
    ranges: (f64, f64),
    shock: VolShock,
    currency: CurrencyTerms,
    parts: Parts,
    mm_factor: Fixed,
    tolerance: Tolerance,
}

struct Held {
    name: String,
    instrument: Instrument,
    quantity: Fixed,
    years: f64,
    years_fixed: Fixed,
    /// Volatility and forward of an option.
    vol: Option<f64>,
    forward: Option<f64>,
}

impl Book {
    fn read(inputs: &Value, tolerance: Tolerance) -> Result<Self, Reason> {
        field::only(inputs, "inputs", &INPUTS)?;
        well_formed(inputs)?;
        let (general, pair) = (field::object(inputs, "general")?, field::object(inputs, "pair_params")?);
        let known = ["mm_factor", "buckets_count", "vol_scenarios_count", "timestamp_ms", "timestamp"];
        field::only(general, "general", &known)?;
        field::only(pair, "pair_params", &PAIR)?;
        if field::integer_if_any(general, "vol_scenarios_count")?.is_some_and(|n| n != 3) {
            return Err("unsupported: other than three volatilities".to_owned());
        }
        let count = i64::try_from(field::integer(general, "buckets_count")?).map_err(|e| e.to_string())?;
        let get = |name: &str| field::number(pair, name);
        let factor = field::fixed_if_any(pair, "extended_table_factor")?.unwrap_or(Fixed::ONE);
        let listed =
            |name: &str| pair.get(name).or_else(|| inputs.get(name)).filter(|value| !value.is_null());
        let fractions = listed("extended_fractions").map(|value| numbers(value, "extended_fractions"));
        let scaled = |all: Vec<Fixed>| all.into_iter().map(|fraction| fraction * factor).collect();
        let extended = match listed("extended_moves") {
            Some(value) => numbers(value, "extended_moves")?,
            None => EXTENDED.iter().map(|x| fixed(*x)).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            positions: positions(inputs, general)?,
            index: field::number(inputs, "index")?,
            unit: field::fixed(inputs, "index")?,
            moves: buckets(field::fixed(pair, "price_range")?, count).map_err(|e| e.to_string())?,
            extended,
            fractions: fractions.transpose()?.map(scaled),
            ranges: (get("volatility_range_up")?, get("volatility_range_down")?),
            shock: shock(pair)?,
            currency: currency(field::object(inputs, "currency_params")?)?,
            parts: parts(inputs)?,
            mm_factor: field::fixed(general, "mm_factor")?,
            tolerance,
        })
    }

    fn needs_fractions(&self) -> bool {
        self.fractions.is_none()
            && self.positions.iter().any(|position| position.instrument.option().is_some())
    }
}

/// What has no part in the margin must still be what it says it is.
fn well_formed(inputs: &Value) -> Result<(), Reason> {
    let tables =
        ["marks", "years_to_expiry", "vols", "ivs", "mark_iv", "forwards", "underlying_prices", "positions"];
    for table in tables.into_iter().filter(|table| inputs.get(table).is_some_and(|value| !value.is_null())) {
        let entries = field::object(inputs, table)?.as_object().into_iter().flatten();
        for (name, value) in entries.filter(|(_, value)| !value.is_null()) {
            field::as_number(value, name)?;
        }
    }
    let pair = field::object(inputs, "pair_params")?;
    for name in ["delta_total_liq_shock_threshold", "max_delta_shock", "m_inc"] {
        field::number_if_any(pair, name)?;
    }
    field::number_if_any(field::object(inputs, "currency_params")?, "haircut").map(|_| ())
}

fn fixed(x: f64) -> Result<Fixed, Reason> {
    Fixed::from_f64(x).map_err(|e| e.to_string())
}

fn numbers(value: &Value, name: &str) -> Result<Vec<Fixed>, Reason> {
    let items = value.as_array().ok_or_else(|| format!("`{name}` is not an array"))?;
    items.iter().map(|item| field::as_fixed(item, name)).collect()
}

fn shock(pair: &Value) -> Result<VolShock, Reason> {
    Ok(VolShock {
        kind: VolShockKind::Relative,
        power_short: field::number(pair, "short_term_vega_power")?,
        power_long: field::number(pair, "long_term_vega_power")?,
        dte_floor: field::number_if_any(pair, "dte_floor")?.unwrap_or(1.0),
        min_vol_up: field::number(pair, "min_volatility_for_shock_up")?,
        skew: None,
        sticky: Sticky::Strike,
    })
}

fn currency(params: &Value) -> Result<CurrencyTerms, Reason> {
    field::only(params, "currency_params", &CURRENCY)?;
    let get = |name: &str| field::fixed(params, name);
    Ok(CurrencyTerms {
        pnl_offset: get("pnl_offset")?,
        max_offsetable_pnl: field::fixed_if_any(params, "max_offsetable_pnl")?,
        annualised_move_risk: get("annualised_move_risk")?,
        min_annualised_move: get("min_annualised_move")?,
        extended_dampener: get("extended_dampener")?,
    })
}

fn parts(inputs: &Value) -> Result<Parts, Reason> {
    let get = |name: &str| Ok::<_, Reason>(field::fixed_if_any(inputs, name)?.unwrap_or_default());
    Ok(Parts {
        delta_shock: get("delta_shock")?,
        correlation_contingency: get("correlation_contingency")?,
        mmp_margin: get("mmp_margin")?,
        open_orders_margin: get("open_orders_margin")?,
        spot_margin: get("spot_margin")?,
        ..Parts::default()
    })
}

fn positions(inputs: &Value, general: &Value) -> Result<Vec<Held>, Reason> {
    let all = field::object(inputs, "positions")?.as_object().into_iter().flatten();
    all.map(|(name, quantity)| held(name, quantity, inputs, general)).collect()
}

/// The entry of an instrument in a table of the inputs, under the first of its names that is there.
fn entry(inputs: &Value, tables: &[&str], name: &str) -> Result<Option<f64>, Reason> {
    let tables = tables.iter().filter_map(|table| inputs.get(*table)?.as_object());
    let found = tables.filter_map(|table| table.get(name)).find(|value| !value.is_null());
    found.map(|value| field::as_number(value, name)).transpose()
}

fn held(name: &str, quantity: &Value, inputs: &Value, general: &Value) -> Result<Held, Reason> {
    let instrument: Instrument = name.parse().map_err(|e: plimsoll_types::InstrumentError| e.to_string())?;
    let now = [field::number_if_any(general, "timestamp_ms")?, field::number_if_any(general, "timestamp")?];
    let stated = entry(inputs, &["years_to_expiry"], name)?;
    let years = match (stated, instrument.expiry(), now.into_iter().flatten().next()) {
        (_, None, _) => 0.0,
        (Some(years), ..) => years,
        (None, Some(expiry), Some(now)) => (expiry.seconds() as f64 - now / 1000.0) / YEAR_SECONDS,
        (None, Some(_), None) => return Err(format!("`years_to_expiry` of {name} is missing")),
    };
    Ok(Held {
        name: name.to_owned(),
        quantity: field::as_fixed(quantity, name)?,
        years,
        years_fixed: fixed(years.max(0.0))?,
        vol: entry(inputs, &["vols", "ivs", "mark_iv"], name)?,
        forward: entry(inputs, &["forwards", "underlying_prices"], name)?,
        instrument,
    })
}

impl Held {
    /// What of the delta is left in the settlement window.
    fn share(&self) -> Fixed {
        match self.instrument.expiry() {
            Some(_) => settlement_share((self.years * YEAR_SECONDS).round() as i64),
            None => Fixed::ONE,
        }
    }

    fn vectors(&self, book: &Book) -> Result<Vectors, Reason> {
        match self.instrument.contract() {
            Contract::Option { strike, kind, .. } => {
                let strike = strike.to_string().parse().map_err(|_| format!("strike {strike}"))?;
                let kind = match kind {
                    plimsoll_types::OptionKind::Call => OptionKind::Call,
                    plimsoll_types::OptionKind::Put => OptionKind::Put,
                };
                self.option(kind, strike, book)
            }
            // Coin neither gains nor loses in coin.
            Contract::Spot => Ok(self.future(book, |_, _| Fixed::ZERO)),
            Contract::Perpetual | Contract::Future { .. } => {
                let inverse = self.instrument.settlement() == Settlement::Inverse;
                Ok(self.future(book, if inverse { inverse_future } else { linear_future }))
            }
        }
    }

    fn future(&self, book: &Book, pnl: fn(Fixed, Fixed) -> Fixed) -> Vectors {
        let left = self.quantity * self.share();
        let standard: Vec<Fixed> = book.moves.iter().flat_map(|by| [pnl(left, *by); VOLS]).collect();
        let extended =
            if book.needs_fractions() { Vec::new() } else { future_extended(&standard, &book.extended) };
        Vectors { standard, extended }
    }

    fn option(&self, kind: OptionKind, strike: f64, book: &Book) -> Result<Vectors, Reason> {
        let vol = self.vol.ok_or_else(|| format!("`vols` of {} is missing", self.name))?;
        let share = self.share().to_f64();
        let forward = self.forward.unwrap_or(book.index);
        let (fixed_part, variable) = (forward * (1.0 - share), forward * share);
        let leg = OptionLeg { kind, strike, fixed: fixed_part, variable, vol, tau: self.years };
        let inverse = self.instrument.settlement() == Settlement::Inverse;
        let before = fixed(revalue(&leg, &book.shock, &Move::default()).map_err(|e| e.to_string())?)?;
        let pnl = |by: Fixed, vol: f64| {
            let to = Move { spot: by.to_f64(), vol, ..Move::default() };
            let after = fixed(revalue(&leg, &book.shock, &to).map_err(|e| e.to_string())?)?;
            let one =
                if inverse { in_coin(before, after, book.unit, by) } else { (after - before) / book.unit };
            Ok::<_, Reason>(self.quantity * one)
        };
        let (up, down) = book.ranges;
        let mut standard = Vec::new();
        for by in &book.moves {
            for vol in [up, 0.0, -down] {
                standard.push(pnl(*by, vol)?);
            }
        }
        let mut extended = Vec::new();
        if let Some(fractions) = &book.fractions {
            if fractions.len() != book.extended.len() {
                return Err(format!("{} fractions of {} moves", fractions.len(), book.extended.len()));
            }
            for (by, fraction) in book.extended.iter().zip(fractions) {
                extended.push(pnl(*by, up)? * *fraction);
            }
        }
        Ok(Vectors { standard, extended })
    }
}
