//! What the positions of some accounts come to: scenario losses, Greeks, charges on underlyings; on float lanes, where a
//! bound on each account proves that every sum is exact.
//!
//! **The one idea:** what is asked underlying by underlying is found underlying by underlying, for all accounts of a chunk, so
//! that its rows are near and eight charges are made in step. What is alone in its underlying needs no sums over scenarios:
//! the ends of its row times its lots say all that is asked of it.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::charge::{Charged, Queue, Rates};
use super::exact::{Vector, WIDTH, whole};
use super::fall::Near;
use super::rows::{Band, Entries, Entry, Leg, MARK, Measures, Rows, SLOTS, Which, losses, worst};
use crate::summary::terms::Native;
use plimsoll_lanes::{Simd, WithSimd};
use std::ops::Range;

/// The legs on one underlying.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// How many of them are long options or long spot.
    pub(crate) longs: u32,
    pub(crate) underlying: u32,
    pub(crate) account: u32,
}

impl Span {
    /// Of the only account.
    pub(crate) fn new((start, end): (u32, u32), longs: u32, underlying: u32) -> Self {
        Self { start, end, longs, underlying, account: 0 }
    }

    /// Its legs so many places later.
    pub(crate) fn moved(&self, by: u32) -> Self {
        Self { start: self.start + by, end: self.end + by, ..*self }
    }
}

/// Where an account's legs and spans are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Held {
    pub(crate) legs: Range<usize>,
    pub(crate) spans: Range<usize>,
    pub(crate) longs: usize,
}

/// Sums over the positions of an account, and over those that are not long.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Sums {
    /// Of all underlyings, each by itself: sum and largest.
    pub(crate) losses: [Measures; 2],
    pub(crate) most: [Measures; 2],
    /// Of all of them together.
    pub(crate) joint: [Measures; 2],
    /// Seven Greeks, and the marks.
    pub(crate) greeks: Vector,
    pub(crate) lots: [f64; 2],
    /// Underlyings that lose somewhere, and that are held.
    pub(crate) live: [u32; 2],
    held: [u32; 2],
    /// Marks of longs.
    pub(crate) longs: f64,
}

impl Sums {
    /// Without the losses.
    pub(crate) fn amounts(&self) -> Self {
        Self { greeks: self.greeks, lots: self.lots, longs: self.longs, ..Self::default() }
    }
}

/// Accounts that are walked together, and what is found of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walked {
    pub(crate) legs: Vec<Leg>,
    pub(crate) spans: Vec<Span>,
    pub(crate) accounts: Vec<Held>,
    pub(crate) sums: Vec<Sums>,
    /// Scan losses of a span: of all and of the rest, in initial and in maintenance margin.
    pub(crate) scans: Vec<[[f64; 2]; 2]>,
    /// Kept sums of the columns that count together, of all and of the rest.
    pub(crate) joint: Vec<f64>,
    /// Of each account the charges on sets of all positions, of the rest, and of both.
    pub(crate) charges: Vec<Charged>,
    /// By underlying.
    pub(super) shelves: Vec<Shelf>,
    pub(crate) queue: Queue,
    /// Of a walk that is kept, what each span comes to.
    pub(crate) founds: Vec<f64>,
    open: Open,
}

/// Spans of an underlying: of one leg, and of several.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    pub(super) single: Vec<u32>,
    pub(super) several: Vec<u32>,
}

/// The account that is being added.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    legs: usize,
    spans: usize,
    longs: usize,
    /// Sums of `|lots| x largest`.
    gross: [f64; 2],
    /// Whether its legs came underlying by underlying.
    unordered: bool,
}

/// To which row of an account a set is charged.
pub(super) const ALL: u32 = 0;
pub(super) const REST: u32 = 1;
pub(super) const BOTH: u32 = 2;
pub(crate) const CHARGES: usize = 3;

impl Walked {
    /// Forgets all accounts.
    pub(crate) fn clear(&mut self) {
        self.legs.clear();
        self.spans.clear();
        self.accounts.clear();
        for shelf in &mut self.shelves {
            shelf.single.clear();
            shelf.several.clear();
        }
    }

