//! Measuring: eight workloads on inputs made from a seed, beside a plain reference and the machine's own limits.
//!
//! The one idea: everything that is compared is measured in one run on one machine, so that a figure is a ratio: against
//! a naive computation of the same answer, and against the time that its bytes and operations need at the rates the
//! machine was just seen to reach. The command and the `cargo bench` targets run the same functions.
//!
//! This module must never know how an answer is computed, only whom to ask; and no answer depends on a measured time.

mod digest;
mod emit;
pub mod flood;
mod frame;
mod grow;
mod inputs;
mod limits;
mod machine;
pub mod serve;
mod timing;
mod workloads;

pub use emit::emit;
pub use grow::{Axis, Growth, GrowthPoint, grow};
pub use limits::{Cost, Limits};
pub use machine::Machine;
pub use timing::Timing;

use anyhow::{Context, bail};
use inputs::Spread;
use plimsoll_lanes::Path;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use workloads::load::Form;
use workloads::{Facts, Setup, Work};

/// Makes the inputs of a workload.
type Prepare = fn(&Setup) -> anyhow::Result<Box<dyn Work>>;

/// A workload by name.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Its name, such as `W4i`.
    pub name: &'static str,
    /// The row of the plan it belongs to: naming it runs all of its rows.
    pub group: &'static str,
    /// The folder its inputs and answers are in.
    pub folder: &'static str,
    /// Whether its target speaks of one core.
    pub one_core: bool,
    /// Whether it can be told which vector path to take.
    pub on_paths: bool,
    prepare: Prepare,
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn one_core(
    name: &'static str,
    group: &'static str,
    folder: &'static str,
    prepare: Prepare,
) -> Workload {
    Workload { name, group, folder, one_core: true, on_paths: true, prepare }
}

const fn all_cores(
    name: &'static str,
    group: &'static str,
    folder: &'static str,
    prepare: Prepare,
) -> Workload {
    Workload { name, group, folder, one_core: false, on_paths: true, prepare }
}

const fn best_path(
    name: &'static str,
    group: &'static str,
    folder: &'static str,
    prepare: Prepare,
) -> Workload {
    Workload { name, group, folder, one_core: false, on_paths: false, prepare }
}

/// Every workload, in the order they are run.
pub const WORKLOADS: [Workload; 16] = [
    one_core("W1", "W1", "w1", |s| Ok(Box::new(workloads::pricing::Pricing::new(s, false)?))),
    one_core("W1g", "W1", "w1", |s| Ok(Box::new(workloads::pricing::Pricing::new(s, true)?))),
    one_core("W2", "W2", "w2", |s| Ok(Box::new(workloads::implied::Implied::new(s)?))),
    all_cores("W3", "W3", "w3", |s| Ok(Box::new(workloads::arrays::Arrays::new(s, false)?))),
    all_cores("W3-strike", "W3", "w3-strike", |s| Ok(Box::new(workloads::arrays::Arrays::new(s, true)?))),
    all_cores("W4", "W4", "w4", |s| Ok(Box::new(workloads::book::Scan::new(s)?))),
    all_cores("W4i", "W4i", "w4", |s| Ok(Box::new(workloads::book::Rescan::new(s)?))),
    all_cores("W4f", "W4f", "w4f", |s| Ok(Box::new(workloads::full::Full::new(s)?))),
    best_path("W5", "W5", "w5", |s| Ok(Box::new(workloads::load::Load::new(s, Form::Parquet)?))),
    best_path("W5-csv", "W5", "w5", |s| Ok(Box::new(workloads::load::Load::new(s, Form::Csv)?))),
    one_core("W6", "W6", "w6", |s| Ok(Box::new(workloads::check::Warm::new(s)?))),
    one_core("W6-reprice", "W6", "w6", |s| Ok(Box::new(workloads::check::Reprice::new(s)?))),
    one_core("W6-report", "W6", "w6", |s| Ok(Box::new(workloads::check::Report::new(s)?))),
    all_cores("W7-reprice", "W7", "w7", |s| Ok(Box::new(workloads::joint::Reprice::new(s)?))),
    all_cores("W7", "W7", "w7", |s| Ok(Box::new(workloads::joint::Shortfall::new(s)?))),
    best_path("W8", "W8", "w8", |s| Ok(Box::new(workloads::fit::Fit::new(s)?))),
];

/// What to run, and how.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Options {
    /// Names of workloads or of groups; empty for all.
    pub workloads: Vec<String>,
    /// Numbers of threads, one after the other; empty for as many as each target speaks of: one, or all.
    pub threads: Vec<usize>,
    /// Smaller inputs and less time.
    pub quick: bool,
    /// Every vector path of the machine instead of the fastest.
    pub every_path: bool,
    /// Inputs that [`emit`] wrote.
    pub input: Option<PathBuf>,
    /// Accounts that hold one to three underlyings instead of any.
    pub concentrated: bool,
}

