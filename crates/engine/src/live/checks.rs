//! What an account may do: before a trade, an order, a withdrawal.
//!
//! **The one idea:** what lowers risk is always allowed; what raises it must be covered by initial margin at a price that nobody
//! can move in an hour, and is refused while the numbers behind it are in doubt.

use super::effect::Reject;
use super::engine::{Engine, Touched};
use super::feed::{Accepted, Feed, Validity};
use super::imagine::Change;
use super::ledger::{Account, Fill, OpenOrder};
use plimsoll_margin::Totals;
use plimsoll_market::Surface;
use plimsoll_risk::value;
use plimsoll_types::{AccountId, Asset, Instrument, Rounding, Ticks, nearest_f64, quantise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer to a check before a trade.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why not; empty where it may.
    pub reason: String,
    /// `equity - im` before.
    pub im_excess_before: Ticks,
    /// And after.
    pub im_excess_after: Ticks,
    /// `equity - mm` before.
    pub mm_excess_before: Ticks,
    /// And after.
    pub mm_excess_after: Ticks,
    /// Profit at a price that the stable one does not confirm: it is no cover for new risk.
    pub unconfirmed: Ticks,
}

impl Engine {
    /// Whether an account may become another: it holds less risk, or is covered in full.
    pub(super) fn may_become(&self, number: u32, after: &Account) -> Result<Check, Reject> {
        let before = self.state.ledger.account(number);
        self.may_turn(number, (before.ok_or_else(|| Reject::new("unknown_account", ""))?, after))
    }

    /// As [`Engine::may_become`], where the ledger has moved on from `before` already.
    pub(super) fn may_turn(&self, number: u32, (from, after): (&Account, &Account)) -> Result<Check, Reject> {
        match self.valued.totals(number) {
            Some(Ok(before)) => self.turned(&before, after, self.validity(number)),
            _ => self.may_reduce(from, after),
        }
    }

    /// Whether a book of such totals, which may be relied on so far, may become another.
    pub(super) fn turned(
        &self,
        before: &Totals,
        after: &Account,
        validity: Validity,
    ) -> Result<Check, Reject> {
        let failed = |e: plimsoll_margin::MarginError| Reject::new("margin", e.to_string());
        let unvalued = || Reject::new("not_valid", "an instrument of the account cannot be valued");
        let portfolio = self.valued.portfolio(after).ok_or_else(unvalued)?;
        let then = self.valued.totals_of(&portfolio).map_err(failed)?;
        let unconfirmed = self.unconfirmed(after);
        let validity = validity.max(self.validity_of_account(after));
        let reason = match refusal(before, &then, (unconfirmed, validity)) {
            "" if self.state.paused.is_some() && !is_less_risk(before, &then) => "paused",
            reason => reason,
        };
        Ok(Check {
            allowed: reason.is_empty(),
            reason: reason.to_owned(),
            im_excess_before: before.im_excess,
            im_excess_after: then.im_excess,
            mm_excess_before: before.mm_excess,
            mm_excess_after: then.mm_excess,
            unconfirmed,
        })
    }

    /// Whether an account that cannot be valued whole may become another: of the part that can be valued it must hold less risk,
    /// and of the rest as much as before.
    fn may_reduce(&self, before: &Account, after: &Account) -> Result<Check, Reject> {
        let unvalued = || Reject::new("not_valid", "an instrument of the account cannot be valued");
        let failed = |e: plimsoll_margin::MarginError| Reject::new("margin", e.to_string());
        let (of_before, rest_before) = self.valued.part(before).ok_or_else(unvalued)?;
        let (of_after, rest_after) = self.valued.part(after).ok_or_else(unvalued)?;
        let before = self.valued.totals_of(&of_before).map_err(failed)?;
        let then = self.valued.totals_of(&of_after).map_err(failed)?;
        let less =
            rest_before == rest_after && refusal(&before, &then, (Ticks(0), Validity::Halted)).is_empty();
        let reason = if less { "" } else { "not_valid" };
        Ok(Check {
            allowed: less,
            reason: reason.to_owned(),
            im_excess_before: before.im_excess,
            im_excess_after: then.im_excess,
            mm_excess_before: before.mm_excess,
            mm_excess_after: then.mm_excess,
            unconfirmed: Ticks(0),
        })
    }

