//! Requests that are signed as typed data (EIP-712) by a session key, an account of the EVM.
//!
//! **The one idea:** the same is said of a request as in a proof with a secret, as a struct that a wallet can show, under a domain that
//! makes it good here alone.

use plimsoll_client::scram::Request;
use plimsoll_feeds::evm::{Address, keccak, recover, word};
use plimsoll_feeds::signed::Domain;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The type of what is signed.
const REQUEST_TYPE: &str =
    "Request(string method,string path,string query,bytes32 body,uint64 time,uint64 nonce,uint64 validUntil)";

/// The version of the domain.
const VERSION: &str = "1";

/// The longest a request may be good for, milliseconds.
pub(super) const VALID_MS_MAX: u64 = 300_000;

/// What of the domain is not the service's own name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The chain.
    pub chain_id: u64,
    /// The contract that publishes there, or would.
    pub verifying_contract: Address,
}

impl Chain {
    /// The domain of a service here.
    pub fn domain(&self, audience: &str) -> Domain {
        Domain {
            name: audience.to_owned(),
            version: VERSION.to_owned(),
            chain_id: self.chain_id,
            verifying_contract: self.verifying_contract,
        }
    }
}

/// What is signed of a request: the hash of EIP-712. The body is its SHA-256, the query has its parts in order.
pub fn typed_hash(request: &Request<'_>, valid_until_ms: u64, chain: &Chain) -> [u8; 32] {
    let text = |text: &str| keccak(&[text.as_bytes()]);
    let of_struct = keccak(&[
        &text(REQUEST_TYPE),
        &text(request.verb),
        &text(request.path),
        &text(&request.sorted_query()),
        &Sha256::digest(request.body),
        &word(request.time_ms.into()),
        &word(request.nonce.into()),
        &word(valid_until_ms.into()),
    ]);
    keccak(&[b"\x19\x01", &chain.domain(request.audience).separator(), &of_struct])
}

/// Whether an address signed a request that is good until an instant: 65 bytes, `s` in the lower half.
pub(super) fn is_signed(
    address: Address,
    request: &Request<'_>,
    valid_until_ms: u64,
    signature: &[u8],
    chain: &Chain,
) -> bool {
    recover(&typed_hash(request, valid_until_ms, chain), signature).is_ok_and(|signer| signer == address)
}
