//! Webhooks: what happens, told to somebody else's server.
//!
//! **The one idea:** the engine hands over what happened and goes on. What is told waits in a queue of its own for each receiver, in
//! order; one that is full leaves out what is new and says how much, and nobody waits for it. What waited when the server stopped is found
//! again in the journal.
//!
//! **Must never know:** what is decided on what is told.

mod position;

use crate::doors::Keyring;
use crate::host::{self, Applied, JournalConfig, Listener, Shared};
use crate::wire;
use anyhow::{Context, bail};
use hmac::{Hmac, Mac};
use plimsoll_client::scram::hex;
use plimsoll_engine::live::{Effect, Standing};
use plimsoll_feeds::address::{Allowed, Endpoint, Scheme};
use plimsoll_feeds::link::{Backoff, post, system_roots};
use position::{Kept, Position, since};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// A receiver that has nothing to hear of is said to have heard it so often.
const IDLE: Duration = Duration::from_secs(1);

/// The shortest secret, bytes: that of the hash.
const SECRET_BYTES_MIN: usize = 32;

/// What one may be told of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Accounts that no longer cover initial margin, or cover it again.
    Calls,
    /// Accounts that are to be liquidated, plans, takeovers, deleveraging, covered debts.
    Liquidations,
    /// Decisions on parameters.
    Parameters,
}

impl Topic {
    fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Standing { from, to, .. } => {
                let ends =
                    |standing: &Standing| matches!(standing, Standing::Liquidatable | Standing::Insolvent);
                Some(if ends(from) || ends(to) { Self::Liquidations } else { Self::Calls })
            }
            Effect::Liquidate { .. }
            | Effect::Seized { .. }
            | Effect::Covered { .. }
            | Effect::Deleveraged { .. } => Some(Self::Liquidations),
            Effect::Parameters { .. } => Some(Self::Parameters),
            _ => None,
        }
    }
}

/// `[webhooks.NAME]`: somebody who is told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where: `https`, at a host of `reach.hosts`; plain on this machine where `reach.loopback` lets it.
    pub url: String,
    /// The file of the secret that messages are signed with; nobody else may read it.
    pub secret: PathBuf,
    /// Of what.
    pub kinds: BTreeSet<Topic>,
    /// Messages that may wait.
    #[serde(default = "queue")]
    pub queue: usize,
    /// How often a message is sent, at most.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// The first wait between two attempts, milliseconds; it doubles to a minute.
    #[serde(default = "retry_ms")]
    pub retry_ms: u64,
    /// How long an answer may take, milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

fn queue() -> usize {
    1_024
}

fn attempts() -> u32 {
    20
}

fn retry_ms() -> u64 {
    500
}

fn timeout_ms() -> u64 {
    5_000
}

/// Webhooks of a configuration, and where they may go.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct WebhooksConfig {
    /// By name.
    pub hooks: BTreeMap<String, WebhookConfig>,
    /// What `[reach]` lets through.
    pub allowed: Allowed,
}

impl WebhooksConfig {
    /// With the files it names beside the configuration's own.
    pub fn beside(mut self, folder: &Path) -> Self {
        for hook in self.hooks.values_mut() {
            hook.secret = folder.join(&hook.secret);
        }
        self
    }

    /// Refuses what cannot be told to anybody.
    ///
    /// # Errors
    /// An address that may not be reached, a secret that is not there, short or open to others, what is out of range, by its name.
    pub fn check(&self) -> anyhow::Result<()> {
        self.hooks.iter().try_for_each(|(name, _)| self.hook(name).map(drop))
    }

