//! Accounts that were walked, put into the lanes of a block, with what their collateral is charged.

use super::exact::{Vector, WIDTH, whole};
use super::fall::Fall;
use super::rows::{Leg, SLOTS, Which};
use super::settle::{Block, Set, Settle, Settled};
use super::walk::Walked;
use crate::aggregate::Measure;
use crate::collateral_charges::{cut, left_of};
use crate::equity::Valued;
use crate::money::{Number, TooLarge, add, scale_up};
use crate::summary::Totals;
use crate::summary::account::{Both, Deposited, Scratch, Worth};
use crate::summary::terms::Native;
use crate::wrong_way::{Exposed, divide, worst_column};
use crate::{GreekSums, Requirement};
use plimsoll_lanes::Path;
use plimsoll_types::{InstrumentIx, RiskArrays, Ticks};

/// The collateral of all accounts: deposits; those that are underlyings too, with their places in the terms.
pub(crate) type Collateral<'a> = (&'a [Deposited], &'a [Exposed], &'a [usize]);

/// Accounts that were walked, eight of which are settled at a time.
#[derive(Clone, Copy)]
pub(crate) struct Eight<'a> {
    pub(crate) native: &'a Native,
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) path: Path,
    pub(crate) walked: &'a Walked,
}

impl Eight<'_> {
    /// Puts what the walk found into a lane.
    pub(crate) fn fill(
        self,
        block: &mut Block,
        (account, lane): (usize, usize),
        (worth, falling): (&Worth, bool),
    ) {
        let Self { native, walked, .. } = self;
        let sums = &walked.sums[account];
        for (i, which) in [Which::All, Which::Rest].into_iter().enumerate() {
            let set = &mut block.sets[i];
            for measure in 0..native.rows.measures {
                for slot in 0..SLOTS {
                    set.losses[measure][slot][lane] = sums.losses[i][measure][slot];
                    set.joint[measure][slot][lane] = sums.joint[i][measure][slot];
                }
                set.largest[measure][lane] = sums.most[i][measure][0];
            }
            for fallen in &mut set.fallen {
                fallen[lane] = 0.0;
            }
            set.lots[lane] = sums.lots[i];
            set.two[lane] = f64::from(u8::from(self.two_live(account, which)));
            for (sum, charged) in set.charges.iter_mut().zip(walked.charges(account, which)) {
                sum[lane] = charged;
            }
        }
        block.has_longs[lane] = f64::from(u8::from(walked.accounts[account].longs > 0));
        block.longs[lane] = sums.longs;
        block.known[lane] = f64::from(u8::from(worth.exposed.is_empty()));
        block.falling[lane] = falling;
    }

    /// Whether at least two underlyings gain or lose in some column.
    fn two_live(self, account: usize, which: Which) -> bool {
        let [least, most] = self.walked.live(account, which);
        let spans = self.walked.accounts[account].spans.clone();
        let moves = |span: &usize| {
            let span = self.walked.spans[*span];
            let legs = &self.walked.legs[span.start as usize..span.end as usize];
            moves(self.arrays, legs, which)
        };
        least > 1 || (most > 1 && spans.filter(moves).take(2).count() == 2)
    }

    /// Finds the charges on collateral that falls with the account, asset by asset, and puts their sum into the lane.
    pub(crate) fn fall(
        self,
        block: &mut Block,
        (account, lane): (usize, usize),
        which: Which,
        (worth, (_, exposed, assets)): (&Worth, Collateral),
        scratch: &mut Scratch,
    ) {
        let wrong = &mut scratch.wrong[which as usize][lane];
        wrong.clear();
        if worth.exposed.is_empty() {
            return;
        }
        let exposed = (&exposed[worth.exposed.clone()], &assets[worth.exposed.clone()]);
        let set = &mut block.sets[which as usize];
        let largest = set.together(self.native, lane);
        let fallen = Fall {
            rows: &self.native.rows,
            legs: &self.walked.legs,
            which,
            spans: self.walked.near(account, which),
            largest_alone: set.alone(self.native, lane),
            joint: self.walked.joints(account, which),
            exposed: exposed.0[0],
            falls: &self.native.assets[exposed.1[0]].lanes,
            largest,
        };
        let one = if exposed.0.len() == 1 { self.path.run(fallen) } else { None };
        let found = match one {
            Some([im, mm]) => self.native.fallen(exposed.1[0], [im, mm]).map(|both| wrong.push(both)),
            None => {
                self.share((account, which), exposed, largest, (wrong, &mut scratch.lost, &mut scratch.parts))
            }
        };
        let sums = wrong.iter().fold((0, 0), |sum: Both, of| (sum.0 + of.0, sum.1 + of.1));
        let lane_of = |sum: i128| if found.is_ok() && sum < 1 << 49 { sum as f64 } else { f64::NAN };
        (set.fallen[0][lane], set.fallen[1][lane]) = (lane_of(sums.0), lane_of(sums.1));
    }

    /// The charges where several assets share them: the column that makes them matters.
    fn share(
        self,
        (account, which): (usize, Which),
        (exposed, assets): (&[Exposed], &[usize]),
        largest: [i64; 2],
        (wrong, lost, parts): (&mut Vec<Both>, &mut Vec<i128>, &mut Vec<i128>),
    ) -> Number<()> {
        wrong.resize(exposed.len(), (0, 0));
        lost.resize(exposed.len(), 0);
        parts.resize(exposed.len(), 0);
        let native = self.native;
        let fall = |i: usize, column: usize| {
            let falls = assets.get(i).map(|asset| &native.assets[*asset].falls);
            falls.and_then(|falls| falls.get(column)).copied().ok_or(TooLarge("a fall of collateral"))
        };
        for measure in [Measure::Im, Measure::Mm] {
            if measure == Measure::Im || !native.alike {
                let largest = largest[measure as usize];
                let losses = self.losses_near((account, which), measure, largest);
                let worst = worst_column(i128::from(largest), losses, exposed, fall)?;
                divide(&worst, exposed, fall, lost, parts)?;
            }
            for (wrong, part) in wrong.iter_mut().zip(&*parts) {
                match measure {
                    Measure::Im => wrong.0 = *part,
                    Measure::Mm => wrong.1 = *part,
                }
            }
        }
        for (wrong, asset) in wrong.iter_mut().zip(assets) {
            wrong.1 = scale_up(wrong.1, native.assets[*asset].mm_share, WRONG_WAY)?;
        }
        Ok(())
    }

    /// The losses that can matter to the wrong-way charge, with their columns: those of underlyings that lose more than
    /// half of the largest loss somewhere, and under `factor` those of all together.
    fn losses_near(
        self,
        (account, which): (usize, Which),
        measure: Measure,
        largest: i64,
    ) -> impl Iterator<Item = (usize, i128)> {
        let Self { native, walked, .. } = self;
        let read = native.columns.read(measure);
        let near = move |span: &usize| 2 * walked.scan(*span, which)[measure as usize] > largest;
        let alone = walked.accounts[account].spans.clone().filter(near).flat_map(move |span| {
            let span = walked.spans[span];
            let legs = &walked.legs[span.start as usize..span.end as usize];
            let loss = move |place| -i128::from(native.rows.sum_at(legs, which, place));
            read.grid.places.iter().map(move |place| (place.column, loss(place.place)))
        });
        let states = read.states.iter().filter(move |_| native.floor_share.is_some());
        let joint = states.flat_map(move |state| {
            let loss = move |place| -i128::from(walked.joint(account, which, place));
            state.systematic.places.iter().map(move |place| (place.column, loss(place.place)))
        });
        alone.chain(joint).filter(|(_, loss)| *loss > 0)
    }

    pub(crate) fn settle(
        self,
        block: &Block,
        (worths, (deposits, _, assets)): (&[Worth], Collateral),
        scratch: &Scratch,
    ) -> Settled {
        let beside = &mut |lane: usize, which: Which, bare: [f64; 2]| {
            let worth = &worths[lane];
            let own = deposits[worth.deposits.clone()].iter().map(|d| (d.asset, d.valued));
            let wrong = assets[worth.exposed.clone()]
                .iter()
                .copied()
                .zip(scratch.wrong[which as usize][lane].iter().copied());
            self.native.beside(own, wrong, (bare, worth.debt))
        };
        self.path.run(Settle { scales: &self.native.scales, block, beside })
    }
}

