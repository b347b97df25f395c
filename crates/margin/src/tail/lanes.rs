//! Losses of accounts under a block of columns, and the largest of them, on float lanes.
//!
//! Every number is a whole number below `2^53`, which the caller's bound sees to, so every sum and comparison is exact,
//! fused or not.

use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::Held;

/// Columns that are summed at a time, a panel: eight registers of AVX-512.
pub(super) const LANES: usize = 64;

/// Beneath it whole numbers and their sums are exact.
pub(super) const EXACT: u64 = 1 << 53;

/// Accounts whose losses under a panel are held at once, in the first cache.
const GROUP: usize = 16;

/// Guesses at a new floor before it is selected exactly.
const GUESSES: usize = 8;

/// The largest losses of one account so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    /// How many are kept.
    pub(super) count: usize,
    /// No kept loss is below it, and what is below it is not wanted; minus infinity until there are enough.
    least: f64,
    /// Losses equal to `least` that were let go; of use where `least` is the least wanted.
    pub(super) ties: u64,
}

impl Default for Floor {
    fn default() -> Self {
        Self { count: 0, least: f64::NEG_INFINITY, ties: 0 }
    }
}

/// A loss as a lane holds it.
pub(super) type Loss = f64;

/// The whole number that a lane holds.
pub(super) fn whole(loss: Loss) -> i64 {
    loss as i64
}

/// Copies the columns of a panel into rows of 32 bits, padded with zeros. A row with an entry that does not fit is left
/// without it and its size says so.
pub(super) struct Narrow<'a> {
    pub(super) pnl: &'a [i64],
    pub(super) width: usize,
    /// The panel's first column.
    pub(super) first: usize,
    pub(super) rows: &'a mut [i32],
    /// The largest entry of each row of the panel, without its sign.
    pub(super) sizes: &'a mut [u64],
}

impl WithSimd for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let live = LANES.min(self.width - self.first);
        let from = self.pnl.chunks_exact(self.width);
        for ((to, size), from) in self.rows.chunks_exact_mut(LANES).zip(self.sizes).zip(from) {
            let from = &from[self.first..self.first + live];
            to[live..].fill(0);
            *size = 0;
            for (to, entry) in to.iter_mut().zip(from) {
                *size = (*size).max(entry.unsigned_abs());
                *to = i32::try_from(*entry).unwrap_or(0);
            }
        }
    }
}

/// Adds the losses of a block to the largest of some accounts, panel by panel.
pub(super) struct Largest<'a> {
    /// Panels one after the other, in each a row of [`LANES`] entries for every instrument.
    pub(super) entries: &'a [i32],
    /// Instruments.
    pub(super) rows: usize,
    /// Columns of the block.
    pub(super) width: usize,
    /// Positions of each account, of those with a row; `None` where lanes are not exact.
    pub(super) held: &'a [Option<&'a [Held]>],
    pub(super) floors: &'a mut [Floor],
    /// As much for each account, with space for at least [`LANES`] more than it keeps.
    pub(super) room: &'a mut [Loss],
    /// Losses wanted of each.
    pub(super) keep: usize,
}

impl WithSimd for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let space = (self.room.len() / self.floors.len().max(1)).max(1);
        let mut losses = [[0.0; LANES]; GROUP];
        for first in (0..self.width).step_by(LANES) {
            let live = u64::MAX >> (LANES - LANES.min(self.width - first));
            let rows = self.entries[first * self.rows..(first + LANES) * self.rows].as_chunks().0;
            let groups = self.floors.chunks_mut(GROUP).zip(self.room.chunks_mut(GROUP * space));
            for (held, (floors, room)) in self.held.chunks(GROUP).zip(groups) {
                let found = find::<S>(rows, held, floors, &mut losses).map(|bits| bits & live);
                let each = floors.iter_mut().zip(room.chunks_exact_mut(space));
                for ((floor, room), (losses, found)) in each.zip(losses.iter().zip(found)) {
                    take(losses, found, room, floor);
                    if floor.count + LANES > space && !trim(simd, room, self.keep, floor) {
                        reduce(room, self.keep, floor);
                    }
                }
            }
        }
    }
}

/// Losses of a group of accounts under a panel, and a bit for each that is not below the account's floor.
///
/// Sums of a whole group come before anything depends on one: to guess wrongly how many losses are found then costs the
/// guess alone, and not the wait for the rows.
#[inline(always)]
fn find<S: Simd>(
    rows: &[[i32; LANES]],
    held: &[Option<&[Held]>],
    floors: &[Floor],
    losses: &mut [[f64; LANES]; GROUP],
) -> [u64; GROUP] {
    let mut found = [0; GROUP];
    for (((held, floor), losses), found) in held.iter().zip(floors).zip(losses).zip(&mut found) {
        if let Some(held) = held {
            *losses = sums::<S>(rows, held);
            *found = not_below(losses, floor.least);
        }
    }
    found
}

