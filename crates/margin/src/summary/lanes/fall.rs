//! The charge on collateral that falls with the account, where an account has one such asset: the formula of
//! `crate::wrong_way`, over the columns of a set in step.
//!
//! Only the size of the charge is found, which does not depend on the column that makes it. Where several assets share it
//! the column matters, and the formula itself is asked.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::exact::{WHOLE, WIDTH, least, most, scale_up, whole};
use super::rows::{BAND, Band, CHARGED, Entries, Entry, LANES, Leg, Rows, Which, band};
use crate::summary::columns::{Columns, Loss, Read};
use crate::wrong_way::Exposed;
use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_types::Ppb;

/// The falls of an asset on the lanes of a row, by measure: of columns that count underlying by underlying and of those
/// that count together. Beneath 0 where a lane is none of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Falls {
    alone: [Vec<f64>; 2],
    joint: [Vec<f64>; 2],
    /// The steepest of the columns that count underlying by underlying.
    steepest: [f64; 2],
    /// What is worth less than this stays exact.
    most: f64,
}

impl Falls {
    /// From the fall in every column; none where it has none.
    pub(crate) fn new(falls: &[Ppb], columns: &Columns, together: bool) -> Self {
        let largest = falls.iter().map(|fall| fall.0).max().unwrap_or(0).max(1_000_000_000) as f64;
        let mut of = Self { most: CHARGED * WHOLE / largest, ..Self::default() };
        let fill = |lanes: &mut [f64], loss: &Loss| {
            for place in &loss.places {
                if let (Some(lane), Some(fall)) = (lanes.get_mut(place.place), falls.get(place.column)) {
                    *lane = fall.0 as f64;
                }
            }
        };
        for (measure, read) in [&columns.im, &columns.mm].into_iter().enumerate() {
            let Read { grid, states } = read;
            of.alone[measure] = vec![-1.0; columns.alone * WIDTH];
            of.joint[measure] = vec![-1.0; columns.joint * WIDTH];
            fill(&mut of.alone[measure], grid);
            of.steepest[measure] = of.alone[measure].iter().copied().fold(0.0, most);
            for state in states.iter().filter(|_| together) {
                fill(&mut of.joint[measure], &state.systematic);
            }
        }
        of
    }
}

/// The positions on one underlying, and their scan loss by measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    pub(crate) legs: (u32, u32),
    pub(crate) scan: [f64; 2],
}

/// Finds the charge on a set of positions of an account with one such asset, by measure; `None` where it is worth too much
/// for the lanes.
pub(crate) struct Fall<'a, I> {
    pub(crate) rows: &'a Rows,
    pub(crate) legs: &'a [Leg],
    pub(crate) which: Which,
    /// Every underlying of the account, and the largest of their scan losses.
    pub(crate) spans: I,
    pub(crate) largest_alone: [f64; 2],
    /// The sums of the set in the columns that count together.
    pub(crate) joint: &'a [f64],
    pub(crate) exposed: Exposed,
    pub(crate) falls: &'a Falls,
    /// The largest loss by measure.
    pub(crate) largest: [i64; 2],
}

impl<I: Iterator<Item = Near> + Clone> WithSimd for Fall<'_, I> {
    type Output = Option<[i64; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        self.run::<S>()
    }
}

/// `wrong_way x fall x value`, at most what it counts for.
#[derive(Clone, Copy)]
struct Share {
    value: f64,
    counted: f64,
    wrong_way: f64,
}

impl Share {
    /// What the asset loses by a fall.
    #[inline(always)]
    fn by<S: Simd>(self, fall: f64) -> f64 {
        let part = scale_up::<S>(scale_up::<S>(self.value, fall), self.wrong_way);
        most(least(part, self.counted), 0.0)
    }

    /// What it loses in a band; beneath 0 where the lanes are no columns.
    #[inline(always)]
    fn fallen<S: Simd>(self, falls: &[f64; LANES]) -> [f64; LANES] {
        let mut fallen = [0.0; LANES];
        for j in 0..LANES {
            fallen[j] = if falls[j] < 0.0 { -1.0 } else { self.by::<S>(falls[j]) };
        }
        fallen
    }
}

/// The most that a band of sums loses together with what the asset loses, or `so_far`.
#[inline(always)]
fn together(sums: &[f64; LANES], fallen: &[f64; LANES], so_far: &mut [f64; LANES]) {
    for j in 0..LANES {
        let loss = if fallen[j] < 0.0 { 0.0 } else { most(-sums[j], 0.0) };
        so_far[j] = most(loss + least(loss, fallen[j]), so_far[j]);
    }
}

impl<I: Iterator<Item = Near> + Clone> Fall<'_, I> {
    #[inline(always)]
    pub(crate) fn run<S: Simd>(self) -> Option<[i64; 2]> {
        match &self.rows.entries {
            Entries::Narrow(all) => self.charges::<S, i32>(&all[0]),
            Entries::Wide(all) => self.charges::<S, f64>(&all[0]),
        }
    }

    #[inline(always)]
    fn charges<S: Simd, E: Entry>(self, entries: &[Band<E>]) -> Option<[i64; 2]> {
        let Self { exposed, falls, largest, .. } = self;
        let value = exposed.value as f64;
        if value >= falls.most || exposed.wrong_way.0 > 1_000_000_000 {
            return None;
        }
        let share = Share { value, counted: exposed.counted as f64, wrong_way: exposed.wrong_way.0 as f64 };
        let mut charges = [0; 2];
        for measure in 0..self.rows.measures {
            let mut so_far = [0.0; LANES];
            let (joint, _) = self.joint.as_chunks::<LANES>();
            for (sums, falls) in joint.iter().zip(falls.joint[measure].as_chunks::<LANES>().0) {
                together(sums, &share.fallen::<S>(falls), &mut so_far);
            }
            self.alone::<S, E>(entries, measure, share, &mut so_far);
            let worst = so_far.into_iter().fold(0.0, most);
            charges[measure] = (whole(worst) - largest[measure]).max(0);
        }
        if self.rows.measures == 1 {
            charges[1] = charges[0];
        }
        Some(charges)
    }

    /// Of the underlyings that can lose more with the asset than what is known already: no more than twice what they lose, nor
    /// than that and the steepest fall.
    #[inline(always)]
    fn alone<S: Simd, E: Entry>(
        &self,
        entries: &[Band<E>],
        measure: usize,
        share: Share,
        so_far: &mut [f64; LANES],
    ) {
        let known = so_far.iter().copied().fold(self.largest[measure] as f64, most);
        let steepest = share.by::<S>(self.falls.steepest[measure]);
        let can = |scan: f64| scan + least(scan, steepest) > known;
        if !can(self.largest_alone[measure]) {
            return;
        }
        let stride = self.rows.heights[0] / BAND;
        let (falls, _) = self.falls.alone[measure].as_chunks::<LANES>();
        for (at, falls) in falls.iter().enumerate() {
            let fallen = share.fallen::<S>(falls);
            for Near { legs: (start, end), .. } in self.spans.clone().filter(|near| can(near.scan[measure])) {
                let legs: &[Leg] = &self.legs[start as usize..end as usize];
                together(&band::<S, E>(entries, (stride, at), (legs, self.which)), &fallen, so_far);
            }
        }
    }
}
