"""What must hold for every collapse prediction: limits, scalings and identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_closed import best_ridge_floor, error_floor, onset_size, predict_isotropic
from synthsift.theory.collapse_inputs import read_setting
from synthsift.theory.collapse_master import master_terms, predict_sources
from synthsift.theory.collapse_simulate import fit_ridge
from synthsift.theory.collapse_sources import Source, stack_setting

EXACT = 1e-9  # two routes through fixed points solved to 1e-12, in double precision
DIM = 60
SPECTRUM = np.arange(1, DIM + 1.0) ** -1.1
SIGNAL = np.linspace(0.5, 2.0, DIM) / DIM
SHIFT = np.linspace(1.0, 0.2, DIM) / DIM
CROSS = -0.5 * np.sqrt(SIGNAL * SHIFT)
WORLD: dict[str, Any] = {
    "spectrum": SPECTRUM,
    "signal": SIGNAL,
    "shift": SHIFT,
    "real_noise_variance": 0.3,
    "synth_noise_variance": 0.1,
}
FITS: list[dict[str, Any]] = [
    {"ridge": 1e-2},
    {"ridge": 1e-2, "synth_weight": 0.3},
    {"ridge": 1e-3, "width": 45},
    {"ridge": 1e-3, "width": 200, "synth_weight": 2.5, "cross": CROSS},
    {"ridge": 1e-3, "synth_spectrum": SPECTRUM[::-1].copy(), "synth_weight": 0.5},
    {"ridge": 1e-3, "synth_spectrum": SPECTRUM[::-1].copy(), "width": 50, "cross": CROSS},
    {"ridge": 0.0, "width": 30},
    {"ridge": 0.0, "synth_spectrum": SPECTRUM**1.5},
]
SIZES = (40, 45, DIM)


def error(*sizes: Any, **options: Any) -> float:
    return float(predict_error(*sizes, **options).mean)


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


@pytest.mark.parametrize("fit", FITS)
class TestInvariances:
    def test_parts_add_up_and_are_not_negative(self, fit: dict[str, Any]) -> None:
        terms = predict_error(*SIZES, **WORLD, **fit).terms
        parts = [float(terms[name]) for name in ("bias", "variance", "collapse")]
        assert float(terms["total"]) == pytest.approx(sum(parts), rel=EXACT)
        assert min(parts[:2]) >= 0 and float(terms["residual"]) < 1e-8

    def test_no_shift_no_collapse(self, fit: dict[str, Any]) -> None:
        clean = merged(WORLD, {**fit, "cross": None}, {"shift": None, "mismatch": 0.0})
        assert float(predict_error(*SIZES, **clean).terms["collapse"]) == 0.0

    def test_mismatch_enters_linearly(self, fit: dict[str, Any]) -> None:
        values = [
            error(*SIZES, **merged(WORLD, {**fit, "cross": None}, {"shift": size * SHIFT})) for size in (0.0, 1.0, 3.0)
        ]
        assert values[2] - values[0] == pytest.approx(3 * (values[1] - values[0]), rel=EXACT)

    def test_labels_times_t_mean_error_times_t_squared(self, fit: dict[str, Any]) -> None:
        keys = ("signal", "shift", "cross", "real_noise_variance", "synth_noise_variance")
        base = merged(WORLD, fit)
        larger = {key: 9 * value if key in keys else value for key, value in base.items()}
        assert error(*SIZES, **larger) == pytest.approx(9 * error(*SIZES, **base), rel=EXACT)

    def test_inputs_times_root_t(self, fit: dict[str, Any]) -> None:
        base = merged(WORLD, fit)
        up, down = ("spectrum", "synth_spectrum", "ridge"), ("signal", "shift", "cross")
        other = {k: 4 * v if k in up else v / 4 if k in down else v for k, v in base.items()}
        assert error(*SIZES, **other) == pytest.approx(error(*SIZES, **base), rel=EXACT)

    def test_empty_synthetic_source_is_real_only(self, fit: dict[str, Any]) -> None:
        sources = [Source(50, SPECTRUM, 0.3)]
        options = {"ridge": fit["ridge"], "width": fit.get("width")}
        alone = float(predict_sources(sources, SIGNAL, **options).mean)
        assert error(50, 0, DIM, **WORLD, **fit) == pytest.approx(alone, rel=1e-8)

    def test_weight_zero_is_real_only_with_a_rescaled_ridge(self, fit: dict[str, Any]) -> None:
        dropped = merged(WORLD, fit, {"synth_weight": 0.0})
        alone = merged(WORLD, fit, {"ridge": fit["ridge"] * 95 / 50})
        assert error(50, 45, DIM, **dropped) == pytest.approx(error(50, 0, DIM, **alone), rel=1e-8)

    def test_general_solver_agrees_with_the_scalar_equation(self, fit: dict[str, Any]) -> None:
        setting = read_setting(
            [3.0, 20, 40, 90], [45.0, 60, 10, 80], DIM, **merged(WORLD, fit, {"synth_spectrum": None})
        )
        general = master_terms(stack_setting(setting))
        scalar = predict_error(setting.num_real, setting.num_synth, DIM, **merged(WORLD, fit, {"synth_spectrum": None}))
        for name in ("total", "bias", "variance", "collapse"):
            assert general[name] == pytest.approx(scalar.terms[name], rel=1e-6, abs=1e-9)

    def test_curve_is_its_points(self, fit: dict[str, Any]) -> None:
        grid = np.array([0, 5, 45, 200])
        curve = predict_error(40, grid, DIM, **WORLD, **fit)
        assert curve.at == pytest.approx(grid)
        assert curve.mean == pytest.approx([error(40, n, DIM, **WORLD, **fit) for n in grid], rel=EXACT)


def test_all_weights_and_ridge_times_t() -> None:
    def total(factor: float) -> float:
        sources = [
            Source(40, SPECTRUM, 0.3, weight=factor),
            Source(45, SPECTRUM[::-1], 0.1, SHIFT, weight=0.4 * factor),
        ]
        return float(predict_sources(sources, SIGNAL, ridge=1e-3 * factor, width=50).mean)

    assert total(7.0) == pytest.approx(total(1.0), rel=EXACT)


@pytest.mark.parametrize("width", [None, 50])
def test_splitting_a_source(width: int | None) -> None:
    real, synth = Source(40, SPECTRUM, 0.3), Source(44, SPECTRUM[::-1], 0.1, SHIFT, CROSS, weight=0.5)
    half = Source(22, SPECTRUM[::-1], 0.1, SHIFT, CROSS, weight=0.5)
    whole = float(predict_sources([real, synth], SIGNAL, ridge=1e-3, width=width).mean)
    parts = [Source(15, SPECTRUM, 0.3), Source(25, SPECTRUM, 0.3), synth]
    assert float(predict_sources(parts, SIGNAL, ridge=1e-3, width=width).mean) == pytest.approx(whole, rel=1e-8)
    # Two batches of one generator have the same shift, so that E[delta_2 delta_3'] = Delta.
    batches = predict_sources([real, half, half], SIGNAL, ridge=1e-3, width=width, between={(2, 1): SHIFT})
    assert float(batches.mean) == pytest.approx(whole, rel=1e-8)
    unrelated = predict_sources([real, half, half], SIGNAL, ridge=1e-3, width=width)
    assert abs(float(unrelated.mean) / whole - 1) > 1e-3


def test_dense_matrices_give_what_their_diagonals_give() -> None:
    diagonal = [Source(40, SPECTRUM, 0.3), Source(45, SPECTRUM[::-1], 0.1, SHIFT, CROSS, weight=0.4)]
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((DIM, DIM)))[0]

    def turned(values: np.ndarray) -> np.ndarray:
        return (rotation * values) @ rotation.T

    dense = [
        Source(40, turned(SPECTRUM), 0.3),
        Source(45, turned(SPECTRUM[::-1]), 0.1, turned(SHIFT), turned(CROSS), weight=0.4),
    ]
    for options in ({"ridge": 1e-3}, {"ridge": 0.0}, {"ridge": 1e-3, "width": 50}, {"ridge": 0.0, "width": 70}):
        flat = predict_sources(diagonal, SIGNAL, **options)
        full = predict_sources(dense, turned(SIGNAL), **options)
        assert float(full.mean) == pytest.approx(float(flat.mean), rel=1e-8)
        assert full.terms["b"] == pytest.approx(flat.terms["b"], rel=1e-8)


def test_synthetic_only_least_squares() -> None:
    u = 100 / (300 - 100)
    expected = 0.7 + u * 0.4
    assert error(0, 300, 100, mismatch=0.7, synth_noise_variance=0.4) == pytest.approx(expected, rel=EXACT)


def test_endless_width_is_no_projection() -> None:
    spectrum = np.arange(1, 201.0) ** -1.2
    world = {"spectrum": spectrum, "signal": np.full(200, 1 / spectrum.sum()), "mismatch": 0.3, "ridge": 1e-2}
    plain = error(150, 100, 200, real_noise_variance=0.1, **world)
    wide = error(150, 100, 200, real_noise_variance=0.1, width=1e7, projection_variance=1e-7, **world)
    assert plain == pytest.approx(0.188664, abs=5e-7)
    assert wide == pytest.approx(0.188665, abs=5e-7)


def test_endless_rows_reach_the_floor() -> None:
    rows = (0.7e10, 0.3e10, 50)
    for ridge, printed in ((0.0, 0.09), (0.05, 0.0839002), (0.09, 0.0825688)):
        assert error(*rows, mismatch=1.0, ridge=ridge) == pytest.approx(printed, abs=1e-7)
        assert error_floor(0.3, 50, mismatch=1.0, ridge=ridge) == pytest.approx(printed, abs=1e-7)
    assert best_ridge_floor(0.3, 1.0) == pytest.approx(0.09 / 1.09)
    grid = np.linspace(0.05, 0.15, 2001)
    assert predict_error(*rows, mismatch=1.0, ridge=grid).mean.min() == pytest.approx(0.09 / 1.09, rel=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_floor_is_the_limit_of_many_rows(fit: dict[str, Any]) -> None:
    options = merged(WORLD, fit)
    weight = options.pop("synth_weight", 1.0)
    # A row weight shifts the fraction to the total weight, and divides the ridge by the mean weight.
    alpha = 0.3 * weight / (0.7 + 0.3 * weight)
    limit = error_floor(alpha, DIM, **merged(options, {"ridge": fit["ridge"] / (0.7 + 0.3 * weight)}))
    reached = error(0.7e12, 0.3e12, DIM, synth_weight=weight, **options)
    assert reached == pytest.approx(limit, rel=1e-5)


def test_isotropic_floor_behind_a_projection() -> None:
    assert error_floor(0.3, 100, mismatch=2.0, width=40) == pytest.approx(0.6 + 0.09 * 2.0 * 0.4, rel=1e-9)


def test_onset_size() -> None:
    assert onset_size(0.01, 100, 1.0, 0.5) == pytest.approx(0.5 * 100 / 1e-4)
    assert onset_size(0.0, 100, 1.0) == np.inf
    at_onset = error(0.99e6, 0.01e6, 100, mismatch=1.0)
    assert at_onset == pytest.approx(2e-4, rel=0.01)  # error without mismatch and floor are equal there


@pytest.mark.parametrize("sizes", [(30, 200), (60, 20), (150, 30)])
@pytest.mark.parametrize("width", [None, 20, 70, 130, 1000])
def test_isotropic_closed_forms(sizes: tuple[int, int], width: int | None) -> None:
    options: dict[str, Any] = {"mismatch": 0.8, "real_noise_variance": 0.3, "synth_noise_variance": 0.1, "width": width}
    closed = predict_isotropic(*sizes, 100, **options)
    scalar = predict_error(*sizes, 100, **options)
    for name in ("total", "bias", "variance", "collapse", "u"):
        assert float(closed.terms[name]) == pytest.approx(float(scalar.terms[name]), rel=EXACT, abs=1e-12)


def test_exact_noise_at_finite_size() -> None:
    exact = predict_isotropic(20, 10, 8, exact_noise=True)
    drawn = simulate_error(20, 10, 8, seeds=1, repeats=400)
    assert float(drawn.mean) == pytest.approx(8 / (30 - 8 - 1), abs=4 * float(drawn.terms["total_se"]))
    assert float(exact.mean) == pytest.approx(8 / 21)


def test_own_labels_of_least_squares_add_nothing() -> None:
    rng = np.random.default_rng(3)
    x, more = rng.standard_normal((80, 20)), rng.standard_normal((500, 20))
    y = x @ rng.standard_normal((20, 1)) + rng.standard_normal((80, 1))
    alone = fit_ridge(x, y, 0.0)
    again = fit_ridge(np.vstack([x, more]), np.vstack([y, more @ alone]), 0.0)
    assert again == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1e-13, 0.1])
@pytest.mark.parametrize("rows", [15, 60])
def test_fit_against_the_normal_equations(ridge: float, rows: int) -> None:
    rng = np.random.default_rng(4)
    x, y, weights = rng.standard_normal((rows, 30)), rng.standard_normal((rows, 2)), rng.uniform(0, 2, rows)
    weights[:3] = 0.0
    fit = fit_ridge(x, y, ridge, weights)
    slope = x.T @ (weights[:, None] * (x @ fit - y)) / rows + ridge * fit
    assert np.abs(slope).max() < 1e-11
    if rows < 30 and ridge < 1e-3:
        assert fit == pytest.approx(np.linalg.pinv(x[3:]) @ y[3:], abs=1e-8)
