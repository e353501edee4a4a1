"""Loops that refit a Gaussian to a mix of fresh data and its own samples: exact moments beside their simulation.

The truth is N(0, s2) in every coordinate. `fresh` draws alpha n new real rows each round, `fixed_real` reuses one real
set, `accumulate` fits on everything seen so far (alpha plays no part), and alpha = 0 is plain replacement. V is the
expected fitted variance per coordinate, M the mean squared error of the fitted mean; for maximum likelihood V + M = s2
in every round of every loop.

References
----------
Shumailov et al. 2024 (replace); Gerstgrasser et al., arXiv:2404.01413 (accumulate); Alemohammad et al.,
arXiv:2307.01850 (three loops). The recursions for V and M follow from the moments of one fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthsift.drift.arguments import check_alpha, check_steady_alpha
from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds

Kind = Literal["fresh", "fixed_real", "accumulate"]
FirstOrderKind = Literal["replace", "accumulate", "fresh", "fixed_real", "fresh_alone"]


@dataclass(frozen=True)
class GaussianLoop:
    """Settings of a loop that refits a Gaussian.

    Parameters
    ----------
    num_rows : int
        Rows of each round's training mix (of new synthetic rows for `accumulate`).
    alpha : float
        Fresh (or fixed real) share; 0 replaces all data by own samples.
    kind : {"fresh", "fixed_real", "accumulate"}
        Where real rows come from.
    random_composition : bool
        Every row is real with probability alpha, instead of exactly alpha n rows.
    ddof : {0, 1}
        The fitted variance divides by n - ddof.
    variance : float
        s2 of the truth.
    """

    num_rows: int
    alpha: float = 0.0
    kind: Kind = "fresh"
    random_composition: bool = False
    ddof: int = 0
    variance: float = 1.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.num_rows < 2 or not self.variance > 0 or self.ddof not in (0, 1):
            raise DataError(
                f"num_rows = {self.num_rows}, variance = {self.variance}, ddof = {self.ddof}: at least 2 rows, a "
                f"positive variance and a ddof of 0 or 1 are needed"
            )
        if self.kind != "fresh" and (self.ddof or self.random_composition):
            raise DataError(f"the {self.kind} loop is known for ddof = 0 and a fixed composition only; use those")
        if self.kind == "fixed_real" and self.alpha == 0:
            raise DataError("a fixed real set needs alpha above 0; use kind='fresh' with alpha = 0 to replace all data")
        exact = self.alpha * self.num_rows
        if not self.random_composition and self.kind != "accumulate" and abs(exact - round(exact)) > 1e-9:
            raise DataError(
                f"alpha = {self.alpha} of {self.num_rows} rows is {exact:.4g} rows; choose a whole number of rows or "
                f"random_composition=True"
            )

    @property
    def num_real(self) -> int:
        """Real rows in each round's mix."""
        return round(self.alpha * self.num_rows)


def as_prediction(at: np.ndarray, runs: np.ndarray, formula: str, **terms: np.ndarray) -> Prediction:
    """Means over runs (r, t) with 95 % intervals; the standard errors are in `terms`."""
    mean = runs.mean(axis=0)
    error = runs.std(axis=0, ddof=1) / math.sqrt(len(runs)) if len(runs) > 1 else np.full(mean.shape, np.inf)
    return Prediction(
        at,
        mean,
        mean - 1.96 * error,
        mean + 1.96 * error,
        {"standard_error": error, "num_runs": len(runs), **terms},
        formula,
    )


def exact_prediction(at: np.ndarray, mean: np.ndarray, formula: str, *assumptions: str, **terms: object) -> Prediction:
    """A formula without uncertainty: the interval is the value."""
    return Prediction(at, mean, mean, mean, terms, formula, assumptions)


