//! Backtests against mpmath, scipy, published tables and a plain simulation.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use plimsoll_quant::backtest::*;
use plimsoll_quant::garch::Law;
use plimsoll_quant::sobol::Rng64;
use plimsoll_quant::special::{binomial_cdf, binomial_sf, norm_quantile, student_t_quantile};
use plimsoll_quant::stats::StatsError;

fn assert_near(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value} is not {expected}");
}

#[test]
fn the_binomial_distribution_agrees_with_fifty_digit_sums() {
    for (x, n, p, below, above) in [
        (4, 250, 0.01, 0.8921876269036251, 0.10781237309637473),
        (12, 1000, 0.01, 0.7925116019097246, 0.20748839809027506),
        (0, 250, 0.01, 0.08105851616218143, 0.9189414838378186),
        (3, 10, 0.5, 0.171875, 0.828125),
        (40, 1000, 0.025, 0.9982189224180338, 0.001781077581966233),
    ] {
        assert_near(binomial_cdf(x, n, p), below, 1e-13);
        assert_near(binomial_sf(x, n, p), above, 1e-13);
    }
    assert_eq!((binomial_cdf(3, 3, 0.2), binomial_sf(3, 3, 0.2)), (1.0, 0.0));
    assert_eq!((binomial_cdf(0, 3, 0.0), binomial_cdf(2, 3, 1.0)), (1.0, 0.0));
    assert!(binomial_cdf(0, 3, 1.5).is_nan() && binomial_sf(0, 3, f64::NAN).is_nan());
}

#[test]
fn the_proportion_of_failures_agrees_with_fifty_digit_arithmetic() {
    for (observations, breaches, rate, statistic, p_value) in [
        (1043, 57, 0.05, 0.46146639532895506, 0.4969394476803891),
        (250, 0, 0.01, 5.02516792675072, 0.024981503053449768),
        (1000, 23, 0.025, 0.16854575060774302, 0.6814074921619955),
        (10, 1, 0.05, 0.4130843782549267, 0.5204081337384319),
    ] {
        let test = kupiec_pof(observations, breaches, rate).unwrap();
        assert_near(test.statistic, statistic, 1e-12);
        assert_near(test.p_value(), p_value, 1e-12);
    }
    assert_near(kupiec_pof(250, 250, 0.01).unwrap().statistic, 2302.5850929940457, 1e-14);
    let as_expected = kupiec_pof(500, 5, 0.01).unwrap();
    assert!(as_expected.statistic < 1e-28 && as_expected.p_value() > 0.999_999_999);
}

#[test]
fn the_first_failure_agrees_with_fifty_digit_arithmetic() {
    for (first, rate, statistic, p_value) in [
        (1, 0.01, 9.210340371976182, 0.002406519458822759),
        (7, 0.01, 3.5893159461804736, 0.05815217572033908),
        (438, 0.01, 3.8321809317154245, 0.05027747212051057),
        (35, 0.05, 0.3975599351014353, 0.528352106017327),
    ] {
        let test = kupiec_tuff(first, rate).unwrap();
        assert_near(test.statistic, statistic, 1e-12);
        assert_near(test.p_value(), p_value, 1e-12);
    }
    // Kupiec (1995): at 1 % a first failure from day 7 to day 438 is not rejected.
    let rejected = |n| kupiec_tuff(n, 0.01).unwrap().rejects_at(0.95);
    assert!(rejected(6) && !rejected(7) && !rejected(438) && rejected(440));
}

#[test]
fn independence_and_conditional_coverage_agree_with_fifty_digit_arithmetic() {
    for (n, expected) in [
        ([940, 45, 45, 12], 17.76922926661783),
        ([249, 0, 0, 0], 0.0),
        ([240, 5, 5, 0], 0.20409580144659725),
        ([0, 1, 1, 3], 0.505343078431412),
    ] {
        let [n00, n01, n10, n11] = n;
        let test = christoffersen_independence(&Transitions { n00, n01, n10, n11 }).unwrap();
        assert_near(test.statistic, expected, 1e-12);
        assert_eq!(test.freedom, 1);
    }
    let n = Transitions { n00: 940, n01: 45, n10: 45, n11: 12 };
    let both = christoffersen_coverage(1043, 57, 0.05, &n).unwrap();
    assert_near(both.statistic, 17.76922926661783 + 0.46146639532895506, 1e-12);
    assert_eq!(both.freedom, 2);
    assert!(christoffersen_independence(&Transitions::default()).is_err());
}

