//! The compact book against a plain list of portfolios.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_types::{
    AccountId, Book, BookError, Deposits, Holding, Holdings, InstrumentIx, Lots, Order, Portfolio, Position,
    Ticks,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn position(instrument: u32, lots: i64, unrealised: i128) -> Position {
    Position { instrument: InstrumentIx(instrument), lots: Lots(lots), unrealised: Ticks(unrealised) }
}

fn portfolio(account: &str, instruments: &[u32]) -> Portfolio {
    Portfolio {
        account: account.parse().unwrap(),
        positions: instruments.iter().map(|i| position(*i, 1, 0)).collect(),
        collateral: vec![],
        orders: vec![],
    }
}

#[test]
fn what_is_packed_comes_out_again() {
    let all = vec![portfolio("a", &[0, 3]), portfolio("b", &[]), portfolio("c", &[1])];
    let book = Book::pack(all.clone()).unwrap();
    assert_eq!(book.iter().collect::<Vec<_>>(), all);
    assert_eq!(book.find(&"b".parse().unwrap()), Some(1));
    assert_eq!(book.find(&"bb".parse().unwrap()), None);
    assert_eq!(book.portfolio(3), None);
    assert_eq!((book.len(), book.positions(), book.account(2)), (3, 3, Some("c")));
}

#[test]
fn accounts_and_positions_twice_or_out_of_order_are_refused() {
    let late = Book::pack([portfolio("b", &[]), portfolio("a", &[])]);
    assert!(matches!(late, Err(BookError::Accounts { .. })));
    assert!(matches!(Book::pack([portfolio("a", &[1, 1])]), Err(BookError::Positions { .. })));
    let mut book = Book::pack([portfolio("b", &[])]).unwrap();
    let again = book.insert("b".parse().unwrap(), &[], vec![], vec![]);
    assert!(matches!(again, Err(BookError::Accounts { .. })));
    let beyond = book.set_position(1, position(0, 1, 0));
    assert_eq!(beyond, Err(BookError::NoAccount { index: 1, accounts: 1 }));
}

#[test]
fn parts_put_together_are_the_book_pushed_one_by_one() {
    let mut all: Vec<Portfolio> = Vec::new();
    for i in 0..40_u32 {
        let lots = if i % 7 == 3 { 1 << 40 } else { i64::from(i) - 9 };
        let unrealised = if i > 20 && i % 3 == 0 { -5 } else { 0 };
        let asset = ["USDC", "BTC", "ETH"][i as usize % 3].parse().unwrap();
        let amount_nano = if i % 11 == 4 { 1 << 100 } else { i128::from(i) };
        let earmark = (i % 5 == 0).then_some(InstrumentIx(i));
        all.push(Portfolio {
            account: format!("a{i:02}").parse().unwrap(),
            positions: (0..i % 4).map(|at| position(at, lots, unrealised)).collect(),
            collateral: vec![Holding { asset, amount_nano, earmark }],
            orders: vec![Order { instrument: InstrumentIx(i), lots: Lots(1), edge: Ticks(2) }],
        });
    }
    for size in [1, 3, 40] {
        let mut book = Book::default();
        for part in all.chunks(size) {
            book.append(Book::pack(part.to_vec()).unwrap()).unwrap();
        }
        assert_eq!(book.iter().collect::<Vec<_>>(), all);
        assert_eq!(book, Book::pack(all.clone()).unwrap());
        for (i, portfolio) in all.iter().enumerate() {
            assert_eq!(book.find(&portfolio.account), Some(i));
        }
        book.set_position(5, position(9, 1, 0)).unwrap();
        book.set_position(6, position(9, 1, 7)).unwrap();
        for i in (0..all.len()).filter(|i| *i != 5 && *i != 6) {
            assert_eq!(book.portfolio(i).as_ref(), all.get(i));
        }
    }
    let mut book = Book::pack([portfolio("b", &[1])]).unwrap();
    for late in ["a", "b"] {
        let refused = book.append(Book::pack([portfolio(late, &[])]).unwrap());
        assert!(matches!(refused, Err(BookError::Accounts { .. })));
    }
    book.insert("a".parse().unwrap(), &[], vec![], vec![]).unwrap();
    book.append(Book::pack([portfolio("c", &[2])]).unwrap()).unwrap();
    let find = |name: &str| book.find(&name.parse().unwrap());
    assert_eq!([find("a"), find("b"), find("c")], [Some(1), Some(0), Some(2)]);
}

