//! One number over every function: it must be the same in debug, release and native builds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
mod reference;

use plimsoll_lanes::Path;
use plimsoll_quant::batch::{self, GreekColumns, Quotes, lane};
use plimsoll_quant::black::{OptionKind, greeks, price};
use plimsoll_quant::bs;
use plimsoll_quant::implied::implied_vol;
use plimsoll_quant::special as sp;
use reference::Digest;

/// A fixed sequence of numbers in [0, 1).
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as f64 / 4_294_967_296.0
    }

    fn within(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.next()
    }
}

fn sweep_special(d: &mut Digest) {
    let mut s = Sequence(1);
    for _ in 0..20_000 {
        let (x, p, y) = (s.within(-40.0, 40.0), s.next(), s.within(-3.0, 3.0));
        let wide = s.within(-760.0, 720.0);
        for value in [
            sp::exp(wide),
            sp::exp_m1(y),
            sp::ln(sp::exp(wide)),
            sp::ln_1p(y),
            sp::pow(p, y),
            sp::norm_cdf(x),
            sp::norm_pdf(x),
            sp::norm_quantile(p),
            sp::norm_quantile(sp::exp(-x.abs() * 18.0)),
            sp::erfc(x),
            sp::erfcx(x),
        ] {
            d.add(value);
        }
    }
    for _ in 0..500 {
        let (x, p, nu) = (s.within(-20.0, 20.0), s.next(), s.within(1.0, 60.0));
        for value in [
            sp::ln_gamma(nu),
            sp::chi2_cdf(x.abs(), nu),
            sp::chi2_sf(x.abs(), nu),
            sp::student_t_cdf(x, nu),
            sp::student_t_pdf(x, nu),
            sp::student_t_quantile(p, nu),
            sp::beta_inc(nu, 2.5, p),
        ] {
            d.add(value);
        }
    }
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 5e-324, f64::MAX, f64::MIN_POSITIVE] {
        for f in
            [sp::exp, sp::ln, sp::exp_m1, sp::ln_1p, sp::norm_cdf, sp::norm_quantile, sp::erfc, sp::erfcx]
        {
            d.add(f(x));
        }
    }
}

fn sweep_options(d: &mut Digest) {
    let mut s = Sequence(2);
    for _ in 0..20_000 {
        let kind = if s.next() < 0.5 { OptionKind::Call } else { OptionKind::Put };
        let strike = 100.0 * sp::exp(s.within(-4.0, 4.0) * s.next());
        let (vol, tau) = (sp::exp(s.within(-5.0, 1.5)), sp::exp(s.within(-12.0, 2.0)));
        let g = greeks(kind, 100.0, strike, vol, tau);
        for value in [g.price, g.delta, g.gamma, g.vega, g.theta, g.rho, g.vanna, g.volga] {
            d.add(value);
        }
        d.add(price(kind, 100.0, strike, 3.0 * vol, tau));
        d.add(implied_vol(kind, g.price, 100.0, strike, tau).unwrap_or(f64::NAN));
        let spot = bs::SpotInputs { spot: 100.0, strike, yield_: s.within(-0.1, 0.1), rate: 0.03, tau, vol };
        let b = bs::greeks(kind, &spot);
        for value in [b.value, b.delta, b.theta, b.rho, b.dividend_rho, b.elasticity, b.vanna, b.volga] {
            d.add(value);
        }
    }
}

fn sweep_lanes(path: Path) -> u64 {
    let (mut s, n) = (Sequence(3), 60_001);
    let mut column = |a: f64, b: f64| (0..n).map(|_| sp::exp(s.within(a, b))).collect::<Vec<f64>>();
    let (forward, vol, tau) = (column(-18.4, 18.4), column(-12.0, 4.0), column(-17.3, 3.4));
    let strike: Vec<f64> = forward.iter().zip(column(-12.0, 12.0)).map(|(f, ratio)| f * ratio).collect();
    let kind: Vec<OptionKind> =
        column(-1.0, 1.0).iter().map(|&x| if x < 1.0 { OptionKind::Call } else { OptionKind::Put }).collect();
    let quotes = Quotes { kind: &kind, forward: &forward, strike: &strike, vol: &vol, tau: &tau };
    let mut columns = vec![vec![0.0; n]; 6];
    let [prices, price, delta, gamma, vega, theta] = columns.get_disjoint_mut([0, 1, 2, 3, 4, 5]).unwrap();
    batch::prices(path, &quotes, prices).unwrap();
    batch::greeks(path, &quotes, &mut GreekColumns { price, delta, gamma, vega, theta }).unwrap();
    let mut d = Digest(0xcbf2_9ce4_8422_2325);
    columns.iter().flatten().for_each(|&x| d.add(x));
    for i in 0..n {
        let (f, k) = (forward[i], strike[i]);
        let x = lane::ln_ratio(f, k);
        let g = lane::greeks(kind[i].sign(), f, k, x, vol[i], tau[i]);
        for value in [x, g.rho, g.vanna, g.volga, lane::exp(x), lane::delta(1.0, f, k, x, vol[i])] {
            d.add(value);
        }
    }
    d.0
}

#[test]
fn the_digest_of_the_lanes_is_the_pinned_one_on_every_path() {
    for path in Path::available() {
        let digest = sweep_lanes(path);
        println!("{} {digest:#018x}", path.name());
        assert_eq!(digest, 0xf357_d7a9_e6dc_2432, "{}", path.name());
    }
}

#[test]
fn the_digest_of_every_function_is_the_pinned_one() {
    let mut d = Digest(0xcbf2_9ce4_8422_2325);
    sweep_special(&mut d);
    let special = d.0;
    sweep_options(&mut d);
    println!("{special:#018x} {:#018x}", d.0);
    assert_eq!((special, d.0), (0xaa05_a5f2_c8bf_f002, 0xe8f3_1fb0_72c4_7661));
}
