from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthsift.numerics import resemblance, shingles
from synthsift.numerics.closeness import NEAR_WORDING, close_pairs, has_close, space_of_copies, usual_wording
from synthsift.numerics.fingerprints import normalize_text
from synthsift.numerics.resemblance import SHORT, STRICTER, _first_runs, has_near, near_pairs, resembles_other
from synthsift.numerics.shingles import MOST_CHARACTERS, RUN, Wordings, join, wordings

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def as_texts(texts: list[str]) -> np.ndarray:
    return np.array([*texts, None], dtype=object)[:-1]


def vocabulary(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(["".join(rng.choice(list(LETTERS), rng.integers(3, 9))) for _ in range(count)], dtype=object)


def edited(texts: list[str], rng: np.random.Generator, words: np.ndarray, count: int) -> list[str]:
    """Every text with `count` words changed."""
    made = []
    for text in texts:
        of = text.split()
        for place in rng.integers(0, len(of), count):
            of[place] = words[rng.integers(len(words))]
        made.append(" ".join(of))
    return made


def seen(text: str) -> str:
    return normalize_text(text)[:MOST_CHARACTERS]


def distance(one: str, other: str) -> float:
    """The obvious twin: 1 - resemblance, doubled for short texts."""
    a, b = ({t[k : k + RUN] for k in range(max(len(t) - RUN + 1, 1))} if t else set() for t in (seen(one), seen(other)))
    apart = 1 - len(a & b) / len(a | b) if a and b else np.inf
    return apart / STRICTER if min(len(seen(one)), len(seen(other))) < SHORT else apart


def slow_pairs(queries: list[str], bank: list[str], limit: float) -> set[tuple[int, int]]:
    """All pairs that are equal, or within a limit above 0."""
    return {
        (k, i)
        for k, one in enumerate(queries)
        for i, other in enumerate(bank)
        if normalize_text(one) == normalize_text(other) or 0 < limit >= distance(one, other) - 1e-9
    }


def a_corpus(seed: int, num: int) -> list[str]:
    """Texts of all lengths, some of them equal but for case, some edited, some cut, some with a common beginning."""
    rng = np.random.default_rng(seed)
    words = vocabulary(60, seed)
    found = ["", " ", "a", "?!", "ab", "ab."]
    while len(found) < num:
        kind = rng.integers(6)
        text = " ".join(rng.choice(words, rng.integers(1, 30)))
        origin = found[rng.integers(len(found))]
        if kind == 1:
            text = origin.upper() + "!"
        elif kind == 2 and origin.split():
            (text,) = edited([origin], rng, words, int(rng.integers(1, 5)))
        elif kind == 3:
            text = origin[: rng.integers(len(origin) + 1)]
        elif kind == 4:
            text = f"{' '.join(words[:8])} {text}"
        found.append(text)
    return found


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10**6), st.integers(7, 50), st.sampled_from([0.0, 0.3, NEAR_WORDING, 0.65, 0.9]))
def test_the_search_finds_what_all_pairs_find(seed: int, num: int, limit: float) -> None:
    texts = a_corpus(seed, num)
    cut = num // 2
    rows = wordings([as_texts(texts[:cut]), as_texts(texts[cut:])])
    queries, bank = rows[:cut], rows[cut:]
    expected = slow_pairs(texts[:cut], texts[cut:], limit)
    found = near_pairs(queries, bank, limit, most=num)
    assert sorted(zip(*(places.tolist() for places in found), strict=True)) == sorted(expected)  # each pair once
    assert has_near(queries, bank, limit).nonzero()[0].tolist() == sorted({k for k, _ in expected})
    within = {k for k, i in slow_pairs(texts, texts, limit) if k != i}
    assert has_near(rows, rows, limit, same=True).nonzero()[0].tolist() == sorted(within)
    others = {k for k, i in slow_pairs(texts, texts, limit) if seen(texts[k]) != seen(texts[i])}
    assert resembles_other(rows, rows, limit).nonzero()[0].tolist() == sorted(others)


