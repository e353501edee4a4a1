"""Letters from street photographs with rendered font glyphs, as arrays or as folders of images, and the command to run.

As arrays: gradient histograms (see `synthsift.represent.gradients`). Neighboring photographs of a class often show the
same sign, so blocks of neighboring file numbers are written as groups, which never straddle a split. With --images:
one folder a class of PNG files, for the cnn learner; folders of images have no groups.

    python examples/prepare_chars.py --data ../shared/data --out data/chars
    python examples/prepare_chars.py --data ../shared/data --out data/chars-images --images
"""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from PIL import Image

from synthsift.report.shell import command_name
from synthsift.represent.gradients import gradient_histograms

SIGN = 5
TRAIN, VALID, TEST = 0, 1, 2
COMMAND = """{synthsift} run \\
    --real {out}/real.npz --valid {out}/valid.npz --test {out}/test.npz \\
    --synthetic {out}/fonts.npz --label y --group group --metric accuracy --generator-saw none --out runs/chars"""
COMMAND_IMAGES = """{synthsift} run \\
    --real {out}/real --valid {out}/valid --test {out}/test --synthetic {out}/fonts \\
    --metric accuracy --generator-saw none --learner cnn --budget 60 --out runs/chars-images"""


def run_command(out: Path, *, images: bool = False) -> str:
    """Return the command that runs on what was written into `out`."""
    return (COMMAND_IMAGES if images else COMMAND).format(synthsift=command_name(), out=quote(str(out)))


def some_per_class(y: np.ndarray, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most `count` of `rows` from each class, in file order."""
    chosen = [rng.permutation(rows[y[rows] == label])[:count] for label in np.unique(y[rows])]
    return np.sort(np.concatenate(chosen))


def write_arrays(out: Path, part: str, images: np.ndarray, labels: np.ndarray, rows: np.ndarray, **more: Any) -> None:
    """Write gradient histograms of gray images."""
    gray = images.mean(axis=3) if images.ndim == 4 else images
    x = gradient_histograms(gray)
    np.savez_compressed(out / f"{part}.npz", x=x, y=labels, number=rows, **more)
    print(f"wrote {out / part}.npz: {len(x):,} rows of {x.shape[1]} numbers")


def write_images(out: Path, part: str, images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    """Write one PNG file an image, in one folder a class."""
    for image, label, row in zip(images, labels.tolist(), rows.tolist(), strict=True):
        place = out / part / label / f"{row:05d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    print(f"wrote {out / part}: {len(images):,} images in {len(set(labels.tolist()))} folders")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with chars74k_font_scene")
    parser.add_argument("--out", type=Path, default=Path("data/chars"), help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw of letters and glyphs")
    parser.add_argument("--images", action="store_true", help="write folders of images instead of arrays")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with np.load(arguments.data / "chars74k_font_scene" / "scene.npz") as scene:
        photos, y, names = scene["x"], scene["y"], scene["classes"]
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
        if arguments.images:
            write_images(arguments.out, part, images[rows], names[labels[rows]], rows)
        else:
            group = {} if part == "fonts" else {"group": sign[rows]}
            write_arrays(arguments.out, part, images[rows], names[labels[rows]], rows, **group)
    print(f"Now run:\n\n{run_command(arguments.out, images=arguments.images)}")


if __name__ == "__main__":
    main()
