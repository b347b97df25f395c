//! What a backtest on recorded chains promises: nothing of the future, the same answer however it is run, books that are drawn
//! as is said, and losses that can be computed by hand. Chains here are made up; real ones are judged in the command's tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_engine::ParamSet;
use plimsoll_policy::Policy;
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::sobol::Rng64;
use plimsoll_sim::chain::{
    Books, ChainOutcome, ChainStudy, Held, ImpliedHistory, Moment, Style, in_order, lost, seen,
};
use plimsoll_sim::{History, PriceRow, clean};
use plimsoll_types::{
    Asset, IndexPrice, Instrument, OptionQuote, Snapshot, Timestamp, UnderlyingMarket, nearest_f64,
};
use std::collections::BTreeMap;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// 2026-01-28T04:00:00Z: a month ends within the chains.
const START: i64 = 1_769_572_800;
const EXPIRIES: [&str; 5] = ["30JAN26", "6FEB26", "13FEB26", "27FEB26", "27MAR26"];

fn btc() -> Asset {
    Asset::new("BTC").unwrap()
}

fn params() -> ParamSet {
    ParamSet::preset("plimsoll").unwrap()
}

/// A chain with a smile, at an index and a level of volatility.
fn snapshot(at: Timestamp, index: f64, vol: f64) -> Snapshot {
    let mut options = Vec::new();
    for expiry in EXPIRIES {
        for step in 0..17_i32 {
            let strike = 60_000 + 4_000 * step;
            for (kind, side) in [(OptionKind::Call, "C"), (OptionKind::Put, "P")] {
                let instrument: Instrument = format!("BTC-{expiry}-{strike}-{side}").parse().unwrap();
                let tau = at.years_until(instrument.expiry().unwrap());
                if tau <= 0.0 {
                    continue;
                }
                let strike = f64::from(strike);
                let k = plimsoll_quant::special::ln(strike / index);
                let vol = vol + 0.1 * k * k - 0.05 * k;
                let mark = black::price(kind, index, strike, vol, tau) / index;
                if mark < 1e-6 {
                    continue;
                }
                let tick = 0.0002;
                options.push(OptionQuote {
                    instrument,
                    bid: (mark > 2.0 * tick).then_some(mark - tick),
                    ask: Some(mark + tick),
                    mark: Some(mark),
                    mark_vol: Some(vol),
                    forward: Some(index),
                    open_interest: Some(f64::from(10 + (step * 7) % 23)),
                    time: at,
                });
            }
        }
    }
    let price = IndexPrice { price: index, confidence: None, source: "made up".to_owned(), time: at };
    let market = UnderlyingMarket { index: vec![price], options, ..UnderlyingMarket::default() };
    Snapshot { as_of: at, underlyings: BTreeMap::from([(btc(), market)]), assets: BTreeMap::new() }
}

/// Indices and levels of `count` chains six hours apart.
fn path(count: usize, seed: u64) -> Vec<(f64, f64)> {
    let mut rng = Rng64::new(seed);
    let (mut index, mut vol) = (90_000.0, 0.5);
    (0..count)
        .map(|_| {
            index *= 1.0 + 0.02 * (rng.uniform() - 0.5);
            vol *= 1.0 + 0.02 * (rng.uniform() - 0.5);
            (index, vol)
        })
        .collect()
}

fn moments(path: &[(f64, f64)]) -> Vec<Moment> {
    let params = params();
    let at = |i: i64| Timestamp::from_seconds(START + 6 * HOUR * i);
    let all = (0..).zip(path);
    all.map(|(i, (index, vol))| Moment::new(&snapshot(at(i), *index, *vol), &params)).collect()
}

/// Daily prices that end a year before the chains.
fn prices() -> Vec<History> {
    let mut rng = Rng64::new(9);
    let mut price = 50_000.0;
    let row = |day: i64| {
        price *= 1.0 + 0.06 * (rng.uniform() - 0.5);
        let time = Timestamp::from_seconds(START / DAY * DAY - (800 - day) * DAY);
        PriceRow { time, open: None, high: None, low: None, close: price }
    };
    vec![clean(btc(), (0..435).map(row).collect()).unwrap()]
}

