//! One expiry under every move: the columns that its strikes share.

use super::{Expiry, Vols};
use crate::moves::Moves;
use crate::shock::{Tenor, is_price, moved_forward, years_left};
use plimsoll_quant::batch::lane;

/// An expiry (or an undated price) under every move, one list per quantity.
#[derive(Clone, Debug, Default)]
pub(crate) struct States {
    pub(super) spot: Vec<f64>,
    pub(super) forward: Vec<f64>,
    pub(super) discount: Vec<f64>,
    /// `discount S'/F'`.
    pub(super) coin: Vec<f64>,
    pub(super) ln_forward: Vec<f64>,
    /// `sqrt(tau')` times the factor of the term structure.
    pub(super) root: Vec<f64>,
    pub(super) mul: Vec<f64>,
    pub(super) add: Vec<f64>,
    pub(super) floor: Vec<f64>,
    /// Total volatility, then time value, of one strike.
    pub(super) cells: Vec<f64>,
    pub(super) gains: Vec<f64>,
}

impl States {
    /// Makes room for `moves`; allocates only where there were fewer before.
    pub(crate) fn fit(&mut self, moves: &Moves) {
        let n = moves.spot.len();
        let columns = [
            &mut self.spot,
            &mut self.forward,
            &mut self.discount,
            &mut self.coin,
            &mut self.ln_forward,
            &mut self.root,
            &mut self.mul,
            &mut self.add,
            &mut self.floor,
            &mut self.cells,
            &mut self.gains,
        ];
        for column in columns {
            column.resize(n, 0.0);
        }
    }

    /// The first price under a move, in the order of moves, that is none.
    pub(super) fn first_bad(&self) -> Option<f64> {
        let each = self.spot.iter().zip(&self.forward).zip(&self.discount);
        each.flat_map(|((s, f), d)| [*s, *f, *d]).find(|x| !is_price(*x))
    }
}

#[inline(always)]
fn spots(index: f64, spot: &[f64], out: &mut [f64]) {
    for (to, spot) in out.iter_mut().zip(spot) {
        *to = index * (1.0 + spot);
    }
}

#[inline(always)]
fn forwards(expiry: &Expiry, moves: &Moves, out: &mut [f64]) {
    let n = out.len();
    let (spot, basis, elapsed) = (&moves.spot[..n], &moves.basis[..n], &moves.elapsed_days[..n]);
    for i in 0..n {
        let left = years_left(expiry.tau, elapsed[i]);
        out[i] = moved_forward(expiry.forward, spot[i], basis[i], left);
    }
}

#[inline(always)]
fn discounts(tau: f64, moves: &Moves, out: &mut [f64]) {
    if !moves.has.rate {
        out.fill(1.0);
        return;
    }
    let n = out.len();
    let (rate, elapsed) = (&moves.rate[..n], &moves.elapsed_days[..n]);
    for i in 0..n {
        out[i] = lane::exp(-rate[i] * years_left(tau, elapsed[i]));
    }
}

#[inline(always)]
fn coins(states: &[&[f64]; 3], out: &mut [f64]) {
    let n = out.len();
    let [spot, forward, discount] = [&states[0][..n], &states[1][..n], &states[2][..n]];
    for i in 0..n {
        out[i] = discount[i] * (spot[i] / forward[i]);
    }
}

/// Whether every number is a price.
#[inline(always)]
fn all_prices(x: &[f64]) -> bool {
    let mut bad = 0_u64;
    for x in x {
        bad |= u64::from(!is_price(*x));
    }
    bad == 0
}

/// The prices of an expiry under every move. False where one is none.
#[inline(always)]
pub(super) fn fill_prices(expiry: &Expiry, moves: &Moves, states: &mut States) -> bool {
    spots(expiry.index, &moves.spot, &mut states.spot);
    forwards(expiry, moves, &mut states.forward);
    discounts(expiry.tau, moves, &mut states.discount);
    coins(&[&states.spot, &states.forward, &states.discount], &mut states.coin);
    all_prices(&states.spot) & all_prices(&states.forward) & all_prices(&states.discount)
}

#[inline(always)]
fn logs(ln_forward: f64, tau: f64, moves: &Moves, out: &mut [f64]) {
    let n = out.len();
    let ln_growth = &moves.ln_growth[..n];
    for i in 0..n {
        out[i] = ln_forward + ln_growth[i];
    }
    if !moves.has.basis {
        return;
    }
    let (basis, elapsed) = (&moves.basis[..n], &moves.elapsed_days[..n]);
    for i in 0..n {
        out[i] += lane::ln(1.0 + basis[i] * years_left(tau, elapsed[i]));
    }
}

#[inline(always)]
fn roots(tau: f64, tenor: &Tenor, moves: &Moves, out: &mut [f64]) {
    let n = out.len();
    let (term, elapsed) = (&moves.term[..n], &moves.elapsed_days[..n]);
    for i in 0..n {
        out[i] = years_left(tau, elapsed[i]).sqrt() * tenor.term(term[i]);
    }
}

#[inline(always)]
fn levels(tenor: &Tenor, vol: &[f64], out: [&mut [f64]; 3]) {
    let n = vol.len();
    let [mul, add, floor] = out;
    let (mul, add, floor) = (&mut mul[..n], &mut add[..n], &mut floor[..n]);
    for i in 0..n {
        mul[i] = tenor.level(vol[i]).mul;
    }
    for i in 0..n {
        add[i] = tenor.level(vol[i]).add;
    }
    for i in 0..n {
        floor[i] = tenor.level(vol[i]).floor;
    }
}

#[inline(always)]
pub(super) fn fill_vols(expiry: &Expiry, vols: &Vols, moves: &Moves, states: &mut States) {
    logs(vols.ln_forward, expiry.tau, moves, &mut states.ln_forward);
    roots(expiry.tau, &vols.tenor, moves, &mut states.root);
    levels(&vols.tenor, &moves.vol, [&mut states.mul, &mut states.add, &mut states.floor]);
}
