"""Writes lognormal.csv: expected-shortfall factors and price bounds of a lognormal price, 40 digits inside.

Run: python lognormal.py > lognormal.csv   (needs mpmath)
Columns: mu, vol, tau, level, long, short, probability, price, low, high.
"""

import random
from mpmath import mp, mpf, erfc, erfinv, exp, sqrt, findroot, log, npdf

mp.dps = 60
rng = random.Random(20260115)


def cdf(x):
    return erfc(-x / sqrt(mpf(2))) / 2


def quantile(p):
    """Newton's method on ln N, from a rough start."""
    if p == mpf(1) / 2:
        return mpf(0)
    if p > mpf(1) / 2:
        return -quantile(1 - p)
    z = -sqrt(-2 * log(p))
    for _ in range(60):
        step = (log(cdf(z)) - log(p)) * cdf(z) / npdf(z)
        z -= step
        if abs(step) < mpf(10) ** -50:
            break
    return z


def row(mu, vol, tau, level, probability, price):
    m, v, t, l, p = (mpf(x) for x in (mu, vol, tau, level, probability))
    mb, sb, z = (m - v * v / 2) * t, v * sqrt(t), quantile(mpf(level))
    growth = exp(mb + sb * sb / 2)
    long = 1 - growth * cdf(z - sb) / l
    short = growth * (1 - cdf(-z - sb)) / l - 1
    low = mpf(price) * exp(mb + sb * quantile((1 - p) / 2))
    high = mpf(price) * exp(mb - sb * quantile((1 - p) / 2))
    numbers = [mu, vol, tau, level, float(long), float(short), probability, price, float(low), float(high)]
    print(",".join(repr(float(x)) for x in numbers))


for level in (1e-8, 1e-6, 1e-4, 0.01, 0.1):
    for tau in (1e-8, 1e-4, 0.01, 1.0):
        for vol in (1e-3, 0.3, 1.5, 50.0):
            row(0.0, vol, tau, level, 0.99, 1000.0)
for _ in range(220):
    level = 10 ** rng.uniform(-12, -0.01)
    tau = 10 ** rng.uniform(-8, 0)
    vol = 10 ** rng.uniform(-3, 1.3)
    mu = rng.choice([0.0, 0.0, 1.0]) * rng.uniform(-0.2, 0.2) * vol / max(tau, 1e-4) ** 0.5
    row(mu, vol, tau, level, rng.choice([0.5, 0.9, 0.95, 0.99, 0.999, 0.9999999]), 10 ** rng.uniform(-3, 6))
