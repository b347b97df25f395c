//! Sums of rows on float lanes: whole numbers beneath 2^52, where every sum and product is exact in any order.
//!
//! The caller has proved `sum |lots| x max |entry| < 2^52` for the account: one bit beneath what floats hold exactly,
//! which the bridge back to integers takes. Fused or not, a step gives the same number.

use super::losses::Chunk;
use super::plan::{Plan, Shelf};
use super::rows::{Panel, Rows, STEP};
use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::{Book, Held};

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
    lowest(simd, &sums)
}

/// The least of some sums, or 0.
#[inline(always)]
fn lowest<S: Simd>(simd: S, sums: &[f64]) -> f64 {
    let (lanes, _) = S::as_simd_f64s(sums);
    let mut least = simd.splat_f64s(0.0);
    for lane in lanes {
        least = simd.min_f64s(least, *lane);
    }
    simd.reduce_min_f64s(least)
}

/// The scan loss of one position, in ticks: its worst column is its least entry for a long, its largest for a short.
#[inline(always)]
fn single<T: Entry>(panel: &Panel<T>, one: &Held) -> i64 {
    let [least, most] = panel.extremes[one.instrument as usize];
    let lots = f64::from(one.lots);
    let (a, b) = (least.lane() * lots, most.lane() * lots);
    ticks(-(if a < b { a } else { b }))
}

