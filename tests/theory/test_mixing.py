"""Invariances, limits, edge cases, bad inputs and speed of the mixing theory."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.mixing import predict_accuracy, simulate_accuracy
from synthsift.theory.mixing_fixedpoint import solve_descending, solve_inflation
from synthsift.theory.mixing_limits import bayes_accuracy

EXACT = 1e-10  # two double-precision routes to one number, after a fixed point solved to 1e-12
DECAY = 40.0 / np.arange(1, 41) / np.sum(1.0 / np.arange(1, 41))
MEAN = np.linspace(0.4, 0.1, 40)
NOISY: dict[str, Any] = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.3}


def accuracy(*arguments: Any, **options: Any) -> float:
    return float(predict_accuracy(*arguments, **options).mean)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 5.0])
class TestInvariances:
    def test_exact_clean_rows_are_real_rows(self, ridge: float) -> None:
        data = {"spectrum": DECAY, "mean": MEAN}
        mixed = accuracy(60, 90, 40, None, ridge, generator="exact", **data)
        assert mixed == pytest.approx(accuracy(150, 0, 40, None, ridge, **data), abs=EXACT)

    def test_random_thinning_is_fewer_rows_at_the_same_penalty(self, ridge: float) -> None:
        thinned = accuracy(60, 200, 40, 1.5, ridge, label_noise=0.2, keep_right=0.3, keep_wrong=0.3, generator_size=70)
        fewer = accuracy(60, 60, 40, 1.5, ridge * 260 / 120, label_noise=0.2, generator_size=70)
        assert thinned == pytest.approx(fewer, abs=EXACT)

    def test_self_generator_without_rows_or_noise_is_real_only(self, ridge: float) -> None:
        data = {"spectrum": DECAY, "mean": MEAN}
        alone = accuracy(60, 0, 40, None, ridge, **data)
        assert accuracy(60, 0, 40, None, ridge, generator="self", **data) == pytest.approx(alone, abs=EXACT)
        assert accuracy(60, math.inf, 40, None, ridge, generator="self", **data) == pytest.approx(alone, abs=EXACT)
        # The distance to the limit shrinks like dim/num_synth.
        assert accuracy(60, 1e9, 40, None, ridge, generator="self", **data) == pytest.approx(alone, abs=1e-6)

    @pytest.mark.parametrize("generator", ["fresh", "self"])
    def test_rescaled_features_with_rescaled_ridge(self, ridge: float, generator: str) -> None:
        size = {"generator_size": 70} if generator == "fresh" else {}
        options = {"generator": generator, **NOISY, **size}
        one = accuracy(60, 90, 40, None, ridge, spectrum=DECAY, mean=MEAN, **options)
        other = accuracy(60, 90, 40, None, 9 * ridge, spectrum=9 * DECAY, mean=3 * MEAN, **options)
        assert one == pytest.approx(other, abs=EXACT)

    def test_swapped_labels_without_real_rows(self, ridge: float) -> None:
        one = accuracy(0, 90, 40, 1.5, ridge, label_noise=0.2, keep_right=0.9, keep_wrong=0.3, generator_size=70)
        other = accuracy(0, 90, 40, 1.5, ridge, label_noise=0.8, keep_right=0.3, keep_wrong=0.9, generator_size=70)
        assert one == pytest.approx(1 - other, abs=EXACT)

    def test_weight_zero_and_everything_pruned_are_real_rows_at_the_same_penalty(self, ridge: float) -> None:
        alone = accuracy(60, 0, 40, 1.5, ridge * 150 / 60)
        assert accuracy(60, 90, 40, 1.5, ridge, synth_weight=0.0, **NOISY) == pytest.approx(alone, abs=EXACT)
        nothing = {"keep_right": 0.0, "keep_wrong": 0.0}
        assert accuracy(60, 90, 40, 1.5, ridge, generator_size=50, **nothing) == pytest.approx(alone, abs=EXACT)

    def test_large_generator_is_exact(self, ridge: float) -> None:
        exact = accuracy(60, 90, 40, 1.5, ridge, generator="exact", **NOISY)
        assert accuracy(60, 90, 40, 1.5, ridge, generator_size=math.inf, **NOISY) == exact
        # The distance shrinks like dim/generator_size.
        assert accuracy(60, 90, 40, 1.5, ridge, generator_size=1e10, **NOISY) == pytest.approx(exact, abs=1e-6)

    def test_parts_of_an_exact_generator(self, ridge: float) -> None:
        exact = accuracy(60, 90, 40, 1.5, ridge, **NOISY)
        known = {"exact_mean": True, "generator_covariance": "exact", "generator_size": 50}
        assert accuracy(60, 90, 40, 1.5, ridge, **known, **NOISY) == pytest.approx(exact, abs=EXACT)
        isotropic = {"exact_mean": True, "generator_covariance": "isotropic", "isotropic_variance": 1.0}
        assert accuracy(60, 90, 40, 1.5, ridge, **isotropic, **NOISY) == pytest.approx(exact, abs=EXACT)


def test_infinitely_many_rows_are_the_limit_of_many() -> None:
    for options in ({"generator_size": 300}, {"generator": "self"}, {"generator_covariance": "isotropic"}):
        limit = accuracy(60, math.inf, 40, 1.5, 0.1, **NOISY, **options)
        assert accuracy(60, 1e9, 40, 1.5, 0.1, **NOISY, **options) == pytest.approx(limit, abs=1e-6)  # O(dim/num_synth)
    assert accuracy(math.inf, 60, 40, 1.5, 0.1) == pytest.approx(bayes_accuracy(40, 1.5), abs=EXACT)


def test_nothing_to_learn_from_is_a_coin() -> None:
    pruned = predict_accuracy(0, 90, 40, 1.5, 0.1, keep_right=0.0, keep_wrong=0.0)
    assert float(pruned.mean) == 0.5
    assert float(pruned.terms["eps_prime"]) == 0.0
    assert accuracy(20, math.inf, 40, 1.5, 0.1, generator="self", keep_right=0.0, keep_wrong=0.0) == 0.5
    assert accuracy(50, 50, 40, 0.0, 0.1) == pytest.approx(0.5, abs=EXACT)
    assert accuracy(50, 0, 40, 1.5, 0.1, real_label_noise=0.5) == pytest.approx(0.5, abs=EXACT)


def test_partly_zero_spectrum_is_allowed() -> None:
    spectrum, mean = np.r_[np.ones(30), np.zeros(10)], np.r_[np.full(30, 0.3), np.zeros(10)]
    padded = accuracy(60, 90, 40, None, 0.1, spectrum=spectrum, mean=mean, generator_size=50, **NOISY)
    plain = accuracy(60, 90, 30, None, 0.1, mean=mean[:30], generator_size=50, **NOISY)
    assert padded == pytest.approx(plain, abs=EXACT)
    certain = accuracy(60, 0, 40, 1.0, 0.1, spectrum=np.r_[0.0, np.zeros(38), 1.0])
    assert 0.5 < certain <= 1.0


def test_shapes_terms_and_derived_quantities() -> None:
    grid = predict_accuracy(50, [0, 10, 100], 40, 1.5, 0.1, generator_size=60, **NOISY)
    assert grid.mean.shape == (3,) and list(grid.at) == [0, 10, 100]
    single = predict_accuracy(50, 100, 40, 1.5, 0.1, generator_size=60, **NOISY)
    assert single.mean.shape == ()
    for name, value in single.terms.items():
        assert float(value) == pytest.approx(float(grid.terms[name][2]), abs=EXACT), name
    assert float(single.terms["alpha"]) == pytest.approx(0.78)
    assert float(single.terms["lam"]) == pytest.approx(0.66)
    assert float(single.terms["eps_prime"]) == pytest.approx(0.06 / 0.78)
    assert float(single.terms["risk"]) == pytest.approx((1 - float(single.terms["a"])) ** 2 + float(single.terms["v"]))
    plane = predict_accuracy(50, [[0], [100]], 40, 1.5, 0.1, label_noise=[0.0, 0.1, 0.2], keep_wrong=0.3)
    assert plane.mean.shape == (2, 3)
    assert float(plane.mean[1, 2]) == accuracy(50, 100, 40, 1.5, 0.1, label_noise=0.2, keep_wrong=0.3)


@pytest.mark.parametrize("generator", ["fresh", "self"])
def test_extreme_values_stay_finite(generator: str) -> None:
    ridge, real, synth = np.meshgrid([1e-8, 1e-4, 1.0, 1e8], [1, 199, 200, 1e6], [0, 1, 199, 1e6])
    sizes = [5.0, 200.0, math.inf] if generator == "fresh" else [math.inf]
    spectra = (None, 200.0 / np.arange(1, 201) / np.sum(1.0 / np.arange(1, 201)))
    for size in sizes:
        for spectrum in spectra:
            found = predict_accuracy(
                real, synth, 200, 1.5, ridge, generator=generator, generator_size=size, spectrum=spectrum, **NOISY
            )
            assert np.all((found.mean >= 0) & (found.mean <= 1))
            assert all(np.isfinite(value).all() for value in found.terms.values())
            assert np.all(found.terms["v"] > 0) and np.all(found.terms["delta_g"] >= 0)


def test_a_thousand_point_curve_takes_less_than_two_seconds() -> None:
    spectrum = 1000.0 / np.arange(1, 1001)
    sizes = np.linspace(0, 20000, 1000)
    for options in ({"generator_size": 1000}, {"generator": "self"}):
        start = time.thread_time()  # of this thread: other work on the machine does not count
        predict_accuracy(500, sizes, 1000, 1.5, 0.1, spectrum=spectrum, **NOISY, **options)
        assert time.thread_time() - start < 2.0


def test_inflation_solves_its_equation_from_any_start() -> None:
    rng = np.random.default_rng(0)
    ridge, g_r, kappa = np.exp(rng.uniform(-18, 5, 50)), np.exp(rng.uniform(-12, 1, 50)), np.exp(rng.uniform(-5, 2, 50))
    values, count = np.exp(rng.uniform(-3, 3, 7)), rng.integers(1, 30, 7).astype(float)
    inverse_size = np.exp(rng.uniform(-7, 0, 50))
    inverse_size[:3] = 0.0
    problem = (ridge, g_r, kappa, inverse_size, values, count)
    found = solve_inflation(*problem)
    total = ridge[:, None] + (g_r + kappa / found)[:, None] * values
    np.testing.assert_allclose(found, 1 + kappa * inverse_size * np.sum(count * values / total, axis=1), rtol=1e-9)
    assert np.all(found[:3] == 1.0)
    for factor in (0.0, 0.5, 2.0, 1e6):
        np.testing.assert_allclose(solve_inflation(*problem, 1.0 + factor * (found - 1.0)), found, rtol=1e-9)


def test_unsolved_fixed_point_is_reported() -> None:
    # A map without a fixed point: the descent never settles, and says so instead of returning a number.
    def step(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sqrt(delta), 0.5 / np.sqrt(delta).reshape(1, 1, 1)

    def wandering(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 2.0 - delta, np.full((1, 1, 1), np.nan)

    assert float(solve_descending(step, np.array([[9.0]]))[0, 0]) == pytest.approx(1.0)
    with pytest.raises(ArithmeticError, match="larger ridge"):
        solve_descending(wandering, np.array([[1.5]]))


VALID: dict[str, Any] = {"num_real": 50, "num_synth": 60, "dim": 10, "mean_norm": 1.0, "ridge": 0.1}
BAD = [
    ({"num_real": -1}, "num_real is -1"),
    ({"num_synth": [-5, 3]}, "num_synth is -5"),
    ({"num_real": 0, "num_synth": 0}, "both 0"),
    ({"num_real": math.inf, "num_synth": math.inf}, "both infinite"),
    ({"num_synth": math.nan}, "num_synth is nan"),
    ({"num_synth": "many"}, "num_synth is 'many'"),
    ({"num_synth": []}, "empty"),
    ({"dim": 0}, "dim is 0"),
    ({"dim": 2.5}, "dim is 2.5"),
    ({"mean_norm": -1.0}, "mean_norm is -1"),
    ({"mean_norm": math.nan}, "mean_norm is nan"),
    ({"mean_norm": [1.0, 2.0]}, "mean_norm has shape"),
    ({"mean_norm": None}, "neither mean_norm nor mean"),
    ({"ridge": 0.0}, "ridge is 0"),
    ({"ridge": -1.0}, "ridge is -1"),
    ({"ridge": 1e-20}, "ridge is 1e-20"),
    ({"ridge": math.inf}, "ridge is inf"),
    ({"label_noise": 1.1}, "label_noise is 1.1"),
    ({"label_noise": -0.1}, "label_noise is -0.1"),
    ({"keep_right": 2.0}, "keep_right is 2"),
    ({"keep_wrong": -1.0}, "keep_wrong is -1"),
    ({"generator_size": 0}, "generator_size is 0"),
    ({"synth_weight": -1.0}, "synth_weight is -1"),
    ({"synth_weight": math.inf}, "synth_weight is inf"),
    ({"real_label_noise": 1.5}, "real_label_noise is 1.5"),
    ({"spectrum": np.ones(9)}, "spectrum has shape"),
    ({"spectrum": np.zeros(10)}, "all zero"),
    ({"spectrum": -np.ones(10)}, "not negative"),
    ({"spectrum": np.full(10, np.nan)}, "finite"),
    ({"mean": np.ones(9)}, "mean has shape"),
    ({"mean": np.ones(10)}, "mean has length"),
    ({"generator": "other"}, "generator is 'other'"),
    ({"generator": "self", "num_real": 0}, "at least 1"),
    ({"generator": "self", "exact_mean": True}, "self"),
    ({"generator": "self", "generator_size": 70}, "fixes it"),
    ({"generator": "exact", "generator_size": 70}, "fixes it"),
    ({"generator_covariance": "diagonal"}, "generator_covariance"),
    ({"isotropic_variance": -1.0}, "isotropic_variance"),
    ({"num_synth": [1, 2, 3], "label_noise": [0.1, 0.2]}, "do not share a shape"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        predict_accuracy(**{**VALID, **change})
    assert isinstance(caught.value, DataError)


@pytest.mark.parametrize(
    "change", [{"num_real": 10.5}, {"num_synth": math.inf}, {"generator_size": 7.5}, {"repeats": 1}, {"ridge": 0}]
)
def test_bad_input_of_the_simulation(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        simulate_accuracy(**{**VALID, "seeds": 0, "repeats": 2, **change})
