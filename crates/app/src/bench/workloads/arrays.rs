//! W3: risk arrays of a listing, every option repriced under every scenario and rounded to integers.

use super::{Facts, Setup, Work, direct};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::{Listing, ScenarioKind};
use crate::bench::limits::Cost;
use plimsoll_lanes::Path;
use plimsoll_risk::Plan;
use plimsoll_types::RiskArrays;

/// Operations of one cell, counted in `plimsoll_risk`: call and put of a strike share one time value, of 143 operations
/// with the smile and its shock and 133 without the smile; what an option adds to it and its rounding are 8.
pub(super) const FLOPS_SMILE: u64 = 143 / 2 + 8;
const FLOPS_STRIKE: u64 = 133 / 2 + 8;

/// One in this many instruments is repriced by the reference.
const SAMPLE_EVERY: usize = 37;

/// Risk arrays, refreshed in place.
#[derive(Debug)]
pub(in crate::bench) struct Arrays {
    listing: Listing,
    plan: Plan,
    arrays: RiskArrays,
    keeping_vols: bool,
}

impl Arrays {
    /// Four thousand options under sixty-four scenarios.
    pub(in crate::bench) fn new(setup: &Setup, keeping_vols: bool) -> anyhow::Result<Self> {
        let folder = if keeping_vols { "w3-strike" } else { "w3" };
        let listing = match setup.folder(folder) {
            Some(folder) => Listing::read(&folder)?,
            None if keeping_vols => Listing::made(ScenarioKind::Grid)?.keeping_vols(),
            None => Listing::made(ScenarioKind::Grid)?,
        };
        let plan = Plan::new(&listing.instruments, &listing.set, &listing.units)?;
        let arrays = plan.build(&listing.surface, Path::best())?.arrays;
        Ok(Self { listing, plan, arrays, keeping_vols })
    }
}

impl Work for Arrays {
    fn facts(&self) -> Facts {
        let units = self.arrays.pnl.len() as u64;
        let flops = if self.keeping_vols { FLOPS_STRIKE } else { FLOPS_SMILE };
        let vols =
            if self.keeping_vols { "each option's own volatility" } else { "volatilities of the smile" };
        Facts {
            what: format!(
                "{} options x {} scenarios, {vols}",
                self.arrays.instruments.len(),
                self.plan.columns()
            ),
            unit: "cell",
            units,
            cost: Cost { streamed: 8 * units, cached: 0, flops: units * flops },
            reference: "scalar formula, cell by cell",
            notes: Vec::new(),
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        self.plan.refresh(&self.listing.surface, &mut self.arrays, None, path)?;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.integers(&self.arrays.pnl);
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let scenarios = direct::scenarios(&self.listing);
        let mut done = 0;
        let rows = self.arrays.pnl.chunks_exact(scenarios.len()).enumerate();
        for (instrument, row) in rows.step_by(SAMPLE_EVERY) {
            direct::compare(&self.listing, instrument, row, &scenarios)?;
            done += row.len() as u64;
        }
        Ok(done)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let mut frames = self.listing.frames()?;
        frames.push(risk_arrays(&self.arrays)?);
        Ok(frames)
    }
}

/// Risk arrays as a table: a column per scenario.
pub(super) fn risk_arrays(arrays: &RiskArrays) -> anyhow::Result<Frame> {
    let rows = u32::try_from(arrays.instruments.len())?;
    let about = "A row is an instrument; `sNN` is the profit or loss of one long lot under scenario NN, in ticks of 1e-6 \
                 USD: round(weight x (value there - value now) x lot x 1e6), halves away from zero.";
    let mut frame =
        Frame::new("risk_arrays", about).index("instrument", "row of `instruments`", (0..rows).collect());
    let width = arrays.scenarios.len();
    for (column, scenario) in arrays.scenarios.iter().enumerate() {
        let entries = arrays.pnl.iter().skip(column).step_by(width).copied().collect();
        frame = frame.integer(&format!("s{column:02}"), &scenario.label, entries);
    }
    Ok(frame)
}
