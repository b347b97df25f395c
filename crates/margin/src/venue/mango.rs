//! Mango v4: an account's health, and the stable price that it is measured at.
//!
//! **The one idea:** health is the sum of what an account holds at weighted prices, assets weighted down and
//! liabilities up; it is healthy at 0 or more. Opening a position takes initial health, which counts assets at the
//! smaller and liabilities at the larger of the oracle's price and a *stable price* that follows it slowly, and whose
//! weights shrink and grow with what all users have deposited and borrowed. Liquidation begins below 0 of maintenance
//! health and ends at 0 of the initial weights at the oracle's price.
//!
//! Source: blockworks-foundation/mango-v4 @ 1303a4a1, `health/cache.rs` (methods.md 14).

mod stable;

pub use stable::{StablePrice, StableTerms};

use super::checks::{im_covers_mm, ordered, positive, share};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "mango";

/// Which health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// Initial: scaled initial weights, the worse of oracle's and stable price.
    Init,
    /// Maintenance: maintenance weights at the oracle's price.
    Maint,
    /// Where a liquidation ends: unscaled initial weights at the oracle's price.
    LiquidationEnd,
}

/// Prices of a token or of a perpetual's base, quote units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prices {
    /// The oracle's.
    pub oracle: Fixed,
    /// The stable price.
    pub stable: Fixed,
}

impl Prices {
    /// What assets count at: the smaller of the two in initial health.
    pub fn asset(&self, health: Health) -> Fixed {
        if health == Health::Init { self.oracle.min(self.stable) } else { self.oracle }
    }

    /// What liabilities count at: the larger of the two in initial health.
    pub fn liability(&self, health: Health) -> Fixed {
        if health == Health::Init { self.oracle.max(self.stable) } else { self.oracle }
    }
}

/// Weights: `1 - x` of assets, `1 + x` of liabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Of assets in initial health; at most the one in maintenance health.
    pub init_asset: Fixed,
    /// Of liabilities in initial health; at least the one in maintenance health.
    pub init_liability: Fixed,
    /// Of assets in maintenance health; at most 1.
    pub maint_asset: Fixed,
    /// Of liabilities in maintenance health; at least 1.
    pub maint_liability: Fixed,
}

impl Weights {
    fn asset(&self, health: Health) -> Fixed {
        if health == Health::Maint { self.maint_asset } else { self.init_asset }
    }

    fn liability(&self, health: Health) -> Fixed {
        if health == Health::Maint { self.maint_liability } else { self.init_liability }
    }
}

/// What all users together hold of a token, and from where on that scales its initial weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Deposited, tokens.
    pub deposits: Fixed,
    /// Borrowed, tokens.
    pub borrows: Fixed,
    /// What open spot orders could still bring in, tokens: counted with the deposits.
    pub potential: Fixed,
    /// Deposits, quote units, above which the asset weight shrinks; `None`: never.
    pub deposit_start: Option<Fixed>,
    /// Borrows, quote units, above which the liability weight grows; `None`: never.
    pub borrow_start: Option<Fixed>,
}

/// Initial weights of a token, asset and liability, scaled:
/// `ia min(1, deposit_start / ((deposits + potential) pa))` and `il max(1, borrows pl / borrow_start)`.
///
/// ```
/// use plimsoll_margin::venue::mango::{Prices, Scaling, Weights, scaled_weights};
/// use plimsoll_types::Fixed;
/// let weights: Weights = toml::from_str(
///     "init_asset = 0.8\ninit_liability = 1.2\nmaint_asset = 0.9\nmaint_liability = 1.1")?;
/// let prices = Prices { oracle: Fixed::from(5), stable: Fixed::from(4) };
/// let scaling = Scaling { deposits: Fixed::from(900), borrows: Fixed::from(300), potential: Fixed::from(100),
///     deposit_start: Some(Fixed::from(2000)), borrow_start: Some(Fixed::from(1000)) };
/// // Deposits count 1000 x 4, twice the start; borrows 300 x 5, one and a half times theirs.
/// let (asset, liability) = scaled_weights(&weights, &scaling, &prices);
/// assert_eq!((asset.to_string(), liability.to_string()), ("0.4".into(), "1.8".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scaled_weights(weights: &Weights, scaling: &Scaling, prices: &Prices) -> (Fixed, Fixed) {
    let deposits = (scaling.deposits + scaling.potential) * prices.asset(Health::Init);
    let borrows = scaling.borrows * prices.liability(Health::Init);
    let asset = match scaling.deposit_start {
        Some(start) if deposits > start => weights.init_asset * start / deposits,
        _ => weights.init_asset,
    };
    let liability = match scaling.borrow_start {
        Some(start) if borrows > start => weights.init_liability * borrows / start,
        _ => weights.init_liability,
    };
    (asset, liability)
}

