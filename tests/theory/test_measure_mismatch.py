"""The mismatch c^2 measured in every way, and learning curves with their power law, on planted truths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error
from synthsift.theory.measure_curve import fit_power_law, measure_learning_curve
from synthsift.theory.measure_mismatch import (
    mismatch_by_audit,
    mismatch_by_fit,
    mismatch_by_two_points,
    mismatch_from_disagreement,
)

RUNS = 300
BAND = 4 * np.sqrt(0.95 * 0.05 / RUNS)
C2, REAL, SYNTH = 0.3, 0.5, 0.25


def check(found: list[Any], truth: float) -> None:
    """Unbiased within four standard errors, coverage of .95 within four."""
    values = np.array([estimate.value for estimate in found])
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(found))
    assert np.mean([e.low <= truth <= e.high for e in found]) > 0.95 - BAND


def worlds(rng: np.random.Generator, num_real: int, num_synth: int, dim: int = 20, c2: float = C2) -> Any:
    truth, shift = rng.standard_normal(dim), rng.standard_normal(dim)
    shift *= np.sqrt(c2) / np.linalg.norm(shift)
    x, z = rng.standard_normal((num_real, dim)), rng.standard_normal((num_synth, dim))
    y = x @ truth + np.sqrt(REAL) * rng.standard_normal(num_real)
    t = z @ (truth + shift) + np.sqrt(SYNTH) * rng.standard_normal(num_synth)
    return x, y, z, t


@pytest.mark.parametrize("second", ["", "trusted", "both"])
def test_audit(second: str) -> None:
    rng = np.random.default_rng(len(second))
    found = []
    for _ in range(RUNS):
        rule, gap = rng.standard_normal(150), np.sqrt(C2) * rng.standard_normal(150)
        s, s2 = (rule + gap + np.sqrt(SYNTH) * rng.standard_normal(150) for _ in range(2))
        t, t2 = (rule + np.sqrt(REAL) * rng.standard_normal(150) for _ in range(2))
        if second == "both":
            found.append(mismatch_by_audit(s, t, trusted_again=t2, synth_again=s2))
        elif second == "trusted":
            found.append(mismatch_by_audit(s, t, trusted_again=t2, synth_noise_variance=SYNTH))
        else:
            found.append(mismatch_by_audit(s, t, real_noise_variance=REAL, synth_noise_variance=SYNTH))
    check(found, C2)


def test_disagreement_of_two_rules() -> None:
    assert mismatch_from_disagreement(30, 300).value == pytest.approx(0.4)
    assert mismatch_from_disagreement(30, 300, "one-hot").value == pytest.approx(0.2)
    none = mismatch_from_disagreement(0, 50)
    assert none.value == none.low == 0 and none.high > 0
    rng = np.random.default_rng(0)
    found = [mismatch_from_disagreement(int(k), 200) for k in rng.binomial(200, 0.1, RUNS)]
    check(found, 0.4)
    for bad in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(DataError, match="between 0"):
            mismatch_from_disagreement(*bad)
    with pytest.raises(DataError, match="coding"):
        mismatch_from_disagreement(1, 4, "ranks")


@pytest.mark.parametrize(("num_real", "c2"), [(60, C2), (400, C2), (200, 0.0)])
def test_synthetic_only_fit(num_real: int, c2: float) -> None:
    rng = np.random.default_rng(num_real)
    found = [mismatch_by_fit(*worlds(rng, num_real, 400, c2=c2)) for _ in range(RUNS)]
    values = np.array([fit.mismatch.value for fit in found])
    assert abs(values.mean() - c2) < 4 * values.std() / np.sqrt(RUNS)
    # The target is the difference on the real inputs at hand; on all inputs it scatters with them, by 2 c^4/n_1.
    assert np.mean([f.mismatch.low <= c2 <= f.mismatch.high for f in found]) > 0.95 - BAND - 0.03
    assert np.mean([f.real_noise_variance for f in found]) == pytest.approx(REAL, rel=0.03)
    assert np.mean([f.synth_noise_variance for f in found]) == pytest.approx(SYNTH, rel=0.03)


def test_synthetic_only_fit_with_few_real_rows_needs_their_noise() -> None:
    rng = np.random.default_rng(7)
    found = [mismatch_by_fit(*worlds(rng, 15, 400), real_noise_variance=REAL).mismatch for _ in range(RUNS)]
    values = np.array([estimate.value for estimate in found])
    assert abs(values.mean() - C2) < 4 * values.std() / np.sqrt(RUNS)
    with pytest.raises(DataError, match="too few to measure the label noise"):
        mismatch_by_fit(*worlds(rng, 15, 400))


def test_value_of_the_specification() -> None:
    """d=100, n2=4000, c2=.3, sigma_2^2=.25: the synthetic-only excess error is .3064, of which c^2 is .3."""
    assert predict_error(0, 4000, 100, mismatch=0.3, synth_noise_variance=0.25).mean == pytest.approx(0.3064, abs=5e-5)
    rng = np.random.default_rng(1)
    found = [mismatch_by_fit(*worlds(rng, 300, 4000, 100), intercept=False).mismatch.value for _ in range(10)]
    assert np.mean(found) == pytest.approx(0.3, abs=4 * np.std(found) / np.sqrt(10))


def test_two_points_of_a_curve() -> None:
    fraction, dim = 0.4, 100
    sizes = np.array([2000, 20000])
    errors = predict_error((1 - fraction) * sizes, fraction * sizes, dim, mismatch=C2).mean
    exact = mismatch_by_two_points(sizes, errors + 1.0, fraction, noise_variance=1.0)
    assert exact.value == pytest.approx(C2, rel=0.02) and "no interval" in exact.note and np.isinf(exact.high)
    rng, spread = np.random.default_rng(0), np.array([0.004, 0.002])
    truth = exact.value
    check(
        [
            mismatch_by_two_points(sizes, errors + spread * rng.standard_normal(2), fraction, standard_errors=spread)
            for _ in range(RUNS)
        ],
        truth,
    )
    tail = mismatch_by_two_points([100, 400, 1600], 0.09 + np.array([100, 400, 1600]) ** -0.5, 0.3, exponent=0.5)
    assert tail.value == pytest.approx(1.0)


def test_a_mismatch_below_its_error_is_said() -> None:
    fit = mismatch_by_fit(*worlds(np.random.default_rng(2), 100, 300, c2=0.0))
    assert "below the error of its measurement" in fit.mismatch.note


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: mismatch_by_audit([1.0], [1.0]), "at least two"),
        (lambda: mismatch_by_audit([1.0, 2.0], [1.0, 2.0, 3.0]), "one length"),
        (lambda: mismatch_by_audit(["a", "b"], [1.0, 2.0]), "finite numbers"),
        (lambda: mismatch_by_audit([1.0, 2.0], [1.0, 2.0], real_noise_variance=-1), "variance"),
        (lambda: mismatch_by_two_points([10, 10], [1, 2], 0.5), "two different sizes"),
        (lambda: mismatch_by_two_points([10, 20], [1, 2], 0.0), "above 0"),
        (lambda: mismatch_by_two_points([10, 20], [1, -2], 0.5), ">= 0"),
        (lambda: mismatch_by_two_points([10, 20], [1, 2], 0.5, standard_errors=[0, 1]), "above 0"),
        (lambda: mismatch_by_fit(*worlds(np.random.default_rng(0), 50, 15)), "more rows than"),
        (lambda: mismatch_by_fit(np.eye(5), np.ones(4), np.eye(5), np.ones(5)), "fit together"),
        (lambda: mismatch_by_fit(np.full((5, 2), np.nan), np.ones(5), np.eye(5), np.ones(5)), "finite"),
        (lambda: measure_learning_curve(np.ones((10, 2)), np.ones(10)), "10 rows"),
        (lambda: measure_learning_curve(np.full((30, 2), np.inf), np.ones(30)), "finite"),
        (lambda: fit_power_law([1, 2], [1, 2]), "three different"),
        (lambda: fit_power_law([1, 2, 0], [1, 2, 3]), "above 0"),
        (lambda: fit_power_law([1, 2, 3], [1, 2, 3], floor=-1), "floor"),
        (lambda: fit_power_law([1, 2, 3], [1, 2, 3], standard_errors=[1, 0, 1]), "above 0"),
    ],
)
def test_bad_input_is_refused(call: Any, word: str) -> None:
    with pytest.raises(DataError, match=word):
        call()


def test_power_law_is_found_and_its_interval_covers() -> None:
    rows, rng = np.array([50.0, 100, 200, 400, 800, 1600]), np.random.default_rng(0)
    truth = 0.2 + 8.0 * rows**-0.8
    spread = 0.02 * truth
    exact = fit_power_law(rows, truth, standard_errors=spread)
    assert exact.exponent.value == pytest.approx(0.8, abs=0.006)  # half a step of the grid
    assert exact.floor.value == pytest.approx(0.2, rel=0.01)
    np.testing.assert_allclose(exact.excess(rows), truth - 0.2, rtol=0.02)
    fits = [fit_power_law(rows, truth + spread * rng.standard_normal(6), standard_errors=spread) for _ in range(RUNS)]
    for name, value in (("floor", 0.2), ("amplitude", 8.0), ("exponent", 0.8)):
        covered = np.mean([getattr(fit, name).low <= value <= getattr(fit, name).high for fit in fits])
        assert covered > 0.95 - BAND, name
    known = fit_power_law(rows, truth, floor=0.2)
    assert known.floor.low == known.floor.high == 0.2 and known.amplitude.value == pytest.approx(8.0, rel=0.02)


def test_learning_curve_of_a_linear_world() -> None:
    """Error on total labels: sigma^2 (1 + d/(n - d)); the curve of a ridge fit lies at or below it."""
    rng = np.random.default_rng(4)
    x, y, _, _ = worlds(rng, 3000, 1)
    curve = measure_learning_curve(x, y, num_splits=6)
    expected = REAL * (1 + 21 / (curve.num_rows - 22))
    big = curve.num_rows > 200
    assert big.sum() >= 4
    assert (np.abs(curve.errors - expected)[big] < 4 * curve.standard_errors[big] + 0.02 * expected[big]).all()
    assert (np.diff(curve.errors) < 0).all()
    law = fit_power_law(curve.num_rows[big], curve.errors[big], standard_errors=curve.standard_errors[big], floor=REAL)
    # sigma^2 d within the interval, or a factor of two: the curve's points share their test rows
    assert 0.5 < law.excess(1000.0) / (REAL * 21 / 1000) < 2
