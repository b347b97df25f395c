//! All accounts together, now and over time.

use super::App;
use super::answer::{Answer, Answered, Ctx, Part, Problem, Query, worst};
use super::market::{FeedOut, feeds};
use crate::host::{Course, Sample, moment};
use crate::wire;
use axum::Json;
use axum::extract::State;
use plimsoll_engine::live::Standing;
use plimsoll_types::{Ticks, Units};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How old an overview may be: it walks over all accounts, and however many ask, it does so no more often. Half of what sockets pace
/// themselves by, so that each of their messages is new.
const FRESH: Duration = Duration::from_millis(50);

/// Edges of the buckets of `mm_excess` over `mm`.
const EDGES: [f64; 6] = [0.0, 0.1, 0.25, 0.5, 1.0, 2.0];

/// All accounts together.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Overview {
    /// Accounts.
    accounts: usize,
    /// Of those, how many can be valued.
    valued: u64,
    /// Their equity.
    equity: String,
    /// Their initial margin.
    im: String,
    /// Their maintenance margin.
    mm: String,
    /// How many stand how.
    standings: BTreeMap<String, u64>,
    /// Accounts with positions, by `mm_excess` over `mm`: how far they are from liquidation.
    distance: Vec<Bucket>,
    /// The insurance fund.
    insurance: String,
    /// What the backstop has lost.
    backstop_lost: String,
    /// Liquidations under way.
    intents: usize,
    /// Every feed.
    feeds: Vec<FeedOut>,
    /// Events refused, by code.
    refused: BTreeMap<String, u64>,
}

/// Accounts between two distances.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub(super) struct Bucket {
    /// From, inclusive; left out of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<f64>,
    /// To, exclusive; left out of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<f64>,
    /// How many.
    accounts: u64,
    /// Their maintenance margin.
    mm: String,
}

/// Totals at an instant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct SampleOut {
    at: String,
    accounts: u64,
    equity: String,
    im: String,
    mm: String,
    call: u64,
    unvalued: u64,
    liquidatable: u64,
    insolvent: u64,
    insurance: String,
    /// Each underlying by itself.
    underlyings: Vec<UnderlyingSample>,
}

/// An underlying by itself at an instant: the largest losses of accounts over the grid, added up. Scales, charges and what underlyings
/// set off against each other are of whole accounts and not in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct UnderlyingSample {
    asset: String,
    /// Under what binds new risk.
    im: String,
    /// Under what binds existing positions.
    mm: String,
}

/// The last overview, for those who ask again at once.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<(Instant, Arc<Answer<Overview>>)>>);

impl App {
    /// All accounts together, a quarter of a second old at most.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub(super) fn overview(&self) -> Result<Arc<Answer<Overview>>, Problem> {
        let mut last = self.overview.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.shared.applied();
        let good = |(made, answer): &&(Instant, Arc<Answer<Overview>>)| {
            answer.sequence == newest || made.elapsed() < FRESH
        };
        if let Some((_, answer)) = last.as_ref().filter(good) {
            return Ok(Arc::clone(answer));
        }
        let answer = Arc::new(self.read(|course| Ok((worst(course), Overview::of(course))))?);
        *last = Some((moment(), Arc::clone(&answer)));
        Ok(answer)
    }
}

impl Overview {
    fn of(course: &Course) -> Self {
        let (engine, state) = (&course.engine, course.engine.state());
        let units = &engine.rules().params.units;
        let amount = |ticks| wire::money(ticks, units);
        let sample = Sample::of(engine);
        let accounts = state.ledger.accounts().len();
        let [call, unvalued, liquidatable, insolvent] = sample.standings;
        let healthy = (accounts as u64).saturating_sub(call + unvalued + liquidatable + insolvent);
        let standings = [
            (Standing::Healthy, healthy),
            (Standing::Call, call),
            (Standing::Unvalued, unvalued),
            (Standing::Liquidatable, liquidatable),
            (Standing::Insolvent, insolvent),
        ];
        let named = |(standing, count): (Standing, u64)| (format!("{standing:?}").to_lowercase(), count);
        Self {
            accounts,
            valued: sample.accounts,
            equity: amount(sample.equity),
            im: amount(sample.im),
            mm: amount(sample.mm),
            standings: standings.map(named).into(),
            distance: distance(course, units),
            insurance: amount(state.insurance),
            backstop_lost: amount(state.backstop_lost),
            intents: state.intents.len(),
            feeds: feeds(course),
            refused: state.refused.clone(),
        }
    }
}

fn distance(course: &Course, units: &Units) -> Vec<Bucket> {
    let mut found = [(0_u64, 0_i128); EDGES.len() + 1];
    for number in 0..u32::try_from(course.engine.state().ledger.accounts().len()).unwrap_or(u32::MAX) {
        let Some(Ok(totals)) = course.engine.valued().totals(number) else { continue };
        if totals.mm.0 > 0 {
            let room = totals.mm_excess.0 as f64 / totals.mm.0 as f64;
            let at = EDGES.partition_point(|edge| *edge <= room);
            found[at].0 += 1;
            found[at].1 += totals.mm.0;
        }
    }
    let bucket = |(at, (accounts, mm)): (usize, (u64, i128))| Bucket {
        from: at.checked_sub(1).and_then(|at| EDGES.get(at).copied()),
        to: EDGES.get(at).copied(),
        accounts,
        mm: wire::money(Ticks(mm), units),
    };
    found.into_iter().enumerate().map(bucket).collect()
}

/// All accounts together: equity, margins, how they stand, how far they are from liquidation, feeds.
#[utoipa::path(get, path = "/v1/overview", tag = "overview",
    responses((status = 200, body = inline(Answer<Overview>))))]
pub(super) async fn overview(State(app): Ctx) -> Answered<Overview> {
    Ok(Json((*app.overview()?).clone()))
}

/// Totals of all accounts over time, the latest last.
#[utoipa::path(get, path = "/v1/history/totals", params(Part), tag = "overview",
    responses((status = 200, body = inline(Answer<Vec<SampleOut>>)), (status = 400, body = Problem)))]
pub(super) async fn totals(State(app): Ctx, Query(part): Query<Part>) -> Answered<Vec<SampleOut>> {
    let Part { limit, skip } = part.checked()?;
    let answer = app.read(|course| {
        let units = &course.engine.rules().params.units;
        let samples = &course.chronicle.samples;
        let last: Vec<_> = samples.iter().rev().skip(skip as usize).take(limit).collect();
        Ok((worst(course), last.into_iter().rev().map(|sample| written(sample, units)).collect()))
    })?;
    Ok(Json(answer))
}

fn written(sample: &Sample, units: &Units) -> SampleOut {
    let amount = |ticks| wire::money(ticks, units);
    let [call, unvalued, liquidatable, insolvent] = sample.standings;
    let of = |(asset, [im, mm]): &(plimsoll_types::Asset, [Ticks; 2])| UnderlyingSample {
        asset: asset.to_string(),
        im: amount(*im),
        mm: amount(*mm),
    };
    SampleOut {
        at: sample.at.to_string(),
        accounts: sample.accounts,
        equity: amount(sample.equity),
        im: amount(sample.im),
        mm: amount(sample.mm),
        call,
        unvalued,
        liquidatable,
        insolvent,
        insurance: amount(sample.insurance),
        underlyings: sample.underlyings.iter().map(of).collect(),
    }
}
