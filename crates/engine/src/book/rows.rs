//! Rows of positions in 24 bytes each, brought into the order of accounts and summed where they repeat an instrument.
//!
//! **The one idea:** accounts are small whole numbers, so that rows are counted into place rather than compared; rows that
//! come by account, as most files have them, stay where they are, and only accounts that name an instrument twice are
//! ordered by instrument.

use super::amount::LOTS_MAX;

/// Rows before equal ones are summed for the first time.
pub(super) const ROWS_BEFORE_MERGE: usize = 1 << 16;

/// Rows that are put in order by one thread.
const ORDER_AT_ONCE: usize = 1 << 16;

/// In the word of the instrument: the row came with an entry price.
const ENTERED: u32 = 1 << 31;
/// In the word of the instrument: the row is the sum of several, see [`Repeated`].
const REPEATED: u32 = 1 << 30;
/// Instruments a book can tell apart.
pub(super) const INSTRUMENTS_MAX: u32 = REPEATED;

/// A row, or the sum of the rows of one account and instrument.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Row {
    pub(super) account: u32,
    /// The number of the instrument and two flags.
    word: u32,
    lots: i64,
    /// Sum of lots x entry price, or of lots / entry price for contracts sized in quote units.
    entry_sum: f64,
}

impl Row {
    pub(super) fn new(account: u32, instrument: u32, lots: i64, entry_sum: Option<f64>) -> Self {
        let flag = if entry_sum.is_some() { ENTERED } else { 0 };
        Self { account, word: instrument | flag, lots, entry_sum: entry_sum.unwrap_or(0.0) }
    }

    pub(crate) fn instrument(&self) -> u32 {
        self.word & (INSTRUMENTS_MAX - 1)
    }

    fn key(&self) -> (u32, u32) {
        (self.account, self.instrument())
    }

    /// The same row of an account and instrument of other numbers.
    pub(super) fn renumbered(self, account: u32, instrument: u32) -> Self {
        Self { account, word: instrument | self.word & (ENTERED | REPEATED), ..self }
    }
}

/// What a sum of several rows has that a row has not.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Repeated {
    pub(super) account: u32,
    pub(super) instrument: u32,
    pub(super) rows: u32,
    /// Lots of those rows that came with an entry price.
    entered: i64,
}

/// A position as read. `entered` of its lots came with an entry price; `entry_sum` is the sum of lots x entry price,
/// or of lots / entry price for contracts sized in quote units.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct RawPosition {
    pub instrument: u32,
    pub lots: i64,
    pub entered: i64,
    pub entry_sum: f64,
}

/// A sum of rows beyond 2^53 lots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLarge;

/// Rows of one account and instrument, added up in the order of the file.
struct Sum {
    row: Row,
    rows: u32,
    entered: i64,
}

impl Sum {
    /// A sum that begins with a row, which may be a sum itself.
    fn begin(row: Row, known: Option<&Repeated>) -> Self {
        match known {
            Some(known) => Self { row, rows: known.rows, entered: known.entered },
            None => Self { row, rows: 1, entered: if row.word & ENTERED == 0 { 0 } else { row.lots } },
        }
    }

    fn add(&mut self, row: &Row) -> Result<(), TooLarge> {
        // Each addend is at most 2^53, so neither sum leaves 64 bits before it is checked.
        self.row.lots += row.lots;
        self.entered += if row.word & ENTERED == 0 { 0 } else { row.lots };
        self.row.entry_sum += row.entry_sum;
        self.row.word |= REPEATED;
        self.rows = self.rows.saturating_add(1);
        let large = self.row.lots.unsigned_abs() > LOTS_MAX || self.entered.unsigned_abs() > LOTS_MAX;
        if large { Err(TooLarge) } else { Ok(()) }
    }

    fn repeated(&self) -> Option<Repeated> {
        let (account, instrument) = self.row.key();
        (self.rows > 1).then_some(Repeated { account, instrument, rows: self.rows, entered: self.entered })
    }
}

/// The rows of a book.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    all: Vec<Row>,
    /// Of the sums among `all`, in their order.
    repeated: Vec<Repeated>,
    /// As many rows were last in order and summed.
    merged: usize,
    /// With as many rows the next sum is due.
    due: usize,
}

impl Rows {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    #[cfg(test)]
    pub(super) fn push(&mut self, row: Row) {
        self.all.push(row);
    }

    pub(super) fn extend(&mut self, rows: impl Iterator<Item = Row>) {
        self.all.extend(rows);
    }

    pub(super) fn repeated(&self) -> &[Repeated] {
        &self.repeated
    }

