//! Recorded chains, and implied volatility before them, as their sources write them.
//!
//! The one idea: a chain is guarded, fitted and valued as soon as a few of them are read, so that a quarter of quotes is never in
//! memory whole.

use super::error::{Refusal, shortened};
use super::market::each_snapshot;
use super::prices::{PriceFile, TIMES, time};
use super::progress::Progress;
use super::series::WholeLines;
use super::source::Source;
use anyhow::{Context, anyhow, bail};
use plimsoll_engine::ParamSet;
use plimsoll_sim::chain::{ImpliedHistory, Moment, in_order};
use plimsoll_types::{Snapshot, Timestamp};
use rayon::prelude::*;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Chains read before they are fitted, side by side.
const BATCH: usize = 16;
/// Names of the column of implied volatility; those of an index of it are in percent.
const LEVELS: [(&str, f64); 6] = [
    ("dvol_close", 0.01),
    ("dvol", 0.01),
    ("implied_vol", 1.0),
    ("implied_volatility", 1.0),
    ("atm_vol", 1.0),
    ("iv", 1.0),
];
/// Rows without a level, or out of order, beyond this share are too many.
const BAD_SHARE_MAX: f64 = 0.01;
/// Gaps of a warm-up count as no observation; a file of fewer rows says nothing.
const ROWS_MIN: usize = 2;

/// Chains in the order of time, and how many instants were there more than once.
pub fn chains(files: &[PathBuf], params: &ParamSet) -> anyhow::Result<(Vec<Moment>, usize)> {
    let progress = Progress::spinner("reading and fitting chains");
    let mut moments = Vec::new();
    let mut waiting: Vec<Snapshot> = Vec::new();
    let mut fit = |waiting: &mut Vec<Snapshot>| {
        moments.par_extend(waiting.par_iter().map(|snapshot| Moment::new(snapshot, params)));
        progress.advance(waiting.len() as u64);
        waiting.clear();
    };
    for file in files {
        each_snapshot(file, &mut |snapshot, _| {
            waiting.push(snapshot);
            if waiting.len() >= BATCH {
                fit(&mut waiting);
            }
            ControlFlow::Continue(())
        })?;
    }
    fit(&mut waiting);
    Ok(in_order(moments)?)
}

/// Reads implied volatilities: an underlying a file.
pub fn implied(files: &[PriceFile]) -> anyhow::Result<Vec<ImpliedHistory>> {
    let mut all: Vec<ImpliedHistory> = Vec::new();
    for file in files {
        let history = history(file)?;
        if all.iter().any(|known| known.asset == history.asset) {
            bail!("--implied: two files of {}: expected one", history.asset);
        }
        all.push(history);
    }
    Ok(all)
}

fn history(PriceFile { asset, path }: &PriceFile) -> anyhow::Result<ImpliedHistory> {
    let (name, reader) = Source::open(path)?.text()?;
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(WholeLines::new(reader));
    let ((at, level), scale) = places(csv.headers().with_context(|| name.clone())?, &name)?;
    let behind = csv.get_ref().behind();
    let (mut rows, mut bad, mut read): (Vec<(Timestamp, f64)>, usize, usize) = (Vec::new(), 0, 0);
    for record in csv.records() {
        let record = record.with_context(|| name.clone())?;
        let line = record.position().map_or(0, |at| at.line() + behind);
        let text = record.get(at).unwrap_or_default().trim();
        let when = time(text).ok_or_else(|| {
            let expected = "expected RFC 3339, 2026-03-27, 3/27/2026 or milliseconds since 1970";
            Refusal::new("time", text, expected).at(&name, "line", line)
        })?;
        read += 1;
        let value = record.get(level).and_then(|text| text.trim().parse::<f64>().ok()).map(|x| x * scale);
        let later = rows.last().is_none_or(|(last, _)| *last < when);
        match value.filter(|x| (0.01..=10.0).contains(x) && later) {
            Some(value) => rows.push((when, value)),
            None => bad += 1,
        }
    }
    if rows.len() < ROWS_MIN || bad as f64 > BAD_SHARE_MAX * read as f64 {
        bail!(
            "{name}: {bad} of {read} rows have no implied volatility from 1 to 1000 % later than the last: expected at most 1 %, and {ROWS_MIN} that have"
        );
    }
    Ok(ImpliedHistory { asset: asset.clone(), rows })
}

/// Places of time and level, and what a level is multiplied by.
fn places(header: &csv::StringRecord, file: &str) -> anyhow::Result<((usize, usize), f64)> {
    let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let at = TIMES.iter().find_map(|name| place(name));
    let level = LEVELS.iter().find_map(|(name, scale)| Some((place(name)?, *scale)));
    at.zip(level).map(|(at, (level, scale))| ((at, level), scale)).ok_or_else(|| {
        let found = shortened(&header.iter().collect::<Vec<_>>().join(","));
        let expected = LEVELS.map(|(name, _)| name).join(", ");
        anyhow!("{file}: line 1: no columns of time and implied volatility among `{found}`; expected a time and one of {expected}")
    })
}
