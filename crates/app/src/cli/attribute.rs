//! `plimsoll attribute`: why an account's margin changed.

use super::args::{BookArgs, MarketArgs, ParamArgs};
use super::loaded::{DeskArgs, FailureRow, Loaded, say_notes};
use super::say;
use crate::io::progress::Progress;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use anyhow::Context;
use clap::Args;
use plimsoll_engine::AttributionReport;
use plimsoll_margin::Split;
use plimsoll_types::{AccountId, Ticks, Timestamp};
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `attribute`.
#[derive(Args, Debug)]
#[command(after_help = "Two markets, and what else differs: `--before` and `--after` are snapshots (with \
`--before-at` and `--after-at` when they hold several); `--positions`, `--collateral`, `--params` and `--preset` hold \
for both sides unless `--before-...` or `--after-...` says otherwise.")]
pub(super) struct AttributeArgs {
    /// The market before
    #[arg(long, value_name = "SNAPSHOT")]
    before: PathBuf,
    /// The market after
    #[arg(long, value_name = "SNAPSHOT")]
    after: PathBuf,
    /// Whose margin; otherwise every account that is in both books
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    #[command(flatten)]
    book: BookArgs,
    #[command(flatten)]
    params: ParamArgs,
    /// Of several snapshots before, the last one at or before this time
    #[arg(long, value_name = "TIME")]
    before_at: Option<Timestamp>,
    /// Of several snapshots after, the last one at or before this time
    #[arg(long, value_name = "TIME")]
    after_at: Option<Timestamp>,
    /// Positions before, where they differ from --positions
    #[arg(long, value_name = "FILE")]
    before_positions: Option<PathBuf>,
    /// Positions after, where they differ from --positions
    #[arg(long, value_name = "FILE")]
    after_positions: Option<PathBuf>,
    /// Collateral before, where it differs from --collateral
    #[arg(long, value_name = "FILE")]
    before_collateral: Option<PathBuf>,
    /// Collateral after, where it differs from --collateral
    #[arg(long, value_name = "FILE")]
    after_collateral: Option<PathBuf>,
    /// Parameters before, where they differ from --params
    #[arg(long, value_name = "FILE")]
    before_params: Option<PathBuf>,
    /// Parameters after, where they differ from --params
    #[arg(long, value_name = "FILE")]
    after_params: Option<PathBuf>,
}

impl AttributeArgs {
    fn side(
        &self,
        (market, at): (&PathBuf, Option<Timestamp>),
        positions: Option<&PathBuf>,
        collateral: Option<&PathBuf>,
        params: Option<&PathBuf>,
    ) -> DeskArgs {
        let mut desk = DeskArgs {
            market: MarketArgs { market: market.clone(), at },
            book: self.book.clone(),
            params: self.params.clone(),
        };
        if let Some(path) = positions {
            desk.book.positions.clone_from(path);
        }
        if let Some(path) = collateral {
            desk.book.collateral = Some(path.clone());
        }
        if let Some(path) = params {
            (desk.params.params, desk.params.preset) = (Some(path.clone()), None);
        }
        desk
    }

    fn sides(&self) -> (DeskArgs, DeskArgs) {
        let before = self.side(
            (&self.before, self.before_at),
            self.before_positions.as_ref(),
            self.before_collateral.as_ref(),
            self.before_params.as_ref(),
        );
        let after = self.side(
            (&self.after, self.after_at),
            self.after_positions.as_ref(),
            self.after_collateral.as_ref(),
            self.after_params.as_ref(),
        );
        (before, after)
    }
}

type Read = fn(&Split) -> Ticks;

const PARTS: [(&str, Read); 7] = [
    ("position", |s| s.position),
    ("parameter", |s| s.parameter),
    ("time", |s| s.time),
    ("price", |s| s.price),
    ("vol", |s| s.vol),
    ("residual", |s| s.residual),
    ("total", |s| s.total),
];

