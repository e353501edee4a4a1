"""Many what-if questions about the user's own rows at once: amounts x verifiers x weights, judged on held-out rows.

The same law as `mixing_conditional.predict_cross_validated` for one synthetic source, solved in a basis in which it is
a law of scalars. With M = gamma I + X'X/N and B the second moment of a synthetic row, one generalized eigenproblem
B v = l M v per amount and fold turns every matrix of the law into diag(1 + s l), s = g alpha; noise levels, verifiers,
weights and posterior draws then cost O(p) each instead of O(p^3).

Equation (13) of docs/methods/theory.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, eigh

from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.mixing_checks import checked_range, kept_fractions
from synthsift.theory.mixing_conditional import check_rows, stratified_folds
from synthsift.theory.mixing_families import normal_accuracy
from synthsift.theory.mixing_fixedpoint import solve_descending
from synthsift.theory.mixing_sources import Source

#: Above this label noise of a batch its labels say too little about the class means.
LARGEST_NOISE = 0.45


@dataclass(frozen=True)
class Questions:
    """What is asked at every amount of synthetic rows: D verifiers, noise levels or weights.

    Parameters
    ----------
    alpha : ndarray (D,)
        Fraction of synthetic rows kept.
    signal : ndarray (D,)
        Factor on E[t x] of the unverified batch: lam/(1 - 2 eps) for a verifier, 1 without one.
    weight : ndarray (D,)
        omega of a kept row.
    """

    alpha: np.ndarray
    signal: np.ndarray
    weight: np.ndarray

    @staticmethod
    def of_rates(
        label_noise: ArrayLike,
        keep_right: ArrayLike = 1.0,
        keep_wrong: ArrayLike = 1.0,
        *,
        batch_noise: ArrayLike = 0.0,
        synth_weight: ArrayLike = 1.0,
    ) -> Questions:
        """Return the questions for rates eps, phi and rho, when the batch was labeled with noise `batch_noise`.

        alpha = phi (1 - eps) + rho eps, signal = (phi (1 - eps) - rho eps)/(1 - 2 eps_batch). Arrays broadcast.

        Raises
        ------
        DataError
            For rates outside [0, 1], or a batch whose noise is above 0.45.
        """
        alpha, lam = kept_fractions(label_noise, keep_right, keep_wrong)
        noise = checked_range("label_noise", batch_noise)
        if (noise > LARGEST_NOISE).any():
            raise DataError(
                f"the label noise of the synthetic rows is {float(np.max(noise)):.2f}; above {LARGEST_NOISE} their "
                "labels do not tell the classes apart, label them anew"
            )
        weight = checked_range("synth_weight", synth_weight)
        columns = np.broadcast_arrays(alpha, lam / (1.0 - 2.0 * noise), weight)
        return Questions(*(np.atleast_1d(column).ravel().astype(float) for column in columns))

    def __len__(self) -> int:
        return len(self.alpha)


@dataclass(frozen=True)
class JudgedRows:
    """Real rows that train and judge in turn, and the unverified synthetic source.

    Parameters
    ----------
    x, y : ndarray (n, p), (n,)
        Real rows and labels +-1, centered at the midpoint of the class means.
    source : Source
        Moments of an unverified synthetic row as labeled (alpha = 1); `count` and `weight` are not used.
    folds : int
    seeds : Seeds or int
        Decides the folds, and the rows that judge.
    max_judges : int
        At most so many rows judge; the others only train.
    batch_rows : float
        Rows K that the moments of the source were taken from; infinite where they are exact. See `accuracy_curve`.
    """

    x: np.ndarray
    y: np.ndarray
    source: Source
    folds: int = 5
    seeds: Seeds | int = 0
    max_judges: int = 2000
    batch_rows: float = math.inf

    def __post_init__(self) -> None:
        check_rows(self.x, self.y)
        if not 2 <= self.folds <= len(self.y):
            raise DataError(f"folds is {self.folds} for {len(self.y)} rows; it must be between 2 and their number")
        if self.source.alpha != 1.0 or len(self.source.h) != self.x.shape[1]:
            raise DataError("the source must be unverified (alpha = 1) and have as many features as the real rows")

    @property
    def fold(self) -> np.ndarray:
        """Fold (n,) that judges every row, -1 for rows that only train."""
        node = as_seeds(self.seeds)
        place = stratified_folds(self.y, self.folds, node)
        if len(place) > self.max_judges:
            place[node.numpy("judges").permutation(len(place))[self.max_judges :]] = -1
        return place


def accuracy_curve(
    rows: JudgedRows,
    num_synth: ArrayLike,
    ridge: ArrayLike,
    questions: Questions,
    *,
    row_weight: np.ndarray | None = None,
) -> np.ndarray:
    """Cross-validated accuracy for every amount of synthetic rows and every question. Higher is better.

    Moments of K rows already hold the noise of K rows. Drawing m more rows from them would count it twice, so that it
    is taken off what m draws have: as if the rows were taken out of the K ones without putting them back, with what
    the question adds at random (label noise beyond that of the batch) on top. Of all K rows as they are nothing is
    random, and the answer is the accuracy of the model trained on them. Beyond K the noise of K rows stays, where more
    rows would have less: a lower bound.

    Source: docs/methods/theory.md, eq. (13); derived there for the model of arXiv 2410.08942.

    Parameters
    ----------
    rows : JudgedRows
    num_synth : array_like (t,)
        Synthetic rows before verification, finite.
    ridge : array_like (t,) or float
        gamma > 0; the penalty is gamma times all rows drawn.
    questions : Questions of length D
    row_weight : ndarray (n, D), optional
        Weights of the judging rows for each question, such as the counts of a bootstrap.

    Returns
    -------
    ndarray (t, D)

    Raises
    ------
    DataError
        For negative or infinite sizes, a ridge that is not positive, or real rows so much alike that it is too small.
    """
    sizes, gammas = np.broadcast_arrays(checked_range("num_synth", num_synth), checked_range("ridge", ridge))
    sizes, gammas = np.atleast_1d(sizes).ravel(), np.atleast_1d(gammas).ravel()
    if not np.isfinite(sizes).all():
        raise DataError("num_synth must be finite here")
    weight = np.ones((len(rows.y), 1)) if row_weight is None else row_weight
    right = np.zeros((len(sizes), len(questions)))
    place = rows.fold
    for fold in range(rows.folds):
        judges = place == fold
        x, y = rows.x[~judges], rows.y[~judges]
        gram, pull = x.T @ x, x.T @ y
        signed = rows.x[judges] * rows.y[judges][:, None]
        for k, (size, gamma) in enumerate(zip(sizes, gammas, strict=True)):
            fixed = _Fixed(gram, pull, float(len(y)), rows.source, float(size) / rows.batch_rows)
            correct = _probabilities(fixed, float(size), float(gamma), questions, signed)
            right[k] += (weight[judges] * correct).sum(axis=0)
    return right / (weight * (place >= 0)[:, None]).sum(axis=0)


@dataclass(frozen=True)
class _Fixed:
    """X'X and X'y of the training rows, how many, the batch, and the share m/K of its rows that is drawn."""

    gram: np.ndarray
    pull: np.ndarray
    num_real: float
    source: Source
    used: float


def _probabilities(fixed: _Fixed, size: float, gamma: float, questions: Questions, signed: np.ndarray) -> np.ndarray:
    """Probability (k, D) that each row, times its label, is on the right side."""
    total, used = fixed.num_real + size, fixed.used
    metric = fixed.gram / total
    metric[np.diag_indices_from(metric)] += gamma
    try:
        values, basis = eigh(fixed.source.bulk, metric, check_finite=False)
    except LinAlgError as error:
        raise DataError(
            f"the real rows are too much alike, their moments are singular at a ridge of {gamma:.1e}; use a larger one"
        ) from error
    values = np.maximum(values, 0.0)[:, None]  # (p, 1); rounding may leave tiny negative ones
    share, alpha, omega = size / total, questions.alpha, questions.weight
    # A share s of the noise is that of m/s rows which weigh s times as much.
    left = np.maximum(1.0 - alpha * used, 0.0)
    delta = _solve_delta(values, total, share * omega * alpha, omega * left)
    shrink = omega / (1.0 + omega * left * delta)
    g, big_h = share * shrink, share * shrink**2
    inverse = 1.0 / (1.0 + g * alpha * values)  # (p, D)
    own = (basis.T @ fixed.source.h)[:, None] * questions.signal
    weights = ((basis.T @ fixed.pull)[:, None] / total + g * own) * inverse
    pulled, spread = (own * weights).sum(axis=0), (values * weights**2).sum(axis=0)
    misfit = alpha - 2.0 * pulled + alpha * spread
    known = questions.signal**2 - 2.0 * alpha * pulled + alpha**2 * spread  # of a row of the batch, as it was asked for
    misfit = np.maximum(misfit - used * known, 0.0) if used else misfit
    trace = (values**2 * inverse**2).sum(axis=0) / total
    fluctuation = trace * big_h * misfit / (1.0 - trace * big_h * left * alpha)
    noise = np.maximum(big_h * (misfit + left * alpha * fluctuation), 0.0) / total
    along = signed @ basis  # (k, p)
    return normal_accuracy(along @ weights, (along**2 @ (values * inverse**2)) * noise)


def _solve_delta(values: np.ndarray, total: float, pull: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """Delta (D,) = (1/N) sum l/(1 + s l) with s = pull/(1 + omega delta)."""

    def step(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        damp = 1.0 + omega * delta  # (1, D)
        parts = values / (1.0 + pull / damp * values)
        slope = (parts**2).sum(axis=0) / total * (pull * omega / damp[0] ** 2)
        return (parts.sum(axis=0) / total)[None], slope[:, None, None]

    start = np.full((1, len(omega)), float(values.sum()) / total)
    return solve_descending(step, start)[0]
