"""Small streams on disk, for the tests of `synthsift drift`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CENTERS = np.random.default_rng(7).standard_normal((4, 4)) * 3
WORDS = np.array(
    ["river", "stone", "cloud", "winter", "apple", "green", "quiet", "paper", "road", "light", "glass", "horse"]
)


def draw(seed: int, n: int = 180, lost: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 4) of four modes and their numbers; `lost` is the share of the last one that is gone."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.3, 0.3, 0.2, 0.2 * (1 - lost)])
    mode = rng.choice(4, n, p=shares / shares.sum())
    return (CENTERS[mode] + rng.standard_normal((n, 4))).astype(np.float32), mode


def write_arrays(folder: Path, losses: tuple[float, ...] = (0.0, 0.0)) -> list[Path]:
    """real.npy and gen0.npy, gen1.npy, ...; the paths in that order."""
    files = []
    for k, lost in enumerate((0.0, *losses)):
        files.append(folder / ("real.npy" if k == 0 else f"gen{k - 1}.npy"))
        np.save(files[-1], draw(k, 600 if k == 0 else 250, lost)[0])
    return files


def write_table(path: Path, seed: int, lost: float = 0.0, n: int = 180) -> Path:
    """A CSV with two numeric columns, a category that follows the mode, and a label."""
    rows, mode = draw(seed, n, lost)
    lines = ["size,weight,color,label"]
    lines += [f"{r[0]:.5f},{r[1]:.5f},{'rgby'[m]},k{m}" for r, m in zip(rows, mode, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_texts(path: Path, seed: int, words: int = 12, n: int = 180) -> Path:
    """A JSONL file of documents made of the first `words` words."""
    rng = np.random.default_rng(seed)
    documents = [" ".join(rng.choice(WORDS[:words], 8)) for _ in range(n)]
    path.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    return path
