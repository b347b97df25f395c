//! Sixteen underlyings of 250 options each, their smiles, and the scenarios they are revalued under.

use crate::bench::frame::{Frame, Type};
use anyhow::{Context, bail};
use plimsoll_market::{Slice, SliceQuality, Surface, UnderlyingSurface};
use plimsoll_quant::special::exp;
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_quant::svi::Svi;
use plimsoll_risk::{Move, Scenario, ScenarioBlock, ScenarioSet, ScenarioSpec, Sticky, VolShock, generate};
use plimsoll_types::{
    Asset, Contract, Decimal, ForwardSource, Instrument, LotSize, Timestamp, Units, nearest_f64,
};
use std::collections::BTreeMap;
use std::path::Path;

/// What is listed, at which prices, and what may happen to it.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Listing {
    /// Ticks and lots.
    pub(in crate::bench) units: Units,
    /// Index, forwards and smiles.
    pub(in crate::bench) surface: Surface,
    /// Options in order of underlying, expiry, strike, and call before put.
    pub(in crate::bench) instruments: Vec<Instrument>,
    /// The moves.
    pub(in crate::bench) set: ScenarioSet,
}

/// Which scenarios.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::bench) enum ScenarioKind {
    /// 64 columns, each underlying by itself: 21 prices by three volatilities and a tail.
    Grid,
    /// 64 columns: a grid of 28 and a common factor under three states of the correlation.
    Factor,
    /// Each underlying by itself: prices evenly from minus to plus one scan, at the volatility up and down.
    Prices {
        /// How many columns; even.
        columns: usize,
    },
    /// Joint Student-t moves of all underlyings.
    Joint {
        /// How many.
        paths: usize,
    },
}

/// Name, index price and quantity of a lot.
const COINS: [(&str, f64, &str); 16] = [
    ("AAVE", 180.0, "0.1"),
    ("ADA", 0.41, "50"),
    ("APT", 2.1, "10"),
    ("ATOM", 2.6, "10"),
    ("AVAX", 14.2, "1"),
    ("BNB", 910.0, "0.01"),
    ("BTC", 91_000.0, "0.001"),
    ("DOGE", 0.14, "100"),
    ("DOT", 2.2, "10"),
    ("ETH", 3_100.0, "0.01"),
    ("LINK", 13.8, "1"),
    ("LTC", 76.0, "0.2"),
    ("NEAR", 1.7, "10"),
    ("SOL", 142.0, "0.1"),
    ("UNI", 5.4, "2"),
    ("XRP", 2.08, "10"),
];

/// The days the options settle on.
const DATES: [&str; 5] = ["20260123", "20260130", "20260227", "20260327", "20260626"];

/// The instant of the market.
const AS_OF: &str = "2026-01-15T10:00:00Z";

/// Strikes either side of the middle one, and their distance in standard deviations.
const STRIKES: i32 = 12;
const STEP: f64 = 0.18;

const SCALES: &str = r#"
price_scan = { "*" = 0.15 }
vol_scan = { "*" = { up = 0.45, down = 0.3 } }
vol_shock = { kind = "relative", power_short = 0.3, power_long = 0.13, dte_floor = 1.0 }
"#;

const GRID: &str = r#"
[[scenarios]]
kind = "grid"
purpose = "both"
[[scenarios.points]]
price = [-1, "-9/10", "-4/5", "-7/10", "-3/5", "-1/2", "-2/5", "-3/10", "-1/5", "-1/10",
    0, "1/10", "1/5", "3/10", "2/5", "1/2", "3/5", "7/10", "4/5", "9/10", 1]
vol = ["up", "none", "down"]
weight = 1
[[scenarios.points]]
price = [-2]
vol = ["none"]
weight = 0.35
"#;

const FACTOR: &str = r#"
[[scenarios]]
kind = "grid"
purpose = "both"
[[scenarios.points]]
price = [-1, "-3/4", "-1/2", "-1/4", 0, "1/4", "1/2", "3/4", 1]
vol = ["up", "none", "down"]
weight = 1
[[scenarios.points]]
price = [-2]
vol = ["none"]
weight = 0.35
[[scenarios]]
kind = "factor"
purpose = "both"
loading = { BTC = 0.95, ETH = 0.95, SOL = 0.85, "*" = 0.80 }
states = ["estimated", "crash", "breakdown"]
breakdown = 0.5
[[scenarios.points]]
price = [-1, 0, 1]
vol = ["up", "down"]
weight = 1
[[scenarios.points]]
price = [-2]
vol = ["none"]
weight = 0.35
"#;

