"""The page of the engine's benchmark: goals by hand, and what is stored."""

from __future__ import annotations

import pandas as pd
import pytest
from benchmarks import engine_page


def test_goals_of_checks_take_the_worst_setting() -> None:
    rows = pd.DataFrame(
        [
            {"check": "gsnr", "what": "flat", "value": 0.05, "reach": 0.2, "error": 0.02, "low": 0.5, "high": 1.4},
            {"check": "gsnr", "what": "steep", "value": 0.25, "reach": 0.2, "error": 0.04, "low": 0.0, "high": 2.8},
            {"check": "chunks", "what": "scores", "value": 3e-16, "reach": 1e-12},
        ]
    )
    first, second = engine_page.checks(rows.assign(readings=1600))
    assert "mean of repeated readings, against brute force | 20% | at most 25% +- 4% (steep)," in first
    assert "n = 2 settings (5% at flat, 25% at steep); a mean is" in first
    assert (
        "over 1,600 readings, of which the middle 80 % are 0.00 to 2.80 times" in first
        and "(steep) | **missed**" in first
    )
    assert "| 1.0e-12 | at most 3.0e-16 (scores), n = 1 settings | met |" in second


def test_goals_of_timing_and_memory() -> None:
    row = {"model": "mlp", "variant": "own, ghost", "ratio": 1.55, "low": 1.5, "high": 1.7, "rounds": 15}
    rows = pd.DataFrame([row, {**row, "model": "conv"}, {**row, "variant": "own, jvp"}])
    assert engine_page.timing_goals(rows) == [
        "| conv: own, ghost | 1.5 | 1.55 [1.50, 1.70], n = 15 rounds | **missed** |",
        "| mlp: own, ghost | 1.6 | 1.55 [1.50, 1.70], n = 15 rounds | met |",
    ]
    sizes = pd.DataFrame({"N": [1024, 65536], "MiB": [10.0, 10.4]})
    assert engine_page.memory_goal(sizes).endswith("10.0 MiB at N = 1,024, 10.4 MiB at N = 65,536 | met |")
    assert engine_page.memory_goal(sizes.assign(MiB=[10.0, 11.0])).endswith("**missed** |")


def test_clocks_and_notices_are_those_of_the_device_and_the_model() -> None:
    row = {"model": "mlp", "variant": "plain", "ratio": 1.0, "low": 1.0, "high": 1.0, "rounds": 5, "notices": ""}
    row |= {"device": "cpu", "dtype": "f32", "rows": 1024, "trusted": 128, "card": ""}
    norm = "batch norm mixes the rows of the step, so its own rows are scored by a second pass with frozen statistics"
    there = {"device": "cuda", "card": "GPU", "notices": norm}
    both = pd.DataFrame([row | there | {"model": model} for model in ("resnet50", "other")])
    cpu, cuda = ("\n".join(engine_page.all_variants(rows)) for rows in (pd.DataFrame([row]), both))
    assert "Processor time of one thread" in cpu and "Said by the engine" not in cpu
    assert (
        "Wall time" in cuda
        and "Processor time" not in cuda
        and f"Said by the engine of resnet50 and other: {norm}." in cuda
    )


def cells(gain: float) -> pd.DataFrame:
    rows = []
    for seed, luck in ((1000, 0.0), (1001, 2.0)):
        known = {"seed": seed, "effective_fraction": 0.5}
        rows += [{**known, "goal": "equal", "size": 0, "rate": 0.0, "accuracy": 70 + 10 * luck}]
        rows += [
            {**known, "goal": "default", "size": size, "rate": rate, "accuracy": 70 + 10 * luck + gain + luck}
            for rate in (0.001, 0.005)
            for size in (8, 2048)
        ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("gain", "ends"),
    [
        (1.5, ["met", "met", "met"]),  # 2.5 +- 1.0
        (0.6, ["met", "met", "**missed**"]),
        (-1.9, ["met", "**missed**", "**missed**"]),  # -0.9 +- 1.0
        (-2.5, ["**missed**"] * 3),  # -1.5 +- 1.0
    ],
)
def test_goals_of_weak_features_are_paired_by_seed(gain: float, ends: list[str]) -> None:
    found = engine_page.gains(cells(gain))
    assert found["gain"].tolist() == pytest.approx([gain + 1] * 4)
    assert found["error"].tolist() == pytest.approx([1.0] * 4)
    assert [line.split("|")[-2].strip() for line in engine_page.weak_goals(found)] == ends


def test_the_stored_page_is_what_the_stored_results_give() -> None:
    for file, text in engine_page.pages().items():
        assert file.read_text(encoding="utf-8") == text
