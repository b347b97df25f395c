//! A book of accounts in plain columns.

use crate::bench::frame::{Frame, Type};
use crate::generate::Draw;
use anyhow::{Context, bail};
use plimsoll_types::{AccountId, Asset, Book, Holding, InstrumentIx, Lots, Portfolio, Position, Ticks};
use std::path::Path;

/// Over which instruments an account's positions are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::bench) enum Spread {
    /// Over all, evenly.
    Uniform,
    /// Over those of one to three underlyings.
    Concentrated,
}

/// Accounts, their positions and their collateral.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::bench) struct Accounts {
    /// Where each account's positions begin, and one more for the end of the last.
    pub(in crate::bench) offsets: Vec<usize>,
    /// The instrument of each position, rising within an account.
    pub(in crate::bench) instrument: Vec<u32>,
    /// Its signed lots; never 0.
    pub(in crate::bench) lots: Vec<i64>,
    /// Row of the account of each holding, rising.
    pub(in crate::bench) holder: Vec<u32>,
    /// The asset held: 0 USDC, 1 BTC, 2 ETH.
    pub(in crate::bench) asset: Vec<u32>,
    /// Billionths of a unit.
    pub(in crate::bench) amount_nano: Vec<i64>,
}

/// What collateral is held in.
pub(in crate::bench) const ASSETS: [&str; 3] = ["USDC", "BTC", "ETH"];

/// Positions per account on average.
const MEAN: usize = 12;

/// The most positions of one account: no more than there are instruments.
const MOST: usize = 5000;

/// What accounts are drawn from.
struct Shop {
    instruments: usize,
    underlyings: usize,
    spread: Spread,
}

impl Accounts {
    /// `count` accounts with twelve positions each on average over instruments ordered by underlying, as many of each.
    pub(in crate::bench) fn made(count: usize, (underlyings, each): (usize, usize), spread: Spread) -> Self {
        Self::with_mean(count, MEAN, (underlyings, each), spread)
    }

    /// The same with another number of positions on average.
    pub(in crate::bench) fn with_mean(
        count: usize,
        mean: usize,
        (underlyings, each): (usize, usize),
        spread: Spread,
    ) -> Self {
        let shop = Shop { instruments: underlyings * each, underlyings, spread };
        let mut draw = Draw::new(4);
        let sizes = sizes(&mut draw, count, mean, &shop);
        Self::drawn(&mut draw, sizes, &shop)
    }

    /// Accounts of one size.
    pub(in crate::bench) fn alike(count: usize, size: usize, (underlyings, each): (usize, usize)) -> Self {
        let shop = Shop { instruments: underlyings * each, underlyings, spread: Spread::Uniform };
        Self::drawn(&mut Draw::new(6), vec![size; count], &shop)
    }

    fn drawn(draw: &mut Draw, sizes: Vec<usize>, shop: &Shop) -> Self {
        let total = sizes.iter().sum();
        let mut all = Self {
            offsets: vec![0],
            instrument: Vec::with_capacity(total),
            lots: Vec::with_capacity(total),
            holder: Vec::new(),
            asset: Vec::new(),
            amount_nano: Vec::new(),
        };
        let mut chosen = Vec::new();
        for (account, size) in (0_u32..).zip(sizes) {
            choose(draw, shop, size, &mut chosen);
            all.instrument.extend_from_slice(&chosen);
            all.lots.extend(chosen.iter().map(|_| lots(draw)));
            all.offsets.push(all.instrument.len());
            all.hold(draw, account, chosen.len());
        }
        all
    }

    /// Collateral in proportion to the number of positions: dollars always, coins for three accounts in ten each.
    fn hold(&mut self, draw: &mut Draw, account: u32, positions: usize) {
        let dollars = 2_000.0 * positions as f64 * draw.between(0.0, 1.0);
        let mut push = |asset: u32, units: f64| {
            self.holder.push(account);
            self.asset.push(asset);
            self.amount_nano.push((units * 1e9).round() as i64);
        };
        push(0, (dollars * 100.0).round() / 100.0);
        for (asset, price) in [(1, 91_000.0), (2, 3_100.0)] {
            if draw.chance(0.3) {
                push(asset, (dollars / price * 1e4).round() / 1e4);
            }
        }
    }