const JOINT: &str = r#"
[[scenarios]]
kind = "monte_carlo"
purpose = "both"
sampling = "sobol"
seed = 7
nu = 4.0
horizon_days = 1.0
daily_vol = { BTC = 0.03, ETH = 0.04, "*" = 0.05 }
correlation = { "*" = 0.6 }
vol = { daily_vol = { "*" = 0.06 }, leverage = { "*" = -0.4 } }
"#;

impl ScenarioKind {
    fn toml(self) -> String {
        match self {
            Self::Grid => format!("{SCALES}{GRID}"),
            Self::Factor => format!("{SCALES}{FACTOR}"),
            Self::Prices { columns } => {
                let half = (columns / 2).max(2);
                let price = |i: usize| 2.0 * i as f64 / (half - 1) as f64 - 1.0;
                let prices: Vec<f64> = (0..half).map(price).collect();
                let entry = "[[scenarios]]\nkind = \"grid\"\npurpose = \"both\"\n[[scenarios.points]]\n";
                format!("{SCALES}{entry}price = {prices:?}\nvol = [\"up\", \"down\"]\nweight = 1\n")
            }
            Self::Joint { paths } => format!("{SCALES}{JOINT}paths = {paths}\n"),
        }
    }
}

impl Listing {
    /// The listing and its scenarios.
    pub(in crate::bench) fn made(kind: ScenarioKind) -> anyhow::Result<Self> {
        let as_of: Timestamp = AS_OF.parse()?;
        let mut surface =
            Surface { as_of, underlyings: BTreeMap::new(), assets: BTreeMap::new(), issues: Vec::new() };
        let mut instruments = Vec::new();
        for (place, (name, index, _)) in (0_u32..).zip(COINS) {
            let (market, listed) = underlying(as_of, name, index, place)?;
            surface.underlyings.insert(name.parse()?, market);
            instruments.extend(listed);
        }
        let assets: Vec<Asset> = surface.underlyings.keys().cloned().collect();
        set_assets(&mut surface)?;
        let spec = ScenarioSpec::from_toml(&kind.toml())?;
        let set = generate(&spec, &assets, &BTreeMap::new())?;
        Ok(Self { units: units(COINS.map(|(name, _, lot)| (name, lot)))?, surface, instruments, set })
    }

    /// The same with every option keeping its own volatility when spot moves, as venues that state one volatility per
    /// option do; nothing of the smile is evaluated per cell then.
    pub(in crate::bench) fn keeping_vols(mut self) -> Self {
        self.set.vol_shock.sticky = Sticky::Strike;
        self
    }

    /// Names of the underlyings in order.
    pub(in crate::bench) fn underlyings(&self) -> Vec<String> {
        self.set.underlyings.iter().map(ToString::to_string).collect()
    }
}

/// Prices of what collateral is held in: two dollars, and every coin at its index.
fn set_assets(surface: &mut Surface) -> anyhow::Result<()> {
    let coins =
        surface.underlyings.iter().map(|(asset, market)| (asset.clone(), (market.index, market.confidence)));
    surface.assets = coins.collect();
    for (name, price) in [("USDC", 0.9998), ("USD", 1.0)] {
        surface.assets.insert(name.parse()?, (price, 5e-4));
    }
    Ok(())
}

fn units<'a>(lots: impl IntoIterator<Item = (&'a str, &'a str)>) -> anyhow::Result<Units> {
    let size = |base: Decimal| LotSize { base, quote: Decimal::ONE };
    let one = |(name, lot): (&str, &str)| Ok((name.parse()?, size(lot.parse()?)));
    let lots = lots.into_iter().map(one).collect::<anyhow::Result<BTreeMap<Asset, LotSize>>>()?;
    let currency = "USD".parse()?;
    Ok(Units { currency, ticks_per_unit: 1_000_000, lot: size(Decimal::new(1, 3)), lots })
}

