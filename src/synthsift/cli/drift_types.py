"""Columns whose decimals got lost: real rows hold fractions, a generation whole numbers only.

Types as such are no matter: single and double precision, or whole numbers saved as floats, are compared as the numbers
they are. Values that were cut to whole numbers on the way to the file differ from real ones for a reason that is no
fault of the generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthsift.data.generations import Rows
from synthsift.drift.columns import Column, name_columns
from synthsift.records import Finding, Images, Severity

MOSTLY = 0.5  # of the values: that 50 rows and more hold none of them by chance has a probability below 1e-15
WHOLE = "all columns"  # of arrays too wide for names


def fractional_columns(x: Any) -> list[str]:
    """Names of the columns of real rows whose values are mostly no whole numbers."""
    return [c.name for c in _numbers(x) if _share_of_fractions(c.values) > MOSTLY]


def truncated_columns(samples: Sequence[Rows], schema: Mapping[str, Any]) -> list[Finding]:
    """Return a finding where generations hold whole numbers in columns that are fractions in real rows, else nothing.

    Parameters
    ----------
    samples : sequence of Rows
        The generations.
    schema : mapping
        What the stream knows of the real file; states of older versions know no ``fractions`` and are not judged.
    """
    fractions, found = set(schema.get("fractions", ())), []
    for sample in samples if fractions else ():
        names = [
            c.name
            for c in _numbers(sample.x)
            if c.name in fractions and _share_of_fractions(c.values) == 0 and len(np.unique(c.values)) > 1
        ]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            found.append(f"{', '.join(names[:3])}{more} of {sample.file}")
    if not found:
        return []
    files = f"; and in {len(found) - 3} more files" if len(found) > 3 else ""
    return [
        Finding(
            "SS409",
            Severity.warning,
            "Whole numbers where real rows have fractions",
            f"Only whole numbers stand in {'; '.join(found[:3])}{files}; most real values there are fractions.",
            "If values were cut to whole numbers when the file was written, the drift is that of the file and not of "
            "the generator.",
            "Write generations with the type of the real rows and measure them again; the numbers were compared as "
            "they are.",
        )
    ]


def _numbers(x: Any) -> list[Column]:
    """Columns of numbers; an array that is too wide for names is one column."""
    if isinstance(x, Images) or (isinstance(x, np.ndarray) and x.dtype == object):
        return []
    columns = [c for c in name_columns(x) if c.is_number]
    return columns or ([Column(WHOLE, x.reshape(-1))] if isinstance(x, np.ndarray) else [])


def _share_of_fractions(values: np.ndarray) -> float:
    """Share of known values that are no whole numbers."""
    known = values[np.isfinite(values)]
    return float((known != np.round(known)).mean()) if len(known) else 0.0
