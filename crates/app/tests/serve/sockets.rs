//! Channels over a real socket.

use crate::world::World;
use futures_util::{SinkExt, StreamExt};
use plimsoll_app::serve::{listen, serve};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connected(world: &World) -> Socket {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(Arc::clone(&world.app), listener, std::future::pending()));
    connect_async(format!("ws://{address}/v1/ws")).await.unwrap().0
}

async fn say(socket: &mut Socket, what: Value) {
    socket.send(Message::Text(what.to_string().into())).await.unwrap();
}

async fn next(socket: &mut Socket) -> Value {
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
