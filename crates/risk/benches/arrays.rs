//! Risk arrays of 4,000 options on 16 underlyings: refreshed under 64 scenarios, and 10,000 joint scenarios by blocks.
//!
//! Each underlying has 5 expiries of 25 strikes, a call and a put each. Figures are per thread count and path.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_lanes::Path;
use plimsoll_market::{Slice, SliceQuality, Surface, UnderlyingSurface};
use plimsoll_quant::svi::Svi;
use plimsoll_risk::{Plan, ScenarioSet, ScenarioSpec, Sticky, generate};
use plimsoll_types::{Asset, Decimal, ForwardSource, Instrument, LotSize, Timestamp, UnderlyingIx, Units};
use std::collections::BTreeMap;
use std::hint::black_box;

const UNDERLYINGS: usize = 16;
const EXPIRIES: i64 = 5;
const STRIKES: u32 = 25;
/// Columns of a block of joint scenarios: a block of all rows is 8 MB.
const BLOCK: usize = 250;

const HEAD: &str = r#"
price_scan = { "*" = 0.15 }
vol_scan = { "*" = { up = 0.45, down = 0.3 } }
vol_shock = { kind = "relative", power_short = 0.3, power_long = 0.13, dte_floor = 1.0 }
"#;

const GRID: &str = r#"
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

const JOINT: &str = r#"
[[scenarios]]
kind = "monte_carlo"
purpose = "both"
paths = 10000
sampling = "antithetic"
seed = 7
nu = 4.0
horizon_days = 1.0
daily_vol = { "*" = 0.05 }
correlation = { "*" = 0.6 }
vol = { daily_vol = { "*" = 0.06 }, leverage = { "*" = -0.4 } }
"#;

fn now() -> Timestamp {
    "2026-01-01T08:00:00Z".parse().unwrap()
}

fn names() -> Vec<Asset> {
    (0..UNDERLYINGS).map(|i| format!("U{i:02}").parse().unwrap()).collect()
}

fn underlying(at: usize) -> UnderlyingSurface {
    let index = 100.0 * 1.5_f64.mul_add(at as f64, 1.0);
    let expiries: Vec<Timestamp> = (1..=EXPIRIES).map(|i| now().plus_seconds(86_400 * 14 * i)).collect();
    let slice = |expiry: &Timestamp| {
        let tau = now().years_until(*expiry);
        let svi = Svi { a: 0.2 * tau, b: 0.06 * tau.sqrt(), rho: -0.2, m: 0.0, sigma: 0.3 * tau.sqrt() };
        Slice { expiry: *expiry, tau, forward: index, svi, quality: SliceQuality::default() }
    };
    UnderlyingSurface {
        index,
        confidence: 0.0,
        forwards: expiries.iter().map(|e| (*e, index * 1.001, ForwardSource::Venue)).collect(),
        perpetuals: BTreeMap::new(),
        futures: BTreeMap::new(),
        slices: expiries.iter().map(slice).collect(),
        refused: vec![],
    }
}

fn surface() -> Surface {
    let underlyings = names().into_iter().enumerate().map(|(i, name)| (name, underlying(i))).collect();
    Surface { as_of: now(), underlyings, assets: BTreeMap::new(), issues: vec![] }
}

fn book(surface: &Surface) -> Vec<Instrument> {
    let mut all = Vec::new();
    for (asset, market) in &surface.underlyings {
        for (expiry, forward, _) in &market.forwards {
            let (year, month, day) = expiry.date();
            for i in 0..STRIKES {
                let strike = (forward * (0.5 + 0.04 * f64::from(i))).round();
                for side in ["C", "P"] {
                    let name = format!("{asset}_USDC-{}-{strike}-{side}", dated(year, month, day));
                    all.push(name.parse().unwrap());
                }
            }
        }
    }
    all
}

fn dated(year: i16, month: i8, day: i8) -> String {
    let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    format!("{day}{}{:02}", months[(month - 1) as usize], year - 2000)
}

fn set(scenarios: &str, sticky: Sticky) -> ScenarioSet {
    let spec = ScenarioSpec::from_toml(&format!("{HEAD}{scenarios}")).unwrap();
    let mut set = generate(&spec, &names(), &BTreeMap::new()).unwrap();
    set.vol_shock.sticky = sticky;
    set
}

fn units() -> Units {
    let lot = LotSize { base: Decimal::new(1, 3), quote: Decimal::ONE };
    Units { currency: "USD".parse().unwrap(), ticks_per_unit: 1_000_000, lot, lots: BTreeMap::new() }
}

fn threads(count: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap()
}

fn refresh(c: &mut Criterion) {
    let surface = surface();
    let book = book(&surface);
    let mut group = c.benchmark_group("W3 refresh 4000x64");
    group.sample_size(30).throughput(Throughput::Elements(4_000 * 64));
    for sticky in [Sticky::Moneyness, Sticky::Strike] {
        let plan = Plan::new(&book, &set(GRID, sticky), &units()).unwrap();
        assert_eq!((book.len(), plan.columns()), (4_000, 64));
        for path in Path::available() {
            for count in [1, 2] {
                let pool = threads(count);
                let mut arrays = plan.build(&surface, path).unwrap().arrays;
                group.bench_function(format!("{sticky:?}/{}/{count}", path.name()), |b| {
                    pool.install(|| {
                        b.iter(|| plan.refresh(black_box(&surface), &mut arrays, None, path).unwrap());
                    });
                });
            }
        }
    }
    let plan = Plan::new(&book, &set(GRID, Sticky::Moneyness), &units()).unwrap();
    let mut arrays = plan.build(&surface, Path::best()).unwrap().arrays;
    group.throughput(Throughput::Elements(250 * 64));
    group.bench_function("one underlying", |b| {
        let only = Some(UnderlyingIx(3));
        b.iter(|| plan.refresh(black_box(&surface), &mut arrays, only, Path::best()).unwrap());
    });
    group.finish();
}

fn joint(c: &mut Criterion) {
    let surface = surface();
    let book = book(&surface);
    let set = set(JOINT, Sticky::Moneyness);
    let mut group = c.benchmark_group("W7 reprice 4000x10000");
    group.sample_size(10).throughput(Throughput::Elements(4_000 * 10_000));
    group.bench_function("plan", |b| b.iter(|| Plan::new(&book, black_box(&set), &units()).unwrap()));
    let plan = Plan::new(&book, &set, &units()).unwrap();
    let mut block = vec![0; book.len() * BLOCK];
    for count in [1, 2] {
        let pool = threads(count);
        group.bench_function(format!("{}/{count}", Path::best().name()), |b| {
            pool.install(|| {
                b.iter(|| {
                    for start in (0..plan.columns()).step_by(BLOCK) {
                        plan.fill_block(&surface, start..start + BLOCK, &mut block, Path::best()).unwrap();
                        black_box(&block);
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, refresh, joint);
criterion_main!(benches);
