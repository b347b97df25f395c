//! What is traded, on which market, and how far it may be relied on.

use super::answer::{Answer, Answered, Ctx, Problem, worst};
use crate::host::Course;
use crate::wire::schema::AssetName;
use crate::wire::{self, Greeks, Listed};
use axum::Json;
use axum::extract::{Path, State};
use plimsoll_engine::live::Engine;
use plimsoll_engine::live::feed::{Cause, Feed, Validity};
use plimsoll_market::{Slice, UnderlyingSurface};
use plimsoll_types::{Asset, Decimal, Ticks};
use serde::Serialize;
use utoipa::ToSchema;

/// The fitted market of an underlying.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct SurfaceOut {
    /// Which.
    underlying: String,
    /// Index price.
    index: f64,
    /// Half-width of its confidence interval, relative.
    confidence: f64,
    /// One per expiry, nearest first.
    expiries: Vec<Expiry>,
    /// Perpetuals and futures: name and mark.
    marks: Vec<Mark>,
}

/// The smile of one expiry.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Expiry {
    /// When.
    expiry: String,
    /// Years to it when it was fitted.
    tau: f64,
    /// Its forward.
    forward: f64,
    /// Volatility at the forward.
    atm: f64,
    /// Raw SVI: `w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))`.
    svi: Svi,
    /// Distance of the fit from mids, vol points.
    rmse_vol_points: f64,
    /// Quotes it was fitted to.
    quotes: usize,
    /// Quotes that were refused.
    refused: usize,
    /// What was fitted, in order of strike.
    points: Vec<Quote>,
    /// How far it may be relied on.
    #[schema(value_type = String)]
    validity: Validity,
}

/// Raw SVI.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Svi {
    a: f64,
    b: f64,
    rho: f64,
    m: f64,
    sigma: f64,
}

/// A point of a smile.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Quote {
    /// Strike.
    strike: f64,
    /// Volatility of the fit.
    fit: f64,
    /// Of the bid.
    #[serde(skip_serializing_if = "Option::is_none")]
    bid: Option<f64>,
    /// Of the ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    ask: Option<f64>,
    /// Of the venue's mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<f64>,
}

/// The mark of a perpetual or future.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Mark {
    instrument: String,
    price: f64,
}

/// How far a feed may be relied on.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct FeedOut {
    /// Of what.
    pub(super) asset: String,
    /// `normal`, `degraded` or `halted`.
    #[schema(value_type = String)]
    pub(super) validity: Validity,
    /// Why it is not normal.
    #[schema(value_type = Vec<String>)]
    pub(super) causes: Vec<Cause>,
    /// The price in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) price: Option<f64>,
    /// Half-width of its confidence interval, relative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confidence: Option<f64>,
    /// Its age, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age_ms: Option<i64>,
    /// Sources that are not listened to, and why.
    pub(super) quarantined: Vec<String>,
}

/// Every instrument.
#[utoipa::path(get, path = "/v1/instruments", tag = "market",
    responses((status = 200, body = inline(Answer<Vec<Listed>>))))]
pub(super) async fn instruments(State(app): Ctx) -> Answered<Vec<Listed>> {
    Ok(Json(app.read(|course| Ok((worst(course), listed(&course.engine))))?))
}

fn listed(engine: &Engine) -> Vec<Listed> {
    let units = &engine.rules().params.units;
    let each = |(number, entry): (u32, &plimsoll_engine::live::ledger::Listed)| Listed {
        instrument: entry.instrument.to_string(),
        lot: Decimal::normalize(&units.lot(&entry.instrument)).to_string(),
        value_of_lot: engine.valued().mark_of(number).map(|lot| wire::money(Ticks(i128::from(lot)), units)),
        settled: entry.settled.is_some(),
    };
    (0..).zip(engine.state().ledger.instruments()).map(each).collect()
}

/// The fitted smiles of an underlying, with the quotes they were fitted to.
#[utoipa::path(get, path = "/v1/surface/{underlying}", params(("underlying" = AssetName, Path)), tag = "market",
    responses((status = 200, body = inline(Answer<SurfaceOut>)), (status = 404, body = Problem), (status = 400, body = Problem)))]
