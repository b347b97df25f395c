//! The whole book under every candidate of a proposal: what a tightening would make liquidatable, what closing it would cost, and
//! who that is, before it applies.
//!
//! **The one idea:** the policy asks and chooses, and never sees an account. Each candidate's values go into the parameter set
//! ([`Bucketed`]: by tenor and moneyness, and by tier where accounts have one), the arrays are built anew, and every account is margined by the code that runs live
//! ([`plimsoll_margin::summaries`]). Existing positions are held to maintenance margin, so a candidate is judged where its ramp
//! ends, against what binds them now. What was announced before and has not come is part of every candidate, of the first too.
//!
//! ```text
//! newly       accounts with mm_excess >= 0 under the values that bind now, and < 0 under the candidate's
//! sold        sum over them of the net delta of their longs in an underlying, quote units; bought likewise
//! moved       within x max(sold, bought)/depth, at most 1
//! cost        of each side N^2 within/(2 depth): a book as dense throughout as within the stated distance; at most N
//! waiting     breach x sum over accounts not liquidatable of max(0, loss - equity), loss the worst scenario of the whole step
//! ```

use crate::bucketed::{Said, in_force};
use crate::lint::findings;
use crate::{Adjusted, Asked, Bucketed, Desk, EngineError};
use plimsoll_lanes::Path;
use plimsoll_margin::{BookTerms, LintCode, MarginError, Params, Totals, summaries};
use plimsoll_policy::{Decision, Impact, Key, Knob, Leg, Policy, Proposal, Scope, State, covering};
use plimsoll_risk::ScenarioSet;
use plimsoll_types::{AccountId, Asset, Book, Instrument, Ppb, RiskArrays, Ticks, Timestamp, UnderlyingIx};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What rests in the order books of an underlying.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Depth {
    /// On the thinner side, within a distance of the middle, quote units; >= 0.
    pub quote: f64,
    /// The distance, a share of the price; in (0, 1].
    pub within: f64,
}

/// What the market can take, and how likely it is that the whole step was needed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Absorption {
    /// By underlying. One that is not here takes nothing: what is closed in it costs all of it.
    pub depth: BTreeMap<Asset, Depth>,
    /// Probability that a loss goes beyond what the whole step covers before the next one; in [0, 1]. 0.01 where scans cover
    /// 99 % of the losses of a step.
    pub breach: f64,
}

/// An account that a candidate makes liquidatable, as the market stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Affected {
    /// Whose.
    pub account: AccountId,
    /// Equity where the ramp ends, ticks.
    pub equity: Ticks,
    /// Maintenance margin under the values that bind now, ticks.
    pub mm_now: Ticks,
    /// Maintenance margin where the ramp ends, ticks: more than the equity.
    pub mm_then: Ticks,
}

/// What closing the affected accounts does to an underlying. Quote units.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Pressure {
    /// Which.
    pub underlying: Asset,
    /// Net delta of affected accounts that are long; >= 0.
    pub sold: f64,
    /// And of those that are short; >= 0.
    pub bought: f64,
    /// By how much the price moves, a share of it; in [0, 1].
    pub moved: f64,
    /// What it costs; >= 0.
    pub cost: f64,
}

/// The book under one candidate.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Evaluated {
    /// What the policy is told.
    pub impact: Impact,
    /// Who it is, in the order of the book.
    pub affected: Vec<Affected>,
    /// What closing them does, in the order of the arrays; underlyings without any are left out.
    pub pressure: Vec<Pressure>,
}

/// The book under every candidate of a proposal.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GlidePath {
    /// In the order of [`Proposal::candidates`].
    pub candidates: Vec<Evaluated>,
    /// Accounts that cannot be margined as it is: no candidate is judged by them.
    pub unvalued: Vec<AccountId>,
}

/// What is published with a decision that tightens.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Announcement {
    /// When it was decided, and is published.
    pub decided: Timestamp,
    /// When the first of it binds existing positions; `None` where nothing rises for them.
    pub begins: Option<Timestamp>,
    /// When the last of it does.
    pub ends: Option<Timestamp>,
    /// Who will be liquidatable by then, as the market stands.
    pub affected: Vec<Affected>,
}

pub(crate) type Margins = Vec<Result<Totals, MarginError>>;
/// A book margined under some values, and what the linter has against them.
pub(crate) struct Margined {
    pub(crate) margins: Margins,
    pub(crate) against: BTreeSet<(LintCode, String)>,
}

