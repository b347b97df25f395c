//! Policies judged on recorded chains and books sampled from their open interest.
//!
//! **The one idea:** what is held and what was lost are found once and by no policy; margins are found chain by chain, each from what
//! was in force then. So margins are independent tasks, and the number of threads is not seen in a number.

use super::books::{Books, Held};
use super::crash::ChainCrash;
use super::losses::{Lost, lost};
use super::margins::Stand;
use super::moment::{Listing, Moment};
use super::rows::ChainRow;
use super::track::{ImpliedHistory, follow, seen};
use crate::check::{at_horizon, check_policies, hears};
use crate::history::History;
use crate::margining::{Bench, MarginingError, shown};
use crate::portfolio::{PortfolioSpec, STANDARD};
use crate::replay::{InForceFrom, Track};
use crate::study::{StudyError, Tell};
use plimsoll_engine::ParamSet;
use plimsoll_policy::{Cause, Knob, Policy, PolicyError};
use plimsoll_types::{Asset, Ppb, Timestamp};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Adjusters whose part of a margin is found by leaving them out.
pub const SEPARATED: [Cause; 3] = [Cause::VolSpike, Cause::Skew, Cause::TermInversion];
/// More books of a style would not fit the numbers they are given.
const BOOKS_MAX: usize = 10_000;

/// What is asked.
#[derive(Clone, Debug)]
pub struct ChainStudy {
    /// The policies, of distinct names.
    pub policies: Vec<Policy>,
    /// The chains, by [`super::in_order`].
    pub moments: Vec<Moment>,
    /// Prices before them.
    pub prices: Vec<History>,
    /// Implied volatility before them.
    pub implied: Vec<ImpliedHistory>,
    /// Margin periods of risk, seconds; > 0.
    pub horizons: Vec<i64>,
    /// Margins are judged from this instant on.
    pub from: Option<Timestamp>,
    /// And losses up to this one.
    pub to: Option<Timestamp>,
    /// Books of each style and underlying.
    pub books: usize,
    /// Seed of what they hold.
    pub seed: u64,
    /// Scenarios and charges.
    pub params: ParamSet,
}

/// A policy over a horizon, whole or without one of its adjusters.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Place of the policy.
    pub policy: usize,
    /// Place of the horizon.
    pub horizon: usize,
    /// The adjuster that is left out.
    pub without: Option<Cause>,
    /// What it did.
    pub track: Track,
}

/// The books of one underlying: what they held, lost and were asked.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// The underlying.
    pub asset: Asset,
    /// Places of the moments at which it has a chain.
    pub places: Vec<usize>,
    /// By chain and book: what was held.
    pub held: Vec<Vec<Held>>,
    /// By horizon and chain: what was lost; `None` where it cannot be judged.
    pub lost: Vec<Vec<Option<Lost>>>,
    /// By variant, chain and book: initial margin, quote units.
    pub margins: Vec<Vec<Vec<f64>>>,
    /// By chain and book: what the preset `fixed` asks.
    pub fixed: Vec<Vec<f64>>,
    /// Units that were drawn.
    pub drawn: u64,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct ChainOutcome {
    /// In the order of underlying, horizon, style and policy.
    pub rows: Vec<ChainRow>,
    /// The worst falls, every style and policy in each.
    pub crashes: Vec<ChainCrash>,
    /// What was sampled.
    pub sampled: Vec<Sampled>,
    /// Policies as they ran, the whole ones first.
    pub variants: Vec<Variant>,
}

/// See [`ChainStudy::check_levels`].
const LEVEL_MAX: f64 = 3.0;

fn refuse<T>(what: &'static str, value: String, expected: &'static str) -> Result<T, StudyError> {
    Err(StudyError::Argument { what, value, expected })
}

impl ChainStudy {
    /// How many tasks there are: a chain of one underlying each.
    pub fn tasks(&self) -> u64 {
        self.moments.iter().map(|moment| moment.listings.len() as u64).sum()
    }

    /// Every underlying of the chains, in the order of names.
    pub fn assets(&self) -> Vec<Asset> {
        let all: BTreeSet<&Asset> = self.moments.iter().flat_map(|m| m.listings.keys()).collect();
        all.into_iter().cloned().collect()
    }

