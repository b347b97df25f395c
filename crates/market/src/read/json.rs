//! Where in a JSON document the parser stands.
//!
//! The parser reads through [`Located`] one byte at a time. A small state machine follows the bytes and so knows line, path
//! and token when the parser gives up, for syntax and for meaning alike.

use super::ReadError;
use super::own::known;
use serde::de::DeserializeSeed;
use std::fmt::Write;
use std::io::{self, BufRead, Read};

/// Longest string or number of a document, bytes.
const TOKEN_BYTES_MAX: usize = 1 << 16;
/// Longest token shown in an error.
const TOKEN_SHOWN: usize = 80;

enum Level {
    Object { key: String, key_next: bool },
    Array { index: u64 },
}

impl Level {
    fn key(&self) -> &str {
        match self {
            Self::Object { key, .. } => key,
            Self::Array { .. } => "",
        }
    }
}

/// A reader that knows where it is.
pub(super) struct Located<R> {
    inner: R,
    line: u64,
    levels: Vec<Level>,
    token: Vec<u8>,
    /// The last value that was complete; the parser may read a little past it before it reports.
    value: Vec<u8>,
    in_string: bool,
    escaped: bool,
    token_done: bool,
    /// The newest byte: the parser may only have peeked at it, so it is followed when the next one is asked for.
    pending: Option<u8>,
    /// Line and column of the newest byte as the parser counts them, from the start of its document.
    reached: (usize, usize),
    /// Closings and commas followed since the last token: the parser reads on over them after it has met an error.
    passed: Vec<((usize, usize), Passed)>,
}

/// What is undone to stand where an error was met.
enum Passed {
    Closing(Level),
    Comma,
}

