"""`synthsift check`: what it prints and writes, its exit code, and that `run` says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_data import draw, run_folder, two_files, write
from cli_runner import leave_stale, synthsift

from synthsift.cli import check as checking
from synthsift.cli.flags import data_spec
from synthsift.data.spec import DataSpec
from synthsift.records import Finding, Severity


def check_words(folder: Path, *more: object, **files: object) -> list[str]:
    """The usual two files, given to `check`."""
    words = two_files(folder, **files)  # type: ignore
    return ["check", *words[1 : words.index("--out")], *map(str, more)]


def with_leak(folder: Path, *more: object) -> list[str]:
    """A synthetic row has the content of a test row, and the classes are mixed differently."""
    test = draw(30, 3)
    made = {name: [*column, test[name][0]] for name, column in draw(80, 2, labels=("no", "yes", "no", "no")).items()}
    return check_words(folder, "--test", write(folder / "test.csv", test), *more, real=draw(60, 1), synthetic=made)


def test_clean_files(tmp_path: Path) -> None:
    ended = synthsift(*check_words(tmp_path))
    assert (ended.code, ended.out) == (0, "Nothing found.\n")
    assert "40 real + 0 validation + 0 test rows, 40 synthetic rows from 1 source, 2 classes" in ended.err
    assert re.search(r"Looked for (less than a second|[1-9]\d* s)\.$", ended.err, re.MULTILINE), ended.err
    assert json.loads(synthsift(*check_words(tmp_path), "--json").out) == []


def test_findings_are_printed_worst_first_and_an_error_gives_code_1(tmp_path: Path) -> None:
    ended = synthsift(*with_leak(tmp_path, "--generator-saw", "train"))
    assert ended.code == 1
    heads = re.findall(r"^([A-Z]+) (SS\d+) (.+)$", ended.out, re.MULTILINE)
    assert heads[0] == ("ERROR", "SS130", "Copies of test rows")
    assert {code for _, code, _ in heads} >= {"SS130", "SS141", "SS142"}
    assert [severity for severity, _, _ in heads[1:]] == ["WARNING"] * (len(heads) - 1)
    assert "\n  Seen  1 synthetic rows (such as made:80) have" in ended.out and "\n  Why   " in ended.out
    assert ended.out.splitlines()[-1] == f"1 error, {len(heads) - 1} warnings."
    assert "\x1b" not in ended.out and max(map(len, ended.out.splitlines())) <= 120


def test_copies_do_not_make_a_generator_that_saw_the_rows(tmp_path: Path) -> None:
    """They leave the splits that judge their originals, so that `run` does not count them, either."""
    real, fresh = draw(120, 1), draw(120, 2)
    made = {name: [*column * 4, *fresh[name]] for name, column in real.items()}
    ended = synthsift(*check_words(tmp_path, "--json", real=real, synthetic=made))
    codes = {finding["code"] for finding in json.loads(ended.out)}
    assert "SS140" in codes and "SS154" not in codes
    near = {name: [*column * 4, *fresh[name]] for name, column in real.items()}
    near["a"] = [value + 0.3 * (-1) ** (k // 120) if k < 480 else value for k, value in enumerate(near["a"])]
    ended = synthsift(*check_words(tmp_path, "--json", real=real, synthetic=near))
    assert "SS154" in {finding["code"] for finding in json.loads(ended.out)}, "rows moved too far to be copies"


def test_json_and_the_file_hold_the_same(tmp_path: Path) -> None:
    file = tmp_path / "findings.json"
    leave_stale(file)
    ended = synthsift(*with_leak(tmp_path, "--json", "--out", file, "--quiet"))
    assert ended.code == 1 and ended.err == ""
    findings = json.loads(ended.out)
    assert json.loads(file.read_text()) == findings
    assert list(findings[0]) == ["code", "severity", "title", "seen", "why", "advice", "sources", "files"]
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".tmp"] == []


def test_a_run_keeps_what_check_finds(tmp_path: Path, no_pictures: None) -> None:
    words = with_leak(tmp_path, "--generator-saw", "all")
    findings = json.loads(synthsift(*words, "--json").out)
    test = ["--test", str(tmp_path / "test.csv"), "--allow-leaks", "--generator-saw", "all"]
    run = two_files(tmp_path, *test, real=tmp_path / "real.csv", synthetic=tmp_path / "made.csv")
    assert synthsift(*run).code == 0
    assert json.loads((run_folder(run) / "findings.json").read_text()) == findings


def test_two_flags_make_one_spec(tmp_path: Path) -> None:
    """Every data flag of `run` is one of `check`, and both make the same record of them."""
    import inspect

    from synthsift.cli.verbs.check import check
    from synthsift.cli.verbs.run import run

    own = {
        "out",
        "generator_saw",
        "learner",
        "policies",
        "metric",
        "seeds",
        "seed",
        "budget",
        "pca",
        "encoder",
        "config",
        "gallery",
    }
    own |= {"allow_leaks", "overwrite", "as_json", "quiet", "debug"}
    shared = [
        {n: p.default for n, p in inspect.signature(verb).parameters.items() if n not in own} for verb in (run, check)
    ]
    assert shared[0] == shared[1] and len(shared[0]) > 15
    given = {name: [name] if name in ("real", "synthetic", "embeddings") else name for name in shared[0]}
    spec = data_spec({**given, "seed": 3, "learner": "mlp"})
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    name = given.pop("id_column")
    assert spec == DataSpec(**{**given, "seed": 3, "id": name})  # type: ignore


def test_a_terminal_shows_colors_and_no_harmful_signs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    hostile = Finding(
        "SS130", Severity.error, "Copies", "row \x1b[2J\u202e[red]bold[/red] " + "word " * 60, "why", "do"
    )
    checking._print((hostile,))
    out = capsys.readouterr().out
    assert "\x1b[1;31mERROR" in out
    assert "\x1b[2J" not in out and "\u202e" not in out and "[red]bold[/red]" in out
