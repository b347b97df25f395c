//! Derive's portfolio margin: PMRM and PMRM_2.
//!
//! The net margins, every scenario, every contingency and the binding scenario are compared. A case that the venue itself
//! does not run, because it refuses the set, is right when the set is refused here. Where scenarios tie within the
//! tolerance, each of them may be the one that binds: which one it is is decided by the last digits of prices.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::venue::derive_portfolio::{
    self as portfolio, AccountTerms, Basis, Coin, CoinRule, Confidence, Discount, Expiry, Outcome, Peg,
    Perpetual, Portfolio, Rates, Shock, Terms, VolShift,
};
use plimsoll_quant::black::OptionKind;
use plimsoll_quant::svi::Svi;
use plimsoll_risk::{Move, OptionLeg, SkewShock, Sticky, VolShock, VolShockKind, revalue};
use plimsoll_types::{Asset, Fixed, YEAR_SECONDS};
use serde_json::Value;
use std::collections::BTreeMap;

/// An up move of no size, which leaves volatility as it is and still ends at the floor.
const LEAST_UP: f64 = 1e-300;
/// The least volatility a contract of 18 decimals can hold.
const LEAST_VOL: f64 = 1e-18;
/// To what PMRM_2 is held: tighter than the 1e-8 of the files' list.
const RELATIVE: f64 = 1e-9;
/// To what PMRM is held.
const ABSOLUTE: f64 = 1e-6;

/// Whether the case is a portfolio of PMRM_2 or PMRM.
pub(super) fn recognise(case: &Value) -> bool {
    let inputs = case.get("inputs");
    let has = |name| inputs.is_some_and(|i| i.get(name).is_some());
    has("scenarios") && (has("expiry_feeds") || has("portfolio"))
}

/// Checks one case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let expected = field::object(case, "expected")?;
    if inputs.get("portfolio").is_some() {
        return check_base_asset(inputs, expected, ledger);
    }
    let read = read_listed(inputs)?;
    let disabled = case.get("disabled_upstream").and_then(Value::as_bool) == Some(true);
    let refused = portfolio::check_set(&read.shocks).map_err(|e| e.to_string());
    if let (true, Err(reason)) = (disabled, &refused) {
        ledger.label("set", "refused", format!("refused: {reason}"), true);
        return Ok(());
    }
    refused?;
    let outcome = read.outcome().map_err(|e| e.to_string())?;
    let mut rest = expected.clone();
    let index = rest.as_object_mut().and_then(|keys| keys.remove("worst_scenario_index"));
    let tolerance = Tolerance::Either { relative: RELATIVE, absolute: RELATIVE };
    ledger.against("", &rest, &computed(&outcome), tolerance);
    if let Some(index) = index {
        binding(&index, expected, &outcome, ledger)?;
    }
    Ok(())
}

/// The binding scenario: the one published, or one that ties with it within the tolerance in the published numbers.
fn binding(index: &Value, expected: &Value, outcome: &Outcome, ledger: &mut Ledger) -> Result<(), Reason> {
    let name = "worst_scenario_index";
    let published = field::as_integer(index, name)?;
    let computed = i128::try_from(outcome.worst).map_err(|e| e.to_string())?;
    let loss = |place: i128| -> Result<f64, Reason> {
        let all = field::array(expected, "scenario_pnl")?;
        match usize::try_from(place).ok().filter(|place| *place <= all.len()) {
            Some(place) if place < all.len() => field::as_number(&all[place], "scenario_pnl"),
            Some(_) => field::number(expected, "basis_contingency"),
            None => Err(format!("`{name}` is {place}: expected one of the scenarios")),
        }
    };
    let agrees = published == computed || {
        let (a, b) = (loss(published)?, loss(computed)?);
        (a - b).abs() <= RELATIVE * a.abs().max(1.0)
    };
    ledger.label(name, published.to_string(), computed.to_string(), agrees);
    Ok(())
}