def predict_gaussian(loop: GaussianLoop, num_rounds: int) -> Prediction:
    """Expected fitted variance V of every round, starting at the truth.

    Parameters
    ----------
    loop : GaussianLoop
        Settings.
    num_rounds : int
        Rounds after round 0.

    Returns
    -------
    Prediction
        `at` rounds 0..num_rounds, `mean` V, ``terms["mean_error"]`` M = E[(fitted mean)^2]; exact for every n, and per
        coordinate in any dimension.
    """
    s2, n, keep = loop.variance, loop.num_rows, 1 - loop.alpha
    v, m = np.empty(num_rounds + 1), np.empty(num_rounds + 1)
    v[0], m[0] = s2, 0.0
    for t in range(1, num_rounds + 1):
        if loop.kind == "accumulate":
            v[t] = v[t - 1] * (1 - 1 / (n * t**2))
            m[t] = s2 - v[t]
            continue
        m[t] = keep**2 * m[t - 1] + (loop.alpha * s2 + keep * v[t - 1]) / n
        if loop.random_composition:
            m[t] += loop.alpha * keep * m[t - 1] / n  # the two halves of the mix have different means
        if loop.kind == "fixed_real":
            shared = s2 * (1 - keep ** (t - 1)) / (loop.alpha * n)  # covariance of the real rows' mean and the fit's
            m[t] += 2 * loop.alpha * keep * shared
        second = loop.alpha * s2 + keep * (v[t - 1] + m[t - 1])
        v[t] = (second - m[t]) * n / (n - loop.ddof)
    return exact_prediction(
        np.arange(num_rounds + 1), v, "moments of a refitted Gaussian", "the truth is Gaussian", mean_error=m
    )


def limit_gaussian(loop: GaussianLoop) -> tuple[float, float]:
    """V and M after infinitely many rounds.

    Raises
    ------
    DataError
        If alpha is 0 and old data are replaced: with ddof 0 the variance vanishes, there is no steady state to return.
    """
    if loop.kind == "accumulate":
        z = math.pi / math.sqrt(loop.num_rows)
        v = loop.variance * math.sin(z) / z
        return v, loop.variance - v
    a = check_steady_alpha(loop.alpha)
    # Both recursions contract by at least (1-alpha) a round, up to 1/(n-1) when dividing by n-1.
    rounds = math.ceil(80 / a)
    prediction = predict_gaussian(loop, rounds)
    return float(prediction.mean[-1]), float(prediction.terms["mean_error"][-1])


def median_log_drift(num_rows: int) -> float:
    """Drift per round of log V when a replaced loop divides by n-1: psi((n-1)/2) - log((n-1)/2), about -1/(n-1).

    E[V] stays put, yet the median collapses at this rate: an unbiased variance does not save the loop.
    """
    from scipy.special import digamma

    half = (num_rows - 1) / 2
    return float(digamma(half) - math.log(half))


def simulate_gaussian(
    loop: GaussianLoop, num_rounds: int, *, num_runs: int, seeds: Seeds | int, dim: int = 1
) -> Prediction:
    """Draw, mix and refit: the twin of `predict_gaussian`.

    Parameters
    ----------
    loop : GaussianLoop
        Settings.
    num_rounds : int
        Rounds after round 0.
    num_runs : int
        Independent loops.
    seeds : Seeds or int
        Randomness.
    dim : int
        Width; a full covariance is fitted.

    Returns
    -------
    Prediction
        `mean` V averaged over coordinates and runs with 95 % intervals; terms: `standard_error`, `mean_error` (M),
        `two_kl` (E of 2 KL to the truth) with `two_kl_error`, `median` (of V).
    """
    rng = as_seeds(seeds).numpy("gaussian loop")
    mu = np.zeros((num_runs, dim))
    cov = np.tile(loop.variance * np.eye(dim), (num_runs, 1, 1))
    n, scale = loop.num_rows, math.sqrt(loop.variance)
    real = scale * rng.standard_normal((num_runs, loop.num_real, dim)) if loop.kind == "fixed_real" else None
    pool = np.zeros((num_runs, dim)), np.zeros((num_runs, dim, dim))
    trail = [_fit_summary(mu, cov, loop.variance)]
    for t in range(1, num_rounds + 1):
        own = mu[:, None] + rng.standard_normal((num_runs, n, dim)) @ np.linalg.cholesky(cov).transpose(0, 2, 1)
        rows = _mix(loop, own, real, rng, first=t == 1)
        sums, squares = rows.sum(axis=1), np.einsum("rni,rnj->rij", rows, rows)
        if loop.kind == "accumulate":
            pool = pool[0] + sums, pool[1] + squares
            sums, squares, n_fit = *pool, n * t
        else:
            n_fit = n
        mu = sums / n_fit
        cov = (squares / n_fit - mu[:, :, None] * mu[:, None, :]) * n_fit / (n_fit - loop.ddof)
        trail.append(_fit_summary(mu, cov, loop.variance))
    v, m, two_kl = np.array(trail).transpose(1, 2, 0)  # each (runs, rounds + 1)
    kl = as_prediction(np.arange(num_rounds + 1), two_kl, "")
    return as_prediction(
        np.arange(num_rounds + 1),
        v,
        "simulated refitting",
        mean_error=m.mean(axis=0),
        two_kl=kl.mean,
        two_kl_error=kl.terms["standard_error"],
        median=np.median(v, axis=0),
    )


