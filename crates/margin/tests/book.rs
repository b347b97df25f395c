//! Scan losses of a whole book against accounts summed one by one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_lanes::Path;
use plimsoll_margin::book::{Holders, Rows, ScanLosses, Touched, rescan, scan_losses};
use plimsoll_margin::{Aggregation, MarginError, Mode, OrderMethod, OrderTerms, Params, evaluate};
use plimsoll_types::{
    Block, BlockKind, Book, Decimal, GreekTicks, InstrumentIx, InstrumentRow, Lots, Portfolio, Position, Ppb,
    Purpose, RiskArrays, ScenarioColumn, Ticks, UnderlyingIx, UnderlyingRow,
};
use proptest::prelude::*;

/// A sequence that looks like chance: Steele, Lea and Flood's SplitMix64.
struct Mix(u64);

impl Mix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn signed(&mut self, most: u64) -> i64 {
        i64::try_from(self.below(2 * most + 1)).unwrap() - i64::try_from(most).unwrap()
    }
}

fn names(i: usize) -> String {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap());
    format!("U{}{}", letter(i / 26), letter(i))
}

/// Arrays of futures: `of` names the underlying of each instrument, `entry` gives the entries.
fn arrays(of: &[u32], columns: usize, mut entry: impl FnMut() -> i64) -> RiskArrays {
    let count = of.iter().max().map_or(0, |most| *most as usize + 1);
    let column = |i: usize| ScenarioColumn {
        label: i.to_string(),
        weight: Ppb::ONE,
        spot: vec![Ppb(0); count],
        pair: i,
    };
    let row = |underlying: &u32| InstrumentRow {
        instrument: "BTC_USDC-27MAR26".parse().unwrap(),
        underlying: UnderlyingIx(*underlying),
        lot: Decimal::ONE,
        mark: 0,
        notional: 0,
        greeks: GreekTicks::default(),
        composite_delta: Ppb::ONE,
        seconds_to_expiry: Some(1_000_000),
        funding_8h: 0,
        reference: 1,
        open_interest: None,
    };
    let underlying = |i: usize| UnderlyingRow {
        asset: names(i).parse().unwrap(),
        index: 1,
        confidence: Ppb::ZERO,
        price_scan: Ppb(100_000_000),
    };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 100,
        underlyings: (0..count).map(underlying).collect(),
        instruments: of.iter().map(row).collect(),
        scenarios: (0..columns).map(column).collect(),
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..columns }],
        pnl: (0..of.len() * columns).map(|_| entry()).collect(),
        assets: vec![],
    }
}

fn params() -> Params {
    Params {
        mode: Mode::Portfolio,
        aggregation: Aggregation::Sum,
        joint: None,
        im_scale: Ppb::ONE,
        mm_scale: Ppb::ONE,
        rounding_guard: false,
        fixed: None,
        orders: OrderTerms { method: OrderMethod::Bound, in_mm: false },
        collateral: Default::default(),
        addons: Default::default(),
    }
}

fn position(instrument: u32, lots: i64) -> Position {
    Position { instrument: InstrumentIx(instrument), lots: Lots(lots), unrealised: Ticks(0) }
}

fn book(accounts: &[Vec<Position>]) -> Book {
    let portfolio = |(i, positions): (usize, &Vec<Position>)| Portfolio {
        account: format!("{i:06}").parse().unwrap(),
        positions: positions.clone(),
        collateral: vec![],
        orders: vec![],
    };
    Book::pack(accounts.iter().enumerate().map(portfolio)).unwrap()
}

