"""All that the numbers of a run depend on, beside the data: one frozen record that settings.json holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from synthsift.data.spec import DataSpec
from synthsift.records import DataError

METRIC_CHOICES = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")
GENERATOR_SAW = ("train", "all", "none", "unknown")


@dataclass(frozen=True)
class RunSettings:
    """What `synthsift run` was asked.

    Parameters
    ----------
    data : DataSpec
    learner : str
        "logistic", "mlp" or "package.module:Factory".
    policies : str, optional
        Comma-separated names; all that make sense if None.
    num_seeds, first_seed : int
        Repetitions of the 5 folds, and the number of the first.
    budget_minutes : float
    metric : str, optional
        None: accuracy, or balanced accuracy where the largest real class is over three times the smallest.
    pca : int, optional
        Directions kept of a table.
    generator_saw : {"train", "all", "none", "unknown"}
    allow_leaks, gallery : bool
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

    def __post_init__(self) -> None:
        if self.metric is not None and self.metric not in METRIC_CHOICES:
            raise DataError(f"unknown metric {self.metric!r}; known are {', '.join(METRIC_CHOICES)}")
        if self.generator_saw not in GENERATOR_SAW:
            raise DataError(f"--generator-saw is {self.generator_saw!r}; it must be one of {', '.join(GENERATOR_SAW)}")
        if self.num_seeds < 1:
            raise DataError(f"--seeds is {self.num_seeds}; at least 1 repetition is needed")
        if not self.budget_minutes > 0:
            raise DataError(f"--budget is {self.budget_minutes}; give minutes above 0")
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
        values = dict(record.get("settings", record)) if isinstance(record, dict) else {}
        known, data_known = {f.name for f in fields(RunSettings)}, {f.name for f in fields(DataSpec)}
        data = dict(values.get("data", {}))
        unknown = sorted((set(values) - known) | (set(data) - data_known))
        if unknown or not values:
            raise DataError(f"{path} does not hold settings of a run; unknown names: {', '.join(unknown) or 'all'}")
        values["data"] = DataSpec(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})  # type: ignore[arg-type]
        return RunSettings(**values)
