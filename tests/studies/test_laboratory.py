"""Each loop of the laboratory: formula and simulation agree, sentences carry their numbers, bad sizes are refused."""

from __future__ import annotations

import pytest

from synthsift.drift.loops import GaussianLoop
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies import laboratory as lab

SEEDS = Seeds(1)


def test_formula_and_simulation_agree() -> None:
    studies = [
        lab.simulate_gaussian_study(GaussianLoop(50, 0.2), 8, 800, SEEDS),
        lab.simulate_gaussian_study(GaussianLoop(50, 0.2, kind="fixed_real"), 8, 800, SEEDS),
        lab.simulate_gaussian_study(GaussianLoop(50, 0.25, random_composition=True), 8, 800, SEEDS, dim=2),
        lab.simulate_accumulate_study(50, 8, 800, SEEDS),
        lab.simulate_mixture_study(0.3, 0.1, 8, 100, SEEDS),
        lab.simulate_truncation_study(0.3, 0.2, 6, 10_000, SEEDS),
    ]
    for study in studies:
        assert study.more["compared"] >= 7 and study.more["worst_z"] < 4.5, (study.kind, study.more)
        assert "standard errors" in study.sentence
        assert len({len(values) for values in study.columns.values()}) == 1


def test_a_wrong_formula_would_be_seen() -> None:
    """Negative control: the same simulation against the loop with another share of real rows."""
    drawn = lab.simulate_gaussian(GaussianLoop(20, 0.0), 20, num_runs=800, seeds=SEEDS)
    wrong = lab.predict_gaussian(GaussianLoop(20, 0.5), 20)
    study = lab._curves("gaussian", "", {"variance": (wrong, drawn)}, "", "")
    assert study.more["worst_z"] > 10


def test_what_is_left_without_fresh_data_is_said() -> None:
    assert "nothing is left" in lab.simulate_gaussian_study(GaussianLoop(20), 5, 50, SEEDS).sentence
    assert "collapse" in lab.simulate_gaussian_study(GaussianLoop(20, ddof=1), 5, 50, SEEDS).sentence
    assert "0 % of order 4" in lab.simulate_truncation_study(0.0, 0.2, 3, 500, SEEDS).sentence


def test_repeated_errors_are_worse_than_random_ones() -> None:
    columns = lab.simulate_mixture_study(0.3, 0.1, 25, 60, SEEDS).columns
    last = {c: s for c, s in zip(columns["curve"], columns["simulated"], strict=True)}
    assert last["same"] > 4 * last["random"] > 16 * last["alternate"]


def test_sizes_are_checked() -> None:
    with pytest.raises(DataError, match="--rounds is 0"):
        lab.simulate_accumulate_study(50, 0, 10, SEEDS)
    with pytest.raises(DataError, match="Lower --runs"):
        lab.simulate_accumulate_study(10_000, 5, 10**6, SEEDS)
    with pytest.raises(DataError, match="--eps"):
        lab.simulate_mixture_study(0.3, 0.0, 5, 10, SEEDS)
    with pytest.raises(DataError, match="--t0"):
        lab.simulate_truncation_study(0.3, 0.0, 5, 10, SEEDS)
