//! Deribit's `private/simulate_portfolio` and `private/pme/simulate`: docs.deribit.com, API reference, account management.

use super::exact::Exact;
use super::{Asked, read_from};
use crate::serve::answer::{Answer, Problem};
use crate::serve::legs::{lots, units_of};
use crate::wire;
use axum::http::StatusCode;
use plimsoll_engine::GreeksRow;
use plimsoll_engine::live::{Basis, Change, Engine, Imagined, Vector};
use plimsoll_types::{AccountId, Asset, Instrument, Units};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// All currencies at once.
const CROSS: &str = "CROSS";

/// Of both methods.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulated {
    currency: Asset,
    #[serde(default)]
    add_positions: Option<bool>,
    #[serde(default)]
    simulated_positions: Option<BTreeMap<Instrument, Exact>>,
    /// Ours: they know whose it is by the token.
    #[serde(default)]
    account: Option<AccountId>,
}

/// What was asked for, done.
struct Done {
    then: Imagined,
    greeks: Vec<GreeksRow>,
    vectors: Vec<Vector>,
    scenarios: Vec<String>,
    margin: wire::MarginOut,
    /// The only underlying that was asked about, else all.
    only: Option<Asset>,
    units: Units,
}

impl Simulated {
    /// The account's book with what is simulated, or with that in place of its positions.
    fn imagine(self, asked: &mut Asked<'_>) -> Result<Answer<Done>, Problem> {
        let account = asked.account(self.account)?;
        let positions = self.simulated_positions.unwrap_or_default();
        asked.legs(positions.keys())?;
        asked.app.read(|course| {
            let (engine, units) = (&course.engine, &course.engine.rules().params.units);
            let only = only(engine, self.currency, units)?;
            let trade = |(instrument, text): (&Instrument, &Exact)| {
                Ok::<_, Problem>((instrument.clone(), lots(text, instrument, units)?))
            };
            let trades = positions.iter().map(trade).collect::<Result<Vec<_>, _>>()?;
            let basis = match self.add_positions.unwrap_or(true) {
                true => Basis::Account(account.clone()),
                false => Basis::Collateral(account.clone()),
            };
            let then = engine.imagine(&basis, &Change::at_the_mark(&trades))?;
            let done = Done {
                greeks: engine.greeks_of(&then.portfolio),
                vectors: engine.vectors(&then.portfolio),
                scenarios: engine.valued().arrays().scenarios.iter().map(|of| of.label.clone()).collect(),
                margin: wire::margin(&then.after, engine.valued().arrays(), units),
                only,
                units: units.clone(),
                then,
            };
            Ok((engine.validity(engine.account(&account)?.0), done))
        })
    }
}

/// The underlying that a currency is; nothing for all of them.
fn only(engine: &Engine, currency: Asset, units: &Units) -> Result<Option<Asset>, Problem> {
    if currency == units.currency || currency.as_str() == CROSS {
        return Ok(None);
    }
    if engine.valued().surface.underlyings.contains_key(&currency) {
        return Ok(Some(currency));
    }
    let why = format!("`{currency}`: expected {CROSS}, {} or an underlying", units.currency);
    Err(Problem::new(StatusCode::NOT_FOUND, "unknown_currency", why))
}

/// `private/simulate_portfolio`: the totals of the book, and its Greeks by underlying.
pub(super) fn simulate_portfolio(asked: &mut Asked<'_>, params: Simulated) -> Result<Value, Problem> {
    let answer = params.imagine(asked)?;
    let done = &answer.data;
    let totals = &done.margin.totals;
    let options = |of: fn(&GreeksRow) -> f64| by_underlying(done, of, |row| row.expiry.is_some());
    let result = json!({
        "currency": done.units.currency,
        "margin_model": "plimsoll",
        "portfolio_margining_enabled": true,
        "cross_collateral_enabled": true,
        "equity": totals.equity,
        "margin_balance": totals.equity,
        "initial_margin": totals.im,
        "maintenance_margin": totals.mm,
        "available_funds": totals.im_excess,
        "total_pl": totals.unrealised,
        "delta_total_map": by_underlying(done, |row| row.delta, |_| true),
        "options_gamma_map": options(|row| row.gamma),
        "options_vega_map": options(|row| row.vega_per_point),
        "options_theta_map": options(|row| row.theta_per_day),
    });
    let check = wire::check(&done.then.check, &done.units);
    let more = json!({ "totals": totals, "check": check });
    Ok(read_from(answer.with(result), more))
}

/// Sums of a Greek by underlying, under their names for pairs.
fn by_underlying(done: &Done, of: fn(&GreeksRow) -> f64, counts: impl Fn(&GreeksRow) -> bool) -> Value {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for row in done.greeks.iter().filter(|row| counts(row) && done.shows(&row.underlying)) {
        *sums.entry(pair(row.underlying.as_str(), &done.units)).or_default() += of(row);
    }
    json!(sums)
}

impl Done {
    fn shows(&self, underlying: &Asset) -> bool {
        self.only.as_ref().is_none_or(|only| only == underlying)
    }
}

/// As they name an index: `eth_usd`.
fn pair(underlying: &str, units: &Units) -> String {
    format!("{}_{}", underlying.to_lowercase(), units.currency.as_str().to_lowercase())
}

/// `private/pme/simulate`: profit and loss in every scenario, of every position and of every underlying.
pub(super) fn risk_vectors(asked: &mut Asked<'_>, params: Simulated) -> Result<Value, Problem> {
    let answer = params.imagine(asked)?;
    let done = &answer.data;
    asked.app.doors.pay(asked.caller, units_of(done.vectors.len()))?;
    let mut aggregated = Map::new();
    for under in
        done.margin.underlyings.iter().filter(|u| done.only.as_ref().is_none_or(|o| o.as_str() == u.asset))
    {
        aggregated.insert(pair(&under.asset, &done.units), json!({ "standard": under.pnl }));
    }
    let mut initial = Map::new();
    for vector in done.vectors.iter().filter(|vector| done.shows(vector.instrument.underlying())) {
        let pnl: Vec<String> = vector.pnl.iter().map(|ticks| wire::money(*ticks, &done.units)).collect();
        initial.insert(vector.instrument.to_string(), json!({ "standard": pnl }));
    }
    let totals = &done.margin.totals;
    let result = json!({
        "currency": done.units.currency,
        "aggregated_risk_vectors": aggregated,
        "initial_risk_vectors": initial,
        "margins": { "initial_margin": totals.im, "maintenance_margin": totals.mm },
    });
    let more = json!({ "scenarios": done.scenarios, "totals": totals });
    Ok(read_from(answer.with(result), more))
}
