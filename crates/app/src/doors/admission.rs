//! A request at the door: whose it is, and whether it may go on.

use super::depth::is_too_deep;
use super::keyring::{Entry, Keyring};
use super::nonces::Nonces;
use super::quota::Quotas;
use super::roles::{Need, Role, Scope, route};
use super::typed::{VALID_MS_MAX, is_signed};
use super::{DoorsConfig, Public};
use crate::host::{self, By};
use crate::serve::Problem;
use crate::wire::EventBody;
use arc_swap::ArcSwap;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use plimsoll_client::scram::{Request as Proved, unhex};
use plimsoll_feeds::evm;
use plimsoll_types::{AccountId, Timestamp};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What stands open to somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Everything: there are no keys here.
    All,
    /// What needs nothing.
    Nothing,
    /// What a role may.
    As(Role),
}

/// Whoever asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The key's name; nothing without a key.
    pub key: Option<String>,
    /// What it proved itself with.
    pub proof: Option<String>,
    access: Access,
    scope: Scope,
    /// Whose quota.
    payer: String,
}

impl Caller {
    /// Who hands in what it hands in.
    pub fn by(&self) -> Option<By> {
        self.key.clone().map(|key| By { key, proof: self.proof.clone() })
    }

    /// Whether it may do what is needed.
    pub fn may(&self, need: Need) -> bool {
        match self.access {
            Access::All => true,
            Access::Nothing => need == Need::Nothing,
            Access::As(role) => {
                need.is_met_by(role) && (need != Need::Everybody || self.scope.sees_everybody(role))
            }
        }
    }

    /// Whether it may see an account.
    pub fn sees(&self, account: &AccountId) -> bool {
        match self.access {
            Access::All => true,
            Access::Nothing => false,
            Access::As(role) => self.scope.sees(role, account),
        }
    }

    /// The one account that its key is for, where it is for one.
    pub fn own_account(&self) -> Option<&AccountId> {
        match &self.scope.accounts[..] {
            [account] => Some(account),
            _ => None,
        }
    }

    /// Accounts that it was given by name.
    pub fn accounts(&self) -> &[AccountId] {
        &self.scope.accounts
    }

    /// Whether it may hand in an event.
    pub fn may_say(&self, event: &EventBody) -> bool {
        let need = Need::of(event);
        self.may(need) && (self.access == Access::All || need != Need::Feed || self.scope.feeds(event))
    }
}

/// A caller that was admitted; nobody is where nobody asked.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unknown)
    }
}

/// What stands at the door.
#[derive(Debug)]
pub struct Doors {
    config: DoorsConfig,
    audience: String,
    body_bytes_max: usize,
    ring: Option<Ring>,
    nonces: Nonces,
    quotas: Quotas,
}

/// The keyring, read anew when its file changes.
#[derive(Debug)]
struct Ring {
    path: PathBuf,
    keys: ArcSwap<Keyring>,
    looked: Mutex<(std::time::Instant, Option<SystemTime>)>,
}

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Ring {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        let changed = changed(&path);
        let keys = ArcSwap::from_pointee(Keyring::read(&path)?);
        Ok(Self { path, keys, looked: Mutex::new((host::moment(), changed)) })
    }

    fn keys(&self) -> Arc<Keyring> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.0.elapsed() >= LOOK {
            let changed = changed(&self.path);
            if changed != looked.1 {
                self.renew();
            }
            *looked = (host::moment(), changed);
        }
        self.keys.load_full()
    }

    fn renew(&self) {
        match Keyring::read(&self.path) {
            Ok(keys) => {
                tracing::info!(keys = keys.keys.len(), "the keyring was read anew");
                self.keys.store(Arc::new(keys));
            }
            // A file that cannot be read opens nothing.
            Err(error) => {
                tracing::error!(%error, "no keyring: no key opens anything");
                self.keys.store(Arc::default());
            }
        }
    }
}

