"""Forecasts held against what happened: a line of a table for any set of loops, and the loops without fresh rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.intervals import share


def judged(rows: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    """Whether the interval holds what was measured, on which side it does not, and the relative error of the point."""
    names = ("forecast", "low", "high") if not prefix else tuple(f"{prefix}: {n}" for n in ("point", "low", "high"))
    point, low, high = (rows[name] for name in names)
    size = np.maximum(rows["truth"], rows["floor"])
    return pd.DataFrame(
        {
            "inside": (low <= rows["truth"]) & (rows["truth"] <= high),
            "above": rows["truth"] > high,
            "error": 100 * (point - rows["truth"]).abs() / size,
            "signed": 100 * (point - rows["truth"]) / size,
            "width": (high - low) / size,
        },
        index=rows.index,
    )


def line_of(name: str, found: pd.DataFrame) -> str:
    outside = f"{int(found['above'].sum())} / {int((~found['inside'] & ~found['above']).sum())}"
    return (
        f"| {name} | {share(found['inside'])} | {outside} | {found['error'].median():.0f} % | "
        f"{found['signed'].median():+.0f} % | {found['width'].median():.2f} |"
    )


TABLE = [
    "| loops | inside, 95 % interval | measured above / below | median error | median signed | width / drift |",
    "| --- | --- | --- | --- | --- | --- |",
]


def without_fresh_rows(rows: pd.DataFrame) -> list[str]:
    """Forecasts at alpha 0, where nothing pulls a loop back, beside the guess that nothing changes."""
    some = rows[rows["alpha"] == 0]
    still = 100 * (some["now"] - some["truth"]).abs() / np.maximum(some["truth"], some["floor"])
    lines = [
        "**Without fresh rows** (alpha 0) nothing pulls a loop back, and every error in J, kappa and rho adds up. *Nothing changes*: median error",
        f"of the guess that drift stays as in generation 4. In replace loops {closer(some, still)}",
        "",
        "| alpha 0 | inside, 95 % interval | measured above / below | median error | median signed | width / drift | nothing changes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (world, kind), part in some.groupby(["world", "kind"]):
        lines.append(f"{line_of(f'{world}, {kind}', judged(part))} {still[part.index].median():.0f} % |")
    for kind, part in some.groupby("kind"):
        lines.append(f"{line_of(f'all, {kind}', judged(part))} {still[part.index].median():.0f} % |")
    return lines


def closer(some: pd.DataFrame, still: pd.Series) -> str:
    """Which of forecast and standstill is nearer to what replace loops did, as the end of a sentence."""
    replaced = some["kind"] == "replace"
    errors = judged(some)["error"][replaced].median(), still[replaced].median()
    if errors[0] > errors[1]:
        return "that guess is the better one: the law lets drift grow, and real loops level off."
    return "the forecast is the better one."
