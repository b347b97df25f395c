//! Writing, reading, seeking, following, snapshots, pruning and the writer, on the simulated and the real disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::io::{BufRead as _, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_journal::sim::{Dice, Faults, SimDisk};
use plimsoll_journal::{
    Anchor, DirDisk, Disk, DiskFile, Ending, Error, Grouping, Journal, Options, Reader, Repair, Snapshots,
    Writer, anchor_at, genesis, link, verify,
};

fn small() -> Options {
    Options { segment_bytes: 32 << 10, group_bytes_max: 8 << 10, ..Options::new("test") }
}

fn payload(sequence: u64) -> Vec<u8> {
    (0..sequence * 7 % 500).map(|byte| (byte ^ sequence) as u8).collect()
}

fn filled(disk: &SimDisk, records: u64) -> (Journal, Vec<Anchor>) {
    let mut journal = Journal::create(Box::new(disk.clone()), small()).unwrap();
    let mut anchors = vec![journal.durable()];
    for sequence in 1..=records {
        anchors.push(journal.append(sequence as u8, &payload(sequence)).unwrap());
        if sequence % 5 == 0 || sequence == records {
            journal.commit().unwrap();
        }
    }
    (journal, anchors)
}

/// A folder of the system's temporary ones, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn reading_from_any_sequence_gives_what_was_appended_and_its_chain() {
    let disk = SimDisk::new(1);
    let (_journal, anchors) = filled(&disk, 300);
    let mut hash = genesis("test");
    for from in 1..=301_u64 {
        let before = anchor_at(&disk, "test", from - 1).unwrap();
        assert_eq!(before, anchors[from as usize - 1]);
        let mut reader = Reader::open(&disk, "test", from).unwrap();
        assert_eq!(reader.anchor(), before);
        for expected in from..=300.min(from + 20) {
            let record = reader.next_record().unwrap().unwrap();
            assert_eq!((record.sequence, record.version), (expected, expected as u8));
            assert_eq!(record.payload, payload(expected));
            assert_eq!(reader.anchor(), anchors[expected as usize]);
        }
        if from <= 300 {
            hash = link(&mut Vec::new(), &hash, from, from as u8, &payload(from));
            assert_eq!(hash, anchors[from as usize].hash, "the chain is what the documentation says");
        }
    }
    let beyond = Reader::open(&disk, "test", 302).unwrap_err();
    assert_eq!(beyond, Error::OutOfRange { sequence: 302, first: 1, last: 300 });
}

#[test]
fn nothing_is_seen_before_its_commit() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = filled(&disk, 10);
    let mut reader = Reader::open(&disk, "test", 11).unwrap().following();
    assert_eq!(reader.next_record().unwrap(), None);
    journal.append(0, b"later").unwrap();
    assert_eq!(reader.next_record().unwrap(), None);
    journal.commit().unwrap();
    assert_eq!(reader.next_record().unwrap().unwrap().payload, b"later");
    assert_eq!(reader.next_record().unwrap(), None);
}

#[test]
fn a_follower_sees_every_record_over_many_segments() {
    let disk = SimDisk::new(1);
    let mut journal = Journal::create(Box::new(disk.clone()), small()).unwrap();
    let mut reader = Reader::open(&disk, "test", 1).unwrap().following();
    for sequence in 1..=2000 {
        journal.append(0, &payload(sequence)).unwrap();
        journal.commit().unwrap();
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!((record.sequence, record.payload), (sequence, &payload(sequence)[..]));
    }
    assert!(disk.list().unwrap().len() > 20);
}

#[test]
fn limits_are_refused_with_their_numbers_and_do_not_poison() {
    let disk = SimDisk::new(1);
    let mut journal = Journal::create(Box::new(disk), small()).unwrap();
    let limit = journal.payload_max();
    let long = journal.append(0, &vec![1; limit + 1]).unwrap_err();
    assert_eq!(long, Error::TooLong { bytes: limit as u64 + 1, limit: limit as u64 });
    journal.append(0, &vec![1; limit]).unwrap();
    assert!(matches!(journal.append(0, b""), Err(Error::GroupFull { .. })));
    assert_eq!(journal.commit().unwrap().sequence, 1);
    assert_eq!(journal.append(0, b"").unwrap().sequence, 2);
    for (segment_bytes, group_bytes_max) in
        [(32 << 10, 21), (10_000, 4096), (8192, 8192), (1 << 40, u32::MAX)]
    {
        let options = Options { segment_bytes, group_bytes_max, ..small() };
        assert!(matches!(Journal::create(Box::new(SimDisk::new(1)), options), Err(Error::Option { .. })));
    }
}

