"""Tweet sentiment with texts by two language models: keep the splits that are needed, then print the command to run.

The 500 seed tweets are the user's real data, 500 of the validation tweets join them; the 3,600 further training tweets
of the data set are left out, as somebody with little data would not have them.

    python examples/prepare_tweets.py --data ../shared/data --out data/tweets
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path
from shlex import quote

from synthsift.report.shell import command_name

SPLITS = ("seed", "val", "test", "synthetic")
FILE = "tweets.jsonl.gz"
COMMAND = """{synthsift} run \\
    --data {data} --source-column source --split-column split \\
    --train-split seed --valid-split val --test-split test \\
    --text text --label label --parent seed --parent-split seed --generator-saw train \\
    --max-valid 500 --metric accuracy --out runs/tweets"""


def run_command(out: Path) -> str:
    """Return the command that runs on the file written into `out`."""
    return COMMAND.format(synthsift=command_name(), data=quote(str(out / FILE)))


def copy_splits(source: Path, target: Path) -> Counter[str]:
    """Copy the lines of the needed splits as they stand, and count them by source and split."""
    counts: Counter[str] = Counter()
    with (
        gzip.open(source) as lines,
        gzip.GzipFile(target, "wb", mtime=0) as file,
    ):  # no time stamp: same bytes each time
        for line in lines:
            item = json.loads(line)
            if item["split"] in SPLITS:
                file.write(line)
                counts[f"{item['source']}/{item['split']}"] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds parrot_llm_text")
    parser.add_argument("--out", type=Path, default=Path("data/tweets"), help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / FILE
    counts = copy_splits(arguments.data / "parrot_llm_text" / "tweet_sentiment.jsonl.gz", target)
    print(f"wrote {target}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + ". Now run:\n")
    print(run_command(arguments.out))


if __name__ == "__main__":
    main()