fn computed(outcome: &Outcome) -> Computed {
    let cost = |charge: Fixed| Computed::from(-charge);
    Computed::Map(vec![
        ("IM", outcome.im.into()),
        ("MM", outcome.mm.into()),
        ("option_mtm", outcome.option_mtm.into()),
        ("portfolio_mtm", outcome.mtm.into()),
        ("scenario_pnl", Computed::List(outcome.scenario_pnl.iter().map(|x| (*x).into()).collect())),
        ("basis_contingency", outcome.basis_contingency.into()),
        ("oracle_contingency", cost(outcome.confidence)),
        ("mm_perp_cont", cost(outcome.perpetual.mm)),
        ("im_perp_cont", cost(outcome.perpetual.im_add)),
        ("mm_option_cont", cost(outcome.option.mm)),
        ("im_option_cont", cost(outcome.option.im_add)),
    ])
}

/// Everything a margin is made of, as a case gives it.
pub(super) struct Stated {
    pub(super) terms: Terms,
    pub(super) shocks: Vec<Shock>,
    pub(super) vols: VolMoves,
    pub(super) held: Portfolio,
    pub(super) options: Vec<Term>,
}

/// What the shocks of a set do to volatility.
pub(super) struct VolMoves {
    pub(super) shock: VolShock,
    pub(super) up: f64,
    pub(super) down: f64,
    pub(super) linear: Option<SkewShock>,
    pub(super) abs: Option<SkewShock>,
}

/// The options of one expiry with their market.
pub(super) struct Term {
    pub(super) seconds: i64,
    /// The forward as the part averaged and the part that moves.
    pub(super) forward: (Fixed, Fixed),
    pub(super) rate: Fixed,
    pub(super) confidence: Fixed,
    pub(super) options: Vec<Quoted>,
}

/// An option with its volatility.
#[derive(Clone)]
pub(super) struct Quoted {
    pub(super) kind: OptionKind,
    pub(super) strike: f64,
    pub(super) vol: f64,
    pub(super) amount: Fixed,
}

impl Stated {
    /// The margins, with every expiry revalued under every shock.
    pub(super) fn outcome(&self) -> Result<Outcome, Reason> {
        let mut held = self.held.clone();
        for term in &self.options {
            held.expiries.push(self.expiry(term)?);
        }
        portfolio::evaluate(&self.terms, &self.shocks, &held).map_err(|e: VenueError| e.to_string())
    }

    fn expiry(&self, term: &Term) -> Result<Expiry, Reason> {
        let flat = |spot| self.value(term, spot, VolShift::None);
        let strike = |o: &Quoted| Fixed::from_f64(o.strike).map_err(|e| e.to_string());
        let rows = term.options.iter().map(|o| Ok((strike(o)?, o.kind == OptionKind::Call, o.amount)));
        let rows: Vec<(Fixed, bool, Fixed)> = rows.collect::<Result<_, Reason>>()?;
        let shocked = self.shocks.iter().map(|s| self.value(term, s.spot, s.vol));
        Ok(Expiry {
            seconds: term.seconds,
            rate: term.rate,
            confidence: term.confidence,
            mtm: flat(Fixed::ONE)?,
            at_basis: (flat(self.terms.basis.up)?, flat(self.terms.basis.down)?),
            shocked: shocked.collect::<Result<_, _>>()?,
            size: rows.iter().map(|row| row.2.abs()).sum(),
            naked: portfolio::naked(rows).map_err(|e| e.to_string())?,
        })
    }

    /// Value of an expiry under a shock.
    fn value(&self, term: &Term, spot: Fixed, vol: VolShift) -> Result<Fixed, Reason> {
        let forward = portfolio::forward(term.forward.0, term.forward.1, spot).to_f64();
        let (shock, by) = self.vols.of(vol)?;
        let price = |option: &Quoted| {
            let leg = OptionLeg {
                kind: option.kind,
                strike: option.strike,
                fixed: forward,
                variable: 0.0,
                vol: option.vol.max(LEAST_VOL),
                tau: term.seconds as f64 / YEAR_SECONDS as f64,
            };
            let price = revalue(&leg, &shock, &by).map_err(|e| e.to_string())?;
            Ok((option.amount, Fixed::from_f64(price).map_err(|e| e.to_string())?))
        };
        let priced: Vec<(Fixed, Fixed)> = term.options.iter().map(price).collect::<Result<_, Reason>>()?;
        Ok(portfolio::expiry_value(&priced, self.terms.discount(term.rate, term.seconds)))
    }
}

