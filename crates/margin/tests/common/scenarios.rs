//! Accounts on risk arrays with a real scenario set: BTC at 100,000, contracts valued by stated formulas.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails, and each test file uses its own part"
)]

use plimsoll_margin::*;
use plimsoll_types::*;

pub(crate) const UNIT: i64 = 1_000_000;
pub(crate) const SPOT: f64 = 100_000.0;
const DAY: i64 = 86_400;

/// Relative move of spot, direction of volatility, weight.
pub(crate) type Column = (f64, i8, f64);

/// An instrument and its days to expiry; 0 for what has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row(pub(crate) &'static str, pub(crate) i64);

/// Value of one base unit of an option: intrinsic, and a time value that volatility moves by half.
fn option_value(strike: f64, call: bool, by: f64, vol: i8) -> f64 {
    let spot = SPOT * (1.0 + by);
    let intrinsic = if call { spot - strike } else { strike - spot }.max(0.0);
    let distance = ((spot - strike).abs() / 60_000.0).min(1.0);
    intrinsic + 2_500.0 * (1.0 - distance) * (1.0 + 0.5 * f64::from(vol))
}

/// Value of one quantity unit under a move, less nothing: marks of futures are 0.
pub(crate) fn value(instrument: &Instrument, by: f64, vol: i8) -> f64 {
    match instrument.contract() {
        Contract::Spot => SPOT * (1.0 + by),
        Contract::Option { strike, kind, .. } => {
            let strike: f64 = strike.to_string().parse().unwrap();
            option_value(strike, kind == OptionKind::Call, by, vol)
        }
        // An inverse contract of one quote unit gains s/(1 + s)/F coins, each worth F (1 + s).
        _ if instrument.sized_in_quote() => by,
        _ => SPOT * by,
    }
}

fn ticks(amount: f64) -> i64 {
    (amount * UNIT as f64).round() as i64
}

fn delta(instrument: &Instrument) -> f64 {
    let up = value(instrument, 0.001, 0) - value(instrument, -0.001, 0);
    up / 0.002
}

/// Arrays of the instruments under the columns.
pub(crate) fn arrays(rows: &[Row], columns: &[Column]) -> RiskArrays {
    let read = |row: &Row| -> Instrument { row.0.parse().unwrap() };
    let lot = |instrument: &Instrument| if instrument.sized_in_quote() { 1.0 } else { 0.001 };
    let instrument = |row: &Row| {
        let instrument = read(row);
        let size = lot(&instrument);
        let mark = ticks(value(&instrument, 0.0, 0) * size);
        let unit = if instrument.sized_in_quote() { 1.0 } else { SPOT };
        InstrumentRow {
            underlying: UnderlyingIx(0),
            lot: if size == 1.0 { Decimal::ONE } else { Decimal::new(1, 3) },
            mark,
            notional: ticks(unit * size),
            reference: ticks(SPOT),
            open_interest: None,
            greeks: GreekTicks { delta: ticks(delta(&instrument) * size), ..GreekTicks::default() },
            composite_delta: Ppb::ZERO,
            seconds_to_expiry: (row.1 > 0).then_some(row.1 * DAY),
            funding_8h: 0,
            instrument,
        }
    };
    let ppb = |x: f64| Ppb((x * 1e9).round() as i64);
    let column = |(i, (by, _, weight)): (usize, &Column)| ScenarioColumn {
        label: format!("scenario {}", i + 1),
        weight: ppb(*weight),
        spot: vec![ppb(*by)],
        pair: i,
    };
    let mut pnl = Vec::new();
    for row in rows {
        let instrument = read(row);
        for (by, vol, weight) in columns {
            let gain = value(&instrument, *by, *vol) - value(&instrument, 0.0, 0);
            pnl.push(ticks(weight * gain * lot(&instrument)));
        }
    }
    let asset = |asset: &str, price: f64| AssetRow {
        asset: asset.parse().unwrap(),
        price: ticks(price),
        confidence: Ppb::ZERO,
    };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: UNIT,
        underlyings: vec![UnderlyingRow {
            asset: "BTC".parse().unwrap(),
            index: ticks(SPOT),
            confidence: Ppb::ZERO,
            price_scan: Ppb(160_000_000),
        }],
        instruments: rows.iter().map(instrument).collect(),
        scenarios: columns.iter().enumerate().map(column).collect(),
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..columns.len() }],
        pnl,
        assets: vec![asset("USD", 1.0), asset("USDC", 1.0), asset("BTC", SPOT)],
    }
}

/// Every price with every volatility at full weight.
pub(crate) fn grid(prices: &[f64], vols: &[i8]) -> Vec<Column> {
    prices.iter().flat_map(|by| vols.iter().map(move |vol| (*by, *vol, 1.0))).collect()
}

/// Prices with volatility up and a weight each.
pub(crate) fn tails(weights: &[(f64, f64)]) -> Vec<Column> {
    weights.iter().map(|(by, weight)| (*by, 1, *weight)).collect()
}

/// The `[margin]` table of a preset.
pub(crate) fn preset(name: &str) -> Params {
    let path = format!("{}/../../presets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

/// Lots of each row.
pub(crate) fn portfolio(lots: &[i64]) -> Portfolio {
    let position = |(i, lots): (usize, &i64)| Position {
        instrument: InstrumentIx(u32::try_from(i).unwrap()),
        lots: Lots(*lots),
        unrealised: Ticks(0),
    };
    Portfolio {
        account: "alice".parse().unwrap(),
        positions: lots.iter().enumerate().filter(|(_, lots)| **lots != 0).map(position).collect(),
        collateral: Vec::new(),
        orders: Vec::new(),
    }
}

pub(crate) fn report(rows: &[Row], lots: &[i64], columns: &[Column], params: &Params) -> MarginReport {
    evaluate(&portfolio(lots), &arrays(rows, columns), params).unwrap()
}

pub(crate) fn refusal(rows: &[Row], lots: &[i64], columns: &[Column], params: &Params) -> String {
    evaluate(&portfolio(lots), &arrays(rows, columns), params).unwrap_err().to_string()
}

/// Requirements in units of the currency.
pub(crate) fn margin(rows: &[Row], lots: &[i64], columns: &[Column], params: &Params) -> (f64, f64) {
    let found = report(rows, lots, columns, params);
    (found.im.0 as f64 / UNIT as f64, found.mm.0 as f64 / UNIT as f64)
}

/// A charge of a report, initial margin in units of the currency; 0 where there is none.
pub(crate) fn charge(report: &MarginReport, code: &str) -> f64 {
    let found = report.venue.iter().filter(|c| c.code == code);
    found.map(|c| c.im.0 as f64 / UNIT as f64).sum()
}

/// Mark value of lots, units of the currency: whole ticks per lot.
pub(crate) fn premium(rows: &[Row], lots: &[i64]) -> f64 {
    let arrays = arrays(rows, &grid(&[0.0], &[0]));
    let marks = arrays.instruments.iter().zip(lots).map(|(row, lots)| row.mark * lots);
    marks.sum::<i64>() as f64 / UNIT as f64
}
