//! Accounts that are walked together: what they hold, and the margin that follows from what the walk finds.
//!
//! What is done once per account is done in integers, by the formulas of the report.

use super::Totals;
use super::lanes::check::{Change, Keep, Standing};
use super::lanes::exact::WIDTH;
use super::lanes::fall::{Fall, Fallen};
use super::lanes::keep;
use super::lanes::rows::{Moved, Which};
use super::lanes::walk::{Losses, Walk, Walked};
use super::terms::{BookTerms, Native};
use crate::aggregate::{Measure, between};
use crate::collateral_charges::{cut, left_of};
use crate::equity::{Valued, owed};
use crate::money::{Number, TooLarge, add, scale_up};
use crate::requirement::half_ticks;
use crate::wrong_way::{Exposed, divide, worst_column};
use crate::{GreekSums, Params, Requirement};
use plimsoll_lanes::Path;
use plimsoll_types::{InstrumentIx, Ppb, RiskArrays, Ticks};
use std::ops::Range;

/// Amounts in initial and in maintenance margin, ticks.
pub(crate) type Both = (i128, i128);

/// A collateral asset of an account, valued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Deposited {
    /// Its place in the terms.
    asset: usize,
    valued: Valued,
}

/// What an account has beside positions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Worth {
    /// Its deposits, and those of them that are underlyings too.
    deposits: Range<usize>,
    exposed: Range<usize>,
    counted: i128,
    /// What of it is borrowed; <= 0.
    borrowed: i128,
    debt: i128,
    unrealised: i128,
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
struct Scratch {
    lost: Vec<i128>,
    parts: Vec<i128>,
    wrong: Vec<Both>,
}

/// What the scenarios ask, and the rounding guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Based {
    aggregate: Both,
    base: Both,
    guard: Both,
    /// Whether there is a credit between underlyings.
    credit: bool,
    /// The largest loss of one underlying, or of all in a systematic column.
    largest: (i64, i64),
}

/// The requirement without relief.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Charged {
    addons: Both,
    total: Both,
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
            self.deposits.push(Deposited { asset: *asset, valued });
        }
        let debt = owed(borrowed, unrealised).ok()?;
        let (deposits, exposed) = (deposits..self.deposits.len(), exposed..self.exposed.len());
        Some(Worth { deposits, exposed, counted, borrowed, debt, unrealised })
    }

    /// Walks the accounts.
    pub(crate) fn walk(&mut self, native: &Native, path: Path) {
        path.run(Walk { native, walked: &mut self.walked });
    }

    /// Walks the accounts and keeps what they come to, by account; with `moved` from what was kept, but for that
    /// underlying.
    pub(crate) fn rewalk(
        &mut self,
        (native, path): (&Native, Path),
        kept: &mut [&mut keep::Kept],
        moved: Option<(usize, &Moved)>,
    ) {
        path.run(keep::Rewalk { native, walked: &mut self.walked, kept, moved });
    }

    /// Whether what was kept is of the account that was added last.
    pub(crate) fn fits(&self, native: &Native, kept: &keep::Kept) -> bool {
        let spans = self.walked.accounts.last().map_or(0, |held| held.spans.len());
        kept.len() == keep::size(native, spans)
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

    /// The numbers of an account that was walked; `None` where only the reference can say.
    pub(crate) fn totals(
        &mut self,
        (native, terms): (&Native, &BookTerms),
        path: Path,
        account: usize,
    ) -> Option<Totals> {
        let (arrays, params) = (terms.arrays, terms.params);
        let Self { walked, worths, deposits, exposed, exposed_assets, scratch, .. } = self;
        let worth = worths.get(account)?;
        let pass = |which| Pass {
            native,
            arrays,
            params,
            path,
            which,
            account,
            walked,
            losses: walked.losses(account, which),
            deposits: &deposits[worth.deposits.clone()],
            exposed: (&exposed[worth.exposed.clone()], &exposed_assets[worth.exposed.clone()]),
            debt: worth.debt,
        };
        let all = pass(Which::All);
        let start = all.based().ok()?;
        let whole = all.charged(&start, scratch)?;
        let mut relief = (0, 0);
        if walked.accounts[account].longs > 0 {
            let value = i128::from(walked.marks_of_longs(account));
            if whole.total.0.max(whole.total.1) > value && !bounded(params, &start, &whole) {
                relief = pass(Which::Rest).relief(value, whole.total, scratch)?;
            }
        }
        finish((&start, &whole), relief, worth, walked.greeks(account))
    }
}

