//! Neither a check before a trade nor the totals of a book take memory once they have had their room. A test of its own,
//! since it counts what the whole program allocates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{arrays_of, plimsoll, portfolio_of};
use plimsoll_lanes::Path;
use plimsoll_margin::{BookTerms, LiveAccount, Trade, summaries};
use plimsoll_types::{Book, InstrumentIx, Lots, Portfolio};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and growths so far.
fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

fn portfolio(i: i64) -> Portfolio {
    let lots: Vec<i64> = (0..15).map(|at| (at * 37 + i * 101) % 41 - 20).collect();
    let mut portfolio = portfolio_of(&lots, &[("USDC", 5_000_000_000_000), ("BTC", 2_000_000_000)], &[]);
    portfolio.account = format!("{i:06}").parse().unwrap();
    portfolio
}

#[test]
fn a_check_takes_no_memory_and_a_book_takes_none_per_account() {
    let entries: Vec<i64> = (0..997_i64).map(|i| (i * 7_919) % 20_001 - 10_000).collect();
    let (arrays, params) = (arrays_of(3, 8, 0, &entries), plimsoll());
    let terms = BookTerms::new(&arrays, &params);
    assert!(terms.is_native());
    let live = LiveAccount::new(portfolio(1), &terms, Path::best()).unwrap();
    let trade = |i: u32| Trade { instrument: InstrumentIx(i % 15), lots: Lots(i64::from(i % 7) - 3) };
    assert!((0..15).all(|i| live.check(&trade(i)).is_ok()));
    let before = allocations();
    for i in 0..1_000 {
        assert!(live.check(&trade(i)).is_ok());
    }
    assert_eq!(allocations(), before);

    let book = Book::pack((0..8_192).map(portfolio)).unwrap();
    let mut out = Vec::new();
    summaries(Path::best(), &book, &terms, &mut out);
    let before = allocations();
    summaries(Path::best(), &book, &terms, &mut out);
    let taken = allocations() - before;
    assert!(taken < 1_000, "{taken} allocations for 8,192 accounts");
    assert!(out.iter().all(Result::is_ok));
}
