//! Sources outside, from a configuration to the journal.

use crate::world::{World, config};
use futures_util::{SinkExt, StreamExt};
use plimsoll_app::host::{At, Content, Entry};
use plimsoll_app::intake::Intake;
use plimsoll_engine::live::Body;
use plimsoll_engine::live::feed::Validity;
use plimsoll_journal::{DirDisk, Reader};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// A venue that says one index price per connection, after garbage, and then breaks off.
async fn venue(listener: TcpListener, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let number = connections.fetch_add(1, Ordering::Relaxed);
        let Ok(mut socket) = accept_async(stream).await else { continue };
        let Some(Ok(asked)) = socket.next().await else { continue };
        assert!(asked.to_text().unwrap().contains("\"method\""), "everything is asked for anew: {asked}");
        let at = plimsoll_app::host::now().nanos() / 1_000_000;
        let index = |name: &str, price: f64| {
            json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "channel": format!("deribit_price_index.{name}"),
                "data": { "timestamp": at, "price": price, "index_name": name } } })
        };
        let price = 97_000.5 + number as f64;
        for text in [
            "{garbage".to_owned(),
            index("btc_usd", price).to_string(),
            index("eth_usd", 3_300.25).to_string(),
        ] {
            if socket.send(Message::text(text)).await.is_err() {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_source_is_heard_again_and_again_and_only_of_what_it_is_a_source_of() {
    let world = World::calm();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    tokio::spawn(venue(listener, Arc::clone(&connections)));
    let sources = format!(
        "[reach]\nhosts = [\"{address}\"]\nloopback = true\n[sources.a]\nkind = \"deribit\"\nurl = \"ws://{address}/\"\n\
         indices = {{ btc_usd = {{ asset = \"BTC\", quote = \"USD\" }} }}\n[sources.stranger]\nkind = \"deribit\"\n\
         url = \"ws://{address}/\"\nindices = {{ btc_usd = {{ asset = \"BTC\", quote = \"USD\" }} }}\n"
    );
    let told = config(world.dir.path(), &sources);
    let host = world.host.as_ref().unwrap();
    let runtime = tokio::runtime::Handle::current();
    let intake = Intake::start(&told.intake, &told.charter, &host.ingest, &runtime).unwrap();
    let mut heard = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        heard = prices(world.dir.path());
        if heard.len() >= 2 {
            break;
        }
    }
    intake.stop();
    assert!(heard.len() >= 2, "{heard:?} of {connections:?} connections");
    assert!(heard.iter().all(|(asset, source, _)| asset == "BTC" && source == "a"), "{heard:?}");
    let exact: Vec<f64> = heard.iter().map(|(_, _, price)| *price).collect();
    assert!(exact.iter().all(|price| *price > 97_000.0 && price.fract() == 0.5), "{exact:?}");
}

/// Prices of the journal that are not the world's own.
fn prices(dir: &Path) -> Vec<(String, String, f64)> {
    let disk = DirDisk::read_only(dir);
    let mut reader = Reader::open(&disk, "plimsoll", 1).unwrap();
    let mut found = Vec::new();
    while let Ok(Some(record)) = reader.next_record() {
        let Content::Event(event) = Content::read(record.version, record.payload).unwrap() else { continue };
        if let Body::Price { asset, source, seen } = event.body {
            let price = seen.price.to_f64().unwrap();
            if price.fract() == 0.5 && asset.as_str() != "SOL" {
                found.push((asset.to_string(), source, price));
            }
        }
    }
    found
}

/// What the journal holds: prices of an asset by their sequences, depths, and what was announced.
#[derive(Debug, Default)]
struct Journaled {
    prices: Vec<(u64, f64)>,
    depths: usize,
    announced: Vec<String>,
}

fn journaled(dir: &Path, of: &str) -> Journaled {
    let disk = DirDisk::read_only(dir);
    let mut reader = Reader::open(&disk, "plimsoll", 1).unwrap();
    let mut found = Journaled::default();
    while let Ok(Some(record)) = reader.next_record() {
        let Content::Event(event) = Content::read(record.version, record.payload).unwrap() else { continue };
        match event.body {
            Body::Price { asset, seen, .. } if asset.as_str() == of => {
                found.prices.push((seen.sequence, seen.price.to_f64().unwrap()));
            }
            Body::Depth { underlying, .. } if underlying.as_str() == of => found.depths += 1,
            Body::Announced { instruments } => {
                found.announced.extend(instruments.iter().map(ToString::to_string));
            }
            _ => {}
        }
    }
    found
}

/// Two tables of one hour, of a ticker and of a book.
fn tables(dir: &Path) {
    let ticks: String = (0..6_u64)
        .map(|i| {
            let at = 1_700_000_000_000_000 + i * 600_000_000;
            format!("deribit,BTC-PERPETUAL,{at},{},,0.0001,,1000,97001.5,97{i}00.5,97002\n", at + 5)
        })
        .collect();
    let head = "exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price\n";
    std::fs::write(dir.join("ticker.csv"), format!("{head}{ticks}")).unwrap();
    let rows: String = (0..6_u64)
        .flat_map(|i| {
            let at = 1_700_000_000_000_000 + i * 600_000_000;
            ["bid,96990", "ask,97010"]
                .map(|side| format!("deribit,BTC-PERPETUAL,{at},{},{},{side},10\n", at + 7, i == 0))
        })
        .collect();
    let head = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n";
    std::fs::write(dir.join("book.csv"), format!("{head}{rows}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_told_at_its_speed_as_if_it_happened_now_and_again_after_a_restart() {
    let world = World::calm();
    tables(world.dir.path());
    let sources = "[reach]\ndepth_seconds = 1\n[sources.a]\nkind = \"replay\"\nfiles = [\"ticker.csv\", \"book.csv\"]\nspeed = 1500\n";
    let told = config(world.dir.path(), sources);
    let host = world.host.as_ref().unwrap();
    let mut before = journaled(world.dir.path(), "BTC").prices.len();
    for round in 1..=2 {
        let began = std::time::Instant::now();
        let intake =
            Intake::start(&told.intake, &told.charter, &host.ingest, &tokio::runtime::Handle::current())
                .unwrap();
        let mut found = Journaled::default();
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            found = journaled(world.dir.path(), "BTC");
            if found.prices.len() >= before + 6 {
                break;
            }
        }
        intake.stop();
        let heard = &found.prices[found.prices.len() - 6..];
        let exact: Vec<f64> = heard.iter().map(|(_, price)| *price).collect();
        assert_eq!(exact, [97_000.5, 97_100.5, 97_200.5, 97_300.5, 97_400.5, 97_500.5], "round {round}");
        // Fifty minutes at 1500 times the speed are two seconds.
        assert!(began.elapsed() >= Duration::from_millis(1_990), "{:?}", began.elapsed());
        assert!(
            found.prices.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "the second telling is newer: {found:?}"
        );
        assert!(found.depths > 0, "{found:?}");
        before = found.prices.len();
    }
}

#[test]
fn a_recording_that_cannot_be_told_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("there.csv"), "").unwrap();
    let parse = |source: &str| {
        let text = format!(
            "[sources.a]\nkind = \"replay\"\n{source}\n[feeds.BTC]\nsources = {{ a = {{}} }}\nquorum = 1\n"
        );
        let now = plimsoll_app::host::now();
        let read = plimsoll_app::host::Config::parse(&text, std::iter::empty(), dir.path(), now);
        read.map(drop).map_err(|e| format!("{e:#}"))
    };
    parse("files = [\"there.csv\"]").unwrap();
    parse("files = [\"there.csv\"]\nspeed = inf").unwrap();
    for (source, why) in [
        ("files = []", "names none"),
        ("files = [\"missing.csv\"]", "missing.csv"),
        ("files = [\"there.csv\"]\nspeed = 0", "`speed` is 0"),
        ("files = [\"there.csv\"]\nspeed = nan", "`speed` is NaN"),
        ("files = [\"there.csv\"]\nslow = 1", "unknown field `slow`"),
        ("", "missing field `files`"),
    ] {
        let refused = parse(source).unwrap_err();
        assert!(refused.contains("sources") && refused.contains(why), "{source}: {refused}");
    }
}

