//! Accounts of a live book that lie side by side, with what they come to underlying by underlying.
//!
//! **The one idea:** positions are in order of underlyings first and of accounts second, so that those in the underlying that
//! moves are one run of memory; what is summed over them is kept, and moves by the difference. An account that this does not
//! fit (open orders, several coins that fall with it, amounts beyond the lanes) is loose: its totals are kept as they
//! were found by the walk, or by the reference.

use super::eight::Eight;
use super::exact::{WIDTH, whole};
use super::keep::stride;
use super::rows::{Leg, Line, Which};
use super::settle::Block;
use super::tick::{Look, Renew, Scratch};
use super::walk::Span;
use crate::MarginError;
use crate::equity::owed;
use crate::summary::account::{Deposited, Room, Worth};
use crate::summary::kept::{Asked, Tick};
use crate::summary::terms::Native;
use crate::summary::whole::{Accounts, reference};
use crate::summary::{Levels, Totals};
use crate::wrong_way::Exposed;
use plimsoll_lanes::Path;
use plimsoll_types::{Asset, Deposits, Holdings, InstrumentIx, Ticks, UnderlyingIx};
use std::collections::BTreeMap;

/// Accounts of a chunk: as many as bits of a mask.
pub(crate) const CHUNK: usize = 64;

/// A deposit of an account of the chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) lane: u32,
    pub(crate) held: Deposited,
}

/// What an account has beside positions, ticks; and what of it falls with the account: its place in the terms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside {
    pub(crate) counted: i64,
    pub(crate) unrealised: i64,
    pub(crate) debt: i64,
    pub(crate) exposed: Option<(usize, Exposed)>,
}

/// Accounts side by side; what is by account is by its lane, its number in the chunk.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) blocks: Vec<Block>,
    /// Sums of the columns that count together, over all positions and then over those without longs.
    pub(crate) joint: Vec<f64>,
    /// Seven Greeks, and the marks.
    pub(crate) greeks: Vec<Line>,
    /// Sums of `|lots| x largest`.
    pub(crate) gross: Vec<[f64; 2]>,
    /// Underlyings of each set that lose somewhere.
    pub(crate) live: Vec<[u32; 2]>,
    pub(crate) besides: Vec<Beside>,
    /// By set, what the exposed asset is charged.
    pub(crate) wrong: Vec<[(i128, i128); 2]>,
    pub(crate) levels: Vec<Levels>,
    /// In order of underlyings, and then of accounts.
    pub(crate) legs: Vec<Leg>,
    pub(crate) spans: Vec<Span>,
    pub(crate) founds: Vec<f64>,
    /// By underlying, its first span; one more at the end.
    pub(crate) starts: Vec<u32>,
    /// Numbers of spans, account by account; and by account the first of its own.
    pub(crate) mine: Vec<u32>,
    pub(crate) mine_at: Vec<u32>,
    /// In order of accounts.
    pub(crate) deposits: Vec<Own>,
    /// Who is on the lanes.
    pub(crate) laned: u64,
    loose: BTreeMap<u32, Result<Totals, MarginError>>,
    /// Who has been found anew last.
    pub(crate) touched: u64,
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            blocks: vec![Block::default(); CHUNK / WIDTH],
            joint: Vec::new(),
            greeks: vec![Line([0.0; WIDTH]); CHUNK],
            gross: vec![[0.0; 2]; CHUNK],
            live: vec![[0; 2]; CHUNK],
            besides: vec![Beside::default(); CHUNK],
            wrong: vec![[(0, 0); 2]; CHUNK],
            levels: vec![Levels::default(); CHUNK],
            legs: Vec::new(),
            spans: Vec::new(),
            founds: Vec::new(),
            starts: Vec::new(),
            mine: Vec::new(),
            mine_at: vec![0; CHUNK + 1],
            deposits: Vec::new(),
            laned: 0,
            loose: BTreeMap::new(),
            touched: 0,
        }
    }
}

/// The lanes of a mask.
pub(crate) fn lanes(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        lane
    })
}

