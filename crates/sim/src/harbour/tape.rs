//! Recorded chains, told as events, with accounts that hold what was open.
//!
//! **The one idea:** nothing is made up but who holds what. Prices, smiles and marks are those of the chains, books are sampled from
//! their open interest as in [`crate::chain::Books`] and follow it from chain to chain; a maker is on the other side of all
//! of them. Trades are facts of the venue here: nobody asks whether a book may.

use super::Producer;
use super::crew::{Crew, Deed, Desk};
use super::opening::{BACKSTOP, backstop_loss, bring, brought, seen, stakes, told};
use super::people::{People, Person, Trade, nano, stated};
use super::spec::{HarbourError, Phase, Scene};
use super::stage::stable_terms;
use crate::chain::{Books, Held, Listing, Moment, Style};
use plimsoll_engine::ParamSet;
use plimsoll_engine::live::feed::{FeedParams, SourceParams};
use plimsoll_engine::live::ledger::Fill;
use plimsoll_engine::live::{Body, Effect, Engine, Event, LiquidationRules, MarketParams, Rules, State};
use plimsoll_policy::Policy;
use plimsoll_types::{
    AccountId, Asset, Instrument, PerpQuote, Settlement, Snapshot, Ticks, Timestamp, nearest_f64,
};
use std::collections::{BTreeMap, VecDeque};

/// Who states prices.
const SOURCE: &str = "recorded";
/// Between two clocks, seconds.
const CLOCK_SECONDS: i64 = 1_800;
/// Depth where a chain states none, quote units within 1 % of the middle.
const DEPTH: f64 = 5.0e6;
const HALF_SPREAD: f64 = 2e-4;
/// What options cost over their marks, a share of the premium.
const EDGE: f64 = 0.01;
/// A day's fall from which it is a crash, and a day's move from which it is a storm.
const FALL: f64 = 0.08;
const MOVE: f64 = 0.04;

/// What a replay is made from beside the chains.
#[derive(Clone, PartialEq, Debug)]
pub struct TapeSpec {
    /// Every draw follows from it.
    pub seed: u64,
    /// Accounts beside makers and the backstop: as many of every style in every underlying, so it may be a few less.
    pub accounts: usize,
}

impl Default for TapeSpec {
    /// A thousand accounts.
    fn default() -> Self {
        Self { seed: 1, accounts: 1_000 }
    }
}

/// What everybody in one underlying holds.
#[derive(Clone, Debug)]
struct Pit {
    asset: Asset,
    perpetual: Instrument,
    books: Books,
    /// By book, lots by instrument.
    held: Vec<BTreeMap<Instrument, i64>>,
    /// Place of its first account among people, after its maker.
    first: usize,
    listing: Listing,
}

/// Recorded chains and the accounts that their open interest is spread over.
#[derive(Clone, Debug)]
pub struct Tape {
    rules: Rules,
    chains: Vec<Snapshot>,
    /// The chain that is told next.
    next: usize,
    pits: Vec<Pit>,
    people: People,
    /// What is listed, and not settled.
    listed: BTreeMap<Instrument, Option<Timestamp>>,
    ready: VecDeque<Event>,
    before: Box<State>,
    book: VecDeque<Event>,
    crew: Crew,
    told: Timestamp,
    /// Index of the first underlying.
    past: Vec<(Timestamp, f64)>,
}

