"""Folders of images: handwritten digits, digits rendered from fonts, and rendered ones in the wrong folders.

    python examples/image_folders.py --out digits

Writes PNG files, one folder a class, then runs what a user would type: `synthsift run`, and `synthsift export` for the
kept images. A linear model on gradient histograms judges; `--learner cnn` takes the pixels, and a few minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from synthsift.seeds import Seeds
from synthsift.studies.digits import demo_data, render_digits


def write_folder(out: Path, x: np.ndarray, labels: np.ndarray) -> None:
    """One PNG file an image of 8 x 8 gray levels from 0 to 16, in a folder of its class."""
    for k, (row, label) in enumerate(zip(x, labels.tolist(), strict=True)):
        place = out / str(label) / f"{k:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((15.9375 * row.reshape(8, 8)).astype(np.uint8)).resize((32, 32)).save(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("digits"), help="folder to write to")
    out = parser.parse_args().out
    rng = np.random.default_rng(0)
    data = demo_data(Seeds(0), num_real=150, num_synth=10)
    write_folder(out / "real", data.real["x"], data.real["y"])
    write_folder(out / "held_out", data.test["x"][:300], data.test["y"][:300])
    labels = rng.integers(10, size=400)
    x = render_digits(labels, rng)
    write_folder(out / "renders" / "sound", x[:200], labels[:200])
    write_folder(out / "renders" / "mixed_up", x[200:], (labels[200:] + 1) % 10)

    command = [sys.executable, "-m", "synthsift", "run", "--out", str(out / "run")]
    command += ["--real", str(out / "real"), "--test", str(out / "held_out")]
    command += ["--synthetic", str(out / "renders" / "sound"), "--synthetic", str(out / "renders" / "mixed_up")]
    command += ["--policies", "BestSources,TrustedMargin,LearnedWeights", "--seeds", "1"]
    subprocess.run(command, check=True)
    export = [sys.executable, "-m", "synthsift", "export", str(out / "run"), "--out", str(out / "kept")]
    subprocess.run(export, check=True)

    weights = pd.read_parquet(out / "run" / "weights.parquet")
    learned = weights.groupby("source")["learned_weight"].mean()
    print(learned.round(2).to_string())
    summary = json.loads((out / "run" / "summary.json").read_text())
    everything = next(row for row in summary["comparison"] if row["name"] == "Everything")
    assert everything["gain"]["high"] < 0, "using all of it is shown to be harmful"
    assert learned["sound"] > 2 * learned["mixed_up"]


if __name__ == "__main__":
    main()
