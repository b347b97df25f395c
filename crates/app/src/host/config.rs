//! `plimsoll.toml`: where the journal is, where to listen, and what the engine runs by.
//!
//! Every number of the engine has a default that is stated there; a feed takes what `[feed]` says and what its own table says
//! above that. `PLIMSOLL__SECTION__KEY` in the environment goes above the file.

use super::charter::Charter;
use crate::doors::DoorsConfig;
use crate::intake::{IntakeConfig, ReachConfig, SourceConfig};
use crate::readmodels::PostgresConfig;
use crate::signer::SignerConfig;
use crate::webhooks::{WebhookConfig, WebhooksConfig};
use anyhow::{Context, bail};
use plimsoll_engine::live::feed::FeedParams;
use plimsoll_engine::live::{LiquidationRules, MarketParams};
use plimsoll_engine::{PRESETS, ParamSet};
use plimsoll_feeds::address::Allowed;
use plimsoll_margin::venue::mango::StableTerms;
use plimsoll_policy::POLICIES;
use plimsoll_types::{Asset, Decimal, Ticks, Timestamp, parse_scaled};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// The prefix of what the environment says.
const PREFIX: &str = "PLIMSOLL__";

/// Everything `plimsoll serve` needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The journal.
    pub journal: JournalConfig,
    /// The server.
    pub server: ServerConfig,
    /// Who comes in.
    pub doors: DoorsConfig,
    /// Sources outside.
    pub intake: IntakeConfig,
    /// Who is told.
    pub webhooks: WebhooksConfig,
    /// Read models in Postgres, where there are any.
    pub postgres: Option<PostgresConfig>,
    /// Who signs what is published, where somebody does.
    pub signer: Option<SignerConfig>,
    /// What the engine runs by.
    pub charter: Charter,
}

/// Where and how to keep the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// The folder.
    pub dir: PathBuf,
    /// Whose it is: part of every hash in it.
    pub identity: String,
    /// Megabytes of a segment, allocated whole.
    pub segment_mb: u64,
    /// How long the first event of a group waits for others, microseconds.
    pub group_window_us: u64,
    /// Events from one snapshot to the next; 0: only at the end.
    pub snapshot_events: u64,
    /// Snapshots that are kept.
    pub snapshots_kept: usize,
    /// Days that records are kept after a snapshot covers them; 0: for ever.
    pub keep_days: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("journal"),
            identity: "plimsoll".to_owned(),
            segment_mb: 64,
            group_window_us: 0,
            snapshot_events: 250_000,
            snapshots_kept: 3,
            keep_days: 0,
        }
    }
}

impl JournalConfig {
    /// The time a group is gathered.
    pub fn window(&self) -> Duration {
        Duration::from_micros(self.group_window_us)
    }

    /// What was accepted before this instant need not be kept; nothing where all is.
    pub fn forgotten_before(&self, now: Timestamp) -> Option<Timestamp> {
        let days = i64::try_from(self.keep_days).ok().filter(|days| *days > 0)?;
        Some(now.plus_seconds(days.saturating_mul(-86_400)))
    }
}

/// Where to listen, and the limits of the door.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Events that may wait for the journal; beyond, positions are refused with 503 and market data is conflated.
    pub queue: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Legs of a what-if or check.
    pub legs_max: usize,
    /// Expiries of a what-if or check.
    pub expiries_max: usize,
    /// Seconds a request may take.
    pub timeout_seconds: u64,
    /// Channels one WebSocket may subscribe to.
    pub subscriptions_max: usize,
    /// Messages that may wait for a WebSocket that reads too slowly, before it is closed.
    pub backlog: usize,
    /// Milliseconds between clock events of the server's own; 0: none.
    pub clock_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            queue: 20_000,
            body_bytes_max: 1 << 20,
            legs_max: 1_000,
            expiries_max: 32,
            timeout_seconds: 5,
            subscriptions_max: 64,
            backlog: 1_024,
            clock_ms: 1_000,
        }
    }
}

