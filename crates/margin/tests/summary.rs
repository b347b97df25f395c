//! The totals of the lanes against the reports of the reference, and a check before a trade against what-if.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{arrays_of, plimsoll, portfolio_of};
use plimsoll_lanes::Path;
use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

/// A market of hand-made arrays without statistics, with collateral that is an underlying and a coin beneath its peg.
fn market(underlyings: usize, grid: usize, entries: &[i64]) -> RiskArrays {
    let mut arrays = arrays_of(underlyings, grid, 0, entries);
    // Marks that are worth something, expiries inside the window of the last day, and expiries in different tenors.
    let seconds = [Some(7_344_000), None, Some(40_000), Some(4_924_800), None];
    for (i, row) in arrays.instruments.iter_mut().enumerate() {
        if row.seconds_to_expiry.is_some() {
            row.seconds_to_expiry = seconds[(i + entries.len()) % 4].or(row.seconds_to_expiry);
        }
    }
    for row in &mut arrays.underlyings {
        row.confidence = Ppb(entries[0].abs() * 300);
    }
    arrays
}

prop_compose! {
    fn markets()(underlyings in 1_usize..4, grid in 1_usize..12,
        entries in prop::collection::vec(-20_000_i64..20_000, 50..400)) -> RiskArrays {
        market(underlyings, grid, &entries)
    }
}

/// Few or many positions, of the sizes of traders, of whales about the bound of the lanes, and of none.
fn lots() -> impl Strategy<Value = Vec<i64>> {
    let of = prop_oneof![
        4 => Just(0_i64),
        6 => -2_000_i64..2_000,
        1 => 0_i64..50,
        1 => Just(1 << 38),
        1 => (1_i64 << 34)..(1_i64 << 41),
    ];
    prop_oneof![
        8 => prop::collection::vec(of, 15),
        4 => prop::collection::vec(prop_oneof![2 => Just(0_i64), 3 => -2_000_i64..2_000], 15),
        1 => (0_usize..15, 1_i64..100_000).prop_map(|(at, lots)| {
            let mut all = vec![0; 15];
            all[at] = lots;
            all
        }),
    ]
}

fn holdings() -> impl Strategy<Value = Vec<(&'static str, i128)>> {
    let amount = prop_oneof![
        4 => -1_000_000_000_i128..100_000_000_000_i128,
        1 => Just(0_i128),
        1 => -(1_i128 << 62)..(1_i128 << 62),
    ];
    prop::collection::vec((prop::sample::select(vec!["USD", "USDC", "BTC"]), amount), 0..4)
}

fn params() -> impl Strategy<Value = Params> {
    let count = prop::sample::select(vec![ShortCount::Sum, ShortCount::Larger, ShortCount::Naked]);
    let style = prop::sample::select(vec![ShortOptionStyle::Floor, ShortOptionStyle::Add]);
    let share = 0_i64..=1_000_000_000;
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), count, style, share, 1_i64..2_000_000_000)
        .prop_map(|(sum, guard, bare, rough, count, style, share, scale)| {
            let mut params = plimsoll();
            if sum {
                params.aggregation = Aggregation::Sum;
            } else if rough {
                params.aggregation = Aggregation::Factor { floor_share: Ppb(share) };
            }
            params.rounding_guard = guard;
            if bare {
                params.addons = Addons::default();
                params.collateral.values_mut().for_each(|terms| terms.wrong_way = Ppb(0));
            }
            if rough {
                params.im_scale = Ppb(scale);
                params.mm_scale = Ppb(scale.min(700_000_000));
                for terms in params.addons.short_option.0.values_mut() {
                    *terms = ShortOptionTerms { rate: Ppb(share), count, style, mm_share: Ppb(share) };
                }
                for terms in params.addons.liquidity.0.values_mut() {
                    (terms.depth, terms.daily_volume, terms.daily_vega) = (1, 2_000, 3);
                }
                for terms in params.collateral.values_mut() {
                    terms.mm_share = Ppb(share);
                    terms.tiers = vec![HaircutTier { above: 3, haircut: Ppb(terms.haircut.0.max(share)) }];
                }
            }
            params
        })
}

