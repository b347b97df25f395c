//! Rows: what a record and what followed from it say in each table.

use super::tables::{EFFECTS, EVENTS, LIQUIDATIONS, MARGINS, PARAMETERS, SCALE, Table};
use crate::host::{Content, Course, Taken};
use crate::wire;
use anyhow::{Context, bail};
use plimsoll_engine::live::{Body, Effect, Event};
use plimsoll_margin::Totals;
use plimsoll_policy::Decision;
use plimsoll_types::{Instrument, Ppb, Ticks, Timestamp, Units};
use serde_json::Value;

/// Whole units of what stands behind the point of an amount.
const ONE: i128 = 10_i128.pow(SCALE.unsigned_abs() as u32);

/// A row, in the order of the table's columns.
pub(super) type Row = Vec<Datum>;

/// What stands in a row's column.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Datum {
    /// Nothing.
    Nothing,
    /// A whole number.
    Count(i64),
    /// Text.
    Text(String),
    /// An instant.
    Instant(Timestamp),
    /// Billionths.
    Amount(i128),
}

impl Datum {
    pub(super) fn count(&self) -> Option<i64> {
        if let Self::Count(count) = self { Some(*count) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn millis(&self) -> Option<i64> {
        if let Self::Instant(at) = self { Some(at.nanos().div_euclid(1_000_000)) } else { None }
    }

    pub(super) fn amount(&self) -> Option<i128> {
        if let Self::Amount(nano) = self { Some(*nano) } else { None }
    }
}

fn text(of: impl ToString) -> Datum {
    Datum::Text(of.to_string())
}

fn some<T>(of: Option<T>, datum: impl FnOnce(T) -> Datum) -> Datum {
    of.map_or(Datum::Nothing, datum)
}

fn count(of: u64) -> anyhow::Result<Datum> {
    Ok(Datum::Count(i64::try_from(of).with_context(|| format!("{of} is more than a column holds"))?))
}

fn ratio(of: Ppb) -> Datum {
    Datum::Amount(i128::from(of.0))
}

fn money(ticks: Ticks, units: &Units) -> anyhow::Result<Datum> {
    let per_unit = i128::from(units.ticks_per_unit);
    if per_unit <= 0 || ONE % per_unit != 0 {
        bail!("{per_unit} ticks per unit: the columns have {SCALE} decimals");
    }
    let nano = ticks.0.checked_mul(ONE / per_unit);
    nano.map(Datum::Amount).with_context(|| format!("{} ticks are more than a column holds", ticks.0))
}

fn quantity(lots: i64, instrument: &Instrument, units: &Units) -> anyhow::Result<Datum> {
    let lot = units.lot(instrument);
    let exact = || {
        let up = ONE.checked_mul(lot.mantissa())?.checked_mul(i128::from(lots))?;
        let down = 10_i128.checked_pow(lot.scale())?;
        (up % down == 0).then_some(up / down)
    };
    exact()
        .map(Datum::Amount)
        .with_context(|| format!("{lots} lots of {lot}: the columns have {SCALE} decimals"))
}

type Push<'a> = &'a mut dyn FnMut(&Table, Row) -> anyhow::Result<()>;

/// What a record and its effects say.
pub(super) fn of_record(course: &Course, taken: &Taken<'_>, push: Push<'_>) -> anyhow::Result<()> {
    push(&EVENTS, record(course, taken)?)?;
    let (sequence, time) = (count(course.sequence)?, Datum::Instant(course.engine.state().now));
    let units = &course.engine.rules().params.units;
    let (mut steps, mut changes) = (0, 0);
    if let Content::Event(event) | Content::Signed { event, .. } = taken.content
        && refusal(taken.effects).is_none()
        && let Some(step) = traded(event, course, units)?
    {
        push(&LIQUIDATIONS, [vec![sequence.clone(), Datum::Count(0), time.clone()], step].concat())?;
        steps += 1;
    }
    for (ordinal, effect) in taken.effects.iter().enumerate() {
        let said = wire::effect(effect, units);
        let (name, account) = (said["effect"].as_str().unwrap_or_default(), said["account"].as_str());
        let ordinal = count(ordinal as u64)?;
        let row = vec![sequence.clone(), ordinal, time.clone(), text(name), some(account, text), text(&said)];
        push(&EFFECTS, row)?;
        if let Some(step) = liquidation(effect, &said, units)? {
            push(&LIQUIDATIONS, [vec![sequence.clone(), Datum::Count(steps), time.clone()], step].concat())?;
            steps += 1;
        }
        if let Effect::Parameters { decision, .. } = effect {
            for change in parameters(decision)? {
                push(
                    &PARAMETERS,
                    [vec![sequence.clone(), Datum::Count(changes), time.clone()], change].concat(),
                )?;
                changes += 1;
            }
        }
    }
    Ok(())
}

fn refusal(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|effect| {
        if let Effect::Rejected(reject) = effect { Some(reject.code.as_str()) } else { None }
    })
}

/// A row of [`EVENTS`].
fn record(course: &Course, taken: &Taken<'_>) -> anyhow::Result<Row> {
    let body = serde_json::to_string(taken.content).with_context(|| format!("record {}", course.sequence))?;
    let (at, kind, key, by) = match taken.content {
        Content::Charter { charter } => (charter.since, "charter".to_owned(), None, None),
        Content::Event(event) => (event.at, name(&event.body)?, event.key.as_ref(), None),
        Content::Signed { by, event } => (event.at, name(&event.body)?, event.key.as_ref(), Some(by)),
    };
    Ok(vec![
        count(course.sequence)?,
        Datum::Instant(course.engine.state().now),
        Datum::Instant(at),
        text(kind),
        some(key, |key| text(&key.source)),
        key.map_or(Ok(Datum::Nothing), |key| count(key.number))?,
        some(by, |by| text(&by.key)),
        some(refusal(taken.effects), text),
        text(body),
    ])
}

/// The event's own name: the one its form has. As text, since amounts may have more digits than a JSON value holds.
fn name(body: &Body) -> anyhow::Result<String> {
    let text = serde_json::to_string(body)?;
    text.split('"').nth(1).map(str::to_owned).context("an event of no kind")
}

/// What is in a row of [`LIQUIDATIONS`] after sequence, ordinal and time.
#[derive(Default)]
struct Step<'a> {
    what: &'a str,
    intent: Option<u64>,
    account: Option<String>,
    counterparty: Option<String>,
    instrument: Option<&'a Instrument>,
    asset: Option<String>,
    quantity: Option<Datum>,
    amount: Option<Datum>,
    why: Option<&'a str>,
}

