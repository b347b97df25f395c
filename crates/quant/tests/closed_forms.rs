//! SABR, currency deltas, perpetual futures, execution schedules and margin algebra against QuantLib 1.44 and mpmath.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use plimsoll_quant::black::OptionKind;
use plimsoll_quant::execution::{ExecutionError, Liquidation};
use plimsoll_quant::fx::{DeltaConvention, FxError, FxMarket};
use plimsoll_quant::perpetual::{FundingStyle, Payoff, Perpetual, PerpetualError};
use plimsoll_quant::sabr::{Sabr, SabrError};
use plimsoll_quant::simm::*;

fn assert_near(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value} is not {expected}");
}

#[test]
fn sabr_agrees_with_quantlib_inside_and_at_the_ends_of_beta() {
    for ((strike, forward, tau), (alpha, beta, nu, rho), expected) in [
        ((0.04, 0.039, 1.5), (0.3, 0.6, 0.4, -0.3), 1.0908913755065943),
        ((100.0, 120.0, 0.5), (0.2, 1.0, 0.8, -0.5), 0.24474316122827064),
        ((1.2, 1.2, 2.0), (0.1, 0.0, 0.3, 0.2), 0.08455655864197532),
    ] {
        let vol = Sabr { alpha, beta, nu, rho }.vol(forward, strike, tau).unwrap();
        assert_near(vol, expected, 1e-14);
    }
}

#[test]
fn sabr_is_smooth_through_the_money_and_flat_without_volatility_of_volatility() {
    let smile = Sabr { alpha: 0.2, beta: 1.0, nu: 0.9, rho: -0.4 };
    let at = |strike| smile.vol(100.0, strike, 1.0).unwrap();
    let slope = (at(100.001) - at(99.999)) / 0.002;
    for step in [1e-10, 1e-8, 1e-6, 1e-4] {
        assert!((at(100.0 + step) - at(100.0) - slope * step).abs() < 1e-15 + step * step, "{step}");
    }
    let flat = Sabr { nu: 0.0, ..smile };
    assert_eq!(flat.vol(100.0, 50.0, 1.0), Ok(0.2));
    assert_eq!(flat.vol(100.0, 200.0, 0.0), Ok(0.2));
}

#[test]
fn sabr_outside_its_domain_is_refused_by_name() {
    let smile = Sabr { alpha: 0.2, beta: 0.5, nu: 0.4, rho: -0.3 };
    let name = |model: Sabr, forward, strike, tau| match model.vol(forward, strike, tau) {
        Err(SabrError::Domain { parameter, .. }) => parameter,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(Sabr { alpha: 0.0, ..smile }, 1.0, 1.0, 1.0), "alpha");
    assert_eq!(name(Sabr { beta: 1.1, ..smile }, 1.0, 1.0, 1.0), "beta");
    assert_eq!(name(Sabr { nu: -0.1, ..smile }, 1.0, 1.0, 1.0), "nu");
    assert_eq!(name(Sabr { rho: 1.0, ..smile }, 1.0, 1.0, 1.0), "rho");
    assert_eq!(name(smile, 0.0, 1.0, 1.0), "forward");
    assert_eq!(name(smile, 1.0, f64::NAN, 1.0), "strike");
    assert_eq!(name(smile, 1.0, 1.0, -1.0), "tau");
    let wild = Sabr { alpha: 0.2, beta: 1.0, nu: 5.0, rho: -0.99 };
    assert!(matches!(wild.vol(1.0, 1.0, 40.0), Err(SabrError::Breakdown { .. })));
}

const MARKET: FxMarket =
    FxMarket { spot: 1.421, domestic_discount: 0.997306, foreign_discount: 0.992266, std_dev: 0.1180654 };