/// Whether some legs gain or lose in any column, from the arrays: for accounts of which few lose.
#[cold]
pub(crate) fn moves(arrays: &RiskArrays, legs: &[Leg], which: Which) -> bool {
    (0..arrays.scenarios.len()).any(|column| {
        let entry = |row: u32| arrays.row(InstrumentIx(row))[column];
        legs.iter().map(|leg| leg.count(which) * entry(leg.row)).sum::<i64>() != 0
    })
}

const WRONG_WAY: &str = "wrong-way collateral";

impl Native {
    /// What a fall of an asset with the account is charged, with its share in maintenance margin.
    pub(crate) fn fallen(&self, asset: usize, [im, mm]: [i64; 2]) -> Number<Both> {
        Ok((i128::from(im), scale_up(i128::from(mm), self.assets[asset].mm_share, WRONG_WAY)?))
    }

    /// Whether some of the deposits are charged beside what falls with the account.
    pub(crate) fn falls<'d>(&self, mut deposits: impl Iterator<Item = &'d Deposited>) -> bool {
        deposits.any(|d| d.valued.value > 0 && !self.assets[d.asset].falling.is_nothing())
    }

    /// The charges on collateral beside those that fall with the account, which are given by asset; cut to what the
    /// collateral secures. Not a number where they are beyond the lanes.
    pub(crate) fn beside(
        &self,
        deposits: impl Iterator<Item = (usize, Valued)>,
        wrong: impl Iterator<Item = (usize, Both)> + Clone,
        (bare, debt): ([f64; 2], i128),
    ) -> [f64; 2] {
        let found = || -> Number<Both> {
            let what = "what the collateral secures";
            let mut secured = (add(bare[0] as i128, debt, what)?, add(bare[1] as i128, debt, what)?);
            let mut sums = (0, 0);
            for (asset, valued) in deposits.filter(|(_, valued)| valued.value > 0) {
                let terms = &self.assets[asset];
                if terms.falling.is_nothing() {
                    continue;
                }
                let wrong =
                    wrong.clone().find(|(other, _)| *other == asset).map_or((0, 0), |(_, wrong)| wrong);
                let fallen = terms.falling.of(valued.value, left_of(valued.counted, wrong))?;
                let shares = [(fallen.depeg, terms.mm_share), (fallen.unsure, terms.unsure_mm_share)];
                for (full, mm_share) in shares.into_iter().filter(|(full, _)| *full != 0) {
                    let kept = cut((full, scale_up(full, mm_share, "a charge")?), &mut secured);
                    sums = (sums.0 + kept.0, sums.1 + kept.1);
                }
            }
            Ok(sums)
        };
        let lane = |sum: i128| if sum < 1 << 49 { sum as f64 } else { f64::NAN };
        found().map_or([f64::NAN; 2], |(im, mm)| [lane(im), lane(mm)])
    }
}

