//! Names of assets and accounts.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not {what}: {expected}")]
pub struct NameError {
    /// What was read.
    pub text: String,
    /// What it should have named.
    pub what: &'static str,
    /// What was expected.
    pub expected: &'static str,
}

/// The most letters of an asset's name.
const LETTERS_MAX: usize = 15;

/// A coin or currency, such as `BTC` or `USDC`. One to fifteen of `A-Z` and `0-9`, upper case.
///
/// An underlying is named by its base asset. A copy asks for no memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Asset {
    /// Padded with zeros, which come before every letter, so that names are in the order of their texts.
    letters: [u8; LETTERS_MAX],
    length: u8,
}

impl Asset {
    /// Reads a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let plain = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let mut letters = [0; LETTERS_MAX];
        match (letters.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length @ 1..)) if plain => {
                place.copy_from_slice(text.as_bytes());
                Ok(Self { letters, length })
            }
            _ => {
                let expected = "expected one to fifteen of A-Z and 0-9, such as BTC";
                Err(NameError { text: text.to_owned(), what: "an asset", expected })
            }
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let named = self.letters.get(..usize::from(self.length));
        named.and_then(|letters| std::str::from_utf8(letters).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asset").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Asset {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Asset {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Asset> for String {
    fn from(asset: Asset) -> Self {
        asset.as_str().to_owned()
    }
}

/// An account, by whatever text its protocol uses: an address, a number, a name. One to 128 printable characters
/// without spaces at the ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(Box<str>);

impl AccountId {
    /// Reads a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        // Most names need no look at characters.
        let usual = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
        let plain = usual || !text.chars().any(char::is_control) && text.trim() == text;
        if text.is_empty() || !usual && text.chars().count() > 128 || !plain {
            let expected = "expected 1 to 128 printable characters without spaces at the ends";
            return Err(NameError { text: text.to_owned(), what: "an account", expected });
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was read before, from its text.
    pub(crate) fn of_known(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for AccountId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> Self {
        account.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_in_the_order_of_their_texts_and_show_them() {
        let texts = ["0", "00", "1INCH", "A", "AB", "ABCDEFGHIJKLMNO", "ABD", "B", "BTC", "BTC0", "Z"];
        let assets: Vec<Asset> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(assets.is_sorted());
        for (asset, text) in assets.iter().zip(texts) {
            assert_eq!((asset.as_str(), asset.to_string().as_str()), (text, text));
            assert_eq!(format!("{asset:?}"), format!("Asset({text:?})"));
        }
    }

    #[test]
    fn what_is_empty_too_long_or_not_upper_case_names_no_asset() {
        for text in ["", "ABCDEFGHIJKLMNOP", "btc", "BT C", "B\u{c9}"] {
            assert_eq!(Asset::new(text).unwrap_err().text, text);
        }
    }
}
