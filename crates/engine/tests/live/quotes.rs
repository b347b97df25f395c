//! Faults of surfaces, depth and coins, by number.

use crate::world::{CALL, World, account, asset, instrument, rules, stated};
use plimsoll_engine::live::feed::{Cause, Validity};
use plimsoll_engine::live::{Body, Effect, State};
use plimsoll_margin::AddonKind;
use plimsoll_policy::Quoted;
use plimsoll_quant::black::{OptionKind, price};
use plimsoll_quant::sobol::Rng64;
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::{NANO, Timestamp};

fn expiry(name: &str) -> Timestamp {
    instrument(name).expiry().unwrap()
}

/// How far the smile of an expiry may be relied on, and why not more.
fn smile(world: &World, name: &str) -> (Validity, Option<Cause>) {
    let market = &world.engine.state().markets[instrument(name).underlying()];
    market.validity(&world.engine.rules().market, expiry(name), world.now)
}

const WEEK: &str = "SOL_USDC-23JAN26-140-C";

#[test]
fn f21_a_coin_beneath_par_counts_at_its_price_and_is_charged_and_one_above_counts_at_par() {
    let mut world = World::calm();
    world.ok(Body::Open { account: account("alice") });
    world.ok(Body::Deposit {
        account: account("alice"),
        asset: asset("USDC"),
        nano: 10_000 * i128::from(NANO),
    });
    let par = world.totals("alice");
    assert_eq!((par.equity.0, par.im.0), (9_950_000_000, 0), "a haircut of half a percent");
    world.wait(1_000);
    world.price("USDC", 1.02);
    assert_eq!(world.totals("alice").equity.0, par.equity.0);
    world.wait(1_000);
    world.price("USDC", 0.93);
    assert_eq!(world.totals("alice").equity.0, 9_253_500_000);
    // Twice the six cents that are missing to 0.99, of what the coins are worth, once there is a risk that they cover.
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", "ETH_USDC-PERPETUAL", 1_000, 3_310.0);
    let held = world.engine.state().ledger.account(world.number("alice")).unwrap();
    let (report, _) = world.engine.valued().report(held).unwrap().unwrap();
    let charge = report.addons.iter().find(|addon| addon.kind == AddonKind::Depeg).unwrap();
    assert_eq!(charge.im.0, 2 * 6 * 9_300_000_000 / 100);
    assert!(world.totals("alice").im.0 > charge.im.0);
}

#[test]
fn f29_a_surface_with_arbitrage_is_refused_the_one_before_stays_and_is_degraded() {
    let mut world = World::calm();
    let before = world.engine.valued().surface.underlyings[&asset("SOL")].slices.clone();
    world.wait(1_000);
    // A week dearer than a month: its total variance is above that of every later expiry.
    let week = expiry(WEEK);
    let chain = world.requote("SOL", |at| Some(if at <= week { 1.45 } else { 0.7 }));
    let effects = world.tell(chain);
    let after = world.engine.valued().surface.underlyings[&asset("SOL")].slices.clone();
    let kept = |at: Timestamp| {
        let svi = |slices: &[plimsoll_market::Slice]| slices.iter().find(|s| s.expiry == at).map(|s| s.svi);
        svi(&before) == svi(&after)
    };
    let doubted = before.iter().filter(|slice| {
        let market = &world.engine.state().markets[&asset("SOL")];
        let found = market.validity(&world.engine.rules().market, slice.expiry, world.now);
        found == (Validity::Degraded, Some(Cause::Arbitrage))
    });
    let doubted: Vec<Timestamp> = doubted.map(|slice| slice.expiry).collect();
    assert!(!doubted.is_empty() && doubted.iter().all(|at| kept(*at)), "{doubted:?} {effects:?}");
    // New risk on it is refused, and a sound chain ends it.
    world.open("alice", 1_000_000);
    world.open("bob", 1_000_000);
    world.wait(1_000);
    let sound = world.requote("SOL", |_| Some(1.0));
    world.ok(sound);
    assert!(doubted.iter().all(|at| {
        let market = &world.engine.state().markets[&asset("SOL")];
        market.validity(&world.engine.rules().market, *at, world.now).0 == Validity::Normal
    }));
    assert!(matches!(
        effects.last(),
        Some(Effect::Rejected(_) | Effect::Issues { .. } | Effect::Margins { .. })
    ));
}

