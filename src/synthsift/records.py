"""The frozen records that folders exchange, and nothing else.

Every record checks its invariants once, when it is made, and holds NumPy arrays only. The test set is not in
`Mixture`: whoever is given a mixture cannot look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from synthsift.seeds import Seeds

REAL = "real"


class DataError(ValueError):
    """Bad input. The message says what was seen, what was needed and what to do next."""


class Outcome(Enum):
    """How a computation ended; the value is the sentence shown to the user."""

    converged = "finished as intended"
    budget_spent = "stopped because the budget was spent"
    nonfinite = "stopped because a number was not finite"
    degenerate = "finished, but the result rests on too few rows to be trusted"
    alike = "finished, but the scores never told one row from another, so all weights stayed equal"


@dataclass(frozen=True)
class Table:
    """Columns of equal length, numeric or categorical.

    Parameters
    ----------
    names : tuple of str
        Column names, in file order.
    values : tuple of ndarray (n,)
        float64 for a numeric column (NaN = missing), int32 codes for a categorical one (-1 = missing).
    categories : tuple of (tuple of str or None)
        The text of each code; None marks a numeric column.
    """

    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    categories: tuple[tuple[str, ...] | None, ...]

    def __post_init__(self) -> None:
        if not (len(self.names) == len(self.values) == len(self.categories)):
            raise DataError("a table needs as many value arrays and category lists as names")
        if len(set(map(len, self.values))) > 1:
            raise DataError(f"columns have different lengths: {sorted(set(map(len, self.values)))}")

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0

    def __getitem__(self, rows: Any) -> Table:
        return Table(self.names, tuple(v[rows] for v in self.values), self.categories)

    def texts(self, column: int) -> np.ndarray:
        """Column `column` as printable text (n,), '' where missing."""
        values, categories = self.values[column], self.categories[column]
        if categories is None:
            return np.array(["" if np.isnan(v) else f"{v:g}" for v in values], dtype=object)
        return np.array(["" if c < 0 else categories[c] for c in values], dtype=object)


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures of one size: places in a store that many parts share, so that taking rows copies no pixel.

    Parameters
    ----------
    store : ndarray (m, p, p, 3) of uint8
        Decoded pictures, red, green, blue; in memory, or mapped from a file.
    place : ndarray (n,) of int64
        Where each of these pictures lies in `store`.
    reread : callable, optional
        ``reread(places, pixels)`` decodes the files at some places of the store (k,) again, at another size:
        (k, pixels, pixels, 3).
    """

    store: np.ndarray
    place: np.ndarray
    reread: Callable[[np.ndarray, int], np.ndarray] | None = None

    def __post_init__(self) -> None:
        shape = self.store.shape
        if self.store.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise DataError(f"pictures must be uint8 of shape (n, p, p, 3), not {self.store.dtype} of {shape}")

    @property
    def pixels(self) -> int:
        """Side p of the pictures."""
        return self.store.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (n, p, p, 3) of the pixels."""
        return (len(self.place), *self.store.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels, uint8."""
        return self.store.dtype

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, rows: Any) -> Images:
        return replace(self, place=self.place[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The pixels (n, p, p, 3): always a copy, so take few rows at a time where there are many."""
        return np.asarray(self.store[self.place], dtype)


@dataclass(frozen=True)
class Examples:
    """Labelled rows with their provenance.

    Parameters
    ----------
    x : Table, Images, ndarray (n, ...), or object ndarray of str (n,)
        Inputs; anything with a length and ``x[rows]``.
    y : ndarray (n,) of int64
        Codes into `Mixture.classes`.
    ids : ndarray (n,) of str
        Unique names of the rows.
    source : ndarray (n,) of str
        "real", or the name of a synthetic source.
    parent : ndarray (n,) of str, optional
        Id of the real row a synthetic one was made from; "" where unknown.
    group : ndarray (n,) of str, optional
        Rows of one group never straddle a split; "" means a group of its own.
    file : ndarray (n,) of str, optional
        The file a row came from.
    row : ndarray (n,) of int64, optional
        The 0-based place in that file.
    """

    x: Any
    y: np.ndarray
    ids: np.ndarray
    source: np.ndarray
    parent: np.ndarray | None = None
    group: np.ndarray | None = None
    file: np.ndarray | None = None
    row: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        for name in ("x", "y", "source", "parent", "group", "file", "row"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise DataError(f"{name} has {len(column)} rows but ids has {n}")
        if len(np.unique(self.ids)) != n:
            values, counts = np.unique(self.ids, return_counts=True)
            raise DataError(f"ids must be unique; {str(values[counts > 1][0])!r} occurs {counts.max()} times")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Examples:
        def pick(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return Examples(
            self.x[rows],
            self.y[rows],
            self.ids[rows],
            self.source[rows],
            pick(self.parent),
            pick(self.group),
            pick(self.file),
            pick(self.row),
        )


def concat_x(parts: Sequence[Any]) -> Any:
    """Join the inputs of several `Examples` of one kind, in order.

    Raises
    ------
    DataError
        If the parts are of different kinds, tables with different columns, or pictures of different sizes.
    """
    parts = [part for part in parts if len(part)] or list(parts[:1])
    if all(isinstance(part, Table) for part in parts):
        first = parts[0]
        if any(part.names != first.names or part.categories != first.categories for part in parts):
            raise DataError("tables with different columns or categories cannot be joined; load them together")
        return Table(
            first.names,
            tuple(np.concatenate(cols) for cols in zip(*(p.values for p in parts), strict=True)),
            first.categories,
        )
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    if all(isinstance(part, Images) for part in parts):
        return _concat_images(parts)
    raise DataError(f"inputs of different kinds cannot be joined: {sorted({type(p).__name__ for p in parts})}")


def _concat_images(parts: Sequence[Images]) -> Images:
    """Join pictures; only those of different stores are copied."""
    store = parts[0].store
    if any(part.pixels != parts[0].pixels for part in parts):
        raise DataError(f"pictures of different sizes cannot be joined: {sorted({p.pixels for p in parts})} pixels")
    if any(part.store is not store for part in parts):
        joined = np.concatenate([np.asarray(part) for part in parts])
        return Images(joined, np.arange(len(joined)))
    return replace(parts[0], place=np.concatenate([part.place for part in parts]))


def _family_names(part: Examples) -> np.ndarray:
    """The group of each row; where it has none the id of a real row, "" of a synthetic one."""
    own = np.where(part.source == REAL, np.char.add("row:", part.ids.astype(str)), "")
    if part.group is None:
        return own
    return np.where(part.group == "", own, np.char.add("group:", part.group.astype(str)))


@dataclass(frozen=True)
class Mixture:
    """The rows a policy may look at: real and synthetic training rows and the user's own validation rows.

    Parameters
    ----------
    real, valid : Examples
        Real rows. `valid` may be empty.
    synth : Examples
        Synthetic rows of all sources.
    classes : tuple
        The label that each code of ``y`` stands for, in the user's own type.
    """

    real: Examples
    synth: Examples
    valid: Examples
    classes: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.valid) and not np.all(self.valid.source == REAL):
            raise DataError("validation rows must all be real; take synthetic rows out of the validation file")
        if len(np.unique(self.ids)) != len(self.ids):
            raise DataError("real, synthetic and validation rows must not share an id")

    @property
    def parts(self) -> tuple[Examples, Examples, Examples]:
        """The three parts in the order every per-row array follows: real, valid, synth."""
        return (self.real, self.valid, self.synth)

    @cached_property
    def ids(self) -> np.ndarray:
        """Ids of all rows (n,), real then valid then synth."""
        return np.concatenate([part.ids for part in self.parts])

    @cached_property
    def y(self) -> np.ndarray:
        """Label codes of all rows (n,), in the order of `ids`."""
        return np.concatenate([part.y for part in self.parts])

    @cached_property
    def source(self) -> np.ndarray:
        """Source of every row (n,), in the order of `ids`."""
        return np.concatenate([part.source for part in self.parts])

    @cached_property
    def is_synth(self) -> np.ndarray:
        """True for synthetic rows (n,), in the order of `ids`."""
        return np.arange(len(self.ids)) >= len(self.real) + len(self.valid)

    @cached_property
    def rows_of(self) -> dict[str, np.ndarray]:
        """Places of the rows of each synthetic source among the synthetic rows, in order of first appearance."""
        place = {name: k for k, name in enumerate(dict.fromkeys(self.synth.source.tolist()))}
        code = np.array([place[name] for name in self.synth.source.tolist()], dtype=np.int64)
        order, count = np.argsort(code, kind="stable"), np.bincount(code, minlength=len(place))
        return {name: order[end - n : end] for name, n, end in zip(place, count, np.cumsum(count), strict=True)}

    @cached_property
    def family(self) -> np.ndarray:
        """Rows (n,) that must not be split between training and judging share a number; -1: belongs to nobody.

        Rows of one group are a family, any other real row is its own; a synthetic row belongs to its parent's, where
        that is known, and not to its group's.
        """
        names = np.concatenate([_family_names(part) for part in self.parts])
        known = names != ""
        family = np.full(len(names), -1)
        family[known] = np.unique(names[known], return_inverse=True)[1]
        own = {i: f for i, f in zip(self.ids[~self.is_synth].tolist(), family[~self.is_synth].tolist(), strict=True)}
        if self.synth.parent is not None and len(self.synth):
            of_group = family[self.is_synth].tolist()
            found = zip(self.synth.parent.tolist(), of_group, strict=True)
            family[self.is_synth] = [own.get(name, group) for name, group in found]
        return family

    @property
    def num_classes(self) -> int:
        """Number of classes c."""
        return len(self.classes)


class Severity(Enum):
    """How bad a finding is; an error makes `check` exit with 1."""

    error = 3
    warning = 2
    note = 1


@dataclass(frozen=True)
class Finding:
    """Something worth knowing: what was seen, why it matters, what to do. `code` has a section in docs/findings.md.

    `sources` says of each synthetic source that is spoken of, worst first, what was seen of it, in a line; `files` what
    is wrong with each file, all of them, where `seen` names the first ones.
    """

    code: str
    severity: Severity
    title: str
    seen: str
    why: str
    advice: str
    sources: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {self.severity.name}: {self.title}. {self.seen} {self.why} {self.advice}"


def plain_finding(finding: Finding) -> dict[str, Any]:
    """Return a finding as findings.json holds it."""
    return {**asdict(finding), "severity": finding.severity.name}


@dataclass(frozen=True)
class Loaded:
    """What the loader hands over. Only `compare.judge_test` is ever given `test`.

    Parameters
    ----------
    mixture : Mixture
        Rows that policies may see.
    test : Examples or None
        Real rows that are opened once, at the end.
    findings : tuple of Finding
        What was odd in the files.
    left_out : Examples or None
        Rows that were read but cannot take part (a label that no real row has); they are listed with weight 0.
    embeddings : ndarray (n, d) or None
        The user's own vectors for all mixture rows, in the order of `Mixture.ids`.
    test_embeddings : ndarray (m, d) or None
        The same for the test rows.
    """

    mixture: Mixture
    test: Examples | None
    findings: tuple[Finding, ...] = ()
    left_out: Examples | None = None
    embeddings: np.ndarray | None = None
    test_embeddings: np.ndarray | None = None


@dataclass(frozen=True)
class Features:
    """What is known about every row of a mixture inside one split.

    Parameters
    ----------
    values : ndarray (n, k)
        Named, finite columns; scaling constants come from these rows only.
    names : tuple of str
        Column names (k,).
    ids : ndarray (n,)
        Rows, in the order of `Mixture.ids`.
    embedding : ndarray (n, d)
        The learner's inputs.
    state : mapping
        Constants that describe a new row the same way.
    """

    values: np.ndarray
    names: tuple[str, ...]
    ids: np.ndarray
    embedding: np.ndarray
    state: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.ids), len(self.names)) or len(self.embedding) != len(self.ids):
            raise DataError(
                f"features of shape {self.values.shape} and embedding of {len(self.embedding)} rows do not fit "
                f"{len(self.ids)} ids and {len(self.names)} names"
            )
        if not np.isfinite(self.values).all():
            bad = [name for name, ok in zip(self.names, np.isfinite(self.values).all(axis=0), strict=True) if not ok]
            raise DataError(f"features must be finite; {', '.join(bad)} are not")

    def column(self, name: str) -> np.ndarray:
        """Return the column called `name` (n,).

        Raises
        ------
        KeyError
            If there is no such column.
        """
        if name not in self.names:
            raise KeyError(f"no feature is called {name!r}; there are {', '.join(self.names)}")
        return self.values[:, self.names.index(name)]


@dataclass(frozen=True)
class Weights:
    """How much every row counts. Weight 0 is removal, weight k is k copies; only ratios matter.

    Parameters
    ----------
    values : ndarray (n,)
        Non-negative weights in the order of `ids`.
    ids : ndarray (n,)
        Rows, in the order of `Mixture.ids`.
    made_by : str
        The policy's name.
    outcome : Outcome
        How the computation ended.
    history : mapping of str to ndarray
        Per-step diagnostics, empty for policies without steps.
    state : mapping of str to ndarray
        What weighs a new row the same way, empty for policies that cannot.
    """

    values: np.ndarray
    ids: np.ndarray
    made_by: str
    outcome: Outcome = Outcome.converged
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    state: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.shape != self.ids.shape:
            raise DataError(f"{len(self.values)} weights do not fit {len(self.ids)} ids")
        if not np.isfinite(self.values).all() or (self.values < 0).any():
            raise DataError(f"{self.made_by} gave weights that are negative or not finite")
        if not (self.values > 0).any():
            raise DataError(f"{self.made_by} gave every row weight 0; nothing is left to train on")


class Weigher(Protocol):
    """The one contract of every way of choosing data: a frozen dataclass whose fields are its settings."""

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return one weight for every row of `mixture`."""
        ...


Describe = Callable[[Mixture, Seeds], Features]


@dataclass(frozen=True)
class Interval:
    """A number and the range that holds the truth in `level` of repeated studies."""

    mean: float
    low: float
    high: float
    level: float = 0.95

    def __post_init__(self) -> None:
        for name in ("mean", "low", "high"):  # numbers of NumPy print with their type
            object.__setattr__(self, name, float(getattr(self, name)))

    def __str__(self) -> str:
        mean = round(self.mean, 1) + 0.0  # no "-0.0"
        return f"{mean:+.1f} {limits(self.low, self.high)}"


def limits(low: float, high: float) -> str:
    """Return the ends of an interval as every sentence, table and picture has them, as in [-0.2, 1.3]."""
    low, high = round(low, 1) + 0.0, round(high, 1) + 0.0
    return f"[{low:.1f}, {high:.1f}]"


@dataclass(frozen=True)
class Prediction:
    """What a formula or its simulation says at each point of a grid.

    Parameters
    ----------
    at : ndarray (t,)
        Grid.
    mean, low, high : ndarray (t,)
        Value and interval; ``low <= mean <= high``.
    terms : mapping
        Named intermediate quantities, also readable as attributes (``prediction.bias``).
    formula : str
        Source (paper, equation) of the value.
    assumptions : tuple of str
        What has to hold for the value to be right.
    """

    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    terms: Mapping[str, Any] = field(default_factory=dict)
    formula: str = ""
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = {np.shape(getattr(self, name)) for name in ("mean", "low", "high")}
        if len(shapes) != 1:
            raise ValueError(f"mean, low and high have different shapes: {shapes}")
        if not (np.all(self.low <= self.mean) and np.all(self.mean <= self.high)):
            raise ValueError("an interval must contain its mean: low <= mean <= high")

    def __getattr__(self, name: str) -> Any:
        terms = self.__dict__.get("terms", {})  # not self.terms: an empty instance is being copied or unpickled
        if name in terms:
            return terms[name]
        raise AttributeError(f"a prediction has no {name!r}; its terms are {', '.join(map(str, terms)) or 'none'}")


@dataclass(frozen=True)
class Comparison:
    """Out-of-fold predictions of every policy on the same paired splits of the pooled real rows.

    Parameters
    ----------
    y, ids : ndarray (n,)
        Labels and ids of the pooled real rows (training, then validation rows).
    classes : tuple
        Label of each code.
    seeds : tuple of int
        The repetitions, in order.
    probabilities : mapping of str to ndarray (s, n, c)
        Per policy, simplest first; a policy that racing stopped has only the first s of the repetitions.
    seconds : mapping of str to float
        Time spent on each policy.
    stopped : mapping of str to str
        Why a policy has fewer repetitions.
    group : ndarray (n,) of str or None
    fold : ndarray (number of seeds, n)
        The fold that judged each row.
    """

    y: np.ndarray
    ids: np.ndarray
    classes: tuple[Any, ...]
    seeds: tuple[int, ...]
    probabilities: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]
    stopped: Mapping[str, str]
    fold: np.ndarray
    group: np.ndarray | None = None

    @property
    def num_folds(self) -> int:
        """Number of folds of each repetition."""
        return int(self.fold.max()) + 1

    def __post_init__(self) -> None:
        for name, prob in self.probabilities.items():
            if prob.shape[1:] != (len(self.y), len(self.classes)) or not 1 <= len(prob) <= len(self.seeds):
                raise ValueError(f"{name} has predictions of shape {prob.shape} for {len(self.y)} rows")
            if len(prob) < len(self.seeds) and name not in self.stopped:
                raise ValueError(f"{name} misses splits and no reason is given")


@dataclass(frozen=True)
class Verdict:
    """The answer, with intervals in points of the metric (100 x, higher is better).

    Parameters
    ----------
    policy : str
        The best bet.
    use : bool
        Whether synthetic rows are recommended: the best bet uses them and the evidence is not "unproven".
    evidence : {"proven", "likely", "unproven"}
    reason : str
        Where the best bet is RealOnly: "harmful", "useless", "copies" or "too little real data"; else "", or "seen"
        where a generator that it uses was fitted on the judged rows.
    gain, gain_over_everything : Interval
        Of the best bet, measured on rows that had no part in choosing it.
    everything : Interval
        Gain of Everything over RealOnly.
    metric : str
    num_splits : int
        Paired splits that the recommended policy was judged on.
    keep_fraction, effective_fraction : float
        Of the synthetic rows, in the final weights.
    sentence : str
    """

    policy: str
    use: bool
    evidence: str
    reason: str
    gain: Interval
    gain_over_everything: Interval
    everything: Interval
    metric: str
    num_splits: int
    keep_fraction: float = 0.0
    effective_fraction: float = 0.0
    sentence: str = ""
