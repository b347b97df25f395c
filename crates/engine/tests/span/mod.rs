//! One made-up clearing house in both published forms, built from the same rows.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "a part of the test programs that use it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_engine::*;
use plimsoll_types::AccountId;
use std::collections::BTreeMap;
use std::fmt::Write;

/// SPAN's shape for a long future: losses by thirds of a scan, and twice it at 35 %.
pub fn future_losses(scan: i64) -> [i64; 16] {
    let thirds = [0, 0, -1, -1, 1, 1, -2, -2, 2, 2, -3, -3, 3, 3];
    let mut losses = [0; 16];
    for (loss, third) in losses.iter_mut().zip(thirds) {
        *loss = third * scan / 3;
    }
    (losses[14], losses[15]) = (-scan * 70 / 100, scan * 70 / 100);
    losses
}

/// McMillan's S&P 500 future: 500 a point, a scan of 20 points, rounded to ten.
pub const TEXTBOOK: [i64; 16] =
    [0, 0, -3330, -3330, 3330, 3330, -6670, -6670, 6670, 6670, -10000, -10000, 10000, 10000, -7000, 7000];

/// A long call: it gains with price and with volatility and never loses more than its value of 4,000.
pub const CALL: [i64; 16] =
    [-500, 450, -2100, -1300, 900, 1900, -4000, -3300, 2200, 3000, -6200, -5800, 3100, 3700, -5000, 1400];
/// A long put likewise.
pub const PUT: [i64; 16] =
    [-400, 300, 700, 1100, -1900, -1500, 1500, 1800, -3900, -3600, 1900, 2000, -6100, -5900, 700, -5200];

