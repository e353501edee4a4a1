"""Gradient histograms against loops over pixels, and what they must and must not see."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from synthsift.records import DataError, Images
from synthsift.represent import gradients
from synthsift.represent.encoders import fit_encoder, restore
from synthsift.represent.gradients import BINS, CLIP, FLAT, GradientEncoder, gradient_histograms


def slow_histogram(image: np.ndarray) -> list[float]:
    """One gray image (p, p): every pixel votes for the two nearest directions of its cell; blocks are scaled twice."""
    p = len(image)
    cells = [[[0.0] * BINS for _ in range(4)] for _ in range(4)]
    for i in range(p):
        for j in range(p):
            up, down = max(i - 1, 0), min(i + 1, p - 1)
            left, right = max(j - 1, 0), min(j + 1, p - 1)
            dy = (image[down][j] - image[up][j]) / 255 / (down - up)
            dx = (image[i][right] - image[i][left]) / 255 / (right - left)
            angle = math.atan2(dy, dx) % math.pi
            place = angle / math.pi * BINS - 0.5
            low = math.floor(place)
            for direction, share in ((low, low + 1 - place), (low + 1, place - low)):
                cells[i * 4 // p][j * 4 // p][direction % BINS] += share * math.hypot(dx, dy)
    result = []
    for i in range(3):
        for j in range(3):
            block = [v for a in (0, 1) for b in (0, 1) for v in cells[i + a][j + b]]
            for clip in (CLIP, None):
                length = math.sqrt(sum(v * v for v in block) + FLAT)
                block = [v / length if clip is None else min(v / length, clip) for v in block]
            result += block
    return result


def pictures(count: int, seed: int, side: int = 32) -> Images:
    rng = np.random.default_rng(seed)
    return Images(rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8), np.arange(count))


@pytest.mark.parametrize("side", [16, 32, 64])
def test_histograms_are_those_of_the_slow_twin(side: int) -> None:
    rng = np.random.default_rng(side)
    images = rng.integers(0, 256, (3, side, side)).astype(np.uint8)
    images[1] = 77  # flat
    images[2, :, side // 2 :] = 200  # one edge
    found = gradient_histograms(images)
    assert found.shape == (3, 324) and found.dtype == np.float32
    want = [slow_histogram(image.astype(float)) for image in images]
    # float32: sums of at most 256 votes of rounding 6e-8 each, scaled by at most 1 / sqrt(FLAT) = 32
    np.testing.assert_allclose(found, want, atol=5e-4)
    assert (found[1] == 0).all()


def test_dark_on_light_is_light_on_dark_and_brightness_does_not_matter() -> None:
    image = np.random.default_rng(0).integers(0, 100, (1, 32, 32))
    plain, turned, brighter = (gradient_histograms(x) for x in (image, 255 - image, image + 100))
    np.testing.assert_allclose(turned, plain, atol=1e-4)  # float32, as above
    np.testing.assert_allclose(brighter, plain, atol=1e-4)
    assert np.abs(gradient_histograms(image.transpose(0, 2, 1)) - plain).max() > 0.05


def test_the_encoder_centers_scales_and_comes_back_from_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    x, fresh = pictures(40, 0), pictures(7, 1)
    encoder = fit_encoder(x)
    assert isinstance(encoder, GradientEncoder)
    vectors = encoder.transform(x)
    assert vectors.shape == (40, 324) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
    assert vectors.var(axis=0).mean() == pytest.approx(1, abs=1e-4)
    arrays, settings = encoder.state()
    again = restore(arrays, json.loads(json.dumps(settings)))
    assert np.array_equal(again.transform(fresh), encoder.transform(fresh))
    assert encoder.transform(fresh[:0]).shape == (0, 324)
    monkeypatch.setattr(gradients, "CHUNK", 3)
    assert np.array_equal(encoder.transform(fresh), again.transform(fresh))


def test_pictures_that_do_not_differ_are_refused() -> None:
    flat = Images(
        np.full((12, 32, 32, 3), 9, np.uint8) * np.arange(12, dtype=np.uint8)[:, None, None, None], np.arange(12)
    )
    with pytest.raises(DataError, match="12 images do not differ in their gradients"):
        fit_encoder(flat)


def test_other_inputs_are_refused() -> None:
    encoder = fit_encoder(pictures(12, 0))
    with pytest.raises(DataError, match="images of 32 pixels but was given 64 pixels"):
        encoder.transform(pictures(2, 0, side=64))
    with pytest.raises(DataError, match="was given ndarray"):
        encoder.transform(np.zeros((2, 324)))
