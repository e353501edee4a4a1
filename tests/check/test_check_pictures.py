"""Altered copies of pictures: each kind is found, drawn and real pictures of their own are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthsift.check.contents import all_contents
from synthsift.check.copies import near_test_copies, real_copies, repeats, validation_copies
from synthsift.records import REAL, Examples, Finding, Images, Loaded, Mixture
from synthsift.represent.encoding import Encoded, encode
from synthsift.seeds import Seeds
from synthsift.splits import all_copies, find_leaks

NOISE = np.random.default_rng(99).integers(-2, 3, (64, 64, 3))


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


def noisy(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(int)
    return Image.fromarray((values + NOISE[: len(values), : len(values)]).clip(0, 255).astype(np.uint8))


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 90": lambda picture: as_jpeg(picture, 90),
    "JPEG 60": lambda picture: as_jpeg(picture, 60),
    "resized": lambda picture: picture.resize((100, 100), Image.Resampling.LANCZOS),
    "brightened": lambda picture: picture.point(lambda value: min(255, int(1.05 * value))),
    "noisy": noisy,
}


def drawn(count: int, seed: int, side: int = 64) -> list[Image.Image]:
    """Soft blobs of color with some sharp edges, none like another."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        soft = Image.fromarray(rng.integers(30, 226, (6, 6, 3)).astype(np.uint8)).resize((side, side), Image.BICUBIC)
        values = np.asarray(soft).copy()
        for _ in range(3):
            top, left = rng.integers(0, side - 8, 2)
            values[top : top + rng.integers(4, side // 2), left : left + rng.integers(4, side // 2)] = rng.integers(
                0, 256, 3
            )
        found.append(Image.fromarray(values))
    return found


def part(name: str, pictures: list[Image.Image], side: int) -> Examples:
    small = [np.asarray(p.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)) for p in pictures]
    x = Images(np.array(small, np.uint8).reshape(-1, side, side, 3), np.arange(len(small)))
    ids = np.array([f"{name}:{k}" for k in range(len(small))])
    return Examples(x, np.arange(len(small)) % 2, ids, np.full(len(small), "made" if name == "made" else REAL))


def loaded(
    real: list[Image.Image], made: list[Image.Image], test: list[Image.Image], side: int = 32, num_valid: int = 0
) -> Loaded:
    cut = len(real) - num_valid
    mixture = Mixture(
        real=part("real", real[:cut], side),
        valid=part("valid", real[cut:], side),
        synth=part("made", made, side),
        classes=("0", "1"),
    )
    return Loaded(mixture, part("test", test, side))


def findings(data: Loaded, encoded: Encoded | None = None) -> list[Finding]:
    parts = all_contents(data, encoded or encode(data), Seeds(0))
    found = (near_test_copies(parts), validation_copies(parts), real_copies(parts), repeats(parts))
    return [finding for finding in found if finding is not None]


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("kind", list(ALTERED))
def test_altered_copies_are_found_and_leave_the_splits(kind: str, side: int) -> None:
    real, test = drawn(80, 1), drawn(40, 2)
    made = [ALTERED[kind](picture) for picture in [*real[:10], *real[70:75], *test[:8]]] + drawn(60, 3)
    data = loaded(real, made, test, side, num_valid=10)
    found = {finding.code: finding.seen for finding in findings(data)}
    assert set(found) == {"SS131", "SS132", "SS140"}
    assert found["SS131"].startswith("8 of 83 synthetic rows (made:15, made:16")
    assert found["SS132"].startswith("5 of 83 synthetic rows") and found["SS140"].startswith("15 of 83 synthetic rows")
    leaks = find_leaks(data.mixture, encode(data).rows)
    pairs = set(zip(leaks.row.tolist(), leaks.judged.tolist(), strict=True))
    assert pairs == {(80 + k, k) for k in range(10)} | {(90 + k, 70 + k) for k in range(5)}


def test_the_users_own_vectors_do_not_hide_altered_copies() -> None:
    real = drawn(60, 4)
    data = loaded(real, [as_jpeg(picture, 80) for picture in real], drawn(5, 5))
    vectors = np.random.default_rng(0).standard_normal((120, 8))
    data = replace(data, embeddings=vectors, test_embeddings=vectors[:5])
    assert [finding.code for finding in findings(data)] == ["SS140"]
    assert all_copies(data.mixture, find_leaks(data.mixture, encode(data).rows))


def test_a_crop_of_some_pixels_is_not_found() -> None:
    """A limit that docs/findings.md states."""
    real = drawn(60, 6)
    data = loaded(real, [picture.crop((4, 4, 60, 60)) for picture in real], drawn(20, 7))
    assert not findings(data) and not find_leaks(data.mixture, encode(data).rows).num_copies


def test_clean_worlds_are_silent() -> None:
    """100 worlds of pictures that have soft parts in common."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        real, made, test = (drawn(int(rng.integers(10, 25)), 1000 + 3 * seed + k, 32) for k in range(3))
        data = loaded(real, made, test, num_valid=int(rng.integers(0, 6)))
        encoded = encode(data)
        assert not findings(data, encoded), seed
        assert not find_leaks(data.mixture, encoded.rows).num_copies, seed


def opened(jpg: np.ndarray, offset: np.ndarray, rows: np.ndarray) -> list[Image.Image]:
    return [Image.open(io.BytesIO(jpg[offset[k] : offset[k + 1]].tobytes())).convert("RGB") for k in rows]


@pytest.mark.parametrize("name", ["pacs64/pacs64.npz", "cifar10n/train.npz"])
def test_real_pictures(name: str, shared_data: Callable[[str], Path]) -> None:
    """Drawn from the photos of one set: silent as they are, and every kind of copy is found."""
    with np.load(shared_data(name), allow_pickle=False) as file:
        jpg, offset = file["jpg"], file["offset"]
        every = np.flatnonzero(file["domain"] == 0) if "domain" in file else np.arange(len(offset) - 1)
        assert "domains" not in file or file["domains"][0] == "photo"
    rng = np.random.default_rng(0)
    for side in (32, 64):
        rows = rng.permutation(every)[:300]
        real, made, test = (opened(jpg, offset, rows[a : a + 100]) for a in (0, 100, 200))
        assert not findings(loaded(real, made, test, side))
        for alter in ALTERED.values():
            data = loaded(real, made + [alter(picture) for picture in test[:30]], test, side)
            (finding,) = findings(data)
            count = int(finding.seen.split(" of 130 ")[0])
            assert finding.code == "SS131" and 28 <= count <= 30