fn portfolio(account: usize, lots: &[i64], held: &[(&str, i128)], arrays: &RiskArrays) -> Portfolio {
    let mut portfolio = portfolio_of(&lots[..arrays.instruments.len()], held, &[]);
    portfolio.account = format!("account-{account:06}").parse().unwrap();
    for (i, position) in portfolio.positions.iter_mut().enumerate() {
        let drawn = (account * 7_919 + i * 104_729) % 20_001;
        position.unrealised =
            Ticks(if account.is_multiple_of(3) { 0 } else { drawn as i128 * 1_000 - 10_000_000 });
    }
    portfolio
}

/// Lots by instrument, and collateral by asset in billionths.
type Drawn = (Vec<i64>, Vec<(&'static str, i128)>);

fn book_of(accounts: &[Drawn], arrays: &RiskArrays) -> Book {
    Book::pack(accounts.iter().enumerate().map(|(i, (lots, held))| portfolio(i, lots, held, arrays))).unwrap()
}

/// The reference: reports, reduced to their totals.
fn reported(book: &Book, arrays: &RiskArrays, params: &Params) -> Vec<Result<Totals, MarginError>> {
    reports(book, arrays, params).map(|report| report.and_then(|report| report.totals())).collect()
}

fn agree(book: &Book, arrays: &RiskArrays, params: &Params) {
    let expected = reported(book, arrays, params);
    let terms = BookTerms::new(arrays, params);
    for path in Path::available() {
        let mut found = vec![Ok(Totals::default())];
        summaries(path, book, &terms, &mut found);
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{} of {:?}", path.name(), book.portfolio(i));
        }
    }
}

/// A live book against the reports.
fn same(live: &LiveBook, book: &Book, arrays: &RiskArrays, params: &Params) {
    let expected = reported(book, arrays, params);
    assert_eq!(live.iter().map(Option::unwrap).collect::<Vec<_>>(), expected);
    for (place, totals) in expected.iter().enumerate() {
        let small = |amount: Ticks| i64::try_from(amount.0).ok();
        let levels = totals
            .as_ref()
            .ok()
            .and_then(|t| Some(Levels { equity: small(t.equity)?, im: small(t.im)?, mm: small(t.mm)? }));
        assert_eq!(live.levels(place), levels);
        assert!(levels.is_none() || levels.map(|l| l.state()) == totals.as_ref().ok().map(|t| t.state));
    }
}

/// Moves everything that arrays say of an underlying; now and then an entry out of 32 bits.
fn shift(arrays: &mut RiskArrays, only: UnderlyingIx, by: i64) {
    let width = arrays.scenarios.len();
    for (i, row) in arrays.instruments.iter_mut().enumerate().filter(|(_, row)| row.underlying == only) {
        for (entry, times) in arrays.pnl[i * width..(i + 1) * width].iter_mut().zip((-2..3).cycle()) {
            *entry += by * times + if by == 899 { 1 << 33 } else { 0 };
        }
        (row.greeks.delta, row.greeks.vega) = (row.greeks.delta + by, row.greeks.vega - by);
        (row.mark, row.notional) = (row.mark + by, row.notional + by.abs());
        row.seconds_to_expiry = row.seconds_to_expiry.map(|seconds| (seconds - by.abs()).max(1));
    }
    let row = &mut arrays.underlyings[only.index()];
    (row.index, row.confidence) = (row.index + by.abs(), Ppb(by.abs() * 5_000));
    let coin = row.asset.clone();
    for asset in arrays.assets.iter_mut().filter(|asset| asset.asset == coin) {
        (asset.price, asset.confidence) = (asset.price + by.abs(), Ppb(by.abs() * 5_000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn totals_of_the_lanes_are_those_of_the_reports(
        arrays in markets(),
        params in params(),
        accounts in prop::collection::vec((lots(), holdings()), 1..12),
    ) {
        let book = book_of(&accounts, &arrays);
        prop_assert!(BookTerms::new(&arrays, &params).is_native());
        agree(&book, &arrays, &params);
    }

    #[test]
    fn a_live_book_is_the_book_made_anew_after_every_move_and_change(
        arrays in markets(),
        params in params(),
        accounts in prop::collection::vec((lots(), holdings()), 1..12),
        moves in prop::collection::vec((0_usize..4, -900_i64..900, (0_usize..12, lots())), 1..6),
    ) {
        let (mut book, mut arrays) = (book_of(&accounts, &arrays), arrays);
        let mut live = LiveBook::new(Path::best(), &book, &arrays, &params);
        for (underlying, by, (account, lots)) in moves {
            let only = UnderlyingIx((underlying % arrays.underlyings.len()) as u32);
            let before = arrays.clone();
            shift(&mut arrays, only, by);
            let coin = arrays.underlyings[only.index()].asset.clone();
            let touched = |portfolio: &Portfolio| {
                let of = |ix: InstrumentIx| before.instruments[ix.index()].underlying;
                portfolio.positions.iter().any(|held| of(held.instrument) == only)
                    || portfolio.collateral.iter().any(|held| held.asset == coin)
            };
            let holders: Vec<u32> =
                (0..).zip(book.iter()).filter(|(_, portfolio)| touched(portfolio)).map(|(i, _)| i).collect();
            live.refresh(Path::best(), &book, (&arrays, &params), only);
            same(&live, &book, &arrays, &params);
            let found = live.touched(|_, _| true).1;
            prop_assert!(holders.iter().all(|place| found.contains(place)));

            let account = account % book.len();
            book.close(account).unwrap();
            for position in portfolio(account, &lots, &[], &arrays).positions {
                book.set_position(account, position).unwrap();
            }
            live.change(Path::best(), &book, (&arrays, &params), &[account as u32]);
            same(&live, &book, &arrays, &params);
        }
    }

    #[test]
    fn a_check_is_the_report_after_the_trade_and_changes_nothing(
        arrays in markets(),
        params in params(),
        (lots, held) in (lots(), holdings()),
        trades in prop::collection::vec((0_usize..15, -3_000_i64..3_000, any::<bool>()), 1..12),
    ) {
        let terms = BookTerms::new(&arrays, &params);
        let mut portfolio = portfolio(1, &lots, &held, &arrays);
        let mut live = LiveAccount::new(portfolio.clone(), &terms, Path::best()).unwrap();
        for (at, lots, kept) in trades {
            let instrument = InstrumentIx((at % arrays.instruments.len()) as u32);
            let trade = Trade { instrument, lots: Lots(lots) };
            let expected = what_if(&portfolio, &[trade], &arrays, &params);
            let after = expected.clone().and_then(|w| w.after.totals());
            prop_assert_eq!(live.check(&trade), after);
            prop_assert_eq!(live.totals(), expected.and_then(|w| w.before.totals()));
            if kept {
                live.apply(&trade).unwrap();
                let mut state = AccountState::new(portfolio, &arrays).unwrap();
                state.trade(&trade).unwrap();
                portfolio = state.portfolio().clone();
            }
            prop_assert_eq!(live.portfolio(), &portfolio);
        }
    }
}

fn seeded(accounts: usize, arrays: &RiskArrays) -> Book {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut all = Vec::new();
    for _ in 0..accounts {
        let lots: Vec<i64> = (0..15)
            .map(|_| if draw(3) == 0 { 0 } else { i64::try_from(draw(4_001)).unwrap() - 2_000 })
            .collect();
        let held = match draw(4) {
            0 => vec![("USD", i128::from(draw(1 << 40)))],
            1 => vec![("BTC", i128::from(draw(1 << 34))), ("USDC", i128::from(draw(1 << 40)))],
            2 => vec![("USDC", -i128::from(draw(1 << 36))), ("BTC", i128::from(draw(1 << 36)))],
            _ => vec![],
        };
        all.push((lots, held));
    }
    book_of(&all, arrays)
}

fn entries() -> Vec<i64> {
    (0..997_i64).map(|i| (i * 7_919) % 20_001 - 10_000).collect()
}

#[test]
fn a_book_gives_the_same_totals_on_one_thread_and_on_two() {
    let (arrays, params) = (market(3, 9, &entries()), plimsoll());
    let book = seeded(5_000, &arrays);
    let terms = BookTerms::new(&arrays, &params);
    let on = |threads| {
        let mut out = Vec::new();
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| summaries(Path::best(), &book, &terms, &mut out));
        out
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, reported(&book, &arrays, &params));
}

#[test]
fn entries_beyond_32_bits_and_columns_of_one_purpose_agree_too() {
    let mut arrays = market(3, 7, &entries());
    for entry in arrays.pnl.iter_mut().step_by(17) {
        *entry *= 1 << 22;
    }
    agree(&seeded(300, &arrays), &arrays, &plimsoll());
    let mut arrays = market(3, 8, &entries());
    for (i, block) in arrays.blocks.iter_mut().enumerate() {
        block.purpose = if i % 2 == 0 { Purpose::Both } else { Purpose::Im };
    }
    let more = [(BlockKind::Grid, Purpose::Mm, 3..9), (BlockKind::Grid, Purpose::Im, 0..2)];
    arrays.blocks.extend(more.map(|(kind, purpose, columns)| Block { kind, purpose, columns }));
    agree(&seeded(300, &arrays), &arrays, &plimsoll());
}

#[test]
fn instruments_in_any_order_agree() {
    let mut arrays = market(3, 9, &entries());
    let width = arrays.scenarios.len();
    let order: Vec<usize> = (0..15).map(|i| i * 7 % 15).collect();
    let pnl = order.iter().flat_map(|i| arrays.pnl[i * width..(i + 1) * width].to_vec()).collect();
    let instruments = order.iter().map(|i| arrays.instruments[*i].clone()).collect();
    (arrays.pnl, arrays.instruments) = (pnl, instruments);
    agree(&seeded(400, &arrays), &arrays, &plimsoll());
}

#[test]
fn what_the_lanes_do_not_cover_is_answered_by_the_reference_errors_and_all() {
    let entries = entries();
    let joint = JointTerms {
        statistic: Statistic::ExpectedShortfall,
        level: Ppb(750_000_000),
        stress_weight: Ppb(250_000_000),
    };
    let arrays = arrays_of(3, 4, 6, &entries);
    let book = seeded(40, &arrays);
    for mode in [Mode::Portfolio, Mode::Isolated, Mode::Cross] {
        let params = Params { mode, joint: Some(joint), ..plimsoll() };
        assert!(!BookTerms::new(&arrays, &params).is_native());
        agree(&book, &arrays, &params);
    }
    // Without terms for the joint columns every account is refused, by its own name.
    agree(&book, &arrays, &plimsoll());
    let arrays = market(3, 4, &entries);
    let mut params = plimsoll();
    params.addons.funding.0.values_mut().for_each(|terms| terms.mm_share = Ppb(-1));
    assert!(!BookTerms::new(&arrays, &params).is_native());
    agree(&book, &arrays, &params);
}

#[test]
fn accounts_that_are_refused_are_refused_alone_and_as_by_the_reference() {
    let arrays = market(2, 4, &entries());
    let mut book = Book::default();
    let position =
        |ix, lots| Position { instrument: InstrumentIx(ix), lots: Lots(lots), unrealised: Ticks(0) };
    let holding =
        |asset: &str, amount_nano| Holding { asset: asset.parse().unwrap(), amount_nano, earmark: None };
    let earmarked = |ix| Holding { earmark: Some(InstrumentIx(ix)), ..holding("USD", 5) };
    let order = Order { instrument: InstrumentIx(1), lots: Lots(3), edge: Ticks(-5) };
    let mut push = |name: &str, positions: &[Position], held: Vec<Holding>, orders: Vec<Order>| {
        book.push(name.parse().unwrap(), positions, held, orders).unwrap();
    };
    push("a", &[], vec![], vec![]);
    push("b", &[position(3, 0)], vec![], vec![]);
    push("c", &[position(99, 1)], vec![], vec![]);
    push("d", &[position(2, 100)], vec![holding("ETH", 1_000)], vec![]);
    push("e", &[position(2, 100)], vec![holding("DOGE", 1_000)], vec![]);
    push("f", &[position(2, 5)], vec![earmarked(99)], vec![]);
    push("g", &[position(2, 5), position(3, -5)], vec![earmarked(2)], vec![order]);
    push("h", &[position(0, i64::MAX), position(1, i64::MIN)], vec![], vec![]);
    push("i", &[position(2, 7)], vec![holding("USD", i128::MAX), holding("USD", 1)], vec![]);
    let expected = reported(&book, &arrays, &plimsoll());
    assert_eq!(expected.iter().filter(|totals| totals.is_err()).count(), 6);
    agree(&book, &arrays, &plimsoll());
}
