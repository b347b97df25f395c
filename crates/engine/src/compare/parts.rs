//! The parts of an account's excess, in words that every method shares.

use crate::Desk;
use plimsoll_margin::venue::VenueCharge;
use plimsoll_margin::{AddonKind, AggregateDetail, MarginReport, Mode, Requirement};
use plimsoll_types::Ticks;
use std::collections::BTreeMap;

/// Which of the two requirements is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Measure {
    /// Initial margin: below it an account may take no new risk.
    Initial,
    /// Maintenance margin: below it an account is liquidatable.
    Maintenance,
}

impl Measure {
    /// Both, initial margin first.
    pub const BOTH: [Self; 2] = [Self::Initial, Self::Maintenance];

    /// The stable code: `im` or `mm`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Initial => "im",
            Self::Maintenance => "mm",
        }
    }
}

/// What a part of an excess is for. Every method's report is told in these words, so that reports can be set side by side.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Component {
    /// The value of collateral before haircuts; debts count negative.
    Collateral,
    /// What haircuts take.
    Haircut,
    /// The value of options and spot held.
    Marks,
    /// Profit since entry.
    Unrealised,
    /// What is held against moves of the market: the loss of a scenario method after its scale, the rates of a method
    /// that charges positions one by one, the ratio of notional.
    Risk,
    /// Half a tick per lot.
    Guard,
    /// A charge beside the scenario losses.
    Addon(AddonKind),
    /// A charge that only the venue's method knows, by its code.
    Charge(String),
    /// What long options and spot take off, since no more than they are worth can be lost on them.
    PremiumRelief,
    /// What open orders add.
    Orders,
    /// What lifts a requirement whose credits exceed its charges to zero.
    Floor,
    /// Isolated positions: the account is as healthy as its weakest position, not as their sum.
    Isolation,
}

impl Component {
    /// The stable code.
    pub fn code(&self) -> &str {
        match self {
            Self::Collateral => "collateral",
            Self::Haircut => "haircut",
            Self::Marks => "marks",
            Self::Unrealised => "unrealised",
            Self::Risk => "market_risk",
            Self::Guard => "rounding_guard",
            Self::Addon(kind) => kind.code(),
            Self::Charge(code) => code,
            Self::PremiumRelief => "premium_relief",
            Self::Orders => "orders",
            Self::Floor => "zero_floor",
            Self::Isolation => "isolation",
        }
    }
}

/// One part of an account's excess under one method, ticks. Parts add up to the excess exactly: what the account is worth
/// is > 0, what is required of it is < 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// What for.
    pub component: Component,
    /// In `im_excess`.
    pub im: Ticks,
    /// In `mm_excess`.
    pub mm: Ticks,
}

impl Part {
    /// In the excess over one of the requirements.
    pub fn of(&self, measure: Measure) -> Ticks {
        match measure {
            Measure::Initial => self.im,
            Measure::Maintenance => self.mm,
        }
    }
}

/// One part of the difference between the excesses of an account under two methods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartDifference {
    /// What for.
    pub component: Component,
    /// In the excess under the base.
    pub base: Ticks,
    /// In the excess under the other method.
    pub other: Ticks,
}

impl PartDifference {
    /// `other - base`: positive where the other method leaves more.
    pub fn amount(&self) -> Ticks {
        Ticks(self.other.0 - self.base.0)
    }
}

/// Sums by component.
type Sums = BTreeMap<Component, (i128, i128)>;

/// Where a venue's charge belongs: what other methods charge too is told in their words, what only the venue charges by
/// its code, and all else is its charge for moves of the market. A venue that counts less of equity than is reported takes
/// it back as a charge; here that is part of equity again.
fn component_of(code: &str) -> Component {
    match code {
        "option_value" => Component::Marks,
        "unrealised_profit" | "open_profit" => Component::Unrealised,
        "asset_weight" | "liability_weight" | "tokens" | "collateral_discount" | "base" | "coin_haircut" => {
            Component::Haircut
        }
        "long_option_credit" | "premium_cap" => Component::PremiumRelief,
        "basis" | "roll_shock" => Component::Addon(AddonKind::Basis),
        "depeg" | "stable_depeg" => Component::Addon(AddonKind::Depeg),
        "confidence_contingency" | "option_confidence" => Component::Addon(AddonKind::Confidence),
        "funding" => Component::Addon(AddonKind::Funding),
        "option_contingency" | "floor" => Component::Addon(AddonKind::ShortOption),
        "delta_shock" | "fees" | "flag_reward" | "minimum" | "minimum_delta" | "perpetual_contingency" => {
            Component::Charge(code.to_owned())
        }
        _ => Component::Risk,
    }
}

