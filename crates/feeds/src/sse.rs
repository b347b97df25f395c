//! Server-sent events, as the HTML standard has them (section 9.2).

use crate::refusal::refuse;
use crate::{Reason, Refusal};

/// Events out of bytes, wherever they are cut.
#[derive(Clone, Debug)]
pub struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    any: bool,
    limit: usize,
    after_return: bool,
}

impl Events {
    /// A reader of events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), data: Vec::new(), any: false, limit, after_return: false }
    }

    /// Takes bytes, and hands every event that is complete, as its data, to `event`.
    ///
    /// # Errors
    /// [`Reason::TooLong`] for a line or an event over the limit: what comes after it cannot be told apart any more.
    pub fn take(&mut self, bytes: &[u8], event: &mut dyn FnMut(&[u8])) -> Result<(), Refusal> {
        for byte in bytes {
            let follows = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if follows => {}
                b'\n' | b'\r' => self.end_line(event)?,
                byte if self.line.len() < self.limit => self.line.push(*byte),
                _ => {
                    return refuse(Reason::TooLong, format_args!("a line of more than {} bytes", self.limit));
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self, event: &mut dyn FnMut(&[u8])) -> Result<(), Refusal> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            if std::mem::take(&mut self.any) {
                event(&data);
            }
            return Ok(());
        }
        let Some(value) = line.strip_prefix(b"data:").or((line == b"data").then_some(&[])) else {
            return Ok(());
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if self.data.len() + value.len() >= self.limit {
            return refuse(Reason::TooLong, format_args!("an event of more than {} bytes", self.limit));
        }
        if self.any {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.any = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&str]) -> Vec<String> {
        let (mut events, mut found) = (Events::new(64), Vec::new());
        for chunk in chunks {
            events
                .take(chunk.as_bytes(), &mut |e| found.push(String::from_utf8_lossy(e).into_owned()))
                .unwrap();
        }
        found
    }

    #[test]
    fn an_event_is_the_same_wherever_the_bytes_are_cut() {
        let text = ": hello\nevent: x\ndata: {\"a\":1}\n\ndata:1\r\ndata: 2\r\n\r\nid: 7\n\ndata\n\nretry: 10\ndata: lost";
        let whole = read(&[text]);
        assert_eq!(whole, ["{\"a\":1}", "1\n2", ""]);
        for at in 0..text.len() {
            assert_eq!(read(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
    }

    #[test]
    fn a_line_or_an_event_without_end_is_refused_before_it_fills_memory() {
        for piece in ["data: 1234567890\n", "x"] {
            let mut events = Events::new(64);
            let refused = (0..100).find_map(|_| events.take(piece.as_bytes(), &mut |_| {}).err());
            assert_eq!(refused.map(|r| r.reason), Some(Reason::TooLong), "{piece}");
        }
    }
}
