//! XML as a stream of elements, with small subtrees held whole.

use super::fault::plain;
use super::{SpanFault, SpanFileError};
use plimsoll_types::Decimal;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use std::io::{self, BufRead, Read};

/// No tag, text or comment of a published file comes near it.
const EVENT_MAX: usize = 1 << 20;
/// Elements within elements.
const DEPTH_MAX: usize = 32;
/// Elements of one subtree; the largest, a combined commodity, has some ten thousand.
const NODES_MAX: usize = 1 << 19;
/// Digits a decimal always has room for.
const DIGITS_MAX: usize = 27;

/// Counts lines and bytes, and refuses to read on within one tag or text for ever.
struct Counted<R> {
    inner: R,
    line: u64,
    byte: u64,
    unbroken: usize,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?;
        let length = got.len().min(into.len());
        into[..length].copy_from_slice(&got[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unbroken > EVENT_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a tag or text without end"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed has been filled before, so this reads nothing.
        if let Ok(bytes) = self.inner.fill_buf() {
            let lines = bytes.iter().take(amount).filter(|b| **b == b'\n').count();
            self.line += u64::try_from(lines).unwrap_or(0);
        }
        self.byte += u64::try_from(amount).unwrap_or(0);
        self.unbroken = self.unbroken.saturating_add(amount);
        self.inner.consume(amount);
    }
}

/// What comes next.
pub(super) enum Step {
    Open(String),
    Text(String),
    Close,
    End,
}

/// A file of elements.
pub(super) struct Source<R: BufRead> {
    reader: Reader<Counted<R>>,
    buffer: Vec<u8>,
    open: Vec<String>,
}

/// An element with all that is in it.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    text: String,
    children: Vec<Node>,
    line: u64,
    byte: u64,
    path: String,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(inner: R) -> Self {
        let mut reader = Reader::from_reader(Counted { inner, line: 1, byte: 0, unbroken: 0 });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), open: Vec::new() }
    }

    /// A fault here, in the element that is open.
    pub(super) fn fault(&self, fault: SpanFault) -> SpanFileError {
        let place = self.reader.get_ref();
        SpanFileError::at(place.line, place.byte, &self.path(), fault)
    }

    /// The open element and the one around it.
    fn path(&self) -> String {
        self.open[self.open.len().saturating_sub(2)..].join("/")
    }

    /// The next tag or text.
    pub(super) fn next(&mut self) -> Result<Step, SpanFileError> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().unbroken = 0;
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => {
                    let fault = xml_fault(&error);
                    return Err(self.fault(fault));
                }
            };
            let step = step(&event);
            drop(event);
            return match step {
                Ok(None) => continue,
                Ok(Some(Step::Open(name))) => {
                    if self.open.len() >= DEPTH_MAX {
                        return Err(self.fault(SpanFault::TooDeep(DEPTH_MAX)));
                    }
                    self.open.push(name.clone());
                    Ok(Step::Open(name))
                }
                Ok(Some(Step::Close)) => {
                    self.open.pop();
                    Ok(Step::Close)
                }
                Ok(Some(Step::End)) if !self.open.is_empty() => Err(self.fault(SpanFault::Truncated)),
                Ok(Some(other)) => Ok(other),
                Err(fault) => Err(self.fault(fault)),
            };
        }
    }

    /// Passes over the element that is open.
    pub(super) fn skip(&mut self) -> Result<(), SpanFileError> {
        let depth = self.open.len();
        while self.open.len() >= depth {
            self.next()?;
        }
        Ok(())
    }

    /// The element that is open, to its end.
    pub(super) fn node(&mut self) -> Result<Node, SpanFileError> {
        let mut left = NODES_MAX;
        self.subtree(&mut left)
    }

    fn subtree(&mut self, left: &mut usize) -> Result<Node, SpanFileError> {
        *left = left.checked_sub(1).ok_or_else(|| self.fault(SpanFault::TooLong(NODES_MAX)))?;
        let place = self.reader.get_ref();
        let mut node = Node {
            name: self.open.last().cloned().unwrap_or_default(),
            text: String::new(),
            children: Vec::new(),
            line: place.line,
            byte: place.byte,
            path: self.path(),
        };
        loop {
            match self.next()? {
                Step::Open(_) => node.children.push(self.subtree(left)?),
                Step::Text(text) => node.text.push_str(&text),
                Step::Close => {
                    node.text = node.text.trim().to_owned();
                    return Ok(node);
                }
                Step::End => return Err(self.fault(SpanFault::Truncated)),
            }
        }
    }
}

fn xml_fault(error: &quick_xml::Error) -> SpanFault {
    match error {
        quick_xml::Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            SpanFault::TooLong(EVENT_MAX)
        }
        quick_xml::Error::Io(error) => SpanFault::Unreadable(error.to_string()),
        quick_xml::Error::Encoding(_) => SpanFault::NotUtf8,
        quick_xml::Error::Syntax(_) => SpanFault::Truncated,
        other => SpanFault::Xml(plain(&other.to_string())),
    }
}