/// Answers.
pub(super) fn run(args: &AttributeArgs) -> anyhow::Result<Answer<'static>> {
    let (before, after) = args.sides();
    refuse_shared_stdin(&before, &after)?;
    let first = before.assemble(args.account.as_ref(), &[]).context("before")?;
    let last = after.assemble(args.account.as_ref(), &[]).context("after")?;
    if first.desk.params.units.ticks_per_unit != last.desk.params.units.ticks_per_unit {
        anyhow::bail!("the parameter sets before and after count in different ticks");
    }
    let (reports, failures) = match &args.account {
        Some(account) => (vec![one(&first, &last, account)?], Vec::new()),
        None => every(&first, &last),
    };
    let assumed = assumed(&first, &last);
    say_notes(&assumed);
    Ok(answer(&last, &reports, &failures, &assumed))
}

/// What was assumed on either side; once where it is the same on both.
fn assumed(first: &Loaded, last: &Loaded) -> Vec<String> {
    let (before, after) = (&first.desk.notes, &last.desk.notes);
    let of = |side: &str, note: &String, other: &[String]| {
        if other.contains(note) { note.clone() } else { format!("{side}: {note}") }
    };
    let mut notes: Vec<String> = before.iter().map(|note| of("before", note, after)).collect();
    notes.extend(after.iter().filter(|note| !before.contains(note)).map(|note| of("after", note, before)));
    notes
}

fn one(first: &Loaded, last: &Loaded, account: &AccountId) -> anyhow::Result<AttributionReport> {
    first.valued(account).context("before")?;
    last.valued(account).context("after")?;
    Ok(plimsoll_engine::attribute(&first.desk, &last.desk, account)?)
}

/// Every account of both books, those that cannot be valued apart.
fn every(first: &Loaded, last: &Loaded) -> (Vec<AttributionReport>, Vec<FailureRow>) {
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    let book = &last.desk.book;
    let progress = Progress::items("attribution", book.len() as u64);
    for (name, side) in [("before", first), ("after", last)] {
        if !side.desk.failures.is_empty() {
            say!("{name}:");
        }
        side.say_failures(&side.desk.failures);
        failures.extend(side.failure_rows(&side.desk.failures));
    }
    for account in book.accounts().filter(|account| first.desk.book.find(account).is_some()) {
        progress.advance(1);
        match plimsoll_engine::attribute(&first.desk, &last.desk, &account) {
            Ok(report) => reports.push(report),
            Err(error) => {
                say!("error: account {account}: {error}");
                let reason = error.to_string();
                failures.push(FailureRow {
                    account: account.to_string(),
                    instrument: None,
                    code: None,
                    reason,
                });
            }
        }
    }
    (reports, failures)
}

fn answer(
    last: &Loaded,
    reports: &[AttributionReport],
    failures: &[FailureRow],
    assumed: &[String],
) -> Answer<'static> {
    let table = table(last, reports);
    let mut notes = Vec::new();
    if let Some(report) = reports.first() {
        notes = vec![format!("before: {}", report.before), format!("after:  {}", report.after)];
    }
    let json = serde_json::json!({
        "before": reports.first().map(|report| &report.before),
        "after": reports.first().map(|report| &report.after),
        "currency": last.desk.arrays.currency.to_string(),
        "notes": assumed,
        "attribution": table.json(),
        "failures": failures,
    });
    let verdict = if failures.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let json = JsonBody::Value(json);
    Answer { tables: vec![table.clone()], notes, main: table, json, verdict, picture: None }
}

/// Both sides are read, so nothing may come from the standard input stream on both.
fn refuse_shared_stdin(before: &DeskArgs, after: &DeskArgs) -> anyhow::Result<()> {
    let sides = [before, after];
    let paths = sides.iter().flat_map(|side| {
        let markets = [side.market.market.as_path()];
        side.book.paths().chain(markets).chain(side.params.params.as_deref())
    });
    super::args::one_stdin(paths)
}

fn table(loaded: &Loaded, reports: &[AttributionReport]) -> Table {
    let columns = [
        ("account", Kind::Text),
        ("cause", Kind::Text),
        ("im", Kind::Amount),
        ("mm", Kind::Amount),
        ("equity", Kind::Amount),
    ];
    let mut table = Table::new("change of margin by cause", &columns);
    for report in reports {
        let change = &report.attribution;
        for (name, read) in PARTS {
            table.push(vec![
                Cell::text(&report.account),
                Cell::text(name),
                loaded.cell(read(&change.im)),
                loaded.cell(read(&change.mm)),
                loaded.cell(read(&change.equity)),
            ]);
        }
    }
    table
}
