//! Accounts on hand-made risk arrays: instruments with a mark and a reference price, one scenario in which nothing moves.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails, and each test file uses its own part"
)]

use plimsoll_margin::*;
use plimsoll_types::*;

/// Ticks per unit of the currency.
pub(crate) const UNIT: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// An instrument: name, days to expiry (0 for what has none), mark of one base unit and reference price, units of the
/// currency.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) days: i64,
    pub(crate) mark: f64,
    pub(crate) reference: f64,
}

pub(crate) fn row(name: &'static str, days: i64, mark: f64, reference: f64) -> Row {
    Row { name, days, mark, reference }
}

fn ticks(amount: f64) -> i64 {
    (amount * UNIT as f64).round() as i64
}

/// BTC at 100,000, ETH at 2,000 and SOL at 150, with lots of a thousandth; USDC at the price given.
pub(crate) fn arrays(rows: &[Row], usdc: f64, confidence: Ppb) -> RiskArrays {
    let spots = [("BTC", 100_000.0), ("ETH", 2_000.0), ("SOL", 150.0)];
    let place = |name: &str| spots.iter().position(|(asset, _)| name.starts_with(asset)).unwrap();
    let instrument = |row: &Row| {
        let instrument: Instrument = row.name.parse().unwrap();
        let lot = if instrument.sized_in_quote() { Decimal::ONE } else { Decimal::new(1, 3) };
        InstrumentRow {
            instrument,
            underlying: UnderlyingIx(u32::try_from(place(row.name)).unwrap()),
            lot,
            mark: ticks(row.mark / 1000.0),
            notional: ticks(spots[place(row.name)].1 / 1000.0),
            reference: ticks(row.reference),
            open_interest: None,
            greeks: GreekTicks::default(),
            composite_delta: Ppb::ZERO,
            seconds_to_expiry: (row.days > 0).then_some(row.days * DAY),
            funding_8h: 0,
        }
    };
    let underlying = |(asset, index): &(&str, f64)| UnderlyingRow {
        asset: asset.parse().unwrap(),
        index: ticks(*index),
        confidence,
        price_scan: Ppb(150_000_000),
    };
    let prices = spots.iter().copied().chain([("USD", 1.0), ("USDC", usdc)]);
    let asset = |(asset, price): (&str, f64)| AssetRow {
        asset: asset.parse().unwrap(),
        price: ticks(price),
        confidence: if asset.starts_with("USD") { Ppb::ZERO } else { confidence },
    };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: UNIT,
        underlyings: spots.iter().map(underlying).collect(),
        instruments: rows.iter().map(instrument).collect(),
        scenarios: vec![ScenarioColumn {
            label: "nothing moves".to_owned(),
            weight: Ppb::ONE,
            spot: vec![Ppb::ZERO; spots.len()],
            pair: 0,
        }],
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..1 }],
        pnl: vec![0; rows.len()],
        assets: prices.map(asset).collect(),
    }
}

/// Lots by the place of their row; collateral in billionths.
pub(crate) fn portfolio(lots: &[i64], collateral: &[(&str, i128)]) -> Portfolio {
    let position = |(i, lots): (usize, &i64)| Position {
        instrument: InstrumentIx(u32::try_from(i).unwrap()),
        lots: Lots(*lots),
        unrealised: Ticks(0),
    };
    let holding = |(asset, amount): &(&str, i128)| Holding {
        asset: asset.parse().unwrap(),
        amount_nano: *amount,
        earmark: None,
    };
    Portfolio {
        account: "alice".parse().unwrap(),
        positions: lots.iter().enumerate().filter(|(_, lots)| **lots != 0).map(position).collect(),
        collateral: collateral.iter().map(holding).collect(),
        orders: Vec::new(),
    }
}

/// The `[margin]` table of a preset.
pub(crate) fn preset(name: &str) -> Params {
    let path = format!("{}/../../presets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

/// Initial requirement, maintenance requirement and equity, units of the currency.
pub(crate) fn margin(portfolio: &Portfolio, arrays: &RiskArrays, params: &Params) -> (f64, f64, f64) {
    let report = evaluate(portfolio, arrays, params).unwrap();
    let units = |ticks: Ticks| ticks.0 as f64 / UNIT as f64;
    (units(report.im), units(report.mm), units(report.equity))
}

/// The message of a refusal.
pub(crate) fn refusal(portfolio: &Portfolio, arrays: &RiskArrays, params: &Params) -> String {
    evaluate(portfolio, arrays, params).unwrap_err().to_string()
}
