"""Labels from a linear model and checks by another: label noise that depends on the features.

Features are isotropic, x given y is N(y mu, I). The generator draws x exactly and labels it t = sign(g.x); the
verifier keeps a row when it agrees, sign(k.x) = t. Errors then sit near the boundary and do less harm than errors
placed at random at the same rate. All that matters happens in the span of mu, g and k, where the Gaussian averages
over a sector are done exactly: the radius in closed form, the angle by quadrature.

Equations (14), (15) of docs/methods/theory.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.mixing_checks import checked_range
from synthsift.theory.mixing_families import normal_accuracy
from synthsift.theory.mixing_moments import predict_from_sources
from synthsift.theory.mixing_simulation import (
    GaussianDraw,
    check_repeats,
    draw_signs,
    ridge_weights,
    summarize_repeats,
)
from synthsift.theory.mixing_sources import GaussianSource, Source

#: Gauss-Legendre nodes over an angle of at most pi; exact to rounding while |mu| < 30.
NODES = 400


def linear_source(
    count: float, mean: np.ndarray, labeller: np.ndarray, verifier: np.ndarray | None = None, *, weight: float = 1.0
) -> Source:
    """Moments of isotropic rows that `labeller` labels and `verifier` checks (no check by default).

    alpha = E[q], h = E[q t x], S = E[q x x'] with q = 1 where sign(verifier.x) = t = sign(labeller.x).

    Source: docs/methods/theory.md, eq. (14); derived there.

    Parameters
    ----------
    count : float
        Rows drawn, before verification.
    mean, labeller, verifier : ndarray (p,)
        Class mean mu and the weights g and k of the two linear models; only their directions matter.
    weight : float
        Weight omega of a kept row in the loss.
    """
    plane, rest, kept, refused = _plane_moments(mean, labeller, verifier)
    alpha, lam = min(kept[0] + refused[0], 1.0), kept[0] - refused[0]  # quadrature may round above 1
    first, second = kept[1] + refused[1], kept[2] + refused[2]
    h = plane.T @ (kept[1] - refused[1]) + lam * rest
    cross = np.outer(plane.T @ first, rest)
    inside = plane.T @ (second - alpha * np.eye(2)) @ plane
    identity = np.eye(len(mean))
    second_moment = alpha * (identity + np.outer(rest, rest)) + inside + cross + cross.T
    return Source(count, alpha, h, second_moment, identity, weight)


def linear_rates(
    mean: np.ndarray, labeller: np.ndarray, verifier: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Label noise eps of the labeller, and rates phi and rho at which the verifier keeps right and wrong labels.

    A rate whose condition never occurs (no wrong labels) is returned as 0.

    Source: docs/methods/theory.md, eq. (15); derived there.
    """
    _, _, kept, refused = _plane_moments(mean, labeller, verifier)
    eps = float(ndtr(-(labeller @ mean) / np.linalg.norm(labeller)))
    phi = kept[0] / (1.0 - eps) if eps < 1 else 0.0
    rho = refused[0] / eps if eps > 0 else 0.0
    return eps, float(min(phi, 1.0)), float(min(rho, 1.0))


def predict_linear_accuracy(
    num_real: float,
    num_synth: ArrayLike,
    mean: np.ndarray,
    ridge: float,
    labeller: np.ndarray,
    verifier: np.ndarray | None = None,
    *,
    synth_weight: float = 1.0,
) -> Prediction:
    """Predict accuracy when a linear model labels the synthetic rows and another one checks them.

    Source: docs/methods/theory.md, eq. (14); derived there.

    Parameters
    ----------
    num_real, ridge, synth_weight : float
        n, gamma, omega.
    num_synth : float or array
        m, before verification.
    mean, labeller, verifier : ndarray (p,)
        As for `linear_source`; features are isotropic and the generator knows their distribution.

    Returns
    -------
    Prediction
        `mean` is the accuracy (higher is better) for each m; `terms`: a, v, risk, and eps, phi, rho of the two models.
    """
    sizes = checked_range("num_synth", num_synth)
    identity = np.eye(len(mean))
    real = GaussianSource(int(num_real), mean, identity).moments
    unit = linear_source(1.0, mean, labeller, verifier, weight=synth_weight)
    drawn = [Source(float(m), unit.alpha, unit.h, unit.S, unit.B, unit.weight) for m in sizes.ravel()]
    found = [predict_from_sources((real, source), ridge, mean, identity) for source in drawn]
    terms = {name: np.reshape([p.terms[name] for p in found], sizes.shape) for name in ("a", "v", "risk")}
    rates = dict(zip(("eps", "phi", "rho"), linear_rates(mean, labeller, verifier), strict=True))
    accuracy = np.reshape([p.mean for p in found], sizes.shape)
    return Prediction(sizes, accuracy, accuracy, accuracy, {**terms, **rates}, found[0].formula)


def simulate_linear_accuracy(
    num_real: int,
    num_synth: int,
    mean: np.ndarray,
    ridge: float,
    labeller: np.ndarray,
    verifier: np.ndarray | None = None,
    *,
    synth_weight: float = 1.0,
    seeds: Seeds | int,
    repeats: int = 50,
) -> Prediction:
    """Measure what `predict_linear_accuracy` predicts: draw rows, label, check, train, exact accuracy of each w.

    Source: docs/methods/theory.md, eq. (14); derived there.
    """
    check_repeats(repeats)
    node, real = as_seeds(seeds), GaussianDraw(mean, np.ones(len(mean)))
    moments = np.empty((repeats, 2))
    for repeat in range(repeats):
        rng = node.numpy(f"repeat-{repeat}")
        y_real = draw_signs(num_real, 0.5, rng)
        x_real = real.rows(y_real, rng)
        x = real.rows(draw_signs(num_synth, 0.5, rng), rng)
        t = np.sign(x @ labeller)
        is_kept = np.ones(num_synth, dtype=bool) if verifier is None else np.sign(x @ verifier) == t
        row_weight = np.concatenate([np.ones(num_real), np.full(int(is_kept.sum()), synth_weight)])
        rows, labels = np.concatenate([x_real, x[is_kept]]), np.concatenate([y_real, t[is_kept]])
        w = ridge_weights(rows, labels, row_weight, ridge * (num_real + num_synth))
        moments[repeat] = mean @ w, w @ w
    a, v = moments.T
    terms = {"a": a.mean(), "v": v.mean(), "risk": ((1.0 - a) ** 2 + v).mean()}
    return summarize_repeats(np.asarray(float(num_synth)), normal_accuracy(a, v), terms, f"mean of {repeats} fits")


Moments = tuple[float, np.ndarray, np.ndarray]


def _plane_moments(
    mean: np.ndarray, labeller: np.ndarray, verifier: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, Moments, Moments]:
    """Plane (2, p) of the two models, mean outside it (p,), moments of rows of class +1 kept as +1 and as -1."""
    checker = labeller if verifier is None else verifier
    if not (mean.shape == labeller.shape == checker.shape and mean.ndim == 1 and len(mean) >= 2):
        raise DataError(f"mean, labeller, verifier have shapes {mean.shape}, {labeller.shape}, {checker.shape}")
    if not (labeller.any() and checker.any()):
        raise DataError("a linear labeller or verifier with all weights 0 has no direction; give a nonzero one")
    plane = _plane(mean, labeller, checker)
    center = plane @ mean
    turn = np.abs(np.arctan2(plane[1] @ checker, plane[0] @ checker))  # angle from labeller to verifier, in [0, pi]
    middle, half = turn / 2.0, (np.pi - turn) / 2.0
    return (
        plane,
        mean - plane.T @ center,
        _sector_moments(center, middle, half),
        _sector_moments(center, middle + np.pi, half),
    )


def _plane(mean: np.ndarray, labeller: np.ndarray, checker: np.ndarray) -> np.ndarray:
    """Orthonormal rows (2, p): the labeller's direction and what the verifier (else mu, else any axis) adds to it."""
    first = labeller / np.linalg.norm(labeller)
    axis = np.zeros_like(first)
    axis[np.argmin(np.abs(first))] = 1.0
    for candidate in (checker / np.linalg.norm(checker), mean, axis):
        second = candidate - (candidate @ first) * first
        if np.linalg.norm(second) > 1e-7:  # below it the two directions agree to rounding
            break
    second -= (second @ first) * first
    return np.stack([first, second / np.linalg.norm(second)])


def _sector_moments(center: np.ndarray, middle: float, half: float) -> Moments:
    """Mass, first (2,) and second (2, 2) moment of N(center, I) over the sector of angles middle +- half."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    angle = middle + half * nodes
    u = np.stack([np.cos(angle), np.sin(angle)])  # (2, nodes)
    c, square = center @ u, center @ center
    # K_j = int_0^inf r^j exp(-r^2/2 + r c) dr, each times exp(-|center|^2/2): K_j = c K_{j-1} + (j-1) K_{j-2}.
    k0 = np.exp((c**2 - square) / 2.0) * np.sqrt(2.0 * np.pi) * ndtr(c)
    k1 = np.exp(-square / 2.0) + c * k0
    k2 = c * k1 + k0
    k3 = c * k2 + 2.0 * k1
    scaled = weights * half / (2.0 * np.pi)
    return float(scaled @ k1), u @ (scaled * k2), (u * (scaled * k3)) @ u.T
