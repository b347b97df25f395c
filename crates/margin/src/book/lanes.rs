//! Sums of rows on float lanes: whole numbers beneath 2^52, where every sum and product is exact in any order.
//!
//! The caller has proved `sum |lots| x max |entry| < 2^52` for the account: one bit beneath what floats hold exactly,
//! which the bridge back to integers takes. Fused or not, a step gives the same number.

use super::losses::Chunk;
use super::rows::{Panel, Rows, STEP};
use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::{Book, Held};
use std::ops::Range;

/// Sums beneath this are exact on lanes, and cross to integers by adding it: 2^52.
pub(super) const EXACT: u64 = 1 << 52;

const BRIDGE: f64 = 4_503_599_627_370_496.0;

/// An entry of a row, in 32 or 64 bits.
pub(super) trait Entry: Copy + Default + Ord + Send + Sync {
    /// The entry in this width, if it fits.
    fn of(entry: i64) -> Option<Self>;
    /// The entry in full.
    fn whole(self) -> i64;
    /// On a lane; exact beneath 2^53.
    fn lane(self) -> f64;
}

impl Entry for i32 {
    fn of(entry: i64) -> Option<Self> {
        Self::try_from(entry).ok()
    }

    fn whole(self) -> i64 {
        i64::from(self)
    }

    #[inline(always)]
    fn lane(self) -> f64 {
        f64::from(self)
    }
}

impl Entry for i64 {
    fn of(entry: i64) -> Option<Self> {
        Some(entry)
    }

    fn whole(self) -> i64 {
        self
    }

    #[inline(always)]
    fn lane(self) -> f64 {
        self as f64
    }
}

/// A whole number in `0..2^52` as an integer.
#[inline(always)]
fn ticks(whole: f64) -> i64 {
    ((whole + BRIDGE).to_bits() & (EXACT - 1)).cast_signed()
}

/// `a b + c`, fused where that is an instruction: exact either way.
#[inline(always)]
fn step<S: Simd>(a: f64, b: f64, c: f64) -> f64 {
    if S::F64_LANES == 1 { a * b + c } else { a.mul_add(b, c) }
}

/// The least sum over `W` columns from column `at` on, or 0. Two rows at a time: the sums stay in registers, and half
/// as many steps depend on one another.
#[inline(always)]
fn least<S: Simd, T: Entry, const W: usize>(simd: S, panel: &Panel<T>, at: usize, group: &[Held]) -> f64 {
    let (cells, stride) = (panel.cells(), panel.stride());
    let row = |held: &Held| {
        let first = (held.instrument as usize).wrapping_mul(stride).wrapping_add(at);
        &cells[first..first.wrapping_add(W)]
    };
    let mut sums = [0.0; W];
    let (pairs, rest) = group.as_chunks::<2>();
    for [a, b] in pairs {
        let (row_a, row_b) = (row(a), row(b));
        let (lots_a, lots_b) = (f64::from(a.lots), f64::from(b.lots));
        for j in 0..W {
            sums[j] = step::<S>(row_b[j].lane(), lots_b, step::<S>(row_a[j].lane(), lots_a, sums[j]));
        }
    }
    for held in rest {
        let (row, lots) = (row(held), f64::from(held.lots));
        for j in 0..W {
            sums[j] = step::<S>(row[j].lane(), lots, sums[j]);
        }
    }
    let (lanes, _) = S::as_simd_f64s(&sums);
    let mut least = simd.splat_f64s(0.0);
    for lane in lanes {
        least = simd.min_f64s(least, *lane);
    }
    simd.reduce_min_f64s(least)
}

