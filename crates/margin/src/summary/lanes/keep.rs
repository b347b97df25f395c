//! What every span of the accounts of a walk comes to, noted to be kept.
//!
//! **The one idea:** losses and charges are noted underlying by underlying, and sums over underlyings are sums of what is noted:
//! so those of one underlying can be found anew by themselves, see [`super::tick`].

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::rows::{Band, Entries, Entry, Measures, SLOTS};
use super::walk::{ALL, BOTH, CHARGES, REST, Walked, add_amounts, add_losses, alone, together};
use crate::summary::terms::Native;
use plimsoll_lanes::{Simd, WithSimd};

/// Charges of a set that are not zero.
pub(crate) const CHARGED: usize = 6;

/// Numbers of losses of a span, of all positions and of the rest; what the rest loses comes after.
pub(crate) fn losses(measures: usize) -> usize {
    2 * measures * SLOTS
}

/// Numbers of a span: losses, and then charges of all positions and of the rest.
pub(crate) fn stride(measures: usize) -> usize {
    losses(measures) + 2 * CHARGED
}

/// Walks the accounts and notes what their spans come to.
pub(crate) struct WalkSpans<'a> {
    pub(crate) native: &'a Native,
    pub(crate) walked: &'a mut Walked,
}

impl WithSimd for WalkSpans<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { native, walked } = self;
        walked.begin(native);
        walked.founds.clear();
        walked.founds.resize(walked.spans.len() * stride(native.rows.measures), 0.0);
        match &native.rows.entries {
            Entries::Narrow(all) => walked.walk_spans::<S, i32>(native, all),
            Entries::Wide(all) => walked.walk_spans::<S, f64>(native, all),
        }
    }
}

impl Walked {
    #[inline(always)]
    fn walk_spans<S: Simd, E: Entry>(&mut self, native: &Native, entries: &[Vec<Band<E>>; 2]) {
        self.walk_joint::<S, E>(native, &entries[1]);
        for (sums, held) in self.sums.iter_mut().zip(&self.accounts) {
            add_amounts(sums, &native.rows, &self.legs[held.legs.clone()]);
        }
        for underlying in 0..self.shelves.len() {
            self.find::<S, E>(native, &entries[0], underlying);
        }
        self.add_up(native);
    }

    /// Losses and charges of the spans of an underlying.
    #[inline(always)]
    fn find<S: Simd, E: Entry>(&mut self, native: &Native, entries: &[Band<E>], underlying: usize) {
        let (rates, terms) = (&native.rates[underlying], &native.underlyings[underlying]);
        let stride = stride(native.rows.measures);
        let Self { legs, spans, accounts, shelves, queue, founds, .. } = self;
        let shelf = &shelves[underlying];
        for at in shelf.single.iter().chain(&shelf.several) {
            let span = &spans[*at as usize];
            let found = match &legs[span.start as usize..span.end as usize] {
                [leg] => alone::<S>((&native.rows, rates), span, leg, queue),
                legs => together::<S, E>((&native.rows, rates), entries, span, legs, queue),
            };
            note(
                &mut founds[*at as usize * stride..(*at as usize + 1) * stride],
                &found,
                native.rows.measures,
            );
        }
        queue.charge::<S>(rates, terms, |row, charged| {
            let held = &accounts[row as usize / CHARGES].spans;
            // Spans of an account are in order of their underlyings.
            let own = &spans[held.clone()];
            let at = held.start + own.partition_point(|span| (span.underlying as usize) < underlying);
            let set = usize::from(row % CHARGES as u32 == REST);
            let first = at * stride + losses(native.rows.measures) + set * CHARGED;
            founds[first..first + CHARGED].copy_from_slice(&charged[..CHARGED]);
        });
        queue.clear();
    }

    /// Sums over underlyings.
    #[inline(always)]
    fn add_up(&mut self, native: &Native) {
        let (measures, stride) = (native.rows.measures, stride(native.rows.measures));
        for (at, (span, found)) in self.spans.iter().zip(self.founds.chunks_exact(stride)).enumerate() {
            let (found, charges) = found.split_at(losses(measures));
            let mut sets = [Measures::default(); 2];
            for (set, of) in sets.iter_mut().zip(found.chunks_exact(measures * SLOTS)) {
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
}

/// Notes the losses of a span.
#[inline(always)]
pub(crate) fn note(out: &mut [f64], found: &[Measures; 2], measures: usize) {
    for (out, of) in out.chunks_exact_mut(measures * SLOTS).zip(found) {
        out.copy_from_slice(of[..measures].as_flattened());
    }
}