impl Tape {
    /// Rules for recorded chains: one source, ages that fit four chains a day, a backstop.
    ///
    /// # Errors
    /// [`HarbourError`] where there are no chains.
    pub fn rules(
        spec: &TapeSpec,
        chains: &[Snapshot],
        params: ParamSet,
        policy: Policy,
    ) -> Result<Rules, HarbourError> {
        let feed = FeedParams {
            sources: BTreeMap::from([(SOURCE.to_owned(), SourceParams::default())]),
            soft_stale_ms: 9 * 3_600_000,
            hard_stale_ms: 30 * 3_600_000,
            jump_max: 0.5,
            confirmations: 1,
            divergence_max: 0.5,
            pinned: 1_000,
            recover: 0,
            grace_seconds: 0,
            ..FeedParams::default()
        };
        let assets = chains.iter().flat_map(|chain| chain.underlyings.keys());
        let feeds: BTreeMap<Asset, FeedParams> = assets.map(|asset| (asset.clone(), feed.clone())).collect();
        if feeds.is_empty() {
            return Err(HarbourError::Tape { chains: chains.len() });
        }
        let market = MarketParams {
            soft_stale_ms: 9 * 3_600_000,
            hard_stale_ms: 30 * 3_600_000,
            vol_jump_max: 3.0,
            confirmations: 1,
            ..MarketParams::default()
        };
        let per_unit = params.units.ticks_per_unit as f64;
        let liquidation = LiquidationRules {
            backstop_seconds: CLOCK_SECONDS,
            backstop: Some(BACKSTOP.parse()?),
            backstop_loss_max: Ticks((backstop_loss(spec.accounts) * per_unit) as i128),
            ..LiquidationRules::default()
        };
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

    /// A replay. The engine it is told to must be `Engine::new(rules, tape.begins())`, or that of [`Tape::opened`].
    ///
    /// # Errors
    /// [`HarbourError::Tape`] with fewer than two chains that have options.
    pub fn new(spec: &TapeSpec, rules: &Rules, mut chains: Vec<Snapshot>) -> Result<Self, HarbourError> {
        chains.retain(|chain| chain.underlyings.values().any(|market| !market.options.is_empty()));
        chains.sort_by_key(|chain| chain.as_of);
        chains.dedup_by_key(|chain| chain.as_of);
        let few = HarbourError::Tape { chains: chains.len() };
        let [first, _, ..] = &chains[..] else { return Err(few) };
        let at = first.as_of;
        let moment = Moment::new(first, &rules.params);
        let mut past = VecDeque::new();
        for (asset, listing) in &moment.listings {
            past.extend(quoted(first, asset, listing)?);
        }
        let mut engine = Engine::new(rules.clone(), at)?;
        for event in &past {
            engine.step(event)?;
        }
        let ticks_per_unit = rules.params.units.ticks_per_unit as f64;
        let people = People { all: Vec::new(), makers: Vec::new(), fills: Vec::new(), ticks_per_unit };
        let mut tape = Self {
            rules: rules.clone(),
            next: 1,
            pits: Vec::new(),
            people,
            listed: BTreeMap::new(),
            ready: past,
            before: Box::new(engine.state().clone()),
            book: VecDeque::new(),
            crew: Crew::new(
                spec.seed,
                &People { all: vec![], makers: vec![], fills: vec![], ticks_per_unit },
            ),
            told: at,
            past: Vec::new(),
            chains,
        };
        tape.open(spec, moment, at)?;
        tape.crew = Crew::new(spec.seed, &tape.people);
        Ok(tape)
    }

    /// Everybody with what they hold of the first chain.
    fn open(&mut self, spec: &TapeSpec, moment: Moment, at: Timestamp) -> Result<(), HarbourError> {
        let count = moment.listings.len().max(1) * Style::ALL.len();
        let each = (spec.accounts / count).max(1);
        for (asset, listing) in moment.listings {
            self.pit(spec, each, asset, listing)?;
        }
        let (mut list, mut fills) = (VecDeque::new(), Vec::new());
        for place in 0..self.pits.len() {
            let (new, traded) = self.follow(place, at)?;
            list.extend(new);
            fills.extend(traded);
        }
        self.people.fills = fills;
        let assets: Vec<Asset> = self.pits.iter().map(|pit| pit.asset.clone()).collect();
        let nothing = vec![0.0; self.people.all.len()];
        let mut bare = list.clone();
        bring(&mut bare, at, (&self.people, &nothing), &assets)?;
        let stakes = stakes(&brought(&self.rules, &self.before, &bare)?, &self.people, 1.0);
        bring(&mut list, at, (&self.people, &stakes), &assets)?;
        list.push_back(told(at, Body::Clock));
        self.ready.extend(list.iter().cloned());
        self.book = list;
        Ok(())
    }

    /// The people of one underlying: a maker, and books of every style.
    fn pit(
        &mut self,
        spec: &TapeSpec,
        each: usize,
        asset: Asset,
        listing: Listing,
    ) -> Result<(), HarbourError> {
        let home = self.pits.len();
        let lower = asset.as_str().to_lowercase();
        let bare = |id: AccountId, trade, cushion, stake, least| Person {
            id,
            trade,
            home,
            cushion,
            stake,
            stable: false,
            coins: None,
            least,
            gross: 0.0,
            reserve: 0.0,
            answers: 0.5,
        };
        self.people.makers.push(vec![self.people.all.len()]);
        self.people.all.push(bare(format!("maker-{lower}").parse()?, Trade::Maker, 2.0, 0.5, 1.0e6));
        let first = self.people.all.len();
        for style in Style::ALL {
            for number in 1..=each {
                let id = format!("{lower}-{}-{number:04}", style.name().replace(' ', "-"));
                let mut draw = super::draw::Draw::of(spec.seed, &[83, self.people.all.len() as u64]);
                let cushion = 0.1 + draw.lognormal(0.4, 0.7).min(3.0);
                self.people.all.push(bare(id.parse()?, Trade::Strangle, cushion, 0.0, 100.0));
            }
        }
        let books = Books::new(&asset, each, spec.seed);
        let held = vec![BTreeMap::new(); each * Style::ALL.len()];
        let perpetual: Instrument = format!("{asset}-PERP").parse()?;
        self.pits.push(Pit { asset, perpetual, books, held, first, listing });
        Ok(())
    }

    /// Books go on to the listing of their pit: what has to be listed, and what is traded for it.
    fn follow(&mut self, place: usize, at: Timestamp) -> Result<(Vec<Event>, Vec<Fill>), HarbourError> {
        let (mut list, mut fills) = (Vec::new(), Vec::new());
        let Some(pit) = self.pits.get_mut(place) else { return Ok((list, fills)) };
        let maker = self.people.makers.get(place).and_then(|makers| makers.first()).copied().unwrap_or(0);
        let maker_id = self.people.all.get(maker).map(|person| person.id.clone());
        let held = pit.books.advance(&pit.listing, at, &self.rules.params.units);
        for (book, now) in held.iter().enumerate() {
            let wanted = pit.wanted(now);
            let Some((old, person)) = pit.held.get_mut(book).zip(self.people.all.get_mut(pit.first + book))
            else {
                continue;
            };
            if old.is_empty() && now.spot > 0 {
                let lot = nearest_f64(self.rules.params.units.lot_of(&pit.asset).base);
                person.coins = Some((place, nano(now.spot as f64 * lot)));
            }
            if person.gross == 0.0 {
                person.gross = now.gross;
                person.reserve = 0.1 * now.gross;
            }
            old.retain(|instrument, _| instrument.expiry().is_none_or(|expiry| expiry > at));
            let all: Vec<Instrument> = old.keys().chain(wanted.keys()).cloned().collect();
            for instrument in all {
                let of = |map: &BTreeMap<Instrument, i64>| map.get(&instrument).copied().unwrap_or(0);
                let change = of(&wanted) - of(old);
                let Some((price, maker_id)) = pit.listing.price(&instrument).zip(maker_id.clone()) else {
                    continue;
                };
                if change == 0 {
                    continue;
                }
                if !self.listed.contains_key(&instrument) {
                    self.listed.insert(instrument.clone(), instrument.expiry());
                    list.push(told(at, Body::List { instrument: instrument.clone() }));
                }
                old.insert(instrument.clone(), of(&wanted));
                let edge = if instrument.option().is_some() { EDGE } else { HALF_SPREAD };
                let price = stated(price * (1.0 + edge * f64::from(change.signum() as i32)));
                let who = person.id.clone();
                let (buyer, seller) = if change > 0 { (who, maker_id) } else { (maker_id, who) };
                fills.push(Fill { buyer, seller, instrument, lots: change.saturating_abs(), price });
            }
        }
        let gross: f64 = held.iter().map(|held| held.gross).sum();
        if let Some(person) = self.people.all.get_mut(maker) {
            person.gross = gross;
        }
        Ok((list, fills))
    }

    /// The instant an engine must begin at.
    pub fn begins(&self) -> Timestamp {
        self.chains.first().map(|chain| chain.as_of).unwrap_or_default()
    }

    /// The instant of the last event.
    pub fn ends(&self) -> Timestamp {
        self.chains.last().map(|chain| chain.as_of).unwrap_or_default()
    }

    /// An engine that has been told the first chain and the books, at once: as [`super::Harbour::opened`].
    ///
    /// # Errors
    /// [`HarbourError`] where the engine cannot run by the rules.
    pub fn opened(&mut self) -> Result<Engine, HarbourError> {
        let engine = brought(&self.rules, &self.before, &self.book)?;
        self.ready.clear();
        Ok(engine)
    }

    /// What is between two chains, or the next chain: whatever comes first.
    fn prepare(&mut self) -> Option<()> {
        let until = self.chains.get(self.next)?.as_of;
        let clock = self.told.plus_seconds(CLOCK_SECONDS);
        let expiry = self.listed.values().filter_map(|expiry| *expiry).min();
        let settled = expiry.filter(|expiry| *expiry <= until && *expiry <= clock);
        if let Some(expiry) = settled {
            let due = self.listed.iter().filter(|(_, of)| **of == Some(expiry));
            let due: Vec<Instrument> = due.map(|(instrument, _)| instrument.clone()).collect();
            self.listed.retain(|_, of| *of != Some(expiry));
            let at = if expiry > self.told { expiry } else { self.told };
            self.ready.extend(due.into_iter().map(|instrument| told(at, Body::Settle { instrument })));
        } else if clock < until {
            self.ready.push_back(told(clock, Body::Clock));
        } else {
            self.chain(until);
            self.next += 1;
        }
        Some(())
    }

    /// The next chain: prices, smiles, a look of the policy, and what books trade.
    fn chain(&mut self, at: Timestamp) {
        let Some(chain) = self.chains.get(self.next) else { return };
        let mut moment = Moment::new(chain, &self.rules.params);
        for pit in &mut self.pits {
            let Some(listing) = moment.listings.remove(&pit.asset) else { continue };
            // Names of a chain that was read are names.
            self.ready.extend(quoted(chain, &pit.asset, &listing).into_iter().flatten());
            pit.listing = listing;
        }
        self.ready.push_back(told(at, Body::Clock));
        self.past.extend(self.pits.first().map(|pit| (at, pit.listing.index)));
        for place in 0..self.pits.len() {
            let Ok((list, fills)) = self.follow(place, at) else { continue };
            self.ready.extend(list);
            self.ready.extend(fills.into_iter().map(|fill| told(at, Body::Filled(fill))));
        }
    }

    fn deed(&mut self, at: Timestamp, deed: &Deed) -> Option<Event> {
        match deed {
            Deed::Answer { person, nano } => {
                let account = self.people.all.get(*person)?.id.clone();
                let asset = self.rules.params.units.currency.clone();
                Some(told(at, Body::Deposit { account, asset, nano: *nano }))
            }
            Deed::Slice { intent } => {
                let instrument = self.crew.next_of(*intent)?.instrument.clone();
                let home = self.pits.iter().position(|pit| pit.asset == *instrument.underlying())?;
                let desk = self.pits.get(home)?.listing.desk(&instrument, at)?;
                let maker = *self.people.makers.get(home)?.first()?;
                let maker = self.people.all.get(maker)?.id.clone();
                self.crew.slice(*intent, &desk, &self.rules.params.units, |_| Some(maker.clone()))
            }
            // Makers have no orders here.
            Deed::Cancel { .. } => None,
        }
    }
}

impl Pit {
    /// What a book holds, by instrument.
    fn wanted(&self, held: &Held) -> BTreeMap<Instrument, i64> {
        let quote =
            |place: &u32| self.listing.quotes.get(*place as usize).map(|quote| quote.instrument.clone());
        let options = held.options.iter().filter_map(|(place, lots)| Some((quote(place)?, *lots)));
        let perpetual = (held.perpetual != 0).then(|| (self.perpetual.clone(), held.perpetual));
        options.chain(perpetual).collect()
    }
}

impl Listing {
    /// As the venue quotes it: coin for inverse options, quote units otherwise.
    fn price(&self, instrument: &Instrument) -> Option<f64> {
        if instrument.option().is_none() {
            return Some(self.index);
        }
        let coin = instrument.settlement() == Settlement::Inverse;
        Some(self.mark(instrument)? / if coin { self.index } else { 1.0 })
    }

