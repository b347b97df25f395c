//! Charges beside the scenario losses: their terms. The formulas stand with the code, in `charges`.

use crate::{ByAsset, ShortCount};
use plimsoll_types::Ppb;
use serde::{Deserialize, Serialize};

/// The charges of a parameter set; an empty table means that the charge does not exist.
///
/// Every charge is a non-decreasing function of position size, and carries `mm_share`, the share of it that counts in
/// maintenance margin (of a minimum of style `floor`, the share of the minimum).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Addons {
    /// Minimum for short options.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub short_option: ByAsset<ShortOptionTerms>,
    /// Opposite forwards of different expiries; not in modes cross and fixed, which net nothing.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub basis: ByAsset<BasisTerms>,
    /// Opposite vega in different tenor buckets; not in modes cross and fixed, which net nothing.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub vega: ByAsset<VegaTerms>,
    /// Cost of closing a large position.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub liquidity: ByAsset<LiquidityTerms>,
    /// Wide confidence interval of the index, and of the price of collateral under the name of its asset.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub confidence: ByAsset<ConfidenceTerms>,
    /// Uncovered short options near expiry.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub expiry: ByAsset<ExpiryTerms>,
    /// Funding about to be paid.
    #[serde(skip_serializing_if = "ByAsset::is_empty")]
    pub funding: ByAsset<FundingTerms>,
}

/// How the short option minimum enters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortOptionStyle {
    /// Only what the loss charged falls short of the minimum (SPAN): the scaled scan loss of the underlying; in modes
    /// cross and fixed that of its positions one by one; without a grid the joint statistic. Over the underlyings of this
    /// style it is at least `sum of minimums - scaled aggregate`, shared in proportion to the minimums: a credit between
    /// underlyings does not undo them.
    Floor,
    /// The whole minimum on top of the scan loss (Derive, Deribit).
    Add,
}

/// `minimum = rate x notional of short options`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortOptionTerms {
    /// Per notional; >= 0.
    pub rate: Ppb,
    /// Which short options count.
    pub count: ShortCount,
    /// How it enters.
    pub style: ShortOptionStyle,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}

/// `matched x (rate + rate_per_year x tau)`, on the delta that nets only because expiries are taken together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasisTerms {
    /// Relative move of one forward against another, whatever the tenor; >= 0.
    pub rate: Ppb,
    /// As a rate per year of tenor; >= 0.
    pub rate_per_year: Ppb,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}

/// One tenor bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VegaBucket {
    /// Time to expiry at which vega is wholly in it, in days; rises from bucket to bucket.
    pub up_to_days: i64,
    /// Move of volatility of this tenor against the others, absolute (0.05 is five vol points); >= 0.
    pub shock: Ppb,
}

/// `(1 - credit) x min(sum of long shock x vega, sum of short shock x vega)` over tenor buckets.
///
/// The vega of an expiry `t` between two edges `a < t <= b` is split, so that it does not jump as time passes: the bucket
/// of `b` has `(t - a) / (b - a)` of it, and the one before the rest. Up to the first edge it is wholly in the first
/// bucket, beyond the last wholly in the last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VegaTerms {
    /// Buckets in rising order of their edges.
    pub buckets: Vec<VegaBucket>,
    /// Share of the offset that is trusted; in [0, 1].
    pub credit: Ppb,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}

/// Cost and time of closing a large position. Volumes and depth are whole units of the valuation currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiquidityTerms {
    /// Delta that closes at once, at `spread`; > 0.
    pub depth: i64,
    /// Half the spread relative to price; >= 0.
    pub spread: Ppb,
    /// Delta traded per day; > 0.
    pub daily_volume: i64,
    /// Relative price impact of trading one day's volume (coefficient of the square-root law); >= 0.
    pub impact: Ppb,
    /// Share of the daily volume one liquidation may take; in (0, 1].
    pub participation: Ppb,
    /// Days the scenario set already covers; > 0.
    pub horizon_days: i64,
    /// Vega traded per day, per 1.00 of volatility; > 0.
    pub daily_vega: i64,
    /// Move of volatility (absolute) from trading one day's vega; >= 0.
    pub vega_impact: Ppb,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}

/// `multiplier x max(0, confidence - threshold) x exposure`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfidenceTerms {
    /// Relative half-width that costs nothing; >= 0.
    pub threshold: Ppb,
    /// Charge per unit of exposure and of width above the threshold; >= 0.
    pub multiplier: Ppb,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}

/// `rate x uncovered short notional x (window - time to expiry) / window`, inside the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpiryTerms {
    /// Seconds before expiry at which the charge begins; > 0.
    pub window_seconds: i64,
    /// Per notional at expiry; >= 0.
    pub rate: Ppb,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}

/// `periods x max(0, funding due over 8 hours)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FundingTerms {
    /// Periods of 8 hours charged ahead; >= 0.
    pub periods: u32,
    /// Share in maintenance margin; in [0, 1].
    pub mm_share: Ppb,
}
