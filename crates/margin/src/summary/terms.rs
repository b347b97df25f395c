//! What the margin of an account depends on beside the account, looked up once per tick.

use super::columns::Columns;
use super::lanes::charge::Rates;
use super::lanes::fall::Falls;
use super::lanes::rows::{Given, Kind, Moved, Rows};
use super::lanes::settle::Scales;
use super::whole::Rooms;
use crate::aggregate::Measure;
use crate::collateral_charges::Falling;
use crate::equity::Valuation;
use crate::formulas::{Liquidity, TenorShares, basis_rate, tenor_shares, too_wide};
use crate::wrong_way::fall;
use crate::{Aggregation, ByAsset, CollateralTerms, Mode, Params, ShortOptionTerms, VegaTerms};
use plimsoll_types::{
    Asset, Contract, GreekTicks, InstrumentIx, InstrumentRow, NANO, OptionKind, Ppb, RiskArrays,
    UnderlyingIx, UnderlyingRow,
};
use std::borrow::Cow;

/// Risk arrays and parameters, with everything that is looked up by name looked up, and the entries of the arrays in
/// lanes. Good for one tick: new arrays or parameters need new terms.
///
/// BookTerms never fail. Where the method is one that the lanes do not cover (modes isolated, cross and fixed, `span` and
/// `venue` aggregation, joint statistics) or a parameter is out of its range, [`BookTerms::is_native`] is false and every
/// account is answered by [`crate::evaluate`], error and all.
#[derive(Clone, Debug)]
pub struct BookTerms<'a> {
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) params: &'a Params,
    lookups: Cow<'a, Lookups>,
}

/// What [`BookTerms`] have looked up, apart from the arrays and parameters it was looked up in: to be kept from one tick to
/// the next and renewed where the arrays are new. The default has nothing: accounts are answered by [`crate::evaluate`].
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    native: Option<Native>,
    rooms: Rooms,
}

impl Lookups {
    /// Looks everything up. Costs one pass over the arrays.
    pub fn new(arrays: &RiskArrays, params: &Params) -> Self {
        Self { native: Native::new(arrays, params), rooms: Rooms::default() }
    }

    /// Looks up anew what the arrays say of one underlying: its rows, its price and, where it is collateral, that. Nothing
    /// else of the arrays may differ from those that it was looked up in, nor the parameters. Terms are then those of
    /// [`Lookups::new`], in time that goes with the rows of the underlying.
    pub fn renew(&mut self, arrays: &RiskArrays, params: &Params, only: UnderlyingIx) {
        self.move_to((arrays, params), only, &mut Moved::default());
    }

    pub(crate) fn native(&self) -> Option<&Native> {
        self.native.as_ref()
    }

    /// As [`Lookups::renew`], noting by how much rows have moved; says whether it did not need to look everything up.
    pub(crate) fn move_to(
        &mut self,
        (arrays, params): (&RiskArrays, &Params),
        only: UnderlyingIx,
        moved: &mut Moved,
    ) -> bool {
        let renewed = self.native.as_mut().and_then(|native| native.renew((arrays, params), only, moved));
        if renewed.is_none() {
            self.native = Native::new(arrays, params);
        }
        renewed.is_some()
    }
}

/// What the lanes read.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    pub(crate) rows: Rows,
    pub(crate) columns: Columns,
    /// Whether both measures read the same columns.
    pub(crate) alike: bool,
    /// The floor share of aggregation `factor`.
    pub(crate) floor_share: Option<Ppb>,
    pub(crate) scales: Scales,
    pub(crate) underlyings: Vec<Charges>,
    /// The same on lanes, with those of their expiries.
    pub(crate) rates: Vec<Rates>,
    /// In order of name.
    pub(crate) assets: Vec<AssetTerms>,
    /// By underlying, its expiries, nearest first.
    tenors: Vec<Vec<TenorTerms>>,
    /// By underlying, the largest factor in billionths that one of its charges puts on an amount.
    factors: Vec<i64>,
}

