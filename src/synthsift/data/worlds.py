"""Toy worlds: mixtures of real and synthetic rows whose right answer is known.

Every world has a law that its real rows are drawn from, so fresh test rows are free and the true gain of any way of
using the synthetic rows can be measured as closely as wanted (`synthsift.data.laws` has the laws).

`World.verdict` is what somebody who knows the law would say about the synthetic set as it comes with the default
settings: "use" (some use of it beats the real rows alone), "harmful" (taken whole it hurts, and its good rows are too
few or too one-sided to repay a search), "useless" (it changes nothing), "either" (depends on settings or luck).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthsift.data.laws import (
    Law,
    Planted,
    Rows,
    Shape,
    change_labels,
    draw_law,
    plant_labels,
    plant_noise,
    plant_rule,
    plant_shift,
)
from synthsift.records import REAL, Examples, Mixture
from synthsift.seeds import Seeds


@dataclass(frozen=True)
class World:
    """A mixture, the truth about its synthetic rows, and a source of fresh real rows.

    Parameters
    ----------
    name : str
        The function that made it.
    mixture : Mixture
        Inputs are float64 arrays (n, d).
    bad : ndarray (num_synth,) of bool
        Rows planted as harmful, in the order of ``mixture.synth``.
    verdict : str
        "use", "harmful", "useless" or "either"; see the top of this file.
    draw_test : callable (num, generator) -> Examples
        Draws fresh real rows.
    """

    name: str
    mixture: Mixture
    bad: np.ndarray
    verdict: str
    draw_test: Callable[[int, np.random.Generator], Examples]


def as_examples(rows: Rows, source: np.ndarray | str, prefix: str | None = None, **columns: np.ndarray) -> Examples:
    """Name rows "<source>:0", "<source>:1", ... within each source (or by `prefix`) and make `Examples` of them."""
    names = np.full(len(rows[1]), source, dtype=object) if isinstance(source, str) else source.astype(object)
    rank = np.zeros(len(names), dtype=np.int64)
    for name in set(names):
        rank[names == name] = np.arange(np.count_nonzero(names == name))
    ids = np.array([f"{prefix or name}:{i}" for name, i in zip(names, rank, strict=True)], dtype=object)
    return Examples(rows[0], rows[1].astype(np.int64), ids, names, **columns)


def assemble(
    name: str,
    verdict: str,
    shape: Shape,
    seeds: Seeds,
    draw: Callable[[int, np.random.Generator], Rows],
    synth: Examples,
    bad: np.ndarray,
) -> World:
    """Draw the real and validation rows with `draw` and put the world together."""
    mixture = Mixture(
        as_examples(draw(shape.num_real, seeds.numpy("real")), REAL, "real"),
        synth,
        as_examples(draw(shape.num_valid, seeds.numpy("valid")), REAL, "valid"),
        tuple(range(shape.num_classes)),
    )
    return World(name, mixture, bad, verdict, lambda num, rng: as_examples(draw(num, rng), REAL, "test"))


def _planted_world(
    name: str, verdict: str, seeds: Seeds, shape: Shape, plant: Callable[[Law, int, np.random.Generator], Planted]
) -> World:
    """Make a world of one source from a planting recipe."""
    law = draw_law(shape, seeds.numpy("law"))
    z, y, bad = plant(law, shape.num_synth, seeds.numpy("synth"))
    synth = as_examples((z @ law.root, y), "synthetic")
    return assemble(name, verdict, shape, seeds, law.draw, synth, bad)


def harmful_labels(seeds: Seeds, *, wrong: float = 0.8, cyclic: bool = True, **shape: Any) -> World:
    """Return a world with right inputs and a share `wrong` of wrong labels; `shape` are fields of `Shape`."""
    verdict = "use" if wrong < 0.4 else "harmful" if wrong > 0.6 else "either"
    return _planted_world(
        "harmful_labels",
        verdict,
        seeds,
        Shape(**shape),
        lambda law, num, rng: plant_labels(law, num, rng, wrong=wrong, cyclic=cyclic),
    )


def harmful_rule(seeds: Seeds, *, share: float = 0.6, **shape: Any) -> World:
    """Return a world whose labels follow another rule in a half space that holds `share` of the rows."""
    return _planted_world(
        "harmful_rule", "harmful", seeds, Shape(**shape), lambda law, num, rng: plant_rule(law, num, rng, share=share)
    )


def shifted_covariates(
    seeds: Seeds, *, share: float = 0.8, shift: float = 3.0, spread: float = 2.0, **shape: Any
) -> World:
    """Return a world with right labels whose inputs are moved by a common vector and over-dispersed."""
    return _planted_world(
        "shifted_covariates",
        "harmful",
        seeds,
        Shape(**shape),
        lambda law, num, rng: plant_shift(law, num, rng, share=share, shift=shift, spread=spread),
    )


def same_law(seeds: Seeds, **shape: Any) -> World:
    """Return a world whose synthetic rows are more rows of the real law; the gain grows with `num_synth`."""
    return _planted_world(
        "same_law", "use", seeds, Shape(**shape), lambda law, num, rng: plant_labels(law, num, rng, wrong=0.0)
    )


def noise(seeds: Seeds, **shape: Any) -> World:
    """Return a world whose synthetic inputs and labels know nothing of each other."""
    return _planted_world("noise", "harmful", seeds, Shape(**shape), plant_noise)


def copies(seeds: Seeds, *, near: float = 0.5, jitter: float = 1e-3, **shape: Any) -> World:
    """Return a world of copies of real rows, a share `near` of them jittered; parents are known."""
    form = Shape(**shape)
    law = draw_law(form, seeds.numpy("law"))
    x, y = law.draw(form.num_real, seeds.numpy("real"))  # the stream that `assemble` draws the real rows from
    rng = seeds.numpy("synth")
    origin = rng.integers(form.num_real, size=form.num_synth)
    moved = (rng.random(form.num_synth) < near)[:, None] * rng.standard_normal((form.num_synth, form.dim))
    parent = np.array([f"real:{i}" for i in origin], dtype=object)
    synth = as_examples((x[origin] + jitter * x.std(axis=0) * moved, y[origin]), "synthetic", parent=parent)
    return assemble("copies", "useless", form, seeds, law.draw, synth, np.zeros(form.num_synth, dtype=bool))


def one_good_source(seeds: Seeds, **shape: Any) -> World:
    """Return a world of five equally large sources: one of the real law, four that are bad in different ways.

    The names "source0" to "source4" do not tell which is which. Bad are all rows of the four bad sources, the few
    harmless ones among them included.
    """
    form = Shape(**{"num_synth": 1500, **shape})
    law, rng = draw_law(form, seeds.numpy("law")), seeds.numpy("synth")
    sizes = np.diff(np.linspace(0, form.num_synth, 6).astype(int))
    parts = [
        plant_labels(law, sizes[0], rng, wrong=0.0),
        plant_labels(law, sizes[1], rng, wrong=0.8, cyclic=True),
        plant_rule(law, sizes[2], rng, share=0.8),
        plant_shift(law, sizes[3], rng, share=1.0, shift=3.0, spread=2.0),
        plant_noise(law, sizes[4], rng),
    ]
    kind = np.repeat(np.arange(5), sizes)
    names = np.array([f"source{k}" for k in rng.permutation(5)], dtype=object)[kind]
    z, y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    synth = as_examples((z @ law.root, y), names)
    return assemble("one_good_source", "use", form, seeds, law.draw, synth, kind > 0)


def non_local_harm(
    seeds: Seeds, *, share: float = 0.7, near: float = 1.0, far: float = 4.0, far_share: float = 0.2, **shape: Any
) -> World:
    """Return a world whose harmful rows are, each by itself, flawless rows of the real law.

    Every class has a cluster near the others (`near` standard deviations from the origin) and one further out in the
    same direction (`far`, a share `far_share` of the real rows). A share `share` of the synthetic rows is bad: of the
    first class only near rows, of all others only far ones. Each lies exactly where real rows of its class lie, so
    the labels of its neighbors and the margin of a trusted model speak for a bad row as much as for a good one (on
    average a little more), and the classes are equally large. But where it matters the first class is now many
    times too frequent, and the boundary moves into its neighbors.

    The last column of x ("quality", independent of class and place) is what a learner of weights can use: its absolute
    value is below 1 for good and above 1 for bad rows, but for a little noise. Real rows are spread evenly over
    [-2, 2], so it is no outlier either; being two-sided, it cannot be absorbed by a linear model.
    """
    form = Shape(**{"num_classes": 2, "clusters": 2, "num_synth": 2000, **shape})
    law = draw_law(replace(form, dim=form.dim - 1, separation=1.0), seeds.numpy("law"))
    direction = law.centers[:, :1]
    law = replace(law, centers=np.concatenate([near * direction, far * direction], axis=1))

    def show(y: np.ndarray, is_far: np.ndarray, quality: np.ndarray, rng: np.random.Generator) -> Rows:
        z = law.centers[y, is_far.astype(int)] + rng.standard_normal((len(y), form.dim - 1))
        return np.column_stack([z @ law.root, quality]), y

    def draw(num: int, rng: np.random.Generator) -> Rows:
        y = rng.choice(form.num_classes, num, p=law.prior)
        return show(y, rng.random(num) < far_share, rng.uniform(-2, 2, num), rng)

    rng, num = seeds.numpy("synth"), form.num_synth
    y, bad = rng.choice(form.num_classes, num, p=law.prior), rng.random(num) < share
    is_far = np.where(bad, y > 0, rng.random(num) < far_share)
    quality = rng.choice([-1.0, 1.0], num) * (rng.random(num) + bad) + rng.normal(0, 0.05, num)
    synth = as_examples(show(y, is_far, quality, rng), "synthetic")
    return assemble("non_local_harm", "use", form, seeds, draw, synth, bad)


def _split_digits(seeds: Seeds, num_trusted: int) -> tuple[Rows, Rows, Rows]:
    """Split scikit-learn's handwritten digits into `num_trusted` rows, 1,000 (or fewer) others, and 597 test rows."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = seeds.numpy("split").permutation(len(y))
    cuts = (order[:num_trusted], order[num_trusted : len(y) - 597], order[-597:])
    first, second, test = ((x[rows], y[rows]) for rows in cuts)
    return first, second, test


