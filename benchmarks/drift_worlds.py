"""The four kinds of real rows of `benchmarks.drift`, each with the generator that learns them.

A generator is a function ``fit(rows, seeds) -> draw`` with ``draw(num, rng) -> rows``; rows have the form that the drift
monitor takes: a `Table`, a float32 array (n, d), or texts (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift_cases import WorldCase
from synthsift.records import Table
from synthsift.seeds import Seeds

Draw = Callable[[int, np.random.Generator], Any]


@dataclass(frozen=True)
class World:
    """Real rows of the monitor, other real rows for the loop, and the generator."""

    reference: Any
    pool: Any
    fit: Callable[[Any, Seeds], Draw]


def make_world(case: WorldCase, seeds: Seeds, data: Path) -> World:
    """Read the rows and divide them at random; the generator never sees those of the monitor."""
    rows = {"adult": read_adult, "digits": read_digits, "mnist": read_mnist, "text": read_text}[case.name](case, data)
    order = seeds.numpy("division").permutation(len(rows))

    def fit(rows: Any, node: Seeds) -> Draw:
        return FITS[case.name](case, rows, node)

    return World(rows[order[: case.reference]], rows[order[case.reference :]], fit)


def read_adult(case: WorldCase, data: Path) -> Table:
    """All 48,842 rows of the census file, the income as one of 15 columns."""
    import pandas as pd

    folder = data / "adult_generators"
    parts = [pd.read_csv(folder / f"real_{part}.csv.gz", keep_default_na=False) for part in ("train", "val", "test")]
    frame = pd.concat(parts, ignore_index=True)
    values, categories = [], []
    for name in frame:
        if frame[name].dtype.kind in "if":
            values.append(frame[name].to_numpy(np.float64))
            categories.append(None)
        else:
            column = pd.Categorical(frame[name])
            values.append(column.codes.astype(np.int32))
            categories.append(tuple(map(str, column.categories)))
    return Table(tuple(map(str, frame)), tuple(values), tuple(categories))


def read_digits(case: WorldCase, data: Path) -> np.ndarray:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, from -1 to 1."""
    from sklearn.datasets import load_digits

    return (load_digits(return_X_y=True)[0] / 8 - 1).astype(np.float32)


def read_mnist(case: WorldCase, data: Path) -> np.ndarray:
    """MNIST's 70,000 digits of 28 x 28 pixels, from 0 to 1."""
    from synthsift.studies.idx import mnist_folder, read_digits

    folder = mnist_folder(data)
    images = np.concatenate([read_digits(folder, "train")[0], read_digits(folder, "test")[0]])
    return (images.reshape(len(images), -1) / 255).astype(np.float32)


def read_text(case: WorldCase, data: Path) -> np.ndarray:
    """Shakespeare in pieces of one length."""
    text = (data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    length = case.setting("length")
    pieces = [text[start : start + length] for start in range(0, len(text) - length + 1, length)]
    return np.array(pieces, dtype=object)


def fit_copula(case: WorldCase, rows: Table, seeds: Seeds) -> Draw:
    """`drift_copula`."""
    from benchmarks.drift_copula import GaussianCopula

    return GaussianCopula.fit(rows, seeds.numpy("ties")).sample


def fit_diffusion(case: WorldCase, rows: np.ndarray, seeds: Seeds) -> Draw:
    """The laboratory's score network, new in every round; pixels are cut to the range of real ones."""
    from synthsift.drift.diffusion import DiffusionSettings, train_score

    settings = DiffusionSettings(
        width=case.setting("width"),
        depth=case.setting("depth"),
        steps=case.setting("steps"),
        batch=128,
        t0=0.02,
        sampling_steps=case.setting("sampling"),
    )
    model = train_score(lambda n, rng: rows[rng.integers(len(rows), size=n)], rows.shape[1], settings, seeds)
    return lambda num, rng: np.clip(model.sample(num, rng), -1, 1).astype(np.float32)


def fit_autoencoder(case: WorldCase, rows: np.ndarray, seeds: Seeds) -> Draw:
    """`drift_networks.train_autoencoder`."""
    from benchmarks.drift_networks import train_autoencoder

    return train_autoencoder(
        rows, seeds, width=case.setting("width"), latent=case.setting("latent"), steps=case.setting("steps")
    )


def fit_characters(case: WorldCase, rows: np.ndarray, seeds: Seeds) -> Draw:
    """`drift_networks.train_characters`."""
    from benchmarks.drift_networks import train_characters

    return train_characters(rows, seeds, width=case.setting("width"), steps=case.setting("steps"))


FITS = {"adult": fit_copula, "digits": fit_diffusion, "mnist": fit_autoencoder, "text": fit_characters}