/// One measurement.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The workload.
    pub workload: &'static str,
    /// In words: what one repetition does.
    pub what: String,
    /// The vector path.
    pub path: &'static str,
    /// Threads.
    pub threads: usize,
    /// How long it took.
    pub timing: Timing,
    /// What is counted.
    pub unit: &'static str,
    /// How many of them one repetition does.
    pub units: u64,
    /// What one repetition moves and computes.
    pub cost: Cost,
    /// Time its roofline needs over the median, 0 to about 1.
    pub roofline_share: f64,
    /// Nanoseconds per unit of the reference, on one thread.
    pub reference_ns: f64,
    /// What the reference is.
    pub reference: &'static str,
    /// The most memory in use while it was prepared and run, bytes; `None` where the system does not say.
    pub peak_bytes: Option<u64>,
    /// Stands for the answer: equal on every path and number of threads.
    pub digest: u64,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl Row {
    /// Nanoseconds per unit, by the median.
    pub fn ns_per_unit(&self) -> f64 {
        self.timing.median_ms * 1e6 / self.units.max(1) as f64
    }

    /// How many times as fast per unit as the reference.
    pub fn speedup(&self) -> f64 {
        self.reference_ns / self.ns_per_unit()
    }
}

/// Everything a run found.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What it can do, for each path and number of threads that was used.
    pub limits: Vec<Limits>,
    /// What was measured.
    pub rows: Vec<Row>,
}

impl Options {
    /// The workloads that are named.
    ///
    /// # Errors
    /// When a name is of none; it says which there are.
    pub fn chosen(&self) -> anyhow::Result<Vec<Workload>> {
        let named = |w: &Workload, name: &str| [w.name, w.group].iter().any(|n| n.eq_ignore_ascii_case(name));
        if let Some(unknown) = self.workloads.iter().find(|name| !WORKLOADS.iter().any(|w| named(w, name))) {
            let known = WORKLOADS.map(|w| w.name).join(", ");
            bail!("no workload is called `{unknown}`: expected some of {known}");
        }
        let all = self.workloads.is_empty();
        let wanted = |w: &&Workload| all || self.workloads.iter().any(|name| named(w, name));
        Ok(WORKLOADS.iter().filter(wanted).copied().collect())
    }

    fn setup(&self) -> Setup {
        let spread = if self.concentrated { Spread::Concentrated } else { Spread::Uniform };
        Setup { quick: self.quick, input: self.input.clone(), spread }
    }

    fn paths(&self, workload: &Workload) -> Vec<Path> {
        if self.every_path && workload.on_paths { Path::available() } else { vec![Path::best()] }
    }

    /// The time a workload may take besides its least number of repetitions.
    fn budget(&self) -> Duration {
        Duration::from_millis(if self.quick { 60 } else { 1500 })
    }
}

/// Runs the workloads that are chosen, one after the other, and says of each what it found to `told`.
///
/// # Errors
/// When inputs cannot be made or read, or a fast answer differs from its reference.
pub fn run(options: &Options, told: &mut dyn FnMut(&Row)) -> anyhow::Result<Report> {
    let machine = Machine::here();
    let mut limits = BTreeMap::new();
    let mut rows = Vec::new();
    for workload in options.chosen()? {
        let default = vec![if workload.one_core { 1 } else { machine.cores }];
        let counts = if options.threads.is_empty() { &default } else { &options.threads };
        let pools = counts.iter().map(|threads| pool(*threads)).collect::<anyhow::Result<Vec<_>>>()?;
        let settings: Vec<(&rayon::ThreadPool, Path)> = pools
            .iter()
            .flat_map(|pool| options.paths(&workload).into_iter().map(move |p| (pool, p)))
            .collect();
        for (pool, path) in &settings {
            let key = (pool.current_num_threads(), path.name());
            if let std::collections::btree_map::Entry::Vacant(place) = limits.entry(key) {
                place.insert(pool.install(|| Limits::measure(*path, options.quick))?);
            }
        }
        machine::forget_peak();
        let context = || format!("workload {}", workload.name);
        let mut work = (workload.prepare)(&options.setup()).with_context(context)?;
        for (pool, path) in settings {
            let Some(limits) = limits.get(&(pool.current_num_threads(), path.name())) else { continue };
            let measured = measure(&workload, work.as_mut(), (pool, path), (limits, options.budget()));
            let row = measured.with_context(context)?;
            told(&row);
            rows.push(row);
        }
    }
    Ok(Report { machine, limits: limits.into_values().collect(), rows })
}

/// A pool of so many threads.
fn pool(threads: usize) -> anyhow::Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")
}

fn measure(
    workload: &Workload,
    work: &mut dyn Work,
    (pool, path): (&rayon::ThreadPool, Path),
    (limits, budget): (&Limits, Duration),
) -> anyhow::Result<Row> {
    let timing = pool.install(|| timing::measure(budget, || work.run(path)))?;
    pool.install(|| work.settle(path))?;
    let (mut done, mut reference_ms) = (0, f64::INFINITY);
    for _ in 0..3 {
        let ms = timing::once(|| {
            done = work.reference()?;
            Ok(())
        })?;
        reference_ms = if ms < reference_ms { ms } else { reference_ms };
    }
    let Facts { what, unit, units, cost, reference, notes } = work.facts();
    Ok(Row {
        workload: workload.name,
        what,
        path: path.name(),
        threads: pool.current_num_threads(),
        timing,
        unit,
        units,
        cost,
        roofline_share: limits.seconds(cost) * 1e3 / timing.median_ms,
        reference_ns: reference_ms * 1e6 / done.max(1) as f64,
        reference,
        peak_bytes: machine::peak_bytes(),
        digest: work.digest(),
        notes,
    })
}
