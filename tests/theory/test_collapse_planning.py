"""Rules that follow from the collapse theory: fractions, weights, widths, searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_advice import (
    first_rows_limit,
    helpful_fractions,
    largest_wrong_fraction,
    pruning_pays,
)
from synthsift.theory.collapse_search import smallest_on_integers, zoom_minimum
from synthsift.theory.collapse_weights import best_weight, marginal_values, weight_rule, worth_in_real_rows
from synthsift.theory.collapse_width import (
    best_width,
    helpful_directions,
    is_bigger_better,
    predict_width_curve,
    side_of_threshold,
)

SPECTRUM = np.arange(1, 81.0) ** -1.2
SIGNAL = np.full(80, 1 / SPECTRUM.sum())


def error(*sizes: Any, **options: Any) -> float:
    return float(predict_error(*sizes, **options).mean)


class TestPooling:
    def test_first_rows_threshold(self) -> None:
        assert first_rows_limit(500, 100) == pytest.approx(1.25)
        alone = error(500, 0, 100)
        assert error(500, 1, 100, mismatch=1.24) < alone < error(500, 1, 100, mismatch=1.26)

    def test_first_rows_threshold_with_other_noise(self) -> None:
        limit = first_rows_limit(300, 100, real_noise_variance=0.5, synth_noise_variance=0.9)
        options = {"real_noise_variance": 0.5, "synth_noise_variance": 0.9}
        alone = error(300, 0, 100, **options)
        assert error(300, 0.1, 100, mismatch=limit - 0.01, **options) < alone
        assert error(300, 0.1, 100, mismatch=limit + 0.01, **options) > alone

    @pytest.mark.parametrize(
        ("rows", "largest", "rule", "best", "best_rule", "alone", "at_best"),
        [
            (500, 0.5000, 0.2000, 0.2604, 0.1000, 0.250000, 0.224220),
            (2000, 0.06453, 0.05, 0.03230, 0.025, 0.052632, 0.052161),
            (20000, 0.00513, 0.005, 0.00256, 0.0025, 0.005025, 0.005022),
        ],
    )
    def test_table(
        self, rows: int, largest: float, rule: float, best: float, best_rule: float, alone: float, at_best: float
    ) -> None:
        answer = helpful_fractions(rows, 100, mismatch=0.5)
        assert (answer.largest, answer.best) == (pytest.approx(largest, abs=5e-5), pytest.approx(best, abs=5e-5))
        assert (answer.largest_rule, answer.best_rule) == (pytest.approx(rule), pytest.approx(best_rule))
        assert (answer.real_only, answer.at_best) == (pytest.approx(alone, abs=1e-6), pytest.approx(at_best, abs=1e-6))

    @pytest.mark.parametrize("mismatch", [0.01, 0.3, 0.9])
    @pytest.mark.parametrize("synth_noise", [0.0, 0.4, 1.0])
    def test_against_the_error_curve(self, mismatch: float, synth_noise: float) -> None:
        options: dict[str, Any] = {
            "mismatch": mismatch,
            "real_noise_variance": 0.7,
            "synth_noise_variance": synth_noise,
        }
        answer = helpful_fractions(350, 100, **options)
        fractions = np.linspace(0, 0.9999, 20001)
        curve = predict_error(350, 350 * fractions / (1 - fractions), 100, **options).mean
        helps = fractions[1:][curve[1:] < curve[0]]
        assert answer.largest == pytest.approx(helps.max() if len(helps) else 0.0, abs=2e-4)
        # The grid stops at 9999 synthetic rows in 10000; the best may be endless ones.
        assert 0.996 * curve.min() <= answer.at_best <= curve.min() + 1e-12

    def test_edges(self) -> None:
        assert helpful_fractions(500, 100, mismatch=0.0).largest == 1.0
        useless = helpful_fractions(500, 100, mismatch=5.0)
        assert (useless.largest, useless.best, useless.largest_rule) == (0.0, 0.0, 0.0)
        silent = helpful_fractions(500, 100, mismatch=0.5, real_noise_variance=0.0)
        assert (silent.largest, silent.at_best) == (0.0, 0.0)
        with pytest.raises(DataError, match="more real rows than dimensions"):
            helpful_fractions(100, 100, mismatch=0.5)
        with pytest.raises(DataError, match="mismatch"):
            helpful_fractions(200, 100, mismatch=-0.5)

    def test_pruning(self) -> None:
        options: dict[str, Any] = {"mismatch": 0.5, "num_synth": 1000, "dim": 100}
        assert pruning_pays(0.5, 0.35, **options) and not pruning_pays(0.5, 0.45, **options)
        kept, whole = (
            weight_rule(400, rows, 100, mismatch=gap, synth_noise_variance=1.0).error
            for rows, gap in ((500, 0.35), (1000, 0.5))
        )
        assert kept < whole
        with pytest.raises(DataError, match="keep_fraction"):
            pruning_pays(0.0, 0.1, **options)

    def test_verifier(self) -> None:
        assert largest_wrong_fraction(1.0, 1.0) == 0.5
        assert largest_wrong_fraction(0.9, 0.1) == pytest.approx(0.9)
        with pytest.raises(DataError, match="keeps no row"):
            largest_wrong_fraction(0.0, 0.0)
        with pytest.raises(DataError, match="between 0 and 1"):
            largest_wrong_fraction(1.2, 0.0)


def isotropic_weighted(num_real: int, num_synth: int, dim: int, alpha: float, mismatch: float) -> float:
    """The closed form for least squares on Sigma = I with unit noise, the slow obvious way."""
    n = num_real + num_synth
    p = np.array([num_real, num_synth]) / n
    omega = np.array([1 - alpha, alpha]) / p
    tau = optimize.brentq(lambda t: np.sum(p * omega * t / (1 + omega * t)) - dim / n, 1e-9, 1e9, xtol=1e-14)
    share = p * omega * tau / (dim / n * (1 + omega * tau))
    d = share**2 * (dim / n) / p
    b = d / (1 - d.sum())
    return float(b.sum() + mismatch * (share[1] ** 2 * (1 + b[0]) + b[1] * (1 - share[1]) ** 2))


class TestWeights:
    @pytest.mark.parametrize("alpha", [0.02, 0.3, 0.9])
    def test_closed_form(self, alpha: float) -> None:
        row_weight = alpha * 400 / ((1 - alpha) * 1600)
        value = error(400, 1600, 200, mismatch=0.5, synth_weight=row_weight)
        assert value == pytest.approx(isotropic_weighted(400, 1600, 200, alpha, 0.5), rel=1e-9)

    @pytest.mark.parametrize(
        ("rows", "alpha", "rule", "best", "alone", "pooled"),
        [
            (400, 0.4598, 0.4211, 0.333095, 1.0, 0.44),
            (2000, 0.1585, 0.1569, 0.090608, 0.111111, 0.342041),
            (20000, 0.01947, 0.01946, 0.009901, 0.010101, 0.322164),
            (200000, 0.00199, 0.00199, 0.000999, 0.001001, 0.320216),
        ],
    )
    def test_table(self, rows: int, alpha: float, rule: float, best: float, alone: float, pooled: float) -> None:
        answer = best_weight(rows, 4 * rows, 200, mismatch=0.5)
        assert answer.total_weight == pytest.approx(alpha, abs=5e-5 if rows < 20000 else 6e-6)
        assert weight_rule(rows, 4 * rows, 200, mismatch=0.5).total_weight == pytest.approx(rule, abs=5e-5)
        assert answer.error == pytest.approx(best, abs=1e-6)
        assert (answer.real_only, answer.pooled) == (pytest.approx(alone, abs=1e-6), pytest.approx(pooled, abs=1e-6))
        alpha = answer.total_weight
        assert answer.row_weight == pytest.approx(alpha * rows / ((1 - alpha) * 4 * rows))

    def test_any_spectrum_and_ridge(self) -> None:
        options: dict[str, Any] = {"spectrum": SPECTRUM, "signal": SIGNAL, "mismatch": 0.2, "real_noise_variance": 0.1}
        answer = best_weight(60, 200, 80, ridge=1e-2, **options)
        n = 260
        for alpha in np.linspace(0.02, 0.98, 25):
            scale = (1 - alpha) * n / 60
            weight = alpha * 60 / ((1 - alpha) * 200)
            assert answer.error <= error(60, 200, 80, ridge=1e-2 / scale, synth_weight=weight, **options) + 1e-12

    def test_worth(self) -> None:
        assert worth_in_real_rows(200, 0.5) == pytest.approx(400)
        assert worth_in_real_rows(200, 0.5, num_synth=0) == 0.0
        assert worth_in_real_rows(200, 0.0) == np.inf
        rule = weight_rule(20000, 50000, 200, mismatch=0.5)
        assert rule.worth == pytest.approx(worth_in_real_rows(200, 0.5, num_synth=50000))
        # So many more real rows alone give the error of the weighted mix.
        assert 200 / (20000 + rule.worth) == pytest.approx(rule.error)
        exact = best_weight(20000, 50000, 200, mismatch=0.5).error
        assert error(20000 + rule.worth, 0, 200) == pytest.approx(exact, rel=0.001)

    def test_marginal_values(self) -> None:
        real, synth = marginal_values(2000, 500, 100, mismatch=0.3, rows=1e-3)
        alone = error(2000, 500, 100, mismatch=0.3)
        assert real == pytest.approx(alone - error(2001, 500, 100, mismatch=0.3), rel=0.01)
        assert synth == pytest.approx(alone - error(2000, 501, 100, mismatch=0.3), rel=0.01)
        assert real > 0 > synth
        assert marginal_values(2000, 0, 100)[0] == pytest.approx(100 / 1900 - 100 / 1901, rel=0.01)

    @pytest.mark.parametrize("make", [best_weight, weight_rule])
    def test_bad_input(self, make: Any) -> None:
        with pytest.raises(DataError, match="rows of both kinds"):
            make(0, 100, 10, mismatch=0.5)
        with pytest.raises(DataError, match="mismatch"):
            make(100, 100, 10, mismatch=-0.5)

    def test_more_bad_input(self) -> None:
        with pytest.raises(DataError, match="leave it out"):
            best_weight(100, 100, 10, mismatch=0.5, synth_weight=2.0)
        with pytest.raises(DataError, match="every weight"):
            weight_rule(100, 100, 10, mismatch=0.0, real_noise_variance=0.0)
        with pytest.raises(DataError, match="num_synth"):
            worth_in_real_rows(10, 0.5, num_synth=-1)
        with pytest.raises(DataError, match="must be above 0"):
            marginal_values(100, 100, 10, rows=0.0)


class TestWidth:
    def test_best_width_is_interior_and_moves_down(self) -> None:
        spectrum = np.arange(1, 401.0) ** -1.2
        world: dict[str, Any] = {"spectrum": spectrum, "signal": spectrum**0.8 / (spectrum @ spectrum**0.8)}
        world |= {"ridge": 1e-6, "real_noise_variance": 0.01}
        widths = []
        for mismatch in (0.0, 0.1, 0.5):
            advice = best_width(500, 500, 400, mismatch=mismatch, size_alone=False, **world)
            grid = np.unique(np.geomspace(1, 3000, 200).astype(int))
            curve = predict_width_curve(grid, 500, 500, 400, mismatch=mismatch, size_alone=False, **world)
            assert advice.error <= curve.mean.min() + 1e-12
            assert advice.is_interior or mismatch == 0
            widths.append(advice.width)
        assert widths[0] > widths[1] > widths[2]
        assert 0 < advice.collapse_share < 1 and advice.unlimited > advice.error

    def test_no_ridge_skips_the_pole(self) -> None:
        advice = best_width(150, 100, 500, mismatch=1.0, real_noise_variance=0.1)
        assert advice.width != 250 and np.isfinite(advice.error)

    def test_size_alone_reaches_the_fit_without_a_layer(self) -> None:
        curve = predict_width_curve([1e7], 150, 100, 80, ridge=1e-2, spectrum=SPECTRUM, mismatch=0.3)
        assert curve.mean[0] == pytest.approx(
            error(150, 100, 80, ridge=1e-2, spectrum=SPECTRUM, mismatch=0.3), rel=1e-4
        )
        same = error(150, 100, 80, ridge=1e-2, spectrum=SPECTRUM, mismatch=0.3, width=50, projection_variance=1 / 50)
        alone = predict_width_curve(50, 150, 100, 80, ridge=1e-2, spectrum=SPECTRUM, mismatch=0.3)
        assert float(alone.mean) == pytest.approx(same, rel=1e-9)

    def test_sides(self) -> None:
        answers = [
            side_of_threshold(*case) for case in ((100, 50, 200), (100, 150, 200), (100, 100, 200), (300, 250, 200))
        ]
        assert answers == ["narrow", "wide", "threshold", "full"]
        assert side_of_threshold(200, 300, 200) == "threshold"

    @pytest.mark.parametrize("mismatch", [5.0, 20.0])
    def test_bigger_is_better_with_endless_rows(self, mismatch: float) -> None:
        curve = predict_width_curve([20, 60], 0.7e9, 0.3e9, 100, mismatch=mismatch).mean
        assert is_bigger_better(0.3, mismatch) == (curve[1] < curve[0])

    def test_directions(self) -> None:
        assert helpful_directions(0.5, [1.0, 0.1, 0.0], [1.0, 1.0, 0.0]).tolist() == [True, False, False]

    def test_bad_input(self) -> None:
        with pytest.raises(DataError, match="set by the curve"):
            predict_width_curve([5], 10, 10, 20, width=5)
        with pytest.raises(DataError, match="low < high"):
            best_width(10, 10, 20, low=5, high=5)
        with pytest.raises(DataError, match="signal has shape"):
            helpful_directions(0.5, np.ones((3, 2)), np.ones(3))


class TestSearch:
    def test_tilted_narrow_valley(self) -> None:
        def valley(points: np.ndarray) -> np.ndarray:
            x, y = points.T
            return 400 * (x - y) ** 2 + (x + y - 3.3) ** 2 + 1.0

        place, value = zoom_minimum(valley, [-10, -10], [10, 10])
        assert value == pytest.approx(1.0, abs=1e-4) and place == pytest.approx([1.65, 1.65], abs=0.02)

    def test_edge(self) -> None:
        place, value = zoom_minimum(lambda points: points[:, 0], [2.0], [5.0])
        assert (place[0], value) == (2.0, 2.0)

    @pytest.mark.parametrize("best", [1, 7, 4321, 10**6])
    def test_integers(self, best: int) -> None:
        assert smallest_on_integers(lambda numbers: np.abs(np.log(numbers / best)), 1, 10**6) == (best, 0.0)
