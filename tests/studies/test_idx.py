"""MNIST's files: read right, and refused when they are missing, cut short or something else."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from synthsift.records import DataError
from synthsift.studies.idx import mnist_folder, read_digits

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([3, 0, 9], dtype=np.uint8)


def write_idx(file: Path, values: np.ndarray) -> None:
    content = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", IMAGES)
    write_idx(tmp_path / "train-labels-idx1-ubyte", LABELS)
    return tmp_path


def test_plain_and_compressed_files_are_read(folder: Path) -> None:
    images, labels = read_digits(folder, "train")
    assert np.array_equal(images, IMAGES) and np.array_equal(labels, LABELS)


def test_the_folder_is_found_in_three_ways(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert mnist_folder(folder) == folder
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "mnist").symlink_to(folder)
    assert mnist_folder(outer) == outer / "mnist"
    monkeypatch.setenv("SYNTHSIFT_DATA", str(outer))
    assert mnist_folder(None) == outer / "mnist"
    monkeypatch.delenv("SYNTHSIFT_DATA")
    with pytest.raises(DataError, match=r"no data folder is given.*--data FOLDER"):
        mnist_folder(None)
    with pytest.raises(DataError, match="holds no MNIST files"):
        mnist_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", b"", "no idx file"),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 2051, 3) + b"abc", "number 2051"),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 2049, 3) + b"ab", "holds 2 values"),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 2049, 2) + b"ab", "3 train images but 2 labels"),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 2049, 3) + b"\0\1\x63", "label 99"),
        ("train-images-idx3-ubyte.gz", b"not gzip", "cannot be read"),
        ("train-images-idx3-ubyte.gz", gzip.compress(b"x" * 1000, mtime=0)[:20], "cannot be read"),
        ("train-images-idx3-ubyte.gz", gzip.compress(struct.pack(">4I", 2051, *[2**32 - 1] * 3), mtime=0), "promises"),
    ],
)
def test_a_broken_file_is_refused(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_digits(folder, "train")


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz is missing"):
        read_digits(folder, "test")


def test_the_real_files_are_mnist(shared_data: Callable[[str], Path]) -> None:
    images, labels = read_digits(mnist_folder(shared_data("mnist")), "test")
    assert images.shape == (10_000, 28, 28) and np.bincount(labels)[7] == 1028
