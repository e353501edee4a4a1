"""Chosen images are copied byte by byte into class folders, whatever they are called."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from synthsift.data.export_images import copy_selected
from synthsift.records import DataError

Row = tuple[str, str, str, float]


def columns(rows: list[Row]) -> dict[str, np.ndarray]:
    names = ("file", "source", "label", "weight")
    return {name: np.array(values, dtype=object) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def made(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [str(folder / name) for name in names]


def test_images_lie_in_class_folders_beside_their_weights(tmp_path: Path) -> None:
    files = made(tmp_path / "in", "cat/1.png", "cat/sub/1.png", "dog/1.png", "cat/1.PNG")
    out = tmp_path / "out"
    out.mkdir()
    rows: list[Row] = [
        (files[0], "real", "cat", 1.0),
        (files[1], "gen", "cat", 0.5),
        (files[3], "gen", "cat", 0.1),
        (files[2], "gen", "dog", 2.0),
    ]
    assert copy_selected(columns(rows), out) == {"real": 1, "gen": 3}
    with open(out / "weights.csv", newline="", encoding="utf-8") as stream:
        listed = list(csv.DictReader(stream))
    places = ["real/cat/1.png", "gen/cat/1.png", "gen/cat/2-1.PNG", "gen/dog/1.png"]
    assert [row["file"] for row in listed] == places
    assert [float(row["weight"]) for row in listed] == [1.0, 0.5, 0.1, 2.0]
    contents = [(out / place).read_bytes().decode() for place in places]
    assert contents == ["cat/1.png", "cat/sub/1.png", "cat/1.PNG", "dog/1.png"]


@pytest.mark.parametrize("name", ["../../etc", "..", ".", "", "/root", "a/b", "a\\b", ".hidden", "weights.csv"])
def test_hostile_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "down" / "out"
    out.mkdir(parents=True)
    (file,) = made(tmp_path / "in", "1.png")
    copy_selected(columns([(file, name, "a", 1.0), (file, "gen", name, 1.0)]), out)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path.name == "1.png"]
    assert len(found) == 3
    inside = [path.relative_to(out).parts for path in found if out in path.parents]
    assert len(inside) == 2 and all(len(parts) == 3 and not parts[0].startswith(".") for parts in inside)
    assert (out / "weights.csv").is_file()


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"gone\.png cannot be copied .*moved since the run"):
        copy_selected(columns([(str(tmp_path / "gone.png"), "real", "a", 1.0)]), tmp_path / "out")
