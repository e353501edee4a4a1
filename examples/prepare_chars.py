"""Letters from street photographs with rendered font glyphs: gradient histograms as arrays, then the command to run.

Histograms of oriented gradients (Dalal, Triggs, CVPR 2005) in plain NumPy: a 32 x 32 gray image becomes 4 x 4 cells of
9 unsigned directions (unsigned, because a sign may be light on dark), grouped into 3 x 3 overlapping blocks of 2 x 2
cells that are normalized each: 324 numbers. Neighboring photographs of a class often show the same sign, so blocks of
neighboring file numbers are written as groups, which never straddle a split.

    python examples/prepare_chars.py --data ../shared/data --out data/chars
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

BINS, CELL, SIGN = 9, 8, 5
TRAIN, VALID, TEST = 0, 1, 2
COMMAND = """synthsift run \\
    --real {out}/real.npz --valid {out}/valid.npz --test {out}/test.npz --synthetic {out}/fonts.npz \\
    --label y --group group --metric accuracy --generator-saw none --out runs/chars"""


def gradient_histograms(images: np.ndarray) -> np.ndarray:
    """Return features (n, 324) of gray images (n, 32, 32)."""
    down, right = np.gradient(images.astype(np.float32) / 255, axis=(1, 2))
    strength = np.hypot(down, right)  # (n, 32, 32)
    place = np.mod(np.arctan2(down, right), np.pi) / np.pi * BINS - 0.5  # bin centers lie at whole numbers
    low = np.floor(place)
    share = (place - low).astype(np.float32)
    cells = np.zeros((len(images), 4, 4, BINS), np.float32)
    for direction in range(BINS):
        votes = np.where(low % BINS == direction, 1 - share, 0) + np.where((low + 1) % BINS == direction, share, 0)
        cells[..., direction] = (votes * strength).reshape(-1, 4, CELL, 4, CELL).sum(axis=(2, 4))
    blocks = [cells[:, i : i + 2, j : j + 2].reshape(len(images), -1) for i in range(3) for j in range(3)]
    return np.concatenate([normalize(normalize(block).clip(max=0.2)) for block in blocks], axis=1)


def normalize(block: np.ndarray) -> np.ndarray:
    """Scale each row to length 1; the constant keeps flat patches near zero."""
    return block / np.sqrt((block**2).sum(axis=1, keepdims=True) + 1e-3)


def some_per_class(y: np.ndarray, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most `count` of `rows` from each class, in file order."""
    chosen = [rng.permutation(rows[y[rows] == label])[:count] for label in np.unique(y[rows])]
    return np.sort(np.concatenate(chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with chars74k_font_scene")
    parser.add_argument("--out", type=Path, default=Path("data/chars"), help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw of letters and glyphs")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with np.load(arguments.data / "chars74k_font_scene" / "scene.npz") as scene:
        photos, y, names = scene["x"].mean(axis=3), scene["y"], scene["classes"]
        split = np.where(scene["good"] == 1, scene["split"], -1)
        sign = np.char.add(np.char.add(names[y].astype(str), "-"), (scene["number"] // SIGN).astype(str))
    with np.load(arguments.data / "chars74k_font_scene" / "fonts.npz") as fonts:
        glyphs, glyph_y = fonts["x"], fonts["y"]
    parts = {
        "real": (photos, y, some_per_class(y, np.flatnonzero(split == TRAIN), 10, rng)),
        "valid": (photos, y, some_per_class(y, np.flatnonzero(split == VALID), 10, rng)),
        "test": (photos, y, np.flatnonzero(split == TEST)),
        "fonts": (glyphs, glyph_y, some_per_class(glyph_y, np.arange(len(glyph_y)), 200, rng)),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part, (images, labels, rows) in parts.items():
        x = gradient_histograms(images[rows])
        group = {} if part == "fonts" else {"group": sign[rows]}
        np.savez_compressed(arguments.out / f"{part}.npz", x=x, y=names[labels[rows]], number=rows, **group)
        print(f"wrote {arguments.out / part}.npz: {len(rows):,} rows of {x.shape[1]} numbers")
    print(f"Now run:\n\n{COMMAND.format(out=arguments.out)}")


if __name__ == "__main__":
    main()
