"""Should you train on this synthetic data, on which of it, with what weight, and is the model really better.

Importing the package loads nothing heavy; a public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    # records
    **dict.fromkeys(
        ["DataError", "Examples", "Features", "Finding", "Mixture", "Outcome", "Prediction", "Table", "Weights"],
        "records",
    ),
    "Seeds": "seeds",
    "SyntheticDataSelector": "estimator",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'synthsift' has no attribute {name!r}")
    return getattr(import_module(f"synthsift.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
