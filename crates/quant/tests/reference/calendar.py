"""Writes calendar.csv: a, b, rho, m, sigma of the nearer and of the farther slice, then the largest
w_near - w_far over |k| in [1e-3, 1e12] on both sides and k = 0 with its k, and the largest share of it in w_near.

The wings of the pairs are nearly parallel: slopes that differ by a factor of 1 +- 1e-14..1e-3 or not at all, levels
that differ by 1e-9..1e-2 either way. The scan has 24 points a decade, the best is refined; 40 digits.

Run: python calendar.py > calendar.csv   (needs mpmath)
"""

import random
from mpmath import mp, mpf, sqrt

mp.dps = 40
rng = random.Random(2014)


def total_variance(p, k):
    a, b, rho, m, sigma = p
    d = k - m
    return a + b * (rho * d + sqrt(d * d + sigma * sigma))


def scan(near, far):
    near, far = [mpf(v) for v in near], [mpf(v) for v in far]
    excess = lambda k: total_variance(near, k) - total_variance(far, k)
    grid = [mpf(10) ** (mpf(i) / 24 - 3) for i in range(24 * 15 + 1)]
    best = (excess(mpf(0)), mpf(0))
    share = best[0] / total_variance(near, mpf(0))
    for side in (1, -1):
        values = [excess(side * x) for x in grid]
        share = max([share] + [v / total_variance(near, side * x) for v, x in zip(values, grid)])
        i = max(range(len(grid)), key=lambda j: values[j])
        lo, hi = grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]
        for _ in range(60):
            one, two = lo + (hi - lo) * mpf("0.382"), lo + (hi - lo) * mpf("0.618")
            if excess(side * one) > excess(side * two):
                hi = two
            else:
                lo = one
        for x in (lo, grid[i]):
            value = excess(side * x)
            share = max(share, value / total_variance(near, side * x))
            if value > best[0]:
                best = (value, side * x)
    return best[0], best[1], share


def apart(lo, hi):
    return rng.choice([0.0, 1.0, 1.0, -1.0]) * 10 ** rng.uniform(lo, hi)


def pair():
    b, rho, m, sigma = rng.uniform(0.05, 0.5), rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5), rng.uniform(0.05, 1.5)
    a = rng.uniform(0.001, 0.05) - b * sigma * (1 - rho * rho) ** 0.5 * rng.uniform(0, 0.9)
    right, left = b * (1 + rho) * (1 + apart(-14, -3)), b * (1 - rho) * (1 + abs(apart(-14, -3)))
    b2 = (right + left) / 2
    rho2 = (right - left) / (2 * b2)
    if rng.random() < 0.3:
        b2, rho2 = b, rho
    m2 = m + rng.choice([0.0, 1.0]) * rng.uniform(-0.01, 0.01)
    sigma2 = sigma * (1 + rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0, 0.3))
    # Level so that the right wing is higher or lower by the amount wanted.
    a2 = a - b * (1 + rho) * m + b2 * (1 + rho2) * m2 + apart(-9, -2)
    return (a, b, rho, m, sigma), (a2, b2, rho2, m2, sigma2)


ETH = [
    (-0.1625226572881382, 0.2139757727300279, -0.05370768208674317, 0.061025715343703636, 0.9416053906412801),
    (-0.14936014563524247, 0.2139757729440037, -0.053707682086743265, 0.12617871318337917, 1.1069768448206245),
]
for near, far in [tuple(ETH)] + [pair() for _ in range(420)]:
    excess, k, share = scan(near, far)
    numbers = [repr(v) for v in near + far] + [mp.nstr(v, 12) for v in (excess, k, share)]
    print(",".join(numbers))
