"""Generations that are no samples: copies of the real rows, or of a generation that was seen before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthsift.data.generations import Rows
from synthsift.drift.arguments import LEAST_ROWS
from synthsift.drift.monitor import digest_rows, digest_set
from synthsift.drift.reference import Reference
from synthsift.drift.state import Stream
from synthsift.records import DataError

MOSTLY = 0.5  # of the distinct rows of a generation
BY_CHANCE = 5  # times as often as real rows recur among themselves


def refuse_copies(samples: Sequence[Rows], begun: Stream) -> None:
    """Refuse a generation that is an earlier one, in whatever order, or mostly real rows.

    Raises
    ------
    DataError
        Which file copies what.
    """
    reference = begun.reference
    known = {digest: f"generation {s.name} of the state" for s in begun.seen for digest in (s.digest, s.row_set)}
    for sample in samples:
        rows = np.ascontiguousarray(reference.encoder.transform(sample.x), dtype=np.float32)
        digests = digest_rows(rows), digest_set(rows)
        for digest in digests:
            if digest in known:
                order = "" if digest == digests[0] else " in another order"
                raise DataError(
                    f"{sample.file} holds the same rows as {known[digest]}{order}. Each generation needs samples of "
                    "its own; was a file named twice, or added already?"
                )
        known |= dict.fromkeys(digests, sample.file)
        share = copied_share(rows, reference)
        if share > MOSTLY:
            raise DataError(
                f"{sample.file} holds {_how_many(share)} the real rows it is to be compared with. Give samples of the "
                "generator; a generator that copies its training rows would look perfect here and is not (see "
                "`synthsift check`)"
            )


def _how_many(share: float) -> str:
    return "all" if share >= 1 else f"mostly copies (about {100 * share:.0f} % of its distinct rows) of"


def copied_share(rows: np.ndarray, reference: Reference) -> float:
    """Share of the distinct rows of a sample that are real rows, bit by bit.

    Of all real rows only some are kept, and a sample may copy any: the share that is found is divided by the share that
    is kept. 1 also where all that is kept is found. 0 where real rows recur among themselves as often, as in small
    tables of categories.
    """
    theirs, ours = _distinct(reference.rows), _distinct(rows)
    if len(theirs) < LEAST_ROWS:
        return 0.0
    if theirs <= ours:
        return 1.0
    half = len(reference.rows) // 2
    first, second = _distinct(reference.rows[:half]), _distinct(reference.rows[half:])
    common = len(ours & theirs)
    if common < LEAST_ROWS // 5 or common / len(ours) < BY_CHANCE * len(first & second) / len(second):
        return 0.0
    return min(0.999, common / len(ours) / min(1.0, len(reference.rows) / reference.num_real))


def _distinct(rows: np.ndarray) -> set[bytes]:
    """Rows as bytes; -0.0 is 0.0."""
    return {row.tobytes() for row in np.ascontiguousarray(rows, dtype=np.float32) + np.float32(0)}
