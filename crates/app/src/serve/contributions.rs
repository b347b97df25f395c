//! Who is behind a Greek of all accounts together.

use super::answer::{Answered, Ctx, Part, Problem, Query, worst};
use crate::wire::schema::AssetName;
use crate::wire::{self, Greeks};
use axum::Json;
use axum::extract::{Path, State};
use plimsoll_engine::GreeksRow;
use plimsoll_engine::live::Reject;
use plimsoll_types::{Asset, TimeError, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A sensitivity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Greek {
    /// `dV/dS`.
    Delta,
    /// `S dV/dS`.
    #[default]
    DeltaCash,
    /// `d2V/dS2`.
    Gamma,
    /// Per 0.01 of volatility.
    VegaPerPoint,
    /// Per day.
    ThetaPerDay,
    /// Per 0.0001 of rate.
    RhoPerBp,
    /// `d2V/(dS dvol)`.
    Vanna,
    /// `d2V/dvol2`.
    Volga,
}

impl Greek {
    fn of(self, row: &GreeksRow) -> f64 {
        match self {
            Self::Delta => row.delta,
            Self::DeltaCash => row.delta_cash,
            Self::Gamma => row.gamma,
            Self::VegaPerPoint => row.vega_per_point,
            Self::ThetaPerDay => row.theta_per_day,
            Self::RhoPerBp => row.rho_per_bp,
            Self::Vanna => row.vanna,
            Self::Volga => row.volga,
        }
    }
}

/// Of what, in what order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Behind {
    /// The Greek that orders them: the largest contribution first, whatever its sign.
    #[param(inline)]
    by: Greek,
    /// One expiry; `none` for perpetuals and spot; left out for all.
    expiry: Option<String>,
    /// At most so many, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// After leaving out so many.
    #[param(maximum = 2147483647)]
    skip: u32,
}

/// Who is behind a Greek.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Contributors {
    /// How many hold any of it.
    accounts: usize,
    /// What they come to together.
    sum: f64,
    /// Part of them, in order.
    rows: Vec<Contributor>,
}

/// An account, and what it adds.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Contributor {
    /// Whose.
    account: String,
    /// All of its Greeks in what was asked for.
    greeks: Greeks,
}

impl Behind {
    fn expiry(&self) -> Result<Option<Option<Timestamp>>, Problem> {
        let parse = |text: &str| {
            // What is no instant is the name of no expiry.
            let unknown = |e: TimeError| Reject::new("unknown_expiry", format!("`{text}`: {e}")).into();
            if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(unknown) }
        };
        self.expiry.as_deref().map(parse).transpose()
    }
}

/// What each account adds to the Greeks of all together in an underlying, or in one of its expiries: the largest contribution first.
#[utoipa::path(get, path = "/v1/greeks/{underlying}/accounts", params(("underlying" = AssetName, Path), Behind), tag = "market",
    responses((status = 200, body = inline(super::Answer<Contributors>)), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn contributors(
    State(app): Ctx,
    Path(underlying): Path<String>,
    Query(behind): Query<Behind>,
) -> Answered<Contributors> {
    let asset = Asset::new(&underlying).map_err(|e| Problem::argument(format!("`{underlying}`: {e}")))?;
    let part = Part { limit: behind.limit.unwrap_or(100), skip: behind.skip }.checked()?;
    let expiry = behind.expiry()?;
    let answer = app.read(|course| Ok((worst(course), course.engine.book_study())))?;
    let (answer, study) = answer.split();
    let rows = app.long(move || Ok(study.greeks(&asset, expiry))).await?;
    Ok(Json(answer.with(ordered(rows, behind.by, part))))
}

fn ordered(mut rows: Vec<GreeksRow>, by: Greek, part: Part) -> Contributors {
    let (accounts, sum) = (rows.len(), rows.iter().map(|row| by.of(row)).sum());
    // The sort is stable, and rows come in the order of the book.
    rows.sort_by(|a, b| by.of(b).abs().total_cmp(&by.of(a).abs()));
    let one = |row: &GreeksRow| Contributor {
        account: row.account.as_ref().map(ToString::to_string).unwrap_or_default(),
        greeks: wire::greeks(row),
    };
    let rows = rows.iter().skip(part.skip as usize).take(part.limit).map(one).collect();
    Contributors { accounts, sum, rows }
}
