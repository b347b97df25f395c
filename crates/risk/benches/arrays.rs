//! Risk arrays of 4,000 options (100 strikes, 20 expiries, calls and puts) under 64 scenarios.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]

use criterion::{Criterion, criterion_group, criterion_main};
use plimsoll_market::{Slice, SliceQuality, Surface, UnderlyingSurface};
use plimsoll_quant::svi::Svi;
use plimsoll_risk::{Mode, ScenarioSet, ScenarioSpec, build, generate};
use plimsoll_types::{Asset, Decimal, ForwardSource, Instrument, LotSize, Timestamp, Units};
use std::collections::BTreeMap;
use std::hint::black_box;

const SPEC: &str = r#"
price_scan = { "*" = 0.15 }
vol_scan = { "*" = { up = 0.45, down = 0.3 } }
vol_shock = { kind = "relative", power_short = 0.3, power_long = 0.13, dte_floor = 1.0 }
[[scenarios]]
kind = "grid"
purpose = "both"
[[scenarios.points]]
price = [-1, "-9/10", "-4/5", "-7/10", "-3/5", "-1/2", "-2/5", "-3/10", "-1/5", "-1/10",
    0, "1/10", "1/5", "3/10", "2/5", "1/2", "3/5", "7/10", "4/5", "9/10", 1]
vol = ["up", "none", "down"]
weight = 1
[[scenarios.points]]
price = [-2]
vol = ["none"]
weight = 0.35
"#;

fn surface(now: Timestamp) -> (Surface, Vec<Timestamp>) {
    let expiries: Vec<Timestamp> = (1..=20).map(|i| now.plus_seconds(86_400 * 14 * i)).collect();
    let slice = |expiry: &Timestamp| {
        let tau = now.years_until(*expiry);
        let svi = Svi { a: 0.2 * tau, b: 0.06 * tau.sqrt(), rho: -0.2, m: 0.0, sigma: 0.3 * tau.sqrt() };
        Slice { expiry: *expiry, tau, forward: 90_000.0, svi, quality: SliceQuality::default() }
    };
    let market = UnderlyingSurface {
        index: 90_000.0,
        confidence: 0.0,
        forwards: expiries.iter().map(|e| (*e, 90_000.0, ForwardSource::Venue)).collect(),
        perpetuals: BTreeMap::new(),
        futures: BTreeMap::new(),
        slices: expiries.iter().map(slice).collect(),
        refused: vec![],
    };
    let underlyings = BTreeMap::from([("BTC".parse().unwrap(), market)]);
    (Surface { as_of: now, underlyings, assets: BTreeMap::new(), issues: vec![] }, expiries)
}

fn book(expiries: &[Timestamp]) -> Vec<Instrument> {
    let strikes: Vec<u32> = (1..=100).map(|i| 20_000 + 2_000 * i).collect();
    let mut all = Vec::new();
    for expiry in expiries {
        let (year, month, day) = expiry.date();
        for strike in &strikes {
            for side in ["C", "P"] {
                all.push(format!("BTC-{year:04}{month:02}{day:02}-{strike}-{side}").parse().unwrap());
            }
        }
    }
    all
}

fn arrays(c: &mut Criterion) {
    let now: Timestamp = "2026-01-01T08:00:00Z".parse().unwrap();
    let (surface, expiries) = surface(now);
    let book = book(&expiries);
    let underlyings: Vec<Asset> = vec!["BTC".parse().unwrap()];
    let spec = ScenarioSpec::from_toml(SPEC).unwrap();
    let set: ScenarioSet = generate(&spec, &underlyings, &BTreeMap::new()).unwrap();
    assert_eq!((book.len(), set.columns()), (4_000, 64));
    let lot = LotSize { base: Decimal::new(1, 3), quote: Decimal::ONE };
    let units =
        Units { currency: "USD".parse().unwrap(), ticks_per_unit: 1_000_000, lot, lots: BTreeMap::new() };
    let mut group = c.benchmark_group("arrays 4000x64");
    group.sample_size(10);
    for mode in [Mode::FullReprice, Mode::DeltaGammaVegaUnchecked] {
        group.bench_function(format!("{mode:?}"), |b| {
            b.iter(|| build(black_box(&surface), &book, &set, &units, mode).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, arrays);
criterion_main!(benches);
