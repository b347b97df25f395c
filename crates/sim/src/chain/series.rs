//! Margins and losses of many books, instant by instant.
//!
//! **The one idea:** the share of books that a move uncovers is one number an instant; its mean may not lie above 1 %, and its long-run
//! variance (Newey and West 1987) says how far above is chance: books that are hit together count as little as they should.

use super::books::Held;
use super::losses::Lost;
use crate::figures::{CONFIDENCE, Judged, worse};
use plimsoll_quant::stats::{StatsError, mean};
use plimsoll_types::Timestamp;

/// What happened instant by instant, in shares of gross notional.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ChainSeries {
    /// When margins were set.
    pub at: Vec<Timestamp>,
    /// When losses were judged.
    pub until: Vec<Timestamp>,
    /// Mean margin over books.
    pub margin: Vec<f64>,
    /// Mean loss over books.
    pub loss: Vec<f64>,
    /// Largest loss of a book.
    pub loss_most: Vec<f64>,
    /// Share of books whose loss is above their margin.
    pub breached: Vec<f64>,
    /// Mean over books of what a loss is above its margin.
    pub uncovered: Vec<f64>,
    /// The largest of it.
    pub uncovered_most: Vec<f64>,
}

/// Shares of one style, by instant and book, of the instants that are judged.
pub(super) struct Pool<'a> {
    pub(super) places: Vec<usize>,
    pub(super) losts: Vec<&'a Lost>,
    pub(super) at: Vec<Timestamp>,
    pub(super) losses: Vec<Vec<f64>>,
    pub(super) span: usize,
    pub(super) unjudged: usize,
}

pub(super) fn shares(of: &[f64], held: &[Held]) -> Vec<f64> {
    of.iter().zip(held).filter(|(_, held)| held.gross > 0.0).map(|(x, held)| x / held.gross).collect()
}

pub(super) fn average(of: &[f64]) -> f64 {
    mean(of).unwrap_or(0.0)
}

pub(super) fn most(of: &[f64]) -> f64 {
    of.iter().fold(f64::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

impl ChainSeries {
    /// Hours from each margin to its loss.
    pub(super) fn hours(&self) -> Vec<f64> {
        self.at.iter().zip(&self.until).map(|(at, until)| at.seconds_until(*until) / 3600.0).collect()
    }
}

impl Pool<'_> {
    /// Chains a day, rounded: what five days are to procyclicality.
    pub(super) fn per_day(&self) -> usize {
        let (Some(first), Some(last)) = (self.at.first(), self.at.last()) else { return 1 };
        let days = first.seconds_until(*last) / 86_400.0;
        let rate = (self.at.len().saturating_sub(1) as f64 / days.max(1e-9)).round();
        // At most as many as there are.
        if rate >= 1.0 { (rate as usize).min(self.at.len()) } else { 1 }
    }

    /// Instant by instant, with margins in step.
    pub(super) fn series(&self, margins: &[Vec<f64>]) -> ChainSeries {
        let mut series = ChainSeries::default();
        for ((at, lost), (margins, losses)) in
            self.at.iter().zip(&self.losts).zip(margins.iter().zip(&self.losses))
        {
            let lacking: Vec<f64> =
                losses.iter().zip(margins).map(|(loss, margin)| (loss - margin).max(0.0)).collect();
            series.at.push(*at);
            series.until.push(lost.until);
            series.margin.push(average(margins));
            series.loss.push(average(losses));
            series.loss_most.push(most(losses));
            let breaches = lacking.iter().filter(|lack| **lack > 0.0).count();
            series.breached.push(breaches as f64 / lacking.len().max(1) as f64);
            series.uncovered.push(average(&lacking));
            series.uncovered_most.push(most(&lacking));
        }
        series
    }

    /// Mean pinball loss over books, instant by instant.
    pub(super) fn mean_scores(&self, margins: &[Vec<f64>]) -> Result<Vec<f64>, StatsError> {
        let one = |(losses, margins): (&Vec<f64>, &Vec<f64>)| {
            let scores = Judged { margins, losses, span: 1, per_day: 1 }.scores()?;
            mean(&scores)
        };
        self.losses.iter().zip(margins).map(one).collect()
    }

    /// Whether the book with the median number of breaches breached, instant by instant: 1 or 0. Of an even number of books
    /// the higher of the two in the middle.
    pub(super) fn median_book(&self, margins: &[Vec<f64>]) -> Vec<f64> {
        let books = self.losses.iter().map(Vec::len).min().unwrap_or(0);
        let breached = |book: usize| {
            self.losses.iter().zip(margins).map(move |(losses, margins)| {
                let pair = losses.get(book).zip(margins.get(book));
                f64::from(pair.is_some_and(|(loss, margin)| loss > margin))
            })
        };
        let mut counts: Vec<(usize, usize)> =
            (0..books).map(|book| (breached(book).filter(|b| *b > 0.0).count(), book)).collect();
        counts.sort_unstable();
        counts.get(books / 2).map_or(Vec::new(), |(_, book)| breached(*book).collect())
    }
}

/// Probability of a mean share of breaching books this far above 1 % or farther when 1 % is right; 1 without a breach.
pub(super) fn clustered(shares: &[f64], span: usize) -> f64 {
    let expected = vec![1.0 - CONFIDENCE; shares.len()];
    let above = average(shares) > 1.0 - CONFIDENCE;
    // Shares that do not vary have no variance to judge by.
    worse(shares, &expected, span.max(1)).map_or(if above { 0.0 } else { 1.0 }, |(_, p)| p)
}

/// Variance of the share of breaching books over that of as many independent ones: what each breach counts for, inverted.
pub(super) fn design_effect(shares: &[f64], observations: usize) -> Option<f64> {
    let rate = average(shares);
    let squares: Vec<f64> = shares.iter().map(|share| (share - rate) * (share - rate)).collect();
    let independent = rate * (1.0 - rate) * shares.len() as f64 / observations.max(1) as f64;
    (independent > 0.0).then(|| average(&squares) / independent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_that_breach_together_say_less_than_books_that_breach_apart() {
        // Two of a hundred either way: all books at one instant in fifty, or two books of a hundred at every other.
        let together: Vec<f64> = (0..300).map(|i| f64::from(i % 50 == 25)).collect();
        let apart: Vec<f64> = (0..300).map(|i| if i % 2 == 0 { 0.03 } else { 0.01 }).collect();
        assert!((average(&together) - 0.02).abs() < 1e-12 && (average(&apart) - 0.02).abs() < 1e-12);
        assert!(clustered(&together, 4) > 0.05, "{}", clustered(&together, 4));
        assert!(clustered(&apart, 4) < 1e-6);
        let effect = |shares: &[f64]| design_effect(shares, 300 * 100).unwrap_or(0.0);
        assert!((effect(&together) - 100.0).abs() < 1e-9 && effect(&apart) < 1.0, "{}", effect(&apart));
    }

    #[test]
    fn no_breach_speaks_for_a_margin_and_a_breach_of_all_always_against() {
        assert_eq!((clustered(&[0.0; 50], 4), clustered(&[1.0; 50], 4)), (1.0, 0.0));
        assert_eq!(design_effect(&[0.0; 50], 500), None);
    }
}
