"""Pictures made so small and plain that a copy that was saved, scaled or lit anew still looks the same.

Vectors made for learning are poor at this: gradient histograms of a re-encoded picture lie at up to half the usual
distance of neighbors. A gray picture of 16 x 16 pixels, brightness and contrast set alike, keeps copies and other
pictures well apart (docs/findings.md, SS131, has the numbers).
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE = 16  # pixels at least; at 8 other pictures come nearer, at 32 the marks of JPEG show
FAINT = 2.0  # gray levels; a picture that varies less stays near zero instead of showing its noise
CHUNK = 512  # pictures at a time, to bound memory
GRAY = np.array([299, 587, 114])  # thousandths of red, green, blue (ITU-R BT.601); whole numbers leave no rounding


def thumbnails(x: Any) -> np.ndarray:
    """Return small gray pictures of length up to 1 as vectors (n, s * s), float32.

    Parameters
    ----------
    x : array-like (n, p, p, 3) of uint8
        Whose slices numpy can read. s is p divided by the largest divisor that leaves `SIDE` pixels, or p below that.
    """
    side = x.shape[1]
    step = max(k for k in range(1, side + 1) if side % k == 0 and (k == 1 or side // k >= SIDE))
    rows = [_small(np.asarray(x[start : start + CHUNK]), step) for start in range(0, len(x), CHUNK)]
    return np.concatenate(rows) if rows else np.zeros((0, (side // step) ** 2), np.float32)


def _small(pixels: np.ndarray, step: int) -> np.ndarray:
    """Average squares of `step` pixels, then set brightness and contrast alike."""
    n, side = len(pixels), pixels.shape[1] // step
    sums = pixels.reshape(n, side, step, side, step, 3).sum(axis=(2, 4), dtype=np.int64)
    gray = (sums @ GRAY).reshape(n, -1) / (1000 * step**2)
    gray -= gray.mean(axis=1, keepdims=True)
    return (gray / np.sqrt((gray**2).sum(axis=1, keepdims=True) + (side * FAINT) ** 2)).astype(np.float32)
