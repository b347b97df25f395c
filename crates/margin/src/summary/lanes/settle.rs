//! The requirement of eight accounts at a time, from what their positions come to: the last step of a margin, on lanes.
//!
//! **The one idea:** what is done once per account is a few selections and roundings of whole numbers, so eight accounts take
//! them in step. What an account seldom has (collateral that has left its peg) is added by a formula of integers, and what
//! is dear to find (the book without its longs) is found where a lower bound of it does not settle the matter.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::charge::scaled;
use super::exact::{Vector, WHOLE, WIDTH, least, most, ratio_up};
use super::rows::{LIMIT, SLOTS, Which};
use crate::Params;
use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::Ppb;

/// What a set of positions of eight accounts comes to; whole ticks but for what says otherwise.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Set {
    /// By measure and slot, summed over underlyings, each by itself; >= 0.
    pub(crate) losses: [[Vector; SLOTS]; 2],
    /// By measure the largest scan loss of an underlying.
    pub(crate) largest: [Vector; 2],
    /// By measure and slot, of all underlyings together. The first slot is not used.
    pub(crate) joint: [[Vector; SLOTS]; 2],
    /// Sum of |lots|.
    pub(crate) lots: Vector,
    /// One where at least two underlyings gain or lose in some column, else 0.
    pub(crate) two: Vector,
    /// Charges on underlyings, see [`super::charge::Charged`].
    pub(crate) charges: [Vector; 6],
    /// What collateral that falls with the account is charged, in initial and in maintenance margin.
    pub(crate) fallen: [Vector; 2],
}

/// Eight accounts, one a lane.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Block {
    /// All positions, and those without long options and long spot.
    pub(crate) sets: [Set; 2],
    /// One where the second set is known whole; where it is not, its `fallen` is nothing yet.
    pub(crate) known: Vector,
    /// One where there are longs; and their marks.
    pub(crate) has_longs: Vector,
    pub(crate) longs: Vector,
    /// Whether collateral is charged beside what falls with the account.
    pub(crate) falling: [bool; WIDTH],
}

/// What an account asks of one set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) aggregate: [Vector; 2],
    pub(crate) base: [Vector; 2],
    pub(crate) guard: [Vector; 2],
    pub(crate) addons: [Vector; 2],
}

/// The requirement, and what it is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    pub(crate) asked: Asked,
    pub(crate) relief: [Vector; 2],
    /// Initial and maintenance margin.
    pub(crate) required: [Vector; 2],
    /// Whether the set without longs has to be known first; and whether an amount is beyond the lanes.
    pub(crate) wants_rest: [bool; WIDTH],
    pub(crate) beyond: [bool; WIDTH],
}

/// The parameters of the last step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scales {
    floor_share: Option<f64>,
    scales: [f64; 2],
    /// The scales of the guard.
    guards: Option<[f64; 2]>,
    /// Whether both scales are at most one.
    at_most_one: bool,
    /// Where a measure is read.
    reads: [usize; 2],
}

impl Scales {
    /// `alike` where both measures read the same columns.
    pub(crate) fn new(params: &Params, floor_share: Option<Ppb>, alike: bool) -> Self {
        let scales = [params.im_scale, params.mm_scale].map(|scale| scale.0 as f64);
        Self {
            floor_share: floor_share.map(|share| share.0 as f64),
            scales,
            guards: params.rounding_guard.then(|| scales.map(|scale| most(scale, WHOLE))),
            at_most_one: params.im_scale.max(params.mm_scale) <= Ppb::ONE,
            reads: [0, usize::from(!alike)],
        }
    }

    /// Aggregate, base and guard; with the charges that are known. One loop a step: each is then one run of vectors.
    #[inline(always)]
    fn ask<S: Simd>(&self, set: &Set) -> Asked {
        let mut asked = Asked::default();
        for m in 0..2 {
            let read = self.reads[m];
            asked.aggregate[m] = match self.floor_share {
                Some(share) => between::<S>(set, read, share),
                None => set.losses[read][0],
            };
            asked.base[m] = scaled::<S>(&asked.aggregate[m], self.scales[m]);
            let [minimum, above, base] = [&set.charges[2 + 2 * m], &set.charges[3 + 2 * m], &asked.base[m]];
            let (charged, fallen) = (&set.charges[m], &set.fallen[m]);
            for i in 0..WIDTH {
                let lacking = most(minimum[i] - above[i] - base[i], 0.0);
                asked.addons[m][i] = charged[i] + above[i] + lacking + fallen[i];
            }
            if let Some(guards) = self.guards {
                asked.guard[m] = guard::<S>(set, guards[m], self.floor_share.is_some());
            }
        }
        asked
    }

    /// Where the relief is known to be nothing: see `bounded_already` of the reference.
    #[inline(always)]
    fn bounded(&self, set: &Set, asked: &Asked, i: usize) -> bool {
        let credit = self.floor_share.is_some() && set.two[i] > 0.0;
        let nothing = |of: &[Vector; 2]| of[0][i] == 0.0 && of[1][i] == 0.0;
        self.at_most_one && !credit && nothing(&asked.guard) && nothing(&asked.addons)
    }
}