#[test]
fn transitions_are_counted_pair_by_pair() {
    let days = [false, true, true, false, false, true, false];
    assert_eq!(Transitions::of(&days), Transitions { n00: 1, n01: 2, n10: 2, n11: 1 });
    assert_eq!(Transitions::of(&[true]), Transitions::default());
}

#[test]
fn haas_adds_the_gaps_and_then_the_proportion() {
    let gaps = [12, 40, 3, 1, 60];
    let independence = haas_independence(&gaps, 0.01).unwrap();
    assert_near(independence.statistic, 18.05525079946183, 1e-12);
    assert_near(independence.p_value(), 0.0028779511301756295, 1e-11);
    let both = haas_coverage(&gaps, 250, 0.01).unwrap();
    assert_near(both.statistic, 20.01206058769246, 1e-12);
    assert_near(both.p_value(), 0.002755739937142073, 1e-11);
    let nothing = haas_independence(&[], 0.01).unwrap();
    assert_eq!((nothing.statistic, nothing.p_value(), nothing.rejects_at(0.0)), (0.0, 1.0, false));
}

#[test]
fn regions_are_those_of_kupiec() {
    // Kupiec (1995), table 5 as reproduced in Jorion: bounds are open.
    for (rate, observations, above, below) in [
        (0.01, 510, 1, 11),
        (0.01, 1000, 4, 17),
        (0.025, 255, 2, 12),
        (0.025, 510, 6, 21),
        (0.025, 1000, 15, 36),
        (0.05, 255, 6, 21),
        (0.05, 510, 16, 36),
        (0.05, 1000, 37, 65),
        (0.075, 255, 11, 28),
        (0.075, 510, 27, 51),
        (0.075, 1000, 59, 92),
        (0.1, 255, 16, 36),
        (0.1, 510, 38, 65),
        (0.1, 1000, 81, 120),
    ] {
        let region = acceptance_region(observations, rate, 0.95).unwrap();
        assert_eq!(region, above + 1..=below - 1, "{rate} {observations}");
    }
    assert_eq!(acceptance_region(255, 0.01, 0.95).unwrap(), 1..=6);
    assert_eq!(acceptance_region(10, 0.01, 0.95).unwrap(), 0..=1);
    // Between two counts far apart from the expected one nothing may be accepted.
    assert!(acceptance_region(3, 0.5, 0.1).is_err());
}

#[test]
fn zones_are_those_of_basel_and_of_other_lengths() {
    for (observations, rate, yellow_from, red_from) in [
        (250, 0.01, 5, 10),
        (500, 0.01, 9, 15),
        (1000, 0.01, 15, 24),
        (250, 0.025, 11, 17),
        (5, 0.01, 0, 2),
        (750, 0.05, 48, 61),
    ] {
        assert_eq!(zone_limits(observations, rate).unwrap(), ZoneLimits { yellow_from, red_from });
    }
    // Basel Committee (1996), table 2, in per cent.
    let published = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99];
    for (breaches, expected) in (0..).zip(published) {
        let (cumulative, zone) = cumulative_zone(breaches, 250, 0.01).unwrap();
        assert!((100.0 * cumulative - expected).abs() <= 0.005, "{breaches}");
        let by_count = match breaches {
            0..=4 => Zone::Green,
            5..=9 => Zone::Yellow,
            _ => Zone::Red,
        };
        assert_eq!(zone, by_count);
    }
    let factors: Vec<f64> = (3..12).map(plus_factor_1996).collect();
    assert_eq!(factors, [0.0, 0.0, 0.4, 0.5, 0.65, 0.75, 0.85, 1.0, 1.0]);
    let multipliers: Vec<f64> = (4..11).map(multiplier_mar99).collect();
    assert_eq!(multipliers, [1.5, 1.7, 1.76, 1.83, 1.88, 1.92, 2.0]);
    assert!(cumulative_zone(6, 5, 0.01).is_err());
}

