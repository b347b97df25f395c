// What the page draws of a smile: the curve of the five numbers that the server fitted, and whether it has arbitrage. For pictures
// alone; margins are the server's.
import type { Smile } from "./types";

type Svi = Smile["svi"];

/** Total variance, `a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))`. */
export function variance({ a, b, rho, m, sigma }: Svi, k: number): number {
  return a + b * (rho * (k - m) + Math.hypot(k - m, sigma));
}

export function vol(of: Smile, k: number): number {
  return Math.sqrt(Math.max(0, variance(of.svi, k)) / of.tau);
}

/** Durrleman's function: butterfly arbitrage where it is negative. */
export function durrleman(of: Svi, k: number): number {
  const root = Math.hypot(k - of.m, of.sigma);
  const w = variance(of, k);
  const first = of.b * (of.rho + (k - of.m) / root);
  const second = (of.b * of.sigma ** 2) / root ** 3;
  return (1 - (k * first) / (2 * w)) ** 2 - (first ** 2 / 4) * (1 / w + 1 / 4) + second / 2;
}

/** Five deviations to each side: where smiles are looked at. */
export function reach(of: Smile): number {
  return 5 * of.atm * Math.sqrt(of.tau);
}

function moves(of: Smile, count = 81): number[] {
  const most = reach(of);
  return Array.from({ length: count }, (_, at) => -most + (2 * most * at) / (count - 1));
}

export function butterfly(of: Smile): boolean {
  return moves(of).some((k) => durrleman(of.svi, k) < -1e-9);
}

/** Whether a later smile has less total variance somewhere. */
export function calendar(near: Smile, far: Smile): boolean {
  return moves(near).some((k) => variance(far.svi, k) < variance(near.svi, k) - 1e-12);
}

/** The normal distribution, to 1e-7 (Abramowitz and Stegun 26.2.17). */
function cdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail = Math.exp((-x * x) / 2) * 0.3989422804 * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x > 0 ? 1 - tail : tail;
}

/** Volatility where the call's forward delta is so much. */
function at(of: Smile, delta: number): number {
  let [low, high] = [-reach(of), reach(of)];
  for (let i = 0; i < 60; i++) {
    const k = (low + high) / 2;
    const s = vol(of, k) * Math.sqrt(of.tau);
    if (cdf(-k / s + s / 2) > delta) low = k;
    else high = k;
  }
  return vol(of, (low + high) / 2);
}

export function skew(of: Smile): { rr25: number; bf25: number } {
  const [call, put] = [at(of, 0.25), at(of, 0.75)];
  return { rr25: call - put, bf25: (call + put) / 2 - of.atm };
}