fn study(moments: Vec<Moment>) -> ChainStudy {
    let rows = (0..435).map(|day| {
        let at = Timestamp::from_seconds(START / DAY * DAY - (800 - day) * DAY);
        (at, 0.6 + 0.02 * ((day * 13) % 7) as f64)
    });
    let implied = vec![ImpliedHistory { asset: btc(), rows: rows.collect() }];
    ChainStudy {
        policies: ["plimsoll", "static"].map(|name| Policy::shipped(name).unwrap()).to_vec(),
        moments,
        prices: prices(),
        implied,
        horizons: vec![DAY, 2 * DAY],
        from: None,
        to: None,
        books: 3,
        seed: 5,
        params: params(),
    }
}

fn run(study: &ChainStudy) -> ChainOutcome {
    study.run(&|| ()).unwrap()
}

#[test]
fn what_comes_later_changes_nothing_that_came_before() {
    let (count, cut) = (26, 15);
    let plain = path(count, 1);
    let mut shifted = plain.clone();
    for (index, vol) in shifted.iter_mut().skip(cut) {
        *index *= 0.7;
        *vol *= 1.8;
    }
    let (plain, shifted) = (run(&study(moments(&plain))), run(&study(moments(&shifted))));
    let (one, other) = (&plain.sampled[0], &shifted.sampled[0]);
    assert_eq!(one.held[..cut], other.held[..cut]);
    let mut later = 0;
    for (one, other) in one.margins.iter().zip(&other.margins) {
        assert_eq!(one[..cut], other[..cut]);
        later += usize::from(one[cut..] != other[cut..]);
    }
    assert_eq!(later, one.margins.len(), "every variant sees the shift");
    // Four chains a day: what is judged before the shift is the same, and the first loss that meets it is not.
    assert_eq!(one.lost[0][..cut - 4], other.lost[0][..cut - 4]);
    assert_ne!(one.lost[0][cut - 4], other.lost[0][cut - 4]);
}

#[test]
fn the_answer_is_the_same_on_one_thread_and_on_many_and_every_row_is_there() {
    let study = study(moments(&path(18, 2)));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&study))
    };
    let (one, four) = (on(1), on(4));
    assert_eq!(one.rows, four.rows);
    assert_eq!(one.rows.len(), Style::ALL.len() * 2 * 2);
    for row in &one.rows {
        let figures = &row.pooled;
        assert_eq!(figures.observations, row.instants * 3, "{row:?}");
        assert!(figures.mean_margin.unwrap() > 0.0 && figures.mean_margin.unwrap() < 1.0, "{row:?}");
        let known = [row.added[0].is_some(), row.added[1].is_some(), row.added[2].is_some()];
        assert_eq!(known, [row.policy == "plimsoll"; 3]);
        assert!(row.capital_against_fixed.unwrap() < 1.0);
    }
    // 18 chains make 4.25 days: those of the last day, or the last two, have no chain to be judged at.
    assert_eq!((one.rows[0].instants, one.rows[0].unjudged), (14, 4));
}