    fn hook(&self, name: &str) -> anyhow::Result<Hook> {
        let at = || format!("webhooks.{name}");
        let config = self.hooks.get(name).with_context(at)?.clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.len() > 64 || !name.chars().all(plain) {
            bail!("{}: a name of at most 64 letters, digits, `_` and `-`", at());
        }
        let endpoint = Endpoint::read(&config.url, &self.allowed)
            .map_err(|refusal| anyhow::anyhow!("{refusal}"))
            .with_context(at)?;
        if endpoint.scheme != Scheme::Http {
            bail!("{}: a webhook is sent over https", at());
        }
        let ranges = (1..=100_000).contains(&config.queue)
            && (1..=100).contains(&config.attempts)
            && (1..=60_000).contains(&config.retry_ms)
            && (1..=60_000).contains(&config.timeout_ms);
        if !ranges || config.kinds.is_empty() {
            bail!(
                "{}: kinds to tell of, a queue of 1 to 100000, 1 to 100 attempts, waits of 1 to 60000 ms",
                at()
            );
        }
        Keyring::private(&config.secret).with_context(at)?;
        let secret = std::fs::read_to_string(&config.secret).with_context(at)?.trim().to_owned();
        if secret.len() < SECRET_BYTES_MIN {
            bail!("{}: a secret of {} bytes: expected {SECRET_BYTES_MIN} at least", at(), secret.len());
        }
        let backoff = Backoff { first: Duration::from_millis(config.retry_ms), ..Backoff::default() };
        Ok(Hook { name: name.to_owned(), endpoint, secret: secret.into_bytes(), backoff, config })
    }
}

/// One receiver.
struct Hook {
    name: String,
    endpoint: Endpoint,
    secret: Vec<u8>,
    backoff: Backoff,
    config: WebhookConfig,
}

/// The signature of a message: HMAC-SHA256 of the instant in milliseconds, a point, and the body, hexadecimal.
pub fn signature(secret: &[u8], time_ms: i64, body: &[u8]) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    let signed = mac.chain_update(format!("{time_ms}.")).chain_update(body);
    Some(hex(&signed.finalize().into_bytes()))
}

/// How much of what happened a receiver has heard.
#[derive(Debug)]
struct Tally {
    /// Events left out since the last message.
    missed: AtomicU64,
    /// Events that are told now, wait, or came when nobody told them any more.
    pending: AtomicU64,
    /// The last record that the listener heard of: all of it is counted in `pending` or told.
    heard: AtomicU64,
    /// How far it was told.
    kept: Kept,
}

impl Tally {
    /// Where nothing waits, all that was heard is behind the receiver.
    fn settle(&self, heard: u64) {
        let at = self.kept.position().unwrap_or_default();
        if self.pending.load(Ordering::SeqCst) == 0 && heard > at.sequence {
            self.kept.advance(Position::whole(heard, at.given_up));
        }
    }

    fn leave_out(&self, events: u64) {
        self.missed.fetch_add(events, Ordering::Relaxed);
        metrics::counter!("plimsoll_webhook_missed_total").increment(events);
    }
}

/// A receiver's end of the queue.
struct Queue {
    hook: Hook,
    waiting: mpsc::Receiver<Arc<Applied>>,
    tally: Arc<Tally>,
}

/// The receivers of a configuration, before they are told anything.
pub struct Webhooks {
    queues: Vec<Queue>,
    allowed: Allowed,
    journal: JournalConfig,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhooks {{ queues: {} }}", self.queues.len())
    }
}

/// Receivers that are told.
#[derive(Debug)]
pub struct Told(Vec<Arc<Tally>>);

impl Told {
    /// Remembers who has heard all of it, once nothing more happens; what others have not is found again by the next start.
    pub fn settle(&self) {
        self.0.iter().for_each(|tally| tally.settle(tally.heard.load(Ordering::SeqCst)));
    }
}

