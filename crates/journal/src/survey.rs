//! All segments together: which there are, whether each continues the one before, and how the last one ends.

use crate::chain::{Anchor, Hash};
use crate::disk::Disk;
use crate::error::{Error, Fault, Position, Result};
use crate::scan::{GarbledTail, Tail, scan_all};
use crate::sector::{hash_at, u64_at};
use crate::segment::{Cursor, Header, Segment, list, name_of};

/// The chain before the first segment kept, written durably before older ones are removed.
pub(crate) struct Base(pub(crate) Anchor);

const BASE: &str = "base";
const BASE_MAGIC: &[u8; 8] = b"PLIMBASE";

impl Base {
    pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Self>> {
        let file = match disk.open(BASE) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", BASE, 0, &error)),
        };
        let found = file.length().map_err(|e| Error::io("measure", BASE, 0, &e))?;
        let corrupt = |fault| Error::corrupt(0, 0, 0, fault);
        if found != 80 {
            return Err(corrupt(Fault::FileLength { found, expected: 80 }));
        }
        let mut bytes = [0; 80];
        file.read_at(0, &mut bytes).map_err(|e| Error::io("read", BASE, 0, &e))?;
        if &bytes[..8] != BASE_MAGIC || blake3::hash(&bytes[..48]).as_bytes() != &bytes[48..] {
            return Err(corrupt(Fault::Header));
        }
        Ok(Some(Self(Anchor { sequence: u64_at(&bytes, 8), hash: hash_at(&bytes, 16) })))
    }

    pub(crate) fn store(&self, disk: &dyn Disk) -> Result<()> {
        let mut bytes = BASE_MAGIC.to_vec();
        bytes.extend_from_slice(&self.0.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.0.hash.0);
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        let name = "base.tmp";
        let io = |action| move |error: std::io::Error| Error::io(action, name, 0, &error);
        let file = disk.create(name).map_err(io("create"))?;
        file.write_at(0, &bytes).map_err(io("write"))?;
        file.sync().map_err(io("sync"))?;
        disk.rename(name, BASE).map_err(io("rename"))?;
        crate::journal::sync_directory(disk)
    }
}

/// What there is.
pub(crate) struct Survey {
    /// First sequences of the segments held.
    pub(crate) firsts: Vec<u64>,
    /// The last but one, how it ends and whether it is marked, while the last one holds no group yet.
    pub(crate) before: Option<(Segment, Tail, bool)>,
    pub(crate) last: Segment,
    pub(crate) tail: Tail,
    /// Files that were never finished, or that had been pruned.
    pub(crate) leftovers: Vec<String>,
}

fn names(disk: &dyn Disk) -> Result<Vec<String>> {
    let mut names = disk.list().map_err(|e| Error::io("list", "the directory", 0, &e))?;
    names.sort();
    Ok(names)
}

/// Refuses to begin anew where a snapshot or a base says that there was a journal.
pub(crate) fn refuse_orphans(disk: &dyn Disk) -> Result<()> {
    let base = Base::load(disk)?.map(|base| base.0.sequence + 1);
    let orphan = names(disk)?.iter().any(|name| name.ends_with(".snap"));
    match base.or(orphan.then_some(1)) {
        Some(expected) => Err(Error::corrupt(expected, 0, expected, Fault::MissingSegment { expected })),
        None => Ok(()),
    }
}

/// First sequences of the segments held, the chain before them, and the files to be removed.
pub(crate) fn held(disk: &dyn Disk, genesis: &Hash) -> Result<(Vec<u64>, Anchor, Vec<String>)> {
    let base = Base::load(disk)?.map_or(Anchor { sequence: 0, hash: *genesis }, |base| base.0);
    let (pruned, firsts): (Vec<u64>, Vec<u64>) =
        list(disk)?.into_iter().partition(|first| *first <= base.sequence);
    let mut leftovers: Vec<String> = names(disk)?.into_iter().filter(|name| name.ends_with(".tmp")).collect();
    leftovers.extend(pruned.into_iter().map(name_of));
    if firsts.is_empty() {
        refuse_orphans(disk)?;
        return Err(Error::Absent);
    }
    Ok((firsts, base, leftovers))
}