    fn validity_of_account(&self, account: &Account) -> Validity {
        let listed = self.state.ledger.instruments();
        let held = account.positions.iter().filter_map(|held| listed.get(held.instrument as usize));
        held.map(|listed| self.validity_of(&listed.instrument)).max().unwrap_or_default()
    }

    /// The underlyings that an account holds, each at its stable price where it has one.
    fn stable_surface(&self, account: &Account) -> Surface {
        let state = &self.state;
        let listed = state.ledger.instruments();
        let mut underlyings = BTreeMap::new();
        for entry in account.positions.iter().filter_map(|held| listed.get(held.instrument as usize)) {
            let asset = entry.instrument.underlying();
            let known = state.markets.get(asset).zip(state.feeds.get(asset).and_then(Feed::accepted));
            let Some((known, accepted)) = known.filter(|_| !underlyings.contains_key(asset)) else {
                continue;
            };
            let price = state.stable.get(asset).map(|stable| stable.price().to_f64());
            let stable = price.filter(|price| *price > 0.0).map(|price| Accepted { price, ..accepted });
            if let Some(market) = known.at(stable.unwrap_or(accepted)) {
                underlyings.insert(asset.clone(), market);
            }
        }
        Surface { as_of: state.now, underlyings, assets: BTreeMap::new(), issues: Vec::new() }
    }

    /// What an account would lose if every underlying and every coin of its collateral stood at its stable price, ticks, if that is
    /// a loss.
    fn unconfirmed(&self, account: &Account) -> Ticks {
        let (state, units) = (&self.state, &self.rules.params.units);
        let stable = self.stable_surface(account);
        let listed = state.ledger.instruments();
        let mut gain = 0.0;
        let Some(account) = self.valued.cashed(account) else { return Ticks(i128::from(i64::MAX)) };
        for held in &account.positions {
            let Some(entry) = listed.get(held.instrument as usize) else { continue };
            let price = |on| value(on, &entry.instrument, units).map(|v| v.price).unwrap_or(f64::NAN);
            let lot = nearest_f64(units.lot(&entry.instrument));
            let index =
                |on: &Surface| on.underlyings.get(entry.instrument.underlying()).map_or(1.0, |m| m.index);
            let coin = entry.instrument.settlement() == plimsoll_types::Settlement::Inverse;
            let worth = |on| price(on) * if coin { index(on) } else { 1.0 };
            gain += (worth(&self.valued.surface) - worth(&stable)) * lot * held.lots as f64;
        }
        for (asset, nano) in account.collateral.iter().filter(|(asset, _)| *asset != units.currency) {
            let price = self.valued.surface.assets.get(asset).map(|(price, _)| *price);
            let confirmed = state.stable.get(asset).map(|stable| stable.price().to_f64());
            gain +=
                price.zip(confirmed).map_or(0.0, |(price, stable)| price - stable) * (*nano as f64 * 1e-9);
        }
        let ticks = quantise(gain * units.ticks_per_unit as f64, Rounding::Up);
        // What has no number is not covered by anything.
        Ticks(ticks.map_or(i128::from(i64::MAX), i128::from).max(0))
    }

    /// A check that says no, as a refusal.
    fn falls(&self, check: &Check) -> Reject {
        let excess = self.rules.params.units.amount(check.im_excess_after).normalize();
        Reject::new(&check.reason, format!("equity less initial margin would be {excess}"))
    }

    /// Both sides of a trade that is asked for.
    pub(super) fn trade(&mut self, fill: &Fill, touched: &mut Touched) -> Result<(), Reject> {
        self.traded(&fill.instrument)?;
        let before = self.state.ledger.clone_of(&[&fill.buyer, &fill.seller])?;
        let parties = self.state.ledger.fill(fill)?;
        for party in parties {
            let (was, is) = (before.of(party), self.state.ledger.account(party));
            let unknown = || Reject::new("unknown_account", "");
            let check = was.zip(is).ok_or_else(unknown).and_then(|both| self.may_turn(party, both));
            let refused = match check {
                Ok(check) if check.allowed => continue,
                Ok(check) => self.falls(&check),
                Err(reject) => reject,
            };
            self.state.ledger.restore(before);
            return Err(refused);
        }
        touched.accounts.extend(parties);
        Ok(())
    }

