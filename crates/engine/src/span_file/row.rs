//! Fields of a fixed-width line: positions are 1-based and inclusive, decimals implied.

use super::period::SpanPeriod;
use super::{SpanFault, SpanFileError};
use plimsoll_margin::Side;
use plimsoll_types::Decimal;

/// First and last position of a field.
pub(super) type Span = (usize, usize);

/// A line of a file.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) line: u64,
    pub(super) byte: u64,
}

impl<'a> Row<'a> {
    /// The two characters that name its type.
    pub(super) fn kind(self) -> &'a str {
        self.bytes.get(..2).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
    }

    pub(super) fn fault(self, field: &str, span: Span, fault: SpanFault) -> SpanFileError {
        let found = String::from_utf8_lossy(self.slice(span)).into_owned();
        SpanFileError::at(self.line, self.byte, self.kind(), fault).field(field, &found)
    }

    fn slice(self, (first, last): Span) -> &'a [u8] {
        let end = last.min(self.bytes.len());
        self.bytes.get(first.saturating_sub(1)..end).unwrap_or(&[])
    }

    /// The text of a field without its padding; blank where the line ends before it.
    pub(super) fn text(self, field: &str, span: Span) -> Result<&'a str, SpanFileError> {
        match std::str::from_utf8(self.slice(span)) {
            Ok(text) => Ok(text.trim()),
            Err(_) => Err(self.fault(field, span, SpanFault::NotUtf8)),
        }
    }

    /// Text that must be there.
    pub(super) fn name(self, field: &str, span: Span) -> Result<&'a str, SpanFileError> {
        let text = self.text(field, span)?;
        if text.is_empty() { Err(self.absent(field, span)) } else { Ok(text) }
    }

    /// Beyond the end of the line, or blank within it.
    fn absent(self, field: &str, span: Span) -> SpanFileError {
        let cut = self.bytes.len() < span.1;
        self.fault(field, span, if cut { SpanFault::Truncated } else { SpanFault::Missing })
    }

    /// Whole number without sign; `None` where blank.
    pub(super) fn whole(self, field: &str, span: Span) -> Result<Option<i64>, SpanFileError> {
        let text = self.text(field, span)?;
        if text.is_empty() {
            return Ok(None);
        }
        if self.bytes.len() < span.1 {
            // Digits that were cut off would be read as a smaller number.
            return Err(self.fault(field, span, SpanFault::Truncated));
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.fault(field, span, SpanFault::Malformed("digits")));
        }
        text.parse().map(Some).map_err(|_| self.fault(field, span, SpanFault::Overflow))
    }

    /// Whole number that must be there.
    pub(super) fn whole_here(self, field: &str, span: Span) -> Result<i64, SpanFileError> {
        self.whole(field, span)?.ok_or_else(|| self.absent(field, span))
    }

    /// A small count or number.
    pub(super) fn small(self, field: &str, span: Span) -> Result<Option<u32>, SpanFileError> {
        let number = self.whole(field, span)?;
        number.map(|n| u32::try_from(n).map_err(|_| self.fault(field, span, SpanFault::Overflow))).transpose()
    }

    /// Digits with `decimals` implied, `None` where blank.
    pub(super) fn decimal(
        self,
        field: &str,
        span: Span,
        decimals: i32,
    ) -> Result<Option<Decimal>, SpanFileError> {
        let scaled = |n| scaled(n, -decimals).ok_or_else(|| self.fault(field, span, SpanFault::Overflow));
        self.whole(field, span)?.map(scaled).transpose()
    }

    /// Digits with `decimals` implied that must be there.
    pub(super) fn decimal_here(
        self,
        field: &str,
        span: Span,
        decimals: i32,
    ) -> Result<Decimal, SpanFileError> {
        self.decimal(field, span, decimals)?.ok_or_else(|| self.absent(field, span))
    }

    /// Whether the sign at a position is a minus.
    pub(super) fn minus(self, field: &str, at: usize) -> Result<bool, SpanFileError> {
        match self.bytes.get(at.saturating_sub(1)) {
            Some(b'-') => Ok(true),
            Some(b'+' | b' ') => Ok(false),
            None => Err(self.fault(field, (at, at), SpanFault::Truncated)),
            Some(_) => Err(self.fault(field, (at, at), SpanFault::Sign)),
        }
    }

    /// A whole number whose sign stands right after it.
    pub(super) fn signed(self, field: &str, span: Span) -> Result<i64, SpanFileError> {
        let size = self.whole_here(field, span)?;
        Ok(if self.minus(field, span.1 + 1)? { -size } else { size })
    }

    /// A three-character locator: digits, or a minus and digits. Blank is 0.
    pub(super) fn locator(self, field: &str, span: Span) -> Result<i32, SpanFileError> {
        let text = self.text(field, span)?;
        if text.is_empty() {
            return Ok(0);
        }
        let plain = text.strip_prefix('-').unwrap_or(text);
        if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.fault(field, span, SpanFault::Malformed("digits, or - and digits")));
        }
        text.parse().map_err(|_| self.fault(field, span, SpanFault::Overflow))
    }

    /// A contract month at `month` (six characters) with its day; `None` where blank or zeros.
    pub(super) fn period(
        self,
        field: &str,
        month: Span,
        day: Span,
    ) -> Result<Option<SpanPeriod>, SpanFileError> {
        let text = self.text(field, month)?;
        if text.bytes().all(|b| b == b'0') {
            return Ok(None);
        }
        let day = if day.0 == 0 { "" } else { self.text(field, day)? };
        let read = SpanPeriod::of(text, day).map(Some);
        read.ok_or_else(|| self.fault(field, month, SpanFault::Malformed("CCYYMM and a day")))
    }

    /// `A` or `B`.
    pub(super) fn side(self, field: &str, at: usize) -> Result<Side, SpanFileError> {
        match self.text(field, (at, at))? {
            "A" => Ok(Side::A),
            "B" => Ok(Side::B),
            "" => Err(self.absent(field, (at, at))),
            _ => Err(self.fault(field, (at, at), SpanFault::Malformed("A or B"))),
        }
    }

    /// `Y` or `1`; `N`, `0` or blank.
    pub(super) fn flag(self, field: &str, at: usize) -> Result<bool, SpanFileError> {
        match self.text(field, (at, at))? {
            "Y" | "1" => Ok(true),
            "N" | "0" | "" => Ok(false),
            _ => Err(self.fault(field, (at, at), SpanFault::Malformed("Y, N, 1, 0 or blank"))),
        }
    }
}

/// `number x 10^exponent`; `None` when it does not fit.
pub(super) fn scaled(number: i64, exponent: i32) -> Option<Decimal> {
    if exponent <= 0 {
        return Decimal::try_from_i128_with_scale(i128::from(number), exponent.unsigned_abs()).ok();
    }
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Decimal::try_from_i128_with_scale(i128::from(number).checked_mul(power)?, 0).ok()
}
