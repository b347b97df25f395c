//! A server on a small market, and short ways to ask it things.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use plimsoll_app::doors::Doors;
use plimsoll_app::host::{At, Config, Entry, Host, Listener, Recovered, Store};
use plimsoll_app::serve::{App, Heard};
use plimsoll_app::webhooks::{Told, Webhooks};
use plimsoll_app::wire::EventIn;
use plimsoll_engine::live::Effect;
use plimsoll_types::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use tower::ServiceExt;

pub(crate) const MARKET: &str = include_str!("../../../../examples/bundled/market.json");

/// The options that are listed, beside the perpetual.
pub(crate) const CALL: &str = "SOL_USDC-16JAN26-142-C";

pub(crate) fn config(dir: &Path, more: &str) -> Config {
    let text = format!(
        "[journal]\ndir = {dir:?}\nsegment_mb = 16\n{more}\n[feed]\nrecover = 1\ngrace_seconds = 0\n\
         [feeds.ETH]\nsources = {{ a = {{}} }}\n[feeds.SOL]\nsources = {{ a = {{}} }}\n\
         [feeds.BTC]\nsources = {{ a = {{}} }}\n[feeds.USDC]\nsources = {{ a = {{}} }}\n"
    );
    Config::parse(&text, std::iter::empty(), dir, start()).unwrap()
}

/// The instant of the bundled market.
pub(crate) fn start() -> Timestamp {
    let market: Value = serde_json::from_str(MARKET).unwrap();
    market["as_of"].as_str().unwrap().parse().unwrap()
}

pub(crate) struct World {
    pub(crate) host: Option<Host>,
    pub(crate) app: Arc<App>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) now: Timestamp,
    pub(crate) told: Option<Told>,
    sequence: u64,
}

pub(crate) fn open(config: &Config) -> (Host, Arc<App>) {
    opened(config, Vec::new())
}

/// The same, where others listen too.
pub(crate) fn opened(config: &Config, mut listeners: Vec<Listener>) -> (Host, Arc<App>) {
    let (store, recovered): (Store, Recovered) = Store::open(&config.journal, &config.charter).unwrap();
    let heard = Heard::new(config.server.backlog);
    listeners.push(heard.listener());
    let host = Host::start((store, recovered), (&config.journal, &config.server), listeners).unwrap();
    // Requests of a moment ago are taken, as by a server that began before.
    let since = Timestamp::from_nanos(plimsoll_app::host::now().nanos() - 60_000_000_000);
    let limit = config.server.body_bytes_max;
    let doors = Doors::new(&config.doors, &config.journal.identity, limit, since).unwrap();
    let app = App::new(&host, config.server.clone(), doors, heard).unwrap();
    (host, app)
}

impl World {
    /// A server that nobody has told anything.
    pub(crate) fn empty(more: &str) -> Self {
        Self::empty_in(tempfile::tempdir().unwrap(), more)
    }

    pub(crate) fn empty_in(dir: tempfile::TempDir, more: &str) -> Self {
        let config = config(dir.path(), more);
        let (webhooks, told) = Webhooks::new(&config.webhooks, &config.journal).unwrap();
        let (host, app) = opened(&config, told);
        let told = (!config.webhooks.hooks.is_empty())
            .then(|| webhooks.start(&host.shared, &tokio::runtime::Handle::current()).unwrap());
        Self { host: Some(host), app, dir, now: start(), told, sequence: 0 }
    }

    /// Prices and a chain are known, two accounts hold a perpetual and an option against each other.
    pub(crate) fn calm() -> Self {
        Self::calm_in(tempfile::tempdir().unwrap(), "")
    }

    /// The same in a folder, by a configuration that says more.
    pub(crate) fn calm_in(dir: tempfile::TempDir, more: &str) -> Self {
        let mut world = Self::empty_in(dir, more);
        for (asset, price) in [("BTC", "96400"), ("ETH", "3310"), ("SOL", "142.5"), ("USDC", "1")] {
            world.price(asset, price);
        }
        let market: Value = serde_json::from_str(MARKET).unwrap();
        world.ok(json!({ "type": "chain", "underlying": "SOL", "time": start().to_string(),
            "quotes": market["underlyings"]["SOL"] }));
        let quotes = json!({ "index": [], "perpetuals": [
            { "instrument": "ETH_USDC-PERPETUAL", "mark": 3310.0, "time": start().to_string() } ] });
        world.ok(
            json!({ "type": "chain", "underlying": "ETH", "time": start().to_string(), "quotes": quotes }),
        );
        for instrument in ["ETH_USDC-PERPETUAL", CALL] {
            world.ok(json!({ "type": "list", "instrument": instrument }));
        }
        for account in ["alice", "bob"] {
            world.open(account, "100000");
        }
        world.trade("alice", "bob", "ETH_USDC-PERPETUAL", "5", "3310");
        world.trade("bob", "alice", CALL, "10", "5");
        world
    }

    pub(crate) fn open(&mut self, account: &str, dollars: &str) {
        self.ok(json!({ "type": "open", "account": account }));
        self.ok(json!({ "type": "deposit", "account": account, "asset": "USD", "amount": dollars }));
    }

    pub(crate) fn trade(&mut self, buyer: &str, seller: &str, instrument: &str, quantity: &str, price: &str) {
        self.ok(json!({ "type": "trade", "buyer": buyer, "seller": seller, "instrument": instrument,
            "quantity": quantity, "price": price }));
    }

    pub(crate) fn price(&mut self, asset: &str, price: &str) -> Vec<Effect> {
        self.sequence += 1;
        self.now = Timestamp::from_nanos(self.now.nanos() + 1_000_000);
        self.ok(json!({ "type": "price", "asset": asset, "source": "a", "sequence": self.sequence,
            "time": self.now.to_string(), "price": price }))
    }

    /// Hands an event in at the world's own time, waits for what follows, and expects no refusal.
    pub(crate) fn ok(&mut self, event: Value) -> Vec<Effect> {
        let effects = self.tell(event.clone());
        let refused = effects.iter().find(|effect| matches!(effect, Effect::Rejected(_)));
        assert!(refused.is_none(), "{event}: {refused:?}");
        effects
    }

    pub(crate) fn tell(&mut self, event: Value) -> Vec<Effect> {
        let event: EventIn = serde_json::from_value(json!({ "event": event })).unwrap();
        let host = self.host.as_ref().unwrap();
        let units = host.shared.course().engine.rules().params.units.clone();
        let (key, body) = event.read(&units).unwrap();
        let (tell, told) = channel();
        let reply = Box::new(move |done| drop(tell.send(done)));
        assert!(host.ingest.submit(Entry::new(At::Given(self.now), key, body), Some(reply)).unwrap());
        told.recv().unwrap().unwrap().effects.clone()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        ask(&self.app, Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path).header("content-type", "application/json");
        ask(&self.app, request.body(Body::from(body.to_string())).unwrap()).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(host) = self.host.take() {
            drop(host.stop());
        }
    }
}

pub(crate) async fn ask(app: &Arc<App>, request: Request<Body>) -> (StatusCode, Value) {
    let response = app.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}
