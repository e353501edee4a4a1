"""Error of rows with unequal leverage: the formula, its simulation, and where the formula of covariances fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_rows import predict_row_errors, simulate_row_errors

DIM, ROWS = 40, 3000
SPECTRUM = np.arange(1, DIM + 1.0) ** -0.5


def world(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (P, d), real and synthetic labels (P, 2): rows of one length, of two lengths, of two lengths and noises."""
    rng = np.random.default_rng(3)
    scale = np.ones(ROWS) if kind == "even" else np.where(rng.random(ROWS) < 0.2, 2.0, 0.5)
    spread = np.where(scale > 1, 1.0, 0.2) if kind == "noisy far out" else np.full(ROWS, 0.5)
    x = scale[:, None] * rng.standard_normal((ROWS, DIM)) * np.sqrt(SPECTRUM)
    truth = rng.standard_normal((DIM, 2)) / np.sqrt(DIM)
    shift = rng.standard_normal((DIM, 2)) / np.sqrt(DIM) * 0.7
    noise = spread[:, None] * rng.standard_normal((ROWS, 2))
    return x, x @ truth + noise, x @ (truth + shift)


@pytest.mark.parametrize("kind", ["even", "two lengths", "noisy far out"])
@pytest.mark.parametrize(("sizes", "ridge"), [((70, 0), 1e-3), ((40, 40), 1e-3), ((20, 5), 0.02), ((0, 300), 1e-3)])
def test_prediction_is_what_training_gives(kind: str, sizes: tuple[int, int], ridge: float) -> None:
    rows = world(kind)
    predicted = predict_row_errors(*rows, *sizes, ridge=ridge, is_population=True)
    drawn = simulate_row_errors(*rows, *sizes, ridge=ridge, seeds=5, repeats=120)
    allowed = max(
        4 * float(drawn.terms["total_se"]), 0.06 * float(drawn.mean)
    )  # 40 features: twice the 3 % of large ones
    assert abs(float(predicted.mean) - float(drawn.mean)) <= allowed


def moments(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """What the formula of covariances knows of a population."""
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    truth = vectors.T @ (x.T @ y / len(x)) / values[:, None]
    noise = float(((y - x @ (vectors @ truth)) ** 2).sum(axis=1).mean())
    return {"spectrum": values, "signal": (truth**2).sum(axis=1), "real_noise_variance": noise}


def test_equal_leverage_is_the_formula_of_covariances_and_unequal_leverage_is_not() -> None:
    gaps = {}
    for kind, size in (("even", 70), ("two lengths", 70), ("noisy far out", 150)):
        x, y, _ = world(kind)
        known = moments(x, y)
        plain = float(predict_error(size, 0, DIM, ridge=1e-3, **known).mean) + known["real_noise_variance"]
        found = predict_row_errors(x, y, None, size, 0, ridge=1e-3, is_population=True)
        drawn = simulate_row_errors(x, y, None, size, 0, ridge=1e-3, seeds=6, repeats=60)
        gaps[kind] = (plain / float(found.mean) - 1, plain / float(drawn.mean) - 1, float(found.terms["evenness"]))
    assert abs(gaps["even"][0]) < 0.06 and gaps["even"][2] > 0.85  # Gaussian rows of 40 features scatter a little
    # Unequal leverage alone doubles the error, and wrong labels far out add to it; only the covariance stays the same.
    assert max(gaps["two lengths"][:2]) < -0.4 and max(gaps["noisy far out"][:2]) < -0.2
    assert max(gaps["two lengths"][2], gaps["noisy far out"][2]) < 0.4


def test_a_sample_of_rows_foretells_the_error_on_others() -> None:
    rng = np.random.default_rng(8)
    x, truth = rng.standard_normal((400, DIM)), rng.standard_normal(DIM) / np.sqrt(DIM)
    y = x @ truth + rng.standard_normal(400)
    right = 1 + DIM / (4000 - DIM - 1)  # least squares on 4,000 fresh rows, noise 1
    sampled, naive = (
        float(predict_row_errors(x, y, None, 4000, 0, ridge=1e-9, is_population=flag).mean) for flag in (False, True)
    )
    assert sampled == pytest.approx(right, abs=0.12)  # 360 residual squares: a standard error of .075
    assert sampled / naive == pytest.approx(1 / (1 - DIM / 400), rel=0.02)


def test_curves_are_their_points_and_single_precision_is_enough() -> None:
    x, y, made = world("noisy far out")
    curve = predict_row_errors(x, y, made, [[60], [30]], [0, 30], ridge=0.01)
    assert curve.mean.shape == (2, 2) and np.array_equal(curve.at, [[60, 90], [30, 60]])
    for place, sizes in {(0, 1): (60, 30), (1, 0): (30, 0)}.items():
        single = predict_row_errors(x, y, made, *sizes, ridge=0.01)
        assert single.mean.shape == () and single.mean == pytest.approx(curve.mean[place], rel=1e-9)
    half = predict_row_errors(x.astype(np.float32), y, made, 60, 30, ridge=0.01)
    assert half.mean == pytest.approx(curve.mean[0, 1], rel=1e-3)


def test_a_pole_raises_or_is_large() -> None:
    x, y, _ = world("even")
    with pytest.raises((PoleError, ArithmeticError)):
        predict_row_errors(x, y, None, DIM, 0, ridge=1e-14, is_population=True)
    assert float(predict_row_errors(x, y, None, DIM, 0, ridge=1e-4, is_population=True).mean) > 3.0


X, Y = np.ones((8, 2)), np.ones(8)
BAD = [
    ((X, Y, None, 5, 0), {"ridge": 0.0}, "ridge is 0"),
    ((X, Y, None, 5, 0), {"ridge": -1.0}, "ridge"),
    ((X[:3], Y[:3], None, 5, 0), {"ridge": 1.0}, "two rows a feature"),
    ((X[:, :0], Y, None, 5, 0), {"ridge": 1.0}, "two rows a feature"),
    ((X, Y[:4], None, 5, 0), {"ridge": 1.0}, "must agree"),
    ((X, Y, Y[:, None], 5, 0), {"ridge": 1.0}, "must agree"),
    ((X * np.nan, Y, None, 5, 0), {"ridge": 1.0}, "finite"),
    ((X, Y, None, 5, 1), {"ridge": 1.0}, "without synth_labels"),
    ((X, Y, Y, 0, 0), {"ridge": 1.0}, "not both 0"),
    ((X, Y, Y, -1, 2), {"ridge": 1.0}, "at least 0"),
    ((X, Y, Y, np.inf, 2), {"ridge": 1.0}, "finite"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_bad_input_is_named(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        predict_row_errors(*arguments, **options)


def test_bad_simulations_are_named() -> None:
    for sizes, repeats in (((0, 0), 5), ((4, 0), 1), ((4.5, 0), 5)):
        with pytest.raises(DataError):
            simulate_row_errors(X, Y, None, *sizes, ridge=1.0, seeds=0, repeats=repeats)
