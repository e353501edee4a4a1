"""Random settings of both theories: what is printed, stored, and told on docs/results/theory.md."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthsift.seeds import Seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"
Call = tuple[tuple[Any, ...], dict[str, Any]]
GOALS = {"mixing": "max(4 SE, .01) of accuracy", "collapse": "max(4 SE, 3 %) of the error"}


@dataclass(frozen=True)
class Theory:
    """How a theory draws settings and is held against simulations; calls are those of its `predict_*`."""

    draw: Callable[[np.random.Generator], Call]
    is_at_pole: Callable[[Call], bool]
    describe: Callable[[Call], str]
    compare: Callable[[Call, Seeds], tuple[float, float, float, float]]


def check_settings(theory: Theory, settings: int, seed: int, minutes: float, start: int = 0) -> list[dict[str, Any]]:
    """Draw settings until `settings` of them lie away from poles; print what was left out or failed, and the count.

    Returns
    -------
    list of dict
        One for each that was drawn: ``setting``, ``dim``, ``text``, ``excluded``, ``predicted``, ``simulated``, ``se``,
        ``allowed`` (the last four NaN at a pole).
    """
    seeds, began = Seeds(seed), time.perf_counter()
    rows: list[dict[str, Any]] = []
    while sum(not row["excluded"] for row in rows) < settings and time.perf_counter() - began < 60.0 * minutes:
        drawn = start + len(rows)
        node = seeds.child("setting", drawn)
        call = theory.draw(node.numpy("draw"))
        row = {"setting": drawn, "dim": call[0][2], "text": theory.describe(call), "excluded": theory.is_at_pole(call)}
        found = (math.nan,) * 4 if row["excluded"] else theory.compare(call, node)
        rows.append(row | dict(zip(("predicted", "simulated", "se", "allowed"), found, strict=True)))
        print_row(rows[-1])
    checked = [row for row in rows if not row["excluded"]]
    passed = sum(abs(row["predicted"] - row["simulated"]) <= row["allowed"] for row in checked)
    print(f"drawn {len(rows)}, excluded at poles {len(rows) - len(checked)}, checked {len(checked)}, passed {passed}")
    print(f"{time.perf_counter() - began:.0f} s")
    return rows


def print_row(row: dict[str, Any]) -> None:
    """Print what was left out and what failed."""
    if row["excluded"]:
        print(f"excluded (pole): {row['text']}")
    elif abs(row["predicted"] - row["simulated"]) > row["allowed"]:
        numbers = f"predicted {row['predicted']:.5f} simulated {row['simulated']:.5f} +- {row['se']:.5f}"
        print(f"FAILED {numbers} allowed {row['allowed']:.5f}: {row['text']}")


def store(rows: list[dict[str, Any]], theory: str) -> int:
    """Write the rows as docs/results/theory-settings-THEORY.parquet; return how many failed."""
    frame = pd.DataFrame(rows)
    frame.to_parquet(RESULTS / f"theory-settings-{theory}.parquet", index=False)
    gap = (frame["predicted"] - frame["simulated"]).abs()
    return int((~frame["excluded"] & (gap > frame["allowed"])).sum())


def section(results: Path) -> list[str]:
    """Table of the stored settings; nothing where there are none."""
    lines = []
    for theory, goal in GOALS.items():
        file = results / f"theory-settings-{theory}.parquet"
        if not file.exists():
            continue
        drawn = pd.read_parquet(file)
        rows = drawn[~drawn["excluded"]]
        gap = (rows["predicted"] - rows["simulated"]).abs()
        z = (rows["predicted"] - rows["simulated"]) / rows["se"]
        size = 1.0 if theory == "mixing" else rows["simulated"]
        passed = int((gap <= rows["allowed"]).sum())
        lines.append(
            f"| {theory} | {goal} | {passed} of {len(rows)} | {len(drawn) - len(rows)} | {(gap / size).mean():.2%} | "
            f"{(gap / size).max():.2%} | {np.sqrt((z**2).mean()):.2f} |"
        )
    head = [
        "## Random settings against simulations",
        "",
        "`python -m benchmarks.theory_mixing --settings 200` and `benchmarks.theory_collapse --settings 200`, seed 1000: dimension 50 to 600,",
        "all options, away from poles (what lay at one was drawn and left out); within the tolerance below, twice that below",
        "dimension 200. Errors in accuracy, or relative to the error; z: in standard errors of the simulation, 1 is chance.",
        "",
        "| theory | tolerance | within it | left out | mean error | worst | root mean square z |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return [*head, *lines, ""] if lines else []
