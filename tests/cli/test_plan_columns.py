"""A plan says which columns it does not use and what texts and images became; a run's plan uses the run's encoder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cli_runner import synthsift

from synthsift.cli.plan_columns import column_notes
from synthsift.represent import pretrained

pytestmark = pytest.mark.usefixtures("no_pictures")


def write_rows(path: Path, count: int, seed: int, *, extra: bool = False) -> Path:
    """Rows with a number that tells the classes apart, a name a row, a constant and an empty column."""
    rng = np.random.default_rng(seed)
    lines = ["size,name,country,blank,class" + (",made" if extra else "")]
    for k in range(count):
        code = int(rng.integers(2))
        cells = [f"{rng.normal(2 * code):.4f}", f"person {seed} {k}", "here", "", "ab"[code]]
        lines.append(",".join([*cells, "x"] if extra else cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def notes_of(*words: object) -> list[str]:
    ended = synthsift("plan", *words, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)["notes"]


@pytest.mark.parametrize("kind", ["mixing", "collapse"])
def test_columns_that_are_not_used_are_named_once(tmp_path: Path, kind: str) -> None:
    real = write_rows(tmp_path / "real.csv", 120, 1)
    made = write_rows(tmp_path / "made.csv", 200, 2, extra=True)
    notes = notes_of(kind, "--real", real, "--synthetic", made, "--label", "class", "--draws", 20)
    for column, text in (
        ("'name'", "not used: 'name', text with a value of its own in nearly every row; --text name reads"),
        ("'country'", "not used: 'country', the same in all real rows"),
        ("'blank'", "columns without any value in the real rows are kept out: 'blank' hold nothing"),
        ("'made'", "columns that no real file has are kept out: only in synthetic files: 'made' in "),
    ):
        assert [note for note in notes if text in note], notes
        assert sum(column in note for note in notes) == 1


def test_columns_of_real_rows_alone_are_named_too(tmp_path: Path) -> None:
    notes = notes_of("mixing", "--real", write_rows(tmp_path / "r.csv", 120, 3), "--label", "class", "--draws", 20)
    assert any("not used: 'name'" in note for note in notes)


def test_nothing_is_said_where_every_column_is_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    lines = [f"{rng.normal(2 * (k % 2)):.3f},{['red', 'blue', 'green'][k % 3]},{'ab'[k % 2]}" for k in range(150)]
    path = tmp_path / "rows.csv"
    path.write_text("size,color,class\n" + "\n".join(lines) + "\n", encoding="utf-8")
    notes = notes_of("mixing", "--real", path, "--label", "class", "--draws", 20)
    assert not any("not used" in note or "kept out" in note or "features:" in note for note in notes)


def test_arrays_have_no_columns_to_name() -> None:
    assert column_notes(np.zeros((4, 2)), np.zeros(4, dtype=bool)) == []


class Lengths:
    """A network that knows how long a text is and whether it says yes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, texts: list[str], convert_to_numpy: bool, show_progress_bar: bool) -> np.ndarray:
        return np.array([[float(len(text)), 5.0 * ("yes" in text), float(text.count("a"))] for text in texts])


def write_texts(path: Path, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    words = ["a", "bad", "cat", "dances", "early", "for", "great", "holidays", "in", "june"]
    lines = ["body,class"]
    for _ in range(count):
        code = int(rng.integers(2))
        said = " ".join([*rng.choice(words, 6), "yes" if code ^ int(rng.random() < 0.1) else "no"])
        lines.append(f"{said},{'ab'[code]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_texts_of_files_are_said_to_be_word_counts(tmp_path: Path) -> None:
    real, made = write_texts(tmp_path / "real.csv", 90, 5), write_texts(tmp_path / "made.csv", 120, 6)
    words = ("--real", real, "--synthetic", made, "--label", "class", "--text", "body", "--draws", 20)
    assert any("main directions of words and word pairs (TF-IDF)" in note for note in notes_of("mixing", *words))


def test_a_plan_of_a_run_uses_the_encoder_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentence_transformers")
    module.__dict__["SentenceTransformer"] = Lengths
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    pretrained._load.cache_clear()
    real, made = write_texts(tmp_path / "real.csv", 90, 7), write_texts(tmp_path / "made.csv", 120, 8)
    words = ["run", "--real", real, "--synthetic", made, "--label", "class", "--text", "body", "--seeds", 1]
    words += [
        "--encoder",
        "sentence-transformers:small",
        "--policies",
        "RealOnly,Everything",
        "--out",
        tmp_path / "run",
    ]
    try:
        ended = synthsift(*words)
        assert ended.code == 0, ended.err
        ended = synthsift("plan", "mixing", tmp_path / "run", "--json")
        assert ended.code == 0, ended.err
        plan, small = json.loads(ended.out), json.loads((tmp_path / "run" / "plan.json").read_text())
        assert "features: sentence-transformers:small, the encoder of the run (3 numbers a row)" in plan["notes"]
        assert plan["curves"] == small["curves"] and plan["real_only"] > 0.8
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        ended = synthsift("plan", "mixing", tmp_path / "run")
        assert ended.code == 2 and "needs the package sentence-transformers" in ended.err
    finally:
        pretrained._load.cache_clear()
