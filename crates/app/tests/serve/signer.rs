//! The signer: what it refuses, what it remembers, and the two processes together.

use crate::binary::{BINARY, Server, post, started_by};
use k256::ecdsa::SigningKey;
use plimsoll_app::doors::{Chain, hex};
use plimsoll_app::host::now;
use plimsoll_app::signer::{Answer, Ask, Bounds, Document, Key, Parameter, REASONS, Signed, ask};
use plimsoll_feeds::evm::{Address, recover, unhex};
use plimsoll_policy::{Leg, Ramp};
use plimsoll_types::{Ppb, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CONTRACT: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";

const SHIPPED: &str = include_str!("../../../../docs/operations/bounds.toml");

fn chain() -> Chain {
    Chain { chain_id: 31_337, verifying_contract: CONTRACT.parse().unwrap() }
}

/// A folder with a configuration, bounds and a key.
fn folder(bounds: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "socket = \"s.sock\"\nkey = \"signer.key\"\nbounds = \"bounds.toml\"\nledger = \"signer.ledger\"\nidentity = \"plimsoll\"\n\
         chain = {{ chain_id = 31337, verifying_contract = \"{CONTRACT}\" }}\n"
    );
    std::fs::write(dir.path().join("signer.toml"), text).unwrap();
    std::fs::write(dir.path().join("bounds.toml"), bounds).unwrap();
    write_key(dir.path(), &"5a".repeat(32), 0o600);
    dir
}

fn write_key(dir: &Path, text: &str, mode: u32) {
    let path = dir.join("signer.key");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn sign(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("sign").args(["--log", "json", "--config", "signer.toml"]).args(more).current_dir(dir);
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a signer says when it begins or is refused to begin.
fn said(dir: &Path, more: &[&str]) -> (bool, String) {
    let out = sign(dir, more).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8(text).unwrap())
}

struct Office {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Office {
    fn start(dir: &Path) -> Self {
        let mut child = sign(dir, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("signing"), "{first}");
        log.lock().unwrap().push_str(&first);
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push_str(&line));
        });
        Self { child, log }
    }

    /// Ends at once, as a power cut would.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whole seconds from now.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(now().seconds() + seconds)
}

fn parameter(name: &str, initial: i64) -> Parameter {
    Parameter { name: name.to_owned(), initial: Ppb(initial), maintenance: Ramp::level(Ppb(initial)) }
}

fn document(sequence: u64, version: u64, parameters: Vec<Parameter>) -> Document {
    Document { sequence, version, time: at(0), valid_until: at(3_600), parameters }
}

fn asked(dir: &Path, document: &Document) -> Answer {
    ask(&dir.join("s.sock"), &Ask::Sign { document: document.clone() }).unwrap()
}

fn signed(dir: &Path, document: &Document) -> Signed {
    match asked(dir, document) {
        Answer::Signed(signed) => *signed,
        other => panic!("{other:?}"),
    }
}

fn code(dir: &Path, document: &Document) -> String {
    match asked(dir, document) {
        Answer::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    }
}

fn signer_of(signed: &Signed) -> Address {
    let hash = signed.document.hash(&chain().domain("plimsoll"));
    recover(&hash, &unhex(&signed.signature).unwrap()).unwrap()
}

/// What makes a document another one.
type Change<'a> = &'a dyn Fn(&mut Document);

const SCAN: &str = "price_scan_up[BTC]";

