//! The rules, one quote at a time.

use super::{GuardParams, GuardedMarket};
use crate::forwards::forwards;
use plimsoll_types::{
    Asset, Depth, ExternalSlice, Forward, FutureQuote, Issue, OptionQuote, PerpQuote, Reason, Timestamp,
};

/// How often per year a dated future is given the allowance of a perpetual once more. At 10 % that is a basis of 40 % a
/// year; three-month bitcoin futures of April 2021 stood near that.
const ALLOWANCES_PER_YEAR: f64 = 4.0;
/// Largest relative distance of the forward an external smile was fitted on from the market's.
const SMILE_FORWARD_MAX: f64 = 0.05;
/// Largest relative distance of an external smile's time to expiry from what its two instants say.
const SMILE_TAU_MAX: f64 = 0.01;
/// The same in seconds; the larger of the two counts.
const SMILE_TAU_SECONDS_MAX: i64 = 3600;

/// The instant to judge ages against, and the limits.
#[derive(Clone, Copy)]
pub(super) struct Times<'a> {
    pub(super) as_of: Timestamp,
    pub(super) params: &'a GuardParams,
}

/// The rules for one underlying, and where refusals go.
pub(super) struct Checks<'a> {
    pub(super) asset: &'a Asset,
    pub(super) times: Times<'a>,
    pub(super) issues: &'a mut Vec<Issue>,
}

/// Mark, bid and ask.
type Prices = (Option<f64>, Option<f64>, Option<f64>);

/// Whose field is judged.
#[derive(Clone, Copy)]
struct Subject<'a> {
    name: &'a str,
    expiry: Option<Timestamp>,
}