#[test]
fn books_are_of_their_style_and_stay_until_a_leg_ends_or_a_month_does() {
    let all = moments(&path(26, 3));
    let units = params().units;
    let mut books = Books::new(&btc(), 20, 7);
    let held: Vec<Vec<Held>> =
        all.iter().map(|moment| books.advance(&moment.listings[&btc()], moment.at, &units)).collect();
    let quotes = |i: usize| &all[i].listings[&btc()].quotes;
    let names = |i: usize, book: usize| -> Vec<String> {
        held[i][book].options.iter().map(|(at, _)| quotes(i)[*at as usize].instrument.to_string()).collect()
    };
    for (style, first) in Style::ALL.into_iter().zip((0..).step_by(20)) {
        for of in &held[0][first..first + 20] {
            let sum: i64 = of.options.iter().map(|(_, lots)| lots).sum();
            let delta: f64 =
                of.options.iter().map(|(at, lots)| *lots as f64 * quotes(0)[*at as usize].delta).sum();
            match style {
                Style::PutSeller | Style::CoveredCall => {
                    assert!(of.options.iter().all(|(_, lots)| *lots < 0));
                    assert_eq!(of.spot, if style == Style::CoveredCall { -sum } else { 0 });
                    assert_eq!(of.perpetual, 0);
                }
                Style::Calendar => assert_eq!((sum, of.perpetual, of.spot), (0, 0, 0)),
                _ => {
                    assert!((delta + of.perpetual as f64).abs() <= 0.5, "{style:?}: {delta} {}", of.perpetual)
                }
            }
            // Lots of a thousandth of a coin.
            let gross: i64 = of.options.iter().map(|(_, lots)| lots.abs()).sum();
            assert!(of.gross >= gross as f64 / 1000.0 * 90_000.0 * 0.9, "{of:?}");
        }
    }
    // The first expiry is at 2026-01-30T08:00Z: chain 9 is the first after it. The month ends after chain 15.
    let mut changed = 0;
    for i in 1..26 {
        for book in 0..120 {
            let before: Vec<String> = names(i - 1, book);
            let gone = before.iter().any(|name| {
                let instrument: Instrument = name.parse().unwrap();
                all[i].listings[&btc()].find(&instrument).is_none()
            });
            let month = all[i].at.date().1 != all[i - 1].at.date().1;
            if !gone && !month {
                assert_eq!(before, names(i, book), "chain {i}, book {book}");
            }
            changed += usize::from(gone || month);
        }
    }
    assert!(changed >= 120, "{changed}");
    let mut again = Books::new(&btc(), 20, 7);
    assert_eq!(held[0], again.advance(&all[0].listings[&btc()], all[0].at, &units));
    let mut other = Books::new(&btc(), 20, 8);
    assert_ne!(held[0], other.advance(&all[0].listings[&btc()], all[0].at, &units));
}

#[test]
fn options_are_drawn_in_proportion_to_open_interest() {
    let moment = &moments(&path(1, 4))[0];
    let listing = &moment.listings[&btc()];
    let mut rng = Rng64::new(11);
    let mut counts: BTreeMap<Instrument, f64> = BTreeMap::new();
    let draws = 20_000;
    for _ in 0..draws {
        let legs = Style::MarketMaker.draw(listing, moment.at, &mut rng).unwrap();
        *counts.entry(legs[0].instrument.clone()).or_default() += 1.0;
    }
    let total: f64 = listing.quotes.iter().map(|quote| quote.open_interest).sum();
    let mut squares = 0.0;
    for quote in &listing.quotes {
        let expected = f64::from(draws) * quote.open_interest / total;
        let found = counts.get(&quote.instrument).copied().unwrap_or(0.0);
        squares += (found - expected) * (found - expected) / expected;
    }
    let degrees = (listing.quotes.len() - 1) as f64;
    // Chi-square: four deviations either way.
    assert!((squares - degrees).abs() < 4.0 * (2.0 * degrees).sqrt(), "{squares} of {degrees}");
}

