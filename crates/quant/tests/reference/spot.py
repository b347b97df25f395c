"""Writes spot.csv: kind (1 call, -1 put), S, K, yield, rate, tau, vol, then value, delta, gamma, vega, theta, rho,
dividend_rho, elasticity, vanna, volga of the generalised Black-Scholes formula at 80 digits or more.

Run: python spot.py > spot.csv   (needs mpmath)
"""

import random
from mpmath import mp, mpf, exp, log, sqrt, erfc, pi

rng = random.Random(1998)


def case(w, spot, strike, y, r, tau, vol):
    mp.dps = 60
    S, K, q, i, T, v = map(mpf, (spot, strike, y, r, tau, vol))
    s = v * sqrt(T)
    x = log(S / K) + (i - q) * T
    size = max(abs(x / s + s / 2), abs(x / s - s / 2))
    if size > 30:
        return
    mp.dps = 80 + int(size * size)
    s = v * sqrt(T)
    x = log(S / K) + (i - q) * T
    d1, d2 = x / s + s / 2, x / s - s / 2
    N = lambda z: erfc(-z / sqrt(mpf(2))) / 2
    n = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    dq, dr = exp(-q * T), exp(-i * T)
    p1, p2 = w * N(w * d1), w * N(w * d2)
    value = S * dq * p1 - K * dr * p2
    vega = S * dq * n * sqrt(T)
    theta = q * S * dq * p1 - i * K * dr * p2 - S * dq * n * v / (2 * sqrt(T))
    out = [value, dq * p1, dq * n / (S * s), vega, theta, T * K * dr * p2, -T * S * dq * p1]
    out += [dq * p1 * S / value, -dq * n * d2 / v, vega * d1 * d2 / v]
    print(",".join([str(w)] + [repr(z) for z in (spot, strike, y, r, tau, vol)] + [mp.nstr(o, 20) for o in out]))


RATES = [0.0, 0.03, 0.05, -0.02, 0.12]
for _ in range(400):
    w = rng.choice([1, -1])
    tau, vol = 10 ** rng.uniform(-5, -1.5), 10 ** rng.uniform(-2, 0.3)
    s = vol * tau**0.5
    y, r = rng.choice(RATES), rng.choice(RATES)
    spot = rng.choice([100.0, 68534.75, 1.0837, 10 ** rng.uniform(-3, 5)])
    case(w, spot, spot * 2.718281828 ** ((r - y) * tau + s * rng.uniform(-6, 6)), y, r, tau, vol)
for _ in range(120):
    w = rng.choice([1, -1])
    tau, vol = 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-1.3, 0.3)
    spot = 10 ** rng.uniform(-2, 5)
    case(w, spot, spot * 2.718281828 ** rng.uniform(-1.5, 1.5), rng.uniform(-0.1, 0.15), rng.uniform(-0.05, 0.2), tau, vol)
for _ in range(200):
    w = rng.choice([1, -1])
    tau, vol = 10 ** rng.uniform(-5, -4), 10 ** rng.uniform(-2.5, -1)
    y, r = rng.choice(RATES), rng.choice(RATES)
    spot = 10 ** rng.uniform(-3, 5)
    case(w, spot, spot * 2.718281828 ** ((r - y) * tau + vol * tau**0.5 * rng.uniform(-3, 3)), y, r, tau, vol)
for tau in [1e-5, 1 / 8760, 1 / 365]:
    for w in [1, -1]:
        for strike in [99.95, 100.0, 100.05]:
            for y, r in [(0.0, 0.0), (0.0, 0.05), (0.05, 0.05), (0.3, -0.1)]:
                case(w, 100.0, strike, y, r, tau, 0.1)
