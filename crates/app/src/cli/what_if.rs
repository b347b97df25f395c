//! `plimsoll what-if`: an account before and after trades at the mark.

use super::account::AccountJson;
use super::loaded::{Basis, DeskArgs, Loaded};
use super::margin::state_name;
use crate::io::error::Refusal;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use anyhow::Context;
use clap::Args;
use plimsoll_engine::{EngineError, TradeRow, parse_trade};
use plimsoll_margin::{MarginReport, WhatIf};
use plimsoll_types::{AccountId, Decimal, Instrument, Ticks};
use serde::Serialize;
use std::io::Write;

/// Arguments of `what-if`.
#[derive(Args, Debug)]
pub(super) struct WhatIfArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Whose
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// A trade such as '+10 BTC-27MAR26-100000-C' (may be given several times)
    #[arg(long, value_name = "TRADE", required = true, allow_hyphen_values = true, value_parser = trade)]
    trade: Vec<TradeRow>,
}

fn trade(text: &str) -> Result<TradeRow, String> {
    parse_trade(text).map_err(|e| e.to_string())
}

/// Names the trade where it is to blame.
fn refused(loaded: &Loaded, error: EngineError) -> anyhow::Error {
    match error {
        EngineError::Row(row) => Refusal::from(row).at("--trade", "trade", 1).into(),
        EngineError::Trade { issue } => {
            let expected = issue.subject.parse().ok().and_then(|named| loaded.expected(&named, issue.reason));
            let expected = expected.map_or_else(String::new, |e| format!("; expected {e}"));
            anyhow::anyhow!(
                "--trade: field `instrument`: value `{}`: {}{expected}",
                issue.subject,
                issue.reason
            )
        }
        other => other.into(),
    }
}

type Read = fn(&MarginReport) -> Ticks;

const QUANTITIES: [(&str, Read); 6] = [
    ("equity", |r| r.equity),
    ("im", |r| r.im),
    ("mm", |r| r.mm),
    ("im_excess", |r| r.im_excess),
    ("mm_excess", |r| r.mm_excess),
    ("netting_benefit", |r| r.netting_benefit),
];

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    basis: Basis,
    notes: &'a [String],
    trades: Vec<String>,
    before: AccountJson<'a>,
    after: AccountJson<'a>,
    change: std::collections::BTreeMap<&'static str, Decimal>,
}

/// Answers.
pub(super) fn run(args: &WhatIfArgs) -> anyhow::Result<Answer<'static>> {
    let extra: Vec<Instrument> = args.trade.iter().map(|trade| trade.instrument.clone()).collect();
    let loaded = args.desk.load(Some(&args.account), &extra)?;
    loaded.valued(&args.account)?;
    let what_if = loaded.desk.what_if(&args.account, &args.trade).map_err(|error| refused(&loaded, error))?;
    let table = table(&loaded, &what_if);
    let trades: Vec<String> =
        args.trade.iter().map(|trade| format!("{} {}", trade.quantity, trade.instrument)).collect();
    let mut text = Vec::new();
    write_json(&loaded, &what_if, trades, &mut text)?;
    let states = (state_name(what_if.before.state), state_name(what_if.after.state));
    let notes = vec![format!("state: {} before, {} after", states.0, states.1), loaded.desk.provenance()];
    let json = JsonBody::Stream(Box::new(move |out| out.write_all(&text).context("writing JSON")));
    Ok(Answer {
        tables: vec![table.clone()],
        notes,
        main: table,
        json,
        verdict: Verdict::Passed,
        picture: None,
    })
}

fn table(loaded: &Loaded, what_if: &WhatIf) -> Table {
    let mut table = Table::new(
        "",
        &[
            ("quantity", Kind::Text),
            ("before", Kind::Amount),
            ("after", Kind::Amount),
            ("change", Kind::Amount),
        ],
    );
    for (name, read) in QUANTITIES {
        let (before, after) = (read(&what_if.before), read(&what_if.after));
        let change = Ticks(after.0 - before.0);
        table.push(vec![Cell::text(name), loaded.cell(before), loaded.cell(after), loaded.cell(change)]);
    }
    table
}

fn write_json(
    loaded: &Loaded,
    what_if: &WhatIf,
    trades: Vec<String>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let change = |(name, read): (&'static str, Read)| {
        (name, loaded.amount(Ticks(read(&what_if.after).0 - read(&what_if.before).0)))
    };
    let document = Document {
        basis: loaded.basis(),
        notes: &loaded.desk.notes,
        trades,
        before: AccountJson::new(loaded, &what_if.before, None),
        after: AccountJson::new(loaded, &what_if.after, None),
        change: QUANTITIES.into_iter().map(change).collect(),
    };
    serde_json::to_writer(out, &document).context("writing JSON")
}