    /// Begins an account.
    pub(crate) fn open(&mut self) {
        let (legs, spans) = (self.legs.len(), self.spans.len());
        self.open = Open { legs, spans, ..Open::default() };
    }

    /// Adds a position; `None` for one that is not in the arrays.
    #[inline(always)]
    pub(crate) fn hold(&mut self, rows: &Rows, instrument: u32, lots: i64) -> Option<()> {
        let lot = rows.briefs.get(instrument as usize)?;
        let long = lot.limited && lots > 0;
        let leg = Leg::new(instrument, lots, long);
        let at = self.legs.len() as u32;
        let open = &mut self.open;
        for (gross, largest) in open.gross.iter_mut().zip(lot.largest) {
            *gross += leg.lots.abs() * largest;
        }
        open.longs += usize::from(long);
        self.legs.push(leg);
        match self.spans.get_mut(open.spans..).and_then(<[Span]>::last_mut) {
            Some(span) if span.underlying == lot.underlying => {
                (span.end, span.longs) = (at + 1, span.longs + u32::from(long));
            }
            last => {
                open.unordered |= last.is_some_and(|span| span.underlying > lot.underlying);
                let (underlying, account) = (lot.underlying, self.accounts.len() as u32);
                self.spans.push(Span { start: at, end: at + 1, longs: u32::from(long), underlying, account });
            }
        }
        Some(())
    }

    /// Ends the account: takes it, or forgets it when it is `refused` or its sums may not be exact; says whether it is taken.
    #[inline(always)]
    pub(crate) fn close(&mut self, rows: &Rows, refused: bool) -> bool {
        let open = self.open;
        if refused || !rows.fits(open.gross) {
            self.legs.truncate(open.legs);
            self.spans.truncate(open.spans);
            return false;
        }
        if open.unordered {
            self.regroup(rows);
        }
        let (legs, spans) = (open.legs..self.legs.len(), open.spans..self.spans.len());
        for (at, span) in spans.clone().zip(&self.spans[open.spans..]) {
            let shelf = span.underlying as usize;
            if self.shelves.len() <= shelf {
                self.shelves.resize_with(shelf + 1, Shelf::default);
            }
            let Shelf { single, several } = &mut self.shelves[shelf];
            if span.end - span.start == 1 { single } else { several }.push(at as u32);
        }
        self.accounts.push(Held { legs, spans, longs: open.longs });
        true
    }

    /// Puts the legs of the open account in order of their underlyings.
    #[cold]
    fn regroup(&mut self, rows: &Rows) {
        let of = |leg: &Leg| rows.briefs[leg.row as usize].underlying;
        self.spans.truncate(self.open.spans);
        let legs = &mut self.legs[self.open.legs..];
        legs.sort_unstable_by_key(|leg| (of(leg), leg.row));
        let mut start = self.open.legs as u32;
        for legs in legs.chunk_by(|a, b| of(a) == of(b)) {
            let end = start + legs.len() as u32;
            let longs = legs.iter().filter(|leg| leg.lots != leg.rest).count() as u32;
            let (underlying, account) = (of(&legs[0]), self.accounts.len() as u32);
            self.spans.push(Span { start, end, longs, underlying, account });
            start = end;
        }
    }

    /// Whether every sum over the legs, which are those of one account, is exact.
    #[inline(always)]
    pub(crate) fn is_exact(&self, native: &Native) -> bool {
        native.rows.fits(native.rows.gross(&self.legs))
    }

    /// The losses of all underlyings together of the only account, from their sums.
    #[inline(always)]
    pub(crate) fn worst_joint(&self, native: &Native) -> [Measures; 2] {
        let rows = &native.rows;
        let (all, rest) = self.joint.split_at(rows.heights[1] * WIDTH);
        [all, rest].map(|sums| worst(sums, &rows.masks[1], rows.measures))
    }

    /// Room for the sums of the accounts.
    pub(super) fn begin(&mut self, native: &Native) {
        let joint = native.rows.heights[1] * WIDTH;
        let accounts = self.accounts.len();
        self.sums.clear();
        self.sums.resize(accounts, Sums::default());
        self.scans.clear();
        self.scans.resize(self.spans.len(), [[0.0; 2]; 2]);
        self.joint.clear();
        self.joint.resize(2 * joint * accounts, 0.0);
        self.charges.clear();
        self.charges.resize(CHARGES * accounts, [0.0; WIDTH]);
    }

