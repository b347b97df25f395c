//! What everything is worth and must be backed by: surface, risk arrays, book and the margin of every account.
//!
//! **The one idea:** all of it follows from the ledger, the feeds and the parameters in force, so none of it is kept: it is made
//! anew when what is listed or in force changes, and refreshed in place for the underlying that moved. Both ways give
//! the same numbers.
//!
//! A future or perpetual counts at its price less the funding paid, and what its lots cost counts against it; so its mark
//! is not nothing here, as it is in arrays from [`plimsoll_risk::Plan`].

use super::ledger::{Account, Ledger, OpenOrder, nano_of};
use crate::fill::{Scale, edge};
use crate::{Adjusted, EngineError, ParamSet};
use plimsoll_lanes::Path;
use plimsoll_margin::{
    BookTerms, Levels, LiveAccount, LiveBook, MarginError, MarginReport, Params, Requirement, State, Totals,
    evaluate,
};
use plimsoll_market::Surface;
use plimsoll_policy::Knob;
use plimsoll_risk::{Plan, RefreshError, ReturnSeries, ScenarioSet, Valuation, value};
use plimsoll_types::{
    Asset, Book, Contract, Holding, Instrument, InstrumentIx, Lots, Order, Portfolio, Position, Ppb,
    RiskArrays, Rounding, Ticks, UnderlyingIx, Units, nearest_f64, quantise,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The value of a knob for an underlying or asset.
pub(super) type Values<'a> = &'a dyn Fn(Knob, &Asset) -> Option<Ppb>;

/// Scenarios and parameters with the arrays made of them.
#[derive(Clone, Debug)]
struct Terms {
    scenarios: ScenarioSet,
    plan: Plan,
    arrays: RiskArrays,
    margin: Params,
    /// What every account of the book needs under them.
    live: LiveBook,
}

/// Everything on its market.
#[derive(Clone, Debug)]
pub struct Valued {
    units: Units,
    /// The market it is all on.
    pub surface: Surface,
    initial: Terms,
    /// What binds existing positions, while it is not the same.
    maintenance: Option<Terms>,
    /// By row, the number of its instrument; rises.
    numbers: Vec<u32>,
    /// Listed instruments that cannot be valued.
    unvalued: BTreeSet<u32>,
    /// What expired instruments are worth until they are settled, ticks of a lot, by number: they have no row.
    frozen: BTreeMap<u32, i64>,
    book: Book,
    /// By account number, its index in the book; `None` while it holds what cannot be valued.
    places: Vec<Option<u32>>,
    /// By index in the book, the account number.
    accounts: Vec<u32>,
    /// Indices in the book of accounts with open orders.
    ordered: BTreeSet<u32>,
}

/// What the rows are made of.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Who holds what.
    pub ledger: &'a Ledger,
    /// The market.
    pub surface: &'a Surface,
    /// The parameter set before the policy.
    pub params: &'a ParamSet,
    /// Return series of historical scenarios.
    pub series: &'a BTreeMap<String, ReturnSeries>,
    /// What expired instruments will be settled at, ticks of a lot, by number.
    pub frozen: &'a BTreeMap<u32, i64>,
    /// What binds new risk.
    pub initial: Values<'a>,
    /// What binds existing positions, where it is not the same.
    pub maintenance: Option<Values<'a>>,
}

impl Valued {
    /// Values everything from nothing.
    ///
    /// # Errors
    /// When the scenarios cannot be made for the underlyings there are.
    pub(super) fn new(from: &Inputs<'_>) -> Result<Self, EngineError> {
        let units = &from.params.units;
        let (mut numbers, mut unvalued, mut listed) = (Vec::new(), BTreeSet::new(), Vec::new());
        for (entry, number) in from.ledger.instruments().iter().zip(0..) {
            if entry.settled.is_some() || from.frozen.contains_key(&number) {
                continue;
            }
            if value(from.surface, &entry.instrument, units).is_ok() {
                numbers.push(number);
                listed.push(entry.instrument.clone());
            } else {
                unvalued.insert(number);
            }
        }
        let underlyings: Vec<Asset> = from.surface.underlyings.keys().cloned().collect();
        let terms = |values: Values<'_>| terms((from, &listed, &numbers), &underlyings, values);
        let (initial, maintenance) = (terms(from.initial)?, from.maintenance.map(terms).transpose()?);
        let mut made = Self {
            units: units.clone(),
            surface: from.surface.clone(),
            initial,
            maintenance,
            numbers,
            unvalued,
            frozen: from.frozen.clone(),
            book: Book::default(),
            places: Vec::new(),
            accounts: Vec::new(),
            ordered: BTreeSet::new(),
        };
        made.pack(from.ledger)?;
        let every: Vec<u32> = (0..).take(made.book.len()).collect();
        made.margin_some(&every);
        Ok(made)
    }

