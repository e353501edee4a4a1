"""Small folders of images for tests: a white bar that lies or stands, on noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("lying", "standing")


def bar(standing: bool, rng: np.random.Generator, side: int = 32) -> np.ndarray:
    """A gray picture (side, side) of bytes with one bar, anywhere."""
    picture = np.clip(60 + 15 * rng.standard_normal((side, side)), 0, 255)
    width = max(2, side // 8)
    start = int(rng.integers(width, side - 2 * width))
    bars = picture.T if standing else picture
    bars[start : start + width] += 130
    return np.clip(picture, 0, 255).astype(np.uint8)


def bars(count: int, seed: int, *, side: int = 32, wrong: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Color pictures (n, side, side, 3) and labels (n,), of which a share is wrong."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    pictures = np.stack([bar(bool(label), rng, side) for label in y])
    shown = np.where(rng.random(count) < wrong, 1 - y, y)
    return np.repeat(pictures[..., None], 3, axis=3), shown


def write_folder(root: Path, count: int = 24, seed: int = 0, *, side: int = 32, wrong: float = 0.0) -> Path:
    """Write PNG files into one folder a class and return their folder."""
    pictures, labels = bars(count, seed, side=side, wrong=wrong)
    for number, (picture, label) in enumerate(zip(pictures, labels.tolist(), strict=True)):
        place = root / CLASSES[label] / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place)
    return root
