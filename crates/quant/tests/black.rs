//! Black-76 against 80-digit references (`reference/black.py`), the project vectors, identities and differences.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
use plimsoll_quant::black::{Black, Greeks, OptionKind, greeks, intrinsic, price};
use proptest::prelude::*;

const KINDS: [OptionKind; 2] = [OptionKind::Call, OptionKind::Put];

fn reference() -> Vec<Vec<f64>> {
    include_str!("reference/black.csv")
        .lines()
        .map(|l| l.split(',').map(|v| v.parse().unwrap()).collect())
        .collect()
}

fn relative(computed: f64, expected: f64) -> f64 {
    if computed == expected { 0.0 } else { ((computed - expected) / expected).abs() }
}

#[test]
fn prices_are_within_5e_14_of_high_precision_out_to_1e_290() {
    let (mut worst, mut smallest) = (0.0f64, f64::INFINITY);
    for r in reference() {
        let (f, k, vol, tau) = (r[0], r[1], r[2], r[3]);
        for (kind, expected) in KINDS.into_iter().zip([r[4], r[5]]) {
            let error = relative(price(kind, f, k, vol, tau), expected);
            assert!(error < 5e-14, "{kind:?} {f} {k} {vol} {tau}: {error}");
            (worst, smallest) = (worst.max(error), smallest.min(expected));
        }
    }
    println!("worst {worst}, smallest price {smallest}");
    assert!(smallest < 1e-200);
}

#[test]
fn greeks_are_within_1e_12_of_high_precision() {
    let mut worst = [0.0f64; 6];
    for r in reference() {
        let (f, k, vol, tau) = (r[0], r[1], r[2], r[3]);
        let g = greeks(OptionKind::Call, f, k, vol, tau);
        let computed = [g.delta, g.gamma, g.vega, g.theta, g.vanna, g.volga];
        for (i, (c, e)) in computed.into_iter().zip(&r[6..12]).enumerate() {
            if e.abs() < 1e-290 {
                continue;
            }
            worst[i] = worst[i].max(relative(c, *e));
            assert!(relative(c, *e) < 1e-12, "greek {i} of {r:?}: {c}");
        }
        assert_eq!(g.price, price(OptionKind::Call, f, k, vol, tau));
        let put = greeks(OptionKind::Put, f, k, vol, tau);
        assert!((g.delta - put.delta - 1.0).abs() < 1e-15);
        assert_eq!((g.gamma, g.vega, g.vanna, g.volga), (put.gamma, put.vega, put.vanna, put.volga));
    }
    println!("worst {worst:?}");
}

#[test]
fn edges_give_intrinsic_and_step_deltas() {
    use OptionKind::{Call, Put};
    for (tau, vol) in [(0.0, 0.5), (-1.0, 0.5), (1.0, 0.0)] {
        assert_eq!(price(Call, 110.0, 100.0, vol, tau), 10.0);
        assert_eq!(price(Put, 110.0, 100.0, vol, tau), 0.0);
        let g = greeks(Call, 110.0, 100.0, vol, tau);
        assert_eq!(g, Greeks { price: 10.0, delta: 1.0, ..Greeks::default() });
        assert_eq!(greeks(Put, 90.0, 100.0, vol, tau).delta, -1.0);
        assert_eq!(greeks(Call, 90.0, 100.0, vol, tau), Greeks::default());
        assert_eq!(
            (greeks(Call, 5.0, 5.0, vol, tau).delta, greeks(Put, 5.0, 5.0, vol, tau).delta),
            (0.5, -0.5)
        );
    }
    assert_eq!((price(Call, 7.0, 0.0, 0.5, 1.0), price(Put, 7.0, 0.0, 0.5, 1.0)), (7.0, 0.0));
    assert_eq!((price(Call, 0.0, 7.0, 0.5, 1.0), price(Put, 0.0, 7.0, 0.5, 1.0)), (0.0, 7.0));
    assert_eq!(
        (price(Call, 100.0, 90.0, f64::INFINITY, 1.0), price(Put, 100.0, 90.0, 1e9, 1.0)),
        (100.0, 90.0)
    );
    for bad in
        [(f64::NAN, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, 1.0), (1.0, 1.0, -0.1, 1.0), (1.0, 1.0, 1.0, f64::NAN)]
    {
        assert!(price(Call, bad.0, bad.1, bad.2, bad.3).is_nan());
        assert!(greeks(Call, bad.0, bad.1, bad.2, bad.3).delta.is_nan());
    }
    assert_eq!(intrinsic(Put, 90.0, 100.0), 10.0);
}

