"""News topics with rewrites by language models: drop repeated test texts, then print the command to run.

The file works as it stands, with a source and a split column; a run takes 200 of the 400 seeds as the user's real data.
Only test texts that repeat another one word for word are taken out, so every test row counts once.

    python examples/prepare_agnews.py --data ../shared/data --out data/agnews
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path
from shlex import quote

from synthsift.report.shell import command_name

FILE = "agnews.jsonl.gz"
COMMAND = """{synthsift} run \\
    --data {data} --source-column source --split-column split \\
    --train-split seed --valid-split val --test-split test \\
    --text text --label label --parent seed --parent-split seed --generator-saw train \\
    --max-real 200 --max-valid 200 --max-rows-per-source 1000 --metric accuracy --out runs/agnews"""


def run_command(out: Path) -> str:
    """Return the command that runs on the file written into `out`."""
    return COMMAND.format(synthsift=command_name(), data=quote(str(out / FILE)))


def copy_lines(source: Path, target: Path) -> Counter[str]:
    """Copy all lines but repeated test texts as they stand, and count them by source and split."""
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    with (
        gzip.open(source) as lines,
        gzip.GzipFile(target, "wb", mtime=0) as file,
    ):  # no time stamp: same bytes each time
        for line in lines:
            item = json.loads(line)
            if item["split"] == "test" and item["text"] in seen:
                continue
            seen.update([item["text"]] if item["split"] == "test" else [])
            file.write(line)
            counts[f"{item['source']}/{item['split']}"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds agnews_llm_aug")
    parser.add_argument("--out", type=Path, default=Path("data/agnews"), help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / FILE
    counts = copy_lines(arguments.data / "agnews_llm_aug" / "agnews.jsonl.gz", target)
    print(f"wrote {target}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + ". Now run:\n")
    print(run_command(arguments.out))


if __name__ == "__main__":
    main()
