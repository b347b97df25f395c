//! The story: what is due next.

use super::Producer;
use super::coin::{Coin, DOLLAR, SHAPES, STABLE, VENUES};
use super::crew::{Crew, Deed, Desk};
use super::draw::Draw;
use super::opening::{
    BACKSTOP, COVERAGE, World, backstop_loss, brought, chain, depth, price_event, stable_event,
    stable_sources, told,
};
use super::people::{People, Trade, lots, nano, stated};
use super::quotes::Sight;
use super::sea::{Sea, Water};
use super::spec::{HarbourError, Phase, Scene, Spec};
use plimsoll_engine::ParamSet;
use plimsoll_engine::live::feed::{FeedParams, SourceParams};
use plimsoll_engine::live::ledger::Fill;
use plimsoll_engine::live::{Body, Effect, Engine, Event, LiquidationRules, MarketParams, Rules, State};
use plimsoll_margin::venue::mango::StableTerms;
use plimsoll_policy::Policy;
use plimsoll_types::{Asset, Decimal, LotSize, Ppb, Ticks, Timestamp, Units};
use std::collections::{BTreeMap, VecDeque};

/// Seconds between two of a kind.
const OWN_SECONDS: i64 = 60;
const DEPTH_SECONDS: i64 = 600;
const POOL_SECONDS: i64 = 1_800;
const FUNDING_SECONDS: i64 = 3_600;
const ORDER_SECONDS: i64 = 1_800;
const MOVE_SECONDS: i64 = 90;
/// Seconds that an intent waits before the backstop takes over.
const BACKSTOP_SECONDS: i64 = 420;
/// What a maker bids and offers in the perpetual, USD.
const QUOTED: f64 = 150_000.0;

/// What comes again and again, whatever anybody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    Price {
        coin: usize,
        source: usize,
    },
    Stable {
        source: usize,
    },
    Chain {
        coin: usize,
    },
    Own {
        coin: usize,
    },
    Depth {
        coin: usize,
        venue: usize,
    },
    Pool,
    Sentiment,
    Funding {
        coin: usize,
    },
    Clock,
    /// Somebody trades with a maker.
    Trade,
    /// Somebody brings or takes money.
    Move,
    /// A maker places an order: a bid, or an offer.
    Order {
        maker: usize,
        bid: bool,
    },
}

/// The market and its people.
#[derive(Clone, Debug)]
pub struct Harbour {
    spec: Spec,
    units: Units,
    coins: Vec<Coin>,
    sea: Sea,
    people: People,
    opening: VecDeque<Event>,
    /// What an engine remembers before the book, and the book.
    before: Box<State>,
    book: VecDeque<Event>,
    /// By instant and number: the number tells apart what is due together.
    tasks: BTreeMap<(Timestamp, u64), Task>,
    crew: Crew,
    told: Timestamp,
}

impl Harbour {
    /// Rules for this market: its feeds, limits and backstop under a parameter set and a policy.
    ///
    /// # Errors
    /// [`HarbourError`] where a name of the market is none.
    pub fn rules(spec: &Spec, mut params: ParamSet, policy: Policy) -> Result<Rules, HarbourError> {
        spec.check()?;
        let mut feeds = BTreeMap::new();
        for shape in &SHAPES {
            let base = shape.lot.parse().unwrap_or(Decimal::ONE);
            params.units.lots.insert(Asset::new(shape.name)?, LotSize { base, quote: Decimal::ONE });
            feeds.insert(Asset::new(shape.name)?, feed(shape.sources));
        }
        feeds.insert(Asset::new(STABLE)?, feed(stable_sources()));
        let per_unit = params.units.ticks_per_unit as f64;
        let liquidation = LiquidationRules {
            confidences: 3.0,
            backstop_seconds: BACKSTOP_SECONDS,
            backstop: Some(BACKSTOP.parse()?),
            backstop_loss_max: Ticks((backstop_loss(spec.accounts) * per_unit) as i128),
            ..LiquidationRules::default()
        };
        let market = MarketParams::default();
        Ok(Rules {
            params,
            policy,
            series: BTreeMap::new(),
            feeds,
            market,
            liquidation,
            stable: stable_terms(),
        })
    }

