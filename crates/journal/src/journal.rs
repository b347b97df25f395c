//! The journal open for writing.

use std::sync::Arc;

use crate::chain::{Anchor, Hash, genesis, link};
use crate::disk::Disk;
use crate::error::{Error, Fault, Position, Result};
use crate::group::{Found, Group, RECORD_HEADER, group_at, push_record};
use crate::scan::{GarbledTail, Tail};
use crate::sector::{Kind, SECTOR, sectors_of};
use crate::segment::{
    Cursor, GROUP_BYTES_LIMIT, HEADER_BYTES, Header, Segment, frame_group, list, name_of, write_zeros,
};
use crate::spare::{Preparer, Ready, Slot};
use crate::survey::{Base, Survey, held, survey};

/// How a journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose journal it is: part of the chain, so that two journals cannot be mixed.
    pub identity: String,
    /// Bytes of a new segment file, allocated in full when it is created; a multiple of 4096.
    pub segment_bytes: u64,
    /// The most bytes of records (payloads and 21 bytes each) in one group of a new segment.
    pub group_bytes_max: u32,
    /// What to do about a tail that a torn write does not explain.
    pub garbled_tail: GarbledTail,
}

impl Options {
    /// Segments of 64 MiB, groups of at most 4 MiB.
    #[must_use]
    pub fn new(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            segment_bytes: 64 << 20,
            group_bytes_max: 4 << 20,
            garbled_tail: GarbledTail::Refuse,
        }
    }

    fn check(&self) -> Result<()> {
        let option = |name, value, why| Err(Error::Option { name, value, why });
        let group = u64::from(self.group_bytes_max);
        if !(RECORD_HEADER as u32 + 1..=GROUP_BYTES_LIMIT).contains(&self.group_bytes_max) {
            return option("group_bytes_max", group, "it must be between 22 bytes and 256 MiB");
        }
        if !self.segment_bytes.is_multiple_of(HEADER_BYTES) {
            return option("segment_bytes", self.segment_bytes, "it must be a multiple of 4096");
        }
        if self.segment_bytes < HEADER_BYTES + (sectors_of(group) + 3) * SECTOR as u64 {
            return option("segment_bytes", self.segment_bytes, "it must hold the largest group");
        }
        Ok(())
    }
}

/// What opening had to mend. None of it touches a record that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// A group that was being written when the writing stopped was cut off: it was never acknowledged.
    TornTail {
        /// Where it started; its first sequence is the next to be written.
        position: Position,
        /// Bytes from there to its last byte that had reached the disk.
        bytes: u64,
    },
    /// A whole group was found that may not have been acknowledged; it is kept, and was written and synced again.
    Kept {
        /// Where it starts.
        position: Position,
        /// Its records.
        records: u32,
        /// Its first sector that had not reached the disk in full, though all of its content had.
        frayed: Option<u64>,
    },
    /// The end mark of the last finished segment was not yet there.
    Mark {
        /// The segment.
        segment: u64,
    },
    /// A file that was never finished, or that had been pruned, was removed.
    Leftover {
        /// Its name.
        file: String,
    },
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Segments held.
    pub segments: u64,
    /// First sequence held.
    pub first: u64,
    /// The durable end of the chain.
    pub end: Anchor,
    /// What was mended, in order.
    pub repairs: Vec<Repair>,
}