impl VolMoves {
    /// The move and the form of the shock. An up move of no size still ends at the floor.
    fn of(&self, vol: VolShift) -> Result<(VolShock, Move), Reason> {
        let still = Move::default();
        let form = |skew: Option<SkewShock>| {
            let skew = skew.ok_or_else(|| "unsupported: a skew scenario without its form".to_owned())?;
            Ok::<_, Reason>(VolShock { skew: Some(skew), ..self.shock })
        };
        Ok(match vol {
            VolShift::Up => (self.shock, Move { vol: self.up.max(LEAST_UP), ..still }),
            VolShift::Down => (self.shock, Move { vol: -self.down, ..still }),
            VolShift::None => (self.shock, still),
            VolShift::Linear => (form(self.linear)?, Move { skew: 1.0, ..still }),
            VolShift::Abs => (form(self.abs)?, Move { wing: 1.0, ..still }),
        })
    }
}

/// What the published formulas do not need.
fn no_account() -> Result<AccountTerms, Reason> {
    Ok(AccountTerms {
        rate: Fixed::ZERO,
        stable: "USDC".parse::<Asset>().map_err(|e| e.to_string())?,
        half_width_at_zero: Fixed::ONE,
        coins: BTreeMap::new(),
        premium_cap: false,
    })
}

fn shocks(inputs: &Value) -> Result<Vec<Shock>, Reason> {
    let shock = |row: &Value| {
        field::only(row, "scenarios", &["spot_mult", "vol", "dampening"])?;
        let vol = match field::text(row, "vol")?.to_ascii_lowercase().as_str() {
            "up" => VolShift::Up,
            "down" => VolShift::Down,
            "none" => VolShift::None,
            "linear" => VolShift::Linear,
            "abs" => VolShift::Abs,
            other => return Err(format!("unsupported: a volatility shock `{other}`")),
        };
        // PMRM's sets have no damping: every scenario counts in full.
        let damping = field::fixed_if_any(row, "dampening")?.unwrap_or(Fixed::ONE);
        Ok(Shock { spot: field::fixed(row, "spot_mult")?, vol, damping })
    };
    field::array(inputs, "scenarios")?.iter().map(shock).collect()
}

fn relative_shock(powers: (f64, f64), dte_floor: f64, min_vol_up: f64) -> VolShock {
    let (power_short, power_long) = powers;
    VolShock {
        kind: VolShockKind::Relative,
        power_short,
        power_long,
        dte_floor,
        min_vol_up,
        skew: None,
        sticky: Sticky::Strike,
    }
}

// ------------------------------------------------------------------------------------------------ PMRM_2

fn read_listed(inputs: &Value) -> Result<Stated, Reason> {
    let known = [
        "spot",
        "spot_confidence",
        "stable_price",
        "cash",
        "perp",
        "collaterals",
        "options",
        "expiry_feeds",
        "scenarios",
        "params",
    ];
    field::only(inputs, "inputs", &known)?;
    let params = field::object(inputs, "params")?;
    Ok(Stated {
        terms: listed_terms(params)?,
        shocks: shocks(inputs)?,
        vols: listed_vols(params)?,
        held: Portfolio {
            spot: field::fixed(inputs, "spot")?,
            confidence: field::fixed(inputs, "spot_confidence")?,
            stable: field::fixed(inputs, "stable_price")?,
            cash: field::fixed(inputs, "cash")?,
            perpetual: listed_perpetual(field::object(inputs, "perp")?)?,
            expiries: Vec::new(),
            coins: field::array(inputs, "collaterals")?.iter().map(coin).collect::<Result<_, _>>()?,
        },
        options: listed_options(inputs)?,
    })
}

