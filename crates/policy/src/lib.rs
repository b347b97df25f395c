//! How risk parameters move with the state of the world, fast enough to stay solvent and slowly enough not to cause the
//! cascade they fear.
//!
//! ```text
//! Signals -> estimators -> adjusters (targets with reasons) -> combine -> stabilise -> bound -> Decision
//! ```
//!
//! **The one idea:** a step is a pure function of state and signals, every number on the way has a [`Cause`], and in
//! logarithms the causes add up to the change exactly.
//!
//! ```
//! use plimsoll_policy::{Bar, Knob, Place, Policy, Signals, State, UnderlyingSignals, step};
//! use plimsoll_types::Timestamp;
//! let policy = Policy::shipped("plimsoll")?;
//! let mut state = State::new(&policy, Timestamp::from_seconds(0))?;
//! for day in 0..100 {
//!     let bar = Some(Bar::at(if day % 2 == 0 { 100.0 } else { 103.0 }));
//!     let btc = UnderlyingSignals { bar, ..UnderlyingSignals::default() };
//!     let as_of = Timestamp::from_seconds(86_400 * day);
//!     let signals = Signals { as_of, underlyings: [("BTC".to_owned(), btc)].into(), ..Signals::default() };
//!     step(&policy, &mut state, &signals)?;
//! }
//! let place = Place { underlying: Some("BTC"), ..Place::default() };
//! let now = Timestamp::from_seconds(86_400 * 99);
//! let scan = policy.in_force(state.board(), Knob::PriceScanDown, &place, now).ok_or("none")?;
//! assert_eq!(scan.key.to_string(), "price_scan_down[BTC]");
//! // 3 % a day, at 99 % of Student's t with 5.5 degrees: 10.4 %, less what 38 days without a breach have taught, rounded up.
//! assert!(scan.initial.to_f64() > 0.10 && scan.initial.to_f64() < 0.107);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Must never know:** an account, how a surface was fitted, a chain, or a clock. It sees aggregates of a book, and instants
//! are inputs.

mod adjust;
mod buffer;
mod cause;
mod estimate;
mod extremes;
mod glide;
mod governance;
mod leverage;
mod limits;
mod lint;
mod lookup;
mod migrate;
mod parameter;
mod policy;
mod ramp;
mod ranges;
mod readings;
mod scope;
mod series;
mod shipped;
mod signals;
mod stabilise;
mod state;
mod step;
mod target;
mod trail;

pub use adjust::{Adjuster, AdjusterError, Adjusters, Group, Slope, WhenStale};
pub use buffer::{Buffer, Usual};
pub use cause::Cause;
pub use estimate::{Estimator, RangeMethod};
pub use glide::{Choice, Glide, GlideError, Impact};
pub use governance::{Governance, GovernanceError, Schedule, Scheduled, Vote};
pub use leverage::{LeverageTier, LeverageTiers};
pub use limits::{Breach, DAY_FALL_MAX, InForce, Limits, LimitsError, Range, WEEK_FALL_MAX};
pub use lint::{Finding, Rule};
pub use lookup::Found;
pub use migrate::{MigrateError, Migration};
pub use parameter::{Announce, Change, Motion, MotionError, MotionSpecError, ParameterState, Proposed};
pub use policy::{Buckets, ObservationSpec, ParameterSpec, Place, Policy, PolicyError, PolicyFile};
pub use ramp::{Leg, Ramp};
pub use readings::{
    CorrelationMethod, CorrelationReading, JumpSize, LiquidityReading, Norm, Readings, RegimeReading,
};
pub use scope::{Key, Knob, Scope, Side, covering};
pub use shipped::{POLICIES, SCHEMA};
pub use signals::{Bar, Implied, Quoted, SignalError, Signals, UnderlyingSignals};
pub use stabilise::{Holding, Stabiliser, StabiliserError};
pub use state::{State, decide, propose, step};
pub use step::{Board, Decision, Note, Proposal, StepError};
pub use target::{Loss, Quantile, Series, Stress, TargetSpec, TargetSpecError, Tracking};
pub use trail::{NanoLog, Trail};

/// The Rust of the page is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/policy.md")]
struct PolicyPage;
