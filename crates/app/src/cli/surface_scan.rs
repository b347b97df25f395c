//! `plimsoll surface --all`: every snapshot of a file or directory together.

use super::surface::{count_refusals, violations};
use crate::io::market::each_snapshot;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use plimsoll_engine::{Market, ParamSet};
use plimsoll_quant::stats::{QuantileRule, quantile};
use plimsoll_types::{Settlement, Timestamp, Units};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// Tenor buckets: name and upper edge in days.
const BUCKETS: [(&str, f64); 6] = [
    ("0 to 2 days", 2.0),
    ("2 to 7 days", 7.0),
    ("7 to 30 days", 30.0),
    ("30 to 90 days", 90.0),
    ("90 to 180 days", 180.0),
    ("over 180 days", f64::INFINITY),
];

/// The name of the row over all expiries beyond two days.
const BEYOND: &str = "beyond 2 days";

/// Repricing errors of marks from the fitted surface, by underlying and unit of price.
pub(super) type MarkErrors = BTreeMap<(String, String), Vec<f64>>;

#[derive(Default)]
struct Scan {
    snapshots: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    rmse: BTreeMap<&'static str, Vec<f64>>,
    expiries: BTreeMap<&'static str, usize>,
    violations: Vec<String>,
    refusals: BTreeMap<&'static str, usize>,
    marks: MarkErrors,
}

/// Answers; a violation on any snapshot fails the check.
pub(super) fn run(path: &Path, set: &ParamSet) -> anyhow::Result<Answer<'static>> {
    let mut scan = Scan::default();
    each_snapshot(path, &mut |snapshot, left_out| {
        let market = Market::new(snapshot, set);
        scan.add(&market, set);
        for (reason, count) in count_refusals(&market, &left_out) {
            *scan.refusals.entry(reason).or_insert(0) += count;
        }
        ControlFlow::Continue(())
    })?;
    Ok(answer(&scan, set))
}

fn bucket(days: f64) -> &'static str {
    BUCKETS.iter().find(|(_, edge)| days < *edge).map_or(BUCKETS[BUCKETS.len() - 1].0, |(name, _)| name)
}

impl Scan {
    fn add(&mut self, market: &Market, set: &ParamSet) {
        let as_of = market.surface.as_of;
        self.snapshots += 1;
        self.first = Some(self.first.map_or(as_of, |t| t.min(as_of)));
        self.last = Some(self.last.map_or(as_of, |t| t.max(as_of)));
        for (asset, under) in &market.surface.underlyings {
            for (expiry, _, _) in &under.forwards {
                *self.expiries.entry(bucket(as_of.seconds_until(*expiry) / DAY)).or_insert(0) += 1;
            }
            for slice in &under.slices {
                let days = as_of.seconds_until(slice.expiry) / DAY;
                self.rmse.entry(bucket(days)).or_default().push(slice.quality.rmse_vol_points);
            }
            let found = violations(under).into_iter();
            self.violations.extend(found.map(|(expiry, what)| format!("{as_of} {asset} {expiry}: {what}")));
        }
        for (key, errors) in mark_errors(market, &set.units) {
            self.marks.entry(key).or_default().extend(errors);
        }
    }
}

/// Distance of the venue's mark from the price on the fitted surface, per option that has a mark and an expiry with
/// a smile.
pub(super) fn mark_errors(market: &Market, units: &Units) -> MarkErrors {
    let mut errors = MarkErrors::new();
    for (asset, quotes) in &market.snapshot.underlyings {
        let Some(under) = market.surface.underlyings.get(asset) else { continue };
        for quote in &quotes.options {
            let (Some(mark), Some(expiry)) = (quote.mark, quote.instrument.expiry()) else { continue };
            if !under.slices.iter().any(|slice| slice.expiry == expiry) || !mark.is_finite() {
                continue;
            }
            if let Ok(valued) = plimsoll_risk::value(&market.surface, &quote.instrument, units) {
                let unit = match quote.instrument.settlement() {
                    Settlement::Inverse => asset,
                    Settlement::Linear => quote.instrument.quote(),
                };
                let key = (asset.to_string(), unit.to_string());
                errors.entry(key).or_default().push((valued.price - mark).abs());
            }
        }
    }
    errors
}

