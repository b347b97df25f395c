//! Reading records from any sequence on, also while another process writes.

use crate::chain::{Anchor, genesis, link};
use crate::disk::Disk;
use crate::error::{Error, Fault, Result};
use crate::group::{Found, Group, Seal, group_at, seal_of, split_record};
use crate::scan::{GarbledTail, scan};
use crate::sector::{Class, Kind, SECTOR, content, hash_at, sectors_of, u32_at, u64_at};
use crate::segment::{Cursor, Segment, list};
use crate::survey::held;

/// A record as it was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its sequence: 1 for the first of a journal, without gaps.
    pub sequence: u64,
    /// The version of the payload's encoding, as given.
    pub version: u8,
    /// The payload, as given.
    pub payload: &'a [u8],
}

/// Reads records in order. Holds one group and a window of 256 KiB in memory, however long the journal is.
///
/// Only sealed groups are given out: what another process has written but not yet synced is not seen.
pub struct Reader<'a> {
    disk: &'a dyn Disk,
    segment: Segment,
    /// Where the next group is looked for.
    cursor: Cursor,
    /// The group whose records are being given out.
    group: Option<Group>,
    stream: Vec<u8>,
    /// Bytes of the stream given out.
    taken: usize,
    /// The next sequence to be given out.
    next: u64,
    follow: bool,
    /// Also gives out a whole group at the end that has no seal, as opening the journal would keep it.
    unsealed: bool,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader {{ next: {}, segment: {} }}", self.next, self.segment.header.first)
    }
}

impl<'a> Reader<'a> {
    /// A reader whose first record is `from`, found by the names of the segments and the heads of the groups. `from` may
    /// be one past the end, to wait for what comes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Absent`]; [`Error::Corrupt`]; [`Error::Io`].
    pub fn open(disk: &'a dyn Disk, identity: &str, from: u64) -> Result<Self> {
        Self::open_as(disk, identity, from, false)
    }

    fn open_as(disk: &'a dyn Disk, identity: &str, from: u64, unsealed: bool) -> Result<Self> {
        let genesis = genesis(identity);
        let (firsts, base, _) = held(disk, &genesis)?;
        let lowest = base.sequence + 1;
        let Some(first) = firsts.iter().rfind(|first| **first <= from) else {
            return Err(Error::OutOfRange { sequence: from, first: lowest, last: lowest - 1 });
        };
        let segment = Segment::open(disk, *first, &genesis)?;
        let cursor = segment.start();
        let (group, stream) = (None, Vec::new());
        let (taken, next, follow) = (0, from, false);
        let mut reader = Self { disk, segment, cursor, group, stream, taken, next, follow, unsealed };
        reader.seek(from)?;
        if reader.cursor.next < from && !reader.skip_within()? {
            let last = reader.cursor.next - 1;
            return Err(Error::OutOfRange { sequence: from, first: lowest, last });
        }
        Ok(reader)
    }

