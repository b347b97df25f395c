//! Formulas on `f64`: elementary and special functions, European option pricing, implied volatility,
//! volatility surfaces, interpolation, root finding, least squares, Monte Carlo and statistics.
//!
//! The one idea: every result is made of IEEE-754 exact operations only (`+ - * /`, `sqrt`, `mul_add`,
//! comparisons, bit patterns), in an order fixed by the source, so that a debug, a release and a native build
//! give the same bits. [`special`] therefore holds our own `exp`, `ln` and normal distribution; the platform
//! mathematics library is never called.
//!
//! This crate must never know an instrument, an account, a date or a file: it sees numbers with the units its
//! items document, and nothing in it reads a clock, draws a random number it was not given the seed for, or
//! does any input or output.

pub mod black;
pub mod bs;
pub mod implied;
pub mod interp;
pub mod linalg;
pub mod lsq;
pub mod mc;
pub mod roots;
pub mod sobol;
pub mod special;
pub mod ssvi;
pub mod stats;
pub mod svi;
