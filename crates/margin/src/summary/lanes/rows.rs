//! The rows that accounts are summed from, in lanes: entries of scenarios, what a lot loses at its worst, sensitivities.
//!
//! The columns of a row come in vectors of eight. A lane holds columns of one meaning only, so that the worst of them is
//! found by comparing whole vectors, and what is left to compare at the end is one vector per underlying.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::exact::{Vector, WHOLE, WIDTH, whole};
use crate::summary::columns::Columns;
use plimsoll_lanes::Simd;

/// Vectors that are summed at a time, in registers: the height of a part of a row is a multiple of it.
pub(crate) const BAND: usize = 4;
/// Their lanes. One loop over all of them is what the compiler makes vectors of.
pub(crate) const LANES: usize = BAND * WIDTH;

/// Losses of a measure by slot, ticks, >= 0: the scan loss, and then that of each correlation state (what an underlying does
/// by itself, or all of them together).
pub(crate) type Slots = [f64; SLOTS];
pub(crate) const SLOTS: usize = 4;
/// In initial and in maintenance margin; where both read the same columns the latter are not filled in.
pub(crate) type Measures = [Slots; 2];

/// For every lane of a vector what a slot takes of it: one or nothing.
pub(crate) type Masks = [[Slots; WIDTH]; 2];

/// The positions a number is summed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// All but long options and long spot.
    Rest,
}

/// A position: its row, its lots, and its lots if it is neither a long option nor long spot, else 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) row: u32,
    pub(crate) lots: f64,
    pub(crate) rest: f64,
}

impl Leg {
    /// `lots` is beneath 2^49 in size.
    #[inline(always)]
    pub(crate) fn new(row: u32, lots: i64, long: bool) -> Self {
        let lots = lots as f64;
        Self { row, lots, rest: if long { 0.0 } else { lots } }
    }

    /// Its lots, or none where they are left out.
    #[inline(always)]
    pub(crate) fn held(&self, which: Which) -> f64 {
        if which == Which::Rest { self.rest } else { self.lots }
    }

    /// As [`Leg::held`], whole.
    pub(crate) fn count(&self, which: Which) -> i64 {
        whole(self.held(which))
    }
}

/// What a charge asks of an instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Call,
    Put,
    Linear,
}

/// What charges on one long lot of an instrument are made of, ticks.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Lot {
    /// The losses of one lot in initial margin: long, short.
    ends: [Slots; 2],
    pub(crate) delta: f64,
    pub(crate) vega: f64,
    pub(crate) notional: f64,
    pub(crate) funding: f64,
    /// Its expiry, among those of the underlying.
    pub(crate) tenor: u32,
    pub(crate) kind: Kind,
}

/// What is asked of an instrument to add a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief {
    /// The largest size among its entries and amounts, at least 1; and among its sensitivities.
    pub(crate) largest: [f64; 2],
    pub(crate) underlying: u32,
    /// Whether a long one loses no more than its mark: options and spot.
    pub(crate) limited: bool,
}

/// An instrument as given: whole numbers of ticks per long lot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// Delta, gamma, vega, theta, rho, vanna, volga; then the mark.
    pub(crate) greeks: [i64; WIDTH],
    /// Notional, >= 0, and funding.
    pub(crate) amounts: [i64; 2],
    /// The largest size among its entries and amounts, at least 1; and among its sensitivities.
    pub(crate) largest: [u64; 2],
    pub(crate) underlying: u32,
    pub(crate) tenor: u32,
    pub(crate) kind: Kind,
    /// Whether a long one loses no more than its mark: options and spot.
    pub(crate) limited: bool,
}

/// Where the mark is among the Greeks.
pub(crate) const MARK: usize = 7;

impl Lot {
    fn new(given: &Given) -> Self {
        let [delta, _, vega, ..] = given.greeks.map(|x| x as f64);
        let [notional, funding] = given.amounts.map(|x| x as f64);
        let Given { tenor, kind, .. } = *given;
        Self { ends: [[0.0; SLOTS]; 2], delta, vega, notional, funding, tenor, kind }
    }
}

impl Brief {
    fn new(of: &Given) -> Self {
        Self { largest: of.largest.map(|x| x as f64), underlying: of.underlying, limited: of.limited }
    }
}

/// By how much rows have moved: what counts together, Greeks and mark, and the largest sizes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) joint: Vec<Band<f64>>,
    pub(crate) greeks: Vec<Line>,
    pub(crate) largest: Vec<[f64; 2]>,
}

