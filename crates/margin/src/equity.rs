//! What an account is worth: collateral after haircuts, less debts with theirs, marks and unrealised profit.
//!
//! Collateral is rounded down and its haircut up. A mark is a whole number of ticks per lot, rounded to nearest when the
//! arrays were built, so marks are within half a tick per lot of the unrounded ones.

use crate::money::Exact;
use crate::{CollateralReport, CollateralTerms, MarginError, Params};
use plimsoll_types::{Asset, Holding, NANO, Ppb, Ticks};
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
        let price = match amount < 0 {
            true if *asset == arrays.currency => row.price,
            true => row.price.saturating_add(1),
            false if terms.depeg.is_some() => row.price.min(arrays.ticks_per_unit),
            false => row.price,
        };
        let value = exact.ratio_down(amount, i128::from(price), WHOLE, "the value of collateral")?;
        let haircut = haircut(value, terms, arrays.ticks_per_unit, exact)?;
        Ok(CollateralReport {
            asset: asset.clone(),
            amount_nano: amount,
            price,
            value: Ticks(value),
            haircut: Ticks(haircut),
            counted: Ticks(exact.sub(value, haircut, "the value of collateral")?),
        })
    };
    amounts.into_iter().map(valued).collect()
}

/// What the marginal haircuts take from a value, rounded up once; of a debt the base haircut of its size.
fn haircut(value: i128, terms: &CollateralTerms, per_unit: i64, exact: Exact) -> Result<i128, MarginError> {
    let what = "a haircut";
    let mut taken = 0;
    let mut from = 0;
    let mut rate = unit(terms.haircut, exact)?;
    if value < 0 {
        return exact.scale_up(exact.sub(0, value, what)?, rate, what);
    }
    for tier in &terms.tiers {
        let edge = i128::from(tier.above) * i128::from(per_unit);
        let step = value.min(edge).saturating_sub(from).max(0);
        taken = exact.add(taken, exact.mul(step, i128::from(rate.0), what)?, what)?;
        (from, rate) = (edge, unit(tier.haircut, exact)?);
    }
    let rest = value.saturating_sub(from).max(0);
    taken = exact.add(taken, exact.mul(rest, i128::from(rate.0), what)?, what)?;
    exact.ratio_up(taken, 1, WHOLE, what)
}

/// A haircut, refused outside [0, 1]: one above 1 would turn collateral into debt.
fn unit(haircut: Ppb, exact: Exact) -> Result<Ppb, MarginError> {
    if (0..=NANO).contains(&haircut.0) {
        return Ok(haircut);
    }
    Err(MarginError::Parameter {
        account: exact.account.clone(),
        name: "collateral.haircut".to_owned(),
        value: haircut.to_string(),
        expected: "between 0 and 1",
    })
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
    exact.sub(0, exact.add(borrowed, unrealised.min(0), what)?, what)
}

/// Marks of what is held and profit since entry, both signed.
pub(crate) fn positions_value(
    positions: &[Position],
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
