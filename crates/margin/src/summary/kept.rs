//! A whole book on every tick of one underlying.

use super::Totals;
use super::account::Room;
use super::lanes::keep::Kept;
use super::lanes::rows::Moved;
use super::terms::{BookTerms, Lookups, Native};
use super::whole::{Accounts, assets, reference};
use crate::{MarginError, Params};
use plimsoll_lanes::Path;
use plimsoll_types::{Book, RiskArrays, UnderlyingIx};
use rayon::prelude::*;

/// Accounts that are answered by one thread at a time.
const CHUNK: usize = 64;

/// The totals of every account of a book, with what they were found from, underlying by underlying. Where one underlying
/// moves, those who hold it are found anew from their positions in it alone. Equal to [`super::summaries`] at all times.
/// The default is of nobody, with nothing looked up.
#[derive(Clone, Debug, Default)]
pub struct LiveBook {
    lookups: Lookups,
    moved: Moved,
    totals: Vec<Result<Totals, MarginError>>,
    kept: Vec<Kept>,
}

/// What a chunk is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    book: &'a Book,
    terms: &'a BookTerms<'a>,
    assets: &'a [Option<usize>],
    path: Path,
    moved: Option<(usize, &'a Moved)>,
}

impl LiveBook {
    /// Every account.
    pub fn new(path: Path, book: &Book, arrays: &RiskArrays, params: &Params) -> Self {
        let (lookups, moved) = (Lookups::new(arrays, params), Moved::default());
        let mut made = Self { lookups, moved, totals: Vec::new(), kept: Vec::new() };
        made.all(path, book, (arrays, params));
        made
    }

    /// In the order of the book.
    pub fn totals(&self) -> &[Result<Totals, MarginError>] {
        &self.totals
    }

    /// What was looked up in the arrays, for [`BookTerms::on`].
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Some accounts anew, whose positions, orders or collateral are others, or which are new; in rising order.
    pub fn change(&mut self, path: Path, book: &Book, of: (&RiskArrays, &Params), accounts: &[u32]) {
        self.find(path, book, of, (accounts, None));
    }

    /// One underlying has moved: the arrays differ in what they say of it and in nothing else, the parameters and what
    /// accounts hold in nothing. `accounts` are those who hold a position in it or have it as collateral, in rising order;
    /// there may be others among them.
    pub fn refresh(
        &mut self,
        path: Path,
        book: &Book,
        of: (&RiskArrays, &Params),
        (underlying, accounts): (UnderlyingIx, &[u32]),
    ) {
        if self.lookups.move_to(of, underlying, &mut self.moved) {
            self.find(path, book, of, (accounts, Some(underlying)));
        } else {
            self.all(path, book, of);
        }
    }

    fn all(&mut self, path: Path, book: &Book, of: (&RiskArrays, &Params)) {
        let every: Vec<u32> = (0..).take(book.len()).collect();
        self.find(path, book, of, (&every, None));
    }

    fn find(
        &mut self,
        path: Path,
        book: &Book,
        (arrays, params): (&RiskArrays, &Params),
        (accounts, only): (&[u32], Option<UnderlyingIx>),
    ) {
        self.totals.resize_with(book.len(), || Ok(Totals::default()));
        self.kept.resize_with(book.len(), Kept::new);
        let terms = &BookTerms::on(arrays, params, &self.lookups);
        let assets = &assets(book, terms);
        let moved = only.map(|only| (only.index(), &self.moved));
        let asked = Asked { book, terms, assets, path, moved };
        if accounts.len() < CHUNK {
            let mut lent = terms.rooms().lend();
            for own in accounts.chunk_by(|a, b| *a as usize / CHUNK == *b as usize / CHUNK) {
                let first = own.first().map_or(0, |account| *account as usize / CHUNK * CHUNK);
                let end = (first + CHUNK).min(book.len());
                asked.answer(lent.room(), own, (&mut self.totals[first..end], &mut self.kept[first..end]));
            }
            return;
        }
        let chunks = self.totals.par_chunks_mut(CHUNK).zip(self.kept.par_chunks_mut(CHUNK));
        chunks.enumerate().with_min_len(16).for_each_init(
            || terms.rooms().lend(),
            |lent, (chunk, (totals, kept))| {
                let below = |end: usize| accounts.partition_point(|account| (*account as usize) < end);
                let own = accounts.get(below(chunk * CHUNK)..below((chunk + 1) * CHUNK)).unwrap_or_default();
                if !own.is_empty() {
                    asked.answer(lent.room(), own, (totals, kept));
                }
            },
        );
    }
}

impl Asked<'_> {
    /// The totals of the accounts of a chunk, whose first is the first of the room for them.
    fn answer(
        self,
        room: &mut Room,
        own: &[u32],
        (totals, kept): (&mut [Result<Totals, MarginError>], &mut [Kept]),
    ) {
        let first = own.first().map_or(0, |account| *account as usize / CHUNK * CHUNK);
        let Some(native) = self.terms.native() else {
            for account in own {
                totals[*account as usize - first] = reference(self.book, *account as usize, self.terms);
            }
            return;
        };
        let mut anew = Vec::new();
        if self.moved.is_some() {
            self.walk(room, native, (own, first), (&mut *totals, &mut *kept), &mut anew);
        } else {
            anew.extend_from_slice(own);
        }
        if !anew.is_empty() {
            let whole = Self { moved: None, ..self };
            whole.walk(room, native, (&anew, first), (totals, kept), &mut Vec::new());
        }
    }

    /// Walks accounts; those of which nothing was kept go to `anew`.
    fn walk(
        self,
        room: &mut Room,
        native: &Native,
        (own, first): (&[u32], usize),
        (totals, kept): (&mut [Result<Totals, MarginError>], &mut [Kept]),
        anew: &mut Vec<u32>,
    ) {
        let accounts = Accounts { book: self.book, first, assets: self.assets };
        room.clear();
        room.places.clear();
        for account in own {
            let place = *account as usize - first;
            if self.moved.is_some() && kept[place].is_empty() {
                anew.push(*account);
                continue;
            }
            room.open();
            let unrealised = accounts.hold(room, native, *account as usize);
            if room.close(native, unrealised) {
                debug_assert!(
                    self.moved.is_none() || room.fits(native, &kept[place]),
                    "positions are as kept"
                );
                room.places.push(place);
            } else {
                kept[place].clear();
                totals[place] = reference(self.book, *account as usize, self.terms);
            }
        }
        let mut rest = kept.iter_mut().enumerate();
        let wanted = room.places.iter().filter_map(|place| Some(rest.find(|(at, _)| at == place)?.1));
        let mut wanted: Vec<&mut Kept> = wanted.collect();
        room.rewalk((native, self.path), &mut wanted, self.moved);
        for account in 0..room.places.len() {
            let place = room.places[account];
            totals[place] = match room.totals((native, self.terms), self.path, account) {
                Some(totals) => Ok(totals),
                None => reference(self.book, first + place, self.terms),
            };
        }
    }
}
