"""MNIST's four idx files from a folder of the user's: read, checked, never downloaded."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from synthsift.records import DataError

PARTS = {"train": "train", "test": "t10k"}
IMAGES, LABELS = 2051, 2049  # magic numbers: unsigned bytes of three and of one dimension


def mnist_folder(data: Path | None) -> Path:
    """Return the folder with MNIST's files: `data`, or its `mnist` below, or the same for SYNTHSIFT_DATA.

    Raises
    ------
    DataError
        If there are no such files; the message says where to put them.
    """
    given = data if data is not None else Path(os.environ["SYNTHSIFT_DATA"]) if "SYNTHSIFT_DATA" in os.environ else None
    places = [] if given is None else [given, given / "mnist"]
    for place in places:
        if _file(place, "train", "images").exists():
            return place
    seen = "no data folder is given" if given is None else f"{given} holds no MNIST files"
    raise DataError(
        f"{seen}. Needed: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
        "t10k-labels-idx1-ubyte (also with .gz). Put them into a folder FOLDER or FOLDER/mnist and give --data FOLDER "
        "(or set SYNTHSIFT_DATA)."
    )


def read_digits(folder: Path, part: Literal["train", "test"]) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, rows, columns) uint8 and labels (n,) uint8 of one part of MNIST.

    Raises
    ------
    DataError
        If a file is missing, is no idx file, is cut short, or images and labels do not match.
    """
    images = _read(_file(folder, part, "images"), IMAGES, 3)
    labels = _read(_file(folder, part, "labels"), LABELS, 1)
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} {part} images but {len(labels)} labels; get both files anew")
    if len(labels) and labels.max() > 9:
        raise DataError(f"{folder} has the label {labels.max()} in its {part} part; digits 0 to 9 are needed")
    return images, labels


def _file(folder: Path, part: str, kind: str) -> Path:
    """The plain file, or the compressed one where there is no plain one."""
    plain = folder / f"{PARTS[part]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
    return plain if plain.exists() else plain.with_name(plain.name + ".gz")


def _read(file: Path, magic: int, dims: int) -> np.ndarray:
    """Array of one idx file."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{file} is missing; MNIST's four idx files belong into one folder") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}); get the file anew") from error
    header = 4 + 4 * dims
    found, *shape = struct.unpack(f">{1 + dims}I", content[:header]) if len(content) >= header else (0,)
    if found != magic:
        raise DataError(f"{file} is no idx file of {dims} dimensions (number {found} instead of {magic})")
    if len(content) - header != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{file} holds {len(content) - header} values but promises {shape}; get the file anew")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
