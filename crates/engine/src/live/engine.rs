//! One event at a time.
//!
//! **The one idea:** [`Engine::step`] is the only function that changes anything. It does what the event says, values anew what
//! that touched, and looks at every account whose margin is new; what follows is returned and nothing else happens.

use super::effect::{Effect, Reject, Standing};
use super::event::{Body, Event};
use super::feed::{Accepted, Feed, FeedParams, Refused, Validity};
use super::ledger::{Account, LedgerError, OpenOrder};
use super::market::ChainRefused;
use super::rules::Rules;
use super::settlement::{expiries, frozen_values};
use super::state::{Interest, State};
use super::valued::{Inputs, Valued};
use crate::EngineError;
use plimsoll_margin::venue::mango::StablePrice;
use plimsoll_market::Surface;
use plimsoll_policy::{Knob, Place, Quoted};
use plimsoll_types::{AccountId, Asset, Fixed, Instrument, Ppb, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The engine as it runs.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) rules: Rules,
    pub(super) state: State,
    pub(super) valued: Valued,
    /// Expiries to come; follows from the state.
    pub(super) expiries: BTreeSet<(Timestamp, Asset)>,
}

/// What an event has touched.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    /// Underlyings or assets whose price or quotes are new.
    pub(super) markets: BTreeSet<Asset>,
    /// Accounts that hold something else.
    pub(super) accounts: BTreeSet<u32>,
    /// Whether what is listed or in force is another.
    pub(super) all: bool,
}

impl Engine {
    /// An engine that has just begun, at an instant.
    ///
    /// # Errors
    /// When policy or scenarios cannot begin.
    pub fn new(rules: Rules, now: Timestamp) -> Result<Self, EngineError> {
        let state = State::new(&rules, now).map_err(|e| EngineError::Policy { reason: e.to_string() })?;
        Self::resume(rules, state)
    }

    /// An engine that goes on from what it remembered.
    ///
    /// # Errors
    /// When the scenarios cannot be made.
    pub fn resume(rules: Rules, mut state: State) -> Result<Self, EngineError> {
        rules.check().map_err(|e| EngineError::Rules { reason: e.to_string() })?;
        rules.quotes().map_err(|reason| EngineError::Rules { reason })?;
        state.ledger.index();
        let valued = valued(&rules, &state)?;
        let expiries = expiries(&state);
        Ok(Self { rules, state, valued, expiries })
    }

    /// Everything it remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Everything on its market.
    pub fn valued(&self) -> &Valued {
        &self.valued
    }

    /// What it runs by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes an event. What is refused is among the effects.
    ///
    /// # Errors
    /// Only when the parameters in force no longer make scenarios: a defect of the rules, after which nothing is right.
    pub fn step(&mut self, event: &Event) -> Result<Vec<Effect>, EngineError> {
        self.state.sequence += 1;
        let mut effects = Vec::new();
        let mut touched = Touched::default();
        self.tick(event.at, &mut touched, &mut effects);
        self.freeze(&mut touched);
        if touched.all {
            // Nothing is decided on what expired as if it had not.
            self.revalue(&std::mem::take(&mut touched), &mut effects)?;
        }
        let known = event.key.as_ref().map_or(Ok(()), |key| self.state.once.first(key));
        let done = known
            .map_err(|code| Reject::new(code, ""))
            .and_then(|()| self.apply(&event.body, &mut touched, &mut effects));
        if let Err(reject) = done {
            *self.state.refused.entry(reject.code.clone()).or_default() += 1;
            effects.push(Effect::Rejected(reject));
        }
        if event.body == Body::Clock {
            self.decide(&mut touched, &mut effects)?;
            let old = self.state.ruled_at.seconds_until(self.state.now) >= RAMP_SECONDS;
            touched.all |= old && ramped(&self.state);
        }
        self.revalue(&touched, &mut effects)?;
        if event.body == Body::Clock {
            let held_back: Vec<u32> = self.state.held_back.iter().copied().collect();
            self.look_at(&held_back, &mut effects)?;
            if !self.holds_liquidations() {
                self.close_out(&mut effects)?;
            }
        }
        Ok(effects)
    }

