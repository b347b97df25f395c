//! What the positions of some accounts come to: scenario losses, Greeks, charges on underlyings; on float lanes, where a
//! bound on each account proves that every sum is exact.
//!
//! **The one idea:** an account is walked once. What is alone in its underlying needs no sums over scenarios: the ends of its
//! row times its lots say all that is asked of it. Charges wait in a queue of their underlying until the chunk is walked, so
//! that eight of them, of different accounts, are made in step.

use super::charge::{Charged, Queue};
use super::lanes::{Vector, WIDTH, whole};
use super::rows::{Band, Entries, Entry, LIMIT, Leg, Lot, Rows, SLOTS, Slots, Which, losses};
use super::terms::Native;
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
struct Sums {
    /// Of all underlyings, each by itself: sum and largest.
    losses: [Slots; 2],
    most: [Slots; 2],
    /// Of all of them together.
    joint: [Slots; 2],
    /// Seven Greeks, and the marks.
    greeks: Vector,
    lots: [f64; 2],
    /// Underlyings that lose somewhere.
    live: [u32; 2],
    /// Marks of longs.
    longs: f64,
}

/// [`Sums`] in integers, ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Losses {
    /// By measure: sum of scan losses, the largest of them; by state what every underlying loses by itself, summed, and
    /// what all of them lose together.
    pub(crate) scan: [i64; 2],
    pub(crate) largest: [i64; 2],
    pub(crate) idiosyncratic: [[i64; SLOTS - 1]; 2],
    pub(crate) systematic: [[i64; SLOTS - 1]; 2],
    pub(crate) lots: i64,
    /// Underlyings that lose somewhere, at least.
    pub(crate) live: u32,
}

/// Charges of an account, see [`Charged`].
pub(crate) type Charges = [i64; 6];

/// Accounts that are walked together, and what is found of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walked {
    pub(crate) legs: Vec<Leg>,
    pub(crate) spans: Vec<Span>,
    pub(crate) accounts: Vec<Held>,
    sums: Vec<Sums>,
    /// Scan losses of a span: of all and of the rest, in initial and in maintenance margin.
    scans: Vec<[[f64; 2]; 2]>,
    /// Kept sums of the columns that count together, of all and of the rest.
    joint: Vec<f64>,
    /// Of each account the charges on sets of all positions, of the rest, and of both.
    charges: Vec<Charged>,
    queues: Vec<Queue>,
    open: Open,
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
const ALL: u32 = 0;
const REST: u32 = 1;
const BOTH: u32 = 2;
const CHARGES: usize = 3;

impl Walked {
    /// Forgets all accounts.
    pub(crate) fn clear(&mut self) {
        self.legs.clear();
        self.spans.clear();
        self.accounts.clear();
    }

    /// Begins an account.
    pub(crate) fn open(&mut self) {
        let (legs, spans) = (self.legs.len(), self.spans.len());
        self.open = Open { legs, spans, ..Open::default() };
    }

    /// Adds a position; `None` for one that is not in the arrays.
    #[inline(always)]
    pub(crate) fn hold(&mut self, rows: &Rows, instrument: u32, lots: i64) -> Option<()> {
        let lot = rows.lots.get(instrument as usize)?;
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
                let underlying = lot.underlying;
                self.spans.push(Span { start: at, end: at + 1, longs: u32::from(long), underlying });
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
        self.accounts.push(Held { legs, spans, longs: open.longs });
        true
    }

    /// Puts the legs of the open account in order of their underlyings.
    #[cold]
    fn regroup(&mut self, rows: &Rows) {
        let of = |leg: &Leg| rows.lots[leg.row as usize].underlying;
        self.spans.truncate(self.open.spans);
        let legs = &mut self.legs[self.open.legs..];
        legs.sort_unstable_by_key(|leg| (of(leg), leg.row));
        let mut start = self.open.legs as u32;
        for legs in legs.chunk_by(|a, b| of(a) == of(b)) {
            let end = start + legs.len() as u32;
            let longs = legs.iter().filter(|leg| leg.lots != leg.rest).count() as u32;
            self.spans.push(Span { start, end, longs, underlying: of(&legs[0]) });
            start = end;
        }
    }

