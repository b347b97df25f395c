//! What happened, and what it would have been under other rules.

use super::Plan;
use crate::output::{Cell, Kind, Table};
use plimsoll_journal::Anchor;
use plimsoll_sim::harbour::Outcome;
use plimsoll_types::{Decimal, Ticks};
use std::io::Write;
use std::path::Path;
use std::thread::JoinHandle;

/// What the same market and the same people are put under beside: parameter set and policy.
const OTHERS: [(&str, &str); 2] = [("plimsoll", "static"), ("fixed", "static")];

/// Outcomes that are being computed.
pub(super) type Others = JoinHandle<anyhow::Result<Vec<Outcome>>>;

/// Begins to tell the same story to engines under other rules, on a thread of its own that gives way to everything else.
pub(super) fn others(plan: &Plan) -> anyhow::Result<Others> {
    let story = plan.story.clone();
    // Where it may not be said, it does not give way.
    let aside = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .start_handler(|_| {
            let _ = rustix::process::nice(19);
        })
        .build()?;
    let run = move || -> anyhow::Result<Vec<Outcome>> {
        aside.install(|| {
            OTHERS.iter().map(|(params, policy)| story.shadow(&story.rules(params, policy)?)).collect()
        })
    };
    Ok(std::thread::Builder::new().name("others".to_owned()).spawn(run)?)
}

/// Prints what happened beside what it would have been.
pub(super) fn print(
    outcome: Outcome,
    others: Option<Others>,
    (end, kept): (Anchor, Option<&Path>),
) -> anyhow::Result<()> {
    let mut all = vec![outcome];
    if let Some(others) = others {
        let found = others.join().map_err(|_| anyhow::anyhow!("the comparison ended early"))?;
        all.extend(found?);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nThe same market and the same people, under\n")?;
    table(&all).print(&mut out, None)?;
    writeln!(out, "journal: {} records, chain {}", end.sequence, end.hash)?;
    if let Some(dir) = kept {
        writeln!(out, "`plimsoll replay {} --hash` tells it again", dir.display())?;
    }
    Ok(())
}

fn table(all: &[Outcome]) -> Table {
    let mut columns = vec![("", Kind::Text)];
    columns.extend(all.iter().map(|outcome| (outcome.name.as_str(), Kind::Text)));
    let mut table = Table::new("", &columns);
    let mut row = |what: &str, of: &dyn Fn(&Outcome) -> String| {
        let cells = all.iter().map(|outcome| Cell::text(of(outcome)));
        table.push([Cell::text(what)].into_iter().chain(cells).collect());
    };
    row("margin calls", &|o| o.calls.to_string());
    row("accounts called", &|o| o.called_accounts.to_string());
    row("accounts liquidated", &|o| o.liquidated_accounts.to_string());
    row("liquidated notional", &|o| amount(o.liquidated_notional));
    row("accounts that fell below zero", &|o| o.insolvent_accounts.to_string());
    row("taken over by the backstop", &|o| o.taken_over.to_string());
    row("closed against others", &|o| o.deleveraged.to_string());
    row("bad debt: the backstop's loss", &|o| amount(o.backstop_lost));
    row("bad debt: paid by insurance", &|o| amount(o.insurance));
    row("bad debt: shared by all", &|o| amount(o.socialised));
    row("initial margin, mean", &|o| amount(o.im_mean));
    row("initial margin, peak", &|o| amount(o.im_peak));
    row("capital, mean", &|o| amount(o.capital_mean));
    row("changes of parameters", &|o| o.parameter_changes.to_string());
    table
}

/// Whole units of the currency; a tick is a millionth.
fn amount(ticks: Ticks) -> String {
    let whole = ticks.0 / 1_000_000;
    i64::try_from(whole).map_or_else(|_| whole.to_string(), |whole| Decimal::from(whole).to_string())
}
