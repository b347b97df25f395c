//! The report of a journal over a period: one page for people, and a text for a forum.
//!
//! The one idea: what the journal says is gathered while it is replayed, and the report is a function of that alone, so the same
//! journal and period always write the same bytes. The page asks for nothing from outside: its pictures are in it.

mod coverage;
mod gather;
mod house;
mod pictures;
mod tables;

pub(crate) use gather::Gathered;

use super::page;
use crate::host::Course;
use crate::output::Table;
use anyhow::Context;
use plimsoll_types::{Timestamp, Units};

/// How it was done, for both forms.
const METHOD: [&str; 8] = [
    "The journal was replayed through the engine that wrote it; where no beginning was named, the report begins with the first sample in which there is something to margin. Every number is one that the engine acted by, or follows from the events before it; nothing is interpolated.",
    "Totals are of all accounts that could be valued, at the clocks at which the engine samples them. A call, a liquidation and a decision are listed at the event that they followed from.",
    "Margin of an underlying is its scan loss: of every account the largest loss over the grid of scenarios in that underlying alone, added up over accounts. What underlyings set off against each other, scales, charges and open orders are of whole accounts; they are the difference to the total.",
    "A comparison tells the same positions and collateral to another parameter set on the same surface. Entry prices and open orders are not told. Both sides are of the accounts that the other set can margin.",
    "Causes of a change are parts of its logarithm and add up to ln(to / from); they were attributed when it was decided. What was read is as of the decision.",
    "Coverage of a window that begins at t: L = sum over positions of lots(t) x (mark(t) - mark(t + horizon)), the loss of what was held at t as if nobody had traded; funding is in the mark, what was settled counts at its settlement. It is covered if L <= margin(t). The share covered is 1 - beyond / judged. Windows of a horizon do not overlap; those that an interruption made half again as long are left out.",
    "What is counted is losses, one for each account and window: a crash that takes a hundred accounts beyond margin within one window counts a hundred, which is why the windows with one, and the most of one window, stand beside them. The policy states its rate for the scan ranges over its own horizon; initial margin takes them in full and maintenance margin in part, so the rate is one of losses beyond initial margin. Over a shorter horizon losses should be beyond it less often: what is expected there is the most that may be.",
    "Kupiec's test: LR = -2[(T - x) ln(1 - p) + x ln p - (T - x) ln(1 - x / T) - x ln(x / T)], chi-square with one degree of freedom, T trials, x beyond, p what is asked; two-sided. Accounts hold the same underlyings and lose together, so they are neither T independent trials nor one: the test is made as if each loss were a trial, which rejects too often, and with the same share as if only windows were, which rejects too seldom. What both reject is said. Collateral is not moved.",
];

/// What a report is made of.
pub(crate) struct Written {
    /// One page with everything in it.
    pub(crate) html: String,
    /// The same for a forum, without pictures.
    pub(crate) markdown: String,
}

/// What the parts of a report read.
struct Material<'a> {
    gathered: &'a Gathered,
    /// As it stands at the end.
    course: &'a Course,
    units: &'a Units,
    /// The first and the last sample.
    span: (Timestamp, Timestamp),
}

/// The report of what was gathered, and of the course at the end of it.
///
/// # Errors
/// When nothing of the period can be shown.
pub(crate) fn write(mut gathered: Gathered, course: &Course, identity: &str) -> anyhow::Result<Written> {
    let covered = gathered.coverage();
    let ends = gathered.samples.first().zip(gathered.samples.last());
    let span = ends.map(|(first, last)| (first.at, last.at));
    let span = span.context("no clock with accounts lies in the period: nothing can be shown")?;
    let units = &course.engine.rules().params.units;
    let of = Material { gathered: &gathered, course, units, span };
    let scenarios = house::scenarios(&of)?;
    let title = format!("Margin report of {identity}");
    let setup = setup(&of);
    let sections: Vec<(&str, Vec<String>, Vec<Table>)> = vec![
        ("Margins", pictures::margins(&of), tables::margins(&of)),
        ("Other methods on the same book", pictures::methods(&of), tables::methods(&of)),
        ("Parameters", pictures::causes(&of), vec![tables::decisions(&of)]),
        ("Calls and liquidations", pictures::standings(&of), tables::happened(&of)),
        ("Coverage so far", Vec::new(), tables::coverage(&of, &covered)),
        ("The house at the end", vec![scenarios.picture.clone()], house::tables(&of, &scenarios)),
    ];
    let mut html = page::begin(&title, &setup);
    for (name, pictures, tables) in &sections {
        page::section(&mut html, name, pictures, tables);
    }
    page::close(&mut html, &METHOD);
    let tables = sections.iter().flat_map(|(_, _, tables)| tables);
    let markdown = page::text(&title, &setup, tables, METHOD.into_iter())?;
    Ok(Written { html, markdown })
}

fn setup(of: &Material<'_>) -> Vec<String> {
    let (first, last) = of.span;
    let rules = of.course.engine.rules();
    let estimates = coverage::estimates(of.course)
        .into_iter()
        .map(|(confidence, seconds)| format!("{} % over {} h", 100.0 * confidence, seconds as f64 / 3_600.0));
    vec![
        format!(
            "{first} to {last}: {} records, the last of them {}.",
            of.gathered.records, of.course.sequence
        ),
        format!(
            "Parameter set {} ({}), policy {}. Its estimates cover {}.",
            rules.params.name,
            rules.params.id(),
            rules.policy.name(),
            estimates.collect::<Vec<_>>().join(", ")
        ),
        format!("All amounts are in {}.", of.units.currency),
    ]
}
