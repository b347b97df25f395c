//! Every rule of the linter: one bad set each, and its stable code.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;

fn coin(name: &str) -> Asset {
    name.parse().unwrap()
}

fn column(spot: i64, vol: VolMove) -> LintColumn {
    LintColumn { label: format!("spot {spot}"), weight: Ppb::ONE, spot: vec![Ppb(spot)], vol, skew: false }
}

/// A sound grid of three moves by two of volatility, a third of the scan apart at most.
fn input() -> LintInput {
    let moves = [-90, -60, -30, 0, 30, 60, 90];
    let both = |spot: i64| [column(spot, VolMove::Down), column(spot, VolMove::Up)];
    let columns: Vec<LintColumn> = moves.into_iter().flat_map(both).collect();
    let step = Some(Ppb(333_333_334));
    let grid = LintBlock { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..columns.len(), step };
    LintInput { underlyings: vec![coin("BTC")], price_scan: vec![Ppb(90)], columns, blocks: vec![grid] }
}

/// Codes and subjects found, in order.
fn found(params: &Params, input: &LintInput) -> Vec<(&'static str, String)> {
    lint(params, input).into_iter().map(|finding| (finding.code.code(), finding.subject)).collect()
}

/// Breaks the parameters in one way and expects one finding.
fn params_break(code: &str, subject: &str, spoil: impl Fn(&mut Params)) {
    let mut params = plimsoll();
    spoil(&mut params);
    assert_eq!(found(&params, &input()), [(code, subject)].map(|(c, s)| (c, s.to_owned())), "{subject}");
}

/// Breaks what the linter is told of the scenarios in one way and expects one finding.
fn input_breaks(code: &str, subject: &str, spoil: impl Fn(&mut LintInput)) {
    let mut input = input();
    spoil(&mut input);
    let params = Params { aggregation: Aggregation::Sum, joint: None, ..plimsoll() };
    assert_eq!(found(&params, &input), [(code, subject)].map(|(c, s)| (c, s.to_owned())), "{subject}");
}

fn span_breaks(code: &str, subject: &str, spoil: impl Fn(&mut SpanParams)) {
    let mut params = load("span-margin.toml");
    let Aggregation::Span(span) = &mut params.aggregation else { panic!("not SPAN") };
    spoil(span);
    let found = found(&params, &LintInput::default());
    assert!(!found.is_empty(), "{subject}");
    assert!(found.iter().all(|(c, s)| *c == code && s == subject), "{subject}: {found:?}");
}

fn terms<T>(by: &mut ByAsset<T>) -> &mut T {
    by.0.values_mut().next().unwrap()
}

/// The path of the first terms of a charge.
fn path<T>(charge: &str, key: &str, read: fn(&Addons) -> &ByAsset<T>) -> String {
    let params = plimsoll();
    format!("addons.{charge}.{}.{key}", read(&params.addons).0.keys().next().unwrap())
}

#[test]
fn a_sound_set_breaks_nothing() {
    let sum = Params { aggregation: Aggregation::Sum, ..plimsoll() };
    assert_eq!(found(&sum, &input()), []);
    assert_eq!(found(&plimsoll(), &input()), []);
    assert_eq!(found(&load("span-margin.toml"), &LintInput::default()), []);
}

#[test]
fn initial_margin_below_maintenance_margin() {
    let mut scaled = plimsoll();
    scaled.im_scale = Ppb(scaled.mm_scale.0 - 1);
    assert_eq!(found(&scaled, &LintInput::default()), [("im_below_mm", "im_scale".to_owned())]);
    params_break("im_below_mm", "fixed", |p| {
        p.fixed = Some(FixedRatio { im_ratio: Ppb(1), mm_ratio: Ppb(2) });
    });
    span_breaks("im_below_mm", "aggregation.im_ratio", |s| s.im_ratio = Ppb(999_999_999));
    // Maintenance margin scanned twice as far as initial margin.
    input_breaks("im_below_mm", "BTC", |i| {
        i.columns.extend([column(-180, VolMove::Down), column(180, VolMove::Up)]);
        i.blocks[0].purpose = Purpose::Im;
        let all = i.columns.len();
        let wide =
            LintBlock { purpose: Purpose::Mm, columns: all - 2..all, step: None, ..i.blocks[0].clone() };
        i.blocks.push(wide);
    });
}

