//! What is fixed while the engine runs, and decided by governance before.

use super::feed::{FeedParamError, FeedParams};
use super::market::MarketParams;
use crate::ParamSet;
use plimsoll_margin::venue::mango::StableTerms;
use plimsoll_policy::Policy;
use plimsoll_risk::ReturnSeries;
use plimsoll_types::{AccountId, Asset, Ticks};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an engine runs by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Scenarios and charges before the policy moves them.
    pub params: ParamSet,
    /// How they move.
    pub policy: Policy,
    /// Return series of historical scenarios, by name.
    pub series: BTreeMap<String, ReturnSeries>,
    /// One feed per underlying and collateral asset.
    pub feeds: BTreeMap<Asset, FeedParams>,
    /// Limits of chains.
    pub market: MarketParams,
    /// Liquidation and what comes after.
    pub liquidation: LiquidationRules,
    /// The price that limits what profit is worth for new risk.
    pub stable: StableTerms,
}

/// Liquidation and what comes after.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiquidationRules {
    /// Half-widths of the confidence interval to each side that a liquidation must follow at, while a feed is degraded.
    pub confidences: f64,
    /// Seconds an intent may wait before the backstop takes over.
    pub backstop_seconds: i64,
    /// Who takes over what nobody takes.
    pub backstop: Option<AccountId>,
    /// The most the backstop may lose by it in all, ticks.
    pub backstop_loss_max: Ticks,
    /// The distance from the middle within which [`super::Body::Depth`] counts depth, a share of the price; in (0, 1].
    #[serde(default = "depth_within")]
    pub depth_within: f64,
    /// Probability that a loss goes beyond a tightening before its next step; see [`crate::Absorption`].
    #[serde(default = "breach")]
    pub breach: f64,
}

fn depth_within() -> f64 {
    0.01
}

fn breach() -> f64 {
    0.01
}

impl Default for LiquidationRules {
    /// Three confidences; five minutes for the market; no backstop; depth within 1 %, one loss in a hundred beyond.
    fn default() -> Self {
        Self {
            confidences: 3.0,
            backstop_seconds: 300,
            backstop: None,
            backstop_loss_max: Ticks(0),
            depth_within: depth_within(),
            breach: breach(),
        }
    }
}

impl Rules {
    /// Whether every limit is one.
    pub fn check(&self) -> Result<(), FeedParamError> {
        self.feeds.values().try_for_each(FeedParams::check)
    }

    /// Whether every source quotes in the valuation currency: a price in another unit is composed before it comes here.
    pub(super) fn quotes(&self) -> Result<(), String> {
        let currency = &self.params.units.currency;
        for (asset, feed) in &self.feeds {
            let mut stated = feed.sources.iter().filter_map(|(name, of)| Some((name, of.quote.as_ref()?)));
            if let Some((name, quote)) = stated.find(|(_, quote)| *quote != currency) {
                return Err(format!("unit: source {name} of {asset} quotes in {quote}: expected {currency}"));
            }
        }
        Ok(())
    }

    /// Whether an asset counts as collateral and has a price: the valuation currency needs none.
    pub(super) fn collateral(&self, asset: &Asset) -> Result<(), String> {
        let known = self.params.margin.collateral.contains_key(asset);
        let priced = *asset == self.params.units.currency || self.feeds.contains_key(asset);
        if known && priced { Ok(()) } else { Err(asset.to_string()) }
    }
}
