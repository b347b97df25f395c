//! `plimsoll margin`: every account's requirement.

use super::account::{AccountJson, addons};
use super::detail;
use super::loaded::{Basis, DeskArgs, FailureRow, Loaded};
use crate::io::progress::Progress;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Format, JsonBody, Kind, Table, Verdict};
use anyhow::Context;
use clap::Args;
use plimsoll_engine::Failure;
use plimsoll_margin::{MarginReport, State};
use plimsoll_types::{AccountId, Ticks};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::io::Write;

/// Arguments of `margin`.
#[derive(Args, Debug)]
pub(super) struct MarginArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Only this account, in detail
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Every number that was added, in words
    #[arg(long)]
    explain: bool,
    /// Put the risk arrays into the JSON: profit or loss of one lot per instrument and scenario, in ticks
    #[arg(long)]
    arrays: bool,
}

const COLUMNS: [(&str, Kind); 10] = [
    ("account", Kind::Text),
    ("equity", Kind::Amount),
    ("im", Kind::Amount),
    ("mm", Kind::Amount),
    ("im_excess", Kind::Amount),
    ("mm_excess", Kind::Amount),
    ("state", Kind::Text),
    ("scan_loss", Kind::Amount),
    ("addons", Kind::Amount),
    ("netting_benefit", Kind::Amount),
];

/// Answers and writes.
pub(super) fn run(args: &MarginArgs, output: &Output) -> anyhow::Result<Verdict> {
    let loaded = args.desk.load(args.account.as_ref(), &[])?;
    if let Some(account) = &args.account {
        known(&loaded, account)?;
    }
    let outcome = outcome(&loaded, args)?;
    loaded.say_failures(&outcome.failures);
    if outcome.table.rows.is_empty() && output.format != Format::Json {
        return Ok(Verdict::Failed);
    }
    let verdict = if outcome.failures.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let failures = loaded.failure_rows(&outcome.failures);
    let json = |out: &mut dyn Write| write_json(&loaded, args, &failures, out);
    let (mut tables, mut notes) = (Vec::new(), outcome.explanations);
    if !args.explain {
        tables.push(outcome.table.clone());
        tables.extend(outcome.detail);
        notes.push(loaded.desk.provenance());
    }
    output.write(Answer {
        tables,
        notes,
        main: outcome.table,
        json: JsonBody::Stream(Box::new(json)),
        verdict,
        picture: None,
    })
}

/// Refuses an account that is not in the files.
fn known(loaded: &Loaded, account: &AccountId) -> anyhow::Result<()> {
    let failed = loaded.desk.failures.iter().any(|failure| failure.account == *account);
    if !failed {
        loaded.desk.portfolio(account)?;
    }
    Ok(())
}

struct Outcome {
    table: Table,
    detail: Vec<Table>,
    explanations: Vec<String>,
    failures: Vec<Failure>,
}

fn outcome(loaded: &Loaded, args: &MarginArgs) -> anyhow::Result<Outcome> {
    let mut table = Table::new("", &COLUMNS);
    let mut totals = Totals::default();
    let (mut detail, mut explanations, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let progress = Progress::items("margin", loaded.desk.book.len() as u64);
    for (account, result) in loaded.desk.margin() {
        progress.advance(1);
        match result {
            Ok(report) => {
                table.push(row(loaded, &report));
                totals.add(&report);
                if args.account.is_some() && !args.explain {
                    detail = detail::tables(loaded, &report);
                }
                if args.explain {
                    explanations.push(loaded.desk.explain(&account)?);
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    if table.rows.len() > 1 {
        table.footer.push(totals.row(loaded));
    }
    Ok(Outcome { table, detail, explanations, failures })
}

/// The word for a state.
pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Healthy => "healthy",
        State::Call => "call",
        State::Liquidatable => "liquidatable",
    }
}

fn row(loaded: &Loaded, report: &MarginReport) -> Vec<Cell> {
    vec![
        Cell::text(&report.account),
        loaded.cell(report.equity),
        loaded.cell(report.im),
        loaded.cell(report.mm),
        loaded.cell(report.im_excess),
        loaded.cell(report.mm_excess),
        Cell::text(state_name(report.state)),
        loaded.cell(report.im_detail.sum),
        loaded.cell(addons(report)),
        loaded.cell(report.netting_benefit),
    ]
}

/// Sums over accounts.
#[derive(Default)]
struct Totals {
    amounts: [i128; 8],
    states: [usize; 3],
}

impl Totals {
    fn add(&mut self, r: &MarginReport) {
        let amounts =
            [r.equity, r.im, r.mm, r.im_excess, r.mm_excess, r.im_detail.sum, addons(r), r.netting_benefit];
        for (sum, amount) in self.amounts.iter_mut().zip(amounts) {
            *sum += amount.0;
        }
        let at = match r.state {
            State::Healthy => 0,
            State::Call => 1,
            State::Liquidatable => 2,
        };
        self.states[at] += 1;
    }

    fn row(&self, loaded: &Loaded) -> Vec<Cell> {
        let [healthy, call, liquidatable] = self.states;
        let mut row = vec![Cell::text(format!("total of {}", healthy + call + liquidatable))];
        row.extend(self.amounts.iter().map(|sum| loaded.cell(Ticks(*sum))));
        row.insert(6, Cell::text(format!("{healthy} healthy, {call} call, {liquidatable} liquidatable")));
        row
    }
}

#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    basis: Basis,
    notes: &'a [String],
    scenarios: &'a [plimsoll_types::ScenarioColumn],
    blocks: &'a [plimsoll_types::Block],
    #[serde(skip_serializing_if = "Option::is_none")]
    arrays: Option<&'a plimsoll_types::RiskArrays>,
    instruments: Vec<String>,
    accounts: Accounts<'a>,
    failures: &'a [FailureRow],
    issues: &'a [plimsoll_types::Issue],
}

/// Accounts evaluated while they are written, so that memory does not grow with their scenario vectors.
struct Accounts<'a>(&'a Loaded, bool);

impl Serialize for Accounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for (account, result) in self.0.desk.margin() {
            let Ok(report) = result else { continue };
            let explain = self.1.then(|| self.0.desk.explain(&account)).transpose();
            let explain = explain.map_err(serde::ser::Error::custom)?;
            seq.serialize_element(&AccountJson::new(self.0, &report, explain))?;
        }
        seq.end()
    }
}

fn write_json(
    loaded: &Loaded,
    args: &MarginArgs,
    failures: &[FailureRow],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let desk = &loaded.desk;
    let document = Document {
        basis: loaded.basis(),
        notes: &desk.notes,
        scenarios: &desk.arrays.scenarios,
        blocks: &desk.arrays.blocks,
        arrays: args.arrays.then_some(&desk.arrays),
        instruments: desk.arrays.instruments.iter().map(|row| row.instrument.to_string()).collect(),
        accounts: Accounts(loaded, args.explain),
        failures,
        issues: &desk.market.surface.issues,
    };
    serde_json::to_writer(out, &document).context("writing JSON")
}