/// A journal open for writing, by one owner.
///
/// ```
/// use plimsoll_journal::{Journal, Options, Reader, sim::SimDisk};
/// let disk = SimDisk::new(1);
/// let mut journal = Journal::create(Box::new(disk.clone()), Options::new("test"))?;
/// let first = journal.append(0, b"opaque")?;
/// let durable = journal.commit()?; // one write, one sync: acknowledged
/// assert_eq!((first.sequence, durable), (1, first));
/// let mut reader = Reader::open(&disk, "test", 1)?;
/// assert_eq!(reader.next_record()?.map(|record| record.payload.to_vec()), Some(b"opaque".to_vec()));
/// # Ok::<(), plimsoll_journal::Error>(())
/// ```
pub struct Journal {
    disk: Arc<dyn Disk>,
    spare: Arc<Slot>,
    options: Options,
    genesis: Hash,
    pub(crate) segment: Segment,
    end: Cursor,
    first: u64,
    /// Records gathered for the next group, and the chain after them.
    stream: Vec<u8>,
    count: u32,
    ahead: Hash,
    frame: Vec<u8>,
    scratch: Vec<u8>,
    poison: Option<Error>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Journal {{ durable: {}, gathered: {}, poison: {:?} }}",
            self.durable(),
            self.count,
            self.poison
        )
    }
}

impl Journal {
    /// Creates a journal where there is none.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Option`], [`Error::Io`]; [`Error::Corrupt`] when there is no segment but a snapshot or
    /// a base, whose journal is therefore lost.
    pub fn create(disk: Box<dyn Disk>, options: Options) -> Result<Self> {
        options.check()?;
        if let Some(first) = list(&*disk)?.first() {
            return Err(Error::Exists { first: *first });
        }
        crate::survey::refuse_orphans(&*disk)?;
        let genesis = genesis(&options.identity);
        let file = new_file(&*disk, options.segment_bytes)?;
        let first = Anchor { sequence: 0, hash: genesis };
        let segment = new_segment(&*disk, file, (&options, first, &genesis))?;
        let end = segment.start();
        Ok(Self::assemble(disk, options, segment, end, 1))
    }

    /// Opens a journal, mends what a power cut explains, and reports it.
    ///
    /// # Errors
    /// [`Error::Absent`]; [`Error::Corrupt`] with the position and the fault for everything that a power cut does not
    /// explain; [`Error::Option`], [`Error::Io`].
    pub fn open(disk: Box<dyn Disk>, options: Options) -> Result<(Self, Recovery)> {
        options.check()?;
        let survey = survey(&*disk, &genesis(&options.identity), options.garbled_tail)?;
        let mut repairs = Vec::new();
        let (segment, end, segments) = mend(&*disk, survey, &mut repairs)?;
        let first = segments.first().copied().unwrap_or(1);
        let anchor = Anchor { sequence: end.next - 1, hash: end.hash };
        let recovery = Recovery { segments: segments.len() as u64, first, end: anchor, repairs };
        Ok((Self::assemble(disk, options, segment, end, first), recovery))
    }

    /// Opens the journal here, or creates one if there is none.
    ///
    /// # Errors
    /// Those of [`Journal::open`] and [`Journal::create`].
    pub fn open_or_create(disk: Box<dyn Disk>, options: Options) -> Result<(Self, Recovery)> {
        if list(&*disk)?.is_empty() {
            let journal = Self::create(disk, options)?;
            let recovery = Recovery { segments: 1, first: 1, end: journal.durable(), repairs: Vec::new() };
            return Ok((journal, recovery));
        }
        Self::open(disk, options)
    }

    fn assemble(disk: Box<dyn Disk>, options: Options, segment: Segment, end: Cursor, first: u64) -> Self {
        Self {
            genesis: segment.header.genesis,
            disk: Arc::from(disk),
            spare: Arc::default(),
            options,
            segment,
            end,
            first,
            stream: Vec::new(),
            count: 0,
            ahead: end.hash,
            frame: Vec::new(),
            scratch: Vec::new(),
            poison: None,
        }
    }

    /// The last record that is durable, and the chain hash after it.
    #[must_use]
    pub fn durable(&self) -> Anchor {
        Anchor { sequence: self.end.next - 1, hash: self.end.hash }
    }

    /// The first sequence held.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The disk it is on.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The first error, after which nothing is accepted.
    #[must_use]
    pub fn poisoned(&self) -> Option<&Error> {
        self.poison.as_ref()
    }

    /// The longest payload that fits a group.
    #[must_use]
    pub fn payload_max(&self) -> usize {
        self.group_max().saturating_sub(RECORD_HEADER)
    }

