//! Lanes against the scalar reference ([`Resolved::value`], `quant::black`) on random markets, sets and instruments.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use crate::kernel::nearest;
use crate::set::{DeltaPoints, Move, Scenario, ScenarioBlock, ScenarioSet, SkewShock, Sticky, VolShock};
use crate::value::{Resolved, Terms, Valuation, valuation};
use crate::{Mode, VolShockKind, build};
use plimsoll_market::{PerpMark, Slice, SliceQuality, Surface, UnderlyingSurface};
use plimsoll_quant::black;
use plimsoll_quant::special::exp;
use plimsoll_quant::svi::Svi;
use plimsoll_types::{
    BlockKind, Decimal, ForwardSource, Instrument, LotSize, Purpose, Rounding, Timestamp, Units, quantise,
};
use std::collections::BTreeMap;

/// `splitmix64` (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn now() -> Timestamp {
    "2026-01-01T07:59:00Z".parse().unwrap()
}

const EXPIRIES: [&str; 7] = ["1JAN26", "2JAN26", "9JAN26", "30JAN26", "27FEB26", "26JUN26", "25DEC26"];

fn expiry_of(date: &str) -> Timestamp {
    format!("A-{date}").parse::<Instrument>().unwrap().expiry().unwrap()
}

fn market(r: &mut Random, name: &str) -> UnderlyingSurface {
    let index = exp(r.within(-3.0, 12.0));
    let carry = r.within(-0.1, 0.2);
    let forward = |e: &Timestamp| index * (1.0 + carry * now().years_until(*e));
    let expiries: Vec<Timestamp> = EXPIRIES.iter().map(|e| expiry_of(e)).collect();
    let level = r.within(0.05, 1.5);
    let (rho, b) = (r.within(-0.8, 0.8), r.within(0.0, 0.4));
    let slice = |e: &Timestamp| {
        let tau = now().years_until(*e);
        let sigma = 0.3 * tau.sqrt();
        Slice {
            expiry: *e,
            tau,
            forward: forward(e),
            svi: Svi { a: level * level * tau, b: b * tau.sqrt(), rho, m: 0.05, sigma },
            quality: SliceQuality::default(),
        }
    };
    let perpetual = |name: String, price: f64| {
        (name.parse().unwrap(), PerpMark { price, funding_8h: Some(1e-4), open_interest: Some(12_345.0) })
    };
    UnderlyingSurface {
        index,
        confidence: 0.001,
        forwards: expiries.iter().map(|e| (*e, forward(e), ForwardSource::Venue)).collect(),
        perpetuals: BTreeMap::from([
            perpetual(format!("{name}-PERPETUAL"), index * 1.002),
            perpetual(format!("{name}_USDC-PERPETUAL"), index * 0.998),
        ]),
        futures: BTreeMap::new(),
        // 9 January and 27 February lie between slices.
        slices: [0, 1, 3, 5, 6].iter().map(|i| slice(&expiries[*i])).collect(),
        refused: vec![],
    }
}

fn instruments(r: &mut Random, name: &str, market: &UnderlyingSurface) -> Vec<Instrument> {
    let mut names = vec![name.to_owned(), format!("{name}-PERPETUAL"), format!("{name}_USDC-PERPETUAL")];
    for (date, (_, forward, _)) in EXPIRIES.iter().zip(&market.forwards) {
        names.extend([format!("{name}-{date}"), format!("{name}_USDC-{date}")]);
        for _ in 0..20 {
            let wide = if r.bits().is_multiple_of(4) { 4.0 } else { 0.4 };
            let strike = forward * exp(r.within(-wide, wide));
            let digits = format!("{strike:.6}").trim_start_matches("0.").replace('.', "d");
            let digits = if strike < 1.0 { format!("0d{digits}") } else { digits };
            for side in ["C", "P"] {
                names.push(format!("{name}-{date}-{digits}-{side}"));
                names.push(format!("{name}_USDC-{date}-{digits}-{side}"));
            }
        }
    }
    let mut all: Vec<Instrument> = names.iter().map(|n| n.parse().unwrap()).collect();
    all.sort();
    all.dedup();
    all
}

