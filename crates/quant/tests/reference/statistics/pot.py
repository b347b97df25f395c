"""Generalised Pareto estimates with scipy, polished by Nelder-Mead: writes pot.csv.

Columns: kind, n, shape, scale, log_likelihood, quantile and shortfall at 99 % beyond a threshold of 0.02 with a share of 0.1 (the
shortfall by quadrature up to a shape of 0.9, closed form to 1, then 0).
"""

import math
from pathlib import Path

import numpy as np
from draw import Draw
from scipy.optimize import minimize
from scipy.stats import genpareto


def excess(draw, kind):
    u = draw.uniform() + 1e-9
    if kind == 0:
        return 1 / math.sqrt(u) - 1
    if kind == 1:
        return 1 / u - 1 + 1e-9
    if kind == 3:
        return 1 / math.sqrt(math.sqrt(u)) - 1 + 1e-12
    z = draw.normal()
    return z * z + 1e-12


def shortfall(c, s, q):
    if c >= 1:
        return 0.0
    if c >= 0.9:
        return (q + s - c * 0.02) / (1 - c)
    args = dict(loc=0, scale=s, lb=q - 0.02, epsabs=0, epsrel=1e-10, limit=500)
    return 0.02 + genpareto.expect(lambda v: v, args=(c,), **args) / 0.1


rows = ["kind,n,shape,scale,log_likelihood,quantile,shortfall"]
for kind in (0, 1, 3, 4):
    for n in (40, 400, 4000):
        draw = Draw(100 + kind)
        y = np.array([excess(draw, kind) for _ in range(n)])
        c, _, s = genpareto.fit(y, floc=0)

        def cost(q):
            return -np.sum(genpareto.logpdf(y, q[0], 0, q[1])) if q[1] > 0 else 1e300

        best = np.array([c, s])
        for _ in range(4):
            options = dict(xatol=1e-12, fatol=1e-13, maxiter=10000)
            best = minimize(cost, best, method="Nelder-Mead", options=options).x
        c, s = map(float, best)
        q = float(0.02 + genpareto.ppf(1 - 0.01 / 0.1, c, 0, s))
        rows.append(",".join(map(repr, [kind, n, c, s, float(-cost(best)), q, float(shortfall(c, s, q))])))
Path(__file__).with_name("pot.csv").write_text("\n".join(rows) + "\n")
