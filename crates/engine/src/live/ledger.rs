//! Who holds what: instruments by number, accounts by number, and every movement of money between them.
//!
//! **The one idea:** a position is lots and what they cost. Its profit is `lots x value - cost`, so a price moves no entry
//! here, and what one side of a trade pays the other side receives to the last tick: the ledger neither makes nor loses
//! money. Funding and settlement are changes of `value`, or of cost, and so cannot either.
//!
//! **Must never know:** prices of the market, margins, parameters.

use super::feed::Stated;
use plimsoll_types::{
    AccountId, Asset, Contract, Instrument, NANO, Settlement, Ticks, Timestamp, Units, mul_div,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a movement was refused. Nothing has changed then. The codes are stable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no such account.
    #[error("unknown_account {0}")]
    UnknownAccount(AccountId),
    /// There is one already.
    #[error("account_exists {0}")]
    AccountExists(AccountId),
    /// It is not listed.
    #[error("unknown_instrument {0}")]
    UnknownInstrument(Instrument),
    /// It was listed before.
    #[error("already_listed {0}")]
    AlreadyListed(Instrument),
    /// It has been settled.
    #[error("settled {0}")]
    Settled(Instrument),
    /// Futures and perpetuals that settle in coin are not traded here.
    #[error("unsupported {0}: futures and perpetuals settle in the valuation currency here")]
    Unsupported(Instrument),
    /// A number that must be positive is not.
    #[error("not_positive {what}: {value}")]
    NotPositive {
        /// Which.
        what: &'static str,
        /// What it was.
        value: i128,
    },
    /// Both sides are one account.
    #[error("self_trade {0}")]
    SelfTrade(AccountId),
    /// The account does not hold so much.
    #[error("insufficient {asset}: {held} billionths held, {asked} asked")]
    Insufficient {
        /// Of what.
        asset: Asset,
        /// What it has.
        held: i128,
        /// What was asked for.
        asked: i128,
    },
    /// A number leaves its integer.
    #[error("overflow {what}")]
    Overflow {
        /// Which.
        what: &'static str,
    },
}

/// The largest lots and amounts that are taken in one movement: sums of many stay far inside their integers.
const AMOUNT_MAX: i128 = 1 << 100;
/// The most lots of one position, either way.
const LOTS_MAX: i64 = 1 << 56;

/// A listed instrument.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Which.
    pub instrument: Instrument,
    /// Funding paid by one long lot since listing, ticks; only perpetuals have any.
    pub funding: i64,
    /// When it was settled.
    pub settled: Option<Timestamp>,
}

/// A position: lots and what they cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Number of the instrument.
    pub instrument: u32,
    /// Long > 0.
    pub lots: i64,
    /// What was paid for them, less what was received, in ticks; funding so far taken in.
    pub cost: i128,
}

/// An open order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenOrder {
    /// The client's number.
    pub id: u64,
    /// Number of the instrument.
    pub instrument: u32,
    /// A bid is > 0.
    pub lots: i64,
    /// Its limit.
    pub limit: Stated,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// In rising order of instrument.
    pub positions: Vec<Held>,
    /// Billionths of a unit, in order of asset; below zero is owed.
    pub collateral: Vec<(Asset, i128)>,
    /// In the order they came.
    pub orders: Vec<OpenOrder>,
}

/// Every account and instrument.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ledger {
    units: Units,
    instruments: Vec<Listed>,
    accounts: Vec<Account>,
    #[serde(skip)]
    names: BTreeMap<AccountId, u32>,
    #[serde(skip)]
    numbers: BTreeMap<Instrument, u32>,
}

/// A trade between two accounts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// Who receives the lots.
    pub buyer: AccountId,
    /// Who gives them.
    pub seller: AccountId,
    /// Of what.
    pub instrument: Instrument,
    /// How many; > 0.
    pub lots: i64,
    /// As the venue quotes it: coin for inverse options, quote units otherwise; may be zero.
    pub price: Stated,
}

