//! What another method would ask for on the book and market of the present.
//!
//! **The one idea:** what accounts hold is told anew to a desk under the other parameter set, on the surface that the engine has
//! fitted. Entry prices are not told and open orders are left out, so margins are compared and equity is not.

use crate::wire::{coins, quantity};
use plimsoll_engine::live::{BookStudy, Holder, Reject};
use plimsoll_engine::{BookBuilder, BuildOptions, Desk, Market, ParamSet, RowError};
use plimsoll_types::{AccountId, Snapshot, Ticks, Units};
use std::collections::BTreeMap;

/// What margins over time are compared with: a public method, and the base line.
pub(crate) const COMPARED: [&str; 2] = ["derive-pmrm2", "fixed"];

/// What a method asks for, and what is in force asks of the same accounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// Initial and maintenance margin of the method, ticks of its own units.
    pub(crate) theirs: [Ticks; 2],
    /// Units of the method.
    pub(crate) units: Units,
    /// What is in force asks of the same accounts: initial and maintenance margin, ticks.
    pub(crate) own: [Ticks; 2],
    /// Accounts it margins.
    pub(crate) accounts: usize,
    /// Accounts it does not.
    pub(crate) failures: usize,
    /// The first reason why not.
    pub(crate) reason: Option<String>,
}

/// What a parameter set that comes with the program asks of everybody, or of one account.
///
/// # Errors
/// `not_valid` where the set or the book makes no desk.
pub(crate) fn asked(
    preset: &str,
    (study, units): (&BookStudy, &Units),
    one: Option<&AccountId>,
) -> Result<Asked, Reject> {
    let refused = |e: &dyn std::fmt::Display| Reject::new("not_valid", format!("{preset}: {e}"));
    let params = ParamSet::preset(preset).map_err(|e| refused(&e))?;
    let holders: Vec<Holder> =
        study.holders().filter(|holder| one.is_none_or(|one| holder.account == *one)).collect();
    let book = builder((&params.units, units), &holders).map_err(|e| refused(&e))?;
    let surface = study.surface().clone();
    let nothing = Snapshot { as_of: surface.as_of, underlyings: BTreeMap::new(), assets: BTreeMap::new() };
    let market = Market { snapshot: nothing, surface, id: String::new() };
    let theirs = params.units.clone();
    let options = BuildOptions { unlisted: true, allow_lint: true, ..BuildOptions::default() };
    let desk = Desk::assemble(params, market, book, &[], &options).map_err(|e| refused(&e))?;
    let own: BTreeMap<&AccountId, &Holder> = holders.iter().map(|holder| (&holder.account, holder)).collect();
    let mut found = Asked {
        theirs: [Ticks(0); 2],
        own: [Ticks(0); 2],
        units: theirs,
        accounts: 0,
        failures: 0,
        reason: None,
    };
    for (account, report) in desk.margin() {
        let held = own.get(&account).map(|holder| &holder.totals);
        match report {
            Ok(report) => {
                let (im, mm) = held.map_or((0, 0), |totals| (totals.im.0, totals.mm.0));
                found.theirs[0].0 += report.im.0;
                found.theirs[1].0 += report.mm.0;
                found.own[0].0 += im;
                found.own[1].0 += mm;
                found.accounts += 1;
            }
            Err(failure) => {
                found.failures += 1;
                found.reason.get_or_insert(failure.to_string());
            }
        }
    }
    Ok(found)
}

/// The book of another method; `theirs` are its units and `ours` those in which lots are told.
fn builder((theirs, ours): (&Units, &Units), holders: &[Holder]) -> Result<BookBuilder, RowError> {
    let mut book = BookBuilder::new(theirs);
    for holder in holders {
        let account = holder.account.as_str();
        for (instrument, lots) in &holder.held {
            book.position(account, &instrument.to_string(), &quantity(*lots, instrument, ours), None)?;
        }
        for (asset, nano) in &holder.collateral {
            book.collateral(account, asset.as_str(), coins(*nano).as_str(), None)?;
        }
    }
    Ok(book)
}