impl Moved {
    /// Room for as many rows. Only those that moved are ever read.
    pub(crate) fn fit(&mut self, rows: &Rows) {
        self.joint.resize(rows.lots.len() * rows.heights[1] / BAND, Band([0.0; LANES]));
        self.greeks.resize(rows.lots.len(), Line([0.0; WIDTH]));
        self.largest.resize(rows.lots.len(), [0.0; 2]);
    }

    /// Sets a row to the opposite of what it was, and then adds what it is.
    fn add(&mut self, rows: &Rows, row: usize, sign: f64) {
        let stride = rows.heights[1] / BAND;
        for at in row * stride..(row + 1) * stride {
            for j in 0..LANES {
                let entry = match &rows.entries {
                    Entries::Narrow(all) => all[1][at].0[j].lane(),
                    Entries::Wide(all) => all[1][at].0[j].lane(),
                };
                let moved = &mut self.joint[at].0[j];
                *moved = if sign < 0.0 { -entry } else { *moved + entry };
            }
        }
        for j in 0..WIDTH {
            let (of, moved) = (rows.greeks[row].0[j], &mut self.greeks[row].0[j]);
            *moved = if sign < 0.0 { -of } else { *moved + of };
        }
        for (of, moved) in rows.briefs[row].largest.iter().zip(&mut self.largest[row]) {
            *moved = if sign < 0.0 { -of } else { *moved + of };
        }
    }
}

/// What `|lots| x largest` of an account may add up to, with charges of at most `factor` billionths.
fn most(factor: i128) -> [f64; 2] {
    let factor = factor as f64 / WHOLE;
    [CHARGED / if factor > 1.0 { factor } else { 1.0 }, LIMIT]
}

/// Sums beneath this are exact, and become integers by an addition: 2^51.
pub(crate) const LIMIT: f64 = 2_251_799_813_685_248.0;
/// Amounts that charges are made of stay beneath this over the largest factor: their steps are then beneath 2^49.
pub(crate) const CHARGED: f64 = 140_737_488_355_328.0;

/// Rows of entries in lanes: 32 bits where all of them fit.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) entries: Entries,
    /// Vectors of a row that count underlying by underlying, and vectors that count together.
    pub(crate) heights: [usize; 2],
    /// What the lanes of each count for.
    pub(crate) masks: [Masks; 2],
    /// How many measures there are: one where both read the same columns.
    pub(crate) measures: usize,
    pub(crate) lots: Vec<Lot>,
    pub(crate) briefs: Vec<Brief>,
    /// Seven Greeks, and the mark.
    pub(crate) greeks: Vec<Line>,
    /// The losses of one lot in maintenance margin, where it reads other columns.
    ends: Vec<[Slots; 2]>,
    /// What `|lots| x largest` of an account may add up to.
    most: [f64; 2],
}

/// A vector that is one line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) Vector);

/// Bands of rows that count underlying by underlying, and of those that count together.
#[derive(Clone, Debug)]
pub(crate) enum Entries {
    Narrow([Vec<Band<i32>>; 2]),
    Wide([Vec<Band<f64>>; 2]),
}

/// A band of a row; whole lines of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Band<E>(pub(crate) [E; LANES]);

/// An entry that a lane holds exactly.
pub(crate) trait Entry: Copy {
    fn lane(self) -> f64;
}

impl Entry for i32 {
    #[inline(always)]
    fn lane(self) -> f64 {
        f64::from(self)
    }
}

impl Entry for f64 {
    #[inline(always)]
    fn lane(self) -> f64 {
        self
    }
}

impl Rows {
    /// Rows of zeros; `narrow` when every entry fits 32 bits. Charges are at most `factor` billionths of what they are on.
    pub(crate) fn new(given: &[Given], columns: &Columns, narrow: bool, factor: i128) -> Self {
        let heights = [columns.alone, columns.joint];
        let bands = heights.map(|height| given.len() * height / BAND);
        let entries = if narrow {
            Entries::Narrow(bands.map(|bands| vec![Band([0; LANES]); bands]))
        } else {
            Entries::Wide(bands.map(|bands| vec![Band([0.0; LANES]); bands]))
        };
        let mask = |taken| f64::from(u8::from(taken));
        let masks = columns.slots().map(|both| both.map(|lanes| lanes.map(|slots| slots.map(mask))));
        let measures = if columns.im == columns.mm { 1 } else { 2 };
        Self {
            entries,
            heights,
            masks,
            measures,
            lots: given.iter().map(Lot::new).collect(),
            briefs: given.iter().map(Brief::new).collect(),
            greeks: given.iter().map(|of| Line(of.greeks.map(|x| x as f64))).collect(),
            ends: vec![[[0.0; SLOTS]; 2]; if measures == 1 { 0 } else { given.len() }],
            most: most(factor),
        }
    }

