//! A segment file: its name, its header, its end mark, and its sectors read through a window.

use crate::chain::Hash;
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Fault, Result};
use crate::sector::{
    CONTENT, Class, Kind, SECTOR, Sector, classify, content, frame, hash_at, u32_at, u64_at,
};

/// The version of the format on disk.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the first group, so that the header shares no page with what is written later.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// The largest group that any build reads: what bounds a reader's memory.
pub(crate) const GROUP_BYTES_LIMIT: u32 = 256 << 20;
const MAGIC: &[u8; 8] = b"PLIMJRNL";
const WINDOW: usize = 256 << 10;

/// The file of the segment that starts at a sequence: 20 digits, so that names sort as numbers do.
pub(crate) fn name_of(first: u64) -> String {
    format!("{first:020}.seg")
}

/// First sequences of all segments, in order.
pub(crate) fn list(disk: &dyn Disk) -> Result<Vec<u64>> {
    let names = disk.list().map_err(|e| Error::io("list", "the directory", 0, &e))?;
    let mut firsts = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".seg")) {
        let first =
            name.strip_suffix(".seg").and_then(|n| n.parse().ok()).filter(|f| *f > 0 && name_of(*f) == *name);
        let fault = || Error::corrupt(0, 0, 0, Fault::Name { name: name.clone() });
        firsts.push(first.ok_or_else(fault)?);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Length of the file, all of it allocated when it is created.
    pub(crate) capacity: u64,
    /// The most bytes of records that one group may have: bounds what a torn tail can explain.
    pub(crate) group_bytes_max: u32,
    pub(crate) first: u64,
    /// Chain hash before the first record.
    pub(crate) previous: Hash,
    pub(crate) genesis: Hash,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(128);
        fields.extend_from_slice(MAGIC);
        fields.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        fields.extend_from_slice(&self.capacity.to_le_bytes());
        fields.extend_from_slice(&self.group_bytes_max.to_le_bytes());
        fields.extend_from_slice(&self.first.to_le_bytes());
        fields.extend_from_slice(&self.previous.0);
        fields.extend_from_slice(&self.genesis.0);
        fields.extend_from_slice(blake3::hash(&fields).as_bytes());
        let mut block = Vec::with_capacity(HEADER_BYTES as usize);
        frame(Kind::Segment, self.first, 0, &fields, &mut block);
        block.resize(HEADER_BYTES as usize, 0);
        block
    }

    fn decode(first: u64, block: &[u8]) -> std::result::Result<Self, Fault> {
        let mut sector: Sector = [0; SECTOR];
        sector.copy_from_slice(&block[..SECTOR]);
        let fields = content(&sector);
        let whole = classify(first, 0, &sector) == Class::Whole(Kind::Segment);
        if !whole || &fields[..8] != MAGIC || block[SECTOR..].iter().any(|byte| *byte != 0) {
            return Err(Fault::Header);
        }
        let found = u32_at(fields, 8);
        if found != FORMAT_VERSION {
            return Err(Fault::Version { found, known: FORMAT_VERSION });
        }
        if blake3::hash(&fields[..96]).as_bytes() != &fields[96..128] || u64_at(fields, 24) != first {
            return Err(Fault::Header);
        }
        let header = Self {
            capacity: u64_at(fields, 12),
            group_bytes_max: u32_at(fields, 20),
            first,
            previous: hash_at(fields, 32),
            genesis: hash_at(fields, 64),
        };
        let room = header.capacity >= HEADER_BYTES + 4 * SECTOR as u64;
        let aligned = header.capacity.is_multiple_of(SECTOR as u64);
        if room && aligned && header.group_bytes_max <= GROUP_BYTES_LIMIT {
            Ok(header)
        } else {
            Err(Fault::Header)
        }
    }
}

/// Where a segment's groups end, and with which chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Where the next group goes.
    pub(crate) offset: u64,
    /// Its first sequence.
    pub(crate) next: u64,
    /// The chain hash before it.
    pub(crate) hash: Hash,
}

impl Cursor {
    /// Content of a seal (whose last field is where its group starts) or a mark (where the groups end).
    pub(crate) fn content(next: u64, hash: &Hash, place: u64) -> [u8; 48] {
        let mut fields = [0; 48];
        fields[..8].copy_from_slice(&next.to_le_bytes());
        fields[8..40].copy_from_slice(&hash.0);
        fields[40..].copy_from_slice(&place.to_le_bytes());
        fields
    }
}

/// A segment file open to read or write.
pub(crate) struct Segment {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) header: Header,
    pub(crate) window: Vec<u8>,
    window_at: u64,
}

impl Segment {
    /// Opens a segment and checks its header, its length and whose it is.
    pub(crate) fn open(disk: &dyn Disk, first: u64, genesis: &Hash) -> Result<Self> {
        let name = name_of(first);
        let file = disk.open(&name).map_err(|e| Error::io("open", &name, 0, &e))?;
        let found = file.length().map_err(|e| Error::io("measure", &name, 0, &e))?;
        let corrupt = |fault| Error::corrupt(first, 0, first, fault);
        if found < HEADER_BYTES {
            return Err(corrupt(Fault::FileLength { found, expected: HEADER_BYTES }));
        }
        let mut block = vec![0; HEADER_BYTES as usize];
        file.read_at(0, &mut block).map_err(|e| Error::io("read", &name, 0, &e))?;
        let header = Header::decode(first, &block).map_err(corrupt)?;
        if header.capacity != found {
            return Err(corrupt(Fault::FileLength { found, expected: header.capacity }));
        }
        if header.genesis != *genesis {
            return Err(corrupt(Fault::Foreign { found: header.genesis, expected: *genesis }));
        }
        Ok(Self::new(file, header))
    }

