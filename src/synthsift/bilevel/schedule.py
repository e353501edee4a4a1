"""When the selector learns, from which rows, and when it stops."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from synthsift.records import DataError


@dataclass(frozen=True)
class Schedule:
    """When the selector learns, and from how much.

    Parameters
    ----------
    batch : {"own", "fresh"}
        Score the rows of the learner's own step, or `fresh_rows` other ones drawn from the pool.
    fresh_rows : int
        N, over all processes; any size, since only one chunk is in memory at a time.
    trusted_rows : int
        M, trusted rows a meta-step.
    chunk : int
        Rows that are scored at a time.
    every : int
        Do the meta-step at every so-manieth step of the learner.
    least_rows : int
        Scores are collected over steps until so many rows, over all processes, are there; then the selector takes one
        step on all of them. A small batch learns slowly instead of following its noise.
    replay : int
        Also use the scores of so many steps of the selector before: N grows by that factor at no cost, with older
        scores. Every score is then used as often, so large values fit the noise.
    warmup : int
        Steps with equal weights and no meta-step at the start.
    held : float
        Share of the trusted rows that meta-steps never see; they decide when to stop.
    check : int
        Look at the held rows after every so many meta-steps.
    patience : int
        Stop after so many looks without a new best, and go back to the best.
    diagnose : int
        Measure the signal-to-noise ratio at every so-manieth meta-step; 0 never.
    """

    batch: Literal["own", "fresh"] = "own"
    fresh_rows: int = 1024
    trusted_rows: int = 128
    chunk: int = 256
    every: int = 1
    least_rows: int = 1024
    replay: int = 0
    warmup: int = 0
    held: float = 0.0
    check: int = 10
    patience: int = 10
    diagnose: int = 20

    def __post_init__(self) -> None:
        if self.batch not in ("own", "fresh"):
            raise DataError(f"batch is {self.batch!r}; it is 'own' or 'fresh'")
        if not 0 <= self.held < 1:
            raise DataError(f"held is {self.held}; the share of trusted rows kept for stopping lies in [0, 1)")
        low = {"fresh_rows": 2, "trusted_rows": 1, "chunk": 1, "every": 1, "least_rows": 1, "check": 1, "patience": 1}
        for name, least in {**low, "replay": 0, "warmup": 0, "diagnose": 0}.items():
            if getattr(self, name) < least:
                raise DataError(f"{name} is {getattr(self, name)}; it is at least {least}")

    def is_due(self, time: int) -> bool:
        """Say whether the selector learns at step `time` of the learner."""
        return time >= self.warmup and (time - self.warmup) % self.every == 0


@dataclass(frozen=True)
class RowSource:
    """Rows that can be fetched by their places.

    Parameters
    ----------
    count : int
        How many there are; places are 0 .. count - 1.
    fetch : callable
        ``fetch(places) -> batch`` as the loss takes it.
    """

    count: int
    fetch: Callable[[Tensor], Any]


def as_source(data: Any, what: str) -> RowSource:
    """Accept tensors of equal length (in a tuple or a dict) or a `RowSource`; `what` names it in messages.

    Raises
    ------
    DataError
        For anything else, for different lengths, and for no rows.
    """
    if isinstance(data, RowSource):
        source = data
    elif isinstance(data, Mapping | Sequence) and not isinstance(data, str):
        values = list(data.values()) if isinstance(data, Mapping) else list(data)
        lengths = {len(v) for v in values if isinstance(v, Tensor)}
        if len(lengths) != 1 or not all(isinstance(v, Tensor) for v in values):
            raise DataError(
                f"the {what} rows are {[type(v).__name__ for v in values]} with lengths {sorted(lengths)}; "
                "needed are tensors of one length, or a RowSource(count, fetch)"
            )
        source = RowSource(lengths.pop(), lambda places: _take(data, places))
    else:
        raise DataError(
            f"the {what} rows are a {type(data).__name__}; give a tuple of tensors such as (inputs, "
            "labels), or a RowSource(count, fetch)"
        )
    if source.count < 1:
        raise DataError(f"there are no {what} rows; give at least one, better a few hundred")
    return source


def _take(data: Any, places: Tensor) -> Any:
    if isinstance(data, Mapping):
        return {name: value[places.to(value.device)] for name, value in data.items()}
    return tuple(value[places.to(value.device)] for value in data)


def draw(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Return `wanted` different places out of `count`, or all of them in order where there are no more."""
    if wanted >= count:
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:wanted]


def checked_rows(rows: Any, count: int) -> Tensor:
    """Return places (n,) as whole numbers.

    Raises
    ------
    DataError
        If there are none, or one lies outside 0 .. count - 1.
    """
    rows = torch.as_tensor(rows).detach().cpu().long().reshape(-1)
    if not len(rows):
        raise DataError("the batch is empty; a step needs at least one row, better several")
    if int(rows.min()) < 0 or int(rows.max()) >= count:
        raise DataError(
            f"rows run from {int(rows.min())} to {int(rows.max())}; features describe rows 0 to {count - 1}. Pass the "
            "places of the batch's rows in features"
        )
    return rows


def split(count: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return places of the trusted rows that decide when to stop, and of those that judge.

    Raises
    ------
    DataError
        If one of the two would be empty though a share was asked for.
    """
    order = torch.randperm(count, generator=generator)
    held = round(share * count)
    if share and not 0 < held < count:
        raise DataError(f"{count} trusted rows cannot be split by held={share}; give more rows, or held=0")
    return order[:held], order[held:].sort().values


@dataclass
class Replay:
    """Pairs of rows and scores: those that wait for a step of the selector, and those of its steps before.

    Parameters
    ----------
    size : int
        Steps of the selector that are kept.
    """

    size: int
    waiting: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps of the learner whose scores the next step of the selector rests on."""
        return len(self.waiting) * (1 + len(self.kept))

    def add(self, rows: Tensor, scores: Tensor) -> None:
        """Let the scores of a step of the learner wait."""
        self.waiting.append((rows, scores))

    def take(self) -> tuple[Tensor, Tensor]:
        """Return rows and scores of all that wait or are kept, and keep the former for the next times."""
        new = _joined(self.waiting)
        everything = _joined([*self.kept, new])
        self.kept = [*self.kept, new][-self.size :] if self.size else []
        self.waiting = []
        return everything


def _joined(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([rows for rows, _ in pairs]), torch.cat([scores for _, scores in pairs])


@dataclass
class Keeper:
    """Remembers the best state of the selector by the loss of held rows, and says when to stop.

    Parameters
    ----------
    patience : int
        Looks without a new best before it is over.
    """

    patience: int
    best: float = np.inf
    state: dict[str, Tensor] | None = None
    misses: int = 0

    def look(self, loss: float, network: torch.nn.Module) -> bool:
        """Take note of a loss; return True when it is time to stop."""
        if loss < self.best:
            self.best, self.misses = loss, 0
            self.state = copy.deepcopy(network.state_dict())
            return False
        self.misses += 1
        return self.misses >= self.patience
