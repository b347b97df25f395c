//! The batch of implied volatilities against exact answers, against the volatility that made the price, and against the
//! scalar; its refusals, its bits on every path.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they measured, and keep the digits of references"
)]
use plimsoll_lanes::Path;
use plimsoll_quant::batch::{BatchError, ImpliedStatus, Prices, implied_vols};
use plimsoll_quant::black::{OptionKind, greeks, price};
use plimsoll_quant::special::{exp, ln};

/// A fixed sequence of numbers in [0, 1).
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn within(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.next()
    }

    /// Uniform in the logarithm.
    fn scale(&mut self, a: f64, b: f64) -> f64 {
        exp(self.within(ln(a), ln(b)))
    }
}

#[derive(Default)]
struct Columns {
    kind: Vec<OptionKind>,
    price: Vec<f64>,
    forward: Vec<f64>,
    strike: Vec<f64>,
    tau: Vec<f64>,
    /// The volatility that made the price.
    vol: Vec<f64>,
}

struct Answers {
    vol: Vec<f64>,
    status: Vec<ImpliedStatus>,
    one_by_one: usize,
}

impl Columns {
    fn push(&mut self, kind: OptionKind, price: f64, (forward, strike, tau): (f64, f64, f64), vol: f64) {
        self.kind.push(kind);
        self.price.push(price);
        self.forward.push(forward);
        self.strike.push(strike);
        self.tau.push(tau);
        self.vol.push(vol);
    }

    fn len(&self) -> usize {
        self.kind.len()
    }

    fn part(&self, from: usize, to: usize) -> Prices<'_> {
        Prices {
            kind: &self.kind[from..to],
            price: &self.price[from..to],
            forward: &self.forward[from..to],
            strike: &self.strike[from..to],
            tau: &self.tau[from..to],
        }
    }

    fn solve(&self, path: Path) -> Answers {
        solve(path, &self.part(0, self.len()))
    }

    /// `8 x 2^-53 price / (vega vol)`: the relative error of the volatility that the rounding of the price leaves.
    fn conditioning(&self, i: usize, vol: f64) -> f64 {
        let g = greeks(self.kind[i], self.forward[i], self.strike[i], vol, self.tau[i]);
        4.0 * f64::EPSILON * self.price[i] / (g.vega * vol)
    }

    /// Holds an answer against the scalar's for the same option; their relative difference as a share of
    /// `max(1e-13, conditioning)`, or 0 where both refuse.
    fn compare(&self, answers: &Answers, i: usize) -> f64 {
        match self.part(0, self.len()).implied_vol(i).unwrap() {
            Ok(vol) => {
                assert_eq!(answers.status[i], ImpliedStatus::Ok, "{}", self.describe(i));
                if answers.vol[i].to_bits() == vol.to_bits() {
                    return 0.0;
                }
                let error = (answers.vol[i] / vol - 1.0).abs();
                let share = error / self.conditioning(i, vol).max(1e-13);
                assert!(share <= 1.0, "{}: {error:e}", self.describe(i));
                share
            }
            Err(e) => {
                assert_eq!(answers.status[i], ImpliedStatus::from(&e), "{}", self.describe(i));
                assert!(answers.vol[i].is_nan(), "{}", self.describe(i));
                0.0
            }
        }
    }

    fn describe(&self, i: usize) -> String {
        let s = self.vol[i] * self.tau[i].sqrt();
        format!(
            "{:?} {:?} of {:?} {:?} {:?}: vol {:?}, total {s:e}, ln(F/K) {:e}",
            self.kind[i],
            self.price[i],
            self.forward[i],
            self.strike[i],
            self.tau[i],
            self.vol[i],
            ln(self.forward[i] / self.strike[i])
        )
    }
}

fn solve(path: Path, prices: &Prices<'_>) -> Answers {
    let n = prices.kind.len();
    let mut answers =
        Answers { vol: vec![0.0; n], status: vec![ImpliedStatus::NotConverged; n], one_by_one: 0 };
    answers.one_by_one = implied_vols(path, prices, &mut answers.vol, &mut answers.status).unwrap();
    answers
}

/// Options over the whole domain: total volatility 1e-6 to 30, tau one second to 30 years, moneyness up to prices of
/// 1e-290, near the money, at the money exactly, one in four in the money (many of those drowned).
fn broad(n: usize, seed: u64) -> Columns {
    let mut u = Sequence(seed);
    let mut columns = Columns::default();
    while columns.len() < n {
        let s = u.scale(1e-6, 30.0);
        let x = match columns.len() % 4 {
            0 => s * u.within(-38.0, 38.0),
            1 => u.scale(1e-9, 600.0) * if u.next() < 0.5 { 1.0 } else { -1.0 },
            2 => s * u.within(-3.0, 3.0),
            _ if u.next() < 0.3 => 0.0,
            _ => s * s * u.within(-1.0, 1.0),
        };
        let forward = u.scale(1e-3, 1e6);
        let strike = if x == 0.0 { forward } else { forward * exp(-x) };
        let out_of_the_money = if strike > forward { OptionKind::Call } else { OptionKind::Put };
        let in_the_money = if strike > forward { OptionKind::Put } else { OptionKind::Call };
        let kind = if u.next() < 0.25 { in_the_money } else { out_of_the_money };
        let tau = u.scale(1.0 / 31_557_600.0, 30.0);
        let vol = s / tau.sqrt();
        let value = price(kind, forward, strike, vol, tau);
        if value > 1e-300 && strike < 1e300 && strike > 1e-300 {
            columns.push(kind, value, (forward, strike, tau), vol);
        }
    }
    columns
}