#[test]
fn what_breaks_a_bound_is_refused_by_its_word_and_changes_nothing() {
    let dir = folder(SHIPPED);
    assert!(said(dir.path(), &["--begin"]).0);
    let _office = Office::start(dir.path());
    let scan = |initial| vec![parameter("haircut[USDC]", 20_000_000), parameter(SCAN, initial)];
    let first = signed(dir.path(), &document(10, 1, scan(150_000_000)));
    assert_eq!(signer_of(&first), first.signer);
    let with = |change: &dyn Fn(&mut Document)| {
        let mut next = document(11, 2, scan(160_000_000));
        change(&mut next);
        next
    };
    let leg = |starts: i64, rise| Leg { starts: at(starts), ends: at(starts + 86_400), rise: Ppb(rise) };
    let path = |legs| Ramp { from: Ppb(150_000_000), legs };
    let cases: [(&str, Change<'_>); 19] = [
        ("form", &|d| d.parameters.reverse()),
        ("form", &|d| d.time = Timestamp::from_nanos(d.time.nanos() + 1)),
        ("form", &|d| d.parameters.clear()),
        ("sequence", &|d| d.sequence = 9),
        ("equivocation", &|d| d.sequence = 10),
        ("version", &|d| d.version = 0),
        ("version", &|d| d.version = 1),
        ("time", &|d| d.time = at(-120)),
        ("time", &|d| d.time = at(120)),
        ("valid_until", &|d| d.valid_until = at(172_900)),
        ("valid_until", &|d| d.valid_until = d.time),
        ("missing", &|d| drop(d.parameters.remove(0))),
        ("floor", &|d| d.parameters[1] = parameter(SCAN, 9_999_999)),
        ("ceiling", &|d| d.parameters[1] = parameter(SCAN, 2_000_000_001)),
        ("step", &|d| d.parameters[1] = parameter(SCAN, 450_000_001)),
        ("step", &|d| d.parameters[1] = parameter(SCAN, 97_499_999)),
        // What is held may not be let go faster than what is new.
        ("step", &|d| d.parameters[1].maintenance = Ramp::level(Ppb(97_000_000))),
        ("path", &|d| d.parameters[1].maintenance = path(vec![leg(3_500, 10_000_001)])),
        ("notice", &|d| d.parameters[1].maintenance = path(vec![leg(2_900, 10_000_000)])),
    ];
    for (expected, change) in cases {
        let refused = with(change);
        assert_eq!(code(dir.path(), &refused), expected, "{refused:?}");
    }
    let unbounded = "[rate]\nsignatures = 1\nseconds = 60\n";
    assert!(Bounds::parse(unbounded).is_err());
    // The same that was signed is signed again, to the last byte; what keeps its notice is signed.
    assert_eq!(signed(dir.path(), &first.document), first);
    let good = with(&|d| d.parameters[1].maintenance = path(vec![leg(3_500, 10_000_000)]));
    let second = signed(dir.path(), &good);
    assert_eq!(second.document.parameters[1].maintenance.end(), Ppb(160_000_000));
    // Two steps within one window count together: three times 150 is 450, whatever was signed in between.
    let further = |sequence, initial| {
        let mut next = document(sequence, sequence, scan(initial));
        next.parameters[1].maintenance = path(vec![leg(3_600, initial - 150_000_000)]);
        next
    };
    signed(dir.path(), &further(12, 440_000_000));
    assert_eq!(code(dir.path(), &further(13, 450_000_001)), "step");
}

#[test]
fn the_rate_is_kept_over_a_restart() {
    let dir = folder(&SHIPPED.replace("signatures = 120 ", "signatures = 2 "));
    assert!(said(dir.path(), &["--begin"]).0);
    let office = Office::start(dir.path());
    signed(dir.path(), &document(1, 1, vec![parameter(SCAN, 150_000_000)]));
    office.kill();
    let _office = Office::start(dir.path());
    signed(dir.path(), &document(2, 1, vec![parameter(SCAN, 150_000_000)]));
    assert_eq!(code(dir.path(), &document(3, 1, vec![parameter(SCAN, 150_000_000)])), "rate");
}

#[test]
fn a_signer_that_was_killed_signs_nothing_else_under_a_number_it_has_signed() {
    let dir = folder(SHIPPED);
    assert!(said(dir.path(), &["--begin"]).0);
    for round in 1..=5_u64 {
        let office = Office::start(dir.path());
        let first = document(round * 10, round, vec![parameter(SCAN, 150_000_000)]);
        let made = signed(dir.path(), &first);
        let log = office.kill();
        let _office = Office::start(dir.path());
        let other = Document { valid_until: at(3_601), ..first.clone() };
        assert_eq!(code(dir.path(), &other), "equivocation");
        let older = document(round * 10 - 1, round, first.parameters.clone());
        assert_eq!(code(dir.path(), &older), "sequence");
        assert_eq!(ask(&dir.path().join("s.sock"), &Ask::Last {}).unwrap(), Answer::Signed(Box::new(made)));
        assert!(!log.contains(&"5a".repeat(32)), "{log}");
    }
}

#[test]
fn a_signer_without_its_ledger_or_with_a_key_that_others_may_read_does_not_begin() {
    let secret = "5a".repeat(32);
    let dir = folder(SHIPPED);
    let refused = |why: &str| {
        let (good, text) = said(dir.path(), &[]);
        assert!(!good && text.contains(why) && !text.contains(&secret[..16]), "{why}: {text}");
    };
    refused("no ledger");
    let (good, text) = said(dir.path(), &["--begin"]);
    let key = SigningKey::from_slice(&[0x5a; 32]).unwrap();
    let address = plimsoll_feeds::evm::address_of(key.verifying_key());
    assert!(good && text.contains(&address.to_string()) && !text.contains(&secret), "{text}");
    assert!(!said(dir.path(), &["--begin"]).0, "a ledger begins once");
    write_key(dir.path(), &secret, 0o640);
    refused("mode 640");
    write_key(dir.path(), &secret[..62], 0o600);
    refused("expected a key of 32 bytes");
    write_key(dir.path(), &"5b".repeat(32), 0o600);
    refused("the ledger of");
    write_key(dir.path(), &secret, 0o600);
    let ledger = dir.path().join("signer.ledger");
    let sound = std::fs::read(&ledger).unwrap();
    std::fs::write(&ledger, &sound[..sound.len() / 2]).unwrap();
    refused("signer.ledger");
    std::fs::write(&ledger, &sound).unwrap();
    let office = Office::start(dir.path());
    refused("another process signs by this ledger");
    // Garbage, silence and a line without end are answered or let go, and the next is served.
    let socket = dir.path().join("s.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    for garbage in [&b"{}"[..], b"\xff\xfe", b"", &[b'['; 4_000]] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(&[garbage, b"\n"].concat()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.contains("\"form\""), "{text}");
    }
    let _silent = UnixStream::connect(&socket).unwrap();
    signed(dir.path(), &document(1, 1, vec![parameter(SCAN, 150_000_000)]));
    assert!(!office.kill().contains(&secret));
    let made = std::fs::read_to_string(&ledger).unwrap();
    assert!(!made.contains(&secret), "{made}");
}

