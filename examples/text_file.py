"""Texts in one JSON Lines file: real messages, and messages by a generator that gets a third of the labels wrong.

    python examples/text_file.py --out messages

The texts are put together from parts, so that the example needs no download; the command is that for any file with a
text, a label and a source.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

WORDS = {
    "delivery": ["parcel", "courier", "late", "tracking", "doorstep", "shipping", "arrived", "depot"],
    "billing": ["invoice", "charged", "refund", "card", "payment", "twice", "receipt", "price"],
    "technical": ["crash", "update", "screen", "login", "error", "restart", "battery", "freezes"],
}
FILLERS = ["please help", "again", "since monday", "my order", "the app", "I think", "as I said", "thank you"]


def write_messages(n: int, source: str, wrong: float, rng: np.random.Generator) -> list[dict[str, object]]:
    """Messages of one source; the share `wrong` of them is filed under another label, which is marked for the end."""
    rows: list[dict[str, object]] = []
    for _ in range(n):
        topic = str(rng.choice(list(WORDS)))
        words = [*rng.choice(WORDS[topic], 3), *rng.choice(FILLERS, 2)]
        is_wrong = bool(rng.random() < wrong)
        label = str(rng.choice([name for name in WORDS if name != topic])) if is_wrong else topic
        rows.append({"text": " ".join(rng.permutation(words)), "label": label, "source": source, "wrong": is_wrong})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("messages"), help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = write_messages(90, "real", 0.0, rng) + write_messages(240, "generator", 0.33, rng)
    with open(out / "messages.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({k: v for k, v in row.items() if k != "wrong"}) + "\n" for row in rows)

    command = [sys.executable, "-m", "synthsift", "run", "--out", str(out / "run")]
    command += ["--data", str(out / "messages.jsonl"), "--source-column", "source"]
    command += ["--text", "text", "--label", "label"]
    command += ["--policies", "TrustedMargin,LearnedWeights", "--seeds", "1"]
    subprocess.run(command, check=True)

    weights = pd.read_parquet(out / "run" / "weights.parquet").query("split == 'synthetic'")
    is_wrong = np.array([bool(rows[row]["wrong"]) for row in weights["row"]])
    mean = weights["learned_weight"].groupby(is_wrong).mean()
    print(
        f"mean learned weight of rightly labelled messages {mean[False]:.2f}, of wrongly labelled ones {mean[True]:.2f}"
    )
    assert mean[False] > 2 * mean[True]
    assert "What weighs much" in (out / "run" / "report.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
