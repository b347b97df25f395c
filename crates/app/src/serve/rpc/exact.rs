//! Numbers of a call, as they are written.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::ops::Deref;

/// A decimal in text, or the digits of a JSON number: they are taken as they stand and are never a float.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Exact(String);

impl Deref for Exact {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw.get()).map(Self).map_err(D::Error::custom),
            Some(b'-' | b'0'..=b'9') => Ok(Self(raw.get().to_owned())),
            _ => Err(D::Error::custom(format!("`{}` is no decimal number", raw.get()))),
        }
    }
}