/// A token of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its prices.
    pub prices: Prices,
    /// Its weights.
    pub weights: Weights,
    /// Its initial weights, asset and liability, after [`scaled_weights`].
    pub scaled: (Fixed, Fixed),
    /// Balance, tokens, without what open orders hold; borrowed < 0.
    pub balance: Fixed,
}

impl Token {
    /// What one token counts as an asset, currency.
    fn asset(&self, health: Health) -> Fixed {
        let weight = if health == Health::Init { self.scaled.0 } else { self.weights.asset(health) };
        weight * self.prices.asset(health)
    }

    /// What one token counts as a liability, currency.
    fn liability(&self, health: Health) -> Fixed {
        let weight = if health == Health::Init { self.scaled.1 } else { self.weights.liability(health) };
        weight * self.prices.liability(health)
    }

    /// What a balance of the token adds to health.
    pub fn contribution(&self, health: Health, balance: Fixed) -> Fixed {
        balance * if balance < Fixed::ZERO { self.liability(health) } else { self.asset(health) }
    }
}

/// A perpetual of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Perp {
    /// Prices of its base.
    pub prices: Prices,
    /// Weights of its base.
    pub weights: Weights,
    /// Weight of a positive result in initial health.
    pub init_overall: Fixed,
    /// Weight of a positive result in maintenance health.
    pub maint_overall: Fixed,
    /// Base units held; short < 0.
    pub base: Fixed,
    /// Base units of open bids; >= 0.
    pub bids: Fixed,
    /// Base units of open asks; >= 0.
    pub asks: Fixed,
    /// Quote position, settle tokens: what was received less what was paid.
    pub quote: Fixed,
}

impl Perp {
    /// What the position brings to the settle token's balance: `u = quote + min(all bids fill, all asks fill)`, times
    /// the overall weight where it is above 0. With a fill of `o` base units at `p` the base is
    /// `(base + o) w pa` (short: `w pl`) and the quote changes by `-o p`; bids fill at `pl`, asks at `pa`.
    pub fn unsettled(&self, health: Health) -> Fixed {
        let case = |orders: Fixed, price: Fixed| {
            let net = self.base + orders;
            let value = match net < Fixed::ZERO {
                true => self.weights.liability(health) * self.prices.liability(health),
                false => self.weights.asset(health) * self.prices.asset(health),
            };
            net * value - orders * price
        };
        let bids = case(self.bids, self.prices.liability(health));
        let asks = case(-self.asks, self.prices.asset(health));
        let result = self.quote + bids.min(asks);
        let overall = if health == Health::Maint { self.maint_overall } else { self.init_overall };
        if result > Fixed::ZERO { result * overall } else { result }
    }
}

/// Open orders of an account in one spot market: what is reserved may end as either token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpotOrders {
    /// Place of the base token.
    pub base: usize,
    /// Place of the quote token.
    pub quote: usize,
    /// Base tokens reserved.
    pub reserved_base: Fixed,
    /// Quote tokens reserved.
    pub reserved_quote: Fixed,
    /// Base tokens per quote token at the highest bid, if known: caps what the quote can buy.
    pub highest_bid_inverse: Option<Fixed>,
    /// Quote tokens per base token at the lowest ask, if known: caps what the base can sell for.
    pub lowest_ask: Option<Fixed>,
}