/// The losses of an account in 128 bits, straight from the definition; `None` where a sum leaves 2^126.
fn plain(arrays: &RiskArrays, positions: &[Position]) -> Option<Vec<i128>> {
    let mut held: Vec<u32> =
        positions.iter().map(|p| arrays.instruments[p.instrument.index()].underlying.0).collect();
    held.sort_unstable();
    held.dedup();
    let loss = |underlying: &u32| {
        let of_it = |p: &&Position| arrays.instruments[p.instrument.index()].underlying.0 == *underlying;
        let mut worst = 0;
        for column in 0..arrays.scenarios.len() {
            let mut sum = 0_i128;
            for p in positions.iter().filter(of_it) {
                sum += i128::from(p.lots.0) * i128::from(arrays.row(p.instrument)[column]);
                if sum.unsigned_abs() > 1 << 126 {
                    return None;
                }
            }
            worst = worst.min(sum);
        }
        Some(-worst)
    };
    held.iter().map(loss).collect()
}

/// Every path and one and two threads give the losses of the definition, and their sum is the margin of the account.
fn check(arrays: &RiskArrays, accounts: &[Vec<Position>]) {
    let (book, rows) = (book(accounts), Rows::new(arrays));
    let mut out = ScanLosses::default();
    scan_losses(Path::plain(), &book, &rows, &mut out);
    assert_eq!(out.len(), accounts.len());
    for (account, positions) in accounts.iter().enumerate() {
        let expected = plain(arrays, positions);
        let report = evaluate(&book.portfolio(account).unwrap(), arrays, &params());
        match out.account(account).unwrap() {
            Ok(losses) => {
                assert_eq!(Some(losses.iter().collect::<Vec<_>>()), expected, "account {account}");
                let total = out.total(account).unwrap().unwrap();
                match report {
                    Ok(report) => assert_eq!(report.im, Ticks(total), "account {account}"),
                    // Scaling to a requirement takes 30 bits more.
                    Err(error) => assert!(total > 1 << 90, "account {account}: {error}"),
                }
            }
            Err(error) => {
                let sum = |losses: Vec<i128>| losses.into_iter().try_fold(0_i128, i128::checked_add);
                assert_eq!(expected.and_then(sum), None, "account {account}");
                assert_eq!(&report.unwrap_err(), error);
            }
        }
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for path in Path::available() {
            let mut again = out.clone();
            pool.install(|| scan_losses(path, &book, &rows, &mut again));
            assert_eq!(again, out, "{} on {threads}", path.name());
        }
    }
}

