"""Four real data sets, fresh seeds, the default budget: how far is the verdict's policy from the best one in hindsight?

    python -m benchmarks.real --data ../shared/data --seeds 1020 1021 1022 1023 1024 --out runs/real
    python -m benchmarks.real --collect runs/real     # stores docs/results/real.parquet

Every run is the command line's own (`synthsift run`), resumable; the test set is opened once in each. A set whose run of
a seed is missing is not reported for that seed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results"
ONE_TABLE = [
    *("--source-column", "source", "--split-column", "split", "--train-split", "seed"),
    *("--text", "text", "--label", "label", "--parent", "seed", "--parent-split", "seed"),
]


def commands(data: Path, work: Path, seed: int) -> dict[str, list[str]]:
    """The flags of each data set, and what has to be prepared before."""
    adult, chars = work / "adult", work / f"chars{seed}"
    for script, folder, more in (("adult", adult, []), ("chars", chars, ["--seed", str(seed)])):
        if not folder.exists():
            line = [sys.executable, f"examples/prepare_{script}.py", "--data", str(data), "--out", str(folder), *more]
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    census = data / "adult_generators"
    return {
        "adult": [
            *("--real", f"{census}/real_train.csv.gz", "--valid", f"{census}/real_val.csv.gz"),
            *("--test", f"{adult}/test.csv.gz", "--synthetic", f"{census}/synthetic", "--label", "income"),
            *("--max-real", "300", "--max-valid", "300", "--max-rows-per-source", "300", "--generator-saw", "train"),
        ],
        "tweets": ["--data", f"{data}/parrot_llm_text/tweet_sentiment.jsonl.gz", *ONE_TABLE, "--max-valid", "500"],
        "agnews": [
            *("--data", f"{data}/agnews_llm_aug/agnews.jsonl.gz", *ONE_TABLE),
            *("--max-real", "200", "--max-valid", "200", "--max-rows-per-source", "1000"),
        ],
        "chars": [
            *("--real", f"{chars}/real.npz", "--valid", f"{chars}/valid.npz", "--test", f"{chars}/test.npz"),
            *("--synthetic", f"{chars}/fonts.npz", "--group", "group"),
        ],
    }


def run(data: Path, out: Path, seeds: list[int], sets: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for name, flags in commands(data, out / "data", seed).items():
            folder = out / f"{name}-{seed}"
            if name not in sets or (folder / "summary.json").exists():
                continue
            line = [sys.executable, "-m", "synthsift", "run", *flags, "--metric", "accuracy", "--seed", str(seed)]
            done = subprocess.run([*line, "--out", str(folder), "--quiet"], capture_output=True, text=True)
            print(folder.name, done.returncode, (done.stdout or done.stderr).strip().splitlines()[-1:], flush=True)


def collect(out: Path) -> None:
    """Store one row a set, seed and policy."""
    import pandas as pd

    rows = []
    for folder in sorted(out.iterdir()):
        if not (folder / "summary.json").exists():
            continue
        summary = json.loads((folder / "summary.json").read_text())
        name, seed = folder.name.rsplit("-", 1)
        verdict = summary["verdict"]
        rows += [
            {
                "set": name,
                "seed": int(seed),
                "policy": test["name"],
                "test_accuracy": 100 * test["value"],
                "is_verdict": test["name"] == verdict["policy"],
                "use": verdict["use"],
                "evidence": verdict["evidence"],
                "splits": summary["splits"],
                "seconds": summary["seconds"]["total"],
            }
            for test in summary["test"]
        ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(RESULTS / "real.parquet", index=False)
    print(f"{len(rows)} rows -> {RESULTS / 'real.parquet'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1020, 1021, 1022, 1023, 1024])
    parser.add_argument("--sets", nargs="+", default=["adult", "tweets", "agnews", "chars"])
    parser.add_argument("--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--collect", type=Path, help="collect the finished runs of this folder")
    arguments = parser.parse_args()
    if arguments.collect:
        collect(arguments.collect)
    else:
        run(arguments.data, arguments.out, arguments.seeds, arguments.sets)


if __name__ == "__main__":
    main()
