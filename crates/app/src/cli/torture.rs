//! `plimsoll torture`: power cuts, errors and kills on the journal, until enough; then the control on a disk that lies.

use crate::host::moment;
use crate::io::progress::Progress;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::Args;
use plimsoll_journal::torture::{Figures, run as cut};
use std::time::Duration;

/// Cuts of the control: it must lose something long before.
const CONTROL: u64 = 200;

/// Arguments of `torture`.
#[derive(Args, Debug)]
pub(super) struct TortureArgs {
    /// Stop after so many minutes, even before the cuts are done
    #[arg(long, default_value_t = 10, value_name = "N")]
    minutes: u64,
    /// Power cuts on the honest disk
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    cuts: u64,
    /// Every history follows from it
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// Cuts, compares, and says what was lost. It fails when anything was lost, invented or refused, when fewer than a third of the cuts
/// came during recovery, or when the control lost nothing.
pub(super) fn run(args: &TortureArgs, output: &Output) -> anyhow::Result<Verdict> {
    let progress = Progress::items("power cuts", args.cuts);
    let (begun, limit) = (moment(), Duration::from_secs(60 * args.minutes));
    let mut last = 0;
    let honest = cut(args.seed, false, &mut |figures: &Figures| {
        progress.advance(figures.cuts - last);
        last = figures.cuts;
        figures.cuts < args.cuts && begun.elapsed() < limit
    });
    drop(progress);
    let control = cut(args.seed, true, &mut |figures| figures.cuts < CONTROL);
    let sound =
        honest.sound() && honest.cuts > 0 && honest.cuts_in_recovery * 3 >= honest.cuts && control.lost > 0;
    let mut answer = Answer::table(table(&honest, &control));
    let seconds = begun.elapsed().as_secs_f64();
    answer.notes.push(match (sound, &honest.first_bad) {
        (true, _) => {
            format!(
                "sound: 0 of {} acknowledged records lost over {} cuts, in {seconds:.0} s",
                honest.acknowledged, honest.cuts
            )
        }
        (false, Some((seed, why))) => {
            format!("NOT SOUND: the first bad history is that of seed {seed}: {why}")
        }
        (false, None) => "NOT SOUND: too few cuts during recovery, or the control lost nothing".to_owned(),
    });
    answer.verdict = if sound { Verdict::Passed } else { Verdict::Failed };
    output.write(answer)
}

/// A row: what is counted, and where.
type Row = (&'static str, fn(&Figures) -> u64);

fn table(honest: &Figures, control: &Figures) -> Table {
    let columns = [
        ("what", Kind::Text),
        ("honest disk", Kind::Integer),
        ("a disk that lies about syncs", Kind::Integer),
    ];
    let mut table = Table::new("", &columns);
    let rows: [Row; 15] = [
        ("histories", |f| f.histories),
        ("restarts compared with the model", |f| f.restarts),
        ("power cuts", |f| f.cuts),
        ("of them during recovery", |f| f.cuts_in_recovery),
        ("of them after recovery had begun to write", |f| f.cuts_in_mending),
        ("EIO and ENOSPC", |f| f.errors),
        ("kills and closes", |f| f.kills),
        ("torn groups cut off", |f| f.torn),
        ("groups kept in doubt", |f| f.kept),
        ("records acknowledged", |f| f.acknowledged),
        ("records lost", |f| f.lost),
        ("records invented", |f| f.invented),
        ("journals refused", |f| f.refused),
        ("snapshots acknowledged", |f| f.snapshots),
        ("snapshots lost", |f| f.snapshots_lost),
    ];
    for (what, of) in rows {
        let count = |figures| Cell::count(usize::try_from(of(figures)).unwrap_or(usize::MAX));
        table.push(vec![Cell::text(what), count(honest), count(control)]);
    }
    table
}
