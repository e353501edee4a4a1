"""Random settings of both theories: what is printed, stored, and told on docs/results/theory.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parents[1] / "docs" / "results"
GOALS = {"mixing": "max(4 SE, .01) of accuracy", "collapse": "max(4 SE, 3 %) of the error"}


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
