"""The mixing theory against training: every family, and random settings away from poles."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from synthsift.seeds import Seeds
from synthsift.theory.mixing import predict_accuracy, simulate_accuracy
from synthsift.theory.mixing_simulation import GaussianDraw, covariance_root, draw_kept, ridge_weights


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "theory_mixing.py"
    spec = importlib.util.spec_from_file_location("theory_mixing_settings", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = _benchmark()
DIM = 120
DATA: dict[str, Any] = {"spectrum": BENCHMARK.decaying_spectrum(DIM), "mean": np.full(DIM, 1.5 / np.sqrt(DIM))}
NOISY: dict[str, Any] = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.3}
FAMILIES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "real only": ((240, 0, DIM, 1.5, 0.3), {}),
    "real only, decaying, noisy": ((240, 0, DIM, 1.5, 0.05), {**DATA, "real_label_noise": 0.1}),
    "synthetic only, harsh verifier": (
        (0, 300, DIM, 1.5, 0.1),
        {"label_noise": 0.2, "keep_right": 0.4, "keep_wrong": 0.1},
    ),
    "fresh": ((120, 480, DIM, 1.5, 0.1), {**NOISY, "generator_size": 60}),
    "fresh, decaying": ((120, 360, DIM, 1.5, 0.1), {**NOISY, **DATA, "generator_size": 100}),
    "fresh, exact mean": ((120, 480, DIM, 1.5, 0.1), {**NOISY, "generator_size": 80, "exact_mean": True}),
    "fresh, exact covariance": (
        (120, 480, DIM, 1.5, 0.1),
        {**NOISY, "generator_size": 80, "generator_covariance": "exact"},
    ),
    "fresh, isotropic covariance": (
        (120, 360, DIM, 1.5, 0.1),
        {**NOISY, **DATA, "generator_size": 200, "generator_covariance": "isotropic", "isotropic_variance": 0.6},
    ),
    "fresh, weighted, noisy real labels": (
        (240, 480, DIM, 1.5, 0.3),
        {**NOISY, "generator_size": 160, "synth_weight": 0.3, "real_label_noise": 0.1},
    ),
    "self": ((160, 800, DIM, 1.5, 0.1), {**NOISY, "generator": "self"}),
    "self, decaying, few rows, weighted": (
        (80, 400, DIM, 1.5, 0.1),
        {**NOISY, **DATA, "generator": "self", "synth_weight": 0.5},
    ),
    "self, noisy real labels": ((160, 320, DIM, 1.5, 0.3), {**NOISY, "generator": "self", "real_label_noise": 0.15}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_prediction_is_what_training_gives(family: str) -> None:
    arguments, options = FAMILIES[family]
    predicted = predict_accuracy(*arguments, **options)
    simulated = simulate_accuracy(*arguments, **options, seeds=Seeds(11).child(family), repeats=50)
    gap = abs(float(predicted.mean) - float(simulated.mean))
    # Four standard errors; .002 covers the finite size (the theory is a limit, here dim = 120).
    assert gap <= max(4 * float(simulated.terms["SE"]), 0.002), (predicted.mean, simulated)
    # a and v move together with the accuracy: a tenth of their size is far outside what 50 data sets allow to hide.
    for name in ("a", "v"):
        assert float(simulated.terms[name]) == pytest.approx(float(predicted.terms[name]), rel=0.1)


def test_random_settings_away_from_poles() -> None:
    seeds, checked, drawn = Seeds(5), 0, 0
    while checked < 15:
        node = seeds.child("setting", drawn)
        call = BENCHMARK.draw_setting(node.numpy("draw"), dims=(50, 240))
        drawn += 1
        if BENCHMARK.is_at_pole(call):
            continue
        predicted, simulated, error, allowed = BENCHMARK.compare(call, node, repeats=25)
        assert abs(predicted - simulated) <= allowed, (BENCHMARK.describe(call), predicted, simulated, error)
        checked += 1
    assert drawn < 30  # the rule may exclude a few, not most


def test_same_seed_same_numbers() -> None:
    arguments, options = (30, [0, 40], 20, 1.5, 0.1), {**NOISY, "generator_size": 25}
    one = simulate_accuracy(*arguments, **options, seeds=3, repeats=4)
    again = simulate_accuracy(*arguments, **options, seeds=Seeds(3), repeats=4)
    other = simulate_accuracy(*arguments, **options, seeds=4, repeats=4)
    assert np.array_equal(one.mean, again.mean) and not np.array_equal(one.mean, other.mean)
    assert one.mean.shape == (2,) and one.terms["SE"].shape == (2,) and one.terms["n"] == 4
    assert np.all(one.high - one.mean == pytest.approx(1.96 * one.terms["SE"]))


@pytest.mark.parametrize("rows", [7, 40])
def test_ridge_weights_minimize_the_loss(rows: int) -> None:
    rng = np.random.default_rng(0)
    x, t, weight = rng.standard_normal((rows, 12)), np.sign(rng.standard_normal(rows)), rng.random(rows)
    w = ridge_weights(x, t, weight, 0.7)
    gradient = -2 * x.T @ (weight * (t - x @ w)) + 2 * 0.7 * w
    np.testing.assert_allclose(gradient, 0, atol=1e-10)
    expected = np.linalg.solve(x.T @ (weight[:, None] * x) + 0.7 * np.eye(12), x.T @ (weight * t))
    np.testing.assert_allclose(w, expected, atol=1e-10)


@pytest.mark.parametrize("rows", [5, 100])
def test_covariance_root_is_a_root(rows: int) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 8))
    root = covariance_root(x)
    np.testing.assert_allclose(root.T @ root, np.cov(x.T, bias=True), atol=1e-12)


def test_verifier_keeps_at_its_rates() -> None:
    rng = np.random.default_rng(0)
    source = GaussianDraw(np.array([50.0, 0.0]), np.ones(2))  # so far apart that x tells the class
    x, t = draw_kept(source, 40_000, (0.3, 0.8, 0.25), rng)
    right = np.sign(x[:, 0]) == t
    kept_right, kept_wrong = 0.7 * 0.8, 0.3 * 0.25
    for share, seen in ((kept_right, right.sum()), (kept_wrong, (~right).sum())):
        assert seen / 40_000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 40_000))  # four SE
