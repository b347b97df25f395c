//! `plimsoll journal`: a journal as it lies on disk.

use crate::host::{Content, identity_of};
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use anyhow::Context;
use clap::{Args, Subcommand};
use plimsoll_journal::{Anchor, DirDisk, Reader, Record, verify};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `journal`.
#[derive(Args, Debug)]
pub(super) struct JournalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Read every byte, check every checksum and the whole chain; mends nothing
    Verify {
        /// The journal's folder
        dir: PathBuf,
        /// A point of the chain that was kept elsewhere, as SEQ:HASH
        #[arg(long, value_name = "SEQ:HASH")]
        anchor: Option<String>,
    },
    /// Every record as a line of JSON
    Export {
        /// The journal's folder
        dir: PathBuf,
        /// From this record; the first that is held when left out
        #[arg(long, value_name = "SEQ")]
        from: Option<u64>,
        /// To this one
        #[arg(long, value_name = "SEQ")]
        until: Option<u64>,
    },
    /// The newest records, and with --follow what comes
    Tail {
        /// The journal's folder
        dir: PathBuf,
        /// How many
        #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
        lines: u64,
        /// Go on as the journal grows
        #[arg(short, long)]
        follow: bool,
    },
}

/// Between two looks at a journal that grows.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers.
pub(super) fn run(args: &JournalArgs, output: &Output) -> anyhow::Result<Verdict> {
    match &args.what {
        What::Verify { dir, anchor } => output.write(Answer::table(verified(dir, anchor.as_deref())?)),
        What::Export { dir, from, until } => export(dir, *from, until.unwrap_or(u64::MAX)),
        What::Tail { dir, lines, follow } => tail(dir, *lines, *follow),
    }
}

fn verified(dir: &Path, anchor: Option<&str>) -> anyhow::Result<Table> {
    let identity = identity_of(dir)?;
    let anchor = anchor.map(parse_anchor).transpose()?;
    let report = verify(&DirDisk::read_only(dir), &identity, anchor)?;
    let mut table = Table::new("", &[("what", Kind::Text), ("value", Kind::Text)]);
    let rows = [
        ("identity", identity),
        ("first record", report.first.to_string()),
        ("last record", report.end.sequence.to_string()),
        ("chain", report.end.hash.to_string()),
        ("segments", report.segments.to_string()),
        ("ending", format!("{:?}", report.ending)),
    ];
    for (what, value) in rows {
        table.push(vec![Cell::text(what), Cell::text(value)]);
    }
    Ok(table)
}

fn parse_anchor(text: &str) -> anyhow::Result<Anchor> {
    let (sequence, hash) = text.split_once(':').context("an anchor is SEQ:HASH")?;
    let sequence = sequence.parse().with_context(|| format!("`{sequence}` is no sequence"))?;
    let hash = hash.parse().map_err(|e| anyhow::anyhow!("`{hash}`: {e}"))?;
    Ok(Anchor { sequence, hash })
}

fn export(dir: &Path, from: Option<u64>, until: u64) -> anyhow::Result<Verdict> {
    let identity = identity_of(dir)?;
    let disk = DirDisk::read_only(dir);
    let from = from.map_or_else(|| plimsoll_journal::first(&disk, &identity), Ok)?;
    let mut reader = Reader::open(&disk, &identity, from)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(record) = reader.next_record()? {
        if record.sequence > until {
            break;
        }
        writeln!(out, "{}", line(&record)?)?;
    }
    out.flush()?;
    Ok(Verdict::Passed)
}

fn tail(dir: &Path, lines: u64, follow: bool) -> anyhow::Result<Verdict> {
    let identity = identity_of(dir)?;
    let disk = DirDisk::read_only(dir);
    let end = plimsoll_journal::end(&disk, &identity)?.sequence;
    let from = (end + 1).saturating_sub(lines).max(plimsoll_journal::first(&disk, &identity)?);
    let mut reader = Reader::open(&disk, &identity, from)?.following();
    let mut out = std::io::stdout().lock();
    loop {
        while let Some(record) = reader.next_record()? {
            writeln!(out, "{}", line(&record)?)?;
        }
        if !follow {
            return Ok(Verdict::Passed);
        }
        out.flush()?;
        std::thread::sleep(PAUSE);
    }
}

/// A record as JSON: what happened, in the engine's own numbers, which may have more digits than a JSON value holds.
fn line(record: &Record<'_>) -> anyhow::Result<String> {
    let at = || format!("record {}", record.sequence);
    let content = Content::read(record.version, record.payload).with_context(at)?;
    let what = serde_json::to_string(&content).with_context(at)?;
    Ok(format!("{{\"sequence\":{},\"record\":{what}}}", record.sequence))
}
