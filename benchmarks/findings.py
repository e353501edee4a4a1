"""How often does `check` cry wolf, how often does it see what is planted, and how long does it take?

    python -m benchmarks.findings --first 1000 --worlds 100     # stores docs/results/findings.parquet
    python -m benchmarks.findings --speed                       # 200,000 x 64 rows, printed only

In a clean world, real, validation, test and synthetic rows all follow one law, so every finding is a false alarm. Half of them
are `synthsift.data.worlds.same_law` with its default shape; the others draw size, width, classes, difficulty and label noise
as `synthsift.data.worlds_random` does. The same worlds stand there a second time, as tables in which every second column has cells
missing at random. As many clean worlds hold texts: random parts of one law of generated texts, in which a label is a word like any
other. Beside them stand a fifth as many worlds of each planted kind of `synthsift.data.worlds`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthsift.check.findings import check
from synthsift.data.worlds import WORLDS, World, as_examples, assemble, same_law
from synthsift.data.worlds_random import draw_difficulty, draw_shape
from synthsift.records import REAL, Examples, Loaded, Mixture, Table
from synthsift.seeds import Seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"
TEST_ROWS = 300
CLEAN = "clean"
PLANTED = (
    "harmful_labels",
    "harmful_rule",
    "shifted_covariates",
    "copies",
    "noise",
    "one_good_source",
    "digits_flawed",
)
CODES = [f"SS{code}" for code in (*range(130, 133), *range(140, 157))]
CLEAN_TEXTS = "clean texts"
CLEAN_TABLES = "clean tables"
TOPICS = ("sports", "finance", "health", "travel")
PARTS = {"real": 300, "valid": 60, "synthetic": 400, "test": TEST_ROWS}  # rows of a world of texts


def clean_world(seed: int) -> World:
    """An even seed gives a world of the default shape, an odd one a random shape."""
    seeds = Seeds(seed)
    if seed % 2 == 0:
        return same_law(seeds)
    rng = seeds.numpy("plan")
    shape = draw_shape(rng)
    law = draw_difficulty(shape, max(rng.uniform(0.70, 0.93) * (1 - shape.label_noise), 0.60), seeds)
    # Drawn as the real rows are, label noise included: careful labels would be another mix of classes.
    synth = as_examples(law.draw(shape.num_synth, seeds.numpy("synth")), "synthetic")
    return assemble("random/same law", "either", shape, seeds, law.draw, synth, np.zeros(shape.num_synth, dtype=bool))


def as_tables(loaded: Loaded, seed: int) -> Loaded:
    """The same rows as tables; every second column lacks up to 60 % of its cells, in all parts alike."""
    rng = Seeds(seed).numpy("missing")
    num_columns = loaded.mixture.real.x.shape[1]
    share = np.where(np.arange(num_columns) % 2 == 1, rng.uniform(0, 0.6, num_columns), 0.0)
    names = tuple(f"x{k}" for k in range(num_columns))

    def convert(part: Examples) -> Examples:
        cells = np.where(rng.random(part.x.shape) < share, np.nan, part.x.astype(np.float64))
        return replace(part, x=Table(names, tuple(cells.T), (None,) * num_columns))

    mixture = loaded.mixture
    parts = {name: convert(getattr(mixture, name)) for name in ("real", "valid", "synth")}
    return Loaded(replace(mixture, **parts), None if loaded.test is None else convert(loaded.test))


def clean_texts(seed: int) -> Loaded:
    """Texts of up to four topics, 6 to 40 words of a Zipf law; a topic says its own words more often, its name too."""
    rng = Seeds(seed).numpy("texts")
    words = np.array(["".join(rng.choice(list("abcdeilmnorstu"), rng.integers(2, 10))) for _ in range(1500)], object)
    topics = TOPICS[: rng.integers(2, len(TOPICS) + 1)]
    words[10 : 10 + len(topics)] = topics
    base = 1 / np.arange(1, len(words) + 1)
    favored = base * np.where(rng.random((len(topics), len(words))) < 0.1, rng.uniform(2, 8), 1.0)
    favored[np.arange(len(topics)), 10 + np.arange(len(topics))] *= 4
    law = favored / favored.sum(axis=1, keepdims=True)
    share = rng.dirichlet(np.full(len(topics), 8.0))

    def draw(name: str) -> Examples:
        n = PARTS[name]
        y = rng.choice(len(topics), n, p=share)
        texts = [" ".join(rng.choice(words, rng.integers(6, 41), p=law[k])) for k in y]
        source = "synthetic" if name == "synthetic" else REAL
        return Examples(np.array(texts, object), y, np.array([f"{name}:{k}" for k in range(n)]), np.full(n, source))

    return Loaded(Mixture(draw("real"), draw("synthetic"), draw("valid"), topics), draw("test"))


def worlds_to_check(first: int, num: int) -> Iterator[tuple[str, int, Loaded]]:
    """Yield the kind, the seed and the rows, clean ones first."""

    def loaded(world: World, seed: int) -> Loaded:
        return Loaded(world.mixture, world.draw_test(TEST_ROWS, Seeds(seed).numpy("test")))

    for seed in range(first, first + num):
        yield CLEAN, seed, loaded(clean_world(seed), seed)
    for seed in range(first, first + num):
        yield CLEAN_TABLES, seed, as_tables(loaded(clean_world(seed), seed), seed)
    for seed in range(first, first + num):
        yield CLEAN_TEXTS, seed, clean_texts(seed)
    for kind in PLANTED:
        for seed in range(first, first + max(1, num // 5)):
            yield kind, seed, loaded(WORLDS[kind](Seeds(seed)), seed)


def run(first: int, num: int) -> None:
    """Store one row a world and code: whether it fired."""
    import pandas as pd

    rows = []
    for kind, seed, loaded in worlds_to_check(first, num):
        started = time.process_time()
        findings = {finding.code: finding for finding in check(loaded, Seeds(seed).child("check"))}
        seconds = time.process_time() - started
        about = {"world": kind, "seed": seed, "seconds": seconds}
        rows += [{**about, "code": code, "fired": code in findings} for code in CODES]
        if kind in (CLEAN, CLEAN_TEXTS, CLEAN_TABLES) and findings:
            print(seed, kind, *(f"{code}: {finding.seen}" for code, finding in findings.items()), flush=True)
    table = pd.DataFrame(rows)
    print(table.pivot_table(index="code", columns="world", values="fired", aggfunc="sum").T.to_string())
    print(f"{table['seconds'].sum() / len(CODES):.0f} CPU s")
    if first >= 1000:
        table.to_parquet(RESULTS / "findings.parquet", index=False)


def measure(rows: int, width: int) -> None:
    """Time `check` on many rows, a tenth of the synthetic ones copies and near copies of one another."""
    world = same_law(Seeds(0), num_real=rows // 10, num_valid=rows // 20, num_synth=rows, dim=width)
    synth, rng = world.mixture.synth, np.random.default_rng(0)
    copied = rng.integers(rows // 10, rows, rows // 10)
    synth.x[: rows // 10] = synth.x[copied] + (rng.random((rows // 10, 1)) < 0.5) * 1e-4
    loaded = Loaded(world.mixture, world.draw_test(rows // 20, rng))
    wall, cpu = time.perf_counter(), time.process_time()
    findings = check(loaded, Seeds(0))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for finding in findings:
        print(finding)
    print(f"{rows:,} synthetic x {width}: {wall:.0f} s, {cpu:.0f} CPU s, {memory:.1f} GiB at most (data included)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--speed", action="store_true", help="time one large check instead")
    arguments = parser.parse_args()
    if arguments.speed:
        measure(200_000, 64)
    else:
        run(arguments.first, arguments.worlds)


if __name__ == "__main__":
    main()