    fn desk(&self, instrument: &Instrument, at: Timestamp) -> Option<Desk> {
        let option = instrument.option().is_some();
        let delta = self.find(instrument).and_then(|place| self.quotes.get(place)).map(|quote| quote.delta);
        Some(Desk {
            at,
            index: self.index,
            depth: self.depth.unwrap_or(DEPTH),
            half_spread: HALF_SPREAD,
            worth: if option { self.mark(instrument)? } else { self.index },
            delta: if option { delta.unwrap_or(0.5) } else { 1.0 },
        })
    }
}

/// A chain of one underlying as events: its index, and its quotes with a linear perpetual at the index.
fn quoted(chain: &Snapshot, asset: &Asset, listing: &Listing) -> Result<Vec<Event>, HarbourError> {
    let at = chain.as_of;
    let Some(market) = chain.underlyings.get(asset) else { return Ok(Vec::new()) };
    let instrument: Instrument = format!("{asset}-PERP").parse()?;
    let perpetual = PerpQuote {
        instrument,
        mark: Some(listing.index),
        bid: None,
        ask: None,
        funding_8h: None,
        open_interest: None,
        time: at,
    };
    let quotes = Box::new(plimsoll_types::UnderlyingMarket { perpetuals: vec![perpetual], ..market.clone() });
    let price = seen(asset, SOURCE, (listing.index, 1e-4), at);
    Ok(vec![price, told(at, Body::Chain { underlying: asset.clone(), time: at, quotes })])
}

impl Producer for Tape {
    fn due(&self) -> Option<Timestamp> {
        let chain = self.chains.get(self.next).map(|chain| chain.as_of);
        let clock = self.told.plus_seconds(CLOCK_SECONDS);
        let next = chain.map(|chain| if clock < chain { clock } else { chain });
        let ready = self.ready.front().map(|event| event.at).or(next)?;
        Some(self.crew.due().filter(|at| *at < ready).unwrap_or(ready))
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            if self.ready.is_empty() {
                self.prepare()?;
            }
            let front = self.ready.front()?.at;
            let event = match self.crew.due().filter(|at| *at < front) {
                Some(at) => {
                    let deed = self.crew.pop()?;
                    let event = self.deed(at, &deed);
                    self.crew.told(event.is_some().then_some(deed));
                    event
                }
                None => {
                    self.crew.told(None);
                    self.ready.pop_front()
                }
            };
            if let Some(event) = event {
                self.told = if event.at > self.told { event.at } else { self.told };
                return Some(event);
            }
        }
    }

    fn react(&mut self, effects: &[Effect], at: Timestamp) {
        self.crew.react(effects, at, &mut self.people);
    }

    /// The phase is read off the index of the first underlying: how far it moved within a day.
    fn scene(&self) -> Scene {
        let (first, last) = (self.begins(), self.ends());
        let share = first.seconds_until(self.told) / first.seconds_until(last).max(1.0);
        let day = self.told.plus_seconds(-86_400);
        let now = self.past.last().map_or(1.0, |(_, price)| *price);
        let before = self.past.iter().find(|(at, _)| *at >= day).map_or(now, |(_, price)| *price);
        let phase = match now / before - 1.0 {
            _ if self.next < 2 => Phase::Opening,
            x if x < -FALL => Phase::Crash,
            x if x > FALL => Phase::Recovery,
            x if x.abs() > MOVE => Phase::Storm,
            _ => Phase::Calm,
        };
        Scene { at: self.told, phase, told: share.clamp(0.0, 1.0) }
    }
}
