//! Promises, tried on many seeds: a few here, all of them with `PLIMSOLL_HEAVY=1` (in release).

use crate::world::{PERP, World, account, asset, instrument, rules, stated};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::ledger::{Account, Held};
use plimsoll_engine::live::liquidation::plan;
use plimsoll_engine::live::{Body, Effect, Engine, Event, Key, Standing, VERSION, restore, save};
use plimsoll_margin::{BookTerms, State, Totals};
use plimsoll_quant::sobol::Rng64;
use plimsoll_types::NANO;

fn many(few: usize, all: usize) -> usize {
    if std::env::var_os("PLIMSOLL_HEAVY").is_some() { all } else { few }
}

/// A made-up word of a feed: prices that wander, jump, err, stand still, contradict each other; silence; an outage.
fn word(world: &mut World, rng: &mut Rng64, price: &mut f64) -> Body {
    let mut below = |n: u64| rng.next_u64() % n;
    let gap = match below(100) {
        0 => 200_000,
        1..=4 => 61_000,
        _ => 100 + below(1_500).cast_signed(),
    };
    world.wait(gap);
    *price *= match below(400) {
        0 => 0.8,
        1 => 1.2,
        _ => 1.0 + (below(2_001) as f64 - 1_000.0) * 3e-6,
    };
    *price = price.clamp(500.0, 20_000.0);
    let source = ["a", "b", "c"][below(3) as usize];
    let said = *price * [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.02, 0.5, 1_000.0, 1.0][below(10) as usize];
    match below(40) {
        0 => Body::Uptime { down: below(3) == 0 },
        1 => Body::OwnMarket {
            asset: asset("ETH"),
            middle: Some(stated(*price * if below(9) == 0 { 1.2 } else { 1.0 })),
        },
        2 => Body::Pardon { asset: asset("ETH"), source: source.into() },
        3 | 4 => Body::Clock,
        5..=8 => world.seen("USDC", source, 1.0),
        _ => world.seen("ETH", source, said),
    }
}

#[test]
fn p4_nobody_is_liquidated_while_halted_however_feeds_behave() {
    let mut world = World::with(rules(&["a", "b", "c"]));
    world.open("bob", 100_000_000);
    for n in 0..6 {
        let name = format!("long{n}");
        world.open(&name, 4_000 + 2_000 * n);
        world.ok(Body::Filled(World::fill(&name, "bob", PERP, 10_000, 3_310.0)));
    }
    let (mut rng, mut price) = (Rng64::new(4), 3_310.0);
    let (mut halted, mut given, mut normal) = (0_u64, 0_u64, 0_u64);
    for step in 0..many(6_000, 1_000_000) {
        let body = word(&mut world, &mut rng, &mut price);
        let before: Vec<Standing> = (0..7).map(|n| world.engine.state().standing(n)).collect();
        let effects = world.tell(body);
        let validity = world.validity("ETH");
        halted += u64::from(validity == Validity::Halted);
        normal += u64::from(validity == Validity::Normal);
        for effect in &effects {
            if let Effect::Liquidate { account, .. } = effect {
                let number = world.engine.state().ledger.find(account).unwrap();
                assert_ne!(world.engine.validity(number), Validity::Halted, "step {step}: {effect:?}");
                given += 1;
            }
        }
        for (n, was) in (0..7).zip(before) {
            let worse = world.engine.state().standing(n) > was;
            assert!(!(worse && world.engine.validity(n) == Validity::Halted), "step {step}, account {n}");
            let open = world.engine.state().intents.values().any(|intent| intent.account == n);
            assert!(!(open && world.engine.validity(n) == Validity::Halted), "step {step}, account {n}");
        }
    }
    println!("halted {halted}, normal {normal}, intents {given}");
    assert!(halted > 500 && normal > 500 && given > 0, "{halted} {normal} {given}");
}

