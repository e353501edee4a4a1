"""The Monte-Carlo twin of the mixing theory: draw data, fit a generator, verify, train, and measure exactly.

Nothing here knows the theory. Each repeat draws everything anew; the accuracy of a trained w on fresh real rows is
known exactly, Phi(mu.w/sqrt(w'Cw)), so the only error is that of averaging over repeats.

Equations (1), (2) of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.mixing_families import normal_accuracy
from synthsift.theory.mixing_settings import MixingOptions, Setting, make_setting

#: Two-sided 95 % quantile of the normal distribution.
NORMAL_95 = 1.96


@dataclass(frozen=True)
class GaussianDraw:
    """A Gaussian that rows are drawn from: class mean, and a root with root'root = covariance.

    Parameters
    ----------
    mean : ndarray (p,)
        Mean of class +1; class -1 has the opposite one.
    root : ndarray (p,) or (k, p)
        Standard deviations of independent features, or a matrix with root'root = covariance.
    """

    mean: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray) -> GaussianDraw:
        """Return the sampler with this covariance (p, p), which may be singular."""
        values, vectors = np.linalg.eigh(covariance)
        return cls(mean, (vectors * np.sqrt(np.maximum(values, 0.0))).T)

    def rows(self, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one row (p,) for each of the `classes` (n,), which are +-1."""
        normal = rng.standard_normal((len(classes), len(self.root)))
        noise = normal * self.root if self.root.ndim == 1 else normal @ self.root
        return classes[:, None] * self.mean + noise


def draw_signs(size: int, wrong: float, rng: np.random.Generator) -> np.ndarray:
    """+1 (right) or -1 with probability `wrong`, (size,)."""
    return np.where(rng.random(size) < wrong, -1.0, 1.0)


def ridge_weights(x: np.ndarray, t: np.ndarray, row_weight: np.ndarray, penalty: float) -> np.ndarray:
    """Solve min sum_i weight_i (t_i - w.x_i)^2 + penalty |w|^2 exactly; w has shape (p,).

    Source: docs/methods/theory.md, eq. (1); arXiv 2410.08942.

    Parameters
    ----------
    x : ndarray (n, p)
        Rows.
    t : ndarray (n,)
        Labels +-1.
    row_weight : ndarray (n,)
        Weights >= 0.
    penalty : float
        gamma N > 0.
    """
    root = np.sqrt(row_weight)
    rows, targets = x * root[:, None], t * root
    if len(rows) >= rows.shape[1]:
        gram = rows.T @ rows
        gram[np.diag_indices_from(gram)] += penalty
        return cho_solve(cho_factor(gram), rows.T @ targets)
    gram = rows @ rows.T
    gram[np.diag_indices_from(gram)] += penalty
    return rows.T @ cho_solve(cho_factor(gram), targets)


def summarize_repeats(at: np.ndarray, samples: np.ndarray, terms: dict[str, np.ndarray], formula: str) -> Prediction:
    """Turn samples (..., repeats) into means with 95 % intervals; terms gain SE and n."""
    repeats = samples.shape[-1]
    mean = samples.mean(axis=-1)
    error = samples.std(axis=-1, ddof=1) / np.sqrt(repeats)
    spread = NORMAL_95 * error
    return Prediction(at, mean, mean - spread, mean + spread, {**terms, "SE": error, "n": repeats}, formula)