#[test]
fn f30_chains_beyond_the_band_confirm_each_other_only_where_they_say_the_same() {
    let mut world = World::calm();
    let mut chain = |factor: f64| {
        world.wait(1_000);
        let body = world.requote("SOL", |_| Some(factor));
        let effects = world.tell(body);
        let code = crate::world::code(&effects);
        (code, smile(&world, WEEK))
    };
    for factor in [4.0, 0.2, 4.0, 0.2, 4.0, 0.2] {
        let (code, found) = chain(factor);
        assert_eq!((code.as_str(), found), ("vol_jump", (Validity::Degraded, Some(Cause::Jump))), "{factor}");
    }
    assert_eq!(chain(2.0).0, "vol_jump");
    assert_eq!(chain(2.1).0, "vol_jump");
    assert_eq!(chain(2.05), (String::new(), (Validity::Normal, None)), "three that agree");
}

#[test]
fn f31_one_expiry_that_is_old_degrades_who_holds_it_and_nobody_else() {
    let mut world = World::calm();
    world.ok(Body::List { instrument: instrument(WEEK) });
    for name in ["alice", "bob", "carol", "dave"] {
        world.open(name, 1_000_000);
    }
    world.trade("alice", "bob", CALL, 100, 5.0);
    world.trade("carol", "dave", WEEK, 100, 8.0);
    let day = expiry(CALL);
    for _ in 0..25 {
        world.wait(60_000);
        for (name, price) in [("SOL", 142.5), ("USDC", 1.0)] {
            world.price(name, price);
        }
        let body = world.requote("SOL", |at| (at != day).then_some(1.0));
        world.ok(body);
    }
    assert_eq!(smile(&world, CALL), (Validity::Degraded, Some(Cause::SoftStale)));
    assert_eq!(smile(&world, WEEK), (Validity::Normal, None));
    let validity = |name: &str| world.engine.validity(world.number(name));
    assert_eq!(["alice", "bob", "carol", "dave"].map(validity), {
        use Validity::{Degraded, Normal};
        [Degraded, Degraded, Normal, Normal]
    });
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", CALL, 1, 5.0))), "degraded");
    world.trade("carol", "dave", WEEK, 1, 8.0);
    world.trade("bob", "alice", CALL, 1, 5.0);
}

#[test]
fn f33_deep_tails_are_finite_within_their_bounds_and_in_parity() {
    let mut rng = Rng64::new(33);
    let mut between = |low: f64, high: f64| exp(ln(low) + rng.uniform() * (ln(high) - ln(low)));
    let year = 365.0 * 86_400.0;
    for n in 0..100_000 {
        let edge = |i: u32, ends: (f64, f64), inside: f64| match (n >> i) % 8 {
            0 => ends.0,
            1 => ends.1,
            _ => inside,
        };
        let moneyness = edge(0, (1e-6, 1e6), between(1e-6, 1e6));
        let (vol, tau) = (
            edge(3, (1e-6, 60.0), between(1e-6, 60.0)),
            edge(6, (1.0 / year, 10.0), between(1.0 / year, 10.0)),
        );
        let strike = 3_000.0;
        let forward = moneyness * strike;
        let (call, put) = (
            price(OptionKind::Call, forward, strike, vol, tau),
            price(OptionKind::Put, forward, strike, vol, tau),
        );
        assert!(
            (0.0..=forward).contains(&call) && (0.0..=strike).contains(&put),
            "{forward} {vol} {tau}: {call} {put}"
        );
        let larger = if forward > strike { forward } else { strike };
        let off = ((call - put) - (forward - strike)).abs();
        assert!(off <= 4.0 * f64::EPSILON * larger, "{forward} {vol} {tau}: {off}");
    }
}