    /// Everything of one row anew; `None` where an entry does not fit the lanes there are.
    pub(crate) fn renew(
        &mut self,
        row: usize,
        (given, entries): (&Given, &[i64]),
        columns: &Columns,
        moved: &mut Moved,
    ) -> Option<()> {
        let fits = |entry: &i64| i32::try_from(*entry).is_ok();
        if matches!(self.entries, Entries::Narrow(_)) && !entries.iter().all(fits) {
            return None;
        }
        moved.add(self, row, -1.0);
        *self.lots.get_mut(row)? = Lot::new(given);
        *self.briefs.get_mut(row)? = Brief::new(given);
        self.greeks.get_mut(row)?.0 = given.greeks.map(|x| x as f64);
        if let Some(ends) = self.ends.get_mut(row) {
            *ends = [[0.0; SLOTS]; 2];
        }
        for place in &columns.places {
            self.set(row, place.place, *entries.get(place.column)?);
        }
        moved.add(self, row, 1.0);
        Some(())
    }

    /// Charges are at most `factor` billionths of what they are on.
    pub(crate) fn bound(&mut self, factor: i128) {
        self.most = most(factor);
    }

    /// What one position loses: `lots` of a row.
    #[inline(always)]
    pub(crate) fn alone(&self, row: usize, lots: f64) -> Measures {
        let (side, size) = (usize::from(lots < 0.0), lots.abs());
        let mut losses = [[0.0; SLOTS]; 2];
        for slot in 0..SLOTS {
            losses[0][slot] = self.lots[row].ends[side][slot] * size;
        }
        if self.measures > 1 {
            for slot in 0..SLOTS {
                losses[1][slot] = self.ends[row][side][slot] * size;
            }
        }
        losses
    }

    /// Sums of `|lots| x largest`.
    pub(crate) fn gross(&self, legs: &[Leg]) -> [f64; 2] {
        let of = |leg: &Leg, i: usize| leg.lots.abs() * self.briefs[leg.row as usize].largest[i];
        [0, 1].map(|i| legs.iter().map(|leg| of(leg, i)).sum())
    }

    /// Whether every sum of an account is exact, from sums of `|lots| x largest`.
    #[inline(always)]
    pub(crate) fn fits(&self, gross: [f64; 2]) -> bool {
        gross[0] < self.most[0] && gross[1] < self.most[1]
    }

    /// Sets the entry of a row at a place: `place / 8` is the vector, `place % 8` the lane; vectors that count together
    /// come after the others.
    pub(crate) fn set(&mut self, row: usize, place: usize, entry: i64) {
        let alone = self.heights[0] * WIDTH;
        let part = usize::from(place >= alone);
        let at = row * self.heights[part] * WIDTH + place - part * alone;
        match &mut self.entries {
            Entries::Narrow(all) => {
                all[part][at / LANES].0[at % LANES] = i32::try_from(entry).unwrap_or_default();
            }
            Entries::Wide(all) => all[part][at / LANES].0[at % LANES] = entry as f64,
        }
        if part == 0 {
            self.worst(row, place % WIDTH, entry as f64);
        }
    }

    /// Takes an entry into what a lot loses at its worst.
    fn worst(&mut self, row: usize, lane: usize, entry: f64) {
        let [im, mm] = self.masks[0];
        let ends = [(Some(&mut self.lots[row].ends), &im[lane]), (self.ends.get_mut(row), &mm[lane])];
        for (ends, mask) in ends.into_iter().filter_map(|(ends, mask)| Some((ends?, mask))) {
            for (side, loss) in ends.iter_mut().zip([-entry, entry]) {
                for (most, mask) in side.iter_mut().zip(mask) {
                    *most = if loss * mask > *most { loss } else { *most };
                }
            }
        }
    }

    /// Bytes of the rows.
    pub(crate) fn bytes(&self) -> usize {
        let entries: usize = match &self.entries {
            Entries::Narrow(all) => all.iter().map(|part| size_of_val(&part[..])).sum(),
            Entries::Wide(all) => all.iter().map(|part| size_of_val(&part[..])).sum(),
        };
        let ends = size_of_val(&self.ends[..]) + size_of_val(&self.greeks[..]);
        entries + size_of_val(&self.lots[..]) + size_of_val(&self.briefs[..]) + ends
    }

