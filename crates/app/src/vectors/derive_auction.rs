//! Derive's Dutch auction over PMRM, bid by bid.
//!
//! Amounts are integers of 1e-18; expiries are absolute seconds. The margins of every step are those of PMRM on the feeds
//! of the step, before and after the bid. The feeds of these files have no confidence of volatility: it is sure.

use super::derive_portfolio::{Quoted, Stated, Term, base_asset_terms};
use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::derive_auction::{Auction, AuctionTerms, Mark, Phase};
use plimsoll_margin::venue::derive_portfolio::{self as portfolio, Perpetual, Portfolio};
use plimsoll_quant::black::OptionKind;
use plimsoll_types::Fixed;
use serde_json::Value;

/// To what every amount and share is held.
const AMOUNT: Tolerance = Tolerance::Absolute(1e-6);

/// Whether the case is an auction.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("inputs").is_some_and(|i| i.get("auction_params").is_some())
}

/// Checks one case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    field::only(inputs, "inputs", &["initial", "auction_params", "margin_params", "start_time"])?;
    let terms = auction_terms(field::object(inputs, "auction_params")?)?;
    let margin_params = field::object(inputs, "margin_params")?;
    let mut account = Account::read(field::object(inputs, "initial")?)?;
    let start = seconds(inputs, "start_time")?;
    let (mut auction, fee) =
        terms.begin(account.mark(margin_params, start)?, start).map_err(|e| e.to_string())?;
    account.cash = account.cash - fee;
    if let Some(expected) = case.get("expected") {
        let begun = Computed::Map(vec![
            ("liquidation_fee", fee.into()),
            ("insolvent", Computed::Flag(auction.phase == Phase::Insolvent)),
        ]);
        ledger.against("", expected, &begun, AMOUNT);
    }
    for (number, step) in field::array(case, "steps")?.iter().enumerate() {
        field::only(step, "steps", &["time", "percent_wanted", "feeds", "expected", "recomputed"])?;
        let now = seconds(step, "time")?;
        account.feed(field::object(step, "feeds")?)?;
        let mut values = Vec::new();
        let before = account.mark(margin_params, now)?;
        let most = auction.most(&terms, before, now).map_err(|e| e.to_string())?;
        let (mtm, mm, bm) = (before.mtm, before.mm, terms.buffered(before));
        values.extend([("PreMtM", mtm), ("PreMM", mm), ("PreBM", bm), ("PreFMax", most)]);
        let wanted = field::fixed(step, "percent_wanted")?;
        let bid = auction.bid(&terms, before, now, wanted).map_err(|e| e.to_string())?;
        account.cash = bid.cash_after(&auction, account.cash);
        for option in &mut account.options {
            option.amount = option.amount * bid.kept();
        }
        auction = bid.auction;
        values.extend([("ExpectedBidPrice", bid.price), ("fLiquidatedOfOriginal", bid.share)]);
        values.extend(after(&account, &auction, &terms, (margin_params, now))?);
        let computed: Vec<(&str, Computed)> = values.into_iter().map(|(name, x)| (name, x.into())).collect();
        for section in ["expected", "recomputed"] {
            if let Some(expected) = step.get(section) {
                let name = format!("steps[{number}].{section}");
                ledger.against(&name, expected, &Computed::Map(computed.clone()), AMOUNT);
            }
        }
    }
    Ok(())
}