    /// How many accounts there are.
    pub(in crate::bench) fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// How many positions there are.
    pub(in crate::bench) fn positions(&self) -> usize {
        self.instrument.len()
    }

    /// The instruments and lots of an account.
    pub(in crate::bench) fn of(&self, account: usize) -> impl Iterator<Item = (u32, i64)> {
        let span = self.offsets[account]..self.offsets[account + 1];
        self.instrument[span.clone()].iter().copied().zip(self.lots[span].iter().copied())
    }

    /// The book, with collateral where it is `held`.
    pub(in crate::bench) fn book(&self, held: bool) -> anyhow::Result<Book> {
        let assets = ASSETS.map(|name| name.parse::<Asset>());
        let mut next = 0;
        let mut faults = Vec::new();
        let portfolios = (0..self.len()).filter_map(|account| {
            let mut collateral = Vec::new();
            while held && self.holder.get(next).is_some_and(|holder| *holder as usize == account) {
                let asset = assets.get(self.asset[next] as usize).and_then(|asset| asset.as_ref().ok());
                match asset {
                    Some(asset) => collateral.push(Holding {
                        asset: asset.clone(),
                        amount_nano: i128::from(self.amount_nano[next]),
                        earmark: None,
                    }),
                    None => {
                        faults.push(format!("collateral: row {next}: there is no asset {}", self.asset[next]))
                    }
                }
                next += 1;
            }
            match name(account) {
                Ok(name) => Some(Portfolio {
                    account: name,
                    positions: self.portfolio(account),
                    collateral,
                    orders: Vec::new(),
                }),
                Err(error) => {
                    faults.push(error.to_string());
                    None
                }
            }
        });
        let book = Book::pack(portfolios)?;
        match faults.first() {
            Some(fault) => bail!("{fault}"),
            None => Ok(book),
        }
    }

    fn portfolio(&self, account: usize) -> Vec<Position> {
        let position = |(instrument, lots)| Position {
            instrument: InstrumentIx(instrument),
            lots: Lots(lots),
            unrealised: Ticks(0),
        };
        self.of(account).map(position).collect()
    }

    /// As tables.
    pub(in crate::bench) fn frames(&self) -> anyhow::Result<[Frame; 2]> {
        let mut account = Vec::with_capacity(self.positions());
        for (row, pair) in (0_u32..).zip(self.offsets.windows(2)) {
            let [start, end] = pair else { continue };
            account.extend(std::iter::repeat_n(row, end - start));
        }
        let positions = Frame::new("positions", "A row is a position, in order of account and instrument.")
            .index("account", "number of the account, from 0", account)
            .index("instrument", "row of `instruments`", self.instrument.clone())
            .integer("lots", "signed lots, long > 0", self.lots.clone());
        let collateral = Frame::new("collateral", "A row is an amount of an asset, in order of account.")
            .index("account", "number of the account, from 0", self.holder.clone())
            .index("asset", "0 USDC, 1 BTC, 2 ETH", self.asset.clone())
            .integer("amount_nano", "billionths of a unit", self.amount_nano.clone());
        Ok([positions, collateral])
    }

    /// From the tables of [`Accounts::frames`]. Accounts are those up to the last that has a position.
    pub(in crate::bench) fn read(directory: &Path) -> anyhow::Result<Self> {
        let wanted = [("account", Type::Index), ("instrument", Type::Index), ("lots", Type::Integer)];
        let mut frame = Frame::read(directory, "positions", &wanted)?;
        let (account, instrument) = (frame.indices("account")?, frame.indices("instrument")?);
        let lots = frame.integers("lots")?;
        if !account.is_sorted() {
            bail!("positions: expected rows in order of account");
        }
        let count = account.last().map_or(0, |last| *last as usize + 1);
        let offsets = (0..=count).map(|row| account.partition_point(|a| (*a as usize) < row)).collect();
        let wanted = [("account", Type::Index), ("asset", Type::Index), ("amount_nano", Type::Integer)];
        let mut frame = Frame::read(directory, "collateral", &wanted)?;
        Ok(Self {
            offsets,
            instrument,
            lots,
            holder: frame.indices("account")?,
            asset: frame.indices("asset")?,
            amount_nano: frame.integers("amount_nano")?,
        })
    }
}

