//! Session keys: requests that are signed as typed data. API2 of the table, row by row.

use crate::doors::{alice, entry};
use crate::sockets::{next, say, served};
use crate::world::{World, ask};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use k256::ecdsa::SigningKey;
use plimsoll_app::doors::{Chain, Keyring, Request as Proved, Role, Scope, hex, typed_hash};
use plimsoll_app::host::now;
use plimsoll_feeds::evm::{Address, keccak};
use plimsoll_quant::sobol::Rng64;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_tungstenite::connect_async;

static NONCE: AtomicU64 = AtomicU64::new(1);

const CONTRACT: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn address(key: &SigningKey) -> Address {
    let point = key.verifying_key().to_encoded_point(false);
    let hash = keccak(&[&point.as_bytes()[1..]]);
    Address(hash[12..].try_into().unwrap())
}

#[derive(Clone)]
struct Asked {
    path: String,
    time_ms: u64,
    nonce: u64,
    until: u64,
    audience: &'static str,
    chain: Chain,
}

fn asked(path: &str) -> Asked {
    let time_ms = u64::try_from(now().nanos() / 1_000_000).unwrap();
    let chain = Chain { chain_id: 31_337, verifying_contract: CONTRACT.parse().unwrap() };
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
    Asked { path: path.to_owned(), time_ms, nonce, until: time_ms + 10_000, audience: "plimsoll", chain }
}

fn signature(key: &SigningKey, of: &Asked) -> Vec<u8> {
    let (path, query) = of.path.split_once('?').unwrap_or((&of.path, ""));
    let request = Proved {
        verb: "GET",
        path,
        query,
        body: &[],
        time_ms: of.time_ms,
        nonce: of.nonce,
        audience: of.audience,
    };
    let (made, id) = key.sign_prehash_recoverable(&typed_hash(&request, of.until, &of.chain)).unwrap();
    [&made.to_bytes()[..], &[27 + id.to_byte()]].concat()
}

fn with(of: &Asked, who: Address, signature: &[u8]) -> Request<Body> {
    Request::get(&of.path)
        .header("plimsoll-address", who.to_string())
        .header("plimsoll-time", of.time_ms.to_string())
        .header("plimsoll-nonce", of.nonce.to_string())
        .header("plimsoll-valid-until", of.until.to_string())
        .header("plimsoll-signature", format!("0x{}", hex(signature)))
        .body(Body::empty())
        .unwrap()
}

fn signed(key: &SigningKey, of: &Asked) -> Request<Body> {
    with(of, address(key), &signature(key, of))
}

/// A world with two session keys: a reader of alice, and a protocol.
fn locked(more: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Keyring::default();
    ring.register(address(&signer(1)), entry(Role::Reader, alice())).unwrap();
    ring.register(address(&signer(2)), entry(Role::Protocol, Scope::default())).unwrap();
    let path = dir.path().join("keys.json");
    ring.write(&path).unwrap();
    World::calm_in(dir, &format!("[doors]\nkeys = {path:?}\n{more}"))
}

fn domain() -> String {
    format!("chain = {{ chain_id = 31337, verifying_contract = \"{CONTRACT}\" }}\n")
}

/// The order of the group: `n - s` is the other signature of the same.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