/// Five smiles and their fifty options each.
fn underlying(
    as_of: Timestamp,
    name: &str,
    index: f64,
    place: u32,
) -> anyhow::Result<(UnderlyingSurface, Vec<Instrument>)> {
    let vol = 0.45 + 0.03 * f64::from(place);
    let (mut slices, mut listed) = (Vec::new(), Vec::new());
    for date in DATES {
        let dated: Instrument = format!("{name}-{date}").parse()?;
        let expiry = dated.expiry().context("a dated contract has an expiry")?;
        let tau = as_of.years_until(expiry);
        let forward = index * exp(0.04 * tau);
        let theta = vol * vol * tau;
        let svi = SsviSlice { theta, rho: -0.2, phi: 0.9 / theta.sqrt() }.raw();
        slices.push(Slice { expiry, tau, forward, svi, quality: SliceQuality::default() });
        for j in -STRIKES..=STRIKES {
            let strike = four_digits(forward * exp(STEP * f64::from(j) * theta.sqrt()))?;
            for side in ["C", "P"] {
                listed.push(format!("{name}-{date}-{strike}-{side}").parse()?);
            }
        }
    }
    Ok((market(index, 5e-4, slices), listed))
}

fn market(index: f64, confidence: f64, slices: Vec<Slice>) -> UnderlyingSurface {
    UnderlyingSurface {
        index,
        confidence,
        forwards: slices.iter().map(|slice| (slice.expiry, slice.forward, ForwardSource::Venue)).collect(),
        perpetuals: BTreeMap::new(),
        futures: BTreeMap::new(),
        slices,
        refused: Vec::new(),
    }
}

/// A positive number to four digits, as a decimal.
fn four_digits(x: f64) -> anyhow::Result<Decimal> {
    Ok(Decimal::from_scientific(&format!("{x:.3e}"))?.normalize())
}

