//! The loop that a margin closes: a tightening liquidates, liquidations move the price, the move is read as volatility, and
//! volatility tightens. docs/policy.md derives the bound; here our own policy runs in the loop, below it and far beyond it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, at, btc, plimsoll};
use plimsoll_policy::{
    Bar, Cause, Implied, Key, Knob, Policy, Quoted, Scope, State, TargetSpec, UnderlyingSignals, step,
};
use plimsoll_quant::special::{exp, ln};

const CALM: f64 = 0.01;
const STORM: f64 = 0.025;
/// Daily moves of implied volatility, calm and stormy.
const VOL_CALM: f64 = 0.02;
const VOL_STORM: f64 = 0.05;
/// From this day on signals come every hour, with order books among them; before, once a day.
const HOURLY: i64 = 300;
const BEGINS: usize = 400;
const ENDS: usize = 430;
const LAST: i64 = 700;

fn key(knob: Knob) -> Key {
    Key { knob, scope: Scope::of("BTC") }
}

/// Decay of the fast mean per day.
const DECAY: f64 = 0.9;

/// What share of existing margin hangs on the volatility scan.
const VOL_SHARE: f64 = 0.3;

/// The gains of the three loops in calm, by what liquidations move: the price, implied volatility, and depth.
#[derive(Clone, Copy, Debug)]
struct Gains {
    price: f64,
    vol: f64,
    depth: f64,
}

impl Gains {
    fn price(price: f64) -> Self {
        Self { price, vol: 0.0, depth: 0.0 }
    }

    fn sum(self) -> f64 {
        self.price + self.vol + self.depth
    }

    /// What a rise of one in the logarithm of maintenance moves of each. A fast mean: gain = elasticity x (1 - decay) x moved / size, times
    /// the share of margin. Depth: gain = most elasticity of the adjuster x logarithm of depth taken.
    fn moved(self, policy: &Policy) -> (f64, f64, f64) {
        let file = policy.file();
        let elasticity = |knob| {
            let found = file.parameters.iter().find(|p| p.knob == knob).unwrap();
            let TargetSpec::Quantile(of) = &found.target else { panic!("{:?}", found.target) };
            of.elasticity() * (1.0 - DECAY)
        };
        let slope = file.adjusters.as_ref().unwrap().by[&Cause::Liquidity].slope;
        let of_depth = slope.full * (slope.most - 1.0) / ((slope.full - slope.start) * slope.most);
        let price = self.price * CALM / elasticity(Knob::PriceScanDown);
        let vol = self.vol * VOL_CALM / (elasticity(Knob::VolScanUp) * VOL_SHARE);
        (price, vol, self.depth / of_depth)
    }
}

/// What binds existing positions on every day: what is charged for the price, and for volatility as far as that counts.
fn binding(state: &State, now: i64) -> f64 {
    let of = |knob| ln(state.board().get(&key(knob)).unwrap().maintenance(at(now)).to_f64());
    exp(of(Knob::PriceScanDown) + VOL_SHARE * of(Knob::VolScanUp))
}

/// The market of BTC, and what liquidations have made of it.
struct Market {
    close: f64,
    atm: f64,
    depth: f64,
}

impl Market {
    /// A day's moves, whichever way they go, are larger by what a rise of margin has liquidated; depth is taken for a day.
    fn day(&mut self, day: i64, stormy: bool, (price, vol, depth): (f64, f64, f64)) {
        let size = if stormy { STORM } else { CALM } + price;
        let vol = if stormy { VOL_STORM } else { VOL_CALM } + vol;
        let by = |size: f64| if day % 2 == 0 { 1.0 + size } else { 1.0 / (1.0 + size) };
        self.close *= by(size);
        self.atm *= by(vol);
        self.depth = 1e7 * exp(-depth);
    }

    fn signals(&self, books: bool) -> UnderlyingSignals {
        let quoted = Quoted { depth: self.depth, spread: 1e-4 };
        let venues = ["binance", "coinbase", "okx", "bybit", "kraken"].map(|name| (name.to_owned(), quoted));
        UnderlyingSignals {
            bar: Some(Bar::at(self.close)),
            implied: Some(Implied { atm: self.atm, risk_reversal: 0.0, butterfly: 0.0, slope: 0.0 }),
            venues: if books { venues.into() } else { [].into() },
            ..UnderlyingSignals::default()
        }
    }
}

