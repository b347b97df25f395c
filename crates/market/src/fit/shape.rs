//! A slice in the coordinates of the optimiser, and its derivatives.
//!
//! With `s^2` the variance at the money, `x = k/s` and `y = w/s^2`, a slice is
//! `y = v - sigma sqrt(L R) + (R - L)/2 d + (L + R)/2 sqrt(d^2 + sigma^2)`, `d = x - m`, where `v >= 0` is its least
//! variance and `L, R >= 0` are the slopes of its wings. Everything here is inlined into vector kernels.

/// Least variance, left and right slope, vertex, width.
pub(super) type Coordinates = [f64; 5];

/// Value, first and second derivative of `y`.
#[derive(Clone, Copy)]
pub(super) struct Jet {
    pub(super) y: f64,
    pub(super) y1: f64,
    pub(super) y2: f64,
}

/// What every point of a slice shares.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) m: f64,
    sigma: f64,
    /// `v - sigma sqrt(L R)`.
    base: f64,
    /// `(R - L)/2` and `(L + R)/2`.
    tilt: f64,
    b: f64,
    /// `sqrt(L R)`, `sigma sqrt(R/L)`, `sigma sqrt(L/R)`.
    mean: f64,
    left_pull: f64,
    right_pull: f64,
}

impl Shape {
    pub(super) fn new(p: &Coordinates) -> Self {
        let [v, left, right, m, sigma] = *p;
        let mean = (left * right).sqrt();
        Self {
            m,
            sigma,
            base: v - sigma * mean,
            tilt: 0.5 * (right - left),
            b: 0.5 * (left + right),
            mean,
            left_pull: sigma * (right / left).sqrt(),
            right_pull: sigma * (left / right).sqrt(),
        }
    }

    /// `sqrt(d^2 + sigma^2)`.
    #[inline(always)]
    pub(super) fn root(&self, d: f64) -> f64 {
        (d * d + self.sigma * self.sigma).sqrt()
    }

    /// `y` at `d`, where [`Shape::root`] is `r`.
    #[inline(always)]
    pub(super) fn variance(&self, d: f64, r: f64) -> f64 {
        self.base + self.tilt * d + self.b * r
    }

    /// Value and derivatives at `x`.
    #[inline(always)]
    pub(super) fn jet(&self, x: f64) -> Jet {
        let d = x - self.m;
        let r2 = d * d + self.sigma * self.sigma;
        let r = r2.sqrt();
        Jet {
            y: self.variance(d, r),
            y1: self.tilt + self.b * d / r,
            y2: self.b * self.sigma * self.sigma / (r2 * r),
        }
    }

    /// Derivatives of `y` to the coordinates.
    #[inline(always)]
    pub(super) fn gradient(&self, d: f64, r: f64) -> Coordinates {
        [
            1.0,
            0.5 * (r - d - self.left_pull),
            0.5 * (r + d - self.right_pull),
            -self.tilt - self.b * d / r,
            self.b * self.sigma / r - self.mean,
        ]
    }
}

/// Durrleman's function in these coordinates; `scale` is `s^2`.
#[inline(always)]
pub(super) fn durrleman(at: Jet, x: f64, scale: f64) -> f64 {
    let q = 1.0 - 0.5 * x * at.y1 / at.y;
    q * q - 0.25 * at.y1 * at.y1 * (1.0 / at.y + 0.25 * scale) + 0.5 * at.y2
}
