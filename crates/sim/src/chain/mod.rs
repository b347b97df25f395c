//! Recorded option chains: books sampled from open interest, margined and judged chain by chain.
//!
//! ```text
//! Snapshot -> Moment (guard, fit, value) -> Signals -> policy::step -> engine::Adjusted -> risk arrays of the whole chain
//!                 |                                                                                |
//!                 +-> open interest -> books -----------------------------------------------> margins, against
//!                 +-> marks at the horizon -------------------------------------------------> losses -> figures
//! ```
//!
//! **The one idea:** where there are quotes nothing is stated: the surface, the signals, what is held and what is lost are all
//! of the chain. Nothing of a later chain is looked at before it is judged.

mod books;
mod crash;
mod losses;
mod margins;
mod moment;
mod rows;
mod series;
mod study;
mod style;
mod track;

pub use books::{Books, Held};
pub use crash::{CHAIN_FALL_MIN, ChainCrash};
pub use losses::{Counted, Lost, lost};
pub use moment::{ChainConflict, Listing, Misplaced, Moment, Quote, in_order};
pub use rows::ChainRow;
pub use series::ChainSeries;
pub use study::{ChainOutcome, ChainStudy, SEPARATED, Sampled, Variant};
pub use style::{Leg as ChainLeg, Style};
pub use track::{ImpliedHistory, follow, seen};