impl SpotOrders {
    /// What is reserved if all of it became base, and if all of it became quote.
    fn outcomes(&self, tokens: &[Token], health: Health) -> Result<(Fixed, Fixed), VenueError> {
        let price =
            |place: usize| tokens.get(place).map(|token| token.prices).ok_or_else(|| unknown_token(place));
        let (base, quote) = (price(self.base)?, price(self.quote)?);
        let bought = self.reserved_quote * quote.asset(health) / base.liability(health);
        let sold = self.reserved_base * base.asset(health) / quote.liability(health);
        let capped = |amount: Fixed, cap: Option<Fixed>| cap.map_or(amount, |cap| amount.min(cap));
        let bought = capped(bought, self.highest_bid_inverse.map(|inverse| self.reserved_quote * inverse));
        let sold = capped(sold, self.lowest_ask.map(|ask| self.reserved_base * ask));
        Ok((self.reserved_base + bought, self.reserved_quote + sold))
    }
}

fn unknown_token(place: usize) -> VenueError {
    VenueError::Domain {
        what: "a token's place",
        value: place.to_string(),
        expected: "one of the account's tokens",
    }
}

/// An account: tokens, perpetuals with the place of the token each settles in, and open spot orders.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Tokens.
    pub tokens: Vec<Token>,
    /// Perpetuals.
    pub perps: Vec<(usize, Perp)>,
    /// Open orders, one entry per spot market.
    pub spot_orders: Vec<SpotOrders>,
}

/// Health of an account, currency; healthy iff >= 0. Open spot orders are taken per market at the worse of their two
/// outcomes while every other market brings in as much of the token as it could, which is pessimistic and does not
/// depend on the order of markets; a market with nothing reserved is left out.
///
/// # Errors
/// [`VenueError::Domain`] where a token is named that the account has not; [`VenueError::Overflow`] where a number does
/// not fit, as when a price is 0 that an open order is divided by.
pub fn health(account: &Account, health: Health) -> Result<Fixed, VenueError> {
    let mut balances: Vec<Fixed> = account.tokens.iter().map(|token| token.balance).collect();
    for (settle, perp) in &account.perps {
        let balance = balances.get_mut(*settle).ok_or_else(|| unknown_token(*settle))?;
        *balance = *balance + perp.unsettled(health);
    }
    let held =
        account.tokens.iter().zip(&balances).map(|(token, balance)| token.contribution(health, *balance));
    let held: Fixed = held.sum();
    settled(held + orders_contribution(account, &balances, health)?, "health")
}

/// What open spot orders add to health.
fn orders_contribution(account: &Account, balances: &[Fixed], health: Health) -> Result<Fixed, VenueError> {
    let outcomes: Vec<(Fixed, Fixed)> = account
        .spot_orders
        .iter()
        .map(|orders| orders.outcomes(&account.tokens, health))
        .collect::<Result<_, _>>()?;
    let mut most = balances.to_vec();
    for (orders, (as_base, as_quote)) in account.spot_orders.iter().zip(&outcomes) {
        most[orders.base] = most[orders.base] + *as_base;
        most[orders.quote] = most[orders.quote] + *as_quote;
    }
    let mut sum = Fixed::ZERO;
    for (orders, (as_base, as_quote)) in account.spot_orders.iter().zip(outcomes) {
        if as_base == Fixed::ZERO || as_quote == Fixed::ZERO {
            continue;
        }
        let effect =
            |place: usize, amount: Fixed| arrival(&account.tokens[place], most[place], amount, health);
        sum = sum + effect(orders.base, as_base).min(effect(orders.quote, as_quote));
    }
    Ok(sum)
}

/// What the last `amount` tokens that arrive add to health, where the balance ends at `top`: the part above 0 as an
/// asset, the part that repays a debt as a liability.
fn arrival(token: &Token, top: Fixed, amount: Fixed, health: Health) -> Fixed {
    let above = top.clamp(Fixed::ZERO, amount);
    above * token.asset(health) + (amount - above) * token.liability(health)
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The token that perpetuals settle in.
    pub settle: Asset,
    /// Tokens that can be held and borrowed.
    pub tokens: ByAsset<TokenTerms>,
    /// Perpetuals, by underlying.
    pub perps: ByAsset<PerpTerms>,
}

