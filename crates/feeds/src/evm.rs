//! Keccak-256, addresses and recoverable signatures, as the EVM has them.

use crate::refusal::refuse;
use crate::{Reason, Refusal};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Keccak-256 of parts one after the other.
pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// An account of the EVM. Reads and prints as `0x` and forty hexadecimal digits; letters of either case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(pub [u8; 20]);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Address {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        fixed(text).map(Self)
    }
}

impl TryFrom<String> for Address {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// Bytes of hexadecimal text, with or without `0x`.
///
/// # Errors
/// [`Reason::Malformed`] for an odd number of digits or a character that is none.
pub fn unhex(text: &str) -> Result<Vec<u8>, Refusal> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let value = |c: u8| (c as char).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(value(*high)? * 16 + value(*low)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.ok_or_else(|| Refusal::new(Reason::Malformed, "hexadecimal digits"))
}

/// So many bytes of hexadecimal text.
///
/// # Errors
/// [`Reason::Malformed`] for another number of them.
pub fn fixed<const N: usize>(text: &str) -> Result<[u8; N], Refusal> {
    let bytes = unhex(text)?;
    let length = bytes.len();
    bytes
        .try_into()
        .or_else(|_| refuse(Reason::Malformed, format_args!("{length} bytes where {N} are expected")))
}

/// The account whose key signed a hash: `r` and `s` of 32 bytes, then the parity of the point as 27 or 28.
///
/// # Errors
/// [`Reason::Signature`] for another length, another last byte, an `s` in the upper half (which would make two signatures of
/// one), or numbers that no key could have made.
pub fn recover(hash: &[u8; 32], signature: &[u8]) -> Result<Address, Refusal> {
    let bad = |what: &str| Refusal::new(Reason::Signature, what);
    let Some((scalars, [v])) = signature.split_at_checked(64).filter(|_| signature.len() == 65) else {
        return refuse(Reason::Signature, format_args!("{} bytes where 65 are expected", signature.len()));
    };
    let parity = match v {
        27 => false,
        28 => true,
        _ => return refuse(Reason::Signature, format_args!("v is {v}")),
    };
    let signature = Signature::from_slice(scalars).map_err(|_| bad("r or s is no scalar"))?;
    if signature.normalize_s().is_some() {
        return Err(bad("s is in the upper half"));
    }
    let id = RecoveryId::new(parity, false);
    let key = VerifyingKey::recover_from_prehash(hash, &signature, id)
        .map_err(|_| bad("no key could have made it"))?;
    Ok(address_of(&key))
}

/// A whole number as a word of the EVM, sign-extended.
pub fn word(value: i128) -> [u8; 32] {
    let mut word = if value < 0 { [0xff; 32] } else { [0; 32] };
    for (place, byte) in word.iter_mut().skip(16).zip(value.to_be_bytes()) {
        *place = byte;
    }
    word
}

/// The account of a key: the last twenty bytes of the hash of its point.
pub fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_encoded_point(false);
    let hash = keccak(&[point.as_bytes().get(1..).unwrap_or_default()]);
    let mut address = [0; 20];
    address.copy_from_slice(hash.last_chunk::<20>().unwrap_or(&[0; 20]));
    Address(address)
}

/// From when until when somebody may sign: while one set replaces another, both are known, each in its term.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Term {
    /// From this instant on; nothing: always has.
    pub from: Option<Timestamp>,
    /// Before this instant; nothing: until it is taken out.
    pub until: Option<Timestamp>,
}

impl Term {
    /// Whether it runs at an instant.
    ///
    /// # Errors
    /// [`Reason::Future`] before it, [`Reason::Expired`] after it.
    pub fn runs(&self, at: Timestamp) -> Result<(), Refusal> {
        if let Some(from) = self.from.filter(|from| at < *from) {
            return refuse(Reason::Future, format_args!("signers from {from} on"));
        }
        if let Some(until) = self.until.filter(|until| at >= *until) {
            return refuse(Reason::Expired, format_args!("signers until {until}"));
        }
        Ok(())
    }

    /// Refuses a term that never runs.
    ///
    /// # Errors
    /// [`Reason::Time`].
    pub fn checked(self) -> Result<Self, Refusal> {
        match (self.from, self.until) {
            (Some(from), Some(until)) if from >= until => {
                refuse(Reason::Time, format_args!("signers from {from} until {until}"))
            }
            _ => Ok(self),
        }
    }
}

/// Who may sign, how many of them must, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signers {
    allowed: BTreeSet<Address>,
    threshold: usize,
    /// When they may.
    pub term: Term,
}

impl Signers {
    /// At least `threshold` of `allowed`.
    ///
    /// # Errors
    /// [`Reason::Quorum`] for a threshold of none or of more than there are.
    pub fn new(allowed: impl IntoIterator<Item = Address>, threshold: usize) -> Result<Self, Refusal> {
        let allowed: BTreeSet<Address> = allowed.into_iter().collect();
        if threshold == 0 || threshold > allowed.len() {
            return refuse(Reason::Quorum, format_args!("{threshold} of {} signers", allowed.len()));
        }
        Ok(Self { allowed, threshold, term: Term::default() })
    }

    /// Whether signatures of a hash are by enough of them, each by another.
    ///
    /// # Errors
    /// [`Reason::Signature`], [`Reason::Signer`] for one that is not allowed or signs twice, [`Reason::Quorum`] for too few.
    pub fn check<'a>(
        &self,
        hash: &[u8; 32],
        signatures: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        for signature in signatures {
            self.admit(&mut seen, recover(hash, signature)?)?;
        }
        self.enough(seen.len())
    }

    /// The same where signatures must be in the order of their signers, so that none can be there twice unseen (F26).
    ///
    /// # Errors
    /// As [`Signers::check`], and [`Reason::Signer`] for one out of order.
    pub fn check_sorted<'a>(
        &self,
        hash: &[u8; 32],
        signatures: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Refusal> {
        let mut last: Option<Address> = None;
        let mut seen = BTreeSet::new();
        for signature in signatures {
            let signer = recover(hash, signature)?;
            self.admit(&mut seen, signer)?;
            if last.is_some_and(|last| signer <= last) {
                return refuse(Reason::Signer, format_args!("{signer} is not after the one before"));
            }
            last = Some(signer);
        }
        self.enough(seen.len())
    }

    fn admit(&self, seen: &mut BTreeSet<Address>, signer: Address) -> Result<(), Refusal> {
        if !self.allowed.contains(&signer) {
            return refuse(Reason::Signer, format_args!("{signer} may not sign"));
        }
        if !seen.insert(signer) {
            return refuse(Reason::Signer, format_args!("{signer} signed twice"));
        }
        Ok(())
    }

    fn enough(&self, count: usize) -> Result<(), Refusal> {
        if count >= self.threshold {
            return Ok(());
        }
        refuse(Reason::Quorum, format_args!("{count} signatures of {}", self.threshold))
    }
}
