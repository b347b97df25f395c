//! Who comes in: keys, roles, proofs, limits. Section 4 and 5 of the table of promises and faults.

use crate::world::{World, ask, config};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use plimsoll_app::doors::{Entry, Keyring, Need, ROUTES, Request as Proved, Role, Route, Scope, hex, prove};
use plimsoll_app::host::{Content, now};
use plimsoll_app::serve::document;
use plimsoll_engine::live::Effect;
use plimsoll_journal::{DirDisk, Reader};
use plimsoll_types::AccountId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A key as its owner has it.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

static NONCE: AtomicU64 = AtomicU64::new(1);

/// What a request is made of.
#[derive(Clone)]
pub(crate) struct Asked {
    verb: &'static str,
    path: String,
    body: String,
    pub(crate) time_ms: i64,
    pub(crate) nonce: u64,
    audience: &'static str,
}

pub(crate) fn asked(verb: &'static str, path: &str, body: &Value) -> Asked {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let time_ms = now().nanos() / 1_000_000;
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
    Asked { verb, path: path.to_owned(), body, time_ms, nonce, audience: "plimsoll" }
}

impl Key {
    pub(crate) fn proof(&self, of: &Asked) -> String {
        let (path, query) = of.path.split_once('?').unwrap_or((&of.path, ""));
        let request = Proved {
            verb: of.verb,
            path,
            query,
            body: of.body.as_bytes(),
            time_ms: of.time_ms.try_into().unwrap(),
            nonce: of.nonce,
            audience: of.audience,
        };
        prove(&self.secret, &request.message()).unwrap()
    }

    pub(crate) fn signed(&self, of: &Asked) -> Request<Body> {
        self.with(of, &self.proof(of))
    }

    fn with(&self, of: &Asked, proof: &str) -> Request<Body> {
        Request::builder()
            .method(of.verb)
            .uri(&of.path)
            .header("content-type", "application/json")
            .header("plimsoll-key", &self.id)
            .header("plimsoll-time", of.time_ms.to_string())
            .header("plimsoll-nonce", of.nonce.to_string())
            .header("plimsoll-proof", proof)
            .body(Body::from(of.body.clone()))
            .unwrap()
    }
}

pub(crate) fn entry(role: Role, scope: Scope) -> Entry {
    let (created, stored) = (now(), String::new());
    Entry { label: String::new(), role, scope, stored, address: None, created, expires: None, revoked: None }
}

pub(crate) fn alice() -> Scope {
    Scope { accounts: vec![AccountId::new("alice").unwrap()], ..Scope::default() }
}

fn feeds() -> Scope {
    Scope { feeds: vec!["price/BTC/a".to_owned()], ..Scope::default() }
}

/// A world with a lock on its door and a key of every role; the reader's is for alice.
pub(crate) fn locked(more: &str) -> (World, BTreeMap<Role, Key>) {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Keyring::default();
    let mut keys = BTreeMap::new();
    for role in Role::ALL {
        let scope = match role {
            Role::Reader => alice(),
            Role::Feeder => feeds(),
            _ => Scope::default(),
        };
        let (id, secret) = ring.create(entry(role, scope)).unwrap();
        keys.insert(role, Key { id, secret });
    }
    let path = dir.path().join("keys.json");
    ring.write(&path).unwrap();
    let world = World::calm_in(dir, &format!("[doors]\nkeys = {path:?}\n{more}"));
    (world, keys)
}

fn path(route: &str) -> String {
    route.replace("{account}", "alice").replace("{underlying}", "SOL").replace("{id}", "nothing")
}

fn body(route: &str) -> Value {
    match route {
        "/v1/events" => json!({ "events": [] }),
        "/v1/margins" => json!({ "accounts": [] }),
        "/v1/checks" => json!({ "checks": [] }),
        "/v1/proposals" => json!({}),
        path if path.ends_with("check") || path.ends_with("what-if") => json!({ "legs": [] }),
        _ => Value::Null,
    }
}

const VERBS: [&str; 4] = ["GET", "POST", "DELETE", "PUT"];

