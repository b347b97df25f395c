//! Feeds from outside: venues' readings to events.
//!
//! **The one idea:** a source is a task of its own and hands in what it reads like anybody else, through the same queue. What finds no
//! room is market data and may be left out: the next is newer.
//!
//! **Must never know:** a protocol; whether a price is to be believed.

mod recorded;

pub use recorded::Recorded;

use crate::host::{self, At, Charter, Entry, Ingest};
use anyhow::{Context, bail};
use plimsoll_engine::live::Body;
use plimsoll_engine::live::feed::{Observation, Stated};
use plimsoll_feeds::address::Allowed;
use plimsoll_feeds::config::{Configured, Terms};
use plimsoll_feeds::depth::{DepthSpec, Pipeline};
use plimsoll_feeds::link::{Counters, Limits, Outside, Source, play, run, system_roots};
use plimsoll_feeds::{Chains, Depth, Number, Price, Protocol, Reading};
use plimsoll_policy::Quoted;
use plimsoll_quant::liquidity::LiquiditySpec;
use plimsoll_types::{Asset, Instrument, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// `[reach]`: where sources may be reached, and what is gathered of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReachConfig {
    /// Hosts that may be reached; `host:port` for another port than 443.
    pub hosts: BTreeSet<String>,
    /// Whether plain connections to this machine may be made.
    pub loopback: bool,
    /// Seconds from one chain of an underlying to the next.
    pub chain_seconds: u64,
    /// A quote that is older, seconds, is in no chain.
    pub quote_age_seconds: i64,
    /// Depth counts within this share of the middle.
    pub band: f64,
    /// Seconds of which the least depth counts.
    pub depth_seconds: i64,
    /// Whether what a source says is traded is listed, where it is a source of its underlying's feed.
    pub list: bool,
}

impl Default for ReachConfig {
    fn default() -> Self {
        Self {
            hosts: BTreeSet::new(),
            loopback: false,
            chain_seconds: 10,
            quote_age_seconds: 600,
            band: 0.01,
            depth_seconds: 60,
            list: false,
        }
    }
}

/// A source, by the kind it is of.
#[derive(Clone, PartialEq, Debug)]
pub enum SourceConfig {
    /// Of a protocol, over a connection.
    Connected(Box<Configured>),
    /// Of kind `replay`: out of files.
    Recorded(Recorded),
}

impl<'de> Deserialize<'de> for SourceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let read = if table.get("kind").and_then(toml::Value::as_str) == Some("replay") {
            table.remove("kind");
            table.try_into().map(Self::Recorded)
        } else {
            table.try_into().map(Self::Connected)
        };
        read.map_err(serde::de::Error::custom)
    }
}

/// Sources of a configuration, and where they may be reached.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct IntakeConfig {
    /// See there.
    pub reach: ReachConfig,
    /// By name: the name of a feed's source.
    pub sources: BTreeMap<String, SourceConfig>,
}

impl IntakeConfig {
    /// With files in `folder`.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        for source in self.sources.values_mut() {
            if let SourceConfig::Recorded(recorded) = source {
                *recorded = recorded.clone().beside(folder);
            }
        }
        self
    }

    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// What is out of range, an address that may not be reached, a secret or file that is not there, by the source's name.
    pub fn check(&self) -> anyhow::Result<()> {
        let reach = &self.reach;
        let share = reach.band.is_finite() && reach.band > 0.0 && reach.band < 1.0;
        let times =
            (1..=3_600).contains(&reach.chain_seconds) && (1..=86_400).contains(&reach.quote_age_seconds);
        if !(share && times && (1..=3_600).contains(&reach.depth_seconds)) {
            bail!(
                "`reach`: a band within 0 and 1, seconds of at least 1 and at most 3600 (86400 of a quote's age)"
            );
        }
        self.speakers().map(drop)
    }

    fn speakers(&self) -> anyhow::Result<Vec<(&String, Speaker)>> {
        let allowed = Allowed { hosts: self.reach.hosts.clone(), loopback: self.reach.loopback };
        let secret = |name: &str| std::env::var(name).ok();
        let terms = Terms { allowed, limits: Limits::default(), band: self.reach.band, secret: &secret };
        let one = |source: &SourceConfig| -> anyhow::Result<Speaker> {
            match source {
                SourceConfig::Connected(source) => {
                    let (source, protocol) =
                        source.build(&terms).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
                    Ok(Speaker::Connected(Box::new(source), protocol))
                }
                SourceConfig::Recorded(source) => {
                    source.check()?;
                    Ok(Speaker::Recorded(source.clone()))
                }
            }
        };
        let named = self.sources.iter();
        named
            .map(|(name, source)| Ok((name, one(source).with_context(|| format!("sources.{name}"))?)))
            .collect()
    }
}