#[test]
fn p3_an_event_counts_once_in_any_order_however_often_it_is_sent_and_across_restarts() {
    let mut world = World::calm();
    for name in ["alice", "bob", "carol"] {
        world.open(name, 1_000_000);
    }
    let key = |source: &str, number| Some(Key { source: source.to_owned(), number });
    let mut events = Vec::new();
    for number in 0..12_u64 {
        let nano = i128::from(number + 1) * i128::from(NANO);
        let deposit = |name: &str| Body::Deposit { account: account(name), asset: asset("USD"), nano };
        let lots = i64::try_from(number + 1).unwrap();
        let fill = Body::Filled(World::fill("alice", "bob", PERP, lots, 3_300.0 + lots as f64));
        for (source, body) in [("x", deposit("alice")), ("y", deposit("carol")), ("z", fill)] {
            events.push(Event { at: world.now, key: key(source, number), body });
        }
    }
    // What is counted of refusals differs, and nothing else.
    let hash = |engine: &Engine| {
        let mut state = engine.state().clone();
        state.sequence = 0;
        state.refused.clear();
        state.hash().unwrap()
    };
    let mut once = world.engine.clone();
    for event in &events {
        once.step(event).unwrap();
    }
    let (expected, mut rng) = (hash(&once), Rng64::new(3));
    for schedule in 0..many(25, 10_000) {
        let mut sent: Vec<&Event> = Vec::new();
        for event in &events {
            sent.extend(std::iter::repeat_n(event, 1 + (rng.next_u64() % 5) as usize));
        }
        for i in (1..sent.len()).rev() {
            sent.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
        }
        let (mut engine, restart) = (world.engine.clone(), (rng.next_u64() % sent.len() as u64) as usize);
        for (n, event) in sent.iter().enumerate() {
            if n == restart {
                let state = restore(VERSION, &save(engine.state()).unwrap()).unwrap();
                engine = Engine::resume(engine.rules().clone(), state).unwrap();
            }
            engine.step(event).unwrap();
        }
        assert_eq!(hash(&engine), expected, "schedule {schedule}");
    }
}

/// An account of random positions whose equity is anywhere from far below zero to ample.
fn holder(rng: &mut Rng64, listed: u32, mark: impl Fn(u32) -> i64) -> Account {
    let mut below = |n: u64| rng.next_u64() % n;
    let mut positions = Vec::new();
    for instrument in 0..listed {
        if below(3) == 0 {
            continue;
        }
        let lots = below(4_000).cast_signed() - 2_000;
        let cost = i128::from(lots) * i128::from(mark(instrument));
        if lots != 0 {
            positions.push(Held { instrument, lots, cost });
        }
    }
    let dollars = i128::from(below(8_000)) - 3_000;
    let collateral = vec![(asset("USD"), (dollars * 2 + 1) * i128::from(NANO))];
    Account { id: account("x"), positions, collateral, orders: Vec::new() }
}

/// No position of an account, given up whole at its mark, raises its margin by more than half its spread.
fn nothing_is_worth_its_spread(world: &World, account: &Account, im_excess: i128) {
    let valued = world.engine.valued();
    for held in &account.positions {
        let mut without = account.clone();
        without.positions.retain(|other| other.instrument != held.instrument);
        let mark = valued.mark_of(held.instrument).unwrap();
        without.collateral[0].1 += (i128::from(held.lots) * i128::from(mark) - held.cost) * 1_000;
        let row = valued.arrays().instrument(valued.row(held.instrument).unwrap()).unwrap();
        let liquidity = valued.params().addons.liquidity.of(row.instrument.underlying());
        let spread = liquidity.map_or(0, |terms| terms.spread.0);
        let size = i128::from(row.notional) * i128::from(held.lots.unsigned_abs());
        let after = valued.totals_of(&valued.portfolio(&without).unwrap()).unwrap();
        let gain = after.im_excess.0 - im_excess;
        assert!(gain * i128::from(NANO) <= size * i128::from(spread) + i128::from(NANO), "{account:?}");
    }
}

