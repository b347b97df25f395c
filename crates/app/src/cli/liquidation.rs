//! `plimsoll liquidation`: the surface where `mm_excess` is zero, and its nearest point.

use super::heatmap::picture;
use super::loaded::{DeskArgs, Loaded};
use super::pictures;
use crate::io::progress::Progress;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use anyhow::bail;
use clap::Args;
use plimsoll_engine::{LiquidationSpec, LiquidationSurface};
use plimsoll_types::AccountId;
use std::path::PathBuf;

/// Arguments of `liquidation`.
#[derive(Args, Debug)]
pub(super) struct LiquidationArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Whose
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// Largest relative move of spot to look at, both ways
    #[arg(long, value_name = "MOVE")]
    spot_max: Option<f64>,
    /// Steps of spot each way before the boundary is refined
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Relative moves of volatility, separated by commas
    #[arg(long, value_name = "MOVES", value_delimiter = ',', allow_hyphen_values = true)]
    vol: Vec<f64>,
    /// Days ahead, separated by commas
    #[arg(long, value_name = "DAYS", value_delimiter = ',')]
    days: Vec<f64>,
    /// Also draw it; `-` draws to the standard output stream instead of writing the answer there
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn spec(args: &LiquidationArgs) -> LiquidationSpec {
    let mut spec = LiquidationSpec::default();
    spec.spot_max = args.spot_max.unwrap_or(spec.spot_max);
    spec.steps = args.steps.unwrap_or(spec.steps);
    for (given, wanted) in [(&args.vol, &mut spec.vols), (&args.days, &mut spec.days)] {
        if !given.is_empty() {
            wanted.clone_from(given);
            wanted.sort_by(f64::total_cmp);
        }
    }
    spec
}

/// Answers.
pub(super) fn run(args: &LiquidationArgs) -> anyhow::Result<Answer<'static>> {
    let loaded = args.desk.load(Some(&args.account), &[])?;
    loaded.valued(&args.account)?;
    let spec = spec(args);
    let progress = Progress::spinner("searching the boundary");
    let surface = loaded.desk.liquidation(&args.account, &spec)?;
    drop(progress);
    let left_out = left_out(&spec, &surface);
    if surface.points.is_empty() {
        bail!("{}", left_out.unwrap_or_else(|| "no point was asked for".to_owned()));
    }
    let draw = || pictures::liquidation_svg(&args.account, &spec, &surface);
    let picture = picture(args.svg.as_deref(), draw);
    Ok(Answer { picture, ..answer(&loaded, args, &surface, left_out) })
}

/// The days that were not looked at, in words.
fn left_out(spec: &LiquidationSpec, surface: &LiquidationSurface) -> Option<String> {
    let first = surface.first_expiry_days?;
    let past: Vec<String> =
        spec.days.iter().filter(|days| **days >= first).map(ToString::to_string).collect();
    let days = past.join(", ");
    let why = format!("the account's first expiry is in {first:.2} days, and what follows it is not known");
    (!past.is_empty()).then(|| format!("days left out: {days}: {why}"))
}

fn answer(
    loaded: &Loaded,
    args: &LiquidationArgs,
    surface: &LiquidationSurface,
    left_out: Option<String>,
) -> Answer<'static> {
    let table = table(loaded, args, surface);
    let json = serde_json::json!({
        "basis": loaded.basis(),
        "notes": loaded.desk.notes,
        "account": args.account.to_string(),
        "points": table.json(),
        "nearest": surface.nearest,
        "first_expiry_days": surface.first_expiry_days,
        "left_out": left_out,
    });
    let mut notes = vec![nearest(surface)];
    notes.extend(left_out);
    notes.push(loaded.desk.provenance());
    Answer {
        tables: vec![table.clone()],
        notes,
        main: table,
        json: JsonBody::Value(json),
        verdict: Verdict::Passed,
        picture: None,
    }
}

fn table(loaded: &Loaded, args: &LiquidationArgs, surface: &LiquidationSurface) -> Table {
    let title = format!("where account {} becomes liquidatable: relative moves of spot", args.account);
    let mut table = Table::new(
        title,
        &[
            ("days", Kind::Number),
            ("vol", Kind::Number),
            ("spot_down", Kind::Number),
            ("spot_up", Kind::Number),
            ("mm_excess", Kind::Amount),
        ],
    );
    for point in &surface.points {
        table.push(vec![
            Cell::Number(point.days, 1),
            Cell::Number(point.vol, 2),
            Cell::number(point.spot_down, 4),
            Cell::number(point.spot_up, 4),
            loaded.cell(point.mm_excess),
        ]);
    }
    table
}

fn nearest(surface: &LiquidationSurface) -> String {
    surface.nearest.as_ref().map_or_else(
        || "nearest point: none in range".to_owned(),
        |p| {
            if p.distance == 0.0 {
                return "liquidatable now".to_owned();
            }
            format!(
                "nearest point: spot {:+.2} %, vol {:+.0} %, in {} days (distance {:.3})",
                p.spot * 100.0,
                p.vol * 100.0,
                p.days,
                p.distance
            )
        },
    )
}