    /// The story of a spec. The rules decide one thing only: what everybody puts down in the beginning, a cushion of their own
    /// choice over what the rules ask for the same positions.
    ///
    /// The engine it is told to must be `Engine::new(rules, spec.begins())`, or that of [`Harbour::opened`].
    ///
    /// # Errors
    /// [`HarbourError`].
    pub fn new(spec: &Spec, rules: &Rules) -> Result<Self, HarbourError> {
        spec.check()?;
        let coins: Vec<Coin> =
            SHAPES.iter().map(|shape| Coin::listed(*shape, spec.start)).collect::<Result<_, _>>()?;
        let sea = Sea::new(spec);
        let opened = World { spec, coins: &coins, sea: &sea }.opening(rules)?;
        let crew = Crew::new(spec.seed, &opened.people);
        let mut harbour = Self {
            spec: spec.clone(),
            units: rules.params.units.clone(),
            coins,
            sea,
            people: opened.people,
            opening: opened.past.into_iter().chain(opened.book.iter().cloned()).collect(),
            before: opened.before,
            book: opened.book,
            tasks: BTreeMap::new(),
            crew,
            told: spec.begins(),
        };
        harbour.begin();
        Ok(harbour)
    }

    /// An engine that has been told everything that is before the story, at once: the past as it came, and the book straight
    /// into the ledger, since one account at a time takes long. It remembers what it would if it had been told. What
    /// is left to tell begins with the story.
    ///
    /// # Errors
    /// [`HarbourError`] where the engine cannot run by the rules, which must be those of [`Harbour::new`].
    pub fn opened(&mut self, rules: &Rules) -> Result<Engine, HarbourError> {
        let engine = brought(rules, &self.before, &self.book)?;
        self.opening.clear();
        self.told = self.spec.start;
        Ok(engine)
    }

    /// Names of the accounts that can be shown as examples: one of each trade, by order of trade.
    pub fn examples(&self) -> Vec<plimsoll_types::AccountId> {
        let mut seen: Vec<Trade> = Vec::new();
        let first = self.people.all.iter().filter(|person| {
            let new = !seen.contains(&person.trade);
            if new {
                seen.push(person.trade);
            }
            new
        });
        first.map(|person| person.id.clone()).collect()
    }

    /// Everything that comes again and again, for the first time: spread out, so that little is due together.
    fn begin(&mut self) {
        let every = self.spec.source_seconds;
        for (coin, offset) in (0..self.coins.len()).zip(0..) {
            let sources = self.coins.get(coin).map_or(&[][..], |c| c.shape.sources);
            let count = i64::try_from(sources.len()).unwrap_or(1).max(1);
            for (source, place) in (0..sources.len()).zip(0..) {
                self.later(offset + place * every / count, Task::Price { coin, source });
            }
            self.later(10 + offset * self.spec.chain_seconds / 4, Task::Chain { coin });
            self.later(5 + 7 * offset, Task::Own { coin });
            self.later(600 + offset, Task::Funding { coin });
            for (venue, place) in (0..VENUES.len()).zip(0..) {
                self.later(20 + 30 * offset + 110 * place, Task::Depth { coin, venue });
            }
        }
        for (source, place) in (0..stable_sources().len()).zip(0..) {
            self.later(2 + 6 * place, Task::Stable { source });
        }
        let makers: Vec<usize> = self.people.makers.iter().flatten().copied().collect();
        for (maker, place) in makers.into_iter().zip(0..) {
            self.later(40 + 11 * place, Task::Order { maker, bid: true });
            self.later(45 + 11 * place, Task::Order { maker, bid: false });
        }
        let singles =
            [(3, Task::Pool), (4, Task::Sentiment), (30, Task::Clock), (9, Task::Trade), (50, Task::Move)];
        for (seconds, task) in singles {
            self.later(seconds, task);
        }
    }

