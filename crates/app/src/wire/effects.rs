//! Effects as JSON.

use super::{coins, money};
use plimsoll_engine::live::Effect;
use plimsoll_engine::live::liquidation::Plan;
use plimsoll_policy::Decision;
use plimsoll_types::{Decimal, Instrument, Units};
use serde_json::{Value, json};

/// An effect; `effect` says which.
pub fn effect(effect: &Effect, units: &Units) -> Value {
    let amount = |ticks| money(ticks, units);
    match effect {
        Effect::Standing { account, from, to, equity, im, mm, flagged } => json!({
            "effect": "standing", "account": account, "from": from, "to": to, "flagged": flagged,
            "equity": amount(*equity), "im": amount(*im), "mm": amount(*mm),
        }),
        Effect::Liquidate { intent, account, plan: of } => json!({
            "effect": "liquidate", "intent": intent, "account": account, "plan": plan(of, units),
        }),
        Effect::Seized { account, asset, nano, paid, by } => json!({
            "effect": "seized", "account": account, "asset": asset, "amount": coins(*nano),
            "paid": amount(*paid), "by": by,
        }),
        Effect::Covered { account, insurance, socialised } => json!({
            "effect": "covered", "account": account,
            "insurance": amount(*insurance), "socialised": amount(*socialised),
        }),
        Effect::Deleveraged { account, against, instrument, lots, price } => json!({
            "effect": "deleveraged", "account": account, "against": against, "instrument": instrument,
            "quantity": quantity(*lots, instrument, units), "price_of_lot": amount(*price),
        }),
        Effect::Settled { instrument, value, accounts } => json!({
            "effect": "settled", "instrument": instrument, "value_of_lot": amount(*value), "accounts": accounts,
        }),
        Effect::Parameters { decision: of, endangered } => json!({
            "effect": "parameters", "decision": decision(of), "endangered": endangered,
        }),
        // The others have no amounts in them.
        other => serde_json::to_value(other)
            .unwrap_or_else(|e| json!({ "effect": "unwritable", "why": e.to_string() })),
    }
}

/// The plan of a liquidation.
pub fn plan(plan: &Plan, units: &Units) -> Value {
    let step = |step: &plimsoll_engine::live::liquidation::Step| {
        json!({
            "instrument": step.instrument,
            "quantity": quantity(step.lots, &step.instrument, units),
            "cost": money(step.cost, units),
            "gain": money(step.gain, units),
        })
    };
    json!({
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
        "im_excess_before": money(plan.im_excess_before, units),
        "im_excess_after": money(plan.im_excess_after, units),
        "restores": plan.restores,
    })
}

/// A decision, each change with its sentence.
fn decision(decision: &Decision) -> Value {
    let mut value = serde_json::to_value(decision).unwrap_or_default();
    if let Some(changes) = value.get_mut("changes").and_then(Value::as_array_mut) {
        for (written, change) in changes.iter_mut().zip(&decision.changes) {
            written["text"] = Value::String(change.to_string());
        }
    }
    value
}

/// Lots as a quantity.
pub(crate) fn quantity(lots: i64, instrument: &Instrument, units: &Units) -> String {
    let found = Decimal::from(lots).checked_mul(units.lot(instrument));
    found.map_or_else(|| format!("{lots} lots"), |quantity| quantity.normalize().to_string())
}