#[test]
fn a_whale_lives_apart_and_comes_back_when_it_fits() {
    let mut book = Book::pack([portfolio("a", &[2, 4]), portfolio("b", &[2])]).unwrap();
    book.set_position(0, position(3, 1 << 40, 0)).unwrap();
    assert!(book.is_wide(0) && !book.is_wide(1) && book.narrow(0).is_none());
    let Some(Holdings::Wide(positions)) = book.holdings(0) else { panic!("it fits") };
    assert_eq!(positions, [position(2, 1, 0), position(3, 1 << 40, 0), position(4, 1, 0)]);
    book.set_position(0, position(4, 1, i128::MIN)).unwrap();
    book.set_position(0, position(3, 0, 0)).unwrap();
    assert!(book.is_wide(0), "unrealised profit leaves 64 bits");
    book.set_position(0, position(4, 1, -1)).unwrap();
    assert!(!book.is_wide(0));
    assert_eq!(book.portfolio(0).unwrap().positions, [position(2, 1, 0), position(4, 1, -1)]);
    assert_eq!(book.positions(), 3);
}

#[test]
fn collateral_keeps_its_amounts_and_earmarks_at_any_width() {
    let holding = |asset: &str, amount_nano: i128, earmark: Option<u32>| Holding {
        asset: asset.parse().unwrap(),
        amount_nano,
        earmark: earmark.map(InstrumentIx),
    };
    let small = vec![holding("USDC", i128::from(i64::MIN), None), holding("BTC", 7, Some(u32::MAX))];
    let large = vec![holding("USDC", 1, Some(0)), holding("SHIB", 1 << 64, None)];
    let mut book = Book::default();
    book.push("a".parse().unwrap(), &[], small.clone(), vec![]).unwrap();
    book.push("b".parse().unwrap(), &[], large.clone(), vec![]).unwrap();
    assert!(matches!(book.deposits(0), Some(Deposits::Narrow([_, _]))));
    assert!(matches!(book.deposits(1), Some(Deposits::Wide([_, _]))));
    assert_eq!(book.portfolio(0).unwrap().collateral, small);
    assert_eq!(book.portfolio(1).unwrap().collateral, large);
    book.set_collateral(0, large.clone()).unwrap();
    book.set_collateral(1, small.clone()).unwrap();
    assert_eq!(
        (book.portfolio(0).unwrap().collateral, book.portfolio(1).unwrap().collateral),
        (large, small)
    );
}

/// One change of a book.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u32, i64, i128),
    Insert(String, Vec<u32>),
    Close(usize),
    Orders(usize, i64),
    Collateral(usize, i128),
}

fn change() -> impl Strategy<Value = Change> {
    let lots = prop_oneof![
        8 => -3..4_i64, 2 => Just(0), 1 => Just(i64::MIN), 1 => Just(i64::from(i32::MIN)), 1 => Just(1 << 31)
    ];
    let unrealised =
        prop_oneof![8 => Just(0_i128), 2 => -5..5_i128, 1 => Just(i128::MAX), 1 => Just(1 << 63)];
    prop_oneof![
        40 => (0..9_usize, 0..40_u32, lots, unrealised).prop_map(|(a, i, l, u)| Change::Set(a, i, l, u)),
        4 => ("[a-z]{1,3}", vec(0..40_u32, 0..9)).prop_map(|(name, held)| Change::Insert(name, held)),
        1 => (0..9_usize).prop_map(Change::Close),
        1 => (0..9_usize, -1..2_i64).prop_map(|(a, lots)| Change::Orders(a, lots)),
        1 => (0..9_usize, any::<i128>()).prop_map(|(a, amount)| Change::Collateral(a, amount)),
    ]
}

/// The same change on a plain list of portfolios.
fn set_plain(portfolio: &mut Portfolio, new: Position) {
    portfolio.positions.retain(|old| old.instrument != new.instrument);
    if new.lots != Lots(0) || new.unrealised != Ticks(0) {
        portfolio.positions.push(new);
        portfolio.positions.sort_by_key(|p| p.instrument);
    }
}