    /// Whether an account may take in an asset: one that counts as collateral, and where it holds positions one that has a price. A
    /// coin that cannot be valued would shield it from liquidation.
    pub(super) fn may_take(&self, number: u32, asset: &Asset) -> Result<(), Reject> {
        self.rules.collateral(asset).map_err(|asset| Reject::new("no_collateral", asset))?;
        let holds = |account: &Account| !(account.positions.is_empty() && account.orders.is_empty());
        let exposed = self.state.ledger.account(number).is_some_and(holds);
        let priced = *asset == self.rules.params.units.currency
            || self.state.feeds.get(asset).is_some_and(|feed| feed.accepted().is_some());
        if exposed && !priced { Err(Reject::new("no_price", asset.to_string())) } else { Ok(()) }
    }

    /// Collateral that is to leave, to another account or altogether.
    pub(super) fn withdraw(
        &mut self,
        (from, to): (&AccountId, Option<&AccountId>),
        asset: &Asset,
        nano: i128,
        touched: &mut Touched,
    ) -> Result<(), Reject> {
        let number = self.state.ledger.find(from)?;
        let to = to.map(|to| self.state.ledger.find(to)).transpose()?;
        let names: Vec<&AccountId> = vec![from];
        let before = self.state.ledger.clone_of(&names)?;
        self.state.ledger.withdraw(number, asset, nano)?;
        let after = self.state.ledger.account(number).cloned();
        self.state.ledger.restore(before);
        let after = after.ok_or_else(|| Reject::new("unknown_account", from.to_string()))?;
        let check = self.may_become(number, &after)?;
        if !check.allowed {
            return Err(self.falls(&check));
        }
        to.map_or(Ok(()), |to| self.may_take(to, asset))?;
        match to {
            Some(to) => self.state.ledger.transfer(number, to, asset, nano)?,
            None => self.state.ledger.withdraw(number, asset, nano)?,
        }
        touched.accounts.insert(number);
        touched.accounts.extend(to);
        Ok(())
    }

    /// An order that is to be placed.
    pub(super) fn place_order(&mut self, number: u32, order: OpenOrder) -> Result<(), Reject> {
        let mut after =
            self.state.ledger.account(number).cloned().ok_or_else(|| Reject::new("unknown_account", ""))?;
        after.orders.retain(|old| old.id != order.id);
        after.orders.push(order);
        let check = self.may_become(number, &after)?;
        if !check.allowed {
            return Err(self.falls(&check));
        }
        Ok(self.state.ledger.order(number, order)?)
    }

    /// What trades at the mark would make of an account, which are not done.
    ///
    /// # Errors
    /// [`Reject`] where the account or an instrument is not known or cannot be valued.
    pub fn check(&self, account: &AccountId, trades: &[(Instrument, i64)]) -> Result<Check, Reject> {
        let (number, before) = self.account(account)?;
        let after = self.with(before.clone(), &Change::at_the_mark(trades))?;
        self.may_turn(number, (before, &after))
    }
}

/// Whether nothing is worse than before.
fn is_less_risk(before: &Totals, then: &Totals) -> bool {
    then.im.0 <= before.im.0
        && then.mm.0 <= before.mm.0
        && then.im_excess.0 >= before.im_excess.0
        && then.mm_excess.0 >= before.mm_excess.0
}

/// Why an account may not become another; empty where it may.
fn refusal(before: &Totals, then: &Totals, (unconfirmed, validity): (Ticks, Validity)) -> &'static str {
    if is_less_risk(before, then) {
        return "";
    }
    match validity {
        Validity::Halted => return "halted",
        Validity::Degraded => return "degraded",
        Validity::Normal => {}
    }
    if then.im_excess.0 < 0 {
        "insufficient_margin"
    } else if then.im_excess.0 < unconfirmed.0 {
        "unconfirmed_profit"
    } else {
        ""
    }
}