/// The scan loss of the positions in one underlying, in ticks.
#[inline(always)]
fn loss<S: Simd, T: Entry>(simd: S, panel: &Panel<T>, group: &[Held]) -> i64 {
    if let [one] = group {
        // The worst column of one row is its least entry for a long, its largest for a short.
        let [least, most] = panel.extremes[one.instrument as usize];
        let lots = f64::from(one.lots);
        let (a, b) = (least.lane() * lots, most.lane() * lots);
        return ticks(-(if a < b { a } else { b }));
    }
    let (mut at, mut worst) = (0, 0.0);
    let mut take = |value: f64| {
        if value < worst {
            worst = value;
        }
    };
    while panel.stride() - at >= 64 {
        take(least::<S, T, 64>(simd, panel, at, group));
        at += 64;
    }
    if panel.stride() - at >= 32 {
        take(least::<S, T, 32>(simd, panel, at, group));
        at += 32;
    }
    if panel.stride() - at >= STEP {
        take(least::<S, T, STEP>(simd, panel, at, group));
    }
    ticks(-worst)
}

/// The loss of the positions in the underlying of the one at `start`, over `W` columns, which is all there are, and
/// where those of the next begin: one walk finds the end and sums on the way.
#[inline(always)]
fn whole_group<S: Simd, T: Entry, const W: usize>(
    simd: S,
    rows: &Rows,
    panel: &Panel<T>,
    held: &[Held],
    start: usize,
) -> (i64, usize) {
    let of = rows.underlying[held[start].instrument as usize];
    let more = |at: usize| at < held.len() && rows.underlying[held[at].instrument as usize] == of;
    if !more(start + 1) {
        return (loss(simd, panel, &held[start..=start]), start + 1);
    }
    let (cells, mut sums, mut at) = (panel.cells(), [0.0; W], start);
    while more(at) {
        let (first, lots) = (held[at].instrument as usize * W, f64::from(held[at].lots));
        let row = &cells[first..first + W];
        for j in 0..W {
            sums[j] = step::<S>(row[j].lane(), lots, sums[j]);
        }
        at += 1;
    }
    let (lanes, _) = S::as_simd_f64s(&sums);
    let mut least = simd.splat_f64s(0.0);
    for lane in lanes {
        least = simd.min_f64s(least, *lane);
    }
    (ticks(-simd.reduce_min_f64s(least)), at)
}

/// Appends the losses of an account whose positions lie underlying by underlying, and gives their sum, beneath 2^52.
#[inline(always)]
fn walk<S: Simd, T: Entry>(
    simd: S,
    rows: &Rows,
    panel: &Panel<T>,
    held: &[Held],
    losses: &mut Vec<i64>,
) -> i64 {
    let (mut start, mut total) = (0, 0_i64);
    losses.reserve(held.len());
    while start < held.len() {
        let (loss, end) = if panel.stride() == 64 {
            whole_group::<S, T, 64>(simd, rows, panel, held, start)
        } else {
            let of = rows.underlying[held[start].instrument as usize];
            let ends = |one: &Held| rows.underlying[one.instrument as usize] != of;
            let length = held[start..].iter().position(ends).unwrap_or(held.len() - start);
            (loss(simd, panel, &held[start..start + length]), start + length)
        };
        losses.push(loss);
        total = total.wrapping_add(loss);
        start = end;
    }
    total
}

/// Where the losses of accounts come from.
pub(super) struct Source<'a, T> {
    pub(super) book: &'a Book,
    pub(super) rows: &'a Rows,
    pub(super) panel: &'a Panel<T>,
}

impl<T> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Source<'_, T> {}

/// Appends the losses of an account to those of its chunk and gives their sum: on lanes where that is exact, else in
/// 128 bits.
#[inline(always)]
fn append<S: Simd, T: Entry>(simd: S, source: Source<'_, T>, account: usize, chunk: &mut Chunk) -> i64 {
    let rows = source.rows;
    if let Some(narrow) = source.book.narrow(account)
        && narrow.held.last().is_none_or(|last| (last.instrument as usize) < rows.len())
        && rows.exact_on_lanes(&narrow)
    {
        chunk.clear_apart(account);
        if rows.grouped {
            return walk(simd, rows, source.panel, narrow.held, &mut chunk.losses);
        }
        let mut sorted = std::mem::take(&mut chunk.sorted);
        sorted.clear();
        sorted.extend_from_slice(narrow.held);
        sorted.sort_unstable_by_key(|held| (rows.underlying[held.instrument as usize], held.instrument));
        let total = walk(simd, rows, source.panel, &sorted, &mut chunk.losses);
        chunk.sorted = sorted;
        return total;
    }
    super::exact::append(source, account, chunk)
}

