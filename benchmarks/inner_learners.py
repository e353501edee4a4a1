"""Which learner should sit inside the meta-training where the rows are pictures: of the features, or of the pixels?

    python -m benchmarks.inner_learners --chars FOLDER  # seeds 1000-1003, stores docs/results/inner-learners.parquet

    digits  200 handwritten digits of 32 pixels beside 600 others, 40 % of them with a wrong label
    hues    three colors, equally bright and of one shape, so that gradient histograms are blind to the class; 150 real
            pictures, and 600 of two sources, one of which has wrong labels
    chars   200 letters from photographs (A to J) beside 800 rendered ones, 30 % with a wrong label: FOLDER holds
            scene.npz and fonts.npz with x and y

AUROC is that of what the meta-networks say (before its power is chosen) for good against bad rows.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.selection import auroc
from synthsift.bilevel.importance import log_weights_of
from synthsift.bilevel.learned import LearnedWeights
from synthsift.records import Examples, Images, Mixture, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "inner-learners.parquet"
LEARNERS = {
    "linear": LearnedWeights(),
    "mlp": LearnedWeights("mlp"),
    "cnn": LearnedWeights("cnn", batch=256, selector_batch=512, trusted_batch=128),
}
Drawn = tuple[Mixture, np.ndarray]


def mixture_of(x: np.ndarray, y: np.ndarray, num_real: int, source: np.ndarray, num_classes: int) -> Mixture:
    """Make a mixture of pictures (n, 32, 32, 3), the real ones first; `source` (n,)."""
    ids = np.array([f"row{k}" for k in range(len(y))])
    every = Examples(Images(x, np.arange(len(y))), y.astype(np.int64), ids, source)
    real, synth = every[np.arange(num_real)], every[np.arange(num_real, len(y))]
    return Mixture(real, synth, real[:0], tuple(range(num_classes)))


def spoil(
    y: np.ndarray, share: float, num_real: int, num_classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change the labels of a share of the synthetic rows; return all labels (n,) and which rows are bad (num_synth,)."""
    bad = rng.permutation(len(y) - num_real) < round(share * (len(y) - num_real))
    shift = np.where(bad, rng.integers(1, num_classes, len(bad)), 0)
    return np.concatenate([y[:num_real], (y[num_real:] + shift) % num_classes]), bad


def enlarged(x: np.ndarray) -> np.ndarray:
    """Gray pictures of bytes as color ones of 32 pixels."""
    from PIL import Image

    scaled = [np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BILINEAR)) for one in x]
    return np.repeat(np.stack(scaled)[..., None], 3, axis=3)


def digits(seed: int) -> Drawn:
    """Scikit-learn's handwritten digits, some mislabeled."""
    from sklearn.datasets import load_digits

    data, rng = load_digits(), np.random.default_rng(seed)
    rows = rng.permutation(len(data.target))[:800]
    shown, bad = spoil(data.target[rows], 0.4, 200, 10, rng)
    source = np.where(np.arange(800) < 200, "real", "noisy")
    return mixture_of(enlarged((15.9 * data.images[rows]).astype(np.uint8)), shown, 200, source, 10), bad


def hues(seed: int) -> Drawn:
    """A red, green or blue square somewhere on gray noise, as bright as the others."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(3, size=750), rng.normal(90, 25, (750, 32, 32, 1)) * np.ones(3)
    for picture, hue, (down, right) in zip(x, y, rng.integers(2, 20, (750, 2)), strict=True):
        picture[down : down + 8, right : right + 8] = 60
        picture[down : down + 8, right : right + 8, hue] += 18 / (0.299, 0.587, 0.114)[hue]
    bad = rng.random(600) < 0.5
    shift = np.where(bad, rng.integers(1, 3, 600), 0)
    shown = np.concatenate([y[:150], (y[150:] + shift) % 3])
    source = np.concatenate([np.full(150, "real"), np.where(bad, "wrong", "right")])
    return mixture_of(x.clip(0, 255).astype(np.uint8), shown, 150, source, 3), bad


def chars(folder: Path, seed: int) -> Drawn:
    """Letters from photographs beside rendered ones, some mislabeled."""
    rng, drawn = np.random.default_rng(seed), []
    for name, count in (("scene", 200), ("fonts", 800)):
        with np.load(folder / f"{name}.npz") as data:
            x, y = data["x"], data["y"].astype(np.int64) - 10  # digits come first
        rows = rng.permutation(np.flatnonzero((y >= 0) & (y < 10)))[:count]
        drawn.append((x[rows] if x.ndim == 4 else np.repeat(x[rows][..., None], 3, axis=3), y[rows]))
    x, y = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    shown, bad = spoil(y, 0.3, 200, 10, rng)
    return mixture_of(x, shown, 200, np.where(np.arange(1000) < 200, "real", "fonts"), 10), bad


def measure(name: str, draw: Callable[[int], Drawn], seed: int) -> list[dict[str, object]]:
    """Weigh one world with every learner."""
    mixture, bad = draw(seed)
    x = concat_x([part.x for part in mixture.parts if len(part)])
    embedding = fit_encoder(x).transform(x)
    features = FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(seed))
    rows: list[dict[str, object]] = []
    for learner, weigher in LEARNERS.items():
        began = time.process_time()
        weights = weigher(mixture, features, Seeds(seed))
        seconds = time.process_time() - began
        said = log_weights_of(weights.state, mixture)(mixture, features)[mixture.is_synth]
        power = float(weights.history["temper"][0])
        found = {"auroc": auroc(~bad, said), "power": power, "cpu_seconds": seconds}
        rows.append({"world": name, "seed": seed, "learner": learner, **found})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001, 1002, 1003])
    parser.add_argument("--chars", type=Path)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch's own, on its first forward-mode derivative
    worlds: dict[str, Callable[[int], Drawn]] = {"digits": digits, "hues": hues}
    if arguments.chars is not None:
        worlds["chars"] = partial(chars, arguments.chars)
    found = [row for seed in arguments.seeds for name, draw in worlds.items() for row in measure(name, draw, seed)]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(found).to_parquet(RESULTS, index=False)


if __name__ == "__main__":
    main()
