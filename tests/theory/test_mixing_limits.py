"""Closed forms against the general solver, and the worth of synthetic rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_families import normal_accuracy
from synthsift.theory.mixing_limits import (
    bayes_accuracy,
    critical_label_noise,
    critical_slope,
    infinite_data_weights,
    infinite_verified_accuracy,
    synthetic_only_margin,
)
from synthsift.theory.mixing_moments import weight_law
from synthsift.theory.mixing_simulation import simulate_accuracy
from synthsift.theory.mixing_sources import GaussianSource
from synthsift.theory.mixing_worth import (
    accuracy_from_n_eff,
    best_weight,
    clean_row_worth,
    effective_sample_size,
    large_ridge_noise_limit,
)

RATES: dict[str, Any] = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.4}
HUGE = 1e7  # a ridge at which the mean classifier is reached to 1e-7


@pytest.mark.parametrize("ridge", [1e-8, 1e-3, 1.0, 100.0])
@pytest.mark.parametrize("num_synth", [30, 100, 5000])
def test_synthetic_only_closed_form(ridge: float, num_synth: int) -> None:
    a, v = synthetic_only_margin(num_synth, 100, 1.3, ridge, **RATES)
    general = predict_accuracy(0, num_synth, 100, 1.3, ridge, **RATES)
    assert float(a) == pytest.approx(float(general.terms["a"]), rel=1e-8)
    assert float(v) == pytest.approx(float(general.terms["v"]), rel=1e-8)
    assert float(normal_accuracy(a, v)) == pytest.approx(float(general.mean), abs=1e-9)


def test_critical_noise_is_where_synthetic_rows_teach_nothing() -> None:
    eps = critical_label_noise(0.8, 0.3)
    found = predict_accuracy(0, [20, 200, 1e6], 50, 1.3, 0.1, label_noise=eps, keep_right=0.8, keep_wrong=0.3)
    np.testing.assert_allclose(found.mean, 0.5, atol=1e-12)
    mixed = predict_accuracy(50, 200, 50, 1.3, 0.1, label_noise=eps, keep_right=0.8, keep_wrong=0.3)
    assert float(mixed.mean) > 0.5  # real rows move the crossing to larger noise
    assert float(critical_label_noise(1.0, 0.0)) == 1.0
    with pytest.raises(ValueError, match="keeps nothing"):
        critical_label_noise(0.0, 0.0)


def test_slope_is_the_derivative() -> None:
    rates = {"keep_right": 0.8, "keep_wrong": 0.3}
    eps, step = float(critical_label_noise(**rates)), 1e-5
    around = predict_accuracy(0, 400, 100, 1.3, 0.2, label_noise=[eps - step, eps + step], **rates).mean
    slope = float(critical_slope(400, 100, 1.3, 0.2, **rates))
    assert (around[1] - around[0]) / (2 * step) == pytest.approx(slope, rel=1e-6)  # central difference: O(step^2)
    with pytest.raises(ValueError, match="nothing is kept"):
        critical_slope(400, 100, 1.3, 0.2, keep_wrong=0.0)
    with pytest.raises(ValueError, match="num_synth"):
        critical_slope(0, 100, 1.3, 0.2)


def test_infinitely_many_rows_switch_sharply() -> None:
    noises = [0.1, 0.7, 8 / 11, 0.8]
    expected = [ndtr(1.3), ndtr(1.3), 0.5, ndtr(-1.3)]
    found = infinite_verified_accuracy(1.3, noises[:2] + noises[3:], 0.8, 0.3)
    np.testing.assert_allclose(found, expected[:2] + expected[3:], atol=1e-12)
    many = predict_accuracy(0, 1e12, 50, 1.3, 1.0, label_noise=noises, keep_right=0.8, keep_wrong=0.3)
    np.testing.assert_allclose(many.mean, expected, atol=1e-6)


def test_infinite_data_weights_are_the_limit() -> None:
    rng = np.random.default_rng(0)
    mean = rng.standard_normal(8) / 3
    sources = [
        GaussianSource(3 * 10**9, mean, np.diag(np.arange(1.0, 9.0))).moments,
        GaussianSource(10**9, -mean[::-1], np.eye(8), **RATES, weight=0.4).moments,
    ]
    limit = infinite_data_weights(sources, [0.75, 0.25], 0.3)
    np.testing.assert_allclose(weight_law(sources, 0.3).w_bar, limit, rtol=1e-6)
    with pytest.raises(ValueError, match="summing to 1"):
        infinite_data_weights(sources, [0.5, 0.6], 0.3)


def test_bayes_accuracy() -> None:
    assert bayes_accuracy(5, 1.2) == pytest.approx(float(ndtr(1.2)))
    spectrum, mean = np.array([4.0, 1.0]), np.array([2.0, 1.0])
    assert bayes_accuracy(2, None, spectrum=spectrum, mean=mean) == pytest.approx(float(ndtr(np.sqrt(2.0))))
    assert bayes_accuracy(2, None, spectrum=np.array([0.0, 1.0]), mean=mean) == 1.0


@pytest.mark.parametrize("generator", ["fresh", "exact", "self"])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_large_ridge_is_the_mean_classifier(generator: str, weight: float) -> None:
    size = {"generator_size": 150} if generator == "fresh" else {}
    spectrum, mean = np.linspace(0.3, 2.0, 80), np.linspace(0.3, 0.0, 80)
    for data in ({"mean_norm": 1.5}, {"mean_norm": None, "spectrum": spectrum, "mean": mean}):
        mean_norm, shape = data["mean_norm"], {k: v for k, v in data.items() if k != "mean_norm"}
        options: dict[str, Any] = {**RATES, "generator": generator, "synth_weight": weight, **size}
        n_eff = effective_sample_size(300, 700, **options)
        general = predict_accuracy(300, 700, 80, mean_norm, HUGE, **options, **shape)
        assert float(accuracy_from_n_eff(n_eff, 80, mean_norm, **shape)) == pytest.approx(float(general.mean), abs=1e-6)


def test_superset_generator_against_sampled_means() -> None:
    # Mean classifier by hand: n training rows, n_x further rows behind the generator, m verified synthetic rows.
    rng, dim, n, extra, m = np.random.default_rng(0), 60, 40, 50, 90
    mean, found = np.r_[1.5, np.zeros(dim - 1)], []
    for _ in range(1500):
        rows = mean + rng.standard_normal((n + extra, dim))
        flips = np.where(rng.random(m) < 0.2, -1.0, 1.0)
        kept = rng.random(m) < np.where(flips > 0, 0.9, 0.4)
        synthetic = flips[:, None] * rows.mean(axis=0) + rng.standard_normal((m, dim))
        w = rows[:n].sum(axis=0) + synthetic[kept].sum(axis=0)
        found.append(float(normal_accuracy(mean @ w, w @ w)))
    n_eff = effective_sample_size(n, m, generator="superset", num_extra=extra, **RATES)
    value = float(accuracy_from_n_eff(n_eff, dim, 1.5))
    # Four standard errors; .004 is the finite size of dim = 60 (curvature of Phi in a fluctuating margin).
    assert np.mean(found) == pytest.approx(value, abs=4 * np.std(found) / np.sqrt(1500) + 0.004)


def test_large_ridge_closed_form_against_training() -> None:
    n_eff = effective_sample_size(100, 200, generator_size=80, **RATES)
    simulated = simulate_accuracy(100, 200, 100, 1.5, 1e4, generator_size=80, seeds=9, repeats=100, **RATES)
    value = float(accuracy_from_n_eff(n_eff, 100, 1.5))
    assert float(simulated.mean) == pytest.approx(value, abs=max(4 * float(simulated.terms["SE"]), 0.002))


def test_worth_is_what_the_best_weight_gives() -> None:
    options = {**RATES, "generator_size": 150}
    weight = float(best_weight(700, **options))
    best = float(effective_sample_size(300, 700, synth_weight=weight, **options))
    assert best == pytest.approx(300 + float(clean_row_worth(700, **options)))
    for other in (0.9 * weight, 1.1 * weight):
        assert float(effective_sample_size(300, 700, synth_weight=other, **options)) < best
    assert float(clean_row_worth(math.inf, **options)) == pytest.approx(150)
    assert float(clean_row_worth(0, **options)) == 0.0
    assert math.isinf(float(clean_row_worth(math.inf, **RATES)))
    assert float(clean_row_worth(700, label_noise=0.9)) == 0.0 and float(best_weight(700, label_noise=0.9)) == 0.0
    assert float(best_weight(700, keep_right=0.0, keep_wrong=0.0)) == 0.0


def test_helping_threshold_of_a_large_ridge() -> None:
    limit = float(large_ridge_noise_limit(0.9, 0.3))
    assert limit == pytest.approx(0.5)
    for noise, helps in ((limit - 0.01, True), (limit + 0.01, False)):
        worth = effective_sample_size(1000, 1, label_noise=noise, keep_right=0.9, keep_wrong=0.3)
        assert (float(worth) > 1000) == helps
    with pytest.raises(ValueError, match="keeps nothing"):
        large_ridge_noise_limit(0.0, 0.0)


def test_self_generator_never_helps_a_large_ridge() -> None:
    sizes = effective_sample_size(300, [0, 10, 1000, 1e7], generator="self")
    assert float(sizes[0]) == pytest.approx(300) and np.all(sizes[1:] < 300)


def test_reversed_and_empty_mixtures() -> None:
    reversed_size = effective_sample_size(10, 200, label_noise=0.9)
    assert float(reversed_size) < 0
    assert float(accuracy_from_n_eff(reversed_size, 50, 1.5)) < 0.5
    general = predict_accuracy(10, 200, 50, 1.5, HUGE, label_noise=0.9)
    assert float(accuracy_from_n_eff(reversed_size, 50, 1.5)) == pytest.approx(float(general.mean), abs=1e-6)
    assert float(effective_sample_size(0, 50, keep_right=0.0, keep_wrong=0.0)) == 0.0
    assert float(accuracy_from_n_eff(0, 50, 1.5)) == 0.5
    assert float(accuracy_from_n_eff(math.inf, 50, 1.5)) == pytest.approx(float(ndtr(1.5)))


@pytest.mark.parametrize(
    "change",
    [
        {"generator": "other"},
        {"generator": "self", "num_real": 0},
        {"num_synth": math.inf},
        {"label_noise": 2.0},
        {"generator_size": 0.5},
        {"num_extra": -1},
    ],
)
def test_bad_sample_sizes(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"num_real": 10, "num_synth": 20, **change}
    with pytest.raises(ValueError):
        effective_sample_size(**arguments)
