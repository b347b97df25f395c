//! What the policy is told of the book, and the leverage that it lets the book have.
//!
//! **The one idea:** open interest and its concentration are sums over the book, no account of which is told; the tiers that come
//! back are a function of the price scan and of those sums.

use crate::Desk;
use plimsoll_policy::{LeverageTier, Policy, Signals, State};
use plimsoll_types::{Asset, Contract, Timestamp};
use std::collections::BTreeMap;

/// The largest accounts that concentration counts.
const LARGEST: usize = 10;

/// Open interest of one underlying in the book: futures, perpetuals and options at the index price, quote units.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct OpenInterest {
    /// Lots that are long; >= 0.
    pub long: f64,
    /// Lots that are short; >= 0.
    pub short: f64,
    /// Share of both that the ten largest accounts hold; in [0, 1].
    pub concentration: f64,
}

impl OpenInterest {
    /// The larger of both sides: where the book is the whole market they are one.
    pub fn larger(&self) -> f64 {
        if self.long > self.short { self.long } else { self.short }
    }
}

impl Desk {
    /// Open interest by underlying; those without any are left out.
    pub fn open_interest(&self) -> BTreeMap<Asset, OpenInterest> {
        let arrays = &self.arrays;
        let mut sums = vec![(OpenInterest::default(), Vec::new()); arrays.underlyings.len()];
        for account in 0..self.book.len() {
            let Some(holdings) = self.book.holdings(account) else { continue };
            let mut held = vec![0.0; sums.len()];
            for position in holdings.to_positions() {
                let Some(row) = arrays.instrument(position.instrument) else { continue };
                let at = row.underlying.index();
                let (Some(sum), Some(held)) = (sums.get_mut(at), held.get_mut(at)) else { continue };
                if matches!(row.instrument.contract(), Contract::Spot) {
                    continue;
                }
                let size = position.lots.0 as f64 * row.notional as f64 / arrays.ticks_per_unit as f64;
                let side = if size > 0.0 { &mut sum.0.long } else { &mut sum.0.short };
                *side += size.abs();
                *held += size.abs();
            }
            for ((_, accounts), held) in sums.iter_mut().zip(held).filter(|(_, held)| *held > 0.0) {
                accounts.push(held);
            }
        }
        let named =
            sums.into_iter().zip(&arrays.underlyings).filter(|((_, accounts), _)| !accounts.is_empty());
        let one = |((of, mut accounts), row): ((OpenInterest, Vec<f64>), &plimsoll_types::UnderlyingRow)| {
            accounts.sort_by(|a, b| b.total_cmp(a));
            let largest = accounts.iter().take(LARGEST).fold(0.0, |sum, held| sum + held);
            (row.asset.clone(), OpenInterest { concentration: largest / (of.long + of.short), ..of })
        };
        named.map(one).collect()
    }

    /// Puts open interest and concentration among the signals of underlyings that are there; where nothing is held both are
    /// nothing, and not unknown.
    pub fn tell(&self, signals: &mut Signals) {
        let held = self.open_interest();
        for row in &self.arrays.underlyings {
            if let Some(underlying) = signals.underlyings.get_mut(row.asset.as_str()) {
                let of = held.get(&row.asset);
                underlying.open_interest = Some(of.map_or(0.0, OpenInterest::larger));
                // A sum of shares may pass one by a rounding.
                underlying.concentration = Some(of.map_or(0.0, |of| of.concentration.min(1.0)));
            }
        }
    }

    /// The leverage tiers of futures and perpetuals for new risk, by underlying; those of which the policy says nothing are left
    /// out.
    pub fn leverage(
        &self,
        policy: &Policy,
        state: &State,
        at: Timestamp,
    ) -> BTreeMap<Asset, Vec<LeverageTier>> {
        let of = |asset: &Asset| Some((asset.clone(), policy.leverage(state.board(), asset.as_str(), at)?));
        self.scenarios.underlyings.iter().filter_map(of).collect()
    }
}