/// What an event is; `None` for what carries nothing.
fn step(event: &Event) -> Result<Option<Step>, SpanFault> {
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| SpanFault::NotUtf8);
    Ok(Some(match event {
        Event::Start(tag) => Step::Open(utf8(tag.local_name().as_ref())?),
        Event::End(_) => Step::Close,
        Event::Eof => Step::End,
        Event::Text(text) => Step::Text(utf8(text)?),
        Event::CData(text) => Step::Text(utf8(text)?),
        Event::GeneralRef(reference) => {
            let name = utf8(reference)?;
            let unknown = || SpanFault::Xml(plain(&format!("&{name}; is not known")));
            match reference.resolve_char_ref() {
                Ok(Some(letter)) => Step::Text(letter.to_string()),
                Ok(None) => Step::Text(resolve_predefined_entity(&name).ok_or_else(unknown)?.to_owned()),
                Err(_) => return Err(unknown()),
            }
        }
        _ => return Ok(None),
    }))
}

impl Node {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn place(&self) -> (u64, u64) {
        (self.line, self.byte)
    }

    pub(super) fn fault(&self, fault: SpanFault) -> SpanFileError {
        let (path, name) = match self.path.rsplit_once('/') {
            Some((around, name)) => (around, name),
            None => ("", self.path.as_str()),
        };
        SpanFileError::at(self.line, self.byte, path, fault).field(name, &self.text)
    }

    /// A fault of a child that is not there.
    pub(super) fn lacks(&self, name: &str) -> SpanFileError {
        SpanFileError::at(self.line, self.byte, &self.path, SpanFault::Missing).field(name, "")
    }

    /// All children of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The one child of a name, if there is any; two are refused.
    pub(super) fn child(&self, name: &str) -> Result<Option<&Self>, SpanFileError> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        let first = found.next();
        match found.next() {
            Some(second) => Err(second.fault(SpanFault::Twice)),
            None => Ok(first),
        }
    }

    /// The text of a child; `None` where it is absent or empty.
    pub(super) fn text_of(&self, name: &str) -> Result<Option<&str>, SpanFileError> {
        Ok(self.child(name)?.map(Self::text).filter(|text| !text.is_empty()))
    }

    /// The text of a child that must be there.
    pub(super) fn name_of(&self, name: &str) -> Result<&str, SpanFileError> {
        self.text_of(name)?.ok_or_else(|| self.lacks(name))
    }

    /// The decimal in a child; `None` where it is absent or empty.
    pub(super) fn decimal_of(&self, name: &str) -> Result<Option<Decimal>, SpanFileError> {
        let child = self.child(name)?.filter(|child| !child.text.is_empty());
        child.map(Self::decimal).transpose()
    }

    /// The decimal in a child that must be there.
    pub(super) fn number_of(&self, name: &str) -> Result<Decimal, SpanFileError> {
        self.decimal_of(name)?.ok_or_else(|| self.lacks(name))
    }

    /// The small whole number in a child.
    pub(super) fn small_of(&self, name: &str) -> Result<Option<u32>, SpanFileError> {
        let child = self.child(name)?.filter(|child| !child.text.is_empty());
        let read = |child: &Self| {
            let digits = child.text.bytes().all(|b| b.is_ascii_digit());
            let number = child.text.parse().ok().filter(|_| digits);
            number.ok_or_else(|| child.fault(SpanFault::Malformed("a whole number")))
        };
        child.map(read).transpose()
    }

    /// `1` or `Y`; `0` or `N`.
    pub(super) fn flag_of(&self, name: &str) -> Result<Option<bool>, SpanFileError> {
        let Some(child) = self.child(name)? else { return Ok(None) };
        match child.text.as_str() {
            "" => Ok(None),
            "1" | "Y" => Ok(Some(true)),
            "0" | "N" => Ok(Some(false)),
            _ => Err(child.fault(SpanFault::Malformed("1, 0, Y or N"))),
        }
    }

    /// The element's own text as a decimal, to the last digit.
    pub(super) fn decimal(&self) -> Result<Decimal, SpanFileError> {
        let text = self.text.as_str();
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b".+-eE".contains(&b));
        if !plain || !text.bytes().any(|b| b.is_ascii_digit()) {
            return Err(self.fault(SpanFault::Malformed("a number")));
        }
        let read = if text.contains(['e', 'E']) {
            Decimal::from_scientific(text)
        } else {
            Decimal::from_str_exact(text)
        };
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let fault = if digits > DIGITS_MAX { SpanFault::Overflow } else { SpanFault::Malformed("a number") };
        read.map(|value| value.normalize()).map_err(|_| self.fault(fault))
    }
}
