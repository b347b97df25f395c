//! A group: what one commit wrote and one sync made durable. Reads it, checks its chain, and says whether a torn
//! write explains what is wrong with it.

use crate::chain::{Hash, link};
use crate::error::{Fault, Result};
use crate::sector::{
    CONTENT, Class, HEAD_ROOM, Kind, SECTOR, Sector, content, hash_at, sectors_of, u32_at, u64_at,
};
use crate::segment::{Cursor, Segment};

/// Bytes before each payload: length (4), version (1), sequence (8), first 8 bytes of the chain hash.
pub(crate) const RECORD_HEADER: usize = 21;

/// A group whose chain was verified.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) start: Cursor,
    pub(crate) count: u32,
    /// Chain hash after its last record.
    pub(crate) hash: Hash,
    pub(crate) sectors: u64,
    /// The first sector that is not whole, though all of the content is there.
    pub(crate) frayed: Option<u64>,
    /// Such a sector that no tear explains.
    pub(crate) garbled: Option<(u64, Fault)>,
}

impl Group {
    /// Where the seal goes.
    pub(crate) fn seal_offset(&self) -> u64 {
        self.start.offset + self.sectors * SECTOR as u64
    }

    /// Where the next group goes.
    pub(crate) fn end(&self) -> Cursor {
        Cursor {
            offset: self.seal_offset() + SECTOR as u64,
            next: self.start.next + u64::from(self.count),
            hash: self.hash,
        }
    }
}

/// What stands where a group may stand.
#[derive(Debug)]
pub(crate) enum Found {
    /// A group, all of whose records are there.
    Whole(Group),
    /// Nothing, or no room for a group.
    Absent,
    /// Something that is not a group.
    Broken {
        /// The offending sector.
        offset: u64,
        /// The first record that cannot be trusted.
        sequence: u64,
        fault: Fault,
        /// Whether a torn or lost write explains it.
        explained: bool,
        /// Sectors that the group takes, when its head is whole.
        sectors: Option<u64>,
    },
}

struct Head {
    first: u64,
    count: u32,
    bytes: u64,
    previous: Hash,
    hash: Hash,
}

fn parse_head(sector: &Sector) -> Head {
    let fields = content(sector);
    Head {
        first: u64_at(fields, 0),
        count: u32_at(fields, 8),
        bytes: u64::from(u32_at(fields, 12)),
        previous: hash_at(fields, 16),
        hash: hash_at(fields, 48),
    }
}

/// What is impossible about a head at this place, if anything.
fn impossible(segment: &Segment, at: &Cursor, head: &Head) -> Option<Fault> {
    if head.first != at.next {
        return Some(Fault::Sequence { found: head.first, expected: at.next });
    }
    if head.previous != at.hash {
        return Some(Fault::Chain { found: head.previous, expected: at.hash });
    }
    let room = (segment.mark_offset() - at.offset) / SECTOR as u64;
    let fits = sectors_of(head.bytes) < room && head.bytes <= u64::from(segment.header.group_bytes_max);
    let numbered = head.first.checked_add(u64::from(head.count)).is_some_and(|next| next < u64::MAX);
    let counted = numbered && head.count > 0 && u64::from(head.count) * RECORD_HEADER as u64 <= head.bytes;
    let limit = u64::from(segment.header.group_bytes_max);
    (!fits || !counted).then(|| Fault::Length { bytes: head.bytes, count: u64::from(head.count), limit })
}

/// Reads the group at a place into `stream` and verifies its chain.
pub(crate) fn group_at(segment: &mut Segment, at: &Cursor, stream: &mut Vec<u8>) -> Result<Found> {
    stream.clear();
    if at.offset + 2 * SECTOR as u64 > segment.mark_offset() {
        return Ok(Found::Absent);
    }
    let (class, sector) = segment.classify(at.offset)?;
    let broken = |fault, explained| broken_at(at.offset, (at.next, fault), explained, None);
    match class {
        Class::Zero => return Ok(Found::Absent),
        Class::Garbled => return Ok(broken(Fault::Garbled, false)),
        Class::Whole(Kind::Head) | Class::Torn => {}
        Class::Whole(kind) => {
            let fault = Fault::Kind { found: kind as u8, expected: Kind::Head as u8 };
            return Ok(broken(fault, false));
        }
    }
    let head = parse_head(&sector);
    if let Some(fault) = impossible(segment, at, &head) {
        let torn = class == Class::Torn;
        return Ok(broken(if torn { Fault::Torn } else { fault }, torn));
    }
    let mut worst = (class == Class::Torn).then_some((at.offset, class));
    read_body(segment, at, &sector, head.bytes, (stream, &mut worst))?;
    Ok(judge(at, &head, stream, worst))
}

