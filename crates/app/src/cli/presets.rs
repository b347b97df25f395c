//! `plimsoll presets`: the methods that come with the engine.

use crate::output::{Answer, Cell, Kind, Table};
use anyhow::Context;
use clap::Args;
use plimsoll_engine::{PRESETS, ParamError, ParamSet};

/// Arguments of `presets`.
#[derive(Args, Debug)]
pub(super) struct PresetsArgs {
    /// Print this preset as TOML: its formulas and source in the comment at its head, and every number; otherwise list
    /// them all
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Answers.
pub(super) fn run(args: &PresetsArgs) -> anyhow::Result<Answer<'static>> {
    let Some(name) = &args.name else { return list() };
    let found = PRESETS.iter().find(|(known, _)| known == name);
    let known = || PRESETS.map(|(known, _)| known).join(", ");
    let unknown = || ParamError::UnknownPreset { name: name.clone(), known: known() };
    let (_, text) = found.ok_or_else(unknown)?;
    let params = serde_json::to_value(ParamSet::preset(name)?).context("writing JSON")?;
    let json = serde_json::json!({ "name": name, "about": about(text), "params": params });
    Ok(super::spoken(text.trim_end().to_owned(), json))
}

/// The comment at the head of a preset: what it is, its formulas, its source.
fn about(text: &'static str) -> String {
    let head = text.lines().take_while(|line| line.starts_with('#'));
    // Formulas stand indented: one space after the mark belongs to the comment, the rest to the text.
    let bare = |line: &'static str| line.trim_start_matches('#').trim_end();
    head.map(|line| bare(line).strip_prefix(' ').unwrap_or_else(|| bare(line))).collect::<Vec<_>>().join("\n")
}

fn list() -> anyhow::Result<Answer<'static>> {
    let columns =
        [("name", Kind::Text), ("id", Kind::Text), ("lint", Kind::Text), ("description", Kind::Text)];
    let mut table = Table::new("", &columns);
    for (name, _) in PRESETS {
        let set = ParamSet::preset(name)?;
        let codes: Vec<&str> = set.lint().iter().map(|finding| finding.code.code()).collect();
        let verdict = if codes.is_empty() { "ok".to_owned() } else { codes.join(", ") };
        table.push(vec![
            Cell::text(name),
            Cell::text(set.id()),
            Cell::text(verdict),
            Cell::text(&set.description),
        ]);
    }
    Ok(Answer::table(table))
}
