//! P8: whatever is changed, cut or spliced afterwards is seen, and nothing acknowledged is repaired away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_journal::sim::{Dice, Faults, SimDisk};
use plimsoll_journal::{
    Anchor, Ending, Error, Fault, GarbledTail, Journal, Options, Reader, Repair, Snapshots, anchor_at, verify,
};

fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, group_bytes_max: 4 << 10, ..Options::new("test") }
}

/// A journal of groups of one to four records.
fn journal(segment_bytes: u64, groups: u64, seed: u64) -> (SimDisk, Anchor) {
    let disk = SimDisk::new(seed);
    let mut dice = Dice::new(seed);
    let mut journal = Journal::create(Box::new(disk.clone()), options(segment_bytes)).unwrap();
    for _ in 0..groups {
        for _ in 0..=dice.below(4) {
            let payload: Vec<u8> = (0..dice.below(400)).map(|_| dice.roll() as u8).collect();
            journal.append(1, &payload).unwrap();
        }
        journal.commit().unwrap();
    }
    let end = journal.close().unwrap();
    (disk, end)
}

fn segments(disk: &SimDisk) -> Vec<String> {
    use plimsoll_journal::Disk as _;
    let mut names = disk.list().unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names
}

fn records(disk: &SimDisk) -> Result<Vec<(u8, Vec<u8>)>, Error> {
    let mut reader = Reader::open(disk, "test", 1)?;
    let mut all = Vec::new();
    while let Some(record) = reader.next_record()? {
        all.push((record.version, record.payload.to_vec()));
    }
    Ok(all)
}

/// What became of a change: refused, or reported while every record stays.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Seen {
    Refused,
    Reported,
}

/// Judges a changed copy: `verify` must refuse it, or report an end that is not sealed and then opening must report a
/// repair after which every record is still there.
fn judge(disk: &SimDisk, end: Anchor) -> Result<Seen, String> {
    let report = match verify(disk, "test", None) {
        Err(Error::Corrupt { .. }) => {
            let opened = Reader::open(disk, "test", 1).and_then(|mut reader| {
                while reader.next_record()?.is_some() {}
                Ok(())
            });
            return opened
                .map_or(Ok(Seen::Refused), |()| Err("refused by verify but not by reading".to_owned()));
        }
        Err(other) => return Err(format!("{other}")),
        Ok(report) => report,
    };
    if report.ending == Ending::Sealed {
        return Err("not seen".to_owned());
    }
    let (journal, recovery) =
        Journal::open(Box::new(disk.clone()), options(16 << 10)).map_err(|e| format!("open: {e}"))?;
    if recovery.repairs.is_empty() {
        return Err("repaired in silence".to_owned());
    }
    if journal.durable() != end {
        return Err(format!("records repaired away: {recovery:?}"));
    }
    Ok(Seen::Reported)
}

#[test]
fn p8_every_byte_of_a_small_log_changed_in_four_ways_is_seen() {
    let (disk, end) = journal(16 << 10, 14, 3);
    assert!(segments(&disk).len() >= 2);
    let (mut refused, mut reported) = (0, 0);
    for name in segments(&disk) {
        let whole = disk.content(&name).unwrap();
        for at in 0..whole.len() {
            let copy = disk.fork(at as u64);
            for flip in [1, 0x80, 0xFF, whole[at]] {
                if flip == 0 {
                    continue;
                }
                let mut changed = whole.clone();
                changed[at] ^= flip;
                let copy = if flip == 1 { copy.clone() } else { disk.fork(1) };
                copy.tamper(&name, changed);
                match judge(&copy, end) {
                    Ok(Seen::Refused) => refused += 1,
                    Ok(Seen::Reported) => reported += 1,
                    Err(why) => panic!("{name}, byte {at} ^ {flip:#x}: {why}"),
                }
            }
        }
    }
    println!(
        "{} changes: {refused} refused, {reported} reported and mended without loss",
        refused + reported
    );
    assert!(refused > 20_000);
}