#[test]
fn api9_every_route_of_the_document_has_its_need_and_no_other_has() {
    let document = serde_json::to_value(document()).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, verbs)| {
            verbs.as_object().unwrap().keys().map(move |verb| (verb.clone(), path.clone()))
        })
        .collect();
    let known: BTreeSet<(String, String)> =
        ROUTES.iter().map(|route| (route.verb.to_owned(), route.path.to_owned())).collect();
    assert_eq!(known.len(), ROUTES.len(), "a route has two rows");
    let text = document.to_string();
    let components = document["components"]["schemas"].as_object().unwrap();
    let named = text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    let lost: BTreeSet<&str> = named.filter(|name| !components.contains_key(*name)).collect();
    assert!(lost.is_empty(), "named and nowhere: {lost:?}");
    assert_eq!(described, known);
}

#[test]
fn the_matrix_of_roles_and_needs_is_this() {
    use Need::{
        Account, Accounts, Everybody, Feed, Govern, Liquidate, Market, Nothing, Pause, Positions, Submit,
    };
    let rights =
        |role: Role| -> Vec<Need> { Need::ALL.into_iter().filter(|need| need.is_met_by(role)).collect() };
    assert_eq!(rights(Role::Reader), [Nothing, Market, Account, Accounts, Everybody]);
    assert_eq!(
        rights(Role::Protocol),
        [Nothing, Market, Account, Accounts, Everybody, Submit, Positions, Liquidate]
    );
    assert_eq!(rights(Role::Feeder), [Nothing, Submit, Feed]);
    assert_eq!(rights(Role::Keeper), [Nothing, Market, Account, Accounts, Everybody, Submit, Liquidate]);
    assert_eq!(rights(Role::Operator), [Nothing, Market, Account, Accounts, Everybody, Submit, Pause]);
    assert_eq!(
        rights(Role::Governor),
        [Nothing, Market, Account, Accounts, Everybody, Submit, Govern, Pause]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn api5_every_role_opens_the_routes_of_its_row_with_every_verb_and_no_other() {
    let (world, keys) = locked("");
    let mut asked_in_all = 0;
    for (role, key) in &keys {
        for Route { verb, path: route, need, .. } in ROUTES {
            for tried in VERBS {
                let request = key.signed(&asked(tried, &path(route), &body(route)));
                let (status, answer) = ask(&world.app, request).await;
                let is_there =
                    ROUTES.iter().any(|other| other.verb.eq_ignore_ascii_case(tried) && other.path == *route);
                let own = *need != Need::Everybody || *role != Role::Reader;
                let open = tried.eq_ignore_ascii_case(verb) && need.is_met_by(*role) && own;
                let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                if tried.eq_ignore_ascii_case(verb) {
                    assert_eq!(!refused, open, "{role} {tried} {route}: {status} {answer}");
                } else if !is_there {
                    assert!(
                        refused || status == StatusCode::METHOD_NOT_ALLOWED,
                        "{role} {tried} {route}: {status}"
                    );
                }
                asked_in_all += 1;
            }
        }
    }
    println!("{asked_in_all} requests: {} roles, {} routes, {} verbs", keys.len(), ROUTES.len(), VERBS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn api1_an_account_of_another_is_answered_like_one_that_is_not_there() {
    let (world, keys) = locked("");
    let reader = &keys[&Role::Reader];
    let mut routes = 0;
    for Route { verb, path: route, .. } in ROUTES.iter().filter(|route| route.need == Need::Account) {
        let verb = if *verb == "get" { "GET" } else { "POST" };
        let of = |name: &str| asked(verb, &route.replace("{account}", name), &body(route));
        let (own, _) = ask(&world.app, reader.signed(&of("alice"))).await;
        assert_eq!(own, StatusCode::OK, "{route}");
        let (status, others) = ask(&world.app, reader.signed(&of("bob"))).await;
        let (_, nobodys) = ask(&world.app, reader.signed(&of("nobody"))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{route}");
        assert_eq!(others.to_string().replace("bob", "nobody"), nobodys.to_string(), "{route}");
        let (status, disguised) = ask(&world.app, reader.signed(&of("%62ob"))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{route} {disguised}");
        routes += 1;
    }
    assert_eq!(routes, 9);
    for (route, of) in [
        ("/v1/margins", json!({ "accounts": ["alice", "bob", "nobody"] })),
        (
            "/v1/checks",
            json!({ "checks": [{ "account": "alice", "legs": [] }, { "account": "bob", "legs": [] }, { "account": "nobody", "legs": [] }] }),
        ),
    ] {
        let (status, answer) = ask(&world.app, reader.signed(&asked("POST", route, &of))).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let each = answer["data"].as_array().unwrap();
        assert!(each[0]["answer"].is_object(), "{answer}");
        assert_eq!(each[1]["problem"].to_string().replace("bob", "nobody"), each[2]["problem"].to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api2_what_is_not_proved_opens_nothing() {
    let (world, keys) = locked("");
    let key = &keys[&Role::Protocol];
    let good = || asked("GET", "/v1/accounts/alice?x=1&a=2", &Value::Null);
    let opened = ask(&world.app, key.signed(&good())).await.0;
    assert_ne!(opened, StatusCode::UNAUTHORIZED);
    let mut refused = Vec::new();
    let mut expect = async |what: &str, request: Request<Body>| {
        let (status, answer) = ask(&world.app, request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {answer}");
        refused.push(answer.to_string());
    };
    let bare =
        |verb: &str, path: &str| Request::builder().method(verb).uri(path).body(Body::empty()).unwrap();
    expect("nothing", bare("GET", "/v1/accounts/alice")).await;
    expect("old", key.signed(&Asked { time_ms: good().time_ms - 31_000, ..good() })).await;
    expect("of the future", key.signed(&Asked { time_ms: good().time_ms + 5_000, ..good() })).await;
    expect("for another service", key.signed(&Asked { audience: "another", ..good() })).await;
    let other = Key { id: key.id.clone(), secret: keys[&Role::Reader].secret.clone() };
    expect("another's secret", other.signed(&good())).await;
    let stranger = Key { id: "0123456789abcdef".to_owned(), secret: key.secret.clone() };
    expect("no such key", stranger.signed(&good())).await;
    let of = good();
    let moved = Asked { path: "/v1/accounts/bob?x=1&a=2".to_owned(), ..of.clone() };
    expect("of another path", key.with(&moved, &key.proof(&of))).await;
    let more = Asked { path: of.path.clone() + "&more=1", ..of.clone() };
    expect("of another query", key.with(&more, &key.proof(&of))).await;
    let spoken = Asked { body: "{}".to_owned(), ..of.clone() };
    expect("of another body", key.with(&spoken, &key.proof(&of))).await;
    expect("half a proof", key.with(&of, &key.proof(&of)[..32])).await;
    let once = good();
    ask(&world.app, key.signed(&once)).await;
    expect("seen before", key.signed(&once)).await;
    for i in 1..=100 {
        let next = Asked { nonce: once.nonce + 1_000 + i, ..good() };
        assert_ne!(ask(&world.app, key.signed(&next)).await.0, StatusCode::UNAUTHORIZED);
    }
    expect("below the highest hundred", key.signed(&Asked { nonce: once.nonce + 1, ..good() })).await;
    let plain = |verb: &'static str, path: &str, token: String| {
        Request::builder().method(verb).uri(path).header("authorization", token).body(Body::empty()).unwrap()
    };
    let token = format!("Bearer {}.{}", key.id, key.secret);
    let read = ask(&world.app, plain("GET", "/v1/accounts/alice", token.clone())).await.0;
    assert_eq!(read, StatusCode::OK, "a secret in plain is good for reading");
    expect("a secret in plain does nothing", plain("POST", "/v1/events", token)).await;
    expect("half a token", plain("GET", "/v1/accounts/alice", format!("Bearer {}", key.id))).await;
    refused.dedup();
    assert_eq!(refused.len(), 1, "a refusal says why: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn api2_ten_thousand_random_tokens_open_nothing() {
    let (world, keys) = locked("units_per_second = 4000000000\nunits_at_once = 4000000000\n");
    let ids: Vec<&String> = keys.values().map(|key| &key.id).collect();
    let mut accepted = 0;
    let mut draw = plimsoll_quant::sobol::Rng64::new(7);
    for i in 0..10_000_usize {
        let random: Vec<u8> = (0..4).flat_map(|_| draw.next_u64().to_le_bytes()).collect();
        let secret = format!("plim_{}", hex(&random));
        let id = ids[i % ids.len()].clone();
        let key = Key { id, secret };
        let of = asked("GET", "/v1/validity", &Value::Null);
        let token = format!("Bearer {}.{}", key.id, key.secret);
        let request = match i % 3 {
            0 => key.signed(&of),
            1 => key.with(&of, &hex(&random)),
            _ => Request::get("/v1/validity").header("authorization", token).body(Body::empty()).unwrap(),
        };
        let status = ask(&world.app, request).await.0;
        accepted += usize::from(status != StatusCode::UNAUTHORIZED);
    }
    println!("10000 random proofs and tokens: {accepted} accepted");
    assert_eq!(accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_says_only_what_its_role_may_say_and_the_journal_remembers_who() {
    let (world, keys) = locked("");
    let price = |asset: &str, source: &str| {
        json!({ "events": [{ "source": "s", "number": 1, "event": { "type": "price", "asset": asset, "source": source,
            "sequence": 900, "time": world.now.to_string(), "price": "96400" } }] })
    };
    let deposit = json!({ "events": [{ "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": "1" } }] });
    let vote = json!({ "events": [{ "event": { "type": "cancel_vote", "id": "x" } }] });
    let pause = json!({ "events": [{ "event": { "type": "pause", "reason": "looked into" } }] });
    let resume = json!({ "events": [{ "event": { "type": "resume" } }] });
    let tried = [
        (Role::Feeder, price("BTC", "a"), true),
        (Role::Feeder, price("BTC", "b"), false),
        (Role::Feeder, price("ETH", "a"), false),
        (Role::Feeder, deposit.clone(), false),
        (Role::Protocol, deposit.clone(), true),
        (Role::Protocol, price("BTC", "a"), false),
        (Role::Protocol, vote.clone(), false),
        (Role::Governor, vote, true),
        (Role::Governor, deposit.clone(), false),
        (Role::Keeper, deposit.clone(), false),
        (Role::Operator, deposit, false),
        (Role::Operator, pause.clone(), true),
        (Role::Protocol, pause, false),
        (Role::Operator, resume.clone(), false),
        (Role::Governor, resume, true),
    ];
    for (role, said, open) in tried {
        let (status, answer) = ask(&world.app, keys[&role].signed(&asked("POST", "/v1/events", &said))).await;
        assert_eq!(status, StatusCode::OK, "{role} {said}: {answer}");
        let forbidden = answer[0]["problem"]["code"] == "forbidden";
        assert_eq!(!forbidden, open, "{role} {said}: {answer}");
        assert_eq!(answer[0]["sequence"].is_number(), open, "what is forbidden is in no journal: {answer}");
    }
    let by = signers(world.dir.path());
    let ids = [Role::Feeder, Role::Protocol, Role::Governor, Role::Operator, Role::Governor]
        .map(|role| keys[&role].id.clone());
    assert_eq!(by, ids);
}

/// Who handed in the records that say so.
fn signers(dir: &Path) -> Vec<String> {
    let disk = DirDisk::read_only(dir);
    let mut reader = Reader::open(&disk, "plimsoll", 1).unwrap();
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        if let Content::Signed { by, event } = Content::read(record.version, record.payload).unwrap() {
            assert_eq!(by.proof.unwrap().len(), 64);
            if let Some(key) = event.key {
                assert_eq!(key.source, format!("{}/s", by.key));
            }
            found.push(by.key);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_what_is_too_much_is_refused() {
    let (world, keys) = locked("units_per_second = 1\nunits_at_once = 1200\n");
    let key = &keys[&Role::Protocol];
    let send = async |body: String| {
        let of = Asked { body, ..asked("POST", "/v1/accounts/alice/check", &Value::Null) };
        ask(&world.app, key.signed(&of)).await
    };
    let (status, answer) = send("[".repeat(33) + &"]".repeat(33)).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::BAD_REQUEST, Some("argument")), "{answer}");
    let (status, _) = send(" ".repeat((1 << 20) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let leg = json!({ "instrument": "ETH_USDC-PERPETUAL", "quantity": "1" });
    let (status, answer) = send(json!({ "legs": vec![leg.clone(); 1_001] }).to_string()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let (status, _) = send(json!({ "legs": vec![leg.clone(); 1_000] }).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, answer) = send(json!({ "legs": vec![leg; 1_000] }).to_string()).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::TOO_MANY_REQUESTS, Some("quota")), "{answer}");
    let squeezed = Request::post("/v1/accounts/alice/check").header("content-encoding", "gzip");
    let (status, _) = ask(&world.app, squeezed.body(Body::from(vec![0; 64])).unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn api3_a_field_that_is_not_asked_for_is_refused() {
    let (world, keys) = locked("");
    for (route, said) in [
        ("/v1/accounts/alice/check", json!({ "legs": [], "role": "governor" })),
        ("/v1/margins", json!({ "accounts": [], "imFactor": "0" })),
        ("/v1/events", json!({ "events": [], "seq": 1 })),
        ("/v1/events", json!({ "events": [{ "event": { "type": "clock" }, "by": "governor" }] })),
    ] {
        let (status, answer) =
            ask(&world.app, keys[&Role::Protocol].signed(&asked("POST", route, &said))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{route} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_revoked_opens_nothing_within_a_second() {
    let (world, keys) = locked("");
    let key = &keys[&Role::Operator];
    let path = world.dir.path().join("keys.json");
    assert_eq!(
        ask(&world.app, key.signed(&asked("GET", "/v1/overview", &Value::Null))).await.0,
        StatusCode::OK
    );
    let mut ring = Keyring::read(&path).unwrap();
    ring.revoke(&key.id, now()).unwrap();
    assert!(ring.revoke(&key.id, now()).is_err(), "twice");
    ring.write(&path).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let after = ask(&world.app, key.signed(&asked("GET", "/v1/overview", &Value::Null))).await.0;
    assert_eq!(after, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_keyring_that_others_may_read_is_none_and_no_secret_is_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let mut ring = Keyring::default();
    let (id, secret) = ring.create(entry(Role::Reader, alice())).unwrap();
    ring.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&id) && !text.contains(&secret["plim_".len()..]), "{text}");
    assert_eq!(Keyring::read(&path).unwrap(), ring);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Keyring::read(&path).unwrap_err().to_string().contains("600"));
}

#[test]
fn api8_an_open_door_is_on_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    let far = "0.0.0.0:8443".parse().unwrap();
    let plain = config(dir.path(), "").doors;
    assert!(plimsoll_app::doors::check("127.0.0.1:1".parse().unwrap(), &plain).is_ok());
    let why = plimsoll_app::doors::check(far, &plain).unwrap_err().to_string();
    assert!(why.contains("plain HTTP"), "{why}");
    let half = config(dir.path(), "[doors]\ncertificate = \"cert.pem\"\n").doors;
    assert!(plimsoll_app::doors::check(far, &half).unwrap_err().to_string().contains("go together"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_the_public_sees_what_is_public() {
    for (public, market, account, all) in [
        ("nothing", StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
        ("market", StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::FORBIDDEN),
        ("everything", StatusCode::OK, StatusCode::OK, StatusCode::OK),
    ] {
        let (world, _) = locked(&format!("public = \"{public}\"\n"));
        for (path, expected) in [
            ("/v1/health", StatusCode::OK),
            ("/openapi.json", StatusCode::OK),
            ("/v1/validity", market),
            ("/v1/parameters", market),
            ("/v1/accounts/alice", account),
            ("/v1/overview", all),
            ("/v1/accounts", all),
        ] {
            let (status, answer) = world.get(path).await;
            assert_eq!(status, expected, "{public} {path}: {answer}");
        }
        let (status, _) = world.post("/v1/events", &json!({ "events": [] })).await;
        let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        assert!(refused, "{public}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api8_a_page_of_another_server_is_refused_and_a_borrowed_name_where_there_are_no_keys() {
    let (world, keys) = locked("");
    let open = World::calm();
    let sent = async |world: &World, host: &str, origin: Option<&str>| {
        let mut request = Request::get("/v1/health").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        ask(&world.app, request.body(Body::empty()).unwrap()).await.0
    };
    for host in ["127.0.0.1:8080", "localhost:8080", "LocalHost", "[::1]:8080", "127.0.0.1"] {
        assert_eq!(sent(&open, host, None).await, StatusCode::OK, "{host}");
        assert_eq!(sent(&open, host, Some(&format!("http://{host}"))).await, StatusCode::OK, "{host}");
    }
    for (host, origin) in [
        ("127.0.0.1:8080", Some("http://evil.example")),
        ("127.0.0.1:8080", Some("null")),
        ("127.0.0.1:8080", Some("http://127.0.0.1:9090")),
        ("rebound.example:8080", Some("http://rebound.example:8080")),
        ("rebound.example", None),
        ("127.0.0.1.evil.example", None),
    ] {
        assert_eq!(sent(&open, host, origin).await, StatusCode::FORBIDDEN, "{host} {origin:?}");
    }
    // With keys any name will do, but not another page.
    assert_eq!(sent(&world, "margin.example", None).await, StatusCode::OK);
    assert_eq!(sent(&world, "margin.example", Some("https://evil.example")).await, StatusCode::FORBIDDEN);
    drop(keys);
}

/// How many of so many requests were let in before the quota was spent.
async fn let_in(world: &World, key: &Key, route: &str, of: impl Fn(usize) -> Value) -> usize {
    let mut count = 0;
    for i in 0..60 {
        let (status, answer) = ask(&world.app, key.signed(&asked("POST", route, &of(i)))).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer["code"], "quota", "{answer}");
            return count;
        }
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn api6_what_is_done_too_often_is_stopped_by_the_quota_of_its_key() {
    let (mut world, keys) = locked("units_per_second = 1\nunits_at_once = 40\n");
    // Nobody takes over its own liquidation.
    tokio::task::block_in_place(|| {
        world.open("carol", "2000");
        world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "3", "3310");
        world.price("ETH", "2990");
        let host = world.host.as_ref().unwrap();
        let open: Vec<u64> = host.shared.course().engine.state().intents.keys().copied().collect();
        let effects = world.tell(json!({ "type": "liquidated", "intent": open[0], "taker": "carol",
            "instrument": "ETH_USDC-PERPETUAL", "quantity": "1", "price": "2990" }));
        let refused = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Rejected(reject) if reject.code == "self_trade"));
        assert!(refused, "{effects:?}");
    });
    // A what-if as a price oracle: a request and one leg are two units, so 40 are twenty prices, and one more as a second passes.
    let leg = json!({ "legs": [{ "instrument": "ETH_USDC-PERPETUAL", "quantity": "0.001" }] });
    let prices = let_in(&world, &keys[&Role::Reader], "/v1/accounts/alice/what-if", |_| leg.clone()).await;
    // Proposals, and their withdrawal.
    let proposals = let_in(&world, &keys[&Role::Governor], "/v1/proposals", |_| json!({})).await;
    // Liquidations that are reported and are none: a request and its event.
    let report = json!({ "events": [{ "event": { "type": "liquidated", "intent": 7, "taker": "bob",
        "instrument": "ETH_USDC-PERPETUAL", "quantity": "1", "price": "3310" } }] });
    let reports = let_in(&world, &keys[&Role::Keeper], "/v1/events", |_| report.clone()).await;
    println!("40 units: {prices} what-ifs of a leg, {proposals} proposals, {reports} reported liquidations");
    assert!((20..=22).contains(&prices), "{prices}");
    assert!((40..=43).contains(&proposals), "{proposals}");
    assert!((20..=22).contains(&reports), "{reports}");
    // One key's quota is not another's.
    let of = asked("GET", "/v1/accounts/alice", &Value::Null);
    assert_eq!(ask(&world.app, keys[&Role::Protocol].signed(&of)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_told_what_it_may_see_and_no_more() {
    let (world, keys) = locked("");
    let known = |role: Role| {
        let request = keys[&role].signed(&asked("GET", "/v1/whoami", &Value::Null));
        let app = &world.app;
        async move { ask(app, request).await }
    };
    let (status, reader) = known(Role::Reader).await;
    assert_eq!(status, StatusCode::OK, "{reader}");
    assert_eq!(
        (&reader["data"]["everybody"], &reader["data"]["accounts"]),
        (&json!(false), &json!(["alice"]))
    );
    let (_, operator) = known(Role::Operator).await;
    assert_eq!((&operator["data"]["everybody"], &operator["data"]["accounts"]), (&json!(true), &json!([])));
    let (status, _) = world.get("/v1/whoami").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (open, _) = locked("public = \"market\"\n");
    let (_, anybody) = open.get("/v1/whoami").await;
    assert_eq!((&anybody["data"]["everybody"], &anybody["data"]["accounts"]), (&json!(false), &json!([])));
}
