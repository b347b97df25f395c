//! A book of accounts over a snapshot, as the three CSV files that the commands read.

use super::account::{Account, round};
use super::archetype::{ARCHETYPES, Archetype, Trader};
use super::chain::{self, Chain, STRIKES_MIN};
use super::{Draw, GenerateError};
use plimsoll_types::Snapshot;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Collateral per unit of rough stress loss at which an account is about at its initial margin.
const LOSS_COVER: f64 = 1.15;

/// What a book is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookSpec {
    /// How many accounts.
    pub accounts: usize,
    /// Seed.
    pub seed: u64,
    /// Whether to write entry prices and order prices. They derive from the marks of the snapshot: leave them out
    /// where those may not be passed on.
    pub prices: bool,
}

/// The three files of a book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BookCsv {
    /// `account,instrument,quantity`, with `entry_price` where the spec asks for prices.
    pub positions: String,
    /// `account,asset,amount`.
    pub collateral: String,
    /// `account,instrument,quantity`, with `price` where the spec asks for prices.
    pub orders: String,
}

/// A book of a spec over a snapshot: the same bytes for the same snapshot and spec.
///
/// Accounts are covered-call writers, put sellers, strangle sellers, condor makers, calendar and ratio spreaders,
/// delta-hedged market makers, basis traders, punters and tail buyers, each named by its kind and a number. Collateral is
/// scaled to a rough repricing so that most accounts are healthy, some are below initial margin and a few below
/// maintenance margin.
///
/// ```
/// use plimsoll_app::generate::{BookSpec, MarketSpec, book, market};
/// let snapshot = market(&MarketSpec::bundled())?;
/// let files = book(&snapshot, &BookSpec { accounts: 10, seed: 1, prices: false })?;
/// assert!(files.positions.starts_with("account,instrument,quantity\ncovered-call-0001,"));
/// # Ok::<(), plimsoll_app::generate::GenerateError>(())
/// ```
///
/// # Errors
/// [`GenerateError::NoOptions`] where the snapshot has no expiry with enough options.
pub fn book(snapshot: &Snapshot, spec: &BookSpec) -> Result<BookCsv, GenerateError> {
    let chains = chain::chains(snapshot);
    if chains.is_empty() {
        return Err(GenerateError::NoOptions { needed: STRIKES_MIN });
    }
    let stable = ["USDC", "USDT"].into_iter().find(|name| {
        let known = |asset: &&plimsoll_types::Asset| asset.as_str() == *name;
        snapshot.assets.keys().any(|asset| known(&asset))
    });
    let mut rows = Rows::new(spec.prices, stable.unwrap_or("USD"));
    for (index, archetype) in kinds(spec.accounts).into_iter().enumerate() {
        let mut draw = Draw::new(spec.seed.wrapping_mul(0x1000_0000_01B3).wrapping_add(index as u64));
        let account = format!("{}-{:04}", archetype.name, index + 1);
        one_account(&account, archetype, &chains, &mut draw, &mut rows);
    }
    Ok(rows.finish())
}

/// The kinds of all accounts, one block after the other in the shares of [`ARCHETYPES`].
fn kinds(accounts: usize) -> Vec<&'static Archetype> {
    let mut kinds = Vec::with_capacity(accounts);
    let mut share = 0;
    for archetype in &ARCHETYPES {
        share += archetype.share;
        kinds.resize((accounts * share).div_ceil(100), archetype);
    }
    kinds.truncate(accounts);
    kinds
}