    pub(crate) fn new(file: Box<dyn DiskFile>, header: Header) -> Self {
        Self { file, header, window: Vec::new(), window_at: 0 }
    }

    pub(crate) fn name(&self) -> String {
        name_of(self.header.first)
    }

    pub(crate) fn start(&self) -> Cursor {
        Cursor { offset: HEADER_BYTES, next: self.header.first, hash: self.header.previous }
    }

    /// Where the end mark stands: no group or seal reaches into it.
    pub(crate) fn mark_offset(&self) -> u64 {
        self.header.capacity - SECTOR as u64
    }

    pub(crate) fn corrupt(&self, offset: u64, sequence: u64, fault: Fault) -> Error {
        Error::corrupt(self.header.first, offset, sequence, fault)
    }

    /// Forgets what was read, so that what another process wrote since is seen.
    pub(crate) fn forget(&mut self) {
        self.window.clear();
    }

    /// The sector at an offset below the capacity.
    pub(crate) fn sector(&mut self, offset: u64) -> Result<Sector> {
        let inside = |at: u64, length: usize| offset >= at && offset + SECTOR as u64 <= at + length as u64;
        if !inside(self.window_at, self.window.len()) {
            let length = (self.header.capacity - offset).min(WINDOW as u64) as usize;
            self.window.resize(length, 0);
            self.window_at = offset;
            if let Err(error) = self.file.read_at(offset, &mut self.window) {
                self.window.clear();
                return Err(Error::io("read", &self.name(), offset, &error));
            }
        }
        let from = (offset - self.window_at) as usize;
        let mut sector = [0; SECTOR];
        sector.copy_from_slice(&self.window[from..from + SECTOR]);
        Ok(sector)
    }

    pub(crate) fn classify(&mut self, offset: u64) -> Result<(Class, Sector)> {
        let sector = self.sector(offset)?;
        Ok((classify(self.header.first, offset, &sector), sector))
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.window.clear();
        self.file
            .write_at(offset, bytes)
            .map_err(|e| Error::io("write", &name_of(self.header.first), offset, &e))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|e| Error::io("sync", &self.name(), 0, &e))
    }

    /// Writes a seal or a mark.
    pub(crate) fn write_point(&mut self, kind: Kind, offset: u64, end: &Cursor, place: u64) -> Result<()> {
        let mut sector = Vec::with_capacity(SECTOR);
        frame(kind, self.header.first, offset, &Cursor::content(end.next, &end.hash, place), &mut sector);
        self.write(offset, &sector)
    }

    /// The mark, if it is whole: where the groups end, the next sequence, the hash.
    pub(crate) fn mark(&mut self) -> Result<Option<Cursor>> {
        let (class, sector) = self.classify(self.mark_offset())?;
        let at = self.mark_offset();
        match class {
            Class::Whole(Kind::Mark) => {
                let fields = content(&sector);
                Ok(Some(Cursor {
                    offset: u64_at(fields, 40),
                    next: u64_at(fields, 0),
                    hash: hash_at(fields, 8),
                }))
            }
            Class::Zero | Class::Torn => Ok(None),
            Class::Garbled => Err(self.corrupt(at, self.header.first, Fault::Garbled)),
            Class::Whole(kind) => {
                let fault = Fault::Kind { found: kind as u8, expected: Kind::Mark as u8 };
                Err(self.corrupt(at, self.header.first, fault))
            }
        }
    }
}

/// Writes a file of zeros in full, so that its space is allocated and no later write changes its length.
pub(crate) fn write_zeros(file: &dyn DiskFile, length: u64) -> std::io::Result<()> {
    let zeros = vec![0; length.min(1 << 20) as usize];
    let mut at = 0;
    while at < length {
        let piece = (length - at).min(zeros.len() as u64);
        file.write_at(at, &zeros[..piece as usize])?;
        at += piece;
    }
    Ok(())
}

/// Frames a group: its head and its records in sectors for this place.
pub(crate) fn frame_group(segment: u64, start: &Cursor, end: (&Hash, u32), stream: &[u8], out: &mut Vec<u8>) {
    use crate::sector::HEAD_ROOM;
    let (first_part, rest) = stream.split_at(stream.len().min(HEAD_ROOM));
    let mut head = [0; CONTENT];
    head[..8].copy_from_slice(&start.next.to_le_bytes());
    head[8..12].copy_from_slice(&end.1.to_le_bytes());
    head[12..16].copy_from_slice(&(stream.len() as u32).to_le_bytes());
    head[16..48].copy_from_slice(&start.hash.0);
    head[48..80].copy_from_slice(&end.0.0);
    head[80..80 + first_part.len()].copy_from_slice(first_part);
    out.clear();
    frame(Kind::Head, segment, start.offset, &head, out);
    for piece in rest.chunks(CONTENT) {
        let offset = start.offset + out.len() as u64;
        frame(Kind::Body, segment, offset, piece, out);
    }
}