    /// Room for the sums of the accounts.
    fn begin(&mut self, native: &Native) {
        let joint = native.rows.heights[1] * WIDTH;
        let accounts = self.accounts.len();
        self.sums.clear();
        self.sums.resize(accounts, Sums::default());
        self.scans.clear();
        self.joint.clear();
        self.joint.resize(2 * joint * accounts, 0.0);
        self.charges.clear();
        self.charges.resize(CHARGES * accounts, [0.0; WIDTH]);
        self.queues.resize_with(native.underlyings.len(), Queue::default);
    }

    pub(crate) fn losses(&self, account: usize, which: Which) -> Losses {
        let (sums, i) = (&self.sums[account], which as usize);
        let measures = |of: &Slots, slot: usize| [whole(of[slot]), whole(of[SLOTS + slot])];
        let states = |of: &Slots| [0, SLOTS].map(|first| std::array::from_fn(|k| whole(of[first + 1 + k])));
        Losses {
            scan: measures(&sums.losses[i], 0),
            largest: measures(&sums.most[i], 0),
            idiosyncratic: states(&sums.losses[i]),
            systematic: states(&sums.joint[i]),
            lots: whole(sums.lots[i]),
            live: sums.live[i],
        }
    }

    /// `None` where they are beyond the lanes.
    pub(crate) fn charges(&self, account: usize, which: Which) -> Option<Charges> {
        let rows = self.charges.get(CHARGES * account..)?;
        let own = rows.get(if which == Which::All { ALL } else { REST } as usize)?;
        let both = rows.get(BOTH as usize)?;
        let sums: [f64; 6] = std::array::from_fn(|j| own[j] + both[j]);
        sums.iter().all(|sum| *sum < LIMIT).then(|| sums.map(whole))
    }

    /// Seven Greeks, and the marks.
    pub(crate) fn greeks(&self, account: usize) -> [i64; WIDTH] {
        self.sums[account].greeks.map(whole)
    }

    /// The marks of long options and long spot.
    pub(crate) fn marks_of_longs(&self, account: usize) -> i64 {
        whole(self.sums[account].longs)
    }

    /// The scan loss of a span in initial and in maintenance margin.
    pub(crate) fn scan(&self, span: usize, which: Which) -> [i64; 2] {
        self.scans[span][which as usize].map(whole)
    }

    /// The profit or loss of all underlyings together at a place of their columns.
    pub(crate) fn joint(&self, account: usize, which: Which, place: usize) -> i64 {
        let lanes = self.joint.len() / (2 * self.accounts.len()).max(1);
        whole(self.joint[(2 * account + which as usize) * lanes + place])
    }
}

/// Walks the accounts.
pub(crate) struct Walk<'a, 'n> {
    pub(crate) native: &'a Native<'n>,
    pub(crate) walked: &'a mut Walked,
}

impl WithSimd for Walk<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.walked.begin(self.native);
        match &self.native.rows.entries {
            Entries::Narrow(all) => self.walked.walk::<S, i32>(self.native, all),
            Entries::Wide(all) => self.walked.walk::<S, f64>(self.native, all),
        }
        self.walked.charge::<S>(self.native);
    }
}

impl Walked {
    #[inline(always)]
    fn walk<S: Simd, E: Entry>(&mut self, native: &Native, entries: &[Vec<Band<E>>; 2]) {
        let rows = &native.rows;
        let joint = rows.heights[1] * WIDTH;
        for (account, held) in self.accounts.iter().enumerate() {
            let legs = &self.legs[held.legs.clone()];
            let both = held.longs > 0;
            let sums = &mut self.sums[account];
            let (kept, kept_rest) = self.joint[2 * joint * account..][..2 * joint].split_at_mut(joint);
            sums.joint =
                losses::<S, E>(&entries[1], rows.heights[1], &rows.masks[1], (legs, both), [kept, kept_rest]);
            add_amounts(sums, &rows.lots, legs);
            for span in &self.spans[held.spans.clone()] {
                let legs = &self.legs[span.start as usize..span.end as usize];
                let queue = &mut self.queues[span.underlying as usize];
                let found = if let [leg] = legs {
                    alone::<S>(native, (span, account), leg, queue)
                } else {
                    together::<S, E>(native, &entries[0], (span, account), legs, queue)
                };
                add_losses(sums, &found, span);
                self.scans.push(found.map(|slots| [slots[0], slots[SLOTS]]));
            }
        }
    }

