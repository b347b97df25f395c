//! What can go wrong, with the place and the numbers.

use crate::chain::Hash;

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// First sequence of the segment, which names its file.
    pub segment: u64,
    /// Byte offset in that file.
    pub offset: u64,
    /// Sequence of the first record that the fault touches, as far as it is known.
    pub sequence: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {}, offset {}, sequence {}", self.segment, self.offset, self.sequence)
    }
}

/// What is wrong at a [`Position`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The checksum of a sector fails and no torn write explains its bytes.
    #[error("the sector is neither whole nor torn: its checksum fails")]
    Garbled,
    /// A sector is lost or torn where everything had been synced.
    #[error(
        "a sector is lost or torn, but what follows (offset {evidence}) was written only after it was synced"
    )]
    Acknowledged {
        /// Offset of the later sector that proves it.
        evidence: u64,
    },
    /// A sector inside a sealed group is incomplete.
    #[error("a sector of a sealed group is lost or torn")]
    Torn,
    /// A whole sector of another kind than the one that belongs there.
    #[error("a sector of kind {found} stands where kind {expected} belongs")]
    Kind {
        /// The kind found: its number in `docs/journal.md`.
        found: u8,
        /// The kind that belongs there.
        expected: u8,
    },
    /// Bytes that are not zero where nothing was ever written.
    #[error("bytes that are not zero stand where nothing was written")]
    Debris,
    /// A group says that it starts at another sequence.
    #[error("the group starts at sequence {found}, not {expected}")]
    Sequence {
        /// The sequence found.
        found: u64,
        /// The sequence that belongs there.
        expected: u64,
    },
    /// The previous hash that is stored is not the hash of what comes before.
    #[error("the chain is broken: it continues {found}, but what comes before ends in {expected}")]
    Chain {
        /// The hash stored.
        found: Hash,
        /// The hash computed.
        expected: Hash,
    },
    /// A record does not match the part of the chain hash stored with it, or its length runs over the group.
    #[error("the record does not match its checksum")]
    Record,
    /// A group whose length or count is impossible.
    #[error("a group of {bytes} bytes and {count} records is impossible here: at most {limit} bytes")]
    Length {
        /// Bytes of the record stream.
        bytes: u64,
        /// Records in it.
        count: u64,
        /// The largest group that fits.
        limit: u64,
    },
    /// The header of the segment fails its checksum.
    #[error("the segment's header fails its checksum")]
    Header,
    /// A format version that this build does not know.
    #[error("format version {found}; this build reads {known}")]
    Version {
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// The journal was created under another identity.
    #[error("it belongs to another journal (genesis {found}, not {expected})")]
    Foreign {
        /// The genesis hash found.
        found: Hash,
        /// The genesis hash of the identity given.
        expected: Hash,
    },
    /// A file is longer or shorter than its header says.
    #[error("the file has {found} bytes, not {expected}")]
    FileLength {
        /// Bytes found.
        found: u64,
        /// Bytes by the header.
        expected: u64,
    },
    /// A segment that must exist does not.
    #[error("the segment that starts at sequence {expected} is missing")]
    MissingSegment {
        /// Its first sequence.
        expected: u64,
    },
    /// The mark that ends a finished segment is absent, though a later segment holds records.
    #[error("the segment's end mark is absent or damaged")]
    Mark,
    /// The segment's name is not a sequence.
    #[error("`{name}` is not the name of a segment")]
    Name {
        /// The file's name.
        name: String,
    },
}

