//! Losses of accounts under a block of columns, and the largest of them, on float lanes.
//!
//! Every number is a whole number below `2^53`, which the caller's bound sees to, so every sum and comparison is exact.

use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::Held;

/// Columns that are summed at a time: eight registers of AVX-512.
pub(super) const LANES: usize = 64;

/// Beneath it whole numbers and their sums are exact.
pub(super) const EXACT: u64 = 1 << 53;

/// The entries of a block: rows of `stride` entries, a multiple of [`LANES`], of which `width` count.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) entries: &'a [i32],
    pub(super) stride: usize,
    pub(super) width: usize,
}

/// The largest losses of one account so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    /// How many are kept.
    pub(super) count: usize,
    /// The least loss that still belongs to the largest; minus infinity until there are enough.
    least: f64,
    /// Losses equal to `least` that were let go.
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

/// Adds a block's losses of one account to the largest it has: `room` holds them, `keep` are wanted, and there is space
/// for at least [`LANES`] more.
pub(super) struct Largest<'a> {
    pub(super) panel: Panel<'a>,
    pub(super) held: &'a [Held],
    pub(super) room: &'a mut [Loss],
    pub(super) keep: usize,
    pub(super) floor: &'a mut Floor,
}

impl WithSimd for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { panel, held, room, keep, floor } = self;
        for first in (0..panel.width).step_by(LANES) {
            let losses = losses(panel, held, first);
            if most(simd, &losses) < floor.least {
                continue;
            }
            let live = if panel.width - first < LANES { panel.width - first } else { LANES };
            take(&losses[..live], room, floor);
            if floor.count + LANES > room.len() {
                reduce(room, keep, floor);
            }
        }
    }
}

/// Minus the sum of lots times entries, column by column.
#[inline(always)]
fn losses(panel: Panel<'_>, held: &[Held], first: usize) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for position in held {
        let start = position.instrument as usize * panel.stride + first;
        let Some(row) = panel.entries.get(start..start + LANES) else { continue };
        let lots = -f64::from(position.lots);
        for (sum, entry) in sums.iter_mut().zip(row) {
            *sum += f64::from(*entry) * lots;
        }
    }
    sums
}

#[inline(always)]
fn most<S: Simd>(simd: S, losses: &[f64; LANES]) -> f64 {
    let (lanes, _) = S::as_simd_f64s(losses);
    let mut most = simd.splat_f64s(f64::NEG_INFINITY);
    for lane in lanes {
        most = simd.max_f64s(most, *lane);
    }
    simd.reduce_max_f64s(most)
}

/// Appends the losses above the floor, eight at a time where one of the eight is not below it, and counts those on it.
#[inline(always)]
fn take(losses: &[f64], room: &mut [f64], floor: &mut Floor) {
    for eight in losses.chunks(8) {
        if !eight.iter().fold(false, |any, loss| any | (*loss >= floor.least)) {
            continue;
        }
        for loss in eight {
            if let Some(slot) = room.get_mut(floor.count) {
                *slot = *loss;
            }
            floor.count += usize::from(*loss > floor.least);
            floor.ties += u64::from(*loss == floor.least);
        }
    }
}

/// Keeps the `keep` largest and counts the ties at the least of them that are let go.
#[inline(never)]
pub(super) fn reduce(room: &mut [Loss], keep: usize, floor: &mut Floor) {
    let filled = &mut room[..floor.count];
    if filled.len() <= keep {
        return;
    }
    let (_, least, gone) = filled.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
    let least = *least;
    let ties = gone.iter().filter(|loss| **loss == least).count() as u64;
    floor.ties = if least == floor.least { floor.ties + ties } else { ties };
    (floor.least, floor.count) = (least, keep);
}
