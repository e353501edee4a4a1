"""How many edited copies of real texts are found, and how many texts that are none are taken for copies.

    python -m benchmarks.copied_texts FOLDER             # stores docs/results/copied-texts.parquet, prints its table; 30 s
    python -m benchmarks.copied_texts FOLDER --choosing  # the half of the texts that the settings were chosen on
    python -m benchmarks.copied_texts FOLDER --show      # the pairs among real texts, to be judged by eye
    python -m benchmarks.copied_texts FOLDER --speed     # 20,000 x 20,000 texts of the length of news

FOLDER holds agnews_llm_aug/agnews.jsonl.gz and parrot_llm_text/tweet_sentiment.jsonl.gz and crowdflower_emotion.jsonl.gz.
The distinct real texts of each set are dealt into two halves; of one, up to 1,000 texts are edited and looked for among all
of it. The words that take the place of others are drawn from the same texts. Beside them, the texts of the half are
looked for among one another.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.intervals import share
from synthsift.numerics.closeness import NEAR_WORDING
from synthsift.numerics.fingerprints import normalize_text
from synthsift.numerics.resemblance import SHORT, has_near, near_pairs
from synthsift.numerics.shingles import wordings

RESULTS = Path(__file__).parents[1] / "docs" / "results"
FILES = {
    "news": "agnews_llm_aug/agnews.jsonl.gz",
    "tweets": "parrot_llm_text/tweet_sentiment.jsonl.gz",
    "emotions": "parrot_llm_text/crowdflower_emotion.jsonl.gz",
}
CHOOSING, REPORTED = 0, 1000  # seeds of the edits
NUM_EDITED, NUM_SPEED = 1000, 20_000
AMONG_REAL = "another real text"
Edit = Callable[[list[str], np.random.Generator, list[str]], list[str]]


def changed(words: list[str], rng: np.random.Generator, others: list[str], count: int) -> list[str]:
    """Put other words in the place of `count` words."""
    words = list(words)
    for place in rng.permutation(len(words))[:count]:
        words[place] = others[rng.integers(len(others))]
    return words


def dropped(words: list[str], rng: np.random.Generator, count: int) -> list[str]:
    """Leave `count` words out, but keep one."""
    left = np.sort(rng.permutation(len(words))[min(count, len(words) - 1) :])
    return [words[place] for place in left]


def added(words: list[str], rng: np.random.Generator, others: list[str], count: int) -> list[str]:
    """Put `count` further words somewhere."""
    words = list(words)
    for _ in range(count):
        words.insert(int(rng.integers(len(words) + 1)), others[rng.integers(len(others))])
    return words


def mistyped(words: list[str], rng: np.random.Generator, count: int) -> list[str]:
    """Exchange two letters of `count` words."""
    words = list(words)
    for place in rng.permutation([k for k, word in enumerate(words) if len(word) > 1])[:count]:
        at = int(rng.integers(len(words[place]) - 1))
        word = words[place]
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return words


EDITS: dict[str, Edit] = {
    "case, punctuation": lambda w, r, o: [f"{word.upper()}," for word in w],
    "numbers changed": lambda w, r, o: ["".join(str((int(c) + 3) % 10) if c.isdecimal() else c for c in x) for x in w],
    "1 word changed": lambda w, r, o: changed(w, r, o, 1),
    "2 words changed": lambda w, r, o: changed(w, r, o, 2),
    "3 words changed": lambda w, r, o: changed(w, r, o, 3),
    "a fifth of the words changed": lambda w, r, o: changed(w, r, o, max(1, len(w) // 5)),
    "a third of the words changed": lambda w, r, o: changed(w, r, o, max(1, len(w) // 3)),
    "1 word left out": lambda w, r, o: dropped(w, r, 1),
    "3 words left out": lambda w, r, o: dropped(w, r, 3),
    "1 word added": lambda w, r, o: added(w, r, o, 1),
    "3 words added": lambda w, r, o: added(w, r, o, 3),
    "8 words put in front": lambda w, r, o: ["here", "is", "a", "rewritten", "version", "of", "the", "text", *w],
    "last 5 words cut off": lambda w, r, o: w[: max(1, len(w) - 5)],
    "3 typing errors": lambda w, r, o: mistyped(w, r, 3),
}


def halves(file: Path) -> tuple[list[str], list[str]]:
    """Return the distinct real texts of a file, dealt into the half for choosing and the half that is reported."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = list(dict.fromkeys(normalize_text(row["text"]) for row in rows if row["source"] == "real"))
    order = np.random.default_rng(0).permutation(len(texts))
    return tuple([texts[k] for k in order[start::2]] for start in (0, 1))  # type: ignore[return-value]