/// Checks that a segment continues the chain.
fn check_start(segment: &Segment, expected: &Cursor) -> Result<()> {
    let Header { first, previous: found, .. } = segment.header;
    if first != expected.next {
        return Err(segment.corrupt(0, expected.next, Fault::MissingSegment { expected: expected.next }));
    }
    if found != expected.hash {
        return Err(segment.corrupt(0, first, Fault::Chain { found, expected: expected.hash }));
    }
    Ok(())
}

/// Looks at every segment's header and mark, and at every byte of the last one.
///
/// # Errors
/// [`Error::Absent`], and [`Error::Corrupt`] for everything that a power cut does not explain.
pub(crate) fn survey(disk: &dyn Disk, genesis: &Hash, garbled: GarbledTail) -> Result<Survey> {
    let (firsts, base, leftovers) = held(disk, genesis)?;
    let mut stream = Vec::new();
    let mut expected = Some(Cursor { offset: 0, next: base.sequence + 1, hash: base.hash });
    let mut before: Option<Segment> = None;
    let (last, earlier) = firsts.split_last().ok_or(Error::Absent)?;
    for first in earlier {
        let mut segment = Segment::open(disk, *first, genesis)?;
        check_continued(before.as_ref(), &segment, expected.as_ref())?;
        expected = segment.mark()?;
        before = Some(segment);
    }
    let mut last = Segment::open(disk, *last, genesis)?;
    if let Some(expected) = &expected {
        check_start(&last, expected)?;
    }
    let tail = last_tail(&mut last, garbled, &mut stream)?;
    let before = match before {
        Some(mut segment) if tail.groups == 0 => {
            let ended = scan_all(&mut segment, GarbledTail::Refuse, &mut stream)?;
            check_finished(&segment, &ended, expected, &last)?;
            Some((segment, ended, expected.is_some()))
        }
        before => {
            check_continued(before.as_ref(), &last, expected.as_ref())?;
            None
        }
    };
    Ok(Survey { firsts, before, last, tail, leftovers })
}

/// Checks that a segment continues the one before it by that one's mark, without reading it.
fn check_continued(before: Option<&Segment>, segment: &Segment, mark: Option<&Cursor>) -> Result<()> {
    match (before, mark) {
        (Some(before), None) => Err(before.corrupt(before.mark_offset(), segment.header.first, Fault::Mark)),
        (_, Some(expected)) => check_start(segment, expected),
        (None, None) => Ok(()),
    }
}

/// How the last segment ends. It has no mark: one means that a segment after it is lost.
fn last_tail(last: &mut Segment, garbled: GarbledTail, stream: &mut Vec<u8>) -> Result<Tail> {
    if let Some(mark) = last.mark()? {
        let fault = Fault::MissingSegment { expected: mark.next };
        return Err(last.corrupt(last.mark_offset(), mark.next, fault));
    }
    let at = last.mark_offset();
    match last.classify(at)?.0 {
        crate::sector::Class::Zero => scan_all(last, garbled, stream),
        _ => Err(last.corrupt(at, last.header.first, Fault::Mark)),
    }
}

/// Checks a segment that another one follows: everything in it was synced, so nothing but its last seal and its mark
/// may be missing, and those only while the next segment is empty.
fn check_finished(segment: &Segment, tail: &Tail, mark: Option<Cursor>, next: &Segment) -> Result<()> {
    if let Some(mark) = mark.filter(|mark| *mark != tail.end) {
        let (offset, sequence) = (tail.end.offset, tail.end.next);
        if sequence < mark.next {
            let fault = Fault::Acknowledged { evidence: segment.mark_offset() };
            return Err(segment.corrupt(offset, sequence, fault));
        }
        let fault = Fault::Chain { found: mark.hash, expected: tail.end.hash };
        return Err(segment.corrupt(segment.mark_offset(), sequence, fault));
    }
    check_start(next, &tail.end)?;
    let corrupt = |offset, fault| Err(segment.corrupt(offset, tail.end.next, fault));
    if let Some(group) = tail.before.as_ref().filter(|_| !tail.before_sealed) {
        return corrupt(group.seal_offset(), Fault::Torn);
    }
    if let Some(offset) = tail.last.as_ref().and_then(|group| group.frayed) {
        return corrupt(offset, Fault::Torn);
    }
    match tail.debris {
        Some((_, to)) if to > tail.end.offset => corrupt(tail.end.offset, Fault::Debris),
        _ => Ok(()),
    }
}

