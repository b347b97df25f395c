//! The forms of texts, as the document of the routes states them: a request that has its form is understood, whatever is said of it.

use super::events::count;
use plimsoll_policy::{Key, Knob, Scheduled, Scope, Side, Vote};
use plimsoll_types::{DecimalError, Timestamp};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::ops::Deref;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A text of a form, by its name in the document.
macro_rules! text {
    ($name:ident, $called:literal, $describes:literal, $example:literal, $pattern:expr, $most:literal) => {
        #[doc = $describes]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($describes))
                    .examples([$example])
                    .pattern(Some($pattern))
                    .min_length(Some(1))
                    .max_length(Some($most))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($called)
            }
        }
    };
}

text!(
    AccountName,
    "AccountName",
    "An account: 1 to 128 printable characters without spaces at the ends.",
    "alice",
    r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,126}[^\s\x00-\x1f\x7f-\x9f])?$",
    128
);
text!(AssetName, "AssetName", "A coin or currency.", "BTC", "^[A-Z0-9]{1,15}$", 15);
text!(
    InstrumentName,
    "InstrumentName",
    "An instrument, as exchanges and chains write it.",
    "BTC_USDC-PERPETUAL",
    concat!(
        r"^([A-Z0-9]{1,15}|[A-Z0-9]{1,15}(_[A-Z0-9]{1,15})?-(PERPETUAL|PERP|",
        r"((([1-9]|1[0-9]|2[0-8])(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)",
        r"|(29|30)(JAN|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)|31(JAN|MAR|MAY|JUL|AUG|OCT|DEC))[0-9]{2}",
        r"|20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8]))",
        r"(-([1-9][0-9]{0,14}|0[d.][1-9][0-9]{0,7}|[1-9][0-9]{0,14}[d.][0-9]{1,8})-[CP])?))$"
    ),
    80
);
text!(
    Instant,
    "Instant",
    "An instant, RFC 3339.",
    "2026-02-01T08:00:00Z",
    concat!(
        r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?",
        r"(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])$"
    ),
    40
);

/// A decimal in text, exact: plain or with an exponent. What it may be besides is for the field to say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DecimalText(String);

/// The form of a decimal: sign, digits with a point among or about them, exponent of two digits.
const DECIMAL: &str = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$";

/// The longest.
const DECIMAL_MAX: usize = 64;

impl DecimalText {
    fn is_form(text: &str) -> bool {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = |text: &'_ str| text.strip_prefix(['+', '-']).map_or(text.to_owned(), str::to_owned);
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, Some(unsigned(exponent))),
            None => (text, None),
        };
        let number = unsigned(number);
        let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
        text.len() <= DECIMAL_MAX
            && digits(whole)
            && digits(part)
            && !(whole.is_empty() && part.is_empty())
            && exponent.is_none_or(|exponent| digits(&exponent) && (1..=2).contains(&exponent.len()))
    }
}

impl TryFrom<String> for DecimalText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if Self::is_form(&text) { Ok(Self(text)) } else { Err(format!("`{text}` is no decimal number")) }
    }
}

impl From<DecimalText> for String {
    fn from(decimal: DecimalText) -> Self {
        decimal.0
    }
}

impl Deref for DecimalText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialSchema for DecimalText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A decimal in text, exact: plain or with an exponent."))
            .examples(["-1250.5"])
            .pattern(Some(DECIMAL))
            .max_length(Some(DECIMAL_MAX))
            .into()
    }
}

impl ToSchema for DecimalText {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Decimal")
    }
}

/// How an account stands.
#[derive(Clone, Copy, Debug)]
pub struct StandingName;

impl PartialSchema for StandingName {
    fn schema() -> RefOr<Schema> {
        let standings = ["healthy", "call", "unvalued", "liquidatable", "insolvent"];
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(standings)).into()
    }
}

impl ToSchema for StandingName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Standing")
    }
}

/// What a policy can move, as its files name it.
const KNOBS: [&str; 17] = [
    "price_scan_down",
    "price_scan_up",
    "vol_scan_up",
    "vol_scan_down",
    "skew_scan",
    "term_scan",
    "im_scale",
    "mm_scale",
    "short_option",
    "expiry",
    "basis",
    "spread",
    "impact",
    "haircut",
    "idiosyncratic",
    "floor_share",
    "im_fraction",
];

