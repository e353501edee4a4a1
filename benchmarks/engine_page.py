"""docs/results/engine.md from the stored results of ``benchmarks.engine``: what was to be reached, and what was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGE = RESULTS / "engine.md"
HEAD = """# The bi-level engine: what was measured

Written by `python -m benchmarks.engine --table` from `docs/results/engine-*.parquet`; `make results-check` compares.
`python -m benchmarks.engine --all` measures all of it again. The commands for one part are at the top of `benchmarks/engine.py`.
"""
REACH = {  # variant -> most plain steps a step
    "own, ghost": {"conv": 1.5, "mlp": 1.6},
    "fresh, ghost": {"conv": 2.6, "mlp": 2.6},
    "fresh, differences": {"conv": 1.9, "mlp": 1.9},
    "own, ghost, every 4th": {"conv": 1.3, "mlp": 1.3},
    "fresh, ghost, every 4th": {"conv": 1.3, "mlp": 1.3},
}
CHECKS = {
    "meta-gradient": "meta-gradient against automatic differentiation, float64, six kinds of SGD and AdamW",
    "chunks": "the same for any chunks",
    "processes": "the same on two processes",
    "gsnr": "reported GSNR, mean of repeated readings, against brute force",
}
GAINS = {0.001: 1.5, 0.005: 2.0}  # points at N = 2048, by the selector's learning rate
FLAT = 0.05
CLOCKS = {  # by whether the device is a CPU
    True: "Processor time of one thread, to which the load of others adds nothing.",
    False: "Wall time, from one synchronization of the device to the next.",
}
FLOOR = "two forwards of N and Gamma"


def verdict(met: bool) -> str:
    """Met or missed."""
    return "met" if met else "**missed**"


def checks(rows: pd.DataFrame) -> list[str]:
    """The largest error of each promise."""
    lines = []
    for name, part in rows.groupby("check", sort=False):
        worst = part.loc[part["value"].idxmax()]
        value, reach = (f"{v:.0%}" if name == "gsnr" else f"{v:.1e}" for v in (worst["value"], worst["reach"]))
        error = f" +- {worst['error']:.0%}" if name == "gsnr" else ""
        told = f"at most {value}{error} ({worst['what']}), n = {len(part)} settings"
        if name == "gsnr":
            all_of_them = ", ".join(f"{row.value:.0%} at {row.what.split(';')[0]}" for row in part.itertuples())
            told += f" ({all_of_them}); {single_readings(part)}"
        lines.append(f"| {CHECKS[str(name)]} | {reach} | {told} | {verdict(worst['value'] <= worst['reach'])} |")
    return lines


def single_readings(rows: pd.DataFrame) -> str:
    """How far one reading alone may be off, where that is worst."""
    widest = rows.loc[(rows["high"] - rows["low"]).idxmax()]
    return (
        f"a mean is over {widest['readings']:,.0f} readings, of which the middle 80 % are {widest['low']:.2f} to "
        f"{widest['high']:.2f} times the right one where that is widest ({widest['what']})"
    )


def timing_goals(rows: pd.DataFrame) -> list[str]:
    """Steps with selection in plain steps, where something was to be reached."""
    lines = []
    for variant, of in REACH.items():
        for model, reach in of.items():
            for row in rows[(rows["variant"] == variant) & (rows["model"] == model)].itertuples():
                told = f"{row.ratio:.2f} [{row.low:.2f}, {row.high:.2f}], n = {row.rounds} rounds"
                lines.append(f"| {model}: {variant} | {reach} | {told} | {verdict(row.ratio <= reach)} |")
    return lines


def memory_goal(rows: pd.DataFrame) -> str:
    """Peak extra memory of the meta part at several N."""
    told = ", ".join(f"{row.MiB:.1f} MiB at N = {row.N:,}" for row in rows.itertuples())
    spread = rows["MiB"].max() / rows["MiB"].min() - 1
    return f"| peak extra memory of the meta part | flat within {FLAT:.0%} | {told} | {verdict(spread <= FLAT)} |"


def gains(cells: pd.DataFrame) -> pd.DataFrame:
    """Paired gains over equal weights in points of accuracy, by way, rate and N, with standard errors."""
    equal = cells[cells["goal"] == "equal"].set_index("seed")["accuracy"]
    others = cells[cells["goal"] != "equal"]
    others = others.assign(gain=others["accuracy"].to_numpy() - equal.loc[others["seed"]].to_numpy())
    found = others.groupby(["goal", "rate", "size"], sort=False).agg(
        gain=("gain", "mean"), sd=("gain", "std"), n=("gain", "size"), fraction=("effective_fraction", "mean")
    )
    return found.assign(error=found["sd"] / np.sqrt(found["n"])).reset_index()


def points(row: pd.Series) -> str:
    """A gain with its standard error."""
    return f"{row['gain']:+.2f} +- {row['error']:.2f}"


def weak_goals(found: pd.DataFrame) -> list[str]:
    """Whether the default never loses, and gains enough with a large batch."""
    default = found[found["goal"] == "default"]
    worst = default.loc[(default["gain"] + default["error"]).idxmin()]
    told = f"lowest: {points(worst)} at N = {worst['size']:,}, rate {worst['rate']:g}, n = {worst['n']} seeds"
    never = bool((default["gain"] >= -default["error"]).all())
    lines = [
        f"| weak features, default: gain over equal weights | never below by 1 error | {told} | {verdict(never)} |"
    ]
    for rate, reach in GAINS.items():
        row = default[(default["rate"] == rate) & (default["size"] == 2048)].iloc[0]
        what = f"| ... at N = 2,048, selector's rate {rate:g} | at least +{reach:g} |"
        lines.append(f"{what} {points(row)}, n = {row['n']} seeds | {verdict(row['gain'] >= reach)} |")
    return lines


def cell(row: Any) -> str:
    """The ratio of one kind of step, and the memory that it took where that was measured."""
    if not np.isfinite(row.ratio):
        return "out of memory"
    peak = getattr(row, "GiB", float("nan"))
    return f"{row.ratio:.2f} [{row.low:.2f}, {row.high:.2f}]" + (f", {peak:.2f} GiB" if np.isfinite(peak) else "")


def on_gpu(tables: dict[str, pd.DataFrame]) -> list[str]:
    """The tables of a GPU, or that there was none."""
    if "timing-cuda" not in tables:
        return ["**No GPU was available**: nothing here was measured on one, and no ResNet-50 in bf16."]
    rows = tables["timing-cuda"]
    lines = [*all_variants(rows), ""]
    lines += [f"On one {rows['card'].iloc[0]}; GiB: peak of a step beyond what was held before it."]
    if "memory-cuda" in tables:
        told = ", ".join(f"{row.MiB:.1f} MiB at N = {row.N:,}" for row in tables["memory-cuda"].itertuples())
        lines += [f"Peak extra memory of the meta part there: {told}."]
    if "mlp" in set(rows["model"]):
        lines += ["An MLP of this size keeps a GPU busy with launches, so its ratios count calls, not operations."]
    if not any("resnet50" in model for model in rows["model"]):
        lines += ["**ResNet-50 was not measured**: its steps did not end in the time that a GPU was at hand."]
    return lines


def all_variants(rows: pd.DataFrame) -> list[str]:
    """Every kind of step that was timed, a column a model."""
    one = rows.iloc[0]
    models = list(rows["model"].unique())
    lines = [
        f"## Steps on {one['device']}, {one['dtype']}, in plain steps",
        "",
        f"n = N = {one['rows']:,}, M = {one['trusted']}, one run, all variants in turn in each of {one['rounds']} rounds; median and",
        f"quartiles of the ratio to the plain step of the same round. {CLOCKS[one['device'] == 'cpu']}",
        "*Reference*: the published arithmetic (differences, deep copies, a pseudo step), written anew; *full unroll*: Meta-Weight-Net.",
        "",
        "| step | " + " | ".join(models) + " |",
        "| --- |" + " --- |" * len(models),
    ]
    for variant in rows["variant"].unique():
        cells = []
        for model in models:
            part = rows[(rows["variant"] == variant) & (rows["model"] == model)]
            cells += [cell(row) for row in part.itertuples()]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return [*lines, *said(rows)]


def said(rows: pd.DataFrame) -> list[str]:
    """What the engine said of the models while they were timed, such as that batch norm costs a second pass."""
    told = rows[rows["notices"] != ""].groupby("notices")["model"].unique()
    lines = [f"Said by the engine of {' and '.join(models)}: {notice}." for notice, models in told.items()]
    return [part for line in lines for part in ("", line)]


def floor_words(rows: pd.DataFrame) -> list[str]:
    """What any difference of losses costs at least."""
    told = []
    for model in rows["model"].unique():
        ratios = rows[rows["model"] == model].set_index("variant")["ratio"]
        told.append(
            f"{model}: {ratios[FLOOR]:.2f} (whole step: {ratios['fresh, differences']:.2f}, in one chunk "
            f"{ratios['fresh, differences, one chunk']:.2f}; exact ghost products {ratios['fresh, ghost']:.2f})"
        )
    return [
        "",
        f'Differences of losses on a fresh batch cannot do without two forwards of it and one Gamma ("{FLOOR}", a plain',
        f"step included): {'; '.join(told)}.",
    ]


def weak_table(found: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Gains of every way on the bench with weak features."""
    equal = cells[cells["goal"] == "equal"]["accuracy"]
    oracle = found[found["goal"] == "oracle"].iloc[0]
    sizes = sorted(set(found["size"]) - {0})
    lines = [
        "## Features that say little about quality",
        "",
        f"Seeds {cells['seed'].min()} to {cells['seed'].max()}; gain over equal weights in points of test accuracy, paired by seed, with its",
        f"standard error; in brackets the effective batch over N at the end. Equal weights: {equal.mean():.1f} %; knowing which rows are",
        f"good: {points(oracle)}. The ways are described at the top of `benchmarks/engine_weak.py`.",
        "",
        "| way | selector's rate | " + " | ".join(f"N = {size:,}" for size in sizes) + " |",
        "| --- | --- |" + " --- |" * len(sizes),
    ]
    for (goal, rate), part in found[found["goal"] != "oracle"].groupby(["goal", "rate"], sort=False):
        by_size = part.set_index("size")
        told = [
            f"{points(by_size.loc[size])} ({by_size.loc[size, 'fraction']:.2f})" if size in by_size.index else ""
            for size in sizes
        ]
        lines.append(f"| {goal} | {rate:g} | {' | '.join(told)} |")
    return lines


