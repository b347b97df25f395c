//! Keys: made, listed and revoked by hand, read by the server.
//!
//! **The one idea:** whoever steals the file can sign nothing. As in SCRAM (RFC 5802, section 3) the file holds the hash of a client
//! key that only the secret yields, and a proof shows that one knows the client key without saying it.

use super::roles::{Role, Scope};
use anyhow::{Context, bail};
use plimsoll_client::scram::{self, Bytes, SECRET_PREFIX, client_key, hex, is_of, recovered, unhex};
use plimsoll_feeds::evm::Address;
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A key as it is kept. What is stored proves nothing to anybody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is for, in the words of whoever made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What it may be used for.
    pub role: Role,
    /// Which accounts and feeds.
    #[serde(flatten)]
    pub scope: Scope,
    /// SHA-256 of the client key, hexadecimal; of a session key nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stored: String,
    /// Of a session key the account that signs: its name in the ring is this too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was taken back. It stays here for ever, so that its name is never given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl Entry {
    /// Whether it opens anything at an instant.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether a secret is this key's.
    pub fn is_secret(&self, secret: &str) -> bool {
        client_key(secret).is_some_and(|client| is_of(&client, &self.kept()))
    }

    /// Whether a proof of a message was made by whoever knows the secret.
    pub fn is_proof(&self, message: &[u8], proof: &Bytes) -> bool {
        let kept = self.kept();
        is_of(&recovered(&kept, message, proof), &kept)
    }

    /// What is kept of its client key; of a key that has none nothing that anybody could prove.
    fn kept(&self) -> Bytes {
        unhex(&self.stored).unwrap_or_default()
    }
}

/// All keys, by their names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    /// See there.
    pub keys: BTreeMap<String, Entry>,
}

impl Keyring {
    /// Reads a file that nobody else may read.
    ///
    /// # Errors
    /// When it is not readable, readable by others, or no keyring.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        Self::private(path)?;
        let ring: Self = serde_json::from_slice(&std::fs::read(path).with_context(at)?).with_context(at)?;
        let good = |id: &String, entry: &Entry| match entry.address {
            Some(address) => entry.stored.is_empty() && *id == address.to_string(),
            None => unhex(&entry.stored).is_some(),
        };
        match ring.keys.iter().find(|(id, entry)| !good(id, entry)) {
            Some((id, _)) => {
                bail!("{}: key {id}: no hash in `stored`, nor its own `address`", path.display())
            }
            None => Ok(ring),
        }
    }

    /// Refuses a file that others may read.
    ///
    /// # Errors
    /// When it is not there, or others may read it.
    pub fn private(path: &Path) -> anyhow::Result<()> {
        let at = || path.display().to_string();
        let mode = std::fs::metadata(path).with_context(at)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{}: mode {:o} lets others at it: expected 600", path.display(), mode & 0o777);
        }
        Ok(())
    }

    /// As [`Keyring::read`]; empty where there is no file.
    ///
    /// # Errors
    /// As there.
    pub fn read_or_new(path: &Path) -> anyhow::Result<Self> {
        if path.exists() { Self::read(path) } else { Ok(Self::default()) }
    }

    /// Writes a file of one's own: whole or not at all.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let beside = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&beside, path).with_context(|| path.display().to_string())
    }

    /// Makes a key and says its name and its secret, which nobody will ever be told again.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn create(&mut self, entry: Entry) -> anyhow::Result<(String, String)> {
        let id = loop {
            let id = hex(&random::<8>()?);
            if !self.keys.contains_key(&id) {
                break id;
            }
        };
        let secret = format!("{SECRET_PREFIX}{}", hex(&random::<32>()?));
        let client = client_key(&secret).context("a secret of its own form")?;
        let stored = hex(&scram::stored(&client));
        self.keys.insert(id.clone(), Entry { stored, ..entry });
        Ok((id, secret))
    }

    /// Registers a session key by its address; its name is that.
    ///
    /// # Errors
    /// When there is one of the address, though it was taken back: what it signed then would be good again.
    pub fn register(&mut self, address: Address, entry: Entry) -> anyhow::Result<String> {
        let id = address.to_string();
        if let Some(known) = self.keys.get(&id) {
            let why =
                if known.revoked.is_some() { "was revoked, and is never used again" } else { "is there" };
            bail!("key `{id}` {why}");
        }
        self.keys.insert(id.clone(), Entry { stored: String::new(), address: Some(address), ..entry });
        Ok(id)
    }

    /// Takes a key back.
    ///
    /// # Errors
    /// When there is none of the name, or it was taken back before.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> anyhow::Result<()> {
        let entry = self.keys.get_mut(id).with_context(|| format!("no key `{id}`"))?;
        if let Some(when) = entry.revoked {
            bail!("key `{id}` was revoked at {when}");
        }
        entry.revoked = Some(now);
        Ok(())
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("no randomness")?;
    Ok(bytes)
}