/// An error of the journal. Cloneable, so that every waiting ticket gets it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("{action} `{file}` at offset {offset}: {message}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        file: String,
        /// Byte offset, 0 where there is none.
        offset: u64,
        /// The kind of the error.
        kind: std::io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// What is stored is not what was written.
    #[error("{position}: {fault}")]
    Corrupt {
        /// Where.
        position: Position,
        /// What.
        fault: Fault,
    },
    /// An earlier write or sync failed; nothing more is accepted until the journal is opened again.
    #[error("the journal stopped at its first error: {first}")]
    Poisoned {
        /// That error.
        first: Box<Error>,
    },
    /// A record that fits no group.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLong {
        /// Bytes of the payload.
        bytes: u64,
        /// The longest payload.
        limit: u64,
    },
    /// The group being gathered is full: commit, then append again.
    #[error("the group holds {bytes} bytes of at most {limit}: commit it first")]
    GroupFull {
        /// Bytes gathered.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The writer's queue is full (back pressure).
    #[error("the queue is full: {records} records, {bytes} bytes wait")]
    QueueFull {
        /// Records that wait.
        records: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The writer was closed.
    #[error("the writer is closed")]
    Closed,
    /// An option out of its bounds.
    #[error("{name} is {value}: {why}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The bound.
        why: &'static str,
    },
    /// There is no journal here.
    #[error("there is no journal here")]
    Absent,
    /// There is a journal here already.
    #[error("there is a journal here already, from sequence {first} on")]
    Exists {
        /// First sequence of its first segment.
        first: u64,
    },
    /// Another process has the journal open for writing.
    #[error("`{file}` is locked: another process writes this journal")]
    Locked {
        /// The lock file.
        file: String,
    },
    /// A sequence that the journal does not hold (any more or yet).
    #[error("sequence {sequence} is not held: the journal holds {first} to {last}")]
    OutOfRange {
        /// The sequence asked for.
        sequence: u64,
        /// The first one held.
        first: u64,
        /// The last durable one; one before `first` when what was asked for is older than `first`.
        last: u64,
    },
    /// What an anchor or a snapshot says of the chain is not what the journal says.
    #[error("the chain hash at sequence {sequence} is {journal} in the journal and {anchor} in the {what}")]
    Mismatch {
        /// `anchor` or `snapshot`.
        what: &'static str,
        /// The sequence.
        sequence: u64,
        /// The hash of the anchor.
        anchor: Hash,
        /// The hash of the journal.
        journal: Hash,
    },
    /// An anchor or a snapshot stands for a sequence that the journal never reached: the journal lost its end.
    #[error("the {what} stands at sequence {sequence}, but the journal ends at {last}: its end is lost")]
    Ahead {
        /// `anchor` or `snapshot`.
        what: &'static str,
        /// Its sequence.
        sequence: u64,
        /// The last sequence of the journal.
        last: u64,
    },
    /// A snapshot that was read before is not valid (any more).
    #[error("snapshot `{name}`: {fault}")]
    Snapshot {
        /// The file.
        name: String,
        /// What is wrong.
        fault: SnapshotFault,
    },
    /// Pruning needs a valid snapshot to prune below.
    #[error("nothing may be pruned: there is no valid snapshot")]
    NoSnapshot,
}

/// Why a snapshot file is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// Shorter than a header, or its header fails its checksum.
    #[error("the header fails its checksum")]
    Header,
    /// A format version that this build does not know.
    #[error("format version {found}; this build reads {known}")]
    Version {
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// The file's length is not the one its header says.
    #[error("the file has {found} bytes, not {expected}")]
    Length {
        /// Bytes found.
        found: u64,
        /// Bytes by the header.
        expected: u64,
    },
    /// The content does not hash to what the header says.
    #[error("the content fails its checksum")]
    Content,
    /// The header stands for another sequence than the file's name, or for another journal.
    #[error("it stands for another journal or another sequence than its name says")]
    Foreign,
}

impl Error {
    pub(crate) fn io(action: &'static str, file: &str, offset: u64, error: &std::io::Error) -> Self {
        Self::Io { action, file: file.to_owned(), offset, kind: error.kind(), message: error.to_string() }
    }

    pub(crate) fn corrupt(segment: u64, offset: u64, sequence: u64, fault: Fault) -> Self {
        Self::Corrupt { position: Position { segment, offset, sequence }, fault }
    }
}

/// A result of the journal.
pub type Result<T> = std::result::Result<T, Error>;