#[test]
fn a_horizon_of_one_day_has_binomial_limits() {
    let spec = OverlappingSpec { horizon: 1, confidence: 0.99, paths: 400_000, seed: 3 };
    let law = OverlappingLaw::simulate(&spec).unwrap();
    for n in [100, 250, 1000] {
        let exact = zone_limits(n as u64, 0.01).unwrap();
        let found = law.limits(n).unwrap();
        assert_eq!(found.yellow_from, exact.yellow_from);
        assert!(found.red_from.abs_diff(exact.red_from) <= 1);
        let cumulative = law.cumulative(n).unwrap();
        let expected = binomial_cdf(exact.yellow_from - 1, n as u64, 0.01);
        let at = cumulative[usize::try_from(exact.yellow_from).unwrap() - 1];
        assert!((at - expected).abs() < 2e-4, "{n}: {at} {expected}");
    }
}

#[test]
fn overlapping_counts_agree_with_a_plain_simulation_of_every_length() {
    let spec = OverlappingSpec { horizon: 10, confidence: 0.99, paths: 1_000_000, seed: 9 };
    let law = OverlappingLaw::simulate(&spec).unwrap();
    assert_eq!(law.samples(), 2_000_000);
    // Cumulative probabilities from 24 million series of 3700 days, simulated without any of the known moments.
    for (n, count, expected, error) in [
        (370, 11, 0.9497950833, 1e-4),
        (1430, 28, 0.9496970833, 1.5e-4),
        (2660, 45, 0.9498517917, 1.5e-4),
        (3500, 56, 0.9500327917, 1.5e-4),
        (3670, 58, 0.9488247083, 1.5e-4),
    ] {
        let found = law.cumulative(n).unwrap()[count];
        assert!((found - expected).abs() < error, "{n}: {found} {expected}");
    }
    // Published (ISDA, 2017): greatest counts of the green zone.
    for (n, green) in [(3, 0), (16, 0), (30, 1), (120, 5), (250, 8), (980, 21), (1990, 35), (3680, 58)] {
        assert_eq!(law.limits(n).unwrap().yellow_from - 1, green, "{n}");
    }
    let total: f64 = *law.cumulative(2000).unwrap().last().unwrap();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
}

#[test]
fn a_law_of_five_years_of_hours_is_a_law() {
    // An independent simulation of 1,500 paths has its 95 % quantile at 598.
    let spec = OverlappingSpec { horizon: 48, confidence: 0.99, paths: 4_000, seed: 1 };
    let law = OverlappingLaw::simulate(&spec).unwrap();
    let cumulative = law.cumulative(43_770).unwrap();
    assert!(cumulative.windows(2).all(|two| two[0] <= two[1] + 1e-9));
    assert!((cumulative.last().unwrap() - 1.0).abs() < 1e-6);
    let limits = law.limits(43_770).unwrap();
    assert!((570..=626).contains(&limits.yellow_from), "{limits:?}");
}

#[test]
fn the_same_seed_gives_the_same_law_and_impossible_ones_are_refused() {
    let spec = OverlappingSpec { horizon: 5, confidence: 0.975, paths: 2000, seed: 4 };
    assert_eq!(OverlappingLaw::simulate(&spec), OverlappingLaw::simulate(&spec));
    for wrong in [
        OverlappingSpec { horizon: 0, ..spec },
        OverlappingSpec { horizon: 251, ..spec },
        OverlappingSpec { confidence: 0.8, ..spec },
        OverlappingSpec { confidence: 1.0, ..spec },
        OverlappingSpec { paths: 0, ..spec },
    ] {
        assert!(OverlappingLaw::simulate(&wrong).is_err(), "{wrong:?}");
    }
    assert!(OverlappingLaw::simulate(&spec).unwrap().cumulative(0).is_err());
}

fn days(pnl: &[f64]) -> Vec<ShortfallDay> {
    pnl.iter().map(|&pnl| ShortfallDay { pnl, var: 2.0, es: 2.5 }).collect()
}

