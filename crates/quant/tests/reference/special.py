"""Writes special.csv: function, argument, second argument, expected value as a pair of doubles (50 digits inside).

Run: python special.py > special.csv   (needs mpmath)
"""

import random
from mpmath import mp, mpf, exp, log, expm1, log1p, erfc, sqrt, pi, power, ncdf, npdf, loggamma, gammainc, betainc

mp.dps = 60
rng = random.Random(20260101)


def pair(v):
    hi = float(v)
    lo = float(v - mpf(hi)) if mp.isfinite(v) else 0.0
    return hi, lo


def row(name, v, x, y=0.0):
    hi, lo = pair(v)
    if abs(hi) == float("inf"):
        return
    print(f"{name},{x!r},{y!r},{hi!r},{lo!r}")


def digits(x):
    """Enough digits for erfc of a large argument."""
    return 60 + int(float(x) ** 2)


def cdf(x):
    mp.dps = digits(x)
    v = erfc(-mpf(x) / sqrt(mpf(2))) / 2
    mp.dps = 60
    return +v


def scaled(x):
    mp.dps = digits(x) if abs(x) < 60 else 4000
    v = exp(mpf(x) ** 2) * erfc(mpf(x))
    mp.dps = 60
    return +v


def quantile(p):
    """Newton's method on ln N from the far tail expansion."""
    p = mpf(p)
    t = min(p, 1 - p)
    z = sqrt(-2 * log(t))
    z = z - log(z * sqrt(2 * pi)) / z if z > 3 else (mpf(1) / 2 - t) * sqrt(2 * pi)
    for _ in range(100):
        mp.dps = 80 + int(float(z) ** 2)
        tail = erfc(z / sqrt(mpf(2))) / 2
        mp.dps = 60
        d = log(tail / t) * tail / npdf(z)
        z += d
        if abs(d) < mpf(10) ** -50 * (1 + abs(z)):
            break
    return -z if p < mpf(1) / 2 else z


def student(x, nu):
    x, nu = mpf(x), mpf(nu)
    tail = betainc(nu / 2, mpf(1) / 2, 0, nu / (nu + x * x), regularized=True) / 2
    return tail if x < 0 else 1 - tail


edges = [0.0, 5e-324, 1e-310, 1e-300, 1e-20, 1e-10, 0.34657359027997264, 0.3465735902799727, 0.5, 1.0, 2.0]
for x in edges + [rng.uniform(-1, 1) for _ in range(60)] + [rng.uniform(-745, 709.7) for _ in range(120)] + [709.78, -708.5, -720.0, -744.9]:
    row("exp", exp(mpf(x)), x)
    row("exp_m1", expm1(mpf(x)) if abs(x) > 1e-40 else mpf(x), x)
for x in [1 + s * 2.0**-k for k in range(1, 53, 3) for s in (-1, 1)]:
    row("ln", log(mpf(x)), x)
for x in [5e-324, 1e-310, 2.2250738585072014e-308, 1.7976931348623157e308, 0.7071067811865475, 0.7071067811865476, 1.4142135623730951, 10.0]:
    row("ln", log(mpf(x)), x)
for _ in range(150):
    x = rng.uniform(0.3, 3) * 2.0 ** rng.choice([0, 0, 0, rng.randint(-1000, 1000)])
    row("ln", log(mpf(x)), x)
for k in range(1, 60, 2):
    for s in (-1, 1):
        x = s * rng.uniform(0.5, 1) * 2.0**-k
        row("ln_1p", log1p(mpf(x)), x)
for _ in range(60):
    x = rng.uniform(-0.99, 5)
    row("ln_1p", log1p(mpf(x)), x)
for _ in range(150):
    x = rng.uniform(0.1, 10) * 2.0 ** rng.choice([0, rng.randint(-300, 300)])
    y = rng.uniform(-5, 5)
    row("pow", power(mpf(x), mpf(y)), x, y)
for x, y in [(30.0, 0.3), (30.0, 0.13), (1.0000001, 1e9), (0.999999, -5e8), (2.0, 1023.5), (2.0, -1073.5), (1e-300, 1.05), (4.0, 0.5)]:
    row("pow", power(mpf(x), mpf(y)), x, y)
for x in [0.0, 1e-300, 1e-9, -1e-9, 1.0, -1.0, 8.0, -8.0, -20.0, -37.5, -38.0, -38.4, -38.46] + [rng.uniform(-38.4, 8.5) for _ in range(200)] + [rng.uniform(-2, 2) for _ in range(100)]:
    row("norm_cdf", cdf(x), x)
    row("norm_pdf", npdf(mpf(x)), x)
for x in [0.0, 0.3, 1.0, 5.0, 26.0, 27.2] + [rng.uniform(-3, 26.5) for _ in range(150)]:
    row("erfc", 2 * cdf(-mpf(x) * sqrt(mpf(2))), x)
    row("erfcx", scaled(x), x)
for p in [5e-324, 1e-320, 1e-310, 1e-300, 1e-100, 1e-16, 0.2, 0.8, 0.19999999, 0.5000000001, 0.49999, 0.9999999999999999] + [10.0 ** rng.uniform(-300, -1) for _ in range(100)] + [rng.uniform(0, 1) for _ in range(150)]:
    row("norm_quantile", quantile(p), p)
for _ in range(80):
    x = 10.0 ** rng.uniform(-3, 4)
    row("ln_gamma", loggamma(mpf(x)), x)
for x in [1.0, 2.0, 1.5, 0.5, 1.0000001, 171.5]:
    row("ln_gamma", loggamma(mpf(x)), x)
mp.dps = 40
for _ in range(60):
    k = rng.choice([0.7, 1.0, 2.0, 3.0, 10.0, 100.0])
    x = k * 10.0 ** rng.uniform(-1, 0.7)
    row("chi2_cdf", gammainc(mpf(k) / 2, 0, mpf(x) / 2, regularized=True), x, k)
    row("chi2_sf", gammainc(mpf(k) / 2, mpf(x) / 2, regularized=True), x, k)
for _ in range(120):
    nu = rng.choice([1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 12.0, 30.0, 200.0])
    x = rng.choice([-1, 1]) * 10.0 ** rng.uniform(-2, 1.7)
    row("student_t_cdf", student(x, nu), x, nu)
    row("student_t_pdf", mp.gamma((mpf(nu) + 1) / 2) / sqrt(nu * pi) / mp.gamma(mpf(nu) / 2) * (1 + mpf(x) ** 2 / nu) ** (-(mpf(nu) + 1) / 2), x, nu)
