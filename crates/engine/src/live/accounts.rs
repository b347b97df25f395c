//! How accounts stand, who is to be liquidated, and what liquidation does.

use super::effect::{Effect, Reject, Standing};
use super::engine::{Engine, Touched, name};
use super::feed::{Feed, Stated, Validity};
use super::ledger::{Account, Fill};
use super::liquidation::{Plan, plan};
use super::state::Intent;
use crate::EngineError;
use plimsoll_margin::Totals;
use plimsoll_types::{AccountId, Asset, Instrument, NANO, Rounding, Ticks, mul_div, nearest_f64, quantise};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Prices at which a liquidation must follow, between the lowest and the highest that may be true.
const POINTS: usize = 5;

impl Engine {
    /// Looks at accounts whose margin is new.
    pub(super) fn look_at(&mut self, accounts: &[u32], effects: &mut Vec<Effect>) -> Result<(), EngineError> {
        let count = self.state.ledger.accounts().len();
        self.state.standings.resize(count, Standing::Healthy);
        let mut wanted = Vec::new();
        for number in &self.changed(accounts) {
            let Some(Ok(totals)) = self.valued.totals(*number).cloned() else { continue };
            let validity = self.validity(*number);
            let before = self.state.standing(*number);
            let to = self.standing_of(*number, &totals, validity);
            let open = self.intent_of(*number);
            if Standing::of(&totals) >= Standing::Liquidatable && to < Standing::Liquidatable {
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
                (false, Some(_)) => self.withdraw_intent(open, "cured", effects),
                _ => {}
            }
        }
        self.give_intents(&wanted, effects);
        Ok(())
    }

    /// Of some accounts those of whom something may follow, in rising order: from totals that say what the standing says,
    /// nothing does, above liquidation.
    fn changed(&self, accounts: &[u32]) -> Vec<u32> {
        let open: BTreeSet<u32> = self.state.intents.values().map(|intent| intent.account).collect();
        let same = |number: &u32| {
            let Some(Ok(totals)) = self.valued.totals(*number) else { return true };
            let found = Standing::of(totals);
            found == self.state.standing(*number)
                && found < Standing::Liquidatable
                && !self.state.held_back.contains(number)
                && !open.contains(number)
        };
        let changed = accounts.par_iter().with_min_len(4_096).filter(|number| !same(number));
        let mut changed: Vec<u32> = changed.copied().collect();
        changed.sort_unstable();
        changed.dedup();
        changed
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
        let Some(account) = name(&self.state, number) else { return };
        let (equity, im, mm) = (totals.equity, totals.im, totals.mm);
        let flagged = validity != Validity::Normal;
        effects.push(Effect::Standing { account, from, to, equity, im, mm, flagged });
    }

    /// How an account stands, as far as its feeds allow to say.
    fn standing_of(&self, number: u32, totals: &Totals, validity: Validity) -> Standing {
        let found = Standing::of(totals);
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

    /// Whether the account is below maintenance at every price that may be true: each degraded feed at several points of
    /// its range, alone and all together.
    fn follows_everywhere(&self, number: u32) -> bool {
        let Some(account) = self.state.ledger.account(number) else { return false };
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
        cases.iter().all(|prices| self.is_below_maintenance(account, prices))
    }

    fn is_below_maintenance(&self, account: &Account, prices: &BTreeMap<Asset, f64>) -> bool {
        let mut surface = self.valued.surface.clone();
        for (asset, price) in prices {
            let feed = self.state.feeds.get(asset).and_then(Feed::accepted);
            let Some(accepted) = feed else { return false };
            let moved = super::feed::Accepted { price: *price, ..accepted };
            if *price <= 0.0 {
                return false;
            }
            if let Some(market) = self.state.markets.get(asset).and_then(|market| market.at(moved)) {
                surface.underlyings.insert(asset.clone(), market);
            }
            surface.assets.insert(asset.clone(), (*price, accepted.confidence));
        }
        let found = self.valued.totals_on(&self.state.ledger, account, &surface);
        found.is_some_and(|totals| totals.mm_excess.0 < 0)
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

    fn give_intents(&mut self, accounts: &[u32], effects: &mut Vec<Effect>) {
        if accounts.is_empty() {
            return;
        }
        let of = (self.valued.arrays(), self.valued.params());
        let terms = self.valued.lookups();
        let planned: Vec<(u32, Plan)> = accounts
            .iter()
            .filter_map(|number| {
                let account = self.state.ledger.account(*number)?;
                let portfolio = self.valued.portfolio(account)?;
                Some((*number, plan(&portfolio, &terms, of).ok()?))
            })
            .collect();
        drop(terms);
        for (number, plan) in planned {
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
            let after = self.state.ledger.account(party).cloned();
            after.map_or_else(|| Err(unknown()), |after| self.may_become(party, &after))
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

    /// An instrument that has expired becomes money.
    pub(super) fn settle(
        &mut self,
        instrument: &Instrument,
        touched: &mut Touched,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reject> {
        let number = self.state.ledger.number(instrument)?;
        let expiry =
            instrument.expiry().ok_or_else(|| Reject::new("never_expires", instrument.to_string()))?;
        if expiry > self.state.now {
            return Err(Reject::new("not_expired", instrument.to_string()));
        }
        let mean = self.state.trail.get(instrument.underlying()).and_then(|trail| trail.mean(expiry));
        let index = mean.ok_or_else(|| Reject::new("missing_index", instrument.to_string()))?;
        let units = &self.rules.params.units;
        let worth =
            payoff(instrument, index) * nearest_f64(units.lot(instrument)) * units.ticks_per_unit as f64;
        let value = quantise(worth, Rounding::Nearest).map_err(|e| Reject::new("overflow", e.to_string()))?;
        let holders = self.state.ledger.settle(number, value, self.state.now)?;
        touched.all = true;
        let (accounts, value) = (holders.len(), Ticks(i128::from(value)));
        effects.push(Effect::Settled { instrument: instrument.clone(), value, accounts });
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

/// What one unit of an instrument pays at an index, quote units.
fn payoff(instrument: &Instrument, index: f64) -> f64 {
    match instrument.option() {
        Some((strike, plimsoll_types::OptionKind::Call)) => (index - nearest_f64(strike)).max(0.0),
        Some((strike, plimsoll_types::OptionKind::Put)) => (nearest_f64(strike) - index).max(0.0),
        None => index,
    }
}
