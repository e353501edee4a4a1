"""Worlds drawn at random, for studies that ask how often a verdict is right.

A verdict that is tuned on a handful of worlds is right on those. `random_world` draws everything that decides whether
synthetic rows pay: how many real rows there are, how hard the problem is, and what is wrong with the synthetic ones.
Over its draws the best use of the synthetic rows is worth from nothing to several points of accuracy, and using them
all is worth anything from clear harm to clear gain; nobody knows the right answer of a draw beforehand, but
`World.draw_test` measures it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthsift.data.laws import (
    Law,
    Planted,
    Shape,
    draw_law,
    plant_labels,
    plant_noise,
    plant_rule,
    plant_shift,
)
from synthsift.data.worlds import World, as_examples, assemble
from synthsift.seeds import Seeds

KINDS = ("same law", "labels", "rule", "shift", "mixture", "sources", "noise", "fitted")
# Clear help is needed often enough to measure power, pure noise seldom: its answer is easy.
ODDS = (0.27, 0.13, 0.08, 0.1, 0.15, 0.12, 0.05, 0.1)


def best_accuracy(law: Law, rng: np.random.Generator, num: int = 2000) -> float:
    """Estimate the accuracy of the ideal classifier of `law` (equal class sizes assumed), label noise included."""
    z, y = law.draw_white(num, rng)
    flat = law.centers.reshape(-1, z.shape[1])
    closeness = z @ flat.T - 0.5 * (flat**2).sum(axis=1)  # log-density of each cluster but for what all share
    evidence = np.exp(closeness - closeness.max(axis=1, keepdims=True))
    evidence = evidence.reshape(num, *law.centers.shape[:2]).sum(axis=2)  # (num, c)
    return float(np.mean(evidence.argmax(axis=1) == y)) * (1 - law.label_noise)


def draw_difficulty(shape: Shape, target: float, seeds: Seeds) -> Law:
    """Draw a law whose ideal accuracy is about `target`, by halving the range of separations ten times."""
    low, high = 0.1, 8.0
    for _ in range(10):
        middle = (low * high) ** 0.5
        law = draw_law(replace(shape, separation=middle), seeds.numpy("law"))  # the same directions every time
        low, high = (middle, high) if best_accuracy(law, seeds.numpy("difficulty")) < target else (low, middle)
    return law


def plant_fitted(law: Law, num: int, rng: np.random.Generator, *, num_seen: int) -> Planted:
    """Draw from a Gaussian per class, fitted on `num_seen` rows of the law, with covariance shrunk to its diagonal."""
    z, y = law.draw_white(num_seen, rng)
    c, dim = len(law.prior), z.shape[1]
    drawn, labels = np.empty((num, dim)), rng.choice(c, num, p=law.prior)
    for k in range(c):
        own = z[y == k] if np.count_nonzero(y == k) > 2 else z
        covariance = np.cov(own.T)
        covariance = 0.5 * covariance + 0.5 * np.diag(np.diag(covariance))
        mine = labels == k
        drawn[mine] = rng.multivariate_normal(own.mean(axis=0), covariance, size=np.count_nonzero(mine))
    return drawn, labels, np.zeros(num, dtype=bool)


def _join(parts: list[Planted]) -> Planted:
    """Put planted parts below one another."""
    z, y, bad = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return z, y, bad


def _plant_one(kind: str, law: Law, num: int, rng: np.random.Generator) -> Planted:
    """Draw `num` rows of one kind with a random strength."""
    if kind == "labels":
        return plant_labels(law, num, rng, wrong=rng.uniform(0.1, 0.6), cyclic=rng.random() < 0.5)
    if kind == "rule":
        return plant_rule(law, num, rng, share=rng.uniform(0.1, 0.6))
    if kind == "shift":
        share, shift, spread = rng.uniform(0.3, 1.0), rng.uniform(0.0, 3.0), rng.uniform(0.7, 2.0)
        return plant_shift(law, num, rng, share=share, shift=shift, spread=spread)
    if kind == "noise":
        return plant_noise(law, num, rng)
    if kind == "fitted":
        return plant_fitted(law, num, rng, num_seen=int(np.exp(rng.uniform(np.log(60), np.log(3000)))))
    return plant_labels(law, num, rng, wrong=0.0)


def _plant_sources(kind: str, law: Law, num: int, rng: np.random.Generator) -> tuple[Planted, np.ndarray]:
    """Draw the synthetic rows of a world of kind `kind` and the name of the source of each."""
    if kind == "mixture":
        num_good = int(num * rng.uniform(0.2, 0.8))
        spoiled = rng.choice(["labels", "rule", "shift", "noise"])
        parts = [_plant_one("same law", law, num_good, rng), _plant_one(spoiled, law, num - num_good, rng)]
        return _join(parts), np.full(num, "synthetic", dtype=object)
    if kind == "sources":
        sizes = np.diff(np.linspace(0, num, rng.integers(2, 7)).astype(int))
        wrong = np.linspace(0.0, rng.uniform(0.3, 0.8), len(sizes))
        cyclic = rng.random() < 0.5
        parts = [plant_labels(law, n, rng, wrong=w, cyclic=cyclic) for n, w in zip(sizes, wrong, strict=True)]
        names = np.array([f"source{k}" for k in rng.permutation(len(sizes))], dtype=object)
        return _join(parts), np.repeat(names, sizes)
    return _plant_one(kind, law, num, rng), np.full(num, "synthetic", dtype=object)


def draw_shape(rng: np.random.Generator, num_real: int | None = None) -> Shape:
    """Draw the sizes of a world; `num_real` counts all real rows (300 to 2,000 if None), 30 % of them valid or none.

    Some worlds are wide: many columns and classes, mostly noisy real labels, and at least three times as many synthetic
    rows as real ones. Only there can good synthetic rows pay well when there are a thousand real ones.
    """
    total = num_real or round(float(np.exp(rng.uniform(np.log(300), np.log(2000)))))
    num_valid = round(0.3 * total) if rng.random() < 0.5 else 0
    wide = rng.random() < (0.5 if total >= 1000 else 0.3)
    dim, ratio = np.exp(rng.uniform(*np.log([[60, 3.0], [120, 4.0]] if wide else [[5, 0.5], [60, 4.0]])))
    return Shape(
        num_real=total - num_valid,
        num_valid=num_valid,
        num_synth=round(total * float(ratio)),
        dim=round(float(dim)),
        num_classes=int(rng.integers(4 if wide else 2, 6)),
        clusters=int(rng.integers(1, 3)),
        decay=float(rng.uniform(0.0, 1.0)),
        label_noise=float(rng.uniform(0.1, 0.25)) if rng.random() < (0.8 if wide else 0.4) else 0.0,
        imbalance=float(rng.uniform(1.0, 3.0)) if rng.random() < 0.3 else 1.0,
    )


def random_world(seeds: Seeds, *, num_real: int | None = None, unbalanced: bool = False) -> World:
    """Draw a world in which the value of the synthetic rows is not known beforehand.

    Parameters
    ----------
    seeds : Seeds
        The same seeds give the same world.
    num_real : int, optional
        Real rows, validation rows included; drawn log-uniformly from 300 to 2,000 if not given.
    unbalanced : bool
        The largest class is 3.5 to 30 times as frequent as the smallest; the synthetic rows have the same mix of
        classes, or equally many of each, as generators that are asked for labels make them.

    Returns
    -------
    World
        Named "random/<kind>"; the verdict is "either" unless nothing but noise was planted ("harmful"). Where real
        labels are noisy, planted rows are labeled more carefully, as an expensive simulator would do.
    """
    rng = seeds.numpy("plan")
    shape = draw_shape(rng, num_real)
    mix = seeds.numpy("mix")
    if unbalanced:
        shape = replace(shape, imbalance=float(np.exp(mix.uniform(np.log(3.5), np.log(30.0)))))
    target = max(rng.uniform(0.70, 0.93) * (1 - shape.label_noise), 0.60)
    law = draw_difficulty(shape, target, seeds)
    kind = str(rng.choice(KINDS, p=ODDS))
    is_even = unbalanced and mix.random() < 0.5
    generator = replace(law, prior=np.full(shape.num_classes, 1 / shape.num_classes)) if is_even else law
    (z, y, bad), source = _plant_sources(kind, generator, shape.num_synth, seeds.numpy("synth"))
    order = seeds.numpy("order").permutation(shape.num_synth)
    synth = as_examples((z[order] @ law.root, y[order]), source[order])
    verdict = "harmful" if kind == "noise" else "either"
    return assemble(f"random/{kind}", verdict, shape, seeds, law.draw, synth, bad[order])
