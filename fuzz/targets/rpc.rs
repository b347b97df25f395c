//! Bodies of `POST /rpc`, through the router of a server without keys: what is answered is JSON-RPC, or a refusal with a word.
#![no_main]

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use plimsoll_app::doors::Doors;
use plimsoll_app::host::{Config, Host, Store, now};
use plimsoll_app::serve::{App, Heard};
use serde_json::Value;
use std::sync::OnceLock;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// A server that nobody has told anything. It lives as long as the process.
struct Server {
    runtime: Runtime,
    router: axum::Router,
    _host: Host,
    _folder: tempfile::TempDir,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path();
        let text = format!("[journal]\ndir = {dir:?}\nsegment_mb = 8\n[feed]\nquorum = 1\n[feeds.ETH]\nsources = {{ a = {{}} }}\n");
        let config = Config::parse(&text, std::iter::empty(), dir, now()).expect("it is sound");
        let opened = Store::open(&config.journal, &config.charter).expect("a journal");
        let heard = Heard::new(16);
        let host = Host::start(opened, (&config.journal, &config.server), vec![heard.listener()]).expect("threads");
        let limit = config.server.body_bytes_max;
        let doors = Doors::new(&config.doors, &config.journal.identity, limit, now()).expect("no keys");
        let app = App::new(&host, config.server.clone(), doors, heard).expect("metrics");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Server { runtime, router: app.router(), _host: host, _folder: folder }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let server = server();
    let request = Request::post("/rpc").header("content-type", "application/json");
    let request = request.body(Body::from(bytes.to_vec())).expect("a request");
    let (status, body) = server.runtime.block_on(async {
        let response = server.router.clone().oneshot(request).await.expect("it answers");
        (response.status().as_u16(), response.into_body().collect().await.expect("a body").to_bytes())
    });
    match status {
        204 => assert!(body.is_empty()),
        200 => {
            let said: Value = serde_json::from_slice(&body).expect("JSON");
            let answers = said.as_array().cloned().unwrap_or_else(|| vec![said]);
            for answer in answers {
                assert_eq!(answer["jsonrpc"], "2.0");
                assert!(answer.get("result").is_some() != answer.get("error").is_some(), "{answer}");
                assert_ne!(answer["error"]["code"], -32_603, "{answer}");
            }
        }
        400 | 429 => {
            let said: Value = serde_json::from_slice(&body).expect("JSON");
            assert!(said["code"].is_string(), "{said}");
        }
        other => panic!("{other}: {body:?}"),
    }
});