fn high(mut signature: Vec<u8>) -> Vec<u8> {
    let mut borrow = 0_i16;
    for i in (0..32).rev() {
        let mut digit = i16::from(ORDER[i]) - i16::from(signature[32 + i]) - borrow;
        borrow = i16::from(digit < 0);
        digit += 256 * borrow;
        signature[32 + i] = u8::try_from(digit).unwrap();
    }
    signature[64] = 55 - signature[64];
    signature
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_key_opens_what_its_role_opens_and_no_more() {
    let world = locked(&domain());
    let status = async |key: u8, path: &str| ask(&world.app, signed(&signer(key), &asked(path))).await.0;
    assert_eq!(status(1, "/v1/accounts/alice/margin").await, StatusCode::OK);
    assert_eq!(status(1, "/v1/accounts/bob/margin").await, StatusCode::NOT_FOUND);
    assert_eq!(status(1, "/v1/accounts").await, StatusCode::FORBIDDEN);
    assert_eq!(status(2, "/v1/accounts?limit=5&order=risk").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn api2_a_signature_that_is_not_of_this_request_here_and_now_opens_nothing() {
    let world = locked(&domain());
    let (key, other) = (signer(1), signer(3));
    let good = || asked("/v1/accounts/alice");
    let mut refused = Vec::new();
    let mut expect = async |what: &str, request: Request<Body>| {
        let (status, answer) = ask(&world.app, request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {answer}");
        refused.push(answer.to_string());
    };
    let of = good();
    let mut missing = signed(&key, &of);
    missing.headers_mut().remove("plimsoll-signature");
    expect("missing", missing).await;
    let mut garbled = signed(&key, &of);
    garbled.headers_mut().insert("plimsoll-signature", "0xzz".parse().unwrap());
    expect("malformed", garbled).await;
    let made = signature(&key, &of);
    expect("64 bytes (EIP-2098)", with(&of, address(&key), &made[..64])).await;
    expect("66 bytes", with(&of, address(&key), &[&made[..], &[0]].concat())).await;
    expect("s in the upper half", with(&of, address(&key), &high(made.clone()))).await;
    let parity = [&made[..64], &[made[64] - 27]].concat();
    expect("parity as 0 or 1", with(&of, address(&key), &parity)).await;
    expect("expired", signed(&key, &Asked { until: good().time_ms - 1, ..good() })).await;
    expect("good for too long", signed(&key, &Asked { until: good().time_ms + 300_001, ..good() })).await;
    expect("old", signed(&key, &Asked { time_ms: good().time_ms - 31_000, ..good() })).await;
    expect("future", signed(&key, &Asked { time_ms: good().time_ms + 5_000, ..good() })).await;
    expect("another name", signed(&key, &Asked { audience: "another", ..good() })).await;
    let chain = |chain_id, contract: &str| Chain { chain_id, verifying_contract: contract.parse().unwrap() };
    expect("another chain", signed(&key, &Asked { chain: chain(1, CONTRACT), ..good() })).await;
    let elsewhere = chain(31_337, "0x0000000000000000000000000000000000000001");
    expect("another contract", signed(&key, &Asked { chain: elsewhere, ..good() })).await;
    expect("a key that nobody registered", signed(&other, &good())).await;
    expect("another's signature", with(&of, address(&key), &signature(&other, &of))).await;
    let moved = Asked { path: "/v1/accounts/alice/margin".to_owned(), ..of.clone() };
    expect("of another path", with(&moved, address(&key), &signature(&key, &of))).await;
    let once = good();
    assert_eq!(ask(&world.app, signed(&key, &once)).await.0, StatusCode::OK);
    expect("replayed", signed(&key, &once)).await;
    refused.dedup();
    assert_eq!(refused.len(), 1, "a refusal says why: {refused:?}");
    // Without a domain no session key is good.
    let bare = locked("");
    assert_eq!(ask(&bare.app, signed(&key, &good())).await.0, StatusCode::UNAUTHORIZED);
}

/// What a socket is told of a request that a key signed.
fn claim(key: &SigningKey, of: &Asked) -> Value {
    json!({ "address": address(key).to_string(), "time": of.time_ms, "nonce": of.nonce, "valid_until": of.until,
        "signature": hex(&signature(key, of)) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_key_is_known_within_a_socket_and_hears_what_is_its_own() {
    let world = locked(&domain());
    let at = served(&world).await;
    for (path, rpc) in [("/v1/ws", false), ("/rpc", true)] {
        let mut socket = connect_async(format!("ws://{at}{path}")).await.unwrap().0;
        let mut done = async |verb: &str, params: Value| {
            let asked = if rpc {
                let method = if verb == "auth" { "public/auth" } else { "private/subscribe" };
                json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
            } else {
                let mut asked = params;
                asked["op"] = json!(verb);
                asked
            };
            say(&mut socket, asked).await;
            loop {
                let answer = next(&mut socket).await;
                // What is heard meanwhile is no answer.
                if answer.get("id").is_some() || (answer.get("op").is_some()) {
                    let code = [&answer["code"], &answer["error"]["data"]["code"]];
                    return code.iter().find_map(|code| code.as_str()).map(str::to_owned);
                }
            }
        };
        let unauthorised = Some("unauthorised".to_owned());
        let unknown = Some("unknown_account".to_owned());
        assert_eq!(done("subscribe", json!({ "channels": ["margin.alice"] })).await, unknown);
        let elsewhere = claim(&signer(1), &asked("/v1/accounts"));
        assert_eq!(done("auth", elsewhere).await, unauthorised, "signed for another path");
        assert_eq!(done("auth", claim(&signer(3), &asked(path))).await, unauthorised, "of nobody's key");
        let mut another = claim(&signer(3), &asked(path));
        another["address"] = json!(address(&signer(1)).to_string());
        assert_eq!(done("auth", another).await, unauthorised, "another's signature");
        let expired = Asked { until: asked(path).time_ms - 1, ..asked(path) };
        assert_eq!(done("auth", claim(&signer(1), &expired)).await, unauthorised);
        let mut both = claim(&signer(1), &asked(path));
        both["proof"] = json!("00");
        assert_eq!(done("auth", both).await.as_deref(), Some("argument"), "one of the two");
        let good = claim(&signer(1), &asked(path));
        assert_eq!(done("auth", good.clone()).await, None);
        assert_eq!(done("subscribe", json!({ "channels": ["margin.alice"] })).await, None);
        assert_eq!(done("subscribe", json!({ "channels": ["margin.bob"] })).await, unknown);
        assert_eq!(done("auth", good).await, unauthorised, "a signature opens once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api2_random_signatures_open_nothing() {
    let world = locked(&(domain() + "units_per_second = 4000000000\nunits_at_once = 4000000000\n"));
    let mut draw = Rng64::new(11);
    let mut accepted = 0;
    for i in 0..2_000_u32 {
        let of = asked("/v1/accounts/alice");
        let mut random: Vec<u8> = (0..9).flat_map(|_| draw.next_u64().to_le_bytes()).take(64).collect();
        // Below the middle of the group, so that it is refused for being wrong and not for its form.
        random[32] &= 0x7f;
        random.push(27 + u8::try_from(i % 2).unwrap());
        let status = ask(&world.app, with(&of, address(&signer(1)), &random)).await.0;
        accepted += usize::from(status != StatusCode::UNAUTHORIZED);
    }
    println!("2000 random signatures: {accepted} accepted");
    assert_eq!(accepted, 0);
}

#[test]
fn an_address_that_was_revoked_is_never_registered_again() {
    let mut ring = Keyring::default();
    let who = address(&signer(1));
    let id = ring.register(who, entry(Role::Keeper, Scope::default())).unwrap();
    assert!(ring.register(who, entry(Role::Keeper, Scope::default())).is_err());
    ring.revoke(&id, now()).unwrap();
    let again = ring.register(who, entry(Role::Keeper, Scope::default())).unwrap_err();
    assert!(again.to_string().contains("never used again"), "{again}");
}
