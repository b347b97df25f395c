//! A surface as a policy reads it.

use plimsoll_market::{UnderlyingSurface, signals};
use plimsoll_policy::Implied;
use plimsoll_types::Timestamp;

/// Tenors that are read, days: a week, a month, a quarter.
const TENORS: [f64; 3] = [7.0, 30.0, 90.0];

/// Level, skew and curvature of 30 days and the slope from 7 to 90; `None` where the surface has no reading at one of them.
pub fn implied(surface: &UnderlyingSurface, as_of: Timestamp) -> Option<Implied> {
    let read = signals(surface, as_of, &TENORS).ok()?;
    let [_, month, _] = read.tenors[..] else { return None };
    Some(Implied {
        atm: month.atm_vol,
        risk_reversal: month.risk_reversal_25d,
        butterfly: month.butterfly_25d,
        slope: read.term_slope?,
    })
}
