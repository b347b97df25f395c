//! Events in, and liquidations out.

use super::App;
use super::answer::{Answer, Answered, Body, Ctx, Part, Problem, Query, worst};
use super::parameters::{Happened, latest};
use crate::doors::Caller;
use crate::host::{At, Course, Entry};
use crate::wire::{self, EventIn};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use plimsoll_engine::live::{Effect, Reject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// Events of one request.
const EVENTS_MAX: usize = 1_000;

/// Several events, applied in this order.
#[derive(Clone, PartialEq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Events {
    /// At most 1000.
    events: Vec<EventIn>,
}

/// What became of an event.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// Its place in the journal; left out when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// Whether it was applied. What is refused is in the journal too.
    applied: bool,
    /// Market data that waits: it is applied when there is room, unless later data takes its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    waits: bool,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    /// What followed from it.
    #[schema(value_type = Vec<Object>)]
    effects: Vec<Value>,
}

/// Liquidations.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Liquidations {
    /// Under way.
    open: Vec<Intent>,
    /// Standings, plans, takeovers and covered losses, the latest first.
    happened: Vec<Happened>,
}

/// A liquidation under way.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Intent {
    /// Its number.
    intent: u64,
    /// Whose.
    account: String,
    /// Since when.
    since: String,
    /// What is left of its plan.
    #[schema(value_type = Object)]
    plan: Value,
}

impl Outcome {
    /// Itself, or why the event was refused.
    pub(super) fn applied(self) -> Result<Self, Problem> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self),
        }
    }

    fn refused(problem: Problem) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }
}

/// Accepts events. Each answer comes when its event is durable and applied.
#[utoipa::path(post, path = "/v1/events", request_body = Events, tag = "events",
    responses((status = 200, body = Vec<Outcome>), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn submit(
    State(app): Ctx,
    caller: Caller,
    Body(events): Body<Events>,
) -> Result<Json<Vec<Outcome>>, Problem> {
    if events.events.len() > EVENTS_MAX {
        return Err(Problem::argument(format!("{} events: at most {EVENTS_MAX}", events.events.len())));
    }
    app.doors.pay(&caller, u32::try_from(events.events.len()).unwrap_or(u32::MAX))?;
    let mut waiting = Vec::with_capacity(events.events.len());
    let mut full: Option<Problem> = None;
    for event in events.events {
        // Once there is no room, what comes after may not go before.
        let handed = full.clone().map_or_else(|| hand_in(&app, &caller, event), Handed::Refused);
        if let Handed::Refused(problem) = &handed
            && matches!(problem.code.as_str(), "busy" | "stopped")
        {
            full = Some(problem.clone());
        }
        waiting.push(handed);
    }
    let mut outcomes = Vec::with_capacity(waiting.len());
    let alone = waiting.len() == 1;
    for one in waiting {
        let outcome = outcome(&app, one).await;
        let whole = |problem: &&Problem| alone && matches!(problem.code.as_str(), "busy" | "stopped");
        if let Some(problem) = outcome.problem.as_ref().filter(whole) {
            return Err(problem.clone());
        }
        outcomes.push(outcome);
    }
    Ok(Json(outcomes))
}

/// An event that was handed in: who will say what became of it.
enum Handed {
    Answer(oneshot::Receiver<Result<std::sync::Arc<crate::host::Applied>, crate::host::Failure>>),
    Waits,
    Refused(Problem),
}

/// Accepts one event and says what became of it.
pub(super) async fn accept(app: &App, caller: &Caller, event: EventIn) -> Result<Outcome, Problem> {
    Ok(outcome(app, hand_in(app, caller, event)).await)
}

fn hand_in(app: &App, caller: &Caller, event: EventIn) -> Handed {
    if !caller.may_say(&event.event) {
        let why = "not for this key";
        return Handed::Refused(Problem::new(StatusCode::FORBIDDEN, "forbidden", why));
    }
    let read = event.read(&app.shared.course().engine.rules().params.units);
    let (key, body) = match read {
        Ok(read) => read,
        Err(unreadable) => return Handed::Refused(Problem::argument(unreadable.to_string())),
    };
    let by = caller.by();
    // What one key counts, another cannot use up.
    let key = key.map(|key| by.as_ref().map_or(key.clone(), |by| by.own(key)));
    let (tell, told) = oneshot::channel();
    let reply = Box::new(move |done| {
        // Whoever asked may have gone.
        let _ = tell.send(done);
    });
    match app.ingest.submit(Entry { at: At::Now, key, by, body }, Some(reply)) {
        Ok(true) => Handed::Answer(told),
        Ok(false) => Handed::Waits,
        Err(busy) => Handed::Refused(busy.into()),
    }
}

async fn outcome(app: &App, handed: Handed) -> Outcome {
    let told = match handed {
        Handed::Answer(told) => told.await,
        Handed::Waits => return Outcome { waits: true, ..Outcome::default() },
        Handed::Refused(problem) => return Outcome::refused(problem),
    };
    match told {
        Ok(Ok(applied)) => written(app, &applied),
        Ok(Err(failure)) => Outcome::refused(failure.into()),
        Err(_) => Outcome::refused(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", "no answer")),
    }
}

fn written(app: &App, applied: &crate::host::Applied) -> Outcome {
    let course = app.shared.course();
    let units = &course.engine.rules().params.units;
    let refusal = applied.effects.iter().find_map(|effect| match effect {
        Effect::Rejected(reject) => Some(Reject::clone(reject)),
        _ => None,
    });
    let shown = applied.effects.iter().filter(|effect| !matches!(effect, Effect::Rejected(_)));
    Outcome {
        sequence: Some(applied.sequence),
        applied: refusal.is_none(),
        waits: false,
        problem: refusal.map(Problem::from),
        effects: shown.map(|effect| wire::effect(effect, units)).collect(),
    }
}

/// Liquidations under way with their plans, and what happened to accounts lately.
#[utoipa::path(get, path = "/v1/liquidations", params(Part), tag = "events",
    responses((status = 200, body = inline(Answer<Liquidations>)), (status = 400, body = Problem)))]
pub(super) async fn liquidations(State(app): Ctx, Query(part): Query<Part>) -> Answered<Liquidations> {
    let part = part.checked()?;
    let answer = app.read(|course| {
        let happened = latest(&course.chronicle.accounts, part);
        Ok((worst(course), Liquidations { open: open(course), happened }))
    })?;
    Ok(Json(answer))
}

fn open(course: &Course) -> Vec<Intent> {
    let state = course.engine.state();
    let units = &course.engine.rules().params.units;
    let one = |(intent, of): (&u64, &plimsoll_engine::live::Intent)| Intent {
        intent: *intent,
        account: state.ledger.account(of.account).map(|a| a.id.to_string()).unwrap_or_default(),
        since: of.since.to_string(),
        plan: wire::plan(&of.plan, units),
    };
    state.intents.iter().map(one).collect()
}
