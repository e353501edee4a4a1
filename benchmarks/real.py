"""Four real data sets, fresh seeds, the default budget: how far is the verdict's policy from the best one in hindsight?

    python -m benchmarks.real --data ../shared/data --seeds 1030 1031 1032 1033 1034 --out runs/real
    python -m benchmarks.real --sets chars-images --seeds 1030 --out runs/real    # an hour: folders of images, cnn
    python -m benchmarks.real --collect runs/real     # stores docs/results/real.parquet and chars-images.parquet

    git show fd0fcd1:docs/results/real.parquet > first.parquet    # the first report: seeds 1000 to 1002, nine runs
    python -m benchmarks.real --seeds 1000 1001 --out runs/again  # and adult with 1002
    python -m benchmarks.real --collect runs/again --beside first.parquet    # stores docs/results/real-again.parquet

Every run is the command that `examples/prepare_*.py` print and the README shows, with a seed; resumable; the test set is
opened once in each. A set whose run of a seed is missing is not reported for that seed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "docs" / "results"
SETS = ("adult", "tweets", "agnews", "chars")
IMAGES = "chars-images"  # the letters of "chars" as folders of images, for the cnn learner


def command(name: str, data: Path, work: Path, seed: int) -> list[str]:
    """Prepare a data set and return the flags of the command that its script prints, but for the output folder."""
    folder, more = work / name, []
    if name in ("chars", IMAGES):  # the draw of letters and glyphs is part of the seed
        folder, more = work / f"{name}{seed}", ["--seed", str(seed), *(["--images"] if name == IMAGES else [])]
    script = f"examples/prepare_{name.removesuffix('-images')}.py"
    line = [sys.executable, script, "--data", str(data), "--out", str(folder), *more]
    printed = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    words = shlex.split(printed.split("Now run:")[1].replace("\\\n", " "))
    return words[words.index("run") : words.index("--out")]


def run(data: Path, out: Path, seeds: list[int], sets: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for name in sets:
            folder = out / f"{name}-{seed}"
            if (folder / "summary.json").exists():
                continue
            line = [sys.executable, "-m", "synthsift", *command(name, data, out / "data", seed), "--seed", str(seed)]
            done = subprocess.run([*line, "--out", str(folder), "--quiet"], capture_output=True, text=True)
            print(folder.name, done.returncode, (done.stdout or done.stderr).strip().splitlines()[-1:], flush=True)


def collect(out: Path) -> None:
    """Store one row a set, seed and policy; of folders of images the gains with their intervals."""
    import pandas as pd

    rows, images = [], []
    for folder in sorted(out.iterdir()):
        if not (folder / "summary.json").exists():
            continue
        summary = json.loads((folder / "summary.json").read_text())
        name, seed = folder.name.rsplit("-", 1)
        verdict = summary["verdict"]
        if name == IMAGES:
            images += image_rows(summary, int(seed))
            continue
        without = without_learned(folder, summary)
        rows += [
            {
                "set": name,
                "seed": int(seed),
                "policy": test["name"],
                "test_accuracy": 100 * test["value"],
                "is_verdict": test["name"] == verdict["policy"],
                "is_without_learned": test["name"] == without,
                "use": verdict["use"],
                "evidence": verdict["evidence"],
                "splits": summary["splits"],
                "seconds": summary["seconds"]["total"],
            }
            for test in summary["test"]
        ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    for found, file in ((rows, RESULTS / "real.parquet"), (images, RESULTS / f"{IMAGES}.parquet")):
        if found:
            pd.DataFrame(found).to_parquet(file, index=False)
            print(f"{len(found)} rows -> {file}")


def compare_with(first: Path, out: Path) -> None:
    """Store the verdict's test accuracy of runs that an earlier report has, beside that of the same runs today."""
    import pandas as pd

    then, rows = pd.read_parquet(first), []
    for (name, seed), part in then[then["is_verdict"]].groupby(["set", "seed"]):
        file = out / f"{name}-{seed}" / "summary.json"
        if not file.exists():
            print(f"{file} is missing")
            continue
        summary = json.loads(file.read_text())
        policy, test = summary["verdict"]["policy"], {row["name"]: 100 * row["value"] for row in summary["test"]}
        old = part.iloc[0]
        rows.append(
            {
                "set": name,
                "seed": seed,
                "policy_then": old["policy"],
                "policy": policy,
                "test_accuracy_then": old["test_accuracy"],
                "test_accuracy": test[policy],
            }
        )
    pd.DataFrame(rows).to_parquet(RESULTS / "real-again.parquet", index=False)
    print(f"{len(rows)} runs -> {RESULTS / 'real-again.parquet'}")


def without_learned(folder: Path, summary: dict[str, Any]) -> str:
    """Return the policy that the same folds name where learned weights are no candidate; "" without predictions."""
    if not (folder / "predictions.parquet").exists():
        return ""
    import numpy as np
    import pandas as pd

    from synthsift.records import Comparison
    from synthsift.verdict import decide, verdict_seeds

    told = pd.read_parquet(folder / "predictions.parquet")
    classes = tuple(summary["data"]["classes"])
    names = [row["name"] for row in summary["comparison"] if not row["name"].startswith("Learned")]
    columns = [f"p_{label}" for label in classes]
    prob, fold = {}, np.array([])
    for name in names:
        parts = [part for _, part in told[told["policy"] == name].groupby("seed")]
        prob[name] = np.array([part[columns].to_numpy() for part in parts])
        if name == "RealOnly":
            fold, rows = np.array([part["fold"].to_numpy() for part in parts]), parts[0]
    y = rows["label"].astype(str).map({label: k for k, label in enumerate(classes)}).to_numpy()
    seeds = tuple(sorted(told["seed"].unique().tolist()))
    stopped = {name: why for name, why in summary["stopped"].items() if name in prob}
    group = rows["group"].to_numpy() if "group" in rows else None
    comparison = Comparison(y, rows["id"].to_numpy(), classes, seeds, prob, {}, stopped, fold, group)
    return decide(comparison, summary["metric"], verdict_seeds(comparison)).policy


def image_rows(summary: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """One row a policy that was judged: its gain over RealOnly with its interval, and the test accuracy."""
    test = {row["name"]: 100 * row["value"] for row in summary["test"]}
    return [
        {
            "seed": seed,
            "policy": row["name"],
            **row["gain"],
            "splits": row["n_splits"],
            "test_accuracy": test.get(row["name"], float("nan")),
            "is_verdict": row["name"] == summary["verdict"]["policy"],
            "sentence": summary["verdict"]["sentence"],
            "seconds": summary["seconds"]["total"],
        }
        for row in summary["comparison"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1030, 1031, 1032, 1033, 1034])
    parser.add_argument("--sets", nargs="+", choices=[*SETS, IMAGES], default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--collect", type=Path, help="collect the finished runs of this folder")
    parser.add_argument("--beside", type=Path, help="with --collect: rows of an earlier report to compare with")
    arguments = parser.parse_args()
    if arguments.collect and arguments.beside:
        compare_with(arguments.beside, arguments.collect)
    elif arguments.collect:
        collect(arguments.collect)
    else:
        run(arguments.data, arguments.out, arguments.seeds, arguments.sets)


if __name__ == "__main__":
    main()
