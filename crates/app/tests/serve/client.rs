//! The client against the server, and the command line against both.

use crate::doors::locked;
use crate::sockets::served;
use crate::world::{CALL, World};
use plimsoll_app::doors::Role;
use plimsoll_client::{Client, ClientError, Key, Leg};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_reads_is_what_the_server_says() {
    let world = World::calm();
    let client = Client::new(&format!("http://{}", served(&world).await), None).unwrap();
    let (_, said) = world.get("/v1/accounts/alice/margin").await;
    let read = client.margin("alice").await.unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), said);
    let (_, said) = world.get("/v1/accounts/alice").await;
    assert_eq!(serde_json::to_value(client.account("alice").await.unwrap()).unwrap(), said);
    let rows = client.accounts(10).await.unwrap();
    assert_eq!(rows.data.len(), 2);
    assert!(rows.data.iter().all(|row| row.totals.is_some() && row.standing == "healthy"));
    assert!(client.parameters().await.unwrap().data.is_object());
    let legs = [Leg { instrument: CALL.to_owned(), quantity: "-3".to_owned() }];
    let (_, said) = world.post("/v1/accounts/alice/what-if", &json!({ "legs": legs })).await;
    let would = client.what_if("alice", &legs).await.unwrap();
    assert_eq!(serde_json::to_value(&would).unwrap(), said);
    assert_eq!(client.check("alice", &legs).await.unwrap().data, would.data.check);
    let open = json!({ "event": { "type": "open", "account": "carol" } });
    let outcomes = client.submit(&[open.clone(), open]).await.unwrap();
    assert!(outcomes[0].applied && outcomes[0].sequence.is_some());
    assert_eq!(outcomes[1].problem.as_ref().unwrap().code, "account_exists");
    match client.margin("no/body?x=1").await {
        Err(ClientError::Refused { status: 400 | 404, .. }) => {}
        other => panic!("{other:?}"),
    }
    let nobody = Client::new("http://127.0.0.1:1", None).unwrap();
    assert!(matches!(nobody.margin("alice").await, Err(ClientError::Connection(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_client_with_a_key_are_proved_one_by_one() {
    let (world, keys) = locked("");
    let url = format!("http://{}", served(&world).await);
    let key = |role: Role, audience: &str| {
        let key = &keys[&role];
        Key { key: key.id.clone(), secret: key.secret.clone(), audience: audience.to_owned() }
    };
    let reader = Client::new(&url, Some(key(Role::Reader, "plimsoll"))).unwrap();
    for _ in 0..50 {
        reader.margin("alice").await.unwrap();
    }
    let refused = |error: Result<_, ClientError>| match error {
        Err(ClientError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(reader.margin("bob").await), 404);
    assert_eq!(reader.accounts(5).await.unwrap_err().to_string().split(' ').next(), Some("403"));
    let protocol = Client::new(&url, Some(key(Role::Protocol, "plimsoll"))).unwrap();
    assert_eq!(protocol.accounts(5).await.unwrap().data.len(), 2);
    let elsewhere = Client::new(&url, Some(key(Role::Reader, "another"))).unwrap();
    assert_eq!(refused(elsewhere.margin("alice").await), 401);
    assert_eq!(refused(Client::new(&url, None).unwrap().margin("alice").await), 401);
}

fn plimsoll(arguments: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_plimsoll")).args(arguments).output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    (done.status.code().unwrap(), said)
}

fn write(path: &Path, text: &str, mode: u32) {
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_a_server() {
    let (world, keys) = locked("");
    let url = format!("http://{}", served(&world).await);
    let key = &keys[&Role::Protocol];
    let path = world.dir.path().join("mine.json");
    write(&path, &json!({ "key": key.id, "secret": key.secret }).to_string(), 0o600);
    let with = |more: &[&str]| plimsoll(&[&["--url", &url, "--key", path.to_str().unwrap()], more].concat());
    tokio::task::block_in_place(|| {
        let (status, said) = with(&["--format", "json", "margin", "alice"]);
        assert_eq!(status, 0, "{said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(said["data"]["totals"]["im"].is_string());
        let (status, said) = with(&["margin", "alice"]);
        assert!(status == 0 && said.contains("im_excess") && said.contains("parameters"), "{said}");
        let (status, said) = with(&["accounts"]);
        assert!(status == 0 && said.contains("alice") && said.contains("bob"), "{said}");
        let (status, said) = with(&["account", "bob"]);
        assert!(status == 0 && said.contains(CALL), "{said}");
        assert_eq!(with(&["parameters"]).0, 0);
        let (status, said) = with(&["check", "alice", "--trade", "+1 ETH_USDC-PERPETUAL"]);
        assert!(status == 0 && said.contains("allowed"), "{said}");
        assert_eq!(with(&["check", "alice", "--trade", "+100000 ETH_USDC-PERPETUAL"]).0, 1);
        let events = world.dir.path().join("events.json");
        write(&events, &json!([{ "event": { "type": "open", "account": "carol" } }]).to_string(), 0o600);
        let events = events.to_str().unwrap();
        assert_eq!((with(&["events", events]).0, with(&["events", events]).0), (0, 1));
        let (status, said) = plimsoll(&["--url", &url, "margin", "alice"]);
        assert!(status == 2 && said.contains("401 unauthorised"), "{said}");
        let open = world.dir.path().join("open.json");
        write(&open, "{\"key\":\"plim_leak\",\"secret\":3}", 0o600);
        let (status, said) = plimsoll(&["--url", &url, "--key", open.to_str().unwrap(), "parameters"]);
        assert!(status == 2 && !said.contains("plim_leak"), "{said}");
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let (status, said) = plimsoll(&["--url", &url, "--key", open.to_str().unwrap(), "parameters"]);
        assert!(status == 2 && said.contains("lets others at it"), "{said}");
        assert_eq!(plimsoll(&["--url", "http://example.com", "parameters"]).0, 2);
    });
}
