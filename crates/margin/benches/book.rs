//! The scan losses of a book of a million accounts: in full, for one underlying of sixteen, and positions set while it
//! stands. Prints the least of several runs.
//!
//! `cargo bench -p plimsoll-margin --bench book [-- ACCOUNTS]`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it finds")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use plimsoll_lanes::Path;
use plimsoll_margin::book::{Holders, Rows, ScanLosses, rescan, scan_losses};
use plimsoll_types::{
    Block, BlockKind, Book, Decimal, GreekTicks, Holding, InstrumentIx, InstrumentRow, Lots, Position, Ppb,
    Purpose, RiskArrays, ScenarioColumn, Ticks, UnderlyingIx, UnderlyingRow,
};
use std::time::Instant;

const INSTRUMENTS: u32 = 4_000;
const UNDERLYINGS: u32 = 16;
const COLUMNS: usize = 64;

/// A sequence that looks like chance: Steele, Lea and Flood's SplitMix64.
struct Mix(u64);

impl Mix {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((x ^ (x >> 31)) % u64::from(n)).unwrap()
    }
}

fn arrays(mix: &mut Mix) -> RiskArrays {
    let column = |i: usize| ScenarioColumn {
        label: String::new(),
        weight: Ppb::ONE,
        spot: vec![Ppb(0); UNDERLYINGS as usize],
        pair: i,
    };
    let row = |i: u32| InstrumentRow {
        instrument: "BTC_USDC-27MAR26".parse().unwrap(),
        underlying: UnderlyingIx(i / (INSTRUMENTS / UNDERLYINGS)),
        lot: Decimal::ONE,
        mark: 0,
        notional: 0,
        greeks: GreekTicks::default(),
        composite_delta: Ppb::ONE,
        seconds_to_expiry: Some(1_000_000),
        funding_8h: 0,
        reference: 1,
        open_interest: None,
    };
    let underlying = |i: u32| UnderlyingRow {
        asset: format!("U{i}").parse().unwrap(),
        index: 1,
        confidence: Ppb::ZERO,
        price_scan: Ppb(100_000_000),
    };
    let entries = INSTRUMENTS as usize * COLUMNS;
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 1_000_000,
        underlyings: (0..UNDERLYINGS).map(underlying).collect(),
        instruments: (0..INSTRUMENTS).map(row).collect(),
        scenarios: (0..COLUMNS).map(column).collect(),
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..COLUMNS }],
        pnl: (0..entries).map(|_| i64::from(mix.below(20_000_001)) - 10_000_000).collect(),
        assets: vec![],
    }
}

/// Twelve positions an account: anywhere, or in one to three underlyings.
fn book(mix: &mut Mix, accounts: usize, few: bool) -> Book {
    let mut book = Book::with_capacity(accounts, 12 * accounts);
    let each = INSTRUMENTS / UNDERLYINGS;
    for account in 0..accounts {
        let held: Vec<u32> = (0..1 + mix.below(3)).map(|_| mix.below(UNDERLYINGS)).collect();
        let mut chosen = Vec::with_capacity(12);
        while chosen.len() < 12 {
            let underlying = held[mix.below(u32::try_from(held.len()).unwrap()) as usize];
            let any = mix.below(INSTRUMENTS);
            let instrument = if few { underlying * each + any % each } else { any };
            if !chosen.contains(&instrument) {
                chosen.push(instrument);
            }
        }
        chosen.sort_unstable();
        let position = |i: &u32| Position {
            instrument: InstrumentIx(*i),
            lots: Lots(i64::from(mix.below(20_001)) - 10_000),
            unrealised: Ticks(0),
        };
        let positions: Vec<Position> = chosen.iter().map(position).collect();
        let deposit =
            Holding { asset: "USDC".parse().unwrap(), amount_nano: 50_000_000_000_000, earmark: None };
        book.push(format!("acct-{account:07}").parse().unwrap(), &positions, vec![deposit], vec![]).unwrap();
    }
    book
}

/// Least and median milliseconds.
fn time(runs: usize, mut work: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[runs / 2])
}

fn scans(book: &Book, rows: &Rows, losses: &mut ScanLosses) {
    let holders = Holders::new(book, rows);
    for path in Path::available().into_iter().rev() {
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let runs = if path.name() == "plain" { 5 } else { 25 };
            let (all, all_median) = time(runs, || pool.install(|| scan_losses(path, book, rows, losses)));
            let mut at = 0;
            let mut next = || {
                at = (at + 1) % UNDERLYINGS;
                UnderlyingIx(at)
            };
            let (one, one_median) = time(2 * runs, || {
                let underlying = next();
                pool.install(|| rescan(path, book, rows, underlying, &holders, losses));
            });
            println!(
                "  {:6} {threads} threads: all {all:.1} ms (median {all_median:.1}), one underlying {one:.1} ms (median {one_median:.1})",
                path.name()
            );
        }
    }
    println!(
        "  {} pairs, losses {} bytes, holders {} bytes",
        losses.pairs(),
        losses.bytes(),
        holders.bytes()
    );
}

/// Nanoseconds to set a position: of accounts at random, and of one that grows to 5,000.
fn sets(mix: &mut Mix, book: &mut Book) {
    let accounts = u32::try_from(book.len()).unwrap();
    let changes: Vec<(usize, Position)> = (0..1_000_000)
        .map(|_| {
            let lots = Lots(i64::from(mix.below(3)) - 1);
            let instrument = InstrumentIx(mix.below(INSTRUMENTS));
            (mix.below(accounts) as usize, Position { instrument, lots, unrealised: Ticks(0) })
        })
        .collect();
    for pass in ["first", "again"] {
        let start = Instant::now();
        changes.iter().for_each(|(account, position)| book.set_position(*account, *position).unwrap());
        let spread = start.elapsed().as_secs_f64() * 1e3;
        println!("  1,000,000 positions set, {pass}: {spread:.0} ns each");
    }
    let start = Instant::now();
    for i in 0..5_000_u32 {
        let instrument = InstrumentIx(i.wrapping_mul(2_654_435_761) % 1_000_003);
        book.set_position(3, Position { instrument, lots: Lots(1), unrealised: Ticks(0) }).unwrap();
    }
    let hot = start.elapsed().as_secs_f64() * 1e9 / 5e3;
    println!("  one account to 5,000 positions: {hot:.0} ns each; the book takes {} bytes", book.bytes());
}

fn main() {
    let accounts = std::env::args().filter_map(|text| text.parse().ok()).next().unwrap_or(1_000_000);
    let mut mix = Mix(4);
    let rows = Rows::new(&arrays(&mut mix));
    let mut losses = ScanLosses::default();
    for few in [false, true] {
        let mut book = book(&mut mix, accounts, few);
        let of = if few { "in one to three underlyings" } else { "anywhere" };
        println!("{accounts} accounts, {} positions {of}, {} bytes", book.positions(), book.bytes());
        scans(&book, &rows, &mut losses);
        if few {
            sets(&mut mix, &mut book);
        }
    }
}
