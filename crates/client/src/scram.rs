//! Proofs of requests: SCRAM's (RFC 5802, section 3) with HMAC-SHA256.
//!
//! **The one idea:** a server keeps the hash of a client key that only the secret yields; a proof shows that one knows the client key
//! without saying it, and says it of one request alone.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every secret begins with, so that one that leaks is found by whoever looks for such.
pub const SECRET_PREFIX: &str = "plim_";

/// Says which key of the secret is meant.
const CLIENT_KEY: &[u8] = b"plimsoll client key";

/// Bytes of a key, hash or proof.
pub type Bytes = [u8; 32];

/// What is proved of a request: verb, path, query in order of its parts, hash of the body, instant, nonce, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In capitals.
    pub verb: &'a str,
    /// As it is sent.
    pub path: &'a str,
    /// As it is sent, without the question mark.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// A number that this key has not used.
    pub nonce: u64,
    /// Whose service it is meant for: `journal.identity`.
    pub audience: &'a str,
}

impl Request<'_> {
    /// The bytes that are proved.
    pub fn message(&self) -> Vec<u8> {
        let body = hex(&Sha256::digest(self.body));
        let Self { verb, path, time_ms, nonce, audience, .. } = self;
        let query = self.sorted_query();
        format!("plimsoll1\n{audience}\n{verb}\n{path}\n{query}\n{body}\n{time_ms}\n{nonce}").into_bytes()
    }

    /// The parts of the query in their order.
    pub fn sorted_query(&self) -> String {
        let mut parts: Vec<&str> = self.query.split('&').filter(|part| !part.is_empty()).collect();
        parts.sort_unstable();
        parts.join("&")
    }
}

/// The client key of a secret; nothing when it is no secret.
pub fn client_key(secret: &str) -> Option<Bytes> {
    let raw = unhex(secret.strip_prefix(SECRET_PREFIX)?)?;
    Some(mac(&raw, CLIENT_KEY))
}

/// What is kept of a client key: it proves nothing to anybody.
pub fn stored(client: &Bytes) -> Bytes {
    Sha256::digest(client).into()
}

/// Whether a client key is the one that this is kept of, in the same time whatever it is.
pub fn is_of(client: &Bytes, kept: &Bytes) -> bool {
    bool::from(stored(client).as_slice().ct_eq(kept))
}

/// The client key that a proof of a message must come from.
pub fn recovered(kept: &Bytes, message: &[u8], proof: &Bytes) -> Bytes {
    xor(&mac(kept, message), proof)
}

/// The proof of a message by whoever knows a secret, hexadecimal; nothing when it is no secret.
pub fn prove(secret: &str, message: &[u8]) -> Option<String> {
    let client = client_key(secret)?;
    Some(hex(&xor(&mac(&stored(&client), message), &client)))
}

fn mac(key: &Bytes, message: &[u8]) -> Bytes {
    // A key shorter than a block is filled up with zeros (RFC 2104, section 2).
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}

fn xor(a: &Bytes, b: &Bytes) -> Bytes {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Thirty-two bytes of hexadecimal.
pub fn unhex(text: &str) -> Option<Bytes> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
