//! Rows of collateral, summed as they come.
//!
//! **The one idea:** holdings stay in the order of the file; each knows the one before it of the same account, so that
//! whether a row repeats an earlier one takes a walk over what its account holds and no map.

use super::names::Names;
use plimsoll_types::Asset;

/// No position is set aside for: above every number of an instrument.
const NO_EARMARK: u32 = u32::MAX;

/// What one account holds of one asset for one purpose, all rows summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RawHolding {
    /// Billionths of a unit; negative is borrowed.
    pub amount_nano: i128,
    account: u32,
    asset: u32,
    earmark: u32,
    /// The place of the holding before it of the same account, and one; 0 where there is none.
    before: u32,
}

impl RawHolding {
    /// The number of the instrument it is set aside for.
    pub(crate) fn earmark(&self) -> Option<u32> {
        (self.earmark != NO_EARMARK).then_some(self.earmark)
    }
}

/// The collateral of a book while it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    names: Names,
    assets: Vec<Asset>,
    all: Vec<RawHolding>,
    /// By account number: the place of its last holding, and one; 0 or nothing where it has none.
    last: Vec<u32>,
}

impl Holdings {
    /// Whether an asset of this name is held.
    pub(super) fn knows(&self, asset: &str) -> bool {
        self.names.find(asset).is_some()
    }

    /// The number of an asset of a sound name; `None` when there are 2^32 - 1 of them.
    fn asset(&mut self, name: &str) -> Option<u32> {
        if let Some(known) = self.names.find(name) {
            return Some(known);
        }
        self.assets.push(Asset::new(name).ok()?);
        self.names.add(name)
    }

    /// Adds a row and says whether it was added to an earlier one; `None` when there is no room for one more.
    pub(super) fn add(
        &mut self,
        account: u32,
        asset: &str,
        amount_nano: i128,
        earmark: Option<u32>,
    ) -> Option<bool> {
        let (asset, earmark) = (self.asset(asset)?, earmark.unwrap_or(NO_EARMARK));
        if self.last.len() <= account as usize {
            self.last.resize(account as usize + 1, 0);
        }
        let last = self.last.get_mut(account as usize)?;
        let mut place = *last;
        while let Some(held) = place.checked_sub(1).and_then(|at| self.all.get_mut(at as usize)) {
            if held.asset == asset && held.earmark == earmark {
                held.amount_nano += amount_nano;
                return Some(true);
            }
            place = held.before;
        }
        let before = std::mem::replace(last, u32::try_from(self.all.len() + 1).ok()?);
        self.all.push(RawHolding { amount_nano, account, asset, earmark, before });
        Some(false)
    }

    /// The holdings in order of account, and within each in that of the file.
    pub(super) fn finish(self, accounts: usize) -> Collateral {
        let mut all = self.all;
        if !all.is_sorted_by_key(|held| held.account) {
            all.sort_by_key(|held| held.account);
        }
        let starts = super::rows::starts(all.iter().map(|held| held.account), accounts);
        Collateral { assets: self.assets, all, starts }
    }
}

/// The collateral of a book as read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collateral {
    assets: Vec<Asset>,
    all: Vec<RawHolding>,
    starts: Vec<usize>,
}

impl Collateral {
    /// Every asset that is held.
    pub(crate) fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// What an account holds, in the order of the file.
    pub(crate) fn of(&self, account: u32) -> &[RawHolding] {
        let end = |number: usize| self.starts.get(number).copied().unwrap_or(self.all.len());
        self.all.get(end(account as usize)..end(account as usize + 1)).unwrap_or(&[])
    }

    /// The asset of a holding.
    pub(crate) fn asset(&self, held: &RawHolding) -> Option<&Asset> {
        self.assets.get(held.asset as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn holdings_are_summed_as_by_a_search_of_all_of_them(rows in prop::collection::vec((0_u32..6, 0_usize..4, -9_i128..9, prop::option::of(0_u32..3)), 0..80)) {
            let names = ["USDC", "BTC", "ETH", "AAVE"];
            let (mut holdings, mut naive) = (Holdings::default(), Vec::new());
            for (account, asset, amount, earmark) in &rows {
                let key = (*account, names[*asset], *earmark);
                let found = naive.iter_mut().find(|(known, _)| *known == key);
                let repeated = found.is_some();
                match found {
                    Some((_, sum)) => *sum += *amount,
                    None => naive.push((key, *amount)),
                }
                prop_assert_eq!(holdings.add(*account, names[*asset], *amount, *earmark), Some(repeated));
            }
            let collateral = holdings.finish(6);
            for account in 0..6 {
                let found: Vec<_> = collateral.of(account).iter()
                    .map(|held| (collateral.asset(held).unwrap().as_str(), held.earmark(), held.amount_nano))
                    .collect();
                let own = naive.iter().filter(|((owner, _, _), _)| *owner == account);
                let expected: Vec<_> = own.map(|((_, asset, earmark), sum)| (*asset, *earmark, *sum)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
