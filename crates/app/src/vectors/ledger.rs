//! The record of a comparison.

use super::field::{self, Reason};
use plimsoll_types::{Fixed, Rounding};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// Units of 1e-18 in one.
const WAD: i128 = 1_000_000_000_000_000_000;
/// What floats leave undecided of a sum of prices: 1e-9.
const EDGE: Fixed = Fixed::from_units(1_000_000_000);

/// What was expected or computed.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Figure {
    /// A number.
    Number(f64),
    /// A label, a truth value, or the reason why there is no number.
    Text(String),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(x) if *x == 0.0 || (1e-5..1e12).contains(&x.abs()) => write!(f, "{x}"),
            Self::Number(x) => write!(f, "{x:e}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // JSON has no NaN and no infinity: they are written as text rather than lost as null.
            Self::Number(x) if x.is_finite() => serializer.serialize_f64(*x),
            Self::Number(x) => serializer.collect_str(x),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// How far a computed number may be from the expected one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Tolerance {
    /// `|computed - expected| <= t |expected|`.
    Relative(f64),
    /// `|computed - expected| <= t`.
    Absolute(f64),
    /// One or the other suffices: the relative bound, or for tiny numbers the absolute one.
    Either {
        /// Relative bound.
        relative: f64,
        /// Absolute bound.
        absolute: f64,
    },
    /// `computed <= expected + t`: the expected number is the least of a sample, the computed one of everything.
    NotAbove(f64),
}

impl Tolerance {
    /// This bound, or an absolute one where that is wider.
    pub(super) fn or_absolute(self, t: f64) -> Self {
        match self {
            Self::Relative(relative) => Self::Either { relative, absolute: t },
            Self::Absolute(own) => Self::Absolute(own.max(t)),
            Self::Either { relative, absolute } => Self::Either { relative, absolute: absolute.max(t) },
            Self::NotAbove(own) => Self::NotAbove(own.max(t)),
        }
    }

    /// The error in the sense of this tolerance and whether it is allowed. NaN is never allowed.
    fn judge(self, expected: f64, computed: f64) -> (f64, bool) {
        let gap = (computed - expected).abs();
        let share = if gap == 0.0 { 0.0 } else { gap / expected.abs() };
        match self {
            Self::Relative(t) => (share, share <= t),
            Self::Absolute(t) => (gap, gap <= t),
            Self::Either { relative, .. } if share <= relative => (share, true),
            Self::Either { absolute, .. } if gap <= absolute => (gap, true),
            Self::Either { .. } => (share, false),
            Self::NotAbove(t) => {
                let above = computed - expected;
                (if above < 0.0 { 0.0 } else { above }, above <= t)
            }
        }
    }
}