    /// Runs all of it; `tell` is called once a task.
    ///
    /// # Errors
    /// [`StudyError`], the first in order.
    pub fn run(&self, tell: Tell<'_>) -> Result<ChainOutcome, StudyError> {
        self.check()?;
        let assets = self.assets();
        let variants = self.variants(&assets)?;
        let sampled = assets.iter().enumerate().map(|(place, asset)| {
            let (mut sampled, listings) = self.sample(asset);
            self.margin(&mut sampled, (&listings, place), &variants, tell)?;
            Ok(sampled)
        });
        let sampled: Vec<Sampled> = sampled.collect::<Result<_, StudyError>>()?;
        let rows = self.rows(&sampled, &variants)?;
        if rows.is_empty() {
            let value = format!(
                "{} chains, {} units drawn",
                self.moments.len(),
                sampled.iter().map(|of| of.drawn).sum::<u64>()
            );
            return refuse(
                "what is left to judge",
                value,
                "two instants at least with a later one at each horizon",
            );
        }
        let crashes = self.crashes(&sampled, &variants);
        Ok(ChainOutcome { rows, crashes, sampled, variants })
    }

    fn check(&self) -> Result<(), StudyError> {
        if let Some((from, to)) = self.from.zip(self.to).filter(|(from, to)| from >= to) {
            return refuse("the time judged from", format!("{from}, up to {to}"), "before the end");
        }
        self.check_levels()?;
        if self.policies.is_empty() || self.moments.is_empty() {
            return refuse("a list of policies or chains", "empty".to_owned(), "one at least");
        }
        if !(1..=BOOKS_MAX).contains(&self.books) {
            return refuse("the number of books", self.books.to_string(), "1 to 10000");
        }
        if let Some(bad) = self.horizons.iter().find(|h| **h <= 0 || **h > 30 * 86_400) {
            return refuse("the horizon", format!("{bad} s"), "above 0 and at most 30 days");
        }
        if let Some(twice) =
            self.horizons.iter().enumerate().find(|(i, h)| self.horizons.iter().take(*i).any(|o| o == *h))
        {
            return Err(StudyError::Twice { what: "horizons", name: format!("{} s", twice.1) });
        }
        check_policies(&self.policies)?;
        let Some(asset) = self.assets().into_iter().next() else { return Ok(()) };
        let standard = PortfolioSpec::from_toml(STANDARD).map_err(MarginingError::from)?;
        let alone: Vec<&PortfolioSpec> = standard.iter().filter(|of| of.assets() == 1).take(1).collect();
        hears(&Bench::new(&[asset], &alone, &self.params)?, &self.params)
    }

    /// Between two chains an index moves by no more than [`LEVEL_MAX`]: beyond it is another unit, or a misprint.
    fn check_levels(&self) -> Result<(), StudyError> {
        let mut last: BTreeMap<&Asset, f64> = BTreeMap::new();
        for moment in &self.moments {
            for (asset, listing) in &moment.listings {
                let before = last.insert(asset, listing.index).unwrap_or(listing.index);
                let ratio = listing.index / before;
                if !(1.0 / LEVEL_MAX..=LEVEL_MAX).contains(&ratio) {
                    let value = format!("{asset} at {}: {ratio} times the one before", moment.at);
                    return refuse("the index of a chain", value, "from a third to three times");
                }
            }
        }
        Ok(())
    }

    /// Every policy at every horizon, whole, and then without each of its adjusters that are separated.
    fn variants(&self, assets: &[Asset]) -> Result<Vec<Variant>, StudyError> {
        let mut all = Vec::new();
        for without in std::iter::once(None).chain(SEPARATED.map(Some)) {
            for (policy, of) in self.policies.iter().enumerate() {
                let Some(of) = left_out(of, without)? else { continue };
                for (horizon, seconds) in self.horizons.iter().enumerate() {
                    all.push((policy, horizon, without, at_horizon(&of, *seconds)?));
                }
            }
        }
        let signals = seen(&self.moments, &self.prices, &self.implied);
        let judged = self.moments.first().map(|moment| moment.at).unwrap_or_default();
        let one = |(policy, horizon, without, of): (usize, usize, Option<Cause>, Policy)| {
            let track = follow(&of, &signals, assets, judged)?;
            Ok(Variant { policy, horizon, without, track })
        };
        all.into_par_iter().map(one).collect()
    }