/// The parts of an excess in ticks of the report, in order of component, none of them zero twice.
pub(super) fn parts_of(report: &MarginReport) -> Vec<Part> {
    let mut sums = Sums::new();
    let mut add = |component, im: i128, mm: i128| {
        let sum = sums.entry(component).or_default();
        (sum.0, sum.1) = (sum.0 + im, sum.1 + mm);
    };
    for held in &report.collateral {
        add(Component::Collateral, held.value.0, held.value.0);
        add(Component::Haircut, -held.haircut.0, -held.haircut.0);
    }
    add(Component::Marks, report.marks.0, report.marks.0);
    add(Component::Unrealised, report.unrealised.0, report.unrealised.0);
    let Requirement { im, mm } = report.base;
    if report.venue.is_empty() {
        add(Component::Risk, -im.0, -mm.0);
    } else {
        let mut charged = (0, 0);
        for charge in &report.venue {
            add(component_of(&charge.code), -charge.im.0, -charge.mm.0);
            charged = (charged.0 + charge.im.0, charged.1 + charge.mm.0);
        }
        add(Component::Floor, charged.0 - im.0, charged.1 - mm.0);
    }
    add(Component::Guard, -report.guard.im.0, -report.guard.mm.0);
    for addon in &report.addons {
        add(Component::Addon(addon.kind), -addon.im.0, -addon.mm.0);
    }
    add(Component::PremiumRelief, report.premium_relief.im.0, report.premium_relief.mm.0);
    add(Component::Orders, -report.orders.extra.im.0, -report.orders.extra.mm.0);
    let beyond = |excess: Ticks, requirement: Ticks| excess.0 + requirement.0 - report.equity.0;
    add(Component::Isolation, beyond(report.im_excess, report.im), beyond(report.mm_excess, report.mm));
    let parts = sums.into_iter().filter(|(_, sum)| *sum != (0, 0));
    parts.map(|(component, (im, mm))| Part { component, im: Ticks(im), mm: Ticks(mm) }).collect()
}

/// What the risk of a report was found in, in words: a scenario, a venue's charge, a ratio.
pub(super) fn risk_in_words(report: &MarginReport, desk: &Desk, measure: Measure) -> Option<String> {
    let label = |column: Option<usize>| {
        column.and_then(|at| desk.arrays.scenarios.get(at)).map(|scenario| scenario.label.clone())
    };
    match report.mode {
        Mode::Fixed => return Some("ratio of notional".to_owned()),
        Mode::Cross => return Some("positions one by one".to_owned()),
        Mode::Portfolio | Mode::Isolated => {}
    }
    if !report.venue.is_empty() {
        return charge_in_words(report, measure, label);
    }
    let detail: &AggregateDetail = match measure {
        Measure::Initial => &report.im_detail,
        Measure::Maintenance => &report.mm_detail,
    };
    if let Some(state) =
        detail.worst_state.and_then(|at| detail.states.get(at)).filter(|s| s.column.is_some())
    {
        return label(state.column);
    }
    if detail.worst_joint.is_some() {
        return label(detail.worst_joint);
    }
    let scans = report.underlyings.iter().map(|under| match measure {
        Measure::Initial => (under.scan_loss, under.worst, &under.asset),
        Measure::Maintenance => (under.mm_scan_loss, under.mm_worst, &under.asset),
    });
    let (_, column, asset) = scans.max_by_key(|(loss, _, _)| *loss)?;
    label(column).map(|label| format!("{asset} {label}"))
}

/// The largest charge of a venue for moves of the market. Its scenario is told where the charge is the scan loss of the
/// underlying in one of the requirements, and so was found in that column.
fn charge_in_words(
    report: &MarginReport,
    measure: Measure,
    label: impl Fn(Option<usize>) -> Option<String>,
) -> Option<String> {
    let size = |charge: &&VenueCharge| match measure {
        Measure::Initial => charge.im.0.saturating_abs(),
        Measure::Maintenance => charge.mm.0.saturating_abs(),
    };
    let risks = report.venue.iter().filter(|charge| component_of(&charge.code) == Component::Risk);
    let charge = risks.filter(|charge| size(charge) != 0).max_by_key(size)?;
    let Some(asset) = &charge.asset else { return Some(charge.code.clone()) };
    // A venue may round to its own decimals on the way.
    let near = |a: Ticks, b: Ticks| a.0.abs_diff(b.0) <= 1 + a.0.unsigned_abs() / 1_000_000;
    let held = report.underlyings.iter().find(|under| under.asset == *asset);
    let column = held.and_then(|under| match under {
        under if near(under.scan_loss, charge.im) => under.worst,
        under if near(under.mm_scan_loss, charge.mm) => under.mm_worst,
        _ => None,
    });
    let scenario = label(column).map_or_else(String::new, |label| format!(", {label}"));
    Some(format!("{} {asset}{scenario}", charge.code))
}

/// The differences of the parts of two excesses, largest first, equal ones in order of component. They add up to the
/// difference of the excesses exactly.
pub(super) fn differences(base: &[Part], other: &[Part], measure: Measure) -> Vec<PartDifference> {
    let mut sums: BTreeMap<&Component, (i128, i128)> = BTreeMap::new();
    for part in base {
        sums.entry(&part.component).or_default().0 += part.of(measure).0;
    }
    for part in other {
        sums.entry(&part.component).or_default().1 += part.of(measure).0;
    }
    let mut all: Vec<PartDifference> = sums
        .into_iter()
        .map(|(component, (base, other))| PartDifference {
            component: component.clone(),
            base: Ticks(base),
            other: Ticks(other),
        })
        .filter(|part| part.amount() != Ticks(0))
        .collect();
    all.sort_by_key(|part| std::cmp::Reverse(part.amount().0.unsigned_abs()));
    all
}
