//! What accounts hold, by instrument index and in integers.

use crate::{AccountId, Asset, InstrumentIx, Lots, Ticks};
use serde::{Deserialize, Serialize};

/// A holding of one instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Which row of the risk arrays.
    pub instrument: InstrumentIx,
    /// Signed lots; long > 0.
    pub lots: Lots,
    /// Profit since entry that is not yet in the collateral, in ticks, rounded down; 0 where the position was marked
    /// to market or no entry price is known.
    pub unrealised: Ticks,
}

/// An amount of a collateral asset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holding {
    /// Which asset.
    pub asset: Asset,
    /// Billionths of a unit; negative is borrowed.
    pub amount_nano: i128,
    /// The position it is set aside for, in isolated mode.
    pub earmark: Option<InstrumentIx>,
}

/// An open order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Which row of the risk arrays.
    pub instrument: InstrumentIx,
    /// Signed lots still open; a bid is > 0, an ask < 0.
    pub lots: Lots,
    /// Gain (> 0) or loss against the mark if it fills in full, in ticks, rounded down.
    pub edge: Ticks,
}

/// One account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Portfolio {
    /// Whose.
    pub account: AccountId,
    /// At most one per instrument, in rising order of `instrument`.
    pub positions: Vec<Position>,
    /// Collateral.
    pub collateral: Vec<Holding>,
    /// Open orders.
    pub orders: Vec<Order>,
}

/// Why a book is malformed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BookError {
    /// Accounts are not in strictly rising order.
    #[error("account {account} is out of order or twice in the book")]
    Accounts {
        /// The account.
        account: AccountId,
    },
    /// Positions of an account are not in strictly rising order of instrument.
    #[error("account {account} has its positions out of order or twice")]
    Positions {
        /// The account.
        account: AccountId,
    },
}

/// A whole book in compressed sparse rows: the positions of account `a` are `offsets[a]..offsets[a + 1]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Book {
    /// Accounts, strictly rising.
    pub accounts: Vec<AccountId>,
    /// One more than there are accounts; first 0, last the number of positions.
    pub offsets: Vec<usize>,
    /// All positions, account by account.
    pub positions: Vec<Position>,
    /// Collateral of each account.
    pub collateral: Vec<Vec<Holding>>,
    /// Open orders of each account.
    pub orders: Vec<Vec<Order>>,
}

impl Book {
    /// Packs portfolios, which must come in strictly rising order of account, with positions in strictly rising
    /// order of instrument.
    pub fn pack(portfolios: impl IntoIterator<Item = Portfolio>) -> Result<Self, BookError> {
        let mut book = Self { offsets: vec![0], ..Self::default() };
        for portfolio in portfolios {
            let account = portfolio.account;
            if book.accounts.last().is_some_and(|last| *last >= account) {
                return Err(BookError::Accounts { account });
            }
            if !portfolio.positions.is_sorted_by(|a, b| a.instrument < b.instrument) {
                return Err(BookError::Positions { account });
            }
            book.accounts.push(account);
            book.positions.extend(portfolio.positions);
            book.offsets.push(book.positions.len());
            book.collateral.push(portfolio.collateral);
            book.orders.push(portfolio.orders);
        }
        Ok(book)
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The portfolio of the `index`-th account, copied out; `None` past the end.
    pub fn portfolio(&self, index: usize) -> Option<Portfolio> {
        let account = self.accounts.get(index)?.clone();
        let span = *self.offsets.get(index)?..*self.offsets.get(index + 1)?;
        Some(Portfolio {
            account,
            positions: self.positions.get(span)?.to_vec(),
            collateral: self.collateral.get(index)?.clone(),
            orders: self.orders.get(index)?.clone(),
        })
    }

    /// The index of an account.
    pub fn find(&self, account: &AccountId) -> Option<usize> {
        self.accounts.binary_search(account).ok()
    }

    /// Every portfolio in order.
    pub fn iter(&self) -> impl Iterator<Item = Portfolio> + '_ {
        (0..self.len()).filter_map(|i| self.portfolio(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portfolio(account: &str, instruments: &[u32]) -> Portfolio {
        let position =
            |i: &u32| Position { instrument: InstrumentIx(*i), lots: Lots(1), unrealised: Ticks(0) };
        Portfolio {
            account: account.parse().unwrap(),
            positions: instruments.iter().map(position).collect(),
            collateral: vec![],
            orders: vec![],
        }
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let all = vec![portfolio("a", &[0, 3]), portfolio("b", &[]), portfolio("c", &[1])];
        let book = Book::pack(all.clone()).unwrap();
        assert_eq!(book.iter().collect::<Vec<_>>(), all);
        assert_eq!(book.find(&"b".parse().unwrap()), Some(1));
        assert_eq!(book.portfolio(3), None);
    }

    #[test]
    fn accounts_and_positions_twice_or_out_of_order_are_refused() {
        assert!(matches!(
            Book::pack([portfolio("b", &[]), portfolio("a", &[])]),
            Err(BookError::Accounts { .. })
        ));
        assert!(matches!(Book::pack([portfolio("a", &[1, 1])]), Err(BookError::Positions { .. })));
    }
}
