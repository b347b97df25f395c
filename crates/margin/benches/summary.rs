//! The totals of a whole book with every charge, and a check before a trade.
//!
//! `cargo bench -p plimsoll-margin --bench summary [-- ACCOUNTS]`; without a number 100,000 accounts. Instruments,
//! scenarios and accounts are made up from a seed: sixteen underlyings of 250 instruments, 64 columns of which 16 are a
//! grid and 48 the three states of a common factor, twelve positions per account over all instruments alike.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    reason = "a bench reads the clock, panics to fail and prints"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use plimsoll_lanes::Path;
use plimsoll_margin::*;
use plimsoll_types::*;
use rayon::ThreadPoolBuilder;
use std::hint::black_box;
use std::time::Instant;

const UNDERLYINGS: usize = 16;
const EACH: usize = 250;
const UNIT: i64 = 1_000_000;

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n) as i64
    }
}

fn blocks() -> Vec<Block> {
    let mut all = vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..16 }];
    for (i, state) in common::FACTOR_STATES.into_iter().enumerate() {
        let at = 16 + 16 * i;
        for (kind, at) in [(BlockKind::Systematic(state), at), (BlockKind::Idiosyncratic(state), at + 8)] {
            all.push(Block { kind, purpose: Purpose::Both, columns: at..at + 8 });
        }
    }
    all
}

fn name(underlying: usize) -> String {
    match underlying {
        0 => "BTC".to_owned(),
        1 => "ETH".to_owned(),
        n => format!("A{n}"),
    }
}

fn instrument(underlying: usize, i: usize) -> (String, Option<i64>) {
    let base = name(underlying);
    if i == 0 {
        return (format!("{base}_USDC-PERPETUAL"), None);
    }
    let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG"];
    let month = (i - 1) * 8 / (EACH - 1);
    let strike = 50 + (i % 40) * 3;
    let side = if i.is_multiple_of(2) { "C" } else { "P" };
    (
        format!("{base}_USDC-2{}{}26-{strike}-{side}", 1 + i % 7, months[month]),
        Some(86_400 * (5 + 30 * month as i64)),
    )
}

fn arrays(draw: &mut Draw) -> RiskArrays {
    let width = 64;
    let (mut instruments, mut pnl) = (Vec::new(), Vec::new());
    for underlying in 0..UNDERLYINGS {
        for i in 0..EACH {
            let (name, seconds) = instrument(underlying, i);
            let option = seconds.is_some();
            let mark = if option { draw.below(8 * UNIT as u64) } else { 0 };
            let delta = draw.below(200 * UNIT as u64) - 100 * UNIT;
            for column in 0..width {
                let tilt = (column % 16 - 8) * delta / 80;
                let entry = tilt + draw.below(4 * UNIT as u64) - 2 * UNIT;
                pnl.push(if option { entry.max(-mark) } else { entry });
            }
            instruments.push(InstrumentRow {
                instrument: name.parse().unwrap(),
                underlying: UnderlyingIx(underlying as u32),
                lot: Decimal::new(1, 3),
                mark,
                notional: 100 * UNIT,
                reference: 100,
                open_interest: None,
                greeks: GreekTicks {
                    delta,
                    gamma: draw.below(400 * UNIT as u64),
                    vega: if option { draw.below(30 * UNIT as u64) } else { 0 },
                    theta: -draw.below(60 * UNIT as u64),
                    rho: draw.below(UNIT as u64),
                    vanna: draw.below(UNIT as u64),
                    volga: draw.below(UNIT as u64),
                },
                composite_delta: Ppb::ONE,
                seconds_to_expiry: seconds,
                funding_8h: if option { 0 } else { draw.below(100_000) - 50_000 },
            });
        }
    }
    let column = |i: usize| ScenarioColumn {
        label: format!("scenario {i}"),
        weight: Ppb::ONE,
        spot: (0..UNDERLYINGS).map(|_| Ppb((i as i64 % 16 - 8) * 18_000_000)).collect(),
        pair: i,
    };
    let underlying = |u: usize| UnderlyingRow {
        asset: name(u).parse().unwrap(),
        index: 100_000 * UNIT,
        confidence: Ppb(500_000),
        price_scan: Ppb(150_000_000),
    };
    let asset = |name: &str, price| AssetRow { asset: name.parse().unwrap(), price, confidence: Ppb::ZERO };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: UNIT,
        underlyings: (0..UNDERLYINGS).map(underlying).collect(),
        instruments,
        scenarios: (0..width as usize).map(column).collect(),
        blocks: blocks(),
        pnl,
        assets: vec![
            asset("USDC", UNIT - 100),
            asset("BTC", 91_000 * UNIT),
            asset("ETH", 3_100 * UNIT),
            asset("USD", UNIT),
        ],
    }
}