impl Listing {
    /// As tables that another program can value the options from.
    pub(in crate::bench) fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        Ok(vec![self.underlying_frame()?, self.smile_frame(), self.instrument_frame()?, self.shock_frame()?]
            .into_iter()
            .chain(self.scenario_frames()?)
            .collect())
    }

    fn underlying_frame(&self) -> anyhow::Result<Frame> {
        let markets = || self.surface.underlyings.values();
        let lots = self.surface.underlyings.keys().map(|asset| self.units.lot_of(asset).base.to_string());
        Ok(Frame::new("underlyings", "A row is an underlying; other tables give its row, from 0.")
            .text("underlying", "name", self.underlyings())
            .float("index", "price of one unit, USD", markets().map(|m| m.index).collect())
            .float(
                "confidence",
                "relative half-width of the index",
                markets().map(|m| m.confidence).collect(),
            )
            .text("lot", "units per lot, an exact decimal", lots.collect())
            .float("price_scan", "the price scan of the scenarios", self.set.price_scan.clone()))
    }

    fn smile_frame(&self) -> Frame {
        let slices = || self.surface.underlyings.values().flat_map(|market| &market.slices);
        let places = (0_u32..).zip(self.surface.underlyings.values());
        let of = places.flat_map(|(place, market)| market.slices.iter().map(move |_| place)).collect();
        let about = "A row is an expiry: total variance w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), \
                     k = ln(strike/forward), volatility sqrt(w/tau).";
        let svi = |part: fn(&Svi) -> f64| slices().map(|slice| part(&slice.svi)).collect::<Vec<f64>>();
        Frame::new("smiles", about)
            .index("underlying", "row of `underlyings`", of)
            .text("expiry", "when its options settle", slices().map(|s| s.expiry.to_string()).collect())
            .float("tau", "years to expiry, of 365 days", slices().map(|s| s.tau).collect())
            .float("forward", "forward price, USD", slices().map(|s| s.forward).collect())
            .float("a", "see above", svi(|svi| svi.a))
            .float("b", "see above", svi(|svi| svi.b))
            .float("rho", "see above", svi(|svi| svi.rho))
            .float("m", "see above", svi(|svi| svi.m))
            .float("sigma", "see above", svi(|svi| svi.sigma))
    }

    fn instrument_frame(&self) -> anyhow::Result<Frame> {
        let terms =
            self.instruments.iter().map(|i| BookTerms::of(self, i)).collect::<anyhow::Result<Vec<_>>>()?;
        let numbers = |part: fn(&BookTerms) -> f64| terms.iter().map(part).collect::<Vec<f64>>();
        Ok(Frame::new("instruments", "A row is an option, in the order of every other table's `instrument`.")
            .text("instrument", "name", self.instruments.iter().map(ToString::to_string).collect())
            .index("underlying", "row of `underlyings`", terms.iter().map(|t| t.underlying).collect())
            .text("kind", "`C` call, `P` put", terms.iter().map(|t| t.kind.to_owned()).collect())
            .float("strike", "strike, USD", numbers(|t| t.strike))
            .float("tau", "years to expiry", numbers(|t| t.tau))
            .float("forward", "forward of its expiry, USD", numbers(|t| t.forward))
            .float("vol", "volatility of the smile at its strike, decimal", numbers(|t| t.vol))
            .float("lot", "units per lot", numbers(|t| t.lot)))
    }

    fn shock_frame(&self) -> anyhow::Result<Frame> {
        let VolShock { power_short, power_long, dte_floor, min_vol_up, sticky, .. } = self.set.vol_shock;
        let about = "One row. A volatility move x makes vol (1 + x (30/max(days, dte_floor))^p), p = power_short up to \
                     30 days to expiry and power_long beyond, days = 365 tau; where x > 0 it is at least min_vol_up.";
        let sticky = serde_json::to_string(&sticky).context("a word")?.replace('"', "");
        Ok(Frame::new("vol_shock", about)
            .float("power_short", "see above", vec![power_short])
            .float("power_long", "see above", vec![power_long])
            .float("dte_floor", "days", vec![dte_floor])
            .float("min_vol_up", "annualised decimal", vec![min_vol_up])
            .text("sticky", "`moneyness`: vol is that of the smile at ln(strike/moved forward); `strike`: that of `instruments`", vec![sticky]))
    }

    fn scenario_frames(&self) -> anyhow::Result<[Frame; 2]> {
        let (mut label, mut weight, mut pair, mut block) = (vec![], vec![], vec![], vec![]);
        let (mut kind, mut purpose) = (vec![], vec![]);
        let (mut column, mut underlying, mut spot, mut vol) = (vec![], vec![], vec![], vec![]);
        for (b, made) in (0_u32..).zip(&self.set.blocks) {
            for scenario in &made.scenarios {
                let at = u32::try_from(label.len())?;
                label.push(scenario.label.clone());
                weight.push(scenario.weight);
                pair.push(u32::try_from(scenario.pair)?);
                block.push(b);
                kind.push(serde_json::to_string(&made.kind)?);
                purpose.push(serde_json::to_string(&made.purpose)?);
                for (u, one) in (0_u32..).zip(&scenario.moves) {
                    if *one != (Move { spot: one.spot, vol: one.vol, ..Move::default() }) {
                        bail!("scenario {}: only moves of spot and volatility have a column", scenario.label);
                    }
                    column.push(at);
                    underlying.push(u);
                    spot.push(one.spot);
                    vol.push(one.vol);
                }
            }
        }
        let scenarios = Frame::new("scenarios", "A row is a scenario, a column of `risk_arrays`.")
            .text("label", "in words", label)
            .float("weight", "share of profit or loss that counts", weight)
            .index("pair", "place within its block of the one that differs in volatility's direction", pair)
            .index("block", "number of its block: a run of scenarios with one meaning", block)
            .text("kind", "meaning of the block", kind)
            .text("purpose", "the requirement it serves", purpose);
        let moves = Frame::new("moves", "A row is what a scenario does to an underlying.")
            .index("scenario", "row of `scenarios`", column)
            .index("underlying", "row of `underlyings`", underlying)
            .float("spot", "relative move of index and forwards", spot)
            .float("vol", "move x of volatility at 30 days, see `vol_shock`", vol);
        Ok([scenarios, moves])
    }

    /// From the tables of [`Listing::frames`].
    pub(in crate::bench) fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut listing = Self::made(ScenarioKind::Grid)?;
        let wanted = [("underlying", Type::Text), ("lot", Type::Text)];
        let numbers = ["index", "confidence", "price_scan"].map(|name| (name, Type::Float));
        let mut frame = Frame::read(directory, "underlyings", &[&wanted[..], &numbers].concat())?;
        let (names, lots) = (frame.words("underlying")?, frame.words("lot")?);
        let (index, confidence) = (frame.floats("index")?, frame.floats("confidence")?);
        listing.set.price_scan = frame.floats("price_scan")?;
        listing.units = units(names.iter().map(String::as_str).zip(lots.iter().map(String::as_str)))?;
        let assets = names.iter().map(|name| Ok(name.parse()?)).collect::<anyhow::Result<Vec<Asset>>>()?;
        if !assets.is_sorted_by(|a, b| a < b) {
            bail!("underlyings: expected rows in rising order of name");
        }
        let mut smiles = smiles(directory, assets.len())?.into_iter();
        let markets = index.into_iter().zip(confidence).zip(&assets).map(|((index, confidence), asset)| {
            (asset.clone(), market(index, confidence, smiles.next().unwrap_or_default()))
        });
        listing.surface.underlyings = markets.collect();
        set_assets(&mut listing.surface)?;
        let mut frame = Frame::read(directory, "instruments", &[("instrument", Type::Text)])?;
        let names = frame.words("instrument")?;
        listing.instruments = names.iter().map(|name| Ok(name.parse()?)).collect::<anyhow::Result<_>>()?;
        listing.set.vol_shock = shock(directory, listing.set.vol_shock)?;
        listing.set.blocks = blocks(directory, assets.len())?;
        listing.set.underlyings = assets;
        Ok(listing)
    }
}

