//! Accounts whose underlying has moved, found anew from their positions in it alone.
//!
//! **The one idea:** losses and charges are kept underlying by underlying, and those of what moved are found anew; sums over
//! underlyings move by the difference, sums over positions by as much as their rows. All of them are whole numbers that
//! lanes hold exactly, so neither way nor order is seen in a sum.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::charge::{Charged, Queue};
use super::chunk::{CHUNK, Chunk, Own, lanes, own};
use super::eight::moves;
use super::exact::WIDTH;
use super::fall::{Fall, Near};
use super::keep::{CHARGED, losses, note, stride};
use super::rows::{Band, Entries, Entry, LANES, MARK, Measures, Moved, SLOTS, Which, step, worst};
use super::settle::{Block, Settle, Settled};
use super::walk::{ALL, BOTH, CHARGES, REST, Span, alone, together};
use crate::summary::Levels;
use crate::summary::kept::Tick;
use crate::summary::terms::Native;
use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::RiskArrays;

/// Room for what is found on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    queue: Queue,
}

/// Finds accounts of a chunk anew: those that hold what moved, and those that are changed, whose sums are as they are. Gives
/// those that the lanes do not cover any more.
pub(crate) struct Renew<'a> {
    pub(crate) native: &'a Native,
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) moved: Option<Tick<'a>>,
    pub(crate) chunk: &'a mut Chunk,
    pub(crate) changed: u64,
    pub(crate) scratch: &'a mut Scratch,
}

impl WithSimd for Renew<'_> {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> u64 {
        match &self.native.rows.entries {
            Entries::Narrow(all) => self.run::<S, i32>(all),
            Entries::Wide(all) => self.run::<S, f64>(all),
        }
    }
}

