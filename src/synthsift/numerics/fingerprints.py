"""Content hashes of rows and of whole files: equal content, equal hash, in every process; and texts made comparable.

Hashes of rows are 64 bits wide, so among a million rows a false match has a chance of about 3e-8. They do not depend on
PYTHONHASHSEED. Numbers that are not whole are rounded to 6 significant digits first, so a copy that went through text
is still a copy; whole numbers are compared exactly, because ids and times differ in late digits.
"""

from __future__ import annotations

import hashlib
import numbers
import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

DIGITS = 6
_MISSING = np.uint64(0x9AE16A3B2F90404F)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TINY = 1e-290  # below this, powers of ten leave the range of float64; such numbers count as zero
_EXACT = 2**53  # up to here float64 holds every whole number
_SPACE = re.compile(r"\s+")


def fingerprint_rows(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Hash the content of every row.

    Parameters
    ----------
    columns : sequence of ndarray (n,)
        Numbers, booleans, or text (str or object dtype). In object columns None and NaN are missing, and numbers are
        hashed as numbers.

    Returns
    -------
    ndarray (n,) of uint64
        Equal for rows of equal content: -0.0 equals 0.0, missing equals missing, 1 equals 1.0, and numbers that agree
        to 6 significant digits are equal (unless a rounding border lies between them). The order of columns counts.

    Raises
    ------
    ValueError
        If there is no column, or columns have different lengths.

    Examples
    --------
    >>> rows = fingerprint_rows([np.array([1.0, 1.0, 2.0]), np.array(["a", "a", "a"])])
    >>> bool(rows[0] == rows[1]), bool(rows[0] == rows[2])
    (True, False)
    """
    if not columns or len({len(column) for column in columns}) > 1:
        raise ValueError(f"columns of one length are needed, not of lengths {[len(column) for column in columns]}")
    total = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        total = mix((total + _GOLDEN) ^ _hash_column(np.asarray(column)))
    return total


def fingerprint_arrays(arrays: Mapping[str, np.ndarray], text: str = "") -> str:
    """Return one digest of all that a file keeps: names, types, shapes and bytes of its arrays, and its `text`.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Order does not count.
    text : str
        What is kept beside them.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits; unlike the hashes of rows, it tells any two bit patterns apart.
    """
    total = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def copies_of(needles: np.ndarray, haystack: np.ndarray) -> np.ndarray:
    """Tell which rows of `haystack` are copies of some row of `needles`.

    Parameters
    ----------
    needles, haystack : ndarray (m,), (n,) of uint64
        Fingerprints of the same columns.

    Returns
    -------
    ndarray (n,) of bool
        True where the fingerprint occurs among `needles`.
    """
    return np.isin(haystack, needles)


def normalize_text(text: str) -> str:
    """Return what is left of a text when case, punctuation, spacing and ways of encoding a character do not count.

    A text of nothing but punctuation keeps it, or all such texts would be copies of one another.

    Examples
    --------
    >>> normalize_text("  Don't   PANIC!")
    'dont panic'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = _SPACE.sub(" ", folded.translate(_WITHOUT_PUNCTUATION)).strip()
    return bare or _SPACE.sub(" ", folded).strip()


class _Punctuation(dict[int, int | None]):
    """A translation table that drops punctuation and is filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code)).startswith("P") else code
        self[code] = kept
        return kept


_WITHOUT_PUNCTUATION = _Punctuation()


class _Digests(dict[object, int]):
    """Hashes of cells, computed once for each distinct cell (equal keys, such as 1 and 1.0, have equal hashes)."""

    def __missing__(self, cell: object) -> int:
        if isinstance(cell, str):
            digest = hashlib.blake2b(cell.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            self[cell] = int.from_bytes(digest, "little")
        else:
            self[cell] = int(_hash_numbers(np.array([_number(cell)]))[0])
        return self[cell]


def _hash_column(column: np.ndarray) -> np.ndarray:
    """Return a hash (n,) of each cell."""
    if column.dtype.kind in "UO":
        return np.fromiter(map(_Digests().__getitem__, column.tolist()), np.uint64, len(column))
    return _hash_numbers(column)


def _number(cell: object) -> float:
    """Return a cell that is no text as a number, NaN for a missing one."""
    if cell is None:
        return float("nan")
    if isinstance(cell, numbers.Real):
        return float(cell)
    raise ValueError(f"cells must be text, numbers or missing, not {type(cell).__name__}")


def _hash_numbers(values: np.ndarray) -> np.ndarray:
    """Return a hash (n,) of numbers: the bits of the rounded float64, so 1 and 1.0 agree."""
    rounded = _round(values.astype(np.float64)) + 0.0  # makes -0.0 zero
    hashes = mix(rounded.view(np.uint64))
    hashes[np.isnan(rounded)] = _MISSING
    if values.dtype.kind in "iu":
        large = np.abs(rounded) >= _EXACT
        hashes[large] = mix(values[large].astype(np.uint64) ^ _GOLDEN)
    return hashes


def _round(values: np.ndarray) -> np.ndarray:
    """Round numbers that are finite and not whole to 6 significant digits."""
    part = np.isfinite(values) & (values != np.rint(values))
    x = values[part]
    power = np.floor(np.log10(np.maximum(np.abs(x), _TINY)))
    shift = DIGITS - 1 - power
    digits = np.rint(x * 10.0**shift)
    rounded = np.where(shift >= 0, digits / 10.0 ** np.maximum(shift, 0), digits * 10.0 ** np.maximum(-shift, 0))
    result = values.copy()
    result[part] = np.where(np.abs(x) < _TINY, 0.0, rounded)
    return result


def mix(values: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers one to one (the finalizer of SplitMix64: Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