    fn later(&mut self, seconds: i64, task: Task) {
        self.schedule(self.spec.start.plus_seconds(seconds), task);
    }

    fn schedule(&mut self, at: Timestamp, task: Task) {
        let mut number = 0;
        while self.tasks.contains_key(&(at, number)) {
            number += 1;
        }
        if at <= self.spec.ends() {
            self.tasks.insert((at, number), task);
        }
    }

    /// Seconds until it comes again.
    fn pause(&self, task: Task) -> i64 {
        match task {
            Task::Price { .. } => self.spec.source_seconds,
            // Nothing is priced in the stable coin, and it hardly moves.
            Task::Stable { .. } => 2 * self.spec.source_seconds,
            Task::Chain { .. } => self.spec.chain_seconds,
            Task::Own { .. } => OWN_SECONDS,
            Task::Depth { .. } => DEPTH_SECONDS,
            Task::Pool => POOL_SECONDS,
            Task::Sentiment | Task::Funding { .. } => FUNDING_SECONDS,
            Task::Clock => self.spec.clock_seconds,
            Task::Trade => self.spec.trade_seconds,
            Task::Move => MOVE_SECONDS,
            Task::Order { .. } => ORDER_SECONDS,
        }
    }

    fn sight(&self, coin: usize, water: &Water, at: Timestamp) -> Option<Sight<'_>> {
        Some(Sight::new(self.coins.get(coin)?, coin, water, at))
    }

    /// What a task says at an instant.
    fn perform(&self, task: Task, at: Timestamp) -> Option<Event> {
        let water = self.sea.at(at);
        let seconds = at.seconds().unsigned_abs();
        let draw = |purpose: u64, which: usize| Draw::of(self.spec.seed, &[purpose, which as u64, seconds]);
        match task {
            Task::Price { coin, source } => {
                let of = self.coins.get(coin)?;
                // All sources of a feed look at the same instant, one after another.
                let offset = i64::try_from(coin).unwrap_or(0);
                let since = at.seconds() - self.spec.start.seconds() - offset;
                let water = self.sea.at(at.plus_seconds(-since.rem_euclid(self.spec.source_seconds)));
                let (name, price) = (of.shape.sources.get(source)?, water.prices.get(coin)?);
                Some(price_event(&of.asset, name, *price, at, &mut draw(100 + source as u64, coin)))
            }
            Task::Stable { source } => {
                let name = stable_sources().get(source)?;
                Some(stable_event(&Asset::new(STABLE).ok()?, name, water.stable, at))
            }
            Task::Chain { coin } => Some(chain(&self.sight(coin, &water, at)?, &mut draw(120, coin))),
            Task::Own { coin } => {
                let (of, price) = (self.coins.get(coin)?, water.prices.get(coin)?);
                let middle = Some(stated(price * (1.0 + 1e-4 * draw(130, coin).normal())));
                Some(told(at, Body::OwnMarket { asset: of.asset.clone(), middle }))
            }
            Task::Depth { coin, venue } => {
                let name = VENUES.get(venue)?;
                Some(depth(self.coins.get(coin)?, name, &water, at, &mut draw(140 + venue as u64, coin)))
            }
            Task::Pool => Some(told(at, Body::Pool { coverage: coverage(water.phase) })),
            Task::Sentiment => Some(told(at, Body::Sentiment { value: sentiment(water.phase) })),
            Task::Funding { coin } => {
                let sight = self.sight(coin, &water, at)?;
                let mantissa = (sight.funding() / 8.0 * 1e9).round() as i64;
                let rate = plimsoll_engine::live::feed::Stated { mantissa, exponent: -9 };
                Some(told(at, Body::Funding { instrument: sight.coin.perpetual.clone(), rate }))
            }
            Task::Clock => Some(told(at, Body::Clock)),
            Task::Trade => self.trade(at, &water, &mut draw(150, 0)),
            Task::Move => self.bring_or_take(at, &water, &mut draw(160, 0)),
            Task::Order { maker, bid } => self.order(maker, bid, at, &water),
        }
    }

    /// Somebody who once bought or sold something does a little more of it, or takes a little back.
    fn trade(&self, at: Timestamp, water: &Water, draw: &mut Draw) -> Option<Event> {
        let fill = draw.one_of(&self.people.fills)?;
        let person = self.crew.find(&fill.buyer).filter(|p| !self.is_maker(*p));
        let bought = person.is_some();
        let person = self.people.all.get(person.or_else(|| self.crew.find(&fill.seller))?)?;
        let more = water.phase == Phase::Calm && person.cushion > 0.6 && draw.chance(0.5);
        let coin = self.coins.iter().position(|coin| coin.asset == *fill.instrument.underlying())?;
        let sight = self.sight(coin, water, at)?;
        let part = if more { 0.05 } else { 0.12 };
        let lots = ((fill.lots as f64 * part).round() as i64).max(1);
        let buys = bought == more;
        let maker = if bought { fill.seller.clone() } else { fill.buyer.clone() };
        let edge = if fill.instrument.option().is_some() { 0.01 } else { sight.half_spread() };
        let side = if buys { 1.0 } else { -1.0 };
        let price = stated(sight.worth(&fill.instrument) * (1.0 + side * edge));
        let (buyer, seller) = if buys { (person.id.clone(), maker) } else { (maker, person.id.clone()) };
        Some(told(at, Body::Trade(Fill { buyer, seller, instrument: fill.instrument.clone(), lots, price })))
    }

    fn is_maker(&self, place: usize) -> bool {
        self.people.all.get(place).is_some_and(|person| person.trade == Trade::Maker)
    }

    /// Somebody brings a little money, or takes some of what they do not need.
    fn bring_or_take(&self, at: Timestamp, water: &Water, draw: &mut Draw) -> Option<Event> {
        let mut person = draw.one_of(&self.people.all)?;
        let mut tries = 0;
        while !person.is_loose() && tries < 50 {
            person = draw.one_of(&self.people.all)?;
            tries += 1;
        }
        let takes = water.phase == Phase::Calm && draw.chance(0.5);
        let account = person.id.clone();
        let asset = Asset::new(if person.stable { STABLE } else { DOLLAR }).ok()?;
        let nano = nano((0.002 * person.gross).max(1.0).round());
        Some(told(
            at,
            if takes {
                Body::Withdraw { account, asset, nano }
            } else {
                Body::Deposit { account, asset, nano }
            },
        ))
    }

    /// A maker's order in the perpetual, half a percent off the middle and farther where it is rough.
    fn order(&self, maker: usize, bid: bool, at: Timestamp, water: &Water) -> Option<Event> {
        let person = self.people.all.get(maker)?;
        let sight = self.sight(person.home, water, at)?;
        let side = if bid { 1.0 } else { -1.0 };
        let instrument = sight.coin.perpetual.clone();
        let limit = stated(sight.worth(&instrument) * (1.0 - side * 0.005 * water.swell));
        let size = lots(&instrument, QUOTED * water.depth / sight.price, &self.units).max(1);
        let (account, id) = (person.id.clone(), order_id(bid));
        Some(told(at, Body::Order { account, id, instrument, lots: if bid { size } else { -size }, limit }))
    }

    /// The next thing that somebody does about what the engine said.
    fn deed(&mut self, at: Timestamp, deed: &Deed) -> Option<Event> {
        let water = self.sea.at(at);
        match deed {
            Deed::Answer { person, nano } => {
                let person = self.people.all.get(*person)?;
                let asset = Asset::new(if person.stable { STABLE } else { DOLLAR }).ok()?;
                Some(told(at, Body::Deposit { account: person.id.clone(), asset, nano: *nano }))
            }
            Deed::Cancel { maker, bid } => {
                let account = self.people.all.get(*maker)?.id.clone();
                Some(told(at, Body::Cancel { account, id: order_id(*bid) }))
            }
            Deed::Slice { intent } => {
                let instrument = self.crew.next_of(*intent)?.instrument.clone();
                let coin = self.coins.iter().position(|coin| coin.asset == *instrument.underlying())?;
                let sight = Sight::new(self.coins.get(coin)?, coin, &water, at);
                let desk = Desk {
                    at,
                    index: sight.price,
                    depth: sight.coin.shape.depth * sight.depth,
                    half_spread: sight.half_spread(),
                    worth: sight.worth(&instrument),
                    delta: sight.delta(&instrument),
                };
                let makers = self.people.makers.get(coin)?;
                self.crew.slice(*intent, &desk, &self.units, |turn| {
                    let maker = makers.get(turn % makers.len().max(1))?;
                    Some(self.people.all.get(*maker)?.id.clone())
                })
            }
        }
    }
}

