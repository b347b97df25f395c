//! Derive's `get_margin`: docs.derive.xyz, API reference, public/get_margin and private/get_margin.

use super::exact::Exact;
use super::{Asked, read_from};
use crate::serve::answer::{Problem, account as named};
use crate::serve::legs::lots;
use crate::wire::{self, Unreadable};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Basis, Change, Engine, Imagined, Paid, Supposed};
use plimsoll_types::{Asset, Contract, Instrument, Units};
use serde::Deserialize;
use serde_json::{Value, json};

/// Of `public/get_margin`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublicMargin {
    margin_type: MarginType,
    simulated_collaterals: Vec<Coins>,
    simulated_positions: Vec<Held>,
    #[serde(default)]
    market: Option<Asset>,
    #[serde(default)]
    simulated_collateral_changes: Option<Vec<Coins>>,
    #[serde(default)]
    simulated_position_changes: Option<Vec<Held>>,
}

/// Of `private/get_margin`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrivateMargin {
    subaccount_id: Exact,
    #[serde(default)]
    simulated_collateral_changes: Option<Vec<Coins>>,
    #[serde(default)]
    simulated_position_changes: Option<Vec<Held>>,
}

/// Their methods of margin. Ours is of portfolios.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
enum MarginType {
    #[serde(rename = "SM")]
    Standard,
    #[serde(rename = "PM")]
    Portfolio,
    #[serde(rename = "PM2")]
    Portfolio2,
}

/// Collateral.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coins {
    asset_name: Asset,
    amount: Exact,
}

/// A position.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    instrument_name: Instrument,
    amount: Exact,
    #[serde(default)]
    entry_price: Option<Exact>,
}

/// Whether positions are held already, or traded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Held,
    Traded,
}

impl Held {
    /// Options that are held count at their value; what is traded is paid for.
    fn supposed(&self, stand: Stand, units: &Units) -> Result<Supposed, Problem> {
        let price = self.entry_price.as_ref().map(|text| wire::stated("entry_price", text)).transpose();
        let delta_one =
            matches!(self.instrument_name.contract(), Contract::Perpetual | Contract::Future { .. });
        let paid = match price.map_err(unreadable)? {
            Some(price) if delta_one || stand == Stand::Traded => Paid::Price(price),
            Some(_) => return Err(Problem::argument("`entry_price` is of futures and perpetuals")),
            None if delta_one || stand == Stand::Traded => Paid::Mark,
            None => Paid::Nothing,
        };
        let lots = lots(&self.amount, &self.instrument_name, units)?;
        Ok(Supposed { instrument: self.instrument_name.clone(), lots, paid })
    }
}

fn unreadable(e: Unreadable) -> Problem {
    Problem::argument(e.to_string())
}

fn change(coins: &[Coins], held: &[Held], stand: Stand, units: &Units) -> Result<Change, Problem> {
    let coin = |coin: &Coins| Ok((coin.asset_name.clone(), wire::nano(&coin.amount).map_err(unreadable)?));
    Ok(Change {
        positions: held.iter().map(|held| held.supposed(stand, units)).collect::<Result<_, Problem>>()?,
        collateral: coins.iter().map(coin).collect::<Result<_, Problem>>()?,
    })
}

/// `public/get_margin`: a book that is nobody's, before and after a change.
pub(super) fn public_margin(asked: &mut Asked<'_>, params: PublicMargin) -> Result<Value, Problem> {
    if params.margin_type == MarginType::Standard {
        return Err(Problem::argument("`margin_type`: expected PM or PM2, margin here is of portfolios"));
    }
    let (coins, held) = (params.simulated_collateral_changes, params.simulated_position_changes);
    let (coins, held) = (coins.unwrap_or_default(), held.unwrap_or_default());
    let all: Vec<&Instrument> =
        params.simulated_positions.iter().chain(&held).map(|held| &held.instrument_name).collect();
    asked.legs(all.iter().copied())?;
    asked.collaterals(params.simulated_collaterals.len() + coins.len())?;
    let answer = asked.app.read(|course| {
        let (engine, units) = (&course.engine, &course.engine.rules().params.units);
        known_market(engine, params.market.as_ref())?;
        let book = change(&params.simulated_collaterals, &params.simulated_positions, Stand::Held, units)?;
        let traded = change(&coins, &held, Stand::Traded, units)?;
        let then = engine.imagine(&Basis::Nobody(book.clone()), &traded)?;
        // Without a change it is the book itself that is asked about: whether its collateral alone would carry it.
        let check = match traded.is_empty() {
            false => then.check.clone(),
            true => {
                let Change { positions, collateral } = book;
                let alone = Change { positions: Vec::new(), collateral };
                let positions = Change { positions, collateral: Vec::new() };
                engine.imagine(&Basis::Nobody(alone), &positions)?.check
            }
        };
        Ok((validity(engine, &all), (written(&Imagined { check, ..then }, units))))
    })?;
    let (result, more) = answer.data.clone();
    Ok(read_from(answer.with(result), more))
}

/// `private/get_margin`: an account before and after a change.
pub(super) fn private_margin(asked: &mut Asked<'_>, params: PrivateMargin) -> Result<Value, Problem> {
    let account = asked.account(Some(named(&params.subaccount_id)?))?;
    let (coins, held) = (params.simulated_collateral_changes, params.simulated_position_changes);
    let (coins, held) = (coins.unwrap_or_default(), held.unwrap_or_default());
    let all: Vec<&Instrument> = held.iter().map(|held| &held.instrument_name).collect();
    asked.legs(all.into_iter())?;
    asked.collaterals(coins.len())?;
    let answer = asked.app.read(|course| {
        let (engine, units) = (&course.engine, &course.engine.rules().params.units);
        let traded = change(&coins, &held, Stand::Traded, units)?;
        let (number, _) = engine.account(&account)?;
        let then = engine.imagine(&Basis::Account(account.clone()), &traded)?;
        Ok((engine.validity(number), written(&then, units)))
    })?;
    let (mut result, more) = answer.data.clone();
    result["subaccount_id"] = json!(account);
    Ok(read_from(answer.with(result), more))
}

/// Their names for ours: margins less requirements, above zero where all is well.
fn written(then: &Imagined, units: &Units) -> (Value, Value) {
    let (pre, post) = (wire::totals_in(&then.before, units), wire::totals_in(&then.after, units));
    let result = json!({
        "pre_initial_margin": pre.im_excess,
        "pre_maintenance_margin": pre.mm_excess,
        "post_initial_margin": post.im_excess,
        "post_maintenance_margin": post.mm_excess,
        "is_valid_trade": then.check.allowed,
    });
    (result, json!({ "pre": pre, "post": post, "reason": then.check.reason }))
}

/// The worst of what is held.
fn validity(engine: &Engine, of: &[&Instrument]) -> Validity {
    of.iter().map(|instrument| engine.validity_of(instrument)).max().unwrap_or_default()
}

/// Their `market` is the underlying of a manager; here all underlyings are one portfolio, and it must be one of them.
fn known_market(engine: &Engine, market: Option<&Asset>) -> Result<(), Problem> {
    let known = |asset: &Asset| engine.valued().surface.underlyings.contains_key(asset);
    match market.filter(|asset| !known(asset)) {
        Some(asset) => Err(Problem::argument(format!("`market`: `{asset}` is no underlying here"))),
        None => Ok(()),
    }
}
