//! What may be asked.

use crate::world::{CALL, World, ask};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use plimsoll_app::serve::document;
use serde_json::{Value, json};

/// What stands for a part of a path.
fn filled(path: &str) -> String {
    path.replace("{account}", "alice").replace("{underlying}", "SOL").replace("{id}", "nothing")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_document_answers() {
    let world = World::calm();
    let document = serde_json::to_value(document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 25, "{}", paths.len());
    for (path, verbs) in paths {
        if verbs.get("get").is_none() || path == "/v1/ws" {
            continue;
        }
        let (status, answer) = world.get(&filled(path)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        if path.starts_with("/v1") && path != "/v1/health" {
            for field in ["sequence", "as_of", "snapshot", "parameters", "validity", "data"] {
                assert!(answer.get(field).is_some(), "{path} says no `{field}`");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_api_and_its_page_needs_no_network() {
    let world = World::empty("");
    let (status, served) = world.get("/openapi.json").await;
    assert_eq!((status, served["openapi"].as_str()), (StatusCode::OK, Some("3.1.0")));
    let (status, page) = world.get("/docs/").await;
    assert_eq!(status, StatusCode::OK);
    let page = page.as_str().unwrap();
    assert!(page.contains("swagger-ui") && !page.contains("https://"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_text_and_adds_up() {
    let world = World::calm();
    let (_, answer) = world.get("/v1/accounts/alice/margin").await;
    let margin = &answer["data"];
    let number = |value: &Value| value.as_str().unwrap().parse::<plimsoll_types::Decimal>().unwrap();
    let mut im =
        number(&margin["base"]["im"]) + number(&margin["guard"]["im"]) + number(&margin["orders"]["im"]);
    im -= number(&margin["relief"]["im"]);
    for addon in margin["addons"].as_array().unwrap() {
        im += number(&addon["im"]);
    }
    assert_eq!(im, number(&margin["totals"]["im"]));
    let scenarios = margin["scenarios"].as_array().unwrap().len();
    for under in margin["underlyings"].as_array().unwrap() {
        assert_eq!(under["pnl"].as_array().unwrap().len(), scenarios);
    }
    let (_, account) = world.get("/v1/accounts/alice").await;
    assert_eq!(account["data"]["totals"], margin["totals"], "one account has one margin");
    assert_eq!(account["data"]["positions"][0]["quantity"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_both_margins_and_less_risk_is_always_allowed() {
    let world = World::calm();
    let legs =
        |quantity: &str| json!({ "legs": [{ "instrument": "ETH_USDC-PERPETUAL", "quantity": quantity }] });
    let (status, less) = world.post("/v1/accounts/alice/check", &legs("-2.5")).await;
    assert_eq!((status, &less["data"]["allowed"]), (StatusCode::OK, &json!(true)));
    let (_, more) = world.post("/v1/accounts/alice/check", &legs("4000")).await;
    assert_eq!(
        (&more["data"]["allowed"], &more["data"]["reason"]),
        (&json!(false), &json!("insufficient_margin"))
    );
    let (_, what_if) = world.post("/v1/accounts/alice/what-if", &legs("4000")).await;
    assert_eq!(what_if["data"]["after"]["totals"]["im_excess"], more["data"]["im_excess_after"]);
    assert_eq!(what_if["data"]["before"]["totals"]["im_excess"], more["data"]["im_excess_before"]);
    let batch = json!({ "checks": [{ "account": "bob", "legs": legs("1")["legs"] }, { "account": "nobody", "legs": [] }] });
    let (_, batch) = world.post("/v1/checks", &batch).await;
    assert_eq!(batch["data"][0]["answer"]["allowed"], true);
    assert_eq!(batch["data"][1]["problem"]["code"], "unknown_account");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_refused_with_a_word() {
    let world = World::calm();
    let legs = |instrument: &str, quantity: &str| json!({ "legs": [{ "instrument": instrument, "quantity": quantity }] });
    let cases = [
        (legs("ETH_USDC-PERPETUAL", "0.00001"), StatusCode::CONFLICT, "quantity"),
        (legs("ETH_USDC-PERPETUAL", "NaN"), StatusCode::BAD_REQUEST, "body"),
        (legs("ETH_USDC-PERPETUAL", "1e400"), StatusCode::BAD_REQUEST, "body"),
        (legs("ETH_USDC-PERPETUAL", "99999999999999999999"), StatusCode::CONFLICT, "quantity"),
        (legs("BTC_USDC-PERPETUAL", "1"), StatusCode::NOT_FOUND, "unknown_instrument"),
        (json!({ "legs": [], "role": "governor" }), StatusCode::BAD_REQUEST, "body"),
        (
            json!({ "legs": vec![legs(CALL, "1")["legs"][0].clone(); 1_001] }),
            StatusCode::BAD_REQUEST,
            "argument",
        ),
    ];
    for (body, status, code) in cases {
        let (found, answer) = world.post("/v1/accounts/alice/check", &body).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    }
    for (path, status) in [
        ("/v1/accounts/nobody", StatusCode::NOT_FOUND),
        ("/v1/surface/DOGE", StatusCode::NOT_FOUND),
        ("/v1/accounts?limit=0", StatusCode::BAD_REQUEST),
        ("/v1/accounts?nonsense=1", StatusCode::BAD_REQUEST),
        ("/v2/accounts", StatusCode::NOT_FOUND),
    ] {
        let (found, answer) = world.get(path).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(answer["code"].is_string(), "{path}: {answer}");
    }
    let (status, _) =
        ask(&world.app, Request::delete("/v1/accounts/alice").body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let large = json!({ "events": [], "more": "x".repeat(2 << 20) });
    let (status, _) = world.post("/v1/events", &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_surface_of_risk_is_drawn_apart_from_the_engine() {
    let world = World::calm();
    let (status, heat) = world.get("/v1/accounts/alice/heatmap?days=1").await;
    assert_eq!(status, StatusCode::OK, "{heat}");
    let zero = &heat["data"]["pnl"][2][10];
    let (_, today) = world.get("/v1/accounts/alice/heatmap").await;
    assert_eq!(today["data"]["pnl"][2][10], "0", "no move, no time: nothing gained");
    assert_ne!(zero, "0", "a short option gains as time passes");
    let (_, boundary) = world.get("/v1/accounts/alice/liquidation").await;
    assert!(boundary["data"]["points"].as_array().unwrap().len() >= 7, "{boundary}");
}