    /// Bytes that one group may hold, a record taking its payload and 21 more: the smaller of the option
    /// and of what the open segment was created with.
    pub(crate) fn group_max(&self) -> usize {
        self.segment.header.group_bytes_max.min(self.options.group_bytes_max) as usize
    }

    pub(crate) fn live(&self) -> Result<()> {
        match &self.poison {
            Some(first) => Err(Error::Poisoned { first: Box::new(first.clone()) }),
            None => Ok(()),
        }
    }

    /// Gathers a record for the next group and says which sequence and hash it will have. `version` is the version of
    /// the payload's encoding, kept as given. **Nothing is durable before [`Journal::commit`] returns.**
    ///
    /// # Errors
    /// [`Error::Poisoned`]; [`Error::TooLong`]; [`Error::GroupFull`], after which the record may be appended again
    /// once the group is committed.
    pub fn append(&mut self, version: u8, payload: &[u8]) -> Result<Anchor> {
        self.live()?;
        let limit = self.payload_max();
        if payload.len() > limit {
            return Err(Error::TooLong { bytes: payload.len() as u64, limit: limit as u64 });
        }
        if self.stream.len() + RECORD_HEADER + payload.len() > self.group_max() {
            return Err(Error::GroupFull { bytes: self.stream.len() as u64, limit: self.group_max() as u64 });
        }
        let sequence = self.end.next + u64::from(self.count);
        let hash = link(&mut self.scratch, &self.ahead, sequence, version, payload);
        push_record(&mut self.stream, version, sequence, &hash, payload);
        self.ahead = hash;
        self.count += 1;
        Ok(Anchor { sequence, hash })
    }

