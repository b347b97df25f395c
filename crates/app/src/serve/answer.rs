//! What every answer carries, and what every refusal says.

use super::App;
use crate::host::{Busy, Course, Failure};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use plimsoll_engine::live::Reject;
use plimsoll_engine::live::feed::Validity;
use plimsoll_types::AccountId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

/// An answer, and what it was read from.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Answer<T> {
    /// The last event of the journal that it takes in.
    pub sequence: u64,
    /// The engine's time after that event.
    pub as_of: String,
    /// The market it is on: the instant that was valued last.
    pub snapshot: String,
    /// Version of the parameters in force.
    pub parameters: u64,
    /// How far its numbers may be relied on: `normal`, `degraded` or `halted`.
    #[schema(value_type = String)]
    pub validity: Validity,
    /// What was asked for.
    pub data: T,
}

impl<T> Answer<T> {
    /// An answer from a course of events.
    pub fn of(course: &Course, validity: Validity, data: T) -> Self {
        let state = course.engine.state();
        Self {
            sequence: course.sequence,
            as_of: state.now.to_string(),
            snapshot: course.engine.valued().surface.as_of.to_string(),
            parameters: state.policy.board().version(),
            validity,
            data,
        }
    }

    /// What it was read from, and what was read.
    pub(super) fn split(self) -> (Answer<()>, T) {
        let Self { sequence, as_of, snapshot, parameters, validity, data } = self;
        (Answer { sequence, as_of, snapshot, parameters, validity, data: () }, data)
    }

    /// The same with something else in it.
    pub fn with<U>(self, data: U) -> Answer<U> {
        let Self { sequence, as_of, snapshot, parameters, validity, .. } = self;
        Answer { sequence, as_of, snapshot, parameters, validity, data }
    }
}

/// How an answer is given.
pub(super) type Answered<T> = Result<Json<Answer<T>>, Problem>;

impl App {
    /// Reads something of the engine as it stands; the engine waits meanwhile.
    pub fn read<T>(
        &self,
        of: impl FnOnce(&Course) -> Result<(Validity, T), Problem>,
    ) -> Result<Answer<T>, Problem> {
        if let Some(failure) = self.shared.failed() {
            return Err(failure.clone().into());
        }
        let course = self.shared.course();
        let (validity, data) = of(&course)?;
        Ok(Answer::of(&course, validity, data))
    }

    /// Computes something apart from the engine, one such at a time.
    pub async fn long<T: Send + 'static>(
        &self,
        of: impl FnOnce() -> Result<T, Reject> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(permit) = Arc::clone(&self.long).try_acquire_owned() else {
            return Err(Problem::busy("another long computation is under way"));
        };
        // The permit goes with the computation, which goes on when whoever asked has gone.
        let run = move || {
            let _permit = permit;
            of()
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the computation ended")),
        }
    }
}

/// The worst of all feeds.
pub(super) fn worst(course: &Course) -> Validity {
    course.validity()
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(skip)]
    status: u16,
    /// One stable word.
    pub code: String,
    /// The particulars.
    pub detail: String,
}

impl Problem {
    /// From a status, a code and what is to be said.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), code: code.to_owned(), detail: detail.into() }
    }

    /// Of a request that says something it must not.
    pub fn argument(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "argument", detail)
    }

    /// Of an account that is not there, or that whoever asks may not see.
    pub fn unknown_account(account: &AccountId) -> Self {
        Reject::new("unknown_account", account.to_string()).into()
    }

    /// The status it is answered with.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// When there is no room.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    }

    /// When it took too long.
    pub fn timeout(limit: Duration) -> Self {
        let detail = format!(
            "no answer within {limit:?}; what was handed in may yet be applied: send it again only with the same source and number"
        );
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let busy = matches!(self.code.as_str(), "busy" | "quota");
        let mut response = (status, Json(self)).into_response();
        if busy {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let status = match reject.code.as_str() {
            code if code.starts_with("unknown_") => StatusCode::NOT_FOUND,
            "argument" => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, &reject.code, reject.detail)
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Full { .. } => Self::busy(busy.to_string()),
            Busy::Stopped(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", why),
            Busy::Unfit(why) => Self::argument(why),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", failure.0)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        // What is JSON and not of the form is said as wrongly as what is no JSON.
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            other => other,
        };
        Self::new(status, "body", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "query", rejection.body_text())
    }
}

/// A body of JSON.
#[derive(Clone, Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(super) struct Body<T>(pub T);

/// What stands behind the question mark.
#[derive(Clone, Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(super) struct Query<T>(pub T);

/// Part of a page.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// At most so many, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: usize,
    /// After leaving out so many.
    #[param(maximum = 2147483647)]
    pub skip: u32,
}

impl Default for Part {
    fn default() -> Self {
        Self { limit: 100, skip: 0 }
    }
}

impl Part {
    /// The limit, where it is one.
    pub(super) fn checked(self) -> Result<Self, Problem> {
        if !(1..=1_000).contains(&self.limit) {
            return Err(Problem::argument(format!("`limit` is {}: expected 1 to 1000", self.limit)));
        }
        if i32::try_from(self.skip).is_err() {
            return Err(Problem::argument(format!("`skip` is {}: expected at most {}", self.skip, i32::MAX)));
        }
        Ok(self)
    }
}

/// The name of an account, of a path.
pub(super) fn account(text: &str) -> Result<AccountId, Problem> {
    AccountId::new(text).map_err(|e| Problem::argument(format!("`{text}`: {e}")))
}

/// Why any route may refuse, for the document.
const REFUSALS: [(&str, &str); 8] = [
    ("400", "not what is asked for"),
    ("401", "no key, or not proved"),
    ("403", "not for this key"),
    ("413", "too long"),
    ("415", "no JSON"),
    ("429", "more work than the key may ask for"),
    ("503", "no room, or nothing goes on"),
    ("504", "no answer in time"),
];

/// Adds to an operation what it may be refused with.
pub(super) fn refusals(operation: &mut Operation) {
    let problem = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    for (status, why) in REFUSALS {
        let refusal = ResponseBuilder::new().description(why).content("application/json", problem()).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(refusal.into());
    }
}

/// Nothing is at this address.
pub(super) async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_route", "nothing is here: /openapi.json says what there is")
}

/// Nothing answers to this verb here.
pub(super) async fn no_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", "/openapi.json says what may be done here")
}

/// The shared application.
pub(super) type Ctx = axum::extract::State<Arc<App>>;
