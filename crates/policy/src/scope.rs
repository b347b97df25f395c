//! What a value is for: the finer the statement, the more it counts.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a policy moves. Every one is tighter when larger: no book needs less, but for what is said at [`Knob::Idiosyncratic`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Largest fall of the price that scenarios make, relative.
    PriceScanDown,
    /// Largest rise of the price that scenarios make, relative.
    PriceScanUp,
    /// Largest rise of implied volatility at 30 days, relative.
    VolScanUp,
    /// Largest fall of implied volatility at 30 days, relative.
    VolScanDown,
    /// How far the smile tilts, in units of the scenario set.
    SkewScan,
    /// How far the term structure turns, relative.
    TermScan,
    /// What the scenarios' loss is multiplied by in initial margin.
    ImScale,
    /// The same in maintenance margin.
    MmScale,
    /// The minimum of uncovered short options, a share of the index.
    ShortOption,
    /// The charge in an option's last hours, a share of the index.
    Expiry,
    /// The charge for opposite expiries, a share of delta.
    Basis,
    /// What crossing the spread costs, a share of delta.
    Spread,
    /// What market impact costs, a share of delta.
    Impact,
    /// What is taken off the value of collateral.
    Haircut,
    /// How much of a move is an underlying's own: one less its loading `l` on the common factor. For a book of futures that is
    /// long `a` and short `b` a state of the factor needs `min(a + b, l abs(a - b) + (a + b) sqrt(1 - l^2))`, which never falls as
    /// `l` does; where options gain from what moves alone it may.
    Idiosyncratic,
    /// The share of the sum of losses that no credit between underlyings goes beneath.
    FloorShare,
    /// Initial margin of futures and perpetuals as a share of notional: one over the largest leverage.
    ImFraction,
}

impl Knob {
    /// Whether it is one of the two scales that are coupled: initial margin covers maintenance.
    pub(crate) fn is_scale(self) -> bool {
        matches!(self, Self::ImScale | Self::MmScale)
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PriceScanDown => "price_scan_down",
            Self::PriceScanUp => "price_scan_up",
            Self::VolScanUp => "vol_scan_up",
            Self::VolScanDown => "vol_scan_down",
            Self::SkewScan => "skew_scan",
            Self::TermScan => "term_scan",
            Self::ImScale => "im_scale",
            Self::MmScale => "mm_scale",
            Self::ShortOption => "short_option",
            Self::Expiry => "expiry",
            Self::Basis => "basis",
            Self::Spread => "spread",
            Self::Impact => "impact",
            Self::Haircut => "haircut",
            Self::Idiosyncratic => "idiosyncratic",
            Self::FloorShare => "floor_share",
            Self::ImFraction => "im_fraction",
        }
    }
}

impl Knob {
    /// Whether it moves scenarios, which every instrument has of its own; a charge on an account otherwise.
    fn moves_scenarios(self) -> bool {
        use Knob::{PriceScanDown, PriceScanUp, SkewScan, TermScan, VolScanDown, VolScanUp};
        matches!(self, PriceScanDown | PriceScanUp | VolScanUp | VolScanDown | SkewScan | TermScan)
    }

    /// The part of a scope that nothing could apply to this knob, and why.
    pub(crate) fn cannot_reach(self, scope: &Scope) -> Option<(&'static str, &'static str)> {
        let charge = "a charge on the account is not made by instrument";
        if scope.side.is_some() && self != Self::ImFraction {
            return Some((
                "side",
                "scenarios have their sides by knob, down and up, and charges are of shorts",
            ));
        }
        if scope.tenor.is_some() && !self.moves_scenarios() {
            return Some(("tenor", charge));
        }
        if scope.moneyness.is_some() && !self.moves_scenarios() {
            return Some(("moneyness", charge));
        }
        None
    }
}

/// The side of a position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Lots > 0.
    Long,
    /// Lots < 0.
    Short,
}

/// What a value is for. A field left open is for all; the order of fields is the order of weight among scopes with as many
/// fields: account tier, side, moneyness, tenor, underlying.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Account tier, by the name governance gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Side of the position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Moneyness bucket: its place among the edges of the policy, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moneyness: Option<u8>,
    /// Tenor bucket: its place among the edges of the policy, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenor: Option<u8>,
    /// Underlying, or asset of collateral.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub underlying: Option<String>,
}

impl Scope {
    /// Everything of one underlying.
    pub fn of(underlying: &str) -> Self {
        Self { underlying: Some(underlying.to_owned()), ..Self::default() }
    }

