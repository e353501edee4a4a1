"""Arrays that are pictures come out as PNG files; everything else does not."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest

from synthsift.data.pictures import SHOWN, pictures_of
from synthsift.records import Examples


def examples(file: Path, x: np.ndarray) -> Examples:
    np.savez(file, x=x, y=np.zeros(len(x), dtype=int))
    n = len(x)
    ids = np.array([f"r{k}" for k in range(n)])
    flat = x.reshape(n, -1).astype(np.float32)
    return Examples(flat, np.zeros(n, int), ids, np.full(n, "a"), file=np.full(n, str(file)), row=np.arange(n))


def pixels(text: str) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((8, 8), (8, 8)), ((8, 6, 3), (8, 6, 3)), ((3, 8, 6), (8, 6, 3)), ((8, 8, 1), (8, 8)), ((5, 7, 4), (5, 7, 4))],
)
def test_shapes_of_pictures(tmp_path: Path, shape: tuple[int, ...], shown: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, size=(4, *shape), dtype=np.uint8)
    found = pictures_of(examples(tmp_path / "a.npz", x), [2, 0])
    assert list(found) == [2, 0]
    expected = np.moveaxis(x[2], 0, -1) if shape == (3, 8, 6) else x[2].reshape(shown)
    assert np.array_equal(pixels(found[2]), expected)


def test_numbers_are_stretched_alike_over_all_rows_shown(tmp_path: Path) -> None:
    x = np.zeros((3, 4, 4), dtype=np.float32)
    x[1], x[2] = 8.0, 16.0
    found = pictures_of(examples(tmp_path / "a.npz", x), [0, 1, 2])
    assert [int(pixels(found[k])[0, 0]) for k in range(3)] == [0, 128, 255]
    constant = pictures_of(examples(tmp_path / "b.npz", np.ones((2, 4, 4))), [0])
    assert pixels(constant[0]).max() == 0


def test_large_pictures_are_made_small(tmp_path: Path) -> None:
    x = np.zeros((1, 200, 100, 3), dtype=np.uint8)
    assert pixels(pictures_of(examples(tmp_path / "a.npz", x), [0])[0]).shape == (SHOWN, SHOWN // 2, 3)


@pytest.mark.parametrize("shape", [(64,), (8, 2), (8, 8, 5), (5000, 4), (2, 2, 2, 3)])
def test_what_is_no_picture_is_not_shown(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert pictures_of(examples(tmp_path / "a.npz", np.zeros((2, *shape), dtype=np.uint8)), [0]) == {}


def test_what_cannot_be_read_any_more_is_not_shown(tmp_path: Path) -> None:
    x = np.zeros((3, 8, 8), dtype=np.float32)
    rows = examples(tmp_path / "a.npz", x)
    assert pictures_of(rows, []) == {}
    np.savez(tmp_path / "a.npz", x=x[:1])
    assert pictures_of(rows, [2]) == {}, "the file has fewer rows now"
    np.savez(tmp_path / "a.npz", x=np.full_like(x, np.nan))
    assert pictures_of(rows, [2]) == {}
    (tmp_path / "a.npz").write_bytes(b"PK cut off")
    assert pictures_of(rows, [0]) == {}
    (tmp_path / "a.npz").unlink()
    assert pictures_of(rows, [0]) == {}
