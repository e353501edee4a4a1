"""The acceptance cases of the drift specification as a part of docs/results/drift.md, from what `drift_laws` and `drift_learned` stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drift_exact import Row
from benchmarks.drift_learned import CHOICES, QUANTITIES, REPORTED

RESULTS = Path(__file__).parents[1] / "docs" / "results"
LAWS, LEARNED = RESULTS / "drift-laws.parquet", RESULTS / "drift-learned.parquet"
TITLES = {
    "laws": "7.1 laws",
    "closed_forms": "7.2 closed forms",
    "gaussian_limits": "7.2 Gaussian loops",
    "refresh": "7.3 refresh ratios",
    "one_round": "one round on the grid",
    "bounds": "7.4 identities and bounds, every round",
    "recursion": "full recursion",
    "tilt": "tilt recursion, 1-D",
    "plane": "tilt recursion, 2-D",
    "gaussian": "Gaussian loops, drawn",
    "first_order": "first-order law, drawn",
    "truncation": "truncation, drawn",
    "null": "null values, drawn",
    "estimators": "estimators",
    "paths": "Monte Carlo of a round",
    "monitor": "monitor",
}

DRAWS, GROUP = 2000, 5  # bootstrap of medians of so many seeds


def store(section: str, rows: Sequence[Row], seed: int) -> None:
    """Put a section in place of what is stored of it; the planner is no case of section 7 and has its own page."""
    if section not in TITLES:
        return
    new = pd.DataFrame([row._asdict() | {"agrees": row.agrees, "section": section, "seed": seed} for row in rows])
    old = pd.read_parquet(LAWS) if LAWS.exists() else new.iloc[:0]
    kept = [part for part in (old[old["section"] != section], new) if len(part)]
    both = pd.concat(kept, ignore_index=True)
    order = both["section"].map(list(TITLES).index)
    both.iloc[np.argsort(order, kind="stable")].reset_index(drop=True).to_parquet(LAWS, index=False)


def _number(value: float, *, digits: bool) -> str:
    return "infinite" if math.isinf(value) else f"{value:.7g}" if digits else f"{value:.5g}"


def _line(row: pd.Series) -> str:
    error = "" if math.isnan(row["error"]) else f" ± {row['error']:.2g}"
    tolerance = f"{row['tolerance']:.2g}" if math.isfinite(row["tolerance"]) else ""
    n = f"{row['n']:,}" if row["n"] else ""
    met = "met" if row["agrees"] else "**missed**"
    law, measured = (_number(row[part], digits=math.isnan(row["error"])) for part in ("law", "measured"))
    name = row["name"].replace("|", "\\|")
    return f"| {name} | {law} | {measured}{error} | {tolerance} | {n} | {met} |"


def law_cases() -> list[str]:
    """Every case of section 7 but the learned scores; nothing if none is stored."""
    if not LAWS.exists():
        return []
    rows = pd.read_parquet(LAWS)
    seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
    lines = [
        "## The laws, case by case",
        "",
        "Written by `python -m benchmarks.drift_laws --seed 1000 --store` (`docs/results/drift-laws.parquet`, seed "
        f"{seeds}): the acceptance cases of the",
        "drift specification, section 7. *Law*: the number or formula of the specification. *Tolerance*: half a unit of the last digit that it",
        "prints (1e-6 where that is exact), the per cent it allows, or 3 to 4 standard errors where runs are drawn, all in absolute terms.",
        "Wider: 5 % more for first-order laws, 30 % for mean forecasts, 83 to 100 % give or take 3 standard errors for their intervals, one spread of the",
        "specification's own for estimators, whose basis it leaves open. The planner: [drift-monitor.md](drift-monitor.md).",
        f"Met: {int(rows['agrees'].sum())} of {len(rows)}.",
        "",
        "| part | cases | met | n (runs, rounds or rows) |",
        "| --- | --- | --- | --- |",
    ]
    for section, part in rows.groupby("section", sort=False):
        n = part["n"].max()
        lines.append(
            f"| {TITLES[section]} | {len(part)} | {int(part['agrees'].sum())} | {f'{n:,}' if n else 'no sampling'} |"
        )
    missed = rows[~rows["agrees"]]
    if len(missed):
        names = "; ".join(f"{TITLES[row['section']]}, {row['name']}" for _, row in missed.iterrows())
        lines += ["", f"Missed: {names}."]
    for section, part in rows.groupby("section", sort=False):
        lines += ["", f"### {TITLES[section][0].upper()}{TITLES[section][1:]}", ""]
        lines += ["| case | law | measured | tolerance | n | |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [_line(row) for _, row in part.iterrows()]
    return lines


def held(values: np.ndarray, law: float, rng: np.random.Generator) -> bool:
    """Whether a law lies among the middle 95 % of medians of five of the values (s,)."""
    medians = np.median(rng.choice(values, (DRAWS, GROUP)), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    # The specification prints three digits.
    return bool(low - 0.005 * law <= law <= high + 0.005 * law)


def learned_cases() -> list[str]:
    """The loops of learned scores under each guess; nothing if none is stored."""
    if not LEARNED.exists():
        return []
    rows, rng = pd.read_parquet(LEARNED), np.random.default_rng(0)
    whole = rows[rows["failed"] == ""]
    fails = [name for name in rows.columns if name.startswith("fails: ")]
    rounds = 10 * len(whole)
    broken = {name.removeprefix("fails: "): int(whole[name].sum()) for name in fails}
    said = "; ".join(f"{name}: {count}" if count else name for name, count in broken.items())
    kept = (
        f"no round breaks any of these (of {rounds:,})"
        if not any(broken.values())
        else f"rounds of {rounds:,} that break"
    )
    lines = [
        "## Scores learned from rows",
        "",
        "Written by `python -m benchmarks.drift_learned` and `--collect` (`docs/results/drift-learned.parquet`). The specification reports loops",
        "whose scores are learned by implicit score matching with ten features from n rows a round, as medians of five seeds; it does not say",
        "which features, noise levels, ridge or grid. Three guesses, with settings from seeds below 100, on "
        f"{whole['seed'].nunique()} seeds from {whole['seed'].min()} on. A number counts as",
        "*held* if it lies among the middle 95 % of medians of five seeds. Loops that the grid could not hold: "
        f"{int((rows['failed'] != '').sum())} of {len(rows)}.",
        "",
        f"Laws and bounds, {kept}: {said}.",
        "",
        "| n | alpha | | " + " | ".join(QUANTITIES) + " | held |",
        "| --- | --- | --- | " + " | ".join("---" for _ in QUANTITIES) + " | --- |",
    ]
    totals, at_all = dict.fromkeys(CHOICES, 0), 0
    for (n, alpha), laws in REPORTED.items():
        lines.append(f"| {n:,} | {alpha} | *specification* | " + " | ".join(f"{law:.3g}" for law in laws) + " | |")
        any_held = np.zeros(len(QUANTITIES), bool)
        for number, choice in enumerate(CHOICES, start=1):
            part = whole[(whole["choice"] == choice) & (whole["num_rows"] == n) & (whole["alpha"] == alpha)]
            hits = np.array([held(part[q].to_numpy(), law, rng) for q, law in zip(QUANTITIES, laws, strict=True)])
            any_held |= hits
            totals[choice] += int(hits.sum())
            cells = [f"{part[q].median():.3g}{'' if hit else ' ✗'}" for q, hit in zip(QUANTITIES, hits, strict=True)]
            lines.append(
                f"| | | guess {number}, {len(part)} seeds | "
                + " | ".join(cells)
                + f" | {int(hits.sum())} of {len(hits)} |"
            )
        at_all += int(any_held.sum())
    count = len(QUANTITIES) * len(REPORTED)
    lines += ["", "✗: not held. Guesses:", ""]
    lines += [f"{k}. {choice}: {totals[choice]} of {count} numbers held." for k, choice in enumerate(CHOICES, start=1)]
    return [*lines, "", f"By at least one of the guesses: {at_all} of {count}.", "", *_readings(whole)]


def _readings(whole: pd.DataFrame) -> list[str]:
    """What the specification reads from its table, guess by guess."""
    lines = [
        "What the specification reads from its table, by guess: more rows shrink the score error but leave the model's own, so kappa rises",
        "with n, and the discounted sum falls short by more. Medians, and in how many seeds:",
        "",
        "| alpha | guess | kappa at 2,000 | kappa at 16,000 | it rises in | D/discounted rises in |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for alpha in sorted({alpha for _, alpha in REPORTED}):
        for number, choice in enumerate(CHOICES, start=1):
            part = whole[(whole["choice"] == choice) & (whole["alpha"] == alpha)]
            few, many = (part[part["num_rows"] == n].set_index("seed") for n in (2000, 16000))
            both = few.index.intersection(many.index)
            rises = [int((many.loc[both, q] > few.loc[both, q]).sum()) for q in ("kappa", "D/discounted")]
            medians = f"{few['kappa'].median():.2f} | {many['kappa'].median():.2f}"
            lines.append(f"| {alpha} | {number} | {medians} | {rises[0]} of {len(both)} | {rises[1]} of {len(both)} |")
    return lines
