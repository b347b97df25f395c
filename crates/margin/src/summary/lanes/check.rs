//! One account that is asked again and again with one position changed.
//!
//! **The one idea:** what an underlying comes to is kept. A changed position asks for its own underlying anew; sums over
//! underlyings are sums of what is kept, and sums over positions change by one row.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::charge::{Charged, Queue};
use super::exact::WIDTH;
use super::rows::{Band, Entries, Entry, LANES, Leg, MARK, Measures, step};
use super::walk::{CHARGES, Held, Span, Sums, Walked, add_losses, alone, together};
use crate::summary::terms::Native;
use plimsoll_lanes::{Simd, WithSimd};

/// What the positions on one underlying come to.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    losses: [Measures; 2],
    /// On sets of all positions, of the rest, and of both.
    charges: [Charged; CHARGES],
}

/// An account as it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    legs: Vec<Leg>,
    spans: Vec<Span>,
    found: Vec<Found>,
    joint: Vec<f64>,
    sums: Sums,
}

/// Keeps the only account of a walk.
pub(crate) struct Keep<'a> {
    pub(crate) native: &'a Native,
    pub(crate) walked: &'a mut Walked,
    pub(crate) standing: &'a mut Standing,
}

impl WithSimd for Keep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { native, walked, standing } = self;
        standing.legs.clone_from(&walked.legs);
        standing.spans.clone_from(&walked.spans);
        standing.joint.clone_from(&walked.joint);
        standing.sums = walked.sums[0];
        standing.found.clear();
        for span in &walked.spans {
            let legs = &walked.legs[span.start as usize..span.end as usize];
            let found = match &native.rows.entries {
                Entries::Narrow(all) => found::<S, i32>(native, &all[0], span, legs, &mut walked.queue),
                Entries::Wide(all) => found::<S, f64>(native, &all[0], span, legs, &mut walked.queue),
            };
            standing.found.push(found);
        }
    }
}

/// The positions on one underlying.
#[inline(always)]
fn found<S: Simd, E: Entry>(
    native: &Native,
    entries: &[Band<E>],
    span: &Span,
    legs: &[Leg],
    queue: &mut Queue,
) -> Found {
    let underlying = span.underlying as usize;
    let (rates, terms) = (&native.rates[underlying], &native.underlyings[underlying]);
    let losses = match legs {
        [leg] => alone::<S>((&native.rows, rates), span, leg, queue),
        _ => together::<S, E>((&native.rows, rates), entries, span, legs, queue),
    };
    let mut charges = [Charged::default(); CHARGES];
    queue.charge::<S>(rates, terms, |row, charged| charges[row as usize] = charged);
    queue.clear();
    Found { losses, charges }
}

/// The account with one position changed, as if it was walked; or as it stands.
pub(crate) struct Change<'a> {
    pub(crate) native: &'a Native,
    pub(crate) standing: &'a Standing,
    pub(crate) walked: &'a mut Walked,
    /// Row and lots of the position after the change. The row is one of the arrays.
    pub(crate) to: Option<(u32, i64)>,
}

impl WithSimd for Change<'_> {
    /// Whether all sums are exact.
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        match &self.native.rows.entries {
            Entries::Narrow(all) => self.make::<S, i32>(all),
            Entries::Wide(all) => self.make::<S, f64>(all),
        }
    }
}

