"""Which rows are fitted exactly when there is no ridge: four ways, and the poles between them.

Rows of source k lie in the range of Sigma_k and are in general position there. The rank of all rows together is then

    min over sets K of sources ( dim span{range Sigma_k, k in K} + sum of n_k outside K ),

and the width m where a random layer is narrower. The smallest term says what happens: K = all sources is least squares
(more rows than directions everywhere), K = none is interpolation, m is a narrow layer, and any other K is both at once,
least squares inside the span of K and interpolation outside. Where two terms are smallest together a square block of
the design is barely invertible: its inverse has no second moment and the error is infinite.

Equation (36) of docs/methods/theory.md.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from synthsift.records import DataError
from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_sources import Stack

RIDGE, DETERMINED, NARROW, INTERPOLATING, PARTLY = range(5)
# All sets of them are looked at.
MOST_NARROW = 8


def find_regimes(stack: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Regime of each point (t,), and for PARTLY which sources K are settled by least squares (t, K).

    RIDGE where there is one, else what the smallest term of the rank says.

    Source: docs/methods/theory.md, eq. (36); generalizes arXiv 2410.04840, Theorems 1 and 2.

    Raises
    ------
    DataError
        At a pole; the message names the two sizes that meet. Also for more than eight low-rank sources.
    """
    active = (stack.rows > 0) & (stack.weights > 0)
    regimes, settled = np.full(len(active), RIDGE), np.zeros(active.shape, dtype=bool)
    spans: dict[tuple[int, ...], dict[tuple[int, ...], int]] = {}
    for i in np.flatnonzero(stack.ridge == 0):
        used = tuple(int(k) for k in np.flatnonzero(active[i]))
        if used not in spans:
            spans[used] = _span_dimensions(stack, used)
        regimes[i], chosen = _regime(stack.rows[i], float(stack.width[i]), used, spans[used])
        settled[i, list(chosen)] = True
    return regimes, settled


def _span_dimensions(stack: Stack, used: tuple[int, ...]) -> dict[tuple[int, ...], int]:
    """Dimension of the span of every set of sources that can matter, the empty set and all of them included.

    A set whose span holds another source's range contains that source too, or it is no smallest term.
    """
    ranks = {(): 0, used: _rank(stack, used)}
    narrow = [k for k in used if _rank(stack, (k,)) < ranks[used]]
    if len(narrow) > MOST_NARROW:
        raise DataError(
            f"{len(narrow)} sources vary in a part of the {ranks[used]} directions only; without ridge at most "
            f"{MOST_NARROW} such sources are told apart: add a ridge"
        )
    for size in range(1, len(narrow) + 1):
        for chosen in combinations(narrow, size):
            rank = _rank(stack, chosen)
            if rank < ranks[used] and all(_rank(stack, (*chosen, k)) > rank for k in used if k not in chosen):
                ranks[chosen] = rank
    return ranks


def _rank(stack: Stack, chosen: tuple[int, ...]) -> int:
    """Rank of the covariances of these sources together, each on its own scale."""
    scaled = [stack.covariances[k] / (np.abs(stack.covariances[k]).max() or 1.0) for k in chosen]
    return stack.algebra.rank(np.asarray(sum(scaled[1:], start=scaled[0])))


def _regime(
    rows: np.ndarray, width: float, used: tuple[int, ...], spans: dict[tuple[int, ...], int]
) -> tuple[int, tuple[int, ...]]:
    """Regime of one point without ridge and its settled sources where it is PARTLY, or an error at its poles."""
    terms = {chosen: rank + sum(float(rows[k]) for k in used if k not in chosen) for chosen, rank in spans.items()}
    smallest = min(*terms.values(), width)
    ties = [chosen for chosen, term in terms.items() if term == smallest]
    # A layer as wide as all directions loses nothing; one as wide as the rank of anything else is a pole.
    if width == smallest and ties != [used]:
        if ties:
            raise PoleError(_pole(rows, used, spans, ties, width))
        return NARROW, ()
    if len(ties) > 1:
        raise PoleError(_pole(rows, used, spans, ties, np.inf))
    if ties[0] in ((), used):
        return (DETERMINED if ties[0] else INTERPOLATING), ()
    return PARTLY, ties[0]


def _name(source: int, num_sources: int) -> str:
    """What a user calls a source."""
    return "real" if source == 0 else "synthetic" if num_sources == 2 else f"synthetic (source {source + 1})"


def _pole(
    rows: np.ndarray,
    used: tuple[int, ...],
    spans: dict[tuple[int, ...], int],
    ties: list[tuple[int, ...]],
    width: float,
) -> str:
    """What meets at a pole, in numbers."""
    total = sum(float(rows[k]) for k in used)
    if np.isfinite(width):
        seen = f"a layer of width {width:g} meets {total:g} rows"
    elif set(ties) == {(), used}:
        seen = f"{total:g} rows meet rank {spans[used]}"
    else:
        small, large = sorted(ties, key=lambda chosen: spans[chosen])[:2]
        meeting = sum(float(rows[k]) for k in large if k not in small)
        names = " and ".join(_name(k, len(rows)) for k in large if k not in small)
        seen = (
            f"the {meeting:g} {names} rows meet the {spans[large] - spans[small]} directions that only they can settle"
        )
    return (
        f"the error is infinite at {total:g} rows: {seen}. Without ridge a fit has a pole where rows = dim (rank "
        f"{spans[used]}), where rows = width < dim, and where the rows of one source just fill the directions that the "
        f"others leave open; add a ridge or move the size"
    )
