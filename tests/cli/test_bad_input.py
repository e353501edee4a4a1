"""Bad input ends in a sentence and an exit code, never in a traceback, and leaves the output folder as it was."""

from __future__ import annotations

import gzip
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_data import draw, two_files, write
from cli_runner import snapshot, synthsift

Build = Callable[[Path], list[str]]
REAL = draw(40, 1)
GOOD = [",".join(map(str, row)) for row in (tuple(REAL), *zip(*REAL.values(), strict=True))]
FOUND, BAD = 1, 2
pytestmark = pytest.mark.usefixtures("no_pictures")


def real_file(name: str, content: bytes | str, *more: str) -> Build:
    """The usual run, but the real file is called `name` and holds `content`."""

    def build(folder: Path) -> list[str]:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return two_files(folder, *more, real=folder / name)

    return build


def flags(*more: str) -> Build:
    """The usual run with more flags; ``{}`` stands for the folder."""
    return lambda folder: two_files(folder, *(word.replace("{}", str(folder)) for word in more))


def changed(**columns: Any) -> Build:
    """The usual run with other columns in the real file."""
    return lambda folder: two_files(folder, real={**REAL, **columns})


def words(*given: str) -> Build:
    """Just these words; ``{}`` stands for the folder, which holds the usual files."""

    def build(folder: Path) -> list[str]:
        two_files(folder)
        (folder / "run").mkdir()
        (folder / "run" / "mine.txt").write_text("years of work")
        return [word.replace("{}", str(folder)) for word in given]

    return build


def begun(*more: str) -> Build:
    """A run of other settings is in the folder already, not finished."""

    def build(folder: Path) -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("synthsift.cli.run.compare", fail(KeyError("stop")))
            assert synthsift(*two_files(folder, "--seed", "7")).code == 4
        return [word.replace("{}", str(folder)) for word in more] or two_files(folder)

    return build


def npz(folder: Path, name: str = "real.npz", **arrays: Any) -> str:
    """Write 40 rows of three numbers."""
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.savez(folder / name, **({"x": x, "y": np.arange(40) % 2} | arrays))
    return str(folder / name)


def arrays(*more: str, **real: Any) -> Build:
    def build(folder: Path) -> list[str]:
        given = {"real": npz(folder, **real), "synthetic": npz(folder, "made.npz")}
        return two_files(folder, *(word.replace("{}", str(folder)) for word in more), **given, label="y")

    return build


def cut(write_whole: Callable[[Path], str], **more: Any) -> Build:
    """The real file is cut off in the middle."""

    def build(folder: Path) -> list[str]:
        path = Path(write_whole(folder))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return two_files(folder, real=path, **more)

    return build


def parquet(folder: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(REAL), folder / "real.parquet")
    return str(folder / "real.parquet")


