//! One segment from its header to its last byte: its groups, and what stands after them.

use crate::error::{Error, Fault, Result};
use crate::group::{Found, Group, Seal, group_at, seal_of};
use crate::sector::{Class, Kind, SECTOR, content, sectors_of, u64_at};
use crate::segment::{Cursor, Segment};

/// What to do about a tail that a torn write does not explain, with nothing whole after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GarbledTail {
    /// Refuse it. The default: a disk writes a sector or leaves it, so this is damage and not a power cut.
    #[default]
    Refuse,
    /// Discard it like a torn tail, and report it. For an operator who has compared an anchor kept outside.
    Discard,
}

/// What a scan found at the end of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// Where the next group goes.
    pub(crate) end: Cursor,
    /// The last whole group.
    pub(crate) last: Option<Group>,
    /// Whether its seal is there (true when there is no group).
    pub(crate) sealed: bool,
    /// The group before the last one.
    pub(crate) before: Option<Group>,
    /// Whether its seal is there (true when there is no such group).
    pub(crate) before_sealed: bool,
    /// From the first to after the last sector that holds a torn write.
    pub(crate) debris: Option<(u64, u64)>,
    pub(crate) groups: u64,
}

impl Tail {
    fn take(&mut self, group: Group, seal: Seal) {
        self.before = self.last.take();
        self.before_sealed = self.sealed;
        self.sealed = seal == Seal::Whole;
        self.end = group.end();
        self.last = Some(group);
        self.groups += 1;
    }

    /// Whether the last group was still being written when the writing stopped: nothing can follow it.
    fn in_flight(&self) -> bool {
        !self.before_sealed || self.last.as_ref().is_some_and(|group| group.frayed.is_some())
    }
}

/// Reads and verifies the groups of a segment from `start` on, and judges what stands after them, up
/// to but not including the mark.
///
/// # Errors
/// [`crate::Error::Corrupt`] for everything that a single torn group at the very end does not explain.
pub(crate) fn scan(
    segment: &mut Segment,
    start: &Cursor,
    garbled: GarbledTail,
    stream: &mut Vec<u8>,
) -> Result<Tail> {
    let mut tail = Tail {
        end: *start,
        last: None,
        sealed: true,
        before: None,
        before_sealed: true,
        debris: None,
        groups: 0,
    };
    let mut head_sectors = None;
    while !tail.in_flight() {
        match group_at(segment, &tail.end, stream)? {
            Found::Whole(group) => {
                if let (Some((offset, fault)), GarbledTail::Refuse) = (&group.garbled, garbled) {
                    return Err(segment.corrupt(*offset, group.start.next, fault.clone()));
                }
                let seal = judged_seal(segment, &group, garbled)?;
                check_order(segment, &tail, &group, seal)?;
                tail.take(group, seal);
            }
            Found::Absent => break,
            Found::Broken { sectors, explained: true, .. } => {
                head_sectors = sectors;
                break;
            }
            Found::Broken { fault: Fault::Garbled, .. } if garbled == GarbledTail::Discard => break,
            Found::Broken { offset, sequence, fault, .. } => {
                return Err(segment.corrupt(offset, sequence, fault));
            }
        }
    }
    tail.debris = debris(segment, &tail, head_sectors, garbled)?;
    Ok(tail)
}

fn judged_seal(segment: &mut Segment, group: &Group, garbled: GarbledTail) -> Result<Seal> {
    match seal_of(segment, group) {
        Err(Error::Corrupt { fault: Fault::Garbled, .. }) if garbled == GarbledTail::Discard => {
            Ok(Seal::Missing)
        }
        other => other,
    }
}

/// A group that is sealed was synced, and everything before it too: neither it nor the seal before it may be torn.
fn check_order(segment: &Segment, tail: &Tail, group: &Group, seal: Seal) -> Result<()> {
    if seal == Seal::Missing {
        return Ok(());
    }
    let fault = Fault::Acknowledged { evidence: group.seal_offset() };
    match (tail.last.as_ref().filter(|_| !tail.sealed), group.frayed) {
        (Some(before), _) => Err(segment.corrupt(before.seal_offset(), group.start.next, fault)),
        (None, Some(offset)) => Err(segment.corrupt(offset, group.start.next, fault)),
        (None, None) => Ok(()),
    }
}

/// Where the sectors end that one group being written explains: none when a whole group was already in flight.
fn explained_until(segment: &Segment, tail: &Tail, head_sectors: Option<u64>) -> u64 {
    let at = tail.end.offset;
    if !tail.before_sealed {
        return at.saturating_sub(SECTOR as u64);
    }
    if tail.in_flight() || at + 2 * SECTOR as u64 > segment.mark_offset() {
        return at;
    }
    let most = head_sectors.unwrap_or(sectors_of(u64::from(segment.header.group_bytes_max)));
    (at + most * SECTOR as u64).min(segment.mark_offset())
}

/// The sectors after the groups that are not zero, if a torn write explains them.
fn debris(
    segment: &mut Segment,
    tail: &Tail,
    head_sectors: Option<u64>,
    garbled: GarbledTail,
) -> Result<Option<(u64, u64)>> {
    let seal = tail.last.as_ref().filter(|_| !tail.sealed).map(|group| group.seal_offset());
    let from = seal.unwrap_or(tail.end.offset);
    let until = explained_until(segment, tail, head_sectors);
    let mut span: Option<(u64, u64)> = None;
    let mut wrong = None;
    let mut offset = from;
    while offset < segment.mark_offset() {
        let (class, sector) = segment.classify(offset)?;
        if class != Class::Zero {
            if let Class::Whole(Kind::Head | Kind::Seal) = class
                && u64_at(content(&sector), 0) > tail.end.next
            {
                let fault = Fault::Acknowledged { evidence: offset };
                return Err(segment.corrupt(tail.end.offset, tail.end.next, fault));
            }
            let fault = unexplained(class, offset, (tail.end.offset, until), garbled);
            wrong = wrong.or(fault.map(|fault| (offset, fault)));
            span = Some((span.map_or(offset, |(first, _)| first), offset + SECTOR as u64));
        }
        offset += SECTOR as u64;
    }
    match wrong {
        Some((offset, fault)) => Err(segment.corrupt(offset, tail.end.next, fault)),
        None => Ok(span),
    }
}

/// What is wrong with a sector that is not zero and stands after the last whole group.
fn unexplained(class: Class, offset: u64, (end, until): (u64, u64), garbled: GarbledTail) -> Option<Fault> {
    if offset >= until {
        return Some(Fault::Debris);
    }
    match class {
        Class::Zero | Class::Torn | Class::Whole(Kind::Body) => None,
        Class::Whole(Kind::Head) if offset == end => None,
        Class::Garbled if garbled == GarbledTail::Discard => None,
        Class::Garbled => Some(Fault::Garbled),
        Class::Whole(kind) => Some(Fault::Kind { found: kind as u8, expected: Kind::Body as u8 }),
    }
}

/// [`scan`] from the header on.
pub(crate) fn scan_all(segment: &mut Segment, garbled: GarbledTail, stream: &mut Vec<u8>) -> Result<Tail> {
    let start = segment.start();
    scan(segment, &start, garbled, stream)
}
