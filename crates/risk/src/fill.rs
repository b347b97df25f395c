//! A plan on a surface: entries and terms of instruments, task by task, on as many threads as there are.

use crate::kernel::{
    Columns, Expiry, Figures, Linear, LinearKernel, OptionTerms, Outcome, States, StrikesKernel, Vols,
};
use crate::moves::Moves;
use crate::plan::{Part, Plan, Task, Work};
use crate::set::Sticky;
use crate::shock::{Tenor, years_left};
use crate::value::{Resolved, Terms, Valuation, about, valuation};
use plimsoll_lanes::Path;
use plimsoll_market::Surface;
use plimsoll_quant::special::ln;
use plimsoll_types::{
    GreekTicks, Instrument, InstrumentRow, Issue, Ppb, QuantiseError, Reason, Rounding, Ticks, Timestamp,
    YEAR_SECONDS, quantise,
};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Where the numbers of a run of places go: one row of entries for each and, where terms are asked for, its terms.
pub(crate) struct Sheet<'a> {
    pub(crate) cells: Vec<&'a mut [i64]>,
    /// As many as `cells`, or none.
    pub(crate) terms: Vec<&'a mut InstrumentRow>,
}

/// A task with what it writes.
struct Job<'p, 'a> {
    task: &'p Task,
    part: &'p Part,
    moves: &'p Moves,
    cells: &'p mut [&'a mut [i64]],
    terms: &'p mut [&'a mut InstrumentRow],
}

/// What a thread computes in, kept from task to task.
#[derive(Default)]
struct Scratch {
    states: States,
    outcomes: Vec<Outcome>,
}

/// What could not be valued: which of the plan's instruments, and why.
pub(crate) type Failures = Vec<(u32, Issue)>;

impl Plan {
    /// Fills the sheet with the places of `parts`, whose places it holds one after the other. Failures are in order of
    /// the instruments; what failed has rows that mean nothing.
    pub(crate) fn fill(
        &self,
        surface: &Surface,
        parts: &[usize],
        columns: Range<usize>,
        sheet: &mut Sheet<'_>,
        path: Path,
    ) -> Failures {
        let each = parts.par_iter().map(|part| self.parts[*part].moves.block(columns.clone()));
        let moves: Vec<Cow<'_, Moves>> = each.collect();
        let weights = &self.weights[columns];
        let (mut cells, mut terms) = (&mut sheet.cells[..], &mut sheet.terms[..]);
        let mut jobs = Vec::new();
        for (part, moves) in parts.iter().map(|part| &self.parts[*part]).zip(&moves) {
            for task in &self.tasks[part.tasks.clone()] {
                let (mine, rest) = cells.split_at_mut(task.places.len());
                let (my_terms, rest_terms) = terms.split_at_mut(task.places.len().min(terms.len()));
                jobs.push(Job { task, part, moves, cells: mine, terms: my_terms });
                (cells, terms) = (rest, rest_terms);
            }
        }
        let run = |scratch: &mut Scratch, job: Job<'_, '_>| self.run(surface, weights, job, scratch, path);
        let joined = |mut a: Failures, mut b: Failures| {
            a.append(&mut b);
            a
        };
        let mut failures = jobs.into_par_iter().map_init(Scratch::default, run).reduce(Failures::new, joined);
        failures.sort_by_key(|(instrument, _)| *instrument);
        failures
    }

    fn run(
        &self,
        surface: &Surface,
        weights: &[f64],
        job: Job<'_, '_>,
        scratch: &mut Scratch,
        path: Path,
    ) -> Failures {
        scratch.states.fit(job.moves);
        let columns = Columns { weights, at: &job.moves.at, in_order: job.moves.in_order };
        match &job.task.work {
            Work::Options { expiry, strikes, options } => {
                self.run_options(surface, (*expiry, strikes, options), job, columns, (scratch, path))
            }
            Work::Linear => self.run_linear(surface, job, columns, (scratch, path)),
        }
    }

    fn run_options(
        &self,
        surface: &Surface,
        (expiry, strikes, options): (Timestamp, &[(f64, f64)], &[OptionTerms]),
        job: Job<'_, '_>,
        columns: Columns<'_>,
        (scratch, path): (&mut Scratch, Path),
    ) -> Failures {
        let places = &self.order[job.task.places.clone()];
        let (now, vols) = match self.market(surface, job.part, places, expiry) {
            Ok(found) => found,
            Err(failures) => return failures,
        };
        scratch.outcomes.clear();
        scratch.outcomes.resize(options.len(), Outcome::default());
        let with_terms = !job.terms.is_empty();
        let done = path.run(StrikesKernel {
            expiry: &now,
            vols: &vols,
            moves: job.moves,
            columns,
            points: with_terms.then_some(&job.part.points[..]),
            ticks_per_unit: self.units.ticks_per_unit as f64,
            strikes,
            options,
            rows: job.cells,
            outcomes: &mut scratch.outcomes,
            states: &mut scratch.states,
        });
        if let Err(price) = done {
            return places.iter().map(|at| (*at, self.no_price(*at, price))).collect();
        }
        let left = seconds(now.tau);
        for (row, outcome) in job.terms.iter_mut().zip(&scratch.outcomes) {
            write_option(row, &outcome.figures, left);
        }
        let failed = |(at, outcome): (&u32, &Outcome)| {
            outcome.fits.err().map(|e| (*at, misfit(&e, &self.instruments[*at as usize])))
        };
        places.iter().zip(&scratch.outcomes).filter_map(failed).collect()
    }

