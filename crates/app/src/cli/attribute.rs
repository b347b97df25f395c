//! `plimsoll attribute`: why an account's margin changed.

use super::args::{BookArgs, MarketArgs, ParamArgs};
use super::loaded::{DeskArgs, Loaded};
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use anyhow::Context;
use clap::Args;
use plimsoll_engine::AttributionReport;
use plimsoll_margin::Split;
use plimsoll_types::{AccountId, Ticks, Timestamp};
use std::path::PathBuf;

/// Arguments of `attribute`.
#[derive(Args, Debug)]
#[command(after_help = "Two markets, and what else differs: `--before` and `--after` are snapshots (with \
`--before-at` and `--after-at` when they hold several); `--positions`, `--collateral`, `--params` and `--preset` hold \
for both sides unless `--before-...` or `--after-...` says otherwise.")]
pub(super) struct AttributeArgs {
    /// The market before
    #[arg(long, value_name = "SNAPSHOT")]
    before: PathBuf,
    /// The market after
    #[arg(long, value_name = "SNAPSHOT")]
    after: PathBuf,
    /// Whose margin
    #[arg(long, value_name = "ID")]
    account: AccountId,
    #[command(flatten)]
    book: BookArgs,
    #[command(flatten)]
    params: ParamArgs,
    /// Of several snapshots before, the last one at or before this time
    #[arg(long, value_name = "TIME")]
    before_at: Option<Timestamp>,
    /// Of several snapshots after, the last one at or before this time
    #[arg(long, value_name = "TIME")]
    after_at: Option<Timestamp>,
    /// Positions before, where they differ from --positions
    #[arg(long, value_name = "FILE")]
    before_positions: Option<PathBuf>,
    /// Positions after, where they differ from --positions
    #[arg(long, value_name = "FILE")]
    after_positions: Option<PathBuf>,
    /// Collateral before, where it differs from --collateral
    #[arg(long, value_name = "FILE")]
    before_collateral: Option<PathBuf>,
    /// Collateral after, where it differs from --collateral
    #[arg(long, value_name = "FILE")]
    after_collateral: Option<PathBuf>,
    /// Parameters before, where they differ from --params
    #[arg(long, value_name = "FILE")]
    before_params: Option<PathBuf>,
    /// Parameters after, where they differ from --params
    #[arg(long, value_name = "FILE")]
    after_params: Option<PathBuf>,
}

impl AttributeArgs {
    fn side(
        &self,
        (market, at): (&PathBuf, Option<Timestamp>),
        positions: Option<&PathBuf>,
        collateral: Option<&PathBuf>,
        params: Option<&PathBuf>,
    ) -> DeskArgs {
        let mut desk = DeskArgs {
            market: MarketArgs { market: market.clone(), at },
            book: self.book.clone(),
            params: self.params.clone(),
        };
        if let Some(path) = positions {
            desk.book.positions.clone_from(path);
        }
        if let Some(path) = collateral {
            desk.book.collateral = Some(path.clone());
        }
        if let Some(path) = params {
            (desk.params.params, desk.params.preset) = (Some(path.clone()), None);
        }
        desk
    }

    fn sides(&self) -> (DeskArgs, DeskArgs) {
        let before = self.side(
            (&self.before, self.before_at),
            self.before_positions.as_ref(),
            self.before_collateral.as_ref(),
            self.before_params.as_ref(),
        );
        let after = self.side(
            (&self.after, self.after_at),
            self.after_positions.as_ref(),
            self.after_collateral.as_ref(),
            self.after_params.as_ref(),
        );
        (before, after)
    }
}

type Read = fn(&Split) -> Ticks;

const PARTS: [(&str, Read); 7] = [
    ("position", |s| s.position),
    ("parameter", |s| s.parameter),
    ("time", |s| s.time),
    ("price", |s| s.price),
    ("vol", |s| s.vol),
    ("residual", |s| s.residual),
    ("total", |s| s.total),
];

/// Answers.
pub(super) fn run(args: &AttributeArgs) -> anyhow::Result<Answer<'static>> {
    let (before, after) = args.sides();
    refuse_shared_stdin(&before, &after)?;
    let first = before.load(Some(&args.account), &[]).context("before")?;
    let last = after.load(Some(&args.account), &[]).context("after")?;
    first.valued(&args.account).context("before")?;
    last.valued(&args.account).context("after")?;
    if first.desk.params.units.ticks_per_unit != last.desk.params.units.ticks_per_unit {
        anyhow::bail!("the parameter sets before and after count in different ticks");
    }
    let report = plimsoll_engine::attribute(&first.desk, &last.desk, &args.account)?;
    let table = table(&last, &report);
    let json = serde_json::json!({
        "account": report.account.to_string(),
        "before": report.before,
        "after": report.after,
        "currency": last.desk.arrays.currency.to_string(),
        "attribution": table.json(),
    });
    let notes = vec![format!("before: {}", report.before), format!("after:  {}", report.after)];
    let json = JsonBody::Value(json);
    Ok(Answer { tables: vec![table.clone()], notes, main: table, json, verdict: Verdict::Passed })
}

/// Both sides are read, so nothing may come from the standard input stream on both.
fn refuse_shared_stdin(before: &DeskArgs, after: &DeskArgs) -> anyhow::Result<()> {
    let sides = [before, after];
    let paths = sides.iter().flat_map(|side| {
        let markets = [side.market.market.as_path()];
        side.book.paths().chain(markets).chain(side.params.params.as_deref())
    });
    super::args::one_stdin(paths)
}

fn table(loaded: &Loaded, report: &AttributionReport) -> Table {
    let mut table = Table::new(
        format!("change of account {}", report.account),
        &[("cause", Kind::Text), ("im", Kind::Amount), ("mm", Kind::Amount), ("equity", Kind::Amount)],
    );
    let change = &report.attribution;
    for (name, read) in PARTS {
        table.push(vec![
            Cell::text(name),
            loaded.cell(read(&change.im)),
            loaded.cell(read(&change.mm)),
            loaded.cell(read(&change.equity)),
        ]);
    }
    table
}
