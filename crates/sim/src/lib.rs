//! Offline research on the live engine: history is replayed through the policy and the margin that an exchange would run.
//! [`harbour`] tells a market of our own, or a recorded one, to the engine as it runs.
//!
//! ```text
//! PriceRow -> clean, splice -> History -> replay (policy::step) -> margins (risk, margin) -> figures (quant)
//! ```
//!
//! **The one idea:** nothing here computes a margin or moves a parameter. A backtest is the live code fed from a file, and what
//! it says of an instant depends on nothing after it.
//!
//! **Must never know:** a private shortcut into a stage, files, clocks or randomness. Histories, policies and portfolios come
//! as values.

pub mod chain;
mod check;
mod compare;
mod crash;
mod figures;
mod fill;
pub mod harbour;
mod history;
mod impulse;
mod margining;
mod portfolio;
mod regime;
mod replay;
mod splice;
mod study;
mod surface;
mod units;

pub use crash::{Crash, FALL_MIN};
pub use figures::{CONFIDENCE, Faults, Figures, Judged, Laws, Maintenance, worse};
pub use history::{Fault, Finding, History, HistoryError, PriceRow, clean};
pub use margining::{Bench, Margining, MarginingError, Revaluing, Values};
pub use portfolio::{INDEX, Leg, LegKind, PortfolioError, PortfolioSpec, STANDARD};
pub use regime::stressed;
pub use replay::{Dated, InForceFrom, ReplayError, Track, Without, replay};
pub use splice::splice;
pub use study::{Absence, Group, Impulse, LeftOut, Margins, Outcome, Row, Study, StudyError, Tell};
pub use surface::StatedVol;