/// One set of positions of an account, and what the requirement is found from.
struct Pass<'a> {
    native: &'a Native,
    arrays: &'a RiskArrays,
    params: &'a Params,
    path: Path,
    which: Which,
    account: usize,
    walked: &'a Walked,
    losses: Losses,
    deposits: &'a [Deposited],
    /// Collateral that is an underlying too, and its places in the terms.
    exposed: (&'a [Exposed], &'a [usize]),
    debt: i128,
}

impl Pass<'_> {
    /// Aggregate, scaled base and guard.
    fn based(&self) -> Number<Based> {
        let (native, params) = (self.native, self.params);
        let credit = native.floor_share.is_some() && self.two_live();
        let (aggregate_im, largest_im) = self.loss(Measure::Im, credit)?;
        let (aggregate_mm, largest_mm) =
            if native.alike { (aggregate_im, largest_im) } else { self.loss(Measure::Mm, credit)? };
        let base = (
            scale_up(aggregate_im, params.im_scale, "initial margin")?,
            scale_up(aggregate_mm, params.mm_scale, "maintenance margin")?,
        );
        let mut guard = (0, 0);
        if params.rounding_guard {
            let (lots, layers) = (i128::from(self.losses.lots), if credit { 2 } else { 1 });
            guard.0 = half_ticks(lots, layers, params.im_scale)?;
            guard.1 = if params.mm_scale.max(params.im_scale) <= Ppb::ONE {
                guard.0
            } else {
                half_ticks(lots, layers, params.mm_scale)?
            };
        }
        let aggregate = (aggregate_im, aggregate_mm);
        Ok(Based { aggregate, base, guard, credit, largest: (largest_im, largest_mm) })
    }

    /// The aggregate loss of a measure, and the largest of one underlying or of all in a systematic column.
    fn loss(&self, measure: Measure, credit: bool) -> Number<(i128, i64)> {
        let (i, losses) = (measure as usize, &self.losses);
        let (sum, largest) = (losses.scan[i], losses.largest[i]);
        let Some(share) = self.native.floor_share else { return Ok((i128::from(sum), largest)) };
        let (mut worst, mut together) = (0, largest);
        for state in &self.native.columns.read(measure).states {
            let loss = losses.systematic[i][state.place];
            together = together.max(loss);
            worst = worst.max(loss + losses.idiosyncratic[i][state.place]);
        }
        let aggregate = if credit {
            between(i128::from(worst), i128::from(sum), i128::from(largest), share)?.1
        } else {
            i128::from(sum)
        };
        Ok((aggregate, together))
    }

    /// Whether at least two underlyings gain or lose in some column.
    fn two_live(&self) -> bool {
        let [least, most] = self.losses.live;
        let spans = self.walked.accounts[self.account].spans.clone();
        least > 1 || (most > 1 && spans.filter(|span| self.moves(*span)).take(2).count() == 2)
    }

    /// Whether an underlying gains or loses in any column, from the arrays: for accounts of which few lose.
    #[cold]
    fn moves(&self, span: usize) -> bool {
        let span = self.walked.spans[span];
        let legs = &self.walked.legs[span.start as usize..span.end as usize];
        let arrays = self.arrays;
        (0..arrays.scenarios.len()).any(|column| {
            let entry = |row: u32| arrays.row(InstrumentIx(row))[column];
            legs.iter().map(|leg| leg.count(self.which) * entry(leg.row)).sum::<i64>() != 0
        })
    }

    /// The requirement with every charge; `None` where only the reference can say.
    fn charged(&self, start: &Based, scratch: &mut Scratch) -> Option<Charged> {
        let charges = self.walked.charges(self.account, self.which)?.map(i128::from);
        let [im, mm, least_im, above_im, least_mm, above_mm] = charges;
        // What each minimum lacks, and what their sum still lacks: see `formulas::floors`.
        let floor = |least: i128, above: i128, base: i128| above + (least - above - base).max(0);
        let mut addons =
            (im + floor(least_im, above_im, start.base.0), mm + floor(least_mm, above_mm, start.base.1));
        let bare = (start.base.0 + start.guard.0, start.base.1 + start.guard.1);
        self.collateral(start, bare, scratch, &mut addons).ok()?;
        Some(Charged { addons, total: (bare.0 + addons.0, bare.1 + addons.1) })
    }

    /// Adds the charges on collateral.
    fn collateral(&self, start: &Based, bare: Both, scratch: &mut Scratch, addons: &mut Both) -> Number<()> {
        self.wrong_way(start, scratch, addons)?;
        let what = "what the collateral secures";
        let mut secured =
            (add(bare.0 + addons.0, self.debt, what)?, add(bare.1 + addons.1, self.debt, what)?);
        self.falling(scratch, &mut secured, addons)
    }

    /// By how much the requirement is above that of the rest plus the marks of the longs. Charges are never negative, so
    /// where the scenarios and the guard of the rest alone reach it, its charges need not be found.
    fn relief(&self, value: i128, total: Both, scratch: &mut Scratch) -> Option<Both> {
        let start = self.based().ok()?;
        let least = (start.base.0 + start.guard.0 + value, start.base.1 + start.guard.1 + value);
        if least.0 >= total.0 && least.1 >= total.1 {
            return Some((0, 0));
        }
        let rest = self.charged(&start, scratch)?.total;
        let above = |total: i128, rest: i128| Some(total.checked_sub(rest.checked_add(value)?)?.max(0));
        Some((above(total.0, rest.0)?, above(total.1, rest.1)?))
    }

    /// The charges on collateral that falls with the account, asset by asset.
    fn wrong_way(&self, start: &Based, scratch: &mut Scratch, addons: &mut Both) -> Number<()> {
        let (exposed, assets) = self.exposed;
        scratch.wrong.clear();
        if exposed.is_empty() {
            return Ok(());
        }
        if let Some([im, mm]) = self.fallen(start) {
            let mm =
                scale_up(i128::from(mm), self.native.assets[assets[0]].mm_share, "wrong-way collateral")?;
            scratch.wrong.push((i128::from(im), mm));
            *addons = (addons.0 + i128::from(im), addons.1 + mm);
            return Ok(());
        }
        scratch.wrong.resize(exposed.len(), (0, 0));
        scratch.lost.resize(exposed.len(), 0);
        scratch.parts.resize(exposed.len(), 0);
        let fall = |i: usize, column: usize| {
            let falls = assets.get(i).map(|asset| &self.native.assets[*asset].falls);
            falls.and_then(|falls| falls.get(column)).copied().ok_or(TooLarge("a fall of collateral"))
        };
        for measure in [Measure::Im, Measure::Mm] {
            if measure == Measure::Im || !self.native.alike {
                let largest = if measure == Measure::Im { start.largest.0 } else { start.largest.1 };
                let losses = self.losses_near(measure, largest);
                let worst = worst_column(i128::from(largest), losses, exposed, fall)?;
                divide(&worst, exposed, fall, &mut scratch.lost, &mut scratch.parts)?;
            }
            for (wrong, part) in scratch.wrong.iter_mut().zip(&scratch.parts) {
                match measure {
                    Measure::Im => wrong.0 = *part,
                    Measure::Mm => wrong.1 = *part,
                }
            }
        }
        for (wrong, asset) in scratch.wrong.iter_mut().zip(assets) {
            wrong.1 = scale_up(wrong.1, self.native.assets[*asset].mm_share, "wrong-way collateral")?;
            *addons = (addons.0 + wrong.0, addons.1 + wrong.1);
        }
        Ok(())
    }

    /// The charge by measure on the lanes, for all positions and one asset.
    fn fallen(&self, start: &Based) -> Option<[i64; 2]> {
        let ([exposed], [asset], Which::All) = (self.exposed.0, self.exposed.1, self.which) else {
            return None;
        };
        let largest = [start.largest.0, start.largest.1];
        let falls = &self.native.assets[*asset].lanes;
        let of = Fallen { account: self.account, exposed: *exposed, falls, largest };
        self.path.run(Fall { rows: &self.native.rows, walked: self.walked, of })
    }

    /// The losses that can matter to the wrong-way charge, with their columns: those of underlyings that lose more than
    /// half of the largest loss somewhere, and under `factor` those of all together.
    fn losses_near(&self, measure: Measure, largest: i64) -> impl Iterator<Item = (usize, i128)> {
        let (walked, read, which) = (self.walked, self.native.columns.read(measure), self.which);
        let near = move |span: &usize| 2 * walked.scan(*span, which)[measure as usize] > largest;
        let alone = walked.accounts[self.account].spans.clone().filter(near).flat_map(move |span| {
            let span = walked.spans[span];
            let legs = &walked.legs[span.start as usize..span.end as usize];
            let loss = move |place| -i128::from(self.native.rows.sum_at(legs, which, place));
            read.grid.places.iter().map(move |place| (place.column, loss(place.place)))
        });
        let states = read.states.iter().filter(|_| self.native.floor_share.is_some());
        let joint = states.flat_map(move |state| {
            let loss = move |place| -i128::from(walked.joint(self.account, which, place));
            state.systematic.places.iter().map(move |place| (place.column, loss(place.place)))
        });
        alone.chain(joint).filter(|(_, loss)| *loss > 0)
    }

    /// The other charges on collateral, cut to what it secures.
    fn falling(&self, scratch: &Scratch, secured: &mut Both, addons: &mut Both) -> Number<()> {
        for deposit in self.deposits.iter().filter(|deposit| deposit.valued.value > 0) {
            let terms = &self.native.assets[deposit.asset];
            if terms.falling.is_nothing() {
                continue;
            }
            let at = self.exposed.1.iter().position(|asset| *asset == deposit.asset);
            let wrong = at.and_then(|i| scratch.wrong.get(i)).copied().unwrap_or((0, 0));
            let left = left_of(deposit.valued.counted, wrong);
            let fallen = terms.falling.of(deposit.valued.value, left)?;
            let shares = [(fallen.depeg, terms.mm_share), (fallen.unsure, terms.unsure_mm_share)];
            for (full, mm_share) in shares.into_iter().filter(|(full, _)| *full != 0) {
                let kept = cut((full, scale_up(full, mm_share, "a charge")?), secured);
                *addons = (addons.0 + kept.0, addons.1 + kept.1);
            }
        }
        Ok(())
    }
}

