//! What the machine can do at most, measured in the run itself: memory, rows from cache, multiply-adds.
//!
//! A roofline is the time that a workload's bytes and operations need at these rates; no program is faster.

use super::timing;
use plimsoll_lanes::{Path, Simd, WithSimd};
use plimsoll_quant::sobol::Rng64;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Duration;

/// What one repetition of a workload must move and compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Bytes that come from or go to memory one after the other.
    pub streamed: u64,
    /// Bytes of rows read here and there from a table that fits the caches.
    pub cached: u64,
    /// Additions, multiplications, divisions and roots of `f64`; a fused multiply-add is two.
    pub flops: u64,
}

/// Rates of the machine on one path and number of threads.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Threads they were measured with.
    pub threads: usize,
    /// The vector path.
    pub path: &'static str,
    /// `a = b + s c` over arrays larger than the caches: bytes per second, 24 per element.
    pub triad: f64,
    /// Random rows of 256 bytes from a table of a megabyte, summed: bytes per second.
    pub rows_256: f64,
    /// The same with rows of 512 bytes from two megabytes.
    pub rows_512: f64,
    /// Multiply-adds of `f64` in registers: operations per second, two per multiply-add.
    pub flops: f64,
}

impl Limits {
    /// Measures them in the current pool. Takes about a third of a second; a fraction of that when `quick`.
    pub(super) fn measure(path: Path, quick: bool) -> anyhow::Result<Self> {
        let threads = rayon::current_num_threads();
        let budget = Duration::from_millis(if quick { 10 } else { 80 });
        Ok(Self {
            threads,
            path: path.name(),
            triad: triad(path, quick, budget)?,
            rows_256: rows::<i32>(path, threads, budget)?,
            rows_512: rows::<i64>(path, threads, budget)?,
            flops: flops(path, threads, budget)?,
        })
    }

    /// Seconds that a cost needs at these rates: the largest of its three parts, which a machine can overlap.
    pub fn seconds(&self, cost: Cost) -> f64 {
        let parts = [
            cost.streamed as f64 / self.triad,
            cost.cached as f64 / self.rows_256.max(self.rows_512),
            cost.flops as f64 / self.flops,
        ];
        parts.into_iter().fold(0.0, |most, part| if part > most { part } else { most })
    }
}

/// Elements that a thread takes at a time.
const CHUNK: usize = 1 << 16;

struct Triad<'a> {
    out: &'a mut [f64],
    left: &'a [f64],
    right: &'a [f64],
}

impl WithSimd for Triad<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((out, left), right) in self.out.iter_mut().zip(self.left).zip(self.right) {
            *out = left + 3.0 * right;
        }
    }
}

fn triad(path: Path, quick: bool, budget: Duration) -> anyhow::Result<f64> {
    let count = if quick { 1 << 21 } else { 1 << 23 };
    let (mut out, left, right) = (vec![0.0; count], vec![1.0; count], vec![2.0; count]);
    let timing = timing::measure(budget, || {
        let chunks = out.par_chunks_mut(CHUNK).zip(left.par_chunks(CHUNK)).zip(right.par_chunks(CHUNK));
        chunks.for_each(|((out, left), right)| path.run(Triad { out, left, right }));
        black_box(&mut out);
        Ok(())
    })?;
    Ok(24.0 * count as f64 / (timing.min_ms * 1e-3))
}

/// Entries of a row.
const WIDTH: usize = 64;
/// Rows of the table.
const ROWS: usize = 4096;
/// Rows that a thread reads per repetition.
const READS: usize = 1 << 15;

/// A number of a row.
trait Entry: Copy + Default + Sync + From<i16> {
    /// The sum of two.
    fn plus(self, other: Self) -> Self;
}

impl Entry for i32 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Entry for i64 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

struct SumRows<'a, T> {
    table: &'a [[T; WIDTH]],
    order: &'a [u16],
}

impl<T: Entry> WithSimd for SumRows<'_, T> {
    type Output = [T; WIDTH];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [T; WIDTH] {
        let mut sums = [T::default(); WIDTH];
        for at in self.order {
            let Some(row) = self.table.get(usize::from(*at)) else { continue };
            for (sum, entry) in sums.iter_mut().zip(row) {
                *sum = sum.plus(*entry);
            }
        }
        sums
    }
}

fn rows<T: Entry>(path: Path, threads: usize, budget: Duration) -> anyhow::Result<f64> {
    let table: Vec<[T; WIDTH]> = (0..ROWS).map(|_| [T::from(1); WIDTH]).collect();
    let mut rng = Rng64::new(5);
    let place = |rng: &mut Rng64| u16::try_from(rng.next_u64() % ROWS as u64).unwrap_or(0);
    let order: Vec<u16> = (0..READS).map(|_| place(&mut rng)).collect();
    let timing = timing::measure(budget, || {
        rayon::broadcast(|_| {
            black_box(path.run(SumRows { table: &table, order: &order }));
        });
        Ok(())
    })?;
    let bytes = threads * READS * WIDTH * size_of::<T>();
    Ok(bytes as f64 / (timing.min_ms * 1e-3))
}

/// Multiply-adds of one lane per repetition.
const ROUNDS: usize = 1 << 14;

struct MultiplyAdd<const LANES: usize, const FUSED: bool>;

impl<const LANES: usize, const FUSED: bool> WithSimd for MultiplyAdd<LANES, FUSED> {
    type Output = [f64; LANES];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f64; LANES] {
        let (factor, addend): (f64, f64) = (black_box(0.999), black_box(1e-3));
        let mut lanes = [1.0_f64; LANES];
        for _ in 0..ROUNDS {
            for lane in &mut lanes {
                *lane = if FUSED { lane.mul_add(factor, addend) } else { *lane * factor + addend };
            }
        }
        lanes
    }
}

/// The best of a few shapes: how many independent sums hide the latency differs between instruction sets.
fn flops(path: Path, threads: usize, budget: Duration) -> anyhow::Result<f64> {
    let shapes = [
        rate::<32, true>(path, threads, budget)?,
        rate::<64, true>(path, threads, budget)?,
        rate::<32, false>(path, threads, budget)?,
        rate::<64, false>(path, threads, budget)?,
    ];
    Ok(shapes.into_iter().fold(0.0, |most, rate| if rate > most { rate } else { most }))
}

fn rate<const LANES: usize, const FUSED: bool>(
    path: Path,
    threads: usize,
    budget: Duration,
) -> anyhow::Result<f64> {
    let timing = timing::measure(budget / 4, || {
        rayon::broadcast(|_| {
            black_box(path.run(MultiplyAdd::<LANES, FUSED>));
        });
        Ok(())
    })?;
    Ok((2 * threads * LANES * ROUNDS) as f64 / (timing.min_ms * 1e-3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_part_of_a_cost_is_its_roofline() {
        let limits =
            Limits { threads: 1, path: "plain", triad: 10.0, rows_256: 20.0, rows_512: 15.0, flops: 100.0 };
        assert_eq!(limits.seconds(Cost { streamed: 20, cached: 20, flops: 100 }), 2.0);
        assert_eq!(limits.seconds(Cost { streamed: 0, cached: 60, flops: 100 }), 3.0);
        assert_eq!(limits.seconds(Cost { streamed: 0, cached: 0, flops: 500 }), 5.0);
    }
}