#[test]
fn the_four_deltas_and_their_strikes_agree_with_quantlib() {
    use DeltaConvention::*;
    for (convention, call, call_strike, put, put_strike) in [
        (Spot, 0.32664939091176876, 1.5714120671426774, -0.6656166090882312, 1.2898857669269597),
        (Forward, 0.3291953880428925, 1.5724430438542276, -0.6708046119571075, 1.2890400496900403),
        (
            PremiumAdjustedSpot,
            0.30284592690646506,
            1.5625754949129886,
            -0.7499049527557448,
            1.2827565823813967,
        ),
        (
            PremiumAdjustedForward,
            0.30520639315109566,
            1.5636488735252483,
            -0.7557499226575783,
            1.281951672462395,
        ),
    ] {
        for (kind, delta, strike) in
            [(OptionKind::Call, call, call_strike), (OptionKind::Put, put, put_strike)]
        {
            assert_near(MARKET.delta(kind, convention, 1.5).unwrap(), delta, 1e-13);
            let wanted = 0.2 * kind.sign();
            let found = MARKET.strike(kind, convention, wanted).unwrap();
            assert_near(found, strike, 1e-8);
            assert_near(MARKET.delta(kind, convention, found).unwrap(), wanted, 1e-12);
        }
    }
}

#[test]
fn a_delta_nobody_can_have_has_no_strike() {
    let adjusted = |delta| MARKET.strike(OptionKind::Call, DeltaConvention::PremiumAdjustedForward, delta);
    assert!(matches!(adjusted(0.95), Err(FxError::NoStrike { .. })));
    assert!(matches!(adjusted(-0.2), Err(FxError::Domain { .. })));
    assert!(MARKET.strike(OptionKind::Call, DeltaConvention::Spot, 0.995).is_err());
    assert!(FxMarket { spot: 0.0, ..MARKET }.delta(OptionKind::Put, DeltaConvention::Spot, 1.0).is_err());
    let certain = FxMarket { std_dev: 0.0, ..MARKET };
    let call = |strike| certain.delta(OptionKind::Call, DeltaConvention::Forward, strike).unwrap();
    assert_eq!((call(1.0), call(2.0)), (1.0, 0.0));
}

fn perpetual(rate: f64, yield_: f64, funding_rate: f64) -> Perpetual {
    Perpetual { spot: 10_000.0, rate, yield_, funding_rate, interest: 0.005 }
}

#[test]
fn the_six_prices_of_a_perpetual_agree_with_fifty_digit_arithmetic() {
    let contract = perpetual(0.04, 0.02, 0.2);
    let interval = 0.25;
    use FundingStyle::*;
    for (payoff, style, expected) in [
        (Payoff::Linear, Continuous, 10833.333333333334),
        (Payoff::Inverse, Continuous, 11282.051282051281),
        (Payoff::Linear, PreviousSpot { interval }, PRICES[0]),
        (Payoff::Linear, CurrentSpot { interval }, PRICES[1]),
        (Payoff::Inverse, PreviousSpot { interval }, PRICES[2]),
        (Payoff::Inverse, CurrentSpot { interval }, PRICES[3]),
    ] {
        assert_near(contract.price(payoff, style).unwrap(), expected, 1e-15);
    }
}

/// Discrete funding every quarter, in the order of the test above (mpmath, 50 digits, from the floats).
const PRICES: [f64; 4] = [10000.642136585193, 9999.360082352987, 10512.18055422142, 10513.462608174414];

#[test]
fn funding_every_eight_hours_loses_no_digits_between_exponentials() {
    // k = 0.001 and a difference of exponentials of 1.8e-5.
    let contract =
        Perpetual { spot: 10_000.0, rate: 0.04, yield_: 0.02, funding_rate: 0.001, interest: 1e-5 };
    let style = FundingStyle::PreviousSpot { interval: 1.0 / 1095.0 };
    assert_near(contract.price(Payoff::Linear, style).unwrap(), 10084.187759880922, 5e-16);
}

