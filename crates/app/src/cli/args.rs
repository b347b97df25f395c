//! Arguments that several commands share.

use crate::io::book::BookFiles;
use crate::io::params;
use crate::io::series::{self, NamedFile};
use crate::io::source::STDIN;
use anyhow::bail;
use clap::Args;
use plimsoll_engine::{BuildOptions, ParamSet};
use plimsoll_risk::Mode;
use plimsoll_types::Timestamp;
use std::path::{Path, PathBuf};

/// Which market.
#[derive(Args, Debug, Clone)]
pub(super) struct MarketArgs {
    /// Snapshot: a file (CSV of Deribit chains or tardis, Deribit or own JSON), `-`, or a directory of such files
    #[arg(long, value_name = "SNAPSHOT")]
    pub market: PathBuf,
    /// Of several snapshots, the last one at or before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
}

/// Which book.
#[derive(Args, Debug, Clone)]
pub(super) struct BookArgs {
    /// CSV or Parquet: account,instrument,quantity[,entry_price]
    #[arg(long, value_name = "FILE")]
    pub positions: PathBuf,
    /// CSV or Parquet: account,asset,amount[,position]
    #[arg(long, value_name = "FILE")]
    pub collateral: Option<PathBuf>,
    /// CSV or Parquet: account,instrument,quantity[,price]
    #[arg(long, value_name = "FILE")]
    pub orders: Option<PathBuf>,
}

/// Which parameters, and how they are used.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct ParamArgs {
    /// Parameter set: a TOML file
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    pub params: Option<PathBuf>,
    /// Parameter set that comes with the program (default: plimsoll)
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Prices behind historical scenarios, CSV time,BTC,ETH,...[,BTC_VOL,ETH_VOL,...] with 30-day implied
    /// volatilities as annualised decimals (may be given several times)
    #[arg(long, value_name = "NAME=FILE")]
    pub series: Vec<NamedFile>,
    /// Revalue by delta, gamma and vega instead of full reprice, and report the error
    #[arg(long)]
    pub approximate: bool,
    /// Use the parameter set in spite of what `plimsoll lint` finds in it
    #[arg(long)]
    pub allow_lint: bool,
    /// Value options that the snapshot does not list from the surface
    #[arg(long)]
    pub unlisted: bool,
}

impl BookArgs {
    /// The files as the reader takes them.
    pub(super) fn files(&self) -> BookFiles {
        BookFiles {
            positions: self.positions.clone(),
            collateral: self.collateral.clone(),
            orders: self.orders.clone(),
        }
    }

    /// Every path that is read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.positions), self.collateral.as_ref(), self.orders.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

impl ParamArgs {
    /// The parameter set.
    pub(super) fn set(&self) -> anyhow::Result<ParamSet> {
        params::params(self.params.as_deref(), self.preset.as_deref())
    }

    /// The options of a build, with every series read; refused when one that is needed is missing.
    pub(super) fn options(&self, set: &ParamSet) -> anyhow::Result<BuildOptions> {
        let (unlisted, allow_lint) = (self.unlisted, self.allow_lint);
        let mut options = BuildOptions { unlisted, allow_lint, ..BuildOptions::default() };
        for named in &self.series {
            options.series.insert(named.name.clone(), series::series(&named.path)?);
        }
        for name in set.series_needed() {
            if !options.series.contains_key(&name) {
                bail!("parameter set {} needs the price series `{name}`: add --series {name}=FILE", set.name);
            }
        }
        if self.approximate {
            options.mode = Mode::DeltaGammaVega;
        }
        Ok(options)
    }
}

/// Refuses to read the standard input stream twice.
pub(super) fn one_stdin<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    if paths.into_iter().filter(|path| path.as_os_str() == STDIN).count() > 1 {
        bail!("`-` is given for more than one input: the standard input stream can be read only once");
    }
    Ok(())
}
