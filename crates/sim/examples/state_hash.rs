//! The hash of an engine's state after a small story: equal in every build.
//!
//! `cargo run -p plimsoll-sim --example state_hash [ACCOUNTS] [SEED]`

#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use plimsoll_engine::ParamSet;
use plimsoll_policy::Policy;
use plimsoll_sim::harbour::{Harbour, Spec, Tally, tell};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let accounts = numbers.first().and_then(|n| usize::try_from(*n).ok()).unwrap_or(120);
    let spec = Spec { accounts, seed: numbers.get(1).copied().unwrap_or(1), ..Spec::default() };
    let rules = Harbour::rules(&spec, ParamSet::preset("plimsoll")?, Policy::shipped("plimsoll")?)?;
    let mut harbour = Harbour::new(&spec, &rules)?;
    let mut tally = Tally::new(&rules, spec.start);
    let mut engine = harbour.opened(&rules)?;
    tell(&mut harbour, &mut engine, &mut tally)?;
    println!("{}", engine.state().hash()?);
    Ok(())
}
