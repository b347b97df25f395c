//! What the margin of an account depends on beside the account, looked up once per tick.

use super::charge::Rates;
use super::columns::Columns;
use super::fall::Falls;
use super::rows::{Given, Kind, Rows};
use super::whole::Rooms;
use crate::aggregate::Measure;
use crate::collateral_charges::Falling;
use crate::equity::Valuation;
use crate::formulas::{Liquidity, TenorShares, basis_rate, tenor_shares, too_wide};
use crate::wrong_way::fall;
use crate::{Aggregation, ByAsset, CollateralTerms, Mode, Params, ShortOptionTerms, VegaTerms};
use plimsoll_types::{
    Asset, Contract, GreekTicks, InstrumentRow, NANO, OptionKind, Ppb, RiskArrays, UnderlyingRow,
};

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
    pub(crate) native: Option<Native<'a>>,
    pub(crate) rooms: Rooms,
}

/// What the lanes read.
#[derive(Clone, Debug)]
pub(crate) struct Native<'a> {
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) rows: Rows,
    pub(crate) columns: Columns,
    /// Whether both measures read the same columns.
    pub(crate) alike: bool,
    /// The floor share of aggregation `factor`.
    pub(crate) floor_share: Option<Ppb>,
    pub(crate) underlyings: Vec<Charges<'a>>,
    /// The same on lanes, with those of their expiries.
    pub(crate) rates: Vec<Rates>,
    /// In order of name.
    pub(crate) assets: Vec<AssetTerms<'a>>,
}

/// An expiry of an underlying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenorTerms {
    pub(crate) underlying: u32,
    pub(crate) seconds: Option<i64>,
    pub(crate) basis_rate: i128,
    pub(crate) shares: Option<TenorShares>,
}

/// The charges on an underlying, with the share of each in maintenance margin last.
#[derive(Clone, Debug)]
pub(crate) struct Charges<'a> {
    pub(crate) short_option: Option<ShortOptionTerms>,
    pub(crate) basis: Option<Ppb>,
    pub(crate) vega: Option<&'a VegaTerms>,
    pub(crate) liquidity: Option<(Liquidity, Ppb)>,
    /// By how much the confidence of the index is too wide, and the factor on that; `None` where nothing comes of it.
    pub(crate) confidence: Option<(Ppb, Ppb, Ppb)>,
    /// Window and rate.
    pub(crate) expiry: Option<(i64, Ppb, Ppb)>,
    pub(crate) funding: Option<(u32, Ppb)>,
}

/// A collateral asset with terms and a price.
#[derive(Clone, Debug)]
pub(crate) struct AssetTerms<'a> {
    pub(crate) asset: &'a Asset,
    pub(crate) valuation: Valuation<'a>,
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
        Self { arrays, params, native: Native::new(arrays, params), rooms: Rooms::default() }
    }

    /// Whether accounts are answered from the lanes, as far as they fit them.
    pub fn is_native(&self) -> bool {
        self.native.is_some()
    }

    /// Bytes of the entries in lanes.
    pub fn bytes(&self) -> usize {
        self.native.as_ref().map_or(0, |native| native.rows.bytes())
    }
}

impl<'a> Native<'a> {
    fn new(arrays: &'a RiskArrays, params: &'a Params) -> Option<Self> {
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
        let rated = |(u, of)| Rates::new(of, own(&tenors, u), ((params.im_scale, params.mm_scale), alike));
        let basis = tenors.iter().map(|tenor| tenor.basis_rate);
        let factor = factors.into_iter().chain([params.im_scale.0, params.mm_scale.0]).map(i128::from);
        let assets = assets((arrays, params), (&columns, floor_share.is_some()))?;
        Some(Self {
            arrays,
            rows: rows(arrays, &columns, &tenors, factor.chain(basis).max().unwrap_or(0))?,
            alike,
            columns,
            floor_share,
            rates: underlyings.iter().enumerate().map(rated).collect(),
            underlyings,
            assets,
        })
    }
}

impl Native<'_> {
    /// The place of an asset.
    pub(crate) fn asset(&self, asset: &Asset) -> Option<usize> {
        self.assets.binary_search_by(|terms| terms.asset.cmp(asset)).ok()
    }
}

fn is_share(ratio: Ppb) -> bool {
    (0..=NANO).contains(&ratio.0)
}

/// The expiries of an underlying, nearest first.
fn own(tenors: &[TenorTerms], underlying: usize) -> &[TenorTerms] {
    let start = tenors.partition_point(|tenor| (tenor.underlying as usize) < underlying);
    let end = tenors.partition_point(|tenor| tenor.underlying as usize <= underlying);
    &tenors[start..end]
}

/// The entries of the arrays in lanes; charges are at most so many billionths of what they are on.
fn rows(arrays: &RiskArrays, columns: &Columns, tenors: &[TenorTerms], factor: i128) -> Option<Rows> {
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

fn tenors(arrays: &RiskArrays, params: &Params) -> Option<Vec<TenorTerms>> {
    let mut keys: Vec<(u32, Option<i64>)> =
        arrays.instruments.iter().map(|row| (row.underlying.0, row.seconds_to_expiry)).collect();
    keys.sort_unstable();
    keys.dedup();
    let tenor = |(underlying, seconds): (u32, Option<i64>)| {
        let asset = &arrays.underlyings.get(underlying as usize)?.asset;
        let rate = params.addons.basis.of(asset).map_or(Ok(0), |terms| basis_rate(seconds, terms));
        let vega = params.addons.vega.of(asset);
        let shares = seconds.and_then(|s| vega.map(|terms| tenor_shares(s, &terms.buckets)));
        Some(TenorTerms { underlying, seconds, basis_rate: rate.ok()?, shares: shares.transpose().ok()? })
    };
    keys.into_iter().map(tenor).collect()
}

fn given(row: &InstrumentRow, entries: &[i64], tenors: &[TenorTerms]) -> Option<Given> {
    let underlying = row.underlying.0;
    let own = own(tenors, underlying as usize);
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
fn charges<'a>(row: &UnderlyingRow, arrays: &RiskArrays, params: &'a Params) -> Option<(Charges<'a>, i64)> {
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
        vega: of(&addons.vega, row),
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
        found.vega.map(|t| t.mm_share),
        found.vega.map(|t| t.credit),
        found.liquidity.map(|(_, share)| share),
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
fn assets<'a>(
    (arrays, params): (&'a RiskArrays, &'a Params),
    (columns, together): (&Columns, bool),
) -> Option<Vec<AssetTerms<'a>>> {
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
            asset,
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

fn falls(asset: &Asset, terms: &CollateralTerms, arrays: &RiskArrays) -> Option<Vec<Ppb>> {
    let place = arrays.underlyings.iter().position(|row| row.asset == *asset);
    let Some(place) = place.filter(|_| terms.wrong_way.0 > 0) else { return Some(Vec::new()) };
    let of = |column: &plimsoll_types::ScenarioColumn| fall(column.spot.get(place)?.0, column.weight.0).ok();
    arrays.scenarios.iter().map(of).collect()
}
