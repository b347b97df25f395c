//! W7: ten thousand joint scenarios: the reprice alone, and the expected shortfall of every account, block by block.

use super::arrays::FLOPS_SMILE;
use super::{Facts, Setup, Work, differs, direct};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::{Accounts, Listing, ScenarioKind};
use crate::bench::limits::Cost;
use plimsoll_lanes::Path;
use plimsoll_margin::tail::{JointBlock, TailLosses};
use plimsoll_margin::{JointTerms, Statistic};
use plimsoll_risk::Plan;
use plimsoll_types::{Book, Ppb, Ticks};
use std::ops::Range;

/// Columns that are held at once.
const WIDTH: usize = 256;

/// Operations of one position in one scenario.
const FLOPS_POSITION: u64 = 2;

/// Level of the shortfall: with the numbers of scenarios here a whole number of them is beyond it.
const LEVEL: Ppb = Ppb(975_000_000);

/// One in this many instruments, and as many columns of the last block, are repriced by the reference.
const SAMPLE_EVERY: usize = 97;

/// Accounts whose losses the reference sums in every scenario.
const ACCOUNTS: usize = 8;

/// The listing with its plan, and room for one block.
#[derive(Debug)]
struct Blocks {
    listing: Listing,
    plan: Plan,
    entries: Vec<i64>,
}

impl Blocks {
    fn new(setup: &Setup) -> anyhow::Result<Self> {
        let listing = match setup.folder("w7") {
            Some(folder) => Listing::read(&folder)?,
            None => Listing::made(ScenarioKind::Joint { paths: setup.size(10_000, 400) })?,
        };
        let plan = Plan::new(&listing.instruments, &listing.set, &listing.units)?;
        let entries = vec![0; listing.instruments.len() * WIDTH];
        Ok(Self { listing, plan, entries })
    }

    /// The columns of each block.
    fn spans(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let columns = self.plan.columns();
        (0..columns).step_by(WIDTH).map(move |start| start..columns.min(start + WIDTH))
    }

    fn fill(&mut self, span: Range<usize>, path: Path) -> anyhow::Result<&[i64]> {
        let entries = &mut self.entries[..self.listing.instruments.len() * span.len()];
        self.plan.fill_block(&self.listing.surface, span, entries, path)?;
        Ok(entries)
    }

    fn cells(&self) -> u64 {
        (self.plan.columns() * self.listing.instruments.len()) as u64
    }

    fn named(&self) -> String {
        format!("{} options x {} joint scenarios", self.listing.instruments.len(), self.plan.columns())
    }
}

/// The reprice alone.
#[derive(Debug)]
pub(in crate::bench) struct Reprice {
    blocks: Blocks,
    path: Path,
}

impl Reprice {
    /// Ten thousand scenarios, or 400.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        Ok(Self { blocks: Blocks::new(setup)?, path: Path::best() })
    }
}