    #[inline(always)]
    fn charge<S: Simd>(&mut self, native: &Native) {
        for ((queue, rates), terms) in self.queues.iter_mut().zip(&native.rates).zip(&native.underlyings) {
            queue.charge::<S>(rates, terms, |row, charged| {
                let sums = &mut self.charges[row as usize];
                for j in 0..WIDTH {
                    sums[j] += charged[j];
                }
            });
            queue.clear();
        }
    }
}

/// Greeks, marks, lots.
#[inline(always)]
fn add_amounts(sums: &mut Sums, lots: &[Lot], legs: &[Leg]) {
    let mut greeks = [0.0; WIDTH];
    for leg in legs {
        let lot = &lots[leg.row as usize];
        for j in 0..WIDTH {
            greeks[j] += lot.greeks[j] * leg.lots;
        }
        sums.lots[0] += leg.lots.abs();
        sums.lots[1] += leg.rest.abs();
        sums.longs += lot.greeks[Lot::MARK] * (leg.lots - leg.rest);
    }
    sums.greeks = greeks;
}

/// Adds the losses of a span, of all positions and of the rest.
#[inline(always)]
fn add_losses(sums: &mut Sums, found: &[Slots; 2], span: &Span) {
    for i in 0..2 {
        if i == 1 && span.longs == span.end - span.start {
            return;
        }
        let mut any = 0.0;
        for slot in 0..WIDTH {
            let loss = found[i][slot];
            sums.losses[i][slot] += loss;
            sums.most[i][slot] = if loss > sums.most[i][slot] { loss } else { sums.most[i][slot] };
            any += loss;
        }
        sums.live[i] += u32::from(any > 0.0);
    }
}

/// The row of charges that the positions of a span are charged to, if they are one set.
#[inline(always)]
fn row(account: usize, to: u32) -> u32 {
    (CHARGES * account) as u32 + to
}

/// One position.
#[inline(always)]
fn alone<S: Simd>(
    native: &Native,
    (span, account): (&Span, usize),
    leg: &Leg,
    queue: &mut Queue,
) -> [Slots; 2] {
    let lot = &native.rows.lots[leg.row as usize];
    let (ends, size) = (&lot.ends[usize::from(leg.lots < 0.0)], leg.lots.abs());
    let mut all = [0.0; WIDTH];
    for slot in 0..WIDTH {
        all[slot] = ends[slot] * size;
    }
    let rates = &native.rates[span.underlying as usize];
    let to = if span.longs > 0 { ALL } else { BOTH };
    queue.single::<S>(rates, (lot, leg.lots), &all, row(account, to));
    [all, if span.longs > 0 { [0.0; WIDTH] } else { all }]
}

/// Several positions on one underlying.
#[inline(always)]
fn together<S: Simd, E: Entry>(
    native: &Native,
    entries: &[Band<E>],
    (span, account): (&Span, usize),
    legs: &[Leg],
    queue: &mut Queue,
) -> [Slots; 2] {
    let (rows, rates) = (&native.rows, &native.rates[span.underlying as usize]);
    let (longs, mixed) = (span.longs as usize, span.longs > 0 && span.longs < span.end - span.start);
    let mut found = losses::<S, E>(entries, rows.heights[0], &rows.masks[0], (legs, mixed), [&mut [], &mut []]);
    if longs == legs.len() {
        found[1] = [0.0; WIDTH];
    }
    let to = if longs > 0 { ALL } else { BOTH };
    queue.several(rates, (&rows.lots, legs), false, &found[0], row(account, to));
    if mixed {
        queue.several(rates, (&rows.lots, legs), true, &found[1], row(account, REST));
    }
    found
}