/// What a table says of an option.
struct BookTerms {
    underlying: u32,
    kind: &'static str,
    strike: f64,
    tau: f64,
    forward: f64,
    vol: f64,
    lot: f64,
}

impl BookTerms {
    fn of(listing: &Listing, instrument: &Instrument) -> anyhow::Result<Self> {
        let Contract::Option { expiry, strike, kind } = instrument.contract() else {
            bail!("{instrument}: expected an option");
        };
        let market = listing.surface.underlying(instrument.underlying())?;
        let forward = market.forward(listing.surface.as_of, expiry)?;
        let strike = nearest_f64(strike);
        let place = listing.set.underlyings.iter().position(|asset| asset == instrument.underlying());
        Ok(Self {
            underlying: u32::try_from(place.context("an underlying of the set")?)?,
            kind: if kind == plimsoll_types::OptionKind::Call { "C" } else { "P" },
            strike,
            tau: listing.surface.as_of.years_until(expiry),
            forward,
            vol: market.vol(expiry, plimsoll_quant::special::ln(strike / forward))?,
            lot: nearest_f64(listing.units.lot(instrument)),
        })
    }
}

fn smiles(directory: &Path, underlyings: usize) -> anyhow::Result<Vec<Vec<Slice>>> {
    let names = ["tau", "forward", "a", "b", "rho", "m", "sigma"].map(|name| (name, Type::Float));
    let wanted = [&[("underlying", Type::Index), ("expiry", Type::Text)], &names[..]].concat();
    let mut frame = Frame::read(directory, "smiles", &wanted)?;
    let (of, expiries) = (frame.indices("underlying")?, frame.words("expiry")?);
    let [tau, forward, a, b, rho, m, sigma] = names.map(|(name, _)| frame.floats(name));
    let (tau, forward, a, b, rho, m, sigma) = (tau?, forward?, a?, b?, rho?, m?, sigma?);
    let mut all = vec![Vec::new(); underlyings];
    for (i, (of, expiry)) in of.iter().zip(&expiries).enumerate() {
        let svi = Svi { a: a[i], b: b[i], rho: rho[i], m: m[i], sigma: sigma[i] };
        let expiry = expiry.parse()?;
        let slice = Slice { expiry, tau: tau[i], forward: forward[i], svi, quality: SliceQuality::default() };
        all.get_mut(*of as usize)
            .with_context(|| format!("smiles: there is no underlying {of}"))?
            .push(slice);
    }
    Ok(all)
}

