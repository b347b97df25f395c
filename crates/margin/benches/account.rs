//! One account of twelve positions on sixty-four scenarios, with every charge; and one more trade on it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
#![allow(missing_docs, reason = "criterion_group! writes a function without one")]

#[path = "../tests/common/mod.rs"]
mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use plimsoll_margin::{AccountState, Trade, evaluate};
use plimsoll_types::{InstrumentIx, Lots};
use std::hint::black_box;

fn account(c: &mut Criterion) {
    let entries: Vec<i64> = (0..997_i64).map(|i| (i * 7_919) % 20_001 - 10_000).collect();
    // Three underlyings; 7 blocks of 8 grid columns and 2 of 4 joint ones: 64 columns.
    let arrays = common::arrays_of(3, 8, 4, &entries);
    assert_eq!(arrays.scenarios.len(), 64);
    let lots = [10, -20, 30, -40, 0, 50, -60, 70, -80, 0, 15, -25, 35, -45, 0];
    let orders = [(0, 5, 0), (2, -5, 0)];
    let mut params = common::plimsoll();
    params.joint = Some(plimsoll_margin::JointTerms {
        statistic: plimsoll_margin::Statistic::ExpectedShortfall,
        level: plimsoll_types::Ppb(750_000_000),
        stress_weight: plimsoll_types::Ppb(250_000_000),
    });
    let book = common::portfolio_of(&lots, &[("USD", 1_000_000_000)], &[]);
    let ordered = common::portfolio_of(&lots, &[("USD", 1_000_000_000)], &orders);
    c.bench_function("evaluate 12 positions x 64 scenarios", |b| {
        b.iter(|| evaluate(black_box(&book), &arrays, &params));
    });
    c.bench_function("evaluate 12 positions x 64 scenarios, 2 orders", |b| {
        b.iter(|| evaluate(black_box(&ordered), &arrays, &params));
    });
    c.bench_function("scenario vectors of 12 positions x 64 scenarios", |b| {
        b.iter(|| AccountState::new(black_box(book.clone()), &arrays));
    });
    let state = AccountState::new(book.clone(), &arrays);
    c.bench_function("one more trade", |b| {
        b.iter(|| {
            let mut state = state.clone();
            state.as_mut().map(|s| s.trade(&Trade { instrument: InstrumentIx(3), lots: Lots(7) })).is_ok()
        });
    });
}

criterion_group!(benches, account);
criterion_main!(benches);
