//! `plimsoll greeks`: the ladder by expiry.

use super::loaded::DeskArgs;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use clap::Args;
use plimsoll_engine::GreeksRow;
use plimsoll_types::AccountId;

/// Arguments of `greeks`.
#[derive(Args, Debug)]
pub(super) struct GreeksArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Only this account; otherwise the whole book together
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
}

const COLUMNS: [(&str, Kind); 11] = [
    ("underlying", Kind::Text),
    ("expiry", Kind::Text),
    ("mark_value", Kind::Number),
    ("delta", Kind::Number),
    ("delta_cash", Kind::Number),
    ("gamma", Kind::Number),
    ("vega_per_point", Kind::Number),
    ("theta_per_day", Kind::Number),
    ("rho_per_bp", Kind::Number),
    ("vanna", Kind::Number),
    ("volga", Kind::Number),
];

/// Answers.
pub(super) fn run(args: &GreeksArgs) -> anyhow::Result<Answer<'static>> {
    let loaded = args.desk.load(args.account.as_ref(), &[])?;
    if let Some(account) = &args.account {
        loaded.valued(account)?;
    }
    let rows = loaded.desk.greeks(args.account.as_ref())?;
    loaded.say_failures(&loaded.desk.failures);
    let verdict = if loaded.desk.failures.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let whose = args.account.as_ref().map_or_else(|| "the whole book".to_owned(), |a| format!("account {a}"));
    let mut table = Table::new(format!("Greeks of {whose}"), &COLUMNS);
    for rung in &rows {
        table.push(row(rung));
    }
    let failures = loaded.failure_rows(&loaded.desk.failures);
    let json = serde_json::json!({
        "basis": loaded.basis(),
        "notes": loaded.desk.notes,
        "account": args.account.as_ref().map(ToString::to_string),
        "ladder": table.json(),
        "failures": failures,
    });
    let notes = vec![loaded.desk.provenance()];
    let json = JsonBody::Value(json);
    Ok(Answer { tables: vec![table.clone()], notes, main: table, json, verdict, picture: None })
}

fn row(rung: &GreeksRow) -> Vec<Cell> {
    let expiry = rung.expiry.map_or_else(|| Cell::text("-"), Cell::time);
    vec![
        Cell::text(&rung.underlying),
        expiry,
        Cell::Number(rung.mark_value, 2),
        Cell::Number(rung.delta, 6),
        Cell::Number(rung.delta_cash, 2),
        Cell::Number(rung.gamma, 9),
        Cell::Number(rung.vega_per_point, 2),
        Cell::Number(rung.theta_per_day, 2),
        Cell::Number(rung.rho_per_bp, 4),
        Cell::Number(rung.vanna, 6),
        Cell::Number(rung.volga, 4),
    ]
}