impl Step<'_> {
    fn row(self, body: &Value) -> anyhow::Result<Row> {
        Ok(vec![
            text(self.what),
            self.intent.map_or(Ok(Datum::Nothing), count)?,
            some(self.account, Datum::Text),
            some(self.counterparty, Datum::Text),
            some(self.instrument, text),
            some(self.asset, Datum::Text),
            self.quantity.unwrap_or(Datum::Nothing),
            self.amount.unwrap_or(Datum::Nothing),
            some(self.why, text),
            text(body),
        ])
    }
}

/// A step of a plan that was traded, by its event.
fn traded(event: &Event, course: &Course, units: &Units) -> anyhow::Result<Option<Row>> {
    let Body::Liquidated { intent, taker, instrument, lots, .. } = &event.body else { return Ok(None) };
    // Of an intent that this very step has ended, the account is known by the plan that began it.
    let state = course.engine.state();
    let account = state.intents.get(intent).and_then(|of| state.ledger.account(of.account));
    let step = Step {
        what: "liquidated",
        intent: Some(*intent),
        account: account.map(|account| account.id.to_string()),
        counterparty: Some(taker.to_string()),
        instrument: Some(instrument),
        quantity: Some(quantity(*lots, instrument, units)?),
        ..Step::default()
    };
    step.row(&serde_json::to_value(&event.body)?).map(Some)
}

