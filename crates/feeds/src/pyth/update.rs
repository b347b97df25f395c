//! A signed accumulator update: prices, each with a Merkle proof to a root that the guardians signed.
//!
//! ```text
//! "PNAU" major minor trailing...  kind=0  vaa  count { message proof }*
//! vaa   = version=1 set signatures { index r s parity }*  body
//! body  = time nonce chain emitter sequence level  "AUWV" kind=0 slot ring root
//! leaf  = keccak160(0 ++ message)     node = keccak160(1 ++ lesser ++ greater)
//! ```
//!
//! Guardians sign `keccak256(keccak256(body))`; signatures are in rising order of the guardians' places in their set, and more than two
//! thirds of the set must have signed. All numbers are big-endian.

use crate::evm::{Address, Term, keccak, recover};
use crate::refusal::refuse;
use crate::{Reason, Refusal};
use std::collections::BTreeMap;

/// The chain on which Pyth's prices are made.
pub const PYTHNET: u16 = 26;
/// Who states the roots there.
pub const EMITTER: [u8; 32] = [
    0xe1, 0x01, 0xfa, 0xed, 0xac, 0x58, 0x51, 0xe3, 0x2b, 0x9b, 0x23, 0xb5, 0xf9, 0x41, 0x1a, 0x8c, 0x2b,
    0xac, 0x4a, 0xae, 0x3e, 0xd4, 0xdd, 0x7b, 0x81, 0x1d, 0xd1, 0xa7, 0x2e, 0xa4, 0xaa, 0x71,
];

/// Whom to believe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trust {
    /// Guardian sets by their number; while one replaces another, both.
    pub guardians: BTreeMap<u32, Vec<Address>>,
    /// When a set may sign; one that is not here may at any time.
    pub terms: BTreeMap<u32, Term>,
    /// The chain of the emitter.
    pub chain: u16,
    /// Who may state a root.
    pub emitter: [u8; 32],
}

impl Trust {
    /// Pyth's own emitter, and these guardians.
    pub fn of(guardians: BTreeMap<u32, Vec<Address>>) -> Self {
        Self { guardians, terms: BTreeMap::new(), chain: PYTHNET, emitter: EMITTER }
    }
}

/// A guardian's signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The guardian's place in the set.
    pub place: u8,
    /// r, s and parity as 27 or 28.
    pub bytes: [u8; 65],
}

/// An update as it arrived; nothing in it is verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// Which guardians are said to have signed.
    pub set: u32,
    /// What they signed with.
    pub signatures: Vec<Signature>,
    /// The hash that is signed.
    pub digest: [u8; 32],
    /// The chain of who states the root.
    pub chain: u16,
    /// Who states it.
    pub emitter: [u8; 32],
    /// The slot of Pythnet: rises.
    pub slot: u64,
    /// The root of the Merkle tree.
    pub root: [u8; 20],
    /// Messages, each with the path to the root.
    pub messages: Vec<(Vec<u8>, Vec<[u8; 20]>)>,
}

/// What a message states.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// A price.
    Price(PriceMessage),
    /// A mean over time, of which only the kind is known here.
    Mean,
}

/// A price, as it was signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceMessage {
    /// Of which feed.
    pub id: [u8; 32],
    /// The price, `x 10^exponent`.
    pub price: i64,
    /// Half-width of its confidence interval, same exponent.
    pub confidence: u64,
    /// Power of ten of both.
    pub exponent: i32,
    /// When, seconds.
    pub publish_time: i64,
    /// When the price before was, seconds.
    pub prev_publish_time: i64,
    /// Its exponential mean, and that of the confidence.
    pub ema: (i64, u64),
}

/// Bytes being read from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return refuse(
                Reason::Malformed,
                format_args!("ends {} bytes early", count.saturating_sub(self.0.len())),
            );
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or_else(|| Refusal::new(Reason::Malformed, "ends early"))
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn short(&mut self) -> Result<u16, Refusal> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn expect(&mut self, expected: &[u8], reason: Reason) -> Result<(), Refusal> {
        let found = self.take(expected.len())?;
        if found == expected {
            Ok(())
        } else {
            refuse(reason, format_args!("{found:02x?} where {expected:02x?} is expected"))
        }
    }

    fn end(&self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            refuse(Reason::Malformed, format_args!("{} bytes too many", self.0.len()))
        }
    }
}

