//! The scenario vectors of one account on float lanes, where whole numbers beneath 2^53 add exactly.
//!
//! The columns of a row come in vectors of eight. A lane holds columns of one meaning only, so that the worst of them is
//! found by comparing whole vectors, and what is left to compare at the end is one vector per underlying.

use plimsoll_lanes::{Path, Simd, WithSimd};
use std::ops::Range;

/// Lanes of a vector.
pub(crate) const WIDTH: usize = 8;
/// Whole numbers up to here, and sums of them beneath it, are exact on a lane.
pub(crate) const EXACT: u64 = 1 << 53;
/// Vectors that are summed at a time, in registers: the height of a part of a row is a multiple of it.
pub(crate) const BAND: usize = 4;
/// Their lanes. One loop over all of them is what the compiler makes vectors of.
const LANES: usize = BAND * WIDTH;

type Vector = [f64; WIDTH];

/// The positions a vector is summed over.
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
    row: u32,
    lots: f64,
    rest: f64,
}

impl Leg {
    /// `lots` is beneath [`EXACT`] in size.
    pub(crate) fn new(row: u32, lots: i64, long: bool) -> Self {
        let lots = lots as f64;
        Self { row, lots, rest: if long { 0.0 } else { lots } }
    }
}

/// The legs on one underlying, and which of them are long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) longs: usize,
}

/// Rows of entries in lanes: 32 bits where all of them fit.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    entries: Entries,
    /// Vectors of a row that count underlying by underlying, and vectors that count together.
    alone: usize,
    joint: usize,
}

#[derive(Clone, Debug)]
enum Entries {
    Narrow(Vec<i32>),
    Wide(Vec<f64>),
}

/// An entry that a lane holds exactly.
trait Entry: Copy {
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
    /// Rows of so many vectors; `narrow` when every entry fits 32 bits.
    pub(crate) fn new(instruments: usize, alone: usize, joint: usize, narrow: bool) -> Self {
        let lanes = instruments * (alone + joint) * WIDTH;
        let entries = if narrow { Entries::Narrow(vec![0; lanes]) } else { Entries::Wide(vec![0.0; lanes]) };
        Self { entries, alone, joint }
    }

    /// Sets the entry of a row at a place: `place / 8` is the vector, `place % 8` the lane.
    pub(crate) fn set(&mut self, row: usize, place: usize, entry: i64) {
        let at = row * (self.alone + self.joint) * WIDTH + place;
        match &mut self.entries {
            Entries::Narrow(all) => all[at] = i32::try_from(entry).unwrap_or_default(),
            Entries::Wide(all) => all[at] = entry as f64,
        }
    }

    /// Bytes of the entries.
    pub(crate) fn bytes(&self) -> usize {
        match &self.entries {
            Entries::Narrow(all) => std::mem::size_of_val(&all[..]),
            Entries::Wide(all) => std::mem::size_of_val(&all[..]),
        }
    }
}

/// The lowest profit or loss of every lane, at most 0: by underlying, and of all of them together; each over all
/// positions and over the rest. Kept vectors are there on request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lows {
    alone: Vec<[Vector; 2]>,
    joint: [Vector; 2],
    kept: Vec<f64>,
    heights: (usize, usize),
}

impl Lows {
    /// The lowest over some lanes of an underlying, in ticks; <= 0.
    #[inline(always)]
    pub(crate) fn alone(&self, span: usize, which: Which, lanes: &Range<usize>) -> i64 {
        lowest(&self.alone[span][which as usize][lanes.clone()])
    }

    /// As [`Lows::alone`], of all underlyings together.
    #[inline(always)]
    pub(crate) fn joint(&self, which: Which, lanes: &Range<usize>) -> i64 {
        lowest(&self.joint[which as usize][lanes.clone()])
    }

    /// A kept entry of an underlying.
    #[inline(always)]
    pub(crate) fn kept_alone(&self, span: usize, which: Which, place: usize) -> i64 {
        self.kept[(2 * span + which as usize) * self.heights.0 * WIDTH + place] as i64
    }

    /// A kept entry of all underlyings together.
    #[inline(always)]
    pub(crate) fn kept_joint(&self, which: Which, place: usize) -> i64 {
        let before = 2 * self.alone.len() * self.heights.0 + which as usize * self.heights.1;
        self.kept[before * WIDTH + place] as i64
    }