impl Margined {
    /// A book under some scenarios and parameters, whose arrays are made.
    pub(crate) fn new<'s>(
        book: &Book,
        arrays: &RiskArrays,
        (sets, margin): (impl Iterator<Item = &'s ScenarioSet>, &Params),
    ) -> Self {
        let mut margins = Vec::new();
        summaries(Path::best(), book, &BookTerms::new(arrays, margin), &mut margins);
        let against = sets.flat_map(|set| findings(set, margin));
        Self { margins, against: against.map(|f| (f.code, f.subject)).collect() }
    }
}

/// Everything that does not depend on the candidate.
struct WholeBook<'a> {
    desk: &'a Desk,
    policy: &'a Policy,
    base: Adjusted,
    names: Vec<Instrument>,
    /// Places of the accounts of each tier; the others are of none.
    tiers: BTreeMap<&'a str, Vec<usize>>,
}

impl Desk {
    /// The whole book under each candidate of a proposal.
    ///
    /// # Errors
    /// When a number of `market` is none, or arrays cannot be built: nobody can say then what a step would do.
    pub fn glide(
        &self,
        of: (&Policy, &State),
        proposal: &Proposal,
        market: &Absorption,
    ) -> Result<GlidePath, EngineError> {
        self.glide_by_tier(of, proposal, market, &BTreeMap::new())
    }

    /// The same where accounts have tiers: what is said of a tier binds those of it. An account that is not among `tiers` is of none.
    ///
    /// # Errors
    /// As [`Desk::glide`].
    pub fn glide_by_tier(
        &self,
        (policy, state): (&Policy, &State),
        proposal: &Proposal,
        market: &Absorption,
        tiers: &BTreeMap<AccountId, String>,
    ) -> Result<GlidePath, EngineError> {
        market.check()?;
        let candidates = proposal.candidates(policy).map_err(|e| policy_refuses(&e))?;
        let book = WholeBook::new(self, policy, tiers)?;
        let asked = Asked { tier: None, maintenance: true, at: proposal.now() };
        let scopes: Vec<&Scope> = state.board().parameters().keys().map(|key| &key.scope).collect();
        let binding = |knob, scope: &Scope| in_force(state.board(), knob, scope, asked);
        let now = book.margined(&scopes, &binding)?.margins;
        let shown = Shown { book: &self.book, arrays: &self.arrays, market, now: &now };
        let candidates = shown.under_each(&candidates, |values| {
            let scopes: Vec<&Scope> = values.keys().map(|key| &key.scope).collect();
            book.margined(&scopes, &|knob, scope| {
                covering(values, knob, scope).first().map(|(_, value)| **value)
            })
        })?;
        let unvalued = now.iter().enumerate().filter(|(_, totals)| totals.is_err());
        let unvalued = unvalued.filter_map(|(account, _)| self.book.id(account)).collect();
        Ok(GlidePath { candidates, unvalued })
    }
}

/// A book as it is shown to a policy.
pub(crate) struct Shown<'a> {
    pub(crate) book: &'a Book,
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) market: &'a Absorption,
    /// Under the values that bind existing positions now.
    pub(crate) now: &'a Margins,
}

impl Shown<'_> {
    /// The book under each of some complete sets of values, of which the first is what is in force and the last the whole step.
    /// Beside the first and the last one is held for every thread.
    pub(crate) fn under_each(
        &self,
        candidates: &[BTreeMap<Key, Ppb>],
        under: impl Fn(&BTreeMap<Key, Ppb>) -> Result<Margined, EngineError> + Sync,
    ) -> Result<Vec<Evaluated>, EngineError> {
        let [first, between @ .., last] = candidates else { return Ok(Vec::new()) };
        let (whole, first) = rayon::join(|| under(last), || under(first));
        let (whole, first) = (whole?, first?);
        let losses = losses(&whole.margins);
        let judge = Judge { shown: self, against: &first.against, losses: &losses };
        let mut all = vec![judge.evaluated(&first)];
        let between = between.par_iter().map(|values| Ok(judge.evaluated(&under(values)?)));
        all.extend(between.collect::<Result<Vec<_>, EngineError>>()?);
        all.push(judge.evaluated(&whole));
        Ok(all)
    }
}

/// The loss of every account in the worst scenario of the whole step, ticks.
fn losses(whole: &Margins) -> Vec<i128> {
    whole.iter().map(|totals| totals.as_ref().map_or(0, |totals| totals.aggregate.mm.0)).collect()
}

