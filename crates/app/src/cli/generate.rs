//! `plimsoll generate`: markets and books of our own making.

use super::say;
use crate::generate::{BookSpec, MarketSpec, book, market};
use crate::io::market::snapshot;
use crate::io::source::STDIN;
use crate::output::answer::Output;
use crate::output::{Format, Verdict};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use plimsoll_market::read::write_json;
use plimsoll_types::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `generate`.
#[derive(Args, Debug)]
pub(super) struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// A synthetic snapshot of BTC, ETH and SOL as JSON
    Market {
        /// Seed of the noise in quotes (default: that of the bundled market)
        #[arg(long)]
        seed: Option<u64>,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// A book of accounts over a snapshot: positions.csv, collateral.csv and orders.csv
    Book {
        /// The snapshot to trade on
        #[arg(long, value_name = "SNAPSHOT")]
        market: PathBuf,
        /// Of several snapshots, the last one at or before this time
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// How many accounts
        #[arg(long, default_value_t = 2000)]
        accounts: usize,
        /// Seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Also write entry and order prices, which derive from the snapshot's marks
        #[arg(long)]
        prices: bool,
        /// The directory to write into
        #[arg(long, value_name = "DIRECTORY")]
        to: PathBuf,
    },
}

/// Makes and writes.
pub(super) fn run(args: &GenerateArgs, output: &Output) -> anyhow::Result<Verdict> {
    let (What::Market { to, .. } | What::Book { to, .. }) = &args.what;
    if to.as_os_str() == STDIN {
        bail!("--to -: a file or a directory must be named");
    }
    if output.file.is_some() || output.format != Format::Table {
        bail!("generate writes what --to names, in its own form: --out and --format are of no use here");
    }
    match &args.what {
        What::Market { seed, to } => {
            let mut spec = MarketSpec::bundled();
            spec.seed = seed.unwrap_or(spec.seed);
            write(to, &write_json(&market(&spec)?))?;
        }
        What::Book { market, at, accounts, seed, prices, to } => {
            let (snapshot, _) = snapshot(market, *at)?;
            let made = book(&snapshot, &BookSpec { accounts: *accounts, seed: *seed, prices: *prices })?;
            std::fs::create_dir_all(to).with_context(|| format!("{}: cannot be made", to.display()))?;
            write(&to.join("positions.csv"), &made.positions)?;
            write(&to.join("collateral.csv"), &made.collateral)?;
            write(&to.join("orders.csv"), &made.orders)?;
        }
    }
    Ok(Verdict::Passed)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
    say!("wrote {}", path.display());
    Ok(())
}
