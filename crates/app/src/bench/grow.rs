//! How the cost of a whole book grows with accounts, positions, scenarios and threads.

use super::inputs::{Accounts, Listing, ScenarioKind, Spread};
use super::workloads::Work;
use super::workloads::book::Scan;
use super::{Machine, Options, pool, timing};
use plimsoll_lanes::Path;
use std::time::Duration;

/// What is varied; everything else stays as in the middle of the other rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Axis {
    /// Accounts of twelve positions on average, 64 scenarios.
    Accounts,
    /// Positions per account on average, 64 scenarios.
    Positions,
    /// Scenarios, twelve positions on average.
    Scenarios,
}

impl Axis {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Positions => "positions per account",
            Self::Scenarios => "scenarios",
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GrowthPoint {
    /// What was varied.
    pub axis: Axis,
    /// How many there were of it.
    pub count: usize,
    /// Positions in all.
    pub positions: usize,
    /// Threads.
    pub threads: usize,
    /// The median, milliseconds.
    pub median_ms: f64,
}

/// Scan losses of books of several sizes.
#[derive(Clone, PartialEq, Debug)]
pub struct Growth {
    /// Where.
    pub machine: Machine,
    /// The vector path.
    pub path: &'static str,
    /// In order of axis, count and threads.
    pub points: Vec<GrowthPoint>,
}

/// A book to be made.
struct Shape {
    accounts: usize,
    mean: usize,
    columns: usize,
}

/// Measures the scan losses of books that grow in one direction at a time, with the threads of `options`, or one and two.
///
/// # Errors
/// When inputs cannot be made.
pub fn grow(options: &Options) -> anyhow::Result<Growth> {
    let (machine, path) = (Machine::here(), Path::best());
    let counts = if options.threads.is_empty() { &[1, 2][..] } else { &options.threads };
    let pools = counts.iter().map(|threads| pool(*threads)).collect::<anyhow::Result<Vec<_>>>()?;
    let base = if options.quick { 2_000 } else { 50_000 };
    let mut points = Vec::new();
    for (axis, steps) in steps(options.quick) {
        for count in steps {
            let shape = match axis {
                Axis::Accounts => Shape { accounts: count, mean: 12, columns: 64 },
                Axis::Positions => Shape { accounts: base, mean: count, columns: 64 },
                Axis::Scenarios => Shape { accounts: 2 * base, mean: 12, columns: count },
            };
            let mut scan = scan(&shape, options.concentrated)?;
            for pool in &pools {
                let budget = Duration::from_millis(if options.quick { 5 } else { 300 });
                let timing = pool.install(|| timing::measure(budget, || scan.run(path)))?;
                let positions = usize::try_from(scan.facts().units)?;
                let threads = pool.current_num_threads();
                points.push(GrowthPoint { axis, count, positions, threads, median_ms: timing.median_ms });
            }
        }
    }
    Ok(Growth { machine, path: path.name(), points })
}

fn steps(quick: bool) -> [(Axis, Vec<usize>); 3] {
    let thin = |all: &[usize]| all.iter().copied().take(if quick { 2 } else { all.len() }).collect();
    [
        (Axis::Accounts, thin(&[1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])),
        (Axis::Positions, thin(&[1, 3, 10, 30, 100, 300])),
        (Axis::Scenarios, thin(&[16, 32, 64, 128, 256, 512])),
    ]
}

fn scan(shape: &Shape, concentrated: bool) -> anyhow::Result<Scan> {
    let spread = if concentrated { Spread::Concentrated } else { Spread::Uniform };
    let listing = Listing::made(ScenarioKind::Prices { columns: shape.columns })?;
    let accounts = Accounts::with_mean(shape.accounts, shape.mean, (16, 250), spread);
    Scan::made(listing, accounts)
}
