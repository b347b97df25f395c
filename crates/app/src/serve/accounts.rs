//! Accounts, their margin, and what would be.

use super::answer::{Answer, Answered, Body, Ctx, Part, Problem, Query, account as named, worst};
use super::legs::{Leg, limited, trades, units_of};
use crate::doors::Caller;
use crate::host::Course;
use crate::wire::schema::{AccountName, StandingName};
use crate::wire::{self, AccountOut, CheckOut, Greeks, MarginOut, TotalsOut, WhatIfOut};
use axum::Json;
use axum::extract::{Path, State};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Basis, Change, Engine, Reject, Standing, Study};
use plimsoll_engine::{HeatMap, HeatMapSpec, LiquidationSpec};
use plimsoll_types::{AccountId, Units};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An account among others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Row {
    /// Its name.
    account: String,
    /// How it stands.
    #[schema(value_type = String)]
    standing: Standing,
    /// How far its numbers may be relied on.
    #[schema(value_type = String)]
    validity: Validity,
    /// Left out while it cannot be valued.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<TotalsOut>,
}

/// Which accounts, in what order.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those that stand so.
    #[param(value_type = Option<StandingName>, inline)]
    standing: Option<Standing>,
    /// `name`, or `risk`: the least `mm_excess` over `mm` first.
    #[serde(default)]
    #[param(inline)]
    order: Order,
    /// At most so many, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// After leaving out so many.
    #[param(maximum = 2147483647)]
    skip: u32,
}

/// The order of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// By name.
    #[default]
    Name,
    /// The nearest to liquidation first.
    Risk,
}

/// Legs of a trade that is asked about.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Legs {
    /// Each at the mark.
    legs: Vec<Leg>,
}

/// Several checks at once.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Checks {
    /// Each by itself.
    checks: Vec<CheckOf>,
}

/// A check of one account.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckOf {
    /// Whose.
    #[schema(value_type = AccountName)]
    account: AccountId,
    /// Each at the mark.
    legs: Vec<Leg>,
}

/// The answer for one of several.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Each<T> {
    /// Whose.
    account: String,
    /// The answer, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<T>,
    /// Else why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Several accounts.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    /// Their names, at most 1000.
    #[schema(value_type = Vec<AccountName>)]
    accounts: Vec<AccountId>,
}

/// A margin in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Words {
    /// What binds new risk: every number that was added, and why.
    text: String,
    /// What binds existing positions, while it is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    maintenance: Option<String>,
}

/// Profit and loss over spot and volatility.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Heat {
    /// Relative moves of spot.
    spot: Vec<f64>,
    /// Relative moves of volatility.
    vol: Vec<f64>,
    /// `pnl[vol][spot]`.
    pnl: Vec<Vec<String>>,
    /// The worst cell: places in `vol` and `spot`.
    worst: [usize; 2],
}

/// Where an account becomes liquidatable.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Boundary {
    /// One per number of days and move of volatility.
    points: Vec<BoundaryPoint>,
    /// The closest: moves of spot and volatility, days ahead, distance in price scans and halves of volatility.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<Nearest>,
    /// Days to the first expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_expiry_days: Option<f64>,
}

/// The boundary at one number of days and one move of volatility.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct BoundaryPoint {
    days: f64,
    vol: f64,
    /// Relative move of spot downwards at which it is liquidatable; left out where nowhere in range.
    #[serde(skip_serializing_if = "Option::is_none")]
    spot_down: Option<f64>,
    /// The same upwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    spot_up: Option<f64>,
    /// `equity - mm` with spot where it is.
    mm_excess: String,
}

/// The point of the boundary closest to the present.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Nearest {
    spot: f64,
    vol: f64,
    days: f64,
    distance: f64,
}

/// Days ahead.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Ahead {
    /// Days that pass.
    #[param(minimum = 0)]
    pub(super) days: f64,
}

/// Accounts, by name or by how near they are to liquidation.
#[utoipa::path(get, path = "/v1/accounts", params(Which), tag = "accounts",
    responses((status = 200, body = inline(Answer<Vec<Row>>)), (status = 400, body = Problem)))]
pub(super) async fn list(State(app): Ctx, Query(which): Query<Which>) -> Answered<Vec<Row>> {
    let part = Part { limit: which.limit.unwrap_or(100), skip: which.skip }.checked()?;
    let answer = app.read(|course| Ok((worst(course), rows(course, which, part))))?;
    Ok(Json(answer))
}

