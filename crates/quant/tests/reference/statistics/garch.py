"""Maximum likelihood of GARCH(1,1) and GJR(1,1) with `arch` 8.0, polished by Nelder-Mead: writes garch.csv.

The backcast is 1 in every fit. Columns: seed, gjr, student, constant (flags), mean, omega, alpha, gamma, beta, nu, log_likelihood.
"""

import math
from pathlib import Path

import numpy as np
from arch.univariate import GARCH, ConstantMean, Normal, StudentsT, ZeroMean
from draw import Draw
from scipy.optimize import minimize

SERIES = {
    11: (0.05, 0.08, 0.0, 0.88, 0.03, False),
    12: (0.02, 0.06, 0.0, 0.92, 0.05, True),
    13: (0.04, 0.03, 0.12, 0.86, 0.02, False),
    14: (0.1, 0.05, 0.1, 0.8, -0.02, True),
}


def series(seed, n):
    omega, alpha, gamma, beta, mean, student = SERIES[seed]
    draw, out = Draw(seed), []
    h = omega / (1 - (alpha + 0.5 * gamma + beta))
    for _ in range(n):
        e = math.sqrt(h) * (draw.student5() if student else draw.normal())
        out.append(mean + e)
        weight = alpha + gamma if e < 0 else alpha
        h = omega + weight * e * e + beta * h
    return np.array(out)


def fit(y, gjr, student, constant):
    model = (ConstantMean if constant else ZeroMean)(y)
    model.volatility = GARCH(1, gjr, 1)
    model.distribution = StudentsT() if student else Normal()
    best = model.fit(disp="off", backcast=1.0, tol=1e-12, options={"maxiter": 3000}).params.values
    sigma2, bounds = np.zeros(len(y)), np.tile([1e-10, 1e10], (len(y), 1))

    def cost(q):
        return float(model._loglikelihood(q, sigma2, 1.0, bounds)) if np.all(np.isfinite(q)) else 1e10

    options = dict(xatol=1e-11, fatol=1e-13, maxiter=40000, maxfev=40000, adaptive=True)
    for _ in range(6):
        found = minimize(cost, best, method="Nelder-Mead", options=options)
        best = found.x
    return list(best), -found.fun


rows = ["seed,gjr,student,constant,mean,omega,alpha,gamma,beta,nu,log_likelihood"]
for seed in SERIES:
    y = series(seed, 2500)
    for gjr in (0, 1):
        for student in (0, 1):
            for constant in (1, 0):
                p, likelihood = fit(y, gjr, student, constant)
                mean = p.pop(0) if constant else 0.0
                nu = p.pop() if student else 0.0
                omega, alpha, beta = p[0], p[1], p[-1]
                gamma = p[2] if gjr else 0.0
                numbers = [f"{x:.10g}" for x in (mean, omega, alpha, gamma, beta, nu)]
                rows.append(",".join(map(str, [seed, gjr, student, constant, *numbers, f"{likelihood:.10f}"])))
Path(__file__).with_name("garch.csv").write_text("\n".join(rows) + "\n")
