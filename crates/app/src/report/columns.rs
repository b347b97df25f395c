//! Every margin and every change as Parquet, a batch at a time.

use super::Material;
use anyhow::Context;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use plimsoll_sim::Dated;
use plimsoll_sim::chain::{ChainOutcome, ChainRow, ChainStudy, Sampled, Style};
use plimsoll_types::{Instrument, Timestamp, nearest_f64};
use std::io::Write;
use std::sync::Arc;

const DAY: f64 = 86_400.0;

/// Writes batches, all with the columns of the first.
struct Batches<W: Write + Send> {
    out: Option<W>,
    writer: Option<ArrowWriter<W>>,
}

impl<W: Write + Send> Batches<W> {
    fn write(&mut self, columns: Vec<(&str, ArrayRef)>) -> anyhow::Result<()> {
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).context("writing Parquet")?;
        if let Some(out) = self.out.take() {
            let level = ZstdLevel::try_new(3).context("writing Parquet")?;
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
            let writer = ArrowWriter::try_new(out, batch.schema(), Some(properties));
            self.writer = Some(writer.context("writing Parquet")?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(&batch).context("writing Parquet")
    }

    fn close(self) -> anyhow::Result<()> {
        let Some(writer) = self.writer else { return Ok(()) };
        writer.close().map(|_| ()).context("writing Parquet")
    }
}

fn same(text: &str, count: usize) -> ArrayRef {
    Arc::new(std::iter::repeat_n(Some(text), count).collect::<StringArray>())
}

/// `time` (ms), `policy`, `asset`, `portfolio`, `side`, `horizon_days`, `price`, `margin`, `maintenance` (on the announced ramp), `loss`, `breach`: every margin that
/// was judged.
pub(super) fn margins(of: &Material<'_>, out: impl Write + Send) -> anyhow::Result<()> {
    let mut batches = Batches { out: Some(out), writer: None };
    let (study, outcome) = (of.study, of.outcome);
    for set in &outcome.margins {
        let Some(group) = outcome.groups.get(set.group) else { continue };
        let Some(policy) = study.policies.get(set.policy) else { continue };
        let days = study.horizons.get(set.horizon).map_or(f64::NAN, |h| *h as f64 / DAY);
        for (place, margins) in set.margins.iter().enumerate() {
            let losses = group.losses.get(set.horizon).and_then(|all| all.get(place));
            let portfolio = group.portfolios.get(place).and_then(|p| study.portfolios.get(*p));
            let Some((losses, portfolio)) = losses.zip(portfolio) else { continue };
            let judged = group.judged_from.min(losses.len())..losses.len();
            let count = judged.len();
            let held = set.maintenance.get(place).and_then(|all| all.get(judged.clone())).unwrap_or_default();
            let times = group.times[judged.clone()].iter().map(|time| time.nanos() / 1_000_000);
            let breach =
                losses[judged.clone()].iter().zip(&margins[judged.clone()]).map(|(l, m)| Some(l > m));
            batches.write(vec![
                ("time", Arc::new(times.collect::<Int64Array>())),
                ("policy", same(policy.name(), count)),
                ("asset", same(&group.name, count)),
                ("portfolio", same(&portfolio.name, count)),
                ("side", same(&portfolio.side, count)),
                ("horizon_days", Arc::new(Float64Array::from_value(days, count))),
                (
                    "price",
                    Arc::new(Float64Array::from_iter_values(group.prices[judged.clone()].iter().copied())),
                ),
                ("margin", Arc::new(Float64Array::from_iter_values(margins[judged.clone()].iter().copied()))),
                ("maintenance", Arc::new(Float64Array::from_iter_values(held.iter().copied()))),
                ("loss", Arc::new(Float64Array::from_iter_values(losses[judged.clone()].iter().copied()))),
                ("breach", Arc::new(breach.collect::<BooleanArray>())),
            ])?;
        }
    }
    batches.close()
}

/// `time` (ms), `policy`, `horizon_days`, `parameter`, `from`, `to`, `cause`, `part`: a row for every cause of every change,
/// `part` being what it added to the logarithm.
pub(super) fn changes(of: &Material<'_>, out: impl Write + Send) -> anyhow::Result<()> {
    let mut batches = Batches { out: Some(out), writer: None };
    for (policy, tracks) in of.study.policies.iter().zip(&of.outcome.tracks) {
        for (horizon, track) in of.study.horizons.iter().zip(tracks) {
            let rows: Vec<(&Dated, &str, i64)> = track
                .changes
                .iter()
                .flat_map(|dated| {
                    dated.change.causes.iter().map(move |(cause, part)| (dated, cause.name(), *part))
                })
                .collect();
            let keys: Vec<String> = rows.iter().map(|(dated, ..)| dated.change.key.to_string()).collect();
            let count = rows.len();
            let real = |read: fn(&(&Dated, &str, i64)) -> f64| -> ArrayRef {
                Arc::new(Float64Array::from_iter_values(rows.iter().map(read)))
            };
            let times = rows.iter().map(|(dated, ..)| dated.at.nanos() / 1_000_000);
            batches.write(vec![
                ("time", Arc::new(times.collect::<Int64Array>())),
                ("policy", same(policy.name(), count)),
                ("horizon_days", Arc::new(Float64Array::from_value(*horizon as f64 / DAY, count))),
                ("parameter", Arc::new(keys.iter().map(Some).collect::<StringArray>())),
                ("from", real(|(dated, ..)| dated.change.from.to_f64())),
                ("to", real(|(dated, ..)| dated.change.to.to_f64())),
                ("cause", Arc::new(rows.iter().map(|(_, cause, _)| Some(*cause)).collect::<StringArray>())),
                ("part", real(|(.., part)| *part as f64 / 1e9)),
            ])?;
        }
    }
    batches.close()
}

/// `time`, `until` (ms), `policy`, `asset`, `portfolio`, `horizon_days`, then means over books and shares: every instant that was judged.
pub(super) fn series(rows: &[ChainRow], out: impl Write + Send) -> anyhow::Result<()> {
    let mut batches = Batches { out: Some(out), writer: None };
    for row in rows {
        let (of, count) = (&row.series, row.series.at.len());
        let times = |at: &[Timestamp]| -> ArrayRef {
            Arc::new(at.iter().map(|time| time.nanos() / 1_000_000).collect::<Int64Array>())
        };
        let real = |of: &[f64]| -> ArrayRef { Arc::new(Float64Array::from_iter_values(of.iter().copied())) };
        let days = row.horizon_seconds as f64 / DAY;
        batches.write(vec![
            ("time", times(&of.at)),
            ("until", times(&of.until)),
            ("policy", same(&row.policy, count)),
            ("asset", same(&row.asset, count)),
            ("portfolio", same(row.style.name(), count)),
            ("horizon_days", Arc::new(Float64Array::from_value(days, count))),
            ("margin", real(&of.margin)),
            ("loss", real(&of.loss)),
            ("loss_most", real(&of.loss_most)),
            ("breached", real(&of.breached)),
            ("uncovered", real(&of.uncovered)),
            ("uncovered_most", real(&of.uncovered_most)),
        ])?;
    }
    batches.close()
}

/// `time`, `until` (ms), `asset`, `portfolio`, `instrument`, `quantity` (coins, long > 0), `mark` (quote units a coin), and of the
/// whole book `gross`, `margin`, `loss` (quote units): the first book of every style at every chain that was judged, a row for
/// every position, by the first policy at the first horizon. Whoever has the chains can compute all of it again.
pub(super) fn books(
    study: &ChainStudy,
    outcome: &ChainOutcome,
    out: impl Write + Send,
) -> anyhow::Result<()> {
    let mut batches = Batches { out: Some(out), writer: None };
    for sampled in &outcome.sampled {
        for (style, name) in Style::ALL.iter().enumerate() {
            let legs = legs(study, sampled, style * study.books);
            let count = legs.len();
            let real = |read: fn(&BookLeg) -> f64| -> ArrayRef {
                Arc::new(Float64Array::from_iter_values(legs.iter().map(read)))
            };
            let times = |read: fn(&BookLeg) -> Timestamp| -> ArrayRef {
                Arc::new(legs.iter().map(|leg| read(leg).nanos() / 1_000_000).collect::<Int64Array>())
            };
            batches.write(vec![
                ("time", times(|leg| leg.at)),
                ("until", times(|leg| leg.until)),
                ("asset", same(sampled.asset.as_str(), count)),
                ("portfolio", same(name.name(), count)),
                (
                    "instrument",
                    Arc::new(legs.iter().map(|leg| Some(&leg.instrument)).collect::<StringArray>()),
                ),
                ("quantity", real(|leg| leg.quantity)),
                ("mark", real(|leg| leg.mark)),
                ("gross", real(|leg| leg.of_book[0])),
                ("margin", real(|leg| leg.of_book[1])),
                ("loss", real(|leg| leg.of_book[2])),
            ])?;
        }
    }
    batches.close()
}

/// A position of a book at a chain.
struct BookLeg {
    at: Timestamp,
    until: Timestamp,
    instrument: String,
    quantity: f64,
    mark: f64,
    /// Gross notional, margin and loss of the book.
    of_book: [f64; 3],
}

fn legs(study: &ChainStudy, sampled: &Sampled, book: usize) -> Vec<BookLeg> {
    let lot = |of: &Instrument| nearest_f64(study.params.units.lot(of));
    let mut legs = Vec::new();
    for (i, place) in sampled.places.iter().enumerate() {
        let found = || {
            let moment = study.moments.get(*place)?;
            let listing = moment.listings.get(&sampled.asset)?;
            let held = sampled.held.get(i)?.get(book)?;
            let lost = sampled.lost.first()?.get(i)?.as_ref()?;
            let margin = sampled.margins.first()?.get(i)?.get(book)?;
            Some((moment.at, listing, held, lost, [held.gross, *margin, *lost.losses.get(book)?]))
        };
        let Some((at, listing, held, lost, of_book)) = found() else { continue };
        let mut add = |instrument: String, quantity: f64, mark: f64| {
            legs.push(BookLeg { at, until: lost.until, instrument, quantity, mark, of_book });
        };
        for (place, lots) in &held.options {
            let Some(quote) = listing.quotes.get(*place as usize) else { continue };
            add(quote.instrument.to_string(), *lots as f64 * lot(&quote.instrument), quote.mark);
        }
        let coin = Instrument::spot(sampled.asset.clone());
        for (name, lots) in [(coin.to_string(), held.spot), (format!("{coin}-PERP"), held.perpetual)] {
            if lots != 0 {
                add(name, lots as f64 * lot(&coin), listing.index);
            }
        }
    }
    legs
}