#[test]
fn discounting_scales_the_value_and_adds_carry_to_theta() {
    for discount in [0.9, 1.0, 1.07] {
        let b = Black { forward: 100.0, strike: 95.0, vol: 0.6, tau: 0.3, discount, kind: OptionKind::Put };
        let (g, u) = (b.greeks(), greeks(b.kind, 100.0, 95.0, 0.6, 0.3));
        assert_eq!(g.price, discount * u.price);
        assert_eq!(b.price(), g.price);
        assert_eq!(g.rho, -0.3 * g.price);
        // Theta against a difference in tau at fixed rate r = -ln(D)/tau.
        let rate = -plimsoll_quant::special::ln(discount) / 0.3;
        let at = |tau: f64| plimsoll_quant::special::exp(-rate * tau) * price(b.kind, 100.0, 95.0, 0.6, tau);
        let difference = -(at(0.3 + 1e-5) - at(0.3 - 1e-5)) / 2e-5;
        assert!((g.theta - difference).abs() < 1e-6 * difference.abs(), "{} {difference}", g.theta);
    }
    let itm =
        Black { forward: 100.0, strike: 120.0, vol: 0.0, tau: 1.0, discount: 1.02, kind: OptionKind::Put };
    assert_eq!((itm.intrinsic(), itm.price()), (1.02 * 20.0, 1.02 * 20.0));
}

/// Fourth-order central difference.
#[test]
fn an_enormous_volatility_is_worth_the_bound_without_a_gap() {
    for deviations in 60..=140 {
        let vol = f64::from(deviations);
        assert_eq!(price(OptionKind::Put, 2896.0, 7240.0, vol, 1.0), 7240.0, "{vol}");
        assert_eq!(price(OptionKind::Call, 2896.0, 7240.0, vol, 1.0), 2896.0, "{vol}");
        assert_eq!(price(OptionKind::Call, 7240.0, 2896.0, vol, 1.0), 7240.0, "{vol}");
    }
}

