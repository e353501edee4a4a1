"""What synthetic rows would do to the user's own real rows, judged on real rows that are held out.

The real rows are kept as data (X_r'X_r and X_r'y enter as they are); only the synthetic rows are random. No Gaussian
assumption is made on the rows that judge. A generator that was fitted on the same real rows needs no correction here,
because its moments are plain numbers once the real rows are given.

Equation (12) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.mixing_moments import accuracy_on_points, risk_on_points, weight_law
from synthsift.theory.mixing_simulation import (
    NORMAL_95,
    GaussianDraw,
    check_repeats,
    draw_kept,
    ridge_weights,
    summarize_repeats,
)
from synthsift.theory.mixing_sources import GaussianSource, Source

MakeSources = Callable[[np.ndarray, np.ndarray], Sequence[Source]]
FORMULA = "mean over held-out real rows of Phi(y x.w_bar/sqrt(x' Sigma_w x)), given the real training rows"


def predict_on_points(
    x_real: np.ndarray,
    y_real: np.ndarray,
    sources: Sequence[Source],
    ridge: float,
    x_test: np.ndarray,
    y_test: np.ndarray,
) -> Prediction:
    """Predict the accuracy on given real rows after training on given real rows and random synthetic ones.

    Source: docs/methods/theory.md, eq. (12); derived there for the model of arXiv 2410.08942.

    Parameters
    ----------
    x_real, y_real : ndarray (n, p), (n,)
        Training rows, centered at the midpoint of the class means, and labels +-1. May have no rows.
    sources : sequence of Source
        Synthetic sources; may be empty (real rows only).
    ridge : float
        gamma > 0; the penalty is gamma times all rows drawn.
    x_test, y_test : ndarray (k, p), (k,)
        Rows that judge; they must not be training rows.

    Returns
    -------
    Prediction
        `mean` (0-d) is the accuracy, higher is better; `low` and `high` are 1.96 standard errors over the k rows away.
        `terms`: risk (mean squared error), correct (k,) probability per row, SE.
    """
    check_rows(x_real, y_real)
    check_rows(x_test, y_test)
    law = weight_law(sources, ridge, gram=x_real.T @ x_real, pull=x_real.T @ y_real, num_given=len(y_real))
    correct, risk = accuracy_on_points(law, x_test, y_test), risk_on_points(law, x_test, y_test)
    return _judged(correct, risk, sum(source.count for source in sources))


def predict_cross_validated(
    x: np.ndarray,
    y: np.ndarray,
    sources: Sequence[Source] | MakeSources,
    ridge: float,
    *,
    folds: int = 5,
    seeds: Seeds | int = 0,
) -> Prediction:
    """Predict the accuracy on unseen real rows: every fold is judged by the law given the other folds.

    Source: docs/methods/theory.md, eq. (12); derived there for the model of arXiv 2410.08942.

    Parameters
    ----------
    x, y : ndarray (n, p), (n,)
        The user's real rows and labels +-1.
    sources : sequence of Source, or callable
        Synthetic sources; a function of the training folds (x, y) when the generator is fitted on them.
    ridge : float
        gamma > 0.
    folds : int
        At least 2; training then uses n (1 - 1/folds) rows, so the answer is slightly pessimistic.
    seeds : Seeds or int
        Decides the folds.

    Returns
    -------
    Prediction
        As `predict_on_points`, over all n rows; `correct` is in the order of `x`.
    """
    check_rows(x, y)
    if not 2 <= folds <= len(y):
        raise DataError(f"folds is {folds} for {len(y)} rows; it must be between 2 and the number of rows")
    place = stratified_folds(y, folds, as_seeds(seeds))
    correct, risk, count = np.empty(len(y)), np.empty(len(y)), 0.0
    for fold in range(folds):
        is_test = place == fold
        train = (x[~is_test], y[~is_test])
        used = sources(*train) if callable(sources) else sources
        judged = predict_on_points(*train, used, ridge, x[is_test], y[is_test])
        correct[is_test], risk[is_test] = judged.terms["correct"], judged.terms["risks"]
        count = float(judged.at)
    return _judged(correct, risk, count)


def simulate_on_points(
    x_real: np.ndarray,
    y_real: np.ndarray,
    sources: Sequence[GaussianSource],
    ridge: float,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    seeds: Seeds | int,
    repeats: int = 50,
) -> Prediction:
    """Draw the synthetic rows of Gaussian sources, train with the given real rows, and count right answers.

    Source: docs/methods/theory.md, eq. (12); derived there for the model of arXiv 2410.08942.

    Returns
    -------
    Prediction
        `mean` (0-d) is the accuracy on the test rows, the interval is that of averaging over `repeats`; `terms`: risk,
        SE, n.
    """
    check_repeats(repeats)
    check_rows(x_real, y_real)
    check_rows(x_test, y_test)
    node, draws = as_seeds(seeds), [GaussianDraw.of(s.mean, s.covariance) for s in sources]
    penalty = ridge * (len(y_real) + sum(source.count for source in sources))
    accuracy, risk = np.empty(repeats), np.empty(repeats)
    for repeat in range(repeats):
        rng = node.numpy(f"repeat-{repeat}")
        kept = [draw_kept(d, s.count, s.rates, rng) for d, s in zip(draws, sources, strict=True)]
        rows = np.concatenate([x_real, *(x for x, _ in kept)])
        labels = np.concatenate([y_real, *(t for _, t in kept)])
        weights = [np.full(len(t), s.weight) for s, (_, t) in zip(sources, kept, strict=True)]
        w = ridge_weights(rows, labels, np.concatenate([np.ones(len(y_real)), *weights]), penalty)
        margin = y_test * (x_test @ w)
        accuracy[repeat], risk[repeat] = (margin > 0).mean(), ((1.0 - margin) ** 2).mean()
    count = float(sum(source.count for source in sources))
    return summarize_repeats(np.asarray(count), accuracy, {"risk": risk.mean()}, f"mean of {repeats} fits")


def stratified_folds(y: np.ndarray, folds: int, seeds: Seeds) -> np.ndarray:
    """Fold (n,) of every row, each class dealt evenly."""
    order = seeds.numpy("folds").permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    place = np.empty(len(y), dtype=np.int64)
    place[order] = np.arange(len(y)) % folds
    return place


def check_rows(x: np.ndarray, y: np.ndarray) -> None:
    """Refuse rows that do not match their labels, and labels that are not +-1."""
    if np.ndim(x) != 2 or len(x) != len(y):
        raise DataError(f"x has shape {np.shape(x)} for {len(y)} labels; give one row (p,) per label")
    if not np.isfinite(x).all() or not np.isin(y, (-1, 1)).all():
        raise DataError("x must be finite and y must be -1 or +1; impute missing values and recode the two classes")


def _judged(correct: np.ndarray, risks: np.ndarray, count: float) -> Prediction:
    """Average over judging rows, with the standard error of that average."""
    if len(correct) == 0:
        raise DataError("there are no rows to judge on; give at least one")
    mean = correct.mean()
    error = correct.std() / np.sqrt(len(correct))
    low, high = mean - NORMAL_95 * error, mean + NORMAL_95 * error
    terms = {"risk": risks.mean(), "correct": correct, "risks": risks, "SE": error}
    return Prediction(np.asarray(count), np.asarray(mean), np.asarray(low), np.asarray(high), terms, FORMULA)
