//! Derive's Dutch auction over a portfolio margin.
//!
//! An account whose net maintenance margin is negative is sold in shares. While its mark value is positive, bidders pay a
//! falling share of it and may take as much as restores the buffered margin; once it is not, the security module pays
//! bidders a rising amount to take it over. Mark value and margins are those of the moment of the bid and are given: the
//! auction prices nothing.
//!
//! Source: derivexyz/v2-core at 7736900d (`DutchAuction`); methods 6.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses a lost number too")]

use super::{VenueError, settled};
use plimsoll_types::Fixed;
use serde::{Deserialize, Serialize};

/// Parameters of the auction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuctionTerms {
    /// Share of the mark value asked at the start.
    pub start_share: Fixed,
    /// Share asked when the fast part ends.
    pub fast_share: Fixed,
    /// Length of the fast part, seconds; > 0.
    pub fast_seconds: i64,
    /// Length of the slow part after it, in which the share falls to 0; > 0.
    pub slow_seconds: i64,
    /// Time in which the payout of an insolvent auction rises to the whole margin; > 0.
    pub insolvent_seconds: i64,
    /// Fee at the start, a share of what may be liquidated then.
    pub fee_rate: Fixed,
    /// Buffer, a share of the distance between maintenance margin and mark value.
    pub buffer: Fixed,
    /// Mark value beneath which everything may be liquidated at once.
    pub mtm_cutoff: Fixed,
}

/// An account at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Mark value, with cash.
    pub mtm: Fixed,
    /// Net maintenance margin; healthy from 0 on.
    pub mm: Fixed,
}

/// Which auction runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Bidders pay.
    Solvent,
    /// The security module pays.
    Insolvent,
}

/// A running auction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auction {
    /// Which.
    pub phase: Phase,
    /// When its clock began, seconds.
    pub start: i64,
    /// Cash paid by the bids of this auction, which later bids do not buy; 0 in an insolvent one.
    pub reserved: Fixed,
}

/// What a bid does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bid {
    /// Share of the account that is sold: `min(wanted, most)`.
    pub share: Fixed,
    /// What the bidder pays, negative where the security module pays him.
    pub price: Fixed,
    /// Cash the bidder must hold to margin what he takes.
    pub required: Fixed,
    /// The auction after the bid.
    pub auction: Auction,
}

/// What an auction comes to at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Goes on.
    Runs,
    /// The account is healthy again: buffered margin (insolvent: maintenance margin) at 0 or above.
    Ends,
    /// The mark value fell below 0, or the cash reserved is all there is: must begin anew.
    Restarts,
    /// A solvent auction past its length: may be turned insolvent.
    MayConvert,
}

/// How a payout is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payout {
    /// By the security module.
    pub module: Fixed,
    /// By all holders of cash.
    pub socialised: Fixed,
}

impl AuctionTerms {
    /// Refuses lengths that are not positive and shares out of order.
    ///
    /// # Errors
    /// [`VenueError::Domain`] with the parameter.
    pub fn check(&self) -> Result<(), VenueError> {
        let lengths = [
            ("fast_seconds", self.fast_seconds),
            ("slow_seconds", self.slow_seconds),
            ("insolvent_seconds", self.insolvent_seconds),
        ];
        if let Some((what, seconds)) = lengths.into_iter().find(|(_, seconds)| *seconds <= 0) {
            return Err(VenueError::Domain { what, value: seconds.to_string(), expected: "above 0" });
        }
        let falls = Fixed::ZERO <= self.fast_share && self.fast_share <= self.start_share;
        let rates = [
            ("start_share", self.start_share, falls && self.start_share <= Fixed::ONE),
            ("fee_rate", self.fee_rate, self.fee_rate >= Fixed::ZERO && self.fee_rate <= Fixed::ONE),
            ("buffer", self.buffer, self.buffer >= Fixed::ZERO),
        ];
        match rates.into_iter().find(|(_, _, right)| !right) {
            Some((what, value, _)) => {
                let expected = "0 or more, shares at most 1, the share at the start the larger";
                Err(VenueError::Domain { what, value: value.to_string(), expected })
            }
            None => Ok(()),
        }
    }

    /// `BM = MM + (MM - MtM) buffer`.
    pub fn buffered(&self, mark: Mark) -> Fixed {
        mark.mm + (mark.mm - mark.mtm) * self.buffer
    }

