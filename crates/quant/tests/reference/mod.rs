//! What the tests share with the scripts that made their references: draws of exact operations, tables, and a digest.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part; a panic is how a test fails")]

/// A linear congruential generator, and laws made of `+ - * /` and `sqrt` only.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// Uniform on [0, 1), a multiple of `2^-32`.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as f64 / 4_294_967_296.0
    }

    /// Sum of twelve uniforms less six: mean 0, variance 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..12 {
            sum += self.uniform();
        }
        sum - 6.0
    }

    /// Student's t with five degrees of freedom, scaled to variance 1.
    pub(crate) fn student5(&mut self) -> f64 {
        let z = self.normal();
        let mut squares = 0.0;
        for _ in 0..5 {
            let x = self.normal();
            squares += x * x;
        }
        z / (squares / 5.0).sqrt() * 0.6f64.sqrt()
    }
}

/// A table of numbers beside this file: one header line, then commas.
pub(crate) struct Rows(Vec<Vec<f64>>);

impl Rows {
    /// Reads a table.
    pub(crate) fn read(name: &str) -> Self {
        let path = format!("{}/tests/reference/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let row = |line: &str| line.split(',').map(|x| x.parse().unwrap()).collect();
        Self(text.lines().skip(1).map(row).collect())
    }

    /// Rows in order.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Vec<f64>> {
        self.0.iter()
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// FNV-1a over the bits of each result.
pub(crate) struct Digest(pub(crate) u64);

impl Digest {
    /// Adds a result.
    pub(crate) fn add(&mut self, x: f64) {
        // The sign and payload of a NaN are not part of IEEE-754's promise.
        let bits = if x.is_nan() { 0x7ff8_0000_0000_0000 } else { x.to_bits() };
        for byte in bits.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
