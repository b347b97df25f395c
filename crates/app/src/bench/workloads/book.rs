//! W4: the scan losses of a whole book, and W4i: of what one moved underlying touches.

use super::arrays::risk_arrays;
use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::{Accounts, Listing, ScenarioKind};
use crate::bench::limits::Cost;
use crate::bench::timing::once;
use anyhow::Context;
use plimsoll_lanes::Path;
use plimsoll_margin::MarginError;
use plimsoll_margin::book::{Holders, Rows, ScanLosses, Touched, rescan, scan_losses};
use plimsoll_market::Surface;
use plimsoll_risk::Plan;
use plimsoll_types::{Book, InstrumentIx, RiskArrays, UnderlyingIx};

/// Accounts that the reference sums.
const SAMPLE: usize = 2_000;

/// A listing, its arrays and a book on them.
#[derive(Debug)]
pub(super) struct Priced {
    pub(super) listing: Listing,
    pub(super) plan: Plan,
    pub(super) arrays: RiskArrays,
    pub(super) accounts: Accounts,
    pub(super) book: Book,
}

impl Priced {
    /// A million accounts, or 100,000; read from `folder` where inputs are.
    pub(super) fn new(setup: &Setup, folder: &str, kind: ScenarioKind, held: bool) -> anyhow::Result<Self> {
        let (listing, accounts) = match setup.folder(folder) {
            Some(folder) => (Listing::read(&folder)?, Accounts::read(&folder)?),
            None => {
                let count = setup.size(1_000_000, 100_000);
                (Listing::made(kind)?, Accounts::made(count, (16, 250), setup.spread))
            }
        };
        Self::on(listing, accounts, held)
    }

    fn on(listing: Listing, accounts: Accounts, held: bool) -> anyhow::Result<Self> {
        let plan = Plan::new(&listing.instruments, &listing.set, &listing.units)?;
        let arrays = plan.build(&listing.surface, Path::best())?.arrays;
        let book = accounts.book(held)?;
        Ok(Self { listing, plan, arrays, accounts, book })
    }

    /// Inputs as tables.
    pub(super) fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let mut frames = self.listing.frames()?;
        frames.push(risk_arrays(&self.arrays)?);
        frames.extend(self.accounts.frames()?);
        Ok(frames)
    }

    /// Underlying and scan loss of each underlying an account holds, in 128 bits, in the plainest way.
    fn losses_of(&self, account: usize) -> Vec<(u32, i128)> {
        let width = self.arrays.scenarios.len();
        let mut sums: Vec<(u32, Vec<i128>)> = Vec::new();
        for (instrument, lots) in self.accounts.of(account) {
            let ix = InstrumentIx(instrument);
            let underlying = self.arrays.instrument(ix).map_or(u32::MAX, |row| row.underlying.0);
            if sums.last().is_none_or(|(last, _)| *last != underlying) {
                sums.push((underlying, vec![0; width]));
            }
            if let Some((_, sums)) = sums.last_mut() {
                for (sum, entry) in sums.iter_mut().zip(self.arrays.row(ix)) {
                    *sum += i128::from(lots) * i128::from(*entry);
                }
            }
        }
        let loss = |sums: Vec<i128>| sums.into_iter().min().map_or(0, |least| (-least).max(0));
        sums.into_iter().map(|(underlying, sums)| (underlying, loss(sums))).collect()
    }
}

/// The losses of accounts one by one, which the fast answer must equal.
fn compare(priced: &Priced, losses: &ScanLosses) -> anyhow::Result<u64> {
    let count = priced.accounts.len().min(SAMPLE);
    let mut done = 0;
    for account in 0..count {
        let expected = priced.losses_of(account);
        let found = found(priced, losses, account)?;
        if found != expected {
            return Err(differs("account", account, format!("{found:?}"), format!("{expected:?}")));
        }
        done += priced.accounts.of(account).count() as u64;
    }
    Ok(done)
}