/// What a source is run as.
enum Speaker {
    Connected(Box<Source>, Box<dyn Protocol>),
    Recorded(Recorded),
}

impl Speaker {
    /// Says all it has to say; to be polled where waiting for a disk is allowed.
    async fn speak(
        self,
        name: &str,
        (mouth, outside, counters): (&Mouth, &Outside, &Counters),
        stopped: watch::Receiver<bool>,
    ) {
        let mut sink = |reading| mouth.take(name, reading);
        match self {
            Self::Connected(source, mut protocol) => {
                run(&source, &mut *protocol, outside, counters, &mut sink, stopped).await;
            }
            Self::Recorded(recorded) => {
                let (said, pace) = (recorded.said(mouth.band), (recorded.speed, true));
                match play(said, pace, outside, counters, &mut sink, stopped).await {
                    Ok(()) => tracing::info!(source = name, "a recording is told to its end"),
                    Err(refusal) => tracing::warn!(source = name, %refusal, "a recording is not told"),
                }
            }
        }
    }
}

/// What is gathered of all sources before it is handed in.
struct Gathered {
    chains: Chains,
    depth: Pipeline,
    /// Of each underlying the last chain that was handed in.
    said: BTreeMap<Asset, Timestamp>,
    /// What is traded, as far as sources said so, and whether that was handed in.
    announced: BTreeMap<Instrument, bool>,
}

/// Instruments of one announcement.
const ANNOUNCED_MAX: usize = 2_000;

/// Where readings go.
#[derive(Clone)]
struct Mouth {
    ingest: Arc<Ingest>,
    /// By asset the sources of its feed, and whether each gives signs of life.
    feeds: Arc<BTreeMap<Asset, BTreeMap<String, bool>>>,
    gathered: Arc<Mutex<Gathered>>,
    /// Whether what sources announce is listed.
    lists: bool,
    /// The band of depth, a share of the middle.
    band: f64,
}

/// Sources that run.
pub struct Intake {
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intake {{ tasks: {} }}", self.tasks.len())
    }
}

impl Intake {
    /// Starts a task per source, and one that hands in chains and counts.
    ///
    /// # Errors
    /// As [`IntakeConfig::check`].
    pub fn start(
        config: &IntakeConfig,
        charter: &Charter,
        ingest: &Arc<Ingest>,
        on: &Handle,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        if config.sources.is_empty() {
            return Ok(Self { stop, tasks });
        }
        let tls = system_roots().map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let outside = Outside { clock: Arc::new(host::now), chance: Arc::new(chance), tls };
        let mouth = Mouth::new(config, charter, ingest)?;
        let mut counted = Vec::new();
        for (name, speaker) in config.speakers()? {
            let counters = Arc::new(Counters::default());
            counted.push((name.clone(), Arc::clone(&counters)));
            let (name, mouth, outside, stopped) =
                (name.clone(), mouth.clone(), outside.clone(), stopped.clone());
            let disk = matches!(speaker, Speaker::Recorded(_));
            let speak = async move { speaker.speak(&name, (&mouth, &outside, &counters), stopped).await };
            let runtime = on.clone();
            tasks.push(if disk {
                on.spawn_blocking(move || runtime.block_on(speak))
            } else {
                on.spawn(speak)
            });
        }
        let every = Duration::from_secs(config.reach.chain_seconds);
        tasks.push(on.spawn(gather(mouth, counted, every, stopped)));
        Ok(Self { stop, tasks })
    }

