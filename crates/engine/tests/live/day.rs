//! A day on which everything happens: put away at every fiftieth event and taken up again, it ends in the same state.

use crate::world::{CALL, PERP, World, account, asset, code, instrument, rules, stated};
use plimsoll_engine::live::feed::Quarantine;
use plimsoll_engine::live::{Body, Effect, Engine, Event, Key, LiquidationRules, VERSION, restore, save};
use plimsoll_policy::{Knob, Policy, Quoted, Scheduled, Scope, Vote};
use plimsoll_quant::sobol::Rng64;
use plimsoll_types::{NANO, Ppb, Ticks};
use std::collections::BTreeSet;

const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
const LISTED: [&str; 4] = [PERP, "BTC_USDC-PERPETUAL", CALL, "SOL_USDC-PERPETUAL"];
/// Every kind of event there is.
const KINDS: [&str; 27] = [
    "announced",
    "cancel",
    "cancel_vote",
    "chain",
    "clock",
    "deposit",
    "depth",
    "filled",
    "funding",
    "heartbeat",
    "insure",
    "liquidated",
    "list",
    "open",
    "open_interest",
    "order",
    "own_market",
    "pardon",
    "pool",
    "price",
    "sentiment",
    "settle",
    "trade",
    "transfer",
    "uptime",
    "vote",
    "withdraw",
];

