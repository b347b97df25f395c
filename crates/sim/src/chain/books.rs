//! Books sampled from open interest, kept over time.
//!
//! **The one idea:** a book is a function of the seed and of the chains so far. All units of all books are drawn at the first chain of
//! every calendar month; in between a unit is drawn anew at the first chain at which one of its options has ended or can no
//! longer be valued, and the others stay. Coins that cover, and the perpetual that hedges, are set at every chain.

use super::moment::Listing;
use super::style::{Leg, Style};
use plimsoll_quant::sobol::Rng64;
use plimsoll_types::{Asset, Instrument, Timestamp, Units, nearest_f64};

/// What books hold at an instant: options by their places in the listing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Held {
    /// Place and signed lots, in rising order of place, none of 0.
    pub options: Vec<(u32, i64)>,
    /// Lots of the coin.
    pub spot: i64,
    /// Lots of the perpetual.
    pub perpetual: i64,
    /// Gross notional of the options, quote units: coins of all legs, long or short, at the index.
    pub gross: f64,
}

/// A book of a style while it is kept.
#[derive(Clone, Debug)]
struct Kept {
    style: Style,
    rng: Rng64,
    /// A unit that could not be drawn is empty, and is tried again at the next chain.
    units: Vec<Vec<Leg>>,
}

/// The books of one underlying while they are kept.
#[derive(Clone, Debug)]
pub struct Books {
    kept: Vec<Kept>,
    month: Option<(i16, i8)>,
    /// Units that were drawn.
    pub drawn: u64,
}

impl Books {
    /// `each` books of every style in the order of [`Style::ALL`], not drawn yet. The books of underlyings differ, and the
    /// first books of many are those of few.
    pub fn new(asset: &Asset, each: usize, seed: u64) -> Self {
        let name = asset.as_str().bytes().fold(seed, |key, byte| next(key ^ u64::from(byte)));
        let mut kept = Vec::with_capacity(each * Style::ALL.len());
        for (style, number) in Style::ALL.into_iter().zip(0_u64..) {
            let style_key = next(name.wrapping_add(number));
            kept.extend((0..each as u64).map(|book| Kept {
                style,
                rng: Rng64::new(next(style_key.wrapping_add(book))),
                units: vec![Vec::new(); style.units()],
            }));
        }
        Self { kept, month: None, drawn: 0 }
    }

    /// Goes on to a chain; what every book holds from then on.
    pub fn advance(&mut self, listing: &Listing, at: Timestamp, units: &Units) -> Vec<Held> {
        let (year, month, _) = at.date();
        let anew = self.month.replace((year, month)) != Some((year, month));
        let mut held = Vec::with_capacity(self.kept.len());
        for kept in &mut self.kept {
            for unit in &mut kept.units {
                let stands =
                    !unit.is_empty() && unit.iter().all(|leg| listing.find(&leg.instrument).is_some());
                if anew || !stands {
                    *unit = kept.style.draw(listing, at, &mut kept.rng).unwrap_or_default();
                    self.drawn += u64::from(!unit.is_empty());
                }
            }
            held.push(kept.held(listing, units));
        }
        held
    }
}

impl Kept {
    fn held(&self, listing: &Listing, units: &Units) -> Held {
        let lot = |instrument: &Instrument| nearest_f64(units.lot(instrument));
        let mut held = Held::default();
        let (mut delta, mut sold) = (0.0, 0.0);
        for leg in self.units.iter().flatten() {
            let Some(place) = listing.find(&leg.instrument) else { continue };
            let lots = (leg.coins / lot(&leg.instrument)).round() as i64;
            held.options.push((place as u32, lots));
            held.gross += leg.coins.abs() * listing.index;
            delta += leg.coins * listing.quotes.get(place).map_or(0.0, |quote| quote.delta);
            sold -= leg.coins.min(0.0);
        }
        held.options.sort_unstable();
        held.options.dedup_by(|later, first| {
            let same = later.0 == first.0;
            first.1 += if same { later.1 } else { 0 };
            same
        });
        held.options.retain(|(_, lots)| *lots != 0);
        // Coins and linear perpetuals are counted in the lots of options.
        let lots = |coins: f64| {
            let first = self.units.iter().flatten().next();
            first.map_or(0, |leg| (coins / lot(&leg.instrument)).round() as i64)
        };
        held.spot = if self.style.is_covered() { lots(sold) } else { 0 };
        held.perpetual = if self.style.is_hedged() { lots(-delta) } else { 0 };
        held
    }
}

/// A number that has nothing to do with the one before.
fn next(key: u64) -> u64 {
    Rng64::new(key).next_u64()
}
