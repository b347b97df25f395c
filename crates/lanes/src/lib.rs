//! The choice of a vector path, made once at run time.
//!
//! **The one idea:** a kernel is one piece of source, written over plain slices with operations that IEEE 754 rounds
//! correctly (`+ - * / sqrt`, fused `mul_add`) and with selections instead of branches. It is compiled once per
//! instruction set, so every path gives the same bits by construction: nothing is reassociated, nothing contracted. The
//! body must be `#[inline(always)]` down to the last function it calls, or the instruction set ends at the call.
//!
//! **Must never know:** what is computed.
//!
//! ```
//! use plimsoll_lanes::{Path, Simd, WithSimd};
//! struct Halve<'a>(&'a mut [f64]);
//! impl WithSimd for Halve<'_> {
//!     type Output = ();
//!     #[inline(always)]
//!     fn with_simd<S: Simd>(self, _: S) {
//!         for x in self.0 {
//!             *x *= 0.5;
//!         }
//!     }
//! }
//! for path in Path::available() {
//!     let mut numbers = [1.0, 3.0];
//!     path.run(Halve(&mut numbers));
//!     assert_eq!(numbers, [0.5, 1.5]);
//! }
//! ```

pub use pulp::{Simd, WithSimd};

/// An instruction set that this machine has. There is no way to make one that it lacks.
#[derive(Clone, Copy, Debug)]
pub struct Path(Level);

#[derive(Clone, Copy, Debug)]
enum Level {
    Plain(pulp::Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
}

impl Path {
    /// What the compiler was told of the target, and no more: the reference for the others. On x86-64 a fused
    /// multiply-add is then a call, several times slower.
    pub fn plain() -> Self {
        Self(Level::Plain(pulp::Scalar::new()))
    }

    /// Every path of this machine, plain first, the fastest last.
    pub fn available() -> Vec<Self> {
        let mut paths = vec![Self::plain()];
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(pulp::x86::V3::try_new().map(|v| Self(Level::Avx2(v))));
            paths.extend(pulp::x86::V4::try_new().map(|v| Self(Level::Avx512(v))));
        }
        paths
    }

    /// The fastest path of this machine. The features are asked for once per process; after that this costs a load.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(v) = pulp::x86::V4::try_new() {
                return Self(Level::Avx512(v));
            }
            if let Some(v) = pulp::x86::V3::try_new() {
                return Self(Level::Avx2(v));
            }
        }
        Self::plain()
    }

    /// `plain`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Plain(_) => "plain",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
        }
    }

    /// Runs a kernel compiled for this path.
    pub fn run<K: WithSimd>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Plain(v) => Simd::vectorize(v, kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(v) => Simd::vectorize(v, kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(v) => Simd::vectorize(v, kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fma<'a>(&'a [f64], &'a mut [f64]);

    impl WithSimd for Fma<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for (x, out) in self.0.iter().zip(self.1) {
                *out = x.mul_add(*x, -1.0) / (x.sqrt() + 2.0);
            }
        }
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        let numbers: Vec<f64> = (0..1000).map(|i| 1.0 + f64::from(i) * 1e-9 / 3.0).collect();
        let run = |path: Path| {
            let mut out = vec![0.0; numbers.len()];
            path.run(Fma(&numbers, &mut out));
            out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let plain = run(Path::plain());
        for path in Path::available() {
            assert_eq!(run(path), plain, "{}", path.name());
        }
    }

    #[test]
    fn the_best_path_is_the_last_of_those_available() {
        let last = Path::available().pop().map(Path::name);
        assert_eq!(last, Some(Path::best().name()));
    }
}
