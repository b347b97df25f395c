//! P1, P8, F48: what was acknowledged is found again, whatever happens to power, disk and process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::io::ErrorKind;

use plimsoll_journal::sim::{Faults, SimDisk};
use plimsoll_journal::torture::run;
use plimsoll_journal::{Error, Journal, Options, Reader, Repair, Result, verify};

fn small() -> Options {
    Options { segment_bytes: 32 << 10, group_bytes_max: 8 << 10, ..Options::new("test") }
}

#[test]
fn p1_ten_thousand_restarts_lose_nothing() {
    let figures = run(20_261_123, false, &mut |figures| figures.restarts < 10_000);
    println!("{figures:#?}");
    assert!(figures.sound(), "{figures:?}");
    assert!(figures.cuts > 10_000 && figures.cuts_in_recovery * 3 >= figures.cuts, "{figures:?}");
    assert!(figures.torn > 100 && figures.kept > 100 && figures.errors > 500, "{figures:?}");
}

#[test]
fn p1_control_a_lying_disk_loses_and_the_loss_is_seen() {
    let figures = run(5, true, &mut |figures| figures.cuts < 300);
    assert!(figures.lost > 100, "{figures:?}");
}

fn payload(sequence: u64) -> Vec<u8> {
    (0..sequence % 700).map(|byte| (byte * sequence) as u8).collect()
}

/// Commits groups of three until the disk refuses; says what was acknowledged and the error.
fn fill(journal: &mut Journal, groups: u64) -> (u64, Option<Error>) {
    let mut acknowledged = journal.durable().sequence;
    for _ in 0..groups {
        let group = (1..=3).try_for_each(|add| {
            journal
                .append(1, &payload(acknowledged + add))
                .map(|anchor| assert_eq!(anchor.sequence, acknowledged + add))
        });
        match group.and_then(|()| journal.commit()) {
            Ok(end) => acknowledged = end.sequence,
            Err(error) => return (acknowledged, Some(error)),
        }
    }
    (acknowledged, None)
}

fn read_all(disk: &SimDisk) -> Result<u64> {
    let mut reader = Reader::open(disk, "test", 1)?;
    let mut count = 0;
    while let Some(record) = reader.next_record()? {
        count += 1;
        assert_eq!((record.sequence, record.payload), (count, &payload(count)[..]));
    }
    Ok(count)
}

#[test]
fn f48_an_error_at_any_call_stops_the_journal_and_loses_nothing() {
    let mut tried = 0;
    for kind in [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem] {
        for at in 0.. {
            let disk = SimDisk::new(at);
            let mut journal = Journal::create(Box::new(disk.clone()), small()).unwrap();
            fill(&mut journal, 2);
            disk.set_faults(Faults { fail_at: Some((at, kind)), ..Faults::default() });
            let (acknowledged, error) = fill(&mut journal, 60);
            if disk.calls() <= at {
                assert!(error.is_none() && journal.poisoned().is_none());
                break;
            }
            tried += 1;
            // Only when the last seal fails was everything acknowledged: what follows is refused all the same.
            let first = journal.poisoned().cloned().expect("an error poisons");
            assert!(error.is_some() || acknowledged == 2 * 3 + 60 * 3, "call {at}");
            assert!(matches!(&first, Error::Io { kind: k, .. } if *k == kind), "{first:?}");
            let poisoned = Error::Poisoned { first: Box::new(first) };
            assert_eq!(journal.append(0, b""), Err(poisoned.clone()));
            assert_eq!(journal.commit(), Err(poisoned.clone()), "never retried");
            assert_eq!(journal.durable().sequence, acknowledged);
            assert_eq!(journal.close(), Err(poisoned));
            if at % 2 == 0 {
                disk.reboot();
            }
            disk.set_faults(Faults::default());
            let (mut journal, _) = Journal::open(Box::new(disk.clone()), small()).unwrap();
            let found = read_all(&disk).unwrap();
            assert!(found == acknowledged || found == acknowledged + 3, "{found} of {acknowledged}");
            assert_eq!(fill(&mut journal, 5), (found + 15, None), "and it goes on");
            disk.reboot();
            Journal::open(Box::new(disk.clone()), small()).unwrap();
            assert_eq!(read_all(&disk).unwrap(), found + 15);
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn an_error_at_any_call_of_opening_is_an_error_and_the_next_opening_succeeds() {
    for at in 0.. {
        let disk = SimDisk::new(at);
        let mut journal = Journal::create(Box::new(disk.clone()), small()).unwrap();
        let (acknowledged, _) = fill(&mut journal, 40);
        disk.set_faults(Faults { cut_at: Some(1), ..Faults::default() });
        fill(&mut journal, 1);
        disk.reboot();
        disk.set_faults(Faults { fail_at: Some((at, ErrorKind::Other)), ..Faults::default() });
        let opened = Journal::open(Box::new(disk.clone()), small());
        if disk.calls() <= at {
            break;
        }
        assert!(matches!(opened, Err(Error::Io { .. })), "call {at}: {opened:?}");
        disk.set_faults(Faults::default());
        Journal::open(Box::new(disk.clone()), small()).unwrap();
        assert!(read_all(&disk).unwrap() >= acknowledged);
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_reported_once() {
    let mut torn = 0;
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut journal = Journal::create(Box::new(disk.clone()), small()).unwrap();
        let (acknowledged, _) = fill(&mut journal, 12);
        disk.set_faults(Faults { cut_at: Some(seed % 2), ..Faults::default() });
        let (_, error) = fill(&mut journal, 1);
        assert!(error.is_some());
        disk.reboot();
        let (_, recovery) = Journal::open(Box::new(disk.clone()), small()).unwrap();
        let cut = recovery.repairs.iter().find_map(|repair| match repair {
            Repair::TornTail { position, bytes } => Some((position.sequence, *bytes)),
            _ => None,
        });
        if let Some((sequence, bytes)) = cut {
            torn += 1;
            assert_eq!((sequence, recovery.end.sequence), (acknowledged + 1, acknowledged));
            assert!(bytes > 0 && bytes <= 3 * 512 + 3 * 700);
        }
        let (_, again) = Journal::open(Box::new(disk.clone()), small()).unwrap();
        assert_eq!((again.repairs, again.end), (Vec::new(), recovery.end), "opening mends once");
        verify(&disk, "test", Some(again.end)).unwrap();
    }
    assert!(torn > 30, "{torn}");
}