fn rows(course: &Course, which: Which, part: Part) -> Vec<Row> {
    let (engine, state) = (&course.engine, course.engine.state());
    let mut numbers: Vec<u32> = (0..).zip(state.ledger.accounts()).map(|(number, _)| number).collect();
    numbers.retain(|number| which.standing.is_none_or(|wanted| state.standing(*number) == wanted));
    match which.order {
        Order::Name => {
            numbers.sort_by(|a, b| name_of(engine, *a).cmp(&name_of(engine, *b)));
        }
        Order::Risk => numbers.sort_by(|a, b| room(engine, *a).total_cmp(&room(engine, *b))),
    }
    let units = &engine.rules().params.units;
    let row = |number: u32| Row {
        account: name_of(engine, number).unwrap_or_default().to_owned(),
        standing: state.standing(number),
        validity: engine.validity(number),
        totals: totals(engine, number, units),
    };
    numbers.into_iter().skip(part.skip as usize).take(part.limit).map(row).collect()
}

fn name_of(engine: &Engine, number: u32) -> Option<&str> {
    engine.state().ledger.account(number).map(|account| account.id.as_str())
}

/// `mm_excess` over `mm`; the largest for who needs nothing or is not valued.
fn room(engine: &Engine, number: u32) -> f64 {
    match engine.valued().totals(number) {
        Some(Ok(totals)) if totals.mm.0 > 0 => totals.mm_excess.0 as f64 / totals.mm.0 as f64,
        _ => f64::INFINITY,
    }
}

fn totals(engine: &Engine, number: u32, units: &Units) -> Option<TotalsOut> {
    let found = engine.valued().totals(number)?.ok()?;
    Some(wire::totals(&found, units))
}

