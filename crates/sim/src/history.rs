//! Prices as read, made into a history that can be replayed, with everything that was wrong on the way.
//!
//! **The one idea:** nothing is repaired in silence. Every fault has a name, a count and a rule, and the rule either bridges it
//! or refuses the file:
//!
//! | fault | rule |
//! |---|---|
//! | rows without a price (NaN): before the first, or days without trading | left out; the next return spans the gap |
//! | price zero, negative or infinite | the row is left out, and the next return spans the gap; refused above 1 % of rows |
//! | rows out of order | sorted; refused above 1 % of rows |
//! | the same instant twice | left out where the price is the same, refused where it is not |
//! | up to five rows 8 times off or more, between rows that agree to a factor of 2 | misplaced points: left out; refused above 1 % of rows |
//! | a level 10, 100... times the last one, to 25 %, that stays, out of calm and into calm | a change of unit: prices before it are rescaled; refused above three in a file |
//! | a level 8 times off or more out of calm, in the last five rows | refused: it cannot be told what it is |
//! | a row a million times off that does not come back | refused |
//! | instants missing | bridged: one return spans the gap; refused beyond 31 days |
//! | the same price ten times running | kept and counted; refused when it is half of all rows |
//! | a high beneath, or a low above, the other prices | widened to hold them |
//! | fewer than two rows | refused |
//!
//! The rules for units are in `units.rs`: a bar that was traded through is never another unit, nor is a step of a crash.

use crate::units::units;
use plimsoll_policy::Bar;
use plimsoll_types::{Asset, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Rows in disorder, or without a price, beyond this share are too many to bridge.
const BAD_SHARE_MAX: f64 = 0.01;
/// The longest gap that one return may span, seconds.
pub(crate) const GAP_SECONDS_MAX: i64 = 31 * 86_400;
/// Two files of one asset agree on an instant where their ratio is within this factor of what it usually is.
pub(crate) const SHARED_MOST: f64 = 1.25;
/// So many equal prices running are stale.
const STALE_ROWS: usize = 10;

/// A row as read. A close is NaN where the file says that there is none, and 0 where what it says is no number; another price that
/// it does not say is `None`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PriceRow {
    /// When the close was known.
    pub time: Timestamp,
    /// First price.
    pub open: Option<f64>,
    /// Highest price.
    pub high: Option<f64>,
    /// Lowest price.
    pub low: Option<f64>,
    /// Last price.
    pub close: f64,
}

/// What was wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No price: not yet, or not on that day.
    Unpriced,
    /// Zero, negative or infinite.
    BadPrice,
    /// Earlier than the row before it.
    OutOfOrder,
    /// The same instant and price again.
    Duplicate,
    /// A change of unit by a power of ten.
    UnitChange,
    /// Rows in another unit, or with a digit too many, for a moment.
    MisplacedPoint,
    /// Instants missing.
    Gap,
    /// The same price over and over.
    Stale,
    /// High and low that do not hold open and close.
    BadRange,
    /// Another source takes over: [`crate::splice`].
    Splice,
}

/// A fault, how often, and where first.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub fault: Fault,
    /// How often.
    pub count: usize,
    /// Where first.
    pub first: Timestamp,
    /// The worst of them: steps missing, rows running, or a ratio of prices; 1 where there is no degree.
    pub worst: f64,
}

/// A history that can be replayed: at least two rows, instants rising, prices finite and > 0.
#[derive(Clone, PartialEq, Debug)]
pub struct History {
    /// Of what.
    pub asset: Asset,
    /// Seconds between rows, the most frequent.
    pub step_seconds: i64,
    /// When each bar was complete, and the bar.
    pub rows: Vec<(Timestamp, Bar)>,
    /// What was wrong and bridged, in order of fault.
    pub findings: Vec<Finding>,
}