impl Chunk {
    /// The numbers of an account; `None` for one that was never looked at.
    pub(crate) fn totals(&self, lane: usize, native: Option<&Native>) -> Option<Result<Totals, MarginError>> {
        if self.laned & (1 << lane) == 0 {
            return self.loose.get(&(lane as u32)).cloned();
        }
        let beside = self.besides[lane];
        let settled = Path::best().run(Look { chunk: self, block: lane / WIDTH, native: native? });
        let worth = (i128::from(beside.counted), i128::from(beside.unrealised));
        // Where the lanes do not say it, the account is loose.
        settled.totals(lane % WIDTH, worth, self.greeks[lane].0.map(whole)).map(Ok)
    }

    /// Equity and requirements of an account; `None` where they cannot be computed, or leave 64 bits.
    pub(crate) fn levels(&self, lane: usize) -> Option<Levels> {
        if self.laned & (1 << lane) != 0 {
            return Some(self.levels[lane]);
        }
        let totals = self.loose.get(&(lane as u32))?.as_ref().ok()?;
        Levels::of(totals)
    }

    /// Looks at some accounts of the book anew, given by their lanes.
    pub(crate) fn take(
        &mut self,
        asked: Asked,
        room: &mut Room,
        scratch: &mut Scratch,
        (first, which): (usize, u64),
    ) {
        self.touched |= which;
        let Some(native) = asked.terms.native() else {
            self.laned &= !which;
            for lane in lanes(which) {
                self.loose.insert(lane as u32, reference(asked.book, first + lane, asked.terms));
            }
            return;
        };
        let accounts = Accounts { book: asked.book, first, assets: asked.assets };
        room.clear();
        room.places.clear();
        for lane in lanes(which) {
            self.loose.remove(&(lane as u32));
            room.open();
            let unrealised = accounts.hold(room, native, first + lane);
            if room.close(native, unrealised) {
                room.places.push(lane);
            } else {
                self.loose.insert(lane as u32, reference(asked.book, first + lane, asked.terms));
            }
        }
        room.walk_spans(native, asked.path);
        let fits =
            |room: &Room, account: usize| Beside::of(room, account).is_some() && room.is_finite(account);
        if (0..room.places.len()).any(|account| !fits(room, account)) {
            let places = std::mem::take(&mut room.places);
            let mut walked = Vec::new();
            room.totals((native, asked.terms), asked.path, |account, totals| {
                walked.push((places[account], totals))
            });
            room.places = places;
            for (account, (lane, totals)) in walked.into_iter().enumerate().filter(|(at, _)| !fits(room, *at))
            {
                debug_assert_eq!(room.places[account], lane);
                let or = || reference(asked.book, first + lane, asked.terms);
                self.loose.insert(lane as u32, totals.map_or_else(or, Ok));
            }
        }
        let fresh: Vec<usize> = (0..room.places.len()).filter(|account| fits(room, *account)).collect();
        self.adopt(asked, room, which, &fresh);
        let fresh = fresh.iter().fold(0, |mask, account| mask | 1 << room.places[*account]);
        let renew =
            Renew { native, arrays: asked.terms.arrays, moved: None, chunk: self, changed: fresh, scratch };
        let beyond = asked.path.run(renew);
        self.refer(asked, (first, beyond));
    }

    /// Leaves accounts to the reference.
    fn refer(&mut self, asked: Asked, (first, which): (usize, u64)) {
        if which == 0 {
            return;
        }
        if let Some(native) = asked.terms.native() {
            self.drop_spans(native, which);
        }
        for lane in lanes(which) {
            self.loose.insert(lane as u32, reference(asked.book, first + lane, asked.terms));
        }
    }

    /// One underlying has moved.
    pub(crate) fn tick(
        &mut self,
        asked: Asked,
        (room, scratch): (&mut Room, &mut Scratch),
        (first, moved): (usize, Tick),
    ) {
        self.touched = 0;
        let loose = lanes(self.loose.keys().fold(0, |mask, lane| mask | 1 << lane));
        let of = (moved.underlying, moved.name);
        let again =
            loose.filter(|lane| asked.touches(first + lane, of)).fold(0, |mask, lane| mask | 1 << lane);
        let mut lost = 0;
        if let Some(native) = asked.terms.native() {
            let arrays = asked.terms.arrays;
            let renew = Renew { native, arrays, moved: Some(moved), chunk: self, changed: 0, scratch };
            lost = asked.path.run(renew);
        }
        if again | lost != 0 {
            self.take(asked, room, scratch, (first, again | lost));
        }
    }