#[test]
fn a_million_random_prices_give_back_their_volatility_within_the_scalar_bound() {
    let columns = broad(1_000_000, 1);
    let answers = columns.solve(Path::best());
    let (mut found, mut worst, mut worst_tight, mut rescued) = (0, 0.0f64, 0.0f64, 0);
    for i in 0..columns.len() {
        if answers.status[i] != ImpliedStatus::Ok {
            assert!(answers.vol[i].is_nan());
            continue;
        }
        found += 1;
        let conditioning = columns.conditioning(i, columns.vol[i]);
        let error = (answers.vol[i] / columns.vol[i] - 1.0).abs();
        assert!(error <= conditioning.max(1e-12), "{}: {error:e}", columns.describe(i));
        worst = worst.max(error / conditioning.max(1e-12));
        let tight = error / conditioning.max(f64::EPSILON);
        assert!(tight <= 16.0, "{}: {error:e}, conditioning {conditioning:e}", columns.describe(i));
        worst_tight = worst_tight.max(tight);
    }
    let refused = columns.len() - found;
    rescued += answers.one_by_one - refused;
    println!(
        "found {found}, refused {refused}, by the scalar {rescued}, worst share of the bound {worst}, worst over \
         max(2^-52, conditioning) {worst_tight}"
    );
    assert!(found > 850_000, "{found}");
    assert!(rescued * 1000 < found, "{rescued} answered one by one");
}

#[test]
fn statuses_are_the_scalars_and_volatilities_agree_with_it() {
    let columns = broad(300_000, 2);
    let answers = columns.solve(Path::best());
    let worst = (0..columns.len()).map(|i| columns.compare(&answers, i)).fold(0.0, f64::max);
    println!("worst difference from the scalar, as a share of max(1e-13, conditioning): {worst}");
}

#[test]
fn exact_volatilities_in_high_precision_are_met_within_1e_14() {
    let mut columns = Columns::default();
    for line in include_str!("reference/implied.csv").lines() {
        let (kind, rest) = line.split_once(',').unwrap();
        let kind = if kind == "call" { OptionKind::Call } else { OptionKind::Put };
        let r: Vec<f64> = rest.split(',').map(|v| v.parse().unwrap()).collect();
        columns.push(kind, r[0], (r[1], r[2], r[3]), r[4]);
    }
    assert_eq!(columns.len(), 260);
    let answers = columns.solve(Path::best());
    let (mut worst, mut worst_scalar) = (0.0f64, 0.0f64);
    for i in 0..columns.len() {
        assert_eq!(answers.status[i], ImpliedStatus::Ok, "{}", columns.describe(i));
        let error = (answers.vol[i] / columns.vol[i] - 1.0).abs();
        let scalar = columns.part(0, columns.len()).implied_vol(i).unwrap().unwrap();
        worst_scalar = worst_scalar.max((scalar / columns.vol[i] - 1.0).abs());
        println!("{error:e} {}", columns.describe(i));
        assert!(error <= 1e-14, "{}: {error:e}", columns.describe(i));
        worst = worst.max(error);
    }
    println!("worst {worst:e}, of the scalar {worst_scalar:e}, one by one {}", answers.one_by_one);
    assert_eq!(answers.one_by_one, 0);
}

#[test]
fn every_combination_of_odd_inputs_is_answered_as_the_scalar_answers_it() {
    let mut columns = Columns::default();
    let legs = [f64::NAN, f64::INFINITY, -1.0, -0.0, 0.0, 5e-324, 1e-300, 0.5, 100.0, 101.0, 1e291, 1e308];
    let taus = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, 1e-8, 1.0, 1e300];
    let prices =
        [f64::NAN, f64::INFINITY, -1.0, 0.0, 5e-324, 1e-295, 1e-12, 0.3, 1.0, 60.0, 99.5, 100.0, 1e290];
    for forward in legs {
        for strike in legs {
            for tau in taus {
                for price in prices {
                    for kind in [OptionKind::Call, OptionKind::Put] {
                        columns.push(kind, price, (forward, strike, tau), 0.0);
                    }
                }
            }
        }
    }
    let answers = columns.solve(Path::best());
    let mut seen = Vec::new();
    for i in 0..columns.len() {
        columns.compare(&answers, i);
        let status = answers.status[i];
        if !seen.contains(&status) {
            seen.push(status);
        }
    }
    for status in [
        ImpliedStatus::Ok,
        ImpliedStatus::NonFinite,
        ImpliedStatus::NonPositiveTau,
        ImpliedStatus::Negative,
        ImpliedStatus::BelowIntrinsic,
        ImpliedStatus::AboveBound,
        ImpliedStatus::Unrecoverable,
    ] {
        assert!(seen.contains(&status), "{status:?} never seen");
    }
    assert!(columns.part(0, columns.len()).implied_vol(columns.len()).is_none());
}