impl<R: BufRead> Located<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            line: 1,
            levels: Vec::new(),
            token: Vec::new(),
            value: Vec::new(),
            in_string: false,
            escaped: false,
            token_done: false,
            pending: None,
            reached: (1, 0),
            passed: Vec::new(),
        }
    }

    /// The line reached.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads one document with `seed`; `None` at the end of the stream.
    pub(super) fn document<T, S>(&mut self, name: &str, seed: S) -> Result<Option<T>, ReadError>
    where
        S: for<'de> DeserializeSeed<'de, Value = T>,
    {
        match self.skip_white_space() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(source) => return Err(ReadError::Io { name: name.to_owned(), line: self.line, source }),
        }
        self.reached = (1, 0);
        self.passed.clear();
        let mut parser = serde_json::Deserializer::from_reader(&mut *self);
        match seed.deserialize(&mut parser) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.located(name, error)),
        }
    }

    /// Moves to the next byte that is not white space; false at the end.
    fn skip_white_space(&mut self) -> io::Result<bool> {
        if let Some(byte) = self.pending.take() {
            self.follow(byte);
        }
        loop {
            let Some(&byte) = self.inner.fill_buf()?.first() else { return Ok(false) };
            // A byte-order mark may open the file.
            if !(byte.is_ascii_whitespace() || [0xEF, 0xBB, 0xBF].contains(&byte)) {
                return Ok(true);
            }
            self.inner.consume(1);
            self.follow(byte);
        }
    }

    fn follow(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        if self.in_string {
            return self.follow_string(byte);
        }
        let ends_value = byte.is_ascii_whitespace() || [b',', b'}', b']'].contains(&byte);
        if ends_value && !self.token.is_empty() && !self.token_done {
            self.value.clone_from(&self.token);
        }
        if !(byte.is_ascii_whitespace() || [b',', b'}', b']', b':'].contains(&byte)) {
            self.passed.clear();
        }
        match byte {
            b'"' => {
                self.token.clear();
                self.token_done = false;
                self.in_string = true;
            }
            b'{' => {
                self.value.clear();
                self.levels.push(Level::Object { key: String::new(), key_next: true });
            }
            b'[' => {
                self.value.clear();
                self.levels.push(Level::Array { index: 0 });
            }
            b'}' | b']' => {
                let closed = self.levels.pop();
                self.passed.extend(closed.map(|level| (self.reached, Passed::Closing(level))));
                self.token.clear();
            }
            b',' => {
                self.passed.push((self.reached, Passed::Comma));
                self.token.clear();
                match self.levels.last_mut() {
                    Some(Level::Object { key_next, .. }) => *key_next = true,
                    Some(Level::Array { index }) => *index += 1,
                    None => {}
                }
            }
            b':' => self.token.clear(),
            b if b.is_ascii_whitespace() => self.token_done = true,
            b => {
                if self.token_done {
                    self.token.clear();
                    self.token_done = false;
                }
                self.token.push(b);
            }
        }
    }

    fn follow_string(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
            self.token_done = true;
            if let Some(Level::Object { key, key_next: key_next @ true }) = self.levels.last_mut() {
                *key = String::from_utf8_lossy(&self.token).into_owned();
                *key_next = false;
                self.value.clear();
            } else {
                self.value.clone_from(&self.token);
            }
            return;
        }
        self.token.push(byte);
    }

    /// Goes back to where an error was met, as far as only closings and commas have passed since.
    fn go_back(&mut self, to: (usize, usize)) {
        while let Some((at, passed)) = self.passed.pop() {
            if at < to {
                break;
            }
            match (passed, self.levels.last_mut()) {
                (Passed::Closing(level), _) => self.levels.push(level),
                (Passed::Comma, Some(Level::Array { index })) => *index = index.saturating_sub(1),
                (Passed::Comma, _) => {}
            }
        }
    }

    /// The name of the list or map the innermost object is in; empty for the document.
    fn container(&self) -> &str {
        let outer = self.levels.split_last().map_or(&[][..], |(_, outer)| outer);
        let objects = outer.iter().filter(|level| matches!(level, Level::Object { .. }));
        let keys: Vec<&str> = objects.map(Level::key).collect();
        match keys[..] {
            [] => "",
            ["underlyings", _] => "underlyings",
            ["assets", _] => "assets",
            [.., last] => last,
        }
    }

    /// The path of a field of the innermost object.
    fn path_of(&mut self, field: &str) -> String {
        if let Some(Level::Object { key, .. }) = self.levels.last_mut() {
            field.clone_into(key);
        }
        self.path()
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.levels {
            match level {
                Level::Object { key, .. } if path.is_empty() => path.push_str(key),
                Level::Object { key, .. } if key.is_empty() => {}
                Level::Object { key, .. } => {
                    let _ = write!(path, ".{key}");
                }
                Level::Array { index } => {
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        if path.is_empty() { "the document".to_owned() } else { path }
    }

    /// Reads on to the end of a bare word, so that the error shows all of it.
    fn finish_token(&mut self) {
        let ends = |b: u8| b.is_ascii_whitespace() || [b',', b'}', b']', b':', b'{', b'['].contains(&b);
        let Some(byte) = self.pending.take() else { return };
        if ends(byte) && !self.in_string {
            return;
        }
        self.follow(byte);
        while !self.in_string && !self.token_done && self.token.len() < TOKEN_SHOWN {
            let next = match self.inner.fill_buf() {
                Ok(buffer) => buffer.first().copied(),
                Err(_) => None,
            };
            let Some(byte) = next.filter(|&b| !ends(b)) else { return };
            self.inner.consume(1);
            self.follow(byte);
        }
    }

    fn located(&mut self, name: &str, error: serde_json::Error) -> ReadError {
        let (name, line) = (name.to_owned(), self.line);
        if error.is_io() {
            return ReadError::Io { name, line, source: error.into() };
        }
        if error.is_eof() {
            return ReadError::Truncated { name, line, field: self.path() };
        }
        let text = error.to_string();
        if error.is_data() {
            self.go_back((error.line(), error.column()));
        }
        let quoted = |start: &str| text.strip_prefix(start).and_then(|rest| rest.split('`').next());
        if let Some(field) = quoted("missing field `") {
            let known = known(self.container());
            return ReadError::Missing { name, line, field: self.path_of(field), known };
        }
        if let Some(field) = quoted("unknown field `") {
            let known = known(self.container());
            return ReadError::Unknown { name, line, field: self.path_of(field), known };
        }
        if let Some(field) = quoted("duplicate field `").or(quoted("duplicate key `")) {
            let (value, expected) = (field.to_owned(), "this name once".to_owned());
            return ReadError::Field { name, line, field: self.path_of(field), value, expected };
        }
        let out_of_range = error.to_string().starts_with("number out of range");
        let shown = if error.is_data() || out_of_range {
            // A number ends only where the next byte says so, and that may not have been followed yet.
            if self.token.is_empty() || self.token_done { &self.value } else { &self.token }
        } else {
            self.finish_token();
            &self.token
        };
        let value: String = String::from_utf8_lossy(shown).chars().take(TOKEN_SHOWN).collect();
        let value = if value.is_empty() { found(&text).to_owned() } else { value };
        ReadError::Field { name, line, field: self.path(), value, expected: meaning(&error) }
    }
}

/// What the parser says it found, where that is not a plain value.
fn found(text: &str) -> &str {
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|start| text.strip_prefix(start));
    found.and_then(|rest| rest.split(", expected").next()).unwrap_or_default()
}

/// What the parser expected, in its own words without its own position.
fn meaning(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").and_then(|at| text.get(..at)).unwrap_or(&text);
    match text {
        "number out of range" => "a number within 64-bit floating point".to_owned(),
        "expected value" | "invalid number" | "expected ident" => "a JSON value".to_owned(),
        other => match other.rsplit_once("expected ") {
            Some((_, expected)) => expected.to_owned(),
            None => format!("a valid document ({other})"),
        },
    }
}

impl<R: BufRead> Read for Located<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(byte) = self.pending.take() {
            self.follow(byte);
        }
        if self.token.len() > TOKEN_BYTES_MAX {
            let reason = format!("a string or number of more than {TOKEN_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let Some(slot) = buffer.first_mut() else { return Ok(0) };
        let Some(&byte) = self.inner.fill_buf()?.first() else { return Ok(0) };
        self.inner.consume(1);
        *slot = byte;
        let (line, column) = self.reached;
        self.reached = if byte == b'\n' { (line + 1, 0) } else { (line, column + 1) };
        self.pending = Some(byte);
        Ok(1)
    }
}