/// Minus the sum of lots times entries, column by column.
#[inline(always)]
fn sums<S: Simd>(rows: &[[i32; LANES]], held: &[Held]) -> [f64; LANES] {
    // Where there is no vector, fusing is a call.
    let fused = size_of::<S::f64s>() > size_of::<f64>();
    let mut sums = [0.0; LANES];
    for position in held {
        let Some(row) = rows.get(position.instrument as usize) else { continue };
        let lots = -f64::from(position.lots);
        for (sum, entry) in sums.iter_mut().zip(row) {
            let entry = f64::from(*entry);
            *sum = if fused { entry.mul_add(lots, *sum) } else { *sum + entry * lots };
        }
    }
    sums
}

/// A bit for each loss that is not below the floor.
#[inline(always)]
fn not_below(losses: &[f64; LANES], least: f64) -> u64 {
    let mut bits = [0_u64; 8];
    for (eight, losses) in losses.as_chunks::<8>().0.iter().enumerate() {
        for (lane, loss) in losses.iter().enumerate() {
            bits[lane] |= if *loss >= least { 1 << (8 * eight + lane) } else { 0 };
        }
    }
    bits.iter().fold(0, |all, bits| all | bits)
}

/// Appends the losses found that are above the floor and counts those on it.
#[inline(always)]
fn take(losses: &[f64; LANES], mut found: u64, room: &mut [f64], floor: &mut Floor) {
    let Some(room) = room.get_mut(floor.count..).and_then(|free| free.first_chunk_mut::<LANES>()) else {
        return;
    };
    let mut count = 0;
    while found != 0 {
        let loss = losses[found.trailing_zeros() as usize % LANES];
        found &= found - 1;
        room[count % LANES] = loss;
        count += usize::from(loss > floor.least);
        floor.ties += u64::from(loss == floor.least);
    }
    floor.count += count;
}

/// Looks for a floor that leaves the wanted losses and few more, and lets go of what is not above it. False where a few
/// guesses find none: among many equal losses there is none.
#[inline(always)]
fn trim<S: Simd>(simd: S, room: &mut [f64], keep: usize, floor: &mut Floor) -> bool {
    let few = keep + LANES / 4;
    let (mut low, mut high) = bounds(simd, &room[..floor.count]);
    room[floor.count..].fill(f64::NEG_INFINITY);
    let (mut above_low, mut above_high) = (floor.count, 0);
    for _ in 0..GUESSES {
        let share = (above_low - (keep + few) / 2) as f64 / (above_low - above_high) as f64;
        let guess = (low + (high - low) * share).floor();
        let above = above(room, guess);
        if (keep..=few).contains(&above) {
            keep_above(room, guess, floor);
            return true;
        }
        if above > few {
            (low, above_low) = (guess, above);
        } else {
            (high, above_high) = (guess, above);
        }
    }
    false
}

/// The least and the largest of numbers.
#[inline(always)]
fn bounds<S: Simd>(simd: S, numbers: &[f64]) -> (f64, f64) {
    let (lanes, rest) = S::as_simd_f64s(numbers);
    let (mut low, mut high) = (simd.splat_f64s(f64::INFINITY), simd.splat_f64s(f64::NEG_INFINITY));
    for lane in lanes {
        (low, high) = (simd.min_f64s(low, *lane), simd.max_f64s(high, *lane));
    }
    let of_lanes = (simd.reduce_min_f64s(low), simd.reduce_max_f64s(high));
    rest.iter().fold(of_lanes, |(low, high), x| (low.min(*x), high.max(*x)))
}

/// How many are above.
#[inline(always)]
fn above(numbers: &[f64], floor: f64) -> usize {
    let mut counts = [0_u64; 8];
    for eight in numbers.as_chunks::<8>().0 {
        for (lane, x) in eight.iter().enumerate() {
            counts[lane] += u64::from(*x > floor);
        }
    }
    counts.iter().fold(0, |sum, count| sum + *count as usize)
}

#[inline(always)]
fn keep_above(room: &mut [f64], least: f64, floor: &mut Floor) {
    let mut count = 0;
    for at in 0..floor.count {
        let loss = room[at];
        room[count] = loss;
        count += usize::from(loss > least);
    }
    *floor = Floor { count, least, ties: 0 };
}

/// Keeps exactly the `keep` largest, where there are as many, and counts the ties at the least of them that are let go.
#[inline(never)]
pub(super) fn reduce(room: &mut [Loss], keep: usize, floor: &mut Floor) {
    let filled = &mut room[..floor.count];
    if filled.len() < keep {
        return;
    }
    let (_, least, gone) = filled.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
    let least = *least;
    let ties = gone.iter().filter(|loss| **loss == least).count() as u64;
    *floor = Floor { count: keep, least, ties: if least == floor.least { floor.ties + ties } else { ties } };
}
