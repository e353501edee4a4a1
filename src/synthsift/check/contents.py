"""What the detectors of copies look at: content hashes and vectors of every part, made once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from synthsift.numerics.closeness import COARSE, Spacing, has_close, space_of_copies
from synthsift.numerics.fingerprints import fingerprint_rows, normalize_text
from synthsift.numerics.shingles import Wordings, join
from synthsift.numerics.thumbnails import thumbnails
from synthsift.records import Images, Loaded, Table
from synthsift.represent.encoding import Encoded
from synthsift.seeds import Seeds


def fingerprints(x: Any) -> np.ndarray:
    """Return the content hash (n,) of inputs: a table, texts (case and punctuation ignored), pictures or an array."""
    if isinstance(x, Table):
        return fingerprint_rows([x.texts(k) if names else x.values[k] for k, names in enumerate(x.categories)])
    if isinstance(x, Images):  # pixel by pixel would hash thousands of columns
        return np.array([_picture_hash(np.asarray(x[[row]])) for row in range(len(x))], np.uint64)
    if x.dtype == object:
        return fingerprint_rows([np.array([normalize_text(text) for text in x], dtype=object)])
    return fingerprint_rows(list(flat(x).T))


def _picture_hash(picture: np.ndarray) -> int:
    """Return 64 bits that stand for the pixels of one decoded picture."""
    return int.from_bytes(hashlib.blake2b(picture.tobytes(), digest_size=8).digest(), "little")


def flat(x: np.ndarray) -> np.ndarray:
    """Return an array (n, ...) as (n, d), also where n is 0."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def is_coarse(content: np.ndarray) -> bool:
    """Whether rows repeat one another so often that equal content proves nothing."""
    return 1 - len(np.unique(content)) / max(len(content), 1) > COARSE


@dataclass(frozen=True)
class Contents:
    """Rows of one part.

    Parameters
    ----------
    ids : ndarray (n,)
    source : ndarray (n,)
    content : ndarray (n,) of uint64
        Content hashes.
    vectors : ndarray (n, d) or Wordings
        In what near copies are looked for, see `space_of_copies`.
    """

    ids: np.ndarray
    source: np.ndarray
    content: np.ndarray
    vectors: Any

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def first(self) -> np.ndarray:
        """Places (k,) of the rows that repeat no earlier row."""
        return np.sort(np.unique(self.content, return_index=True)[1])

    @cached_property
    def has_twin(self) -> np.ndarray:
        """Rows (n,) whose content another row of the part has."""
        _, place, count = np.unique(self.content, return_inverse=True, return_counts=True)
        return count[place] > 1

    def take(self, rows: np.ndarray) -> Contents:
        """Return the rows at these places."""
        return Contents(self.ids[rows], self.source[rows], self.content[rows], self.vectors[rows])

    def near_twin(self, limit: float) -> np.ndarray:
        """Rows (n,) with a row of other content in the part at most `limit` away."""
        near = np.zeros(len(self), dtype=bool)
        if len(self.first) > 1:
            some = self.vectors[self.first]
            close = has_close(some, some, limit, same=True)
            near = np.isin(self.content, self.content[self.first[close]])
        return near

    def near_copies(self, bank: Contents, limit: float) -> np.ndarray:
        """Rows (n,) of this part with a row of other content in `bank` at most `limit` away, and no equal one."""
        near = np.zeros(len(self), dtype=bool)
        if len(bank):
            other = np.flatnonzero(~np.isin(self.content, bank.content))
            near[other] = has_close(self.vectors[other], bank.vectors[bank.first], limit)
        return near


@dataclass(frozen=True)
class AllContents:
    """Every part of a loaded data set, and how far neighboring real rows are apart."""

    real: Contents
    valid: Contents
    synth: Contents
    test: Contents | None
    spacing: Spacing

    @property
    def pool(self) -> Contents:
        """Real training and validation rows together."""
        return _join((self.real, self.valid))


def all_contents(loaded: Loaded, encoded: Encoded, seeds: Seeds) -> AllContents:
    """Hash all rows and measure the usual distance between real rows."""
    mixture, test = loaded.mixture, loaded.test
    x = [part.x for part in mixture.parts]
    held = test if test is not None and len(test) else None
    pictures = [inputs for inputs in x if isinstance(inputs, Images) and len(inputs)]
    texts = [*x, held.x] if held is not None else x
    cuts = np.cumsum([0, *map(len, mixture.parts)])
    rows, spacing = space_of_copies(
        encoded.rows, pictures, int(cuts[2]), seeds.numpy("spacing"), texts=texts if _are_texts(x[0]) else ()
    )
    parts = [
        Contents(part.ids, part.source, fingerprints(inputs) if len(part) else np.zeros(0, np.uint64), rows[a:b])
        for part, inputs, (a, b) in zip(mixture.parts, x, pairwise(cuts), strict=True)
    ]
    if held is None:
        return AllContents(parts[0], parts[1], parts[2], None, spacing)
    seen: Any = thumbnails(held.x) if spacing.looks else encoded.test
    if isinstance(rows, Wordings):
        seen = rows[int(cuts[-1]) :]
    known = Contents(held.ids, held.source, fingerprints(held.x), seen)
    return AllContents(parts[0], parts[1], parts[2], known, spacing)


def _are_texts(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == object


def _join(parts: Sequence[Contents]) -> Contents:
    """Put parts behind one another."""
    vectors = [part.vectors for part in parts]
    joined = join(vectors) if isinstance(vectors[0], Wordings) else np.concatenate(vectors)
    ids, source, content = (np.concatenate([getattr(p, n) for p in parts]) for n in ("ids", "source", "content"))
    return Contents(ids, source, content, joined)


def examples(ids: np.ndarray, limit: int = 3) -> str:
    """List the first ids for a sentence."""
    shown = ", ".join(str(name) for name in ids[:limit])
    return f"{shown} and {len(ids) - limit:,} more" if len(ids) > limit else shown


def worst(seen: Sequence[tuple[float, str]], limit: int = 5) -> str:
    """Join what was seen of several sources, the largest number first; of many only the first ones are told."""
    told = [text for _, text in sorted(seen, key=lambda item: -item[0])]
    more = len(told) - limit
    return "; ".join(told[:limit]) + (f"; and {more} more source{'s' * (more > 1)}" if more > 0 else "")


def percent(share: float) -> str:
    """Write a share as a percentage, with a digit more where it is small."""
    if 0 < share < 0.0005:
        return "less than 0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
