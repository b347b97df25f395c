//! Expanded `.pa2`, line by line: header, currencies, products, array parameters and arrays. Rules are in `pa2_rules`.

use super::link::{self, Draft, PriceLocators};
use super::row::{Row, Span};
use super::{
    SpanContract, SpanCurrency, SpanFault, SpanFile, SpanFileError, SpanFormat, SpanKind, SpanRight,
    pa2_rules,
};
use plimsoll_types::Decimal;
use std::io::{BufRead, Read};

/// No published line comes near it.
const LINE_MAX: usize = 1 << 16;

/// Scenarios in the first record of a pair, and in both.
const FIRST: usize = 9;
const WIDTH: usize = 16;

/// The part that both records of a pair repeat.
const JOINT: Span = (3, 54);

/// What has been read so far.
pub(super) struct Reading {
    pub(super) draft: Draft,
    pub(super) header: bool,
    pub(super) capped: bool,
    pending: Option<Half>,
}

/// The first record of a pair.
struct Half {
    line: u64,
    byte: u64,
    kind: String,
    joint: Vec<u8>,
    losses: [i64; FIRST],
    price: Option<i64>,
}

/// Where the two forms of array records keep their fields.
struct Layout {
    digits: usize,
    high_price: Span,
    delta: Span,
    vol: Span,
    price: Span,
    strike_sign: usize,
}

const NARROW: Layout = Layout {
    digits: 5,
    high_price: (109, 122),
    delta: (97, 101),
    vol: (103, 110),
    price: (111, 117),
    strike_sign: 119,
};

const WIDE: Layout = Layout {
    digits: 8,
    high_price: (136, 149),
    delta: (118, 122),
    vol: (124, 131),
    price: (132, 138),
    strike_sign: 140,
};

/// Reads a file to its end.
pub(super) fn read(mut reader: impl BufRead) -> Result<SpanFile, SpanFileError> {
    let draft = Draft::new(SpanFormat::Expanded, WIDTH);
    let mut reading = Reading { draft, header: false, capped: false, pending: None };
    let (mut line, mut byte, mut buffer) = (0_u64, 0_u64, Vec::new());
    loop {
        buffer.clear();
        let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
        let read = (&mut reader).take(limit).read_until(b'\n', &mut buffer);
        line += 1;
        let length = read.map_err(|e| SpanFileError::unreadable(line, byte, &e))?;
        if length == 0 {
            break;
        }
        if length >= LINE_MAX && buffer.last() != Some(&b'\n') {
            return Err(SpanFileError::at(line, byte, "", SpanFault::TooLong(LINE_MAX)));
        }
        let bytes = ended(&buffer);
        record(&mut reading, Row { bytes, line, byte })?;
        byte += u64::try_from(length).unwrap_or(u64::MAX);
    }
    reading.whole()?;
    if !reading.header {
        return Err(SpanFileError::at(line, byte, "0 ", SpanFault::Missing));
    }
    link::finish(reading.draft)
}

/// A line without its end, and without the end-of-file character some systems leave.
fn ended(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_suffix(b"\x1a").unwrap_or(line)
}

fn record(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    if row.bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    if std::str::from_utf8(row.bytes).is_err() {
        return Err(row.fault("line", (1, 80), SpanFault::NotUtf8));
    }
    let kind = row.kind();
    if !matches!(kind, "82" | "84") {
        reading.whole()?;
    }
    if !reading.header && kind.trim_end() != "0" {
        return Err(row.fault("type", (1, 2), SpanFault::Order("the header")));
    }
    match kind.trim_end() {
        "0" => header(reading, row),
        "1" => row.name("acronym", (3, 5)).map(|_| ()),
        "T" => currency(reading, row),
        "P" => product(reading, row),
        "B" => parameters(reading, row),
        "81" => first_half(reading, row, &NARROW),
        "83" => first_half(reading, row, &WIDE),
        "82" => second_half(reading, row, &NARROW),
        "84" => second_half(reading, row, &WIDE),
        other => {
            if !pa2_rules::record(reading, row, other)? {
                reading.draft.file.skipped += 1;
            }
            Ok(())
        }
    }
}

impl Reading {
    /// Refuses to go on from half a pair.
    fn whole(&self) -> Result<(), SpanFileError> {
        let Some(half) = &self.pending else { return Ok(()) };
        let contract = String::from_utf8_lossy(&half.joint).into_owned();
        let fault = SpanFault::Unpaired("after");
        Err(SpanFileError::at(half.line, half.byte, &half.kind, fault).field("contract", &contract))
    }
}

