//! Recorded frames over real sockets, by servers that break off, stall, lie and flood.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test prints what it counted")]

mod common;
mod server;

use common::*;
use plimsoll_feeds::binance::Market;
use plimsoll_feeds::link::{Backoff, Count, Counters, Limits, Transport, run};
use plimsoll_feeds::{Protocol, Reading, Reason, Refusal, Turn};
use plimsoll_types::Timestamp;
use server::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// What a source said before `enough` was true, or half a minute had passed; and its numbers.
async fn listen(
    protocol: Box<dyn Protocol>,
    source: plimsoll_feeds::link::Source,
    enough: impl Fn(&[Reading], &Count) -> bool,
) -> (Vec<Reading>, Count) {
    let counters = Arc::new(Counters::default());
    let said = Arc::new(Mutex::new(Vec::new()));
    let (stop, stopped) = watch::channel(false);
    let task = {
        let (counters, said, mut protocol) = (counters.clone(), said.clone(), protocol);
        tokio::spawn(async move {
            let mut sink = move |reading| {
                said.lock().unwrap().push(reading);
                true
            };
            run(&source, protocol.as_mut(), &outside(), &counters, &mut sink, stopped).await;
        })
    };
    for _ in 0..3000 {
        if enough(&said.lock().unwrap(), &counters.count()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send(true).unwrap();
    task.await.unwrap();
    let said = said.lock().unwrap().clone();
    (said, counters.count())
}

fn refused(count: &Count, reason: Reason) -> u64 {
    count.refused.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count)
}

fn quick() -> Limits {
    Limits {
        frame_bytes: 1 << 20,
        connect: Duration::from_secs(2),
        silence: Duration::from_secs(3),
        tick: Duration::from_millis(50),
        foreign_max: 20,
        backoff: Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(100) },
    }
}

fn deribit_frames() -> Option<Vec<Recorded>> {
    let folder = shared("api_frames_cryptofeed")?;
    Some(cryptofeed_lines(&text(&folder.join("DERIBIT.ws.1.0.gz"))))
}