#[test]
fn p8_ten_thousand_random_changes_of_a_large_log_are_seen() {
    let (disk, end) = journal(64 << 10, 400, 4);
    let names = segments(&disk);
    let total: u64 = names.iter().map(|name| disk.content(name).unwrap().len() as u64).sum();
    let mut dice = Dice::new(5);
    let (mut refused, mut reported) = (0, 0);
    for number in 0..10_000 {
        let name = &names[dice.below(names.len() as u64) as usize];
        let whole = disk.content(name).unwrap();
        let at = dice.below(whole.len() as u64) as usize;
        let mut changed = whole.clone();
        changed[at] ^= 1 + dice.below(255) as u8;
        disk.tamper(name, changed);
        let outcome = verify(&disk, "test", Some(end));
        match outcome {
            Err(Error::Corrupt { .. }) => refused += 1,
            Ok(report) if report.ending != Ending::Sealed => reported += 1,
            other => panic!("change {number} of {name} at {at}: {other:?}"),
        }
        disk.tamper(name, whole);
    }
    println!("{total} bytes, 10000 changes: {refused} refused, {reported} at the end reported");
    assert_eq!(refused + reported, 10_000);
    verify(&disk, "test", Some(end)).unwrap();
}

#[test]
fn p8_a_file_cut_at_any_length_is_refused() {
    let (disk, _) = journal(16 << 10, 14, 3);
    for name in segments(&disk) {
        let whole = disk.content(&name).unwrap();
        for length in 0..whole.len() {
            let copy = disk.fork(1);
            copy.tamper(&name, whole[..length].to_vec());
            let refused = verify(&copy, "test", None).unwrap_err();
            assert!(matches!(refused, Error::Corrupt { fault: Fault::FileLength { .. }, .. }), "{refused}");
            assert!(Journal::open(Box::new(copy), options(16 << 10)).is_err());
        }
        let copy = disk.fork(1);
        copy.tamper(&name, [whole, vec![0; 512]].concat());
        assert!(verify(&copy, "test", None).is_err());
    }
}

#[test]
fn p8_the_end_set_back_to_zeros_is_seen_as_far_as_any_log_can_and_by_an_anchor_beyond() {
    let (disk, end) = journal(64 << 10, 20, 6);
    let name = segments(&disk).pop().unwrap();
    let whole = disk.content(&name).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let (mut refused, mut shorter) = (0, 0);
    for from in (4096..used).step_by(97) {
        let copy = disk.fork(1);
        let mut cut = whole.clone();
        cut[from..used].fill(0);
        copy.tamper(&name, cut);
        match verify(&copy, "test", None) {
            Err(_) => refused += 1,
            Ok(report) => {
                shorter += 1;
                let anchored = verify(&copy, "test", Some(end));
                let expected =
                    Err(Error::Ahead { what: "anchor", sequence: end.sequence, last: report.end.sequence });
                let whole = report.end == end;
                assert!(if whole { anchored.is_ok() } else { anchored == expected }, "{anchored:?}");
            }
        }
    }
    println!("{refused} refused, {shorter} seen by the anchor");
    assert!(shorter > 0);
}

#[test]
fn p8_a_hole_of_zeros_before_the_end_is_refused() {
    let (disk, _) = journal(64 << 10, 20, 6);
    let name = segments(&disk).pop().unwrap();
    let whole = disk.content(&name).unwrap();
    let last = (whole.iter().rposition(|byte| *byte != 0).unwrap() / 512) * 512;
    for sector in (4096..last).step_by(512) {
        let copy = disk.fork(1);
        let mut holed = whole.clone();
        holed[sector..sector + 512].fill(0);
        copy.tamper(&name, holed);
        let refused = verify(&copy, "test", None).unwrap_err();
        let Error::Corrupt { position, fault: Fault::Acknowledged { evidence } } = &refused else {
            panic!("sector {sector}: {refused}");
        };
        assert!(position.offset <= sector as u64 && *evidence > sector as u64, "{refused}");
        assert!(Journal::open(Box::new(copy), options(16 << 10)).is_err());
    }
}

#[test]
fn p8_splices_are_refused() {
    let (disk, end) = journal(16 << 10, 40, 7);
    let (other, _) = journal(16 << 10, 40, 8);
    let names = segments(&disk);
    assert!(names.len() >= 4, "{names:?}");
    for (index, name) in names.iter().enumerate() {
        let copy = disk.fork(1);
        copy.lose(name);
        assert!(verify(&copy, "test", Some(end)).is_err(), "{name} lost");
        let opened = Journal::open(Box::new(copy), options(16 << 10));
        let missing = matches!(&opened, Err(Error::Corrupt { fault: Fault::MissingSegment { .. }, .. }));
        assert!(missing, "{name} lost: {opened:?}");
        for donor in names.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, donor)| donor) {
            let copy = disk.fork(1);
            copy.tamper(name, disk.content(donor).unwrap());
            assert!(verify(&copy, "test", None).is_err(), "{donor} as {name}");
        }
    }
    // The first segment starts at 1 in every journal with one identity: another's is seen where the next one begins.
    let copy = disk.fork(1);
    copy.tamper(&names[0], other.content(&names[0]).unwrap());
    assert!(verify(&copy, "test", None).is_err());
    assert!(Journal::open(Box::new(copy), options(16 << 10)).is_err());
}

