//! A parameter set: everything that decides a margin beside the market and the book, in one TOML file.

use plimsoll_margin::{LintFinding, Params};
use plimsoll_market::{FitParams, GuardParams};
use plimsoll_risk::{EntrySpec, ScenarioSpec, SpecError};
use plimsoll_types::Units;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The parameter sets that come with the engine: name and TOML text.
pub const PRESETS: [(&str, &str); 24] = [
    ("plimsoll", include_str!("../../../presets/plimsoll.toml")),
    ("span", include_str!("../../../presets/span.toml")),
    ("fixed", include_str!("../../../presets/fixed.toml")),
    ("deribit-pm", include_str!("../../../presets/deribit-pm.toml")),
    ("deribit-sm", include_str!("../../../presets/deribit-sm.toml")),
    ("paradex", include_str!("../../../presets/paradex.toml")),
    ("paradex-cross", include_str!("../../../presets/paradex-cross.toml")),
    ("aevo", include_str!("../../../presets/aevo.toml")),
    ("okx", include_str!("../../../presets/okx.toml")),
    ("cvex", include_str!("../../../presets/cvex.toml")),
    ("derive-pmrm", include_str!("../../../presets/derive-pmrm.toml")),
    ("derive-pmrm2", include_str!("../../../presets/derive-pmrm2.toml")),
    ("derive-pmrm2-script", include_str!("../../../presets/derive-pmrm2-script.toml")),
    ("derive-srm", include_str!("../../../presets/derive-srm.toml")),
    ("mango", include_str!("../../../presets/mango.toml")),
    ("cboe", include_str!("../../../presets/cboe.toml")),
    ("drift", include_str!("../../../presets/drift.toml")),
    ("dydx", include_str!("../../../presets/dydx.toml")),
    ("panoptic", include_str!("../../../presets/panoptic.toml")),
    ("vega", include_str!("../../../presets/vega.toml")),
    ("synthetix", include_str!("../../../presets/synthetix.toml")),
    ("opyn", include_str!("../../../presets/opyn.toml")),
    ("hyperliquid", include_str!("../../../presets/hyperliquid.toml")),
    ("gmx", include_str!("../../../presets/gmx.toml")),
];

/// Why a parameter set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParamError {
    /// No such preset.
    #[error("no preset is called `{name}`: expected one of {known}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The text is not a parameter set.
    #[error("{origin}: {source}")]
    Unreadable {
        /// The file or preset.
        origin: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The scenarios do not make sense.
    #[error("{origin}: {source}")]
    Scenarios {
        /// The file or preset.
        origin: String,
        /// Which and why.
        source: SpecError,
    },
    /// A limit of the guard or the fit is no limit.
    #[error("{origin}: `{field}` is {value}: expected a finite number, not negative")]
    Limit {
        /// The file or preset.
        origin: String,
        /// Which limit.
        field: String,
        /// What it says.
        value: String,
    },
    /// A unit is not positive.
    #[error("{origin}: units: `{field}` must be positive")]
    Units {
        /// The file or preset.
        origin: String,
        /// Which unit.
        field: &'static str,
    },
}

/// All parameters of a margin method. The TOML form is documented number by number in `presets/plimsoll.toml`.
///
/// ```
/// let params = plimsoll_engine::ParamSet::preset("plimsoll")?;
/// assert!(params.lint().is_empty());
/// # Ok::<(), plimsoll_engine::ParamError>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSet {
    /// Its name.
    pub name: String,
    /// One sentence on what it is.
    pub description: String,
    /// Ticks and lots.
    pub units: Units,
    /// The preset whose `[guard]` and `[fit]` are used, where the set reads the market as another does and states
    /// neither.
    #[serde(default, skip_serializing)]
    pub market_as: Option<String>,
    /// What makes a quote unsound.
    pub guard: GuardParams,
    /// How smiles are fitted.
    pub fit: FitParams,
    /// Which scenarios are priced.
    pub scenarios: ScenarioSpec,
    /// What becomes of their losses.
    pub margin: Params,
}

