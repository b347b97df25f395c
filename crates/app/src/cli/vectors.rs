//! `plimsoll vectors`: published cases against this build.

use super::say;
use crate::io::source::Source;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use crate::vectors::{COLUMNS, Parity, check, json, row};
use anyhow::Context;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `vectors`.
#[derive(Args, Debug)]
pub(super) struct VectorsArgs {
    /// Files of cases, or directories of them: every `.json`, `.json.gz` and `.json.zst` inside, by name
    #[arg(value_name = "DIR|FILE", required = true)]
    paths: Vec<PathBuf>,
    /// Every quantity that was compared, not only the misses
    #[arg(long)]
    quantities: bool,
}

/// No file of cases is longer than this.
const BYTES_MAX: u64 = 1 << 30;

/// Answers; a quantity that is off fails the check, a file that cannot be checked is an error.
pub(super) fn run(args: &VectorsArgs) -> anyhow::Result<Answer<'static>> {
    super::args::one_stdin(args.paths.iter().map(PathBuf::as_path))?;
    let mut files = Vec::new();
    for path in &args.paths {
        files.extend(listed(path)?);
    }
    let (parities, all) = checked(&files)?;
    let summary = summary(&parities);
    let compared = compared(&parities, args.quantities);
    let mut tables = vec![summary.clone()];
    if !compared.rows.is_empty() {
        tables.insert(0, compared.clone());
    }
    let main = if args.quantities { compared } else { summary };
    let verdict = match (all, parities.iter().all(Parity::is_clean)) {
        (false, _) => Verdict::Refused,
        (true, false) => Verdict::Failed,
        (true, true) => Verdict::Passed,
    };
    let text = json(&parities)?;
    let json = JsonBody::Stream(Box::new(move |out| out.write_all(text.as_bytes()).context("writing JSON")));
    Ok(Answer { tables, notes: Vec::new(), main, json, verdict, picture: None })
}

/// The file itself, or the files of cases in a directory, by name.
fn listed(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = || format!("{}: cannot be listed", path.display());
    let entries = std::fs::read_dir(path).with_context(unreadable)?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(unreadable)?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        [".json", ".json.gz", ".json.zst"].iter().any(|ending| name.ends_with(ending))
    });
    files.sort();
    if files.is_empty() {
        anyhow::bail!("{}: holds no file of cases (.json)", path.display());
    }
    Ok(files)
}

/// The parity table: one row per file, which is one method.
fn summary(parities: &[Parity]) -> Table {
    let columns = [
        ("method", Kind::Text),
        ("cases", Kind::Integer),
        ("passed", Kind::Integer),
        ("quantities", Kind::Integer),
        ("worst_error", Kind::Text),
        ("ok", Kind::Text),
    ];
    let mut table = Table::new("", &columns);
    let verdict = |clean: bool| Cell::text(if clean { "yes" } else { "NO" });
    for parity in parities {
        table.push(vec![
            Cell::text(&parity.method),
            Cell::count(parity.cases),
            Cell::count(parity.passed),
            Cell::count(parity.checks.len()),
            Cell::text(format!("{:.1e}", parity.worst_error())),
            verdict(parity.is_clean()),
        ]);
    }
    let sum = |read: fn(&Parity) -> usize| Cell::count(parities.iter().map(read).sum());
    table.footer.push(vec![
        Cell::text(format!("total of {}", parities.len())),
        sum(|p| p.cases),
        sum(|p| p.passed),
        sum(|p| p.checks.len()),
        Cell::Empty,
        verdict(parities.iter().all(Parity::is_clean)),
    ]);
    table
}

/// What was compared, or only what is off.
fn compared(parities: &[Parity], every: bool) -> Table {
    let columns = COLUMNS.map(|name| (name, Kind::Text));
    let mut table = Table::new(if every { "" } else { "Misses" }, &columns);
    table.columns.insert(0, ("file".to_owned(), Kind::Text));
    for parity in parities {
        for check in parity.checks.iter().filter(|check| every || !check.passed) {
            let cells = row(check).map(Cell::Text);
            table.push([vec![Cell::text(&parity.file)], cells.to_vec()].concat());
        }
    }
    table
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
