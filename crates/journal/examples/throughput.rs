//! Records a second on the real disk, and how long a restart takes.
//!
//! `cargo run --release -p plimsoll-journal --example throughput -- DIR [--records N] [--bytes N] [--group N]`
//!
//! DIR must not exist; it is removed at the end. Each line says what was done and at what rate.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command: it prints, and it has a clock"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_journal::{
    DirDisk, Grouping, Journal, Options, Reader, Result, Snapshots, Ticket, Writer, verify,
};

const IDENTITY: &str = "throughput";

struct Wanted {
    folder: PathBuf,
    records: u64,
    bytes: usize,
    group: u64,
}

fn wanted() -> Option<Wanted> {
    let mut words = std::env::args().skip(1);
    let mut wanted = Wanted { folder: words.next()?.into(), records: 2_000_000, bytes: 100, group: 5_000 };
    while let Some(word) = words.next() {
        let value: u64 = words.next()?.parse().ok()?;
        match word.as_str() {
            "--records" => wanted.records = value,
            "--bytes" => wanted.bytes = value as usize,
            "--group" => wanted.group = value,
            _ => return None,
        }
    }
    Some(wanted)
}

fn rate(what: &str, count: u64, took: Duration) {
    println!(
        "{what:<58}{:>12.0} /s  ({count} in {:.3} s)",
        count as f64 / took.as_secs_f64(),
        took.as_secs_f64()
    );
}

/// One thread: append, and commit every so many.
fn direct(wanted: &Wanted, folder: &Path) -> Result<()> {
    let mut journal = Journal::create(Box::new(DirDisk::exclusive(folder)?), Options::new(IDENTITY))?;
    let payload = vec![0xA5; wanted.bytes];
    let mut waits: Vec<Duration> = Vec::new();
    let start = Instant::now();
    for number in 1..=wanted.records {
        journal.append(1, &payload)?;
        if number % wanted.group == 0 {
            let commit = Instant::now();
            journal.commit()?;
            waits.push(commit.elapsed());
        }
    }
    journal.close()?;
    rate(&format!("append, a commit every {} records", wanted.group), wanted.records, start.elapsed());
    waits.sort();
    let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
    println!("  commit: median {:?}, 90th {:?}, 99th {:?}, worst {:?}", at(50), at(90), at(99), waits.last());
    Ok(())
}

/// Many threads submit; the writer groups.
fn grouped(wanted: &Wanted, folder: &Path, threads: u64) -> Result<()> {
    let journal = Journal::create(Box::new(DirDisk::exclusive(folder)?), Options::new(IDENTITY))?;
    let start = Instant::now();
    let writer = Writer::start(journal, Grouping::default(), |_| {})?;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let submitter = writer.submitter();
            scope.spawn(move || -> Result<()> {
                let payload = vec![0x5A; wanted.bytes];
                let mut last: Option<Ticket> = None;
                for _ in 0..wanted.records / threads {
                    last = Some(submitter.submit(1, &payload)?);
                }
                last.map_or(Ok(()), |ticket| ticket.wait().map(|_| ()))
            });
        }
    });
    let end = writer.close()?.close()?;
    rate(&format!("writer, {threads} threads, every record durable"), end.sequence, start.elapsed());
    Ok(())
}

/// What a restart costs: opening, the newest snapshot, the records after it.
fn restart(folder: &Path) -> Result<()> {
    let start = Instant::now();
    let (journal, recovery) = Journal::open(Box::new(DirDisk::exclusive(folder)?), Options::new(IDENTITY))?;
    println!(
        "open: {:?} ({} segments, {} records, {} repairs)",
        start.elapsed(),
        recovery.segments,
        recovery.end.sequence,
        recovery.repairs.len()
    );
    let state = vec![7; 64 << 20];
    let snapshots = Snapshots::new(journal.disk(), IDENTITY);
    let start = Instant::now();
    snapshots.save(&journal.durable(), 1, |to| to.write_all(&state))?;
    println!("save a snapshot of 64 MiB: {:?}", start.elapsed());
    let start = Instant::now();
    let (newest, _) = snapshots.newest(&journal)?;
    let read = newest.map(|newest| snapshots.read(&newest)).transpose()?;
    println!("find, verify and read it ({} bytes): {:?}", read.map_or(0, |r| r.len()), start.elapsed());
    let start = Instant::now();
    let mut reader = Reader::open(journal.disk(), IDENTITY, 1)?;
    let mut count = 0;
    while reader.next_record()?.is_some() {
        count += 1;
    }
    rate("read and verify every record", count, start.elapsed());
    let start = Instant::now();
    let mut reader = Reader::open(journal.disk(), IDENTITY, count / 2)?;
    reader.next_record()?;
    println!("seek to sequence {}: {:?}", count / 2, start.elapsed());
    let start = Instant::now();
    let report = verify(journal.disk(), IDENTITY, Some(journal.durable()))?;
    let speed = report.bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("verify: {:?}, {speed:.0} MB/s of files, {} groups", start.elapsed(), report.groups);
    Ok(())
}

fn run(wanted: &Wanted) -> Result<()> {
    println!("{} records of {} bytes", wanted.records, wanted.bytes);
    let folder = |name: &str| wanted.folder.join(name);
    direct(wanted, &folder("direct"))?;
    grouped(wanted, &folder("one"), 1)?;
    grouped(wanted, &folder("four"), 4)?;
    restart(&folder("direct"))
}

fn main() -> std::process::ExitCode {
    let Some(wanted) = wanted() else {
        println!("throughput DIR [--records N] [--bytes N] [--group N]");
        return 2.into();
    };
    if wanted.folder.exists() {
        println!("{} exists", wanted.folder.display());
        return 2.into();
    }
    let outcome = run(&wanted);
    if let Err(error) = &outcome {
        println!("{error}");
    }
    let removed = std::fs::remove_dir_all(&wanted.folder);
    if outcome.is_ok() && removed.is_ok() { 0.into() } else { 1.into() }
}
