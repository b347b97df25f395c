//! How accounts stand, who is to be liquidated, and what liquidation does.

use super::effect::{Effect, Reject, Standing};
use super::engine::{Engine, Touched, name};
use super::feed::{Feed, Stated, Validity};
use super::ledger::{Account, Fill};
use super::liquidation::{Plan, plan};
use super::state::Intent;
use crate::EngineError;
use plimsoll_margin::{Levels, Totals};
use plimsoll_types::{AccountId, Asset, Instrument, NANO, Rounding, Ticks, mul_div, quantise};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Prices at which a liquidation must follow, between the lowest and the highest that may be true.
const POINTS: usize = 5;
/// A plan may come to miss initial margin by this part of what was missing.
const SHORT: i128 = 8;

impl Engine {
    /// Looks at accounts whose margin is new.
    pub(super) fn look_at(&mut self, accounts: &[u32], effects: &mut Vec<Effect>) -> Result<(), EngineError> {
        let count = self.state.ledger.accounts().len();
        self.state.standings.resize(count, Standing::Healthy);
        let (mut wanted, mut again) = (Vec::new(), Vec::new());
        for number in &self.changed(accounts) {
            let Some(Ok(totals)) = self.valued.totals(*number) else {
                self.cannot_value(*number, effects);
                continue;
            };
            let validity = self.validity(*number);
            let before = self.state.standing(*number);
            let to = self.standing_of(*number, &totals, validity);
            let open = self.intent_of(*number);
            if Standing::of(totals.state, totals.equity.0 < 0) >= Standing::Liquidatable
                && to < Standing::Liquidatable
            {
                self.state.held_back.insert(*number);
            } else {
                self.state.held_back.remove(number);
            }
            if validity == Validity::Halted {
                self.withdraw_intent(open, "halted", effects);
                continue;
            }
            if to != before {
                self.change((*number, before, to), &totals, validity, effects);
            }
            match (to >= Standing::Liquidatable, open) {
                (true, None) => wanted.push(*number),
                (true, Some(id)) if self.is_done(id) => {
                    self.withdraw_intent(open, "replaced", effects);
                    wanted.push(*number);
                }
                (true, Some(id)) if self.falls_short(id) => again.push((id, *number)),
                (false, Some(_)) => self.withdraw_intent(open, "cured", effects),
                _ => {}
            }
        }
        if self.holds_liquidations() {
            // Looked at again whenever the clock says, so that they follow once they may.
            self.state.held_back.extend(wanted);
        } else {
            self.give_intents(&wanted, effects);
        }
        self.plan_again(&again, effects);
        Ok(())
    }