#[test]
fn a_loss_is_that_of_marks_and_what_expired_is_settled() {
    let path = [(90_000.0, 0.5); 10].to_vec();
    let mut crash = path.clone();
    for (index, vol) in crash.iter_mut().skip(4) {
        (*index, *vol) = (75_000.0, 0.9);
    }
    let all = moments(&crash);
    let units = params().units;
    let listing = &all[5].listings[&btc()];
    let place = |name: &str| all[5].listings[&btc()].find(&name.parse().unwrap()).unwrap() as u32;
    // From chain 5 (29 January 10:00) a day on: the options of the 30th have expired at 8:00, the others are marked.
    let option = place("BTC-30JAN26-80000-P");
    let kept = place("BTC-27FEB26-80000-P");
    let held = |options: Vec<(u32, i64)>, spot, perpetual| Held { options, spot, perpetual, gross: 1.0 };
    let mut both = vec![(option, -1000), (kept, 2000)];
    both.sort_unstable();
    let books = [held(both, 0, 0), held(vec![], 1000, -3000)];
    let found = lost(&all, (&btc(), 5), &books, DAY, &units).unwrap();
    let mark = |at: usize, name: &str| {
        let listing = &all[at].listings[&btc()];
        listing.quotes[listing.find(&name.parse().unwrap()).unwrap()].mark
    };
    let expected = -(-(5_000.0 - mark(5, "BTC-30JAN26-80000-P"))
        + 2.0 * (mark(9, "BTC-27FEB26-80000-P") - mark(5, "BTC-27FEB26-80000-P")));
    assert!((found.losses[0] - expected).abs() < 1e-9, "{} {expected}", found.losses[0]);
    assert_eq!((found.counted[0].settled, found.counted[0].marked, found.counted[0].unmarked), (1, 1, 0));
    assert_eq!(found.losses[1], 0.0, "the index of chains 5 and 9 is the same");
    let before = lost(&all, (&btc(), 2), &[held(vec![], 1000, -3000)], DAY, &units).unwrap();
    assert!(
        (before.losses[0] - (-2.0) * 15_000.0).abs() < 1e-9 && (before.ratio - 75.0 / 90.0).abs() < 1e-12
    );
    // An option that is quoted no longer is valued on the surface of then.
    let mut thinned = all.clone();
    let quotes = &mut thinned[9].listings.get_mut(&btc()).unwrap().quotes;
    quotes.retain(|quote| quote.instrument != listing.quotes[kept as usize].instrument);
    let valued = lost(&thinned, (&btc(), 5), &books[..1], DAY, &units).unwrap();
    assert_eq!(valued.counted[0].unmarked, 1);
    // One that the surface does not value is still marked.
    thinned[9].listings.get_mut(&btc()).unwrap().unvalued =
        vec![(listing.quotes[kept as usize].instrument.clone(), mark(9, "BTC-27FEB26-80000-P"))];
    assert_eq!(
        lost(&thinned, (&btc(), 5), &books[..1], DAY, &units).unwrap(),
        lost(&all, (&btc(), 5), &books[..1], DAY, &units).unwrap()
    );
    // Made-up marks are of the surface to the tick of the fit.
    assert!((valued.losses[0] - found.losses[0]).abs() < 60.0, "{} {}", valued.losses[0], found.losses[0]);
    assert!(lost(&all, (&btc(), 8), &books, DAY, &units).is_none(), "no chain comes in time");
    assert_eq!(nearest_f64(units.lot(&Instrument::spot(btc()))), 0.001);
}

#[test]
fn a_warm_up_that_ends_long_before_is_scaled_to_the_first_chain() {
    let all = moments(&path(3, 6));
    let of = study(all.clone());
    let signals = seen(&of.moments, &of.prices, &of.implied);
    let rows = of.prices[0].rows.len();
    assert_eq!(signals.len(), rows + 3);
    let (last, first) = (&signals[rows - 1].underlyings["BTC"], &signals[rows].underlyings["BTC"]);
    let close = last.bar.unwrap().close;
    assert!((close / first.bar.unwrap().close - 1.0).abs() < 1e-12, "what nobody saw is no move");
    assert!((last.implied.unwrap().atm / first.implied.unwrap().atm - 1.0).abs() < 1e-12);
    assert!(last.implied.unwrap().risk_reversal.is_nan() && first.implied.unwrap().risk_reversal.is_finite());
    let ratio = |i: usize| {
        let at = |i: usize| signals[i].underlyings["BTC"].bar.unwrap().close;
        at(i) / at(i - 1)
    };
    let raw = of.prices[0].rows[100].1.close / of.prices[0].rows[99].1.close;
    assert!((ratio(100) / raw - 1.0).abs() < 1e-12, "returns are as they were");
    // Within a month nothing is scaled.
    let mut near = of.prices[0].clone();
    let shift = all[0].at.seconds() - near.rows[rows - 1].0.seconds() - 2 * DAY;
    for row in &mut near.rows {
        row.0 = row.0.plus_seconds(shift);
    }
    let last_close = near.rows[rows - 1].1.close;
    let signals = seen(&of.moments, &[near], &[]);
    assert_eq!(signals[rows - 1].underlyings["BTC"].bar.unwrap().close, last_close);
}

