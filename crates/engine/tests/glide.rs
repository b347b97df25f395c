//! A tightening and a book: evaluated whole, cut to what the market can take, announced before it applies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{AS_OF, PLAIN, Row, desk_on, snapshot};
use plimsoll_engine::{
    Absorption, Adjusted, BookBuilder, BuildOptions, Depth, Desk, GlidePath, Market, ParamSet,
};
use plimsoll_policy::{
    Bar, Key, Knob, ParameterSpec, Place, Policy, Proposal, Scheduled, Scope, Signals, State, TargetSpec,
    UnderlyingSignals, Vote, decide, propose, step,
};
use plimsoll_types::{AccountId, Asset, Ppb, Timestamp};
use std::collections::BTreeMap;

const DAY: i64 = 86_400;

fn as_of() -> Timestamp {
    AS_OF.parse().unwrap()
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

/// Forty accounts that are long a million of BTC each, with 20 000 to 98 000 of collateral; one that is short as much with as much; and
/// one that holds no position and most of the equity.
fn book(params: &ParamSet) -> BookBuilder {
    let mut book = BookBuilder::new(&params.units);
    for n in 0..40 {
        let (account, collateral) = (format!("long{n:02}"), (20_000 + 2_000 * n).to_string());
        book.position(&account, "BTC-PERPETUAL", "1000000", None).unwrap();
        book.collateral(&account, "USDC", collateral.as_str(), None).unwrap();
    }
    book.position("short", "BTC-PERPETUAL", "-1000000", None).unwrap();
    book.collateral("short", "USDC", "60000", None).unwrap();
    book.collateral("whale", "USDC", "1000000000", None).unwrap();
    book
}

fn desk() -> Desk {
    let params = ParamSet::preset("plimsoll").unwrap();
    let market = Market::new(snapshot(PLAIN), &params);
    let book = book(&params);
    Desk::assemble(params, market, book, &[], &BuildOptions::default()).unwrap()
}

fn signals(day: i64, close: f64) -> Signals {
    let of = UnderlyingSignals { bar: Some(Bar::at(close)), ..UnderlyingSignals::default() };
    let as_of = as_of().plus_seconds(DAY * day);
    Signals { as_of, underlyings: [("BTC".to_owned(), of)].into(), ..Signals::default() }
}

/// A calm year, and then a fall of 12 % today.
fn fallen(policy: &Policy) -> (State, Proposal) {
    let mut state = State::new(policy, as_of().plus_seconds(-400 * DAY)).unwrap();
    for day in -400..0 {
        step(policy, &mut state, &signals(day, if day % 2 == 0 { 100.0 } else { 101.5 })).unwrap();
    }
    let proposal = propose(policy, &mut state, &signals(0, 88.0)).unwrap();
    assert!(proposal.tightens());
    (state, proposal)
}

fn market(quote: f64) -> Absorption {
    Absorption { depth: BTreeMap::from([(btc(), Depth { quote, within: 0.01 })]), breach: 0.01 }
}

/// Who is liquidatable under some values, one by one and by the reference.
fn liquidatable(desk: &Desk, value: &dyn Fn(Knob, &Asset) -> Option<Ppb>) -> Vec<AccountId> {
    let mut adjusted = Adjusted::new(&desk.params, &desk.scenarios.underlyings, &BTreeMap::new()).unwrap();
    adjusted.set(value);
    let names: Vec<_> = desk.arrays.instruments.iter().map(|row| row.instrument.clone()).collect();
    let surface = &desk.market.surface;
    let (units, mode) = (&desk.params.units, plimsoll_risk::Mode::FullReprice);
    let arrays = plimsoll_risk::build(surface, &names, &adjusted.scenarios, units, mode).unwrap().arrays;
    let report = |portfolio| plimsoll_margin::evaluate(&portfolio, &arrays, &adjusted.margin).unwrap();
    let all = desk.book.iter().map(report).filter(|report| report.mm_excess.0 < 0);
    all.map(|report| report.account).collect()
}

/// Who is liquidatable under what binds existing positions at an instant.
fn bound(desk: &Desk, policy: &Policy, state: &State, at: Timestamp) -> Vec<AccountId> {
    liquidatable(desk, &|knob, asset| {
        let place = Place { underlying: Some(asset.as_str()), ..Place::default() };
        Some(policy.in_force(state.board(), knob, &place, at)?.maintenance)
    })
}

fn names(of: &[plimsoll_engine::Affected]) -> Vec<AccountId> {
    of.iter().map(|one| one.account.clone()).collect()
}

#[test]
fn a_step_is_cut_to_what_the_market_takes_and_announced_before_it_applies() {
    let (desk, policy) = (desk(), Policy::shipped("plimsoll").unwrap());
    let (mut state, proposal) = fallen(&policy);
    let path = |quote: f64| desk.glide((&policy, &state), &proposal, &market(quote)).unwrap();
    let GlidePath { candidates, unvalued } = path(1e8);
    assert!(unvalued.is_empty() && candidates.len() == 6);
    let counts: Vec<u64> = candidates.iter().map(|of| of.impact.newly_liquidatable).collect();
    assert_eq!(counts[..2], [0, 0], "nothing was announced, and what loosens makes nobody liquidatable");
    assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]) && counts[5] > counts[3], "{counts:?}");
    let waiting: Vec<f64> = candidates.iter().map(|of| of.impact.waiting).collect();
    assert!(waiting.windows(2).all(|pair| pair[1] <= pair[0]) && waiting[0] > waiting[5], "{waiting:?}");

    // As deep a market that half of the step is under the limit and the next candidate beyond it.
    let (half, more) = (candidates[3].impact.induced, candidates[5].impact.induced);
    let most = policy.glide().unwrap().induced_max;
    let quote = 1e8 * (half * more).sqrt() / most;
    let path = path(quote);
    let decision =
        decide(&policy, &mut state, proposal.clone(), Some(&path.impacts()), proposal.now()).unwrap();
    let choice = decision.glide.unwrap();
    assert!(choice.fraction >= 0.5 && choice.fraction < 1.0 && !choice.urgent, "{choice:?}");
    let chosen = &path.candidates[choice.candidate];
    // The two numbers are in the record.
    assert_eq!((choice.induced, choice.waiting), (chosen.impact.induced, chosen.impact.waiting));
    assert!(choice.induced <= most && path.candidates[5].impact.induced > most);

    let announced = path.announcement(&decision);
    let (begins, ends) = (announced.begins.unwrap(), announced.ends.unwrap());
    assert_eq!(announced.decided, decision.now);
    assert_eq!((begins, ends), (decision.now.plus_seconds(3_600), decision.now.plus_seconds(3_600 + DAY)));
    let then = names(&announced.affected);
    assert_eq!(then.len() as u64, choice.newly_liquidatable);
    // The list is right: nobody of it now, and all of it where the ramp ends, as the market stands.
    let before = bound(&desk, &policy, &state, announced.decided);
    assert_eq!(bound(&desk, &policy, &state, begins), before);
    let after = bound(&desk, &policy, &state, ends);
    let newly: Vec<AccountId> = after.into_iter().filter(|account| !before.contains(account)).collect();
    assert!(!then.is_empty());
    assert_eq!(newly, then);
    for one in &announced.affected {
        assert!(one.mm_now <= one.equity && one.equity < one.mm_then, "{one:?}");
    }
}