    /// From now on the end of the journal is only where nothing more stands *yet*: what stands after it is not judged.
    /// For following a journal that is being written; without it, every end is checked to be one.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.follow = true;
        self
    }

    /// Steps over sealed groups that end before `from` by their heads and seals alone.
    fn seek(&mut self, from: u64) -> Result<()> {
        while self.cursor.offset + 2 * SECTOR as u64 <= self.segment.mark_offset() {
            let (class, sector) = self.segment.classify(self.cursor.offset)?;
            let head = content(&sector);
            let (count, bytes) = (u64::from(u32_at(head, 8)), u64::from(u32_at(head, 12)));
            let known = class == Class::Whole(Kind::Head)
                && u64_at(head, 0) == self.cursor.next
                && hash_at(head, 16) == self.cursor.hash;
            let seal = self.cursor.offset.saturating_add(sectors_of(bytes) * SECTOR as u64);
            let end = Cursor {
                offset: seal.saturating_add(SECTOR as u64),
                next: self.cursor.next.saturating_add(count),
                hash: hash_at(head, 48),
            };
            if !known || end.next > from || end.offset > self.segment.mark_offset() {
                break;
            }
            let (class, sector) = self.segment.classify(seal)?;
            let sealed = Cursor::content(end.next, &end.hash, self.cursor.offset);
            if class != Class::Whole(Kind::Seal) || content(&sector)[..48] != sealed {
                break;
            }
            self.cursor = end;
        }
        Ok(())
    }

    /// Takes the group that holds the sequence looked for, and steps over the records before it.
    fn skip_within(&mut self) -> Result<bool> {
        let from = self.next;
        if !self.advance()? {
            return Ok(false);
        }
        while let Some(raw) = split_record(&self.stream[self.taken..]).filter(|raw| raw.sequence < from) {
            self.taken += raw.length;
        }
        Ok(self.cursor.next > from)
    }

    /// The next record, or `None` at the end of what is durable. After `None` it may be called again: it then sees what
    /// was committed since.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the position; [`Error::Io`].
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        if self.taken >= self.stream.len() && !self.advance()? {
            return Ok(None);
        }
        let at = self.taken;
        let Some(raw) = split_record(&self.stream[at..]) else {
            return Err(self.segment.corrupt(self.cursor.offset, self.next, Fault::Record));
        };
        self.taken += raw.length;
        self.next = raw.sequence + 1;
        Ok(Some(Record { sequence: raw.sequence, version: raw.version, payload: raw.payload }))
    }

    /// The last record given out and the chain hash after it.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        let Some(group) = &self.group else {
            return Anchor { sequence: self.cursor.next - 1, hash: self.cursor.hash };
        };
        let (mut hash, mut rest) = (group.start.hash, &self.stream[..self.taken]);
        let mut sequence = group.start.next - 1;
        let mut scratch = Vec::new();
        while let Some(raw) = split_record(rest) {
            hash = link(&mut scratch, &hash, raw.sequence, raw.version, raw.payload);
            sequence = raw.sequence;
            rest = &rest[raw.length..];
        }
        Anchor { sequence, hash }
    }

    /// Takes the next sealed group; false at the end.
    fn advance(&mut self) -> Result<bool> {
        loop {
            if self.take_group(false)? {
                return Ok(true);
            }
            // What is there may have been read before the writer finished it.
            self.segment.forget();
            if self.take_group(true)? {
                return Ok(true);
            }
            match self.segment.mark()? {
                Some(mark) => self.next_segment(&mark)?,
                None => return self.end_is_one().map(|()| false),
            }
        }
    }

    fn take_group(&mut self, fresh: bool) -> Result<bool> {
        let mut stream = std::mem::take(&mut self.stream);
        stream.clear();
        self.taken = 0;
        self.group = None;
        let found = group_at(&mut self.segment, &self.cursor, &mut stream)?;
        let taken = match found {
            Found::Whole(group) if self.unsealed || group.frayed.is_none() && self.sealed(&group)? => {
                self.cursor = group.end();
                self.stream = stream;
                self.group = Some(group);
                true
            }
            Found::Broken { offset, sequence, fault, explained: false, .. } if fresh => {
                return Err(self.segment.corrupt(offset, sequence, fault));
            }
            _ => false,
        };
        Ok(taken)
    }

    fn sealed(&mut self, group: &Group) -> Result<bool> {
        Ok(seal_of(&mut self.segment, group)? == Seal::Whole)
    }

    fn next_segment(&mut self, mark: &Cursor) -> Result<()> {
        let genesis = self.segment.header.genesis;
        if *mark != self.cursor {
            let fault = Fault::Acknowledged { evidence: self.segment.mark_offset() };
            return Err(self.segment.corrupt(self.cursor.offset, self.cursor.next, fault));
        }
        let next = Segment::open(self.disk, mark.next, &genesis);
        self.segment = match next {
            Err(Error::Io { kind: std::io::ErrorKind::NotFound, .. }) => {
                let fault = Fault::MissingSegment { expected: mark.next };
                return Err(self.segment.corrupt(self.segment.mark_offset(), mark.next, fault));
            }
            other => other?,
        };
        let (found, expected) = (self.segment.header.previous, mark.hash);
        self.cursor = self.segment.start();
        if found == expected {
            return Ok(());
        }
        Err(self.segment.corrupt(0, mark.next, Fault::Chain { found, expected }))
    }

    /// Whether the journal may end here: nothing but one torn or unsealed group follows.
    fn end_is_one(&mut self) -> Result<()> {
        if self.follow {
            return Ok(());
        }
        scan(&mut self.segment, &self.cursor, GarbledTail::Refuse, &mut Vec::new())?;
        // A next segment may exist, but not hold anything before this one is marked.
        match list(self.disk)?.into_iter().find(|first| *first > self.segment.header.first) {
            Some(later) if !self.is_empty(later)? => {
                Err(self.segment.corrupt(self.segment.mark_offset(), self.cursor.next, Fault::Mark))
            }
            Some(_) => Ok(()),
            None if self.segment.classify(self.segment.mark_offset())?.0 == Class::Zero => Ok(()),
            None => Err(self.segment.corrupt(self.segment.mark_offset(), self.cursor.next, Fault::Mark)),
        }
    }

    fn is_empty(&self, later: u64) -> Result<bool> {
        let mut segment = Segment::open(self.disk, later, &self.segment.header.genesis)?;
        let start = segment.start();
        Ok(segment.classify(start.offset)?.0 == Class::Zero && start.next == self.cursor.next)
    }
}

