//! Snapshots: opaque bytes that stand for everything up to a point of the chain, so that a restart replays only the tail.

use std::io::{self, Read};

use crate::chain::{Anchor, Hash, genesis};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result, SnapshotFault};
use crate::journal::{Journal, remove_below, sync_directory};
use crate::reader::check_anchor;
use crate::sector::{hash_at, u32_at, u64_at};

/// Bytes before the content.
const HEADER: usize = 4096;
const MAGIC: &[u8; 8] = b"PLIMSNAP";
const VERSION: u32 = 1;
const PIECE: usize = 1 << 20;
const UNFINISHED: &str = "snapshot.tmp";

fn name_of(sequence: u64) -> String {
    format!("{sequence:020}.snap")
}

/// A snapshot whose every byte was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The file.
    pub name: String,
    /// The last record that it contains the effect of, and the chain hash after it.
    pub anchor: Anchor,
    /// The version of the content's encoding, as given.
    pub version: u8,
    /// Bytes of the content.
    pub bytes: u64,
}

/// A snapshot file that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub name: String,
    /// Why.
    pub fault: SnapshotFault,
}

/// The snapshots of one journal: files beside its segments.
pub struct Snapshots<'a> {
    disk: &'a dyn Disk,
    identity: String,
    genesis: Hash,
}

impl std::fmt::Debug for Snapshots<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshots {{ identity: {:?} }}", self.identity)
    }
}

impl<'a> Snapshots<'a> {
    /// The snapshots on a disk, of the journal with this identity.
    #[must_use]
    pub fn new(disk: &'a dyn Disk, identity: &str) -> Self {
        Self { disk, identity: identity.to_owned(), genesis: genesis(identity) }
    }

    /// Saves a snapshot durably: under a temporary name, synced, renamed, the directory synced. `anchor` must be durable
    /// in the journal: one that [`Journal::durable`] has given.
    ///
    /// ```
    /// use plimsoll_journal::{Journal, Options, Snapshots, sim::SimDisk};
    /// let disk = SimDisk::new(1);
    /// let mut journal = Journal::create(Box::new(disk.clone()), Options::new("test"))?;
    /// journal.append(0, b"opaque")?;
    /// let anchor = journal.commit()?;
    /// let snapshots = Snapshots::new(&disk, "test");
    /// snapshots.save(&anchor, 0, |to| to.write_all(b"the state after one record"))?;
    /// let (newest, skipped) = snapshots.newest(&journal)?;
    /// let newest = newest.expect("one was saved");
    /// assert_eq!((newest.anchor, skipped.len()), (anchor, 0));
    /// assert_eq!(snapshots.read(&newest)?, b"the state after one record");
    /// # Ok::<(), plimsoll_journal::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`]; the snapshots that were there before stay valid, and so does the journal.
    pub fn save(
        &self,
        anchor: &Anchor,
        version: u8,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<Snapshot> {
        let io = |action| move |error: io::Error| Error::io(action, UNFINISHED, 0, &error);
        let file = self.disk.create(UNFINISHED).map_err(io("create"))?;
        let mut sink =
            Sink { file: &*file, at: HEADER as u64, piece: Vec::new(), hash: blake3::Hasher::new() };
        write(&mut sink).map_err(io("write"))?;
        sink.spill().map_err(io("write"))?;
        let (bytes, hash) = (sink.at - HEADER as u64, sink.hash.finalize());
        let header = self.header(anchor, version, bytes, hash.as_bytes());
        file.write_at(0, &header).map_err(io("write"))?;
        file.sync().map_err(io("sync"))?;
        let name = name_of(anchor.sequence);
        self.disk.rename(UNFINISHED, &name).map_err(io("rename"))?;
        sync_directory(self.disk)?;
        Ok(Snapshot { name, anchor: *anchor, version, bytes })
    }

    fn header(&self, anchor: &Anchor, version: u8, bytes: u64, hash: &[u8; 32]) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.push(version);
        header.extend_from_slice(&[0; 3]);
        header.extend_from_slice(&bytes.to_le_bytes());
        header.extend_from_slice(&anchor.sequence.to_le_bytes());
        header.extend_from_slice(&anchor.hash.0);
        header.extend_from_slice(&self.genesis.0);
        header.extend_from_slice(hash);
        header.extend_from_slice(blake3::hash(&header).as_bytes());
        header.resize(HEADER, 0);
        header
    }