    /// Share of the mark value asked after so many seconds: straight from `start_share` to `fast_share`, then straight to
    /// 0, and 0 from `fast_seconds + slow_seconds` on.
    ///
    /// ```
    /// use plimsoll_margin::venue::derive_auction::AuctionTerms;
    /// use plimsoll_types::Fixed;
    /// let terms = AuctionTerms { start_share: "0.98".parse()?, fast_share: "0.8".parse()?, fast_seconds: 100,
    ///     slow_seconds: 14_400, insolvent_seconds: 600, fee_rate: "0.02".parse()?, buffer: "0.2".parse()?,
    ///     mtm_cutoff: Fixed::ZERO };
    /// assert_eq!(terms.discount(30).to_string(), "0.926");
    /// assert_eq!(terms.discount(7300).to_string(), "0.4");
    /// # Ok::<(), plimsoll_types::DecimalError>(())
    /// ```
    pub fn discount(&self, elapsed: i64) -> Fixed {
        let elapsed = elapsed.max(0);
        let part = |a: i64, b: i64| Fixed::ratio(i128::from(a), i128::from(b));
        if elapsed < self.fast_seconds {
            return self.start_share
                - (self.start_share - self.fast_share) * part(elapsed, self.fast_seconds);
        }
        let slow = elapsed.saturating_sub(self.fast_seconds);
        if slow >= self.slow_seconds {
            return Fixed::ZERO;
        }
        self.fast_share * (Fixed::ONE - part(slow, self.slow_seconds))
    }

    /// Most that may be liquidated: all where `MtM < mtm_cutoff`, else `BM'/(BM' - MtM d - R (1 - d))`,
    /// `BM' = min(BM, 0)`; within [0, 1].
    ///
    /// # Errors
    /// [`VenueError::Overflow`] where the quotient does not fit.
    pub fn most(&self, mark: Mark, discount: Fixed, reserved: Fixed) -> Result<Fixed, VenueError> {
        if mark.mtm < self.mtm_cutoff {
            return Ok(Fixed::ONE);
        }
        let short = self.buffered(mark).min(Fixed::ZERO);
        if short == Fixed::ZERO {
            return Ok(Fixed::ZERO);
        }
        let bought = mark.mtm * discount + reserved * (Fixed::ONE - discount);
        settled((short / (short - bought)).clamp(Fixed::ZERO, Fixed::ONE), "the share to liquidate")
    }

    /// Fee that leaves the cash at the start: `f_max(d = 1, R = 0) |MtM| fee_rate` where `MtM > 0`, else 0.
    ///
    /// # Errors
    /// [`VenueError::Overflow`] where a number does not fit.
    pub fn fee(&self, mark: Mark) -> Result<Fixed, VenueError> {
        if mark.mtm <= Fixed::ZERO {
            return Ok(Fixed::ZERO);
        }
        let most = self.most(mark, Fixed::ONE, Fixed::ZERO)?;
        settled(most * mark.mtm.abs() * self.fee_rate, "the fee of an auction")
    }

    /// Price of the whole account after so many seconds of an insolvent auction, 0 or less: `MtM' + (MM - MtM') t/T`,
    /// `MtM' = min(MtM, 0)`, and `MM` from `T` on.
    pub fn insolvent_price(&self, mark: Mark, elapsed: i64) -> Fixed {
        if elapsed >= self.insolvent_seconds {
            return mark.mm;
        }
        let from = mark.mtm.min(Fixed::ZERO);
        let part = Fixed::ratio(i128::from(elapsed.max(0)), i128::from(self.insolvent_seconds));
        from + (mark.mm - from) * part
    }

    /// Begins an auction and tells its fee. Insolvent where the mark value is not positive.
    ///
    /// # Errors
    /// [`VenueError::Domain`] where the account is healthy or the terms are no terms.
    pub fn begin(&self, mark: Mark, now: i64) -> Result<(Auction, Fixed), VenueError> {
        self.check()?;
        if !(mark.mm < Fixed::ZERO) {
            let (what, value) = ("net maintenance margin at the start of an auction", mark.mm.to_string());
            return Err(VenueError::Domain { what, value, expected: "below 0" });
        }
        let phase = if mark.mtm > Fixed::ZERO { Phase::Solvent } else { Phase::Insolvent };
        Ok((Auction { phase, start: now, reserved: Fixed::ZERO }, self.fee(mark)?))
    }
}

impl Auction {
    /// The most that may be liquidated now. Of an insolvent account everything.
    ///
    /// # Errors
    /// As [`AuctionTerms::most`].
    pub fn most(&self, terms: &AuctionTerms, mark: Mark, now: i64) -> Result<Fixed, VenueError> {
        match self.phase {
            Phase::Insolvent => Ok(Fixed::ONE),
            Phase::Solvent => terms.most(mark, terms.discount(now.saturating_sub(self.start)), self.reserved),
        }
    }