/// An account: what it holds, what backs it, how it stands.
#[utoipa::path(get, path = "/v1/accounts/{account}", params(("account" = AccountName, Path)), tag = "accounts",
    responses((status = 200, body = inline(Answer<AccountOut>)), (status = 404, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn account(State(app): Ctx, Path(account): Path<String>) -> Answered<AccountOut> {
    let id = named(&account)?;
    let answer = app.read(|course| {
        let (number, _) = course.engine.account(&id)?;
        Ok((course.engine.validity(number), written(course, &id)?))
    })?;
    Ok(Json(answer))
}

/// An account as the wire has it.
pub(super) fn written(course: &Course, id: &AccountId) -> Result<AccountOut, Reject> {
    let (engine, state) = (&course.engine, course.engine.state());
    let (number, found) = engine.account(id)?;
    let units = &engine.rules().params.units;
    let value = |instrument| engine.valued().mark_of(instrument);
    let (positions, collateral, orders) = wire::account(found, &state.ledger, units, value);
    Ok(AccountOut {
        account: id.to_string(),
        standing: wire::word(&state.standing(number)),
        totals: totals(engine, number, units),
        positions,
        collateral,
        orders,
        intent: state.intents.iter().find(|(_, of)| of.account == number).map(|(intent, _)| *intent),
    })
}

/// The margin of an account: every number that was added, with the whole scenario vectors.
#[utoipa::path(get, path = "/v1/accounts/{account}/margin", params(("account" = AccountName, Path)), tag = "accounts",
    responses((status = 200, body = inline(Answer<MarginOut>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn margin(State(app): Ctx, Path(account): Path<String>) -> Answered<MarginOut> {
    let id = named(&account)?;
    Ok(Json(app.read(|course| of_account(course, &id, |engine| Ok(margin_of(engine, &id)?)))?))
}

pub(super) fn margin_of(engine: &Engine, id: &AccountId) -> Result<MarginOut, Reject> {
    let reports = engine.report(id)?;
    Ok(wire::margin(&reports, engine.valued().arrays(), &engine.rules().params.units))
}

/// What is said of one account, with how far it may be relied on.
fn of_account<T>(
    course: &Course,
    id: &AccountId,
    of: impl FnOnce(&Engine) -> Result<T, Problem>,
) -> Result<(Validity, T), Problem> {
    let (number, _) = course.engine.account(id)?;
    Ok((course.engine.validity(number), of(&course.engine)?))
}

/// Totals of several accounts.
#[utoipa::path(post, path = "/v1/margins", request_body = Names, tag = "accounts",
    responses((status = 200, body = inline(Answer<Vec<Each<TotalsOut>>>)), (status = 400, body = Problem)))]
pub(super) async fn margins(
    State(app): Ctx,
    caller: Caller,
    Body(names): Body<Names>,
) -> Answered<Vec<Each<TotalsOut>>> {
    limited("accounts", names.accounts.len(), app.limits.legs_max)?;
    app.doors.pay(&caller, units_of(names.accounts.len()))?;
    let one = |course: &Course, id: &AccountId| {
        if !caller.sees(id) {
            return Err(Reject::new("unknown_account", id.to_string()));
        }
        let (number, _) = course.engine.account(id)?;
        let units = &course.engine.rules().params.units;
        totals(&course.engine, number, units).ok_or_else(|| Reject::new("not_valid", id.to_string()))
    };
    let all = |course: &Course| names.accounts.iter().map(|id| each(id, one(course, id))).collect();
    Ok(Json(app.read(|course| Ok((worst(course), all(course))))?))
}

fn each<T>(id: &AccountId, done: Result<T, Reject>) -> Each<T> {
    let account = id.to_string();
    match done {
        Ok(answer) => Each { account, answer: Some(answer), problem: None },
        Err(reject) => Each { account, answer: None, problem: Some(reject.into()) },
    }
}

/// The margin of an account in words.
#[utoipa::path(get, path = "/v1/accounts/{account}/explain", params(("account" = AccountName, Path)), tag = "accounts",
    responses((status = 200, body = inline(Answer<Words>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn explain(State(app): Ctx, Path(account): Path<String>) -> Answered<Words> {
    let id = named(&account)?;
    let answer = app.read(|course| of_account(course, &id, |engine| Ok(engine.explain(&id)?)))?;
    let words = Words { text: answer.data.initial.clone(), maintenance: answer.data.maintenance.clone() };
    Ok(Json(answer.with(words)))
}

/// What trades at the mark would make of an account, with both margins in full.
#[utoipa::path(post, path = "/v1/accounts/{account}/what-if", params(("account" = AccountName, Path)), request_body = Legs, tag = "accounts",
    responses((status = 200, body = inline(Answer<WhatIfOut>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn what_if(
    State(app): Ctx,
    caller: Caller,
    Path(account): Path<String>,
    Body(legs): Body<Legs>,
) -> Answered<WhatIfOut> {
    let id = named(&account)?;
    app.legs(&caller, &legs.legs)?;
    let answer = app.read(|course| {
        of_account(course, &id, |engine| {
            let units = &engine.rules().params.units;
            let change = Change::at_the_mark(&trades(&legs.legs, units)?);
            let then = engine.imagine(&Basis::Account(id.clone()), &change)?;
            Ok(wire::what_if((&then.before, &then.after), &then.check, (engine.valued().arrays(), units)))
        })
    })?;
    Ok(Json(answer))
}

/// Whether an account may do trades at the mark, with both margins. Reducing risk is always allowed.
#[utoipa::path(post, path = "/v1/accounts/{account}/check", params(("account" = AccountName, Path)), request_body = Legs, tag = "accounts",
    responses((status = 200, body = inline(Answer<CheckOut>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn check(
    State(app): Ctx,
    caller: Caller,
    Path(account): Path<String>,
    Body(legs): Body<Legs>,
) -> Answered<CheckOut> {
    let id = named(&account)?;
    app.legs(&caller, &legs.legs)?;
    Ok(Json(app.read(|course| of_account(course, &id, |engine| checked(engine, &id, &legs.legs)))?))
}

fn checked(engine: &Engine, id: &AccountId, legs: &[Leg]) -> Result<CheckOut, Problem> {
    let units = &engine.rules().params.units;
    let check = engine.check(id, &trades(legs, units)?)?;
    Ok(wire::check(&check, units))
}

/// Several checks at once, each by itself.
#[utoipa::path(post, path = "/v1/checks", request_body = Checks, tag = "accounts",
    responses((status = 200, body = inline(Answer<Vec<Each<CheckOut>>>)), (status = 400, body = Problem)))]
pub(super) async fn checks(
    State(app): Ctx,
    caller: Caller,
    Body(checks): Body<Checks>,
) -> Answered<Vec<Each<CheckOut>>> {
    let legs: usize = checks.checks.iter().map(|check| check.legs.len().max(1)).sum();
    limited("legs", legs, app.limits.legs_max)?;
    for check in &checks.checks {
        app.expiries(check.legs.iter().map(|leg| &leg.instrument))?;
    }
    app.doors.pay(&caller, units_of(legs))?;
    let seen = |course: &Course, of: &CheckOf| match caller.sees(&of.account) {
        true => checked(&course.engine, &of.account, &of.legs),
        false => Err(Problem::unknown_account(&of.account)),
    };
    let one = |course: &Course, of: &CheckOf| match seen(course, of) {
        Ok(answer) => Each { account: of.account.to_string(), answer: Some(answer), problem: None },
        Err(problem) => Each { account: of.account.to_string(), answer: None, problem: Some(problem) },
    };
    let all = |course: &Course| checks.checks.iter().map(|of| one(course, of)).collect();
    Ok(Json(app.read(|course| Ok((worst(course), all(course))))?))
}

/// The Greeks of an account by underlying and expiry.
#[utoipa::path(get, path = "/v1/accounts/{account}/greeks", params(("account" = AccountName, Path)), tag = "accounts",
    responses((status = 200, body = inline(Answer<Vec<Greeks>>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn greeks(State(app): Ctx, Path(account): Path<String>) -> Answered<Vec<Greeks>> {
    let id = named(&account)?;
    let answer = app.read(|course| {
        of_account(course, &id, |engine| Ok(engine.greeks(Some(&id))?.iter().map(wire::greeks).collect()))
    })?;
    Ok(Json(answer))
}

/// Profit and loss of an account over spot and volatility, by full reprice.
#[utoipa::path(get, path = "/v1/accounts/{account}/heatmap", params(("account" = AccountName, Path), Ahead), tag = "accounts",
    responses((status = 200, body = inline(Answer<Heat>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn heat_map(
    State(app): Ctx,
    Path(account): Path<String>,
    Query(ahead): Query<Ahead>,
) -> Answered<Heat> {
    let (study, units) = apart(&app, &account)?;
    let (answer, study) = (study.clone().with(()), study.data);
    let spec = HeatMapSpec { days: ahead.days, ..HeatMapSpec::default() };
    let map: HeatMap = app.long(move || study.heat_map(&spec)).await?;
    let row = |row: &Vec<_>| row.iter().map(|ticks| wire::money(*ticks, &units)).collect();
    let pnl = map.pnl.iter().map(row).collect();
    let worst = [map.worst.0, map.worst.1];
    Ok(Json(answer.with(Heat { spot: map.spot, vol: map.vol, pnl, worst })))
}

/// An account with what it takes to try it on other markets.
pub(super) fn apart(app: &super::App, account: &str) -> Result<(Answer<Study>, Units), Problem> {
    let id = named(account)?;
    let answer = app.read(|course| of_account(course, &id, |engine| Ok(engine.study(&id)?)))?;
    let units = app.shared.course().engine.rules().params.units.clone();
    Ok((answer, units))
}

/// Where in spot, volatility and time an account becomes liquidatable, and the nearest such point.
#[utoipa::path(get, path = "/v1/accounts/{account}/liquidation", params(("account" = AccountName, Path)), tag = "accounts",
    responses((status = 200, body = inline(Answer<Boundary>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn liquidation(State(app): Ctx, Path(account): Path<String>) -> Answered<Boundary> {
    let (study, units) = apart(&app, &account)?;
    let (answer, study) = (study.clone().with(()), study.data);
    let found = app.long(move || study.liquidation(&LiquidationSpec::default())).await?;
    let point = |point: &plimsoll_engine::LiquidationPoint| BoundaryPoint {
        days: point.days,
        vol: point.vol,
        spot_down: point.spot_down,
        spot_up: point.spot_up,
        mm_excess: wire::money(point.mm_excess, &units),
    };
    let near = |near: plimsoll_engine::NearestPoint| Nearest {
        spot: near.spot,
        vol: near.vol,
        days: near.days,
        distance: near.distance,
    };
    let boundary = Boundary {
        points: found.points.iter().map(point).collect(),
        nearest: found.nearest.map(near),
        first_expiry_days: found.first_expiry_days,
    };
    Ok(Json(answer.with(boundary)))
}
