//! Scenario sets: the explicit moves that every kind of specification becomes.

use plimsoll_types::{Asset, BlockKind, Purpose};
use serde::{Deserialize, Serialize};

/// Every scenario of a parameter set, spelled out.
#[derive(Clone, PartialEq, Debug)]
pub struct ScenarioSet {
    /// The underlyings the moves speak of.
    pub underlyings: Vec<Asset>,
    /// Price scan of each underlying, in their order: the largest full-weight relative spot move; > 0.
    pub price_scan: Vec<f64>,
    /// How a vol, skew and wing move acts on a volatility.
    pub vol_shock: VolShock,
    /// The price points and weights of the composite delta.
    pub composite_delta: DeltaPoints,
    /// Runs of scenarios with one meaning each.
    pub blocks: Vec<ScenarioBlock>,
    /// What had to be said about how the set was made.
    pub notes: Vec<Note>,
}

/// A run of scenarios with one meaning.
#[derive(Clone, PartialEq, Debug)]
pub struct ScenarioBlock {
    /// What its columns mean, and so how they may be aggregated.
    pub kind: BlockKind,
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Its columns.
    pub scenarios: Vec<Scenario>,
}

/// One column: a move of every underlying.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// What it does, in words.
    pub label: String,
    /// Share of its profit or loss that counts, in (0, 1].
    pub weight: f64,
    /// One move per underlying, in the order of the set.
    pub moves: Vec<Move>,
    /// Place **within its block** of the scenario that differs in the direction of volatility only; its own place
    /// if there is none.
    pub pair: usize,
}

/// What one scenario does to one underlying. All zero is the market as it is.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Move {
    /// Relative spot move: `S' = S (1 + spot)`; > -1.
    pub spot: f64,
    /// Vol move at 30 days, relative or absolute as [`VolShock::kind`] says; scaled by tenor.
    pub vol: f64,
    /// Tilt of the smile, in units of the cap of [`SkewShock`]; > 0 lifts high strikes and lowers low ones.
    pub skew: f64,
    /// Lift of both wings, in the same unit; > 0 lifts volatility away from the money.
    pub wing: f64,
    /// Tilt of the term structure: vol is multiplied by `max(0, 1 + term tilt)`, `tilt = (30 - dte)/(30 + dte)`.
    pub term: f64,
    /// Annualised move of forwards against spot: `F' = F (1 + spot)(1 + basis tau')`.
    pub basis: f64,
    /// Move of the discount rate of options: their value is multiplied by `exp(-rate tau')`.
    pub rate: f64,
    /// Time that passes, days; >= 0.
    pub elapsed_days: f64,
}

/// Whether a vol move multiplies or adds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolShockKind {
    /// `vol' = vol (1 + x scale)`.
    Relative,
    /// `vol' = vol + x scale`.
    Absolute,
}

/// How a vol move `x` acts on the volatility of an expiry.
///
/// `scale(dte) = (30/max(dte, dte_floor))^p`, `p = power_short` up to 30 days to expiry and `power_long` beyond
/// (`methods.md` 1.3). Relative: up `max(min_vol_up, vol (1 + x scale))`, down `vol max(0, 1 + x scale)`.
/// Absolute: `max(0, vol + x scale)`. A move of zero changes nothing. SPAN has powers 0.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolShock {
    /// Relative or absolute.
    pub kind: VolShockKind,
    /// Power of the tenor scale up to 30 days; >= 0.
    pub power_short: f64,
    /// Power beyond 30 days; >= 0.
    pub power_long: f64,
    /// Days to expiry below which the scale stops growing; > 0.
    pub dte_floor: f64,
    /// Least volatility after an up move, annualised decimal; 0 for none. Relative moves only.
    #[serde(default)]
    pub min_vol_up: f64,
    /// The form of skew and wing moves; needed only where a scenario has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<SkewShock>,
    /// Which volatility an option has after a move of spot, before the shock.
    #[serde(default, skip_serializing_if = "Sticky::is_default")]
    pub sticky: Sticky,
}

/// What stays when spot moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// The smile as a function of `ln(K/F)`: an option takes the volatility of its new moneyness.
    #[default]
    Moneyness,
    /// The volatility of each option: what venues shock that state one volatility per option.
    Strike,
}

impl Sticky {
    fn is_default(&self) -> bool {
        *self == Self::Moneyness
    }
}

/// The form of a skew or wing move (Derive PMRM_2, `methods.md` 4).
///
/// With `k = ln(K/F')` and `q = sqrt(tau)`: `cap = cap_base + cap_per_root_year q`,
/// `k* = max(k_min, q width (k_static + k_per_root_year q))`,
/// `shift(k) = min(cap, k cap/k*)` for `k >= 0`, else `max(-cap, k cap/k*)`.
/// A skew move `x` multiplies volatility by `max(0, 1 + x shift(k))`, a wing move by `max(0, 1 + x shift(|k|))`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkewShock {
    /// Largest relative change of volatility at a unit move as `tau` goes to 0; >= 0.
    pub cap_base: f64,
    /// What a root year adds to it; may be negative.
    pub cap_per_root_year: f64,
    /// Least log-moneyness at which the cap is reached; > 0.
    pub k_min: f64,
    /// Scale of the log-moneyness at which the cap is reached; > 0.
    pub width: f64,
    /// Its static part; >= 0.
    pub k_static: f64,
    /// What a root year adds to it; >= 0.
    pub k_per_root_year: f64,
}

/// Price points of the composite delta, in price scans, and their weights (SPAN, `methods.md` 2.3).
///
/// The composite delta of an option is the weighted mean of `dV/dF` over the points, volatility unchanged, after
/// `elapsed_days`; of everything else it is 1. Weights are divided by their sum.
#[derive(Clone, PartialEq, Debug)]
pub struct DeltaPoints {
    /// Where, in price scans.
    pub points: Vec<f64>,
    /// How much, one per point; >= 0.
    pub weights: Vec<f64>,
    /// Time that passes first, days; >= 0.
    pub elapsed_days: f64,
}

/// A remark on how a set was made.
#[derive(Clone, PartialEq, Debug)]
pub enum Note {
    /// The correlation given is not positive semi-definite; the nearest one (Higham) is used.
    CorrelationRepaired {
        /// Which entry of `[[scenarios]]`, from 0.
        entry: usize,
        /// Frobenius distance between the two.
        distance: f64,
    },
    /// The series has no volatility, so the scenarios move spot only.
    NoVolInSeries {
        /// Which entry of `[[scenarios]]`, from 0.
        entry: usize,
        /// Which series.
        series: String,
    },
    /// How many windows the past gave, and how many observations neighbours share.
    Windows {
        /// Which entry of `[[scenarios]]`, from 0.
        entry: usize,
        /// Windows.
        windows: usize,
        /// Observations a window shares with the next; 0 if they do not overlap.
        shared: usize,
    },
}

impl ScenarioSet {
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.blocks.iter().map(|block| block.scenarios.len()).sum()
    }
}
