//! What pictures ask for: all accounts over a grid of moves, one account leg by leg, other methods on the same book, and what a
//! margin stands for.

use super::Chain;
use super::accounts::{Ahead, apart, written};
use super::answer::{Answered, Ctx, Problem, Query, account as named, worst};
use super::market::{Quote, points};
use crate::host::Course;
use crate::wire::schema::{AccountName, AssetName};
use crate::wire::{self, AccountOut};
use axum::Json;
use axum::extract::{Path, State};
use plimsoll_engine::live::feed::{Accepted, Feed};
use plimsoll_engine::live::{BookCell, BookMap, Reject};
use plimsoll_engine::{
    BookBuilder, BuildOptions, Desk, HeatMap, HeatMapSpec, Market, PRESETS, ParamSet, RowError,
};
use plimsoll_market::{Slice, Surface};
use plimsoll_policy::TargetSpec;
use plimsoll_types::{AccountId, Asset, IndexPrice, Instrument, Snapshot, Ticks, UnderlyingMarket, Units};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// All accounts over spot and volatility, all underlyings moving alike. Requirements and collateral stay what they are.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct BookHeat {
    /// Relative moves of spot.
    spot: Vec<f64>,
    /// Relative moves of volatility.
    vol: Vec<f64>,
    /// `cells[vol][spot]`.
    cells: Vec<Vec<BookCellOut>>,
    /// The cell in which those that lose lose most: places in `vol` and `spot`.
    worst: [usize; 2],
    /// Moves far beyond the grid.
    tails: Vec<Tail>,
}

/// All accounts after a move far beyond the grid.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Tail {
    /// Relative move of spot.
    spot: f64,
    /// Relative move of volatility.
    vol: f64,
    /// All accounts after it.
    cell: BookCellOut,
}

/// Moves of spot far beyond the grid, those of the extended table, with volatility doubled.
const TAILS: [f64; 8] = [-0.7, -0.6, -0.5, 0.5, 1.0, 2.0, 3.0, 5.0];

/// All accounts after one move.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct BookCellOut {
    /// Profit and loss of all of them together.
    pnl: String,
    /// Losses of those that lose.
    losses: String,
    /// Accounts whose equity is then beneath the maintenance margin of the present.
    accounts: u64,
    /// Notional of their positions at the present index.
    notional: String,
    /// What they owe beyond what they have.
    shortfall: String,
}

/// What one position adds to the heat map of its account.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct LegMap {
    /// Which.
    instrument: String,
    /// When it expires, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<String>,
    /// `pnl[vol][spot]`, on the grid of the heat map.
    pnl: Vec<Vec<String>>,
}

/// The quotes that the smile of an expiry is on, as volatilities.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct QuotedSmile {
    /// When it expires.
    expiry: String,
    /// In order of strike.
    points: Vec<Quote>,
}

/// Whose margins, under which method.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Under {
    /// A parameter set that comes with the program; the base line when left out.
    #[serde(default = "base_line")]
    #[param(value_type = Option<String>, example = "fixed")]
    preset: String,
    /// Of one account; of all when left out.
    #[param(value_type = Option<AccountName>)]
    account: Option<String>,
}

fn base_line() -> String {
    "fixed".to_owned()
}

/// What a method asks for on the book and market of the present. Entry prices are not told: equity is not compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Method {
    /// Which.
    preset: String,
    /// Sum of initial margins.
    im: String,
    /// Sum of maintenance margins.
    mm: String,
    /// What is in force asks of the same accounts: initial margin.
    own_im: String,
    /// The same of maintenance margin.
    own_mm: String,
    /// Accounts it margins.
    accounts: usize,
    /// Accounts it does not.
    failures: usize,
    /// The first reason why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A parameter set that comes with the program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(super) struct Preset {
    name: String,
    description: String,
}

/// What a margin stands for.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Terms {
    /// Whom proofs of keys are for: the identity of the journal.
    audience: String,
    /// The valuation currency.
    currency: String,
    /// Estimated parameters: the share of losses they cover, and over how long.
    estimates: Vec<Estimate>,
}

/// An estimated parameter.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Estimate {
    /// Which knob.
    knob: String,
    /// Share of losses that it covers.
    confidence: f64,
    /// Margin period of risk, seconds.
    horizon_seconds: i64,
}