    /// The market of the options of one expiry; or why there is none, for each.
    fn market(
        &self,
        surface: &Surface,
        part: &Part,
        places: &[u32],
        expiry: Timestamp,
    ) -> Result<(Expiry, Vols), Failures> {
        let find = |at: &u32| {
            let instrument = &self.instruments[*at as usize];
            Resolved::find(surface, instrument, &self.units.currency)
        };
        let found = places.first().map(find);
        let Some(Ok(found)) = found else {
            let why = |at: &u32| find(at).err().map(|issue| (*at, issue));
            return Err(places.iter().filter_map(why).collect());
        };
        let Ok(smile) = found.market.smile(expiry) else {
            let missing = |at: &u32| (*at, about(Reason::MissingSmile, &self.instruments[*at as usize]));
            return Err(places.iter().map(missing).collect());
        };
        let now = Expiry { index: found.market.index, forward: found.reference, tau: found.tau };
        let vols = Vols {
            smile: smile.into(),
            tenor: Tenor::new(&self.vol_shock, found.tau),
            sticky_strike: self.vol_shock.sticky == Sticky::Strike,
            ln_forward: ln(found.reference),
            delta_tau: years_left(found.tau, part.points_elapsed_days),
        };
        Ok((now, vols))
    }

    fn no_price(&self, at: u32, price: f64) -> Issue {
        about(Reason::NonPositive, &self.instruments[at as usize]).with(price, Some(0.0))
    }

    fn run_linear(
        &self,
        surface: &Surface,
        job: Job<'_, '_>,
        columns: Columns<'_>,
        (scratch, path): (&mut Scratch, Path),
    ) -> Failures {
        let Job { task, moves, cells, terms, .. } = job;
        let mut terms = terms.iter_mut();
        let mut failures = Failures::new();
        for (at, cells) in self.order[task.places.clone()].iter().zip(cells) {
            let place = (*at, &mut **cells, terms.next().map(|row| &mut **row));
            let done = self.linear(surface, place, (moves, columns), (&mut scratch.states, path));
            failures.extend(done.err().map(|issue| (*at, issue)));
        }
        failures
    }

    /// Entries and terms of one instrument that is not an option.
    fn linear(
        &self,
        surface: &Surface,
        (at, row, terms): (u32, &mut [i64], Option<&mut InstrumentRow>),
        (moves, columns): (&Moves, Columns<'_>),
        (states, path): (&mut States, Path),
    ) -> Result<(), Issue> {
        let (instrument, scale) = (&self.instruments[at as usize], self.lots[at as usize].1);
        let found = Resolved::find(surface, instrument, &self.units.currency)?;
        let valued = valuation(&found, instrument, &self.units)?;
        let expiry = Expiry { index: found.market.index, forward: found.reference, tau: found.tau };
        let kind = match found.terms {
            Terms::Spot => Linear::Spot,
            _ if found.inverse => Linear::InverseFuture,
            _ => Linear::Future,
        };
        path.run(LinearKernel { expiry: &expiry, kind, moves, columns, scale, row, states })
            .map_err(|price| self.no_price(at, price))?
            .map_err(|e| misfit(&e, instrument))?;
        terms.map_or(Ok(()), |row| self.write_linear(row, &found, &valued, scale))
    }

    fn write_linear(
        &self,
        row: &mut InstrumentRow,
        found: &Resolved<'_>,
        v: &Valuation,
        scale: f64,
    ) -> Result<(), Issue> {
        let instrument = row.instrument.clone();
        let whole = |x: f64| quantise(x, Rounding::Nearest).map_err(|e| misfit(&e, &instrument));
        let ticks = |x: f64| whole(x * scale);
        row.greeks = GreekTicks { delta: ticks(v.greeks.delta)?, ..GreekTicks::default() };
        row.mark = ticks(v.mark)?;
        row.notional = ticks(v.notional)?;
        let per_unit = self.units.ticks_per_unit as f64;
        row.reference = whole(v.forward * per_unit)?;
        row.open_interest = match found.open_interest() {
            // Lots open at the venue times the notional of one.
            Some(open) => {
                Some(Ticks(i128::from(whole(open / (scale / per_unit))?) * i128::from(row.notional)))
            }
            None => None,
        };
        row.composite_delta = Ppb::ONE;
        row.seconds_to_expiry = instrument.expiry().map(|_| seconds(v.tau));
        row.funding_8h = ticks(v.funding_8h.unwrap_or(0.0))?;
        Ok(())
    }
}

fn write_option(row: &mut InstrumentRow, figures: &Figures, seconds: i64) {
    let [delta, gamma, vega, theta, rho, vanna, volga, mark, notional, reference, composite] = *figures;
    row.greeks = GreekTicks { delta, gamma, vega, theta, rho, vanna, volga };
    row.mark = mark;
    row.notional = notional;
    row.reference = reference;
    row.composite_delta = Ppb(composite);
    row.seconds_to_expiry = Some(seconds);
}

/// Whole seconds in `tau` years, at least 1: what has not expired has time left.
fn seconds(tau: f64) -> i64 {
    // A dated contract lies within 1677 to 2262, far inside 64 bits.
    ((tau * YEAR_SECONDS as f64 + 1e-6).floor() as i64).max(1)
}

pub(crate) fn misfit(error: &QuantiseError, instrument: &Instrument) -> Issue {
    match *error {
        QuantiseError::NonFinite { value } => about(Reason::NonFinite, instrument).with(value, None),
        QuantiseError::Overflow { value } => {
            about(Reason::Overflow, instrument).with(value, Some(i64::MAX as f64))
        }
    }
}
