"""What happens over generations of models that label each other's training rows: closed forms for least squares.

One generation is one fit. sigma^2 is the label noise added in each round, T the rows of a round, Sigma any covariance
(least squares does not see it). All errors are excess errors on the real distribution; lower is better.
`collapse_chain` has ridge generations with any spectrum, and simulates every scheme.

Equations (63) to (67) of docs/methods/theory.md.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from synthsift.records import DataError, Prediction
from synthsift.theory.collapse_inputs import check_dim, check_scalar, spectrum_of


def predict_replace(num_generations: int, num_rows: float, dim: int, *, noise_variance: float = 1.0) -> Prediction:
    """Error when every generation trains only on labels of the last one: E_g = g sigma^2 d/(T - d - 1), exact.

    Source: docs/methods/theory.md, eq. (63); arXiv 2402.07712.

    Parameters
    ----------
    num_generations : int
        Fits g = 1..G; the first one is on real labels.
    num_rows, dim
        T > d + 1 rows a round, same or fresh inputs, and d.
    noise_variance : float
        sigma^2.

    Raises
    ------
    DataError
        If the rows are too few or a size is negative.

    References
    ----------
    Dohmatob, Feng, Kempe, "Model Collapse Demystified: The Case of Regression", arXiv 2402.07712 (linear growth).
    """
    first = _first_error(num_rows, dim, noise_variance)
    at = np.arange(1.0, count_generations(num_generations) + 1)
    return _curve(at, first * at, {"first": first}, "Model Collapse Demystified, arXiv 2402.07712: linear growth")


def predict_accumulate(num_generations: int, num_rows: float, dim: int, *, noise_variance: float = 1.0) -> Prediction:
    """Error when every generation trains on all label sets so far, same inputs: sigma^2 d/(T-d-1) sum_{i<=g} 1/i^2.

    Bounded by pi^2/6 = 1.645 times the first error.

    Source: docs/methods/theory.md, eq. (65); arXiv 2404.01413.

    Parameters
    ----------
    num_generations, num_rows, dim, noise_variance
        As in `predict_replace`.

    Raises
    ------
    DataError
        If the rows are too few or a size is negative.

    References
    ----------
    Gerstgrasser et al., "Is Model Collapse Inevitable?", arXiv 2404.01413.
    """
    first = _first_error(num_rows, dim, noise_variance)
    at = np.arange(1.0, count_generations(num_generations) + 1)
    terms = {"first": first, "limit": first * math.pi**2 / 6}
    return _curve(at, first * np.cumsum(1 / at**2), terms, "Is Model Collapse Inevitable?, arXiv 2404.01413")


def predict_fresh_real(
    num_generations: int,
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    mismatch: float = 0.0,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
) -> Prediction:
    """Error when every round pools fresh real rows with rows labelled by the last model: E_{t+1} = q E_t + u sbar^2.

    q = p_2^2 + p_1 p_2 u, u = d/(n - d), Sigma = I, least squares. Bounded iff q < 1, with limit u sbar^2/(1 - q);
    about log(n/d)/log(1/p_2^2) rounds forget the first mismatch.

    Source: docs/methods/theory.md, eq. (66); arXiv 2410.04840, Corollaries 1 and 3.

    Parameters
    ----------
    num_generations : int
        Rounds G.
    num_real, num_synth, dim
        n_1, n_2 of each round, n_1 + n_2 > d.
    mismatch : float
        E_0 = c^2 of the first labeller.
    real_noise_variance, synth_noise_variance : float
        sigma_1^2 and sigma_2^2 (default: the real one).

    Returns
    -------
    Prediction
        `mean` (G + 1,) for rounds 0..G; `terms` has q, limit (infinite for q >= 1) and rounds_to_forget.

    Raises
    ------
    DataError
        If the rows are too few or a size is negative.

    References
    ----------
    Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840, Corollary 1 in every round.
    """
    n, real, synth = _pool(num_real, num_synth, dim, real_noise_variance, synth_noise_variance)
    p, u = num_synth / n, dim / (n - dim)
    factor, noise = p**2 + (1 - p) * p * u, u * ((1 - p) * real + p * synth)
    errors = [check_scalar(mismatch, "mismatch")]
    for _ in range(count_generations(num_generations)):
        errors.append(factor * errors[-1] + noise)
    terms = {
        "q": factor,
        "limit": noise / (1 - factor) if factor < 1 else math.inf,
        "rounds_to_forget": _rounds_to_forget(n, dim, p),
    }
    return _curve(
        np.arange(len(errors), dtype=float), np.array(errors), terms, "Strong Model Collapse, Corollary 1, iterated"
    )


def _rounds_to_forget(rows: float, dim: int, fraction: float) -> float:
    """log(n/d)/log(1/p_2^2): none without synthetic rows, endless without real ones."""
    if fraction == 0:
        return 0.0
    return math.inf if fraction == 1 else math.log(rows / dim) / math.log(1 / fraction**2)


def predict_fixed_real(
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
) -> Prediction:
    """Error after many rounds that pool the SAME real rows with fresh rows labelled by the last model.

    Sigma = I, least squares, n_1 > d. g(l) is the mean of 1/(p_1 s + l) over the Marchenko-Pastur law of ratio d/n_1
    and g2 = -g':

        a (1 + (d/n) g(a)) = p_2
        G = sigma_2^2 / (1 - (a^2 d/n_2) [ (2/a)(g(a) - g(2a)) - g2(a) ])
        E = sigma_1^2 d/(n_1 - d) + (a d G/(2 n_2)) (g(0) - g(2a))

    To first order sigma_1^2 d/n_1 + sigma_2^2 (d/n) p_2/(1 - p_2^2). Never better than the real rows alone, and worse
    whenever sigma_2^2 > 0. With noise-free labels on the same rows least squares returns exactly the same weights:
    labels of your own model on your own data add nothing.

    Source: docs/methods/theory.md, eq. (67); derived there.

    Parameters
    ----------
    num_real, num_synth, dim
        n_1 > d, n_2 > 0 and d.
    real_noise_variance, synth_noise_variance : float
        sigma_1^2 and sigma_2^2 (default: the real one).

    Returns
    -------
    Prediction
        `mean` of shape () at `at` = infinity; `terms` has real_only, first_order, a, g.

    Raises
    ------
    DataError
        If the rows are too few, a size is negative or the labels' noise grows without bound.
    """
    n, real, synth = _pool(num_real, num_synth, dim, real_noise_variance, synth_noise_variance)
    if not (num_real > dim and num_synth > 0):
        raise DataError(
            f"num_real is {num_real:g} and num_synth {num_synth:g} at dim {dim}; give num_real > dim, num_synth > 0"
        )
    p, ratio = num_synth / n, dim / num_real

    def mean_inverse(ridge: float) -> float:
        return _mean_inverse(ridge, 1 - p, ratio)

    a = optimize.brentq(lambda x: x * (1 + dim / n * mean_inverse(x)) - p, 1e-14 * p, p, xtol=1e-300, rtol=1e-14)
    bracket = 2 / a * (mean_inverse(a) - mean_inverse(2 * a)) - _mean_inverse_square(a, 1 - p, ratio)
    gain = 1 - a**2 * dim / num_synth * bracket
    if not gain > 0:
        raise DataError("the label noise of the rounds adds up without bound at these sizes; give more rows")
    alone, noise = real * dim / (num_real - dim), synth / gain
    error = alone + a * dim * noise / (2 * num_synth) * (mean_inverse(0.0) - mean_inverse(2 * a))
    first_order = real * dim / num_real + synth * dim / n * p / (1 - p**2)
    terms = {"real_only": alone, "first_order": first_order, "a": a, "g": noise}
    return _curve(np.asarray(math.inf), np.asarray(error), terms, "fixed point of relabelling on fixed real rows")


def _mean_inverse(ridge: float, scale: float, ratio: float) -> float:
    """g(l), mean of 1/(p_1 s + l) for s from the Marchenko-Pastur law of ratio gam = d/n_1 < 1."""
    if ridge == 0:
        return 1 / (scale * (1 - ratio))
    t = ridge / scale
    q = 1 - ratio + t
    # [-q + sqrt(q^2 + 4 gam t)]/(2 gam t p_1) in the form that does not cancel for small t.
    return 2 / (scale * (q + math.sqrt(q**2 + 4 * ratio * t)))


def _mean_inverse_square(ridge: float, scale: float, ratio: float) -> float:
    """g2(l) = -g'(l), mean of 1/(p_1 s + l)^2."""
    t = ridge / scale
    q = 1 - ratio + t
    root = math.sqrt(q**2 + 4 * ratio * t)
    slope = 1 + (q + 2 * ratio) / root  # derivative of q + root in t
    return 2 * slope / (scale * (q + root)) ** 2