def flipped(folder: Path) -> Path:
    """A Parquet file with checksums in which one bit of a cell is another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "real.parquet"
    pq.write_table(pa.table(REAL), path, compression="none", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[120] ^= 1
    path.write_bytes(data)
    return path


def swollen(path: Path) -> Path:
    """An .npz whose array says that it has 24 TB and holds nothing."""
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    return path


def zipped(folder: Path) -> str:
    (folder / "real.csv.gz").write_bytes(gzip.compress("\n".join(GOOD).encode()))
    return str(folder / "real.csv.gz")


def config(content: str) -> Build:
    def build(folder: Path) -> list[str]:
        (folder / "settings.json").write_text(content)
        return ["run", "--config", str(folder / "settings.json"), "--out", str(folder / "run")]

    return build


def with_test(*more: str) -> Build:
    """A synthetic row has the content of a test row."""

    def build(folder: Path) -> list[str]:
        test = draw(30, 3)
        made = {name: [*column, test[name][0]] for name, column in draw(40, 2).items()}
        return two_files(folder, "--test", write(folder / "test.csv", test), *more, synthetic=made)

    return build


def fail(error: BaseException) -> Callable[..., Any]:
    """A stand-in that raises."""

    def stand_in(*arguments: object, **more: object) -> None:
        raise error

    return stand_in


ALL = ("run", "--real", "{}/real.csv", "--synthetic", "{}/made.csv", "--label", "label", "--out", "{}/run")
UNKNOWN_NAME = {"settings": {"data": {"real": ["r.csv"], "labels": "y"}, "learner": "logistic", "seeds": 3}}
WRONG_TYPE = {"data": {"real": ["r.csv"]}, "num_seeds": "five"}
CASES: dict[str, tuple[Build, int, str]] = {
    # files
    "missing file": (flags("--valid", "{}/vaild.csv"), BAD, r"vaild\.csv does not exist"),
    "missing synthetic file": (lambda f: two_files(f, synthetic=f / "mad.csv"), BAD, r"In .* there are: .*real\.csv"),
    "glob without match": (lambda f: two_files(f, synthetic=f / "gen*.csv"), BAD, "matches no file"),
    "folder as real file": (lambda f: two_files(f, real=f), BAD, "is a folder where one data file is needed"),
    "synthetic folder without tables": (
        lambda f: two_files(f, "--synthetic", str((f / "e").mkdir() or f / "e")), BAD, "a folder without data files"
    ),
    "one file twice": (lambda f: two_files(f, synthetic=f"x={f}/real.csv"), BAD, "given twice, as --real and as"),
    "unknown ending": (real_file("real.xlsx", b"PK"), BAD, "names no known format"),
    "file name that is not UTF-8": (flags("--valid", os.fsdecode(b"{}/caf\xe9.csv")), BAD, "is not UTF-8.*Rename it"),
    "empty file": (real_file("r.csv", b""), BAD, "empty \\(0 bytes\\)"),
    "header only": (real_file("r.csv", GOOD[0] + "\n"), BAD, "a header but no rows"),
    "wrong delimiter": (real_file("r.csv", "\n".join(GOOD).replace(",", ";")), BAD, "separated by semicolons"),
    "ragged rows": (real_file("r.csv", "\n".join([*GOOD[:9], "1,2", *GOOD[9:]])), BAD, "line 10 of .* has 2 cells"),
    "not UTF-8": (real_file("r.csv", "\n".join(GOOD).replace("yes", "é").encode("latin-1")), BAD, "is not UTF-8: byte"),
    "binary garbage": (real_file("r.csv", np.random.default_rng(0).bytes(3000)), BAD, "UTF-8|line 1|no column"),
    "zeros": (real_file("r.csv", bytes(3000)), BAD, r"r\.csv"),
    "cut gzip": (cut(zipped), BAD, "cut off or damaged gzip"),
    "cut parquet": (cut(parquet), BAD, "not sound Parquet"),
    "cut npz": (cut(npz, label="y"), BAD, "cut off or damaged"),
    "npz with pickle": (arrays(y=np.array([{}] * 40, dtype=object)), BAD, "only pickle could load"),
    "npz that claims more rows than it has": (
        lambda f: two_files(f, real=swollen(f / "r.npz"), label="y"), BAD, r"'x' of shape \(1000000000000, 3\) is not"
    ),
    "parquet with a flipped bit": (lambda f: two_files(f, real=flipped(f)), BAD, "CRC checksum verification failed"),
    "one line without end": (real_file("r.csv", "1.5," * 2_000_000), BAD, "begins in line 1 of .* 4,194,304 charac"),
    "one JSON list": (real_file("r.jsonl", '[{"a": 1}]'), BAD, r"holds a list.*one JSON list: .*jq -c '\.\[\]' r\."),
    "JSON number of 5,000 digits": (real_file("r.jsonl", '{"a": ' + "9" * 5000 + "}"), BAD, "line 1 .* is not JSON"),
    "NUL bytes only in rows": (real_file("r.csv", GOOD[0] + "\n" + "\0\n" * 20), BAD, "has 1 cells where the header"),
    "a pipe": (lambda f: (os.mkfifo(f / "p.csv"), two_files(f, real=f / "p.csv"))[1], BAD, "is a pipe, socket or"),
    "a device": (
        lambda f: (os.symlink("/dev/zero", f / "z.csv"), two_files(f, real=f / "z.csv"))[1], BAD, "or device; data are"
    ),
    "a link to nowhere": (
        lambda f: (os.symlink("gone", f / "l.csv"), two_files(f, real=f / "l.csv"))[1], BAD, "a link that leads nowhere"
    ),
    "a circle of links": (
        lambda f: (os.symlink("l.csv", f / "l.csv"), two_files(f, real=f / "l.csv"))[1], BAD, "link that leads nowhere"
    ),
    "a name that is too long": (lambda f: two_files(f, real=f / ("x" * 300 + ".csv")), BAD, "File name too long"),
    "NaN in arrays": (arrays(x=np.full((40, 3), np.nan)), BAD, "hold NaN or infinity"),
    "huge numbers in arrays": (
        arrays(x=np.where(np.arange(120).reshape(40, 3) == 10, 1e300, 0.5)), BAD,
        r"1 of 40 real rows .* beyond ±1e\+15 \(such as 1e\+300 in column 1\) in 'x', the first is row 3",
    ),
    "embeddings of no dimension": (
        lambda f: (np.save(f / "v.npy", np.ones((40, 0))), two_files(f, "--embeddings", f"{f}/real.csv={f}/v.npy"))[1],
        BAD,
        r"has shape \(40, 0\)",
    ),
    "huge embeddings": (
        lambda f: (
            np.save(f / "v.npy", np.full((40, 2), 1e300)),
            two_files(f, *(w for n in ("real", "made") for w in ("--embeddings", f"{f}/{n}.csv={f}/v.npy"))),
        )[1],
        BAD,
        "the embeddings of 40 rows hold NaN or infinity in single precision, such as that of 'real:0'",
    ),
    "constant arrays": (
        lambda f: two_files(
            f, real=npz(f, x=np.ones((40, 3))), synthetic=npz(f, "m.npz", x=np.ones((40, 3))), label="y"
        ),
        BAD,
        "constant; nothing can be learned",
    ),
    "arrays and tables": (lambda f: two_files(f, real=npz(f), label="y"), BAD, "no column 'y'"),
    # columns and labels
    "no label named": (words("run", "--real", "{}/real.csv", "--synthetic", "{}/made.csv", "--out", "{}/run"), BAD,
                       "--label is missing: name the column"),
    "missing label column": (lambda f: two_files(f, label="labels"), BAD, "no column 'labels'.*Did you mean 'label'"),
    "label absent in a source": (
        lambda f: two_files(f, synthetic={k: v for k, v in draw(40, 2).items() if k != "label"}),
        BAD,
        r"made\.csv.*no column 'label'",
    ),
    "label missing in a row": (changed(label=[*REAL["label"][:-1], ""]), BAD, "1 of 40 real rows .* have no label"),
    "label that is infinite": (
        lambda f: two_files(f, real=draw(40, 1, labels=(0, 1, "inf")), synthetic=draw(40, 2, labels=(0, 1))),
        BAD,
        "13 of 40 real rows .* have a label that is not finite in 'label', the first of them is data row 3",
    ),
    "one class": (changed(label=["no"] * 40), BAD, "same label 'no'.*two classes are needed"),
    "regression target": (changed(label=[k / 7 for k in range(40)]), BAD, "that is a regression target"),
    "three rows": (real_file("r.csv", "\n".join(GOOD[:4])), BAD, "there are 3 real rows.*at least 10"),
    "no text column": (flags("--text", "story"), BAD, "no column 'story'"),
    "text without words": (flags("--text", "kind"), BAD, "no word occurs in two"),
    "no group column": (flags("--group", "patient"), BAD, "no column 'patient'"),
    "a single group": (
        lambda f: two_files(f, "--group", "who", real={**REAL, "who": ["a"] * 40}), BAD, "are of one group, a; a group"
    ),
    "repeated ids": (flags("--id", "kind"), BAD, "ids must be unique"),
    "no synthetic file": (words("run", "--real", "{}/real.csv", "--label", "label", "--out", "{}/run"), BAD,
                          "no synthetic data is named"),
    "no known synthetic label": (
        lambda f: two_files(f, synthetic=draw(40, 2, labels=(0, 1))), BAD, "no synthetic row has a label"
    ),
    "one table without sources": (
        words("run", "--data", "{}/real.csv", "--label", "label", "--out", "{}/run"), BAD, "needs --source-column"
    ),
    "one table without synthetic rows": (
        lambda f: ["run", "--data", write(f / "all.csv", {**REAL, "source": ["real"] * 40}), "--label", "label",
                   "--source-column", "source", "--out", str(f / "run")],
        BAD,
        "marks no synthetic rows",
    ),
    "embeddings of wrong length": (
        lambda f: (np.save(f / "v.npy", np.ones((39, 2))), two_files(f, "--embeddings", f"{f}/real.csv={f}/v.npy"))[1],
        BAD,
        "39 vectors but .* has 40 rows",
    ),
    # settings
    "unknown learner": (flags("--learner", "forest"), BAD, "unknown learner 'forest'"),
    "learner that is not there": (flags("--learner", "no.such:Thing"), BAD, "cannot be imported"),
    "learner without sample_weight": (
        flags("--learner", "sklearn.neighbors:KNeighborsClassifier"), BAD, "KNeighborsClassifier.*sample_weight"
    ),
    "learner that is a regression": (flags("--learner", "sklearn.linear_model:Ridge"), BAD, "needed is a classifier"),
    "unknown policy": (flags("--policies", "Everything,BestSource"), BAD, "unknown policy BestSource"),
    "policy with a slip": (
        flags("--policies", "Everthing"), BAD,
        r"KNNShapley.*, and only where they are named MetaWeightNet, LearnToReweight\. Did you mean 'Everything'\?",
    ),
    "unknown metric": (flags("--metric", "f2"), BAD, "unknown metric 'f2'; known are accuracy"),
    "metric in short": (flags("--metric", "acc"), BAD, r"log_loss\. Did you mean 'accuracy'\?"),
    "negative budget": (flags("--budget", "-1"), BAD, "--budget is -1.0"),
    "endless budget": (flags("--budget", "inf"), BAD, "--budget is inf"),
    "no seeds": (flags("--seeds", "0"), BAD, "--seeds is 0; at least 1"),
    "no rows": (flags("--max-real", "0"), BAD, "--max-real is 0"),
    "half a seed": (flags("--seeds", "1.5"), BAD, "valid integer"),
    "unknown flag": (flags("--sedes", "1"), BAD, "No such option: --sedes|No such option '--sedes'"),
    "unknown verb": (words("rum"), BAD, "No such command 'rum'"),
    "no output": (words("run", "--real", "{}/real.csv"), BAD, "Missing option '--out'"),
    "config with unknown names": (config(json.dumps(UNKNOWN_NAME)), BAD, "unknown names: labels|unknown names: seeds"),
    "config of wrong type": (config(json.dumps(WRONG_TYPE)), BAD, 'num_seeds is "five", but int is needed'),
    "config that is a list": (config("[1]"), BAD, "does not hold settings of a run"),
    "config that is no JSON": (config("{"), BAD, "cannot be read"),
    # the output
    "run of other settings": (begun(), BAD, r"holds a run with other settings \(--seed: 7 there, 0 now\).*--overwrite"),
    "files of others": (words(*ALL), BAD, r"not a run of synthsift \(mine\.txt\)"),
    "files of others, overwrite": (words(*ALL, "--overwrite"), BAD, "--overwrite never removes files of others"),
    "output is a file": (lambda f: (write(f / "run", REAL), two_files(f))[1], BAD, "is a file and a folder is needed"),
    "output below a file": (lambda f: two_files(f, out="real.csv/run"), BAD, "cannot be written"),
    "export of an unfinished run": (begun("export", "{}/run", "--out", "{}/c"), BAD, "has not ended.*it is resumed"),
    "export of no run": (words("export", "{}/run", "--out", "{}/c"), BAD, "is not a run of synthsift"),
    "report of no run": (words("report", "{}/run"), BAD, "is not a finished run"),
    "report of a file": (words("report", "{}/real.csv"), BAD, "is not a finished run|not a run"),
    "copies of test rows": (with_test(), FOUND, "SS130 error: Copies of test rows.*1 synthetic rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_and_nothing_is_touched(tmp_path: Path, name: str) -> None:
    build, code, pattern = CASES[name]
    arguments = build(tmp_path)
    before = snapshot(tmp_path)
    with warnings.catch_warnings(record=True) as raw:
        warnings.simplefilter("always")
        ended = synthsift(*arguments)
    assert [str(warning.message) for warning in raw] == []
    told = " ".join(ended.err.split())
    assert ended.code == code, told
    assert re.search(pattern, told), told
    assert "Traceback" not in told and "np." not in told
    assert ended.out == ""
    assert snapshot(tmp_path) == before


# --------------------------------------------------------------------------- odd, but good enough for a verdict


HARD = ('a,"b"', "c\nd")
KEYS = ("123456789012345678901", "123456789012345678902")
ACCENTS = ("caf\u00e9", "tee", "cafe\u0301")
WORDS = ["very low", "up high", "up and low", "very high"] * 10
ESCAPES = ("\x1b[31mred", "<script>alert(1)</script>\0")
ODD: dict[str, tuple[Build, list[str]]] = {
    "all-missing column": (changed(b=[""] * 40), ["SS102"]),
    "a class with one real row": (changed(label=[*REAL["label"][:-1], "rare"]), ["SS112"]),
    "ten real rows, all policies": (lambda f: two_files(f, real=draw(10, 1), quick=()), []),
    "a label that only valid has": (
        lambda f: two_files(f, "--valid", write(f / "valid.csv", draw(9, 5, labels=("no", "yes", "new")))),
        ["SS110"],
    ),
    "test labels that are unknown": (
        lambda f: two_files(f, "--test", write(f / "test.csv", draw(9, 5, labels=("x", "y")))), ["SS111"]
    ),
    "copies of test rows, allowed": (with_test("--allow-leaks"), ["SS130"]),
    "labels with commas and line ends": (
        lambda f: two_files(f, real=draw(40, 1, labels=HARD), synthetic=draw(40, 2, labels=HARD)), []
    ),
    "spaces and other scripts in paths": (
        lambda f: two_files(f / "meine Daten 数据", out="läuft "), []
    ),
    "a path that is not UTF-8": (lambda f: two_files(f, out=os.fsdecode(b"caf\xe9")), []),
    "huge and infinite numbers": (changed(a=["1e300", "-1e400", "inf", *REAL["a"][3:]]), ["SS103"]),
    "numbers of 90 digits": (changed(a=["1e90", "-1e90", *REAL["a"][2:]]), []),
    "keys of 21 digits as labels": (
        lambda f: two_files(f, real=draw(40, 1, labels=KEYS), synthetic=draw(40, 2, labels=KEYS)), []
    ),
    "accents written in two ways": (
        lambda f: two_files(f, real=draw(40, 1, labels=ACCENTS[:2]), synthetic=draw(40, 2, labels=ACCENTS[1:])), []
    ),
    "signs that a terminal acts on": (
        lambda f: two_files(f, real=draw(40, 1, labels=ESCAPES), synthetic=draw(40, 2, labels=ESCAPES)), []
    ),
    "output inside an input folder": (
        lambda f: two_files(f, synthetic=Path(write(f / "in" / "made.csv", draw(40, 2))).parent, out="in/run"), []
    ),
    "a huge cell": (changed(kind=["u" * 1_000_000, *REAL["kind"][1:]]), []),
    "a text of 10 MB": (
        lambda f: two_files(f, "--text", "kind", real={**REAL, "kind": ["u v " * 2_500_000, *WORDS[1:]]},
                            synthetic={**draw(40, 2), "kind": WORDS}),
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_input_runs_and_the_finding_is_kept(tmp_path: Path, name: str) -> None:
    build, codes = ODD[name]
    arguments = build(tmp_path)
    ended = synthsift(*arguments)
    assert ended.code == 0 and "Warning" not in ended.err, ended.err
    assert "\x1b" not in ended.err + ended.out
    run = Path(arguments[arguments.index("--out") + 1])
    found = json.loads((run / "findings.json").read_text())
    assert [code for code in codes if code not in {finding["code"] for finding in found}] == []
    assert ("--allow-leaks" in json.loads((run / "summary.json").read_text())["verdict"]["sentence"]) == (
        "--allow-leaks" in arguments
    )
    assert (run / "report.html").exists()


def test_rows_that_lie_almost_on_test_rows_are_told_beside_the_results(tmp_path: Path) -> None:
    test, made = draw(60, 3), draw(40, 2)
    near = {name: [*made[name], *test[name]] for name in made}
    near["a"] = [*made["a"], *(value + 1e-5 for value in test["a"])]
    arguments = two_files(tmp_path, "--test", write(tmp_path / "test.csv", test), synthetic=near)
    ended = synthsift(*arguments)
    assert ended.code == 0, ended.err
    assert "lie almost on test rows (SS131), so results on the test rows may be too good" in ended.out
