//! Formulas on `f64`: elementary and special functions, European option pricing, implied volatility,
//! volatility surfaces, interpolation, root finding, optimisation, Monte Carlo, statistics, backtests, measures of
//! procyclicality, perpetual futures, currency deltas, optimal execution and margin algebra; and estimators of volatility, tails,
//! correlation, jumps, regimes and liquidity.
//!
//! The one idea: every result is made of IEEE-754 exact operations only (`+ - * /`, `sqrt`, `mul_add`,
//! comparisons, bit patterns), in an order fixed by the source, so that a debug, a release and a native build
//! give the same bits. [`special`] therefore holds our own `exp`, `ln` and normal distribution; the platform
//! mathematics library is never called.
//!
//! An estimator that goes along a series is a plain value: `new` checks its parameters, `update` takes an observation in (one
//! that is not finite is refused and changes nothing), its readings say how much they still need before they are warm, and it
//! never grows beyond the windows it was made with. Written and read back it is equal; what is read back is otherwise trusted.
//!
//! This crate must never know an instrument, an account, a date or a file: it sees numbers with the units its
//! items document, and nothing in it reads a clock, draws a random number it was not given the seed for, or
//! does any input or output.

pub mod backtest;
pub mod batch;
pub mod black;
pub mod bs;
pub mod contract;
pub mod correlation;
pub mod ewma;
pub mod execution;
pub mod filtered;
pub mod fx;
pub mod garch;
pub mod har;
pub mod implied;
pub mod interp;
pub mod jump;
pub mod linalg;
pub mod liquidity;
pub mod lognormal;
pub mod lsq;
pub mod mc;
pub mod minimise;
pub mod perpetual;
pub mod pot;
pub mod procyclicality;
pub mod range;
pub mod rank;
pub mod regime;
pub mod regression;
pub mod roots;
pub mod sabr;
pub mod schedule;
pub mod simm;
pub mod sobol;
pub mod special;
pub mod ssvi;
pub mod stats;
pub mod svi;
pub mod tracking;
pub mod window;