fn listed_terms(params: &Value) -> Result<Terms, Reason> {
    field::only(
        params,
        "params",
        &["SkewShock", "VolShock", "Margin", "BasisContingency", "OtherContingency"],
    )?;
    let (margin, basis) = (field::object(params, "Margin")?, field::object(params, "BasisContingency")?);
    let other = field::object(params, "OtherContingency")?;
    let factors = ["MM_LOSS_FACTOR", "IM_LOSS_FACTOR", "BASE_STATIC_DISCOUNT", "BASE_STATIC_DISCOUNT_NEG"];
    let rates = ["SHORT_RATE_MULTSCALE", "LONG_RATE_MULTSCALE", "SHORT_RATE_ADDSCALE", "LONG_RATE_ADDSCALE"];
    field::only(margin, "Margin", &[factors, rates].concat())?;
    let moves = ["SCENARIO_SPOT_UP", "SCENARIO_SPOT_DOWN", "BASIS_CONT_ADD_FACTOR", "BASIS_CONT_MULT_FACTOR"];
    field::only(basis, "BasisContingency", &moves)?;
    // The two NORMAL rates are those of another manager, given beside; PMRM_2 does not use them.
    let others = [
        "PEG_LOSS_THRESHOLD",
        "PEG_LOSS_FACTOR",
        "CONF_THRESHOLD",
        "CONF_MARGIN",
        "MM_PERP_PERCENT",
        "IM_PERP_PERCENT",
        "IM_PERP_PERCENT_NORMAL",
        "MM_OPTION_PERCENT",
        "IM_OPTION_PERCENT",
        "IM_OPTION_PERCENT_NORMAL",
    ];
    field::only(other, "OtherContingency", &others)?;
    let of = field::fixed;
    Ok(Terms {
        im_factor: of(margin, "IM_LOSS_FACTOR")?,
        mm_factor: of(margin, "MM_LOSS_FACTOR")?,
        contingency_scaled: false,
        discounted: true,
        coins: CoinRule::InStable,
        peg: Peg { threshold: of(other, "PEG_LOSS_THRESHOLD")?, factor: of(other, "PEG_LOSS_FACTOR")? },
        confidence: Confidence { threshold: of(other, "CONF_THRESHOLD")?, margin: of(other, "CONF_MARGIN")? },
        perpetual: Rates { mm: of(other, "MM_PERP_PERCENT")?, im_add: of(other, "IM_PERP_PERCENT")? },
        option: Rates { mm: of(other, "MM_OPTION_PERCENT")?, im_add: of(other, "IM_OPTION_PERCENT")? },
        long_discount: Discount {
            base: of(margin, "BASE_STATIC_DISCOUNT")?,
            rate_mult: of(margin, "LONG_RATE_MULTSCALE")?,
            rate_add: of(margin, "LONG_RATE_ADDSCALE")?,
        },
        short_discount: Discount {
            base: of(margin, "BASE_STATIC_DISCOUNT_NEG")?,
            rate_mult: of(margin, "SHORT_RATE_MULTSCALE")?,
            rate_add: of(margin, "SHORT_RATE_ADDSCALE")?,
        },
        basis: Basis {
            up: of(basis, "SCENARIO_SPOT_UP")?,
            down: of(basis, "SCENARIO_SPOT_DOWN")?,
            add: of(basis, "BASIS_CONT_ADD_FACTOR")?,
            mult: of(basis, "BASIS_CONT_MULT_FACTOR")?,
        },
        account: no_account()?,
    })
}