impl Checks<'_> {
    pub(super) fn refuse(&mut self, reason: Reason, subject: &str, number: Option<(f64, Option<f64>)>) {
        self.refuse_at(reason, Subject { name: subject, expiry: None }, number);
    }

    fn refuse_at(&mut self, reason: Reason, subject: Subject, number: Option<(f64, Option<f64>)>) {
        let issue = Issue::new(reason, subject.name).at(self.asset, subject.expiry);
        self.issues.push(match number {
            Some((value, limit)) => issue.with(value, limit),
            None => issue,
        });
    }

    /// Whether an item is neither too old nor dated in the future.
    pub(super) fn is_current(&mut self, name: &str, time: Timestamp, age_max: f64) -> bool {
        self.is_current_at(Subject { name, expiry: None }, time, age_max)
    }

    fn is_current_at(&mut self, subject: Subject, time: Timestamp, age_max: f64) -> bool {
        let age = time.seconds_until(self.times.as_of);
        let ahead_max = self.times.params.future_seconds_max;
        if age > age_max {
            self.refuse_at(Reason::Stale, subject, Some((age, Some(age_max))));
            return false;
        }
        if -age > ahead_max {
            self.refuse_at(Reason::Future, subject, Some((-age, Some(ahead_max))));
            return false;
        }
        true
    }

    fn is_alive(&mut self, subject: Subject) -> bool {
        let alive = subject.expiry.is_none_or(|expiry| expiry > self.times.as_of);
        if !alive {
            self.refuse_at(Reason::Expired, subject, None);
        }
        alive
    }

    /// The number if it is finite and positive; otherwise an issue about `name.field`.
    pub(super) fn positive(&mut self, name: &str, field: &str, value: f64) -> Option<f64> {
        self.positive_at(Subject { name, expiry: None }, field, value)
    }

    fn positive_at(&mut self, subject: Subject, field: &str, value: f64) -> Option<f64> {
        let reason = if !value.is_finite() {
            Reason::NonFinite
        } else if value <= 0.0 {
            Reason::NonPositive
        } else {
            return Some(value);
        };
        let name = format!("{}.{field}", subject.name);
        self.refuse_at(reason, Subject { name: &name, ..subject }, Some((value, None)));
        None
    }

    /// The two sides that are sound, none of them when bid is above ask.
    fn sides(&mut self, subject: Subject, bid: Option<f64>, ask: Option<f64>) -> (Option<f64>, Option<f64>) {
        let bid = bid.and_then(|x| self.positive_at(subject, "bid", x));
        let ask = ask.and_then(|x| self.positive_at(subject, "ask", x));
        if let (Some(b), Some(a)) = (bid, ask)
            && b > a
        {
            self.refuse_at(Reason::Crossed, subject, Some((b, Some(a))));
            return (None, None);
        }
        (bid, ask)
    }

    /// The mark and the two sides that are near enough to the index, and a mark near enough to its own two sides.
    ///
    /// Both sides go where their middle, which would stand in for a mark, is off the index.
    fn near_index(
        &mut self,
        subject: Subject,
        (mark, bid, ask): Prices,
        (index, limit): (f64, f64),
    ) -> Prices {
        let mark = mark.filter(|&x| self.is_within(subject, "mark", x / index - 1.0, limit));
        let own = self.times.params.mark_divergence_max;
        let outside = |x: f64| {
            let under = bid.map_or(0.0, |bid| (1.0 - x / bid).max(0.0));
            let over = ask.map_or(0.0, |ask| (x / ask - 1.0).max(0.0));
            under.max(over)
        };
        let mark = mark.filter(|&x| self.is_within(subject, "mark", outside(x), own));
        let Some((low, high)) = bid.zip(ask) else { return (mark, bid, ask) };
        let middle = low + 0.5 * (high - low);
        if self.is_within(subject, "middle", middle / index - 1.0, limit) {
            (mark, bid, ask)
        } else {
            (mark, None, None)
        }
    }

    /// Whether a relative distance is within its limit; otherwise an issue about `name.field`.
    fn is_within(&mut self, subject: Subject, field: &str, distance: f64, limit: f64) -> bool {
        let within = distance.abs() <= limit;
        if !within {
            let name = format!("{}.{field}", subject.name);
            self.refuse_at(
                Reason::Outlier,
                Subject { name: &name, ..subject },
                Some((distance, Some(limit))),
            );
        }
        within
    }

    /// Largest relative distance from the index of a price for delivery at `expiry`.
    fn basis_max(&self, expiry: Option<Timestamp>) -> f64 {
        let years = expiry.map_or(0.0, |expiry| self.times.as_of.years_until(expiry).max(0.0));
        self.times.params.mark_divergence_max * (1.0 + ALLOWANCES_PER_YEAR * years)
    }

    fn open_interest(&mut self, subject: Subject, value: Option<f64>) -> Option<f64> {
        let value = value?;
        if value.is_finite() && value >= 0.0 {
            return Some(value);
        }
        let reason = if value.is_finite() { Reason::NonPositive } else { Reason::NonFinite };
        let name = format!("{}.open_interest", subject.name);
        self.refuse_at(reason, Subject { name: &name, ..subject }, Some((value, None)));
        None
    }

    pub(super) fn forward_is_sound(&mut self, forward: &Forward) -> bool {
        let name = format!("{} forward {}", self.asset, forward.expiry);
        let subject = Subject { name: &name, expiry: Some(forward.expiry) };
        self.is_alive(subject)
            && self.is_current_at(subject, forward.time, self.times.params.quote_age_seconds_max)
            && self.positive_at(subject, "price", forward.price).is_some()
    }

    pub(super) fn future(&mut self, quote: &FutureQuote, index: f64) -> Option<FutureQuote> {
        let name = quote.instrument.to_string();
        let subject = Subject { name: &name, expiry: quote.instrument.expiry() };
        let age_max = self.times.params.quote_age_seconds_max;
        if !(self.is_alive(subject) && self.is_current_at(subject, quote.time, age_max)) {
            return None;
        }
        let mark = quote.mark.and_then(|x| self.positive_at(subject, "mark", x));
        let (bid, ask) = self.sides(subject, quote.bid, quote.ask);
        let limit = self.basis_max(subject.expiry);
        let (mark, bid, ask) = self.near_index(subject, (mark, bid, ask), (index, limit));
        if mark.is_none() && (bid.is_none() || ask.is_none()) {
            self.refuse_at(Reason::MissingQuote, subject, None);
            return None;
        }
        let open_interest = self.open_interest(subject, quote.open_interest);
        Some(FutureQuote { mark, bid, ask, open_interest, ..quote.clone() })
    }

    pub(super) fn perpetual(&mut self, quote: &PerpQuote, index: f64) -> Option<PerpQuote> {
        let name = quote.instrument.to_string();
        let subject = Subject { name: &name, expiry: None };
        if !self.is_current_at(subject, quote.time, self.times.params.index_age_seconds_max) {
            return None;
        }
        let mark = quote.mark.and_then(|x| self.positive_at(subject, "mark", x));
        let (bid, ask) = self.sides(subject, quote.bid, quote.ask);
        let limit = self.basis_max(subject.expiry);
        let (mark, bid, ask) = self.near_index(subject, (mark, bid, ask), (index, limit));
        if mark.is_none() && (bid.is_none() || ask.is_none()) {
            self.refuse_at(Reason::MissingQuote, subject, None);
            return None;
        }
        let funding_8h = quote.funding_8h.filter(|f| f.is_finite());
        if let (Some(stated), None) = (quote.funding_8h, funding_8h) {
            let name = format!("{name}.funding_8h");
            self.refuse_at(Reason::NonFinite, Subject { name: &name, expiry: None }, Some((stated, None)));
        }
        let open_interest = self.open_interest(subject, quote.open_interest);
        Some(PerpQuote { mark, bid, ask, funding_8h, open_interest, ..quote.clone() })
    }

    pub(super) fn option(&mut self, quote: &OptionQuote) -> Option<OptionQuote> {
        let name = quote.instrument.to_string();
        let subject = Subject { name: &name, expiry: quote.instrument.expiry() };
        let age_max = self.times.params.quote_age_seconds_max;
        if !(self.is_alive(subject) && self.is_current_at(subject, quote.time, age_max)) {
            return None;
        }
        let (bid, ask) = self.sides(subject, quote.bid, quote.ask);
        let mark = quote.mark.and_then(|x| self.positive_at(subject, "mark", x));
        let mark_vol = quote.mark_vol.and_then(|x| self.positive_at(subject, "mark_vol", x));
        let mark_vol = mark_vol.filter(|&x| self.vol_is_believable(subject, x));
        let forward = quote.forward.and_then(|x| self.positive_at(subject, "forward", x));
        if bid.is_none() && ask.is_none() && mark.is_none() && mark_vol.is_none() {
            self.refuse_at(Reason::MissingQuote, subject, None);
            return None;
        }
        let open_interest = self.open_interest(subject, quote.open_interest);
        Some(OptionQuote { bid, ask, mark, mark_vol, forward, open_interest, ..quote.clone() })
    }

    fn vol_is_believable(&mut self, subject: Subject, vol: f64) -> bool {
        let limit = self.times.params.mark_vol_max;
        if vol > limit {
            let name = format!("{}.mark_vol", subject.name);
            self.refuse_at(Reason::Outlier, Subject { name: &name, ..subject }, Some((vol, Some(limit))));
        }
        vol <= limit
    }

    pub(super) fn depth_is_sound(&mut self, depth: &Depth) -> bool {
        let name = format!("{} depth", self.asset);
        self.is_current(&name, depth.time, self.times.params.quote_age_seconds_max)
            && self.positive(&name, "bid_quote", depth.bid_quote).is_some()
            && self.positive(&name, "ask_quote", depth.ask_quote).is_some()
            && self.positive(&name, "within", depth.within).is_some()
    }

    pub(super) fn amount_is_sound(&mut self, field: &str, value: f64) -> bool {
        let name = self.asset.to_string();
        self.positive(&name, field, value).is_some()
    }

    pub(super) fn share_is_sound(&mut self, field: &str, value: f64) -> bool {
        let sound = (0.0..=1.0).contains(&value);
        if !sound {
            let reason = if value.is_finite() { Reason::Outlier } else { Reason::NonFinite };
            let name = format!("{}.{field}", self.asset);
            self.refuse(reason, &name, Some((value, Some(1.0))));
        }
        sound
    }

    /// Whether an external smile is current, alive and made of finite numbers; arbitrage is the fit's business.
    pub(super) fn external_is_sound(&mut self, slice: &ExternalSlice) -> bool {
        let name = format!("{} external smile {} of {}", self.asset, slice.expiry, slice.source);
        let subject = Subject { name: &name, expiry: Some(slice.expiry) };
        let age_max = self.times.params.external_age_seconds_max;
        if !(self.is_alive(subject) && self.is_current_at(subject, slice.time, age_max)) {
            return false;
        }
        for (field, value) in [("a", slice.a), ("b", slice.b), ("rho", slice.rho), ("m", slice.m)] {
            if !value.is_finite() {
                let name = format!("{name}.{field}");
                self.refuse_at(Reason::NonFinite, Subject { name: &name, ..subject }, Some((value, None)));
                return false;
            }
        }
        let positive = [("sigma", slice.sigma), ("forward", slice.forward), ("tau", slice.tau)];
        positive.iter().all(|&(field, value)| self.positive_at(subject, field, value).is_some())
            && self.share_is_sound(&format!("external {} blend", slice.expiry), slice.blend)
    }

    /// Keeps the external smiles whose forward and time to expiry are the market's.
    ///
    /// The forward is held against the one of its expiry; against the index, with the allowance of a dated future, where
    /// the market has none.
    pub(super) fn keep_agreeing_smiles(&mut self, market: &mut GuardedMarket) {
        if market.market.external.is_empty() {
            return;
        }
        let (forwards, _) = forwards(market, self.times.as_of);
        let index = market.index;
        market.market.external.retain(|slice| {
            let name = format!("{} external smile {} of {}", self.asset, slice.expiry, slice.source);
            let subject = Subject { name: &name, expiry: Some(slice.expiry) };
            let stated = forwards.iter().find(|f| f.0 == slice.expiry).map(|f| (f.1, SMILE_FORWARD_MAX));
            let (forward, limit) = stated.unwrap_or((index, self.basis_max(subject.expiry)));
            let tau = slice.time.years_until(slice.expiry);
            let hour = slice.time.years_until(slice.time.plus_seconds(SMILE_TAU_SECONDS_MAX));
            self.is_within(subject, "forward", slice.forward / forward - 1.0, limit)
                && self.is_within(subject, "tau", slice.tau - tau, hour.max(SMILE_TAU_MAX * tau))
        });
    }
}
