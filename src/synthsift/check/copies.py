"""Copies between parts (SS130 to SS132, SS140) and inside a source (SS143), and what a generator has seen (SS141).

Equal content is a copy wherever rows do not repeat one another by themselves. Near copies need more care: in few
columns rows come close by chance, so they count only where there are more of them than the distances between real rows
make likely (`Spacing.is_excess`).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from synthsift.check.contents import AllContents, Contents, examples, fingerprints, is_coarse, percent, worst
from synthsift.numerics.fingerprints import copies_of
from synthsift.records import Finding, Loaded, Mixture, Severity

MANY = 0.01  # share of repeated rows of a source from which on a note becomes a warning


def test_copies(loaded: Loaded) -> Finding | None:
    """SS130: training, validation or synthetic rows with the content of a test row.

    Where test rows repeat each other anyway (few distinct categories), equal content is no leak and nothing is said.
    """
    if loaded.test is None or not len(loaded.test):
        return None
    test = fingerprints(loaded.test.x)
    if is_coarse(test):
        return None
    seen = []
    for name, part in (
        ("real", loaded.mixture.real),
        ("validation", loaded.mixture.valid),
        ("synthetic", loaded.mixture.synth),
    ):
        if len(part):
            copies = copies_of(test, fingerprints(part.x))
            if copies.any():
                seen.append(f"{copies.sum():,} {name} rows (such as {part.ids[copies.argmax()]})")
    if not seen:
        return None
    return Finding(
        "SS130",
        Severity.error,
        "Copies of test rows",
        f"{' and '.join(seen)} have the content of a test row.",
        "A model that trains on test rows is judged too well.",
        "Take them out of the files; run --allow-leaks goes on all the same, and its verdict mentions it.",
    )


def near_test_copies(parts: AllContents) -> Finding | None:
    """SS131: rows that are almost equal to a test row."""
    if parts.test is None or is_coarse(parts.test.content):
        return None
    seen = _near(parts, parts.test, (("real", parts.real), ("validation", parts.valid), ("synthetic", parts.synth)))
    if not seen:
        return None
    return Finding(
        "SS131",
        Severity.warning,
        "Near copies of test rows",
        f"{' and '.join(seen)} lie almost on a test row.",
        "A model that trains on them knows the answers of the test.",
        "Find out how they came about; take them out of the training files, or do not quote the test results.",
    )


def validation_copies(parts: AllContents) -> Finding | None:
    """SS132: training or synthetic rows that are equal or almost equal to a validation row."""
    if not len(parts.valid) or is_coarse(parts.valid.content):
        return None
    others = (("real", parts.real), ("synthetic", parts.synth))
    seen = [_count(copies_of(parts.valid.content, p.content), p, n) for n, p in others if len(p)]
    near = _near(parts, parts.valid, others)
    seen = [text for text in [*seen, *near] if text]
    if not seen:
        return None
    return Finding(
        "SS132",
        Severity.warning,
        "Copies of validation rows",
        f"{' and '.join(seen)} repeat a validation row.",
        "Whatever is chosen by validation rows that were trained on is chosen too large or too late.",
        "Take them out of the training files. (run leaves them out of every split that judges their original.)",
    )


def real_copies(parts: AllContents) -> Finding | None:
    """SS140: synthetic rows that are equal or almost equal to a real row."""
    pool, synth = parts.pool, parts.synth
    if not len(synth) or is_coarse(pool.content) or parts.spacing.coarse:
        return None
    equal = copies_of(pool.content, synth.content)
    near = _near(parts, pool, (("synthetic", synth),))
    if not equal.any() and not near:
        return None
    rows = np.flatnonzero(equal)
    total, copied = Counter(synth.source.tolist()), Counter(synth.source[rows].tolist())
    told = [(n, f"{n:,} of {total[name]:,} of {name}") for name, n in copied.items()]
    seen = []
    if told:
        equals = "rows equal" if len(rows) > 1 else "row equals"
        seen.append(f"{len(rows):,} synthetic {equals} a real row ({worst(told)}; {examples(synth.ids[rows])})")
    seen += [f"{near[0]} lie almost on a real row"] if near else []
    return Finding(
        "SS140",
        Severity.warning,
        "Copies of real rows",
        f"{'; '.join(seen)}. Of the {len(pool):,} real rows {pool.has_twin.sum():,} have an equal among themselves.",
        "A model that has seen a copy of a judged row is judged too well; and a generator that repeats its training "
        "rows adds nothing and may give away personal data.",
        "run leaves them out of the splits that judge their originals; take them out if they are not meant.",
    )


def repeats(parts: AllContents) -> Finding | None:
    """SS143: rows that repeat an earlier row of the same source."""
    pool, synth = parts.pool, parts.synth
    if is_coarse(pool.content) or parts.spacing.coarse:
        return None
    seen = []
    names = list(dict.fromkeys(synth.source.tolist()))
    for name, part in (("real", pool), *((name, synth.take(np.flatnonzero(synth.source == name))) for name in names)):
        surplus = np.ones(len(part), dtype=bool)
        surplus[part.first] = False
        near = part.near_twin(parts.spacing.limit) & ~part.has_twin
        near &= parts.spacing.is_excess(np.ceil(near.sum() / 2), len(part), len(part))  # two rows make a pair
        if surplus.any() or near.any():
            share = float((surplus | near).mean())
            told = [f"{surplus.sum():,} repeat an earlier one ({examples(part.ids[surplus])})"] if surplus.any() else []
            told += [f"{near.sum():,} lie almost on another ({examples(part.ids[near])})"] if near.any() else []
            seen.append((share, f"{name}: of {len(part):,} rows {' and '.join(told)}, {percent(share)}"))
    if not seen:
        return None
    return Finding(
        "SS143",
        Severity.warning if max(share for share, _ in seen) >= MANY else Severity.note,
        "Rows repeat inside a source",
        f"{worst(seen)}.",
        "Repeated rows count several times: the set is smaller than it looks and its favorites weigh too much.",
        "Keep one of each, or let a policy weigh them; ask the generator for more variety.",
    )


def generator_saw(mixture: Mixture, saw: str) -> Finding | None:
    """SS141: the generator was trained on rows that are judged, and no row names its parent."""
    parent = mixture.synth.parent
    pool = set(mixture.ids[~mixture.is_synth].tolist())
    if saw not in ("train", "all") or (parent is not None and not pool.isdisjoint(parent.tolist())):
        return None
    return Finding(
        "SS141",
        Severity.warning,
        "The generator has seen the judged rows",
        f"--generator-saw {saw}, and no row names its parent.",
        "Synthetic rows may carry what the generator remembers of judged rows, so the gain is optimistic.",
        "Give --parent, or judge on real rows that the generator never saw.",
    )


def _count(hits: np.ndarray, part: Contents, name: str) -> str:
    """Say how many rows of a part were found, those of the source with the most first, or nothing."""
    rows = np.flatnonzero(hits)
    if not len(rows):
        return ""
    of_source = Counter(part.source[rows].tolist())
    rows = rows[np.argsort([-of_source[source] for source in part.source[rows].tolist()], kind="stable")]
    told = [(count, f"{count:,} of {source}") for source, count in of_source.items()]
    sources = f"; {worst(told)}" if len(told) > 1 else ""
    return f"{len(rows):,} of {len(part):,} {name} rows ({examples(part.ids[rows])}{sources})"


def _near(parts: AllContents, bank: Contents, others: tuple[tuple[str, Contents], ...]) -> list[str]:
    """Describe the parts of which more rows lie almost on a row of `bank` than chance brings there."""
    if parts.spacing.coarse:
        return []
    seen = []
    for name, part in others:
        near = part.near_copies(bank, parts.spacing.limit)
        if near.any() and parts.spacing.is_excess(int(near.sum()), len(part), len(bank)):
            seen.append(_count(near, part, name))
    return seen