/// An expiry of an underlying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenorTerms {
    pub(crate) seconds: Option<i64>,
    pub(crate) basis_rate: i128,
    pub(crate) shares: Option<TenorShares>,
}

/// The charges on an underlying, with the share of each in maintenance margin last.
#[derive(Clone, Debug)]
pub(crate) struct Charges {
    pub(crate) short_option: Option<ShortOptionTerms>,
    pub(crate) basis: Option<Ppb>,
    pub(crate) vega: Option<VegaTerms>,
    pub(crate) liquidity: Option<(Liquidity, Ppb)>,
    /// By how much the confidence of the index is too wide, and the factor on that; `None` where nothing comes of it.
    pub(crate) confidence: Option<(Ppb, Ppb, Ppb)>,
    /// Window and rate.
    pub(crate) expiry: Option<(i64, Ppb, Ppb)>,
    pub(crate) funding: Option<(u32, Ppb)>,
}

/// A collateral asset with terms and a price.
#[derive(Clone, Debug)]
pub(crate) struct AssetTerms {
    pub(crate) asset: Asset,
    pub(crate) valuation: Valuation,
    pub(crate) falling: Falling,
    pub(crate) mm_share: Ppb,
    /// The share in maintenance margin of the charge for its confidence.
    pub(crate) unsure_mm_share: Ppb,
    pub(crate) wrong_way: Ppb,
    /// Its fall in every column, where it is an underlying and `wrong_way` is above 0; else empty.
    pub(crate) falls: Vec<Ppb>,
    /// The same on lanes.
    pub(crate) lanes: Falls,
}

impl<'a> BookTerms<'a> {
    /// Looks everything up. Costs one pass over the arrays.
    pub fn new(arrays: &'a RiskArrays, params: &'a Params) -> Self {
        Self { arrays, params, lookups: Cow::Owned(Lookups::new(arrays, params)) }
    }

    /// From what was looked up in the same arrays and parameters.
    pub fn on(arrays: &'a RiskArrays, params: &'a Params, lookups: &'a Lookups) -> Self {
        Self { arrays, params, lookups: Cow::Borrowed(lookups) }
    }

    /// Whether accounts are answered from the lanes, as far as they fit them.
    pub fn is_native(&self) -> bool {
        self.native().is_some()
    }

    /// Bytes of the entries in lanes.
    pub fn bytes(&self) -> usize {
        self.native().map_or(0, |native| native.rows.bytes())
    }

    pub(crate) fn native(&self) -> Option<&Native> {
        self.lookups.native()
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.lookups.rooms
    }
}

impl Native {
    fn new(arrays: &RiskArrays, params: &Params) -> Option<Self> {
        let floor_share = match &params.aggregation {
            Aggregation::Sum => None,
            Aggregation::Factor { floor_share } => {
                Some(*floor_share).filter(|share| is_share(*share))?.into()
            }
            Aggregation::Joint(_) | Aggregation::Span(_) | Aggregation::Venue(_) => return None,
        };
        let scaled = params.im_scale.0 > 0 && params.mm_scale.0 > 0;
        if params.mode != Mode::Portfolio || !scaled || arrays.check().is_err() {
            return None;
        }
        let columns = Columns::new(&arrays.blocks, arrays.scenarios.len())?;
        for measure in [Measure::Im, Measure::Mm] {
            let read = columns.read(measure);
            if read.grid.places.is_empty() || (floor_share.is_some() && read.states.is_empty()) {
                return None;
            }
        }
        let tenors = tenors(arrays, params)?;
        let charge = |row| charges(row, arrays, params);
        let underlyings: Option<Vec<(Charges, i64)>> = arrays.underlyings.iter().map(charge).collect();
        let (underlyings, factors): (Vec<Charges>, Vec<i64>) = underlyings?.into_iter().unzip();
        let alike = columns.im == columns.mm;
        let rated = |(of, own): (&Charges, &Vec<TenorTerms>)| rates(of, own, params, alike);
        let assets = assets((arrays, params), (&columns, floor_share.is_some()))?;
        Some(Self {
            rows: rows(arrays, &columns, &tenors, largest_factor(&factors, &tenors, params))?,
            alike,
            columns,
            floor_share,
            scales: Scales::new(params, floor_share, alike),
            rates: underlyings.iter().zip(&tenors).map(rated).collect(),
            underlyings,
            assets,
            tenors,
            factors,
        })
    }