#[test]
fn what_was_announced_and_has_not_come_is_part_of_every_candidate() {
    let (desk, policy) = (desk(), Policy::shipped("plimsoll").unwrap());
    let (mut state, proposal) = fallen(&policy);
    let first = desk.glide((&policy, &state), &proposal, &market(1e12)).unwrap();
    decide(&policy, &mut state, proposal, Some(&first.impacts()), as_of()).unwrap();
    let later = Signals { as_of: as_of().plus_seconds(600), ..signals(0, 88.0) };
    let proposal = propose(&policy, &mut state, &later).unwrap();
    let second = desk.glide((&policy, &state), &proposal, &market(1e12)).unwrap();
    assert_eq!(second.candidates[0].affected, first.candidates[5].affected);
}

#[test]
fn pressure_is_that_of_a_book_as_dense_throughout() {
    let (desk, policy) = (desk(), Policy::shipped("plimsoll").unwrap());
    let (state, proposal) = fallen(&policy);
    let of = |market: &Absorption| {
        let path = desk.glide((&policy, &state), &proposal, market).unwrap();
        path.candidates.into_iter().next_back().unwrap()
    };
    let whole = of(&market(1e9));
    let pressure = &whole.pressure[0];
    let longs = whole.affected.iter().filter(|one| one.account.as_str().starts_with("long")).count();
    // A million each at the mark, which is near the index.
    assert!((pressure.sold / (1e6 * longs as f64) - 1.0).abs() < 1e-3, "{pressure:?}");
    let shorts = (whole.affected.len() - longs) as f64;
    assert!((pressure.bought - 1e6 * shorts).abs() <= 1e3 * shorts, "{pressure:?}");
    let side = |n: f64| n * n * 0.01 / (2.0 * 1e9);
    assert!((pressure.cost - side(pressure.sold) - side(pressure.bought)).abs() < 1e-6);
    assert!((pressure.moved - 0.01 * pressure.sold.max(pressure.bought) / 1e9).abs() < 1e-15);
    // Without depth all of it is lost, and numbers that are none are refused.
    let none = of(&Absorption { depth: BTreeMap::new(), breach: 0.01 });
    let whole = &none.pressure[0];
    assert_eq!((whole.cost, whole.moved), (whole.sold + whole.bought, 1.0));
    for bad in [market(f64::NAN), market(-1.0), Absorption { breach: 1.5, ..market(1.0) }] {
        desk.glide((&policy, &state), &proposal, &bad).unwrap_err();
    }
}

