//! What is told before the story begins: days of the past, what is listed, who there is and what they hold.
//!
//! **The one idea:** the past and the book are told as events like everything else. What is put down is found beforehand on an
//! engine of the same rules that has seen the same past and holds the same book: everybody wants a cushion of their own
//! over what those rules ask.

use super::coin::{Coin, DAY, DOLLAR, SHAPES, STABLE, VENUES};
use super::draw::Draw;
use super::people::{Census, People, Person, nano, stated};
use super::quotes::Sight;
use super::sea::{Sea, Water};
use super::spec::{HarbourError, Spec};
use plimsoll_engine::live::feed::Observation;
use plimsoll_engine::live::ledger::LedgerError;
use plimsoll_engine::live::{Body, Effect, Engine, Event, Rules, State};
use plimsoll_policy::Quoted;
use plimsoll_types::{AccountId, Asset, NANO, Rounding, Ticks, Timestamp, mul_div};
use std::collections::VecDeque;

/// Who takes over what nobody takes.
pub(super) const BACKSTOP: &str = "backstop";
/// What the backstop, its limit of loss and the insurance fund have for every account there is, USD.
const BACKSTOP_EACH: f64 = 6_000.0;
const BACKSTOP_LOSS_EACH: f64 = 150.0;
const INSURANCE_EACH: f64 = 100.0;
/// Prices are told for so long before the book, every so often: the feeds are to have their grace behind them. Seconds.
const WARMING: i64 = 300;
const WARMING_STEP: i64 = 15;
/// Half of the confidence interval of sources in calm, a share: beneath the floor of the feeds, which counts then.
const CONFIDENCE: f64 = 3e-4;
/// What the pool usually has over what it must cover.
pub(super) const COVERAGE: f64 = 1.45;
/// How often a source is off what it watches, and by how much: most of the time the sources of a feed agree.
const SCATTERED: f64 = 0.1;
const SCATTER: f64 = 1e-4;

/// The most that the backstop may lose in all, USD.
pub(super) fn backstop_loss(accounts: usize) -> f64 {
    BACKSTOP_LOSS_EACH * accounts as f64
}

/// What there is to tell.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// Days before.
    pub(super) past: VecDeque<Event>,
    /// What is listed, who there is and what they hold.
    pub(super) book: VecDeque<Event>,
    /// What an engine remembers after the first and before the second.
    pub(super) before: Box<State>,
    pub(super) people: People,
}

/// What is told, before anybody is there.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) spec: &'a Spec,
    pub(super) coins: &'a [Coin],
    pub(super) sea: &'a Sea,
}

