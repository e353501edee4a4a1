"""The models that data is chosen for, behind one contract.

``learner.fit(rows, num_classes, seeds) -> model`` with ``model.predict_proba(x) -> (n, c)``. Every
learner chooses its own regularization inside the rows it is given, judged by real rows only, so that no policy is tuned
by hand. `fit_weighted` is the only way the rest of the package trains: it drops rows of weight 0 and rescales the rest
to mean 1, which makes weight 0 removal and `RealOnly` a fit on the real rows alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from synthsift.numerics.metrics import class_balance
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.training.choosing import fit_chosen


class Model(Protocol):
    """A fitted classifier."""

    def predict_proba(self, x: Any) -> np.ndarray:
        """Return class probabilities (n, c)."""
        ...


@dataclass(frozen=True)
class Rows:
    """What a learner trains on.

    Parameters
    ----------
    x : ndarray (n, d), or Images
    y : ndarray (n,)
    weight : ndarray (n,)
        Positive, mean 1.
    is_real : ndarray (n,) of bool
        Rows that may judge regularization.
    family : ndarray (n,) of int
        Relatives never train while one of them judges; see `Mixture.family`.
    by_class : bool
        Whether `weight` makes classes alike; then each is as large a part of what regularization is judged by, too.
    """

    x: Any
    y: np.ndarray
    weight: np.ndarray
    is_real: np.ndarray
    family: np.ndarray
    by_class: bool = False

    def judging(self) -> np.ndarray:
        """Return how much the loss of each row (n,) counts where it judges; 0 for rows that may not."""
        counts = self.is_real.astype(np.float64)
        return class_balance(self.y, counts) if self.by_class else counts


class Learner(Protocol):
    """Trains one model on weighted rows."""

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> Model:
        """Return the fitted model."""
        ...


def fit_weighted(learner: Learner, rows: Rows, num_classes: int, seeds: Seeds, by_class: bool = False) -> Model:
    """Train on rows of positive weight, rescaled to mean 1 over these rows; weights of `rows` may be 0 here.

    With `by_class` the weights of each class are brought to the same sum first, so that a model is trained for what it
    is judged by where the metric counts classes alike.
    """
    keep = rows.weight > 0
    y, weight = rows.y[keep], rows.weight[keep]
    weight = class_balance(y, weight) if by_class else weight
    kept = Rows(rows.x[keep], y, weight / weight.mean(), rows.is_real[keep], rows.family[keep], by_class)
    return learner.fit(kept, num_classes, seeds)


@dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression; the strength is chosen by held-out real rows inside the training part."""

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> Model:
        """Return a `LinearModel`."""
        counts = rows.judging() if rows.by_class else None
        found = fit_chosen(
            rows.x, rows.y, rows.weight, rows.is_real, num_classes, seeds, family=rows.family, judging=counts
        )
        return found.model


@dataclass(frozen=True)
class Wrapped:
    """Any scikit-learn classifier whose ``fit`` takes ``sample_weight``; weights by class are not given twice.

    Parameters
    ----------
    make : callable
        Returns a new unfitted estimator.
    """

    make: Callable[[], Any]

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> Model:
        """Fit a fresh estimator; its ``random_state``, and that of estimators inside it, is set where it has one.

        Raises
        ------
        DataError
            If `make` or the estimator's own ``fit`` raises; the message names it and says what it was given.
        """
        with _explained(getattr(self.make, "__name__", repr(self.make)), "when it was made"):
            estimator = self.make()
        _settle(estimator, seeds, rows.by_class)
        classes = len(np.unique(rows.y))
        given = f"on {rows.x.shape[0]} rows of {rows.x.shape[1]} numbers and {classes} classes"
        with _explained(type(estimator).__name__, given):
            fitted = estimator.fit(rows.x, rows.y, sample_weight=rows.weight)
        return _Spread(fitted, num_classes)


