//! W6: what one more trade would make of an account of twelve positions: from warm arrays, with everything repriced, and
//! as a whole report.

use super::arrays::FLOPS_SMILE;
use super::full::digest_totals;
use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::{Accounts, Listing, ScenarioKind};
use crate::bench::limits::Cost;
use crate::generate::Draw;
use anyhow::Context;
use plimsoll_engine::ParamSet;
use plimsoll_lanes::Path;
use plimsoll_margin::{BookTerms, LiveAccount, Lookups, Params, Totals, Trade, WhatIf, what_if};
use plimsoll_risk::Plan;
use plimsoll_types::{InstrumentIx, Lots, Portfolio, RiskArrays, UnderlyingIx};

/// Positions of an account.
const POSITIONS: usize = 12;

/// Accounts that are checked one after the other, so that no branch is learnt by heart.
const ACCOUNTS: usize = 256;

/// Accounts with a trade each.
#[derive(Debug)]
struct Desk {
    listing: Listing,
    params: Params,
    portfolios: Vec<Portfolio>,
    trades: Vec<Trade>,
}

impl Desk {
    fn new(setup: &Setup) -> anyhow::Result<Self> {
        let (listing, accounts) = match setup.folder("w6") {
            Some(folder) => (Listing::read(&folder)?, Accounts::read(&folder)?),
            None => (Listing::made(ScenarioKind::Factor)?, Accounts::alike(ACCOUNTS, POSITIONS, (16, 250))),
        };
        let portfolios: Vec<Portfolio> = accounts.book(true)?.iter().collect();
        let mut draw = Draw::new(6);
        let trade = |draw: &mut Draw| -> anyhow::Result<Trade> {
            let instrument = InstrumentIx(u32::try_from(draw.below(listing.instruments.len()))?);
            Ok(Trade { instrument, lots: Lots(i64::try_from(draw.below(41))? - 20) })
        };
        let trades = portfolios.iter().map(|_| trade(&mut draw)).collect::<anyhow::Result<_>>()?;
        Ok(Self { listing, params: ParamSet::preset("plimsoll")?.margin, portfolios, trades })
    }

    fn arrays(&self) -> anyhow::Result<RiskArrays> {
        let plan = Plan::new(&self.listing.instruments, &self.listing.set, &self.listing.units)?;
        Ok(plan.build(&self.listing.surface, Path::best())?.arrays)
    }

    /// Facts of one check after the other.
    fn facts(&self, what: &str, cells: u64) -> Facts {
        let units = self.portfolios.len() as u64;
        let width = self.listing.set.columns() as u64;
        let rows = POSITIONS as u64 + 1;
        Facts {
            what: format!("{POSITIONS} positions and a trade, {width} scenarios, all charges: {what}"),
            unit: "check",
            units,
            cost: Cost {
                streamed: 0,
                cached: units * rows * 4 * width,
                flops: units * (rows * 2 * width + cells * FLOPS_SMILE),
            },
            reference: "whole report from the portfolio, arrays warm",
            notes: Vec::new(),
        }
    }

    fn frames(&self, accounts: &Accounts) -> anyhow::Result<Vec<Frame>> {
        let mut frames = self.listing.frames()?;
        frames.extend(accounts.frames()?);
        Ok(frames)
    }

    fn after(&self, account: usize, arrays: &RiskArrays) -> anyhow::Result<Totals> {
        let (portfolio, trade) =
            self.portfolios.get(account).zip(self.trades.get(account)).context("an account")?;
        let found = what_if(portfolio, &[*trade], arrays, &self.params)?;
        Ok(found.after.totals()?)
    }

    /// Compares totals with those of reports.
    fn compare(&self, found: &[Totals], arrays: &RiskArrays) -> anyhow::Result<u64> {
        for (account, found) in found.iter().enumerate() {
            let expected = self.after(account, arrays)?;
            if *found != expected {
                return Err(differs("account", account, format!("{found:?}"), format!("{expected:?}")));
            }
        }
        Ok(found.len() as u64)
    }
}

