//! What a specification must satisfy before anything is generated from it.

use crate::set::{SkewShock, VolShock, VolShockKind};
use crate::spec::{
    CompositeDelta, EntrySpec, FactorSpec, FilteredSpec, HistoricalSpec, MonteCarloSpec, PerUnderlying,
    Points, PriceUnit, Sampling, ScenarioSpec, SpecError, Weights,
};
use plimsoll_types::{Asset, CorrelationState, Purpose};
use std::collections::BTreeMap;

/// Most scenarios a Monte Carlo entry may ask for.
const PATHS_MAX: usize = 1 << 20;

/// Refuses a value, naming its field.
pub(crate) fn refuse<T>(field: &str, value: impl ToString, expected: &'static str) -> Result<T, SpecError> {
    Err(SpecError::Value { field: field.to_owned(), value: value.to_string(), expected })
}

fn require(ok: bool, field: &str, value: impl ToString, expected: &'static str) -> Result<(), SpecError> {
    if ok { Ok(()) } else { refuse(field, value, expected) }
}

fn finite(field: &str, x: f64) -> Result<(), SpecError> {
    require(x.is_finite(), field, x, "a finite number")
}

fn at_least_zero(field: &str, x: f64) -> Result<(), SpecError> {
    require(x >= 0.0 && x.is_finite(), field, x, "a finite number, 0 or more")
}

fn positive(field: &str, x: f64) -> Result<(), SpecError> {
    require(x > 0.0 && x.is_finite(), field, x, "a finite number above 0")
}

fn within_one(field: &str, x: f64) -> Result<(), SpecError> {
    require((-1.0..=1.0).contains(&x), field, x, "a number from -1 to 1")
}

/// Checks the keys of a table and every value in it.
fn table<T>(
    field: &str,
    table: &PerUnderlying<T>,
    check: impl Fn(&str, &T) -> Result<(), SpecError>,
) -> Result<(), SpecError> {
    require(!table.0.is_empty(), field, "empty", "an underlying, or `*` for all not named")?;
    for (key, value) in &table.0 {
        let named = key == "*" || Asset::new(key).is_ok();
        require(named, field, key, "keys that are underlyings such as BTC, or `*`")?;
        check(&format!("{field}.{key}"), value)?;
    }
    Ok(())
}

impl ScenarioSpec {
    /// Checks every number of the specification.
    ///
    /// # Errors
    /// [`SpecError::Value`] with the path of the first field that is wrong, its value, and what was expected; where two
    /// factor entries repeat a state, the later one's path with the earlier one named in the value.
    pub fn validate(&self) -> Result<(), SpecError> {
        table("price_scan", &self.price_scan, |field, x| {
            require(*x > 0.0 && *x < 1.0, field, *x, "a relative move above 0 and below 1")
        })?;
        table("vol_scan", &self.vol_scan, |field, scan| {
            at_least_zero(&format!("{field}.up"), scan.up)?;
            at_least_zero(&format!("{field}.down"), scan.down)
        })?;
        vol_shock(&self.vol_shock)?;
        if let Some(composite) = &self.composite_delta {
            composite_delta(composite)?;
        }
        require(!self.scenarios.is_empty(), "scenarios", "empty", "at least one entry")?;
        for (i, entry) in self.scenarios.iter().enumerate() {
            self.entry(&format!("scenarios[{i}]"), entry)?;
        }
        self.states_once()
    }

    /// Refuses two factor entries that state the same correlation state for the same requirement.
    fn states_once(&self) -> Result<(), SpecError> {
        let mut seen: Vec<(usize, Purpose, CorrelationState)> = Vec::new();
        for (i, entry) in self.scenarios.iter().enumerate() {
            let EntrySpec::Factor(spec) = entry else { continue };
            let meets = |p: Purpose| p == spec.purpose || p == Purpose::Both || spec.purpose == Purpose::Both;
            for state in &spec.states {
                let repeated = seen.iter().find(|(_, purpose, known)| known == state && meets(*purpose));
                if let Some((first, purpose, _)) = repeated {
                    let value = format!(
                        "{state:?} for {:?}, which scenarios[{first}] states for {purpose:?}",
                        spec.purpose
                    );
                    let expected = "each state at most once for initial and once for maintenance margin";
                    return refuse(&format!("scenarios[{i}].states"), value, expected);
                }
            }
            seen.extend(spec.states.iter().map(|state| (i, spec.purpose, *state)));
        }
        Ok(())
    }

