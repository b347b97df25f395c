//! What a record of the journal is: a charter, or an event, with who handed it in where that was proved.

use super::charter::{CHARTER_VERSION, Charter};
use anyhow::{Context, bail};
use plimsoll_engine::live::{Event, Key, decode, encode};
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};

/// The version byte of an event with who handed it in.
const SIGNED_VERSION: u8 = 130;

/// Who handed an event in. The engine never hears of it; the journal remembers, inside its chain of hashes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// The key's name.
    pub key: String,
    /// What it proved itself with: of the request that the event came in.
    pub proof: Option<String>,
}

impl By {
    /// A key of an event as this caller's own: what one counts, another cannot use up.
    pub fn own(&self, key: Key) -> Key {
        Key { source: format!("{}/{}", self.key, key.source), ..key }
    }
}

/// What stands in a record.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// What the engine runs by from here on.
    Charter {
        /// The whole of it.
        charter: Box<Charter>,
    },
    /// What happened.
    Event(Event),
    /// What happened, and by whom.
    Signed {
        /// Who handed it in.
        by: By,
        /// What happened.
        event: Event,
    },
}

impl Content {
    /// When it was accepted, by the host's clock; of a charter, since when it holds.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Charter { charter } => charter.since,
            Self::Event(event) | Self::Signed { event, .. } => event.at,
        }
    }

    /// What a record says.
    ///
    /// # Errors
    /// When it is of no version that is known, or not what its version says.
    pub fn read(version: u8, payload: &[u8]) -> anyhow::Result<Self> {
        match version {
            CHARTER_VERSION => Ok(Self::Charter { charter: Box::new(Charter::decode(payload)?) }),
            SIGNED_VERSION => {
                let (length, rest) = payload.split_first_chunk::<4>().context("no length")?;
                let length = usize::try_from(u32::from_le_bytes(*length))?;
                let (by, rest) = rest.split_at_checked(length).context("who handed it in is cut short")?;
                let (version, event) = rest.split_first().context("no event")?;
                let by = rmp_serde::from_slice(by).context("who handed it in")?;
                Ok(Self::Signed { by, event: decode(*version, event)? })
            }
            version if version < CHARTER_VERSION => Ok(Self::Event(decode(version, payload)?)),
            version => bail!("version {version} is not known"),
        }
    }
}

/// Version and bytes of an event, with who handed it in.
///
/// # Errors
/// When it has no form.
pub(super) fn write(event: &Event, by: Option<&By>) -> anyhow::Result<(u8, Vec<u8>)> {
    let bytes = encode(event)?;
    let Some(by) = by else { return Ok((plimsoll_engine::live::VERSION, bytes)) };
    let by = rmp_serde::to_vec_named(by)?;
    let mut payload = Vec::with_capacity(by.len() + bytes.len() + 5);
    payload.extend_from_slice(&u32::try_from(by.len())?.to_le_bytes());
    payload.extend_from_slice(&by);
    payload.push(plimsoll_engine::live::VERSION);
    payload.extend_from_slice(&bytes);
    Ok((SIGNED_VERSION, payload))
}
