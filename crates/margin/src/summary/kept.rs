//! A whole book on every tick of one underlying.

use super::account::Room;
use super::lanes::chunk::{CHUNK, Chunk, lanes};
use super::lanes::rows::Moved;
use super::lanes::tick::Scratch;
use super::terms::{BookTerms, Lookups};
use super::whole::assets;
use super::{Levels, Totals};
use crate::{MarginError, Params};
use plimsoll_lanes::Path;
use plimsoll_types::{Asset, Book, RiskArrays, UnderlyingIx};
use rayon::prelude::*;

/// The margin of every account of a book, with what it was found from, underlying by underlying. Where one underlying
/// moves, those who hold it are found anew from their positions in it alone. Equal to [`super::summaries`] at all times.
/// The default is of nobody, with nothing looked up.
#[derive(Clone, Debug, Default)]
pub struct LiveBook {
    lookups: Lookups,
    moved: Moved,
    accounts: usize,
    chunks: Vec<Chunk>,
}

/// What a chunk is asked with.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) book: &'a Book,
    pub(crate) terms: &'a BookTerms<'a>,
    /// By asset of the book, its place in the terms.
    pub(crate) assets: &'a [Option<usize>],
    pub(crate) path: Path,
}

/// An underlying that has moved.
#[derive(Clone, Copy)]
pub(crate) struct Tick<'a> {
    pub(crate) underlying: UnderlyingIx,
    pub(crate) name: &'a Asset,
    /// Its place among the collateral of the terms.
    pub(crate) asset: Option<usize>,
    pub(crate) moved: &'a Moved,
}

impl LiveBook {
    /// Every account.
    pub fn new(path: Path, book: &Book, arrays: &RiskArrays, params: &Params) -> Self {
        let mut made = Self { lookups: Lookups::new(arrays, params), ..Self::default() };
        made.all(path, book, (arrays, params));
        made
    }

    /// Of an account by its place in the book; `None` for one that was never looked at.
    pub fn totals(&self, place: usize) -> Option<Result<Totals, MarginError>> {
        self.chunks.get(place / CHUNK)?.totals(place % CHUNK, self.lookups.native())
    }

    /// Equity and requirements of an account; `None` where they cannot be computed, or leave 64 bits.
    pub fn levels(&self, place: usize) -> Option<Levels> {
        self.chunks.get(place / CHUNK)?.levels(place % CHUNK)
    }

    /// In the order of the book.
    pub fn iter(&self) -> impl Iterator<Item = Option<Result<Totals, MarginError>>> {
        (0..self.accounts).map(|place| self.totals(place))
    }

    /// How many accounts were found anew last, and the places of those of them that `wanted` takes, in rising order.
    pub fn touched(&self, wanted: impl Fn(usize, Option<Levels>) -> bool + Sync) -> (usize, Vec<u32>) {
        let count = self.chunks.iter().map(|chunk| chunk.touched.count_ones() as usize).sum();
        let of = |(at, chunk): (usize, &Chunk)| {
            let found = lanes(chunk.touched).filter(|lane| wanted(at * CHUNK + lane, chunk.levels(*lane)));
            found.map(|lane| (at * CHUNK + lane) as u32).collect::<Vec<_>>()
        };
        let found: Vec<Vec<u32>> = self.chunks.par_iter().enumerate().with_min_len(64).map(of).collect();
        (count, found.concat())
    }

    /// What was looked up in the arrays, for [`BookTerms::on`].
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Some accounts anew, whose positions, orders or collateral are others, or which are new; in rising order.
    pub fn change(
        &mut self,
        path: Path,
        book: &Book,
        (arrays, params): (&RiskArrays, &Params),
        accounts: &[u32],
    ) {
        self.fit(book);
        let Self { lookups, chunks, .. } = self;
        let terms = &BookTerms::on(arrays, params, lookups);
        let asked = Asked { book, terms, assets: &assets(book, terms), path };
        let of = |at: usize, chunk: &mut Chunk, (room, scratch): (&mut Room, &mut Scratch)| {
            let below = |end: usize| accounts.partition_point(|account| (*account as usize) < end);
            let own = &accounts[below(at * CHUNK)..below((at + 1) * CHUNK)];
            let which = own.iter().fold(0, |mask, account| mask | 1 << (*account as usize % CHUNK));
            chunk.touched = 0;
            if which != 0 {
                chunk.take(asked, room, scratch, (at * CHUNK, which));
            }
        };
        if accounts.len() < CHUNK {
            let mut lent = terms.rooms().lend();
            let (room, scratch) = lent.both();
            for own in accounts.chunk_by(|a, b| *a as usize / CHUNK == *b as usize / CHUNK) {
                let at = own.first().map_or(0, |account| *account as usize / CHUNK);
                of(at, &mut chunks[at], (room, scratch));
            }
            return;
        }
        chunks
            .par_iter_mut()
            .enumerate()
            .for_each_init(|| terms.rooms().lend(), |lent, (at, chunk)| of(at, chunk, lent.both()));
    }

    /// One underlying has moved: the arrays differ in what they say of it and in nothing else, the parameters and what
    /// accounts hold in nothing but the edges of open orders in it.
    pub fn refresh(
        &mut self,
        path: Path,
        book: &Book,
        (arrays, params): (&RiskArrays, &Params),
        underlying: UnderlyingIx,
    ) {
        self.fit(book);
        let row = arrays.underlyings.get(underlying.index());
        let known = self.lookups.move_to((arrays, params), underlying, &mut self.moved);
        let Some(name) = row.map(|row| &row.asset).filter(|_| known) else {
            return self.all(path, book, (arrays, params));
        };
        let Self { lookups, chunks, moved, .. } = self;
        let terms = &BookTerms::on(arrays, params, lookups);
        let asset = terms.native().and_then(|native| native.asset(name));
        let tick = Tick { underlying, name, asset, moved };
        let asked = Asked { book, terms, assets: &assets(book, terms), path };
        chunks.par_iter_mut().enumerate().with_min_len(16).for_each_init(
            || terms.rooms().lend(),
            |lent, (at, chunk)| chunk.tick(asked, lent.both(), (at * CHUNK, tick)),
        );
    }

    fn all(&mut self, path: Path, book: &Book, of: (&RiskArrays, &Params)) {
        let every: Vec<u32> = (0..).take(book.len()).collect();
        self.change(path, book, of, &every);
    }

    /// Room for every account.
    fn fit(&mut self, book: &Book) {
        self.accounts = book.len();
        self.chunks.resize_with(book.len().div_ceil(CHUNK), Chunk::default);
    }
}
