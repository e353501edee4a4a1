"""Real rows and synthetic rows of a mixing case, as features of a common scale: what a user would have in hand.

Training, generator, verifier, judging and testing rows are disjoint; which rows they are is drawn anew for every seed.
Encoders and principal components see no labels and none of the testing rows.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.theory_cases import MixingCase
from synthsift.seeds import Seeds
from synthsift.studies.idx import read_digits

Rows = tuple[np.ndarray, np.ndarray]
JUDGING = {"digits": 600, "mnist": 2500, "adult": 5000, "agnews": 3000, "tweets": 5000}


@dataclass(frozen=True)
class Task:
    """Features (n, p) and labels +-1 (n,) of each part; `source` holds rows and labels of a named generator."""

    train: Rows
    generator: Rows
    verifier: Rows
    judge: Rows
    test: Rows
    source: Rows | None


def make_task(case: MixingCase, data: Path, seeds: Seeds) -> Task:
    """Draw the parts of a case."""
    sizes = {"train": case.num_real, "generator": case.generator_size, "verifier": case.checked}
    seen, unseen, source = _pools(case, data)
    rng = seeds.numpy("parts")
    if unseen is None:  # one pool of rows: judging and testing rows come out of it too
        order = rng.permutation(len(seen[1]))
        left = len(order) - sum(sizes.values())
        judging = min(JUDGING[case.data], left // 2)
        cuts = np.cumsum([*sizes.values(), judging, min(JUDGING[case.data], left - judging)])
        parts = [_take(seen, chosen) for chosen in np.split(order, cuts)[:5]]
    else:
        order, other = rng.permutation(len(seen[1])), rng.permutation(len(unseen[1]))
        judging = min(JUDGING[case.data], len(other) // 2)
        own = np.split(order, np.cumsum([*sizes.values()]))[:3]
        parts = [_take(seen, chosen) for chosen in own]
        parts += [_take(unseen, other[:judging]), _take(unseen, other[judging : 2 * judging])]
    known = np.concatenate([x for x, _ in parts[:4]] + ([source[0]] if source else []))
    scale = _Scale.fit(known, case.dim, parts[0])
    return Task(*((scale(x), y) for x, y in parts), source=(scale(source[0]), source[1]) if source else None)


@dataclass(frozen=True)
class _Scale:
    """Standardize, project, scale to mean variance 1, and center at the midpoint of the training rows' class means."""

    center: np.ndarray
    spread: np.ndarray
    components: np.ndarray
    middle: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, dim: int, train: Rows) -> _Scale:
        spread = x.std(axis=0)
        # A column that hardly ever varies is dropped: dividing by its spread would blow up a few single rows.
        keep = spread > 0.2 * np.median(spread[spread > 0])
        center, spread = x.mean(axis=0), np.where(keep, spread, np.inf)
        z = (x - center) / spread
        values, vectors = np.linalg.eigh(z.T @ z / len(z))
        chosen = np.argsort(values)[::-1][:dim]
        components = vectors[:, chosen] / np.sqrt(values[chosen].mean())
        scaled = ((train[0] - center) / spread) @ components
        middle = (scaled[train[1] > 0].mean(axis=0) + scaled[train[1] < 0].mean(axis=0)) / 2
        return cls(center, spread, components, middle)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.center) / self.spread) @ self.components - self.middle


def _take(rows: Rows, chosen: np.ndarray) -> Rows:
    return rows[0][chosen], rows[1][chosen]


def _signed(names: np.ndarray, case: MixingCase) -> tuple[np.ndarray, np.ndarray]:
    """Which rows belong to one of the two sides, and their labels +-1."""
    positive, used = np.isin(names, case.positive), np.isin(names, case.positive + case.negative)
    return used, np.where(positive[used], 1.0, -1.0)


def _pools(case: MixingCase, data: Path) -> tuple[Rows, Rows | None, Rows | None]:
    """Real rows to train on, real rows to judge and test on (None: the same pool), rows of the named source."""
    if case.data in ("digits", "mnist"):
        x, names = _digits(case.data, data)
        used, y = _signed(names, case)
        return (x[used].astype(float), y), None, None
    parts = _adult(data, case.generator) if case.data == "adult" else _texts(case.data, data, case.generator)
    seen, unseen, source = ((x[used], y) for x, names in parts for used, y in [_signed(names, case)])
    return seen, unseen, source


@cache
def _digits(name: str, data: Path) -> tuple[np.ndarray, np.ndarray]:
    if name == "mnist":
        images, labels = read_digits(data / "mnist", "train")
        return images.reshape(len(images), -1), labels.astype(str)
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.data, loaded.target.astype(str)


@cache
def _adult(data: Path, source: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """One-hot rows and labels of the training file, of the other real files, and of the source."""
    folder = data / "adult_generators"
    files = [["real_train"], ["real_val", "real_test"], [f"synthetic/{source}"]]
    frames = [
        pd.concat([pd.read_csv(folder / f"{name}.csv.gz", keep_default_na=False) for name in names]) for names in files
    ]
    inputs = [pd.get_dummies(frame.drop(columns="income"), dtype=np.float32) for frame in frames]
    columns = inputs[0].columns  # what the source invents beside the real categories is no feature
    matrices = [part.reindex(columns=columns, fill_value=0.0).to_numpy(np.float64) for part in inputs]
    for column in ("capital-gain", "capital-loss"):
        place = list(columns).index(column)
        for matrix in matrices:
            matrix[:, place] = np.log1p(matrix[:, place])
    return [(x, frame["income"].to_numpy(str)) for x, frame in zip(matrices, frames, strict=True)]


@cache
def _lines(name: str, data: Path) -> list[dict[str, Any]]:
    file = {"agnews": "agnews_llm_aug/agnews", "tweets": "parrot_llm_text/tweet_sentiment"}[name]
    with gzip.open(data / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def _texts(name: str, data: Path, source: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Word counts in 200 directions and labels of real texts to train on, real texts to judge, texts of the source."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    lines = _lines(name, data)
    groups = [
        [line for line in lines if line["source"] == "real" and line["split"] in ("seed", "train")],
        [line for line in lines if line["source"] == "real" and line["split"] not in ("seed", "train")],
        [line for line in lines if line["source"] == source],
    ]
    if name == "tweets":  # later tweets make another test set: the other half of the early ones judges and tests
        groups[1] = groups[0][: len(groups[0]) // 2] + [line for line in groups[1] if line["split"] == "val"]
        groups[0] = groups[0][len(groups[0]) // 2 :]
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=3)
    counts = vectorizer.fit_transform([line["text"] for line in groups[0] + groups[2]])
    directions = TruncatedSVD(200, random_state=0).fit(counts)
    return [
        (
            directions.transform(vectorizer.transform([line["text"] for line in group])),
            np.array([str(line["label"]) for line in group]),
        )
        for group in groups
    ]
