"""The verdict on real texts of which a word was changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from cli_runner import synthsift


def test_edited_copies_of_real_texts_are_not_recommended(tmp_path: Path) -> None:
    """Labels are chance, so a copy of a judged row in the training part would look like a large gain."""
    rng = np.random.default_rng(0)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in ("ar", "el", "ion", "os") for c in ("", "ta", "men", "rio")]
    files = {name: (tmp_path / f"{name}.jsonl").open("w", encoding="utf-8") for name in ("real", "made")}
    for label in rng.permutation(np.repeat(["cat", "dog"], 40)):
        text = rng.choice(words, 20)
        for name, file in files.items():
            text[5] = "indeed" if name == "made" else text[5]
            file.write(json.dumps({"text": " ".join(text), "label": label}) + "\n")
    for file in files.values():
        file.close()
    data = ["--real", str(tmp_path / "real.jsonl"), "--synthetic", f"llm={tmp_path / 'made.jsonl'}", "--text", "text"]
    ended = synthsift(
        "run", *data, "--label", "label", "--seeds", "1", "--policies", "Everything", "--out", str(tmp_path / "out")
    )
    assert "Do not use this synthetic data: every row of it copies a real row" in ended.out, ended.err
    assert "SS140" in ended.out + ended.err
