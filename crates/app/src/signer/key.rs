//! The signer's key: read from a file of its own, and never shown.

use crate::doors::{Keyring, hex};
use anyhow::{Context, bail};
use k256::ecdsa::SigningKey;
use plimsoll_feeds::evm::{Address, address_of, fixed};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A key on secp256k1. Shown, it is its address; its bytes are wiped when it goes.
pub struct Key {
    signing: SigningKey,
    address: Address,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key of {}", self.address)
    }
}

impl Key {
    fn of(bytes: &[u8; 32]) -> Option<Self> {
        let signing = SigningKey::from_slice(bytes).ok()?;
        let address = address_of(signing.verifying_key());
        Some(Self { signing, address })
    }

    /// Reads a file of 32 bytes in hexadecimal that nobody else may read. What it says stands in no error.
    ///
    /// # Errors
    /// When it is not there, others may read it, or it holds no key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        Keyring::private(path)?;
        let text = std::fs::read_to_string(path).with_context(at)?;
        let key = fixed::<32>(text.trim()).ok().and_then(|bytes| Self::of(&bytes));
        key.with_context(|| format!("{}: expected a key of 32 bytes, hexadecimal", at()))
    }

    /// Makes a key in a file that is not there yet.
    ///
    /// # Errors
    /// When it is there; when the machine has no randomness; what the disk says.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("no randomness")?;
        let Some(key) = Self::of(&bytes) else { bail!("the bytes drawn are no key: try again") };
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).with_context(at)?;
        writeln!(file, "0x{}", hex(&bytes)).with_context(at)?;
        file.sync_all().with_context(at)?;
        Ok(key)
    }

    /// The account whose key it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The signature of a hash: 65 bytes, `s` in the lower half, `v` 27 or 28. The same hash has the same signature (RFC 6979).
    ///
    /// # Errors
    /// When the hash cannot be signed, which no hash is known to be.
    pub fn sign(&self, hash: &[u8; 32]) -> anyhow::Result<Vec<u8>> {
        let (made, id) = self.signing.sign_prehash_recoverable(hash).context("no signature")?;
        Ok([&made.to_bytes()[..], &[27 + u8::from(id.is_y_odd())]].concat())
    }
}
