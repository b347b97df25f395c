//! Sources outside, from a configuration to the journal.

use crate::world::{World, config};
use futures_util::{SinkExt, StreamExt};
use plimsoll_app::host::Content;
use plimsoll_app::intake::Intake;
use plimsoll_engine::live::Body;
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
