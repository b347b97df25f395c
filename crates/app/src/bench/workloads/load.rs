//! W5: a book from files: read, checked, looked up and packed.

use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::{Accounts, Listing, ScenarioKind, accounts};
use crate::bench::limits::Cost;
use crate::io::book::{BookFiles, ReadyBook, load};
use anyhow::{Context, bail};
use plimsoll_lanes::Path;
use plimsoll_risk::Plan;
use plimsoll_types::{Book, RiskArrays};
use std::path::PathBuf;

/// A form of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::bench) enum Form {
    /// Columns.
    Parquet,
    /// Lines.
    Csv,
}

/// Files, and what they are looked up in.
#[derive(Debug)]
pub(in crate::bench) struct Load {
    listing: Listing,
    arrays: RiskArrays,
    accounts: Option<Accounts>,
    files: BookFiles,
    form: Form,
    bytes: u64,
    ready: Option<ReadyBook>,
    /// Files of its own, which go with it.
    own: Option<PathBuf>,
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(directory) = &self.own {
            // Nothing more can be done about files that cannot be removed.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

impl Load {
    /// The book of W4 as files.
    pub(in crate::bench) fn new(setup: &Setup, form: Form) -> anyhow::Result<Self> {
        let listing = match setup.folder("w5") {
            Some(folder) => Listing::read(&folder)?,
            None => Listing::made(ScenarioKind::Grid)?,
        };
        let plan = Plan::new(&listing.instruments, &listing.set, &listing.units)?;
        let arrays = plan.build(&listing.surface, Path::best())?.arrays;
        let (mut own, mut made) = (None, None);
        let directory = match setup.folder("w5") {
            Some(folder) => folder,
            None => {
                let name = format!("plimsoll-bench-{}-{form:?}", std::process::id());
                let directory = std::env::temp_dir().join(name);
                std::fs::create_dir_all(&directory)?;
                own = Some(directory.clone());
                let drawn = Accounts::made(setup.size(1_000_000, 20_000), (16, 250), setup.spread);
                for frame in book_frames(&listing, &drawn)? {
                    match form {
                        Form::Parquet => frame.write_parquet(&directory)?,
                        Form::Csv => frame.write_csv(&directory)?,
                    }
                }
                made = Some(drawn);
                directory
            }
        };
        let ending = if form == Form::Parquet { "parquet" } else { "csv" };
        let file = |name: &str| directory.join(format!("{name}.{ending}"));
        let files = BookFiles {
            positions: file("book_positions"),
            collateral: Some(file("book_collateral")),
            orders: None,
        };
        let size = |path: &PathBuf| std::fs::metadata(path).map(|meta| meta.len());
        let bytes = size(&files.positions)? + files.collateral.as_ref().map_or(Ok(0), size)?;
        Ok(Self { listing, arrays, accounts: made, files, form, bytes, ready: None, own })
    }

    fn book(&self) -> anyhow::Result<&Book> {
        Ok(&self.ready.as_ref().context("nothing was loaded yet")?.book)
    }
}

/// A book as the loader takes it: names and quantities instead of places and lots.
fn book_frames(listing: &Listing, held: &Accounts) -> anyhow::Result<[Frame; 2]> {
    let mut owner = Vec::with_capacity(held.positions());
    let mut thousandths = Vec::with_capacity(held.positions());
    let lot = |name: &plimsoll_types::Instrument| {
        let lot = listing.units.lot(name) * plimsoll_types::Decimal::ONE_THOUSAND;
        i64::try_from(lot).with_context(|| format!("{name}: a lot of {lot} thousandths"))
    };
    let lot = listing.instruments.iter().map(lot).collect::<anyhow::Result<Vec<i64>>>()?;
    for (row, account) in (0_u32..).zip(0..held.len()) {
        for (instrument, lots) in held.of(account) {
            owner.push(row);
            thousandths.push(lots * lot.get(instrument as usize).context("an instrument of the listing")?);
        }
    }
    let names = (0..held.len())
        .map(|row| Ok(accounts::name(row)?.to_string()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let instruments = listing.instruments.iter().map(ToString::to_string).collect();
    let assets = accounts::ASSETS.map(str::to_owned).to_vec();
    let positions =
        Frame::new("book_positions", "A row is a position, as `plimsoll margin --positions` takes it.")
            .named("account", "whose", owner, names.clone())
            .named("instrument", "of what", held.instrument.clone(), instruments)
            .decimal("quantity", "signed quantity in units of the underlying", thousandths, 3);
    let collateral =
        Frame::new("book_collateral", "A row is an amount, as `plimsoll margin --collateral` takes it.")
            .named("account", "whose", held.holder.clone(), names)
            .named("asset", "of what", held.asset.clone(), assets)
            .decimal("amount", "how much", held.amount_nano.clone(), 9);
    Ok([positions, collateral])
}

impl Work for Load {
    fn facts(&self) -> Facts {
        let book = self.ready.as_ref().map(|ready| &ready.book);
        let units = book.map_or(0, Book::positions) as u64;
        Facts {
            what: format!("{units} positions from {:?}", self.form),
            unit: "position",
            units,
            // The file once and the book once.
            cost: Cost { streamed: self.bytes + book.map_or(0, Book::bytes) as u64, cached: 0, flops: 0 },
            reference: "the book packed from integers, without a file",
            notes: vec![format!("{} bytes of files, {} of book", self.bytes, book.map_or(0, Book::bytes))],
        }
    }

    fn run(&mut self, _: Path) -> anyhow::Result<()> {
        // The last book goes before the next comes: both at once is what nobody has.
        self.ready = None;
        let ready = load(&self.files, &self.arrays, &self.listing.surface, &self.listing.units)?;
        if let Some(failure) = ready.failures.first() {
            bail!("{failure}");
        }
        self.ready = Some(ready);
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        let Ok(book) = self.book() else { return 0 };
        for portfolio in book.iter() {
            for position in portfolio.positions {
                digest.word(u64::from(position.instrument.0));
                digest.integer(i128::from(position.lots.0));
            }
            for holding in portfolio.collateral {
                digest.integer(holding.amount_nano);
            }
        }
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let Some(made) = &self.accounts else { return Ok(self.book()?.positions() as u64) };
        let expected = made.book(true)?;
        let book = self.book()?;
        let (found, wanted) = (book.len(), expected.len());
        if found != wanted {
            return Err(differs("accounts", 0, found, wanted));
        }
        let other = (0..found).find(|i| book.portfolio(*i) != expected.portfolio(*i));
        match other {
            Some(at) => Err(differs("account", at, "the loaded portfolio", "another")),
            None => Ok(book.positions() as u64),
        }
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let made = self.accounts.as_ref().context("a book that was read is there as files already")?;
        let mut frames = self.listing.frames()?;
        frames.extend(book_frames(&self.listing, made)?);
        Ok(frames)
    }
}
