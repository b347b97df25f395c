"""Implied volatilities of undiscounted Black-76 prices, to 25 digits, with mpmath: writes implied.csv.

Columns: kind, price, forward, strike, tau, vol. The volatility is the exact one of the price as a double, so that no
rounding of the price stands between it and an answer.
"""

import random
from pathlib import Path

from mpmath import erfc, exp, log, mp, mpf, pi, sqrt

mp.dps = 420


def norm(x):
    return erfc(-x / sqrt(mpf(2))) / 2


def black(kind, forward, strike, s):
    d1 = log(forward / strike) / s + s / 2
    w = 1 if kind == "call" else -1
    value = w * (forward * norm(w * d1) - strike * norm(w * (d1 - s)))
    return value, forward * exp(-d1 * d1 / 2) / sqrt(2 * pi)


def solve(kind, price, forward, strike, s):
    for _ in range(60):
        value, slope = black(kind, forward, strike, s)
        step = (price - value) / slope
        s += step
        if abs(step) < s * mpf(10) ** -60:
            return s
    raise ValueError((kind, price, forward, strike))


def rows():
    draw = random.Random(4)
    count = 0
    while count < 260:
        shape = count % 5
        s = 10 ** draw.uniform(-6, 1.3)
        if shape == 0:  # near the money
            x = s * draw.uniform(-3, 3)
        elif shape == 1:  # wings, down to 1e-300
            x = s * draw.uniform(-36, 36)
        elif shape == 2:  # large moneyness, value near half of its bound
            x = draw.choice((-1, 1)) * 10 ** draw.uniform(-1, 2.3)
            s = (2 * abs(x)) ** 0.5 * draw.uniform(0.8, 1.25)
        elif shape == 3:  # at the money exactly, up to the bound
            x = 0.0
            s = min(s, 15.0)
        else:  # in the money
            x = s * draw.uniform(0, 4)
        if abs(x) > 650:
            continue
        forward = round(10 ** draw.uniform(-2, 5), 4)
        strike = forward if x == 0.0 else float(mpf(forward) * exp(mpf(-x)))
        tau = draw.choice((1 / 31557600, 1 / 365, 0.1, 1.0, 7.5, 30.0))
        out = "call" if strike > forward else "put"
        kind = out if shape != 4 else ("put" if out == "call" else "call")
        f, k = mpf(forward), mpf(strike)
        price = float(black(kind, f, k, mpf(s))[0])
        bound = forward if kind == "call" else strike
        intrinsic = max(f - k if kind == "call" else k - f, mpf(0))
        if not 1e-285 < price < bound or mpf(price) - intrinsic < mpf(price) * mpf(10) ** -6:
            continue
        room = mpf(bound) - mpf(price)
        if room < mpf(bound) * mpf(10) ** -9:
            continue
        vol = solve(kind, mpf(price), f, k, mpf(s)) / sqrt(mpf(tau))
        count += 1
        yield f"{kind},{price!r},{forward!r},{strike!r},{tau!r},{mp.nstr(vol, 25)}"


Path(__file__).with_name("implied.csv").write_text("\n".join(rows()) + "\n")