    fn entry(&self, field: &str, entry: &EntrySpec) -> Result<(), SpecError> {
        match entry {
            EntrySpec::Grid(grid) => self.groups(field, &grid.points),
            EntrySpec::Factor(spec) => self.factor(field, spec),
            EntrySpec::Historical(spec) => historical(field, spec),
            EntrySpec::FilteredHistorical(spec) => filtered(field, spec),
            EntrySpec::MonteCarlo(spec) => monte_carlo(field, spec),
        }
    }

    fn factor(&self, field: &str, spec: &FactorSpec) -> Result<(), SpecError> {
        table(&format!("{field}.loading"), &spec.loading, |field, x| within_one(field, *x))?;
        within_one(&format!("{field}.breakdown"), spec.breakdown)?;
        let states = format!("{field}.states");
        require(!spec.states.is_empty(), &states, "empty", "at least one state")?;
        let mut seen = spec.states.clone();
        seen.sort_unstable();
        seen.dedup();
        require(seen.len() == spec.states.len(), &states, "a state twice", "each state once")?;
        self.groups(field, &spec.points)
    }

    fn groups(&self, field: &str, groups: &[Points]) -> Result<(), SpecError> {
        require(!groups.is_empty(), &format!("{field}.points"), "empty", "at least one group")?;
        for (i, group) in groups.iter().enumerate() {
            self.group(&format!("{field}.points[{i}]"), group)?;
        }
        Ok(())
    }

    fn group(&self, field: &str, group: &Points) -> Result<(), SpecError> {
        let path = |name: &str| format!("{field}.{name}");
        require(!group.price.is_empty(), &path("price"), "empty", "at least one price move")?;
        require(!group.vol.is_empty(), &path("vol"), "empty", "at least one of up, none, down")?;
        for price in &group.price {
            finite(&path("price"), price.0)?;
            let scan = match group.unit {
                PriceUnit::Relative => 1.0,
                PriceUnit::Scan => self.price_scan.0.values().copied().fold(0.0, f64::max),
            };
            require(price.0 * scan > -1.0, &path("price"), price.0, "a move that leaves spot above 0")?;
        }
        weights(&path("weight"), group)?;
        for (name, x) in
            [("skew", group.skew), ("wing", group.wing), ("term", group.term), ("rate", group.rate)]
        {
            finite(&path(name), x)?;
        }
        finite(&path("basis"), group.basis)?;
        at_least_zero(&path("elapsed_days"), group.elapsed_days)?;
        let smile = group.skew != 0.0 || group.wing != 0.0;
        let still = group.price.iter().all(|price| price.0 == 0.0);
        require(!smile || still, &path("price"), "a move", "0 where the smile is tilted or lifted")?;
        let formed = self.vol_shock.skew.is_some();
        require(!smile || formed, "vol_shock.skew", "absent", "the form of skew and wing moves")
    }
}

fn weights(field: &str, group: &Points) -> Result<(), SpecError> {
    let each = match &group.weight {
        Weights::One(weight) => std::slice::from_ref(weight),
        Weights::PerPrice(list) => {
            let fits = list.len() == group.price.len();
            require(fits, field, format!("{} weights", list.len()), "one weight per price, or a single one")?;
            list
        }
    };
    // Above 1 a long option could lose more than its premium.
    each.iter().try_for_each(|w| require(*w > 0.0 && *w <= 1.0, field, *w, "a share above 0, at most 1"))
}

fn vol_shock(shock: &VolShock) -> Result<(), SpecError> {
    at_least_zero("vol_shock.power_short", shock.power_short)?;
    at_least_zero("vol_shock.power_long", shock.power_long)?;
    positive("vol_shock.dte_floor", shock.dte_floor)?;
    at_least_zero("vol_shock.min_vol_up", shock.min_vol_up)?;
    let applies = shock.kind == VolShockKind::Relative || shock.min_vol_up == 0.0;
    require(applies, "vol_shock.min_vol_up", shock.min_vol_up, "0 where the kind is absolute")?;
    shock.skew.as_ref().map_or(Ok(()), skew_form)
}

