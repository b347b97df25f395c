//! Reading the JSON of a file of cases, as strictly as a comparison needs it.
//!
//! The one idea: what a file says must reach the comparison whole. An integer longer than a float's digits stays text, and an
//! object that names one key twice is refused, since one of the two values would be lost.
//!
//! This module must never know what a case means.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The most digits of an integer that a float always holds.
const FLOAT_DIGITS: usize = 15;

/// The document, without a byte order mark; integers of more than 15 digits as text.
pub(super) fn read(content: &[u8]) -> Result<Value, serde_json::Error> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let text = exact_integers(content);
    let mut reader = serde_json::Deserializer::from_slice(&text);
    let document = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// The text with every integer of more than 15 digits in quotes: read as a JSON number it would lose its last ones.
fn exact_integers(text: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(text.len());
    let (mut at, mut quoted) = (0, false);
    while let Some(&byte) = text.get(at) {
        let begins = !quoted && (byte == b'-' || byte.is_ascii_digit());
        let length = if begins { number_length(&text[at..]) } else { 1 };
        let token = &text[at..at + length];
        let plain = begins && token.iter().all(|b| *b == b'-' || b.is_ascii_digit());
        if plain && length > FLOAT_DIGITS {
            made.extend([b"\"", token, b"\""].concat());
        } else {
            made.extend(token);
        }
        if quoted && byte == b'\\' {
            made.extend(text.get(at + 1));
            at += 1;
        }
        quoted ^= byte == b'"';
        at += length;
    }
    made
}

/// How many bytes the number at the start of a text has.
fn number_length(text: &[u8]) -> usize {
    let part = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
    text.iter().take_while(|b| part(b)).count()
}

/// Reads a value, and refuses an object that names a key twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_f64<E: Error>(self, x: f64) -> Result<Value, E> {
        Number::from_f64(x).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if read.contains_key(&key) {
                return Err(A::Error::custom(format_args!("an object names `{key}` twice")));
            }
            read.insert(key, value);
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::super::field;
    use super::read;

    #[test]
    fn long_integers_keep_their_digits() {
        let text = br#"{"a": -12345678901234567890, "b": 1234567890.123456789, "c \" 1111111111111111": "x", "d": 12}"#;
        let read = read(text).unwrap();
        assert_eq!(field::integer(&read, "a"), Ok(-12_345_678_901_234_567_890));
        assert_eq!(read["b"], 1_234_567_890.123_456_7);
        assert_eq!(read["c \" 1111111111111111"], "x");
        assert_eq!(field::integer(&read, "d"), Ok(12));
    }

    #[test]
    fn a_key_named_twice_is_refused_at_any_depth_and_a_second_document_too() {
        let reason = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(reason(r#"{"expected": 5, "expected": 6}"#).starts_with("an object names `expected` twice"));
        assert!(reason(r#"[{"a": {"b": 1, "b": 1}}]"#).starts_with("an object names `b` twice"));
        assert!(reason("{} {}").starts_with("trailing characters"));
        assert!(read(br#"{"a": {"b": 1}, "c": {"b": 1}}"#).is_ok());
    }

    #[test]
    fn what_is_read_is_what_the_usual_reader_reads() {
        let text =
            r#"[null, true, -3, 7, 18446744073709551, 0.1, 1e300, -0.0, "\u00e9\n", [], {}, {"k": [1]}]"#;
        let usual: serde_json::Value =
            serde_json::from_str(&text.replace("18446744073709551", "\"18446744073709551\"")).unwrap();
        assert_eq!(read(text.as_bytes()).unwrap(), usual);
    }
}