/// Parameters of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenTerms {
    /// Weights.
    pub weights: Weights,
    /// Its stable price now, quote units; `None`: the price given, as where it has not moved for a day.
    pub stable: Option<Fixed>,
    /// What scales its initial weights; `None`: nothing.
    pub scaling: Option<Scaling>,
}

/// Parameters of a perpetual.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerpTerms {
    /// Weights of its base.
    pub weights: Weights,
    /// Weight of a positive result in initial health, in [0, 1].
    pub init_overall: Fixed,
    /// Weight of a positive result in maintenance health, in [0, 1].
    pub maint_overall: Fixed,
    /// Stable price of its base now, quote units; `None`: the index.
    pub stable: Option<Fixed>,
}

/// A token of an account of ours, with what equity already counts of it.
struct Held {
    token: Token,
    counted: Fixed,
}

/// An account of ours. Tokens are its collateral and its spot positions. A perpetual's base is valued at the index, the
/// oracle of the venue, and its quote position is its unrealised profit less its value at its mark price; one that is
/// settled in its coin counts by its size in base units. A part is charged what equity counts of it less what it adds
/// to initial and maintenance health. Fills of open orders are positions here: nothing is reserved.
impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut tokens = self.tokens(book)?;
        let mut charges = Vec::new();
        let perps = book.legs.iter().filter(|leg| leg.kind != LegKind::Spot);
        let perps = perps.map(|leg| self.perp(leg).map(|perp| (leg, perp))).collect::<Result<Vec<_>, _>>()?;
        if !perps.is_empty() && !tokens.contains_key(&self.settle) {
            tokens.insert(self.settle.clone(), self.held(book, &self.settle)?);
        }
        for (asset, held) in &tokens {
            let balance = held.token.balance;
            let [im, mm] = [Health::Init, Health::Maint]
                .map(|health| held.counted - held.token.contribution(health, balance));
            charges.push(charge("tokens", asset, im, mm)?);
        }
        if let Some(settle) = tokens.get(&self.settle) {
            charges.extend(perp_charges(&settle.token, &perps)?);
        }
        Ok(charges.into_iter().filter(|c| c.im != Fixed::ZERO || c.mm != Fixed::ZERO).collect())
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = Vec::new();
        for (scope, token) in &self.tokens.0 {
            let path = format!("margin.aggregation.tokens.{scope}");
            found.extend(token.weights.lint(&path));
            if let Some(scaling) = &token.scaling {
                for start in [scaling.deposit_start, scaling.borrow_start].into_iter().flatten() {
                    found.extend(positive(&format!("{path}.scaling"), start));
                }
            }
        }
        for (scope, perp) in &self.perps.0 {
            let path = format!("margin.aggregation.perps.{scope}");
            found.extend(perp.weights.lint(&path));
            found.extend(checks::all([
                share(&format!("{path}.init_overall"), perp.init_overall),
                share(&format!("{path}.maint_overall"), perp.maint_overall),
                ordered(&format!("{path}.init_overall"), perp.init_overall, perp.maint_overall),
            ]));
        }
        found
    }
}

impl Weights {
    fn lint(&self, path: &str) -> Vec<LintFinding> {
        let at = |name: &str| format!("{path}.weights.{name}");
        checks::all([
            share(&at("init_asset"), self.init_asset),
            share(&at("maint_asset"), self.maint_asset),
            im_covers_mm(&at("init_asset"), Fixed::ONE - self.init_asset, Fixed::ONE - self.maint_asset),
            im_covers_mm(&at("init_liability"), self.init_liability, self.maint_liability),
            im_covers_mm(&at("maint_liability"), self.maint_liability, Fixed::ONE),
        ])
    }
}

