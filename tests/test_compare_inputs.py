"""A learner may see other inputs than the features do; they follow the rows through every split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from synthsift.baselines.simple import Everything, RealOnly
from synthsift.compare import MemoryStore, Study, compare, judge_test
from synthsift.data.worlds import harmful_labels
from synthsift.records import DataError, Features, Mixture
from synthsift.seeds import Seeds
from synthsift.training.learners import Rows


@dataclass(frozen=True)
class Witness:
    """Remembers what it was given; its inputs are the places of the rows in the study."""

    fits: list[Rows] = field(default_factory=list, repr=False)
    asked: list[np.ndarray] = field(default_factory=list, repr=False)

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> Witness:
        self.fits.append(rows)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        self.asked.append(x[:, 0])
        return np.full((len(x), 2), 0.5)


def make_study(**more: Any) -> tuple[Study, Mixture, Witness]:
    mixture = harmful_labels(Seeds(0), num_real=40, num_valid=12, num_synth=60, dim=4, num_classes=2).mixture
    embedding = np.concatenate([part.x for part in mixture.parts])
    place = {name: k for k, name in enumerate(mixture.ids)}

    def describe(m: Mixture, seeds: Seeds) -> Features:
        rows = [place[name] for name in m.ids]
        return Features(np.zeros((len(rows), 1)), ("nothing",), m.ids, embedding[rows])

    witness = Witness()
    policies = {"RealOnly": RealOnly(), "Everything": Everything()}
    return Study(policies, mixture, embedding, describe, witness, num_seeds=1, **more), mixture, witness


def test_inputs_follow_the_rows_of_every_split() -> None:
    places = np.arange(112)[:, None]
    study, mixture, witness = make_study(inputs=places)
    compare(study)
    assert len(witness.fits) == 10
    for rows, judged in zip(witness.fits, witness.asked, strict=True):
        trained = rows.x[:, 0]
        assert np.array_equal(mixture.y[trained], rows.y)
        assert np.array_equal(~mixture.is_synth[trained], rows.is_real)
        assert not set(trained.tolist()) & set(judged.tolist())
    assert sorted(np.concatenate(witness.asked).tolist()) == sorted([*range(52)] * 2)


def test_the_final_fits_and_the_test_rows_see_them_too() -> None:
    study, mixture, witness = make_study(inputs=np.arange(112)[:, None])
    judge_test(study, mixture.real, 1000 + np.arange(40)[:, None], "accuracy")
    assert [len(rows.x) for rows in witness.fits] == [52, 112]
    assert all(asked[0] == 1000 and len(asked) == 40 for asked in witness.asked)


def test_without_them_the_learner_sees_the_embedding_of_the_features() -> None:
    study, _, witness = make_study()
    compare(study)
    assert all(rows.x.shape[1] == 4 for rows in witness.fits)


@dataclass(frozen=True)
class Nothing(Witness):
    """Its probability of one row is NaN where it has seen synthetic rows."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        prob = super().predict_proba(x)
        prob[3, 0] = 0.5 if self.fits[-1].is_real.all() else np.nan
        return prob


def test_a_probability_that_is_no_number_is_refused_and_not_kept() -> None:
    """Else it would silently make RealOnly the verdict."""
    study, _, _ = make_study()
    store = MemoryStore()
    message = "the learner Nothing of policy Everything predicted probabilities that are not finite for 1 of 11 rows"
    with pytest.raises(DataError, match=message):
        compare(replace(study, learner=Nothing()), store=store)
    assert list(store.cells) == [("RealOnly", 0, 0)]