    /// Of some accounts those of whom something may follow, in rising order.
    fn changed(&self, accounts: &[u32]) -> Vec<u32> {
        let open = self.given();
        let same = |number: &u32| self.is_same(*number, self.valued.levels(*number), &open);
        let changed = accounts.par_iter().with_min_len(4_096).filter(|number| !same(number));
        let mut changed: Vec<u32> = changed.copied().collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// How many accounts were found anew last, and those of them of whom something may follow.
    pub(super) fn found_anew(&self) -> (usize, Vec<u32>) {
        let open = self.given();
        self.valued.touched(|number, levels| !self.is_same(number, levels, &open))
    }

    /// The accounts whose liquidation is given.
    fn given(&self) -> BTreeSet<u32> {
        self.state.intents.values().map(|intent| intent.account).collect()
    }

    /// From levels that say what the standing says, nothing follows, above liquidation. Who cannot be valued is told so.
    fn is_same(&self, number: u32, levels: Option<Levels>, open: &BTreeSet<u32>) -> bool {
        let Some(levels) = levels else { return false };
        let found = Standing::of(levels.state(), levels.equity < 0);
        found == self.state.standing(number)
            && found < Standing::Liquidatable
            && !self.state.held_back.contains(&number)
            && !open.contains(&number)
    }

    fn change(
        &mut self,
        (number, from, to): (u32, Standing, Standing),
        totals: &Totals,
        validity: Validity,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(place) = self.state.standings.get_mut(number as usize) {
            *place = to;
        }
        self.state.unvalued.remove(&number);
        let Some(account) = name(&self.state, number) else { return };
        let (equity, im, mm) = (totals.equity, totals.im, totals.mm);
        let flagged = validity != Validity::Normal;
        effects.push(Effect::Standing { account, from, to, equity, im, mm, flagged });
    }

    /// An account that holds what has no price: nothing is said of it but that, once.
    fn cannot_value(&mut self, number: u32, effects: &mut Vec<Effect>) {
        self.withdraw_intent(self.intent_of(number), "halted", effects);
        self.state.held_back.remove(&number);
        let Some(reason) = self.why_unvalued(number) else { return };
        if let Some(place) = self.state.standings.get_mut(number as usize) {
            *place = Standing::Unvalued;
        }
        let known = self.state.unvalued.insert(number, reason.clone());
        if let Some(account) = name(&self.state, number).filter(|_| known.as_ref() != Some(&reason)) {
            effects.push(Effect::Unvalued { account, reason });
        }
    }

    /// A stable code and what it is about.
    fn why_unvalued(&self, number: u32) -> Option<String> {
        let account = self.state.ledger.account(number)?;
        let listed = self.state.ledger.instruments();
        let (held, ordered) = (account.positions.iter(), account.orders.iter());
        let mut numbers = held.map(|held| held.instrument).chain(ordered.map(|order| order.instrument));
        let without = numbers.find(|number| !self.valued.knows(*number));
        if let Some(entry) = without.and_then(|number| listed.get(number as usize)) {
            let instrument = &entry.instrument;
            let priced = self.valued.surface.underlyings.contains_key(instrument.underlying());
            return Some(match (self.has_expired(instrument), priced) {
                (true, _) => format!("expired {instrument}"),
                (false, true) if instrument.option().is_some() => format!("missing_smile {instrument}"),
                (false, true) => format!("missing_forward {instrument}"),
                (false, false) => format!("missing_index {}", instrument.underlying()),
            });
        }
        let unpriced =
            account.collateral.iter().find(|(asset, _)| self.valued.arrays().asset(asset).is_none());
        Some(unpriced.map_or_else(|| "overflow".to_owned(), |(asset, _)| format!("missing_index {asset}")))
    }

    /// How an account stands, as far as its feeds allow to say.
    fn standing_of(&self, number: u32, totals: &Totals, validity: Validity) -> Standing {
        let found = Standing::of(totals.state, totals.equity.0 < 0);
        match validity {
            Validity::Halted => self.state.standing(number),
            _ if found < Standing::Liquidatable => found,
            Validity::Normal if self.grace_is_over(number) => found,
            Validity::Degraded if self.grace_is_over(number) && self.follows_everywhere(number) => found,
            _ => Standing::Call,
        }
    }

    /// Underlyings and collateral behind an account.
    fn feeds_of(&self, account: &Account) -> BTreeSet<Asset> {
        let listed = self.state.ledger.instruments();
        let held = account.positions.iter().filter_map(|held| listed.get(held.instrument as usize));
        let of_positions = held.map(|listed| listed.instrument.underlying().clone());
        of_positions.chain(account.collateral.iter().map(|(asset, _)| asset.clone())).collect()
    }

    fn grace_is_over(&self, number: u32) -> bool {
        let Some(account) = self.state.ledger.account(number) else { return false };
        let feeds = self.feeds_of(account);
        let mut feeds = feeds.iter().filter_map(|asset| self.state.feeds.get(asset));
        feeds.all(|feed| feed.grace_is_over(self.state.now))
    }

    /// Whether the account is below maintenance at every price that may be true.
    fn follows_everywhere(&self, number: u32) -> bool {
        let Some(account) = self.state.ledger.account(number) else { return false };
        let below = |prices| self.totals_at(account, prices).is_some_and(|totals| totals.mm_excess.0 < 0);
        self.in_doubt(account).iter().all(below)
    }

    /// The margin of an account at the lowest and at the highest of the prices that may be true: where `equity - mm` is least, and
    /// where it is most. Twice the same while nothing behind it is in doubt; `None` where it cannot be valued, or not at
    /// every price.
    pub fn range(&self, account: u32) -> Option<(Totals, Totals)> {
        let own = self.valued.totals(account)?.ok()?;
        let account = self.state.ledger.account(account)?;
        let (mut low, mut high) = (own, own);
        for prices in self.in_doubt(account) {
            let totals = self.totals_at(account, &prices)?;
            if totals.mm_excess < low.mm_excess {
                low = totals;
            } else if totals.mm_excess > high.mm_excess {
                high = totals;
            }
        }
        Some((low, high))
    }

    /// Prices that may be true: each feed in doubt at several points of its range, alone and all together.
    fn in_doubt(&self, account: &Account) -> Vec<BTreeMap<Asset, f64>> {
        let around = self.rules.liquidation.confidences;
        let in_doubt = |asset: &Asset| {
            let feed = self.state.feeds.get(asset).filter(|feed| feed.validity() != Validity::Normal)?;
            Some((asset.clone(), feed.range(around)?))
        };
        let ranges: Vec<(Asset, (f64, f64))> = self.feeds_of(account).iter().filter_map(in_doubt).collect();
        let point = |(low, high): (f64, f64), i: usize| low + (high - low) * (i as f64 / (POINTS - 1) as f64);
        let mut cases: Vec<BTreeMap<Asset, f64>> = Vec::new();
        for i in 0..POINTS {
            cases.push(ranges.iter().map(|(asset, range)| (asset.clone(), point(*range, i))).collect());
            cases.extend(
                ranges.iter().map(|(asset, range)| BTreeMap::from([(asset.clone(), point(*range, i))])),
            );
        }
        cases
    }

    fn totals_at(&self, account: &Account, prices: &BTreeMap<Asset, f64>) -> Option<Totals> {
        let mut surface = self.valued.surface.clone();
        for (asset, price) in prices {
            let accepted = self.state.feeds.get(asset).and_then(Feed::accepted)?;
            let moved = super::feed::Accepted { price: *price, ..accepted };
            (*price > 0.0).then_some(())?;
            if let Some(market) = self.state.markets.get(asset).and_then(|market| market.at(moved)) {
                surface.underlyings.insert(asset.clone(), market);
            }
            surface.assets.insert(asset.clone(), (*price, accepted.confidence));
        }
        self.valued.totals_on(&self.state.ledger, account, &surface)
    }

    /// Whether all of a plan was traded, and there was something to trade.
    fn is_done(&self, intent: u64) -> bool {
        let plan = self.state.intents.get(&intent).map_or(&[][..], |intent| &intent.plan.steps[..]);
        !plan.is_empty() && plan.iter().all(|step| step.lots == 0)
    }

    pub(super) fn intent_of(&self, number: u32) -> Option<u64> {
        self.state.intents.iter().find(|(_, intent)| intent.account == number).map(|(id, _)| *id)
    }

    pub(super) fn withdraw_intent(&mut self, intent: Option<u64>, why: &str, effects: &mut Vec<Effect>) {
        let Some((id, intent)) = intent.and_then(|id| Some((id, self.state.intents.remove(&id)?))) else {
            return;
        };
        if let Some(account) = name(&self.state, intent.account) {
            effects.push(Effect::Withdrawn { intent: id, account, why: why.to_owned() });
        }
    }

    /// Whether what is left of a plan that restored initial margin misses it by now, by more than an eighth of what was missing
    /// when it was made: prices went on moving. Less than that is not worth another plan in the middle of a sale.
    fn falls_short(&self, intent: u64) -> bool {
        let Some(Intent { account, plan, .. }) = self.state.intents.get(&intent).filter(|i| i.plan.restores)
        else {
            return false;
        };
        let after = || -> Option<i128> {
            let mut after = self.state.ledger.account(*account)?.clone();
            after.orders.clear();
            let mut cost = 0_i128;
            for step in &plan.steps {
                let number = self.state.ledger.number(&step.instrument).ok()?;
                let paid = i128::from(step.lots) * i128::from(self.valued.mark_of(number)?);
                after.add(number, -step.lots, -paid)?;
                cost += if step.lots == 0 { 0 } else { step.cost.0 };
            }
            let totals = self.valued.totals_of(&self.valued.portfolio(&after)?).ok()?;
            totals.im_excess.0.checked_sub(cost)
        };
        after().is_some_and(|left| left < plan.im_excess_before.0 / SHORT)
    }

    /// Gives an intent another plan: who trades on the old one is held to the new.
    fn plan_again(&mut self, intents: &[(u64, u32)], effects: &mut Vec<Effect>) {
        let accounts: Vec<u32> = intents.iter().map(|(_, number)| *number).collect();
        for (number, plan) in self.plans(&accounts) {
            let Some((id, _)) = intents.iter().find(|(_, of)| *of == number) else { continue };
            let Some(account) = name(&self.state, number) else { continue };
            if let Some(intent) = self.state.intents.get_mut(id) {
                intent.plan = plan.clone();
                effects.push(Effect::Liquidate { intent: *id, account, plan });
            }
        }
    }

    fn plans(&self, accounts: &[u32]) -> Vec<(u32, Plan)> {
        if accounts.is_empty() {
            return Vec::new();
        }
        let of = (self.valued.arrays(), self.valued.params());
        let terms = self.valued.lookups();
        let plan = |number: &u32| {
            let portfolio = self.valued.portfolio(self.state.ledger.account(*number)?)?;
            Some((*number, plan(&portfolio, &terms, of).ok()?))
        };
        accounts.iter().filter_map(plan).collect()
    }

    fn give_intents(&mut self, accounts: &[u32], effects: &mut Vec<Effect>) {
        for (number, plan) in self.plans(accounts) {
            self.state.given += 1;
            let intent = self.state.given;
            let Some(account) = name(&self.state, number) else { continue };
            effects.push(Effect::Liquidate { intent, account, plan: plan.clone() });
            self.state.intents.insert(intent, Intent { account: number, since: self.state.now, plan });
        }
    }

    /// A part of a plan that was traded: refused when the account is cured by now, when it would be left with less over its
    /// initial margin than before, and when the taker cannot bear it.
    pub(super) fn liquidated(
        &mut self,
        id: u64,
        (taker, instrument): (&AccountId, &Instrument),
        (lots, price): (i64, Stated),
        touched: &mut Touched,
    ) -> Result<(), Reject> {
        let unknown = || Reject::new("unknown_intent", id.to_string());
        let intent = self.state.intents.get(&id).ok_or_else(unknown)?;
        let number = intent.account;
        if self.validity(number) == Validity::Halted {
            return Err(Reject::new("halted", id.to_string()));
        }
        if self.state.standing(number) < Standing::Liquidatable {
            return Err(Reject::new("cured", id.to_string()));
        }
        let step = intent.plan.steps.iter().position(|step| step.instrument == *instrument);
        let step = step.ok_or_else(|| Reject::new("not_in_plan", instrument.to_string()))?;
        let left = intent.plan.steps.get(step).map_or(0, |step| step.lots);
        if lots == 0 || lots.signum() != left.signum() || lots.unsigned_abs() > left.unsigned_abs() {
            return Err(Reject::new("not_in_plan", format!("{lots} lots of {left}")));
        }
        let account = name(&self.state, number).ok_or_else(unknown)?;
        let (buyer, seller) = if lots > 0 { (taker.clone(), account) } else { (account, taker.clone()) };
        let fill = Fill { buyer, seller, instrument: instrument.clone(), lots: lots.saturating_abs(), price };
        let taker_number = self.state.ledger.find(taker)?;
        let before = self.state.ledger.clone_of(&[&fill.buyer, &fill.seller])?;
        let parties = self.state.ledger.fill(&fill)?;
        let of = |party: u32| {
            let both = before.of(party).zip(self.state.ledger.account(party));
            both.ok_or_else(unknown).and_then(|both| self.may_turn(party, both))
        };
        let outcome = of(taker_number).and_then(|check| {
            if !check.allowed {
                return Err(Reject::new("taker", check.reason));
            }
            let check = of(number)?;
            let worse = check.im_excess_after < check.im_excess_before;
            if worse { Err(Reject::new("worsens", check.im_excess_after.0.to_string())) } else { Ok(()) }
        });
        if let Err(reject) = outcome {
            self.state.ledger.restore(before);
            return Err(reject);
        }
        touched.accounts.extend(parties);
        if let Some(step) = self.state.intents.get_mut(&id).and_then(|intent| intent.plan.steps.get_mut(step))
        {
            step.lots -= lots;
        }
        Ok(())
    }

    /// Money for the insurance fund.
    pub(super) fn insure(&mut self, nano: i128) -> Result<(), Reject> {
        let per_unit = i128::from(self.rules.params.units.ticks_per_unit);
        let ticks = (nano > 0).then(|| mul_div(nano, per_unit, i128::from(NANO), Rounding::Down)).flatten();
        let sum = ticks.and_then(|ticks| self.state.insurance.0.checked_add(ticks));
        self.state.insurance = Ticks(sum.ok_or_else(|| Reject::new("not_positive", nano.to_string()))?);
        Ok(())
    }

    /// Funding falls due: a share of a lot's notional at the index, whole ticks.
    pub(super) fn fund(
        &mut self,
        instrument: &Instrument,
        rate: Option<f64>,
        touched: &mut Touched,
    ) -> Result<(), Reject> {
        let number = self.state.ledger.number(instrument)?;
        if instrument.contract() != plimsoll_types::Contract::Perpetual {
            return Err(Reject::new("unsupported", instrument.to_string()));
        }
        let validity = self.validity_of(instrument);
        if validity != Validity::Normal {
            return Err(Reject::new("frozen", instrument.to_string()));
        }
        let rate = rate.filter(|rate| rate.abs() <= 1.0).ok_or_else(|| Reject::new("overflow", "rate"))?;
        let row = self.valued.row(number).and_then(|ix| self.valued.arrays().instrument(ix));
        let notional = row.ok_or_else(|| Reject::new("not_valid", instrument.to_string()))?.notional;
        let ticks = quantise(rate * notional as f64, Rounding::Nearest);
        self.state.ledger.fund(number, ticks.map_err(|e| Reject::new("overflow", e.to_string()))?)?;
        touched.markets.insert(instrument.underlying().clone());
        Ok(())
    }

    /// What becomes of liquidations that nobody takes, and of debts.
    pub(super) fn close_out(&mut self, effects: &mut Vec<Effect>) -> Result<(), EngineError> {
        let due = self.rules.liquidation.backstop_seconds;
        let late: Vec<(u64, u32)> = self
            .state
            .intents
            .iter()
            .filter(|(_, intent)| intent.since.plus_seconds(due) <= self.state.now)
            .map(|(id, intent)| (*id, intent.account))
            .collect();
        for (id, number) in late {
            // One that was taken over before may have cured it.
            if self.state.intents.contains_key(&id) && self.validity(number) == Validity::Normal {
                self.take_over(id, number, effects)?;
            }
        }
        Ok(())
    }
}
