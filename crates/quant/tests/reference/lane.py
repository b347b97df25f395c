"""Writes lane.csv: F, K, vol, tau, price of the call and of the put, Greeks of the call (delta, gamma, vega, theta,
vanna, volga), all undiscounted Black-76, over the whole domain of `batch::lane`.

Run: python lane.py > lane.csv   (needs mpmath)
"""

import random
from mpmath import mp, mpf, exp, log, sqrt, erfc, pi

rng = random.Random(761)
YEAR = 31_536_000.0


def case(f, k, vol, tau):
    mp.dps = 60
    F, K, v, T = mpf(f), mpf(k), mpf(vol), mpf(tau)
    s = v * sqrt(T)
    x = log(F / K)
    size = min(max(abs(x / s + s / 2), abs(x / s - s / 2)), 60)
    mp.dps = 90 + int(size * size)
    s = v * sqrt(T)
    x = log(F / K)
    d1, d2 = x / s + s / 2, x / s - s / 2
    N = lambda z: erfc(-z / sqrt(mpf(2))) / 2 if abs(z) < 1000 else mpf(z > 0)
    n = exp(-d1 * d1 / 2) / sqrt(2 * pi) if abs(d1) < 1000 else mpf(0)
    call = F * N(d1) - K * N(d2)
    put = K * N(-d2) - F * N(-d1)
    vega = F * n * sqrt(T)
    out = [call, put, N(d1), n / (F * s), vega, -F * n * v / (2 * sqrt(T)), -n * d2 / v, vega * d1 * d2 / v]
    out = [mpf(0) if abs(o) < mpf(10) ** -330 else o for o in out]
    print(",".join([repr(f), repr(k), repr(vol), repr(tau)] + [mp.nstr(o, 18) for o in out]))


def log_uniform(a, b):
    return 10 ** rng.uniform(a, b)


def tau_within():
    return log_uniform(-7.4988, 1.4771)


# The whole domain: forward 1e-8 to 1e8, total volatility 1e-12 to 60, K/F from e^-12 to e^12.
for _ in range(90):
    tau = tau_within()
    f = log_uniform(-8, 8)
    case(f, f * 2.718281828 ** rng.uniform(-12, 12), log_uniform(-12, 1.778) / tau**0.5, tau)
# Near the money for the total volatility, from a ten-thousandth of a deviation to the far tail.
for _ in range(110):
    tau = tau_within()
    f = log_uniform(-8, 8)
    s = log_uniform(-12, 1.778)
    m = rng.choice([-1, 1]) * log_uniform(-4, 1.6)
    if abs(m * s) < 12:
        case(f, f * 2.718281828 ** (m * s), s / tau**0.5, tau)
# What venues list.
for _ in range(60):
    f = log_uniform(0, 5)
    tau = rng.randint(600, 63_072_000) / YEAR
    vol = rng.uniform(0.15, 2.0)
    case(f, f * 2.718281828 ** (vol * tau**0.5 * rng.uniform(-4, 4)), vol, tau)
# At the money, neighbouring doubles, powers of two, mantissas about the seam of the logarithm, extremes of size.
for f, k in [(1.0, 1.0), (1.0, 1.0000000000000002), (1.0, 0.9999999999999999), (2.0, 1.0), (1.0, 2.0), (3.0, 2.0), (2.0, 3.0), (1.4142135623730951, 1.0), (1e-8, 1e-8), (1e8, 1e8), (50000.0, 50000.00000001)]:
    for s in [1e-16, 1e-12, 1e-6, 0.01, 0.5, 3.0, 12.0, 60.0]:
        case(f, k, s / 0.5, 0.25)
for f, k in [(1e-300, 2e-300), (3e-308, 2.5e-308), (1e-290, 4e-287), (1e300, 3e299), (1.7e308, 1.6e308), (1e-300, 1e300), (1e300, 1e-300)]:
    for s in [1e-3, 0.4, 20.0, 37.0, 60.0]:
        case(f, k, s / 0.5, 0.25)
