//! Kinds of option books, and how their options are drawn.
//!
//! **The one idea:** what people hold is what is open. Each option of a book is drawn among those of its kind with a probability
//! proportional to open interest, by a seeded generator; the style says only of which kind, on which side, and what is
//! hedged.
//!
//! | style | a unit | units | hedge |
//! |---|---|---|---|
//! | `strangle_seller` | short an out-of-the-money put and a call of the same expiry | 4 | delta, by perpetual |
//! | `put_seller` | short an out-of-the-money put | 4 | none |
//! | `covered_call` | short an out-of-the-money call, long as many coins | 4 | the coins |
//! | `long_gamma` | long the call and the put nearest to the forward, of an expiry within 30 days | 4 | delta, by perpetual |
//! | `calendar` | short an option within 60 days, long one of its kind at half as long again or more, strike within 5 % | 4 | none |
//! | `market_maker` | any option, either side by the toss of a coin | 20 | delta, by perpetual |

use super::moment::{Listing, Quote};
use plimsoll_quant::sobol::Rng64;
use plimsoll_quant::special::pow;
use plimsoll_types::{Instrument, OptionKind, Timestamp};

const DAY: f64 = 86_400.0;
/// No option is drawn that ends within this many days.
const DAYS_MIN: f64 = 1.0;
/// Expiries that a long-gamma unit is drawn among, days.
const GAMMA_DAYS_MAX: f64 = 30.0;
/// Expiries that the near leg of a calendar is drawn among, days.
const NEAR_DAYS_MAX: f64 = 60.0;
/// The far leg lives at least so many times as long as the near one.
const FAR_TIMES: f64 = 1.5;
/// And its strike is this near, relative.
const STRIKE_NEAR: f64 = 0.05;
/// A unit has this notional at least, quote units, and up to a hundred times as much.
const NOTIONAL_MIN: f64 = 10_000.0;
/// Coins are whole multiples of this.
const COINS_STEP: f64 = 0.1;
/// What does not come off is drawn again, so many times.
const TRIES: usize = 20;

/// A kind of book.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Style {
    /// A market maker that is short volatility.
    StrangleSeller,
    /// Sells puts.
    PutSeller,
    /// Sells calls on coins it has.
    CoveredCall,
    /// A fund that is long gamma.
    LongGamma,
    /// Sells near expiries and buys far ones.
    Calendar,
    /// A market maker with something of everything.
    MarketMaker,
}

/// So much of an option; long > 0.
#[derive(Clone, PartialEq, Debug)]
pub struct Leg {
    /// Which.
    pub instrument: Instrument,
    /// Coins.
    pub coins: f64,
}

