"""Images to vectors without any training: histograms of the directions of gradients.

Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): an image is divided into 4 x 4 cells of 9 unsigned
directions (unsigned, because a sign may be light on dark), grouped into 3 x 3 overlapping blocks of 2 x 2 cells that
are normalized each: 324 numbers, whatever the size of the image. They show shape and are blind to color.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.records import DataError, Images

BINS, CELLS = 9, 4
CLIP = 0.2  # of the length of a block; tames a single strong edge (Dalal and Triggs, section 6.4: L2-Hys)
FLAT = 1e-3  # added to squared lengths, so that flat patches stay near zero instead of showing noise
CHUNK = 512  # images at a time, to bound memory
GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # brightness of red, green, blue (ITU-R BT.601)


def gradient_histograms(images: np.ndarray) -> np.ndarray:
    """Return features (n, 324) of gray images (n, p, p) with values 0-255; p is a multiple of 4."""
    down, right = np.gradient(images.astype(np.float32) / 255, axis=(1, 2))
    strength = np.hypot(down, right)  # (n, p, p)
    place = np.mod(np.arctan2(down, right), np.pi) / np.pi * BINS - 0.5  # bin centers lie at whole numbers
    low = np.floor(place)
    share = (place - low).astype(np.float32)
    side = images.shape[1] // CELLS
    cells = np.zeros((len(images), CELLS, CELLS, BINS), np.float32)
    for direction in range(BINS):
        votes = np.where(low % BINS == direction, 1 - share, 0) + np.where((low + 1) % BINS == direction, share, 0)
        cells[..., direction] = (votes * strength).reshape(-1, CELLS, side, CELLS, side).sum(axis=(2, 4))
    places = range(CELLS - 1)
    blocks = [cells[:, i : i + 2, j : j + 2].reshape(len(images), -1) for i in places for j in places]
    return np.concatenate([_normalized(_normalized(block).clip(max=CLIP)) for block in blocks], axis=1)


def _normalized(block: np.ndarray) -> np.ndarray:
    """Scale each row to length 1, flat patches to less."""
    return block / np.sqrt((block**2).sum(axis=1, keepdims=True) + FLAT)


@dataclass(frozen=True)
class GradientEncoder:
    """Gradient histograms, centered and divided by one common scale.

    Parameters
    ----------
    pixels : int
        Side of the images.
    center : ndarray (324,)
    scale : float
        Root of the mean variance of the columns.
    """

    pixels: int
    center: np.ndarray
    scale: float

    @staticmethod
    def fit(x: Images) -> GradientEncoder:
        """Learn center and scale from all images.

        Raises
        ------
        DataError
            If no image differs from another one in its gradients.
        """
        values = _histograms(x)
        scale = float(np.sqrt(values.var(axis=0, dtype=np.float64).mean()))
        if scale < 1e-6:
            raise DataError(
                f"the {len(x):,} images do not differ in their gradients, as flat areas of color do; nothing can be "
                "learned from shapes. Use --encoder with a pretrained network, or give vectors by --embeddings."
            )
        return GradientEncoder(x.pixels, values.mean(axis=0, dtype=np.float64), scale)

    def transform(self, x: Images) -> np.ndarray:
        """Return vectors (n, 324), float32.

        Raises
        ------
        DataError
            If the images are of another size than the fitted ones.
        """
        expect_pixels(x, self.pixels)
        return (_histograms(x) - self.center.astype(np.float32)) / np.float32(self.scale)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for `restore`."""
        return {"center": self.center}, {"kind": "gradients", "pixels": self.pixels, "scale": self.scale}


def expect_pixels(x: Any, pixels: int) -> None:
    """Refuse what are no images of that side, which a fitted encoder cannot read.

    Raises
    ------
    DataError
        With what was given.
    """
    if not isinstance(x, Images) or x.pixels != pixels:
        seen = f"{x.pixels} pixels" if isinstance(x, Images) else type(x).__name__
        raise DataError(f"the encoder knows images of {pixels} pixels but was given {seen}")


def _histograms(x: Images) -> np.ndarray:
    """Return the histograms (n, 324) of color images, in chunks."""
    chunks = [
        gradient_histograms(np.asarray(x[start : start + CHUNK], np.float32) @ GRAY)
        for start in range(0, len(x), CHUNK)
    ]
    return np.concatenate(chunks) if chunks else np.zeros((0, 324), np.float32)
