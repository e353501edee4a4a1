"""docs/results.md and the pages in docs/results from the stored results: ``python -m benchmarks.tables`` writes them.

``--check`` compares them with what the stored results give. No number in those documents is typed by hand. Intervals of
shares are Wilson's; intervals of means over seeds are Student's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks import copied_texts, drift_page, engine_page, leaking, theory_page
from benchmarks.intervals import mean, share
from benchmarks.tables_worlds import unbalanced, worlds

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results"

HEAD = """# Results

Written by `python -m benchmarks.tables` from the Parquet files in `docs/results/`; `make results-check` compares. Settings
were fixed on seeds below 100 and are reported on fresh seeds from 1000 on.
"""


def real_sets(rows: pd.DataFrame) -> str:
    """Test accuracy by set: real only, everything, the verdict's policy, the best single policy in hindsight."""
    seeds = " ".join(map(str, sorted(rows["seed"].unique())))
    lines = [
        "## Four real data sets",
        "",
        f"`python -m benchmarks.real --seeds {seeds}`, then `--collect`. Test accuracy in percent, mean over seeds with its 95 %",
        "interval. *Best in hindsight* is the single policy with the best mean over these seeds; *regret* is its mean minus",
        "the mean of the policies that the verdicts named (paired by seed). The default budget is 5 minutes.",
        "",
        "| set | real only | everything | verdict's policy | best in hindsight | regret | verdicts | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    paired: list[pd.Series] = []
    for name, part in rows.groupby("set"):
        wide = part.pivot(index="seed", columns="policy", values="test_accuracy").dropna(axis=1)
        chosen = part[part["is_verdict"]].set_index("seed")
        best = wide.mean().idxmax()
        verdicts = ", ".join(f"{p} ({e})" for p, e in zip(chosen["policy"], chosen["evidence"], strict=True))
        regret = wide[best] - chosen["test_accuracy"]
        if part.get("is_without_learned", pd.Series(dtype=bool)).any():
            without = part[part["is_without_learned"]].set_index("seed")["test_accuracy"]
            paired.append(chosen["test_accuracy"] - without)
        seconds = part.groupby("seed")["seconds"].first()
        lines.append(
            f"| {name} | {mean(wide['RealOnly'])} | {mean(wide['Everything'])} | {mean(chosen['test_accuracy'])} | "
            f"{best} {mean(wide[best])} | {mean(regret)} | {verdicts} | {seconds.min():.0f}-{seconds.max():.0f} |"
        )
    if paired:
        less = pd.concat(paired)
        lines += [
            "",
            "The same folds decided without learned weights among the candidates: the verdict's test accuracy with them less that "
            f"without is {less.mean():+.2f} points on average, at worst {less.min():+.2f}, n = {len(less)} runs.",
        ]
    return "\n".join(lines)


def real_again(rows: pd.DataFrame) -> str:
    """The runs of the first report with today's code."""
    change = rows["test_accuracy"] - rows["test_accuracy_then"]
    sets = ", ".join(f"{name} {mean(part)}" for name, part in change.groupby(rows["set"]))
    seeds = " ".join(map(str, sorted(rows["seed"].unique())))
    return (
        f"The runs of the first report (seeds {seeds}), made again by today's code (`python -m benchmarks.real --collect FOLDER\n"
        "--beside FILE`, with the commands at its top): the test accuracy of the policy that the verdict\n"
        f"names is {mean(change)} points above what it was then, paired by run. By set: {sets}. Against\n"
        "any fixed policy the regret changed by as much in the other direction."
    )


def image_folders(rows: pd.DataFrame) -> str:
    """Gains of every policy on folders of images, for each seed."""
    lines = ["## Folders of images, with the cnn learner", ""]
    for seed, part in rows.groupby("seed"):
        lines += [
            f"`python -m benchmarks.real --sets chars-images --seeds {seed}`, then `--collect`: the letters of *chars* as images,",
            f"`--learner cnn --budget 60`; verdict and report after {part['seconds'].iloc[0] / 60:.0f} minutes. The verdict's sentence:",
            "",
            f"> {part['sentence'].iloc[0]}",
            "",
            "| policy | gain over RealOnly, points | splits | test accuracy |",
            "| --- | --- | --- | --- |",
        ]
        for row in part.sort_values("mean", ascending=False).itertuples():
            name = f"**{row.policy}**" if row.is_verdict else row.policy
            told = "0" if row.policy == "RealOnly" else f"{row.mean:+.1f} [{row.low:.1f}, {row.high:.1f}]"
            lines.append(f"| {name} | {told} | {row.splits} | {row.test_accuracy:.1f} |")
    return "\n".join(lines)


def findings(rows: pd.DataFrame) -> str:
    """How often each finding fired in clean and in planted worlds."""
    counts = rows.pivot_table(index="code", columns="world", values="fired", aggfunc="sum", sort=False).astype(int)
    num = rows.groupby("world")["seed"].nunique()
    seconds = rows.drop_duplicates(["world", "seed"])["seconds"]
    lines = [
        "## Findings of `check`",
        "",
        "`python -m benchmarks.findings`. How often each finding fired; in clean worlds (real, validation, test and synthetic rows",
        "of one law, arrays, tables with missing cells, or texts) that is a false alarm. Real digits have pixels that never change",
        "(SS145). Codes that never fired need several files, other missing cells or a generator that saw the judged rows",
        f"(`benchmarks.leaking`), which these worlds lack. CPU seconds a world: median {seconds.median():.2f}, most",
        f"{seconds.max():.1f}. The largest share of false alarms: {share(clean_alarms(rows))}.",
        "",
        "| finding | " + " | ".join(f"{world} (n = {num[world]})" for world in counts.columns) + " |",
        "| --- |" + " --- |" * len(counts.columns),
    ]
    lines += [
        f"| {code} | " + " | ".join(map(str, row)) + " |"
        for code, row in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    return "\n".join(lines)


def clean_alarms(rows: pd.DataFrame) -> np.ndarray:
    """Whether the finding with most false alarms fired, by clean world of the kind that it fired in."""
    clean = rows[rows["world"].str.startswith("clean")]
    world, code = clean.groupby(["world", "code"])["fired"].sum().idxmax()
    return clean["fired"][(clean["world"] == world) & (clean["code"] == code)].to_numpy()


def scale(rows: pd.DataFrame) -> str:
    """Time and memory on large pools."""
    lines = [
        "## Large pools",
        "",
        "`python -m benchmarks.scale`: 1,000 real rows, 64 columns, three classes, half of the synthetic labels wrong; one run each, so",
        "without intervals.",
        "",
        "| what | synthetic rows | seconds | CPU seconds | peak memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows.itertuples():
        peak = "" if np.isnan(row.peak_gib) else f"{row.peak_gib:.2f} GiB"
        lines.append(f"| {row.what} | {row.rows:,} | {row.seconds:.1f} | {row.cpu_seconds:.1f} | {peak} |")
    return "\n".join(lines)


GOALS = (  # world, way, column, at least
    ("digits_noise", "LearnedWeights", "auroc", 98),
    ("digits_flawed", "LearnedWeights", "auroc", 97),
    ("digits_noise", "LearnedWeights without", "auroc", 90),
    ("digits_flawed", "LearnedWeights without", "auroc", 90),
    ("non_local_harm", "LearnedWeights", "auroc", 90),
    ("same_law", "LearnedWeights", "effective", 80),
    ("copies", "LearnedWeights", "effective", 80),
)


def selection_goals(rows: pd.DataFrame, control: pd.DataFrame) -> str:
    """Which goals the means reach; the control's is that its interval holds 50."""
    means = 100 * rows.groupby(["world", "way"])[["auroc", "effective"]].mean()
    told = [
        f"{world}, {way}: {column} >= {least} {'met' if means.loc[(world, way), column] >= least else '**missed**'}"
        for world, way, column, least in GOALS
    ]
    values = 100 * control["auroc"].to_numpy()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    told.append(f"control at 50 {'met' if abs(values.mean() - 50) <= half else '**missed**'}")
    return "Goals (means): " + "; ".join(told) + "."


def control_parts(control: pd.DataFrame) -> str:
    """In how many permutations the weights were all equal, and what the others came to."""
    values = 100 * control["auroc"].to_numpy()
    equal = int(np.sum(values == 50))
    others = ", ".join(f"{value:.1f}" for value in np.sort(values[values != 50]))
    rest = f", the other{'s' if len(values) - equal > 1 else ''}: {others}" if others else ""
    return f"In {equal} of them the test of random labels made all weights equal{rest}."


def selection(rows: pd.DataFrame, control: pd.DataFrame) -> str:
    """Do learned weights find planted bad rows?"""
    lines = [
        "## Planted bad rows",
        "",
        "`python -m benchmarks.selection`, then `--control`. Weights of synthetic rows in worlds with planted bad rows; AUROC of good",
        'against bad rows, "without": features made of neighbors\' labels and of the trusted model left out. Effective fraction:',
        "(sum w)^2 / (m sum w^2). AUROC with the labels of the trusted rows permuted, digits noise (50 would be blind):",
        f"{mean(100 * control['auroc'])}. {control_parts(control)}",
        "",
        selection_goals(rows, control),
        "",
        "| world | way | AUROC x 100 | effective fraction x 100 | CPU s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (name, way), part in rows.groupby(["world", "way"], sort=False):
        found = mean(100 * part["auroc"]) if part["auroc"].notna().all() else "-"
        lines.append(
            f"| {name} | {way} | {found} | {mean(100 * part['effective'])} | {part['cpu_seconds'].mean():.2f} |"
        )
    return "\n".join(lines)


def inner_learners(rows: pd.DataFrame) -> str:
    """Which learner inside the meta-training orders rows best where they are pictures."""
    lines = [
        "## The learner inside the meta-training, on pictures",
        "",
        "`python -m benchmarks.inner_learners --chars FOLDER` (digits and colors need no folder). AUROC of what the meta-networks say,",
        "before their power is chosen, for good against bad rows; the network on pixels has smaller batches.",
        "",
        "| world | learner inside | AUROC x 100 | cnn's less this one's, paired | CPU s |",
        "| --- | --- | --- | --- | --- |",
    ]
    wide = 100 * rows.pivot(index=["world", "seed"], columns="learner", values="auroc")
    for (name, learner), part in rows.groupby(["world", "learner"], sort=False):
        paired = mean((wide["cnn"] - wide[learner]).loc[name]) if learner != "cnn" else ""
        lines.append(
            f"| {name} | {learner} | {mean(100 * part['auroc'])} | {paired} | {part['cpu_seconds'].mean():.1f} |"
        )
    return "\n".join(lines)


def near_texts(rows: pd.DataFrame) -> str:
    """How many edited texts are found to be copies of the texts they were made from."""
    return "\n".join(
        [
            "## Near copies of texts",
            "",
            "`python -m benchmarks.copied_texts FOLDER` with the folder of real data. Edits of real texts that are found to copy them, and",
            "real texts that look like another one; limits were chosen on the other half of the texts.",
            "",
            copied_texts.table(rows),
        ]
    )


def leaking_generators(rows: pd.DataFrame) -> str:
    """Generators that were fitted on the judged rows."""
    seeds = f"{rows['seed'].min()} to {rows['seed'].max()}"
    return "\n".join(
        [
            "## Generators that were fitted on the judged rows",
            "",
            f"`python -m benchmarks.leaking`: worlds of 100 to 500 real rows, seeds {seeds}; each generator makes ten times as many.",
            "Gains in points of accuracy, true ones on 20,000 fresh rows.",
            "",
            leaking.table(rows),
        ]
    )


def document() -> str:
    """The whole page."""
    parts = [HEAD]
    if (RESULTS / "real.parquet").exists():
        parts.append(real_sets(pd.read_parquet(RESULTS / "real.parquet")))
    if (RESULTS / "real-again.parquet").exists():
        parts.append(real_again(pd.read_parquet(RESULTS / "real-again.parquet")))
    if (RESULTS / "chars-images.parquet").exists():
        parts.append(image_folders(pd.read_parquet(RESULTS / "chars-images.parquet")))
    stored = {kind: RESULTS / f"verdicts-{kind}.parquet" for kind in ("random", "permuted", "power")}
    permuted, power = (
        pd.read_parquet(stored[kind]) if stored[kind].exists() else None for kind in ("permuted", "power")
    )
    if stored["random"].exists():
        parts.append(worlds(pd.read_parquet(stored["random"]), permuted, power))
    mix, control = (RESULTS / f"verdicts-{kind}.parquet" for kind in ("unbalanced", "unbalanced-permuted"))
    if mix.exists():
        parts.append(unbalanced(pd.read_parquet(mix), pd.read_parquet(control) if control.exists() else None))
    if (RESULTS / "findings.parquet").exists():
        parts.append(findings(pd.read_parquet(RESULTS / "findings.parquet")))
    if (RESULTS / "copied-texts.parquet").exists():
        parts.append(near_texts(pd.read_parquet(RESULTS / "copied-texts.parquet")))
    if (RESULTS / "leaking.parquet").exists():
        parts.append(leaking_generators(pd.read_parquet(RESULTS / "leaking.parquet")))
    if (RESULTS / "selection.parquet").exists():
        kinds = (RESULTS / "selection.parquet", RESULTS / "selection-control.parquet")
        parts.append(selection(*map(pd.read_parquet, kinds)))
    if (RESULTS / "inner-learners.parquet").exists():
        parts.append(inner_learners(pd.read_parquet(RESULTS / "inner-learners.parquet")))
    if (RESULTS / "scale.parquet").exists():
        parts.append(scale(pd.read_parquet(RESULTS / "scale.parquet")))
    notes = RESULTS / "notes.md"
    if notes.exists():
        parts.append(notes.read_text(encoding="utf-8").strip())
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit code 1 if they differ")
    arguments = parser.parse_args()
    stale = []
    pages = {DOCS / "results.md": document()} | theory_page.pages() | drift_page.pages() | engine_page.pages()
    for page, text in pages.items():
        if not arguments.check:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(page.relative_to(DOCS.parent).as_posix())
    if stale:
        sys.exit(f"{', '.join(stale)}: not what the stored results give; run python -m benchmarks.tables")


if __name__ == "__main__":
    main()