/// Why a history cannot be replayed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// Fewer rows than a return needs.
    #[error("{asset}: {rows} rows with a price: expected at least {needed}")]
    TooShort {
        /// Of what.
        asset: Asset,
        /// How many there are.
        rows: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Too much of it is bad.
    #[error("{asset}: {count} of {rows} rows {what}: more than 1 % is not bridged")]
    TooMany {
        /// Of what.
        asset: Asset,
        /// What they are.
        what: &'static str,
        /// How many.
        count: usize,
        /// Of how many.
        rows: usize,
    },
    /// Two prices at one instant.
    #[error("{asset}: two prices at {time}: {first} and {second}")]
    Conflict {
        /// Of what.
        asset: Asset,
        /// When.
        time: Timestamp,
        /// One.
        first: f64,
        /// The other.
        second: f64,
    },
    /// Files that share no instant and whose prices do not meet.
    #[error(
        "{asset}: the file that begins at {at} does so at {ratio} times the last price before: another unit, or another asset"
    )]
    Seam {
        /// Of what.
        asset: Asset,
        /// First row of the later file.
        at: Timestamp,
        /// Its price over the last before.
        ratio: f64,
    },
    /// Files of one asset that do not say the same of the instants that both have.
    #[error(
        "{asset}: two files have {shared} instants in common, and at {count} of them their prices are more than {SHARED_MOST} times apart, first at {at} ({first} and {second}, else {ratio} times): one of them is wrong, or of another asset"
    )]
    Disagree {
        /// Of what.
        asset: Asset,
        /// How many instants both have.
        shared: usize,
        /// At how many they are apart.
        count: usize,
        /// The first of these.
        at: Timestamp,
        /// What one says there.
        first: f64,
        /// And the other.
        second: f64,
        /// What the second is times the first, usually.
        ratio: f64,
    },
    /// A gap too long for one return.
    #[error("{asset}: nothing from {from} to {to}: a gap beyond 31 days is not bridged")]
    Gap {
        /// Of what.
        asset: Asset,
        /// The last row before it.
        from: Timestamp,
        /// The first after it.
        to: Timestamp,
    },
    /// More changes of unit than a source makes.
    #[error("{asset}: {count} changes of unit: more than {most} are not bridged")]
    Units {
        /// Of what.
        asset: Asset,
        /// How many there are.
        count: usize,
        /// How many are bridged.
        most: usize,
    },
    /// A jump so near the end that it may be a change of unit, a misplaced point or a move.
    #[error(
        "{asset}: at {time} the price is {ratio} times the one before and only {rows} rows follow: it may be a change of unit, a misplaced point or a move; leave it out, or give opens, highs and lows"
    )]
    Undecided {
        /// Of what.
        asset: Asset,
        /// When.
        time: Timestamp,
        /// Over the price before.
        ratio: f64,
        /// How many rows follow.
        rows: usize,
    },
    /// A jump that no price makes.
    #[error("{asset}: at {time} the price is {ratio:e} times the one before: no move, and no change of unit")]
    Beyond {
        /// Of what.
        asset: Asset,
        /// When.
        time: Timestamp,
        /// Over the price before.
        ratio: f64,
    },
    /// Nothing moves.
    #[error(
        "{asset}: {count} of {rows} rows repeat the price before them {STALE_ROWS} times or more: the series is constant"
    )]
    Constant {
        /// Of what.
        asset: Asset,
        /// How many rows repeat.
        count: usize,
        /// Of how many.
        rows: usize,
    },
    /// Sources of one asset with another spacing.
    #[error(
        "{asset}: rows every {first} s and every {second} s: files of one asset must have the same spacing"
    )]
    Spacing {
        /// Of what.
        asset: Asset,
        /// Of the first source, seconds.
        first: i64,
        /// Of the other.
        second: i64,
    },
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Findings(BTreeMap<Fault, Finding>);

impl Findings {
    pub(crate) fn add(&mut self, fault: Fault, at: Timestamp, degree: f64) {
        let new = Finding { fault, count: 0, first: at, worst: degree };
        let entry = self.0.entry(fault).or_insert(new);
        entry.count += 1;
        entry.worst = if degree > entry.worst { degree } else { entry.worst };
    }

    fn count(&self, fault: Fault) -> usize {
        self.0.get(&fault).map_or(0, |finding| finding.count)
    }

    pub(crate) fn into_list(self) -> Vec<Finding> {
        self.0.into_values().collect()
    }

    pub(crate) fn merge(&mut self, list: &[Finding]) {
        for finding in list {
            let entry = self.0.entry(finding.fault).or_insert(Finding { count: 0, ..finding.clone() });
            entry.count += finding.count;
            entry.first = entry.first.min(finding.first);
            entry.worst = entry.worst.max(finding.worst);
        }
    }
}

impl History {
    /// How often a fault was found.
    pub fn count(&self, fault: Fault) -> usize {
        self.findings.iter().find(|finding| finding.fault == fault).map_or(0, |finding| finding.count)
    }

    /// Rows as read that were left out, each for one reason.
    pub fn dropped(&self) -> usize {
        let faults = [Fault::Unpriced, Fault::BadPrice, Fault::Duplicate, Fault::MisplacedPoint];
        faults.into_iter().map(|fault| self.count(fault)).sum()
    }

    /// The same history where rows were labelled by the opening of their bar: each is known a step later, when it closes.
    #[must_use]
    pub fn labelled_by_opening(mut self) -> Self {
        for (time, _) in &mut self.rows {
            *time = time.plus_seconds(self.step_seconds);
        }
        self
    }
}

