//! One account on the lanes: what it holds, arranged and added up.

use super::Totals;
use super::lanes::{EXACT, Leg, Lows, Span, Which};
use super::required::{Based, Charged, Pass, Scratch, based, charged};
use super::terms::{Kind, Lot, Native};
use crate::equity::{Valued, owed};
use crate::evaluate::state_of;
use crate::wrong_way::Exposed;
use crate::{GreekSums, Params, Requirement};
use plimsoll_lanes::Path;
use plimsoll_types::{InstrumentIx, Ppb, Ticks};
use std::ops::Range;

/// A position with its expiry, by which positions are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holding {
    pub(crate) tenor: u32,
    pub(crate) instrument: u32,
    pub(crate) lots: i64,
    pub(crate) long: bool,
}

/// What is held in one expiry; every number is beneath 2^53 in size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) tenor: u32,
    pub(crate) delta: i64,
    pub(crate) vega: i64,
    pub(crate) options: [[i64; 2]; 2],
}

/// What is held on one underlying.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Group {
    pub(crate) underlying: usize,
    /// Its buckets, nearest first.
    pub(crate) buckets: Range<usize>,
    pub(crate) delta: i64,
    pub(crate) vega: i64,
    /// Signed notional of what is no option.
    pub(crate) linear: i64,
    pub(crate) funding: i64,
    /// Whether an option is short.
    pub(crate) shorts: bool,
}

/// The positions of an account, or those without longs, added up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) groups: Vec<Group>,
    /// Sum of |lots|.
    pub(crate) lots: i64,
    /// Sum of lots x mark.
    pub(crate) marks: i64,
}

/// A collateral asset of the account, valued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Deposited {
    /// Its place in the terms.
    pub(crate) asset: usize,
    pub(crate) valued: Valued,
}

/// Room for one account at a time, so that none is asked for per account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    held: Vec<Holding>,
    longs: usize,
    bound: u128,
    arranged: bool,
    legs: Vec<Leg>,
    spans: Vec<Span>,
    lows: Lows,
    all: Gathered,
    rest: Gathered,
    deposits: Vec<Deposited>,
    amounts: Vec<(usize, i128)>,
    exposed: Vec<Exposed>,
    exposed_assets: Vec<usize>,
    scratch: Scratch,
}

impl Room {
    /// Begins an account.
    pub(crate) fn begin(&mut self) {
        self.held.clear();
        self.amounts.clear();
        (self.longs, self.bound, self.arranged) = (0, 0, true);
    }

    /// Adds a position, in rising order of instrument; `None` for one that is out of order or not in the arrays.
    #[inline(always)]
    pub(crate) fn hold(&mut self, native: &Native, instrument: InstrumentIx, lots: i64) -> Option<()> {
        let lot = native.instruments.get(instrument.index())?;
        let long = lot.limited && lots > 0;
        if let Some(last) = self.held.last() {
            self.arranged &= last.tenor <= lot.tenor;
        }
        self.bound += u128::from(lots.unsigned_abs()) * u128::from(lot.largest);
        self.longs += usize::from(long);
        self.held.push(Holding { tenor: lot.tenor, instrument: instrument.0, lots, long });
        Some(())
    }

    /// Adds an amount of a collateral asset by its place in the terms; amounts of one asset count together.
    #[inline(always)]
    pub(crate) fn deposit(&mut self, asset: usize, amount_nano: i128) -> Option<()> {
        match self.amounts.iter_mut().find(|(other, _)| *other == asset) {
            Some((_, sum)) => *sum = sum.checked_add(amount_nano)?,
            None => {
                let at = self.amounts.partition_point(|(other, _)| *other < asset);
                self.amounts.insert(at, (asset, amount_nano));
            }
        }
        Some(())
    }

