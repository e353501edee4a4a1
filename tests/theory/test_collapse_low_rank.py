"""Without ridge, sources that vary in a part of the directions only: right values, and poles that say what met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_master import predict_sources
from synthsift.theory.collapse_sources import Source

DIM = 240
SETTINGS = 14


def rank_terms(call: dict[str, Any]) -> list[float]:
    """Every term whose minimum is the rank of the rows, the two covariances told apart by where they vary."""
    real, synth = call["spectrum"] > 0, call["synth_spectrum"] > 0
    n_real, n_synth = call["num_real"], call["num_synth"]
    terms = [n_real + n_synth, int((real | synth).sum())]
    terms += [int(real.sum()) + n_synth * bool((synth & ~real).any())]
    terms += [int(synth.sum()) + n_real * bool((real & ~synth).any())]
    return sorted(set(terms))


def draw_call(rng: np.random.Generator) -> dict[str, Any]:
    """A setting whose synthetic rows, and sometimes also the real ones, leave directions open."""
    order, decay = rng.permutation(DIM), np.arange(1, DIM + 1.0) ** -rng.uniform(0.0, 1.0)
    real = np.where(order < rng.choice([DIM, 0.75 * DIM]), decay, 0.0)
    synth = np.where(order >= rng.integers(0.2 * DIM, 0.7 * DIM), rng.permutation(decay), 0.0)
    return {
        "num_real": int(rng.integers(10, 1.6 * DIM)),
        "num_synth": int(rng.integers(10, 2.5 * DIM)),
        "dim": DIM,
        "spectrum": real,
        "synth_spectrum": synth,
        "signal": rng.uniform(0.5, 1.5, DIM) / DIM,
        "shift": rng.uniform(0.5, 1.5, DIM) * 0.5 / DIM,
        "real_noise_variance": 0.3,
        "synth_weight": float(rng.choice([1.0, 0.3])),
    }


def settings() -> list[dict[str, Any]]:
    """The first settings away from poles: the two smallest terms a fifth of the dimension apart."""
    rng, found = np.random.default_rng(51), []
    while len(found) < SETTINGS:
        call = draw_call(rng)
        terms = rank_terms(call)
        if terms[1] - terms[0] >= 0.2 * DIM:
            found.append(call)
    return found


@pytest.mark.parametrize("number", range(SETTINGS))
def test_low_rank_sources_without_ridge(number: int) -> None:
    call = settings()[number]
    predicted = float(predict_error(**call).mean)
    drawn = simulate_error(**call, seeds=number, repeats=24)
    # 48 rows from a pole, inverse Wishart moments differ from their limit by 1/48 to 2/48.
    assert abs(predicted - drawn.mean) <= max(4 * drawn.terms["total_se"], 0.05 * drawn.mean)


@pytest.mark.parametrize("number", range(40))
def test_any_sizes_are_finite_or_a_named_pole(number: int) -> None:
    rng = np.random.default_rng([52, number])
    dim = int(rng.integers(2, 14))
    real, synth = (np.where(rng.random(dim) < 0.6, rng.uniform(0.2, 2.0, dim), 0.0) for _ in range(2))
    real[0] = synth[-1] = 1.0
    for n_real in range(dim + 2):
        for n_synth in range(dim + 2):
            if n_real + n_synth == 0:
                continue
            call = {"num_real": n_real, "num_synth": n_synth, "dim": dim, "spectrum": real, "synth_spectrum": synth}
            try:
                answer = predict_error(**call, mismatch=0.5)
            except PoleError as error:
                assert "add a ridge or move the size" in str(error)
                continue
            assert np.isfinite(answer.mean) and answer.mean >= 0 and answer.mean < 1e4, call


@pytest.mark.parametrize(("num_real", "num_synth"), [(5, 50), (3, 5), (30, 5)])
def test_rows_of_one_kind_that_just_fill_their_directions_are_a_pole(num_real: int, num_synth: int) -> None:
    options: dict[str, Any] = {"mismatch": 1.0, "real_noise_variance": 0.5}
    narrow = {"synth_spectrum": [1.0] * 5 + [0.0] * 5}
    if num_real == 30:  # here the synthetic rows are the ones that settle what the real ones leave open
        narrow = {"spectrum": [1.0] * 5 + [0.0] * 5, "synth_spectrum": [1.0] * 10}
    with pytest.raises(PoleError, match=r"just fill the directions"):
        predict_error(num_real, num_synth, 10, **narrow, **options)
    assert np.isfinite(predict_error(num_real, num_synth, 10, ridge=1e-3, **narrow, **options).mean)


def test_the_error_of_both_sides_grows_like_one_over_the_distance() -> None:
    options: dict[str, Any] = {"synth_spectrum": [1.0] * 5 + [0.0] * 5, "mismatch": 1.0, "real_noise_variance": 0.5}
    for side in (-1, 1):
        near = [float(predict_error(5 + side * gap, 50, 10, **options).mean) * gap for gap in (1e-3, 1e-5)]
        assert near[0] == pytest.approx(near[1], rel=1e-2)
        assert near[1] > 0


def test_below_and_above_the_pole_against_simulation() -> None:
    options: dict[str, Any] = {"synth_spectrum": np.repeat([1.0, 0.0], DIM // 2), "mismatch": 1.0}
    for num_real in (60, 100, 150, 220):
        predicted = float(predict_error(num_real, 900, DIM, **options).mean)
        drawn = simulate_error(num_real, 900, DIM, **options, seeds=53, repeats=24)
        # 20 rows from the pole inverse Wishart moments are 1/20 off.
        allowed = 0.1 if abs(num_real - DIM // 2) < 30 else 0.05
        assert abs(predicted - drawn.mean) <= max(4 * drawn.terms["total_se"], allowed * drawn.mean)


def test_behind_a_layer() -> None:
    options: dict[str, Any] = {"synth_spectrum": np.repeat([1.0, 0.0], DIM // 2), "mismatch": 0.5}
    for width in (60, 500):
        predicted = float(predict_error(60, 700, DIM, **options, width=width).mean)
        drawn = simulate_error(60, 700, DIM, **options, width=width, seeds=54, repeats=24)
        assert abs(predicted - drawn.mean) <= max(4 * drawn.terms["total_se"], 0.05 * drawn.mean)
    with pytest.raises(PoleError, match=r"a layer of width 180 meets 760 rows"):
        predict_error(60, 700, DIM, **options, width=180)


def test_matrices_are_solved_with_a_ridge_and_refused_without() -> None:
    rng = np.random.default_rng(55)
    turn = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    narrow, signal, shift = np.repeat([1.0, 0.0], 15), np.full(30, 1 / 30), np.full(30, 0.02)
    flat = [Source(8, np.ones(30), 0.5), Source(60, narrow, 0.5, shift)]
    dense = Source(60, turn @ np.diag(narrow) @ turn.T, 0.5, np.diag(shift))
    expected = float(predict_sources(flat, signal).mean)
    with pytest.raises(DataError, match=r"for diagonal covariances only; give a ridge of at least 7.5e-06"):
        predict_sources([Source(8, np.eye(30), 0.5), dense], np.diag(signal))
    ridged = predict_sources([Source(8, np.eye(30), 0.5), dense], np.diag(signal), ridge=7.5e-6)
    assert float(ridged.mean) == pytest.approx(expected, rel=1e-3)
    with pytest.raises(PoleError, match="the 15 real rows meet the 15 directions"):
        predict_sources([Source(15, np.ones(30), 0.5), flat[1]], signal)


def test_too_many_low_rank_sources_are_refused() -> None:
    sources = [Source(30, np.eye(12)[k % 12] + 0.0, 0.1) for k in range(12)]
    with pytest.raises(DataError, match="12 sources vary in a part"):
        predict_sources(sources, np.full(12, 1 / 12))
