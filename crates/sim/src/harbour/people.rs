//! Who there is, what they hold and how careful they are.
//!
//! **The one idea:** what everybody holds is a function of the seed, the same under all rules. Rules decide only what has to be put
//! down for it. Everybody trades with a maker, so all of it sums to nothing.

use super::coin::{Coin, SHAPES};
use super::draw::Draw;
use super::quotes::Sight;
use super::spec::HarbourError;
use plimsoll_engine::live::feed::Stated;
use plimsoll_engine::live::ledger::Fill;
use plimsoll_types::{AccountId, Instrument, NANO, OptionKind, Units, nearest_f64};

/// What somebody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trade {
    /// Quotes both sides, and holds what nobody else does.
    Maker,
    Long,
    Short,
    /// Holds the coin and sells the perpetual or the future.
    Basis,
    CoveredCall,
    PutSeller,
    Strangle,
    Buyer,
    Calendar,
}

/// Shares in a hundred of everybody who is no maker, and the names they go by.
const SHARES: [(Trade, usize, &str); 8] = [
    (Trade::Long, 42, "long"),
    (Trade::Short, 7, "short"),
    (Trade::Basis, 9, "basis"),
    (Trade::CoveredCall, 8, "writer"),
    (Trade::PutSeller, 10, "puts"),
    (Trade::Strangle, 6, "strangle"),
    (Trade::Buyer, 13, "buyer"),
    (Trade::Calendar, 5, "calendar"),
];
/// Share of everybody in each underlying.
const HOMES: [f64; 4] = [0.40, 0.30, 0.20, 0.10];
/// Accounts to a maker of one underlying, and the fewest makers it has.
const CROWD: usize = 1_600;
const MAKERS_MIN: usize = 2;
/// The least a maker puts down, USD: its quotes need margin too.
const MAKER_MIN: f64 = 600_000.0;
/// Wealth that makes an account large, USD: it does the same in several underlyings.
const LARGE: f64 = 150_000.0;

/// Somebody.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Person {
    pub(super) id: AccountId,
    pub(super) trade: Trade,
    /// Underlying that it trades first.
    pub(super) home: usize,
    /// Equity it wants over its initial margin, a share of that.
    pub(super) cushion: f64,
    /// Equity it wants over its notional, a share of that.
    pub(super) stake: f64,
    /// Whether it puts down the stable coin.
    pub(super) stable: bool,
    /// Coins it puts down, billionths.
    pub(super) coins: Option<(usize, i128)>,
    /// The least it puts down, USD.
    pub(super) least: f64,
    /// What it holds gross, USD.
    pub(super) gross: f64,
    /// What it can still bring in, USD.
    pub(super) reserve: f64,
    /// How likely it answers a call.
    pub(super) answers: f64,
}

impl Person {
    /// Whether it has money it can do without.
    pub(super) fn is_loose(&self) -> bool {
        let bare =
            self.coins.is_none() && !matches!(self.trade, Trade::Maker | Trade::Buyer | Trade::Calendar);
        bare && self.cushion > 0.6
    }
}

/// Everybody, and how they came by what they hold.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct People {
    pub(super) all: Vec<Person>,
    /// By underlying, places of its makers.
    pub(super) makers: Vec<Vec<usize>>,
    pub(super) fills: Vec<Fill>,
    /// Ticks of a dollar.
    pub(super) ticks_per_unit: f64,
}

/// Something wanted: base units, bought > 0.
type Leg = (usize, Instrument, f64);

/// Draws people.
pub(super) struct Census<'a> {
    pub(super) seed: u64,
    pub(super) units: &'a Units,
    /// By underlying.
    pub(super) sights: Vec<Sight<'a>>,
}

