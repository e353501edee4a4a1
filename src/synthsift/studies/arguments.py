"""The parameters of the scikit-learn facade, checked and brought to the form of the road."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthsift.data.spec import GENERATOR_SAW
from synthsift.numerics.metrics import METRICS
from synthsift.records import DataError
from synthsift.studies.road import Plan
from synthsift.training.learners import Learner, Wrapped, find_learner


def plan_of(
    learner: Any,
    policies: Any,
    metric: Any,
    num_seeds: Any,
    budget_minutes: Any,
    pca: Any,
    generator_saw: Any,
    random_state: Any,
) -> Plan:
    """Return how to compare, from the parameters of `SyntheticDataSelector`.

    Raises
    ------
    DataError
        If one of them is nothing that can be done.
    """
    if metric is not None and metric not in METRICS:
        raise DataError(f"metric is {metric!r}; known are {', '.join(METRICS)}")
    for name, value in (("num_seeds", num_seeds), ("pca", 1 if pca is None else pca)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise DataError(f"{name} is {value!r}; a whole number of at least 1 is needed")
    if not isinstance(budget_minutes, int | float | np.number) or not 0 < budget_minutes < float("inf"):
        raise DataError(f"budget_minutes is {budget_minutes!r}; a number of minutes above 0 is needed")
    if generator_saw not in GENERATOR_SAW:
        raise DataError(f"generator_saw is {generator_saw!r}; known are {', '.join(GENERATOR_SAW)}")
    chosen, inner = _learner(learner)
    return Plan(
        learner=chosen,
        inner=inner,
        policies=policies if policies is None or isinstance(policies, str) else ",".join(policies),
        num_seeds=int(num_seeds),
        first_seed=_first_seed(random_state),
        budget_seconds=60 * float(budget_minutes),
        pca=pca,
        metric=metric,
        unseen=generator_saw == "none",
    )


def _learner(learner: Any) -> tuple[Learner, str]:
    """The learner and its name; a classifier of scikit-learn is cloned for every fit."""
    if isinstance(learner, str):
        return find_learner(learner), learner
    from sklearn.base import clone, is_classifier
    from sklearn.utils.validation import has_fit_parameter

    if isinstance(learner, type) or not is_classifier(learner) or not has_fit_parameter(learner, "sample_weight"):
        raise DataError(
            f"learner is {learner!r}; needed is 'logistic', 'mlp', or a classifier whose fit takes sample_weight"
        )
    return Wrapped(lambda: clone(learner)), type(learner).__name__


def _first_seed(random_state: Any) -> int:
    """A number for the first repetition."""
    if random_state is None or isinstance(random_state, int | np.integer):
        return int(random_state or 0)
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(2**31 - 1))