fn random_move(r: &mut Random) -> Move {
    let (kind, size) = (r.bits() % 8, if r.bits().is_multiple_of(5) { 5.0 } else { 0.3 });
    let some = |n: u64, x: f64| if kind == n || kind == 7 { x } else { 0.0 };
    let spot = exp(r.within(-size, size)) - 1.0;
    Move {
        spot: if kind == 6 { 0.0 } else { spot },
        vol: r.within(-1.2, 1.2) * f64::from(u8::from(kind != 5)),
        skew: some(1, r.within(-2.0, 2.0)),
        wing: some(2, r.within(-2.0, 2.0)),
        term: some(3, r.within(-2.0, 2.0)),
        basis: some(4, r.within(-0.5, 0.5)),
        rate: some(4, r.within(-0.3, 0.3)),
        elapsed_days: if r.bits().is_multiple_of(3) { r.within(0.0, 40.0) } else { 0.0 },
    }
}

fn set(r: &mut Random, kind: VolShockKind, sticky: Sticky) -> ScenarioSet {
    let vol_shock = VolShock {
        kind,
        power_short: 0.3,
        power_long: 0.13,
        dte_floor: 1.0,
        min_vol_up: if r.bits().is_multiple_of(2) { 0.35 } else { 0.0 },
        skew: Some(SkewShock {
            cap_base: 0.25,
            cap_per_root_year: -0.1,
            k_min: 0.01,
            width: 4.0,
            k_static: 0.6,
            k_per_root_year: 0.1,
        }),
        sticky,
    };
    let mut scenarios: Vec<Scenario> = (0..61)
        .map(|at| Scenario {
            label: at.to_string(),
            weight: if r.bits().is_multiple_of(2) { 1.0 } else { r.within(0.01, 1.0) },
            moves: vec![random_move(r), random_move(r)],
            pair: at,
        })
        .collect();
    scenarios[7].moves = vec![Move::default(); 2];
    scenarios[20].moves = scenarios[3].moves.clone();
    ScenarioSet {
        underlyings: vec!["AAA".parse().unwrap(), "BBB".parse().unwrap()],
        price_scan: vec![0.15, 0.6],
        vol_shock,
        composite_delta: DeltaPoints {
            points: vec![0.0, 1.0 / 3.0, -1.0 / 3.0, 1.0, -1.0],
            weights: vec![0.27, 0.2, 0.2, 0.1, 0.1],
            elapsed_days: 1.0,
        },
        blocks: vec![ScenarioBlock { kind: BlockKind::Grid, purpose: Purpose::Both, scenarios }],
        notes: vec![],
    }
}

fn units(ticks_per_unit: i64, lot: Decimal) -> Units {
    let lot = LotSize { base: lot, quote: Decimal::ONE };
    Units { currency: "USD".parse().unwrap(), ticks_per_unit, lot, lots: BTreeMap::new() }
}

/// What an instrument's numbers may be off by, per unit: 1e-13 of forward and strike, the larger of both worlds.
fn slack(found: &Resolved<'_>, moved: f64) -> f64 {
    let strike = if let Terms::Option { strike, .. } = found.terms { strike } else { 0.0 };
    1e-13 * found.reference.max(moved).max(strike).max(found.market.index)
}

/// Mean of `dV/dF` over the price points, volatility of the option unchanged; 1 for anything but options.
fn composite_delta(found: &Resolved<'_>, valued: &Valuation, points: &DeltaPoints, price_scan: f64) -> f64 {
    let (Terms::Option { kind, strike, .. }, Some(vol)) = (found.terms, valued.vol) else {
        return 1.0;
    };
    let tau = (valued.tau - points.elapsed_days / 365.0).max(0.0);
    let (mut sum, mut weights) = (0.0, 0.0);
    for (point, weight) in points.points.iter().zip(&points.weights) {
        let forward = valued.forward * (1.0 + point * price_scan);
        sum += weight * black::greeks(kind, forward, strike, vol, tau).delta;
        weights += weight;
    }
    sum / weights
}