fn shock(directory: &Path, base: VolShock) -> anyhow::Result<VolShock> {
    let names = ["power_short", "power_long", "dte_floor", "min_vol_up"].map(|name| (name, Type::Float));
    let wanted = [&[("sticky", Type::Text)], &names[..]].concat();
    let mut frame = Frame::read(directory, "vol_shock", &wanted)?;
    let sticky =
        serde_json::Value::String(frame.words("sticky")?.first().context("vol_shock: no row")?.clone());
    let mut number =
        |name| Ok::<f64, anyhow::Error>(*frame.floats(name)?.first().context("vol_shock: no row")?);
    Ok(VolShock {
        power_short: number("power_short")?,
        power_long: number("power_long")?,
        dte_floor: number("dte_floor")?,
        min_vol_up: number("min_vol_up")?,
        sticky: serde_json::from_value(sticky)?,
        ..base
    })
}

fn blocks(directory: &Path, underlyings: usize) -> anyhow::Result<Vec<ScenarioBlock>> {
    let places = ["pair", "block"].map(|name| (name, Type::Index));
    let words = ["label", "kind", "purpose"].map(|name| (name, Type::Text));
    let wanted = [&[("weight", Type::Float)], &places[..], &words[..]].concat();
    let mut frame = Frame::read(directory, "scenarios", &wanted)?;
    let (label, kind, purpose) = (frame.words("label")?, frame.words("kind")?, frame.words("purpose")?);
    let (weight, pair, block) = (frame.floats("weight")?, frame.indices("pair")?, frame.indices("block")?);
    let moves = moves(directory, label.len(), underlyings)?;
    let mut blocks: Vec<ScenarioBlock> = Vec::new();
    let mut last = None;
    for (i, moves) in moves.into_iter().enumerate() {
        if last != Some(block[i]) {
            let (kind, purpose) = (serde_json::from_str(&kind[i])?, serde_json::from_str(&purpose[i])?);
            blocks.push(ScenarioBlock { kind, purpose, scenarios: Vec::new() });
            last = Some(block[i]);
        }
        let scenario = Scenario { label: label[i].clone(), weight: weight[i], moves, pair: pair[i] as usize };
        if let Some(block) = blocks.last_mut() {
            block.scenarios.push(scenario);
        }
    }
    Ok(blocks)
}

fn moves(directory: &Path, scenarios: usize, underlyings: usize) -> anyhow::Result<Vec<Vec<Move>>> {
    let wanted =
        [("scenario", Type::Index), ("underlying", Type::Index), ("spot", Type::Float), ("vol", Type::Float)];
    let mut frame = Frame::read(directory, "moves", &wanted)?;
    let (scenario, underlying) = (frame.indices("scenario")?, frame.indices("underlying")?);
    let (spot, vol) = (frame.floats("spot")?, frame.floats("vol")?);
    let mut all = vec![vec![Move::default(); underlyings]; scenarios];
    for (i, (s, u)) in scenario.iter().zip(&underlying).enumerate() {
        let place = all.get_mut(*s as usize).and_then(|row| row.get_mut(*u as usize));
        let place = place.with_context(|| format!("moves: there is no scenario {s} or underlying {u}"))?;
        *place = Move { spot: spot[i], vol: vol[i], ..Move::default() };
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_thousand_options_and_sixty_four_columns() {
        for kind in [ScenarioKind::Grid, ScenarioKind::Factor] {
            let listing = Listing::made(kind).unwrap();
            assert_eq!((listing.instruments.len(), listing.set.columns()), (4000, 64), "{kind:?}");
            let mut names = listing.instruments.clone();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 4000);
        }
        assert_eq!(Listing::made(ScenarioKind::Joint { paths: 256 }).unwrap().set.columns(), 256);
    }

    #[test]
    fn a_listing_comes_back_as_it_was_written() {
        let directory = std::env::temp_dir().join(format!("plimsoll-listing-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for kind in [ScenarioKind::Factor, ScenarioKind::Joint { paths: 32 }] {
            let made = Listing::made(kind).unwrap().keeping_vols();
            for frame in made.frames().unwrap() {
                frame.write(&directory).unwrap();
            }
            let read = Listing::read(&directory).unwrap();
            assert_eq!(read.surface.underlyings, made.surface.underlyings);
            assert_eq!((read.instruments, read.units), (made.instruments, made.units));
            assert_eq!((read.set.blocks, read.set.vol_shock), (made.set.blocks, made.set.vol_shock));
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