    /// Underlyings of a set that lose somewhere, at least, and at most.
    pub(crate) fn live(&self, account: usize, which: Which) -> [u32; 2] {
        let sums = &self.sums[account];
        [sums.live[which as usize], sums.held[which as usize]]
    }

    /// See [`Charged`]; not a number where they are beyond the lanes.
    pub(crate) fn charges(&self, account: usize, which: Which) -> [f64; 6] {
        let rows = &self.charges[CHARGES * account..CHARGES * (account + 1)];
        let own = &rows[if which == Which::All { ALL } else { REST } as usize];
        std::array::from_fn(|j| own[j] + rows[BOTH as usize][j])
    }

    /// Seven Greeks, and the marks.
    pub(crate) fn greeks(&self, account: usize) -> [i64; WIDTH] {
        self.sums[account].greeks.map(whole)
    }

    /// The scan loss of a span in initial and in maintenance margin.
    pub(crate) fn scan(&self, span: usize, which: Which) -> [i64; 2] {
        self.scans[span][which as usize].map(whole)
    }

    /// The spans of an account with their scan losses.
    pub(crate) fn near(&self, account: usize, which: Which) -> impl Iterator<Item = Near> + Clone {
        let spans = self.accounts[account].spans.clone();
        let scans = self.scans[spans.clone()].iter().map(move |of| of[which as usize]);
        let near = |(span, scan): (&Span, [f64; 2])| Near { legs: (span.start, span.end), scan };
        self.spans[spans].iter().zip(scans).map(near)
    }

    /// The profits and losses of all underlyings together.
    #[inline(always)]
    pub(crate) fn joints(&self, account: usize, which: Which) -> &[f64] {
        let lanes = self.joint.len() / (2 * self.accounts.len()).max(1);
        &self.joint[(2 * account + which as usize) * lanes..][..lanes]
    }

    /// The profit or loss of all underlyings together at a place of their columns.
    pub(crate) fn joint(&self, account: usize, which: Which, place: usize) -> i64 {
        whole(self.joints(account, which)[place])
    }
}

/// Walks the accounts.
pub(crate) struct Walk<'a> {
    pub(crate) native: &'a Native,
    pub(crate) walked: &'a mut Walked,
}

impl WithSimd for Walk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.walked.begin(self.native);
        match &self.native.rows.entries {
            Entries::Narrow(all) => self.walked.walk::<S, i32>(self.native, all),
            Entries::Wide(all) => self.walked.walk::<S, f64>(self.native, all),
        }
    }
}

impl Walked {
    #[inline(always)]
    fn walk<S: Simd, E: Entry>(&mut self, native: &Native, entries: &[Vec<Band<E>>; 2]) {
        self.walk_joint::<S, E>(native, &entries[1]);
        for (sums, held) in self.sums.iter_mut().zip(&self.accounts) {
            add_amounts(sums, &native.rows, &self.legs[held.legs.clone()]);
        }
        for underlying in 0..self.shelves.len() {
            let (rates, terms) = (&native.rates[underlying], &native.underlyings[underlying]);
            let Self { legs, spans, sums, scans, charges, shelves, queue, .. } = self;
            let Shelf { single, several } = &shelves[underlying];
            for at in single {
                let span = &spans[*at as usize];
                let leg = &legs[span.start as usize];
                let found = alone::<S>((&native.rows, rates), span, leg, queue);
                add_losses(&mut sums[span.account as usize], &found, (span, native.rows.measures));
                scans[*at as usize] = found.map(|measures| measures.map(|slots| slots[0]));
            }
            for at in several {
                let span = &spans[*at as usize];
                let legs = &legs[span.start as usize..span.end as usize];
                let found = together::<S, E>((&native.rows, rates), &entries[0], span, legs, queue);
                add_losses(&mut sums[span.account as usize], &found, (span, native.rows.measures));
                scans[*at as usize] = found.map(|measures| measures.map(|slots| slots[0]));
            }
            queue.charge::<S>(rates, terms, |row, charged| {
                let sums = &mut charges[row as usize];
                for j in 0..WIDTH {
                    sums[j] += charged[j];
                }
            });
            queue.clear();
        }
    }