impl Renew<'_> {
    #[inline(always)]
    fn run<S: Simd, E: Entry>(mut self, entries: &[Vec<Band<E>>; 2]) -> u64 {
        let (mut dirty, mut lost) = (self.changed, 0);
        if let Some(tick) = self.moved {
            let underlying = tick.underlying.index();
            let spans = self.chunk.starts.get(underlying).zip(self.chunk.starts.get(underlying + 1));
            let spans = spans.map_or(0..0, |(start, end)| *start as usize..*end as usize);
            if !spans.is_empty() {
                lost |= self.find::<S, E>(&entries[0], (underlying, spans.clone()));
                lost |= self.shift::<S>(tick.moved, spans.clone());
                dirty |= self.sum(spans);
            }
            let (worth, unfit) = tick.asset.map_or((0, 0), |asset| self.revalue(asset));
            (dirty, lost) = (dirty | worth, lost | unfit);
        }
        dirty &= !lost;
        for lane in lanes(dirty) {
            if self.chunk.besides[lane].exposed.is_some() {
                forget_rest(&mut self.chunk.blocks[lane / WIDTH], lane % WIDTH);
                self.fall::<S>(lane, Which::All);
            }
        }
        for at in 0..CHUNK / WIDTH {
            if (dirty >> (at * WIDTH)) & 0xff != 0 {
                lost |= self.settle::<S>(at);
            }
        }
        self.chunk.touched |= dirty | lost;
        lost
    }

    /// Losses and charges of the spans of an underlying.
    #[inline(always)]
    fn find<S: Simd, E: Entry>(
        &mut self,
        entries: &[Band<E>],
        (underlying, range): (usize, std::ops::Range<usize>),
    ) -> u64 {
        let (native, queue) = (self.native, &mut self.scratch.queue);
        let (rates, terms) = (&native.rates[underlying], &native.underlyings[underlying]);
        let (measures, stride) = (native.rows.measures, stride(native.rows.measures));
        let Chunk { blocks, legs, spans, founds, live, mine, mine_at, .. } = &mut *self.chunk;
        for (i, at) in range.clone().enumerate() {
            // Charged to its number in the run.
            let (lane, span) = (spans[at].account as usize, Span { account: i as u32, ..spans[at] });
            let found = match &legs[span.start as usize..span.end as usize] {
                [leg] => alone::<S>((&native.rows, rates), &span, leg, queue),
                legs => together::<S, E>((&native.rows, rates), entries, &span, legs, queue),
            };
            let old = &mut founds[at * stride..at * stride + losses(measures)];
            let block = &mut blocks[lane / WIDTH];
            let shrunk = exchange(block, &mut live[lane], (old, lane % WIDTH), &found, measures);
            if shrunk {
                let own = &mine[mine_at[lane] as usize..mine_at[lane + 1] as usize];
                largest(block, lane % WIDTH, (own, founds, stride), measures);
            }
        }
        let mut lost = 0;
        queue.charge::<S>(rates, terms, |row, charged| {
            let (i, to) = (row as usize / CHARGES, row % CHARGES as u32);
            let (at, lane) = (range.start + i, spans[range.start + i].account as usize);
            let first = at * stride + losses(measures) + usize::from(to == REST) * CHARGED;
            let sets = &mut blocks[lane / WIDTH].sets;
            let (of, out) = (&mut founds[first..first + CHARGED], lane % WIDTH);
            lost |= u64::from(!charge(of, &charged, (sets, out), to)) << lane;
        });
        queue.clear();
        lost
    }

    /// Moves the sums over positions with the rows of the underlying; gives those that may not be exact.
    #[inline(always)]
    fn shift<S: Simd>(&mut self, moved: &Moved, range: std::ops::Range<usize>) -> u64 {
        let rows = &self.native.rows;
        let width = rows.heights[1] * WIDTH;
        let bands = width / LANES;
        let Chunk { blocks, legs, spans, joint, greeks, gross, .. } = &mut *self.chunk;
        let mut lost = 0;
        for span in &spans[range] {
            let lane = span.account as usize;
            let (all, rest) = joint[2 * lane * width..2 * (lane + 1) * width].split_at_mut(width);
            let ((all, _), (rest, _)) = (all.as_chunks_mut::<LANES>(), rest.as_chunks_mut::<LANES>());
            for leg in &legs[span.start as usize..span.end as usize] {
                let (row, lots) = (leg.row as usize, leg.lots);
                let first = row.wrapping_mul(bands);
                let by = &moved.joint[first..first.wrapping_add(bands)];
                for ((all, rest), by) in all.iter_mut().zip(&mut *rest).zip(by) {
                    *all = added::<S, _, _>(all, &by.0, lots);
                    *rest = added::<S, _, _>(rest, &by.0, leg.rest);
                }
                let by = &moved.greeks[row].0;
                greeks[lane].0 = added::<S, _, _>(&greeks[lane].0, by, lots);
                blocks[lane / WIDTH].longs[lane % WIDTH] += by[MARK] * (leg.lots - leg.rest);
                for i in 0..2 {
                    gross[lane][i] += leg.lots.abs() * moved.largest[row][i];
                }
            }
            lost |= u64::from(!rows.fits(gross[lane])) << lane;
        }
        lost
    }

    /// What all underlyings of the accounts lose together; gives the accounts.
    #[inline(always)]
    fn sum(&mut self, range: std::ops::Range<usize>) -> u64 {
        let rows = &self.native.rows;
        let width = rows.heights[1] * WIDTH;
        let mut dirty = 0;
        for at in range {
            let lane = self.chunk.spans[at].account as usize;
            dirty |= 1 << lane;
            let two = [Which::All, Which::Rest].map(|which| self.two(lane, which));
            let (block, out) = (&mut self.chunk.blocks[lane / WIDTH], lane % WIDTH);
            for (i, (set, two)) in block.sets.iter_mut().zip(two).enumerate() {
                let sums = &self.chunk.joint[(2 * lane + i) * width..(2 * lane + i + 1) * width];
                put(&mut set.joint, out, &worst(sums, &rows.masks[1], rows.measures));
                set.two[out] = f64::from(u8::from(two));
            }
        }
        dirty
    }

    /// Whether two underlyings of a set gain or lose in some column.
    #[inline(always)]
    fn two(&self, lane: usize, which: Which) -> bool {
        self.chunk.live[lane][which as usize] > 1 || self.few(lane, which)
    }

    /// The same, where few lose.
    fn few(&self, lane: usize, which: Which) -> bool {
        let own = self.spans(lane).iter().map(|at| self.chunk.spans[*at as usize]);
        let mut held = own.filter(|span| which == Which::All || span.longs < span.end - span.start);
        if held.clone().take(2).count() < 2 {
            return false;
        }
        let moves =
            |span: &Span| moves(self.arrays, &self.chunk.legs[span.start as usize..span.end as usize], which);
        held.by_ref().filter(moves).take(2).count() == 2
    }

    /// The numbers of the spans of an account.
    #[inline(always)]
    fn spans(&self, lane: usize) -> &[u32] {
        let at = &self.chunk.mine_at;
        &self.chunk.mine[at[lane] as usize..at[lane + 1] as usize]
    }

    /// Collateral at another price; gives whose it is, and those that the lanes do not cover.
    #[inline(never)]
    fn revalue(&mut self, asset: usize) -> (u64, u64) {
        let Chunk { deposits, besides, blocks, laned, .. } = &mut *self.chunk;
        let terms = &self.native.assets[asset];
        let (mut dirty, mut lost) = (0, 0);
        for Own { lane, held } in deposits.iter_mut().filter(|own| own.held.asset == asset) {
            dirty |= 1 << *lane;
            match terms.valuation.of(held.amount) {
                Ok(valued) => held.valued = valued,
                Err(_) => lost |= 1 << *lane,
            }
        }
        debug_assert_eq!(dirty & !*laned, 0, "deposits are of accounts on the lanes");
        for lane in lanes(dirty) {
            let own = own(deposits, lane);
            lost |= u64::from(besides[lane].value(self.native, own).is_none()) << lane;
            let block = &mut blocks[lane / WIDTH];
            block.falling[lane % WIDTH] = self.native.falls(own.iter().map(|own| &own.held));
            // Until it is found, where there is something to find.
            block.known[lane % WIDTH] = f64::from(u8::from(besides[lane].exposed.is_none()));
            for set in &mut block.sets {
                for m in 0..2 {
                    set.fallen[m][lane % WIDTH] = 0.0;
                }
            }
        }
        (dirty, lost)
    }

    /// The charge on collateral that falls with an account, on a set whose joint sums are at hand.
    #[inline(always)]
    fn fall<S: Simd>(&mut self, lane: usize, which: Which) {
        let (native, measures) = (self.native, self.native.rows.measures);
        let Some((asset, exposed)) = self.chunk.besides[lane].exposed else { return };
        let (set, stride, width) = (which as usize, stride(measures), native.rows.heights[1] * WIDTH);
        let Chunk { blocks, legs, spans, founds, joint, mine, mine_at, wrong, .. } = &mut *self.chunk;
        let near = |at: &u32| {
            let (at, span) = (*at as usize, &spans[*at as usize]);
            let scan = |m: usize| founds[at * stride + (set * measures + m) * SLOTS];
            Near { legs: (span.start, span.end), scan: [scan(0), scan(measures - 1)] }
        };
        let into = &mut blocks[lane / WIDTH].sets[set];
        let fall = Fall {
            rows: &native.rows,
            legs,
            which,
            spans: mine[mine_at[lane] as usize..mine_at[lane + 1] as usize].iter().map(near),
            largest_alone: into.alone(native, lane % WIDTH),
            joint: &joint[(2 * lane + set) * width..(2 * lane + set + 1) * width],
            exposed,
            falls: &native.assets[asset].lanes,
            largest: into.together(native, lane % WIDTH),
        };
        let found = fall.run::<S>().and_then(|charges| native.fallen(asset, charges).ok());
        wrong[lane][set] = found.unwrap_or_default();
        let [im, mm] = found.map_or([f64::NAN; 2], |(im, mm)| [im as f64, mm as f64]);
        (into.fallen[0][lane % WIDTH], into.fallen[1][lane % WIDTH]) = (im, mm);
    }

    /// Settles a block; gives those of it that are beyond the lanes.
    #[inline(always)]
    fn settle<S: Simd>(&mut self, at: usize) -> u64 {
        let mut settled = Settled::default();
        self.chunk.settle::<S>(at, self.native, &mut settled, false);
        if settled.wants_rest != [false; WIDTH] {
            for i in (0..WIDTH).filter(|i| settled.wants_rest[*i]) {
                self.chunk.blocks[at].known[i] = 1.0;
                self.fall::<S>(at * WIDTH + i, Which::Rest);
            }
            self.chunk.settle::<S>(at, self.native, &mut settled, true);
        }
        let mut beyond = 0;
        for i in 0..WIDTH {
            let lane = at * WIDTH + i;
            beyond |= u64::from(settled.beyond[i]) << lane;
            let (beside, marks) = (&self.chunk.besides[lane], self.chunk.greeks[lane].0[MARK]);
            self.chunk.levels[lane] = Levels {
                equity: beside.counted + beside.unrealised + marks as i64,
                im: settled.required[0][i] as i64,
                mm: settled.required[1][i] as i64,
            };
        }
        beyond & self.chunk.laned
    }
}

