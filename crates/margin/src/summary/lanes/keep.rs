//! Accounts that are walked again when one underlying has moved, from what was kept of the last walk.
//!
//! **The one idea:** losses and charges are kept underlying by underlying, and those of what moved are found anew. Sums over
//! the positions of an account change by as much as the rows have moved. All of them are whole numbers that lanes hold
//! exactly, so neither way nor order is seen in a sum.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::exact::WIDTH;
use super::rows::{Band, Entries, Entry, LANES, MARK, Measures, Moved, SLOTS, step};
use super::walk::{ALL, BOTH, CHARGES, REST, Walked, add_amounts, add_losses, alone, together};
use crate::summary::terms::Native;
use plimsoll_lanes::{Simd, WithSimd};

/// What is kept of an account: Greeks and marks, lots of all and of the rest, marks of longs; sums of the columns that
/// count together; what each underlying comes to. Empty where nothing is.
pub(crate) type Kept = Vec<f64>;

/// Numbers ahead of the columns.
const HEAD: usize = WIDTH + 3;
/// Charges of a set that are not zero.
const CHARGED: usize = 6;

/// Numbers of a span: losses and charges, of all positions and of the rest.
fn stride(measures: usize) -> usize {
    2 * measures * SLOTS + 2 * CHARGED
}

/// Numbers of columns that count together.
fn lanes(native: &Native) -> usize {
    2 * native.rows.heights[1] * WIDTH
}

/// How many numbers are kept of an account with so many spans.
pub(crate) fn size(native: &Native, spans: usize) -> usize {
    HEAD + lanes(native) + spans * stride(native.rows.measures)
}

/// Walks the accounts and keeps what they come to; with `moved` only the underlying of that number, the rest as kept.
pub(crate) struct Rewalk<'a, 'k> {
    pub(crate) native: &'a Native,
    pub(crate) walked: &'a mut Walked,
    /// By account.
    pub(crate) kept: &'a mut [&'k mut Kept],
    pub(crate) moved: Option<(usize, &'a Moved)>,
}

impl WithSimd for Rewalk<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { native, walked, kept, moved } = self;
        walked.begin(native);
        walked.founds.clear();
        walked.founds.resize(walked.spans.len() * stride(native.rows.measures), 0.0);
        match &native.rows.entries {
            Entries::Narrow(all) => walked.rewalk::<S, i32>(native, all, kept, moved),
            Entries::Wide(all) => walked.rewalk::<S, f64>(native, all, kept, moved),
        }
    }
}

impl Walked {
    #[inline(always)]
    fn rewalk<S: Simd, E: Entry>(
        &mut self,
        native: &Native,
        entries: &[Vec<Band<E>>; 2],
        kept: &mut [&mut Kept],
        moved: Option<(usize, &Moved)>,
    ) {
        if let Some((underlying, moved)) = moved {
            self.load(native, kept);
            self.shift::<S>(native, underlying, moved);
            self.find::<S, E>(native, &entries[0], underlying);
        } else {
            self.walk_joint::<S, E>(native, &entries[1]);
            for (sums, held) in self.sums.iter_mut().zip(&self.accounts) {
                add_amounts(sums, &native.rows, &self.legs[held.legs.clone()]);
            }
            for underlying in 0..self.shelves.len() {
                self.find::<S, E>(native, &entries[0], underlying);
            }
        }
        self.add_up(native);
        self.store(native, kept, moved.map(|(underlying, _)| underlying));
    }

    /// What was kept.
    #[inline(always)]
    fn load(&mut self, native: &Native, kept: &[&mut Kept]) {
        let (lanes, stride) = (lanes(native), stride(native.rows.measures));
        for (i, (held, kept)) in self.accounts.iter().zip(kept).enumerate() {
            let (head, rest) = kept.split_at(HEAD);
            let (joint, founds) = rest.split_at(lanes);
            let sums = &mut self.sums[i];
            sums.greeks.copy_from_slice(&head[..WIDTH]);
            sums.lots.copy_from_slice(&head[WIDTH..WIDTH + 2]);
            sums.longs = head[WIDTH + 2];
            self.joint[i * lanes..(i + 1) * lanes].copy_from_slice(joint);
            self.founds[held.spans.start * stride..held.spans.end * stride].copy_from_slice(founds);
        }
    }