impl ParamSet {
    /// Reads and validates a set; `origin` names it in errors.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ParamError> {
        let unreadable = |e| ParamError::Unreadable { origin: origin.to_owned(), source: Box::new(e) };
        let own: Reading = toml::from_str(text).map_err(unreadable)?;
        let borrowed = own.market_as.map_or_else(|| Ok(String::new()), |name| market_tables(&name))?;
        let set: Self = toml::from_str(&format!("{text}\n{borrowed}")).map_err(unreadable)?;
        set.check_units(origin)?;
        set.check_limits(origin)?;
        set.scenarios
            .validate()
            .map_err(|source| ParamError::Scenarios { origin: origin.to_owned(), source })?;
        Ok(set)
    }

    fn check_units(&self, origin: &str) -> Result<(), ParamError> {
        let bad = |field| Err(ParamError::Units { origin: origin.to_owned(), field });
        if self.units.ticks_per_unit <= 0 {
            return bad("ticks_per_unit");
        }
        let lots = self.units.lots.values().chain([&self.units.lot]);
        for lot in lots {
            if lot.base.is_sign_negative()
                || lot.base.is_zero()
                || lot.quote.is_sign_negative()
                || lot.quote.is_zero()
            {
                return bad("lot");
            }
        }
        Ok(())
    }

    /// Every number of the guard and the fit must be finite and not negative, and whole counts positive.
    fn check_limits(&self, origin: &str) -> Result<(), ParamError> {
        let tables =
            [("guard", toml::Value::try_from(&self.guard)), ("fit", toml::Value::try_from(&self.fit))];
        for (table, value) in tables {
            let Ok(toml::Value::Table(fields)) = value else { continue };
            for (field, value) in fields {
                let sound = match value {
                    toml::Value::Float(x) => x.is_finite() && x >= 0.0,
                    toml::Value::Integer(x) => x > 0,
                    _ => true,
                };
                if !sound {
                    let field = format!("{table}.{field}");
                    return Err(ParamError::Limit {
                        origin: origin.to_owned(),
                        field,
                        value: value.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// A set that comes with the engine.
    pub fn preset(name: &str) -> Result<Self, ParamError> {
        let found = PRESETS.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| ParamError::UnknownPreset {
            name: name.to_owned(),
            known: PRESETS.map(|(known, _)| known).join(", "),
        })?;
        Self::from_toml(text, name)
    }

    /// The first sixteen hexadecimal digits of the SHA-256 of the set's canonical JSON: equal sets have equal ids,
    /// whatever their files look like.
    pub fn id(&self) -> String {
        digest(self)
    }

    /// Names of the return series that the scenarios need.
    pub fn series_needed(&self) -> Vec<String> {
        let series = |entry: &EntrySpec| match entry {
            EntrySpec::Historical(spec) => Some(spec.series.clone()),
            EntrySpec::FilteredHistorical(spec) => Some(spec.series.clone()),
            EntrySpec::Grid(_) | EntrySpec::Factor(_) | EntrySpec::MonteCarlo(_) => None,
        };
        let names: BTreeSet<String> = self.scenarios.scenarios.iter().filter_map(series).collect();
        names.into_iter().collect()
    }

    /// What the linter has against the set; empty when nothing.
    pub fn lint(&self) -> Vec<LintFinding> {
        crate::lint::lint(self)
    }
}

/// The one key that is read before the rest.
#[derive(Deserialize)]
struct Reading {
    market_as: Option<String>,
}

/// The text of the tables by which a preset reads a market.
fn market_tables(name: &str) -> Result<String, ParamError> {
    #[derive(Serialize)]
    struct Tables {
        guard: GuardParams,
        fit: FitParams,
    }
    let ParamSet { guard, fit, .. } = ParamSet::preset(name)?;
    // Tables of plain numbers always have a TOML form.
    Ok(toml::to_string(&Tables { guard, fit }).unwrap_or_else(|e| unreachable!("{e}")))
}

/// Sixteen hexadecimal digits that name a value: SHA-256 of its JSON, whose maps are ordered.
pub(crate) fn digest<T: Serialize>(value: &T) -> String {
    // Plain structs with ordered maps of text keys always have a JSON form.
    let bytes = serde_json::to_vec(value).unwrap_or_else(|e| unreachable!("{e}"));
    Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
