"""The part of docs/results/theory.md on verified synthetic rows: predicted and trained accuracy, goals, figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.intervals import share
from benchmarks.theory_cases import VERIFIERS
from synthsift.studies.reproduction import COLORS, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 1.0  # points of accuracy from which on a gain counts as one
PREDICTIONS = {
    "predicted": "given the training rows, judged on other real rows (the goal is for this one)",
    "same_points": "the same, judged on the tested rows: the theory's own error, without sampling of the judging rows",
    "rates": "as the first, but the verifier known by its two keep rates only",
    "planned": "`predict_accuracy` from class mean and spectrum measured on the training rows alone",
}


def mixing_points(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a case, verifier and number of synthetic rows: means over seeds, gains over real rows alone, errors."""
    names = [*PREDICTIONS, "ridge", "logistic"]
    keys = ["case", "verifier", "num_synth"]
    points = rows.groupby(keys, sort=False)[names].mean()
    gap = (rows["predicted"] - rows["ridge"]).groupby([rows[key] for key in keys], sort=False)
    points["se"] = gap.std(ddof=1) / np.sqrt(gap.count())
    count = rows.groupby(keys, sort=False)["ridge"].count()
    points["ridge_half"] = stats.t.ppf(0.975, count - 1) * rows.groupby(keys, sort=False)["ridge"].sem()
    points = points.reset_index()
    alone = points[points["num_synth"] == 0].set_index(["case", "verifier"])
    for name in names:
        base = alone[name].reindex(pd.MultiIndex.from_frame(points[["case", "verifier"]])).to_numpy()
        points[f"{name}_gain"] = points[name] - base
    # Real rows alone are one point, whatever the verifier would have done.
    return points[(points["num_synth"] > 0) | (points["verifier"] == VERIFIERS[0])].reset_index(drop=True)