def _digits_world(
    name: str, verdict: str, real: Rows, valid: Rows, synth: Examples, test: Rows, bad: np.ndarray
) -> World:
    """Make a world of handwritten digits; its test rows are fixed, whatever number is asked for."""
    mixture = Mixture(as_examples(real, REAL, "real"), synth, as_examples(valid, REAL, "valid"), tuple(range(10)))
    return World(name, mixture, bad, verdict, lambda num, rng: as_examples(test, REAL, "test"))


def digits_noise(seeds: Seeds, *, wrong: float = 0.4) -> World:
    """Return 200 trusted handwritten digits beside 1,000 others ("noisy"), a share `wrong` of them wrongly labeled."""
    trusted, (x, y), test = _split_digits(seeds, 200)
    rng = seeds.numpy("synth")
    bad = np.zeros(len(y), dtype=bool)
    bad[rng.permutation(len(y))[: round(wrong * len(y))]] = True
    synth = as_examples((x, change_labels(y, bad, 10, rng)), "noisy")
    empty = (x[:0], y[:0])
    return _digits_world("digits_noise", "use", trusted, empty, synth, test, bad)


def digits_flawed(seeds: Seeds) -> World:
    """Return 300 handwritten digits, 200 validation ones, and 700 rows of a generator fitted on the 300.

    The generator is a Gaussian with diagonal covariance per class; 300 of its rows get a wrong label, 200 others are
    over-dispersed 2.5 times, and these 500 are bad.
    """
    valid, rest, test = _split_digits(seeds, 200)
    x, y = rest[0][:300], rest[1][:300]
    rng = seeds.numpy("synth")
    labels = rng.choice(y, 700)
    mean = np.stack([x[y == k].mean(axis=0) for k in range(10)])[labels]
    scale = np.stack([x[y == k].std(axis=0) for k in range(10)])[labels]
    flaw = rng.permutation(np.repeat([0, 1, 2], [200, 300, 200]))
    drawn = mean + np.where(flaw == 2, 2.5, 1.0)[:, None] * scale * rng.standard_normal((700, 64))
    synth = as_examples((drawn, change_labels(labels, flaw == 1, 10, rng)), "generator")
    return _digits_world("digits_flawed", "harmful", (x, y), valid, synth, test, flaw > 0)