fn listed_vols(params: &Value) -> Result<VolMoves, Reason> {
    let (vol, skew) = (field::object(params, "VolShock")?, field::object(params, "SkewShock")?);
    let names = [
        "VOLRANGEUP",
        "MIN_VOL_EVAL_SHOCKED",
        "VOLRANGEDOWN",
        "SHORTTERMPOWER",
        "LONGTERMPOWER",
        "DTE_FLOOR",
    ];
    field::only(vol, "VolShock", &names)?;
    let caps = ["LINEAR_SCALE_CAP", "LINEAR_CBASE", "ABS_SCALE_CAP", "ABS_CBASE"];
    let widths = ["MIN_K_STAR", "MIN_WIDTH_SCALE", "VOL_PARAM_STATIC", "VOL_PARAM_SCALE"];
    field::only(skew, "SkewShock", &[caps, widths].concat())?;
    let of = field::number;
    let form = |cap: &str, per_root_year: &str| {
        Ok::<_, Reason>(SkewShock {
            cap_base: of(skew, cap)?,
            cap_per_root_year: of(skew, per_root_year)?,
            k_min: of(skew, "MIN_K_STAR")?,
            width: of(skew, "MIN_WIDTH_SCALE")?,
            k_static: of(skew, "VOL_PARAM_STATIC")?,
            k_per_root_year: of(skew, "VOL_PARAM_SCALE")?,
        })
    };
    let powers = (of(vol, "SHORTTERMPOWER")?, of(vol, "LONGTERMPOWER")?);
    Ok(VolMoves {
        shock: relative_shock(powers, of(vol, "DTE_FLOOR")?, of(vol, "MIN_VOL_EVAL_SHOCKED")?),
        up: of(vol, "VOLRANGEUP")?,
        down: of(vol, "VOLRANGEDOWN")?,
        linear: Some(form("LINEAR_SCALE_CAP", "LINEAR_CBASE")?),
        abs: Some(form("ABS_SCALE_CAP", "ABS_CBASE")?),
    })
}

fn listed_perpetual(perp: &Value) -> Result<Perpetual, Reason> {
    let known = ["position", "price", "confidence", "unrealised_pnl", "unrealised_funding"];
    field::only(perp, "perp", &known)?;
    let of = |name| field::fixed(perp, name);
    let (size, price, confidence) = (of("position")?, of("price")?, of("confidence")?);
    Ok(Perpetual::at(size, price, confidence, of("unrealised_pnl")?, of("unrealised_funding")?))
}

fn coin(row: &Value) -> Result<Coin, Reason> {
    let known = [
        "name",
        "amount",
        "price",
        "confidence",
        "is_risk_cancelling",
        "mm_haircut",
        "im_haircut_additional",
    ];
    field::only(row, "collaterals", &known)?;
    Ok(Coin {
        amount: field::fixed(row, "amount")?,
        price: field::fixed(row, "price")?,
        confidence: field::fixed(row, "confidence")?,
        cancelling: field::flag(row, "is_risk_cancelling")?,
        haircut: Rates {
            mm: field::fixed(row, "mm_haircut")?,
            im_add: field::fixed(row, "im_haircut_additional")?,
        },
    })
}

/// The smile of a feed, with the forward and the years of its fit.
type Fit = (Svi, f64, f64);

/// The expiries with their options; an option of an expiry without a feed is a reason, and so is a second feed.
fn listed_options(inputs: &Value) -> Result<Vec<Term>, Reason> {
    let feeds = field::array(inputs, "expiry_feeds")?;
    let mut terms: Vec<(Term, Option<Fit>)> = Vec::new();
    for feed in feeds {
        let term = listed_term(feed)?;
        if terms.iter().any(|(known, _)| known.seconds == term.0.seconds) {
            return Err(format!("unsupported: two feeds at {} seconds", term.0.seconds));
        }
        terms.push(term);
    }
    for row in field::array(inputs, "options")? {
        field::only(row, "options", &["sec_to_expiry", "strike", "is_call", "amount", "vol"])?;
        let seconds = whole_seconds(row)?;
        let at = terms.iter_mut().find(|(term, _)| term.seconds == seconds);
        let (term, svi) = at.ok_or_else(|| format!("no feed of the expiry in {seconds} seconds"))?;
        let strike = field::number(row, "strike")?;
        let vol = match (field::number_if_any(row, "vol")?, svi) {
            (Some(vol), _) => vol,
            (None, Some((svi, forward, tau))) => svi.vol_clamped(strike, *forward, *tau),
            (None, None) => return Err("`vol` is missing and the feed has no `svi`".to_owned()),
        };
        let amount = field::fixed(row, "amount")?;
        term.options.push(Quoted { kind: kind(field::flag(row, "is_call")?), strike, vol, amount });
    }
    Ok(terms.into_iter().map(|(term, _)| term).collect())
}

