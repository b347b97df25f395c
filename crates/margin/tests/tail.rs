//! Streams of joint scenarios against the whole vectors, plainly sorted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_lanes::Path;
use plimsoll_margin::tail::{JointBlock, TailError, TailLosses};
use plimsoll_margin::{JointTerms, Statistic};
use plimsoll_types::*;
use proptest::prelude::*;

const STATISTICS: [Statistic; 4] =
    [Statistic::Worst, Statistic::ValueAtRisk, Statistic::ExpectedShortfall, Statistic::TailMean];

fn terms(statistic: Statistic, level: i64) -> JointTerms {
    JointTerms { statistic, level: Ppb(level), stress_weight: Ppb(0) }
}

fn book(accounts: &[Vec<(u32, i64)>]) -> Book {
    let mut book = Book::default();
    for (i, held) in accounts.iter().enumerate() {
        let position = |(ix, lots): &(u32, i64)| Position {
            instrument: InstrumentIx(*ix),
            lots: Lots(*lots),
            unrealised: Ticks(0),
        };
        let positions: Vec<Position> = held.iter().map(position).collect();
        book.push(format!("a{i:06}").parse().unwrap(), &positions, vec![], vec![]).unwrap();
    }
    book
}

/// Rows of whole vectors.
struct Rows {
    entries: Vec<Vec<i64>>,
}

impl Rows {
    fn block(&self, from: usize, width: usize) -> Vec<i64> {
        self.entries.iter().flat_map(|row| row[from..from + width].to_vec()).collect()
    }
}

/// The definition, written out: sort, take number `ceil(level n)`, average what is at or beyond it.
fn naive(terms: &JointTerms, held: &[(u32, i64)], rows: &Rows, scenarios: usize) -> i128 {
    let loss = |c: usize| -> i128 {
        -held
            .iter()
            .map(|(ix, lots)| i128::from(*lots) * i128::from(rows.entries[*ix as usize][c]))
            .sum::<i128>()
    };
    let mut losses: Vec<i128> = (0..scenarios).map(loss).collect();
    losses.sort_unstable();
    let place = (i128::from(terms.level.0) * scenarios as i128 + 999_999_999) / 1_000_000_000;
    let at = usize::try_from(place).unwrap() - 1;
    let mean = |tail: Vec<i128>| {
        let (sum, n) = (tail.iter().sum::<i128>(), tail.len() as i128);
        sum.div_euclid(n) + i128::from(sum.rem_euclid(n) > 0)
    };
    let value = match terms.statistic {
        Statistic::Worst => losses[scenarios - 1],
        Statistic::ValueAtRisk => losses[at],
        Statistic::ExpectedShortfall => mean(losses.iter().copied().filter(|x| *x >= losses[at]).collect()),
        Statistic::TailMean => mean(losses[at..].to_vec()),
    };
    value.max(0)
}

fn streamed(path: Path, book: &Book, terms: &JointTerms, rows: &Rows, widths: &[usize]) -> Vec<Ticks> {
    let scenarios = widths.iter().sum();
    let mut tail = TailLosses::new(book, terms, scenarios).unwrap();
    let mut from = 0;
    for width in widths {
        let pnl = rows.block(from, *width);
        tail.add(path, book, &JointBlock { pnl: &pnl, width: *width }).unwrap();
        from += width;
    }
    tail.finish().unwrap()
}

fn entry(scale: u32) -> impl Strategy<Value = i64> {
    let huge = if scale > 40 { 1_i64 << 40 } else { 7 };
    prop_oneof![-3..=3_i64, -2_000_000..2_000_000_i64, -huge..=huge]
}

fn lots(scale: u32) -> impl Strategy<Value = i64> {
    let huge = 1_i64 << scale;
    prop_oneof![Just(0_i64), -2..=2_i64, -100_000..100_000_i64, -huge..=huge]
}

fn held(scale: u32) -> impl Strategy<Value = Vec<(u32, i64)>> {
    proptest::collection::btree_map(0..12_u32, lots(scale), 0..8).prop_map(|map| map.into_iter().collect())
}

type Case = (Vec<usize>, Vec<Vec<i64>>, Vec<Vec<(u32, i64)>>);