impl Census<'_> {
    /// So many people, makers included.
    pub(super) fn people(&self, accounts: usize) -> Result<People, HarbourError> {
        let ticks_per_unit = self.units.ticks_per_unit as f64;
        let mut people = People { all: Vec::new(), makers: Vec::new(), fills: Vec::new(), ticks_per_unit };
        self.makers(&mut people, accounts)?;
        let mut deltas = vec![0.0; people.all.len()];
        for number in people.all.len()..accounts {
            self.person(&mut people, number, &mut deltas)?;
        }
        // A maker who is short of the coin owns some elsewhere, and puts part of it down.
        for (person, delta) in people.all.iter_mut().zip(deltas) {
            let collateral = SHAPES.get(person.home).is_some_and(|shape| shape.collateral);
            if collateral && delta < 0.0 {
                person.coins = Some((person.home, nano(-0.5 * delta)));
            }
        }
        Ok(people)
    }

    fn makers(&self, people: &mut People, accounts: usize) -> Result<(), HarbourError> {
        let each = (accounts / CROWD).max(MAKERS_MIN);
        for (home, shape) in SHAPES.iter().enumerate() {
            let first = people.all.len();
            for number in 1..=each {
                let id = format!("maker-{}-{number}", shape.name.to_lowercase());
                people.all.push(Person {
                    id: id.parse()?,
                    trade: Trade::Maker,
                    home,
                    cushion: 2.5,
                    stake: 0.35,
                    stable: false,
                    coins: None,
                    least: MAKER_MIN,
                    gross: 0.0,
                    reserve: 0.0,
                    answers: 0.0,
                });
            }
            people.makers.push((first..people.all.len()).collect());
        }
        Ok(())
    }

    fn person(&self, people: &mut People, number: usize, deltas: &mut [f64]) -> Result<(), HarbourError> {
        let mut draw = Draw::of(self.seed, &[23, number as u64]);
        let mut ticket = draw.below(100);
        let found = SHARES.iter().find(|(_, share, _)| {
            let here = ticket < *share;
            ticket = ticket.saturating_sub(*share);
            here
        });
        let (trade, _, name) = found.copied().unwrap_or((Trade::Long, 0, "long"));
        let wealth = draw.lognormal(4_000.0, 1.5).clamp(100.0, 2.0e6);
        let home = self.home(&mut draw, trade);
        let mut legs = Vec::new();
        let mut coins = None;
        let leverage = draw.lognormal(2.8, 0.65).clamp(2.0, 15.0);
        let places = if wealth > LARGE && !holds_coin(trade) { 1 + draw.below(3) } else { 1 };
        for place in 0..places {
            let home = (home + place) % SHAPES.len();
            let of = wealth / places as f64;
            let Some(sight) = self.sights.get(home) else { continue };
            let wanted = wants(trade, sight, (of, leverage), &mut draw);
            legs.extend(wanted.into_iter().map(|(instrument, base)| (home, instrument, base)));
            if holds_coin(trade) {
                coins = Some((home, nano(of / sight.price)));
            }
        }
        let leveraged = matches!(trade, Trade::Long | Trade::Short);
        let mut person = Person {
            id: format!("{name}-{number:05}").parse()?,
            trade,
            home,
            cushion: 0.08 + draw.lognormal(0.55, 0.8).min(3.0),
            stake: if leveraged { 1.0 / leverage } else { 0.0 },
            stable: draw.chance(0.3),
            coins,
            least: 25.0,
            gross: 0.0,
            reserve: 0.0,
            answers: draw.between(0.2, 0.9),
        };
        // Bought before sold: what covers is there before what it covers.
        legs.sort_by(|a, b| b.2.total_cmp(&a.2));
        for leg in legs {
            self.fill(people, (number, &mut person), leg, deltas, &mut draw);
        }
        person.reserve = person.gross * draw.between(0.0, 0.14);
        people.all.push(person);
        Ok(())
    }

    fn home(&self, draw: &mut Draw, trade: Trade) -> usize {
        let mut ticket = draw.between(0.0, 1.0);
        let found = HOMES.iter().position(|share| {
            ticket -= share;
            ticket < 0.0
        });
        let home = found.unwrap_or(0);
        let collateral = SHAPES.get(home).is_some_and(|shape| shape.collateral);
        if holds_coin(trade) && !collateral { 0 } else { home }
    }

    /// Trades with one of the makers of the underlying.
    fn fill(
        &self,
        people: &mut People,
        (number, person): (usize, &mut Person),
        (home, instrument, base): Leg,
        deltas: &mut [f64],
        draw: &mut Draw,
    ) {
        let Some(sight) = self.sights.get(home) else { return };
        let makers = people.makers.get(home).map_or(&[][..], |makers| makers);
        let Some(place) = makers.get(number % makers.len().max(1)).copied() else { return };
        let Some(maker) = people.all.get(place).map(|maker| maker.id.clone()) else { return };
        let lots = lots(&instrument, base, self.units).max(1);
        let size = lots as f64 * nearest_f64(self.units.lot(&instrument));
        person.gross += size * sight.price;
        let signed = if base > 0.0 { size } else { -size };
        if let Some(delta) = deltas.get_mut(place) {
            *delta -= signed * sight.delta(&instrument);
        }
        if let Some(maker) = people.all.get_mut(place) {
            maker.gross += size * sight.price;
        }
        let edge = if instrument.option().is_some() { 0.012 } else { sight.half_spread() };
        let price = sight.worth(&instrument) * (1.0 + edge * base.signum() * draw.between(0.3, 1.0));
        let who = person.id.clone();
        let (buyer, seller) = if base > 0.0 { (who, maker) } else { (maker, who) };
        people.fills.push(Fill { buyer, seller, instrument, lots, price: stated(price) });
    }
}

