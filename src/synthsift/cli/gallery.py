"""gallery.json: the synthetic rows with the highest and the lowest weights, for a human eye."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from synthsift.records import Examples, Images, Table

EACH = 6
MAX_CELLS = 12
MAX_TEXT = 500


def make_gallery(synth: Examples, classes: tuple[Any, ...], weight: np.ndarray) -> dict[str, Any] | None:
    """Return the extreme rows of tables, texts or images; None for other inputs.

    Parameters
    ----------
    synth : Examples
    classes : tuple
        Label of each code.
    weight : ndarray (n,)
        Their weights, mean 1 over all rows of the run.
    """
    if isinstance(synth.x, Table):
        kind, columns = "rows", [synth.x.texts(k) for k in range(min(len(synth.x.names), MAX_CELLS))]
    elif isinstance(synth.x, Images):
        kind, columns = "image", []
    elif synth.x.dtype == object:
        kind, columns = "text", []
    else:
        return None
    order = np.argsort(-weight, kind="stable")
    places = order if len(order) <= 2 * EACH else np.concatenate([order[:EACH], order[-EACH:]])
    items = []
    for place in places.tolist():
        item: dict[str, Any] = {
            "id": str(synth.ids[place]),
            "source": str(synth.source[place]),
            "label": str(classes[synth.y[place]]),
            "weight": float(weight[place]),
        }
        if kind == "rows":
            item["cells"] = {name: str(column[place]) for name, column in zip(synth.x.names, columns, strict=False)}
        elif kind == "image":
            item["png"] = thumbnail(synth.x, place)
        else:
            item["text"] = str(synth.x[place])[:MAX_TEXT]
        items.append(item)
    return {"kind": kind, "items": items}


def thumbnail(images: Images, place: int) -> str:
    """Return one decoded picture as base64 text of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.asarray(images[[place]])[0]).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