/// See `bounded_already` of the reference.
fn bounded(params: &Params, start: &Based, whole: &Charged) -> bool {
    let guarded = start.guard != (0, 0);
    let charged = whole.addons != (0, 0);
    params.im_scale.max(params.mm_scale) <= Ppb::ONE && !start.credit && !guarded && !charged
}

fn finish(
    (start, whole): (&Based, &Charged),
    relief: Both,
    worth: &Worth,
    greeks: [i64; WIDTH],
) -> Option<Totals> {
    let both = |(im, mm): Both| Requirement { im: Ticks(im), mm: Ticks(mm) };
    let [delta, gamma, vega, theta, rho, vanna, volga, marks] = greeks.map(|sum| Ticks(i128::from(sum)));
    let equity = worth.counted.checked_add(marks.0)?.checked_add(worth.unrealised)?;
    let (im, mm) = (whole.total.0 - relief.0, whole.total.1 - relief.1);
    let (im_excess, mm_excess) = (Ticks(equity.checked_sub(im)?), Ticks(equity.checked_sub(mm)?));
    Some(Totals {
        im: Ticks(im),
        mm: Ticks(mm),
        equity: Ticks(equity),
        im_excess,
        mm_excess,
        state: crate::State::of(im_excess, mm_excess),
        aggregate: both(start.aggregate),
        base: both(start.base),
        guard: both(start.guard),
        addons: both(whole.addons),
        relief: both(relief),
        orders: Requirement::default(),
        marks,
        unrealised: Ticks(worth.unrealised),
        greeks: GreekSums { delta, gamma, vega, theta, rho, vanna, volga },
    })
}
