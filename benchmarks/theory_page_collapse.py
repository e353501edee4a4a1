"""The part of docs/results/theory.md on strong collapse: random features by formula, networks by the rule, figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.theory_page_rows import row_section
from synthsift.studies.reproduction import COLORS, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def collapse_points(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a case, width, n and fraction: means over seeds and the relative error of the prediction in percent."""
    keys = ["case", "width", "rows", "fraction"]
    points = rows.groupby(keys, sort=False)[
        ["predicted", "measured", "collapse", "accuracy", "c2", "teacher_error"]
    ].mean()
    points["se"] = rows.groupby(keys, sort=False)["measured"].sem()
    points["seeds"] = rows.groupby(keys, sort=False)["seed"].nunique()
    points["error"] = 100 * (points["predicted"] / points["measured"] - 1)
    return points.reset_index()


def collapse_section(rows: pd.DataFrame, by_rows: pd.DataFrame | None) -> list[str]:
    """Strong collapse on MNIST: random features by formula, networks by the rule."""
    points = collapse_points(rows)
    lines = [
        "## Strong collapse on MNIST",
        "",
        "Squared error on real one-hot labels (0.9 is what a constant gets). Synthetic labels are the outputs of a 64-unit network",
        "trained on 1,000 other rows; c^2 is measured on held-out rows, the predictions use no trained student (networks: none but the",
        "real-only one). *Random features*: the formula with the features' own covariance, goal within 10 %. *Network*: the rule real-only",
        "error + p_2^2 c^2, no formula of its own and no goal.",
        "",
        "| model | points | mean abs. error | worst | within 10 % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case, part in points.groupby("case", sort=False):
        used = part if not case.startswith("network") else part[part["fraction"] > 0]
        error = used["error"].abs()
        inside = f"{(error <= 10).sum()} of {len(error)}"
        lines.append(f"| {case} | {len(used)} | {error.mean():.1f} % | {error.max():.1f} % | {inside} |")
    lines += ["", *_collapse_remarks(points), ""]
    lines += [] if by_rows is None else [*row_section(rows, by_rows), ""]
    lines += ["![Predicted and measured error of random features and networks](theory-collapse.svg)"]
    for case, part in points.groupby("case", sort=False):
        by_width = part["width"].nunique() > 1
        across = "width" if by_width else "rows"
        lines += [
            "",
            f"{case}: predicted / measured; {_seeds(part)}; c^2 {part['c2'].min():.2f} to {part['c2'].max():.2f}.",
            "",
            "| fraction | " + " | ".join(f"{across} {value}" for value in dict.fromkeys(part[across])) + " |",
            "| --- |" + " --- |" * part[across].nunique(),
        ]
        for fraction, line in part.groupby("fraction"):
            cells = (f"{row['predicted']:.3f} / {row['measured']:.3f}" for _, row in line.iterrows())
            lines.append(f"| {fraction:g} | " + " | ".join(cells) + " |")
    return lines


def _seeds(part: pd.DataFrame) -> str:
    """How many seeds a mean is over, and how well it is known."""
    seeds = int(part["seeds"].min())
    if seeds < 2:
        return "one seed, so no standard error"
    return f"{seeds} seeds, standard error at most {part['se'].max():.3f}"


def _collapse_remarks(points: pd.DataFrame) -> list[str]:
    """Whether the goal is met, where the misses are, and why the rule fails for many synthetic rows."""
    is_network = points["case"].str.startswith("network")
    features, networks = points[~is_network], points[is_network]
    missed = features[features["error"].abs() > 10.0]
    mixed = features[features["fraction"] >= 0.5]
    lines = [
        f"Goal for random features: {'met' if missed.empty else '**missed**'} ({len(missed)} of {len(features)} points beyond 10 %). "
        f"Mean absolute error with at least half synthetic rows {mixed['error'].abs().mean():.1f} %, below that "
        f"{features[features['fraction'] < 0.5]['error'].abs().mean():.1f} %."
    ]
    rows = networks[networks["width"].groupby(networks["case"]).transform("nunique") == 1]
    last = rows[rows["rows"] == rows["rows"].max()].set_index("fraction")["measured"]
    if {0.0, 1.0} <= set(last.index):
        kept = last[1.0] - last[0.0]
        base = rows[rows["fraction"] == 0].set_index("rows")["measured"]
        inner = rows[(rows["fraction"] > 0) & (rows["fraction"] < 1)]
        again = base.reindex(inner["rows"]).to_numpy() + inner["fraction"].to_numpy() ** 2 * kept
        error = 100 * np.abs(again / inner["measured"].to_numpy() - 1)
        lines += [
            "",
            f"The rule takes the teacher's whole error ({rows['c2'].mean():.2f}) for c^2. A student averages much of it out: with synthetic rows "
            f"alone and the most of them it is {kept:.2f} worse than with real ones. With that as c^2 (looked at after the first seed, so not "
            f"a fair test) the rule is off by {error.mean():.1f} % on average and {error.max():.1f} % at worst for fractions between 0 and 1.",
        ]
    return lines


def draw_collapse(figure: Figure, rows: pd.DataFrame) -> None:
    """One panel a case: predicted lines and measured dots with two standard errors, where there are several seeds."""
    points = collapse_points(rows)
    cases = list(dict.fromkeys(points["case"]))
    for panel, case in zip(figure.subplots(2, 2).ravel(), cases, strict=False):
        part = points[points["case"] == case]
        across = "width" if part["width"].nunique() > 1 else "rows"
        for color, (fraction, line) in zip(COLORS, part.groupby("fraction"), strict=False):
            panel.plot(line[across], line["predicted"], color=color, label=f"{100 * fraction:g} %")
            panel.errorbar(line[across], line["measured"], yerr=2 * line["se"], fmt="o", color=color, elinewidth=0.8)
        label_axes(panel, case, across, "squared error", logs="xy")
        places = list(dict.fromkeys(part[across]))
        panel.set_xticks(places, [str(place) for place in places])
        panel.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        panel.legend(title="synthetic", fontsize=6.5, title_fontsize=6.5)
