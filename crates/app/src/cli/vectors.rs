//! `plimsoll vectors`: published cases against this build.

use super::say;
use crate::io::source::Source;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use crate::vectors::{COLUMNS, Parity, check, json, rows};
use anyhow::Context;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

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
    let (parities, all) = checked(&args.files)?;
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
    let verdict = match (all, parities.iter().all(Parity::is_clean)) {
        (false, _) => Verdict::Refused,
        (true, false) => Verdict::Failed,
        (true, true) => Verdict::Passed,
    };
    let text = json(&parities)?;
    let json = JsonBody::Stream(Box::new(move |out| out.write_all(text.as_bytes()).context("writing JSON")));
    Ok(Answer { tables, notes, main, json, verdict, picture: None })
}

/// The files that could be checked, and whether these are all; the others are named.
fn checked(files: &[PathBuf]) -> anyhow::Result<(Vec<Parity>, bool)> {
    let mut parities = Vec::new();
    for path in files {
        match read(path) {
            Ok(parity) => parities.push(parity),
            Err(error) => say!("error: {}", super::in_words(&error)),
        }
    }
    if parities.is_empty() {
        anyhow::bail!("no file holds cases that can be checked");
    }
    let all = parities.len() == files.len();
    Ok((parities, all))
}

fn read(path: &Path) -> anyhow::Result<Parity> {
    let (name, text) = Source::read_small(path, BYTES_MAX)?;
    Ok(check(&name, text.as_bytes())?)
}