/// Underlying and scan loss of each underlying an account holds.
fn found(priced: &Priced, losses: &ScanLosses, account: usize) -> anyhow::Result<Vec<(u32, i128)>> {
    let mut held: Vec<u32> =
        priced.accounts.of(account).filter_map(|(i, _)| underlying(&priced.arrays, i)).collect();
    held.dedup();
    let losses = losses.account(account).context("every account has losses")?.map_err(MarginError::clone)?;
    Ok(held.into_iter().zip(losses.iter()).collect())
}

fn underlying(arrays: &RiskArrays, instrument: u32) -> Option<u32> {
    arrays.instrument(InstrumentIx(instrument)).map(|row| row.underlying.0)
}

fn digest_of(losses: &ScanLosses) -> u64 {
    let mut digest = Digest::new();
    for account in 0..losses.len() {
        match losses.account(account) {
            Some(Ok(of)) => of.iter().for_each(|loss| digest.integer(loss)),
            _ => digest.word(u64::MAX),
        }
    }
    digest.finish()
}

/// Bytes and operations of a scan of the accounts with a position that `counts`. A position that is alone in its
/// underlying is answered by the two extremes of its row; of others the whole row is read, multiplied and added. A position is
/// 8 bytes, a loss 8 and its place 4.
fn cost(priced: &Priced, counts: impl Fn(u32) -> bool) -> Cost {
    let width = priced.arrays.scenarios.len() as u64;
    let mut cost = Cost::default();
    let mut close = |alike: u64| {
        cost.streamed += 8 * alike + 10;
        match alike {
            0 => {}
            1 => cost.cached += 16,
            _ => {
                cost.cached += 4 * width * alike;
                cost.flops += 2 * width * alike + width;
            }
        }
    };
    for account in 0..priced.accounts.len() {
        let mut run = (u32::MAX, 0);
        for (instrument, _) in priced.accounts.of(account) {
            let Some(u) = underlying(&priced.arrays, instrument).filter(|u| counts(*u)) else { continue };
            if run.0 != u {
                close(run.1);
                run = (u, 0);
            }
            run.1 += 1;
        }
        close(run.1);
    }
    cost
}

/// The losses of every account.
#[derive(Debug)]
pub(in crate::bench) struct Scan {
    priced: Priced,
    rows: Rows,
    losses: ScanLosses,
    /// What the first scan took, milliseconds, which also plans the order in which positions are summed.
    planned_ms: f64,
}

impl Scan {
    /// A million accounts, or 100,000.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        Self::on(Priced::new(setup, "w4", ScenarioKind::Grid, false)?)
    }

    /// Of accounts over a listing.
    pub(in crate::bench) fn made(listing: Listing, accounts: Accounts) -> anyhow::Result<Self> {
        Self::on(Priced::on(listing, accounts, false)?)
    }

    fn on(priced: Priced) -> anyhow::Result<Self> {
        let (rows, mut losses) = (Rows::new(&priced.arrays), ScanLosses::default());
        let planned_ms = once(|| {
            scan_losses(Path::best(), &priced.book, &rows, &mut losses);
            Ok(())
        })?;
        Ok(Self { priced, rows, losses, planned_ms })
    }
}