def _mix(
    loop: GaussianLoop, own: np.ndarray, real: np.ndarray | None, rng: np.random.Generator, *, first: bool
) -> np.ndarray:
    """The training rows of one round (runs, n, dim); `own` holds n samples of the current fit and is reused."""
    runs, n, dim = own.shape
    scale = math.sqrt(loop.variance)
    if loop.kind == "accumulate":
        return own  # the first fit sits at the truth, so its samples are the real rows
    if real is not None:
        own[:, : loop.num_real] = real
    elif loop.random_composition:
        is_real = rng.random((runs, n)) < loop.alpha
        own[is_real] = scale * rng.standard_normal((int(is_real.sum()), dim))
    else:
        own[:, : loop.num_real] = scale * rng.standard_normal((runs, loop.num_real, dim))
    return own


def _fit_summary(mu: np.ndarray, cov: np.ndarray, s2: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per run: mean variance, mean squared mean, 2 KL(fit || truth)."""
    dim = mu.shape[1]
    v, m = np.trace(cov, axis1=1, axis2=2) / dim, (mu**2).mean(axis=1)
    return v, m, dim * ((v + m) / s2 - 1 + math.log(s2)) - np.linalg.slogdet(cov)[1]


def first_order_drift(
    kind: FirstOrderKind, num_params: int, num_rows: int, *, alpha: float = 0.0, num_rounds: int = 1
) -> float:
    """Expected drift (chi2, about 2 KL) of any regular model with k parameters fitted to n rows a round.

    replace N k/n; accumulate (k/n) sum_{j<=N} 1/j^2; fresh k/(n alpha(2-alpha)); fixed_real
    k(3-2 alpha)/(n alpha(2-alpha)); fresh_alone k/(alpha n), the model that ignores its own samples.

    Parameters
    ----------
    kind : str
        One of the five.
    num_params, num_rows : int
        k and n.
    alpha : float
        Fresh share, for the last three (steady states).
    num_rounds : int
        N, for the first two.

    Returns
    -------
    float
        Expected drift to first order in k/n; lower is better.

    Raises
    ------
    DataError
        If alpha is 0 where a steady state is asked for, or the kind is unknown.
    """
    unit = num_params / num_rows
    if kind == "replace":
        return num_rounds * unit
    if kind == "accumulate":
        return unit * float(np.sum(1.0 / np.arange(1, num_rounds + 1) ** 2))
    a = check_steady_alpha(alpha)
    steady = {"fresh": 1 / (a * (2 - a)), "fixed_real": (3 - 2 * a) / (a * (2 - a)), "fresh_alone": 1 / a}
    if kind not in steady:
        raise DataError(f"{kind!r} is no loop; there are replace, accumulate, {', '.join(steady)}")
    return unit * steady[kind]
