//! `plimsoll sign`: the signer's process.

use super::serve::Log;
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use crate::signer::{Bounds, Key, Ledger, OfficeConfig, Signer, listen, serve};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `sign`.
#[derive(Args, Debug)]
pub(super) struct SignArgs {
    /// What to run by: socket, key, bounds, ledger, and the domain of signatures
    #[arg(long, default_value = "signer.toml", value_name = "FILE")]
    config: PathBuf,
    /// Begin the ledger, and the key where there is none; print whose signatures they will be, and sign nothing
    #[arg(long)]
    begin: bool,
    /// Form of the log on the standard error stream; RUST_LOG says how much
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
}

/// Signs until it is ended; a ledger that cannot be written ends it with an error.
pub(super) fn run(args: &SignArgs, output: &Output) -> anyhow::Result<Verdict> {
    let config = OfficeConfig::read(&args.config)?;
    if args.begin {
        return output.write(Answer::table(begun(&config)?));
    }
    args.log.start("info");
    let mut signer = Signer::open(&config)?;
    let listener = listen(&config.socket)?;
    let last = signer.last().map(|last| last.document.sequence);
    tracing::info!(address = %signer.address(), socket = %config.socket.display(), last, "signing");
    serve(&mut signer, &listener)?;
    Ok(Verdict::Passed)
}

fn begun(config: &OfficeConfig) -> anyhow::Result<Table> {
    Bounds::read(&config.bounds)?;
    let key = if config.key.exists() { Key::read(&config.key)? } else { Key::create(&config.key)? };
    Ledger::begin(&config.ledger, key.address(), (&config.identity, config.chain))?;
    let mut table = Table::new("", &[("what", Kind::Text), ("value", Kind::Text)]);
    table.push(vec![Cell::text("address"), Cell::text(key.address().to_string())]);
    Ok(table)
}