fn listed_term(feed: &Value) -> Result<(Term, Option<Fit>), Reason> {
    let known = [
        "sec_to_expiry",
        "forward",
        "forward_confidence",
        "rate",
        "rate_confidence",
        "vol_confidence",
        "svi",
    ];
    field::only(feed, "expiry_feeds", &known)?;
    let seconds = whole_seconds(feed)?;
    let sure = |name| field::fixed(feed, name);
    let confidence = sure("forward_confidence")?.min(sure("rate_confidence")?).min(sure("vol_confidence")?);
    let svi = match feed.get("svi") {
        None | Some(Value::Null) => None,
        Some(svi) => {
            field::only(svi, "svi", &["a", "b", "rho", "m", "sigma", "fwd", "tau"])?;
            let of = |name| field::number(svi, name);
            let fit = Svi { a: of("a")?, b: of("b")?, rho: of("rho")?, m: of("m")?, sigma: of("sigma")? };
            Some((fit, of("fwd")?, of("tau")?))
        }
    };
    let forward = portfolio::settling(field::fixed(feed, "forward")?, seconds);
    let rate = field::fixed(feed, "rate")?;
    Ok((Term { seconds, forward, rate, confidence, options: Vec::new() }, svi))
}

fn whole_seconds(row: &Value) -> Result<i64, Reason> {
    let seconds = field::integer(row, "sec_to_expiry")?;
    i64::try_from(seconds).map_err(|_| format!("`sec_to_expiry` is {seconds}: too far"))
}

fn kind(call: bool) -> OptionKind {
    if call { OptionKind::Call } else { OptionKind::Put }
}

// ------------------------------------------------------------------------------------------------ PMRM

fn check_base_asset(inputs: &Value, expected: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    field::only(inputs, "inputs", &["portfolio", "params", "scenarios"])?;
    let read = read_base_asset(inputs)?;
    let outcome = read.outcome()?;
    let mut rest = expected.clone();
    let mut taken = |name: &str| rest.as_object_mut().and_then(|keys| keys.remove(name));
    match taken("compare")
        .as_ref()
        .map(|how| how.as_str().unwrap_or_default().starts_with("trunc toward zero"))
    {
        None | Some(true) => {}
        Some(false) => return Err("unsupported: another way to compare".to_owned()),
    }
    let whole = [("IM_trunc", "IM_recomputed", outcome.im), ("MM_trunc", "MM_recomputed", outcome.mm)];
    for (name, again, computed) in whole {
        if let Some(value) = taken(name) {
            ledger.truncated(name, &value, computed, expected.get(again))?;
        }
    }
    if let Some(exact) = taken("exact_1e18") {
        field::only(&exact, "exact_1e18", &["IM", "MM"])?;
        for (name, quantity, computed) in
            [("IM", "exact_1e18.IM", outcome.im), ("MM", "exact_1e18.MM", outcome.mm)]
        {
            let units = Fixed::from_units(field::integer(&exact, name)?);
            ledger.number(quantity, units.to_f64(), computed.to_f64(), Tolerance::Absolute(ABSOLUTE));
        }
    }
    if let Some(index) = taken("worst_scenario_index") {
        binding(&index, expected, &outcome, ledger)?;
    }
    let Computed::Map(mut values) = computed(&outcome) else { return Err("values by name".to_owned()) };
    values.extend([("IM_recomputed", outcome.im.into()), ("MM_recomputed", outcome.mm.into())]);
    ledger.against("", &rest, &Computed::Map(values), Tolerance::Absolute(ABSOLUTE));
    Ok(())
}