/// Says of every variant of a component that it has no other fields, as its reader does.
pub fn close(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(one_of)) = schema else { return };
    for variant in &mut one_of.items {
        if let RefOr::T(Schema::Object(object)) = variant {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// A vote that was won, as a policy file has it. Which parameters there are and what they may be is the policy's to say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteForm {
    id: String,
    key: KeyForm,
    value: DecimalText,
    proposed: Timestamp,
    effective: Timestamp,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    vote: Counted,
}

/// Which parameter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    knob: Knob,
    #[serde(default)]
    scope: ScopeForm,
}

/// For what.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScopeForm {
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    side: Option<Side>,
    #[serde(deserialize_with = "bucket", skip_serializing_if = "Option::is_none")]
    moneyness: Option<u8>,
    #[serde(deserialize_with = "bucket", skip_serializing_if = "Option::is_none")]
    tenor: Option<u8>,
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    underlying: Option<String>,
}

/// What is there is not nothing: it is left out instead.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A place among edges.
fn bucket<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u8>, D::Error> {
    u8::try_from(count(from)?).map(Some).map_err(D::Error::custom)
}

/// The record of a vote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    reference: String,
    #[serde(deserialize_with = "count")]
    yes: u64,
    #[serde(deserialize_with = "count")]
    no: u64,
}

impl VoteForm {
    /// The vote.
    ///
    /// # Errors
    /// When its value is too fine or too large.
    pub(super) fn read(self) -> Result<Scheduled, DecimalError> {
        let Self { id, key, value, proposed, effective, expires, vote } = self;
        let Counted { reference, yes, no } = vote;
        let ScopeForm { tier, side, moneyness, tenor, underlying } = key.scope;
        let key = Key { knob: key.knob, scope: Scope { tier, side, moneyness, tenor, underlying } };
        let (value, vote) = (value.parse()?, Vote { reference, yes, no });
        Ok(Scheduled { id, key, value, proposed, effective, expires, vote })
    }
}

impl PartialSchema for VoteForm {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let instant = || Ref::from_schema_name("Instant");
        let count = || {
            let form = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
            ObjectBuilder::new().schema_type(Type::Integer).format(form).minimum(Some(0))
        };
        let closed = || Some(AdditionalProperties::FreeForm(false));
        let vote = ObjectBuilder::new()
            .property("reference", text().description(Some("Where it can be looked up.")))
            .property("yes", count())
            .property("no", count())
            .required("reference")
            .required("yes")
            .required("no")
            .additional_properties(closed());
        let bucket = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(255));
        let scope = ObjectBuilder::new()
            .description(Some("For what; for everything when left out."))
            .property("tier", text())
            .property("side", text().enum_values(Some(["long", "short"])))
            .property("moneyness", bucket())
            .property("tenor", bucket())
            .property("underlying", text())
            .additional_properties(closed());
        let value = text()
            .description(Some("The value from then on, to 1e-9."))
            .pattern(Some("^-?[0-9]{1,9}([.][0-9]{1,9})?$"));
        let key = ObjectBuilder::new()
            .description(Some("Which parameter."))
            .property("knob", text().enum_values(Some(KNOBS)))
            .property("scope", scope)
            .required("knob")
            .additional_properties(closed());
        ObjectBuilder::new()
            .description(Some("A vote that was won."))
            .property("id", text().description(Some("Its name, once only.")))
            .property("key", key)
            .property("value", value)
            .property("proposed", instant())
            .property("effective", instant())
            .property("expires", instant())
            .property("vote", vote)
            .required("id")
            .required("key")
            .required("value")
            .required("proposed")
            .required("effective")
            .required("vote")
            .additional_properties(closed())
            .into()
    }
}

impl ToSchema for VoteForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Vote")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Instant::name().into_owned(), Instant::schema()));
    }
}

#[cfg(test)]
mod tests {
    use super::KNOBS;
    use plimsoll_policy::Knob;

    #[test]
    fn every_knob_has_its_name_here() {
        for name in KNOBS {
            assert!(serde_json::from_value::<Knob>(name.into()).is_ok(), "{name}");
        }
        let other = serde_json::from_value::<Knob>("other".into()).unwrap_err().to_string();
        assert_eq!(other.matches('`').count() / 2 - 1, KNOBS.len(), "{other}");
    }
}