fn frames(recorded: &[Recorded]) -> Vec<Act> {
    recorded.iter().map(|r| Act::Text(r.frame.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_off_is_made_again_with_everything_asked_for_anew() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded).said;
    let mut first = frames(&recorded[..40]);
    // Both are heard before anything is said: what is asked for is compared.
    let asked = Act::WaitFor("public/subscribe".to_owned());
    first.insert(0, asked.clone());
    first.push(Act::Drop);
    let server = Server::start(vec![first, [vec![asked], frames(&recorded)].concat()]).await;
    let part = Tally::of(&mut deribit(&recorded[..]), &recorded[..40]).said;
    let wanted = part.len() + whole.len();
    let protocol = Box::new(deribit(&recorded));
    let (said, count) =
        listen(protocol, source(&server, Transport::WebSocket, quick()), |s, _| s.len() >= wanted).await;
    assert_eq!(said[..part.len()], part[..]);
    assert_eq!(said[part.len()..], whole[..]);
    assert_eq!((count.connections, count.readings as usize, count.lost), (2, wanted, 0));
    let (one, two) = (subscriptions(&server.heard(0)), subscriptions(&server.heard(1)));
    assert!(one.len() > 10 && one == two, "{} and {}", one.len(), two.len());
}

fn subscriptions(heard: &[String]) -> Vec<String> {
    let of = |text: &String| {
        let message: serde_json::Value = serde_json::from_str(text).unwrap();
        let subscribes = message["method"] == "public/subscribe";
        subscribes.then(|| message["params"]["channels"].as_array().unwrap().clone())
    };
    heard.iter().filter_map(of).flatten().map(|channel| channel.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_in_a_book_is_counted_and_its_channel_is_subscribed_anew() {
    let book = |kind: &str, id: u64, before: &str, price: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{{\"channel\":\"book.BTC-PERPETUAL.100ms\",\"data\":{{\
             \"type\":\"{kind}\",\"timestamp\":1699999999{id},\"instrument_name\":\"BTC-PERPETUAL\",\"change_id\":{id},\
             \"prev_change_id\":{before},\"bids\":[[\"new\",{price},1000.0]],\"asks\":[[\"new\",42501.0,800.0]]}}}}}}"
        )
    };
    let acts = vec![
        Act::Text(book("snapshot", 100, "null", "42500.0")),
        Act::Text(book("change", 101, "100", "42499.5")),
        Act::Text(book("change", 103, "102", "42499.0")),
        Act::WaitFor("public/unsubscribe".to_owned()),
        Act::Text(book("change", 104, "103", "42498.0")),
        Act::Text(book("snapshot", 200, "null", "42500.0")),
        Act::Text(book("change", 201, "200", "42499.5")),
    ];
    let recorded = vec![Recorded { at: at(), path: String::new(), frame: book("snapshot", 1, "null", "1") }];
    let server = Server::start(vec![acts]).await;
    let source = source(&server, Transport::WebSocket, quick());
    let (said, count) = listen(Box::new(deribit(&recorded)), source, |s, _| s.len() >= 4).await;
    let depths: Vec<f64> =
        said.iter().map(|r| if let Reading::Depth(d) = r { d.depth } else { panic!("{r:?}") }).collect();
    assert_eq!(depths, [800.0; 4]);
    assert_eq!((refused(&count, Reason::Gap), count.connections), (2, 1));
    let again = subscriptions(&server.heard(0));
    assert_eq!(again.iter().filter(|channel| *channel == "book.BTC-PERPETUAL.100ms").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_of_binance_is_built_from_a_snapshot_that_is_fetched_and_again_after_a_break() {
    let Some(folder) = shared("l2_raw_feeds") else { return };
    let text = text(&folder.join("binance_usdm_btcusdt_20240808.gz"));
    let path = "/fapi/v1/depth?symbol=BTCUSDT&limit=1000";
    let recorded: Vec<Recorded> = raw_lines(&text.lines().take(1500).collect::<Vec<_>>().join("\n"), path);
    let place = recorded.iter().position(|r| !r.path.is_empty()).unwrap();
    let whole = Tally::of(&mut binance(Market::UsdM, &["BTCUSDT"]), &recorded);
    let mut acts = frames(&recorded[..place]);
    // What is fetched is held back until everything before it was said.
    acts.push(Act::Serve("/fapi/v1/depth".to_owned(), recorded[place].frame.clone()));
    acts.push(Act::WaitForFetch);
    acts.extend(frames(&recorded[place + 1..]));
    // The same change again does not follow itself: a break, and another snapshot.
    let change = recorded.iter().rfind(|r| r.frame.contains("depthUpdate")).unwrap();
    acts.push(Act::Text(change.frame.clone()));
    acts.push(Act::WaitForFetch);
    let server = Server::start(vec![acts]).await;
    let source = source(&server, Transport::WebSocket, quick());
    let wanted = whole.said.len();
    let protocol = Box::new(binance(Market::UsdM, &["BTCUSDT"]));
    let (said, count) =
        listen(protocol, source, |s, c| s.len() >= wanted && refused(c, Reason::Gap) >= 2).await;
    assert!(said == whole.said, "{} readings where {wanted} are expected", said.len());
    // The break, and the recorded snapshot, which is too old for what came after it.
    assert_eq!((refused(&count, Reason::Gap), count.connections), (2, 1));
    assert!(server.fetched("/fapi/v1/depth") >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_frames_are_read_and_silence_is_left() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded[..20]).said;
    let slow = recorded[..20].iter().map(|r| Act::Slow(r.frame.clone())).chain([Act::Stall]).collect();
    let server = Server::start(vec![slow, frames(&recorded[..20])]).await;
    let limits = Limits { silence: Duration::from_millis(1500), ..quick() };
    let source = source(&server, Transport::WebSocket, limits);
    let (said, count) = listen(Box::new(deribit(&recorded)), source, |s, _| s.len() >= 2 * whole.len()).await;
    assert_eq!(said, [whole.clone(), whole].concat());
    assert_eq!((count.connections, refused(&count, Reason::Venue) > 0), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_counted_and_a_source_of_nothing_else_is_left() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded).said;
    let mut mixed = Vec::new();
    for r in &recorded {
        mixed.extend([
            Act::Text("{\"jsonrpc\":".to_owned()),
            Act::Binary(vec![0xff; 64]),
            Act::Text(r.frame.clone()),
        ]);
    }
    mixed.extend((0..19).map(|_| Act::Text("[]".repeat(1000))));
    mixed.push(Act::Text("]".to_owned()));
    let server = Server::start(vec![mixed, vec![Act::Raw(vec![0x7f; 256])], vec![Act::Stall]]).await;
    let source = source(&server, Transport::WebSocket, quick());
    let (said, count) = listen(Box::new(deribit(&recorded)), source, |_, c| c.connections >= 3).await;
    assert_eq!(said, whole);
    assert!(refused(&count, Reason::Malformed) >= 2 * recorded.len() as u64 + 20, "{count:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_what_is_too_long_is_refused_before_it_is_held() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded).said;
    let huge = vec![Act::Text("x".repeat((1 << 20) + 1))];
    // A frame that says it is of 2^60 bytes.
    let endless = vec![Act::Raw([&[0x82, 0x7f][..], &(1_u64 << 60).to_be_bytes()].concat())];
    let server = Server::start(vec![huge, endless, frames(&recorded)]).await;
    let source = source(&server, Transport::WebSocket, quick());
    let (said, count) = listen(Box::new(deribit(&recorded)), source, |s, _| s.len() >= whole.len()).await;
    assert_eq!(said, whole);
    assert_eq!((refused(&count, Reason::TooLong), count.connections), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn api7_a_redirect_is_not_followed() {
    let elsewhere = Server::start(vec![vec![Act::Stall]]).await;
    let server = Server::start(vec![]).await;
    server.redirect(&format!("http://{}/", elsewhere.address));
    for transport in [Transport::WebSocket, Transport::Events] {
        let source = source(&server, transport, quick());
        let (said, count) = listen(Box::new(pyth()), source, |_, c| c.failures >= 2).await;
        assert_eq!((said.len(), count.connections), (0, 0));
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn api7_a_name_that_stands_for_this_machine_is_not_connected_to() {
    let server = Server::start(vec![]).await;
    let mut source = source(&server, Transport::WebSocket, quick());
    // As if the name had been listed and stood for something else when it was: it is what it stands for now that counts.
    source.allowed = plimsoll_feeds::address::Allowed::default();
    (source.stream.host, source.stream.tls) = ("localhost".to_owned(), true);
    let (said, count) = listen(Box::new(pyth()), source, |_, c| c.failures >= 2).await;
    assert_eq!((said.len(), count.connections, server.connections()), (0, 0, 0));
    assert!(refused(&count, Reason::Domain) >= 2, "{count:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_repeats_itself_is_not_left_for_it() {
    let Some(folder) = shared("api_frames_pyth") else { return };
    let hermes = text(&folder.join("hermes_v2_latest_price_update.json"));
    let line = serde_json::from_str::<serde_json::Value>(&hermes).unwrap().to_string();
    let server = Server::start(vec![]).await;
    server.serve_events(vec![format!("data:{line}\n\n").into_bytes(); 100]);
    let source = source(&server, Transport::Events, quick());
    let (said, count) = listen(Box::new(pyth()), source, |_, c| refused(c, Reason::Duplicate) >= 99).await;
    assert_eq!((said.len(), refused(&count, Reason::Duplicate), count.connections), (2, 99, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn hermes_is_listened_to_by_events_and_by_polling_and_an_endless_line_is_left() {
    let Some(folder) = shared("api_frames_pyth") else { return };
    let hermes = text(&folder.join("hermes_v2_latest_price_update.json"));
    let line = serde_json::from_str::<serde_json::Value>(&hermes).unwrap().to_string();
    let mut turn = Turn::default();
    pyth().receive(line.as_bytes(), at(), &mut turn).unwrap();
    let server = Server::start(vec![]).await;
    server.serve_events(vec![b"data:".to_vec(), vec![b'x'; 3 << 20]]);
    // Cut wherever it falls, beginning with a comment, as Hermes keeps its connection.
    let event = format!(":\n\nevent: message\ndata:{line}\n\n:\n\n").into_bytes();
    server.serve_events(event.chunks(1000).map(<[u8]>::to_vec).collect());
    let mut source = source(&server, Transport::Events, quick());
    source.stream.path = pyth().path("stream");
    let (said, count) = listen(Box::new(pyth()), source.clone(), |s, _| s.len() >= 2).await;
    assert_eq!(said, turn.readings);
    assert_eq!(refused(&count, Reason::TooLong), 1);
    server.serve("/v2/updates/price/latest", &line);
    source.transport = Transport::Poll;
    let feeds = vec![feed("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43", "BTC")];
    let trust = plimsoll_feeds::pyth::update::Trust::of([(4, plimsoll_feeds::pyth::guardian_set_4())].into());
    let polling =
        plimsoll_feeds::pyth::Pyth::new(feeds, trust, plimsoll_feeds::pyth::Bearer::new("key".into()), true);
    let (said, count) = listen(Box::new(polling), source, |_, c| c.fetches >= 3).await;
    assert_eq!(said, turn.readings[..1]);
    assert!(refused(&count, Reason::Duplicate) + refused(&count, Reason::Unasked) >= 1, "{count:?}");
    assert!(server.request("/v2/updates/price/latest").contains("authorization: Bearer key"));
}

/// A protocol that fails as no protocol may.
struct Panics;

impl Protocol for Panics {
    fn open(&mut self, _at: Timestamp, _turn: &mut Turn) {}

    fn receive(&mut self, _frame: &[u8], _at: Timestamp, _turn: &mut Turn) -> Result<(), Refusal> {
        panic!("a protocol that panics")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_adapter_can_stop_another() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded).said;
    let good = Server::start(vec![frames(&recorded)]).await;
    let flood = Server::start(vec![vec![Act::Flood]; 4]).await;
    let dead = Server::start(vec![vec![Act::Stall]]).await;
    let panics = Server::start(vec![vec![Act::Text("{}".to_owned())]]).await;
    let mut tasks = Vec::new();
    let (stop, stopped) = watch::channel(false);
    for server in [&flood, &dead, &panics] {
        let (source, stopped) = (source(server, Transport::WebSocket, quick()), stopped.clone());
        let mut protocol: Box<dyn Protocol> =
            if server.address == panics.address { Box::new(Panics) } else { Box::new(hyperliquid(&["BTC"])) };
        tasks.push(tokio::spawn(async move {
            run(&source, protocol.as_mut(), &outside(), &Counters::default(), &mut |_| false, stopped).await;
        }));
    }
    let source = source(&good, Transport::WebSocket, quick());
    let (said, count) = listen(Box::new(deribit(&recorded)), source, |s, _| s.len() >= whole.len()).await;
    assert_eq!((said, count.connections), (whole, 1));
    stop.send(true).unwrap();
    let panicked = tasks.pop().unwrap().await.is_err();
    assert!(panicked, "a panic ends its own task");
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_whose_connections_do_not_hold_is_not_asked_ever_faster() {
    let Some(recorded) = deribit_frames() else { return };
    let asked = Act::WaitFor("public/subscribe".to_owned());
    let flapping = vec![asked, Act::Text(recorded[1].frame.clone()), Act::Drop];
    let server = Server::start(vec![flapping; 12]).await;
    let start = tokio::time::Instant::now();
    let source = source(&server, Transport::WebSocket, quick());
    let (said, count) = listen(Box::new(deribit(&recorded)), source, |_, c| c.connections >= 12).await;
    assert!(said.len() >= 11 && count.connections >= 12, "{count:?}");
    // At least half of 40, of 80 and of nine times 100 ms.
    assert!(start.elapsed() > Duration::from_millis(450), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_without_room_loses_its_own_readings_and_they_are_counted() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded).said;
    let server = Server::start(vec![frames(&recorded)]).await;
    let (counters, (stop, stopped)) = (Arc::new(Counters::default()), watch::channel(false));
    let (source, counting) = (source(&server, Transport::WebSocket, quick()), counters.clone());
    let mut protocol = deribit(&recorded);
    let task = tokio::spawn(async move {
        let mut room = 10;
        let mut sink = move |_| {
            room -= 1;
            room >= 0
        };
        run(&source, &mut protocol, &outside(), &counting, &mut sink, stopped).await;
    });
    for _ in 0..500 {
        if counters.count().readings + counters.count().lost >= whole.len() as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send(true).unwrap();
    task.await.unwrap();
    assert_eq!((counters.count().readings, counters.count().lost), (10, whole.len() as u64 - 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_certificate_that_is_trusted_is_taken_and_another_is_not() {
    let Some(recorded) = deribit_frames() else { return };
    let whole = Tally::of(&mut deribit(&recorded), &recorded).said;
    let (server, trusting) = Server::start_tls(vec![frames(&recorded)]).await;
    let mut source = source(&server, Transport::WebSocket, quick());
    (source.stream.tls, source.stream.host) = (true, "localhost".to_owned());
    let counters = Counters::default();
    for (outside, wanted) in [(outside(), 0), (trusting, whole.len())] {
        let (stop, stopped) = watch::channel(false);
        let mut said = Vec::new();
        let mut protocol = deribit(&recorded);
        let mut sink = |reading| {
            said.push(reading);
            if said.len() == whole.len() {
                let _ = stop.send(true);
            }
            true
        };
        let running = run(&source, &mut protocol, &outside, &counters, &mut sink, stopped);
        let _ = tokio::time::timeout(Duration::from_secs(if wanted == 0 { 1 } else { 10 }), running).await;
        assert_eq!(said.len(), wanted);
    }
    assert!(counters.count().failures >= 1);
}
