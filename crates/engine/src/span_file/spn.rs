//! `.spn` XML, element by element: points, portfolios of contracts, arrays. Rules are in `spn_rules`.

use super::link::{self, Draft};
use super::period::SpanPeriod;
use super::tree::{Node, Source, Step};
use super::{
    SpanContract, SpanCurrency, SpanDeltaPoint, SpanFault, SpanFile, SpanFileError, SpanFormat, SpanKind,
    SpanLevel, SpanMultiple, SpanRight, SpanScanPoint, spn_rules,
};
use plimsoll_types::Decimal;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Digits after the point an array value may have.
const ARRAY_SCALE_MAX: u32 = 18;

/// Exchange, portfolio and contract as an underlying is named.
type ContractId = (String, String, String);

/// What has been read so far.
pub(super) struct Reading {
    pub(super) draft: Draft,
    /// Scenario number and definition.
    points: Vec<(u32, SpanScanPoint)>,
    /// Months of futures, for the options on them.
    futures: BTreeMap<ContractId, SpanPeriod>,
    /// Contracts that are options on the future named.
    above: Vec<(std::ops::Range<usize>, ContractId, (u64, u64))>,
}

/// A portfolio: contracts of one kind under one code.
struct Portfolio {
    kind: SpanKind,
    id: String,
    code: String,
    currency: Option<String>,
    cvf: Option<Decimal>,
    daily: bool,
    contracts: std::ops::Range<usize>,
    place: (u64, u64),
    futures: Vec<(String, SpanPeriod)>,
    above: Vec<(std::ops::Range<usize>, Node)>,
}

/// Reads a file to its end.
pub(super) fn read(reader: impl BufRead) -> Result<SpanFile, SpanFileError> {
    let mut source = Source::new(reader);
    let draft = Draft::new(SpanFormat::Xml, 0);
    let mut reading = Reading { draft, points: Vec::new(), futures: BTreeMap::new(), above: Vec::new() };
    let mut found = false;
    loop {
        match source.next()? {
            Step::Open(name) if name == "spanFile" && !found => {
                found = true;
                container(&mut source, &mut reading)?;
            }
            Step::Open(_) => return Err(source.fault(SpanFault::Order("spanFile"))),
            Step::Text(text) if text.trim().is_empty() => {}
            Step::Text(text) => {
                return Err(source.fault(SpanFault::Order("spanFile")).field("text", &text));
            }
            Step::Close => {}
            Step::End => break,
        }
    }
    if !found {
        return Err(source.fault(SpanFault::Missing).field("spanFile", ""));
    }
    if reading.draft.file.date.is_empty() {
        return Err(source.fault(SpanFault::Missing).field("pointInTime/date", ""));
    }
    finish(reading, &source)
}

/// An element whose children are looked at one by one.
fn container<R: BufRead>(source: &mut Source<R>, reading: &mut Reading) -> Result<(), SpanFileError> {
    loop {
        match source.next()? {
            Step::Open(name) => child(source, reading, &name)?,
            Step::Text(_) => {}
            Step::Close | Step::End => return Ok(()),
        }
    }
}

fn child<R: BufRead>(source: &mut Source<R>, reading: &mut Reading, name: &str) -> Result<(), SpanFileError> {
    match name {
        "definitions" | "pointInTime" | "clearingOrg" | "pointDef" => return container(source, reading),
        "exchange" => return exchange(source, reading),
        "interSpreads" => return credits(source, reading),
        "date" | "isSetl" | "setlQualifier" | "ccDef" | "curConv" | "pbRateDef" | "scanPointDef"
        | "deltaPointDef" => {}
        _ => {
            reading.draft.file.skipped += 1;
            return source.skip();
        }
    }
    let node = source.node()?;
    match name {
        "ccDef" => spn_rules::commodity(reading, &node)?,
        "curConv" => reading.draft.file.currencies.push(currency(&node)?),
        "pbRateDef" => level(reading, &node)?,
        "scanPointDef" => scan_point(reading, &node)?,
        "deltaPointDef" => {
            let price = multiple(&node, "priceScanDef")?;
            let point = SpanDeltaPoint { weight: node.number_of("weight")?, price };
            reading.draft.file.delta_points.push(point);
        }
        _ => moment(reading, &node)?,
    }
    Ok(())
}