def test_many_chunks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = a_corpus(0, 200)
    whole = near_pairs(*(wordings([as_texts(texts)]),) * 2, NEAR_WORDING, most=200)
    rows = wordings([as_texts(texts)])
    near, firsts = resembles_other(rows, rows, NEAR_WORDING), _first_runs(rows, rows.text, 1)
    monkeypatch.setattr(shingles, "CHUNK", 300)
    monkeypatch.setattr(resemblance, "CHUNK", 100)
    parts = near_pairs(*(wordings([as_texts(texts)]),) * 2, NEAR_WORDING, most=200)
    assert set(zip(*whole, strict=True)) == set(zip(*parts, strict=True)) and len(whole[0]) > 200
    monkeypatch.setattr(resemblance, "ALL_PAIRS", 0)  # mates first
    assert np.array_equal(_first_runs(rows, rows.text, 1), firsts)
    assert np.array_equal(resembles_other(rows, rows, NEAR_WORDING), near) and near.any() and not near.all()


def test_runs_are_those_of_the_text_rare_ones_first() -> None:
    rows = wordings([as_texts(["Abcdef, abcdef!", "xbcdef", "", "no"])])
    counts = np.diff(rows.start).tolist()
    assert counts == [len({"abcde", "bcdef", "cdef ", "def a", "ef ab", "f abc", " abcd"}), 2, 0, 1]
    assert rows.length.tolist() == [13, 6, 0, 2] and rows.num_runs == 9
    first, second = (set(rows.runs[rows.start[k] : rows.start[k + 1]].tolist()) for k in (0, 1))
    assert first & second == {8}, "the one run that two texts share is the most frequent"
    assert all(np.all(np.diff(rows.runs[a:b]) > 0) for a, b in zip(rows.start, rows.start[1:], strict=False))


def test_rows_can_be_taken_and_joined() -> None:
    rows = wordings([as_texts(["one", "two", "ONE"]), as_texts(["two."])])
    assert rows.text.tolist() == [0, 1, 0, 1] and len(rows[1:]) == 3
    assert join([rows[:2], rows[2:]]).text.tolist() == rows.text.tolist()


def test_short_texts_must_resemble_more() -> None:
    """A changed word makes another message of five words, and a near copy of twenty."""
    pairs = [
        ("user i want a hug now", "user i want a nap now"),
        ("happy mothers day mum", "happy mothers day everyone"),
    ]
    for one, other in pairs:
        assert not resembles_other(*(wordings([as_texts([one, other])]),) * 2, NEAR_WORDING).any()
        context = " and this is what I wanted to tell all of you on this day"
        assert resembles_other(*(wordings([as_texts([one + context, other + context])]),) * 2, NEAR_WORDING).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("早上好，今天我们将在北京举行新闻发布会，讨论明年的经济增长计划以及新的贸易政策和就业问题。", "六"),
        ("Ελλάδα: η κυβέρνηση ανακοίνωσε σήμερα νέα μέτρα για την οικονομία", "Νέα"),
        ("\ud800 lone surrogates and \0 signs of control are characters like any other one", "\ud801"),
    ],
)
def test_texts_of_any_characters(one: str, other: str) -> None:
    rows = wordings([as_texts([one, one.replace("今天", "昨天").replace("νέα", "άλλα").replace("lone", "two"), other])])
    assert resembles_other(rows, rows, NEAR_WORDING).tolist() == [True, True, False]


def test_a_text_of_ten_megabytes_and_nothing_at_all() -> None:
    """Long texts of one beginning are near copies, not one; empty texts equal one another and nothing else."""
    words = vocabulary(500)
    long = " ".join(np.random.default_rng(0).choice(words, 1_600_000))
    assert len(long) > 10_000_000
    rows = wordings([as_texts([long, long[:5000] + " another end", "", long[10_000:20_000], ""])])
    assert len(rows.runs) < 3 * MOST_CHARACTERS and rows.text.tolist() == [0, 1, 2, 3, 2]
    assert has_near(rows, rows, NEAR_WORDING, same=True).tolist() == [True, True, True, False, True]
    assert near_pairs(rows[:0], rows, NEAR_WORDING, most=5)[0].shape == (0,)
    assert near_pairs(rows, rows[:0], NEAR_WORDING, most=5)[0].shape == (0,)
    nothing = wordings([as_texts([])])
    assert len(nothing) == 0 and has_near(nothing, nothing, NEAR_WORDING).shape == (0,)
    assert usual_wording(nothing, np.random.default_rng(0)).limit == NEAR_WORDING