/// All accounts over spot and volatility: who loses what, and who would be liquidatable.
#[utoipa::path(get, path = "/v1/heatmap", params(Ahead), tag = "pictures",
    responses((status = 200, body = inline(super::Answer<BookHeat>)), (status = 400, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn book(State(app): Ctx, Query(ahead): Query<Ahead>) -> Answered<BookHeat> {
    let answer = app.read(|course| {
        let units = course.engine.rules().params.units.clone();
        Ok((worst(course), (course.engine.book_study(), units)))
    })?;
    let (study, units) = answer.data.clone();
    let spec = ahead.grid();
    let far = HeatMapSpec { spot: TAILS.to_vec(), vol: vec![1.0], ..spec.clone() };
    let maps = app.long(move || Ok((study.map(&spec)?, study.map(&far)?))).await?;
    Ok(Json(answer.with(heat(&maps, &units))))
}

fn heat((map, far): &(BookMap, BookMap), units: &Units) -> BookHeat {
    let amount = |ticks| wire::money(ticks, units);
    let cell = |cell: &BookCell| BookCellOut {
        pnl: amount(cell.pnl),
        losses: amount(cell.losses),
        accounts: cell.accounts,
        notional: amount(cell.notional),
        shortfall: amount(cell.shortfall),
    };
    let flat =
        map.cells.iter().enumerate().flat_map(|(vol, row)| {
            row.iter().enumerate().map(move |(spot, cell)| (cell.losses, [vol, spot]))
        });
    let tail = |(spot, of): (&f64, &BookCell)| Tail { spot: *spot, vol: 1.0, cell: cell(of) };
    // Of equals the first.
    let worst = flat.rev().max_by_key(|(losses, _)| *losses).map_or([0, 0], |(_, at)| at);
    BookHeat {
        spot: map.spot.clone(),
        vol: map.vol.clone(),
        cells: map.cells.iter().map(|row| row.iter().map(cell).collect()).collect(),
        worst,
        tails: far.spot.iter().zip(far.cells.iter().flatten()).map(tail).collect(),
    }
}

/// The heat map of an account leg by leg: cell by cell they add up to it.
#[utoipa::path(get, path = "/v1/accounts/{account}/heatmap/legs", params(("account" = AccountName, Path), Ahead), tag = "pictures",
    responses((status = 200, body = inline(super::Answer<Vec<LegMap>>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn legs(
    State(app): Ctx,
    Path(account): Path<String>,
    Query(ahead): Query<Ahead>,
) -> Answered<Vec<LegMap>> {
    let (study, units) = apart(&app, &account)?;
    let (answer, study) = (study.clone().with(()), study.data);
    let spec = ahead.grid();
    let found: Vec<(Instrument, HeatMap)> = app.long(move || study.legs(&spec)).await?;
    let row = |row: &Vec<Ticks>| row.iter().map(|ticks| wire::money(*ticks, &units)).collect();
    let leg = |(instrument, map): &(Instrument, HeatMap)| LegMap {
        instrument: instrument.to_string(),
        expiry: instrument.expiry().map(|at| at.to_string()),
        pnl: map.pnl.iter().map(row).collect(),
    };
    Ok(Json(answer.with(found.iter().map(leg).collect())))
}

/// The last chain of an underlying since the server was started, as volatilities, guarded and fitted at the present index; nothing
/// before the first.
#[utoipa::path(get, path = "/v1/surface/{underlying}/quotes", params(("underlying" = AssetName, Path)), tag = "pictures",
    responses((status = 200, body = inline(super::Answer<Vec<QuotedSmile>>)), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn quotes(State(app): Ctx, Path(underlying): Path<String>) -> Answered<Vec<QuotedSmile>> {
    let asset = Asset::new(&underlying).map_err(|e| Problem::argument(format!("`{underlying}`: {e}")))?;
    let chain = app.heard.chain(&asset);
    let answer = app.read(|course| {
        let index = course.engine.state().feeds.get(&asset).and_then(Feed::accepted);
        Ok((worst(course), chain.zip(index).map(|found| (found, course.engine.rules().params.clone()))))
    })?;
    let Some(((chain, index), params)) = answer.data.clone() else {
        return Ok(Json(answer.with(Vec::new())));
    };
    let smiles = app.long(move || Ok(smiles(asset, chain, index, &params))).await?;
    Ok(Json(answer.with(smiles)))
}

fn smiles(asset: Asset, (time, quotes): Chain, index: Accepted, params: &ParamSet) -> Vec<QuotedSmile> {
    let confidence = Some(index.confidence * index.price);
    let ours = IndexPrice { price: index.price, confidence, source: "engine".to_owned(), time };
    let market = UnderlyingMarket { index: vec![ours], ..*quotes };
    let underlyings = BTreeMap::from([(asset, market)]);
    let market = Market::new(Snapshot { as_of: time, underlyings, assets: BTreeMap::new() }, params);
    let smile = |slice: &Slice| QuotedSmile { expiry: slice.expiry.to_string(), points: points(slice) };
    market.surface.underlyings.values().flat_map(|of| of.slices.iter().map(smile)).collect()
}

/// What another method would ask for, of one account or of all, on the market of the present.
#[utoipa::path(get, path = "/v1/compare", params(Under), tag = "pictures",
    responses((status = 200, body = inline(super::Answer<Method>)), (status = 404, body = Problem), (status = 409, body = Problem), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn compare(State(app): Ctx, Query(under): Query<Under>) -> Answered<Method> {
    let one = under.account.as_deref().map(named).transpose()?;
    let known = PRESETS.iter().any(|(name, _)| *name == under.preset);
    if !known {
        return Err(Reject::new("unknown_preset", under.preset).into());
    }
    let answer = app.read(|course| {
        let accounts = holdings(course, one.as_ref())?;
        Ok((worst(course), (accounts, course.engine.valued().surface.clone())))
    })?;
    let (members, surface) = answer.data.clone();
    let units = app.shared.course().engine.rules().params.units.clone();
    let method = app.long(move || method(&under.preset, (&members, &units), surface)).await?;
    Ok(Json(answer.with(method)))
}

/// An account, and what is in force asks of it: initial and maintenance margin, ticks.
type Member = (AccountOut, [i128; 2]);

fn holdings(course: &Course, one: Option<&AccountId>) -> Result<Vec<Member>, Reject> {
    let member = |id: &AccountId| {
        let (number, _) = course.engine.account(id)?;
        let totals = course.engine.valued().totals(number).and_then(Result::ok);
        Ok((written(course, id)?, totals.map_or([0, 0], |totals| [totals.im.0, totals.mm.0])))
    };
    let all = || course.engine.state().ledger.accounts().iter().map(|account| member(&account.id));
    one.map_or_else(|| all().collect(), |id| Ok(vec![member(id)?]))
}

fn method(preset: &str, (members, ours): (&[Member], &Units), surface: Surface) -> Result<Method, Reject> {
    let refused = |e: &dyn std::fmt::Display| Reject::new("not_valid", format!("{preset}: {e}"));
    let params = ParamSet::preset(preset).map_err(|e| refused(&e))?;
    let units = params.units.clone();
    let book = builder(&units, members).map_err(|e| refused(&e))?;
    let nothing = Snapshot { as_of: surface.as_of, underlyings: BTreeMap::new(), assets: BTreeMap::new() };
    let market = Market { snapshot: nothing, surface, id: String::new() };
    let options = BuildOptions { unlisted: true, allow_lint: true, ..BuildOptions::default() };
    let desk = Desk::assemble(params, market, book, &[], &options).map_err(|e| refused(&e))?;
    let own: BTreeMap<&str, [i128; 2]> =
        members.iter().map(|(of, own)| (of.account.as_str(), *own)).collect();
    let mut sums = [0_i128; 4];
    let (mut accounts, mut failures, mut reason) = (0, 0, None);
    for (account, report) in desk.margin() {
        match report {
            Ok(report) => {
                let [im, mm] = own.get(account.as_str()).copied().unwrap_or_default();
                let each = [report.im.0, report.mm.0, im, mm];
                sums.iter_mut().zip(each).for_each(|(sum, ticks)| *sum += ticks);
                accounts += 1;
            }
            Err(failure) => {
                failures += 1;
                reason.get_or_insert(failure.to_string());
            }
        }
    }
    let [im, mm] = [sums[0], sums[1]].map(|ticks| wire::money(Ticks(ticks), &units));
    let [own_im, own_mm] = [sums[2], sums[3]].map(|ticks| wire::money(Ticks(ticks), ours));
    let preset = preset.to_owned();
    Ok(Method { preset, im, mm, own_im, own_mm, accounts, failures, reason })
}

fn builder(units: &Units, members: &[Member]) -> Result<BookBuilder, RowError> {
    let mut book = BookBuilder::new(units);
    for (of, _) in members {
        for position in &of.positions {
            book.position(&of.account, &position.instrument, &position.quantity, None)?;
        }
        for held in &of.collateral {
            book.collateral(&of.account, &held.asset, held.amount.as_str(), None)?;
        }
    }
    Ok(book)
}

/// Parameter sets that come with the program.
#[utoipa::path(get, path = "/v1/presets", tag = "pictures",
    responses((status = 200, body = inline(super::Answer<Vec<Preset>>))))]
pub(super) async fn presets(State(app): Ctx) -> Answered<Vec<Preset>> {
    let one = |(name, _): &(&str, &str)| {
        let set = ParamSet::preset(name).ok()?;
        Some(Preset { name: (*name).to_owned(), description: set.description })
    };
    Ok(Json(app.read(|course| Ok((worst(course), PRESETS.iter().filter_map(one).collect())))?))
}

/// What a margin stands for: currency, and of every estimated parameter its confidence and horizon.
#[utoipa::path(get, path = "/v1/terms", tag = "pictures",
    responses((status = 200, body = inline(super::Answer<Terms>))))]
pub(super) async fn terms(State(app): Ctx) -> Answered<Terms> {
    Ok(Json(app.read(|course| Ok((worst(course), stated(course, app.doors.audience()))))?))
}

fn stated(course: &Course, audience: &str) -> Terms {
    let rules = course.engine.rules();
    let step = rules.policy.step_seconds();
    let estimate = |of: &plimsoll_policy::ParameterSpec| match &of.target {
        TargetSpec::Quantile(quantile) => Some(Estimate {
            knob: of.knob.name().to_owned(),
            confidence: quantile.confidence,
            horizon_seconds: i64::from(quantile.horizon_steps).saturating_mul(step),
        }),
        _ => None,
    };
    Terms {
        audience: audience.to_owned(),
        currency: rules.params.units.currency.to_string(),
        estimates: rules.policy.file().parameters.iter().filter_map(estimate).collect(),
    }
}

impl Ahead {
    fn grid(self) -> HeatMapSpec {
        HeatMapSpec { days: self.days, ..HeatMapSpec::default() }
    }
}
