//! The `plimsoll` command: files and streams in, answers out.
//!
//! **The one idea:** every command reads all of its inputs, asks the engine, and only then writes; an input that is
//! refused leaves the standard output stream empty. Exit status: 0 ok, 1 a check failed or an account could not be
//! valued, 2 usage or bad input.
//!
//! **Must never know:** a formula. Weights, margins, volatilities and prices come from the crates below; what is
//! added up here are integers that are already there.

pub mod bench;
pub mod cli;
pub mod doors;
pub mod export;
pub mod generate;
pub mod host;
pub mod intake;
pub mod io;
mod methods;
pub mod output;
pub mod readmodels;
mod report;
pub mod serve;
pub mod signer;
mod svg;
mod vectors;
pub mod webhooks;
pub mod wire;