    /// Names of all snapshot files, newest first.
    fn names(&self) -> Result<Vec<String>> {
        let mut names = self.disk.list().map_err(|e| Error::io("list", "the directory", 0, &e))?;
        names.retain(|name| name.ends_with(".snap"));
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    /// Verifies one file.
    fn inspect(&self, name: &str) -> Result<std::result::Result<Snapshot, SnapshotFault>> {
        let io = |action| move |error: io::Error| Error::io(action, name, 0, &error);
        let file = self.disk.open(name).map_err(io("open"))?;
        let found = file.length().map_err(io("measure"))?;
        if found < HEADER as u64 {
            return Ok(Err(SnapshotFault::Header));
        }
        let mut header = vec![0; HEADER];
        file.read_at(0, &mut header).map_err(io("read"))?;
        let (snapshot, content) = match self.parse(name, &header) {
            Ok(parsed) => parsed,
            Err(fault) => return Ok(Err(fault)),
        };
        let expected = snapshot.bytes.saturating_add(HEADER as u64);
        if found != expected {
            return Ok(Err(SnapshotFault::Length { found, expected }));
        }
        let mut hash = blake3::Hasher::new();
        let mut source = Source::new(file, snapshot.bytes);
        let mut piece = vec![0; PIECE];
        loop {
            match source.read(&mut piece).map_err(io("read"))? {
                0 => break,
                length => hash.update(&piece[..length]),
            };
        }
        let whole = *hash.finalize().as_bytes() == content.0;
        Ok(if whole { Ok(snapshot) } else { Err(SnapshotFault::Content) })
    }

    fn parse(&self, name: &str, header: &[u8]) -> std::result::Result<(Snapshot, Hash), SnapshotFault> {
        let hashed = blake3::hash(&header[..128]) == hash_at(header, 128).0;
        if &header[..8] != MAGIC || !hashed || header[160..].iter().any(|byte| *byte != 0) {
            return Err(SnapshotFault::Header);
        }
        let found = u32_at(header, 8);
        if found != VERSION {
            return Err(SnapshotFault::Version { found, known: VERSION });
        }
        let anchor = Anchor { sequence: u64_at(header, 24), hash: hash_at(header, 32) };
        if hash_at(header, 64) != self.genesis || name != name_of(anchor.sequence) {
            return Err(SnapshotFault::Foreign);
        }
        let (version, bytes) = (header[12], u64_at(header, 16));
        Ok((Snapshot { name: name.to_owned(), anchor, version, bytes }, hash_at(header, 96)))
    }

    /// The newest valid snapshot, checked against the journal's chain, and those newer ones that were passed over.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the newest valid one is not of this chain, and [`Error::Ahead`] when it stands for more than
    /// the journal holds: one of the two was tampered with or lost its end, and neither is to be believed. [`Error::Io`].
    pub fn newest(&self, journal: &Journal) -> Result<(Option<Snapshot>, Vec<Skipped>)> {
        let mut skipped = Vec::new();
        for name in self.names()? {
            match self.inspect(&name)? {
                Ok(snapshot) => {
                    self.check(&snapshot, journal)?;
                    return Ok((Some(snapshot), skipped));
                }
                Err(fault) => skipped.push(Skipped { name, fault }),
            }
        }
        Ok((None, skipped))
    }

    /// The newest valid snapshot of a record up to `sequence` that can be gone on from: of the chain, and all after it is held. For
    /// readers, who have no [`Journal`].
    ///
    /// # Errors
    /// [`Error::Mismatch`] when it is not of this chain; [`Error::Ahead`] when it stands for more than the journal holds;
    /// [`Error::Io`].
    pub fn up_to(&self, sequence: u64) -> Result<Option<Snapshot>> {
        let first = crate::reader::first(self.disk, &self.identity)?;
        for name in self.names()?.iter().filter(|name| **name <= name_of(sequence)) {
            let Ok(snapshot) = self.inspect(name)? else { continue };
            if snapshot.anchor.sequence.saturating_add(1) < first {
                break;
            }
            check_anchor(self.disk, &self.identity, "snapshot", &snapshot.anchor)?;
            return Ok(Some(snapshot));
        }
        Ok(None)
    }

    /// The oldest valid snapshot that can be gone on from, as [`Snapshots::up_to`] has it.
    ///
    /// # Errors
    /// As [`Snapshots::up_to`].
    pub fn first(&self) -> Result<Option<Snapshot>> {
        let first = crate::reader::first(self.disk, &self.identity)?;
        for name in self.names()?.iter().rev() {
            let Ok(snapshot) = self.inspect(name)? else { continue };
            if snapshot.anchor.sequence.saturating_add(1) >= first {
                check_anchor(self.disk, &self.identity, "snapshot", &snapshot.anchor)?;
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// Removes the segments that hold only records up to `sequence`, and none that the oldest snapshot does not cover, beside a journal that is
    /// being written; says how many. As with [`Journal::prune`], what is removed can no longer be verified or replayed.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], and as [`Snapshots::up_to`]. The journal stays usable.
    pub fn prune(&self, sequence: u64) -> Result<u64> {
        sync_directory(self.disk)?;
        let oldest = self.first()?.ok_or(Error::NoSnapshot)?;
        Ok(remove_below(self.disk, &self.genesis, sequence.min(oldest.anchor.sequence))?.0)
    }

    /// The oldest valid snapshot, checked against the journal's chain.
    pub(crate) fn oldest(&self, journal: &Journal) -> Result<Option<Snapshot>> {
        sync_directory(self.disk)?;
        for name in self.names()?.iter().rev() {
            if let Ok(snapshot) = self.inspect(name)? {
                self.check(&snapshot, journal)?;
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    fn check(&self, snapshot: &Snapshot, journal: &Journal) -> Result<()> {
        let last = journal.durable().sequence;
        let sequence = snapshot.anchor.sequence;
        if sequence > last {
            return Err(Error::Ahead { what: "snapshot", sequence, last });
        }
        check_anchor(self.disk, &self.identity, "snapshot", &snapshot.anchor)
    }

    /// Removes all but the newest `count` valid snapshots, and the invalid ones older than those. Says what was removed.
    ///
    /// # Errors
    /// [`Error::Option`] when `count` is 0; [`Error::Io`].
    pub fn retain(&self, count: usize) -> Result<Vec<String>> {
        if count == 0 {
            return Err(Error::Option { name: "count", value: 0, why: "at least one snapshot is kept" });
        }
        let mut kept = 0;
        let mut removed = Vec::new();
        for name in self.names()? {
            if kept >= count {
                self.disk.remove(&name).map_err(|e| Error::io("remove", &name, 0, &e))?;
                removed.push(name);
            } else if self.inspect(&name)?.is_ok() {
                kept += 1;
            }
        }
        sync_directory(self.disk)?;
        Ok(removed)
    }

    /// A stream of a snapshot's content. It was verified when it was found.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn source(&self, snapshot: &Snapshot) -> Result<impl Read + use<>> {
        let file = self.disk.open(&snapshot.name).map_err(|e| Error::io("open", &snapshot.name, 0, &e))?;
        Ok(Source::new(file, snapshot.bytes))
    }

    /// A snapshot's content as a whole.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(&self, snapshot: &Snapshot) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let read = self.source(snapshot)?.read_to_end(&mut content);
        read.map_err(|e| Error::io("read", &snapshot.name, 0, &e))?;
        Ok(content)
    }
}

/// Writes content after the header, and hashes it.
struct Sink<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    piece: Vec<u8>,
    hash: blake3::Hasher,
}

impl Sink<'_> {
    fn spill(&mut self) -> io::Result<()> {
        self.hash.update(&self.piece);
        self.file.write_at(self.at, &self.piece)?;
        self.at += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.spill()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads content after the header.
struct Source {
    file: Box<dyn DiskFile>,
    at: u64,
    end: u64,
}

impl Source {
    fn new(file: Box<dyn DiskFile>, bytes: u64) -> Self {
        Self { file, at: HEADER as u64, end: bytes.saturating_add(HEADER as u64) }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = (self.end - self.at).min(into.len() as u64) as usize;
        if length > 0 {
            self.file.read_at(self.at, &mut into[..length])?;
            self.at += length as u64;
        }
        Ok(length)
    }
}