def error_cells(points: pd.DataFrame, name: str, measured: str) -> tuple[str, str, str]:
    """Mean absolute error with an interval over cases, the worst one, and the share of right signs, as text."""
    error = (points[name] - points[measured]).abs()
    by_case = [part.to_numpy() for _, part in error.groupby(points["case"], sort=False)]
    rng = np.random.default_rng(0)
    drawn = [
        np.concatenate([by_case[i] for i in rng.integers(len(by_case), size=len(by_case))]).mean() for _ in range(2000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    clear = (points["num_synth"] > 0) & (points[f"{measured}_gain"].abs() > GAP)
    right = np.sign(points[f"{name}_gain"]) == np.sign(points[f"{measured}_gain"])
    return f"{error.mean():.2f} [{low:.2f}, {high:.2f}]", f"{error.max():.2f}", share(right[clear])


def mixing_section(rows: pd.DataFrame) -> list[str]:
    """Accuracy against synthetic rows: all predictions against both trained models, then case by case."""
    points = mixing_points(rows)
    lines = [
        "## Accuracy with verified synthetic rows",
        "",
        f"{points['case'].nunique()} cases, {len(points)} points (case x verifier x rows), each a mean over its seeds. Errors in points of",
        "accuracy; the interval resamples cases. *Right sign*: where the measured gain over real rows alone exceeds 1 point, is the",
        "predicted gain of the same sign? Goals for the first line: mean at most 1, worst at most 3, right sign at least 90 %.",
        "",
        "| prediction | model | mean absolute error | worst | right sign |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, text in PREDICTIONS.items():
        for measured in ("ridge", "logistic"):
            cells = error_cells(points, name, measured)
            lines.append(f"| `{name}`: {text} | {measured} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Sampling alone (standard error of predicted - measured over seeds) is {points['se'].mean():.2f} points on average and at most",
        f"{points['se'].max():.2f}. Mean signed error of `predicted` against ridge: {(points['predicted'] - points['ridge']).mean():+.2f}.",
        "",
        *_goal_lines(points),
        "",
        "![Predicted and measured accuracy of every case](theory-mixing.svg)",
        "",
        "Predicted / measured accuracy of the ridge classifier in percent: real rows alone, and with the most synthetic rows.",
        "",
        "| case | seeds | real only | none | real | perfect | mean abs. error | worst |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    seeds = rows.groupby("case")["seed"].nunique()
    for case, part in points.groupby("case", sort=False):
        error = (part["predicted"] - part["ridge"]).abs()
        most = part[part["num_synth"] == part["num_synth"].max()].set_index("verifier")
        alone = part[part["num_synth"] == 0].iloc[0]
        cells = [_pair(alone)] + [_pair(most.loc[v]) for v in VERIFIERS]
        lines.append(f"| {case} | {seeds[case]} | {' | '.join(cells)} | {error.mean():.2f} | {error.max():.2f} |")
    return lines


def _pair(row: pd.Series) -> str:
    return f"{row['predicted']:.1f} / {row['ridge']:.1f}"


def _goal_lines(points: pd.DataFrame) -> list[str]:
    """Say which goals are met, and name every point beyond 3."""
    error = points["predicted"] - points["ridge"]
    clear = (points["num_synth"] > 0) & (points["ridge_gain"].abs() > GAP)
    right = (np.sign(points["predicted_gain"]) == np.sign(points["ridge_gain"]))[clear].mean()
    met = {"mean": error.abs().mean() <= 1.0, "worst": error.abs().max() <= 3.0, "right sign": right >= 0.9}
    lines = ["Goals: " + ", ".join(f"{name} {'met' if good else '**missed**'}" for name, good in met.items()) + "."]
    far = points[error.abs() > 2.0]
    if len(far):
        lines.append("Points off by more than 2: " + "; ".join(_named(row) for _, row in far.iterrows()) + ".")
    wrong = points[clear & (np.sign(points["predicted_gain"]) != np.sign(points["ridge_gain"]))]
    if len(wrong):
        gains = (
            f"{_named(row)} (gain {row['predicted_gain']:+.1f} / {row['ridge_gain']:+.1f})"
            for _, row in wrong.iterrows()
        )
        lines.append("Wrong signs: " + "; ".join(gains) + ".")
    return lines


def _named(row: pd.Series) -> str:
    return f"{row['case']}, {row['verifier']}, {row['num_synth']} rows: {_pair(row)}"


def draw_mixing(figure: Figure, rows: pd.DataFrame) -> None:
    """One panel a case: predicted lines, measured dots with 95 % intervals, logistic as crosses."""
    points = mixing_points(rows)
    cases = list(dict.fromkeys(points["case"]))
    panels = figure.subplots(-(-len(cases) // 4), 4, squeeze=False).ravel()
    for panel in panels[len(cases) :]:
        panel.set_axis_off()
    for panel, case in zip(panels, cases, strict=False):
        part = points[points["case"] == case]
        alone = part[part["num_synth"] == 0]
        for color, verifier in zip(COLORS, VERIFIERS, strict=False):
            line = pd.concat([alone, part[(part["verifier"] == verifier) & (part["num_synth"] > 0)]])
            x = np.arange(len(line))
            panel.plot(x, line["predicted"], color=color)
            panel.errorbar(x, line["ridge"], yerr=line["ridge_half"], fmt="o", color=color, elinewidth=0.8)
            panel.plot(x, line["logistic"], "x", color=color, alpha=0.5)
            panel.set_xticks(x, [f"{n}" for n in line["num_synth"]])
        label_axes(panel, "\n".join(case.split(", ", 1)), "", "")
        panel.tick_params(labelsize=7)
        panel.title.set_fontsize(7.5)
    for color, verifier in zip(COLORS, VERIFIERS, strict=False):
        panels[0].plot([], [], color=color, label=f"verifier: {verifier}")
    panels[0].plot([], [], "-", color="#555555", label="predicted")
    panels[0].plot([], [], "o", color="#555555", label="ridge, measured, 95 %")
    panels[0].plot([], [], "x", color="#555555", label="logistic, measured")
    figure.legend(loc="outside upper center", ncols=6)
    figure.supxlabel("synthetic rows before verification", fontsize=9)
    figure.supylabel("accuracy, %", fontsize=9)
