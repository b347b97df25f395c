//! Ramps, the glide path, adjusters and scopes, each against its rule.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_policy::{
    Adjuster, Adjusters, Cause, Glide, Group, Impact, Key, Knob, Ramp, Scope, Slope, Trail, WhenStale,
};
use plimsoll_quant::special::ln;
use plimsoll_types::{Ppb, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

proptest! {
    #[test]
    fn maintenance_is_never_above_initial_and_moves_only_on_its_published_path(
        moves in prop::collection::vec((1_i64..1_000_000_000, 0_i64..300_000, 0_i64..100_000, 0_i64..400_000), 1..30),
    ) {
        let mut ramp = Ramp::level(Ppb(100_000_000));
        let mut now = 0;
        for (to, later, notice, length) in moves {
            now += later;
            let before = ramp.clone();
            ramp = ramp.follow(Ppb(to), at(now), (notice, length));
            // What is new begins after its notice, and is no higher than what was announced before until then.
            for after in [0, notice / 2, notice.max(1) - 1] {
                prop_assert!(ramp.at(at(now + after)) <= before.at(at(now + after)).max(before.at(at(now))));
            }
            let mut last = ramp.at(at(now));
            for part in 0..=20 {
                let here = ramp.at(at(now + (notice + length) * part / 20));
                prop_assert!(here <= Ppb(to) && here >= last);
                last = here;
            }
            prop_assert_eq!(ramp.end(), Ppb(to));
            // What was announced is not put off: nowhere is it lower than the lesser of the old path and the new value.
            for after in [0, notice, notice + length, 10 * (notice + length)] {
                let least = before.at(at(now + after)).0.min(to) - 30;
                prop_assert!(ramp.at(at(now + after)).0 >= least || to < before.end().0);
            }
        }
    }

    #[test]
    fn existing_positions_follow_however_often_new_risk_is_charged_anew(
        drifts in prop::collection::vec(-200_000_i64..200_000, 60),
    ) {
        let mut ramp = Ramp::level(Ppb(100_000_000));
        let mut to = 130_000_000;
        for (hour, drift) in (0..).zip(&drifts) {
            to += drift;
            ramp = ramp.follow(Ppb(to), at(3_600 * hour), (3_600, 86_400));
        }
        // A day and an hour after the jump all of it counts but for the drifts of the last day.
        prop_assert!(ramp.at(at(3_600 * 60)).0 >= to - 25 * 200_000, "{} {to}", ramp.at(at(3_600 * 60)));
        prop_assert!(ramp.legs.len() <= 26);
    }

    #[test]
    fn the_parts_of_a_trail_add_up_to_the_last_digit(values in prop::collection::vec(1e-6..1e3_f64, 2..20), start in 1e-6..1e3_f64) {
        let causes = [Cause::Now, Cause::Stress, Cause::Liquidity, Cause::SpeedLimit];
        let make = |values: &[f64]| {
            let mut trail = Trail::begin(Cause::Now, values[0]);
            values[1..].iter().enumerate().for_each(|(i, v)| trail.to(causes[i % 4], *v));
            trail
        };
        let (before, after) = (make(&[start, values[0]]), make(&values));
        let sum: i64 = after.since(&before).iter().map(|(_, part)| part).sum();
        prop_assert_eq!(sum, after.level() - before.level());
        let exact = ln(values[values.len() - 1] / values[0]) * 1e9;
        prop_assert!((sum as f64 - exact).abs() <= 1.01);
    }
}

fn glide() -> Glide {
    Glide { fractions: [0.25, 0.5, 0.75, 1.0], induced_max: 100.0, liquidatable_share_max: 0.05 }
}

/// Impacts of the candidates: nothing at all is like what loosens alone, the first of these.
fn impacts(induced: [f64; 5], waiting: [f64; 5]) -> Vec<Impact> {
    let one =
        |i: usize| Impact { induced: induced[i], waiting: waiting[i], sound: true, ..Impact::default() };
    std::iter::once(0).chain(0..5).map(one).collect()
}

#[test]
fn the_largest_step_under_the_limit_is_taken() {
    let choice = glide().choose(&impacts([0.0, 40.0, 90.0, 150.0, 400.0], [50.0; 5])).unwrap().unwrap();
    assert_eq!((choice.fraction, choice.induced, choice.urgent), (0.5, 90.0, false));
}

#[test]
fn a_larger_step_is_taken_where_waiting_costs_more_than_it_induces() {
    let waiting = [5_000.0, 3_000.0, 2_000.0, 1_000.0, 0.0];
    let choice = glide().choose(&impacts([0.0, 40.0, 90.0, 150.0, 400.0], waiting)).unwrap().unwrap();
    assert_eq!((choice.fraction, choice.urgent, choice.waiting), (1.0, true, 2_000.0));
}

#[test]
fn equity_that_may_not_be_made_liquidatable_is_not_however_urgent() {
    let mut all = impacts([0.0; 5], [1e9, 1e8, 1e7, 1e6, 0.0]);
    all[4].newly_liquidatable_share = 0.06;
    all[5].newly_liquidatable_share = 0.2;
    assert_eq!(glide().choose(&all).unwrap().unwrap().fraction, 0.5);
}

#[test]
fn what_was_announced_beyond_a_limit_stops_what_adds_to_it_and_not_what_loosens() {
    let mut all = impacts([0.0; 5], [0.0; 5]);
    all.iter_mut().for_each(|one| one.newly_liquidatable_share = 0.06);
    all[1].newly_liquidatable_share = 0.055;
    all[3..].iter_mut().for_each(|one| one.newly_liquidatable_share = 0.07);
    let choice = glide().choose(&all).unwrap().unwrap();
    assert_eq!((choice.loosens, choice.fraction, choice.newly_liquidatable_share), (true, 0.25, 0.06));

    let mut all = impacts([150.0, 160.0, 170.0, 180.0, 190.0], [1.0; 5]);
    all[1].induced = 140.0;
    let choice = glide().choose(&all).unwrap().unwrap();
    assert_eq!((choice.loosens, choice.fraction, choice.urgent), (true, 0.0, false));
}

#[test]
fn a_result_that_is_not_sound_is_never_chosen() {
    let mut all = impacts([0.0; 5], [0.0; 5]);
    all[5].sound = false;
    assert_eq!(glide().choose(&all).unwrap().unwrap().fraction, 0.75);
    all[1..].iter_mut().for_each(|one| one.sound = false);
    let nothing = glide().choose(&all).unwrap().unwrap();
    assert_eq!((nothing.fraction, nothing.loosens), (0.0, false));
    all.iter_mut().for_each(|one| one.sound = false);
    assert_eq!(glide().choose(&all).unwrap(), None);
}

#[test]
fn impacts_that_are_no_numbers_or_too_few_are_refused() {
    let mut all = impacts([0.0; 5], [0.0; 5]);
    glide().choose(&all[..5]).unwrap_err();
    all[2].waiting = f64::NAN;
    glide().choose(&all).unwrap_err();
}

fn adjuster(group: Group, most: f64) -> Adjuster {
    let slope = Slope { start: 1.0, full: 3.0, most };
    let (knobs, scope) = (vec![Knob::PriceScanDown], Scope::default());
    let (stale_seconds, when_stale) = (3_600, WhenStale::Nothing);
    Adjuster { on: true, group, knobs, scope, slope, stale_seconds, when_stale, underlyings: BTreeMap::new() }
}

#[test]
fn one_group_counts_once_groups_multiply_and_the_product_is_capped() {
    let by = BTreeMap::from([
        (Cause::VolSpike, adjuster(Group::Volatility, 1.5)),
        (Cause::Regime, adjuster(Group::Volatility, 1.2)),
        (Cause::Liquidity, adjuster(Group::Liquidity, 2.0)),
    ]);
    let adjusters = Adjusters { product_max: 2.5, by };
    adjusters.check().unwrap();
    let key = Key { knob: Knob::PriceScanDown, scope: Scope::of("BTC") };
    let run = |readings: &[(Cause, f64)]| {
        let mut trail = Trail::begin(Cause::Now, 0.1);
        let value = adjusters.apply(&key, 0.1, &readings.iter().copied().collect(), &mut trail);
        (value, trail.steps().iter().map(|(cause, _)| *cause).collect::<Vec<_>>())
    };
    assert_eq!(run(&[]), (0.1, vec![Cause::Now]));
    assert_eq!(run(&[(Cause::VolSpike, 2.0)]), (0.125, vec![Cause::Now, Cause::VolSpike]));
    assert_eq!(
        run(&[(Cause::VolSpike, 2.0), (Cause::Regime, 9.0)]),
        (0.125, vec![Cause::Now, Cause::VolSpike])
    );
    let (value, causes) = run(&[(Cause::VolSpike, 9.0), (Cause::Liquidity, 9.0)]);
    assert_eq!(value, 0.25);
    assert_eq!(causes, [Cause::Now, Cause::VolSpike, Cause::Liquidity, Cause::AdjusterCap]);
}

#[test]
fn adjusters_without_sense_are_refused() {
    let with = |cause, adjuster| Adjusters { product_max: 2.0, by: BTreeMap::from([(cause, adjuster)]) };
    with(Cause::SpeedLimit, adjuster(Group::Capital, 1.5)).check().unwrap_err();
    with(Cause::Pool, adjuster(Group::Capital, 0.9)).check().unwrap_err();
    Adjusters { product_max: 0.5, by: BTreeMap::new() }.check().unwrap_err();
}