impl Work for Reprice {
    fn facts(&self) -> Facts {
        let units = self.blocks.cells();
        Facts {
            what: self.blocks.named(),
            unit: "cell",
            units,
            cost: Cost { streamed: 8 * units, cached: 0, flops: units * FLOPS_SMILE },
            reference: "scalar formula, cell by cell",
            notes: vec![format!("{} bytes hold a block of {WIDTH} columns", 8 * self.blocks.entries.len())],
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        self.path = path;
        for span in self.blocks.spans() {
            self.blocks.fill(span, path)?;
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        // Only one block is held, so all of them are computed once more.
        let mut digest = Digest::new();
        let mut blocks = Blocks {
            listing: self.blocks.listing.clone(),
            plan: self.blocks.plan.clone(),
            entries: self.blocks.entries.clone(),
        };
        for span in self.blocks.spans() {
            match blocks.fill(span, self.path) {
                Ok(entries) => digest.integers(entries),
                Err(_) => digest.word(u64::MAX),
            }
        }
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let Some(span) = self.blocks.spans().last() else { return Ok(0) };
        let all = direct::scenarios(&self.blocks.listing);
        let columns: Vec<usize> = span.clone().step_by(SAMPLE_EVERY).collect();
        let scenarios: Vec<_> = columns.iter().filter_map(|column| all.get(*column).copied()).collect();
        let mut done = 0;
        for instrument in (0..self.blocks.listing.instruments.len()).step_by(SAMPLE_EVERY) {
            let at = |column: &usize| self.blocks.entries[instrument * span.len() + column - span.start];
            let row: Vec<i64> = columns.iter().map(at).collect();
            direct::compare(&self.blocks.listing, instrument, &row, &scenarios)?;
            done += row.len() as u64;
        }
        Ok(done)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        self.blocks.listing.frames()
    }
}

/// Expected shortfall of a book.
#[derive(Debug)]
pub(in crate::bench) struct Shortfall {
    blocks: Blocks,
    accounts: Accounts,
    book: Book,
    losses: Vec<Ticks>,
    held: usize,
}

impl Shortfall {
    /// A hundred thousand accounts, or 2,000.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let blocks = Blocks::new(setup)?;
        let accounts = match setup.folder("w7") {
            Some(folder) => Accounts::read(&folder)?,
            None => Accounts::made(setup.size(100_000, 2_000), (16, 250), setup.spread),
        };
        let book = accounts.book(false)?;
        Ok(Self { blocks, accounts, book, losses: Vec::new(), held: 0 })
    }

    /// Losses of an account in every scenario, summed in the plainest way, worst first.
    fn losses_of(&mut self, account: usize, blocks: &[Vec<i64>]) -> Vec<i128> {
        let columns = self.blocks.plan.columns();
        let mut losses = vec![0_i128; columns];
        for (instrument, lots) in self.accounts.of(account) {
            for (span, block) in self.blocks.spans().zip(blocks) {
                let row = &block[instrument as usize * span.len()..][..span.len()];
                for (loss, entry) in losses[span].iter_mut().zip(row) {
                    *loss -= i128::from(lots) * i128::from(*entry);
                }
            }
        }
        losses.sort_unstable_by(|a, b| b.cmp(a));
        losses
    }
}

fn terms() -> JointTerms {
    JointTerms { statistic: Statistic::ExpectedShortfall, level: LEVEL, stress_weight: Ppb(0) }
}

impl Work for Shortfall {
    fn facts(&self) -> Facts {
        let (positions, columns) = (self.accounts.positions(), self.blocks.plan.columns());
        let sums = (positions * columns) as u64;
        let cells = self.blocks.cells();
        Facts {
            what: format!(
                "{}, then expected shortfall of {} accounts",
                self.blocks.named(),
                self.accounts.len()
            ),
            unit: "account",
            units: self.accounts.len() as u64,
            cost: Cost {
                streamed: 8 * cells,
                cached: 4 * sums,
                flops: cells * FLOPS_SMILE + sums * FLOPS_POSITION,
            },
            reference: "128-bit sums of all scenarios, sorted, account by account (without the reprice)",
            notes: vec![
                format!("{positions} positions, {} bytes of book", self.book.bytes()),
                format!("{} bytes hold the largest losses of all accounts", self.held),
            ],
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        let mut tail = TailLosses::new(&self.book, &terms(), self.blocks.plan.columns())?;
        self.held = tail.bytes();
        for span in self.blocks.spans() {
            let width = span.len();
            let pnl = self.blocks.fill(span, path)?;
            tail.add(path, &self.book, &JointBlock { pnl, width })?;
        }
        self.losses = tail.finish()?;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for loss in &self.losses {
            digest.integer(loss.0);
        }
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let columns = self.blocks.plan.columns();
        // With these levels and numbers the scenarios at and beyond the value at risk are counted by whole numbers.
        let worse = columns - (columns * 975).div_ceil(1000) + 1;
        let spans: Vec<_> = self.blocks.spans().collect();
        let blocks = spans.into_iter().map(|span| Ok(self.blocks.fill(span, Path::best())?.to_vec()));
        let blocks = blocks.collect::<anyhow::Result<Vec<_>>>()?;
        let count = self.accounts.len().min(ACCOUNTS);
        for account in 0..count {
            let losses = self.losses_of(account, &blocks);
            let sum: i128 = losses.iter().take(worse).sum();
            let mean = sum.div_euclid(worse as i128);
            let found = self.losses.get(account).map_or(0, |loss| loss.0);
            if (found - mean.max(0)).abs() > 1 {
                return Err(differs("account", account, found, mean));
            }
        }
        Ok(count as u64)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let mut frames = self.blocks.listing.frames()?;
        frames.extend(self.accounts.frames()?);
        let losses =
            self.losses.iter().map(|loss| Ok(i64::try_from(loss.0)?)).collect::<anyhow::Result<_>>()?;
        let about = "The answer to W7, in the order of accounts: the mean of the losses at and beyond the value at risk at \
                     97.5 %, at least 0, in ticks of 1e-6 USD.";
        frames.push(Frame::new("shortfalls", about).integer("loss", "expected shortfall, ticks", losses));
        Ok(frames)
    }
}