/// The aggregate loss of aggregation `factor`, see `crate::aggregate::between`.
#[inline(always)]
fn between<S: Simd>(set: &Set, read: usize, share: f64) -> Vector {
    let (losses, joint, largest) = (&set.losses[read], &set.joint[read], &set.largest[read]);
    let mut worst = [0.0; WIDTH];
    for slot in 1..SLOTS {
        for i in 0..WIDTH {
            worst[i] = most(joint[slot][i] + losses[slot][i], worst[i]);
        }
    }
    let floor = scaled::<S>(&losses[0], share);
    let mut out = [0.0; WIDTH];
    for i in 0..WIDTH {
        let between = most(least(worst[i], losses[0][i]), most(floor[i], largest[i]));
        out[i] = if set.two[i] > 0.0 { between } else { losses[0][i] };
    }
    out
}

/// The rounding guard: half a tick a lot, twice where there is a credit between underlyings.
#[inline(always)]
fn guard<S: Simd>(set: &Set, scale: f64, factor: bool) -> Vector {
    let layers = if factor { 1.0 } else { 0.0 };
    let mut out = [0.0; WIDTH];
    for i in 0..WIDTH {
        out[i] = ratio_up::<S>(set.lots[i], scale * (1.0 + layers * set.two[i]), 2.0 * WHOLE);
    }
    out
}

/// Charges on the collateral of a lane beside what falls with the account, in initial and in maintenance margin: asked
/// with the set and with its requirement so far.
pub(crate) type Beside<'a> = &'a mut dyn FnMut(usize, Which, [f64; 2]) -> [f64; 2];

/// Finds the requirement of a block.
pub(crate) struct Settle<'a> {
    pub(crate) scales: &'a Scales,
    pub(crate) block: &'a Block,
    pub(crate) beside: Beside<'a>,
}

impl WithSimd for Settle<'_> {
    type Output = Settled;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Settled {
        self.run::<S>()
    }
}

impl Settle<'_> {
    #[inline(always)]
    pub(crate) fn run<S: Simd>(mut self) -> Settled {
        let Self { scales, block, .. } = self;
        let mut settled = Settled { asked: scales.ask::<S>(&block.sets[0]), ..Settled::default() };
        add_beside(block, Which::All, &mut settled.asked, self.beside);
        self.relieve::<S>(&mut settled);
        settled
    }

    /// Takes off by how much the requirement is above that of the rest plus the marks of the longs: what that is at most,
    /// where the rest is not known whole.
    #[inline(always)]
    pub(crate) fn relieve<S: Simd>(&mut self, settled: &mut Settled) {
        let Self { scales, block, beside } = self;
        let mut bounded = [0.0; WIDTH];
        for i in 0..WIDTH {
            bounded[i] = f64::from(u8::from(scales.bounded(&block.sets[0], &settled.asked, i)));
        }
        let mut rest = scales.ask::<S>(&block.sets[1]);
        add_beside(block, Which::Rest, &mut rest, *beside);
        let (mut sum, mut sound) = ([0.0; WIDTH], [1.0; WIDTH]);
        for m in 0..2 {
            let (all, rest) = (settled.asked.total(m), rest.total(m));
            for i in 0..WIDTH {
                let above = most(all[i] - (rest[i] + block.longs[i]), 0.0);
                let none = block.has_longs[i] == 0.0;
                let relief = if none { 0.0 } else { above * (1.0 - bounded[i]) };
                // Neither holds of what is not a number.
                let within = (all[i] < LIMIT) & (none | (rest[i] < LIMIT));
                sound[i] = if within { sound[i] } else { 0.0 };
                settled.relief[m][i] = relief;
                settled.required[m][i] = all[i] - relief;
                sum[i] += relief;
            }
        }
        for i in 0..WIDTH {
            settled.wants_rest[i] = (sum[i] > 0.0) & (block.known[i] == 0.0);
            settled.beyond[i] = sound[i] == 0.0;
        }
    }
}

impl Asked {
    #[inline(always)]
    fn total(&self, m: usize) -> Vector {
        let mut total = [0.0; WIDTH];
        for i in 0..WIDTH {
            total[i] = self.base[m][i] + self.guard[m][i] + self.addons[m][i];
        }
        total
    }
}

/// Adds the charges on collateral that are seldom, to a set that is known whole.
#[inline(always)]
fn add_beside(block: &Block, which: Which, asked: &mut Asked, beside: Beside) {
    if block.falling == [false; WIDTH] {
        return;
    }
    let known = |i: &usize| which == Which::All || block.known[*i] > 0.0;
    for i in (0..WIDTH).filter(|i| block.falling[*i]).filter(known) {
        let more = beside(i, which, [asked.total(0)[i], asked.total(1)[i]]);
        for m in 0..2 {
            asked.addons[m][i] += more[m];
        }
    }
}
