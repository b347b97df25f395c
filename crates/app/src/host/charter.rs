//! What an engine runs by, whole and by value: the first record of every journal.
//!
//! **The one idea:** a journal is replayed by nothing but itself. Parameters, policy and limits are in it as they were, so neither
//! a file nor another version of what ships can change what it says.

use anyhow::{Context, bail};
use plimsoll_engine::ParamSet;
use plimsoll_engine::live::feed::FeedParams;
use plimsoll_engine::live::{Engine, LiquidationRules, MarketParams, Rules};
use plimsoll_margin::venue::mango::StableTerms;
use plimsoll_policy::Policy;
use plimsoll_risk::ReturnSeries;
use plimsoll_types::{Asset, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version byte of a record that is a charter; events have their own, which are lower.
pub const CHARTER_VERSION: u8 = 129;

/// What an engine runs by, from an instant on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// From when on.
    pub since: Timestamp,
    /// The parameter set, TOML.
    pub params: String,
    /// The policy, TOML.
    pub policy: String,
    /// Return series of historical scenarios, by name.
    #[serde(default)]
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

impl Charter {
    /// The rules it stands for.
    ///
    /// # Errors
    /// When a text is no parameter set or policy, the linter refuses it, or a limit is none.
    pub fn rules(&self) -> anyhow::Result<Rules> {
        let params = ParamSet::from_toml(&self.params, "charter")?;
        if let Some(finding) = params.lint().first() {
            bail!("parameters {}: {}: {}", params.name, finding.subject, finding.message);
        }
        let missing = params.series_needed().into_iter().find(|name| !self.series.contains_key(name));
        if let Some(name) = missing {
            bail!("parameters {} need the return series `{name}`", params.name);
        }
        let rules = Rules {
            params,
            policy: Policy::from_toml(&self.policy).context("policy")?,
            series: self.series.clone(),
            feeds: self.feeds.clone(),
            market: self.market.clone(),
            liquidation: self.liquidation.clone(),
            stable: self.stable,
        };
        rules.check()?;
        Ok(rules)
    }

    /// An engine that begins by it.
    ///
    /// # Errors
    /// As [`Charter::rules`], and when policy or scenarios cannot begin.
    pub fn engine(&self) -> anyhow::Result<Engine> {
        Ok(Engine::new(self.rules()?, self.since)?)
    }

    /// Whether two say the same, whenever they began.
    pub fn same_terms(&self, other: &Self) -> bool {
        Self { since: other.since, ..self.clone() } == *other
    }

    /// As bytes of [`CHARTER_VERSION`].
    ///
    /// # Errors
    /// When a number has no form.
    pub fn encode(&self) -> anyhow::Result<Vec<u8>> {
        rmp_serde::to_vec_named(self).context("charter")
    }

    /// The charter that bytes stand for.
    ///
    /// # Errors
    /// When they are none.
    pub fn decode(bytes: &[u8]) -> anyhow::Result<Self> {
        rmp_serde::from_slice(bytes).context("charter")
    }
}