/// When the file is of.
fn moment(reading: &mut Reading, node: &Node) -> Result<(), SpanFileError> {
    let file = &mut reading.draft.file;
    match (node.name(), node.text()) {
        ("date", _) if !file.date.is_empty() => return Err(node.fault(SpanFault::Twice)),
        ("date", text) if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) => {
            file.date = text.to_owned();
        }
        ("date", _) => return Err(node.fault(SpanFault::Malformed("CCYYMMDD"))),
        ("isSetl", "1") | ("setlQualifier", "F" | "final") => file.settlement = Some(true),
        ("isSetl", "0") => file.settlement = Some(false),
        ("isSetl", _) => return Err(node.fault(SpanFault::Malformed("1 or 0"))),
        _ => {}
    }
    Ok(())
}

fn currency(node: &Node) -> Result<SpanCurrency, SpanFileError> {
    let multiplier = node.number_of("factor")?;
    if multiplier <= Decimal::ZERO {
        return Err(node.fault(SpanFault::Malformed("a factor above 0")));
    }
    let (from, to) = (node.name_of("fromCur")?.to_owned(), node.name_of("toCur")?.to_owned());
    Ok(SpanCurrency { from, to, multiplier })
}

/// A level of requirement; what is not core is not margin of the positions.
fn level(reading: &mut Reading, node: &Node) -> Result<(), SpanFileError> {
    if node.text_of("pbc")?.is_some_and(|class| class != "CORE") {
        return Ok(());
    }
    let number = node.small_of("r")?.ok_or_else(|| node.lacks("r"))?;
    let account = node.name_of("acctType")?.to_owned();
    let maintenance = node.flag_of("isM")?;
    reading.draft.file.levels.push(SpanLevel { number, account, maintenance });
    Ok(())
}

fn multiple(node: &Node, name: &str) -> Result<Option<SpanMultiple>, SpanFileError> {
    let Some(found) = node.child(name)? else { return Ok(None) };
    let or_one = |name| found.decimal_of(name).map(|value| value.unwrap_or(Decimal::ONE));
    let denominator = or_one("denominator")?;
    if denominator.is_zero() {
        return Err(found.fault(SpanFault::Malformed("a denominator other than 0")));
    }
    Ok(Some(SpanMultiple { mult: or_one("mult")?, numerator: or_one("numerator")?, denominator }))
}

fn scan_point(reading: &mut Reading, node: &Node) -> Result<(), SpanFileError> {
    let point = node.small_of("point")?.ok_or_else(|| node.lacks("point"))?;
    let pair = node.small_of("pairedPoint")?.ok_or_else(|| node.lacks("pairedPoint"))?;
    let first = pair.checked_sub(1).and_then(|pair| usize::try_from(pair).ok());
    let pair = first.ok_or_else(|| node.fault(SpanFault::Malformed("a paired point from 1")))?;
    if reading.points.iter().any(|(known, _)| *known == point) {
        return Err(node.fault(SpanFault::Twice).field("point", &point.to_string()));
    }
    let weight = Some(node.number_of("weight")?);
    let (price, vol) = (multiple(node, "priceScanDef")?, multiple(node, "volScanDef")?);
    reading.points.push((point, SpanScanPoint { pair, weight, price, vol }));
    Ok(())
}

