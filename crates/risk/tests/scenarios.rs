//! Scenario sets: what each kind spells out, what is refused, and what the random and the past ones look like.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

mod common;

use common::{EVERY_SHOCK, HEAD, asset, set_of};
use plimsoll_quant::stats::{correlation, variance};
use plimsoll_risk::{Note, ReturnSeries, ScenarioSet, ScenarioSpec, SpecError, generate};
use plimsoll_types::{BlockKind, CorrelationState, Purpose, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn none() -> BTreeMap<String, ReturnSeries> {
    BTreeMap::new()
}

fn named(series: ReturnSeries) -> BTreeMap<String, ReturnSeries> {
    BTreeMap::from([("s".to_owned(), series)])
}

fn hourly(underlyings: &[&str], spot: Vec<Vec<f64>>, vol: Option<Vec<Vec<f64>>>) -> ReturnSeries {
    let first = Timestamp::from_seconds(1_600_000_000);
    let times = (0_i64..).map(|t| first.plus_seconds(3600 * t)).take(spot.len()).collect();
    ReturnSeries { underlyings: underlyings.iter().map(|u| asset(u)).collect(), times, spot, vol }
}

fn moves(set: &ScenarioSet, block: usize, u: usize) -> Vec<f64> {
    set.blocks[block].scenarios.iter().map(|s| s.moves[u].spot).collect()
}

/// The field a specification is refused for.
fn refused(scenarios: &str) -> (String, String) {
    match ScenarioSpec::from_toml(&format!("{HEAD}{scenarios}")) {
        Err(SpecError::Value { field, value, .. }) => (field, value),
        other => panic!("{other:?}"),
    }
}

const MC: &str = r#"
[[scenarios]]
kind = "monte_carlo"
purpose = "both"
paths = 16384
sampling = "sobol"
seed = 11
nu = 4.0
horizon_days = 4.0
daily_vol = { BTC = 0.02, ETH = 0.03 }
correlation = { "ETH/BTC" = 0.8 }
vol = { daily_vol = { "*" = 0.05 }, leverage = { BTC = -0.6, ETH = 0.0 } }
"#;

#[test]
fn a_specification_survives_being_written_and_read() {
    for scenarios in [EVERY_SHOCK, MC] {
        let spec = ScenarioSpec::from_toml(&format!("{HEAD}{scenarios}")).unwrap();
        let text = toml::to_string(&spec).unwrap();
        assert_eq!(ScenarioSpec::from_toml(&text).unwrap(), spec, "{text}");
    }
}

#[test]
fn deribits_matrix_is_nine_prices_by_three_vols_with_vol_fastest() {
    let text = "[[scenarios]]\nkind = 'grid'\npurpose = 'im'\n[[scenarios.points]]\n\
        price = [-1, '-3/4', '-1/2', '-1/4', 0, '1/4', '1/2', '3/4', 1]\nvol = ['up', 'none', 'down']\nweight = 1";
    let set = set_of(text, &["BTC", "ETH"], &none());
    assert_eq!(
        (set.columns(), set.blocks[0].kind, set.blocks[0].purpose),
        (27, BlockKind::Grid, Purpose::Im)
    );
    let third = &set.blocks[0].scenarios[3];
    assert!((third.moves[0].spot + 0.1125).abs() < 1e-15 && (third.moves[1].spot + 0.135).abs() < 1e-15);
    assert_eq!(third.moves[0].vol, 0.45);
    let pairs: Vec<usize> = set.blocks[0].scenarios[..6].iter().map(|s| s.pair).collect();
    assert_eq!(pairs, [2, 1, 0, 5, 4, 3]);
}

#[test]
fn factor_blocks_load_the_factor_and_leave_the_rest() {
    let text = "[[scenarios]]\nkind = 'factor'\npurpose = 'both'\nloading = { BTC = 0.8, ETH = -0.6 }\n\
        states = ['estimated', 'crash', 'breakdown']\nbreakdown = -0.5\n[[scenarios.points]]\nprice = [-1, 0, 1]\nvol = ['up', 'none', 'down']\nweight = 1";
    let set = set_of(text, &["BTC", "ETH"], &none());
    use BlockKind::{Idiosyncratic, Systematic};
    use CorrelationState::{Breakdown, Crash, Estimated};
    let kinds: Vec<BlockKind> = set.blocks.iter().map(|b| b.kind).collect();
    assert_eq!(
        kinds,
        [
            Systematic(Estimated),
            Idiosyncratic(Estimated),
            Systematic(Crash),
            Idiosyncratic(Crash),
            Systematic(Breakdown),
            Idiosyncratic(Breakdown)
        ]
    );
    let first = |block: usize| {
        let m = &set.blocks[block].scenarios[0].moves;
        [m[0].spot, m[1].spot]
    };
    let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs() < 1e-15 && (a[1] - b[1]).abs() < 1e-15;
    assert!(near(first(0), [-0.12, 0.108]));
    assert!(near(first(1), [-0.09, -0.144]));
    assert!(near(first(2), [-0.15, 0.18]));
    assert!(near(first(4), [0.06, -0.054]), "a negative breakdown turns the common move around");
    assert_eq!((set.blocks[1].scenarios.len(), set.blocks[3].scenarios.len()), (9, 1));
    // Volatility is shared out like price, with the size of the loading: 0.45 up, 0.3 down.
    let vol = |block: usize, column: usize| {
        let m = &set.blocks[block].scenarios[column].moves;
        [m[0].vol, m[1].vol]
    };
    assert!(near(vol(0, 0), [0.36, 0.27]) && near(vol(0, 2), [-0.24, -0.18]));
    assert!(near(vol(1, 0), [0.27, 0.36]) && near(vol(1, 2), [-0.18, -0.24]));
    assert!(near(vol(2, 0), [0.45, 0.45]) && near(vol(2, 2), [-0.3, -0.3]));
    assert!(near(vol(4, 0), [0.18, 0.135]), "half the loading, whatever its sign");
    assert_eq!((vol(0, 1), vol(1, 1), vol(3, 0)), ([0.0; 2], [0.0; 2], [0.0; 2]));
    assert_eq!(set.blocks[3].scenarios[0].moves, vec![plimsoll_risk::Move::default(); 2]);
    assert_eq!(set.blocks[1].scenarios[0].pair, 2);
    // What the factor explains and what it leaves add up in variance.
    for u in 0..2 {
        let (f, rest) = (first(0)[u], first(1)[u]);
        assert!((f * f + rest * rest - set.price_scan[u] * set.price_scan[u]).abs() < 1e-15);
        let (f, rest) = (vol(4, 0)[u], vol(5, 0)[u]);
        assert!((f * f + rest * rest - 0.45 * 0.45).abs() < 1e-15);
    }
}

#[test]
fn smile_and_term_moves_of_a_factor_are_shared_out_and_time_is_not() {
    let text = "[[scenarios]]\nkind = 'factor'\npurpose = 'both'\nloading = { BTC = 0.8, ETH = -0.6 }\n\
        states = ['estimated', 'crash']\n[[scenarios.points]]\nprice = [0]\nvol = ['none']\nweight = 1\n\
        skew = 1.0\nwing = -0.5\nterm = 0.2\nbasis = 0.05\nrate = 0.01\nelapsed_days = 1";
    let set = set_of(text, &["BTC", "ETH"], &none());
    let full = plimsoll_risk::Move {
        skew: 1.0,
        wing: -0.5,
        term: 0.2,
        basis: 0.05,
        rate: 0.01,
        elapsed_days: 1.0,
        ..plimsoll_risk::Move::default()
    };
    let of = |block: usize, u: usize| set.blocks[block].scenarios[0].moves[u];
    for (block, u, share) in [(0, 0, 0.8), (0, 1, 0.6), (1, 0, 0.6), (1, 1, 0.8), (2, 0, 1.0), (2, 1, 1.0)] {
        let m = of(block, u);
        for (got, want) in [(m.skew, full.skew), (m.wing, full.wing), (m.term, full.term)] {
            assert!((got - share * want).abs() < 1e-15, "block {block}: {got}");
        }
        assert_eq!((m.spot, m.vol), (0.0, 0.0));
        assert_eq!((m.basis, m.rate, m.elapsed_days), (full.basis, full.rate, full.elapsed_days));
    }
}

#[test]
fn a_correlation_state_stated_twice_for_a_requirement_is_refused_and_both_entries_are_named() {
    let entry = |purpose: &str, states: &str| {
        format!(
            "[[scenarios]]\nkind = 'factor'\npurpose = '{purpose}'\nloading = {{ '*' = 0.9 }}\nstates = [{states}]\n\
            [[scenarios.points]]\nprice = [-1, 1]\nvol = ['up']\nweight = 1\n"
        )
    };
    let grid = "[[scenarios]]\nkind = 'grid'\npurpose = 'im'\n[[scenarios.points]]\nprice = [1]\nvol = ['up']\nweight = 1\n";
    for (one, other) in [("both", "im"), ("mm", "both"), ("im", "im"), ("both", "both")] {
        let text = entry(one, "'crash'") + grid + &entry(other, "'estimated', 'crash'");
        let (field, value) = refused(&text);
        assert_eq!(field, "scenarios[2].states");
        assert!(value.starts_with("Crash for ") && value.contains("scenarios[0]"), "{value}");
    }
    for (one, other) in [("im", "mm"), ("mm", "im")] {
        let text = entry(one, "'crash'") + &entry(other, "'crash'");
        assert!(ScenarioSpec::from_toml(&format!("{HEAD}{text}")).is_ok());
    }
    let apart = entry("both", "'crash'") + &entry("both", "'estimated', 'breakdown'");
    assert!(ScenarioSpec::from_toml(&format!("{HEAD}{apart}")).is_ok());
}

#[test]
fn each_wrong_value_is_refused_with_its_field() {
    let grid = |points: &str| {
        format!("[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\n{points}")
    };
    let good = "price = [0]\nvol = ['none']\nweight = 1\n";
    let field = |text: &str| refused(text).0;
    let at = "scenarios[0].points[0].";
    for (points, name) in [
        (good.replace("[0]", "[]"), "price"),
        (good.replace("[0]", "[nan]"), "price"),
        (good.replace("[0]", "[-7]"), "price"),
        (good.replace("= 1", "= 0"), "weight"),
        (good.replace("= 1", "= 1.01"), "weight"),
        (good.replace("= 1", "= [1, 1]"), "weight"),
        (format!("{good}elapsed_days = -1"), "elapsed_days"),
        (format!("{good}rate = inf"), "rate"),
        (good.replace("[0]", "['1/3']") + "skew = 1", "price"),
        (good.replace("['none']", "[]"), "vol"),
    ] {
        assert_eq!(field(&grid(&points)), format!("{at}{name}"), "{points}");
    }
    for (from, to, name) in [
        ("nu = 4.0", "nu = 2.0", "nu"),
        ("paths = 16384", "paths = 0", "paths"),
        ("\"ETH/BTC\" = 0.8", "\"ETH/BTC\" = 1.2", "correlation.\"ETH/BTC\""),
        ("\"ETH/BTC\" = 0.8", "\"ETH-BTC\" = 0.2", "correlation"),
        ("BTC = -0.6", "BTC = -1.6", "vol.leverage.BTC"),
        ("horizon_days = 4.0", "horizon_days = 0", "horizon_days"),
        ("{ BTC = 0.02, ETH = 0.03 }", "{ btc = 0.02 }", "daily_vol"),
    ] {
        assert_eq!(field(&MC.replace(from, to)), format!("scenarios[0].{name}"));
    }
    let head =
        |from: &str, to: &str| ScenarioSpec::from_toml(&format!("{HEAD}{}", grid(good)).replace(from, to));
    let of = |r: Result<_, SpecError>| match r {
        Err(SpecError::Value { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(of(head("BTC = 0.15", "BTC = 1.5")), "price_scan.BTC");
    assert_eq!(of(head("BTC = 0.15", "BTC = 0.0")), "price_scan.BTC");
    assert_eq!(of(head("dte_floor = 1.0", "dte_floor = 0.0")), "vol_shock.dte_floor");
    assert_eq!(of(head("kind = \"relative\"", "kind = \"absolute\"")), "vol_shock.min_vol_up");
    assert!(matches!(head("min_vol_up", "min_vol"), Err(SpecError::Toml(_))), "unknown field");
    assert!(matches!(head("price = [0]", "price = ['1/0']"), Err(SpecError::Toml(_))));
    assert!(
        matches!(head("weight = 1", "weight = 1\nwieght = 2"), Err(SpecError::Toml(_))),
        "nested unknown field"
    );
    assert!(ScenarioSpec::from_toml("").is_err());
}

#[test]
fn an_underlying_nobody_speaks_of_is_refused_and_never_defaulted() {
    let text = format!("{HEAD}{MC}");
    let spec = ScenarioSpec::from_toml(&text).unwrap();
    let refused = generate(&spec, &[asset("BTC"), asset("SOL")], &none());
    assert!(
        matches!(&refused, Err(SpecError::MissingUnderlying { field, underlying })
            if field == "scenarios[0].daily_vol" && underlying.as_str() == "SOL"),
        "{refused:?}"
    );
    let spec = ScenarioSpec::from_toml(&text.replace("\"*\" = 0.18", "ETH = 0.18")).unwrap();
    let refused = generate(&spec, &[asset("SOL")], &none());
    assert!(matches!(refused, Err(SpecError::MissingUnderlying { field, .. }) if field == "price_scan"));
}

#[test]
fn monte_carlo_has_the_covariance_the_leverage_and_the_tail_asked_for() {
    for sampling in ["sobol", "antithetic"] {
        let set = set_of(&MC.replace("\"sobol\"", &format!("\"{sampling}\"")), &["BTC", "ETH"], &none());
        let log = |u: usize| -> Vec<f64> { moves(&set, 0, u).iter().map(|s| s.ln_1p_exact()).collect() };
        let (btc, eth) = (log(0), log(1));
        let vol: Vec<f64> = set.blocks[0].scenarios.iter().map(|s| s.moves[0].vol.ln_1p_exact()).collect();
        // Unit-variance t with 4 degrees of freedom has no fourth moment: the sample variance converges slowly.
        let slack = if sampling == "sobol" { 0.06 } else { 0.15 };
        assert!((variance(&btc).unwrap().sqrt() / 0.04 - 1.0).abs() < slack, "{sampling}");
        assert!((variance(&eth).unwrap().sqrt() / 0.06 - 1.0).abs() < slack, "{sampling}");
        assert!((correlation(&btc, &eth).unwrap() - 0.8).abs() < 0.03, "{sampling}");
        assert!((correlation(&btc, &vol).unwrap() + 0.6).abs() < 0.04, "{sampling}");
        // scipy.stats.t.ppf(0.01, 4) x sqrt(1/2) = -2.649491906789312
        let mut sorted = btc.clone();
        sorted.sort_by(f64::total_cmp);
        let tail = sorted[163] / 0.04;
        assert!((tail / -2.649_491_906_789_312 - 1.0).abs() < 0.06, "{sampling}: {tail}");
        let half = sorted[8192] / 0.04;
        assert!(half.abs() < 0.03, "{sampling}: {half}");
    }
}

/// `ln(1 + x)` without the platform's library.
trait Ln1p {
    fn ln_1p_exact(&self) -> f64;
}

impl Ln1p for f64 {
    fn ln_1p_exact(&self) -> f64 {
        plimsoll_quant::special::ln_1p(*self)
    }
}

#[test]
fn monte_carlo_is_a_function_of_its_seed() {
    for sampling in ["sobol", "antithetic"] {
        let text = MC.replace("\"sobol\"", &format!("\"{sampling}\"")).replace("16384", "64");
        let one = set_of(&text, &["BTC", "ETH"], &none());
        assert_eq!(one, set_of(&text, &["BTC", "ETH"], &none()));
        let other = set_of(&text.replace("seed = 11", "seed = 12"), &["BTC", "ETH"], &none());
        assert_ne!(moves(&one, 0, 0), moves(&other, 0, 0));
    }
}

#[test]
fn antithetic_paths_come_in_mirrored_pairs() {
    let text = MC.replace("\"sobol\"", "\"antithetic\"").replace("16384", "64");
    let set = set_of(&text, &["BTC", "ETH"], &none());
    for pair in moves(&set, 0, 1).chunks(2) {
        let sum = pair[0].ln_1p_exact() + pair[1].ln_1p_exact();
        assert!(sum.abs() < 1e-12, "{pair:?}");
    }
}

#[test]
fn a_broken_correlation_is_repaired_and_the_repair_is_said() {
    let text = MC
        .replace("16384", "8192")
        .replace("\"ETH/BTC\" = 0.8", "\"BTC/ETH\" = 0.9, \"ETH/SOL\" = 0.9, \"SOL/BTC\" = -0.9")
        .replace("ETH = 0.03", "\"*\" = 0.03")
        .replace("ETH = 0.0", "\"*\" = 0.0");
    let set = set_of(&text, &["BTC", "ETH", "SOL"], &none());
    let [Note::CorrelationRepaired { entry: 0, distance }] = set.notes[..] else { panic!("{:?}", set.notes) };
    // By symmetry the nearest one has off-diagonals 1/2, 1/2, -1/2: each of the six entries moved by 0.4.
    assert!((distance - 0.4 * 6f64.sqrt()).abs() < 1e-9, "{distance}");
    let log = |u: usize| -> Vec<f64> { moves(&set, 0, u).iter().map(|s| s.ln_1p_exact()).collect() };
    assert!((correlation(&log(0), &log(1)).unwrap() - 0.5).abs() < 0.05);
    assert!((correlation(&log(0), &log(2)).unwrap() + 0.5).abs() < 0.05);
}

#[test]
fn more_underlyings_than_sobol_has_dimensions_is_refused() {
    let names: Vec<String> = (0..40).map(|i| format!("A{i}")).collect();
    let names: Vec<_> = names.iter().map(|n| asset(n)).collect();
    let text = EVERY_SHOCK.replace("BTC = 0.9, ", "");
    let spec = ScenarioSpec::from_toml(&format!("{HEAD}{text}")).unwrap();
    let refused = generate(&spec, &names, &none());
    assert!(matches!(refused, Err(SpecError::Value { field, .. }) if field == "scenarios[2].sampling"));
}

const PAST: &str =
    "[[scenarios]]\nkind = 'historical'\npurpose = 'both'\nseries = 's'\nhorizon = 3\nstep = 2\n";

#[test]
fn windows_are_laid_from_the_latest_backwards_and_returns_compound() {
    let rows: Vec<Vec<f64>> = (1..=8).map(|t| vec![0.01 * f64::from(t), -0.02 * f64::from(t)]).collect();
    let set = set_of(PAST, &["ETH", "BTC"], &named(hourly(&["BTC", "ETH"], rows.clone(), Some(rows))));
    let spot = moves(&set, 0, 1);
    let expected = [0.09, 0.15, 0.21].map(|x: f64| plimsoll_quant::special::exp_m1(x));
    assert_eq!(spot.len(), 3);
    for (got, want) in spot.iter().zip(expected) {
        assert!((got - want).abs() < 1e-15);
    }
    assert!(
        moves(&set, 0, 0).iter().all(|s| *s < 0.0),
        "the second column of the series is the first underlying"
    );
    assert!((set.blocks[0].scenarios[0].moves[1].vol - expected[0]).abs() < 1e-15);
    assert_eq!(set.notes, [Note::Windows { entry: 0, windows: 3, shared: 1 }]);
    let few =
        set_of(&format!("{PAST}windows = 1\n"), &["BTC"], &named(hourly(&["BTC"], vec![vec![0.1]; 8], None)));
    assert_eq!(few.columns(), 1);
    assert!(few.notes.contains(&Note::NoVolInSeries { entry: 0, series: "s".to_owned() }));
}

#[test]
fn a_stressed_block_takes_only_windows_inside_its_period() {
    let series = hourly(&["BTC"], (0..48).map(|t| vec![f64::from(t) * 1e-3]).collect(), None);
    let (from, to) = (series.times[9], series.times[20]);
    let text = PAST.replace("horizon = 3\nstep = 2", "horizon = 1\nstep = 1");
    let text =
        format!("{text}stressed = true\nperiod = {{ name = 'storm', from = '{from}', to = '{to}' }}\n");
    let set = set_of(&text, &["BTC"], &named(series.clone()));
    assert_eq!(set.blocks[0].kind, BlockKind::StressedJoint);
    // Observation 10 runs from times[9] to times[10]; the last one ends at times[20].
    assert_eq!(set.columns(), 11);
    assert!((moves(&set, 0, 0)[0] - plimsoll_quant::special::exp_m1(0.010)).abs() < 1e-15);
    assert!(set.blocks[0].scenarios[0].label.starts_with("storm: "));
    let nameless = refused(&format!("{PAST}stressed = true\n")).0;
    assert_eq!(nameless, "scenarios[0].period");
}

#[test]
fn a_series_that_does_not_serve_is_refused_with_the_place() {
    let spec = |text: &str| ScenarioSpec::from_toml(&format!("{HEAD}{text}")).unwrap();
    let run = |series: BTreeMap<String, ReturnSeries>| generate(&spec(PAST), &[asset("BTC")], &series);
    assert!(matches!(run(none()), Err(SpecError::MissingSeries { known, .. }) if known == "none"));
    let short = named(hourly(&["BTC"], vec![vec![0.1]; 2], None));
    assert!(matches!(run(short), Err(SpecError::NoWindow { horizon: 3, observations: 2, .. })));
    let wild = named(hourly(&["BTC"], vec![vec![0.1], vec![f64::NAN], vec![0.1]], None));
    assert!(matches!(run(wild), Err(SpecError::Series { place, .. }) if place == "spot row 1"));
    let ragged = named(hourly(&["BTC"], vec![vec![0.1], vec![], vec![0.1]], None));
    assert!(matches!(run(ragged), Err(SpecError::Series { place, .. }) if place == "spot row 1"));
    let strange = named(hourly(&["ETH"], vec![vec![0.1]; 8], None));
    assert!(matches!(run(strange), Err(SpecError::MissingUnderlying { .. })));
    let mut twisted = hourly(&["BTC"], vec![vec![0.1]; 8], None);
    twisted.times.swap(2, 3);
    assert!(matches!(run(named(twisted)), Err(SpecError::Series { place, .. }) if place == "time 3"));
}

const FILTERED: &str = "[[scenarios]]\nkind = 'filtered_historical'\npurpose = 'both'\nseries = 's'\n\
    horizon = 1\nstep = 1\nwindows = 500\ndecay = 0.97\nseed_observations = 100\n";

#[test]
fn filtering_rescales_by_volatility_known_before_and_never_beyond_the_cap() {
    let returns: Vec<f64> =
        (0..900).map(|t| if t % 2 == 0 { 1.0 } else { -1.0 } * if t < 600 { 0.01 } else { 0.03 }).collect();
    let series = named(hourly(&["BTC"], returns.iter().map(|r| vec![*r]).collect(), None));
    let set = set_of(FILTERED, &["BTC"], &series);
    let spot = moves(&set, 0, 0);
    assert_eq!(spot.len(), 500);
    // By hand: s^2 before observation t.
    let mut s2 = vec![1e-4];
    for r in &returns {
        s2.push(0.97 * s2.last().unwrap() + 0.03 * r * r);
    }
    let now = s2.last().unwrap().sqrt();
    for (t, got) in (400..900).zip(&spot) {
        let factor = (now / s2[t].sqrt()).clamp(0.8, 1.25);
        let want = plimsoll_quant::special::exp_m1(returns[t] * factor);
        assert!((got - want).abs() < 1e-15, "{t}");
        let ratio = got.ln_1p_exact() / returns[t];
        assert!((0.8 - 1e-12..=1.25 + 1e-12).contains(&ratio), "{t}: {ratio}");
    }
}

#[test]
fn after_a_step_of_volatility_the_capped_margin_overshoots_by_at_most_the_cap() {
    let path: Vec<f64> =
        (0..1600).map(|t| if t % 2 == 0 { 1.0 } else { -1.0 } * if t < 1000 { 0.01 } else { 0.02 }).collect();
    let margin = |until: usize, cap: &str| {
        let series = named(hourly(&["BTC"], path[..until].iter().map(|r| vec![*r]).collect(), None));
        let set = set_of(&format!("{FILTERED}cap = {cap}\n"), &["BTC"], &series);
        let mut losses: Vec<f64> = moves(&set, 0, 0).iter().map(|s| -s.ln_1p_exact()).collect();
        losses.sort_by(f64::total_cmp);
        losses[494]
    };
    let days: Vec<usize> = (1000..1600).step_by(10).collect();
    let peak = |cap: &str| days.iter().map(|d| margin(*d, cap)).fold(0.0, f64::max);
    let terminal = margin(1600, "1.25");
    assert!((terminal - 0.02).abs() < 4e-4, "{terminal}");
    assert!(peak("1.25") <= 1.25 * terminal + 1e-12, "{}", peak("1.25"));
    assert!(peak("100.0") > 1.4 * terminal, "uncapped it overshoots: {}", peak("100.0"));
}

#[test]
fn a_real_hourly_history_gives_the_moves_of_the_real_days() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/price_hourly_binance_spot");
    let read = |coin: &str| closes(&format!("{folder}/{coin}USDT_1h.csv.zst"));
    let (Some(btc), Some(eth)) = (read("BTC"), read("ETH")) else {
        assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "{folder} is absent");
        println!("skipped: {folder} is absent");
        return;
    };
    let both: Vec<(i64, f64, f64)> =
        btc.iter().filter_map(|(t, b)| eth.get(t).map(|e| (*t, *b, *e))).collect();
    let log = |now: f64, before: f64| plimsoll_quant::special::ln(now / before);
    let spot = both.windows(2).map(|w| vec![log(w[1].1, w[0].1), log(w[1].2, w[0].2)]).collect();
    let times = both[1..].iter().map(|x| Timestamp::from_millis(x.0).unwrap()).collect();
    let series = ReturnSeries { underlyings: vec![asset("BTC"), asset("ETH")], times, spot, vol: None };
    let text = PAST.replace("horizon = 3\nstep = 2", "horizon = 24\nstep = 1");
    let set = set_of(&text, &["BTC", "ETH"], &named(series));
    let spot = moves(&set, 0, 0);
    assert_eq!(spot.len(), both.len() - 24);
    for (w, got) in both.windows(25).zip(&spot) {
        assert!((got - (w[24].1 / w[0].1 - 1.0)).abs() < 1e-12);
    }
    let (at, worst) = spot.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert!(set.blocks[0].scenarios[at].label.contains("2020-03-1"), "{}", set.blocks[0].scenarios[at].label);
    assert!((-0.55..-0.35).contains(worst), "{worst}");
    let rho = correlation(&spot, &moves(&set, 0, 1)).unwrap();
    assert!((0.7..0.95).contains(&rho), "{rho}");
}

/// Close by open time in milliseconds.
fn closes(path: &str) -> Option<BTreeMap<i64, f64>> {
    let file = std::fs::File::open(path).ok()?;
    let mut reader = csv::Reader::from_reader(zstd::Decoder::new(file).unwrap());
    let row = |r: Result<csv::StringRecord, csv::Error>| {
        let r = r.unwrap();
        (r[0].parse().unwrap(), r[5].parse().unwrap())
    };
    Some(reader.records().map(row).collect())
}

proptest! {
    #[test]
    fn every_factor_column_stays_within_the_scan(loading in -1.0f64..1.0, breakdown in -1.0f64..1.0) {
        let text = format!("[[scenarios]]\nkind = 'factor'\npurpose = 'both'\nloading = {{ \"*\" = {loading:?} }}\n\
            states = ['estimated', 'crash', 'breakdown']\nbreakdown = {breakdown:?}\n[[scenarios.points]]\nprice = [-1, 1]\nvol = ['up']\nweight = 1");
        let set = set_of(&text, &["BTC"], &none());
        for b in &set.blocks {
            for s in &b.scenarios {
                prop_assert!(s.moves[0].spot.abs() <= 0.15 + 1e-15);
            }
        }
    }
}
