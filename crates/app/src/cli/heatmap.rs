//! `plimsoll heatmap`: an account over spot and volatility.

use super::loaded::{DeskArgs, Loaded};
use super::pictures;
use crate::output::{Answer, Cell, JsonBody, Kind, Picture, Table, Verdict};
use clap::Args;
use plimsoll_engine::{HeatMap, HeatMapSpec};
use plimsoll_types::AccountId;
use std::path::{Path, PathBuf};

/// Arguments of `heatmap`.
#[derive(Args, Debug)]
pub(super) struct HeatmapArgs {
    #[command(flatten)]
    desk: DeskArgs,
    /// Whose
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// Relative moves of spot, separated by commas, such as -0.2,0,0.2
    #[arg(long, value_name = "MOVES", value_delimiter = ',', allow_hyphen_values = true)]
    spot: Vec<f64>,
    /// Relative moves of volatility, separated by commas
    #[arg(long, value_name = "MOVES", value_delimiter = ',', allow_hyphen_values = true)]
    vol: Vec<f64>,
    /// Days that pass
    #[arg(long, value_name = "DAYS", default_value_t = 0.0)]
    days: f64,
    /// Also draw it; `-` draws to the standard output stream instead of writing the answer there
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Answers.
pub(super) fn run(args: &HeatmapArgs) -> anyhow::Result<Answer<'static>> {
    let loaded = args.desk.load(Some(&args.account), &[])?;
    loaded.valued(&args.account)?;
    let mut spec = HeatMapSpec { days: args.days, ..HeatMapSpec::default() };
    if !args.spot.is_empty() {
        spec.spot = sorted(&args.spot);
    }
    if !args.vol.is_empty() {
        spec.vol = sorted(&args.vol);
    }
    let map = loaded.desk.heat_map(&args.account, &spec)?;
    let units = &loaded.desk.params.units;
    let draw = || pictures::heat_map_svg(&args.account, &map, args.days, units);
    let picture = picture(args.svg.as_deref(), draw);
    Ok(Answer { picture, ..answer(&loaded, args, &map) })
}

/// The picture, if one is asked for.
pub(super) fn picture(path: Option<&Path>, draw: impl FnOnce() -> String) -> Option<Picture> {
    path.map(|path| Picture { path: path.to_owned(), text: draw() })
}

fn sorted(moves: &[f64]) -> Vec<f64> {
    let mut moves = moves.to_vec();
    moves.sort_by(f64::total_cmp);
    moves.dedup_by(|a, b| a == b);
    moves
}

fn percent(x: f64) -> String {
    format!("{:+.0} %", x * 100.0)
}

fn answer(loaded: &Loaded, args: &HeatmapArgs, map: &HeatMap) -> Answer<'static> {
    let main = flat(loaded, map);
    let worst = |at: (usize, usize)| map.pnl.get(at.0).and_then(|row| row.get(at.1)).copied();
    let (vol, spot) = (map.vol.get(map.worst.0).copied(), map.spot.get(map.worst.1).copied());
    let lowest = worst(map.worst).map(|ticks| loaded.amount(ticks));
    let note = match (lowest, spot, vol) {
        (Some(pnl), Some(spot), Some(vol)) => {
            format!("worst cell (marked <): {pnl} at spot {} and vol {}", percent(spot), percent(vol))
        }
        _ => String::new(),
    };
    let json = serde_json::json!({
        "basis": loaded.basis(),
        "notes": loaded.desk.notes,
        "account": args.account.to_string(),
        "days": args.days,
        "cells": main.json(),
        "worst": { "spot": spot, "vol": vol, "pnl": lowest.map(|d| d.to_string()) },
    });
    Answer {
        tables: vec![grid(loaded, args, map)],
        notes: vec![note, loaded.desk.provenance()],
        main,
        json: JsonBody::Value(json),
        verdict: Verdict::Passed,
        picture: None,
    }
}

fn flat(loaded: &Loaded, map: &HeatMap) -> Table {
    let mut table = Table::new("", &[("vol", Kind::Number), ("spot", Kind::Number), ("pnl", Kind::Amount)]);
    for (vol, row) in map.vol.iter().zip(&map.pnl) {
        for (spot, pnl) in map.spot.iter().zip(row) {
            table.push(vec![Cell::Number(*vol, 4), Cell::Number(*spot, 4), loaded.cell(*pnl)]);
        }
    }
    table
}

/// Spot runs down the page, volatility across it: a terminal is higher than it is wide.
fn grid(loaded: &Loaded, args: &HeatmapArgs, map: &HeatMap) -> Table {
    let title = format!("profit and loss of {}, spot down, vol across, {} days", args.account, args.days);
    let mut columns = vec![("spot".to_owned(), Kind::Text)];
    columns.extend(map.vol.iter().map(|vol| (format!("vol {}", percent(*vol)), Kind::Amount)));
    let mut table = Table { title, columns, ..Table::default() };
    for (at, spot) in map.spot.iter().enumerate() {
        let mut row = vec![Cell::text(percent(*spot))];
        for (vol, pnls) in map.pnl.iter().enumerate() {
            let amount = pnls.get(at).map(|ticks| loaded.amount(*ticks)).unwrap_or_default();
            let mark = if map.worst == (vol, at) { " <" } else { "" };
            row.push(Cell::text(format!("{amount}{mark}")));
        }
        table.push(row);
    }
    table
}