fn digest_of(all: &[Totals]) -> u64 {
    let mut digest = Digest::new();
    all.iter().for_each(|totals| digest_totals(&mut digest, totals));
    digest.finish()
}

/// Totals after a trade from cached vectors.
#[derive(Debug)]
pub(in crate::bench) struct Warm {
    desk: &'static Desk,
    arrays: &'static RiskArrays,
    terms: &'static BookTerms<'static>,
    accounts: Vec<LiveAccount<'static>>,
    path: &'static str,
    totals: Vec<Totals>,
}

impl Warm {
    /// 256 accounts of twelve positions.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        // A live account borrows from what it is checked against; for the one run of this process nothing is given back.
        let desk: &'static Desk = Box::leak(Box::new(Desk::new(setup)?));
        let arrays: &'static RiskArrays = Box::leak(Box::new(desk.arrays()?));
        let terms: &'static BookTerms<'static> = Box::leak(Box::new(BookTerms::new(arrays, &desk.params)));
        let totals = vec![Totals::default(); desk.portfolios.len()];
        let mut warm = Self { desk, arrays, terms, accounts: Vec::new(), path: "", totals };
        warm.look_up(Path::best())?;
        Ok(warm)
    }

    fn look_up(&mut self, path: Path) -> anyhow::Result<()> {
        let live = |portfolio: &Portfolio| LiveAccount::new(portfolio.clone(), self.terms, path);
        self.accounts = self.desk.portfolios.iter().map(live).collect::<Result<_, _>>()?;
        self.path = path.name();
        Ok(())
    }
}

impl Work for Warm {
    fn facts(&self) -> Facts {
        self.desk.facts("warm arrays", 0)
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        if self.path != path.name() {
            self.look_up(path)?;
        }
        for ((account, trade), totals) in
            self.accounts.iter_mut().zip(&self.desk.trades).zip(&mut self.totals)
        {
            *totals = account.check(trade)?;
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        digest_of(&self.totals)
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        self.desk.compare(&self.totals, self.arrays)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let accounts = Accounts::alike(ACCOUNTS, POSITIONS, (16, 250));
        let mut frames = self.desk.frames(&accounts)?;
        let column = |read: fn(&Totals) -> i128| {
            self.totals.iter().map(|t| Ok(i64::try_from(read(t))?)).collect::<anyhow::Result<Vec<i64>>>()
        };
        let answer = Frame::new(
            "checks",
            "The trade and the answer to W6, in the order of accounts; ticks of 1e-6 USD.",
        )
        .index(
            "instrument",
            "row of `instruments`",
            self.desk.trades.iter().map(|t| t.instrument.0).collect(),
        )
        .integer(
            "lots",
            "signed lots traded at the mark",
            self.desk.trades.iter().map(|t| t.lots.0).collect(),
        )
        .integer("equity", "after the trade", column(|t| t.equity.0)?)
        .integer("im", "initial margin after the trade", column(|t| t.im.0)?)
        .integer("mm", "maintenance margin after the trade", column(|t| t.mm.0)?);
        frames.push(answer);
        Ok(frames)
    }
}

/// The instruments of one account and its trade, priced on their own.
#[derive(Debug)]
struct Alone {
    plan: Plan,
    arrays: RiskArrays,
    lookups: Lookups,
    /// Underlyings of its instruments and of its collateral.
    touched: Vec<UnderlyingIx>,
    portfolio: Portfolio,
    trade: Trade,
}

impl Alone {
    fn new(desk: &Desk, portfolio: &Portfolio, trade: &Trade) -> anyhow::Result<Self> {
        let mut rows: Vec<u32> = portfolio.positions.iter().map(|p| p.instrument.0).collect();
        rows.push(trade.instrument.0);
        rows.sort_unstable();
        rows.dedup();
        let named = rows.iter().filter_map(|row| desk.listing.instruments.get(*row as usize)).cloned();
        let plan = Plan::new(&named.collect::<Vec<_>>(), &desk.listing.set, &desk.listing.units)?;
        let arrays = plan.build(&desk.listing.surface, Path::best())?.arrays;
        let place = |ix: InstrumentIx| -> anyhow::Result<InstrumentIx> {
            Ok(InstrumentIx(u32::try_from(rows.binary_search(&ix.0).ok().context("a row of its own")?)?))
        };
        let mut portfolio = portfolio.clone();
        for position in &mut portfolio.positions {
            position.instrument = place(position.instrument)?;
        }
        let trade = Trade { instrument: place(trade.instrument)?, lots: trade.lots };
        let lookups = Lookups::new(&arrays, &desk.params);
        let held = |ix: UnderlyingIx| arrays.instruments.iter().any(|row| row.underlying == ix);
        let owned = |ix: UnderlyingIx| {
            arrays
                .underlyings
                .get(ix.index())
                .is_some_and(|row| portfolio.collateral.iter().any(|held| held.asset == row.asset))
        };
        let all = (0..).take(arrays.underlyings.len()).map(UnderlyingIx);
        let touched = all.filter(|ix| held(*ix) || owned(*ix)).collect();
        Ok(Self { plan, arrays, lookups, touched, portfolio, trade })
    }
}

/// Totals after a trade with every option of the account repriced first.
#[derive(Debug)]
pub(in crate::bench) struct Reprice {
    desk: Desk,
    alone: Vec<Alone>,
    arrays: RiskArrays,
    totals: Vec<Totals>,
}

impl Reprice {
    /// 256 accounts of twelve positions.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let desk = Desk::new(setup)?;
        let pairs = desk.portfolios.iter().zip(&desk.trades);
        let alone = pairs.map(|(portfolio, trade)| Alone::new(&desk, portfolio, trade));
        let alone = alone.collect::<anyhow::Result<Vec<_>>>()?;
        let (arrays, totals) = (desk.arrays()?, vec![Totals::default(); desk.portfolios.len()]);
        Ok(Self { desk, alone, arrays, totals })
    }
}