#[test]
fn shortfall_statistics_without_a_breach_are_undefined_or_one() {
    let quiet = days(&[1.0, -2.0, 0.0]);
    assert_eq!(z1(&quiet), Err(StatsError::Domain { parameter: "breaches", value: 0.0, domain: ">= 1" }));
    assert_eq!(z2(&quiet, 0.025), Ok(1.0));
    assert!(z2(&[], 0.025).is_err());
    assert!(z2(&days(&[f64::NAN]), 0.025).is_err());
    assert!(z1(&[ShortfallDay { pnl: -3.0, var: 2.0, es: 0.0 }]).is_err());
}

#[test]
fn realised_ranks_agree_with_a_numerical_integral() {
    let ranks = [
        0.013, 0.2, 0.45, 0.77, 0.031, 0.6, 0.9, 0.11, 0.52, 0.35, 0.68, 0.08, 0.27, 0.83, 0.97, 0.41, 0.05,
        0.73, 0.58, 0.16,
    ];
    // scipy.integrate.quad of the quantile times the binomial distribution.
    let normal = z3(&ranks, 0.1, |_, u| norm_quantile(u)).unwrap();
    assert_near(normal, -0.24959041238567226, 1e-11);
    let student = z3(&ranks, 0.1, |_, u| student_t_quantile(u, 4.0)).unwrap();
    assert_near(student, -0.2964259734243371, 1e-10);
    let moved = z3(&ranks, 0.1, |_, u| 0.3 + 2.0 * norm_quantile(u)).unwrap();
    assert_near(moved, -0.27475852381963883, 1e-10);
    // Scale alone does not matter, and may differ from day to day.
    let scaled = z3(&ranks, 0.1, |day, u| (1.0 + day as f64) * norm_quantile(u)).unwrap();
    assert_near(scaled, normal, 1e-12);
    assert!(z3(&ranks, 0.01, |_, u| norm_quantile(u)).is_err());
    assert!(z3(&[0.0; 20], 0.1, |_, u| norm_quantile(u)).is_err());
    assert!(z3(&ranks, 0.1, |_, u| 10.0 + u).is_err());
}

#[test]
fn critical_values_agree_with_published_ones_and_with_twenty_million_simulated_years() {
    let critical = |law, level| z2_critical_value(law, 250, 0.025, level).unwrap();
    let t = |nu| Law::StudentT { nu };
    // Acerbi and Szekely (2014): -0.70 and -1.8 for the normal law, -0.82 for t3.
    for (law, simulated, error) in [
        (Law::Normal, [-0.70049, -1.7911], [0.0008, 0.008]),
        (t(3.0), [-0.81564, -4.5814], [0.001, 0.05]),
        (t(5.0), [-0.73657, -2.0285], [0.0005, 0.006]),
        (t(10.0), [-0.71092, -1.8395], [0.0011, 0.012]),
    ] {
        for ((level, expected), error) in [0.05, 1e-4].into_iter().zip(simulated).zip(error) {
            let found = critical(law, level);
            assert!((found - expected).abs() < error, "{law:?} {level}: {found} {expected}");
        }
    }
    assert!(z2_critical_value(t(2.0), 250, 0.025, 0.05).is_err());
    assert!(z2_critical_value(Law::Normal, 0, 0.025, 0.05).is_err());
    assert!(z2_critical_value(Law::Normal, 250, 0.6, 0.05).is_err());
    // A single day breaches with 2.5 %: at 5 % nothing below 1 is reached.
    assert_eq!(z2_critical_value(Law::Normal, 1, 0.025, 0.05), Ok(1.0));
}

#[test]
fn a_right_model_is_rejected_as_often_as_the_level_says() {
    let critical = z2_critical_value(Law::Normal, 250, 0.025, 0.05).unwrap();
    let (var, es) = (1.959963984540054, 2.337802792201331);
    let mut rng = Rng64::new(17);
    let mut rejected = 0;
    for _ in 0..4000 {
        let year: Vec<ShortfallDay> =
            (0..250).map(|_| ShortfallDay { pnl: norm_quantile(rng.uniform()), var, es }).collect();
        rejected += u32::from(z2(&year, 0.025).unwrap() < critical);
    }
    // 200 expected, standard deviation 13.8.
    assert!((145..=255).contains(&rejected), "{rejected}");
}