    /// Sums when the rows have outgrown the pairs: where there was little to sum, the next time comes later, so that
    /// memory stays in proportion to the pairs and work to the rows.
    pub(super) fn merge_when_due(&mut self, accounts: usize) -> Result<(), TooLarge> {
        if self.all.len() < self.due.max(ROWS_BEFORE_MERGE) {
            return Ok(());
        }
        let before = self.all.len();
        self.merge(accounts)?;
        let little = self.merged > before - before / 4;
        self.due = self.merged * if little { 4 } else { 2 };
        Ok(())
    }

    /// Brings the rows of so many accounts into order and sums those of one account and instrument.
    pub(super) fn merge(&mut self, accounts: usize) -> Result<(), TooLarge> {
        if self.merged == self.all.len() {
            return Ok(());
        }
        // Every step keeps the order of the file among equals, so that float sums of entry prices are the same every
        // time.
        if !self.all.is_sorted_by_key(|row| row.account) {
            self.all = counted(&self.all, accounts);
        }
        if order_repeated(&mut self.all) {
            self.sum()?;
        }
        self.merged = self.all.len();
        Ok(())
    }

    /// Sums rows of one key, which are side by side, in place.
    fn sum(&mut self) -> Result<(), TooLarge> {
        let known = std::mem::take(&mut self.repeated);
        let mut known = known.iter();
        let (mut at, mut kept) = (0, 0);
        while let Some(first) = self.all.get(at).copied() {
            // A sum comes before the rows that were read after it, and sums are in the order of `repeated`: an account
            // that has one was put in order.
            let mut sum = Sum::begin(first, if first.word & REPEATED == 0 { None } else { known.next() });
            at += 1;
            while let Some(row) = self.all.get(at).filter(|row| row.key() == first.key()) {
                sum.add(row)?;
                at += 1;
            }
            self.repeated.extend(sum.repeated());
            self.all[kept] = sum.row;
            kept += 1;
        }
        self.all.truncate(kept);
        Ok(())
    }

    /// The rows in order, by account.
    pub(super) fn finish(mut self, accounts: usize) -> Result<Ordered, TooLarge> {
        self.merge(accounts)?;
        let starts = starts(self.all.iter().map(|row| row.account), accounts);
        Ok(Ordered { rows: self.all, starts, repeated: self.repeated })
    }
}

/// Rows summed, by account.
pub(super) struct Ordered {
    pub(super) rows: Vec<Row>,
    /// Where those of each account begin, with the end behind the last.
    pub(super) starts: Vec<usize>,
    /// What sums have besides.
    pub(super) repeated: Vec<Repeated>,
}

/// Where what belongs to each account begins once it is in order of account, and where the last ends.
pub(super) fn starts(owners: impl Iterator<Item = u32>, accounts: usize) -> Vec<usize> {
    let mut starts = vec![0; accounts + 1];
    for account in owners {
        starts[account as usize + 1] += 1;
    }
    let mut end = 0;
    for start in &mut starts {
        end += *start;
        *start = end;
    }
    starts
}

/// The rows by account, in their order within each: counted into place.
fn counted(rows: &[Row], accounts: usize) -> Vec<Row> {
    let mut next = starts(rows.iter().map(|row| row.account), accounts);
    let mut placed = vec![Row::new(0, 0, 0, None); rows.len()];
    for row in rows {
        let slot = &mut next[row.account as usize];
        placed[*slot] = *row;
        *slot += 1;
    }
    placed
}

/// Orders the rows of each account that names an instrument twice by instrument, keeping the order of those on the same
/// one, and says whether there are such. `rows` are by account.
fn order_repeated(rows: &mut [Row]) -> bool {
    let middle = rows.len() / 2;
    let cut = if rows.len() > ORDER_AT_ONCE { boundary(rows, middle) } else { None };
    if let Some(cut) = cut {
        let (before, after) = rows.split_at_mut(cut);
        let (first, second) = rayon::join(|| order_repeated(before), || order_repeated(after));
        return first || second;
    }
    let (mut met, mut any) = (Met::default(), false);
    for run in rows.chunk_by_mut(|a, b| a.account == b.account) {
        if met.twice(run) {
            run.sort_by_key(Row::instrument);
            any = true;
        }
    }
    any
}

/// Instruments that were met among the rows of an account.
#[derive(Default)]
struct Met {
    /// By instrument number: the ordinal of the account that had it last; accounts count from 1.
    last: Vec<u32>,
    ordinal: u32,
}