impl World<'_> {
    /// Everything that is told before the story.
    pub(super) fn opening(&self, rules: &Rules) -> Result<Opening, HarbourError> {
        let mut events = VecDeque::new();
        self.past(&mut events)?;
        self.warming(&mut events)?;
        let mut engine = Engine::new(rules.clone(), self.spec.begins())?;
        for event in &events {
            engine.step(event)?;
        }
        let before = Box::new(engine.state().clone());
        let at = self.spec.start.plus_seconds(-10);
        let listed = self.coins.iter().flat_map(Coin::instruments);
        let mut book: VecDeque<Event> =
            listed.map(|instrument| told(at, Body::List { instrument })).collect();
        let water = self.sea.at(self.spec.start);
        let sights = self.coins.iter().enumerate();
        let sights = sights.map(|(i, coin)| Sight::new(coin, i, &water, self.spec.start)).collect();
        let people =
            Census { seed: self.spec.seed, units: &rules.params.units, sights }.people(self.spec.accounts)?;
        let assets: Vec<Asset> = self.coins.iter().map(|coin| coin.asset.clone()).collect();
        let nothing = vec![0.0; people.all.len()];
        let mut bare = book.clone();
        bring(&mut bare, at, (&people, &nothing), &assets)?;
        let stakes = stakes(&brought(rules, &before, &bare)?, &people, water.stable);
        bring(&mut book, at, (&people, &stakes), &assets)?;
        book.push_back(told(at, Body::Clock));
        Ok(Opening { past: events, book, before, people })
    }

    /// Days of the past: prices, surfaces, depth.
    fn past(&self, events: &mut VecDeque<Event>) -> Result<(), HarbourError> {
        let today = self.spec.start.seconds().div_euclid(DAY);
        let days = self.sea.past();
        let first = today - i64::try_from(days.len()).unwrap_or(0);
        for (water, day) in days.iter().zip(first + 1..) {
            // A little after midnight: the close of the day before. The last is told when today begins.
            let at = Timestamp::from_seconds(day * DAY + 30);
            if at >= self.spec.start.plus_seconds(-WARMING) {
                break;
            }
            self.prices(events, water, at)?;
            for (i, shape) in SHAPES.iter().enumerate() {
                let price = water.prices.get(i).copied().unwrap_or(shape.price);
                let coin = Coin::past(*shape, price, at)?;
                let mut draw = Draw::of(self.spec.seed, &[31, day.unsigned_abs(), i as u64]);
                events.push_back(chain(&Sight::new(&coin, i, water, at), &mut draw));
            }
            let mut draw = Draw::of(self.spec.seed, &[37, day.unsigned_abs()]);
            for coin in self.coins {
                events.extend(VENUES.iter().map(|venue| depth(coin, venue, water, at, &mut draw)));
            }
            events.push_back(told(at, Body::Pool { coverage: COVERAGE }));
            events.push_back(told(at, Body::Clock));
        }
        Ok(())
    }

    /// Every source of every feed, once.
    fn prices(&self, events: &mut VecDeque<Event>, water: &Water, at: Timestamp) -> Result<(), HarbourError> {
        for (i, coin) in self.coins.iter().enumerate() {
            for source in coin.shape.sources {
                let price = water.prices.get(i).copied().unwrap_or(coin.shape.price);
                let purpose = [41, i as u64, at.seconds().unsigned_abs()];
                events.push_back(price_event(
                    &coin.asset,
                    source,
                    price,
                    at,
                    &mut Draw::of(self.spec.seed, &purpose),
                ));
            }
        }
        let stable = Asset::new(STABLE)?;
        events.extend(stable_sources().iter().map(|source| stable_event(&stable, source, water.stable, at)));
        Ok(())
    }

    /// Fresh prices and the first chains of what is listed.
    fn warming(&self, events: &mut VecDeque<Event>) -> Result<(), HarbourError> {
        let water = self.sea.at(self.spec.start);
        let mut before = WARMING;
        while before > 0 {
            let at = self.spec.start.plus_seconds(-before);
            self.prices(events, &water, at)?;
            before -= WARMING_STEP;
        }
        let at = self.spec.start.plus_seconds(-WARMING_STEP);
        // What the pool holds is old news by now, and who does not know charges the most.
        events.push_back(told(at, Body::Pool { coverage: COVERAGE }));
        for (i, coin) in self.coins.iter().enumerate() {
            let mut draw = Draw::of(self.spec.seed, &[43, i as u64]);
            events.push_back(chain(&Sight::new(coin, i, &water, at), &mut draw));
        }
        Ok(())
    }
}

/// The coins that somebody puts down; underlyings in the order of their places.
fn coins_of<'a>(person: &Person, assets: &'a [Asset]) -> Option<(&'a Asset, i128)> {
    let (home, nano) = person.coins.filter(|(_, nano)| *nano > 0)?;
    Some((assets.get(home)?, nano))
}

/// Everybody with what they put down, and then the book.
pub(super) fn bring(
    events: &mut VecDeque<Event>,
    at: Timestamp,
    (people, wanted): (&People, &[f64]),
    assets: &[Asset],
) -> Result<(), HarbourError> {
    let (dollar, stable) = (Asset::new(DOLLAR)?, Asset::new(STABLE)?);
    let backstop: AccountId = BACKSTOP.parse()?;
    let crowd = people.all.len() as f64;
    events.push_back(told(at, Body::Insure { nano: nano(INSURANCE_EACH * crowd) }));
    events.push_back(told(at, Body::Open { account: backstop.clone() }));
    let amount = nano(BACKSTOP_EACH * crowd);
    events.push_back(told(at, Body::Deposit { account: backstop, asset: dollar.clone(), nano: amount }));
    for (person, wanted) in people.all.iter().zip(wanted) {
        let account = person.id.clone();
        events.push_back(told(at, Body::Open { account: account.clone() }));
        if let Some((asset, nano)) = coins_of(person, assets) {
            let (account, asset) = (account.clone(), asset.clone());
            events.push_back(told(at, Body::Deposit { account, asset, nano }));
        }
        let asset = if person.stable { stable.clone() } else { dollar.clone() };
        if *wanted > 0.0 {
            events.push_back(told(at, Body::Deposit { account, asset, nano: nano(*wanted) }));
        }
    }
    events.extend(people.fills.iter().map(|fill| told(at, Body::Filled(fill.clone()))));
    Ok(())
}

