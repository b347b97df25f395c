//! Random markets and books, in integers, whose long options never lose more than their mark.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::needless_range_loop,
    reason = "each test file uses its own part, and the naive reference is written out plainly"
)]

use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;

pub(crate) const FACTOR_STATES: [CorrelationState; 3] =
    [CorrelationState::Estimated, CorrelationState::Crash, CorrelationState::Breakdown];

pub(crate) fn load(name: &str) -> Params {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The `[margin]` table of the recommended parameter set itself.
pub(crate) fn plimsoll() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/plimsoll.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

pub(crate) fn plain(aggregation: Aggregation) -> Params {
    let (im_scale, mm_scale) = (Ppb(1_250_000_000), Ppb::ONE);
    let addons = Addons::default();
    Params { aggregation, addons, rounding_guard: false, im_scale, mm_scale, ..plimsoll() }
}

/// Per underlying: future, perpetual, call, put, spot.
pub(crate) fn arrays_of(underlyings: usize, grid: usize, joint: usize, entries: &[i64]) -> RiskArrays {
    let names = ["BTC", "ETH", "SOL"];
    let forms = ["_USDC-27MAR26", "_USDC-PERPETUAL", "_USDC-26JUN26-100-C", "_USDC-27FEB26-90-P", ""];
    let expiries = [Some(7_344_000), None, Some(15_206_400), Some(4_924_800), None];
    let mut blocks = vec![(BlockKind::Grid, grid)];
    for state in FACTOR_STATES {
        blocks.push((BlockKind::Systematic(state), grid));
        blocks.push((BlockKind::Idiosyncratic(state), grid));
    }
    if joint > 0 {
        blocks.push((BlockKind::Joint, joint));
        blocks.push((BlockKind::StressedJoint, joint));
    }
    let mut at = 0;
    let blocks: Vec<Block> = blocks
        .into_iter()
        .map(|(kind, n)| {
            at += n;
            Block { kind, purpose: Purpose::Both, columns: at - n..at }
        })
        .collect();
    let width = at;
    let mut draw = entries.iter().copied().cycle();
    let mut instruments = Vec::new();
    let mut pnl = Vec::new();
    for u in 0..underlyings {
        for (form, seconds) in forms.iter().zip(expiries) {
            let instrument: Instrument = format!("{}{form}", names[u]).parse().unwrap();
            let held = matches!(instrument.contract(), Contract::Option { .. } | Contract::Spot);
            let mark = if held { draw.next().unwrap().abs() % 5_000 } else { 0 };
            pnl.extend((0..width).map(|_| {
                let entry = draw.next().unwrap();
                if held { entry.max(-mark) } else { entry }
            }));
            instruments.push(InstrumentRow {
                instrument,
                underlying: UnderlyingIx(u32::try_from(u).unwrap()),
                lot: Decimal::new(1, 3),
                mark,
                notional: 100_000,
                greeks: GreekTicks {
                    delta: draw.next().unwrap() * 10,
                    vega: if held { draw.next().unwrap().abs() } else { 0 },
                    gamma: 3,
                    ..GreekTicks::default()
                },
                composite_delta: Ppb(draw.next().unwrap() * 1_000),
                seconds_to_expiry: seconds,
                funding_8h: if form.ends_with("PERPETUAL") { draw.next().unwrap() % 50 } else { 0 },
                reference: 1,
                open_interest: None,
            });
        }
    }
    let column = |i: usize| ScenarioColumn {
        label: format!("scenario {i}"),
        weight: Ppb::ONE,
        spot: (0..underlyings).map(|u| Ppb(entries[(i + u) % entries.len()] * 10_000)).collect(),
        pair: i,
    };
    let row = |u: usize| UnderlyingRow {
        asset: names[u].parse().unwrap(),
        index: 100_000_000,
        confidence: Ppb(2_000_000),
        price_scan: Ppb(160_000_000),
    };
    let price = |name: &str, price| AssetRow { asset: name.parse().unwrap(), price, confidence: Ppb::ZERO };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 1_000_000,
        underlyings: (0..underlyings).map(row).collect(),
        instruments,
        scenarios: (0..width).map(column).collect(),
        blocks,
        pnl,
        assets: vec![price("USD", 1_000_000), price("USDC", 970_000), price("BTC", 100_000_000)],
    }
}

pub(crate) fn portfolio_of(
    lots: &[i64],
    collateral: &[(&str, i128)],
    orders: &[(u32, i64, i64)],
) -> Portfolio {
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
    let order = |(i, lots, edge): &(u32, i64, i64)| Order {
        instrument: InstrumentIx(*i),
        lots: Lots(*lots),
        edge: Ticks(i128::from(*edge)),
    };
    Portfolio {
        account: "alice".parse().unwrap(),
        positions: lots.iter().enumerate().filter(|(_, l)| **l != 0).map(position).collect(),
        collateral: collateral.iter().map(holding).collect(),
        orders: orders.iter().map(order).collect(),
    }
}

prop_compose! {
    pub(crate) fn market()(underlyings in 1_usize..4, grid in 1_usize..6, joint in 1_usize..30,
        entries in prop::collection::vec(-20_000_i64..20_000, 50..400)) -> RiskArrays {
        arrays_of(underlyings, grid, joint, &entries)
    }
}

pub(crate) fn lots() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![Just(0_i64), -2_000_i64..2_000], 15)
}

pub(crate) fn cut(arrays: &RiskArrays, lots: &[i64]) -> Vec<i64> {
    lots[..arrays.instruments.len()].to_vec()
}
