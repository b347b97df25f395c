//! Scenario sets and integer risk arrays: what every instrument would gain or lose, one lot at a time.
//!
//! **The one idea:** whatever a scenario set was made from, it is spelled out first ([`generate`]: a move of spot,
//! volatility, smile, term structure, basis, rate and time per underlying and column), and then every instrument is
//! revalued under every column by the same function that values it now ([`build`]). A column that moves nothing is
//! therefore exactly zero, and each entry is rounded once, to an integer number of ticks.
//!
//! **Must never know:** accounts, positions, collateral, or a requirement. Nothing here adds two instruments.
//!
//! # Valuation under a move
//!
//! With spot `S`, forward `F`, years `tau` and the [`Move`] of the underlying:
//!
//! ```text
//! S' = S (1 + spot)          tau' = max(0, tau - elapsed)          F' = F (1 + spot)(1 + basis tau')
//! k' = ln(K/F')              vol' = shock(vol(expiry, k'))         sticky moneyness; shock: see VolShock, SkewShock
//! B' = exp(-rate tau') Black76(F', K, vol', tau')                  intrinsic once tau' = 0, never 0
//! linear option    B'            inverse option  B' S'/F'          spot  S'
//! linear future, perpetual  F' - F                                 inverse, per quote unit  (F'/F - 1) S'/F'
//! entry = round(weight (V' - V) lot ticks_per_unit)                nearest, halves away from zero
//! ```
//!
//! A weight is at most 1 and `V' >= 0`, so a long option never loses more than its mark (and half a tick).
//! An inverse contract pays coin: `1/F - 1/F'` per quote unit of a future, worth `S'` each. The mark of a perpetual is
//! its `F`. An expiry's part (`S'`, `F'`, `tau'`, tenor scale) is computed once per distinct move, strikes inside.
//!
//! # A specification, with an entry of every kind
//!
//! ```
//! use plimsoll_risk::{generate, ReturnSeries, ScenarioSpec};
//! use plimsoll_types::{Asset, BlockKind, CorrelationState, Timestamp};
//! use std::collections::BTreeMap;
//!
//! let text = r#"
//! ## Largest full-weight relative spot move. `*` is for every underlying not named; without it, one that is not named
//! ## is refused.
//! [price_scan]
//! BTC = 0.16
//! "*" = 0.20
//!
//! ## Vol moves at 30 days, relative or absolute as vol_shock.kind says.
//! [vol_scan]
//! "*" = { up = 0.45, down = 0.25 }
//!
//! [vol_shock]
//! kind = "relative"            # or "absolute"
//! power_short = 0.3            # (30/max(dte, dte_floor))^p up to 30 days ...
//! power_long = 0.13            # ... and beyond; SPAN: both 0
//! dte_floor = 1.0              # days
//! min_vol_up = 0.4             # least vol after an up move; may be left out
//! sticky = "moneyness"         # what stays when spot moves; or "strike": each option keeps its own volatility
//!
//! ## The form of skew and wing moves; needed only where a scenario has one.
//! [vol_shock.skew]
//! cap_base = 0.25
//! cap_per_root_year = -0.1
//! k_min = 0.01
//! width = 4.0
//! k_static = 0.6
//! k_per_root_year = 0.0
//!
//! ## Left out: weights of a normal density that reaches the scan at two standard deviations.
//! [composite_delta]
//! price = [0, "1/3", "-1/3", "2/3", "-2/3", 1, -1]
//! weight = [0.27, 0.217, 0.217, 0.11, 0.11, 0.037, 0.037]
//! elapsed_days = 1.0
//!
//! ## SPAN's 16 scenarios: prices in scans, vol fastest, one day of look-ahead in all.
//! [[scenarios]]
//! kind = "grid"
//! purpose = "both"             # or "im", "mm"
//! [[scenarios.points]]
//! price = [0, "1/3", "-1/3", "2/3", "-2/3", 1, -1]
//! vol = ["up", "down"]
//! weight = 1
//! elapsed_days = 1.0
//! [[scenarios.points]]
//! price = [2, -2]
//! vol = ["none"]
//! weight = 0.35
//! elapsed_days = 1.0
//!
//! ## Far tails in relative moves with a weight each; smile, term, basis, rate and time on their own.
//! [[scenarios]]
//! kind = "grid"
//! purpose = "im"
//! [[scenarios.points]]
//! price = [-0.66, 0.5, 1.0, 5.0]
//! unit = "relative"
//! vol = ["up"]
//! weight = [0.21, 0.2772, 0.1386, 0.02772]
//! [[scenarios.points]]
//! price = [0]                  # a skew or wing move with a spot move is refused
//! vol = ["none"]
//! weight = 1
//! skew = -1.0
//! [[scenarios.points]]
//! price = [0]
//! vol = ["none"]
//! weight = 1
//! term = 0.2
//! basis = -0.05
//! rate = 0.01
//! elapsed_days = 3.0
//!
//! ## A common factor under three states of the correlation; two blocks each, systematic and idiosyncratic. Price and
//! ## vol moves are shared out alike: by the loading, and by what is left of it.
//! [[scenarios]]
//! kind = "factor"
//! purpose = "both"
//! loading = { BTC = 0.9, "*" = 0.8 }
//! states = ["estimated", "crash", "breakdown"]
//! breakdown = 0.5
//! [[scenarios.points]]
//! price = [-1, "-1/2", 0, "1/2", 1]
//! vol = ["up", "none", "down"]
//! weight = 1
//!
//! ## The past as it was: windows of 2 observations, each starting 1 after the one before, so they overlap. Observations
//! ## are counted, not time: a window across a gap of the series spans it.
//! [[scenarios]]
//! kind = "historical"
//! purpose = "both"
//! series = "daily"
//! horizon = 2
//! step = 1
//! windows = 500
//!
//! ## A stressed period by name.
//! [[scenarios]]
//! kind = "historical"
//! purpose = "both"
//! series = "daily"
//! horizon = 1
//! step = 1
//! stressed = true
//! period = { name = "January", from = "2026-01-05T00:00:00Z", to = "2026-01-15T00:00:00Z" }
//!
//! ## The past at today's volatility.
//! [[scenarios]]
//! kind = "filtered_historical"
//! purpose = "both"
//! series = "daily"
//! horizon = 1
//! step = 1
//! decay = 0.97
//! seed_observations = 5
//! cap = 1.25
//!
//! ## Joint Student-t moves; volatility moves against spot.
//! [[scenarios]]
//! kind = "monte_carlo"
//! purpose = "both"
//! paths = 64
//! sampling = "sobol"           # or "antithetic"
//! seed = 7
//! nu = 4.0
//! horizon_days = 1.0
//! daily_vol = { BTC = 0.035, "*" = 0.05 }
//! correlation = { "BTC/ETH" = 0.85, "*" = 0.6 }
//! vol = { daily_vol = { "*" = 0.06 }, leverage = { "*" = -0.4 } }
//! "#;
//!
//! let spec = ScenarioSpec::from_toml(text)?;
//! let days = 1..31_u32;
//! let daily = ReturnSeries {
//!     underlyings: vec!["BTC".parse()?, "ETH".parse()?],
//!     times: days.clone().map(|d| Timestamp::from_seconds(1_767_225_600 + 86_400 * i64::from(d))).collect(),
//!     spot: days.map(|d| f64::from(d % 5) - 2.0).map(|x| vec![0.010 * x, 0.015 * x]).collect(),
//!     vol: None,
//! };
//! let underlyings: Vec<Asset> = vec!["BTC".parse()?, "ETH".parse()?];
//! let set = generate(&spec, &underlyings, &BTreeMap::from([("daily".to_owned(), daily)]))?;
//!
//! let span = &set.blocks[0].scenarios;
//! assert_eq!((span.len(), span[14].weight, span[14].pair, span[2].pair), (16, 0.35, 14, 3));
//! assert_eq!(set.blocks[2].kind, BlockKind::Systematic(CorrelationState::Estimated));
//! assert_eq!(set.blocks.last().map(|b| b.scenarios.len()), Some(64));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod approx;
mod build;
mod check;
#[cfg(test)]
mod differential;
mod fill;
mod generate;
mod kernel;
mod leg;
mod moves;
mod plan;
mod refresh;
mod set;
mod shift;
mod shock;
mod spec;
mod validate;
mod value;

pub use approx::ApproximationError;
pub use build::{Built, Mode, build};
pub use check::BuildError;
pub use generate::generate;
pub use leg::{LegError, OptionLeg, revalue};
pub use plan::Plan;
pub use refresh::{BlockError, RefreshError};
pub use set::{
    DeltaPoints, Move, Note, Scenario, ScenarioBlock, ScenarioSet, SkewShock, Sticky, VolShock, VolShockKind,
};
pub use shift::{Shift, shifted};
pub use spec::{
    CompositeDelta, EntrySpec, FactorSpec, FilteredSpec, GridSpec, HistoricalSpec, MonteCarloSpec, Multiple,
    PerUnderlying, Period, Points, PriceUnit, ReturnSeries, Sampling, ScenarioSpec, SpecError, VolDirection,
    VolMoves, VolScan, Weights, log_returns,
};
pub use value::{UnitGreeks, Valuation, value};
