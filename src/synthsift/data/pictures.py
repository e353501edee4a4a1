"""Arrays that are pictures, as small PNG files for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthsift.data.arrays import NUMERIC, read_npz
from synthsift.records import DataError, Examples

SHOWN = 64  # pixels of the longer side; larger pictures are made smaller
SIDES = (4, 4096)  # pixels that a side of a picture has
CHANNELS = (1, 3, 4)


def pictures_of(examples: Examples, places: Sequence[int]) -> dict[int, str]:
    """Return rows as base64 text of PNG files; {} where they are no pictures.

    Inputs that are no array are taken for decoded pictures: ``np.asarray(x[places])`` (n, height, width, 3) of uint8.
    Arrays were flattened when they were read, so their .npz files are read again. Such an array holds pictures when
    its rows are (height, width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels. Bytes
    are taken as they are; other numbers are stretched from the lowest to the highest value among the rows shown, the
    same for all of them.

    Parameters
    ----------
    examples : Examples
        Its `file` and `row` say where a row lies.
    places : sequence of int
        Rows to draw.
    """
    at = np.asarray(places)
    if not isinstance(examples.x, np.ndarray):
        return {place: png_text(array) for place, array in zip(at.tolist(), np.asarray(examples.x[at]), strict=True)}
    if examples.file is None or examples.row is None or not len(places):
        return {}
    drawn: dict[int, np.ndarray] = {}
    for file in dict.fromkeys(examples.file[at].tolist()):
        mine = at[examples.file[at] == file]
        arrays = _rows_of(Path(file), examples.row[mine])
        if arrays is None:
            return {}
        drawn |= dict(zip(mine.tolist(), arrays, strict=True))
    low = min(float(array.min()) for array in drawn.values())
    high = max(float(array.max()) for array in drawn.values())
    return {place: png_text(_to_bytes(array, low, high)) for place, array in drawn.items()}


def _rows_of(file: Path, rows: np.ndarray) -> list[np.ndarray] | None:
    """Rows of one archive, channels last; None where they cannot be read or are no pictures."""
    if file.suffix.lower() != ".npz":
        return None
    try:
        x = read_npz(file, ()).x
    except (DataError, OSError):  # gone or changed since it was read: the report does without
        return None
    if x is None or not _is_picture(x) or rows.max() >= len(x):
        return None
    chosen = x[rows]
    if chosen.ndim == 4 and chosen.shape[-1] not in CHANNELS:
        chosen = np.moveaxis(chosen, 1, -1)
    return list(chosen) if chosen.dtype.kind != "f" or np.isfinite(chosen).all() else None


def _is_picture(x: np.ndarray) -> bool:
    """True for rows of a picture's shape."""
    if x.dtype.kind not in NUMERIC or x.ndim not in (3, 4):
        return False
    sides = x.shape[1:]
    if x.ndim == 4:
        if sides[-1] in CHANNELS:
            sides = sides[:-1]
        elif sides[0] in CHANNELS:
            sides = sides[1:]
        else:
            return False
    return all(SIDES[0] <= side <= SIDES[1] for side in sides)


def _to_bytes(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """Grey levels or colors as uint8, between common ends."""
    if array.dtype == np.uint8:
        return array
    return np.rint(255 * (array.astype(np.float64) - low) / max(high - low, 1e-12)).astype(np.uint8)


def png_text(array: np.ndarray) -> str:
    """Return a picture (height, width) or (height, width, 1, 3 or 4) of uint8 as base64 text of a PNG file."""
    from PIL import Image

    flat = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    picture = Image.fromarray(np.ascontiguousarray(flat))
    picture.thumbnail((SHOWN, SHOWN))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