    /// Sums the rows of an account. `keep` keeps every vector.
    pub(crate) fn scan(&mut self, path: Path, rows: &Rows, legs: &[Leg], spans: &[Span], keep: bool) {
        self.heights = (rows.alone, rows.joint);
        self.alone.clear();
        self.alone.resize(spans.len(), [[0.0; WIDTH]; 2]);
        self.kept.clear();
        if keep {
            self.kept.resize(2 * (spans.len() * rows.alone + rows.joint) * WIDTH, 0.0);
        }
        match &rows.entries {
            Entries::Narrow(entries) => path.run(Scan { entries, legs, spans, keep, lows: self }),
            Entries::Wide(entries) => path.run(Scan { entries, legs, spans, keep, lows: self }),
        }
    }
}

#[inline(always)]
fn lowest(lanes: &[f64]) -> i64 {
    let mut low = 0.0;
    for x in lanes {
        low = if *x < low { *x } else { low };
    }
    low as i64
}

struct Scan<'a, E> {
    entries: &'a [E],
    legs: &'a [Leg],
    spans: &'a [Span],
    keep: bool,
    lows: &'a mut Lows,
}

impl<E: Entry> WithSimd for Scan<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { entries, legs, spans, keep, lows } = self;
        let (alone, joint) = (lows.heights.0 * WIDTH, lows.heights.1 * WIDTH);
        let sums = Sums { entries, stride: alone + joint };
        let mut longs = 0;
        for (i, (span, low)) in spans.iter().zip(&mut lows.alone).enumerate() {
            let own = &legs[span.start..span.end];
            longs += span.longs;
            let [all, rest] = split(&mut lows.kept, keep, 2 * i * alone, alone);
            low[0] = sums.low(own, 0..alone, |leg| leg.lots, all);
            if span.longs == 0 {
                low[1] = low[0];
                copy(&mut lows.kept, keep, 2 * i * alone, alone);
            } else if span.longs < own.len() {
                low[1] = sums.low(own, 0..alone, |leg| leg.rest, rest);
            }
        }
        let first = 2 * spans.len() * alone;
        let [all, rest] = split(&mut lows.kept, keep, first, joint);
        let together = alone..alone + joint;
        lows.joint[0] = sums.low(legs, together.clone(), |leg| leg.lots, all);
        if longs == 0 {
            lows.joint[1] = lows.joint[0];
            copy(&mut lows.kept, keep, first, joint);
        } else {
            lows.joint[1] = sums.low(legs, together, |leg| leg.rest, rest);
        }
    }
}

/// Where the sums of all and of the rest are kept: nowhere, unless they are.
#[inline(always)]
fn split(kept: &mut [f64], keep: bool, at: usize, lanes: usize) -> [&mut [f64]; 2] {
    if !keep {
        return [&mut [], &mut []];
    }
    let (all, rest) = kept[at..at + 2 * lanes].split_at_mut(lanes);
    [all, rest]
}

/// Keeps the sums of all as those of the rest.
#[inline(always)]
fn copy(kept: &mut [f64], keep: bool, at: usize, lanes: usize) {
    if keep {
        kept.copy_within(at..at + lanes, at + lanes);
    }
}

#[derive(Clone, Copy)]
struct Sums<'a, E> {
    entries: &'a [E],
    /// Lanes of a row.
    stride: usize,
}

impl<E: Entry> Sums<'_, E> {
    /// The lowest of every lane of a vector over a range of lanes of the rows, at most 0; the sums themselves where there
    /// is room.
    #[inline(always)]
    fn low(
        self,
        legs: &[Leg],
        lanes: Range<usize>,
        lots: impl Fn(&Leg) -> f64 + Copy,
        kept: &mut [f64],
    ) -> Vector {
        let mut low = [0.0; LANES];
        let mut at = lanes.start;
        while at < lanes.end {
            let sums = self.band(legs, at, lots);
            for j in 0..LANES {
                low[j] = if sums[j] < low[j] { sums[j] } else { low[j] };
            }
            if let Some(room) = kept.get_mut(at - lanes.start..at - lanes.start + LANES) {
                room.copy_from_slice(&sums);
            }
            at += LANES;
        }
        let mut least = [0.0; WIDTH];
        for (lane, least) in least.iter_mut().enumerate() {
            for vector in 0..BAND {
                let value = low[vector * WIDTH + lane];
                *least = if value < *least { value } else { *least };
            }
        }
        least
    }

    /// The sums of a band of lanes.
    #[inline(always)]
    fn band(self, legs: &[Leg], from: usize, lots: impl Fn(&Leg) -> f64) -> [f64; LANES] {
        let mut sums = [0.0; LANES];
        for leg in legs {
            let start = leg.row as usize * self.stride + from;
            let row = &self.entries[start..start + LANES];
            let lots = lots(leg);
            for j in 0..LANES {
                sums[j] += row[j].lane() * lots;
            }
        }
        sums
    }
}
