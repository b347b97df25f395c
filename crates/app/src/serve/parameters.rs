//! Parameters: in force, announced, over time with their causes, and what is voted.

use super::answer::{Answer, Answered, Body, Ctx, Part, Problem, Query, worst};
use super::events::{Outcome, accept};
use crate::doors::Caller;
use crate::host::{self, Course, Noted, Readings};
use crate::signer::Published;
use crate::wire::schema::VoteForm;
use crate::wire::{EventBody, EventIn};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use plimsoll_policy::{Key, ParameterState};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use utoipa::ToSchema;

/// The parameters in force.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Parameters {
    /// The policy that moves them.
    policy: String,
    /// The parameter set beneath it.
    params: String,
    /// Digest of that set.
    params_id: String,
    /// One per parameter.
    values: Vec<Parameter>,
    /// The last readings of what may move them, by underlying and cause.
    #[schema(value_type = Object)]
    readings: Readings,
}

/// A parameter.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Parameter {
    /// Its name, scope included.
    name: String,
    /// What binds new risk.
    initial: String,
    /// What binds existing positions now.
    maintenance: String,
    /// Where that goes, as announced.
    #[schema(value_type = Object)]
    ramp: Value,
    /// Least value it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<String>,
    /// Largest value it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<String>,
}

/// Something that happened, and after which event.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Happened {
    /// The event.
    sequence: u64,
    /// When.
    at: String,
    /// What; `effect` says which kind it is.
    #[schema(value_type = Object)]
    what: Value,
    /// What was read when it was decided, by underlying and cause: the evidence of a decision on parameters, and of nothing else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    readings: Readings,
}

/// The parameters in force, what is announced, their limits, and the readings behind them.
#[utoipa::path(get, path = "/v1/parameters", tag = "parameters",
    responses((status = 200, body = inline(Answer<Parameters>))))]
pub(super) async fn parameters(State(app): Ctx) -> Answered<Parameters> {
    Ok(Json(app.read(|course| Ok((worst(course), in_force(course))))?))
}

fn in_force(course: &Course) -> Parameters {
    let (rules, state) = (course.engine.rules(), course.engine.state());
    let one = |(key, of): (&std::sync::Arc<Key>, &ParameterState)| {
        let limits = rules.policy.motion(key).map(|motion| motion.limits);
        Parameter {
            name: key.to_string(),
            initial: of.value().to_string(),
            maintenance: of.maintenance(state.now).to_string(),
            ramp: serde_json::to_value(of.ramp()).unwrap_or_default(),
            minimum: limits.map(|limits| limits.minimum.to_string()),
            maximum: limits.map(|limits| limits.maximum.to_string()),
        }
    };
    Parameters {
        policy: rules.policy.name().to_owned(),
        params: rules.params.name.clone(),
        params_id: rules.params.id(),
        values: state.policy.board().parameters().iter().map(one).collect(),
        readings: host::readings(state),
    }
}

/// Every change of a parameter, the latest first: from, to, an outline of the path of maintenance, and how much each cause added. The path
/// in force, leg by leg, is in `/v1/parameters`.
#[utoipa::path(get, path = "/v1/parameters/history", params(Part), tag = "parameters",
    responses((status = 200, body = inline(Answer<Vec<Happened>>)), (status = 400, body = Problem)))]
pub(super) async fn history(State(app): Ctx, Query(part): Query<Part>) -> Answered<Vec<Happened>> {
    let part = part.checked()?;
    let answer = app.read(|course| Ok((worst(course), latest(&course.chronicle.parameters, part))))?;
    Ok(Json(answer))
}

/// The latest of what was noted, latest first.
pub(super) fn latest(noted: &VecDeque<Noted>, part: Part) -> Vec<Happened> {
    let written = |noted: &Noted| Happened {
        sequence: noted.sequence,
        at: noted.at.to_string(),
        what: noted.what.clone(),
        readings: noted.readings.clone(),
    };
    noted.iter().rev().skip(part.skip as usize).take(part.limit).map(written).collect()
}

/// The parameters that were published last, with the signature of the signer: typed data (EIP-712) that anybody can check, a contract too.
/// `standing` says whether they are those in force: `off` without a signer, `waiting`, `signed`, `refused`, `away`.
#[utoipa::path(get, path = "/v1/published", tag = "parameters",
    responses((status = 200, body = inline(Answer<Published>))))]
pub(super) async fn published(State(app): Ctx) -> Answered<Published> {
    let published = app.publication.read();
    Ok(Json(app.read(|course| Ok((worst(course), published)))?))
}

/// What is voted, in force or to come.
#[utoipa::path(get, path = "/v1/proposals", tag = "parameters",
    responses((status = 200, body = inline(Answer<Vec<Object>>))))]
pub(super) async fn proposals(State(app): Ctx) -> Answered<Vec<Value>> {
    let answer = app.read(|course| {
        let votes = course.engine.state().policy.schedule().votes();
        Ok((worst(course), votes.map(|vote| serde_json::to_value(vote).unwrap_or_default()).collect()))
    })?;
    Ok(Json(answer))
}

/// Hands in a vote that was won. It counts after its timelock, inside the limits.
#[utoipa::path(post, path = "/v1/proposals", request_body = VoteForm, tag = "parameters",
    responses((status = 200, body = Outcome), (status = 400, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn propose(
    State(app): Ctx,
    caller: Caller,
    Body(vote): Body<VoteForm>,
) -> Result<Json<Outcome>, Problem> {
    let event = EventBody::Vote { vote: Box::new(vote) };
    accept(&app, &caller, EventIn { source: None, number: None, event }).await?.applied().map(Json)
}

/// Takes a vote back: what it asked for ends with as much notice as it began with.
#[utoipa::path(delete, path = "/v1/proposals/{id}", params(("id" = String, Path)), tag = "parameters",
    responses((status = 200, body = Outcome), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn withdraw(
    State(app): Ctx,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Outcome>, Problem> {
    let known = app.shared.course().engine.state().policy.schedule().votes().any(|vote| vote.id == id);
    if !known {
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_proposal", id));
    }
    let event = EventBody::CancelVote { id };
    accept(&app, &caller, EventIn { source: None, number: None, event }).await?.applied().map(Json)
}