/// Median and 99th percentile of the repricing errors.
pub(super) fn quantiles_table(marks: &MarkErrors) -> Table {
    let mut table = Table::new(
        "repricing the venue's marks from the fitted surface: absolute error",
        &[
            ("underlying", Kind::Text),
            ("unit", Kind::Text),
            ("options", Kind::Integer),
            ("median", Kind::Number),
            ("p99", Kind::Number),
        ],
    );
    for ((asset, unit), errors) in marks {
        table.push(vec![
            Cell::text(asset),
            Cell::text(unit),
            Cell::count(errors.len()),
            at(errors, 0.5, 6),
            at(errors, 0.99, 6),
        ]);
    }
    table
}

fn at(sample: &[f64], p: f64, decimals: usize) -> Cell {
    Cell::number(quantile(sample, p, QuantileRule::IndexAbove).ok(), decimals)
}

fn quality(scan: &Scan) -> Table {
    let mut table = Table::new(
        "quality of the fit by tenor: RMSE in vol points",
        &[
            ("tenor", Kind::Text),
            ("expiries", Kind::Integer),
            ("fitted", Kind::Integer),
            ("median", Kind::Number),
            ("p90", Kind::Number),
            ("worst", Kind::Number),
        ],
    );
    let row = |name: &str, expiries: usize, sample: &[f64]| {
        vec![
            Cell::text(name),
            Cell::count(expiries),
            Cell::count(sample.len()),
            at(sample, 0.5, 3),
            at(sample, 0.9, 3),
            Cell::number(sample.iter().copied().reduce(f64::max), 3),
        ]
    };
    let (mut beyond, mut count) = (Vec::new(), 0);
    for (i, (name, _)) in BUCKETS.iter().enumerate() {
        let sample = scan.rmse.get(name).map_or(&[][..], Vec::as_slice);
        let expiries = scan.expiries.get(name).copied().unwrap_or(0);
        table.push(row(name, expiries, sample));
        if i > 0 {
            beyond.extend_from_slice(sample);
            count += expiries;
        }
    }
    table.push(row(BEYOND, count, &beyond));
    table
}

fn answer(scan: &Scan, set: &ParamSet) -> Answer<'static> {
    let quality = quality(scan);
    let mut refusals = Table::new("refused, by reason", &[("reason", Kind::Text), ("items", Kind::Integer)]);
    for (reason, count) in &scan.refusals {
        refusals.push(vec![Cell::text(reason), Cell::count(*count)]);
    }
    let repricing = quantiles_table(&scan.marks);
    let span = (scan.first.map(|t| t.to_string()), scan.last.map(|t| t.to_string()));
    let json = serde_json::json!({
        "snapshots": scan.snapshots,
        "first": span.0,
        "last": span.1,
        "params": { "name": set.name, "id": set.id() },
        "quality": quality.json(),
        "repricing": repricing.json(),
        "refused": scan.refusals,
        "violations": scan.violations,
    });
    let mut notes = vec![format!(
        "{} snapshots from {} to {}: {} arbitrage violations",
        scan.snapshots,
        span.0.unwrap_or_default(),
        span.1.unwrap_or_default(),
        scan.violations.len()
    )];
    notes.extend(scan.violations.iter().take(20).cloned());
    let verdict = if scan.violations.is_empty() { Verdict::Passed } else { Verdict::Failed };
    Answer {
        tables: vec![quality.clone(), repricing, refusals],
        notes,
        main: quality,
        json: JsonBody::Value(json),
        verdict,
        picture: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenor_has_one_bucket_and_edges_belong_to_the_longer_one() {
        assert_eq!(bucket(0.1), "0 to 2 days");
        assert_eq!(bucket(2.0), "2 to 7 days");
        assert_eq!(bucket(5000.0), "over 180 days");
    }
}