#[test]
fn a_charge_that_falls_with_size() {
    let negative = Ppb(-1);
    let at = path("short_option", "rate", |a| &a.short_option);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.short_option).rate = negative);
    let at = path("basis", "rate", |a| &a.basis);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.basis).rate = negative);
    let at = path("basis", "rate_per_year", |a| &a.basis);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.basis).rate_per_year = negative);
    let at = path("vega", "buckets.shock", |a| &a.vega);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.vega).buckets[0].shock = negative);
    let at = path("liquidity", "spread", |a| &a.liquidity);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.liquidity).spread = negative);
    let at = path("liquidity", "impact", |a| &a.liquidity);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.liquidity).impact = negative);
    let at = path("liquidity", "vega_impact", |a| &a.liquidity);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.liquidity).vega_impact = negative);
    let at = path("liquidity", "depth", |a| &a.liquidity);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.liquidity).depth = -1);
    let at = path("expiry", "rate", |a| &a.expiry);
    params_break("charge_falls", &at, |p| terms(&mut p.addons.expiry).rate = negative);
    params_break("charge_falls", "fixed.mm_ratio", |p| {
        p.fixed = Some(FixedRatio { im_ratio: Ppb(1), mm_ratio: negative });
    });
    input_breaks("charge_falls", "spot -90", |i| i.columns[0].weight = negative);
}

#[test]
fn a_charge_that_falls_with_a_haircut_or_a_price() {
    let usdc = |p: &mut Params, factor| {
        let depeg = Some(DepegTerms { threshold: Ppb(990_000_000), factor });
        p.collateral.get_mut(&coin("USDC")).unwrap().depeg = depeg;
    };
    params_break("charge_falls", "collateral.USDC.depeg.factor", |p| usdc(p, Ppb(-1)));
    params_break("charge_falls", "collateral.BTC.tiers[0]", |p| {
        let terms = p.collateral.get_mut(&coin("BTC")).unwrap();
        terms.haircut = Ppb(100_000_000);
        terms.tiers = vec![HaircutTier { above: 1, haircut: Ppb(99_999_999) }];
    });
}

#[test]
fn a_charge_that_falls_with_falling_confidence() {
    for (key, spoil) in [
        ("multiplier", (|t| t.multiplier = Ppb(-1)) as fn(&mut ConfidenceTerms)),
        ("threshold", |t| t.threshold = Ppb(-1)),
    ] {
        let at = path("confidence", key, |a| &a.confidence);
        params_break("charge_falls", &at, |p| spoil(terms(&mut p.addons.confidence)));
    }
}

#[test]
fn a_scenario_set_that_lacks_a_tail() {
    // Only the upper half of the grid, whose least move is the present price.
    input_breaks("missing_tail", "BTC", |i| i.blocks[0].columns = 6..14);
    input_breaks("missing_tail", "BTC", |i| i.blocks[0].columns = 0..8);
    input_breaks("missing_tail", "vol", |i| i.columns.iter_mut().for_each(|c| c.vol = VolMove::Up));
}

#[test]
fn a_gap_in_the_grid() {
    input_breaks("grid_gap", "BTC", |i| {
        i.columns.retain(|c| c.spot[0] != Ppb(30));
        i.blocks[0].columns = 0..12;
    });
    // An extreme of partial weight may lie apart.
    let mut far = input();
    for spot in [-180, 180] {
        far.columns.push(LintColumn { weight: Ppb(350_000_000), ..column(spot, VolMove::None) });
    }
    far.blocks[0].columns = 0..far.columns.len();
    assert_eq!(found(&plimsoll(), &far), []);
}

#[test]
fn a_long_that_is_charged_above_its_premium() {
    input_breaks("long_above_premium", "spot 90", |i| {
        i.columns.last_mut().unwrap().weight = Ppb(1_000_000_001);
    });
}

#[test]
fn a_skew_scenario_that_moves_spot() {
    input_breaks("skew_moves_spot", "spot -30", |i| i.columns[4].skew = true);
    let mut sound = input();
    sound.columns[6].skew = true;
    assert_eq!(found(&plimsoll(), &sound), []);
}

