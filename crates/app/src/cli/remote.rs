//! `plimsoll --url`: a server is asked, by the client of `crates/client`.

use super::spoken;
use crate::doors::Keyring;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Format, JsonBody, Kind, Table, Verdict};
use anyhow::Context;
use clap::{Parser, Subcommand};
use plimsoll_client::answers::{self, Totals};
use plimsoll_client::{Client, Key, Leg};
use plimsoll_engine::{TradeRow, parse_trade};
use serde::Serialize;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Ask a server that runs.
#[derive(Parser, Debug)]
#[command(name = "plimsoll", version, about, max_term_width = 110)]
struct Remote {
    /// The server: https, or http on this machine
    #[arg(long, value_name = "URL")]
    url: String,
    /// The key to ask with: a JSON file of `key`, `secret` and `audience` that nobody else may read
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(subcommand)]
    ask: Ask,
    /// Form of the answer
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
    /// Write the answer to a file instead of the standard output stream
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show at most this many rows per table (tables only)
    #[arg(long, global = true, value_name = "N")]
    top: Option<usize>,
}

#[derive(Subcommand, Debug)]
enum Ask {
    /// The margin of an account, every number that was added
    Margin {
        /// Its name
        account: String,
    },
    /// Accounts, the nearest to liquidation first
    Accounts {
        /// At most so many, 1 to 1000
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// What an account holds
    Account {
        /// Its name
        account: String,
    },
    /// The parameters in force
    Parameters,
    /// Whether an account may do trades at the mark
    Check {
        /// Its name
        account: String,
        /// A trade such as '+10 BTC-27MAR26-100000-C' (may be given several times)
        #[arg(long, value_name = "TRADE", required = true, allow_hyphen_values = true, value_parser = trade)]
        trade: Vec<TradeRow>,
    },
    /// Hand in events: a JSON file of several, in the form of docs/server.md
    Events {
        /// The file
        file: PathBuf,
    },
}

fn trade(text: &str) -> Result<TradeRow, String> {
    parse_trade(text).map_err(|e| e.to_string())
}

/// Whether the arguments are for a server.
pub(super) fn is_asked(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.any(|argument| argument == "--url" || argument.to_string_lossy().starts_with("--url="))
}

/// Parses the process's arguments, asks and writes.
pub(super) fn run() -> anyhow::Result<Verdict> {
    let remote = Remote::parse();
    let key = remote.key.as_deref().map(key).transpose()?;
    let client = Client::new(&remote.url, key)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(asked(&client, &remote.ask))?;
    Output { format: remote.format, file: remote.out, top: remote.top }.write(answer)
}

/// A key that nobody else may read.
fn key(path: &Path) -> anyhow::Result<Key> {
    Keyring::private(path)?;
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    // What is wrong with it is not shown: it may be the secret.
    serde_json::from_slice(&text)
        .map_err(|e| anyhow::anyhow!("{}: {:?} at line {}", path.display(), e.classify(), e.line()))
}

async fn asked(client: &Client, ask: &Ask) -> anyhow::Result<Answer<'static>> {
    match ask {
        Ask::Margin { account } => margin(&client.margin(account).await?),
        Ask::Accounts { limit } => accounts(&client.accounts(*limit).await?),
        Ask::Account { account } => held(&client.account(account).await?),
        Ask::Parameters => {
            let found = client.parameters().await?;
            Ok(spoken(serde_json::to_string_pretty(&found.data)?, serde_json::to_value(&found)?))
        }
        Ask::Check { account, trade } => {
            let leg = |row: &TradeRow| Leg {
                instrument: row.instrument.to_string(),
                quantity: row.quantity.to_string(),
            };
            let legs: Vec<Leg> = trade.iter().map(leg).collect();
            checked(&client.check(account, &legs).await?)
        }
        Ask::Events { file } => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let events: Vec<Value> =
                serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            submitted(&client.submit(&events).await?)
        }
    }
}

/// Rows of a name and a value, with what they were read from below.
fn pairs<T: Serialize>(rows: &[(&str, String)], of: &answers::Answer<T>) -> anyhow::Result<Answer<'static>> {
    let mut table = Table::new("", &[("what", Kind::Text), ("value", Kind::Text)]);
    for (name, value) in rows {
        table.push(vec![Cell::text(*name), Cell::text(value)]);
    }
    under(table, of)
}