fn get(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
}

/// Waits until what is published stands so.
fn until(server: &Server, standing: &str, more: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..400 {
        let published = get(&server.address, "/v1/published")["data"].clone();
        if published["standing"] == standing && more(&published) {
            return published;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never {standing}: {}", get(&server.address, "/v1/published"));
}

#[test]
fn a_server_publishes_what_is_signed_and_goes_on_without_its_signer() {
    let dir = folder(SHIPPED);
    let (_, begun) = said(dir.path(), &["--begin"]);
    let address = begun.split_whitespace().find(|word| word.starts_with("0x")).unwrap();
    let more = format!(
        "[doors]\nchain = {{ chain_id = 31337, verifying_contract = \"{CONTRACT}\" }}\n\
         [signer]\nsocket = \"s.sock\"\naddress = \"{address}\"\nevery_ms = 50\n"
    );
    let mut server = started_by(dir.path(), &[], &more).unwrap();
    until(&server, "away", |_| true);
    assert_eq!(get(&server.address, "/v1/health")["signer"], "away");
    let office = Office::start(dir.path());
    let published = until(&server, "signed", |_| true);
    let last: Signed = serde_json::from_value(published["last"].clone()).unwrap();
    assert_eq!(signer_of(&last).to_string(), address);
    let in_force = get(&server.address, "/v1/parameters");
    let named: BTreeSet<(String, String)> = in_force["data"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap().to_owned(), one["initial"].as_str().unwrap().to_owned()))
        .collect();
    let told =
        last.document.parameters.iter().map(|one| (one.name.clone(), one.initial.to_string())).collect();
    assert_eq!(named, told, "what is published is what is in force");
    assert_eq!(json!(last.document.version), in_force["parameters"]);
    // Without its signer the server goes on, and says so; what was signed is still told.
    let log = office.kill();
    assert!(log.contains("\"signed\""), "{log}");
    let away = until(&server, "away", |_| true);
    assert_eq!(away["last"], published["last"]);
    let event = json!({ "event": { "type": "open", "account": "alice" } });
    let answer = post(&server.address, "/v1/events", &json!({ "events": [event] })).unwrap();
    assert_eq!(answer[0]["applied"], true, "{answer}");
    assert_eq!(get(&server.address, "/v1/health")["status"], "ok");
    let metrics = get(&server.address, "/metrics");
    assert!(metrics.as_str().unwrap().contains("plimsoll_signer_up 0"), "{metrics}");
    // One that signs with another key is not believed; the one that comes back is.
    let other = folder(SHIPPED);
    write_key(other.path(), &"5c".repeat(32), 0o600);
    assert!(said(other.path(), &["--begin"]).0);
    let stranger = Office::start(other.path());
    std::fs::remove_file(dir.path().join("s.sock")).unwrap();
    std::os::unix::fs::symlink(other.path().join("s.sock"), dir.path().join("s.sock")).unwrap();
    until(&server, "away", |_| true);
    signed(other.path(), &document(1, 1, vec![parameter(SCAN, 150_000_000)]));
    std::thread::sleep(Duration::from_millis(300));
    let told = get(&server.address, "/v1/published")["data"].clone();
    assert_eq!((&told["standing"], &told["last"]), (&json!("away"), &published["last"]));
    stranger.kill();
    std::fs::remove_file(dir.path().join("s.sock")).unwrap();
    let _office = Office::start(dir.path());
    until(&server, "signed", |_| true);
    Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn what_the_signer_refuses_is_said_and_is_not_published() {
    // Scales of 1 are above this ceiling.
    let dir = folder(&SHIPPED.replace("ceiling = \"3\"", "ceiling = \"0.5\""));
    let (_, begun) = said(dir.path(), &["--begin"]);
    let address = begun.split_whitespace().find(|word| word.starts_with("0x")).unwrap();
    let _office = Office::start(dir.path());
    let more = format!(
        "[doors]\nchain = {{ chain_id = 31337, verifying_contract = \"{CONTRACT}\" }}\n\
         [signer]\nsocket = \"s.sock\"\naddress = \"{address}\"\nevery_ms = 50\n"
    );
    let mut server = started_by(dir.path(), &[], &more).unwrap();
    let refused = until(&server, "refused", |_| true);
    assert_eq!(refused["refusal"]["code"], "ceiling", "{refused}");
    assert!(refused.get("last").is_none(), "{refused}");
    assert_eq!(get(&server.address, "/v1/health")["signer"], "refused");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}

/// Made by `eth_account` 0.13 with the key `5a` thirty-two times.
#[test]
fn what_is_signed_is_what_other_programs_sign() {
    let instant = |seconds: i64| Timestamp::from_seconds(1_767_225_600 + seconds);
    let leg = |from: i64, to: i64, rise| Leg { starts: instant(from), ends: instant(to), rise: Ppb(rise) };
    let legs = vec![leg(3_600, 90_000, 4_000_000), leg(7_200, 93_600, 6_000_000)];
    let scan =
        Parameter { maintenance: Ramp { from: Ppb(150_000_000), legs }, ..parameter(SCAN, 160_000_000) };
    let document = Document {
        sequence: 7,
        version: 3,
        time: instant(0),
        valid_until: instant(3_600),
        parameters: vec![parameter("haircut[USDC]", 20_000_000), scan],
    };
    let hash = document.hash(&chain().domain("plimsoll"));
    assert_eq!(hex(&hash), "73831bc4e92eb4f687f57668387de825948b088060a269c096dd2674b8e815cf");
    let dir = folder(SHIPPED);
    let key = Key::read(&dir.path().join("signer.key")).unwrap();
    assert_eq!(key.address().to_string(), "0xa8049bb68181799124f98e467dd749e120abfa64");
    assert_eq!(
        hex(&key.sign(&hash).unwrap()),
        "aeb163c5856d094a25bd06d009c1973d4f3a4cdf55b927d9e538be4ced44f0d2\
         789925d4cd9a610c981c338873ae862259a73fc9266710b3571afdce346effa11c"
    );
    assert_eq!(format!("{key:?}"), "Key of 0xa8049bb68181799124f98e467dd749e120abfa64");
}

#[test]
fn every_reason_of_the_signer_is_documented() {
    let page = include_str!("../../../../docs/reasons.md");
    for code in REASONS {
        assert!(page.contains(&format!("`{code}`")), "docs/reasons.md does not explain `{code}`");
    }
    let unit = include_str!("../../../../docs/operations/signer.toml");
    assert!(unit.contains("bounds.toml"));
    Bounds::parse(SHIPPED).unwrap();
}
