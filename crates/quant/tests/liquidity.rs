//! The slow score of depth: what cannot raise it, what cannot crash it, and that more is never less.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::liquidity::*;
use plimsoll_quant::special::pow;
use plimsoll_quant::stats::StatsError;
use plimsoll_quant::tracking::CoverageTracker;
use proptest::prelude::*;
use reference::Draw;

const SPEC: LiquiditySpec = LiquiditySpec {
    venues: 1,
    slots: 10,
    slot_seconds: 60.0,
    ignored: 0.2,
    hold_seconds: 120.0,
    decay_half_life_seconds: 3600.0,
    growth_per_day: 0.1,
    fall_per_day: 0.5,
    floor: 1.0,
};

/// A score that has settled at `depth` on every venue.
fn settled(spec: LiquiditySpec, depth: f64) -> LiquidityScore {
    let mut score = LiquidityScore::new(spec).unwrap();
    for _ in 0..=spec.slots {
        score.update(spec.slot_seconds, &vec![Some(depth); spec.venues]).unwrap();
    }
    assert_eq!(score.score(), Ok(depth));
    score
}

#[test]
fn a_score_needs_a_full_window() {
    let mut score = LiquidityScore::new(SPEC).unwrap();
    for minute in 0..=10 {
        let expected = Err(StatsError::TooFew { observations: usize::max(minute, 1) - 1, needed: 10 });
        assert_eq!(score.score(), expected, "{minute}");
        score.update(60.0, &[Some(50.0)]).unwrap();
    }
    assert_eq!(score.score(), Ok(50.0));
}

#[test]
fn depth_shown_for_less_than_most_of_the_window_never_raises_the_score() {
    // Growth is not what holds it back here.
    let quick = LiquiditySpec { growth_per_day: 1e300, ..SPEC };
    // Seconds of every minute.
    for shown in [1.0, 30.0, 59.0] {
        let mut score = settled(quick, 100.0);
        for _ in 0..100 {
            score.update(60.0 - shown, &[Some(1e9)]).unwrap();
            score.update(shown, &[Some(100.0)]).unwrap();
            assert_eq!(score.score(), Ok(100.0), "{shown}");
        }
    }
    // Whole minutes, but fewer than eight of ten.
    let mut score = settled(quick, 100.0);
    for minute in 0..200 {
        score.update(60.0, &[Some(if minute % 10 < 7 { 1e9 } else { 100.0 })]).unwrap();
        assert_eq!(score.score(), Ok(100.0), "{minute}");
    }
    // And what stays does count, in the end.
    for _ in 0..20 {
        score.update(60.0, &[Some(200.0)]).unwrap();
    }
    assert_eq!(score.score(), Ok(200.0));
}

#[test]
fn an_empty_book_for_a_part_of_the_window_does_not_lower_the_score() {
    let mut score = settled(SPEC, 100.0);
    // Two slots of ten may be empty.
    for minute in 0..300 {
        score.update(60.0, &[Some(if minute % 10 < 2 { 0.0 } else { 100.0 })]).unwrap();
        assert_eq!(score.score(), Ok(100.0));
    }
    // Empty for good: it falls, but by no more than half a day's worth a day.
    for minute in 0..1440 {
        let before = score.score().unwrap();
        score.update(60.0, &[Some(0.0)]).unwrap();
        let after = score.score().unwrap();
        assert!(after >= before * pow(0.5, 60.0 / 86_400.0) * (1.0 - 1e-12), "{minute}");
    }
    assert!((score.score().unwrap() / 50.0 - 1.0).abs() < 0.01);
}

#[test]
fn without_data_a_score_holds_then_decays_to_its_floor() {
    let free = LiquiditySpec { fall_per_day: 1.0 - 1e-9, growth_per_day: 1e300, ..SPEC };
    let mut score = settled(free, 64.0);
    score.update(119.0, &[None]).unwrap();
    assert_eq!(score.score(), Ok(64.0));
    score.update(3601.0, &[None]).unwrap();
    assert!((score.score().unwrap() - 32.0).abs() < 1e-9);
    score.update(7200.0, &[None]).unwrap();
    assert!((score.score().unwrap() - 8.0).abs() < 1e-9);
    score.update(1e9, &[None]).unwrap();
    assert_eq!(score.score(), Ok(1.0));
    // Data again: the slots of before are still there.
    for _ in 0..20 {
        score.update(60.0, &[Some(64.0)]).unwrap();
    }
    assert_eq!(score.score(), Ok(64.0));
}

#[test]
fn one_venue_of_three_can_do_nothing_alone() {
    let spec = LiquiditySpec { venues: 3, growth_per_day: 1e300, fall_per_day: 1.0 - 1e-9, ..SPEC };
    let base = settled(spec, 100.0);
    for odd in [Some(0.0), Some(1e12), None] {
        let mut score = base.clone();
        for _ in 0..500 {
            score.update(60.0, &[odd, Some(100.0), Some(100.0)]).unwrap();
        }
        assert_eq!(score.score(), Ok(100.0), "{odd:?}");
    }
    // Of two venues the lower counts.
    let mut two = settled(LiquiditySpec { venues: 2, ..spec }, 100.0);
    for _ in 0..200 {
        two.update(60.0, &[Some(50.0), Some(100.0)]).unwrap();
    }
    assert_eq!(two.score(), Ok(50.0));
}