fn under<T: Serialize>(table: Table, of: &answers::Answer<T>) -> anyhow::Result<Answer<'static>> {
    let note = format!(
        "event {} at {}, market of {}, parameters {}, {}",
        of.sequence, of.as_of, of.snapshot, of.parameters, of.validity
    );
    let json = JsonBody::Value(serde_json::to_value(of)?);
    Ok(Answer { notes: vec![note], json, ..Answer::table(table) })
}

fn margin(of: &answers::Answer<answers::Margin>) -> anyhow::Result<Answer<'static>> {
    let Totals { equity, im, mm, im_excess, mm_excess, .. } = of.data.totals.clone();
    let totals = [("equity", equity), ("im_excess", im_excess), ("mm_excess", mm_excess)];
    let mut table = Table::new("", &["part", "asset", "im", "mm"].map(|name| (name, Kind::Text)));
    let mut row = |part: &str, asset: &str, im: &str, mm: &str| {
        table.push([part, asset, im, mm].map(Cell::text).to_vec());
    };
    let (base, guard) = (&of.data.base, &of.data.guard);
    for part in [base, guard].into_iter().chain(&of.data.addons).chain([&of.data.relief, &of.data.orders]) {
        row(&part.part, part.asset.as_deref().unwrap_or_default(), &part.im, &part.mm);
    }
    row("margin", "", &im, &mm);
    for (name, value) in totals {
        row(name, "", &value, "");
    }
    under(table, of)
}

fn accounts(of: &answers::Answer<Vec<answers::Row>>) -> anyhow::Result<Answer<'static>> {
    let columns = ["account", "standing", "validity", "equity", "im", "mm", "mm_excess"];
    let mut table = Table::new("", &columns.map(|name| (name, Kind::Text)));
    for row in &of.data {
        let total = |of: fn(&Totals) -> &String| row.totals.as_ref().map(of).cloned().unwrap_or_default();
        let amounts = [total(|t| &t.equity), total(|t| &t.im), total(|t| &t.mm), total(|t| &t.mm_excess)];
        let names = [row.account.clone(), row.standing.clone(), row.validity.clone()];
        table.push(names.iter().chain(&amounts).map(Cell::text).collect());
    }
    under(table, of)
}

fn held(of: &answers::Answer<answers::Account>) -> anyhow::Result<Answer<'static>> {
    let mut table = Table::new("", &["holds", "quantity", "cost", "value"].map(|name| (name, Kind::Text)));
    for position in &of.data.positions {
        let value = position.value.clone().unwrap_or_default();
        let cells = [&position.instrument, &position.quantity, &position.cost, &value];
        table.push(cells.into_iter().map(Cell::text).collect());
    }
    for coin in &of.data.collateral {
        table.push([&coin.asset[..], &coin.amount, "", ""].map(Cell::text).to_vec());
    }
    under(table, of)
}

fn checked(of: &answers::Answer<answers::Check>) -> anyhow::Result<Answer<'static>> {
    let check = &of.data;
    let rows = [
        ("allowed", check.allowed.to_string()),
        ("reason", check.reason.clone()),
        ("im_excess_before", check.im_excess_before.clone()),
        ("im_excess_after", check.im_excess_after.clone()),
        ("mm_excess_before", check.mm_excess_before.clone()),
        ("mm_excess_after", check.mm_excess_after.clone()),
        ("unconfirmed", check.unconfirmed.clone()),
    ];
    let verdict = if check.allowed { Verdict::Passed } else { Verdict::Failed };
    Ok(Answer { verdict, ..pairs(&rows, of)? })
}

fn submitted(of: &[answers::Outcome]) -> anyhow::Result<Answer<'static>> {
    let mut table = Table::new("", &["sequence", "applied", "code", "detail"].map(|name| (name, Kind::Text)));
    for outcome in of {
        let sequence = outcome.sequence.map(|sequence| sequence.to_string()).unwrap_or_default();
        let applied = if outcome.waits {
            "waits"
        } else if outcome.applied {
            "yes"
        } else {
            "no"
        };
        let problem = outcome.problem.as_ref().map(|problem| (&problem.code[..], &problem.detail[..]));
        let (code, detail) = problem.unwrap_or_default();
        table.push([&sequence[..], applied, code, detail].map(Cell::text).to_vec());
    }
    let good = of.iter().all(|outcome| outcome.applied || outcome.waits);
    let verdict = if good { Verdict::Passed } else { Verdict::Failed };
    Ok(Answer { verdict, json: JsonBody::Value(json!(of)), ..Answer::table(table) })
}
