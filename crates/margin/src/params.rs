//! The parameters of margin: plain values from a file, no defaults for a number.

use crate::venue::Venue;
use crate::{Addons, SpanParams};
use plimsoll_types::{Asset, NameError, Ppb};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Everything the margin of an account depends on besides its portfolio and the risk arrays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What nets against what.
    pub mode: Mode,
    /// How scenario losses of several underlyings are put together.
    pub aggregation: Aggregation,
    /// How `joint` blocks count where `aggregation` is `sum` or `factor`; needed when the scenario set has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointTerms>,
    /// Factor on the aggregate in initial margin; > 0.
    pub im_scale: Ppb,
    /// Factor on the aggregate in maintenance margin; > 0 and at most `im_scale`.
    pub mm_scale: Ppb,
    /// Whether half a tick per lot is added, so that a requirement is never below the unrounded one.
    pub rounding_guard: bool,
    /// The ratios of mode `fixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<FixedRatio>,
    /// How open orders count.
    pub orders: OrderTerms,
    /// What collateral is worth, per asset. An asset without an entry is refused.
    pub collateral: BTreeMap<Asset, CollateralTerms>,
    /// Charges beside the scenario losses.
    #[serde(default)]
    pub addons: Addons,
}

/// What nets against what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All positions of the account net within a scenario.
    Portfolio,
    /// Equity is shared; the standalone scan losses of the positions are added.
    Cross,
    /// Every position stands on its own collateral; the account is as healthy as its weakest position.
    Isolated,
    /// A static ratio of gross notional, the base line that dynamic margin is compared with.
    Fixed,
}

/// How scenario losses of several underlyings are put together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one per parameter set, and none is moved in bulk")]
pub enum Aggregation {
    /// Scan losses are added: no credit between underlyings.
    Sum,
    /// A common factor and what is left of each underlying, the worst over correlation states.
    Factor {
        /// The result is never below this share of the sum, nor below the largest scan loss; in [0, 1].
        floor_share: Ppb,
    },
    /// A statistic of one joint profit-and-loss vector; the larger of it and the sum over `grid` blocks, if any.
    Joint(JointTerms),
    /// CME SPAN: inter-month charges and inter-commodity credits on delta.
    Span(SpanParams),
    /// A venue's own method, which needs no scales: `im_scale` and `mm_scale` are 1.
    Venue(Venue),
}

/// How a joint profit-and-loss vector becomes one loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointTerms {
    /// Which statistic.
    pub statistic: Statistic,
    /// Confidence of value at risk and expected shortfall, in (0, 1); unused by `worst`.
    pub level: Ppb,
    /// Weight `w` of the stressed period in `(1 - w) M + w M_stress`; in [0, 1]. Stressed columns are needed when > 0.
    pub stress_weight: Ppb,
}

/// A statistic of the losses of equally likely columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The largest loss.
    Worst,
    /// Value at risk: of `n` losses in rising order, number `ceil(level x n)` counted from 1 (no interpolation; the
    /// smallest loss with at least the share `level` of losses at or below it).
    #[serde(alias = "var")]
    ValueAtRisk,
    /// Expected shortfall: the mean of the losses at or above value at risk, rounded up.
    #[serde(alias = "es")]
    ExpectedShortfall,
    /// The mean of the losses from number `ceil(level x n)` on, rounded up: expected shortfall without the further ties
    /// at value at risk. Never below it, and no larger loss ever lowers it (Acerbi and Tasche 2002).
    TailMean,
}

/// Ratios of gross notional in mode `fixed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedRatio {
    /// Initial margin per notional; >= `mm_ratio`.
    pub im_ratio: Ppb,
    /// Maintenance margin per notional; >= 0.
    pub mm_ratio: Ppb,
}

/// How open orders count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderTerms {
    /// Bound or exact search.
    pub method: OrderMethod,
    /// Whether orders raise maintenance margin too, or only initial margin.
    pub in_mm: bool,
}