    /// See [`Lookups::renew`]; `None` when it must be made anew.
    fn renew(
        &mut self,
        (arrays, params): (&RiskArrays, &Params),
        only: UnderlyingIx,
        moved: &mut Moved,
    ) -> Option<()> {
        let (u, row) = (only.index(), arrays.underlyings.get(only.index())?);
        let rows = || arrays.instruments.iter().zip(0..).filter(|(row, _)| row.underlying == only);
        let seconds = rows().map(|(row, _)| row.seconds_to_expiry).collect();
        *self.tenors.get_mut(u)? = tenors_of(row, seconds, params)?;
        let (charges, factor) = charges(row, arrays, params)?;
        *self.rates.get_mut(u)? = rates(&charges, &self.tenors[u], params, self.alike);
        *self.underlyings.get_mut(u)? = charges;
        *self.factors.get_mut(u)? = factor;
        for terms in self.assets.iter_mut().filter(|terms| terms.asset == row.asset) {
            terms.reprice(arrays, params)?;
        }
        moved.fit(&self.rows);
        for (row, at) in rows() {
            let entries = arrays.row(InstrumentIx(at));
            let given = given(row, entries, &self.tenors)?;
            self.rows.renew(at as usize, (&given, entries), &self.columns, moved)?;
        }
        self.rows.bound(largest_factor(&self.factors, &self.tenors, params));
        Some(())
    }

    /// The place of an asset.
    pub(crate) fn asset(&self, asset: &Asset) -> Option<usize> {
        self.assets.binary_search_by(|terms| terms.asset.cmp(asset)).ok()
    }
}

fn rates(of: &Charges, tenors: &[TenorTerms], params: &Params, alike: bool) -> Rates {
    Rates::new(of, tenors, ((params.im_scale, params.mm_scale), alike))
}

/// Charges are at most so many billionths of what they are on.
fn largest_factor(factors: &[i64], tenors: &[Vec<TenorTerms>], params: &Params) -> i128 {
    let basis = tenors.iter().flatten().map(|tenor| tenor.basis_rate);
    let scales = [params.im_scale.0, params.mm_scale.0];
    factors.iter().copied().chain(scales).map(i128::from).chain(basis).max().unwrap_or(0)
}

fn is_share(ratio: Ppb) -> bool {
    (0..=NANO).contains(&ratio.0)
}

/// The entries of the arrays in lanes; charges are at most so many billionths of what they are on.
fn rows(arrays: &RiskArrays, columns: &Columns, tenors: &[Vec<TenorTerms>], factor: i128) -> Option<Rows> {
    let width = arrays.scenarios.len().max(1);
    let entries = || arrays.pnl.chunks_exact(width);
    let narrow = arrays.pnl.iter().all(|entry| i32::try_from(*entry).is_ok());
    let given: Option<Vec<Given>> =
        arrays.instruments.iter().zip(entries()).map(|(row, entries)| given(row, entries, tenors)).collect();
    let mut rows = Rows::new(&given?, columns, narrow, factor);
    for (i, row) in entries().enumerate() {
        for place in &columns.places {
            rows.set(i, place.place, row[place.column]);
        }
    }
    Some(rows)
}

/// By underlying.
fn tenors(arrays: &RiskArrays, params: &Params) -> Option<Vec<Vec<TenorTerms>>> {
    let mut seconds = vec![Vec::new(); arrays.underlyings.len()];
    for row in &arrays.instruments {
        seconds.get_mut(row.underlying.index())?.push(row.seconds_to_expiry);
    }
    arrays.underlyings.iter().zip(seconds).map(|(row, seconds)| tenors_of(row, seconds, params)).collect()
}