impl Webhooks {
    /// Those of a configuration, with what the engine's thread calls. Ids begin with the identity of the journal, and how far each was told is
    /// kept beside it.
    ///
    /// # Errors
    /// As [`WebhooksConfig::check`]; a position that cannot be read.
    pub fn new(config: &WebhooksConfig, journal: &JournalConfig) -> anyhow::Result<(Self, Vec<Listener>)> {
        let (mut queues, mut listeners) = (Vec::new(), Vec::new());
        for name in config.hooks.keys() {
            let hook = config.hook(name)?;
            let (tell, waiting) = mpsc::channel(hook.config.queue);
            let tally = Arc::new(Tally {
                missed: AtomicU64::new(0),
                // What was not told before is one of them until it is found.
                pending: AtomicU64::new(1),
                heard: AtomicU64::new(0),
                kept: Kept::open(&journal.dir, name)?,
            });
            listeners.push(listener(hook.config.kinds.clone(), tell, Arc::clone(&tally)));
            queues.push(Queue { hook, waiting, tally });
        }
        Ok((Self { queues, allowed: config.allowed.clone(), journal: journal.clone() }, listeners))
    }

    /// Starts a task for each receiver; they end with the runtime. What was not told before comes first.
    ///
    /// # Errors
    /// When the machine trusts nobody.
    pub fn start(self, shared: &Arc<Shared>, on: &Handle) -> anyhow::Result<Told> {
        let told = Told(self.queues.iter().map(|queue| Arc::clone(&queue.tally)).collect());
        if self.queues.is_empty() {
            return Ok(told);
        }
        let tls = system_roots().map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        for queue in self.queues {
            let (shared, allowed) = (Arc::clone(shared), self.allowed.clone());
            let sender = Sender { shared, allowed, tls: Arc::clone(&tls), journal: self.journal.clone() };
            on.spawn(queue.run(sender));
        }
        Ok(told)
    }
}

/// Puts what a receiver wants to hear of in its queue, where there is room.
fn listener(kinds: BTreeSet<Topic>, tell: mpsc::Sender<Arc<Applied>>, tally: Arc<Tally>) -> Listener {
    Box::new(move |_, applied| {
        let wanted = |effect: &Effect| Topic::of(effect).is_some_and(|topic| kinds.contains(&topic));
        if applied.effects.iter().any(wanted) {
            tally.pending.fetch_add(1, Ordering::SeqCst);
            if let Err(TrySendError::Full(_)) = tell.try_send(Arc::clone(applied)) {
                tally.pending.fetch_sub(1, Ordering::SeqCst);
                tally.leave_out(1);
            }
        }
        tally.heard.store(applied.sequence, Ordering::SeqCst);
    })
}

/// What every message is sent with.
struct Sender {
    shared: Arc<Shared>,
    allowed: Allowed,
    tls: Arc<rustls::ClientConfig>,
    journal: JournalConfig,
}

impl Queue {
    async fn run(mut self, sender: Sender) {
        for applied in self.found(&sender).await {
            self.tell(&sender, &applied).await;
        }
        self.tally.pending.fetch_sub(1, Ordering::SeqCst);
        loop {
            let heard = self.tally.heard.load(Ordering::SeqCst);
            match tokio::time::timeout(IDLE, self.waiting.recv()).await {
                Ok(Some(applied)) => {
                    self.tell(&sender, &applied).await;
                    self.tally.pending.fetch_sub(1, Ordering::SeqCst);
                }
                Ok(None) => return,
                Err(_) => self.tally.settle(heard),
            }
        }
    }