/// A block of a chunk as it stands.
pub(crate) struct Look<'a> {
    pub(crate) chunk: &'a Chunk,
    pub(crate) block: usize,
    pub(crate) native: &'a Native,
}

impl WithSimd for Look<'_> {
    type Output = Settled;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Settled {
        let mut settled = Settled::default();
        self.chunk.settle::<S>(self.block, self.native, &mut settled, false);
        settled
    }
}

impl Chunk {
    /// Settles a block as it stands; only its relief, where nothing else is new.
    #[inline(always)]
    fn settle<S: Simd>(&self, at: usize, native: &Native, settled: &mut Settled, only_relief: bool) {
        let Self { blocks, deposits, besides, wrong, .. } = self;
        let beside = &mut |i: usize, which: Which, bare: [f64; 2]| {
            let lane = at * WIDTH + i;
            let exposed = besides[lane].exposed.map(|(asset, _)| (asset, wrong[lane][which as usize]));
            let held = own(deposits, lane).iter().map(|own| (own.held.asset, own.held.valued));
            native.beside(held, exposed.into_iter(), (bare, i128::from(besides[lane].debt)))
        };
        let mut settle = Settle { scales: &native.scales, block: &blocks[at], beside };
        if only_relief {
            settle.relieve::<S>(settled);
        } else {
            *settled = settle.run::<S>();
        }
    }
}