/// The expiries of an underlying, nearest first.
fn tenors_of(row: &UnderlyingRow, mut all: Vec<Option<i64>>, params: &Params) -> Option<Vec<TenorTerms>> {
    all.sort_unstable();
    all.dedup();
    let (basis, vega) = (params.addons.basis.of(&row.asset), params.addons.vega.of(&row.asset));
    let tenor = |seconds: Option<i64>| {
        let rate = basis.map_or(Ok(0), |terms| basis_rate(seconds, terms));
        let shares = seconds.and_then(|s| vega.map(|terms| tenor_shares(s, &terms.buckets)));
        Some(TenorTerms { seconds, basis_rate: rate.ok()?, shares: shares.transpose().ok()? })
    };
    all.into_iter().map(tenor).collect()
}

fn given(row: &InstrumentRow, entries: &[i64], tenors: &[Vec<TenorTerms>]) -> Option<Given> {
    let underlying = row.underlying.0;
    let own = tenors.get(underlying as usize)?;
    let tenor = own.binary_search_by_key(&row.seconds_to_expiry, |tenor| tenor.seconds).ok()?;
    let kind = match row.instrument.contract() {
        Contract::Option { kind: OptionKind::Call, .. } => Kind::Call,
        Contract::Option { kind: OptionKind::Put, .. } => Kind::Put,
        Contract::Spot | Contract::Perpetual | Contract::Future { .. } => Kind::Linear,
    };
    let GreekTicks { delta, gamma, vega, theta, rho, vanna, volga } = row.greeks;
    let greeks = [delta, gamma, vega, theta, rho, vanna, volga, row.mark];
    let amounts = [row.notional, row.funding_8h];
    let most = |of: &[i64]| of.iter().fold(0, |most: u64, x| most.max(x.unsigned_abs()));
    let charged = most(&[delta, vega, row.mark]).max(most(&amounts)).max(most(entries)).max(1);
    let limited = matches!(row.instrument.contract(), Contract::Spot | Contract::Option { .. });
    let (largest, tenor) = ([charged, most(&greeks)], tenor as u32);
    (row.notional >= 0).then_some(Given { greeks, amounts, largest, underlying, tenor, kind, limited })
}

/// The charges on an underlying, and the largest factor in billionths that one of them puts on an amount; `None` when a
/// rate or a share is out of its range.
fn charges(row: &UnderlyingRow, arrays: &RiskArrays, params: &Params) -> Option<(Charges, i64)> {
    fn of<'t, T>(terms: &'t ByAsset<T>, row: &UnderlyingRow) -> Option<&'t T> {
        terms.of(&row.asset)
    }
    let addons = &params.addons;
    let liquidity = match of(&addons.liquidity, row) {
        Some(t) => Some((Liquidity::new(t, arrays.ticks_per_unit, row.price_scan).ok()?, t.mm_share)),
        None => None,
    };
    let wide = of(&addons.confidence, row).map(|t| (too_wide(row.confidence, t.threshold), t));
    let found = Charges {
        short_option: of(&addons.short_option, row).copied(),
        basis: of(&addons.basis, row).map(|t| t.mm_share),
        vega: of(&addons.vega, row).cloned(),
        liquidity,
        confidence: wide.map(|(wide, t)| (wide, t.multiplier, t.mm_share)),
        expiry: of(&addons.expiry, row).map(|t| (t.window_seconds, t.rate, t.mm_share)),
        funding: of(&addons.funding, row).map(|t| (t.periods, t.mm_share)),
    };
    let mut rates = Vec::new();
    rates.extend(found.short_option.iter().flat_map(|t| [t.rate]));
    rates.extend(of(&addons.basis, row).iter().flat_map(|t| [t.rate, t.rate_per_year]));
    rates.extend(found.vega.iter().flat_map(|t| t.buckets.iter().map(|bucket| bucket.shock)));
    let closing = |l: &Liquidity| [l.spread, l.impact, l.vega_impact, l.price_scan];
    rates.extend(found.liquidity.iter().flat_map(|(l, _)| closing(l)));
    rates.extend(found.confidence.iter().map(|(_, multiplier, _)| *multiplier));
    rates.extend(found.expiry.iter().map(|(_, rate, _)| *rate));
    let shares = [
        found.short_option.map(|t| t.mm_share),
        found.basis,
        found.vega.as_ref().map(|t| t.mm_share),
        found.vega.as_ref().map(|t| t.credit),
        found.liquidity.as_ref().map(|(_, share)| *share),
        found.confidence.map(|(_, _, share)| share),
        found.expiry.map(|(_, _, share)| share),
        found.funding.map(|(_, share)| share),
    ];
    let sound = rates.iter().all(|rate| rate.0 >= 0)
        && shares.into_iter().flatten().all(is_share)
        && found.expiry.is_none_or(|(window, _, _)| window > 0);
    let found = Charges { confidence: found.confidence.filter(|(wide, _, _)| wide.0 > 0), ..found };
    let unsure = found.confidence.map(|(wide, multiplier, _)| {
        // Billionths of billionths; beyond the lanes where they do not fit.
        i64::try_from(i128::from(wide.0) * i128::from(multiplier.0) / i128::from(NANO)).unwrap_or(i64::MAX)
    });
    let periods = found.funding.map(|(periods, _)| i64::from(periods).saturating_mul(NANO));
    let factor = rates.iter().map(|rate| rate.0).chain(unsure).chain(periods).max();
    sound.then_some((found, factor.unwrap_or(0)))
}