#[test]
fn growth_is_capped_per_day_however_the_day_is_cut() {
    let mut fine = settled(SPEC, 100.0);
    for _ in 0..1440 {
        fine.update(60.0, &[Some(1000.0)]).unwrap();
    }
    let fine = fine.score().unwrap();
    assert!(fine <= 110.0 + 1e-9 && fine > 109.0, "{fine}");
    // Data of an hour ago is beyond its time, so depth is told often, and time passes anyway.
    let mut coarse = settled(LiquiditySpec { hold_seconds: 1e6, ..SPEC }, 100.0);
    coarse.update(0.0, &[Some(1000.0)]).unwrap();
    coarse.update(86_400.0, &[None]).unwrap();
    assert!((coarse.score().unwrap() - 110.0).abs() < 1e-9);
}

proptest! {
    #[test]
    fn an_extra_unit_of_depth_never_lowers_the_score(seed in 0u64..1_000_000, place in 0usize..400, extra in 0.0f64..1e4) {
        let spec = LiquiditySpec { venues: 3, slots: 5, growth_per_day: 30.0, fall_per_day: 0.9999, ..SPEC };
        let mut draw = Draw(seed);
        let (mut low, mut high) = (LiquidityScore::new(spec).unwrap(), LiquidityScore::new(spec).unwrap());
        for i in 0..400 {
            let elapsed = draw.uniform() * 90.0;
            let mut row = [None; 3];
            for depth in &mut row {
                if draw.uniform() < 0.8 {
                    *depth = Some(draw.uniform() * 1000.0 * if draw.uniform() < 0.1 { 0.0 } else { 1.0 });
                }
            }
            let mut raised = row;
            // From a place on, or at one place alone.
            if i == place || (seed % 2 == 0 && i > place) {
                for depth in raised.iter_mut().flatten() {
                    *depth += extra;
                }
            }
            low.update(elapsed, &row).unwrap();
            high.update(elapsed, &raised).unwrap();
            if let (Ok(low), Ok(high)) = (low.score(), high.score()) {
                prop_assert!(high >= low, "{high} below {low} at {i}");
                prop_assert!(low >= spec.floor);
            }
        }
        prop_assert!(low.score().is_ok());
    }
}

#[test]
fn bad_rows_change_nothing_and_bad_parameters_are_refused() {
    let mut score = settled(SPEC, 100.0);
    let before = score.clone();
    assert!(score.update(-1.0, &[None]).is_err());
    assert!(score.update(f64::NAN, &[None]).is_err());
    assert!(score.update(1.0, &[]).is_err());
    assert!(score.update(1.0, &[Some(-1.0)]).is_err());
    assert!(score.update(1.0, &[Some(f64::INFINITY)]).is_err());
    assert_eq!(score, before);
    let text = serde_json::to_string(&score).unwrap();
    assert_eq!(score, serde_json::from_str::<LiquidityScore>(&text).unwrap());
    for spec in [
        LiquiditySpec { venues: 0, ..SPEC },
        LiquiditySpec { slots: 0, ..SPEC },
        LiquiditySpec { slot_seconds: 0.0, ..SPEC },
        LiquiditySpec { ignored: 1.0, ..SPEC },
        LiquiditySpec { hold_seconds: f64::NAN, ..SPEC },
        LiquiditySpec { growth_per_day: 0.0, ..SPEC },
        LiquiditySpec { fall_per_day: 1.0, ..SPEC },
        LiquiditySpec { floor: 0.0, ..SPEC },
    ] {
        assert!(LiquidityScore::new(spec).is_err(), "{spec:?}");
    }
}

#[test]
fn a_wide_spread_makes_depth_worth_less() {
    assert_eq!(effective_depth(100.0, 0.0, 0.001), Ok(100.0));
    assert_eq!(effective_depth(100.0, 0.001, 0.001), Ok(100.0));
    assert_eq!(effective_depth(100.0, 0.004, 0.001), Ok(25.0));
    assert!(effective_depth(-1.0, 0.0, 0.001).is_err() && effective_depth(1.0, -0.1, 0.001).is_err());
    assert!(effective_depth(1.0, 0.1, 0.0).is_err());
}

#[test]
fn tracked_coverage_comes_to_the_rate_whatever_the_series_does() {
    // Losses of a law the margin knows nothing of, in bursts; bounds that are never met.
    let mut draw = Draw(51);
    let mut tracker = CoverageTracker::new(0.05, 0.05, (-100.0, 100.0)).unwrap();
    let n = 20_000;
    let mut breaches = 0;
    let (mut least, mut most) = (0.0f64, 0.0f64);
    for i in 0..n {
        let size = if (i / 500) % 2 == 0 { 1.0 } else { 4.0 };
        let breach = size * draw.student5() > 1.0 + tracker.correction();
        breaches += usize::from(breach);
        tracker.update(breach);
        least = least.min(tracker.correction());
        most = most.max(tracker.correction());
    }
    let share = breaches as f64 / n as f64;
    assert!((share - 0.05).abs() <= (most - least + 0.05) / (0.05 * n as f64), "{share}");
    assert!(CoverageTracker::new(0.01, 0.1, (0.1, 0.2)).is_err());
    assert!(CoverageTracker::new(0.01, 0.0, (-0.1, 0.2)).is_err());
    assert!(CoverageTracker::new(0.0, 0.1, (-0.1, 0.2)).is_err());
    assert!(CoverageTracker::new(0.01, 0.1, (-0.1, f64::NAN)).is_err());
}