/// What an effect says of a liquidation, if anything.
fn liquidation(effect: &Effect, said: &Value, units: &Units) -> anyhow::Result<Option<Row>> {
    let name = said["effect"].as_str().unwrap_or_default();
    let step = match effect {
        Effect::Liquidate { intent, account, .. } => {
            Step { intent: Some(*intent), account: Some(account.to_string()), ..Step::default() }
        }
        Effect::Withdrawn { intent, account, why } => Step {
            intent: Some(*intent),
            account: Some(account.to_string()),
            why: Some(why),
            ..Step::default()
        },
        Effect::Seized { account, asset, nano, paid, by } => Step {
            account: Some(account.to_string()),
            counterparty: by.as_ref().map(ToString::to_string),
            asset: Some(asset.to_string()),
            quantity: Some(Datum::Amount(*nano)),
            amount: Some(money(*paid, units)?),
            ..Step::default()
        },
        Effect::Covered { account, insurance, socialised } => Step {
            account: Some(account.to_string()),
            amount: Some(money(Ticks(insurance.0.saturating_add(socialised.0)), units)?),
            ..Step::default()
        },
        Effect::Deleveraged { account, against, instrument, lots, price } => Step {
            account: Some(account.to_string()),
            counterparty: Some(against.to_string()),
            instrument: Some(instrument),
            quantity: Some(quantity(*lots, instrument, units)?),
            amount: Some(money(*price, units)?),
            ..Step::default()
        },
        _ => return Ok(None),
    };
    Step { what: name, ..step }.row(said).map(Some)
}

/// What is in the rows of [`PARAMETERS`] after sequence, ordinal and time: one per cause.
fn parameters(decision: &Decision) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for change in &decision.changes {
        let of = [
            count(decision.version)?,
            text(&change.key),
            ratio(change.from),
            ratio(change.to),
            text(serde_json::to_string(&change.maintenance)?),
        ];
        let with = |cause, part| of.iter().cloned().chain([cause, part]).collect::<Row>();
        rows.extend(
            change.causes.iter().map(|(cause, part)| with(text(cause), Datum::Amount(i128::from(*part)))),
        );
        if change.causes.is_empty() {
            rows.push(with(Datum::Nothing, Datum::Nothing));
        }
    }
    Ok(rows)
}

/// Every account as it stands.
pub(super) fn of_accounts(course: &Course, push: Push<'_>) -> anyhow::Result<()> {
    let engine = &course.engine;
    let (state, units) = (engine.state(), &engine.rules().params.units);
    for (number, account) in (0..).zip(state.ledger.accounts()) {
        let totals = engine.valued().totals(number).and_then(Result::ok);
        let amount = |read: fn(&Totals) -> Ticks| {
            totals.as_ref().map_or(Ok(Datum::Nothing), |totals| money(read(totals), units))
        };
        let standing = serde_json::to_value(state.standing(number))?;
        push(
            &MARGINS,
            vec![
                count(course.sequence)?,
                Datum::Instant(state.now),
                text(&account.id),
                some(standing.as_str(), text),
                some(state.unvalued.get(&number), text),
                count(state.policy.board().version())?,
                amount(|totals| totals.equity)?,
                amount(|totals| totals.im)?,
                amount(|totals| totals.mm)?,
                amount(|totals| totals.im_excess)?,
                amount(|totals| totals.mm_excess)?,
            ],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_types::Decimal;

    #[test]
    fn an_amount_is_exact_or_refused() {
        let mut units = plimsoll_engine::ParamSet::from_toml(
            plimsoll_engine::PRESETS.iter().find(|(name, _)| *name == "plimsoll").unwrap().1,
            "plimsoll",
        )
        .unwrap()
        .units;
        assert_eq!(money(Ticks(-1), &units).unwrap(), Datum::Amount(-1_000));
        assert_eq!(Decimal::from_i128_with_scale(-1_000, 9), units.amount(Ticks(-1)));
        assert!(money(Ticks(i128::MAX), &units).is_err());
        units.ticks_per_unit = 3;
        assert!(money(Ticks(1), &units).is_err());
    }
}
