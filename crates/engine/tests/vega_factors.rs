//! The risk factors of the preset `vega` follow from the models that its comments state.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_engine::ParamSet;
use plimsoll_margin::Aggregation;
use plimsoll_margin::venue::Venue;
use plimsoll_quant::lognormal::Lognormal;

#[test]
fn the_factors_of_the_preset_are_those_of_its_models() {
    let Aggregation::Venue(Venue::Vega(terms)) = ParamSet::preset("vega").unwrap().margin.aggregation else {
        panic!("the preset is of another method");
    };
    assert_eq!(terms.markets.0.len(), 2);
    // lambda, tau, mu, sigma: mainnet's BTC/USDT and ETH/USDT.
    for (asset, level, model) in [
        ("BTC", 1e-6, Lognormal { mu: 0.0, vol: 1.0, tau: 3.995e-6 }),
        ("ETH", 1e-6, Lognormal { mu: 0.0, vol: 1.5, tau: 9.506_426_342e-6 }),
    ] {
        let stated = terms.markets.of(&asset.parse().unwrap()).unwrap().risk;
        let found = model.expected_shortfall(level);
        assert!((stated.long.to_f64() - found.long).abs() <= 5e-13, "{asset}: {stated:?} {found:?}");
        assert!((stated.short.to_f64() - found.short).abs() <= 5e-13, "{asset}: {stated:?} {found:?}");
    }
}