fn apply(book: &mut Book, plain: &mut Vec<Portfolio>, change: Change) {
    let n = plain.len();
    match change {
        Change::Insert(name, mut held) => {
            held.sort_unstable();
            held.dedup();
            let new = portfolio(&name, &held);
            let taken = plain.iter().any(|p| p.account == new.account);
            let found = book.insert(new.account.clone(), &new.positions, vec![], vec![]);
            assert_eq!(found.is_ok(), !taken);
            if !taken {
                assert_eq!(found, Ok(n));
                plain.push(new);
            }
        }
        Change::Set(a, instrument, lots, unrealised) if n > 0 => {
            book.set_position(a % n, position(instrument, lots, unrealised)).unwrap();
            set_plain(&mut plain[a % n], position(instrument, lots, unrealised));
        }
        Change::Close(a) if n > 0 => {
            book.close(a % n).unwrap();
            plain[a % n] = Portfolio { account: plain[a % n].account.clone(), ..portfolio("x", &[]) };
        }
        Change::Orders(a, lots) if n > 0 => {
            let order = Order { instrument: InstrumentIx(0), lots: Lots(lots), edge: Ticks(0) };
            let orders = if lots == 0 { vec![] } else { vec![order] };
            book.set_orders(a % n, orders.clone()).unwrap();
            plain[a % n].orders = orders;
        }
        Change::Collateral(a, amount_nano) if n > 0 => {
            let asset = if amount_nano % 2 == 0 { "ETH" } else { "BTC" }.parse().unwrap();
            let held =
                vec![Holding { asset, amount_nano: amount_nano >> (amount_nano & 127), earmark: None }];
            book.set_collateral(a % n, held.clone()).unwrap();
            plain[a % n].collateral = held;
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_sequence_of_changes_leaves_what_a_plain_list_has(changes in vec(change(), 0..300)) {
        let (mut book, mut plain) = (Book::default(), Vec::new());
        for change in changes {
            apply(&mut book, &mut plain, change);
        }
        prop_assert_eq!(book.iter().collect::<Vec<_>>(), plain.clone());
        prop_assert_eq!(book.positions(), plain.iter().map(|p| p.positions.len()).sum::<usize>());
        for (index, portfolio) in plain.iter().enumerate() {
            prop_assert_eq!(book.find(&portfolio.account), Some(index));
            let fits = |p: &Position| i32::try_from(p.lots.0).is_ok() && i64::try_from(p.unrealised.0).is_ok();
            prop_assert_eq!(book.is_wide(index), !portfolio.positions.iter().all(fits));
            if let Some(narrow) = book.narrow(index) {
                let most = narrow.held.iter().map(|held| u64::from(held.lots.unsigned_abs())).max();
                prop_assert!(most.unwrap_or(0) < 1 << narrow.lots_bits);
                prop_assert!([0, narrow.held.len()].contains(&narrow.unrealised.len()));
            }
        }
        plain.sort_by(|a, b| a.account.cmp(&b.account));
        let packed = Book::pack(plain).unwrap();
        let again = Book::pack(packed.iter()).unwrap();
        prop_assert_eq!(packed, again);
    }
}

#[test]
fn an_account_that_grows_to_five_thousand_positions_leaves_the_others_alone() {
    let all: Vec<Portfolio> = (0..50).map(|i| portfolio(&format!("{i:03}"), &[1, 5, 9])).collect();
    let mut book = Book::pack(all.clone()).unwrap();
    for i in 0..5_000_u32 {
        book.set_position(7, position(i.wrapping_mul(2_654_435_761) % 4_999_999, 1, 0)).unwrap();
    }
    let held = book.narrow(7).unwrap().held;
    assert!(held.len() > 4_900 && held.is_sorted_by(|a, b| a.instrument < b.instrument));
    for (index, portfolio) in all.iter().enumerate().filter(|(index, _)| *index != 7) {
        assert_eq!(book.portfolio(index).as_ref(), Some(portfolio));
    }
    assert!(book.bytes() < 50 * 200 + 5_000 * 8 * 5, "{}", book.bytes());
}

/// A book as a venue has it: names of twelve letters, twelve positions with unrealised profit, a deposit, few orders.
fn venue_book(accounts: u32) -> Book {
    let mut book = Book::default();
    for a in 0..accounts {
        let account: AccountId = format!("acct-{a:07}").parse().unwrap();
        let positions: Vec<Position> =
            (0..12).map(|k| position(k * 331 + a % 331, 1 + i64::from(a % 100), i128::from(k))).collect();
        let collateral =
            Holding { asset: "USDC".parse().unwrap(), amount_nano: 50_000_000_000_000, earmark: None };
        book.push(account, &positions, vec![collateral], vec![]).unwrap();
    }
    book
}

#[test]
fn a_million_accounts_with_twelve_million_positions_take_at_most_300_megabytes() {
    let bytes = venue_book(20_000).bytes();
    assert!(bytes * 50 <= 300_000_000, "{bytes} bytes for 20,000 accounts");
}

#[test]
#[ignore = "takes 300 MB; the same as above at full size"]
fn a_million_accounts_take_at_most_300_megabytes_counted_in_full() {
    let book = venue_book(1_000_000);
    assert_eq!(book.positions(), 12_000_000);
    assert!(book.bytes() <= 300_000_000, "{} bytes", book.bytes());
}
