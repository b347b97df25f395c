//! Accounts that are walked together: what they hold, and the margin that follows from what the walk finds.
//!
//! What is done once per account is done in integers, by the formulas of the report.

use super::Totals;
use super::lanes::check::{Change, Keep, Standing};
use super::lanes::eight::Eight;
use super::lanes::exact::WIDTH;
use super::lanes::keep::WalkSpans;
use super::lanes::rows::{LIMIT, Which};
use super::lanes::settle::Block;
use super::lanes::walk::{Walk, Walked};
use super::terms::{BookTerms, Native};
use crate::equity::{Valued, owed};
use crate::wrong_way::Exposed;
use plimsoll_lanes::Path;
use std::ops::Range;

/// Amounts in initial and in maintenance margin, ticks.
pub(crate) type Both = (i128, i128);

/// A collateral asset of an account, valued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Deposited {
    /// Its place in the terms.
    pub(crate) asset: usize,
    /// Billionths of a unit.
    pub(crate) amount: i128,
    pub(crate) valued: Valued,
}

/// What an account has beside positions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Worth {
    /// Its deposits, and those of them that are underlyings too.
    pub(crate) deposits: Range<usize>,
    pub(crate) exposed: Range<usize>,
    pub(crate) counted: i128,
    /// What of it is borrowed; <= 0.
    borrowed: i128,
    pub(crate) debt: i128,
    pub(crate) unrealised: i128,
}

/// Room for some accounts, so that none is asked for per account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    pub(crate) walked: Walked,
    worths: Vec<Worth>,
    deposits: Vec<Deposited>,
    exposed: Vec<Exposed>,
    exposed_assets: Vec<usize>,
    amounts: Vec<(usize, i128)>,
    /// Where the caller wants the totals of each account.
    pub(crate) places: Vec<usize>,
    scratch: Scratch,
}

/// An account as it stands, apart from the room it was walked in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    standing: Standing,
    worth: Worth,
    deposits: Vec<Deposited>,
    exposed: Vec<Exposed>,
    exposed_assets: Vec<usize>,
}

/// Room for lists of numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) lost: Vec<i128>,
    pub(crate) parts: Vec<i128>,
    /// By set and lane, the charges on collateral that falls with the account.
    pub(crate) wrong: [[Vec<Both>; WIDTH]; 2],
}

impl Room {
    /// Forgets all accounts.
    pub(crate) fn clear(&mut self) {
        self.walked.clear();
        self.worths.clear();
        self.deposits.clear();
        self.exposed.clear();
        self.exposed_assets.clear();
    }

    /// Begins an account.
    pub(crate) fn open(&mut self) {
        self.walked.open();
        self.amounts.clear();
    }

    /// Adds an amount of a collateral asset by its place in the terms; amounts of one asset count together.
    #[inline(always)]
    pub(crate) fn deposit(&mut self, asset: usize, amount_nano: i128) -> Option<()> {
        match self.amounts.iter_mut().find(|(other, _)| *other == asset) {
            Some((_, sum)) => *sum = sum.checked_add(amount_nano)?,
            None => {
                let at = self.amounts.partition_point(|(other, _)| *other < asset);
                self.amounts.insert(at, (asset, amount_nano));
            }
        }
        Some(())
    }

    /// Ends the account, and takes it unless its sums may not be exact or nothing is said of its unrealised profit; says
    /// whether it is taken.
    pub(crate) fn close(&mut self, native: &Native, unrealised: Option<i128>) -> bool {
        let (deposits, exposed) = (self.deposits.len(), self.exposed.len());
        let worth = unrealised.and_then(|unrealised| self.value(native, unrealised));
        if self.walked.close(&native.rows, worth.is_none()) {
            self.worths.extend(worth);
            return true;
        }
        self.deposits.truncate(deposits);
        self.exposed.truncate(exposed);
        self.exposed_assets.truncate(exposed);
        false
    }

    /// Values the collateral: what counts, and what is owed.
    fn value(&mut self, native: &Native, unrealised: i128) -> Option<Worth> {
        let (deposits, exposed) = (self.deposits.len(), self.exposed.len());
        let (mut counted, mut borrowed) = (0_i128, 0_i128);
        for (asset, amount) in &self.amounts {
            let terms = native.assets.get(*asset)?;
            let valued = terms.valuation.of(*amount).ok()?;
            counted = counted.checked_add(valued.counted)?;
            borrowed = borrowed.checked_add(valued.counted.min(0))?;
            if valued.value > 0 && !terms.falls.is_empty() {
                let wrong_way = terms.wrong_way;
                self.exposed.push(Exposed { value: valued.value, counted: valued.counted, wrong_way });
                self.exposed_assets.push(*asset);
            }
            self.deposits.push(Deposited { asset: *asset, amount: *amount, valued });
        }
        let debt = owed(borrowed, unrealised).ok()?;
        let (deposits, exposed) = (deposits..self.deposits.len(), exposed..self.exposed.len());
        Some(Worth { deposits, exposed, counted, borrowed, debt, unrealised })
    }