    /// Takes the spans of some accounts out.
    fn drop_spans(&mut self, native: &Native, which: u64) {
        self.merge(native, which, &Room::default(), &[]);
        self.laned &= !which;
    }

    /// Puts walked accounts in the place of those of a mask.
    fn adopt(&mut self, asked: Asked, room: &Room, which: u64, fresh: &[usize]) {
        let Some(native) = asked.terms.native() else { return };
        self.merge(native, which, room, fresh);
        self.laned &= !which;
        let eight = Eight { native, arrays: asked.terms.arrays, path: asked.path, walked: &room.walked };
        let width = native.rows.heights[1] * WIDTH;
        self.joint.resize(2 * CHUNK * width, 0.0);
        for account in fresh {
            let lane = room.places[*account];
            let (block, at) = (&mut self.blocks[lane / WIDTH], lane % WIDTH);
            let (worth, deposits) = room.worth(*account);
            eight.fill(block, (*account, at), (worth, native.falls(deposits.iter())));
            for (i, which) in [Which::All, Which::Rest].into_iter().enumerate() {
                let sums = &mut self.joint[(2 * lane + i) * width..(2 * lane + i + 1) * width];
                sums.copy_from_slice(room.walked.joints(*account, which));
            }
            let sums = &room.walked.sums[*account];
            (self.greeks[lane], self.live[lane]) = (Line(sums.greeks), sums.live);
            let legs = &room.walked.legs[room.walked.accounts[*account].legs.clone()];
            self.gross[lane] = native.rows.gross(legs);
            self.besides[lane] = Beside::of(room, *account).unwrap_or_default();
            self.wrong[lane] = [(0, 0); 2];
            self.laned |= 1 << lane;
        }
    }

    /// Spans and deposits with those of a mask left out, and those of walked accounts put in.
    fn merge(&mut self, native: &Native, which: u64, room: &Room, fresh: &[usize]) {
        let stride = stride(native.rows.measures);
        let (spans, legs, founds) = (
            std::mem::take(&mut self.spans),
            std::mem::take(&mut self.legs),
            std::mem::take(&mut self.founds),
        );
        let walked = &room.walked;
        let mut new: Vec<(u32, u32, usize)> = Vec::new();
        for account in fresh {
            let lane = room.places[*account] as u32;
            let own = walked.accounts[*account].spans.clone();
            new.extend(own.map(|at| (walked.spans[at].underlying, lane, at)));
        }
        new.sort_unstable();
        let mut new = new.into_iter().peekable();
        let kept = spans.iter().enumerate().filter(|(_, span)| which & (1 << span.account) == 0);
        let put = |chunk: &mut Self, span: &Span, lane: u32, legs: &[Leg], found: &[f64]| {
            let start = chunk.legs.len() as u32;
            let (start, end) = (start, start + (span.end - span.start));
            chunk.legs.extend_from_slice(&legs[span.start as usize..span.end as usize]);
            chunk.spans.push(Span { start, end, account: lane, ..*span });
            chunk.founds.extend_from_slice(found);
        };
        for (at, span) in kept {
            while let Some((_, lane, from)) =
                new.next_if(|(u, lane, _)| (*u, *lane) < (span.underlying, span.account))
            {
                put(
                    self,
                    &walked.spans[from],
                    lane,
                    &walked.legs,
                    &walked.founds[from * stride..(from + 1) * stride],
                );
            }
            put(self, span, span.account, &legs, &founds[at * stride..(at + 1) * stride]);
        }
        for (_, lane, from) in new {
            put(
                self,
                &walked.spans[from],
                lane,
                &walked.legs,
                &walked.founds[from * stride..(from + 1) * stride],
            );
        }
        self.index(native.underlyings.len());
        self.deposits.retain(|own| which & (1 << own.lane) == 0);
        for account in fresh {
            let lane = room.places[*account] as u32;
            self.deposits.extend(room.worth(*account).1.iter().map(|held| Own { lane, held: *held }));
        }
        self.deposits.sort_by_key(|own| own.lane);
    }