pub(crate) fn policy_refuses(reason: &dyn std::error::Error) -> EngineError {
    EngineError::Argument { what: "proposal", value: reason.to_string(), expected: "one of this policy" }
}

/// What a complete set of values says of a knob and an underlying.
pub(crate) fn valued(values: &BTreeMap<Key, Ppb>, knob: Knob, asset: &Asset) -> Option<Ppb> {
    covering(values, knob, &Scope::of(asset.as_str())).first().map(|(_, value)| **value)
}

impl Absorption {
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let argument = |what, value: f64, expected| {
            Err(EngineError::Argument { what, value: value.to_string(), expected })
        };
        if !(0.0..=1.0).contains(&self.breach) {
            return argument("breach", self.breach, "from 0 to 1");
        }
        for Depth { quote, within } in self.depth.values() {
            if !(*quote >= 0.0 && quote.is_finite()) {
                return argument("depth", *quote, "finite and >= 0");
            }
            if !(*within > 0.0 && *within <= 1.0) {
                return argument("within", *within, "above 0 and at most 1");
            }
        }
        Ok(())
    }
}

impl Depth {
    /// What closing so much on one side costs, and by how much it moves the price. `notional >= 0`.
    fn takes(self, notional: f64) -> (f64, f64) {
        let moved = notional * self.within / self.quote;
        if moved < 1.0 { (0.5 * notional * moved, moved) } else { (notional, 1.0) }
    }
}

impl<'a> WholeBook<'a> {
    fn new(
        desk: &'a Desk,
        policy: &'a Policy,
        of: &'a BTreeMap<AccountId, String>,
    ) -> Result<Self, EngineError> {
        let base = Adjusted::new(&desk.params, &desk.scenarios.underlyings, &desk.series)?;
        let names = desk.arrays.instruments.iter().map(|row| row.instrument.clone()).collect();
        let mut tiers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, portfolio) in desk.book.iter().enumerate().filter(|_| !of.is_empty()) {
            if let Some(tier) = of.get(&portfolio.account) {
                tiers.entry(tier).or_default().push(place);
            }
        }
        Ok(Self { desk, policy, base, names, tiers })
    }

    /// Every account under some values, those of tiers, tenors and moneyness where they are said.
    fn margined(&self, scopes: &[&Scope], values: Said<'_>) -> Result<Margined, EngineError> {
        let mut all = self.margined_as(None, scopes, values)?;
        for (tier, accounts) in &self.tiers {
            if !scopes.iter().any(|scope| scope.tier.as_deref() == Some(*tier)) {
                continue;
            }
            let own = self.margined_as(Some(tier), scopes, values)?;
            all.against.extend(own.against);
            for account in accounts {
                let pair = all.margins.get_mut(*account).zip(own.margins.get(*account));
                if let Some((into, from)) = pair {
                    into.clone_from(from);
                }
            }
        }
        Ok(all)
    }

    /// Every account as if it were of a tier. The rows of the arrays are those of the desk: the surface is the same.
    fn margined_as(
        &self,
        tier: Option<&str>,
        scopes: &[&Scope],
        values: Said<'_>,
    ) -> Result<Margined, EngineError> {
        let bucketed = Bucketed::by(&self.base, self.policy, (scopes, tier), values);
        let (desk, margin) = (self.desk, &bucketed.whole().margin);
        let built = bucketed.build(&desk.market.surface, &self.names, &desk.params.units, desk.mode)?;
        let sets = bucketed.sets().map(|set| &set.scenarios);
        Ok(Margined::new(&desk.book, &built.arrays, (sets, margin)))
    }
}

/// What candidates are judged by.
struct Judge<'a> {
    shown: &'a Shown<'a>,
    /// What the linter has against the values in force: no candidate is to blame for it.
    against: &'a BTreeSet<(LintCode, String)>,
    /// Of every account in the worst scenario of the whole step.
    losses: &'a [i128],
}

/// The accounts of a candidate as they are counted.
#[derive(Default)]
struct Count {
    affected: Vec<Affected>,
    places: Vec<usize>,
    equity: f64,
    equity_of_all: f64,
    short: f64,
    unsound: bool,
}

