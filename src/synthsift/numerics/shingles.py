"""Texts as sets of short runs of characters, in which an edited copy still resembles its original.

The resemblance of two texts is the share of their runs, of all that either has, that both have (Broder 1997, "On the
resemblance and containment of documents", with characters for words). Characters rather than words, because a changed
ending or a typing error then costs little, and because not every language puts spaces between words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from synthsift.numerics.fingerprints import mix, normalize_text

RUN = 5  # characters of normalized text; at 8 copies with several edits resemble less, at 4 other texts resemble more
MOST_CHARACTERS = 2000  # of a text that are cut into runs, from its beginning, about 350 words: bounds time and memory
NAMES = 1 << 20  # runs are known by hash; among 230 of each of two texts, 0.05 fall together by chance
CHUNK = 1 << 20  # characters that are cut into runs at a time, to bound memory
FACTORS = (np.arange(1, 2 * RUN, 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)


@dataclass(frozen=True)
class Wordings:
    """Rows of texts.

    Parameters
    ----------
    text : ndarray (n,)
        Which of the distinct texts a row is. Texts that differ only in case, punctuation or spaces are one; those that
        differ only after the first `MOST_CHARACTERS` are two, with the same runs.
    start : ndarray (m + 1,)
        The runs of text i are ``runs[start[i] : start[i + 1]]``.
    runs : ndarray (k,) of int32
        Numbers of runs, each once in a text and in ascending order; rarer runs, counted in texts, have lower numbers.
    length : ndarray (m,)
        Characters of the normalized text, at most `MOST_CHARACTERS`.
    num_runs : int
        Different runs of all texts.
    """

    text: np.ndarray
    start: np.ndarray
    runs: np.ndarray
    length: np.ndarray
    num_runs: int

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, rows: slice | np.ndarray) -> Wordings:
        """Return some of the rows, which can be compared with all rows they were cut with."""
        return Wordings(self.text[rows], self.start, self.runs, self.length, self.num_runs)


def wordings(parts: Sequence[np.ndarray]) -> Wordings:
    """Cut the texts of all parts into runs of `RUN` characters.

    Parameters
    ----------
    parts : sequence of ndarray (n,) of str
        All rows that are to be compared with one another.

    Returns
    -------
    Wordings
        A text shorter than a run is one run; an empty one has none and resembles only other empty ones.
    """
    number: dict[tuple[str, bytes], int] = {}
    text = [number.setdefault(_name(cell), len(number)) for part in parts for cell in part]
    beginnings = [beginning for beginning, _ in number]
    length = np.fromiter(map(len, beginnings), np.int64, len(beginnings))
    size, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for some in _chunks(beginnings, length):
        of, run = _runs(some)
        size.append(np.bincount(of, minlength=len(some)))
        found.append(run)
    start, runs = np.concatenate([[0], np.cumsum(np.concatenate(size))]), np.concatenate(found)
    count = np.bincount(runs, minlength=NAMES)
    used = np.flatnonzero(count)
    rank = np.zeros(NAMES, np.int32)
    rank[used[np.argsort(count[used], kind="stable")]] = np.arange(len(used), dtype=np.int32)
    runs = rank[runs]
    _sort_within(start, runs)
    return Wordings(np.array(text, np.int64), start, runs, length, len(used))


def join(parts: Sequence[Wordings]) -> Wordings:
    """Put rows that were cut together behind one another."""
    first = parts[0]
    return Wordings(
        np.concatenate([part.text for part in parts]), first.start, first.runs, first.length, first.num_runs
    )


def _name(cell: str) -> tuple[str, bytes]:
    """Return what tells a text from others: its normalized beginning, and a hash of the rest where there is one."""
    whole = normalize_text(cell)
    rest = whole[MOST_CHARACTERS:]
    return whole[:MOST_CHARACTERS], blake2b(rest.encode("utf-8", "surrogatepass")).digest() if rest else b""


def _chunks(texts: list[str], length: np.ndarray) -> Iterator[list[str]]:
    """Yield consecutive texts of about `CHUNK` characters together."""
    block = np.cumsum(length) // CHUNK
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(texts)]
    for first, last in pairwise(cuts):
        yield texts[first:last]


def _runs(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct runs of each text: places of texts (k,), in order, and names of runs (k,) below `NAMES`."""
    padded = [text.ljust(RUN, "\0") if text else text for text in texts]
    size = np.fromiter(map(len, padded), np.int64, len(padded))
    signs = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    num = max(len(signs) - RUN + 1, 0)
    total = np.zeros(num, np.uint64)
    for place, factor in enumerate(FACTORS):
        total += mix(signs[place : place + num] + np.uint64(1)) * factor
    of = np.repeat(np.arange(len(texts)), size)
    inside = of[:num] == of[RUN - 1 :]
    key = of[:num][inside] * NAMES + (mix(total[inside]) % np.uint64(NAMES)).astype(np.int64)
    key.sort()
    key = key[np.diff(key, prepend=-1) > 0]
    return key // NAMES, (key % NAMES).astype(np.int32)


def _sort_within(start: np.ndarray, runs: np.ndarray) -> None:
    """Sort the runs of every text in place."""
    for first, last in zip(start[:-1].tolist(), start[1:].tolist(), strict=True):
        runs[first:last].sort()
