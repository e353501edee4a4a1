"""The scikit-learn facade: its habits, its inputs, and the same numbers as the command line."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthsift import DataError, SyntheticDataSelector, estimator
from synthsift.compare import Study
from synthsift.data.memory import load_arrays
from synthsift.records import Weights
from synthsift.studies.road import prepare

QUICK: dict[str, Any] = {"policies": ["RealTimes3"], "num_seeds": 1}


class WithSource(SyntheticDataSelector):
    """The selector for scikit-learn's checks, which know no sources: every fourth row counts as synthetic."""

    def fit(
        self,
        X: Any,
        y: Any,
        source: Any = None,
        X_valid: Any = None,
        y_valid: Any = None,
        parent: Any = None,
        group: Any = None,
    ) -> SyntheticDataSelector:
        if source is None and hasattr(X, "__len__") | hasattr(X, "shape"):
            rows = X.shape[0] if hasattr(X, "shape") else len(X)
            source = np.where(np.arange(rows) % 4 == 3, "made", "real")
        return super().fit(X, y, source, X_valid, y_valid, parent, group)


FEW = "the check has 10 rows; a comparison by 5 folds needs 10 real rows and a synthetic one, and says so"
EXPECTED_FAILURES = {
    "check_estimators_nan_inf": FEW,  # that NaN and infinity are refused is tested below
    "check_fit2d_1feature": FEW,  # that one feature is enough is tested below
}