/// A venue that says what it trades, first of all and then one more.
async fn lister(listener: TcpListener) {
    let Ok((stream, _)) = listener.accept().await else { return };
    let Ok(mut socket) = accept_async(stream).await else { return };
    while let Some(Ok(asked)) = socket.next().await {
        let Ok(asked) = serde_json::from_str::<serde_json::Value>(asked.to_text().unwrap_or("")) else {
            continue;
        };
        if asked["method"] == "public/get_instruments" {
            let traded = ["SOL_USDC-27DEC30-150-C", "SOL_USDC-27DEC30-160-C", "XRP_USDC-27DEC30-2-C"];
            let result: Vec<_> = traded
                .iter()
                .map(|name| json!({ "instrument_name": name, "is_active": !name.contains("160") }))
                .collect();
            let reply = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
            let later = json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "channel": "instrument.state.any.SOL",
                "data": { "timestamp": 1, "state": "started", "instrument_name": "SOL_USDC-27DEC30-170-C" } } });
            for text in [reply, later] {
                let _ = socket.send(Message::text(text.to_string())).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_announces_is_listed_where_that_is_wanted() {
    for (list, expected) in [(true, 2), (false, 0)] {
        let world = World::calm();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(lister(listener));
        let sources = format!(
            "[reach]\nhosts = [\"{address}\"]\nloopback = true\nchain_seconds = 1\nlist = {list}\n[sources.a]\nkind = \"deribit\"\n\
             url = \"ws://{address}/\"\ncurrencies = [\"SOL\"]\n"
        );
        let told = config(world.dir.path(), &sources);
        let host = world.host.as_ref().unwrap();
        let intake =
            Intake::start(&told.intake, &told.charter, &host.ingest, &tokio::runtime::Handle::current())
                .unwrap();
        let mut found = Journaled::default();
        for _ in 0..if list { 300 } else { 30 } {
            tokio::time::sleep(Duration::from_millis(100)).await;
            found = journaled(world.dir.path(), "SOL");
            if list && found.announced.len() >= expected {
                break;
            }
        }
        intake.stop();
        let names = ["SOL_USDC-27DEC30-150-C", "SOL_USDC-27DEC30-170-C"];
        assert_eq!(found.announced, names.get(..expected).unwrap(), "list = {list}");
        let course = host.shared.course();
        let listed = course.engine.state().ledger.number(&names[0].parse().unwrap()).is_ok();
        assert_eq!(listed, list);
    }
}

#[test]
fn api7_an_address_that_may_not_be_reached_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let parse = |hosts: &str, url: &str| -> Result<(), String> {
        let text = format!(
            "[reach]\nhosts = [{hosts}]\n[sources.a]\nkind = \"deribit\"\nurl = \"{url}\"\n[feeds.BTC]\nsources = {{ a = {{}} }}\nquorum = 1\n"
        );
        let now = plimsoll_app::host::now();
        plimsoll_app::host::Config::parse(&text, std::iter::empty(), dir.path(), now)
            .map(drop)
            .map_err(|e| format!("{e:#}"))
    };
    parse("\"www.deribit.com\"", "wss://www.deribit.com/ws/api/v2").unwrap();
    for (hosts, url) in [
        ("", "wss://www.deribit.com/ws/api/v2"),
        ("\"www.deribit.com\"", "ws://www.deribit.com/ws/api/v2"),
        ("\"127.0.0.1\"", "wss://127.0.0.1/"),
        ("\"10.0.0.1\"", "wss://10.0.0.1/"),
        ("\"169.254.169.254\"", "wss://169.254.169.254/"),
        ("\"www.deribit.com\"", "file:///etc/passwd"),
    ] {
        let why = parse(hosts, url).unwrap_err();
        assert!(why.contains("sources.a"), "{url}: {why}");
    }
}