impl Met {
    /// Whether the rows of one more account, at most 2^32 - 1 of them, name an instrument twice.
    fn twice(&mut self, run: &[Row]) -> bool {
        self.ordinal += 1;
        let mut twice = false;
        for row in run {
            let instrument = row.instrument() as usize;
            if self.last.len() <= instrument {
                self.last.resize(instrument + 1, 0);
            }
            twice |= self.last[instrument] == self.ordinal;
            self.last[instrument] = self.ordinal;
        }
        twice
    }
}

/// The first place from `at` on where another account begins.
fn boundary(rows: &[Row], at: usize) -> Option<usize> {
    let account = rows.get(at.checked_sub(1)?)?.account;
    let cut = at + rows.get(at..)?.partition_point(|row| row.account == account);
    (cut < rows.len()).then_some(cut)
}

/// The positions among the rows of one account.
pub(crate) fn positions<'a>(
    rows: &'a [Row],
    repeated: &'a [Repeated],
) -> impl Iterator<Item = RawPosition> + 'a {
    rows.iter().map(move |row| {
        let known = if row.word & REPEATED == 0 {
            None
        } else {
            let found = repeated.binary_search_by_key(&row.key(), |sum| (sum.account, sum.instrument));
            found.ok().and_then(|at| repeated.get(at))
        };
        let Sum { row, entered, .. } = Sum::begin(*row, known);
        RawPosition { instrument: row.instrument(), lots: row.lots, entered, entry_sum: row.entry_sum }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Given = (u32, u32, i64, Option<f64>);
    type Summed = BTreeMap<(u32, u32), (u32, i64, i64, u64)>;

    /// The reference: a map, filled row by row.
    fn naive(given: &[Given]) -> Summed {
        let mut sums: BTreeMap<(u32, u32), (u32, i64, i64, f64)> = BTreeMap::new();
        for (account, instrument, lots, entry) in given {
            let sum = sums.entry((*account, *instrument)).or_insert((0, 0, 0, 0.0));
            sum.0 += 1;
            sum.1 += lots;
            sum.2 += if entry.is_some() { *lots } else { 0 };
            sum.3 = if sum.0 == 1 { entry.unwrap_or(0.0) } else { sum.3 + entry.unwrap_or(0.0) };
        }
        sums.into_iter()
            .map(|(key, (rows, lots, entered, sum))| (key, (rows, lots, entered, sum.to_bits())))
            .collect()
    }

    fn summed(rows: Rows, accounts: usize) -> Summed {
        let Ordered { rows, starts, repeated } = rows.finish(accounts).unwrap();
        let counts: BTreeMap<_, _> = repeated.iter().map(|r| ((r.account, r.instrument), r.rows)).collect();
        let mut all = Summed::new();
        for account in 0..accounts {
            for p in positions(&rows[starts[account]..starts[account + 1]], &repeated) {
                let key = (account as u32, p.instrument);
                let count = counts.get(&key).copied().unwrap_or(1);
                let before = all.insert(key, (count, p.lots, p.entered, p.entry_sum.to_bits()));
                assert!(before.is_none(), "once each");
            }
        }
        all
    }

    fn given(accounts: u32) -> impl Strategy<Value = Vec<Given>> {
        let entry = prop_oneof![Just(None), (-1e6..1e6).prop_map(Some)];
        prop::collection::vec((0..accounts, 0_u32..6, -5_i64..5, entry), 0..200)
    }

    proptest! {
        #[test]
        fn rows_are_summed_as_by_a_map_whenever_they_are_merged(rows in given(12), ordered in any::<bool>(), every in 1_usize..40) {
            let mut rows = rows;
            if ordered {
                rows.sort_by_key(|row| row.0);
            }
            let mut all = Rows::default();
            for (i, (account, instrument, lots, entry)) in rows.iter().enumerate() {
                all.push(Row::new(*account, *instrument, *lots, *entry));
                if i % every == 0 {
                    all.merge(12).unwrap();
                }
            }
            prop_assert_eq!(summed(all, 12), naive(&rows));
        }
    }

    #[test]
    fn many_rows_in_any_order_are_summed_as_by_a_map() {
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let rows: Vec<Given> = (0..300_000)
            .map(|_| {
                (
                    draw(500) as u32,
                    draw(1000) as u32,
                    draw(9).cast_signed() - 4,
                    (draw(3) == 0).then_some(0.1),
                )
            })
            .collect();
        let mut all = Rows::default();
        for (account, instrument, lots, entry) in &rows {
            all.push(Row::new(*account, *instrument, *lots, *entry));
            all.merge_when_due(500).unwrap();
        }
        assert_eq!(summed(all, 500), naive(&rows));
    }
}