impl Style {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::StrangleSeller,
        Self::PutSeller,
        Self::CoveredCall,
        Self::LongGamma,
        Self::Calendar,
        Self::MarketMaker,
    ];

    /// Its name, which is stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::StrangleSeller => "strangle_seller",
            Self::PutSeller => "put_seller",
            Self::CoveredCall => "covered_call",
            Self::LongGamma => "long_gamma",
            Self::Calendar => "calendar",
            Self::MarketMaker => "market_maker",
        }
    }

    /// The side of its options.
    pub fn side(self) -> &'static str {
        match self {
            Self::StrangleSeller | Self::PutSeller | Self::CoveredCall => "short",
            Self::LongGamma => "long",
            Self::Calendar | Self::MarketMaker => "mixed",
        }
    }

    /// How many units a book has.
    pub fn units(self) -> usize {
        if self == Self::MarketMaker { 20 } else { 4 }
    }

    /// Whether its delta is hedged by the perpetual.
    pub fn is_hedged(self) -> bool {
        matches!(self, Self::StrangleSeller | Self::LongGamma | Self::MarketMaker)
    }

    /// Whether it holds the coins that its calls are on.
    pub fn is_covered(self) -> bool {
        self == Self::CoveredCall
    }

    /// Draws the options of a unit; `None` where the chain has none of the kind.
    pub fn draw(self, listing: &Listing, at: Timestamp, rng: &mut Rng64) -> Option<Vec<Leg>> {
        let coins = coins(listing.index, rng);
        (0..TRIES).find_map(|_| self.attempt(listing, at, coins, rng))
    }

    fn attempt(self, listing: &Listing, at: Timestamp, coins: f64, rng: &mut Rng64) -> Option<Vec<Leg>> {
        let days = |quote: &Quote| at.seconds_until(quote.expiry) / DAY;
        let alive = |quote: &Quote| days(quote) >= DAYS_MIN;
        let out = |quote: &Quote, kind| {
            let beyond = if kind == OptionKind::Call { quote.moneyness > 1.0 } else { quote.moneyness < 1.0 };
            quote.kind == kind && beyond && alive(quote)
        };
        let of = |quote: &Quote, coins: f64| Leg { instrument: quote.instrument.clone(), coins };
        match self {
            Self::StrangleSeller => {
                let put = pick(listing, rng, |q| out(q, OptionKind::Put))?;
                let call = pick(listing, rng, |q| out(q, OptionKind::Call) && q.expiry == put.expiry)?;
                Some(vec![of(put, -coins), of(call, -coins)])
            }
            Self::PutSeller => Some(vec![of(pick(listing, rng, |q| out(q, OptionKind::Put))?, -coins)]),
            Self::CoveredCall => Some(vec![of(pick(listing, rng, |q| out(q, OptionKind::Call))?, -coins)]),
            Self::LongGamma => {
                let drawn = pick(listing, rng, |q| alive(q) && days(q) <= GAMMA_DAYS_MAX)?;
                let (call, put) = straddle(listing, drawn.expiry)?;
                Some(vec![of(call, coins), of(put, coins)])
            }
            Self::Calendar => {
                let near = pick(listing, rng, |q| alive(q) && days(q) <= NEAR_DAYS_MAX)?;
                let far = pick(listing, rng, |q| {
                    q.kind == near.kind
                        && days(q) >= FAR_TIMES * days(near)
                        && (q.strike / near.strike - 1.0).abs() <= STRIKE_NEAR
                })?;
                Some(vec![of(near, -coins), of(far, coins)])
            }
            Self::MarketMaker => {
                let any = pick(listing, rng, alive)?;
                let side = if rng.uniform() < 0.5 { -1.0 } else { 1.0 };
                Some(vec![of(any, side * coins)])
            }
        }
    }
}

/// Coins of a unit: its notional is log-uniform over two decades.
fn coins(index: f64, rng: &mut Rng64) -> f64 {
    let notional = NOTIONAL_MIN * pow(100.0, rng.uniform());
    let steps = (notional / index / COINS_STEP).round();
    COINS_STEP * if steps < 1.0 { 1.0 } else { steps }
}

/// One of the eligible options, by open interest; `None` when nothing of them is open.
fn pick<'l>(listing: &'l Listing, rng: &mut Rng64, eligible: impl Fn(&Quote) -> bool) -> Option<&'l Quote> {
    let open = |quote: &&Quote| quote.open_interest > 0.0 && eligible(quote);
    let total: f64 = listing.quotes.iter().filter(open).map(|quote| quote.open_interest).sum();
    let mut left = rng.uniform() * total;
    let mut last = None;
    for quote in listing.quotes.iter().filter(open) {
        left -= quote.open_interest;
        last = Some(quote);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// The call and the put of the strike nearest to the forward that has both.
fn straddle(listing: &Listing, expiry: Timestamp) -> Option<(&Quote, &Quote)> {
    let of = |kind| listing.quotes.iter().filter(move |q| q.expiry == expiry && q.kind == kind);
    let both = of(OptionKind::Call).filter_map(|call| {
        let put = of(OptionKind::Put).find(|put| put.strike == call.strike)?;
        Some((call, put))
    });
    both.min_by(|a, b| (a.0.moneyness - 1.0).abs().total_cmp(&(b.0.moneyness - 1.0).abs()))
}
