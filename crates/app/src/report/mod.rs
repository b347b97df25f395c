//! The report of a backtest: one page for people, a text for a forum, tables for programs.
//!
//! The one idea: a report is a function of the outcome alone, so the same backtest always writes the same files. The page asks
//! for nothing from outside: its pictures are in it.

mod attribution;
pub(crate) mod chains;
mod columns;
mod page;
mod pictures;
mod targets;

use crate::output::Table;
use crate::output::columns::write_parquet;
use anyhow::Context;
use plimsoll_sim::{Outcome, Study};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// What a report is made of.
pub(crate) struct Material<'a> {
    /// What was asked.
    pub(crate) study: &'a Study,
    /// What was found.
    pub(crate) outcome: &'a Outcome,
    /// Every figure.
    pub(crate) figures: &'a Table,
    /// What people read: the summary, crashes, faults of the data.
    pub(crate) tables: &'a [Table],
    /// Sentences below.
    pub(crate) notes: &'a [String],
}

/// Writes `report.html`, `report.md`, `figures.parquet`, `margins.parquet` and `changes.parquet` into a folder, which is made.
pub(crate) fn write(folder: &Path, of: &Material<'_>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let open = |name: &str| {
        let path = folder.join(name);
        File::create(&path)
            .map(BufWriter::new)
            .with_context(|| format!("{}: cannot be written", path.display()))
    };
    let targets = targets::table(of.study, of.outcome);
    open("report.html")?.write_all(page::html(of, &targets)?.as_bytes()).context("report.html")?;
    open("report.md")?.write_all(page::markdown(of, &targets)?.as_bytes()).context("report.md")?;
    write_parquet(of.figures, open("figures.parquet")?)?;
    columns::margins(of, open("margins.parquet")?)?;
    columns::changes(of, open("changes.parquet")?)
}
