"""Edited copies of texts: each kind is found and leaves the splits, texts of their own are not called copies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import texts

from synthsift.check.contents import all_contents
from synthsift.check.copies import near_test_copies, real_copies, repeats, validation_copies
from synthsift.numerics.fingerprints import normalize_text
from synthsift.numerics.shingles import MOST_CHARACTERS
from synthsift.records import REAL, Examples, Finding, Loaded, Mixture
from synthsift.represent.encoding import Encoded, encode
from synthsift.seeds import Seeds
from synthsift.splits import Leaks, all_copies, find_leaks


def words_of(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(["".join(rng.choice(list("abcdeilmnorstu"), rng.integers(3, 9))) for _ in range(count)], object)


WORDS = words_of(400, 0)
EDITED: dict[str, Callable[[str], str]] = {
    "a word changed": lambda text: " ".join([*text.split()[:5], "quite", *text.split()[6:]]),
    "a word left out": lambda text: " ".join([*text.split()[:9], *text.split()[10:]]),
    "words in front": lambda text: f"Here is your text: {text}",
    "cut off": lambda text: " ".join(text.split()[:-4]),
    "shouted, a number behind": lambda text: f"{text.upper()}!!! 17",
}


def written(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(15, 30))) for _ in range(count)]


def part(name: str, lines: list[str]) -> Examples:
    ids = np.array([f"{name}:{k}" for k in range(len(lines))])
    x = np.array([*lines, None], dtype=object)[:-1]
    return Examples(x, np.arange(len(lines)) % 2, ids, np.full(len(lines), "made" if name == "made" else REAL))


def loaded(real: list[str], made: list[str], test: list[str], num_valid: int = 0) -> Loaded:
    cut = len(real) - num_valid
    mixture = Mixture(part("real", real[:cut]), part("made", made), part("valid", real[cut:]), ("0", "1"))
    return Loaded(mixture, part("test", test))


def blind(data: Loaded) -> Encoded:
    """Vectors that say nothing: copies of texts are looked for in their wording."""
    parts = (*data.mixture.parts, data.test)
    vectors = np.random.default_rng(0).standard_normal((sum(len(p) for p in parts if p is not None), 3))
    cut = len(data.mixture.ids)
    return Encoded(None, vectors[:cut], vectors[cut:])  # type: ignore[arg-type]  # nothing is encoded anew


def findings(data: Loaded) -> list[Finding]:
    parts = all_contents(data, blind(data), Seeds(0))
    found = (near_test_copies(parts), validation_copies(parts), real_copies(parts), repeats(parts))
    return [finding for finding in found if finding is not None]


def leaks(data: Loaded) -> Leaks:
    return find_leaks(data.mixture, blind(data).rows)


@pytest.mark.parametrize("kind", list(EDITED))
def test_edited_copies_are_found_and_leave_the_splits(kind: str) -> None:
    real, test = written(80, 1), written(40, 2)
    made = [EDITED[kind](text) for text in [*real[:10], *real[70:75], *test[:8]]] + written(60, 3)
    data = loaded(real, made, test, num_valid=10)
    found = {finding.code: finding.seen for finding in findings(data)}
    assert set(found) == {"SS131", "SS132", "SS140"}
    assert found["SS131"].startswith("8 of 83 synthetic rows (made:15, made:16")
    assert found["SS132"].startswith("5 of 83 synthetic rows") and found["SS140"].startswith("15 of 83 synthetic rows")
    leaking = leaks(data)
    pairs = set(zip(leaking.row.tolist(), leaking.judged.tolist(), strict=True))
    assert pairs == {(80 + k, k) for k in range(10)} | {(90 + k, 70 + k) for k in range(5)}
    keep = leaking.keep(163, np.arange(80) < 12)
    assert np.flatnonzero(~keep).tolist() == [*range(12), *range(80, 90)]


def test_equal_and_near_copies_are_counted_apart_and_once() -> None:
    real = written(60, 4)
    made = [*[text.title() for text in real[:4]], *[EDITED["cut off"](text) for text in real[2:9]], *written(40, 5)]
    (finding,) = [finding for finding in findings(loaded(real, made, written(5, 6))) if finding.code == "SS140"]
    assert "4 synthetic rows equal a real row (4 of 51 of made; made:0" in finding.seen
    assert "7 of 51 synthetic rows (made:4, made:5, made:6 and 4 more) lie almost on a real row" in finding.seen


def test_variants_inside_a_source_are_repeats() -> None:
    made = written(50, 7)
    made += [EDITED["a word changed"](text) for text in made[:20]]
    (finding,) = findings(loaded(written(60, 8), made, written(5, 9)))
    assert finding.code == "SS143" and "of 70 rows 40 lie almost on another" in finding.seen


def test_the_users_own_vectors_do_not_hide_copies_or_make_them() -> None:
    real = written(60, 10)
    data = loaded(real, [EDITED["words in front"](text) for text in real], written(5, 11))
    vectors = np.random.default_rng(0).standard_normal((120, 8))
    data = replace(data, embeddings=vectors, test_embeddings=vectors[:5])
    assert [finding.code for finding in findings(data)] == ["SS140"]
    assert all_copies(data.mixture, find_leaks(data.mixture, encode(data).rows))
    own = loaded(real, written(60, 12), written(5, 11))
    assert not find_leaks(own.mixture, np.zeros((120, 8))).num_copies


def test_texts_of_one_template_are_no_copies_of_one_another() -> None:
    """More than 5 % of the real texts resemble another one: near copies prove nothing, equal ones still do."""
    forms = [f"Your order {number} was sent to {WORDS[number % 400]} and will arrive on day {number % 31} of this month"
             for number in range(300)]  # fmt: skip
    data = loaded(forms[:100], forms[100:200] + forms[:3], forms[200:])
    assert [finding.code for finding in findings(data)] == ["SS140"]
    assert "3 synthetic rows equal a real row" in findings(data)[0].seen and "almost" not in findings(data)[0].seen
    leaking = leaks(data)
    assert not leaking.coarse
    assert sorted(zip(leaking.row.tolist(), leaking.judged.tolist(), strict=True)) == [(200, 0), (201, 1), (202, 2)]


def test_long_texts_with_a_common_beginning_are_not_one_text() -> None:
    """More than 5 % of the real texts start with one long header: exact copies are still found, of them and others."""
    header = " ".join(np.random.default_rng(15).choice(WORDS, 500))
    assert len(normalize_text(header)) > MOST_CHARACTERS
    real = [*[f"{header} {text}" for text in written(12, 16)], *written(108, 17)]
    data = loaded(real, [f"{text.upper()}." for text in real[:60]], written(5, 18))
    leaking = leaks(data)
    assert not leaking.coarse
    pairs = zip(leaking.row.tolist(), leaking.judged.tolist(), strict=True)
    assert sorted(pairs) == [(120 + k, k) for k in range(60)]
    again = loaded([*real, real[0]], [f"{header} {text}" for text in written(20, 19)], written(5, 18))
    (finding,) = findings(again)
    assert finding.code == "SS143" and "of 121 rows 1 repeat an earlier one" in finding.seen
    assert [finding.code for finding in findings(data)] == ["SS140"]


def test_one_text_thousands_of_times_is_no_explosion() -> None:
    """In the synthetic part each row is a pair with its one original; among real rows equal content proves nothing."""
    real, many = written(60, 13), 10_000
    data = loaded(real, [f"{real[0]}!"] * many + [EDITED["cut off"](real[1])] * many, written(5, 14))
    leaking = leaks(data)
    assert leaking.num_copies == 2 * many and all_copies(data.mixture, leaking)
    assert leaks(loaded([*real, *[real[0]] * many], real, written(5, 14))).coarse


def test_clean_worlds_are_silent() -> None:
    """100 worlds of texts that share a small vocabulary, and some empty ones."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        real, made, test = (written(int(rng.integers(10, 40)), 1000 + 3 * seed + k) for k in range(3))
        data = loaded(real, [*made, ""], test, num_valid=int(rng.integers(0, 6)))
        assert not findings(data), seed
        assert not leaks(data).num_copies, seed
    assert not findings(texts())


@pytest.mark.parametrize(
    ("name", "least"), [("agnews_llm_aug/agnews.jsonl.gz", 59), ("parrot_llm_text/tweet_sentiment.jsonl.gz", 52)]
)
def test_real_texts(name: str, least: int, shared_data: Callable[[str], Path]) -> None:
    """Silent as they are (a few have a near copy: fewer than chance allows), and planted copies are found."""
    with gzip.open(shared_data(name), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    lines = [row["text"] for row in rows if row["source"] == "real" and row["split"] in ("seed", "val")]
    lines = [lines[k] for k in np.random.default_rng(0).permutation(len(lines))[:600]]
    assert not findings(loaded(lines[:200], lines[200:400], lines[400:]))
    for edit in EDITED.values():
        found = findings(loaded(lines[:200], lines[200:400] + [edit(text) for text in lines[400:460]], lines[400:]))
        assert "SS131" in {finding.code for finding in found}
        count = int(next(f.seen for f in found if f.code == "SS131").split(" of 260 ")[0])
        assert least <= count <= 60