    /// What was not told before the server stopped, from the journal; of a receiver that is new there is nothing.
    async fn found(&self, sender: &Sender) -> Vec<Arc<Applied>> {
        let until = sender.shared.applied();
        let Some(position) = self.tally.kept.position().filter(|at| at.sequence <= until) else {
            self.tally.kept.advance(Position::whole(until, 0));
            return Vec::new();
        };
        if position == Position::whole(until, position.given_up) {
            return Vec::new();
        }
        let (kinds, most) = (self.hook.config.kinds.clone(), self.hook.config.queue);
        let wanted = move |effect: &Effect| Topic::of(effect).is_some_and(|topic| kinds.contains(&topic));
        let dir = sender.journal.dir.clone();
        let read = move || since(&dir, (position, until), most, wanted);
        let done = tokio::task::spawn_blocking(read).await.map_err(anyhow::Error::from);
        match done.and_then(|done| done) {
            Ok((found, more)) => {
                if more > 0 {
                    self.tally.leave_out(more);
                }
                found
            }
            Err(error) => {
                tracing::warn!(webhook = self.hook.name, "what waited is not found again: {error:#}");
                self.tally.leave_out(1);
                self.tally.kept.advance(Position::whole(until, position.given_up));
                Vec::new()
            }
        }
    }

    /// Tells what a receiver wants to hear of an event, but for what it was told.
    async fn tell(&self, sender: &Sender, applied: &Applied) {
        for (place, effect) in applied.effects.iter().enumerate() {
            let at = self.tally.kept.position().unwrap_or_default();
            let topic = Topic::of(effect).filter(|topic| self.hook.config.kinds.contains(topic));
            let Some(topic) = topic.filter(|_| !at.is_past(applied.sequence, place)) else { continue };
            let missed = self.tally.missed.swap(0, Ordering::Relaxed).saturating_add(at.given_up);
            let body = message(sender, applied, (place, topic, effect), missed).to_string();
            let taken = self.hook.tell(sender, body.as_bytes()).await;
            if !taken {
                metrics::counter!("plimsoll_webhook_missed_total").increment(1);
            }
            let given_up = if taken { 0 } else { missed + 1 };
            self.tally.kept.advance(Position { sequence: applied.sequence, place: Some(place), given_up });
        }
    }
}

/// One effect, as it is told. The same effect has the same `id` however often it is sent.
fn message(
    sender: &Sender,
    applied: &Applied,
    (place, topic, effect): (usize, Topic, &Effect),
    missed: u64,
) -> Value {
    let units = sender.shared.course().engine.rules().params.units.clone();
    json!({
        "id": format!("{}-{}-{place}", sender.journal.identity, applied.sequence),
        "kind": topic,
        "missed": missed,
        "sequence": applied.sequence,
        "as_of": applied.at.to_string(),
        "snapshot": applied.snapshot.to_string(),
        "parameters": applied.parameters,
        "validity": applied.validity,
        "data": wire::effect(effect, &units),
    })
}

impl Hook {
    /// Sends a message until it is taken; whether it was.
    async fn tell(&self, sender: &Sender, body: &[u8]) -> bool {
        for attempt in 0..self.config.attempts {
            match self.send(sender, body).await {
                Ok(status) if (200..300).contains(&status) => return true,
                Ok(status) => tracing::warn!(webhook = self.name, status, attempt, "not taken"),
                Err(error) => tracing::warn!(webhook = self.name, %error, attempt, "not sent"),
            }
            metrics::counter!("plimsoll_webhook_failures_total").increment(1);
            tokio::time::sleep(self.backoff.wait(attempt, chance())).await;
        }
        false
    }

    async fn send(&self, sender: &Sender, body: &[u8]) -> anyhow::Result<u16> {
        let time_ms = host::now().nanos() / 1_000_000;
        let signature = signature(&self.secret, time_ms, body).context("no signature")?;
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("plimsoll-webhook-time", time_ms.to_string()),
            ("plimsoll-webhook-signature", signature),
        ];
        let sent = post(&self.endpoint, headers, body.to_vec(), (&sender.allowed, &sender.tls));
        let patience = Duration::from_millis(self.config.timeout_ms);
        let done = tokio::time::timeout(patience, sent).await.context("no answer in time")?;
        done.map_err(|refusal| anyhow::anyhow!("{refusal}"))
    }
}

/// Chance for the waits; where the machine has none they are the shortest.
fn chance() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_or(0, |()| u64::from_le_bytes(bytes))
}
