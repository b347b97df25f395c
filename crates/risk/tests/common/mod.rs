//! A small market made by hand, and readers of units and names.
#![allow(dead_code, reason = "each test file uses its own part")]

use plimsoll_market::{PerpMark, Slice, SliceQuality, Surface, UnderlyingSurface};
use plimsoll_quant::svi::Svi;
use plimsoll_risk::{ReturnSeries, ScenarioSet, ScenarioSpec, generate};
use plimsoll_types::{Asset, Decimal, ForwardSource, Instrument, LotSize, Timestamp, Units};
use std::collections::BTreeMap;

pub(crate) fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

pub(crate) fn instrument(name: &str) -> Instrument {
    name.parse().unwrap()
}

pub(crate) fn instruments(names: &[&str]) -> Vec<Instrument> {
    names.iter().map(|name| instrument(name)).collect()
}

pub(crate) fn now() -> Timestamp {
    "2026-01-01T08:00:00Z".parse().unwrap()
}

pub(crate) fn units() -> Units {
    let lot = LotSize { base: Decimal::new(1, 3), quote: Decimal::ONE };
    Units { currency: asset("USD"), ticks_per_unit: 1_000_000, lot, lots: BTreeMap::new() }
}

fn underlying(name: &str, index: f64, carry: f64) -> UnderlyingSurface {
    let expiries = ["2026-01-02T08:00:00Z", "2026-01-30T08:00:00Z", "2026-06-26T08:00:00Z"];
    let expiries: Vec<Timestamp> = expiries.iter().map(|e| e.parse().unwrap()).collect();
    let forward = |e: &Timestamp| index * (1.0 + carry * now().years_until(*e));
    let slice = |e: &Timestamp| {
        let tau = now().years_until(*e);
        let svi =
            Svi { a: 0.18 * tau, b: 0.12 * tau.sqrt() * 0.5, rho: -0.25, m: 0.01, sigma: 0.3 * tau.sqrt() };
        Slice { expiry: *e, tau, forward: forward(e), svi, quality: SliceQuality::default() }
    };
    let perpetual = |name: String| {
        (instrument(&name), PerpMark { price: index * 1.001, funding_8h: Some(1e-4), open_interest: None })
    };
    UnderlyingSurface {
        index,
        confidence: 0.0005,
        forwards: expiries.iter().map(|e| (*e, forward(e), ForwardSource::Venue)).collect(),
        perpetuals: BTreeMap::from([
            perpetual(format!("{name}-PERPETUAL")),
            perpetual(format!("{name}_USDC-PERPETUAL")),
        ]),
        futures: BTreeMap::new(),
        slices: expiries.iter().map(slice).collect(),
        refused: vec![],
    }
}

pub(crate) fn surface() -> Surface {
    let btc = (asset("BTC"), underlying("BTC", 90_000.0, 0.05));
    let eth = (asset("ETH"), underlying("ETH", 3_000.0, 0.03));
    Surface {
        as_of: now(),
        underlyings: BTreeMap::from([btc, eth]),
        assets: BTreeMap::from([(asset("USDC"), (0.9997, 0.0001)), (asset("STETH"), (2_991.5, 0.001))]),
        issues: vec![],
    }
}

pub(crate) const HEAD: &str = r#"
price_scan = { BTC = 0.15, "*" = 0.18 }
vol_scan = { "*" = { up = 0.45, down = 0.3 } }
[vol_shock]
kind = "relative"
power_short = 0.3
power_long = 0.13
dte_floor = 1.0
min_vol_up = 0.3
[vol_shock.skew]
cap_base = 0.25
cap_per_root_year = -0.1
k_min = 0.01
width = 4.0
k_static = 0.6
k_per_root_year = 0.0
"#;

pub(crate) const EVERY_SHOCK: &str = r#"
[[scenarios]]
kind = "grid"
purpose = "both"
[[scenarios.points]]
price = [-1, "-2/3", "-1/3", 0, "1/3", "2/3", 1]
vol = ["up", "none", "down"]
weight = 1
[[scenarios.points]]
price = [2, -2]
vol = ["none"]
weight = 0.35
[[scenarios.points]]
price = [-0.66, 0.5, 5.0]
unit = "relative"
vol = ["up"]
weight = [0.2, 0.25, 0.03]
[[scenarios.points]]
price = [0]
vol = ["none"]
weight = 1
skew = 1.0
[[scenarios.points]]
price = [0]
vol = ["none"]
weight = 1
wing = -1.5
[[scenarios.points]]
price = [-1, 1]
vol = ["up", "down"]
weight = 1
term = 0.4
basis = -0.3
rate = 0.02
elapsed_days = 2.0
[[scenarios]]
kind = "factor"
purpose = "both"
loading = { BTC = 0.9, "*" = -0.6 }
states = ["estimated", "crash", "breakdown"]
[[scenarios.points]]
price = [-1, 0, 1]
vol = ["up", "none", "down"]
weight = 1
[[scenarios]]
kind = "monte_carlo"
purpose = "im"
paths = 32
sampling = "sobol"
seed = 3
nu = 4
horizon_days = 3
daily_vol = { "*" = 0.05 }
correlation = { "*" = 0.7 }
vol = { daily_vol = { "*" = 0.08 }, leverage = { "*" = -0.5 } }
"#;

pub(crate) fn set_of(
    scenarios: &str,
    underlyings: &[&str],
    series: &BTreeMap<String, ReturnSeries>,
) -> ScenarioSet {
    let spec = ScenarioSpec::from_toml(&format!("{HEAD}{scenarios}")).unwrap();
    let underlyings: Vec<Asset> = underlyings.iter().map(|u| asset(u)).collect();
    generate(&spec, &underlyings, series).unwrap()
}

pub(crate) fn every_shock() -> ScenarioSet {
    set_of(EVERY_SHOCK, &["BTC", "ETH"], &BTreeMap::new())
}

pub(crate) fn book() -> Vec<Instrument> {
    let mut names = vec![];
    for (u, strikes) in
        [("BTC", [40_000, 80_000, 90_000, 105_000, 200_000]), ("ETH", [1_200, 2_700, 3_000, 3_600, 7_000])]
    {
        names.extend([u.to_owned(), format!("{u}-PERPETUAL"), format!("{u}_USDC-PERPETUAL")]);
        for expiry in ["2JAN26", "30JAN26", "27MAR26", "26JUN26"] {
            names.extend([format!("{u}-{expiry}"), format!("{u}_USDC-{expiry}")]);
            for strike in strikes {
                for kind in ["C", "P"] {
                    names.push(format!("{u}-{expiry}-{strike}-{kind}"));
                    names.push(format!("{u}_USDC-{expiry}-{strike}-{kind}"));
                }
            }
        }
    }
    names.iter().map(|name| instrument(name)).collect()
}
