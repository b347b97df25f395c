//! The whole way from a venue's file to risk arrays, on a real day.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

mod common;

use common::{every_shock, units};
use plimsoll_market::{FitParams, GuardParams, fit, guard, read};
use plimsoll_risk::{Mode, build};
use plimsoll_types::{Instrument, Snapshot};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::ops::ControlFlow;

fn first_snapshot() -> Option<Snapshot> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/options_deribit_btc_eth_4x_daily/snapshots_2026-02.csv.zst"
    );
    let Ok(file) = std::fs::File::open(path) else {
        assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "{path} is absent");
        println!("skipped: {path} is absent");
        return None;
    };
    let reader = BufReader::new(zstd::Decoder::new(file).unwrap());
    let mut first = None;
    read::each(read::Format::DeribitChainCsv, reader, path, &mut |snapshot, _| {
        first = Some(snapshot);
        ControlFlow::Break(())
    })
    .unwrap();
    first
}

#[test]
fn a_real_chain_becomes_arrays_that_keep_every_promise() {
    let Some(snapshot) = first_snapshot() else { return };
    let surface = fit(&guard(&snapshot, &GuardParams::default()), &FitParams::default());
    let options = snapshot.underlyings.values().flat_map(|u| &u.options);
    let marks: BTreeMap<Instrument, f64> =
        options.filter_map(|q| q.mark.map(|mark| (q.instrument.clone(), mark))).collect();
    let book: Vec<Instrument> = marks.keys().cloned().collect();
    let built = build(&surface, &book, &every_shock(), &units(), Mode::FullReprice).unwrap();
    built.arrays.check().unwrap();
    let (rows, width) = (&built.arrays.instruments, built.arrays.scenarios.len());
    assert_eq!(rows.len() + built.issues.len(), book.len());
    assert!(rows.len() * 10 > book.len() * 9, "{} of {} valued", rows.len(), book.len());
    let mut errors = Vec::new();
    for (r, entries) in rows.iter().zip(built.arrays.pnl.chunks(width)) {
        assert!(-entries.iter().min().unwrap() <= r.mark + 1, "{}", r.instrument);
        let index = built.arrays.underlyings[r.underlying.index()].index as f64 * 1e-3;
        errors.push((r.mark as f64 / index - marks[&r.instrument]).abs());
    }
    errors.sort_by(f64::total_cmp);
    let (median, high) = (errors[errors.len() / 2], errors[errors.len() * 99 / 100]);
    println!("{} options, error of marks in coin: median {median:.6}, 99 % {high:.6}", errors.len());
    assert!(median < 0.0005 && high < 0.02, "{median} {high}");
}