/// Makes a history of rows by the rules of this module. Times are taken as given: [`History::labelled_by_opening`].
///
/// # Errors
/// [`HistoryError`] where a rule refuses; it carries the offending number.
pub fn clean(asset: Asset, mut rows: Vec<PriceRow>) -> Result<History, HistoryError> {
    let mut findings = Findings::default();
    let total = rows.len();
    sort(&mut rows, &mut findings);
    priced(&mut rows, &mut findings);
    distinct(&asset, &mut rows, &mut findings)?;
    units(&asset, &mut rows, &mut findings)?;
    for (fault, what) in [
        (Fault::OutOfOrder, "are out of order"),
        (Fault::BadPrice, "have no price above zero"),
        (Fault::MisplacedPoint, "are far from those around them"),
    ] {
        let count = findings.count(fault);
        if count as f64 > BAD_SHARE_MAX * total as f64 && count > 1 {
            return Err(HistoryError::TooMany { asset, what, count, rows: total });
        }
    }
    if rows.len() < 2 {
        return Err(HistoryError::TooShort { asset, rows: rows.len(), needed: 2 });
    }
    let step_seconds = spacing(rows.iter().map(|row| row.time));
    gaps(&asset, &rows, step_seconds, &mut findings)?;
    stale(&asset, &rows, &mut findings)?;
    let rows = rows.iter().map(|row| (row.time, bar(row, &mut findings))).collect();
    Ok(History { asset, step_seconds, rows, findings: findings.into_list() })
}

fn sort(rows: &mut [PriceRow], findings: &mut Findings) {
    let mut latest = None;
    for row in rows.iter() {
        match latest {
            Some(last) if row.time < last => findings.add(Fault::OutOfOrder, row.time, 1.0),
            _ => latest = Some(row.time),
        }
    }
    rows.sort_by_key(|row| row.time);
}