def page(tables: dict[str, pd.DataFrame]) -> str:
    """The whole page; a bench that is not stored is named."""
    goals, parts = [], []
    if "checks" in tables:
        goals += checks(tables["checks"])
    if "timing" in tables:
        timed = tables["timing"]
        goals += timing_goals(timed)
        parts.append([*all_variants(timed), *floor_words(timed)])
    if "memory" in tables:
        goals.append(memory_goal(tables["memory"]))
    if "weak-features" in tables:
        found = gains(tables["weak-features"])
        goals += weak_goals(found)
        parts.append(weak_table(found, tables["weak-features"]))
    parts.append(on_gpu(tables))
    absent = [name for name in ("checks", "timing", "memory", "weak-features") if name not in tables]
    if absent:
        parts.append([f"**Not stored**: {', '.join(absent)}."])
    table = ["| what | reach | measured | |", "| --- | --- | --- | --- |", *goals]
    return "\n\n".join([HEAD.strip(), "\n".join(table), *("\n".join(part) for part in parts)]) + "\n"


def pages() -> dict[Path, str]:
    """The page by file; nothing without stored results."""
    stored = {file.stem.removeprefix("engine-"): pd.read_parquet(file) for file in RESULTS.glob("engine-*.parquet")}
    return {PAGE: page(stored)} if stored else {}


def write() -> None:
    """Write the page."""
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
