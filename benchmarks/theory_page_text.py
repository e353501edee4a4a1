"""The part of docs/results/theory.md on character models that read samples of an earlier one, and its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from synthsift.studies.reproduction import COLORS, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def text_points(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a case, fraction and checkpoint: means over seeds."""
    keys = ["case", "fraction", "tokens"]
    points = rows.groupby(keys, sort=False)[["predicted", "measured", "c2", "generator_loss"]].mean()
    points["se"] = rows.groupby(keys, sort=False)["measured"].sem()
    points["seeds"] = rows.groupby(keys, sort=False)["seed"].nunique()
    return points.reset_index()


def text_section(rows: pd.DataFrame) -> list[str]:
    """Character models on mixes of real text and an earlier model's samples."""
    points = text_points(rows)
    last = points["tokens"].max()
    lines = [
        "## A character model that reads samples of an earlier one",
        "",
        "LSTMs that read tinyshakespeare once, a fraction of it replaced by samples of an earlier LSTM; loss on real text in nats a",
        "character. *Rule*: real-only loss at the same length + p_2^2 (generator's loss - real-only loss at the end). It is a guess by",
        "analogy with the squared loss: there is no theorem for this model.",
        "",
        "| model | seeds | fraction | loss at the end | over real only | rule says over | +- |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case, part in points[points["tokens"] == last].groupby("case", sort=False):
        clean = float(part.loc[part["fraction"] == 0, "measured"].iloc[0])
        for _, row in part.iterrows():
            lines.append(
                f"| {case} | {row['seeds']} | {row['fraction']:g} | {row['measured']:.3f} | {row['measured'] - clean:+.3f} | "
                f"{row['predicted'] - clean:+.3f} | {_error(row['se'])} |"
            )
        lines.append(
            f"| {case} | {part['seeds'].iloc[0]} | generator itself | {part['generator_loss'].iloc[0]:.3f} | | | |"
        )
    return [*lines, "", "![Loss on real text against characters read](theory-text.svg)"]


def _error(value: float) -> str:
    """A standard error, or that there is none."""
    return "one seed" if np.isnan(value) else f"{value:.3f}"


def draw_text(figure: Figure, rows: pd.DataFrame) -> None:
    """One panel a model: measured curves with dots, the rule dashed."""
    points = text_points(rows)
    cases = list(dict.fromkeys(points["case"]))
    for panel, case in zip(figure.subplots(1, len(cases), sharey=True, squeeze=False)[0], cases, strict=True):
        part = points[points["case"] == case]
        for color, (fraction, line) in zip(COLORS, part.groupby("fraction"), strict=False):
            panel.plot(line["tokens"], line["measured"], "o-", color=color, label=f"{100 * fraction:g} %")
            panel.plot(line["tokens"], line["predicted"], "--", color=color)
        panel.axhline(part["generator_loss"].iloc[0], color="#555555", linewidth=0.8, linestyle=":")
        label_axes(panel, f"{case} (dashed: rule; dotted: generator)", "characters read", "nats a character", logs="x")
        places = list(dict.fromkeys(part["tokens"]))
        panel.set_xticks(places, [f"{place:,}" for place in places])
        panel.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        panel.legend(title="synthetic")