/// The number of a maker's order.
const fn order_id(bid: bool) -> u64 {
    if bid { 1 } else { 2 }
}

/// What the pool has over what it must cover.
const fn coverage(phase: Phase) -> f64 {
    match phase {
        Phase::Opening | Phase::Calm => COVERAGE,
        Phase::Storm => 1.32,
        Phase::Crash => 1.02,
        Phase::Recovery => 1.15,
    }
}

const fn sentiment(phase: Phase) -> f64 {
    match phase {
        Phase::Opening | Phase::Calm => 62.0,
        Phase::Storm => 41.0,
        Phase::Crash => 9.0,
        Phase::Recovery => 22.0,
    }
}

fn feed(sources: &[&str]) -> FeedParams {
    let each = sources.iter().map(|name| ((*name).to_owned(), SourceParams::default()));
    let sources: BTreeMap<String, SourceParams> = each.collect();
    let quorum = u32::try_from(sources.len() / 2 + 1).unwrap_or(1);
    FeedParams { sources, quorum, soft_stale_ms: 90_000, hard_stale_ms: 240_000, ..FeedParams::default() }
}

/// Mango's own terms of the stable price.
pub(super) fn stable_terms() -> StableTerms {
    StableTerms {
        delay_interval: 3_600,
        delay_growth_limit: Ppb(60_000_000).into(),
        stable_growth_limit: Ppb(300_000).into(),
        min_dt: 10,
        max_dt: 600,
    }
}

