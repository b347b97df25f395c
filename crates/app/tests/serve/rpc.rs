//! JSON-RPC 2.0: the envelope, the methods of two venues, and the same numbers as everywhere else.

use crate::doors::{asked, locked};
use crate::sockets::{Socket, next, say, served};
use crate::world::{CALL, World, ask};
use axum::http::StatusCode;
use plimsoll_app::doors::{METHODS, Role};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;

const PERPETUAL: &str = "ETH_USDC-PERPETUAL";

/// Sends a body over a connection of its own: status and text.
async fn post(address: SocketAddr, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

fn call(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

/// The result of a call that is done.
async fn done(address: SocketAddr, method: &str, params: Value) -> Value {
    let (status, text) = post(address, &call(method, params).to_string()).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["id"], &answer["jsonrpc"]), (200, &json!(7), &json!("2.0")), "{text}");
    assert!(answer.get("error").is_none(), "{method}: {text}");
    answer["result"].clone()
}

/// The error of a call that is refused.
async fn refused(address: SocketAddr, body: &str) -> (i64, Value) {
    let (status, text) = post(address, body).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(answer.get("result").is_none(), "{text}");
    (answer["error"]["code"].as_i64().unwrap(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_envelope_is_that_of_json_rpc_2() {
    let world = World::calm();
    let at = served(&world).await;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"public/test","params":{}1{}}}"#,
        "[".repeat(20),
        "]".repeat(20)
    );
    for (body, code, id) in [
        ("{\"jsonrpc\"", -32700, json!(null)),
        ("", -32700, json!(null)),
        ("[]", -32600, json!(null)),
        ("3", -32600, json!(null)),
        (r#"{"jsonrpc":"1.0","id":"a","method":"public/test"}"#, -32600, json!("a")),
        (r#"{"id":1,"method":"public/test"}"#, -32600, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600, json!(1)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"public/test"}"#, -32600, json!(null)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"public/test","params":3}"#, -32600, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"public/test","more":3}"#, -32600, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"public/no"}"#, -32601, json!(1)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":[]}}"#,
            -32601,
            json!(1),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"public/test","params":[]}"#, -32602, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"public/test","params":{"x":1}}"#, -32602, json!(1)),
        (r#"{"jsonrpc":"2.0","id":null,"method":"public/no"}"#, -32601, json!(null)),
        (&deep, -32602, json!(1)),
    ] {
        let (found, answer) = refused(at, body).await;
        assert_eq!((found, &answer["id"]), (code, &id), "{body}: {answer}");
        assert!(
            answer["error"]["data"]["code"].is_string() && answer["error"]["message"].is_string(),
            "{answer}"
        );
    }
    // What needs no answer gets none, though it be refused.
    let silent = r#"{"jsonrpc":"2.0","method":"public/no"}"#;
    assert_eq!(post(at, silent).await, (204, String::new()));
    assert_eq!(post(at, &format!("[{silent},{silent}]")).await, (204, String::new()));
    // A number keeps its digits in an answer, whatever it is.
    let id = "123456789012345678901234567890.10";
    let (_, text) = post(at, &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"public/test"}}"#)).await;
    assert!(text.contains(&format!("\"id\":{id}")), "{text}");
    let (_, text) =
        post(at, &format!(r#"[3,{silent},{{"jsonrpc":"2.0","id":"x","method":"public/get_time"}}]"#)).await;
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (answers.len(), &answers[0]["error"]["code"], &answers[1]["id"]),
        (2, &json!(-32600), &json!("x"))
    );
    assert!(answers[1]["result"].as_u64().unwrap() > 1_700_000_000_000);
    let most = vec![r#"{"jsonrpc":"2.0","id":1,"method":"public/test"}"#; 101].join(",");
    assert_eq!(refused(at, &format!("[{most}]")).await.0, -32600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_are_those_of_every_other_route() {
    let world = World::calm();
    let at = served(&world).await;
    let deep = "[".repeat(33) + &"]".repeat(33);
    let (status, text) = post(at, &deep).await;
    assert_eq!(status, 400, "{text}");
    let (status, _) = post(at, &format!("\"{}\"", "a".repeat(1 << 20))).await;
    assert_eq!(status, 413);
    let legs = |count: usize| -> Vec<Value> {
        vec![json!({ "instrument_name": PERPETUAL, "amount": "0.001" }); count]
    };
    let params =
        |count: usize| json!({ "subaccount_id": "alice", "simulated_position_changes": legs(count) });
    let at_most = call("private/get_margin", params(1_000));
    let (_, text) = post(at, &at_most.to_string()).await;
    assert!(text.contains("\"result\""), "{text}");
    let (code, answer) = refused(at, &call("private/get_margin", params(1_001)).to_string()).await;
    assert_eq!((code, &answer["error"]["data"]["detail"]), (-32602, &json!("1001 legs: at most 1000")));
    // Calls of one request share its legs.
    let batch = json!([call("private/get_margin", params(600)), call("private/get_margin", params(600))]);
    let (_, text) = post(at, &batch.to_string()).await;
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(answers[0].get("result").is_some() && answers[1]["error"]["code"] == -32602, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_and_a_change_to_it_have_the_numbers_of_what_if() {
    let world = World::calm();
    let at = served(&world).await;
    let legs = json!({ "legs": [{ "instrument": PERPETUAL, "quantity": "-7.5" }, { "instrument": CALL, "quantity": "3" }] });
    let (status, rest) = world.post("/v1/accounts/alice/what-if", &legs).await;
    assert_eq!(status, StatusCode::OK, "{rest}");
    let derive = done(
        at,
        "private/get_margin",
        json!({ "subaccount_id": "alice", "simulated_position_changes": [
            { "instrument_name": PERPETUAL, "amount": "-7.5" }, { "instrument_name": CALL, "amount": 3 }] }),
    )
    .await;
    for (part, of) in [("pre", "before"), ("post", "after")] {
        assert_eq!(derive["plimsoll"][part], rest["data"][of]["totals"], "{derive}");
        assert_eq!(derive[format!("{part}_initial_margin")], rest["data"][of]["totals"]["im_excess"]);
        assert_eq!(derive[format!("{part}_maintenance_margin")], rest["data"][of]["totals"]["mm_excess"]);
    }
    assert_eq!(derive["is_valid_trade"], rest["data"]["check"]["allowed"]);
    assert_eq!(derive["subaccount_id"], "alice");
    for same in ["sequence", "as_of", "snapshot", "parameters", "validity"] {
        assert_eq!(derive["plimsoll"][same], rest[same], "{same}");
    }
    let simulated = json!({ "currency": "CROSS", "account": "alice", "simulated_positions": { PERPETUAL: -7.5, CALL: "3" } });
    let deribit = done(at, "private/simulate_portfolio", simulated.clone()).await;
    let totals = &rest["data"]["after"]["totals"];
    for (theirs, ours) in [
        ("equity", "equity"),
        ("initial_margin", "im"),
        ("maintenance_margin", "mm"),
        ("available_funds", "im_excess"),
        ("total_pl", "unrealised"),
    ] {
        assert_eq!(deribit[theirs], totals[ours], "{theirs}");
    }
    assert_eq!(deribit["plimsoll"]["check"], rest["data"]["check"]);
    let vectors = done(at, "private/pme/simulate", simulated).await;
    assert_eq!(vectors["plimsoll"]["scenarios"], rest["data"]["after"]["scenarios"]);
    for under in rest["data"]["after"]["underlyings"].as_array().unwrap() {
        let pair = format!("{}_usd", under["asset"].as_str().unwrap().to_lowercase());
        assert_eq!(vectors["aggregated_risk_vectors"][pair]["standard"], under["pnl"]);
    }
}

fn sum(vectors: &[&Value]) -> Vec<f64> {
    let row = |vector: &Value| -> Vec<f64> {
        vector["standard"].as_array().unwrap().iter().map(|x| x.as_str().unwrap().parse().unwrap()).collect()
    };
    let rows: Vec<Vec<f64>> = vectors.iter().map(|vector| row(vector)).collect();
    (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i]).sum()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn risk_vectors_are_the_accounts_own_and_those_of_positions_add_up_to_them() {
    let world = World::calm();
    let at = served(&world).await;
    let (_, margin) = world.get("/v1/accounts/bob/margin").await;
    let vectors = done(at, "private/pme/simulate", json!({ "currency": "USD", "account": "bob" })).await;
    let under = |asset: &str| {
        margin["data"]["underlyings"].as_array().unwrap().iter().find(|u| u["asset"] == asset).unwrap()["pnl"]
            .clone()
    };
    let (all, each) = (&vectors["aggregated_risk_vectors"], &vectors["initial_risk_vectors"]);
    assert_eq!(all["eth_usd"]["standard"], under("ETH"));
    assert_eq!(all["sol_usd"]["standard"], under("SOL"));
    assert_eq!(sum(&[&each[PERPETUAL]]), sum(&[&all["eth_usd"]]));
    assert_eq!(sum(&[&each[CALL]]), sum(&[&all["sol_usd"]]));
    assert!(sum(&[&all["sol_usd"]]).iter().any(|x| *x < 0.0), "bob's call can lose");
    let one = done(at, "private/pme/simulate", json!({ "currency": "SOL", "account": "bob" })).await;
    assert_eq!(one["aggregated_risk_vectors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["sol_usd"]);
    assert_eq!(one["initial_risk_vectors"].as_object().unwrap().keys().collect::<Vec<_>>(), [CALL]);
    let none = done(
        at,
        "private/pme/simulate",
        json!({ "currency": "USD", "account": "bob", "add_positions": false }),
    )
    .await;
    assert_eq!(none["initial_risk_vectors"], json!({}));
    assert_eq!(none["margins"]["initial_margin"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_book_needs_what_the_same_book_needs_when_somebody_has_it() {
    let world = World::calm();
    let at = served(&world).await;
    // Alice bought five perpetuals at 3310 and sold ten calls at 5 with 100000 in hand: what she was paid is hers.
    let book = json!({
        "margin_type": "PM",
        "market": "ETH",
        "simulated_collaterals": [{ "asset_name": "USD", "amount": "100050" }],
        "simulated_positions": [
            { "instrument_name": PERPETUAL, "amount": "5", "entry_price": "3310" },
            { "instrument_name": CALL, "amount": "-10" }],
    });
    let (_, margin) = world.get("/v1/accounts/alice/margin").await;
    let totals = &margin["data"]["totals"];
    let simulated = done(at, "public/get_margin", book.clone()).await;
    for part in ["pre", "post"] {
        assert_eq!(simulated[format!("{part}_initial_margin")], totals["im_excess"], "{simulated} {totals}");
        assert_eq!(simulated[format!("{part}_maintenance_margin")], totals["mm_excess"]);
        for same in ["equity", "im", "mm", "aggregate", "addons"] {
            assert_eq!(simulated["plimsoll"][part][same], totals[same], "{part} {same}");
        }
    }
    assert_eq!(simulated["is_valid_trade"], true);
    let mut changed = book.clone();
    changed["simulated_position_changes"] = json!([{ "instrument_name": PERPETUAL, "amount": "4" }]);
    changed["simulated_collateral_changes"] = json!([{ "asset_name": "USD", "amount": "-1000" }]);
    let then = done(at, "public/get_margin", changed).await;
    let legs = json!({ "legs": [{ "instrument": PERPETUAL, "quantity": "4" }] });
    let (_, rest) = world.post("/v1/accounts/alice/what-if", &legs).await;
    assert_eq!(then["plimsoll"]["post"]["im"], rest["data"]["after"]["totals"]["im"]);
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let without = number(&rest["data"]["after"]["totals"]["im_excess"]) - 1_000.0;
    assert!((number(&then["post_initial_margin"]) - without).abs() < 1e-6, "{then}");
    // Ten dollars do not carry it, and nobody's book is in nobody's account.
    let mut poor = book.clone();
    poor["simulated_collaterals"][0]["amount"] = json!("10");
    let poor = done(at, "public/get_margin", poor).await;
    assert_eq!(
        (&poor["is_valid_trade"], &poor["plimsoll"]["reason"]),
        (&json!(false), &json!("insufficient_margin"))
    );
    let (_, accounts) = world.get("/v1/accounts").await;
    assert_eq!(accounts["data"].as_array().unwrap().len(), 2);
    for (field, value, code) in [
        ("margin_type", json!("SM"), -32602),
        ("margin_type", json!("XX"), -32602),
        ("market", json!("DOGE"), -32602),
        ("simulated_collaterals", json!([{ "asset_name": "DOGE", "amount": "1" }]), -32009),
        ("simulated_positions", json!([{ "instrument_name": "BTC-PERPETUAL", "amount": "1" }]), -32004),
        ("simulated_positions", json!([{ "instrument_name": PERPETUAL, "amount": "0.00001" }]), -32009),
        (
            "simulated_positions",
            json!([{ "instrument_name": CALL, "amount": "1", "entry_price": "3" }]),
            -32602,
        ),
        ("simulated_positions", json!([{ "instrument_name": PERPETUAL, "amount": true }]), -32602),
        ("im_factor", json!("0"), -32602),
    ] {
        let mut wrong = book.clone();
        wrong[field] = value;
        let (found, answer) = refused(at, &call("public/get_margin", wrong).to_string()).await;
        assert_eq!(found, code, "{field}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api5_methods_are_open_to_the_roles_of_their_needs_and_to_no_other() {
    let (world, keys) = locked("");
    let mut calls = 0;
    for (role, key) in &keys {
        for method in METHODS {
            let request =
                key.signed(&asked("POST", "/rpc", &call(method.name, json!({ "subaccount_id": "alice" }))));
            let (status, answer) = ask(&world.app, request).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let forbidden = answer["error"]["code"] == -32003;
            assert_eq!(forbidden, !method.need.is_met_by(*role), "{role} {}: {answer}", method.name);
            calls += 1;
        }
    }
    assert_eq!(calls, Role::ALL.len() * METHODS.len());
    // Without a key nothing of the market is seen.
    let request = axum::http::Request::post("/rpc").header("content-type", "application/json");
    let body = call("public/get_margin", json!({})).to_string();
    let (_, answer) = ask(&world.app, request.body(axum::body::Body::from(body)).unwrap()).await;
    assert_eq!(answer["error"]["code"], -32003, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn api1_a_call_for_another_account_is_answered_like_one_for_none() {
    let (world, keys) = locked("");
    let reader = &keys[&Role::Reader];
    for (method, field, more) in [
        ("private/get_margin", "subaccount_id", json!({})),
        ("private/simulate_portfolio", "account", json!({ "currency": "USD" })),
        ("private/pme/simulate", "account", json!({ "currency": "USD" })),
    ] {
        let params = |name: &str| {
            let mut params = more.clone();
            params[field] = json!(name);
            call(method, params)
        };
        let (_, own) = ask(&world.app, reader.signed(&asked("POST", "/rpc", &params("alice")))).await;
        assert!(own["result"].is_object(), "{own}");
        let (_, others) = ask(&world.app, reader.signed(&asked("POST", "/rpc", &params("bob")))).await;
        let (_, nobodys) = ask(&world.app, reader.signed(&asked("POST", "/rpc", &params("nobody")))).await;
        assert_eq!(others["error"]["code"], -32004);
        assert_eq!(others.to_string().replace("bob", "nobody"), nobodys.to_string());
    }
    // A key of one account need not name it.
    let unnamed = call("private/simulate_portfolio", json!({ "currency": "USD" }));
    let (_, own) = ask(&world.app, reader.signed(&asked("POST", "/rpc", &unnamed))).await;
    assert!(own["result"]["equity"].is_string(), "{own}");
}

async fn connected(world: &World) -> Socket {
    let at = served(world).await;
    connect_async(format!("ws://{at}/rpc")).await.unwrap().0
}

async fn told(socket: &mut Socket, channel: &str) -> Value {
    loop {
        let message = next(socket).await;
        if message["params"]["channel"] == channel {
            assert_eq!((&message["method"], message.get("id")), (&json!("subscription"), None));
            return message["params"]["data"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_subscribed_to_in_both_dialects_and_say_what_ours_say() {
    let mut world = World::calm();
    let mut socket = connected(&world).await;
    say(&mut socket, call("public/subscribe", json!({ "channels": ["platform_state", "params"] }))).await;
    assert_eq!(next(&mut socket).await["result"], json!(["platform_state", "params"]));
    say(&mut socket, call("private/subscribe", json!({ "channels": ["margin.alice"] }))).await;
    assert_eq!(next(&mut socket).await["result"], json!(["margin.alice"]));
    let before = told(&mut socket, "margin.alice").await;
    say(&mut socket, call("subscribe", json!({ "channels": ["bob.balances", "auctions.watch"] }))).await;
    let answer = next(&mut socket).await;
    assert_eq!(
        answer["result"]["status"],
        json!({ "bob.balances": "ok", "auctions.watch": "ok" }),
        "{answer}"
    );
    assert_eq!(answer["result"]["current_subscriptions"].as_array().unwrap().len(), 5);
    assert_eq!(told(&mut socket, "bob.balances").await["data"]["account"], "bob");
    tokio::task::block_in_place(|| world.price("ETH", "3410"));
    let after = told(&mut socket, "margin.alice").await;
    assert_ne!(before["data"]["totals"]["equity"], after["data"]["totals"]["equity"]);
    let (_, rest) = world.get("/v1/accounts/alice").await;
    assert_eq!(after["data"], rest["data"]);
    tokio::task::block_in_place(|| world.ok(json!({ "type": "uptime", "down": true })));
    assert_eq!(told(&mut socket, "platform_state").await["data"]["to"], "halted");
    // Calls and channels share the socket.
    say(&mut socket, json!([call("public/test", json!({})), call("unsubscribe", json!({}))])).await;
    let answers = loop {
        let message = next(&mut socket).await;
        if message.is_array() {
            break message;
        }
    };
    assert_eq!(answers[1]["result"]["current_subscriptions"], json!([]));
    for (wrong, code) in [
        (call("public/subscribe", json!({ "channels": ["margin.alice"] })), -32602),
        (call("private/subscribe", json!({ "channels": ["margin.nobody"] })), -32004),
        (call("private/subscribe", json!({ "channels": ["user.portfolio.any"] })), -32602),
        (call("private/subscribe", json!({ "channels": vec!["params"; 65] })), -32602),
        (call("private/subscribe", json!({})), -32602),
        (json!({ "op": "ping" }), -32600),
    ] {
        say(&mut socket, wrong.clone()).await;
        assert_eq!(next(&mut socket).await["error"]["code"], code, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_proves_itself_on_the_socket_hears_its_own_account_and_no_other() {
    let (world, keys) = locked("");
    let reader = &keys[&Role::Reader];
    let mut socket = connected(&world).await;
    say(&mut socket, call("private/subscribe", json!({ "channels": ["margin.alice"] }))).await;
    assert_eq!(next(&mut socket).await["error"]["code"], -32004);
    let of = asked("GET", "/rpc", &Value::Null);
    let claim =
        json!({ "key": reader.id, "time": of.time_ms, "nonce": of.nonce, "proof": reader.proof(&of) });
    say(&mut socket, call("public/auth", claim.clone())).await;
    assert_eq!(next(&mut socket).await["result"]["key"], json!(reader.id));
    say(&mut socket, call("public/auth", claim)).await;
    assert_eq!(next(&mut socket).await["error"]["code"], -32001, "a proof opens once");
    say(&mut socket, call("private/subscribe", json!({ "channels": ["user.portfolio.any"] }))).await;
    assert_eq!(next(&mut socket).await["result"], json!(["user.portfolio.any"]));
    assert_eq!(told(&mut socket, "user.portfolio.any").await["data"]["account"], "alice");
    for (channel, code) in [("bob.balances", -32004), ("auctions.watch", -32003)] {
        say(&mut socket, call("private/subscribe", json!({ "channels": [channel] }))).await;
        assert_eq!(next(&mut socket).await["error"]["code"], code, "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_a_what_if_has_at_most_a_thousand_legs_and_32_expiries() {
    let world = World::calm();
    let legs = |count: usize| json!({ "legs": vec![json!({ "instrument": PERPETUAL, "quantity": "0.001" }); count] });
    let expiries = |count: usize| {
        let name = |i: usize| format!("SOL_USDC-{}{}26-142-C", i % 28 + 1, ["JAN", "FEB"][i / 28]);
        let legs: Vec<Value> =
            (0..count).map(|i| json!({ "instrument": name(i), "quantity": "1" })).collect();
        json!({ "legs": legs })
    };
    for route in ["/v1/accounts/alice/what-if", "/v1/accounts/alice/check"] {
        assert_eq!(world.post(route, &legs(1_000)).await.0, StatusCode::OK);
        let (status, answer) = world.post(route, &legs(1_001)).await;
        assert_eq!((status, &answer["detail"]), (StatusCode::BAD_REQUEST, &json!("1001 legs: at most 1000")));
        let (status, answer) = world.post(route, &expiries(33)).await;
        assert_eq!((status, &answer["detail"]), (StatusCode::BAD_REQUEST, &json!("33 expiries: at most 32")));
        // Thirty-two may be asked about; what is not listed here is said of the first of them.
        let (status, answer) = world.post(route, &expiries(32)).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::NOT_FOUND, &json!("unknown_instrument")),
            "{answer}"
        );
    }
    let (_, answer) = world
        .post("/v1/checks", &json!({ "checks": [{ "account": "alice", "legs": expiries(33)["legs"] }] }))
        .await;
    assert_eq!(answer["detail"], "33 expiries: at most 32");
    let at = served(&world).await;
    let held: Vec<Value> = expiries(33)["legs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leg| json!({ "instrument_name": leg["instrument"], "amount": leg["quantity"] }))
        .collect();
    let params = json!({ "subaccount_id": "alice", "simulated_position_changes": held });
    let (code, answer) = refused(at, &call("private/get_margin", params).to_string()).await;
    assert_eq!((code, &answer["error"]["data"]["detail"]), (-32602, &json!("33 expiries: at most 32")));
}
