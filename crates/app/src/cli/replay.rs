//! `plimsoll replay`: what a journal says, from its first record.

use crate::host::{self, Course};
use crate::io::progress::Progress;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::Args;
use plimsoll_engine::live::Standing;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// The journal's folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Stop after this record
    #[arg(long, value_name = "SEQ")]
    until: Option<u64>,
    /// Print the hash of the state alone on the last line: equal on every build
    #[arg(long)]
    hash: bool,
}

/// Replays and says what came of it.
pub(super) fn run(args: &ReplayArgs, output: &Output) -> anyhow::Result<Verdict> {
    let progress = Progress::items("replay", args.until.unwrap_or_default());
    let (course, records) = host::replay(&args.dir, args.until, |_| {
        progress.advance(1);
        Ok(())
    })?;
    drop(progress);
    let verdict = output.write(Answer::table(summary(&course, records)))?;
    if args.hash {
        writeln!(std::io::stdout(), "{}", course.engine.state().hash()?)?;
    }
    Ok(verdict)
}

fn summary(course: &Course, records: u64) -> Table {
    let (engine, state) = (&course.engine, course.engine.state());
    let sample = host::Sample::of(engine);
    let units = &engine.rules().params.units;
    let mut standings: BTreeMap<Standing, u64> = BTreeMap::new();
    for number in 0..u32::try_from(state.ledger.accounts().len()).unwrap_or(u32::MAX) {
        *standings.entry(state.standing(number)).or_default() += 1;
    }
    let counted = |standing| standings.get(&standing).copied().unwrap_or_default().to_string();
    let refused: u64 = state.refused.values().sum();
    let mut table = Table::new("", &[("what", Kind::Text), ("value", Kind::Text)]);
    let rows = [
        ("records", records.to_string()),
        ("last record", course.sequence.to_string()),
        ("engine's time", state.now.to_string()),
        ("events refused", refused.to_string()),
        ("accounts", state.ledger.accounts().len().to_string()),
        ("instruments", state.ledger.instruments().len().to_string()),
        ("equity", units.amount(sample.equity).normalize().to_string()),
        ("initial margin", units.amount(sample.im).normalize().to_string()),
        ("maintenance margin", units.amount(sample.mm).normalize().to_string()),
        ("healthy", counted(Standing::Healthy)),
        ("in call", counted(Standing::Call)),
        ("not valued", counted(Standing::Unvalued)),
        ("liquidatable", counted(Standing::Liquidatable)),
        ("insolvent", counted(Standing::Insolvent)),
        ("insurance fund", units.amount(state.insurance).normalize().to_string()),
        ("version of parameters", state.policy.board().version().to_string()),
        ("changes of parameters", course.chronicle.parameters.len().to_string()),
    ];
    for (what, value) in rows {
        table.push(vec![Cell::text(what), Cell::text(value)]);
    }
    table
}
