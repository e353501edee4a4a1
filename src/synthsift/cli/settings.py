"""All that the numbers of a run depend on, beside the data: one frozen record that settings.json holds."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from synthsift.data.spec import GENERATOR_SAW, DataSpec, nearest
from synthsift.records import DataError

METRIC_CHOICES = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")


@dataclass(frozen=True)
class RunSettings:
    """What `synthsift run` was asked.

    Parameters
    ----------
    data : DataSpec
    learner : str
        "logistic", "mlp", "cnn" or "package.module:Factory".
    policies : str, optional
        Comma-separated names; all that make sense if None.
    num_seeds, first_seed : int
        Repetitions of the 5 folds (fewer where there are fewer groups), and the number of the first.
    budget_minutes : float
    metric : str, optional
        None: accuracy, or balanced accuracy where the largest real class is over three times the smallest.
    pca : int, optional
        Directions kept of a table.
    generator_saw : {"train", "all", "none", "unknown"}
    allow_leaks, gallery : bool
    encoder : str, optional
        A pretrained network for images or texts, see `PretrainedEncoder`; None: the encoder that needs none.
    """

    data: DataSpec = field(default_factory=DataSpec)
    learner: str = "logistic"
    policies: str | None = None
    num_seeds: int = 5
    first_seed: int = 0
    budget_minutes: float = 5.0
    metric: str | None = None
    pca: int | None = None
    generator_saw: str = "unknown"
    allow_leaks: bool = False
    gallery: bool = True
    encoder: str | None = None

    def __post_init__(self) -> None:
        if self.metric is not None and self.metric not in METRIC_CHOICES:
            hint = nearest(str(self.metric), list(METRIC_CHOICES))
            raise DataError(f"unknown metric {self.metric!r}; known are {', '.join(METRIC_CHOICES)}.{hint}")
        check_generator_saw(self.generator_saw)
        if self.encoder is not None and self.data.embeddings:
            raise DataError(f"--encoder {self.encoder} and --embeddings both say what vectors are used; give one")
        if self.num_seeds < 1:
            raise DataError(f"--seeds is {self.num_seeds}; at least 1 repetition is needed")
        if not 0 < self.budget_minutes < math.inf:
            raise DataError(f"--budget is {self.budget_minutes}; give a number of minutes above 0")
        if self.pca is not None and self.pca < 1:
            raise DataError(f"--pca is {self.pca}; give a number of directions of at least 1")

    def plain(self) -> dict[str, Any]:
        """Return JSON-safe settings."""
        return asdict(self)

    @staticmethod
    def read(path: Path) -> RunSettings:
        """Read settings that an earlier run wrote, from settings.json or a file of the same form.

        Raises
        ------
        DataError
            If the file cannot be read or holds an unknown name.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"the settings file {path} cannot be read: {error}") from error
        values = record.get("settings", record) if isinstance(record, dict) else None
        if not isinstance(values, dict) or not isinstance(values.get("data"), dict):
            raise DataError(f"{path} does not hold settings of a run; give the settings.json of a run folder")
        data = DataSpec(**_checked(values["data"], DataSpec, path))
        return RunSettings(**{**_checked(values, RunSettings, path), "data": data})


def check_generator_saw(saw: str) -> None:
    """Refuse an unknown answer to --generator-saw.

    Raises
    ------
    DataError
        If it is none of the four.
    """
    if saw not in GENERATOR_SAW:
        raise DataError(f"--generator-saw is {saw!r}; it must be one of {', '.join(GENERATOR_SAW)}")


def _checked(values: dict[str, Any], kind: type, path: Path) -> dict[str, Any]:
    """Return the settings of one record, lists as tuples; refuse unknown names and values of another type."""
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise DataError(f"{path} holds settings with unknown names: {', '.join(unknown)}. Known are {', '.join(hints)}")
    for name, value in values.items():
        if name != "data" and not _has_type(value, hints[name]):
            wanted = "list" if get_origin(hints[name]) is tuple else getattr(hints[name], "__name__", hints[name])
            raise DataError(f"{path}: the setting {name} is {json.dumps(value)}, but {wanted} is needed")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _has_type(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is of the type of a field; a list stands for a tuple, a whole number for a float."""
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    if get_origin(hint) is UnionType:
        return any(_has_type(value, choice) for choice in get_args(hint))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)
