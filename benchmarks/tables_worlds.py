"""The sections on simulated worlds of docs/results.md, from the stored verdicts and their truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.intervals import mean, share


def covers(rows: pd.DataFrame, name: str) -> pd.Series:
    """Whether the interval of "gain" or "everything" holds the truth."""
    return (rows[f"{name}_low"] <= rows[f"true_{name}"]) & (rows[f"true_{name}"] <= rows[f"{name}_high"])


def half_width(rows: pd.DataFrame, name: str) -> pd.Series:
    """Half-widths of the same intervals."""
    return (rows[f"{name}_high"] - rows[f"{name}_low"]) / 2


def coverage(rows: pd.DataFrame, use: pd.Series) -> list[str]:
    """Coverage and width of both intervals, a line each."""
    return [
        f"| interval of Everything - RealOnly holds the truth, all worlds | {share(covers(rows, 'everything'))} |",
        f"| its median half-width | {half_width(rows, 'everything').median():.2f} points |",
        f"| interval of the verdict's gain holds the truth, 'use' worlds | {share(covers(rows, 'gain')[use])} |",
        f"| its median half-width | {half_width(rows, 'gain')[use].median():.2f} points |",
    ]


def without_learned(rows: pd.DataFrame) -> list[str]:
    """How often the same folds give the same verdict without learned weights among the candidates."""
    same = rows["policy"] == rows["policy_unlearned"]
    said = rows["use"].astype(bool) == rows["use_unlearned"].astype(bool)
    return [
        f"| the same policy without learned weights among the candidates | {share(same)} |",
        f"| ... the same 'use' or not | {share(said)} |",
    ]


def worlds(rows: pd.DataFrame, permuted: pd.DataFrame | None, power: pd.DataFrame | None) -> str:
    """Coverage, error rates and power on random worlds."""
    use = rows["use"].astype(bool)
    regret = np.maximum(rows["best_gain"], 0) - rows["true_gain"]
    low, middle, high = np.percentile(rows["best_gain"], [5, 50, 95])
    near = rows["best_gain"].abs() <= 5
    wrong = use & (rows["true_gain"] < 0)
    first, last = rows["seed"].min(), rows["seed"].max()
    size = (rows["num_real"] + rows["num_synth"]) * rows["dim"] * rows["num_classes"]
    lines = [
        "## Simulated worlds",
        "",
        f"`python -m benchmarks.verdicts --first {first} --worlds {last - first + 1} --max-cost 1e6 --out runs/verdicts`, then",
        "`--collect runs/verdicts`; permuted and picked worlds: the commands at the top of `benchmarks/verdicts.py`. Random worlds of",
        f"300 to 2,000 real rows, the default policies, two repetitions of the 5 folds: {len(rows)} of the {last - first + 1} draws from seed {first} to {last}, those of",
        f"at most {size.max():.1e} rows x inputs x classes. Truth: accuracy of the final fits on 20,000 fresh rows. Best true gain, 5 / 50 / 95 %",
        f"of worlds: {low:.1f} / {middle:.1f} / {high:.1f} points; it lies in [-5, 5] in {int(near.sum())} worlds.",
        "",
        "| what | value |",
        "| --- | --- |",
        *coverage(rows, use),
        f"| 'use' | {share(use)} |",
        f"| 'use' although the true gain is below 0, of all worlds | {share(wrong)} |",
        f"| the same, of worlds whose best true gain lies in [-5, 5] | {share(wrong[near])} |",
        f"| 'use' where the best true gain is at least 3 points | {share(use[rows['best_gain'] >= 3])} |",
        "| ... and there are at least 1,000 real rows | "
        f"{share(use[(rows['best_gain'] >= 3) & (rows['num_real'] >= 1000)])} |",
    ]
    if power is not None:
        used = power["use"].astype(bool)
        lines.append(
            f"| ... more worlds with 1,000 and more, picked by their truth (seeds {power['seed'].min()} to "
            f"{power['seed'].max()}) | {share(used)} |"
        )
    lines.append(f"| regret of the best bet | {mean(regret)} points |")
    lines += without_learned(rows)
    if permuted is not None:
        used = permuted["use"].astype(bool)
        seeds = f"seeds {permuted['seed'].min()} to {permuted['seed'].max()}"
        lines.append(f"| 'use' with all synthetic labels permuted ({seeds}) | {share(used)} |")
        lines.append(f"| ... although the true gain is not above 0 | {share(used & (permuted['true_gain'] <= 0))} |")
    told = "Power: share of 'use' by the best true gain and the number of real rows"
    told += "." if power is None else "; worlds picked by their truth are counted in."
    curve = rows if power is None else pd.concat([rows, power])
    lines += ["", told, "", "| real rows | gain 1 to 2 points | 2 to 3 | at least 3 |", "| --- | --- | --- | --- |"]
    for least, beyond in ((300, 500), (500, 800), (800, 1000), (1000, 1400), (1400, 2001)):
        sized = curve[(curve["num_real"] >= least) & (curve["num_real"] < beyond)]
        gains = [sized["best_gain"].between(a, b, inclusive="left") for a, b in ((1, 2), (2, 3), (3, np.inf))]
        cells = " | ".join(share(sized["use"].astype(bool)[gain]) for gain in gains)
        lines.append(f"| {least}-{beyond - 1} | {cells} |")
    return "\n".join(lines)


def unbalanced(rows: pd.DataFrame, permuted: pd.DataFrame | None) -> str:
    """The same worlds with classes of very different sizes, judged by balanced accuracy."""
    use, many = rows["use"].astype(bool), rows["best_gain"] >= 3
    low, middle, high = np.percentile(rows["best_gain"], [5, 50, 95])
    regret = np.maximum(rows["best_gain"], 0) - rows["true_gain"]
    first, last = rows["seed"].min(), rows["seed"].max()
    lines = [
        "## Simulated worlds with unbalanced classes",
        "",
        f"`python -m benchmarks.verdicts --first {first} --worlds {last - first + 1} --max-cost 2.5e5 --unbalanced --out runs/mix`, then `--collect",
        "runs/mix --kind unbalanced`. The largest class is 3.5 to 30 times as frequent as the smallest, the synthetic rows have the same",
        "mix or equally many of each class; gains and truth in balanced accuracy, for which all models, RealOnly's too, are trained with",
        "classes of the same total weight (docs/decisions/0009, 0010). Worlds that need more than that cost are left out; "
        f"{len(rows)} worlds.",
        f"Best true gain, 5 / 50 / 95 % of worlds: {low:.1f} / {middle:.1f} / {high:.1f} points.",
        "",
        "| what | value |",
        "| --- | --- |",
        *coverage(rows, use),
        f"| 'use' | {share(use)} |",
        f"| 'use' although the true gain is below 0, of all worlds | {share(use & (rows['true_gain'] < 0))} |",
        f"| 'use' where the best true gain is at least 3 points | {share(use[many])} |",
        f"| regret of the best bet | {mean(regret)} points |",
        *without_learned(rows),
    ]
    if permuted is not None:
        used = permuted["use"].astype(bool)
        seeds = f"seeds {permuted['seed'].min()} to {permuted['seed'].max()}, at most 1.2e5"
        lines.append(f"| 'use' with all synthetic labels permuted ({seeds}) | {share(used)} |")
        lines.append(f"| ... although the true gain is not above 0 | {share(used & (permuted['true_gain'] <= 0))} |")
    return "\n".join(lines)