    /// The numbers of the account; `None` where only the reference can say: an amount beyond the lanes, or an error.
    pub(crate) fn totals(
        &mut self,
        (native, params): (&Native, &Params),
        unrealised: i128,
        path: Path,
    ) -> Option<Totals> {
        if self.bound >= u128::from(EXACT) {
            return None;
        }
        self.arrange(native);
        let worth = self.value(native, unrealised)?;
        let greeks = gather_all(native, &self.held, &self.spans, &mut self.all);
        let keep = !self.exposed.is_empty();
        self.lows.scan(path, &native.rows, &self.legs, &self.spans, keep);
        let all = Pass {
            native,
            params,
            which: Which::All,
            lows: &self.lows,
            held: &self.held,
            spans: &self.spans,
            gathered: &self.all,
            deposits: &self.deposits,
            exposed: (&self.exposed, &self.exposed_assets),
            debt: worth.debt,
        };
        let start = based(&all, &mut self.scratch).ok()?;
        let whole = charged(&all, &start, &mut self.scratch).ok()?;
        let mut relief = (0, 0);
        if self.longs > 0 {
            let value = i128::from(marks_of_longs(native, &self.held));
            if whole.total.0.max(whole.total.1) > value && !bounded(params, &start, &whole) {
                relief = self.relief((native, params), worth.debt, value, whole.total)?;
            }
        }
        let marks = i128::from(self.all.marks);
        finish(&start, &whole, relief, (worth.counted, marks, unrealised), greeks)
    }

    /// By how much the requirement is above that of the rest plus the marks of the longs. Charges are never negative, so
    /// where the scenarios and the guard of the rest alone reach it, its charges need not be found.
    fn relief(
        &mut self,
        (native, params): (&Native, &Params),
        debt: i128,
        value: i128,
        total: (i128, i128),
    ) -> Option<(i128, i128)> {
        gather_rest(native, &self.held, &self.spans, &mut self.rest);
        let rest = Pass {
            native,
            params,
            which: Which::Rest,
            lows: &self.lows,
            held: &self.held,
            spans: &self.spans,
            gathered: &self.rest,
            deposits: &self.deposits,
            exposed: (&self.exposed, &self.exposed_assets),
            debt,
        };
        let start = based(&rest, &mut self.scratch).ok()?;
        let least = (start.base.0 + start.guard.0 + value, start.base.1 + start.guard.1 + value);
        if least.0 >= total.0 && least.1 >= total.1 {
            return Some((0, 0));
        }
        let rest = charged(&rest, &start, &mut self.scratch).ok()?.total;
        let above = |total: i128, rest: i128| Some(total.checked_sub(rest.checked_add(value)?)?.max(0));
        Some((above(total.0, rest.0)?, above(total.1, rest.1)?))
    }

    /// Positions by expiry and so by underlying, and their legs.
    fn arrange(&mut self, native: &Native) {
        if !self.arranged {
            self.held.sort_unstable_by_key(|held| (held.tenor, held.instrument));
        }
        self.legs.clear();
        self.spans.clear();
        let mut last = None;
        for (i, held) in self.held.iter().enumerate() {
            self.legs.push(Leg::new(held.instrument, held.lots, held.long));
            let underlying = native.tenors[held.tenor as usize].underlying;
            if last != Some(underlying) {
                self.spans.push(Span { start: i, end: i, longs: 0 });
                last = Some(underlying);
            }
            if let Some(span) = self.spans.last_mut() {
                span.end = i + 1;
                span.longs += usize::from(held.long);
            }
        }
    }

    /// Values the collateral: what counts, and what is owed.
    fn value(&mut self, native: &Native, unrealised: i128) -> Option<Worth> {
        self.deposits.clear();
        self.exposed.clear();
        self.exposed_assets.clear();
        let (mut counted, mut borrowed) = (0_i128, 0_i128);
        for (asset, amount) in &self.amounts {
            let terms = native.assets.get(*asset)?;
            let valued = terms.valuation.of(*amount).ok()?;
            counted = counted.checked_add(valued.counted)?;
            borrowed = borrowed.checked_add(valued.counted.min(0))?;
            if valued.value > 0 && !terms.falls.is_empty() {
                let wrong_way = terms.wrong_way;
                self.exposed.push(Exposed { value: valued.value, counted: valued.counted, wrong_way });
                self.exposed_assets.push(*asset);
            }
            self.deposits.push(Deposited { asset: *asset, valued });
        }
        Some(Worth { counted, debt: owed(borrowed, unrealised).ok()? })
    }
}

/// What the collateral of an account counts for, and what it owes.
#[derive(Clone, Copy)]
struct Worth {
    counted: i128,
    debt: i128,
}

/// See `bounded_already` of the reference.
fn bounded(params: &Params, start: &Based, whole: &Charged) -> bool {
    let guarded = start.guard != (0, 0);
    let charged = whole.addons != (0, 0);
    params.im_scale.max(params.mm_scale) <= Ppb::ONE && !start.credit && !guarded && !charged
}