/// An engine that has taken in a book at once: what it remembers is as if the events had been told it one by one, but hardly any
/// account was looked at in between. The last instrument is told as it is, so that everything is valued as of then.
pub(super) fn brought(rules: &Rules, before: &State, book: &VecDeque<Event>) -> Result<Engine, HarbourError> {
    let mut state = before.clone();
    let per_unit = rules.params.units.ticks_per_unit;
    let last = book.iter().rev().find_map(|event| match &event.body {
        Body::List { instrument } => Some(instrument),
        _ => None,
    });
    let mut rest = Vec::new();
    for event in book {
        let ledger = &mut state.ledger;
        let failed = |e: LedgerError| HarbourError::Book { reason: e.to_string() };
        match &event.body {
            Body::List { instrument } if Some(instrument) != last => {
                ledger.list(instrument).map(drop).map_err(failed)?;
            }
            Body::Open { account } => ledger.open(account).map(drop).map_err(failed)?,
            Body::Deposit { account, asset, nano } => {
                let number = ledger.find(account).map_err(failed)?;
                ledger.deposit(number, asset, *nano).map_err(failed)?;
            }
            Body::Filled(fill) if Some(&fill.instrument) != last => {
                ledger.fill(fill).map(drop).map_err(failed)?
            }
            Body::Insure { nano } => {
                let ticks = mul_div(*nano, i128::from(per_unit), i128::from(NANO), Rounding::Down);
                state.insurance = Ticks(state.insurance.0 + ticks.unwrap_or(0));
            }
            _ => {
                rest.push(event);
                continue;
            }
        }
        (state.now, state.sequence) = (event.at, state.sequence + 1);
    }
    let mut engine = Engine::resume(rules.clone(), state)?;
    for event in rest {
        engine.step(event)?;
    }
    Ok(engine)
}

/// What everybody puts down in dollars, given an engine on which they hold what they hold and have put down coins only, and the
/// price of the stable coin.
pub(super) fn stakes(engine: &Engine, people: &People, stable: f64) -> Vec<f64> {
    let per_unit = people.ticks_per_unit;
    let stake = |person: &Person| {
        let number = engine.state().ledger.find(&person.id).ok();
        let totals = number.and_then(|n| engine.valued().totals(n)).and_then(Result::ok);
        let (im, equity) =
            totals.map_or((person.gross * per_unit, 0.0), |t| (t.im.0 as f64, t.equity.0 as f64));
        let (by_margin, by_size) = ((1.0 + person.cushion) * im / per_unit, person.stake * person.gross);
        let wanted = if by_margin > by_size { by_margin } else { by_size } - equity / per_unit;
        let par = if person.stable { 1.006 * stable } else { 1.0 };
        (wanted * par).max(person.least).ceil()
    };
    people.all.iter().map(stake).collect()
}

/// An event that nobody numbers.
pub(super) fn told(at: Timestamp, body: Body) -> Event {
    Event { at, key: None, body }
}

/// What a source says of a price: the price, and now and then a little off it.
pub(super) fn price_event(asset: &Asset, source: &str, price: f64, at: Timestamp, draw: &mut Draw) -> Event {
    let off = if draw.chance(SCATTERED) { 1.0 + SCATTER * draw.normal() } else { 1.0 };
    seen(asset, source, (price * off, CONFIDENCE), at)
}

/// What a source says of the stable coin: all say the same to a hundredth of a cent.
pub(super) fn stable_event(asset: &Asset, source: &str, price: f64, at: Timestamp) -> Event {
    seen(asset, source, (price, CONFIDENCE), at)
}

/// What a source says of a price, and half of its confidence interval as a share.
pub(super) fn seen(asset: &Asset, source: &str, (price, confidence): (f64, f64), at: Timestamp) -> Event {
    let seen = Observation {
        sequence: at.seconds().unsigned_abs(),
        time: at,
        price: stated(price),
        confidence: Some(stated(price * confidence)),
        valid_until: None,
    };
    told(at, Body::Price { asset: asset.clone(), source: source.to_owned(), seen })
}

/// Who states the price of the stable coin.
pub(super) fn stable_sources() -> &'static [&'static str] {
    SHAPES.last().map_or(&[], |shape| shape.sources)
}

/// A chain, as an event.
pub(super) fn chain(sight: &Sight<'_>, draw: &mut Draw) -> Event {
    let quotes = Box::new(sight.chain(draw));
    told(sight.at, Body::Chain { underlying: sight.coin.asset.clone(), time: sight.at, quotes })
}

/// What a venue quotes.
pub(super) fn depth(coin: &Coin, venue: &str, water: &Water, at: Timestamp, draw: &mut Draw) -> Event {
    let depth = coin.shape.depth * water.depth * draw.between(0.85, 1.15);
    let spread = 2e-4 / water.depth.max(0.02) * draw.between(0.9, 1.1);
    let quoted = Quoted { depth, spread };
    told(at, Body::Depth { underlying: coin.asset.clone(), venue: venue.to_owned(), quoted })
}

/// Whether an event was refused, and why.
pub(super) fn refusal(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Rejected(reject) => Some(reject.code.as_str()),
        _ => None,
    })
}