impl Judge<'_> {
    fn evaluated(&self, of: &Margined) -> Evaluated {
        let mut count = Count { unsound: !of.against.is_subset(self.against), ..Count::default() };
        for (account, ((now, then), loss)) in
            self.shown.now.iter().zip(&of.margins).zip(self.losses).enumerate()
        {
            match (now, then) {
                (Ok(now), Ok(then)) => self.count(&mut count, account, (now, then), *loss),
                // Whom nobody can margin as it is, no candidate is to blame for.
                (now, _) => count.unsound |= now.is_ok(),
            }
        }
        let pressure = self.pressure(&count.places);
        let unit = self.shown.arrays.ticks_per_unit as f64;
        let share = if count.equity_of_all > 0.0 { count.equity / count.equity_of_all } else { 0.0 };
        let impact = Impact {
            newly_liquidatable: count.affected.len() as u64,
            newly_liquidatable_share: share,
            induced: pressure.iter().fold(0.0, |sum, of| sum + of.cost),
            waiting: self.shown.market.breach * count.short / unit,
            sound: !count.unsound,
        };
        Evaluated { impact, affected: count.affected, pressure }
    }

    fn count(&self, count: &mut Count, account: usize, (now, then): (&Totals, &Totals), loss: i128) {
        count.unsound |= then.im < then.mm;
        let equity = then.equity.0.max(0) as f64;
        count.equity_of_all += equity;
        if then.mm_excess.0 >= 0 {
            count.short += loss.saturating_sub(then.equity.0).max(0) as f64;
            return;
        }
        let newly = (now.mm_excess.0 >= 0).then(|| self.shown.book.id(account)).flatten();
        let Some(id) = newly else { return };
        count.equity += equity;
        count.places.push(account);
        count.affected.push(Affected { account: id, equity: then.equity, mm_now: now.mm, mm_then: then.mm });
    }

    /// What closing some accounts does to every underlying.
    fn pressure(&self, accounts: &[usize]) -> Vec<Pressure> {
        let arrays = self.shown.arrays;
        let mut sides = vec![(0.0, 0.0); arrays.underlyings.len()];
        for account in accounts {
            for (underlying, delta) in self.deltas(*account) {
                let Some((sold, bought)) = sides.get_mut(underlying.index()) else { continue };
                if delta > 0.0 {
                    *sold += delta;
                } else {
                    *bought -= delta;
                }
            }
        }
        let moves =
            sides.into_iter().zip(&arrays.underlyings).filter(|((sold, bought), _)| sold + bought > 0.0);
        let one = |((sold, bought), row): ((f64, f64), &plimsoll_types::UnderlyingRow)| {
            let nothing = Depth { quote: 0.0, within: 1.0 };
            let depth = self.shown.market.depth.get(&row.asset).copied().unwrap_or(nothing);
            let (of_sold, of_bought) = (depth.takes(sold), depth.takes(bought));
            Pressure {
                underlying: row.asset.clone(),
                sold,
                bought,
                moved: if of_sold.1 > of_bought.1 { of_sold.1 } else { of_bought.1 },
                cost: of_sold.0 + of_bought.0,
            }
        };
        moves.map(one).collect()
    }

    /// Net delta of an account in each underlying, quote units.
    fn deltas(&self, account: usize) -> BTreeMap<UnderlyingIx, f64> {
        let arrays = self.shown.arrays;
        let mut deltas = BTreeMap::new();
        let Some(holdings) = self.shown.book.holdings(account) else { return deltas };
        for position in holdings.to_positions() {
            let Some(row) = arrays.instrument(position.instrument) else { continue };
            let delta = position.lots.0 as f64 * row.greeks.delta as f64 / arrays.ticks_per_unit as f64;
            *deltas.entry(row.underlying).or_insert(0.0) += delta;
        }
        deltas
    }
}

impl GlidePath {
    /// What [`plimsoll_policy::decide`] is shown.
    pub fn impacts(&self) -> Vec<Impact> {
        self.candidates.iter().map(|of| of.impact).collect()
    }

    /// What is published with the decision that was made on this path. Where nothing was chosen nothing new is announced.
    pub fn announcement(&self, decision: &Decision) -> Announcement {
        let chosen = decision.glide.and_then(|choice| self.candidates.get(choice.candidate));
        let legs = || decision.changes.iter().flat_map(|change| &change.maintenance.legs);
        let binds = |at: fn(&Leg) -> Timestamp| legs().map(at);
        Announcement {
            decided: decision.now,
            begins: binds(|leg| leg.starts).min(),
            ends: binds(|leg| leg.ends).max(),
            affected: chosen.map(|of| of.affected.clone()).unwrap_or_default(),
        }
    }
}