fn changed(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

impl Doors {
    /// Doors for the service of an identity.
    ///
    /// # Errors
    /// When the keyring is not readable.
    pub fn new(
        config: &DoorsConfig,
        audience: &str,
        body_bytes_max: usize,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            config: config.clone(),
            audience: audience.to_owned(),
            body_bytes_max,
            ring: config.keys.clone().map(Ring::open).transpose()?,
            nonces: Nonces::new(now, config.past_ms),
            quotas: Quotas::new(config.units_per_second, config.units_at_once),
        })
    }

    /// Whom proofs are for.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Takes units of work from a caller's quota.
    ///
    /// # Errors
    /// When there are not as many left.
    pub fn pay(&self, caller: &Caller, units: u32) -> Result<(), Problem> {
        if self.quotas.take(&caller.payer, units) {
            return Ok(());
        }
        metrics::counter!("plimsoll_over_quota_total").increment(1);
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota", "more work than this key may ask for"))
    }

    /// Refuses what another page has a browser send: it says so in `Origin`, and where there are no keys, a name that somebody else
    /// lets stand for this machine is told by `Host`.
    fn addressed(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
        let (origin, host) = (text(header::ORIGIN), text(header::HOST));
        let page = |origin: &str| origin.split_once("://").map(|(_, authority)| authority.to_owned());
        let own = origin.is_none_or(|origin| page(origin).as_deref() == host);
        let here = self.ring.is_some() || host.is_none_or(is_loopback);
        let refused =
            || Problem::new(StatusCode::FORBIDDEN, "origin", "asked for by a page of another server");
        (own && here).then_some(()).ok_or_else(refused)
    }

    /// Whoever proves to be somebody by what stands in the head of a request.
    fn caller(&self, parts: &Parts, body: &[u8], need: Need, now: Timestamp) -> Result<Caller, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|at| at.0.ip().to_string());
        let payer = peer.unwrap_or_default();
        let stranger = |access, everybody| Caller {
            key: None,
            proof: None,
            access,
            scope: Scope { everybody, ..Scope::default() },
            payer: payer.clone(),
        };
        if self.ring.is_none() {
            return Ok(stranger(Access::All, false));
        }
        if let Some(claim) = Claim::of(&parts.headers)? {
            let of = Asked {
                verb: parts.method.as_str(),
                path: parts.uri.path(),
                query: parts.uri.query().unwrap_or_default(),
                body,
            };
            return self.known(&claim, of, need.is_reading(), now);
        }
        match self.config.public {
            Public::Nothing if need == Need::Nothing => Ok(stranger(Access::Nothing, false)),
            Public::Nothing => Err(unknown()),
            Public::Market => Ok(stranger(Access::As(Role::Reader), false)),
            Public::Everything => Ok(stranger(Access::As(Role::Reader), true)),
        }
    }

    /// Whoever a claim is of, if it is proved.
    fn known(
        &self,
        claim: &Claim<'_>,
        of: Asked<'_>,
        reading: bool,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        let Some(ring) = &self.ring else { return Err(unknown()) };
        let (keys, nobody) = (ring.keys(), nobody());
        let known = keys.keys.get(claim.key);
        let entry = known.unwrap_or(&nobody);
        let proved = match &claim.by {
            // What a secret in plain is good for ends at reading: it says nothing of the request that it came with.
            Means::Secret(secret) => reading && entry.is_secret(secret),
            Means::Proof { time_ms, nonce, proof } => {
                let message = of.proved(*time_ms, *nonce, &self.audience).message();
                entry.is_proof(&message, proof)
                    && self.nonces.is_timely(*time_ms, now)
                    && self.nonces.take(claim.key, *nonce)
            }
            Means::Signature { time_ms, nonce, valid_until_ms, signature } => {
                let request = of.proved(*time_ms, *nonce, &self.audience);
                let until = *valid_until_ms;
                self.nonces.is_timely(*time_ms, now)
                    && (*time_ms..=time_ms.saturating_add(VALID_MS_MAX)).contains(&until)
                    && u64::try_from(now.nanos() / 1_000_000).is_ok_and(|now| now <= until)
                    && self.is_signed(entry, &request, (until, signature))
                    && self.nonces.take(claim.key, *nonce)
            }
        };
        if !(proved && known.is_some() && entry.is_good(now)) {
            return Err(unknown());
        }
        let key = claim.key.to_owned();
        Ok(Caller {
            proof: claim.proof(),
            access: Access::As(entry.role),
            scope: entry.scope.clone(),
            payer: format!("key {key}"),
            key: Some(key),
        })
    }

    /// Whether a session key signed a request.
    fn is_signed(&self, entry: &Entry, request: &Proved<'_>, (until, signature): (u64, &[u8])) -> bool {
        let signer = self.config.chain.as_ref().zip(entry.address);
        signer.is_some_and(|(chain, address)| is_signed(address, request, until, signature, chain))
    }

    /// Whoever says so on a WebSocket: the proof or signature is of its `GET`.
    ///
    /// # Errors
    /// When it is not proved.
    pub fn at_socket(&self, path: &str, by: &SocketClaim) -> Result<Caller, Problem> {
        let asked = Asked { verb: "GET", path, query: "", body: &[] };
        self.known(&by.claim()?, asked, true, host::now())
    }

    /// Whether a caller's key still opens what it opened.
    pub fn is_still_good(&self, caller: &Caller) -> bool {
        match (&self.ring, &caller.key) {
            (Some(ring), Some(key)) => {
                ring.keys().keys.get(key).is_some_and(|entry| entry.is_good(host::now()))
            }
            _ => true,
        }
    }

    /// Lets a request in, with its caller, or says why not.
    async fn admit(&self, request: Request) -> Result<Request, Problem> {
        let (mut parts, body) = request.into_parts();
        if parts.headers.contains_key(header::CONTENT_ENCODING) {
            let why = "a body is read as it is: no encoding is";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", why));
        }
        self.addressed(&parts.headers)?;
        let body: Bytes =
            to_bytes(body, self.body_bytes_max).await.map_err(|_| too_long(self.body_bytes_max))?;
        let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let asked = asked(parts.method.as_str(), path.as_deref());
        let needed = asked.map_or(Need::Market, |(need, _)| need);
        let caller = self.caller(&parts, &body, needed, host::now())?;
        // What has no row opens to nobody; without keys the router itself says what it thinks of it.
        if !(caller.may(needed) && (asked.is_some() || self.ring.is_none())) {
            return Err(forbidden());
        }
        if needed == Need::Account {
            own(&caller, &parts)?;
        }
        self.pay(&caller, asked.map_or(1, |(_, units)| units))?;
        if is_too_deep(&body) {
            return Err(Problem::argument("more than 32 brackets within each other"));
        }
        parts.extensions.insert(caller);
        Ok(Request::from_parts(parts, Body::from(body)))
    }
}

