//! The report as text: every number that was added, in units of the valuation currency.

use crate::{
    Addon, AggregateDetail, Input, MarginReport, Mode, OrderCase, Params, State, UnderlyingReport, decimal,
};
use plimsoll_types::{InstrumentIx, RiskArrays, Ticks};
use std::fmt::Write;

/// How many positions of a worst scenario are named.
const CONTRIBUTIONS_SHOWN: usize = 5;

/// The report as text, every number that was added: equity, scan losses with the scenario that binds and the positions
/// that lose most in it, the aggregation, the charges with what they were computed from, orders, and the state. Amounts
/// are decimal renderings of whole ticks, without rounding up to nine decimals.
pub fn explain(report: &MarginReport, arrays: &RiskArrays, params: &Params) -> String {
    let mut text = Text { lines: String::new(), arrays };
    text.head(report);
    text.equity(report);
    for underlying in &report.underlyings {
        text.underlying(underlying);
    }
    text.venue(report);
    text.aggregate(report, params);
    text.span(report);
    for addon in &report.addons {
        text.addon(addon);
    }
    text.totals(report);
    text.orders(report);
    text.isolated(report);
    text.lines
}

struct Text<'a> {
    lines: String,
    arrays: &'a RiskArrays,
}

impl Text<'_> {
    fn line(&mut self, depth: usize, label: &str, rest: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.lines,
            "{:indent$}{label:<width$} {rest}",
            "",
            indent = 2 * depth,
            width = 32 - 2 * depth
        );
    }

    fn money(&self, ticks: Ticks) -> String {
        decimal(ticks.0, self.arrays.ticks_per_unit)
    }

    fn amount(&mut self, depth: usize, label: &str, ticks: Ticks) {
        let rest = format!("{:>24}", self.money(ticks));
        self.line(depth, label, &rest);
    }

    fn pair(&mut self, depth: usize, label: &str, im: Ticks, mm: Ticks) {
        let rest = format!("{:>24} im {:>24} mm", self.money(im), self.money(mm));
        self.line(depth, label, &rest);
    }

    fn name(&self, instrument: InstrumentIx) -> String {
        self.arrays.instrument(instrument).map_or_else(String::new, |row| row.instrument.to_string())
    }

    fn scenario(&self, column: Option<usize>) -> String {
        let found = column.and_then(|c| self.arrays.scenarios.get(c).map(|s| (c, s)));
        found.map_or_else(|| "no scenario loses".to_owned(), |(c, s)| format!("scenario {c}: {}", s.label))
    }

    fn head(&mut self, report: &MarginReport) {
        let state = match report.state {
            State::Healthy => "healthy: equity covers initial margin",
            State::Call => "call: equity is below initial margin, no new risk",
            State::Liquidatable => "liquidatable: equity is below maintenance margin",
        };
        let rest = format!("{:?}, {} at {}", report.mode, self.arrays.currency, self.arrays.as_of);
        self.line(0, report.account.as_str(), &rest);
        self.line(0, "state", state);
        self.amount(0, "equity", report.equity);
        self.pair(0, "requirement", report.im, report.mm);
        self.pair(0, "excess", report.im_excess, report.mm_excess);
    }

    fn equity(&mut self, report: &MarginReport) {
        self.line(0, "equity is the sum of", "");
        for held in &report.collateral {
            let rest = format!(
                "{:>24} = {} x {} less haircut {}",
                self.money(held.counted),
                nano(held.amount_nano),
                decimal(i128::from(held.price), self.arrays.ticks_per_unit),
                self.money(held.haircut)
            );
            self.line(1, held.asset.as_str(), &rest);
        }
        self.amount(1, "marks of options and spot", report.marks);
        self.amount(1, "unrealised profit", report.unrealised);
    }

    fn underlying(&mut self, underlying: &UnderlyingReport) {
        let title = format!("{} scan loss", underlying.asset);
        let rest = format!("{:>24} in {}", self.money(underlying.scan_loss), self.scenario(underlying.worst));
        self.line(0, &title, &rest);
        if underlying.mm_worst != underlying.worst {
            let rest = format!(
                "{:>24} in {}",
                self.money(underlying.mm_scan_loss),
                self.scenario(underlying.mm_worst)
            );
            self.line(1, "for maintenance margin", &rest);
        }
        for part in underlying.contributions.iter().take(CONTRIBUTIONS_SHOWN) {
            let rest = format!("{:>24} from {} lots", self.money(part.pnl), part.lots.0);
            let name = self.name(part.instrument);
            self.line(1, &name, &rest);
        }
        if let Some(rest) =
            underlying.contributions.get(CONTRIBUTIONS_SHOWN..).filter(|rest| !rest.is_empty())
        {
            let sum = rest.iter().fold(0_i128, |sum, part| sum.saturating_add(part.pnl.0));
            self.amount(1, &format!("{} other positions", rest.len()), Ticks(sum));
        }
        let greeks = &underlying.greeks;
        self.amount(1, "delta (per 1.00 of spot)", greeks.delta);
        self.amount(1, "vega (per 1.00 of vol)", greeks.vega);
    }

    /// What a venue's method charges, part by part; a credit is negative.
    fn venue(&mut self, report: &MarginReport) {
        if !report.venue.is_empty() {
            self.line(0, "the venue charges", "");
        }
        for charge in &report.venue {
            let asset = charge.asset.as_ref().map_or_else(String::new, |asset| format!(" {asset}"));
            self.pair(1, &format!("{}{asset}", charge.code), charge.im, charge.mm);
        }
    }

    fn aggregate(&mut self, report: &MarginReport, params: &Params) {
        // A venue's charges are not made of scan losses, which are shown beside them.
        let by_venue = !report.venue.is_empty();
        let title = if by_venue { "= sum of the charges" } else { "aggregate loss" };
        self.pair(0, title, report.aggregate.im, report.aggregate.mm);
        if !by_venue {
            self.detail("initial", &report.im_detail);
            if report.mm_detail != report.im_detail {
                self.detail("maintenance", &report.mm_detail);
            }
        }
        self.amount(1, "netting against isolated", report.netting_benefit);
        let label = if report.mode == Mode::Fixed {
            "x ratio of notional (above)".to_owned()
        } else {
            format!("x im {}, mm {}", params.im_scale, params.mm_scale)
        };
        self.pair(0, &label, report.base.im, report.base.mm);
        self.pair(0, "+ rounding guard", report.guard.im, report.guard.mm);
    }

    fn detail(&mut self, measure: &str, detail: &AggregateDetail) {
        self.amount(1, &format!("{measure}: sum, no credit"), detail.sum);
        for (i, state) in detail.states.iter().enumerate() {
            let binds = if detail.worst_state == Some(i) { ", worst" } else { "" };
            let rest = format!(
                "{:>24} systematic ({}) + {} idiosyncratic{binds}",
                self.money(state.systematic),
                self.scenario(state.column),
                self.money(state.idiosyncratic)
            );
            self.line(1, &format!("correlation {:?}", state.state).to_lowercase(), &rest);
        }
        let parts = [
            ("floor under the factor loss", detail.floor),
            ("joint statistic", detail.joint),
            ("stressed statistic", detail.stressed),
            ("blend", detail.blended),
        ];
        for (label, value) in parts {
            if let Some(ticks) = value {
                self.amount(1, label, ticks);
            }
        }
    }

    fn span(&mut self, report: &MarginReport) {
        for leg in &report.span {
            self.line(0, &format!("{} SPAN", leg.asset), &self.scenario(Some(leg.active)));
            let parts = [
                ("scan loss", leg.scan_loss),
                ("+ inter-month charge", leg.intra),
                ("+ delivery charge", leg.spot),
                ("- inter-commodity credit", leg.inter_credit),
                ("short option minimum", leg.short_option_minimum),
                ("= risk", leg.risk),
                ("net option value", leg.option_value),
                ("requirement", leg.requirement),
            ];
            for (label, ticks) in parts {
                self.amount(1, label, ticks);
            }
        }
    }

    fn addon(&mut self, addon: &Addon) {
        self.pair(0, &format!("+ {} {}", addon.kind.code(), addon.asset), addon.im, addon.mm);
        for (name, value) in &addon.inputs {
            let rest = match value {
                Input::Money(ticks) => self.money(*ticks),
                Input::Ratio(ratio) => ratio.to_string(),
                Input::Seconds(seconds) => format!("{seconds} s"),
                Input::Count(count) => count.to_string(),
            };
            self.line(2, name, &format!("{rest:>24}"));
        }
    }

    fn totals(&mut self, report: &MarginReport) {
        if report.premium_relief != crate::Requirement::default() {
            self.pair(0, "- more than longs may lose", report.premium_relief.im, report.premium_relief.mm);
        }
        self.pair(0, "+ open orders", report.orders.extra.im, report.orders.extra.mm);
        self.pair(0, "= requirement", report.im, report.mm);
    }

    fn orders(&mut self, report: &MarginReport) {
        for (i, case) in report.orders.cases.iter().enumerate() {
            let label = match &case.case {
                OrderCase::Subset(which) => format!("orders {which:?} filled"),
                named => format!("orders filled: {named:?}").to_lowercase(),
            };
            let binds = if report.orders.im_case == Some(i) { " binds" } else { "" };
            self.pair(1, &format!("{label}{binds}"), case.margin.im, case.margin.mm);
        }
    }

    fn isolated(&mut self, report: &MarginReport) {
        for position in &report.isolated {
            let name = self.name(position.instrument);
            self.pair(0, &format!("{name} alone"), position.im, position.mm);
            self.pair(1, "excess", position.im_excess, position.mm_excess);
        }
    }
}

/// Billionths as a decimal.
fn nano(amount: i128) -> String {
    decimal(amount, plimsoll_types::NANO)
}
