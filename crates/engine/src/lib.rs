//! The facade that composes the stages: a snapshot, a book and a parameter set in; margins and their reasons out.
//!
//! **The one idea:** a [`Desk`] gathers every input once, and every answer is a pure function of it.
//!
//! ```text
//! snapshot -> market::guard -> market::fit -> risk::build -> margin::evaluate
//! ```
//!
//! **Must never know:** sockets, files, clocks, randomness. Rows, snapshots and series come as values, and so does time.

mod adjusted;
mod attribution;
mod book;
mod bucketed;
mod compare;
mod desk;
mod fill;
mod glide;
mod greeks;
mod heat;
mod interest;
mod lint;
mod liquidation;
pub mod live;
mod params;
mod pricing;
mod readings;
mod span_file;

pub use adjusted::Adjusted;
pub use attribution::{AttributionReport, attribute};
pub use book::{
    BookBuilder, Duplicate, Number, Owner, PositionRow, RowError, Stretch, Terms, TradeRow, parse_trade,
};
pub use bucketed::{Asked, Bucketed};
pub use compare::{
    CompareError, ComparedAccount, ComparedMethod, Comparison, Component, Contender, Disagreement,
    Distribution, Measure, NotMargined, NotMarginedKind, Over, Part, PartDifference, Quantiles, Ratio,
    Standing, Totals, compare,
};
pub use desk::{BuildOptions, Desk, EngineError, Failure, Market};
pub use glide::{Absorption, Affected, Announcement, Depth, Evaluated, GlidePath, Pressure};
pub use greeks::GreeksRow;
pub use heat::{HeatMap, HeatMapSpec};
pub use interest::OpenInterest;
pub use liquidation::{LiquidationPoint, LiquidationSpec, LiquidationSurface, NearestPoint};
pub use params::{PRESETS, ParamError, ParamSet};
pub use pricing::{Packed, pack};
pub use readings::implied;
pub use span_file::{
    SPAN_TICKS_PER_UNIT, SpanAccountError, SpanAccountKind, SpanAccountReport, SpanAccountTerms,
    SpanAdjustment, SpanBasisRule, SpanByAccount, SpanCommodityMargin, SpanCommodityRules, SpanContract,
    SpanContractName, SpanCreditRule, SpanCreditRuleLeg, SpanCurrency, SpanDelivery, SpanDeltaPoint,
    SpanDesk, SpanFault, SpanFile, SpanFileError, SpanFormat, SpanKind, SpanLegPlace, SpanLevel,
    SpanLookupError, SpanMinimumTier, SpanMonthLeg, SpanMonthSpread, SpanMultiple, SpanPeriod, SpanProduct,
    SpanRate, SpanRight, SpanScanPoint, SpanScanning, SpanTierRange, SpanWeighting,
};

/// The README's Rust is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