pub struct Row {
    pub product: &'static str,
    pub kind: &'static str,
    pub month: &'static str,
    pub option: Option<(&'static str, char, i64)>,
    /// Price in hundredths of a point.
    pub price: i64,
    /// Ten-thousandths.
    pub delta: i64,
    pub losses: [i64; 16],
}

const fn future(product: &'static str, month: &'static str, price: i64, losses: [i64; 16]) -> Row {
    Row { product, kind: "FUT", month, option: None, price, delta: 10_000, losses }
}

/// Every contract of the house. `CA` and `CB` are premium-style, `CD` futures-style.
pub fn rows() -> Vec<Row> {
    let option = |product, month, (expiry, right, strike), price, delta, losses| Row {
        product,
        kind: "OOF",
        month,
        option: Some((expiry, right, strike)),
        price,
        delta,
        losses,
    };
    vec![
        future("CA", "202512", 41_025, TEXTBOOK),
        future("CA", "202603", 41_350, TEXTBOOK),
        future("CA", "202606", 41_700, TEXTBOOK),
        option("CA", "202512", ("202511", 'C', 41_000), 800, 5_000, CALL),
        option("CA", "202603", ("202603", 'P', 39_000), 1_250, -4_000, PUT),
        future("CB", "202512", 9_000, future_losses(600)),
        option("CB", "202512", ("202512", 'C', 9_500), 500, 2_500, CALL.map(|x| x / 10)),
        option("CB", "202603", ("202603", 'P', 8_500), 500, -2_500, PUT.map(|x| x / 10)),
        future("CB", "202603", 9_100, future_losses(600)),
        future("CD", "20251219", 10_000, future_losses(300)),
        option("CD", "20251219", ("20251219", 'C', 10_500), 400, 3_000, CALL.map(|x| x / 20)),
        Row { kind: "PHY", month: "", ..future("CD", "", 10_000, future_losses(300)) },
    ]
}

/// A line with text at 1-based positions.
pub fn line(fields: &[(usize, &str)]) -> String {
    let mut bytes: Vec<u8> = Vec::new();
    for (at, text) in fields {
        let end = at - 1 + text.len();
        if bytes.len() < end {
            bytes.resize(end, b' ');
        }
        bytes[at - 1..end].copy_from_slice(text.as_bytes());
    }
    let mut line = String::from_utf8(bytes).unwrap();
    line.push('\n');
    line
}

pub fn header() -> String {
    line(&[
        (1, "0 "),
        (3, "TSTCLR"),
        (9, "20251103"),
        (17, "S"),
        (18, "F"),
        (20, "1830"),
        (36, "U2"),
        (38, "N"),
        (39, "N"),
        (75, "M"),
    ])
}

fn sign(value: i64) -> char {
    if value < 0 { '-' } else { '+' }
}

fn values(losses: &[i64], digits: usize) -> String {
    losses.iter().fold(String::new(), |mut text, loss| {
        let _ = write!(text, "{:0digits$}{}", loss.abs(), sign(*loss));
        text
    })
}

fn split(period: &str) -> (&str, &str) {
    period.split_at(period.len().min(6))
}

/// The fields that both records of a pair share.
fn joint(kind: &str, row: &Row) -> Vec<(usize, String)> {
    let (month, day) = split(row.month);
    let mut fields =
        vec![(1, kind.into()), (3, "TST".into()), (6, row.product.into()), (16, row.product.into())];
    fields.extend([(26, row.kind.into()), (30, month.into()), (36, day.into())]);
    if let Some((expiry, right, strike)) = row.option {
        let (month, day) = split(expiry);
        fields.extend([(29, right.into()), (39, month.into()), (45, day.into())]);
        fields.push((48, format!("{strike:07}")));
    }
    fields
}

fn put(fields: Vec<(usize, String)>) -> String {
    let borrowed: Vec<(usize, &str)> = fields.iter().map(|(at, text)| (*at, text.as_str())).collect();
    line(&borrowed)
}

/// `81` and `82`.
pub fn narrow(row: &Row) -> String {
    let mut first = joint("81", row);
    first.push((55, values(&row.losses[..9], 5)));
    let mut second = joint("82", row);
    second.push((55, values(&row.losses[9..], 5)));
    second.push((97, format!("{:05}{}", row.delta.abs(), sign(row.delta))));
    second.push((103, "00180000".into()));
    second.push((111, format!("{:07}+", row.price)));
    second.push((119, "+".into()));
    put(first) + &put(second)
}

/// `83` and `84`.
pub fn wide(row: &Row) -> String {
    let mut first = joint("83", row);
    first.push((55, values(&row.losses[..9], 8)));
    first.push((136, format!("{:014}", row.price)));
    let mut second = joint("84", row);
    second.push((55, values(&row.losses[9..], 8)));
    second.push((118, format!("{:05}{}", row.delta.abs(), sign(row.delta))));
    second.push((124, "00180000".into()));
    second.push((132, format!("{:07}+", row.price)));
    second.push((140, "+".into()));
    put(first) + &put(second)
}

/// A product record: `cvf` in ten-millionths.
fn product(code: &str, kind: &str, cvf: i64, valuation: &str) -> String {
    let cvf = format!("{cvf:014}");
    line(&[
        (1, "P "),
        (3, "TST"),
        (6, code),
        (16, kind),
        (19, "a product"),
        (34, "002"),
        (37, "002"),
        (42, &cvf),
        (66, "USD"),
        (73, "+"),
        (74, "00"),
        (117, valuation),
    ])
}

fn parameters(code: &str, kind: &str, future: &str, option: &str) -> String {
    let ((month, day), (expiry, expiry_day)) = (split(future), split(option));
    line(&[
        (1, "B "),
        (3, "TST"),
        (6, code),
        (16, kind),
        (19, month),
        (25, day),
        (28, expiry),
        (34, expiry_day),
        (37, "00180000"),
        (45, "00050000"),
        (53, "10000"),
        (58, "02000"),
        (63, "03500"),
        (68, "00000"),
        (73, "0125000"),
        (80, "002740"),
        (86, "010000"),
    ])
}

/// Combined commodities with their products.
pub fn commodities() -> Vec<String> {
    let of = |code: &str, margin: &str, cap: &str, products: &[(&str, &str)]| {
        let mut fields = vec![(1, "2 "), (3, "TST"), (7, code), (13, "0"), (14, "USD"), (18, margin)];
        fields.extend([(19, cap), (20, "1")]);
        for (at, (product, kind)) in products.iter().enumerate() {
            let from = 23 + 15 * at;
            fields.extend([(from, *product), (from + 10, *kind), (from + 13, "0"), (from + 14, "+")]);
        }
        line(&fields)
    };
    vec![
        of("CCA", "P", "N", &[("CA", "FUT"), ("CA", "OOF")]),
        of("CCB", " ", "Y", &[("CB", "FUT"), ("CB", "OOF")]),
        of("CCD", "F", "N", &[("CD", "FUT"), ("CD", "OOF"), ("CD", "PHY")]),
    ]
}

/// Rules of the commodities.
pub fn rules() -> Vec<String> {
    let factors = [(70, "100"), (73, "110"), (76, "120")];
    let four = |fields: &[(usize, &'static str)]| line(&[fields, &factors].concat());
    let ratios = [(69, "1000"), (73, "1000"), (77, "1350")];
    let three = |fields: &[(usize, &'static str)]| line(&[fields, &ratios].concat());
    vec![
        three(&[(1, "3 "), (3, "CCA"), (9, "10"), (11, "01202512202512"), (25, "02202603202612")]),
        three(&[(1, "3 "), (3, "CCB"), (9, "02")]),
        three(&[(1, "3 "), (3, "CCD"), (9, "01")]),
        // Near against far at 700; within the far tier at 300.
        line(&[
            (1, "C "),
            (3, "CCA"),
            (9, "10"),
            (11, "01"),
            (13, "02"),
            (15, "0000700"),
            (22, "010101A020201B"),
        ]),
        line(&[
            (1, "C "),
            (3, "CCA"),
            (9, "10"),
            (11, "02"),
            (13, "02"),
            (15, "0000300"),
            (22, "010201A020201B"),
        ]),
        line(&[(1, "E "), (3, "CCA"), (9, "00001"), (14, "0000150"), (21, "2603   010000A2606   010000B")]),
        // All months of CCB against each other at 40.
        line(&[(1, "C "), (3, "CCB"), (9, "02"), (11, "01"), (13, "00"), (15, "0000040")]),
        line(&[(1, "S "), (3, "CCA"), (9, "01"), (83, "1")]),
        line(&[(1, "S "), (3, "CCB"), (9, "02"), (83, "2")]),
        line(&[
            (1, "S "),
            (3, "CCB"),
            (9, "30"),
            (13, "01202512202512022026032026120"),
            (104, "00000700000090"),
        ]),
        four(&[
            (1, "4 "),
            (3, "CCA"),
            (9, "10"),
            (11, "01"),
            (13, "01202512"),
            (21, "00001000000250"),
            (63, "0000500"),
            (79, "2"),
        ]),
        four(&[(1, "4 "), (3, "CCB"), (9, "01"), (79, "1")]),
        four(&[(1, "4 "), (3, "CCD"), (9, "11"), (11, "CD"), (21, "0000000"), (63, "0000020")]),
    ]
}

/// Rules between commodities.
pub fn rules_between() -> Vec<String> {
    vec![
        line(&[(1, "5 "), (3, "GRP"), (13, "CCA   CCB   ")]),
        // One CCA against twenty-five CCB at 50 %; a flat ten for CCD against CCB.
        line(&[
            (1, "6 "),
            (3, "GRP"),
            (6, "0001"),
            (10, "0500000"),
            (17, "TSTYCCA   0010000A"),
            (35, "TSTYCCB   0250000B"),
            (101, "W"),
        ]),
        line(&[
            (1, "6 "),
            (3, "GRP"),
            (6, "0002"),
            (10, "0001000"),
            (17, "TSTYCCD   0010000A"),
            (35, "TSTYCCB   0010000B"),
            (101, "F"),
        ]),
    ]
}

/// The whole house as `.pa2`; the contracts of `CB` in the wide form.
pub fn pa2() -> String {
    let mut text = header();
    text += &line(&[(1, "1 "), (3, "TST"), (8, "07")]);
    text += &line(&[(1, "T "), (3, "EUR"), (6, "E"), (7, "USD"), (10, "D"), (11, "0001100000")]);
    for record in commodities().iter().chain(&rules()).chain(&rules_between()) {
        text += record;
    }
    for (code, kind, cvf, valuation) in PRODUCTS {
        text += &product(code, kind, cvf, valuation);
    }
    for row in rows() {
        let expiry = row.option.map_or("", |(expiry, ..)| expiry);
        text += &parameters(row.product, row.kind, row.month, expiry);
        text += &if row.product == "CB" { wide(&row) } else { narrow(&row) };
    }
    text + &line(&[(1, "9 "), (3, "not read")])
}

/// Code, kind, contract value factor in ten-millionths, valuation.
const PRODUCTS: [(&str, &str, i64, &str); 7] = [
    ("CA", "FUT", 5_000_000_000, "FUT"),
    ("CA", "OOF", 5_000_000_000, "EQTY"),
    ("CB", "FUT", 1_000_000_000, "FUT"),
    ("CB", "OOF", 1_000_000_000, "EQTY"),
    ("CD", "FUT", 500_000_000, "FUT"),
    ("CD", "OOF", 500_000_000, "FUT"),
    ("CD", "PHY", 500_000_000, "EQTY"),
];

fn array(row: &Row) -> String {
    let values: String = row.losses.iter().map(|loss| format!("<a>{loss}.0</a>")).collect();
    format!("<ra><r>1</r>{values}<d>{}</d></ra>", row.delta as f64 / 10_000.0)
}

fn portfolio(code: &str, kind: &str, cvf: i64, valuation: &str) -> String {
    let mut text = String::new();
    let of = rows();
    for (at, row) in of.iter().enumerate().filter(|(_, row)| row.product == code && row.kind == kind) {
        let price = row.price as f64 / 100.0;
        let body = format!("<cId>{at}</cId><p>{price}</p><v>0.18</v>{}", array(row));
        let _ = match (row.option, kind) {
            (None, "PHY") => write!(text, "<phy><pe>00000000</pe>{body}</phy>"),
            (None, _) => write!(text, "<fut>{body}<pe>{}</pe><unknown><deep/></unknown></fut>", row.month),
            (Some((expiry, right, strike)), _) => {
                let strike = strike as f64 / 100.0;
                let under = of
                    .iter()
                    .position(|f| f.product == code && f.kind == "FUT" && f.month == row.month)
                    .unwrap();
                let under = format!("<undC><exch>TST</exch><pfId>{code}FUT</pfId><cId>{under}</cId></undC>");
                let opt = format!("<opt>{body}<o>{right}</o><k>{strike}</k></opt>");
                // The fields that all options share stand after them.
                write!(text, "<series>{opt}<setlDate/><pe>{expiry}</pe>{under}</series>")
            }
        };
    }
    let name = kind.to_lowercase();
    let cvf = cvf / 10_000_000;
    format!(
        "<{name}Pf>{text}<pfId>{code}{kind}</pfId><pfCode>{code}</pfCode><currency>USD</currency>\
         <cvf>{cvf}</cvf><valueMeth>{valuation}</valueMeth></{name}Pf>"
    )
}

fn points() -> String {
    let mut text = String::new();
    for at in 0..16_usize {
        let third = [0, 1, -1, 2, -2, 3, -3][(at / 2).min(6)];
        let (price, pair) = match at {
            14 => ("<mult>2</mult><numerator>1</numerator><denominator>1</denominator>".to_owned(), 15),
            15 => ("<mult>-2</mult><numerator>1</numerator><denominator>1</denominator>".to_owned(), 16),
            _ => {
                let whole =
                    format!("<mult>1</mult><numerator>{third}</numerator><denominator>3</denominator>");
                (whole, (at ^ 1) + 1)
            }
        };
        let weight = if at < 14 { "1.0" } else { "0.35" };
        let _ = write!(
            text,
            "<scanPointDef><point>{}</point><weight>{weight}</weight><pairedPoint>{pair}</pairedPoint>\
             <priceScanDef>{price}</priceScanDef><volScanDef><mult>1</mult><numerator>{}</numerator>\
             <denominator>1</denominator></volScanDef></scanPointDef>",
            at + 1,
            [1, -1][at % 2] * i32::from(at < 14)
        );
    }
    text + "<deltaPointDef><point>1</point><weight>0.27</weight><priceScanDef><mult>0</mult></priceScanDef></deltaPointDef>"
}

fn leg(body: &str, side: char, ratio: &str) -> String {
    format!("<tLeg>{body}<rs>{side}</rs><i>{ratio}</i></tLeg>")
}

fn links(products: &[(&str, &str)]) -> String {
    products.iter().fold(String::new(), |mut text, (code, kind)| {
        let _ = write!(
            text,
            "<pfLink><exch>TST</exch><pfCode>{code}</pfCode><pfType>{kind}</pfType><sc>1.0</sc></pfLink>"
        );
        text
    })
}

/// Levels 1 and 2: speculators, maintenance and initial.
const ADJUSTED: &str = "<adjRate><r>1</r><baseR>1</baseR><val>1.2</val></adjRate>\
                        <adjRate><r>2</r><baseR>1</baseR><val>1.35</val></adjRate>";

fn commodity(code: &str, cap: u8, body: &str, products: &[(&str, &str)]) -> String {
    format!(
        "<ccDef>{body}<cc>{code}</cc><name>n &amp; m</name><currency>USD</currency>\
         <riskExponent>0</riskExponent><capAnov>{cap}</capAnov>{}{ADJUSTED}</ccDef>",
        links(products)
    )
}

fn spread(number: u32, method: char, rate: &str, legs: &str) -> String {
    format!(
        "<dSpread><spread>{number}</spread><chargeMeth>{method}</chargeMeth>\
         <rate><r>1</r><val>{rate}</val></rate>{legs}</dSpread>"
    )
}

/// The combined commodities as `.spn`.
pub fn definitions() -> String {
    let tier = |n: u32, from: &str, to: &str, rate: &str| {
        format!("<tier><tn>{n}</tn><sPe>{from}</sPe><ePe>{to}</ePe>{rate}</tier>")
    };
    let rate = |value: &str| format!("<rate><r>1</r><val>{value}</val></rate>");
    let pair = |a: &str, b: &str| {
        let tn = |n: &str| format!("<cc>CCA</cc><tn>{n}</tn>");
        leg(&tn(a), 'A', "1") + &leg(&tn(b), 'B', "1")
    };
    let month =
        |pe: &str, side: char| format!("<pLeg><cc>CCA</cc><pe>{pe}</pe><rs>1.0000</rs><i>{side}</i></pLeg>");
    let near = format!(
        "<wfprMeth>1</wfprMeth><somMeth>2</somMeth><intraTiers>{}{}</intraTiers>\
         <somTiers><tier><tn>0</tn>{}</tier></somTiers>{}{}{}\
         <spotRate><r>1</r><pe>202512</pe><sprd>100</sprd><outr>250</outr></spotRate>",
        tier(1, "202512", "202512", ""),
        tier(2, "202603", "202612", ""),
        rate("500.00"),
        spread(2, 'F', "700", &pair("1", "2")),
        spread(3, 'F', "300", &pair("2", "2")),
        spread(9, 'F', "150", &(month("202603", 'A') + &month("202606", 'B'))),
    );
    let whole = "<cc>CCB</cc><tn>0</tn>";
    let each = format!(
        "<wfprMeth>2</wfprMeth><somMeth>1</somMeth><scanTiers>{}{}</scanTiers>\
         <somTiers>{}{}</somTiers>{}",
        tier(1, "202512", "202512", ""),
        tier(2, "202603", "202612", ""),
        tier(1, "202512", "202512", &rate("70")),
        tier(2, "202603", "202612", &rate("90")),
        spread(1, 'F', "40", &(leg(whole, 'A', "1") + &leg(whole, 'B', "1"))),
    );
    let last = "<somTiers><tier><tn>0</tn><rate><r>1</r><val>20</val></rate></tier></somTiers>";
    commodity("CCA", 0, &near, &[("CA", "FUT"), ("CA", "OOF")])
        + &commodity("CCB", 1, &each, &[("CB", "FUT"), ("CB", "OOF")])
        + &commodity("CCD", 0, last, &[("CD", "FUT"), ("CD", "OOF"), ("CD", "PHY")])
}

/// The whole house as `.spn`.
pub fn spn() -> String {
    let whole = |code: &str, side: char, ratio: &str| leg(&format!("<cc>{code}</cc><tn>0</tn>"), side, ratio);
    let weighted = spread(1, 'P', "0.5", &(whole("CCA", 'A', "1") + &whole("CCB", 'B', "25.0000")));
    let flat = spread(2, 'F', "10.00", &(whole("CCD", 'A', "1") + &whole("CCB", 'B', "1")));
    let levels: String = [(1, 1), (2, 0)]
        .iter()
        .map(|(r, m)| {
            format!("<pbRateDef><r>{r}</r><isCust>1</isCust><acctType>S</acctType><isM>{m}</isM><pbc>CORE</pbc></pbRateDef>")
        })
        .collect();
    let portfolios: String =
        PRODUCTS.iter().map(|(code, kind, cvf, valuation)| portfolio(code, kind, *cvf, valuation)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- made for a test -->\n<spanFile>\
         <fileFormat>4.00</fileFormat><definitions><other/></definitions>\n<pointInTime><date>20251103</date>\
         <isSetl>1</isSetl><setlQualifier>F</setlQualifier><clearingOrg><ec>TSTCLR</ec>\
         <curConv><fromCur>EUR</fromCur><toCur>USD</toCur><factor>1.1</factor></curConv>\n{levels}\n\
         <pointDef>{}</pointDef>\n{}\n<exchange>{portfolios}<exch>TST</exch></exchange>\n\
         <interSpreads>{weighted}{flat}</interSpreads></clearingOrg></pointInTime></spanFile>\n",
        points(),
        definitions()
    )
}

pub fn account() -> AccountId {
    "alice".parse().unwrap()
}

pub const SPECULATOR: SpanAccountTerms =
    SpanAccountTerms { kind: SpanAccountKind::Speculator, initial: false };

/// The index in a file of each row of [`rows`].
pub fn indices(file: &SpanFile) -> Vec<usize> {
    let desk = SpanDesk::new(file);
    rows().iter().map(|row| desk.find(&name(row)).unwrap()).collect()
}

pub fn name(row: &Row) -> SpanContractName {
    let kind = SpanKind::of(row.kind).unwrap();
    let own = row.option.map_or(row.month, |(expiry, ..)| expiry);
    SpanContractName {
        exchange: "TST".into(),
        product: row.product.into(),
        kind,
        period: (!own.is_empty()).then(|| own.parse().unwrap()),
        right: row.option.map(|(_, right, _)| SpanRight::of(&right.to_string()).unwrap()),
        strike: row.option.map(|(_, _, strike)| plimsoll_types::Decimal::new(strike, 2)),
    }
}

/// The margin of so many lots of each row.
pub fn margin(file: &SpanFile, lots: &[(usize, i64)], terms: SpanAccountTerms) -> SpanAccountReport {
    let places = indices(file);
    let lots: BTreeMap<usize, i64> = lots.iter().map(|(row, lots)| (places[*row], *lots)).collect();
    SpanDesk::new(file).margin(&account(), &lots, terms).unwrap()
}

/// Whole units of currency.
pub fn units(ticks: i128) -> i128 {
    assert_eq!(ticks % 1_000_000_000, 0, "{ticks} is no whole number of units");
    ticks / 1_000_000_000
}