    /// What some legs come to at a place of the columns that count underlying by underlying.
    pub(crate) fn sum_at(&self, legs: &[Leg], which: Which, place: usize) -> i64 {
        let at = |leg: &Leg| leg.row as usize * self.heights[0] * WIDTH + place;
        let entry = |leg: &Leg| match &self.entries {
            Entries::Narrow(all) => all[0][at(leg) / LANES].0[at(leg) % LANES].lane(),
            Entries::Wide(all) => all[0][at(leg) / LANES].0[at(leg) % LANES].lane(),
        };
        legs.iter().map(|leg| whole(entry(leg)).wrapping_mul(leg.count(which))).sum()
    }
}

/// `a b + c` of whole numbers that stay exact, fused where that is an instruction.
#[inline(always)]
pub(crate) fn step<S: Simd>(a: f64, b: f64, c: f64) -> f64 {
    if S::F64_LANES == 1 { a * b + c } else { a.mul_add(b, c) }
}

/// The sums of a band of rows of `stride` bands, of a set of legs.
#[inline(always)]
pub(crate) fn band<S: Simd, E: Entry>(
    rows: &[Band<E>],
    (stride, band): (usize, usize),
    (legs, which): (&[Leg], Which),
) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for leg in legs {
        let (row, lots) =
            (&rows[(leg.row as usize).wrapping_mul(stride).wrapping_add(band)].0, leg.held(which));
        for j in 0..LANES {
            sums[j] = step::<S>(row[j].lane(), lots, sums[j]);
        }
    }
    sums
}

/// As [`band`], of all legs and of those that are not long.
#[inline(always)]
fn band_both<S: Simd, E: Entry>(
    rows: &[Band<E>],
    (stride, band): (usize, usize),
    legs: &[Leg],
) -> [[f64; LANES]; 2] {
    let (mut all, mut rest) = ([0.0; LANES], [0.0; LANES]);
    for leg in legs {
        let row = &rows[(leg.row as usize).wrapping_mul(stride).wrapping_add(band)].0;
        for j in 0..LANES {
            let entry = row[j].lane();
            all[j] = step::<S>(entry, leg.lots, all[j]);
            rest[j] = step::<S>(entry, leg.rest, rest[j]);
        }
    }
    [all, rest]
}

/// The losses of some legs: of all of them, and of those that are not long where `both`, else the same again. The sums go
/// where there is room.
#[inline(always)]
pub(crate) fn losses<S: Simd, E: Entry>(
    rows: &[Band<E>],
    height: usize,
    (masks, measures): (&Masks, usize),
    (legs, both): (&[Leg], bool),
    [kept, kept_rest]: [&mut [f64]; 2],
) -> [Measures; 2] {
    let stride = height / BAND;
    let mut low = [[0.0; LANES]; 2];
    for at in 0..stride {
        let sums = if both {
            band_both::<S, E>(rows, (stride, at), legs)
        } else {
            let sums = band::<S, E>(rows, (stride, at), (legs, Which::All));
            [sums, sums]
        };
        for (room, sums) in [&mut *kept, &mut *kept_rest].into_iter().zip(&sums) {
            if let Some(room) = room.get_mut(at * LANES..(at + 1) * LANES) {
                room.copy_from_slice(sums);
            }
        }
        for (low, sums) in low.iter_mut().zip(&sums) {
            for j in 0..LANES {
                low[j] = if sums[j] < low[j] { sums[j] } else { low[j] };
            }
        }
    }
    let all = slots(&low[0], masks, measures);
    [all, if both { slots(&low[1], masks, measures) } else { all }]
}

/// The losses from sums over lanes.
#[inline(always)]
pub(crate) fn worst(sums: &[f64], masks: &Masks, measures: usize) -> Measures {
    let mut low = [0.0; LANES];
    for sums in sums.as_chunks::<LANES>().0 {
        for j in 0..LANES {
            low[j] = if sums[j] < low[j] { sums[j] } else { low[j] };
        }
    }
    slots(&low, masks, measures)
}

/// The worst of the lanes of each slot.
#[inline(always)]
fn slots(low: &[f64; LANES], masks: &Masks, measures: usize) -> Measures {
    let mut least = [0.0; WIDTH];
    for vector in 0..BAND {
        for lane in 0..WIDTH {
            let value = low[vector * WIDTH + lane];
            least[lane] = if value < least[lane] { value } else { least[lane] };
        }
    }
    let mut most = [[0.0; SLOTS]; 2];
    for (most, masks) in most.iter_mut().zip(masks).take(measures) {
        for lane in 0..WIDTH {
            for slot in 0..SLOTS {
                let loss = -least[lane] * masks[lane][slot];
                most[slot] = if loss > most[slot] { loss } else { most[slot] };
            }
        }
    }
    most
}
