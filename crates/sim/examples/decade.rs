//! How long a decade of hours takes: five made-up assets, ten portfolios and a pair, the shipped policy, a day ahead.
//!
//! `cargo run --release -p plimsoll-sim --example decade [-- POLICY...]`
//!
//! Prices are a random walk with calm and wild stretches and jumps, from a seed: the same on every machine.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that prints a time: no number depends on it"
)]

use plimsoll_engine::ParamSet;
use plimsoll_policy::Policy;
use plimsoll_quant::sobol::Rng64;
use plimsoll_sim::{PortfolioSpec, PriceRow, STANDARD, Study, clean};
use plimsoll_types::{Asset, Timestamp};
use std::error::Error;
use std::time::Instant;

const HOUR: i64 = 3600;
const HOURS: i64 = 87_600;

fn rows(seed: u64) -> Vec<PriceRow> {
    let mut rng = Rng64::new(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let start = Timestamp::from_seconds(1_420_070_400);
    let mut price = 1000.0;
    let row = |hour: i64| {
        let size = if (hour / 1500) % 3 == 2 { 0.02 } else { 0.007 };
        let jump = if uniform() < 1e-4 { -0.1 } else { 0.0 };
        price *= 1.0 + size * (uniform() + uniform() + uniform() - 1.5) + jump;
        PriceRow { time: start.plus_seconds(hour * HOUR), open: None, high: None, low: None, close: price }
    };
    (0..HOURS).map(row).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut policies =
        std::env::args().skip(1).map(|name| Policy::shipped(&name)).collect::<Result<Vec<_>, _>>()?;
    if policies.is_empty() {
        policies.push(Policy::shipped("plimsoll")?);
    }
    let mut histories = Vec::new();
    for (name, seed) in ["AAA", "BBB", "CCC", "DDD", "EEE"].into_iter().zip(1..) {
        histories.push(clean(Asset::new(name)?, rows(seed))?);
    }
    let study = Study {
        policies,
        histories,
        portfolios: PortfolioSpec::from_toml(STANDARD)?,
        horizons: vec![24 * HOUR],
        warm_up_seconds: 730 * 24 * HOUR,
        from: None,
        to: None,
        split: Timestamp::from_seconds(1_577_836_800),
        params: ParamSet::preset("plimsoll")?,
    };
    let begun = Instant::now();
    let outcome = study.run(&|| ())?;
    let seconds = begun.elapsed().as_secs_f64();
    let margins: usize = outcome.margins.iter().flat_map(|set| &set.margins).map(Vec::len).sum();
    let (assets, rows) = (study.histories.len(), study.histories.iter().map(|h| h.rows.len()).sum::<usize>());
    println!(
        "{assets} assets, {rows} hours, {margins} initial and as many maintenance margins: {seconds:.1} s on {} threads",
        rayon::current_num_threads()
    );
    Ok(())
}