/// The tiers of leverage follow the price scan, and open interest as the book has it.
#[test]
fn leverage_follows_the_scan_and_the_open_interest_of_the_book() {
    let policy = Policy::shipped("plimsoll").unwrap();
    let first = |size: f64, rows: &[Row]| {
        let desk = desk_on("plimsoll", PLAIN, rows);
        let mut state = State::new(&policy, as_of().plus_seconds(-400 * DAY)).unwrap();
        for day in -400..=0 {
            let mut signals = signals(day, if day % 2 == 0 { 100.0 } else { 100.0 * (1.0 + size) });
            desk.tell(&mut signals);
            step(&policy, &mut state, &signals).unwrap();
        }
        let tiers = desk.leverage(&policy, &state, as_of());
        tiers[&btc()].iter().map(|tier| tier.leverage).collect::<Vec<_>>()
    };
    // Twenty accounts, so that the ten largest hold no more than their half.
    const MANY: [&str; 20] =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
    let rows = |quantity: &'static str| MANY.map(|name| (name, "BTC-PERPETUAL", quantity));
    let (few, many) = (rows("10000"), rows("1000000000"));
    let (calm, wild, crowded) = (first(0.01, &few), first(0.03, &few), first(0.01, &many));
    assert!(calm.windows(2).all(|pair| pair[1] <= pair[0]), "{calm:?}");
    assert!(wild[0] < 0.6 * calm[0], "{wild:?} {calm:?}");
    assert!(crowded[0] < 0.6 * calm[0], "{crowded:?} {calm:?}");

    let desk = desk_on("plimsoll", PLAIN, &few);
    let of = desk.open_interest()[&btc()];
    assert!((of.long / 200_000.0 - 1.0).abs() < 1e-3 && of.short == 0.0, "{of:?}");
    assert!((of.concentration - 0.5).abs() < 1e-12 && of.larger() == of.long);
}

