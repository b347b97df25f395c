//! The loop that a margin closes: a tightening liquidates, liquidations move the price, the move is read as volatility, and
//! volatility tightens. docs/policy.md derives the bound; here our own policy runs in the loop, below it and far beyond it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, at, plimsoll, price};
use plimsoll_policy::{Key, Knob, Policy, Scope, State, TargetSpec, step};
use plimsoll_quant::special::{exp, ln};

const CALM: f64 = 0.01;
const STORM: f64 = 0.025;
const BEGINS: usize = 400;
const ENDS: usize = 430;

fn down() -> Key {
    Key { knob: Knob::PriceScanDown, scope: Scope::of("BTC") }
}

/// Decay of the fast mean per day.
const DECAY: f64 = 0.9;

/// What liquidations move the price by per unit that the logarithm of maintenance rises, so that the gain of the loop is
/// `gain` in calm: gain = elasticity x (1 - decay) x moved / volatility.
fn moved_at(gain: f64, policy: &Policy) -> f64 {
    let file = policy.file();
    let scan = file.parameters.iter().find(|p| p.knob == Knob::PriceScanDown).unwrap();
    let TargetSpec::Quantile(of) = &scan.target else { panic!("{:?}", scan.target) };
    gain * CALM / (of.elasticity() * (1.0 - DECAY))
}

/// What binds existing positions on every day, with liquidations that make the day's move larger, whichever way it goes.
fn in_the_loop(gain: f64) -> Vec<f64> {
    let policy = plimsoll();
    let moved = moved_at(gain, &policy);
    let mut state = State::new(&policy, at(0)).unwrap();
    let (mut close, mut before, mut rise) = (100.0, 0.0, 0.0);
    let mut path = Vec::new();
    for day in 0..1_100_i64 {
        let size = if (BEGINS..ENDS).contains(&path.len()) { STORM } else { CALM };
        let size = size + moved * rise;
        close *= if day % 2 == 0 { 1.0 + size } else { 1.0 / (1.0 + size) };
        let now = DAY * day;
        step(&policy, &mut state, &price(now, close)).unwrap();
        let binding = state.board().get(&down()).unwrap().maintenance(at(now)).to_f64();
        rise = if before > 0.0 && binding > before { ln(binding / before) } else { 0.0 };
        before = binding;
        path.push(binding);
    }
    path
}

fn turns(path: &[f64]) -> usize {
    let moves: Vec<f64> = path.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0.0).collect();
    moves.windows(2).filter(|pair| pair[0] * pair[1] < 0.0).count()
}

/// All that a path rises, in logarithms.
fn risen(path: &[f64]) -> f64 {
    path.windows(2).map(|pair| ln(pair[1] / pair[0]).max(0.0)).sum()
}

#[test]
fn below_the_bound_a_storm_is_one_rise_and_one_fall() {
    let alone = in_the_loop(0.0);
    let storm = risen(&alone[BEGINS..]);
    assert!(storm > 0.2, "{storm}");
    for gain in [0.1, 0.3, 0.6, 0.9] {
        let path = in_the_loop(gain);
        assert!(turns(&path[BEGINS..]) <= 1, "gain {gain}: {} turns", turns(&path[BEGINS..]));
        let bound = storm / (1.0 - gain);
        assert!(risen(&path[BEGINS..]) <= bound * 1.01, "gain {gain}: {} of {bound}", risen(&path[BEGINS..]));
    }
}

#[test]
fn beyond_the_bound_the_cap_holds_and_it_ends() {
    let alone = in_the_loop(0.0);
    let calm = alone[BEGINS - 1];
    // The loop is real: what is beneath the bound is no accident.
    assert!(risen(&in_the_loop(3.0)[BEGINS..]) > 1.5 * risen(&alone[BEGINS..]));
    for gain in [1.5, 3.0, 10.0] {
        let path = in_the_loop(gain);
        let peak = path[BEGINS..].iter().copied().fold(0.0, f64::max);
        // Floor to cap, the tracker's range, and what the storm adds to six years.
        assert!(peak / calm <= 1.35 / 0.85 * exp(0.3) * 1.5, "gain {gain}: {}", peak / calm);
        assert!(turns(&path[BEGINS..]) <= 3, "gain {gain}: {} turns", turns(&path[BEGINS..]));
        assert_eq!(risen(&path[ENDS + 100..]), 0.0, "gain {gain}");
    }
}