    /// Ends all of them.
    pub fn stop(self) {
        self.stop.send_replace(true);
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Mouth {
    fn new(config: &IntakeConfig, charter: &Charter, ingest: &Arc<Ingest>) -> anyhow::Result<Self> {
        let feeds = charter.feeds.iter().map(|(asset, feed)| {
            let lives = feed.sources.iter().map(|(name, of)| (name.clone(), of.heartbeat_ms.is_some()));
            (asset.clone(), lives.collect())
        });
        let venues = config.sources.keys().cloned().collect();
        let score = LiquiditySpec {
            venues: 1,
            slots: 24,
            slot_seconds: 3_600.0,
            ignored: 0.1,
            hold_seconds: 120.0,
            decay_half_life_seconds: 600.0,
            growth_per_day: 0.1,
            fall_per_day: 0.5,
            floor: 1.0,
        };
        let spec = DepthSpec {
            venues,
            period_seconds: config.reach.depth_seconds,
            // What the engine is told is depth and spread as they are; the score is the policy's own.
            usual_spread: 1.0,
            cap: f64::MAX,
            score,
        };
        let depth = Pipeline::new(spec).map_err(|refusal| anyhow::anyhow!("{refusal}")).context("reach")?;
        let chains = Chains::new(charter.feeds.keys().cloned(), config.reach.quote_age_seconds);
        let gathered = Arc::new(Mutex::new(Gathered {
            chains,
            depth,
            said: BTreeMap::new(),
            announced: BTreeMap::new(),
        }));
        let (lists, band) = (config.reach.list, config.reach.band);
        Ok(Self { ingest: Arc::clone(ingest), feeds: Arc::new(feeds.collect()), gathered, lists, band })
    }

    /// Takes what a source reads; whether there was room for it.
    fn take(&self, source: &str, reading: Reading) -> bool {
        let gathered = || self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        match reading {
            Reading::Price(price) => self.lives(&price.asset, source).is_none() || self.price(source, &price),
            Reading::Alive { asset, time } if self.lives(&asset, source) == Some(true) => {
                self.say(Body::Heartbeat { asset, source: source.to_owned(), time })
            }
            Reading::Quote(quote) => {
                gathered().chains.take(quote);
                true
            }
            Reading::Depth(seen) => match gathered().depth.take(source, &seen) {
                Ok(Some(ended)) => self.depth(source, ended),
                // A book that is dated before its last state says nothing new.
                Ok(None) | Err(_) => true,
            },
            Reading::Listed { instrument, active: true }
                if self.lists && self.lives(instrument.underlying(), source).is_some() =>
            {
                gathered().announced.entry(instrument).or_insert(false);
                true
            }
            Reading::Alive { .. } | Reading::Trade(_) | Reading::Listed { .. } => true,
        }
    }

    /// Whether a source of a feed gives signs of life; nothing where it is none of the feed's.
    fn lives(&self, asset: &Asset, source: &str) -> Option<bool> {
        self.feeds.get(asset)?.get(source).copied()
    }

    fn price(&self, source: &str, price: &Price) -> bool {
        let stated = |number: Number| Stated { mantissa: number.mantissa, exponent: number.exponent };
        let seen = Observation {
            sequence: price.sequence,
            time: price.time,
            price: stated(price.price),
            confidence: price.confidence.map(stated),
            valid_until: price.valid_until,
        };
        self.say(Body::Price { asset: price.asset.clone(), source: source.to_owned(), seen })
    }

    fn depth(&self, venue: &str, seen: Depth) -> bool {
        let quoted = Quoted { depth: seen.depth, spread: seen.spread };
        self.say(Body::Depth { underlying: seen.asset, venue: venue.to_owned(), quoted })
    }

    fn say(&self, body: Body) -> bool {
        self.ingest.submit(Entry::new(At::Now, None, body), None).is_ok()
    }

    /// Hands in what is newly traded.
    fn announce(&self) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let new = gathered.announced.iter_mut().filter(|(_, said)| !**said).take(ANNOUNCED_MAX);
        let (instruments, marks): (Vec<_>, Vec<_>) = new.map(|(of, said)| (of.clone(), said)).unzip();
        if !instruments.is_empty() && self.say(Body::Announced { instruments }) {
            marks.into_iter().for_each(|said| *said = true);
        }
    }

    /// Hands in the chains that are new.
    fn chains(&self, now: Timestamp) {
        for underlying in self.feeds.keys() {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((time, quotes)) = gathered.chains.chain(underlying, now) else { continue };
            let new = gathered.said.get(underlying).is_none_or(|said| *said < time);
            if new {
                gathered.said.insert(underlying.clone(), time);
            }
            drop(gathered);
            if new {
                self.say(Body::Chain { underlying: underlying.clone(), time, quotes: Box::new(quotes) });
            }
        }
    }
}

/// Hands in chains and counts, until it is told to stop.
async fn gather(
    mouth: Mouth,
    counted: Vec<(String, Arc<Counters>)>,
    every: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pace = tokio::time::interval(every);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = pace.tick() => {}
        }
        mouth.announce();
        mouth.chains(host::now());
        for (name, counters) in &counted {
            count(name, counters);
        }
    }
}

fn count(name: &str, counters: &Counters) {
    let count = counters.count();
    let numbers = [
        ("plimsoll_source_connections_total", count.connections),
        ("plimsoll_source_failures_total", count.failures),
        ("plimsoll_source_frames_total", count.frames),
        ("plimsoll_source_readings_total", count.readings),
        ("plimsoll_source_lost_total", count.lost),
    ];
    for (what, number) in numbers {
        metrics::counter!(what, "source" => name.to_owned()).absolute(number);
    }
    for (reason, number) in count.refused {
        let labels = [("source", name.to_owned()), ("reason", reason.to_string())];
        metrics::counter!("plimsoll_source_refused_total", &labels).absolute(number);
    }
}

/// Sixty-four bits of chance; without any, waits have none in them.
fn chance() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_or(0, |()| u64::from_le_bytes(bytes))
}