@parametrize_with_checks([WithSource(**QUICK)], expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_the_habits_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def rows(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half real, a quarter good, a quarter with turned labels."""
    rng = np.random.default_rng(seed)
    source = np.repeat(["real", "good", "bad"], [n // 2, n // 4, n - n // 2 - n // 4])
    order = rng.permutation(n)
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 2)) + 2 * y[:, None]
    y = np.where(source == "bad", 1 - y, y)
    return x[order], y[order], source[order]


@pytest.fixture(scope="module")
def fitted() -> SyntheticDataSelector:
    x, y, source = rows(200)
    frame = pd.DataFrame(x, columns=["x0", "x1"])
    return SyntheticDataSelector(policies="BestSources,LearnedWeights", num_seeds=1).fit(frame, y, source=source)


def test_weights_are_in_the_order_of_the_rows(fitted: SyntheticDataSelector) -> None:
    _, _, source = rows(200)
    learned = [fitted.learned_weights_[source == name].mean() for name in ("good", "bad")]
    assert learned[0] > 2 * learned[1], "turned labels weigh little, wherever they stand"
    assert fitted.weights_.mean() == pytest.approx(1) and fitted.learned_weights_.mean() == pytest.approx(1)
    assert fitted.support_[source == "real"].all()
    assert not fitted.support_[fitted.weights_ == 0].any()
    assert np.array_equal(fitted.get_support(indices=True), np.flatnonzero(fitted.support_))


def test_what_was_decided_is_there(fitted: SyntheticDataSelector) -> None:
    assert fitted.verdict_.policy in fitted.comparison_.probabilities
    assert fitted.verdict_.sentence.endswith((".", ")")) and "np." not in repr(fitted.verdict_)
    assert set(fitted.policies_.index) == set(fitted.comparison_.probabilities)
    assert fitted.policies_["gain"].is_monotonic_decreasing
    assert fitted.policies_.loc["RealOnly", ["gain", "low", "high"]].tolist() == [0, 0, 0]
    assert fitted.classes_.tolist() == [0, 1] and fitted.n_features_in_ == 2


def test_the_command_line_gives_the_same_numbers(fitted: SyntheticDataSelector, tmp_path: Any) -> None:
    import json

    from synthsift.cli.console import Console
    from synthsift.cli.run import execute
    from synthsift.cli.settings import RunSettings
    from synthsift.data.spec import DataSpec
    from synthsift.report import render

    x, y, source = rows(200)
    pd.DataFrame(x, columns=["x0", "x1"]).assign(y=y, source=source).to_parquet(tmp_path / "all.parquet")
    spec = DataSpec(data=str(tmp_path / "all.parquet"), source_column="source", label="y")
    settings = RunSettings(spec, policies="BestSources,LearnedWeights", num_seeds=1, gallery=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "draw_figures", lambda report: {})
        assert execute(settings, tmp_path / "run", Console(quiet=True)) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["verdict"]["sentence"] == fitted.verdict_.sentence
    stored = pd.read_parquet(tmp_path / "run" / "weights.parquet").sort_values("row")
    assert np.allclose(stored["weight"], fitted.weights_)
    assert np.allclose(stored["learned_weight"], fitted.learned_weights_)
    assert stored["keep"].tolist() == fitted.support_.tolist()


def test_weights_have_classes_alike_where_the_models_were_trained_so() -> None:
    x, y, source = rows(200)
    keep = np.sort(np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:15]])
    x, labels, source = x[keep], np.where(y[keep] == 1, "yes", "no"), source[keep]
    spelled = np.where((labels == "yes") & (np.arange(len(x)) % 2 == 0), "yes ", labels)  # one class to the loader
    left_out = np.flatnonzero(source == "bad")[0]
    spelled[left_out] = labels[left_out] = "maybe"  # no real row has it
    sums = {}
    for metric in (None, "accuracy"):
        found = SyntheticDataSelector(policies="RealTimes3", num_seeds=1, metric=metric).fit(x, spelled, source=source)
        sums[found.verdict_.metric] = [float(found.weights_[labels == name].sum()) for name in ("yes", "no")]
        assert found.weights_.mean() == pytest.approx(1)
    assert sums["balanced_accuracy"][0] == pytest.approx(sums["balanced_accuracy"][1])
    assert sums["accuracy"][0] < 0.5 * sums["accuracy"][1]


def test_copies_of_real_rows_are_called_copies() -> None:
    x, y, _ = rows(80)
    source = np.repeat(["real", "copied"], [80, 160])
    found = SyntheticDataSelector(policies="RealTimes3", num_seeds=1).fit(
        np.concatenate([x, x, x]), np.concatenate([y, y, y]), source=source
    )
    assert (found.verdict_.policy, found.verdict_.use, found.verdict_.reason) == ("RealOnly", False, "copies")
    assert "copies a real row" in found.verdict_.sentence
    assert not found.support_[source == "copied"].any()


def test_the_table_of_policies_shows_the_intervals_of_the_sentence(fitted: SyntheticDataSelector) -> None:
    everything = fitted.verdict_.everything
    assert fitted.policies_.loc["Everything", ["gain", "low", "high"]].tolist() == [
        everything.mean, everything.low, everything.high
    ]  # fmt: skip


def test_clone_and_parameters() -> None:
    selector = SyntheticDataSelector(LogisticRegression(C=3), policies=["RealTimes3"], num_seeds=2, random_state=7)
    twin = clone(selector)
    assert twin.get_params(deep=False).keys() == selector.get_params(deep=False).keys()
    assert twin.get_params()["learner__C"] == 3
    assert twin.set_params(learner__C=1, num_seeds=1).num_seeds == 1 and selector.learner.C == 3


def test_a_classifier_of_scikit_learn_is_the_learner_and_stays_unfitted() -> None:
    learner = LogisticRegression()
    x, y, source = rows()
    found = SyntheticDataSelector(learner, **QUICK).fit(x, y, source=source)
    assert found.verdict_.metric == "accuracy" and not hasattr(learner, "coef_")
    assert np.isnan(found.learned_weights_).all(), "LearnedWeights took no part"


def test_a_data_frame_with_numbers_categories_and_gaps() -> None:
    x, y, source = rows()
    frame = pd.DataFrame({"a": x[:, 0], "kind": pd.Categorical(np.where(x[:, 1] > 1, "u", "v"))})
    frame.loc[::7, "a"] = np.nan
    found = SyntheticDataSelector(**QUICK).fit(frame, y == 1, source=source, group=np.arange(120) // 2)
    assert found.feature_names_in_.tolist() == ["a", "kind"]
    assert found.classes_.dtype == bool and found.classes_.tolist() == [False, True]
    assert found.comparison_.group is not None


def test_texts_and_validation_rows() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    words = np.array(["good fine nice", "bad poor sad"])
    texts = [f"{words[k]} thing {rng.integers(5)}" for k in y]
    found = SyntheticDataSelector(**QUICK).fit(
        texts, y, np.repeat(["real", "llm"], 30), X_valid=texts[:10], y_valid=y[:10]
    )
    assert len(found.comparison_.y) == 40 and len(found.weights_) == 60
    assert not hasattr(found, "n_features_in_")
    texts[3] = None  # a text that is missing is an empty one, as in a file
    again = SyntheticDataSelector(**QUICK).fit(texts, y, np.repeat(["real", "llm"], 30))
    assert len(again.weights_) == 60 and "SS114" in {finding.code for finding in again.findings_}


def test_pictures_and_a_label_that_no_real_row_has() -> None:
    x, y, source = rows()
    pictures = np.repeat(np.repeat(x[:, :, None], 4, axis=2), 2, axis=1)
    y = np.where((source == "bad") & (y == 1), 9, y)
    found = SyntheticDataSelector(**QUICK).fit(pictures, y, source=source)
    assert "SS109" in [finding.code for finding in found.findings_]
    assert (found.weights_[y == 9] == 0).all() and not found.support_[y == 9].any()
    assert found.weights_.mean() == pytest.approx(1)


def test_learned_weights_have_the_scale_of_a_run() -> None:
    """Mean 1 over all rows that took part, whatever was left out; a run writes the same into weights.parquet."""
    x, y, source = rows()
    labels = np.where(y == 1, "yes", "no").astype(object)
    labels[np.flatnonzero(source == "bad")[:20]] = "other"
    loaded = load_arrays(x, labels, source, x_valid=x[:2], y_valid=["yes", "no"])
    values = np.random.default_rng(0).uniform(0, 5, len(loaded.mixture.ids))
    weights = Weights(values, loaded.mixture.ids, made_by="")
    found = SyntheticDataSelector()
    found.verdict_ = SimpleNamespace(metric="accuracy")
    found._take_weights(loaded, weights, weights)
    assert (found.learned_weights_[labels == "other"] == 0).all() and (found.weights_[labels == "other"] == 0).all()
    for part in (loaded.mixture.real, loaded.mixture.synth):
        of_run = values[np.isin(loaded.mixture.ids, part.ids)] / values.mean()
        np.testing.assert_allclose(found.learned_weights_[part.row], of_run)


def test_the_time_of_encoding_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def slow(*words: Any) -> Any:
        time.sleep(0.4)
        return prepare(*words)

    def spy(study: Study) -> None:
        given.append(study.budget_seconds)
        raise InterruptedError

    monkeypatch.setattr(estimator, "prepare", slow)
    monkeypatch.setattr(estimator, "compare", spy)
    for minutes in (10.0, 0.001):
        with pytest.raises(InterruptedError):
            SyntheticDataSelector(**QUICK, budget_minutes=minutes).fit(*rows()[:2], source=rows()[2])
    assert 300 < given[0] <= 599.6 and given[1] == pytest.approx(0.2 * 0.06), "a fifth is left in any case"


def test_one_feature_is_enough_and_columns_of_objects_are_read() -> None:
    x, y, source = rows()
    assert SyntheticDataSelector(**QUICK).fit(x[:, :1], y, source=source).n_features_in_ == 1
    assert SyntheticDataSelector(**QUICK).fit(x.astype(object), y, source=source).n_features_in_ == 2


def test_the_same_seed_draws_the_same_folds_and_another_one_others() -> None:
    x, y, source = rows()
    seeds = (0, None, np.int64(3), np.random.RandomState(5), np.random.RandomState(5))
    fits = [SyntheticDataSelector(**QUICK, random_state=seed).fit(x, y, source=source) for seed in seeds]
    first, again, third, drawn, drawn_again = (found.comparison_.fold for found in fits)
    assert np.array_equal(first, again) and np.array_equal(drawn, drawn_again)
    assert not np.array_equal(first, third) and not np.array_equal(first, drawn)


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no source": ({}, {"source": None}, r"source is missing: pass an array with 'real' for every real row"),
    "no label": ({}, {"y": None}, "requires y to be passed, but the target y is None"),
    "not a number": ({}, {"X": np.full((120, 2), np.nan)}, "contains NaN"),
    "infinite": ({}, {"X": np.full((120, 2), np.inf)}, "contains infinity"),
    "label not a number": ({}, {"y": np.full(120, np.nan)}, "y contains NaN"),
    "regression": ({}, {"y": np.linspace(0, 1, 120)}, "Unknown label type"),
    "metric": ({"metric": "f7"}, {}, "metric is 'f7'; known are accuracy"),
    "repetitions": ({"num_seeds": 0}, {}, "num_seeds is 0"),
    "budget": ({"budget_minutes": 0}, {}, "budget_minutes is 0"),
    "budget of none": ({"budget_minutes": None}, {}, "budget_minutes is None; a number of minutes above 0"),
    "budget of words": ({"budget_minutes": "5"}, {}, "budget_minutes is '5'"),
    "no direction": ({"pca": 0}, {"X": pd.DataFrame(rows()[0])}, "pca is 0; a whole number of at least 1"),
    "directions below 0": ({"pca": -1}, {"X": pd.DataFrame(rows()[0])}, "pca is -1"),
    "half a direction": ({"pca": 2.5}, {"X": pd.DataFrame(rows()[0])}, "pca is 2.5"),
    "directions of an array": ({"pca": 1}, {}, r"pca .--pca. is 1, but only tables are projected"),
    "policy": ({"policies": ["Nonsense"]}, {}, "unknown policy Nonsense"),
    "learner": ({"learner": "nonsense"}, {}, "unknown learner"),
    "learner of another kind": ({"learner": LogisticRegression}, {}, "learner is <class"),
    "groups": ({}, {"group": np.zeros(120)}, "real rows are of one group, 0"),
    "valid of another width": ({}, {"X_valid": np.zeros((4, 5)), "y_valid": [0, 1, 0, 1]}, "5 features"),
    "no text among texts": ({}, {"X": [3, *["some words"] * 119]}, "X holds texts, but entry 0 is 3 .int."),
    "valid unlabelled": ({}, {"X_valid": np.zeros((4, 2))}, "without y_valid"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(name: str) -> None:
    settings, arguments, pattern = BAD[name]
    x, y, source = rows()
    with pytest.raises(ValueError, match=pattern):
        SyntheticDataSelector(**{**QUICK, **settings}).fit(**{"X": x, "y": y, "source": source, **arguments})


def test_errors_are_the_packages_own() -> None:
    assert issubclass(DataError, ValueError)
    with pytest.raises(DataError):
        SyntheticDataSelector().fit(*rows()[:2])
    with pytest.raises(NotFittedError):
        SyntheticDataSelector().get_support()


def test_a_learner_without_probabilities_is_taken() -> None:
    x, y, source = rows()
    assert SyntheticDataSelector(LinearSVC(), **QUICK).fit(x, y, source=source).verdict_.num_splits == 5


def test_the_notebook_shows_the_verdict_and_before_it_the_settings(fitted: SyntheticDataSelector) -> None:
    page = fitted._repr_html_()
    assert fitted.verdict_.sentence in re.sub(r"&#39;", "'", page)
    assert page == fitted._repr_mimebundle_()["text/html"] and "<script" not in page
    assert "learned_weights_" not in page
    before = SyntheticDataSelector()._repr_html_()
    assert "SyntheticDataSelector" in before and "splits" not in before
