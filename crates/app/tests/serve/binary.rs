//! The real binary, killed and failed by its disk.

use plimsoll_app::host::replay;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_plimsoll");

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

/// Starts the binary, under another command if one is given, and waits until it listens. `None` when it ended before.
pub(crate) fn started(dir: &Path, under: &[String]) -> Option<Server> {
    started_by(dir, under, "")
}

/// The same, by a configuration that says more.
pub(crate) fn started_by(dir: &Path, under: &[String], more: &str) -> Option<Server> {
    let config = dir.join("plimsoll.toml");
    let text = "[journal]\ndir = \"journal\"\nsegment_mb = 8\nsnapshot_events = 50\n[server]\nlisten = \"127.0.0.1:0\"\n\
                clock_ms = 0\n[feed]\nquorum = 1\n[feeds.ETH]\nsources = { a = {} }\n";
    std::fs::write(&config, format!("{text}{more}")).unwrap();
    let mut words: Vec<String> = under.to_vec();
    words.extend([BINARY, "serve", "--log", "json", "--config", "plimsoll.toml"].map(str::to_owned));
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = value["fields"]["address"].as_str() {
            let address = address.to_owned();
            // Whatever it says from here on must not block it.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(Server { child, address });
        }
    }
    child.wait().unwrap();
    None
}

/// Deposits of one dollar under rising numbers, until one is not answered: the last that was.
fn deposits(server: &Server, from: u64, most: u64) -> u64 {
    let mut acknowledged = from;
    while acknowledged < most {
        let number = acknowledged + 1;
        let event = if number == 1 {
            json!({ "source": "t", "number": 1, "event": { "type": "open", "account": "alice" } })
        } else {
            json!({ "source": "t", "number": number,
                "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": "1" } })
        };
        match post(&server.address, "/v1/events", &json!({ "events": [event] })) {
            Some(answer) if answer[0]["applied"] == true || answer[0]["problem"]["code"] == "duplicate" => {
                acknowledged = number;
            }
            _ => return acknowledged,
        }
    }
    acknowledged
}

pub(crate) fn post(address: &str, path: &str, body: &Value) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).ok())?
}

/// Waits for the end of a process, which must come.
fn ended(child: &mut Child) -> ExitStatus {
    for _ in 0..600 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    panic!("it does not end");
}

/// What the journal says of alice: deposits applied.
fn found(dir: &Path) -> u64 {
    let (course, _) = replay(&dir.join("journal"), None, |_| Ok(())).unwrap();
    let ledger = &course.engine.state().ledger;
    ledger.accounts().first().map_or(0, |account| {
        let dollars = account.collateral.first().map_or(0, |(_, nano)| nano / 1_000_000_000);
        1 + u64::try_from(dollars).unwrap()
    })
}

#[test]
fn a_killed_server_has_everything_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..6_u64 {
        let mut server = started(dir.path(), &[]).unwrap();
        let killer = server.child.id();
        let after = Duration::from_millis(40 + 35 * round);
        let kill = std::thread::spawn(move || {
            std::thread::sleep(after);
            Command::new("kill").args(["-9", &killer.to_string()]).status().unwrap();
        });
        acknowledged = deposits(&server, acknowledged, u64::MAX);
        kill.join().unwrap();
        server.child.wait().unwrap();
    }
    assert!(acknowledged > 20, "{acknowledged}");
    let server = started(dir.path(), &[]).unwrap();
    // One more event may have been applied than was answered, never one less, and none twice.
    let more = deposits(&server, acknowledged, acknowledged + 5);
    assert_eq!(more, acknowledged + 5);
    let mut server = server;
    Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(server.child.wait().unwrap().success(), "a server that is asked to stop ends well");
    assert_eq!(found(dir.path()), more);
    println!("{acknowledged} acknowledged over 6 kills, 0 lost");
}

#[test]
fn f48_a_disk_that_fails_stops_the_server_and_loses_nothing() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is needed in CI");
        println!("skipped: there is no strace");
        return;
    }
    let (mut lost, mut failed) = (0, 0);
    for (call, error) in
        [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO"), ("fdatasync", "ENOSPC")]
    {
        for when in [3, 12, 30] {
            let dir = tempfile::tempdir().unwrap();
            let inject = format!("inject={call}:error={error}:when={when}+");
            let under =
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
            let under: Vec<String> = under.map(str::to_owned).into();
            let acknowledged = match started(dir.path(), &under) {
                Some(mut server) => {
                    let acknowledged = deposits(&server, 0, 60);
                    let status = ended(&mut server.child);
                    assert!(!status.success(), "{call} {error}: it must end with an error");
                    acknowledged
                }
                None => 0,
            };
            failed += 1;
            // The disk is well again: opening mends what is torn.
            let Some(mut server) = started(dir.path(), &[]) else {
                panic!("{call} {error} {when}: does not open")
            };
            Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
            ended(&mut server.child);
            lost += acknowledged.saturating_sub(found(dir.path()));
        }
    }
    assert_eq!(lost, 0);
    println!("{failed} failures of the disk, 0 acknowledged events lost");
}

#[test]
fn a_journal_is_printed_whole_however_large_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = started(dir.path(), &[]).unwrap();
    let huge = json!({ "events": [
        { "event": { "type": "open", "account": "alice" } },
        { "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": "999999999999999999" } },
        { "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": "1" } } ] });
    assert_eq!(post(&server.address, "/v1/events", &huge).unwrap()[1]["applied"], true);
    Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(ended(&mut server.child).success());
    let printed = |words: &[&str]| {
        let out = Command::new(BINARY).args(words).current_dir(dir.path()).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let exported = printed(&["journal", "export", "journal"]);
    assert_eq!(exported.lines().count(), 4, "{exported}");
    assert!(exported.contains("999999999999999999000000000"), "{exported}");
    assert_eq!(printed(&["journal", "tail", "journal", "-n", "2"]).lines().count(), 2);
    assert!(printed(&["journal", "verify", "journal"]).contains("Sealed"));
    let hash = printed(&["replay", "journal", "--hash"]);
    assert_eq!(hash.lines().last().map(str::len), Some(64), "{hash}");
}