/// How a journal that was only read ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a seal: it was closed, killed after a commit, or is idle.
    Sealed,
    /// With a whole group without a seal: a commit was under way, or a power cut took the seal. Opening keeps it.
    Unsealed,
    /// With a torn group, which opening cuts off: it was never acknowledged.
    Torn {
        /// Where it starts.
        position: Position,
        /// Bytes from there to its last byte.
        bytes: u64,
    },
}

/// What [`verify`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// First sequence held.
    pub first: u64,
    /// Records verified.
    pub records: u64,
    /// Groups verified.
    pub groups: u64,
    /// Segments verified.
    pub segments: u64,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// The last record and the chain hash after it.
    pub end: Anchor,
    /// How it ends.
    pub ending: Ending,
}

/// Reads every byte of every segment and verifies the whole chain, repairing nothing. With an `anchor` kept outside, also
/// that the chain still goes through it: the one thing that proves that the end was not cut off at a group.
///
/// ```
/// use plimsoll_journal::{Journal, Options, sim::SimDisk, verify};
/// let disk = SimDisk::new(1);
/// let mut journal = Journal::create(Box::new(disk.clone()), Options::new("test"))?;
/// journal.append(0, b"opaque")?;
/// let anchor = journal.close()?;
/// assert_eq!(verify(&disk, "test", Some(anchor))?.records, 1);
/// # Ok::<(), plimsoll_journal::Error>(())
/// ```
///
/// # Errors
/// The first fault, with its position; [`Error::Mismatch`], [`Error::Ahead`] or [`Error::OutOfRange`] for the anchor.
pub fn verify(disk: &dyn Disk, identity: &str, anchor: Option<Anchor>) -> Result<Report> {
    let genesis = crate::chain::genesis(identity);
    let (firsts, base, _) = held(disk, &genesis)?;
    let mut report = Report {
        first: base.sequence + 1,
        records: 0,
        groups: 0,
        segments: firsts.len() as u64,
        bytes: 0,
        end: base,
        ending: Ending::Sealed,
    };
    let mut waiting: Option<(Segment, Tail, Option<Cursor>)> = None;
    let mut stream = Vec::new();
    let start = Cursor { offset: 0, next: base.sequence + 1, hash: base.hash };
    for (index, first) in firsts.iter().enumerate() {
        let mut segment = Segment::open(disk, *first, &genesis)?;
        let last = index + 1 == firsts.len();
        let mark = if last { None } else { segment.mark()? };
        let read = if last { last_tail } else { scan_all };
        if waiting.is_none() {
            check_start(&segment, &start)?;
        }
        let tail = read(&mut segment, GarbledTail::Refuse, &mut stream)?;
        if let Some((before, ended, mark)) = waiting.take() {
            check_finished(&before, &ended, mark, &segment)?;
            let proven = tail.groups == 0 || mark.is_some() && ended.sealed;
            if !proven {
                return Err(before.corrupt(before.mark_offset(), *first, Fault::Mark));
            }
        }
        count(&mut report, &segment, &tail);
        waiting = Some((segment, tail, mark));
    }
    if let Some(anchor) = anchor {
        crate::reader::check_anchor(disk, identity, "anchor", &anchor)?;
    }
    Ok(report)
}

fn count(report: &mut Report, segment: &Segment, tail: &Tail) {
    report.records += tail.end.next - segment.header.first;
    report.groups += tail.groups;
    report.bytes += segment.header.capacity;
    report.end = Anchor { sequence: tail.end.next - 1, hash: tail.end.hash };
    report.ending = match tail.debris.map(|(_, to)| to.saturating_sub(tail.end.offset)) {
        Some(bytes) if bytes > 0 => {
            let (segment, offset, sequence) = (segment.header.first, tail.end.offset, tail.end.next);
            Ending::Torn { position: Position { segment, offset, sequence }, bytes }
        }
        _ if tail.sealed => Ending::Sealed,
        _ => Ending::Unsealed,
    };
}
