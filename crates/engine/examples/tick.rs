//! How long the live engine takes for a price of one of 16 underlyings: `cargo run --release -p plimsoll-engine --example
//! tick -- [accounts] [ticks]`. Prints medians and 99th percentiles.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch that prints what it reads")]

use plimsoll_engine::ParamSet;
use plimsoll_engine::live::feed::{FeedParams, Observation, SourceParams, Stated};
use plimsoll_engine::live::{Body, Effect, Engine, Event, LiquidationRules, MarketParams, Rules, State};
use plimsoll_policy::Policy;
use plimsoll_quant::sobol::Rng64;
use plimsoll_quant::special::exp;
use plimsoll_types::{
    AccountId, Asset, ExternalSlice, Forward, ForwardSource, Instrument, NANO, PerpQuote, Timestamp,
    UnderlyingMarket,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

const COINS: [(&str, i64); 16] = [
    ("BTC", 100_000),
    ("ETH", 4_000),
    ("SOL", 200),
    ("XRP", 100),
    ("DOGE", 120),
    ("ADA", 140),
    ("AVAX", 160),
    ("LINK", 180),
    ("DOT", 220),
    ("LTC", 240),
    ("BCH", 500),
    ("UNI", 260),
    ("ATOM", 280),
    ("NEAR", 300),
    ("APT", 320),
    ("ARB", 340),
];
const EXPIRIES: [(i64, &str); 5] =
    [(8, "13FEB26"), (22, "27FEB26"), (50, "27MAR26"), (85, "1MAY26"), (162, "17JUL26")];

type Done<T> = Result<T, Box<dyn Error>>;

struct World {
    engine: Engine,
    now: Timestamp,
    prices: Vec<f64>,
    sequence: u64,
}

fn stated(price: f64) -> Stated {
    Stated { mantissa: (price * 1e4).round() as i64, exponent: -4 }
}

fn rules() -> Done<Rules> {
    let sources = BTreeMap::from([("a".to_owned(), SourceParams::default())]);
    let feed = FeedParams { quorum: 1, sources, recover: 1, grace_seconds: 0, ..FeedParams::default() };
    let feeds = COINS.map(|(name, _)| name).into_iter().chain(["USDC"]);
    Ok(Rules {
        params: ParamSet::preset("plimsoll")?,
        policy: Policy::shipped("static")?,
        series: BTreeMap::new(),
        feeds: feeds.map(|name| Ok((Asset::new(name)?, feed.clone()))).collect::<Done<_>>()?,
        market: MarketParams::default(),
        liquidation: LiquidationRules::default(),
        stable: toml::from_str(
            "delay_interval = 3600\ndelay_growth_limit = 0.06\nstable_growth_limit = 0.0003\nmin_dt = 10\nmax_dt = 600",
        )?,
    })
}

/// Four thousand options and sixteen perpetuals.
fn listing() -> Done<Vec<Instrument>> {
    let mut all = Vec::new();
    for (name, price) in COINS {
        all.push(format!("{name}_USDC-PERPETUAL").parse()?);
        for (_, expiry) in EXPIRIES {
            for step in -12..=12 {
                let strike = price + price * step / 50;
                for kind in ["C", "P"] {
                    all.push(format!("{name}_USDC-{expiry}-{strike}-{kind}").parse()?);
                }
            }
        }
    }
    Ok(all)
}

fn chain(name: &str, price: f64, now: Timestamp) -> Done<UnderlyingMarket> {
    let mark: PerpQuote = PerpQuote {
        instrument: format!("{name}_USDC-PERPETUAL").parse()?,
        mark: Some(price),
        bid: None,
        ask: None,
        funding_8h: Some(0.0001),
        open_interest: None,
        time: now,
    };
    let mut market = UnderlyingMarket { perpetuals: vec![mark], ..UnderlyingMarket::default() };
    for (_, code) in EXPIRIES {
        let option: Instrument = format!("{name}_USDC-{code}-1-C").parse()?;
        let expiry = option.expiry().ok_or("an expiry")?;
        let tau = now.years_until(expiry);
        let (forward, variance) = (price * exp(0.03 * tau), 0.36 * tau);
        market.forwards.push(Forward { expiry, price: forward, source: ForwardSource::Venue, time: now });
        market.external.push(ExternalSlice {
            expiry,
            forward,
            tau,
            a: 0.6 * variance,
            b: 0.4 * variance,
            rho: -0.2,
            m: 0.0,
            sigma: 1.0,
            blend: 1.0,
            source: "made up".to_owned(),
            time: now,
        });
    }
    Ok(market)
}

/// Positions as in docs/performance.md: most accounts hold few, the largest thousands; twelve in the mean.
fn holdings(rng: &mut Rng64, instruments: usize) -> Vec<(u32, i64)> {
    let heavy = |u: f64, scale: f64, most: f64| (scale * (1.0 / u.max(1e-12).sqrt() - 1.0)).min(most);
    let count = 1 + heavy(rng.uniform(), 11.5, 3_999.0) as usize;
    let mut held = BTreeMap::new();
    while held.len() < count {
        let at = (rng.uniform() * instruments as f64) as usize % instruments;
        let size = 1 + heavy(rng.uniform(), 10.0, 99_999.0) as i64;
        held.insert(at as u32, if rng.uniform() < 0.5 { size } else { -size });
    }
    held.into_iter().collect()
}

fn fill(state: &mut State, marks: &[i64], accounts: usize) -> Done<usize> {
    let (usd, btc, eth) = (Asset::new("USD")?, Asset::new("BTC")?, Asset::new("ETH")?);
    let (mut rng, mut positions) = (Rng64::new(4), 0);
    for i in 0..accounts {
        let id: AccountId = format!("account-{i:07}").parse()?;
        let number = state.ledger.open(&id)?;
        let mut gross = 0_i128;
        for (instrument, lots) in holdings(&mut rng, marks.len()) {
            let cost = i128::from(lots) * i128::from(marks[instrument as usize]);
            state.ledger.add(number, instrument, lots, cost)?;
            gross += i128::from(lots.unsigned_abs()) * 20_000_000;
            positions += 1;
        }
        let nano = gross * i128::from(NANO) / 1_000_000 * (4 + i128::from(i % 5 != 0) * 40) / 4;
        state.ledger.deposit(number, &usd, nano)?;
        if i % 10 < 3 {
            state.ledger.deposit(number, if i % 2 == 0 { &btc } else { &eth }, i128::from(NANO))?;
        }
    }
    Ok(positions)
}

impl World {
    fn new(accounts: usize) -> Done<Self> {
        let now: Timestamp = "2026-02-05T08:00:00Z".parse()?;
        let prices = COINS.iter().map(|(_, price)| *price as f64).collect();
        let mut world = Self { engine: Engine::new(rules()?, now)?, now, prices, sequence: 0 };
        world.step("USDC", 1.0)?;
        for (name, price) in COINS {
            world.step(name, price as f64)?;
            let quotes = Box::new(chain(name, price as f64, now)?);
            let body = Body::Chain { underlying: Asset::new(name)?, time: now, quotes };
            world.tell(body)?;
        }
        let mut state = world.engine.state().clone();
        for instrument in listing()? {
            state.ledger.list(&instrument)?;
        }
        let engine = Engine::resume(rules()?, state.clone())?;
        let count = state.ledger.instruments().len() as u32;
        let marks: Option<Vec<i64>> = (0..count).map(|number| engine.valued().mark_of(number)).collect();
        let positions = fill(&mut state, &marks.ok_or("every instrument has a mark")?, accounts)?;
        let start = Instant::now();
        world.engine = Engine::resume(rules()?, state)?;
        println!("{accounts} accounts, {positions} positions, {count} instruments");
        println!("everything anew: {:.1} ms", millis(start));
        world.step("SOL", 200.0)?;
        Ok(world)
    }

    fn tell(&mut self, body: Body) -> Done<Vec<Effect>> {
        let effects = self.engine.step(&Event { at: self.now, key: None, body })?;
        let refused = effects.iter().find(|effect| matches!(effect, Effect::Rejected(_)));
        refused.map_or(Ok(()), |refused| Err(format!("{refused:?}")))?;
        Ok(effects)
    }

    fn step(&mut self, name: &str, price: f64) -> Done<Vec<Effect>> {
        self.sequence += 1;
        self.now = Timestamp::from_nanos(self.now.nanos() + 50_000_000);
        let confidence = Some(Stated { mantissa: (price * 3.0).round() as i64, exponent: -4 });
        let (sequence, time, price) = (self.sequence, self.now, stated(price));
        let seen = Observation { sequence, time, price, confidence, valid_until: None };
        self.tell(Body::Price { asset: Asset::new(name)?, source: "a".to_owned(), seen })
    }
}

fn millis(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn print(what: &str, unit: &str, times: &mut [f64]) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let (least, median, most) = (times[0], at(0.5), at(0.99));
    println!("{what}: median {median:.3} {unit}, 99th percentile {most:.3} {unit}, least {least:.3} {unit}");
}

/// Prices of one underlying after the other, as they come through the door.
fn ticks(world: &mut World, rng: &mut Rng64, count: usize) -> Done<()> {
    let (mut times, mut touched, mut standings, mut intents) = (Vec::new(), Vec::new(), 0, 0);
    for i in 0..count {
        let at = i % COINS.len();
        if at == 0 {
            world.step("USDC", 1.0)?;
        }
        let step = 1.0 + (rng.uniform() - 0.5) * 2e-3;
        world.prices[at] *= step;
        let price = world.prices[at];
        let start = Instant::now();
        let effects = world.step(COINS[at].0, price)?;
        times.push(millis(start));
        for effect in &effects {
            match effect {
                Effect::Margins { accounts, .. } => touched.push(*accounts as f64),
                Effect::Standing { .. } => standings += 1,
                Effect::Liquidate { .. } => intents += 1,
                _ => {}
            }
        }
    }
    print("step, a price of one of 16 underlyings", "ms", &mut times);
    print("accounts touched", "", &mut touched);
    println!("changes of standing {standings}, liquidations given {intents}");
    Ok(())
}

/// Trades that are asked about and not done.
fn checks(world: &World, rng: &mut Rng64, count: usize) -> Done<()> {
    let listed = world.engine.state().ledger.instruments();
    let (mut times, mut allowed) = (Vec::new(), 0);
    let accounts = world.engine.state().ledger.accounts();
    for _ in 0..count {
        let account = &accounts[(rng.uniform() * accounts.len() as f64) as usize];
        let instrument = &listed[(rng.uniform() * listed.len() as f64) as usize].instrument;
        let trade = [(instrument.clone(), (rng.uniform() * 41.0) as i64 - 20)];
        let start = Instant::now();
        let check = world.engine.check(&account.id, &trade);
        times.push(millis(start) * 1e3);
        allowed += usize::from(check.is_ok_and(|check| check.allowed));
    }
    print("check, before one trade", "us", &mut times);
    println!("{allowed} of {count} allowed");
    Ok(())
}

fn main() -> Done<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let accounts = arguments.next().transpose()?.unwrap_or(100_000);
    let count = arguments.next().transpose()?.unwrap_or(160);
    let mut world = World::new(accounts)?;
    let mut rng = Rng64::new(7);
    ticks(&mut world, &mut rng, count)?;
    checks(&world, &mut rng, 1_000)?;
    let mut times = Vec::new();
    for _ in 0..100 {
        world.now = Timestamp::from_nanos(world.now.nanos() + 1_000_000);
        let start = Instant::now();
        world.tell(Body::Pool { coverage: 1.0 })?;
        times.push(millis(start) * 1e3);
    }
    print("step, nothing touched", "us", &mut times);
    println!("state after: {}", world.engine.state().hash()?);
    Ok(())
}
