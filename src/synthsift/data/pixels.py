"""Rows of an array that are small pictures, as PNG for a page."""

from __future__ import annotations

import base64
import io

import numpy as np

LARGEST = 128  # pixels a side


def is_picture(row_shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape can be shown: height x width, with 1 or 3 channels last where there are channels."""
    sides = row_shape[:2]
    flat = len(row_shape) == 2 or (len(row_shape) == 3 and row_shape[2] in (1, 3))
    return flat and min(sides) >= 4 and max(sides) <= LARGEST


def png_text(row: np.ndarray, low: float, high: float) -> str:
    """A row (h, w) or (h, w, 1 or 3) as base64 text of a PNG; `low` becomes black and `high` white."""
    from PIL import Image

    scale = max(high - low, 1e-12)
    values = np.clip(255 * (row.astype(np.float64) - low) / scale, 0, 255).astype(np.uint8)
    picture = Image.fromarray(values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