#[test]
fn a_share_outside_zero_and_one() {
    let over = Ppb(1_000_000_001);
    params_break("outside_unit", "collateral.USD.haircut", |p| {
        p.collateral.get_mut(&coin("USD")).unwrap().haircut = over;
    });
    params_break("outside_unit", "collateral.BTC.wrong_way", |p| {
        p.collateral.get_mut(&coin("BTC")).unwrap().wrong_way = Ppb(-1);
    });
    params_break("outside_unit", "collateral.BTC.mm_share", |p| {
        p.collateral.get_mut(&coin("BTC")).unwrap().mm_share = over;
    });
    params_break("outside_unit", "aggregation.floor_share", |p| {
        p.aggregation = Aggregation::Factor { floor_share: over };
    });
    let at = path("vega", "credit", |a| &a.vega);
    params_break("outside_unit", &at, |p| terms(&mut p.addons.vega).credit = over);
    let at = path("liquidity", "participation", |a| &a.liquidity);
    params_break("outside_unit", &at, |p| terms(&mut p.addons.liquidity).participation = over);
    span_breaks("outside_unit", "aggregation.inter[0].rate", |s| s.inter[0].legs[0].rate = over);
}

#[test]
fn every_share_of_a_charge_in_maintenance_margin_is_looked_at() {
    type Spoil = fn(&mut Addons);
    let over = Ppb(1_000_000_001);
    assert_eq!(over.0, NANO + 1);
    let all: [(String, Spoil); 7] = [
        (path("short_option", "mm_share", |a| &a.short_option), |a| {
            terms(&mut a.short_option).mm_share.0 = NANO + 1
        }),
        (path("basis", "mm_share", |a| &a.basis), |a| terms(&mut a.basis).mm_share.0 = NANO + 1),
        (path("vega", "mm_share", |a| &a.vega), |a| terms(&mut a.vega).mm_share.0 = NANO + 1),
        (path("liquidity", "mm_share", |a| &a.liquidity), |a| terms(&mut a.liquidity).mm_share.0 = NANO + 1),
        (path("confidence", "mm_share", |a| &a.confidence), |a| {
            terms(&mut a.confidence).mm_share.0 = NANO + 1
        }),
        (path("expiry", "mm_share", |a| &a.expiry), |a| terms(&mut a.expiry).mm_share.0 = NANO + 1),
        (path("funding", "mm_share", |a| &a.funding), |a| terms(&mut a.funding).mm_share.0 = NANO + 1),
    ];
    for (subject, spoil) in all {
        params_break("outside_unit", &subject, |p| spoil(&mut p.addons));
    }
}

#[test]
fn the_joint_level_and_its_stress_weight() {
    let sound = JointTerms {
        statistic: Statistic::ExpectedShortfall,
        level: Ppb(990_000_000),
        stress_weight: Ppb(250_000_000),
    };
    for statistic in [Statistic::ValueAtRisk, Statistic::ExpectedShortfall, Statistic::TailMean] {
        for level in [Ppb(0), Ppb::ONE, Ppb(-1)] {
            let terms = JointTerms { statistic, level, ..sound };
            params_break("outside_unit", "joint.level", |p| p.joint = Some(terms));
            params_break("outside_unit", "aggregation.level", |p| p.aggregation = Aggregation::Joint(terms));
        }
    }
    let worst = JointTerms { statistic: Statistic::Worst, level: Ppb(0), ..sound };
    assert_eq!(found(&Params { joint: Some(worst), ..plimsoll() }, &input()), []);
    let heavy = JointTerms { stress_weight: Ppb(1_000_000_001), ..sound };
    params_break("outside_unit", "joint.stress_weight", |p| p.joint = Some(heavy));
    // Joint columns need terms.
    input_breaks("missing", "joint", |i| {
        let joint = LintBlock { kind: BlockKind::Joint, step: None, ..i.blocks[0].clone() };
        i.blocks.push(joint);
    });
}

#[test]
fn bounds_and_edges_that_cross() {
    params_break("bounds_crossed", "collateral.BTC.tiers[1]", |p| {
        let tier = |above| HaircutTier { above, haircut: Ppb::ONE };
        p.collateral.get_mut(&coin("BTC")).unwrap().tiers = vec![tier(5), tier(5)];
    });
    let at = path("vega", "buckets", |a| &a.vega);
    params_break("bounds_crossed", &at, |p| terms(&mut p.addons.vega).buckets.reverse());
    params_break("bounds_crossed", "orders.method.exact", |p| {
        p.orders.method = OrderMethod::Exact { max_orders: 17 };
    });
    let btc = "aggregation.commodities.BTC";
    span_breaks("bounds_crossed", &format!("{btc}.tiers[0]"), |s| {
        terms(&mut s.commodities).tiers[0].to_days = 0
    });
    span_breaks("bounds_crossed", &format!("{btc}.tiers[1]"), |s| {
        terms(&mut s.commodities).tiers[1].from_days = 29
    });
}

