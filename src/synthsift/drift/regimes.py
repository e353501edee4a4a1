"""Replace, mix in fresh data, reuse one real set, keep everything, or both: where the same trainer would end.

Mean features obey linear laws, so each way of building the next training set has an exact answer for a trainer that
adds J a round, a share kappa of it the same every time, from a start without drift:

    replace      D_t = J [(1-kappa) t + kappa t^2]
    fresh        D_t = J [(1-kappa) (1-r^(2t))/(1-r^2) + kappa ((1-r^t)/alpha)^2],  r = 1-alpha
    fixed real   the same, plus (1-r^t)^2 v/alpha: the real set's own sampling error, learned by heart
    accumulate   D_t = J [(1-kappa) sum_{j<=t} 1/j^2 + kappa (sum_{j<=t} 1/j)^2]
    fresh, kept  the law delta_t = (1-alpha) mean(delta_0 .. delta_{t-1}) + b_t: a fresh share, and everything kept;
                 D_t = J [(1-kappa) sum_j w_tj^2 + kappa (sum_j w_tj)^2] with w_tt = 1 and, for j < t,
                 w_tj = (1-alpha)/(j+1) prod_{i=j+2..t} (1 - alpha/i)

References
----------
Gerstgrasser et al., arXiv:2404.01413 (accumulate); Alemohammad et al., arXiv:2307.01850 (the three loops); the drift
specification's feature-space law.
"""

from __future__ import annotations

import numpy as np

from synthsift.drift.arguments import check_alpha, check_kappa, check_nonnegative
from synthsift.records import DataError


def predict_regimes(alpha: float, J: float, kappa: float, num_rounds: int, row_noise: float) -> dict[str, np.ndarray]:
    """Mean squared drift after 1..t rounds for four ways to build the training set.

    Parameters
    ----------
    alpha : float
        Real share of every training set, for "fresh", "fixed real" and "fresh, kept".
    J, kappa : float
        Energy of each round's error and the share of it that repeats.
    num_rounds : int
        t.
    row_noise : float
        v, the sampling variance of the mean feature of one training set; its real share, alpha of it, has v/alpha.

    Returns
    -------
    dict of str to ndarray (t,)
        "replace", "fresh", "fixed real", "accumulate", "fresh, kept"; lower is better. At alpha = 0 the first three
        are the same, and so are the last two.

    Raises
    ------
    DataError
        If an argument is out of its range.
    """
    a, size = float(check_alpha(alpha)), float(check_nonnegative("the innovation J", J))
    share, noise = check_kappa(kappa), float(check_nonnegative("the noise of a training set", row_noise))
    if num_rounds < 1:
        raise DataError(f"{num_rounds} rounds were asked for; at least 1 is needed")
    t, keep = np.arange(1, num_rounds + 1), 1 - a
    lone = np.cumsum(keep ** (2.0 * (t - 1)))  # sum of squared weights of past errors
    joint = np.cumsum(keep ** (t - 1.0)) ** 2
    fresh = size * ((1 - share) * lone + share * joint)
    learned = (1 - keep**t) ** 2 * (noise / a if a > 0 else 0.0)
    return {
        "replace": size * ((1 - share) * t + share * t**2.0),
        "fresh": fresh,
        "fixed real": fresh + learned,
        "accumulate": size * ((1 - share) * np.cumsum(1 / t**2.0) + share * np.cumsum(1 / t) ** 2),
        "fresh, kept": size * _kept_energy(a, share, num_rounds),
    }


def _kept_energy(alpha: float, kappa: float, num_rounds: int) -> np.ndarray:
    """Drift (t,) in units of J where everything is kept beside a real share."""
    errors = np.zeros((num_rounds + 1, num_rounds))  # how each round's error enters delta_0 .. delta_t
    for i in range(num_rounds):
        errors[i + 1] = (1 - alpha) * errors[: i + 1].mean(axis=0)
        errors[i + 1, i] += 1.0
    return (1 - kappa) * (errors[1:] ** 2).sum(axis=1) + kappa * errors[1:].sum(axis=1) ** 2
