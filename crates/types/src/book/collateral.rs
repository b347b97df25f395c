//! Collateral in sixteen bytes a holding; what does not fit lives apart.

use super::spans::{CELLS_MAX, Span, Spans, heap, reserve};
use crate::{Asset, Holding, InstrumentIx};
use std::collections::BTreeMap;

/// A holding of collateral whose amount fits 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deposit {
    /// Billionths of a unit; negative is borrowed.
    pub amount_nano: i64,
    earmark: u32,
    /// Which of [`Book::assets`](super::Book::assets).
    pub asset: u16,
    earmarked: bool,
}

impl Deposit {
    /// The position it is set aside for, in isolated mode.
    pub fn earmark(&self) -> Option<InstrumentIx> {
        self.earmarked.then_some(InstrumentIx(self.earmark))
    }
}

/// The collateral of one account, as stored.
#[derive(Clone, Copy, Debug)]
pub enum Deposits<'a> {
    /// Compact.
    Narrow(&'a [Deposit]),
    /// At full width: some amount does not fit 64 bits.
    Wide(&'a [Holding]),
}

/// The collateral of all accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collateral {
    assets: Vec<Asset>,
    /// Places in `assets`, by name.
    by_name: Vec<u16>,
    spans: Spans,
    cells: Vec<Deposit>,
    apart: BTreeMap<u32, Vec<Holding>>,
}

impl Collateral {
    pub(crate) fn with_capacity(accounts: usize) -> Self {
        Self { spans: Spans::with_capacity(accounts), cells: Vec::with_capacity(accounts), ..Self::default() }
    }

    pub(crate) fn assets(&self) -> &[Asset] {
        &self.assets
    }

    pub(crate) fn get(&self, account: usize) -> Option<Deposits<'_>> {
        let span = self.spans.get(account)?;
        if span.is_apart() {
            return Some(Deposits::Wide(self.apart.get(&u32::try_from(account).ok()?)?));
        }
        self.cells.get(span.range()).map(Deposits::Narrow)
    }

    /// The holdings of an account, copied out.
    pub(crate) fn holdings(&self, account: usize) -> Vec<Holding> {
        match self.get(account) {
            Some(Deposits::Narrow(cells)) => cells.iter().filter_map(|cell| self.widened(cell)).collect(),
            Some(Deposits::Wide(holdings)) => holdings.to_vec(),
            None => Vec::new(),
        }
    }

    fn widened(&self, cell: &Deposit) -> Option<Holding> {
        let asset = self.assets.get(usize::from(cell.asset))?.clone();
        Some(Holding { asset, amount_nano: i128::from(cell.amount_nano), earmark: cell.earmark() })
    }

    fn asset(&mut self, asset: &Asset) -> Option<u16> {
        let named = |place: &u16| self.assets.get(usize::from(*place)).cmp(&Some(asset));
        match self.by_name.binary_search_by(named) {
            Ok(at) => self.by_name.get(at).copied(),
            Err(at) => {
                let place = u16::try_from(self.assets.len()).ok()?;
                self.assets.push(asset.clone());
                self.by_name.insert(at, place);
                Some(place)
            }
        }
    }

    fn narrowed(&mut self, holding: &Holding) -> Option<Deposit> {
        let amount_nano = i64::try_from(holding.amount_nano).ok()?;
        let asset = self.asset(&holding.asset)?;
        let earmark = holding.earmark.map_or(0, |ix| ix.0);
        Some(Deposit { amount_nano, asset, earmark, earmarked: holding.earmark.is_some() })
    }

    /// One more account. `false` when the arena is full.
    pub(crate) fn push(&mut self, holdings: Vec<Holding>) -> bool {
        let start = self.cells.len();
        reserve(&mut self.cells, holdings.len());
        for holding in &holdings {
            if let Some(cell) = self.narrowed(holding) {
                self.cells.push(cell);
            }
        }
        if self.cells.len() - start == holdings.len() {
            if self.spans.push(holdings.len()).is_some() {
                return true;
            }
            self.cells.truncate(start);
            return false;
        }
        self.cells.truncate(start);
        let Ok(account) = u32::try_from(self.spans.len()) else {
            return false;
        };
        self.spans.push_apart();
        self.apart.insert(account, holdings);
        true
    }

    /// Whether another book's collateral fits beside this.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.spans.end() + other.spans.end() <= CELLS_MAX
            && self.assets.len() + other.assets.len() < usize::from(u16::MAX)
    }

    /// Adds the accounts of another book, whose collateral fits.
    pub(crate) fn append(&mut self, other: Self) {
        let before = self.spans.len() as u32;
        let assets: Vec<u16> = other.assets.iter().map_while(|asset| self.asset(asset)).collect();
        let placed = |cell: &Deposit| {
            let asset = assets.get(usize::from(cell.asset)).copied().unwrap_or(cell.asset);
            Deposit { asset, ..*cell }
        };
        reserve(&mut self.cells, other.cells.len());
        self.cells.extend(other.cells.iter().map(placed));
        self.spans.append(other.spans);
        self.apart.extend(other.apart.into_iter().map(|(account, all)| (before + account, all)));
    }

    /// Replaces the holdings of an account. `false` when the arena is full, and then nothing has changed.
    pub(crate) fn set(&mut self, account: usize, holdings: Vec<Holding>) -> bool {
        let Ok(key) = u32::try_from(account) else {
            return false;
        };
        let cells: Option<Vec<Deposit>> = holdings.iter().map(|holding| self.narrowed(holding)).collect();
        let Some(cells) = cells else {
            self.spans.part(account);
            self.apart.insert(key, holdings);
            return true;
        };
        let Some(span) = self.spans.replace(account, cells.len()) else {
            return false;
        };
        self.extend();
        self.write(span, &cells);
        self.apart.remove(&key);
        true
    }

    fn extend(&mut self) {
        let more = self.spans.end().saturating_sub(self.cells.len());
        reserve(&mut self.cells, more);
        self.cells.resize(self.spans.end().max(self.cells.len()), Deposit::default());
    }

    fn write(&mut self, span: Span, cells: &[Deposit]) {
        if let Some(target) = self.cells.get_mut(span.range()) {
            target.copy_from_slice(cells);
        }
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.spans.shrink_to_fit();
        self.cells.shrink_to_fit();
    }

    pub(crate) fn bytes(&self) -> usize {
        let apart = self
            .apart
            .values()
            .map(|all| heap(all) + all.iter().map(|h| h.asset.as_str().len()).sum::<usize>());
        let assets = self.assets.iter().map(|asset| asset.as_str().len()).sum::<usize>();
        let node = super::node_bytes::<Vec<Holding>>();
        let table = heap(&self.assets) + heap(&self.by_name) + assets;
        table + self.spans.bytes() + heap(&self.cells) + self.apart.len() * node + apart.sum::<usize>()
    }
}
