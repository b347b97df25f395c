//! Parameters of CME SPAN, as data (methods 2.4 to 2.7).

use crate::{ByAsset, ShortCount};
use plimsoll_types::{Asset, Ppb};
use serde::{Deserialize, Serialize};

/// SPAN as a clearing house publishes it, one combined commodity per underlying. Deltas are counted in contracts of
/// `contract` base units; rates are whole ticks per spread or contract.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanParams {
    /// `mm = risk x adjustment` (type 4 record); > 0.
    pub adjustment: Ppb,
    /// `im = mm x im_ratio` (type 3 record); >= 1.
    pub im_ratio: Ppb,
    /// Whether net option value is capped at the commodity's own risk, so that no excess offsets another commodity.
    pub cap_option_value: bool,
    /// Terms per commodity.
    pub commodities: ByAsset<SpanCommodity>,
    /// Inter-commodity credits in order of priority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inter: Vec<InterSpread>,
}

/// One combined commodity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanCommodity {
    /// Base units of one contract, the unit in which deltas and short options are counted; > 0.
    pub contract: Ppb,
    /// Expiry tiers, in rising order; contracts without expiry count as expiring now. Empty: each tier-less book has no
    /// inter-month charge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Inter-month charges in order of priority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intra: Vec<IntraSpread>,
    /// Charge on months in delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotCharge>,
    /// Short option minimum, ticks per contract; >= 0.
    pub short_option_rate: i64,
    /// Which short options the minimum counts.
    pub short_option_count: ShortCount,
}

/// A run of expiries that count as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Shortest time to expiry, in whole days, included.
    pub from_days: i64,
    /// Longest time to expiry, in whole days, excluded.
    pub to_days: i64,
}

/// The side of a leg; both orientations of every spread are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Side {
    /// Long when `B` is short.
    A,
    /// Short when `A` is long.
    B,
}

/// An inter-month spread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntraSpread {
    /// Its legs.
    pub legs: Vec<IntraLeg>,
    /// Charge in ticks per spread; >= 0.
    pub rate: i64,
}

/// A leg of an inter-month spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntraLeg {
    /// Index of the tier, from 0.
    pub tier: usize,
    /// Its side.
    pub side: Side,
    /// Deltas per spread; > 0.
    pub ratio: Ppb,
}

/// Charge on a month in delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotCharge {
    /// A month is in delivery when it expires within this many days.
    pub within_days: i64,
    /// Ticks per delta consumed by inter-month spreads.
    pub rate_consumed: i64,
    /// Ticks per delta that remains outright.
    pub rate_outright: i64,
}

/// An inter-commodity spread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterSpread {
    /// How the credit is found.
    pub method: InterMethod,
    /// A "super" spread: formed before inter-month spreads take their deltas.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_intra: bool,
    /// Its legs, in at least two commodities.
    pub legs: Vec<InterLeg>,
}

/// A leg of an inter-commodity spread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterLeg {
    /// The commodity.
    pub asset: Asset,
    /// Its side.
    pub side: Side,
    /// Deltas per spread; > 0.
    pub ratio: Ppb,
    /// Share of the weighted price risk that is credited, in [0, 1].
    pub rate: Ppb,
}

/// How an inter-commodity credit is found (methods 2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterMethod {
    /// Weighted price risk per delta.
    PriceRisk,
    /// The smaller of it and the price scan per contract.
    Capped,
    /// The price scan per contract.
    Scan,
    /// A flat credit; the `rate` of the legs is not used.
    Flat {
        /// Ticks per spread, to every leg's commodity; >= 0.
        credit: i64,
    },
}