    /// Lets time pass, never backwards.
    fn tick(&mut self, at: Timestamp, touched: &mut Touched, effects: &mut Vec<Effect>) {
        let state = &mut self.state;
        let behind = at.seconds_until(state.now);
        state.clock_skew = behind > CLOCK_SKEW_SECONDS;
        state.now = if at > state.now { at } else { state.now };
        let (now, assets) = (state.now, state.feeds.keys().cloned().collect::<Vec<_>>());
        for asset in assets {
            let done = self.feed(&asset, touched, effects, |feed, params| {
                feed.wait(params, now);
                Ok(())
            });
            // Waiting is not refused, and a price that was taken once can be taken again.
            debug_assert!(done.is_ok(), "{done:?}");
            self.escalate(&asset, effects);
            let price =
                self.state.feeds.get(&asset).and_then(Feed::accepted).map(|a| Fixed::from_f64(a.price));
            if let (Some(Ok(price)), Some(stable)) = (price, self.state.stable.get_mut(&asset)) {
                // A price that was taken before is one that the model takes.
                let done = stable.update(now.seconds(), price);
                debug_assert!(done.is_ok(), "{done:?}");
            }
        }
    }

    /// Tells a person of a feed that is halted for too long.
    fn escalate(&mut self, asset: &Asset, effects: &mut Vec<Effect>) {
        let (params, feed) = (self.rules.feeds.get(asset), self.state.feeds.get_mut(asset));
        let since = params.zip(feed).and_then(|(params, feed)| feed.escalate(params, self.state.now));
        effects.extend(since.map(|since| Effect::Escalated { feed: asset.clone(), since }));
    }

    fn apply(&mut self, body: &Body, touched: &mut Touched, effects: &mut Vec<Effect>) -> Result<(), Reject> {
        match body {
            Body::Clock => Ok(()),
            Body::Price { asset, source, seen } => {
                let now = self.state.now;
                self.feed(asset, touched, effects, |feed, params| feed.observe(params, (source, seen), now))
            }
            Body::Heartbeat { asset, source, time } => {
                let now = self.state.now;
                self.feed(asset, touched, effects, |feed, params| {
                    feed.heartbeat(params, (source, *time), now)
                })
            }
            Body::Chain { underlying, time, quotes } => {
                self.chain(underlying, (quotes, *time), touched, effects)
            }
            Body::OwnMarket { asset, middle } => {
                let (now, middle) = (self.state.now, middle.and_then(|m| m.to_f64()));
                self.feed(asset, touched, effects, |feed, params| {
                    feed.own(params, middle, now);
                    Ok(())
                })
            }
            Body::Depth { underlying, venue, quoted } => self.depth((underlying, venue), *quoted),
            Body::OpenInterest { underlying, open_interest, daily_volume, concentration } => {
                let of = Interest {
                    open_interest: *open_interest,
                    daily_volume: *daily_volume,
                    concentration: *concentration,
                };
                self.interest(underlying, of)
            }
            Body::Pool { coverage } => number(*coverage, "pool").map(|x| self.state.pool = Some(x)),
            Body::Sentiment { value } => number(*value, "sentiment").map(|x| self.state.sentiment = Some(x)),
            Body::Uptime { down } => {
                let now = self.state.now;
                let assets: Vec<Asset> = self.state.feeds.keys().cloned().collect();
                for asset in assets {
                    self.feed(&asset, touched, effects, |feed, params| {
                        feed.chain(params, *down, now);
                        Ok(())
                    })?;
                }
                Ok(())
            }
            Body::Pause { reason, hold_liquidations } => self.pause(reason, *hold_liquidations, effects),
            Body::Resume => self.go_on(effects),
            Body::Pardon { asset, source } => {
                let now = self.state.now;
                self.feed(asset, touched, effects, |feed, params| feed.pardon(params, source, now))
            }
            Body::Vote(vote) => {
                let done = self.state.policy.vote(&self.rules.policy, (**vote).clone(), self.state.now);
                done.map_err(|e| Reject::new("vote", e.to_string()))
            }
            Body::CancelVote { id } => self
                .state
                .policy
                .cancel(&self.rules.policy, id, self.state.now)
                .map(drop)
                .map_err(|e| Reject::new("vote", e.to_string())),
            _ => self.book(body, touched, effects),
        }
    }

