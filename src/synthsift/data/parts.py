"""The rows of one file that play one part: real, valid, test or a synthetic source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from synthsift.data.columns import RawFile, key_texts
from synthsift.records import DataError
from synthsift.seeds import Seeds


@dataclass(frozen=True)
class Part:
    """Rows of one file with one role.

    Parameters
    ----------
    role : str
        "real", "valid", "test" or "synthetic".
    source : str
        "real", or the name of the synthetic source.
    raw : RawFile
        The cells of these rows only.
    rows : ndarray (n,) of int64
        Their 0-based places in the file.
    ids : ndarray (n,) of str
        Their names.
    """

    role: str
    source: str
    raw: RawFile = field(repr=False)
    rows: np.ndarray = field(repr=False)
    ids: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_files(self) -> np.ndarray:
        """The path of each image (n,) of a folder of images."""
        assert self.raw.folder is not None
        return np.array(self.raw.folder.paths, dtype=object)[self.rows]

    def take(self, places: np.ndarray) -> Part:
        """Return the rows at `places` of this part."""
        return replace(self, raw=self.raw.take(places), rows=self.rows[places], ids=self.ids[places])


def numbered_ids(prefix: str, numbers: np.ndarray) -> np.ndarray:
    """Return ids such as ``real:17``."""
    return np.array([f"{prefix}:{number}" for number in numbers.tolist()], dtype=str)


def own_ids(raw: RawFile, column: str | None) -> np.ndarray | None:
    """Return the file's own ids (n,), None where it has none.

    Raises
    ------
    DataError
        If a cell is missing or an id occurs twice in the file.
    """
    if column is None or column not in raw.columns:
        return None
    ids = key_texts(raw.columns[column]).astype(str)
    missing = np.flatnonzero(ids == "")
    if len(missing):
        raise DataError(
            f"{len(missing):,} rows of {raw.file} have no id in {column!r}, the first is data row {missing[0] + 1}. "
            "Fill the column in or drop --id (rows are then numbered)."
        )
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        twice = values[counts > 1][0]
        raise DataError(
            f"the id {str(twice)!r} occurs {counts.max()} times in column {column!r} of {raw.file}; ids must be "
            "unique. Name another column or drop --id (rows are then numbered)."
        )
    return ids


def refuse_shared_ids(parts: Sequence[Part]) -> None:
    """Refuse an id that two parts have.

    Raises
    ------
    DataError
        If ids clash between files.
    """
    ids = np.concatenate([part.ids for part in parts])
    values, counts = np.unique(ids, return_counts=True)
    if len(values) == len(ids):
        return
    shared = values[counts > 1][0]
    files = [f"{part.raw.file} ({part.source})" for part in parts if (part.ids == shared).any()]
    raise DataError(
        f"the id {str(shared)!r} is in {' and in '.join(files[:2])}; an id must be unique over all files. Drop --id, "
        "or write a prefix into the ids of one file."
    )


def sample(parts: Sequence[Part], limit: int | None, seeds: Seeds) -> list[Part]:
    """Draw at most `limit` rows of several parts together, without replacement, in file order.

    A smaller limit takes a subset of what a larger one takes.

    Parameters
    ----------
    parts : sequence of Part
        Parts that share the limit (several files of real rows).
    limit : int, optional
        Number of rows; all by default.
    seeds : Seeds
        The stream depends on these and on the number of rows, on nothing else.

    Returns
    -------
    list of Part
        The same parts with fewer rows; parts that lost all their rows are left out.
    """
    sizes = np.array([len(part) for part in parts])
    total = int(sizes.sum())
    if limit is None or total <= limit:
        return list(parts)
    chosen = np.sort(seeds.numpy("rows").permutation(total)[:limit])
    starts = np.cumsum(sizes) - sizes
    pieces = [
        part.take(chosen[(chosen >= start) & (chosen < start + len(part))] - start)
        for part, start in zip(parts, starts, strict=True)
    ]
    return [piece for piece in pieces if len(piece)]