#[test]
fn options_may_change_from_one_opening_to_the_next() {
    let disk = SimDisk::new(1);
    drop(filled(&disk, 50));
    for (segment_bytes, group_bytes_max) in [(64 << 10, 16 << 10), (16 << 10, 2 << 10), (128 << 10, 64 << 10)]
    {
        let options = Options { segment_bytes, group_bytes_max, ..small() };
        let (mut journal, _) = Journal::open(Box::new(disk.clone()), options).unwrap();
        for _ in 0..200 {
            while journal.append(1, &[7; 300]).is_ok() {}
            journal.commit().unwrap();
        }
        verify(&disk, "test", Some(journal.durable())).unwrap();
    }
}

#[test]
fn pruning_goes_no_further_than_the_oldest_snapshot() {
    let disk = SimDisk::new(1);
    let (mut journal, anchors) = filled(&disk, 600);
    let snapshots = Snapshots::new(&disk, "test");
    assert_eq!(journal.prune(&snapshots), Err(Error::NoSnapshot));
    for sequence in [250, 400, 590] {
        snapshots.save(&anchors[sequence], 0, |to| to.write_all(&[1; 10])).unwrap();
    }
    let removed = journal.prune(&snapshots).unwrap();
    assert!(removed > 0 && journal.first() <= 251, "{removed}, {}", journal.first());
    assert_eq!(snapshots.retain(1).unwrap().len(), 2);
    assert!(journal.prune(&snapshots).unwrap() > 0);
    let first = journal.first();
    assert!(first > 251 && first <= 591);
    let older = Reader::open(&disk, "test", first - 1).unwrap_err();
    assert_eq!(older, Error::OutOfRange { sequence: first - 1, first, last: first - 1 });
    let report = verify(&disk, "test", Some(anchors[595])).unwrap();
    assert_eq!((report.first, report.records), (first, 601 - first));
    disk.reboot();
    let (journal, recovery) = Journal::open(Box::new(disk.clone()), small()).unwrap();
    assert_eq!((journal.first(), recovery.first, journal.durable()), (first, first, anchors[600]));
    // A pruned journal that loses one more segment is not taken for one that was pruned further.
    let names = disk.list().unwrap();
    disk.lose(names.iter().find(|name| name.ends_with(".seg")).unwrap());
    assert!(matches!(Journal::open(Box::new(disk), small()), Err(Error::Corrupt { .. })));
}

