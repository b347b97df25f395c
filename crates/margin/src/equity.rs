//! What an account is worth: collateral after haircuts, less debts with theirs, marks and unrealised profit.
//!
//! Collateral is rounded down and its haircut up. A mark is a whole number of ticks per lot, rounded to nearest when the
//! arrays were built, so marks are within half a tick per lot of the unrounded ones.

use crate::money::{Exact, Number, add, mul, ratio_down, ratio_up, scale_up, sub};
use crate::{CollateralReport, CollateralTerms, HaircutTier, MarginError, Params};
use plimsoll_types::{Asset, AssetRow, Holding, NANO, Ppb, Ticks};
use plimsoll_types::{Position, RiskArrays};
use std::collections::BTreeMap;

const WHOLE: i128 = NANO as i128;

/// The collateral of an account, asset by asset; holdings of one asset count together.
///
/// `value = floor(amount x price)`, so a borrowed amount is valued up in size; `haircut` is marginal over the tiers and
/// rounded up. A stable coin, which is an asset with depeg terms, is held at `min(1, price)`: nobody redeems it above par.
///
/// A borrowed amount has to be bought back, so it counts at `value x (1 + haircut)`, the liability weight, with the base
/// haircut and no tiers. Its price is one tick above the one given, which the risk stage rounded down; only the currency
/// itself is owed at exactly its price.
pub(crate) fn collateral<'h>(
    holdings: impl Iterator<Item = &'h Holding>,
    arrays: &RiskArrays,
    params: &Params,
    exact: Exact,
) -> Result<Vec<CollateralReport>, MarginError> {
    let mut amounts: BTreeMap<&Asset, i128> = BTreeMap::new();
    for holding in holdings {
        let sum = amounts.entry(&holding.asset).or_insert(0);
        *sum = exact.add(*sum, holding.amount_nano, "collateral")?;
    }
    let valued = |(asset, amount): (&Asset, i128)| {
        let terms = params.collateral.get(asset).ok_or_else(|| MarginError::UnknownCollateral {
            account: exact.account.clone(),
            asset: asset.clone(),
        })?;
        let row = arrays.asset(asset).ok_or_else(|| MarginError::UnpricedCollateral {
            account: exact.account.clone(),
            asset: asset.clone(),
        })?;
        check_haircuts(terms, amount < 0, exact)?;
        let valued = exact.own(Valuation::new(row, terms, arrays).of(amount))?;
        Ok(CollateralReport {
            asset: asset.clone(),
            amount_nano: amount,
            price: valued.price,
            value: Ticks(valued.value),
            haircut: Ticks(valued.haircut),
            counted: Ticks(valued.counted),
        })
    };
    amounts.into_iter().map(valued).collect()
}

/// What an asset is worth as collateral, its prices and haircuts looked up. Haircuts are in [0, 1].
#[derive(Clone, Debug)]
pub(crate) struct Valuation {
    /// Ticks per unit of what is held, and of what is owed.
    pub(crate) held: i64,
    pub(crate) owed: i64,
    haircut: Ppb,
    tiers: Vec<HaircutTier>,
    per_unit: i64,
}

/// An amount of an asset, valued: ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Valued {
    pub(crate) price: i64,
    pub(crate) value: i128,
    pub(crate) haircut: i128,
    pub(crate) counted: i128,
}

impl Valuation {
    pub(crate) fn new(row: &AssetRow, terms: &CollateralTerms, arrays: &RiskArrays) -> Self {
        let per_unit = arrays.ticks_per_unit;
        Self {
            held: if terms.depeg.is_some() { row.price.min(per_unit) } else { row.price },
            owed: if row.asset == arrays.currency { row.price } else { row.price.saturating_add(1) },
            haircut: terms.haircut,
            tiers: terms.tiers.clone(),
            per_unit,
        }
    }

    /// An amount in billionths, negative when borrowed.
    pub(crate) fn of(&self, amount: i128) -> Number<Valued> {
        let what = "the value of collateral";
        let price = if amount < 0 { self.owed } else { self.held };
        let value = ratio_down(amount, i128::from(price), WHOLE, what)?;
        let haircut = self.taken(value)?;
        Ok(Valued { price, value, haircut, counted: sub(value, haircut, what)? })
    }

    /// What the marginal haircuts take from a value, rounded up once; of a debt the base haircut of its size.
    fn taken(&self, value: i128) -> Number<i128> {
        let what = "a haircut";
        if value < 0 {
            return scale_up(sub(0, value, what)?, self.haircut, what);
        }
        let (mut taken, mut from, mut rate) = (0, 0, self.haircut);
        for tier in &self.tiers {
            let edge = i128::from(tier.above) * i128::from(self.per_unit);
            let step = value.min(edge).saturating_sub(from).max(0);
            taken = add(taken, mul(step, i128::from(rate.0), what)?, what)?;
            (from, rate) = (edge, tier.haircut);
        }
        let rest = value.saturating_sub(from).max(0);
        taken = add(taken, mul(rest, i128::from(rate.0), what)?, what)?;
        ratio_up(taken, 1, WHOLE, what)
    }
}

/// Haircuts that count are in [0, 1]: one above 1 would turn collateral into debt.
fn check_haircuts(terms: &CollateralTerms, borrowed: bool, exact: Exact) -> Result<(), MarginError> {
    let tiers = terms.tiers.iter().filter(|_| !borrowed).map(|tier| tier.haircut);
    for haircut in std::iter::once(terms.haircut).chain(tiers) {
        if !(0..=NANO).contains(&haircut.0) {
            return Err(MarginError::Parameter {
                account: exact.account.clone(),
                name: "collateral.haircut".to_owned(),
                value: haircut.to_string(),
                expected: "between 0 and 1",
            });
        }
    }
    Ok(())
}

/// What the account owes and its collateral secures: borrowed amounts at their liability weight, and `max(0, -unrealised)`, since a loss not yet
/// paid is owed no less than a loan. >= 0.
pub(crate) fn debt(
    collateral: &[CollateralReport],
    positions: &[Position],
    exact: Exact,
) -> Result<i128, MarginError> {
    let what = "debt";
    let borrowed = exact.sum(collateral.iter().map(|held| held.counted.0.min(0)), what)?;
    let unrealised = exact.sum(positions.iter().map(|p| p.unrealised.0), what)?;
    exact.own(owed(borrowed, unrealised))
}

/// [`debt`] from the sum of borrowed amounts, <= 0, and of unrealised profit.
pub(crate) fn owed(borrowed: i128, unrealised: i128) -> Number<i128> {
    sub(0, add(borrowed, unrealised.min(0), "debt")?, "debt")
}

/// Marks of what is held and profit since entry, both signed.
pub(crate) fn positions_value<'p>(
    positions: impl IntoIterator<Item = &'p Position>,
    arrays: &RiskArrays,
    exact: Exact,
) -> Result<(i128, i128), MarginError> {
    let mut value = (0, 0);
    for position in positions {
        let mark = arrays.instrument(position.instrument).map_or(0, |row| row.mark);
        value.0 = exact.add(value.0, i128::from(position.lots.0) * i128::from(mark), "marks")?;
        value.1 = exact.add(value.1, position.unrealised.0, "unrealised profit")?;
    }
    Ok(value)
}