@contextmanager
def _explained(name: str, given: str) -> Iterator[None]:
    """Turn what the code of a learner raises into a `DataError` that names it and says what it was given."""
    try:
        yield
    except (MemoryError, DataError):
        raise
    except Exception as error:  # the user's own code may raise anything
        raise DataError(
            f"the learner {name} failed {given}: {type(error).__name__}: {error}. Try it alone on such data, or take "
            "another --learner"
        ) from error


def _settle(estimator: Any, seeds: Seeds, by_class: bool) -> None:
    """Set every ``random_state``, and with `by_class` no ``class_weight``, of an estimator and those inside it."""
    settings: dict[str, Any] = {}
    for name, value in estimator.get_params(deep=True).items():
        kind = name.rpartition("__")[2]
        if kind == "random_state":
            settings[name] = seeds.integer("fit" if name == kind else f"fit {name}")
        if by_class and kind == "class_weight" and value is not None:
            settings[name] = None  # the weights have classes alike; some learners would do it twice
    if settings:
        estimator.set_params(**settings)


@dataclass(frozen=True)
class _Spread:
    """Puts an estimator's probabilities into columns for all classes, seen or not."""

    estimator: Any
    num_classes: int

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return probabilities (n, c).

        Raises
        ------
        DataError
            If the estimator raises, or says anything but a finite probability of each class of each row.
        """
        prob, name = np.zeros((len(x), self.num_classes)), type(self.estimator).__name__
        with _explained(name, f"when it predicted {x.shape[0]} rows of {x.shape[1]} numbers"):
            if hasattr(self.estimator, "predict_proba"):
                prob[:, self.estimator.classes_] = self.estimator.predict_proba(x)
            else:
                prob[np.arange(len(x)), self.estimator.predict(x)] = 1.0
        check_finite(prob, name)
        return prob


def check_finite(prob: np.ndarray, name: str) -> None:
    """Refuse probabilities (n, c) of learner `name` that are no numbers: no loss or choice follows from them.

    Raises
    ------
    DataError
        If any is NaN or infinite.
    """
    bad = ~np.isfinite(prob).all(axis=1)
    if bad.any():
        raise DataError(
            f"the learner {name} predicted probabilities that are not finite for {int(bad.sum()):,} of {len(prob):,} "
            "rows; needed is a number from 0 to 1 for each class. Try it alone on such data, scaled or more strongly "
            "regularized, or take another --learner"
        )


def find_learner(name: str) -> Learner:
    """Return the learner called `name`: "logistic", "mlp", "cnn", or "package.module:Factory".

    Raises
    ------
    DataError
        If there is no such learner, or what the factory makes does not take ``sample_weight``.
    """
    if name == "logistic":
        return Logistic()
    if name == "mlp":
        from synthsift.training.mlp import MLP

        return MLP()
    if name == "cnn":
        from synthsift.training.cnn import CNN

        return CNN()
    if ":" not in name:
        raise DataError(
            f"unknown learner {name!r}; give logistic, mlp, cnn (for images), or package.module:Factory for a "
            "scikit-learn classifier"
        )
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two: ".module" and ""
        raise DataError(f"the learner {name!r} cannot be imported: {error}") from error
    except Exception as error:  # the user's own module may raise anything
        raise DataError(f"the learner {name!r} cannot be imported: {type(error).__name__}: {error}") from error
    from sklearn.base import is_classifier
    from sklearn.utils.validation import has_fit_parameter

    try:
        estimator = factory()
    except TypeError as error:
        raise DataError(f"{name} cannot be called without arguments: {error}; name a function that makes it") from error
    except Exception as error:  # the user's own code may raise anything
        raise DataError(
            f"{name} failed when it was called: {type(error).__name__}: {error}; name a function that makes a learner"
        ) from error
    is_estimator = hasattr(estimator, "get_params") and hasattr(estimator, "fit")
    if not (is_estimator and is_classifier(estimator) and has_fit_parameter(estimator, "sample_weight")):
        raise DataError(
            f"{name} makes a {type(estimator).__name__}; needed is a classifier whose fit takes sample_weight"
        )
    return Wrapped(factory)