#[test]
fn funding_too_weak_for_the_rates_has_no_price() {
    let none = |contract: Perpetual, payoff, style| {
        matches!(contract.price(payoff, style), Err(PerpetualError::NoSolution { .. }))
    };
    assert!(none(perpetual(0.3, 0.0, 0.2), Payoff::Linear, FundingStyle::Continuous));
    assert!(none(perpetual(0.2, 0.0, 0.2), Payoff::Linear, FundingStyle::Continuous));
    assert!(none(perpetual(1.0, 0.0, 0.2), Payoff::Linear, FundingStyle::PreviousSpot { interval: 0.25 }));
    assert!(none(perpetual(0.0, 0.0, 0.005), Payoff::Inverse, FundingStyle::Continuous));
    assert!(none(perpetual(0.0, 0.0, 0.001), Payoff::Inverse, FundingStyle::CurrentSpot { interval: 0.25 }));
    let never = FundingStyle::CurrentSpot { interval: 0.0 };
    assert!(matches!(
        perpetual(0.0, 0.0, 0.1).price(Payoff::Linear, never),
        Err(PerpetualError::Domain { parameter: "interval", .. })
    ));
    assert!(perpetual(f64::NAN, 0.0, 0.1).price(Payoff::Linear, FundingStyle::Continuous).is_err());
}

const ORDER: Liquidation = Liquidation {
    quantity: 1e6,
    horizon: 5.0,
    steps: 5,
    sigma: 0.95,
    epsilon: 0.0625,
    gamma: 2.5e-7,
    eta: 2.5e-6,
};

#[test]
fn schedules_agree_with_fifty_digit_arithmetic() {
    let schedule = ORDER.schedule(2e-6).unwrap();
    assert_near(schedule.kappa, 0.846297134501256, 1e-14);
    let holdings = [1e6, 428598.845747017, 182932.814261768, 76295.7216154616, 27643.3773969064, 0.0];
    for (found, expected) in schedule.holdings.iter().zip(holdings) {
        assert_near(*found, expected, 1e-14);
    }
    assert_near(schedule.expected_cost, 1140715.16704979, 1e-14);
    assert_near(schedule.deviation, 449367.652541351, 1e-14);
    let sold: f64 = schedule.trades.iter().sum();
    assert_near(sold, 1e6, 1e-14);
    for (trade, pair) in schedule.trades.iter().zip(schedule.holdings.windows(2)) {
        assert_near(*trade, pair[0] - pair[1], 1e-13);
    }
}

#[test]
fn without_risk_aversion_the_path_is_straight_and_one_step_sells_everything() {
    let straight = ORDER.schedule(0.0).unwrap();
    assert_eq!(straight.kappa, 0.0);
    assert_eq!(straight.trades, [200_000.0; 5]);
    let nearly = ORDER.schedule(1e-20).unwrap();
    for (a, b) in straight.holdings.iter().zip(&nearly.holdings) {
        assert!((a - b).abs() < 1e-6);
    }
    let at_once = Liquidation { steps: 1, ..ORDER }.schedule(1e-6).unwrap();
    assert_eq!((at_once.holdings, at_once.deviation), (vec![1e6, 0.0], 0.0));
    assert_near(at_once.trades[0], 1e6, 1e-15);
    // Steep enough that sinh overflows: everything goes in the first step.
    let steep = Liquidation { steps: 2000, ..ORDER }.schedule(1e6).unwrap();
    assert!(steep.holdings.iter().all(|x| x.is_finite()));
    assert!(steep.expected_cost.is_finite());
}

#[test]
fn more_risk_aversion_costs_more_and_risks_less_and_buying_mirrors_selling() {
    let schedules: Vec<_> = [0.0, 1e-7, 1e-6, 1e-5].map(|a| ORDER.schedule(a).unwrap()).into();
    for pair in schedules.windows(2) {
        assert!(pair[1].expected_cost > pair[0].expected_cost);
        assert!(pair[1].deviation < pair[0].deviation);
    }
    let bought = Liquidation { quantity: -1e6, ..ORDER }.schedule(1e-6).unwrap();
    assert_eq!(bought.expected_cost, schedules[2].expected_cost);
    assert_eq!(bought.trades[0], -schedules[2].trades[0]);
}