#[test]
fn p8_sectors_and_groups_moved_within_a_segment_are_refused() {
    let (disk, _) = journal(64 << 10, 20, 9);
    let name = segments(&disk).pop().unwrap();
    let whole = disk.content(&name).unwrap();
    let last = whole.iter().rposition(|byte| *byte != 0).unwrap() / 512;
    for sector in 8..last {
        let copy = disk.fork(1);
        let mut moved = whole.clone();
        let (a, b) = (sector * 512, (sector + 1) * 512);
        moved[a..a + 512].copy_from_slice(&whole[b..b + 512]);
        moved[b..b + 512].copy_from_slice(&whole[a..a + 512]);
        copy.tamper(&name, moved);
        let refused = verify(&copy, "test", None).unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused}");
    }
}

/// A journal whose last group was acknowledged, but whose seal a power cut took: the one case where a log can be unsure.
fn unsealed() -> (SimDisk, Anchor, String) {
    for seed in 0.. {
        let disk = SimDisk::new(seed);
        let mut journal = Journal::create(Box::new(disk.clone()), options(16 << 10)).unwrap();
        for number in 0..4_u8 {
            journal.append(1, &[number.wrapping_mul(37); 700]).unwrap();
            journal.append(1, &[9; 300]).unwrap();
            journal.commit().unwrap();
        }
        let end = journal.durable();
        drop(journal);
        disk.reboot();
        let report = verify(&disk, "test", None).unwrap();
        assert_eq!(report.end, end);
        let name = segments(&disk).pop().unwrap();
        let content = disk.content(&name).unwrap();
        let last = content.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512;
        // The seal is lost as a whole: the last sector is one of a group's body.
        if report.ending == Ending::Unsealed && content[last] == 0x53 {
            return (disk, end, name);
        }
    }
    unreachable!()
}

#[test]
fn p8_a_changed_byte_in_the_last_acknowledged_group_is_never_taken_for_a_torn_tail() {
    let (disk, end, name) = unsealed();
    let whole = disk.content(&name).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let (mut refused, mut reported) = (0, 0);
    for at in 4096..used {
        for flip in [1, 0xFF, whole[at]] {
            if flip == 0 {
                continue;
            }
            let copy = disk.fork(1);
            let mut changed = whole.clone();
            changed[at] ^= flip;
            copy.tamper(&name, changed);
            match judge(&copy, end) {
                Ok(Seen::Refused) => refused += 1,
                Ok(Seen::Reported) => reported += 1,
                Err(why) => panic!("byte {at} ^ {flip:#x}: {why}"),
            }
        }
    }
    println!("{refused} refused, {reported} mended without loss");
}

#[test]
fn what_no_log_can_tell_from_a_torn_tail_is_told_by_an_anchor() {
    let (disk, end, name) = unsealed();
    let mut zeroed = disk.content(&name).unwrap();
    let last = zeroed.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512;
    zeroed[last..last + 512].fill(0);
    disk.tamper(&name, zeroed);
    let report = verify(&disk, "test", None).unwrap();
    assert!(matches!(report.ending, Ending::Torn { .. }), "as if the disk had never written the sector");
    let ahead = verify(&disk, "test", Some(end)).unwrap_err();
    assert_eq!(ahead, Error::Ahead { what: "anchor", sequence: end.sequence, last: report.end.sequence });
}

#[test]
fn a_garbled_tail_is_refused_unless_the_operator_discards_it() {
    let (disk, end, name) = unsealed();
    let mut changed = disk.content(&name).unwrap();
    let last = changed.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512;
    changed[last + 20] ^= 0x10;
    disk.tamper(&name, changed);
    let strict = Journal::open(Box::new(disk.clone()), options(16 << 10)).unwrap_err();
    assert!(matches!(strict, Error::Corrupt { fault: Fault::Garbled, .. }), "{strict}");
    let lenient = Options { garbled_tail: GarbledTail::Discard, ..options(16 << 10) };
    let (journal, recovery) = Journal::open(Box::new(disk.clone()), lenient).unwrap();
    assert!(journal.durable().sequence < end.sequence);
    assert!(matches!(recovery.repairs[..], [Repair::TornTail { .. }]), "{recovery:?}");
    verify(&disk, "test", Some(journal.durable())).unwrap();
}

