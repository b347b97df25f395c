//! Why an account's margin changed between two desks, cause by cause.
//!
//! The steps are walked in one fixed order, each bringing one more cause to its new value: positions, parameters,
//! time, price, volatility. The last step is the second desk itself, so the parts add up to the change exactly and
//! the residual is zero in ticks; it is computed all the same.

use crate::pricing::Pricing;
use crate::{Desk, EngineError, ParamSet};
use plimsoll_margin::{Attribution, Cause, MarginReport, attribute as split};
use plimsoll_market::{Surface, UnderlyingSurface};
use plimsoll_types::AccountId;
use std::collections::BTreeMap;

/// The change of an account's margin, and what it was computed from.
#[derive(Clone, PartialEq, Debug)]
pub struct AttributionReport {
    /// Whose.
    pub account: AccountId,
    /// Initial margin, maintenance margin and equity by cause.
    pub attribution: Attribution,
    /// Where the first margin came from.
    pub before: String,
    /// Where the second margin came from.
    pub after: String,
}

/// Splits the change of an account's margin from one desk to another by cause.
///
/// # Errors
/// When the account is in neither book, or cannot be valued on one of the steps: an instrument of the second book,
/// say, that the first market cannot price.
pub fn attribute(before: &Desk, after: &Desk, account: &AccountId) -> Result<AttributionReport, EngineError> {
    let first = before.account(account)?;
    let last = after.account(account)?;
    let old = &before.market.surface;
    let rolled = rolled(old, &after.market.surface);
    let priced = priced(&rolled, &after.market.surface);
    let position = after.report_under(account, old, &before.params)?;
    let parameter = after.report_under(account, old, &after.params)?;
    let time = after.report_under(account, &rolled, &after.params)?;
    let price = after.report_under(account, &priced, &after.params)?;
    let vol = after.report_under(account, &after.market.surface, &after.params)?;
    let steps = [
        (Cause::Position, &position),
        (Cause::Parameter, &parameter),
        (Cause::Time, &time),
        (Cause::Price, &price),
        (Cause::Vol, &vol),
    ];
    Ok(AttributionReport {
        account: account.clone(),
        attribution: split(&first, &steps, &last),
        before: before.provenance(),
        after: after.provenance(),
    })
}

/// The old market at the new instant: expiries that have passed fall away.
fn rolled(old: &Surface, new: &Surface) -> Surface {
    let mut surface = Surface { as_of: new.as_of, ..old.clone() };
    for market in surface.underlyings.values_mut() {
        market.forwards.retain(|forward| forward.0 > new.as_of);
        market.futures.retain(|future, _| future.expiry().is_none_or(|expiry| expiry > new.as_of));
    }
    surface
}

/// The rolled market at the new prices, with the old smiles.
fn priced(rolled: &Surface, new: &Surface) -> Surface {
    let with_old_smiles = |(asset, market): (&plimsoll_types::Asset, &UnderlyingSurface)| {
        let slices =
            rolled.underlyings.get(asset).map_or_else(|| market.slices.clone(), |old| old.slices.clone());
        (asset.clone(), UnderlyingSurface { slices, ..market.clone() })
    };
    let underlyings: BTreeMap<_, _> = new.underlyings.iter().map(with_old_smiles).collect();
    Surface { underlyings, ..new.clone() }
}

impl Desk {
    /// The margin of one of this desk's accounts under another market and other parameters.
    pub(crate) fn report_under(
        &self,
        account: &AccountId,
        surface: &Surface,
        params: &ParamSet,
    ) -> Result<MarginReport, EngineError> {
        let scenarios = self.scenarios_of(params, surface)?;
        let (number, names) = self.names_of(account)?;
        let built = plimsoll_risk::build(surface, &names, &scenarios, &params.units, self.mode)?;
        let pricing = Pricing::new(&self.raw.instruments, &built.arrays, surface, &params.units);
        let unvalued = built.issues.into_iter().collect();
        let portfolio = pricing.portfolio(account, &self.raw.account(number), &unvalued)?;
        plimsoll_margin::evaluate(&portfolio, &built.arrays, &params.margin)
            .map_err(|source| EngineError::Margin { account: account.clone(), source })
    }
}
