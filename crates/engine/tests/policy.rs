//! What a policy moves arrives in margins: no knob loosens a book when it tightens, the shipped policy starts at its preset's
//! values, and what is said of a tenor, a moneyness or a tier binds there and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{AS_OF, BOOK, PLAIN, Row, desk_on};
use plimsoll_engine::{Adjusted, Asked, Bucketed, Desk, ParamSet};
use plimsoll_margin::evaluate;
use plimsoll_policy::{
    Bar, Knob, ParameterSpec, Place, Policy, PolicyFile, Scope, Signals, State, TargetSpec,
    UnderlyingSignals, step,
};
use plimsoll_risk::{Mode, build};
use plimsoll_types::{AccountId, Asset, Instrument, NANO, Ppb, RiskArrays};
use std::collections::{BTreeMap, BTreeSet};

/// Straight, hedged whole and in part, and with options both ways.
const BOOKS: [Row; 13] = [
    ("a-straight", "BTC-PERPETUAL", "650000"),
    ("a-straight", "ETH-PERPETUAL", "650000"),
    ("b-hedged", "BTC-PERPETUAL", "650000"),
    ("b-hedged", "ETH-PERPETUAL", "-650000"),
    ("c-part", "BTC-PERPETUAL", "650000"),
    ("c-part", "ETH-PERPETUAL", "-200000"),
    ("d-calls", "BTC-27MAR26-70000-C", "10"),
    ("d-calls", "ETH-27MAR26-2000-C", "-300"),
    ("e-strangles", "BTC-27MAR26-60000-P", "-5"),
    ("e-strangles", "BTC-27MAR26-75000-C", "-5"),
    ("e-strangles", "ETH-27MAR26-1800-P", "150"),
    ("e-strangles", "ETH-27MAR26-2100-C", "150"),
    ("f-mixed", "ETH-27MAR26-1800-P", "100"),
];

fn assets() -> [Asset; 2] {
    ["BTC", "ETH"].map(|name| name.parse().unwrap())
}

fn instruments(desk: &Desk) -> Vec<Instrument> {
    desk.arrays.instruments.iter().map(|row| row.instrument.clone()).collect()
}

fn base(desk: &Desk) -> Adjusted {
    Adjusted::new(&desk.params, &assets(), &BTreeMap::new()).unwrap()
}

fn arrays(desk: &Desk, adjusted: &Adjusted) -> RiskArrays {
    let (surface, units) = (&desk.market.surface, &desk.params.units);
    build(surface, &instruments(desk), &adjusted.scenarios, units, Mode::default()).unwrap().arrays
}

/// Initial and maintenance margin of every account.
fn margins(desk: &Desk, values: &dyn Fn(Knob, &Asset) -> Option<Ppb>) -> Vec<(AccountId, i128, i128)> {
    let mut adjusted = base(desk);
    adjusted.set(values);
    let arrays = arrays(desk, &adjusted);
    let one = |portfolio: plimsoll_types::Portfolio| {
        let report = evaluate(&portfolio, &arrays, &adjusted.margin).unwrap();
        (portfolio.account, report.im.0, report.mm.0)
    };
    desk.book.iter().map(one).collect()
}

fn ppb(x: f64) -> Ppb {
    Ppb::from_f64(x).unwrap()
}

#[test]
fn no_book_needs_less_when_the_correlation_adjuster_tightens() {
    let desk = desk_on("plimsoll", PLAIN, &BOOKS);
    let policy = Policy::shipped("plimsoll").unwrap();
    let adjuster = &policy.file().adjusters.as_ref().unwrap().by[&plimsoll_policy::Cause::Correlation];
    assert!(adjuster.on);
    let state = State::new(&policy, AS_OF.parse().unwrap()).unwrap();
    let at_start = |knob: Knob, asset: &Asset| {
        let place = Place { underlying: Some(asset.as_str()), ..Place::default() };
        policy.in_force(state.board(), knob, &place, AS_OF.parse().unwrap()).map(|found| found.initial)
    };
    let mut before = margins(&desk, &at_start);
    let (mut rose, first) = (0, before.clone());
    for factor in [1.05, 1.1, 1.15, 1.2, adjuster.slope.most] {
        let after = margins(&desk, &|knob, asset| {
            let value = at_start(knob, asset)?;
            Some(if adjuster.knobs.contains(&knob) { ppb(value.to_f64() * factor) } else { value })
        });
        for (old, new) in before.iter().zip(&after) {
            assert!(new.1 >= old.1 && new.2 >= old.2, "{factor}: {old:?} became {new:?}");
        }
        before = after;
    }
    for (old, new) in first.iter().zip(&before) {
        rose += usize::from(new.1 > old.1);
    }
    assert!(rose > 0, "a hedge saves less");
}

