from __future__ import annotations

import numpy as np
import pytest

from synthsift.numerics.closeness import LOOK_ALIKE, NEAR_COPY, space_of_copies, usual_spacing
from synthsift.numerics.thumbnails import FAINT, thumbnails


def noise(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def slow(picture: np.ndarray, small: int) -> np.ndarray:
    """Pixel by pixel."""
    step = len(picture) // small
    gray = np.zeros((small, small))
    for i in range(small):
        for j in range(small):
            block = picture[i * step : (i + 1) * step, j * step : (j + 1) * step].reshape(-1, 3)
            gray[i, j] = np.mean([0.299 * r + 0.587 * g + 0.114 * b for r, g, b in block.tolist()])
    gray -= gray.mean()
    return (gray / np.sqrt((gray**2).sum() + (small * FAINT) ** 2)).ravel()


@pytest.mark.parametrize(
    ("side", "small"), [(8, 8), (16, 16), (17, 17), (28, 28), (32, 16), (40, 20), (48, 16), (64, 16)]
)
def test_against_a_slow_twin(side: int, small: int) -> None:
    x = noise(3, side)
    assert thumbnails(x) == pytest.approx(np.stack([slow(picture, small) for picture in x]), abs=1e-6)


def test_equal_pictures_have_equal_thumbnails_wherever_they_stand() -> None:
    x = noise(7, 32)[np.random.default_rng(1).integers(0, 7, 1200)]
    small = thumbnails(x)
    assert len(np.unique(small, axis=0)) == 7
    assert np.array_equal(small, np.concatenate([thumbnails(x[k : k + 1]) for k in range(len(x))]))


def test_light_and_contrast_hardly_matter_and_faint_pictures_stay_near_zero() -> None:
    x = noise(5, 64) // 2
    assert np.abs(thumbnails(x) - thumbnails((0.8 * x + 40).astype(np.uint8))).max() < 0.02
    plain = (128 + np.random.default_rng(0).integers(-1, 2, (4, 32, 32, 3))).astype(np.uint8)
    assert np.linalg.norm(thumbnails(plain), axis=1).max() < 0.2
    assert not thumbnails(np.full((2, 32, 32, 3), 255, np.uint8)).any() and thumbnails(x[:0]).shape == (0, 256)


def test_plain_colors_are_told_by_the_vectors() -> None:
    """Thumbnails of plain colors are all alike and prove nothing."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 5))
    plain = np.repeat(rng.integers(0, 256, (40, 1, 1, 3)), 32, axis=1).repeat(32, axis=2).astype(np.uint8)
    rows, spacing = space_of_copies(vectors, [plain[:30], plain[30:]], 30, rng)
    assert rows is vectors and not spacing.looks and spacing.limit == usual_spacing(vectors[:30], rng).limit


def test_pictures_are_told_by_their_looks_and_other_rows_as_ever() -> None:
    rng = np.random.default_rng(0)
    vectors, x = rng.standard_normal((40, 5)), noise(40, 32)
    rows, spacing = space_of_copies(vectors, [x[:30], x[30:]], 30, rng)
    assert spacing.looks and np.array_equal(rows, thumbnails(x))
    near = np.median([sorted(np.linalg.norm(rows[:30] - row, axis=1))[1] for row in rows[:30]])
    assert spacing.limit == pytest.approx(LOOK_ALIKE * near)
    rows, spacing = space_of_copies(vectors, [], 30, rng)
    near = np.median([sorted(np.linalg.norm(rows[:30] - row, axis=1))[1] for row in rows[:30]])
    assert rows is vectors and not spacing.looks and spacing.limit == pytest.approx(NEAR_COPY * near)