#[test]
fn p11_a_liquidation_is_monotone_below_zero_too() {
    let world = World::calm();
    let valued = world.engine.valued();
    let of = (valued.arrays(), valued.params());
    let terms = BookTerms::new(of.0, of.1);
    let mark = |number| valued.mark_of(number).unwrap();
    let mut rng = Rng64::new(11);
    let (mut insolvent, mut planned, mut restored) = (0, 0, 0);
    let totals =
        |account: &Account| -> Totals { valued.totals_of(&valued.portfolio(account).unwrap()).unwrap() };
    for case in 0..many(400, 1_000_000) {
        let mut better = holder(&mut rng, 5, mark);
        let mut worse = better.clone();
        // A worse price is less money; more risk is more of a position that is not hedged.
        worse.collateral[0].1 -= i128::from(1 + rng.next_u64() % 2_000) * i128::from(NANO);
        let (of_better, of_worse) = (totals(&better), totals(&worse));
        assert!(
            of_worse.im_excess < of_better.im_excess && of_worse.mm_excess < of_better.mm_excess,
            "case {case}"
        );
        let rank = |totals: &Totals| match totals.state {
            State::Healthy => 0,
            State::Call => 1,
            State::Liquidatable => 2,
        };
        assert!(rank(&of_worse) >= rank(&of_better), "case {case}: {of_better:?} {of_worse:?}");
        insolvent += usize::from(of_worse.equity.0 < 0);
        let plans = [&better, &worse]
            .map(|of_account| plan(&valued.portfolio(of_account).unwrap(), &terms, of).unwrap());
        assert!(plans[0].restores || !plans[1].restores, "case {case}: {plans:?}");
        for ((account, plan), before) in
            [&mut better, &mut worse].into_iter().zip(&plans).zip([of_better, of_worse])
        {
            planned += usize::from(!plan.steps.is_empty());
            restored += usize::from(plan.restores && !plan.steps.is_empty());
            assert!(plan.steps.iter().all(|step| step.gain.0 > 0), "case {case}: {plan:?}");
            assert!(plan.im_excess_after >= plan.im_excess_before);
            // Nothing that helps is left undone, for want of equity least of all: what stays whole is not worth its spread.
            if before.im_excess.0 < 0 && plan.steps.is_empty() {
                nothing_is_worth_its_spread(&world, account, before.im_excess.0);
            }
            // Done at the mark, it makes the account no worse than it says.
            for step in &plan.steps {
                let number = world.engine.state().ledger.number(&step.instrument).unwrap();
                let held = account.positions.iter_mut().find(|held| held.instrument == number).unwrap();
                assert!(held.lots.signum() == step.lots.signum() && held.lots.abs() >= step.lots.abs());
                held.lots -= step.lots;
                held.cost -= i128::from(step.lots) * i128::from(mark(number));
            }
            let cash: i128 =
                account.positions.iter().filter(|held| held.lots == 0).map(|held| held.cost).sum();
            account.positions.retain(|held| held.lots != 0);
            account.collateral[0].1 -= cash * 1_000;
            let after = totals(account);
            assert!(
                after.im <= before.im && after.im_excess >= plan.im_excess_after,
                "case {case}: {after:?} {plan:?}"
            );
        }
    }
    println!("insolvent {insolvent}, planned {planned}, restored {restored}");
    assert!(insolvent > 50 && planned > 100 && restored > 20, "{insolvent} {planned} {restored}");
}

#[test]
fn a_debt_below_zero_does_not_stop_a_liquidation_that_helps() {
    // Starknet Perpetual's audit, H-01: with equity below zero a comparison of ratios turned round and refused it.
    let mut world = World::calm();
    world.open("alice", 5_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 8_000, 3_310.0);
    world.wait(1_000);
    world.jump("ETH", 2_000.0);
    assert_eq!(world.standing("alice"), Standing::Insolvent);
    let (intent, of) = world.engine.state().intents.iter().next().map(|(id, of)| (*id, of.clone())).unwrap();
    let lots = of.plan.steps[0].lots;
    let before = world.totals("alice");
    let body = |lots, price: f64| Body::Liquidated {
        intent,
        taker: account("bob"),
        instrument: instrument(PERP),
        lots,
        price: stated(price),
    };
    for part in [lots / 4, lots / 4] {
        world.ok(body(part, 2_000.0));
        assert!(world.totals("alice").im_excess > before.im_excess);
    }
    assert_eq!(world.refused(body(lots / 4, 100.0)), "worsens");
}