/// Whether a `Host` is this machine by a name that nobody else gives it.
fn is_loopback(host: &str) -> bool {
    let name = host.parse::<SocketAddr>().map_or_else(
        |_| host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']).to_owned(),
        |address| address.ip().to_string(),
    );
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An account that one may not see is answered like one that is not there.
fn own(caller: &Caller, parts: &Parts) -> Result<(), Problem> {
    let Some(name) = parts.uri.path().split('/').nth(3) else { return Err(forbidden()) };
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    match AccountId::new(&name) {
        Ok(account) if !caller.sees(&account) => Err(Problem::unknown_account(&account)),
        // What is no name is refused by whoever reads it.
        _ => Ok(()),
    }
}

/// What a path needs and costs; the pages that say what there is need nothing.
fn asked(verb: &str, path: Option<&str>) -> Option<(Need, u32)> {
    let verb = if verb == "HEAD" { "GET" } else { verb };
    let page = |path: &str| {
        matches!(path, "/" | "/app.js" | "/app.css" | "/openapi.json") || path.starts_with("/docs")
    };
    match path {
        // Nothing is there, and that is said.
        None => Some((Need::Nothing, 1)),
        Some(path) if page(path) && verb == "GET" => Some((Need::Nothing, 1)),
        Some(path) => route(verb, path).map(|route| (route.need, route.units)),
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    verb: &'a str,
    path: &'a str,
    query: &'a str,
    body: &'a [u8],
}

impl<'a> Asked<'a> {
    /// What a proof of it is of.
    fn proved(&self, time_ms: u64, nonce: u64, audience: &'a str) -> Proved<'a> {
        let Self { verb, path, query, body } = *self;
        Proved { verb, path, query, body, time_ms, nonce, audience }
    }
}

/// What somebody says on a WebSocket to be known: what a request says in its head.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(untagged)]
pub enum SocketClaim {
    /// By a secret.
    Secret(SecretClaim),
    /// By a session key.
    Session(SessionClaim),
}

/// A proof with a secret.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretClaim {
    /// The key's name.
    pub key: String,
    /// Milliseconds since 1970.
    pub time: u64,
    /// A number that this key has not used.
    pub nonce: u64,
    /// The proof, hexadecimal.
    pub proof: String,
}

/// A signature of typed data.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionClaim {
    /// The account that signs: the key's name.
    pub address: String,
    /// Milliseconds since 1970.
    pub time: u64,
    /// A number that this key has not used.
    pub nonce: u64,
    /// Milliseconds since 1970.
    pub valid_until: u64,
    /// 65 bytes, hexadecimal.
    pub signature: String,
}

impl SocketClaim {
    /// As a request's head would claim it.
    fn claim(&self) -> Result<Claim<'_>, Problem> {
        match self {
            Self::Secret(SecretClaim { key, time, nonce, proof }) => {
                let proof = unhex(proof).ok_or_else(unknown)?;
                Ok(Claim { key, by: Means::Proof { time_ms: *time, nonce: *nonce, proof } })
            }
            Self::Session(SessionClaim { address, time, nonce, valid_until, signature }) => {
                let signature = evm::unhex(signature).map_err(|_| unknown())?;
                let (time_ms, nonce, valid_until_ms) = (*time, *nonce, *valid_until);
                Ok(Claim { key: address, by: Means::Signature { time_ms, nonce, valid_until_ms, signature } })
            }
        }
    }
}

