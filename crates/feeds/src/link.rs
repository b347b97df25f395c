//! The one place with sockets: a protocol and its connection, kept alive.
//!
//! One task per source holds its connection, its fetches and its protocol, and hands readings to a sink that never waits. A source that is
//! slow, silent, endless, garbled or gone holds up nobody but itself: it is left and tried again, after a time that doubles with each
//! failure and has chance in it, so that a thousand engines do not come back in the same second. Every connection begins with everything
//! asked for anew.
//!
//! Clock and chance are handed in ([`Outside`]); waiting is the runtime's.

mod backoff;
mod counters;
mod dial;
mod http;
mod play;
mod socket;
mod source;

pub use backoff::Backoff;
pub use counters::{Count, Counters};
pub use dial::system_roots;
pub use http::post;
pub use play::play;
pub use source::{Limits, Outside, Sink, Source, Transport, run};
