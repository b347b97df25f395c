//! What may be asked.

use crate::answers::{Account, Answer, Check, Margin, Outcome, Problem, Row, WhatIf};
use crate::scram::{Request, client_key, prove};
use crate::wire::Server;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What of a name may stand in a path as it is.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or key is none.
    #[error("{0}")]
    Address(String),
    /// Nothing came back.
    #[error("connection: {0}")]
    Connection(String),
    /// The server refused.
    #[error("{status} {}: {}", problem.code, problem.detail)]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        problem: Problem,
    },
    /// What came back is not of the form.
    #[error("answer: {0}")]
    Unreadable(String),
}

/// A key of a server, as its owner has it: what `plimsoll keys create` printed, with whom it is for.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// Whose service it is for: `journal.identity`.
    #[serde(default = "audience")]
    pub audience: String,
}

fn audience() -> String {
    "plimsoll".to_owned()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {{ key: {:?}, audience: {:?} }}", self.key, self.audience)
    }
}

/// A leg of a trade that is asked about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Leg {
    /// Of what.
    pub instrument: String,
    /// A decimal; bought > 0.
    pub quantity: String,
}

/// A server that is asked.
#[derive(Debug)]
pub struct Client {
    server: Server,
    key: Option<Key>,
    /// The last nonce that was used.
    nonce: AtomicU64,
}

impl Client {
    /// A client of the server at an address, which asks with a key or without one.
    ///
    /// # Errors
    /// [`ClientError::Address`] for an address that is none, a plain one that is not on this machine, a secret that is none.
    pub fn new(url: &str, key: Option<Key>) -> Result<Self, ClientError> {
        if key.as_ref().is_some_and(|key| client_key(&key.secret).is_none()) {
            return Err(ClientError::Address("the key's `secret` is none".to_owned()));
        }
        Ok(Self { server: Server::read(url)?, key, nonce: AtomicU64::new(0) })
    }

    /// The margin of an account, every number of it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn margin(&self, account: &str) -> Result<Answer<Margin>, ClientError> {
        self.get(&format!("/v1/accounts/{}/margin", named(account))).await
    }

    /// What an account holds and how it stands.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn account(&self, account: &str) -> Result<Answer<Account>, ClientError> {
        self.get(&format!("/v1/accounts/{}", named(account))).await
    }

    /// Accounts, the nearest to liquidation first, at most 1000.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn accounts(&self, limit: usize) -> Result<Answer<Vec<Row>>, ClientError> {
        self.get(&format!("/v1/accounts?order=risk&limit={limit}")).await
    }

    /// The parameters in force.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn parameters(&self) -> Result<Answer<Value>, ClientError> {
        self.get("/v1/parameters").await
    }

    /// Whether an account may do trades at the mark.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn check(&self, account: &str, legs: &[Leg]) -> Result<Answer<Check>, ClientError> {
        self.post(&format!("/v1/accounts/{}/check", named(account)), &json!({ "legs": legs })).await
    }

    /// What trades at the mark would make of an account.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn what_if(&self, account: &str, legs: &[Leg]) -> Result<Answer<WhatIf>, ClientError> {
        self.post(&format!("/v1/accounts/{}/what-if", named(account)), &json!({ "legs": legs })).await
    }

    /// Hands events in, in the form of `docs/server.md`; what became of each, in their order.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn submit(&self, events: &[Value]) -> Result<Vec<Outcome>, ClientError> {
        self.post("/v1/events", &json!({ "events": events })).await
    }

    /// What a path says.
    ///
    /// # Errors
    /// [`ClientError`]: nothing came back, a refusal, or what came back is not of the form.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(("GET", path), Vec::new()).await
    }

    /// What a path says to a body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ClientError> {
        self.ask(("POST", path), body.to_string().into_bytes()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        (verb, path): (&str, &str),
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let headers = self.signed((verb, path), &body)?;
        let (status, body) = self.server.send((verb, path), headers, body).await?;
        let unreadable = |e: serde_json::Error| ClientError::Unreadable(e.to_string());
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(unreadable);
        }
        let problem = serde_json::from_slice(&body).map_err(unreadable)?;
        Err(ClientError::Refused { status: status.as_u16(), problem })
    }

    /// What stands in the head of a request, so that it is known whose it is.
    fn signed(
        &self,
        (verb, target): (&str, &str),
        body: &[u8],
    ) -> Result<Vec<(&'static str, String)>, ClientError> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        #[expect(clippy::disallowed_methods, reason = "a request says when it is made")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let nonce = self.next(u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        let request = Request { verb, path, query, body, time_ms, nonce, audience: &key.audience };
        let proof = prove(&key.secret, &request.message());
        let proof = proof.ok_or_else(|| ClientError::Address("the key's `secret` is none".to_owned()))?;
        Ok(vec![
            ("plimsoll-key", key.key.clone()),
            ("plimsoll-time", time_ms.to_string()),
            ("plimsoll-nonce", nonce.to_string()),
            ("plimsoll-proof", proof),
        ])
    }

    /// A nonce above all before: the time, or one more.
    fn next(&self, now: u64) -> u64 {
        let above = |last: u64| Some(now.max(last.saturating_add(1)));
        match self.nonce.fetch_update(Ordering::Relaxed, Ordering::Relaxed, above) {
            Ok(last) | Err(last) => now.max(last.saturating_add(1)),
        }
    }
}

/// The name of an account as part of a path.
fn named(account: &str) -> String {
    utf8_percent_encode(account, IN_PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_connections_are_made_to_this_machine_alone() {
        for good in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:9", "https://margin.example"]
        {
            assert!(Client::new(good, None).is_ok(), "{good}");
        }
        for bad in ["http://margin.example", "ftp://127.0.0.1", "127.0.0.1", "https://a/b", "https://u@a", ""]
        {
            assert!(matches!(Client::new(bad, None), Err(ClientError::Address(_))), "{bad}");
        }
    }

    #[test]
    fn a_nonce_is_above_all_before_though_the_clock_stands() {
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        let drawn: Vec<u64> = [5, 5, 3, 9, 9].into_iter().map(|now| client.next(now)).collect();
        assert_eq!(drawn, [5, 6, 7, 9, 10]);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let key = Key { key: "a".into(), secret: "plim_secret".into(), audience: "p".into() };
        assert!(!format!("{key:?}").contains("secret"));
    }
}
