"""docs/results/drift.md and its figures, and docs/results/drift-monitor.md, from the stored tables.

Real loops: drift-loops, drift-forecasts; trained diffusion models: drift-trained; laws: drift-laws, drift-learned; the
monitor: see `benchmarks.drift_monitor`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import drift_monitor
from benchmarks.drift_cases import COVERED, MEDIAN_ERROR, REPORTED, LoopCase, fingerprint
from benchmarks.drift_collect import RESULTS, VARIANTS
from benchmarks.drift_judged import TABLE, judged, line_of, without_fresh_rows
from benchmarks.drift_laws_page import law_cases, learned_cases
from benchmarks.drift_page_figures import draw_forecasts, draw_paths
from benchmarks.drift_trained import trained_cases
from synthsift.studies.reproduction import Rebuilt, draw_files

LATE = (6, 10)  # generations over which a plan is judged
HEAD = """# Forecasts in real retraining loops

Written by `python -m benchmarks.drift --collect` from `docs/results/drift-loops.parquet` and `drift-forecasts.parquet`;
`--check` compares. Sizes and settings (`benchmarks/drift_cases.py`, hash `{hash}`) were chosen on seeds below 100; seeds from 1000 on.

Every loop retrains a generator ten times. Generation 0 learns real rows only; then each training set has a share alpha of fresh real
rows, the others are the generator's own. *Replace* trains on this round's rows alone, *accumulate* on those of all rounds. The
monitor of `synthsift drift` sees rows that are drawn besides, and real rows that the generator never saw. After generation 4
the product forecasts the drift of generation 10 (mean-feature MMD^2) with an interval of 90 %; the future shares of real rows are known.
"""
NOTES = """## What these numbers are not

- The four generators are small and cheap; they were not tuned to be good, only to be real. Their faults are those of their kind: the copula
  weakens correlations with discrete columns, the diffusion network is trained for seconds, the autoencoder blurs, and the character
  model has read too little to spell.
- "Measured" has sampling noise of its own, which the interval does not allow for; the noise floor says how much. Where the drift
  is near the floor, some misses are the measurement's.
- Real rows of the digits are few, so "fresh" ones return in later rounds; those of the other worlds do not. The rows that the monitor
  sees never train.
- Loops of one world and seed share real rows, reference and generation 0: the {loops} loops are not {loops} independent trials, and the
  intervals of the shares, which take them for that, are too narrow.
- On the development seeds the interval was a little too wide for the census rows. It rests on a guess of how many directions the errors
  have; the guess that they have as many as the sampling noise made it narrower and covered loops with errors in few directions far too
  seldom in simulations, so it was not taken. Two kinds of directions with a rho each were tried too; they forecast digits too high.
- The columns `widest` and `narrowest` of `drift-loops.parquet`, which no table here shows, look among the leading directions of real rows
  only: these loops ran before the variance guard (`spread_ratios` in `src/synthsift/drift/spread.py`) looked among all directions, the
  columns and what lies outside as well. `python -m benchmarks.drift` in an empty `--out` measures them with the guard of now.
- A forecast is compared with loops that go on as before; a change of the trainer in between is what it cannot foresee.
"""


def load() -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Stored generations and forecasts, if there are any; those of another list of cases are refused."""
    files = [RESULTS / f"drift-{name}.parquet" for name in ("loops", "forecasts")]
    if not all(file.exists() for file in files):
        return None
    loops, forecasts = map(pd.read_parquet, files)
    if set(forecasts["list"]) != {fingerprint()}:
        raise SystemExit("the stored loops belong to another list of cases; run python -m benchmarks.drift anew")
    return loops, forecasts


def goal_section(rows: pd.DataFrame) -> list[str]:
    """The goal, met or missed, by world and by fresh fraction."""
    found = judged(rows)
    covered, error = found["inside"].mean(), found["error"].median()
    words = [
        f"inside the interval in {100 * COVERED[0]:.0f} to {100 * COVERED[1]:.0f} %: "
        + ("met" if COVERED[0] <= covered <= COVERED[1] else "**missed**"),
        f"median error at most {100 * MEDIAN_ERROR:.0f} % of the larger of measured drift and noise floor: "
        + ("met" if error <= 100 * MEDIAN_ERROR else "**missed**"),
    ]
    lines = ["## The forecast of generation 10", "", "Goals: " + "; ".join(words) + ".", "", *TABLE]
    lines.append(line_of("all", found))
    for keys, name in ((["world", "kind"], "{0}, {1}"), (["alpha"], "alpha {0:g}")):
        for key, part in rows.groupby(keys):
            lines.append(line_of(name.format(*key), found.loc[part.index]))
    groups = found.groupby([rows["world"], rows["kind"], rows["alpha"]])
    few = groups["inside"].sum()[groups["inside"].mean() < COVERED[0]]
    if len(few):
        names = "; ".join(
            f"{world}, {kind}, alpha {alpha:g}: {int(hits)} of {groups.size()[world, kind, alpha]}, median signed error "
            f"{groups['signed'].median()[world, kind, alpha]:+.0f} %"
            for (world, kind, alpha), hits in few.items()
        )
        lines += ["", f"The whole hides where it fails. Kinds of loops inside less often than the goal: {names}."]
    return [*lines, "", *without_fresh_rows(rows)]


