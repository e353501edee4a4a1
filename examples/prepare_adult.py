"""Census income with 16 generators: take the twins out of the test rows, then print the command to run.

The census file holds a few people twice. Where one of the two is a training, validation or synthetic row, the test row
is taken out, because a copy of a test row in the training data stops a run.

    python examples/prepare_adult.py --data ../shared/data --out data/adult
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from pathlib import Path
from shlex import quote

from synthsift.report.shell import command_name

FOLDER, TEST = "adult_generators", "test.csv.gz"
COMMAND = """{synthsift} run \\
    --real {source}/real_train.csv.gz --valid {source}/real_val.csv.gz \\
    --test {test} --synthetic {source}/synthetic --label income --metric accuracy \\
    --max-real 300 --max-valid 300 --max-rows-per-source 300 --generator-saw train --out runs/adult"""


def run_command(data: Path, out: Path) -> str:
    """Return the command that runs on the files of `data` and on the test rows written into `out`."""
    return COMMAND.format(synthsift=command_name(), source=quote(str(data / FOLDER)), test=quote(str(out / TEST)))


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a gzipped CSV file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def features(row: list[str]) -> tuple[str, ...]:
    """Return a row without its label, which stands last."""
    return tuple(row[:-1])


def without_twins(source: Path) -> tuple[list[str], list[list[str]], int]:
    """Return the test rows that no training, validation or synthetic row equals, and how many were taken out."""
    others = [
        source / "real_train.csv.gz",
        source / "real_val.csv.gz",
        *sorted((source / "synthetic").glob("*.csv.gz")),
    ]
    seen = {features(row) for path in others for row in read_rows(path)[1]}
    header, rows = read_rows(source / "real_test.csv.gz")
    kept = [row for row in rows if features(row) not in seen]
    return header, kept, len(rows) - len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds adult_generators")
    parser.add_argument("--out", type=Path, default=Path("data/adult"), help="folder to write to")
    arguments = parser.parse_args()
    source = arguments.data / FOLDER
    header, rows, taken_out = without_twins(source)
    arguments.out.mkdir(parents=True, exist_ok=True)
    test = arguments.out / TEST
    with gzip.GzipFile(test, "wb", mtime=0) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])  # no time stamp: same bytes each time
    print(f"wrote {test}: {len(rows):,} test rows, {taken_out} twins taken out. Now run:\n")
    print(run_command(arguments.data, arguments.out))


if __name__ == "__main__":
    main()
