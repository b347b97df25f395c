//! Dederi's portfolio margin of futures: eleven moves and a contingency.
//!
//! Source: `methods.md` 21; Dederi's documentation. Prices in quote units. The shock of volatility of its options is
//! the tenor scale of the scenario set, and its 33 option scenarios are a scenario set too, so neither is here.

use super::{VenueError, settled, worst_loss};
use plimsoll_types::{Fixed, Rounding};

/// Decimals of a futures price.
const PRICE_DECIMALS: u32 = 1;

/// Price of a future: `index e^{basis days/365}`, rounded to 0.1.
///
/// ```
/// use plimsoll_margin::venue::dederi::future_price;
/// use plimsoll_types::Fixed;
/// let price = future_price("2243.3".parse()?, "0.08".parse()?, Fixed::from(20))?;
/// assert_eq!(price.to_string(), "2253.2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Overflow`] when the price does not fit.
pub fn future_price(index: Fixed, basis: Fixed, days: Fixed) -> Result<Fixed, VenueError> {
    let growth = (basis * days / Fixed::from(365)).exp();
    settled((index * growth).rounded(PRICE_DECIMALS, Rounding::Nearest), "a price of a future")
}

/// Relative moves: -15 % to 15 % in steps of 3 %.
pub fn moves() -> Vec<Fixed> {
    (-5..=5).map(|k| Fixed::ratio(3 * k, 100)).collect()
}

/// Profit of futures `(quantity, price)` under a move: `move sum q F`.
pub fn future_pnl(futures: &[(Fixed, Fixed)], by: Fixed) -> Fixed {
    by * futures.iter().map(|(quantity, price)| *quantity * *price).sum()
}

/// Contingency: `factor index sum |q|`, with a published factor of 0.6 %.
pub fn future_contingency(quantities: &[Fixed], index: Fixed, factor: Fixed) -> Fixed {
    factor * index * quantities.iter().map(|quantity| quantity.abs()).sum()
}

/// The largest loss of a profit vector, not below 0, and the contingency.
///
/// # Errors
/// [`VenueError::Overflow`] when a number was lost.
pub fn margin(pnl: &[Fixed], contingency: Fixed) -> Result<Fixed, VenueError> {
    let worst = worst_loss(pnl.iter().copied());
    settled(worst + contingency, "a margin")
}
