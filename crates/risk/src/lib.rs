//! plimsoll-risk

mod approx;
mod build;
mod generate;
mod set;
mod shift;
mod shock;
mod spec;
mod validate;
mod value;

pub use approx::ApproximationError;
pub use build::{BuildError, Built, Mode, build};
pub use generate::generate;
pub use set::{
    DeltaPoints, Move, Note, Scenario, ScenarioBlock, ScenarioSet, SkewShock, VolShock, VolShockKind,
};
pub use shift::{Shift, shifted};
pub use spec::{
    CompositeDelta, EntrySpec, FactorSpec, FilteredSpec, GridSpec, HistoricalSpec, MonteCarloSpec, Multiple,
    PerUnderlying, Period, Points, PriceUnit, ReturnSeries, Sampling, ScenarioSpec, SpecError, VolDirection,
    VolMoves, VolScan, Weights,
};
pub use value::{UnitGreeks, Valuation, value};
