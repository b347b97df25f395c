//! Events and state as bytes, and the hash of a state.
//!
//! MessagePack with the names of fields in it: an older event has fewer of them and still reads. Maps are in order, floats are
//! their bits, so equal states have equal bytes in every build.

use super::event::Event;
use super::state::State;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Write;

/// The version of the encoding, kept beside every record.
pub const VERSION: u8 = 1;

/// Why bytes are no event or state.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Of another version.
    #[error("version {found} of the encoding is not known: expected at most {VERSION}")]
    Version {
        /// Which.
        found: u8,
    },
    /// Not readable.
    #[error("{what}: {reason}")]
    Unreadable {
        /// Event or state.
        what: &'static str,
        /// What the reader said.
        reason: String,
    },
}

/// An event as bytes of [`VERSION`].
///
/// # Errors
/// When a number of it has no form.
pub fn encode(event: &Event) -> Result<Vec<u8>, CodecError> {
    bytes(event, "event")
}

/// The event that bytes of a version stand for.
///
/// # Errors
/// [`CodecError`].
pub fn decode(version: u8, bytes: &[u8]) -> Result<Event, CodecError> {
    known(version)?;
    rmp_serde::from_slice(bytes).map_err(|e| CodecError::Unreadable { what: "event", reason: e.to_string() })
}

/// A state as bytes of [`VERSION`].
///
/// # Errors
/// When a number of it has no form.
pub fn save(state: &State) -> Result<Vec<u8>, CodecError> {
    bytes(state, "state")
}

/// The state that bytes of a version stand for, its indexes made.
///
/// # Errors
/// [`CodecError`].
pub fn restore(version: u8, bytes: &[u8]) -> Result<State, CodecError> {
    known(version)?;
    let read = rmp_serde::from_slice(bytes);
    let mut state: State =
        read.map_err(|e| CodecError::Unreadable { what: "state", reason: e.to_string() })?;
    state.ledger.index();
    Ok(state)
}

fn known(version: u8) -> Result<(), CodecError> {
    if (1..=VERSION).contains(&version) { Ok(()) } else { Err(CodecError::Version { found: version }) }
}

fn bytes<T: Serialize>(value: &T, what: &'static str) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec_named(value).map_err(|e| CodecError::Unreadable { what, reason: e.to_string() })
}

/// Takes bytes into a hash.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl State {
    /// SHA-256 of everything remembered, in hexadecimal: equal on every build and machine.
    ///
    /// # Errors
    /// When a number has no form.
    pub fn hash(&self) -> Result<String, CodecError> {
        let mut into = Hashing(Sha256::new());
        let done = rmp_serde::encode::write_named(&mut into, self);
        done.map_err(|e| CodecError::Unreadable { what: "state", reason: e.to_string() })?;
        Ok(into.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