    /// Risk arrays of new risk.
    pub fn arrays(&self) -> &RiskArrays {
        &self.initial.arrays
    }

    /// Scenarios of new risk.
    pub fn scenarios(&self) -> &ScenarioSet {
        &self.initial.scenarios
    }

    /// Ticks and lots.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// The market and its arrays alone.
    pub(super) fn without_book(&self) -> Self {
        Self {
            units: self.units.clone(),
            surface: self.surface.clone(),
            initial: self.initial.without_book(),
            maintenance: self.maintenance.as_ref().map(Terms::without_book),
            numbers: self.numbers.clone(),
            unvalued: self.unvalued.clone(),
            frozen: self.frozen.clone(),
            book: Book::default(),
            places: Vec::new(),
            accounts: Vec::new(),
            ordered: BTreeSet::new(),
        }
    }

    /// Every account that can be valued.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Gives futures and perpetuals their marks in other arrays of the same rows.
    pub(super) fn mark_rows(&self, ledger: &Ledger, arrays: &mut RiskArrays) {
        mark(arrays, (ledger, &self.numbers), (&self.surface, &self.units), None);
    }

    /// Numbers of listed instruments that cannot be valued.
    pub fn unvalued(&self) -> &BTreeSet<u32> {
        &self.unvalued
    }

    /// Parameters of new risk.
    pub fn params(&self) -> &Params {
        &self.initial.margin
    }

    /// Risk arrays and parameters of existing positions, while they are not those of new risk.
    pub fn maintenance(&self) -> Option<(&RiskArrays, &Params)> {
        self.maintenance.as_ref().map(|terms| (&terms.arrays, &terms.margin))
    }