/// How the worst fill of open orders is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderMethod {
    /// In every scenario each order fills when that hurts: never below any subset's scenario loss, one pass.
    Bound,
    /// Every subset of at most this many orders (at most 16); the bound when there are more.
    Exact {
        /// The largest number of orders searched exactly.
        max_orders: u32,
    },
}

/// What a collateral asset is worth.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollateralTerms {
    /// Share of its value that does not count; in [0, 1]. A borrowed amount counts at `value x (1 + haircut)`: this base
    /// haircut whatever its size, for what is owed has to be bought back, be it a coin, a stable coin or the currency.
    /// Debts are valued at the price plus one tick (but the currency), as prices are rounded down.
    pub haircut: Ppb,
    /// Marginal haircuts of larger holdings, in rising order of `above`; each applies only to the value above its edge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<HaircutTier>,
    /// Share of what the asset loses in the scenarios that cost the account which is charged with them; in [0, 1]. The
    /// charge is `max over c of (L[c] + min(L[c], sum over assets of wrong_way x fall[c] x value)) - max over c of L[c]`,
    /// with `L[c] >= 0` the account's loss in scenario `c` and `fall[c] >= 0` the relative fall of the asset there, of the
    /// scenario's weight: zero where nothing is lost, never above the loss, without a jump. The haircut, which is for
    /// selling, does not lower it. Assets share it in proportion to what they lose in the scenario that makes it.
    #[serde(default)]
    pub wrong_way: Ppb,
    /// The peg of a stable coin. An asset that has one is held at no more than one unit of the valuation currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depeg: Option<DepegTerms>,
    /// Share of the wrong-way and depeg charges that counts in maintenance margin; in [0, 1].
    #[serde(default = "whole")]
    pub mm_share: Ppb,
}

pub(crate) fn whole() -> Ppb {
    Ppb::ONE
}

/// One step of a marginal haircut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaircutTier {
    /// Value from which it applies, in whole units of the valuation currency.
    pub above: i64,
    /// The haircut on what lies above, up to the next edge; in [0, 1], not below the step before.
    pub haircut: Ppb,
}

/// When a stable coin counts as having left its peg, and at what charge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepegTerms {
    /// Price in the valuation currency beneath which the charge begins.
    pub threshold: Ppb,
    /// Charge per unit of value and of shortfall of price.
    pub factor: Ppb,
}

/// Which short options a minimum counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortCount {
    /// Short calls plus short puts (SPAN method 2 or blank).
    Sum,
    /// The larger of short calls and short puts (SPAN method 1).
    Larger,
    /// Uncovered short calls plus uncovered short puts: the loss of a covered one is limited, and scenarios see it.
    /// From the farthest expiry to the nearest, long options of the kind that live at least as long cover short ones;
    /// then what is net long in spot, futures and perpetuals covers calls, and what is net short covers puts. Sizes are
    /// notionals at the index. SPAN's own minimum does not take it.
    Naked,
}

/// A key of [`ByAsset`]: one underlying, or `*` for every one not named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// `*`.
    Any,
    /// One underlying.
    One(Asset),
}

impl TryFrom<String> for Scope {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if text == "*" { Ok(Self::Any) } else { Asset::new(&text).map(Self::One) }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.pad("*"),
            Self::One(asset) => asset.fmt(f),
        }
    }
}

/// Terms per underlying, with `*` for those not named. Empty: the charge does not exist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByAsset<T>(pub BTreeMap<Scope, T>);

impl<T> Default for ByAsset<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> ByAsset<T> {
    /// The terms of an underlying: its own, else those of `*`, else none.
    pub fn of(&self, asset: &Asset) -> Option<&T> {
        self.0.get(&Scope::One(asset.clone())).or_else(|| self.0.get(&Scope::Any))
    }

    /// Whether there are no terms at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