#[test]
fn the_edge_of_what_can_be_recovered_is_where_the_scalar_puts_it() {
    let mut columns = Columns::default();
    for (forward, strike) in [(100.0, 5.0), (100.0, 99.0), (100.0, 99.999_999), (1e5, 1e-3), (3.0, 7.0)] {
        let (long, short) = if forward > strike { (forward, strike) } else { (strike, forward) };
        let kind = if forward > strike { OptionKind::Call } else { OptionKind::Put };
        let (mut above_intrinsic, mut below_bound) = (long - short, long);
        for _ in 0..400 {
            columns.push(kind, above_intrinsic, (forward, strike, 0.1), 0.0);
            columns.push(kind, below_bound, (forward, strike, 0.1), 0.0);
            above_intrinsic = f64::from_bits(above_intrinsic.to_bits() + 1);
            below_bound = f64::from_bits(below_bound.to_bits() - 1);
        }
        for i in 0..2000 {
            let tail = exp(-f64::from(i) * 0.01) * 1e-12;
            columns.push(kind, (long - short) * (1.0 + tail), (forward, strike, 0.1), 0.0);
            columns.push(kind, long * (1.0 - tail), (forward, strike, 0.1), 0.0);
        }
    }
    let answers = columns.solve(Path::best());
    let mut count = [0, 0];
    for i in 0..columns.len() {
        columns.compare(&answers, i);
        count[usize::from(answers.status[i] == ImpliedStatus::Ok)] += 1;
    }
    assert!(count[0] > 1000 && count[1] > 1000, "{count:?}");
}

#[test]
fn every_path_and_every_length_gives_the_same_bits() {
    let columns = broad(20_011, 3);
    let reference = columns.solve(Path::plain());
    let bits = |vol: &[f64]| vol.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for path in Path::available() {
        let whole = columns.solve(path);
        assert_eq!(bits(&whole.vol), bits(&reference.vol), "{}", path.name());
        assert_eq!(whole.status, reference.status);
        for length in (0..40).chain([63, 127, 128, 129, 255, 256, 257, 1000]) {
            for from in [0, 1, 5, 1234] {
                let part = solve(path, &columns.part(from, from + length));
                assert_eq!(bits(&part.vol), bits(&reference.vol[from..from + length]));
                assert_eq!(part.status, reference.status[from..from + length]);
            }
        }
    }
}

#[test]
fn the_digest_of_a_fixed_set_is_pinned() {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for vol in columns_digest().vol {
        let bits = if vol.is_nan() { 0x7ff8_0000_0000_0000 } else { vol.to_bits() };
        for byte in bits.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    assert_eq!(hash, PINNED, "{hash:#018x}");
}

const PINNED: u64 = 0x23c0_8812_cc2b_cd26;

fn columns_digest() -> Answers {
    broad(50_000, 4).solve(Path::best())
}

#[test]
fn columns_of_unequal_length_are_refused_and_nothing_is_written() {
    let columns = broad(4, 5);
    let mut prices = columns.part(0, 4);
    let (mut vol, mut status) = ([7.0; 4], [ImpliedStatus::Negative; 4]);
    let mut attempt = |prices: &Prices<'_>, n: usize, m: usize| {
        let answer = implied_vols(Path::best(), prices, &mut vol[..n], &mut status[..m]);
        assert_eq!((vol, status), ([7.0; 4], [ImpliedStatus::Negative; 4]));
        answer.unwrap_err()
    };
    let mismatch = |column, length| BatchError::LengthMismatch { column, length, expected: 4 };
    assert_eq!(attempt(&prices, 3, 4), mismatch("out", 3));
    assert_eq!(attempt(&prices, 4, 2), mismatch("status", 2));
    prices.tau = &columns.tau[..3];
    assert_eq!(attempt(&prices, 4, 4), mismatch("tau", 3));
    prices.strike = &columns.strike[..2];
    assert_eq!(attempt(&prices, 4, 4), mismatch("strike", 2));
    prices.forward = &columns.forward[..1];
    assert_eq!(attempt(&prices, 4, 4), mismatch("forward", 1));
    prices.price = &[];
    assert_eq!(attempt(&prices, 4, 4), mismatch("price", 0));
}