def simulate_accuracy(
    num_real: ArrayLike,
    num_synth: ArrayLike,
    dim: int,
    mean_norm: float | None,
    ridge: ArrayLike,
    *,
    seeds: Seeds | int,
    repeats: int = 50,
    **options: Unpack[MixingOptions],
) -> Prediction:
    """Measure what `synthsift.theory.mixing.predict_accuracy` predicts, by drawing data and training.

    Source: docs/methods/theory.md, eq. (2); arXiv 2410.08942.

    Parameters
    ----------
    num_real, num_synth, dim, mean_norm, ridge, **options
        As for `predict_accuracy`; the numbers of rows must be whole and finite.
    seeds : Seeds or int
        Source of all randomness.
    repeats : int
        Independent data sets per grid point, at least 2.

    Returns
    -------
    Prediction
        `mean` is the average accuracy, `low` and `high` are 1.96 standard errors away; `terms` has a, v, risk
        (averages), SE (standard error of `mean`) and n (repeats).

    Raises
    ------
    DataError
        If an input is out of range or a number of rows is not whole.
    """
    setting = make_setting(num_real, num_synth, dim, mean_norm, ridge, **options)
    check_repeats(repeats)
    for name in ("num_real", "num_synth", "generator_size"):
        counts = getattr(setting, name)
        is_size = name == "generator_size"
        if not np.all((np.isinf(counts) & is_size) | (counts == np.floor(counts)) & np.isfinite(counts)):
            raise DataError(f"{name} is {counts[0]:g}; a simulation draws rows and needs whole, finite numbers")
    node = as_seeds(seeds)
    points = range(len(setting.num_synth))
    moments = np.array([[_one_fit(setting, i, node, r) for r in range(repeats)] for i in points])  # (t, repeats, 2)
    moments = moments.reshape(*setting.shape, repeats, 2)
    a, v = moments[..., 0], moments[..., 1]
    terms = {"a": a.mean(axis=-1), "v": v.mean(axis=-1), "risk": ((1.0 - a) ** 2 + v).mean(axis=-1)}
    at = setting.num_synth.reshape(setting.shape)
    return summarize_repeats(at, normal_accuracy(a, v), terms, f"mean of {repeats} trained classifiers")


def check_repeats(repeats: int) -> None:
    """Refuse a number of repeats that has no standard error."""
    if repeats < 2:
        raise DataError(f"repeats is {repeats}; a standard error needs at least 2")


def _one_fit(setting: Setting, i: int, node: Seeds, repeat: int) -> tuple[float, float]:
    """Draw one data set at grid point i, train, and return the margin's mean and variance (a, v)."""
    rng = node.child("point", i).numpy(f"repeat-{repeat}")
    real = GaussianDraw(setting.mean, np.sqrt(setting.spectrum))
    classes = draw_signs(int(setting.num_real[i]), 0.5, rng)
    x_real = real.rows(classes, rng)
    y_real = classes * draw_signs(len(classes), setting.real_label_noise[i], rng)
    source = _fit_generator(setting, i, x_real * y_real[:, None], real, rng)
    x_kept, t_kept = draw_kept(
        source,
        int(setting.num_synth[i]),
        (setting.label_noise[i], setting.keep_right[i], setting.keep_wrong[i]),
        rng,
    )
    row_weight = np.concatenate([np.ones(len(y_real)), np.full(len(t_kept), setting.synth_weight[i])])
    penalty = setting.ridge[i] * (setting.num_real[i] + setting.num_synth[i])
    w = ridge_weights(np.concatenate([x_real, x_kept]), np.concatenate([y_real, t_kept]), row_weight, penalty)
    return float(setting.mean @ w), float(setting.spectrum @ w**2)


def draw_kept(
    source: GaussianDraw, size: int, rates: tuple[float, float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `size` labelled synthetic rows and return those the verifier keeps, x (k, p) and labels (k,).

    `rates` are (eps, phi, rho). Features do not depend on what is kept, so they are drawn for the kept rows only.
    """
    noise, keep_right, keep_wrong = rates
    classes = draw_signs(size, 0.5, rng)
    flips = draw_signs(size, noise, rng)
    is_kept = rng.random(size) < np.where(flips > 0, keep_right, keep_wrong)
    return source.rows(classes[is_kept], rng), (classes * flips)[is_kept]


def _fit_generator(
    setting: Setting, i: int, own: np.ndarray, real: GaussianDraw, rng: np.random.Generator
) -> GaussianDraw:
    """Fit the generator the stated way; `own` (n, p) are the training rows times their observed labels."""
    size = setting.generator_size[i]
    if np.isinf(size):
        rows = None
    else:
        rows = own if setting.generator == "self" else real.rows(np.ones(int(size)), rng)
    mean = setting.mean if rows is None or setting.exact_mean else rows.mean(axis=0)
    if setting.generator_covariance == "isotropic":
        return GaussianDraw(mean, np.full(len(setting.mean), np.sqrt(setting.isotropic_variance)))
    if rows is None or setting.generator_covariance == "exact":
        return GaussianDraw(mean, real.root)
    return GaussianDraw(mean, covariance_root(rows))


def covariance_root(rows: np.ndarray) -> np.ndarray:
    """A matrix (k, p) whose root'root is the sample covariance of `rows` (n, p), normalized by n."""
    centered = (rows - rows.mean(axis=0)) / np.sqrt(len(rows))
    if len(rows) <= 2 * rows.shape[1]:
        return centered
    return np.asarray(np.linalg.qr(centered, mode="r"))