    /// Writes the gathered records as one group and syncs it. When it returns, they are durable.
    ///
    /// # Errors
    /// [`Error::Io`] at the first failure of any write or sync, and [`Error::Poisoned`] ever after: what the group
    /// left on the disk is judged when the journal is opened again, and never by another sync.
    pub fn commit(&mut self) -> Result<Anchor> {
        self.live()?;
        if self.count == 0 {
            return Ok(self.durable());
        }
        let outcome = self.write_group();
        self.stream.clear();
        self.count = 0;
        match outcome {
            Ok(group) => {
                self.end = group.end();
                if let Err(error) =
                    self.segment.write_point(Kind::Seal, group.seal_offset(), &self.end, group.start.offset)
                {
                    // The group itself is durable, so this commit stands; the next one is refused.
                    self.poison = Some(error);
                }
                Ok(self.durable())
            }
            Err(error) => {
                self.ahead = self.end.hash;
                self.poison = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Whether the next segment is neither allocated nor being allocated, and half of this one is used.
    pub(crate) fn wants_spare(&self) -> bool {
        self.spare.wanted() && self.end.offset > self.segment.header.capacity / 2
    }

    fn write_group(&mut self) -> Result<Group> {
        let sectors = sectors_of(self.stream.len() as u64);
        if self.end.offset + (sectors + 1) * SECTOR as u64 > self.segment.mark_offset() {
            self.go_on()?;
        }
        let group = Group {
            start: self.end,
            count: self.count,
            hash: self.ahead,
            sectors,
            frayed: None,
            garbled: None,
        };
        frame_group(
            self.segment.header.first,
            &self.end,
            (&self.ahead, self.count),
            &self.stream,
            &mut self.frame,
        );
        self.segment.write(self.end.offset, &self.frame)?;
        self.segment.sync()?;
        Ok(group)
    }

    /// Goes on in a new segment. The new one exists durably before the old one is marked as finished, and the mark is
    /// durable before the new one gets a group: so a mark without a next segment is a loss, never a power cut.
    fn go_on(&mut self) -> Result<()> {
        let length = self.options.segment_bytes;
        let file = match self.spare.take().filter(|ready| ready.length == length) {
            Some(ready) => ready,
            None => new_file(&*self.disk, length)?,
        };
        let next = new_segment(&*self.disk, file, (&self.options, self.durable(), &self.genesis))?;
        let mut old = std::mem::replace(&mut self.segment, next);
        old.write_point(Kind::Mark, old.mark_offset(), &self.end, self.end.offset)?;
        old.sync()?;
        self.end = self.segment.start();
        Ok(())
    }

    /// Commits what is gathered and makes the last seal durable, so that even a power cut leaves no doubt about the end.
    ///
    /// # Errors
    /// Those of [`Journal::commit`].
    pub fn close(mut self) -> Result<Anchor> {
        let end = self.commit()?;
        self.live()?;
        self.segment.sync()?;
        if let Some(ready) = self.spare.take() {
            // If it stays, the next opening removes it.
            let _ = self.disk.remove(&ready.name);
        }
        Ok(end)
    }

    /// What allocates the next segment ahead, on another thread. A [`crate::Writer`] does so by itself.
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        let (disk, slot) = (Arc::clone(&self.disk), Arc::clone(&self.spare));
        Preparer { disk, slot, length: self.options.segment_bytes }
    }

    /// Removes the segments that hold only records up to the oldest snapshot kept, and says how many. What is removed
    /// can no longer be verified or replayed: keep the segments where an audit may ask for them.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::Mismatch`] or [`Error::Ahead`] when a snapshot is not of this chain;
    /// [`Error::Io`]. The journal itself stays usable.
    pub fn prune(&mut self, snapshots: &crate::snapshot::Snapshots<'_>) -> Result<u64> {
        self.live()?;
        let oldest = snapshots.oldest(self)?.ok_or(Error::NoSnapshot)?;
        let (removed, first) = remove_below(&*self.disk, &self.genesis, oldest.anchor.sequence)?;
        self.first = first;
        Ok(removed)
    }
}

/// Removes the segments that hold only records up to `sequence`, and says how many and which record is the first now. The last
/// segment stays whatever it holds, so whoever writes there is not disturbed.
pub(crate) fn remove_below(disk: &dyn Disk, genesis: &Hash, sequence: u64) -> Result<(u64, u64)> {
    let firsts = held(disk, genesis)?.0;
    let kept = firsts.iter().rposition(|first| *first <= sequence.saturating_add(1)).unwrap_or(0);
    let base = firsts.get(kept).copied().unwrap_or(1);
    if kept == 0 {
        return Ok((0, base));
    }
    let segment = Segment::open(disk, base, genesis)?;
    Base(Anchor { sequence: base - 1, hash: segment.header.previous }).store(disk)?;
    for first in &firsts[..kept] {
        let name = name_of(*first);
        disk.remove(&name).map_err(|e| Error::io("remove", &name, 0, &e))?;
    }
    sync_directory(disk)?;
    Ok((kept as u64, base))
}

pub(crate) fn sync_directory(disk: &dyn Disk) -> Result<()> {
    disk.sync_directory().map_err(|e| Error::io("sync", "the directory", 0, &e))
}

/// Allocates the file of a segment under a temporary name.
fn new_file(disk: &dyn Disk, length: u64) -> Result<Ready> {
    let name = "segment.tmp".to_owned();
    let io = |action| move |error: std::io::Error| Error::io(action, "segment.tmp", 0, &error);
    let file = disk.create(&name).map_err(io("create"))?;
    write_zeros(&*file, length).map_err(io("allocate"))?;
    Ok(Ready { name, file, length })
}

/// Makes a file of zeros a segment, durably: its header written and synced, then renamed, then the directory synced.
fn new_segment(
    disk: &dyn Disk,
    ready: Ready,
    (options, after, genesis): (&Options, Anchor, &Hash),
) -> Result<Segment> {
    let header = Header {
        capacity: ready.length,
        group_bytes_max: options.group_bytes_max,
        first: after.sequence + 1,
        previous: after.hash,
        genesis: *genesis,
    };
    let io = |action| move |error: std::io::Error| Error::io(action, &name_of(header.first), 0, &error);
    ready.file.write_at(0, &header.encode()).map_err(io("write"))?;
    ready.file.sync().map_err(io("sync"))?;
    disk.rename(&ready.name, &name_of(header.first)).map_err(io("rename"))?;
    sync_directory(disk)?;
    Ok(Segment::new(ready.file, header))
}

/// Makes what the survey found durable and sealed, so that the next open finds the same whatever happens meanwhile.
fn mend(disk: &dyn Disk, survey: Survey, repairs: &mut Vec<Repair>) -> Result<(Segment, Cursor, Vec<u64>)> {
    for file in survey.leftovers {
        disk.remove(&file).map_err(|e| Error::io("remove", &file, 0, &e))?;
        repairs.push(Repair::Leftover { file });
    }
    // The last segment's name may only be the system's yet: it is made durable before the mark that vouches for it.
    sync_directory(disk)?;
    if let Some((mut before, tail, marked)) = survey.before {
        settle(&mut before, &tail, repairs)?;
        before.write_point(Kind::Mark, before.mark_offset(), &tail.end, tail.end.offset)?;
        before.sync()?;
        if !marked {
            repairs.push(Repair::Mark { segment: before.header.first });
        }
    }
    let mut segment = survey.last;
    settle(&mut segment, &survey.tail, repairs)?;
    Ok((segment, survey.tail.end, survey.firsts))
}

/// Erases a torn group, writes again what may not have been synced, and seals the end.
///
/// The last seals and an unsealed group are always written again: after a failed sync the system may show bytes that
/// never reached the disk, and only a new write makes them reach it.
fn settle(segment: &mut Segment, tail: &Tail, repairs: &mut Vec<Repair>) -> Result<()> {
    let first = segment.header.first;
    let mut stream = Vec::new();
    if let Some(group) = tail.last.as_ref().filter(|_| !tail.sealed) {
        write_again(segment, group, &mut stream)?;
        let position = Position { segment: first, offset: group.start.offset, sequence: group.start.next };
        repairs.push(Repair::Kept { position, records: group.count, frayed: group.frayed });
    }
    erase(segment, tail)?;
    if let Some((_, to)) = tail.debris.filter(|(_, to)| *to > tail.end.offset) {
        let position = Position { segment: first, offset: tail.end.offset, sequence: tail.end.next };
        repairs.push(Repair::TornTail { position, bytes: to - tail.end.offset });
    }
    if let Some(before) = &tail.before {
        segment.write_point(Kind::Seal, before.seal_offset(), &before.end(), before.start.offset)?;
    }
    segment.sync()?;
    if let Some(last) = &tail.last {
        segment.write_point(Kind::Seal, last.seal_offset(), &tail.end, last.start.offset)?;
    }
    segment.sync()
}

fn write_again(segment: &mut Segment, group: &Group, stream: &mut Vec<u8>) -> Result<()> {
    match group_at(segment, &group.start, stream)? {
        Found::Whole(_) => {}
        _ => return Err(segment.corrupt(group.start.offset, group.start.next, Fault::Torn)),
    }
    let mut frame = Vec::new();
    frame_group(segment.header.first, &group.start, (&group.hash, group.count), stream, &mut frame);
    segment.write(group.start.offset, &frame)
}

/// Writes zeros over all that a torn group may have left, also where zeros are read: they may be the system's, while
/// the disk still holds what an earlier, failed erasure did not reach.
fn erase(segment: &mut Segment, tail: &Tail) -> Result<()> {
    let most = sectors_of(u64::from(segment.header.group_bytes_max)) * SECTOR as u64;
    let to = (tail.end.offset + most).min(segment.mark_offset());
    let from = tail.debris.map_or(tail.end.offset, |(from, _)| from.min(tail.end.offset));
    let to = tail.debris.map_or(to, |(_, end)| end.max(to));
    segment.write(from, &vec![0; to.saturating_sub(from) as usize])
}