def law_section(rows: pd.DataFrame) -> list[str]:
    """What the parts of the law are worth, and the plainest guess."""
    lines = [
        "## What the forecast rests on",
        "",
        "The next generation's drift is rho (1 - alpha) times the present one, plus an error that repeats, plus one that does not. rho = 1 is",
        "the law of a trainer that makes the same error whatever it learns from. Real trainers do not: a copula fits samples of a copula, a",
        "blurred picture is blurred less by the same blur. So rho is learned from the stream (half of the prior weight on 1), and so is whether",
        "generation 0 shows the error that repeats (half on it). Taking these away again, on the same loops:",
        "",
        *TABLE,
        line_of("the product's forecast", judged(rows)),
    ]
    lines += [line_of(name, judged(rows, name)) for name in VARIANTS]
    size = np.maximum(rows["truth"], rows["floor"])
    still = 100 * (rows["now"] - rows["truth"]) / size
    lines.append(
        f"| drift stays as in generation 4 | no interval | | {still.abs().median():.0f} % | {still.median():+.0f} % | |"
    )
    moved = (rows["truth"] / rows["now"] - 1).abs() > 0.25
    apart = 100 * (judged(rows)[["error"]].assign(still=still.abs()))[moved].median() / 100
    lines += [
        "",
        f"In the {int(moved.sum())} loops whose drift changed by more than a quarter after generation 4, the median error is "
        f"{apart['error']:.0f} % for the forecast and {apart['still']:.0f} % for the guess that nothing changes.",
    ]
    return lines


