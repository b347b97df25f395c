//! The server itself: health, metrics, the journal's position.

use super::answer::{Answer, Answered, Ctx, Problem, worst};
use crate::doors::{Caller, Need};
use crate::signer::Standing;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether everything goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: String,
    /// This build.
    version: String,
    /// Seconds since it was started.
    uptime_seconds: u64,
    /// The last event applied.
    sequence: u64,
    /// Whether what is in force is signed, as `/v1/published` says it; left out where no signer is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<Standing>,
}

/// Where the journal stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Position {
    /// The last event applied; all before it are durable.
    applied: u64,
    /// The last event of the newest snapshot.
    snapshot: u64,
    /// Events that wait.
    waiting: usize,
    /// Market data that gave way to later of its kind.
    conflated: u64,
    /// Events the engine has seen, refused ones too.
    events: u64,
}

/// What whoever asks may see.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Whoami {
    /// The key's name; left out without a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Whether it may see all accounts.
    everybody: bool,
    /// Accounts that it was given by name.
    accounts: Vec<String>,
}

/// What whoever asks may see.
#[utoipa::path(get, path = "/v1/whoami", tag = "system",
    responses((status = 200, body = inline(Answer<Whoami>))))]
pub(super) async fn whoami(State(app): Ctx, caller: Caller) -> Answered<Whoami> {
    let who = Whoami {
        key: caller.key.clone(),
        everybody: caller.may(Need::Everybody),
        accounts: caller.accounts().iter().map(ToString::to_string).collect(),
    };
    Ok(Json(app.read(|course| Ok((worst(course), who)))?))
}

/// Whether everything goes on: 200, or 503 with what failed.
#[utoipa::path(get, path = "/v1/health", tag = "system",
    responses((status = 200, body = Health), (status = 503, body = Problem)))]
pub(super) async fn health(State(app): Ctx) -> Result<Json<Health>, Problem> {
    if let Some(failure) = app.shared.failed() {
        return Err(failure.clone().into());
    }
    Ok(Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: app.began.elapsed().as_secs(),
        sequence: app.shared.applied(),
        signer: Some(app.publication.read().standing).filter(|standing| *standing != Standing::Off),
    }))
}

/// Metrics in Prometheus's text form.
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(app): Ctx) -> Response {
    metrics::gauge!("plimsoll_waiting_events").set(app.ingest.waiting() as f64);
    metrics::gauge!("plimsoll_applied_sequence").set(app.shared.applied() as f64);
    metrics::gauge!("plimsoll_snapshot_sequence").set(app.shared.saved() as f64);
    metrics::counter!("plimsoll_conflated_total").absolute(app.ingest.conflated());
    app.metrics.run_upkeep();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, app.metrics.render()).into_response()
}

/// Where the journal stands.
#[utoipa::path(get, path = "/v1/journal", tag = "system",
    responses((status = 200, body = inline(Answer<Position>))))]
pub(super) async fn journal(State(app): Ctx) -> Answered<Position> {
    let answer = app.read(|course| {
        let position = Position {
            applied: course.sequence,
            snapshot: app.shared.saved(),
            waiting: app.ingest.waiting(),
            conflated: app.ingest.conflated(),
            events: course.engine.state().sequence,
        };
        Ok((worst(course), position))
    })?;
    Ok(Json(answer))
}