/// Widths of blocks, rows, accounts; lots and entries from small to beyond the lanes.
fn case() -> impl Strategy<Value = Case> {
    let scale = prop_oneof![Just(12_u32), Just(30), Just(52)];
    (scale, proptest::collection::vec(1..200_usize, 1..6)).prop_flat_map(|(scale, widths)| {
        let row = proptest::collection::vec(entry(scale), widths.iter().sum::<usize>());
        let accounts = proptest::collection::vec(held(scale), 1..9);
        (Just(widths), proptest::collection::vec(row, 12), accounts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_gives_what_the_whole_vector_gives_whatever_the_blocks(
        (widths, entries, accounts) in case(),
        level in prop_oneof![Just(990_000_000_i64), Just(975_000_000), Just(500_000_000), 1..999_999_999_i64],
    ) {
        let scenarios: usize = widths.iter().sum();
        let (rows, book) = (Rows { entries }, book(&accounts));
        for statistic in STATISTICS {
            let terms = terms(statistic, level);
            let expected: Vec<Ticks> =
                accounts.iter().map(|held| Ticks(naive(&terms, held, &rows, scenarios))).collect();
            for path in Path::available() {
                prop_assert_eq!(&streamed(path, &book, &terms, &rows, &widths), &expected, "{}", path.name());
            }
        }
    }
}

#[test]
fn an_account_that_outgrows_the_lanes_midway_loses_nothing_it_had_kept() {
    let accounts = vec![vec![(0, 1_i64 << 30), (1, -3)], vec![(1, 5)]];
    let first = |c: i64| if c < 150 { 3 - c } else { 5_000_000 * (c - 220) };
    let second = |c: i64| (c * 7_919) % 101 - 50;
    let entries = vec![(0..300).map(first).collect(), (0..300).map(second).collect()];
    let (rows, book) = (Rows { entries }, book(&accounts));
    for statistic in STATISTICS {
        let terms = terms(statistic, 900_000_000);
        let expected: Vec<Ticks> =
            accounts.iter().map(|held| Ticks(naive(&terms, held, &rows, 300))).collect();
        assert_eq!(streamed(Path::best(), &book, &terms, &rows, &[150, 64, 86]), expected);
    }
}

#[test]
fn several_chunks_of_accounts_on_one_and_two_threads_agree() {
    let accounts: Vec<Vec<(u32, i64)>> = (0..2_500)
        .map(|i| vec![(i % 7, i64::from(i) - 1_200), (7 + i % 5, 31 - i64::from(i % 64))])
        .collect();
    let row = |i: i64| (0..400_i64).map(|c| (c * (i + 13) * 2_654_435_761 % 20_011) - 10_000).collect();
    let (rows, book) = (Rows { entries: (0..12).map(row).collect() }, book(&accounts));
    let terms = terms(Statistic::ExpectedShortfall, 975_000_000);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| streamed(Path::best(), &book, &terms, &rows, &[128, 128, 144]))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    for i in [0, 1, 15, 16, 1_023, 1_024, 2_499] {
        assert_eq!(one[i], Ticks(naive(&terms, &accounts[i], &rows, 400)));
    }
}

#[test]
fn losses_with_no_floor_between_them_are_counted_as_ties() {
    let accounts = vec![vec![(0, 1)], vec![(0, -1)], vec![(0, 2), (1, -1)], vec![], vec![(1, 3)]];
    let first = |c: i64| i64::from(c % 3 == 0) - i64::from(c == 1_400);
    let entries = vec![(0..2_000).map(first).collect(), (0..2_000).map(|c| c * 7 % 5).collect()];
    let (rows, book) = (Rows { entries }, book(&accounts));
    for statistic in STATISTICS {
        let terms = terms(statistic, 975_000_000);
        let expected: Vec<Ticks> =
            accounts.iter().map(|held| Ticks(naive(&terms, held, &rows, 2_000))).collect();
        for path in Path::available() {
            assert_eq!(streamed(path, &book, &terms, &rows, &[1_000, 999, 1]), expected, "{}", path.name());
        }
    }
}

#[test]
fn what_was_not_announced_is_refused() {
    let (accounts, terms) = (book(&[vec![(3, 1)]]), terms(Statistic::Worst, 1));
    let tail = || TailLosses::new(&accounts, &terms, 2).unwrap();
    let add = |tail: &mut TailLosses, pnl: &[i64], width| {
        tail.add(Path::best(), &accounts, &JointBlock { pnl, width })
    };
    assert!(matches!(TailLosses::new(&accounts, &terms, 0), Err(TailError::Scenarios { .. })));
    assert!(matches!(add(&mut tail(), &[1, 2, 3], 2), Err(TailError::Shape { entries: 3, width: 2 })));
    assert!(matches!(add(&mut tail(), &[], 0), Err(TailError::Shape { .. })));
    assert!(matches!(add(&mut tail(), &[0; 12], 3), Err(TailError::Scenarios { found: 3, expected: 2 })));
    let unknown = add(&mut tail(), &[0; 6], 2).unwrap_err().to_string();
    assert_eq!(unknown, "account a000000: instrument number 3 is not among the 3 of the risk arrays");
    assert!(matches!(tail().finish(), Err(TailError::Scenarios { found: 0, expected: 2 })));
    let other = TailLosses::new(&Book::default(), &terms, 2).unwrap().add(
        Path::best(),
        &accounts,
        &JointBlock { pnl: &[0; 8], width: 2 },
    );
    assert!(matches!(other, Err(TailError::Accounts { found: 1, expected: 0 })));
}