    /// What binds new risk, with everything looked up.
    pub(super) fn lookups(&self) -> BookTerms<'_> {
        self.initial.lookups()
    }

    /// The row of an instrument number.
    pub fn row(&self, number: u32) -> Option<InstrumentIx> {
        let at = self.numbers.binary_search(&number).ok()?;
        u32::try_from(at).ok().map(InstrumentIx)
    }

    /// Whether an instrument number has a value.
    pub(super) fn knows(&self, number: u32) -> bool {
        self.row(number).is_some() || self.frozen.contains_key(&number)
    }

    /// An account with what has expired as the money it will be; `None` where that leaves its integer.
    pub(super) fn cashed<'a>(&self, account: &'a Account) -> Option<Cow<'a, Account>> {
        let expired = |number: &u32| self.frozen.contains_key(number);
        let mut numbers = account.positions.iter().map(|held| held.instrument);
        let ordered = account.orders.iter().any(|order| expired(&order.instrument));
        if self.frozen.is_empty() || !(ordered || numbers.any(|number| expired(&number))) {
            return Some(Cow::Borrowed(account));
        }
        let mut cashed = account.clone();
        for held in &account.positions {
            let Some(value) = self.frozen.get(&held.instrument) else { continue };
            let ticks = i128::from(held.lots).checked_mul(i128::from(*value))?.checked_sub(held.cost)?;
            cashed.pay(&self.units.currency, nano_of(ticks, self.units.ticks_per_unit).ok()?)?;
        }
        cashed.positions.retain(|held| !expired(&held.instrument));
        cashed.orders.retain(|order| !expired(&order.instrument));
        Some(Cow::Owned(cashed))
    }

    /// The part of an account that can be valued, and the rest of it.
    pub(super) fn part(&self, account: &Account) -> Option<(Portfolio, Account)> {
        let mut known = self.cashed(account)?.into_owned();
        let mut rest = known.clone();
        let priced = |(asset, _): &(Asset, i128)| self.initial.arrays.asset(asset).is_some();
        known.positions.retain(|held| self.row(held.instrument).is_some());
        known.orders.retain(|open| order(open, self).is_some());
        known.collateral.retain(priced);
        rest.positions.retain(|held| self.row(held.instrument).is_none());
        rest.orders.retain(|open| order(open, self).is_none());
        rest.collateral.retain(|held| !priced(held));
        Some((portfolio(&known, self)?, rest))
    }

    /// The mark of a lot of an instrument number, ticks: of a future or perpetual its price less the funding paid.
    pub fn mark_of(&self, number: u32) -> Option<i64> {
        if let Some(value) = self.frozen.get(&number) {
            return Some(*value);
        }
        let row = self.row(number)?;
        Some(self.initial.arrays.instrument(row)?.mark)
    }

    /// The totals of an account on another market, its instruments alone.
    pub fn totals_on(&self, ledger: &Ledger, account: &Account, surface: &Surface) -> Option<Totals> {
        let all = portfolio(account, self)?;
        let mut rows: Vec<u32> = all.positions.iter().map(|p| p.instrument.0).collect();
        rows.extend(all.orders.iter().map(|o| o.instrument.0));
        rows.sort_unstable();
        rows.dedup();
        let place = |ix: InstrumentIx| {
            rows.binary_search(&ix.0).ok().and_then(|at| u32::try_from(at).ok()).map(InstrumentIx)
        };
        let position = |p: &Position| Some(Position { instrument: place(p.instrument)?, ..*p });
        let order = |o: &Order| Some(Order { instrument: place(o.instrument)?, ..*o });
        let alone = Portfolio {
            positions: all.positions.iter().map(position).collect::<Option<_>>()?,
            orders: all.orders.iter().map(order).collect::<Option<_>>()?,
            ..all
        };
        let numbers: Vec<u32> =
            rows.iter().filter_map(|row| self.numbers.get(*row as usize).copied()).collect();
        let on = |terms: &Terms| -> Option<Totals> {
            let of = |row: &u32| Some(terms.arrays.instruments.get(*row as usize)?.instrument.clone());
            let instruments: Vec<Instrument> = rows.iter().map(of).collect::<Option<_>>()?;
            let plan = Plan::new(&instruments, &terms.scenarios, &self.units).ok()?;
            let mut arrays = plan.build(surface, Path::best()).ok()?.arrays;
            (arrays.instruments.len() == rows.len()).then_some(())?;
            mark(&mut arrays, (ledger, &numbers), (surface, &self.units), None);
            evaluate(&alone, &arrays, &terms.margin).ok()?.totals().ok()
        };
        let initial = on(&self.initial)?;
        match &self.maintenance {
            Some(terms) => Some(joined(initial, on(terms)?)),
            None => Some(initial),
        }
    }

    /// The totals of an account by number; `None` while it holds what cannot be valued.
    pub fn totals(&self, account: u32) -> Option<Result<Totals, MarginError>> {
        let place = self.places.get(account as usize).copied().flatten()? as usize;
        let initial = self.initial.live.totals(place)?;
        let Some(terms) = &self.maintenance else { return Some(initial) };
        let other = terms.live.totals(place)?;
        Some(initial.and_then(|initial| Ok(joined(initial, other?))))
    }

    /// What an account by number is worth and must have; `None` where that cannot be computed, or leaves 64 bits.
    pub fn levels(&self, account: u32) -> Option<Levels> {
        let place = self.places.get(account as usize).copied().flatten()?;
        self.levels_at(place as usize)
    }

    fn levels_at(&self, place: usize) -> Option<Levels> {
        let initial = self.initial.live.levels(place)?;
        let Some(terms) = &self.maintenance else { return Some(initial) };
        Some(Levels { mm: terms.live.levels(place)?.mm, ..initial })
    }

    /// How many accounts were found anew last, and the numbers of those of them that are `wanted`, asked with number and
    /// levels.
    pub(super) fn touched(&self, wanted: impl Fn(u32, Option<Levels>) -> bool + Sync) -> (usize, Vec<u32>) {
        let number = |place: usize| self.accounts.get(place).copied();
        let (count, places) = self.initial.live.touched(|place, levels| {
            let levels = if self.maintenance.is_some() { self.levels_at(place) } else { levels };
            // Places that were closed are nobody's.
            number(place).is_some_and(|number| wanted(number, levels))
        });
        (count, places.into_iter().filter_map(|place| number(place as usize)).collect())
    }

    /// By place in the book, the totals of whoever is there; `None` of who cannot be valued.
    pub(super) fn by_place(&self) -> impl Iterator<Item = Option<Totals>> {
        self.accounts.iter().map(|number| self.totals(*number)?.ok())
    }

    /// The portfolio of an account by number.
    pub fn portfolio(&self, account: &Account) -> Option<Portfolio> {
        portfolio(account, self)
    }

    /// The whole report of an account, and that of maintenance where that is another.
    pub fn report(
        &self,
        account: &Account,
    ) -> Option<Result<(MarginReport, Option<MarginReport>), MarginError>> {
        let portfolio = portfolio(account, self)?;
        let on = |terms: &Terms| evaluate(&portfolio, &terms.arrays, &terms.margin);
        Some(on(&self.initial).and_then(|im| Ok((im, self.maintenance.as_ref().map(on).transpose()?))))
    }

    /// The totals of a portfolio that is nobody's.
    pub fn totals_of(&self, portfolio: &Portfolio) -> Result<Totals, MarginError> {
        let of = |terms: &Terms| {
            let lookups = terms.lookups();
            LiveAccount::new(portfolio.clone(), &lookups, Path::best())?.totals()
        };
        let initial = of(&self.initial)?;
        self.maintenance.as_ref().map_or(Ok(initial), |terms| Ok(joined(initial, of(terms)?)))
    }

    /// Revalues one underlying after its market has moved; says whether anything was found anew, see [`Valued::touched`].
    ///
    /// # Errors
    /// When an instrument that was valued can no longer be, or the other way round: make it all anew.
    pub(super) fn refresh(
        &mut self,
        ledger: &Ledger,
        moved: &Asset,
        change: impl FnOnce(&mut Surface),
    ) -> Result<bool, RefreshError> {
        change(&mut self.surface);
        let place = self.initial.arrays.underlyings.iter().position(|row| row.asset == *moved);
        let Some(place) = place else {
            let matters = self.surface.assets.contains_key(moved);
            let gained = RefreshError::UnderlyingChanged { asset: moved.clone(), gained: true };
            return if matters { Err(gained) } else { Ok(false) };
        };
        let only = UnderlyingIx(u32::try_from(place).unwrap_or(u32::MAX));
        for terms in [Some(&mut self.initial), self.maintenance.as_mut()].into_iter().flatten() {
            terms.plan.refresh(&self.surface, &mut terms.arrays, Some(only), Path::best())?;
            mark(&mut terms.arrays, (ledger, &self.numbers), (&self.surface, &self.units), Some(moved));
        }
        self.reorder(ledger, only);
        for terms in [Some(&mut self.initial), self.maintenance.as_mut()].into_iter().flatten() {
            terms.live.refresh(Path::best(), &self.book, (&terms.arrays, &terms.margin), only);
        }
        Ok(true)
    }

    /// Looks at some accounts anew: what they hold has changed, or they are new.
    ///
    /// # Errors
    /// When the book is full.
    pub fn update(&mut self, ledger: &Ledger, accounts: &[u32]) -> Result<(), EngineError> {
        let mut places = Vec::new();
        for number in accounts {
            let Some(account) = ledger.account(*number) else { continue };
            places.extend(self.place(*number, account)?);
        }
        places.sort_unstable();
        places.dedup();
        self.margin_some(&places);
        Ok(())
    }

    /// Puts an account in the book as it is now; its place there, if it has one.
    fn place(&mut self, number: u32, account: &Account) -> Result<Option<u32>, EngineError> {
        let at = number as usize;
        self.places.resize(self.places.len().max(at + 1), None);
        let known = self.places[at];
        let Some(portfolio) = portfolio(account, self) else {
            if let Some(place) = known {
                self.book.close(place as usize)?;
            }
            self.places[at] = None;
            return Ok(known);
        };
        let place = match known.or_else(|| self.book.find(&account.id).and_then(|i| u32::try_from(i).ok())) {
            Some(place) => {
                self.book.close(place as usize)?;
                for position in &portfolio.positions {
                    self.book.set_position(place as usize, *position)?;
                }
                self.book.set_collateral(place as usize, portfolio.collateral)?;
                self.book.set_orders(place as usize, portfolio.orders)?;
                place
            }
            None => {
                let Portfolio { account: id, positions, collateral, orders } = portfolio;
                let place = self.book.insert(id, &positions, collateral, orders)?;
                self.accounts.push(number);
                u32::try_from(place).unwrap_or(u32::MAX)
            }
        };
        self.places[at] = Some(place);
        self.note_orders(place, account);
        Ok(Some(place))
    }

    fn note_orders(&mut self, place: u32, account: &Account) {
        if account.orders.is_empty() {
            self.ordered.remove(&place);
        } else {
            self.ordered.insert(place);
        }
    }

    /// Packs the whole ledger, in the order of names.
    fn pack(&mut self, ledger: &Ledger) -> Result<(), EngineError> {
        let mut order: Vec<u32> = (0..).zip(ledger.accounts()).map(|(number, _)| number).collect();
        order.sort_by(|a, b| ledger.account(*a).map(|x| &x.id).cmp(&ledger.account(*b).map(|x| &x.id)));
        self.places = vec![None; order.len()];
        for number in order {
            let Some(account) = ledger.account(number) else { continue };
            let Some(Portfolio { account: id, positions, collateral, orders }) = portfolio(account, self)
            else {
                continue;
            };
            let place = u32::try_from(self.book.len()).unwrap_or(u32::MAX);
            self.book.push(id, &positions, collateral, orders)?;
            self.places[number as usize] = Some(place);
            self.accounts.push(number);
            self.note_orders(place, account);
        }
        Ok(())
    }

    /// Open orders in an underlying are worth something else at another mark.
    fn reorder(&mut self, ledger: &Ledger, only: UnderlyingIx) {
        let rows = &self.initial.arrays.instruments;
        let of = |order: &Order| rows.get(order.instrument.index()).is_some_and(|row| row.underlying == only);
        let of_it = |place: &&u32| self.book.orders(**place as usize).iter().any(of);
        for place in self.ordered.iter().filter(of_it).copied().collect::<Vec<_>>() {
            let account = self.accounts.get(place as usize).and_then(|number| ledger.account(*number));
            let orders = account.and_then(|account| orders(&*self.cashed(account)?, self));
            if let Some(orders) = orders {
                // The place is the book's own.
                self.book.set_orders(place as usize, orders).unwrap_or_else(|e| unreachable!("{e}"));
            }
        }
    }

    /// The margin of accounts by their places in the book, in rising order.
    fn margin_some(&mut self, places: &[u32]) {
        for terms in [Some(&mut self.initial), self.maintenance.as_mut()].into_iter().flatten() {
            terms.live.change(Path::best(), &self.book, (&terms.arrays, &terms.margin), places);
        }
    }
}

