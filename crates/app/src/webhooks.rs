//! Webhooks: what happens, told to somebody else's server.
//!
//! **The one idea:** the engine hands over what happened and goes on. What is told waits in a queue of its own for each receiver, in
//! order; one that is full leaves out what is new and says how much, and nobody waits for it.
//!
//! **Must never know:** what is decided on what is told.

use crate::doors::Keyring;
use crate::host::{self, Applied, Listener, Shared};
use crate::wire;
use anyhow::{Context, bail};
use hmac::{Hmac, Mac};
use plimsoll_client::scram::hex;
use plimsoll_engine::live::{Effect, Standing};
use plimsoll_feeds::address::{Allowed, Endpoint, Scheme};
use plimsoll_feeds::link::{Backoff, post, system_roots};
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

/// A receiver's end of the queue.
struct Queue {
    hook: Hook,
    waiting: mpsc::Receiver<Arc<Applied>>,
    /// Events left out since the last message.
    missed: Arc<AtomicU64>,
}

/// The receivers of a configuration, before they are told anything.
pub struct Webhooks {
    queues: Vec<Queue>,
    allowed: Allowed,
    identity: String,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhooks {{ queues: {} }}", self.queues.len())
    }
}

impl Webhooks {
    /// Those of a configuration, with what the engine's thread calls. Ids begin with the identity of the journal.
    ///
    /// # Errors
    /// As [`WebhooksConfig::check`].
    pub fn new(config: &WebhooksConfig, identity: &str) -> anyhow::Result<(Self, Vec<Listener>)> {
        let (mut queues, mut listeners) = (Vec::new(), Vec::new());
        for name in config.hooks.keys() {
            let hook = config.hook(name)?;
            let (tell, waiting) = mpsc::channel(hook.config.queue);
            let missed = Arc::new(AtomicU64::new(0));
            listeners.push(listener(hook.config.kinds.clone(), tell, Arc::clone(&missed)));
            queues.push(Queue { hook, waiting, missed });
        }
        let (allowed, identity) = (config.allowed.clone(), identity.to_owned());
        Ok((Self { queues, allowed, identity }, listeners))
    }

    /// Starts a task for each receiver; they end with the runtime.
    ///
    /// # Errors
    /// When the machine trusts nobody.
    pub fn start(self, shared: &Arc<Shared>, on: &Handle) -> anyhow::Result<()> {
        if self.queues.is_empty() {
            return Ok(());
        }
        let tls = system_roots().map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        for queue in self.queues {
            let (shared, allowed) = (Arc::clone(shared), self.allowed.clone());
            let sender = Sender { shared, allowed, tls: Arc::clone(&tls), identity: self.identity.clone() };
            on.spawn(queue.run(sender));
        }
        Ok(())
    }
}

/// Puts what a receiver wants to hear of in its queue, where there is room.
fn listener(kinds: BTreeSet<Topic>, tell: mpsc::Sender<Arc<Applied>>, missed: Arc<AtomicU64>) -> Listener {
    Box::new(move |_, applied| {
        let wanted = |effect: &Effect| Topic::of(effect).is_some_and(|topic| kinds.contains(&topic));
        if applied.effects.iter().any(wanted) && tell.try_send(Arc::clone(applied)).is_err() {
            missed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("plimsoll_webhook_missed_total").increment(1);
        }
    })
}

/// What every message is sent with.
struct Sender {
    shared: Arc<Shared>,
    allowed: Allowed,
    tls: Arc<rustls::ClientConfig>,
    identity: String,
}

impl Queue {
    async fn run(mut self, sender: Sender) {
        while let Some(applied) = self.waiting.recv().await {
            for (place, effect) in applied.effects.iter().enumerate() {
                let topic = Topic::of(effect).filter(|topic| self.hook.config.kinds.contains(topic));
                if let Some(topic) = topic {
                    let missed = self.missed.swap(0, Ordering::Relaxed);
                    let body = message(&sender, &applied, (place, topic, effect), missed).to_string();
                    if !self.hook.tell(&sender, body.as_bytes()).await {
                        self.missed.fetch_add(missed + 1, Ordering::Relaxed);
                        metrics::counter!("plimsoll_webhook_missed_total").increment(1);
                    }
                }
            }
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
        "id": format!("{}-{}-{place}", sender.identity, applied.sequence),
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
