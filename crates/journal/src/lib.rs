//! The journal: a durable, hash-chained, segmented log of opaque records, and the snapshots that bound a restart.
//!
//! **The one idea:** one commit is one write and one sync. After the sync a *seal* is written behind the group, which
//! becomes durable with the next one. So at any moment at most one group is in doubt, it is the last, and everything
//! else that is not exactly what was written is damage and is refused with its position. `docs/journal.md` has the
//! format byte by byte, what is repaired and what is refused.
//!
//! **Must never know:** what a record means, clocks, randomness, sockets. Files it knows only through [`Disk`].

mod chain;
mod disk;
mod error;
mod group;
mod journal;
mod reader;
mod scan;
mod sector;
mod segment;
pub mod sim;
mod snapshot;
mod spare;
mod survey;
pub mod torture;
mod writer;

pub use chain::{Anchor, Hash, genesis, link};
pub use disk::{DirDisk, Disk, DiskFile, LOCK_FILE};
pub use error::{Error, Fault, Position, Result, SnapshotFault};
pub use journal::{Journal, Options, Recovery, Repair};
pub use reader::{Reader, Record, anchor_at, end, first, segments};
pub use scan::GarbledTail;
pub use segment::FORMAT_VERSION;
pub use snapshot::{Skipped, Snapshot, Snapshots};
pub use spare::Preparer;
pub use survey::{Ending, Report, verify};
pub use writer::{Grouping, Submitter, Ticket, Writer};

/// The page `docs/journal.md`: its example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/journal.md")]
struct Page;
