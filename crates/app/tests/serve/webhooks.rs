//! Webhooks, to a receiver that fails, stalls, redirects and comes back.

use crate::world::{World, config};
use plimsoll_app::host::moment;
use plimsoll_app::webhooks::signature;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What was received: time, signature and body.
type Received = (i64, String, Value);

/// What a receiver does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Does {
    Takes,
    Fails,
    Stalls,
    Redirects,
    HangsUp,
}

struct Receiver {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    seen: Arc<Mutex<Vec<(Does, Received)>>>,
}

impl Receiver {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, seen) = (Arc::new(Mutex::new(does)), Arc::new(Mutex::new(Vec::new())));
        let (doing, seeing) = (Arc::clone(&does), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&doing), Arc::clone(&seeing), address));
            }
        });
        Self { address, does, seen }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn with(&self, does: Does) -> Vec<Received> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(done, _)| *done == does).map(|(_, received)| received.clone()).collect()
    }

    async fn until(&self, does: Does, count: usize) -> Vec<Received> {
        let begun = moment();
        while self.with(does).len() < count {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{count} {does:?}: {:?}",
                self.seen.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.with(does)
    }
}

async fn serve(
    mut stream: TcpStream,
    does: Arc<Mutex<Does>>,
    seen: Arc<Mutex<Vec<(Does, Received)>>>,
    address: SocketAddr,
) {
    let mut text = Vec::new();
    let (head, body) = loop {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await.unwrap_or_default();
        text.extend_from_slice(&some[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let length: usize = header(head, "content-length").parse().unwrap();
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let does = *does.lock().unwrap();
    let time = header(&head, "plimsoll-webhook-time").parse().unwrap();
    assert_eq!(
        signature(SECRET.as_bytes(), time, body.as_bytes()).unwrap(),
        header(&head, "plimsoll-webhook-signature")
    );
    let body = serde_json::from_str(&body).unwrap();
    seen.lock().unwrap().push((does, (time, header(&head, "plimsoll-webhook-signature"), body)));
    let answer = match does {
        Does::Takes => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        Does::Fails => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned(),
        Does::Redirects => {
            format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{address}/other\r\ncontent-length: 0\r\n\r\n"
            )
        }
        Does::Stalls => return tokio::time::sleep(Duration::from_secs(60)).await,
        Does::HangsUp => return,
    };
    assert!(head.starts_with("POST /told HTTP/1.1"), "{head}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:"))).unwrap();
    line.split_once(':').unwrap().1.trim().to_owned()
}

