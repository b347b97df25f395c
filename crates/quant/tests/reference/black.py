"""Writes black.csv: F, K, vol, tau, price of the call and of the put, Greeks of the call (delta, gamma, vega, theta,
vanna, volga), all undiscounted Black-76 at 80 digits or more.

Run: python black.py > black.csv   (needs mpmath)
"""

import random
from mpmath import mp, mpf, exp, log, sqrt, erfc, pi

rng = random.Random(76)
YEAR = 31_536_000.0


def case(f, k, vol, tau):
    mp.dps = 60
    F, K, v, T = mpf(f), mpf(k), mpf(vol), mpf(tau)
    s = v * sqrt(T)
    x = log(F / K)
    size = max(abs(x / s + s / 2), abs(x / s - s / 2))
    if size > 60:
        return
    mp.dps = 80 + int(size * size)
    s = v * sqrt(T)
    x = log(F / K)
    d1, d2 = x / s + s / 2, x / s - s / 2
    N = lambda z: erfc(-z / sqrt(mpf(2))) / 2
    n = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    call = F * N(d1) - K * N(d2)
    put = K * N(-d2) - F * N(-d1)
    if min(call, put) < mpf(10) ** -290:
        return
    vega = F * n * sqrt(T)
    out = [call, put, N(d1), n / (F * s), vega, -F * n * v / (2 * sqrt(T)), -n * d2 / v, vega * d1 * d2 / v]
    print(",".join([repr(f), repr(k), repr(vol), repr(tau)] + [mp.nstr(o, 20) for o in out]))


for _ in range(250):
    case(float(rng.randint(10, 1000)), float(rng.randint(10, 1000)), rng.uniform(0.5, 1), rng.randint(1, 200) / 100)
for _ in range(250):
    vol = 10 ** rng.uniform(-2, 1)
    tau = 10 ** rng.uniform(-6, 1)
    s = vol * tau**0.5
    f = 10 ** rng.uniform(-2, 5)
    case(f, f * 2.718281828 ** (s * rng.uniform(-36, 36)) if s < 1 else f * 10 ** rng.uniform(-6, 6), vol, tau)
for _ in range(150):
    vol = 10 ** rng.uniform(-6, 1.778)
    tau = 10 ** rng.uniform(-7.5, 1)
    s = vol * tau**0.5
    case(100.0, 100.0 * (1 + s * rng.uniform(-3, 3)) if s < 0.3 else 100.0 * 10 ** rng.uniform(-6, 6), vol, tau)
for f, k, vol, tau in [(100.0, 36.787944117144235, 1.5, 1 / 365), (100.0, 271.8281828459045, 0.3, 0.02), (100.0, 100.0, 1e-6, 1 / YEAR), (100.0, 100.0, 60.0, 10.0), (1.0, 1e6, 4.0, 1.0), (1e6, 1.0, 4.0, 1.0), (50000.0, 50000.0, 0.2, 0.25), (50000.0, 50000.00000001, 0.1999, 0.25), (50000.0, 55000.0, 0.5, 2.0)]:
    case(f, k, vol, tau)