impl Work for Reprice {
    fn facts(&self) -> Facts {
        let cells = (POSITIONS as u64 + 1) * self.desk.listing.set.columns() as u64;
        self.desk.facts("full reprice", cells)
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        for (alone, totals) in self.alone.iter_mut().zip(&mut self.totals) {
            alone.plan.refresh(&self.desk.listing.surface, &mut alone.arrays, None, path)?;
            for ix in &alone.touched {
                alone.lookups.renew(&alone.arrays, &self.desk.params, *ix);
            }
            let terms = BookTerms::on(&alone.arrays, &self.desk.params, &alone.lookups);
            *totals = LiveAccount::new(alone.portfolio.clone(), &terms, path)?.check(&alone.trade)?;
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        digest_of(&self.totals)
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        self.desk.compare(&self.totals, &self.arrays)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        Ok(Vec::new())
    }
}

/// The whole report before and after a trade.
#[derive(Debug)]
pub(in crate::bench) struct Report {
    desk: Desk,
    arrays: RiskArrays,
    reports: Vec<WhatIf>,
}

impl Report {
    /// 256 accounts of twelve positions.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let desk = Desk::new(setup)?;
        Ok(Self { arrays: desk.arrays()?, reports: Vec::with_capacity(desk.portfolios.len()), desk })
    }
}

impl Work for Report {
    fn facts(&self) -> Facts {
        self.desk.facts("whole report before and after", 0)
    }

    fn run(&mut self, _: Path) -> anyhow::Result<()> {
        for (account, (portfolio, trade)) in self.desk.portfolios.iter().zip(&self.desk.trades).enumerate() {
            let report = what_if(portfolio, &[*trade], &self.arrays, &self.desk.params)?;
            match self.reports.get_mut(account) {
                Some(place) => *place = report,
                None => self.reports.push(report),
            }
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        let totals = self.reports.iter().filter_map(|report| report.after.totals().ok());
        digest_of(&totals.collect::<Vec<_>>())
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let totals = self.reports.iter().map(|report| report.after.totals());
        self.desk.compare(&totals.collect::<Result<Vec<_>, _>>()?, &self.arrays)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        Ok(Vec::new())
    }
}