    /// A bid for a share of the account as it is now: `(MtM - R) d f` to pay, insolvent `p f` with `p <= 0`, which the
    /// bidder is paid. A buyer needs `paid + |BM - R| f` in cash, insolvent `|MM| f` less what he is paid.
    ///
    /// # Errors
    /// [`VenueError::Domain`] for a share that is not above 0 or that the auction does not sell, before the start, and in
    /// an auction that ended or must restart.
    pub fn bid(&self, terms: &AuctionTerms, mark: Mark, now: i64, wanted: Fixed) -> Result<Bid, VenueError> {
        let domain = |what, value: String, expected| Err(VenueError::Domain { what, value, expected });
        if !(wanted > Fixed::ZERO && wanted <= Fixed::ONE) {
            return domain("a wanted share", wanted.to_string(), "above 0, at most 1");
        }
        if now < self.start {
            return domain("the time of a bid", now.to_string(), "not before the start of the auction");
        }
        match self.standing(terms, mark, now) {
            Standing::Runs | Standing::MayConvert => {}
            Standing::Ends => {
                return domain("the margin at a bid", mark.mm.to_string(), "an auction not ended");
            }
            Standing::Restarts => {
                return domain(
                    "the mark value at a bid",
                    mark.mtm.to_string(),
                    "above 0 and the cash reserved",
                );
            }
        }
        let share = wanted.min(self.most(terms, mark, now)?);
        let elapsed = now.saturating_sub(self.start);
        let (price, margin, reserved) = match self.phase {
            Phase::Solvent => {
                let price = (mark.mtm - self.reserved) * terms.discount(elapsed) * share;
                let margin = (terms.buffered(mark) - self.reserved).abs() * share;
                (price, margin, self.reserved + price)
            }
            Phase::Insolvent => {
                (terms.insolvent_price(mark, elapsed) * share, mark.mm.abs() * share, Fixed::ZERO)
            }
        };
        Ok(Bid {
            share,
            price: settled(price, "the price of a bid")?,
            required: settled(price + margin, "what a buyer must hold")?,
            auction: Self { reserved, ..*self },
        })
    }

    /// Whether the auction goes on, at the marks of now.
    pub fn standing(&self, terms: &AuctionTerms, mark: Mark, now: i64) -> Standing {
        let over = now.saturating_sub(self.start) >= terms.fast_seconds.saturating_add(terms.slow_seconds);
        match self.phase {
            Phase::Insolvent if mark.mm >= Fixed::ZERO => Standing::Ends,
            Phase::Insolvent => Standing::Runs,
            Phase::Solvent if terms.buffered(mark) >= Fixed::ZERO => Standing::Ends,
            Phase::Solvent if mark.mtm < Fixed::ZERO || self.reserved >= mark.mtm => Standing::Restarts,
            Phase::Solvent if over => Standing::MayConvert,
            Phase::Solvent => Standing::Runs,
        }
    }

    /// The insolvent auction that a solvent one past its length becomes, its clock begun anew.
    ///
    /// # Errors
    /// [`VenueError::Domain`] where it may not.
    pub fn convert(&self, terms: &AuctionTerms, mark: Mark, now: i64) -> Result<Self, VenueError> {
        if self.standing(terms, mark, now) != Standing::MayConvert {
            let value = now.saturating_sub(self.start).to_string();
            let expected = "a solvent auction past its length, neither ended nor to restart";
            return Err(VenueError::Domain { what: "the age of an auction to convert", value, expected });
        }
        Ok(Self { phase: Phase::Insolvent, start: now, reserved: Fixed::ZERO })
    }
}

impl Bid {
    /// The account's cash after the bid: `cash - (cash - R) f + paid`, with `R` what was reserved before it; insolvent,
    /// `cash (1 - f)`.
    pub fn cash_after(&self, before: &Auction, cash: Fixed) -> Fixed {
        match before.phase {
            Phase::Solvent => cash - (cash - before.reserved) * self.share + self.price,
            Phase::Insolvent => cash * self.kept(),
        }
    }

    /// What is left of every other holding: `1 - f`.
    pub fn kept(&self) -> Fixed {
        Fixed::ONE - self.share
    }

    /// The payout that the security module makes, and what it cannot cover.
    pub fn payout(&self, module_cash: Fixed) -> Payout {
        let due = (-self.price).positive();
        let module = due.min(module_cash.positive());
        Payout { module, socialised: due - module }
    }
}

/// Whether withdrawals are blocked: the margins missing in all insolvent auctions exceed the security module's cash.
pub fn withdrawals_blocked(insolvent_mm: &[Fixed], module_cash: Fixed) -> bool {
    let missing: Fixed = insolvent_mm.iter().map(|mm| (-*mm).positive()).sum();
    !(missing <= module_cash)
}