def replaced_shift(
    num_generations: int, num_rows: float, spectrum: ArrayLike, *, noise_variance: float = 1.0
) -> np.ndarray:
    """Delta (d,) of a labeller that is the g-th of a least-squares replace chain: g sigma^2/(T - d - 1) / s_i.

    Use it as `shift` of `predict_error` with no real rows to end the chain with a ridge fit.

    Source: docs/methods/theory.md, eq. (64); derived there.

    Raises
    ------
    DataError
        If the rows are too few or a direction has no variance.
    """
    values = np.asarray(spectrum, dtype=float)
    values = spectrum_of(values, len(values), "spectrum")
    if (values == 0).any():
        raise DataError(
            "the spectrum has a direction without variance; least squares cannot label along it, leave it out"
        )
    return (
        count_generations(num_generations) * _first_error(num_rows, len(values), noise_variance) / len(values) / values
    )


def _first_error(num_rows: float, dim: int, noise_variance: float) -> float:
    """sigma^2 d/(T - d - 1)."""
    if not num_rows > check_dim(dim) + 1:
        raise DataError(
            f"num_rows is {num_rows:g}; least squares with dim {dim} has a finite error above {dim + 1} rows"
        )
    return check_scalar(noise_variance, "noise_variance") * dim / (check_scalar(num_rows, "num_rows") - dim - 1)


def _pool(
    num_real: float, num_synth: float, dim: int, real_noise_variance: float, synth_noise_variance: float | None
) -> tuple[float, float, float]:
    """Rows n > d and the two noises."""
    n = check_scalar(num_real, "num_real") + check_scalar(num_synth, "num_synth")
    if not n > check_dim(dim):
        raise DataError(f"num_real + num_synth is {n:g}; least squares with dim {dim} needs more rows than dimensions")
    real = check_scalar(real_noise_variance, "real_noise_variance")
    return n, real, real if synth_noise_variance is None else check_scalar(synth_noise_variance, "synth_noise_variance")


def count_generations(num_generations: int) -> int:
    """Return a whole number of generations, at least one, or say what is wrong with it."""
    if num_generations != int(num_generations) or num_generations < 1:
        raise DataError(f"num_generations is {num_generations!r}; give a whole number of at least 1")
    return int(num_generations)


def _curve(at: np.ndarray, errors: np.ndarray, terms: dict[str, float], formula: str) -> Prediction:
    """A prediction without sampling error."""
    return Prediction(at, errors, errors, errors, {"total": errors, **terms}, formula)