pub(crate) fn is_price(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// Leaves out the rows without a price.
fn priced(rows: &mut Vec<PriceRow>, findings: &mut Findings) {
    rows.retain(|row| {
        let sound = is_price(row.close);
        if !sound {
            findings.add(if row.close.is_nan() { Fault::Unpriced } else { Fault::BadPrice }, row.time, 1.0);
        }
        sound
    });
}

/// Leaves out the rows that say an instant again.
fn distinct(asset: &Asset, rows: &mut Vec<PriceRow>, findings: &mut Findings) -> Result<(), HistoryError> {
    let twice = rows.windows(2).find(|pair| pair[0].time == pair[1].time && pair[0].close != pair[1].close);
    if let Some([one, other]) = twice {
        let (first, second) = (one.close, other.close);
        return Err(HistoryError::Conflict { asset: asset.clone(), time: one.time, first, second });
    }
    let mut last = None;
    rows.retain(|row| {
        let again = last.replace(row.time) == Some(row.time);
        if again {
            findings.add(Fault::Duplicate, row.time, 1.0);
        }
        !again
    });
    Ok(())
}

/// The most frequent spacing of rising instants, seconds; the least of several.
pub(crate) fn spacing(times: impl Iterator<Item = Timestamp>) -> i64 {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    let mut last: Option<i64> = None;
    for time in times {
        if let Some(before) = last.replace(time.seconds()) {
            *counts.entry(time.seconds() - before).or_default() += 1;
        }
    }
    let most = counts.values().max().copied().unwrap_or(0);
    counts.iter().find(|(_, count)| **count == most).map_or(1, |(step, _)| (*step).max(1))
}

fn gaps(asset: &Asset, rows: &[PriceRow], step: i64, findings: &mut Findings) -> Result<(), HistoryError> {
    for pair in rows.windows(2) {
        let (from, to) = (pair[0].time, pair[1].time);
        let seconds = to.seconds() - from.seconds();
        if seconds > GAP_SECONDS_MAX {
            return Err(HistoryError::Gap { asset: asset.clone(), from, to });
        }
        if 2 * seconds > 3 * step {
            findings.add(Fault::Gap, from, seconds as f64 / step as f64 - 1.0);
        }
    }
    Ok(())
}

fn stale(asset: &Asset, rows: &[PriceRow], findings: &mut Findings) -> Result<(), HistoryError> {
    let mut count = 0;
    let runs = rows.chunk_by(|a, b| a.close == b.close).filter(|run| run.len() >= STALE_ROWS);
    for run in runs {
        findings.add(Fault::Stale, run[0].time, run.len() as f64);
        count += run.len();
    }
    let all_equal = rows.windows(2).all(|pair| pair[0].close == pair[1].close);
    if 2 * count >= rows.len() || all_equal {
        return Err(HistoryError::Constant { asset: asset.clone(), count, rows: rows.len() });
    }
    Ok(())
}

/// The bar of a row; what the file does not say is the close.
fn bar(row: &PriceRow, findings: &mut Findings) -> Bar {
    let said = |price: Option<f64>| price.filter(|x| is_price(*x));
    let open = said(row.open).unwrap_or(row.close);
    let (least, most) = (open.min(row.close), open.max(row.close));
    let (high, low) = (said(row.high).unwrap_or(most), said(row.low).unwrap_or(least));
    let unsound = [row.open, row.high, row.low].into_iter().flatten().any(|x| !is_price(x));
    if unsound || high < most || low > least {
        findings.add(Fault::BadRange, row.time, 1.0);
    }
    Bar { open, high: high.max(most), low: low.min(least), close: row.close }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    fn row(day: i64, close: f64) -> PriceRow {
        let time = Timestamp::from_seconds(1_600_000_000 + day * 86_400);
        PriceRow { time, open: None, high: None, low: None, close }
    }

    fn prices(count: i64) -> Vec<PriceRow> {
        (0..count).map(|day| row(day, 100.0 + ((day * 7) % 11) as f64)).collect()
    }

    fn made(rows: Vec<PriceRow>) -> Result<History, HistoryError> {
        clean(Asset::new("BTC").unwrap(), rows)
    }

    fn faults(history: &History) -> Vec<(Fault, usize)> {
        history.findings.iter().map(|f| (f.fault, f.count)).collect()
    }

    #[test]
    fn a_sound_series_is_taken_as_it_is() {
        let history = made(prices(300)).unwrap();
        assert_eq!((history.rows.len(), history.step_seconds), (300, 86_400));
        assert!(history.findings.is_empty());
    }

    #[test]
    fn what_can_be_bridged_is_bridged_and_counted() {
        let mut rows = prices(1000);
        rows[10].close = f64::NAN;
        rows[20].close = 0.0;
        rows[30].close = -1.0;
        rows.swap(100, 101);
        let again = rows[200];
        rows.insert(201, again);
        rows.drain(500..503);
        let history = made(rows).unwrap();
        let expected = [
            (Fault::Unpriced, 1),
            (Fault::BadPrice, 2),
            (Fault::OutOfOrder, 1),
            (Fault::Duplicate, 1),
            (Fault::Gap, 4),
        ];
        assert_eq!(faults(&history), expected);
        assert_eq!(history.findings[4].worst, 3.0);
        assert!(history.rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn days_without_a_price_are_no_fault_of_the_series() {
        let mut rows = prices(100);
        for row in &mut rows[..60] {
            row.close = f64::NAN;
        }
        let history = made(rows).unwrap();
        assert_eq!((faults(&history), history.rows.len()), (vec![(Fault::Unpriced, 60)], 40));
        let mut holidays = prices(1000);
        holidays.iter_mut().skip(10).step_by(30).for_each(|row| row.close = f64::NAN);
        let history = made(holidays).unwrap();
        assert_eq!(faults(&history), [(Fault::Unpriced, 33), (Fault::Gap, 33)]);
    }

    #[test]
    fn what_cannot_be_bridged_is_refused_with_its_number() {
        let mut rows = prices(100);
        rows[50].time = rows[49].time;
        assert!(matches!(made(rows), Err(HistoryError::Conflict { .. })));
        let mut bad = prices(100);
        for row in bad.iter_mut().skip(19).step_by(20) {
            row.close = 0.0;
        }
        assert!(matches!(made(bad), Err(HistoryError::TooMany { count: 5, rows: 100, .. })));
        let constant: Vec<PriceRow> = (0..100).map(|day| row(day, 5.0)).collect();
        assert!(matches!(made(constant), Err(HistoryError::Constant { count: 100, .. })));
        let mut holed = prices(100);
        holed.drain(20..60);
        assert!(matches!(made(holed), Err(HistoryError::Gap { .. })));
        assert!(matches!(made(prices(1)), Err(HistoryError::TooShort { rows: 1, .. })));
        assert!(matches!(made(Vec::new()), Err(HistoryError::TooShort { rows: 0, .. })));
    }

    #[test]
    fn a_bar_that_is_labelled_by_its_opening_is_known_a_step_later() {
        let mut rows = prices(300);
        rows.drain(100..103);
        let history = made(rows.clone()).unwrap();
        let later = history.clone().labelled_by_opening();
        for (row, (time, bar)) in history.rows.iter().zip(&later.rows) {
            assert_eq!((row.0.plus_seconds(86_400), row.1), (*time, *bar));
        }
        assert_eq!((later.count(Fault::Gap), later.dropped()), (1, 0));
    }

    #[test]
    fn a_range_that_does_not_hold_its_prices_is_widened() {
        let mut rows = prices(50);
        (rows[5].open, rows[5].high, rows[5].low) = (Some(90.0), Some(80.0), Some(200.0));
        let history = made(rows).unwrap();
        let bar = history.rows[5].1;
        assert!(bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close));
        assert_eq!(faults(&history), [(Fault::BadRange, 1)]);
    }
}
