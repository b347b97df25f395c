//! The workloads: each holds its inputs and its answer, and does its work once per call.

pub(super) mod arrays;
pub(super) mod book;
pub(super) mod check;
mod direct;
pub(super) mod fit;
pub(super) mod full;
pub(super) mod implied;
pub(super) mod joint;
pub(super) mod load;
pub(super) mod pricing;

use super::frame::Frame;
use super::inputs::Spread;
use super::limits::Cost;
use plimsoll_lanes::Path;
use std::path::PathBuf;

/// Something to measure.
pub(super) trait Work: Send {
    /// What one repetition does.
    fn facts(&self) -> Facts;

    /// Does it, in the current thread pool. Whatever the workload does not itself allocate is there already.
    fn run(&mut self, path: Path) -> anyhow::Result<()>;

    /// Brings what alternates from run to run into its one last state; not timed.
    fn settle(&mut self, path: Path) -> anyhow::Result<()> {
        let _ = path;
        Ok(())
    }

    /// A number that stands for the answer of the last run.
    fn digest(&self) -> u64;

    /// Computes a part of the answer in the plainest way there is, on one thread, and compares it with that of the last
    /// run. Says how many units were done.
    ///
    /// # Errors
    /// When the two differ.
    fn reference(&mut self) -> anyhow::Result<u64>;

    /// Inputs and the answer of the last run, for other programs.
    fn frames(&self) -> anyhow::Result<Vec<Frame>>;

    /// Files beside the tables: name and text.
    fn files(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// What one repetition of a workload does.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Facts {
    /// In words: `1,000,000 options`.
    pub(super) what: String,
    /// What is counted.
    pub(super) unit: &'static str,
    /// How many of them.
    pub(super) units: u64,
    /// What must be moved and computed.
    pub(super) cost: Cost,
    /// What [`Work::reference`] is, in words.
    pub(super) reference: &'static str,
    /// What else there is to say, such as the size of a book.
    pub(super) notes: Vec<String>,
}

/// What a workload is prepared from.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Setup {
    /// Smaller inputs.
    pub(super) quick: bool,
    /// Directory of inputs instead of made ones.
    pub(super) input: Option<PathBuf>,
    /// How accounts spread their positions.
    pub(super) spread: Spread,
}

impl Setup {
    /// One of two sizes.
    pub(super) fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The directory a workload's inputs are read from, if they are.
    pub(super) fn folder(&self, name: &str) -> Option<PathBuf> {
        self.input.as_ref().map(|directory| directory.join(name))
    }
}

/// Says how a fast answer and a reference differ.
fn differs(what: &str, at: usize, fast: impl ToString, reference: impl ToString) -> anyhow::Error {
    let (fast, reference) = (fast.to_string(), reference.to_string());
    anyhow::anyhow!("{what} {at}: {fast} differs from the reference, which is {reference}")
}
