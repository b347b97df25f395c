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
use plimsoll_quant::batch::{BatchError, GreekColumns, Quotes, greeks, lane, prices};
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
            // A subnormal leg counts as nothing.
            let error = (ours - expected).abs();
            assert!(
                error <= 1e-14 * f.max(k) + f64::MIN_POSITIVE,
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
fn a_million_prices_are_within_2e_15_of_the_reference_relative_to_the_larger_leg() {
    let book = broad(1_000_000, 7);
    let ours = book.prices(Path::best());
    let mut worst = 0.0f64;
    for (i, ours) in ours.into_iter().enumerate() {
        let (f, k) = (book.forward[i], book.strike[i]);
        let expected = black::price(book.kind[i], f, k, book.vol[i], book.tau[i]);
        let error = (ours - expected).abs() / f.max(k);
        assert!(
            error <= 2e-15,
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

/// Rows of `reference/lane.py`: F, K, vol, tau, call, put, delta, gamma, vega, theta, vanna, volga of the call.
fn reference() -> Vec<Vec<f64>> {
    include_str!("reference/lane.csv")
        .lines()
        .map(|l| l.split(',').map(|v| v.parse().unwrap()).collect())
        .collect()
}

#[test]
fn over_the_whole_domain_the_price_is_within_2e_15_of_high_precision_relative_to_the_larger_leg() {
    let mut worst = 0.0f64;
    for r in reference() {
        let (f, k, vol, tau) = (r[0], r[1], r[2], r[3]);
        for (kind, expected) in KINDS.into_iter().zip([r[4], r[5]]) {
            let ours = lane_price(kind, f, k, vol, tau);
            let error = (ours - expected).abs() / f.max(k);
            assert!(error <= 2e-15, "{kind:?} {f:e} {k:e} {vol:e} {tau:e}: {ours:e} {expected:e}");
            worst = worst.max(error);
        }
    }
    println!("worst {worst:e}");
}

/// What the documentation of `lane::greeks` allows, relative to the first of each pair `(scale, value)`.
fn scaled_errors(ours: &Greeks, row: &[f64]) -> [f64; 5] {
    let s = lane::total_vol(row[2], row[3]);
    let x = lane::ln_ratio(row[0], row[1]);
    let (d1, d2) = (x / s + 0.5 * s, x / s - 0.5 * s);
    let far = d1.abs().max(d2.abs());
    let unit = (10.0 + 5.0 * d1.abs() * far) * f64::EPSILON / 2.0;
    let vanna_scale = ours.gamma * row[0] * s * far / row[2];
    let volga_scale = ours.vega * (far * (d1.abs() + d2.abs())) / row[2];
    let pairs = [(row[7], ours.gamma), (row[8], ours.vega), (row[9], ours.theta)];
    let [gamma, vega, theta] = pairs.map(|(expected, value)| ((value - expected) / expected).abs() / unit);
    let vanna = (ours.vanna - row[10]).abs() / vanna_scale / unit;
    let volga = (ours.volga - row[11]).abs() / volga_scale / unit;
    [gamma, vega, theta, vanna, volga]
}

#[test]
fn greeks_keep_the_relative_accuracy_they_state() {
    let (mut worst, mut worst_delta, mut tested) = ([0.0f64; 5], 0.0f64, 0);
    for r in reference() {
        let ours = lane_greeks(OptionKind::Call, r[0], r[1], r[2], r[3]);
        let put = lane_greeks(OptionKind::Put, r[0], r[1], r[2], r[3]);
        worst_delta = worst_delta.max((ours.delta - r[6]).abs()).max((put.delta + 1.0 - r[6]).abs());
        assert_eq!(values(&ours)[2..5], values(&put)[2..5]);
        assert_eq!((ours.rho, put.rho), (-r[3] * ours.price, -r[3] * put.price));
        let measurable = |v: f64| v.abs() > 1e-280 && v.is_finite();
        if !(r[7..12].iter().all(|&v| measurable(v)) && r[7] * r[0] * lane::total_vol(r[2], r[3]) > 1e-300) {
            continue;
        }
        tested += 1;
        let errors = scaled_errors(&ours, &r);
        assert!(errors.iter().all(|&e| e <= 1.0), "{r:?}: {ours:?} {errors:?}");
        for (worst, error) in worst.iter_mut().zip(errors) {
            *worst = worst.max(error);
        }
    }
    println!("worst, of what is allowed, {worst:?}; delta {worst_delta:e}; {tested} rows");
    assert!(worst_delta < 1e-15 && tested > 250);
}

#[test]
fn delta_alone_is_the_delta_of_the_greeks_and_far_tails_keep_their_digits() {
    let book = broad(20_000, 3);
    let mut worst = 0.0f64;
    for i in 0..book.kind.len() {
        let (kind, f, k, vol, tau) =
            (book.kind[i], book.forward[i], book.strike[i], book.vol[i], book.tau[i]);
        let (x, s) = (lane::ln_ratio(f, k), lane::total_vol(vol, tau));
        let g = lane_greeks(kind, f, k, vol, tau);
        assert_eq!(g.delta, lane::delta(kind.sign(), f, k, x, s));
        assert_eq!(g.price, lane_price(kind, f, k, vol, tau));
        let expected = black::greeks(kind, f, k, vol, tau).delta;
        assert!((g.delta - expected).abs() <= 1e-15, "{kind:?} {f:e} {k:e} {vol:e} {tau:e}");
        let d1 = x / s + 0.5 * s;
        let far = d1.abs().max((x / s - 0.5 * s).abs());
        if expected.abs() > 1e-290 {
            worst = worst.max((g.delta / expected - 1.0).abs() / (5e-15 * (1.0 + d1.abs() * far / 4.0)));
        }
    }
    println!("worst relative error of delta {worst} of what is allowed");
    assert!(worst <= 1.0);
}

#[test]
fn parity_holds_to_rounding_and_prices_lie_between_intrinsic_and_bound() {
    let book = broad(200_000, 11);
    for i in 0..book.kind.len() {
        let (f, k, vol, tau) = (book.forward[i], book.strike[i], book.vol[i], book.tau[i]);
        let [call, put] = KINDS.map(|kind| lane_price(kind, f, k, vol, tau));
        assert!((call - put - (f - k)).abs() <= 2e-15 * f.max(k), "{f:e} {k:e} {vol:e} {tau:e}");
        let [c, p] = KINDS.map(|kind| black::intrinsic(kind, f, k));
        assert!(
            (c..=f).contains(&call) && (p..=k).contains(&put),
            "{f:e} {k:e} {vol:e} {tau:e}: {call:e} {put:e}"
        );
    }
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    // The sign and payload of a NaN are not part of IEEE-754's promise.
    numbers.iter().map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).collect()
}

/// The five columns of `greeks` for the options `from..to`, each written at an offset of its own.
fn greek_bits(path: Path, book: &Book, from: usize, to: usize) -> Vec<Vec<u64>> {
    let mut columns = vec![vec![0.5; to - from + 5]; 5];
    let [price, delta, gamma, vega, theta] = columns.get_disjoint_mut([0, 1, 2, 3, 4]).unwrap();
    let n = to - from;
    let mut out = GreekColumns {
        price: &mut price[..n],
        delta: &mut delta[1..=n],
        gamma: &mut gamma[2..n + 2],
        vega: &mut vega[3..n + 3],
        theta: &mut theta[4..n + 4],
    };
    greeks(path, &book.part(from, to), &mut out).unwrap();
    columns.iter().enumerate().map(|(i, c)| bits(&c[i..i + n])).collect()
}

#[test]
fn bits_are_the_same_on_every_path_for_every_length_and_alignment() {
    let mut book = edges();
    let more = broad(3000, 5);
    for i in 0..more.kind.len() {
        book.push(more.kind[i], more.forward[i], more.strike[i], more.vol[i], more.tau[i]);
    }
    let n = book.kind.len();
    let expected = bits(&book.prices(Path::plain()));
    let greeks = greek_bits(Path::plain(), &book, 0, n);
    assert_eq!(greeks[0], expected);
    for path in Path::available() {
        assert_eq!(bits(&book.prices(path)), expected, "{}", path.name());
        assert_eq!(greek_bits(path, &book, 0, n), greeks, "{}", path.name());
        for length in [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 1000] {
            for offset in 0..9 {
                let from = n - 2000 + 37 * offset;
                let mut out = vec![0.5; length + offset];
                prices(path, &book.part(from, from + length), &mut out[offset..]).unwrap();
                assert_eq!(bits(&out[offset..]), expected[from..from + length], "{} {length}", path.name());
                assert!(out[..offset].iter().all(|&x| x == 0.5));
                let part = greek_bits(path, &book, from, from + length);
                for (part, whole) in part.iter().zip(&greeks) {
                    assert_eq!(part[..], whole[from..from + length], "{} {length}", path.name());
                }
            }
        }
    }
}

#[test]
fn a_million_and_three_options_have_the_bits_of_the_plain_path() {
    let book = broad(1_000_003, 13);
    let expected = bits(&book.prices(Path::plain()));
    for path in Path::available() {
        assert_eq!(bits(&book.prices(path)), expected, "{}", path.name());
    }
}

#[test]
fn the_elementary_functions_are_within_two_units_of_the_reference() {
    use plimsoll_quant::special as sp;
    let mut s = Sequence(17);
    let mut worst = [0.0f64; 3];
    for _ in 0..200_000 {
        let x = s.within(-707.9, 709.7);
        worst[0] = worst[0].max((lane::exp(x) / sp::exp(x) - 1.0).abs());
        let y = sp::exp(s.within(-700.0, 700.0) * s.next());
        worst[1] = worst[1].max((lane::ln(y) / sp::ln(y) - 1.0).abs());
        // A quotient that is exact, so that the reference sees the same number.
        let (b, step) = (1.0 + (s.next() * 1024.0).floor() / 1024.0, sp::exp(s.within(-9.0, 9.0)) as f32);
        let a = b * f64::from(step);
        worst[2] = worst[2].max((lane::ln_ratio(a, b) / sp::ln(f64::from(step)) - 1.0).abs());
    }
    println!("exp, ln, ln_ratio: {worst:?}");
    assert!(worst[0] <= 2.3e-16 && worst[1] <= 4.5e-16 && worst[2] <= 4.5e-16);
    assert_eq!((lane::exp(f64::INFINITY), lane::exp(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
    assert!(lane::exp(f64::NAN).is_nan() && lane::exp(709.782712893384).is_finite());
}