fn secret(dir: &Path, text: &str, mode: u32) {
    let path = dir.join("hook.secret");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn hook(url: &str, kinds: &str, more: &str) -> String {
    format!(
        "[reach]\nloopback = true\n[webhooks.desk]\nurl = \"{url}\"\nsecret = \"hook.secret\"\nkinds = {kinds}\n\
         retry_ms = 10\ntimeout_ms = 200\n{more}\n"
    )
}

/// A world with a receiver, and carol who will be liquidated.
async fn told(does: Does, kinds: &str, more: &str) -> (World, Receiver) {
    let receiver = Receiver::start(does).await;
    let dir = tempfile::tempdir().unwrap();
    secret(dir.path(), SECRET, 0o600);
    let more = hook(&format!("http://{}/told", receiver.address), kinds, more);
    let mut world = World::calm_in(dir, &more);
    world.open("carol", "2000");
    world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "3", "3310");
    (world, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_in_order_signed_and_once_where_it_is_taken() {
    let (mut world, receiver) = told(Does::Takes, "[\"calls\", \"liquidations\"]", "").await;
    tokio::task::block_in_place(|| world.price("ETH", "3050"));
    tokio::task::block_in_place(|| world.price("ETH", "2900"));
    let seen = receiver.until(Does::Takes, 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sequences: Vec<u64> = seen.iter().map(|(_, _, body)| body["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
    let kinds: Vec<&str> = seen.iter().map(|(_, _, body)| body["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"liquidations"), "{seen:?}");
    let mut ids: Vec<String> =
        receiver.with(Does::Takes).iter().map(|(_, _, body)| body["id"].to_string()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "each is told once");
    let plan = receiver
        .with(Does::Takes)
        .into_iter()
        .find(|(_, _, body)| body["data"]["effect"] == "liquidate")
        .unwrap();
    assert_eq!((&plan.2["data"]["account"], &plan.2["missed"]), (&json!("carol"), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_stalls_redirects_or_hangs_up_is_told_again_until_it_takes_it() {
    for bad in [Does::Fails, Does::Stalls, Does::Redirects, Does::HangsUp] {
        let (mut world, receiver) = told(bad, "[\"liquidations\"]", "").await;
        tokio::task::block_in_place(|| world.price("ETH", "2990"));
        let tried = receiver.until(bad, 3).await;
        assert!(receiver.with(Does::Takes).is_empty());
        receiver.now(Does::Takes);
        let taken = receiver.until(Does::Takes, 1).await;
        // The same message with the same id, and a signature of its own time.
        assert_eq!(tried[0].2, taken[0].2, "{bad:?}");
        assert!(taken[0].0 > tried[0].0 && taken[0].1 != tried[0].1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_says_what_it_left_out_and_slows_nobody() {
    let (mut world, receiver) = told(Does::Stalls, "[\"calls\"]", "queue = 2\nattempts = 2").await;
    let begun = moment();
    // Carol falls below initial margin and covers it again, forty times.
    tokio::task::block_in_place(|| {
        for _ in 0..20 {
            world.price("ETH", "3180");
            world.price("ETH", "3310");
        }
    });
    let took = begun.elapsed();
    receiver.until(Does::Stalls, 2).await;
    receiver.now(Does::Takes);
    let first = receiver.until(Does::Takes, 2).await;
    println!("40 prices with a receiver that stalls: {took:?}; left out: {}", first[0].2["missed"]);
    assert!(first[0].2["missed"].as_u64().unwrap() > 10, "{first:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// Stops a world whose receivers are told on a runtime of their own, as a server does; what is left is its folder.
fn stopped(mut world: World, on: tokio::runtime::Runtime) -> tempfile::TempDir {
    on.shutdown_timeout(Duration::from_secs(2));
    drop(world.host.take().unwrap().stop().unwrap());
    world.told.take().unwrap().settle();
    std::mem::replace(&mut world.dir, tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_at_a_stop_is_told_after_the_next_start_word_for_word_and_nothing_twice() {
    let (desk, witness) = (Receiver::start(Does::Takes).await, Receiver::start(Does::Takes).await);
    let dir = tempfile::tempdir().unwrap();
    secret(dir.path(), SECRET, 0o600);
    let kinds = "[\"calls\", \"liquidations\"]";
    let other = format!(
        "[webhooks.witness]\nurl = \"http://{}/told\"\nsecret = \"hook.secret\"\nkinds = {kinds}",
        witness.address
    );
    let more = hook(&format!("http://{}/told", desk.address), kinds, &format!("attempts = 100\n{other}"));
    let told = |receiver: &Receiver| -> Vec<Value> {
        receiver.with(Does::Takes).into_iter().map(|(_, _, body)| body).collect()
    };
    let on = tokio::runtime::Runtime::new().unwrap();
    let mut world = {
        let _on = on.enter();
        World::calm_in(dir, &more)
    };
    tokio::task::block_in_place(|| {
        world.open("carol", "2000");
        world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "3", "3310");
        world.price("ETH", "3180");
    });
    desk.until(Does::Takes, 1).await;
    desk.now(Does::Fails);
    tokio::task::block_in_place(|| {
        for price in ["3310", "3180", "3310", "3050", "2900"] {
            world.price("ETH", price);
        }
    });
    desk.until(Does::Fails, 1).await;
    // The witness has heard the last of it.
    let begun = moment();
    while !told(&witness).iter().any(|body| body["data"]["effect"] == "liquidate") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (before, expected) = (told(&desk).len(), told(&witness));
    assert!(before < expected.len(), "{before} of {}", expected.len());
    let dir = tokio::task::block_in_place(|| stopped(world, on));
    desk.now(Does::Takes);
    let on = tokio::runtime::Runtime::new().unwrap();
    let world = {
        let _on = on.enter();
        World::empty_in(dir, &more)
    };
    desk.until(Does::Takes, expected.len()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    println!("{} messages waited at the stop", expected.len() - before);
    assert_eq!(told(&desk), expected);
    assert_eq!(told(&witness), expected, "who heard all of it hears nothing again");
    tokio::task::block_in_place(|| drop(stopped(world, on)));
}

#[test]
fn api7_what_may_not_be_reached_and_what_is_badly_kept_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    secret(dir.path(), SECRET, 0o600);
    let read = |text: &str| {
        let feeds = "[feeds.BTC]\nsources = { a = {} }\n";
        let now = crate::world::start();
        plimsoll_app::host::Config::parse(&format!("{text}{feeds}"), std::iter::empty(), dir.path(), now)
    };
    let good = "[reach]\nhosts = [\"hooks.example.com\"]\n[webhooks.desk]\nsecret = \"hook.secret\"\nkinds = [\"calls\"]\n";
    assert!(read(&format!("{good}url = \"https://hooks.example.com/told\"\n")).is_ok());
    for url in [
        "http://hooks.example.com/told",
        "https://evil.example.com/",
        "https://hooks.example.com:22/",
        "https://127.0.0.1/",
        "http://127.0.0.1:9/",
        "https://169.254.169.254/",
        "wss://hooks.example.com/",
        "file:///etc/passwd",
        "https://u@hooks.example.com/",
    ] {
        let refused = read(&format!("{good}url = \"{url}\"\n")).unwrap_err();
        assert!(format!("{refused:#}").contains("webhooks.desk"), "{url}: {refused:#}");
    }
    let url = "url = \"https://hooks.example.com/told\"\n";
    for (text, mode) in [(SECRET, 0o644), ("short", 0o600)] {
        secret(dir.path(), text, mode);
        let refused = format!("{:#}", read(&format!("{good}{url}")).unwrap_err());
        assert!(refused.contains("webhooks.desk") && !refused.contains(SECRET), "{refused}");
    }
    secret(dir.path(), SECRET, 0o600);
    assert!(read(&format!("{good}{url}queue = 0\n")).is_err());
    assert!(config(dir.path(), "").webhooks.hooks.is_empty());
}
