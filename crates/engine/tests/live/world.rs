//! An engine on the bundled market, and short ways to tell it things.

use plimsoll_engine::ParamSet;
use plimsoll_engine::live::feed::{FeedParams, Observation, SourceParams, Stated, Validity};
use plimsoll_engine::live::ledger::Fill;
use plimsoll_engine::live::{Body, Effect, Engine, Event, LiquidationRules, MarketParams, Rules, Standing};
use plimsoll_policy::Policy;
use plimsoll_types::{AccountId, Asset, Instrument, NANO, PerpQuote, Snapshot, Timestamp};
use std::collections::BTreeMap;

pub(crate) const MARKET: &str = include_str!("../../../../examples/bundled/market.json");
pub(crate) const PERP: &str = "ETH_USDC-PERPETUAL";
pub(crate) const CALL: &str = "SOL_USDC-16JAN26-142-C";

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
    sequence: u64,
}

pub(crate) fn asset(name: &str) -> Asset {
    Asset::new(name).unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

pub(crate) fn instrument(name: &str) -> Instrument {
    name.parse().unwrap()
}

/// A price to four decimals.
pub(crate) fn stated(price: f64) -> Stated {
    Stated { mantissa: (price * 1e4).round() as i64, exponent: -4 }
}

pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot: Snapshot = serde_json::from_str(MARKET).unwrap();
    let time = snapshot.as_of;
    for (name, price) in [("ETH", 3310.0), ("BTC", 96_400.0)] {
        let market = snapshot.underlyings.get_mut(&asset(name)).unwrap();
        let quote: PerpQuote = serde_json::from_value(serde_json::json!({
            "instrument": format!("{name}_USDC-PERPETUAL"), "mark": price, "time": time.to_string(),
        }))
        .unwrap();
        market.perpetuals.push(quote);
    }
    snapshot
}

pub(crate) fn rules(sources: &[&str]) -> Rules {
    let sources: BTreeMap<String, SourceParams> =
        sources.iter().map(|name| ((*name).to_owned(), SourceParams::default())).collect();
    let feed = FeedParams {
        quorum: if sources.len() > 1 { 2 } else { 1 },
        sources,
        recover: 1,
        grace_seconds: 0,
        ..FeedParams::default()
    };
    let feeds = ["BTC", "ETH", "SOL", "USDC"].map(|name| (asset(name), feed.clone()));
    Rules {
        params: ParamSet::preset("plimsoll").unwrap(),
        policy: Policy::shipped("static").unwrap(),
        series: BTreeMap::new(),
        feeds: feeds.into(),
        market: MarketParams::default(),
        liquidation: LiquidationRules::default(),
        stable: toml::from_str(
            "delay_interval = 3600\ndelay_growth_limit = 0.06\nstable_growth_limit = 0.0003\nmin_dt = 10\nmax_dt = 600",
        )
        .unwrap(),
    }
}

impl World {
    /// Prices and chains are known, a few instruments are listed, everything is normal.
    pub(crate) fn calm() -> Self {
        Self::with(rules(&["a", "b", "c"]))
    }

    pub(crate) fn with(rules: Rules) -> Self {
        let sources: Vec<String> = rules.feeds[&asset("ETH")].sources.keys().cloned().collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        Self::only(rules, &sources)
    }

    /// As [`World::with`], where only some of the sources have spoken.
    pub(crate) fn only(rules: Rules, sources: &[&str]) -> Self {
        let snapshot = snapshot();
        let now = snapshot.as_of;
        let engine = Engine::new(rules, now).unwrap();
        let mut world = Self { engine, snapshot, now, sequence: 0 };
        for (name, price) in [("BTC", 96_400.0), ("ETH", 3_310.0), ("SOL", 142.5), ("USDC", 1.0)] {
            for source in sources {
                let body = world.seen(name, source, price);
                world.ok(body);
            }
        }
        for name in ["BTC", "ETH", "SOL"] {
            world.ok(world.chain(name));
        }
        for name in [PERP, "BTC_USDC-PERPETUAL", CALL, "SOL_USDC-PERPETUAL", "SOL_USDC-16JAN26-128-P"] {
            world.ok(Body::List { instrument: instrument(name) });
        }
        world
    }

    pub(crate) fn wait(&mut self, millis: i64) {
        self.now = Timestamp::from_nanos(self.now.nanos() + millis * 1_000_000);
    }

    /// Tells the engine something; what follows.
    pub(crate) fn tell(&mut self, body: Body) -> Vec<Effect> {
        self.engine.step(&Event { at: self.now, key: None, body }).unwrap()
    }

    /// Tells it something that must not be refused.
    pub(crate) fn ok(&mut self, body: Body) -> Vec<Effect> {
        let effects = self.tell(body.clone());
        assert_eq!(code(&effects), "", "{body:?}");
        effects
    }

