"""Small networks that judge rows they did not train on: K cross-fitted probes, trained side by side, with checkpoints.

A probe has one hidden layer. The K probes see the same steps and batch size; probe k trains on all rows outside fold k.
Everything is a few stacked matrix products, so that K probes cost hardly more than one, and the cost of training does
not grow with the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.resampling import stratified_folds
from synthsift.seeds import Seeds

NUM_PROBES = 3
HIDDEN = 32
STEPS = 120
BATCH = 256
RATE = 1e-2
DECAY = 1e-2
NUM_CHECKPOINTS = 8


@dataclass(frozen=True)
class Probes:
    """Checkpoints of K networks: logits = relu(x hidden + bias) slope + offset.

    Parameters
    ----------
    hidden, bias : ndarray (t, k, d, h), (t, k, h)
        First layer at t points of the training, the last at its end.
    slope, offset : ndarray (t, k, h, c), (t, k, c)
        Second layer.
    """

    hidden: np.ndarray
    bias: np.ndarray
    slope: np.ndarray
    offset: np.ndarray

    @property
    def num_checkpoints(self) -> int:
        """Number of checkpoints t."""
        return len(self.hidden)

    @property
    def num_probes(self) -> int:
        """Number of probes K."""
        return self.hidden.shape[1]

    def penultimate(self, x: np.ndarray, probe: int, checkpoint: int = -1) -> np.ndarray:
        """Return activations (n, h) of the hidden layer, not negative."""
        return np.maximum(x @ self.hidden[checkpoint, probe] + self.bias[checkpoint, probe], 0)

    def logits(self, activations: np.ndarray, probe: int, checkpoint: int = -1) -> np.ndarray:
        """Return logits (n, c) of penultimate activations."""
        return activations @ self.slope[checkpoint, probe] + self.offset[checkpoint, probe]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def family_split(y: np.ndarray, family: np.ndarray, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return folds (n,), stratified by `y`; rows of one family (not -1) share the fold of one of them."""
    fold = stratified_folds(y, num_folds, rng)
    known = family >= 0
    if known.any():
        of_family = np.zeros(int(family.max()) + 1, dtype=np.int64)
        of_family[family[known]] = fold[known]
        fold[known] = of_family[family[known]]
    return fold


def train_probes(
    x: np.ndarray,
    y: np.ndarray,
    num_classes: int,
    fold: np.ndarray,
    seeds: Seeds,
    *,
    balanced: bool = False,
    num_checkpoints: int = NUM_CHECKPOINTS,
) -> Probes:
    """Train one probe a fold on the rows of the other folds, by AdamW with a cosine schedule.

    Parameters
    ----------
    x : ndarray (n, d) of float32
    y : ndarray (n,) of int
        Codes below `num_classes`.
    num_classes : int
    fold : ndarray (n,)
        Fold of each row, below K = max + 1. A probe whose other folds are empty trains on all rows.
    seeds : Seeds
        Streams "init" and "batches".
    balanced : bool
        Draw every class equally often.
    num_checkpoints : int
        Parameters are kept at so many evenly spaced steps.
    """
    rng, num_probes = seeds.numpy("init"), int(fold.max()) + 1
    shapes = {"hidden": (x.shape[1], HIDDEN), "bias": (1, HIDDEN)}
    shapes |= {"slope": (HIDDEN, num_classes), "offset": (1, num_classes)}
    scale = {"hidden": (2.0 / x.shape[1]) ** 0.5, "bias": 0.0, "slope": HIDDEN**-0.5, "offset": 0.0}
    net = {
        name: (scale[name] * rng.standard_normal((num_probes, *shape))).astype(np.float32)
        for name, shape in shapes.items()
    }
    first, second = ({name: np.zeros_like(v) for name, v in net.items()} for _ in range(2))
    drawn = _draw_batches(y, fold, num_probes, balanced, seeds.numpy("batches"))
    onehot = np.eye(num_classes, dtype=np.float32)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in net}
    marks = set(np.linspace(0, STEPS, num_checkpoints + 1).round().astype(int)[1:].tolist())
    for step, rows in enumerate(drawn, start=1):
        gradient = _gradient(net, x[rows], onehot[y[rows]])
        rate = 0.5 * RATE * (1 + np.cos(np.pi * (step - 1) / STEPS))
        for name, g in gradient.items():
            first[name] += 0.1 * (g - first[name])
            second[name] += 0.01 * (g * g - second[name])
            root = np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8
            net[name] -= rate * (first[name] / ((1 - 0.9**step) * root) + DECAY * net[name])
        if step in marks:
            for name, value in net.items():
                kept[name].append(value[:, 0] if name in ("bias", "offset") else value.copy())
    stacked = {name: np.stack([v.copy() for v in values]) for name, values in kept.items()}
    return Probes(**stacked)


def _draw_batches(
    y: np.ndarray, fold: np.ndarray, num_probes: int, balanced: bool, rng: np.random.Generator
) -> np.ndarray:
    """Rows (steps, K, batch) for every step and probe, with replacement."""
    drawn = np.empty((STEPS, num_probes, BATCH), dtype=np.int64)
    for k in range(num_probes):
        rows = np.flatnonzero(fold != k)
        rows = rows if len(rows) else np.arange(len(fold))
        place = rng.integers(len(rows), size=(STEPS, BATCH))
        if balanced:
            order = np.argsort(y[rows], kind="stable")
            present, start, count = np.unique(y[rows][order], return_index=True, return_counts=True)
            which = np.arange(BATCH) % len(present)
            place = order[start[which] + (rng.random((STEPS, BATCH)) * count[which]).astype(np.int64)]
        drawn[:, k] = rows[place]
    return drawn


def _gradient(net: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient of the mean cross-entropy of K batches, x (K, b, d) and target (K, b, c)."""
    activations = np.maximum(x @ net["hidden"] + net["bias"], 0)
    residual = (softmax(activations @ net["slope"] + net["offset"]) - target) / x.shape[1]
    back = (residual @ net["slope"].transpose(0, 2, 1)) * (activations > 0)
    return {
        "hidden": x.transpose(0, 2, 1) @ back,
        "bias": back.sum(axis=1, keepdims=True),
        "slope": activations.transpose(0, 2, 1) @ residual,
        "offset": residual.sum(axis=1, keepdims=True),
    }