impl Work for Scan {
    fn facts(&self) -> Facts {
        let Priced { accounts, book, arrays, .. } = &self.priced;
        Facts {
            what: format!(
                "{} accounts, {} positions, {} scenarios",
                accounts.len(),
                accounts.positions(),
                arrays.scenarios.len()
            ),
            unit: "position",
            units: accounts.positions() as u64,
            cost: cost(&self.priced, |_| true),
            reference: "128-bit sums, account by account",
            notes: vec![format!(
                "{} bytes of book, {} of rows, {} of losses and their plan, made by the first scan in {:.0} ms",
                book.bytes(),
                self.rows.bytes(),
                self.losses.bytes(),
                self.planned_ms
            )],
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        scan_losses(path, &self.priced.book, &self.rows, &mut self.losses);
        Ok(())
    }

    fn digest(&self) -> u64 {
        digest_of(&self.losses)
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        compare(&self.priced, &self.losses)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let mut frames = self.priced.frames()?;
        let (mut account, mut of, mut loss) = (Vec::new(), Vec::new(), Vec::new());
        for (row, index) in (0_u32..).zip(0..self.losses.len()) {
            for (underlying, ticks) in found(&self.priced, &self.losses, index)? {
                account.push(row);
                of.push(underlying);
                loss.push(i64::try_from(ticks)?);
            }
        }
        let about = "The answer to W4: per account and underlying held, max(0, -min over scenarios of sum lots x entry).";
        let answer = Frame::new("scan_losses", about)
            .index("account", "number of the account, from 0", account)
            .index("underlying", "row of `underlyings`", of)
            .integer("loss", "scan loss, ticks of 1e-6 USD", loss);
        frames.push(answer);
        Ok(frames)
    }
}

/// The losses of those who hold one underlying, after its price has moved: entries anew, rows anew, sums anew.
#[derive(Debug)]
pub(in crate::bench) struct Rescan {
    priced: Priced,
    rows: Rows,
    losses: ScanLosses,
    holders: Holders,
    underlying: UnderlyingIx,
    /// The market as it was, and with this underlying a hundredth lower.
    markets: [Surface; 2],
    now: usize,
    touched: Touched,
}

impl Rescan {
    /// A million accounts, or 100,000; BTC moves.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let priced = Priced::new(setup, "w4", ScenarioKind::Grid, false)?;
        let (rows, mut losses) = (Rows::new(&priced.arrays), ScanLosses::default());
        scan_losses(Path::best(), &priced.book, &rows, &mut losses);
        let holders = Holders::new(&priced.book, &rows);
        let place = priced.arrays.underlyings.iter().position(|row| row.asset.as_str() == "BTC").unwrap_or(0);
        let mut moved = priced.listing.surface.clone();
        let asset = priced.arrays.underlyings.get(place).context("an underlying")?.asset.clone();
        if let Some(market) = moved.underlyings.get_mut(&asset) {
            market.index *= 0.99;
            market.forwards.iter_mut().for_each(|forward| forward.1 *= 0.99);
            market.slices.iter_mut().for_each(|slice| slice.forward *= 0.99);
        }
        let markets = [priced.listing.surface.clone(), moved];
        let underlying = UnderlyingIx(u32::try_from(place)?);
        let touched = Touched::default();
        Ok(Self { priced, rows, losses, holders, underlying, markets, now: 0, touched })
    }

    fn tick(&mut self, now: usize, path: Path) -> anyhow::Result<()> {
        self.now = now;
        let (priced, only) = (&mut self.priced, self.underlying);
        priced.plan.refresh(&self.markets[now], &mut priced.arrays, Some(only), path)?;
        self.rows.refresh(&priced.arrays, only);
        self.touched = rescan(path, &priced.book, &self.rows, only, &self.holders, &mut self.losses);
        Ok(())
    }
}

impl Work for Rescan {
    fn facts(&self) -> Facts {
        let Touched { accounts, positions } = self.touched;
        let only = self.underlying.0;
        let mut cost = cost(&self.priced, |underlying| underlying == only);
        cost.streamed += self.holders.bytes() as u64 / self.rows.underlyings().max(1) as u64;
        Facts {
            what: format!("BTC moves: {accounts} of {} accounts hold it", self.priced.accounts.len()),
            unit: "position",
            units: positions as u64,
            cost,
            reference: "128-bit sums of whole accounts, account by account",
            notes: vec![format!("{} bytes say who holds what", self.holders.bytes())],
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        self.tick(1 - self.now, path)
    }

    fn settle(&mut self, path: Path) -> anyhow::Result<()> {
        self.tick(1, path)
    }

    fn digest(&self) -> u64 {
        digest_of(&self.losses)
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        compare(&self.priced, &self.losses)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        Ok(Vec::new())
    }
}
