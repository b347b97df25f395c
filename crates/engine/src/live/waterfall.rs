//! What becomes of an account that the market does not take.
//!
//! **The one idea:** in order: what an insolvent account owes is taken from its collateral; the backstop takes over all of it at the mark and pays its debt, as far as its margin and its limit of loss allow; what
//! it cannot take is closed against those who gain most from it, hedges left alone; a debt that remains is paid
//! by the insurance fund, and what that cannot pay by everybody, in proportion to what they have. Every stage is an effect
//! of its own, and money is conserved in each.

use super::effect::{Effect, Standing};
use super::engine::{Engine, Touched, name};
use crate::EngineError;
use plimsoll_types::{NANO, Rounding, Ticks, mul_div};

/// A position to be closed against others.
#[derive(Clone, Copy)]
struct Rest {
    instrument: u32,
    lots: i64,
    mark: i64,
}

/// Somebody on the other side of it.
struct Other {
    account: u32,
    lots: i64,
    /// Profit on the position over equity: who gains most with least comes first.
    rank: f64,
}

impl Engine {
    /// Ends a liquidation that has waited long enough.
    pub(super) fn take_over(
        &mut self,
        intent: u64,
        number: u32,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EngineError> {
        let mut touched = Touched::default();
        if matches!(self.valued.totals(number), Some(Ok(totals)) if totals.equity.0 < 0) {
            self.seize(number, &mut touched, effects);
            self.revalue(&std::mem::take(&mut touched), effects)?;
            if !self.state.intents.contains_key(&intent) {
                return Ok(());
            }
        }
        if !self.backstop_takes(number, &mut touched) {
            self.deleverage(number, &mut touched, effects);
        }
        touched.accounts.insert(number);
        self.withdraw_intent(Some(intent), "taken_over", effects);
        self.revalue(&touched, effects)?;
        self.cover(number, effects)
    }

    /// Moves every position to the backstop at its mark, if that may be.
    fn backstop_takes(&mut self, number: u32, touched: &mut Touched) -> bool {
        let rules = &self.rules.liquidation;
        let Some(backstop) = rules.backstop.as_ref().and_then(|id| self.state.ledger.find(id).ok()) else {
            return false;
        };
        let Some(Ok(totals)) = self.valued.totals(number) else { return false };
        let loss = (-totals.equity.0).max(0);
        let within =
            self.state.backstop_lost.0.checked_add(loss).is_some_and(|l| l <= rules.backstop_loss_max.0);
        let positions = self.rest(number);
        let Some(mut after) = self.state.ledger.account(backstop).cloned() else { return false };
        let added = positions.iter().all(|rest| {
            let cost = i128::from(rest.lots) * i128::from(rest.mark);
            after.add(rest.instrument, rest.lots, cost).is_some()
        });
        let currency = self.rules.params.units.currency.clone();
        let paid =
            mul_div(loss, i128::from(NANO), i128::from(self.rules.params.units.ticks_per_unit), Rounding::Up);
        let paid = paid.is_some_and(|nano| after.pay(&currency, -nano).is_some());
        let fits = added
            && paid
            && self.may_become(backstop, &after).is_ok_and(|check| check.im_excess_after.0 >= 0);
        if backstop == number || !within || !fits {
            return false;
        }
        for rest in &positions {
            if self.state.ledger.give([number, backstop], rest.instrument, rest.lots, rest.mark).is_err() {
                return false;
            }
        }
        if self.state.ledger.realise(backstop, -loss).is_err()
            || self.state.ledger.realise(number, loss).is_err()
        {
            return false;
        }
        self.state.backstop_lost = Ticks(self.state.backstop_lost.0 + loss);
        touched.accounts.insert(backstop);
        true
    }

    /// The positions of an account at their marks.
    fn rest(&self, number: u32) -> Vec<Rest> {
        let held = self.state.ledger.account(number).map_or(&[][..], |account| &account.positions[..]);
        let rest = |held: &super::ledger::Held| {
            let mark = self.valued.mark_of(held.instrument)?;
            Some(Rest { instrument: held.instrument, lots: held.lots, mark })
        };
        held.iter().filter_map(rest).collect()
    }

    /// Closes every position against those on the other side of it, at the mark.
    fn deleverage(&mut self, number: u32, touched: &mut Touched, effects: &mut Vec<Effect>) {
        for rest in self.rest(number) {
            let mut left = rest.lots;
            for other in self.opposite(number, rest) {
                if left == 0 {
                    break;
                }
                let size = left.unsigned_abs().min(other.lots.unsigned_abs());
                let lots = i64::try_from(size).unwrap_or(i64::MAX) * left.signum();
                if self.state.ledger.give([number, other.account], rest.instrument, lots, rest.mark).is_err()
                {
                    continue;
                }
                left -= lots;
                touched.accounts.insert(other.account);
                let names = name(&self.state, number).zip(name(&self.state, other.account));
                let listed = self.state.ledger.instruments().get(rest.instrument as usize);
                if let Some(((account, against), listed)) = names.zip(listed) {
                    let (instrument, price) = (listed.instrument.clone(), Ticks(i128::from(rest.mark)));
                    effects.push(Effect::Deleveraged { account, against, instrument, lots, price });
                }
            }
        }
    }

    /// Accounts on the other side of a position, who gains most over what he has first; hedges come last.
    fn opposite(&self, number: u32, rest: Rest) -> Vec<Other> {
        let mut all: Vec<(bool, Other)> = Vec::new();
        for (account, n) in self.state.ledger.accounts().iter().zip(0..) {
            let lots = account.lots(rest.instrument);
            if n == number || lots == 0 || lots.signum() == rest.lots.signum() {
                continue;
            }
            let Some(Ok(totals)) = self.valued.totals(n) else { continue };
            let held = account.positions.iter().find(|held| held.instrument == rest.instrument);
            let profit = held.map_or(0, |held| i128::from(lots) * i128::from(rest.mark) - held.cost);
            let equity = totals.equity.0.max(1);
            let rank = profit as f64 / equity as f64;
            all.push((self.is_hedge(n, rest, totals.im.0), Other { account: n, lots, rank }));
        }
        all.sort_by(|(a_hedge, a), (b_hedge, b)| {
            a_hedge.cmp(b_hedge).then(b.rank.total_cmp(&a.rank)).then(a.account.cmp(&b.account))
        });
        all.into_iter().map(|(_, other)| other).collect()
    }

    /// Whether an account would need more margin without its side of a position.
    fn is_hedge(&self, number: u32, rest: Rest, im: i128) -> bool {
        let Some(mut after) = self.state.ledger.account(number).cloned() else { return false };
        let lots = after.lots(rest.instrument);
        after.positions.retain(|held| held.instrument != rest.instrument);
        debug_assert!(lots != 0);
        let totals = self.valued.portfolio(&after).map(|portfolio| self.valued.totals_of(&portfolio));
        totals.is_some_and(|totals| totals.is_ok_and(|totals| totals.im.0 > im))
    }

    /// Pays the debt of an account that has nothing else.
    fn cover(&mut self, number: u32, effects: &mut Vec<Effect>) -> Result<(), EngineError> {
        let Some(Ok(totals)) = self.valued.totals(number) else { return Ok(()) };
        let empty = self.state.ledger.account(number).is_some_and(|account| account.positions.is_empty());
        let debt = -totals.equity.0;
        if !empty || debt <= 0 {
            return Ok(());
        }
        let insurance = debt.min(self.state.insurance.0).max(0);
        self.state.insurance = Ticks(self.state.insurance.0 - insurance);
        let mut touched = Touched::default();
        let socialised = self.socialise(number, debt - insurance, &mut touched);
        if self.state.ledger.realise(number, insurance + socialised).is_err() {
            return Ok(());
        }
        touched.accounts.insert(number);
        if let Some(account) = name(&self.state, number) {
            let (insurance, socialised) = (Ticks(insurance), Ticks(socialised));
            effects.push(Effect::Covered { account, insurance, socialised });
        }
        self.revalue(&touched, effects)
    }

    /// Takes a debt from everybody in proportion to equity, rounded up against the first; what was taken.
    fn socialise(&mut self, number: u32, debt: i128, touched: &mut Touched) -> i128 {
        if debt <= 0 {
            return 0;
        }
        let count = u32::try_from(self.state.ledger.accounts().len()).unwrap_or(u32::MAX);
        let equity = |n: u32| match self.valued.totals(n) {
            Some(Ok(totals)) if n != number => totals.equity.0.max(0),
            _ => 0,
        };
        let shares: Vec<(u32, i128)> = (0..count).map(|n| (n, equity(n))).filter(|(_, e)| *e > 0).collect();
        let all: i128 = shares.iter().map(|(_, equity)| equity).sum();
        let mut left = debt;
        for (n, equity) in shares {
            let share = mul_div(debt, equity, all, Rounding::Up).unwrap_or(0).min(left).min(equity);
            if share > 0 && self.state.ledger.realise(n, -share).is_ok() {
                left -= share;
                touched.accounts.insert(n);
            }
        }
        debt - left
    }

    /// How many accounts stand so.
    pub fn count(&self, standing: Standing) -> usize {
        self.state.standings.iter().filter(|s| **s == standing).count()
    }
}
