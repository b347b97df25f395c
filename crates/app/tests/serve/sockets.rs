//! Channels over a real socket.

use crate::world::World;
use futures_util::{SinkExt, StreamExt};
use plimsoll_app::doors::{self, DoorsConfig};
use plimsoll_app::serve::serve;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connected(world: &World) -> Socket {
    let address = served(world).await;
    connect_async(format!("ws://{address}/v1/ws")).await.unwrap().0
}

/// Serves a world on a port of its own.
pub(crate) async fn served(world: &World) -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let open = doors::open(any, &DoorsConfig::default()).await.unwrap();
    let address = open.address().unwrap();
    tokio::spawn(serve(Arc::clone(&world.app), open, std::future::pending()));
    address
}

pub(crate) async fn say(socket: &mut Socket, what: Value) {
    socket.send(Message::Text(what.to_string().into())).await.unwrap();
}

pub(crate) async fn next(socket: &mut Socket) -> Value {
    let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap();
    match message.unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn of(socket: &mut Socket, channel: &str) -> Value {
    loop {
        let message = next(socket).await;
        if message["channel"] == channel {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn margins_follow_the_price_and_validity_is_told() {
    let mut world = World::calm();
    let mut socket = connected(&world).await;
    let channels =
        json!(["margin.alice", "scenarios.alice", "validity", "overview", "params", "liquidations"]);
    say(&mut socket, json!({ "op": "subscribe", "channels": channels })).await;
    assert_eq!(next(&mut socket).await["op"], "subscribed");
    let before = of(&mut socket, "margin.alice").await;
    assert!(of(&mut socket, "overview").await["data"]["accounts"].is_u64());
    tokio::task::block_in_place(|| world.price("ETH", "3410"));
    let after = of(&mut socket, "margin.alice").await;
    assert_ne!(before["data"]["totals"]["equity"], after["data"]["totals"]["equity"]);
    assert!(after["sequence"].as_u64() > before["sequence"].as_u64());
    assert!(of(&mut socket, "scenarios.alice").await["data"]["underlyings"].is_array());
    tokio::task::block_in_place(|| world.ok(json!({ "type": "uptime", "down": true })));
    let validity = of(&mut socket, "validity").await;
    assert_eq!(
        (&validity["data"]["to"], &validity["validity"]),
        (&json!("halted"), &json!("halted")),
        "{validity}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liquidation_is_told_with_its_plan() {
    let mut world = World::calm();
    world.open("carol", "2000");
    world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "3", "3310");
    let mut socket = connected(&world).await;
    say(&mut socket, json!({ "op": "subscribe", "channels": ["liquidations"] })).await;
    next(&mut socket).await;
    tokio::task::block_in_place(|| world.price("ETH", "2990"));
    let mut seen = Vec::new();
    while !seen.contains(&"liquidate".to_owned()) {
        let message = of(&mut socket, "liquidations").await;
        seen.push(message["data"]["effect"].as_str().unwrap().to_owned());
        if message["data"]["effect"] == "liquidate" {
            assert_eq!(message["data"]["account"], "carol");
            assert_eq!(message["data"]["plan"]["steps"][0]["instrument"], "ETH_USDC-PERPETUAL");
        }
    }
    assert!(seen.contains(&"standing".to_owned()));
    let (_, open) = world.get("/v1/liquidations").await;
    assert_eq!(open["data"]["open"][0]["account"], "carol", "{open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_channel_or_no_request_is_said_and_the_socket_goes_on() {
    let world = World::calm();
    let mut socket = connected(&world).await;
    for ask in [
        json!({ "op": "subscribe", "channels": ["margin.nobody"] }),
        json!({ "op": "subscribe", "channels": ["nonsense"] }),
        json!({ "op": "subscribe", "channels": vec!["params"; 65] }),
        json!({ "op": "shout" }),
        json!([1, 2, 3]),
    ] {
        say(&mut socket, ask.clone()).await;
        assert_eq!(next(&mut socket).await["op"], "error", "{ask}");
    }
    say(&mut socket, json!({ "op": "ping" })).await;
    assert_eq!(next(&mut socket).await["op"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_a_connection_that_says_nothing_is_closed_and_beyond_the_cap_none_is_taken() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::calm();
    let limits = DoorsConfig { connections: 3, headers_seconds: 1, ..DoorsConfig::default() };
    let open = doors::open(SocketAddr::from(([127, 0, 0, 1], 0)), &limits).await.unwrap();
    let address = open.address().unwrap();
    tokio::spawn(serve(Arc::clone(&world.app), open, std::future::pending()));
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nslow").await.unwrap();
    let socket = connect_async(format!("ws://{address}/v1/ws")).await.unwrap().0;
    let idle = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asks = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
        let mut answer = Vec::new();
        // A connection that is refused may be reset before or after it was written to.
        if stream.write_all(request).await.is_ok() {
            let _ = stream.read_to_end(&mut answer).await;
        }
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(asks().await, "", "three connections are open already");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(asks().await.starts_with("HTTP/1.1 200"), "those that said nothing are gone");
    drop((idle, socket));
    let long = format!("GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
