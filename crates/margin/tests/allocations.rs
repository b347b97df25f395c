//! Scans and changes of a book take no memory once they have had their room. A test of its own, since it counts what the
//! whole program allocates.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_lanes::Path;
use plimsoll_margin::book::{Holders, Rows, ScanLosses, rescan, scan_losses};
use plimsoll_types::{
    Block, BlockKind, Book, Decimal, GreekTicks, InstrumentIx, InstrumentRow, Lots, Position, Ppb, Purpose,
    RiskArrays, ScenarioColumn, Ticks, UnderlyingIx, UnderlyingRow,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and growths so far.
fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// Two instruments on each of eight underlyings, with entries up to this.
fn arrays(entry: i64) -> RiskArrays {
    let row = |i: u32| InstrumentRow {
        instrument: "BTC_USDC-27MAR26".parse().unwrap(),
        underlying: UnderlyingIx(i / 2),
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
    let underlying = |i: usize| UnderlyingRow {
        asset: format!("U{i}").parse().unwrap(),
        index: 1,
        confidence: Ppb::ZERO,
        price_scan: Ppb(100_000_000),
    };
    let column =
        |i| ScenarioColumn { label: String::new(), weight: Ppb::ONE, spot: vec![Ppb(0); 8], pair: i };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 100,
        underlyings: (0..8).map(underlying).collect(),
        instruments: (0..16).map(row).collect(),
        scenarios: (0..64).map(column).collect(),
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..64 }],
        pnl: (0..16 * 64).map(|i| (i * 7_919) % (2 * entry + 1) - entry).collect(),
        assets: vec![],
    }
}

fn position(instrument: u32, lots: i64) -> Position {
    Position { instrument: InstrumentIx(instrument), lots: Lots(lots), unrealised: Ticks(0) }
}

/// Three thousand accounts, every hundredth a whale.
fn book() -> Book {
    let mut book = Book::default();
    for account in 0..3_000_u32 {
        let whale = if account % 100 == 7 { 1 << 55 } else { 1 };
        let held: Vec<Position> =
            (0..account % 13).map(|i| position(i, (i64::from(account % 21) - 10) * whale)).collect();
        book.push(format!("{account:06}").parse().unwrap(), &held, vec![], vec![]).unwrap();
    }
    book
}

#[test]
fn scans_and_changes_in_steady_state_allocate_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (mut book, before, after) = (book(), arrays(1_000), arrays(2_000));
    let mut rows = Rows::new(&before);
    let (mut losses, mut holders) = (ScanLosses::default(), Holders::new(&book, &rows));
    let counted = pool.install(|| {
        let mut counted = Vec::with_capacity(4);
        for round in 0..4_i64 {
            let start = allocations();
            for path in [Path::plain(), Path::best()] {
                scan_losses(path, &book, &rows, &mut losses);
                rows.refresh(if round % 2 == 0 { &after } else { &before }, UnderlyingIx(3));
                rescan(path, &book, &rows, UnderlyingIx(3), &holders, &mut losses);
            }
            for account in (12..3_000).step_by(13) {
                book.set_position(account, position(3, round)).unwrap();
                holders.update(&book, &rows, account, 3);
                losses.update(Path::best(), &book, &rows, account);
            }
            counted.push(allocations() - start);
        }
        counted
    });
    // The first round makes the room and the second what follows on the changes of the first.
    assert_eq!(counted[2..], [0, 0], "{counted:?}");
    assert!(counted[0] > 0, "nothing was counted");
}