/// Puts losses in the place of those that were kept; whether the largest of the account may be smaller now.
#[inline(always)]
fn exchange(
    block: &mut Block,
    live: &mut [u32; 2],
    (kept, lane): (&mut [f64], usize),
    found: &[Measures; 2],
    measures: usize,
) -> bool {
    let mut shrunk = false;
    for (i, set) in block.sets.iter_mut().enumerate() {
        let (mut before, mut after) = (0.0, 0.0);
        for m in 0..measures {
            let old = &kept[(i * measures + m) * SLOTS..(i * measures + m + 1) * SLOTS];
            for slot in 0..SLOTS {
                set.losses[m][slot][lane] += found[i][m][slot] - old[slot];
                before += old[slot];
                after += found[i][m][slot];
            }
            let (most, new) = (&mut set.largest[m][lane], found[i][m][0]);
            shrunk |= new < old[0] && old[0] == *most;
            *most = if new > *most { new } else { *most };
        }
        live[i] = live[i] + u32::from(after > 0.0) - u32::from(before > 0.0);
    }
    note(kept, found, measures);
    shrunk
}

/// What falls with an account without its longs is not known any more.
#[inline(always)]
fn forget_rest(block: &mut Block, lane: usize) {
    block.known[lane] = 0.0;
    for m in 0..2 {
        block.sets[1].fallen[m][lane] = 0.0;
    }
}

/// The largest scan losses of an account.
#[inline(always)]
fn largest(block: &mut Block, lane: usize, (own, founds, stride): (&[u32], &[f64], usize), measures: usize) {
    for (i, set) in block.sets.iter_mut().enumerate() {
        for m in 0..measures {
            let scan = |at: &u32| founds[*at as usize * stride + (i * measures + m) * SLOTS];
            set.largest[m][lane] = own.iter().map(scan).fold(0.0, |most, x| if x > most { x } else { most });
        }
    }
}

/// Puts charges in the place of those that were kept; says whether they are within the lanes.
#[inline(always)]
fn charge(
    kept: &mut [f64],
    charged: &Charged,
    (sets, lane): (&mut [super::settle::Set; 2], usize),
    to: u32,
) -> bool {
    let mut sound = true;
    for j in 0..CHARGED {
        let by = charged[j] - kept[j];
        sound &= by.is_finite();
        if to != REST {
            sets[0].charges[j][lane] += by;
        }
        if to != ALL {
            sets[1].charges[j][lane] += by;
        }
        kept[j] = charged[j];
    }
    debug_assert!(to == ALL || to == REST || to == BOTH, "a row of charges");
    sound
}

/// Sums with so many times a row added. What is read is read before anything is written, so that it is one run of vectors.
#[inline(always)]
fn added<S: Simd, E: Entry, const N: usize>(sums: &[f64; N], row: &[E; N], times: f64) -> [f64; N] {
    let mut out = *sums;
    for j in 0..N {
        out[j] = step::<S>(row[j].lane(), times, out[j]);
    }
    out
}

/// Puts losses into a lane.
#[inline(always)]
fn put(into: &mut [[[f64; WIDTH]; SLOTS]; 2], lane: usize, found: &Measures) {
    for (into, found) in into.iter_mut().zip(found) {
        for slot in 0..SLOTS {
            into[slot][lane] = found[slot];
        }
    }
}
