//! From what an account holds and what each lot could lose to what the account must hold: initial margin,
//! maintenance margin, equity, and every number that was added on the way.
//!
//! **The one idea:** a requirement is a sum of integer products. The risk arrays say what one lot of every instrument
//! gains or loses under every scenario, in whole ticks; a portfolio says how many lots; everything after that is exact,
//! so a contract, a spreadsheet or another machine gets the same digits in any order. Requirements round up, equity
//! rounds down, ratios are parts per billion, and what does not fit in 128 bits is an error.
//!
//! **Must never know:** a price model, a volatility, a scenario generator, a clock or a floating-point number. It
//! depends on `types` alone, and a test searches its source for floats.
//!
//! The design's lane of exact floats is an `i64` lane here (see [`AccountState`]): one bound per account,
//! `sum |lots| x max |entry| < 2^62`, decides between it and `i128`, and both give identical results.

mod account;
mod addons;
mod aggregate;
mod attribution;
pub mod book;
mod charges;
mod collateral_charges;
mod equity;
mod error;
mod evaluate;
mod explain;
mod formulas;
mod free_pool;
mod isolated;
mod joint;
mod lint;
mod money;
mod orders;
mod params;
mod report;
mod requirement;
mod span;
mod span_params;
mod summary;
pub mod tail;
pub mod venue;
mod wrong_way;

pub use account::{AccountState, Lane};
pub use addons::{
    Addons, BasisTerms, ConfidenceTerms, ExpiryTerms, FundingTerms, LiquidityTerms, ShortOptionStyle,
    ShortOptionTerms, VegaBucket, VegaTerms,
};
pub use attribution::{Attribution, Cause, Split, attribute};
pub use error::MarginError;
pub use evaluate::{evaluate, evaluate_book, reports, what_if};
pub use explain::explain;
pub use lint::{LintBlock, LintCode, LintColumn, LintFinding, LintInput, VolMove, lint};
pub use money::{decimal, isqrt};
pub use params::{
    Aggregation, ByAsset, CollateralTerms, DepegTerms, FixedRatio, HaircutTier, JointTerms, Mode,
    OrderMethod, OrderTerms, Params, Scope, ShortCount, Statistic,
};
pub use report::{
    Addon, AddonKind, AggregateDetail, CollateralReport, Contribution, FactorState, GreekSums, Input,
    IsolatedPosition, MarginReport, OrderCase, OrderCaseMargin, OrdersReport, Requirement,
    SpanCommodityReport, State, Summary, Trade, UnderlyingReport, WhatIf,
};
pub use span::{
    SpanBasis, SpanBook, SpanCredit, SpanCreditLeg, SpanCreditMethod, SpanCreditTier, SpanFigures, SpanMonth,
    SpanPlace, SpanRequirement, SpanShorts, SpanSpot, SpanSpread, SpanSpreadLeg, SpanTable, span_commodities,
    span_requirement, span_total,
};
pub use span_params::{
    InterLeg, InterMethod, InterSpread, IntraLeg, IntraSpread, Side, SpanCommodity, SpanParams, SpotCharge,
    Tier,
};
pub use summary::{BookTerms, Levels, LiveAccount, LiveBook, Lookups, Totals, summaries};