#[test]
fn what_something_whole_follows_is_never_discarded() {
    let (disk, end) = journal(64 << 10, 20, 6);
    let name = segments(&disk).pop().unwrap();
    let whole = disk.content(&name).unwrap();
    let last = whole.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512;
    for at in (4096..last).step_by(131) {
        let copy = disk.fork(1);
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        copy.tamper(&name, changed);
        let lenient = Options { garbled_tail: GarbledTail::Discard, ..options(64 << 10) };
        let opened = Journal::open(Box::new(copy), lenient);
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "byte {at} of {end}: {opened:?}");
    }
}

#[test]
fn another_identity_and_another_version_are_refused() {
    let (disk, _) = journal(16 << 10, 3, 1);
    let foreign = verify(&disk, "other", None).unwrap_err();
    assert!(matches!(foreign, Error::Corrupt { fault: Fault::Foreign { .. }, .. }), "{foreign}");
    assert!(
        Journal::open(Box::new(disk.clone()), Options { identity: "other".into(), ..options(16 << 10) })
            .is_err()
    );
    assert!(Journal::create(Box::new(disk), options(16 << 10)).is_err());
}

#[test]
fn p8_every_byte_of_a_snapshot_changed_is_seen_and_the_one_before_is_taken() {
    let disk = SimDisk::new(1);
    let mut journal = Journal::create(Box::new(disk.clone()), options(16 << 10)).unwrap();
    let mut anchors = Vec::new();
    for number in 0..2_u8 {
        journal.append(1, &[number]).unwrap();
        anchors.push(journal.commit().unwrap());
        let save = |to: &mut dyn std::io::Write| to.write_all(&[number; 300]);
        Snapshots::new(&disk, "test").save(&anchors[usize::from(number)], 1, save).unwrap();
    }
    let name = format!("{:020}.snap", 2);
    let whole = disk.content(&name).unwrap();
    let mut dice = Dice::new(2);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 + dice.below(255) as u8;
        disk.tamper(&name, changed);
        let snapshots = Snapshots::new(&disk, "test");
        let (newest, skipped) = snapshots.newest(&journal).unwrap();
        assert_eq!(newest.unwrap().anchor, anchors[0], "byte {at}");
        assert_eq!((skipped.len(), &skipped[0].name), (1, &name));
    }
    disk.tamper(&name, whole);
    assert_eq!(Snapshots::new(&disk, "test").newest(&journal).unwrap().0.unwrap().anchor, anchors[1]);
}

#[test]
fn a_snapshot_of_another_chain_or_beyond_the_end_is_refused() {
    let (disk, end) = journal(16 << 10, 10, 1);
    let (journal, _) = Journal::open(Box::new(disk.clone()), options(16 << 10)).unwrap();
    let snapshots = Snapshots::new(&disk, "test");
    let before = anchor_at(&disk, "test", end.sequence - 1).unwrap();
    let wrong = Anchor { sequence: end.sequence, hash: before.hash };
    snapshots.save(&wrong, 0, |to| to.write_all(b"x")).unwrap();
    let refused = snapshots.newest(&journal).unwrap_err();
    let (anchor, hash) = (before.hash, end.hash);
    assert_eq!(refused, Error::Mismatch { what: "snapshot", sequence: end.sequence, anchor, journal: hash });
    snapshots.save(&Anchor { sequence: end.sequence + 1, hash }, 0, |to| to.write_all(b"x")).unwrap();
    let refused = snapshots.newest(&journal).unwrap_err();
    assert_eq!(refused, Error::Ahead { what: "snapshot", sequence: end.sequence + 1, last: end.sequence });
}

#[test]
fn a_journal_that_lost_all_its_segments_is_not_begun_anew() {
    let (disk, end) = journal(16 << 10, 10, 1);
    Snapshots::new(&disk, "test").save(&end, 0, |to| to.write_all(b"x")).unwrap();
    for name in segments(&disk) {
        disk.lose(&name);
    }
    disk.set_faults(Faults::default());
    let opened = Journal::open_or_create(Box::new(disk.clone()), options(16 << 10)).unwrap_err();
    assert!(matches!(opened, Error::Corrupt { fault: Fault::MissingSegment { .. }, .. }), "{opened}");
    assert!(records(&disk).is_err());
    assert_eq!(records(&SimDisk::new(1)), Err(Error::Absent));
}
