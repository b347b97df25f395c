//! Collateral other than the currency, sold before anybody else pays a debt.
//!
//! **The one idea:** a haircut is a reserve against a fall until the sale, and no loss: what an account owes beside its collateral is
//! paid out of that collateral at its whole price, no more of it than the debt is. The backstop buys where its margin allows, the
//! insurance fund else, as far as its money goes.

use super::effect::Effect;
use super::engine::{Engine, Touched, name};
use plimsoll_types::{AccountId, Asset, NANO, Rounding, Ticks, mul_div};

/// So much of an asset, at so much.
#[derive(Clone, Copy)]
struct Lot<'a> {
    asset: &'a Asset,
    /// Billionths.
    nano: i128,
    /// What is paid for it, ticks.
    ticks: i128,
}

impl Engine {
    /// Sells of an account's collateral what it owes beside it.
    pub(super) fn seize(&mut self, number: u32, touched: &mut Touched, effects: &mut Vec<Effect>) {
        let Some(mut debt) = self.debt_beside(number).filter(|debt| *debt > 0) else { return };
        let held = self.state.ledger.account(number).map_or(Vec::new(), |account| account.collateral.clone());
        let currency = self.rules.params.units.currency.clone();
        for (asset, nano) in held.iter().filter(|(asset, nano)| *asset != currency && *nano > 0) {
            let Some(price) = self.valued.arrays().asset(asset).map(|row| i128::from(row.price)) else {
                continue;
            };
            let wanted = mul_div(debt, i128::from(NANO), price, Rounding::Up).unwrap_or(*nano).min(*nano);
            let Some((lot, by)) = self.sell(number, (asset, wanted, price), touched) else { continue };
            debt -= lot.ticks;
            touched.accounts.insert(number);
            if let Some(account) = name(&self.state, number) {
                let (asset, paid) = (asset.clone(), Ticks(lot.ticks));
                effects.push(Effect::Seized { account, asset, nano: lot.nano, paid, by });
            }
            if debt <= 0 {
                break;
            }
        }
    }

    /// What an account would owe without its collateral other than the currency, ticks; below zero where it owes nothing.
    fn debt_beside(&self, number: u32) -> Option<i128> {
        let mut beside = self.state.ledger.account(number)?.clone();
        let currency = &self.rules.params.units.currency;
        beside.collateral.retain(|(asset, nano)| asset == currency || *nano < 0);
        let totals = self.valued.totals_of(&self.valued.portfolio(&beside)?).ok()?;
        totals.equity.0.checked_neg()
    }

    /// Sells to the first who can pay. What was sold, and the account that bought; the insurance fund has none.
    fn sell<'a>(
        &mut self,
        number: u32,
        (asset, nano, price): (&'a Asset, i128, i128),
        touched: &mut Touched,
    ) -> Option<(Lot<'a>, Option<AccountId>)> {
        let worth = |nano: i128| mul_div(nano, price, i128::from(NANO), Rounding::Down);
        let whole = Lot { asset, nano, ticks: worth(nano)? };
        let backstop = self.rules.liquidation.backstop.as_ref();
        let backstop = backstop.and_then(|id| self.state.ledger.find(id).ok());
        if let Some(buyer) = backstop.filter(|buyer| *buyer != number && self.can_buy(*buyer, whole)) {
            self.state.ledger.transfer(number, buyer, asset, nano).ok()?;
            self.state.ledger.realise(buyer, -whole.ticks).ok()?;
            self.state.ledger.realise(number, whole.ticks).ok()?;
            touched.accounts.insert(buyer);
            return Some((whole, name(&self.state, buyer)));
        }
        let most = mul_div(self.state.insurance.0, i128::from(NANO), price, Rounding::Down)?;
        let nano = nano.min(most);
        let ticks = worth(nano).filter(|ticks| *ticks > 0)?;
        self.state.ledger.withdraw(number, asset, nano).ok()?;
        self.state.ledger.realise(number, ticks).ok()?;
        self.state.insurance = Ticks(self.state.insurance.0 - ticks);
        *self.state.insured.entry(asset.clone()).or_default() += nano;
        Some((Lot { asset, nano, ticks }, None))
    }

    /// Whether the backstop keeps its initial margin when it buys.
    fn can_buy(&self, buyer: u32, lot: Lot<'_>) -> bool {
        let per_unit = i128::from(self.rules.params.units.ticks_per_unit);
        let paid = mul_div(lot.ticks, i128::from(NANO), per_unit, Rounding::Up);
        let Some((mut after, paid)) = self.state.ledger.account(buyer).cloned().zip(paid) else {
            return false;
        };
        let currency = &self.rules.params.units.currency;
        let moved = after.pay(lot.asset, lot.nano).is_some() && after.pay(currency, -paid).is_some();
        moved && self.may_become(buyer, &after).is_ok_and(|check| check.im_excess_after.0 >= 0)
    }
}
