"""Poles, bad input and speed of the collapse predictions."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_closed import error_floor, onset_size, predict_isotropic
from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_master import predict_sources
from synthsift.theory.collapse_sources import Source

DIM = 60
SPECTRUM = np.arange(1, DIM + 1.0) ** -1.1
SIGNAL = np.linspace(0.5, 2.0, DIM) / DIM
SHIFT = np.linspace(1.0, 0.2, DIM) / DIM


def error(*sizes: Any, **options: Any) -> float:
    return float(predict_error(*sizes, **options).mean)


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((60, 40, 100), {}),
        ((30, 20, 100), {"width": 50}),
        ((60, 40, 100), {"width": 300}),
        ((60, 40, 100), {"synth_spectrum": np.linspace(0.5, 2, 100)}),
        ((30, 20, 100), {"width": 50, "synth_spectrum": np.linspace(0.5, 2, 100)}),
        ((60, 40, 100), {"synth_weight": 0.2}),
    ],
)
def test_poles_raise_and_a_ridge_cures_them(sizes: tuple[int, int, int], options: dict[str, Any]) -> None:
    with pytest.raises(PoleError, match="infinite"):
        predict_error(*sizes, mismatch=0.1, **options)
    near = error(*sizes, mismatch=0.1, ridge=1e-8, **options)
    far = error(*sizes, mismatch=0.1, ridge=1e-2, **options)
    assert np.isfinite(near) and near > 100 * far


def test_isotropic_pole() -> None:
    with pytest.raises(PoleError, match="rows = width"):
        predict_isotropic(30, 20, 100, width=50)


def test_ridge_zero_with_sources_that_leave_directions_open() -> None:
    narrow = np.where(np.arange(DIM) < 20, 1.0, 0.0)
    options = {"synth_spectrum": narrow, "mismatch": 0.1}
    # 200 rows settle 20 directions, 10 interpolate in the other 40: the limit of a ridge that goes to 0.
    assert error(10, 200, DIM, **options) == pytest.approx(error(10, 200, DIM, ridge=1e-7, **options), rel=1e-5)
    assert error(80, 200, DIM, **options) == pytest.approx(error(80, 200, DIM, ridge=1e-10, **options), rel=1e-6)


BAD: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((-1, 10, 5), {}, "num_real is -1"),
    ((10, -3, 5), {}, "num_synth is -3"),
    ((0, 0, 5), {}, "nothing is left to train on"),
    ((0, 10, 5), {"synth_weight": 0.0}, "nothing is left to train on"),
    ((10, 10, 0), {}, "dim is 0"),
    ((10, 10, 2.5), {}, "whole number"),
    ((np.nan, 10, 5), {}, "not finite"),
    ((10, np.inf, 5), {}, "not finite"),
    ((np.inf, 10, 5), {}, "num_real holds numbers that are not finite; give finite numbers"),
    (([10, 20], [1, 2, 3], 5), {}, "do not fit one grid"),
    ((10, 10, 5), {"ridge": -0.1}, "ridge is -0.1"),
    ((10, 10, 5), {"synth_weight": -1.0}, "synth_weight is -1"),
    ((10, 10, 5), {"mismatch": -1.0}, "mismatch is -1"),
    ((10, 10, 5), {"real_noise_variance": -1.0}, "real_noise_variance"),
    ((10, 10, 5), {"synth_noise_variance": np.nan}, "synth_noise_variance"),
    ((10, 10, 5), {"spectrum": np.zeros(5)}, "all zero"),
    ((10, 10, 5), {"spectrum": [1, 1, 1, 1, -1]}, "negative"),
    ((10, 10, 5), {"spectrum": np.ones(4)}, r"needs shape \(5,\)"),
    ((10, 10, 5), {"synth_spectrum": np.zeros(5)}, "synth_spectrum is all zero"),
    ((10, 10, 5), {"signal": -np.ones(5)}, "signal"),
    ((10, 10, 5), {"shift": np.ones((5, 5))}, "shift has shape"),
    ((10, 10, 5), {"shift": np.ones(5), "mismatch": 2.0}, "multiply shift by 0.4"),
    ((10, 10, 5), {"cross": np.ones(5)}, "cross is larger"),
    ((10, 10, 5), {"cross": np.ones(4)}, "cross has shape"),
    ((10, 10, 5), {"width": 0}, "width is 0"),
    ((10, 10, 5), {"width": np.inf}, "width holds .*leave it out for no limit"),
    ((10, 10, 5), {"projection_variance": 1.0}, "without width"),
    ((10, 10, 5), {"width": 3, "projection_variance": 0.0}, "projection_variance is 0"),
]


@pytest.mark.parametrize(("sizes", "options", "message"), BAD)
def test_bad_input_is_named(sizes: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        predict_error(*sizes, **options)
    with pytest.raises(ValueError, match=message):
        simulate_error(*sizes, **options, seeds=0, repeats=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: predict_sources([], SIGNAL), "no source"),
        (lambda: predict_sources([Source(0, SPECTRUM)], SIGNAL, ridge=1.0), "nothing is left"),
        (lambda: predict_sources([Source(5, SPECTRUM, shift=SHIFT)], SIGNAL), "first source is the real one"),
        (lambda: predict_sources([Source(5, SPECTRUM), Source(5, np.ones(3))], SIGNAL), "different dimensions"),
        (lambda: predict_sources([Source(5, SPECTRUM)], np.ones(3)), "signal has shape"),
        (lambda: predict_sources([Source(5, SPECTRUM)], SIGNAL, width=0.0), "at least 1"),
        (lambda: predict_sources([Source(5, SPECTRUM)], SIGNAL, between={(0, 1): SHIFT}), "1 <= k < j"),
        (lambda: Source(-1, SPECTRUM), "num_rows is -1"),
        (lambda: Source(1, np.zeros(3)), "all zero"),
        (lambda: Source(1, -np.ones(3)), "negative diagonal"),
        (lambda: Source(1, np.triu(np.ones((3, 3)))), "not symmetric"),
        (lambda: Source(1, np.ones((3, 2))), "has shape"),
        (lambda: error_floor(1.5, 10), "between 0 and 1"),
        (lambda: onset_size(-0.1, 10, 1.0), "synth_fraction"),
        (lambda: error_floor(0.5, 10, synth_weight=2.0), "total weight alpha"),
        (lambda: error_floor(0.5, 10, ridge=[0.1, 0.2]), "single numbers"),
        (lambda: simulate_error(10, 2.5, 5, seeds=0, repeats=2), "whole"),
        (lambda: simulate_error(10, 2, 5, seeds=0, repeats=1), "at least 2"),
    ],
)
def test_bad_sources_are_named(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_single_numbers_give_single_numbers_and_simulation_repeats_itself() -> None:
    assert predict_error(10, 20, 5).mean.shape == ()
    first, again, other = (simulate_error(10, 20, 5, seeds=seed, repeats=3) for seed in (1, 1, 2))
    assert first.mean == again.mean != other.mean
    assert first.low < first.mean < first.high


@pytest.mark.parametrize("options", [{}, {"width": 300, "synth_weight": 0.5}, {"synth_spectrum": True}])
def test_thousand_points_at_dim_thousand_take_less_than_two_seconds(options: dict[str, Any]) -> None:
    spectrum = np.arange(1, 1001.0) ** -1.3
    if "synth_spectrum" in options:
        options = {"synth_spectrum": spectrum**1.2}
    started = time.process_time()
    curve = predict_error(500, np.linspace(0, 1e5, 1000), 1000, ridge=1e-6, spectrum=spectrum, mismatch=0.3, **options)
    assert time.process_time() - started < 2.0
    assert np.isfinite(curve.mean).all() and (curve.mean > 0).all()
