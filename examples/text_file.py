"""Texts in one JSON Lines file: few real messages, those of a sound generator, and of one that mixes up the labels.

    python examples/text_file.py --out messages

Many words of a topic are in no real message, so the sound generator helps, and the verdict is to use it and to leave
the other one out; `synthsift export` writes what is kept. The texts are put together from parts, so that the example
needs no download; the command is that for any file with a text, a label and a source.
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
    "delivery": "parcel courier late tracking doorstep shipping arrived depot carrier van address box neighbor route "
    "driver package warehouse customs signature dispatch weekend lost damaged crate",
    "billing": "invoice charged refund card payment twice receipt price discount bank overdue statement fee voucher "
    "coupon tax credit debit amount balance currency transfer installment subscription",
    "technical": "crash update screen login error restart battery freezes password menu backup install bluetooth "
    "button sensor version firmware cable keyboard browser plugin wireless sound camera",
}
FILLERS = ["please help", "again", "since monday", "my order", "the app", "I think", "as I said", "thank you"]


def write_messages(n: int, source: str, wrong: float, rng: np.random.Generator) -> list[dict[str, str]]:
    """Messages of one source, each with two words of its topic; the share `wrong` is filed under another label."""
    rows = []
    for _ in range(n):
        topic = str(rng.choice(list(WORDS)))
        words = [*rng.choice(WORDS[topic].split(), 2), *rng.choice(FILLERS, 2)]
        label = str(rng.choice([name for name in WORDS if name != topic])) if rng.random() < wrong else topic
        rows.append({"text": " ".join(rng.permutation(words)), "label": label, "source": source})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("messages"), help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = write_messages(80, "real", 0.0, rng)
    rows += write_messages(160, "sound", 0.0, rng) + write_messages(160, "mixed_up", 0.67, rng)
    with open(out / "messages.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

    command = [sys.executable, "-m", "synthsift", "run", "--out", str(out / "run")]
    command += ["--data", str(out / "messages.jsonl"), "--source-column", "source"]
    command += ["--text", "text", "--label", "label"]
    command += ["--policies", "BestSources,LearnedWeights", "--seeds", "1"]
    subprocess.run(command, check=True)
    export = [sys.executable, "-m", "synthsift", "export", str(out / "run"), "--out", str(out / "kept")]
    subprocess.run(export, check=True)

    verdict = json.loads((out / "run" / "summary.json").read_text())["verdict"]
    assert verdict["use"]
    weights = pd.read_parquet(out / "run" / "weights.parquet").query("split == 'synthetic'")
    mean = weights.groupby("source")[["weight", "learned_weight"]].mean()
    print(mean.round(2).to_string())
    assert mean.loc["mixed_up", "weight"] == 0 < mean.loc["sound", "weight"]
    assert mean.loc["sound", "learned_weight"] > 1.5 * mean.loc["mixed_up", "learned_weight"]
    kept = (out / "kept" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(line)["source"] == "sound" for line in kept) == 160
    assert "What weighs much" in (out / "run" / "report.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
