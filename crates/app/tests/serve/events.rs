//! What may be told, over HTTP.

use crate::world::World;
use axum::http::StatusCode;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_counts_once_however_often_it_is_sent() {
    let world = World::calm();
    let deposit = json!({ "source": "bank", "number": 7,
        "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": "12.5" } });
    let (status, first) = world.post("/v1/events", &json!({ "events": [deposit] })).await;
    assert_eq!((status, &first[0]["applied"]), (StatusCode::OK, &json!(true)), "{first}");
    let (_, again) = world.post("/v1/events", &json!({ "events": [deposit, deposit] })).await;
    for outcome in again.as_array().unwrap() {
        assert_eq!((&outcome["applied"], &outcome["problem"]["code"]), (&json!(false), &json!("duplicate")));
    }
    let (_, account) = world.get("/v1/accounts/alice").await;
    let dollars = &account["data"]["collateral"][0];
    // The premium of the option that was sold is in it too.
    assert_eq!(
        (dollars["asset"].as_str(), dollars["amount"].as_str()),
        (Some("USD"), Some("100012.5")),
        "{account}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_engine_are_in_the_journal_and_say_why() {
    let world = World::calm();
    let events = json!({ "events": [
        { "event": { "type": "withdraw", "account": "alice", "asset": "USD", "amount": "1000000" } },
        { "event": { "type": "trade", "buyer": "alice", "seller": "bob", "instrument": "ETH_USDC-PERPETUAL", "quantity": "9000", "price": "3310" } },
        { "event": { "type": "deposit", "account": "nobody", "asset": "USD", "amount": "1" } },
        { "event": { "type": "deposit", "account": "alice", "asset": "DOGE", "amount": "1" } },
    ] });
    let (status, outcomes) = world.post("/v1/events", &events).await;
    assert_eq!(status, StatusCode::OK);
    let codes: Vec<&str> =
        outcomes.as_array().unwrap().iter().map(|o| o["problem"]["code"].as_str().unwrap()).collect();
    // What comes over HTTP comes now, and prices of the bundled market are long stale by now: no new risk.
    assert_eq!(codes, ["insufficient", "halted", "unknown_account", "no_collateral"], "{outcomes}");
    assert!(outcomes.as_array().unwrap().iter().all(|o| o["sequence"].is_u64()), "{outcomes}");
    let (_, overview) = world.get("/v1/overview").await;
    assert_eq!(overview["data"]["refused"]["no_collateral"], 1, "{overview}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_never_reaches_the_engine() {
    let world = World::calm();
    let before = world.host.as_ref().unwrap().shared.applied();
    let deposit = async |amount: &str| {
        let events = json!({ "events": [
            { "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": amount } } ] });
        world.post("/v1/events", &events).await
    };
    // F09: refused at the edge, whole.
    for amount in ["NaN", "Infinity", "-inf", "1e400", "", "0x10", "1.2.3", "--1", "e5"] {
        let (status, answer) = deposit(amount).await;
        let refused = (status, answer["code"].as_str());
        assert_eq!(refused, (StatusCode::BAD_REQUEST, Some("body")), "{amount}: {answer}");
    }
    // A number, and none that an amount can be.
    for amount in ["1.0000000001", "1e40", "-0.0000000000001"] {
        let (_, outcomes) = deposit(amount).await;
        assert_eq!(outcomes[0]["problem"]["code"], "argument", "{amount}: {outcomes}");
        assert!(outcomes[0].get("sequence").is_none());
    }
    let (status, _) = world.post("/v1/events", &json!({ "events": [{ "event": { "type": "deposit", "account": "alice", "asset": "USD", "amount": 5 } }] })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "an amount that is a float is refused");
    assert_eq!(world.host.as_ref().unwrap().shared.applied(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_without_governance_is_refused_by_the_policy() {
    let world = World::calm();
    let vote = json!({ "id": "v1", "key": { "knob": "im_scale" }, "value": "1.1",
        "proposed": world.now.to_string(), "effective": world.now.plus_seconds(10).to_string(),
        "vote": { "reference": "r", "yes": 1, "no": 0 } });
    let (status, answer) = world.post("/v1/proposals", &vote).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("vote")), "{answer}");
    let (_, proposals) = world.get("/v1/proposals").await;
    assert_eq!(proposals["data"], json!([]));
}