/// The file as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    journal: JournalConfig,
    #[serde(default)]
    server: ServerConfig,
    #[serde(default)]
    doors: DoorsConfig,
    #[serde(default)]
    postgres: Option<PostgresConfig>,
    #[serde(default)]
    signer: Option<SignerConfig>,
    #[serde(default)]
    reach: ReachConfig,
    #[serde(default)]
    sources: BTreeMap<String, SourceConfig>,
    #[serde(default)]
    webhooks: BTreeMap<String, WebhookConfig>,
    #[serde(default)]
    margin: MarginConfig,
    /// What every feed has unless it says otherwise.
    #[serde(default)]
    feed: Table,
    feeds: BTreeMap<Asset, Table>,
    #[serde(default)]
    market: Table,
    #[serde(default)]
    liquidation: Table,
    #[serde(default)]
    stable: Table,
}

/// Parameters and policy, by the name of what ships or by a file beside the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MarginConfig {
    params: String,
    policy: String,
}

impl Default for MarginConfig {
    fn default() -> Self {
        Self { params: "plimsoll".to_owned(), policy: "plimsoll".to_owned() }
    }
}

impl Config {
    /// Reads a file, and what the environment says above it.
    ///
    /// # Errors
    /// What is not readable, not known, out of range, or refused by a linter, by its name.
    pub fn read(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, environment, folder, now).with_context(|| path.display().to_string())
    }

    /// As [`Config::read`], of a text; files it names are in `folder`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        folder: &Path,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut table: Table = text.parse()?;
        for (name, value) in environment.filter(|(name, _)| name.starts_with(PREFIX)) {
            put(&mut table, &name, &value)?;
        }
        let raw: Raw = table.try_into()?;
        let params = named("margin.params", &raw.margin.params, &PRESETS, folder)?;
        let charter = Charter {
            since: now,
            policy: named("margin.policy", &raw.margin.policy, &POLICIES, folder)?,
            series: BTreeMap::new(),
            feeds: feeds(&raw)?,
            market: above(&MarketParams::default(), &raw.market).context("market")?,
            liquidation: liquidation(&raw.liquidation, &params).context("liquidation")?,
            stable: above(&stable(), &raw.stable).context("stable")?,
            params,
        };
        charter.rules()?;
        let allowed = Allowed { hosts: raw.reach.hosts.clone(), loopback: raw.reach.loopback };
        let webhooks = WebhooksConfig { hooks: raw.webhooks, allowed }.beside(folder);
        let intake = IntakeConfig { reach: raw.reach, sources: raw.sources }.beside(folder);
        let doors = raw.doors.beside(folder);
        let postgres = raw.postgres.map(|postgres| postgres.beside(folder));
        let signer = raw.signer.map(|signer| signer.beside(folder));
        let (journal, server) = (raw.journal, raw.server);
        let config = Self { journal, server, doors, intake, webhooks, postgres, signer, charter };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let (journal, server, doors) = (&self.journal, &self.server, &self.doors);
        let ranges = [
            ("journal.segment_mb", journal.segment_mb, 8..=4_096),
            ("journal.group_window_us", journal.group_window_us, 0..=100_000),
            ("journal.snapshots_kept", journal.snapshots_kept as u64, 1..=1_000),
            ("journal.keep_days", journal.keep_days, 0..=36_500),
            ("server.queue", server.queue as u64, 8..=1_000_000),
            ("server.body_bytes_max", server.body_bytes_max as u64, 1_024..=64 << 20),
            ("server.legs_max", server.legs_max as u64, 1..=100_000),
            ("server.expiries_max", server.expiries_max as u64, 1..=10_000),
            ("server.timeout_seconds", server.timeout_seconds, 1..=600),
            ("server.subscriptions_max", server.subscriptions_max as u64, 1..=100_000),
            ("server.backlog", server.backlog as u64, 1..=1_000_000),
            ("server.clock_ms", server.clock_ms, 0..=60_000),
            ("doors.past_ms", doors.past_ms, 1_000..=300_000),
            ("doors.units_per_second", u64::from(doors.units_per_second), 1..=u64::from(u32::MAX)),
            ("doors.units_at_once", u64::from(doors.units_at_once), 1..=u64::from(u32::MAX)),
            ("doors.connections", doors.connections as u64, 1..=1_000_000),
            ("doors.headers_seconds", doors.headers_seconds, 1..=600),
        ];
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                bail!("`{name}` is {value}: expected {} to {}", range.start(), range.end());
            }
        }
        self.intake.check()?;
        self.webhooks.check()?;
        if let Some(postgres) = &self.postgres {
            postgres.check()?;
        }
        if let Some(signer) = &self.signer {
            signer.check(doors.chain)?;
        }
        for (asset, feed) in &self.charter.feeds {
            if feed.quorum as usize > feed.sources.len() {
                bail!("feeds.{asset}: a quorum of {} among {} sources", feed.quorum, feed.sources.len());
            }
        }
        if self.charter.feeds.is_empty() {
            bail!("`feeds` names no asset: there is nothing to margin");
        }
        Ok(())
    }
}