fn read_base_asset(inputs: &Value) -> Result<Stated, Reason> {
    let stated = field::object(inputs, "portfolio")?;
    let known =
        ["spot", "spotConf", "stable", "perpPx", "perpConf", "cash", "perp", "perpValue", "base", "expiries"];
    field::only(stated, "portfolio", &known)?;
    let of = |name| field::fixed(stated, name);
    let (terms, vols, haircut) = base_asset_terms(field::object(inputs, "params")?)?;
    let base = Coin {
        amount: of("base")?,
        price: of("spot")?,
        confidence: of("spotConf")?,
        cancelling: true,
        haircut,
    };
    let expiries = field::array(stated, "expiries")?;
    Ok(Stated {
        terms,
        shocks: shocks(inputs)?,
        vols,
        held: Portfolio {
            spot: of("spot")?,
            confidence: of("spotConf")?,
            stable: of("stable")?,
            cash: of("cash")?,
            perpetual: Perpetual::at(
                of("perp")?,
                of("perpPx")?,
                of("perpConf")?,
                of("perpValue")?,
                Fixed::ZERO,
            ),
            expiries: Vec::new(),
            coins: vec![base],
        },
        options: expiries.iter().map(base_asset_expiry).collect::<Result<_, _>>()?,
    })
}

/// PMRM's parameters: the general method without discounting, damping, or rates of initial margin, and the haircut of
/// the base asset. Also what the auction is margined by.
pub(super) fn base_asset_terms(params: &Value) -> Result<(Terms, VolMoves, Rates), Reason> {
    field::only(params, "params", &["basis", "other", "margin", "vol"])?;
    let (basis, other) = (field::object(params, "basis")?, field::object(params, "other")?);
    let (margin, vol) = (field::object(params, "margin")?, field::object(params, "vol")?);
    field::only(basis, "basis", &["up", "down", "add", "mult"])?;
    field::only(other, "other", &["pegT", "pegF", "confT", "confM", "base", "perp", "option"])?;
    field::only(margin, "margin", &["im", "bsd", "rm", "ra"])?;
    field::only(vol, "vol", &["up", "down", "sp", "lp", "dte"])?;
    let of = field::fixed;
    let rate = |name| Ok::<_, Reason>(Rates { mm: of(other, name)?, im_add: Fixed::ZERO });
    let terms = Terms {
        im_factor: of(margin, "im")?,
        mm_factor: Fixed::ONE,
        contingency_scaled: true,
        discounted: false,
        coins: CoinRule::AtIndex,
        peg: Peg { threshold: of(other, "pegT")?, factor: of(other, "pegF")? },
        confidence: Confidence { threshold: of(other, "confT")?, margin: of(other, "confM")? },
        perpetual: rate("perp")?,
        option: rate("option")?,
        long_discount: Discount {
            base: of(margin, "bsd")?,
            rate_mult: of(margin, "rm")?,
            rate_add: of(margin, "ra")?,
        },
        short_discount: Discount { base: Fixed::ONE, rate_mult: Fixed::ZERO, rate_add: Fixed::ZERO },
        basis: Basis {
            up: of(basis, "up")?,
            down: of(basis, "down")?,
            add: of(basis, "add")?,
            mult: of(basis, "mult")?,
        },
        account: no_account()?,
    };
    let number = |name| field::number(vol, name);
    let days = number("dte")? / 86_400.0;
    let vols = VolMoves {
        shock: relative_shock((number("sp")?, number("lp")?), days, 0.0),
        up: number("up")?,
        down: number("down")?,
        linear: None,
        abs: None,
    };
    Ok((terms, vols, rate("base")?))
}

fn base_asset_expiry(row: &Value) -> Result<Term, Reason> {
    field::only(row, "expiries", &["sec", "fix", "var", "fconf", "rate", "rconf", "vconf", "options"])?;
    let of = |name| field::fixed(row, name);
    let option = |row: &Value| {
        field::only(row, "options", &["strike", "vol", "amount", "is_call"])?;
        Ok(Quoted {
            kind: kind(field::flag(row, "is_call")?),
            strike: field::number(row, "strike")?,
            vol: field::number(row, "vol")?,
            amount: field::fixed(row, "amount")?,
        })
    };
    let seconds = field::integer(row, "sec")?;
    Ok(Term {
        seconds: i64::try_from(seconds).map_err(|_| format!("`sec` is {seconds}: too far"))?,
        forward: (of("fix")?, of("var")?),
        rate: of("rate")?,
        confidence: of("fconf")?.min(of("rconf")?).min(of("vconf")?),
        options: field::array(row, "options")?.iter().map(option).collect::<Result<_, Reason>>()?,
    })
}