/// Accounts of all sorts over so many instruments: none, one, few, many, all of them, zero lots, whales.
fn accounts(mix: &mut Mix, instruments: u32, count: usize, lots: u64) -> Vec<Vec<Position>> {
    let mut account = || {
        let held = match mix.below(10) {
            0 => 0,
            1 => 1,
            2 => u64::from(instruments),
            _ => mix.below(20),
        };
        let whale = if mix.below(30) == 0 { 1 << mix.below(63) } else { 1 };
        let mut chosen: Vec<u32> =
            (0..held).map(|_| u32::try_from(mix.below(u64::from(instruments))).unwrap()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen.iter().map(|i| position(*i, mix.signed(lots).saturating_mul(whale))).collect()
    };
    (0..count).map(|_| account()).collect()
}

#[test]
fn any_book_has_the_losses_of_its_accounts_on_every_path() {
    let mut mix = Mix(1);
    for columns in [1, 2, 7, 8, 16, 17, 31, 33, 48, 64, 65, 100, 128, 200] {
        let of: Vec<u32> = (0..40).map(|i| i / 7).collect();
        let arrays = arrays(&of, columns, || mix.signed(10_000_000));
        let all = accounts(&mut Mix(columns as u64), 40, 120, 10_000);
        check(&arrays, &all);
    }
}

#[test]
fn instruments_in_any_order_of_underlying_give_the_same_losses() {
    let mut mix = Mix(2);
    let of: Vec<u32> = (0..40).map(|_| u32::try_from(mix.below(6)).unwrap()).chain([5]).collect();
    let arrays = arrays(&of, 20, || mix.signed(1_000));
    check(&arrays, &accounts(&mut Mix(3), 41, 300, 1_000));
}

#[test]
fn entries_of_any_size_are_summed_exactly() {
    for shift in [31, 32, 40, 52, 53, 54, 62, 63] {
        let mut mix = Mix(shift);
        let most = (1_u64 << shift) - 1;
        let of: Vec<u32> = (0..30).map(|i| i / 10).collect();
        let arrays = arrays(&of, 20, || {
            let entry = mix.next() & most;
            let entry = i64::try_from(entry).unwrap();
            if mix.below(2) == 0 { entry } else { -entry - 1 }
        });
        assert!(!Rows::new(&arrays).is_narrow() || shift == 31);
        for lots in [1, 1_000, 1 << 30, 1 << 62] {
            check(&arrays, &accounts(&mut Mix(shift + lots), 30, 60, lots));
        }
    }
}

#[test]
fn sums_at_the_edge_of_the_lanes_are_exact() {
    // One more or one less than 2^52, 2^53 and 2^62, from one position and from many, of both signs.
    let entries = [1, -1, 3, i64::from(i32::MAX), i64::from(i32::MIN), -7, 2, 1 << 20];
    let mut at = 0;
    let arrays = arrays(&[0, 0, 0, 1, 1], 8, || {
        at += 1;
        entries[at % entries.len()]
    });
    let mut all = Vec::new();
    for power in [21, 22, 31, 32, 51, 52, 53, 61, 62] {
        for around in -2..=2_i64 {
            let lots = (1_i64 << power) + around;
            all.push(vec![position(0, lots)]);
            all.push(vec![position(0, lots), position(1, -lots), position(2, 1)]);
            all.push((0..5).map(|i| position(i, if i % 2 == 0 { lots } else { -lots })).collect());
        }
    }
    all.push(vec![position(0, i64::MAX), position(3, i64::MIN)]);
    check(&arrays, &all);
}

#[test]
fn losses_beyond_64_bits_and_sums_beyond_126_are_told_apart() {
    let extremes = [i64::MIN, i64::MAX, 0, 1];
    let mut at = 0;
    let arrays = arrays(&[0, 0, 0, 0, 0, 0], 4, || {
        at += 1;
        extremes[at % 4]
    });
    let all: Vec<Vec<Position>> = vec![
        vec![position(0, i64::MAX)],
        vec![position(0, 2)],
        (0..6).map(|i| position(i, i64::MIN)).collect(),
        vec![],
        vec![position(1, 0)],
    ];
    check(&arrays, &all);
    let (book, rows, mut out) = (book(&all), Rows::new(&arrays), ScanLosses::default());
    scan_losses(Path::best(), &book, &rows, &mut out);
    assert!(matches!(out.account(0), Some(Ok(losses)) if losses.is_wide() && losses.len() == 1));
    assert!(matches!(out.account(2), Some(Err(MarginError::Overflow { .. }))));
    assert!(matches!(out.account(4), Some(Ok(losses)) if !losses.is_wide() && losses.iter().eq([0])));
}

#[test]
fn an_account_that_holds_what_has_no_row_fails_alone() {
    let arrays = arrays(&[0, 1], 3, || 5);
    let all = vec![vec![position(1, -2)], vec![position(0, 1), position(2, 1)], vec![position(0, -1)]];
    let (book, rows, mut out) = (book(&all), Rows::new(&arrays), ScanLosses::default());
    scan_losses(Path::best(), &book, &rows, &mut out);
    let error = evaluate(&book.portfolio(1).unwrap(), &arrays, &params()).unwrap_err();
    assert_eq!(out.account(1), Some(Err(&error)));
    assert_eq!((out.total(0), out.total(2), out.total(3)), (Some(Ok(10)), Some(Ok(5)), None));
}

#[test]
fn five_thousand_positions_and_a_book_in_one_instrument_are_scanned_like_any() {
    let mut mix = Mix(5);
    let of: Vec<u32> = (0..6_000).map(|i| i / 600).collect();
    let arrays = arrays(&of, 9, || mix.signed(1 << 30));
    let whole = |lots: i64| (0..5_000).map(|i| position(i, lots * (1 - 2 * i64::from(i % 2)))).collect();
    let mut all: Vec<Vec<Position>> = vec![whole(1), whole(0), whole(1 << 20), whole(1 << 40)];
    all.extend((0..3_000).map(|i| vec![position(7, i - 1_500)]));
    check(&arrays, &all);
}

#[test]
fn one_underlying_and_maintenance_columns_are_read_as_they_serve() {
    let mut mix = Mix(6);
    let mut arrays = arrays(&[0; 12], 50, || mix.signed(1_000));
    arrays.blocks = vec![
        Block { kind: BlockKind::Grid, purpose: Purpose::Mm, columns: 0..20 },
        Block { kind: BlockKind::Grid, purpose: Purpose::Im, columns: 20..37 },
        Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 40..50 },
    ];
    let all = accounts(&mut Mix(7), 12, 100, 1_000);
    let book = book(&all);
    let (mut im, mut mm) = (ScanLosses::default(), ScanLosses::default());
    scan_losses(Path::best(), &book, &Rows::new(&arrays), &mut im);
    scan_losses(Path::best(), &book, &Rows::for_maintenance(&arrays), &mut mm);
    for account in 0..book.len() {
        let report = evaluate(&book.portfolio(account).unwrap(), &arrays, &params()).unwrap();
        assert_eq!(im.total(account).unwrap().unwrap(), report.im.0);
        assert_eq!(mm.total(account).unwrap().unwrap(), report.mm.0);
    }
}