fn credits<R: BufRead>(source: &mut Source<R>, reading: &mut Reading) -> Result<(), SpanFileError> {
    loop {
        match source.next()? {
            Step::Open(name) if name == "dSpread" => {
                let node = source.node()?;
                spn_rules::credit(reading, &node)?;
            }
            Step::Open(_) => {
                reading.draft.file.skipped += 1;
                source.skip()?;
            }
            Step::Text(_) => {}
            Step::Close | Step::End => return Ok(()),
        }
    }
}

/// The kind of a portfolio by its element.
fn portfolio_kind(name: &str) -> Option<SpanKind> {
    Some(match name {
        "phyPf" => SpanKind::Physical,
        "futPf" | "fwdPf" => SpanKind::Future,
        "cmbPf" => SpanKind::Combination,
        "oofPf" => SpanKind::OptionOnFuture,
        "oopPf" | "oosPf" | "ooePf" => SpanKind::OptionOnPhysical,
        "oocPf" => SpanKind::OptionOnCombination,
        _ => return None,
    })
}

/// An exchange; its name may stand after its portfolios.
fn exchange<R: BufRead>(source: &mut Source<R>, reading: &mut Reading) -> Result<(), SpanFileError> {
    let mut name: Option<String> = None;
    let mut portfolios = Vec::new();
    loop {
        match source.next()? {
            Step::Open(open) if open == "exch" => {
                let node = source.node()?;
                if name.replace(node.text().to_owned()).is_some() {
                    return Err(node.fault(SpanFault::Twice));
                }
            }
            Step::Open(open) => match portfolio_kind(&open) {
                Some(kind) => portfolios.push(portfolio(source, reading, kind)?),
                None => {
                    reading.draft.file.skipped += 1;
                    source.skip()?;
                }
            },
            Step::Text(_) => {}
            Step::Close | Step::End => break,
        }
    }
    if portfolios.is_empty() {
        return Ok(());
    }
    let lacks = || source.fault(SpanFault::Missing).field("exch", "");
    let name = name.filter(|name| !name.is_empty()).ok_or_else(lacks)?;
    portfolios.into_iter().try_for_each(|portfolio| place(reading, &name, portfolio))
}

/// Gives the contracts of a portfolio their product.
fn place(reading: &mut Reading, exchange: &str, portfolio: Portfolio) -> Result<(), SpanFileError> {
    let draft = &mut reading.draft;
    let before = draft.file.products.len();
    let at = draft.product((exchange, &portfolio.code, portfolio.kind), portfolio.place);
    if at < before {
        let (line, byte) = portfolio.place;
        let fault = SpanFileError::at(line, byte, "exchange", SpanFault::Twice);
        return Err(fault.field("pfCode", &portfolio.code));
    }
    let product = &mut draft.file.products[at];
    product.currency = portfolio.currency;
    product.cvf = portfolio.cvf;
    product.futures_style = portfolio.daily;
    for contract in &mut draft.file.contracts[portfolio.contracts] {
        contract.product = at;
    }
    for (contract, period) in portfolio.futures {
        reading.futures.insert((exchange.to_owned(), portfolio.id.clone(), contract), period);
    }
    for (range, node) in portfolio.above {
        let named = node.text_of("exch")?.unwrap_or(exchange).to_owned();
        let id = (named, node.name_of("pfId")?.to_owned(), node.name_of("cId")?.to_owned());
        reading.above.push((range, id, node.place()));
    }
    Ok(())
}

fn portfolio<R: BufRead>(
    source: &mut Source<R>,
    reading: &mut Reading,
    kind: SpanKind,
) -> Result<Portfolio, SpanFileError> {
    let first = reading.draft.file.contracts.len();
    let mut open = Portfolio {
        kind,
        id: String::new(),
        code: String::new(),
        currency: None,
        cvf: None,
        daily: false,
        contracts: first..first,
        place: source.fault(SpanFault::Missing).place(),
        futures: Vec::new(),
        above: Vec::new(),
    };
    loop {
        match source.next()? {
            Step::Open(name) => within_portfolio(source, reading, &mut open, &name)?,
            Step::Text(_) => {}
            Step::Close | Step::End => break,
        }
    }
    open.contracts.end = reading.draft.file.contracts.len();
    if open.code.is_empty() {
        let (line, byte) = open.place;
        return Err(SpanFileError::at(line, byte, "exchange", SpanFault::Missing).field("pfCode", ""));
    }
    Ok(open)
}

