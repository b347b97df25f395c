//! The vocabulary of Plimsoll: units, time, names, instruments, portfolios, and the values that flow between stages.
//!
//! **The one idea:** the stages agree on plain values and on nothing else. A [`Snapshot`] goes in, [`RiskArrays`]
//! come out of the risk stage, a [`Portfolio`] meets them in the margin stage; every one of them is a struct of
//! public fields that can be compared, printed and written to a file.
//!
//! **Must never know:** a formula of finance, or a default for a risk parameter. There is no price, volatility or
//! ratio in this crate that was not handed to it.

mod arrays;
mod book;
mod fixed;
mod instrument;
mod issue;
mod names;
mod numbers;
mod portfolio;
mod snapshot;
mod time;

pub use arrays::{
    AssetRow, Block, BlockKind, CorrelationState, GreekTicks, InstrumentIx, InstrumentRow, Purpose,
    RiskArrays, RiskArraysError, ScenarioColumn, UnderlyingIx, UnderlyingRow,
};
pub use book::{Book, BookError, Deposit, Deposits, Held, Holdings, Narrow};
pub use fixed::{Fixed, mul_div_wide};
pub use instrument::{Contract, Instrument, InstrumentError, OptionKind, Settlement};
pub use issue::{Issue, Reason};
pub use names::{AccountId, Asset, NameError};
pub use numbers::{
    DecimalError, LotSize, Lots, NANO, Ppb, QuantiseError, Rounding, Ticks, Units, isqrt, mul_div,
    nearest_f64, parse_scaled, quantise,
};
pub use portfolio::{Holding, Order, Portfolio, Position};
pub use snapshot::{
    Depth, ExternalSlice, Forward, ForwardSource, FutureQuote, IndexPrice, OptionQuote, PerpQuote, Snapshot,
    UnderlyingMarket,
};
pub use time::{TimeError, Timestamp, YEAR_SECONDS};

/// Re-exported so that callers read and print decimals with the same type.
pub use rust_decimal::Decimal;