    /// Tells it something that must be refused; the code.
    pub(crate) fn refused(&mut self, body: Body) -> String {
        let before = self.engine.state().clone();
        let effects = self.tell(body);
        let after = self.engine.state();
        assert_eq!(before.ledger, after.ledger, "a refused event moves nothing");
        code(&effects)
    }

    pub(crate) fn seen(&mut self, name: &str, source: &str, price: f64) -> Body {
        self.sequence += 1;
        let confidence = Some(Stated { mantissa: (price * 3.0).round() as i64, exponent: -4 });
        let seen = Observation {
            sequence: self.sequence,
            time: self.now,
            price: stated(price),
            confidence,
            valid_until: None,
        };
        Body::Price { asset: asset(name), source: source.to_owned(), seen }
    }

    /// All three sources say so.
    pub(crate) fn price(&mut self, name: &str, price: f64) -> Vec<Effect> {
        let mut all = Vec::new();
        for source in ["a", "b", "c"] {
            let body = self.seen(name, source, price);
            all.extend(self.ok(body));
        }
        all
    }

    /// As [`World::price`], until it is believed: a jump is confirmed by three observations.
    pub(crate) fn jump(&mut self, name: &str, price: f64) -> Vec<Effect> {
        let mut all = self.price(name, price);
        self.wait(1_000);
        all.extend(self.price(name, price));
        all
    }

    pub(crate) fn chain(&self, name: &str) -> Body {
        let quotes = Box::new(self.snapshot.underlyings[&asset(name)].clone());
        Body::Chain { underlying: asset(name), time: self.snapshot.as_of, quotes }
    }

    /// A chain of now by mark volatilities alone: of each expiry the bundled ones times a factor, or nothing.
    pub(crate) fn requote(&self, name: &str, factor: impl Fn(Timestamp) -> Option<f64>) -> Body {
        let mut quotes = self.snapshot.underlyings[&asset(name)].clone();
        quotes.options.retain(|option| factor(option.instrument.expiry().unwrap()).is_some());
        for option in &mut quotes.options {
            let times = factor(option.instrument.expiry().unwrap()).unwrap();
            option.mark_vol = option.mark_vol.map(|vol| vol * times);
            (option.bid, option.ask, option.mark) = (None, None, None);
            option.time = self.now;
        }
        quotes.perpetuals.iter_mut().for_each(|quote| quote.time = self.now);
        quotes.forwards.iter_mut().for_each(|quote| quote.time = self.now);
        Body::Chain { underlying: asset(name), time: self.now, quotes: Box::new(quotes) }
    }

    pub(crate) fn validity(&self, name: &str) -> Validity {
        self.engine.state().feeds[&asset(name)].validity()
    }

    pub(crate) fn number(&self, name: &str) -> u32 {
        self.engine.state().ledger.find(&account(name)).unwrap()
    }

    /// Opens an account with some dollars.
    pub(crate) fn open(&mut self, name: &str, dollars: i64) {
        self.ok(Body::Open { account: account(name) });
        self.ok(Body::Deposit {
            account: account(name),
            asset: asset("USD"),
            nano: i128::from(dollars) * i128::from(NANO),
        });
    }

    pub(crate) fn fill(buyer: &str, seller: &str, name: &str, lots: i64, price: f64) -> Fill {
        Fill {
            buyer: account(buyer),
            seller: account(seller),
            instrument: instrument(name),
            lots,
            price: stated(price),
        }
    }

    pub(crate) fn trade(
        &mut self,
        buyer: &str,
        seller: &str,
        name: &str,
        lots: i64,
        price: f64,
    ) -> Vec<Effect> {
        self.ok(Body::Trade(Self::fill(buyer, seller, name, lots, price)))
    }

    pub(crate) fn standing(&self, name: &str) -> Standing {
        self.engine.state().standing(self.engine.state().ledger.find(&account(name)).unwrap())
    }

    pub(crate) fn totals(&self, name: &str) -> plimsoll_margin::Totals {
        let number = self.engine.state().ledger.find(&account(name)).unwrap();
        self.engine.valued().totals(number).unwrap().unwrap()
    }
}

/// The code of a refusal among effects, or nothing.
pub(crate) fn code(effects: &[Effect]) -> String {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Rejected(reject) => Some(reject.code.clone()),
        _ => None,
    });
    found.unwrap_or_default()
}

pub(crate) fn intents(effects: &[Effect]) -> Vec<(u64, String)> {
    let intent = |effect: &Effect| match effect {
        Effect::Liquidate { intent, account, .. } => Some((*intent, account.to_string())),
        _ => None,
    };
    effects.iter().filter_map(intent).collect()
}
