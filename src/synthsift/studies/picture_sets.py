"""Gray pictures for the loop of retrained U-Nets: scikit-learn's digits, MNIST's files, or arrays of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthsift.data.arrays import NUMERIC, read_npz, safe_numpy
from synthsift.data.paths import existing_file
from synthsift.drift.picture_loop import LEAST_PICTURES
from synthsift.drift.score_networks import check_side
from synthsift.numerics.fingerprints import fingerprint_arrays
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.idx import mnist_folder, read_digits

MOST_HELD = 5000  # more would not narrow any interval that matters and cost time in every generation


@dataclass(frozen=True)
class PictureSet:
    """Real pictures as rows of mean 0 and variance 1 (over all pixels of those to train on).

    Parameters
    ----------
    name : str
        What they are called.
    side : int
        Pixels of a side.
    train, held : ndarray (n, side * side), (m, side * side) of float32
        Pictures to draw from, and pictures that no generation sees.
    center, scale : float
        A pixel of 0 (black) to 1 (white) is center + scale * value.
    """

    name: str
    side: int
    train: np.ndarray
    held: np.ndarray
    center: float
    scale: float

    @property
    def digest(self) -> str:
        """Fingerprint of the pictures."""
        return fingerprint_arrays({"train": self.train, "held": self.held})

    def gray(self, rows: np.ndarray) -> np.ndarray:
        """Pictures (n, side * side) from 0 (black) to 1 (white), float32, what lies beyond cut off."""
        return np.clip(self.center + self.scale * rows, 0, 1).astype(np.float32)


def load_pictures(text: str, seeds: Seeds) -> PictureSet:
    """Load the pictures that ``--data`` names.

    Parameters
    ----------
    text : str
        "digits" (8 x 8, from scikit-learn), "mnist:FOLDER" with MNIST's idx files, or a file .npy or .npz (``x``) of
        gray pictures (n, side, side), bytes or numbers.
    seeds : Seeds
        Which pictures are held out, where there is no test part.

    Raises
    ------
    DataError
        If there are none, they are not square, too few, all the same, or not finite.
    """
    kind, _, place = text.partition(":")
    if text == "digits":
        from sklearn.datasets import load_digits

        return _divided(text, np.asarray(load_digits().images, np.float32) / 16, seeds)
    if kind == "mnist":
        folder = mnist_folder(Path(place).expanduser() if place else None)
        train, held = (read_digits(folder, part)[0].astype(np.float32) / 255 for part in ("train", "test"))
        return _scaled("mnist", train, held[seeds.numpy("held").permutation(len(held))[:MOST_HELD]])
    if Path(text).suffix.lower() not in (".npy", ".npz"):
        raise DataError(
            f"--data {text} is unknown; write mixture, digits, mnist:FOLDER (with MNIST's idx files), or a file .npy "
            "or .npz of gray pictures (n, side, side)"
        )
    return _divided(Path(text).name, _read_array(existing_file(text)), seeds)


def _read_array(path: Path) -> np.ndarray:
    """Pictures (n, side, side) of a file, bytes as 0 to 1 and other numbers stretched to it."""
    if path.suffix.lower() == ".npz":
        x = read_npz(path, ()).x
    else:
        with safe_numpy(path), open(path, "rb") as stream:
            x = np.load(stream, allow_pickle=False)
    if not isinstance(x, np.ndarray) or x.dtype.kind not in NUMERIC or x.ndim != 3 or x.shape[1] != x.shape[2]:
        seen = f"shape {x.shape} and dtype {x.dtype}" if isinstance(x, np.ndarray) else "no single array"
        raise DataError(f"{path} holds {seen}; gray square pictures (n, side, side) of numbers are needed")
    values = x.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{path} holds NaN or infinity; repair or leave out these pictures")
    if x.dtype == np.uint8:
        return values / np.float32(255)
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-12)


def _divided(name: str, pictures: np.ndarray, seeds: Seeds) -> PictureSet:
    """A third of the pictures, at most `MOST_HELD`, held out."""
    if len(pictures) < 3 * LEAST_PICTURES:
        raise DataError(
            f"{name} holds {len(pictures):,} pictures; at least {3 * LEAST_PICTURES} are needed, of which a third is "
            "held out"
        )
    order = seeds.numpy("held").permutation(len(pictures))
    held = min(len(pictures) // 3, MOST_HELD)
    return _scaled(name, pictures[order[held:]], pictures[order[:held]])


def _scaled(name: str, train: np.ndarray, held: np.ndarray) -> PictureSet:
    side = check_side(train.shape[1])
    center, scale = float(train.mean(dtype=np.float64)), float(train.std(dtype=np.float64))
    if scale < 1e-6:
        raise DataError(f"all pictures of {name} are one flat color; there is nothing to learn. Check the file")
    flat = [((part.reshape(len(part), -1) - center) / scale).astype(np.float32) for part in (train, held)]
    return PictureSet(name, side, flat[0], flat[1], center, scale)
