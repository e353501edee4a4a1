"""Pictures that are read, the laws of their drift by simulation, the gallery, and what the study says."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from synthsift.drift.laws import drift_law
from synthsift.drift.monitor import NOTHING, Seen
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.laboratory_pictures import PictureTrace, gallery_sheet
from synthsift.studies.picture_sets import PictureSet, load_pictures


def seen(delta: np.ndarray, noise: float) -> Seen:
    return Seen("g", "", 100, delta, noise, {"mmd2": NOTHING}, 0.5, 0.0, ())


def traces(alpha: float, errors: np.ndarray, runs: int, rng: np.random.Generator) -> list[PictureTrace]:
    """Loops whose generation i adds errors[i] (k,) to the mean feature, seen through finite pools and reference."""
    k, spread, pool, real = errors.shape[1], 0.8, 80, 50
    found = []
    for _ in range(runs):
        off = spread / np.sqrt(real) * rng.standard_normal(k)  # of the reference's mean
        own, watched = np.zeros(k), []
        for step, error in enumerate(errors):
            law = (1 - alpha if step else 0.0) * own + error
            own = law + spread / np.sqrt(pool) * rng.standard_normal(k)  # the pool that the next one is trained on
            watched.append(seen(own - off, k * spread**2 / pool))
        found.append(PictureTrace(alpha, tuple(watched), k * spread**2 / real))
    return found


def test_innovations_are_what_a_simulated_loop_adds() -> None:
    rng = np.random.default_rng(0)
    errors = 0.5 * rng.standard_normal((4, 30))
    for alpha in (0.3, 0.9):
        found = np.array([t.innovation for t in traces(alpha, errors, 400, rng)])
        error = found.std(axis=0, ddof=1) / np.sqrt(400)
        assert (np.abs(found.mean(axis=0) - (errors**2).sum(axis=1)) < 4 * error).all()
        # Left in, the noise would show: it is part of every single value.
        assert (error < 0.25 * 30 * 0.8**2 / 80).all()


def test_steps_rebuild_the_drift_and_repeated_errors_follow_the_coherent_law() -> None:
    rng = np.random.default_rng(1)
    same = np.repeat(0.6 * rng.standard_normal((1, 40)), 5, axis=0)
    (trace,) = traces(0.4, same, 1, rng)
    delta = np.zeros(40)
    for b, one in zip(trace.steps, trace.seen, strict=True):
        delta = 0.6 * delta + b
        assert delta == pytest.approx(one.delta)
    exact = drift_law(0.4, np.full(5, (same[0] ** 2).sum()), kappa=1.0)
    assert trace.coherent == pytest.approx(exact, rel=0.15) and np.isnan(trace.alike[0])
    assert (trace.alike[1:] > 0.9).all() and (trace.discounted <= trace.coherent + 1e-12).all()
    (other,) = traces(0.4, 0.6 * rng.standard_normal((5, 400)), 1, rng)
    assert np.abs(other.alike[1:]).max() < 0.35
    assert other.discounted[-1] == pytest.approx(float((other.seen[-1].delta ** 2).sum()), rel=0.35)


def test_fresh_pictures_only_have_no_memory() -> None:
    (trace,) = traces(1.0, np.ones((3, 5)), 1, np.random.default_rng(2))
    assert trace.discounted == pytest.approx(trace.innovation)
    assert trace.coherent == pytest.approx(trace.innovation)


def test_digits_are_scaled_divided_and_come_back_as_gray() -> None:
    one, two, other = (load_pictures("digits", Seeds(k)) for k in (0, 0, 1))
    assert one.side == 8 and len(one.train) == 1198 and len(one.held) == 599 and one.train.dtype == np.float32
    assert one.train.mean() == pytest.approx(0, abs=1e-3) and one.train.std() == pytest.approx(1, abs=1e-3)
    assert one.digest == two.digest != other.digest
    gray = one.gray(one.train)
    assert gray.min() == 0 and gray.max() == 1
    assert np.allclose(gray * 16, np.round(gray * 16), atol=1e-3)  # the grey levels of the file
    assert one.gray(np.full((1, 64), 99.0)).max() == 1


def write_idx(folder: Path, pictures: np.ndarray, part: str) -> None:
    head = struct.pack(">4I", 2051, *pictures.shape)
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
        file.write(head + pictures.tobytes())
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">2I", 2049, len(pictures)) + bytes(len(pictures)))


def test_files_of_mnist_and_arrays_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (600, 28, 28), dtype=np.uint8)
    write_idx(tmp_path, pictures, "train")
    write_idx(tmp_path, pictures[:200], "t10k")
    read = load_pictures(f"mnist:{tmp_path}", Seeds(0))
    assert (read.name, read.side, len(read.train), len(read.held)) == ("mnist", 28, 600, 200)
    assert np.allclose(read.gray(read.train[:1]) * 255, pictures[0].reshape(1, -1), atol=1e-2)
    np.save(tmp_path / "mine.npy", pictures[:, :12, :12].astype(np.float64) * 3 - 7)
    np.savez(tmp_path / "mine.npz", x=pictures[:, :12, :12])
    one, two = (load_pictures(str(tmp_path / f"mine.{end}"), Seeds(0)) for end in ("npy", "npz"))
    assert one.side == 12 and one.train.shape == (400, 144) and np.allclose(one.train, two.train, atol=1e-3)
    monkeypatch.setenv("SYNTHSIFT_DATA", str(tmp_path))
    assert load_pictures("mnist", Seeds(0)).digest == read.digest


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((600, 8, 8)), "flat color"),
        (np.zeros((600, 9, 9)), "9 x 9"),
        (np.random.default_rng(0).random((600, 8, 9)), "square pictures"),
        (np.random.default_rng(0).random((600, 64)), "square pictures"),
        (np.random.default_rng(0).random((449, 8, 8)), "449 pictures; at least 450"),
        (np.full((600, 8, 8), np.nan), "NaN"),
        (np.full((600, 8, 8), "a"), "numbers are needed"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path: Path, array: np.ndarray, word: str) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=word):
        load_pictures(str(tmp_path / "x.npy"), Seeds(0))


def test_unknown_missing_and_damaged_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTHSIFT_DATA", raising=False)
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for text, word in (
        ("cifar", "write mixture, digits, mnist:FOLDER"),
        (f"mnist:{tmp_path}", "holds no MNIST files"),
        ("mnist", "no data folder is given"),
        (str(tmp_path / "missing.npy"), "does not exist"),
        (str(tmp_path / "cut.npy"), "NumPy file|damaged"),
    ):
        with pytest.raises(DataError, match=word):
            load_pictures(text, Seeds(0))


def test_the_gallery_holds_the_pictures_it_names() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.random((20, 16)).astype(np.float32) for _ in range(12)]
    pictures = PictureSet("p", 4, rows[0], rows[0], 0.0, 1.0)
    sheet, names = gallery_sheet(pictures, rows[1:])
    assert names == ["real", "1", "3", "4", "6", "8", "9", "11"] and sheet.shape == (8 * 5 - 1, 10 * 5 - 1)
    assert np.array_equal(sheet[5:9, 10:14], rows[1][2].reshape(4, 4))
    assert np.array_equal(sheet[35:39, :4], rows[11][0].reshape(4, 4)) and (sheet[4] == 1).all()