#[test]
fn chains_come_in_order_and_once() {
    let mut all = moments(&path(4, 8));
    all.reverse();
    all.push(all[1].clone());
    let (ordered, again) = in_order(all).unwrap();
    assert_eq!((ordered.len(), again), (4, 1));
    assert!(ordered.windows(2).all(|pair| pair[0].at < pair[1].at));
}

/// Files of two underlyings at one instant are one moment; two of one underlying say the same, or are refused by name.
#[test]
fn chains_of_one_instant_are_put_together_and_may_not_contradict_each_other() {
    let one = moments(&path(1, 8)).remove(0);
    let eth = Asset::new("ETH").unwrap();
    let mut other = one.clone();
    let listing = other.listings.remove(&btc()).unwrap();
    other.listings.insert(eth.clone(), listing);
    let (joined, again) = in_order(vec![one.clone(), other.clone()]).unwrap();
    assert_eq!((joined.len(), again), (1, 0));
    assert_eq!(joined[0].listings.keys().collect::<Vec<_>>(), [&btc(), &eth]);
    other = one.clone();
    other.listings.get_mut(&btc()).unwrap().quotes[3].mark *= 1.001;
    let refused = in_order(vec![one.clone(), other.clone()]).unwrap_err();
    assert_eq!((&refused.asset, refused.at), (&btc(), one.at));
    assert!(refused.to_string().contains("BTC-"), "{refused}");
    other.listings.get_mut(&btc()).unwrap().index += 1.0;
    assert!(in_order(vec![one, other]).unwrap_err().to_string().contains("an index of "));
}

/// The moment of a chain with one mark changed, of an option near the money and of one far in it.
fn marked(change: impl Fn(&mut OptionQuote)) -> Moment {
    let mut of = snapshot(Timestamp::from_seconds(START), 90_000.0, 0.5);
    let market = of.underlyings.get_mut(&btc()).unwrap();
    for name in ["BTC-27FEB26-88000-C", "BTC-27MAR26-96000-P"] {
        let instrument: Instrument = name.parse().unwrap();
        let found = market.options.iter_mut().find(|option| option.instrument == instrument).unwrap();
        (found.bid, found.ask) = (None, None);
        change(found);
    }
    Moment::new(&of, &params())
}

#[test]
fn a_mark_in_another_unit_or_beyond_arbitrage_is_named_and_left_out() {
    let names = |moment: &Moment| {
        let listing = &moment.listings[&btc()];
        listing.misplaced.iter().map(|bad| bad.instrument.to_string()).collect::<Vec<_>>()
    };
    let sound = marked(|_| ());
    assert!(names(&sound).is_empty());
    let both = ["BTC-27FEB26-88000-C", "BTC-27MAR26-96000-P"];
    let times = |by: f64| marked(move |option| option.mark = option.mark.map(|mark| mark * by));
    for by in [10.0, 0.1, 1e4, 1e-4] {
        let moment = times(by);
        assert_eq!(names(&moment), both, "times {by}");
        let listing = &moment.listings[&btc()];
        for name in both {
            let instrument: Instrument = name.parse().unwrap();
            assert!(listing.find(&instrument).is_none() && listing.mark(&instrument).is_none());
        }
        let bad = &listing.misplaced[0];
        assert!(!(bad.least..=bad.most).contains(&bad.mark), "{bad:?}");
        assert_eq!(listing.quotes.len() + 2, sound.listings[&btc()].quotes.len());
        assert_eq!(listing.unmarked, sound.listings[&btc()].unmarked);
    }
    // Without a volatility of the venue, no arbitrage alone: a call above a coin, an option beneath what it pays.
    let alone = |mark: f64| marked(move |option| (option.mark_vol, option.mark) = (None, Some(mark)));
    assert_eq!(names(&alone(1.2)), both);
    assert_eq!(names(&alone(1e-6)), both);
    assert!(names(&alone(0.08)).is_empty());
}