def loop_section(loops: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Every loop: means over seeds."""
    lines = [
        "## Every loop",
        "",
        "Means over seeds, times 1000; the interval is the mean of both ends. *Verdicts*: how often the error was called systematic.",
        "",
        "| world | kind | alpha | seeds | gen. 0 | gen. 4 | gen. 10 | forecast | interval | inside | floor | verdicts |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    first = loops[loops["generation"] == 0].set_index(["world", "kind", "alpha", "seed"])["drift"]
    for (world, kind, alpha), part in rows.groupby(["world", "kind", "alpha"]):
        mean, found = 1000 * part[["now", "truth", "forecast", "low", "high", "floor"]].mean(), judged(part)
        systematic = (part["verdict"] == "systematic").sum()
        lines.append(
            f"| {world} | {kind} | {alpha:g} | {len(part)} | {1000 * first[world, kind, alpha].mean():.2f} | {mean['now']:.2f} | "
            f"{mean['truth']:.2f} | {mean['forecast']:.2f} | {mean['low']:.2f} to {mean['high']:.2f} | "
            f"{int(found['inside'].sum())} of {len(part)} | {mean['floor']:.2f} | {systematic} of {len(part)} |"
        )
    return lines


def monitor_section(loops: pd.DataFrame) -> list[str]:
    """Alarms, and what other measures say of the last generation."""
    lines = [
        "## What the monitor saw",
        "",
        "Generations 0, 4 and 10 were measured in every way, the others by their mean features alone. Every one of them drifts, so an alarm is",
        "right. Other measures: of generation 10, means over kinds, fractions and seeds. *Most often lost*: first of the losses named at generation",
        "10. CPU seconds: training, sampling and mean features of one generation.",
        "",
        "| world | generations that alarm | precision | recall | coverage | TV at least | most often lost | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for world, part in loops.groupby("world"):
        last = part[part["generation"] == part["generation"].max()]
        tested = part[part["alarm"].notna()]
        plain = part[part["alarm"].isna()]
        first = last["lost"].str.split("; ").str[0]
        lost = first[first != ""].mode()
        lines.append(
            f"| {world} | {int(tested['alarm'].sum())} of {len(tested)} | {last['precision'].mean():.2f} | {last['recall'].mean():.2f} | "
            f"{last['coverage'].mean():.2f} | {last['tv_bound'].mean():.2f} | {lost.iloc[0] if len(lost) else 'nothing named'} | {plain['seconds'].mean():.1f} |"
        )
    return lines


def plan_section(loops: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Plans made after generation 4 of a replace loop, held against its sisters with more fresh rows."""
    plans = rows[rows["kind"] == "replace"]
    late = loops[loops["generation"].between(*LATE) & (loops["kind"] == "replace")]
    drift = late.groupby(["world", "seed", "alpha"])["drift"].mean()
    kept, refused = {True: [], False: []}, []  # with and without fresh rows in the loop that was watched
    for _, plan in plans.iterrows():
        sisters = drift[plan["world"], plan["seed"]]
        if np.isnan(plan["planned_alpha"]):
            refused.append(sisters[sisters.index.max()] > plan["target"])
        elif (sisters.index >= plan["planned_alpha"]).any():
            first = sisters.index[sisters.index >= plan["planned_alpha"]].min()
            kept[plan["alpha"] > 0].append(sisters[first] <= plan["target"])
    without, measured = plans[plans["alpha"] == 0], rows[(rows["kind"] == "accumulate") & (rows["alpha"] == 0)]
    pairs = without.merge(measured, on=["world", "seed"])
    ratio = 100 * (pairs["accumulate_after_x"] / pairs["truth_y"]).groupby(pairs["world"]).median()
    lines = [
        "## Plans",
        "",
        f"After generation 4 of each replace loop the planner is asked for half of the present drift. It promises no fraction in {len(refused)} of",
        f"{len(plans)} loops; in {int(np.sum(refused))} of these the sister loop with the most fresh rows indeed stays above the target (mean of",
        f"generations {LATE[0]} to {LATE[1]}). Where it names a fraction, 90 % are promised; the sister loop with the next larger tested fraction stays",
        f"under the target in {_of(kept[True])} plans made in a loop with fresh rows, and in {_of(kept[False])} made in a loop without. Plans beyond the",
        "largest tested fraction are not judged. A loop that learns its own rows alone does not show what one round on fresh rows costs.",
    ]
    if len(ratio):
        words = ", ".join(f"{world} {value:.0f} %" for world, value in ratio.items())
        lines += [
            "",
            "The outlook's comparison of ways to mix takes J and kappa from such a loop and rho = 1. Of the drift that keeping all rows really had at",
            f"generation 10 (alpha 0, median) it foresaw: {words}. It is no forecast for trainers that pass on less.",
        ]
    return lines


def _of(hits: list[bool]) -> str:
    return f"{int(np.sum(hits))} of {len(hits)}"


def head(rows: pd.DataFrame) -> str:
    """What this is, which loops were run and what they cost."""
    done = {(r["world"], r["kind"], r["alpha"], r["seed"]) for _, r in rows.iterrows()}
    lines = [
        HEAD.format(hash=fingerprint()),
        "| world | generator | loops run | of | CPU minutes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for world in dict.fromkeys(case.world for case in REPORTED):
        cases: list[LoopCase] = [case for case in REPORTED if case.world == world]
        part = rows[rows["world"] == world.name]
        planned = sum(case.num_seeds for case in cases)
        lines.append(
            f"| {world.name} | {world.generator} | {len(part)} | {planned} | {part['cpu_seconds'].sum() / 60:.0f} |"
        )
    missing = sum(case.num_seeds for case in REPORTED) - len(done)
    seeds = {world: ", ".join(map(str, sorted(part["seed"].unique()))) for world, part in rows.groupby("world")}
    run = "; ".join(f"{world}: seeds {found}" for world, found in seeds.items())
    lines += [
        "",
        f"Run: {run}. "
        + (f"{missing} loops of the list were not run." if missing else "All loops of the list were run."),
    ]
    return "\n".join(lines)


def document(loops: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The page."""
    sections = [
        goal_section(rows),
        law_section(rows),
        loop_section(loops, rows),
        monitor_section(loops),
        plan_section(loops, rows),
    ]
    pictures = (
        "![Forecast against measured drift](drift-forecasts.svg)\n\n"
        "![Drift by generation in every world](drift-loops.svg)\n\n"
        "Thick lines, points and bars: the first seed, its forecast and interval; thin lines: other seeds."
    )
    texts = ["\n".join(section) for section in sections]
    laws = ["\n".join(lines) for lines in (trained_cases(), learned_cases(), law_cases()) if lines]
    return (
        "\n\n".join([head(rows), texts[0], pictures, *texts[1:], NOTES.format(loops=len(rows)).strip(), *laws]) + "\n"
    )


def pages() -> dict[Path, str]:
    """The pages of loops and of the monitor, and the figures, by file; nothing without stored loops."""
    stored = load()
    if stored is None:
        return {}
    loops, rows = stored
    figures = {
        "loops": Rebuilt("loops", "", {}, lambda figure: draw_paths(figure, loops, rows), (10.0, 6.0)),
        "forecasts": Rebuilt("forecasts", "", {}, lambda figure: draw_forecasts(figure, rows), (6.5, 4.6)),
    }
    files = {RESULTS / "drift.md": document(loops, rows), RESULTS / "drift-monitor.md": drift_monitor.page()}
    return files | {
        RESULTS / f"drift-{name}.svg": draw_files(drawn, ("svg",))["svg"].decode() for name, drawn in figures.items()
    }


def write() -> None:
    """Write the page and its figures."""
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")


def complaint() -> str | int:
    """What is not as the stored loops give it, or 0."""
    stale = [
        file.name for file, text in pages().items() if not file.exists() or file.read_text(encoding="utf-8") != text
    ]
    return (
        f"{', '.join(stale)}: not what the stored loops give; run python -m benchmarks.drift --collect" if stale else 0
    )