fn within_portfolio<R: BufRead>(
    source: &mut Source<R>,
    reading: &mut Reading,
    open: &mut Portfolio,
    name: &str,
) -> Result<(), SpanFileError> {
    match name {
        "fut" | "fwd" | "phy" | "cmb" => {
            let node = source.node()?;
            let at = reading.draft.file.contracts.len();
            if contract(reading, open.kind, &node)?
                && let Some(period) = reading.draft.file.contracts.get(at).and_then(|c| c.period)
                && open.kind == SpanKind::Future
            {
                open.futures.push((node.text_of("cId")?.unwrap_or("").to_owned(), period));
            }
            Ok(())
        }
        "series" => series(source, reading, open),
        "pfId" | "pfCode" | "currency" | "cvf" | "valueMeth" => {
            let node = source.node()?;
            let text = node.text().to_owned();
            match name {
                "pfId" => open.id = text,
                "pfCode" => open.code = text,
                "currency" => open.currency = Some(text).filter(|text| !text.is_empty()),
                "cvf" => open.cvf = if text.is_empty() { None } else { Some(node.decimal()?) },
                _ => open.daily = open.kind.is_option() && text.starts_with("FUT"),
            }
            Ok(())
        }
        _ => {
            reading.draft.file.skipped += 1;
            source.skip()
        }
    }
}

/// Options of one expiry, whose common fields may stand after them.
fn series<R: BufRead>(
    source: &mut Source<R>,
    reading: &mut Reading,
    open: &mut Portfolio,
) -> Result<(), SpanFileError> {
    let first = reading.draft.file.contracts.len();
    let (mut common, mut beneath) = (Common::default(), None);
    loop {
        match source.next()? {
            Step::Open(name) => match name.as_str() {
                "opt" => {
                    let node = source.node()?;
                    contract(reading, open.kind, &node)?;
                }
                "pe" => common.period = period(&source.node()?)?,
                "cvf" => common.cvf = Some(source.node()?.decimal()?),
                "v" => common.vol = Some(source.node()?.decimal()?),
                "undC" => beneath = Some(source.node()?),
                _ => {
                    reading.draft.file.skipped += 1;
                    source.skip()?;
                }
            },
            Step::Text(_) => {}
            Step::Close | Step::End => break,
        }
    }
    let contracts = &mut reading.draft.file.contracts;
    if contracts.len() > first && common.period.is_none() {
        return Err(source.fault(SpanFault::Missing).field("series/pe", ""));
    }
    for contract in &mut contracts[first..] {
        contract.period = common.period;
        contract.cvf = contract.cvf.or(common.cvf);
        contract.vol = contract.vol.or(common.vol);
    }
    if let (SpanKind::OptionOnFuture, Some(node)) = (open.kind, beneath) {
        open.above.push((first..contracts.len(), node));
    }
    Ok(())
}

/// What the options of a series share.
#[derive(Default)]
struct Common {
    period: Option<SpanPeriod>,
    cvf: Option<Decimal>,
    vol: Option<Decimal>,
}

/// `CCYYMM`, `CCYYMMDD`, or nothing but zeros for none.
pub(super) fn period(node: &Node) -> Result<Option<SpanPeriod>, SpanFileError> {
    if node.text().bytes().all(|b| b == b'0') {
        return Ok(None);
    }
    let read = node.text().parse().map(Some);
    read.map_err(|()| node.fault(SpanFault::Malformed("CCYYMM or CCYYMMDD")))
}