def permute_synthetic_labels(world: World, seeds: Seeds) -> World:
    """Return the world with the labels of all synthetic rows permuted: nothing is left to learn from them."""
    synth = world.mixture.synth
    permuted = replace(synth, y=seeds.numpy("permute").permutation(synth.y))
    mixture = replace(world.mixture, synth=permuted)
    return replace(world, mixture=mixture, bad=np.ones(len(synth), dtype=bool), verdict="harmful")


def permute_real_labels(world: World, seeds: Seeds) -> World:
    """Return the world with the labels of its real and validation rows permuted: no trusted row tells the truth."""
    real, valid, rng = world.mixture.real, world.mixture.valid, seeds.numpy("permute")
    mixture = replace(
        world.mixture, real=replace(real, y=rng.permutation(real.y)), valid=replace(valid, y=rng.permutation(valid.y))
    )
    return replace(world, mixture=mixture, verdict="either")


WORLDS: dict[str, Callable[..., World]] = {
    "harmful_labels": harmful_labels,
    "harmful_rule": harmful_rule,
    "shifted_covariates": shifted_covariates,
    "copies": copies,
    "same_law": same_law,
    "noise": noise,
    "one_good_source": one_good_source,
    "non_local_harm": non_local_harm,
    "digits_noise": digits_noise,
    "digits_flawed": digits_flawed,
}
