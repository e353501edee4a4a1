"""Images to vectors for watching a generator: shape, color and tone, each with the same say.

Gradient histograms alone are made to ignore light and color, which is right for telling classes apart and wrong for a
monitor: a generator whose colors bleach or whose edges blur would look healthy. So three blocks stand side by side:
the histograms (324 numbers), the mean of red, green and blue in 4 x 4 cells (48), and brightness, contrast, saturation
and sharpness of the whole image (4). Each block has a total variance of 1, so none drowns the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.records import DataError, Images
from synthsift.represent.gradients import CELLS, CHUNK, GRAY, expect_pixels, gradient_histograms

FACTS = ("brightness", "contrast", "saturation", "sharpness")
STILL = 1e-6  # a column that varies less is constant but for rounding


def cell_means(values: np.ndarray) -> np.ndarray:
    """Return the means of planes (n, p, p, c) in 4 x 4 cells (n, 16 c); p is a multiple of 4."""
    n, p, _, c = values.shape
    side = p // CELLS
    return values.reshape(n, CELLS, side, CELLS, side, c).mean(axis=(2, 4)).reshape(n, -1)


def picture_facts(x: Images) -> dict[str, np.ndarray]:
    """Return what a person would say of each image, as numbers (n,) by name, see `_facts`."""
    parts = [_facts(color, gray) for color, gray in _planes(x)]
    values = np.concatenate(parts) if parts else np.zeros((0, len(FACTS)))
    return {name: values[:, k].astype(np.float64) for k, name in enumerate(FACTS)}


def _facts(color: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """Return brightness, contrast, saturation and sharpness (n, 4) of colors (n, p, p, 3) and their gray (n, p, p).

    Brightness is the mean of gray (0 to 1), contrast its standard deviation, saturation the mean difference of the
    largest and the smallest channel, sharpness the mean length of the gradient a pixel.
    """
    saturation = (color.max(axis=3) - color.min(axis=3)).mean(axis=(1, 2))
    sharpness = np.hypot(*np.gradient(gray, axis=(1, 2))).mean(axis=(1, 2))
    return np.stack([gray.mean(axis=(1, 2)), gray.std(axis=(1, 2)), saturation, sharpness], axis=1)


@dataclass(frozen=True)
class ToneEncoder:
    """Shape, color and tone of images.

    Parameters
    ----------
    pixels : int
        Side of the images.
    center, scale : ndarray (376,)
        Mean of each column, and what it is divided by (1 where nothing varies): the root of the total variance of
        shape and of color, and twice its own standard deviation for each of the four tones.
    """

    pixels: int
    center: np.ndarray
    scale: np.ndarray

    @staticmethod
    def fit(x: Images) -> ToneEncoder:
        """Learn center and scales from all images.

        Raises
        ------
        DataError
            If all images are the same.
        """
        shape, color, tone = _blocks(x)
        common = [np.full(b.shape[1], np.sqrt(b.var(axis=0, dtype=np.float64).sum())) for b in (shape, color)]
        scale = np.concatenate([*common, 2 * tone.std(axis=0, dtype=np.float64)])
        if scale.max() < STILL:
            raise DataError(f"the {len(x):,} images are all the same; nothing can be compared. Check the folder")
        values = np.concatenate([shape, color, tone], axis=1)
        return ToneEncoder(x.pixels, values.mean(axis=0, dtype=np.float64), np.where(scale < STILL, 1.0, scale))

    def transform(self, x: Images) -> np.ndarray:
        """Return vectors (n, 376), float32.

        Raises
        ------
        DataError
            If the images are of another size than the fitted ones.
        """
        expect_pixels(x, self.pixels)
        values = np.concatenate(_blocks(x), axis=1)
        return (values - self.center.astype(np.float32)) / self.scale.astype(np.float32)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for `restore`."""
        return {"center": self.center, "scale": self.scale}, {"kind": "tones", "pixels": self.pixels}


def _planes(x: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield colors (k, p, p, 3) and gray (k, p, p), float32 from 0 to 1, some images at a time."""
    for start in range(0, len(x), CHUNK):
        color = np.asarray(x[start : start + CHUNK], np.float32) / np.float32(255)
        yield color, color @ GRAY


def _blocks(x: Images) -> list[np.ndarray]:
    """Return the three blocks (n, 324), (n, 48) and (n, 4)."""
    parts = [(gradient_histograms(gray * 255), cell_means(color), _facts(color, gray)) for color, gray in _planes(x)]
    return [np.concatenate([part[k] for part in parts]) for k in range(3)]
