"""Labels of all files onto one list of classes.

``1``, ``"1"`` and ``1.0`` are one class, wherever they come from (class folders 01 and 1 beside each other are two);
text is trimmed, and the two ways in which Unicode can write an accented letter are one. The classes are the labels that
real training or validation rows have: numbers if all labels are numbers that double precision tells apart, else text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from synthsift.data import notices
from synthsift.data.columns import Column, are_numbers, number_text
from synthsift.data.parts import Part
from synthsift.records import DataError, Finding

MIN_REAL_ROWS = 10
UNKNOWN = -1
MAX_WHOLE = 2.0**53  # below it every whole number is told apart from the next in double precision
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def encode_labels(parts: Sequence[Part], label: str) -> tuple[list[np.ndarray], tuple[Any, ...], list[Finding]]:
    """Turn the label column of every part into codes.

    Parameters
    ----------
    parts : sequence of Part
        All parts, real ones among them.
    label : str
        The label column.

    Returns
    -------
    codes : list of ndarray (n,) of int64
        One array a part; -1 where no real training or validation row has the label.
    classes : tuple
        The label of each code: int or float if all labels are numbers, sorted by size; else str, sorted as text.
    findings : list of Finding
        Labels that only some files have, and classes of one row.

    Raises
    ------
    DataError
        If labels are missing, there are fewer than 10 real rows, one class, or no synthetic row with a known label.
    """
    columns = [part.raw.columns[label] for part in parts]
    is_number = are_numbers(columns) and all(map(_is_exact, columns)) and not any(map(_are_spelled_apart, parts))
    keys = [label_keys(column, is_number) for column in columns]
    for part, key in zip(parts, keys, strict=True):
        _refuse_missing(part, key, label)
    real = [key for part, key in zip(parts, keys, strict=True) if part.role in ("real", "valid")]
    classes = _classes(np.concatenate(real), is_number, label)
    codes = [codes_of(key, classes) for key in keys]
    _refuse_strangers(parts, keys, codes, classes)
    return codes, classes, _remarks(parts, keys, codes, classes)


def label_keys(column: Column, is_number: bool) -> np.ndarray:
    """Return labels as float64 (NaN = missing), or as text of object ("" = missing)."""
    if is_number:
        return column.as_numbers()
    codes, values = column.as_codes()
    return np.array([*(_WHOLE.sub(r"\1", v) if _WHOLE.fullmatch(v) else v for v in values), ""], dtype=object)[codes]


def codes_of(keys: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
    """Return the place (n,) of labels among the classes, -1 where they are none of them."""
    code_of = {_composed(name): code for code, name in enumerate(classes)}
    return np.array([code_of.get(_composed(key), UNKNOWN) for key in keys.tolist()], np.int64)


def _composed(label: Any) -> Any:
    """Return a text with its accents composed (NFC): file systems and editors differ in how they write them."""
    return unicodedata.normalize("NFC", label) if isinstance(label, str) and not label.isascii() else label


def _is_exact(column: Column) -> bool:
    """Tell whether no two labels of a numeric column become one in double precision, as long keys would."""
    numbers = column.as_numbers()
    return not (np.abs(numbers[np.isfinite(numbers)]) >= MAX_WHOLE).any()


def _are_spelled_apart(part: Part) -> bool:
    """Tell whether class folders side by side are one number, as 01 and 1 are: they are classes of their own."""
    names = set() if part.raw.folder is None else set(part.raw.folder.labels)
    return len({float(name) for name in names}) < len(names)


def _refuse_missing(part: Part, keys: np.ndarray, label: str) -> None:
    """Refuse rows without a label, or with an infinite number for one."""
    is_text = keys.dtype == object
    for bad, what, advice in (
        (np.zeros(len(keys), bool) if is_text else np.isinf(keys), "a label that is not finite", "mend it"),
        (keys == "" if is_text else np.isnan(keys), "no label", "fill it in"),
    ):
        if bad.any():
            first = int(part.rows[np.flatnonzero(bad)[0]]) + 1
            raise DataError(
                f"{bad.sum():,} of {len(keys):,} {part.role} rows of {part.raw.file} have {what} in {label!r}, the "
                f"first of them is data row {first}. Every row needs one; {advice} or remove the row."
            )


def _classes(keys: np.ndarray, is_number: bool, label: str) -> tuple[Any, ...]:
    """Return the sorted labels of the real rows."""
    if len(keys) < MIN_REAL_ROWS:
        raise DataError(
            f"there are {len(keys)} real rows in training and validation together; at least {MIN_REAL_ROWS} are "
            "needed, and some hundreds for a verdict. Add real rows or raise --max-real."
        )
    first = {_composed(name): name for name in sorted(set(keys.tolist()), reverse=True)}
    distinct = sorted(first.values())
    if len(distinct) == 1:
        shown = number_text(distinct[0]) if is_number else repr(distinct[0])
        raise DataError(f"all real rows have the same label {shown} in {label!r}; at least two classes are needed.")
    whole = is_number and all(value == int(value) for value in distinct)
    return tuple(map(int, distinct)) if whole else tuple(distinct)


def _refuse_strangers(
    parts: Sequence[Part], keys: list[np.ndarray], codes: list[np.ndarray], classes: tuple[Any, ...]
) -> None:
    """Refuse synthetic data of which no row has a label that real rows have."""
    synth = [(key, code) for part, key, code in zip(parts, keys, codes, strict=True) if part.role == "synthetic"]
    if synth and not any((code != UNKNOWN).any() for _, code in synth):
        theirs = sorted({str(value) for key, _ in synth for value in key.tolist()})
        raise DataError(
            f"no synthetic row has a label that a real row has: real labels are {_shown(classes)}, synthetic ones "
            f"{_shown(theirs)}. {_as_sources(parts, classes) or 'Write both in the same way.'}"
        )


def _as_sources(parts: Sequence[Part], classes: tuple[Any, ...]) -> str:
    """Say how to give a folder whose class folders have folders named like the real classes; "" where there is none."""
    for part in parts:
        if part.role == "synthetic" and part.raw.folder is not None:
            inner = {name.split("/")[1] for name in part.raw.folder.names if name.count("/") > 1}
            if found := sorted(inner & set(map(str, classes))):
                root = part.raw.folder.root
                return (
                    f"The folders in {root} look like sources, not like classes: in them are folders called "
                    f"{_shown(found)}. Give each as a source: --synthetic '{root}/*'."
                )
    return ""


def _shown(values: Sequence[Any]) -> str:
    """List the first labels."""
    return ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")


def _remarks(
    parts: Sequence[Part], keys: list[np.ndarray], codes: list[np.ndarray], classes: tuple[Any, ...]
) -> list[Finding]:
    """Return the findings about labels."""
    rows = list(zip(parts, keys, codes, strict=True))

    def unknown(role: str) -> Counter[str]:
        """Count labels without a class."""
        lost = [key[code == UNKNOWN].tolist() for part, key, code in rows if part.role == role]
        return Counter(value if isinstance(value, str) else number_text(value) for some in lost for value in some)

    def per_class(*roles: str) -> np.ndarray:
        """Count the rows of each class."""
        known = [code[code >= 0] for part, _, code in rows if part.role in roles]
        return np.bincount(np.concatenate(known), minlength=len(classes))

    findings: list[Finding] = []
    if lost := unknown("synthetic"):
        findings.append(notices.unknown_synthetic_labels(lost))
    if lost := unknown("test"):
        findings.append(notices.unknown_test_labels(lost))
    train, pool = per_class("real"), per_class("real", "valid")
    if (train == 0).any():
        findings.append(notices.labels_only_in_valid([classes[k] for k in np.flatnonzero(train == 0)]))
    if (pool == 1).any():
        findings.append(notices.single_rows([classes[k] for k in np.flatnonzero(pool == 1)]))
    return findings


def refuse_regression(columns: Sequence[Column], label: str) -> None:
    """Refuse a label column that holds measurements rather than classes.

    Parameters
    ----------
    columns : sequence of Column
        The label columns of all real training rows, before any sampling.
    label : str
        Its name, for the message.

    Raises
    ------
    DataError
        If the labels are numbers and either more than 20 distinct ones (or more than half of at least 10 rows) are not
        whole, or more than 200 distinct ones make up more than half of the rows.
    """
    if not are_numbers(columns):
        return
    values = np.concatenate([column.as_numbers() for column in columns])
    values = values[np.isfinite(values)]
    distinct = np.unique(values)
    fractions = int((distinct != np.rint(distinct)).sum())
    many_fractions = fractions > 20 or (len(values) >= MIN_REAL_ROWS and fractions > 0.5 * len(values))
    if many_fractions or (len(distinct) > 200 and len(distinct) > 0.5 * len(values)):
        raise DataError(
            f"the label column {label!r} holds {len(distinct):,} distinct numbers in {len(values):,} real rows, "
            f"{fractions:,} of them not whole: that is a regression target. Only classification is supported; cut it "
            "into classes first or name another column with --label."
        )