    /// Depth and spread of a venue. A book that is crossed has no depth, whatever rests in it.
    fn depth(&mut self, (underlying, venue): (&Asset, &str), quoted: Quoted) -> Result<(), Reject> {
        if !(quoted.depth.is_finite() && quoted.depth >= 0.0 && quoted.spread.is_finite()) {
            return Err(Reject::new("non_finite", format!("depth of {underlying} on {venue}")));
        }
        if !self.state.feeds.contains_key(underlying) {
            return Err(Reject::new("unknown_feed", underlying.to_string()));
        }
        let crossed = quoted.spread < 0.0;
        let quoted = if crossed { Quoted { depth: 0.0, spread: 0.0 } } else { quoted };
        let resting = self.state.resting.entry(underlying.clone()).or_default();
        resting.entry(venue.to_owned()).or_default().quote(quoted, self.state.now);
        self.state.depth.entry(underlying.clone()).or_default().insert(venue.to_owned(), quoted);
        Ok(())
    }

    /// Open interest, for the policy.
    fn interest(&mut self, underlying: &Asset, of: Interest) -> Result<(), Reject> {
        if !self.state.feeds.contains_key(underlying) {
            return Err(Reject::new("unknown_feed", underlying.to_string()));
        }
        let stated = [Some(of.open_interest), of.daily_volume, of.concentration];
        stated.into_iter().flatten().try_for_each(|x| number(x, "open interest").map(drop))?;
        self.state.interest.insert(underlying.clone(), of);
        Ok(())
    }

    /// What happens to the ledger.
    fn book(&mut self, body: &Body, touched: &mut Touched, effects: &mut Vec<Effect>) -> Result<(), Reject> {
        let ledger = &mut self.state.ledger;
        match body {
            Body::List { instrument } => {
                self.list(instrument)?;
                touched.all = true;
            }
            Body::Announced { instruments } => {
                let mut new = false;
                for instrument in instruments {
                    new |= self.rules.feeds.contains_key(instrument.underlying())
                        && self.list(instrument).is_ok();
                }
                if !new {
                    return Err(Reject::new("nothing_new", format!("of {}", instruments.len())));
                }
                touched.all = true;
            }
            Body::Settle { instrument } => self.settle(instrument, touched, effects)?,
            Body::Funding { instrument, rate } => self.fund(instrument, rate.to_f64(), touched)?,
            Body::Open { account } => {
                let number = ledger.open(account)?;
                touched.accounts.insert(number);
            }
            Body::Deposit { account, asset, nano } => {
                let number = ledger.find(account)?;
                self.may_take(number, asset)?;
                self.state.ledger.deposit(number, asset, *nano)?;
                touched.accounts.insert(number);
            }
            Body::Withdraw { account, asset, nano } => {
                self.withdraw((account, None), asset, *nano, touched)?
            }
            Body::Transfer { from, to, asset, nano } => {
                self.withdraw((from, Some(to)), asset, *nano, touched)?;
            }
            Body::Trade(fill) => self.trade(fill, touched)?,
            Body::Filled(fill) => touched.accounts.extend(ledger.fill(fill)?),
            Body::Order { account, id, instrument, lots, limit } => {
                let number = ledger.find(account)?;
                let order =
                    OpenOrder { id: *id, instrument: self.traded(instrument)?, lots: *lots, limit: *limit };
                self.place_order(number, order)?;
                touched.accounts.insert(number);
            }
            Body::Cancel { account, id } => {
                let number = ledger.find(account)?;
                let known = ledger
                    .account(number)
                    .and_then(|a| a.orders.iter().find(|order| order.id == *id).copied());
                let order = known.ok_or_else(|| Reject::new("unknown_order", id.to_string()))?;
                ledger.order(number, OpenOrder { lots: 0, ..order })?;
                touched.accounts.insert(number);
            }
            Body::Liquidated { .. } if self.holds_liquidations() => return Err(Reject::new("paused", "")),
            Body::Liquidated { intent, taker, instrument, lots, price } => {
                self.liquidated(*intent, (taker, instrument), (*lots, *price), touched)?;
            }
            Body::Insure { nano } => self.insure(*nano)?,
            _ => return Err(Reject::new("unknown_event", "")),
        }
        Ok(())
    }