def heaps(num: int) -> list[str]:
    """Variants of one text, one text many times, texts that share more than half of their words, and some alone."""
    rng, words = np.random.default_rng(0), vocabulary(2000)
    origin, again, form = (" ".join(rng.choice(words, 30)) for _ in range(3))
    sharing = [f"{' '.join(form.split()[:16])} {' '.join(rng.choice(words, 14))}" for _ in range(num)]
    alone = [" ".join(rng.choice(words, 30)) for _ in range(num // 10)]
    return [*edited([origin] * num, rng, words, 1), *[again] * num, *sharing, *alone]


def test_heaps_are_searched_quickly_and_completely() -> None:
    """All pairs of the variants would be a million, of the equal texts as many."""
    texts = heaps(1500)
    started = time.process_time()
    rows = wordings([as_texts(texts)])
    near = has_near(rows, rows, NEAR_WORDING, same=True)
    assert near[:3000].all() and not near[3000:].any()
    bank = np.array([*range(60), 1500])
    row, place = near_pairs(rows, rows[bank], NEAR_WORDING, most=10)
    assert np.bincount(row, minlength=len(rows)).tolist() == [10] * 1500 + [1] * 1500 + [0] * 1650
    assert set(place[row >= 1500].tolist()) == {60}
    assert time.process_time() - started < 30


def test_memory_is_bounded_by_what_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 100 texts of the bank are near each of 200 queries, 150 rows each: 3 million pairs; 3 a query are wanted."""
    monkeypatch.setattr(resemblance, "CHUNK", 1 << 16)
    rng, words, first_few = np.random.default_rng(0), vocabulary(2000), resemblance._first_few
    texts = edited([" ".join(rng.choice(words, 30))] * 300, rng, words, 1)
    rows = wordings([as_texts(texts), as_texts(texts[:100] * 150)])
    queries, bank, kept = rows[100:300], rows[300:], []

    def watched(query: np.ndarray, *rest: Any) -> tuple[np.ndarray, np.ndarray]:
        kept.append(len(query))
        return first_few(query, *rest)

    monkeypatch.setattr(resemblance, "_first_few", watched)
    tracemalloc.start()
    row, _ = near_pairs(queries, bank, NEAR_WORDING, most=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.bincount(row).tolist() == [3] * 200
    assert peak < 16_000_000, "the pairs of rows alone would take 48 million bytes"
    assert len(kept) > 5 and sum(kept[:-1]) > 19_000 and kept[-1] <= 200 * 3, "pieces are cut before they are joined"
    some = near_pairs(queries[:20], bank, NEAR_WORDING, most=310)
    everything = near_pairs(queries[:20], bank, NEAR_WORDING, most=len(bank))
    assert set(zip(*some, strict=True)) < set(zip(*everything, strict=True)) and len(some[0]) == 20 * 310


def test_the_same_contract_as_for_vectors() -> None:
    texts = as_texts(a_corpus(5, 60))
    rows, spacing = space_of_copies(np.zeros((60, 2)), (), 40, np.random.default_rng(0), texts=[texts[:40], texts[40:]])
    assert isinstance(rows, Wordings) and not spacing.looks and spacing.num_rows == 40
    pairs = near_pairs(rows, rows[:40], 0.5, most=7)
    assert np.array_equal(close_pairs(rows, rows[:40], 0.5, most=7), pairs)
    assert np.array_equal(has_close(rows, rows, 0.5, same=True), has_near(rows, rows, 0.5, same=True))


def test_nearness_proves_nothing_where_real_texts_resemble_one_another() -> None:
    rng, words = np.random.default_rng(0), vocabulary(2000)
    alone = [" ".join(rng.choice(words, 30)) for _ in range(190)]
    few = usual_wording(wordings([as_texts([*alone, *edited(alone[:4], rng, words, 1)])]), rng)
    assert few.limit == NEAR_WORDING and not few.coarse and few.chance == pytest.approx(8 / 194)
    many = usual_wording(wordings([as_texts([*alone, *edited(alone[:10], rng, words, 1)])]), rng)
    assert many.limit == 0 and not many.coarse
    assert usual_wording(wordings([as_texts([*alone, *alone[:12]])]), rng).coarse
    none = usual_wording(wordings([as_texts(alone)]), rng)
    assert none.chance == pytest.approx(0.1 / 190)
    assert not none.is_excess(1, 1000, 190) and none.is_excess(5, 1000, 190)