fn finish(
    start: &Based,
    whole: &Charged,
    relief: (i128, i128),
    (counted, marks, unrealised): (i128, i128, i128),
    greeks: GreekSums,
) -> Option<Totals> {
    let both = |(im, mm): (i128, i128)| Requirement { im: Ticks(im), mm: Ticks(mm) };
    let equity = counted.checked_add(marks)?.checked_add(unrealised)?;
    let (im, mm) = (whole.total.0 - relief.0, whole.total.1 - relief.1);
    let (im_excess, mm_excess) = (Ticks(equity.checked_sub(im)?), Ticks(equity.checked_sub(mm)?));
    Some(Totals {
        im: Ticks(im),
        mm: Ticks(mm),
        equity: Ticks(equity),
        im_excess,
        mm_excess,
        state: state_of(im_excess, mm_excess),
        aggregate: both(start.aggregate),
        base: both(start.base),
        guard: both(start.guard),
        addons: both(whole.addons),
        relief: both(relief),
        orders: Requirement::default(),
        marks: Ticks(marks),
        unrealised: Ticks(unrealised),
        greeks,
    })
}

fn marks_of_longs(native: &Native, held: &[Holding]) -> i64 {
    held.iter().filter(|held| held.long).map(|held| held.lots * lot(native, held).mark).sum()
}

#[inline(always)]
fn lot<'n>(native: &'n Native, held: &Holding) -> &'n Lot {
    &native.instruments[held.instrument as usize]
}

fn gather_all(native: &Native, held: &[Holding], spans: &[Span], into: &mut Gathered) -> GreekSums {
    let mut sums = [0_i64; 7];
    for held in held {
        let g = &lot(native, held).greeks;
        let of = [g.delta, g.gamma, g.vega, g.theta, g.rho, g.vanna, g.volga];
        for (sum, greek) in sums.iter_mut().zip(of) {
            *sum = sum.wrapping_add(held.lots.wrapping_mul(greek));
        }
    }
    gather(native, held, spans, |_| true, into);
    let [delta, gamma, vega, theta, rho, vanna, volga] = sums.map(|sum| Ticks(i128::from(sum)));
    GreekSums { delta, gamma, vega, theta, rho, vanna, volga }
}

fn gather_rest(native: &Native, held: &[Holding], spans: &[Span], into: &mut Gathered) {
    gather(native, held, spans, |held| !held.long, into);
}

/// Adds up the positions that are `taken`; a group per span, though it may be empty. The bound on the account keeps every
/// sum from wrapping.
#[inline(always)]
fn gather(
    native: &Native,
    held: &[Holding],
    spans: &[Span],
    taken: impl Fn(&Holding) -> bool,
    into: &mut Gathered,
) {
    into.buckets.clear();
    into.groups.clear();
    (into.lots, into.marks) = (0, 0);
    for span in spans {
        let own = &held[span.start..span.end];
        let start = into.buckets.len();
        let underlying = own.first().map_or(0, |held| native.tenors[held.tenor as usize].underlying);
        let mut group = Group { underlying: underlying as usize, ..Group::default() };
        for held in own.iter().filter(|held| taken(held)) {
            if into.buckets.len() == start || into.buckets.last().is_none_or(|b| b.tenor != held.tenor) {
                into.buckets.push(Bucket { tenor: held.tenor, ..Bucket::default() });
            }
            let lot = lot(native, held);
            into.lots += held.lots.abs();
            into.marks += held.lots * lot.mark;
            if let Some(bucket) = into.buckets.last_mut() {
                add(bucket, &mut group, lot, held.lots);
            }
        }
        group.buckets = start..into.buckets.len();
        into.groups.push(group);
    }
}

#[inline(always)]
fn add(bucket: &mut Bucket, group: &mut Group, lot: &Lot, lots: i64) {
    let (delta, vega, size) = (lots * lot.greeks.delta, lots * lot.greeks.vega, lots * lot.notional);
    bucket.delta += delta;
    bucket.vega += vega;
    group.delta += delta;
    group.vega += vega;
    group.funding += lots * lot.funding;
    match lot.kind {
        Kind::Linear => group.linear += size,
        Kind::Call | Kind::Put => {
            let side = usize::from(size < 0);
            bucket.options[usize::from(lot.kind == Kind::Put)][side] += size.abs();
            group.shorts |= size < 0;
        }
    }
}