/// Mango's own speeds, which the stable price has unless it is told otherwise.
pub fn stable() -> StableTerms {
    StableTerms {
        delay_interval: 3_600,
        delay_growth_limit: plimsoll_types::Fixed::ratio(6, 100),
        stable_growth_limit: plimsoll_types::Fixed::ratio(3, 10_000),
        min_dt: 10,
        max_dt: 600,
    }
}

/// The limits of every feed: the defaults, what `[feed]` says, what its own table says.
fn feeds(raw: &Raw) -> anyhow::Result<BTreeMap<Asset, FeedParams>> {
    let each = |(asset, own): (&Asset, &Table)| {
        let common: FeedParams = above(&FeedParams::default(), &raw.feed).context("feed")?;
        let feed = above(&common, own).with_context(|| format!("feeds.{asset}"))?;
        if feed.sources.is_empty() {
            bail!("feeds.{asset}: `sources` names nobody");
        }
        Ok((asset.clone(), feed))
    };
    raw.feeds.iter().map(each).collect()
}

/// A value with some of its fields stated otherwise.
fn above<T: Serialize + DeserializeOwned>(base: &T, stated: &Table) -> anyhow::Result<T> {
    // By way of JSON, since TOML has no integers of 128 bits.
    let mut all = serde_json::to_value(base)?;
    for (key, value) in stated {
        all[key] = serde_json::to_value(value)?;
    }
    Ok(serde_json::from_value(all)?)
}

/// What follows a liquidation; its money is a decimal of the valuation currency.
fn liquidation(stated: &Table, params: &str) -> anyhow::Result<LiquidationRules> {
    let mut stated = stated.clone();
    let limit = stated.remove("backstop_loss_max");
    let mut rules: LiquidationRules = above(&LiquidationRules::default(), &stated)?;
    if let Some(limit) = limit {
        let text = limit.as_str().context("`backstop_loss_max` is a decimal in text")?;
        let units = ParamSet::from_toml(params, "margin.params")?.units;
        let tick = Decimal::ONE.checked_div(Decimal::from(units.ticks_per_unit)).context("ticks_per_unit")?;
        rules.backstop_loss_max = Ticks(parse_scaled(text, tick).context("backstop_loss_max")?);
    }
    Ok(rules)
}

/// The text of what ships by this name, else of a file.
fn named(field: &str, name: &str, shipped: &[(&str, &str)], folder: &Path) -> anyhow::Result<String> {
    if let Some((_, text)) = shipped.iter().find(|(known, _)| *known == name) {
        return Ok((*text).to_owned());
    }
    let path = folder.join(name);
    let known: Vec<&str> = shipped.iter().map(|(name, _)| *name).collect();
    std::fs::read_to_string(&path)
        .with_context(|| format!("`{field}` is `{name}`: no file, and none of {}", known.join(", ")))
}

/// Puts what the environment says where its name points. A part of a name is that of a key that is there, in whatever case,
/// else in lower case.
fn put(table: &mut Table, name: &str, value: &str) -> anyhow::Result<()> {
    let mut parts: Vec<&str> = name.trim_start_matches(PREFIX).split("__").collect();
    let last = parts.pop().filter(|part| !part.is_empty());
    let Some(last) = last else { bail!("`{name}` names nothing") };
    let mut at = table;
    for part in parts {
        let key = key_of(at, part);
        let next = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = next else { bail!("`{name}`: `{part}` is no table") };
        at = next;
    }
    let key = key_of(at, last);
    at.insert(key, read(value));
    Ok(())
}

fn key_of(table: &Table, part: &str) -> String {
    let there = table.keys().find(|key| key.eq_ignore_ascii_case(part));
    there.cloned().unwrap_or_else(|| part.to_ascii_lowercase())
}

/// A TOML value where it is one, else text.
fn read(value: &str) -> Value {
    let parsed: Result<Table, _> = format!("x = {value}").parse();
    let found = parsed.ok().filter(|table| table.len() == 1).and_then(|mut table| table.remove("x"));
    found.unwrap_or_else(|| Value::String(value.to_owned()))
}
