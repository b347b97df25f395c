//! API4 of the table of faults, on the real binary: what is too much is refused, costs no memory, and slows nobody else.

use crate::binary::{Server, post, started};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Least that counts as slower: on a machine that does other things too, a good client waits so long now and then.
const NOISE: Duration = Duration::from_millis(20);

/// Memory that all attacks together may cost the server, kB.
const MEMORY_KB: u64 = 64 << 10;

/// Sends bytes, and gives the status of the answer; 0 where the connection is closed without one.
fn sent(address: &str, request: &[u8]) -> u16 {
    let Ok(mut stream) = TcpStream::connect(address) else { return 0 };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The server need not read to the end what it refuses.
    let _ = stream.write_all(request);
    status(&mut stream)
}

fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => std::str::from_utf8(&head[9..]).unwrap().parse().unwrap(),
        Err(_) => 0,
    }
}

fn posted(address: &str, path: &str, extra: &str, body: &[u8]) -> u16 {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n",
        body.len()
    );
    sent(address, &[head.as_bytes(), body].concat())
}

/// Lines of `/proc/PID/status`, kB.
fn memory_kb(server: &Server, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// The 99th percentile of checks that a good client has answered, one after another, until told to stop.
fn good_client(address: &str, going: &dyn Fn() -> bool) -> (Duration, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET /v1/accounts/alice HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut times = Vec::new();
    while going() || times.len() < 200 {
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4_096];
        let whole = |answer: &[u8]| {
            let text = std::str::from_utf8(answer).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = head.to_ascii_lowercase();
            let length =
                length.split("content-length:").nth(1).unwrap().lines().next().unwrap().trim().to_owned();
            body.len() >= length.parse::<usize>().unwrap()
        };
        while !whole(&answer) {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "a good client was cut off");
            answer.extend_from_slice(&piece[..count]);
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    (times[times.len() * 99 / 100], times.len())
}

/// The good client while something is done to the server.
fn beside(address: &str, attack: impl FnOnce()) -> (Duration, usize) {
    let on = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let good = scope.spawn(|| good_client(address, &|| on.load(std::sync::atomic::Ordering::Acquire)));
        attack();
        on.store(false, std::sync::atomic::Ordering::Release);
        good.join().unwrap()
    })
}

/// Lets this process hold many sockets; how many it may.
fn sockets() -> usize {
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &own, "--nofile=12000:"]).status();
    if raised.is_ok_and(|status| status.success()) { 10_000 } else { 800 }
}

/// Bodies that are too long, too deep, too many, or more than they seem; which answers are right.
fn bodies(address: &str) {
    let check = "/v1/accounts/alice/check";
    let one_more = vec![b' '; (1 << 20) + 1];
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    let elements = |count: usize| format!("{{\"events\":[{}0]}}", "0,".repeat(count - 1)).into_bytes();
    let legs = |count: usize| {
        let leg = json!({ "instrument": "ETH_USDC-PERPETUAL", "quantity": "1" });
        json!({ "legs": vec![leg; count] }).to_string().into_bytes()
    };
    // A bomb need not be one: what is encoded is refused before it is opened.
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 4_096]].concat();
    for (what, path, extra, body, expected) in [
        ("1 MiB + 1", check, "", one_more, 413),
        ("33 brackets", check, "", deep(33), 400),
        ("500,000 elements", "/v1/events", "", elements(500_000), 400),
        ("1,000,000 elements", "/v1/events", "", elements(1_000_000), 413),
        ("1,001 legs", check, "", legs(1_001), 400),
        ("a gzip bomb", check, "content-encoding: gzip\r\n", bomb, 415),
    ] {
        for _ in 0..20 {
            assert_eq!(posted(address, path, extra, &body), expected, "{what}");
        }
    }
    let header = format!("GET /v1/health HTTP/1.1\r\nhost: {address}\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
    assert!([400, 431].contains(&sent(address, header.as_bytes())), "64 KiB of header");
}

/// Two hundred who say a letter at a time; all are let go in the time that heads may take, and a little more.
fn slowloris(address: &str) {
    let mut slow: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let begun = Instant::now();
    let mut letters = "GET /v1/health HTTP/1.1\r\nhost: slow\r\n".bytes().cycle();
    while begun.elapsed() < Duration::from_secs(9) {
        let letter = [letters.next().unwrap()];
        slow.retain_mut(|stream| stream.write_all(&letter).is_ok());
        if slow.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(slow.is_empty(), "{} of 200 are still listened to", slow.len());
}

/// As many sockets as may be had; those beyond the cap are closed at once. How many were opened, and how many were kept.
fn crowd(address: &str, count: usize) -> (usize, usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        if let Ok(stream) = TcpStream::connect(address) {
            held.push(stream);
        }
    }
    let opened = held.len();
    std::thread::sleep(Duration::from_millis(500));
    held.retain(|stream| {
        stream.set_nonblocking(true).unwrap();
        // What is closed reads as the end; what is kept has nothing to say yet.
        matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    (opened, held.len())
}

#[test]
fn api4_what_is_too_much_costs_no_memory_and_slows_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let most = sockets();
    let mut server = started(dir.path(), &[]).unwrap();
    let address = server.address.clone();
    let open = json!({ "events": [
        { "event": { "type": "open", "account": "alice" } },
        { "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": "1000" } } ] });
    assert!(post(&address, "/v1/events", &open).is_some());
    let begun = Instant::now();
    let (alone, count) = good_client(&address, &|| begun.elapsed() < Duration::from_secs(3));
    let before = memory_kb(&server, "VmHWM:");
    println!("alone: p99 {alone:?} of {count}; at most {before} kB");
    let mut kept = (0, 0);
    for (what, attack) in [
        ("bodies", Box::new(|| bodies(&address)) as Box<dyn FnOnce()>),
        ("slowloris", Box::new(|| slowloris(&address))),
        ("sockets", Box::new(|| kept = crowd(&address, most))),
    ] {
        let (p99, count) = beside(&address, attack);
        println!("{what}: p99 {p99:?} of {count}; at most {} kB", memory_kb(&server, "VmHWM:"));
        assert!(p99 <= alone.saturating_mul(2).max(NOISE), "{what}: {p99:?}, alone {alone:?}");
    }
    println!("{} sockets were opened, {} kept", kept.0, kept.1);
    assert!(kept.1 <= 1_024, "the cap is 1024");
    assert!(most < 10_000 || kept.0 >= 9_000, "{} opened", kept.0);
    let after = memory_kb(&server, "VmHWM:");
    assert!(after <= before + MEMORY_KB, "{before} kB before, {after} kB after");
    // And it goes on, once those who were kept are gone.
    std::thread::sleep(Duration::from_millis(500));
    assert!(post(&address, "/v1/events", &json!({ "events": [{ "event": { "type": "clock" } }] })).is_some());
    Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(server.child.wait().unwrap().success());
}
