//! `plimsoll config check`: what a server would say of its configuration before it starts.

use super::{keys, serve};
use crate::host::{self, Config};
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Arguments of `config`.
#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Read a configuration as `serve` would, with the environment above it, and refuse what it would refuse; starts nothing
    Check {
        /// The configuration
        #[arg(default_value = "plimsoll.toml", value_name = "FILE")]
        config: PathBuf,
    },
}

/// Answers.
pub(super) fn run(args: &ConfigArgs, output: &Output) -> anyhow::Result<Verdict> {
    let What::Check { config: path } = &args.what;
    let config = Config::read(path, serve::environment(), host::now())?;
    crate::doors::check(config.server.listen, &config.doors)?;
    let keys = match &config.doors.keys {
        Some(path) => format!("{} that open something", keys::good(path)?),
        None => "none: anybody may do anything, on loopback".to_owned(),
    };
    let rules = config.charter.rules()?;
    let feeds: Vec<&str> = config.charter.feeds.keys().map(plimsoll_types::Asset::as_str).collect();
    let sources: Vec<&str> = config.intake.sources.keys().map(String::as_str).collect();
    let rows = [
        ("listens at", config.server.listen.to_string()),
        ("encrypted", if config.doors.certificate.is_some() { "yes" } else { "no" }.to_owned()),
        ("keys", keys),
        ("journal", config.journal.dir.display().to_string()),
        ("parameters", format!("{} {}", rules.params.name, rules.params.id())),
        ("policy", rules.policy.name().to_owned()),
        ("feeds", feeds.join(" ")),
        ("signed by", config.signer.map_or_else(|| "nobody".to_owned(), |signer| signer.address.to_string())),
        ("sources", if sources.is_empty() { "none".to_owned() } else { sources.join(" ") }),
    ];
    let mut table = Table::new("", &[("what", Kind::Text), ("value", Kind::Text)]);
    rows.into_iter().for_each(|(what, value)| table.push(vec![Cell::text(what), Cell::text(value)]));
    output.write(Answer::table(table))
}