struct Day {
    world: World,
    rng: Rng64,
    prices: [(&'static str, f64); 4],
    events: Vec<Event>,
    effects: Vec<Vec<Effect>>,
    accepted: BTreeSet<String>,
}

fn kind(body: &Body) -> String {
    match serde_json::to_value(body).unwrap() {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut rules = rules(&["a", "b", "c"]);
        rules.policy = Policy::shipped("plimsoll").unwrap();
        for feed in rules.feeds.values_mut() {
            feed.sources.get_mut("c").unwrap().heartbeat_ms = Some(120_000);
        }
        rules.liquidation = LiquidationRules {
            backstop_seconds: 120,
            backstop: Some(account("frank")),
            backstop_loss_max: Ticks(50_000_000_000),
            ..LiquidationRules::default()
        };
        let mut world = World::with(rules);
        for (name, dollars) in NAMES.into_iter().zip([20_000, 50_000, 100_000, 5_000, 300_000, 800_000]) {
            world.open(name, dollars);
        }
        let prices = [("BTC", 96_400.0), ("ETH", 3_310.0), ("SOL", 142.5), ("USDC", 1.0)];
        let (events, effects, accepted) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { world, rng: Rng64::new(seed), prices, events, effects, accepted }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n
    }

    /// Lets an event happen, and notes what followed.
    fn tell(&mut self, body: Body) -> String {
        let number = self.events.len() as u64;
        let key = Some(Key { source: format!("client {}", number % 3), number });
        let event = Event { at: self.world.now, key, body };
        let effects = self.world.engine.step(&event).unwrap();
        let code = code(&effects);
        if code.is_empty() {
            self.accepted.insert(kind(&event.body));
        }
        self.events.push(event);
        self.effects.push(effects);
        code
    }

    fn price(&mut self) -> Body {
        let jump = self.below(60) == 0;
        let step = if jump { 0.85 } else { 1.0 + (self.below(2_001) as f64 - 1_000.0) * 2e-6 };
        let at = self.below(4) as usize;
        let (of, price) = &mut self.prices[at];
        *price *= if *of == "USDC" { 1.0 } else { step };
        let (of, price) = (*of, *price);
        let source = ["a", "b", "c"][self.below(3) as usize];
        let wrong = self.below(100) == 0;
        self.world.seen(of, source, if wrong { price * 1_000.0 } else { price })
    }

    fn random(&mut self, n: u64) -> Body {
        let (a, b) = (NAMES[self.below(6) as usize], NAMES[self.below(6) as usize]);
        let name = LISTED[self.below(4) as usize];
        let lots = i64::try_from(1 + self.below(1_500)).unwrap();
        let nano = i128::from(1 + self.below(20_000)) * i128::from(NANO);
        let (usd, eth) = (asset("USD"), asset("ETH"));
        let now = self.world.now;
        match n % 24 {
            0 => Body::Deposit { account: account(a), asset: usd, nano },
            1 => Body::Withdraw { account: account(a), asset: usd, nano },
            2 => Body::Transfer { from: account(a), to: account(b), asset: usd, nano },
            3 | 4 => Body::Filled(World::fill(a, b, name, lots, self.near(name))),
            5 | 6 => Body::Trade(World::fill(a, b, name, lots, self.near(name))),
            7 => Body::Funding { instrument: instrument(PERP), rate: stated(0.0001) },
            8 => Body::OwnMarket { asset: eth, middle: Some(stated(self.prices[1].1)) },
            9 => Body::Heartbeat { asset: eth, source: "c".into(), time: now },
            10 => {
                let factor = 0.9 + self.below(20) as f64 * 0.01;
                self.world.requote("SOL", |at| (at > now).then_some(factor))
            }
            11 => {
                let quoted = Quoted { depth: 1e5 + lots as f64, spread: 0.001 };
                Body::Depth { underlying: eth, venue: "v".into(), quoted }
            }
            12 => Body::OpenInterest {
                underlying: eth,
                open_interest: 1e6 * lots as f64,
                daily_volume: Some(1e9),
                concentration: Some(0.3),
            },
            13 => Body::Pool { coverage: 0.5 + lots as f64 * 1e-3 },
            14 => Body::Sentiment { value: lots as f64 % 100.0 },
            15 => Body::Insure { nano },
            16 => {
                let limit = stated(self.near(name));
                Body::Order {
                    account: account(a),
                    id: n % 7,
                    instrument: instrument(name),
                    lots: lots / 10,
                    limit,
                }
            }
            17 => self.cancel().unwrap_or(Body::Clock),
            18 => self.liquidated().unwrap_or(Body::Clock),
            _ => Body::Clock,
        }
    }

    fn near(&self, name: &str) -> f64 {
        match name {
            CALL => 3.0,
            PERP => self.prices[1].1,
            "BTC_USDC-PERPETUAL" => self.prices[0].1,
            _ => self.prices[2].1,
        }
    }

    /// The first order there is.
    fn cancel(&self) -> Option<Body> {
        let mut accounts = self.world.engine.state().ledger.accounts().iter();
        let of = accounts.find(|account| !account.orders.is_empty())?;
        Some(Body::Cancel { account: of.id.clone(), id: of.orders[0].id })
    }

    /// A part of the first liquidation under way, at its mark.
    fn liquidated(&self) -> Option<Body> {
        let (intent, of) = self.world.engine.state().intents.iter().next()?;
        let step = of.plan.steps.iter().find(|step| step.lots != 0)?;
        let price = stated(self.near(&step.instrument.to_string()));
        let instrument = step.instrument.clone();
        Some(Body::Liquidated { intent: *intent, taker: account("erin"), instrument, lots: step.lots, price })
    }

    /// What happens once.
    fn rare(&mut self, n: usize) {
        let (eth, now) = (asset("ETH"), self.world.now);
        let vote = |id: &str| Scheduled {
            id: id.into(),
            key: plimsoll_policy::Key { knob: Knob::MmScale, scope: Scope::default() },
            value: Ppb(NANO * 9 / 10),
            proposed: now,
            effective: now.plus_seconds(172_800),
            expires: None,
            vote: Vote { reference: "r".into(), yes: 3, no: 0 },
        };
        match n {
            100 => drop(self.tell(Body::Open { account: account("grace") })),
            150 => drop(self.tell(Body::Vote(Box::new(vote("kept"))))),
            160 => drop(self.tell(Body::Vote(Box::new(vote("taken back"))))),
            170 => drop(self.tell(Body::CancelVote { id: "taken back".into() })),
            200 => drop(self.tell(Body::List { instrument: instrument("SOL_USDC-23JAN26-140-C") })),
            210 => drop(self.tell(Body::Announced {
                instruments: vec![instrument("SOL_USDC-23JAN26-140-C"), instrument("SOL_USDC-23JAN26-150-C")],
            })),
            250 => drop(self.tell(Body::Uptime { down: true })),
            260 => drop(self.tell(Body::Uptime { down: false })),
            300 => {
                let first = self.world.seen("ETH", "a", 3_000.0);
                let second = self.world.seen("ETH", "a", 3_001.0);
                self.tell(first);
                self.tell(second);
                let quarantined = self.world.engine.state().feeds[&eth].quarantined().next();
                assert_eq!(quarantined, Some(("a", Quarantine::Equivocation)));
            }
            310 => drop(self.tell(Body::Pardon { asset: eth, source: "a".into() })),
            550 => {
                // A night: the options expire.
                for _ in 0..60 {
                    self.world.wait(1_320_000);
                    for (name, price) in self.prices {
                        for source in ["a", "b"] {
                            let body = self.world.seen(name, source, price);
                            self.tell(body);
                        }
                    }
                    self.tell(Body::Clock);
                }
            }
            600 => assert_eq!(self.tell(Body::Settle { instrument: instrument(CALL) }), ""),
            _ => {}
        }
    }

    fn live(mut self, count: usize) -> Self {
        for n in 0..count {
            let wait = 200 + self.below(2_500);
            self.world.wait(i64::try_from(wait).unwrap());
            let body = if self.below(2) == 0 {
                self.price()
            } else {
                let which = self.below(1 << 20);
                self.random(which)
            };
            self.tell(body);
            if let Some(body) = self.liquidated().filter(|_| n % 5 == 0) {
                self.tell(body);
            }
            self.rare(n);
        }
        self
    }
}

#[test]
fn a_day_of_every_kind_of_event_ends_the_same_from_every_fiftieth_event_on() {
    let day = Day::new(3);
    let begun = day.world.engine.clone();
    let day = day.live(620);
    let missing: Vec<&str> = KINDS.into_iter().filter(|kind| !day.accepted.contains(*kind)).collect();
    assert!(missing.is_empty() && day.accepted.len() == KINDS.len(), "never accepted: {missing:?}");
    let last = day.world.engine.state().hash().unwrap();
    let told: BTreeSet<String> = (day.effects.iter().flatten())
        .map(|effect| serde_json::to_value(effect).unwrap()["effect"].as_str().unwrap().to_owned())
        .collect();
    for effect in ["liquidate", "withdrawn", "parameters", "settled", "validity", "issues", "standing"] {
        assert!(told.contains(effect), "no {effect} in {told:?}");
    }
    let rules = begun.rules().clone();
    let mut full = begun.clone();
    for (n, (event, effects)) in day.events.iter().zip(&day.effects).enumerate() {
        if n % 50 == 0 {
            let state = restore(VERSION, &save(full.state()).unwrap()).unwrap();
            assert_eq!(state.hash().unwrap(), full.state().hash().unwrap());
            let mut tail = Engine::resume(rules.clone(), state).unwrap();
            for (event, effects) in day.events.iter().zip(&day.effects).skip(n) {
                assert_eq!(tail.step(event).unwrap(), *effects, "taken up at {n}: {event:?}");
            }
            assert_eq!(tail.state().hash().unwrap(), last, "taken up at {n}");
        }
        assert_eq!(full.step(event).unwrap(), *effects, "event {n}");
    }
    assert_eq!(full.state().hash().unwrap(), last);
}