impl Update {
    /// Reads an update.
    ///
    /// # Errors
    /// [`Reason::Malformed`], and [`Reason::Version`] for a format of another kind or version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor(bytes);
        cursor.expect(b"PNAU", Reason::Malformed)?;
        // Minor versions add to the trailing part.
        cursor.expect(&[1], Reason::Version)?;
        cursor.byte()?;
        let trailing = usize::from(cursor.byte()?);
        cursor.take(trailing)?;
        cursor.expect(&[0], Reason::Version)?;
        let length = usize::from(cursor.short()?);
        let mut update = Self::vaa(cursor.take(length)?)?;
        for _ in 0..cursor.byte()? {
            let length = usize::from(cursor.short()?);
            let message = cursor.take(length)?.to_vec();
            let nodes = cursor.byte()?;
            let proof = (0..nodes).map(|_| cursor.array()).collect::<Result<_, _>>()?;
            update.messages.push((message, proof));
        }
        cursor.end()?;
        Ok(update)
    }

    fn vaa(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor(bytes);
        cursor.expect(&[1], Reason::Version)?;
        let set = u32::from_be_bytes(cursor.array()?);
        let mut signatures = Vec::new();
        for _ in 0..cursor.byte()? {
            let (place, mut bytes) = (cursor.byte()?, cursor.array::<65>()?);
            if let Some(parity) = bytes.last_mut() {
                *parity = parity.saturating_add(27);
            }
            signatures.push(Signature { place, bytes });
        }
        let digest = keccak(&[&keccak(&[cursor.0])]);
        cursor.take(8)?; // time and nonce
        let (chain, emitter) = (cursor.short()?, cursor.array()?);
        cursor.take(9)?; // sequence and consistency level
        cursor.expect(b"AUWV", Reason::Version)?;
        cursor.expect(&[0], Reason::Version)?;
        let slot = u64::from_be_bytes(cursor.array()?);
        cursor.take(4)?; // size of the ring
        let root = cursor.array()?;
        Ok(Self { set, signatures, digest, chain, emitter, slot, root, messages: Vec::new() })
    }

    /// Who signed: the guardian's place and the account recovered.
    ///
    /// # Errors
    /// [`Reason::Signature`].
    pub fn signers(&self) -> Result<Vec<(u8, Address)>, Refusal> {
        self.signatures.iter().map(|s| Ok((s.place, recover(&self.digest, &s.bytes)?))).collect()
    }

    /// Whether enough guardians signed the root, and every message leads to it.
    ///
    /// # Errors
    /// [`Reason::Domain`] for another emitter or a set that is not trusted, [`Reason::Quorum`] for too few signatures,
    /// [`Reason::Signer`] for one by another key than the guardian's, twice or out of order, [`Reason::Signature`], and
    /// [`Reason::Proof`].
    pub fn verify(&self, trust: &Trust) -> Result<(), Refusal> {
        if self.chain != trust.chain || self.emitter != trust.emitter {
            return refuse(
                Reason::Domain,
                format_args!("stated by another emitter, on chain {}", self.chain),
            );
        }
        let Some(guardians) = trust.guardians.get(&self.set) else {
            return refuse(Reason::Domain, format_args!("guardian set {}", self.set));
        };
        let needed = guardians.len() * 2 / 3 + 1;
        if self.signatures.len() < needed {
            return refuse(Reason::Quorum, format_args!("{} signatures of {needed}", self.signatures.len()));
        }
        let rising = self.signatures.windows(2).all(|pair| matches!(pair, [a, b] if a.place < b.place));
        if !rising {
            return refuse(Reason::Signer, "guardians out of order, or one twice");
        }
        for (place, signer) in self.signers()? {
            if guardians.get(usize::from(place)) != Some(&signer) {
                return refuse(Reason::Signer, format_args!("{signer} is not guardian {place}"));
            }
        }
        for (message, proof) in &self.messages {
            if root_of(message, proof) != self.root {
                return refuse(Reason::Proof, "a message does not lead to the root");
            }
        }
        Ok(())
    }

    /// What the messages state.
    ///
    /// # Errors
    /// [`Reason::Malformed`] or [`Reason::Version`].
    pub fn statements(&self) -> Result<Vec<Statement>, Refusal> {
        self.messages.iter().map(|(message, _)| statement(message)).collect()
    }
}

/// The first twenty bytes of Keccak-256.
fn keccak160(parts: &[&[u8]]) -> [u8; 20] {
    let hash = keccak(parts);
    hash.first_chunk().copied().unwrap_or_default()
}

fn root_of(message: &[u8], proof: &[[u8; 20]]) -> [u8; 20] {
    proof.iter().fold(keccak160(&[&[0], message]), |node, other| {
        let (lesser, greater) = if node < *other { (&node, other) } else { (other, &node) };
        keccak160(&[&[1], lesser, greater])
    })
}

fn statement(message: &[u8]) -> Result<Statement, Refusal> {
    let mut cursor = Cursor(message);
    match cursor.byte()? {
        0 => {}
        1 => return Ok(Statement::Mean),
        kind => return refuse(Reason::Version, format_args!("message of kind {kind}")),
    }
    let id = cursor.array()?;
    let price = i64::from_be_bytes(cursor.array()?);
    let confidence = u64::from_be_bytes(cursor.array()?);
    let exponent = i32::from_be_bytes(cursor.array()?);
    let publish_time = i64::from_be_bytes(cursor.array()?);
    let prev_publish_time = i64::from_be_bytes(cursor.array()?);
    let ema = (i64::from_be_bytes(cursor.array()?), u64::from_be_bytes(cursor.array()?));
    // What later versions append is none of ours.
    Ok(Statement::Price(PriceMessage {
        id,
        price,
        confidence,
        exponent,
        publish_time,
        prev_publish_time,
        ema,
    }))
}