fn header(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    if reading.header {
        return Err(row.fault("type", (1, 2), SpanFault::Twice));
    }
    reading.header = true;
    let date = row.name("business date", (9, 16))?;
    if date.len() != 8 || row.whole("business date", (9, 16))?.is_none() {
        return Err(row.fault("business date", (9, 16), SpanFault::Malformed("CCYYMMDD")));
    }
    let choice = |field, at: usize, yes: &str, no: &str| match row.text(field, (at, at))? {
        "" => Ok(None),
        text if text == yes => Ok(Some(true)),
        text if text == no => Ok(Some(false)),
        _ => Err(row.fault(field, (at, at), SpanFault::Malformed("a known flag or blank"))),
    };
    let file = &mut reading.draft.file;
    file.date = date.to_owned();
    file.settlement = choice("settlement or intraday", 17, "S", "I")?;
    file.maintenance = choice("maintenance or initial", 75, "M", "I")?;
    file.format = match row.name("format", (36, 37))? {
        "U2" => SpanFormat::Expanded,
        "UP" => SpanFormat::Paris,
        _ => return Err(row.fault("format", (36, 37), SpanFault::Malformed("U2 or UP"))),
    };
    reading.capped = row.flag("overall cap of option value", 39)?;
    Ok(())
}

fn currency(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let multiplier = row.decimal_here("multiplier", (11, 20), 6)?;
    if multiplier.is_zero() {
        return Err(row.fault("multiplier", (11, 20), SpanFault::Malformed("more than 0")));
    }
    let from = row.name("from currency", (3, 5))?.to_owned();
    let to = row.name("to currency", (7, 9))?.to_owned();
    reading.draft.file.currencies.push(SpanCurrency { from, to, multiplier });
    Ok(())
}

/// Exchange, product code and type; `None` for a type of contract that is not known.
fn key<'a>(row: Row<'a>, kind: Span) -> Result<Option<(&'a str, &'a str, SpanKind)>, SpanFileError> {
    let exchange = row.name("exchange", (3, 5))?;
    let code = row.name("product", (6, 15))?;
    Ok(SpanKind::of(row.name("contract type", kind)?).map(|kind| (exchange, code, kind)))
}

fn product(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let Some((exchange, code, kind)) = key(row, (16, 18))? else {
        reading.draft.file.skipped += 1;
        return Ok(());
    };
    let at = reading.draft.product((exchange, code, kind), (row.line, row.byte));
    if reading.draft.locators[at].is_some() {
        return Err(row.fault("product", (6, 15), SpanFault::Twice));
    }
    let price = row.locator("settlement price decimal locator", (34, 36))?;
    let strike = row.locator("strike decimal locator", (37, 39))?;
    reading.draft.locators[at] = Some(PriceLocators { price, strike });
    let exponent = row.small("contract value factor exponent", (74, 75))?.unwrap_or(0);
    let exponent = i32::try_from(exponent)
        .map_err(|_| row.fault("contract value factor exponent", (74, 75), SpanFault::Overflow))?;
    let down = exponent != 0 && row.minus("contract value factor exponent sign", 73)?;
    let decimals = if down { 7 + exponent } else { 7 - exponent };
    let cvf = row.decimal("contract value factor", (42, 55), decimals)?;
    let currency = row.text("currency", (66, 68))?;
    let daily = row.text("valuation method", (117, 121))?.starts_with("FUT");
    let product = &mut reading.draft.file.products[at];
    product.cvf = cvf.filter(|value| !value.is_zero());
    product.currency = (!currency.is_empty()).then(|| currency.to_owned());
    product.futures_style = kind.is_option() && daily;
    Ok(())
}

fn parameters(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let Some((exchange, code, kind)) = key(row, (16, 18))? else {
        reading.draft.file.skipped += 1;
        return Ok(());
    };
    let underlying = row.period("futures month", (19, 24), (25, 26))?;
    let option = row.period("option month", (28, 33), (34, 35))?;
    // Read so that what is no number is refused; the arrays already hold what they say.
    row.decimal("base volatility", (37, 44), 6)?;
    row.decimal("volatility scan", (45, 52), 6)?;
    row.decimal("price scan", (53, 57), 0)?;
    let extreme = row.decimal("extreme multiplier", (58, 62), 3)?;
    let cover = row.decimal("cover fraction", (63, 67), 4)?;
    row.decimal("interest rate", (68, 72), 4)?;
    row.decimal("time to expiry", (73, 79), 6)?;
    row.decimal("look-ahead", (80, 85), 6)?;
    let scaling = row.decimal("delta scaling", (86, 91), 4)?.filter(|value| !value.is_zero());
    let at = reading.draft.product((exchange, code, kind), (row.line, row.byte));
    if let (Some(extreme), Some(cover)) = (extreme, cover)
        && !extreme.is_zero()
    {
        reading.draft.extremes.get_or_insert((extreme, cover));
    }
    if let Some(scaling) = scaling {
        reading.draft.scalings.insert((at, underlying, option), scaling);
    }
    Ok(())
}

