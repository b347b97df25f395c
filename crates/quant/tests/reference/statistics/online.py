"""Single references of the tests of volatility, correlation, regimes and comparisons: prints them.

statsmodels 0.15, scikit-learn 1.9, hmmlearn 0.3, PyPortfolioOpt 1.6 (imported without its optimisers), scipy 1.17.
"""

import glob
import math
import sys
import types

import numpy as np
import pandas as pd
import statsmodels.api as sm
from draw import Draw
from hmmlearn.hmm import GaussianHMM
from scipy.optimize import minimize
from scipy.special import gamma
from scipy.stats import norm
from sklearn.covariance import LedoitWolf


def har():
    draw, v, out = Draw(31), 1e-4, []
    for _ in range(400):
        v = 2e-5 + 0.8 * v * (0.6 + 0.9 * draw.uniform())
        out.append(v)
    v = np.array(out)
    for name, f in (("level", float), ("log", math.log)):
        row = lambda p: [f(p[-1]), f(p[-5:].mean()), f(p[-22:].mean())]
        x = np.array([row(v[:t]) for t in range(22, len(v))])
        found = sm.OLS(np.array([f(y) for y in v[22:]]), sm.add_constant(x)).fit()
        next_ = float(np.array([1, *row(v)]) @ found.params)
        forecast = math.exp(next_ + 0.5 * found.mse_resid) if name == "log" else next_
        print("har", name, found.params.tolist(), float(found.mse_resid), forecast)


def ranges():
    draw, c, out = Draw(32), 100.0, []
    for _ in range(40):
        o = c * (1 + 0.01 * (draw.uniform() - 0.5))
        c = o * (1 + 0.04 * (draw.uniform() - 0.5))
        h = max(o, c) * (1 + 0.01 * draw.uniform())
        out.append((o, h, min(o, c) * (1 - 0.01 * draw.uniform()), c))
    o, h, low, c = np.log(np.array(out)).T
    parkinson = (h - low) ** 2 / (4 * math.log(2))
    garman_klass = 0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2
    inside = (h - c) * (h - o) + (low - c) * (low - o)
    print("range", [float(x[-30:].mean()) for x in (parkinson, garman_klass, inside)])
    gap, body, inside, n = o[1:] - c[:-1], (c - o)[1:], inside[1:], 30
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    total = gap[-n:].var(ddof=1) + k * body[-n:].var(ddof=1) + (1 - k) * inside[-n:].mean()
    print("yang-zhang", float(total))


def jumps():
    draw = Draw(33)
    r = np.array([0.01 * draw.normal() for _ in range(300)])
    r[200] += 0.09
    r[250] -= 0.02
    window, mean_abs, root = 16, math.sqrt(2 / math.pi), math.sqrt(2 * math.log(365))
    centre = root / mean_abs - (math.log(math.pi) + math.log(math.log(365))) / (2 * mean_abs * root)
    for i in (200, 250, 299):
        w = np.abs(r[i - window + 1 : i])
        statistic = r[i] / math.sqrt((w[1:] * w[:-1]).sum() / (window - 2))
        gumbel = (abs(statistic) - centre) * mean_abs * root
        print("lee-mykland", i, float(statistic), float(-np.expm1(-np.exp(-gumbel))))
    n, realised = len(r), (r**2).sum()
    bipower = math.pi / 2 * n / (n - 1) * (np.abs(r[1:]) * np.abs(r[:-1])).sum()
    mean_power = 2 ** (2 / 3) * gamma(7 / 6) / gamma(0.5)
    a = np.abs(r) ** (4 / 3)
    quarticity = n * mean_power**-3 * n / (n - 2) * (a[2:] * a[1:-1] * a[:-2]).sum()
    spread = ((math.pi / 2) ** 2 + math.pi - 5) / n * max(1, quarticity / bipower**2)
    z = (1 - bipower / realised) / math.sqrt(spread)
    print("jump share", float(realised), float(bipower), float(z), float(norm.sf(z)))


def comparison():
    draw = Draw(34)
    first = np.array([draw.uniform() for _ in range(500)])
    before = np.concatenate([[0.0], 0.1 * first[:-1]])
    second = np.array([first[i] * 0.9 + 0.12 * draw.uniform() + before[i] for i in range(500)])
    for lags in (0, 5):
        options = dict(maxlags=lags, use_correction=False)
        found = sm.OLS(first - second, np.ones(500)).fit(cov_type="HAC", cov_kwds=options)
        print("diebold-mariano", lags, found.params[0], found.tvalues[0], found.pvalues[0])