/// The id of an account by its number: as many digits as any has, so that the order of ids is that of numbers.
pub(in crate::bench) fn name(account: usize) -> anyhow::Result<AccountId> {
    format!("a{account:07}").parse().with_context(|| format!("account {account}"))
}

/// Numbers of positions: `1 + floor((mean - 1/2) (1/sqrt(u) - 1))`, at most what there is to hold, then moved by one,
/// account after account, until their sum is the mean times the count.
fn sizes(draw: &mut Draw, count: usize, mean: usize, shop: &Shop) -> Vec<usize> {
    let most =
        MOST.min(shop.instruments / if shop.spread == Spread::Uniform { 1 } else { shop.underlyings.max(1) });
    let one = |u: f64| (1.0 + ((mean as f64 - 0.5) * (1.0 / u.sqrt() - 1.0)).floor()) as usize;
    let mut sizes: Vec<usize> = (0..count).map(|_| one(draw.between(0.0, 1.0)).min(most.max(1))).collect();
    let (wanted, mut sum) = (count * mean.clamp(1, most.max(1)), sizes.iter().sum::<usize>());
    while sum != wanted {
        for size in &mut sizes {
            if sum < wanted && *size < most {
                *size += 1;
                sum += 1;
            } else if sum > wanted && *size > 1 {
                *size -= 1;
                sum -= 1;
            }
        }
    }
    sizes
}

/// `1 + floor(10 (1/sqrt(u) - 1))` lots, at most 100,000, either way.
fn lots(draw: &mut Draw) -> i64 {
    let size = 1.0 + (10.0 * (1.0 / draw.between(0.0, 1.0).sqrt() - 1.0)).floor();
    let size = if size < 1e5 { size } else { 1e5 };
    (if draw.chance(0.5) { size } else { -size }) as i64
}

/// Different instruments, rising, into `chosen`.
fn choose(draw: &mut Draw, shop: &Shop, size: usize, chosen: &mut Vec<u32>) {
    let each = shop.instruments / shop.underlyings.max(1);
    let mut shelves: Vec<usize> = match shop.spread {
        Spread::Uniform => (0..shop.underlyings).collect(),
        Spread::Concentrated => {
            let few = 1 + draw.below(3);
            (0..few).map(|_| draw.below(shop.underlyings)).collect()
        }
    };
    shelves.sort_unstable();
    shelves.dedup();
    let room = shelves.len() * each;
    let place = |i: usize| u32::try_from(shelves[i / each] * each + i % each).unwrap_or(u32::MAX);
    chosen.clear();
    if 4 * size > room {
        // Each in turn, with the chance that exactly as many are taken as are wanted.
        let mut left = size.min(room);
        for i in 0..room {
            if draw.below(room - i) < left {
                chosen.push(place(i));
                left -= 1;
            }
        }
        return;
    }
    while chosen.len() < size {
        let more = (chosen.len()..size).map(|_| place(draw.below(room)));
        chosen.extend(more);
        chosen.sort_unstable();
        chosen.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_has_twelve_positions_per_account_in_rising_order() {
        for spread in [Spread::Uniform, Spread::Concentrated] {
            let accounts = Accounts::made(5_000, (16, 250), spread);
            assert_eq!(accounts.positions(), 60_000);
            for account in 0..accounts.len() {
                let held: Vec<u32> = accounts.of(account).map(|(instrument, _)| instrument).collect();
                assert!(held.is_sorted_by(|a, b| a < b) && !held.is_empty());
                let mut underlyings: Vec<u32> = held.iter().map(|i| i / 250).collect();
                underlyings.dedup();
                assert!(spread == Spread::Uniform || underlyings.len() <= 3);
            }
            let largest = accounts.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap();
            assert!(largest > 200, "{largest}");
            assert_eq!(accounts.book(true).unwrap().len(), 5_000);
        }
    }

    #[test]
    fn a_book_comes_back_as_it_was_written() {
        let directory = std::env::temp_dir().join(format!("plimsoll-accounts-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let made = Accounts::made(300, (16, 250), Spread::Uniform);
        for frame in made.frames().unwrap() {
            frame.write(&directory).unwrap();
        }
        assert_eq!(Accounts::read(&directory).unwrap(), made);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
