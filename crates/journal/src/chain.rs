//! The hash chain: `hash(n) = BLAKE3(hash(n - 1) || n || version || length || payload)`, integers little endian.

/// A BLAKE3 hash of the chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Hash {
    type Err = &'static str;

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When there are not exactly 64 of them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| "not 64 hexadecimal digits")
    }
}

/// A point of the chain: everything up to and including `sequence`. Kept outside the journal (in a snapshot, on a
/// chain, in another machine's log) it proves later that the journal still holds exactly what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Sequence of the last record that the hash covers; 0 before the first.
    pub sequence: u64,
    /// The chain hash after it; the genesis hash at 0.
    pub hash: Hash,
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

/// The hash before the first record of the journal with this identity.
#[must_use]
pub fn genesis(identity: &str) -> Hash {
    Hash(blake3::derive_key("plimsoll journal 1, genesis", identity.as_bytes()))
}

/// The chain hash after one more record. `scratch` is only memory to work in.
///
/// ```
/// use plimsoll_journal::{genesis, link};
/// let first = link(&mut Vec::new(), &genesis("test"), 1, 0, b"opaque");
/// assert_ne!(first, link(&mut Vec::new(), &genesis("test"), 1, 1, b"opaque"));
/// ```
#[must_use]
pub fn link(scratch: &mut Vec<u8>, previous: &Hash, sequence: u64, version: u8, payload: &[u8]) -> Hash {
    scratch.clear();
    scratch.extend_from_slice(&previous.0);
    scratch.extend_from_slice(&sequence.to_le_bytes());
    scratch.push(version);
    scratch.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    scratch.extend_from_slice(payload);
    Hash(*blake3::hash(scratch).as_bytes())
}