fn values<const N: usize>(row: Row, layout: &Layout) -> Result<[i64; N], SpanFileError> {
    let mut losses = [0; N];
    for (at, loss) in losses.iter_mut().enumerate() {
        let first = 55 + at * (layout.digits + 1);
        *loss = row.signed("array value", (first, first + layout.digits - 1))?;
    }
    Ok(losses)
}

fn joint(row: Row) -> Result<Vec<u8>, SpanFileError> {
    let bytes = row.bytes.get(JOINT.0 - 1..JOINT.1);
    bytes.map(<[u8]>::to_vec).ok_or_else(|| row.fault("contract", JOINT, SpanFault::Truncated))
}

fn first_half(reading: &mut Reading, row: Row, layout: &Layout) -> Result<(), SpanFileError> {
    let joint = joint(row)?;
    let losses = values::<FIRST>(row, layout)?;
    let stated = layout.digits != NARROW.digits || row.flag("high-precision flag", 123)?;
    let price = if stated { row.whole("high-precision settlement", layout.high_price)? } else { None };
    let kind = row.kind().to_owned();
    reading.pending = Some(Half { line: row.line, byte: row.byte, kind, joint, losses, price });
    Ok(())
}

fn second_half(reading: &mut Reading, row: Row, layout: &Layout) -> Result<(), SpanFileError> {
    let wanted = if layout.digits == NARROW.digits { "81" } else { "83" };
    let half = match reading.pending.take() {
        Some(half) if half.kind == wanted => half,
        _ => return Err(row.fault("contract", JOINT, SpanFault::Unpaired("before"))),
    };
    if half.joint != joint(row)? {
        return Err(row.fault("contract", JOINT, SpanFault::Unpaired("before")));
    }
    let rest = values::<{ WIDTH - FIRST }>(row, layout)?;
    let delta = row.signed("composite delta", layout.delta)?;
    let vol = row.decimal("implied volatility", layout.vol, 6)?;
    let price = row.whole("settlement price", layout.price)?.or(half.price);
    let below = price.is_some() && row.minus("settlement sign", layout.price.1 + 1)?;
    let strike = row.whole("strike", (48, 54))?;
    let below_strike = strike.is_some_and(|k| k != 0) && row.minus("strike sign", layout.strike_sign)?;
    let Some(contract) = contract(reading, row)? else {
        reading.draft.file.skipped += 1;
        return Ok(());
    };
    let price = half.price.filter(|p| *p != 0).or(price).map(|p| if below { -p } else { p });
    let strike = strike.map(|k| if below_strike { -k } else { k });
    let composite_delta = Decimal::new(delta, 4);
    let vol = vol.filter(|v| !v.is_zero());
    let draft = &mut reading.draft;
    draft.file.contracts.push(SpanContract { composite_delta, vol, ..contract });
    draft.raw.push((price, strike.filter(|_| contract.right.is_some())));
    draft.file.losses.extend(half.losses.iter().chain(&rest));
    Ok(())
}

/// What the part that both records share says; `None` for a type of contract that is not known.
fn contract(reading: &mut Reading, row: Row) -> Result<Option<SpanContract>, SpanFileError> {
    let Some((exchange, code, kind)) = key(row, (26, 28))? else { return Ok(None) };
    let future = row.period("futures month", (30, 35), (36, 37))?;
    let option = row.period("option month", (39, 44), (45, 46))?;
    let right = match (kind.is_option(), row.text("right", (29, 29))?) {
        (false, _) => None,
        (true, text) => {
            let right = SpanRight::of(text);
            Some(right.ok_or_else(|| row.fault("right", (29, 29), SpanFault::Malformed("C or P")))?)
        }
    };
    if kind.is_option() && option.is_none() {
        return Err(row.fault("option month", (39, 44), SpanFault::Missing));
    }
    if kind == SpanKind::Future && future.is_none() {
        return Err(row.fault("futures month", (30, 35), SpanFault::Missing));
    }
    let product = reading.draft.product((exchange, code, kind), (row.line, row.byte));
    Ok(Some(SpanContract {
        product,
        period: if kind.is_option() { option } else { future },
        underlying: if kind.is_option() { future } else { None },
        right,
        strike: None,
        price: None,
        cvf: None,
        composite_delta: Decimal::ZERO,
        delta_scaling: None,
        vol: None,
        exponent: 0,
    }))
}