impl Terms {
    fn without_book(&self) -> Self {
        Self {
            scenarios: self.scenarios.clone(),
            plan: self.plan.clone(),
            arrays: self.arrays.clone(),
            margin: self.margin.clone(),
            live: LiveBook::default(),
        }
    }

    /// With everything looked up.
    fn lookups(&self) -> BookTerms<'_> {
        BookTerms::on(&self.arrays, &self.margin, self.live.lookups())
    }
}

fn terms(
    (from, listed, numbers): (&Inputs<'_>, &[Instrument], &[u32]),
    underlyings: &[Asset],
    values: Values<'_>,
) -> Result<Terms, EngineError> {
    let mut adjusted = Adjusted::new(from.params, underlyings, from.series)?;
    adjusted.set(values);
    let plan = Plan::new(listed, &adjusted.scenarios, &from.params.units)?;
    let mut arrays = plan.build(from.surface, Path::best())?.arrays;
    arrays.check()?;
    mark(&mut arrays, (from.ledger, numbers), (from.surface, &from.params.units), None);
    let live = LiveBook::new(Path::best(), &Book::default(), &arrays, &adjusted.margin);
    Ok(Terms { scenarios: adjusted.scenarios, plan, arrays, margin: adjusted.margin, live })
}

/// Initial margin and equity of one, maintenance of the other.
fn joined(initial: Totals, other: Totals) -> Totals {
    let mm_excess = Ticks(initial.equity.0 - other.mm.0);
    let state = State::of(initial.im_excess, mm_excess);
    let with = |initial: Requirement, other: Requirement| Requirement { im: initial.im, mm: other.mm };
    Totals {
        mm: other.mm,
        mm_excess,
        state,
        aggregate: with(initial.aggregate, other.aggregate),
        base: with(initial.base, other.base),
        guard: with(initial.guard, other.guard),
        addons: with(initial.addons, other.addons),
        relief: with(initial.relief, other.relief),
        orders: with(initial.orders, other.orders),
        ..initial
    }
}

/// Gives rows of futures and perpetuals of an underlying, or of all, their marks; `numbers` are those of the rows.
fn mark(
    arrays: &mut RiskArrays,
    (ledger, numbers): (&Ledger, &[u32]),
    (surface, units): (&Surface, &Units),
    only: Option<&Asset>,
) {
    for (row, number) in arrays.instruments.iter_mut().zip(numbers) {
        let delta_one = matches!(row.instrument.contract(), Contract::Perpetual | Contract::Future { .. });
        if !delta_one || only.is_some_and(|asset| asset != row.instrument.underlying()) {
            continue;
        }
        let funding = ledger.instruments().get(*number as usize).map_or(0, |listed| listed.funding);
        if let Some(mark) = linear_mark(surface, &row.instrument, units) {
            row.mark = mark.saturating_sub(funding);
        }
    }
}

/// Price of one lot of a future or perpetual, ticks.
fn linear_mark(surface: &Surface, instrument: &Instrument, units: &Units) -> Option<i64> {
    let Valuation { price, .. } = value(surface, instrument, units).ok()?;
    let lot = nearest_f64(units.lot(instrument));
    quantise(price * lot * units.ticks_per_unit as f64, Rounding::Nearest).ok()
}

/// An account on the rows; `None` when it holds what has none.
fn portfolio(account: &Account, on: &Valued) -> Option<Portfolio> {
    let account = &*on.cashed(account)?;
    let mut positions = Vec::with_capacity(account.positions.len());
    for held in &account.positions {
        let instrument = on.row(held.instrument)?;
        let unrealised = Ticks(held.cost.checked_neg()?);
        positions.push(Position { instrument, lots: Lots(held.lots), unrealised });
    }
    let collateral = account.collateral.iter();
    let collateral = collateral
        .map(|(asset, nano)| Holding { asset: asset.clone(), amount_nano: *nano, earmark: None })
        .collect();
    Some(Portfolio { account: account.id.clone(), positions, collateral, orders: orders(account, on)? })
}

fn orders(account: &Account, on: &Valued) -> Option<Vec<Order>> {
    account.orders.iter().map(|open| order(open, on)).collect()
}

fn order(open: &OpenOrder, on: &Valued) -> Option<Order> {
    let instrument = on.row(open.instrument)?;
    let row = on.initial.arrays.instruments.get(instrument.index())?;
    let valued = value(&on.surface, &row.instrument, &on.units).ok()?;
    let lot = nearest_f64(on.units.lot(&row.instrument));
    let scale = Scale { lot, ticks_per_unit: on.units.ticks_per_unit as f64 };
    let edge = edge(&row.instrument, &valued, open.lots, open.limit.to_f64()?, scale).ok()?;
    Some(Order { instrument, lots: Lots(open.lots), edge })
}