fn one_account(account: &str, archetype: &Archetype, chains: &[Chain], draw: &mut Draw, rows: &mut Rows) {
    let first = draw.below(chains.len());
    let second = (chains.len() > 1 && draw.chance(0.2)).then(|| (first + 1) % chains.len());
    let cover = cover(draw);
    for chain in [Some(first), second].into_iter().flatten().filter_map(|at| chains.get(at)) {
        // From about 20,000 to 2.5 million USD, small ones more often.
        let notional = 20_000.0 * doubled(draw.between(0.0, 7.0));
        let size = notional / chain.index;
        let mut trader = Trader { chain, draw: &mut *draw, account: Account::new(chain), size };
        (archetype.trade)(&mut trader);
        let held = trader.account;
        let unrealised = rows.positions(account, &held, draw);
        let needed = cover * LOSS_COVER * held.stress_loss() - held.net_value() - unrealised;
        rows.collateral(account, chain, needed.max(least(&held, draw)), draw);
        if draw.chance(0.15) {
            rows.orders(account, chain, size, draw);
        }
    }
}

/// `2^x` for `0 <= x`, by doubling and a straight line in between.
fn doubled(x: f64) -> f64 {
    let mut value = 1.0;
    let mut left = x;
    while left >= 1.0 {
        value *= 2.0;
        left -= 1.0;
    }
    value * (1.0 + left)
}

/// Equity wanted per unit of initial margin: most accounts have plenty, some too little, a few far too little.
fn cover(draw: &mut Draw) -> f64 {
    match draw.between(0.0, 1.0) {
        x if x < 0.04 => draw.between(0.35, 0.6),
        x if x < 0.12 => draw.between(0.82, 0.97),
        x if x < 0.45 => draw.between(1.1, 1.8),
        _ => draw.between(1.8, 5.0),
    }
}

/// The least anybody keeps, USD: a small sum and a share of futures and perpetuals, whose hedges are not perfect.
fn least(held: &Account<'_>, draw: &mut Draw) -> f64 {
    let gross: f64 = held.delta_ones.values().map(|(mark, base)| (mark * base).abs()).sum();
    250.0 * draw.between(0.4, 4.0) + gross * draw.between(0.01, 0.05)
}

/// The files while they are written.
struct Rows {
    prices: bool,
    stable: &'static str,
    files: BookCsv,
    /// Collateral of the account being written: summed over its underlyings.
    held: BTreeMap<(String, String), f64>,
}

impl Rows {
    fn new(prices: bool, stable: &'static str) -> Self {
        let (entry, price) = if prices { (",entry_price", ",price") } else { ("", "") };
        let files = BookCsv {
            positions: format!("account,instrument,quantity{entry}\n"),
            collateral: "account,asset,amount\n".to_owned(),
            orders: format!("account,instrument,quantity{price}\n"),
        };
        Self { prices, stable, files, held: BTreeMap::new() }
    }

    /// Writes the positions; profit since their entry, USD.
    fn positions(&mut self, account: &str, held: &Account<'_>, draw: &mut Draw) -> f64 {
        let mut unrealised = 0.0;
        for (name, milli) in held.positions.iter().filter(|(_, milli)| **milli != 0) {
            let quantity = decimal(*milli, 3);
            let _ = write!(self.files.positions, "{account},{name},{quantity}");
            if self.prices {
                let entry = held
                    .delta_ones
                    .get(name)
                    .map(|(mark, base)| (mark * draw.between(0.985, 1.015), mark, base));
                unrealised += entry.map_or(0.0, |(entry, mark, base)| base * (mark - entry));
                let text = entry.map_or_else(String::new, |(price, ..)| decimal(round(price * 100.0), 2));
                let _ = write!(self.files.positions, ",{text}");
            }
            self.files.positions.push('\n');
        }
        unrealised
    }

    /// Collateral worth `amount` USD, in the coin, in the stable coin, or in both.
    fn collateral(&mut self, account: &str, chain: &Chain, amount: f64, draw: &mut Draw) {
        let in_coin = chain.inverse && draw.chance(0.45);
        let share = if !in_coin {
            0.0
        } else if draw.chance(0.5) {
            1.0
        } else {
            draw.between(0.3, 0.7)
        };
        let coin = amount * share / chain.index;
        self.hold(account, chain.asset.as_str(), coin);
        self.hold(account, self.stable, amount * (1.0 - share));
    }

    fn hold(&mut self, account: &str, asset: &str, amount: f64) {
        if amount > 0.0 {
            *self.held.entry((account.to_owned(), asset.to_owned())).or_default() += amount;
        }
    }