def rows(n, series, seed, loading):
    draw, out = Draw(seed), []
    for _ in range(n):
        f = draw.normal()
        out.append([(0.5 + 0.2 * i) * (loading(i) * f + 0.8 * draw.normal()) for i in range(series)])
    return np.array(out)


def portfolio_opt():
    package = types.ModuleType("pypfopt")
    package.__path__ = [p + "/pypfopt" for p in sys.path if glob.glob(p + "/pypfopt")]
    sys.modules["pypfopt"] = package
    package.expected_returns = types.ModuleType("pypfopt.expected_returns")
    for name in ("skbase", "skbase.utils", "skbase.utils.dependencies"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["skbase.utils.dependencies"]._check_soft_dependencies = lambda *a, **k: True
    sys.modules["pypfopt.expected_returns"] = package.expected_returns
    package.expected_returns.returns_from_prices = None
    from pypfopt.risk_models import CovarianceShrinkage

    return CovarianceShrinkage


def shrinkage():
    estimator = portfolio_opt()
    for n, p in ((60, 5), (20, 8)):
        places = ((0, 0), (0, 1), (p - 1, 1))
        found = LedoitWolf().fit(rows(n, p, 35, lambda i: 0.6))
        print("identity", n, p, float(found.shrinkage_), [float(found.covariance_[at]) for at in places])
        x = rows(n, p, 35, lambda i: -0.5 if i == 1 else 0.2 + 0.3 * i)
        found = estimator(pd.DataFrame(x), returns_data=True, frequency=1)
        found.S = np.cov(x.T, bias=True)
        matrix = found.ledoit_wolf("constant_correlation").values
        print("constant correlation", n, p, float(found.delta), [float(matrix[at]) for at in places])


def dynamic():
    e = rows(800, 3, 36, lambda i: 0.6)
    e = e / np.sqrt((e**2).mean(0))
    e[400:, 2] = 0.3 * e[400:, 2] - 0.9 * e[400:, 0]
    target = e.T @ e / len(e)

    def run(x):
        total, share = 1 / (1 + math.exp(-x[0])), 1 / (1 + math.exp(-x[1]))
        a, b = total * share, total * (1 - share)
        q, cost = target.copy(), 0.0
        for row in e:
            d = np.sqrt(np.diag(q))
            r = q / np.outer(d, d)
            cost += 0.5 * (np.linalg.slogdet(r)[1] + row @ np.linalg.solve(r, row))
            q = (1 - a - b) * target + a * np.outer(row, row) + b * q
        d = np.sqrt(np.diag(q))
        return cost, a, b, q / np.outer(d, d)

    options = dict(xatol=1e-9, fatol=1e-11, maxiter=600)
    best = minimize(lambda x: run(x)[0], [3, -2.5], method="Nelder-Mead", options=options).x
    cost, a, b, r = run(best)
    print("dcc", a, b, -float(cost), [float(r[at]) for at in ((0, 1), (0, 2), (1, 2))])


def regimes():
    two = (41, (1.0, 3.0), ((0.98, 0.02), (0.05, 0.95)))
    three = (42, (0.5, 1.5, 4.0), ((0.97, 0.02, 0.01), (0.03, 0.95, 0.02), (0.02, 0.08, 0.90)))
    for seed, deviations, transition in (two, three):
        draw, state, out, k = Draw(seed), 0, [], len(deviations)
        for _ in range(2000):
            u, total = draw.uniform(), 0.0
            for j, p in enumerate(transition[state]):
                total += p
                if u < total:
                    state = j
                    break
            out.append(deviations[state] * draw.normal())
        r = np.array(out)
        sizes = np.sort(np.abs(r))
        parts = [sizes[i * 2000 // k : (i + 1) * 2000 // k] for i in range(k)]
        # A prior of overwhelming weight holds the means at zero.
        priors = dict(covars_prior=0.0, covars_weight=1.0, means_weight=1e12, means_prior=0)
        stop = dict(n_iter=20000, tol=1e-10, min_covar=0)
        model = GaussianHMM(k, covariance_type="diag", params="stmc", init_params="", **priors, **stop)
        model.startprob_ = np.ones(k) / k
        model.transmat_ = np.where(np.eye(k) > 0, 0.95, 0.05 / (k - 1))
        model.means_ = np.zeros((k, 1))
        model.covars_ = np.array([[np.mean(x**2)] for x in parts])
        model.fit(r[:, None])
        likelihood, last = model.score(r[:, None]), model.predict_proba(r[:, None])[-1]
        variances = np.array(model.covars_).ravel().tolist()
        print("regimes", seed, likelihood, variances, model.transmat_.ravel().tolist(), last.tolist())


for part in (har, ranges, jumps, comparison, shrinkage, dynamic, regimes):
    part()
