//! `plimsoll lint`: what is wrong with a parameter set.

use crate::io::params::params;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::Args;
use plimsoll_engine::{PRESETS, ParamSet};
use std::path::{Path, PathBuf};

/// Arguments of `lint`.
#[derive(Args, Debug)]
pub(super) struct LintArgs {
    /// Parameter set: a TOML file, or the name of a preset
    #[arg(value_name = "PARAMS", required_unless_present = "preset")]
    params: Option<PathBuf>,
    /// The name of a preset
    #[arg(long, value_name = "NAME", conflicts_with = "params")]
    preset: Option<String>,
}

/// Answers; a finding fails the check.
pub(super) fn run(args: &LintArgs) -> anyhow::Result<Answer<'static>> {
    let set = set(args)?;
    let findings = set.lint();
    let columns = [("rule", Kind::Text), ("subject", Kind::Text), ("finding", Kind::Text)];
    let mut table = Table::new("", &columns);
    for finding in &findings {
        let code = serde_json::to_value(finding.code)?;
        table.push(vec![
            Cell::text(code.as_str().unwrap_or_default()),
            Cell::text(&finding.subject),
            Cell::text(&finding.message),
        ]);
    }
    let verdict = if findings.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let note = format!("{} ({}): {} findings", set.name, set.id(), findings.len());
    let mut answer = Answer { notes: vec![note], verdict, ..Answer::table(table) };
    if findings.is_empty() {
        answer.tables.clear();
    }
    Ok(answer)
}

/// A name that is no file but a preset is the preset.
fn set(args: &LintArgs) -> anyhow::Result<ParamSet> {
    let is_preset = |path: &Path| !path.exists() && PRESETS.iter().any(|(name, _)| path.as_os_str() == *name);
    match args.params.as_deref() {
        Some(path) if is_preset(path) => params(None, path.to_str()),
        file => params(file, args.preset.as_deref()),
    }
}
