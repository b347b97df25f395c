//! The signer: another process, with a key of its own and bounds of its own, that signs what the engine publishes.
//!
//! **The one idea:** whoever holds the engine does not hold the key. The engine says which parameters are in force; the signer compares
//! that with what it signed last, by bounds that the engine has never seen, writes down what it is about to sign, and only then signs.
//! What breaks a bound is refused with a stable word, whoever asks.
//!
//! ```text
//! plimsoll serve --Document--> plimsoll sign: bounds, then ledger on disk, then signature
//!       ^  GET /v1/published, verified  <--Signed or Reject-'
//! ```
//!
//! **Must never know:** the engine, its journal, its policy's limits; why a parameter moved. It never says its key.

mod bounds;
mod document;
mod key;
mod ledger;
mod office;
mod publisher;
mod socket;

pub use bounds::{Bounds, REASONS};
pub use document::{Document, Parameter};
pub use key::Key;
pub use ledger::{Ledger, Signed};
pub use office::Signer;
pub use publisher::{Publication, Published, Publisher, SignerConfig, Standing};
pub use socket::{Answer, Ask, ask, listen, serve};

use crate::doors::Chain;
use anyhow::Context;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// `signer.toml`: what the signer's process runs by.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficeConfig {
    /// Where it is asked: a socket of this machine, for whoever the folder and its group let at it.
    pub socket: PathBuf,
    /// Its key, hexadecimal; nobody else may read the file.
    pub key: PathBuf,
    /// What it signs at most.
    pub bounds: PathBuf,
    /// What it signed last.
    pub ledger: PathBuf,
    /// The service whose parameters these are: the name of the domain.
    pub identity: String,
    /// The rest of the domain.
    pub chain: Chain,
}

impl OfficeConfig {
    /// Reads a file; those that it names are beside it.
    ///
    /// # Errors
    /// What is not readable or not known.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        let mut config: Self =
            toml::from_str(&std::fs::read_to_string(path).with_context(at)?).with_context(at)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for file in [&mut config.socket, &mut config.key, &mut config.bounds, &mut config.ledger] {
            *file = folder.join(&file);
        }
        Ok(config)
    }
}