#[test]
fn many_threads_get_tickets_in_the_order_of_the_log() {
    let disk = SimDisk::new(1);
    let options = Options { segment_bytes: 1 << 20, group_bytes_max: 64 << 10, ..Options::new("test") };
    let journal = Journal::create(Box::new(disk.clone()), options).unwrap();
    let settled = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&settled);
    let grouping = Grouping { window: Duration::from_micros(200), records: 64, queue_records: 100 };
    let writer =
        Writer::start(journal, grouping, move |end| seen.lock().unwrap().push(end.clone().unwrap())).unwrap();
    let answers: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let threads = (0..8_u64).map(|thread| {
            let submitter = writer.submitter();
            scope.spawn(move || {
                let submit = |number: u64| {
                    let value = thread << 32 | number;
                    let ticket = submitter.submit(1, &value.to_le_bytes()).unwrap();
                    (ticket, value)
                };
                let tickets: Vec<_> = (0..500).map(submit).collect();
                tickets.iter().map(|(ticket, value)| (ticket.wait().unwrap(), *value)).collect::<Vec<_>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let journal = writer.close().unwrap();
    assert_eq!(journal.durable().sequence, 4000);
    let ends = settled.lock().unwrap();
    assert!(ends.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert_eq!(ends.last(), Some(&journal.durable()));
    let mut reader = Reader::open(&disk, "test", 1).unwrap();
    let mut by_sequence = answers;
    by_sequence.sort_unstable();
    for (sequence, value) in by_sequence {
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!((record.sequence, record.payload), (sequence, &value.to_le_bytes()[..]));
    }
}

#[test]
fn a_full_queue_pushes_back_and_a_closed_writer_refuses() {
    let journal = Journal::create(Box::new(SimDisk::new(1)), small()).unwrap();
    let grouping = Grouping { window: Duration::from_secs(3600), records: 1000, queue_records: 3 };
    let writer = Writer::start(journal, grouping, |_| {}).unwrap();
    let submitter = writer.submitter();
    // The window never ends by itself: only a full queue ends it.
    let mut full = 0;
    let mut tickets = Vec::new();
    while full == 0 {
        match submitter.try_submit(0, b"x") {
            Ok(ticket) => tickets.push(ticket),
            Err(Error::QueueFull { records, bytes }) => {
                full += 1;
                assert_eq!((records, bytes), (3, 3 * 22));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(tickets.iter().all(|ticket| ticket.wait().is_ok()), "the refusal released the group");
    assert!(matches!(submitter.try_submit(0, &[0; 9000]), Err(Error::TooLong { .. })));
    let waits: Vec<_> = (0..50).map(|_| submitter.submit(0, b"y").unwrap()).collect();
    writer.close().unwrap();
    assert!(
        waits.iter().all(|ticket| ticket.poll() == Some(Ok(ticket.sequence()))),
        "closing commits what waits"
    );
    assert_eq!(submitter.submit(0, b"z").unwrap_err(), Error::Closed);
}

#[test]
fn after_a_failure_every_ticket_fails_and_what_was_acknowledged_is_there() {
    let mut dice = Dice::new(9);
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let journal = Journal::create(Box::new(disk.clone()), small()).unwrap();
        let at = dice.below(60);
        let cut = dice.chance(50);
        let fail_at = (!cut).then_some((at, ErrorKind::StorageFull));
        disk.set_faults(Faults { cut_at: cut.then_some(at), fail_at, lying: false });
        let grouping = Grouping { window: Duration::ZERO, records: 16, queue_records: 16 };
        let writer = Writer::start(journal, grouping, |_| {}).unwrap();
        let acknowledged: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3_u64)
                .map(|thread| {
                    let submitter = writer.submitter();
                    scope.spawn(move || {
                        let mut acknowledged = Vec::new();
                        for number in 0..200 {
                            let value = thread << 32 | number;
                            let answer =
                                submitter.submit(1, &value.to_le_bytes()).and_then(|ticket| ticket.wait());
                            match answer {
                                Ok(sequence) => acknowledged.push((sequence, value)),
                                Err(Error::Poisoned { .. }) => return acknowledged,
                                Err(other) => panic!("{other}"),
                            }
                        }
                        acknowledged
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        // The error may have met the segment being prepared ahead: that is nobody's record, and the journal goes on.
        match writer.close() {
            Ok(journal) => assert!(!cut && journal.durable().sequence == 600),
            Err(error) => assert!(matches!(error, Error::Poisoned { .. }), "{error}"),
        }
        disk.reboot();
        disk.set_faults(Faults::default());
        let (_, recovery) = Journal::open(Box::new(disk.clone()), small()).unwrap();
        for (sequence, value) in acknowledged {
            assert!(sequence <= recovery.end.sequence, "seed {seed}: {sequence} lost");
            let mut reader = Reader::open(&disk, "test", sequence).unwrap();
            assert_eq!(reader.next_record().unwrap().unwrap().payload, value.to_le_bytes());
        }
    }
}

#[test]
fn a_panic_in_the_callback_leaves_nobody_waiting() {
    let journal = Journal::create(Box::new(SimDisk::new(1)), small()).unwrap();
    let writer = Writer::start(journal, Grouping::default(), |_| panic!("in the callback")).unwrap();
    let submitter = writer.submitter();
    let first = submitter.submit(0, b"x").unwrap();
    assert_eq!(first.wait(), Ok(1), "it was durable before");
    let second = submitter.submit(0, b"y").and_then(|ticket| ticket.wait());
    assert!(matches!(second, Err(Error::Poisoned { .. })), "{second:?}");
    assert_eq!(writer.close().unwrap_err(), Error::Closed);
}

#[test]
fn the_real_disk_keeps_locks_follows_and_reopens() {
    let folder = Folder::new("real");
    let open = || DirDisk::exclusive(&folder.0).map(|disk| Box::new(disk) as Box<dyn Disk>);
    let mut journal = Journal::create(open().unwrap(), small()).unwrap();
    assert!(matches!(open(), Err(Error::Locked { .. })));
    let outside = DirDisk::read_only(&folder.0);
    assert_eq!(outside.create("x").err().map(|e| e.kind()), Some(ErrorKind::PermissionDenied));
    let mut reader = Reader::open(&outside, "test", 1).unwrap().following();
    for sequence in 1..=510 {
        journal.append(3, &payload(sequence)).unwrap();
        if sequence % 15 == 0 {
            journal.commit().unwrap();
        }
        while let Some(record) = reader.next_record().unwrap() {
            assert_eq!(record.payload, payload(record.sequence));
        }
    }
    let end = journal.close().unwrap();
    assert_eq!(reader.anchor(), end);
    let report = verify(&outside, "test", Some(end)).unwrap();
    assert_eq!((report.records, report.ending), (510, Ending::Sealed));
    let (journal, recovery) = Journal::open(open().unwrap(), small()).unwrap();
    assert_eq!((journal.durable(), recovery.repairs), (end, Vec::new()));
    let snapshots = Snapshots::new(&outside, "test");
    assert!(matches!(snapshots.save(&end, 0, |to| to.write_all(b"x")), Err(Error::Io { .. })));
    let snapshots = Snapshots::new(journal.disk(), "test");
    snapshots.save(&end, 2, |to| to.write_all(&vec![5; 3 << 20])).unwrap();
    let newest = snapshots.newest(&journal).unwrap().0.unwrap();
    assert_eq!((newest.anchor, newest.version, newest.bytes), (end, 2, 3 << 20));
    assert_eq!(snapshots.read(&newest).unwrap(), vec![5; 3 << 20]);
}

const CHILD: &str = "PLIMSOLL_JOURNAL_CHILD";

/// Not a test of its own: the process that the next test kills.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let disk = DirDisk::exclusive(&PathBuf::from(folder)).unwrap();
    let (mut journal, _) = Journal::open_or_create(Box::new(disk), small()).unwrap();
    loop {
        for _ in 0..3 {
            let next = journal.durable().sequence + 1;
            let anchor = journal.append(0, &payload(next)).unwrap();
            assert!(anchor.sequence >= next);
        }
        println!("acknowledged {}", journal.commit().unwrap());
    }
}

#[test]
fn p1_a_process_killed_at_any_moment_loses_nothing() {
    let folder = Folder::new("killed");
    let mut last = 0;
    for life in 0..25_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env(CHILD, &folder.0)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut acknowledged = None;
        for _ in 0..4 + life * 3 {
            acknowledged = lines.find_map(|line| Some(line.split_once("acknowledged ")?.1.to_owned()));
        }
        child.kill().unwrap();
        // What it still said before it died was acknowledged too.
        let rest = lines.filter_map(|line| Some(line.split_once("acknowledged ")?.1.to_owned())).last();
        child.wait().unwrap();
        let whole = |anchor: String| {
            let (sequence, hash) = anchor.split_once(':')?;
            Some(Anchor { sequence: sequence.parse().ok()?, hash: hash.parse().ok()? })
        };
        let anchor = rest.and_then(whole).or(acknowledged.and_then(whole)).unwrap();
        assert!(anchor.sequence > last);
        let disk = DirDisk::exclusive(&folder.0).unwrap();
        let (journal, recovery) = Journal::open(Box::new(disk), small()).unwrap();
        verify(journal.disk(), "test", Some(anchor)).unwrap();
        // Killed between making a segment and marking the one before: that one's mark is all that can be missing.
        let marks: Vec<_> =
            recovery.repairs.iter().filter(|repair| matches!(repair, Repair::Mark { .. })).collect();
        assert!(marks.len() <= 1 && (marks.is_empty() || recovery.segments > 1), "{marks:?}");
        assert!(recovery.end.sequence - anchor.sequence <= 6);
        last = recovery.end.sequence;
    }
    println!("{last} records over 25 kills");
}

/// A disk that counts what is read.
struct Counting(SimDisk, Arc<Mutex<u64>>);
struct CountingFile(Box<dyn DiskFile>, Arc<Mutex<u64>>);

impl Disk for Counting {
    fn list(&self) -> std::io::Result<Vec<String>> {
        self.0.list()
    }
    fn open(&self, name: &str) -> std::io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile(self.0.open(name)?, Arc::clone(&self.1))))
    }
    fn create(&self, name: &str) -> std::io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile(self.0.create(name)?, Arc::clone(&self.1))))
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.0.remove(name)
    }
    fn sync_directory(&self) -> std::io::Result<()> {
        self.0.sync_directory()
    }
}

impl DiskFile for CountingFile {
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        *self.1.lock().unwrap() += into.len() as u64;
        self.0.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn p10_opening_reads_one_segment_and_not_the_history() {
    let mut read = Vec::new();
    for records in [2_000, 20_000] {
        let disk = SimDisk::new(1);
        drop(filled(&disk, records));
        let count = Arc::new(Mutex::new(0));
        let counting = Counting(disk.clone(), Arc::clone(&count));
        let (_, recovery) = Journal::open(Box::new(counting), small()).unwrap();
        let (bytes, segments) = (*count.lock().unwrap(), recovery.segments);
        println!("{records} records in {segments} segments: {bytes} bytes read");
        // A header and a mark of every segment, two segments at most in full.
        assert!(bytes <= segments * 5000 + 4 * (32 << 10), "{bytes}");
        read.push(segments);
    }
    assert!(read[1] > 8 * read[0]);
}