    /// Moves the sums over positions with the rows of an underlying.
    #[inline(always)]
    fn shift<S: Simd>(&mut self, native: &Native, underlying: usize, moved: &Moved) {
        let (lanes, bands) = (lanes(native), lanes(native) / 2 / LANES);
        let Self { legs, spans, sums, joint, shelves, .. } = self;
        let shelf = shelves.get(underlying);
        for at in shelf.into_iter().flat_map(|shelf| shelf.single.iter().chain(&shelf.several)) {
            let span = &spans[*at as usize];
            let account = span.account as usize;
            let (all, rest) = joint[account * lanes..(account + 1) * lanes].split_at_mut(lanes / 2);
            for leg in &legs[span.start as usize..span.end as usize] {
                let row = leg.row as usize;
                for band in 0..bands {
                    let by = &moved.joint[row * bands + band].0;
                    let here = band * LANES..(band + 1) * LANES;
                    let (all, rest) = (&mut all[here.clone()], &mut rest[here]);
                    for j in 0..LANES {
                        all[j] = step::<S>(by[j], leg.lots, all[j]);
                        rest[j] = step::<S>(by[j], leg.rest, rest[j]);
                    }
                }
                let (by, sums) = (&moved.greeks[row].0, &mut sums[account]);
                for j in 0..WIDTH {
                    sums.greeks[j] = step::<S>(by[j], leg.lots, sums.greeks[j]);
                }
                sums.longs += by[MARK] * (leg.lots - leg.rest);
            }
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            let (all, rest) = joint[i * lanes..(i + 1) * lanes].split_at(lanes / 2);
            sums.joint =
                [all, rest].map(|sums| super::rows::worst(sums, &native.rows.masks[1], native.rows.measures));
        }
    }

    /// Losses and charges of the spans of an underlying.
    #[inline(always)]
    fn find<S: Simd, E: Entry>(&mut self, native: &Native, entries: &[Band<E>], underlying: usize) {
        let Some((rates, terms)) = native.rates.get(underlying).zip(native.underlyings.get(underlying))
        else {
            return;
        };
        let (measures, stride) = (native.rows.measures, stride(native.rows.measures));
        let Self { legs, spans, accounts, shelves, queue, founds, .. } = self;
        let Some(shelf) = shelves.get(underlying) else { return };
        for at in shelf.single.iter().chain(&shelf.several) {
            let span = &spans[*at as usize];
            let found = match &legs[span.start as usize..span.end as usize] {
                [leg] => alone::<S>((&native.rows, rates), span, leg, queue),
                legs => together::<S, E>((&native.rows, rates), entries, span, legs, queue),
            };
            let out = &mut founds[*at as usize * stride..(*at as usize + 1) * stride];
            out.fill(0.0);
            for (out, of) in out.chunks_exact_mut(measures * SLOTS).zip(&found) {
                out.copy_from_slice(of[..measures].as_flattened());
            }
        }
        queue.charge::<S>(rates, terms, |row, charged| {
            let held = &accounts[row as usize / CHARGES].spans;
            // Spans of an account are in order of their underlyings.
            let own = &spans[held.clone()];
            let at = held.start + own.partition_point(|span| (span.underlying as usize) < underlying);
            let set = usize::from(row % CHARGES as u32 == REST);
            let first = at * stride + 2 * measures * SLOTS + set * CHARGED;
            founds[first..first + CHARGED].copy_from_slice(&charged[..CHARGED]);
        });
        queue.clear();
    }

    /// Sums over underlyings.
    #[inline(always)]
    fn add_up(&mut self, native: &Native) {
        let (measures, stride) = (native.rows.measures, stride(native.rows.measures));
        for (at, (span, found)) in self.spans.iter().zip(self.founds.chunks_exact(stride)).enumerate() {
            let (losses, charges) = found.split_at(2 * measures * SLOTS);
            let mut sets = [Measures::default(); 2];
            for (set, of) in sets.iter_mut().zip(losses.chunks_exact(measures * SLOTS)) {
                set[..measures].as_flattened_mut().copy_from_slice(of);
            }
            add_losses(&mut self.sums[span.account as usize], &sets, (span, measures));
            self.scans[at] = sets.map(|measures| measures.map(|slots| slots[0]));
            let own = if span.longs > 0 { ALL } else { BOTH };
            for (set, charged) in [own, REST].into_iter().zip(charges.chunks_exact(CHARGED)) {
                let sums = &mut self.charges[CHARGES * span.account as usize + set as usize];
                for j in 0..CHARGED {
                    sums[j] += charged[j];
                }
            }
        }
    }

    #[inline(always)]
    fn store(&self, native: &Native, kept: &mut [&mut Kept], only: Option<usize>) {
        let (lanes, stride) = (lanes(native), stride(native.rows.measures));
        for (i, (held, kept)) in self.accounts.iter().zip(kept).enumerate() {
            let sums = &self.sums[i];
            kept.resize(size(native, held.spans.len()), 0.0);
            let (head, rest) = kept.split_at_mut(HEAD);
            let (joint, founds) = rest.split_at_mut(lanes);
            head[..WIDTH].copy_from_slice(&sums.greeks);
            head[WIDTH..WIDTH + 2].copy_from_slice(&sums.lots);
            head[WIDTH + 2] = sums.longs;
            joint.copy_from_slice(&self.joint[i * lanes..(i + 1) * lanes]);
            for (at, out) in held.spans.clone().zip(founds.chunks_exact_mut(stride)) {
                if only.is_none_or(|only| self.spans[at].underlying as usize == only) {
                    out.copy_from_slice(&self.founds[at * stride..(at + 1) * stride]);
                }
            }
        }
    }
}
