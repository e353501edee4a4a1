"""The mixing theory for any number of sources with any covariances: the law of the trained weights.

The weights behave like N(w_bar, Sigma_w); both follow from the moments of the sources. A kept row is a whole row:
alpha is not inside delta, unlike in the public code of El Firdoussi et al. (2024, arXiv 2410.08942), whose form
describes soft weights alpha on all rows.

Equations (4) to (7) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.mixing_checks import checked_range
from synthsift.theory.mixing_families import normal_accuracy
from synthsift.theory.mixing_fixedpoint import solve_descending
from synthsift.theory.mixing_simulation import (
    GaussianDraw,
    check_repeats,
    draw_kept,
    ridge_weights,
    summarize_repeats,
)
from synthsift.theory.mixing_sources import GaussianSource, Source


@dataclass(frozen=True)
class WeightLaw:
    """The trained weights behave like N(w_bar, Sigma_w).

    Parameters
    ----------
    w_bar : ndarray (p,)
        Mean weights.
    Sigma_w : ndarray (p, p)
        Covariance of the weights over training sets.
    delta, e, f : ndarray (K,)
        Per source: fixed point, misfit E[q (t - x.w_bar)^2], fluctuation tr(B Sigma_w).
    """

    w_bar: np.ndarray
    Sigma_w: np.ndarray
    delta: np.ndarray
    e: np.ndarray
    f: np.ndarray


@dataclass(frozen=True)
class _Stack:
    """The sources of one problem side by side: c_k, alpha_k, omega_k (K,), B_k, the fixed matrix and N."""

    share: np.ndarray
    alpha: np.ndarray
    omega: np.ndarray
    bulks: list[np.ndarray]
    fixed: np.ndarray
    total: float

    def shrink(self, delta: np.ndarray) -> np.ndarray:
        """omega/(1 + omega delta) (K,)."""
        return self.omega / (1.0 + self.omega * delta)

    def mix(self, factors: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """sum_k factors_k matrices_k, of the matrices' shape."""
        terms = (factor * matrix for factor, matrix in zip(factors, matrices, strict=True))
        return sum(terms, np.zeros_like(matrices[0]) if matrices else np.zeros_like(self.fixed))

    def resolvent(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """R (p, p), tr(B_k R)/N (K,) and T_kl = tr(B_k R B_l R)/N (K, K)."""
        matrix = self.fixed + self.mix(g * self.alpha, self.bulks)
        inverse = cho_solve(cho_factor(matrix), np.eye(len(matrix)))
        products = [bulk @ inverse for bulk in self.bulks]
        deltas = np.array([np.trace(product) for product in products]) / self.total
        traces = np.array([[np.vdot(p, q.T) for q in products] for p in products]) / self.total
        return inverse, deltas, traces.reshape(len(products), len(products))


def weight_law(
    sources: Sequence[Source],
    ridge: float,
    *,
    gram: np.ndarray | None = None,
    pull: np.ndarray | None = None,
    num_given: float = 0.0,
) -> WeightLaw:
    """Law of w = argmin 1/N sum_k omega_k sum_kept (t - w.x)^2 + gamma |w|^2 over draws of the sources.

    With c_k = N_k/N, g_k = c_k omega_k/(1 + omega_k delta_k) and H_k = c_k omega_k^2/(1 + omega_k delta_k)^2:
    R = (gamma I + sum g_k alpha_k B_k)^{-1}, delta_k = tr(B_k R)/N, w_bar = (gamma I + sum g_k S_k)^{-1} sum g_k h_k,
    T_kl = tr(B_k R B_l R)/N, f = (I - T diag(H alpha))^{-1} T (H e), Sigma_w = R [sum H_k (e_k + alpha_k f_k) B_k] R/N.

    Source: docs/methods/theory.md, eq. (4), (5); derived there for the model of arXiv 2410.08942.

    Parameters
    ----------
    sources : sequence of Source
        Random sources; may be empty when rows are given.
    ridge : float
        gamma > 0.
    gram, pull : ndarray (p, p), (p,), optional
        X'X and X'y of rows that are held fixed; added over N to gamma I and to the right-hand side of w_bar.
    num_given : float
        How many those are; they count in N.

    Raises
    ------
    DataError
        If there are no rows, dimensions differ, or the ridge is not positive.
    """
    stack = _stack_sources(sources, ridge, gram, num_given)

    def step(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shrink = stack.shrink(delta[:, 0])
        _, mapped, traces = stack.resolvent(stack.share * shrink)
        return mapped[:, None], (traces * stack.share * shrink**2 * stack.alpha)[None]

    delta = stack.resolvent(np.zeros(len(sources)))[1]
    if len(sources):
        delta = solve_descending(step, delta[:, None])[:, 0]
    shrink = stack.shrink(delta)
    g, big_h = stack.share * shrink, stack.share * shrink**2
    inverse, _, traces = stack.resolvent(g)
    fixed_pull = np.zeros(len(inverse)) if pull is None else pull / stack.total
    matrix = stack.fixed + stack.mix(g, [source.S for source in sources])
    right = fixed_pull + sum((g_k * s.h for g_k, s in zip(g, sources, strict=True)), np.zeros(len(inverse)))
    w_bar = cho_solve(cho_factor(matrix), right)
    e = np.array([s.alpha - 2.0 * s.h @ w_bar + w_bar @ s.S @ w_bar for s in sources])
    f = np.linalg.solve(np.eye(len(e)) - traces * big_h * stack.alpha, traces @ (big_h * e))
    noise = stack.mix(big_h * (e + stack.alpha * f), stack.bulks)
    return WeightLaw(w_bar, inverse @ noise @ inverse / stack.total, delta, e, f)


def _stack_sources(sources: Sequence[Source], ridge: float, gram: np.ndarray | None, num_given: float) -> _Stack:
    """Check that the sources fit together and lay them side by side."""
    gamma = float(checked_range("ridge", ridge))
    total = num_given + sum(source.count for source in sources)
    dims = {len(source.h) for source in sources} | ({len(gram)} if gram is not None else set())
    if total <= 0 or len(dims) != 1:
        raise DataError(f"there are {total:g} rows of dimensions {sorted(dims)}; rows of one dimension are needed")
    fixed = gamma * np.eye(dims.pop()) + (0.0 if gram is None else gram / total)
    return _Stack(
        share=np.array([source.count for source in sources]) / total,
        alpha=np.array([source.alpha for source in sources]),
        omega=np.array([source.weight for source in sources]),
        bulks=[source.bulk for source in sources],
        fixed=fixed,
        total=total,
    )


def predict_from_sources(
    sources: Sequence[Source], ridge: float, mean: np.ndarray, covariance: np.ndarray
) -> Prediction:
    """Accuracy on Gaussian test rows N(y mean, covariance) after training on `sources` (see `weight_law`).

    Source: docs/methods/theory.md, eq. (6); derived there for the model of arXiv 2410.08942.

    Returns
    -------
    Prediction
        `mean` (0-d) is the accuracy Phi(a/sqrt(v)), higher is better; `at` is the number of rows drawn; `terms`: a, v,
        risk, delta, e, f, w_bar, Sigma_w.
    """
    law = weight_law(sources, ridge)
    if np.shape(mean) != law.w_bar.shape or np.shape(covariance) != law.Sigma_w.shape:
        raise DataError(f"the test mean {np.shape(mean)} does not fit sources of dimension {len(law.w_bar)}")
    a = float(mean @ law.w_bar)
    v = float(law.w_bar @ covariance @ law.w_bar + np.vdot(covariance, law.Sigma_w))
    accuracy = normal_accuracy(np.asarray(a), np.asarray(v))
    terms = {"a": a, "v": v, "risk": (1.0 - a) ** 2 + v, **vars(law)}
    at = np.asarray(float(sum(source.count for source in sources)))
    return Prediction(at, accuracy, accuracy, accuracy, terms, "Phi(a/sqrt(v)), w ~ N(w_bar, Sigma_w) from moments")


def simulate_from_sources(
    sources: Sequence[GaussianSource],
    ridge: float,
    mean: np.ndarray,
    covariance: np.ndarray,
    *,
    seeds: Seeds | int,
    repeats: int = 50,
) -> Prediction:
    """Measure what `predict_from_sources` predicts for Gaussian sources: draw, verify, train, exact accuracy of w.

    Source: docs/methods/theory.md, eq. (6); derived there for the model of arXiv 2410.08942.
    """
    check_repeats(repeats)
    node = as_seeds(seeds)
    draws = [GaussianDraw.of(source.mean, source.covariance) for source in sources]
    penalty = ridge * sum(source.count for source in sources)
    moments = np.empty((repeats, 2))
    for repeat in range(repeats):
        rng = node.numpy(f"repeat-{repeat}")
        kept = [draw_kept(d, s.count, s.rates, rng) for d, s in zip(draws, sources, strict=True)]
        row_weight = np.concatenate([np.full(len(t), s.weight) for s, (_, t) in zip(sources, kept, strict=True)])
        rows, labels = np.concatenate([x for x, _ in kept]), np.concatenate([t for _, t in kept])
        w = ridge_weights(rows, labels, row_weight, penalty)
        moments[repeat] = mean @ w, w @ covariance @ w
    a, v = moments.T
    terms = {"a": a.mean(), "v": v.mean(), "risk": ((1.0 - a) ** 2 + v).mean()}
    at = np.asarray(float(sum(source.count for source in sources)))
    return summarize_repeats(at, normal_accuracy(a, v), terms, f"mean of {repeats} trained classifiers")


def accuracy_on_points(law: WeightLaw, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probability (n,) that each given row x (n, p) with label y (n,) is classified rightly; higher is better.

    Phi(y x.w_bar/sqrt(x' Sigma_w x)). Nothing is assumed about the points, which must not be training rows.

    Source: docs/methods/theory.md, eq. (7); derived there for the model of arXiv 2410.08942.
    """
    margin, spread = y * (x @ law.w_bar), np.einsum("ij,ij->i", x @ law.Sigma_w, x)
    return normal_accuracy(margin, np.maximum(spread, 0.0))


def risk_on_points(law: WeightLaw, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Expected squared error E(y - w.x)^2 (n,) on given rows; lower is better.

    Source: docs/methods/theory.md, eq. (7); derived there for the model of arXiv 2410.08942.
    """
    return (1.0 - y * (x @ law.w_bar)) ** 2 + np.einsum("ij,ij->i", x @ law.Sigma_w, x)