impl Change<'_> {
    #[inline(always)]
    fn make<S: Simd, E: Entry>(self, entries: &[Vec<Band<E>>; 2]) -> bool {
        let Self { native, standing, walked, to } = self;
        let mut sums = standing.sums.amounts();
        walked.joint.clone_from(&standing.joint);
        let changed = to.map(|(row, lots)| {
            let limited = native.rows.briefs[row as usize].limited;
            let leg = Leg::new(row, lots, limited && lots > 0);
            let (at, old) = standing.replace(native, leg, walked);
            add_change::<S>(native, &mut sums, (&old, &leg));
            add_row::<S, E>(&entries[1], native.rows.heights[1], &mut walked.joint, (&old, &leg));
            at
        });
        if changed.is_none() {
            walked.legs.clone_from(&standing.legs);
            walked.spans.clone_from(&standing.spans);
        }
        if !walked.is_exact(native) {
            return false;
        }
        walked.charges.clear();
        walked.charges.resize(CHARGES, Charged::default());
        walked.scans.clear();
        let (mut longs, new) = (0, changed.is_some() && walked.spans.len() > standing.spans.len());
        for at in 0..walked.spans.len() {
            let span = walked.spans[at];
            let found = if changed == Some(at) {
                let legs = &walked.legs[span.start as usize..span.end as usize];
                found::<S, E>(native, &entries[0], &span, legs, &mut walked.queue)
            } else {
                standing.found[at - usize::from(new && changed.is_some_and(|changed| at > changed))]
            };
            longs += span.longs as usize;
            add_losses(&mut sums, &found.losses, (&span, native.rows.measures));
            walked.scans.push(found.losses.map(|measures| measures.map(|slots| slots[0])));
            for (sum, charged) in walked.charges.iter_mut().zip(&found.charges) {
                for j in 0..WIDTH {
                    sum[j] += charged[j];
                }
            }
        }
        sums.joint = walked.worst_joint(native);
        walked.sums.clear();
        walked.sums.push(sums);
        walked.accounts.clear();
        let (legs, spans) = (0..walked.legs.len(), 0..walked.spans.len());
        walked.accounts.push(Held { legs, spans, longs });
        true
    }
}

impl Standing {
    /// Puts the legs and spans with one leg replaced or added into a walk; gives its span, and the leg before.
    #[inline(always)]
    fn replace(&self, native: &Native, leg: Leg, walked: &mut Walked) -> (usize, Leg) {
        let underlying = native.rows.briefs[leg.row as usize].underlying;
        let at = self.spans.partition_point(|span| span.underlying < underlying);
        let known = self.spans.get(at).filter(|span| span.underlying == underlying);
        let start = known.map(|span| span.start).or_else(|| Some(self.spans.get(at)?.start));
        let start = start.unwrap_or(self.legs.len() as u32);
        let end = known.map_or(start, |span| span.end);
        let own = &self.legs[start as usize..end as usize];
        let same = own.iter().position(|other| other.row == leg.row);
        let old = same.map_or(Leg::new(leg.row, 0, false), |i| own[i]);
        walked.legs.clear();
        walked.legs.extend_from_slice(&self.legs[..end as usize]);
        match same.and_then(|i| walked.legs.get_mut(start as usize + i)) {
            Some(place) => *place = leg,
            None => walked.legs.push(leg),
        }
        let (new_end, more) = (walked.legs.len() as u32, u32::from(same.is_none()));
        walked.legs.extend_from_slice(&self.legs[end as usize..]);
        let is_long = |leg: &Leg| u32::from(leg.lots != leg.rest);
        let longs = known.map_or(0, |span| span.longs) + is_long(&leg) - is_long(&old);
        walked.spans.clear();
        walked.spans.extend_from_slice(&self.spans[..at]);
        walked.spans.push(Span::new((start, new_end), longs, underlying));
        let after = self.spans.get(at + usize::from(known.is_some())..).unwrap_or_default();
        walked.spans.extend(after.iter().map(|span| span.moved(more)));
        (at, old)
    }
}

/// Greeks, marks and lots of one position in place of another on the same row.
#[inline(always)]
fn add_change<S: Simd>(native: &Native, sums: &mut Sums, (old, new): (&Leg, &Leg)) {
    let greeks = &native.rows.greeks[new.row as usize].0;
    let lots = new.lots - old.lots;
    for j in 0..WIDTH {
        sums.greeks[j] = step::<S>(greeks[j], lots, sums.greeks[j]);
    }
    sums.lots[0] += new.lots.abs() - old.lots.abs();
    sums.lots[1] += new.rest.abs() - old.rest.abs();
    sums.longs += greeks[MARK] * ((new.lots - new.rest) - (old.lots - old.rest));
}

/// The change of the columns that count together.
#[inline(always)]
fn add_row<S: Simd, E: Entry>(
    entries: &[Band<E>],
    height: usize,
    joint: &mut [f64],
    (old, new): (&Leg, &Leg),
) {
    let (all, rest) = joint.split_at_mut(height * WIDTH);
    let bands = height * WIDTH / LANES;
    for (sums, lots) in [(all, new.lots - old.lots), (rest, new.rest - old.rest)] {
        let (sums, _) = sums.as_chunks_mut::<LANES>();
        for (sums, band) in sums.iter_mut().zip(&entries[new.row as usize * bands..]) {
            for j in 0..LANES {
                sums[j] = step::<S>(band.0[j].lane(), lots, sums[j]);
            }
        }
    }
}
