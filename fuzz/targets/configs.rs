//! What people and neighbours write: the first byte says which. A configuration, an address, bounds, a question to the signer, what is said on a
//! WebSocket to be known. What is refused is refused with a reason; what is read has one hash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_app::doors::SocketClaim;
use plimsoll_app::host::Config;
use plimsoll_app::signer::{Ask, Bounds};
use plimsoll_feeds::address::{Allowed, Endpoint};
use plimsoll_feeds::evm::{Address, recover, unhex};
use plimsoll_feeds::signed::Domain;
use plimsoll_types::Timestamp;
use std::path::Path;

fn domain() -> Domain {
    Domain {
        name: "fuzz".to_owned(),
        version: "1".to_owned(),
        chain_id: 1,
        verifying_contract: Address([1; 20]),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which % 6 {
        0 => {
            // Where there is nothing to read beside it.
            let folder = Path::new("/nonexistent");
            let now = Timestamp::from_seconds(1_767_225_600);
            let _ = Config::parse(text, std::iter::empty(), folder, now);
        }
        1 => {
            let allowed = Allowed { hosts: ["feed.example.com:8443".to_owned()].into(), loopback: false };
            if let Ok(endpoint) = Endpoint::read(text, &allowed) {
                assert_eq!(endpoint.authority(), "feed.example.com:8443");
            }
        }
        2 => drop(Bounds::parse(text)),
        3 => {
            if let Ok(Ask::Sign { document }) = serde_json::from_str(text) {
                let again = serde_json::to_string(&document).expect("it is written");
                let again = serde_json::from_str(&again).expect("and read again");
                assert_eq!(document, again);
                assert_eq!(document.hash(&domain()), again.hash(&domain()));
                let _ = document.check();
            }
        }
        4 => drop(serde_json::from_str::<SocketClaim>(text)),
        _ => {
            if let Ok(signature) = unhex(text) {
                let _ = recover(&[7; 32], &signature);
            }
        }
    }
});