/// What stands in the head of a request.
struct Claim<'a> {
    key: &'a str,
    by: Means<'a>,
}

/// How it is to be believed.
enum Means<'a> {
    Secret(&'a str),
    Proof { time_ms: u64, nonce: u64, proof: [u8; 32] },
    Signature { time_ms: u64, nonce: u64, valid_until_ms: u64, signature: Vec<u8> },
}

impl<'a> Claim<'a> {
    /// Nothing where nobody claims anything.
    fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Problem> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().map_err(|_| unknown()));
        if let Some(bearer) = text("authorization").transpose()? {
            let found = bearer.strip_prefix("Bearer ").and_then(|token| token.split_once('.'));
            let (key, secret) = found.ok_or_else(unknown)?;
            return Ok(Some(Self { key, by: Means::Secret(secret) }));
        }
        let number = |name: &str| -> Result<u64, Problem> {
            text(name).transpose()?.and_then(|value| value.parse().ok()).ok_or_else(unknown)
        };
        if let Some(key) = text("plimsoll-address").transpose()? {
            let (time_ms, nonce) = (number("plimsoll-time")?, number("plimsoll-nonce")?);
            let signature = text("plimsoll-signature").transpose()?.ok_or_else(unknown)?;
            let signature = evm::unhex(signature).map_err(|_| unknown())?;
            let valid_until_ms = number("plimsoll-valid-until")?;
            return Ok(Some(Self {
                key,
                by: Means::Signature { time_ms, nonce, valid_until_ms, signature },
            }));
        }
        let Some(key) = text("plimsoll-key").transpose()? else { return Ok(None) };
        let (time_ms, nonce) = (number("plimsoll-time")?, number("plimsoll-nonce")?);
        let proof = text("plimsoll-proof").transpose()?.and_then(unhex).ok_or_else(unknown)?;
        Ok(Some(Self { key, by: Means::Proof { time_ms, nonce, proof } }))
    }

    fn proof(&self) -> Option<String> {
        match &self.by {
            Means::Secret(_) => None,
            Means::Proof { proof, .. } => Some(super::hex(proof)),
            Means::Signature { signature, .. } => Some(super::hex(signature)),
        }
    }
}

/// A key that nobody has, which takes as long to refuse.
fn nobody() -> Entry {
    Entry {
        label: String::new(),
        role: Role::Reader,
        scope: Scope::default(),
        stored: "0".repeat(64),
        address: None,
        created: Timestamp::from_nanos(0),
        expires: None,
        revoked: None,
    }
}

/// Whoever it is, it was not proved: never said why.
fn unknown() -> Problem {
    metrics::counter!("plimsoll_unauthorised_total").increment(1);
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", "no key, or not proved")
}

fn forbidden() -> Problem {
    metrics::counter!("plimsoll_forbidden_total").increment(1);
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "not for this key")
}

fn too_long(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", format!("longer than {limit} bytes, or cut short"))
}

/// The layer of the router.
pub async fn admitted(doors: Arc<Doors>, request: Request, next: Next) -> Response {
    match doors.admit(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
