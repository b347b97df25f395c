//! What each underlying would be asked by itself, of all accounts together.
//!
//! **The one idea:** the largest loss over the grid of every account in every underlying that it holds, added up account by account.
//! Scales, charges, and what underlyings set off against each other are not in it: they are of whole accounts.

use super::engine::Engine;
use plimsoll_lanes::Path;
use plimsoll_margin::Requirement;
use plimsoll_margin::book::{Holders, Rows, ScanLosses, scan_losses};
use plimsoll_types::{Asset, Book, RiskArrays, Ticks, UnderlyingIx};

impl Engine {
    /// The scan losses of all accounts in each underlying, ticks, each >= 0, in the order of the arrays: under what binds new risk
    /// (`im`) and existing positions (`mm`).
    pub fn scan_losses(&self) -> Vec<(Asset, Requirement)> {
        let valued = self.valued();
        let (book, arrays) = (valued.book(), valued.arrays());
        let kept = valued.maintenance().map_or(arrays, |(arrays, _)| arrays);
        let im = summed(book, &Rows::new(arrays), arrays);
        let mm = summed(book, &Rows::for_maintenance(kept), kept);
        let both = |(row, (im, mm)): (&plimsoll_types::UnderlyingRow, (i128, i128))| {
            (row.asset.clone(), Requirement { im: Ticks(im), mm: Ticks(mm) })
        };
        arrays.underlyings.iter().zip(im.into_iter().zip(mm)).map(both).collect()
    }
}

/// By underlying; an account that cannot be scanned counts nowhere.
fn summed(book: &Book, rows: &Rows, arrays: &RiskArrays) -> Vec<i128> {
    let mut found = ScanLosses::default();
    scan_losses(Path::best(), book, rows, &mut found);
    let holders = Holders::new(book, rows);
    let mut sums = vec![0_i128; arrays.underlyings.len()];
    for account in 0..found.len() {
        let Some(Ok(losses)) = found.account(account) else { continue };
        let held = (0..).map(UnderlyingIx).take(sums.len()).filter(|ix| holders.holds(account, *ix));
        for (ix, loss) in held.zip(losses.iter()) {
            sums[ix.index()] += loss;
        }
    }
    sums
}
