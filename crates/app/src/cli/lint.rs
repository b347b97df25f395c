//! `plimsoll lint`: what is wrong with a parameter set, or with a policy.

use crate::io::params::{self, Document, documents};
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::Args;
use plimsoll_engine::ParamSet;
use plimsoll_policy::Policy;
use std::path::PathBuf;

/// Arguments of `lint`.
#[derive(Args, Debug)]
pub(super) struct LintArgs {
    /// Parameter set or policy: a TOML file, or a name: of a preset, of a policy that ships, or of both; a file of such a name is
    /// ./NAME
    #[arg(value_name = "PARAMS", required_unless_present_any = ["preset", "policy"])]
    params: Option<PathBuf>,
    /// The name of a preset
    #[arg(long, value_name = "NAME", conflicts_with_all = ["params", "policy"])]
    preset: Option<String>,
    /// A policy: a TOML file, or the name of one that ships
    #[arg(long, value_name = "FILE", conflicts_with = "params")]
    policy: Option<PathBuf>,
}

/// Answers; a finding fails the check.
pub(super) fn run(args: &LintArgs) -> anyhow::Result<Answer<'static>> {
    let found = match (&args.params, &args.policy) {
        (Some(path), _) => documents(path)?,
        (None, Some(path)) => vec![Document::Policy(Box::new(params::policy(path)?))],
        (None, None) => vec![Document::Params(Box::new(params::params(None, args.preset.as_deref())?))],
    };
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for document in &found {
        let (findings, what) = match document {
            Document::Params(set) => (of_params(set)?, format!("parameter set {} ({})", set.name, set.id())),
            Document::Policy(policy) => (of_policy(policy)?, format!("policy {}", policy.name())),
        };
        notes.push(format!("{what}: {} findings", findings.len()));
        rows.extend(findings);
    }
    Ok(answer(&rows, notes))
}

/// Rule, subject and finding.
type Row = [String; 3];

fn of_params(set: &ParamSet) -> anyhow::Result<Vec<Row>> {
    let row = |finding: plimsoll_margin::LintFinding| {
        Ok([code(&finding.code)?, finding.subject.clone(), finding.message])
    };
    set.lint().into_iter().map(row).collect()
}

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

fn answer(rows: &[Row], notes: Vec<String>) -> Answer<'static> {
    let columns = [("rule", Kind::Text), ("subject", Kind::Text), ("finding", Kind::Text)];
    let mut table = Table::new("", &columns);
    let verdict = if rows.is_empty() { Verdict::Passed } else { Verdict::Failed };
    for row in rows {
        table.push(row.iter().map(Cell::text).collect());
    }
    let mut answer = Answer { notes, verdict, ..Answer::table(table) };
    if rows.is_empty() {
        answer.tables.clear();
    }
    answer
}
