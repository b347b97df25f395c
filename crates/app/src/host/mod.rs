//! The engine kept running: journal, snapshots, the thread that steps it, and everybody who waits for an answer.
//!
//! **The one idea:** an event is durable before the engine sees it. So whatever anybody was told follows from the journal, and an
//! engine that starts again has forgotten nothing that was said.
//!
//! ```text
//! submit -> queue -> journal (group commit) -> Engine::step -> effects -> who waits, who listens
//!              \-- market data that finds it full: the latest of each kind waits beside it
//! ```
//!
//! **Must never know:** requests, sockets, formats of the wire.

pub mod charter;
pub mod chronicle;
pub mod config;
mod ingest;
mod record;
mod running;
mod store;

pub use charter::Charter;
pub use chronicle::{Chronicle, Noted, Readings, Sample, readings};
pub use config::{Config, JournalConfig, ServerConfig};
pub use ingest::{At, Busy, Entry, Ingest, Reply};
pub use record::{By, Content};
pub use running::{Applied, Failure, Host, Listener, Shared};
pub use store::{
    Begin, Course, End, IDENTITY_FILE, Pruned, Recovered, Remembered, Store, Taken, follow, identity_of,
    replay,
};

use plimsoll_types::Timestamp;

/// The host's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where time enters; the engine gets it with its events"
)]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    Timestamp::from_nanos(nanos)
}

/// A moment to measure from.
#[expect(clippy::disallowed_methods, reason = "how long something took is measured; no answer depends on it")]
pub fn moment() -> std::time::Instant {
    std::time::Instant::now()
}