/// The collateral assets that have terms and a price; `None` when a parameter is out of its range.
fn assets(
    (arrays, params): (&RiskArrays, &Params),
    (columns, together): (&Columns, bool),
) -> Option<Vec<AssetTerms>> {
    let mut all = Vec::new();
    for (asset, terms) in &params.collateral {
        let Some(row) = arrays.asset(asset) else { continue };
        let unsure = params.addons.confidence.of(asset);
        let unsure_mm_share = unsure.map_or(Ppb::ZERO, |t| t.mm_share);
        let haircuts = terms.tiers.iter().map(|tier| tier.haircut);
        let mut shares = haircuts.chain([terms.haircut, terms.wrong_way, terms.mm_share, unsure_mm_share]);
        let factors = [terms.depeg.map(|peg| peg.factor), unsure.map(|t| t.multiplier)];
        let sound = factors.into_iter().flatten().all(|factor| factor.0 >= 0) && row.price > 0;
        if !shares.all(is_share) || !sound {
            return None;
        }
        let valuation = Valuation::new(row, terms, arrays);
        let falls = falls(asset, terms, arrays)?;
        all.push(AssetTerms {
            asset: asset.clone(),
            falling: Falling::new(asset, (valuation.held, terms), arrays, params).ok()?,
            valuation,
            mm_share: terms.mm_share,
            unsure_mm_share,
            wrong_way: terms.wrong_way,
            lanes: Falls::new(&falls, columns, together),
            falls,
        });
    }
    Some(all)
}

impl AssetTerms {
    /// At another price of the asset and confidence of it.
    fn reprice(&mut self, arrays: &RiskArrays, params: &Params) -> Option<()> {
        let row = arrays.asset(&self.asset).filter(|row| row.price > 0)?;
        let terms = params.collateral.get(&self.asset)?;
        self.valuation = Valuation::new(row, terms, arrays);
        self.falling = Falling::new(&self.asset, (self.valuation.held, terms), arrays, params).ok()?;
        Some(())
    }
}

fn falls(asset: &Asset, terms: &CollateralTerms, arrays: &RiskArrays) -> Option<Vec<Ppb>> {
    let place = arrays.underlyings.iter().position(|row| row.asset == *asset);
    let Some(place) = place.filter(|_| terms.wrong_way.0 > 0) else { return Some(Vec::new()) };
    let of = |column: &plimsoll_types::ScenarioColumn| fall(column.spot.get(place)?.0, column.weight.0).ok();
    arrays.scenarios.iter().map(of).collect()
}