/// Compares every entry and every figure; the number of entries one tick apart.
fn compare(surface: &Surface, names: &[Instrument], set: &ScenarioSet, units: &Units) -> (usize, usize) {
    let built = build(surface, names, set, units, Mode::FullReprice).unwrap();
    assert_eq!(built.issues, vec![]);
    let (mut apart, mut cells) = (0, 0);
    for (at, row) in built.arrays.instruments.iter().enumerate() {
        let found = Resolved::find(surface, &row.instrument, &units.currency).unwrap();
        let valued = valuation(&found, &row.instrument, units).unwrap();
        let place = usize::from(row.instrument.underlying().as_str() == "BBB");
        let scale =
            units.lot(&row.instrument).to_string().parse::<f64>().unwrap() * units.ticks_per_unit as f64;
        for (column, scenario) in set.blocks[0].scenarios.iter().enumerate() {
            let to = found.shocked(&set.vol_shock, &scenario.moves[place]).unwrap();
            let exact = scenario.weight * ((found.value(&to).unwrap() - valued.mark) * scale);
            let entry = built.arrays.pnl[at * built.arrays.scenarios.len() + column];
            let coin = found.coin(&to).max(1.0) * to.discount.max(1.0);
            let off = (entry as f64 - exact).abs();
            let bound = slack(&found, to.forward) * coin * scale;
            assert!(
                off <= 0.5 + bound + 4e-16 * exact.abs(),
                "{} {:?}: {entry} {exact} off {off} bound {bound}",
                row.instrument,
                scenario.moves[place]
            );
            let tick = (entry - quantise(exact, Rounding::Nearest).unwrap()).abs();
            assert!(tick <= 1 || bound > 0.5, "{}: {entry} {exact}", row.instrument);
            apart += usize::from(tick != 0);
            cells += 1;
        }
        let still = &built.arrays.pnl[at * built.arrays.scenarios.len() + 7];
        assert_eq!(*still, 0, "{}: a move of nothing", row.instrument);
        let room = slack(&found, 0.0) * scale + 0.5;
        assert!((row.mark as f64 - valued.mark * scale).abs() <= room, "{} {}", row.instrument, row.mark);
        let g = &valued.greeks;
        let mean = composite_delta(&found, &valued, &set.composite_delta, set.price_scan[place]);
        assert!((row.composite_delta.0 as f64 - mean * 1e9).abs() < 0.501, "{}: {mean}", row.instrument);
        let figures = [
            (row.greeks.delta, g.delta),
            (row.greeks.gamma, g.gamma),
            (row.greeks.vega, g.vega),
            (row.greeks.theta, g.theta),
            (row.greeks.rho, g.rho),
            (row.greeks.vanna, g.vanna),
            (row.greeks.volga, g.volga),
            (row.notional, valued.notional),
        ];
        for (i, (got, expected)) in figures.into_iter().enumerate() {
            let expected = expected * scale;
            let off = (got as f64 - expected).abs();
            assert!(off <= 10.0 * room + 1e-9 * expected.abs(), "{} {i}: {got} {expected}", row.instrument);
        }
    }
    (apart, cells)
}

#[test]
fn lanes_are_within_a_tick_of_the_scalar_reference_and_within_1e_13_before_rounding() {
    let (mut apart, mut cells) = (0, 0);
    for seed in 0..12 {
        let mut r = Random(seed);
        let underlyings: BTreeMap<_, _> =
            ["AAA", "BBB"].iter().map(|name| (name.parse().unwrap(), market(&mut r, name))).collect();
        let surface = Surface { as_of: now(), underlyings, assets: BTreeMap::new(), issues: vec![] };
        let mut names = Vec::new();
        for (asset, market) in &surface.underlyings {
            names.extend(instruments(&mut r, asset.as_str(), market));
        }
        let kind = if seed % 3 == 2 { VolShockKind::Absolute } else { VolShockKind::Relative };
        let sticky = if seed % 2 == 1 { Sticky::Strike } else { Sticky::Moneyness };
        let set = set(&mut r, kind, sticky);
        let (a, n) = compare(&surface, &names, &set, &units(1_000_000, Decimal::new(1, 3)));
        (apart, cells) = (apart + a, cells + n);
        // Ticks so fine that the error before rounding is seen.
        compare(&surface, &names, &set, &units(1_000_000_000, Decimal::new(1, 1)));
    }
    assert!(apart * 10_000 < cells, "{apart} of {cells} entries are a tick apart");
}

#[test]
fn rounding_in_lanes_is_that_of_the_one_bridge() {
    let mut r = Random(1);
    let mut numbers = vec![0.0, -0.0, 0.5, 0.499_999_999_999_999_94, 2_251_799_813_685_247.5, 1.5, 2.5];
    for _ in 0..200_000 {
        let whole = (r.bits() >> (13 + r.bits() % 51)) as f64;
        numbers.extend([whole, whole + 0.5, (whole + 0.5).next_down(), (whole + 0.5).next_up()]);
        numbers.push(whole * r.within(0.0, 1.0));
    }
    for x in numbers.into_iter().filter(|x| *x < 2_251_799_813_685_248.0) {
        for x in [x, -x] {
            assert_eq!(Ok(nearest(x)), quantise(x, Rounding::Nearest), "{x:?}");
        }
    }
}
