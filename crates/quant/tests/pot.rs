//! Generalised Pareto estimates against scipy, and the tail measures against their closed forms.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::pot::{Pareto, ParetoMethod, Tail, TailWindow};
use plimsoll_quant::schedule::Refit;
use plimsoll_quant::special::ln;
use plimsoll_quant::stats::StatsError;
use reference::{Draw, Rows};

/// Ratios of sums of uniforms: power tails without a logarithm, so that the script makes the same floats.
fn excesses(kind: u64, n: usize) -> Vec<f64> {
    let mut draw = Draw(100 + kind);
    let one = |_| {
        let u = draw.uniform() + 1e-9;
        match kind {
            // Shapes 1/2, 1, -1 and 0.25.
            0 => 1.0 / u.sqrt() - 1.0,
            1 => 1.0 / u - 1.0 + 1e-9,
            2 => 0.01 * u,
            3 => 1.0 / u.sqrt().sqrt() - 1.0 + 1e-12,
            // Something that is no such law: squares of normal numbers.
            _ => {
                let z = draw.normal();
                z * z + 1e-12
            }
        }
    };
    (0..n).map(one).collect()
}

#[test]
fn estimates_and_tail_measures_agree_with_scipy() {
    for row in Rows::read("statistics/pot.csv").iter() {
        let (kind, n) = (row[0] as u64, row[1] as usize);
        let excesses = excesses(kind, n);
        let law = Pareto::fit(&excesses).unwrap();
        assert_eq!(law.method, ParetoMethod::Likelihood, "{row:?}");
        assert!((law.shape - row[2]).abs() < 2e-6, "{law:?} {row:?}");
        assert!((law.scale / row[3] - 1.0).abs() < 2e-6, "{law:?} {row:?}");
        assert!((law.log_likelihood(&excesses) - row[4]).abs() < 1e-6 * row[4].abs());
        let tail = Tail { threshold: 0.02, share: 0.1, law: Pareto { shape: row[2], scale: row[3], ..law } };
        assert!((tail.quantile(0.99).unwrap() / row[5] - 1.0).abs() < 1e-9, "{row:?}");
        match tail.shortfall(0.99) {
            Ok(found) => assert!((found / row[6] - 1.0).abs() < 1e-6, "{found} {row:?}"),
            Err(error) => {
                assert!(matches!(error, StatsError::Domain { parameter: "shape", .. }));
                assert!(row[2] >= 1.0);
            }
        }
    }
}

#[test]
fn without_a_maximum_inside_the_domain_moments_answer() {
    // Uniform excesses: shape -1, where the likelihood has no regular maximum.
    let law = Pareto::fit(&excesses(2, 400)).unwrap();
    assert_eq!(law.method, ParetoMethod::Moments);
    assert!((law.shape + 1.0).abs() < 0.15 && (law.scale / 0.01 - 1.0).abs() < 0.15, "{law:?}");
    // Both methods agree where both apply.
    let power = excesses(3, 4000);
    let (a, b) = (Pareto::fit(&power).unwrap(), Pareto::by_moments(&power).unwrap());
    assert!((a.shape - b.shape).abs() < 0.05 && (a.scale / b.scale - 1.0).abs() < 0.05, "{a:?} {b:?}");
}

#[test]
fn a_quantile_below_the_threshold_and_an_infinite_mean_are_refused() {
    let law = Pareto { shape: 1.2, scale: 0.01, method: ParetoMethod::Likelihood };
    let tail = Tail { threshold: 0.05, share: 0.1, law };
    assert_eq!(tail.quantile(0.9), Ok(0.05));
    assert!(matches!(tail.quantile(0.85), Err(StatsError::Domain { parameter: "level", .. })));
    assert!(matches!(tail.shortfall(0.99), Err(StatsError::Domain { parameter: "shape", .. })));
    let exponential = Tail { law: Pareto { shape: 0.0, ..law }, ..tail };
    assert!((exponential.quantile(0.99).unwrap() - (0.05 + 0.01 * ln(10.0))).abs() < 1e-15);
    let nearly = Tail { law: Pareto { shape: 1e-10, ..law }, ..tail };
    assert!((nearly.quantile(0.99).unwrap() - exponential.quantile(0.99).unwrap()).abs() < 1e-11);
    assert!(
        (exponential.shortfall(0.99).unwrap() - exponential.quantile(0.99).unwrap() - 0.01).abs() < 1e-15
    );
}

#[test]
fn quantiles_rise_with_the_level_and_shortfalls_are_above_them() {
    let losses: Vec<f64> = excesses(0, 3000);
    let tail = Tail::fit(&losses, 0.9).unwrap();
    let mut before = tail.threshold;
    for level in [0.91, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9999] {
        let (q, es) = (tail.quantile(level).unwrap(), tail.shortfall(level).unwrap());
        assert!(q > before && es > q);
        before = q;
    }
}

#[test]
fn a_window_is_estimated_on_its_schedule() {
    let losses = excesses(0, 700);
    let mut online = TailWindow::new(500, 0.9, 300, 50).unwrap();
    for (i, loss) in losses.iter().enumerate() {
        let refit = online.update(*loss).unwrap();
        let due = i + 1 >= 300 && (i + 1 - 300) % 50 == 0;
        assert_eq!(refit == Refit::Done, due);
    }
    assert_eq!(online.tail().unwrap(), &Tail::fit(&losses[200..], 0.9).unwrap());
    let before = online.clone();
    assert!(online.update(f64::NAN).is_err());
    assert_eq!(online, before);
    // A constant series has no excess: the estimate before stays, with the reason.
    let mut flat = TailWindow::new(300, 0.9, 300, 50).unwrap();
    for _ in 0..299 {
        assert_eq!(flat.update(0.01), Ok(Refit::NotDue));
    }
    assert!(matches!(flat.update(0.01), Ok(Refit::Kept(StatsError::TooFew { observations: 0, needed: 10 }))));
    assert!(flat.tail().is_err());
    assert!(TailWindow::new(500, 0.9, 50, 10).is_err());
    assert!(TailWindow::new(200, 0.9, 300, 10).is_err());
    assert!(Pareto::fit(&[0.1; 5]).is_err() && Pareto::fit(&[0.0; 20]).is_err());
}