/// A venue that says nothing until it is told to, and then everything at once.
async fn burst(listener: TcpListener, go: Arc<tokio::sync::Notify>, ticks: u64) {
    let Ok((stream, _)) = listener.accept().await else { return };
    let Ok(mut socket) = accept_async(stream).await else { return };
    go.notified().await;
    let at = plimsoll_app::host::now().nanos() / 1_000_000;
    for i in 0..ticks {
        let text = json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "channel": "deribit_price_index.btc_usd",
            "data": { "timestamp": at + i64::try_from(i).unwrap() - 60_000, "price": 97_000.0 + (i % 100) as f64 / 100.0,
                "index_name": "btc_usd" } } });
        if socket.feed(Message::text(text.to_string())).await.is_err() {
            return;
        }
    }
    let _ = socket.flush().await;
    // What was said is read before the connection ends.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// What the journal holds of the price of BTC.
fn ticks(dir: &Path) -> Vec<f64> {
    let disk = DirDisk::read_only(dir);
    let mut reader = Reader::open(&disk, "plimsoll", 1).unwrap();
    let mut found = Vec::new();
    while let Ok(Some(record)) = reader.next_record() {
        let Content::Event(event) = Content::read(record.version, record.payload).unwrap() else { continue };
        if let Body::Price { asset, seen, .. } = event.body
            && asset.as_str() == "BTC"
        {
            found.push(seen.price.to_f64().unwrap());
        }
    }
    found
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// F40 through a real adapter: ten minutes of silence by the engine's time, then sixty thousand ticks of a second at once. Prices give way to
/// later ones, positions do not, and the last price is the one that counts.
#[tokio::test(flavor = "multi_thread")]
async fn f40_a_burst_after_silence_is_conflated_and_caught_up_with() {
    const TICKS: u64 = 60_000;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let more = format!(
        "[server]\nqueue = 2000\n[reach]\nhosts = [\"{address}\"]\nloopback = true\n[sources.a]\nkind = \"deribit\"\nurl = \"ws://{address}/\"\n\
         indices = {{ btc_usd = {{ asset = \"BTC\", quote = \"USD\" }} }}\n"
    );
    let mut world = World::empty(&more);
    let silent_since = plimsoll_app::host::now().plus_seconds(-600);
    world.now = silent_since;
    world.price("BTC", "97000");
    world.ok(json!({ "type": "open", "account": "alice" }));
    let go = Arc::new(tokio::sync::Notify::new());
    let venue = tokio::spawn(burst(listener, Arc::clone(&go), TICKS));
    let told = config(world.dir.path(), &more);
    let (ingest, shared) = {
        let host = world.host.as_ref().unwrap();
        (Arc::clone(&host.ingest), Arc::clone(&host.shared))
    };
    let intake =
        Intake::start(&told.intake, &told.charter, &ingest, &tokio::runtime::Handle::current()).unwrap();
    world.now = plimsoll_app::host::now();
    world.ok(json!({ "type": "clock" }));
    let validity = || {
        let course = shared.course();
        course.engine.state().feeds[&plimsoll_types::Asset::new("BTC").unwrap()].validity()
    };
    assert_eq!(validity(), Validity::Halted, "after ten minutes of silence");
    let (before, begun, first) = (resident_kb(), std::time::Instant::now(), shared.applied());
    go.notify_one();
    let (mut deposits, mut refused, mut quiet, mut seen) = (0_u32, 0_u32, 0, first);
    // Somebody pays in all the while; then it is waited until nothing more is applied.
    for round in 0.. {
        if round < 200 {
            let (account, asset) = ("alice".parse().unwrap(), plimsoll_types::Asset::new("USD").unwrap());
            let body = Body::Deposit { account, asset, nano: 1_000_000_000 };
            match ingest.submit(Entry::new(At::Now, None, body), None) {
                Ok(_) => deposits += 1,
                Err(_) => refused += 1,
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let still = shared.applied() == seen && ingest.waiting() == 0 && seen - first > u64::from(deposits);
        (quiet, seen) = (if still { quiet + 1 } else { 0 }, shared.applied());
        if round >= 200 && quiet >= 100 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not catch up");
    }
    let took = begun.elapsed().saturating_sub(Duration::from_millis(500));
    intake.stop();
    venue.abort();
    let grown = resident_kb().saturating_sub(before);
    let course = shared.course();
    let account = course.engine.state().ledger.accounts()[0].clone();
    assert_eq!(account.collateral[0].1, i128::from(deposits) * 1_000_000_000, "positions are not conflated");
    drop(course);
    let heard = ticks(world.dir.path());
    let last = *heard.last().unwrap();
    assert!((last - (97_000.0 + ((TICKS - 1) % 100) as f64 / 100.0)).abs() < 1e-9, "{last}");
    println!(
        "{TICKS} ticks: {} applied, {} gave way, {deposits} deposits applied and {refused} refused; caught up within {took:?}, {grown} kB more",
        heard.len(),
        ingest.conflated()
    );
    assert!(grown < 128 << 10, "{grown} kB");
}