impl Producer for Harbour {
    fn due(&self) -> Option<Timestamp> {
        if let Some(event) = self.opening.front() {
            return Some(event.at);
        }
        let (task, deed) = (self.tasks.keys().next().map(|(at, _)| *at), self.crew.due());
        [task, deed].into_iter().flatten().min().filter(|at| *at <= self.spec.ends())
    }

    fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.opening.pop_front() {
            self.told = event.at;
            return Some(event);
        }
        loop {
            let at = self.due()?;
            self.told = at;
            // What the world does comes before what people do about it.
            let due = self.tasks.first_key_value().is_some_and(|((first, _), _)| *first == at);
            let event = if due {
                let (_, task) = self.tasks.pop_first()?;
                self.schedule(at.plus_seconds(self.pause(task)), task);
                self.crew.told(None);
                self.perform(task, at)
            } else {
                let deed = self.crew.pop()?;
                let event = self.deed(at, &deed);
                self.crew.told(event.is_some().then_some(deed));
                event
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn react(&mut self, effects: &[Effect], at: Timestamp) {
        if self.opening.is_empty() {
            self.crew.react(effects, at, &mut self.people);
        }
    }

    fn scene(&self) -> Scene {
        let (at, begun) = (self.told, self.opening.is_empty());
        let phase = if begun { self.sea.at(at).phase } else { Phase::Opening };
        let told = self.spec.start.seconds_until(at) / self.spec.length_seconds.max(1) as f64;
        Scene { at, phase, told: told.clamp(0.0, 1.0) }
    }
}