/// The last record that is sealed, and the chain after it: of a journal that may be growing.
///
/// # Errors
/// [`Error::Absent`]; [`Error::Corrupt`]; [`Error::Io`].
pub fn end(disk: &dyn Disk, identity: &str) -> Result<Anchor> {
    let (firsts, base, _) = held(disk, &genesis(identity))?;
    // A segment that was just begun holds nothing yet.
    let first = firsts.last().copied().unwrap_or(base.sequence + 1);
    let mut reader = Reader::open(disk, identity, first)?.following();
    while reader.next_record()?.is_some() {}
    Ok(reader.anchor())
}

/// The first record that is still held: above 1 once the journal was pruned.
///
/// # Errors
/// [`Error::Absent`]; [`Error::Corrupt`]; [`Error::Io`].
pub fn first(disk: &dyn Disk, identity: &str) -> Result<u64> {
    Ok(held(disk, &genesis(identity))?.1.sequence + 1)
}

/// The first record of each segment that is held, in order: where a journal can be cut.
///
/// # Errors
/// As [`first`].
pub fn segments(disk: &dyn Disk, identity: &str) -> Result<Vec<u64>> {
    Ok(held(disk, &genesis(identity))?.0)
}

/// The chain hash after a sequence that the journal holds (or the one before its first).
///
/// # Errors
/// [`Error::OutOfRange`], [`Error::Corrupt`], [`Error::Io`].
pub fn anchor_at(disk: &dyn Disk, identity: &str, sequence: u64) -> Result<Anchor> {
    anchor_as(disk, identity, sequence, false)
}

fn anchor_as(disk: &dyn Disk, identity: &str, sequence: u64, unsealed: bool) -> Result<Anchor> {
    let first = first(disk, identity)?;
    if sequence.saturating_add(1) == first {
        return Reader::open_as(disk, identity, first, unsealed).map(|reader| reader.anchor());
    }
    let mut reader = Reader::open_as(disk, identity, sequence, unsealed)?;
    if reader.next_record()?.is_none() {
        return Err(Error::OutOfRange { sequence, first, last: reader.cursor.next - 1 });
    }
    Ok(reader.anchor())
}

/// Checks that the chain goes through an anchor.
pub(crate) fn check_anchor(
    disk: &dyn Disk,
    identity: &str,
    what: &'static str,
    anchor: &Anchor,
) -> Result<()> {
    let found = match anchor_as(disk, identity, anchor.sequence, true) {
        Err(Error::OutOfRange { first, last, .. }) if last < anchor.sequence && first <= anchor.sequence => {
            return Err(Error::Ahead { what, sequence: anchor.sequence, last });
        }
        other => other?,
    };
    if found == *anchor {
        return Ok(());
    }
    Err(Error::Mismatch { what, sequence: anchor.sequence, anchor: anchor.hash, journal: found.hash })
}
