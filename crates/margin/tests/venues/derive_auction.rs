//! Derive's auction: prices and shares by hand, and the ways in which one begins, ends and changes.

use plimsoll_margin::venue::derive_auction::*;
use plimsoll_types::Fixed;
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

/// The venue's defaults.
fn terms() -> AuctionTerms {
    AuctionTerms {
        start_share: of("0.95"),
        fast_share: of("0.7"),
        fast_seconds: 900,
        slow_seconds: 43_200,
        insolvent_seconds: 3600,
        fee_rate: of("0.1"),
        buffer: of("0.15"),
        mtm_cutoff: Fixed::ZERO,
    }
}

fn mark(mtm: i64, mm: i64) -> Mark {
    Mark { mtm: Fixed::from(mtm), mm: Fixed::from(mm) }
}

#[test]
fn the_share_asked_falls_straight_in_two_parts_and_then_is_nothing() {
    let found = [-5, 0, 450, 900, 22_500, 44_099, 44_100, 1_000_000].map(|t| terms().discount(t).to_string());
    assert_eq!(found[..5], ["0.95", "0.95", "0.825", "0.7", "0.35"]);
    assert!(terms().discount(44_099) > Fixed::ZERO);
    assert_eq!(found[6..], ["0", "0"]);
}

#[test]
fn the_share_sold_restores_the_buffered_margin() {
    // BM = -100 + (-100 - 200) 0.15 = -145; 145/(145 + 200) at the start, -145/(-145 - 200 x 0.5 - 60 x 0.5) later.
    assert_eq!(terms().buffered(mark(200, -100)), Fixed::from(-145));
    let most = |d: &str, reserved: i64| terms().most(mark(200, -100), of(d), Fixed::from(reserved)).unwrap();
    assert_eq!(most("1", 0), Fixed::ratio(145, 345));
    assert_eq!(most("0.5", 60), Fixed::ratio(145, 275));
    assert_eq!(most("0", 0), Fixed::ONE, "given away, all of it must go");
    assert_eq!(terms().most(mark(-1, -100), of("0.5"), Fixed::ZERO).unwrap(), Fixed::ONE);
    assert_eq!(terms().most(mark(200, 100), of("0.5"), Fixed::ZERO).unwrap(), Fixed::ZERO);
    let cut = AuctionTerms { mtm_cutoff: Fixed::from(500), ..terms() };
    assert_eq!(cut.most(mark(200, -100), of("0.5"), Fixed::ZERO).unwrap(), Fixed::ONE);
    assert_eq!(terms().fee(mark(200, -100)).unwrap(), Fixed::ratio(145, 345) * Fixed::from(20));
    assert_eq!(terms().fee(mark(-200, -300)).unwrap(), Fixed::ZERO);
}

#[test]
fn a_solvent_bid_pays_a_share_of_what_is_not_reserved() {
    let (auction, _) = terms().begin(mark(200, -100), 1000).unwrap();
    assert_eq!(auction.phase, Phase::Solvent);
    let first = auction.bid(&terms(), mark(200, -100), 1450, of("0.1")).unwrap();
    // 200 x 0.825 x 0.1; the buyer also margins 145 x 0.1.
    assert_eq!((first.price, first.required), (of("16.5"), of("31")));
    assert_eq!(first.auction.reserved, of("16.5"));
    assert_eq!(first.cash_after(&auction, Fixed::from(300)), of("286.5"));
    let second = first.auction.bid(&terms(), mark(200, -100), 1450, Fixed::ONE).unwrap();
    assert_eq!(second.share, first.auction.most(&terms(), mark(200, -100), 1450).unwrap());
    assert_eq!(second.price, (of("183.5") * of("0.825")) * second.share);
    assert_eq!(
        second.cash_after(&first.auction, of("286.5")),
        of("286.5") - Fixed::from(270) * second.share + second.price
    );
}

#[test]
fn an_insolvent_auction_pays_the_bidder_more_and_more_up_to_the_margin() {
    let bad = mark(-50, -200);
    let (auction, fee) = terms().begin(bad, 0).unwrap();
    assert_eq!((auction.phase, fee), (Phase::Insolvent, Fixed::ZERO));
    let price = |t| terms().insolvent_price(bad, t);
    assert_eq!([0, 1800, 3600, 9999].map(price), [-50, -125, -200, -200].map(Fixed::from));
    let bid = auction.bid(&terms(), bad, 1800, of("0.4")).unwrap();
    assert_eq!((bid.price, bid.required), (Fixed::from(-50), Fixed::from(30)));
    assert_eq!(bid.cash_after(&auction, Fixed::from(10)), Fixed::from(6));
    assert_eq!(bid.payout(Fixed::from(80)), Payout { module: Fixed::from(50), socialised: Fixed::ZERO });
    assert_eq!(bid.payout(Fixed::from(20)), Payout { module: Fixed::from(20), socialised: Fixed::from(30) });
    // A mark value that recovered does not make the payout begin above nothing.
    assert_eq!(terms().insolvent_price(mark(70, -200), 0), Fixed::ZERO);
}

