//! The report of a backtest: one page for people, a text for a forum, tables for programs.
//!
//! The one idea: a report is a function of the outcome alone, so the same backtest always writes the same files. The page asks
//! for nothing from outside: its pictures are in it.

mod attribution;
pub(crate) mod chains;
mod columns;
pub(crate) mod journal;
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
pub(crate) struct Material<'a, S = Study, O = Outcome> {
    /// What was asked.
    pub(crate) study: &'a S,
    /// What was found.
    pub(crate) outcome: &'a O,
    /// Every figure.
    pub(crate) figures: &'a Table,
    /// What people read: the summary, crashes, faults of the data.
    pub(crate) tables: &'a [Table],
    /// Sentences below.
    pub(crate) notes: &'a [String],
}

/// A folder that files are written into, made where it is not there.
struct Folder<'a>(&'a Path);

impl<'a> Folder<'a> {
    fn make(path: &'a Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("{}: cannot be made", path.display()))?;
        Ok(Self(path))
    }

    fn open(&self, name: &str) -> anyhow::Result<BufWriter<File>> {
        let path = self.0.join(name);
        let file = File::create(&path).with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(BufWriter::new(file))
    }

    fn text(&self, name: &str, text: &str) -> anyhow::Result<()> {
        self.open(name)?.write_all(text.as_bytes()).with_context(|| name.to_owned())
    }
}

/// Writes `report.html`, `report.md`, `figures.parquet`, `margins.parquet` and `changes.parquet` into a folder, which is made.
pub(crate) fn write(folder: &Path, of: &Material<'_>) -> anyhow::Result<()> {
    let folder = Folder::make(folder)?;
    let targets = targets::table(of.study, of.outcome);
    folder.text("report.html", &page::html(of, &targets)?)?;
    folder.text("report.md", &page::markdown(of, &targets)?)?;
    write_parquet(of.figures, folder.open("figures.parquet")?)?;
    columns::margins(of, folder.open("margins.parquet")?)?;
    columns::changes(of, folder.open("changes.parquet")?)
}