/// A policy that states 8 % of a scan, and once more for a part of it, which a vote raises to 10 % today.
fn raised(knob: Knob, part: Scope) -> (Policy, State, Proposal) {
    let mut file = Policy::shipped("plimsoll").unwrap().file().clone();
    let stated = |scope: Scope| ParameterSpec {
        knob,
        scope,
        each_underlying: false,
        motion: "slow".to_owned(),
        target: TargetSpec::Stated { value: Ppb(80_000_000) },
        buffer: None,
    };
    (file.adjusters, file.leverage) = (None, None);
    file.parameters = vec![stated(Scope::default()), stated(part.clone())];
    file.schedule = vec![Scheduled {
        id: "raise".to_owned(),
        key: Key { knob, scope: part },
        value: Ppb(100_000_000),
        proposed: as_of().plus_seconds(-4 * DAY),
        effective: as_of().plus_seconds(-DAY),
        expires: None,
        vote: Vote { reference: "test".to_owned(), yes: 1, no: 0 },
    }];
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, as_of().plus_seconds(-2 * DAY)).unwrap();
    let proposal = propose(&policy, &mut state, &signals(0, 100.0)).unwrap();
    assert!(proposal.tightens());
    (policy, state, proposal)
}

#[test]
fn what_is_said_of_a_tenor_makes_those_liquidatable_who_hold_it() {
    let params = ParamSet::preset("plimsoll").unwrap();
    let mut book = BookBuilder::new(&params.units);
    for (who, option) in [("near", "BTC-6FEB26-65000-C"), ("far", "BTC-26JUN26-65000-C")] {
        for n in 0..140 {
            let (account, collateral) = (format!("{who}{n:03}"), (20_000 + 2_000 * n).to_string());
            book.position(&account, option, "-10", None).unwrap();
            book.collateral(&account, "USDC", collateral.as_str(), None).unwrap();
        }
    }
    let market_of = Market::new(snapshot(PLAIN), &params);
    let desk = Desk::assemble(params, market_of, book, &[], &BuildOptions::default()).unwrap();
    let all = |scope: Scope| {
        let (policy, state, proposal) = raised(Knob::PriceScanUp, scope);
        let path = desk.glide((&policy, &state), &proposal, &market(1e9)).unwrap();
        assert!(path.candidates[0].affected.is_empty());
        names(&path.candidates[5].affected)
    };
    let (near, both) = (all(Scope { tenor: Some(0), ..Scope::default() }), all(Scope::of("BTC")));
    let of = |who: &str| both.iter().filter(|id| id.as_str().starts_with(who)).cloned().collect::<Vec<_>>();
    assert!(!of("near").is_empty() && !of("far").is_empty(), "{both:?}");
    assert_eq!(near, of("near"));
    assert_eq!(all(Scope { moneyness: Some(0), ..Scope::default() }), Vec::<AccountId>::new());
}

#[test]
fn what_is_said_of_a_tier_makes_accounts_of_that_tier_liquidatable() {
    let desk = desk();
    let (policy, state, proposal) =
        raised(Knob::PriceScanDown, Scope { tier: Some("maker".to_owned()), ..Scope::default() });
    let tiers: BTreeMap<AccountId, String> = (0..40)
        .map(|n| {
            (AccountId::new(&format!("long{n:02}")).unwrap(), if n % 2 == 0 { "maker" } else { "standard" })
        })
        .map(|(id, tier)| (id, tier.to_owned()))
        .collect();
    let path = desk.glide_by_tier((&policy, &state), &proposal, &market(1e9), &tiers).unwrap();
    let affected = names(&path.candidates[5].affected);
    assert!(!affected.is_empty() && affected.iter().all(|id| tiers[id] == "maker"), "{affected:?}");
    // Of no tier, nobody is meant.
    let path = desk.glide((&policy, &state), &proposal, &market(1e9)).unwrap();
    assert!(path.candidates[5].affected.is_empty());
}
