//! `plimsoll lint`: what is wrong with a parameter set, or with a policy.

use crate::io::params::{params, policy};
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::Args;
use plimsoll_engine::{PRESETS, ParamSet};
use plimsoll_policy::Policy;
use std::path::{Path, PathBuf};

/// Arguments of `lint`.
#[derive(Args, Debug)]
pub(super) struct LintArgs {
    /// Parameter set or policy: a TOML file, or the name of a preset
    #[arg(value_name = "PARAMS", required_unless_present = "preset")]
    params: Option<PathBuf>,
    /// The name of a preset
    #[arg(long, value_name = "NAME", conflicts_with = "params")]
    preset: Option<String>,
}

/// Answers; a finding fails the check.
pub(super) fn run(args: &LintArgs) -> anyhow::Result<Answer<'static>> {
    if let Some(policy) = args.params.as_deref().map(policy).transpose()?.flatten() {
        return answer(of_policy(&policy)?, policy.name().to_owned());
    }
    let set = set(args)?;
    let mut rows = Vec::new();
    for finding in set.lint() {
        rows.push([code(&finding.code)?, finding.subject.clone(), finding.message.clone()]);
    }
    answer(rows, format!("{} ({})", set.name, set.id()))
}

/// Rule, subject and finding.
type Row = [String; 3];

fn of_policy(policy: &Policy) -> anyhow::Result<Vec<Row>> {
    let row = |finding: plimsoll_policy::Finding| {
        let subject = finding.key.map_or_else(|| "*".to_owned(), |key| key.to_string());
        Ok([code(&finding.rule)?, subject, finding.text])
    };
    policy.lint().into_iter().map(row).collect()
}

/// The stable name of a rule.
fn code(rule: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_value(rule)?.as_str().unwrap_or_default().to_owned())
}

fn answer(rows: Vec<Row>, what: String) -> anyhow::Result<Answer<'static>> {
    let columns = [("rule", Kind::Text), ("subject", Kind::Text), ("finding", Kind::Text)];
    let mut table = Table::new("", &columns);
    let verdict = if rows.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let note = format!("{what}: {} findings", rows.len());
    for row in &rows {
        table.push(row.iter().map(Cell::text).collect());
    }
    let mut answer = Answer { notes: vec![note], verdict, ..Answer::table(table) };
    if rows.is_empty() {
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
