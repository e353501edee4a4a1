"""What the user of a `Reweighter` handed over, looked at before anything is trained."""

from __future__ import annotations

from typing import Any

import torch

from synthsift.bilevel.controls import LearnToReweight
from synthsift.bilevel.rowlosses import Notices, RowLosses
from synthsift.bilevel.schedule import RowSource, Schedule
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError


def check_kinds(objective: Any, scores: Any, schedule: Any) -> None:
    """Refuse names and classes where made objects are needed.

    Raises
    ------
    DataError
        If an argument is neither None nor what it has to be.
    """
    told: list[tuple[str, Any, bool, str]] = [
        ("objective", objective, hasattr(objective, "coefficients"), "EffectiveBatch(0.5)"),
        ("scores", scores, callable(scores) and hasattr(scores, "exact"), "Ghost() or JVP()"),
        ("schedule", schedule, isinstance(schedule, Schedule), "Schedule(least_rows=256)"),
    ]
    for name, value, fits, example in told:
        if value is None or (isinstance(value, LearnToReweight) and name == "objective"):
            continue
        if isinstance(value, type) or not fits:
            seen = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__} ({value!r})"
            raise DataError(f"{name} is {seen}; needed is an object such as {example}")


def make_selector(features: Any, objective: Any, of: RowLosses, seeds: Any, group: Any) -> Selector:
    """Return a selector where the learner is; float32 beside a learner in 16 bits.

    Raises
    ------
    DataError
        If an objective is given beside a selector, or features are no finite matrix.
    """
    goal = None if isinstance(objective, LearnToReweight) else objective
    if isinstance(features, Selector):
        if goal is not None:
            raise DataError("objective is given beside a Selector, which has its own; set it there")
        return features
    first = next(iter(of.trainable.values()))
    dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
    return Selector(features, goal, dtype=dtype, device=first.device, seeds=seeds, group=group)


def say_few(judges: torch.Tensor, schedule: Schedule, notices: Notices) -> None:
    """Say that there are fewer trusted rows than a step was to have."""
    if len(judges) < schedule.trusted_rows:
        wanted = schedule.trusted_rows
        notices.say(f"{len(judges)} trusted rows judge, fewer than trusted_rows={wanted}: all, each time")


def check_pool(pool: RowSource | None, selector: Selector, schedule: Schedule, notices: Notices) -> None:
    """Compare the rows that fresh batches come from with those that features describe.

    Raises
    ------
    DataError
        If their numbers differ.
    """
    count = 0 if pool is None else pool.count
    if count != selector.count:
        raise DataError(
            f"fresh batches come from the {selector.count} rows that features describe; pool has {count}: "
            "pass these rows as pool="
        )
    if count < schedule.fresh_rows:
        notices.say(f"the pool has {count} rows, fewer than fresh_rows={schedule.fresh_rows}: all are used")