/// Perpetuals one after the other, in the order of the book: what each changes of the health of the settle token.
fn perp_charges(settle: &Token, perps: &[(&Leg<'_>, Perp)]) -> Result<Vec<Charge>, VenueError> {
    let mut balances = [settle.balance; 2];
    let mut charges = Vec::new();
    for (leg, perp) in perps {
        let mut charged = [leg.unrealised; 2];
        for (i, health) in [Health::Init, Health::Maint].into_iter().enumerate() {
            let before = settle.contribution(health, balances[i]);
            balances[i] = balances[i] + perp.unsettled(health);
            charged[i] = charged[i] - (settle.contribution(health, balances[i]) - before);
        }
        charges.push(charge("perpetuals", &leg.underlying.asset, charged[0], charged[1])?);
    }
    Ok(charges)
}

fn charge(code: &'static str, asset: &Asset, im: Fixed, mm: Fixed) -> Result<Charge, VenueError> {
    let (im, mm) = (settled(im, "initial health")?, settled(mm, "maintenance health")?);
    Ok(Charge { code, asset: Some(asset.clone()), im, mm })
}

impl Terms {
    /// Tokens of the account: collateral and spot positions together.
    fn tokens(&self, book: &VenueBook<'_>) -> Result<BTreeMap<Asset, Held>, VenueError> {
        let mut all: BTreeMap<Asset, Held> = BTreeMap::new();
        for held in book.collateral {
            let mut token = self.held(book, &held.asset)?;
            let amount = held.amount_nano.checked_mul(1_000_000_000).map_or(Fixed::LOST, Fixed::from_units);
            (token.token.balance, token.counted) = (amount, book.money(held.counted));
            all.insert(held.asset.clone(), token);
        }
        for leg in book.legs.iter().filter(|leg| leg.kind == LegKind::Spot) {
            let asset = &leg.underlying.asset;
            let mut token = match all.remove(asset) {
                Some(token) => token,
                None => self.held(book, asset)?,
            };
            token.token.balance = token.token.balance + leg.quantity;
            token.counted = token.counted + leg.value();
            all.insert(asset.clone(), token);
        }
        Ok(all)
    }

    /// A token with nothing of it held.
    fn held(&self, book: &VenueBook<'_>, asset: &Asset) -> Result<Held, VenueError> {
        let missing = |what| VenueError::Missing { method: METHOD, what, subject: asset.to_string() };
        let terms = self.tokens.of(asset).ok_or_else(|| missing("the weights"))?;
        let of_it = book.arrays.underlyings.iter().find(|row| row.asset == *asset);
        let index = of_it.map(|row| book.money(plimsoll_types::Ticks(i128::from(row.index))));
        let oracle = book.price(asset).or(index).ok_or_else(|| missing("the price"))?;
        let prices = Prices { oracle, stable: terms.stable.unwrap_or(oracle) };
        let plain = (terms.weights.init_asset, terms.weights.init_liability);
        let scaled = terms.scaling.map_or(plain, |scaling| scaled_weights(&terms.weights, &scaling, &prices));
        let token = Token { prices, weights: terms.weights, scaled, balance: Fixed::ZERO };
        Ok(Held { token, counted: Fixed::ZERO })
    }

    fn perp(&self, leg: &Leg<'_>) -> Result<Perp, VenueError> {
        let refused = |why| leg.unsupported(METHOD, why);
        if leg.kind != LegKind::Perpetual {
            return Err(refused("no options and no dated futures are listed"));
        }
        let terms = self.perps.of(&leg.underlying.asset);
        let terms = terms.ok_or_else(|| refused("no perpetual of this underlying is listed"))?;
        Ok(Perp {
            prices: Prices { oracle: leg.index, stable: terms.stable.unwrap_or(leg.index) },
            weights: terms.weights,
            init_overall: terms.init_overall,
            maint_overall: terms.maint_overall,
            base: leg.quantity,
            bids: Fixed::ZERO,
            asks: Fixed::ZERO,
            quote: leg.unrealised - leg.quantity * leg.reference,
        })
    }
}