#[test]
fn impact_that_pays_for_itself_is_refused() {
    let order = Liquidation { eta: 1.25e-7, ..ORDER };
    assert!(matches!(order.schedule(1e-6), Err(ExecutionError::Impact { value }) if value <= 0.0));
    assert!(ORDER.schedule(-1e-6).is_err());
    assert!(Liquidation { steps: 0, ..ORDER }.schedule(1e-6).is_err());
    assert!(Liquidation { horizon: 0.0, ..ORDER }.schedule(1e-6).is_err());
}

#[test]
fn a_bucket_is_the_root_of_a_quadratic_form() {
    let margin = |rho| bucket_margin(&[3.0, -4.0], |_, _| rho);
    assert_eq!(margin(0.0), Ok(5.0));
    assert_eq!(margin(1.0), Ok(1.0));
    assert_eq!(margin(-1.0), Ok(7.0));
    assert_eq!(bucket_margin(&[], |_, _| 0.5), Ok(0.0));
    assert_eq!(bucket_margin(&[-2.0], |_, _| 0.5), Ok(2.0));
    assert!(matches!(margin(1.5), Err(SimmError::Domain { .. })));
    // Three variables cannot all have a correlation of -0.9 with each other.
    let impossible = bucket_margin(&[1.0, 1.0, 1.0], |_, _| -0.9);
    assert!(matches!(impossible, Err(SimmError::NotCorrelations { .. })));
    assert_eq!(concentration(-400.0, 100.0), Ok(2.0));
    assert_eq!(concentration(50.0, 100.0), Ok(1.0));
    assert!(concentration(1.0, 0.0).is_err());
}

#[test]
fn curvature_is_one_sided_and_a_day_is_a_tenth() {
    let sf = |tenor| curvature_scaling(tenor).unwrap();
    assert_eq!((sf(Tenor::Weeks(1)), sf(Tenor::Weeks(2))), (0.5, 0.5));
    assert_near(sf(Tenor::Months(1)), 7.0 / (365.0 / 12.0), 1e-15);
    assert_near(sf(Tenor::Years(5)), 7.0 / 1825.0, 1e-15);
    assert!(curvature_scaling(Tenor::Weeks(0)).is_err());
    let margin = |risks: &[f64], horizon| curvature_margin(risks, |_, _| 0.5, 0.5, horizon).unwrap();
    // theta = 0, lambda = N^-1(0.995)^2 - 1 = 5.634896601021214, spread sqrt(1 + 1 + 2 x 0.25).
    let long = margin(&[1.0, 1.0], Horizon::TenDays);
    assert_near(long, 4.0 * (2.0 + 5.634896601021214 * 2.5f64.sqrt()), 1e-14);
    assert_near(margin(&[1.0, 1.0], Horizon::OneDay), 0.1 * long, 1e-15);
    assert_eq!(margin(&[-1.0, -1.0], Horizon::TenDays), 0.0);
    assert_eq!(margin(&[], Horizon::TenDays), 0.0);
}

#[test]
fn buckets_net_up_to_their_own_margin() {
    let bucket = |margin, net, concentration| Bucket { margin, net, concentration };
    let two = [bucket(3.0, 10.0, 1.0), bucket(4.0, -2.0, 2.0)];
    // 9 + 16 + 2 x 0.5 x (1/2) x 3 x (-2)
    assert_near(across_buckets(&two, |_, _| 0.5).unwrap(), 22f64.sqrt(), 1e-15);
    assert_eq!(across_buckets(&two[..1], |_, _| 0.5), Ok(3.0));
    assert!(across_buckets(&[bucket(1.0, 0.0, 0.5)], |_, _| 0.0).is_err());
    let total = RiskClassMargin { delta: 1.0, vega: 2.0, curvature: 4.0 }.total();
    assert_eq!(total, 7.0);
}