/// A contract with its array; `false` where it has none, so that nothing can be margined by it.
fn contract(reading: &mut Reading, kind: SpanKind, node: &Node) -> Result<bool, SpanFileError> {
    let Some(array) = node.child("ra")? else {
        reading.draft.file.skipped += 1;
        return Ok(false);
    };
    let exponent = losses(reading, array)?;
    let mut read = SpanContract {
        product: 0,
        period: node.child("pe")?.map(period).transpose()?.flatten(),
        underlying: None,
        right: None,
        strike: None,
        price: node.decimal_of("p")?,
        cvf: node.decimal_of("cvf")?,
        composite_delta: array.number_of("d")?,
        delta_scaling: node.decimal_of("sc")?.filter(|value| !value.is_zero()),
        vol: node.decimal_of("v")?,
        exponent,
    };
    if kind.is_option() {
        let side = node.child("o")?.ok_or_else(|| node.lacks("o"))?;
        let right = SpanRight::of(side.text());
        read.right = Some(right.ok_or_else(|| side.fault(SpanFault::Malformed("C or P")))?);
        read.strike = Some(node.number_of("k")?);
    } else if kind == SpanKind::Future && read.period.is_none() {
        return Err(node.lacks("pe"));
    }
    reading.draft.file.contracts.push(read);
    Ok(true)
}

/// The array as integers of one power of ten, which is returned.
fn losses(reading: &mut Reading, array: &Node) -> Result<i32, SpanFileError> {
    let file = &mut reading.draft.file;
    let values = array.all("a").map(Node::decimal).collect::<Result<Vec<Decimal>, _>>()?;
    if values.is_empty() {
        return Err(array.lacks("a"));
    }
    if file.contracts.is_empty() {
        file.width = values.len();
    }
    if values.len() != file.width {
        let fault = SpanFault::Malformed("as many values as the arrays before");
        return Err(array.fault(fault).field("a", &format!("{} of {}", values.len(), file.width)));
    }
    let scale = values.iter().map(Decimal::scale).max().unwrap_or(0);
    let overflow = || array.fault(SpanFault::Overflow);
    if scale > ARRAY_SCALE_MAX {
        return Err(overflow());
    }
    for value in values {
        let power = 10_i128.pow(scale - value.scale());
        let whole = value.mantissa().checked_mul(power).and_then(|n| i64::try_from(n).ok());
        file.losses.push(whole.ok_or_else(overflow)?);
    }
    i32::try_from(scale).map(|scale| -scale).map_err(|_| overflow())
}

fn finish<R: BufRead>(mut reading: Reading, source: &Source<R>) -> Result<SpanFile, SpanFileError> {
    for (range, id, (line, byte)) in &reading.above {
        let Some(period) = reading.futures.get(id) else {
            let fault = SpanFault::Unknown("the futures of the file");
            let named = format!("{}/{}/{}", id.0, id.1, id.2);
            return Err(SpanFileError::at(*line, *byte, "series", fault).field("undC", &named));
        };
        for contract in &mut reading.draft.file.contracts[range.clone()] {
            contract.underlying = Some(*period);
        }
    }
    reading.points.sort_by_key(|(number, _)| *number);
    let points = reading.points.len();
    let in_order = reading.points.iter().enumerate().all(|(at, (n, _))| usize::try_from(*n) == Ok(at + 1));
    let paired = reading.points.iter().all(|(_, point)| point.pair < points);
    let width = reading.draft.file.width;
    if !in_order || !paired || (width > 0 && width != points) {
        let found = format!("{points} of {width}");
        let fault =
            SpanFault::Malformed("scenarios 1, 2, ... as many as the arrays have, paired among each other");
        return Err(source.fault(fault).field("scanPointDef", &found));
    }
    reading.draft.file.scan_points = reading.points.into_iter().map(|(_, point)| point).collect();
    link::finish(reading.draft)
}
