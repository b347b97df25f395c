//! Frames of venues: the first byte says whose, then frames, one a line. None may panic, and what is refused has a short reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_feeds::binance::{Binance, Market, Symbol};
use plimsoll_feeds::deribit::{Deribit, Wanted};
use plimsoll_feeds::hyperliquid::{Coin, Hyperliquid, Origin};
use plimsoll_feeds::pyth::update::Trust;
use plimsoll_feeds::pyth::{Bearer, Feed, Pyth, guardian_set_4};
use plimsoll_feeds::{ABOUT_MAX, Protocol, Reading, Turn, chainlink, evm, signed};
use plimsoll_types::{Asset, Instrument, Timestamp};
use std::collections::BTreeSet;

fn asset(name: &str) -> Asset {
    name.parse().expect("a name of the target's own")
}

fn deribit() -> Deribit {
    let names = ["BTC-PERPETUAL", "BTC-27DEC24", "BTC-27DEC24-100000-C", "ETH-PERPETUAL"];
    let instruments: BTreeSet<Instrument> = names.iter().filter_map(|name| name.parse().ok()).collect();
    Deribit::new(Wanted {
        indices: [("btc_usd".to_owned(), (asset("BTC"), asset("USD")))].into(),
        currencies: ["BTC".to_owned()].into(),
        tickers: instruments.clone(),
        books: instruments.clone(),
        trades: instruments,
        summary_seconds: 10,
        band: 0.01,
    })
}

fn hyperliquid() -> Hyperliquid {
    let coin = |name: &str, price| Coin {
        coin: name.to_owned(),
        asset: asset(name),
        quote: asset("USDC"),
        price,
        instrument: format!("{name}_USDC-PERPETUAL").parse().ok(),
        book: true,
        trades: true,
    };
    Hyperliquid::new(vec![coin("BTC", Origin::Oracle), coin("ETH", Origin::Middle)], 0.01)
}

fn binance(market: Market) -> Binance {
    let symbol = Symbol {
        symbol: "BTCUSDT".to_owned(),
        asset: asset("BTC"),
        quote: asset("USDT"),
        index: true,
        instrument: "BTC_USDT-PERPETUAL".parse().ok(),
        funding_hours: 8,
        book: true,
        trades: true,
    };
    Binance::new(market, vec![symbol], 0.01)
}

fn pyth() -> Pyth {
    let feed = Feed { id: [7; 32], asset: asset("BTC"), quote: asset("USD"), exponent: -8 };
    Pyth::new(vec![feed], Trust::of([(4, guardian_set_4())].into()), Bearer::default(), true)
}

fn streams() -> chainlink::Chainlink {
    let stream =
        chainlink::Stream { feed_id: [3; 32], asset: asset("BTC"), quote: asset("USD"), exponent: -8 };
    let signers = evm::Signers::new([evm::Address([1; 20])], 1).expect("one of one");
    chainlink::Chainlink::new(vec![stream], [([0; 32], signers)], None)
}

fn signed_feed() -> signed::Signed {
    let domain = signed::Domain {
        name: "Plimsoll".to_owned(),
        version: "1".to_owned(),
        chain_id: 1,
        verifying_contract: evm::Address([2; 20]),
    };
    let feed = signed::Feed {
        feed: "BTC-USD".to_owned(),
        asset: asset("BTC"),
        quote: asset("USD"),
        exponent: -8,
    };
    let signers = evm::Signers::new([evm::Address([1; 20])], 1).expect("one of one");
    signed::Signed::new(domain, signers, vec![feed], true, 2_000)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((whose, rest)) = bytes.split_first() else { return };
    let mut protocol: Box<dyn Protocol> = match whose % 7 {
        0 => Box::new(deribit()),
        1 => Box::new(hyperliquid()),
        2 => Box::new(binance(Market::UsdM)),
        3 => Box::new(binance(Market::Spot)),
        4 => Box::new(pyth()),
        5 => Box::new(streams()),
        _ => Box::new(signed_feed()),
    };
    let mut at = Timestamp::from_seconds(1_767_225_600);
    protocol.open(at, &mut Turn::default());
    for frame in rest.split(|byte| *byte == b'\n') {
        let mut turn = Turn::default();
        // A line that begins with a path is an answer to what was asked for there.
        let taken = match frame.strip_prefix(b"/").and_then(|rest| {
            let end = rest.iter().position(|byte| *byte == b' ')?;
            Some((std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]))
        }) {
            Some((path, body)) => protocol.fetched(&format!("/{path}"), body, at, &mut turn),
            None => protocol.receive(frame, at, &mut turn),
        };
        if let Err(refusal) = taken {
            assert!(refusal.to_string().len() <= ABOUT_MAX + 64, "{refusal}");
        }
        for reading in &turn.readings {
            if let Reading::Depth(depth) = reading {
                assert!(format!("{depth:?}").find("NaN").is_none(), "{depth:?}");
            }
        }
        at = at.plus_seconds(1);
        protocol.tick(at, &mut turn);
    }
});