/// The scan loss of the positions in one underlying, in ticks.
#[inline(always)]
fn loss<S: Simd, T: Entry>(simd: S, panel: &Panel<T>, group: &[Held]) -> i64 {
    if let [one] = group {
        return single(panel, one);
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

/// The scan loss of `N` positions in one underlying over `W` columns, which is all there are.
#[inline(always)]
fn fixed<S: Simd, T: Entry, const W: usize, const N: usize>(
    simd: S,
    rows: &[[T; W]],
    group: &[Held; N],
) -> i64 {
    let rows: [&[T; W]; N] = std::array::from_fn(|i| &rows[group[i].instrument as usize]);
    let lots: [f64; N] = std::array::from_fn(|i| f64::from(group[i].lots));
    let mut sums = [0.0; W];
    for j in 0..W {
        let mut sum = rows[0][j].lane() * lots[0];
        for i in 1..N {
            sum = step::<S>(rows[i][j].lane(), lots[i], sum);
        }
        sums[j] = sum;
    }
    ticks(-lowest(simd, &sums))
}

/// Calls `put` with the number of a sum on a shelf, its loss and its positions, for each in turn, list by list.
#[inline(always)]
fn each<S: Simd, T: Entry>(
    simd: S,
    panel: &Panel<T>,
    plan: &Plan,
    shelf: &Shelf,
    mut put: impl FnMut(usize, i64, usize),
) {
    let [ones, twos, threes, more] = shelf.sums.map(|sums| sums as usize);
    let (held, sum) = (&plan.held[shelf.held as usize..], shelf.sum as usize);
    let (own, held) = held.split_at(ones);
    for (i, one) in own.iter().enumerate() {
        put(sum + i, single(panel, one), 1);
    }
    let (own, held) = held.split_at(2 * twos);
    list::<S, T, 2>(simd, panel, own, sum + ones, &mut put);
    let (own, mut held) = held.split_at(3 * threes);
    list::<S, T, 3>(simd, panel, own, sum + ones + twos, &mut put);
    let lengths = &plan.lengths[shelf.length as usize..shelf.length as usize + more];
    for (i, length) in lengths.iter().enumerate() {
        let (group, rest) = held.split_at(*length as usize);
        put(sum + ones + twos + threes + i, loss(simd, panel, group), group.len());
        held = rest;
    }
}

/// The sums of one list from number `first` on, each of `N` positions.
#[inline(always)]
fn list<S: Simd, T: Entry, const N: usize>(
    simd: S,
    panel: &Panel<T>,
    held: &[Held],
    first: usize,
    put: &mut impl FnMut(usize, i64, usize),
) {
    let groups = held.as_chunks::<N>().0.iter().enumerate();
    if panel.stride() == 64 {
        let rows = panel.cells().as_chunks::<64>().0;
        groups.for_each(|(i, group)| put(first + i, fixed::<S, T, 64, N>(simd, rows, group), N));
    } else {
        groups.for_each(|(i, group)| put(first + i, loss(simd, panel, group), N));
    }
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
    let of = |held: &Held| rows.underlying[held.instrument as usize];
    let mut total = 0_i64;
    for group in held.chunk_by(|a, b| of(a) == of(b)) {
        let loss = loss(simd, panel, group);
        losses.push(loss);
        total = total.wrapping_add(loss);
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

/// Appends the losses of an account to `losses` and gives their sum: on lanes where that is exact, else in 128 bits.
#[inline(always)]
fn append<S: Simd, T: Entry>(
    simd: S,
    source: Source<'_, T>,
    account: usize,
    chunk: &mut Chunk,
    losses: &mut Vec<i64>,
) -> i64 {
    let rows = source.rows;
    if let Some(narrow) = source.book.narrow(account)
        && narrow.held.last().is_none_or(|last| (last.instrument as usize) < rows.len())
        && rows.exact_on_lanes(&narrow)
    {
        chunk.clear_apart(account);
        if rows.grouped {
            return walk(simd, rows, source.panel, narrow.held, losses);
        }
        let mut sorted = std::mem::take(&mut chunk.sorted);
        sorted.clear();
        sorted.extend_from_slice(narrow.held);
        sorted.sort_unstable_by_key(|held| (rows.underlying[held.instrument as usize], held.instrument));
        let total = walk(simd, rows, source.panel, &sorted, losses);
        chunk.sorted = sorted;
        return total;
    }
    super::exact::append(source, account, chunk, losses)
}

/// Scans all accounts of a chunk, which has a plan for them.
pub(super) struct Scan<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) first: usize,
    pub(super) chunk: &'a mut Chunk,
}

impl<T: Entry> WithSimd for Scan<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { source, first, chunk } = self;
        let Chunk { plan, losses, totals, .. } = chunk;
        totals.fill(0);
        for shelf in &plan.shelves {
            each(simd, source.panel, plan, shelf, |sum, loss, _| {
                losses[sum] = loss;
                // Beneath 2^52 for who is planned; of who is odd by now it is found anew beneath.
                let total = &mut totals[usize::from(plan.places[sum])];
                *total = total.wrapping_add(loss);
            });
        }
        for i in 0..chunk.plan.odd.len() {
            let place = usize::from(chunk.plan.odd[i]);
            again(simd, source, first + place, place, chunk);
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

/// Sums an account from the book, which makes it odd.
#[inline(always)]
fn again<S: Simd, T: Entry>(simd: S, source: Source<'_, T>, account: usize, place: usize, chunk: &mut Chunk) {
    let odd = chunk.make_odd(place);
    let mut losses = std::mem::take(&mut chunk.odd[odd]);
    losses.clear();
    chunk.totals[place] = append(simd, source, account, chunk, &mut losses);
    chunk.odd[odd] = losses;
}

/// Scans one underlying of the accounts of a chunk that hold it, whose bits are set: from the plan, and the whole account
/// where it is in none. Gives how many accounts and positions that was.
pub(super) struct Rescan<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) underlying: usize,
    pub(super) first: usize,
    pub(super) bits: &'a [u64],
    /// Whether the plan is of this book and these rows.
    pub(super) planned: bool,
    pub(super) chunk: &'a mut Chunk,
}

impl<T: Entry> WithSimd for Rescan<'_, T> {
    type Output = (usize, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (usize, usize) {
        let Self { source, underlying, first, bits, planned, chunk } = self;
        // Where rows have grown so much that lanes may not be exact, account by account until all are scanned again.
        let planned = planned && chunk.plan.gross_max <= source.rows.lots_max();
        let (mut accounts, mut positions) = (0, 0);
        if planned {
            (accounts, positions) = from_plan(simd, source, underlying, chunk);
            if chunk.plan.odd.is_empty() {
                return (accounts, positions);
            }
        }
        for (i, word) in bits.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let place = i * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                if !(planned && chunk.plan.is_planned(place)) {
                    again(simd, source, first + place, place, chunk);
                    accounts += 1;
                    positions += source.book.holdings(first + place).map_or(0, |holdings| holdings.len());
                }
            }
        }
        (accounts, positions)
    }
}

/// The losses of one underlying from the plan of a chunk, for all that are planned; how many accounts and positions.
#[inline(always)]
fn from_plan<S: Simd, T: Entry>(
    simd: S,
    source: Source<'_, T>,
    underlying: usize,
    chunk: &mut Chunk,
) -> (usize, usize) {
    let Chunk { plan, losses, totals, .. } = chunk;
    let (mut accounts, mut positions) = (0, 0);
    let Some(shelf) = plan.shelves.get(underlying) else { return (0, 0) };
    each(simd, source.panel, plan, shelf, |sum, loss, length| {
        let place = usize::from(plan.places[sum]);
        if plan.is_planned(place) {
            // The new total is beneath 2^52; on the way there nothing is lost by wrapping.
            totals[place] = totals[place].wrapping_sub(losses[sum]).wrapping_add(loss);
            losses[sum] = loss;
            accounts += 1;
            positions += length;
        }
    });
    (accounts, positions)
}
