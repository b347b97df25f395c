//! Configurations to sources that speak, and those that are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, reason = "a test indexes what it wrote itself")]

use plimsoll_feeds::address::Allowed;
use plimsoll_feeds::config::{Built, Configured, Terms};
use plimsoll_feeds::link::{Limits, Transport};
use plimsoll_feeds::{Ask, Reason, Refusal, Turn};
use plimsoll_types::Timestamp;
use std::collections::BTreeMap;

const ALL: &str = include_str!("vectors/sources.toml");

fn read(text: &str) -> Result<BTreeMap<String, Configured>, String> {
    toml::from_str::<BTreeMap<String, BTreeMap<String, Configured>>>(text)
        .map(|mut file| file.remove("sources").unwrap())
        .map_err(|error| error.to_string())
}

fn build(of: &Configured) -> Result<Built, Refusal> {
    let hosts = [
        "www.deribit.com",
        "api.hyperliquid.xyz",
        "fstream.binance.com",
        "fapi.binance.com",
        "hermes.pyth.network",
        "ws.dataengine.chain.link",
        "feed.example.com:8443",
    ];
    let secret = |name: &str| ["PYTH_KEY", "CHAINLINK_SECRET"].contains(&name).then(|| "hidden".to_owned());
    of.build(&Terms {
        allowed: Allowed { hosts: hosts.map(str::to_owned).into(), loopback: false },
        limits: Limits::default(),
        band: 0.01,
        secret: &secret,
    })
}

#[test]
fn every_kind_is_built_and_asks_for_what_it_is_configured_with() {
    let mut said = BTreeMap::new();
    for (name, of) in read(ALL).unwrap() {
        let (source, mut protocol) = build(&of).unwrap();
        let mut turn = Turn::default();
        protocol.open(Timestamp::from_seconds(1_767_225_600), &mut turn);
        let asks: Vec<String> = turn
            .asks
            .iter()
            .map(|ask| match ask {
                Ask::Send(text) | Ask::Fetch(text) => text.clone(),
            })
            .collect();
        assert!(!format!("{of:?} {source:?}").contains("hidden"));
        said.insert(
            name,
            (source, asks.join("\n"), protocol.headers(Timestamp::from_seconds(1_767_225_600))),
        );
    }
    assert!(
        said["deribit"].1.contains("deribit_price_index.btc_usd")
            && said["deribit"].1.contains("book.BTC-PERPETUAL.100ms")
    );
    assert!(said["hyperliquid"].1.contains("activeAssetCtx"));
    assert!(said["binance"].1.contains("btcusdt@depth@100ms") && said["binance"].0.rest.is_some());
    assert!(said["signed"].1.contains("ETH-USD"));
    assert_eq!(said["pyth"].0.transport, Transport::Events);
    assert!(said["pyth"].0.stream.path.contains("ids[]=e62df6c8"));
    assert_eq!(said["pyth"].2, [("authorization", "Bearer hidden".to_owned())]);
    assert!(said["chainlink"].0.stream.path.starts_with("/api/v1/ws?feedIDs=0x00030ab7"));
    assert_eq!(said["chainlink"].2.len(), 3);
}

#[test]
fn what_is_not_known_not_allowed_or_not_enough_is_refused() {
    for (from, to, says) in [
        ("summary_seconds = 10", "sumary_seconds = 10", "sumary_seconds"),
        ("exponent = -8 }", "exponent = -8, decimals = 8 }", "decimals"),
        ("market = \"usd_m\"", "market = \"coin_m\"", "coin_m"),
        ("kind = \"signed\"", "kind = \"sgined\"", "sgined"),
        ("asset = \"BTC\"", "asset = \"btc\"", "btc"),
        ("0x5893B5A76c3f739645648885bDCcC06cd70a3Cd3", "0x5893", "20"),
    ] {
        assert!(ALL.contains(from), "{from}");
        let refused = read(&ALL.replace(from, to)).unwrap_err();
        assert!(refused.contains(says), "{to}: {refused}");
    }
    for (name, from, to, reason) in [
        ("deribit", "wss://www.deribit.com", "wss://www.deribit.com.example.org", Reason::Domain),
        ("deribit", "wss://www.deribit.com", "ws://www.deribit.com", Reason::Domain),
        ("deribit", "wss://www.deribit.com", "https://www.deribit.com", Reason::Domain),
        ("deribit", "wss://www.deribit.com", "wss://169.254.169.254", Reason::Domain),
        ("binance", "https://fapi.binance.com", "http://10.0.0.1", Reason::Domain),
        ("hyperliquid", "asset = \"HYPE\"", "asset = \"BTC\"", Reason::Duplicate),
        ("deribit", "asset = \"ETH\"", "asset = \"BTC\"", Reason::Duplicate),
        ("signed", "threshold = 2", "threshold = 4", Reason::Quorum),
        ("signed", "threshold = 2", "threshold = 0", Reason::Quorum),
        ("pyth", "key = \"PYTH_KEY\"", "key = \"OTHER\"", Reason::Venue),
        ("pyth", "e62df6c8", "e62d", Reason::Malformed),
        ("chainlink", "secret = \"CHAINLINK_SECRET\"", "secret = \"OTHER\"", Reason::Venue),
    ] {
        assert!(ALL.contains(from), "{from}");
        let all = read(&ALL.replace(from, to)).unwrap();
        assert_eq!(build(&all[name]).map(|_| ()).map_err(|r| r.reason), Err(reason), "{to}");
    }
}

#[test]
fn sets_that_replace_one_another_are_configured_each_with_its_term() {
    let signers = ["13498478f9454af9e64e0a8d4c7408a0a2c5adcb", "4b7d8f701a6d9fd559dc48149ea46e10d6c1958c"];
    let addresses = format!("[\"0x{}\", \"0x{}\"]", signers[0], signers[1]);
    let pyth = |term: &str| {
        format!(
            "[sources.a]\nkind = \"pyth\"\nurl = \"https://hermes.pyth.network\"\n\
             feeds.e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43 = {{ asset = \"BTC\", quote = \"USD\", exponent = -8 }}\n\
             [sources.a.guardians]\n4 = {addresses}\n5 = {{ addresses = {addresses}{term} }}\n"
        )
    };
    let signed = |term: &str| {
        format!(
            "[sources.a]\nkind = \"signed\"\nurl = \"wss://feed.example.com:8443/prices\"\n\
             domain = {{ name = \"P\", version = \"1\", chain_id = 1, verifying_contract = \"0x00000000000000000000000000000000000000aa\" }}\n\
             feeds.ETH-USD = {{ asset = \"ETH\", quote = \"USD\", exponent = -7 }}\n\
             signers = [{{ threshold = 1, addresses = {addresses} }}, {{ threshold = 2, addresses = {addresses}{term} }}]\n"
        )
    };
    let term = ", from = \"2026-06-01T00:00:00Z\", until = \"2026-07-01T00:00:00Z\"";
    let never = ", from = \"2026-06-01T00:00:00Z\", until = \"2026-06-01T00:00:00Z\"";
    for of in [&pyth as &dyn Fn(&str) -> String, &signed] {
        build(&read(&of(term)).unwrap()["a"]).unwrap();
        let refused = build(&read(&of(never)).unwrap()["a"]).map(drop).unwrap_err();
        assert_eq!(refused.reason, Reason::Time, "{refused}");
        assert!(read(&of(", til = 1")).is_err());
    }
    let none = signed("").replace("signers = [", "signers = [] #");
    assert_eq!(build(&read(&none).unwrap()["a"]).map(drop).unwrap_err().reason, Reason::Quorum);
}
