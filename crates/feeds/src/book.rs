//! An order book, kept level by level.

use plimsoll_types::{Decimal, nearest_f64};
use std::collections::BTreeMap;

/// The most levels of a side that are kept; the farthest go first.
const LEVELS_MAX: usize = 10_000;

/// One side of a book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Who buys.
    Bid,
    /// Who sells.
    Ask,
}

/// What amounts are counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amounts {
    /// Base units: linear contracts, spot.
    Base,
    /// Quote units: inverse futures and perpetuals.
    Quote,
}

/// A book. Prices are exact; amounts are floats, of which only sums are made.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Book {
    bids: BTreeMap<Decimal, (f64, f64)>,
    asks: BTreeMap<Decimal, (f64, f64)>,
}

/// What a book shows within a band.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shown {
    /// The lesser of both sides, quote units; 0 for a book that is empty on a side, or crossed.
    pub depth: f64,
    /// Spread as a share of the middle; 1 where nobody quotes.
    pub spread: f64,
}

/// Of a book that shows nothing to rely on.
const NOTHING: Shown = Shown { depth: 0.0, spread: 1.0 };

impl Book {
    /// Sets the amount at a price; none removes it.
    pub fn set(&mut self, side: Side, price: Decimal, amount: Decimal) {
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if amount <= Decimal::ZERO || price <= Decimal::ZERO {
            levels.remove(&price);
            return;
        }
        levels.insert(price, (nearest_f64(price), nearest_f64(amount)));
        if levels.len() > LEVELS_MAX {
            match side {
                Side::Bid => levels.pop_first(),
                Side::Ask => levels.pop_last(),
            };
        }
    }

    /// The best bid and ask; `None` where a side is empty.
    pub fn best(&self) -> (Option<Decimal>, Option<Decimal>) {
        (self.bids.last_key_value().map(|(p, _)| *p), self.asks.first_key_value().map(|(p, _)| *p))
    }

    /// Levels of both sides.
    pub fn levels(&self) -> usize {
        self.bids.len() + self.asks.len()
    }

    /// What is within `band`, a share of the middle, of the middle. A locked or crossed book shows nothing (F34).
    ///
    /// ```
    /// use plimsoll_feeds::{Amounts, Book, Side};
    /// let mut book = Book::default();
    /// assert_eq!(book.shown(0.01, Amounts::Base).depth, 0.0);
    /// book.set(Side::Bid, "99.5".parse()?, 2.into());
    /// book.set(Side::Ask, "100.5".parse()?, 1.into());
    /// assert_eq!(book.shown(0.01, Amounts::Base).depth, 100.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shown(&self, band: f64, amounts: Amounts) -> Shown {
        let bid = self.bids.last_key_value().map(|(_, level)| level.0);
        let ask = self.asks.first_key_value().map(|(_, level)| level.0);
        let Some((bid, ask)) = bid.zip(ask).filter(|(bid, ask)| bid < ask) else { return NOTHING };
        let middle = 0.5 * (bid + ask);
        let value = |(price, amount): &(f64, f64)| match amounts {
            Amounts::Base => price * amount,
            Amounts::Quote => *amount,
        };
        let (low, high) = (middle * (1.0 - band), middle * (1.0 + band));
        let bids: f64 = self.bids.values().rev().take_while(|level| level.0 >= low).map(value).sum();
        let asks: f64 = self.asks.values().take_while(|level| level.0 <= high).map(value).sum();
        let depth = if bids < asks { bids } else { asks };
        Shown { depth, spread: (ask - bid) / middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(bids: &[(&str, i64)], asks: &[(&str, i64)]) -> Book {
        let mut book = Book::default();
        for (side, levels) in [(Side::Bid, bids), (Side::Ask, asks)] {
            for (price, amount) in levels {
                book.set(side, price.parse().unwrap(), Decimal::from(*amount));
            }
        }
        book
    }

    #[test]
    fn f34_a_crossed_locked_or_empty_book_has_no_depth() {
        for book in [
            book(&[("101", 5)], &[("100", 5)]),
            book(&[("100", 5)], &[("100", 5)]),
            book(&[("100", 5)], &[]),
            book(&[], &[("100", 5)]),
            Book::default(),
        ] {
            assert_eq!(book.shown(0.5, Amounts::Base), NOTHING);
        }
    }

    #[test]
    fn depth_is_the_lesser_side_within_the_band_in_quote_units() {
        let book = book(&[("99", 1), ("98", 10)], &[("101", 3), ("103", 10)]);
        assert_eq!(book.shown(0.01, Amounts::Base), Shown { depth: 99.0, spread: 0.02 });
        assert_eq!(book.shown(0.03, Amounts::Base).depth, 99.0 + 980.0);
        assert_eq!(book.shown(0.03, Amounts::Quote).depth, 11.0);
    }

    #[test]
    fn more_in_the_book_never_shows_less_where_the_middle_stays() {
        let mut book = book(&[("99", 1), ("98", 10)], &[("101", 3), ("102", 10)]);
        let mut before = book.shown(0.02, Amounts::Base).depth;
        for (side, price) in
            [(Side::Bid, "98.5"), (Side::Ask, "101.5"), (Side::Bid, "98"), (Side::Ask, "102")]
        {
            book.set(side, price.parse().unwrap(), Decimal::from(50));
            let after = book.shown(0.02, Amounts::Base).depth;
            assert!(after >= before);
            before = after;
        }
    }

    #[test]
    fn levels_are_bounded_and_the_farthest_go_first() {
        let mut book = Book::default();
        for price in 1..=LEVELS_MAX + 5 {
            book.set(Side::Bid, Decimal::from(price), Decimal::ONE);
        }
        assert_eq!(book.levels(), LEVELS_MAX);
        assert_eq!(book.best().0, Some(Decimal::from(LEVELS_MAX + 5)));
    }
}
