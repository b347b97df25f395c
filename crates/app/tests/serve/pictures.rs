//! What pictures ask for says the same as the routes that it is drawn beside.

use crate::world::World;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use plimsoll_types::Decimal;
use serde_json::Value;
use tower::ServiceExt;

fn number(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn legs_add_up_to_the_heat_map() {
    let world = World::calm();
    let (_, whole) = world.get("/v1/accounts/alice/heatmap?days=1").await;
    let (status, legs) = world.get("/v1/accounts/alice/heatmap/legs?days=1").await;
    assert_eq!(status, StatusCode::OK, "{legs}");
    let (_, account) = world.get("/v1/accounts/alice").await;
    assert_eq!(list(&legs["data"]).len(), list(&account["data"]["positions"]).len());
    for (vol, row) in list(&whole["data"]["pnl"]).iter().enumerate() {
        for (spot, pnl) in list(row).iter().enumerate() {
            let sum: Decimal = list(&legs["data"]).iter().map(|leg| number(&leg["pnl"][vol][spot])).sum();
            assert_eq!(sum, number(pnl), "vol {vol} spot {spot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_of_the_book_is_the_sum_of_its_accounts() {
    let mut world = World::calm();
    for account in ["carol", "dave"] {
        world.open(account, "5000");
    }
    world.trade("carol", "dave", "ETH_USDC-PERPETUAL", "5", "3310");
    let (status, book) = world.get("/v1/heatmap").await;
    assert_eq!(status, StatusCode::OK, "{book}");
    let (_, accounts) = world.get("/v1/accounts").await;
    let cells = list(&book["data"]["cells"]);
    let (mut pnl, mut losses) = (vec![Decimal::ZERO; 147], vec![Decimal::ZERO; 147]);
    let (mut under, mut shortfall) = (vec![0_u64; 147], vec![Decimal::ZERO; 147]);
    for row in list(&accounts["data"]) {
        let name = row["account"].as_str().unwrap();
        let (_, map) = world.get(&format!("/v1/accounts/{name}/heatmap")).await;
        let flat = list(&map["data"]["pnl"]).iter().flat_map(list).map(number);
        let (equity, mm) = (number(&row["totals"]["equity"]), number(&row["totals"]["mm"]));
        for (at, of) in flat.enumerate() {
            pnl[at] += of;
            losses[at] += (-of).max(Decimal::ZERO);
            under[at] += u64::from(equity + of < mm);
            if equity + of < mm {
                shortfall[at] += (-(equity + of)).max(Decimal::ZERO);
            }
        }
    }
    for (at, cell) in cells.iter().flat_map(list).enumerate() {
        assert_eq!(number(&cell["pnl"]), pnl[at], "cell {at}");
        assert_eq!(number(&cell["losses"]), losses[at], "cell {at}");
        assert_eq!(cell["accounts"], under[at], "cell {at}");
        assert_eq!(number(&cell["shortfall"]), shortfall[at], "cell {at}");
        assert_eq!(number(&cell["notional"]).is_zero(), under[at] == 0, "cell {at}");
    }
    assert!(under.iter().any(|count| *count > 0), "nobody is ever liquidatable: the test shows nothing");
    let worst = &book["data"]["worst"];
    let (vol, spot) = (worst[0].as_u64().unwrap() as usize, worst[1].as_u64().unwrap() as usize);
    assert_eq!(losses.iter().max(), Some(&losses[vol * 21 + spot]));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_the_map_of_the_book_add_up_to_its_losses() {
    let world = World::calm();
    let (_, book) = world.get("/v1/heatmap").await;
    let parts = list(&book["data"]["parts"]);
    let names: Vec<_> =
        parts.iter().map(|of| (of["underlying"].as_str().unwrap(), of.get("expiry"))).collect();
    assert!(names.iter().any(|(name, expiry)| *name == "ETH" && expiry.is_none()), "{names:?}");
    assert!(names.iter().any(|(name, expiry)| *name == "SOL" && expiry.is_some()), "{names:?}");
    let mut lost = Decimal::ZERO;
    for (vol, row) in list(&book["data"]["cells"]).iter().enumerate() {
        for (spot, cell) in list(row).iter().enumerate() {
            let sum: Decimal = parts.iter().map(|of| number(&of["losses"][vol][spot])).sum();
            assert_eq!(sum, number(&cell["losses"]), "vol {vol} spot {spot}");
            lost += sum;
        }
    }
    assert!(lost > Decimal::ZERO, "nobody ever loses: the test shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_behind_a_greek_add_up_to_it_the_largest_first() {
    let mut world = World::calm();
    world.open("carol", "50000");
    world.trade("carol", "bob", "ETH_USDC-PERPETUAL", "1", "3310");
    let (status, behind) = world.get("/v1/greeks/ETH/accounts?by=delta").await;
    assert_eq!(status, StatusCode::OK, "{behind}");
    let rows = list(&behind["data"]["rows"]);
    assert_eq!(behind["data"]["accounts"], 3);
    let deltas: Vec<f64> = rows.iter().map(|row| row["greeks"]["delta"].as_f64().unwrap()).collect();
    assert!(deltas.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()), "{deltas:?}");
    assert_eq!(rows[0]["account"], "bob");
    for row in rows {
        let (_, own) = world.get(&format!("/v1/accounts/{}/greeks", row["account"].as_str().unwrap())).await;
        let of = |of: &&Value| of["underlying"] == "ETH";
        let sum: f64 = list(&own["data"]).iter().filter(of).map(|of| of["delta"].as_f64().unwrap()).sum();
        assert!((sum - row["greeks"]["delta"].as_f64().unwrap()).abs() < 1e-9, "{row}");
    }
    let (_, option) = world.get("/v1/greeks/SOL/accounts?by=vega_per_point&expiry=none").await;
    assert_eq!(option["data"]["accounts"], 0, "options expire");
    let (status, _) = world.get("/v1/greeks/SOL/accounts?expiry=tomorrow").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn margin_by_underlying_is_the_sum_of_the_scan_losses_of_accounts() {
    let mut world = World::calm();
    world.now = world.now.plus_seconds(20);
    world.ok(serde_json::json!({ "type": "clock" }));
    let (_, history) = world.get("/v1/history/totals").await;
    let sample = list(&history["data"]).last().unwrap().clone();
    let mut compared = 0;
    for of in list(&sample["underlyings"]) {
        let (mut im, mut mm) = (Decimal::ZERO, Decimal::ZERO);
        for account in ["alice", "bob"] {
            let (_, margin) = world.get(&format!("/v1/accounts/{account}/margin")).await;
            let held =
                list(&margin["data"]["underlyings"]).iter().find(|under| under["asset"] == of["asset"]);
            im += held.map_or(Decimal::ZERO, |under| number(&under["scan_loss"]));
            mm += held.map_or(Decimal::ZERO, |under| number(&under["mm_scan_loss"]));
        }
        assert_eq!((number(&of["im"]), number(&of["mm"])), (im, mm), "{of}");
        compared += usize::from(im > Decimal::ZERO);
    }
    assert_eq!(compared, 2, "ETH and SOL are held: {sample}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_compared_on_the_accounts_that_it_margins() {
    let world = World::calm();
    let (status, fixed) = world.get("/v1/compare?preset=fixed&account=alice").await;
    assert_eq!(status, StatusCode::OK, "{fixed}");
    let (_, account) = world.get("/v1/accounts/alice").await;
    assert_eq!(fixed["data"]["own_im"], account["data"]["totals"]["im"]);
    assert!(number(&fixed["data"]["im"]) > number(&fixed["data"]["own_im"]), "{fixed}");
    let (_, all) = world.get("/v1/compare?preset=fixed").await;
    let (_, overview) = world.get("/v1/overview").await;
    assert_eq!(all["data"]["own_mm"], overview["data"]["mm"]);
    let (status, none) = world.get("/v1/compare?preset=nothing").await;
    assert_eq!((status, &none["code"]), (StatusCode::NOT_FOUND, &Value::from("unknown_preset")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_chain_is_drawn_on_its_own_smile() {
    let world = World::calm();
    let (status, quotes) = world.get("/v1/surface/SOL/quotes").await;
    assert_eq!(status, StatusCode::OK, "{quotes}");
    let (_, surface) = world.get("/v1/surface/SOL").await;
    let smile = &list(&surface["data"]["expiries"])[0];
    let drawn = list(&quotes["data"]).iter().find(|of| of["expiry"] == smile["expiry"]).unwrap();
    let points = list(&drawn["points"]);
    assert!(points.len() > 3, "{drawn}");
    for point in points {
        let (fit, mark) = (point["fit"].as_f64().unwrap(), point["mark"].as_f64());
        assert!(mark.is_none_or(|mark| (mark - fit).abs() < 0.1), "{point}");
    }
    let (_, none) = world.get("/v1/surface/DOGE/quotes").await;
    assert_eq!(none["data"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_in_the_binary_and_asks_nobody_else() {
    let world = World::empty("");
    for (path, kind) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/app.css", "text/css")] {
        let mut sizes = Vec::new();
        for encoding in ["identity", "gzip"] {
            let request = Request::get(path).header("accept-encoding", encoding).body(Body::empty()).unwrap();
            let response = world.app.router().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers().clone();
            assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
            assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
            assert_eq!(headers.contains_key("content-encoding"), encoding == "gzip", "{path}");
            sizes.push(response.into_body().collect().await.unwrap().to_bytes().len());
        }
        assert!(sizes[0] > 200 && sizes[1] < sizes[0], "{path}: {sizes:?}");
    }
}