fn after(
    account: &Account,
    auction: &Auction,
    terms: &AuctionTerms,
    (margin_params, now): (&Value, i64),
) -> Result<[(&'static str, Fixed); 4], Reason> {
    let mark = account.mark(margin_params, now)?;
    let most = auction.most(terms, mark, now).map_err(|e| e.to_string())?;
    Ok([("PostMtM", mark.mtm), ("PostMM", mark.mm), ("PostBM", terms.buffered(mark)), ("PostFMax", most)])
}

fn auction_terms(params: &Value) -> Result<AuctionTerms, Reason> {
    let known = [
        "startingMtMPercentage",
        "fastAuctionCutoffPercentage",
        "fastAuctionLength",
        "slowAuctionLength",
        "insolventAuctionLength",
        "liquidatorFeeRate",
        "bufferMarginPercentage",
        "mtmCutoff",
    ];
    field::only(params, "auction_params", &known)?;
    let of = |name| field::fixed(params, name);
    Ok(AuctionTerms {
        start_share: of("startingMtMPercentage")?,
        fast_share: of("fastAuctionCutoffPercentage")?,
        fast_seconds: seconds(params, "fastAuctionLength")?,
        slow_seconds: seconds(params, "slowAuctionLength")?,
        insolvent_seconds: seconds(params, "insolventAuctionLength")?,
        fee_rate: of("liquidatorFeeRate")?,
        buffer: of("bufferMarginPercentage")?,
        mtm_cutoff: of("mtmCutoff")?,
    })
}

/// What is held, with the feeds of the moment.
struct Account {
    cash: Fixed,
    options: Vec<Holding>,
    feeds: Feeds,
}

struct Holding {
    expiry: i64,
    strike: Fixed,
    call: bool,
    vol: Fixed,
    amount: Fixed,
}

#[derive(Default)]
struct Feeds {
    spot: Fixed,
    confidence: Fixed,
    stable: Fixed,
    /// Expiry, forward, rate, least confidence of the two.
    expiries: Vec<(i64, Fixed, Fixed, Fixed)>,
}

/// The names of a step's feeds.
const FEEDS: [&str; 11] = [
    "SpotPrice",
    "SpotConfidence",
    "StablePrice",
    "FeedExpiries",
    "Forwards",
    "ForwardConfidences",
    "Rates",
    "RateConfidences",
    "OptionExpiries",
    "OptionStrikes",
    "OptionVols",
];

impl Account {
    fn read(initial: &Value) -> Result<Self, Reason> {
        let held = ["Cash", "OptionIsCall", "OptionAmounts"];
        field::only(initial, "initial", &[&FEEDS[..], &held[..]].concat())?;
        let columns = [
            integers(initial, "OptionExpiries")?,
            integers(initial, "OptionStrikes")?,
            integers(initial, "OptionIsCall")?,
            integers(initial, "OptionVols")?,
            integers(initial, "OptionAmounts")?,
        ];
        let rows = rows(columns)?;
        let option = |[expiry, strike, call, vol, amount]: [i128; 5]| {
            Ok(Holding {
                expiry: time(expiry)?,
                strike: Fixed::from_units(strike),
                call: match call {
                    0 => false,
                    1 => true,
                    other => return Err(format!("`OptionIsCall` is {other}: expected 0 or 1")),
                },
                vol: Fixed::from_units(vol),
                amount: Fixed::from_units(amount),
            })
        };
        Ok(Self {
            cash: Fixed::from_units(field::integer(initial, "Cash")?),
            options: rows.into_iter().map(option).collect::<Result<_, Reason>>()?,
            feeds: Feeds::read(initial)?,
        })
    }

    /// Takes the feeds of a step; every option held must have a volatility among them.
    fn feed(&mut self, feeds: &Value) -> Result<(), Reason> {
        field::only(feeds, "feeds", &FEEDS)?;
        self.feeds = Feeds::read(feeds)?;
        let columns = ["OptionExpiries", "OptionStrikes", "OptionVols"];
        let [expiries, strikes, vols] = columns.map(|name| integers(feeds, name));
        let quoted = rows([expiries?, strikes?, vols?])?;
        for option in &mut self.options {
            let strike = option.strike.known();
            let same = |row: &&[i128; 3]| row[0] == i128::from(option.expiry) && Some(row[1]) == strike;
            let found = quoted.iter().rfind(same);
            let row = found.ok_or_else(|| format!("no volatility of the strike {}", option.strike))?;
            option.vol = Fixed::from_units(row[2]);
        }
        Ok(())
    }

    /// Mark value and maintenance margin at a moment.
    fn mark(&self, margin_params: &Value, now: i64) -> Result<Mark, Reason> {
        let (terms, vols, _) = base_asset_terms(margin_params)?;
        let stated = Stated {
            terms,
            shocks: portfolio::test_set(),
            vols,
            held: Portfolio {
                spot: self.feeds.spot,
                confidence: self.feeds.confidence,
                stable: self.feeds.stable,
                cash: self.cash,
                perpetual: Perpetual::default(),
                expiries: Vec::new(),
                coins: Vec::new(),
            },
            options: self.terms(now)?,
        };
        let outcome = stated.outcome()?;
        Ok(Mark { mtm: outcome.mtm, mm: outcome.mm })
    }

    /// The options by expiry.
    fn terms(&self, now: i64) -> Result<Vec<Term>, Reason> {
        let mut terms: Vec<Term> = Vec::new();
        for (expiry, forward, rate, confidence) in &self.feeds.expiries {
            let of_it = self.options.iter().filter(|o| o.expiry == *expiry);
            let options = of_it.map(|o| Quoted {
                kind: if o.call { OptionKind::Call } else { OptionKind::Put },
                strike: o.strike.to_f64(),
                vol: o.vol.to_f64(),
                amount: o.amount,
            });
            let seconds = expiry.saturating_sub(now);
            terms.push(Term {
                seconds,
                forward: portfolio::settling(*forward, seconds),
                rate: *rate,
                confidence: *confidence,
                options: options.collect(),
            });
        }
        let fed = |o: &&Holding| !self.feeds.expiries.iter().any(|row| row.0 == o.expiry);
        match self.options.iter().find(fed) {
            Some(option) => Err(format!("no feed of the expiry at {} seconds", option.expiry)),
            None => Ok(terms),
        }
    }
}

impl Feeds {
    fn read(feeds: &Value) -> Result<Self, Reason> {
        let of = |name| field::integer(feeds, name).map(Fixed::from_units);
        let names = ["FeedExpiries", "Forwards", "Rates", "ForwardConfidences", "RateConfidences"];
        let [expiries, forwards, rates, sure_of_forward, sure_of_rate] = names.map(|n| integers(feeds, n));
        let rows = rows([expiries?, forwards?, rates?, sure_of_forward?, sure_of_rate?])?;
        let row = |[expiry, forward, rate, a, b]: [i128; 5]| {
            let fixed = Fixed::from_units;
            Ok((time(expiry)?, fixed(forward), fixed(rate), fixed(a.min(b))))
        };
        Ok(Self {
            spot: of("SpotPrice")?,
            confidence: of("SpotConfidence")?,
            stable: of("StablePrice")?,
            expiries: rows.into_iter().map(row).collect::<Result<_, Reason>>()?,
        })
    }
}

fn integers(value: &Value, name: &str) -> Result<Vec<i128>, Reason> {
    field::array(value, name)?.iter().map(|item| field::as_integer(item, name)).collect()
}

/// Columns of the same length as rows.
fn rows<const N: usize>(columns: [Vec<i128>; N]) -> Result<Vec<[i128; N]>, Reason> {
    let length = columns.first().map_or(0, Vec::len);
    if columns.iter().any(|column| column.len() != length) {
        return Err("lists of one section have different lengths".to_owned());
    }
    Ok((0..length).map(|row| std::array::from_fn(|column| columns[column][row])).collect())
}

fn seconds(value: &Value, name: &str) -> Result<i64, Reason> {
    time(field::integer(value, name)?)
}

fn time(seconds: i128) -> Result<i64, Reason> {
    i64::try_from(seconds).map_err(|_| format!("a time of {seconds} seconds is too far"))
}