impl Ledger {
    /// An empty one.
    pub fn new(units: Units) -> Self {
        let (instruments, accounts) = (Vec::new(), Vec::new());
        Self { units, instruments, accounts, names: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    /// Makes the indexes anew, after reading.
    pub fn index(&mut self) {
        self.names = self.accounts.iter().zip(0..).map(|(account, n)| (account.id.clone(), n)).collect();
        let open = self.instruments.iter().zip(0..);
        self.numbers = open.map(|(listed, n)| (listed.instrument.clone(), n)).collect();
    }

    /// What is listed, and nobody.
    pub(super) fn without_accounts(&self) -> Self {
        let instruments = self.instruments.clone();
        Self { instruments, ..Self::new(self.units.clone()) }
    }

    /// Instruments by number.
    pub fn instruments(&self) -> &[Listed] {
        &self.instruments
    }

    /// Accounts by number.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// An account by number.
    pub fn account(&self, number: u32) -> Option<&Account> {
        self.accounts.get(number as usize)
    }

    /// The number of an account.
    pub fn find(&self, id: &AccountId) -> Result<u32, LedgerError> {
        self.names.get(id).copied().ok_or_else(|| LedgerError::UnknownAccount(id.clone()))
    }

    /// The number of an instrument that is traded.
    pub fn number(&self, instrument: &Instrument) -> Result<u32, LedgerError> {
        let number = self.numbers.get(instrument).copied();
        let number = number.ok_or_else(|| LedgerError::UnknownInstrument(instrument.clone()))?;
        let settled = self.instruments.get(number as usize).is_some_and(|listed| listed.settled.is_some());
        if settled { Err(LedgerError::Settled(instrument.clone())) } else { Ok(number) }
    }

    /// Lists an instrument.
    pub fn list(&mut self, instrument: &Instrument) -> Result<u32, LedgerError> {
        let delta_one = matches!(instrument.contract(), Contract::Perpetual | Contract::Future { .. });
        if delta_one && instrument.settlement() == Settlement::Inverse {
            return Err(LedgerError::Unsupported(instrument.clone()));
        }
        if self.numbers.contains_key(instrument) {
            return Err(LedgerError::AlreadyListed(instrument.clone()));
        }
        let number = fits(self.instruments.len(), "instruments")?;
        self.instruments.push(Listed { instrument: instrument.clone(), funding: 0, settled: None });
        self.numbers.insert(instrument.clone(), number);
        Ok(number)
    }

    /// Opens an account.
    pub fn open(&mut self, id: &AccountId) -> Result<u32, LedgerError> {
        if self.names.contains_key(id) {
            return Err(LedgerError::AccountExists(id.clone()));
        }
        let number = fits(self.accounts.len(), "accounts")?;
        let (positions, collateral, orders) = (Vec::new(), Vec::new(), Vec::new());
        self.accounts.push(Account { id: id.clone(), positions, collateral, orders });
        self.names.insert(id.clone(), number);
        Ok(number)
    }

    /// Adds to the collateral of an account.
    pub fn deposit(&mut self, account: u32, asset: &Asset, nano: i128) -> Result<(), LedgerError> {
        positive("amount", nano)?;
        self.pay(account, asset, nano)
    }

    /// Takes from the collateral of an account what it has.
    pub fn withdraw(&mut self, account: u32, asset: &Asset, nano: i128) -> Result<(), LedgerError> {
        positive("amount", nano)?;
        let held = self.account(account).map_or(0, |account| account.held(asset));
        if held < nano {
            return Err(LedgerError::Insufficient { asset: asset.clone(), held, asked: nano });
        }
        self.pay(account, asset, -nano)
    }

    /// Moves collateral from one account to another.
    pub fn transfer(&mut self, from: u32, to: u32, asset: &Asset, nano: i128) -> Result<(), LedgerError> {
        let held = self.account(to).map_or(0, |account| account.held(asset));
        bounded(held, nano, "collateral")?;
        self.withdraw(from, asset, nano)?;
        self.pay(to, asset, nano)
    }

    /// Adds to the collateral of an account, or takes from it when below zero, whatever it has.
    pub fn pay(&mut self, account: u32, asset: &Asset, nano: i128) -> Result<(), LedgerError> {
        let Some(account) = self.accounts.get_mut(account as usize) else { return Ok(()) };
        let place = account.collateral.binary_search_by(|(held, _)| held.cmp(asset));
        let held = place.map_or(0, |at| account.collateral[at].1);
        let sum = bounded(held, nano, "collateral")?;
        match (place, sum) {
            (Ok(at), 0) => drop(account.collateral.remove(at)),
            (Ok(at), _) => account.collateral[at].1 = sum,
            (Err(_), 0) => {}
            (Err(at), _) => account.collateral.insert(at, (asset.clone(), sum)),
        }
        Ok(())
    }

    /// Does a trade between two accounts. What is paid for inverse options is paid in coin at once; all else is cost.
    pub fn fill(&mut self, fill: &Fill) -> Result<[u32; 2], LedgerError> {
        let number = self.number(&fill.instrument)?;
        let parties = [self.find(&fill.buyer)?, self.find(&fill.seller)?];
        if fill.buyer == fill.seller {
            return Err(LedgerError::SelfTrade(fill.buyer.clone()));
        }
        positive("lots", i128::from(fill.lots))?;
        if fill.price.mantissa < 0 {
            return Err(LedgerError::NotPositive { what: "price", value: i128::from(fill.price.mantissa) });
        }
        let in_coin = fill.instrument.settlement() == Settlement::Inverse;
        let scale = if in_coin { NANO } else { self.units.ticks_per_unit };
        let worth = worth(fill, (&self.units, scale))?;
        let funded = self.instruments.get(number as usize).map_or(0, |listed| listed.funding);
        let funded = i128::from(fill.lots) * i128::from(funded);
        let cost = if in_coin { 0 } else { worth.checked_sub(funded).ok_or(OVERFLOW)? };
        let before = self.clone_of(&[&fill.buyer, &fill.seller])?;
        let moved = self.exchange(parties, number, (fill.lots, cost)).and_then(|()| {
            let coin = fill.instrument.underlying();
            if in_coin { self.exchange_coin(parties, coin, worth) } else { Ok(()) }
        });
        if let Err(refused) = moved {
            self.restore(before);
            return Err(refused);
        }
        Ok(parties)
    }

    /// What a trade costs its buyer, ticks; funding so far taken in.
    ///
    /// # Errors
    /// [`LedgerError::Unsupported`] of what is paid for in coin, and as [`Ledger::fill`].
    pub(super) fn cost(&self, fill: &Fill) -> Result<i128, LedgerError> {
        if fill.instrument.settlement() == Settlement::Inverse {
            return Err(LedgerError::Unsupported(fill.instrument.clone()));
        }
        if fill.price.mantissa < 0 {
            return Err(LedgerError::NotPositive { what: "price", value: i128::from(fill.price.mantissa) });
        }
        let number = self.number(&fill.instrument)?;
        let funded = self.instruments.get(number as usize).map_or(0, |listed| listed.funding);
        let worth = worth(fill, (&self.units, self.units.ticks_per_unit))?;
        worth.checked_sub(i128::from(fill.lots) * i128::from(funded)).ok_or(OVERFLOW)
    }

    fn exchange(
        &mut self,
        [buyer, seller]: [u32; 2],
        number: u32,
        paid: (i64, i128),
    ) -> Result<(), LedgerError> {
        let (lots, cost) = paid;
        self.add(buyer, number, lots, cost)?;
        self.add(seller, number, -lots, -cost)
    }

    fn exchange_coin(
        &mut self,
        [buyer, seller]: [u32; 2],
        coin: &Asset,
        nano: i128,
    ) -> Result<(), LedgerError> {
        self.pay(buyer, coin, -nano)?;
        self.pay(seller, coin, nano)
    }

    /// Adds lots at a cost to a position. A position of no lots leaves what it cost as cash.
    pub fn add(&mut self, account: u32, number: u32, lots: i64, cost: i128) -> Result<(), LedgerError> {
        let held = self.accounts.get_mut(account as usize).ok_or(OVERFLOW)?;
        let place = held.positions.binary_search_by_key(&number, |held| held.instrument);
        let old = place.map_or(Held { instrument: number, lots: 0, cost: 0 }, |at| held.positions[at]);
        let sum = old.lots.checked_add(lots).filter(|lots| lots.abs() <= LOTS_MAX);
        let sum = sum.ok_or(LedgerError::Overflow { what: "lots" })?;
        let cost = bounded(old.cost, cost, "cost")?;
        match (place, sum) {
            (Ok(at), 0) => drop(held.positions.remove(at)),
            (Ok(at), _) => held.positions[at] = Held { lots: sum, cost, ..old },
            (Err(_), 0) => {}
            (Err(at), _) => held.positions.insert(at, Held { lots: sum, cost, ..old }),
        }
        if sum == 0 { self.realise(account, -cost) } else { Ok(()) }
    }

    /// Pays ticks in the valuation currency: whole billionths, whatever a tick is.
    pub fn realise(&mut self, account: u32, ticks: i128) -> Result<(), LedgerError> {
        let nano = nano_of(ticks, self.units.ticks_per_unit)?;
        let currency = self.units.currency.clone();
        self.pay(account, &currency, nano)
    }

    /// Gives lots of an instrument from one account to another at so many ticks a lot, funding taken off already.
    pub(super) fn give(
        &mut self,
        [from, to]: [u32; 2],
        number: u32,
        lots: i64,
        mark: i64,
    ) -> Result<(), LedgerError> {
        let cost = i128::from(lots) * i128::from(mark);
        self.add(from, number, -lots, -cost)?;
        self.add(to, number, lots, cost)
    }

    /// Charges every long lot of a perpetual so many ticks, and pays every short one as many.
    pub fn fund(&mut self, number: u32, ticks: i64) -> Result<(), LedgerError> {
        let listed = self.instruments.get_mut(number as usize).ok_or(OVERFLOW)?;
        listed.funding =
            listed.funding.checked_add(ticks).ok_or(LedgerError::Overflow { what: "funding" })?;
        Ok(())
    }

    /// Settles an instrument: every lot becomes so many ticks. Accounts that held it, in order.
    pub fn settle(&mut self, number: u32, value: i64, at: Timestamp) -> Result<Vec<u32>, LedgerError> {
        let funding = self.instruments.get(number as usize).map_or(0, |listed| listed.funding);
        let mut paid = Vec::new();
        for (account, n) in self.accounts.iter().zip(0..) {
            let Ok(place) = account.positions.binary_search_by_key(&number, |held| held.instrument) else {
                continue;
            };
            let Held { lots, cost, .. } = account.positions[place];
            let worth = i128::from(lots) * (i128::from(value) - i128::from(funding));
            let ticks = worth.checked_sub(cost).ok_or(OVERFLOW)?;
            let nano = nano_of(ticks, self.units.ticks_per_unit)?;
            bounded(account.held(&self.units.currency), nano, "collateral")?;
            paid.push((n, ticks));
        }
        for (account, ticks) in &paid {
            if let Some(account) = self.accounts.get_mut(*account as usize) {
                account.positions.retain(|held| held.instrument != number);
            }
            self.realise(*account, *ticks)?;
        }
        for account in &mut self.accounts {
            account.orders.retain(|order| order.instrument != number);
        }
        if let Some(listed) = self.instruments.get_mut(number as usize) {
            listed.settled = Some(at);
        }
        Ok(paid.into_iter().map(|(account, _)| account).collect())
    }

    /// Adds an order, or replaces the one of the same number; without lots it takes it away.
    pub fn order(&mut self, account: u32, order: OpenOrder) -> Result<(), LedgerError> {
        let Some(account) = self.accounts.get_mut(account as usize) else { return Ok(()) };
        if order.lots.abs() > LOTS_MAX {
            return Err(LedgerError::Overflow { what: "lots" });
        }
        account.orders.retain(|old| old.id != order.id);
        if order.lots != 0 {
            account.orders.push(order);
        }
        Ok(())
    }
}

/// Accounts as they were.
#[derive(Clone, Debug)]
pub(super) struct Before(Vec<(u32, Account)>);

impl Before {
    /// An account as it was.
    pub(super) fn of(&self, number: u32) -> Option<&Account> {
        self.0.iter().find(|(n, _)| *n == number).map(|(_, account)| account)
    }
}

impl Ledger {
    /// Copies of some accounts, to go back to.
    pub(super) fn clone_of(&self, ids: &[&AccountId]) -> Result<Before, LedgerError> {
        let mut copies = Vec::with_capacity(ids.len());
        for id in ids {
            let number = self.find(id)?;
            copies.extend(self.account(number).map(|account| (number, account.clone())));
        }
        Ok(Before(copies))
    }

    /// Goes back.
    pub(super) fn restore(&mut self, before: Before) {
        for (number, account) in before.0 {
            if let Some(place) = self.accounts.get_mut(number as usize) {
                *place = account;
            }
        }
    }
}

impl Account {
    /// Adds lots at a cost, as [`Ledger::add`], in a copy that nobody holds: what is closed leaves its profit as cost of
    /// nothing. `None` where a number leaves its integer.
    pub(super) fn add(&mut self, number: u32, lots: i64, cost: i128) -> Option<()> {
        match self.positions.binary_search_by_key(&number, |held| held.instrument) {
            Ok(at) => {
                let held = &mut self.positions[at];
                held.lots = held.lots.checked_add(lots)?;
                held.cost = held.cost.checked_add(cost)?;
            }
            Err(at) => self.positions.insert(at, Held { instrument: number, lots, cost }),
        }
        Some(())
    }

    /// Adds to the collateral, in a copy that nobody holds. `None` where the amount leaves its integer.
    pub(super) fn pay(&mut self, asset: &Asset, nano: i128) -> Option<()> {
        match self.collateral.binary_search_by(|(held, _)| held.cmp(asset)) {
            Ok(at) => self.collateral[at].1 = self.collateral[at].1.checked_add(nano)?,
            Err(at) => self.collateral.insert(at, (asset.clone(), nano)),
        }
        Some(())
    }

    /// Billionths of an asset that it holds.
    pub fn held(&self, asset: &Asset) -> i128 {
        let place = self.collateral.binary_search_by(|(held, _)| held.cmp(asset));
        place.map_or(0, |at| self.collateral[at].1)
    }

    /// Lots of an instrument that it holds.
    pub fn lots(&self, number: u32) -> i64 {
        let place = self.positions.binary_search_by_key(&number, |held| held.instrument);
        place.map_or(0, |at| self.positions[at].lots)
    }
}

const OVERFLOW: LedgerError = LedgerError::Overflow { what: "a movement" };

fn fits(count: usize, what: &'static str) -> Result<u32, LedgerError> {
    u32::try_from(count).map_err(|_| LedgerError::Overflow { what })
}

fn positive(what: &'static str, value: i128) -> Result<(), LedgerError> {
    if value > 0 { Ok(()) } else { Err(LedgerError::NotPositive { what, value }) }
}

fn bounded(held: i128, more: i128, what: &'static str) -> Result<i128, LedgerError> {
    let sum = held.checked_add(more).filter(|sum| sum.abs() <= AMOUNT_MAX);
    sum.ok_or(LedgerError::Overflow { what })
}

/// Ticks as billionths of the currency, rounded down where a tick is finer.
pub(super) fn nano_of(ticks: i128, per_unit: i64) -> Result<i128, LedgerError> {
    let down = plimsoll_types::Rounding::Down;
    mul_div(ticks, i128::from(NANO), i128::from(per_unit), down).ok_or(OVERFLOW)
}

/// `lots x lot x price`, in parts of `scale` to the unit, rounded to nearest.
fn worth(fill: &Fill, (units, scale): (&Units, i64)) -> Result<i128, LedgerError> {
    let lot = units.lot(&fill.instrument);
    let Stated { mantissa, exponent } = fill.price;
    let power = i32::from(exponent) - i32::try_from(lot.scale()).unwrap_or(i32::MAX);
    let product = [i128::from(mantissa), lot.mantissa(), i128::from(scale)]
        .into_iter()
        .try_fold(i128::from(fill.lots), i128::checked_mul)
        .ok_or(OVERFLOW)?;
    let ten = 10_i128.checked_pow(power.unsigned_abs()).ok_or(OVERFLOW)?;
    let nearest = plimsoll_types::Rounding::Nearest;
    let whole = if power < 0 { mul_div(product, 1, ten, nearest) } else { product.checked_mul(ten) }
        .ok_or(OVERFLOW)?;
    bounded(0, whole, "a movement")
}

impl Ledger {
    /// What all accounts have together, where instruments are worth so many ticks a lot: for checks that nothing is made
    /// or lost. By asset in billionths, and ticks.
    pub fn everything(&self, value: &dyn Fn(u32) -> i64) -> Option<(BTreeMap<Asset, i128>, Ticks)> {
        let (mut assets, mut ticks) = (BTreeMap::new(), 0_i128);
        for account in &self.accounts {
            for (asset, nano) in &account.collateral {
                let sum: &mut i128 = assets.entry(asset.clone()).or_default();
                *sum = sum.checked_add(*nano)?;
            }
            for held in &account.positions {
                let funding = self.instruments.get(held.instrument as usize)?.funding;
                let each = i128::from(value(held.instrument)) - i128::from(funding);
                ticks =
                    ticks.checked_add(i128::from(held.lots).checked_mul(each)?.checked_sub(held.cost)?)?;
            }
        }
        Some((assets, Ticks(ticks)))
    }
}

#[cfg(test)]
mod tests;
