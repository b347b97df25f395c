//! Why a value is what it is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A reason that appears in the record of a decision. The names are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A value that the policy file states.
    Stated,
    /// The quantile over the margin period of risk as it is estimated now.
    Now,
    /// The weight of the stressed period.
    Stress,
    /// Too many or too few breaches so far.
    Coverage,
    /// A loss beyond the margin has just happened.
    Breach,
    /// The cap of the target.
    TargetCap,
    /// Too little history: the stress floor stands in.
    TooLittleHistory,
    /// There is no estimate any more: the larger of the stress floor and the last one stands in.
    NoEstimate,
    /// A scheduled change that governance voted.
    Governance,
    /// Implied volatility jumped.
    VolSpike,
    /// Skew steepened.
    Skew,
    /// The term structure inverted.
    TermInversion,
    /// Depth and spread against their norm.
    Liquidity,
    /// The available collateral pool is beneath its threshold.
    Pool,
    /// Open interest between its caps.
    OpenInterest,
    /// Average correlation.
    Correlation,
    /// Few hold much.
    Concentration,
    /// Probability of a stressed regime.
    Regime,
    /// A price jumped.
    Jump,
    /// Funding far from nothing: one side is crowded.
    Funding,
    /// Fear or greed.
    Sentiment,
    /// The floor under the target, from the long look-back.
    StressFloor,
    /// The price scan that a margin fraction is a multiple of.
    PriceScan,
    /// Net exposure of the protocol; its place is kept.
    RiskNeutral,
    /// A learned tail forecast; its place is kept.
    Model,
    /// The cap on the product of all adjusters.
    AdjusterCap,
    /// The buffer, built in calm and released in stress.
    Buffer,
    /// Targets within the band are not followed, and those outside up to its edge.
    Hysteresis,
    /// A loosening waits until no higher target is left in the hold.
    Hold,
    /// The speed limit of tightening or loosening.
    SpeedLimit,
    /// The glide path took a smaller step, or a larger one.
    GlidePath,
    /// A hard limit of governance: minimum, maximum, change per update.
    Limit,
    /// The hard limit of cumulative change in a window.
    Window,
    /// The result of the move was refused, and the old value stays.
    ResultCheck,
    /// To the step of the parameter, upwards.
    Rounding,
}

impl Cause {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Now => "now",
            Self::Stress => "stress",
            Self::Coverage => "coverage",
            Self::Breach => "breach",
            Self::TargetCap => "target_cap",
            Self::TooLittleHistory => "too_little_history",
            Self::NoEstimate => "no_estimate",
            Self::Governance => "governance",
            Self::VolSpike => "vol_spike",
            Self::Skew => "skew",
            Self::TermInversion => "term_inversion",
            Self::Liquidity => "liquidity",
            Self::Pool => "pool",
            Self::OpenInterest => "open_interest",
            Self::Correlation => "correlation",
            Self::Concentration => "concentration",
            Self::Regime => "regime",
            Self::Jump => "jump",
            Self::Funding => "funding",
            Self::Sentiment => "sentiment",
            Self::StressFloor => "stress_floor",
            Self::PriceScan => "price_scan",
            Self::RiskNeutral => "risk_neutral",
            Self::Model => "model",
            Self::AdjusterCap => "adjuster_cap",
            Self::Buffer => "buffer",
            Self::Hysteresis => "hysteresis",
            Self::Hold => "hold",
            Self::SpeedLimit => "speed_limit",
            Self::GlidePath => "glide_path",
            Self::Limit => "limit",
            Self::Window => "window",
            Self::ResultCheck => "result_check",
            Self::Rounding => "rounding",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
