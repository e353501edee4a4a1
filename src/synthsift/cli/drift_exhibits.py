"""A few raw rows of the real data and of every generation, for a human eye."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthsift.data.generations import Rows, Shape
from synthsift.data.pixels import is_picture, png_text
from synthsift.records import Images, Table
from synthsift.seeds import Seeds

EACH, EACH_PICTURE = 6, 20
MAX_CELLS = 10
MAX_TEXT = 400


def exhibit(rows: Rows, shape: Shape, name: str, seed: int) -> dict[str, Any]:
    """A few rows, drawn at random, as a page can show them.

    Parameters
    ----------
    rows : Rows
        Real or generated ones.
    shape : Shape
        Of the stream's files.
    name : str
        What they are called.
    seed : int
        Of the draw.

    Returns
    -------
    dict
        ``name``, ``kind`` ("rows", "text" or "image") and ``items``, each with its label and content; JSON-safe.
    """
    pictured = isinstance(rows.x, Images) or (isinstance(rows.x, np.ndarray) and is_picture(shape.row_shape))
    order = Seeds(seed).child("exhibit", name).numpy("rows").permutation(len(rows.x))
    some = np.sort(order[: EACH_PICTURE if pictured else EACH])
    labels = [""] * len(some) if rows.labels is None else [str(rows.labels[k]) for k in some]
    content: list[Any]
    if isinstance(rows.x, Images):
        kind, content = "image", [png_text(row, 0, 255) for row in np.asarray(rows.x[some])]
    elif isinstance(rows.x, Table):
        kind, texts = "rows", [rows.x.texts(c) for c in range(min(len(rows.x.names), MAX_CELLS))]
        content = [{n: str(t[k])[:MAX_TEXT] for n, t in zip(rows.x.names, texts, strict=False)} for k in some]
    elif rows.x.dtype == object:
        kind, content = "text", [str(rows.x[k])[:MAX_TEXT] for k in some]
    elif pictured:
        low, high = (0.0, 1.0) if shape.is_bytes else (float(rows.x.min()), float(rows.x.max()))
        kind, content = "image", [png_text(rows.x[k].reshape(shape.row_shape), low, high) for k in some]
    else:
        kind = "rows"
        content = [{f"column {c}": f"{v:.4g}" for c, v in enumerate(rows.x[k][:MAX_CELLS])} for k in some]
    return {
        "name": name,
        "kind": kind,
        "items": [{"label": b, "content": c} for b, c in zip(labels, content, strict=True)],
    }
