"""Bad input of `check` ends in a sentence and an exit code, and no file is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_data import draw, two_files, write
from cli_runner import snapshot, synthsift

Build = Callable[[Path], list[str]]
REAL, BAD = draw(40, 1), 2


def words(folder: Path, *more: str, **given: object) -> list[str]:
    """The usual two files, or others, given to `check`, with a file for the findings."""
    run = two_files(folder, **given)  # type: ignore
    return ["check", *run[1 : run.index("--out")], "--out", str(folder / "found.json"), *more]


def array(folder: Path, name: str, value: float) -> str:
    """40 rows of three numbers, one of them `value`."""
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    x[3, 1] = value
    np.savez(folder / name, x=x, y=np.arange(40) % 2)
    return str(folder / name)


def infinite_vectors(folder: Path) -> list[str]:
    np.save(folder / "real.npy", np.full((40, 4), np.inf))
    np.save(folder / "made.npy", np.ones((40, 4)))
    pairs = [f"{folder}/{name}.csv={folder}/{name}.npy" for name in ("real", "made")]
    return words(folder, *(word for pair in pairs for word in ("--embeddings", pair)))


def no_synthetic_source(folder: Path) -> list[str]:
    data = write(folder / "all.csv", {**REAL, "who": ["real"] * 40})
    return ["check", "--data", data, "--source-column", "who", "--label", "label", "--out", str(folder / "found.json")]


def empty(folder: Path, name: str, content: str) -> list[str]:
    (folder / f"{name}.csv").write_text(content)
    return words(folder, **{"real" if name == "real" else "synthetic": folder / f"{name}.csv"})


def one_column(seed: int) -> dict[str, object]:
    return {name: column for name, column in draw(40, seed).items() if name in ("a", "label")}


CASES: dict[str, tuple[Build, str]] = {
    "no flags": (lambda f: ["check"], "no real data is named"),
    "no synthetic flag": (
        lambda f: ["check", "--real", write(f / "real.csv", REAL), "--label", "label"], "no synthetic data is named"
    ),
    "no synthetic row": (no_synthetic_source, "(?i)synthetic"),
    "missing real file": (lambda f: words(f, real=f / "rael.csv"), r"rael\.csv does not exist"),
    "missing synthetic file": (lambda f: words(f, synthetic=f / "mad.csv"), r"mad\.csv"),
    "missing test file": (lambda f: words(f, "--test", str(f / "tset.csv")), r"tset\.csv does not exist"),
    "empty real file": (lambda f: empty(f, "real", ""), r"real\.csv"),
    "real file with a header only": (lambda f: empty(f, "real", "a,b,kind,label\n"), r"real\.csv"),
    "synthetic file with a header only": (lambda f: empty(f, "made", "a,b,kind,label\n"), r"made\.csv"),
    "one class": (lambda f: words(f, real={**REAL, "label": ["no"] * 40}), "same label"),
    "nine real rows": (lambda f: words(f, real=draw(9, 1)), "at least 10 are needed"),
    "no label in common": (
        lambda f: words(f, synthetic=draw(40, 2, labels=("ja", "nein"))), "no synthetic row has a label"
    ),
    "array with NaN": (
        lambda f: words(f, real=array(f, "r.npz", np.nan), synthetic=array(f, "m.npz", 0), label="y"), "NaN or infinity"
    ),
    "array with infinity": (
        lambda f: words(f, real=array(f, "r.npz", 0), synthetic=array(f, "m.npz", np.inf), label="y"), "NaN or infinity"
    ),
    "vectors that are not finite": (infinite_vectors, "(?i)finite|NaN"),
    "texts without words": (
        lambda f: words(f, "--text", "kind", real={**REAL, "kind": ["!"] * 40}, synthetic={**REAL, "kind": ["?"] * 40}),
        "(?i)text",
    ),
    "unknown answer": (lambda f: words(f, "--generator-saw", "maybe"), "must be one of train, all, none, unknown"),
    "findings into a folder": (lambda f: [*words(f)[:-2], "--out", str(f)], "is a folder"),
    "findings into no folder": (lambda f: [*words(f)[:-2], "--out", str(f / "a" / "b.json")], "does not exist"),
    "limit of no rows": (lambda f: words(f, "--max-real", "0"), "at least 1 is needed"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_explained_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    build, pattern = CASES[name]
    arguments = build(tmp_path)
    before = snapshot(tmp_path)
    ended = synthsift(*arguments)
    assert ended.code == BAD, ended
    assert re.search(pattern, ended.err, re.DOTALL) and "Traceback" not in ended.err and ended.out == ""
    assert snapshot(tmp_path) == before


ODD: dict[str, Build] = {
    "ten real rows": lambda f: words(f, real=draw(10, 1)),
    "one synthetic row": lambda f: words(f, synthetic=draw(1, 2)),
    "one row of a class": lambda f: words(f, real={**REAL, "label": [*REAL["label"][:-1], "rare"]}),
    "all rows equal": lambda f: words(f, synthetic={n: [c[0]] * 40 for n, c in REAL.items()}),
    "one column": lambda f: words(f, real=one_column(1), synthetic=one_column(2)),
    "infinite cells": lambda f: words(f, real={**REAL, "a": ["inf", *REAL["a"][1:]]}),
    "a huge cell": lambda f: words(f, real={**REAL, "kind": ["u" * 1_000_000, *REAL["kind"][1:]]}),
    "a name that turns the line": lambda f: words(f, real={**REAL, "k\u202e\x1b[2J": [1] * 40}),
    "many sources of one row": lambda f: [
        *words(f), *(w for k in range(30) for w in ("--synthetic", f"s{k}=" + write(f / f"s{k}.csv", draw(1, k))))
    ],
    "real and synthetic are one": lambda f: words(f, synthetic=REAL),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_looked_at(tmp_path: Path, name: str) -> None:
    ended = synthsift(*ODD[name](tmp_path))
    assert ended.code == 0, ended
    assert (tmp_path / "found.json").exists()
    assert len(ended.out) < 20_000 and "\x1b" not in ended.out and "\u202e" not in ended.out