/// Scans all accounts of a chunk.
pub(super) struct Scan<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) accounts: Range<usize>,
    pub(super) chunk: &'a mut Chunk,
}

impl<T: Entry> WithSimd for Scan<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { source, accounts, chunk } = self;
        chunk.clear(accounts.len());
        for account in accounts {
            let total = append(simd, source, account, chunk);
            chunk.close(total);
        }
    }
}

/// Scans one account of a chunk anew, in all its underlyings.
pub(super) struct Again<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) account: usize,
    pub(super) place: usize,
    pub(super) chunk: &'a mut Chunk,
}

impl<T: Entry> WithSimd for Again<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        again(simd, self.source, self.account, self.place, self.chunk);
    }
}

#[inline(always)]
fn again<S: Simd, T: Entry>(simd: S, source: Source<'_, T>, account: usize, place: usize, chunk: &mut Chunk) {
    let total = append(simd, source, account, chunk);
    chunk.put(place, total);
}

/// The positions of an account in one underlying, and how many underlyings come before it; rows are grouped.
#[inline(always)]
fn group_of<'h>(rows: &Rows, held: &'h [Held], underlying: u32) -> (&'h [Held], usize) {
    let (mut start, mut pair, mut before) = (0, 0, u32::MAX);
    while let Some(one) = held.get(start) {
        let of = rows.underlying[one.instrument as usize];
        if of >= underlying {
            break;
        }
        pair += usize::from(of != before);
        before = of;
        start += 1;
    }
    let mut end = start;
    while held.get(end).is_some_and(|one| rows.underlying[one.instrument as usize] == underlying) {
        end += 1;
    }
    (&held[start..end], pair)
}

/// Scans one underlying of the accounts of a chunk whose bits are set; gives how many accounts and positions that was.
pub(super) struct Rescan<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) underlying: u32,
    pub(super) first: usize,
    pub(super) bits: &'a [u64],
    pub(super) chunk: &'a mut Chunk,
}

impl<T: Entry> WithSimd for Rescan<'_, T> {
    type Output = (usize, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (usize, usize) {
        let Self { source, underlying, first, bits, chunk } = self;
        let (mut accounts, mut positions) = (0, 0);
        for (i, word) in bits.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let place = i * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                accounts += 1;
                positions += one(simd, source, underlying, (first, place), chunk);
            }
        }
        (accounts, positions)
    }
}

/// Scans one underlying of one account where its sums are exact on lanes and its losses lie where they should, else the
/// whole account; gives the positions read.
#[inline(always)]
fn one<S: Simd, T: Entry>(
    simd: S,
    source: Source<'_, T>,
    underlying: u32,
    (first, place): (usize, usize),
    chunk: &mut Chunk,
) -> usize {
    let (rows, account) = (source.rows, first + place);
    if rows.grouped
        && let Some(narrow) = source.book.narrow(account)
        && narrow.held.last().is_none_or(|last| (last.instrument as usize) < rows.len())
        && rows.exact_on_lanes(&narrow)
    {
        let (group, pair) = group_of(rows, narrow.held, underlying);
        if !group.is_empty() && chunk.has_pair(account, place, pair) {
            let loss = loss(simd, source.panel, group);
            chunk.set_pair(place, pair, loss);
            return group.len();
        }
    }
    again(simd, source, account, place, chunk);
    source.book.holdings(account).map_or(0, |holdings| holdings.len())
}
