//! `plimsoll vectors`: published cases against this build.

use crate::io::source::Source;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use crate::vectors::{COLUMNS, check, json, rows};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `vectors`.
#[derive(Args, Debug)]
pub(super) struct VectorsArgs {
    /// Files of cases, in the form of the samples in `vectors/`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// No file of cases is longer than this.
const BYTES_MAX: u64 = 1 << 30;

/// Answers; a quantity that is off fails the check.
pub(super) fn run(args: &VectorsArgs) -> anyhow::Result<Answer<'static>> {
    super::args::one_stdin(args.files.iter().map(PathBuf::as_path))?;
    let mut parities = Vec::new();
    for path in &args.files {
        let (name, text) = Source::read_small(path, BYTES_MAX)?;
        parities.push(check(&name, text.as_bytes())?);
    }
    let columns = COLUMNS.map(|name| (name, Kind::Text));
    let mut main = Table::new("", &columns);
    main.columns.insert(0, ("file".to_owned(), Kind::Text));
    let (mut tables, mut notes) = (Vec::new(), Vec::new());
    for parity in &parities {
        let mut table = Table::new(parity.file.clone(), &columns);
        for row in rows(parity) {
            let cells: Vec<Cell> = row.into_iter().map(Cell::Text).collect();
            main.push([vec![Cell::text(&parity.file)], cells.clone()].concat());
            table.push(cells);
        }
        tables.push(table);
        notes.push(format!(
            "{}: {} of {} cases passed, worst error {:.1e}",
            parity.method,
            parity.passed,
            parity.cases,
            parity.worst_error()
        ));
    }
    let clean = parities.iter().all(crate::vectors::Parity::is_clean);
    let verdict = if clean { Verdict::Passed } else { Verdict::Failed };
    let text = json(&parities)?;
    let json = JsonBody::Stream(Box::new(move |out| out.write_all(text.as_bytes()).context("writing JSON")));
    Ok(Answer { tables, notes, main, json, verdict })
}
