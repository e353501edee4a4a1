"""What a run puts into gallery.json: both ends of every source and class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthsift.cli import gallery
from synthsift.cli.gallery import make_gallery
from synthsift.records import Examples, Table


def rows_of(x: Any, n: int = 60, sources: int = 2, classes: int = 3, **more: Any) -> Examples:
    ids = np.array([f"i{k}" for k in range(n)])
    source = np.array([f"s{k % sources}" for k in range(n)])
    return Examples(x, (np.arange(n) // sources) % classes, ids, source, **more)


def texts(n: int = 60, **more: Any) -> Examples:
    return rows_of(np.array([f"text {k}" for k in range(n)], dtype=object), n, **more)


WEIGHT = np.random.default_rng(0).permutation(60) / 30
CLASSES = ("a", "b", "c")


def made(synth: Examples, weight: np.ndarray = WEIGHT, notes: Any = None, classes: Any = CLASSES) -> dict[str, Any]:
    found = make_gallery(synth, classes, weight, "LearnedWeights", notes or {})
    assert found is not None
    return found


def test_the_ends_of_every_source_and_class_are_there_once() -> None:
    synth = texts()
    found = made(synth)
    assert (found["kind"], found["by"], found["num_pairs"]) == ("text", "LearnedWeights", 6)
    assert [(pair["source"], pair["label"], pair["rows"]) for pair in found["pairs"]] == [
        (source, label, 10) for source in ("s0", "s1") for label in "abc"
    ]
    assert len({item["id"] for item in found["items"]}) == len(found["items"]) == 36
    for source in ("s0", "s1"):
        for code, label in enumerate(CLASSES):
            mine = np.sort(WEIGHT[(synth.source == source) & (synth.y == code)])
            shown = [item for item in found["items"] if (item["source"], item["label"]) == (source, label)]
            assert [i["weight"] for i in shown if i["end"] == "highest"] == mine[::-1][:3].tolist()
            assert [i["weight"] for i in shown if i["end"] == "lowest"] == mine[:3].tolist()
            assert all(item["text"] == f"text {item['id'][1:]}" for item in shown)


def test_a_class_of_few_rows_shows_none_twice() -> None:
    for n in (1, 2, 3, 5):
        synth = texts(n, sources=1, classes=1)
        items = made(synth, np.arange(n) + np.arange(n) ** 2.0)["items"] if n > 1 else []
        assert [item["id"] for item in items] == list(dict.fromkeys(item["id"] for item in items))
        assert len(items) == (n if n > 1 else 0)


def test_without_differences_there_are_no_ends() -> None:
    assert make_gallery(texts(), CLASSES, np.zeros(60), "RealOnly", {}) is None
    assert make_gallery(texts()[:0], CLASSES, np.zeros(0), "RealOnly", {}) is None


def test_of_many_pairs_the_largest_are_shown_with_fewer_rows_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MAX_PAIRS", 4)
    monkeypatch.setitem(gallery.TOTAL, "text", 8)
    found = made(texts(60, classes=5), classes=tuple("abcde"))
    assert found["num_pairs"] == 10 and len(found["pairs"]) == 4 and len(found["items"]) == 8


def test_notes_say_value_and_rank() -> None:
    notes = {name: np.arange(60.0) for name in ("one", "two", "three", "four")}
    item = next(item for item in made(texts(), notes=notes)["items"] if item["id"] == "i30")
    assert item["notes"] == {name: [30.0, 0.5] for name in ("one", "two", "three")}


def test_tables_and_wide_arrays_are_cut_to_some_columns() -> None:
    table = Table(tuple(f"c{k}" for k in range(20)), tuple(np.arange(60.0) for _ in range(20)), (None,) * 20)
    for x in (table, np.tile(np.arange(60.0)[:, None], (1, 20)).astype(np.float32)):
        found = made(rows_of(x))
        assert found["kind"] == "rows"
        for item in found["items"]:
            assert len(item["cells"]) == 12 and item["num_more"] == 8
            assert set(item["cells"].values()) == {item["id"][1:]}


def test_long_texts_are_cut() -> None:
    synth = rows_of(np.array(["x" * 10_000] * 60, dtype=object))
    assert {len(item["text"]) for item in made(synth)["items"]} == {500}


def test_arrays_of_pictures_are_drawn_and_a_missing_file_falls_back_to_numbers(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((60, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x)
    synth = rows_of(x.reshape(60, -1), file=np.full(60, str(tmp_path / "a.npz")), row=np.arange(60))
    found = made(synth)
    assert found["kind"] == "image" and all(item["png"].startswith("iVBOR") for item in found["items"])
    (tmp_path / "a.npz").unlink()
    assert made(synth)["kind"] == "rows"