    /// An instrument is traded from now on. What it is worth is found by the next valuation of all.
    fn list(&mut self, instrument: &Instrument) -> Result<(), Reject> {
        if instrument.expiry().is_some_and(|expiry| expiry <= self.state.now) {
            return Err(Reject::new("expired", instrument.to_string()));
        }
        self.state.ledger.list(instrument)?;
        let underlying = instrument.underlying().clone();
        self.expiries.extend(instrument.expiry().map(|expiry| (expiry, underlying)));
        Ok(())
    }

    /// Changes a feed, and looks at what it says then: even a refusal may silence a source.
    fn feed(
        &mut self,
        asset: &Asset,
        touched: &mut Touched,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut Feed, &FeedParams) -> Result<(), Refused>,
    ) -> Result<(), Reject> {
        let unknown = || Reject::new("unknown_feed", asset.to_string());
        let params = self.rules.feeds.get(asset).ok_or_else(unknown)?;
        let feed = self.state.feeds.get_mut(asset).ok_or_else(unknown)?;
        let said = |feed: &Feed| feed.accepted().map(|a| (a.price, a.confidence));
        let (before, known) = (feed.validity(), said(feed));
        let done = change(feed, params);
        let (after, causes) = (feed.validity(), feed.causes());
        let (moved, accepted) = (said(feed) != known, feed.accepted());
        if before != after {
            let causes = causes.clone();
            effects.push(Effect::Validity { feed: asset.clone(), from: before, to: after, causes });
        }
        if before != after || moved {
            touched.markets.insert(asset.clone());
        }
        let halted = |validity| validity == Validity::Halted;
        if let Some(accepted) = accepted.filter(|_| moved || halted(before) != halted(after)) {
            let trail = self.state.trail.entry(asset.clone()).or_default();
            trail.push(self.state.now, if halted(after) { 0.0 } else { accepted.price });
        }
        if let Some(accepted) = accepted.filter(|_| moved) {
            self.moved(asset, accepted)?;
        }
        done.map_err(|refused| Reject::new(&refused.to_string(), asset.to_string()))
    }

    /// What else follows a new price: the stable price, the policy's bar.
    fn moved(&mut self, asset: &Asset, accepted: Accepted) -> Result<(), Reject> {
        let (state, price) = (&mut self.state, accepted.price);
        let fixed = Fixed::from_f64(price).map_err(|e| Reject::new("overflow", e.to_string()))?;
        let failed = |e: plimsoll_margin::venue::VenueError| Reject::new("overflow", e.to_string());
        match state.stable.get_mut(asset) {
            Some(stable) => stable.update(state.now.seconds(), fixed).map_err(failed)?,
            None => {
                let stable =
                    StablePrice::new(self.rules.stable, fixed, state.now.seconds()).map_err(failed)?;
                state.stable.insert(asset.clone(), stable);
            }
        }
        let bar = state.bars.entry(asset.clone()).or_insert(plimsoll_policy::Bar::at(price));
        bar.close = price;
        bar.high = bar.high.max(price);
        bar.low = bar.low.min(price);
        Ok(())
    }

    fn chain(
        &mut self,
        underlying: &Asset,
        quotes: (&plimsoll_types::UnderlyingMarket, Timestamp),
        touched: &mut Touched,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reject> {
        let unknown = || Reject::new("unknown_feed", underlying.to_string());
        let feed = self.state.feeds.get(underlying).ok_or_else(unknown)?;
        let market = self.state.markets.entry(underlying.clone()).or_default();
        let Rules { market: limits, params, .. } = &self.rules;
        let index = (underlying, feed.accepted());
        let done = market.quote((limits, &params.guard, &params.fit), index, quotes, self.state.now);
        let issues = done.map_err(|e: ChainRefused| Reject::of(&e))?;
        if !issues.is_empty() {
            effects.push(Effect::Issues { underlying: underlying.clone(), issues });
        }
        touched.markets.insert(underlying.clone());
        Ok(())
    }

    /// Values anew what was touched, and looks at the accounts whose margin is new.
    pub(super) fn revalue(
        &mut self,
        touched: &Touched,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EngineError> {
        let mut seen: Vec<u32> = touched.accounts.iter().copied().collect();
        let (mut all, mut count) = (touched.all, seen.len());
        for asset in &touched.markets {
            if all {
                break;
            }
            let state = &self.state;
            let refreshed =
                self.valued.refresh(&state.ledger, asset, |surface| move_surface(state, surface, asset));
            if self.valued.surface.underlyings.contains_key(asset) {
                self.state.valued_at.insert(asset.clone(), self.state.now);
            }
            match refreshed {
                Ok(true) => {
                    let (found, wanted) = self.found_anew();
                    count += found;
                    seen.extend(wanted);
                }
                Ok(false) => {}
                // What can be valued is another.
                Err(_) => all = true,
            }
        }
        if all {
            self.state.ruled_at = self.state.now;
            self.state.valued_at.clear();
            self.valued = valued(&self.rules, &self.state)?;
            count = self.state.ledger.accounts().len();
            seen = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        } else if !touched.accounts.is_empty() {
            let accounts: Vec<u32> = touched.accounts.iter().copied().collect();
            self.valued.update(&self.state.ledger, &accounts)?;
        }
        if count > 0 {
            effects.push(Effect::Margins { as_of: self.valued.surface.as_of, accounts: count });
        }
        self.look_at(&seen, effects)
    }

    /// How far the numbers of an account may be relied on.
    pub fn validity(&self, account: u32) -> Validity {
        self.state.ledger.account(account).map_or(Validity::Halted, |account| self.validity_on(account))
    }

    /// How far the numbers of what an account holds may be relied on.
    pub(super) fn validity_on(&self, account: &Account) -> Validity {
        let listed = self.state.ledger.instruments();
        let held = account.positions.iter().filter_map(|held| listed.get(held.instrument as usize));
        let of_positions = held.map(|listed| self.validity_of(&listed.instrument));
        let currency = &self.rules.params.units.currency;
        let other = account.collateral.iter().filter(|(asset, _)| asset != currency);
        let of_collateral = other.map(|(asset, _)| self.feed_validity(asset));
        let worst = of_positions.chain(of_collateral).max().unwrap_or_default();
        if self.state.clock_skew && worst == Validity::Normal { Validity::Degraded } else { worst }
    }

    /// How far the value of an instrument may be relied on.
    pub fn validity_of(&self, instrument: &Instrument) -> Validity {
        if self.has_expired(instrument) {
            return if self.is_frozen(instrument) { Validity::Normal } else { Validity::Halted };
        }
        let index = self.feed_validity(instrument.underlying());
        let smile = instrument.option().and(instrument.expiry()).map_or(Validity::Normal, |expiry| {
            let market = self.state.markets.get(instrument.underlying());
            market.map_or(Validity::Halted, |m| m.validity(&self.rules.market, expiry, self.state.now).0)
        });
        index.max(smile)
    }

    fn feed_validity(&self, asset: &Asset) -> Validity {
        self.state.feeds.get(asset).map_or(Validity::Halted, Feed::validity)
    }
}

/// How often what is announced takes its next step, seconds.
const RAMP_SECONDS: f64 = 60.0;
/// The host's clock may be so much behind what was seen before.
const CLOCK_SKEW_SECONDS: f64 = 5.0;

fn number(x: f64, what: &str) -> Result<f64, Reject> {
    if x.is_finite() && x >= 0.0 { Ok(x) } else { Err(Reject::new("non_finite", what)) }
}

impl From<LedgerError> for Reject {
    fn from(error: LedgerError) -> Self {
        Self::of(&error)
    }
}

/// The market as of now: every underlying that has an index and quotes.
pub(super) fn surface(rules: &Rules, state: &State) -> Surface {
    let mut underlyings = BTreeMap::new();
    let mut assets = BTreeMap::new();
    for (asset, feed) in &state.feeds {
        let Some(accepted) = feed.accepted() else { continue };
        if let Some(market) = state.markets.get(asset).and_then(|market| market.at(accepted)) {
            underlyings.insert(asset.clone(), market);
        }
        assets.insert(asset.clone(), (accepted.price, accepted.confidence));
    }
    let currency = &rules.params.units.currency;
    assets.entry(currency.clone()).or_insert((1.0, 0.0));
    Surface { as_of: state.now, underlyings, assets, issues: Vec::new() }
}

/// The market as of now, where only an underlying or asset has moved.
fn move_surface(state: &State, surface: &mut Surface, asset: &Asset) {
    surface.as_of = state.now;
    let Some(accepted) = state.feeds.get(asset).and_then(Feed::accepted) else { return };
    if let Some(market) = state.markets.get(asset).and_then(|market| market.at(accepted)) {
        surface.underlyings.insert(asset.clone(), market);
    }
    surface.assets.insert(asset.clone(), (accepted.price, accepted.confidence));
}

/// Everything as it was last valued: under the parameters of `ruled_at`, every market as of its own instant.
pub(super) fn valued(rules: &Rules, state: &State) -> Result<Valued, EngineError> {
    let mut surface = surface(rules, state);
    surface.as_of = state.ruled_at;
    let board = state.policy.board();
    let found = |knob: Knob, asset: &Asset| {
        let place = Place { underlying: Some(asset.as_str()), ..Place::default() };
        rules.policy.in_force(board, knob, &place, state.ruled_at)
    };
    let initial = |knob: Knob, asset: &Asset| found(knob, asset).map(|f| f.initial);
    let maintenance =
        |knob: Knob, asset: &Asset| -> Option<Ppb> { found(knob, asset).map(|f| f.maintenance) };
    let mut valued = Valued::new(&Inputs {
        ledger: &state.ledger,
        surface: &surface,
        params: &rules.params,
        series: &rules.series,
        frozen: &frozen_values(state, &rules.params.units),
        initial: &initial,
        maintenance: ramped(state).then_some(&maintenance as _),
    })?;
    let mut later: Vec<(Timestamp, &Asset)> =
        state.valued_at.iter().map(|(asset, at)| (*at, asset)).collect();
    later.sort();
    for (at, asset) in later {
        valued.refresh(&state.ledger, asset, |surface| surface.as_of = at)?;
    }
    Ok(valued)
}

/// Whether something announced is on its way.
pub(super) fn ramped(state: &State) -> bool {
    state.policy.board().parameters().values().any(|p| p.maintenance(state.ruled_at) != p.value())
}

/// An account's number, for effects.
pub(super) fn name(state: &State, account: u32) -> Option<AccountId> {
    state.ledger.account(account).map(|account| account.id.clone())
}

impl Standing {
    /// What follows from a state of margin, and from whether equity is below zero.
    pub(super) fn of(state: plimsoll_margin::State, insolvent: bool) -> Self {
        use plimsoll_margin::State;
        match state {
            State::Liquidatable if insolvent => Self::Insolvent,
            State::Liquidatable => Self::Liquidatable,
            State::Call => Self::Call,
            State::Healthy => Self::Healthy,
        }
    }
}