fn skew_form(skew: &SkewShock) -> Result<(), SpecError> {
    at_least_zero("vol_shock.skew.cap_base", skew.cap_base)?;
    finite("vol_shock.skew.cap_per_root_year", skew.cap_per_root_year)?;
    positive("vol_shock.skew.k_min", skew.k_min)?;
    positive("vol_shock.skew.width", skew.width)?;
    at_least_zero("vol_shock.skew.k_static", skew.k_static)?;
    at_least_zero("vol_shock.skew.k_per_root_year", skew.k_per_root_year)
}

fn composite_delta(spec: &CompositeDelta) -> Result<(), SpecError> {
    let (points, weights) = (spec.price.len(), spec.weight.len());
    let field = "composite_delta.weight";
    require(points == weights, field, format!("{weights} weights"), "one weight per price")?;
    spec.price.iter().try_for_each(|p| finite("composite_delta.price", p.0))?;
    spec.weight.iter().try_for_each(|w| at_least_zero(field, *w))?;
    require(spec.weight.iter().sum::<f64>() > 0.0, field, "a sum of 0", "weights with a sum above 0")?;
    at_least_zero("composite_delta.elapsed_days", spec.elapsed_days)
}

fn windows(field: &str, (horizon, step, most): (usize, usize, Option<usize>)) -> Result<(), SpecError> {
    require(horizon > 0, &format!("{field}.horizon"), horizon, "at least 1 observation")?;
    require(step > 0, &format!("{field}.step"), step, "at least 1 observation")?;
    require(most != Some(0), &format!("{field}.windows"), 0, "at least 1 window, or no such field")
}

fn historical(field: &str, spec: &HistoricalSpec) -> Result<(), SpecError> {
    windows(field, (spec.horizon, spec.step, spec.windows))?;
    let named = !spec.stressed || spec.period.is_some();
    require(named, &format!("{field}.period"), "absent", "the stressed period by name, from and to")?;
    match &spec.period {
        Some(p) => require(p.from < p.to, &format!("{field}.period.to"), p.to, "an instant after `from`"),
        None => Ok(()),
    }
}

fn filtered(field: &str, spec: &FilteredSpec) -> Result<(), SpecError> {
    windows(field, (spec.horizon, spec.step, spec.windows))?;
    let decay = spec.decay;
    require(decay > 0.0 && decay < 1.0, &format!("{field}.decay"), decay, "a number above 0 and below 1")?;
    let seed = spec.seed_observations;
    require(seed > 0, &format!("{field}.seed_observations"), seed, "at least 1 observation")?;
    let capped = spec.cap >= 1.0 && spec.cap.is_finite();
    require(capped, &format!("{field}.cap"), spec.cap, "a finite number, 1 or more")
}

fn monte_carlo(field: &str, spec: &MonteCarloSpec) -> Result<(), SpecError> {
    let path = |name: &str| format!("{field}.{name}");
    let counted = (1..=PATHS_MAX).contains(&spec.paths);
    require(counted, &path("paths"), spec.paths, "1 to 1048576 paths")?;
    let paired = spec.sampling != Sampling::Antithetic || spec.paths.is_multiple_of(2);
    require(paired, &path("paths"), spec.paths, "an even number of antithetic paths")?;
    let tailed = spec.nu > 2.0 && spec.nu.is_finite();
    require(tailed, &path("nu"), spec.nu, "finite degrees of freedom above 2 (the variance must exist)")?;
    positive(&path("horizon_days"), spec.horizon_days)?;
    table(&path("daily_vol"), &spec.daily_vol, |field, x| positive(field, *x))?;
    correlation(&path("correlation"), &spec.correlation)?;
    if let Some(vol) = &spec.vol {
        table(&path("vol.daily_vol"), &vol.daily_vol, |field, x| at_least_zero(field, *x))?;
        table(&path("vol.leverage"), &vol.leverage, |field, x| within_one(field, *x))?;
    }
    Ok(())
}

fn correlation(field: &str, pairs: &BTreeMap<String, f64>) -> Result<(), SpecError> {
    for (key, value) in pairs {
        let pair = key.split_once('/').is_some_and(|(a, b)| {
            a != b
                && Asset::new(a).is_ok()
                && Asset::new(b).is_ok()
                && !pairs.contains_key(&format!("{b}/{a}"))
        });
        require(key == "*" || pair, field, key, "keys such as BTC/ETH, each pair once, or `*`")?;
        within_one(&format!("{field}.\"{key}\""), *value)?;
    }
    Ok(())
}