/// Moves the rows of one underlying.
fn moved(arrays: &RiskArrays, underlying: u32, mix: &mut Mix, most: u64) -> RiskArrays {
    let mut next = arrays.clone();
    let width = arrays.scenarios.len();
    for (i, row) in arrays.instruments.iter().enumerate() {
        if row.underlying.0 == underlying {
            next.pnl[i * width..(i + 1) * width].fill_with(|| mix.signed(most));
        }
    }
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn moves_of_underlyings_and_changes_of_positions_lead_where_a_scan_from_nothing_does(
        seed in any::<u64>(), ungrouped in any::<bool>(), columns in 1..80_usize, steps in 1..12_usize,
    ) {
        let mut mix = Mix(seed);
        let of = |i: u32| if ungrouped { i % 5 } else { i / 8 };
        let of: Vec<u32> = (0..40).map(of).collect();
        let mut arrays = arrays(&of, columns, || mix.signed(10_000));
        let mut book = book(&accounts(&mut mix, 40, 1_100, 10_000));
        let mut rows = Rows::new(&arrays);
        let (mut losses, mut fresh) = (ScanLosses::default(), ScanLosses::default());
        let mut holders = Holders::new(&book, &rows);
        scan_losses(Path::best(), &book, &rows, &mut losses);
        for _ in 0..steps {
            for _ in 0..mix.below(30) {
                let account = usize::try_from(mix.below(1_100)).unwrap();
                let lots = [0, 0, 1, -1_000_000, 1 << 50][usize::try_from(mix.below(5)).unwrap()];
                let instrument = u32::try_from(mix.below(40)).unwrap();
                book.set_position(account, position(instrument, lots)).unwrap();
                holders.update(&book, &rows, account, instrument);
                losses.update(Path::best(), &book, &rows, account);
            }
            let underlying = u32::try_from(mix.below(5)).unwrap();
            let most = [10_000, 1 << 40, (1 << 62) - 1][usize::try_from(mix.below(3)).unwrap()];
            arrays = moved(&arrays, underlying, &mut mix, most);
            rows.refresh(&arrays, UnderlyingIx(underlying));
            rescan(Path::best(), &book, &rows, UnderlyingIx(underlying), &holders, &mut losses);
            scan_losses(Path::plain(), &book, &rows, &mut fresh);
            prop_assert!(losses == fresh);
            prop_assert_eq!(&holders, &Holders::new(&book, &rows));
            scan_losses(Path::plain(), &book, &Rows::new(&arrays), &mut fresh);
            prop_assert!(losses == fresh);
        }
    }
}

