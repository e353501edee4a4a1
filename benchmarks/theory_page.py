"""docs/results/theory.md and its figures, from docs/results/theory-*.parquet; `benchmarks.tables` writes and checks them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.intervals import share
from benchmarks.theory_cases import AFTERWARDS, REPORTED, VERIFIERS, fingerprint
from benchmarks.theory_page_rows import row_section
from benchmarks.theory_settings import section
from synthsift.studies.reproduction import COLORS, Rebuilt, draw_files, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parents[1] / "docs" / "results"
GAP = 1.0  # points of accuracy from which on a gain counts as one
PREDICTIONS = {
    "predicted": "given the training rows, judged on other real rows (the goal is for this one)",
    "same_points": "the same, judged on the tested rows: the theory's own error, without sampling of the judging rows",
    "rates": "as the first, but the verifier known by its two keep rates only",
    "planned": "`predict_accuracy` from class mean and spectrum measured on the training rows alone",
}
HEAD = """# Does the theory predict trained models?

Written by `python -m benchmarks.tables` from `docs/results/theory-*.parquet`; `make results-check` compares. The cases and the
goals (`benchmarks/theory_cases.py`, hash `{hash}`) were committed before the first run; development used other digit pairs,
other classes and seeds below 100; nothing is refitted. Seeds from 1000 on; {cells} of {all_cells} cells ran ({minutes:.0f} CPU minutes).
"""


def load(part: str) -> pd.DataFrame | None:
    """Stored rows of a part, if there are any; rows of another list of cases are refused."""
    file = RESULTS / f"theory-{part}.parquet"
    if not file.exists():
        return None
    rows = pd.read_parquet(file)
    if set(rows["list"]) != {fingerprint(AFTERWARDS) if part == "rows" else fingerprint()}:
        raise SystemExit(f"{file.name} belongs to another list of cases; run python -m benchmarks.theory anew")
    return rows


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


def collapse_section(rows: pd.DataFrame) -> list[str]:
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
    by_rows = load("rows")
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


NOTES = """## What these numbers are not

- The mixing cases know the label noise, and the verifier as a function that can be run on a pilot batch; a user who audits
  100 rows adds the uncertainty of the audit, which `plan` shows as an interval.
- `planned` measures class mean and spectrum on the training rows alone (40 to 250 of them) and takes the features for Gaussian:
  on texts, whose features are anything but, it is far off. Use the form that keeps the user's rows (`predict_on_points`).
- MNIST's test images are rows of the training file that nothing else saw; the inputs of the collapse part are its first 100
  principal components.
- Networks and language models are tiny: sized for two cores and minutes. A longer run would add seeds (three do not pin a
  difference below about .01 nats), more characters than 800,000 (a floor shows only where the real-only curve is below it), wider
  fractions below .01 (their floors lie under the noise here), and deeper models.
- Logistic regression is not the theory's model; its column shows how far a prediction for ridge carries.
"""


def _error(value: float) -> str:
    """A standard error, or that there is none."""
    return "one seed" if np.isnan(value) else f"{value:.3f}"


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


SECTIONS: dict[str, tuple[Any, Any, tuple[float, float]]] = {
    "mixing": (mixing_section, draw_mixing, (10.0, 11.0)),
    "collapse": (collapse_section, draw_collapse, (9.0, 7.0)),
    "text": (text_section, draw_text, (9.0, 3.8)),
}


def stored() -> dict[str, pd.DataFrame]:
    """Rows of every part that has been collected."""
    return {part: rows for part in SECTIONS if (rows := load(part)) is not None}


def document(found: dict[str, pd.DataFrame]) -> str:
    """The page."""
    cells = pd.concat([rows[["case", "seed", "seconds"]] for rows in found.values()]).drop_duplicates()
    head = HEAD.format(
        hash=fingerprint(),
        cells=len(cells),
        all_cells=sum(case.num_seeds for case in REPORTED),
        minutes=cells["seconds"].sum() / 60,
    )
    sections = ["\n".join(SECTIONS[part][0](rows)) for part, rows in found.items()]
    settings = "\n".join(section(RESULTS)).strip()
    return "\n\n".join([head.strip(), *sections, *([settings] if settings else []), NOTES.strip()]) + "\n"


def pages() -> dict[Path, str]:
    """The page and its figures by file; nothing without stored rows."""
    found = stored()
    if not found:
        return {}
    files = {RESULTS / "theory.md": document(found)}
    for part, rows in found.items():
        _, draw, size = SECTIONS[part]
        drawn = Rebuilt(part, part, {}, lambda figure, draw=draw, rows=rows: draw(figure, rows), size)
        files[RESULTS / f"theory-{part}.svg"] = draw_files(drawn, ("svg",))["svg"].decode()
    return files
