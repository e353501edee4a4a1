"""Decisions read off the predicted curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from synthsift.theory.mixing import predict_accuracy, simulate_accuracy
from synthsift.theory.mixing_advice import (
    accuracy_ceiling,
    best_num_synth,
    best_ridge,
    best_synth_weight,
    break_even_rows,
    enough_rows,
    gain_per_row,
    largest_helpful_noise,
    largest_keep_wrong,
)

SETTING = (200, 200, 1.5, 1.0)  # num_real, dim, mean_norm, ridge of the sweep


def accuracy(num_synth: float, **options: Any) -> float:
    num_real, dim, mean_norm, ridge = SETTING
    return float(predict_accuracy(num_real, num_synth, dim, mean_norm, ridge, **options).mean)


@pytest.mark.parametrize(
    ("num_real", "limits"),
    [
        (200, (0.047, 0.057, 0.090, 0.180, 0.250)),
        (400, (0.144, 0.103, 0.090, 0.178, 0.250)),
        (1600, (0.087, 0.084, 0.088, 0.176, 0.250)),
    ],
)
def test_helpful_noise_depends_on_ridge_and_rows(num_real: int, limits: tuple[float, ...]) -> None:
    found = [largest_helpful_noise(num_real, 200, 1.5, ridge) for ridge in (0.01, 0.1, 1.0, 10.0, 1e4)]
    np.testing.assert_allclose(found, limits, rtol=0, atol=5.1e-4)  # three decimals are stated


def test_clean_rows_hurt_just_below_the_peak() -> None:
    assert largest_helpful_noise(100, 200, 1.5, 0.01) == 0.0
    assert gain_per_row(100, 200, 1.5, 0.01) < 0
    measured = simulate_accuracy(100, [0, 60], 200, 1.5, 0.01, seeds=1, repeats=60)
    assert measured.mean[1] < measured.mean[0] - 2 * np.hypot(*measured.terms["SE"])


def test_gain_is_the_derivative() -> None:
    options = {"label_noise": 0.1, "generator_size": 400}
    gain = gain_per_row(*SETTING, **options)
    assert gain == pytest.approx((accuracy(0.1, **options) - accuracy(0, **options)) / 0.1, rel=1e-2)  # one-sided
    limit = largest_helpful_noise(*SETTING, generator_size=400)
    assert gain_per_row(*SETTING, label_noise=limit - 0.001, generator_size=400) > 0
    assert gain_per_row(*SETTING, label_noise=limit + 0.001, generator_size=400) < 0


def test_break_even_after_a_dip() -> None:
    options = {"label_noise": 0.3, "generator_size": 4000}
    rows = break_even_rows(*SETTING, **options)
    assert 800 < rows < 3200  # between the columns of the sweep table
    assert accuracy(rows, **options) == pytest.approx(accuracy(0), abs=1e-8)
    assert accuracy(0.9 * rows, **options) < accuracy(0)
    assert math.isinf(break_even_rows(*SETTING, label_noise=0.3, generator_size=100))
    assert break_even_rows(*SETTING, label_noise=0.3, keep_wrong=0.0) == 0.0


def test_best_number_of_rows() -> None:
    peak = best_num_synth(*SETTING, label_noise=0.3, keep_wrong=0.0, generator_size=100)
    assert peak.accuracy >= accuracy(200, label_noise=0.3, keep_wrong=0.0, generator_size=100)
    around = [accuracy(f * peak.value, label_noise=0.3, keep_wrong=0.0, generator_size=100) for f in (0.98, 1.02)]
    assert max(around) <= peak.accuracy
    assert best_num_synth(*SETTING, label_noise=0.3, generator_size=100) == (0.0, accuracy(0))
    endless = best_num_synth(*SETTING, generator="exact")
    assert math.isinf(endless.value)
    assert endless.accuracy == accuracy_ceiling(*SETTING, generator="exact") == accuracy(math.inf)


def test_ceiling_of_a_fresh_generator_is_below_its_own_rows() -> None:
    ceiling = accuracy_ceiling(*SETTING, generator_size=100)
    assert ceiling < accuracy(0)  # unweighted rows of a small generator hurt in the end
    assert accuracy(12800, label_noise=0.3, keep_wrong=0.0, generator_size=100) == pytest.approx(0.85075, abs=1e-5)


def test_enough_rows() -> None:
    options = {"label_noise": 0.3, "keep_wrong": 0.0, "generator_size": 4000}
    enough, ceiling = enough_rows(*SETTING, **options), best_num_synth(*SETTING, **options).accuracy
    assert enough.accuracy == pytest.approx(ceiling - 0.001, abs=1e-8)
    assert accuracy(0.9 * enough.value, **options) < ceiling - 0.001
    assert enough_rows(*SETTING, label_noise=0.3, generator_size=100).value == 0.0


def test_best_ridge() -> None:
    assert best_ridge(200, 0, 200, 1.5).value == 1e6  # isotropic features: the larger the better
    spectrum = 50.0 / np.arange(1, 51) / np.sum(1.0 / np.arange(1, 51))
    data = {"spectrum": spectrum, "mean": np.full(50, 1.5 / np.sqrt(50))}
    best = best_ridge(100, 0, 50, None, **data)
    assert 1e-6 < best.value < 1e6
    for factor in (0.8, 1.25):
        assert float(predict_accuracy(100, 0, 50, None, factor * best.value, **data).mean) <= best.accuracy


def test_self_generator_does_not_beat_real_rows_at_the_best_ridge() -> None:
    spectrum = np.arange(1, 201) ** -1.0 + 0.1
    decaying = {"spectrum": spectrum * 200 / spectrum.sum(), "mean": np.full(200, 1.5 / np.sqrt(200))}
    for data in ({}, decaying):
        for num_real in (100, 200, 600):
            alone = best_ridge(num_real, 0, 200, 1.5, **data).accuracy
            for times in (1, 10):
                mixed = best_ridge(num_real, times * num_real, 200, 1.5, generator="self", **data).accuracy
                assert mixed <= alone + 1e-9


def test_best_weight_beats_both_ends() -> None:
    options = {"label_noise": 0.3, "generator_size": 100}
    best = best_synth_weight(200, 800, 200, 1.5, 1.0, **options)
    assert 0 < best.value < 1
    assert best.accuracy > max(accuracy(800, **options), accuracy(800, synth_weight=0.0, **options))
    assert best_synth_weight(200, 800, 200, 1.5, 1.0, label_noise=0.7).value == 0.0


def test_how_strict_the_verifier_must_be() -> None:
    options = {"label_noise": 0.3, "generator_size": 400}
    rate = largest_keep_wrong(200, 800, 200, 1.5, 1.0, **options)
    assert rate is not None and 0 < rate < 1
    assert accuracy(800, keep_wrong=rate, **options) == pytest.approx(accuracy(0), abs=1e-8)
    assert largest_keep_wrong(200, 800, 200, 1.5, 1.0, generator_size=400) == 1.0
    assert largest_keep_wrong(200, 800, 200, 1.5, 1.0, target=0.99, **options) is None


def test_bad_questions() -> None:
    with pytest.raises(ValueError, match="looked for"):
        largest_helpful_noise(*SETTING, label_noise=0.1)
    with pytest.raises(ValueError, match="array"):
        break_even_rows(*SETTING, label_noise=[0.1, 0.2])
    with pytest.raises(ValueError, match="real row"):
        gain_per_row(0, 200, 1.5, 1.0)