pub(super) async fn surface(State(app): Ctx, Path(underlying): Path<String>) -> Answered<SurfaceOut> {
    let asset = Asset::new(&underlying).map_err(|e| Problem::argument(format!("`{underlying}`: {e}")))?;
    let answer = app.read(|course| {
        let unknown = || plimsoll_engine::live::Reject::new("unknown_underlying", underlying.clone());
        let found = course.engine.valued().surface.underlyings.get(&asset).ok_or_else(unknown)?;
        let feed = course.engine.state().feeds.get(&asset);
        let validity = feed.map_or(Validity::Halted, Feed::validity);
        Ok((validity, smiles(course, &asset, found)))
    })?;
    Ok(Json(answer))
}

fn smiles(course: &Course, asset: &Asset, of: &UnderlyingSurface) -> SurfaceOut {
    let state = course.engine.state();
    let limits = &course.engine.rules().market;
    let validity = |slice: &Slice| {
        let market = state.markets.get(asset);
        market.map_or(Validity::Halted, |market| market.validity(limits, slice.expiry, state.now).0)
    };
    let perpetuals = of.perpetuals.iter().map(|(name, mark)| (name, mark.price));
    let futures = of.futures.iter().map(|(name, price)| (name, *price));
    let mark =
        |(name, price): (&plimsoll_types::Instrument, f64)| Mark { instrument: name.to_string(), price };
    SurfaceOut {
        underlying: asset.to_string(),
        index: of.index,
        confidence: of.confidence,
        expiries: of.slices.iter().map(|slice| expiry(slice, validity(slice))).collect(),
        marks: perpetuals.chain(futures).map(mark).collect(),
    }
}

fn expiry(slice: &Slice, validity: Validity) -> Expiry {
    let plimsoll_quant::svi::Svi { a, b, rho, m, sigma } = slice.svi;
    Expiry {
        expiry: slice.expiry.to_string(),
        tau: slice.tau,
        forward: slice.forward,
        atm: slice.svi.vol(0.0, slice.tau),
        svi: Svi { a, b, rho, m, sigma },
        rmse_vol_points: slice.quality.rmse_vol_points,
        quotes: slice.quality.quotes_used,
        refused: slice.quality.quotes_refused.len(),
        points: points(slice),
        validity,
    }
}

/// What a smile was fitted to.
pub(super) fn points(slice: &Slice) -> Vec<Quote> {
    let point = |point: &plimsoll_market::FitPoint| Quote {
        strike: point.strike,
        fit: point.fitted_vol,
        bid: point.bid_vol,
        ask: point.ask_vol,
        mark: point.mark_vol,
    };
    slice.quality.points.iter().map(point).collect()
}

/// How far every feed may be relied on, and why not.
#[utoipa::path(get, path = "/v1/validity", tag = "market",
    responses((status = 200, body = inline(Answer<Vec<FeedOut>>))))]
pub(super) async fn validity(State(app): Ctx) -> Answered<Vec<FeedOut>> {
    Ok(Json(app.read(|course| Ok((worst(course), feeds(course))))?))
}

/// Every feed as it stands.
pub(super) fn feeds(course: &Course) -> Vec<FeedOut> {
    let state = course.engine.state();
    let each = |(asset, feed): (&Asset, &Feed)| {
        let accepted = feed.accepted();
        let age = accepted.map(|a| (state.now.nanos() - a.time.nanos()) / 1_000_000);
        FeedOut {
            asset: asset.to_string(),
            validity: feed.validity(),
            causes: feed.causes().iter().copied().collect(),
            price: accepted.map(|a| a.price),
            confidence: accepted.map(|a| a.confidence),
            age_ms: age,
            quarantined: feed.quarantined().map(|(source, why)| format!("{source}: {why:?}")).collect(),
        }
    };
    state.feeds.iter().map(each).collect()
}

/// The Greeks of all accounts together, by underlying and expiry: what the protocol faces is the opposite of nobody.
#[utoipa::path(get, path = "/v1/greeks", tag = "market",
    responses((status = 200, body = inline(Answer<Vec<Greeks>>)), (status = 409, body = Problem)))]
pub(super) async fn greeks(State(app): Ctx) -> Answered<Vec<Greeks>> {
    let answer = app.read(|course| {
        let rows = course.engine.greeks(None)?;
        Ok((worst(course), rows.iter().map(wire::greeks).collect()))
    })?;
    Ok(Json(answer))
}
