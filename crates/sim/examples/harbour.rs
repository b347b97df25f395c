//! The same market and the same people under three sets of rules.
//!
//! `cargo run --release -p plimsoll-sim --example harbour [ACCOUNTS] [SEED]`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example reports its own time on the terminal"
)]

use plimsoll_engine::ParamSet;
use plimsoll_engine::live::{Body, Rules};
use plimsoll_policy::Policy;
use plimsoll_sim::harbour::{Harbour, Outcome, Phase, Producer, Spec, Tally};
use plimsoll_types::Ticks;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let accounts = numbers.first().and_then(|n| usize::try_from(*n).ok()).unwrap_or(10_000);
    let spec = Spec { accounts, seed: numbers.get(1).copied().unwrap_or(1), ..Spec::default() };
    let sets = [("plimsoll", "plimsoll"), ("plimsoll", "static"), ("fixed", "static")];
    let mut outcomes = Vec::new();
    for (params, policy) in sets {
        let rules = Harbour::rules(&spec, ParamSet::preset(params)?, Policy::shipped(policy)?)?;
        outcomes.push(run(&spec, rules)?);
    }
    print(&outcomes);
    Ok(())
}

/// Seconds by kind of event, and how many.
type Spent = BTreeMap<&'static str, (Duration, u64)>;

fn run(spec: &Spec, rules: Rules) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mut harbour = Harbour::new(spec, &rules)?;
    let made = begun.elapsed();
    let mut tally = Tally::new(&rules, spec.start);
    let mut engine = harbour.opened(&rules)?;
    let opened = begun.elapsed();
    let (mut spent, mut phase) = (Spent::new(), Phase::Opening);
    let mut own = Duration::ZERO;
    loop {
        let before = Instant::now();
        let Some(event) = harbour.next() else { break };
        let asked = Instant::now();
        let effects = engine.step(&event)?;
        let took = asked.elapsed();
        own += asked - before;
        let scene = harbour.scene();
        if scene.phase != phase {
            println!("  {} {}", scene.at, scene.phase.word());
            phase = scene.phase;
        }
        let sum = spent.entry(kind(&event.body)).or_default();
        sum.0 += took;
        sum.1 += 1;
        tally.take(&engine, &event, &effects);
        harbour.react(&effects, event.at);
    }
    let outcome = tally.outcome();
    println!(
        "{}: made in {made:.2?}, opened after {:.2?}, told after {:.2?}; the market took {own:.2?}",
        outcome.name,
        opened,
        begun.elapsed()
    );
    for (kind, (took, count)) in &spent {
        println!("  {kind}: {count} in {took:.2?}, {:.0} us each", took.as_secs_f64() * 1e6 / *count as f64);
    }
    println!("  refused: {:?}", outcome.refused);
    Ok(outcome)
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Clock => "clock",
        Body::Price { .. } => "price",
        Body::Chain { .. } => "chain",
        Body::List { .. } => "list",
        Body::Open { .. } => "open",
        Body::Deposit { .. } | Body::Withdraw { .. } => "money",
        Body::Trade(_) => "trade",
        Body::Filled(_) => "filled",
        Body::Liquidated { .. } => "liquidated",
        Body::Order { .. } | Body::Cancel { .. } => "order",
        Body::Funding { .. } => "funding",
        _ => "else",
    }
}

fn print(outcomes: &[Outcome]) {
    let millions = |ticks: Ticks| format!("{:.2}", ticks.0 as f64 / 1e12);
    type Show<'a> = &'a dyn Fn(&Outcome) -> String;
    let rows: [(&str, Show<'_>); 13] = [
        ("events", &|o| o.events.to_string()),
        ("margin calls", &|o| o.calls.to_string()),
        ("accounts called", &|o| o.called_accounts.to_string()),
        ("accounts liquidated", &|o| o.liquidated_accounts.to_string()),
        ("liquidated, million USD", &|o| millions(o.liquidated_notional)),
        ("accounts insolvent", &|o| o.insolvent_accounts.to_string()),
        ("taken over", &|o| o.taken_over.to_string()),
        ("deleveraged", &|o| o.deleveraged.to_string()),
        ("bad debt, million USD", &|o| millions(o.bad_debt())),
        ("of it shared by all", &|o| millions(o.socialised)),
        ("mean initial margin, million USD", &|o| millions(o.im_mean)),
        ("mean capital, million USD", &|o| millions(o.capital_mean)),
        ("parameter changes", &|o| o.parameter_changes.to_string()),
    ];
    print!("{:34}", "");
    outcomes.iter().for_each(|o| print!("{:>22}", o.name));
    println!();
    for (name, show) in rows {
        print!("{name:34}");
        outcomes.iter().for_each(|o| print!("{:>22}", show(o)));
        println!();
    }
}
