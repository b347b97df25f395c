//! The sector: 512 bytes that say whether they are whole, were never written, or were written in part.
//!
//! **The one idea:** a sector is only ever written over zeros, front to back, and its last byte is never zero. So one
//! whose last byte is zero was torn while being written, one whose first byte is zero was torn while being erased, and
//! one with neither whose checksum fails was changed afterwards: no power cut explains it.

pub(crate) const SECTOR: usize = 512;
/// Bytes of content in a sector: all but the kind, the checksum and the end byte.
pub(crate) const CONTENT: usize = 506;
const CHECK: usize = 507;
const END: usize = 511;
const END_BYTE: u8 = 0x5A;

/// What a sector is for. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// First sector of a segment.
    Segment = 0x51,
    /// First sector of a group.
    Head = 0x52,
    /// A further sector of a group.
    Body = 0x53,
    /// After a group: it was synced before this was written.
    Seal = 0x54,
    /// Last sector of a finished segment: the next one exists.
    Mark = 0x55,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Segment, Self::Head, Self::Body, Self::Seal, Self::Mark].into_iter().find(|k| *k as u8 == byte)
    }
}

/// The state of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Never written.
    Zero,
    /// Whole.
    Whole(Kind),
    /// Written or erased in part.
    Torn,
    /// Changed after it was written.
    Garbled,
}

pub(crate) type Sector = [u8; SECTOR];

fn checksum(segment: u64, offset: u64, covered: &[u8]) -> u32 {
    let mut state = crc32fast::Hasher::new();
    state.update(&segment.to_le_bytes());
    state.update(&offset.to_le_bytes());
    state.update(covered);
    state.finalize()
}

/// Writes a whole sector for this place; content beyond what is given is zero.
///
/// The checksum covers the place, so that a sector moved elsewhere is not whole there.
pub(crate) fn frame(kind: Kind, segment: u64, offset: u64, content: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let used = content.len().min(CONTENT);
    out.push(kind as u8);
    out.extend_from_slice(&content[..used]);
    out.resize(start + CHECK, 0);
    let check = checksum(segment, offset, &out[start..]);
    out.extend_from_slice(&check.to_le_bytes());
    out.push(END_BYTE);
}

/// The content of a sector, whatever its class.
pub(crate) fn content(sector: &Sector) -> &[u8] {
    &sector[1..CHECK]
}

/// The state of the sector that stands at this place.
pub(crate) fn classify(segment: u64, offset: u64, sector: &Sector) -> Class {
    if sector.iter().all(|byte| *byte == 0) {
        return Class::Zero;
    }
    if sector[END] == 0 || sector[0] == 0 {
        return Class::Torn;
    }
    let check = checksum(segment, offset, &sector[..CHECK]).to_le_bytes();
    match Kind::of(sector[0]) {
        Some(kind) if sector[END] == END_BYTE && sector[CHECK..END] == check => Class::Whole(kind),
        _ => Class::Garbled,
    }
}

/// Bytes of content in the first sector of a group after its own fields.
pub(crate) const HEAD_ROOM: usize = CONTENT - 80;

/// Sectors that a group with this many bytes of records takes.
pub(crate) fn sectors_of(bytes: u64) -> u64 {
    1 + bytes.saturating_sub(HEAD_ROOM as u64).div_ceil(CONTENT as u64)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

pub(crate) fn hash_at(bytes: &[u8], at: usize) -> crate::chain::Hash {
    let mut word = [0; 32];
    word.copy_from_slice(&bytes[at..at + 32]);
    crate::chain::Hash(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(kind: Kind, content: &[u8]) -> Sector {
        let mut out = Vec::new();
        frame(kind, 7, 4096, content, &mut out);
        let mut sector = [0; SECTOR];
        sector.copy_from_slice(&out);
        sector
    }

    #[test]
    fn every_change_of_one_byte_is_seen() {
        let whole = sector(Kind::Body, &[0xFF; 100]);
        assert_eq!(classify(7, 4096, &whole), Class::Whole(Kind::Body));
        for at in 0..SECTOR {
            for flip in 1..=255 {
                let mut changed = whole;
                changed[at] ^= flip;
                let class = classify(7, 4096, &changed);
                assert!(matches!(class, Class::Torn | Class::Garbled), "byte {at} ^ {flip}: {class:?}");
                assert!(class == Class::Garbled || changed[0] == 0 || changed[END] == 0);
            }
        }
    }

    #[test]
    fn every_tear_is_told_from_a_change() {
        let whole = sector(Kind::Body, &[0; 506]);
        for cut in 1..SECTOR {
            let (mut written, mut erased) = (whole, whole);
            written[cut..].fill(0);
            erased[..cut].fill(0);
            assert_eq!(classify(7, 4096, &written), Class::Torn);
            assert_eq!(classify(7, 4096, &erased), Class::Torn);
        }
    }

    #[test]
    fn a_sector_moved_elsewhere_is_not_whole_there() {
        let whole = sector(Kind::Seal, b"x");
        assert_eq!(classify(7, 4608, &whole), Class::Garbled);
        assert_eq!(classify(8, 4096, &whole), Class::Garbled);
    }
}
