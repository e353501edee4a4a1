"""Weights mean the same to every learner: RealOnly through weights is a fit on the real rows alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.svm import LinearSVC

from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.training.learners import Learner, Logistic, Rows, Wrapped, find_learner, fit_weighted
from synthsift.training.mlp import MLP

LEARNERS: dict[str, Learner] = {
    "logistic": Logistic(),
    "mlp": MLP(hidden=16, steps=20, rate=0.03),
    "forest": Wrapped(partial(RandomForestClassifier, n_estimators=5)),
    "boosting": Wrapped(partial(HistGradientBoostingClassifier, max_iter=5)),
}


def mixed_rows(seed: int = 0) -> tuple[Rows, np.ndarray]:
    """90 real rows in pairs of relatives between 150 synthetic ones, half of them children; and fresh inputs."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((240, 6))
    y = (x[:, :3] + rng.gumbel(size=(240, 3))).argmax(axis=1)
    is_real = rng.permutation(240) < 90
    family = np.full(240, -1)
    family[is_real] = np.arange(90) // 2
    children = np.flatnonzero(~is_real)[::2]
    family[children] = rng.integers(45, size=len(children))
    return Rows(x, y, rng.uniform(0.5, 2, 240), is_real, family), rng.standard_normal((50, 6))


@pytest.mark.parametrize("name", LEARNERS)
def test_real_only_through_weights_is_a_fit_on_the_real_rows_alone(name: str) -> None:
    rows, fresh = mixed_rows()
    real = rows.is_real
    zeros = Rows(rows.x, rows.y, real.astype(float), real, rows.family)
    alone = Rows(rows.x[real], rows.y[real], np.ones(90), np.ones(90, dtype=bool), rows.family[real])
    through = fit_weighted(LEARNERS[name], zeros, 3, Seeds(0)).predict_proba(fresh)
    directly = LEARNERS[name].fit(alone, 3, Seeds(0)).predict_proba(fresh)
    assert np.array_equal(through, directly)
    assert through.shape == (50, 3)
    np.testing.assert_allclose(through.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_only_ratios_of_weights_matter(name: str) -> None:
    rows, fresh = mixed_rows()
    fourfold = Rows(rows.x, rows.y, 4 * rows.weight, rows.is_real, rows.family)  # a power of two: the same bits
    first, second = (fit_weighted(LEARNERS[name], r, 3, Seeds(0)).predict_proba(fresh) for r in (rows, fourfold))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", LEARNERS)
def test_classes_of_the_same_total_weight(name: str) -> None:
    """By hand: weights divided by the sum of their class; the learner judges regularization so, too."""
    rows, fresh = mixed_rows()
    weight = np.where(rows.y == 0, 0.125, 1.0) * rows.weight
    total = np.array([weight[rows.y == k].sum() for k in range(3)])
    scaled = weight / total[rows.y]
    by_hand = Rows(rows.x, rows.y, scaled / scaled.mean(), rows.is_real, rows.family, by_class=True)
    directly = LEARNERS[name].fit(by_hand, 3, Seeds(0)).predict_proba(fresh)
    given = Rows(rows.x, rows.y, weight, rows.is_real, rows.family)
    found = fit_weighted(LEARNERS[name], given, 3, Seeds(0), by_class=True).predict_proba(fresh)
    np.testing.assert_allclose(found, directly, atol=1e-6)
    plain = fit_weighted(LEARNERS[name], given, 3, Seeds(0)).predict_proba(fresh)
    assert found[:, 0].mean() > plain[:, 0].mean() + 0.02


def test_held_out_losses_count_classes_alike_only_by_class() -> None:
    rows, _ = mixed_rows()
    assert np.array_equal(rows.judging(), rows.is_real)
    judging = replace(rows, by_class=True).judging()
    assert not judging[~rows.is_real].any()
    sums = np.bincount(rows.y, weights=judging)
    assert np.ptp(sums) < 1e-12 and len(sums) == 3


@pytest.mark.parametrize("name", LEARNERS)
def test_the_weight_of_a_class_moves_its_probability(name: str) -> None:
    rows, fresh = mixed_rows()
    heavy = Rows(rows.x, rows.y, np.where(rows.y == 1, 20.0, 1.0), rows.is_real, rows.family)
    plain = Rows(rows.x, rows.y, np.ones(240), rows.is_real, rows.family)
    more, less = (
        fit_weighted(LEARNERS[name], r, 3, Seeds(0)).predict_proba(fresh)[:, 1].mean() for r in (heavy, plain)
    )
    assert more > less + 0.1


@pytest.mark.parametrize("name", LEARNERS)
def test_a_class_without_a_row_has_a_column(name: str) -> None:
    rows, fresh = mixed_rows()
    without = Rows(rows.x, np.where(rows.y == 1, 0, rows.y), rows.weight, rows.is_real, rows.family)
    prob = fit_weighted(LEARNERS[name], without, 3, Seeds(0)).predict_proba(fresh)
    assert prob.shape == (50, 3) and prob[:, 1].mean() < 0.1  # a network keeps a trace of its random start


def test_a_wrapped_learner_is_seeded_and_never_kept() -> None:
    rows, fresh = mixed_rows()
    forest = LEARNERS["forest"]
    first, again, other = (forest.fit(rows, 3, Seeds(k)).predict_proba(fresh) for k in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_an_estimator_inside_another_is_seeded_too_and_gets_no_weights_by_class() -> None:
    rows, fresh = mixed_rows()

    def calibrated(class_weight: str | None) -> CalibratedClassifierCV:
        return CalibratedClassifierCV(RandomForestClassifier(3, class_weight=class_weight, n_jobs=1), cv=2)

    balanced, plain = (Wrapped(partial(calibrated, kind)) for kind in ("balanced", None))
    first, again, other = (balanced.fit(rows, 3, Seeds(k)).predict_proba(fresh) for k in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    without = plain.fit(rows, 3, Seeds(0)).predict_proba(fresh)
    assert not np.array_equal(first, without), "unless classes are alike already, its own weights by class count"
    alike = [
        learner.fit(replace(rows, by_class=True), 3, Seeds(0)).predict_proba(fresh) for learner in (balanced, plain)
    ]
    assert np.array_equal(*alike)


def test_a_learner_without_probabilities_is_certain() -> None:
    rows, fresh = mixed_rows()
    prob = Wrapped(LinearSVC).fit(rows, 3, Seeds(0)).predict_proba(fresh)
    assert np.array_equal(np.sort(prob, axis=1), np.tile([0.0, 0.0, 1.0], (50, 1)))


def test_learners_are_found_by_name() -> None:
    assert find_learner("logistic") == Logistic() and find_learner("mlp") == MLP()
    assert find_learner("sklearn.svm:LinearSVC") == Wrapped(LinearSVC)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("forest", "unknown learner 'forest'; give logistic, mlp, cnn (for images), or package.module:Factory"),
        ("no.such.module:Factory", "'no.such.module:Factory' cannot be imported: No module named 'no'"),
        ("sklearn.svm:Nothing", "cannot be imported: module 'sklearn.svm' has no attribute 'Nothing'"),
        (":Factory", "':Factory' cannot be imported"),
        (".svm:SVC", "'.svm:SVC' cannot be imported"),
        ("sklearn.neighbors:KNeighborsClassifier", "makes a KNeighborsClassifier; needed is a classifier whose fit"),
        ("sklearn.linear_model:Ridge", "makes a Ridge; needed is a classifier whose fit takes sample_weight"),
        ("os:getcwd", "makes a str; needed is a classifier whose fit takes sample_weight"),
        ("sklearn.ensemble:VotingClassifier", "cannot be called without arguments"),
        ("os:sep", "cannot be called without arguments"),
    ],
)
def test_what_is_no_learner_is_refused_with_a_reason(name: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        find_learner(name)
    assert message in str(error.value)


class Stubborn(LinearSVC):
    """A learner with a fault of its own."""

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Stubborn:
        raise RuntimeError("cannot cope")


def test_a_learner_that_fails_is_named_with_what_it_was_given() -> None:
    rows, _ = mixed_rows()
    with pytest.raises(DataError, match=r"Stubborn failed on 240 rows of 6 numbers and 3 classes: .*cannot cope"):
        Wrapped(Stubborn).fit(rows, 3, Seeds(0))


@dataclass
class Odd(LinearSVC):
    """A learner whose predictions are `said`, or fail where it says none."""

    said: float | None = None

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Odd:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        if self.said is None:
            raise ZeroDivisionError("cannot divide")
        prob = np.full((len(x), len(self.classes_)), 1 / 3)
        prob[7, 1] = self.said
        return prob


@pytest.mark.parametrize("said", [np.nan, np.inf])
def test_probabilities_that_are_no_numbers_are_refused(said: float) -> None:
    """One is enough: in a choice among policies it would outdo every number."""
    rows, fresh = mixed_rows()
    message = "learner Odd predicted probabilities that are not finite for 1 of 50 rows; needed is a number from 0 to 1"
    with pytest.raises(DataError, match=message):
        Wrapped(partial(Odd, said=said)).fit(rows, 3, Seeds(0)).predict_proba(fresh)
    assert Wrapped(partial(Odd, said=0.5)).fit(rows, 3, Seeds(0)).predict_proba(fresh)[7, 1] == 0.5


def test_a_learner_that_fails_to_predict_is_named() -> None:
    rows, fresh = mixed_rows()
    with pytest.raises(DataError, match=r"Odd failed when it predicted 50 rows of 6 numbers: ZeroDivisionError"):
        Wrapped(Odd).fit(rows, 3, Seeds(0)).predict_proba(fresh)
    two = replace(rows, y=rows.y % 2)
    fitted = Wrapped(partial(Odd, said=0.5)).fit(two, 3, Seeds(0))
    fitted.estimator.classes_ = np.arange(3)  # it knows two and speaks of three
    fitted.estimator.predict_proba = lambda x: np.full((len(x), 2), 0.5)
    with pytest.raises(DataError, match="Odd failed when it predicted 50 rows of 6 numbers: ValueError"):
        fitted.predict_proba(fresh)


def broken_factory() -> LinearSVC:
    raise OSError("no licence file")


def test_a_factory_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = mixed_rows()
    with pytest.raises(DataError, match="broken_factory failed when it was made: OSError: no licence file"):
        Wrapped(broken_factory).fit(rows, 3, Seeds(0))
    (tmp_path / "own_learner.py").write_text("def make():\n    raise OSError('no licence file')\n")
    (tmp_path / "own_module.py").write_text("raise RuntimeError('no licence file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="own_learner:make failed when it was called: OSError: no licence file"):
        find_learner("own_learner:make")
    with pytest.raises(DataError, match="'own_module:make' cannot be imported: RuntimeError: no licence file"):
        find_learner("own_module:make")