    #[inline(always)]
    pub(super) fn walk_joint<S: Simd, E: Entry>(&mut self, native: &Native, entries: &[Band<E>]) {
        let (rows, height) = (&native.rows, native.rows.heights[1]);
        let mut kept = self.joint.chunks_exact_mut(2 * (height * WIDTH).max(1));
        for (sums, held) in self.sums.iter_mut().zip(&self.accounts) {
            let (legs, both) = (&self.legs[held.legs.clone()], held.longs > 0);
            let (all, rest) = kept.next().unwrap_or_default().split_at_mut(height * WIDTH);
            let masks = (&rows.masks[1], rows.measures);
            sums.joint = losses::<S, E>(entries, height, masks, (legs, both), [all, rest]);
        }
    }
}

/// Greeks, marks, lots.
#[inline(always)]
pub(super) fn add_amounts(sums: &mut Sums, rows: &Rows, legs: &[Leg]) {
    let (mut greeks, mut lots, mut longs) = ([0.0; WIDTH], [0.0; 2], 0.0);
    for leg in legs {
        let of = &rows.greeks[leg.row as usize].0;
        for j in 0..WIDTH {
            greeks[j] += of[j] * leg.lots;
        }
        lots[0] += leg.lots.abs();
        lots[1] += leg.rest.abs();
        longs += of[MARK] * (leg.lots - leg.rest);
    }
    (sums.greeks, sums.lots, sums.longs) = (greeks, lots, longs);
}

/// Adds the losses of a span, of all positions and of the rest.
#[inline(always)]
pub(crate) fn add_losses(sums: &mut Sums, found: &[Measures; 2], (span, measures): (&Span, usize)) {
    let sets = if span.longs == span.end - span.start { 1 } else { 2 };
    for i in 0..sets {
        let mut any = 0.0;
        for measure in 0..measures {
            let (losses, sums, most) =
                (&found[i][measure], &mut sums.losses[i][measure], &mut sums.most[i][measure]);
            for slot in 0..SLOTS {
                sums[slot] += losses[slot];
                most[slot] = if losses[slot] > most[slot] { losses[slot] } else { most[slot] };
                any += losses[slot];
            }
        }
        sums.live[i] += u32::from(any > 0.0);
        sums.held[i] += 1;
    }
}

/// The row of charges that the positions of a span are charged to, if they are one set.
#[inline(always)]
fn row(span: &Span, to: u32) -> u32 {
    CHARGES as u32 * span.account + to
}

/// One position.
#[inline(always)]
pub(crate) fn alone<S: Simd>(
    (rows, rates): (&Rows, &Rates),
    span: &Span,
    leg: &Leg,
    queue: &mut Queue,
) -> [Measures; 2] {
    let all = rows.alone(leg.row as usize, leg.lots);
    let to = if span.longs > 0 { ALL } else { BOTH };
    queue.single::<S>(rates, (&rows.lots[leg.row as usize], leg.lots), &all, row(span, to));
    [all, if span.longs > 0 { Measures::default() } else { all }]
}

/// Several positions on one underlying.
#[inline(always)]
pub(crate) fn together<S: Simd, E: Entry>(
    (rows, rates): (&Rows, &Rates),
    entries: &[Band<E>],
    span: &Span,
    legs: &[Leg],
    queue: &mut Queue,
) -> [Measures; 2] {
    let (longs, mixed) = (span.longs as usize, span.longs > 0 && span.longs < span.end - span.start);
    let masks = (&rows.masks[0], rows.measures);
    let mut found = losses::<S, E>(entries, rows.heights[0], masks, (legs, mixed), [&mut [], &mut []]);
    if longs == legs.len() {
        found[1] = Measures::default();
    }
    let to = if longs > 0 { ALL } else { BOTH };
    queue.several(rates, (&rows.lots, legs), false, &found[0], row(span, to));
    if mixed {
        queue.several(rates, (&rows.lots, legs), true, &found[1], row(span, REST));
    }
    found
}
