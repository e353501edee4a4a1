"""Labels and checks by linear models."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_linear import (
    linear_rates,
    linear_source,
    predict_linear_accuracy,
    simulate_linear_accuracy,
)


def direction(cosine: float, axis: int, dim: int) -> np.ndarray:
    g = np.zeros(dim)
    g[0], g[axis] = cosine, np.sqrt(1 - cosine**2)
    return g


# labeller cos, verifier cos, (eps, phi, rho), accuracy by moments, accuracy by the x-independent formula
CASES = {
    "F1": (0.6, None, (0.184, 1.000, 1.000), 0.8671, 0.8594),
    "F2": (0.6, 0.6, (0.184, 0.853, 0.343), 0.8995, 0.8889),
    "F3": (0.6, 0.95, (0.184, 0.960, 0.242), 0.9112, 0.8980),
    "F4": (0.4, 0.8, (0.274, 0.917, 0.201), 0.9005, 0.8903),
}


@pytest.mark.parametrize("name", CASES)
def test_acceptance_table(name: str) -> None:
    labeller_cosine, verifier_cosine, rates, value, independent = CASES[name]
    dim, mean = 200, np.r_[1.5, np.zeros(199)]
    labeller = direction(labeller_cosine, 1, dim)
    verifier = None if verifier_cosine is None else direction(verifier_cosine, 2, dim)
    found = predict_linear_accuracy(200, 800, mean, 0.3, labeller, verifier)
    assert float(found.mean) == pytest.approx(value, abs=3e-4)  # the stated values used sampled averages
    # The stated rates were sampled: with 1e5 draws four standard errors of rho are .01.
    assert [found.terms[key] for key in ("eps", "phi", "rho")] == pytest.approx(rates, abs=5e-3)
    eps, phi, rho = (found.terms[key] for key in ("eps", "phi", "rho"))
    plain = predict_accuracy(200, 800, dim, 1.5, 0.3, label_noise=eps, keep_right=phi, keep_wrong=rho)
    assert float(plain.mean) == pytest.approx(independent, abs=3e-4)
    assert found.mean > plain.mean


@pytest.mark.parametrize("cosines", [(0.6, None), (0.5, 0.8)])
def test_prediction_is_what_training_gives(cosines: tuple[float, float | None]) -> None:
    dim, mean = 120, np.r_[1.5, np.zeros(119)]
    labeller = direction(cosines[0], 1, dim)
    verifier = None if cosines[1] is None else direction(cosines[1], 2, dim)
    predicted = predict_linear_accuracy(120, 480, mean, 0.3, labeller, verifier, synth_weight=0.7)
    simulated = simulate_linear_accuracy(
        120, 480, mean, 0.3, labeller, verifier, synth_weight=0.7, seeds=8, repeats=100
    )
    gap = abs(float(predicted.mean) - float(simulated.mean))
    assert gap <= max(4 * float(simulated.terms["SE"]), 0.002)
    assert float(simulated.terms["risk"]) == pytest.approx(float(predicted.terms["risk"]), rel=0.03)


@pytest.mark.parametrize("verify", [True, False])
def test_moments_are_those_of_sampled_rows(verify: bool) -> None:
    rng, size = np.random.default_rng(0), 400_000
    mean, labeller, verifier = rng.standard_normal((3, 5))
    source = linear_source(10, mean, labeller, verifier if verify else None)
    y = np.where(rng.random(size) < 0.5, 1.0, -1.0)
    x = y[:, None] * mean + rng.standard_normal((size, 5))
    t = np.sign(x @ labeller)
    kept = (np.sign(x @ verifier) == t) if verify else np.ones(size, dtype=bool)
    root = np.sqrt(size)
    assert source.alpha == pytest.approx(kept.mean(), abs=4 * kept.std() / root + 1e-12)
    pulls = x * (t * kept)[:, None]
    assert np.all(np.abs(source.h - pulls.mean(axis=0)) < 4 * pulls.std(axis=0) / root)
    spread = 4 * np.sqrt((x**2).T @ x**2 / size) / root
    assert np.all(np.abs(source.S - (x.T * kept) @ x / size) < spread)
    eps, phi, rho = linear_rates(mean, labeller, verifier if verify else None)
    right = t == y
    assert eps == pytest.approx(1 - right.mean(), abs=4 / root)
    assert phi == pytest.approx(kept[right].mean(), abs=4 / np.sqrt(right.sum()))
    assert rho == pytest.approx(kept[~right].mean(), abs=4 / np.sqrt((~right).sum()))


def test_special_directions() -> None:
    mean = np.array([0.8, 0.0, 0.0])
    other = np.array([0.0, 2.0, 0.0])
    agreeing = linear_source(10, mean, mean, 3 * mean)
    alone = linear_source(10, mean, mean)
    assert (
        agreeing.alpha == pytest.approx(1.0) and np.allclose(agreeing.S, alone.S) and np.allclose(agreeing.h, alone.h)
    )
    assert np.allclose(alone.S, np.eye(3) + np.outer(mean, mean))
    opposed = linear_source(10, mean, mean, -mean)
    assert opposed.alpha == pytest.approx(0.0, abs=1e-12)
    assert linear_rates(mean, other) == pytest.approx((0.5, 1.0, 1.0))
    assert linear_source(10, mean, mean, other).alpha == pytest.approx(0.5)


def test_grid_over_synthetic_rows() -> None:
    mean = np.r_[1.5, np.zeros(19)]
    labeller = direction(0.7, 1, 20)
    grid = predict_linear_accuracy(40, [0, 50, 500], mean, 0.1, labeller)
    assert grid.mean.shape == (3,)
    assert float(grid.mean[0]) == pytest.approx(float(predict_accuracy(40, 0, 20, 1.5, 0.1).mean), abs=1e-9)


def test_bad_input() -> None:
    mean = np.array([1.0, 0.0])
    with pytest.raises(ValueError, match="shapes"):
        linear_source(10, mean, np.ones(3))
    with pytest.raises(ValueError, match="no direction"):
        linear_source(10, mean, np.zeros(2))
    with pytest.raises(ValueError, match="num_synth"):
        predict_linear_accuracy(10, -5, mean, 0.1, mean)