#[test]
fn what_is_needed_and_not_there() {
    params_break("missing", "fixed", |p| p.mode = Mode::Fixed);
    let at = path("vega", "buckets", |a| &a.vega);
    params_break("missing", &at, |p| terms(&mut p.addons.vega).buckets.clear());
    // Two underlyings and no systematic columns.
    let mut two = input();
    two.underlyings.push(coin("ETH"));
    two.price_scan.push(Ppb(90));
    two.columns.iter_mut().for_each(|c| c.spot.push(c.spot[0]));
    let factor = Aggregation::Factor { floor_share: Ppb(500_000_000) };
    let params = Params { aggregation: factor, ..plimsoll() };
    assert_eq!(found(&params, &two), [("missing", "aggregation".to_owned())]);
    let btc = "aggregation.commodities.BTC";
    span_breaks("missing", &format!("{btc}.intra[0].tier"), |s| {
        terms(&mut s.commodities).intra[0].legs[0].tier = 3;
    });
    span_breaks("missing", &format!("{btc}.intra[0].legs"), |s| {
        terms(&mut s.commodities).intra[0].legs.truncate(1);
    });
    span_breaks("missing", &format!("{btc}.short_option_count"), |s| {
        terms(&mut s.commodities).short_option_count = ShortCount::Naked;
    });
    span_breaks("missing", "aggregation.inter[0].legs", |s| s.inter[0].legs[0].asset = coin("SOL"));
    span_breaks("missing", "aggregation.inter[0].legs", |s| s.inter[0].legs.truncate(1));
}

#[test]
fn what_must_be_positive_and_is_not() {
    params_break("not_positive", "mm_scale", |p| p.mm_scale = Ppb(0));
    params_break("not_positive", "collateral.USDC.depeg.threshold", |p| {
        let depeg = Some(DepegTerms { threshold: Ppb(0), factor: Ppb::ONE });
        p.collateral.get_mut(&coin("USDC")).unwrap().depeg = depeg;
    });
    for (key, spoil) in [
        ("daily_volume", (|t| t.daily_volume = 0) as fn(&mut LiquidityTerms)),
        ("daily_vega", |t| t.daily_vega = 0),
        ("horizon_days", |t| t.horizon_days = 0),
        ("participation", |t| t.participation = Ppb(0)),
    ] {
        let at = path("liquidity", key, |a| &a.liquidity);
        params_break("not_positive", &at, |p| spoil(terms(&mut p.addons.liquidity)));
    }
    let at = path("expiry", "window_seconds", |a| &a.expiry);
    params_break("not_positive", &at, |p| terms(&mut p.addons.expiry).window_seconds = 0);
    input_breaks("not_positive", "price_scan of BTC", |i| {
        i.price_scan[0] = Ppb(0);
        i.blocks[0].step = None;
    });
    let btc = "aggregation.commodities.BTC";
    span_breaks("not_positive", "aggregation.adjustment", |s| s.adjustment = Ppb(0));
    span_breaks("not_positive", &format!("{btc}.contract"), |s| terms(&mut s.commodities).contract = Ppb(0));
    span_breaks("not_positive", "aggregation.inter[0].ratio", |s| s.inter[0].legs[1].ratio = Ppb(0));
    span_breaks("not_positive", &format!("{btc}.intra[0].ratio"), |s| {
        terms(&mut s.commodities).intra[0].legs[0].ratio = Ppb(0);
    });
}

#[test]
fn the_rates_of_span() {
    let btc = "aggregation.commodities.BTC";
    span_breaks("charge_falls", &format!("{btc}.short_option_rate"), |s| {
        terms(&mut s.commodities).short_option_rate = -1;
    });
    span_breaks("charge_falls", &format!("{btc}.intra[0].rate"), |s| {
        terms(&mut s.commodities).intra[0].rate = -1;
    });
    let spot = SpotCharge { within_days: 3, rate_consumed: 1, rate_outright: 1 };
    span_breaks("charge_falls", &format!("{btc}.spot.rate_consumed"), |s| {
        terms(&mut s.commodities).spot = Some(SpotCharge { rate_consumed: -1, ..spot });
    });
    span_breaks("charge_falls", &format!("{btc}.spot.rate_outright"), |s| {
        terms(&mut s.commodities).spot = Some(SpotCharge { rate_outright: -1, ..spot });
    });
    span_breaks("charge_falls", "aggregation.inter[0].method.flat.credit", |s| {
        s.inter[0].method = InterMethod::Flat { credit: -1 };
    });
}