    /// What is held, and what is lost on it.
    fn sample(&self, asset: &Asset) -> (Sampled, Vec<(Timestamp, &Listing)>) {
        let mut books = Books::new(asset, self.books, self.seed);
        let (mut places, mut held, mut listings) = (Vec::new(), Vec::new(), Vec::new());
        for (place, moment) in self.moments.iter().enumerate() {
            let Some(listing) = moment.listings.get(asset) else { continue };
            held.push(books.advance(listing, moment.at, &self.params.units));
            places.push(place);
            listings.push((moment.at, listing));
        }
        let over = |horizon: &i64| {
            let at = |(place, held): (&usize, &Vec<Held>)| {
                let found = lost(&self.moments, (asset, *place), held, *horizon, &self.params.units);
                found.filter(|lost| self.to.is_none_or(|to| lost.until <= to))
            };
            places.par_iter().zip(&held).map(at).collect()
        };
        let lost = self.horizons.iter().map(over).collect();
        let drawn = books.drawn;
        let (asset, margins, fixed) = (asset.clone(), Vec::new(), Vec::new());
        (Sampled { asset, places, held, lost, margins, fixed, drawn }, listings)
    }

    /// What every variant asks at every chain.
    fn margin(
        &self,
        sampled: &mut Sampled,
        (listings, place): (&[(Timestamp, &Listing)], usize),
        variants: &[Variant],
        tell: Tell<'_>,
    ) -> Result<(), StudyError> {
        let (params, fixed) = (shown(&self.params, 1), shown(&ParamSet::preset("fixed")?, 1));
        let fixed = ParamSet { units: params.units.clone(), ..fixed };
        let one = |((at, listing), held): (&(Timestamp, &Listing), &Vec<Held>)| {
            let mut stand = Stand::new(&sampled.asset, listing, held, &params)?;
            let margins = at_chain(&mut stand, *at, place, variants)?;
            let fixed = Stand::new(&sampled.asset, listing, held, &fixed)?.margins(&|_, _| None)?;
            tell();
            Ok((margins, fixed))
        };
        let all: Vec<(Vec<Vec<f64>>, Vec<f64>)> =
            listings.par_iter().zip(&sampled.held).map(one).collect::<Result<_, MarginingError>>()?;
        let mut margins = vec![Vec::with_capacity(all.len()); variants.len()];
        let mut asked = Vec::with_capacity(all.len());
        for (of, fixed) in all {
            for (margins, of) in margins.iter_mut().zip(of) {
                margins.push(of);
            }
            asked.push(fixed);
        }
        (sampled.margins, sampled.fixed) = (margins, asked);
        Ok(())
    }
}

/// The margins of all variants at one chain; equal values are margined once.
fn at_chain(
    stand: &mut Stand<'_>,
    at: Timestamp,
    place: usize,
    variants: &[Variant],
) -> Result<Vec<Vec<f64>>, MarginingError> {
    let mut known: BTreeMap<&[(Knob, Ppb)], Vec<f64>> = BTreeMap::new();
    let mut all = Vec::with_capacity(variants.len());
    for variant in variants {
        let in_force = variant.track.in_force.get(place).and_then(|entries| last(entries, at));
        let values = in_force.map_or(&[][..], |entry| &entry.values);
        if let Some(margins) = known.get(values) {
            all.push(margins.clone());
            continue;
        }
        let margins = stand.margins(&|knob, _: &Asset| in_force.and_then(|entry| entry.of(knob)))?;
        known.insert(values, margins.clone());
        all.push(margins);
    }
    Ok(all)
}

fn last(entries: &[InForceFrom], at: Timestamp) -> Option<&InForceFrom> {
    entries.get(entries.partition_point(|entry| entry.at <= at).checked_sub(1)?)
}

/// A policy without an adjuster; `None` where it has none that acts.
fn left_out(policy: &Policy, cause: Option<Cause>) -> Result<Option<Policy>, StudyError> {
    let Some(cause) = cause else { return Ok(Some(policy.clone())) };
    let mut file = policy.file().clone();
    let acts = file.adjusters.as_mut().and_then(|all| all.by.get_mut(&cause)).filter(|one| one.on);
    let Some(adjuster) = acts else { return Ok(None) };
    adjuster.on = false;
    Policy::new(file).map(Some).map_err(|source| refused(policy, 1, source))
}

fn refused(policy: &Policy, steps: u32, source: PolicyError) -> StudyError {
    StudyError::Policy { policy: policy.name().to_owned(), steps, source: Box::new(source) }
}
