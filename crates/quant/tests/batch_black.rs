//! Black-76 in lanes: against high precision, against the scalar reference, at the edges, and the same bits on every
//! path, length and alignment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
use plimsoll_lanes::Path;
use plimsoll_quant::batch::{BatchError, Quotes, lane, prices};
use plimsoll_quant::black::{self, Greeks, OptionKind};

const KINDS: [OptionKind; 2] = [OptionKind::Call, OptionKind::Put];

/// Columns of options.
#[derive(Clone, Default)]
struct Book {
    kind: Vec<OptionKind>,
    forward: Vec<f64>,
    strike: Vec<f64>,
    vol: Vec<f64>,
    tau: Vec<f64>,
}

impl Book {
    fn push(&mut self, kind: OptionKind, forward: f64, strike: f64, vol: f64, tau: f64) {
        self.kind.push(kind);
        self.forward.push(forward);
        self.strike.push(strike);
        self.vol.push(vol);
        self.tau.push(tau);
    }

    fn quotes(&self) -> Quotes<'_> {
        self.part(0, self.kind.len())
    }

    fn part(&self, from: usize, to: usize) -> Quotes<'_> {
        Quotes {
            kind: &self.kind[from..to],
            forward: &self.forward[from..to],
            strike: &self.strike[from..to],
            vol: &self.vol[from..to],
            tau: &self.tau[from..to],
        }
    }

    fn prices(&self, path: Path) -> Vec<f64> {
        let mut out = vec![0.5; self.kind.len()];
        prices(path, &self.quotes(), &mut out).unwrap();
        out
    }
}

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

    fn kind(&mut self) -> OptionKind {
        KINDS[usize::from(self.next() < 0.5)]
    }
}

fn lane_price(kind: OptionKind, forward: f64, strike: f64, vol: f64, tau: f64) -> f64 {
    lane::price(kind.sign(), forward, strike, lane::ln_ratio(forward, strike), lane::total_vol(vol, tau))
}

fn lane_greeks(kind: OptionKind, forward: f64, strike: f64, vol: f64, tau: f64) -> Greeks {
    lane::greeks(kind.sign(), forward, strike, lane::ln_ratio(forward, strike), vol, tau)
}

fn values(g: &Greeks) -> [f64; 8] {
    [g.price, g.delta, g.gamma, g.vega, g.theta, g.rho, g.vanna, g.volga]
}

/// Every combination of numbers that are special for one input or another.
fn edges() -> Book {
    let sizes = [0.0, -0.0, 5e-324, 1e-310, f64::MIN_POSITIVE, 1e-200, 0.7, 1.0, 1.5, 100.0, 1e200, f64::MAX];
    let wrong = [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let legs: Vec<f64> = sizes.into_iter().chain(wrong).collect();
    let vols = [0.0, 1e-140, 1e-12, 0.2, 1.0, 10.0, 60.0, 200.0, 1e10, 1e200, f64::INFINITY, -0.1, f64::NAN];
    let taus =
        [0.0, -0.0, -1.0, 5e-324, 1e-20, 3e-8, 1.0, 30.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut book = Book::default();
    for kind in KINDS {
        for &forward in &legs {
            for &strike in &legs {
                for vol in vols {
                    for tau in taus {
                        book.push(kind, forward, strike, vol, tau);
                    }
                }
            }
        }
    }
    book
}

#[test]
fn at_every_edge_the_price_is_that_of_the_reference() {
    let book = edges();
    for i in 0..book.kind.len() {
        let (kind, f, k, vol, tau) =
            (book.kind[i], book.forward[i], book.strike[i], book.vol[i], book.tau[i]);
        let (ours, expected) = (lane_price(kind, f, k, vol, tau), black::price(kind, f, k, vol, tau));
        assert_eq!(
            ours.is_nan(),
            expected.is_nan(),
            "{kind:?} {f:e} {k:e} {vol:e} {tau:e}: {ours} {expected}"
        );
        if !expected.is_nan() {
            let error = (ours - expected).abs();
            assert!(
                error <= 1e-14 * f.max(k) + 1e-323,
                "{kind:?} {f:e} {k:e} {vol:e} {tau:e}: {ours} {expected}"
            );
            assert!(ours >= black::intrinsic(kind, f, k), "{kind:?} {f:e} {k:e} {vol:e} {tau:e}: {ours}");
        }
    }
}

#[test]
fn where_there_is_no_time_value_price_and_greeks_are_exactly_the_references() {
    let book = edges();
    for i in 0..book.kind.len() {
        let (kind, f, k, vol, tau) =
            (book.kind[i], book.forward[i], book.strike[i], book.vol[i], book.tau[i]);
        let expected = black::greeks(kind, f, k, vol, tau);
        let none = tau <= 0.0 || vol == 0.0 || f == 0.0 || k == 0.0 || lane::total_vol(vol, tau) < 1e-290;
        if expected.price.is_nan() {
            let ours = lane_greeks(kind, f, k, vol, tau);
            assert!(
                values(&ours).iter().all(|v| v.is_nan()),
                "{kind:?} {f:e} {k:e} {vol:e} {tau:e}: {ours:?}"
            );
        } else if none {
            assert_eq!(lane_greeks(kind, f, k, vol, tau), expected, "{kind:?} {f:e} {k:e} {vol:e} {tau:e}");
        }
    }
}

/// Options of broad domain: half of them near the money for their total volatility.
fn broad(n: usize, seed: u64) -> Book {
    let mut s = Sequence(seed);
    let mut book = Book::default();
    let exp = plimsoll_quant::special::exp;
    for i in 0..n {
        let forward = exp(s.within(-18.4, 18.4));
        let tau = exp(s.within(-17.3, 3.4));
        let vol = exp(s.within(-27.6, 4.0)) / tau.sqrt();
        let span = if i % 2 == 0 { 12.0 } else { (6.0 * vol * tau.sqrt()).min(12.0) };
        let strike = forward * exp(s.within(-span, span));
        book.push(s.kind(), forward, strike, vol, tau);
    }
    book
}

#[test]
fn a_million_prices_are_within_3e_15_of_the_reference_relative_to_the_larger_leg() {
    let book = broad(1_000_000, 7);
    let ours = book.prices(Path::best());
    let mut worst = 0.0f64;
    for (i, ours) in ours.into_iter().enumerate() {
        let (f, k) = (book.forward[i], book.strike[i]);
        let expected = black::price(book.kind[i], f, k, book.vol[i], book.tau[i]);
        let error = (ours - expected).abs() / f.max(k);
        assert!(
            error <= 3e-15,
            "{:?} {f} {k} {} {}: {ours} {expected}",
            book.kind[i],
            book.vol[i],
            book.tau[i]
        );
        worst = worst.max(error);
    }
    println!("worst {worst:e}");
}

#[test]
fn a_column_of_another_length_is_refused() {
    let book = broad(5, 1);
    let mut out = [0.0; 4];
    let refused = prices(Path::best(), &book.quotes(), &mut out);
    assert_eq!(refused, Err(BatchError::LengthMismatch { column: "out", length: 4, expected: 5 }));
    for column in ["forward", "strike", "vol", "tau"] {
        let mut quotes = book.quotes();
        match column {
            "forward" => quotes.forward = &book.forward[1..],
            "strike" => quotes.strike = &book.strike[1..],
            "vol" => quotes.vol = &book.vol[1..],
            _ => quotes.tau = &book.tau[1..],
        }
        let refused = prices(Path::best(), &quotes, &mut [0.0; 5]);
        assert_eq!(refused, Err(BatchError::LengthMismatch { column, length: 4, expected: 5 }));
    }
}