    /// Whether a value of this scope is for `place`: every field that is set is the same there.
    pub fn covers(&self, place: &Self) -> bool {
        fn same<T: PartialEq>(own: &Option<T>, other: &Option<T>) -> bool {
            own.is_none() || own == other
        }
        same(&self.tier, &place.tier)
            && same(&self.side, &place.side)
            && same(&self.moneyness, &place.moneyness)
            && same(&self.tenor, &place.tenor)
            && same(&self.underlying, &place.underlying)
    }

    /// The places that lie in both, if there are any.
    pub fn and(&self, other: &Self) -> Option<Self> {
        fn both<T: PartialEq + Clone>(a: &Option<T>, b: &Option<T>) -> Option<Option<T>> {
            match (a, b) {
                (Some(a), Some(b)) => (a == b).then(|| Some(a.clone())),
                (a, b) => Some(a.clone().or_else(|| b.clone())),
            }
        }
        Some(Self {
            tier: both(&self.tier, &other.tier)?,
            side: both(&self.side, &other.side)?,
            moneyness: both(&self.moneyness, &other.moneyness)?,
            tenor: both(&self.tenor, &other.tenor)?,
            underlying: both(&self.underlying, &other.underlying)?,
        })
    }

    fn fields(&self) -> [bool; 5] {
        [
            self.tier.is_some(),
            self.side.is_some(),
            self.moneyness.is_some(),
            self.tenor.is_some(),
            self.underlying.is_some(),
        ]
    }

    /// Which of two scopes that cover a place counts: the heavier.
    pub(crate) fn cmp_weight(&self, other: &Self) -> std::cmp::Ordering {
        self.weight().cmp(&other.weight())
    }

    /// How specific: fields set, then which, the earlier the heavier.
    fn weight(&self) -> (usize, [bool; 5]) {
        let fields = self.fields();
        (fields.iter().filter(|set| **set).count(), fields)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.side.map(|side| match side {
            Side::Long => "long",
            Side::Short => "short",
        });
        let parts = [
            self.underlying.clone(),
            self.tenor.map(|i| format!("tenor {i}")),
            self.moneyness.map(|i| format!("moneyness {i}")),
            side.map(str::to_owned),
            self.tier.as_ref().map(|tier| format!("tier {tier}")),
        ];
        let text: Vec<String> = parts.into_iter().flatten().collect();
        f.pad(&if text.is_empty() { "*".to_owned() } else { text.join(" ") })
    }
}

/// A parameter: what, and for what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What.
    pub knob: Knob,
    /// For what.
    #[serde(default)]
    pub scope: Scope,
}

impl Key {
    /// The same of one underlying.
    pub(crate) fn of(&self, underlying: &str) -> Self {
        let scope = Scope { underlying: Some(underlying.to_owned()), ..self.scope.clone() };
        Self { knob: self.knob, scope }
    }
}

impl AsRef<Self> for Key {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.knob.name(), self.scope)
    }
}

/// The scopes of a knob that say something of `place`, the one that counts first: the most fields, and among as many the
/// order of [`Scope`]. The rest is what it takes precedence over, for `explain`.
///
/// ```
/// use plimsoll_policy::{Key, Knob, Scope, Side, covering};
/// use std::collections::BTreeMap;
/// let key = |scope| Key { knob: Knob::ShortOption, scope };
/// let fine = Scope { tenor: Some(0), ..Scope::of("BTC") };
/// let table = BTreeMap::from([(key(Scope::default()), 1), (key(Scope::of("BTC")), 2), (key(fine.clone()), 3)]);
/// let place = Scope { side: Some(Side::Short), ..fine };
/// let found: Vec<i32> = covering(&table, Knob::ShortOption, &place).into_iter().map(|(_, v)| *v).collect();
/// assert_eq!(found, [3, 2, 1]);
/// ```
pub fn covering<'t, K: AsRef<Key>, V>(
    table: &'t BTreeMap<K, V>,
    knob: Knob,
    place: &Scope,
) -> Vec<(&'t Scope, &'t V)> {
    let mut found: Vec<(&Scope, &V)> = table
        .iter()
        .map(|(key, value)| (key.as_ref(), value))
        .filter(|(key, _)| key.knob == knob && key.scope.covers(place))
        .map(|(key, value)| (&key.scope, value))
        .collect();
    found.sort_by_key(|(scope, _)| std::cmp::Reverse(scope.weight()));
    found
}

/// Maps of keys as lists of pairs: no format has structs for names.
pub(crate) mod pairs {
    use super::Key;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    pub(crate) fn serialize<S: Serializer, V: Serialize>(
        map: &BTreeMap<Arc<Key>, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.iter().map(|(key, value)| (&**key, value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Arc<Key>, V>, D::Error> {
        let pairs = Vec::<(Key, V)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(key, value)| (Arc::new(key), value)).collect())
    }
}