    /// One to three open orders in options near the money.
    fn orders(&mut self, account: &str, chain: &Chain, size: f64, draw: &mut Draw) {
        for _ in 0..=draw.below(3) {
            let Some(expiry) = draw.one_of(&chain.expiries) else {
                return;
            };
            let kind = if draw.chance(0.5) {
                plimsoll_quant::black::OptionKind::Call
            } else {
                plimsoll_quant::black::OptionKind::Put
            };
            let at = expiry.by_delta(kind, draw.between(0.1, 0.5));
            let Some(strike) = expiry.strikes.get(at) else {
                return;
            };
            let steps = (round(size * 250.0) / chain.step_milli).max(1);
            let milli = if draw.chance(0.5) { steps } else { -steps } * chain.step_milli;
            let _ = write!(self.files.orders, "{account},{},{}", strike.name(kind), decimal(milli, 3));
            if self.prices {
                let unit = if chain.inverse { expiry.forward } else { 1.0 };
                let value =
                    plimsoll_quant::black::price(kind, expiry.forward, strike.strike, strike.vol, expiry.tau);
                let price = value / unit * if milli > 0 { 0.97 } else { 1.03 };
                let _ = write!(self.files.orders, ",{}", decimal(round(price * 1e4).max(1), 4));
            }
            self.files.orders.push('\n');
        }
    }

    fn finish(mut self) -> BookCsv {
        for ((account, asset), amount) in &self.held {
            // Coins to six digits, dollars to cents.
            let (scale, digits) = if asset.starts_with("USD") { (100.0, 2) } else { (1e6, 6) };
            let units = round(amount * scale);
            if units > 0 {
                let _ = writeln!(self.files.collateral, "{account},{asset},{}", decimal(units, digits));
            }
        }
        self.files
    }
}

/// `units / 10^digits` in decimal, without zeros at the end.
fn decimal(units: i64, digits: u32) -> String {
    plimsoll_types::Decimal::new(units, digits).normalize().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{MarketSpec, market};
    use super::*;
    use std::collections::BTreeSet;

    fn bundled(accounts: usize, seed: u64, prices: bool) -> BookCsv {
        let snapshot = market(&MarketSpec::bundled()).unwrap();
        book(&snapshot, &BookSpec { accounts, seed, prices }).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_book_and_another_seed_another() {
        assert_eq!(bundled(40, 7, true), bundled(40, 7, true));
        assert_ne!(bundled(40, 7, true), bundled(40, 8, true));
    }

    #[test]
    fn every_account_has_a_position_and_collateral_and_no_pair_comes_twice() {
        let files = bundled(200, 3, false);
        let first = |text: &str| -> Vec<String> {
            text.lines().skip(1).map(|l| l.split(',').next().unwrap().to_owned()).collect()
        };
        let holders: BTreeSet<String> = first(&files.positions).into_iter().collect();
        assert_eq!(holders.len(), 200);
        assert_eq!(first(&files.collateral).into_iter().collect::<BTreeSet<_>>(), holders);
        let pair = |line: &str| line.rsplit_once(',').map(|(pair, _)| pair.to_owned());
        let pairs: Vec<_> = files.positions.lines().skip(1).filter_map(pair).collect();
        assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), pairs.len());
    }

    #[test]
    fn without_prices_no_row_holds_one() {
        let files = bundled(100, 3, false);
        assert!(
            files.positions.lines().chain(files.orders.lines()).all(|line| line.matches(',').count() == 2)
        );
    }

    #[test]
    fn a_snapshot_without_options_is_refused() {
        let mut snapshot = market(&MarketSpec::bundled()).unwrap();
        for market in snapshot.underlyings.values_mut() {
            market.options.clear();
        }
        let spec = BookSpec { accounts: 3, seed: 1, prices: false };
        assert_eq!(book(&snapshot, &spec), Err(GenerateError::NoOptions { needed: STRIKES_MIN }));
    }
}
