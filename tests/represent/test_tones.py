"""Shape, color and tone of images: slow twins, what the vectors see, state that comes back."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.records import DataError, Images
from synthsift.represent.encoders import restore
from synthsift.represent.gradients import GradientEncoder
from synthsift.represent.tones import ToneEncoder, cell_means, picture_facts


def bars(n: int, seed: int, pixels: int = 32) -> np.ndarray:
    """Colored bars on noise (n, p, p, 3)."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(60, 10, (n, pixels, pixels, 3))
    for picture in pictures:
        start, axis = rng.integers(2, pixels - 6), rng.integers(2)
        np.moveaxis(picture, axis, 0)[start : start + 4] += 100 * rng.random(3)
    return pictures.clip(0, 255).astype(np.uint8)


def images(pictures: np.ndarray) -> Images:
    return Images(pictures, np.arange(len(pictures)))


def slope(line: np.ndarray, at: int) -> float:
    """Difference of the neighbors, one-sided at the ends."""
    low, high = max(at - 1, 0), min(at + 1, len(line) - 1)
    return float((line[high] - line[low]) / (high - low))


def test_cells_facts_and_edges_equal_plain_loops() -> None:
    pictures = bars(3, 0)
    color = pictures / 255
    means = cell_means(color)
    for n in range(3):
        for i in range(4):
            for j in range(4):
                cell = color[n, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
                for c in range(3):
                    assert means[n, (4 * i + j) * 3 + c] == pytest.approx(cell[..., c].mean())
    facts = picture_facts(images(pictures))
    for n in range(3):
        gray = 0.299 * color[n, ..., 0] + 0.587 * color[n, ..., 1] + 0.114 * color[n, ..., 2]
        strength = [np.hypot(slope(gray[:, j], i), slope(gray[i], j)) for i in range(32) for j in range(32)]
        assert facts["sharpness"][n] == pytest.approx(np.mean(strength), abs=1e-5)
        assert facts["brightness"][n] == pytest.approx(gray.mean(), abs=1e-5)
        assert facts["contrast"][n] == pytest.approx(gray.std(), abs=1e-5)
        spread = [max(pixel) - min(pixel) for pixel in color[n].reshape(-1, 3)]
        assert facts["saturation"][n] == pytest.approx(np.mean(spread), abs=1e-5)


def test_every_block_has_the_same_say() -> None:
    x = images(bars(150, 1))
    rows = ToneEncoder.fit(x).transform(x)
    assert rows.shape == (150, 376) and rows.dtype == np.float32
    total = [part.var(axis=0).sum() for part in np.split(rows, [324, 372], axis=1)]
    assert total == pytest.approx([1, 1, 1], rel=1e-3) and np.abs(rows.mean(axis=0)).max() < 1e-4


def test_bleached_colors_and_blur_are_seen_where_shapes_stay_the_same() -> None:
    pictures = bars(120, 2)
    bleached = (pictures.mean(axis=3, keepdims=True) + 0.3 * (pictures - pictures.mean(axis=3, keepdims=True))) * 0.9
    encoder, shapes = ToneEncoder.fit(images(pictures)), GradientEncoder.fit(images(pictures))

    def moved(fitted: ToneEncoder | GradientEncoder, other: np.ndarray) -> float:
        """Squared distance of the means in units of the total variance."""
        one, two = fitted.transform(images(pictures)), fitted.transform(images(other.astype(np.uint8)))
        return float(((one.mean(axis=0) - two.mean(axis=0)) ** 2).sum() / one.var(axis=0).sum())

    assert moved(encoder, bleached) > 20 * moved(shapes, bleached)
    smooth = (pictures.astype(float) + np.roll(pictures, 1, 1) + np.roll(pictures, 1, 2) + np.roll(pictures, 2, 1)) / 4
    assert moved(encoder, smooth) > 0.1


def test_state_comes_back_and_other_sizes_are_refused() -> None:
    x = images(bars(30, 3))
    encoder = ToneEncoder.fit(x)
    arrays, settings = encoder.state()
    assert np.array_equal(restore(arrays, settings).transform(x), encoder.transform(x))
    with pytest.raises(DataError, match="32 pixels but was given 64 pixels"):
        encoder.transform(images(bars(3, 4, 64)))
    with pytest.raises(DataError, match="given ndarray"):
        encoder.transform(np.zeros((3, 4)))  # type: ignore[arg-type]


def test_gray_or_flat_pictures_have_finite_vectors_and_equal_ones_are_refused() -> None:
    flat = np.repeat(np.arange(40, dtype=np.uint8), 32 * 32 * 3).reshape(40, 32, 32, 3)
    rows = ToneEncoder.fit(images(flat)).transform(images(flat))
    assert np.isfinite(rows).all() and not rows[:, :324].any()  # no edges: shapes say nothing, brightness does
    with pytest.raises(DataError, match="all the same"):
        ToneEncoder.fit(images(np.full((9, 32, 32, 3), 7, np.uint8)))
    assert picture_facts(images(flat[:0]))["contrast"].shape == (0,)
