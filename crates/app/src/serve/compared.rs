//! What other methods would have asked for, over time.
//!
//! **The one idea:** it is computed beside the engine, on a copy, by one thread that rests nine times as long as it works: however
//! large the book, it costs a tenth of a core at most, and the engine waits for the copy alone. It is no part of the journal; `plimsoll
//! report` computes the same from a journal for any time.

use super::App;
use super::answer::{Answered, Ctx, Part, Problem, Query, worst};
use crate::host::moment;
use crate::methods::{self, Asked, COMPARED};
use crate::wire;
use axum::Json;
use axum::extract::State;
use plimsoll_types::{Ticks, Timestamp, Units};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use utoipa::ToSchema;

/// From one comparison to the next, at least.
const EVERY: Duration = Duration::from_secs(10);

/// How many times as long as it works it rests.
const REST: u32 = 9;

/// Comparisons kept.
const KEPT: usize = 1_000;

/// All methods on one book and market.
#[derive(Clone, Debug)]
struct Compared {
    sequence: u64,
    at: Timestamp,
    methods: Vec<(&'static str, Asked)>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<VecDeque<Compared>>);

/// Other methods on the book and market of an instant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct ComparedOut {
    /// The last event that it takes in.
    sequence: u64,
    /// When.
    at: String,
    /// One per method.
    methods: Vec<MethodSample>,
}

/// A method at an instant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct MethodSample {
    preset: String,
    /// Initial margin of the accounts that it margins.
    im: String,
    /// Maintenance margin of those.
    mm: String,
    /// What is in force asks of the same: initial margin.
    own_im: String,
    /// The same of maintenance margin.
    own_mm: String,
    /// Accounts it margins.
    accounts: usize,
    /// Accounts it does not.
    failures: usize,
}

/// Other methods on the same book over time, the latest last; since the server was started.
#[utoipa::path(get, path = "/v1/history/compare", params(Part), tag = "pictures",
    responses((status = 200, body = inline(super::Answer<Vec<ComparedOut>>)), (status = 400, body = Problem)))]
pub(super) async fn history(State(app): Ctx, Query(part): Query<Part>) -> Answered<Vec<ComparedOut>> {
    let Part { limit, skip } = part.checked()?;
    let kept = app.compared.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answer = app.read(|course| {
        let units = &course.engine.rules().params.units;
        let last: Vec<_> = kept.iter().rev().skip(skip as usize).take(limit).collect();
        Ok((worst(course), last.into_iter().rev().map(|of| written(of, units)).collect()))
    })?;
    Ok(Json(answer))
}

fn written(of: &Compared, ours: &Units) -> ComparedOut {
    let sample = |(preset, asked): &(&'static str, Asked)| MethodSample {
        preset: (*preset).to_owned(),
        im: wire::money(asked.theirs[0], &asked.units),
        mm: wire::money(asked.theirs[1], &asked.units),
        own_im: wire::money(asked.own[0], ours),
        own_mm: wire::money(asked.own[1], ours),
        accounts: asked.accounts,
        failures: asked.failures,
    };
    ComparedOut {
        sequence: of.sequence,
        at: of.at.to_string(),
        methods: of.methods.iter().map(sample).collect(),
    }
}

impl App {
    /// Compares from now on, until it is dropped.
    pub(super) async fn compare_on(self: Arc<Self>) {
        loop {
            let begun = moment();
            let app = Arc::clone(&self);
            // A panic there is said by its thread, and the next turn is another try.
            let _ = tokio::task::spawn_blocking(move || app.compare_once()).await;
            tokio::time::sleep(EVERY.max(begun.elapsed() * REST)).await;
        }
    }

    fn compare_once(&self) {
        if self.shared.failed().is_some() {
            return;
        }
        let (study, units, sequence, at) = {
            let course = self.shared.course();
            let units = course.engine.rules().params.units.clone();
            (course.engine.book_study(), units, course.sequence, course.engine.state().now)
        };
        let one = |preset: &'static str| Some((preset, methods::asked(preset, (&study, &units), None).ok()?));
        let methods: Vec<_> = COMPARED.iter().filter_map(|preset| one(preset)).collect();
        if methods.iter().all(|(_, asked)| asked.own == [Ticks(0); 2]) {
            return;
        }
        let mut kept = self.compared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Compared { sequence, at, methods });
    }
}