/// What binds existing positions on every day, in the loop.
fn in_the_loop(gains: Gains) -> Vec<f64> {
    // The level of volatility goes up and down here by construction, and `vol_spike` would follow it.
    let mut file = plimsoll().file().clone();
    file.adjusters.as_mut().unwrap().by.get_mut(&Cause::VolSpike).unwrap().on = false;
    let policy = Policy::new(file).unwrap();
    let moved = gains.moved(&policy);
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut market = Market { close: 100.0, atm: 0.6, depth: 1e7 };
    let (mut before, mut rise) = (0.0, 0.0);
    let mut path = Vec::new();
    for day in 0..LAST {
        let stormy = (BEGINS..ENDS).contains(&path.len());
        market.day(day, stormy, (moved.0 * rise, moved.1 * rise, moved.2 * rise));
        let hours = if day < HOURLY { 1 } else { 24 };
        for hour in 0..hours {
            let signals = market.signals(day >= HOURLY);
            step(&policy, &mut state, &btc(DAY * day + 3_600 * hour, signals)).unwrap();
        }
        let binding = binding(&state, DAY * day + 3_600 * (hours - 1));
        rise = if before > 0.0 && binding > before { ln(binding / before) } else { 0.0 };
        before = binding;
        path.push(binding);
    }
    path
}

fn turns(path: &[f64]) -> usize {
    let moves: Vec<f64> = path.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0.0).collect();
    moves.windows(2).filter(|pair| pair[0] * pair[1] < 0.0).count()
}

/// All that a path rises, in logarithms.
fn risen(path: &[f64]) -> f64 {
    path.windows(2).map(|pair| ln(pair[1] / pair[0]).max(0.0)).sum()
}

#[test]
fn below_the_bound_a_storm_is_one_rise_and_one_fall() {
    let alone = in_the_loop(Gains::price(0.0));
    let storm = risen(&alone[BEGINS..]);
    assert!(storm > 0.2, "{storm}");
    let all = [
        Gains::price(0.1),
        Gains::price(0.6),
        Gains::price(0.9),
        Gains { price: 0.3, vol: 0.2, depth: 0.3 },
        Gains { price: 0.0, vol: 0.0, depth: 0.9 },
    ];
    for gains in all {
        let path = in_the_loop(gains);
        assert!(turns(&path[BEGINS..]) <= 1, "{gains:?}: {} turns", turns(&path[BEGINS..]));
        let bound = storm / (1.0 - gains.sum());
        assert!(risen(&path[BEGINS..]) <= bound * 1.01, "{gains:?}: {} of {bound}", risen(&path[BEGINS..]));
    }
}

#[test]
fn beyond_the_bound_the_cap_holds_and_it_ends() {
    let alone = in_the_loop(Gains::price(0.0));
    let calm = alone[BEGINS - 1];
    // The loop is real: what is beneath the bound is no accident.
    assert!(risen(&in_the_loop(Gains::price(3.0))[BEGINS..]) > 1.3 * risen(&alone[BEGINS..]));
    let emptied = Gains { price: 1.5, vol: 0.0, depth: 30.0 };
    let with_depth = risen(&in_the_loop(emptied)[BEGINS..]);
    let without = risen(&in_the_loop(Gains::price(1.5))[BEGINS..]);
    assert!(with_depth > without + 0.1, "depth that liquidations take counts: {with_depth} {without}");
    for gains in [Gains::price(3.0), Gains::price(10.0), emptied, Gains { price: 3.0, vol: 3.0, depth: 30.0 }]
    {
        let path = in_the_loop(gains);
        let peak = path[BEGINS..].iter().copied().fold(0.0, f64::max);
        // Floor to cap and the tracker's range of the price scan, the most of the liquidity adjuster, floor to cap of the
        // volatility scan and the most of its own as far as they count, and what the storm adds to the long runs.
        let vol = exp(VOL_SHARE * ln(1.5 / 0.85 * 1.5));
        let most = 1.35 / 0.85 * exp(0.35) * 1.3 * vol * 1.5;
        assert!(peak / calm <= most, "{gains:?}: {} of {most}", peak / calm);
        assert!(turns(&path[BEGINS..]) <= 5, "{gains:?}: {} turns", turns(&path[BEGINS..]));
        assert_eq!(risen(&path[ENDS + 100..]), 0.0, "{gains:?}");
    }
}