def measure(name: str, texts: list[str], seed: int, show: bool) -> Iterator[pd.DataFrame]:
    """Yield for every edit which edited text was found as a near copy of its original, then real texts of real ones."""
    rng = np.random.default_rng(seed)
    words = [word for text in texts for word in text.split()]
    picked = rng.permutation(len(texts))[:NUM_EDITED]
    is_short = np.array([len(text) < SHORT for text in texts])
    for edit, change in EDITS.items():
        made = [" ".join(change(texts[k].split(), rng, words)) for k in picked]
        row, place = search(made, texts)
        found = np.bincount(row[place == picked[row]], minlength=len(made)) > 0
        told = np.array([made[k] != texts[picked[k]] for k in range(len(made))])  # an edit that changed something
        yield pd.DataFrame({"texts": name, "short": is_short[picked], "edit": edit, "found": found})[told]
    row, place = search(texts, texts)
    pairs = row < place
    if show:
        for one, other in zip(row[pairs], place[pairs], strict=True):
            print(f"{name}:\n   {texts[one]}\n   {texts[other]}")
    near = np.isin(np.arange(len(texts)), row[row != place])
    yield pd.DataFrame({"texts": name, "short": is_short, "edit": AMONG_REAL, "found": near})


def search(made: list[str], texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Find the near copies among the `made` texts as `check` does."""
    rows = wordings([np.array(made, dtype=object), np.array(texts, dtype=object)])
    return near_pairs(rows[: len(made)], rows[len(made) :], NEAR_WORDING, most=1000)


def table(rows: pd.DataFrame) -> str:
    """Write the shares that were found as a Markdown table: short texts by themselves."""
    kinds = [(name, short) for name in FILES for short in (False, True) if not short or name != "news"]
    heads = [f"{name} under {SHORT} characters" if short else name for name, short in kinds]
    lines = [f"| edit | {' | '.join(heads)} |", f"| --- |{' --- |' * len(heads)}"]
    for edit in rows.edit.unique():
        part = [rows[(rows.edit == edit) & (rows.texts == name) & (rows.short == short)].found for name, short in kinds]
        lines.append(f"| {edit} | {' | '.join(share(found) if len(found) else '-' for found in part)} |")
    return "\n".join(lines)


def invented(texts: list[str], count: int, rng: np.random.Generator) -> np.ndarray:
    """Write texts (n,) of 25 to 49 words in which every three words follow one another in some real text."""
    follows: dict[tuple[str, str], list[str]] = {}
    starts = [tuple(text.split()[:2]) for text in texts if len(text.split()) > 2]
    for text in texts:
        words = text.split()
        for one, two, three in zip(words, words[1:], words[2:], strict=False):
            follows.setdefault((one, two), []).append(three)
    made = []
    for _ in range(count):
        words, wanted = [*starts[rng.integers(len(starts))]], rng.integers(25, 50)
        while len(words) < wanted:
            options = follows.get((words[-2], words[-1])) or list(starts[rng.integers(len(starts))])
            words.append(options[rng.integers(len(options))])
        made.append(" ".join(words))
    return np.array(made, dtype=object)


def time_search(texts: list[str]) -> None:
    """Print how long it takes to cut `NUM_SPEED` x `NUM_SPEED` texts and to find their near copies."""
    rng = np.random.default_rng(REPORTED)
    queries, bank = (invented(texts, NUM_SPEED, rng) for _ in range(2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    rows = wordings([queries, bank])
    cut = time.process_time() - started
    found = near_pairs(rows[:NUM_SPEED], rows[NUM_SPEED:], NEAR_WORDING, most=1000)[0]
    paired = time.process_time() - started - cut
    has_near(rows, rows, NEAR_WORDING, same=True)
    within = time.process_time() - started - cut - paired
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(
        f"{NUM_SPEED:,} x {NUM_SPEED:,} texts of {np.mean([len(t) for t in queries]):.0f} characters: cut in {cut:.1f} "
        f"CPU s, {len(found)} pairs in {paired:.1f}, all {2 * NUM_SPEED:,} among one another in {within:.1f}, "
        f"{more:.0f} MiB at most"
    )


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--choosing", action="store_true", help="the half the settings were chosen on; nothing is stored"
    )
    parser.add_argument("--show", action="store_true", help="print the pairs among real texts")
    parser.add_argument("--speed", action="store_true", help="time the search instead")
    arguments = parser.parse_args()
    parts = {name: halves(arguments.folder / file) for name, file in FILES.items()}
    if arguments.speed:
        time_search([*parts["news"][0], *parts["news"][1]])
        return
    half, seed = (0, CHOOSING) if arguments.choosing else (1, REPORTED)
    rows = pd.concat(
        [frame for name, texts in parts.items() for frame in measure(name, texts[half], seed, arguments.show)]
    )
    if not arguments.choosing:
        rows.to_parquet(RESULTS / "copied-texts.parquet", index=False)
    print(table(rows))


if __name__ == "__main__":
    main()