/// Whether the coin itself is put down.
const fn holds_coin(trade: Trade) -> bool {
    matches!(trade, Trade::Basis | Trade::CoveredCall)
}

/// What somebody of some wealth wants in an underlying: instruments and base units, bought > 0.
fn wants(
    trade: Trade,
    sight: &Sight<'_>,
    (wealth, leverage): (f64, f64),
    draw: &mut Draw,
) -> Vec<(Instrument, f64)> {
    let coins = wealth / sight.price;
    let perpetual = sight.coin.perpetual.clone();
    let several = if wealth > LARGE { 4 } else { 1 + draw.below(2) };
    let mut all = Vec::new();
    match trade {
        Trade::Maker => {}
        Trade::Long => all.push((perpetual, leverage * coins)),
        Trade::Short => all.push((perpetual, -leverage * coins)),
        Trade::Basis => {
            let dated = draw.chance(0.4);
            all.push((if dated { sight.coin.future.0.clone() } else { perpetual }, -0.95 * coins));
        }
        Trade::CoveredCall => {
            let size = -0.9 * coins / several as f64;
            all.extend(
                (0..several).filter_map(|_| Some((option(sight.coin, OptionKind::Call, 1, draw)?, size))),
            );
        }
        Trade::PutSeller => {
            let size = -2.2 * coins / several as f64;
            all.extend(
                (0..several).filter_map(|_| Some((option(sight.coin, OptionKind::Put, 1, draw)?, size))),
            );
        }
        Trade::Strangle => {
            let size = -1.6 * coins / several as f64;
            for _ in 0..several {
                let kinds = [OptionKind::Call, OptionKind::Put];
                all.extend(
                    kinds.into_iter().filter_map(|kind| Some((option(sight.coin, kind, 1, draw)?, size))),
                );
            }
        }
        Trade::Buyer => {
            let size = 3.0 * coins / several as f64;
            for _ in 0..several {
                let kind = if draw.chance(0.6) { OptionKind::Call } else { OptionKind::Put };
                all.extend(option(sight.coin, kind, 0, draw).map(|one| (one, size)));
            }
        }
        Trade::Calendar => all.extend(calendar(sight.coin, 3.0 * coins, draw)),
    }
    all
}

/// An option, out of the money by `away` strikes or more.
fn option(coin: &Coin, kind: OptionKind, away: usize, draw: &mut Draw) -> Option<Instrument> {
    let expiry = draw.one_of(&coin.expiries)?;
    let middle = expiry.strikes.iter().position(|strike| strike.price >= coin.shape.price)?;
    let reach = away + draw.below(3);
    let place = match kind {
        OptionKind::Call => (middle + reach).min(expiry.strikes.len().saturating_sub(1)),
        OptionKind::Put => middle.saturating_sub(reach),
    };
    let strike = expiry.strikes.get(place)?;
    Some(if kind == OptionKind::Call { strike.call.clone() } else { strike.put.clone() })
}

/// Long a later expiry and short an earlier one, near the money.
fn calendar(coin: &Coin, size: f64, draw: &mut Draw) -> Vec<(Instrument, f64)> {
    let near = 1 + draw.below(coin.expiries.len().saturating_sub(3));
    let call = |place: usize| {
        let strikes = &coin.expiries.get(place)?.strikes;
        Some(strikes.iter().find(|strike| strike.price >= coin.shape.price)?.call.clone())
    };
    let both = call(near).zip(call(near + 1 + draw.below(2)).or_else(|| call(near + 1)));
    both.map_or_else(Vec::new, |(sold, bought)| vec![(bought, size), (sold, -size)])
}

/// Lots of an instrument nearest to a size in base units, without its sign.
pub(super) fn lots(instrument: &Instrument, base: f64, units: &Units) -> i64 {
    (base.abs() / nearest_f64(units.lot(instrument))).round() as i64
}

/// Billionths of an amount.
pub(super) fn nano(amount: f64) -> i128 {
    (amount * NANO as f64).round() as i128
}

/// A price to a millionth, at least that.
pub(super) fn stated(price: f64) -> Stated {
    let mantissa = (price * 1e6).round() as i64;
    Stated { mantissa: mantissa.max(1), exponent: -6 }
}
