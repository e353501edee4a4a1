"""Section 7.3: what mixing with fresh data does to each distance, on two Gaussian mixtures."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.drift.laws import BOUNDED_REFRESH, EXACT_REFRESH, refresh_factor
from synthsift.drift.mixtures import BIMODAL, LOPSIDED, Mixture1D
from synthsift.records import DataError

X = np.linspace(-8, 8, 3201)
STEP = X[1] - X[0]


def entropy(p: np.ndarray, q: np.ndarray) -> float:
    return STEP * float(np.sum(p * np.log(p / q)))


def distances(p: np.ndarray, q: np.ndarray) -> dict[str, float]:
    """Distances of the density q from p by quadrature on the line."""
    gap, below = q - p, np.cumsum(q - p) * STEP
    middle = (p + q) / 2
    thin = slice(None, None, 16)
    kernel = np.exp(-((X[thin, None] - X[None, thin]) ** 2) / 2)
    mmd2 = float(gap[thin] @ kernel @ gap[thin]) * (16 * STEP) ** 2
    levels = (np.arange(200_000) + 0.5) / 200_000
    inverse = [np.interp(levels, np.cumsum(d) * STEP, X) for d in (p, q)]
    return {
        "chi2": STEP * float(np.sum(gap**2 / p)),
        "mmd2": mmd2,
        "mmd": np.sqrt(mmd2),
        "energy": 2 * STEP * float(np.sum(below**2)),
        "l2": STEP * float(np.sum(gap**2)),
        "mean2": (STEP * float(np.sum(gap * X))) ** 2,
        "tv": STEP * float(np.sum(np.abs(gap))) / 2,
        "w1": STEP * float(np.sum(np.abs(below))),
        "kl": entropy(q, p),
        "reverse_kl": entropy(p, q),
        "js": (entropy(p, middle) + entropy(q, middle)) / 2,
        "hellinger2": STEP * float(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2)),
        "w2_squared": float(np.mean((inverse[0] - inverse[1]) ** 2)),
    }


def ratios(alpha: float) -> dict[str, float]:
    p = BIMODAL.density(X)
    model, mix = LOPSIDED.density(X), BIMODAL.blended(LOPSIDED, 1 - alpha).density(X)
    before, after = distances(p, model), distances(p, mix)
    return {name: after[name] / before[name] for name in before}


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.83])
def test_exact_refresh_laws(alpha: float) -> None:
    got = ratios(alpha)
    for name in EXACT_REFRESH:
        assert got[name] == pytest.approx(refresh_factor(name, alpha).factor, rel=1e-6), name


def test_bounded_refresh_laws_are_only_bounds() -> None:
    got = ratios(0.5)
    for name in BOUNDED_REFRESH:
        assert got[name] <= refresh_factor(name, 0.5).factor, name
    expected = {"kl": 0.2509, "reverse_kl": 0.2381, "js": 0.2479, "w2_squared": 0.2677}
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-4), name
        assert abs(got[name] - 0.25) > 1e-4, f"{name} must not be mistaken for an exact law"


def test_the_frechet_distance_has_no_law() -> None:
    def moments(law: Mixture1D) -> tuple[float, float]:
        w, m, v = (np.asarray(a) for a in (law.weights, law.means, law.variances))
        mean = float(w @ m)
        return mean, float(w @ (v + m**2)) - mean**2

    def frechet(law: Mixture1D) -> float:
        (m1, v1), (m0, v0) = moments(law), moments(BIMODAL)
        return (m1 - m0) ** 2 + (np.sqrt(v1) - np.sqrt(v0)) ** 2

    assert frechet(BIMODAL.blended(LOPSIDED, 0.5)) / frechet(LOPSIDED) == pytest.approx(0.2458, abs=1e-4)


def test_noised_mixtures_have_the_moments_and_scores_of_the_forward_process() -> None:
    t = 0.7
    law, h = LOPSIDED.noised(t), 1e-5
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(
        law.score(x), (np.log(law.density(x + h)) - np.log(law.density(x - h))) / (2 * h), atol=1e-8
    )
    rng = np.random.default_rng(0)
    moved = np.exp(-t / 2) * LOPSIDED.sample(100_000, rng) + np.sqrt(1 - np.exp(-t)) * rng.standard_normal(100_000)
    for power in (1, 2, 3):
        exact = STEP * float(np.sum(law.density(X) * X**power))
        assert abs((moved**power).mean() - exact) <= 4 * (moved**power).std() / np.sqrt(100_000)


def test_impossible_mixtures_are_refused() -> None:
    for weights, means, variances in [((0.5, 0.4), (0, 1), (1, 1)), ((1.0,), (0.0,), (0.0,)), ((1.0,), (0, 1), (1, 1))]:
        with pytest.raises(DataError, match="mixture"):
            Mixture1D(weights, means, variances)