#[test]
fn what_a_venue_announces_is_listed_once_as_far_as_it_can_be() {
    let mut world = World::calm();
    let known = world.engine.state().ledger.instruments().len();
    let told =
        |names: &[&str]| Body::Announced { instruments: names.iter().map(|n| instrument(n)).collect() };
    // Known already, expired, of no feed, and a future that is settled in coin.
    let none = [CALL, "SOL_USDC-2JAN26-140-C", "XRP_USDC-16JAN26-2-C", "ETH-PERPETUAL"];
    assert_eq!(crate::world::code(&world.tell(told(&none))), "nothing_new");
    world.ok(told(&[CALL, "XRP_USDC-16JAN26-2-C", WEEK, "SOL_USDC-16JAN26-150-C"]));
    let listed = world.engine.state().ledger.instruments();
    let new: Vec<String> = listed[known..].iter().map(|listed| listed.instrument.to_string()).collect();
    assert_eq!(new, [WEEK, "SOL_USDC-16JAN26-150-C"]);
    assert_eq!(crate::world::code(&world.tell(told(&[WEEK]))), "nothing_new");
    world.open("alice", 1_000_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", WEEK, 100, 8.0);
}

#[test]
fn f33_an_account_deep_in_the_tails_is_margined() {
    let mut world = World::calm();
    world.open("alice", 1_000_000);
    world.open("bob", 100_000_000);
    for name in [
        "SOL_USDC-16JAN26-1-C",
        "SOL_USDC-16JAN26-100000-P",
        "SOL_USDC-27MAR26-100000-C",
        "SOL_USDC-27MAR26-1-P",
    ] {
        world.ok(Body::List { instrument: instrument(name) });
        world.ok(Body::Filled(World::fill("alice", "bob", name, 10, 0.5)));
    }
    let (alice, bob) = (world.totals("alice"), world.totals("bob"));
    assert_eq!(alice.equity.0 + bob.equity.0, 101_000_000 * 1_000_000);
    assert!(alice.im.0 >= alice.mm.0 && bob.im.0 >= bob.mm.0 && bob.im.0 > 0);
}

fn quoted(world: &mut World, depth: f64, spread: f64) {
    let quoted = Quoted { depth, spread };
    world.ok(Body::Depth { underlying: asset("ETH"), venue: "v".into(), quoted });
}

fn resting(world: &World) -> f64 {
    let State { resting, now, .. } = world.engine.state();
    resting[&asset("ETH")]["v"].depth(*now)
}

#[test]
fn f34_a_crossed_or_empty_book_has_no_depth_and_is_no_price() {
    let mut world = World::calm();
    quoted(&mut world, 1e6, 0.0005);
    assert_eq!(resting(&world), 1e6);
    // Bid 101, ask 100.
    quoted(&mut world, 1e6, -0.01);
    assert_eq!(resting(&world), 0.0, "crossed");
    world.wait(300_000);
    quoted(&mut world, 1e6, 0.0005);
    quoted(&mut world, 0.0, 0.0005);
    assert_eq!(resting(&world), 0.0, "no asks");
    world.price("ETH", 3_310.0);
    // Our own market without a middle says nothing of the price.
    world.ok(Body::OwnMarket { asset: asset("ETH"), middle: Some(stated(5_000.0)) });
    assert_eq!(world.validity("ETH"), Validity::Degraded);
    world.ok(Body::OwnMarket { asset: asset("ETH"), middle: None });
    world.wait(1_000);
    world.price("ETH", 3_310.0);
    assert_eq!(world.validity("ETH"), Validity::Normal);
    assert_eq!(world.engine.state().feeds[&asset("ETH")].accepted().unwrap().price, 3_310.0);
}

#[test]
fn f35_depth_that_is_there_for_a_tick_counts_for_nothing() {
    let mut world = World::calm();
    for _ in 0..10 {
        world.wait(30_000);
        quoted(&mut world, 1e6, 0.0005);
    }
    world.wait(1_000);
    quoted(&mut world, 1e8, 0.0005);
    assert_eq!(resting(&world), 1e6);
    world.wait(1_000);
    quoted(&mut world, 1e6, 0.0005);
    for _ in 0..30 {
        world.wait(30_000);
        quoted(&mut world, 1e6, 0.0005);
        assert_eq!(resting(&world), 1e6);
    }
    // What stays counts when the minutes before are over, and what leaves is gone at once.
    for n in 0..12 {
        world.wait(30_000);
        quoted(&mut world, 1e8, 0.0005);
        assert!(n > 8 || resting(&world) == 1e6);
    }
    assert_eq!(resting(&world), 1e8);
    quoted(&mut world, 10.0, 0.0005);
    assert_eq!(resting(&world), 10.0);
    world.wait(400_000);
    assert_eq!(
        {
            world.ok(Body::Clock);
            resting(&world)
        },
        0.0,
        "who is not heard has none"
    );
}

#[test]
fn open_interest_reaches_the_policy_once_and_grows_old() {
    let mut rules = rules(&["a", "b", "c"]);
    rules.policy = plimsoll_policy::Policy::shipped("plimsoll").unwrap();
    let mut world = World::with(rules);
    let interest = |open_interest| Body::OpenInterest {
        underlying: asset("ETH"),
        open_interest,
        daily_volume: Some(1e9),
        concentration: Some(0.2),
    };
    let seen = |world: &World| serde_json::to_string(&world.engine.state().policy).unwrap();
    world.ok(Body::Clock);
    let mut other = world.engine.clone();
    world.ok(interest(2e9));
    for engine in [&mut world.engine, &mut other] {
        let at = world.now.plus_seconds(61);
        engine.step(&plimsoll_engine::live::Event { at, key: None, body: Body::Clock }).unwrap();
    }
    assert_ne!(seen(&world), serde_json::to_string(&other.state().policy).unwrap(), "it was read");
    let unknown = Body::OpenInterest {
        underlying: asset("DOGE"),
        open_interest: 1.0,
        daily_volume: None,
        concentration: None,
    };
    assert_eq!(world.refused(unknown), "unknown_feed");
}

#[test]
fn a_chain_without_a_perpetual_leaves_it_in_proportion_to_the_index() {
    let mut world = World::calm();
    world.open("alice", 1_000_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", "SOL_USDC-PERPETUAL", 1_000, 142.5);
    let number = world.engine.state().ledger.number(&instrument("SOL_USDC-PERPETUAL")).unwrap();
    let before = world.engine.valued().mark_of(number).unwrap();
    world.wait(1_000);
    world.price("SOL", 142.5 * 1.02);
    world.wait(1_000);
    let Body::Chain { underlying, time, mut quotes } = world.requote("SOL", |_| Some(1.0)) else {
        unreachable!()
    };
    quotes.perpetuals.clear();
    world.ok(Body::Chain { underlying, time, quotes });
    let after = world.engine.valued().mark_of(number).unwrap();
    assert!((after as f64 / before as f64 - 1.02).abs() < 1e-5, "{before} {after}");
    assert!(world.engine.state().unvalued.is_empty());
}

#[test]
fn f29_smiles_that_cross_those_that_stay_are_refused_and_every_expiry_is_degraded() {
    let mut world = World::calm();
    let before = world.engine.state().markets[&asset("SOL")].clone();
    world.wait(1_000);
    // The first two expiries alone, at one and a half times their volatility: more variance in a week than the next has in two.
    let week = expiry(WEEK);
    let chain = world.requote("SOL", |at| (at <= week).then_some(1.49));
    assert_eq!(world.refused(chain), "calendar");
    let after = &world.engine.state().markets[&asset("SOL")];
    assert_eq!(after.quoted(), before.quoted(), "the one before stays");
    for name in [CALL, WEEK, "SOL_USDC-27MAR26-140-C"] {
        assert_eq!(smile(&world, name), (Validity::Degraded, Some(Cause::Arbitrage)), "{name}");
    }
    world.open("alice", 1_000_000);
    world.open("bob", 1_000_000);
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", CALL, 1, 5.0))), "degraded");
    world.wait(1_000);
    let sound = world.requote("SOL", |_| Some(1.0));
    world.ok(sound);
    assert_eq!(smile(&world, CALL), (Validity::Normal, None));
}
