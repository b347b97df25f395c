//! `plimsoll report`: what a journal says of a period, as a page.

use crate::host::{self, Begin, End};
use crate::io::progress::Progress;
use crate::output::Verdict;
use crate::output::answer::Output;
use crate::report::journal;
use anyhow::{Context, bail};
use clap::Args;
use plimsoll_types::Timestamp;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Arguments of `report`.
#[derive(Args, Debug)]
#[command(after_help = "With --out report.html the page goes there and the same as Markdown to report.md.")]
pub(super) struct ReportArgs {
    /// The journal's folder
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// Nothing before this: an instant (2026-01-12T18:00:00Z) or a date, whose midnight it is in UTC
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Nothing after this; the same
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
}

/// An instant, or a date as its midnight.
fn instant(text: &str) -> Result<Timestamp, String> {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse().map_err(|e| format!("`{text}` is neither an instant nor a date: {e}"))
}

/// Replays the journal and writes the page and the text.
pub(super) fn run(args: &ReportArgs, output: &Output) -> anyhow::Result<Verdict> {
    let Some(page) = output.file.as_deref().filter(|path| path.extension().is_some_and(|of| of == "html"))
    else {
        bail!("a report is a page: name it with --out, as in --out report.html");
    };
    if args.from.zip(args.to).is_some_and(|(from, to)| from >= to) {
        bail!("--from must be before --to");
    }
    let identity = host::identity_of(&args.journal)?;
    let progress = Progress::spinner("report");
    let mut gathered = journal::Gathered::new(args.from);
    let begin = args.from.map_or(Begin::First, Begin::Instant);
    let end = End { instant: args.to, ..End::default() };
    let (course, _) = host::follow(&args.journal, (begin, end), |course, taken| {
        gathered.take(course, taken.effects);
        progress.advance(1);
        Ok(ControlFlow::Continue(()))
    })?;
    let written = journal::write(gathered, &course, &identity)?;
    drop(progress);
    keep(page, &written.html)?;
    keep(&page.with_extension("md"), &written.markdown)?;
    Ok(Verdict::Passed)
}

fn keep(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}
