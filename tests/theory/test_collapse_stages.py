"""Two stages, the ranking of remedies, and generations of models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_chain import predict_ridge_chain, simulate_generations
from synthsift.theory.collapse_generations import (
    predict_accumulate,
    predict_fixed_real,
    predict_fresh_real,
    predict_replace,
    replaced_shift,
)
from synthsift.theory.collapse_stages import predict_two_stages, rank_remedies, simulate_two_stages

SPECTRUM = np.arange(1, 81.0) ** -1.2
SIGNAL = np.full(80, 1 / SPECTRUM.sum())


def error(*sizes: Any, **options: Any) -> float:
    return float(predict_error(*sizes, **options).mean)


class TestStages:
    @pytest.mark.parametrize(
        ("rows", "real", "pooled", "weighted", "alpha", "stages"),
        [
            (50, 0.84307, 0.25720, 0.24479, 0.865, 0.24407),
            (100, 0.70711, 0.24892, 0.22584, 0.758, 0.22466),
            (300, 0.36603, 0.21942, 0.16795, 0.498, 0.16633),
            (2000, 0.05234, 0.09541, 0.04549, 0.119, 0.04525),
            (20000, 0.00502, 0.00724, 0.00496, 0.013, 0.00496),
        ],
    )
    def test_table(self, rows: int, real: float, pooled: float, weighted: float, alpha: float, stages: float) -> None:
        ranked = rank_remedies(rows, 2000, 200, mismatch=0.3, real_noise_variance=0.5)
        found = {remedy.name: remedy for remedy in ranked}
        printed = {"real only": real, "pooled": pooled, "weighted": weighted, "two stages": stages}
        for name, value in {**printed, "synthetic only": 0.26588}.items():
            assert found[name].error == pytest.approx(value, abs=6e-6), name
        assert found["weighted"].total_weight == pytest.approx(alpha, abs=6e-4)
        assert [remedy.error for remedy in ranked] == sorted(remedy.error for remedy in ranked)
        assert ranked[0].name == "two stages"

    def test_best_second_ridge_of_isotropic_inputs(self) -> None:
        start = float(predict_two_stages(300, 2000, 200, mismatch=0.3, synth_ridge=0.0, real_ridge=1.0).terms["start"])
        best = 200 / (300 * start)
        grid = best * np.geomspace(0.5, 2.0, 41)
        curve = predict_two_stages(300, 2000, 200, mismatch=0.3, synth_ridge=0.0, real_ridge=grid).mean
        assert np.argmin(curve) == 20

    def test_first_stage_is_the_synthetic_only_fit(self) -> None:
        options: dict[str, Any] = {"spectrum": SPECTRUM, "signal": SIGNAL, "mismatch": 0.2}
        options |= {"cross": -0.5 * np.sqrt(SIGNAL * 0.2 / SPECTRUM.sum()), "synth_spectrum": SPECTRUM**1.4}
        both = predict_two_stages(100, 60, 80, synth_ridge=[0.0, 1e-3, 0.1], real_ridge=1.0, **options)
        alone = [error(0, 60, 80, ridge=ridge, **options) for ridge in (0.0, 1e-3, 0.1)]
        assert both.terms["start"] == pytest.approx(alone, rel=1e-8)

    def test_simulation_with_other_inputs(self) -> None:
        options: dict[str, Any] = {"spectrum": SPECTRUM, "signal": SIGNAL, "mismatch": 0.2, "real_noise_variance": 0.1}
        options |= {"cross": -0.5 * np.sqrt(SIGNAL * 0.2 / SPECTRUM.sum()), "synth_spectrum": SPECTRUM**1.4}
        options |= {"synth_ridge": 1e-3, "real_ridge": 5e-3}
        predicted = predict_two_stages(60, 150, 80, **options)
        drawn = simulate_two_stages(60, 150, 80, seeds=1, repeats=100, **options)
        for part in ("total", "start"):
            value, mean, spread = (
                float(x) for x in (predicted.terms[part], drawn.terms[part], drawn.terms[f"{part}_se"])
            )
            assert abs(value - mean) <= 2 * max(4 * spread, 0.03 * value)

    def test_bad_input(self) -> None:
        with pytest.raises(DataError, match="do not apply"):
            predict_two_stages(10, 10, 5, synth_ridge=1.0, real_ridge=1.0, ridge=1.0)
        with pytest.raises(DataError, match="rows of both kinds"):
            predict_two_stages(0, 10, 5, synth_ridge=1.0, real_ridge=1.0)
        with pytest.raises(DataError, match="single numbers"):
            predict_two_stages(np.array([10.0]), 10, 5, synth_ridge=1.0, real_ridge=1.0)  # type: ignore[arg-type]
        with pytest.raises(DataError, match="infinite"):
            predict_two_stages(10, 5, 5, synth_ridge=0.0, real_ridge=1.0)
        with pytest.raises(DataError, match="at least 2"):
            simulate_two_stages(10, 10, 5, synth_ridge=1.0, real_ridge=1.0, seeds=0, repeats=1)


class TestGenerations:
    def test_accumulating_is_bounded_and_replacing_is_not(self) -> None:
        kept, lost = predict_accumulate(1000, 400, 100), predict_replace(1000, 400, 100)
        assert kept.mean[-1] < kept.terms["limit"] == pytest.approx(np.pi**2 / 6 * lost.mean[0])
        assert lost.mean[-1] == pytest.approx(1000 * lost.mean[0])

    def test_fixed_real_simulation(self) -> None:
        options: dict[str, Any] = {"real_noise_variance": 0.5, "synth_noise_variance": 0.3}
        drawn = simulate_generations("fixed_real", 8, 240, 300, 60, seeds=2, repeats=40, **options)
        answer = predict_fixed_real(240, 300, 60, **options)
        spread = float(drawn.terms["total_se"][-1])
        assert abs(float(answer.mean) - drawn.mean[-1]) <= 2 * max(4 * spread, 0.03 * float(answer.mean))
        assert float(answer.mean) > answer.terms["real_only"]

    def test_fixed_real_limits(self) -> None:
        silent = predict_fixed_real(240, 300, 60, synth_noise_variance=0.0)
        assert float(silent.mean) == pytest.approx(silent.terms["real_only"])
        many = predict_fixed_real(1e6, 2e6, 60, real_noise_variance=0.5, synth_noise_variance=0.3)
        assert float(many.mean) == pytest.approx(many.terms["first_order"], rel=1e-3)

    def test_fresh_real_is_its_chain(self) -> None:
        one = predict_fresh_real(5, 300, 200, 100, mismatch=100 / 400, real_noise_variance=1.0)
        other = predict_ridge_chain(5, 300, 200, 100)
        assert one.mean == pytest.approx(other.mean, rel=1e-8)  # the first fit on 500 real rows has error d/(n - d)

    def test_unbounded_without_real_rows(self) -> None:
        answer = predict_fresh_real(10, 0, 300, 100)
        assert answer.terms["limit"] == np.inf and answer.terms["rounds_to_forget"] == np.inf
        assert np.diff(answer.mean) == pytest.approx(0.5)
        assert predict_fresh_real(2, 300, 0, 100).terms["rounds_to_forget"] == 0.0

    def test_chain_that_ends_in_a_ridge_fit(self) -> None:
        shift = replaced_shift(3, 300, SPECTRUM, noise_variance=0.4)
        assert SPECTRUM @ shift == pytest.approx(predict_replace(3, 300, 80, noise_variance=0.4).mean[-1])
        assert error(0, 1e9, 80, spectrum=SPECTRUM, shift=shift) == pytest.approx(SPECTRUM @ shift, rel=1e-6)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: predict_replace(3, 101, 100), "above 101 rows"),
            (lambda: predict_accumulate(0, 200, 100), "num_generations"),
            (lambda: predict_fresh_real(3, 50, 50, 100), "more rows than dimensions"),
            (lambda: predict_fixed_real(100, 50, 100), "num_real > dim"),
            (lambda: predict_fixed_real(200, 0, 100), "num_synth > 0"),
            (lambda: replaced_shift(1, 100, [1.0, 0.0]), "without variance"),
            (lambda: predict_ridge_chain(0, 50, 50, 10), "num_generations"),
            (lambda: simulate_generations("forget", 2, 50, 50, 10, seeds=0, repeats=2), "scheme"),  # type: ignore[arg-type]
            (lambda: simulate_generations("replace", 2, 50, 50, 10, seeds=0, repeats=1), "at least 2"),
        ],
    )
    def test_bad_input(self, make: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            make()