    /// Walks the accounts.
    pub(crate) fn walk(&mut self, native: &Native, path: Path) {
        path.run(Walk { native, walked: &mut self.walked });
    }

    /// What an account has beside positions, with its deposits.
    pub(crate) fn worth(&self, account: usize) -> (&Worth, &[Deposited]) {
        let worth = &self.worths[account];
        (worth, &self.deposits[worth.deposits.clone()])
    }

    /// Collateral that is an underlying too, and its places in the terms.
    pub(crate) fn exposed(&self, of: Range<usize>) -> (&[Exposed], &[usize]) {
        (&self.exposed[of.clone()], &self.exposed_assets[of])
    }

    /// Whether the charges on an account are within the lanes.
    pub(crate) fn is_finite(&self, account: usize) -> bool {
        let charges = |which| self.walked.charges(account, which);
        [Which::All, Which::Rest].map(charges).as_flattened().iter().all(|sum| *sum < LIMIT)
    }

    /// Walks the accounts and notes what every span comes to.
    pub(crate) fn walk_spans(&mut self, native: &Native, path: Path) {
        path.run(WalkSpans { native, walked: &mut self.walked });
    }

    /// Keeps the only account, which was walked, to ask of it again.
    pub(crate) fn keep(&mut self, native: &Native, path: Path, kept: &mut Kept) {
        path.run(Keep { native, walked: &mut self.walked, standing: &mut kept.standing });
        kept.worth.clone_from(&self.worths[0]);
        kept.deposits.clone_from(&self.deposits);
        kept.exposed.clone_from(&self.exposed);
        kept.exposed_assets.clone_from(&self.exposed_assets);
    }

    /// A kept account as if it was walked with a position of an instrument at so many lots, and its unrealised profit;
    /// `None` where only the reference can say.
    pub(crate) fn change(
        &mut self,
        (native, path): (&Native, Path),
        kept: &Kept,
        to: Option<(u32, i64)>,
        unrealised: i128,
    ) -> Option<()> {
        let debt = owed(kept.worth.borrowed, unrealised).ok()?;
        self.clear();
        self.worths.push(Worth { unrealised, debt, ..kept.worth.clone() });
        self.deposits.extend_from_slice(&kept.deposits);
        self.exposed.extend_from_slice(&kept.exposed);
        self.exposed_assets.extend_from_slice(&kept.exposed_assets);
        path.run(Change { native, standing: &kept.standing, walked: &mut self.walked, to }).then_some(())
    }

    /// The numbers of the accounts that were walked, in their order; `None` where only the reference can say.
    pub(crate) fn totals(
        &mut self,
        (native, terms): (&Native, &BookTerms),
        path: Path,
        mut give: impl FnMut(usize, Option<Totals>),
    ) {
        let Self { walked, worths, deposits, exposed, exposed_assets, scratch, .. } = self;
        let lanes = Eight { native, arrays: terms.arrays, path, walked };
        let collateral = (&deposits[..], &exposed[..], &exposed_assets[..]);
        for (chunk, worths) in worths.chunks(WIDTH).enumerate() {
            let first = chunk * WIDTH;
            let mut block = Block::default();
            for (lane, worth) in worths.iter().enumerate() {
                lanes.fill(
                    &mut block,
                    (first + lane, lane),
                    (worth, native.falls(deposits[worth.deposits.clone()].iter())),
                );
                lanes.fall(&mut block, (first + lane, lane), Which::All, (worth, collateral), scratch);
            }
            let mut settled = lanes.settle(&block, (worths, collateral), scratch);
            if settled.wants_rest != [false; WIDTH] {
                for (lane, worth) in worths.iter().enumerate().filter(|(lane, _)| settled.wants_rest[*lane]) {
                    lanes.fall(&mut block, (first + lane, lane), Which::Rest, (worth, collateral), scratch);
                    block.known[lane] = 1.0;
                }
                settled = lanes.settle(&block, (worths, collateral), scratch);
            }
            for (lane, worth) in worths.iter().enumerate() {
                let totals =
                    settled.totals(lane, (worth.counted, worth.unrealised), walked.greeks(first + lane));
                give(first + lane, totals);
            }
        }
    }
}
