//! Both published forms of a SPAN file: what is read, what is refused, and the margin that follows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod span;

use plimsoll_engine::*;
use plimsoll_types::Decimal;
use span::*;
use std::io::{BufRead, BufReader, Read};

fn positional() -> SpanFile {
    SpanFile::read(pa2().as_bytes()).unwrap()
}

fn xml() -> SpanFile {
    SpanFile::read(spn().as_bytes()).unwrap()
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn every_field_of_a_positional_file_is_read_from_its_columns() {
    let file = positional();
    assert_eq!((file.format, file.date.as_str()), (SpanFormat::Expanded, "20251103"));
    assert_eq!((file.settlement, file.maintenance, file.skipped), (Some(true), Some(true), 1));
    assert_eq!(file.currencies.len(), 1);
    assert_eq!((file.currencies[0].from.as_str(), file.currencies[0].multiplier), ("EUR", dec("1.1")));
    assert_eq!((file.products.len(), file.contracts.len(), file.width), (7, 12, 16));
    let at = indices(&file);
    let call = &file.contracts[at[3]];
    assert_eq!((call.strike, call.price), (Some(dec("410")), Some(dec("8"))));
    assert_eq!(
        (call.composite_delta, call.vol, call.delta_scaling),
        (dec("0.5"), Some(dec("0.18")), Some(dec("1")))
    );
    assert_eq!(call.period.unwrap().to_string(), "202511");
    assert_eq!(call.underlying.unwrap().to_string(), "202512");
    assert_eq!(file.losses_of(at[3]), CALL);
    assert_eq!(file.losses_of(at[7]), PUT.map(|x| x / 10), "the wide form");
    assert_eq!(file.contracts[at[9]].period.unwrap().to_string(), "20251219");
    assert_eq!(file.products[call.product].cvf, Some(dec("500")));
    let points = &file.scan_points;
    assert_eq!((points[13].pair, points[14].pair), (12, 14));
    assert_eq!(points[15].weight, Some(dec("0.35")));
    assert_eq!(points[15].price.unwrap().mult * points[15].price.unwrap().numerator, dec("-2"));
}

#[test]
fn rules_of_a_positional_file_are_read_in_order_of_evaluation() {
    let file = positional();
    let [a, b, d] = &file.commodities[..] else { panic!("{:?}", file.commodities) };
    assert_eq!((a.code.as_str(), b.code.as_str(), d.code.as_str()), ("CCA", "CCB", "CCD"));
    assert_eq!((a.capped, b.capped), (false, true));
    assert_eq!(a.month_tiers.len(), 2);
    let order: Vec<(bool, u32, Decimal)> =
        a.spreads.iter().map(|s| (s.series, s.priority, s.rates[0].value)).collect();
    assert_eq!(order, [(true, 1, dec("150")), (false, 1, dec("700")), (false, 2, dec("300"))]);
    assert_eq!(a.adjustment.speculator, Some(dec("1.2")));
    assert_eq!(a.initial_ratio.speculator, Some(dec("1.35")));
    assert_eq!((a.weighting, b.weighting), (SpanWeighting::PriceRisk, SpanWeighting::Capped));
    assert_eq!(b.scanning, SpanScanning::EachMonth);
    let rates: Vec<Decimal> = b.minimums.iter().map(|tier| tier.rates[0].value).collect();
    assert_eq!(rates, [dec("70"), dec("90")], "never only the first");
    assert_eq!(d.basis.as_ref().map(|basis| basis.product.as_str()), Some("CD"));
    assert_eq!(file.credits[0].legs[1].ratio, dec("25"));
    assert_eq!((file.credits[0].flat, file.credits[0].legs[0].rates[0].value), (false, dec("0.5")));
    assert_eq!((file.credits[1].flat, file.credits[1].legs[0].rates[0].value), (true, dec("10")));
    assert!(file.products.iter().any(|p| p.code == "CD" && p.futures_style));
}

#[test]
fn elements_are_read_by_name_in_any_order_and_an_absence_stays_one() {
    let file = xml();
    assert_eq!((file.format, file.settlement, file.maintenance), (SpanFormat::Xml, Some(true), None));
    assert_eq!((file.contracts.len(), file.width, file.scan_points.len()), (12, 16, 16));
    assert_eq!((file.levels.len(), file.delta_points[0].weight), (2, dec("0.27")));
    let at = indices(&file);
    let put = &file.contracts[at[4]];
    assert_eq!((put.strike, put.price, put.cvf), (Some(dec("390")), Some(dec("12.5")), None));
    assert_eq!(put.underlying.unwrap().to_string(), "202603");
    assert_eq!(file.losses_of(at[4]), PUT);
    assert!(file.scan_points[10].price.unwrap().is_whole());
    assert!(file.skipped > 0);
    // Without its price an option has none, and its account is told so; futures do without.
    let text = spn().replacen("<p>8</p>", "", 1);
    let file = SpanFile::read(text.as_bytes()).unwrap();
    assert_eq!(file.contracts[indices(&file)[3]].price, None);
    let lots = [(indices(&file)[3], 1)].into();
    let refused = SpanDesk::new(&file).margin(&account(), &lots, SPECULATOR);
    assert!(matches!(refused, Err(SpanAccountError::Missing { what: "a price", .. })), "{refused:?}");
}

/// Lots drawn without a generator of its own: small numbers that repeat.
fn books() -> Vec<Vec<(usize, i64)>> {
    let mut state = 12_345_u64;
    let mut draw = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let mut book = |size: usize| {
        let lots = |_| (draw(12) as usize, draw(41).cast_signed() - 20);
        (0..size).map(lots).collect::<Vec<(usize, i64)>>()
    };
    (0..400).map(|n| book(1 + n % 9)).collect()
}

#[test]
fn one_book_has_the_same_margin_from_both_forms() {
    let (one, other) = (positional(), xml());
    for lots in books() {
        let a = margin(&one, &lots, SPECULATOR);
        let b = margin(&other, &lots, SPECULATOR);
        let figures = |r: &SpanAccountReport| r.commodities.iter().map(|c| c.figures).collect::<Vec<_>>();
        assert_eq!(figures(&a), figures(&b), "{lots:?}");
        assert_eq!(a.totals, b.totals, "{lots:?}");
    }
    let initial = SpanAccountTerms { initial: true, ..SPECULATOR };
    let (a, b) = (margin(&one, &[(0, 1)], initial), margin(&other, &[(0, 1)], initial));
    assert_eq!(a.totals, b.totals);
    // 10,000 and 250 for the month in delivery, times 1.2, times 1.35.
    assert_eq!(units(a.totals["USD"]), 16_605);
}

#[test]
fn the_textbook_future_needs_ten_thousand() {
    let r = margin(&positional(), &[(1, 1)], SPECULATOR);
    let figures = r.commodities[0].figures;
    assert_eq!((units(figures.scan_loss), figures.active), (10_000, 12));
    assert_eq!(units(r.totals["USD"]), 12_000, "times the speculators' 1.2");
    let hedger = SpanAccountTerms { kind: SpanAccountKind::Hedger, ..SPECULATOR };
    let member = SpanAccountTerms { kind: SpanAccountKind::Member, ..SPECULATOR };
    assert_eq!(units(margin(&positional(), &[(1, 1)], hedger).totals["USD"]), 11_000);
    assert_eq!(units(margin(&positional(), &[(1, -1)], member).totals["USD"]), 10_000);
}

#[test]
fn series_spreads_come_first_then_tiers_and_delivery_pays_for_what_they_consumed() {
    // December 5, March -3, June 2: scan |4| x 10,000.
    // Series: March short 3 against June long 2: 2 at 150. Tier 1 long 5 against tier 2 short 1: 1 at 700.
    // Delivery: 1 consumed at 100, 4 outright at 250.
    for sign in [1, -1] {
        let r = margin(&positional(), &[(0, 5 * sign), (1, -3 * sign), (2, 2 * sign)], SPECULATOR);
        let f = r.commodities[0].figures;
        assert_eq!((units(f.scan_loss), units(f.intra), units(f.spot)), (40_000, 1_000, 1_100));
        assert_eq!(units(f.risk), 42_100);
    }
}

#[test]
fn a_spread_inside_a_tier_uses_its_long_and_short_pools() {
    // Without the series spread: March 3 against June -2 in tier 2, two at 300.
    let text: String = pa2().lines().filter(|l| !l.starts_with("E ")).map(|l| format!("{l}\n")).collect();
    let file = SpanFile::read(text.as_bytes()).unwrap();
    let f = margin(&file, &[(1, 3), (2, -2)], SPECULATOR).commodities[0].figures;
    assert_eq!((units(f.scan_loss), units(f.intra)), (10_000, 600));
}

#[test]
fn months_that_are_scanned_alone_do_not_net_and_all_pair_at_one_rate() {
    // CCB: 4 December futures against -4 March: 600 each way, and 4 spreads at 40.
    let f = margin(&positional(), &[(5, 4), (8, -4)], SPECULATOR).commodities[0].figures;
    assert_eq!((units(f.scan_loss), units(f.intra)), (4_800, 160));
}

#[test]
fn a_credit_between_commodities_is_its_share_of_the_weighted_price_risk() {
    // Two CA in March against 60 CB in December: WFPR 10,000 and 600. n = min(2, 60 / 25) = 2.
    let r = margin(&positional(), &[(1, 2), (5, -60)], SPECULATOR);
    let [a, b] = &r.commodities[..] else { panic!("{r:?}") };
    assert_eq!((units(a.figures.scan_loss), units(b.figures.scan_loss)), (20_000, 36_000));
    assert_eq!((units(a.figures.inter_credit), units(b.figures.inter_credit)), (10_000, 15_000));
    assert_eq!((units(a.figures.risk), units(b.figures.risk)), (10_000, 21_000));
    // The same side earns nothing.
    let r = margin(&positional(), &[(1, 2), (5, 60)], SPECULATOR);
    assert!(r.commodities.iter().all(|c| c.figures.inter_credit == 0));
    // Flat: 3 CD against 5 CB, 10 to each leg for each of 3.
    let r = margin(&positional(), &[(9, 3), (5, -5)], SPECULATOR);
    assert!(r.commodities.iter().all(|c| units(c.figures.inter_credit) == 30), "{r:?}");
}

#[test]
fn the_minimum_of_short_options_uses_the_rate_of_every_tier() {
    // CCB, the larger of calls and puts in each tier: 7 calls at 70, 4 puts at 90.
    let f = margin(&positional(), &[(6, -7), (7, -4)], SPECULATOR).commodities[0].figures;
    assert_eq!(units(f.short_option_minimum), 7 * 70 + 4 * 90);
    // CCA, the sum: 3 calls and 2 puts at 500.
    let f = margin(&positional(), &[(3, -3), (4, -2)], SPECULATOR).commodities[0].figures;
    assert_eq!(units(f.short_option_minimum), 2_500);
}

#[test]
fn option_value_is_price_times_factor_and_its_excess_helps_others_unless_capped() {
    // Two calls at 8 points of 500: 8,000 of value; risk 2 x 3,700 + delivery of 1 delta outright at 250.
    let r = margin(&positional(), &[(3, 2)], SPECULATOR);
    let c = &r.commodities[0];
    assert_eq!((units(c.figures.option_value), units(c.figures.risk)), (8_000, 7_650));
    assert_eq!((units(c.requirement.risk), units(c.requirement.requirement)), (9_180, 1_180));
    // Members: 7,650 less 8,000 leaves 350 for the physical's 300.
    let member = SpanAccountTerms { kind: SpanAccountKind::Member, ..SPECULATOR };
    let r = margin(&positional(), &[(3, 2), (11, 1)], member);
    assert_eq!(units(r.commodities[1].requirement.requirement), 300);
    assert_eq!(units(r.totals["USD"]), 0);
    // CCB is capped: of 1,000 of value 740 meet its own risk, and nothing is left over.
    let r = margin(&positional(), &[(6, 2), (11, 1)], member);
    let c = &r.commodities[0];
    assert_eq!((units(c.figures.option_value), units(c.figures.risk)), (1_000, 740));
    assert_eq!((units(c.requirement.available), units(c.requirement.requirement)), (740, 0));
    assert_eq!(units(r.totals["USD"]), 300);
    // Futures-style options have no value to offset with.
    let r = margin(&positional(), &[(10, 2)], SPECULATOR);
    assert_eq!(r.commodities[0].figures.option_value, 0);
}

#[test]
fn a_position_that_is_not_in_the_file_is_named() {
    let file = positional();
    let desk = SpanDesk::new(&file);
    let mut wanted = name(&rows()[0]);
    wanted.period = Some("202712".parse().unwrap());
    assert!(desk.find(&wanted).unwrap_err().to_string().contains("TST CA Future 202712 is not in the file"));
    // A month finds the one contract with a day in it.
    let mut wanted = name(&rows()[9]);
    wanted.period = Some("202512".parse().unwrap());
    assert_eq!(desk.find(&wanted), Ok(indices(&file)[9]));
    wanted.period = Some("20251212".parse().unwrap());
    assert!(desk.find(&wanted).is_err());
}

/// Reads the file with one line changed.
fn changed(kind: &str, change: impl Fn(&str) -> String) -> SpanFileError {
    let mut done = false;
    let text: String = pa2()
        .lines()
        .map(|line| {
            let first = !done && line.starts_with(kind);
            done |= first;
            format!("{}\n", if first { change(line) } else { line.to_owned() })
        })
        .collect();
    assert!(done, "{kind}");
    SpanFile::read(text.as_bytes()).unwrap_err()
}

fn with(line: &str, at: usize, text: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    bytes.resize(bytes.len().max(at - 1 + text.len()), b' ');
    bytes[at - 1..at - 1 + text.len()].copy_from_slice(text.as_bytes());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_cannot_be_read_is_refused_with_line_record_field_and_text() {
    let error = changed("81", |line| with(line, 55, "0x000"));
    assert_eq!(
        (error.record.as_str(), error.field.as_str(), error.found.as_str()),
        ("81", "array value", "0x000")
    );
    assert_eq!(error.fault, SpanFault::Malformed("digits"));
    assert_eq!(pa2().lines().nth(usize::try_from(error.line).unwrap() - 1).unwrap().get(..2), Some("81"));
    let start: usize =
        pa2().lines().take(usize::try_from(error.line).unwrap() - 1).map(|l| l.len() + 1).sum();
    assert_eq!(error.byte, u64::try_from(start).unwrap());
    assert_eq!(changed("81", |line| with(line, 60, "*")).fault, SpanFault::Sign);
    assert_eq!(changed("82", |line| with(line, 102, "X")).fault, SpanFault::Sign);
    assert_eq!(changed("82", |line| line[..90].to_owned()).fault, SpanFault::Truncated);
    assert_eq!(changed("81", |line| line[..40].to_owned()).fault, SpanFault::Truncated);
    assert_eq!(changed("81", |line| with(line, 29, "Z")).fault, SpanFault::Unpaired("before"));
    assert_eq!(changed("82", |_| String::new()).fault, SpanFault::Unpaired("after"));
    assert_eq!(changed("81", |_| String::new()).fault, SpanFault::Unpaired("before"));
    assert_eq!(changed("84", |_| String::new()).fault, SpanFault::Unpaired("after"));
    assert_eq!(changed("83", |line| format!("81{}", &line[2..])).fault, SpanFault::Sign);
    assert_eq!(changed("T ", |line| with(line, 11, "12a4567890")).field, "multiplier");
    assert_eq!(changed("P ", |line| with(line, 34, "0-2")).field, "settlement price decimal locator");
    assert_eq!(changed("P ", |_| String::new()).fault, SpanFault::Unknown("the products of type P"));
    assert_eq!(changed("3 ", |line| with(line, 3, "NONE")).fault, SpanFault::Order("its combined commodity"));
    assert_eq!(
        changed("C ", |line| with(line, 24, "09")).fault,
        SpanFault::Unknown("the tiers of its commodity")
    );
    assert_eq!(changed("C ", |line| with(line, 28, "C")).fault, SpanFault::Malformed("A or B"));
    assert_eq!(changed("E ", |line| with(line, 21, "2613")).field, "month");
    assert_eq!(
        changed("6 ", |line| with(line, 21, "NONE  ")).fault,
        SpanFault::Unknown("the combined commodities")
    );
    assert_eq!(changed("6 ", |line| with(line, 10, "1500000")).field, "rate");
    assert_eq!(changed("0 ", |_| String::new()).fault, SpanFault::Order("the header"));
    assert_eq!(changed("0 ", |line| with(line, 36, "XX")).field, "format");
    assert_eq!(changed("1 ", |_| header().trim_end().to_owned()).fault, SpanFault::Twice);
    assert_eq!(changed("B ", |line| with(line, 58, "2,000")).field, "extreme multiplier");
    assert_eq!(changed("S ", |line| with(line, 83, "7")).field, "weighted price risk method");
    assert_eq!(changed("4 ", |line| with(line, 9, "99")).field, "method");
    let text = [pa2().into_bytes(), b"P \xff\xfe\n".to_vec()].concat();
    assert_eq!(SpanFile::read(&text[..]).unwrap_err().fault, SpanFault::NotUtf8);
    let long = format!("{}{}", header(), "x".repeat(100_000));
    assert!(matches!(SpanFile::read(long.as_bytes()).unwrap_err().fault, SpanFault::TooLong(_)));
    assert_eq!(SpanFile::read_pa2(&b""[..]).unwrap_err().fault, SpanFault::Missing);
    let shown = changed("81", |line| with(line, 55, "0x000")).to_string();
    assert!(shown.contains("record `81`: field `array value`: `0x000`: expected digits"), "{shown}");
}

/// Reads the XML with the first `from` changed to `to`.
fn replaced(from: &str, to: &str) -> SpanFileError {
    let text = spn();
    assert!(text.contains(from), "{from}");
    SpanFile::read(text.replacen(from, to, 1).as_bytes()).unwrap_err()
}

#[test]
fn xml_that_cannot_be_read_is_refused_with_element_and_text() {
    let error = replaced("<a>0.0</a>", "<a>zero</a>");
    assert_eq!((error.record.as_str(), error.field.as_str(), error.found.as_str()), ("ra", "a", "zero"));
    assert!(error.line > 1 && error.byte > 0);
    assert_eq!(replaced("<a>0.0</a>", "").fault, SpanFault::Malformed("as many values as the arrays before"));
    assert_eq!(replaced("<a>0.0</a>", "<a>NaN</a>").fault, SpanFault::Malformed("a number"));
    assert_eq!(replaced("<p>410.25</p>", "<p>1</p><p>2</p>").fault, SpanFault::Twice);
    assert_eq!(replaced("<d>1</d>", "").fault, SpanFault::Missing);
    assert_eq!(replaced("<o>C</o>", "<o>X</o>").fault, SpanFault::Malformed("C or P"));
    assert_eq!(replaced("<pe>202511</pe>", "").fault, SpanFault::Missing);
    assert_eq!(
        replaced("<pe>202512</pe>", "<pe>soon</pe>").fault,
        SpanFault::Malformed("CCYYMM or CCYYMMDD")
    );
    assert_eq!(
        replaced("<cId>0</cId></undC>", "<cId>77</cId></undC>").fault,
        SpanFault::Unknown("the futures of the file")
    );
    assert_eq!(replaced("<exch>TST</exch></exchange>", "</exchange>").field, "exch");
    assert_eq!(replaced("<pfCode>CA</pfCode><currency>", "<currency>").field, "pfCode");
    assert_eq!(
        replaced("<rs>A</rs>", "<rs>1</rs>").fault,
        SpanFault::Malformed("a side, A or B, and a ratio")
    );
    assert_eq!(replaced("<i>25.0000</i>", "<i>0</i>").fault, SpanFault::Malformed("a ratio above 0"));
    assert_eq!(
        replaced("<val>0.5</val>", "<val>50</val>").fault,
        SpanFault::Malformed("a share from 0 to 1")
    );
    assert_eq!(replaced("<chargeMeth>P</chargeMeth>", "<chargeMeth>Q</chargeMeth>").field, "chargeMeth");
    assert_eq!(replaced("<wfprMeth>1</wfprMeth>", "<wfprMeth>9</wfprMeth>").field, "wfprMeth");
    assert_eq!(replaced("<cc>CCB</cc><name>", "<cc>CCA</cc><name>").fault, SpanFault::Twice);
    assert_eq!(replaced("<date>20251103</date>", "").field, "pointInTime/date");
    assert_eq!(
        replaced("<pairedPoint>2</pairedPoint>", "<pairedPoint>0</pairedPoint>").fault,
        SpanFault::Malformed("a paired point from 1")
    );
    assert_eq!(replaced("</phyPf>", "</oops>").record, "exchange/phyPf");
    assert!(matches!(replaced("n &amp; m", "n &nbsp; m").fault, SpanFault::Xml(_)));
    let text = spn();
    assert_eq!(SpanFile::read(&text.as_bytes()[..text.len() / 2]).unwrap_err().fault, SpanFault::Truncated);
    let deep = format!("<spanFile>{}", "<x>".repeat(100));
    assert!(matches!(SpanFile::read(deep.as_bytes()).unwrap_err().fault, SpanFault::TooDeep(_)));
    let mut bytes = text.into_bytes();
    let at = bytes.windows(5).position(|w| w == b"4.00<").unwrap();
    bytes[at] = 0xff;
    assert_eq!(SpanFile::read(&bytes[..]).unwrap_err().fault, SpanFault::NotUtf8);
    let endless = std::io::repeat(b'x').take(1 << 26);
    let endless = BufReader::new((&b"<spanFile>"[..]).chain(endless));
    assert!(matches!(SpanFile::read(endless).unwrap_err().fault, SpanFault::TooLong(_)));
    assert_eq!(SpanFile::read(&b""[..]).unwrap_err().field, "spanFile");
}

/// Bytes one at a time, as from a slow pipe.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = into.len().min(1).min(self.0.len());
        into[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn a_stream_of_single_bytes_gives_the_same_file() {
    for text in [pa2(), spn()] {
        let whole = SpanFile::read(text.as_bytes()).unwrap();
        let drip = BufReader::with_capacity(1, Drip(text.as_bytes()));
        assert_eq!(SpanFile::read(drip).unwrap(), whole);
        let cut = BufReader::with_capacity(7, text.as_bytes());
        assert_eq!(SpanFile::read(cut).unwrap(), whole);
    }
}

#[test]
fn a_file_with_other_line_ends_and_a_byte_order_mark_reads_the_same() {
    let windows = pa2().replace('\n', "\r\n") + "\u{1a}";
    assert_eq!(SpanFile::read(windows.as_bytes()).unwrap(), positional());
    let marked = format!("\u{feff}{}", spn());
    assert_eq!(SpanFile::read(marked.as_bytes()).unwrap(), xml());
}

#[test]
fn bytes_changed_at_random_never_panic() {
    let mut state = 99_u64;
    let mut draw = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % most
    };
    let mut read = 0;
    for text in [pa2().into_bytes(), spn().into_bytes()] {
        for round in 0..1_500 {
            let mut bytes = text.clone();
            for _ in 0..=round % 4 {
                let at = draw(bytes.len());
                match draw(4) {
                    0 => bytes[at] = u8::try_from(draw(256)).unwrap(),
                    1 => bytes[at] = b"0123456789+-<>/& AB\n"[draw(20)],
                    2 => {
                        bytes.remove(at);
                    }
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let Ok(file) = SpanFile::read(&bytes[..]) else { continue };
            read += 1;
            let lots = (0..file.contracts.len()).map(|at| (at, i64::MAX - 3)).collect();
            let _ = SpanDesk::new(&file).margin(&account(), &lots, SPECULATOR);
            let lots = (0..file.contracts.len()).map(|at| (at, if at % 2 == 0 { 3 } else { -4 })).collect();
            let _ = SpanDesk::new(&file).margin(&account(), &lots, SPECULATOR);
        }
    }
    assert!(read > 100, "{read} of 3000 were still readable");
}

/// A prefix, one block over and over, and a suffix, made as they are read.
fn endless(prefix: &str, block: &str, times: usize, suffix: &str) -> (impl BufRead + use<>, usize) {
    let size = prefix.len() + block.len() * times + suffix.len();
    let blocks = std::iter::repeat_n(block.to_owned(), times);
    let parts = std::iter::once(prefix.to_owned()).chain(blocks).chain([suffix.to_owned()]);
    (BufReader::new(Parts { parts, left: Vec::new(), at: 0 }), size)
}

struct Parts<I> {
    parts: I,
    left: Vec<u8>,
    at: usize,
}

impl<I: Iterator<Item = String>> Read for Parts<I> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.left.len() {
            match self.parts.next() {
                Some(part) => (self.left, self.at) = (part.into_bytes(), 0),
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.left.len() - self.at);
        into[..length].copy_from_slice(&self.left[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[test]
fn fifty_megabytes_pass_through_without_being_held() {
    let other = line(&[(1, "66"), (3, "a record that is not read"), (120, "end")]).repeat(100);
    let (reader, size) = endless(&pa2(), &other, 4_100, "");
    assert!(size > 50_000_000, "{size}");
    let file = SpanFile::read(reader).unwrap();
    assert_eq!((file.contracts.len(), file.skipped), (12, 410_001));
    let text = spn();
    let (head, tail) = text.split_at(text.find("<interSpreads>").unwrap());
    let other = "<other><deep a=\"1\">text that is passed over</deep></other>\n".repeat(200);
    let (reader, size) = endless(head, &other, 4_300, tail);
    assert!(size > 50_000_000, "{size}");
    let file = SpanFile::read(reader).unwrap();
    assert_eq!((file.contracts.len(), file.credits.len()), (12, 2));
}

/// Charges of members, whose factor is 1.
const MEMBER: SpanAccountTerms = SpanAccountTerms { kind: SpanAccountKind::Member, initial: false };

#[test]
fn a_long_option_is_never_charged_more_than_its_price() {
    let file = positional();
    for row in [4, 6, 7] {
        for lots in [1, 3, 1_000_000] {
            let r = margin(&file, &[(row, lots)], MEMBER);
            let c = &r.commodities[0];
            assert!(c.figures.option_value > 0 && c.figures.scan_loss <= c.figures.option_value, "{c:?}");
            assert_eq!(r.totals["USD"], 0, "{c:?}");
        }
    }
}

#[test]
fn more_lots_of_one_contract_never_need_less() {
    let file = positional();
    for row in 0..12 {
        for side in [1, -1] {
            let needs = |lots: i64| margin(&file, &[(row, side * lots)], SPECULATOR).totals["USD"];
            let all: Vec<i128> = [1, 2, 3, 10, 11, 1_000].map(needs).to_vec();
            assert!(all.windows(2).all(|pair| pair[0] <= pair[1]), "{row} {side}: {all:?}");
        }
    }
}

#[test]
fn a_credit_never_makes_risk_less_than_the_short_option_minimum_nor_a_charge_negative() {
    let file = positional();
    for lots in books() {
        for c in margin(&file, &lots, SPECULATOR).commodities {
            let f = c.figures;
            assert!(f.risk >= f.short_option_minimum && f.short_option_minimum >= 0, "{lots:?}");
            let charges = [f.scan_loss, f.intra, f.spot, f.inter_credit, c.requirement.requirement];
            assert!(charges.iter().all(|charge| *charge >= 0), "{lots:?} {f:?}");
            assert_eq!(f.risk, (f.scan_loss + f.intra + f.spot - f.inter_credit).max(f.short_option_minimum));
        }
    }
}

#[test]
fn a_sum_beyond_what_fits_is_an_error_and_not_a_number() {
    let mut file = positional();
    file.losses.iter_mut().for_each(|loss| *loss = i64::MAX);
    file.contracts.iter_mut().for_each(|contract| contract.exponent = 9);
    let lots = [(indices(&file)[0], i64::MAX)].into();
    let refused = SpanDesk::new(&file).margin(&account(), &lots, SPECULATOR);
    assert!(matches!(refused, Err(SpanAccountError::Overflow { .. })), "{refused:?}");
}

#[test]
fn initial_margin_without_its_ratio_is_not_guessed() {
    let initial = SpanAccountTerms { initial: true, ..SPECULATOR };
    let text = pa2().replace("100010001350", "100010000000");
    let file = SpanFile::read(text.as_bytes()).unwrap();
    let lots = [(indices(&file)[0], 1)].into();
    let refused = SpanDesk::new(&file).margin(&account(), &lots, initial).unwrap_err().to_string();
    assert!(refused.contains("lacks a ratio of initial over maintenance margin of CCA"), "{refused}");
    // Arrays at initial level serve initial margin alone.
    let text = pa2().replacen(&header(), &header().replace('M', "I"), 1);
    let file = SpanFile::read(text.as_bytes()).unwrap();
    assert_eq!(file.maintenance, Some(false));
    let lots = [(indices(&file)[1], 1)].into();
    assert!(SpanDesk::new(&file).margin(&account(), &lots, SPECULATOR).is_err());
    assert_eq!(units(margin(&file, &[(1, 1)], initial).totals["USD"]), 12_000);
}

#[test]
fn locators_and_exponents_bring_every_amount_to_units_of_the_currency() {
    // Rates and arrays of CCA in hundreds (risk exponent 2), its future's arrays with one decimal: x 10.
    let text = pa2().replace("CCA   0USD", "CCA   2USD").replace("CA        FUT0+", "CA        FUT1+");
    let file = SpanFile::read(text.as_bytes()).unwrap();
    let f = margin(&file, &[(0, 5), (1, -3), (2, 2)], MEMBER).commodities[0].figures;
    assert_eq!((units(f.scan_loss), units(f.intra), units(f.spot)), (400_000, 100_000, 110_000));
    // A minus moves the other way.
    let text = pa2().replace("CA        FUT0+", "CA        FUT1-");
    let file = SpanFile::read(text.as_bytes()).unwrap();
    assert_eq!(units(margin(&file, &[(1, 1)], MEMBER).totals["USD"]), 100_000);
    // In XML the exponent counts alike.
    let text = spn().replacen("<riskExponent>0<", "<riskExponent>2<", 1);
    let file = SpanFile::read(text.as_bytes()).unwrap();
    let f = margin(&file, &[(1, 1), (2, -1)], SPECULATOR).commodities[0].figures;
    assert_eq!((units(f.scan_loss), units(f.intra)), (0, 15_000));
}

#[test]
fn another_price_currency_is_converted_by_the_file_or_refused() {
    let euro = |text: String| {
        let lines = text.lines().map(|line| {
            let option = line.starts_with("P TSTCA        OOF");
            format!("{}\n", if option { line.replace("USD", "EUR") } else { line.to_owned() })
        });
        SpanFile::read(lines.collect::<String>().as_bytes()).unwrap()
    };
    // 2 x 8 points x 500 EUR at 1.1.
    let f = margin(&euro(pa2()), &[(3, 2)], MEMBER).commodities[0].figures;
    assert_eq!(units(f.option_value), 8_800);
    let without: String = pa2().lines().filter(|l| !l.starts_with("T ")).map(|l| format!("{l}\n")).collect();
    let file = euro(without);
    let lots = [(indices(&file)[3], 2)].into();
    let refused = SpanDesk::new(&file).margin(&account(), &lots, MEMBER).unwrap_err().to_string();
    assert!(refused.contains("a conversion of currencies of TST CA 202511"), "{refused}");
}

#[test]
fn super_spreads_come_before_inter_month_spreads_and_delivery() {
    let plain = positional();
    let flagged = changed_file("6 ", |line| with(line, 110, "S"));
    let f = |file: &SpanFile| margin(file, &[(0, 1), (5, -25)], MEMBER).commodities[0].figures;
    // One December future against 25 CB: the same credit, but delta that a super spread took is consumed in delivery.
    assert_eq!((units(f(&plain).inter_credit), units(f(&plain).spot)), (5_000, 250));
    assert_eq!((units(f(&flagged).inter_credit), units(f(&flagged).spot)), (5_000, 100));
}

#[test]
fn a_scanning_based_spread_earns_nothing_and_is_said_to() {
    let scanning = changed_file("6 ", |line| with(line, 89, "04"));
    let r = margin(&scanning, &[(1, 2), (5, -50)], MEMBER);
    assert_eq!((r.uncredited, r.commodities[0].figures.inter_credit), (1, 0));
}

fn changed_file(kind: &str, change: impl Fn(&str) -> String) -> SpanFile {
    let mut done = false;
    let text: String = pa2()
        .lines()
        .map(|line| {
            let first = !done && line.starts_with(kind);
            done |= first;
            format!("{}\n", if first { change(line) } else { line.to_owned() })
        })
        .collect();
    SpanFile::read(text.as_bytes()).unwrap()
}

#[test]
fn rates_of_several_levels_are_chosen_by_account_and_never_the_first() {
    let text = spn().replacen(
        "<rate><r>1</r><val>500.00</val></rate>",
        "<rate><r>7</r><val>9</val></rate><rate><r>1</r><val>500.00</val></rate><rate><r>2</r><val>650</val></rate>",
        1,
    );
    let file = SpanFile::read(text.as_bytes()).unwrap();
    let minimum = |terms| units(margin(&file, &[(4, -1)], terms).commodities[0].figures.short_option_minimum);
    assert_eq!(minimum(SPECULATOR), 500);
    assert_eq!(minimum(SpanAccountTerms { initial: true, ..SPECULATOR }), 650);
    let lots = [(indices(&file)[4], -1)].into();
    let hedger = SpanAccountTerms { kind: SpanAccountKind::Hedger, ..SPECULATOR };
    let refused = SpanDesk::new(&file).margin(&account(), &lots, hedger).unwrap_err().to_string();
    assert!(refused.contains("lacks a level for this kind of account"), "{refused}");
}

#[test]
fn a_spread_of_eight_legs_takes_its_ratio_from_every_leg() {
    let legs = "010101A020201B030101A040201B050101A060201B070101A080201B";
    let eight = changed_file("C ", |line| with(&with(line, 13, "08"), 22, legs));
    // Four from each tier per spread at 700: ten long near, six short far are one and a half.
    let f = margin(&eight, &[(0, 10), (1, -6)], MEMBER).commodities[0].figures;
    assert_eq!(units(f.intra), 1_050);
}

#[test]
fn the_files_kept_beside_the_tests_are_the_ones_built_here() {
    assert_eq!(include_str!("span/house.pa2"), pa2());
    assert_eq!(include_str!("span/house.spn"), spn());
}

/// 150 random books of speculators, margined by a separate program in exact fractions; amounts in ticks of 1e-9, to
/// nearest. Ours round every charge up and every credit down, at most a few ticks away.
#[test]
fn random_books_agree_with_a_separate_program_in_exact_fractions() {
    let golden: Vec<serde_json::Value> = serde_json::from_str(include_str!("span/golden.json")).unwrap();
    assert_eq!(golden.len(), 150);
    for file in [positional(), xml()] {
        for case in &golden {
            let lots: Vec<(usize, i64)> = serde_json::from_value(case["lots"].clone()).unwrap();
            let r = margin(&file, &lots, SPECULATOR);
            let expected = case["commodities"].as_array().unwrap();
            assert_eq!(r.commodities.len(), expected.len());
            for (c, e) in r.commodities.iter().zip(expected) {
                let f = c.figures;
                assert_eq!(
                    (c.code.as_str(), f.active as u64),
                    (e["code"].as_str().unwrap(), e["active"].as_u64().unwrap())
                );
                let near = |name: &str, found: i128, slack: i128| {
                    let wanted: i128 = e[name].as_str().unwrap().parse().unwrap();
                    assert!((found - wanted).abs() <= slack, "{lots:?} {name}: {found} for {wanted}");
                };
                near("scan", f.scan_loss, 0);
                near("delta", f.net_delta, 0);
                near("value", f.option_value, 0);
                near("minimum", f.short_option_minimum, 0);
                near("intra", f.intra, 4);
                near("spot", f.spot, 4);
                near("credit", f.inter_credit, 30);
                near("risk", f.risk, 30);
                near("requirement", c.requirement.requirement, 40);
            }
            let total: i128 = case["total"].as_str().unwrap().parse().unwrap();
            assert!((r.totals.get("USD").copied().unwrap_or(0) - total).abs() <= 100, "{lots:?}");
        }
    }
}

#[test]
fn a_leg_on_a_tier_is_credited_by_what_is_held_in_that_tier() {
    // CCA scanned in two tiers; its far one against CCB, whose rate is its own: 50 % and 20 %.
    let text = pa2()
        .lines()
        .map(|l| match &l[..2] {
            "S " if &l[2..5] == "CCA" => with(&with(l, 9, "10"), 13, "0120251220251202202603202612"),
            "6 " if &l[5..9] == "0001" => with(&with(l, 104, "01"), 102, "02"),
            _ => l.to_owned(),
        })
        .map(|l| if l.starts_with("6 GRP0001") { with(&l, 122, "Y05000000200000") } else { l })
        .map(|l| l + "\n")
        .collect::<String>();
    let file = SpanFile::read(text.as_bytes()).unwrap();
    assert_eq!(file.credits[0].legs[0].tier, Some(2));
    assert_eq!(file.credits[0].legs[1].tier, None, "tier 1 of a commodity without tiers is all of it");
    // December -5 and March 2: scanned alone, 50,000 and 20,000. Two spreads against 50 CB on the far tier.
    let r = margin(&file, &[(0, -5), (1, 2), (5, -50)], MEMBER);
    let [a, b] = &r.commodities[..] else { panic!("{r:?}") };
    assert_eq!(units(a.figures.scan_loss), 70_000);
    // Two inter-month spreads take all of March first; before them a super spread finds both.
    assert_eq!((units(a.figures.intra), a.figures.inter_credit), (1_400, 0));
    let text =
        text.lines().map(|l| if l.starts_with("6 GRP0001") { with(l, 110, "S") } else { l.to_owned() });
    let file = SpanFile::read((text.collect::<Vec<_>>().join("\n")).as_bytes()).unwrap();
    let r = margin(&file, &[(0, -5), (1, 2), (5, -50)], MEMBER);
    let super_figures = |at: usize| r.commodities[at].figures;
    assert_eq!((super_figures(0).intra, units(super_figures(0).inter_credit)), (0, 10_000));
    // 600 x 2 x 25 x 20 %.
    assert_eq!(units(super_figures(1).inter_credit), 6_000);
    assert_eq!(b.figures.inter_credit, 0);
}

#[test]
fn tiers_of_xml_legs_are_those_of_inter_tiers() {
    let tiers = "<interTiers><tier><tn>1</tn><sPe>202512</sPe><ePe>202512</ePe></tier>\
                 <tier><tn>2</tn><sPe>202603</sPe><ePe>202612</ePe></tier></interTiers>";
    let text = spn().replacen("<wfprMeth>1</wfprMeth>", &format!("<wfprMeth>1</wfprMeth>{tiers}"), 1);
    let leg = |tn| format!("<tLeg><cc>CCA</cc><tn>{tn}</tn><rs>A</rs><i>1</i></tLeg><tLeg><cc>CCB</cc>");
    let text = text.replacen(&leg(0), &leg(2), 1);
    let file = SpanFile::read(text.as_bytes()).unwrap();
    assert_eq!(file.credits[0].legs[0].tier, Some(2));
    // December 3 and March 2, all of it scanned together; the far tier alone has 2 x 10,000.
    let r = margin(&file, &[(0, 3), (1, 2), (5, -60)], SPECULATOR);
    assert_eq!(units(r.commodities[0].figures.inter_credit), 10_000);
    assert_eq!(units(r.commodities[0].figures.scan_loss), 50_000);
    let lost = text.replacen(&leg(2), &leg(5), 1);
    let error = SpanFile::read(lost.as_bytes()).unwrap_err();
    assert_eq!((error.field.as_str(), error.found.as_str()), ("leg tier", "5"));
}

#[test]
fn the_basis_against_a_spot_product_is_charged_on_opposite_deltas() {
    let file = changed_file("4 ", |l| l.to_owned());
    assert_eq!(file, positional());
    let text: String =
        pa2()
            .lines()
            .map(|l| if l.starts_with("4 CCD") { with(l, 11, "CS        0000035") } else { l.to_owned() })
            .map(|l| l.replace("CD        PHY", "CS        PHY") + "\n")
            .map(|l| {
                if l.starts_with("8") && l.get(25..28) == Some("PHY") { with(&l, 6, "CS        ") } else { l }
            })
            .collect();
    let file = SpanFile::read(text.as_bytes()).unwrap();
    assert_eq!(file.commodities[2].basis.as_ref().map(|b| b.rate), Some(dec("35")));
    let place = |kind| {
        file.contracts
            .iter()
            .position(|c| {
                file.products[c.product].kind == kind && file.products[c.product].commodity == Some(2)
            })
            .unwrap()
    };
    let (spot, future) = (place(SpanKind::Physical), place(SpanKind::Future));
    let charge = |a: i64, b: i64| {
        let lots = [(spot, a), (future, b)].into();
        units(SpanDesk::new(&file).margin(&account(), &lots, MEMBER).unwrap().commodities[0].figures.spot)
    };
    assert_eq!((charge(-3, 5), charge(3, -2), charge(3, 2)), (105, 70, 0));
}
