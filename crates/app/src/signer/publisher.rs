//! The engine's side: what is in force is shown to the signer, and what it signed is kept to be told.
//!
//! **The one idea:** a thread of its own asks; the engine neither waits for a signature nor needs one. What comes back is verified before
//! anybody is told, so that what listens at the socket need not be trusted.

use super::document::Document;
use super::ledger::Signed;
use super::socket::{Answer, Ask, ask};
use crate::doors::Chain;
use crate::host::{self, Shared};
use anyhow::{Context, bail};
use plimsoll_engine::live::Reject;
use plimsoll_feeds::evm::{Address, recover, unhex};
use plimsoll_feeds::signed::Domain;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use utoipa::ToSchema;

/// Looks that are left out after a refusal: it may have been of the rate, or of what was published.
const AFTER_REFUSAL: u32 = 10;

/// `[signer]` of the server's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// Where the signer listens.
    pub socket: PathBuf,
    /// Whose signatures are published.
    pub address: Address,
    /// Milliseconds from one look at the parameters to the next.
    #[serde(default = "every_ms")]
    pub every_ms: u64,
    /// For how long a document is good, seconds; after half of it, it is signed anew.
    #[serde(default = "valid_seconds")]
    pub valid_seconds: i64,
}

fn every_ms() -> u64 {
    1_000
}

fn valid_seconds() -> i64 {
    86_400
}

impl SignerConfig {
    /// With the files it names beside the configuration's own.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        self.socket = folder.join(&self.socket);
        self
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// By the name of the key.
    pub fn check(&self, chain: Option<Chain>) -> anyhow::Result<()> {
        if !(10..=3_600_000).contains(&self.every_ms) {
            bail!("`signer.every_ms` is {}: expected 10 to 3600000", self.every_ms);
        }
        if !(60..=2_592_000).contains(&self.valid_seconds) {
            bail!("`signer.valid_seconds` is {}: expected 60 to 2592000", self.valid_seconds);
        }
        chain.map(drop).context("`signer` needs `doors.chain`: signatures are good for one domain")
    }
}

/// How publishing stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PublishedStanding)]
pub enum Standing {
    /// No signer is configured.
    #[default]
    Off,
    /// No parameter is in force yet, or nobody was asked.
    Waiting,
    /// What is in force is signed.
    Signed,
    /// The signer does not sign it.
    Refused,
    /// The signer does not answer, or answers what is not its own.
    Away,
}

/// What was published, and how it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub struct Published {
    /// Whether what is in force is signed.
    pub standing: Standing,
    /// The last document that was signed, and its signature; it may be older than what is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Signed>,
    /// Why the signer does not sign what is in force: a stable word and the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub refusal: Option<Reject>,
}

/// What everybody who asks is told.
#[derive(Debug, Default)]
pub struct Publication(Mutex<Published>);

impl Publication {
    /// As it stands.
    pub fn read(&self) -> Published {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, of: Published) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = of;
    }
}

/// The thread that asks.
#[derive(Debug)]
pub struct Publisher {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Publisher {
    /// Starts it, for the service of an identity. A signer that is away is waited for, however long.
    ///
    /// # Errors
    /// When there is no domain, or the thread does not start.
    pub fn start(
        config: &SignerConfig,
        (identity, chain): (&str, Option<Chain>),
        shared: &Arc<Shared>,
        publication: Arc<Publication>,
    ) -> anyhow::Result<Self> {
        config.check(chain)?;
        let domain = chain.context("`doors.chain`")?.domain(identity);
        let (stop, stopped) = channel();
        let mut asking = Asking {
            config: config.clone(),
            domain,
            shared: Arc::clone(shared),
            publication,
            last: None,
            begun: false,
        };
        let run = move || asking.run(&stopped);
        let spawned = std::thread::Builder::new().name("publisher".to_owned()).spawn(run);
        Ok(Self { stop, thread: spawned.context("the thread that publishes")? })
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that publishes panicked");
        }
    }
}

struct Asking {
    config: SignerConfig,
    domain: Domain,
    shared: Arc<Shared>,
    publication: Arc<Publication>,
    last: Option<Signed>,
    /// Whether the signer was asked what it signed last.
    begun: bool,
}