#[test]
fn an_auction_ends_restarts_or_may_be_converted() {
    let (auction, _) = terms().begin(mark(200, -100), 0).unwrap();
    let standing = |mark, now| auction.standing(&terms(), mark, now);
    assert_eq!(standing(mark(200, -100), 10), Standing::Runs);
    assert_eq!(standing(mark(200, 27), 10), Standing::Ends);
    assert_eq!(standing(mark(200, 26), 10), Standing::Runs, "26 + (26 - 200) 0.15 = -0.1");
    assert_eq!(standing(mark(-1, -100), 10), Standing::Restarts);
    let paid = Auction { reserved: Fixed::from(200), ..auction };
    assert_eq!(paid.standing(&terms(), mark(200, -100), 10), Standing::Restarts);
    assert_eq!(standing(mark(200, -100), 44_100), Standing::MayConvert);
    let converted = auction.convert(&terms(), mark(200, -100), 44_100).unwrap();
    assert_eq!(converted, Auction { phase: Phase::Insolvent, start: 44_100, reserved: Fixed::ZERO });
    assert_eq!(converted.standing(&terms(), mark(200, 0), 44_200), Standing::Ends);
    assert_eq!(converted.standing(&terms(), mark(200, -1), 44_200), Standing::Runs);
    assert!(auction.convert(&terms(), mark(200, -100), 44_099).is_err());
    assert!(converted.convert(&terms(), mark(200, -100), 99_999).is_err());
}

#[test]
fn what_makes_no_auction_is_refused_with_its_number() {
    let text = |e: plimsoll_margin::venue::VenueError| e.to_string();
    assert!(text(terms().begin(mark(200, 0), 0).unwrap_err()).contains("is 0: expected below 0"));
    let still = AuctionTerms { fast_seconds: 0, ..terms() };
    assert!(text(still.begin(mark(200, -1), 0).unwrap_err()).contains("fast_seconds is 0"));
    let rising = AuctionTerms { fast_share: Fixed::ONE, ..terms() };
    assert!(rising.check().is_err());
    assert!(AuctionTerms { buffer: of("-0.1"), ..terms() }.check().is_err());
    let (auction, _) = terms().begin(mark(200, -100), 100).unwrap();
    let bid = |mark, now, share: &str| auction.bid(&terms(), mark, now, of(share));
    assert!(text(bid(mark(200, -100), 120, "0").unwrap_err()).contains("a wanted share is 0"));
    assert!(bid(mark(200, -100), 120, "1.1").is_err());
    assert!(text(bid(mark(200, -100), 99, "0.1").unwrap_err()).contains("not before the start"));
    assert!(text(bid(mark(200, 50), 120, "0.1").unwrap_err()).contains("not ended"));
    assert!(text(bid(mark(-5, -50), 120, "0.1").unwrap_err()).contains("the cash reserved"));
}

#[test]
fn withdrawals_stop_while_insolvencies_exceed_the_module() {
    let missing = [-30, -20, 5].map(Fixed::from);
    assert!(!withdrawals_blocked(&missing, Fixed::from(50)));
    assert!(withdrawals_blocked(&missing, of("49.99")));
}

proptest! {
    #[test]
    fn later_is_cheaper_and_more_may_be_sold(
        mtm in 1..10_000i64, missing in 1..10_000i64, t in 0..50_000i64, dt in 0..50_000i64
    ) {
        let mark = mark(mtm, -missing);
        let (a, b) = (terms().discount(t), terms().discount(t + dt));
        prop_assert!(b <= a);
        let most = |d| terms().most(mark, d, Fixed::ZERO).unwrap();
        prop_assert!(most(b) >= most(a) && most(b) <= Fixed::ONE && most(a) > Fixed::ZERO);
        prop_assert!(terms().insolvent_price(mark, t + dt) <= terms().insolvent_price(mark, t));
    }

    #[test]
    fn selling_the_most_restores_the_buffered_margin(mtm in 1..10_000i64, missing in 1..10_000i64, t in 0..40_000i64) {
        // A book without cash: sold by a share f, marks and margins are (1 - f) of themselves plus what was paid.
        let before = mark(mtm, -missing);
        let (auction, _) = terms().begin(before, 0).unwrap();
        let bid = auction.bid(&terms(), before, t, Fixed::ONE).unwrap();
        let after = Mark { mtm: before.mtm * bid.kept() + bid.price, mm: before.mm * bid.kept() + bid.price };
        prop_assert!(terms().buffered(after).abs() < of("1e-10"), "{}", terms().buffered(after));
    }
}