fn portfolio(draw: &mut Draw, account: usize) -> Portfolio {
    let mut chosen: Vec<u32> = Vec::new();
    while chosen.len() < 12 {
        let at = draw.below((UNDERLYINGS * EACH) as u64) as u32;
        if !chosen.contains(&at) {
            chosen.push(at);
        }
    }
    chosen.sort_unstable();
    let mut lots = || {
        let size = 1 + draw.below(200);
        if draw.below(2) == 0 { size } else { -size }
    };
    let positions = chosen
        .iter()
        .map(|at| Position { instrument: InstrumentIx(*at), lots: Lots(lots()), unrealised: Ticks(0) })
        .collect();
    let mut collateral = Vec::new();
    let mut hold = |asset: &str, amount: i64| {
        let asset = asset.parse().unwrap();
        collateral.push(Holding { asset, amount_nano: i128::from(amount), earmark: None });
    };
    hold("USDC", draw.below(24_000_000_000_000));
    if draw.below(10) < 3 {
        hold("BTC", draw.below(200_000_000));
    }
    if draw.below(10) < 3 {
        hold("ETH", draw.below(6_000_000_000));
    }
    Portfolio { account: format!("{account:08}").parse().unwrap(), positions, collateral, orders: vec![] }
}

/// Nanoseconds per unit: every part of the work at the least of several repetitions, so that what else the machine does
/// in between counts for little.
fn least<T>(repetitions: usize, units: usize, parts: &mut [T], mut work: impl FnMut(&mut T)) -> f64 {
    let mut best = vec![f64::INFINITY; parts.len()];
    for _ in 0..repetitions {
        for (part, best) in parts.iter_mut().zip(&mut best) {
            let start = Instant::now();
            work(part);
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    best.iter().sum::<f64>() * 1e9 / units as f64
}

/// Books of a hundred accounts, on one thread and warm: what an account costs.
fn parts(arrays: &RiskArrays, params: &Params) {
    let mut draw = Draw(7);
    let terms = BookTerms::new(arrays, params);
    let built = least(20, 1, &mut [()], |()| drop(black_box(BookTerms::new(arrays, params))));
    println!("terms: {:.0} us", built / 1e3);
    let mut books: Vec<(Book, Vec<_>)> = (0..200)
        .map(|_| (Book::pack((0..100).map(|i| portfolio(&mut draw, i))).unwrap(), Vec::new()))
        .collect();
    let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for path in Path::available() {
        let time =
            pool.install(|| least(100, 20_000, &mut books, |(book, out)| summaries(path, book, &terms, out)));
        println!("W4f in parts, {}, one thread: {time:.0} ns per account", path.name());
    }
    let relieved =
        books.iter().flat_map(|(_, out)| out.iter().flatten()).filter(|t| t.relief.im.0 > 0).count();
    println!("relieved: {relieved} of 20000");
}

fn whole(arrays: &RiskArrays, params: &Params, accounts: usize) {
    let mut draw = Draw(7);
    let book = Book::pack((0..accounts).map(|i| portfolio(&mut draw, i))).unwrap();
    let terms = BookTerms::new(arrays, params);
    assert!(terms.is_native());
    let mut out = Vec::new();
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut run = || summaries(Path::best(), &book, &terms, &mut out);
        let time = least(7, accounts, &mut [()], |()| pool.install(&mut run));
        println!("W4f {accounts} accounts, {threads} threads: {time:.0} ns per account");
    }
    for (i, found) in out.iter().enumerate().step_by(accounts / 500 + 1) {
        let report = evaluate(&book.portfolio(i).unwrap(), arrays, params).unwrap();
        assert_eq!(*found, report.totals());
    }
}

fn checks(arrays: &RiskArrays, params: &Params) {
    let mut draw = Draw(11);
    let terms = BookTerms::new(arrays, params);
    let mut cases: Vec<(Portfolio, LiveAccount, Trade)> = (0..1_000)
        .map(|i| {
            let portfolio = portfolio(&mut draw, i);
            let live = LiveAccount::new(portfolio.clone(), &terms, Path::best()).unwrap();
            let trade =
                Trade { instrument: InstrumentIx(draw.below(4_000) as u32), lots: Lots(1 + draw.below(50)) };
            (portfolio, live, trade)
        })
        .collect();
    let time = least(200, 10_000, &mut cases, |(_, account, trade)| {
        for _ in 0..10 {
            black_box(account.check(black_box(trade)).unwrap());
        }
    });
    println!("W6 check, warm arrays, all charges: {time:.0} ns");
    let time = least(20, 1_000, &mut cases, |(portfolio, _, _)| {
        black_box(evaluate(portfolio, arrays, params).unwrap());
    });
    println!("evaluate, the whole report: {time:.0} ns");
    let time = least(20, 1_000, &mut cases, |(portfolio, _, trade)| {
        black_box(what_if(portfolio, &[*trade], arrays, params).unwrap());
    });
    println!("W6 what-if, two whole reports: {time:.0} ns");
}

/// Underlyings move one after the other; every account that holds what moved is found anew.
fn ticks(arrays: &mut RiskArrays, params: &Params, accounts: usize) {
    let mut draw = Draw(7);
    let book = Book::pack((0..accounts).map(|i| portfolio(&mut draw, i))).unwrap();
    let mut live = LiveBook::new(Path::best(), &book, arrays, params);
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (mut times, mut touched) = (Vec::new(), 0);
        for tick in 0..96 {
            let underlying = tick % UNDERLYINGS;
            shake(arrays, underlying, &mut draw);
            let start = Instant::now();
            let of = UnderlyingIx(underlying as u32);
            pool.install(|| live.refresh(Path::best(), &book, (arrays, params), of));
            times.push(start.elapsed().as_secs_f64() * 1e3);
            touched += live.touched(|_, _| false).0;
        }
        times.sort_unstable_by(f64::total_cmp);
        let (median, per) = (times[48], times[48] * 1e6 * 96.0 / touched as f64);
        println!(
            "tick, {accounts} accounts, {threads} threads: median {median:.2} ms, least {:.2}; {} touched, {per:.0} ns each",
            times[0],
            touched / 96
        );
    }
    let terms = BookTerms::new(arrays, params);
    let mut out = Vec::new();
    summaries(Path::best(), &book, &terms, &mut out);
    assert!(live.iter().zip(&out).all(|(kept, new)| kept.as_ref() == Some(new)));
}

/// Other entries and marks for an underlying, as after a price.
fn shake(arrays: &mut RiskArrays, underlying: usize, draw: &mut Draw) {
    let width = arrays.scenarios.len();
    for at in underlying * EACH..(underlying + 1) * EACH {
        let row = &mut arrays.instruments[at];
        let by = draw.below(UNIT as u64 / 10);
        row.mark += if row.seconds_to_expiry.is_some() { by } else { 0 };
        row.greeks.delta += by;
        for entry in &mut arrays.pnl[at * width..(at + 1) * width] {
            *entry += by;
        }
    }
    arrays.underlyings[underlying].index += 1;
    for asset in arrays.assets.iter_mut().filter(|asset| asset.asset.as_str() == name(underlying)) {
        asset.price += 1;
    }
}

fn main() {
    let accounts = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100_000);
    let params = common::plimsoll();
    let mut arrays = arrays(&mut Draw(3));
    checks(&arrays, &params);
    parts(&arrays, &params);
    whole(&arrays, &params, accounts);
    ticks(&mut arrays, &params, accounts);
}
