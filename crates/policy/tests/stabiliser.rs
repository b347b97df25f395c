//! The stabiliser follows: monotone, without oscillation, never faster than it may.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_policy::{Cause, Holding, Stabiliser, Trail};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::Timestamp;
use proptest::prelude::*;

fn stabiliser() -> Stabiliser {
    Stabiliser {
        band_up: 0.02,
        band_down: 0.05,
        tighten_per_day: 0.3,
        loosen_per_day: 0.02,
        hold_seconds: 5 * 86_400,
    }
}

/// The values along a path of targets, a day apart.
fn along(of: &Stabiliser, start: f64, targets: &[f64]) -> Vec<f64> {
    let (mut holding, mut value) = (Holding::default(), start);
    let step = |(day, target): (i64, &f64)| {
        let now = Timestamp::from_seconds(86_400 * day);
        let mut trail = Trail::begin(Cause::Now, *target);
        value = of.follow(&mut holding, (value, *target), (now, 1.0), &mut trail);
        let level = (ln(value) * 1e9).round() as i64;
        assert!((trail.level() - level).abs() <= 1);
        value
    };
    (0..).zip(targets).map(step).collect()
}

proptest! {
    #[test]
    fn a_higher_path_of_targets_never_ends_lower(
        start in 0.05..0.5_f64,
        more in 1.0..1.5_f64,
        path in prop::collection::vec((0.02..0.9_f64, 1.0..2.0_f64), 1..60),
    ) {
        let low: Vec<f64> = path.iter().map(|(t, _)| *t).collect();
        let high: Vec<f64> = path.iter().map(|(t, by)| t * by).collect();
        let of = stabiliser();
        for (a, b) in along(&of, start, &low).iter().zip(along(&of, start * more, &high)) {
            prop_assert!(b >= *a, "{b} < {a}");
        }
    }

    #[test]
    fn under_a_constant_target_a_value_moves_one_way_and_then_rests(start in 0.02..0.9_f64, target in 0.02..0.9_f64) {
        let of = stabiliser();
        let values = along(&of, start, &[target; 400]);
        let mut before = start;
        for value in &values {
            let one_way = if start < target { *value >= before } else { *value <= before };
            prop_assert!(one_way);
            before = *value;
        }
        let rest = values[399];
        prop_assert_eq!(rest, values[390]);
        let (least, most) = (target * exp(-0.02) * (1.0 - 1e-15), target * exp(0.05) * (1.0 + 1e-15));
        prop_assert!(rest >= least && rest <= most);
        let settled = values.iter().filter(|v| **v != rest).count();
        prop_assert!(settled <= 200);
    }

    #[test]
    fn no_step_is_faster_than_its_limit(start in 0.05..0.5_f64, path in prop::collection::vec(0.001..5.0_f64, 1..80)) {
        let of = stabiliser();
        let mut before = start;
        for value in along(&of, start, &path) {
            let step = ln(value / before);
            prop_assert!((-0.02 - 1e-12..=0.3 + 1e-12).contains(&step), "{step}");
            before = value;
        }
    }
}

#[test]
fn nothing_loosens_while_a_higher_target_is_in_the_hold() {
    let of = Stabiliser { loosen_per_day: 0.3, band_down: 0.0, band_up: 0.0, ..stabiliser() };
    let values = along(&of, 0.1, &[0.1, 0.13, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]);
    assert_eq!(values[..7], [0.1, 0.13, 0.13, 0.13, 0.13, 0.13, 0.13]);
    assert_eq!(values[7], 0.1);
}

#[test]
fn rates_that_loosen_faster_than_they_tighten_are_refused() {
    let good = stabiliser();
    good.check(false).unwrap();
    let bad = [
        Stabiliser { loosen_per_day: 0.31, ..good },
        Stabiliser { loosen_per_day: 0.0, ..good },
        Stabiliser { tighten_per_day: f64::NAN, ..good },
        Stabiliser { band_up: -0.1, ..good },
        Stabiliser { band_down: f64::INFINITY, ..good },
        Stabiliser { band_up: 0.51, ..good },
        Stabiliser { hold_seconds: i64::MAX, ..good },
        Stabiliser { hold_seconds: -1, ..good },
    ];
    for of in bad {
        of.check(false).unwrap_err();
    }
}

#[test]
fn nothing_is_more_than_halved_in_a_day_unless_the_limits_say_that_they_bound_nothing() {
    let fast = Stabiliser { tighten_per_day: 2.0, loosen_per_day: 0.70, ..stabiliser() };
    fast.check(false).unwrap_err();
    fast.check(true).unwrap();
    Stabiliser { loosen_per_day: 0.69, ..fast }.check(false).unwrap();
}