/// Every book of two perpetuals, whatever its sides and sizes, and books of options.
#[test]
fn what_moves_alone_never_makes_a_book_of_futures_cheaper_when_it_grows() {
    let mut rows: Vec<(String, &str, String)> = Vec::new();
    for (i, b) in
        [-900_000, -650_000, -400_000, -200_000, -50_000, 50_000, 200_000, 650_000].iter().enumerate()
    {
        rows.push((format!("p{i}"), "BTC-PERPETUAL", "650000".to_owned()));
        rows.push((format!("p{i}"), "ETH-PERPETUAL", b.to_string()));
    }
    let rows: Vec<Row> = rows
        .into_iter()
        .map(|(a, i, q)| (&*Box::leak(a.into_boxed_str()), i, &*Box::leak(q.into_boxed_str())))
        .collect();
    for (preset, own) in [("plimsoll", None), ("plimsoll", Some(0.0))] {
        let desk = desk_on(preset, PLAIN, &rows);
        let mut before = margins(&desk, &|knob, _| {
            if knob == Knob::FloorShare { own.map(|_| Ppb(NANO / 1000)) } else { None }
        });
        for i in 1..=20 {
            let value = ppb(0.05 + 0.9 * f64::from(i) / 20.0);
            let after = margins(&desk, &|knob, _| match knob {
                Knob::Idiosyncratic => Some(value),
                Knob::FloorShare => own.map(|_| Ppb(NANO / 1000)),
                _ => None,
            });
            for (old, new) in before.iter().zip(&after) {
                // One tick of rounding for each underlying.
                assert!(new.1 + 2 >= old.1 && new.2 + 2 >= old.2, "{value}: {old:?} became {new:?}");
            }
            before = after;
        }
    }
}

#[test]
fn the_shipped_policy_starts_at_the_values_of_its_preset() {
    let params = ParamSet::preset("plimsoll").unwrap();
    let assets: Vec<Asset> = ["BTC", "ETH", "SOL", "XRP"].map(|name| name.parse().unwrap()).to_vec();
    let mut adjusted = Adjusted::new(&params, &assets, &BTreeMap::new()).unwrap();
    let (scenarios, margin) = (adjusted.scenarios.clone(), adjusted.margin.clone());
    let policy = Policy::shipped("plimsoll").unwrap();
    let at = AS_OF.parse().unwrap();
    let mut state = State::new(&policy, at).unwrap();
    let bar = || UnderlyingSignals { bar: Some(Bar::at(100.0)), ..UnderlyingSignals::default() };
    let underlyings = assets.iter().map(|asset| (asset.as_str().to_owned(), bar())).collect();
    step(&policy, &mut state, &Signals { as_of: at, underlyings, ..Signals::default() }).unwrap();
    let mut spoken = BTreeSet::new();
    let value = |knob: Knob, asset: &Asset| {
        let place = Place { underlying: Some(asset.as_str()), ..Place::default() };
        policy.in_force(state.board(), knob, &place, at).map(|found| found.initial)
    };
    // Price and volatility scans are estimates: until there is one, 25, 45 and 30 % stand in for any underlying.
    let estimated = [Knob::PriceScanDown, Knob::PriceScanUp, Knob::VolScanUp, Knob::VolScanDown];
    for parameter in &policy.file().parameters {
        spoken.insert(parameter.knob);
    }
    adjusted.set(&|knob, asset| value(knob, asset).filter(|_| !estimated.contains(&knob)));
    // What is stated of an asset apart in the set, and of all in the policy, is the same in another form.
    for asset in &assets {
        let addons = (&adjusted.margin.addons, &margin.addons);
        assert_eq!(addons.0.liquidity.of(asset), addons.1.liquidity.of(asset), "{asset}");
        assert_eq!(addons.0.short_option.of(asset), addons.1.short_option.of(asset), "{asset}");
        assert_eq!(addons.0.expiry.of(asset), addons.1.expiry.of(asset), "{asset}");
        assert_eq!(addons.0.basis.of(asset), addons.1.basis.of(asset), "{asset}");
    }
    assert_eq!((adjusted.margin.im_scale, adjusted.margin.mm_scale), (margin.im_scale, margin.mm_scale));
    assert_eq!(adjusted.margin.aggregation, margin.aggregation);
    assert_eq!(adjusted.scenarios, scenarios);
    let tested = [
        Knob::SkewScan,
        Knob::TermScan,
        Knob::ImScale,
        Knob::MmScale,
        Knob::ShortOption,
        Knob::Expiry,
        Knob::Basis,
        Knob::Impact,
        Knob::Idiosyncratic,
        Knob::FloorShare,
        Knob::ImFraction,
    ];
    assert_eq!(spoken, tested.into_iter().chain(estimated).collect(), "a new knob needs its place here");
}