    /// Where underlyings begin, and the spans of every account.
    fn index(&mut self, underlyings: usize) {
        let start = |u: usize| self.spans.partition_point(|span| (span.underlying as usize) < u) as u32;
        self.starts = (0..=underlyings).map(start).collect();
        let mut counts = [0_u32; CHUNK + 1];
        for span in &self.spans {
            counts[span.account as usize + 1] += 1;
        }
        for lane in 0..CHUNK {
            counts[lane + 1] += counts[lane];
        }
        self.mine_at = counts.to_vec();
        self.mine.clear();
        self.mine.resize(self.spans.len(), 0);
        for (at, span) in self.spans.iter().enumerate() {
            let next = &mut counts[span.account as usize];
            self.mine[*next as usize] = at as u32;
            *next += 1;
        }
    }
}

/// Of deposits in order of accounts those of one.
pub(crate) fn own(deposits: &[Own], lane: usize) -> &[Own] {
    let start = deposits.partition_point(|own| (own.lane as usize) < lane);
    let end = deposits.partition_point(|own| own.lane as usize <= lane);
    &deposits[start..end]
}

impl Beside {
    /// Of a walked account; `None` where an amount leaves 64 bits, or several coins fall with the account.
    fn of(room: &Room, account: usize) -> Option<Self> {
        let (Worth { counted, unrealised, debt, exposed, .. }, _) = room.worth(account);
        let small = |amount: i128| (amount.unsigned_abs() < 1 << 60).then_some(amount as i64);
        let exposed = match room.exposed(exposed.clone()) {
            ([], _) => None,
            ([one], [asset]) => Some((*asset, *one)),
            _ => return None,
        };
        Some(Self {
            counted: small(*counted)?,
            unrealised: small(*unrealised)?,
            debt: small(*debt)?,
            exposed,
        })
    }

    /// Deposits have new prices; `None` as for [`Beside::of`].
    pub(crate) fn value(&mut self, native: &Native, deposits: &[Own]) -> Option<()> {
        let (mut counted, mut borrowed, mut exposed) = (0_i128, 0_i128, None);
        for Own { held: Deposited { asset, valued, .. }, .. } in deposits {
            counted = counted.checked_add(valued.counted)?;
            borrowed = borrowed.checked_add(valued.counted.min(0))?;
            let terms = &native.assets[*asset];
            if valued.value > 0 && !terms.falls.is_empty() {
                let of = Exposed { value: valued.value, counted: valued.counted, wrong_way: terms.wrong_way };
                exposed.is_none().then_some(())?;
                exposed = Some((*asset, of));
            }
        }
        let debt = owed(borrowed, i128::from(self.unrealised)).ok()?;
        let small = |amount: i128| (amount.unsigned_abs() < 1 << 60).then_some(amount as i64);
        (self.counted, self.debt, self.exposed) = (small(counted)?, small(debt)?, exposed);
        Some(())
    }
}

impl Asked<'_> {
    /// Whether an account of the book holds, orders or is collateralised by an underlying.
    fn touches(&self, place: usize, (underlying, asset): (UnderlyingIx, &Asset)) -> bool {
        let rows = &self.terms.arrays.instruments;
        let of = |ix: InstrumentIx| rows.get(ix.index()).is_some_and(|row| row.underlying == underlying);
        let held = match self.book.holdings(place) {
            Some(Holdings::Narrow(narrow)) => {
                narrow.held.iter().any(|held| of(InstrumentIx(held.instrument)))
            }
            Some(Holdings::Wide(positions)) => positions.iter().any(|held| of(held.instrument)),
            None => false,
        };
        let deposited = match self.book.deposits(place) {
            Some(Deposits::Narrow(cells)) => {
                cells.iter().any(|cell| self.book.assets().get(usize::from(cell.asset)) == Some(asset))
            }
            Some(Deposits::Wide(holdings)) => holdings.iter().any(|holding| holding.asset == *asset),
            None => false,
        };
        held || deposited || self.book.orders(place).iter().any(|order| of(order.instrument))
    }
}

impl Levels {
    /// Of totals; `None` where one leaves 64 bits.
    pub(crate) fn of(totals: &Totals) -> Option<Self> {
        let small = |amount: Ticks| i64::try_from(amount.0).ok();
        Some(Self { equity: small(totals.equity)?, im: small(totals.im)?, mm: small(totals.mm)? })
    }
}
