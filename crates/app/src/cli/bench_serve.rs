//! `plimsoll bench serve`: the whole service under load.

use super::demo::{Folder, Story};
use crate::bench::flood::{self, Flooded};
use crate::bench::serve::{Latency, Load, Served, run as measure};
use crate::doors::DoorsConfig;
use crate::host::{Chronicle, Config, Course, JournalConfig, ServerConfig};
use crate::intake::IntakeConfig;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use crate::webhooks::WebhooksConfig;
use anyhow::Context;
use clap::Args;
use plimsoll_engine::live::Engine;
use plimsoll_sim::harbour::Spec;
use plimsoll_types::Asset;

/// Arguments of `bench serve`.
#[derive(Args, Debug)]
pub(super) struct BenchServeArgs {
    /// Accounts of the seeded market
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    accounts: usize,
    /// Checks asked a second
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    rate: u32,
    /// Seconds of each part
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Flood it with so many times the deposits it can take instead
    #[arg(long, value_name = "TIMES", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u32).range(1..=100))]
    flood: Option<u32>,
}

/// Measures and prints.
pub(super) fn run(args: &BenchServeArgs, output: &Output) -> anyhow::Result<Verdict> {
    let spec = Spec { accounts: args.accounts, ..Spec::default() };
    let story = Story::Seeded(spec);
    let (engine, _) = story.opened(&story.rules("plimsoll", "plimsoll")?)?;
    let folder = Folder::of(None)?;
    let charter = story.charter("plimsoll", "plimsoll")?;
    let load = load(args, &engine, charter.clone())?;
    let journal = JournalConfig {
        dir: folder.path().to_owned(),
        identity: "bench".to_owned(),
        snapshot_events: 0,
        ..JournalConfig::default()
    };
    // What is measured is the service, not its quota.
    let doors = DoorsConfig { units_per_second: u32::MAX, units_at_once: u32::MAX, ..DoorsConfig::default() };
    let config = Config {
        journal,
        server: ServerConfig::default(),
        doors,
        intake: IntakeConfig::default(),
        webhooks: WebhooksConfig::default(),
        postgres: None,
        signer: None,
        charter: charter.clone(),
    };
    let course = Course { charter, engine, chronicle: Chronicle::default(), sequence: 0 };
    match args.flood {
        Some(times) => output.write(flooded(&flood::run(&config, course, &load, times)?)),
        None => output.write(answer(&measure(&config, course, &load)?)),
    }
}

fn flooded(of: &Flooded) -> Answer<'static> {
    let mut answer = Answer::table(latencies(&of.latencies));
    let offered = of.offered as f64 / of.seconds.max(f64::MIN_POSITIVE);
    answer.notes = vec![
        format!("{:.0} deposits a second are durable and applied when nobody is in a hurry", of.capacity),
        format!(
            "{offered:.0} a second were handed in for {:.0} s: {} accepted, {} applied, {} refused at once; at most {} waited",
            of.seconds,
            of.accepted,
            of.applied,
            of.offered - of.accepted,
            of.waiting_most
        ),
    ];
    let memory = of
        .memory_mb
        .map(|(before, most)| format!("{before:.0} MB before the flood, {most:.0} MB at most in it"));
    answer.notes.extend(memory);
    answer
}

fn load(args: &BenchServeArgs, engine: &Engine, charter: crate::host::Charter) -> anyhow::Result<Load> {
    let asset = Asset::new("ETH")?;
    let feed = charter.feeds.get(&asset).context("no feed of ETH")?;
    let sources = feed.sources.keys().cloned().collect();
    let price = engine.valued().surface.underlyings.get(&asset).context("no market of ETH")?.index;
    let accounts = engine.state().ledger.accounts().iter();
    let asked = accounts.filter(|account| account.positions.len() >= 6).map(|account| account.id.clone());
    let asked: Vec<_> = asked.take(1_000).collect();
    let perpetual = engine.state().ledger.instruments().iter().map(|listed| listed.instrument.to_string());
    let instrument =
        perpetual.into_iter().find(|name| name.starts_with("ETH") && name.ends_with("PERPETUAL"));
    Ok(Load {
        charter,
        rate: args.rate,
        seconds: args.seconds,
        ticks: (asset, sources, price),
        asked: (asked, instrument.context("no perpetual of ETH")?),
    })
}

fn latencies(of: &[Latency]) -> Table {
    let columns = [
        ("what", Kind::Text),
        ("count", Kind::Integer),
        ("median_ms", Kind::Number),
        ("p99_ms", Kind::Number),
        ("max_ms", Kind::Number),
    ];
    let mut table = Table::new("", &columns);
    for latency in of {
        table.push(vec![
            Cell::text(&latency.what),
            Cell::count(latency.count),
            Cell::number(Some(latency.median_ms), 3),
            Cell::number(Some(latency.p99_ms), 3),
            Cell::number(Some(latency.max_ms), 3),
        ]);
    }
    table
}

fn answer(served: &Served) -> Answer<'static> {
    let mut answer = Answer::table(latencies(&served.latencies));
    answer.notes = vec![
        format!(
            "{} accounts, {} positions, 4 underlyings; a tick made the margins of {} accounts new at the median",
            served.accounts, served.positions, served.touched
        ),
        format!("{:.0} deposits a second were durable and applied", served.events_per_second),
        format!("{:.2} s from opening the journal to every margin, as it was", served.restart_seconds),
    ];
    answer.notes.extend(served.memory_mb.map(|mb| format!("{mb:.0} MB at most")));
    answer
}