/// A policy that never moves, with one statement for everything and one for a scope.
fn stating(knob: Knob, scope: Scope, whole: f64, part: f64) -> Policy {
    let mut file: PolicyFile = Policy::shipped("plimsoll").unwrap().file().clone();
    let stated = |scope: Scope, value: f64| ParameterSpec {
        knob,
        scope,
        each_underlying: false,
        motion: "slow".to_owned(),
        target: TargetSpec::Stated { value: ppb(value) },
        buffer: None,
    };
    file.adjusters = None;
    file.parameters = vec![stated(Scope::default(), whole), stated(scope, part)];
    Policy::new(file).unwrap()
}

fn rows_of(desk: &Desk, policy: &Policy, tier: Option<&str>) -> BTreeMap<Instrument, Vec<i64>> {
    let at = AS_OF.parse().unwrap();
    let state = State::new(policy, at).unwrap();
    let bucketed = Bucketed::new(&base(desk), policy, state.board(), Asked { tier, maintenance: false, at });
    let (surface, units) = (&desk.market.surface, &desk.params.units);
    let built = bucketed.build(surface, &instruments(desk), units, Mode::default()).unwrap();
    built.arrays.check().unwrap();
    let columns = built.arrays.scenarios.len();
    let rows = built.arrays.instruments.iter().zip(built.arrays.pnl.chunks(columns));
    rows.map(|(row, pnl)| (row.instrument.clone(), pnl.to_vec())).collect()
}

#[test]
fn a_scan_of_a_tenor_or_moneyness_moves_the_instruments_of_that_bucket_and_no_others() {
    let desk = desk_on("plimsoll", PLAIN, &BOOK);
    // Edges: 7, 30, 90 days and 0.8, 0.95, 1.05, 1.25 of the forward; it is 5 February and the index is 65,000.
    let tenor = Scope { tenor: Some(0), ..Scope::default() };
    let money = Scope { moneyness: Some(2), ..Scope::default() };
    let both = Scope { tenor: Some(2), moneyness: Some(3), ..Scope::of("BTC") };
    let cases: [(Scope, &[&str]); 3] = [
        (tenor, &["BTC-6FEB26-65000-C", "BTC-6FEB26-67500-C"]),
        (money, &["BTC-26JUN26-65000-C", "BTC-6FEB26-65000-C", "BTC-6FEB26-67500-C"]),
        (both, &["BTC-27MAR26-70000-C", "BTC-27MAR26-75000-C", "BTC-27MAR26-80000-C"]),
    ];
    for (scope, inside) in cases {
        let plain = rows_of(&desk, &stating(Knob::VolScanUp, Scope::of("SOL"), 0.45, 0.45), None);
        let all = rows_of(&desk, &stating(Knob::VolScanUp, Scope::of("SOL"), 0.90, 0.90), None);
        let part = rows_of(&desk, &stating(Knob::VolScanUp, scope.clone(), 0.45, 0.90), None);
        let moved: BTreeSet<String> = part
            .iter()
            .filter(|(name, row)| plain[*name] != **row)
            .map(|(name, _)| name.to_string())
            .collect();
        let inside: BTreeSet<String> = inside.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(moved, inside, "{scope}");
        for (name, row) in &part {
            let expected = if moved.contains(&name.to_string()) { &all[name] } else { &plain[name] };
            assert_eq!(row, expected, "{name}");
        }
    }
}

#[test]
fn what_is_said_of_a_tier_binds_accounts_of_that_tier() {
    let desk = desk_on("plimsoll", PLAIN, &BOOK);
    let maker = Scope { tier: Some("maker".to_owned()), ..Scope::default() };
    let policy = stating(Knob::PriceScanDown, maker, 0.15, 0.30);
    let perpetual: Instrument = "BTC-PERPETUAL".parse().unwrap();
    let worst = |tier| rows_of(&desk, &policy, tier)[&perpetual].iter().copied().min().unwrap();
    assert_eq!(worst(None), worst(Some("standard")));
    assert!((worst(Some("maker")) as f64 / worst(None) as f64 - 2.0).abs() < 1e-3);
    let maker = Scope { tier: Some("maker".to_owned()), ..Scope::of("BTC") };
    let policy = stating(Knob::ShortOption, maker, 0.01, 0.02);
    let at = AS_OF.parse().unwrap();
    let state = State::new(&policy, at).unwrap();
    let rate = |tier, asset: usize| {
        let asked = Asked { tier, maintenance: false, at };
        let bucketed = Bucketed::new(&base(&desk), &policy, state.board(), asked);
        bucketed.whole().margin.addons.short_option.of(&assets()[asset]).unwrap().rate
    };
    assert_eq!((rate(None, 0), rate(Some("maker"), 0)), (ppb(0.01), ppb(0.02)));
    assert_eq!(rate(Some("maker"), 1), ppb(0.01));
}