/// What this build computes, in the shape in which a file states it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Computed {
    /// A number, judged by the tolerance.
    Number(f64),
    /// A whole number, judged exactly.
    Integer(i128),
    /// A truth value.
    Flag(bool),
    /// A label.
    Text(String),
    /// Values in order.
    List(Vec<Computed>),
    /// Values by name.
    Map(Vec<(&'static str, Computed)>),
}

impl From<bool> for Computed {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Fixed> for Computed {
    fn from(number: Fixed) -> Self {
        Self::Number(number.to_f64())
    }
}

/// One quantity of one case: what was expected, what this build computes, and the error.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Check {
    /// The case.
    pub(crate) id: String,
    /// The quantity.
    pub(crate) quantity: String,
    /// From the file.
    pub(crate) expected: Figure,
    /// From this build, or the reason why there is none.
    pub(crate) computed: Figure,
    /// Relative or absolute as the tolerance says; 0 or 1 for labels; none where nothing could be computed.
    pub(crate) error: Option<f64>,
    /// The tolerance a number was judged by; none for labels.
    pub(crate) tolerance: Option<Tolerance>,
    /// Whether it is within tolerance.
    pub(crate) passed: bool,
    case: usize,
}

/// The checks of one file, grouped into cases.
#[derive(Default)]
pub(crate) struct Ledger {
    cases: usize,
    id: String,
    checks: Vec<Check>,
}

impl Ledger {
    /// Runs the comparisons of one case; a reason instead of them is recorded as a miss.
    pub(super) fn case(&mut self, id: String, compare: impl FnOnce(&mut Self) -> Result<(), Reason>) {
        self.cases += 1;
        self.id = id;
        let before = self.checks.len();
        if let Err(reason) = compare(self) {
            self.refused("case", "a case that can be computed", reason);
        } else if self.checks.len() == before {
            self.refused("case", "something to compare", "no expected value was found".to_owned());
        }
    }

    /// Every entry of a list as a case of its own. An absent or null list holds no case; anything but a list is a miss.
    pub(super) fn rows(
        &mut self,
        section: &str,
        list: Option<&Value>,
        compare: impl Fn(&Value, &mut Self) -> Result<(), Reason>,
    ) {
        match list {
            None | Some(Value::Null) => {}
            Some(Value::Array(rows)) => {
                for (index, row) in rows.iter().enumerate() {
                    self.case(field::id(row, section, index), |ledger| compare(row, ledger));
                }
            }
            Some(_) => self.case(section.to_owned(), |_| Err(format!("`{section}` is not an array"))),
        }
    }

    /// The entries of the list `rows` in a section that is an object; such a section has that list.
    pub(super) fn rows_of(
        &mut self,
        section: &str,
        table: Option<&Value>,
        compare: impl Fn(&Value, &mut Self) -> Result<(), Reason>,
    ) {
        if let Some(table) = table.filter(|table| !table.is_null()) {
            self.rows(section, Some(table.get("rows").unwrap_or(table)), compare);
        }
    }

    /// A number against a number.
    pub(super) fn number(
        &mut self,
        quantity: impl Into<String>,
        expected: f64,
        computed: f64,
        tolerance: Tolerance,
    ) {
        let (error, passed) = tolerance.judge(expected, computed);
        self.push(Check {
            id: self.id.clone(),
            quantity: quantity.into(),
            expected: Figure::Number(expected),
            computed: Figure::Number(computed),
            error: error.is_finite().then_some(error),
            tolerance: Some(tolerance),
            passed,
            case: self.cases,
        });
    }

    /// A whole number against the computed one without its fraction. The inputs are floats, so a number that is whole in
    /// decimals may be off by less than [`EDGE`]: such a number is that whole one, or the one that the file's own second
    /// evaluation has.
    pub(super) fn truncated(
        &mut self,
        name: &str,
        expected: &Value,
        computed: Fixed,
        again: Option<&Value>,
    ) -> Result<(), Reason> {
        let expected = field::as_integer(expected, name)?;
        let whole = |number: Fixed| number.known().map(|units| units / WAD);
        let near = computed.rounded(0, Rounding::Nearest);
        let allowed = if (computed - near).abs() > EDGE {
            vec![whole(computed)]
        } else {
            let again = again.map(|value| field::as_fixed(value, name)).transpose()?;
            vec![whole(near), again.and_then(whole)]
        };
        let shown = whole(computed).ok_or_else(|| format!("`{name}` does not fit"))?;
        self.label(name, expected.to_string(), shown.to_string(), allowed.contains(&Some(expected)));
        Ok(())
    }

    /// Everything the file expects against what is computed, by name and in order. A quantity that is expected and not
    /// computed, or of another shape, is a miss; one that is computed and not expected is not looked at.
    pub(super) fn against(
        &mut self,
        name: &str,
        expected: &Value,
        computed: &Computed,
        tolerance: Tolerance,
    ) {
        match (expected, computed) {
            (Value::Object(fields), Computed::Map(_)) if fields.is_empty() && !name.is_empty() => {
                self.refused(name, "something to compare", "no expected value was found".to_owned());
            }
            (Value::Object(fields), Computed::Map(values)) => {
                for (key, value) in fields {
                    let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    match values.iter().find(|(known, _)| known == key) {
                        Some((_, found)) => self.against(&path, value, found, tolerance),
                        None => self.refused(path, value.to_string(), "unsupported quantity".to_owned()),
                    }
                }
            }
            (Value::Array(items), Computed::List(values)) if items.len() == values.len() => {
                for (i, (item, value)) in items.iter().zip(values).enumerate() {
                    self.against(&format!("{name}[{i}]"), item, value, tolerance);
                }
            }
            _ => self.single(name, expected, computed, tolerance),
        }
    }

    fn single(&mut self, name: &str, expected: &Value, computed: &Computed, tolerance: Tolerance) {
        let name = if name.is_empty() { "value" } else { name };
        let compared = match computed {
            Computed::Number(x) => {
                field::as_number(expected, name).map(|e| self.number(name, e, *x, tolerance))
            }
            Computed::Integer(n) => field::as_integer(expected, name)
                .map(|e| self.label(name, e.to_string(), n.to_string(), e == *n)),
            Computed::Flag(b) => match expected.as_bool() {
                Some(e) => {
                    self.flag(name, e, *b);
                    Ok(())
                }
                None => Err("a truth value is computed".to_owned()),
            },
            Computed::Text(t) => match expected.as_str() {
                Some(e) => {
                    self.label(name, e, t, e == t);
                    Ok(())
                }
                None => Err(format!("`{t}` is computed")),
            },
            Computed::List(v) => Err(format!("a list of {} is computed", v.len())),
            Computed::Map(_) => Err("values by name are computed".to_owned()),
        };
        if let Err(reason) = compared {
            self.refused(name, expected.to_string(), reason);
        }
    }

    /// A label, a truth value or an error against what was expected: the two texts, and whether they agree.
    pub(super) fn label(
        &mut self,
        quantity: impl Into<String>,
        expected: impl Into<String>,
        computed: impl Into<String>,
        agrees: bool,
    ) {
        self.push(Check {
            id: self.id.clone(),
            quantity: quantity.into(),
            expected: Figure::Text(expected.into()),
            computed: Figure::Text(computed.into()),
            error: Some(if agrees { 0.0 } else { 1.0 }),
            tolerance: None,
            passed: agrees,
            case: self.cases,
        });
    }

    /// A truth value against a truth value.
    pub(super) fn flag(&mut self, quantity: impl Into<String>, expected: bool, computed: bool) {
        self.label(quantity, expected.to_string(), computed.to_string(), expected == computed);
    }

    /// A quantity that could not be computed: a miss with the reason.
    pub(super) fn refused(
        &mut self,
        quantity: impl Into<String>,
        expected: impl Into<String>,
        reason: Reason,
    ) {
        self.push(Check {
            id: self.id.clone(),
            quantity: quantity.into(),
            expected: Figure::Text(expected.into()),
            computed: Figure::Text(reason),
            error: None,
            tolerance: None,
            passed: false,
            case: self.cases,
        });
    }

    fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Cases begun.
    pub(super) fn cases(&self) -> usize {
        self.cases
    }

    /// Cases without a miss.
    pub(super) fn passed(&self) -> usize {
        let mut missed: Vec<usize> = self.checks.iter().filter(|c| !c.passed).map(|c| c.case).collect();
        missed.dedup();
        self.cases - missed.len()
    }

    /// The checks, in the order of the file.
    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }
}