impl Asking {
    fn run(&mut self, stopped: &Receiver<()>) {
        self.publication.write(Published { standing: Standing::Waiting, ..Published::default() });
        let every = Duration::from_millis(self.config.every_ms);
        loop {
            let (standing, refusal) = self.look();
            let looks = if standing == Standing::Refused { AFTER_REFUSAL } else { 1 };
            self.say(standing, refusal);
            if !matches!(stopped.recv_timeout(every * looks), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// Has signed what is in force, if it is not.
    fn look(&mut self) -> (Standing, Option<Reject>) {
        match self.signed() {
            Ok(standing) => standing,
            Err(error) => {
                metrics::counter!("plimsoll_signer_errors_total").increment(1);
                if self.publication.read().standing != Standing::Away {
                    tracing::warn!("nothing is signed: {error:#}");
                }
                (Standing::Away, None)
            }
        }
    }

    fn signed(&mut self) -> anyhow::Result<(Standing, Option<Reject>)> {
        if !self.begun {
            self.last = match self.ask(&Ask::Last {})? {
                Answer::Signed(signed) => Some(self.verified(*signed)?),
                Answer::Refused(refused) => bail!("{refused}"),
                Answer::Nothing => None,
            };
            self.begun = true;
        }
        let Some(document) = self.due() else {
            let standing = if self.last.is_some() { Standing::Signed } else { Standing::Waiting };
            // A signer that nobody needs just now may still have gone, or have become another.
            let known = match self.ask(&Ask::Last {})? {
                Answer::Signed(signed) => self.last.as_ref() == Some(&*signed),
                Answer::Nothing => self.last.is_none(),
                Answer::Refused(_) => false,
            };
            if !known {
                bail!("whoever answers does not know what was signed last");
            }
            return Ok((standing, None));
        };
        match self.ask(&Ask::Sign { document: document.clone() })? {
            Answer::Signed(signed) if signed.document == document => {
                self.last = Some(self.verified(*signed)?);
                Ok((Standing::Signed, None))
            }
            Answer::Refused(refused) => {
                let code = refused.code.clone();
                metrics::counter!("plimsoll_signer_refusals_total", "code" => code).increment(1);
                tracing::warn!(code = refused.code, detail = refused.detail, "the signer refuses");
                Ok((Standing::Refused, Some(refused)))
            }
            Answer::Signed(_) | Answer::Nothing => bail!("another document was signed"),
        }
    }

    fn ask(&self, question: &Ask) -> anyhow::Result<Answer> {
        ask(&self.config.socket, question)
    }

    /// What is in force, where it is not what was signed last or that is half as old as it may become.
    fn due(&self) -> Option<Document> {
        let course = self.shared.course();
        let (state, sequence) = (course.engine.state(), course.sequence);
        let half = self.config.valid_seconds / 2;
        let good = self.last.as_ref().is_some_and(|Signed { document, .. }| {
            document.version == state.policy.board().version() && state.now < document.time.plus_seconds(half)
        });
        if good || state.policy.board().parameters().is_empty() {
            return None;
        }
        Some(Document::of(state, sequence, self.config.valid_seconds))
    }

    /// What is signed by whom it should be.
    fn verified(&self, signed: Signed) -> anyhow::Result<Signed> {
        let bytes = unhex(&signed.signature).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let signer = recover(&signed.document.hash(&self.domain), &bytes);
        let signer = signer.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        if signer != self.config.address || signed.signer != signer {
            bail!("signed by {signer}, and not by {}", self.config.address);
        }
        Ok(signed)
    }

    fn say(&self, standing: Standing, refusal: Option<Reject>) {
        let up = if matches!(standing, Standing::Away) { 0.0 } else { 1.0 };
        metrics::gauge!("plimsoll_signer_up").set(up);
        let current = if matches!(standing, Standing::Signed) { 1.0 } else { 0.0 };
        metrics::gauge!("plimsoll_published_current").set(current);
        if let Some(Signed { document, .. }) = &self.last {
            let left = host::now().seconds_until(document.valid_until);
            metrics::gauge!("plimsoll_published_sequence").set(document.sequence as f64);
            metrics::gauge!("plimsoll_published_version").set(document.version as f64);
            metrics::gauge!("plimsoll_published_valid_seconds").set(left);
        }
        self.publication.write(Published { standing, last: self.last.clone(), refusal });
    }
}
