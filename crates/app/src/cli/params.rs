//! `plimsoll params`: the presets.

use crate::output::{Answer, Cell, Kind, Table};
use anyhow::Context;
use clap::Args;
use plimsoll_engine::{PRESETS, ParamError, ParamSet};

/// Arguments of `params`.
#[derive(Args, Debug)]
pub(super) struct ParamsArgs {
    /// Print this preset as TOML, with its comments; otherwise list them all
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Answers.
pub(super) fn run(args: &ParamsArgs) -> anyhow::Result<Answer<'static>> {
    let Some(name) = &args.name else { return list() };
    let found = PRESETS.iter().find(|(known, _)| known == name);
    let known = || PRESETS.map(|(known, _)| known).join(", ");
    let unknown = || ParamError::UnknownPreset { name: name.clone(), known: known() };
    let (_, text) = found.ok_or_else(unknown)?;
    let json = serde_json::to_value(ParamSet::preset(name)?).context("writing JSON")?;
    Ok(super::spoken(text.trim_end().to_owned(), json))
}

fn list() -> anyhow::Result<Answer<'static>> {
    let mut table = Table::new("", &[("name", Kind::Text), ("id", Kind::Text), ("description", Kind::Text)]);
    for (name, _) in PRESETS {
        let set = ParamSet::preset(name)?;
        table.push(vec![Cell::text(name), Cell::text(set.id()), Cell::text(&set.description)]);
    }
    Ok(Answer::table(table))
}