#[test]
fn changes_nobody_told_of_and_books_that_were_copied_are_noticed() {
    let mut mix = Mix(3);
    let of: Vec<u32> = (0..40).map(|i| i / 8).collect();
    let arrays = arrays(&of, 64, || mix.signed(10_000));
    let mut book = book(&accounts(&mut mix, 40, 3_000, 10_000));
    let (rows, mut kept) = (Rows::new(&arrays), ScanLosses::default());
    scan_losses(Path::best(), &book, &rows, &mut kept);
    let mut same = |book: &Book, rows: &Rows| {
        let mut fresh = ScanLosses::default();
        scan_losses(Path::plain(), book, rows, &mut fresh);
        scan_losses(Path::best(), book, rows, &mut kept);
        kept == fresh
    };
    // A few accounts of a chunk, then more than are summed apart, then a copy that goes its own way.
    for changes in [5, 400, 0] {
        for account in 0..changes {
            book.set_position(account, position(account as u32 % 40, -77)).unwrap();
        }
        assert!(same(&book, &rows), "{changes} changes");
    }
    let mut copy = book.clone();
    book.set_position(1, position(9, 1_000)).unwrap();
    assert!(same(&book, &rows));
    copy.set_position(2, position(9, -1_000)).unwrap();
    assert!(same(&copy, &rows) && same(&book, &rows));
    // The same instruments in other underlyings.
    let regrouped: Vec<u32> = (0..40).map(|i| i % 5).collect();
    let other = self::arrays(&regrouped, 64, || mix.signed(10_000));
    assert!(same(&book, &Rows::new(&other)) && same(&book, &rows));
    book.close(4).unwrap();
    book.push("zz".parse().unwrap(), &[position(0, 3), position(1, -3)], vec![], vec![]).unwrap();
    assert!(same(&book, &rows));
}

#[test]
fn a_move_of_one_underlying_touches_its_holders_and_their_positions_in_it_alone() {
    let mut mix = Mix(9);
    let of: Vec<u32> = (0..160).map(|i| i / 10).collect();
    let arrays = arrays(&of, 64, || mix.signed(10_000));
    let mut all = accounts(&mut mix, 150, 5_000, 100);
    all.iter_mut().flatten().for_each(|p| p.lots.0 %= 1_000);
    let (book, rows) = (book(&all), Rows::new(&arrays));
    let (holders, mut losses) = (Holders::new(&book, &rows), ScanLosses::default());
    scan_losses(Path::best(), &book, &rows, &mut losses);
    for underlying in 0..16_u32 {
        let ix = UnderlyingIx(underlying);
        let within = |p: &&Position| p.instrument.0 / 10 == underlying;
        let count = |a: &Vec<Position>| a.iter().filter(within).count();
        let touched = Touched {
            accounts: all.iter().filter(|account| count(account) > 0).count(),
            positions: all.iter().map(count).sum(),
        };
        assert_eq!(rescan(Path::best(), &book, &rows, ix, &holders, &mut losses), touched);
        assert_eq!(holders.count(ix), touched.accounts);
    }
}

#[test]
fn accounts_added_at_the_end_are_scanned_without_the_others() {
    let arrays = arrays(&[0, 1], 3, || 5);
    let (rows, mut out) = (Rows::new(&arrays), ScanLosses::default());
    let mut book = book(&[vec![position(0, -1)]]);
    scan_losses(Path::best(), &book, &rows, &mut out);
    for i in 1..2_100_u32 {
        let lots = -i64::from(i);
        book.push(format!("b{i:05}").parse().unwrap(), &[position(i % 2, lots)], vec![], vec![]).unwrap();
        out.update(Path::best(), &book, &rows, i as usize);
    }
    let mut fresh = ScanLosses::default();
    scan_losses(Path::best(), &book, &rows, &mut fresh);
    assert!(out == fresh && out.total(2_099) == Some(Ok(10_495)));
}
