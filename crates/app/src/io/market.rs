//! Snapshots from a file, a pipe or a directory of files.

use super::error::InputError;
use super::source::{STDIN, Source, display_name};
use anyhow::{Context, bail};
use plimsoll_market::read::{self, At, Format, ReadError};
use plimsoll_types::{Issue, Snapshot, Timestamp};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The first bytes a format is told by.
const HEAD: u64 = 4096;

/// What is done with each snapshot.
pub type EachSnapshot<'a> = dyn FnMut(Snapshot, Vec<Issue>) -> ControlFlow<()> + 'a;

/// The snapshot at `path`: the only one there is, or with `at` the last one at or before that instant.
pub fn snapshot(path: &Path, at: Option<Timestamp>) -> anyhow::Result<(Snapshot, Vec<Issue>)> {
    if path.as_os_str() != STDIN && path.is_dir() {
        return from_directory(path, at);
    }
    from_file(path, at.map_or(At::Only, At::AtOrBefore))
}

/// Hands every snapshot of a file or a directory to `each`, file by file in order of name, until it breaks.
pub fn each_snapshot(path: &Path, each: &mut EachSnapshot<'_>) -> anyhow::Result<usize> {
    let files =
        if path.as_os_str() != STDIN && path.is_dir() { market_files(path)? } else { vec![path.into()] };
    let mut stopped = false;
    let mut visited = 0;
    for file in files {
        let opened = open(&file)?;
        visited += read::each(opened.format, opened.reader, &opened.name, &mut |snapshot, issues| {
            let flow = each(snapshot, issues);
            stopped = flow.is_break();
            flow
        })?;
        if stopped {
            break;
        }
    }
    Ok(visited)
}

struct Opened {
    name: String,
    format: Format,
    reader: Box<dyn BufRead>,
}

fn open(path: &Path) -> anyhow::Result<Opened> {
    let (name, mut reader) = Source::open(path)?.text()?;
    let broken =
        |e: std::io::Error| InputError::Broken { file: name.clone(), line: 0, reason: e.to_string() };
    let mut head = Vec::new();
    Read::by_ref(&mut reader).take(HEAD).read_to_end(&mut head).map_err(broken)?;
    let format = read::detect(&head).map_err(|e| match e {
        ReadError::Empty { .. } => anyhow::Error::new(ReadError::Empty { name: name.clone() }),
        other => anyhow::Error::new(other).context(name.clone()),
    })?;
    let reader = Box::new(BufReader::new(Cursor::new(head)).chain(reader));
    Ok(Opened { name, format, reader })
}

fn from_file(path: &Path, selector: At) -> anyhow::Result<(Snapshot, Vec<Issue>)> {
    let opened = open(path)?;
    match read::snapshots(opened.format, opened.reader, &opened.name, &selector) {
        Ok(outcome) => Ok((outcome.snapshot, outcome.issues)),
        Err(several @ ReadError::Several { .. }) => {
            Err(anyhow::Error::new(several).context("choose a snapshot with --at TIME"))
        }
        Err(other) => Err(other.into()),
    }
}

/// The files of a directory that hold market data, in order of name. Others, such as a README, are passed over.
fn market_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = directory.display();
    let listing = std::fs::read_dir(directory).with_context(|| format!("{shown}: cannot be listed"))?;
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.with_context(|| format!("{shown}: cannot be listed"))?.path();
        if path.is_file() && is_market(&path)? {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{shown}: no file in this directory is of a known market form");
    }
    files.sort();
    Ok(files)
}

fn is_market(path: &Path) -> anyhow::Result<bool> {
    match open(path) {
        Ok(_) => Ok(true),
        Err(e) => match e.downcast_ref::<ReadError>() {
            Some(ReadError::UnknownFormat { .. } | ReadError::Empty { .. }) => Ok(false),
            _ => Err(e),
        },
    }
}

fn from_directory(directory: &Path, at: Option<Timestamp>) -> anyhow::Result<(Snapshot, Vec<Issue>)> {
    let files = market_files(directory)?;
    let Some(at) = at else {
        if let [only] = files.as_slice() {
            return from_file(only, At::Only);
        }
        bail!(
            "{}: {} market files: expected one snapshot; choose one with --at TIME",
            directory.display(),
            files.len()
        );
    };
    let mut best: Option<(Snapshot, Vec<Issue>)> = None;
    let mut first: Option<Timestamp> = None;
    for file in files {
        let starts = first_time(&file)?;
        first = Some(first.map_or(starts, |earlier| earlier.min(starts)));
        if starts > at {
            continue;
        }
        let found = from_file(&file, At::AtOrBefore(at))?;
        if best.as_ref().is_none_or(|b| b.0.as_of < found.0.as_of) {
            best = Some(found);
        }
    }
    let none = || {
        let name = display_name(directory);
        first.map_or_else(
            || ReadError::Empty { name: name.clone() },
            |first| ReadError::NoneAt { name: name.clone(), wanted: at, first },
        )
    };
    best.ok_or_else(|| none().into())
}

fn first_time(path: &Path) -> anyhow::Result<Timestamp> {
    let opened = open(path)?;
    let mut first = None;
    read::each(opened.format, opened.reader, &opened.name, &mut |snapshot, _| {
        first = Some(snapshot.as_of);
        ControlFlow::Break(())
    })?;
    first.with_context(|| format!("{}: no snapshot", display_name(path)))
}
