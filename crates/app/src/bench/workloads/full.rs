//! W4f: equity, initial and maintenance margin, all charges and Greeks of every account of a whole book.

use super::book::Priced;
use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::ScenarioKind;
use crate::bench::limits::Cost;
use anyhow::Context;
use plimsoll_engine::ParamSet;
use plimsoll_lanes::Path;
use plimsoll_margin::{BookTerms, MarginError, Params, Totals, evaluate, summaries};

/// Accounts that the reference evaluates.
const SAMPLE: usize = 1_000;

/// Bytes that an account's numbers take.
const OUT: u64 = size_of::<Result<Totals, MarginError>>() as u64;

/// The totals of every account.
#[derive(Debug)]
pub(in crate::bench) struct Full {
    priced: Priced,
    params: Params,
    totals: Vec<Result<Totals, MarginError>>,
}

impl Full {
    /// A million accounts, or 100,000, with collateral, on the terms of the preset `plimsoll`.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let priced = Priced::new(setup, "w4f", ScenarioKind::Factor, true)?;
        Ok(Self { priced, params: ParamSet::preset("plimsoll")?.margin, totals: Vec::new() })
    }

    fn of(&self, account: usize) -> anyhow::Result<&Totals> {
        let totals = self.totals.get(account).context("every account has totals")?;
        totals.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }
}

/// Takes in the numbers of a report.
pub(super) fn digest_totals(digest: &mut Digest, totals: &Totals) {
    let Totals { im, mm, equity, aggregate, base, guard, addons, relief, orders, marks, greeks, .. } = totals;
    let both = [aggregate, base, guard, addons, relief, orders].map(|r| [r.im, r.mm]);
    let greeks =
        [greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.rho, greeks.vanna, greeks.volga];
    for ticks in both.as_flattened().iter().chain(&greeks).chain([im, mm, equity, marks]) {
        digest.integer(ticks.0);
    }
}

impl Work for Full {
    fn facts(&self) -> Facts {
        let Priced { accounts, book, arrays, .. } = &self.priced;
        let (units, positions) = (accounts.len() as u64, accounts.positions() as u64);
        let width = arrays.scenarios.len() as u64;
        Facts {
            what: format!(
                "{units} accounts, {positions} positions, {width} scenarios, all charges and Greeks"
            ),
            unit: "account",
            units,
            // A position is read once with its row; its seven Greeks and the charges' amounts are another 16 numbers.
            cost: Cost {
                streamed: book.bytes() as u64 + OUT * units,
                cached: positions * (4 * width + 8 * 16),
                flops: positions * (2 * width + 2 * 16),
            },
            reference: "evaluate, account by account",
            notes: vec![format!("{} bytes of book", book.bytes())],
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        let terms = BookTerms::new(&self.priced.arrays, &self.params);
        summaries(path, &self.priced.book, &terms, &mut self.totals);
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for totals in &self.totals {
            match totals {
                Ok(totals) => digest_totals(&mut digest, totals),
                Err(_) => digest.word(u64::MAX),
            }
        }
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let count = self.priced.accounts.len().min(SAMPLE);
        for account in 0..count {
            let portfolio = self.priced.book.portfolio(account).context("an account of the book")?;
            let expected = evaluate(&portfolio, &self.priced.arrays, &self.params)?.totals()?;
            let found = self.of(account)?;
            if *found != expected {
                return Err(differs("account", account, format!("{found:?}"), format!("{expected:?}")));
            }
        }
        Ok(count as u64)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let mut frames = self.priced.frames()?;
        let all = (0..self.totals.len()).map(|i| self.of(i)).collect::<anyhow::Result<Vec<_>>>()?;
        let column = |read: fn(&Totals) -> i128| {
            all.iter().map(|totals| Ok(i64::try_from(read(totals))?)).collect::<anyhow::Result<Vec<i64>>>()
        };
        let about = "The answer to W4f, in the order of accounts, in ticks of 1e-6 USD; presets/plimsoll.toml has the terms.";
        let answer = Frame::new("totals", about)
            .integer("equity", "collateral after haircuts, marks, unrealised profit", column(|t| t.equity.0)?)
            .integer("im", "initial margin", column(|t| t.im.0)?)
            .integer("mm", "maintenance margin", column(|t| t.mm.0)?)
            .integer("base_im", "of it the scaled scenario loss", column(|t| t.base.im.0)?)
            .integer("guard_im", "the rounding guard", column(|t| t.guard.im.0)?)
            .integer("addons_im", "all other charges", column(|t| t.addons.im.0)?)
            .integer("relief_im", "less what long options cannot lose", column(|t| t.relief.im.0)?)
            .integer("delta", "per unit relative move of spot", column(|t| t.greeks.delta.0)?)
            .integer("gamma", "second derivative by relative moves", column(|t| t.greeks.gamma.0)?)
            .integer("vega", "per 1.00 of volatility", column(|t| t.greeks.vega.0)?)
            .integer("theta", "per year", column(|t| t.greeks.theta.0)?);
        frames.push(answer);
        Ok(frames)
    }
}