/// Gathers the records of a group; `worst` becomes the first sector that is not whole, a garbled one before others.
fn read_body(
    segment: &mut Segment,
    at: &Cursor,
    head: &Sector,
    bytes: u64,
    (stream, worst): (&mut Vec<u8>, &mut Option<(u64, Class)>),
) -> Result<()> {
    let bytes = bytes as usize;
    stream.extend_from_slice(&content(head)[CONTENT - HEAD_ROOM..][..bytes.min(HEAD_ROOM)]);
    for index in 1..sectors_of(bytes as u64) {
        let offset = at.offset + index * SECTOR as u64;
        let (class, sector) = segment.classify(offset)?;
        stream.extend_from_slice(&content(&sector)[..(bytes - stream.len()).min(CONTENT)]);
        let whole = class == Class::Whole(Kind::Body);
        let graver = worst.is_none_or(|(_, w)| torn(w) && !torn(class));
        if !whole && graver {
            *worst = Some((offset, class));
        }
    }
    Ok(())
}

/// Whether a lost or torn write leaves a sector so.
fn torn(class: Class) -> bool {
    matches!(class, Class::Torn | Class::Zero)
}

fn broken_at(offset: u64, (sequence, fault): (u64, Fault), explained: bool, sectors: Option<u64>) -> Found {
    Found::Broken { offset, sequence, fault, explained, sectors }
}

fn judge(at: &Cursor, head: &Head, stream: &[u8], worst: Option<(u64, Class)>) -> Found {
    let sectors = sectors_of(head.bytes);
    let broken = |offset, wrong, explained| broken_at(offset, wrong, explained, Some(sectors));
    let verified = verify(stream, at, head.count).and_then(|hash| {
        let fault = Fault::Chain { found: head.hash, expected: hash };
        if hash == head.hash { Ok(()) } else { Err((at.next, fault)) }
    });
    let garbled = worst.and_then(|(offset, class)| match class {
        Class::Torn | Class::Zero => None,
        Class::Whole(kind) => Some((offset, Fault::Kind { found: kind as u8, expected: Kind::Body as u8 })),
        Class::Garbled => Some((offset, Fault::Garbled)),
    });
    match (worst, garbled, verified) {
        (_, garbled, Ok(())) => {
            let frayed = worst.map(|(offset, _)| offset);
            Found::Whole(Group { start: *at, count: head.count, hash: head.hash, sectors, frayed, garbled })
        }
        (_, Some((offset, fault)), Err(_)) => broken(offset, (at.next, fault), false),
        (Some((offset, _)), None, Err(_)) => broken(offset, (at.next, Fault::Torn), true),
        (None, None, Err(wrong)) => broken(at.offset, wrong, false),
    }
}

/// A record as it stands in a stream.
pub(crate) struct Raw<'a> {
    pub(crate) version: u8,
    pub(crate) sequence: u64,
    pub(crate) check: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Bytes of the stream that it takes.
    pub(crate) length: usize,
}

/// Takes the record at the front of a stream, if it is all there.
pub(crate) fn split_record(stream: &[u8]) -> Option<Raw<'_>> {
    let header = stream.get(..RECORD_HEADER)?;
    let length = RECORD_HEADER + u32_at(header, 0) as usize;
    let payload = stream.get(RECORD_HEADER..length)?;
    Some(Raw { version: header[4], sequence: u64_at(header, 5), check: &header[13..21], payload, length })
}

/// Appends a record to a stream.
pub(crate) fn push_record(stream: &mut Vec<u8>, version: u8, sequence: u64, hash: &Hash, payload: &[u8]) {
    stream.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    stream.push(version);
    stream.extend_from_slice(&sequence.to_le_bytes());
    stream.extend_from_slice(&hash.0[..8]);
    stream.extend_from_slice(payload);
}

/// The chain hash after a stream of `count` records, or the first record that does not fit and why.
fn verify(stream: &[u8], at: &Cursor, count: u32) -> std::result::Result<Hash, (u64, Fault)> {
    let (mut rest, mut hash, mut sequence) = (stream, at.hash, at.next);
    let mut scratch = Vec::new();
    for _ in 0..count {
        let record = split_record(rest).ok_or((sequence, Fault::Record))?;
        if record.sequence != sequence {
            return Err((sequence, Fault::Sequence { found: record.sequence, expected: sequence }));
        }
        hash = link(&mut scratch, &hash, sequence, record.version, record.payload);
        if record.check != &hash.0[..8] {
            return Err((sequence, Fault::Record));
        }
        rest = &rest[record.length..];
        sequence += 1;
    }
    if rest.is_empty() { Ok(hash) } else { Err((sequence, Fault::Record)) }
}

/// What follows a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// The seal: the group was synced.
    Whole,
    /// Not written, or not wholly.
    Missing,
}

/// Reads the seal after a group.
pub(crate) fn seal_of(segment: &mut Segment, group: &Group) -> Result<Seal> {
    let offset = group.seal_offset();
    let (class, sector) = segment.classify(offset)?;
    let end = group.end();
    let fault = match class {
        Class::Zero | Class::Torn => return Ok(Seal::Missing),
        Class::Garbled => Fault::Garbled,
        Class::Whole(Kind::Seal) => {
            let fields = content(&sector);
            let expected = Cursor::content(end.next, &end.hash, group.start.offset);
            if fields[..48] == expected {
                return Ok(Seal::Whole);
            }
            Fault::Chain { found: hash_at(fields, 8), expected: end.hash }
        }
        Class::Whole(kind) => Fault::Kind { found: kind as u8, expected: Kind::Seal as u8 },
    };
    Err(segment.corrupt(offset, end.next, fault))
}