fn difference(f: impl Fn(f64) -> f64, x: f64, h: f64) -> f64 {
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

#[test]
fn each_greek_is_the_difference_of_the_price() {
    for kind in KINDS {
        for (f, k, vol, tau) in
            [(100.0, 100.0, 0.2, 0.5), (100.0, 130.0, 0.8, 0.1), (5.0, 2.0, 1.5, 0.7), (3.0, 3.01, 0.3, 0.01)]
        {
            let g = greeks(kind, f, k, vol, tau);
            let close =
                |a: f64, b: f64, scale: f64| assert!((a - b).abs() < 2e-8 * scale, "{kind:?} {k} {a} {b}");
            let (hf, hv, ht) = (f * vol * tau.sqrt() * 3e-3, vol * 3e-3, tau * 3e-3);
            close(g.delta, difference(|x| price(kind, x, k, vol, tau), f, hf), 1.0);
            close(g.vega, difference(|x| price(kind, f, k, x, tau), vol, hv), g.vega);
            close(g.theta, -difference(|x| price(kind, f, k, vol, x), tau, ht), g.theta.abs());
            close(g.gamma, difference(|x| greeks(kind, x, k, vol, tau).delta, f, hf), g.gamma);
            close(g.vanna, difference(|x| greeks(kind, f, k, x, tau).delta, vol, hv), 1.0);
            close(g.volga, difference(|x| greeks(kind, f, k, x, tau).vega, vol, hv), g.vega / vol);
        }
    }
}

#[test]
fn everything_is_finite_and_bounded_over_the_whole_domain() {
    for m in -24..=24 {
        let k = 100.0 * plimsoll_quant::special::pow(10.0, f64::from(m) * 0.25);
        for v in 0..=40 {
            let vol = 1e-6 * plimsoll_quant::special::pow(6e7, f64::from(v) / 40.0);
            for tau in [1.0 / 31_536_000.0, 1e-5, 1.0 / 365.0, 0.1, 1.0, 10.0] {
                for kind in KINDS {
                    let g = greeks(kind, 100.0, k, vol, tau);
                    let all = [g.price, g.delta, g.gamma, g.vega, g.theta, g.rho, g.vanna, g.volga];
                    assert!(all.iter().all(|x| x.is_finite()), "{k} {vol} {tau} {g:?}");
                    let bound = if kind == OptionKind::Call { 100.0 } else { k };
                    assert!(
                        g.price >= intrinsic(kind, 100.0, k) && g.price <= bound,
                        "{k} {vol} {tau} {g:?}"
                    );
                    assert!(
                        (0.0..=1.0).contains(&(kind.sign() * g.delta)) && g.gamma >= 0.0 && g.vega >= 0.0
                    );
                }
            }
        }
    }
}

#[test]
fn the_price_rises_with_volatility_across_the_seams_of_the_three_forms() {
    for k in [100.0, 100.5, 103.0, 120.0, 200.0] {
        let mut last = 0.0;
        for i in 1..20_000 {
            let p = price(OptionKind::Call, 100.0, k, f64::from(i) * 1e-4, 1.0);
            // A seam may lose an ulp or two, no more.
            assert!(p >= last * (1.0 - 1e-15), "{k} {i} {p} {last}");
            last = p;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn put_call_parity_holds(f in 1e-3..1e6f64, r in 1e-2..1e2f64, vol in 1e-3..5.0f64, tau in 1e-6..10.0f64) {
        let k = f * r;
        let gap = price(OptionKind::Call, f, k, vol, tau) - price(OptionKind::Put, f, k, vol, tau) - (f - k);
        prop_assert!(gap.abs() <= 4.0 * f64::EPSILON * f.max(k));
    }

    #[test]
    fn the_price_is_homogeneous(f in 1e-3..1e6f64, r in 1e-2..1e2f64, vol in 1e-3..5.0f64, tau in 1e-6..10.0f64) {
        // A power of four scales F, K and both square roots exactly.
        let a = price(OptionKind::Put, f, f * r, vol, tau);
        prop_assert_eq!(4.0 * a, price(OptionKind::Put, 4.0 * f, 4.0 * (f * r), vol, tau));
    }

    #[test]
    fn a_call_is_the_put_with_forward_and_strike_exchanged(f in 1e-3..1e6f64, r in 0.1..10.0f64, vol in 0.01..5.0f64, tau in 1e-3..10.0f64) {
        let k = f * r;
        let (a, b) = (price(OptionKind::Call, f, k, vol, tau), price(OptionKind::Put, k, f, vol, tau));
        prop_assert!((a - b).abs() <= 1e-13 * a);
    }

    #[test]
    fn the_price_is_monotone_and_convex_in_the_strike(f in 1.0..1e5f64, r in 0.2..5.0f64, vol in 0.05..3.0f64, tau in 1e-3..3.0f64) {
        let k = f * r;
        let h = 0.01 * k;
        let at = |k: f64| price(OptionKind::Call, f, k, vol, tau);
        prop_assert!(at(k - h) >= at(k) && at(k) >= at(k + h));
        prop_assert!(at(k - h) - 2.0 * at(k) + at(k + h) >= -1e-14 * f);
    }
}
