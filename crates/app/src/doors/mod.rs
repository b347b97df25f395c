//! The doors: who comes in, what they may do, and how much of it.
//!
//! **The one idea:** whoever asks is told nothing by the way in which they are refused. Every proof that fails is refused in the same
//! words, and an account that one may not see is answered like one that is not there.
//!
//! **Must never know:** what a request means beyond its route, its accounts and its events.

mod admission;
mod depth;
mod keyring;
mod net;
mod nonces;
mod quota;
mod roles;
mod typed;

pub use admission::{Caller, Doors, SocketClaim, admitted};
pub(crate) use depth::is_too_deep;
pub use keyring::{Entry, Keyring};
pub use net::{Seat, Served, check, open};
pub use plimsoll_client::scram::{Request, hex, prove};
pub use roles::{METHODS, Method, Need, ROUTES, Role, Route, Scope, feed, route, rpc_method};

pub use typed::{Chain, typed_hash};

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What may be seen without a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Public {
    /// Nothing but whether the service is alive, and what its routes are.
    #[default]
    Nothing,
    /// The market and the parameters.
    Market,
    /// All that a reader of all accounts sees.
    Everything,
}

/// `[doors]` of the configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorsConfig {
    /// The keyring; without one anybody may do anything, on loopback only.
    pub keys: Option<PathBuf>,
    /// What may be seen without a key.
    pub public: Public,
    /// Certificate chain, PEM; needed beyond loopback.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub private_key: Option<PathBuf>,
    /// Where session keys sign for: without it none is good.
    pub chain: Option<Chain>,
    /// How old a signed request may be, milliseconds.
    pub past_ms: u64,
    /// Units of work a key may ask for in a second; a unit is a request, or 64 scenarios of a leg.
    pub units_per_second: u32,
    /// Units it may ask for at once.
    pub units_at_once: u32,
    /// Connections at a time.
    pub connections: usize,
    /// Seconds a client may take to say what it wants.
    pub headers_seconds: u64,
}

impl DoorsConfig {
    /// With the files it names beside the configuration's own.
    pub fn beside(mut self, folder: &Path) -> Self {
        for path in [&mut self.keys, &mut self.certificate, &mut self.private_key].into_iter().flatten() {
            *path = folder.join(&path);
        }
        self
    }
}

impl Default for DoorsConfig {
    fn default() -> Self {
        Self {
            keys: None,
            public: Public::default(),
            certificate: None,
            private_key: None,
            chain: None,
            past_ms: 30_000,
            units_per_second: 20_000,
            units_at_once: 100_000,
            connections: 1_024,
            headers_seconds: 5,
        }
    }
}