impl Set {
    /// The largest loss of one underlying, by measure.
    #[inline(always)]
    pub(crate) fn alone(&self, native: &Native, lane: usize) -> [f64; 2] {
        [self.largest[0][lane], self.largest[usize::from(!native.alike)][lane]]
    }

    /// The largest loss of one underlying, or of all in a systematic column, by measure.
    pub(crate) fn together(&self, native: &Native, lane: usize) -> [i64; 2] {
        let of = |measure: usize| {
            let joint = self.joint[measure].iter().map(|slot| slot[lane]);
            let joint = joint.filter(|_| native.floor_share.is_some());
            whole(joint.fold(self.largest[measure][lane], |most, x| if x > most { x } else { most }))
        };
        let im = of(0);
        [im, if native.alike { im } else { of(1) }]
    }
}

impl Settled {
    /// The numbers of a lane, with collateral after haircuts, profit since entry, Greeks and marks; `None` where they are
    /// beyond the lanes.
    pub(crate) fn totals(
        &self,
        lane: usize,
        (counted, unrealised): (i128, i128),
        greeks: [i64; WIDTH],
    ) -> Option<Totals> {
        if self.beyond[lane] {
            return None;
        }
        // Whole numbers beneath 2^51.
        let ticks = |of: &Vector| Ticks(of[lane] as i128);
        let both = |of: &[Vector; 2]| Requirement { im: ticks(&of[0]), mm: ticks(&of[1]) };
        let [delta, gamma, vega, theta, rho, vanna, volga, marks] = greeks.map(|sum| Ticks(i128::from(sum)));
        let equity = counted.checked_add(marks.0)?.checked_add(unrealised)?;
        let Requirement { im, mm } = both(&self.required);
        let (im_excess, mm_excess) = (Ticks(equity.checked_sub(im.0)?), Ticks(equity.checked_sub(mm.0)?));
        Some(Totals {
            im,
            mm,
            equity: Ticks(equity),
            im_excess,
            mm_excess,
            state: crate::State::of(im_excess, mm_excess),
            aggregate: both(&self.asked.aggregate),
            base: both(&self.asked.base),
            guard: both(&self.asked.guard),
            addons: both(&self.asked.addons),
            relief: both(&self.relief),
            orders: Requirement::default(),
            marks,
            unrealised: Ticks(unrealised),
            greeks: GreekSums { delta, gamma, vega, theta, rho, vanna, volga },
        })
    }
}
